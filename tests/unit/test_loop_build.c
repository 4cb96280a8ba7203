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

static bool collect(const struct lir_visit *v, void *user)
{
	struct str *s = user;
	const char *const kinds[] = {"for", "store", "if", "let", "alloc", "seq"};

	if (v->stmt_slot)
		str_addf(s, "%s/%u ", kinds[(*v->stmt_slot)->kind], v->nparents);
	else {
		lir_print_expr(s, *v->expr_slot);
		str_addf(s, "@%u ", v->depth);
	}
	return true;
}

TEST(loop_build, a_walk_visits_in_print_order_and_knows_where_it_is)
{
	struct arena *a = arena_new(NULL);
	struct str s = {0};

	lir_walk(relu(a), collect, &s);
	cr_expect_str_eq(str_text(&s), "for/0 0@0 4@0 store/1 0@0 i1@0 max(x[0, i1], 0.0)@0 x[0, i1]@1 0@2 i1@2 0.0@1 ");
	str_free(&s);
	arena_free(a);
}

static bool replace_zero(const struct lir_visit *v, void *user)
{
	struct lir_func *f = user;
	struct lir_builder b;

	if (!v->expr_slot || (*v->expr_slot)->kind != LIR_FLOAT)
		return true;
	lir_edit(&b, f);
	*v->expr_slot = lir_imm(&b, DT_F32, 0.5);
	return false;
}

TEST(loop_build, mutating_a_clone_leaves_the_original_text_unchanged)
{
	struct arena *a = arena_new(NULL);
	struct lir_func *f = relu(a), *g = lir_func_clone(arena_new(a), f);
	struct err e = {0};

	expect_text(g, relu_text);
	cr_expect(!lir_walk(g, replace_zero, g));
	g->body->loop = LIR_SERIAL;
	g->param[0]->name = "renamed";
	g->body->var->name = "other";
	g->body->body[0]->access = DT_I8;
	expect_text(f, relu_text);
	cr_expect(!lir_verify(g, &e));
	g->body->body[0]->access = DT_F32;
	cr_expect(lir_verify(g, &e));
	expect_text(g, "func \"relu/1\"(renamed: f32[1, 4], out y: f32[1, 4]) {\n"
		       "  for other in 0..4 serial {\n"
		       "    y[0, other] = max(renamed[0, other], 0.5)\n"
		       "  }\n"
		       "}\n");
	err_free(&e);
	arena_free(a);
}

TEST(loop_build, lets_allocs_scopes_and_branches_nest_as_written)
{
	struct arena *a = arena_new(NULL);
	struct lir_builder b;
	struct lir_buffer *y, *t;
	struct lir_expr *i, *v, *zero;

	lir_begin(&b, a, "f");
	y = lir_param(&b, "a name/2", DT_F32, 1, (int64_t[]){8}, true);
	zero = lir_int(&b, 0);
	i = lir_for(&b, "i", 8, LIR_SERIAL);
	lir_scope(&b);
	t = lir_alloc(&b, "y", DT_F32, 1, (int64_t[]){1});
	v = lir_let(&b, "v", lir_imm(&b, DT_F32, 2));
	lir_store(&b, t, &zero, v);
	lir_end(&b);
	lir_if(&b, lir_lt(&b, i, lir_int(&b, 4)));
	lir_let(&b, "v", lir_imm(&b, DT_F32, 4));
	lir_store(&b, y, &i, lir_imm(&b, DT_F32, 1));
	lir_else(&b);
	lir_if(&b, lir_lt(&b, lir_int(&b, 1), lir_int(&b, 0)));
	lir_store(&b, y, &i, lir_imm(&b, DT_F32, 3));
	lir_end(&b);
	lir_end(&b);
	lir_end(&b);
	expect_text(lir_finish(&b), "func f(out a_name_2: f32[8]) {\n"
				    "  for i in 0..8 serial {\n"
				    "    {\n"
				    "      alloc y: f32[1]\n"
				    "      let v = 2.0\n"
				    "      y[0] = v\n"
				    "    }\n"
				    "    if i < 4 {\n"
				    "      let v_2 = 4.0\n"
				    "      a_name_2[i] = 1.0\n"
				    "    } else {\n"
				    "    }\n"
				    "  }\n"
				    "}\n");
	arena_free(a);
}

TEST(loop_build, parallel_loops_that_parts_cannot_share_become_serial)
{
	struct arena *a = arena_new(NULL);
	struct lir_builder b;
	struct lir_buffer *y;
	struct lir_nest n;

	for (int times = 1; times <= 2; times++) {
		struct lir_func *f;

		lir_begin(&b, a, "f");
		y = lir_param(&b, "y", DT_F32, 1, (int64_t[]){8}, true);
		for (int k = 0; k < times; k++) {
			n = lir_nest_over(&b, 1, y->dim);
			lir_store(&b, y, n.index, lir_imm(&b, DT_F32, 1));
			lir_nest_end(&b, &n);
		}
		f = lir_finish(&b);
		cr_expect_eq(lir_has_parallel(f), times == 1);
		cr_expect_eq(lir_flops(f), 0);
	}
	arena_free(a);
}

TEST(loop_build, flops_count_float_operations_of_constant_loops)
{
	struct arena *a = arena_new(NULL);
	struct lir_builder b;
	struct lir_buffer *y;
	struct lir_expr *i, *v;

	lir_begin(&b, a, "f");
	y = lir_param(&b, "y", DT_F32, 1, (int64_t[]){64}, true);
	i = lir_for(&b, "i", 4, LIR_SERIAL);
	i = lir_mul(&b, i, lir_int(&b, 16));
	v = lir_load_lanes(&b, y, &i, 16);
	lir_store(&b, y, &i, lir_fma(&b, v, v, lir_add(&b, v, lir_imm(&b, DT_F32, 1))));
	lir_end(&b);
	cr_expect_eq(lir_flops(lir_finish(&b)), 4 * 16 * 3.0);
	cr_expect(b.f->contract);
	arena_free(a);
}
