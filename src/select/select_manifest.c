/* select_manifest.c: the manifest of an acceptance set, written and read; what is read may be anything */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "select/select_internal.h"

#define MAX_BYTES ((size_t)256 << 20)

/* ---- writing ---- */

static void set(json_t *j, const char *key, json_t *value)
{
	json_object_set_new(j, key, value);
}

static json_t *text(const char *s)
{
	struct str clean = {0};
	json_t *j = s ? json_string(s) : json_null();

	if (j)
		return j;
	for (; *s; s++)
		str_addc(&clean, (unsigned char)*s < 0x80 ? *s : '?');
	j = json_string(str_text(&clean));
	str_free(&clean);
	return j;
}

static json_t *number(double x)
{
	return isfinite(x) ? json_real(x) : json_null();
}

static json_t *hash(struct hash h)
{
	char hex[HASH_HEX];

	return json_string(hash_hex(h, hex));
}

static json_t *count(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *model_part(const struct select_set *s)
{
	json_t *j = json_object();

	set(j, "name", text(s->model));
	set(j, "file", text(s->model_file));
	set(j, "hash", hash(s->model_hash));
	set(j, "preprocess", text(s->preprocess));
	set(j, "output", text(s->output));
	set(j, "scores", text(s->scores));
	set(j, "batch", json_integer(s->batch));
	return j;
}

static json_t *texts(char *const *v, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, text(v[i]));
	return list;
}

static json_t *compile_part(const struct select_set *s)
{
	json_t *j = json_object();

	set(j, "opt_level", json_integer(s->opt_level));
	set(j, "disable_pass", texts(s->disable_pass, s->ndisable_pass));
	if (s->nenable_pass) /* older programs know none */
		set(j, "enable_pass", texts(s->enable_pass, s->nenable_pass));
	return j;
}

static json_t *devices_part(const struct select_set *s)
{
	json_t *list = json_array();

	for (size_t d = 0; d < s->ndevices; d++) {
		const struct select_device *dev = &s->device[d];
		json_t *j = json_object();

		set(j, "name", text(dev->name));
		set(j, "backend", text(dev->backend));
		set(j, "identity", text(dev->identity));
		set(j, "describe", text(dev->describe));
		set(j, "class", text(dev->cls));
		set(j, "lanes", json_integer(dev->lanes));
		set(j, "precision", text(dev->precision));
		json_array_append_new(list, j);
	}
	return list;
}

static json_t *expected_part(const struct select_set *s, const struct select_image *im)
{
	json_t *list = json_array();

	for (size_t d = 0; d < s->ndevices; d++) {
		const struct select_expected *x = &im->expected[d];
		json_t *j = json_object(), *top = json_array();

		for (int i = 0; i < x->k; i++) {
			json_t *t = json_object();

			set(t, "index", json_integer(x->label[i]));
			set(t, "probability", number(x->probability[i]));
			json_array_append_new(top, t);
		}
		set(j, "device", text(s->device[d].name));
		set(j, "top", top);
		set(j, "digest", hash(x->digest));
		set(j, "scores", text(x->scores));
		set(j, "noise", number(x->noise));
		set(j, "margin", number(x->margin));
		json_array_append_new(list, j);
	}
	return list;
}

static json_t *images_part(const struct select_set *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->nimages; i++) {
		const struct select_image *im = &s->image[i];
		json_t *j = json_object();

		set(j, "name", text(im->name));
		set(j, "file", text(im->file));
		set(j, "hash", hash(im->hash));
		set(j, "input_hash", hash(im->input));
		set(j, "label", json_integer(im->label));
		set(j, "tolerance", number(im->tolerance));
		set(j, "kills_of_its_own", count(im->alone));
		set(j, "expected", expected_part(s, im));
		json_array_append_new(list, j);
	}
	return list;
}

static json_t *kills_part(const struct select_set *s)
{
	const struct select_result *r = &s->result;
	json_t *j = json_object();

	for (int c = 0; c < STORE_CRITERIA; c++) {
		json_t *one;

		if (!(s->criteria >> c & 1))
			continue;
		one = json_object();
		set(one, "kills", count(r->kills[c]));
		set(one, "kept", count(r->kept[c]));
		set(j, store_criterion_name(c), one);
	}
	return j;
}

