/* lir_interp_convert.c: casts, bitcasts and calls of the interpreter, and values in memory */
#include <math.h>
#include <string.h>

#include "loop/lir_interp_internal.h"

/* ---- memory ---- */

#define AS(T, M)                                                                                                                   \
	{                                                                                                                          \
		T x;                                                                                                               \
		memcpy(&x, p, sizeof x);                                                                                           \
		v.M = x;                                                                                                           \
		break;                                                                                                             \
	}

union val lir_unpack(enum dtype t, const void *p)
{
	union val v = {0};
	uint16_t half;

	switch (t) {
	case DT_BOOL: v.i = *(const uint8_t *)p != 0; break;
	case DT_I8: AS(int8_t, i)
	case DT_U8: AS(uint8_t, i)
	case DT_I16: AS(int16_t, i)
	case DT_U16: AS(uint16_t, i)
	case DT_I32: AS(int32_t, i)
	case DT_U32: AS(uint32_t, i)
	case DT_F32: AS(float, f)
	case DT_F64: AS(double, d)
	case DT_F16:
		memcpy(&half, p, 2);
		v.f = f16_to_f32(half);
		break;
	case DT_BF16:
		memcpy(&half, p, 2);
		v.f = bf16_to_f32(half);
		break;
	default: memcpy(&v.i, p, 8); break;
	}
	return v;
}

void lir_pack(enum dtype t, union val v, void *p)
{
	uint16_t half;

	switch (t) {
	case DT_F16:
		half = f16_from_f32(v.f);
		memcpy(p, &half, 2);
		break;
	case DT_BF16:
		half = bf16_from_f32(v.f);
		memcpy(p, &half, 2);
		break;
	case DT_F32: memcpy(p, &v.f, 4); break;
	case DT_F64: memcpy(p, &v.d, 8); break;
	default: memcpy(p, &v.i, dtype_size(t)); break; /* little-endian: the low bytes */
	}
}

/* ---- casts ---- */

/* What cvttss2si and its kin give: the smallest value of the register for anything that does not fit. Types narrower
 * than 32 bits keep the low bits of the 32-bit answer, u32 those of the 64-bit one. */
static int64_t to_int(struct vm *vm, double x, enum dtype t)
{
	double whole = trunc(x);
	unsigned bits = 8 * (unsigned)dtype_size(t);
	bool is_signed = dtype_is_signed(t);
	double half = (double)(UINT64_C(1) << (bits - 1));
	double low = is_signed ? -half : 0, high = is_signed ? half : 2 * half;

	if (t == DT_BOOL)
		return x != 0;
	if (whole >= low && whole < high) {
		if (t == DT_U64)
			return (int64_t)(uint64_t)whole;
		return (int64_t)whole;
	}
	vm->device_defined++;
	if (t == DT_U64) /* gcc: below 2^63 (or NaN) as signed; else x - 2^63 with the top bit flipped */
		return whole >= 0x1p63 ? 0 : whole >= -0x1p63 ? (int64_t)whole : INT64_MIN;
	if (bits < 64 && t != DT_U32)
		return lir_wrap(t, whole >= -0x1p31 && whole < 0x1p31 ? (int64_t)whole : INT32_MIN);
	return lir_wrap(t, whole >= -0x1p63 && whole < 0x1p63 ? (int64_t)whole : INT64_MIN);
}

static union val convert(struct vm *vm, union val v, enum dtype from, enum dtype to)
{
	union val r = {0};

	if (!dtype_is_float(from)) {
		bool is_u64 = from == DT_U64;

		if (to == DT_F64)
			r.d = is_u64 ? (double)(uint64_t)v.i : (double)v.i;
		else if (dtype_is_float(to))
			r.f = is_u64 ? (float)(uint64_t)v.i : (float)v.i;
		else
			r.i = lir_wrap(to, v.i);
	} else if (!dtype_is_float(to)) {
		r.i = to_int(vm, from == DT_F64 ? v.d : (double)v.f, to);
	} else if (to == DT_F64) {
		r.d = from == DT_F64 ? v.d : (double)v.f;
	} else if (from == DT_F64 && to == DT_F16) {
		r.f = f16_to_f32(f16_from_f64(v.d));
	} else {
		r.f = from == DT_F64 ? (float)v.d : v.f;
	}
	if (to == DT_F16)
		r.f = round_f16(r.f);
	else if (to == DT_BF16)
		r.f = round_bf16(r.f);
	return r;
}

static union val s_convert(const struct code *c, struct vm *vm)
{
	return convert(vm, RUN(0), (enum dtype)(c->number & 255), (enum dtype)(c->number >> 8));
}

static void v_convert(const struct code *c, struct vm *vm, union val *out)
{
	RUNV(0, out);
	for (int l = 0; l < c->lanes; l++)
		out[l] = convert(vm, out[l], (enum dtype)(c->number & 255), (enum dtype)(c->number >> 8));
}

static union val s_i_to_f32(const struct code *c, struct vm *vm)
{
	union val r = {0};

	r.f = (float)RUN(0).i;
	return r;
}

static union val s_i_to_i32(const struct code *c, struct vm *vm)
{
	return (union val){.i = (int32_t)RUN(0).i};
}

static union val s_same(const struct code *c, struct vm *vm)
{
	return RUN(0);
}

void lir_code_cast(struct code *c, enum dtype from, enum dtype to)
{
	c->number = (int)from | (int)to << 8;
	c->run = s_convert;
	c->runv = v_convert;
	if (dtype_is_float(from))
		return;
	/* the common ones */
	if (to == DT_F32 && from != DT_U64)
		c->run = s_i_to_f32;
	else if (to == DT_I32)
		c->run = s_i_to_i32;
	else if (to == DT_I64)
		c->run = s_same;
}

