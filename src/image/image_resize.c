/* image_resize.c: resizing with Pillow's arithmetic
 *
 * Two passes, along the rows and along the columns. Each output sample is a weighted sum of 8-bit samples with weights in fixed
 * point, rounded and clipped to 8 bits after each pass. When shrinking, the kernel is stretched, so every source pixel counts
 * (antialiasing).
 */
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "image/image_internal.h"

#define PRECISION_BITS (32 - 8 - 2)

static const struct {
	const char *name;
	double support;
} filters[] = {
#define X(id, name, support) {name, support},
    IMAGE_FILTERS(X)
#undef X
};

const char *image_filter_name(enum image_filter f)
{
	return filters[f].name;
}

bool image_filter_parse(const char *name, enum image_filter *out)
{
	for (int i = 0; i < FILTER_COUNT; i++) {
		if (!strcmp(filters[i].name, name)) {
			*out = (enum image_filter)i;
			return true;
		}
	}
	return false;
}

static double sinc(double x)
{
	x *= M_PI;
	return x == 0.0 ? 1.0 : sin(x) / x;
}

static double hamming(double x)
{
	x = fabs(x);
	if (x == 0.0)
		return 1.0;
	if (x >= 1.0)
		return 0.0;
	x *= M_PI;
	return sin(x) / x * (0.54f + 0.46f * cos(x)); /* Pillow's constants are floats */
}

static double bicubic(double x)
{
	const double a = -0.5;

	x = fabs(x);
	if (x < 1.0)
		return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
	return x < 2.0 ? (((x - 5) * x + 8) * x - 4) * a : 0.0;
}

static double weight(enum image_filter f, double x)
{
	switch (f) {
	case FILTER_BOX: return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
	case FILTER_BILINEAR: return fabs(x) < 1.0 ? 1.0 - fabs(x) : 0.0;
	case FILTER_HAMMING: return hamming(x);
	case FILTER_BICUBIC: return bicubic(x);
	case FILTER_LANCZOS: return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
	default: return 0.0;
	}
}

/* For each output position: the first source position, how many, and that many weights from k[position * stride] on. */
struct taps {
	int *first, *count, stride;
	int32_t *k;
};

static struct taps taps_make(struct arena *a, int in, int out, enum image_filter f)
{
	double scale = (double)in / out, stretch = scale < 1.0 ? 1.0 : scale, support = filters[f].support * stretch;
	struct taps t = {.stride = (int)ceil(support) * 2 + 1};
	double *w = ARENA_ARRAY(a, double, (size_t)t.stride);

	t.first = ARENA_ARRAY(a, int, (size_t)out);
	t.count = ARENA_ARRAY(a, int, (size_t)out);
	t.k = ARENA_ARRAY(a, int32_t, (size_t)out * (size_t)t.stride);
	for (int i = 0; i < out; i++) {
		double centre = (i + 0.5) * scale, sum = 0.0, inverse = 1.0 / stretch;
		int lo = (int)(centre - support + 0.5), hi = (int)(centre + support + 0.5);

		lo = lo < 0 ? 0 : lo;
		hi = hi > in ? in : hi;
		for (int x = lo; x < hi; x++)
			sum += w[x - lo] = weight(f, (x - centre + 0.5) * inverse);
		for (int x = 0; x < hi - lo; x++) {
			double v = sum != 0.0 ? w[x] / sum : w[x];

			t.k[(size_t)i * (size_t)t.stride + (size_t)x] =
			    (int32_t)(v < 0 ? -0.5 + v * (1 << PRECISION_BITS) : 0.5 + v * (1 << PRECISION_BITS));
		}
		t.first[i] = lo;
		t.count[i] = hi - lo;
	}
	return t;
}

