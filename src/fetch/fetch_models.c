/* fetch_models.c: which models there are */
#include <jansson.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "fetch/fetch.h"

#define MAX_MANIFEST ((size_t)64 << 20)
#define MAX_BYTES ((uint64_t)64 << 30) /* of a model */
#define MOST_SAID 12

static const struct hub {
	const char *model;
	int opset;
	uint64_t bytes;
	const char *sha256, *path, *inputs;
} hub[] = {
#define HUB(model, opset, bytes, sha256, path, inputs) {model, opset, bytes, sha256, path, inputs},
#include "fetch/hub.def"
#undef HUB
};

bool fetch_hub(struct arena *a, struct fetch_model **out, size_t *n, struct err *e)
{
	(void)e;
	*n = sizeof hub / sizeof *hub;
	*out = ARENA_ARRAY(a, struct fetch_model, *n);
	for (size_t i = 0; i < *n; i++)
		(*out)[i] = (struct fetch_model){
		    file_stem(a, hub[i].path), hub[i].model, hub[i].opset, hub[i].bytes, hub[i].sha256, hub[i].path, hub[i].inputs};
	return true;
}

/* ---- manifests of others ------------------------------------------------------------------------------------- */

#define SAFE "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.+"

/* Folders and a file of harmless letters, none of them hidden or "..". */
static bool safe_path(const char *path)
{
	for (;;) {
		size_t n = strspn(path, SAFE);

		if (!n || *path == '.' || n > 200)
			return false;
		path += n;
		if (!*path)
			return true;
		if (*path++ != '/')
			return false;
	}
}

static bool is_sha256(const char *s)
{
	return strlen(s) == 64 && strspn(s, "0123456789abcdefABCDEF") == 64;
}

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static bool printable(const char *s)
{
	while (*s && (unsigned char)*s >= ' ' && *s != 127)
		s++;
	return !*s;
}

static bool take(struct arena *a, const json_t *entry, struct fetch_model *out, bool *taken, struct err *e)
{
	const json_t *meta = json_object_get(entry, "metadata");
	const char *path = text_of(entry, "model_path"), *model = text_of(entry, "model"), *sha = text_of(meta, "model_sha");
	json_int_t bytes = json_integer_value(json_object_get(meta, "model_bytes")),
		   opset = json_integer_value(json_object_get(entry, "opset_version"));

	*taken = *sha;
	if (!*sha)
		return true;
	if (!safe_path(path) || !printable(model) || strlen(model) > 200)
		return err_set(e, ERR_PARSE, "model_path is no harmless path of letters, digits, '-', '_', '.' and '+'");
	if (!is_sha256(sha))
		return err_set(e, ERR_PARSE, "'%s': model_sha is no SHA-256", path);
	if (bytes <= 0 || (uint64_t)bytes > MAX_BYTES)
		return err_set(e, ERR_PARSE, "'%s': model_bytes is not a size", path);
	*out = (struct fetch_model){.name = file_stem(a, path),
				    .model = arena_strdup(a, model),
				    .opset = opset > 0 && opset < 10000 ? (int)opset : 0,
				    .bytes = (uint64_t)bytes,
				    .sha256 = arena_strdup(a, sha),
				    .path = arena_strdup(a, path),
				    .inputs = ""};
	return true;
}

bool fetch_manifest(struct arena *a, const char *file, struct fetch_model **out, size_t *n, struct err *e)
{
	struct bytes raw;
	json_error_t why;
	json_t *list;
	bool ok = true;

	if (!file_read(a, file, MAX_MANIFEST, &raw, e))
		return false;
	list = json_loadb((const char *)raw.p, raw.n, JSON_REJECT_DUPLICATES, &why);
	if (!json_is_array(list)) {
		json_decref(list);
		return err_set(e, ERR_PARSE, "'%s' is no manifest: %s", file, list ? "not a list of models" : why.text);
	}
	*n = 0;
	*out = ARENA_ARRAY(a, struct fetch_model, json_array_size(list));
	for (size_t i = 0; ok && i < json_array_size(list); i++) {
		bool taken;

		ok = take(a, json_array_get(list, i), &(*out)[*n], &taken, e) || err_in(e, "'%s': entry %zu", file, i + 1);
		*n += ok && taken;
	}
	json_decref(list);
	return ok && (*n || err_set(e, ERR_PARSE, "'%s' holds no model with a model_sha", file));
}

/* ---- names --------------------------------------------------------------------------------------------------- */

static bool like(const struct fetch_model *m, const char *name)
{
	return strcasestr(m->name, name) || strcasestr(m->model, name);
}

static bool unknown(const struct fetch_model *list, size_t n, const char *name, struct err *e)
{
	size_t same = 0, head = strlen(name) < 4 ? strlen(name) : 4;
	struct str s = {0};

	for (size_t i = 0; i < n; i++)
		if (like(&list[i], name) && same++ < MOST_SAID)
			str_addf(&s, "%s'%s'", s.n ? ", " : "", list[i].name);
	if (same)
		err_set(e, ERR_USAGE, "'%.100s' is not one model; there are %s%s", name, str_text(&s),
			same > MOST_SAID ? " and more: see 'mutatenn fetch --list'" : "");
	for (size_t i = 0; !same && head && i < n && s.n < 300; i++)
		if (!strncasecmp(list[i].name, name, head) || !strncasecmp(list[i].model, name, head))
			str_addf(&s, "%s'%s'", s.n ? ", " : "", list[i].name);
	if (!same)
		err_set(e, ERR_USAGE, "no model is called '%.100s'%s%s; 'mutatenn fetch --list' shows all", name,
			s.n ? "; perhaps one of " : "", str_text(&s));
	str_free(&s);
	return false;
}

bool fetch_find(const struct fetch_model *list, size_t n, const char *name, const struct fetch_model **out, struct err *e)
{
	const struct fetch_model *newest = NULL, *begins = NULL;
	size_t beginnings = 0;

	for (size_t i = 0; i < n; i++) {
		if (!strcasecmp(list[i].name, name)) {
			*out = &list[i];
			return true;
		}
		if (!strcasecmp(list[i].model, name) && (!newest || list[i].opset > newest->opset))
			newest = &list[i];
		if (*name && !strncasecmp(list[i].name, name, strlen(name))) {
			begins = &list[i];
			beginnings++;
		}
	}
	*out = newest ? newest : begins;
	return newest || beginnings == 1 || unknown(list, n, name, e);
}
