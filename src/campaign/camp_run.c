/* camp_run.c: the mutants, in groups between control runs of the original
 *
 * A group's mutants are made, submitted for every device and stored as they finish. When not all images' baseline tensors fit
 * the memory budget, the group passes over the images chunk by chunk. After each group the original is run again: if it is not
 * what it was, the group's results on that device are withdrawn and run again, three times at most; then the device is set aside.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "campaign/campaign_internal.h"

#define GROUP_WITHOUT_CONTROLS 200
#define CONTROL_TRIES 3

/* A mutant for one variant. */
struct made_program {
	struct comp_program *program;
	struct bundle *bundle;            /* NULL: decided without running */
	enum outcome decided;
	const char *message;
};

/* A mutant of the group, made once for all devices. */
struct made {
	struct arena *a;
	struct made_program *program;     /* per variant */
	struct tensor **input;            /* of an input mutant; NULL: the campaign's */
};

struct group {
	struct arena *a;
	size_t first, n;                  /* of campaign.mutant */
	struct made *made;
	struct camp_pending *pending;     /* n x ndevices */
	bool *redo;                       /* per device: withdrawn, run again */
};

double camp_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void camp_tell(struct camp *c, const char *phase)
{
	if (phase)
		c->progress.phase = phase;
	c->progress.elapsed_s = camp_now() - c->started;
	if (c->hooks && c->hooks->progress)
		c->hooks->progress(&c->progress, c->hooks->user);
}

bool camp_stopping(struct camp *c)
{
	if (c->hooks && c->hooks->stop && c->hooks->stop(c->hooks->user))
		c->stopped = true;
	return c->stopped;
}

static struct camp_pending *pending(const struct camp *c, struct group *g, size_t m, size_t d)
{
	return &g->pending[m * c->ndevices + d];
}

/* The same mutant of another variant's functions; false: there is no such place. */
static bool counterpart(struct camp *c, const struct mutant *m, size_t v, struct arena *a, struct mutant *out, struct err *why)
{
	*out = *m;
	return !v || m->all || m->op->kind != MUT_LOOP || mut_parse(a, &c->variant[v].program.subject, m->id, out, why);
}

/* Applies the mutation and compiles the result; what goes wrong here is the mutant's outcome, not the campaign's end. */
static void make_variant(struct camp *c, const struct mutant *m, struct made *made, size_t v)
{
	struct camp_variant *variant = &c->variant[v];
	struct made_program *out = &made->program[v], *functions = &made->program[variant->of];
	struct mutant own;
	struct err why = {0};
	bool same = false, ok;

	if (variant->of != v) {
		*out = *functions;
		if (!out->bundle)
			return;
		ok = comp_bundle(made->a, out->program, variant->target.dialect, &out->bundle, &why);
	} else if (!counterpart(c, m, v, made->a, &own, &why)) {
		out->decided = OUTCOME_NO_SITE;
		out->message = arena_strdup(made->a, err_text(&why));
		err_free(&why);
		return;
	} else {
		ok = camp_mutate(made->a, c->model, &variant->program, &own, &out->bundle, &out->program, &same, &why);
	}
	if (!ok) {
		out->bundle = NULL;
		out->decided = why.code == ERR_BAD_IR ? OUTCOME_TOOL_ERROR : OUTCOME_BUILD_FAILED;
		out->message = arena_strdup(made->a, err_text(&why));
	} else if (same) {
		out->bundle = NULL;
		out->decided = OUTCOME_NO_EFFECT;
	}
	err_free(&why);
}

static bool make(struct camp *c, const struct mutant *m, struct made *out, struct err *e)
{
	out->a = arena_new(c->a);
	out->program = ARENA_ARRAY(out->a, struct made_program, c->nvariants);
	if (m->op->kind == MUT_INPUT && m->sites && !camp_inputs_edited(out->a, c->model, c->input, c->ninputs, mut_input_edit(m), &out->input, e))
		return false;
	for (size_t v = 0; v < c->nvariants; v++) {
		if (!m->sites)
			out->program[v].decided = OUTCOME_NO_SITE;
		else if (m->op->kind == MUT_INPUT)
			out->program[v].bundle = c->variant[v].program.bundle;
		else
			make_variant(c, m, out, v);
	}
	return true;
}

static struct made_program *made_for(const struct camp *c, const struct made *m, size_t d)
{
	return &m->program[c->device[d].variant];
}

