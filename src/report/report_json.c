/* report_json.c: the report that scripts rely on; fields may be added, these keep their names */
#include "report/report_internal.h"

#include <string.h>

static json_t *killed_flags(unsigned killed)
{
	json_t *j = json_object();

	for (int c = 0; c < STORE_CRITERIA; c++)
		json_object_set_new(j, store_criterion_name(c), json_boolean(killed >> c & 1));
	return j;
}

static json_t *launches(int64_t run, int64_t saved)
{
	return json_pack("{sI sI}", "run", (json_int_t)run, "saved", (json_int_t)saved);
}

static json_t *counts(const struct store_counts *c)
{
	json_t *outcomes = json_object(), *killed = json_object(), *j = json_object();

	for (int o = 0; o < OUTCOME_COUNT; o++)
		if (c->outcome[o])
			json_object_set_new(outcomes, outcome_name((enum outcome)o), json_integer(c->outcome[o]));
	for (int k = 0; k < STORE_CRITERIA; k++)
		json_object_set_new(killed, store_criterion_name(k), report_share("killed", c->killed[k], c->counted));
	json_object_set_new(j, "rows", json_integer(c->rows));
	json_object_set_new(j, "suppressed", json_integer(c->suppressed));
	json_object_set_new(j, "counted", json_integer(c->counted));
	json_object_set_new(j, "degenerate", json_integer(c->degenerate));
	json_object_set_new(j, "same_code", json_integer(c->twins));
	json_object_set_new(j, "outcomes", outcomes);
	json_object_set_new(j, "killed", killed);
	return j;
}

static void set(json_t *j, const char *key, json_t *value)
{
	json_object_set_new(j, key, value);
}

static json_t *ranks(double jaccard, double rbo, double kendall, double displacement, double euclidean, double manhattan,
		     double minkowski)
{
	const struct {
		const char *name;
		double value;
	} m[] = {{"jaccard", jaccard},     {"rbo", rbo},
		 {"kendall", kendall},     {"displacement", displacement},
		 {"euclidean", euclidean}, {"manhattan", manhattan},
		 {"minkowski", minkowski}};
	json_t *j = json_object();

	for (size_t i = 0; i < sizeof m / sizeof *m; i++)
		set(j, m[i].name, report_number(m[i].value));
	return j;
}

static json_t *metrics(const struct store_summary *m)
{
	json_t *j = ranks(m->jaccard, m->rbo, m->kendall, m->displacement, m->euclidean, m->manhattan, m->minkowski);

	set(j, "max_abs", report_number(m->max_abs));
	set(j, "max_rel", report_number(m->max_rel));
	set(j, "l2", report_number(m->l2));
	set(j, "max_ulp", report_number(m->max_ulp));
	set(j, "cosine", report_number(m->cosine));
	set(j, "nan_images", json_integer(m->nan_images));
	return j;
}

static json_t *image_row(const struct store_image_result *r)
{
	json_t *j = ranks(r->jaccard, r->rbo, r->kendall, r->displacement, r->euclidean, r->manhattan, r->minkowski);
	json_t *top = json_array();

	for (int i = 0; i < r->answer.k; i++) {
		json_t *t = json_object();

		set(t, "index", json_integer(r->answer.label[i]));
		set(t, "probability", report_number(r->answer.probability[i]));
		json_array_append_new(top, t);
	}
	set(j, "image", json_integer(r->image));
	set(j, "outcome", json_string(outcome_name(r->outcome)));
	set(j, "top", top);
	set(j, "digest", report_hash(r->answer.digest));
	set(j, "top1_equal", json_boolean(r->top1_equal));
	set(j, "max_abs", report_number(r->max_abs));
	set(j, "max_rel", report_number(r->max_rel));
	set(j, "l2", report_number(r->l2));
	set(j, "cosine", report_number(r->cosine));
	set(j, "nmse", report_number(r->nmse));
	set(j, "max_ulp", report_number(r->max_ulp));
	set(j, "nan", json_integer(r->nan_count));
	set(j, "inf", json_integer(r->inf_count));
	set(j, "time_s", report_number(r->time_s));
	set(j, "launches", launches(r->launches_run, r->launches_saved));
	return j;
}

static bool image_rows(struct store *s, const struct store_result *r, json_t *into, struct err *e)
{
	struct store_iter *it = store_image_results(s, r->mutant, r->device);
	struct store_image_result im;
	json_t *rows = json_array();

	while (store_next_image_result(it, &im))
		json_array_append_new(rows, image_row(&im));
	set(into, "per_image", rows);
	return store_iter_end(it, e);
}

static json_t *device_row(const struct store_result *r)
{
	json_t *j = json_object();

	set(j, "device", report_string(r->device));
	set(j, "outcome", json_string(outcome_name(r->outcome)));
	set(j, "killed", killed_flags(r->killed));
	set(j, "images", json_integer(r->images));
	set(j, "images_changed", json_integer(r->images_changed));
	set(j, "code", report_hash(r->code));
	set(j, "degenerate", json_boolean(r->degenerate));
	set(j, "launches", launches(r->launches_run, r->launches_saved));
	set(j, "runs", json_integer(r->runs));
	set(j, "fill", report_string(r->fill));
	if (r->twin)
		set(j, "same_code_as", report_string(r->twin));
	set(j, "build_s", report_number(r->build_s));
	set(j, "run_s", report_number(r->run_s));
	if (r->message)
		set(j, "message", report_string(r->message));
	if (r->stage || r->kernel || r->signal)
		set(j, "evidence",
		    json_pack("{so so si}", "stage", report_string(r->stage), "kernel", report_string(r->kernel), "signal",
			      r->signal));
	return j;
}

