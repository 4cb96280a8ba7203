/* device_opencl.c: any OpenCL device, through whatever ICD the loader finds
 *
 * libOpenCL is loaded when a device is opened, so that one worker program serves machines with and without it. Processors
 * (PoCL and its like) get kernels of the cpu class, in groups of one; everything else those of the gpu class.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "device/device_opencl.h"

#define TOGETHER 16 /* kernels in a program: more gain little */

/* ---- finding a device --------------------------------------------------------------------------------------------------- */

static bool load_library(struct device *d, struct err *e)
{
	d->library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!d->library)
		return err_set(e, ERR_DEVICE, "no OpenCL loader (Debian package 'ocl-icd-libopencl1'): %s", dlerror());
#define FIND(f)                                                                                                                    \
	if (!(*(void **)&d->f = dlsym(d->library, #f)))                                                                            \
		return err_set(e, ERR_DEVICE, "the OpenCL loader has no '%s'", #f);
	CL_API(FIND)
#undef FIND
	return true;
}

static const char *platform_text(struct device *d, cl_platform_id p, cl_platform_info what)
{
	char text[1024] = "";

	d->clGetPlatformInfo(p, what, sizeof text - 1, text, NULL);
	return arena_strdup(d->arena, text);
}

static const char *device_text(struct device *d, cl_device_id id, cl_device_info what)
{
	char *text = arena_zalloc(d->arena, 16384);

	d->clGetDeviceInfo(id, what, 16383, text, NULL);
	return text;
}

static uint64_t device_number(struct device *d, cl_device_id id, cl_device_info what)
{
	uint64_t v = 0; /* little endian: narrower answers fill the low bytes */

	d->clGetDeviceInfo(id, what, sizeof v, &v, NULL);
	return v;
}

static bool no_platform(struct device *d, cl_int code, struct err *e)
{
	size_t installed;
	const char *broken = cl_broken_drivers(d->arena, &installed);

	if (code && code != NO_PLATFORM)
		return cl_fail(e, "clGetPlatformIDs", code);
	if (*broken)
		return err_set(e, ERR_DEVICE, "no OpenCL driver (ICD) works: %s", broken);
	return err_set(e, ERR_DEVICE, "%s; Debian package 'pocl-opencl-icd' has one for processors",
		       installed ? "the OpenCL drivers (ICDs) that are installed find no hardware of theirs" : cl_code_name(NO_PLATFORM));
}

static const char *but_broken(struct device *d)
{
	const char *broken = cl_broken_drivers(d->arena, &(size_t){0});

	return *broken ? arena_printf(d->arena, "; %s", broken) : "";
}

static bool find_device(struct device *d, const char *select, struct err *e)
{
	cl_platform_id platform[16];
	cl_uint np = 0, nd;
	cl_int code = d->clGetPlatformIDs(16, platform, &np);
	struct str seen = {0};

	if (code || !np)
		return no_platform(d, code, e);
	for (unsigned p = 0; p < np && p < 16 && !d->id; p++) {
		cl_device_id id[16];

		if (d->clGetDeviceIDs(platform[p], CL_DEVICE_TYPE_ALL, 16, id, &nd))
			continue;
		for (unsigned i = 0; i < nd && i < 16 && !d->id; i++) {
			const char *name = arena_printf(d->arena, "%s/%s", platform_text(d, platform[p], CL_PLATFORM_NAME),
							device_text(d, id[i], CL_DEVICE_NAME));

			str_addf(&seen, "%s'%s'", seen.n ? ", " : "", name);
			if (device_is_selected(select, p, i, name))
				d->id = id[i];
		}
	}
	if (!d->id && !seen.n)
		err_set(e, ERR_DEVICE, "the OpenCL drivers have no device");
	else if (!d->id && *select == '!')
		err_set(e, ERR_DEVICE, "no OpenCL device beside %s%s", str_text(&seen), but_broken(d));
	else if (!d->id)
		err_set(e, ERR_DEVICE, "no OpenCL device is called '%s'; there is %s%s", select, str_text(&seen), but_broken(d));
	str_free(&seen);
	return d->id != NULL;
}

/* ---- opening ---------------------------------------------------------------------------------------------------------- */

static const char *build_options(struct device *d, const char *flags)
{
	bool divides = device_number(d, d->id, CL_DEVICE_SINGLE_FP_CONFIG) & CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT;

	return arena_printf(d->arena, "-cl-std=CL1.2 -w%s%s", divides ? " -cl-fp32-correctly-rounded-divide-sqrt" : "", flags);
}

/* The user's. */
static const char *flags_text(struct device *d, const struct device_options *o)
{
	struct str s = {0};
	const char *out;

	for (size_t i = 0; o->cflags && i < o->ncflags; i++)
		str_addf(&s, " %s", o->cflags[i]);
	out = arena_strdup(d->arena, str_text(&s));
	str_free(&s);
	return out;
}

static void describe(struct device *d, const char *flags)
{
	cl_platform_id platform = NULL;
	uint64_t type = device_number(d, d->id, CL_DEVICE_TYPE),
		 lanes = device_number(d, d->id, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT);
	/* Tests look at the accelerators' class on a processor. */
	bool cpu = type & CL_DEVICE_TYPE_CPU && !getenv("MUTATENN_SHARE_ON_CPU"), f64 = device_number(d, d->id, CL_DEVICE_DOUBLE_FP_CONFIG) != 0;
	const char *name = device_text(d, d->id, CL_DEVICE_NAME), *version, *maker, *driver = device_text(d, d->id, CL_DRIVER_VERSION);

	d->clGetDeviceInfo(d->id, CL_DEVICE_PLATFORM, sizeof platform, &platform, NULL);
	version = platform_text(d, platform, CL_PLATFORM_VERSION);
	maker = platform_text(d, platform, CL_PLATFORM_NAME);
	d->align = (size_t)device_number(d, d->id, CL_DEVICE_MEM_BASE_ADDR_ALIGN) / 8;
	d->align = d->align < 64 ? 64 : d->align > 4096 ? 4096 : d->align;
	d->caps = (struct device_caps){
	    .backend = "opencl",
	    .dialect = cpu ? "opencl-c-cpu" : "opencl-c",
	    .describe = arena_printf(d->arena, "%s, %s, driver %s%s%s", name, maker, driver, *flags ? "," : "", flags),
	    .identity = arena_printf(d->arena, "opencl%s %s | %s | %s | %s | %s", !cpu && type & CL_DEVICE_TYPE_CPU ? " as accelerator" : "", version, name, driver,
				     device_text(d, d->id, CL_DEVICE_VERSION), d->options),
	    .build = d->options,
	    .cls = cpu ? DEVICE_CPU : DEVICE_GPU,
	    .lanes = !cpu          ? 1
		     : lanes >= 16 ? 16
		     : lanes >= 8  ? 8
				   : 4,
	    .max_group = (uint32_t)device_number(d, d->id, CL_DEVICE_MAX_WORK_GROUP_SIZE),
	    .local_memory = device_number(d, d->id, CL_DEVICE_LOCAL_MEM_SIZE),
	    .memory = cpu ? 0 : device_number(d, d->id, CL_DEVICE_GLOBAL_MEM_SIZE),
	    .first_launch_s = 20, /* on a busy machine */
	    .types = DEVICE_ALL_TYPES & ~(f64 ? 0 : 1u << DT_F64),
	    .together = cl_runs_object() && !strcmp(maker, "Portable Computing Language") ? TOGETHER : 0,
	};
}

static void cl_close(struct device *d);

static bool cl_open(const struct device_options *o, struct device **out, struct err *e)
{
	struct arena *a = arena_new(NULL);
	struct device *d = ARENA_NEW(a, struct device);
	char number[16];
	cl_int code = 0;
	bool ok;

	d->arena = a;
	/* The environment is the only way to tell PoCL; others do not know the names. Kernels say how large their groups are: compiling
	 * them once more when they are first launched gains nothing, and belongs to builders. */
	setenv("POCL_WORK_GROUP_SPECIALIZATION", "0", 0);
	snprintf(number, sizeof number, "%d", o->threads);
	if (o->threads > 0)
		setenv("POCL_MAX_PTHREAD_COUNT", number, 1);
	ok = load_library(d, e) && find_device(d, o->select, e);
	if (ok) {
		const char *flags = flags_text(d, o);

		d->options = build_options(d, flags);
		describe(d, flags);
		d->context = d->clCreateContext(NULL, 1, &d->id, NULL, NULL, &code);
		ok = !code || cl_fail(e, "clCreateContext", code);
	}
	if (ok) {
		d->queue = d->clCreateCommandQueue(d->context, d->id, CL_QUEUE_PROFILING_ENABLE, &code);
		ok = !code || cl_fail(e, "clCreateCommandQueue", code);
	}
	ok = ok && cache_open(a, o->cache_dir, &d->cache, e);
	if (!ok) {
		err_in(e, "device '%s'", o->name ? o->name : "opencl");
		cl_close(d);
		return false;
	}
	*out = d;
	return true;
}

static const struct device_caps *cl_caps(const struct device *d)
{
	return &d->caps;
}

/* ---- memory ---------------------------------------------------------------------------------------------------------------- */

static void cl_memory_free(struct device *d, struct device_memory *m)
{
	if (!m)
		return;
	if (m->data)
		d->clReleaseMemObject(m->data);
	if (m->whole)
		d->clReleaseMemObject(m->whole);
	free(m);
}

static bool cl_memory_new(struct device *d, size_t bytes, size_t pad, struct device_memory **out, struct err *e)
{
	struct device_memory *m = calloc(1, sizeof *m);
	cl_buffer_region data = {.size = bytes ? bytes : 4};
	cl_int code = 0;

	if (!m)
		return err_set(e, ERR_IO, "out of memory");
	m->front = data.origin = (pad + d->align - 1) / d->align * d->align;
	m->whole = d->clCreateBuffer(d->context, CL_MEM_READ_WRITE, m->front + data.size + pad, NULL, &code);
	if (!code)
		m->data = d->clCreateSubBuffer(m->whole, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &data, &code);
	if (code) {
		cl_memory_free(d, m);
		return cl_fail(e, "allocating a tensor", code == CL_INVALID_BUFFER_SIZE ? CL_MEM_OBJECT_ALLOCATION_FAILURE : code);
	}
	*out = m;
	return true;
}

static bool cl_memory_fill(struct device *d, struct device_memory *m, int64_t at, size_t n, uint32_t pattern, struct err *e)
{
	cl_int code =
	    n ? d->clEnqueueFillBuffer(d->queue, m->whole, &pattern, sizeof pattern, m->front + (size_t)at, n, 0, NULL, NULL) : 0;

	return !code || cl_fail(e, "clEnqueueFillBuffer", code);
}

static bool cl_memory_write(struct device *d, struct device_memory *m, int64_t at, const void *from, size_t n, struct err *e)
{
	cl_int code = n ? d->clEnqueueWriteBuffer(d->queue, m->whole, CL_TRUE, m->front + (size_t)at, n, from, 0, NULL, NULL) : 0;

	return !code || cl_fail(e, "clEnqueueWriteBuffer", code);
}

static bool cl_memory_read(struct device *d, struct device_memory *m, int64_t at, void *to, size_t n, struct err *e)
{
	cl_int code = n ? d->clEnqueueReadBuffer(d->queue, m->whole, CL_TRUE, m->front + (size_t)at, n, to, 0, NULL, NULL) : 0;

	return !code || cl_fail(e, "clEnqueueReadBuffer", code);
}

/* ---- running ----------------------------------------------------------------------------------------------------------------- */

static bool cl_launch(struct device *d, const struct device_launch *l, struct err *e)
{
	size_t global = (size_t)l->groups * l->group, local = l->group;
	cl_event event;
	cl_int code;

	if (l->group > d->caps.max_group)
		return err_set(e, ERR_DEVICE, "a work-group of %u is over the device's limit of %u", l->group, d->caps.max_group);
	for (uint32_t i = 0; i < l->nargs; i++)
		if ((code = d->clSetKernelArg(l->kernel->kernel, i, sizeof l->arg[i]->data, &l->arg[i]->data)))
			return cl_fail(e, "clSetKernelArg", code);
	code = d->clEnqueueNDRangeKernel(d->queue, l->kernel->kernel, 1, NULL, &global, &local, 0, NULL, &event);
	if (code)
		return cl_fail(e, "clEnqueueNDRangeKernel", code);
	vec_push(d->arena, &d->events, event);
	return true;
}

static bool cl_finish(struct device *d, double *seconds, size_t n, struct err *e)
{
	cl_int code = d->clFinish(d->queue);
	bool ok = !code || cl_fail(e, "clFinish", code);

	for (size_t i = 0; i < d->events.n; i++) {
		cl_ulong start = 0, end = 0;

		if (ok && seconds && i < n) {
			code = d->clGetEventProfilingInfo(d->events.v[i], CL_PROFILING_COMMAND_START, sizeof start, &start, NULL);
			if (!code)
				code = d->clGetEventProfilingInfo(d->events.v[i], CL_PROFILING_COMMAND_END, sizeof end, &end, NULL);
			seconds[i] = end > start ? 1e-9 * (double)(end - start) : 0;
			ok = !code || cl_fail(e, "a launch", code);
		}
		d->clReleaseEvent(d->events.v[i]);
	}
	d->events.n = 0;
	return ok;
}

static void cl_close(struct device *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->events.n; i++)
		d->clReleaseEvent(d->events.v[i]);
	while (d->kernels)
		cl_unload(d, d->kernels);
	if (d->queue)
		d->clReleaseCommandQueue(d->queue);
	if (d->context)
		d->clReleaseContext(d->context);
	arena_free(d->arena); /* the library stays: drivers have threads and exit handlers in it */
}

const struct device_ops device_opencl = {
    .name = "opencl",
    .dialect = "opencl-c",
    .open = cl_open,
    .caps = cl_caps,
    .compile = cl_compile,
    .compile_together = cl_compile_together,
    .load = cl_load,
    .unload = cl_unload,
    .memory_new = cl_memory_new,
    .memory_free = cl_memory_free,
    .memory_fill = cl_memory_fill,
    .memory_write = cl_memory_write,
    .memory_read = cl_memory_read,
    .launch = cl_launch,
    .finish = cl_finish,
    .close = cl_close,
};
