/* test_codegen_glsl.c: the text of compute shaders - its form, and what GLSL writes otherwise than C */
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "codegen/codegen.h"
#include "loop/loop.h"
#include "test_support.h"

static bool try_emit_as(const char *dialect, struct arena *a, const char *text, const char **out, struct codegen_shape *shape, struct err *e)
{
	struct lir_func *f = NULL;
	struct str s = {0};
	bool ok;

	cr_assert(lir_parse(a, "t.lir", text, strlen(text), &f, e), "%s", err_text(e));
	ok = codegen_emit(dialect, f, &s, shape, e);
	*out = arena_strdup(a, str_text(&s));
	str_free(&s);
	return ok;
}

static bool try_emit(struct arena *a, const char *text, const char **out, struct codegen_shape *shape, struct err *e)
{
	return try_emit_as("glsl", a, text, out, shape, e);
}

static const char *emit(struct arena *a, const char *text, struct codegen_shape *shape)
{
	struct err e = {0};
	const char *out;

	cr_assert(try_emit(a, text, &out, shape, &e), "%s", err_text(&e));
	return out;
}

static void expect_part(const char *text, const char *part)
{
	cr_expect(strstr(text, part), "'%s' is not in\n%s", part, text);
}

/* A kernel of one work-item: y = the expression, of inputs x, of the type. */
static const char *emit_value(struct arena *a, const char *type, const char *value)
{
	struct codegen_shape shape;

	return emit(a,
		    arena_printf(a, "func f(x: %s[8], out y: %s[8]) {\n  for i in 0..8 parallel {\n    y[i] = %s\n  }\n}\n", type,
				 type, value),
		    &shape);
}

TEST(codegen_glsl, a_chain_of_parallel_loops_becomes_work_items)
{
	struct arena *a = arena_new(NULL);
	struct codegen_shape shape;

	cr_expect_str_eq(emit(a,
			      "func relu(x: f32[40, 8], out y: f32[40, 8]) {\n"
			      "  for i in 0..40 parallel {\n"
			      "    for j in 0..8 parallel {\n"
			      "      y[i, j] = max(x[i, j - 1 + i], 0.0)\n"
			      "    }\n"
			      "  }\n"
			      "}\n",
			      &shape),
			 "#version 450\n"
			 "#extension GL_EXT_shader_explicit_arithmetic_types : require\n"
			 "#extension GL_EXT_shader_8bit_storage : require\n"
			 "#extension GL_EXT_shader_16bit_storage : require\n"
			 "layout(local_size_x = 64) in;\n"
			 "#define f32 float\n"
			 "#define FN \n"
			 "FN f32 max_f32(f32 a, f32 b) { return (a) > (b) ? a : b; }\n"
			 "layout(std430, set = 0, binding = 0) readonly buffer B0 { precise f32 v[]; } in0;\n"
			 "layout(std430, set = 0, binding = 1) buffer B1 { precise f32 v[]; } out0;\n"
			 "\n"
			 "void main()\n"
			 "{\n"
			 "\tfor (uint id_ = uint(gl_WorkGroupID.x + gl_WorkGroupID.y * gl_NumWorkGroups.x) * 64 + "
			 "gl_LocalInvocationID.x; id_ < 320; id_ += uint(gl_NumWorkGroups.x * gl_NumWorkGroups.y) * 64) {\n"
			 "\t\tconst int i = 0 + int(id_ / 8);\n"
			 "\t\tconst int j = 0 + int(id_ % 8);\n"
			 "\t\tout0.v[4096 + i * 8 + j] = max_f32(in0.v[4096 + i * 8 + j + i - 1], 0.0f);\n"
			 "\t}\n"
			 "}\n");
	cr_expect_eq(shape.group, 64u);
	cr_expect_eq(shape.groups, 5u);
	arena_free(a);
}

TEST(codegen_glsl, zeros_in_arithmetic_are_hidden_from_compilers)
{
	struct arena *a = arena_new(NULL);
	const char *s = emit_value(a, "f32", "x[i] * 0.0 + -0.0");

	expect_part(s, "#define ZERO (gl_NumWorkGroups.z - 1u)\n");
	expect_part(s, "* f32(ZERO) + (-0.0f)");
	expect_part(emit_value(a, "f16", "0.0:f16 / x[i]"), "f32_of_f16(f16(ZERO))");
	expect_part(emit_value(a, "f32", "max(x[i], 0.0)"), "max_f32(in0.v[4096 + i], 0.0f)");
	arena_free(a);
}

