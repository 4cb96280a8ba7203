/* checks.c: whole programs with checks in every kernel
 *
 * usage: checks MODEL --device NAME [--level N]...
 *
 * The unmutated program of the model, every kernel instrumented, on the device: nothing is reported, every output has the bits that
 * it has without checks, and `code` is that of the program without. Then a kernel that leaves its buffers, one that reads what
 * nobody wrote and one that would loop too long, by hand: each is reported with what the interpreter faults at. Exit status 77: the
 * device cannot be used.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "campaign/campaign_internal.h"

static const unsigned all = LIR_CHECK_BOUNDS | LIR_CHECK_INIT | LIR_CHECK_TRIPS;

struct test {
	struct arena *a;
	struct pool *pool;
	struct camp_model *model;
	struct camp_program p;
	struct tensor input;
	int wrong;
};

static void fail(const char *what, const char *why)
{
	printf("%s: %s\n", what, why);
	exit(1);
}

static void run(struct test *t, struct comp_program *p, struct pool_result *r, uint32_t *nreports)
{
	const struct tensor *in[1] = {&t->input};
	struct pool_input input = {.name = "x", .tensor = in, .ntensors = 1};
	struct pool_job job = {.input = &input, .ninputs = 1, .time_limit_s = 300};
	struct bundle *b;
	struct err e = {0};
	bool got = false;

	if (!comp_bundle(t->a, p, t->p.dialect, &b, &e))
		fail("bundle", err_text(&e));
	job.bundle = b;
	*nreports = b->nreports;
	if (!pool_submit(t->pool, &job, &e))
		fail("submit", err_text(&e));
	while (!got)
		if (!pool_wait(t->pool, t->a, -1, &got, r, &e))
			fail("wait", err_text(&e));
	if (r->status != POOL_DONE)
		fail(r->text, r->log ? r->log : "");
}

static struct comp_program *copy(struct test *t)
{
	struct lir_func **none = ARENA_ARRAY(t->a, struct lir_func *, t->p.program->nkernels);

	return comp_replace(t->a, t->p.program, none);
}

static void unmutated(struct test *t, int level)
{
	struct comp_program *p = copy(t);
	struct pool_result plain, checked;
	struct camp_finding found;
	uint32_t reports, none;
	bool same;

	for (uint32_t k = 0; k < p->nkernels; k++) {
		struct lir_instrumented *r = ARENA_NEW(t->a, struct lir_instrumented);
		struct err e = {0};

		if (!lir_instrument(t->a, p->kernel[k].func, p->kernel[k].func, all, r, &e))
			fail("instrument", err_text(&e));
		p->kernel[k].checks = r->func ? r : NULL;
	}
	run(t, t->p.program, &plain, &none);
	run(t, p, &checked, &reports);
	camp_finding(p, checked.image[0].output, &found);
	same = !none && !memcmp(plain.image[0].output->data, checked.image[0].output->data, tensor_bytes(plain.image[0].output));
	printf("level %d: %u of %u kernels have checks; %s; %s bits; %s code\n", level, reports, p->nkernels,
	       found.kernel ? found.text : "nothing is reported", same ? "the same" : "OTHER",
	       hash_eq(plain.code, checked.code) ? "the same" : "ANOTHER");
	t->wrong += found.kernel || !same || !reports || !hash_eq(plain.code, checked.code);
}

/* The demo's last kernel, by hand. */
#define DENSE(ALLOC, EXTENT, INDEX)                                                                                                \
	"func dense(in0: f32[1, 64], in1: f32[10, 64], in2: f32[10], out out0: f32[1, 10]) {\n"                                    \
	"  for i1 in 0..10 serial {\n    alloc acc: f32[1]\n" ALLOC "    for k in 0.." EXTENT " serial {\n"                        \
	"      acc[0] = acc[0] + in0[0, k % 64] * in1[i1, " INDEX "]\n    }\n    out0[0, i1] = acc[0] + in2[i1]\n  }\n}\n"

static const struct {
	const char *text, *expect; /* NULL: what the interpreter faults at */
} by_hand[] = {
    {DENSE("    acc[0] = 0.0\n", "65", "k"), NULL},
    {DENSE("    acc[0] = 0.0\n", "64", "k - 1"), NULL},
    {DENSE("", "64", "k"), NULL},
    {DENSE("    acc[0] = 0.0\n", "cast(i64, in0[0, 0]) + 100000000000", "k % 64"),
     "the loop over 'k' would run 2147483646 times or more: its budget is 6400"},
};

