/* preprocess.c: the description of the way from pixels to a model's input - presets, text form, fitting to a model */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "image/image.h"

#define KEYS "resize, crop, square, filter, order, layout, mean, std"

static const struct preset {
	const char *name, *about;
	struct preprocess p;
} presets[] = {
    {"torchvision",
     "short side to 256, centre crop 224, ImageNet mean and standard deviation",
     {.resize = RESIZE_SHORT,
      .resize_w = 256,
      .resize_h = 256,
      .crop_w = 224,
      .crop_h = 224,
      .filter = FILTER_BILINEAR,
      .mean = {123.675, 116.28, 103.53},
      .std = {58.395, 57.12, 57.375}}},
    {"keras-tf",
     "the same picture, scaled to [-1, 1]",
     {.resize = RESIZE_SHORT,
      .resize_w = 256,
      .resize_h = 256,
      .crop_w = 224,
      .crop_h = 224,
      .filter = FILTER_BILINEAR,
      .mean = {127.5, 127.5, 127.5},
      .std = {127.5, 127.5, 127.5}}},
    {"caffe",
     "the same picture, channels B, G, R, means taken off, not scaled",
     {.resize = RESIZE_SHORT,
      .resize_w = 256,
      .resize_h = 256,
      .crop_w = 224,
      .crop_h = 224,
      .filter = FILTER_BILINEAR,
      .order = ORDER_BGR,
      .mean = {123.68, 116.779, 103.939},
      .std = {1, 1, 1}}},
    {"unit",
     "the same picture, scaled to [0, 1]",
     {.resize = RESIZE_SHORT,
      .resize_w = 256,
      .resize_h = 256,
      .crop_w = 224,
      .crop_h = 224,
      .filter = FILTER_BILINEAR,
      .std = {255, 255, 255}}},
    {"none",
     "the picture as it is: not resized, not cropped, 0..255",
     {.filter = FILTER_BILINEAR, .std = {1, 1, 1}, .given = PREPROCESS_RESIZE | PREPROCESS_CROP}},
};

#define NPRESETS (sizeof presets / sizeof *presets)

char *preprocess_presets(struct arena *a)
{
	struct str s = {0};
	char *r;

	for (size_t i = 0; i < NPRESETS; i++)
		str_addf(&s, "%-12s %s\n", presets[i].name, presets[i].about);
	r = arena_strdup(a, str_text(&s));
	str_free(&s);
	return r;
}

/* ---- reading -------------------------------------------------------------------------------------------- */

/* One side, 1..IMAGE_MAX_SIDE; advances *s over the digits. */
static bool parse_side(const char **s, int *out)
{
	int v = 0;

	if (!isdigit((unsigned char)**s))
		return false;
	for (; isdigit((unsigned char)**s); ++*s) {
		v = v * 10 + (**s - '0');
		if (v > IMAGE_MAX_SIDE)
			return false;
	}
	*out = v;
	return v > 0;
}

/* "none" gives 0x0, "N" gives NxN and *exact false, "WxH" *exact true. */
static bool parse_size(const char *key, const char *v, int *w, int *h, bool *exact, struct err *e)
{
	const char *s = v;

	*exact = false;
	if (!strcmp(v, "none")) {
		*w = *h = 0;
		return true;
	}
	if (parse_side(&s, w)) {
		*h = *w;
		if (!*s)
			return true;
		*exact = true;
		if (*s++ == 'x' && parse_side(&s, h) && !*s)
			return true;
	}
	return err_set(e, ERR_USAGE, "preprocess key '%s': '%s' is not a size (N, WxH or none, at most %d)", key, v,
		       IMAGE_MAX_SIDE);
}

static bool parse_three(const char *key, const char *v, double out[3], struct err *e)
{
	const char *s = v;
	int n = 0;

	for (;; s++) {
		char *end;
		double x;

		if (n == 3 || isspace((unsigned char)*s))
			break;
		x = strtod(s, &end);
		if (end == s || !isfinite(x) || fabs(x) > 1e9 || (!strcmp(key, "std") && !(fabs(x) > 1e-9)))
			break;
		out[n++] = x;
		s = end;
		if (!*s && n != 2) {
			if (n == 1)
				out[1] = out[2] = out[0];
			return true;
		}
		if (*s != ':')
			break;
	}
	return err_set(e, ERR_USAGE, "preprocess key '%s': '%s' is not one number or three as R:G:B%s", key, v,
		       strcmp(key, "std") ? "" : ", none of them zero");
}

/* words: NULL-terminated list. */
static bool parse_word(const char *key, const char *v, const char *const *words, int *out, struct err *e)
{
	struct str s = {0};

	for (int i = 0; words[i]; i++) {
		if (!strcmp(words[i], v)) {
			*out = i;
			str_free(&s);
			return true;
		}
		str_addf(&s, "%s%s", i ? ", " : "", words[i]);
	}
	err_set(e, ERR_USAGE, "preprocess key '%s': '%s' is none of %s", key, v, str_text(&s));
	str_free(&s);
	return false;
}

