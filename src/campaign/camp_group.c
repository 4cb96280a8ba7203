/* camp_group.c: some mutants of the plan on every device, and a control run of the original behind them
 *
 * They are made, submitted for every device and stored as they finish. When not all images' baseline tensors fit the memory budget,
 * the group passes over the images chunk by chunk. At the end the original is run again: if it is not what it was, what the device
 * said since its last good control is withdrawn and run again; a device whose control fails three times is set aside.
 */
#include <string.h>

#include "campaign/campaign_internal.h"

#define CONTROL_TRIES 3

struct group {
	struct arena *a;
	size_t first, n; /* of campaign.mutant */
	struct camp_made *made;
	struct camp_pending *pending; /* n x ndevices */
	bool *redo;                   /* per device: withdrawn, run again */
	size_t jobs;                  /* given to the pool */
};

static struct camp_pending *pending(const struct camp *c, struct group *g, size_t m, size_t d)
{
	return &g->pending[m * c->ndevices + d];
}

static struct camp_made_program *made_for(const struct camp *c, const struct camp_made *m, size_t d)
{
	return &m->program[c->device[d].variant];
}

static bool keep_sources(struct camp *c, const struct mutant *m, const struct camp_made *made, struct err *e)
{
	double began = camp_now();
	bool ok = camp_sources(c, m, made, e);

	c->times.store_s += camp_now() - began;
	return ok;
}

static bool commit(struct camp *c, struct err *e)
{
	double began = camp_now();
	bool ok = store_commit(c->store, e);

	c->times.store_s += camp_now() - began;
	return ok;
}

static bool decide(struct camp *c, struct group *g, size_t m, struct err *e)
{
	const struct mutant *mutant = &c->mutant[g->first + m];
	struct camp_made *made = &g->made[m];
	bool any = false;

	for (size_t d = 0; d < c->ndevices; d++) {
		struct camp_pending *p = pending(c, g, m, d);
		bool has = false;

		*p = (struct camp_pending){.result = {.mutant = mutant->id, .device = c->device[d].name}};
		if (c->device[d].dead || (g->redo && !g->redo[d]))
			continue;
		if (!store_has_result(c->store, mutant->id, c->device[d].name, &has, e))
			return false;
		if (has) {
			c->progress.done++;
			c->progress.resumed++;
			c->device[d].done++;
		}
		p->wanted = !has;
		p->runs = 0;
		any = any || !has;
	}
	if (!any)
		return true;
	if ((!made->a && !camp_make(c, mutant, made, e)) || (!made->told && !keep_sources(c, mutant, made, e)))
		return false;
	made->told = true;
	for (size_t d = 0; d < c->ndevices; d++) {
		struct camp_pending *p = pending(c, g, m, d);

		p->program = made_for(c, made, d)->program;
		p->races = made_for(c, made, d)->races && !camp_in_order(c->variant[c->device[d].variant].target.dialect);
		p->changed = made_for(c, made, d)->bundle && made_for(c, made, d)->bundle != camp_original(c, d);
		p->looks = made_for(c, made, d)->looks;
		if (!p->wanted || made_for(c, made, d)->bundle)
			continue;
		p->wanted = false;
		p->result.outcome = made_for(c, made, d)->decided;
		p->result.message = made_for(c, made, d)->message;
		if (!camp_store(c, d, p, e))
			return false;
	}
	return true;
}

/* The images under way: all mutants of the group run on them. */
struct chunk {
	struct camp *c;
	struct group *g;
	const struct pool_input *plain;
	size_t first, n;
};

/* The pool has built a job's program. */
static bool wanted(void *user, const struct pool_job *job, struct hash code)
{
	const struct chunk *k = user;
	struct camp_pending *p = &k->g->pending[job->id];

	return p->runs || p->refilled || camp_twin_first(k->c, job->device, p->result.mutant, code, &p->twin);
}

