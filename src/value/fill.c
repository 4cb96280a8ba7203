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

struct filling filling_of_data(struct fill f, const char *name, enum dtype t)
{
	if (f.kind == FILL_RANDOM)
		f.seed ^= hash_text(name).hi;
	return (struct filling){.fill = f, .dtype = t, .word = f.kind == FILL_ZERO ? 0 : UINT64_MAX};
}

static uint64_t every(uint64_t element, enum dtype t)
{
	switch (dtype_size(t)) {
	case 8: return element;
	case 4: return element << 32 | element;
	case 2: return element * 0x0001000100010001u;
	default: return element * 0x0101010101010101u;
	}
}

static uint64_t payload(const char *name, enum dtype t)
{
	uint64_t h = hash_text(name).lo;

	if ((h & 0x3f) == 0x3f ||
	    !(h & 0x3f)) /* neither all ones (what unwritten elements hold) nor the NaN that processors make */
		h ^= 1;
	switch (dtype_size(t)) {
	case 8: return 0xfff8000000000000u | (h & 0x7ffffffffffffu);
	case 4: return 0xffc00000u | (h & 0x3fffffu);
	case 2: return 0xffc0u | (h & 0x3fu);
	default: return 0x80u | (h & 0x3fu);
	}
}

struct filling filling_of_pads(struct fill f, const char *name, enum dtype t)
{
	struct filling p = filling_of_data(f, name, t);

	if (f.kind == FILL_ZERO)
		p.word = every(dtype_is_float(t) ? (uint64_t)1 << (8 * dtype_size(t) - 1) : 0, t);
	else
		p.word = every(payload(name, t), t);
	return p;
}
