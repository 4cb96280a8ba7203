/* image_tensor.c: from a picture to the model's input, with the faults that preprocessing may have */
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "image/image_internal.h"
#include "value/value.h"

/* ---- geometry ------------------------------------------------------------------------------------------- */

/* round(d / 2.0) as Python rounds: halves to even. Also for negative d. */
static int half_even(int d)
{
	return d % 2 == 0 ? d / 2 : ((d - 1) / 2) % 2 == 0 ? (d - 1) / 2 : (d + 1) / 2;
}

static bool resize(struct arena *a, const struct image *im, const struct preprocess *p, struct image **out, struct err *e)
{
	int64_t w = p->resize_w, h = p->resize_h;

	if (p->resize == RESIZE_SHORT) { /* torchvision: int(size * long / short) */
		if (im->w <= im->h)
			h = w * im->h / im->w;
		else
			w = h * im->w / im->h;
	}
	if (w > IMAGE_MAX_SIDE || h > IMAGE_MAX_SIDE)
		return err_set(e, ERR_UNSUPPORTED, "resizing %dx%d to %lldx%lld gives too large a picture", im->w, im->h,
			       (long long)w, (long long)h);
	return image_resize(a, im, (int)w, (int)h, p->fault.filter_set ? p->fault.filter : p->filter, out, e);
}

/* torchvision's CenterCrop: a picture smaller than the crop is first padded with black, the odd pixel at the right and bottom. */
static int crop_start(int have, int want)
{
	return want > have ? -((want - have) / 2) : half_even(have - want);
}

static bool crop(struct arena *a, const struct image *im, const struct preprocess *p, struct image **out, struct err *e)
{
	int w = p->crop_w ? p->crop_w : im->w, h = p->crop_h ? p->crop_h : im->h;
	int x = crop_start(im->w, w) + p->fault.crop_shift_x, y = crop_start(im->h, h) + p->fault.crop_shift_y;

	return image_crop(a, im, x, y, w, h, out, e);
}

static bool geometry(struct arena *a, const struct image *im, const struct preprocess *p, struct image **out, struct err *e)
{
	struct image *r = image_new(a, im->w, im->h, im->channels);

	memcpy(r->data, im->data, (size_t)im->w * (size_t)im->h * (size_t)im->channels);
	if (p->fault.swap_channels) {
		for (size_t i = 0; r->channels == 3 && i < (size_t)r->w * (size_t)r->h; i++) {
			uint8_t red = r->data[i * 3];

			r->data[i * 3] = r->data[i * 3 + 2];
			r->data[i * 3 + 2] = red;
		}
	}
	if (p->order == ORDER_GREY)
		r = image_grey(a, r);
	if (p->square) {
		int s = r->w < r->h ? r->w : r->h;

		if (!image_crop(a, r, half_even(r->w - s), half_even(r->h - s), s, s, &r, e))
			return false;
	}
	if (p->resize != RESIZE_NONE && !resize(a, r, p, &r, e))
		return false;
	return crop(a, r, p, out, e);
}

/* ---- faults of the finished picture --------------------------------------------------------------------- */

/* The buffer read as columns where rows were meant. */
static void transpose(struct arena *a, struct image *im)
{
	size_t c = (size_t)im->channels, w = (size_t)im->w, h = (size_t)im->h;
	uint8_t *old = arena_memdup(a, im->data, w * h * c);

	for (size_t y = 0; y < h; y++) {
		for (size_t x = 0; x < w; x++)
			memcpy(im->data + (y * w + x) * c, old + (x * h + y) * c, c);
	}
}

static void flip(struct arena *a, struct image *im, bool horizontal, bool vertical)
{
	size_t c = (size_t)im->channels, w = (size_t)im->w, h = (size_t)im->h;
	uint8_t *old = arena_memdup(a, im->data, w * h * c);

	for (size_t y = 0; y < h; y++) {
		for (size_t x = 0; x < w; x++) {
			size_t sx = horizontal ? w - 1 - x : x, sy = vertical ? h - 1 - y : y;

			memcpy(im->data + (y * w + x) * c, old + (sy * w + sx) * c, c);
		}
	}
}

static uint64_t splitmix64(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* In (0, 1]. */
static double uniform(uint64_t *state)
{
	return (double)((splitmix64(state) >> 11) + 1) * 0x1p-53;
}

/* The rounding to 8 bits also hides the last bits in which mathematics libraries differ. */
static void noise(struct image *im, double sigma, uint64_t seed)
{
	size_t n = (size_t)im->w * (size_t)im->h * (size_t)im->channels;
	uint64_t state = seed ^ hash_bytes(im->data, n).lo;

	for (size_t i = 0; i < n; i += 2) {
		double r = sigma * sqrt(-2 * log(uniform(&state))), angle = 2 * M_PI * uniform(&state);
		double g[2] = {r * cos(angle), r * sin(angle)};

		for (size_t j = i; j < n && j < i + 2; j++) {
			double v = im->data[j] + g[j - i];

			im->data[j] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : floor(v + 0.5));
		}
	}
}