static void expected(struct test *t, const struct lir_func *f, char *text, size_t n)
{
	void **arg = ARENA_ARRAY(t->a, void *, f->nparams);
	struct lir_interp_result r;
	struct err e = {0};

	for (uint32_t i = 0; i < f->nparams; i++)
		arg[i] = arena_zalloc(t->a, (size_t)f->param[i]->elements * dtype_size(f->param[i]->dtype));
	if (!lir_interp(f, arg, NULL, &r, &e) || !r.fault)
		fail("the interpreter", r.fault ? err_text(&e) : "no fault");
	snprintf(text, n, "%s", r.text);
}

static void reported(struct test *t, size_t i)
{
	uint32_t last = t->p.program->nkernels - 1, reports;
	struct lir_func **func = ARENA_ARRAY(t->a, struct lir_func *, last + 1);
	struct comp_program *p;
	struct pool_result r;
	struct camp_finding found;
	struct err e = {0};
	char want[300];

	if (!lir_parse(t->a, "by hand", by_hand[i].text, strlen(by_hand[i].text), &func[last], &e))
		fail("parse", err_text(&e));
	if (by_hand[i].expect)
		snprintf(want, sizeof want, "%s", by_hand[i].expect);
	else
		expected(t, func[last], want, sizeof want);
	p = comp_replace(t->a, t->p.program, func);
	if (!comp_instrument(p, t->p.program, all, &e))
		fail("instrument", err_text(&e));
	run(t, p, &r, &reports);
	camp_finding(p, r.image[0].output, &found);
	printf("by hand: %s\n", found.kernel ? found.text : "nothing is reported");
	if (reports != 1 || !strstr(found.text, want)) {
		printf("  expected: %s\n", want);
		t->wrong++;
	}
}

/* Pictures of numbers from -1 to 1. */
static void make_input(struct test *t)
{
	const struct comp_buffer *b = &t->p.program->buffer[t->p.program->input[0]];
	uint64_t state = 1;

	t->input = (struct tensor){.dtype = b->dtype, .nd = b->nd};
	memcpy(t->input.dim, b->dim, sizeof b->dim);
	t->input.data = arena_zalloc(t->a, tensor_bytes(&t->input));
	for (int64_t i = 0; i < tensor_elements(&t->input); i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		((float *)t->input.data)[i] = (float)(state >> 40) / (1 << 23) - 1;
	}
}

int main(int argc, char **argv)
{
	struct test t = {.a = arena_new(NULL)};
	struct camp_model_options mo = {.batch = 1};
	struct camp_target target;
	struct config_campaign c;
	struct pool_device d;
	const char *model = NULL, *device = "host-gcc";
	struct err e = {0};
	int level[4], nlevels = 0;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--device") && i + 1 < argc)
			device = argv[++i];
		else if (!strcmp(argv[i], "--level") && i + 1 < argc && nlevels < 4)
			level[nlevels++] = atoi(argv[++i]);
		else
			model = argv[i];
	}
	log_set_level(LOG_ERROR);
	config_campaign_default(&c);
	c.devices = (char *[]){(char *)device};
	c.ndevices = 1;
	if (!model || !camp_model_load(t.a, model, &mo, &t.model, &e) || !camp_device(t.a, device, &c, &d, &e))
		fail("usage: checks MODEL --device NAME", err_text(&e));
	if (!pool_open(&d, 1, &t.pool, &e) || pool_device_error(t.pool, 0)) {
		printf("skipped %s: %s\n", device, t.pool ? pool_device_error(t.pool, 0) : err_text(&e));
		return 77;
	}
	for (int i = 0; i < nlevels; i++) {
		c.opt_level = level[i];
		if (!camp_targets(t.pool, &c, &target, &e) ||
		    !camp_program_build(t.a, t.model, &(struct camp_level){.opt_level = level[i]}, &target, &t.p, &e))
			fail("build", err_text(&e));
		make_input(&t);
		unmutated(&t, level[i]);
	}
	for (size_t i = 0; nlevels && i < sizeof by_hand / sizeof *by_hand; i++)
		if (strcmp(t.p.program->kernel[t.p.program->nkernels - 1].func->name, "dense") == 0)
			reported(&t, i);
	pool_close(t.pool);
	arena_free(t.a);
	return t.wrong != 0;
}
