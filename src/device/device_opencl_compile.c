/* device_opencl_compile.c: from text to a binary, of one kernel or of several in one program, and from a binary to a kernel */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "device/device_opencl.h"

#define MAX_LOG ((size_t)64 << 10)
#define MAX_BINARY ((size_t)256 << 20)

/* ---- one kernel ---------------------------------------------------------------------------------------------------------- */

static char *build_log(struct device *d, struct arena *a, cl_program p)
{
	size_t n = 0;
	char *text;

	if (d->clGetProgramBuildInfo(p, d->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &n) || !n)
		return arena_strdup(a, "");
	text = arena_zalloc(a, n + 1);
	d->clGetProgramBuildInfo(p, d->id, CL_PROGRAM_BUILD_LOG, n, text, NULL);
	if (n > MAX_LOG)
		text[MAX_LOG] = 0;
	return text;
}

static bool binary(struct device *d, struct arena *a, cl_program p, struct artefact *out, struct err *e)
{
	size_t n = 0;
	cl_int code = d->clGetProgramInfo(p, CL_PROGRAM_BINARY_SIZES, sizeof n, &n, NULL);

	if (code || !n || n > MAX_BINARY)
		return code ? cl_fail(e, "clGetProgramInfo", code)
			    : err_set(e, ERR_DEVICE, "the driver gives a program of %zu bytes", n);
	out->data = arena_zalloc(a, n);
	out->size = n;
	code = d->clGetProgramInfo(p, CL_PROGRAM_BINARIES, sizeof out->data, &out->data, NULL);
	return !code || cl_fail(e, "clGetProgramInfo", code);
}

static bool build(struct device *d, struct arena *a, const char *source, struct artefact *out, struct err *e)
{
	cl_int code;
	cl_program p = d->clCreateProgramWithSource(d->context, 1, &source, NULL, &code);
	bool ok;

	if (code)
		return cl_fail(e, "clCreateProgramWithSource", code);
	code = d->clBuildProgram(p, 1, &d->id, d->options, NULL, NULL);
	out->log = build_log(d, a, p);
	if (code)
		ok = err_set(e, ERR_DEVICE, "the driver refused the kernel: %s (%d)%s%.200s", cl_code_name(code), code,
			     *out->log ? ": " : "", out->log);
	else
		ok = binary(d, a, p, out, e);
	d->clReleaseProgram(p);
	return ok;
}

/* PoCL's binary holds, beside bitcode with the name of a temporary file, the object that is run, as long as kernels are not compiled
 * once more for the size of their groups. */
bool cl_runs_object(void)
{
	const char *specialise = getenv("POCL_WORK_GROUP_SPECIALIZATION");

	return specialise && !strcmp(specialise, "0");
}

/* A binary has names, versions and times in it, so the text and whatever turns it into a binary say what it does ... */
static struct hash key_of(const struct device *d, const char *source)
{
	struct hasher *h = hasher_new();

	hash_put_text(h, d->caps.identity);
	hash_put_text(h, source);
	return hasher_end(h);
}

/* ... but where the object that is run is known, it is the code. */
static bool object_of(const struct device *d, const struct artefact *art, struct hash *out)
{
	struct hash object;
	struct hasher *h;

	if (!cl_runs_object() || !pocl_object(art->data, art->size, &object))
		return false;
	h = hasher_new();
	hash_put_text(h, d->caps.identity);
	hash_put_hash(h, object);
	*out = hasher_end(h);
	return true;
}

static bool from_cache(struct device *d, struct arena *a, const char *source, struct artefact *out)
{
	struct hash key = key_of(d, source);

	*out = (struct artefact){.log = arena_strdup(a, "")};
	out->cached = cache_get(a, &d->cache, key, &out->data, &out->size);
	if (out->cached && !object_of(d, out, &out->code))
		out->code = key;
	return out->cached;
}

bool cl_compile(struct device *d, struct arena *a, const char *source, bool contract, struct artefact *out, struct err *e)
{
	struct hash key = key_of(d, source);

	(void)contract; /* the text says fma where it means it */
	if (from_cache(d, a, source, out))
		return true;
	if (!build(d, a, source, out, e))
		return false;
	cache_put(&d->cache, key, out->data, out->size);
	if (!object_of(d, out, &out->code))
		out->code = key;
	return true;
}