TEST(codegen_glsl, functions_bring_what_they_need_once)
{
	struct arena *a = arena_new(NULL);
	const char *s = emit_value(a, "f32", "tanh(x[i]) + exp(x[i]) + tanh(2.0)"), *first = strstr(s, "float exp_f32(float x)");

	cr_assert(first, "%s", s);
	cr_expect(!strstr(first + 1, "float exp_f32(float x)"));
	cr_expect(strstr(s, "float tanh_f32(float x)") > first);
	expect_part(s, "tanh_f32(in0.v[4096 + i]) + exp_f32(in0.v[4096 + i]) + tanh_f32(2.0f)");
	expect_part(emit_value(a, "f64", "sqrt(x[i])"), "sqrt(in0.v[4096 + i])");
	expect_part(emit_value(a, "bf16", "exp(x[i])"), "bf16_of_f32(exp_f32(f32_of_bf16(");
	arena_free(a);
}

TEST(codegen_glsl, numbers_that_do_not_fit_an_int_are_counted_in_64_bits)
{
	struct arena *a = arena_new(NULL);
	const char *s = emit_value(a, "i64", "x[i] + x[x[i]] * 4294967296");

	expect_part(s, "in0.v[int(4096 + ");
	expect_part(s, "4294967296L");
	arena_free(a);
}

TEST(codegen_glsl, processors_read_inputs_of_f32_as_images_in_few_groups)
{
	struct arena *a = arena_new(NULL);
	struct codegen_shape shape;
	struct err e = {0};
	const char *s;

	cr_assert(try_emit_as("glsl-cpu", a,
			      "func f(x: f32[40000], n: i32[40000], h: f16[40000], out y: f32[40000], out z: f32[40000]) {\n"
			      "  for i in 0..40000 parallel {\n"
			      "    y[i] = x[i + 3] + cast(f32, n[i]) + cast(f32, h[i])\n"
			      "    z[i] = y[i]\n"
			      "  }\n"
			      "}\n",
			      &s, &shape, &e),
		  "%s", err_text(&e));
	expect_part(s, "layout(r32f, set = 0, binding = 0) readonly uniform imageBuffer in0;\n");
	expect_part(s, "layout(std430, set = 0, binding = 1) readonly buffer B1 { i32 v[]; } in1;\n");
	expect_part(s, "layout(std430, set = 0, binding = 2) readonly buffer B2 { f16 v[]; } in2;\n");
	expect_part(s, "layout(std430, set = 0, binding = 3) buffer B3 { precise f32 v[]; } out0;\n");
	expect_part(s, "out0.v[4096 + i] = imageLoad(in0, 4096 + i + 3).x + f32(in1.v[4096 + i])");
	expect_part(s, "out1.v[4096 + i] = out0.v[4096 + i];\n");
	cr_expect_eq(shape.group, 16u);
	cr_expect_eq(shape.groups, 1024u);
	cr_assert(try_emit_as("glsl-cpu", a,
			      "func f(x: f32[8], n: i64[8], out y: f32[8]) {\n  for i in 0..8 parallel {\n    y[i] = x[n[i]]\n  }\n}\n", &s,
			      &shape, &e),
		  "%s", err_text(&e));
	expect_part(s, "imageLoad(in0, int(4096 + in1.v[int(4096 + i)])).x");
	cr_assert(try_emit_as("glsl-cpu", a,
			      "func f(x: f32[8], n: i32[8], out y: f32[8], out z: f32[8]) {\n  for i in 0..8 parallel {\n"
			      "    y[i] = select(i > 0, x[i - 1], 0.0)\n    z[i] = select(i > 0, x[cast(i64, n[i - 1])], 0.0)\n  }\n}\n",
			      &s, &shape, &e),
		  "%s", err_text(&e));
	expect_part(s, " = mix(0.0f, imageLoad(in0, int(4096 + i - 1)).x, i > 0);\n");
	expect_part(s, "i > 0 ? imageLoad(in0, "); /* an array in the place is not read for nothing */
	cr_expect_eq(shape.groups, 1u);
	arena_free(a);
}

TEST(codegen_glsl, what_glsl_cannot_say_is_refused)
{
	static const char *const value[][3] = {
	    {"f64", "exp(x[i])", "GLSL has no exp of doubles"},
	    {"f32", "lane(x[ramp(i, 1, 4)], 0)", "vectors of 4 lanes: this dialect has scalars only"},
	};
	struct arena *a = arena_new(NULL);

	for (size_t i = 0; i < sizeof value / sizeof *value; i++) {
		struct codegen_shape shape;
		struct err e = {0};
		const char *out;

		cr_expect(!try_emit(
		    a,
		    arena_printf(a, "func f(x: %s[8], out y: %s[8]) {\n  for i in 0..8 parallel {\n    y[i] = %s\n  }\n}\n",
				 value[i][0], value[i][0], value[i][1]),
		    &out, &shape, &e));
		cr_expect(strstr(err_text(&e), value[i][2]), "%s", err_text(&e));
		err_free(&e);
	}
	arena_free(a);
}
