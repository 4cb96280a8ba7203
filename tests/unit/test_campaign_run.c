/* test_campaign_run.c: a campaign from its plan to its rows, on a pool that answers what the test wants
 *
 * The pool_* functions here take the place of the worker room's: nothing is compiled, no process is started. Runs with real
 * workers are in tests/e2e.
 */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "campaign/campaign.h"
#include "onnx_model.h"
#include "test_support.h"

#define IMAGES 2
#define CLASSES 4

/* ---- the pool ------------------------------------------------------------------------------------------------- */

struct answer { /* of a mutant's job */
	enum pool_status status;
	float add[CLASSES]; /* to the original's scores */
	int signal;
	const char *text;
	const struct answer *again; /* what it answers to the later runs, one after the other; NULL: the same */
	enum pool_stage stage;      /* START: where such an end usually is */
	int code;                   /* 0: one of its own */
	const struct answer *refilled; /* what it answers with another fill; NULL: the same */
	uint64_t unwritten;         /* elements that hold the fill */
};

struct pool {
	struct pool_job queue[4096];
	size_t first, n, ndevices;
};

/* What a test sets before a campaign and reads after it. */
static struct {
	const struct answer *script; /* by order of submission, over all devices; beyond it: unchanged scores */
	size_t nscript, mutants[2];  /* jobs of mutants, by device */
	int originals[2];            /* runs of the original, by device */
	size_t bad_after;            /* jobs of mutants on the second device, after which ... */
	int bad_runs;                /* ... so many runs of the original there answer something else */
	float unwritten;             /* added to one score of the original on the second device where zeros lie in unwritten memory */
	float noise;                 /* added to one score in every second run of the original */
	size_t asked, again;
	struct {
		const struct bundle *bundle;
		size_t device;
		const struct pool_input *input; /* from its first image on */
		struct answer now;
	} seen[4096]; /* mutants that were run, in order: a second run is known by them */
	size_t nseen;
	uint64_t codes;
	const struct bundle *ahead[4096]; /* built before they were submitted */
	size_t nahead, came, held;        /* of them: submitted, built while nothing is to be */
	bool hold;
} fake;

static const float scores[CLASSES] = {1, 4, 3, 2};

bool pool_open(const struct pool_device *dev, size_t n, struct pool **out, struct err *e)
{
	(void)dev;
	(void)e;
	*out = calloc(1, sizeof **out);
	(*out)->ndevices = n;
	return true;
}

void pool_close(struct pool *p)
{
	free(p);
}

const char *pool_backend(const struct pool *p, size_t d)
{
	return "cpu";
}

void pool_restart(struct pool *p, size_t d)
{
}

const char *pool_device_error(const struct pool *p, size_t d)
{
	(void)p;
	(void)d;
	return NULL;
}

const struct device_caps *pool_caps(const struct pool *p, size_t d)
{
	static const struct device_caps caps = {.backend = "fake", .dialect = "c", .describe = "a fake", .identity = "1", .lanes = 8, .threads = 1, .isolates = true, .types = DEVICE_ALL_TYPES};

	(void)p;
	(void)d;
	return &caps;
}

bool pool_submit(struct pool *p, const struct pool_job *job, struct err *e)
{
	(void)e;
	cr_assert_lt(p->n, 4096);
	p->queue[p->n++] = *job;
	for (size_t i = 0; i < fake.nahead; i++)
		if (fake.ahead[i] == job->bundle) {
			fake.ahead[i] = NULL; /* another may lie there later */
			fake.came++;
		}
	return true;
}

void pool_build_ahead(struct pool *p, size_t d, const struct bundle *b, bool more)
{
	cr_assert_lt(fake.nahead, 4096);
	fake.ahead[fake.nahead++] = b;
	fake.held += fake.hold;
}

void pool_hold_ahead(struct pool *p, bool hold)
{
	fake.hold = hold;
}

static void put_image(struct arena *a, struct pool_image *out, const float *add, enum pool_status status)
{
	struct tensor *t = tensor_new(a, DT_F32, 2, (int64_t[]){1, CLASSES});

	for (int i = 0; i < CLASSES; i++)
		((float *)t->data)[i] = scores[i] + add[i];
	*out = (struct pool_image){
	    .ran = true, .status = status, .output = t, .launches_run = 3, .launches_saved = 1, .time_s = 0.001};
}

/* The original with the time of each of its launches: k + 1 milliseconds of launch k. */
static void run_timed(struct arena *a, const struct pool_job *j, struct pool_result *r)
{
	double *launch = ARENA_ARRAY(a, double, j->bundle->nlaunches);

	for (uint32_t k = 0; k < j->bundle->nlaunches; k++)
		launch[k] = (k + 1) * 1e-3;
	r->image[0] = (struct pool_image){.ran = true, .launch_s = launch};
}

