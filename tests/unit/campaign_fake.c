/* campaign_fake.c: a pool that answers from a script, and a small campaign on it */
#include "campaign_fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "onnx_model.h"

/* ---- the pool ------------------------------------------------------------------------------------------------- */

struct pool {
	struct pool_job queue[4096];
	size_t first, n, ndevices;
};

struct fake fake;

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
	(void)d;
	cr_assert(p, "the pool is closed");
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
	if (j->device == 0 && run == fake.bad_run)
		add[2] = 100;
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

static char dir[64];
char fake_store[96];
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

void fake_enter(struct arena *a, struct config_campaign *c)
{
	static struct config_mutation every = {.op = (char *)"loop.*", .sites_text = (char *)"each"};
	struct err e = {0};

	memset(&fake, 0, sizeof fake);
	log_set_level(LOG_ERROR);
	strcpy(dir, "/tmp/mutatenn-campaign-XXXXXX");
	cr_assert(mkdtemp(dir) != NULL);
	snprintf(fake_store, sizeof fake_store, "%s/s.db", dir);
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

void fake_only_stores(struct config_campaign *c)
{
	static struct config_mutation stores = {.op = (char *)"loop.store.value", .sites_text = (char *)"each"};

	c->mutations = &stores;
}

void fake_leave(struct arena *a)
{
	char *cmd = arena_printf(a, "rm -rf '%s'", dir);

	cr_expect_eq(system(cmd), 0);
	arena_free(a);
}

struct camp_summary fake_run(const struct config_campaign *c)
{
	struct camp_summary sum;
	struct err e = {0};

	cr_assert(camp_run(c, fake_store, NULL, NULL, &sum, &e), "%s", err_text(&e));
	return sum;
}

const char *fake_error(struct arena *a, const char *device)
{
	const char *error = "no such device";
	struct err e = {0};
	struct store *s = NULL;
	struct store_iter *it;
	struct store_device d;

	cr_assert(store_open(fake_store, STORE_READ, &s, &e), "%s", err_text(&e));
	it = store_devices(s);
	while (store_next_device(it, &d))
		if (!strcmp(d.name, device))
			error = d.error ? arena_strdup(a, d.error) : "";
	cr_assert(store_iter_end(it, &e), "%s", err_text(&e));
	store_close(s);
	return error;
}

size_t fake_rows(struct arena *a, const char *device, struct store_result *out, size_t max)
{
	struct err e = {0};
	struct store *s = NULL;
	struct store_iter *it;
	struct store_result r;
	size_t n = 0;

	cr_assert(store_open(fake_store, STORE_READ, &s, &e), "%s", err_text(&e));
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

size_t fake_count(const struct store_result *r, size_t n, enum outcome o)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		k += r[i].outcome == o;
	return k;
}
