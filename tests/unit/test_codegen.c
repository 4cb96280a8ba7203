/* test_codegen.c: the C text itself - its form, what becomes a variable, what is refused */
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "codegen/codegen.h"
#include "loop/loop.h"
#include "test_support.h"

static struct lir_func *parse(struct arena *a, const char *text)
{
	struct lir_func *f = NULL;
	struct err e = {0};

	cr_assert(lir_parse(a, "t.lir", text, strlen(text), &f, &e), "%s", err_text(&e));
	cr_assert(lir_verify(f, &e), "%s", err_text(&e));
	return f;
}

static const char *emit(struct arena *a, const char *text)
{
	struct codegen_shape shape;
	struct str s = {0};
	struct err e = {0};
	const char *out;

	cr_assert(codegen_emit("c", parse(a, text), &s, &shape, &e), "%s", err_text(&e));
	out = arena_strdup(a, str_text(&s));
	str_free(&s);
	return out;
}

TEST(codegen, a_parallel_loop_becomes_this_parts_share)
{
	struct arena *a = arena_new(NULL);

	cr_expect_str_eq(emit(a, "func relu(x: f32[4, 8], out y: f32[4, 8]) {\n"
				 "  for i in 0..4 parallel {\n"
				 "    for j in 0..8 serial {\n"
				 "      y[i, j] = max(x[i, j - 1 + i], 0.0)\n"
				 "    }\n"
				 "  }\n"
				 "}\n"),
			 "typedef long long i64;\n"
			 "typedef float f32;\n"
			 "#define FN static inline __attribute__((always_inline))\n"
			 "FN f32 max_f32(f32 a, f32 b) { return (a) > (b) ? a : b; }\n"
			 "\n"
			 "void mutatenn_kernel(void *const *buffer, i64 part, i64 parts)\n"
			 "{\n"
			 "\tconst f32 *restrict in0 = buffer[0];\n"
			 "\tf32 *restrict out0 = buffer[1];\n"
			 "\n"
			 "\tconst i64 first_ = 0, count_ = 4, end_ = first_ + count_ * (part + 1) / parts;\n"
			 "\tfor (i64 i = first_ + count_ * part / parts; i < end_; i++) {\n"
			 "\t\tfor (i64 j = 0; j < 8; j++) {\n"
			 "\t\t\tout0[i * 8 + j] = max_f32(in0[i * 8 + j + i - 1], 0.0f);\n"
			 "\t\t}\n"
			 "\t}\n"
			 "}\n");
	arena_free(a);
}

