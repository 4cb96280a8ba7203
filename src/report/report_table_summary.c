/* report_table_summary.c: what the table begins with: how many are killed, how many are not, where devices disagree, what to look at next */
#include "report/report_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/map.h"

#define NAMED 3 /* mutants, operators: the rest is a number */

struct tally {
	const char *op;
	int64_t n;
};

struct survey {
	struct arena *a;
	int64_t everywhere, somewhere;  /* mutants that survive on every device that rates them; on some */
	char *survivor[NAMED];
	struct map *by_op;              /* name -> struct tally */
	int64_t disagree;               /* mutants */
	char *differ[NAMED];            /* sentences */
	int64_t images_differ, images;  /* of the originals, in the pair of devices where most do */
	char *pair;
};

static void count_op(struct survey *v, const char *op)
{
	struct tally *t = map_get(v->by_op, op);

	if (!t) {
		t = ARENA_NEW(v->a, struct tally);
		t->op = arena_strdup(v->a, op);
		map_put(v->by_op, op, t);
	}
	t->n++;
}

static bool survivors(struct store *s, const struct report_data *d, int criterion, struct survey *v, struct err *e)
{
	struct store_iter *it = store_mutants(s, NULL), *results = store_results(s, NULL, NULL); /* both in the order of the mutants */
	struct store_mutant m;
	struct store_result r;
	bool ok;

	while (store_next_mutant(it, &m)) {
		size_t rated = 0, alive = 0;

		for (size_t i = 0; i < d->ndevices && store_next_result(results, &r); i++)
			if (!m.suppressed && outcome_class(r.outcome) == OUTCOME_CLASS_COUNTED) {
				rated++;
				alive += !(r.killed >> criterion & 1);
			}
		if (!alive)
			continue;
		count_op(v, m.op);
		if (v->everywhere + v->somewhere < NAMED)
			v->survivor[v->everywhere + v->somewhere] = arena_strdup(v->a, m.id);
		v->everywhere += alive == rated;
		v->somewhere += alive < rated;
	}
	ok = store_iter_end(it, e);
	return store_iter_end(results, ok ? e : NULL) && ok;
}

static bool counts(struct store *s, const char *mutant, bool *out, struct err *e)
{
	struct arena *a = arena_new(NULL);
	struct store_mutant m;
	bool found, ok = store_get_mutant(s, a, mutant, &m, &found, e);

	*out = ok && found && !m.suppressed;
	arena_free(a);
	return ok;
}

/* Where the outcomes do not say it. */
static const char *how(struct arena *a, const struct store_pair *p)
{
	if (p->outcome[0] != p->outcome[1])
		return "";
	return arena_printf(a, ", with another first label on %lld image%s", (long long)p->labels_differ, p->labels_differ == 1 ? "" : "s");
}

static bool disagreements(struct store *s, struct survey *v, struct err *e)
{
	struct store_iter *it = store_unlike(s);
	bool ok = true, counted;
	struct str last = {0};
	struct store_pair p;

	while (ok && store_next_pair(it, &p)) {
		if (!report_disagrees(&p) || !strcmp(str_text(&last), p.mutant))
			continue;
		str_clear(&last);
		str_add(&last, p.mutant);
		ok = counts(s, p.mutant, &counted, e);
		if (!ok || !counted)
			continue;
		if (v->disagree < NAMED)
			v->differ[v->disagree] = arena_printf(v->a, "%s: %s on %s, %s on %s%s", p.mutant, outcome_name(p.outcome[0]), p.device[0],
							      outcome_name(p.outcome[1]), p.device[1], how(v->a, &p));
		v->disagree++;
	}
	str_free(&last);
	return store_iter_end(it, ok ? e : NULL) && ok;
}

static bool originals(struct store *s, struct survey *v, struct err *e)
{
	struct store_iter *it = store_original_pairs(s);
	struct store_original_pair p;

	while (store_next_original_pair(it, &p))
		if (p.labels_differ >= v->images_differ) {
			v->images_differ = p.labels_differ;
			v->images = p.images;
			v->pair = arena_printf(v->a, "%s and %s", p.device[0], p.device[1]);
		}
	return store_iter_end(it, e);
}

/* ---- text ------------------------------------------------------------------------------------------------ */

static void coloured(struct str *t, bool on, const char *code, const char *text)
{
	str_addf(t, "%s%s%s", on ? code : "", text, on ? "\033[0m" : "");
}

#define RED "\033[31m"
#define YELLOW "\033[33m"
#define BOLD "\033[1m"

/* Outcomes that are in no rate, with how many. */
static void apart(const struct report_data *d, struct str *t)
{
	struct str line = {0};
	int64_t n = 0;

	for (int o = 0; o < OUTCOME_COUNT; o++) {
		if (!d->all.outcome[o] || outcome_class((enum outcome)o) == OUTCOME_CLASS_COUNTED)
			continue;
		str_addf(&line, "%s%s %lld", n ? ", " : "", outcome_name((enum outcome)o), (long long)d->all.outcome[o]);
		n += d->all.outcome[o];
	}
	if (n && line.n <= 50) {
		str_addf(t, "  not rated         %6lld  (%s)\n", (long long)n, str_text(&line));
	} else if (n) {
		str_addf(t, "  not rated         %6lld\n", (long long)n);
		report_wrap(t, 4, str_text(&line));
	}
	str_free(&line);
}