bool cl_load(struct device *d, const struct artefact *art, struct kernel **out, struct err *e)
{
	struct kernel k = {.next = d->kernels};
	const unsigned char *data = art->data;
	cl_int code, status = 0;

	k.program = d->clCreateProgramWithBinary(d->context, 1, &d->id, &art->size, &data, &status, &code);
	if (code)
		return cl_fail(e, "clCreateProgramWithBinary", code);
	if ((code = status) || (code = d->clBuildProgram(k.program, 1, &d->id, d->options, NULL, NULL))) {
		d->clReleaseProgram(k.program);
		return cl_fail(e, "loading a kernel", code);
	}
	/* the only one, whatever it is called */
	if ((code = d->clCreateKernelsInProgram(k.program, 1, &k.kernel, NULL))) {
		d->clReleaseProgram(k.program);
		return cl_fail(e, "clCreateKernelsInProgram", code);
	}
	*out = d->kernels = arena_memdup(d->arena, &k, sizeof k);
	return true;
}

void cl_unload(struct device *d, struct kernel *k)
{
	struct kernel **at = &d->kernels;

	while (*at && *at != k)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = k->next;
	d->clReleaseKernel(k->kernel);
	d->clReleaseProgram(k->program);
}

/* ---- compiling several ----------------------------------------------------------------------------------------------------- */

/* One program of those texts that have no artefact yet. False: nothing is changed. */
static bool build_together(struct device *d, struct arena *a, const char *const *source, const size_t *which, size_t n, struct artefact *out)
{
	const char **text = ARENA_ARRAY(a, const char *, n), *whole;
	struct artefact all = {0}, *part = ARENA_ARRAY(a, struct artefact, n);
	struct err why = {0};
	bool ok;

	for (size_t i = 0; i < n; i++)
		text[i] = source[which[i]];
	ok = (whole = together_text(a, text, n)) && build(d, a, whole, &all, &why);
	for (size_t i = 0; ok && i < n; i++) {
		part[i].log = arena_strdup(a, all.log);
		ok = pocl_cut(a, all.data, all.size, together_name(a, i), &part[i].data, &part[i].size) && object_of(d, &part[i], &part[i].code);
	}
	for (size_t i = 0; ok && i < n; i++)
		out[which[i]] = part[i];
	err_free(&why);
	return ok;
}

/* It is the same when it is built alone, and the driver takes it. */
static bool is_as_alone(struct device *d, struct arena *a, const char *source, const struct artefact *art)
{
	struct artefact alone = {0};
	struct kernel *k = NULL;
	struct err why = {0};
	struct hash code;
	bool ok = build(d, a, source, &alone, &why) && object_of(d, &alone, &code) && hash_eq(code, art->code) && cl_load(d, art, &k, &why);

	if (k)
		cl_unload(d, k);
	err_free(&why);
	return ok;
}

/* The control: the longest of the first program's kernels is built alone, too, and of the second's, the fourth's, the eighth's ... */
static bool controlled(struct device *d, struct arena *a, const char *const *source, const size_t *which, size_t n, const struct artefact *out)
{
	size_t longest = which[0];

	d->programs++;
	if (d->programs & (d->programs - 1))
		return true;
	for (size_t i = 1; i < n; i++)
		if (strlen(source[which[i]]) > strlen(source[longest]))
			longest = which[i];
	if (is_as_alone(d, a, source[longest], &out[longest]))
		return true;
	d->caps.together = 0;
	d->caps.apart = "a kernel that is built in one program with others could not be shown to have the code that it has alone";
	return false;
}

void cl_compile_together(struct device *d, struct arena *a, const char *const *source, size_t n, struct artefact *out)
{
	size_t *which = ARENA_ARRAY(a, size_t, n), left = 0;

	for (size_t i = 0; i < n; i++)
		if (!from_cache(d, a, source[i], &out[i]))
			which[left++] = i;
	if (left < 2 || !d->caps.together || !build_together(d, a, source, which, left, out))
		return;
	if (!controlled(d, a, source, which, left, out)) {
		for (size_t i = 0; i < left; i++)
			out[which[i]].data = NULL;
		return;
	}
	for (size_t i = 0; i < left; i++)
		cache_put(&d->cache, key_of(d, source[which[i]]), out[which[i]].data, out[which[i]].size);
}
