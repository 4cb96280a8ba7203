/* image/image.h: from photographs to input tensors - decoding, resizing, preprocessing, labels, lists of inputs
 *
 * The numbers are Pillow's and torchvision's: decoding gives the pixels of `ImageOps.exif_transpose(Image.open(f)).convert("RGB")`,
 * resizing is Pillow's two-pass 8-bit arithmetic, crops round as torchvision does. Everything returned lives in the arena passed.
 * Bytes from outside are never trusted: every failure is an error that names the file.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct err;
struct tensor;

/* ---- decoding ------------------------------------------------------------------------------------------- */

/* 8 bits a sample, interleaved, rows without padding: pixel (x, y) starts at data[(y * w + x) * channels].
 * channels is 3 (R, G, B) after decoding; 1 (grey) only inside the pipeline. */
struct image {
	int w, h, channels;
	uint8_t *data;
};

#define IMAGE_MAX_SIDE 65535
#define IMAGE_MAX_PIXELS 178956970 /* Pillow's own limit: a quarter of 2^30 over 1.5 */

/* JPEG, PNG or WebP, told by their first bytes. `name` is for messages only. Dimensions are checked before anything of their
 * size is allocated. What happens to unusual files:
 *   - EXIF orientation (JPEG, PNG, WebP) is applied;
 *   - alpha and transparency are dropped, not composited (the colours stored under them show), as Pillow does;
 *   - CMYK and YCCK JPEGs are taken as Adobe's inverted ones, as Pillow does;
 *   - 16-bit samples keep their high byte. (Pillow does so too except for grey without alpha, where it clips at 255 and gives
 *     white; that is not copied);
 *   - colour profiles and gamma are ignored; an animated PNG gives its default image, an animated WebP is refused;
 *   - a truncated or corrupt file is ERR_PARSE, never a half-grey picture. */
bool image_decode(struct arena *a, const void *bytes, size_t n, const char *name, struct image **out, struct err *e);
bool image_load(struct arena *a, const char *path, struct image **out, struct err *e);

/* The header only: width and height as stored (orientation not applied), already checked against the limits. */
bool image_probe(const void *bytes, size_t n, const char *name, int *w, int *h, struct err *e);

/* ---- resizing ------------------------------------------------------------------------------------------- */

/* X(id, name, support of the kernel at scale 1); nearest does not antialias, the others do. */
#define IMAGE_FILTERS(X)                                                                                                           \
	X(NEAREST, "nearest", 0)                                                                                                   \
	X(BOX, "box", 0.5) X(BILINEAR, "bilinear", 1) X(HAMMING, "hamming", 1) X(BICUBIC, "bicubic", 2) X(LANCZOS, "lanczos", 3)

enum image_filter {
#define X(id, name, support) FILTER_##id,
	IMAGE_FILTERS(X)
#undef X
	    FILTER_COUNT
};

const char *image_filter_name(enum image_filter f);
bool image_filter_parse(const char *name, enum image_filter *out);

/* Pillow's Image.resize: the same bytes. w and h are 1..IMAGE_MAX_SIDE. The same size gives a copy. */
bool image_resize(struct arena *a, const struct image *im, int w, int h, enum image_filter f, struct image **out, struct err *e);
/* The w x h window whose corner is (x, y); what lies outside the image is black. */
bool image_crop(struct arena *a, const struct image *im, int x, int y, int w, int h, struct image **out, struct err *e);
/* Pillow's convert("L"): ITU-R 601 luma. */
struct image *image_grey(struct arena *a, const struct image *im);

/* A JPEG of the picture in this file, its longer side `side` pixels, or fewer when it has fewer. */
bool image_thumbnail(struct arena *a, const char *path, int side, uint8_t **jpeg, size_t *n, struct err *e);

/* ---- preprocessing -------------------------------------------------------------------------------------- */

enum resize_mode { RESIZE_NONE, RESIZE_SHORT, RESIZE_EXACT };
enum channel_order { ORDER_RGB, ORDER_BGR, ORDER_GREY };
enum image_layout { LAYOUT_NCHW, LAYOUT_NHWC };

/* Faults a deployment may have in front of the network, each applied where the real one would happen; all zero: none.
 * The order of the pipeline, with the faults in brackets:
 *   decode [swap_channels] -> grey -> centre square -> resize [filter] -> centre crop [crop_shift]
 *   -> [transpose_hw] [flips] [noise] [quantise] -> normalise [skip, double] -> channel order and layout */
