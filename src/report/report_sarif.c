/* report_sarif.c: SARIF 2.1.0, what code hosts show: survivors and mutants that devices disagree on; docs/exports.md has the mapping */
#include "report/report_internal.h"

#include <ctype.h>
#include <string.h>

#include "base/arena.h"
#include "base/map.h"

#define SCHEMA "https://json.schemastore.org/sarif-2.1.0.json"
#define DISAGREE "device-disagreement"
#define MODEL_DISAGREE "model-disagreement"

struct sarif {
	struct store *s;
	const struct report_data *d;
	const struct report_options *o;
	struct report_out *out;
	struct map *rule, *artifact; /* name -> number + 1 */
	bool first;                  /* result */
};

/* A path as a URI reference. */
static void uri(struct str *t, const char *path)
{
	if (*path == '/')
		str_add(t, "file://");
	for (const char *p = path; *p; p++) {
		if (isalnum((unsigned char)*p) || strchr("/-._~", *p) || (*p == ':' && p != path))
			str_addc(t, *p);
		else
			str_addf(t, "%%%02X", (unsigned char)*p);
	}
}

static json_t *uri_json(const char *path)
{
	struct str t = {0};
	json_t *j;

	uri(&t, path);
	j = json_string(str_text(&t));
	str_free(&t);
	return j;
}

static json_t *text_json(const char *text)
{
	return json_pack("{so}", "text", report_string(text));
}

/* ---- rules ----------------------------------------------------------------------------------------------- */

static void rule(struct sarif *x, const char *id, const char *summary, const char *imitates, const char *level)
{
	json_t *j = json_object();
	struct str help = {0};

	json_object_set_new(j, "id", report_string(id));
	json_object_set_new(j, "shortDescription", text_json(summary));
	str_addf(&help, "%s.", summary);
	if (*imitates)
		str_addf(&help, " It stands for: %s.", imitates);
	if (strchr(id, '.'))
		str_add(&help, " A survivor is a fault of this kind that no image of the campaign notices: add images that do, or say why it does not "
			       "matter.");
	json_object_set_new(j, "fullDescription", text_json(str_text(&help)));
	json_object_set_new(j, "help", text_json(str_text(&help)));
	json_object_set_new(j, "defaultConfiguration", json_pack("{ss}", "level", level));
	str_add(&x->out->text, map_count(x->rule) ? ",\n" : "\n");
	report_dump(&x->out->text, j);
	map_put(x->rule, id, (void *)(intptr_t)(map_count(x->rule) + 1));
	str_free(&help);
}

static bool rules(struct sarif *x, struct err *e)
{
	struct store_iter *it = store_operators(x->s);
	struct store_operator op;

	rule(x, DISAGREE, "The same faulty code gives different results on two devices", "", "warning");
	rule(x, MODEL_DISAGREE, "The model itself, without any fault, classifies images differently on two devices", "", "error");
	while (store_next_operator(it, &op))
		rule(x, op.name, *op.summary ? op.summary : op.name, op.imitates, "warning");
	/* those of a store that an older version made */
	for (size_t i = 0; i < x->d->nops; i++)
		if (!map_has(x->rule, x->d->op[i].name))
			rule(x, x->d->op[i].name, *x->d->op[i].name ? x->d->op[i].name : "?", "", "warning");
	return store_iter_end(it, e);
}

/* ---- artifacts ------------------------------------------------------------------------------------------- */

static bool artifacts(struct sarif *x, struct err *e)
{
	struct store_iter *it = store_originals(x->s);
	json_t *j = json_pack("{s{so}s[s]s{so}}", "location", "uri", uri_json(x->d->model_file), "roles", "analysisTarget", "hashes", "xxh3-128",
			      report_hash(x->d->model_hash));
	struct store_original src;
	size_t n = 1;
	bool ok = true;

	if (hash_is_zero(x->d->model_hash))
		json_object_del(j, "hashes");
	report_dump(&x->out->text, j);
	while (ok && store_next_original(it, &src)) {
		struct arena *a = arena_new(NULL);
		char *path = report_source_path(a, src.kind, src.name);

		j = json_pack("{s{so}si}", "location", "uri", uri_json(path), "parentIndex", 0);
		json_object_set_new(j, "contents", text_json(src.text));
		str_add(&x->out->text, ",\n");
		report_dump(&x->out->text, j);
		map_put(x->artifact, path, (void *)(intptr_t)++n);
		arena_free(a);
		ok = report_drain(x->out);
	}
	return store_iter_end(it, ok ? e : NULL) && ok;
}