static void run_original(struct arena *a, const struct pool_job *j, struct pool_result *r)
{
	float add[CLASSES] = {0};
	int run;

	fake.nseen = 0; /* bundles of the next group may lie where those of the last one lay */
	if (j->repeat) {
		run_timed(a, j, r);
		return;
	}
	run = ++fake.originals[j->device];
	if (run % 2 == 0)
		add[3] = fake.noise;
	if (j->device == 1 && j->fill.kind == FILL_ZERO)
		add[3] += fake.unwritten;
	if (j->device == 1 && fake.mutants[1] >= fake.bad_after && fake.bad_runs) {
		fake.bad_runs--;
		add[2] = 100;
	}
	for (size_t i = 0; i < j->ninputs; i++)
		put_image(a, &r->image[i], add, POOL_DONE);
}

/* The next of the script, or what the mutant has in store for another run; which image of the campaign's is the job's first. */
static struct answer answer(const struct pool_job *j, size_t *at)
{
	static const struct answer unchanged;
	const struct answer *w = fake.asked < fake.nscript ? &fake.script[fake.asked] : &unchanged;

	for (size_t i = 0; i < fake.nseen; i++)
		if (fake.seen[i].bundle == j->bundle && fake.seen[i].device == j->device) {
			fake.again++;
			*at = (size_t)(j->input - fake.seen[i].input);
			if (j->fill.kind == FILL_ZERO && fake.seen[i].now.refilled)
				return *fake.seen[i].now.refilled;
			if (fake.seen[i].now.again)
				fake.seen[i].now = *fake.seen[i].now.again;
			return fake.seen[i].now;
		}
	fake.asked++;
	fake.mutants[j->device]++;
	fake.seen[fake.nseen].bundle = j->bundle;
	fake.seen[fake.nseen].device = j->device;
	fake.seen[fake.nseen].input = j->input;
	fake.seen[fake.nseen++].now = *w;
	return *w;
}

static void run_mutant(struct arena *a, const struct pool_job *j, struct pool_result *r)
{
	struct answer given = {0}, *w = &given;
	size_t at = 0;

	if (j->wanted && fake.asked < fake.nscript && fake.script[fake.asked].code)
		r->code = (struct hash){0, (uint64_t)fake.script[fake.asked].code};
	if (j->wanted && !j->wanted(j->user, j, r->code)) {
		fake.asked++;
		r->status = POOL_SKIPPED;
		return;
	}
	given = answer(j, &at);
	if ((w->status == POOL_CRASHED || w->status == POOL_HUNG) && at + j->ninputs < 2)
		w->status = POOL_DONE; /* it is the second image that does not go well */
	r->status = w->status;
	r->signal = w->signal;
	if (w->text)
		r->text = w->text;
	switch (w->status) {
	case POOL_DONE:
	case POOL_OVERRUN:
		for (size_t i = 0; i < j->ninputs; i++)
			put_image(a, &r->image[i], w->add, w->status);
		if (w->unwritten) {
			r->image[0].unwritten = w->unwritten;
			r->image[0].unwritten_by = "first";
			r->image[0].unwritten_in = "h";
		}
		break;
	case POOL_CRASHED:
	case POOL_HUNG:
		if (!at)
			put_image(a, &r->image[0], w->add, POOL_DONE);
		r->image[1 - at] = (struct pool_image){.ran = true, .status = w->status, .launches_run = 1};
		r->stage = w->stage ? w->stage : POOL_RUN;
		r->launch = "relu_y";
		break;
	case POOL_BUILD_FAILED:
		r->stage = POOL_BUILD;
		r->log = "error: no";
		break;
	case POOL_EQUIVALENT:
	case POOL_SKIPPED:
	case POOL_LOST: break;
	}
}

bool pool_wait(struct pool *p, struct arena *a, double timeout_s, bool *got, struct pool_result *out, struct err *e)
{
	const struct pool_job *j = &p->queue[p->first];

	(void)timeout_s;
	(void)e;
	*got = p->first < p->n;
	if (!*got)
		return true;
	p->first++;
	*out = (struct pool_result){.job = j->id, .device = j->device, .text = "", .code = {7, ++fake.codes}, .nimages = j->ninputs};
	out->image = ARENA_ARRAY(a, struct pool_image, j->ninputs);
	(j->baseline ? run_mutant : run_original)(a, j, out);
	if (p->first == p->n)
		p->first = p->n = 0;
	return true;
}

void pool_forget(struct pool *p)
{
	(void)p;
}

struct pool_stats pool_stats(const struct pool *p)
{
	(void)p;
	return (struct pool_stats){0};
}

void pool_look(const struct pool *p, size_t d, struct pool_look *out)
{
	(void)p;
	(void)d;
	*out = (struct pool_look){.job = UINT64_MAX};
}

/* ---- the campaign --------------------------------------------------------------------------------------------- */

static char dir[64], store_file[96];
static char *device_names[] = {(char *)"host-gcc", (char *)"host-clang"};

static void write_model(struct arena *a, const char *path)
{
	struct onnx_model *m = onnx_model_new(a, 13);
	struct err e = {0};
	struct bytes b;

	onnx_model_input(m, "x", ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, DIMS(1, CLASSES));
	onnx_model_node(m, "Sigmoid", "first", "x", "h");
	onnx_model_node(m, "Relu", "second", "h", "y");
	onnx_model_output(m, "y");
	b = onnx_model_bytes(m);
	cr_assert(file_write(path, b.p, b.n, &e), "%s", err_text(&e));
}