static bool has(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

TEST(codegen, a_local_buffer_with_constant_places_becomes_variables)
{
	struct arena *a = arena_new(NULL);
	const char *s = emit(a, "func f(x: f32[64], out y: f32[64]) {\n"
				"  alloc acc: f32[2, 16]\n"
				"  for k in 0..2 unrolled {\n"
				"    acc[k, ramp(0, 1, 16)] = x[ramp(k * 16, 1, 16)]\n"
				"  }\n"
				"  y[ramp(0, 1, 16)] = acc[1, ramp(0, 1, 16)] + acc[0, ramp(0, 1, 16)]\n"
				"}\n");

	cr_expect(has(s, "\tf32x16 acc_0, acc_1;\n"), "%s", s);
	cr_expect(has(s, "\tacc_1 = *(const f32x16_u *)&in0[16];\n"), "%s", s);
	cr_expect(has(s, "\t*(f32x16_u *)&out0[0] = acc_1 + acc_0;\n"), "%s", s);
	arena_free(a);
}

TEST(codegen, a_variable_that_may_be_read_unwritten_starts_as_nan)
{
	struct arena *a = arena_new(NULL);
	const char *s = emit(a, "func f(x: f32[64], out y: f32[64]) {\n"
				"  alloc acc: f32[3]\n"
				"  acc[0] = x[0]\n"
				"  if x[0] < x[1] {\n"
				"    acc[1] = x[0]\n"
				"  }\n"
				"  y[0] = acc[0] + acc[1] + acc[2]\n"
				"}\n");

	cr_expect(has(s, "\tf32 acc_0, acc_1 = __builtin_nanf(\"\"), acc_2 = __builtin_nanf(\"\");\n"), "%s", s);
	arena_free(a);
}

TEST(codegen, a_local_buffer_with_other_places_is_an_array_with_slack)
{
	struct arena *a = arena_new(NULL);
	const char *s = emit(a, "func f(x: f32[64], out y: f32[64]) {\n"
				"  for i in 0..4 serial {\n"
				"    alloc acc: f32[4]\n"
				"    acc[i] = x[i]\n"
				"    y[i] = acc[i]\n"
				"  }\n"
				"}\n");

	cr_expect(has(s, "f32 acc_mem_[132] __attribute__((aligned(64))), *const acc = acc_mem_ + 64;\n"), "%s", s);
	cr_expect(has(s, "acc_mem_[i_] = __builtin_nanf(\"\");\n"), "%s", s);
	arena_free(a);
}

TEST(codegen, what_local_buffers_hold_before_they_are_written_is_the_fill)
{
	static const char text[] = "func f(x: f32[64], out y: f32[64]) {\n"
				   "  alloc one: f32[1]\n"
				   "  if x[0] < x[1] {\n"
				   "    one[0] = x[0]\n"
				   "  }\n"
				   "  for i in 0..4 serial {\n"
				   "    alloc acc: i32[4]\n"
				   "    y[i] = one[0] + cast(f32, acc[i])\n"
				   "  }\n"
				   "}\n";
	static const struct {
		struct fill fill;
		const char *variable, *array;
	} want[] = {{{FILL_NAN, 0}, "one_0 = __builtin_nanf(\"\");", "acc_mem_[i_] = 0x7f7f7f7f;"},
		    {{FILL_ZERO, 0}, "one_0 = 0;", "acc_mem_[i_] = 0;"},
		    {{FILL_RANDOM, 1}, "one_0 = (", "acc_mem_[i_] = 0x"},
		    {{FILL_STALE, 0}, "f32 one_0;", "*const acc = acc_mem_ + 64;\n\t\tout0"}};
	struct arena *a = arena_new(NULL);
	const struct lir_func *f = parse(a, text);
	struct str s[4] = {0}, again = {0};

	for (int i = 0; i < 4; i++) {
		struct codegen_shape shape;
		struct err e = {0};

		cr_assert(codegen_emit_filled("c", f, want[i].fill, &s[i], &shape, &e), "%s", err_text(&e));
		cr_expect(has(str_text(&s[i]), want[i].variable) && has(str_text(&s[i]), want[i].array), "%s", str_text(&s[i]));
		cr_expect(shape.fills);
	}
	cr_assert(codegen_emit_filled("c", f, (struct fill){FILL_RANDOM, 2}, &again, &(struct codegen_shape){0}, NULL));
	cr_expect_str_neq(str_text(&s[2]), str_text(&again));
	for (int i = 0; i < 4; i++)
		str_free(&s[i]);
	str_free(&again);
	arena_free(a);
}

TEST(codegen, a_local_buffer_that_is_surely_written_first_has_no_fill)
{
	struct arena *a = arena_new(NULL);
	const struct lir_func *f = parse(a, "func f(x: f32[4], out y: f32[4]) {\n"
					    "  alloc one: f32[1]\n"
					    "  one[0] = x[0]\n"
					    "  y[0] = one[0]\n"
					    "}\n");
	struct str s[2] = {0};
	struct codegen_shape shape;

	cr_assert(codegen_emit("c", f, &s[0], &shape, NULL));
	cr_expect_not(shape.fills);
	cr_assert(codegen_emit_filled("c", f, (struct fill){FILL_ZERO, 0}, &s[1], &shape, NULL));
	cr_expect_str_eq(str_text(&s[0]), str_text(&s[1]));
	str_free(&s[0]);
	str_free(&s[1]);
	arena_free(a);
}

TEST(codegen, names_of_the_language_and_of_the_text_itself_are_kept_apart)
{
	struct arena *a = arena_new(NULL);
	const char *s = emit(a, "func f(int: f32[4], out float: f32[4]) {\n"
				"  for part in 0..4 serial {\n"
				"    let max_f32 = max(int[part], 0.0)\n"
				"    let expf = exp(max_f32)\n"
				"    let in0 = expf\n"
				"    let v_ = in0\n"
				"    float[part] = v_\n"
				"  }\n"
				"}\n");

	cr_expect(has(s, "const f32 max_f32_ = max_f32(in0[part_], 0.0f);"), "%s", s);
	cr_expect(has(s, "const f32 expf_ = expf(max_f32_);"), "%s", s);
	cr_expect(has(s, "const f32 in0_ = expf_;"), "%s", s);
	cr_expect(has(s, "out0[part_] = v__;"), "%s", s);
	arena_free(a);
}

TEST(codegen, the_functions_name_is_not_in_the_text)
{
	struct arena *a = arena_new(NULL);

	cr_expect_str_eq(emit(a, "func a(x: f32[4], out y: f32[4]) {\n  y[0] = x[0]\n}\n"),
			 emit(a, "func b(p: f32[4], out q: f32[4]) {\n  q[0] = p[0]\n}\n"));
	arena_free(a);
}

TEST(codegen, narrow_stores_go_to_the_narrow_place)
{
	struct arena *a = arena_new(NULL);
	const char *s = emit(a, "func f(x: f32[64], out y: f32[64]) {\n"
				"  y[3] as i8 = cast(i8, x[0])\n"
				"  y[ramp(16, 2, 4)] = x[ramp(0, 3, 4)]\n"
				"}\n");

	cr_expect(has(s, "((i8 *)out0)[3] = (i8)(i32)in0[0];\n"), "%s", s);
	cr_expect(has(s, "p_[0] = v_[0]; p_[2] = v_[1]; p_[4] = v_[2]; p_[6] = v_[3]; }\n"), "%s", s);
	arena_free(a);
}

TEST(codegen, too_much_unrolling_stays_a_loop)
{
	struct arena *a = arena_new(NULL);
	const char *s = emit(a, "func f(x: f32[9000], out y: f32[9000]) {\n"
				"  for i in 0..5000 unrolled {\n"
				"    y[i] = x[i]\n"
				"  }\n"
				"  for j in 0..3 unrolled {\n"
				"    y[j] = x[j]\n"
				"  }\n"
				"}\n");

	cr_expect(has(s, "for (i64 i = 0; i < 5000; i++) {\n"), "%s", s);
	cr_expect(has(s, "out0[2] = in0[2];\n"), "%s", s);
	cr_expect_lt(strlen(s), 1000u);
	arena_free(a);
}

static void expect_refused(const char *dialect, const char *text, const char *want)
{
	struct arena *a = arena_new(NULL);
	struct codegen_shape shape;
	struct str s = {0};
	struct err e = {0};

	cr_expect(!codegen_emit(dialect, parse(a, text), &s, &shape, &e));
	cr_expect_str_eq(err_text(&e), want);
	cr_expect_eq(s.n, 0u);
	err_free(&e);
	str_free(&s);
	arena_free(a);
}

TEST(codegen, what_cannot_be_written_is_refused)
{
	expect_refused("cobol", "func f(out y: f32[4]) {\n  y[0] = 1.0\n}\n", "no dialect 'cobol' in this build");
	expect_refused("c", "func f(out y: f32[4]) {\n  y[0] = 1.0\n  for i in 0..4 parallel {\n    y[i] = 1.0\n  }\n}\n",
		       "a store to 'y' outside the parallel loop");
	expect_refused(
	    "c",
	    "func f(out y: f32[4]) {\n  alloc big: f64[1000000]\n  for i in 0..4 serial {\n    y[i] = cast(f32, big[i])\n  }\n}\n",
	    "local buffer 'big' is too large for the stack");
}
