/* camp_baseline.c: the original - its answers, its time, and whether it still is what it was
 *
 * A campaign that goes on judges by the answers and the noise that its store holds; the original must still give them.
 */
#include <math.h>
#include <string.h>

#include "campaign/campaign_internal.h"

#define DOUBT_LABELLED 8 /* images: fewer say nothing */
#define CONTROL_INPUTS 8

/* ---- the first run ---- */

/* The others go on; without others it is the end. */
static bool give_up(struct camp *c, struct camp_device_state *d, const struct pool_result *r, struct err *e)
{
	bool lost = r->status == POOL_LOST && pool_device_error(c->pool, r->device);

	d->dead = true;
	for (size_t i = 0; i < c->ndevices; i++) {
		if (c->device[i].dead)
			continue;
		if (!lost)
			camp_set_aside(c, r->device, arena_printf(c->a, "the original fails on it: %s%s%.500s", r->text, r->log ? "\n" : "", r->log ? r->log : ""));
		return true;
	}
	if (lost)
		return err_set(e, ERR_DEVICE, "device '%s' was lost: %s", d->name, pool_device_error(c->pool, r->device));
	return err_set(e, ERR_DEVICE, "the original fails on device '%s': %s%s%s", d->name, r->text, r->log ? "\n" : "",
		       r->log ? r->log : "");
}

static bool take_first(struct camp *c, const struct pool_result *r, void *user, struct err *e)
{
	struct camp_device_state *d = &c->device[r->device];
	size_t first = camp_original_first(c, r);

	(void)user;
	if (d->dead) /* for what another part of the images did */
		return true;
	if (r->status != POOL_DONE)
		return give_up(c, d, r, e);
	for (size_t i = 0; i < r->nimages; i++) {
		const float *scores = camp_scores(c->a, c->model, r->image[i].output);

		d->logits[first + i] = arena_memdup(c->a, scores, (size_t)c->model->classes * sizeof *scores);
		d->noise[first + i] = c->config->tolerance;
		d->seconds = fmax(d->seconds, r->image[i].time_s);
		d->time_limit_s =
		    fmax(d->time_limit_s, fmax(r->image[i].time_s * c->config->time_limit_factor, c->config->time_limit_min));
	}
	return true;
}

/* ---- what the store holds of an earlier run ---- */

static const char *program_fact(struct arena *a, const struct camp_device_state *d)
{
	return arena_printf(a, "original %s", d->name);
}

static const char *program_text(const struct camp *c, const struct camp_device_state *d, char hex[static HASH_HEX])
{
	return hash_hex(c->variant[d->variant].program.identity, hex);
}

/* Another build of this program writes other loops, and a mutant's id is then of another place. */
static bool same_program(struct camp *c, const struct camp_device_state *d, bool *same, struct err *e)
{
	char hex[HASH_HEX], *was;

	if (!store_get(c->store, c->a, program_fact(c->a, d), &was, e))
		return false;
	*same = !was || !strcmp(was, program_text(c, d, hex));
	return true;
}

/* Takes the store's answers and noise in place of the new ones, when the new ones lie within it. */
static bool freeze(struct camp *c, struct camp_device_state *d, struct err *e)
{
	const float **old = ARENA_ARRAY(c->a, const float *, c->ninputs);
	double *noise = ARENA_ARRAY(c->a, double, c->ninputs);
	size_t n = (size_t)c->model->classes, found = 0, other = c->ninputs;
	struct store_iter *it = store_baselines(c->store, d->name);
	struct store_baseline b;
	bool same = true;

	while (store_next_baseline(it, &b)) {
		struct distance x;

		if (b.image < 0 || (size_t)b.image >= c->ninputs || (size_t)b.answer.nlogits != n || old[b.image])
			continue;
		old[b.image] = arena_memdup(c->a, b.answer.logits, n * sizeof **old);
		noise[b.image] = b.noise_max_abs;
		found++;
		distance_f32(old[b.image], d->logits[b.image], (int64_t)n, &x);
		if (!x.identical && (x.special_differs || !(x.max_abs <= b.noise_max_abs)))
			other = (size_t)b.image;
	}
	if (!store_iter_end(it, e) || !same_program(c, d, &same, e))
		return false;
	if (!same) {
		camp_set_aside(c, (size_t)(d - c->device), "the original's kernels are not those that the store was begun with; use the mutatenn of then, or another store");
	} else if (other < c->ninputs) {
		camp_set_aside(c, (size_t)(d - c->device),
			       arena_printf(c->a, "on '%s' the original no longer gives what the store holds; use another store", c->input[other].name));
	} else if (found == c->ninputs) {
		d->logits = old;
		d->noise = noise;
		d->frozen = true;
	}
	return true;
}

static bool any_left(const struct camp *c, struct err *e)
{
	for (size_t d = 0; d < c->ndevices; d++)
		if (!c->device[d].dead)
			return true;
	return err_set(e, ERR_DEVICE, "no device is left: see the warnings above");
}

