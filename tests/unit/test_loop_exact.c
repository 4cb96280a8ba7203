/* test_loop_exact.c: every rule of the loop IR's arithmetic and memory, and every fault, in the interpreter
 *
 * Expected numbers: numpy 1.24 (binary16, softmax), and a C program compiled by gcc 12 for x86-64 (conversions, shifts).
 */
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "loop/loop.h"
#include "test_support.h"

static struct lir_interp_result run_with(const char *text, void *const *param, const struct lir_interp_options *o)
{
	struct arena *a = arena_new(NULL);
	struct lir_func *f;
	struct lir_interp_result r;
	struct err e = {0};

	cr_assert(lir_parse(a, "t.lir", text, strlen(text), &f, &e), "%s", err_text(&e));
	cr_assert(lir_interp(f, param, o, &r, &e), "%s", err_text(&e));
	r.buffer = NULL; /* goes with the arena; the text names it */
	arena_free(a);
	return r;
}

static struct lir_interp_result run(const char *text, void *const *param)
{
	return run_with(text, param, NULL);
}

static void expect_fault(const char *text, void *const *param, enum lir_fault fault, int dim, int64_t index, const char *words)
{
	struct lir_interp_result r = run(text, param);

	cr_expect_eq(r.fault, fault, "%s", r.text);
	cr_expect_eq(r.dim, dim, "dim %d", r.dim);
	cr_expect_eq(r.index, index, "index %lld", (long long)r.index);
	cr_expect_str_eq(r.text, words);
}

TEST(loop_exact, softmax_gives_numpys_numbers)
{
	float x[4] = {1, 2, 3, 4}, y[4];
	static const double want[4] = {0.032058604061603546, 0.08714432269334793, 0.23688280582427979, 0.6439142823219299};

	run("func f(x: f32[4], out y: f32[4]) { alloc m: f32[] alloc s: f32[] m[] = -inf s[] = 0.0"
	    " for i in 0..4 serial { m[] = max(m[], x[i]) }"
	    " for i2 in 0..4 serial { s[] = s[] + exp(x[i2] - m[]) }"
	    " for i3 in 0..4 serial { y[i3] = exp(x[i3] - m[]) / s[] } }",
	    (void *[]){x, y});
	for (int i = 0; i < 4; i++)
		cr_expect(fabs(y[i] - want[i]) < 1e-7, "%g", y[i]);
}

TEST(loop_exact, integers_wrap_and_shift_as_x86_does)
{
	int8_t x[3] = {-128, 9, 127}, y[8];
	uint8_t u[2] = {200, 8}, v[4];
	int64_t w[4];
	struct lir_interp_result r;

	r = run("func f(x: i8[3], u: u8[2], out y: i8[8], out v: u8[4], out w: i64[4]) {"
		" y[0] = x[2] + 1:i8 y[1] = x[2] * 2:i8 y[2] = x[0] << x[1] y[3] = x[0] >> x[1] y[4] = x[0] / -1:i8"
		" y[5] = x[0] % -1:i8 y[6] = -7:i8 / 2:i8 y[7] = -7:i8 % 2:i8"
		" v[0] = u[0] + 100:u8 v[1] = u[0] << u[1] v[2] = u[0] >> 1:u8 v[3] = 0:u8 - 1:u8"
		" w[0] = 1 << 65 w[1] = -1 >> 63 w[2] = cast(i64, 18446744073709551615:u64 / 2:u64)"
		" w[3] = cast(i64, 18446744073709551615:u64 > 1:u64) }",
		(void *[]){x, u, y, v, w});
	cr_expect_eq(r.device_defined, 6u, "%llu", (unsigned long long)r.device_defined);
	cr_expect_arr_eq(y, ((int8_t[]){-128, -2, 0, -1, -128, 0, -3, -1}), 8);
	cr_expect_arr_eq(v, ((uint8_t[]){44, 0, 100, 255}), 4);
	cr_expect_eq(w[0], 2);
	cr_expect_eq(w[1], -1);
	cr_expect_eq(w[2], INT64_MAX);
	cr_expect_eq(w[3], 1);
}

