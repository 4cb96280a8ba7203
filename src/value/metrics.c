/* metrics.c: how far two vectors of numbers lie apart */
#include "value/value.h"

#include <math.h>
#include <string.h>

/* What the sums of a distance run over. */
struct sums {
	double aa, bb, ab, dd;
};

/* Bit patterns of `bits` bits as integers in the order of the numbers; both zeros are 0. */
static int64_t ordered(uint64_t pattern, int bits)
{
	uint64_t sign = UINT64_C(1) << (bits - 1);

	return pattern & sign ? -(int64_t)(pattern & (sign - 1)) : (int64_t)pattern;
}

/* Which of the numbers of type t x is, counted from zero; of a type that is no float x itself. */
static int64_t place(enum dtype t, double x)
{
	float single = (float)x;
	uint32_t u;
	uint64_t w;

	switch (t) {
	case DT_F16: return ordered(f16_from_f64(x), 16);
	case DT_BF16: return ordered(bf16_from_f32(single), 16);
	case DT_F32: memcpy(&u, &single, sizeof u); return ordered(u, 32);
	case DT_F64: memcpy(&w, &x, sizeof w); return ordered(w, 64);
	default: return (int64_t)fmax(-0x1p62, fmin(0x1p62, x));
	}
}

static double ulps(enum dtype t, double x, double y)
{
	int64_t p = place(t, x), q = place(t, y);

	return (double)(p > q ? (uint64_t)p - (uint64_t)q : (uint64_t)q - (uint64_t)p);
}

/* Counts NaN and Inf; false when the pair can be measured. */
static bool special(double a, double b, struct distance *d)
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

static void measure(struct distance *d, struct sums *s, double x, double y, enum dtype ulp)
{
	double diff = fabs(x - y);

	if (isfinite(x))
		d->scale = fmax(d->scale, fabs(x));
	if (special(x, y, d))
		return;
	s->aa += x * x;
	s->bb += y * y;
	s->ab += x * y;
	s->dd += diff * diff;
	d->max_abs = fmax(d->max_abs, diff);
	if (diff > 0) {
		d->max_rel = fmax(d->max_rel, diff / fmax(fabs(x), fabs(y)));
		d->max_ulp = fmax(d->max_ulp, ulps(ulp, x, y));
	}
}

static void finish(struct distance *d, const struct sums *s)
{
	d->l2 = sqrt(s->dd);
	if (s->dd == 0)
		d->cosine = 1; /* exactly, whatever the rounding of the products */
	else
		d->cosine = s->aa > 0 && s->bb > 0 ? fmax(-1, fmin(1, s->ab / (sqrt(s->aa) * sqrt(s->bb)))) : 0;
	d->nmse = s->dd == 0 ? 0 : s->dd / s->aa; /* against all zeros: infinite */
}

void distance_f32(const float *a, const float *b, int64_t n, struct distance *out)
{
	struct distance d = {.n = n, .identical = !n || !memcmp(a, b, (size_t)n * sizeof *a)};
	struct sums s = {0};

	for (int64_t i = 0; i < n; i++)
		measure(&d, &s, (double)a[i], (double)b[i], DT_F32);
	finish(&d, &s);
	*out = d;
}

/* The type whose steps are wider. */
static enum dtype coarser(enum dtype a, enum dtype b)
{
	static const enum dtype order[] = {DT_BF16, DT_F16, DT_F32, DT_F64};

	for (size_t i = 0; i < sizeof order / sizeof *order; i++)
		if (a == order[i] || b == order[i])
			return order[i];
	return a;
}

void distance_tensor(const struct tensor *a, const struct tensor *b, struct distance *out)
{
	int64_t n = tensor_elements(a);
	enum dtype ulp = coarser(a->dtype, b->dtype);
	struct distance d = {.n = n, .identical = a->dtype == b->dtype && (!n || !memcmp(a->data, b->data, tensor_bytes(a)))};
	struct sums s = {0};

	for (int64_t i = 0; i < n; i++)
		measure(&d, &s, tensor_get_f64(a, i), tensor_get_f64(b, i), ulp);
	finish(&d, &s);
	*out = d;
}
