/* fuzz_func.c: random functions of the loop IR */
#include "fuzz_func.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

#define STORES 40
#define ROWS 4
#define IN 96

const struct fuzz_options fuzz_everything = {.types = DEVICE_ALL_TYPES};

struct fuzz {
	const struct fuzz_options *o;
	struct lir_builder b;
	uint64_t state;
	struct lir_buffer *in[DT_COUNT], *out[DT_COUNT];
	struct lir_expr *i; /* 0 .. ROWS - 1 */
};

static uint32_t rnd(struct fuzz *z, uint32_t n)
{
	z->state = z->state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(z->state >> 33) % n;
}

static enum dtype any_type(struct fuzz *z)
{
	enum dtype t;

	do
		t = (enum dtype)rnd(z, DT_COUNT);
	while (!(z->o->types & 1u << t));
	return t;
}

static struct lir_expr *gen(struct fuzz *z, enum dtype t, int lanes, int depth);

static struct lir_expr *spread(struct fuzz *z, struct lir_expr *x, int lanes)
{
	return lanes == 1 ? x : lir_broadcast(&z->b, x, lanes);
}

static struct lir_expr *number(struct fuzz *z, enum dtype t, double v, int lanes)
{
	return spread(z, t == DT_BOOL ? lir_imm_i64(&z->b, t, v != 0) : lir_imm(&z->b, t, v), lanes);
}

static struct lir_expr *leaf(struct fuzz *z, enum dtype t, int lanes)
{
	static const double values[] = {0, 1, -1, 2, 0.5, -3.25, 100, 7, -0.0, 1e-6, 60000};
	double v = values[rnd(z, 11)];
	struct lir_expr *at, *x;

	if (!dtype_is_float(t))
		v = (double)((int)v % 100);
	if (!dtype_is_signed(t))
		v = fabs(v);
	switch (rnd(z, 6)) {
	case 0: return number(z, t, v, lanes);
	case 1:
		if (t == DT_I64 && lanes == 1)
			return z->i;
		if (t == DT_I64)
			return lir_ramp(&z->b, z->i, (int64_t)rnd(z, 5) - 2, lanes);
		/* fall through */
	default:
		at = lir_add(&z->b, lir_mul(&z->b, z->i, lir_int(&z->b, rnd(z, 4))), lir_int(&z->b, rnd(z, 20)));
		if (lanes == 1)
			return lir_load(&z->b, z->in[t], &at);
		if (rnd(z, 3))
			return lir_load_lanes(&z->b, z->in[t], &at, lanes);
		x = lir_expr_new(z->b.a, LIR_LOAD, (struct lir_type){t, lanes}, 1);
		x->buffer = z->in[t];
		x->arg[0] = lir_ramp(&z->b, at, (int64_t)rnd(z, 4), lanes);
		return x;
	}
}

/* A float that any integer type holds; NaN becomes the lower bound. */
static struct lir_expr *clamp(struct fuzz *z, struct lir_expr *x, bool is_signed)
{
	enum dtype t = x->type.dtype;
	struct lir_expr *low = number(z, t, is_signed ? -100 : 0, x->type.lanes), *high = number(z, t, 100, x->type.lanes);

	return lir_min(&z->b, lir_max(&z->b, x, low), high);
}

static struct lir_expr *cast(struct fuzz *z, enum dtype t, int lanes, int depth)
{
	enum dtype from = any_type(z);
	struct lir_expr *x = gen(z, from, lanes, depth);

	if (dtype_is_float(from) && dtype_is_int(t))
		x = clamp(z, x, dtype_is_signed(t));
	return lir_cast(&z->b, t, x);
}

static struct lir_expr *arithmetic(struct fuzz *z, enum dtype t, int lanes, int depth)
{
	static const enum lir_op floats[] = {LIR_ADD, LIR_SUB, LIR_MUL, LIR_DIV, LIR_MIN, LIR_MAX};
	static const enum lir_op ints[] = {LIR_ADD, LIR_SUB,  LIR_MUL, LIR_MIN, LIR_MAX, LIR_BAND,
					   LIR_BOR, LIR_BXOR, LIR_DIV, LIR_MOD, LIR_SHL, LIR_SHR};
	enum lir_op op = dtype_is_float(t) ? floats[rnd(z, 6)] : ints[rnd(z, 12)];
	struct lir_expr *x = gen(z, t, lanes, depth), *y = gen(z, t, lanes, depth);

