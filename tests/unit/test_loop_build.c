/* test_loop_build.c: the loop IR's builder, printer, walk, clone and verifier */
#include <math.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "loop/loop.h"
#include "test_support.h"

static struct lir_func *relu(struct arena *a)
{
	struct lir_builder b;
	struct lir_buffer *x, *y;
	struct lir_nest n;

	lir_begin(&b, a, "relu/1");
	x = lir_param(&b, "x", DT_F32, 2, (int64_t[]){1, 4}, false);
	y = lir_param(&b, "y", DT_F32, 2, (int64_t[]){1, 4}, true);
	n = lir_nest_over(&b, 2, x->dim);
	lir_store(&b, y, n.index, lir_max(&b, lir_load(&b, x, n.index), lir_imm(&b, DT_F32, 0)));
	lir_nest_end(&b, &n);
	return lir_finish(&b);
}

static void expect_text(const struct lir_func *f, const char *want)
{
	struct str s = {0};

	lir_print(&s, f);
	cr_expect_str_eq(str_text(&s), want);
	str_free(&s);
}

static const char relu_text[] = "func \"relu/1\"(x: f32[1, 4], out y: f32[1, 4]) {\n"
				"  for i1 in 0..4 parallel {\n"
				"    y[0, i1] = max(x[0, i1], 0.0)\n"
				"  }\n"
				"}\n";

TEST(loop_build, a_nest_prints_as_it_was_built)
{
	struct arena *a = arena_new(NULL);

	expect_text(relu(a), relu_text);
	arena_free(a);
}

static void expect_expr(const struct lir_expr *x, const char *want)
{
	struct str s = {0};

	lir_print_expr(&s, x);
	cr_expect_str_eq(str_text(&s), want);
	str_free(&s);
}

TEST(loop_build, integer_constants_are_folded_and_comparisons_of_variables_kept)
{
	struct arena *a = arena_new(NULL);
	struct lir_builder b;
	struct lir_expr *i, *one;

	lir_begin(&b, a, "f");
	one = lir_int(&b, 1);
	i = lir_for(&b, "i", 8, LIR_SERIAL);
	cr_expect_eq(lir_add(&b, i, lir_int(&b, 0)), i);
	cr_expect_eq(lir_mul(&b, one, i), i);
	expect_expr(lir_add(&b, lir_int(&b, 2), lir_int(&b, 3)), "5");
	expect_expr(lir_add(&b, lir_add(&b, i, lir_int(&b, 2)), lir_int(&b, 3)), "i + 5");
	expect_expr(lir_sub(&b, lir_add(&b, i, lir_int(&b, 2)), lir_int(&b, 3)), "i - 1");
	expect_expr(lir_sub(&b, lir_add(&b, i, lir_int(&b, 3)), lir_int(&b, 3)), "i");
	expect_expr(lir_mul(&b, lir_int(&b, 4), lir_mul(&b, i, lir_int(&b, 3))), "i * 12");
	expect_expr(lir_mul(&b, i, lir_int(&b, 0)), "0");
	expect_expr(lir_mod(&b, i, one), "0");
	expect_expr(lir_div(&b, one, lir_int(&b, 0)), "1 / 0");
	expect_expr(lir_lt(&b, one, lir_int(&b, 2)), "true");
	expect_expr(lir_ge(&b, i, lir_int(&b, 0)), "i >= 0");
	expect_expr(lir_and(&b, lir_lt(&b, one, lir_int(&b, 2)), lir_ge(&b, i, one)), "i >= 1");
	expect_expr(lir_cast(&b, DT_I8, lir_int(&b, 300)), "44:i8");
	expect_expr(lir_cast(&b, DT_F32, lir_int(&b, 16777217)), "16777216.0");
	expect_expr(lir_add(&b, lir_imm(&b, DT_F32, 1), lir_imm(&b, DT_F32, 2)), "1.0 + 2.0");
	lir_end(&b);
	lir_finish(&b);
	arena_free(a);
}

TEST(loop_build, immediates_print_with_the_fewest_digits_that_read_back)
{
	struct arena *a = arena_new(NULL);
	struct lir_builder b;

	lir_begin(&b, a, "f");
	expect_expr(lir_imm(&b, DT_F32, 0.1), "0.1");
	expect_expr(lir_imm(&b, DT_F64, 0.1), "0.1:f64");
	expect_expr(lir_imm(&b, DT_F16, 0.1), "0.1:f16");
	expect_expr(lir_imm(&b, DT_BF16, 3.14159), "3.14:bf16");
	expect_expr(lir_imm(&b, DT_F32, 16777216), "16777216.0");
	expect_expr(lir_imm(&b, DT_F32, 1e-45), "1e-45");
	expect_expr(lir_imm(&b, DT_F32, -INFINITY), "-inf");
	expect_expr(lir_imm(&b, DT_F16, 1e6), "inf:f16");
	expect_expr(lir_imm(&b, DT_F32, NAN), "nan");
	expect_expr(lir_imm(&b, DT_F32, -0.0), "-0.0");
	expect_expr(lir_imm(&b, DT_U8, 300), "44:u8");
	expect_expr(lir_imm_i64(&b, DT_U64, -1), "18446744073709551615:u64");
	expect_expr(lir_imm_i64(&b, DT_I64, INT64_MIN), "-9223372036854775808");
	lir_finish(&b);
	arena_free(a);
}
