/* device_cuda_compile.c: CUDA C to machine code, or to PTX, by NVRTC in this process
 *
 * The defaults are IEEE's: nothing is contracted, denormals are kept, division and square root are rounded correctly. A user's
 * option takes the place of the default of its name.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "device/device_cuda_api.h"
#include "device/device_internal.h"

#define MAX_LOG ((size_t)64 << 10)
#define MAX_BINARY ((size_t)256 << 20)
#define MAX_ARCHS 64

/* ---- options ---------------------------------------------------------------------------------------------------------- */

/* Whether an option is "--NAME", "-NAME" or one of these with "=..." behind it. */
static bool is_option(const char *option, const char *name)
{
	size_t n = strlen(name);

	option += strspn(option, "-");
	return !strncmp(option, name, n) && (!option[n] || option[n] == '=');
}

static const char *given(const struct device_options *o, const char *name, const char *other)
{
	for (size_t i = 0; o->cflags && i < o->ncflags; i++)
		if (is_option(o->cflags[i], name) || (other && is_option(o->cflags[i], other)))
			return o->cflags[i];
	return NULL;
}

/* Machine code where the compiler knows the device; PTX of the newest architecture that the device has too, where not. */
static bool choose_arch(struct arena *a, struct cuda_compiler *c, int capability, struct err *e)
{
	int n = 0, arch[MAX_ARCHS], best = 0;

	if (c->api.nvrtcGetNumSupportedArchs(&n) || n <= 0 || n > MAX_ARCHS || c->api.nvrtcGetSupportedArchs(arch))
		return err_set(e, ERR_DEVICE, "NVRTC %s does not say which devices it compiles for", c->version);
	for (int i = 0; i < n; i++)
		if (arch[i] <= capability && arch[i] > best)
			best = arch[i];
	if (!best)
		return err_set(
		    e, ERR_DEVICE,
		    "NVRTC %s compiles for compute capability %d.%d and newer, the device has %d.%d: an older CUDA toolkit "
		    "is needed",
		    c->version, arch[0] / 10, arch[0] % 10, capability / 10, capability % 10);
	c->arch = arena_printf(a, "%s_%d", best == capability ? "sm" : "compute", best);
	return true;
}

static bool set_arch(struct arena *a, const struct device_options *o, struct cuda_compiler *c, int capability, struct err *e)
{
	const char *arch = given(o, "arch", "gpu-architecture");

	if (arch && strchr(arch, '='))
		c->arch = arena_strdup(a, strchr(arch, '=') + 1);
	else if (arch)
		return err_set(e, ERR_DEVICE, "option '%s' has no value: write -arch=sm_90", arch);
	else if (capability)
		return choose_arch(a, c, capability, e);
	else
		return err_set(e, ERR_DEVICE, "no CUDA device here to compile for, and no option says which: -arch=sm_90");
	return true;
}

static void set_options(struct arena *a, const struct device_options *o, struct cuda_compiler *c)
{
	static const struct {
		const char *name, *other, *value;
	} defaults[] = {
	    {"ftz", NULL, "--ftz=false"},
	    {"prec-div", NULL, "--prec-div=true"},
	    {"prec-sqrt", NULL, "--prec-sqrt=true"},
	};
	bool fast = given(o, "use_fast_math", NULL);
	struct str all = {0};

	c->option = ARENA_ARRAY(a, const char *, o->ncflags + 8);
	c->option[c->noptions++] = arena_printf(a, "--gpu-architecture=%s", c->arch);
	c->option[c->noptions++] = "--device-as-default-execution-space";
	c->option[c->noptions++] = "--disable-warnings";
	if (!given(o, "std", NULL))
		c->option[c->noptions++] = "--std=c++17";
	for (size_t i = 0; !fast && i < sizeof defaults / sizeof *defaults; i++)
		if (!given(o, defaults[i].name, NULL))
			c->option[c->noptions++] = !i && o->flush_denormals ? "--ftz=true" : defaults[i].value;
	for (size_t i = 0; o->cflags && i < o->ncflags; i++)
		if (!is_option(o->cflags[i], "arch") && !is_option(o->cflags[i], "gpu-architecture"))
			c->option[c->noptions++] = arena_strdup(a, o->cflags[i]);
	c->own_contract = fast || given(o, "fmad", NULL);
	for (int i = 0; i < c->noptions; i++)
		str_addf(&all, "%s%s", i ? " " : "", c->option[i]);
	c->text = arena_strdup(a, str_text(&all));
	str_free(&all);
}

bool cuda_compiler_open(struct arena *a, const struct device_options *o, int capability, int driver, struct cuda_compiler *out,
			struct err *e)
{
	int major, minor;

