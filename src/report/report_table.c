/* report_table.c: the report for a terminal, 80 columns, summary first */
#include "report/report_internal.h"

#include <stdio.h>
#include <string.h>

#define DEVICES_ABREAST 4
#define MUTANTS_LISTED 60

static void end_line(struct str *t)
{
	while (t->n && t->s[t->n - 1] == ' ')
		t->s[--t->n] = 0;
	str_addc(t, '\n');
}

static void head(const struct report_data *d, struct store *s, struct str *t)
{
	struct str line = {0};

	str_addf(&line, "%s: %lld mutant%s, %lld image%s, %zu device%s (%s)", *d->model ? d->model : "campaign",
		 (long long)d->mutants, d->mutants == 1 ? "" : "s", (long long)d->images, d->images == 1 ? "" : "s", d->ndevices,
		 d->ndevices == 1 ? "" : "s", store_path(s));
	report_wrap(t, 0, str_text(&line));
	if (d->all.outcome[OUTCOME_NOT_RUN]) {
		str_clear(&line);
		str_addf(&line, "Partial: %lld of %lld results are missing (not-run); the rates are of the others. The command that "
				"began the campaign goes on with it.",
			 (long long)d->all.outcome[OUTCOME_NOT_RUN], (long long)d->all.rows);
		report_wrap(t, 0, str_text(&line));
	}
	str_free(&line);
}

static void device_part(const struct report_device *d, struct str *t)
{
	struct str line = {0};

	str_addf(&line, "%s%s%s", d->name, *d->describe ? ": " : "", d->describe);
	str_addc(t, '\n');
	report_wrap(t, 0, str_text(&line));
	str_clear(&line);
	if (d->error) {
		str_addf(&line, "cannot be used: %s", d->error);
		report_wrap(t, 2, str_text(&line));
	}
	for (int c = 0; c < STORE_CRITERIA; c++) {
		str_addf(t, "  killed by %-8s %5lld of %-5lld  ", store_criterion_name(c), (long long)d->counts.killed[c],
			 (long long)d->counts.counted);
		report_rate(t, d->counts.killed[c], d->counts.counted);
		str_addc(t, '\n');
	}
	if (d->original.labelled) {
		str_addf(t, "  original right     %5lld of %-5lld  ", (long long)d->original.right,
			 (long long)d->original.labelled);
		report_rate(t, d->original.right, d->original.labelled);
		str_addc(t, '\n');
	}
	if (d->noise) {
		str_clear(&line);
		str_addf(&line, "noise: %s", d->noise);
		report_wrap(t, 2, str_text(&line));
	}
	if (d->counts.degenerate)
		str_addf(t, "  degenerate         %5lld mutant%s the same answer for every image\n",
			 (long long)d->counts.degenerate, d->counts.degenerate == 1 ? " gives" : "s give");
	if (d->counts.twins)
		str_addf(t, "  same code          %5lld mutant%s the code and so the verdict of another one\n",
			 (long long)d->counts.twins, d->counts.twins == 1 ? " has" : "s have");
	str_free(&line);
}

static void outcome_part(const struct report_data *d, size_t from, struct str *t)
{
	size_t to = from + DEVICES_ABREAST < d->ndevices ? from + DEVICES_ABREAST : d->ndevices;

	str_addf(t, "\n%-15s", "Outcomes");
	for (size_t i = from; i < to; i++) {
		str_add(t, "  ");
		report_cell(t, 14, d->device[i].name);
	}
	end_line(t);
	for (int o = 0; o < OUTCOME_COUNT; o++) {
		if (!d->all.outcome[o])
			continue;
		str_addf(t, "  %-13s", outcome_name((enum outcome)o));
		for (size_t i = from; i < to; i++)
			str_addf(t, "  %-14lld", (long long)d->device[i].counts.outcome[o]);
		end_line(t);
	}
}

/* It matches nothing in this model, and says no more. */
static bool without_site(const struct report_group *g)
{
	return g->counts.rows && g->counts.outcome[OUTCOME_NO_SITE] == g->counts.rows;
}

static void group_part(const char *title, const struct report_group *g, size_t n, struct str *t)
{
	struct str none = {0};

	str_addc(t, '\n');
	report_cell(t, 44, title);
	str_addf(t, " %6s %6s %6s %6s %6s\n", "rows", "rated", "label", "topk", "numer");
	for (size_t i = 0; i < n; i++) {
		if (without_site(&g[i])) {
			str_addf(&none, "%s%s", none.n ? ", " : "no site in this model: ", g[i].name);
			continue;
		}
		str_add(t, "  ");
		report_cell(t, 42, *g[i].name ? g[i].name : "(none)");
		str_addf(t, " %6lld %6lld %6lld %6lld %6lld\n", (long long)g[i].counts.rows, (long long)g[i].counts.counted,
			 (long long)g[i].counts.killed[0], (long long)g[i].counts.killed[1], (long long)g[i].counts.killed[2]);
	}
	if (none.n)
		report_wrap(t, 2, str_text(&none));
	str_free(&none);
}

