/* report_mutatenn_out.c: a result folder of MutateNN as a table and as JSON */
#include "report/report_mutatenn.h"

#include "base/arena.h"

static void set(json_t *j, const char *key, json_t *value)
{
	json_object_set_new(j, key, value);
}

static const struct mnn_run *run_of(const struct mnn *m, size_t variant, size_t device)
{
	return &m->run[variant * m->ndevices + device];
}

/* ---- JSON ------------------------------------------------------------------------------------------------ */

static json_t *run_json(const struct mnn *m, size_t variant, size_t device)
{
	const struct mnn_run *r = run_of(m, variant, device);
	json_t *j = json_object(), *missing = json_array(), *cut = json_array();

	for (size_t i = 0; i < m->nimages; i++)
		if (r->answer[i].state != MNN_ANSWERED)
			json_array_append_new(r->answer[i].state == MNN_MISSING ? missing : cut, report_string(m->image[i]));
	set(j, "device", report_string(m->device[device]));
	set(j, "status", json_string(mnn_status(r)));
	set(j, "stuck", json_boolean(r->stuck));
	set(j, "runs", json_integer((json_int_t)r->times));
	set(j, "answered", json_integer((json_int_t)r->answered));
	set(j, "nan", json_integer((json_int_t)r->nan));
	set(j, "missing", missing);
	set(j, "truncated", cut);
	return j;
}

static json_t *pair_json(const struct mnn_pair *p)
{
	json_t *j = report_share("top1_differ", (int64_t)p->top1_differ, (int64_t)p->images), *names = json_array();
	const struct {
		const char *name;
		double value;
	} m[] = {{"jaccard", p->jaccard},     {"rbo", p->rbo},
		 {"kendall", p->kendall},     {"displacement", p->displacement},
		 {"euclidean", p->euclidean}, {"manhattan", p->manhattan},
		 {"minkowski", p->minkowski}, {"max_probability_difference", p->max_probability}};

	for (size_t i = 0; i < sizeof m / sizeof *m; i++)
		set(j, m[i].name, p->images ? report_number(m[i].value) : json_null());
	for (size_t i = 0; i < p->top1_differ; i++)
		json_array_append_new(names, report_string(p->differ[i]));
	set(j, "images", json_integer((json_int_t)p->images));
	set(j, "one_sided", json_integer((json_int_t)p->one_sided));
	set(j, "percent", p->images ? report_number(100.0 * (double)p->top1_differ / (double)p->images) : json_null());
	set(j, "images_differ", names);
	set(j, "seconds", p->timed ? json_pack("{so so}", "f", report_number(p->f), "p", report_number(p->p)) : json_null());
	return j;
}

static json_t *variant_json(struct arena *a, const struct mnn *m, size_t v)
{
	json_t *j = json_object(), *runs = json_array(), *across = json_array(), *original = json_array();
	struct mnn_pair p;

	for (size_t d = 0; d < m->ndevices; d++) {
		json_array_append_new(runs, run_json(m, v, d));
		for (size_t b = d + 1; b < m->ndevices; b++) {
			json_t *pj;

			mnn_compare(a, m, run_of(m, v, d), run_of(m, v, b), &p);
			pj = pair_json(&p);
			set(pj, "a", report_string(m->device[d]));
			set(pj, "b", report_string(m->device[b]));
			json_array_append_new(across, pj);
		}
		if (m->original >= 0 && (size_t)m->original != v) {
			json_t *pj;

			mnn_compare(a, m, run_of(m, (size_t)m->original, d), run_of(m, v, d), &p);
			pj = pair_json(&p);
			set(pj, "device", report_string(m->device[d]));
			json_array_append_new(original, pj);
		}
	}
	set(j, "variant", report_string(m->variant[v]));
	set(j, "runs", runs);
	set(j, "across", across);
	set(j, "against_original", original);
	return j;
}

static void write_json(struct arena *a, const struct mnn *m, struct str *t)
{
	json_t *top = json_object(), *variants = json_array(), *devices = json_array();

	for (size_t v = 0; v < m->nvariants; v++)
		json_array_append_new(variants, variant_json(a, m, v));
	for (size_t d = 0; d < m->ndevices; d++)
		json_array_append_new(devices, report_string(m->device[d]));
	set(top, "folder", report_string(m->dir));
	set(top, "images", json_integer((json_int_t)m->nimages));
	set(top, "devices", devices);
	set(top, "original", m->original >= 0 ? report_string(m->variant[m->original]) : json_null());
	set(top, "variants", variants);
	report_dump(t, top);
	str_addc(t, '\n');
}

