/* test_device_vulkan.c: compute shaders on a processor (lavapipe) against the loop IR's interpreter
 *
 * Skipped where there is no such device. MUTATENN_FUZZ_ROUNDS and MUTATENN_FUZZ_SEED as in test_codegen_fuzz.c;
 * MUTATENN_VULKAN selects another device by a part of its name.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "codegen/codegen.h"
#include "device/device.h"
#include "fuzz_func.h"
#include "group_run.h"
#include "group_text.h"
#include "loop/loop.h"
#include "test_support.h"

static const struct device_ops *ops;

static struct device *open_device(void)
{
	const char *select = getenv("MUTATENN_VULKAN");
	struct device_options o = {.name = "lavapipe", .select = select ? select : "llvmpipe", .threads = 2, .cache_dir = ""};
	struct device *d = NULL;
	struct err e = {0};
	bool ok;

	ops = device_find("vulkan");
	if (!ops)
		cr_skip_test("built without Vulkan");
	test_leaks_of_others(true);
	ok = ops->open(&o, &d, &e);
	test_leaks_of_others(false);
	if (!ok)
		cr_skip_test("%s", err_text(&e));
	return d;
}

static struct lir_func *parse(struct arena *a, const char *text)
{
	struct lir_func *f = NULL;
	struct err e = {0};

	cr_assert(lir_parse(a, "t.lir", text, strlen(text), &f, &e), "%s", err_text(&e));
	cr_assert(lir_verify(f, &e), "%s", err_text(&e));
	return f;
}

/* The interpreter's answer. */
static void **expected(struct arena *a, const struct lir_func *f, bool defined)
{
	struct lir_interp_options io = {.outputs_initialised = true};
	struct lir_interp_result r = {0};
	void **out = fuzz_buffers(a, f);
	struct err e = {0};

	cr_assert(lir_interp(f, out, &io, &r, &e), "%s", err_text(&e));
	cr_assert_eq(r.fault, LIR_OK, "%s", r.text);
	cr_assert(!defined || !r.device_defined);
	return out;
}

static double number(const struct lir_buffer *b, void *data, int64_t i)
{
	struct tensor t = {.dtype = b->dtype, .nd = 1, .dim = {b->elements}, .data = data};

	return tensor_get_f64(&t, i);
}

static void expect_same_as(const char *dialect, struct device *d, const struct lir_func *f, uint64_t divide, const char *what)
{
	struct arena *a = arena_new(NULL);
	void **want = expected(a, f, true), **have = fuzz_buffers(a, f);
	struct str source = {0};
	struct codegen_shape shape;
	struct err e = {0};
	int64_t where = 0;

	if (getenv("MUTATENN_FUZZ_SHOW")) {
		lir_print(&source, f);
		codegen_emit(dialect, f, &source, &shape, &e);
	}
	cr_assert(group_run_as(dialect, ops, d, a, f, have, divide, NULL, &e), "%s, %s: %s", what, dialect, err_text(&e));
	for (uint32_t i = f->nparams - f->nout; i < f->nparams; i++)
		cr_expect(fuzz_equal(f->param[i], want[i], have[i], &where), "%s, %s: '%s'[%lld] is %.17g and should be %.17g\n%s",
			  what, dialect, f->param[i]->name, (long long)where, number(f->param[i], have[i], where),
			  number(f->param[i], want[i], where), str_text(&source));
	str_free(&source);
	arena_free(a);
}

/* As accelerators have it, and in the device's own dialect, if that is another. */
static void expect_same(struct device *d, const struct lir_func *f, uint64_t divide, const char *what)
{
	const char *own = ops->caps(d)->dialect;

	expect_same_as("glsl", d, f, divide, what);
	if (strcmp(own, "glsl"))
		expect_same_as(own, d, f, divide, what);
}