static bool decide(struct camp *c, struct group *g, size_t m, struct err *e)
{
	const struct mutant *mutant = &c->mutant[g->first + m];
	struct made *made = &g->made[m];
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
		}
		p->wanted = !has;
		any = any || !has;
	}
	if (!any)
		return true;
	if (!made->a && !make(c, mutant, made, e))
		return false;
	for (size_t d = 0; d < c->ndevices; d++) {
		struct camp_pending *p = pending(c, g, m, d);

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

static struct pool_input *inputs_of(struct camp *c, struct arena *a, struct tensor *const *edited, size_t first, size_t n)
{
	struct pool_input *in = ARENA_ARRAY(a, struct pool_input, n);

	for (size_t i = 0; i < n; i++) {
		in[i].name = c->input[first + i].name;
		in[i].tensor = (const struct tensor *const *)(edited ? &edited[first + i] : &c->input[first + i].tensor);
		in[i].ntensors = 1;
	}
	return in;
}

static bool submit_chunk(struct camp *c, struct group *g, size_t first, size_t n, size_t *jobs, struct err *e)
{
	struct pool_input *plain = inputs_of(c, g->a, NULL, first, n);

	for (size_t m = 0; m < g->n; m++)
		for (size_t d = 0; d < c->ndevices; d++) {
			struct camp_pending *p = pending(c, g, m, d);
			struct pool_job j = {
			        .id = m * c->ndevices + d, .device = d, .input = plain, .ninputs = n, .time_limit_s = c->device[d].time_limit_s};

			if (!p->wanted || p->ended)
				continue;
			j.bundle = made_for(c, &g->made[m], d)->bundle;
			if (!c->options->no_reuse)
				j.baseline = camp_original(c, d);
			if (g->made[m].input) {
				j.baseline_input = plain;
				j.input = inputs_of(c, g->a, g->made[m].input, first, n);
			}
			if (!pool_submit(c->pool, &j, e))
				return false;
			++*jobs;
		}
	return true;
}

static bool run_chunk(struct camp *c, struct group *g, size_t first, size_t n, bool last, struct err *e)
{
	size_t jobs = 0;

	if (!submit_chunk(c, g, first, n, &jobs, e))
		return false;
	while (jobs && !camp_stopping(c)) {
		struct arena *scratch = arena_new(g->a);
		struct camp_pending *p;
		struct pool_result r;
		bool got, ok;

		if (!pool_wait(c->pool, scratch, 0.2, &got, &r, e))
			return false;
		camp_tell(c, NULL);
		if (!got) {
			arena_free(scratch);
			continue;
		}
		jobs--;
		p = &g->pending[r.job];
		camp_take(c, g->a, r.device, first, &r, p);
		ok = !(last || p->ended) || camp_store(c, r.device, p, e);
		arena_free(scratch);
		if (!ok)
			return false;
		if (p->ended)
			p->wanted = false;
	}
	return true;
}

static bool run_group(struct camp *c, struct group *g, struct err *e)
{
	for (size_t m = 0; m < g->n && !camp_stopping(c); m++) {
		if (!decide(c, g, m, e))
			return false;
		camp_tell(c, "mutants");
	}
	for (size_t first = 0; first < c->ninputs && !c->stopped; first += c->chunk) {
		size_t n = c->ninputs - first < c->chunk ? c->ninputs - first : c->chunk;

		if (c->chunk < c->ninputs)
			pool_forget(c->pool);
		if (!run_chunk(c, g, first, n, first + n == c->ninputs, e))
			return false;
	}
	return true;
}

static bool withdraw(struct camp *c, struct group *g, size_t d, struct err *e)
{
	for (size_t m = 0; m < g->n; m++)
		if (!store_withdraw(c->store, c->mutant[g->first + m].id, c->device[d].name, e))
			return false;
	c->progress.done -= c->progress.done < g->n ? c->progress.done : g->n;
	return true;
}

/* The group, again while its control fails. */
static bool run_controlled(struct camp *c, struct group *g, struct err *e)
{
	bool *good = ARENA_ARRAY(g->a, bool, c->ndevices), *redo = ARENA_ARRAY(g->a, bool, c->ndevices);

	for (int tries = 0;; tries++) {
		bool again = false;

		if (!run_group(c, g, e))
			return false;
		if (c->stopped || !c->config->controls)
			return true;
		if (!camp_control(c, good, e))
			return false;
		for (size_t d = 0; d < c->ndevices && !c->stopped; d++) {
			redo[d] = !good[d];
			if (good[d] || pool_device_error(c->pool, d)) /* a lost device says nothing against what it did before */
				continue;
			if (!withdraw(c, g, d, e))
				return false;
			if (tries + 1 < CONTROL_TRIES) {
				log_warn("device '%s': the original no longer gives what it gave; %zu mutants are run again", c->device[d].name, g->n);
				pool_restart(c->pool, d);
				again = true;
			} else {
				log_warn("device '%s' is set aside: its control run failed %d times", c->device[d].name, CONTROL_TRIES);
				c->device[d].dead = true;
			}
		}
		if (!again || c->stopped)
			return true;
		g->redo = redo;
	}
}

static bool run_all(struct camp *c, struct err *e)
{
	size_t size = c->config->controls > 0 ? (size_t)c->config->controls : GROUP_WITHOUT_CONTROLS;
	bool ok = true;

	for (size_t first = 0; ok && first < c->nmutants && !c->stopped; first += size) {
		struct group g = {.a = arena_new(c->a), .first = first};

		g.n = c->nmutants - first < size ? c->nmutants - first : size;
		g.made = ARENA_ARRAY(g.a, struct made, g.n);
		g.pending = ARENA_ARRAY(g.a, struct camp_pending, g.n * c->ndevices);
		ok = run_controlled(c, &g, e);
		if (c->stopped)
			pool_close(c->pool), c->pool = NULL; /* jobs under way still point into the group */
		for (size_t m = 0; m < g.n; m++)
			arena_free(g.made[m].a);
		arena_free(g.a);
	}
	return ok;
}

/* Per cent of the counted outcomes, over all devices, killed by the criterion of fail-under. */
static bool summarise(struct camp *c, struct camp_summary *out, struct err *e)
{
	struct store_counts n;
	unsigned bit = STORE_KILL_LABEL;
	int criterion = 0;

	if (!store_count(c->store, NULL, NULL, NULL, &n, e))
		return false;
	if (c->config->fail_under_criterion)
		store_criterion_parse(c->config->fail_under_criterion, &bit);
	while (criterion < STORE_CRITERIA - 1 && !(bit & (1u << criterion)))
		criterion++;
	out->killed_percent = n.counted ? 100.0 * (double)n.killed[criterion] / (double)n.counted : 0;
	out->below = c->config->fail_under >= 0 && out->killed_percent < c->config->fail_under;
	out->mutants = c->nmutants;
	out->jobs = c->progress.jobs;
	out->done = c->progress.done;
	out->resumed = c->progress.resumed;
	out->stopped = c->stopped;
	out->elapsed_s = camp_now() - c->started;
	return true;
}

/* Devices whose results are missing: not there from the start, lost, or set aside. */
static void count_lost(struct camp *c, struct camp_summary *out)
{
	for (size_t d = 0; c->pool && d < c->ndevices; d++) {
		if (!c->device[d].dead && !pool_device_error(c->pool, d))
			continue;
		if (!out->nlost++)
			snprintf(out->lost, sizeof out->lost, "%s", c->device[d].name);
	}
}

static bool keep_stats(struct camp *c, const struct pool_stats *s, struct err *e)
{
	char text[64];

	snprintf(text, sizeof text, "%.3f", camp_now() - c->started);
	if (!store_set(c->store, "last-run-seconds", text, e))
		return false;
	snprintf(text, sizeof text, "%llu", (unsigned long long)s->workers_lost);
	return store_set(c->store, "workers-lost", text, e);
}

bool camp_run(const struct config_campaign *config, const char *store_path, const struct camp_run_options *o, const struct camp_hooks *h,
              struct camp_summary *out, struct err *e)
{
	static const struct camp_run_options defaults;
	struct camp c = {.a = arena_new(NULL), .config = config, .options = o ? o : &defaults, .hooks = h, .started = camp_now()};
	bool ok;

	*out = (struct camp_summary){0};
	ok = camp_prepare(&c, store_path, e) && camp_baselines(&c, e) && (c.stopped || run_all(&c, e));
	if (ok && c.pool)
		out->pool = pool_stats(c.pool);
	count_lost(&c, out);
	ok = ok && keep_stats(&c, &out->pool, e) && summarise(&c, out, e);
	camp_end(&c);
	arena_free(c.a);
	return ok;
}
