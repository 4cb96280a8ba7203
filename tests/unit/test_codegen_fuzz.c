/* test_codegen_fuzz.c: random functions give the same bits by the interpreter and through gcc and clang
 *
 * MUTATENN_FUZZ_ROUNDS sets how many functions (default 6), MUTATENN_FUZZ_SEED the first one's seed; MUTATENN_FUZZ_DUMP a
 * file that gets the last one's source, MUTATENN_FUZZ_MARCH another -march.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "codegen/codegen.h"
#include "device/device.h"
#include "loop/loop.h"
#include "test_support.h"

#define STORES 40
#define ROWS 4
#define IN 96

struct fuzz {
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
	enum dtype from = rnd(z, DT_COUNT);
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
		t = halves[rnd(z, 4)];
		return lir_call1(&z->b, rnd(z, 2) ? LIR_CALL_ISNAN : LIR_CALL_ISINF, gen(z, t, lanes, depth));
	default:
		t = rnd(z, DT_COUNT);
		return lir_binary(&z->b, compare[rnd(z, 6)], gen(z, t, lanes, depth), gen(z, t, lanes, depth));
	}
}

static struct lir_expr *call(struct fuzz *z, enum dtype t, int lanes, int depth)
{
	enum lir_call c = rnd(z, LIR_CALL_COUNT);
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
		if (lanes == 1)
			return lir_lane(&z->b, gen(z, t, 4, depth - 1), (int)rnd(z, 4));
		return lir_broadcast(&z->b, gen(z, t, 1, depth - 1), lanes);
	case 4: return lir_let(&z->b, "v", gen(z, t, lanes, depth - 1));
	case 5:
		if (dtype_is_int(t))
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
	enum dtype t = rnd(z, DT_COUNT);
	int lanes = lane_choice[rnd(z, 6)];
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

static struct lir_func *random_function(struct arena *a, uint64_t seed)
{
	struct fuzz z = {.state = seed * 2 + 1};
	int64_t in = IN, out = STORES * ROWS * 16;

	lir_begin(&z.b, a, "random");
	for (int t = 0; t < DT_COUNT; t++) {
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

static bool equal(const struct lir_buffer *b, const void *x, const void *y, int64_t *where)
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

static void **buffers(struct arena *a, const struct lir_func *f)
{
	void **out = ARENA_ARRAY(a, void *, f->nparams);

	for (uint32_t i = 0; i < f->nparams; i++) {
		out[i] = arena_zalloc(a, (size_t)f->param[i]->elements * dtype_size(f->param[i]->dtype));
		if (i < f->nparams - f->nout)
			fill(f->param[i], out[i], i + 1);
	}
	return out;
}

static void expect_same(const struct device_ops *ops, struct device *d, struct arena *a, const struct lir_func *f,
			void *const *want, uint64_t seed)
{
	void **have = buffers(a, f);
	struct artefact art;
	struct kernel *k;
	struct err e = {0};
	struct codegen_shape shape;
	struct str source = {0}, ir = {0};
	int64_t where = 0;

	cr_assert(codegen_emit("c", f, &source, &shape, &e), "%s", err_text(&e));
	if (getenv("MUTATENN_FUZZ_DUMP"))
		file_write(getenv("MUTATENN_FUZZ_DUMP"), str_text(&source), source.n, NULL);
	cr_assert(ops->compile(d, a, str_text(&source), f->contract, &art, &e), "seed %llu: %s\n%s", (unsigned long long)seed,
		  err_text(&e), str_text(&source));
	cr_assert(ops->load(d, &art, &k, &e), "%s", err_text(&e));
	cr_assert(ops->run(d, k, have, true, &e));
	ops->unload(d, k);
	lir_print(&ir, f);
	for (uint32_t i = f->nparams - f->nout; i < f->nparams; i++)
		cr_expect(equal(f->param[i], want[i], have[i], &where), "%s, seed %llu: '%s'[%lld] differs\n%s\n%s",
			  ops->caps(d)->describe, (unsigned long long)seed, f->param[i]->name, (long long)where,
			  getenv("MUTATENN_FUZZ_SHOW") ? str_text(&ir) : "", getenv("MUTATENN_FUZZ_SHOW") ? str_text(&source) : "");
	str_free(&source);
	str_free(&ir);
}

static long setting(const char *name, long otherwise)
{
	const char *s = getenv(name);

	return s ? atol(s) : otherwise;
}

static void compare_with(const char *cc)
{
	const char *march = getenv("MUTATENN_FUZZ_MARCH"), *flags[] = {"-O2", march};
	struct device_options o = {.cc = cc, .cache_dir = "", .cflags = march ? flags : NULL, .ncflags = 2};
	struct err e = {0};
	struct device *d;
	long first = setting("MUTATENN_FUZZ_SEED", 1), rounds = setting("MUTATENN_FUZZ_ROUNDS", 6);

	if (!device_cpu.open(&o, &d, &e))
		cr_skip_test("%s", err_text(&e));
	cr_assert(device_cpu.start_threads(d, 3, &e), "%s", err_text(&e)); /* parts of 1, 1 and 2 rows */
	for (long seed = first; seed < first + rounds; seed++) {
		struct arena *a = arena_new(NULL);
		struct lir_func *f = random_function(a, (uint64_t)seed);
		void **want = buffers(a, f);
		struct lir_interp_options io = {.outputs_initialised = true};
		struct lir_interp_result r = {0};

		cr_assert(lir_interp(f, want, &io, &r, &e), "%s", err_text(&e));
		cr_assert_eq(r.fault, LIR_OK, "seed %ld: %s", seed, r.text);
		cr_expect_eq(r.device_defined, 0u, "seed %ld", seed);
		expect_same(&device_cpu, d, a, f, want, (uint64_t)seed);
		arena_free(a);
	}
	device_cpu.close(d);
}

TEST(codegen_fuzz, gcc_computes_what_the_interpreter_computes)
{
	compare_with("gcc");
}

TEST(codegen_fuzz, clang_computes_what_the_interpreter_computes)
{
	compare_with("clang");
}

/* As deep as the text form allows: clang has to be told that this is fine. */
static void deep_with(const char *cc)
{
	struct device_options o = {.cc = cc, .cache_dir = ""};
	struct arena *a = arena_new(NULL);
	struct lir_builder b;
	struct lir_expr *x, *zero;
	struct device *d;
	struct err e = {0};
	int64_t dim = 4;

	if (!device_cpu.open(&o, &d, &e))
		cr_skip_test("%s", err_text(&e));
	lir_begin(&b, a, "deep");
	zero = lir_int(&b, 0);
	x = lir_load(&b, lir_param(&b, "x", DT_F32, 1, &dim, false), &zero);
	for (int i = 0; i < 400; i++)
		x = lir_binary(&b, LIR_SUB, lir_imm(&b, DT_F32, 1 + i), x);
	lir_store(&b, lir_param(&b, "y", DT_F32, 1, &dim, true), &zero, x);

	struct lir_func *f = lir_finish(&b);
	void **want = buffers(a, f);
	struct lir_interp_options io = {.outputs_initialised = true};
	struct lir_interp_result r = {0};

	cr_assert(lir_interp(f, want, &io, &r, &e), "%s", err_text(&e));
	expect_same(&device_cpu, d, a, f, want, 0);
	arena_free(a);
	device_cpu.close(d);
}

TEST(codegen_fuzz, gcc_takes_deep_expressions)
{
	deep_with("gcc");
}

TEST(codegen_fuzz, clang_takes_deep_expressions)
{
	deep_with("clang");
}
