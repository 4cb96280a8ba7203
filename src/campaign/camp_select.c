/* camp_select.c: the acceptance set as a folder - pictures, expected scores, what each kills, and the manifest */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/map.h"
#include "base/str.h"
#include "campaign/campaign_internal.h"

struct writer {
	struct arena *a;
	struct store *s;
	const struct select_options *o;
	const struct select_result *r;
	const char *dir;
	struct select_set set;
	struct camp_model *model;
	float **scores;                   /* image of the set x device */
};

/* ---- devices ---- */

static bool wants(const struct select_options *o, const char *device)
{
	for (size_t i = 0; i < o->ndevices; i++)
		if (!strcmp(o->device[i], device))
			return true;
	return !o->ndevices;
}

static bool gather_devices(struct writer *w, struct err *e)
{
	struct store_iter *it = store_devices(w->s);
	VEC(struct select_device) v = {0};
	struct select_device one;
	struct store_device d;
	bool ok = true;

	while (ok && store_next_device(it, &d)) {
		if (!wants(w->o, d.name) || d.error)
			continue;
		if ((ok = camp_recall_device(w->a, w->s, &d, &one, e)))
			vec_push(w->a, &v, one);
	}
	if (!store_iter_end(it, ok ? e : NULL) || !ok)
		return false;
	w->set.device = v.v;
	w->set.ndevices = v.n;
	return v.n || err_set(e, ERR_STORE, "no device of store '%s' worked: there is nothing to expect", store_path(w->s));
}

/* ---- pictures ---- */

/* A name of its own in the set's folder, of characters that are safe there. */
static char *file_for(struct writer *w, struct map *taken, const char *name)
{
	char *base = arena_strdup(w->a, file_base(name)), *file;

	for (char *p = base; *p; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f || strchr("\\:*?\"<>|", *p))
			*p = '_';
	if (*base == '.' || !*base)
		base = arena_printf(w->a, "image_%s", base);
	file = base;
	for (int i = 2; map_has(taken, file); i++)
		file = arena_printf(w->a, "%d_%s", i, base);
	map_put(taken, file, taken);
	return arena_printf(w->a, "images/%s", file);
}

static bool copy_image(struct writer *w, const struct store_image *im, struct select_image *out, struct err *e)
{
	struct arena *scratch = arena_new(w->a);
	struct bytes b;
	bool ok;

	if (!im->path)
		ok = err_set(e, ERR_STORE, "store '%s' does not say where image '%s' was: it was written by an older mutatenn", store_path(w->s),
			     im->name);
	else
		ok = file_read(scratch, im->path, 0, &b, e) && file_write(file_join(scratch, w->dir, out->file), b.p, b.n, e);
	if (ok)
		out->hash = hash_bytes(b.p, b.n);
	arena_free(scratch);
	return ok;
}

static bool gather_images(struct writer *w, struct err *e)
{
	struct store_iter *it = store_images(w->s);
	struct map *taken = map_new(w->a);
	struct store_image im;
	size_t at = 0;
	bool ok = true;

	w->set.nimages = w->r->cover.n;
	w->set.image = ARENA_ARRAY(w->a, struct select_image, w->set.nimages + 1);
	while (ok && at < w->set.nimages && store_next_image(it, &im)) {
		struct select_image *out = &w->set.image[at];

		if (im.index < 0 || (size_t)im.index != w->r->cover.image[at])
			continue;
		*out = (struct select_image){.name = arena_strdup(w->a, im.name), .file = file_for(w, taken, im.name), .input = im.hash, .label = im.label,
					     .alone = w->r->alone[im.index],
					     .expected = ARENA_ARRAY(w->a, struct select_expected, w->set.ndevices)};
		ok = copy_image(w, &im, out, e);
		at++;
	}
	return store_iter_end(it, ok ? e : NULL) && ok;
}

/* The copies are preprocessed: they must be what the network saw. */
static bool verify_images(struct writer *w, struct err *e)
{
	for (size_t i = 0; i < w->set.nimages; i++) {
		struct arena *scratch = arena_new(w->a);
		const char *path = file_join(scratch, w->dir, w->set.image[i].file);
		struct camp_input *in;
		size_t n;
		bool ok = camp_inputs(scratch, w->model, &path, 1, NULL, &in, &n, e);

		if (ok && !hash_eq(in[0].hash, w->set.image[i].input))
			ok = err_set(e, ERR_USAGE, "image '%s' is not what the campaign had: the file has changed since", w->set.image[i].name);
		arena_free(scratch);
		if (!ok)
			return false;
	}
	return true;
}

/* ---- what is expected ---- */

/* Half the least gap among the k + 1 best scores: what moves every score by less cannot change their order. */
static double margin_of(struct arena *a, const float *scores, int64_t n, int k)
{
	int32_t *index = ARENA_ARRAY(a, int32_t, (size_t)k + 1);
	int found = topk_f32(scores, n, k + 1, index);
	double least = INFINITY;

	for (int i = 1; i < found; i++)
		least = fmin(least, (double)scores[index[i - 1]] - (double)scores[index[i]]);
	return isfinite(least) ? least / 2 : 0;
}

static size_t place_of(const struct writer *w, int64_t image)
{
	for (size_t i = 0; i < w->set.nimages; i++)
		if ((int64_t)w->r->cover.image[i] == image)
			return i;
	return SIZE_MAX;
}