TEST(device_vulkan, random_functions_compute_what_the_interpreter_computes)
{
	struct device *d = open_device();
	struct fuzz_options o = {.types = ops->caps(d)->types, .scalars = true, .exact = true};
	long first = fuzz_setting("MUTATENN_FUZZ_SEED", 1), rounds = fuzz_setting("MUTATENN_FUZZ_ROUNDS", 4);
	char what[32];

	for (long seed = first; seed < first + rounds; seed++) {
		struct arena *a = arena_new(NULL);

		snprintf(what, sizeof what, "seed %ld", seed);
		expect_same(d, fuzz_func(a, (uint64_t)seed, &o), 1, what);
		arena_free(a);
	}
	ops->close(d);
}

static void expect_text(const char *what, const char *text)
{
	struct device *d = open_device();
	struct arena *a = arena_new(NULL);

	expect_same(d, parse(a, text), 1, what);
	expect_same(d, parse(a, text), 3, what); /* fewer groups take more turns */
	arena_free(a);
	ops->close(d);
}

TEST(device_vulkan, groups_share_memory_and_wait_at_barriers)
{
	expect_text("product", GROUP_PRODUCT);
	expect_text("turn", GROUP_TURN);
}

TEST(device_vulkan, a_convolution_with_padding_and_an_accumulator)
{
	expect_text("conv", "func conv(x: f32[1, 3, 9, 11], w: f32[5, 3, 3, 3], b: f32[5], out y: f32[1, 5, 9, 11]) {\n"
			    "  for o in 0..5 parallel {\n"
			    "    for i in 0..9 parallel {\n"
			    "      for j in 0..11 parallel {\n"
			    "        alloc acc: f32[]\n"
			    "        acc[] = b[o]\n"
			    "        for c in 0..3 serial {\n"
			    "          for k in 0..3 unrolled {\n"
			    "            for l in 0..3 serial {\n"
			    "              if i + k >= 1 && i + k < 10 && j + l >= 1 && j + l < 12 {\n"
			    "                acc[] = acc[] + x[0, c, i + k - 1, j + l - 1] * w[o, c, k, l]\n"
			    "              }\n"
			    "            }\n"
			    "          }\n"
			    "        }\n"
			    "        y[0, o, i, j] = max(acc[], 0.0)\n"
			    "      }\n"
			    "    }\n"
			    "  }\n"
			    "}\n");
}

TEST(device_vulkan, narrow_stores_and_reads_of_what_they_left)
{
	expect_text("narrow", "func narrow(x: f32[96], out y: f32[96], out z: i32[96]) {\n"
			      "  for i in 0..96 parallel {\n"
			      "    y[i] as i8 = cast(i8, min(max(x[i], -50.0), 50.0))\n"
			      "    z[i] as u16 = cast(u16, i * 7)\n"
			      "  }\n"
			      "}\n");
}

TEST(device_vulkan, local_arrays_with_places_found_on_the_device)
{
	expect_text("local", "func local(x: i32[96], out y: i32[96], out s: f32[96]) {\n"
			     "  for i in 0..96 parallel {\n"
			     "    alloc t: i32[16]\n"
			     "    for k in 0..16 serial {\n"
			     "      t[15 - k] = x[(i + k) % 96] + cast(i32, k)\n"
			     "    }\n"
			     "    y[i] = t[i % 16] - t[cast(i64, x[i] & 15:i32)]\n"
			     "    alloc sum: f32[]\n"
			     "    sum[] = 0.0\n"
			     "    for k_2 in 0..i serial {\n"
			     "      sum[] = sum[] + 1.0 / cast(f32, k_2 + 1)\n"
			     "    }\n"
			     "    s[i] = sum[]\n"
			     "  }\n"
			     "}\n");
}

TEST(device_vulkan, more_iterations_than_work_items_take_turns)
{
	expect_text("turns", "func turns(x: f32[40000], n: i32[40000], out y: f32[40000]) {\n"
			     "  for i in 0..40000 parallel {\n"
			     "    y[i] = x[39999 - i] + cast(f32, n[i])\n"
			     "  }\n"
			     "}\n");
}

