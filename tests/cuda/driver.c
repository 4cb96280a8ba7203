/* driver.c: the driver API's functions for tests, on this processor: kernels are shared objects made by nvrtc.c
 *
 * Launches are done when they are queued. As with a GPU, a kernel that touches what is not there loses the context: its own and all
 * later calls say so.
 */
#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "device/device_cuda_api.h"

#define EXPORT __attribute__((visibility("default")))
#define MEMORY ((size_t)1 << 30)
#define MAX_THREADS 1024
#define STACK ((size_t)256 << 10)

enum { INVALID_VALUE = 1, NOT_READY_CONTEXT = 201, INVALID_IMAGE = 200, NOT_FOUND = 500 };

struct dim {
	unsigned x, y, z;
};

struct CUmod_st {
	void *library;
};

struct CUfunc_st { /* lies in the module */
	void *library;
};

struct CUevent_st {
	struct timespec at;
};

static struct {
	bool current;
	CUresult lost; /* the error that took the context */
	size_t used;
	sigjmp_buf *kernel; /* where a fault in a kernel goes */
	/* The block that runs: its threads, and which of them. */
	char *stacks;
	ucontext_t scheduler, thread[MAX_THREADS];
	bool done[MAX_THREADS];
	unsigned running;
	void (*run)(void **);
	void **params;
	struct dim *index;
} gpu;

#define CHECK                                                                                                                      \
	do {                                                                                                                       \
		if (!gpu.current)                                                                                                  \
			return NOT_READY_CONTEXT;                                                                                  \
		if (gpu.lost)                                                                                                      \
			return gpu.lost;                                                                                           \
	} while (0)

/* ---- devices and contexts ------------------------------------------------------------------------------------------------ */

EXPORT CUresult cuInit(unsigned flags)
{
	return flags ? INVALID_VALUE : getenv("CUDA_TEST_NO_DEVICE") ? CUDA_ERROR_NO_DEVICE : 0;
}

EXPORT CUresult cuDriverGetVersion(int *v)
{
	*v = 13000;
	return 0;
}

EXPORT CUresult cuGetErrorName(CUresult code, const char **out)
{
	*out = code == CUDA_ERROR_ILLEGAL_ADDRESS ? "CUDA_ERROR_ILLEGAL_ADDRESS"
	       : code == CUDA_ERROR_OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY"
	       : code == INVALID_IMAGE            ? "CUDA_ERROR_INVALID_IMAGE"
	       : code == INVALID_VALUE            ? "CUDA_ERROR_INVALID_VALUE"
						  : "CUDA_ERROR_UNKNOWN";
	return 0;
}

EXPORT CUresult cuGetErrorString(CUresult code, const char **out)
{
	*out = code == CUDA_ERROR_ILLEGAL_ADDRESS ? "an illegal memory access was encountered" : "an error";
	return 0;
}

EXPORT CUresult cuDeviceGetCount(int *n)
{
	*n = 1;
	return 0;
}

EXPORT CUresult cuDeviceGet(CUdevice *d, int i)
{
	*d = i;
	return i ? CUDA_ERROR_NO_DEVICE : 0;
}

EXPORT CUresult cuDeviceGetName(char *out, int n, CUdevice d)
{
	snprintf(out, (size_t)n, "CUDA on a processor, for tests");
	return d;
}

EXPORT CUresult cuDeviceGetAttribute(int *v, int what, CUdevice d)
{
	switch (what) {
	case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *v = MAX_THREADS; break;
	case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK: *v = 48 << 10; break;
	case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *v = 9; break;
	default: *v = 0; break;
	}
	return d;
}

EXPORT CUresult cuDeviceTotalMem_v2(size_t *n, CUdevice d)
{
	*n = MEMORY;
	return d;
}

EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext *c, CUdevice d)
{
	*c = (CUcontext)&gpu;
	return d;
}

EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice d)
{
	gpu.current = false;
	return d;
}

EXPORT CUresult cuCtxSetCurrent(CUcontext c)
{
	gpu.current = c != NULL;
	return gpu.lost;
}