static bool write_scores(struct writer *w, const struct select_device *d, struct select_image *im, struct select_expected *x, const float *scores,
                         struct err *e)
{
	struct tensor t = {.dtype = DT_F32, .nd = 1, .dim = {w->model->classes}, .data = (void *)scores};
	char *dir = arena_printf(w->a, "%s/expected/%s", w->dir, d->name);

	x->scores = arena_printf(w->a, "expected/%s/%s.npy", d->name, file_base(im->file));
	return file_mkdirs(dir, e) && npy_write(file_join(w->a, w->dir, x->scores), &t, e);
}

static bool take_baseline(struct writer *w, size_t d, const struct store_baseline *b, struct err *e)
{
	size_t i = place_of(w, b->image);
	int k = w->set.top_k < w->model->classes ? w->set.top_k : (int)w->model->classes;
	struct store_answer answer;
	struct select_expected *x;

	if (i == SIZE_MAX)
		return true;
	if (b->answer.nlogits != w->model->classes)
		return err_set(e, ERR_STORE, "store '%s' is damaged: the original's scores on '%s' are of another number of classes", store_path(w->s),
			       w->set.device[d].name);
	x = &w->set.image[i].expected[d];
	w->scores[i * w->set.ndevices + d] = arena_memdup(w->a, b->answer.logits, (size_t)b->answer.nlogits * sizeof(float));
	camp_answer(w->a, w->model, w->scores[i * w->set.ndevices + d], w->model->classes, k, &answer);
	*x = (struct select_expected){.k = answer.k, .label = (int32_t *)answer.label, .probability = (float *)answer.probability,
				      .digest = answer.digest, .noise = b->noise_max_abs,
				      .margin = margin_of(w->a, answer.logits, w->model->classes, k)};
	return write_scores(w, &w->set.device[d], &w->set.image[i], x, answer.logits, e);
}

/* On a device that nobody has recorded: what cannot change the order, and no less than what recorded devices differ by themselves. */
static void set_tolerance(struct writer *w, size_t i)
{
	struct select_image *im = &w->set.image[i];
	double apart = 0, least = INFINITY;
	float **scores = &w->scores[i * w->set.ndevices];

	for (size_t d = 0; d < w->set.ndevices; d++) {
		least = fmin(least, im->expected[d].margin);
		apart = fmax(apart, im->expected[d].noise);
		for (size_t f = 0; f < d; f++) {
			struct distance x;

			distance_f32(scores[f], scores[d], w->model->classes, &x);
			apart = fmax(apart, x.max_abs);
		}
	}
	im->tolerance = fmax(least, apart);
}

static bool gather_expected(struct writer *w, struct err *e)
{
	w->scores = ARENA_ARRAY(w->a, float *, w->set.nimages * w->set.ndevices + 1);
	for (size_t d = 0; d < w->set.ndevices; d++) {
		struct store_iter *it = store_baselines(w->s, w->set.device[d].name);
		struct store_baseline b;
		bool ok = true;

		while (ok && store_next_baseline(it, &b))
			ok = take_baseline(w, d, &b, e);
		if (!store_iter_end(it, ok ? e : NULL) || !ok)
			return false;
		for (size_t i = 0; i < w->set.nimages; i++)
			if (!w->scores[i * w->set.ndevices + d])
				return err_set(e, ERR_STORE, "store '%s' has no result of the original on device '%s' for image '%s': finish its campaign, or "
					       "leave the device out with --device", store_path(w->s), w->set.device[d].name, w->set.image[i].name);
	}
	for (size_t i = 0; i < w->set.nimages; i++)
		set_tolerance(w, i);
	return true;
}

/* ---- the folder ---- */

static bool make_folder(const char *dir, struct arena *a, struct err *e)
{
	return file_new_folder(dir, e) && file_mkdirs(file_join(a, dir, "images"), e);
}

static bool write_manifest(struct writer *w, struct err *e)
{
	struct str text = {0};
	bool ok = select_manifest_text(&w->set, &text, e) && file_write(file_join(w->a, w->dir, "manifest.json"), text.s, text.n, e);

	str_free(&text);
	return ok;
}

bool camp_set_write(struct store *s, const struct select_options *o, const struct select_result *r, const char *model, const char *dir,
                    struct err *e)
{
	struct writer w = {.a = arena_new(NULL), .s = s, .o = o, .r = r, .dir = dir, .set.result = *r};
	bool ok;

	w.set.criteria = o->criteria ? o->criteria : STORE_KILL_LABEL | STORE_KILL_TOPK | STORE_KILL_NUMERIC;
	ok = r->cover.n || err_set(e, ERR_USAGE, "store '%s' has no kills by that criterion: there is nothing to select", store_path(s));
	ok = ok && camp_recall(w.a, s, &w.set, e) && gather_devices(&w, e) &&
	     camp_recall_model(w.a, &w.set, "the campaign's model", store_path(s), model, &w.model, e) && make_folder(dir, w.a, e) && gather_images(&w, e) &&
	     verify_images(&w, e) && gather_expected(&w, e) && select_kills_csv(s, o, r, file_join(w.a, dir, "kills.csv"), e) &&
	     write_manifest(&w, e);
	arena_free(w.a);
	return ok || err_in(e, "writing the acceptance set '%s'", dir);
}