/* ---- results --------------------------------------------------------------------------------------------- */

static json_t *location(struct sarif *x, const struct store_mutant *m)
{
	/* code hosts want a line; a model has none */
	json_t *place = json_pack("{s{sosi}s{si}}", "artifactLocation", "uri", uri_json(x->d->model_file), "index", 0, "region", "startLine", 1);
	json_t *j = json_pack("{so}", "physicalLocation", place);
	json_t *logical;

	if (m && *m->target && strcmp(m->target, "*")) {
		logical = json_pack("{soss}", "name", report_string(m->target), "kind", !strncmp(m->op, "loop.", 5) ? "function" : "member");
		json_object_set_new(j, "logicalLocations", json_pack("[o]", logical));
	}
	return j;
}

/* Where in the original's text it is, which is an artifact of this file. */
static void related(struct sarif *x, struct arena *a, const struct store_mutant *m, json_t *j)
{
	struct report_place p;
	const char *path;
	json_t *place, *region;
	intptr_t index;

	report_place(a, m, &p);
	if (!p.kind)
		return;
	path = report_source_path(a, p.kind, p.name);
	if (!(index = (intptr_t)map_get(x->artifact, path)))
		return;
	region = json_pack("{si si si si}", "startLine", p.line, "startColumn", p.column, "endLine", p.end_line, "endColumn", p.end_column);
	place = json_pack("{s{sosI}so}", "artifactLocation", "uri", uri_json(path), "index", (json_int_t)(index - 1), "region", region);
	json_object_set_new(j, "relatedLocations",
			    json_pack("[{sososi}]", "physicalLocation", place, "message",
				      text_json(arena_printf(a, "becomes: %s", p.replacement)), "id", 1));
}

static bool result(struct sarif *x, const char *rule_id, const char *level, const char *about, const struct store_mutant *m, const char *message,
		   struct err *e)
{
	struct arena *a = arena_new(NULL);
	json_t *j = json_object();
	char hex[HASH_HEX];

	json_object_set_new(j, "ruleId", report_string(rule_id));
	json_object_set_new(j, "ruleIndex", json_integer((json_int_t)((intptr_t)map_get(x->rule, rule_id) - 1)));
	json_object_set_new(j, "level", json_string(level));
	json_object_set_new(j, "message", text_json(message));
	json_object_set_new(j, "locations", json_pack("[o]", location(x, m)));
	if (m)
		related(x, a, m, j);
	hash_hex(hash_text(arena_printf(a, "%s %s", rule_id, about)), hex);
	json_object_set_new(j, "partialFingerprints", json_pack("{ss ss}", "mutatenn/v1", hex, "primaryLocationLineHash", arena_printf(a, "%s:1", hex)));
	if (m)
		json_object_set_new(j, "properties", json_pack("{so so}", "mutant", report_string(m->id), "diff", report_string(m->diff)));
	if (m && m->suppressed)
		json_object_set_new(j, "suppressions", json_pack("[{ssso}]", "kind", "external", "justification", report_string(m->suppressed)));
	str_add(&x->out->text, x->first ? "\n" : ",\n");
	x->first = false;
	report_dump(&x->out->text, j);
	arena_free(a);
	return report_drain(x->out);
}

static bool survivor(struct sarif *x, const struct store_mutant *m, struct err *e)
{
	struct store_iter *it = store_results(x->s, m->id, NULL);
	struct str on = {0}, killed = {0}, message = {0};
	struct store_result r;
	bool ok;

	while (store_next_result(it, &r)) {
		struct str *t = r.killed >> x->o->criterion & 1 ? &killed : &on;

		if (outcome_class(r.outcome) == OUTCOME_CLASS_COUNTED)
			str_addf(t, "%s'%s' (%s)", t->n ? ", " : "", r.device, outcome_name(r.outcome));
	}
	ok = store_iter_end(it, e);
	if (ok && on.n) {
		str_addf(&message, "mutant '%s' survives on %s", m->id, on.s);
		if (killed.n)
			str_addf(&message, "; it is killed on %s", killed.s);
		ok = result(x, m->op, "warning", m->id, m, str_text(&message), e);
	}
	str_free(&on);
	str_free(&killed);
	str_free(&message);
	return ok;
}