	*out = (struct cuda_compiler){.timeout_s = o->compile_timeout_s > 0 ? o->compile_timeout_s : 60};
	if (!cuda_load_nvrtc(driver / 1000, &out->api, e))
		return false;
	if (out->api.nvrtcVersion(&major, &minor))
		return err_set(e, ERR_DEVICE, "NVRTC does not say its version");
	out->version = arena_printf(a, "%d.%d", major, minor);
	if (!set_arch(a, o, out, capability, e))
		return false;
	set_options(a, o, out);
	return true;
}

/* ---- one kernel --------------------------------------------------------------------------------------------------------- */

struct deadline {
	struct timespec end;
	bool passed;
};

static int ask_deadline(void *user, void *unused)
{
	struct deadline *d = user;
	struct timespec now;

	(void)unused;
	clock_gettime(CLOCK_MONOTONIC, &now);
	d->passed = now.tv_sec > d->end.tv_sec || (now.tv_sec == d->end.tv_sec && now.tv_nsec > d->end.tv_nsec);
	return d->passed;
}

static char *log_of(const struct cuda_nvrtc *api, struct arena *a, nvrtcProgram p)
{
	size_t n = 0;
	char *text;

	if (api->nvrtcGetProgramLogSize(p, &n) || !n || n > MAX_BINARY)
		return arena_strdup(a, "");
	text = arena_zalloc(a, n + 1);
	if (api->nvrtcGetProgramLog(p, text))
		*text = 0;
	if (n > MAX_LOG)
		text[MAX_LOG] = 0;
	return text;
}

static bool take(const struct cuda_compiler *c, struct arena *a, nvrtcProgram p, struct artefact *out, struct err *e)
{
	bool machine = !strncmp(c->arch, "sm_", 3);
	nvrtcResult code = machine ? c->api.nvrtcGetCUBINSize(p, &out->size) : c->api.nvrtcGetPTXSize(p, &out->size);

	if (code || !out->size || out->size > MAX_BINARY)
		return err_set(e, ERR_DEVICE, "NVRTC gives a kernel of %zu bytes", code ? 0 : out->size);
	out->data = arena_zalloc(a, out->size);
	code = machine ? c->api.nvrtcGetCUBIN(p, (char *)out->data) : c->api.nvrtcGetPTX(p, (char *)out->data);
	if (code)
		return err_set(e, ERR_DEVICE, "NVRTC: %s", c->api.nvrtcGetErrorString(code));
	out->code = hash_bytes(out->data, out->size);
	return true;
}

static bool build(const struct cuda_compiler *c, struct arena *a, nvrtcProgram p, bool contract, struct artefact *out,
		  struct err *e)
{
	struct deadline limit = {0};
	const char **option = arena_memdup(a, c->option, (size_t)(c->noptions + 1) * sizeof *option);
	int n = c->noptions;
	nvrtcResult code;

	if (!c->own_contract)
		option[n++] = contract ? "--fmad=true" : "--fmad=false";
	clock_gettime(CLOCK_MONOTONIC, &limit.end);
	limit.end.tv_sec += (time_t)c->timeout_s;
	limit.end.tv_nsec += (long)((c->timeout_s - (double)(time_t)c->timeout_s) * 1e9);
	if (limit.end.tv_nsec >= 1000000000)
		limit.end.tv_sec++, limit.end.tv_nsec -= 1000000000;
	if (c->api.nvrtcSetFlowCallback)
		c->api.nvrtcSetFlowCallback(p, ask_deadline, &limit);
	code = c->api.nvrtcCompileProgram(p, n, option);
	out->log = log_of(&c->api, a, p);
	if (limit.passed)
		return err_set(e, ERR_TIMEOUT, "NVRTC took longer than %g s", c->timeout_s);
	if (code)
		return err_set(e, ERR_DEVICE, "NVRTC refused the kernel: %s%s%.200s", c->api.nvrtcGetErrorString(code),
			       *out->log ? ": " : "", out->log);
	return take(c, a, p, out, e);
}

bool cuda_compile(const struct cuda_compiler *c, struct arena *a, const char *source, bool contract, struct artefact *out,
		  struct err *e)
{
	nvrtcProgram p = NULL;
	nvrtcResult code = c->api.nvrtcCreateProgram(&p, source, "kernel.cu", 0, NULL, NULL);
	bool ok;

	if (code)
		return err_set(e, ERR_DEVICE, "nvrtcCreateProgram: %s", c->api.nvrtcGetErrorString(code));
	ok = build(c, a, p, contract, out, e);
	c->api.nvrtcDestroyProgram(&p);
	return ok;
}