/* ---- table ----------------------------------------------------------------------------------------------- */

static void run_line(const struct mnn *m, size_t v, size_t d, struct str *t)
{
	const struct mnn_run *r = run_of(m, v, d);
	struct str line = {0};

	str_addf(&line, "%s: %s: %zu of %zu images answered", m->device[d], mnn_status(r), r->answered, m->nimages);
	if (r->missing)
		str_addf(&line, ", %zu missing", r->missing);
	if (r->truncated)
		str_addf(&line, ", %zu cut short", r->truncated);
	if (r->stuck)
		str_add(&line, ", all answers the same");
	if (r->nan)
		str_addf(&line, ", %zu with NaN or Inf", r->nan);
	if (r->times > 1)
		str_addf(&line, "; the newest of %zu runs", r->times);
	report_wrap(t, 4, str_text(&line));
	str_free(&line);
}

static void pair_line(const char *a, const char *b, const struct mnn_pair *p, struct str *t)
{
	struct str line = {0};

	str_addf(&line, "%s ~ %s:", a, b);
	if (p->images)
		str_addf(&line, " %.1f %% (%zu of %zu)", 100.0 * (double)p->top1_differ / (double)p->images, p->top1_differ,
			 p->images);
	else
		str_add(&line, " no image answered on both");
	if (p->images && p->rbo < 1)
		str_addf(&line, ", rbo %.4f, tau %.4f, jaccard %.4f", p->rbo, p->kendall, p->jaccard);
	if (p->one_sided)
		str_addf(&line, ", %zu answered by one only", p->one_sided);
	report_wrap(t, 4, str_text(&line));
	str_free(&line);
}

static void runs_table(const struct mnn *m, struct str *t)
{
	size_t whole = 0, all = m->nvariants * m->ndevices;

	for (size_t i = 0; i < all; i++)
		whole += m->run[i].answered == m->nimages && !m->run[i].stuck && !m->run[i].nan;
	str_addf(t, "%zu of %zu runs are whole\n", whole, all);
	str_add(t, "\nRuns\n");
	for (size_t v = 0; v < m->nvariants; v++) {
		report_wrap(t, 2, m->variant[v]);
		for (size_t d = 0; d < m->ndevices; d++)
			run_line(m, v, d, t);
	}
}

static void write_table(struct arena *a, const struct mnn *m, struct str *t)
{
	struct mnn_pair p;
	struct str line = {0};

	str_addf(&line, "MutateNN results in %s: %zu devices, %zu variants, %zu images", m->dir, m->ndevices, m->nvariants,
		 m->nimages);
	report_wrap(t, 0, str_text(&line));
	str_free(&line);
	runs_table(m, t);
	str_add(t, "\nDevice against device: images whose first label differs\n");
	for (size_t v = 0; v < m->nvariants; v++) {
		report_wrap(t, 2, m->variant[v]);
		for (size_t x = 0; x < m->ndevices; x++)
			for (size_t y = x + 1; y < m->ndevices; y++) {
				mnn_compare(a, m, run_of(m, v, x), run_of(m, v, y), &p);
				pair_line(m->device[x], m->device[y], &p, t);
			}
	}
	if (m->original < 0)
		return;
	str_add(t, "\nAgainst the original on the same device\n");
	for (size_t v = 0; v < m->nvariants; v++) {
		if ((size_t)m->original == v)
			continue;
		report_wrap(t, 2, m->variant[v]);
		for (size_t d = 0; d < m->ndevices; d++) {
			mnn_compare(a, m, run_of(m, (size_t)m->original, d), run_of(m, v, d), &p);
			pair_line(m->device[d], m->variant[m->original], &p, t);
		}
	}
}

bool report_compare_mutatenn(const char *dir, enum report_format f, struct str *text, struct err *e)
{
	struct arena *a;
	struct mnn m;
	bool ok;

	if (f > REPORT_JSON)
		return err_set(e, ERR_USAGE, "a comparison is a table or JSON, not CSV");
	a = arena_new(NULL);
	ok = mnn_read(a, dir, &m, e);
	if (ok)
		(f == REPORT_JSON ? write_json : write_table)(a, &m, text);
	arena_free(a);
	return ok;
}
