/* ops_resample.h: where each pixel of a resized dimension comes from - positions and weights, computed once, at lowering
 *
 * Coordinates are f32, step by step as onnxruntime computes them: a pixel more or less to the left changes which element "nearest"
 * takes, and division is not exact on every device. Only op_resize.c includes this.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct arena;

enum resample_filter { RESAMPLE_NEAREST, RESAMPLE_LINEAR, RESAMPLE_CUBIC };

enum resample_transform {
	RESAMPLE_HALF_PIXEL,
	RESAMPLE_HALF_PIXEL_SYMMETRIC,
	RESAMPLE_PYTORCH_HALF_PIXEL,
	RESAMPLE_ALIGN_CORNERS,
	RESAMPLE_ASYMMETRIC,
	RESAMPLE_TF_HALF_PIXEL_FOR_NN,
	RESAMPLE_TF_CROP_AND_RESIZE,
};

enum resample_nearest {
	RESAMPLE_ROUND_PREFER_FLOOR,
	RESAMPLE_ROUND_PREFER_CEIL,
	RESAMPLE_FLOOR,
	RESAMPLE_CEIL,
	RESAMPLE_OLD, /* until opset 10: up where the image shrinks, else down */
};

struct resample_rule { /* of the node */
	enum resample_filter filter;
	enum resample_transform transform;
	enum resample_nearest nearest;
	bool antialias, exclude_outside;
	float cubic_a;
};

#define RESAMPLE_MAX_DIM ((int64_t)1 << 24) /* of a resized dimension: f32 counts so far */

struct resample_dim {
	int64_t in, out;
	float scale;      /* > 0 */
	float length;     /* of the output before it was made whole */
	float start, end; /* of the region of interest, as parts of the dimension */
};

/* Output o is the sum over t < taps of weight[o * taps + t] * input[clamp(first[o] + t)]; first may lie outside. */
struct resample {
	int64_t taps;
	const int32_t *first;
	const float *weight; /* NULL when taps is 1: it is 1 */
	int64_t from, to;    /* outputs outside from..to-1 lie outside the input and get the extrapolation value */
};

/* False when the dimension stays as it is. Dims are at most RESAMPLE_MAX_DIM, not 0; scale * in is at least 1/4. */
bool resample_dim(struct arena *a, const struct resample_rule *r, const struct resample_dim *d, struct resample *out);