static void enter(struct arena *a, struct config_campaign *c)
{
	static struct config_mutation every = {.op = (char *)"loop.*", .sites_text = (char *)"each"};
	struct err e = {0};

	memset(&fake, 0, sizeof fake);
	log_set_level(LOG_ERROR);
	strcpy(dir, "/tmp/mutatenn-campaign-XXXXXX");
	cr_assert(mkdtemp(dir) != NULL);
	snprintf(store_file, sizeof store_file, "%s/s.db", dir);
	config_campaign_default(c);
	c->model = file_join(a, dir, "m.onnx");
	c->images = file_join(a, dir, "images");
	c->devices = device_names;
	c->ndevices = 1;
	c->mutations = &every;
	c->nmutations = 1;
	c->controls = 0;
	c->repeat = 1;
	c->control_mutants = 0;
	c->top_k = 3;
	c->threads = 1024; /* more than there are cores: one runner, whose runs of the original can be counted */
	write_model(a, c->model);
	cr_assert(file_mkdirs(c->images, &e), "%s", err_text(&e));
	for (int i = 0; i < IMAGES; i++) {
		struct tensor *t = tensor_new(a, DT_F32, 2, (int64_t[]){1, CLASSES});

		((float *)t->data)[0] = (float)i;
		cr_assert(npy_write(arena_printf(a, "%s/%d.npy", c->images, i), t, &e), "%s", err_text(&e));
	}
}

/* Mutants that are proved to stay inside their buffers: nothing is run again for that. */
static void only_stores(struct config_campaign *c)
{
	static struct config_mutation stores = {.op = (char *)"loop.store.value", .sites_text = (char *)"each"};

	c->mutations = &stores;
}

static void leave(struct arena *a)
{
	char *cmd = arena_printf(a, "rm -rf '%s'", dir);

	cr_expect_eq(system(cmd), 0);
	arena_free(a);
}

static struct camp_summary run(const struct config_campaign *c)
{
	struct camp_summary sum;
	struct err e = {0};

	cr_assert(camp_run(c, store_file, NULL, NULL, &sum, &e), "%s", err_text(&e));
	return sum;
}

/* Rows of jobs that a device answered, in the plan's order; the others (no-site, no-effect) are left out. */
static size_t rows(struct arena *a, const char *device, struct store_result *out, size_t max)
{
	struct err e = {0};
	struct store *s = NULL;
	struct store_iter *it;
	struct store_result r;
	size_t n = 0;

	cr_assert(store_open(store_file, STORE_READ, &s, &e), "%s", err_text(&e));
	it = store_results(s, NULL, device);
	while (store_next_result(it, &r)) {
		if (r.outcome == OUTCOME_NO_SITE || r.outcome == OUTCOME_NO_EFFECT || n == max)
			continue;
		r.mutant = arena_strdup(a, r.mutant);
		r.message = arena_strdup(a, r.message);
		r.stage = arena_strdup(a, r.stage);
		r.kernel = arena_strdup(a, r.kernel);
		r.log = arena_strdup(a, r.log);
		r.fill = arena_strdup(a, r.fill);
		out[n++] = r;
	}
	cr_assert(store_iter_end(it, &e), "%s", err_text(&e));
	store_close(s);
	return n;
}

static size_t count(const struct store_result *r, size_t n, enum outcome o)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		k += r[i].outcome == o;
	return k;
}

/* ---- tests ---------------------------------------------------------------------------------------------------- */

