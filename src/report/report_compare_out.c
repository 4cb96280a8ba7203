/* report_compare_out.c: comparisons of stores as a table and as JSON */
#include "report/report_compare.h"

#include "base/arena.h"
#include "base/file.h"

#define MUTANTS_LISTED 60

static void set(json_t *j, const char *key, json_t *value)
{
	json_object_set_new(j, key, value);
}

/* ---- JSON ------------------------------------------------------------------------------------------------ */

static json_t *pair_json(const struct cmp *c, const struct cmp_pair *p)
{
	json_t *j = report_share("labels_differ", p->labels_differ, p->images);

	set(j, "a", report_string(c->side[p->a].title));
	set(j, "b", report_string(c->side[p->b].title));
	set(j, "images", json_integer(p->images));
	set(j, "one_sided", json_integer(p->one_sided));
	set(j, "bits_equal", json_integer(p->bits_equal));
	set(j, "percent", p->images ? report_number(100.0 * (double)p->labels_differ / (double)p->images) : json_null());
	set(j, "max_abs", p->measured ? report_number(p->max_abs) : json_null());
	set(j, "special_differ", p->measured ? json_integer(p->special_differ) : json_null());
	return j;
}

static json_t *against_original(const struct cmp *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->nsides; i++) {
		const struct cmp_side *s = &c->side[i];
		json_t *j;

		if (!s->known)
			continue;
		j = report_share("images_changed", s->images_changed, s->images);
		set(j, "device", report_string(s->title));
		set(j, "outcome", json_string(outcome_name(s->outcome)));
		set(j, "images", json_integer(s->images));
		set(j, "percent", s->images ? report_number(100.0 * (double)s->images_changed / (double)s->images) : json_null());
		json_array_append_new(list, j);
	}
	return list;
}

static json_t *mutant_json(const struct cmp *c, const struct store_mutant *m, int64_t *tally)
{
	json_t *j = json_object(), *across = json_array();

	set(j, "id", report_string(m->id));
	set(j, "operator", report_string(m->op));
	set(j, "category", report_string(m->category));
	set(j, "against_original", against_original(c));
	for (size_t p = 0; p < c->npairs; p++) {
		enum cmp_verdict v;
		struct cmp_pair pair;
		json_t *pj;

		cmp_mutant_pair(c, p, &pair, &v);
		tally[p * CMP_VERDICTS + v]++;
		pj = pair_json(c, &pair);
		set(pj, "outcomes",
		    json_pack("[ss]", outcome_name(c->side[pair.a].outcome), outcome_name(c->side[pair.b].outcome)));
		set(pj, "labels_differ_originals_agree", json_integer(pair.new_differ));
		set(pj, "verdict", json_string(cmp_verdict_name(v)));
		json_array_append_new(across, pj);
	}
	set(j, "across", across);
	return j;
}

static void json_part(struct str *t, const char *key, json_t *j)
{
	str_addf(t, ",\n\"%s\": ", key);
	report_dump(t, j);
}

static json_t *summary_json(const struct cmp *c, const int64_t *tally)
{
	json_t *list = json_array();

	for (size_t p = 0; p < c->npairs; p++) {
		json_t *j = json_object();

		set(j, "a", report_string(c->side[c->original[p].a].title));
		set(j, "b", report_string(c->side[c->original[p].b].title));
		for (int v = 0; v < CMP_VERDICTS; v++)
			set(j, cmp_verdict_name((enum cmp_verdict)v), json_integer(tally[p * CMP_VERDICTS + (size_t)v]));
		json_array_append_new(list, j);
	}
	return list;
}

static json_t *originals_json(const struct cmp *c)
{
	json_t *list = json_array();

	for (size_t p = 0; p < c->npairs; p++)
		json_array_append_new(list, pair_json(c, &c->original[p]));
	return list;
}

