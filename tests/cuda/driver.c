/* driver.c: the driver API's functions for tests, on this processor: kernels are shared objects made by nvrtc.c
 *
 * As hard as the real one where a device's code could lean on more: what is queued is done when somebody waits for it and not before; a
 * launch's arguments are those of the moment; memory is new and full of junk; addresses, sizes and work-items beyond what there is are refused;
 * a context belongs to the threads that made it current and to no forked process; times are there once they are past. Blocks and their
 * threads run in the other order every other launch. A kernel that touches what is not there loses the context: all later calls say so.
 *
 * CUDA_TEST_NO_DEVICE: there is none. CUDA_TEST_INIT_S=11: so long takes cuInit. CUDA_TEST_ECC=3: the third launch finds broken memory.
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
#define MAX_PARAMETERS 512 /* 4 KiB */
#define STACK ((size_t)256 << 10)
#define ALIGN 256

enum { INVALID_VALUE = 1, NOT_INITIALIZED = 3, INVALID_IMAGE = 200, INVALID_CONTEXT = 201, INVALID_HANDLE = 400, NOT_FOUND = 500, NOT_READY = 600 };

struct dim {
	unsigned x, y, z;
};

struct CUmod_st {
	void *library;
};

struct CUevent_st {
	struct timespec at;
	bool recorded, past;
};

struct memory { /* its data lie behind it */
	struct memory *next;
	size_t size;
	uint8_t *data;
};

struct task {
	struct task *next;
	enum { LAUNCH, SET, TO_DEVICE, TO_HOST, RECORD } what;
	void *library; /* LAUNCH */
	unsigned groups, threads, nparams, pattern;
	uint64_t param[MAX_PARAMETERS];
	uint8_t *to; /* copies; SET: n words */
	const void *from;
	void *own; /* what is copied to the device is as it was */
	size_t n;
	CUevent event;
};

static _Thread_local bool current;

static struct {
	pid_t process; /* 0: not initialised */
	CUresult lost; /* the error that took the context */
	size_t used, launches;
	struct memory *memory;
	struct task *first, **last;
	sigjmp_buf *kernel; /* where a fault in a kernel goes */
	/* The block that runs: its threads, and which of them. */
	char *stacks;
	ucontext_t scheduler, thread[MAX_THREADS];
	bool done[MAX_THREADS];
	unsigned running;
	void (*run)(void **);
	void **params;
	struct dim *index;
} gpu = {.last = &gpu.first};

#define CHECK                                                                                                                      \
	do {                                                                                                                       \
		if (gpu.process != getpid())                                                                                       \
			return NOT_INITIALIZED;                                                                                    \
		if (!current)                                                                                                      \
			return INVALID_CONTEXT;                                                                                    \
		if (gpu.lost)                                                                                                      \
			return gpu.lost;                                                                                           \
	} while (0)

static int number(const char *variable)
{
	const char *text = getenv(variable);

	return text ? atoi(text) : 0;
}

/* ---- devices and contexts ------------------------------------------------------------------------------------------------ */

EXPORT CUresult cuInit(unsigned flags)
{
	if (number("CUDA_TEST_INIT_S"))
		sleep((unsigned)number("CUDA_TEST_INIT_S"));
	gpu.process = getpid();
	return flags ? INVALID_VALUE : getenv("CUDA_TEST_NO_DEVICE") ? CUDA_ERROR_NO_DEVICE : 0;
}

EXPORT CUresult cuDriverGetVersion(int *v)
{
	*v = 13000;
	return 0;
}

EXPORT CUresult cuGetErrorName(CUresult code, const char **out)
{
	*out = code == CUDA_ERROR_ILLEGAL_ADDRESS      ? "CUDA_ERROR_ILLEGAL_ADDRESS"
	       : code == CUDA_ERROR_OUT_OF_MEMORY      ? "CUDA_ERROR_OUT_OF_MEMORY"
	       : code == CUDA_ERROR_ECC_UNCORRECTABLE  ? "CUDA_ERROR_ECC_UNCORRECTABLE"
	       : code == INVALID_IMAGE                 ? "CUDA_ERROR_INVALID_IMAGE"
	       : code == INVALID_VALUE                 ? "CUDA_ERROR_INVALID_VALUE"
	       : code == INVALID_HANDLE                ? "CUDA_ERROR_INVALID_HANDLE"
	       : code == INVALID_CONTEXT               ? "CUDA_ERROR_INVALID_CONTEXT"
	       : code == NOT_INITIALIZED               ? "CUDA_ERROR_NOT_INITIALIZED"
	       : code == NOT_READY                     ? "CUDA_ERROR_NOT_READY"
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
	return gpu.process == getpid() ? 0 : NOT_INITIALIZED;
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
	return gpu.process == getpid() ? d : NOT_INITIALIZED;
}

EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice d)
{
	current = false;
	return d;
}

EXPORT CUresult cuCtxSetCurrent(CUcontext c)
{
	current = c != NULL;
	return gpu.lost;
}

/* ---- launches ------------------------------------------------------------------------------------------------------------ */

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

/* The i-th of n in the order of this launch. */
static unsigned turn(unsigned i, unsigned n)
{
	return gpu.launches % 2 ? i : n - 1 - i;
}

/* Every thread up to its next barrier, until none is left. */
static void run_block(unsigned threads)
{
	unsigned left = threads;

	for (unsigned t = 0; t < threads; t++)
		start_thread(t);
	while (left)
		for (unsigned i = 0; i < threads; i++) {
			unsigned t = turn(i, threads);

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
		*block = (struct dim){turn(g, groups), 0, 0};
		if (dlsym(library, "has_barriers")) {
			run_block(threads);
			continue;
		}
		for (unsigned t = 0; t < threads; t++) {
			*gpu.index = (struct dim){turn(t, threads), 0, 0};
			gpu.run(gpu.params);
		}
	}
}

static void launch(struct task *task)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE};
	struct sigaction act = {.sa_handler = on_fault, .sa_flags = SA_NODEFER | SA_ONSTACK}, old[3];
	char *signal_stack = malloc(STACK);
	stack_t stack = {.ss_sp = signal_stack, .ss_size = STACK}, none = {.ss_flags = SS_DISABLE};
	void *params[MAX_PARAMETERS];
	sigjmp_buf back;

	if (!gpu.stacks)
		gpu.stacks =
		    mmap(NULL, MAX_THREADS * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	for (unsigned i = 0; i < task->nparams; i++)
		params[i] = &task->param[i];
	gpu.params = params;
	gpu.launches++;
	sigaltstack(&stack, NULL);
	for (int i = 0; i < 3; i++)
		sigaction(faults[i], &act, &old[i]);
	gpu.kernel = &back;
	if (sigsetjmp(back, 1))
		gpu.lost = CUDA_ERROR_ILLEGAL_ADDRESS;
	else
		run_grid(task->library, task->groups, task->threads);
	gpu.kernel = NULL;
	for (int i = 0; i < 3; i++)
		sigaction(faults[i], &old[i], NULL);
	sigaltstack(&none, NULL);
	free(signal_stack);
	if (gpu.launches == (size_t)number("CUDA_TEST_ECC"))
		gpu.lost = CUDA_ERROR_ECC_UNCORRECTABLE;
}

/* ---- the queue --------------------------------------------------------------------------------------------------------------- */

static void queue(struct task task)
{
	struct task *t = malloc(sizeof *t);

	*t = task;
	t->next = NULL;
	*gpu.last = t;
	gpu.last = &t->next;
}

static void perform(struct task *t)
{
	switch (t->what) {
	case LAUNCH: launch(t); break;
	case SET:
		for (size_t i = 0; i < t->n; i++)
			((unsigned *)(void *)t->to)[i] = t->pattern;
		break;
	case TO_DEVICE:
	case TO_HOST: memcpy(t->to, t->from, t->n); break;
	case RECORD:
		clock_gettime(CLOCK_MONOTONIC, &t->event->at);
		t->event->past = true;
		break;
	}
}

/* All that is queued; what is behind an error is not done. */
static CUresult drain(void)
{
	while (gpu.first) {
		struct task *t = gpu.first;

		gpu.first = t->next;
		if (!gpu.lost)
			perform(t);
		free(t->own);
		free(t);
	}
	gpu.last = &gpu.first;
	return gpu.lost;
}

/* ---- memory ----------------------------------------------------------------------------------------------------------------- */

static bool is_there(CUdeviceptr at, size_t n)
{
	for (struct memory *m = gpu.memory; m; m = m->next)
		if (at >= (uintptr_t)m->data && at + n <= (uintptr_t)m->data + m->size)
			return true;
	return false;
}

EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *out, size_t n)
{
	struct memory *m;

	CHECK;
	if (!n)
		return INVALID_VALUE;
	if (n > MEMORY - gpu.used || !(m = aligned_alloc(ALIGN, ALIGN + (n + ALIGN - 1) / ALIGN * ALIGN)))
		return CUDA_ERROR_OUT_OF_MEMORY;
	*m = (struct memory){.next = gpu.memory, .size = n, .data = (uint8_t *)m + ALIGN};
	memset(m->data, 0xa5, n);
	gpu.memory = m;
	gpu.used += n;
	*out = (uintptr_t)m->data;
	return 0;
}

