/* lir_round.c: numbers as their types hold them */
#include <math.h>

#include "loop/loop_internal.h"

int64_t lir_wrap(enum dtype t, int64_t v)
{
	switch (t) {
	case DT_BOOL: return v != 0;
	case DT_I8: return (int8_t)v;
	case DT_U8: return (uint8_t)v;
	case DT_I16: return (int16_t)v;
	case DT_U16: return (uint16_t)v;
	case DT_I32: return (int32_t)v;
	case DT_U32: return (uint32_t)v;
	default: return v;
	}
}

double lir_round(enum dtype t, double v)
{
	if (isnan(v)) /* one NaN per sign: the text has no payloads */
		return signbit(v) ? -(double)NAN : (double)NAN;
	switch (t) {
	case DT_F16: return f16_to_f32(f16_from_f64(v));
	case DT_BF16: return bf16_to_f32(bf16_from_f32((float)v));
	case DT_F32: return (float)v;
	default: return v;
	}
}

double lir_round_i64(enum dtype t, int64_t v, bool is_unsigned)
{
	if (t == DT_F64)
		return is_unsigned ? (double)(uint64_t)v : (double)v;
	return lir_round(t, is_unsigned ? (float)(uint64_t)v : (float)v);
}