TEST(run, whatever_a_mutant_does_is_a_row_and_only_tool_errors_are_tried_again)
{
	static const struct answer script[] = {
	    {.status = POOL_CRASHED, .signal = SIGFPE, .text = "killed by SIGFPE"},
	    {.status = POOL_HUNG, .text = "exceeded 2 s"},
	    {.status = POOL_OVERRUN, .text = "wrote past y"},
	    {.status = POOL_BUILD_FAILED, .text = "the compiler says no"},
	    {.status = POOL_LOST, .text = "ten workers lost"},
	    {.status = POOL_EQUIVALENT},
	    {.status = POOL_DONE},
	    {.add = {0, 0, 0, 0.5f}},
	    {.add = {0, 0, -2.5f, 0}},
	    {.add = {0, -2, 0, 0}},
	    {.add = {0, 0, 0, NAN}},
	    {.add = {0, INFINITY, 0, 0}},
	};
	static const enum outcome want[] = {OUTCOME_CRASH,      OUTCOME_HANG,          OUTCOME_OVERRUN,   OUTCOME_BUILD_FAILED,
					    OUTCOME_TOOL_ERROR, OUTCOME_EQUIVALENT,    OUTCOME_IDENTICAL, OUTCOME_DRIFTED,
					    OUTCOME_REORDERED,  OUTCOME_MISCLASSIFIED, OUTCOME_NAN,       OUTCOME_NAN};
	enum { N = sizeof want / sizeof *want };
	struct arena *a = arena_new(NULL);
	struct store_result r[N];
	struct config_campaign c;
	size_t asked;

	enter(a, &c);
	fake.script = script;
	fake.nscript = N;
	run(&c);
	cr_assert_eq(rows(a, "host-gcc", r, N), N, "the model is too small for this test");
	for (int i = 0; i < N; i++)
		cr_expect_eq(r[i].outcome, want[i], "row %d is %s, not %s", i, outcome_name(r[i].outcome), outcome_name(want[i]));
	cr_expect_eq(r[0].signal, SIGFPE);
	cr_expect_str_eq(r[0].message, "killed by SIGFPE");
	cr_expect_str_eq(r[0].stage, "run");
	cr_expect_str_eq(r[0].kernel, "relu_y");
	cr_expect_eq(r[0].images, 1, "the first image answered");
	cr_expect_eq(r[0].killed, STORE_KILL_LABEL | STORE_KILL_TOPK | STORE_KILL_NUMERIC);
	cr_expect_eq(r[1].images, 1);
	cr_expect_eq(r[2].images, IMAGES, "an overrun does not end the job");
	cr_expect_str_eq(r[3].log, "error: no");
	cr_expect_eq(r[3].killed, 0);
	cr_expect_eq(r[4].killed, 0);
	cr_expect_eq(r[6].images_changed, 0);
	cr_expect_eq(r[9].images_changed, IMAGES);
	cr_expect_eq(r[9].launches_run, 3 * IMAGES);
	asked = fake.asked;
	cr_expect_eq(run(&c).done, run(&c).jobs);
	cr_expect_eq(fake.asked, asked + 1, "only the tool error is run again, and only once");
	rows(a, "host-gcc", r, N);
	cr_expect_eq(r[4].outcome, OUTCOME_IDENTICAL);
	cr_expect_eq(r[0].outcome, OUTCOME_CRASH);
	leave(a);
}

static void with_noise(int repeat, double tolerance, float add, enum outcome want)
{
	const struct answer script = {.add = {0, 0, 0, add}};
	struct arena *a = arena_new(NULL);
	struct config_campaign c;
	struct store_result r;

	enter(a, &c);
	fake.script = &script;
	fake.nscript = 1;
	fake.noise = 0.25f;
	c.repeat = repeat;
	c.tolerance = tolerance;
	run(&c);
	cr_assert_eq(rows(a, "host-gcc", &r, 1), 1);
	cr_expect_eq(r.outcome, want, "%d runs, tolerance %g, %g away: %s", repeat, tolerance, (double)add,
		     outcome_name(r.outcome));
	cr_expect_eq(fake.originals[0], repeat > 1 ? repeat + 96 / IMAGES + 1 : 1, "more runs once there is noise");
	leave(a);
}

TEST(run, what_the_original_does_by_itself_is_noise)
{
	with_noise(3, 0, 0.25f, OUTCOME_TOLERATED);
	with_noise(3, 0, -0.25f, OUTCOME_TOLERATED);
	with_noise(3, 0, 0.5f, OUTCOME_TOLERATED);
	with_noise(3, 0, 0.625f, OUTCOME_DRIFTED);
	with_noise(1, 0, 0.25f, OUTCOME_DRIFTED);
	with_noise(1, 0.25, 0.25f, OUTCOME_TOLERATED);
	with_noise(3, 0.5, 0.375f, OUTCOME_TOLERATED);
}

/* Groups of four on two devices; the original is run after each. */
static struct camp_summary controlled(struct arena *a, struct config_campaign *c, int bad_runs)
{
	enter(a, c);
	c->ndevices = 2;
	c->controls = 4;
	fake.bad_after = 5;
	fake.bad_runs = bad_runs;
	return run(c);
}

TEST(run, a_group_whose_control_fails_is_run_again_on_that_device)
{
	static struct store_result r[500];
	struct arena *a = arena_new(NULL);
	struct config_campaign c;
	struct camp_summary sum = controlled(a, &c, 1);
	size_t n = rows(a, "host-clang", r, 500);

	cr_assert_gt(n, 8);
	cr_expect_eq(count(r, n, OUTCOME_IDENTICAL), n, "nothing is missing");
	cr_expect_eq(fake.mutants[0], n);
	cr_expect(fake.mutants[1] > n && fake.mutants[1] <= n + 4, "%zu jobs for %zu mutants", fake.mutants[1], n);
	cr_expect_eq(sum.done, sum.jobs, "%llu of %llu", (unsigned long long)sum.done, (unsigned long long)sum.jobs);
	leave(a);
}

TEST(run, a_device_whose_controls_keep_failing_is_set_aside_without_that_group)
{
	static struct store_result r[500];
	struct arena *a = arena_new(NULL);
	struct config_campaign c;
	struct camp_summary sum = controlled(a, &c, 1000);
	size_t n = rows(a, "host-clang", r, 500), kept = count(r, n, OUTCOME_IDENTICAL);

	cr_expect(kept > 0 && kept < 5, "those of the groups before: %zu", kept);
	cr_expect_eq(count(r, n, OUTCOME_NOT_RUN), n - kept);
	cr_expect_eq(fake.bad_runs, 1000 - 3, "three tries");
	cr_expect_lt(sum.done, sum.jobs);
	cr_expect_eq(count(r, rows(a, "host-gcc", r, 500), OUTCOME_IDENTICAL), fake.mutants[0], "the other device is not touched");
	fake.bad_runs = 0;
	run(&c);
	n = rows(a, "host-clang", r, 500);
	cr_expect_eq(count(r, n, OUTCOME_IDENTICAL), n, "it is itself again: the missing are run");
	leave(a);
}

