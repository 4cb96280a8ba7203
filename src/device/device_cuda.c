/* device_cuda.c: NVIDIA's GPUs, through the driver API
 *
 * Opening asks the driver what there is; the context, which takes seconds and device memory, is made when something is first
 * loaded or allocated, so that a process that only compiles never has one. An error in a kernel (an illegal address, say) ends
 * the context for good: what follows fails too, and whoever asked replaces the process.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "base/vec.h"
#include "device/device_cuda_api.h"
#include "device/device_internal.h"

#define ALIGN 256 /* of a tensor's data, as the allocator itself has it */

struct kernel {
	struct kernel *next;
	CUmodule module;
	CUfunction function;
};

struct device_memory {
	CUdeviceptr base, data; /* data: behind the front pad; what a kernel's parameter holds */
};

struct span { /* around a launch; begins where the one before it ends when nothing was queued between */
	CUevent start, end;
	bool joined;
};

struct device {
	struct arena *arena;
	struct cuda_driver api;
	bool has_gpu;
	CUdevice id;
	int capability; /* 90: 9.0 */
	int driver;     /* 13000: for CUDA 13.0 */
	CUcontext context;
	CUstream stream;
	bool compiles;
	struct cuda_compiler compiler;
	struct cachedir cache;
	struct device_caps caps;
	struct kernel *kernels;
	VEC(struct span) spans; /* the first nspans are of the launches since the last finish, the others are spare */
	size_t nspans;
	bool behind; /* what was queued last is the end of the last span */
	VEC(void *) params;
};

/* ---- errors ---------------------------------------------------------------------------------------------------------- */

/* No kernel does that. */
static bool is_of_hardware(CUresult code)
{
	return code == CUDA_ERROR_ECC_UNCORRECTABLE || code == CUDA_ERROR_NVLINK_UNCORRECTABLE || code == CUDA_ERROR_CONTAINED ||
	       code == CUDA_ERROR_DEVICE_UNAVAILABLE;
}

static bool is_lost(CUresult code)
{
	return is_of_hardware(code) || code == CUDA_ERROR_ILLEGAL_ADDRESS || code == CUDA_ERROR_LAUNCH_TIMEOUT ||
	       code == CUDA_ERROR_CONTEXT_IS_DESTROYED || code == CUDA_ERROR_ASSERT ||
	       (code >= CUDA_ERROR_HARDWARE_STACK_ERROR && code <= CUDA_ERROR_LAUNCH_FAILED);
}

static bool fail(struct device *d, struct err *e, const char *call, CUresult code)
{
	const char *name = NULL, *text = NULL;

	d->api.cuGetErrorName(code, &name);
	d->api.cuGetErrorString(code, &text);
	if (code == CUDA_ERROR_OUT_OF_MEMORY)
		text = "out of device memory";
	return err_set(e, is_of_hardware(code) ? ERR_IO : ERR_DEVICE, "%s: %s (%s)%s", call, text ? text : "error", name ? name : "unknown",
		       is_lost(code) ? "; the device's context is lost" : "");
}

/* ---- opening ---------------------------------------------------------------------------------------------------------- */

static int attribute(struct device *d, int what)
{
	int v = 0;

	return d->api.cuDeviceGetAttribute(&v, what, d->id) ? 0 : v;
}

static bool find_gpu(struct device *d, const char *select, const char **name, struct err *e)
{
	struct str seen = {0};
	int n = 0;
	CUresult code;

	if (!cuda_load_driver(&d->api, e))
		return false;
	setenv("CUDA_MODULE_LOADING", "EAGER", 0); /* what a kernel needs is there when it is loaded, not when it is first launched */
	if ((code = d->api.cuInit(0)) || (code = d->api.cuDeviceGetCount(&n)))
		return code == CUDA_ERROR_NO_DEVICE
			   ? err_set(e, ERR_DEVICE, "no CUDA device: the NVIDIA driver is installed, but sees no GPU")
			   : fail(d, e, "cuInit", code);
	for (int i = 0; i < n && !d->has_gpu; i++) {
		char text[256] = "";

		if (d->api.cuDeviceGet(&d->id, i) || d->api.cuDeviceGetName(text, sizeof text - 1, d->id))
			continue;
		str_addf(&seen, "%s'%s'", seen.n ? ", " : "", text);
		if (device_is_selected(select, 0, (unsigned)i, text)) {
			d->has_gpu = true;
			*name = arena_strdup(d->arena, text);
		}
	}
	if (!d->has_gpu && !seen.n)
		err_set(e, ERR_DEVICE, "no CUDA device: the NVIDIA driver is installed, but sees no GPU");
	else if (!d->has_gpu)
		err_set(e, ERR_DEVICE, "no CUDA device is called '%s'; there is %s", select, str_text(&seen));
	str_free(&seen);
	return d->has_gpu;
}

