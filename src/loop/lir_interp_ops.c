/* lir_interp_ops.c: binary operators of the interpreter, one function per operator, type and (scalar, vector) */
#include "loop/lir_interp_internal.h"

/* BODY computes r from a and b. */
#define OPERATOR(NAME, BODY)                                                                                                       \
	static union val s_##NAME(const struct code *c, struct vm *vm) {                                                           \
		union val a = RUN(0), b = RUN(1), r;                                                                               \
                                                                                                                                   \
		BODY;                                                                                                              \
		return r;                                                                                                          \
	} static void v_##NAME(const struct code *c, struct vm *vm, union val *out)                                                \
	{                                                                                                                          \
		union val x[LIR_MAX_LANES], y[LIR_MAX_LANES];                                                                      \
                                                                                                                                   \
		RUNV(0, x);                                                                                                        \
		RUNV(1, y);                                                                                                        \
		for (int l = 0; l < c->lanes; l++) {                                                                               \
			union val a = x[l], b = y[l], r;                                                                           \
                                                                                                                                   \
			BODY;                                                                                                      \
			out[l] = r;                                                                                                \
		}                                                                                                                  \
	}

#define INTS(X, ...)                                                                                                               \
	X(I8, int8_t, ##__VA_ARGS__)                                                                                               \
	X(U8, uint8_t, ##__VA_ARGS__)                                                                                              \
	X(I16, int16_t, ##__VA_ARGS__)                                                                                             \
	X(U16, uint16_t, ##__VA_ARGS__)                                                                                            \
	X(I32, int32_t, ##__VA_ARGS__)                                                                                             \
	X(U32, uint32_t, ##__VA_ARGS__)                                                                                            \
	X(I64, int64_t, ##__VA_ARGS__)                                                                                             \
	X(U64, uint64_t, ##__VA_ARGS__)

/* What x86 does: a zero divisor and the quotient that does not fit trap; 8- and 16-bit operands are widened first. */
static int64_t divide(struct vm *vm, int64_t x, int64_t y, size_t size, bool is_signed, bool remainder)
{
	if (!y)
		lir_fault(vm, LIR_FAULT_DIVIDE, NULL, 0, x);
	if (!is_signed)
		return (int64_t)(remainder ? (uint64_t)x % (uint64_t)y : (uint64_t)x / (uint64_t)y);
	if (y == -1) {
		if (x == INT64_MIN >> (64 - 8 * size)) {
			if (size >= 4)
				lir_fault(vm, LIR_FAULT_DIVIDE, NULL, 0, x);
			vm->device_defined++;
		}
		return remainder ? 0 : (int64_t)(0 - (uint64_t)x);
	}
	return remainder ? x % y : x / y;
}

/* Counts use 6 bits for 64-bit operands and 5 for all others. */
static unsigned shift_count(struct vm *vm, int64_t count, size_t size)
{
	if ((uint64_t)count >= 8 * size)
		vm->device_defined++;
	return (unsigned)count & (size == 8 ? 63 : 31);
}

#define IS_SIGNED(T) ((T)-1 < (T)1)
#define INT_OPS(ID, T)                                                                                                             \
	OPERATOR(ADD_##ID, r.i = (int64_t)(T)((uint64_t)a.i + (uint64_t)b.i))                                                      \
	OPERATOR(SUB_##ID, r.i = (int64_t)(T)((uint64_t)a.i - (uint64_t)b.i))                                                      \
	OPERATOR(MUL_##ID, r.i = (int64_t)(T)((uint64_t)a.i * (uint64_t)b.i))                                                      \
	OPERATOR(DIV_##ID, r.i = (int64_t)(T)divide(vm, a.i, b.i, sizeof(T), IS_SIGNED(T), false))                                 \
	OPERATOR(MOD_##ID, r.i = (int64_t)(T)divide(vm, a.i, b.i, sizeof(T), IS_SIGNED(T), true))                                  \
	OPERATOR(MIN_##ID, r = (T)a.i < (T)b.i ? a : b)                                                                            \
	OPERATOR(MAX_##ID, r = (T)a.i > (T)b.i ? a : b)                                                                            \
	OPERATOR(SHL_##ID, r.i = (int64_t)(T)((uint64_t)a.i << shift_count(vm, b.i, sizeof(T))))                                   \
	OPERATOR(SHR_##ID, r.i = (int64_t)(T)((T)a.i >> shift_count(vm, b.i, sizeof(T))))                                          \
	OPERATOR(BAND_##ID, r.i = a.i & b.i)                                                                                       \
	OPERATOR(BOR_##ID, r.i = a.i | b.i)                                                                                        \
	OPERATOR(BXOR_##ID, r.i = a.i ^ b.i)                                                                                       \
	COMPARISONS(ID, (T)a.i, (T)b.i)

#define COMPARISONS(ID, A, B)                                                                                                      \
	OPERATOR(LT_##ID, r.i = A < B)                                                                                             \
	OPERATOR(LE_##ID, r.i = A <= B)                                                                                            \
	OPERATOR(GT_##ID, r.i = A > B)                                                                                             \
	OPERATOR(GE_##ID, r.i = A >= B)                                                                                            \
	OPERATOR(EQ_##ID, r.i = A == B)                                                                                            \
	OPERATOR(NE_##ID, r.i = A != B)

#define FLOAT_OPS(ID, M, ROUND)                                                                                                    \
	OPERATOR(ADD_##ID, r.M = ROUND(a.M + b.M))                                                                                 \
	OPERATOR(SUB_##ID, r.M = ROUND(a.M - b.M))                                                                                 \
	OPERATOR(MUL_##ID, r.M = ROUND(a.M * b.M))                                                                                 \
	OPERATOR(DIV_##ID, r.M = ROUND(a.M / b.M))                                                                                 \
	OPERATOR(MIN_##ID, r = a.M < b.M ? a : b)                                                                                  \
	OPERATOR(MAX_##ID, r = a.M > b.M ? a : b)                                                                                  \
	COMPARISONS(ID, a.M, b.M)

#define EXACT(x) (x)
INTS(INT_OPS)
FLOAT_OPS(F16, f, round_f16)
FLOAT_OPS(BF16, f, round_bf16)
FLOAT_OPS(F32, f, EXACT)
FLOAT_OPS(F64, d, EXACT)
COMPARISONS(BOOL, a.i, b.i)

/* The second operand is not evaluated when the first decides; lanes have no such choice. */
static union val s_AND_BOOL(const struct code *c, struct vm *vm)
{
	union val a = RUN(0);

	return a.i ? RUN(1) : a;
}

static union val s_OR_BOOL(const struct code *c, struct vm *vm)
{
	union val a = RUN(0);

	return a.i ? a : RUN(1);
}

#define LANE_LOGIC(NAME, OP)                                                                                                       \
	static void v_##NAME(const struct code *c, struct vm *vm, union val *out)                                                  \
	{                                                                                                                          \
		union val x[LIR_MAX_LANES];                                                                                        \
                                                                                                                                   \
		RUNV(0, x);                                                                                                        \
		RUNV(1, out);                                                                                                      \
		for (int l = 0; l < c->lanes; l++)                                                                                 \
			out[l].i = x[l].i OP out[l].i;                                                                             \
	}
LANE_LOGIC(AND_BOOL, &&)
LANE_LOGIC(OR_BOOL, ||)

#define ENTRY(ID, T, P, OP) [DT_##ID] = P##_##OP##_##ID,
#define INT_ROW(P, OP) INTS(ENTRY, P, OP)
#define ALL_ROW(P, OP) INT_ROW(P, OP) ENTRY(F16, , P, OP) ENTRY(BF16, , P, OP) ENTRY(F32, , P, OP) ENTRY(F64, , P, OP)
#define COMPARE_ROW(P, OP) ALL_ROW(P, OP) ENTRY(BOOL, , P, OP)
#define TABLE(P)                                                                                                                   \
	{                                                                                                                          \
		[LIR_ADD] = {ALL_ROW(P, ADD)}, [LIR_SUB] = {ALL_ROW(P, SUB)}, [LIR_MUL] = {ALL_ROW(P, MUL)},                       \
		[LIR_DIV] = {ALL_ROW(P, DIV)}, [LIR_MOD] = {INT_ROW(P, MOD)}, [LIR_MIN] = {ALL_ROW(P, MIN)},                       \
		[LIR_MAX] = {ALL_ROW(P, MAX)}, [LIR_SHL] = {INT_ROW(P, SHL)}, [LIR_SHR] = {INT_ROW(P, SHR)},                       \
		[LIR_BAND] = {INT_ROW(P, BAND)}, [LIR_BOR] = {INT_ROW(P, BOR)}, [LIR_BXOR] = {INT_ROW(P, BXOR)},                   \
		[LIR_LT] = {COMPARE_ROW(P, LT)}, [LIR_LE] = {COMPARE_ROW(P, LE)}, [LIR_GT] = {COMPARE_ROW(P, GT)},                 \
		[LIR_GE] = {COMPARE_ROW(P, GE)}, [LIR_EQ] = {COMPARE_ROW(P, EQ)}, [LIR_NE] = {COMPARE_ROW(P, NE)},                 \
		[LIR_AND] = {ENTRY(BOOL, , P, AND)}, [LIR_OR] = {ENTRY(BOOL, , P, OR)},                                            \
	}

const scalar_fn lir_binary_scalar[LIR_OP_COUNT][DT_COUNT] = TABLE(s);
const vector_fn lir_binary_vector[LIR_OP_COUNT][DT_COUNT] = TABLE(v);