static bool stop_after(void *user)
{
	return fake.asked >= *(const size_t *)user;
}

TEST(run, what_ends_badly_is_run_again_and_told_apart_when_it_ends_otherwise)
{
	static const struct answer well, drifts = {.add = {0, 0, 0, 0.5f}}, hangs = {.status = POOL_HUNG, .text = "exceeded 2 s"};
	static const struct answer drifts_then_hangs = {.add = {0, 0, 0, 0.5f}, .again = &hangs};
	static const struct answer script[] = {
	    {.status = POOL_CRASHED, .text = "killed by SIGSEGV"},
	    {.status = POOL_CRASHED, .text = "killed by SIGSEGV", .again = &well},
	    {.status = POOL_HUNG, .text = "exceeded 2 s"},
	    {.status = POOL_HUNG, .text = "exceeded 2 s", .again = &drifts},
	    {.status = POOL_HUNG, .text = "exceeded 2 s", .again = &drifts_then_hangs},
	    {.add = {0, 0, 0, 0.5f}, .again = &well},
	    {.status = POOL_CRASHED, .stage = POOL_LOAD, .text = "the device does not take it"},
	    {.status = POOL_BUILD_FAILED, .text = "the compiler says no"},
	    {.status = POOL_BUILD_FAILED, .text = "the compiler is out of memory", .again = &drifts},
	};
	static const enum outcome want[] = {OUTCOME_CRASH,   OUTCOME_UNSTABLE, OUTCOME_HANG,         OUTCOME_DRIFTED, OUTCOME_UNSTABLE,
					    OUTCOME_DRIFTED, OUTCOME_REFUSED,  OUTCOME_BUILD_FAILED, OUTCOME_DRIFTED};
	static const int runs[] = {3, 2, 2, 3, 3, 1, 1, 2, 3}; /* a crash that is believed is run with another fill too */
	enum { N = sizeof want / sizeof *want };
	struct arena *a = arena_new(NULL);
	struct store_result r[N];
	struct config_campaign c;

	enter(a, &c);
	only_stores(&c);
	fake.script = script;
	fake.nscript = N;
	run(&c);
	cr_assert_eq(rows(a, "host-gcc", r, N), N);
	for (int i = 0; i < N; i++) {
		cr_expect_eq(r[i].outcome, want[i], "row %d is %s, not %s", i, outcome_name(r[i].outcome), outcome_name(want[i]));
		cr_expect_eq(r[i].runs, runs[i], "row %d: %lld runs", i, (long long)r[i].runs);
	}
	cr_expect_str_eq(r[1].message, "run again, it gave something else: crash, then identical");
	cr_expect_eq(r[1].killed, 0);
	leave(a);
}

TEST(run, what_depends_on_memory_nobody_wrote_is_undefined)
{
	static const struct answer well, drifts = {.add = {0, 0, 0, 0.5f}}, more = {.add = {0, 0, 0, 0.75f}}, lost = {.status = POOL_LOST, .text = "lost"},
				   over = {.status = POOL_OVERRUN, .add = {0, -9, 0, 0}, .text = "'first' wrote outside of buffer 'h'"};
	static const struct answer script[] = {
	    {.add = {NAN}, .unwritten = 1, .refilled = &drifts},
	    {.add = {NAN}, .unwritten = 1},
	    {.add = {0, 0, 0, 0.5f}, .unwritten = 3, .refilled = &more},
	    {.unwritten = 1},
	    {.status = POOL_CRASHED, .signal = SIGSEGV, .text = "killed by SIGSEGV", .refilled = &well},
	    {.status = POOL_OVERRUN, .add = {0, 1, 0, 0}, .text = "'first' wrote outside of buffer 'h'", .unwritten = 1, .refilled = &over},
	    {.add = {NAN}, .unwritten = 1, .refilled = &lost},
	    {.add = {0, 0, 0, 0.5f}, .refilled = &more},
	    {.unwritten = 1, .refilled = &over},
	};
	static const enum outcome want[] = {OUTCOME_UNDEFINED, OUTCOME_NAN, OUTCOME_UNDEFINED, OUTCOME_IDENTICAL, OUTCOME_UNDEFINED,
					    OUTCOME_OVERRUN,   OUTCOME_NAN, OUTCOME_DRIFTED,   OUTCOME_OVERRUN};
	static const int runs[] = {2, 2, 2, 2, 3, 2, 1, 1, 2};
	enum { N = sizeof want / sizeof *want };
	struct arena *a = arena_new(NULL);
	struct store_result r[N];
	struct config_campaign c;

	enter(a, &c);
	only_stores(&c);
	fake.script = script;
	fake.nscript = N;
	run(&c);
	cr_assert_eq(rows(a, "host-gcc", r, N), N);
	for (int i = 0; i < N; i++) {
		cr_expect_eq(r[i].outcome, want[i], "row %d is %s, not %s", i, outcome_name(r[i].outcome), outcome_name(want[i]));
		cr_expect_eq(r[i].runs, runs[i], "row %d: %lld runs", i, (long long)r[i].runs);
		cr_expect_str_eq(r[i].fill, i < 6 || i == 8 ? "nan, zero" : "nan");
	}
	cr_expect_str_eq(r[8].message, "'first' wrote outside of buffer 'h' (seen with fill zero)");
	cr_expect_str_eq(r[0].message, "depends on memory nobody wrote: nan with fill nan, drifted with fill zero; 'first' left the fill in 1 element of 'h'");
	cr_expect_str_eq(r[2].message, "depends on memory nobody wrote: drifted with fill nan, other scores with fill zero; "
				       "'first' left the fill in 3 elements of 'h'");
	cr_expect_str_eq(r[4].message,
			 "depends on memory nobody wrote: crash with fill nan, identical with fill zero; killed by SIGSEGV");
	cr_expect(r[4].signal == SIGSEGV && r[4].killed == (STORE_KILL_LABEL | STORE_KILL_TOPK | STORE_KILL_NUMERIC));
	cr_expect_null(r[3].message);
	leave(a);
}

