/* conformance.c: ONNX's own backend tests through import, lowering, and the interpreter or generated C
 *
 * usage: conformance DATA_DIR [--c DEVICE] [--level N] [--class gpu] [--filter TEXT] [--verbose]      suite.h says what DATA_DIR holds
 * Every model is one of: passed, unsupported (an operator or type that is not ours), wrong. Exit status 0 when none is wrong and at
 * least 700 passed, 77 when the data are absent.
 *
 * In interpreter mode no kernel may have a race between iterations of its parallel loops, every access must be proved in range
 * (lir_bounds), and each model runs in a child of its own, so that a crash is a wrong result and not the end of the test.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "compile/compile.h"
#include "suite.h"
#include "worker/worker.h"

#define NEEDED 700

enum verdict { PASSED, UNSUPPORTED, WRONG, VERDICTS };

struct options {
	const char *data, *device, *filter;
	int level;
	bool verbose;
	struct pool *pool;
	int lanes;
	enum device_class cls;
};

/* ---- comparing ---- */

static bool close_enough(double got, double want, double relative)
{
	if (isnan(want) || isinf(want))
		return isnan(want) ? isnan(got) : got == want;
	return fabs(got - want) <= 1e-7 + relative * fabs(want);
}

static bool same(struct arena *a, const struct tensor *got, const struct tensor *want, struct str *why)
{
	double relative = 1e-3; /* as in ONNX's own runner */
	struct tensor bits = *want;
	int64_t n = tensor_elements(want);

	/* bfloat16 lies in these files as its bits, and cut off where the specification rounds to nearest: one unit apart */
	if (got->dtype == DT_BF16 && want->dtype == DT_U16) {
		bits.dtype = DT_BF16;
		relative = 0x1p-7;
		want = &bits;
	}

	if (got->dtype != want->dtype || got->nd != want->nd || memcmp(got->dim, want->dim, (size_t)got->nd * sizeof *got->dim)) {
		str_addf(why, "%s %s instead of %s %s", dtype_name(got->dtype), dims_text(a, got->dim, got->nd), dtype_name(want->dtype),
		         dims_text(a, want->dim, want->nd));
		return false;
	}
	for (int64_t i = 0; i < n; i++) {
		bool ok = dtype_is_float(want->dtype) ? close_enough(tensor_get_f64(got, i), tensor_get_f64(want, i), relative)
		                                      : tensor_get_i64(got, i) == tensor_get_i64(want, i);

		if (!ok) {
			str_addf(why, "element %lld of %lld is %.9g instead of %.9g", (long long)i, (long long)n, tensor_get_f64(got, i), tensor_get_f64(want, i));
			return false;
		}
	}
	return true;
}

/* ---- compiling ---- */

struct build {
	struct comp_options options;
	struct comp_program *program;
};

static bool build(struct arena *a, struct gir_graph *g, void *user, struct err *e)
{
	struct build *b = user;

	return comp_program(a, g, &b->options, &b->program, e);
}

static bool run_pool(struct arena *a, const struct options *o, struct comp_program *p, const struct tensor *const *in, struct tensor **out, struct err *e)
{
	struct pool_input input = {.name = "test", .tensor = in, .ntensors = p->ninputs};
	struct pool_job job = {.input = &input, .ninputs = 1, .time_limit_s = 60};
	struct bundle *bundle;
	struct pool_result r;
	bool got = false;

	if (!comp_bundle(a, p, "c", &bundle, e))
		return false;
	job.bundle = bundle;
	if (!pool_submit(o->pool, &job, e))
		return false;
	while (!got)
		if (!pool_wait(o->pool, a, -1, &got, &r, e))
			return false;
	if (r.status != POOL_DONE)
		return err_set(e, ERR_DEVICE, "%s%s%s", r.text, r.log ? "\n" : "", r.log ? r.log : "");
	for (uint32_t i = 0; i < p->noutputs; i++)
		out[i] = (struct tensor *)&r.image[0].output[i];
	return true;
}

/* Every access is proved to stay inside its buffer, whatever the data. */
static bool in_range(const struct comp_program *p, struct str *why)
{
	for (uint32_t k = 0; k < p->nkernels; k++) {
		struct lir_bounds b;

		lir_bounds(p->kernel[k].func, &b);
		if (b.kind == LIR_BOUNDS_IN_RANGE)
			continue;
		str_addf(why, "kernel '%s' is not proved to stay in its buffers: %s", p->kernel[k].func->name, b.text);
		return false;
	}
	return true;
}

static enum verdict check_set(struct arena *a, const struct options *o, const char *model, const char *dir, struct str *why)
{
	const char *winograd = "winograd";
	struct build b = {.options = {.opt_level = o->level, .enabled = &winograd, .nenabled = 1, .lanes = o->lanes, .cls = o->cls, .max_group = 256, .local_memory = 48 << 10}};
	struct tensor *out[SUITE_MAX_TENSORS];
	const struct tensor **in;
	struct err e = {0};
	struct suite_set s;
	bool ok;

