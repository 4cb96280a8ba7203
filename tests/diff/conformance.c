/* conformance.c: ONNX's own backend tests through import, lowering, and the interpreter or generated C
 *
 * usage: conformance DATA_DIR [--c DEVICE] [--level N] [--filter TEXT] [--verbose]
 * DATA_DIR holds node/, simple/, pytorch-operator/, pytorch-converted/, each with one folder per test (Debian: libonnx-testdata).
 * Every model is one of: passed, unsupported (an operator or type that is not ours), wrong. Exit status 0 when none is wrong and at
 * least 700 passed, 77 when the data are absent.
 *
 * A graph input that decides a shape is bound from its data as a constant. In interpreter mode each model runs in a child of its
 * own, so that a crash is a wrong result and not the end of the test.
 */
#include <dirent.h>
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
#include "onnx/onnx.h"
#include "worker/worker.h"

#define NEEDED 700
#define MAX_TENSORS 64

enum verdict { PASSED, UNSUPPORTED, WRONG, VERDICTS };

struct options {
	const char *data, *device, *filter;
	int level;
	bool verbose;
	struct pool *pool;
	int lanes;
};

struct set { /* one test_data_set_N */
	struct tensor *in[MAX_TENSORS], *out[MAX_TENSORS];
	const char *name[MAX_TENSORS];
	int nin, nout;
};

/* ---- reading ---- */

static bool read_set(struct arena *a, const char *dir, struct set *s, struct err *e)
{
	*s = (struct set){0};
	for (; s->nin < MAX_TENSORS; s->nin++) {
		char *path = arena_printf(a, "%s/input_%d.pb", dir, s->nin);

		if (!file_exists(path))
			break;
		if (!onnx_tensor_read(a, path, &s->in[s->nin], &s->name[s->nin], e))
			return false;
	}
	for (; s->nout < MAX_TENSORS; s->nout++) {
		char *path = arena_printf(a, "%s/output_%d.pb", dir, s->nout);

		if (!file_exists(path))
			break;
		if (!onnx_tensor_read(a, path, &s->out[s->nout], NULL, e))
			return false;
	}
	return true;
}

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

/* Which inputs become constants: none; those that are no floats or are lists; all but the first; all. */
static size_t bind(struct arena *a, const struct set *s, int attempt, struct onnx_bind **out)
{
	size_t n = 0;

	*out = ARENA_ARRAY(a, struct onnx_bind, (size_t)s->nin + 1);
	for (int i = 0; i < s->nin; i++) {
		bool take = attempt == 3 || (attempt == 2 && i > 0) ||
		            (attempt == 1 && (!dtype_is_float(s->in[i]->dtype) || (s->in[i]->nd <= 1 && i > 0)));

		if (take)
			(*out)[n++] = (struct onnx_bind){s->name[i], s->in[i]};
	}
	return n;
}

static bool compile(struct arena *a, const struct options *o, const char *model, const struct set *s, struct comp_program **out, struct err *e)
{
	struct comp_options co = {.opt_level = o->level, .lanes = o->lanes};
	struct err first = {0};

	for (int attempt = 0; attempt < 4; attempt++) {
		struct onnx_options oo = {0};
		struct onnx_bind *list;
		struct gir_graph *g;

		oo.nbind = bind(a, s, attempt, &list);
		oo.bind = list;
		err_free(e);
		if (onnx_import(a, model, &oo, &g, e) && comp_program(a, g, &co, out, e)) {
			err_free(&first);
			return true;
		}
		if (!attempt)
			err_set(&first, e->code, "%s", err_text(e));
		if (!strstr(err_text(e), "constant") && !strstr(err_text(e), "is not a number") && !strstr(err_text(e), "has no shape"))
			break; /* binding inputs would not help */
	}
	err_set(e, first.code, "%s", err_text(&first)); /* what is wrong with the model as it is */
	err_free(&first);
	return false;
}

/*
 * The suite's makers wrote bfloat16 data as uint16, and the CastLike cases' second input, of which only the type
 * matters, as a single element where the model declares 3x4: the model's word counts.
 */
static const struct tensor *as_declared(struct arena *a, const struct tensor *t, const struct comp_buffer *b)
{
	struct tensor *n = arena_memdup(a, t, sizeof *t);
	struct tensor *all;

	if (n->dtype == DT_U16 && b->dtype == DT_BF16)
		n->dtype = DT_BF16;
	if (tensor_elements(n) != 1 || n->dtype != b->dtype)
		return n;
	all = tensor_new(a, b->dtype, b->nd, b->dim);
	for (int64_t i = 0; i < tensor_elements(all); i++)
		memcpy((char *)all->data + i * (int64_t)dtype_size(b->dtype), n->data, dtype_size(b->dtype));
	return all;
}

