/* camp_estimate.c: what a plan will cost, before it starts
 *
 * A store that holds results of a device tells what its mutants cost. Else a few mutants of the plan, evenly spread over it, and the
 * original are tried on one image. Neither is a promise: crashes, hangs and repetitions cost more, equal code costs nothing.
 */
#include <math.h>

#include "base/file.h"
#include "campaign/campaign_internal.h"

#define ENOUGH 20 /* results in a store */
#define TRIES 5
#define TRY_LIMIT_S 20

/* ---- from a store ---- */

static bool from_history(struct store *s, struct camp_device_cost *d, struct err *e)
{
	struct store_iter *it = store_results(s, NULL, d->name);
	struct store_result r;
	double seconds = 0, build = 0;
	uint64_t n = 0;

	while (store_next_result(it, &r)) {
		if (r.outcome == OUTCOME_NOT_RUN || r.outcome == OUTCOME_NO_SITE || r.outcome == OUTCOME_TOOL_ERROR)
			continue;
		n++;
		build += r.build_s;
		seconds += r.run_s;
	}
	if (!store_iter_end(it, e))
		return false;
	if (n < ENOUGH)
		return true;
	d->known = d->history = true;
	d->of = n;
	d->build_s = build / (double)n;
	d->image_s = seconds / (double)n;
	return true;
}

static bool count_done(struct camp *c, struct store *s, struct camp_cost *out, struct err *e)
{
	for (size_t d = 0; d < c->ndevices; d++)
		for (size_t m = 0; m < c->nmutants; m++) {
			bool has = false;

			if (c->mutant[m].sites && !store_has_result(s, c->mutant[m].id, c->device[d].name, &has, e))
				return false;
			out->done += has;
		}
	return true;
}

static bool read_history(struct camp *c, const char *path, struct camp_cost *out, struct err *e)
{
	struct store *s;
	bool ok;

	if (!path || !file_exists(path))
		return true;
	if (!store_open(path, STORE_READ, &s, e))
		return false;
	ok = count_done(c, s, out, e);
	for (size_t d = 0; ok && d < c->ndevices; d++)
		ok = from_history(s, &out->device[d], e);
	store_close(s);
	return ok;
}

/* ---- by trying ---- */

struct tries {
	struct camp_cost *cost;
	double *build, *run;              /* per device: sums */
	uint64_t *n, *built;              /* built: kernels that were not in the cache */
};

static bool take_try(struct camp *c, const struct pool_result *r, void *user, struct err *e)
{
	struct tries *t = user;

	(void)c;
	(void)e;
	if (r->job == 0) { /* the original */
		if (r->status == POOL_DONE)
			t->cost->device[r->device].original_s = r->image[0].time_s;
		return true;
	}
	if (r->status == POOL_LOST)
		return true;
	t->build[r->device] += r->build_s;
	t->run[r->device] += r->run_s;
	t->built[r->device] += r->kernels_built;
	t->n[r->device]++;
	return true;
}

/* A few mutants, evenly spread, that change a kernel or the graph. */
static size_t choose_tries(const struct camp *c, size_t *out)
{
	size_t usable = 0, n = 0, seen = 0;

	for (size_t i = 0; i < c->nmutants; i++)
		usable += c->mutant[i].sites && c->mutant[i].op->kind != MUT_INPUT;
	for (size_t i = 0; i < c->nmutants && n < TRIES; i++) {
		if (!c->mutant[i].sites || c->mutant[i].op->kind == MUT_INPUT)
			continue;
		if (seen++ >= n * usable / (usable < TRIES ? usable : TRIES))
			out[n++] = i;
	}
	return n;
}

static bool submit_try(struct camp *c, const struct camp_made *made, struct arena *a, uint64_t id, size_t d, size_t *jobs, struct err *e)
{
	struct pool_job j = {.id = id, .device = d, .bundle = camp_original(c, d), .input = camp_pool_inputs(c, a, NULL, 0, 1), .ninputs = 1,
			     .time_limit_s = TRY_LIMIT_S};

	if (made) {
		j.baseline = j.bundle;
		j.bundle = made->program[c->device[d].variant].bundle;
	}
	if (!j.bundle)
		return true;
	++*jobs;
	return pool_submit(c->pool, &j, e);
}