static const char *const word_bool[] = {"no", "yes", NULL};
static const char *const word_order[] = {"rgb", "bgr", "grey", NULL};
static const char *const word_layout[] = {"nchw", "nhwc", NULL};
static const char *const word_filter[] = {
#define X(id, name, support) name,
    IMAGE_FILTERS(X)
#undef X
	NULL};

static bool set_resize(struct preprocess *p, const char *v, struct err *e)
{
	bool exact;

	if (!parse_size("resize", v, &p->resize_w, &p->resize_h, &exact, e))
		return false;
	p->resize = exact ? RESIZE_EXACT : p->resize_w ? RESIZE_SHORT : RESIZE_NONE;
	p->given |= PREPROCESS_RESIZE;
	return true;
}

static bool set_key(struct preprocess *p, const char *key, const char *v, struct err *e)
{
	bool exact;
	int i;

	if (!strcmp(key, "resize"))
		return set_resize(p, v, e);
	if (!strcmp(key, "crop")) {
		p->given |= PREPROCESS_CROP;
		return parse_size(key, v, &p->crop_w, &p->crop_h, &exact, e);
	}
	if (!strcmp(key, "mean"))
		return parse_three(key, v, p->mean, e);
	if (!strcmp(key, "std"))
		return parse_three(key, v, p->std, e);
	if (!strcmp(key, "square"))
		return parse_word(key, v, word_bool, &i, e) && (p->square = i, true);
	if (!strcmp(key, "filter"))
		return parse_word(key, v, word_filter, &i, e) && (p->filter = (enum image_filter)i, true);
	if (!strcmp(key, "order")) {
		p->given |= PREPROCESS_ORDER;
		return parse_word(key, v, word_order, &i, e) && (p->order = (enum channel_order)i, true);
	}
	if (!strcmp(key, "layout")) {
		p->given |= PREPROCESS_LAYOUT;
		return parse_word(key, v, word_layout, &i, e) && (p->layout = (enum image_layout)i, true);
	}
	return err_set(e, ERR_USAGE, "'%s' is not a key of preprocess (there are " KEYS ")", key);
}

static bool set_preset(struct preprocess *p, const char *name, struct err *e)
{
	struct str s = {0};

	for (size_t i = 0; i < NPRESETS; i++) {
		if (!strcmp(presets[i].name, name)) {
			*p = presets[i].p;
			str_free(&s);
			return true;
		}
		str_addf(&s, "%s%s", i ? ", " : "", presets[i].name);
	}
	err_set(e, ERR_USAGE, "'%s' is not a preset of preprocess (there are %s) and not KEY=VALUE", name, str_text(&s));
	str_free(&s);
	return false;
}

static char *trim(char *s)
{
	char *end;

	while (isspace((unsigned char)*s))
		s++;
	end = s + strlen(s);
	while (end > s && isspace((unsigned char)end[-1]))
		*--end = '\0';
	return s;
}

bool preprocess_parse(const char *text, struct preprocess *out, struct err *e)
{
	struct arena *scratch = arena_new(NULL);
	char *rest = arena_strdup(scratch, text);
	struct preprocess p = presets[0].p;
	bool ok = true, first = true;

	while (ok && rest) {
		char *item = strsep(&rest, ","), *value;

		item = trim(item);
		value = strchr(item, '=');
		if (value) {
			*value++ = '\0';
			ok = set_key(&p, trim(item), trim(value), e);
		} else if (first) {
			ok = set_preset(&p, item, e);
		} else {
			ok = err_set(e, ERR_USAGE, "preprocess: '%s' is not KEY=VALUE (the keys are " KEYS ")", item);
		}
		first = false;
	}
	if (ok)
		*out = p;
	arena_free(scratch);
	return ok;
}

/* ---- writing -------------------------------------------------------------------------------------------- */

/* The fewest digits that read back as the same number. */
static void add_number(struct str *s, double v)
{
	char text[40];

	for (int digits = 1; digits <= 17; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	str_add(s, text);
}

static void add_three(struct str *s, const char *key, const double v[3])
{
	str_addf(s, ",%s=", key);
	add_number(s, v[0]);
	for (int i = 1; i < 3 && (v[1] != v[0] || v[2] != v[0]); i++) {
		str_addc(s, ':');
		add_number(s, v[i]);
	}
}

static void add_faults(struct str *s, const struct preprocess_fault *f)
{
	const struct {
		bool on;
		const char *name;
	} flags[] = {
	    {f->swap_channels, "swap-channels"}, {f->skip_normalise, "skip-normalise"},   {f->double_normalise, "double-normalise"},
	    {f->transpose_hw, "transpose-hw"},   {f->flip_horizontal, "flip-horizontal"}, {f->flip_vertical, "flip-vertical"},
	};

	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		if (flags[i].on)
			str_addf(s, ",fault.%s=yes", flags[i].name);
	}
	if (f->filter_set)
		str_addf(s, ",fault.filter=%s", image_filter_name(f->filter));
	if (f->quantise_levels)
		str_addf(s, ",fault.quantise-levels=%d", f->quantise_levels);
	if (f->noise_sigma != 0) {
		str_add(s, ",fault.noise-sigma=");
		add_number(s, f->noise_sigma);
		str_addf(s, ",fault.seed=%llu", (unsigned long long)f->seed);
	}
	if (f->crop_shift_x || f->crop_shift_y)
		str_addf(s, ",fault.crop-shift=%d:%d", f->crop_shift_x, f->crop_shift_y);
}