	if (!suite_read_set(a, dir, &s, &e) || !suite_import(a, model, &s, build, &b, &e)) {
		enum verdict v = e.code == ERR_UNSUPPORTED ? UNSUPPORTED : WRONG;

		str_add(why, err_text(&e));
		err_free(&e);
		return v;
	}
	if (!suite_inputs(a, b.program, &s, &in) || b.program->noutputs > SUITE_MAX_TENSORS || (int)b.program->noutputs < s.nout) {
		str_add(why, "the data do not fit the graph");
		return WRONG;
	}
	if (!o->pool && !in_range(b.program, why))
		return WRONG;
	ok = o->pool ? run_pool(a, o, b.program, in, out, &e) : comp_interpret(a, b.program, in, out, &e);
	if (!ok)
		str_add(why, err_text(&e));
	for (int i = 0; ok && i < s.nout; i++)
		if (s.out[i])
			ok = same(a, out[i], s.out[i], why);
	err_free(&e);
	return ok ? PASSED : WRONG;
}

static enum verdict check_model(const struct options *o, const char *dir, const char *model, struct str *why)
{
	struct arena *a = arena_new(NULL);
	enum verdict v = suite_importable(a, model, why) ? PASSED : UNSUPPORTED;
	char *set;

	for (int i = 0; v == PASSED && i < 100 && (set = suite_set_dir(a, dir, i)); i++)
		v = check_set(a, o, model, set, why);
	arena_free(a);
	return v;
}

/* In a child: its verdict is the exit status, its reason comes through a pipe. */
static enum verdict check_forked(const struct options *o, const char *dir, const char *model, struct str *why)
{
	char buf[4096];
	int fd[2], status;
	ssize_t n;
	pid_t pid;

	fflush(stdout);
	if (pipe(fd) || (pid = fork()) < 0)
		abort();
	if (!pid) {
		enum verdict v;

		close(fd[0]);
		alarm(300);
		v = check_model(o, dir, model, why);
		if (write(fd[1], str_text(why), why->n) < 0)
			_exit(WRONG);
		_exit(v);
	}
	close(fd[1]);
	while ((n = read(fd[0], buf, sizeof buf)) > 0)
		str_addn(why, buf, (size_t)n);
	close(fd[0]);
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) < VERDICTS)
		return (enum verdict)WEXITSTATUS(status);
	str_addf(why, "died of signal %d", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	return WRONG;
}

/* ---- all of them ---- */

struct tally {
	const struct options *o;
	int count[VERDICTS];
	struct arena *a;
	struct map *reasons;              /* unsupported: reason -> how many */
};

static void one(const char *name, const char *dir, const char *model, void *user)
{
	struct tally *t = user;
	const struct options *o = t->o;
	struct str why = {0};
	enum verdict v;

	if (o->filter && !strstr(dir, o->filter))
		return;
	v = o->pool ? check_model(o, dir, model, &why) : check_forked(o, dir, model, &why);
	t->count[v]++;
	if (v == WRONG)
		printf("WRONG %s: %s\n", name, str_text(&why));
	else if (o->verbose)
		printf("%s %s %s\n", v == PASSED ? "passed" : "unsupported", name, str_text(&why));
	if (v == UNSUPPORTED) {
		char *r = suite_reason(t->a, str_text(&why));

		map_put(t->reasons, r, (void *)((uintptr_t)map_get(t->reasons, r) + 1));
	}
	str_free(&why);
}

static void summarise(const struct tally *t)
{
	const char *name;
	size_t it = 0;
	void *n;

	printf("unsupported:");
	while (map_next(t->reasons, &it, &name, &n))
		printf(" %s (%zu)", name, (size_t)(uintptr_t)n);
	printf("\npassed %d, unsupported %d, wrong %d\n", t->count[PASSED], t->count[UNSUPPORTED], t->count[WRONG]);
}

static bool open_pool(struct options *o)
{
	struct pool_device d = {.name = o->device, .backend = "cpu", .cc = !strcmp(o->device, "host-clang") ? "clang" : "gcc"};
	struct err e = {0};

	if (pool_open(&d, 1, &o->pool, &e) && !pool_device_error(o->pool, 0)) {
		o->lanes = pool_caps(o->pool, 0)->lanes;
		return true;
	}
	printf("device '%s' cannot be used: %s\n", o->device, o->pool ? pool_device_error(o->pool, 0) : err_text(&e));
	err_free(&e);
	return false;
}

int main(int argc, char **argv)
{
	struct options o = {.lanes = 16};
	struct tally t = {.o = &o, .a = arena_new(NULL)};
	bool ok;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--c") && i + 1 < argc)
			o.device = argv[++i];
		else if (!strcmp(argv[i], "--level") && i + 1 < argc)
			o.level = atoi(argv[++i]);
		else if (!strcmp(argv[i], "--class") && i + 1 < argc)
			o.cls = strcmp(argv[++i], "gpu") ? DEVICE_CPU : DEVICE_GPU;
		else if (!strcmp(argv[i], "--filter") && i + 1 < argc)
			o.filter = argv[++i];
		else if (!strcmp(argv[i], "--verbose"))
			o.verbose = true;
		else
			o.data = argv[i];
	}
	if (o.cls == DEVICE_GPU)
		o.lanes = 1; /* its dialects have scalars only */
	if (!o.data || !file_is_dir(o.data)) {
		printf("skipped: '%s' is absent (Debian: libonnx-testdata)\n", o.data ? o.data : "");
		return 77;
	}
	if (o.device && !open_pool(&o))
		return 1;
	t.reasons = map_new(t.a);
	suite_each(t.a, o.data, one, &t);
	summarise(&t);
	ok = !t.count[WRONG] && (o.filter || t.count[PASSED] >= NEEDED);
	if (o.pool)
		pool_close(o.pool);
	arena_free(t.a);
	return !ok;
}