static void reads_far(const char *dialect, struct device *d)
{
	struct arena *a = arena_new(NULL);
	float x[64], y[64];
	void *buffer[] = {x, y};
	struct err e = {0};

	for (int i = 0; i < 64; i++)
		x[i] = (float)i + 0.5f;
	cr_assert(group_run_as(dialect, ops, d, a,
			       parse(a, "func far(x: f32[64], out y: f32[64]) {\n"
					"  for i in 0..64 parallel {\n"
					"    y[i] = x[select(i % 2 == 0, i, select(i % 4 == 1, i * 4000000, 0 - i * 4000000))]\n"
					"  }\n"
					"}\n"),
			       buffer, 1, NULL, &e),
		  "%s: %s", dialect, err_text(&e));
	for (int i = 0; i < 64; i++)
		cr_expect_eq(y[i], i % 2 ? 0 : x[i], "%s: y[%d] is %g", dialect, i, y[i]);
	arena_free(a);
}

/* A mutant that reads anywhere must not take the device's process with it, and its other lanes read what they should. */
TEST(device_vulkan, a_processor_reads_zeros_far_outside)
{
	struct device *d = open_device();

	if (strcmp(ops->caps(d)->dialect, "glsl-cpu"))
		cr_skip_test("an accelerator");
	reads_far("glsl", d);
	reads_far("glsl-cpu", d);
	ops->close(d);
}

TEST(device_vulkan, one_work_item_does_what_is_not_parallel)
{
	expect_text("serial",
		    "func serial(x: f64[200], out y: f64[200], out n: i64[]) {\n"
		    "  n[] = 0\n"
		    "  for i in 0..200 serial {\n"
		    "    y[i] = select(i > 0, y[max(i - 1, 0)], 0.0:f64) + select(isnan(x[i]), 1.0:f64, min(x[i], 9.5:f64))\n"
		    "    if isinf(x[i]) {\n"
		    "      n[] = n[] + 1\n"
		    "    }\n"
		    "  }\n"
		    "}\n");
}

/* ---- accuracy ---------------------------------------------------------------------------------------------------------- */

#define POINTS 32768

struct accuracy {
	enum lir_call call;
	double (*one)(double);
	double (*two)(double, double);
	float low, high; /* where half of the points are; the others are of any size */
	double ulp;      /* most; 0.5: rounded correctly */
	float largest;   /* for which that holds; 0: all */
};

/* All pairs of special numbers first: x counts through them slowly, y fast. */
static void points(float *p, float low, float high, bool fast, uint32_t seed)
{
	static const float special[] = {0,        -0.0f,   1,       -1,      INFINITY, -INFINITY, NAN,   0x1p-149f,  -0x1p-149f,
					1e-40f,   FLT_MAX, FLT_MIN, 0.5f,    2,        -2,        3,     -3,         88.72283f,
					88.7229f, -87.4f,  -103.9f, -104.1f, 0.625f,   0.001f,    1e-7f, 16777217.0f};
	const uint32_t n = sizeof special / sizeof *special;

	for (uint32_t i = 0; i < POINTS; i++) {
		seed = seed * 1664525u + 1013904223u;
		if (i < n * n)
			p[i] = special[fast ? i % n : i / n];
		else if (i % 2)
			p[i] = low + (high - low) * (float)(seed >> 8) / 16777216.0f;
		else
			memcpy(&p[i], &seed, sizeof seed);
	}
}

/* In units in the last place of the right answer; a NaN or Inf on one side only is infinitely wrong. */
static double ulps(float have, double want)
{
	float w = (float)want, a = fabsf(w);

	if (isnan(want) || isnan(have))
		return isnan(want) && isnan(have) ? 0 : INFINITY;
	if (isinf(w) || isinf(have)) /* the largest number for Inf, when it is as near */
		return w == have || (fabs(want) < 1.0000002 * FLT_MAX && fabsf(have) >= FLT_MAX) ? 0 : INFINITY;
	return fabs(have - want) / (nextafterf(a < FLT_MIN ? FLT_MIN : a, INFINITY) - (a < FLT_MIN ? FLT_MIN : a));
}

static struct lir_func *call_of(struct arena *a, enum lir_call c, int args)
{
	struct lir_builder b;
	int64_t n = POINTS;
	struct lir_expr *i, *arg[3];
	struct lir_buffer *in[3], *out;

