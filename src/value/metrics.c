/* metrics.c: how far two vectors of numbers lie apart */
#include "value/value.h"

#include <math.h>
#include <string.h>

/* f32 bit patterns as integers in the order of the numbers; both zeros are 0. */
static int64_t ordered(float x)
{
	int32_t i;

	memcpy(&i, &x, sizeof i);
	return i < 0 ? (int64_t)INT32_MIN - i : i;
}

/* Counts NaN and Inf; false when the pair can be measured. */
static bool special(float a, float b, struct distance *d)
{
	if (isfinite(a) && isfinite(b))
		return false;
	d->nan_a += isnan(a);
	d->nan_b += isnan(b);
	d->inf_a += isinf(a) != 0;
	d->inf_b += isinf(b) != 0;
	if (!(isnan(a) && isnan(b)) && !(a == b))
		d->special_differs = true;
	return true;
}

void distance_f32(const float *a, const float *b, int64_t n, struct distance *out)
{
	double aa = 0, bb = 0, ab = 0, dd = 0;
	struct distance d = {.n = n, .identical = !n || !memcmp(a, b, (size_t)n * sizeof *a)};

	for (int64_t i = 0; i < n; i++) {
		double x = a[i], y = b[i], diff = fabs(x - y), ulp;

		if (special(a[i], b[i], &d))
			continue;
		aa += x * x;
		bb += y * y;
		ab += x * y;
		dd += diff * diff;
		d.max_abs = fmax(d.max_abs, diff);
		if (diff > 0)
			d.max_rel = fmax(d.max_rel, diff / fmax(fabs(x), fabs(y)));
		ulp = fabs((double)(ordered(a[i]) - ordered(b[i])));
		d.max_ulp = fmax(d.max_ulp, ulp);
	}
	d.l2 = sqrt(dd);
	if (dd == 0)
		d.cosine = 1; /* exactly, whatever the rounding of the products */
	else
		d.cosine = aa > 0 && bb > 0 ? fmax(-1, fmin(1, ab / (sqrt(aa) * sqrt(bb)))) : 0;
	d.nmse = dd == 0 ? 0 : dd / aa; /* against all zeros: infinite */
	*out = d;
}