static bool write_json(struct cmp *c, struct str *t, struct err *e)
{
	int64_t *tally = ARENA_ARRAY(c->arena, int64_t, (c->npairs + 1) * CMP_VERDICTS);
	json_t *stores;
	struct cmp_walk w = {0};
	struct store_mutant m;
	bool got = true, first = true;

	str_add(t, "{\"mutants\": [");
	while (got) {
		struct arena *a = arena_new(c->arena);
		bool ok = cmp_next(c, &w, a, &m, &got, e);

		if (ok && got) {
			str_add(t, first ? "\n" : ",\n");
			first = false;
			report_dump(t, mutant_json(c, &m, tally));
		}
		arena_free(a);
		if (!ok)
			return false;
	}
	str_add(t, "]");
	json_part(t, "original", originals_json(c));
	json_part(t, "summary", summary_json(c, tally));
	stores = json_array();
	for (size_t i = 0; i < c->nstores; i++)
		json_array_append_new(stores, report_string(store_path(c->store[i])));
	json_part(t, "stores", stores);
	str_add(t, "}\n");
	return true;
}

/* ---- table ----------------------------------------------------------------------------------------------- */

static void logits(const struct cmp_pair *p, struct str *t)
{
	if (p->max_abs > 0)
		str_addf(t, ", logits by at most %.3g", p->max_abs);
	if (p->special_differ)
		str_addf(t, ", NaN or Inf on one side only in %lld of %lld", (long long)p->special_differ, (long long)p->images);
	else if (!(p->max_abs > 0))
		str_add(t, ", logits equal but for the signs of zeros or the bits of NaN");
}

static void pair_line(const struct cmp *c, const struct cmp_pair *p, int indent, struct str *t)
{
	struct str line = {0};

	str_addf(&line, "%s ~ %s:", c->side[p->a].title, c->side[p->b].title);
	if (p->images) {
		str_addf(&line, " labels differ on %lld of %lld (", (long long)p->labels_differ, (long long)p->images);
		str_addf(&line, "%.1f %%)", 100.0 * (double)p->labels_differ / (double)p->images);
		if (p->bits_equal == p->images)
			str_add(&line, ", logits bitwise equal");
		else if (p->measured)
			logits(p, &line);
	} else {
		str_add(&line, " no image answered on both");
	}
	if (p->one_sided)
		str_addf(&line, ", %lld answered by one only", (long long)p->one_sided);
	report_wrap(t, indent, str_text(&line));
	str_free(&line);
}

static void verdict_line(const struct cmp *c, const struct cmp_pair *p, enum cmp_verdict v, struct str *t)
{
	const char *x = outcome_name(c->side[p->a].outcome), *y = outcome_name(c->side[p->b].outcome);
	struct str line = {0};

	switch (v) {
	case CMP_MUTANT: str_addf(&line, "=> the mutant's: on %lld of them the originals agree", (long long)p->new_differ); break;
	case CMP_AS_ORIGINAL: str_add(&line, "=> the devices': the originals differ on the same images"); break;
	case CMP_JUDGED: str_addf(&line, "=> the same labels, but %s and %s", x, y); break;
	case CMP_OUTCOME: str_addf(&line, "=> outcomes differ: %s and %s", x, y); break;
	default: break;
	}
	if (line.n)
		report_wrap(t, 6, str_text(&line));
	str_free(&line);
}

static void mutant_table(const struct cmp *c, const struct store_mutant *m, bool show, struct str *t, int64_t *tally)
{
	if (show)
		report_wrap(t, 2, m->id);
	for (size_t i = 0; show && i < c->nsides; i++) {
		const struct cmp_side *s = &c->side[i];

		if (!s->known)
			continue;
		str_add(t, "    ");
		report_cell(t, 28, s->title);
		str_addf(t, "  %-13s", outcome_name(s->outcome));
		if (s->images)
			str_addf(t, "  changed %lld of %lld (%.1f %%)", (long long)s->images_changed, (long long)s->images,
				 100.0 * (double)s->images_changed / (double)s->images);
		str_addc(t, '\n');
	}
	for (size_t p = 0; p < c->npairs; p++) {
		enum cmp_verdict v;
		struct cmp_pair pair;

		cmp_mutant_pair(c, p, &pair, &v);
		tally[p * CMP_VERDICTS + v]++;
		if (show) {
			pair_line(c, &pair, 4, t);
			verdict_line(c, &pair, v, t);
		}
	}
}