	if (!dtype_is_float(t) && (op == LIR_DIV || op == LIR_MOD || op == LIR_SHL || op == LIR_SHR)) {
		y = lir_binary(&z->b, LIR_BAND, y, number(z, t, 7, lanes));
		if (op == LIR_DIV || op == LIR_MOD)
			y = lir_binary(&z->b, LIR_BOR, y, number(z, t, 1, lanes));
		if (rnd(z, 3) == 0)
			y = number(z, t, 1 + rnd(z, 6), lanes);
	}
	return lir_binary(&z->b, op, x, y);
}

static struct lir_expr *boolean(struct fuzz *z, int lanes, int depth)
{
	static const enum lir_op compare[] = {LIR_LT, LIR_LE, LIR_GT, LIR_GE, LIR_EQ, LIR_NE};
	static const enum dtype halves[] = {DT_F16, DT_BF16, DT_F32, DT_F64};
	enum dtype t;

	switch (rnd(z, 6)) {
	case 0: return lir_not(&z->b, gen(z, DT_BOOL, lanes, depth));
	case 1:
		return lir_binary(&z->b, rnd(z, 2) ? LIR_AND : LIR_OR, gen(z, DT_BOOL, lanes, depth),
				  gen(z, DT_BOOL, lanes, depth));
	case 2:
		do
			t = halves[rnd(z, 4)];
		while (!(z->o->types & 1u << t));
		return lir_call1(&z->b, rnd(z, 2) ? LIR_CALL_ISNAN : LIR_CALL_ISINF, gen(z, t, lanes, depth));
	default: t = any_type(z); return lir_binary(&z->b, compare[rnd(z, 6)], gen(z, t, lanes, depth), gen(z, t, lanes, depth));
	}
}

static struct lir_expr *call(struct fuzz *z, enum dtype t, int lanes, int depth)
{
	static const enum lir_call exact[] = {LIR_CALL_ABS,  LIR_CALL_SQRT,  LIR_CALL_FLOOR, LIR_CALL_CEIL,
					      LIR_CALL_RINT, LIR_CALL_TRUNC, LIR_CALL_FMA};
	enum lir_call c = z->o->exact ? exact[rnd(z, 7)] : rnd(z, LIR_CALL_COUNT);
	struct lir_expr *arg[3];

	if (c == LIR_CALL_ISNAN || c == LIR_CALL_ISINF)
		c = LIR_CALL_FMA;
	for (int i = 0; i < 3; i++)
		arg[i] = gen(z, t, lanes, depth);
	return lir_call_n(&z->b, c, c == LIR_CALL_FMA ? 3 : c == LIR_CALL_POW || c == LIR_CALL_FMOD ? 2 : 1, arg);
}

static struct lir_expr *gen(struct fuzz *z, enum dtype t, int lanes, int depth)
{
	static const enum dtype same[] = {[DT_I8] = DT_U8,   [DT_U8] = DT_I8,   [DT_I16] = DT_U16, [DT_U16] = DT_I16,
					  [DT_I32] = DT_U32, [DT_U32] = DT_I32, [DT_I64] = DT_U64, [DT_U64] = DT_I64};

	if (depth <= 0)
		return leaf(z, t, lanes);
	switch (rnd(z, 9)) {
	case 0: return leaf(z, t, lanes);
	case 1: return cast(z, t, lanes, depth - 1);
	case 2:
		return lir_select(&z->b, gen(z, DT_BOOL, rnd(z, 2) ? lanes : 1, depth - 1), gen(z, t, lanes, depth - 1),
				  gen(z, t, lanes, depth - 1));
	case 3:
		if (z->o->scalars)
			break;
		if (lanes == 1)
			return lir_lane(&z->b, gen(z, t, 4, depth - 1), (int)rnd(z, 4));
		return lir_broadcast(&z->b, gen(z, t, 1, depth - 1), lanes);
	case 4: return lir_let(&z->b, "v", gen(z, t, lanes, depth - 1));
	case 5:
		if (dtype_is_int(t) && (z->o->types & 1u << same[t]))
			return lir_bitcast(&z->b, t, gen(z, same[t], lanes, depth - 1));
		break;
	default: break;
	}
	if (t == DT_BOOL)
		return boolean(z, lanes, depth - 1);
	return dtype_is_float(t) && rnd(z, 3) == 0 ? call(z, t, lanes, depth - 1) : arithmetic(z, t, lanes, depth - 1);
}

