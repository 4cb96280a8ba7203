/* lib_store.c: reading verdicts */
#include <string.h>

#include "base/arena.h"
#include "lib/lib_internal.h"
#include "store/store.h"
#include "value/value.h"

struct mutatenn_store {
	struct store *s;
	struct arena *a;
};

struct mutatenn_store *mutatenn_store_open(const char *file, struct mutatenn_error *e)
{
	struct arena *a;
	struct mutatenn_store *out;
	struct store *s;
	struct err err = {0};

	if (!lib_end(store_open(file, STORE_READ, &s, &err), &err, e))
		return NULL;
	a = arena_new(NULL);
	out = ARENA_NEW(a, struct mutatenn_store);
	*out = (struct mutatenn_store){.s = s, .a = a};
	return out;
}

void mutatenn_store_close(struct mutatenn_store *s)
{
	if (!s)
		return;
	store_close(s->s);
	arena_free(s->a);
}

static bool verdicts_of(struct store *s, const struct store_mutant *m, bool (*each)(const struct mutatenn_verdict *v, void *user), void *user, bool *go,
                        struct err *e)
{
	struct store_iter *it = store_results(s, m->id, NULL);
	struct store_result r;

	while (*go && store_next_result(it, &r)) {
		struct mutatenn_verdict v = {.mutant = m->id,
		                             .op = m->op,
		                             .category = m->category,
		                             .device = r.device,
		                             .outcome = outcome_name(r.outcome),
		                             .counted = outcome_class(r.outcome) == OUTCOME_CLASS_COUNTED && !m->suppressed,
		                             .killed_label = r.killed & STORE_KILL_LABEL,
		                             .killed_topk = r.killed & STORE_KILL_TOPK,
		                             .killed_numeric = r.killed & STORE_KILL_NUMERIC,
		                             .images = r.images,
		                             .images_changed = r.images_changed,
		                             .message = r.message};

		*go = each(&v, user);
	}
	return store_iter_end(it, e);
}

bool mutatenn_verdicts(struct mutatenn_store *s, bool (*each)(const struct mutatenn_verdict *v, void *user), void *user, struct mutatenn_error *e)
{
	struct store_iter *it = store_mutants(s->s, NULL);
	struct store_mutant m;
	struct err err = {0};
	bool ok = true, go = true;

	while (ok && go && store_next_mutant(it, &m))
		ok = verdicts_of(s->s, &m, each, user, &go, &err);
	ok = store_iter_end(it, ok ? &err : NULL) && ok;
	return lib_end(ok, &err, e);
}

static bool rate(struct store *s, const char *criterion, const char *device, struct mutatenn_rate *out, struct err *e)
{
	struct store_counts n;

	for (int c = 0; c < STORE_CRITERIA; c++) {
		if (strcmp(criterion, store_criterion_name(c)))
			continue;
		if (!store_count(s, device, NULL, NULL, &n, e))
			return false;
		*out = (struct mutatenn_rate){.killed = n.killed[c], .counted = n.counted, .percent = n.counted ? 100.0 * (double)n.killed[c] / (double)n.counted : 0};
		wilson(n.killed[c], n.counted, &out->low, &out->high);
		out->low *= 100;
		out->high *= 100;
		return true;
	}
	return err_set(e, ERR_USAGE, "'%s' is no criterion: label, topk, numeric", criterion);
}

bool mutatenn_rate(struct mutatenn_store *s, const char *criterion, const char *device, void (*take)(const struct mutatenn_rate *r, void *user), void *user,
                   struct mutatenn_error *e)
{
	struct mutatenn_rate r;
	struct err err = {0};
	bool ok = rate(s->s, criterion, device, &r, &err);

	if (ok)
		take(&r, user);
	return lib_end(ok, &err, e);
}
