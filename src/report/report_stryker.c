/* report_stryker.c: mutation-testing-report-schema 2, what Stryker's viewers open; docs/exports.md has the mapping
 *
 * A file is one text of the original, a test is one image on one device. The format wants the mutants by file: their ids are sorted
 * by file first, and then one mutant at a time is read and written.
 */
#include "report/report_internal.h"

#include <string.h>

#include "base/arena.h"
#include "base/map.h"
#include "base/vec.h"

struct ids {
	VEC(char *) v;
};

struct stryker {
	struct store *s;
	const struct report_options *o;
	struct report_out *out;
	struct map *device; /* name -> number + 1 */
};

#define NOWHERE "mutants-without-a-place.txt"

static bool sort_ids(struct store *s, struct arena *a, struct map *files, struct err *e)
{
	struct store_iter *it = store_mutants(s, NULL);
	struct arena *scratch = arena_new(a);
	struct store_mutant m;

	while (store_next_mutant(it, &m)) {
		struct report_place p;
		const char *file;
		struct ids *ids;

		report_place(scratch, &m, &p);
		file = p.kind ? report_source_path(scratch, p.kind, p.name) : NOWHERE;
		if (!(ids = map_get(files, file)))
			map_put(files, file, ids = ARENA_NEW(a, struct ids));
		vec_push(a, &ids->v, arena_strdup(a, m.id));
		arena_free(scratch);
		scratch = arena_new(a);
	}
	arena_free(scratch);
	return store_iter_end(it, e);
}

/* ---- one mutant ------------------------------------------------------------------------------------------ */

enum status { IGNORED, PENDING, COMPILE_ERROR, RUNTIME_ERROR, SURVIVED, TIMEOUT, KILLED };
static const char *const status_names[] = {"Ignored", "Pending", "CompileError", "RuntimeError", "Survived", "Timeout", "Killed"};

static enum status status_of(const struct store_result *r, int criterion)
{
	switch (r->outcome) {
	case OUTCOME_HANG: return TIMEOUT;
	case OUTCOME_BUILD_FAILED: return COMPILE_ERROR;
	case OUTCOME_REFUSED:
	case OUTCOME_UNSTABLE:
	case OUTCOME_TOOL_ERROR: return RUNTIME_ERROR;
	case OUTCOME_NOT_RUN: return PENDING;
	default: break;
	}
	if (outcome_class(r->outcome) != OUTCOME_CLASS_COUNTED)
		return IGNORED;
	return r->killed >> criterion & 1 ? KILLED : SURVIVED;
}

static int64_t device_number(const struct stryker *x, const char *name)
{
	return (int64_t)(intptr_t)map_get(x->device, name) - 1;
}

/* The tests that ran this mutant, and those that killed it. */
static bool tests(const struct stryker *x, const char *mutant, const char *device, json_t *covered, json_t *killed, struct err *e)
{
	struct store_iter *it = store_image_verdicts(x->s, mutant, device);
	struct store_image_result im;

	while (store_next_image_result(it, &im)) {
		json_t *id;

		if (im.outcome == OUTCOME_NOT_RUN)
			continue;
		id = json_sprintf("%lld.%lld", (long long)device_number(x, device), (long long)im.image);
		json_array_append(covered, id);
		if (outcome_kills(im.outcome) >> x->o->criterion & 1)
			json_array_append(killed, id);
		json_decref(id);
	}
	return store_iter_end(it, e);
}

static void reason(struct str *t, const struct store_result *r)
{
	if (t->n)
		str_add(t, "; ");
	str_addf(t, "%s: %s", r->device, outcome_name(r->outcome));
	if (r->images)
		str_addf(t, ", the first label of %lld of %lld images changed", (long long)r->images_changed, (long long)r->images);
	if (r->message)
		str_addf(t, " (%s)", r->message);
}

static bool results(const struct stryker *x, const char *id, const char *suppressed, json_t *j, struct err *e)
{
	struct store_iter *it = store_results(x->s, id, NULL);
	json_t *covered = json_array(), *killed = json_array();
	enum status status = IGNORED;
	struct str why = {0};
	double seconds = 0;
	struct store_result r;
	bool ok = true;

	while (ok && store_next_result(it, &r)) {
		enum status now = status_of(&r, x->o->criterion);

		status = now > status ? now : status;
		seconds += r.run_s;
		reason(&why, &r);
		ok = tests(x, id, r.device, covered, killed, e);
	}
	if (suppressed)
		str_addf(&why, "%ssuppressed: %s", why.n ? "; " : "", suppressed);
	json_object_set_new(j, "status", json_string(status_names[suppressed ? IGNORED : status]));
	json_object_set_new(j, "statusReason", report_string(str_text(&why)));
	json_object_set_new(j, "duration", json_real(seconds * 1e3));
	json_object_set_new(j, "testsCompleted", json_integer((json_int_t)json_array_size(covered)));
	json_object_set_new(j, "coveredBy", covered);
	json_object_set_new(j, "killedBy", killed);
	str_free(&why);
	return store_iter_end(it, ok ? e : NULL) && ok;
}

static json_t *position(int line, int column)
{
	return json_pack("{si si}", "line", line, "column", column);
}