TEST(run, a_device_whose_original_depends_on_unwritten_memory_is_set_aside)
{
	static struct store_result r[500];
	struct arena *a = arena_new(NULL);
	struct config_campaign c;
	struct camp_summary sum;
	size_t n;

	enter(a, &c);
	c.ndevices = 2;
	c.repeat = 3;
	fake.unwritten = 0.001f;
	sum = run(&c);
	n = rows(a, "host-gcc", r, 500);
	cr_expect(n > 8 && count(r, n, OUTCOME_IDENTICAL) == n);
	n = rows(a, "host-clang", r, 500);
	cr_expect_eq(count(r, n, OUTCOME_IDENTICAL), 0);
	cr_expect_str_eq(sum.lost, "host-clang");
	cr_expect_eq(fake.originals[0], 3, "the other device has none of it");
	leave(a);
}

TEST(run, a_mutant_that_may_leave_its_buffers_is_run_with_another_fill_whatever_it_gives)
{
	static struct config_mutation bounds = {.op = (char *)"loop.index.*", .sites_text = (char *)"each"};
	struct store_result r[4];
	struct arena *a = arena_new(NULL);
	struct config_campaign c;
	size_t n;

	enter(a, &c);
	c.mutations = &bounds;
	run(&c);
	n = rows(a, "host-gcc", r, 4);
	cr_assert_gt(n, 1);
	cr_expect(r[0].outcome == OUTCOME_IDENTICAL && !r[0].message);
	for (size_t i = 0; i < n; i++)
		cr_expect_str_eq(r[i].fill, r[i].runs == 2 ? "nan, zero" : "nan", "%s", r[i].mutant);
	cr_expect_gt(fake.again, 0);
	leave(a);
}

TEST(run, a_campaign_with_another_fill_is_compared_with_nan)
{
	static const struct answer script[] = {{.add = {0, 0, 0, 0.5f}, .unwritten = 1}};
	struct arena *a = arena_new(NULL);
	struct store_result r[1];
	struct config_campaign c;

	enter(a, &c);
	only_stores(&c);
	c.fill = (char *)"zero";
	fake.script = script;
	fake.nscript = 1;
	run(&c);
	cr_assert_eq(rows(a, "host-gcc", r, 1), 1);
	cr_expect(r[0].outcome == OUTCOME_DRIFTED && r[0].runs == 2);
	cr_expect_str_eq(r[0].fill, "zero, nan");
	leave(a);
}

TEST(run, a_kill_by_one_image_near_the_noise_is_run_again)
{
	static const struct answer near_it = {.add = {0, 0, 0, 0.75f}};
	static const struct answer script[] = {{.add = {0, 0, 0, 0.75f}}, {.add = {0, 0, 0, 0.75f}, .again = &near_it}};
	struct arena *a = arena_new(NULL);
	struct store_result r[2];
	struct config_campaign c;

	enter(a, &c);
	only_stores(&c);
	c.image_sample = 1;
	c.tolerance = 0.25;
	fake.script = script;
	fake.nscript = 2;
	run(&c);
	cr_assert_eq(rows(a, "host-gcc", r, 2), 2);
	cr_expect(r[0].outcome == OUTCOME_DRIFTED && r[0].runs == 2);
	leave(a);
}