static uint8_t clip8(int32_t v)
{
	v >>= PRECISION_BITS;
	return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

static void pass_columns(const struct image *im, const struct taps *t, struct image *out)
{
	int c = im->channels;

	for (int y = 0; y < im->h; y++) {
		const uint8_t *row = im->data + (size_t)y * (size_t)im->w * (size_t)c;
		uint8_t *to = out->data + (size_t)y * (size_t)out->w * (size_t)c;

		for (int x = 0; x < out->w; x++, to += c) {
			const uint8_t *from = row + (size_t)t->first[x] * (size_t)c;
			const int32_t *k = t->k + (size_t)x * (size_t)t->stride;
			int32_t s[3] = {1 << (PRECISION_BITS - 1), 1 << (PRECISION_BITS - 1), 1 << (PRECISION_BITS - 1)};

			if (c == 3) {
				for (int i = 0; i < t->count[x]; i++, from += 3) {
					s[0] += from[0] * k[i];
					s[1] += from[1] * k[i];
					s[2] += from[2] * k[i];
				}
			} else {
				for (int i = 0; i < t->count[x]; i++)
					s[0] += from[i] * k[i];
			}
			for (int i = 0; i < c; i++)
				to[i] = clip8(s[i]);
		}
	}
}

static void pass_rows(struct arena *a, const struct image *im, const struct taps *t, struct image *out)
{
	size_t n = (size_t)im->w * (size_t)im->channels;
	int32_t *sum = arena_alloc(a, n * sizeof *sum);

	for (int y = 0; y < out->h; y++) {
		const int32_t *k = t->k + (size_t)y * (size_t)t->stride;
		uint8_t *to = out->data + (size_t)y * n;

		for (size_t x = 0; x < n; x++)
			sum[x] = 1 << (PRECISION_BITS - 1);
		for (int i = 0; i < t->count[y]; i++) {
			const uint8_t *from = im->data + (size_t)(t->first[y] + i) * n;

			for (size_t x = 0; x < n; x++)
				sum[x] += from[x] * k[i];
		}
		for (size_t x = 0; x < n; x++)
			to[x] = clip8(sum[x]);
	}
}

/* The centre of each output pixel, added up as Pillow does (its rounding errors with it). */
static int *nearest_positions(struct arena *a, int in, int out)
{
	int *at = ARENA_ARRAY(a, int, (size_t)out);
	double step = (double)in / out, pos = step * 0.5;

	for (int i = 0; i < out; i++, pos += step)
		at[i] = (int)pos < in ? (int)pos : in - 1;
	return at;
}

static void nearest(struct arena *a, const struct image *im, struct image *out)
{
	int *xs = nearest_positions(a, im->w, out->w), *ys = nearest_positions(a, im->h, out->h);
	size_t c = (size_t)im->channels;

	for (int y = 0; y < out->h; y++) {
		const uint8_t *row = im->data + (size_t)ys[y] * (size_t)im->w * c;

		for (int x = 0; x < out->w; x++)
			memcpy(out->data + ((size_t)y * (size_t)out->w + (size_t)x) * c, row + (size_t)xs[x] * c, c);
	}
}

/* Pillow (from 13 on) takes the rows first where that removes far more of them than columns; the rounding between the passes shows.
 */
static bool rows_first(const struct image *im, int w, int h)
{
	return h < im->h && im->h - h > 2 * (im->w - w);
}

static struct image *one_pass(struct arena *a, const struct image *im, int size, bool rows, enum image_filter f, struct image *to)
{
	struct taps t = taps_make(a, rows ? im->h : im->w, size, f);

	if (!to)
		to = rows ? image_new(a, im->w, size, im->channels) : image_new(a, size, im->h, im->channels);
	if (rows)
		pass_rows(a, im, &t, to);
	else
		pass_columns(im, &t, to);
	return to;
}

static void two_passes(struct arena *a, const struct image *im, enum image_filter f, struct image *out)
{
	int w = out->w, h = out->h;

	if (w == im->w)
		one_pass(a, im, h, true, f, out);
	else if (h == im->h)
		one_pass(a, im, w, false, f, out);
	else if (rows_first(im, w, h))
		one_pass(a, one_pass(a, im, h, true, f, NULL), w, false, f, out);
	else
		one_pass(a, one_pass(a, im, w, false, f, NULL), h, true, f, out);
}

bool image_resize(struct arena *a, const struct image *im, int w, int h, enum image_filter f, struct image **out, struct err *e)
{
	uint64_t uw = (uint64_t)(w < 0 ? 0 : w), uh = (uint64_t)(h < 0 ? 0 : h);
	struct arena *scratch;

	if (!image_dims_ok(uw, uh, e) || !image_dims_ok(uw, (uint64_t)im->h, e) || !image_dims_ok((uint64_t)im->w, uh, e))
		return err_in(e, "resizing %dx%d to %dx%d", im->w, im->h, w, h);
	*out = image_new(a, w, h, im->channels);
	if (w == im->w && h == im->h) {
		memcpy((*out)->data, im->data, (size_t)w * (size_t)h * (size_t)im->channels);
		return true;
	}
	scratch = arena_new(NULL);
	if (f == FILTER_NEAREST)
		nearest(scratch, im, *out);
	else
		two_passes(scratch, im, f, *out);
	arena_free(scratch);
	return true;
}

bool image_crop(struct arena *a, const struct image *im, int x, int y, int w, int h, struct image **out, struct err *e)
{
	size_t c = (size_t)im->channels;

	if (!image_dims_ok((uint64_t)(w < 0 ? 0 : w), (uint64_t)(h < 0 ? 0 : h), e))
		return err_in(e, "cropping %dx%d to %dx%d", im->w, im->h, w, h);
	*out = image_new(a, w, h, im->channels);
	memset((*out)->data, 0, (size_t)w * (size_t)h * c);
	for (int64_t r = 0; r < h; r++) {
		int64_t sy = r + y, from = x < 0 ? -(int64_t)x : 0, to = (int64_t)im->w - x < w ? (int64_t)im->w - x : w;

		if (sy < 0 || sy >= im->h || from >= to)
			continue;
		memcpy((*out)->data + (size_t)(r * w + from) * c, im->data + (size_t)(sy * im->w + x + from) * c,
		       (size_t)(to - from) * c);
	}
	return true;
}

struct image *image_grey(struct arena *a, const struct image *im)
{
	struct image *g = image_new(a, im->w, im->h, 1);
	size_t n = (size_t)im->w * (size_t)im->h;

	if (im->channels == 1) {
		memcpy(g->data, im->data, n);
		return g;
	}
	for (size_t i = 0; i < n; i++) {
		const uint8_t *p = im->data + i * 3;

		g->data[i] = (uint8_t)((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 0x8000u) >> 16);
	}
	return g;
}