static void quantise(struct image *im, int levels)
{
	size_t n = (size_t)im->w * (size_t)im->h * (size_t)im->channels;
	unsigned top = (unsigned)levels - 1;

	for (size_t i = 0; i < n; i++) {
		unsigned q = (im->data[i] * top * 2 + 255) / 510;

		im->data[i] = (uint8_t)((q * 255 * 2 + top) / (2 * top));
	}
}

static void apply_faults(struct arena *a, struct image *im, const struct preprocess_fault *f)
{
	if (f->transpose_hw)
		transpose(a, im);
	if (f->flip_horizontal || f->flip_vertical)
		flip(a, im, f->flip_horizontal, f->flip_vertical);
	if (f->noise_sigma > 0)
		noise(im, f->noise_sigma, f->seed);
	if (f->quantise_levels)
		quantise(im, f->quantise_levels);
}

/* ---- numbers -------------------------------------------------------------------------------------------- */

static float normalise(float v, const struct preprocess *p, int c)
{
	return (v - (float)p->mean[c]) / (float)p->std[c];
}

/* Source channel c to its place; there are only 256 values, so each is computed once. */
static void write_channel(const struct image *im, const struct preprocess *p, int c, float *to)
{
	size_t n = (size_t)im->w * (size_t)im->h, channels = (size_t)im->channels;
	size_t slot = p->order == ORDER_BGR ? 2 - (size_t)c : (size_t)c;
	size_t step = p->layout == LAYOUT_NHWC ? channels : 1;
	float table[256];

	for (int i = 0; i < 256; i++) {
		table[i] = p->fault.skip_normalise ? (float)i : normalise((float)i, p, c);
		if (p->fault.double_normalise)
			table[i] = normalise(table[i], p, c);
	}
	to += p->layout == LAYOUT_NHWC ? slot : slot * n;
	for (size_t i = 0; i < n; i++)
		to[i * step] = table[im->data[i * channels + (size_t)c]];
}

static bool check(const struct preprocess *p, struct err *e)
{
	const struct preprocess_fault *f = &p->fault;

	if (f->quantise_levels != 0 && (f->quantise_levels < 2 || f->quantise_levels > 256))
		return err_set(e, ERR_USAGE, "%d grey levels cannot be (2 to 256)", f->quantise_levels);
	if (!(f->noise_sigma >= 0 && f->noise_sigma <= 1e6))
		return err_set(e, ERR_USAGE, "a noise of %g grey levels cannot be", f->noise_sigma);
	if (f->crop_shift_x < -IMAGE_MAX_SIDE || f->crop_shift_x > IMAGE_MAX_SIDE || f->crop_shift_y < -IMAGE_MAX_SIDE ||
	    f->crop_shift_y > IMAGE_MAX_SIDE)
		return err_set(e, ERR_USAGE, "the crop cannot be shifted by %d:%d pixels", f->crop_shift_x, f->crop_shift_y);
	return true;
}

bool image_to_tensor(struct arena *a, const struct image *im, const struct preprocess *p, struct tensor **out, struct err *e)
{
	struct arena *scratch = arena_new(NULL);
	struct image *r = NULL;
	bool ok = check(p, e) && geometry(scratch, im, p, &r, e);

	if (ok && p->out_w && (r->w != p->out_w || r->h != p->out_h))
		ok = err_set(e, ERR_USAGE, "preprocessing gives %dx%d, the model takes %dx%d", r->w, r->h, p->out_w, p->out_h);
	if (ok) {
		int64_t nchw[4] = {1, r->channels, r->h, r->w}, nhwc[4] = {1, r->h, r->w, r->channels};

		apply_faults(scratch, r, &p->fault);
		*out = tensor_new(a, DT_F32, 4, p->layout == LAYOUT_NHWC ? nhwc : nchw);
		for (int c = 0; c < r->channels; c++)
			write_channel(r, p, c, (*out)->data);
	}
	arena_free(scratch);
	return ok;
}

bool input_load(struct arena *a, const char *path, const struct preprocess *p, struct tensor **out, struct err *e)
{
	struct arena *scratch;
	struct image *im;
	bool ok;

	if (input_is_npy(path))
		return npy_read(a, path, out, e);
	scratch = arena_new(NULL);
	ok = image_load(scratch, path, &im, e) && (image_to_tensor(a, im, p, out, e) || err_in(e, "image '%s'", path));
	arena_free(scratch);
	return ok;
}