TEST(run, mutants_with_the_same_code_are_run_once)
{
	static const struct answer script[] = {
	    {.code = 5, .add = {0, -2, 0, 0}}, {.code = 6}, {.code = 5}, {.code = 5}, {.code = 7, .status = POOL_LOST, .text = "lost"}, {.code = 7}};
	static const enum outcome want[] = {OUTCOME_MISCLASSIFIED, OUTCOME_IDENTICAL,  OUTCOME_MISCLASSIFIED,
					    OUTCOME_MISCLASSIFIED, OUTCOME_TOOL_ERROR, OUTCOME_NOT_RUN};
	struct arena *a = arena_new(NULL);
	struct camp_summary sum;
	struct store_result r[6];
	struct config_campaign c;

	enter(a, &c);
	only_stores(&c);
	fake.script = script;
	fake.nscript = 6;
	sum = run(&c);
	cr_assert_eq(rows(a, "host-gcc", r, 6), 6);
	for (int i = 0; i < 6; i++)
		cr_expect_eq(r[i].outcome, want[i], "row %d is %s", i, outcome_name(r[i].outcome));
	cr_expect(r[0].runs == 1 && r[2].runs == 0 && r[2].images_changed == IMAGES && r[2].launches_run == 0);
	cr_expect_eq(sum.done, sum.jobs - 1, "the twin of a tool error waits for it");
	sum = run(&c);
	cr_expect_eq(sum.done, sum.jobs);
	leave(a);
}

TEST(run, runners_share_the_images_of_the_original_and_each_has_its_control)
{
	static struct config_device two = {.name = (char *)"host-clang", .backend = (char *)"cpu", .runners = 2};
	struct arena *a = arena_new(NULL);
	struct config_campaign c;
	struct camp_summary sum;

	enter(a, &c);
	only_stores(&c);
	c.ndevices = 2;
	c.definitions = &two;
	c.ndefinitions = 1;
	c.controls = 1000;
	fake.bad_after = 1;
	fake.bad_runs = 1; /* of the two runners' controls */
	sum = run(&c);
	cr_expect_eq(sum.done, sum.jobs);
	cr_expect_eq(fake.originals[0], 3, "one at the beginning, and one for each control");
	cr_expect_eq(fake.originals[1], 6, "two parts, then two controls twice: %d", fake.originals[1]);
	cr_expect_eq(fake.mutants[1], 2 * fake.mutants[0], "what one runner can no longer do is enough");
	leave(a);
}

TEST(run, a_campaign_that_is_done_runs_nothing)
{
	struct arena *a = arena_new(NULL);
	struct config_campaign c;
	struct camp_summary sum;
	int originals;

	enter(a, &c);
	run(&c);
	originals = fake.originals[0];
	sum = run(&c);
	cr_expect_eq(fake.originals[0], originals);
	cr_expect(sum.done == sum.jobs && sum.resumed == sum.jobs);
	leave(a);
}

TEST(run, kernels_of_the_next_group_are_built_while_one_runs)
{
	struct arena *a = arena_new(NULL);
	struct config_campaign c;
	struct camp_summary sum;

	enter(a, &c);
	only_stores(&c);
	c.controls = 4;
	sum = run(&c);
	cr_assert_gt(sum.mutants, 8);
	cr_expect(fake.nahead >= sum.mutants - 4 && fake.nahead <= sum.mutants, "%zu of %llu", fake.nahead, (unsigned long long)sum.mutants);
	cr_expect_eq(fake.came, fake.nahead, "each is run, once, as it was built");
	cr_expect_eq(fake.asked, sum.mutants);
	cr_expect(!fake.hold && !fake.held);
	fake.nahead = 0;
	run(&c);
	cr_expect_eq(fake.nahead, 0u, "nothing is left to build");
	leave(a);
}

TEST(run, an_original_that_is_not_the_store_s_sets_the_device_aside)
{
	struct arena *a = arena_new(NULL);
	size_t limit = 7, before = 0;
	struct config_campaign c;
	struct camp_summary sum;
	struct err e = {0};

	enter(a, &c);
	c.ndevices = 2;
	cr_assert(camp_run(&c, store_file, NULL, &(struct camp_hooks){.stop = stop_after, .user = &limit}, &sum, &e), "%s",
		  err_text(&e));
	before = fake.mutants[1];
	fake.bad_after = 0;
	fake.bad_runs = 1000;
	sum = run(&c);
	cr_expect_eq(fake.mutants[1], before);
	cr_expect(sum.nlost == 1 && !strcmp(sum.lost, "host-clang"));
	leave(a);
}

TEST(run, a_device_whose_original_does_not_repeat_itself_is_set_aside)
{
	struct arena *a = arena_new(NULL);
	struct camp_summary sum;
	struct config_campaign c;
	struct err e = {0};

	enter(a, &c);
	c.repeat = 3;
	fake.noise = 0.5f; /* of 4 */
	cr_expect_not(camp_run(&c, store_file, NULL, NULL, &sum, &e));
	cr_expect(strstr(err_text(&e), "no device is left"), "%s", err_text(&e));
	err_free(&e);
	leave(a);
}