static void summary_table(const struct cmp *c, const int64_t *tally, int64_t mutants, struct str *t)
{
	static const char *const text[] = {"not compared", "agree", "differ only where the originals do",
					   "differ where the originals agree", "have the same labels, but another outcome (nan, drifted ...)",
					   "end differently (answer, crash, hang ...)"};

	str_addf(t, "%lld mutant%s, %zu device%s, %zu image%s\n", (long long)mutants, mutants == 1 ? "" : "s", c->nsides,
		 c->nsides == 1 ? "" : "s", c->nimages, c->nimages == 1 ? "" : "s");
	if (c->npairs)
		str_add(t, "\nOriginal, device against device\n");
	for (size_t p = 0; p < c->npairs; p++)
		pair_line(c, &c->original[p], 2, t);
	if (c->npairs)
		str_add(t, "\nMutants, device against device\n");
	for (size_t p = 0; p < c->npairs; p++) {
		struct str line = {0};

		str_addf(&line, "%s ~ %s", c->side[c->original[p].a].title, c->side[c->original[p].b].title);
		report_wrap(t, 2, str_text(&line));
		for (int v = CMP_VERDICTS - 1; v >= 0; v--)
			if (tally[p * CMP_VERDICTS + (size_t)v])
				str_addf(t, "    %6lld %s\n", (long long)tally[p * CMP_VERDICTS + (size_t)v], text[v]);
		str_free(&line);
	}
}

static bool write_table(struct cmp *c, struct str *t, struct err *e)
{
	int64_t *tally = ARENA_ARRAY(c->arena, int64_t, (c->npairs + 1) * CMP_VERDICTS), mutants = 0;
	struct str list = {0};
	struct cmp_walk w = {0};
	struct store_mutant m;
	bool got = true, ok = true;

	while (ok && got) {
		struct arena *a = arena_new(c->arena);

		ok = cmp_next(c, &w, a, &m, &got, e);
		if (ok && got)
			mutant_table(c, &m, ++mutants <= MUTANTS_LISTED, &list, tally);
		arena_free(a);
	}
	if (ok) {
		summary_table(c, tally, mutants, t);
		if (mutants)
			str_add(t, "\nMutants\n");
		str_add(t, str_text(&list));
		if (mutants > MUTANTS_LISTED)
			str_addf(t, "  ... and %lld more: ask for JSON\n", (long long)(mutants - MUTANTS_LISTED));
	}
	str_free(&list);
	return ok;
}

bool report_compare(struct store *const *s, size_t n, enum report_format f, struct str *text, struct err *e)
{
	struct arena *a;
	struct cmp c;
	size_t begun = 0;
	bool ok = true;

	if (f > REPORT_JSON)
		return err_set(e, ERR_USAGE, "a comparison is a table or JSON, not CSV");
	a = arena_new(NULL);
	for (; ok && begun < n; begun++)
		if (!(ok = store_begin(s[begun], e)))
			break;
	ok = ok && cmp_open(s, n, a, &c, e) && (f == REPORT_JSON ? write_json : write_table)(&c, text, e);
	while (begun)
		store_rollback(s[--begun]);
	arena_free(a);
	return ok;
}

static bool compare_files(const char *const *path, size_t n, enum report_format f, struct str *t, struct err *e)
{
	struct arena *a = arena_new(NULL);
	struct store **s = ARENA_ARRAY(a, struct store *, n);
	size_t opened = 0;
	bool ok;

	while (opened < n && store_open(path[opened], STORE_READ, &s[opened], e))
		opened++;
	ok = opened == n && report_compare(s, n, f, t, e);
	while (opened)
		store_close(s[--opened]);
	arena_free(a);
	return ok;
}

bool report_compare_paths(const char *const *path, size_t n, enum report_format f, const char *out, struct err *e)
{
	struct str t = {0};
	bool ok, foreign = false;

	if (!n)
		return err_set(e, ERR_USAGE, "nothing to compare: name stores, or a result folder of MutateNN");
	for (size_t i = 0; i < n; i++)
		foreign = foreign || file_is_dir(path[i]);
	if (foreign && n > 1)
		ok = err_set(e, ERR_USAGE, "a result folder is compared alone, not with stores or other folders");
	else if (foreign)
		ok = report_compare_mutatenn(path[0], f, &t, e);
	else
		ok = compare_files(path, n, f, &t, e);
	ok = ok && file_write(out, str_text(&t), t.n, e);
	str_free(&t);
	return ok;
}