static bool submit(struct chunk *k, size_t m, size_t d, struct err *e)
{
	struct camp *c = k->c;
	const struct camp_pending *p = pending(c, k->g, m, d);
	size_t at = p->refilled ? p->refill_at : 0;
	struct pool_job j = {.id = m * c->ndevices + d,
			     .device = d,
			     .input = k->plain + at,
			     .ninputs = p->refilled ? p->refill_n : k->n,
			     .time_limit_s = c->device[d].time_limit_s,
			     .fill = c->fill,
			     .user = k};
	struct camp_made_program *made = made_for(c, &k->g->made[m], d);

	j.bundle = made->bundle;
	if (p->refilled) {
		if (!camp_other_bundle(c, k->g->made[m].a, d, made, e))
			return false;
		j.bundle = made->other;
		j.fill = camp_other_fill(c->fill);
		j.run_equivalent = true; /* with what the original stores, say, where the mutant stores nothing */
	}
	if (j.bundle->nreports)
		j.time_limit_s *= c->config->sanitize ? CAMP_SANITIZE_SLOW : 1;
	if (!c->options->no_reuse)
		j.baseline = camp_original(c, d);
	else
		j.alone = true;
	if (k->g->made[m].input) {
		j.baseline_input = j.input;
		j.input = camp_pool_inputs(c, k->g->a, k->g->made[m].input, k->first + at, j.ninputs);
	} else if (!c->options->no_reuse && !k->first && c->fill.kind != FILL_STALE) {
		j.wanted = wanted;
	}
	k->g->jobs++;
	return pool_submit(c->pool, &j, e);
}

static bool submit_all(struct chunk *k, size_t *jobs, struct err *e)
{
	for (size_t m = 0; m < k->g->n; m++)
		for (size_t d = 0; d < k->c->ndevices; d++) {
			const struct camp_pending *p = pending(k->c, k->g, m, d);

			if (!p->wanted || p->ended || p->twin)
				continue;
			if (!submit(k, m, d, e))
				return false;
			++*jobs;
		}
	return true;
}

/* One job is over, or is to be run again. */
static bool take(struct chunk *k, const struct pool_result *r, size_t *jobs, struct err *e)
{
	struct camp *c = k->c;
	struct camp_pending *p = &k->g->pending[r->job];

	--*jobs;
	c->device[r->device].refused = c->device[r->device].refused || r->status == POOL_BUILD_FAILED;
	if (r->status == POOL_SKIPPED) {
		p->wanted = false;
		return true;
	}
	if (!camp_confirm(c, k->g->a, r->device, k->first, r, p)) {
		++*jobs;
		return submit(k, r->job / c->ndevices, r->device, e);
	}
	if ((p->ended || k->first + k->n == c->ninputs) && !camp_store(c, r->device, p, e))
		return false;
	if (p->ended)
		p->wanted = false;
	return true;
}

static bool run_chunk(struct chunk *k, struct err *e)
{
	struct camp *c = k->c;
	size_t jobs = 0;

	k->plain = camp_pool_inputs(c, k->g->a, NULL, k->first, k->n);
	if (!submit_all(k, &jobs, e))
		return false;
	while (jobs && !camp_stopping(c)) {
		struct arena *scratch = arena_new(k->g->a);
		struct pool_result r;
		bool got, more, ok;

		ok = camp_ahead_step(c, &more, e) && pool_wait(c->pool, scratch, more ? 0 : 0.2, &got, &r, e);
		camp_tell(c, NULL);
		ok = ok && (!got || take(k, &r, &jobs, e));
		arena_free(scratch);
		if (!ok)
			return false;
	}
	return true;
}

/* Copies of rows, many at once. */
static bool store_twins(struct camp *c, struct group *g, struct err *e)
{
	bool ok = store_begin(c->store, e);

	if (!ok)
		return false;
	for (size_t i = 0; ok && i < g->n * c->ndevices; i++)
		ok = !g->pending[i].twin || camp_twin_store(c, i % c->ndevices, &g->pending[i], e);
	if (ok)
		return commit(c, e);
	store_rollback(c->store);
	return false;
}

