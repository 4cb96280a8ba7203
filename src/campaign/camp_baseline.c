/* camp_baseline.c: the original - its answers, its noise, its time, and whether it still is what it was */
#include <math.h>
#include <string.h>

#include "campaign/campaign_internal.h"

#define CONTROL_INPUTS 8

/* Inputs first..first+n as the pool wants them. */
static struct pool_input *pool_inputs(struct camp *c, struct arena *a, size_t first, size_t n)
{
	struct pool_input *in = ARENA_ARRAY(a, struct pool_input, n);

	for (size_t i = 0; i < n; i++)
		in[i] = (struct pool_input){.name = c->input[first + i].name, .tensor = (const struct tensor *const *)&c->input[first + i].tensor,
		                            .ntensors = 1};
	return in;
}

/* Waits until `jobs` results are in; calls take for each. */
static bool wait_all(struct camp *c, struct arena *a, size_t jobs, bool (*take)(struct camp *, const struct pool_result *, void *, struct err *),
                     void *user, struct err *e)
{
	while (jobs) {
		struct pool_result r;
		bool got;

		if (!pool_wait(c->pool, a, 0.2, &got, &r, e))
			return false;
		camp_tell(c, NULL);
		if (camp_stopping(c))
			return true;
		if (!got)
			continue;
		jobs--;
		if (!take(c, &r, user, e))
			return false;
	}
	return true;
}

struct first_run {
	size_t first;
	bool again; /* measuring noise, not answers */
};

static bool take_first(struct camp *c, const struct pool_result *r, void *user, struct err *e)
{
	const struct first_run *run = user;
	struct camp_device_state *d = &c->device[r->device];

	if (r->status != POOL_DONE) { /* the others go on */
		bool lost = r->status == POOL_LOST && pool_device_error(c->pool, r->device);

		d->dead = true;
		for (size_t i = 0; i < c->ndevices; i++) {
			if (c->device[i].dead)
				continue;
			if (!lost)
				log_warn("device '%s' is set aside: the original fails on it: %s", d->name, r->text);
			return true;
		}
		if (lost)
			return err_set(e, ERR_DEVICE, "device '%s' was lost: %s", d->name, pool_device_error(c->pool, r->device));
		return err_set(e, ERR_DEVICE, "the original fails on device '%s': %s%s%s", d->name, r->text, r->log ? "\n" : "", r->log ? r->log : "");
	}
	for (size_t i = 0; i < r->nimages; i++) {
		const float *scores = camp_scores(c->a, c->model, r->image[i].output);
		size_t at = run->first + i;
		double limit = r->image[i].time_s * c->config->time_limit_factor;

		if (run->again) {
			struct distance x;

			distance_f32(d->logits[at], scores, c->model->classes, &x);
			d->noise[at] = fmax(d->noise[at], x.special_differs ? INFINITY : x.max_abs);
			continue;
		}
		d->logits[at] = arena_memdup(c->a, scores, (size_t)c->model->classes * sizeof *scores);
		d->noise[at] = c->config->tolerance;
		limit = limit > c->config->time_limit_min ? limit : c->config->time_limit_min;
		if (limit > d->time_limit_s)
			d->time_limit_s = limit;
	}
	return true;
}

static bool run_original(struct camp *c, size_t first, size_t n, bool again, struct err *e)
{
	struct first_run run = {first, again};
	struct arena *a = arena_new(c->a);
	size_t jobs = 0;
	bool ok = true;

	for (size_t d = 0; ok && d < c->ndevices; d++) {
		struct pool_job j = {.id = d, .device = d, .bundle = camp_original(c, d), .input = pool_inputs(c, a, first, n), .ninputs = n};

		if (c->device[d].dead)
			continue;
		ok = pool_submit(c->pool, &j, e);
		jobs += ok;
	}
	ok = ok && wait_all(c, a, jobs, take_first, &run, e);
	arena_free(a);
	return ok;
}

static bool put_baselines(struct camp *c, struct err *e)
{
	struct arena *a = arena_new(c->a);
	bool ok = store_begin(c->store, e);

	for (size_t d = 0; ok && d < c->ndevices; d++)
		for (size_t i = 0; ok && i < c->ninputs && !c->device[d].dead; i++) {
			struct store_baseline b = {.device = c->device[d].name, .image = (int64_t)i, .noise_max_abs = c->device[d].noise[i]};

			camp_answer(a, c->model, c->device[d].logits[i], c->model->classes, c->config->top_k, &b.answer);
			ok = store_put_baseline(c->store, &b, e);
		}
	if (ok)
		ok = store_commit(c->store, e);
	else
		store_rollback(c->store);
	arena_free(a);
	return ok;
}

bool camp_baselines(struct camp *c, struct err *e)
{
	for (size_t d = 0; d < c->ndevices; d++) {
		c->device[d].logits = ARENA_ARRAY(c->a, const float *, c->ninputs);
		c->device[d].noise = ARENA_ARRAY(c->a, double, c->ninputs);
	}
	for (int run = 0; run < (c->config->repeat > 1 ? c->config->repeat : 1) && !c->stopped; run++)
		for (size_t first = 0; first < c->ninputs && !c->stopped; first += c->chunk) {
			size_t n = c->ninputs - first < c->chunk ? c->ninputs - first : c->chunk;

			camp_tell(c, run ? "measuring noise" : "running the original");
			if (!run_original(c, first, n, run > 0, e))
				return false;
		}
	return c->stopped || put_baselines(c, e);
}

static bool take_control(struct camp *c, const struct pool_result *r, void *user, struct err *e)
{
	const struct camp_device_state *d = &c->device[r->device];
	bool *good = user;

	(void)e;
	good[r->device] = r->status == POOL_DONE;
	for (size_t i = 0; good[r->device] && i < r->nimages; i++) {
		struct distance x;

		distance_f32(d->logits[i], camp_scores(c->a, c->model, r->image[i].output), c->model->classes, &x);
		good[r->device] = x.identical || (!x.special_differs && x.max_abs <= d->noise[i]);
	}
	return true;
}

bool camp_control(struct camp *c, bool *good, struct err *e)
{
	size_t n = c->ninputs < CONTROL_INPUTS ? c->ninputs : CONTROL_INPUTS, jobs = 0;
	struct arena *a = arena_new(c->a);
	bool ok = true;

	n = n < c->chunk ? n : c->chunk;
	for (size_t d = 0; ok && d < c->ndevices; d++) {
		struct pool_job j = {.id = d, .device = d, .bundle = camp_original(c, d), .input = pool_inputs(c, a, 0, n), .ninputs = n};

		good[d] = true;
		if (c->device[d].dead || pool_device_error(c->pool, d))
			continue;
		ok = pool_submit(c->pool, &j, e);
		jobs += ok;
	}
	ok = ok && wait_all(c, a, jobs, take_control, good, e);
	arena_free(a);
	return ok;
}
