/* cli_diff_files.c: a comparison as JSON, as .npy files, as a page with a chart */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "cli/cli_diff.h"
#include "cli/cli_json.h"

/* ---- JSON ---- */

static json_t *dims(const struct tensor *t)
{
	json_t *list = json_array();

	for (int i = 0; i < t->nd; i++)
		json_array_append_new(list, json_integer(t->dim[i]));
	return list;
}

static json_t *tensor(const struct tensor *t, const char *file)
{
	return t ? json_pack("{s:s,s:o,s:o*}", "dtype", dtype_name(t->dtype), "shape", dims(t), "file", file ? cli_json_text(file) : NULL) : json_null();
}

static json_t *distance(const struct distance *d, double relative)
{
	return json_pack("{s:b,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:I,s:I,s:I,s:I}", "identical", d->identical, "relative", cli_json_number(relative), "max_abs",
	                 cli_json_number(d->max_abs), "max_rel", cli_json_number(d->max_rel), "l2", cli_json_number(d->l2), "cosine",
	                 cli_json_number(d->cosine), "nmse", cli_json_number(d->nmse), "max_ulp", cli_json_number(d->max_ulp), "nan_a", (json_int_t)d->nan_a,
	                 "nan_b", (json_int_t)d->nan_b, "inf_a", (json_int_t)d->inf_a, "inf_b", (json_int_t)d->inf_b);
}

static json_t *row(const struct camp_diff_row *r, const char *file_a, const char *file_b)
{
	bool compared = r->state <= DIFF_BAD;

	return json_pack("{s:o,s:o,s:s,s:b,s:s,s:o,s:o,s:o*,s:o*}", "tensor", cli_json_text(r->tensor), "kernel", cli_json_text(r->kernel), "op", r->op,
	                 "mutated", r->mutated, "state", camp_diff_state_name(r->state), "a", tensor(r->a, file_a), "b", tensor(r->b, file_b), "distance",
	                 compared ? distance(&r->d, r->relative) : NULL, "alone", r->has_alone ? distance(&r->alone, r->alone_relative) : NULL);
}

static json_t *first(const struct camp_diff_row *r)
{
	return r ? cli_json_text(r->tensor) : json_null();
}

static json_t *side(const struct cli_diff *d, int s)
{
	const struct store_answer *x = &d->diff->answer[s];

	return json_pack("{s:s,s:o,s:o,s:o,s:{s:i,s:o,s:o}}", "device", d->device[s], "description", cli_json_text(d->describe[s]), "mutant",
	                 cli_json_text(d->mutant[s]), "overrun", cli_json_text(d->diff->overrun[s]), "top", "index", x->label[0], "label",
	                 cli_json_text(camp_class_name(d->model, x->label[0])), "probability", cli_json_number((double)x->probability[0]));
}

json_t *cli_diff_json(const struct cli_diff *d, const char *const *file)
{
	const struct camp_diff *x = d->diff;
	json_t *rows = json_array();

	for (size_t i = 0; i < x->n; i++)
		json_array_append_new(rows, row(&x->row[i], file ? file[2 * i] : NULL, file ? file[2 * i + 1] : NULL));
	return json_pack("{s:o,s:o,s:o,s:o,s:f,s:o,s:o,s:o,s:o}", "model", cli_json_text(d->model->file), "input", cli_json_text(d->input), "a", side(d, 0), "b",
	                 side(d, 1), "tolerance", x->tolerance, "first_different", first(x->first_different), "first_bad", first(x->first_bad), "first_alone",
	                 first(x->first_alone), "tensors", rows);
}

/* ---- .npy ---- */