static bool try_some(struct camp *c, struct camp_cost *out, struct err *e)
{
	struct tries t = {out, ARENA_ARRAY(c->a, double, c->ndevices), ARENA_ARRAY(c->a, double, c->ndevices), ARENA_ARRAY(c->a, uint64_t, c->ndevices),
			  ARENA_ARRAY(c->a, uint64_t, c->ndevices)};
	size_t chosen[TRIES], n = choose_tries(c, chosen), jobs = 0;
	struct camp_made made[TRIES] = {0};
	bool ok = true;

	for (size_t i = 0; ok && i < n; i++)
		ok = camp_make(c, &c->mutant[chosen[i]], &made[i], e);
	for (size_t d = 0; ok && d < c->ndevices; d++) {
		if (c->device[d].dead || out->device[d].known)
			continue;
		ok = submit_try(c, NULL, c->a, 0, d, &jobs, e);
		for (size_t i = 0; ok && i < n; i++)
			ok = submit_try(c, &made[i], c->a, i + 1, d, &jobs, e);
	}
	ok = ok && camp_wait_all(c, c->a, jobs, take_try, &t, e);
	for (size_t d = 0; ok && d < c->ndevices; d++) {
		struct camp_device_cost *x = &out->device[d];

		if (!t.n[d])
			continue;
		x->known = true;
		x->cached = !t.built[d];
		x->of = t.n[d];
		x->build_s = t.build[d] / (double)t.n[d];
		x->image_s = t.run[d] / (double)t.n[d];
	}
	for (size_t i = 0; i < n; i++)
		arena_free(made[i].a);
	return ok;
}

/* ---- the sum ---- */

static void add_up(struct camp *c, struct camp_cost *out)
{
	uint64_t sites = 0, left;
	double widest = 0;

	for (size_t i = 0; i < c->nmutants; i++)
		sites += c->mutant[i].sites > 0;
	out->jobs = sites * c->ndevices;
	left = c->ndevices ? (out->jobs - (out->done < out->jobs ? out->done : out->jobs)) / c->ndevices : 0;
	for (size_t d = 0; d < c->ndevices; d++) {
		const struct camp_device_cost *x = &out->device[d];
		double images = (double)c->ninputs, runs = x->history ? x->image_s : x->image_s * images, n = (double)left;
		double around = x->original_s * (images * (c->config->repeat + c->config->control_mutants) +
						 (c->config->controls > 0 ? 8 * n / c->config->controls : 0));

		if (!x->known)
			continue;
		widest = fmax(widest, around + n * fmax(runs, x->build_s));
		out->high_s += around + n * (runs + x->build_s);
	}
	out->low_s = fmin(widest, out->high_s);
}

/* Rows as the store keeps them, when every mutant changes every score. */
static uint64_t bytes_of(const struct camp *c, const struct camp_cost *x)
{
	uint64_t k = (uint64_t)(c->config->top_k < c->model->classes ? c->config->top_k : c->model->classes);
	uint64_t row = 320 + 8 * k, logits = c->config->keep_logits ? 60 + 4 * (uint64_t)c->model->classes : 0;
	uint64_t original = 120 + 8 * k + 4 * (uint64_t)c->model->classes + (c->ninputs ? 8192 : 0);

	return (1u << 20) + x->jobs * c->ninputs * (row + logits) + x->jobs * 600 + c->nmutants * 6144 + c->ndevices * c->ninputs * original;
}

bool camp_estimate(struct camp *c, const char *history, struct camp_cost *out, struct err *e)
{
	*out = (struct camp_cost){.device = ARENA_ARRAY(c->a, struct camp_device_cost, c->ndevices + 1)};
	for (size_t d = 0; d < c->ndevices; d++)
		out->device[d].name = c->device[d].name;
	camp_tell(c, "trying a few mutants");
	if (!read_history(c, history, out, e) || !try_some(c, out, e))
		return false;
	add_up(c, out);
	out->bytes = bytes_of(c, out);
	return true;
}