static void result_line(const struct store_result *r, struct str *t)
{
	char changed[48] = "";
	unsigned killed = r->killed;

	if (r->images)
		snprintf(changed, sizeof changed, "%lld/%lld", (long long)r->images_changed, (long long)r->images);
	str_add(t, "    ");
	report_cell(t, 20, r->device);
	str_addf(t, "  %-13s  %-9s ", outcome_name(r->outcome), changed);
	if (killed)
		str_add(t, "killed");
	/* the least criterion says it: label kills are topk kills too */
	for (int c = 0; c < STORE_CRITERIA && killed; c++)
		if (killed >> c & 1) {
			str_addf(t, " by %s", store_criterion_name(c));
			break;
		}
	str_add(t, r->degenerate ? ", degenerate" : "");
	end_line(t);
	if (r->message && *r->message)
		report_wrap(t, 8, r->message);
	if (r->twin) {
		struct str line = {0};

		str_addf(&line, "the same code as %s", r->twin);
		report_wrap(t, 8, str_text(&line));
		str_free(&line);
	}
}

/* What is in no rate, and why. */
static bool suppressed_part(const struct report_data *d, struct store *s, struct str *t, struct err *e)
{
	struct store_iter *it;
	struct store_mutant m;
	struct str line = {0};
	int64_t shown = 0;

	if (!d->nsuppressions)
		return true;
	str_addf(t, "\nSuppressed: %lld mutant%s in no rate\n", (long long)d->suppressed, d->suppressed == 1 ? "" : "s");
	for (size_t i = 0; i < d->nsuppressions; i++) {
		const struct report_suppression *x = &d->suppression[i];

		str_clear(&line);
		str_addf(&line, "%s (%lld%s): %s", x->glob, (long long)x->mutants, x->mutants ? "" : ", matches nothing", x->reason);
		report_wrap(t, 2, str_text(&line));
	}
	it = store_mutants(s, NULL);
	while (store_next_mutant(it, &m)) {
		if (!m.suppressed || ++shown > MUTANTS_LISTED)
			continue;
		str_clear(&line);
		str_addf(&line, "%s", m.id);
		report_wrap(t, 4, str_text(&line));
	}
	if (shown > MUTANTS_LISTED)
		str_addf(t, "    and %lld more\n", (long long)shown - MUTANTS_LISTED);
	str_free(&line);
	return store_iter_end(it, e);
}

static bool mutant_part(struct store *s, struct str *t, struct err *e)
{
	struct store_iter *it = store_mutants(s, NULL);
	struct store_mutant m;
	bool ok = true;

	str_add(t, "\nMutants (images whose first label changed / that answered)\n");
	while (ok && store_next_mutant(it, &m)) {
		struct store_iter *results = store_results(s, m.id, NULL);
		struct store_result r;
		struct str line = {0};

		str_addf(&line, "%s (%lld site%s)%s%s", m.id, (long long)m.sites, m.sites == 1 ? "" : "s", m.suppressed ? ", suppressed: " : "",
			 m.suppressed ? m.suppressed : "");
		report_wrap(t, 2, str_text(&line));
		str_free(&line);
		while (store_next_result(results, &r))
			result_line(&r, t);
		ok = store_iter_end(results, e);
	}
	return store_iter_end(it, ok ? e : NULL) && ok;
}

bool report_table(struct store *s, const struct report_data *d, const struct report_options *o, struct report_out *out, struct err *e)
{
	struct str *t = &out->text;

	head(d, s, t);
	if (!report_table_summary(s, d, o, t, e))
		return false;
	for (size_t i = 0; i < d->ndevices; i++)
		device_part(&d->device[i], t);
	for (size_t i = 0; i < d->ndevices; i += DEVICES_ABREAST)
		outcome_part(d, i, t);
	if (d->mutants) {
		group_part("Categories", d->category, d->ncategories, t);
		group_part("Operators", d->op, d->nops, t);
	}
	if (!suppressed_part(d, s, t, e))
		return false;
	if (d->mutants && (o->all_mutants || d->mutants <= MUTANTS_LISTED)) {
		if (!mutant_part(s, t, e))
			return false;
	} else if (d->mutants) {
		str_add(t, "\nThe mutants one by one: ask for all of them, or for CSV or JSON.\n");
	}
	str_addf(t, "\nLaunches: %lld run, %lld saved.\n", (long long)d->all.launches_run, (long long)d->all.launches_saved);
	return true;
}
