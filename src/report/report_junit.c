/* report_junit.c: JUnit XML as Jenkins' xUnit plug-in describes it (junit-10.xsd); docs/exports.md says what counts as a failure */
#include "report/report_internal.h"

#include <string.h>

static void attribute(struct str *t, const char *name, const char *value)
{
	str_addf(t, " %s=\"", name);
	str_add_xml(t, value);
	str_addc(t, '"');
}

enum kind { PASS, SURVIVED, ERROR, SKIPPED };

static enum kind kind_of(enum outcome o, unsigned killed, int criterion)
{
	if (o == OUTCOME_TOOL_ERROR)
		return ERROR;
	if (outcome_class(o) != OUTCOME_CLASS_COUNTED)
		return SKIPPED;
	return killed >> criterion & 1 ? PASS : SURVIVED;
}

/* Why the device's results are not all there; false: they are. A job that ran little must not be green. */
static bool trouble(const struct report_device *d, struct str *why)
{
	int64_t left = d->counts.outcome[OUTCOME_NOT_RUN];

	if (d->error)
		str_add(why, d->error);
	else if (left)
		str_addf(why, "%lld of %lld mutants were not run: the campaign is not complete, the command that began it goes on with it", (long long)left,
			 (long long)d->counts.rows);
	return why->n > 0;
}

struct sums {
	int64_t tests, failures, errors, skipped;
};

static void count(const struct report_device *d, int criterion, bool lenient, struct sums *out)
{
	const struct store_counts *c = &d->counts;
	struct str why = {0};

	out->tests = c->rows + c->suppressed + 1;
	out->failures = lenient ? 0 : c->counted - c->killed[criterion];
	out->errors = c->outcome[OUTCOME_TOOL_ERROR] + trouble(d, &why);
	out->skipped = c->rows - c->counted - c->outcome[OUTCOME_TOOL_ERROR] + c->suppressed;
	str_free(&why);
}

static void case_row(const struct store_mutant *m, const struct store_result *r, const struct report_options *o, bool lenient, struct str *t)
{
	enum kind kind = m->suppressed ? SKIPPED : kind_of(r->outcome, r->killed, o->criterion);
	struct str why = {0};

	str_add(t, "<testcase");
	attribute(t, "classname", m->op);
	attribute(t, "name", m->id);
	str_addf(t, " time=\"%.3f\"", r->run_s > 0 ? r->run_s : 0);
	str_addf(&why, "%s: %s", outcome_name(r->outcome), outcome_help(r->outcome));
	if (r->images)
		str_addf(&why, "; the first label of %lld of %lld images changed", (long long)r->images_changed, (long long)r->images);
	if (r->message)
		str_addf(&why, "; %s", r->message);
	if (m->suppressed)
		str_addf(&why, "; suppressed: %s", m->suppressed);
	if (kind == PASS || (kind == SURVIVED && lenient)) {
		str_add(t, "><system-out>");
		str_add(t, kind == SURVIVED ? "survived, " : "killed, ");
		str_add_xml(t, str_text(&why));
		str_add(t, "</system-out></testcase>\n");
	} else {
		static const char *const tag[] = {[SURVIVED] = "failure", [ERROR] = "error", [SKIPPED] = "skipped"};

		str_addf(t, "><%s", tag[kind]);
		attribute(t, "type", kind == SURVIVED ? "survived" : m->suppressed ? "suppressed" : outcome_name(r->outcome));
		attribute(t, "message", str_text(&why));
		str_addc(t, '>');
		if (kind == SURVIVED)
			str_add_xml(t, m->diff);
		str_addf(t, "</%s></testcase>\n", tag[kind]);
	}
	str_free(&why);
}

/* The device itself: an error when it could not be used, or not to the end. */
static void device_row(const struct report_device *d, struct str *t)
{
	struct str why = {0};

	str_add(t, "<testcase classname=\"device\"");
	attribute(t, "name", d->name);
	if (trouble(d, &why)) {
		str_add(t, "><error type=\"device\"");
		attribute(t, "message", str_text(&why));
		str_add(t, "/></testcase>\n");
	} else {
		str_add(t, "/>\n");
	}
	str_free(&why);
}

static bool suite(struct store *s, const struct report_device *d, const struct report_options *o, bool lenient, struct report_out *out, struct err *e)
{
	struct store_iter *it = store_mutants(s, NULL);
	struct store_mutant m;
	struct sums n;
	bool ok = true;

	count(d, o->criterion, lenient, &n);
	str_add(&out->text, "<testsuite");
	attribute(&out->text, "name", d->name);
	str_addf(&out->text, " tests=\"%lld\" failures=\"%lld\" errors=\"%lld\" skipped=\"%lld\">\n", (long long)n.tests, (long long)n.failures,
		 (long long)n.errors, (long long)n.skipped);
	device_row(d, &out->text);
	while (ok && store_next_mutant(it, &m)) {
		struct store_iter *results = store_results(s, m.id, d->name);
		struct store_result r;

		while (store_next_result(results, &r))
			case_row(&m, &r, o, lenient, &out->text);
		ok = store_iter_end(results, e) && report_drain(out);
	}
	str_add(&out->text, "</testsuite>\n");
	return store_iter_end(it, ok ? e : NULL) && ok;
}

bool report_junit(struct store *s, const struct report_data *d, const struct report_options *o, struct report_out *out, struct err *e)
{
	const struct store_counts *all = &d->all;
	bool lenient = o->threshold && all->counted && 100.0 * (double)all->killed[o->criterion] / (double)all->counted >= o->fail_under;
	struct sums sum = {0};
	bool ok = true;

	for (size_t i = 0; i < d->ndevices; i++) {
		struct sums n;

		count(&d->device[i], o->criterion, lenient, &n);
		sum.tests += n.tests;
		sum.failures += n.failures;
		sum.errors += n.errors;
	}
	str_add(&out->text, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites");
	attribute(&out->text, "name", d->model);
	str_addf(&out->text, " tests=\"%lld\" failures=\"%lld\" errors=\"%lld\">\n", (long long)sum.tests, (long long)sum.failures, (long long)sum.errors);
	for (size_t i = 0; ok && i < d->ndevices; i++)
		ok = suite(s, &d->device[i], o, lenient, out, e);
	str_add(&out->text, "</testsuites>\n");
	return ok;
}