struct preprocess_fault {
	bool swap_channels;    /* the decoder gives B, G, R where R, G, B is expected: means and weights meet the wrong channel */
	bool skip_normalise;   /* pixels 0..255 go in as they are */
	bool double_normalise; /* (x - mean) / std once more on what was normalised */
	bool transpose_hw;     /* rows and columns confused: the picture is mirrored at its diagonal; the tensor keeps its shape */
	bool flip_horizontal, flip_vertical;
	bool filter_set; /* resize with this filter instead */
	enum image_filter filter;
	int quantise_levels;            /* 0: none; 2..256 grey levels per channel, evenly spaced from 0 to 255 */
	double noise_sigma;             /* Gaussian, in grey levels, rounded to 8 bits and clipped, as from a sensor */
	uint64_t seed;                  /* of the noise; every picture gets its own noise, the same one each time */
	int crop_shift_x, crop_shift_y; /* pixels to the right and down; outside is black */
};

/* What was said explicitly, not taken from a preset. */
#define PREPROCESS_RESIZE 1u
#define PREPROCESS_CROP 2u
#define PREPROCESS_LAYOUT 4u
#define PREPROCESS_ORDER 8u

/* x = (p - mean) / std in float32 on pixels p of 0..255. */
struct preprocess {
	enum resize_mode resize;
	int resize_w, resize_h; /* RESIZE_SHORT: both are the short side */
	int crop_w, crop_h;     /* 0: no crop */
	bool square;            /* centre square first */
	enum image_filter filter;
	enum channel_order order;
	enum image_layout layout;
	double mean[3], std[3]; /* of R, G, B whatever the order is; grey: their first */
	int out_w, out_h;       /* the model's input, when preprocess_fit knew it: another size is an error; else 0 */
	unsigned given;         /* PREPROCESS_* */
	struct preprocess_fault fault;
};

/* text: "PRESET", "KEY=VALUE,..." or "PRESET,KEY=VALUE,..."; without a preset everything not said is as in `torchvision`.
 *   resize=N (short side), resize=WxH, resize=none    crop=N, crop=WxH, crop=none    square=yes|no
 *   filter=nearest|box|bilinear|hamming|bicubic|lanczos    order=rgb|bgr|grey    layout=nchw|nhwc
 *   mean=X or R:G:B    std=X or R:G:B (always in the order R, G, B)
 * Presets: torchvision (short side 256 bilinear, crop 224, ImageNet mean and std), keras-tf ([-1, 1]), caffe (B, G, R order,
 * means only), unit ([0, 1]), none (the picture as it is). Mistakes are ERR_USAGE and name what would have been right. */
bool preprocess_parse(const char *text, struct preprocess *out, struct err *e);
/* The canonical text; parses back to the same thing. Faults are shown too ("fault.flip-horizontal=yes"), but not parsed. */
char *preprocess_text(struct arena *a, const struct preprocess *p);
/* The presets' names and what they stand for, one line each, for help texts. */
char *preprocess_presets(struct arena *a);

/* Adapts to a model's input shape: [N, C, H, W] or [N, H, W, C], dims < 1 unknown. Layout and grey follow the shape unless given;
 * a crop not given becomes H x W; a resize not given its larger side * 256 / 224, rounded. What was given and cannot fit is
 * ERR_USAGE. */
bool preprocess_fit(struct preprocess *p, int nd, const int64_t *dim, struct err *e);

/* f32 [1, C, H, W] or [1, H, W, C]. */
bool image_to_tensor(struct arena *a, const struct image *im, const struct preprocess *p, struct tensor **out, struct err *e);

/* One input as `inputs_expand` lists it: a picture through image_load and image_to_tensor, or a .npy as it is (the faults of
 * p do not apply: it is preprocessed already). */
bool input_load(struct arena *a, const char *path, const struct preprocess *p, struct tensor **out, struct err *e);

/* ---- labels and lists of inputs ------------------------------------------------------------------------- */

struct label {
	char *file; /* base name */
	int64_t class_index;
};

struct labels {
	struct label *v; /* in the file's order */
	size_t n;
	struct map *by_file; /* private */
};

/* CSV (comma, semicolon or tab; quotes as in RFC 4180). With a header: the columns `file` (or filename, image, name, path) and
 * `class_index` (or class, label, index, class_id, target), others ignored; without: the first two. Two different classes for one
 * file are an error. Errors name file and line. */
bool labels_read(struct arena *a, const char *path, struct labels **out, struct err *e);
/* By base name of path; -1 when there is none. */
int64_t labels_find(const struct labels *l, const char *path);

/* One class name per line. Empty lines at the end are dropped, elsewhere they are errors. */
bool class_names_read(struct arena *a, const char *path, char ***names, size_t *n, struct err *e);

/* Each path is a picture, a .npy, or a folder (its .jpg .jpeg .png .webp and .npy files, sorted, not recursive; a folder without
 * any is an error). Missing paths are errors. Nothing is opened yet. */
bool inputs_expand(struct arena *a, const char *const *paths, size_t npaths, char ***out, size_t *n, struct err *e);
bool input_is_npy(const char *path);