static bool survivors(struct sarif *x, struct err *e)
{
	struct store_iter *it = store_mutants(x->s, NULL);
	struct store_mutant m;
	bool ok = true;

	while (ok && store_next_mutant(it, &m))
		ok = survivor(x, &m, e);
	return store_iter_end(it, ok ? e : NULL) && ok;
}

static bool one_pair(struct sarif *x, const struct store_pair *p, struct err *e)
{
	struct arena *a = arena_new(NULL);
	struct str t = {0};
	struct store_mutant m;
	bool found, ok;

	str_addf(&t, "mutant '%s' is %s on '%s' and %s on '%s'", p->mutant, outcome_name(p->outcome[0]), p->device[0], outcome_name(p->outcome[1]),
		 p->device[1]);
	if (p->labels_differ)
		str_addf(&t, "; %lld images whose labels agree without it have different ones", (long long)p->labels_differ);
	ok = store_get_mutant(x->s, a, p->mutant, &m, &found, e) &&
	     result(x, DISAGREE, "warning", arena_printf(a, "%s %s %s", p->mutant, p->device[0], p->device[1]), found ? &m : NULL, str_text(&t), e);
	str_free(&t);
	arena_free(a);
	return ok;
}

static bool disagreements(struct sarif *x, struct err *e)
{
	struct store_iter *it = store_unlike(x->s);
	struct store_pair p;
	bool ok = true;

	while (ok && store_next_pair(it, &p))
		ok = !report_disagrees(&p) || one_pair(x, &p, e);
	return store_iter_end(it, ok ? e : NULL) && ok;
}

static bool originals(struct sarif *x, struct err *e)
{
	struct store_iter *it = store_original_pairs(x->s);
	struct store_original_pair p;
	bool ok = true;

	while (ok && store_next_original_pair(it, &p)) {
		struct str t = {0}, about = {0};

		if (!p.labels_differ)
			continue;
		str_addf(&t, "without any mutation, the first label of %lld of %lld images differs between '%s' and '%s'", (long long)p.labels_differ,
			 (long long)p.images, p.device[0], p.device[1]);
		str_addf(&about, "%s %s", p.device[0], p.device[1]);
		ok = result(x, MODEL_DISAGREE, "error", str_text(&about), NULL, str_text(&t), e);
		str_free(&t);
		str_free(&about);
	}
	return store_iter_end(it, ok ? e : NULL) && ok;
}

bool report_sarif(struct store *s, const struct report_data *d, const struct report_options *o, struct report_out *out, struct err *e)
{
	struct arena *a = arena_new(NULL);
	struct sarif x = {.s = s, .d = d, .o = o, .out = out, .rule = map_new(a), .artifact = map_new(a), .first = true};
	bool ok;

	str_add(&out->text, "{\"$schema\": \"" SCHEMA "\", \"version\": \"2.1.0\", \"runs\": [{\n\"tool\": {\"driver\": {\"name\": \"mutatenn\", \"version\": ");
	report_quote(&out->text, d->tool ? d->tool : MUTATENN_VERSION);
	str_add(&out->text, ", \"rules\": [");
	ok = rules(&x, e);
	str_add(&out->text, "]}},\n\"columnKind\": \"unicodeCodePoints\",\n\"automationDetails\": {\"id\": ");
	report_quote(&out->text, arena_printf(a, "mutatenn/%s/", d->model));
	str_add(&out->text, "},\n\"artifacts\": [\n");
	ok = ok && artifacts(&x, e);
	str_add(&out->text, "],\n\"results\": [");
	ok = ok && originals(&x, e) && disagreements(&x, e) && survivors(&x, e);
	str_add(&out->text, "]}]}\n");
	arena_free(a);
	return ok;
}