static bool put_device(struct camp *c, const struct camp_device_state *d, struct arena *a, struct err *e)
{
	char hex[HASH_HEX];

	for (size_t i = 0; i < c->ninputs; i++) {
		struct store_baseline b = {.device = d->name, .image = (int64_t)i, .noise_max_abs = d->noise[i]};

		camp_answer(a, c->model, d->logits[i], c->model->classes, c->config->top_k, &b.answer);
		if (!store_put_baseline(c->store, &b, e))
			return false;
	}
	if (!store_set(c->store, program_fact(a, d), program_text(c, d, hex), e))
		return false;
	return !d->noise_text || store_set(c->store, arena_printf(a, "noise %s", d->name), d->noise_text, e);
}

static bool put_baselines(struct camp *c, struct err *e)
{
	struct arena *a = arena_new(c->a);
	bool ok = store_begin(c->store, e);

	for (size_t d = 0; ok && d < c->ndevices; d++)
		ok = c->device[d].dead || c->device[d].frozen || put_device(c, &c->device[d], a, e);
	if (ok)
		ok = store_commit(c->store, e);
	else
		store_rollback(c->store);
	arena_free(a);
	return ok;
}

static uint64_t jobs_of(const struct camp *c, size_t n)
{
	uint64_t jobs = 0;

	for (size_t d = 0; d < c->ndevices; d++)
		jobs += !c->device[d].dead && !pool_device_error(c->pool, d) ? camp_original_jobs(c, d, n) : 0;
	return jobs;
}

static bool all_finite(const float *score, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		if (!isfinite(score[i]))
			return false;
	return true;
}

/* A classifier that is hardly ever right was hardly given what it was trained on, and then its verdicts are of little worth. */
static bool doubt_inputs(struct camp *c, struct err *e)
{
	size_t d = 0, unbounded = 0;
	struct store_summary sum;

	while (d < c->ndevices && c->device[d].dead)
		d++;
	if (d == c->ndevices)
		return true;
	for (size_t i = 0; i < c->ninputs; i++)
		unbounded += !all_finite(c->device[d].logits[i], c->model->classes);
	if (unbounded)
		log_warn("the original gives scores that are NaN or Inf on %zu of %zu images: what these show of a mutant is little; are the model's weights, "
			 "preprocessing and images right?",
			 unbounded, c->ninputs);
	if (!store_summarise(c->store, NULL, c->device[d].name, &sum, e))
		return false;
	if (sum.labelled >= DOUBT_LABELLED && sum.right * 4 < sum.labelled)
		log_warn("the original is right about %lld of %lld labelled images: are preprocessing%s and label offset those of the model? A side-car says "
			 "them ('mutatenn run --keys'); 'mutatenn infer' shows what it answers",
			 (long long)sum.right, (long long)sum.labelled, c->model->assumed_preprocess ? " (assumed)" : "");
	return true;
}

bool camp_baselines(struct camp *c, struct err *e)
{
	for (size_t d = 0; d < c->ndevices; d++) {
		c->device[d].logits = ARENA_ARRAY(c->a, const float *, c->ninputs);
		c->device[d].noise = ARENA_ARRAY(c->a, double, c->ninputs);
	}
	for (size_t first = 0; first < c->ninputs && !c->stopped; first += c->chunk) {
		size_t n = c->ninputs - first < c->chunk ? c->ninputs - first : c->chunk;

		camp_tell(c, "running the original");
		camp_expect(c, jobs_of(c, n) * ((c->ninputs - first + c->chunk - 1) / c->chunk));
		if (!camp_run_original(c, first, n, c->fill, NULL, false, take_first, NULL, e))
			return false;
	}
	for (size_t d = 0; d < c->ndevices && !c->stopped; d++)
		if (!c->device[d].dead && !freeze(c, &c->device[d], e))
			return false;
	if (!c->stopped && !camp_noise(c, e))
		return false;
	return c->stopped || (any_left(c, e) && put_baselines(c, e) && doubt_inputs(c, e) && camp_launch_times(c, e));
}

/* ---- controls ---- */

static bool take_control(struct camp *c, const struct pool_result *r, void *user, struct err *e)
{
	struct camp_device_state *d = &c->device[r->device];

	(void)user;
	(void)e;
	if (!d->differs && r->status != POOL_DONE) /* on one of its runners */
		d->differs = arena_printf(c->a, "%s%s%.500s", r->text, r->log ? ": " : "", r->log ? r->log : "");
	for (size_t i = 0; !d->differs && i < r->nimages; i++) {
		struct distance x;

		distance_f32(d->logits[i], camp_scores(c->a, c->model, r->image[i].output), c->model->classes, &x);
		if (!x.identical && (x.special_differs || !(x.max_abs <= d->noise[i])))
			d->differs = arena_printf(c->a, x.special_differs ? "on '%s' the original has NaN or Inf elsewhere than before"
									   : "on '%s' the original's scores are off by %.3g",
						  c->input[i].name, x.max_abs);
	}
	return true;
}

bool camp_control(struct camp *c, struct err *e)
{
	size_t n = c->ninputs < CONTROL_INPUTS ? c->ninputs : CONTROL_INPUTS;

	n = n < c->chunk ? n : c->chunk;
	for (size_t d = 0; d < c->ndevices; d++)
		c->device[d].differs = NULL;
	if (!camp_run_original(c, 0, n, c->fill, NULL, true, take_control, NULL, e))
		return false;
	for (size_t d = 0; d < c->ndevices; d++)
		c->device[d].refused = false;
	return true;
}