TEST(loop_exact, floats_become_integers_as_x86_converts_them)
{
	/* (int8_t)x, uint8_t, int16_t, uint16_t, int32_t, uint32_t, int64_t, uint64_t */
	static const struct {
		float x;
		int64_t want[8];
		unsigned odd; /* conversions that do not fit */
	} rows[] = {
	    {300.7f, {44, 44, 300, 300, 300, 300, 300, 300}, 2},
	    {-1.5f, {-1, 255, -1, 65535, -1, 4294967295, -1, -1}, 4},
	    {NAN, {0, 0, 0, 0, INT32_MIN, 0, INT64_MIN, INT64_MIN}, 8},
	    {3e9f, {0, 0, 0, 0, INT32_MIN, 3000000000, 3000000000, 3000000000}, 5},
	    {-3e9f, {0, 0, 0, 0, INT32_MIN, 1294967296, -3000000000, -3000000000}, 7},
	    {1e20f, {0, 0, 0, 0, INT32_MIN, 0, INT64_MIN, 0}, 8},
	    {INFINITY, {0, 0, 0, 0, INT32_MIN, 0, INT64_MIN, 0}, 8},
	    {1.8e19f, {0, 0, 0, 0, INT32_MIN, 0, INT64_MIN, (int64_t)18000000404716257280u}, 7},
	    {-0.5f, {0, 0, 0, 0, 0, 0, 0, 0}, 0},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		float x = rows[i].x;
		int64_t y[8];
		struct lir_interp_result r =
		    run("func f(x: f32[], out y: i64[8]) { y[0] = cast(i64, cast(i8, x[])) y[1] = cast(i64, cast(u8, x[]))"
			" y[2] = cast(i64, cast(i16, x[])) y[3] = cast(i64, cast(u16, x[])) y[4] = cast(i64, cast(i32, x[]))"
			" y[5] = cast(i64, cast(u32, x[])) y[6] = cast(i64, x[]) y[7] = bitcast(i64, cast(u64, x[])) }",
			(void *[]){&x, y});

		for (int k = 0; k < 8; k++)
			cr_expect_eq(y[k], rows[i].want[k], "%g, type %d: %lld", x, k, (long long)y[k]);
		cr_expect_eq(r.device_defined, rows[i].odd, "%g: %llu", x, (unsigned long long)r.device_defined);
	}
}

TEST(loop_exact, binary16_is_rounded_after_every_operation)
{
	/* numpy float16 bit patterns of 0.1, 60000, 1e-4, 1.5, -0.3 and 3, 2, 1e-4, 2048.5, 0.7 */
	uint16_t x[5] = {11878, 31571, 1678, 15872, 46285}, y[5] = {16896, 16384, 1678, 26624, 14746}, p[5], s[5];

	run("func f(x: f16[5], y: f16[5], out p: f16[5], out s: f16[5]) {"
	    " for i in 0..5 serial { p[i] = x[i] * y[i] s[i] = x[i] + y[i] } }",
	    (void *[]){x, y, p, s});
	cr_expect_arr_eq(p, ((uint16_t[]){13516, 31744, 0, 27136, 45753}), sizeof p);
	cr_expect_arr_eq(s, ((uint16_t[]){16947, 31571, 2702, 26625, 13927}), sizeof s);
}

TEST(loop_exact, f32_rounds_every_operation_and_fma_once)
{
	float x = 1 + 0x1p-12f, y[6];

	run("func f(x: f32[], out y: f32[6]) { y[0] = x[] * x[] - 1.00048828125 y[1] = fma(x[], x[], -1.00048828125)"
	    " y[2] = min(nan, 1.0) y[3] = max(1.0, nan) y[4] = max(-0.0, 0.0) y[5] = erf(0.5) }",
	    (void *[]){&x, y});
	cr_expect_eq(y[0], 0);
	cr_expect_eq(y[1], 0x1p-24f);
	cr_expect_eq(y[2], 1); /* nan < 1 is false */
	cr_expect(isnan(y[3]));
	cr_expect(y[4] == 0 && !signbit(y[4]));
	cr_expect_eq(y[5], 0.5204999f);
}