char *preprocess_text(struct arena *a, const struct preprocess *p)
{
	struct str s = {0};
	char *r;

	if (p->resize == RESIZE_NONE)
		str_add(&s, "resize=none");
	else if (p->resize == RESIZE_SHORT)
		str_addf(&s, "resize=%d", p->resize_w);
	else
		str_addf(&s, "resize=%dx%d", p->resize_w, p->resize_h);
	if (!p->crop_w)
		str_add(&s, ",crop=none");
	else if (p->crop_w == p->crop_h)
		str_addf(&s, ",crop=%d", p->crop_w);
	else
		str_addf(&s, ",crop=%dx%d", p->crop_w, p->crop_h);
	str_addf(&s, ",square=%s,filter=%s,order=%s,layout=%s", word_bool[p->square], word_filter[p->filter], word_order[p->order],
		 word_layout[p->layout]);
	add_three(&s, "mean", p->mean);
	add_three(&s, "std", p->std);
	add_faults(&s, &p->fault);
	r = arena_strdup(a, str_text(&s));
	str_free(&s);
	return r;
}

/* ---- fitting to a model --------------------------------------------------------------------------------- */

static bool is_channels(int64_t n)
{
	return n == 1 || n == 3;
}

static bool fit_channels(struct preprocess *p, int64_t c, struct err *e)
{
	if (c < 1)
		return true;
	if (!is_channels(c))
		return err_set(e, ERR_USAGE, "the model takes %lld channels, pictures have 1 or 3", (long long)c);
	if ((c == 1) == (p->order == ORDER_GREY))
		return true;
	if (p->given & PREPROCESS_ORDER)
		return err_set(e, ERR_USAGE, "order=%s does not fit the model, which takes %lld channel%s", word_order[p->order],
			       (long long)c, c == 1 ? "" : "s");
	p->order = c == 1 ? ORDER_GREY : ORDER_RGB;
	return true;
}

/* What was given must be able to give w x h; a crop that was not given would show black bars beyond a smaller resize. */
static bool fit_given(const struct preprocess *p, int w, int h, struct err *e)
{
	int have_w = p->crop_w, have_h = p->crop_h;

	if (p->given & PREPROCESS_CROP) {
		if (!have_w && p->resize == RESIZE_EXACT) {
			have_w = p->resize_w;
			have_h = p->resize_h;
		}
		if (have_w && (have_w != w || have_h != h))
			return err_set(e, ERR_USAGE, "preprocessing gives %dx%d, the model takes %dx%d", have_w, have_h, w, h);
		return true;
	}
	if (p->given & PREPROCESS_RESIZE && p->resize != RESIZE_NONE && (p->resize_w < w || p->resize_h < h))
		return err_set(e, ERR_USAGE, "resize to %dx%d is smaller than the model's input, %dx%d", p->resize_w, p->resize_h,
			       w, h);
	return true;
}

bool preprocess_fit(struct preprocess *p, int nd, const int64_t *dim, struct err *e)
{
	int64_t h, w, c;
	bool nhwc;

	if (nd != 4)
		return err_set(e, ERR_USAGE, "the model's input has %d dimensions, a picture needs 4", nd);
	if (!(p->given & PREPROCESS_LAYOUT)) {
		if (is_channels(dim[1]))
			p->layout = LAYOUT_NCHW;
		else if (is_channels(dim[3]))
			p->layout = LAYOUT_NHWC;
	}
	nhwc = p->layout == LAYOUT_NHWC;
	c = dim[nhwc ? 3 : 1];
	h = dim[nhwc ? 1 : 2];
	w = dim[nhwc ? 2 : 3];
	if (!fit_channels(p, c, e))
		return false;
	if (h < 1 || w < 1)
		return true;
	if (h > IMAGE_MAX_SIDE || w > IMAGE_MAX_SIDE)
		return err_set(e, ERR_USAGE, "the model takes %lldx%lld pixels, more than %d a side", (long long)w, (long long)h,
			       IMAGE_MAX_SIDE);
	if (!fit_given(p, (int)w, (int)h, e))
		return false;
	p->out_w = (int)w;
	p->out_h = (int)h;
	if (!(p->given & PREPROCESS_CROP)) {
		p->crop_w = (int)w;
		p->crop_h = (int)h;
	}
	if (!(p->given & PREPROCESS_RESIZE)) {
		int64_t side = w > h ? w : h;

		p->resize = RESIZE_SHORT;
		p->resize_w = p->resize_h = (int)((side * 256 + 112) / 224);
	}
	return true;
}
