/* image_internal.h: what the decoders share */
#pragma once
#include "image/image.h"

/* Checked dimensions and zeroed memory for a picture; ERR_PARSE otherwise. */
bool image_dims_ok(uint64_t w, uint64_t h, struct err *e);
/* The caller has checked that the size is sane. */
static inline struct image *image_new(struct arena *a, int w, int h, int channels)
{
	struct image *im = ARENA_NEW(a, struct image);

	*im = (struct image){.w = w, .h = h, .channels = channels};
	im->data = arena_alloc(a, (size_t)w * (size_t)h * (size_t)channels);
	return im;
}

/* Orientation 1..8 of a TIFF/EXIF block (from its "II" or "MM" on, with or without a leading "Exif\0\0"); 1 when it says none. */
int exif_orientation(const uint8_t *p, size_t n);
/* im itself when o is 1. */
struct image *image_orient(struct arena *a, struct image *im, int o);

/* One format. n bytes that begin with its signature. `probe` reads the header only. decode sets *orientation. */
struct image_codec {
	const char *name;
	bool (*matches)(const uint8_t *p, size_t n);
	bool (*probe)(const uint8_t *p, size_t n, int *w, int *h, struct err *e);
	bool (*decode)(struct arena *a, const uint8_t *p, size_t n, struct image **out, int *orientation, struct err *e);
};

extern const struct image_codec image_codec_jpeg, image_codec_png, image_codec_webp;
