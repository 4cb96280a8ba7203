/* report_csv.c: one line per mutant and device, quoted as RFC 4180 says */
#include "report/report_internal.h"

static bool row(struct store *s, const struct store_mutant *m, const struct store_result *r, struct str *t, struct err *e)
{
	const char *const who[] = {m->id, m->op, m->category, m->target, r->device, outcome_name(r->outcome)};
	const char *const why[] = {r->stage, r->kernel, r->message, r->twin, r->fill};
	struct store_summary sum;
	char hex[HASH_HEX];

	if (!store_summarise(s, m->id, r->device, &sum, e))
		return false;
	for (int i = 0; i < 6; i++) {
		str_add_csv(t, who[i]);
		str_addc(t, ',');
	}
	str_addf(t, "%lld", (long long)m->sites);
	for (int c = 0; c < STORE_CRITERIA; c++)
		str_addf(t, ",%u", r->killed >> c & 1);
	str_addf(t, ",%lld,%lld,%d,%s,%lld,%lld,%.6g,%.6g", (long long)r->images, (long long)r->images_changed, r->degenerate,
		 hash_is_zero(r->code) ? "" : hash_hex(r->code, hex), (long long)r->launches_run, (long long)r->launches_saved,
		 r->build_s, r->run_s);
	if (sum.answers)
		str_addf(t, ",%.9g,%.9g,%.9g,%.9g,%.9g,%.9g,%.9g,%.9g", sum.max_abs, sum.max_rel, sum.l2, sum.cosine, sum.jaccard,
			 sum.rbo, sum.kendall, sum.displacement);
	else
		str_add(t, ",,,,,,,,");
	str_addf(t, ",%d", r->signal);
	for (int i = 0; i < 5; i++) {
		str_addc(t, ',');
		str_add_csv(t, why[i]);
	}
	str_addf(t, ",%lld,%s,", (long long)r->runs, m->bounds ? m->bounds : "");
	str_add_csv(t, m->suppressed);
	str_add(t, "\r\n");
	return true;
}

bool report_csv(struct store *s, const struct report_data *d, const struct report_options *o, struct report_out *out, struct err *e)
{
	struct str *t = &out->text;
	struct store_iter *it = store_mutants(s, NULL);
	struct store_mutant m;
	bool ok = true;

	str_add(t, "mutant,operator,category,target,device,outcome,sites");
	for (int c = 0; c < STORE_CRITERIA; c++)
		str_addf(t, ",killed_%s", store_criterion_name(c));
	str_add(
	    t, ",images,images_changed,degenerate,code,launches_run,launches_saved,build_s,run_s,max_abs,max_rel,l2,cosine,jaccard,"
	       "rbo,kendall,displacement,signal,stage,kernel,message,same_code_as,fill,runs,bounds,suppressed\r\n");
	while (ok && store_next_mutant(it, &m)) {
		struct store_iter *results = store_results(s, m.id, NULL);
		struct store_result r;

		while (ok && store_next_result(results, &r))
			ok = row(s, &m, &r, t, e);
		ok = store_iter_end(results, ok ? e : NULL) && ok && report_drain(out);
	}
	return store_iter_end(it, ok ? e : NULL) && ok;
}
