/* image_decode.c: which decoder, its limits, and the orientation afterwards */
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "image/image_internal.h"

static const struct image_codec *const codecs[] = {&image_codec_jpeg, &image_codec_png, &image_codec_webp};

bool image_dims_ok(uint64_t w, uint64_t h, struct err *e)
{
	if (w < 1 || h < 1)
		return err_set(e, ERR_PARSE, "empty picture (%llux%llu pixels)", (unsigned long long)w, (unsigned long long)h);
	if (w > IMAGE_MAX_SIDE || h > IMAGE_MAX_SIDE || w * h > IMAGE_MAX_PIXELS)
		return err_set(e, ERR_PARSE, "%llux%llu pixels is too large (at most %d a side and %d in all)",
			       (unsigned long long)w, (unsigned long long)h, IMAGE_MAX_SIDE, IMAGE_MAX_PIXELS);
	return true;
}

static const struct image_codec *codec_of(const uint8_t *p, size_t n, struct err *e)
{
	for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++) {
		if (codecs[i]->matches(p, n))
			return codecs[i];
	}
	err_set(e, ERR_UNSUPPORTED, n ? "not a jpeg, png or webp picture" : "empty file");
	return NULL;
}

bool image_probe(const void *bytes, size_t n, const char *name, int *w, int *h, struct err *e)
{
	const struct image_codec *c = codec_of(bytes, n, e);

	if (!c)
		return err_in(e, "image '%s'", name);
	if (!c->probe(bytes, n, w, h, e))
		return err_in(e, "image '%s': %s", name, c->name);
	return true;
}

bool image_decode(struct arena *a, const void *bytes, size_t n, const char *name, struct image **out, struct err *e)
{
	const struct image_codec *c = codec_of(bytes, n, e);
	int orientation = 1;
	struct arena *scratch;
	struct image *im;
	bool ok;

	if (!c)
		return err_in(e, "image '%s'", name);
	scratch = arena_new(NULL);
	ok = c->decode(scratch, bytes, n, &im, &orientation, e);
	if (ok) {
		im = image_orient(scratch, im, orientation);
		*out = arena_memdup(a, im, sizeof *im);
		(*out)->data = arena_memdup(a, im->data, (size_t)im->w * (size_t)im->h * (size_t)im->channels);
	}
	arena_free(scratch);
	return ok || err_in(e, "image '%s': %s", name, c->name);
}

bool image_load(struct arena *a, const char *path, struct image **out, struct err *e)
{
	struct arena *scratch = arena_new(NULL);
	struct bytes b;
	bool ok = file_read(scratch, path, (size_t)1 << 30, &b, e) && image_decode(a, b.p, b.n, path, out, e);

	arena_free(scratch);
	return ok;
}