static bool device_rows(struct store *s, const char *mutant, bool images, json_t *into, struct err *e)
{
	struct store_iter *it = store_results(s, mutant, NULL);
	struct store_result r;
	bool ok = true;

	while (ok && store_next_result(it, &r)) {
		json_t *j = device_row(&r);
		struct store_summary sum = {0};

		ok = store_summarise(s, mutant, r.device, &sum, e);
		if (sum.answers)
			set(j, "metrics", metrics(&sum));
		if (sum.labelled)
			set(j, "accuracy", report_share("right", sum.right, sum.labelled));
		if (ok && images)
			ok = image_rows(s, &r, j, e);
		json_array_append_new(into, j);
	}
	return store_iter_end(it, ok ? e : NULL) && ok;
}

static bool mutant_rows(struct store *s, bool images, struct report_out *out, struct err *e)
{
	struct store_iter *it = store_mutants(s, NULL);
	struct store_mutant m;
	bool ok = true, first = true;

	while (ok && store_next_mutant(it, &m)) {
		json_t *j = json_object(), *devices = json_array();

		set(j, "id", report_string(m.id));
		set(j, "operator", report_string(m.op));
		set(j, "category", report_string(m.category));
		set(j, "target", report_string(m.target));
		set(j, "sites", json_integer(m.sites));
		if (m.bounds)
			set(j, "bounds", report_string(m.bounds));
		if (m.bounds_text)
			set(j, "bounds_text", report_string(m.bounds_text));
		set(j, "suppressed", report_string(m.suppressed));
		ok = device_rows(s, m.id, images, devices, e);
		set(j, "devices", devices);
		str_add(&out->text, first ? "\n" : ",\n");
		first = false;
		report_dump(&out->text, j);
		ok = ok && report_drain(out);
	}
	return store_iter_end(it, ok ? e : NULL) && ok;
}

static json_t *devices_part(const struct report_data *d)
{
	json_t *list = json_array();

	for (size_t i = 0; i < d->ndevices; i++) {
		const struct report_device *r = &d->device[i];
		json_t *j = json_object();

		set(j, "name", report_string(r->name));
		set(j, "backend", report_string(r->backend));
		set(j, "describe", report_string(r->describe));
		set(j, "identity", report_string(r->identity));
		set(j, "error", report_string(r->error));
		set(j, "noise", report_string(r->noise));
		set(j, "counts", counts(&r->counts));
		if (r->original.labelled)
			set(j, "accuracy", report_share("right", r->original.right, r->original.labelled));
		json_array_append_new(list, j);
	}
	return list;
}

static json_t *groups_part(const struct report_group *g, size_t n, const char *name, bool category)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *j = counts(&g[i].counts);

		set(j, name, report_string(g[i].name));
		if (category)
			set(j, "category", report_string(g[i].category));
		set(j, "mutants", json_integer(g[i].mutants));
		json_array_append_new(list, j);
	}
	return list;
}

static json_t *suppressions_part(const struct report_data *d)
{
	json_t *list = json_array();

	for (size_t i = 0; i < d->nsuppressions; i++) {
		json_t *j = json_object();

		set(j, "glob", report_string(d->suppression[i].glob));
		set(j, "reason", report_string(d->suppression[i].reason));
		set(j, "source", report_string(d->suppression[i].source));
		set(j, "mutants", json_integer(d->suppression[i].mutants));
		json_array_append_new(list, j);
	}
	return list;
}

static bool pictures(struct store *s, struct report_out *out, struct err *e)
{
	struct store_iter *it = store_images(s);
	struct store_image im;
	bool ok = true, first = true;

	str_add(&out->text, ",\n\"pictures\": [");
	while (ok && store_next_image(it, &im)) {
		json_t *j = json_object();

		set(j, "image", json_integer(im.index));
		set(j, "name", report_string(im.name));
		set(j, "label", im.label < 0 ? json_null() : json_integer(im.label));
		str_add(&out->text, first ? "\n" : ",\n");
		first = false;
		report_dump(&out->text, j);
		ok = report_drain(out);
	}
	str_add(&out->text, "]");
	return store_iter_end(it, ok ? e : NULL) && ok;
}

static void part(struct str *t, const char *key, json_t *j)
{
	str_addf(t, ",\n\"%s\": ", key);
	report_dump(t, j);
}

/* Mutant by mutant: only one of them is ever a tree in memory. */
bool report_json(struct store *s, const struct report_data *d, const struct report_options *o, struct report_out *out, struct err *e)
{
	struct str *t = &out->text;
	json_t *model;

	str_addf(t, "{\"schema\": %d,\n\"mutants\": [", REPORT_JSON_SCHEMA);
	if (!mutant_rows(s, o->images, out, e))
		return false;
	str_add(t, "]");
	part(t, "launches", launches(d->all.launches_run, d->all.launches_saved));
	model = json_object();
	set(model, "name", report_string(d->model));
	set(model, "file", report_string(d->model_file));
	set(model, "hash", report_hash(d->model_hash));
	part(t, "model", model);
	part(t, "images", json_integer(d->images));
	if (!pictures(s, out, e))
		return false;
	part(t, "devices", devices_part(d));
	part(t, "operators", groups_part(d->op, d->nops, "operator", true));
	part(t, "categories", groups_part(d->category, d->ncategories, "category", false));
	part(t, "counts", counts(&d->all));
	part(t, "suppressions", suppressions_part(d));
	part(t, "complete", json_boolean(!d->all.outcome[OUTCOME_NOT_RUN]));
	part(t, "tool", report_string(d->tool));
	part(t, "created", report_string(d->created));
	str_add(t, "}\n");
	return true;
}
