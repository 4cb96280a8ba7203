/* dtype.c: element types and the two 16-bit floating-point formats */
#include <math.h>
#include <string.h>

#include "value/value.h"

static const struct {
	const char *name;
	uint8_t size;
	char kind;
} types[] = {
#define B 'b'
#define I 'i'
#define U 'u'
#define F 'f'
#define DT(id, name, bytes, kind) {name, bytes, kind},
#include "value/dtypes.def"
#undef DT
};

const char *dtype_name(enum dtype t)
{
	return (unsigned)t < DT_COUNT ? types[t].name : "?";
}

bool dtype_parse(const char *name, enum dtype *out)
{
	for (int t = 0; t < DT_COUNT; t++)
		if (!strcmp(types[t].name, name)) {
			*out = (enum dtype)t;
			return true;
		}
	return false;
}

size_t dtype_size(enum dtype t)
{
	return types[t].size;
}

bool dtype_is_float(enum dtype t)
{
	return types[t].kind == 'f';
}

bool dtype_is_int(enum dtype t)
{
	return types[t].kind == 'i' || types[t].kind == 'u';
}

bool dtype_is_signed(enum dtype t)
{
	return types[t].kind == 'i' || types[t].kind == 'f';
}

/* Rounds a finite or infinite double to a binary16 significand by exact scaling: 11 bits, smallest exponent -24. */
uint16_t f16_from_f64(double x)
{
	uint16_t sign = signbit(x) ? 0x8000 : 0;
	int exponent;
	double scaled;

	if (isnan(x))
		return sign | 0x7e00;
	x = fabs(x);
	if (x >= 65520.0) /* halfway between the largest finite value and 2^16 */
		return sign | 0x7c00;
	frexp(x, &exponent);
	if (exponent < -13 || x == 0) /* denormal or zero: unit 2^-24 */
		exponent = -13;
	scaled = rint(ldexp(x, 11 - exponent)); /* at most 2^11; a carry runs into the exponent field by itself */
	return sign | (uint16_t)((exponent + 13) * 1024 + (int)scaled);
}

uint16_t f16_from_f32(float x)
{
	return f16_from_f64(x);
}

float f16_to_f32(uint16_t h)
{
	int exponent = h >> 10 & 31, fraction = h & 1023;
	float x;

	if (exponent == 31)
		x = fraction ? NAN : INFINITY;
	else if (exponent)
		x = ldexpf((float)(1024 + fraction), exponent - 25);
	else
		x = ldexpf((float)fraction, -24);
	return h & 0x8000 ? -x : x;
}

uint16_t bf16_from_f32(float x)
{
	uint32_t b;

	memcpy(&b, &x, 4);
	if (isnan(x))
		return (uint16_t)(b >> 16 | 0x40);
	return (uint16_t)((b + 0x7fff + (b >> 16 & 1)) >> 16);
}

float bf16_to_f32(uint16_t h)
{
	uint32_t b = (uint32_t)h << 16;
	float x;

	memcpy(&x, &b, 4);
	return x;
}
