/* ops_resample.c: where each pixel of a resized dimension comes from - positions and weights, computed once, at lowering */
#include <math.h>

#include "base/arena.h"
#include "ops/ops_resample.h"

/* The place in the input of output i. */
static float coordinate(const struct resample_rule *r, const struct resample_dim *d, int64_t i)
{
	float x = (float)i, last = (float)(d->in - 1), stretch, offset;
	double part = (double)d->end - (double)d->start;

	switch (r->transform) {
	case RESAMPLE_HALF_PIXEL: break;
	case RESAMPLE_HALF_PIXEL_SYMMETRIC:
		stretch = (float)d->out / (d->scale * (float)d->in);
		offset = (float)d->in / 2 * (1 - stretch);
		return (float)((double)offset + ((double)x + 0.5) / (double)d->scale - 0.5);
	case RESAMPLE_PYTORCH_HALF_PIXEL:
		if (d->out == 1)
			return 0;
		break;
	case RESAMPLE_ALIGN_CORNERS: /* of the length before rounding: so it is in ONNX's tests */
		return d->length == 1 || d->out == 1 ? 0 : x * last / (d->length - 1);
	case RESAMPLE_ASYMMETRIC: return x / d->scale;
	case RESAMPLE_TF_HALF_PIXEL_FOR_NN: return (x + 0.5f) / d->scale;
	case RESAMPLE_TF_CROP_AND_RESIZE:
		part = d->out == 1 ? 0.5 * part * (double)last : (double)x * part * (double)last / (double)(d->out - 1);
		return (float)(part + (double)d->start * (double)last);
	}
	return (x + 0.5f) / d->scale - 0.5f;
}

/* Half-way is a little wider than a point: 20 pixels made 6 ask for pixel 14.5, and f32 says 14.499999. */
static double nearest(const struct resample_rule *r, const struct resample_dim *d, double x)
{
	double down = floor(x), part = x - down;

	switch (r->nearest) {
	case RESAMPLE_ROUND_PREFER_FLOOR: return part > 0.5 + 1e-6 ? down + 1 : down;
	case RESAMPLE_ROUND_PREFER_CEIL: return part < 0.5 - 1e-6 ? down : down + 1;
	case RESAMPLE_FLOOR: return down;
	case RESAMPLE_CEIL: return ceil(x);
	case RESAMPLE_OLD: break;
	}
	return d->scale < 1 ? ceil(x) : down;
}

/* The filter's weight at distance x from its middle. */
static double weight_at(const struct resample_rule *r, double x)
{
	double a = r->cubic_a;

	x = fabs(x);
	if (r->filter == RESAMPLE_LINEAR)
		return x < 1 ? 1 - x : 0;
	if (x <= 1)
		return ((a + 2) * x - (a + 3)) * x * x + 1;
	return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/* The weights of one output, for inputs at first.. when its place is x. With antialiasing the filter is `stretch` times as wide. */
static void weigh(const struct resample_rule *r, const struct resample_dim *d, double x, double stretch, int64_t first,
		  int64_t taps, float *out)
{
	bool normal = !r->exclude_outside && stretch == 1;
	double sum = 0, w;

	for (int pass = normal; pass < 2; pass++)
		for (int64_t t = 0; t < taps; t++) {
			bool outside = first + t < 0 || first + t >= d->in;

			w = r->exclude_outside && outside ? 0 : weight_at(r, ((double)(first + t) - x) / stretch);
			if (pass)
				out[t] = (float)(normal || sum == 0 ? w : w / sum);
			else
				sum += w;
		}
}

bool resample_dim(struct arena *a, const struct resample_rule *r, const struct resample_dim *d, struct resample *out)
{
	double stretch = r->antialias && d->scale < 1 ? 1 / (double)d->scale : 1;
	int64_t before = (int64_t)ceil((r->filter == RESAMPLE_CUBIC ? 2 : 1) * stretch) - 1;
	bool crop = r->transform == RESAMPLE_TF_CROP_AND_RESIZE, same = d->in == d->out;
	int64_t taps = r->filter == RESAMPLE_NEAREST ? 1 : 2 * (before + 1);
	int32_t *first = ARENA_ARRAY(a, int32_t, (size_t)d->out);
	float *weight = taps == 1 ? NULL : ARENA_ARRAY(a, float, (size_t)(d->out * taps));

	*out = (struct resample){.taps = taps, .first = first, .weight = weight, .from = d->out, .to = d->out};
	for (int64_t i = 0; i < d->out; i++) {
		float x = coordinate(r, d, i);

		same = same && x == (float)i;
		if (crop && !(x >= 0 && x <= (float)(d->in - 1))) {
			if (out->from < i && out->to > i)
				out->to = i;
			continue;
		}
		if (out->from > i)
			out->from = i;
		if (!weight) {
			first[i] = (int32_t)nearest(r, d, x);
			continue;
		}
		first[i] = (int32_t)((int64_t)floor(x) - before);
		weigh(r, d, x, stretch, first[i], taps, weight + i * taps);
	}
	return !same;
}
