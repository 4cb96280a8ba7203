/* fill.c: what lies where nobody wrote */
#include <stdio.h>
#include <string.h>

#include "value/value.h"

static const char *const names[] = {[FILL_NAN] = "nan", [FILL_ZERO] = "zero", [FILL_RANDOM] = "random", [FILL_STALE] = "stale"};

const char *fill_text(struct fill f, char out[static FILL_TEXT])
{
	if (f.kind == FILL_RANDOM)
		snprintf(out, FILL_TEXT, "random(%llu)", (unsigned long long)f.seed);
	else
		snprintf(out, FILL_TEXT, "%s", f.kind <= FILL_STALE ? names[f.kind] : "?");
	return out;
}

bool fill_eq(struct fill a, struct fill b)
{
	return a.kind == b.kind && (a.kind != FILL_RANDOM || a.seed == b.seed);
}

/* splitmix64, as numbers that look random where numbers beside each other go in */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* Floats are numbers from -1 up to 1: garbage that looks like data. */
static uint64_t random_element(enum dtype t, uint64_t r)
{
	float f = (float)((int64_t)(r >> 40) - (1 << 23)) / (1 << 23);
	double d = (double)((int64_t)(r >> 11) - ((int64_t)1 << 52)) / (double)((int64_t)1 << 52);
	uint64_t bits = 0;
	uint32_t word;

	switch (t) {
	case DT_F16: return f16_from_f32(f);
	case DT_BF16: return bf16_from_f32(f);
	case DT_F32: memcpy(&word, &f, sizeof word); return word;
	case DT_F64: memcpy(&bits, &d, sizeof bits); return bits;
	case DT_BOOL: return r >> 63;
	default: return dtype_size(t) < 8 ? r >> (64 - 8 * dtype_size(t)) : r;
	}
}

uint64_t fill_element(struct fill f, enum dtype t, int64_t i)
{
	size_t bits = 8 * dtype_size(t);

	switch (f.kind) {
	case FILL_ZERO: return 0;
	case FILL_RANDOM: return random_element(t, mix(mix(f.seed) ^ (uint64_t)i));
	default: return UINT64_MAX >> (64 - bits);
	}
}

uint64_t fill_word(struct fill f, enum dtype t, int64_t i)
{
	size_t size = dtype_size(t), n = 8 / size;
	uint64_t w = 0;

	for (size_t k = 0; k < n; k++)
		w |= fill_element(f, t, i * (int64_t)n + (int64_t)k) << 8 * size * k;
	return w;
}