/* In one transaction: each of their own would wait for the disk. Nothing of it has cost a run. */
static bool decide_all(struct camp *c, struct group *g, struct err *e)
{
	bool ok = true;

	if (!store_begin(c->store, e))
		return false;
	for (size_t m = 0; ok && m < g->n && !camp_stopping(c); m++) {
		ok = decide(c, g, m, e);
		camp_tell(c, "mutants");
	}
	if (ok)
		return commit(c, e);
	store_rollback(c->store);
	return false;
}

static bool run_group(struct camp *c, struct group *g, struct err *e)
{
	if (!decide_all(c, g, e))
		return false;
	for (size_t first = 0; first < c->ninputs && !c->stopped; first += c->chunk) {
		struct chunk k = {.c = c, .g = g, .first = first};

		k.n = c->ninputs - first < c->chunk ? c->ninputs - first : c->chunk;
		if (c->chunk < c->ninputs)
			pool_forget(c->pool);
		if (!run_chunk(&k, e))
			return false;
	}
	return c->stopped || store_twins(c, g, e);
}

/* The device's control run failed: what it said since the last good one is not believed. */
static bool withdraw(struct camp *c, size_t d, struct err *e)
{
	struct camp_device_state *s = &c->device[d];
	struct store_counts n;
	int64_t taken;

	if (!store_withdraw(c->store, c->device[d].name, &taken, e) || !store_count(c->store, NULL, NULL, NULL, &n, e))
		return false;
	c->progress.done -= c->progress.done < (uint64_t)taken ? c->progress.done : (uint64_t)taken;
	c->device[d].done -= c->device[d].done < (uint64_t)taken ? c->device[d].done : (uint64_t)taken;
	c->again = true;
	for (int o = 0; o < OUTCOME_COUNT; o++)
		c->progress.by_outcome[o] = (uint64_t)n.outcome[o];
	if (++s->failed_controls == CONTROL_TRIES) {
		camp_set_aside(c, d, arena_printf(c->a, "its control run failed %d times: %s", CONTROL_TRIES, s->differs));
		return true;
	}
	log_warn("device '%s': the original is no longer built, or no longer gives what it gave (%s); %lld mutants are run again", s->name, s->differs,
		 (long long)taken);
	pool_restart(c->pool, d);
	return true;
}

/* The group, again while its control fails. */
static bool run_controlled(struct camp *c, struct group *g, struct err *e)
{
	bool *redo = ARENA_ARRAY(g->a, bool, c->ndevices), again = true;

	for (size_t d = 0; d < c->ndevices; d++)
		c->device[d].failed_controls = 0;
	while (again) {
		again = false;
		c->group++;
		if (!run_group(c, g, e))
			return false;
		if (c->stopped || !c->config->controls || (!g->jobs && !c->unconfirmed))
			return true;
		if (!camp_control(c, e))
			return false;
		for (size_t d = 0; d < c->ndevices && !c->stopped; d++) {
			redo[d] = false;
			if (c->device[d].dead ||
			    pool_device_error(c->pool, d)) /* a lost device says nothing against what it did before */
				continue;
			if (c->device[d].differs ? !withdraw(c, d, e) : !store_confirm(c->store, c->device[d].name, e))
				return false;
			redo[d] = c->device[d].differs && !c->device[d].dead;
			again = again || redo[d];
		}
		g->redo = redo;
		c->unconfirmed = c->unconfirmed && c->stopped;
	}
	return true;
}

bool camp_group(struct camp *c, size_t first, size_t n, size_t size, struct err *e)
{
	struct group g = {.a = arena_new(c->a), .first = first, .n = n};
	bool ok;

	g.made = camp_ahead_take(c, g.a, first, n);
	camp_ahead_begin(c, first + n, size);
	g.pending = ARENA_ARRAY(g.a, struct camp_pending, g.n * c->ndevices);
	c->group_first = first;
	c->in_group = true;
	ok = run_controlled(c, &g, e);
	c->in_group = false;
	if (!ok || c->stopped)
		pool_close(c->pool), c->pool = NULL; /* jobs under way still point into the group */
	for (size_t m = 0; m < g.n; m++)
		arena_free(g.made[m].a);
	arena_free(g.a);
	return ok;
}
