/* report_data.c: what every format needs of a store */
#include "report/report_internal.h"

#include <string.h>

#include "base/arena.h"
#include "base/map.h"
#include "base/vec.h"

static bool gather_facts(struct store *s, struct arena *a, struct report_data *d, struct err *e)
{
	struct store_iter *it = store_models(s);
	struct store_model m;
	struct store_image im;

	d->model = d->model_file = arena_strdup(a, "");
	while (store_next_model(it, &m)) {
		d->model = arena_strdup(a, m.name);
		d->model_file = arena_strdup(a, m.file);
		d->model_hash = m.hash;
	}
	if (!store_iter_end(it, e))
		return false;
	it = store_images(s);
	while (store_next_image(it, &im))
		d->images++;
	return store_iter_end(it, e) && store_get(s, a, "created", &d->created, e) && store_get(s, a, "tool-version", &d->tool, e);
}

static bool gather_devices(struct store *s, struct arena *a, struct report_data *d, struct err *e)
{
	VEC(struct report_device) v = {0};
	struct store_iter *it = store_devices(s);
	struct store_device dev;

	while (store_next_device(it, &dev)) {
		struct report_device r = {.name = arena_strdup(a, dev.name),
					  .backend = arena_strdup(a, dev.backend),
					  .identity = arena_strdup(a, dev.identity),
					  .describe = arena_strdup(a, dev.describe),
					  .error = arena_strdup(a, dev.error)};

		vec_push(a, &v, r);
	}
	if (!store_iter_end(it, e))
		return false;
	for (size_t i = 0; i < v.n; i++)
		if (!store_count(s, v.v[i].name, NULL, NULL, &v.v[i].counts, e) ||
		    !store_summarise(s, NULL, v.v[i].name, &v.v[i].original, e) ||
		    !store_get(s, a, arena_printf(a, "noise %s", v.v[i].name), &v.v[i].noise, e))
			return false;
	d->device = v.v;
	d->ndevices = v.n;
	return true;
}

static struct report_group *group_of(struct arena *a, struct map *m, const char *name, const char *category)
{
	struct report_group *g = map_get(m, name);

	if (!g) {
		g = ARENA_NEW(a, struct report_group);
		g->name = arena_strdup(a, name);
		g->category = arena_strdup(a, category);
		map_put(m, name, g);
	}
	g->mutants++;
	return g;
}

static bool gather_groups(struct store *s, struct arena *a, struct report_data *d, struct err *e)
{
	struct map *ops = map_new(a), *categories = map_new(a);
	struct store_iter *it = store_mutants(s, NULL);
	struct store_mutant m;
	struct report_group *groups[2];
	void *g;

	while (store_next_mutant(it, &m)) {
		d->mutants++;
		d->suppressed += m.suppressed != NULL;
		group_of(a, ops, m.op, m.category);
		group_of(a, categories, m.category, m.category);
	}
	if (!store_iter_end(it, e))
		return false;
	d->op = ARENA_ARRAY(a, struct report_group, map_count(ops));
	d->category = ARENA_ARRAY(a, struct report_group, map_count(categories));
	groups[0] = d->op;
	groups[1] = d->category;
	for (size_t at = 0; map_next(ops, &at, NULL, &g);)
		*groups[0]++ = *(struct report_group *)g;
	for (size_t at = 0; map_next(categories, &at, NULL, &g);)
		*groups[1]++ = *(struct report_group *)g;
	d->nops = map_count(ops);
	d->ncategories = map_count(categories);
	for (size_t i = 0; i < d->nops; i++)
		if (!store_count(s, NULL, d->op[i].name, NULL, &d->op[i].counts, e))
			return false;
	for (size_t i = 0; i < d->ncategories; i++)
		if (!store_count(s, NULL, NULL, d->category[i].name, &d->category[i].counts, e))
			return false;
	return store_count(s, NULL, NULL, NULL, &d->all, e);
}

static bool gather_suppressions(struct store *s, struct arena *a, struct report_data *d, struct err *e)
{
	VEC(struct report_suppression) v = {0};
	struct store_iter *it = store_suppressions(s);
	struct store_suppression x;

	while (store_next_suppression(it, &x)) {
		struct report_suppression r = {arena_strdup(a, x.glob), arena_strdup(a, x.reason), arena_strdup(a, x.source), x.mutants};

		vec_push(a, &v, r);
	}
	d->suppression = v.v;
	d->nsuppressions = v.n;
	return store_iter_end(it, e);
}

bool report_gather(struct store *s, struct arena *a, struct report_data *out, struct err *e)
{
	memset(out, 0, sizeof *out);
	return gather_facts(s, a, out, e) && gather_devices(s, a, out, e) && gather_groups(s, a, out, e) && gather_suppressions(s, a, out, e);
}

/* What a device gives as answers, not as a failure. */
static bool answers(enum outcome o)
{
	return o == OUTCOME_NO_EFFECT || o == OUTCOME_EQUIVALENT || (o >= OUTCOME_IDENTICAL && o <= OUTCOME_NAN);
}

bool report_disagrees(const struct store_pair *p)
{
	for (int i = 0; i < 2; i++)
		if (p->outcome[i] == OUTCOME_NOT_RUN || p->outcome[i] == OUTCOME_TOOL_ERROR)
			return false;
	if (answers(p->outcome[0]) != answers(p->outcome[1]) || (!answers(p->outcome[0]) && p->outcome[0] != p->outcome[1]))
		return true;
	return p->labels_differ || (p->killed[0] ^ p->killed[1]) & STORE_KILL_LABEL ||
	       (p->outcome[0] == OUTCOME_NAN) != (p->outcome[1] == OUTCOME_NAN);
}