/* ---- memory ----------------------------------------------------------------------------------------------------------------- */

EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *out, size_t n)
{
	size_t *p;

	CHECK;
	if (n > MEMORY - gpu.used || !(p = aligned_alloc(256, (n + 511) / 256 * 256)))
		return CUDA_ERROR_OUT_OF_MEMORY;
	*p = n;
	gpu.used += n;
	*out = (CUdeviceptr)(uintptr_t)p + 256;
	return 0;
}

EXPORT CUresult cuMemFree_v2(CUdeviceptr at)
{
	size_t *p = (void *)(uintptr_t)(at - 256);

	gpu.used -= *p;
	free(p);
	CHECK;
	return 0;
}

EXPORT CUresult cuMemsetD32Async(CUdeviceptr at, unsigned pattern, size_t n, CUstream s)
{
	CHECK;
	for (size_t i = 0; i < n; i++)
		((unsigned *)(uintptr_t)at)[i] = pattern;
	return s ? 0 : INVALID_VALUE;
}

EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t n, CUstream s)
{
	CHECK;
	memcpy((void *)(uintptr_t)to, from, n);
	return s ? 0 : INVALID_VALUE;
}

EXPORT CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t n, CUstream s)
{
	CHECK;
	memcpy(to, (const void *)(uintptr_t)from, n);
	return s ? 0 : INVALID_VALUE;
}

/* ---- streams and events --------------------------------------------------------------------------------------------------------
 */

EXPORT CUresult cuStreamCreate(CUstream *s, unsigned flags)
{
	CHECK;
	*s = (CUstream)&gpu;
	return flags > 1 ? INVALID_VALUE : 0;
}

EXPORT CUresult cuStreamDestroy_v2(CUstream s)
{
	return s ? 0 : INVALID_VALUE;
}

EXPORT CUresult cuStreamSynchronize(CUstream s)
{
	CHECK;
	return s ? 0 : INVALID_VALUE;
}

EXPORT CUresult cuEventCreate(CUevent *out, unsigned flags)
{
	CHECK;
	*out = calloc(1, sizeof **out);
	return flags ? INVALID_VALUE : 0;
}

EXPORT CUresult cuEventDestroy_v2(CUevent event)
{
	free(event);
	return 0;
}

EXPORT CUresult cuEventRecord(CUevent event, CUstream s)
{
	CHECK;
	clock_gettime(CLOCK_MONOTONIC, &event->at);
	return s ? 0 : INVALID_VALUE;
}

EXPORT CUresult cuEventElapsedTime(float *ms, CUevent from, CUevent to)
{
	CHECK;
	*ms = (float)((double)(to->at.tv_sec - from->at.tv_sec) * 1e3 + (double)(to->at.tv_nsec - from->at.tv_nsec) * 1e-6);
	return 0;
}

/* ---- modules ----------------------------------------------------------------------------------------------------------------- */

/* The size is not told: an object file ends with its table of sections. */
static size_t object_size(const uint8_t *p)
{
	uint64_t at;
	uint16_t each, n;

	if (memcmp(p, "\177ELF", 4) != 0)
		return 0;
	memcpy(&at, p + 40, sizeof at);
	memcpy(&each, p + 58, sizeof each);
	memcpy(&n, p + 60, sizeof n);
	return (size_t)at + (size_t)each * n;
}

EXPORT CUresult cuModuleLoadData(CUmodule *out, const void *image)
{
	size_t n = object_size(image);
	int fd = n ? memfd_create("kernel", MFD_CLOEXEC) : -1;
	char path[64];
	void *library = NULL;

	CHECK;
	if (fd >= 0 && write(fd, image, n) == (ssize_t)n) {
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	}
	if (!library) {
		if (fd >= 0)
			close(fd);
		return INVALID_IMAGE;
	}
	*out = calloc(1, sizeof **out);
	(*out)->library = library; /* the file stays open: a reused number would be taken for the same library */
	return 0;
}

EXPORT CUresult cuModuleUnload(CUmodule m)
{
	free(m);
	return 0;
}

