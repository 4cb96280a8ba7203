/* lib_campaign.c: running a campaign */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "campaign/campaign.h"
#include "lib/lib_internal.h"

struct mutatenn_campaign {
	struct arena *a;
	struct config_campaign c;
	double max_time_s;
};

static struct mutatenn_campaign *campaign_new(void)
{
	struct arena *a = arena_new(NULL);
	struct mutatenn_campaign *c = ARENA_NEW(a, struct mutatenn_campaign);

	c->a = a;
	config_campaign_default(&c->c);
	return c;
}

struct mutatenn_campaign *mutatenn_campaign_read(const char *file, struct mutatenn_error *e)
{
	struct mutatenn_campaign *c = campaign_new();
	struct err err = {0};

	if (lib_end(config_campaign_read(c->a, file, &c->c, &err), &err, e))
		return c;
	mutatenn_campaign_close(c);
	return NULL;
}

static size_t split(struct arena *a, const char *text, char ***out)
{
	char *rest = arena_strdup(a, text), *word;
	size_t n = 0;

	*out = ARENA_ARRAY(a, char *, strlen(text) + 1);
	while ((word = strsep(&rest, ",")))
		if (*word)
			(*out)[n++] = word;
	return n;
}

static bool set_mutations(struct mutatenn_campaign *c, const char *value, struct err *e)
{
	char **name;
	size_t n = split(c->a, value, &name);

	c->c.nmutations = n;
	c->c.mutations = ARENA_ARRAY(c->a, struct config_mutation, n + 1);
	for (size_t i = 0; i < n; i++)
		*(mut_preset_find(name[i]) ? &c->c.mutations[i].preset : &c->c.mutations[i].op) = name[i];
	return n || err_set(e, ERR_USAGE, "mutations: '%s' names none", value);
}

static bool set_sites(struct mutatenn_campaign *c, const char *value, struct err *e)
{
	for (size_t i = 0; i < c->c.nmutations; i++) {
		if (!config_sites_parse(value, &c->c.mutations[i], e))
			return false;
		c->c.mutations[i].sites_text = arena_strdup(c->a, value);
	}
	return true;
}

static bool number(const char *key, const char *value, int64_t *out, struct err *e)
{
	char *end;

	errno = 0;
	*out = strtoll(value, &end, 10);
	return (!errno && end != value && !*end && *out >= 0 && *out <= INT_MAX) || err_set(e, ERR_USAGE, "%s: '%s' is no number from 0 to %d", key, value, INT_MAX);
}

static bool set(struct mutatenn_campaign *c, const char *key, const char *value, struct err *e)
{
	int64_t n = 0;

	if (!strcmp(key, "devices")) {
		c->c.ndevices = split(c->a, value, &c->c.devices);
		return c->c.ndevices || err_set(e, ERR_USAGE, "devices: '%s' names none", value);
	}
	if (!strcmp(key, "mutations"))
		return set_mutations(c, value, e);
	if (!strcmp(key, "sites"))
		return set_sites(c, value, e);
	if (!strcmp(key, "labels")) {
		c->c.labels = arena_strdup(c->a, value);
		return true;
	}
	if (!strcmp(key, "opt-level"))
		return number(key, value, &n, e) && (c->c.opt_level = (int)n, true);
	if (!strcmp(key, "threads"))
		return number(key, value, &n, e) && (c->c.threads = (int)n, true);
	if (!strcmp(key, "seed"))
		return number(key, value, &n, e) && (c->c.seed = (uint64_t)n, true);
	if (!strcmp(key, "image-sample"))
		return number(key, value, &n, e) && (c->c.image_sample = n, true);
	if (!strcmp(key, "max-time"))
		return number(key, value, &n, e) && (c->max_time_s = (double)n, true);
	return err_set(e, ERR_USAGE, "'%s' is not a key of mutatenn_campaign_set: devices, mutations, sites, opt-level, seed, threads, image-sample, labels, max-time", key);
}

bool mutatenn_campaign_set(struct mutatenn_campaign *c, const char *key, const char *value, struct mutatenn_error *e)
{
	struct err err = {0};

	return lib_end(set(c, key, value, &err), &err, e);
}

struct mutatenn_campaign *mutatenn_campaign_new(const char *model, const char *images)
{
	struct mutatenn_campaign *c = campaign_new();

	c->c.model = arena_strdup(c->a, model);
	c->c.images = arena_strdup(c->a, images);
	set(c, "devices", "host-gcc", NULL);
	set(c, "mutations", "mutatenn-paper", NULL);
	return c;
}

void mutatenn_campaign_close(struct mutatenn_campaign *c)
{
	if (c)
		arena_free(c->a);
}

/* ---- running ---- */

struct watch {
	bool (*progress)(const struct mutatenn_progress *p, void *user);
	void *user;
	bool stop;
};

static void tell(const struct camp_progress *p, void *user)
{
	struct watch *w = user;
	struct mutatenn_progress x = {.jobs = p->jobs, .done = p->done, .resumed = p->resumed, .elapsed_s = p->elapsed_s, .phase = p->phase};

	if (w->progress && !w->stop)
		w->stop = !w->progress(&x, w->user);
}

static bool asked_to_stop(void *user)
{
	return ((struct watch *)user)->stop;
}

static bool run(const struct mutatenn_campaign *c, const char *store, struct watch *w, struct err *e)
{
	struct camp_hooks hooks = {.progress = tell, .stop = asked_to_stop, .user = w};
	struct camp_run_options o = {.max_time_s = c->max_time_s};
	struct camp_summary sum;

	if (!config_campaign_check(&c->c, e) || !camp_run(&c->c, store, &o, &hooks, &sum, e))
		return false;
	if (sum.out_of_time)
		return err_set(e, ERR_TIMEOUT, "the time is up: %llu of %llu are done", (unsigned long long)sum.done, (unsigned long long)sum.jobs);
	if (sum.stopped)
		return err_set(e, ERR_CANCELLED, "stopped after %llu of %llu", (unsigned long long)sum.done, (unsigned long long)sum.jobs);
	if (sum.nlost)
		return err_set(e, ERR_DEVICE, "device '%s' was lost, set aside or not there at all: its results are not complete", sum.lost);
	return true;
}

bool mutatenn_campaign_run(struct mutatenn_campaign *c, const char *store, bool (*progress)(const struct mutatenn_progress *p, void *user), void *user,
                           struct mutatenn_error *e)
{
	struct watch w = {.progress = progress, .user = user};
	struct err err = {0};

	return lib_end(run(c, store, &w, &err), &err, e);
}
