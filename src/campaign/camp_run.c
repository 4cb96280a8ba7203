/* camp_run.c: a campaign from beginning to end: the plan, the original, the mutants group by group, the sum */
#include <stdio.h>

#include "campaign/campaign_internal.h"

#define GROUP_WITHOUT_CONTROLS 200
#define MAX_PASSES 3

/* Every mutant of the plan has its result on every device that works, and a control came behind it. */
static bool nothing_left(struct camp *c, bool *nothing, struct err *e)
{
	*nothing = true;
	for (size_t d = 0; d < c->ndevices; d++) {
		bool unconfirmed = false;

		if (c->device[d].dead)
			continue;
		for (size_t m = 0; *nothing && m < c->nmutants; m++)
			if (!store_has_result(c->store, c->mutant[m].id, c->device[d].name, nothing, e))
				return false;
		if (c->config->controls > 0 && !store_unconfirmed(c->store, c->device[d].name, &unconfirmed, e))
			return false;
		c->unconfirmed = c->unconfirmed || unconfirmed;
	}
	*nothing = *nothing && !c->unconfirmed;
	return true;
}

static size_t group_size(const struct camp *c)
{
	return c->config->controls > 0 ? (size_t)c->config->controls : GROUP_WITHOUT_CONTROLS;
}

static bool run_all(struct camp *c, struct err *e)
{
	size_t size = group_size(c);
	uint64_t resumed = 0;
	int passes = 0;

	if (!camp_twins_load(c, e))
		return false;
	do { /* a failed control may take back what an earlier run of the campaign left unconfirmed */
		c->again = false;
		c->progress.done = c->progress.resumed = 0;
		for (size_t d = 0; d < c->ndevices; d++)
			c->device[d].done = 0;
		for (size_t first = 0; first < c->nmutants && !c->stopped; first += size)
			if (!camp_group(c, first, c->nmutants - first < size ? c->nmutants - first : size, size, e))
				return false;
		resumed = passes ? resumed : c->progress.resumed;
	} while (c->again && !c->stopped && ++passes < MAX_PASSES);
	c->progress.resumed = resumed;
	return true;
}

/* Reports say what became of a device, too, when the terminal is gone. The next run of the campaign tries it again. */
static bool record_missing(struct camp *c, struct err *e)
{
	for (size_t d = 0; d < c->ndevices; d++) {
		const char *aside = c->device[d].aside, *lost = c->pool && !c->device[d].row.error ? pool_device_error(c->pool, d) : NULL;

		if ((aside || lost) && !camp_record_device(c, d, arena_printf(c->a, aside ? "set aside: %s" : "lost: %s", aside ? aside : lost), e))
			return false;
	}
	return true;
}

static bool run_mutants(struct camp *c, struct err *e)
{
	bool nothing, ok;

	if (!nothing_left(c, &nothing, e))
		return false;
	if (nothing) {
		for (size_t d = 0; d < c->ndevices; d++)
			c->progress.done += c->device[d].done = c->device[d].dead ? 0 : c->nmutants;
		c->progress.resumed = c->progress.done;
		return true;
	}
	camp_ahead_begin(c, 0, group_size(c));
	ok = camp_baselines(c, e) && (c->stopped || run_all(c, e));
	return record_missing(c, ok ? e : NULL) && ok;
}

/* Stopped before its groups were reached, a campaign has results of earlier runs that no group has counted. */
static bool count_done(struct camp *c, struct err *e)
{
	uint64_t done = 0;

	for (size_t d = 0; d < c->ndevices; d++)
		for (size_t m = 0; m < c->nmutants; m++) {
			bool has = !c->mutant[m].sites;

			if (!has && !store_has_result(c->store, c->mutant[m].id, c->device[d].name, &has, e))
				return false;
			done += has;
		}
	c->progress.done = done;
	return true;
}

/* Per cent of the counted outcomes, over all devices, killed by the criterion of fail-under. */
static bool summarise(struct camp *c, struct camp_summary *out, struct err *e)
{
	struct store_counts n;
	unsigned bit = STORE_KILL_LABEL;
	int criterion = 0;

	if (!store_count(c->store, NULL, NULL, NULL, &n, e) || (c->stopped && !count_done(c, e)))
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
	out->out_of_time = c->out_of_time;
	out->elapsed_s = camp_now() - c->started;
	out->devices = c->ndevices;
	out->images = c->ninputs;
	out->launches_run = c->launches_run;
	out->launches_saved = c->launches_saved;
	for (size_t m = 0; m < c->nmutants; m++)
		out->with_site += c->mutant[m].sites != 0;
	camp_times_phase(c, camp_now());
	return true;
}

/* Devices whose results are missing: not there from the start, lost, or set aside. */
static void count_lost(struct camp *c, struct camp_summary *out)
{
	for (size_t d = 0; d < c->ndevices; d++) {
		if (!c->device[d].dead && !(c->pool && pool_device_error(c->pool, d)))
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

bool camp_run(const struct config_campaign *config, const char *store_path, const struct camp_run_options *o,
	      const struct camp_hooks *h, struct camp_summary *out, struct err *e)
{
	static const struct camp_run_options defaults;
	struct camp c = {.a = arena_new(NULL), .config = config, .options = o ? o : &defaults, .hooks = h, .fill = camp_fill(config), .started = camp_now()};
	bool ok;

	*out = (struct camp_summary){0};
	camp_times_begin(&c);
	c.phase_timed = c.started;
	camp_tell(&c, "reading the model");
	ok = camp_prepare(&c, store_path, e) && run_mutants(&c, e);
	if (ok && c.pool)
		out->pool = pool_stats(c.pool);
	count_lost(&c, out);
	ok = ok && keep_stats(&c, &out->pool, e) && summarise(&c, out, e);
	camp_tell_end(&c, ok);
	camp_end(&c);
	camp_times_end(&c, out);
	arena_free(c.a);
	return ok;
}