EXPORT CUresult cuModuleGetFunction(CUfunction *f, CUmodule m, const char *name)
{
	CHECK;
	*f = (CUfunction)m;
	return dlsym(m->library, "run_thread") && !strcmp(name, "mutatenn_kernel") ? 0 : NOT_FOUND;
}

/* ---- launches ------------------------------------------------------------------------------------------------------------------
 */

static void on_fault(int signal)
{
	(void)signal;
	if (gpu.kernel)
		siglongjmp(*gpu.kernel, 1);
	_exit(99);
}

static void on_barrier(void)
{
	unsigned me = gpu.running;

	swapcontext(&gpu.thread[me], &gpu.scheduler);
}

static void thread_main(void)
{
	gpu.run(gpu.params);
	gpu.done[gpu.running] = true;
}

static void start_thread(unsigned t)
{
	gpu.done[t] = false;
	getcontext(&gpu.thread[t]);
	gpu.thread[t].uc_stack.ss_sp = gpu.stacks + t * STACK;
	gpu.thread[t].uc_stack.ss_size = STACK;
	gpu.thread[t].uc_link = &gpu.scheduler;
	makecontext(&gpu.thread[t], thread_main, 0);
}

/* Every thread up to its next barrier, until none is left. */
static void run_block(unsigned threads)
{
	unsigned left = threads;

	for (unsigned t = 0; t < threads; t++)
		start_thread(t);
	while (left)
		for (unsigned t = 0; t < threads; t++) {
			if (gpu.done[t])
				continue;
			gpu.running = t;
			*gpu.index = (struct dim){t, 0, 0};
			swapcontext(&gpu.scheduler, &gpu.thread[t]);
			left -= gpu.done[t];
		}
}

static __attribute__((noinline)) void run_grid(void *library, unsigned groups, unsigned threads)
{
	struct dim *block = dlsym(library, "blockIdx");

	*(struct dim *)dlsym(library, "gridDim") = (struct dim){groups, 1, 1};
	*(struct dim *)dlsym(library, "blockDim") = (struct dim){threads, 1, 1};
	*(void (**)(void))dlsym(library, "on_barrier") = on_barrier;
	gpu.index = dlsym(library, "threadIdx");
	*(void **)&gpu.run = dlsym(library, "run_thread");
	for (unsigned g = 0; g < groups; g++) {
		*block = (struct dim){g, 0, 0};
		if (dlsym(library, "has_barriers")) {
			run_block(threads);
			continue;
		}
		for (unsigned t = 0; t < threads; t++) {
			*gpu.index = (struct dim){t, 0, 0};
			gpu.run(gpu.params);
		}
	}
}

EXPORT CUresult cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
			       unsigned shared, CUstream s, void **params, void **extra)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE};
	struct sigaction act = {.sa_handler = on_fault, .sa_flags = SA_NODEFER | SA_ONSTACK}, old[3];
	char *signal_stack = malloc(STACK);
	stack_t stack = {.ss_sp = signal_stack, .ss_size = STACK}, none = {.ss_flags = SS_DISABLE};
	sigjmp_buf back;

	CHECK;
	if (gy != 1 || gz != 1 || by != 1 || bz != 1 || !gx || !bx || bx > MAX_THREADS || shared || extra || !s)
		return INVALID_VALUE;
	if (!gpu.stacks)
		gpu.stacks =
		    mmap(NULL, MAX_THREADS * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	gpu.params = params;
	sigaltstack(&stack, NULL);
	for (int i = 0; i < 3; i++)
		sigaction(faults[i], &act, &old[i]);
	gpu.kernel = &back;
	if (sigsetjmp(back, 1))
		gpu.lost = CUDA_ERROR_ILLEGAL_ADDRESS;
	else
		run_grid(f->library, gx, bx);
	gpu.kernel = NULL;
	for (int i = 0; i < 3; i++)
		sigaction(faults[i], &old[i], NULL);
	sigaltstack(&none, NULL);
	free(signal_stack);
	return 0; /* asynchronous: the next call says what happened */
}