static bool mutant(const struct stryker *x, const char *id, int line, bool first, struct err *e)
{
	struct arena *a = arena_new(NULL);
	json_t *j = json_object();
	struct report_place p = {0};
	struct store_mutant m;
	bool found, ok = store_get_mutant(x->s, a, id, &m, &found, e) && (found || err_set(e, ERR_STORE, "mutant '%s' is gone", id));

	if (ok) {
		report_place(a, &m, &p);
		if (!p.kind) {
			p = (struct report_place){.line = line, .column = 1, .end_line = line, .end_column = 1 + (int)strlen(id)};
			p.end_column = p.end_column > 1 ? p.end_column : 2;
		}
		json_object_set_new(j, "id", report_string(id));
		json_object_set_new(j, "mutatorName", report_string(m.op));
		json_object_set_new(j, "location", json_pack("{so so}", "start", position(p.line, p.column), "end", position(p.end_line, p.end_column)));
		if (p.replacement)
			json_object_set_new(j, "replacement", report_string(p.replacement));
		json_object_set_new(j, "description", report_string(p.places > 1 ? arena_printf(a, "%s (the first of %zu places)", id, p.places) : id));
		ok = results(x, id, m.suppressed, j, e);
	}
	str_add(&x->out->text, first ? "\n" : ",\n");
	report_dump(&x->out->text, j);
	arena_free(a);
	return ok && report_drain(x->out);
}

/* ---- files ----------------------------------------------------------------------------------------------- */

static bool file(const struct stryker *x, const char *path, const char *source, const struct ids *ids, bool *first, struct err *e)
{
	struct str *t = &x->out->text;
	bool ok = true;

	str_add(t, *first ? "\n" : ",\n");
	*first = false;
	report_quote(t, path);
	str_add(t, ": {\"language\": \"plain\", \"source\": ");
	report_quote(t, source);
	str_add(t, ", \"mutants\": [");
	for (size_t i = 0; ok && ids && i < ids->v.n; i++)
		ok = mutant(x, ids->v.v[i], (int)i + 1, !i, e);
	str_add(t, "]}");
	return ok && report_drain(x->out);
}

static bool without_place(const struct stryker *x, const struct ids *ids, bool *first, struct err *e)
{
	struct str names = {0};
	bool ok;

	for (size_t i = 0; i < ids->v.n; i++)
		str_addf(&names, "%s\n", ids->v.v[i]);
	ok = file(x, NOWHERE, str_text(&names), ids, first, e);
	str_free(&names);
	return ok;
}

static bool files(const struct stryker *x, struct map *by_file, struct err *e)
{
	struct store_iter *it = store_originals(x->s);
	struct store_original src;
	bool ok = true, first = true;
	const char *path;
	void *ids;

	while (ok && store_next_original(it, &src)) {
		struct arena *a = arena_new(NULL);

		path = report_source_path(a, src.kind, src.name);
		ids = map_get(by_file, path);
		ok = (!strcmp(src.kind, "input") && !ids) || file(x, path, src.text, ids, &first, e);
		map_del(by_file, path);
		arena_free(a);
	}
	ok = store_iter_end(it, ok ? e : NULL) && ok;
	/* those whose text is not in the store: no-site mutants, and all of a store that an older version made */
	for (size_t at = 0; ok && map_next(by_file, &at, &path, &ids);)
		ok = !strcmp(path, NOWHERE) ? without_place(x, ids, &first, e) : file(x, path, "", ids, &first, e);
	return ok;
}

static bool test_files(const struct stryker *x, const struct report_data *d, struct err *e)
{
	struct str *t = &x->out->text;

	str_add(t, "},\n\"testFiles\": {");
	for (size_t i = 0; i < d->ndevices; i++) {
		struct store_iter *it = store_images(x->s);
		struct store_image im;
		bool first = true;

		str_add(t, i ? ",\n" : "\n");
		report_quote(t, d->device[i].name);
		str_add(t, ": {\"tests\": [");
		while (store_next_image(it, &im)) {
			str_addf(t, "%s\n{\"id\": \"%zu.%lld\", \"name\": ", first ? "" : ",", i, (long long)im.index);
			report_quote(t, im.name);
			str_addc(t, '}');
			first = false;
		}
		if (!store_iter_end(it, e) || !report_drain(x->out))
			return false;
		str_add(t, "]}");
	}
	str_add(t, "}");
	return true;
}

bool report_stryker(struct store *s, const struct report_data *d, const struct report_options *o, struct report_out *out, struct err *e)
{
	struct arena *a = arena_new(NULL);
	struct map *by_file = map_new(a);
	struct stryker x = {.s = s, .o = o, .out = out, .device = map_new(a)};
	bool ok;

	for (size_t i = 0; i < d->ndevices; i++)
		map_put(x.device, d->device[i].name, (void *)(intptr_t)(i + 1));
	str_add(&out->text, "{\"schemaVersion\": \"2\",\n\"thresholds\": {\"high\": 80, \"low\": 60},\n\"framework\": {\"name\": \"mutatenn\", \"version\": ");
	report_quote(&out->text, d->tool);
	str_add(&out->text, "},\n\"files\": {");
	ok = sort_ids(s, a, by_file, e) && files(&x, by_file, e) && test_files(&x, d, e);
	str_add(&out->text, "}\n");
	arena_free(a);
	return ok;
}