	lir_begin(&b, a, "call");
	for (int k = 0; k < args; k++)
		in[k] = lir_param(&b, "x", DT_F32, 1, &n, false);
	out = lir_param(&b, "y", DT_F32, 1, &n, true);
	i = lir_for(&b, "i", n, LIR_PARALLEL);
	for (int k = 0; k < args; k++)
		arg[k] = lir_load(&b, in[k], &i);
	lir_store(&b, out, &i, lir_call_n(&b, c, args, arg));
	lir_end(&b);
	return lir_finish(&b);
}

static void check_accuracy(struct device *d, const struct accuracy *f)
{
	struct arena *a = arena_new(NULL);
	int args = f->two ? 2 : 1;
	float *x = ARENA_ARRAY(a, float, POINTS), *y = ARENA_ARRAY(a, float, POINTS), *r = ARENA_ARRAY(a, float, POINTS);
	void *buffer[3] = {x, args == 1 ? r : y, r};
	double worst = 0;
	int at = 0;
	struct err e = {0};

	points(x, f->low, f->high, false, 1);
	points(y, -20, 20, true, 2);
	cr_assert(group_run(ops, d, a, call_of(a, f->call, args), buffer, 1, NULL, &e), "%s", err_text(&e));
	for (int i = 0; i < POINTS; i++) {
		double u = ulps(r[i], f->two ? f->two(x[i], y[i]) : f->one(x[i]));

		if (u > worst && (!f->largest || fabsf(x[i]) <= f->largest)) {
			worst = u;
			at = i;
		}
	}
	if (getenv("MUTATENN_FUZZ_SHOW"))
		fprintf(stderr, "%s: %.2f\n", lir_call_name(f->call), worst);
	cr_expect(worst <= f->ulp, "%s is off by %g at %.9g, %.9g: %.9g", lir_call_name(f->call), worst, x[at], y[at], r[at]);
	arena_free(a);
}

TEST(device_vulkan, functions_are_as_accurate_as_they_say)
{
	static const struct accuracy all[] = {
	    {LIR_CALL_EXP, exp, NULL, -104, 89, 1, 0},    {LIR_CALL_LOG, log, NULL, 0, 3, 1, 0},
	    {LIR_CALL_TANH, tanh, NULL, -3, 3, 2, 0},     {LIR_CALL_ERF, erf, NULL, -3, 3, 4, 0},
	    {LIR_CALL_SIN, sin, NULL, -20, 20, 2, 8192},  {LIR_CALL_COS, cos, NULL, -20, 20, 2, 8192},
	    {LIR_CALL_TAN, tan, NULL, -20, 20, 4, 8192},  {LIR_CALL_SQRT, sqrt, NULL, 0, 100, 0.5, 0},
	    {LIR_CALL_ASIN, asin, NULL, -1, 1, 1, 0},     {LIR_CALL_ACOS, acos, NULL, -1, 1, 1, 0},
	    {LIR_CALL_ATAN, atan, NULL, -4, 4, 1, 0},     {LIR_CALL_SINH, sinh, NULL, -5, 5, 1, 0},
	    {LIR_CALL_COSH, cosh, NULL, -5, 5, 1, 0},     {LIR_CALL_ASINH, asinh, NULL, -5, 5, 1, 0},
	    {LIR_CALL_ACOSH, acosh, NULL, 1, 5, 1, 0},    {LIR_CALL_ATANH, atanh, NULL, -1, 1, 1, 0},
	    {LIR_CALL_FLOOR, floor, NULL, -9, 9, 0, 0},   {LIR_CALL_CEIL, ceil, NULL, -9, 9, 0, 0},
	    {LIR_CALL_TRUNC, trunc, NULL, -9, 9, 0, 0},   {LIR_CALL_RINT, rint, NULL, -9, 9, 0, 0},
	    {LIR_CALL_ABS, fabs, NULL, -9, 9, 0, 0},      {LIR_CALL_POW, NULL, pow, 0, 10, 0.51, 0},
	    {LIR_CALL_FMOD, NULL, fmod, -100, 100, 0, 0},
	};
	struct device *d = open_device();

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		check_accuracy(d, &all[i]);
	ops->close(d);
}