/* A name that any file system takes; the number in front keeps it unique. */
static const char *file_name(struct arena *a, size_t i, const char *tensor_name, char letter)
{
	char *name = arena_printf(a, "%04zu_%.100s.%c.npy", i, tensor_name, letter);

	for (char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
			*c = '_';
	return name;
}

static bool write_tensor(struct arena *a, const char *path, const struct tensor *t, struct err *e)
{
	struct arena *scratch;
	struct tensor *wide;
	bool ok;

	if (t->dtype != DT_BF16)
		return npy_write(path, t, e);
	scratch = arena_new(a);
	wide = tensor_new(scratch, DT_F32, t->nd, t->dim);
	for (int64_t i = 0; i < tensor_elements(t); i++)
		tensor_set_f64(wide, i, tensor_get_f64(t, i));
	ok = npy_write(path, wide, e);
	arena_free(scratch);
	return ok;
}

bool cli_diff_dump(struct arena *a, const struct cli_diff *d, const char *dir, struct err *e)
{
	const char **file = ARENA_ARRAY(a, const char *, 2 * d->diff->n + 1);
	char *text;
	json_t *j;
	bool ok;

	if (!file_mkdirs(dir, e))
		return false;
	for (size_t i = 0; i < 2 * d->diff->n; i++) {
		const struct camp_diff_row *r = &d->diff->row[i / 2];
		const struct tensor *t = i % 2 ? r->b : r->a;

		if (!t)
			continue;
		file[i] = file_name(a, i / 2, r->tensor, "ab"[i % 2]);
		if (!write_tensor(a, file_join(a, dir, file[i]), t, e))
			return false;
	}
	j = cli_diff_json(d, file);
	text = json_dumps(j, JSON_INDENT(2));
	json_decref(j);
	ok = text ? file_write(file_join(a, dir, "index.json"), text, strlen(text), e) : err_set(e, ERR_IO, "cannot make '%s/index.json'", dir);
	free(text);
	return ok;
}

/* ---- a page ---- */

#define ROW 18
#define LEFT 300
#define WIDE 480

static const char style[] = "<style>\n"
                            ":root{color-scheme:light dark}body{font:14px/1.5 system-ui,sans-serif;margin:2em;max-width:70em}\n"
                            "table{border-collapse:collapse;font-variant-numeric:tabular-nums}td,th{padding:.1em .6em;text-align:right;border-bottom:1px solid #8884}\n"
                            "td:first-child,th:first-child,td:nth-child(2),th:nth-child(2){text-align:left}svg text{fill:currentColor;font:12px system-ui,sans-serif}\n"
                            ".within{fill:#4477aa}.bad{fill:#cc3311}.equal{fill:none}.axis{stroke:#8888}tr.bad td:first-child{border-left:4px solid #cc3311}\n"
                            "</style>\n";

static void html_side(struct str *s, const struct cli_diff *d, int k)
{
	const struct store_answer *x = &d->diff->answer[k];
	const char *name = camp_class_name(d->model, x->label[0]);

	str_addf(s, "<p><b>%c</b> ", "AB"[k]);
	str_add_xml(s, d->device[k]);
	str_add(s, " (");
	str_add_xml(s, d->describe[k]);
	str_add(s, "): ");
	str_add_xml(s, d->mutant[k] ? d->mutant[k] : "the original");
	str_addf(s, ". Answers %d ", x->label[0]);
	str_add_xml(s, name ? name : "");
	if (isfinite(x->probability[0]))
		str_addf(s, " with %.2f %%.</p>\n", (double)x->probability[0] * 100);
	else
		str_add(s, " with NaN.</p>\n");
}

static void html_first(struct str *s, const char *what, const struct camp_diff_row *r)
{
	if (!r)
		return;
	str_addf(s, "<p>%s <b>", what);
	str_add_xml(s, r->tensor);
	str_add(s, "</b>, kernel ");
	str_add_xml(s, r->kernel);
	str_addf(s, " (%s).</p>\n", r->op);
}

static void html_chart(struct str *s, const struct cli_diff *d)
{
	size_t height = (d->diff->n + 2) * ROW;

	str_addf(s, "<svg role=\"img\" aria-label=\"largest difference of each tensor over its largest value\" width=\"%d\" height=\"%zu\">\n", LEFT + WIDE + 20,
	         height);
	for (int i = 0; i <= 8; i += 2)
		str_addf(s, "<line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%zu\"/><text x=\"%d\" y=\"12\" text-anchor=\"middle\">1e%d</text>\n",
		         LEFT + WIDE * i / 8, LEFT + WIDE * i / 8, ROW, height, LEFT + WIDE * i / 8, i - 8);
	for (size_t i = 0; i < d->diff->n; i++) {
		const struct camp_diff_row *r = &d->diff->row[i];
		double relative = d->alone && r->has_alone ? r->alone_relative : r->relative;
		size_t y = (i + 1) * ROW + 4;

		str_addf(s, "<g><title>%s: %g</title><text x=\"%d\" y=\"%zu\" text-anchor=\"end\">", camp_diff_state_name(r->state), relative, LEFT - 8, y + 11);
		str_add_xml(s, r->tensor);
		str_addf(s, "</text><rect class=\"%s\" x=\"%d\" y=\"%zu\" width=\"%d\" height=\"%d\"/></g>\n", relative > d->diff->tolerance ? "bad" : "within", LEFT,
		         y, cli_diff_bar(relative, WIDE), ROW - 4);
	}
	str_add(s, "</svg>\n");
}

static void html_table(struct str *s, const struct cli_diff *d)
{
	str_add(s, "<table><tr><th>tensor<th>kernel, operators<th>max abs<th>max rel<th>nmse<th>ulp<th>NaN, Inf of A<th>of B<th>alone</tr>\n");
	for (size_t i = 0; i < d->diff->n; i++) {
		const struct camp_diff_row *r = &d->diff->row[i];

		str_addf(s, "<tr class=\"%s\"><td>", camp_diff_state_name(r->state));
		str_add_xml(s, r->tensor);
		str_add(s, "<td>");
		str_add_xml(s, r->kernel);
		str_addf(s, ", %s%s", r->op, r->mutated ? " (mutated)" : "");
		if (r->state > DIFF_BAD)
			str_addf(s, "<td colspan=\"7\">%s</tr>\n", r->state == DIFF_SHAPE ? "other dimensions" : r->state == DIFF_ONLY_A ? "only A" : "only B");
		else
			str_addf(s, "<td>%g<td>%g<td>%g<td>%g<td>%lld<td>%lld<td>", r->d.max_abs, r->d.max_rel, r->d.nmse, r->d.max_ulp,
			         (long long)(r->d.nan_a + r->d.inf_a), (long long)(r->d.nan_b + r->d.inf_b));
		if (r->state <= DIFF_BAD && r->has_alone)
			str_addf(s, "%g", r->alone_relative);
		str_add(s, r->state <= DIFF_BAD ? "</tr>\n" : "");
	}
	str_add(s, "</table>\n");
}

bool cli_diff_html(const struct cli_diff *d, const char *path, struct err *e)
{
	struct str s = {0};
	bool ok;

	str_add(&s, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
	str_add_xml(&s, d->model->name);
	str_addf(&s, ": layer by layer</title>\n%s</head><body>\n<h1>", style);
	str_add_xml(&s, d->model->name);
	str_add(&s, " on ");
	str_add_xml(&s, d->input);
	str_add(&s, ", layer by layer</h1>\n");
	html_side(&s, d, 0);
	html_side(&s, d, 1);
	html_first(&s, "First tensor that differs:", d->diff->first_different);
	html_first(&s, "First bad layer:", d->diff->first_bad);
	html_first(&s, "First that, alone on A's tensors, adds an error:", d->diff->first_alone);
	if (!d->diff->first_different)
		str_add(&s, "<p>What both have is equal bit for bit.</p>\n");
	str_addf(&s, "<h2>%s</h2>\n", d->alone ? "The error that each kernel of B adds: largest difference over the tensor's largest value"
	                                       : "Largest difference over the tensor's largest value");
	html_chart(&s, d);
	str_addf(&s, "<h2>Every tensor</h2>\n<p>A layer is bad when its largest difference is more than %g of A's largest value, or a NaN or Inf differs.</p>\n",
	         d->diff->tolerance);
	html_table(&s, d);
	str_add(&s, "</body></html>\n");
	ok = file_write(path, s.s, s.n, e);
	str_free(&s);
	return ok;
}