/* The program's inputs in its own order, from the set by name, else by position. */
static bool inputs_of(struct arena *a, const struct comp_program *p, const struct set *s, const struct tensor ***out)
{
	*out = ARENA_ARRAY(a, const struct tensor *, p->ninputs + 1);
	for (uint32_t i = 0; i < p->ninputs; i++) {
		for (int k = 0; k < s->nin && !(*out)[i]; k++)
			if (!strcmp(s->name[k], p->buffer[p->input[i]].name))
				(*out)[i] = s->in[k];
		if (!(*out)[i] && (int)i < s->nin)
			(*out)[i] = s->in[i];
		if (!(*out)[i])
			return false;
		(*out)[i] = as_declared(a, (*out)[i], &p->buffer[p->input[i]]);
	}
	return true;
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

static enum verdict check_set(struct arena *a, const struct options *o, const char *model, const char *dir, struct str *why)
{
	struct tensor *out[MAX_TENSORS];
	const struct tensor **in;
	struct comp_program *p;
	struct err e = {0};
	struct set s;
	bool ok;

	if (!read_set(a, dir, &s, &e) || !compile(a, o, model, &s, &p, &e)) {
		enum verdict v = e.code == ERR_UNSUPPORTED ? UNSUPPORTED : WRONG;

		str_add(why, err_text(&e));
		err_free(&e);
		return v;
	}
	if (!inputs_of(a, p, &s, &in) || p->noutputs > MAX_TENSORS || (int)p->noutputs < s.nout) {
		str_add(why, "the data do not fit the graph");
		return WRONG;
	}
	ok = o->pool ? run_pool(a, o, p, in, out, &e) : comp_interpret(a, p, in, out, &e);
	if (!ok)
		str_add(why, err_text(&e));
	for (int i = 0; ok && i < s.nout; i++)
		if (s.out[i])
			ok = same(a, out[i], s.out[i], why);
	err_free(&e);
	return ok ? PASSED : WRONG;
}

/* Models of sequences, strings and control flow say so themselves; their data cannot be read as tensors. */
static bool importable(struct arena *a, const char *model, struct str *why)
{
	static const char *const others[] = {"is not a tensor", "is of type", "not supported: node"};
	struct gir_graph *g;
	struct err e = {0};
	bool ok = onnx_import(a, model, NULL, &g, &e);

	for (size_t i = 0; !ok && i < sizeof others / sizeof *others; i++)
		if (strstr(err_text(&e), others[i]))
			str_add(why, err_text(&e));
	err_free(&e);
	return !why->n;
}

static enum verdict check_model(const struct options *o, const char *dir, struct str *why)
{
	struct arena *a = arena_new(NULL);
	char *model = file_join(a, dir, "model.onnx");
	enum verdict v = importable(a, model, why) ? PASSED : UNSUPPORTED;

	for (int i = 0; v == PASSED && i < 100; i++) {
		char *set = arena_printf(a, "%s/test_data_set_%d", dir, i);

		if (!file_is_dir(set))
			break;
		v = check_set(a, o, model, set, why);
	}
	arena_free(a);
	return v;
}

/* In a child: its verdict is the exit status, its reason comes through a pipe. */
static enum verdict check_forked(const struct options *o, const char *dir, struct str *why)
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
		v = check_model(o, dir, why);
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

static int by_name(const struct dirent **x, const struct dirent **y)
{
	return strcmp((*x)->d_name, (*y)->d_name);
}

struct tally {
	int count[VERDICTS];
	struct arena *a;
	struct map *reasons;              /* unsupported: reason -> how many */
};

/* "1 node is not supported: node 3 'x': If (opset 13): the operator ..." to "If" */
static char *reason(struct arena *a, const char *why)
{
	const char *p = strstr(why, "': "), *end;

	if (p && strstr(why, "supported: node")) {
		end = strstr(p + 3, " (opset");
		return arena_strndup(a, p + 3, end ? (size_t)(end - p - 3) : strlen(p + 3));
	}
	p = strrchr(why, ':');
	return arena_strdup(a, p ? p + 2 : why);
}

static void one(const struct options *o, const char *group, const char *name, struct tally *t)
{
	char *dir = arena_printf(t->a, "%s/%s/%s", o->data, group, name), *model = file_join(t->a, dir, "model.onnx");
	struct str why = {0};
	enum verdict v;

	if (!file_exists(model) || (o->filter && !strstr(dir, o->filter)))
		return;
	v = o->pool ? check_model(o, dir, &why) : check_forked(o, dir, &why);
	t->count[v]++;
	if (v == WRONG)
		printf("WRONG %s/%s: %s\n", group, name, str_text(&why));
	else if (o->verbose)
		printf("%s %s/%s %s\n", v == PASSED ? "passed" : "unsupported", group, name, str_text(&why));
	if (v == UNSUPPORTED) {
		char *r = reason(t->a, str_text(&why));

		map_put(t->reasons, r, (void *)((uintptr_t)map_get(t->reasons, r) + 1));
	}
	str_free(&why);
}

static void all(const struct options *o, struct tally *t)
{
	static const char *const groups[] = {"node", "simple", "pytorch-operator", "pytorch-converted"};

	for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
		char *dir = file_join(t->a, o->data, groups[g]);
		struct dirent **list;
		int n = scandir(dir, &list, NULL, by_name);

		for (int i = 0; i < n; i++) {
			if (list[i]->d_name[0] != '.')
				one(o, groups[g], list[i]->d_name, t);
			free(list[i]);
		}
		if (n >= 0)
			free(list);
	}
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
	struct tally t = {.a = arena_new(NULL)};
	bool ok;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--c") && i + 1 < argc)
			o.device = argv[++i];
		else if (!strcmp(argv[i], "--level") && i + 1 < argc)
			o.level = atoi(argv[++i]);
		else if (!strcmp(argv[i], "--filter") && i + 1 < argc)
			o.filter = argv[++i];
		else if (!strcmp(argv[i], "--verbose"))
			o.verbose = true;
		else
			o.data = argv[i];
	}
	if (!o.data || !file_is_dir(o.data)) {
		printf("skipped: '%s' is absent (Debian: libonnx-testdata)\n", o.data ? o.data : "");
		return 77;
	}
	if (o.device && !open_pool(&o))
		return 1;
	t.reasons = map_new(t.a);
	all(&o, &t);
	summarise(&t);
	ok = !t.count[WRONG] && (o.filter || t.count[PASSED] >= NEEDED);
	if (o.pool)
		pool_close(o.pool);
	arena_free(t.a);
	return !ok;
}