static void describe(struct device *d, const char *name)
{
	const struct cuda_compiler *c = &d->compiler;
	struct str s = {0}, id = {0};
	size_t memory = 0;

	str_add(&s, d->has_gpu ? name : c->arch);
	if (d->has_gpu) {
		d->api.cuDeviceTotalMem(&memory, d->id);
		str_addf(&s, ", compute capability %d.%d, driver for CUDA %d.%d", d->capability / 10, d->capability % 10,
			 d->driver / 1000, d->driver % 1000 / 10);
		if (attribute(d, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT) > 0) /* its peak: times the clock, 128 lanes, 2 */
			str_addf(&s, ", %d multiprocessors, %d MHz", attribute(d, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT),
				 attribute(d, CU_DEVICE_ATTRIBUTE_CLOCK_RATE) / 1000);
	}
	if (d->compiles)
		str_addf(&s, ", NVRTC %s", c->version);
	str_addf(&id, "cuda %s", d->has_gpu ? name : "");
	if (d->compiles)
		str_addf(&id, " | NVRTC %s | %s", c->version, c->text);
	/* Only PTX is compiled once more, by the driver. */
	if (d->has_gpu && (!d->compiles || strncmp(c->arch, "sm_", 3)))
		str_addf(&id, " | driver %d", d->driver);
	d->caps = (struct device_caps){
	    .backend = "cuda",
	    .dialect = "cuda-c",
	    .build = d->compiles ? d->compiler.text : "",
	    .describe = arena_strdup(d->arena, str_text(&s)),
	    .identity = arena_strdup(d->arena, str_text(&id)),
	    .cls = DEVICE_GPU,
	    .lanes = 1,
	    .max_group = d->has_gpu ? (uint32_t)attribute(d, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK) : 1024,
	    .local_memory = d->has_gpu ? (uint64_t)attribute(d, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK) : 48 << 10,
	    .memory = memory,
	    .machine = "",
	    .types = DEVICE_ALL_TYPES,
	    .first_launch_s = 2,
	};
	str_free(&s);
	str_free(&id);
}

static void cuda_close(struct device *d)
{
	if (!d)
		return;
	while (d->kernels) {
		struct kernel *k = d->kernels;

		d->kernels = k->next;
		d->api.cuModuleUnload(k->module);
	}
	for (size_t i = 0; i < d->spans.n; i++) {
		d->api.cuEventDestroy(d->spans.v[i].start);
		d->api.cuEventDestroy(d->spans.v[i].end);
	}
	if (d->stream)
		d->api.cuStreamDestroy(d->stream);
	if (d->context)
		d->api.cuDevicePrimaryCtxRelease(d->id);
	arena_free(d->arena);
}