static void rates(const struct report_data *d, const struct report_options *o, struct str *t)
{
	const struct store_counts *c = &d->all;
	struct str line = {0};

	str_addc(t, '\n');
	coloured(t, o->colour, BOLD, d->ndevices > 1 ? "All devices together" : "Summary");
	str_addc(t, '\n');
	str_addf(&line, "  killed by %-7s %6lld of %-6lld ", store_criterion_name(o->criterion), (long long)c->killed[o->criterion], (long long)c->counted);
	report_rate(&line, c->killed[o->criterion], c->counted);
	coloured(t, o->colour, BOLD, str_text(&line));
	str_addc(t, '\n');
	str_clear(&line);
	str_addf(&line, "  survived          %6lld", (long long)(c->counted - c->killed[o->criterion]));
	coloured(t, o->colour && c->counted > c->killed[o->criterion], YELLOW, str_text(&line));
	for (int k = 0; c->counted && k < STORE_CRITERIA; k++)
		if (k != o->criterion)
			str_addf(t, "%sby %s %.1f %%%s", k == (o->criterion == 0) ? "  (" : ", ", store_criterion_name(k),
				 100.0 * (double)c->killed[k] / (double)c->counted, k == (o->criterion == 0) ? " killed" : "");
	str_add(t, c->counted ? ")\n" : "\n");
	apart(d, t);
	str_free(&line);
}

static void devices(const struct report_data *d, const struct survey *v, const struct report_options *o, struct str *t)
{
	struct str line = {0};

	if (d->ndevices < 2)
		return;
	str_addf(&line, "  devices disagree  %6lld mutant%s", (long long)v->disagree, v->disagree == 1 ? "" : "s");
	coloured(t, o->colour && v->disagree, RED, str_text(&line));
	str_addc(t, '\n');
	str_clear(&line);
	for (size_t i = 0; i < d->ndevices; i++)
		if (d->device[i].error)
			str_addf(&line, "%s%s", line.n ? ", " : "  cannot be used    ", d->device[i].name);
	if (line.n) {
		coloured(t, o->colour, RED, str_text(&line));
		str_addc(t, '\n');
		str_clear(&line);
	}
	if (v->images_differ) {
		str_addf(&line, "without any mutation, %s differ in the first label of %lld of %lld images", v->pair, (long long)v->images_differ,
			 (long long)v->images);
		report_wrap(t, 2, str_text(&line));
	}
	str_free(&line);
}

static int by_number(const void *x, const void *y)
{
	const struct tally *a = *(struct tally *const *)x, *b = *(struct tally *const *)y;

	return a->n != b->n ? (a->n < b->n ? 1 : -1) : strcmp(a->op, b->op);
}

/* "loop.store.value 8, loop.cond.ge-to-gt 4 and 3 other operators" */
static void operators_of(struct survey *v, struct str *t)
{
	size_t n = map_count(v->by_op), i = 0;
	struct tally **list = ARENA_ARRAY(v->a, struct tally *, n + 1);
	void *x;

	for (size_t at = 0; map_next(v->by_op, &at, NULL, &x);)
		list[i++] = x;
	qsort(list, n, sizeof *list, by_number);
	for (i = 0; i < n && i < NAMED; i++)
		str_addf(t, "%s%s %lld", i ? ", " : "", list[i]->op, (long long)list[i]->n);
	if (n > NAMED)
		str_addf(t, " and %zu other operators", n - NAMED);
}

static void look_at(struct survey *v, struct store *s, const struct report_options *o, struct str *t)
{
	int64_t alive = v->everywhere + v->somewhere;
	struct str line = {0};

	if (!alive && !v->disagree)
		return;
	str_addc(t, '\n');
	coloured(t, o->colour, BOLD, "Look at next");
	str_addc(t, '\n');
	if (v->disagree) {
		str_addf(&line, "%lld mutant%s that devices disagree on, 'mutatenn compare %s':", (long long)v->disagree, v->disagree == 1 ? "" : "s",
			 store_path(s));
		report_wrap(t, 2, str_text(&line));
		for (int i = 0; i < NAMED && v->differ[i]; i++)
			report_wrap(t, 4, v->differ[i]);
		str_clear(&line);
	}
	if (alive) {
		str_addf(&line, "%lld mutant%s that no image kills", (long long)alive, alive == 1 ? "" : "s");
		if (v->somewhere)
			str_addf(&line, " on some device (%lld on every one)", (long long)v->everywhere);
		str_add(&line, ": ");
		operators_of(v, &line);
		report_wrap(t, 2, str_text(&line));
		for (int i = 0; i < NAMED && v->survivor[i]; i++)
			report_wrap(t, 4, v->survivor[i]);
		str_clear(&line);
		str_addf(&line, "... 'mutatenn report %s --all' has them all", store_path(s));
		if (alive > NAMED)
			report_wrap(t, 4, str_text(&line));
	}
	str_free(&line);
}

bool report_table_summary(struct store *s, const struct report_data *d, const struct report_options *o, struct str *t, struct err *e)
{
	struct survey v = {.a = arena_new(NULL)};
	bool ok;

	v.by_op = map_new(v.a);
	ok = survivors(s, d, o->criterion, &v, e) && disagreements(s, &v, e) && originals(s, &v, e);
	if (ok && d->mutants) {
		rates(d, o, t);
		devices(d, &v, o, t);
		look_at(&v, s, o, t);
	}
	arena_free(v.a);
	return ok;
}