static union val reinterpret(union val v, int number)
{
	unsigned char bytes[8];

	lir_pack((enum dtype)(number & 255), v, bytes);
	return lir_unpack((enum dtype)(number >> 8), bytes);
}

static union val s_bitcast(const struct code *c, struct vm *vm)
{
	return reinterpret(RUN(0), c->number);
}

static void v_bitcast(const struct code *c, struct vm *vm, union val *out)
{
	RUNV(0, out);
	for (int l = 0; l < c->lanes; l++)
		out[l] = reinterpret(out[l], c->number);
}

void lir_code_bitcast(struct code *c, enum dtype from, enum dtype to)
{
	c->number = (int)from | (int)to << 8;
	c->run = s_bitcast;
	c->runv = v_bitcast;
}

/* ---- calls ---- */

static const struct {
	float (*f)(float);
	double (*d)(double);
} unary[LIR_CALL_COUNT] = {
    [LIR_CALL_ABS] = {fabsf, fabs},     [LIR_CALL_SQRT] = {sqrtf, sqrt},    [LIR_CALL_EXP] = {expf, exp},
    [LIR_CALL_LOG] = {logf, log},       [LIR_CALL_TANH] = {tanhf, tanh},    [LIR_CALL_ERF] = {erff, erf},
    [LIR_CALL_SIN] = {sinf, sin},       [LIR_CALL_COS] = {cosf, cos},       [LIR_CALL_TAN] = {tanf, tan},
    [LIR_CALL_ASIN] = {asinf, asin},    [LIR_CALL_ACOS] = {acosf, acos},    [LIR_CALL_ATAN] = {atanf, atan},
    [LIR_CALL_SINH] = {sinhf, sinh},    [LIR_CALL_COSH] = {coshf, cosh},    [LIR_CALL_ASINH] = {asinhf, asinh},
    [LIR_CALL_ACOSH] = {acoshf, acosh}, [LIR_CALL_ATANH] = {atanhf, atanh}, [LIR_CALL_FLOOR] = {floorf, floor},
    [LIR_CALL_CEIL] = {ceilf, ceil},    [LIR_CALL_TRUNC] = {truncf, trunc}, [LIR_CALL_RINT] = {rintf, rint},
};

/* Every call through one function per number of lanes: the library function costs more than the switch. */
static union val call(const struct code *c, const union val *x)
{
	enum lir_call which = (enum lir_call)(c->number & 255);
	enum dtype t = (enum dtype)(c->number >> 8);
	union val r = {0};

	if (t == DT_F64) {
		switch (which) {
		case LIR_CALL_POW: r.d = pow(x[0].d, x[1].d); break;
		case LIR_CALL_FMOD: r.d = fmod(x[0].d, x[1].d); break;
		case LIR_CALL_FMA: r.d = fma(x[0].d, x[1].d, x[2].d); break;
		case LIR_CALL_ISNAN: r.i = isnan(x[0].d) != 0; break;
		case LIR_CALL_ISINF: r.i = isinf(x[0].d) != 0; break;
		default: r.d = unary[which].d(x[0].d); break;
		}
		return r;
	}
	switch (which) {
	case LIR_CALL_POW: r.f = powf(x[0].f, x[1].f); break;
	case LIR_CALL_FMOD: r.f = fmodf(x[0].f, x[1].f); break;
	case LIR_CALL_FMA: r.f = fmaf(x[0].f, x[1].f, x[2].f); break;
	case LIR_CALL_ISNAN: r.i = isnan(x[0].f) != 0; return r;
	case LIR_CALL_ISINF: r.i = isinf(x[0].f) != 0; return r;
	default: r.f = unary[which].f(x[0].f); break;
	}
	if (t == DT_F16)
		r.f = round_f16(r.f);
	else if (t == DT_BF16)
		r.f = round_bf16(r.f);
	return r;
}

static union val s_call(const struct code *c, struct vm *vm)
{
	union val x[3];

	for (int i = 0; i < 3 && c->arg[i]; i++)
		x[i] = RUN(i);
	return call(c, x);
}

static void v_call(const struct code *c, struct vm *vm, union val *out)
{
	union val x[3][LIR_MAX_LANES];

	for (int i = 0; i < 3 && c->arg[i]; i++)
		RUNV(i, x[i]);
	for (int l = 0; l < c->lanes; l++)
		out[l] = call(c, (union val[]){x[0][l], c->arg[1] ? x[1][l] : x[0][l], c->arg[1] && c->arg[2] ? x[2][l] : x[0][l]});
}

static union val s_fma_f32(const struct code *c, struct vm *vm)
{
	union val x = RUN(0), y = RUN(1), z = RUN(2);

	z.f = fmaf(x.f, y.f, z.f);
	return z;
}

static void v_fma_f32(const struct code *c, struct vm *vm, union val *out)
{
	union val x[LIR_MAX_LANES], y[LIR_MAX_LANES];

	RUNV(0, x);
	RUNV(1, y);
	RUNV(2, out);
	for (int l = 0; l < c->lanes; l++)
		out[l].f = fmaf(x[l].f, y[l].f, out[l].f);
}

void lir_code_call(struct code *c, enum lir_call which, enum dtype t)
{
	bool fma32 = which == LIR_CALL_FMA && t == DT_F32;

	c->number = (int)which | (int)t << 8;
	c->run = fma32 ? s_fma_f32 : s_call;
	c->runv = fma32 ? v_fma_f32 : v_call;
}