TEST(loop_exact, vectors_compute_lane_by_lane)
{
	float x[32], y[16], z[4];

	for (int i = 0; i < 32; i++)
		x[i] = (float)i - 10;
	run("func f(x: f32[32], out y: f32[16], out z: f32[4]) contract {"
	    " let v = fma(x[ramp(0, 2, 16)], broadcast(2.0, 16), broadcast(1.0, 16))"
	    " y[ramp(0, 1, 16)] = select(v > broadcast(0.0, 16), v, broadcast(0.0, 16))"
	    " z[0] = lane(v, 15) let r = ramp(5, -3, 4) z[1] = cast(f32, lane(r, 3))"
	    " z[2] = lane(select(1 > 2, v, exp(v)), 5) z[3] = lane(cast(f32, cast(i8, v)), 1) }",
	    (void *[]){x, y, z});
	for (int i = 0; i < 16; i++)
		cr_expect_eq(y[i], fmaxf(2 * (2.0f * (float)i - 10) + 1, 0));
	cr_expect_eq(z[0], 41);
	cr_expect_eq(z[1], -4);
	cr_expect_eq(z[2], expf(1));
	cr_expect_eq(z[3], -15);
}

TEST(loop_exact, a_narrow_store_writes_at_the_narrow_stride)
{
	float x[4] = {1, -2, 300, 4};
	int8_t y[16];
	struct lir_interp_result r;

	memset(y, 99, sizeof y);
	r = run("func f(x: f32[4], out y: f32[4]) { for i in 0..4 serial { y[i] as i8 = cast(i8, x[i]) } }", (void *[]){x, y});
	cr_expect_arr_eq(y, ((int8_t[]){1, -2, 44, 4, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99}), 16);
	cr_expect_eq(r.unwritten, 12u);
	cr_expect_eq(r.fault, LIR_OK);
}

TEST(loop_exact, a_view_reads_through_strides_and_offset)
{
	float x[9] = {0, 1, 2, 3, 4, 5, 6, 7, 8}, y[4];

	run("func f(x: f32[2, 2] strides [3, 1] offset 4 elements 9, out y: f32[4]) {"
	    " for i in 0..2 serial { for j in 0..2 serial { y[i * 2 + j] = x[i, j] } } }",
	    (void *[]){x, y});
	cr_expect_arr_eq(y, ((float[]){4, 5, 7, 8}), sizeof y);
}

TEST(loop_exact, the_side_not_taken_is_not_evaluated)
{
	float x[2] = {1, 2}, y[3];
	struct lir_interp_result r = run("func f(x: f32[2], out y: f32[3]) { for i in 0..3 serial {"
					 " y[i] = select(i < 2, x[i], 7.0)"
					 " if i >= 2 || x[i] > 0.0 { if i < 2 && x[i] > 1.0 { y[i] = 9.0 } } } }",
					 (void *[]){x, y});

	cr_expect_eq(r.fault, LIR_OK, "%s", r.text);
	cr_expect_arr_eq(y, ((float[]){1, 9, 7}), sizeof y);
}

