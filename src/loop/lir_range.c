/* lir_range.c: intervals of integers and what the operators make of them */
#include "loop/loop.h"

#define MOST LIR_RANGE_MOST

static int64_t clamp(__int128 v)
{
	return v < -MOST ? -MOST : v > MOST ? MOST : (int64_t)v;
}

static int64_t lesser(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t greater(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

bool lir_range_bounded(struct lir_range r)
{
	return r.low > -MOST && r.high < MOST;
}

struct lir_range lir_range_of_type(enum dtype t)
{
	switch (t) {
	case DT_BOOL: return (struct lir_range){0, 1};
	case DT_I8: return (struct lir_range){INT8_MIN, INT8_MAX};
	case DT_U8: return (struct lir_range){0, UINT8_MAX};
	case DT_I16: return (struct lir_range){INT16_MIN, INT16_MAX};
	case DT_U16: return (struct lir_range){0, UINT16_MAX};
	case DT_I32: return (struct lir_range){INT32_MIN, INT32_MAX};
	case DT_U32: return (struct lir_range){0, UINT32_MAX};
	case DT_U64: return (struct lir_range){0, MOST};
	default: return (struct lir_range){-MOST, MOST};
	}
}

struct lir_range lir_range_unite(struct lir_range a, struct lir_range b)
{
	return (struct lir_range){lesser(a.low, b.low), greater(a.high, b.high)};
}

struct lir_range lir_range_within(struct lir_range v, enum dtype t)
{
	struct lir_range whole = lir_range_of_type(t);

	return v.low >= whole.low && v.high <= whole.high ? v : whole;
}

/* Sums of lower and of upper ends: an end that is not known stays so, whatever is added to it. */
static int64_t plus_low(int64_t a, int64_t b)
{
	return a == -MOST || b == -MOST ? -MOST : clamp((__int128)a + b);
}

static int64_t plus_high(int64_t a, int64_t b)
{
	return a == MOST || b == MOST ? MOST : clamp((__int128)a + b);
}

static struct lir_range times(struct lir_range a, struct lir_range b)
{
	int64_t p[4] = {clamp((__int128)a.low * b.low), clamp((__int128)a.low * b.high), clamp((__int128)a.high * b.low),
			clamp((__int128)a.high * b.high)};
	struct lir_range r = {p[0], p[0]};

	for (int i = 1; i < 4; i++)
		r = lir_range_unite(r, (struct lir_range){p[i], p[i]});
	return r;
}

/* Towards zero; of an unknown end the quotient is not known either. */
static int64_t end_divided(int64_t a, int64_t b)
{
	return a == -MOST || a == MOST ? a : a / b;
}

static struct lir_range quotient(struct lir_range a, struct lir_range b)
{
	if (b.low < 1)
		return (struct lir_range){lesser(a.low, -a.high), greater(a.high, -a.low)};
	return (struct lir_range){end_divided(a.low, a.low < 0 ? b.low : b.high), end_divided(a.high, a.high < 0 ? b.high : b.low)};
}

static struct lir_range modulo(struct lir_range a, struct lir_range b)
{
	int64_t most = greater(b.low < 0 ? -b.low : b.low, b.high < 0 ? -b.high : b.high) - 1;

	if (b.low == -MOST || b.high == MOST)
		most = MOST;
	return (struct lir_range){a.low >= 0 ? 0 : greater(a.low, -most), a.high <= 0 ? 0 : lesser(a.high, most)};
}

struct lir_range lir_range_binary(enum lir_op op, struct lir_range a, struct lir_range b)
{
	switch (op) {
	case LIR_ADD: return (struct lir_range){plus_low(a.low, b.low), plus_high(a.high, b.high)};
	case LIR_SUB: return (struct lir_range){plus_low(a.low, -b.high), plus_high(a.high, -b.low)};
	case LIR_MUL: return times(a, b);
	case LIR_DIV: return quotient(a, b);
	case LIR_MOD: return modulo(a, b);
	case LIR_MIN: return (struct lir_range){lesser(a.low, b.low), lesser(a.high, b.high)};
	case LIR_MAX: return (struct lir_range){greater(a.low, b.low), greater(a.high, b.high)};
	default: return (struct lir_range){-MOST, MOST};
	}
}