EXPORT CUresult cuMemFree_v2(CUdeviceptr at)
{
	struct memory **m = &gpu.memory, *gone;

	CHECK;
	drain();
	while (*m && (uintptr_t)(*m)->data != at)
		m = &(*m)->next;
	if (!(gone = *m))
		return INVALID_VALUE;
	*m = gone->next;
	gpu.used -= gone->size;
	memset(gone->data, 0x5a, gone->size);
	free(gone);
	return gpu.lost;
}

EXPORT CUresult cuMemsetD32Async(CUdeviceptr at, unsigned pattern, size_t n, CUstream s)
{
	CHECK;
	if (!s || at % 4 || !is_there(at, 4 * n))
		return INVALID_VALUE;
	queue((struct task){.what = SET, .to = (uint8_t *)(uintptr_t)at, .pattern = pattern, .n = n});
	return 0;
}

EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t n, CUstream s)
{
	void *own;

	CHECK;
	if (!s || !is_there(to, n) || !(own = malloc(n)))
		return INVALID_VALUE;
	memcpy(own, from, n);
	queue((struct task){.what = TO_DEVICE, .to = (uint8_t *)(uintptr_t)to, .from = own, .own = own, .n = n});
	return 0;
}

EXPORT CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t n, CUstream s)
{
	CHECK;
	if (!s || !is_there(from, n))
		return INVALID_VALUE;
	queue((struct task){.what = TO_HOST, .to = to, .from = (const void *)(uintptr_t)from, .n = n});
	return 0;
}

/* ---- streams and events ------------------------------------------------------------------------------------------------------ */

EXPORT CUresult cuStreamCreate(CUstream *s, unsigned flags)
{
	CHECK;
	*s = (CUstream)&gpu;
	return flags > 1 ? INVALID_VALUE : 0;
}

EXPORT CUresult cuStreamDestroy_v2(CUstream s)
{
	return s ? drain() : INVALID_VALUE;
}

EXPORT CUresult cuStreamSynchronize(CUstream s)
{
	CHECK;
	return s ? drain() : INVALID_HANDLE;
}

EXPORT CUresult cuEventCreate(CUevent *out, unsigned flags)
{
	CHECK;
	*out = calloc(1, sizeof **out);
	return flags ? INVALID_VALUE : 0;
}

EXPORT CUresult cuEventDestroy_v2(CUevent event)
{
	drain();
	free(event);
	return 0;
}

EXPORT CUresult cuEventRecord(CUevent event, CUstream s)
{
	CHECK;
	if (!s)
		return INVALID_HANDLE;
	event->recorded = true;
	event->past = false;
	queue((struct task){.what = RECORD, .event = event});
	return 0;
}

EXPORT CUresult cuEventElapsedTime(float *ms, CUevent from, CUevent to)
{
	CHECK;
	if (!from->recorded || !to->recorded)
		return INVALID_HANDLE;
	if (!from->past || !to->past)
		return NOT_READY;
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
	drain();
	free(m);
	return 0;
}

EXPORT CUresult cuModuleGetFunction(CUfunction *f, CUmodule m, const char *name)
{
	CHECK;
	*f = (CUfunction)m;
	return dlsym(m->library, "run_thread") && !strcmp(name, "mutatenn_kernel") ? 0 : NOT_FOUND;
}

EXPORT CUresult cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
			       unsigned shared, CUstream s, void **params, void **extra)
{
	void *library = ((CUmodule)f)->library;
	const unsigned *most = dlsym(library, "most_threads"), *nparams = dlsym(library, "parameters");
	struct task t = {.what = LAUNCH, .library = library, .groups = gx, .threads = bx};

	CHECK;
	if (gy != 1 || gz != 1 || by != 1 || bz != 1 || !gx || gx > CUDA_MAX_GRID || !bx || bx > MAX_THREADS || shared || extra || !s)
		return INVALID_VALUE;
	if (!most || bx > *most || !nparams || *nparams > MAX_PARAMETERS)
		return INVALID_VALUE;
	t.nparams = *nparams;
	for (unsigned i = 0; i < t.nparams; i++)
		memcpy(&t.param[i], params[i], sizeof t.param[i]); /* all are pointers */
	queue(t);
	return 0;
}