TEST(run, changes_without_effect_measure_the_noise_before_any_mutant)
{
	static const struct answer script[] = {{.add = {0, 0, 0, 0.25f}}};
	static struct store_result r[500];
	struct arena *a = arena_new(NULL);
	struct config_campaign c;
	struct err e = {0};
	struct store *s;
	char *text;
	size_t n;

	enter(a, &c);
	c.control_mutants = 4;
	fake.script = script;
	fake.nscript = 1;
	run(&c);
	n = rows(a, "host-gcc", r, 500);
	cr_expect_eq(count(r, n, OUTCOME_IDENTICAL), n, "they are no rows");
	cr_assert(store_open(store_file, STORE_READ, &s, &e), "%s", err_text(&e));
	cr_assert(store_get(s, a, "noise host-gcc", &text, &e) && text);
	cr_expect(strstr(text, "differ by up to 0.25; the floor is up to 0.5"), "%s", text);
	store_close(s);
	leave(a);
}

TEST(run, a_store_has_the_layers_the_times_of_their_kernels_and_what_the_compiler_sees)
{
	struct arena *a = arena_new(NULL);
	struct store_iter *it;
	struct config_campaign c;
	struct store_kernel k;
	struct store_layer l;
	struct err e = {0};
	struct store *s;
	const char *dialect, *diff;
	int layers = 0, kernels = 0, sources = 0;
	static struct store_result r[500];
	size_t n;

	enter(a, &c);
	c.ndevices = 2;
	run(&c);
	n = rows(a, "host-gcc", r, 500);
	cr_assert(store_open(store_file, STORE_READ, &s, &e), "%s", err_text(&e));
	for (it = store_layers(s); store_next_layer(it, &l); layers++)
		cr_expect(l.index == layers && *l.node && *l.op && *l.shape, "layer %d", layers);
	cr_assert(store_iter_end(it, &e), "%s", err_text(&e));
	for (it = store_kernels(s, "host-clang"); store_next_kernel(it, &k); kernels++)
		cr_expect(k.launch == kernels && *k.name && fabs(k.seconds - (kernels + 1) * 1e-3) < 1e-9, "'%s' took %g s", k.name, k.seconds);
	cr_assert(store_iter_end(it, &e), "%s", err_text(&e));
	for (size_t i = 0; i < n; i++) {
		for (it = store_sources(s, r[i].mutant); store_next_source(it, &dialect, &diff); sources++)
			cr_expect(!strcmp(dialect, "c") && strstr(diff, "\n+") && strstr(diff, "\n-"), "%s: %s", r[i].mutant, diff);
		cr_assert(store_iter_end(it, &e), "%s", err_text(&e));
	}
	cr_expect(layers > 0 && kernels > 0 && sources > 0, "%d layers, %d kernels, %d changes of source", layers, kernels, sources);
	store_close(s);
	leave(a);
}

static const char *planned(struct arena *a, const struct config_campaign *c, struct camp_plan *plan)
{
	static const struct camp_run_options options;
	const char *ids = "";
	struct err e = {0};

	cr_assert(camp_list(a, c, &options, plan, &e), "%s", err_text(&e));
	for (size_t i = 0; i < plan->nmutants; i++)
		ids = arena_printf(a, "%s %s", ids, plan->mutant[i].id);
	return ids;
}

TEST(run, the_plan_follows_from_the_seed_and_leaves_no_store)
{
	struct config_mutation sample = {
	    .op = (char *)"loop.*", .sites_text = (char *)"sample 5", .sites = SITES_SAMPLE, .sample = 5};
	struct arena *a = arena_new(NULL);
	struct config_campaign c;
	struct camp_plan plan;
	const char *ids;

	enter(a, &c);
	c.mutations = &sample;
	c.ndevices = 2;
	ids = planned(a, &c, &plan);
	cr_expect_eq(plan.nmutants - plan.without_site, 5);
	cr_expect_gt(plan.without_site, 0, "what has no site is planned, as a row");
	cr_expect(plan.ndevices == 2 && plan.nimages == IMAGES);
	cr_expect_str_eq(planned(a, &c, &plan), ids);
	c.seed++;
	cr_expect_str_neq(planned(a, &c, &plan), ids);
	c.image_sample = 1;
	planned(a, &c, &plan);
	cr_expect_eq(plan.nimages, 1);
	cr_expect(!file_exists(store_file) && !fake.originals[0]);
	leave(a);
}

TEST(run, a_stopped_campaign_goes_on_where_it_was)
{
	static struct store_result r[500];
	struct arena *a = arena_new(NULL);
	size_t limit = 7, n, kept;
	struct config_campaign c;
	struct camp_summary sum;
	struct err e = {0};

	enter(a, &c);
	cr_assert(camp_run(&c, store_file, NULL, &(struct camp_hooks){.stop = stop_after, .user = &limit}, &sum, &e), "%s",
		  err_text(&e));
	cr_expect(sum.stopped && sum.done < sum.jobs);
	n = rows(a, "host-gcc", r, 500);
	kept = count(r, n, OUTCOME_IDENTICAL);
	cr_expect(kept > 0 && kept <= limit, "%zu", kept);
	sum = run(&c);
	cr_expect(!sum.stopped && sum.done == sum.jobs);
	cr_expect_eq(fake.asked, limit + n - kept, "each is run once, but for one that was under way");
	cr_expect_eq(count(r, rows(a, "host-gcc", r, 500), OUTCOME_IDENTICAL), n);
	leave(a);
}