/* Through a local array first, in one of the ways that the text treats differently. */
static void store(struct fuzz *z, int k)
{
	static const int lane_choice[] = {1, 1, 2, 4, 8, 16};
	enum dtype t = any_type(z);
	int lanes = z->o->scalars ? 1 : lane_choice[rnd(z, 6)];
	struct lir_expr *x = gen(z, t, lanes, 4), *at, *j;
	struct lir_buffer *acc;
	int64_t dim = 3 * lanes;

	at = lir_add(&z->b, lir_mul(&z->b, z->i, lir_int(&z->b, 16)), lir_int(&z->b, k * ROWS * 16));
	switch (rnd(z, 3)) {
	case 0:
		acc = lir_alloc(&z->b, "acc", t, 1, &dim);
		j = lir_for(&z->b, "j", 3, rnd(z, 2) ? LIR_UNROLLED : LIR_SERIAL);
		j = lir_mul(&z->b, j, lir_int(&z->b, lanes));
		lir_store(&z->b, acc, &j, x);
		lir_end(&z->b);
		j = lir_int(&z->b, (int64_t)rnd(z, 3) * lanes);
		x = lanes == 1 ? lir_load(&z->b, acc, &j) : lir_load_lanes(&z->b, acc, &j, lanes);
		break;
	case 1:
		lir_if(&z->b, gen(z, DT_BOOL, 1, 2));
		lir_store(&z->b, z->out[t], &at, x);
		lir_else(&z->b);
		lir_store(&z->b, z->out[t], &at, leaf(z, t, lanes));
		lir_end(&z->b);
		return;
	default: break;
	}
	lir_store(&z->b, z->out[t], &at, x);
}

struct lir_func *fuzz_func(struct arena *a, uint64_t seed, const struct fuzz_options *o)
{
	struct fuzz z = {.o = o, .state = seed * 2 + 1};
	int64_t in = IN, out = STORES * ROWS * 16;

	lir_begin(&z.b, a, "random");
	for (int t = 0; t < DT_COUNT; t++) {
		if (!(o->types & 1u << t))
			continue;
		z.in[t] = lir_param(&z.b, "x", t, 1, &in, false);
		z.out[t] = lir_param(&z.b, "y", t, 1, &out, true);
	}
	z.i = lir_for(&z.b, "i", ROWS, LIR_PARALLEL);
	for (int k = 0; k < STORES; k++) {
		lir_scope(&z.b);
		store(&z, k);
		lir_end(&z.b);
	}
	lir_end(&z.b);
	return lir_finish(&z.b);
}

static void fill(struct lir_buffer *b, void *data, uint64_t seed)
{
	struct tensor t = {.dtype = b->dtype, .nd = 1, .dim = {b->elements}, .data = data};
	struct fuzz z = {.state = seed};

	for (int64_t i = 0; i < b->elements; i++) {
		double v = (double)rnd(&z, 2000) / 16 - 60;

		if (b->dtype == DT_BOOL || !dtype_is_float(b->dtype))
			tensor_set_i64(&t, i, b->dtype == DT_BOOL ? (int64_t)rnd(&z, 2) : (int64_t)v % 120);
		else
			tensor_set_f64(&t, i, i % 31 == 7 ? INFINITY : i % 29 == 3 ? NAN : i % 17 == 1 ? 0 * v : v);
	}
}

bool fuzz_equal(const struct lir_buffer *b, const void *x, const void *y, int64_t *where)
{
	struct tensor p = {.dtype = b->dtype, .nd = 1, .dim = {b->elements}, .data = (void *)x}, q = p;
	size_t size = dtype_size(b->dtype);

	q.data = (void *)y;
	for (int64_t i = 0; i < b->elements; i++) {
		if (!memcmp((const char *)x + (size_t)i * size, (const char *)y + (size_t)i * size, size))
			continue;
		if (dtype_is_float(b->dtype) && isnan(tensor_get_f64(&p, i)) && isnan(tensor_get_f64(&q, i)))
			continue;
		*where = i;
		return false;
	}
	return true;
}

void **fuzz_buffers(struct arena *a, const struct lir_func *f)
{
	void **out = ARENA_ARRAY(a, void *, f->nparams);

	for (uint32_t i = 0; i < f->nparams; i++) {
		out[i] = arena_zalloc(a, (size_t)f->param[i]->elements * dtype_size(f->param[i]->dtype));
		if (i < f->nparams - f->nout)
			fill(f->param[i], out[i], i + 1);
	}
	return out;
}

long fuzz_setting(const char *name, long otherwise)
{
	const char *s = getenv(name);

	return s ? atol(s) : otherwise;
}