static bool cuda_open(const struct device_options *o, struct device **out, struct err *e)
{
	struct arena *a = arena_new(NULL);
	struct device *d = ARENA_NEW(a, struct device);
	const char *name = NULL;
	struct err none = {0};
	bool ok;

	d->arena = a;
	ok = find_gpu(d, o->select, &name, &none);
	if (ok) {
		d->capability = attribute(d, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) * 10 +
				attribute(d, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
		d->api.cuDriverGetVersion(&d->driver);
	} else if (o->role == DEVICE_BUILDER) {
		ok = true; /* an option says for what */
	} else {
		err_set(e, none.code, "%s", err_text(&none));
	}
	err_free(&none);
	if (ok && o->role != DEVICE_RUNNER)
		ok = d->compiles = cuda_compiler_open(a, o, d->capability, d->driver, &d->compiler, e);
	ok = ok && cache_open(a, o->cache_dir, &d->cache, e);
	if (!ok) {
		err_in(e, "device '%s'", o->name ? o->name : "cuda");
		cuda_close(d);
		return false;
	}
	describe(d, name);
	*out = d;
	return true;
}

static const struct device_caps *cuda_caps(const struct device *d)
{
	return &d->caps;
}

/* The device's primary context, which this process's users share, and a queue. */
static bool start(struct device *d, struct err *e)
{
	CUresult code;

	if (d->stream)
		return true;
	if (!d->has_gpu)
		return err_set(e, ERR_DEVICE, "there is no CUDA device here: kernels are only compiled");
	if (!d->context && (code = d->api.cuDevicePrimaryCtxRetain(&d->context, d->id))) {
		d->context = NULL;
		return fail(d, e, "cuDevicePrimaryCtxRetain", code);
	}
	if ((code = d->api.cuCtxSetCurrent(d->context)))
		return fail(d, e, "cuCtxSetCurrent", code);
	if ((code = d->api.cuStreamCreate(&d->stream, CU_STREAM_NON_BLOCKING))) {
		d->stream = NULL;
		return fail(d, e, "cuStreamCreate", code);
	}
	return true;
}

/* ---- kernels ------------------------------------------------------------------------------------------------------------ */

static struct hash key_of(const struct device *d, const char *source, bool contract)
{
	struct hasher *h = hasher_new();

	hash_put_text(h, "cuda");
	hash_put_text(h, d->compiler.version);
	hash_put_text(h, d->compiler.text);
	hash_put_u64(h, contract);
	hash_put_text(h, source);
	return hasher_end(h);
}

static bool cuda_build(struct device *d, struct arena *a, const char *source, bool contract, struct artefact *out, struct err *e)
{
	struct hash key;

	*out = (struct artefact){0};
	if (!d->compiles)
		return err_set(e, ERR_DEVICE, "this device has its kernels compiled elsewhere");
	key = key_of(d, source, contract);
	if (cache_get(a, &d->cache, key, &out->data, &out->size)) {
		out->cached = true;
		out->log = arena_strdup(a, "");
		out->code = hash_bytes(out->data, out->size);
		return true;
	}
	if (!cuda_compile(&d->compiler, a, source, contract, out, e))
		return false;
	cache_put(&d->cache, key, out->data, out->size);
	return true;
}

/* NVIDIA's object files have the table of their segments behind everything else. */
static bool has_segments(const struct artefact *art)
{
	Elf64_Ehdr h;

	memcpy(&h, art->data, sizeof h);
	return h.e_phoff <= art->size && (uint64_t)h.e_phnum * h.e_phentsize <= art->size - h.e_phoff;
}

/* The driver takes no size, so what it reads must end by itself: an object file whose parts lie inside it, or text. */
static bool is_whole(const struct artefact *art)
{
	struct hash unused;

	if (art->size <= 4 || memcmp(art->data, "\177ELF", 4) != 0)
		return art->size > 4 && !art->data[art->size - 1];
	return elf_hash(art->data, art->size, NULL, &unused) && has_segments(art);
}

static bool cuda_load(struct device *d, const struct artefact *art, struct kernel **out, struct err *e)
{
	struct kernel k = {.next = d->kernels};
	CUresult code;

	if (!start(d, e))
		return false;
	if (!is_whole(art))
		return err_set(e, ERR_DEVICE, "loading a kernel: neither machine code nor PTX");
	if ((code = d->api.cuModuleLoadData(&k.module, art->data)))
		return fail(d, e, "loading a kernel", code);
	if ((code = d->api.cuModuleGetFunction(&k.function, k.module, "mutatenn_kernel"))) {
		d->api.cuModuleUnload(k.module);
		return fail(d, e, "looking for 'mutatenn_kernel'", code);
	}
	*out = d->kernels = arena_memdup(d->arena, &k, sizeof k);
	return true;
}

static void cuda_unload(struct device *d, struct kernel *k)
{
	struct kernel **at = &d->kernels;

	while (*at && *at != k)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = k->next;
	d->api.cuModuleUnload(k->module);
}

/* ---- memory ---------------------------------------------------------------------------------------------------------------- */

static void cuda_memory_free(struct device *d, struct device_memory *m)
{
	if (!m)
		return;
	d->api.cuMemFree(m->base);
	free(m);
}

static bool cuda_memory_new(struct device *d, size_t bytes, size_t pad, struct device_memory **out, struct err *e)
{
	size_t front = (pad + ALIGN - 1) / ALIGN * ALIGN;
	struct device_memory *m;
	CUresult code;

	if (!start(d, e))
		return false;
	if (pad > SIZE_MAX / 4 || bytes > SIZE_MAX / 4)
		return fail(d, e, "allocating a tensor", CUDA_ERROR_OUT_OF_MEMORY);
	if (!(m = calloc(1, sizeof *m)))
		return err_set(e, ERR_IO, "out of memory");
	/* A fill of whole words may end three bytes behind the data, and four must be there to fill. */
	if ((code = d->api.cuMemAlloc(&m->base, front + (bytes + 3) / 4 * 4 + pad + 4))) {
		free(m);
		return fail(d, e, "allocating a tensor", code);
	}
	m->data = m->base + front;
	*out = m;
	return true;
}

static bool cuda_memory_fill(struct device *d, struct device_memory *m, int64_t at, size_t n, uint32_t pattern, struct err *e)
{
	CUresult code = n ? d->api.cuMemsetD32Async(m->data + (CUdeviceptr)at, pattern, n / 4, d->stream) : 0;

	d->behind = false;
	return !code || fail(d, e, "cuMemsetD32Async", code);
}

static bool cuda_memory_write(struct device *d, struct device_memory *m, int64_t at, const void *from, size_t n, struct err *e)
{
	CUresult code = n ? d->api.cuMemcpyHtoDAsync(m->data + (CUdeviceptr)at, from, n, d->stream) : 0;

	d->behind = false;
	if (!code && n)
		code = d->api.cuStreamSynchronize(d->stream);
	return !code || fail(d, e, "cuMemcpyHtoDAsync", code);
}

static bool cuda_memory_read(struct device *d, struct device_memory *m, int64_t at, void *to, size_t n, struct err *e)
{
	CUresult code = n ? d->api.cuMemcpyDtoHAsync(to, m->data + (CUdeviceptr)at, n, d->stream) : 0;

	d->behind = false;
	if (!code)
		code = d->api.cuStreamSynchronize(d->stream);
	return !code || fail(d, e, "cuMemcpyDtoHAsync", code);
}

/* ---- running ----------------------------------------------------------------------------------------------------------------- */

static bool next_span(struct device *d, struct span **out, struct err *e)
{
	struct span s = {0};
	CUresult code;

	if (d->nspans == d->spans.n) {
		if ((code = d->api.cuEventCreate(&s.start, CU_EVENT_DEFAULT)))
			return fail(d, e, "cuEventCreate", code);
		if ((code = d->api.cuEventCreate(&s.end, CU_EVENT_DEFAULT))) {
			d->api.cuEventDestroy(s.start);
			return fail(d, e, "cuEventCreate", code);
		}
		vec_push(d->arena, &d->spans, s);
	}
	*out = &d->spans.v[d->nspans];
	(*out)->joined = d->behind && d->nspans;
	return true;
}

static bool cuda_launch(struct device *d, const struct device_launch *l, struct err *e)
{
	unsigned groups = l->groups < CUDA_MAX_GRID ? (unsigned)l->groups : CUDA_MAX_GRID; /* work-items go on with what is left */
	struct span *s = NULL;
	CUresult code;

	if (l->group > d->caps.max_group)
		return err_set(e, ERR_DEVICE, "a work-group of %u is over the device's limit of %u", l->group, d->caps.max_group);
	if (!next_span(d, &s, e))
		return false;
	d->params.n = 0;
	for (uint32_t i = 0; i < l->nargs; i++)
		vec_push(d->arena, &d->params, &l->arg[i]->data);
	if (!s->joined && (code = d->api.cuEventRecord(s->start, d->stream)))
		return fail(d, e, "cuEventRecord", code);
	if ((code = d->api.cuLaunchKernel(l->kernel->function, groups, 1, 1, l->group, 1, 1, 0, d->stream, d->params.v, NULL)))
		return fail(d, e, "cuLaunchKernel", code);
	if ((code = d->api.cuEventRecord(s->end, d->stream)))
		return fail(d, e, "cuEventRecord", code);
	d->nspans++;
	d->behind = true;
	return true;
}

static bool cuda_finish(struct device *d, double *seconds, size_t n, struct err *e)
{
	CUresult code = d->stream ? d->api.cuStreamSynchronize(d->stream) : 0;
	bool ok = !code || fail(d, e, "cuStreamSynchronize", code);

	for (size_t i = 0; ok && seconds && i < n; i++) {
		const struct span *s = d->spans.v + i;
		float ms = 0;

		code = i < d->nspans ? d->api.cuEventElapsedTime(&ms, s->joined ? s[-1].end : s->start, s->end) : 0;
		seconds[i] = 1e-3 * (double)ms;
		ok = !code || fail(d, e, "cuEventElapsedTime", code);
	}
	d->nspans = 0;
	return ok;
}

const struct device_ops device_cuda = {
    .name = "cuda",
    .dialect = "cuda-c",
    .open = cuda_open,
    .caps = cuda_caps,
    .compile = cuda_build,
    .load = cuda_load,
    .unload = cuda_unload,
    .memory_new = cuda_memory_new,
    .memory_free = cuda_memory_free,
    .memory_fill = cuda_memory_fill,
    .memory_write = cuda_memory_write,
    .memory_read = cuda_memory_read,
    .launch = cuda_launch,
    .finish = cuda_finish,
    .close = cuda_close,
};