TEST(loop_exact, every_fault_names_its_buffer_dim_and_index)
{
	float x[6] = {0}, y[6];
	void *p[] = {x, y};

	expect_fault("func f(x: f32[2, 3], out y: f32[6]) { for i in 0..3 serial { y[i] = x[1, i + 1] } }", p,
		     LIR_FAULT_BOUNDS_READ, 1, 3, "a read of 'x' out of bounds: index 3 in dim 1 of size 3");
	expect_fault("func f(x: f32[2, 3], out y: f32[6]) { y[0] = x[-1, 0] }", p, LIR_FAULT_BOUNDS_READ, 0, -1,
		     "a read of 'x' out of bounds: index -1 in dim 0 of size 2");
	expect_fault("func f(x: f32[2, 3], out y: f32[6]) { y[6] = 0.0 }", p, LIR_FAULT_BOUNDS_WRITE, 0, 6,
		     "a write to 'y' out of bounds: index 6 in dim 0 of size 6");
	expect_fault("func f(x: f32[6], out y: f32[6]) { y[ramp(0, 1, 4)] = x[ramp(4, 1, 4)] }", p, LIR_FAULT_BOUNDS_READ, 0, 6,
		     "a read of 'x' out of bounds: index 6 in dim 0 of size 6");
	expect_fault("func f(x: f32[2] strides [9] offset 0 elements 6, out y: f32[6]) { y[0] = x[1] }", p, LIR_FAULT_BOUNDS_READ,
		     -1, 9, "a read of 'x' leaves its memory: element 9 of 6");
	expect_fault("func f(x: f32[6], out y: f32[6]) { alloc t: f32[4] t[1] = 0.0 y[0] = t[1] y[1] = t[2] }", p,
		     LIR_FAULT_UNINITIALISED, 0, 2, "a read of 't' before it was written: element 2");
	expect_fault("func f(x: f32[6], out y: f32[6]) { y[0] = y[3] }", p, LIR_FAULT_UNINITIALISED, 0, 3,
		     "a read of 'y' before it was written: element 3");
	expect_fault("func f(x: f32[6], out y: f32[6]) { y[0] as i8 = 1:i8 y[1] = y[0] }", p, LIR_FAULT_UNINITIALISED, 0, 0,
		     "a read of 'y' before it was written: element 0");
	expect_fault(
	    "func f(x: f32[6], out y: f32[6]) { for i in 0..2 serial { alloc t: f32[1] if i == 0 { t[0] = 1.0 } y[i] = t[0] } }", p,
	    LIR_FAULT_UNINITIALISED, 0, 0, "a read of 't' before it was written: element 0");
	expect_fault("func f(x: f32[6], out y: f32[6]) { y[7 / cast(i64, x[0])] = 0.0 }", p, LIR_FAULT_DIVIDE, 0, 7,
		     "an integer division of 7 by zero or without a result");
	expect_fault("func f(x: f32[6], out y: f32[6]) { y[0] = cast(f32, -2147483648:i32 / -1:i32) }", p, LIR_FAULT_DIVIDE, 0,
		     INT32_MIN, "an integer division of -2147483648 by zero or without a result");
}

TEST(loop_exact, options_limit_iterations_and_declare_outputs_written)
{
	float x[6] = {0}, y[6] = {0, 1, 2, 3, 4, 5};
	const char *text = "func f(x: f32[6], out y: f32[6]) { for i in 0..6 serial { y[i] = y[i] + 1.0 } }";
	struct lir_interp_result r = run_with(text, (void *[]){x, y}, &(struct lir_interp_options){.outputs_initialised = true});

	cr_expect_eq(r.fault, LIR_OK);
	cr_expect_eq(y[5], 6);
	r = run_with(text, (void *[]){x, y}, &(struct lir_interp_options){.max_steps = 6, .outputs_initialised = true});
	cr_expect_eq(r.fault, LIR_OK);
	r = run_with(text, (void *[]){x, y}, &(struct lir_interp_options){.max_steps = 5, .outputs_initialised = true});
	cr_expect_eq(r.fault, LIR_FAULT_STEPS);
	cr_expect_eq(r.steps, 5u);
}

TEST(loop_exact, bounds_of_a_loop_are_evaluated_once)
{
	int64_t n[1] = {3}, y[1] = {0};
	struct lir_interp_result r =
	    run_with("func f(out n: i64[], out y: i64[]) { for i in n[]..+n[] serial { n[] = 100 y[] = y[] + i } }",
		     (void *[]){n, y}, &(struct lir_interp_options){.outputs_initialised = true});

	cr_expect_eq(r.steps, 3u);
	cr_expect_eq(y[0], 3 + 4 + 5);
}

TEST(loop_exact, too_much_local_memory_is_an_error)
{
	struct arena *a = arena_new(NULL);
	struct lir_func *f;
	struct lir_interp_result r;
	struct err e = {0};
	const char *text = "func f(out y: f32[1]) { alloc t: f32[1099511627776] y[0] = 0.0 }";
	float y[1];

	cr_assert(lir_parse(a, "t.lir", text, strlen(text), &f, &e));
	cr_expect(!lir_interp(f, (void *[]){y}, NULL, &r, &e));
	cr_expect(strstr(err_text(&e), "local memory"));
	err_free(&e);
	arena_free(a);
}