static json_t *selection_part(const struct select_set *s)
{
	const struct select_result *r = &s->result;
	json_t *j = json_object();

	set(j, "images_of_campaign", count(r->nimages));
	set(j, "images", count(s->nimages));
	set(j, "redundant", count(r->nimages - s->nimages));
	set(j, "no_fewer_than", count(r->cover.lower));
	set(j, "smallest", json_boolean(r->cover.smallest));
	set(j, "greedy", count(r->cover.greedy));
	set(j, "greedy_bound", number(r->cover.greedy_bound));
	set(j, "essential", count(r->cover.essential));
	set(j, "kept", count(r->cover.kept));
	set(j, "of", count(r->cover.kills));
	set(j, "at_most", count(r->cover.most));
	set(j, "on_any_image", count(r->anywhere));
	set(j, "mutants_with_one_image", count(r->lonely));
	set(j, "kills", kills_part(s));
	return j;
}

static json_t *criteria_part(unsigned criteria)
{
	json_t *list = json_array();

	for (int c = 0; c < STORE_CRITERIA; c++)
		if (criteria >> c & 1)
			json_array_append_new(list, json_string(store_criterion_name(c)));
	return list;
}

bool select_manifest_text(const struct select_set *s, struct str *out, struct err *e)
{
	json_t *j = json_object();
	char *dump;

	set(j, "format", json_string(SELECT_FORMAT));
	set(j, "version", json_integer(SELECT_VERSION));
	set(j, "tool", text(s->tool));
	set(j, "store", text(s->store));
	set(j, "model", model_part(s));
	set(j, "compile", compile_part(s));
	set(j, "top_k", json_integer(s->top_k));
	set(j, "criteria", criteria_part(s->criteria));
	set(j, "devices", devices_part(s));
	set(j, "selection", selection_part(s));
	set(j, "images", images_part(s));
	dump = json_dumps(j, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
	json_decref(j);
	if (!dump)
		return err_set(e, ERR_IO, "the manifest cannot be written as JSON");
	str_addf(out, "%s\n", dump);
	free(dump);
	return true;
}

/* ---- reading ---- */

struct in {
	struct arena *a;
	const char *file;
	struct str place; /* "images[3].expected[0].top" */
	struct err *e;
	bool ok;
};

/* The first mistake is told; what is read after it is nothing. */
static void wrong(struct in *in, const char *key, const char *what)
{
	if (!in->ok)
		return;
	in->ok = false;
	err_set(in->e, ERR_PARSE, "'%s': '%s%s%s' %s", in->file, str_text(&in->place), in->place.n ? "." : "", key, what);
}

static json_t *get(struct in *in, json_t *j, const char *key, json_type type, const char *what)
{
	json_t *v = json_object_get(j, key);

	if (!v)
		wrong(in, key, "is missing");
	else if (json_typeof(v) != type)
		wrong(in, key, what);
	return in->ok ? v : NULL;
}

static char *get_text(struct in *in, json_t *j, const char *key)
{
	json_t *v = get(in, j, key, JSON_STRING, "must be a text");

	return arena_strdup(in->a, v ? json_string_value(v) : "");
}

static int64_t get_integer(struct in *in, json_t *j, const char *key, int64_t low, int64_t high)
{
	json_t *v = get(in, j, key, JSON_INTEGER, "must be a whole number");
	int64_t n = v ? (int64_t)json_integer_value(v) : low;

	if (v && (n < low || n > high))
		wrong(in, key, "is out of range");
	return in->ok ? n : low;
}

/* null is what JSON has for NaN. */
static double get_number(struct in *in, json_t *j, const char *key)
{
	json_t *v = json_object_get(j, key);

	if (json_is_null(v))
		return NAN;
	if (!json_is_number(v))
		wrong(in, key, v ? "must be a number" : "is missing");
	return in->ok ? json_number_value(v) : 0;
}

static struct hash get_hash(struct in *in, json_t *j, const char *key)
{
	struct hash h = {0};
	const char *s = get_text(in, j, key);

	if (in->ok && !hash_parse(s, &h))
		wrong(in, key, "must be 32 hexadecimal digits");
	return h;
}

/* A file inside the folder. */
static char *get_file(struct in *in, json_t *j, const char *key)
{
	char *name = get_text(in, j, key);

	for (const char *p = name; in->ok && p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL) {
		size_t n = strcspn(p, "/");

		if (!n || (n == 1 && *p == '.') || (n == 2 && !strncmp(p, "..", 2)))
			wrong(in, key, "must be the name of a file inside the set's folder");
	}
	return name;
}

static json_t *get_list(struct in *in, json_t *j, const char *key, size_t most, size_t *n)
{
	json_t *v = get(in, j, key, JSON_ARRAY, "must be a list");

	*n = v ? json_array_size(v) : 0;
	if (*n > most)
		wrong(in, key, "has too many entries");
	*n = in->ok ? *n : 0;
	return v;
}

/* Entry i of a list of objects, of which messages speak from now on; leave with the length of `place` before. */
static json_t *enter(struct in *in, json_t *list, const char *key, size_t i, size_t *before)
{
	json_t *v = json_array_get(list, i);

	*before = in->place.n;
	str_addf(&in->place, "%s%s[%zu]", in->place.n ? "." : "", key, i);
	if (!json_is_object(v))
		wrong(in, "", "must be a mapping");
	return v;
}

static json_t *enter_part(struct in *in, json_t *j, const char *key, size_t *before)
{
	json_t *v = get(in, j, key, JSON_OBJECT, "must be a mapping");

	*before = in->place.n;
	str_addf(&in->place, "%s%s", in->place.n ? "." : "", key);
	return v;
}

static void leave(struct in *in, size_t before)
{
	in->place.n = before;
	if (in->place.s)
		in->place.s[before] = 0;
}

static void read_model(struct in *in, json_t *root, struct select_set *s)
{
	size_t before;
	json_t *j = enter_part(in, root, "model", &before);

	s->model = get_text(in, j, "name");
	s->model_file = get_text(in, j, "file");
	s->model_hash = get_hash(in, j, "hash");
	s->preprocess = get_text(in, j, "preprocess");
	s->output = get_text(in, j, "output");
	s->scores = get_text(in, j, "scores");
	s->batch = (int)get_integer(in, j, "batch", 1, 1024);
	leave(in, before);
}

static char **get_texts(struct in *in, json_t *j, const char *key, size_t *n)
{
	json_t *list = get_list(in, j, key, 64, n);
	char **out = ARENA_ARRAY(in->a, char *, *n + 1);

	for (size_t i = 0; i < *n; i++) {
		if (!json_is_string(json_array_get(list, i)))
			wrong(in, key, "must be a list of texts");
		out[i] = arena_strdup(in->a, in->ok ? json_string_value(json_array_get(list, i)) : "");
	}
	return out;
}

static void read_compile(struct in *in, json_t *root, struct select_set *s)
{
	size_t before;
	json_t *j = enter_part(in, root, "compile", &before);

	s->opt_level = (int)get_integer(in, j, "opt_level", 0, 3);
	s->disable_pass = get_texts(in, j, "disable_pass", &s->ndisable_pass);
	if (json_object_get(j, "enable_pass"))
		s->enable_pass = get_texts(in, j, "enable_pass", &s->nenable_pass);
	leave(in, before);
}

static void read_criteria(struct in *in, json_t *root, struct select_set *s)
{
	size_t n;
	json_t *list = get_list(in, root, "criteria", STORE_CRITERIA, &n);

	for (size_t i = 0; i < n; i++) {
		const char *name = json_string_value(json_array_get(list, i));
		unsigned bit = 0;

		if (!name || !store_criterion_parse(name, &bit))
			wrong(in, "criteria", "must be of label, topk and numeric");
		s->criteria |= bit;
	}
	if (!s->criteria)
		wrong(in, "criteria", "must not be empty");
}

static void read_devices(struct in *in, json_t *root, struct select_set *s)
{
	json_t *list = get_list(in, root, "devices", 1024, &s->ndevices);

	if (!s->ndevices)
		wrong(in, "devices", "must not be empty");
	s->device = ARENA_ARRAY(in->a, struct select_device, s->ndevices + 1);
	for (size_t i = 0; in->ok && i < s->ndevices; i++) {
		struct select_device *d = &s->device[i];
		size_t before;
		json_t *j = enter(in, list, "devices", i, &before);

		d->name = get_text(in, j, "name");
		d->backend = get_text(in, j, "backend");
		d->identity = get_text(in, j, "identity");
		d->describe = get_text(in, j, "describe");
		d->cls = get_text(in, j, "class");
		d->lanes = (int)get_integer(in, j, "lanes", 1, 64);
		d->precision = get_text(in, j, "precision");
		if (strcmp(d->cls, "cpu") && strcmp(d->cls, "gpu"))
			wrong(in, "class", "must be cpu or gpu");
		leave(in, before);
	}
}

static void read_top(struct in *in, json_t *j, struct select_expected *x)
{
	size_t n;
	json_t *list = get_list(in, j, "top", STORE_MAX_TOP, &n);

	if (!n)
		wrong(in, "top", "must not be empty");
	x->k = (int)n;
	x->label = ARENA_ARRAY(in->a, int32_t, n + 1);
	x->probability = ARENA_ARRAY(in->a, float, n + 1);
	for (size_t i = 0; in->ok && i < n; i++) {
		size_t before;
		json_t *t = enter(in, list, "top", i, &before);

		x->label[i] = (int32_t)get_integer(in, t, "index", 0, INT32_MAX);
		x->probability[i] = (float)get_number(in, t, "probability");
		leave(in, before);
	}
}

static void read_expected(struct in *in, json_t *image, const struct select_set *s, struct select_image *im)
{
	size_t n;
	json_t *list = get_list(in, image, "expected", s->ndevices, &n);

	if (n != s->ndevices)
		wrong(in, "expected", "must have an entry for each device, in their order");
	im->expected = ARENA_ARRAY(in->a, struct select_expected, s->ndevices + 1);
	for (size_t d = 0; in->ok && d < n; d++) {
		struct select_expected *x = &im->expected[d];
		size_t before;
		json_t *j = enter(in, list, "expected", d, &before);

		if (strcmp(get_text(in, j, "device"), s->device[d].name))
			wrong(in, "device", "is not the device of this place in 'devices'");
		read_top(in, j, x);
		x->digest = get_hash(in, j, "digest");
		x->scores = get_file(in, j, "scores");
		x->noise = get_number(in, j, "noise");
		x->margin = get_number(in, j, "margin");
		leave(in, before);
	}
}

static void read_images(struct in *in, json_t *root, struct select_set *s)
{
	json_t *list = get_list(in, root, "images", SELECT_MAX_IMAGES, &s->nimages);

	if (!s->nimages)
		wrong(in, "images", "must not be empty");
	s->image = ARENA_ARRAY(in->a, struct select_image, s->nimages + 1);
	for (size_t i = 0; in->ok && i < s->nimages; i++) {
		struct select_image *im = &s->image[i];
		size_t before;
		json_t *j = enter(in, list, "images", i, &before);

		im->name = get_text(in, j, "name");
		im->file = get_file(in, j, "file");
		im->hash = get_hash(in, j, "hash");
		im->input = get_hash(in, j, "input_hash");
		im->label = get_integer(in, j, "label", -1, INT64_MAX);
		im->tolerance = get_number(in, j, "tolerance");
		read_expected(in, j, s, im);
		leave(in, before);
	}
}

static void read_root(struct in *in, json_t *root, struct select_set *s)
{
	const char *format = json_string_value(json_object_get(root, "format"));
	int64_t version;

	if (!format || strcmp(format, SELECT_FORMAT)) {
		in->ok = err_set(in->e, ERR_PARSE, "'%s' is not the manifest of an acceptance set ('mutatenn select' writes them)", in->file);
		return;
	}
	version = get_integer(in, root, "version", 1, INT32_MAX);
	if (in->ok && version > SELECT_VERSION) {
		in->ok = err_set(in->e, ERR_UNSUPPORTED, "'%s' was written by a newer mutatenn: it has version %lld, this program knows up to %d",
				 in->file, (long long)version, SELECT_VERSION);
		return;
	}
	s->tool = get_text(in, root, "tool");
	s->store = get_text(in, root, "store");
	read_model(in, root, s);
	read_compile(in, root, s);
	s->top_k = (int)get_integer(in, root, "top_k", 1, STORE_MAX_TOP);
	read_criteria(in, root, s);
	read_devices(in, root, s);
	read_images(in, root, s);
}

bool select_manifest_read(struct arena *a, const char *path, struct select_set *out, struct err *e)
{
	struct in in = {.a = a, .file = path, .e = e, .ok = true};
	struct bytes bytes;
	json_error_t why;
	json_t *root;

	*out = (struct select_set){0};
	if (!file_read(a, path, MAX_BYTES, &bytes, e))
		return false;
	root = json_loadb((const char *)bytes.p, bytes.n, JSON_REJECT_DUPLICATES, &why);
	if (!root)
		return err_set(e, ERR_PARSE, "'%s':%d: %s", path, why.line, why.text);
	read_root(&in, root, out);
	json_decref(root);
	str_free(&in.place);
	return in.ok;
}
