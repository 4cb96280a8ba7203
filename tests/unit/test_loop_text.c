/* test_loop_text.c: the loop IR's text: everything printed is read back, everything else is an error with a place */
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "loop/loop.h"
#include "test_support.h"

static struct lir_func *parse(struct arena *a, const char *text)
{
	struct lir_func *f = NULL;
	struct err e = {0};

	cr_assert(lir_parse(a, "t.lir", text, strlen(text), &f, &e), "%s", err_text(&e));
	return f;
}

static void expect_round_trip(const char *text)
{
	struct arena *a = arena_new(NULL);
	struct str s = {0};

	lir_print(&s, parse(a, text));
	cr_expect_str_eq(str_text(&s), text);
	str_free(&s);
	arena_free(a);
}

TEST(loop_text, every_statement_kind_is_read_back)
{
	expect_round_trip(
	    "func \"conv/1.part\\x22\"(x: f32[2, 3] strides [4, 1] offset 1 elements 9, s: i64[], out y: i32[4, 16]) contract {\n"
	    "  alloc acc: f32[16]\n"
	    "  alloc one: f16[]\n"
	    "  for i in 0..4 parallel {\n"
	    "    let n = s[] + i\n"
	    "    for j in i - 1..+n serial {\n"
	    "      if j >= 2 && !(j == 3) {\n"
	    "        acc[j] = 1.0\n"
	    "      } else {\n"
	    "        {\n"
	    "          let v = x[0, j]\n"
	    "          acc[j] = v\n"
	    "        }\n"
	    "        acc[0] = -nan\n"
	    "      }\n"
	    "    }\n"
	    "    for k in 0..0 unrolled {\n"
	    "    }\n"
	    "    if i < 1 {\n"
	    "      y[i, ramp(0, 1, 16)] as i8 = cast(i8, acc[ramp(0, 1, 16)])\n"
	    "    }\n"
	    "  }\n"
	    "}\n");
}

TEST(loop_text, every_expression_kind_and_precedence_is_read_back)
{
	expect_round_trip("func f(x: f32[64], h: f16[8], b: bf16[8], q: u8[8], out y: f32[64], out z: i32[64]) {\n"
			  "  for i in 0..4 serial {\n"
			  "    let v = x[ramp(i * 16, 1, 16)] * broadcast(x[i], 16) + broadcast(0.1, 16)\n"
			  "    let m = v > broadcast(0.0, 16) && !(v == broadcast(inf, 16))\n"
			  "    y[ramp(i * 16, 1, 16)] = select(m, fma(v, v, v), select(i == 0, v, exp(v)))\n"
			  "    y[0] = lane(v, 15) - (lane(v, 0) - lane(v, 1)) - 1e-45\n"
			  "    z[1] = bitcast(i32, x[2]) << 3:i32 & -1:i32 | (4:i32 ^ 5:i32) % 7:i32\n"
			  "    z[2] = cast(i32, q[3] >> 1:u8) + cast(i32, 255:u8) * (cast(i32, true) - 2147483647:i32)\n"
			  "    z[ramp(0, 2, 4)] = broadcast(-2147483648:i32, 4)\n"
			  "    y[1] = cast(f32, h[i] + 6.55e+04:f16) / cast(f32, b[i] * 3.14:bf16)\n"
			  "    y[2] = cast(f32, pow(cast(f64, x[i]), 0.1:f64))\n"
			  "    y[3] = select(isnan(x[i]) || isinf(x[i]), min(x[i], 1e+20), max(x[i + 1], -0.0))\n"
			  "    y[4] = cast(f32, 18446744073709551615:u64)\n"
			  "    if 1 < 2 == (i / 2 - (i - 1) >= 0 != false) {\n"
			  "      y[5] = -inf\n"
			  "    }\n"
			  "  }\n"
			  "}\n");
}

static void expect_error(const char *text, const char *want)
{
	struct arena *a = arena_new(NULL);
	struct lir_func *f;
	struct err e = {0};

	cr_expect(!lir_parse(a, "t.lir", text, strlen(text), &f, &e), "accepted: %s", text);
	cr_expect(strstr(err_text(&e), want), "'%s' lacks '%s'", err_text(&e), want);
	err_free(&e);
	arena_free(a);
}

TEST(loop_text, wrong_text_is_an_error_that_names_its_place)
{
	expect_error("", "empty");
	expect_error("func f(out y: f32[2]) {\n  y[0] = $\n}", "t.lir:2:10: unexpected byte 0x24");
	expect_error("func f(out y: f32[2]) {\n  y[i] = 0.0\n}", "t.lir:2:5: 'i' is not defined");
	expect_error("func f(out y: f32[2]) {\n  for i in 0..2 serial {\n  }\n  y[i] = 0.0\n}", "4:5: 'i' is out of scope");
	expect_error("func f(out y: f32[2]) {\n  y[0] = 300:u8\n}", "2:10: the integer does not fit u8");
	expect_error("func f(out y: f32[2]) {\n  y[0] = 9223372036854775808\n}", "does not fit i64");
	expect_error("func f(out y: f32[2], y: f32[1]) {\n}", "an input after an output");
	expect_error("func f(y: f32[2], y: f32[1]) {\n}", "the name 'y' is used twice");
	expect_error("func f(for: f32[2]) {\n}", "a name expected");
	expect_error("func f(y: f32[1099511627776, 1099511627776]) {\n}", "impossible dims");
	expect_error("func f(y: f32[-1]) {\n}", "impossible dims");
	expect_error("func f(out y: f32[2]) {\n  y[0] = 0.0", "'}' expected");
	expect_error("func f(out y: f32[2]) {\n  for i in 1..2 serial {\n  }\n}", "'..' needs 0");
	expect_error("func f(out y: f32[2]) {\n} x", "text after the function");
	expect_error("func f(out y: f32[2]) {\n  y[0] = foo(1)\n}", "'foo' is not a function");
	expect_error("func f(x: f32[2], out y: f32[2]) {\n  y[0] = broadcast(0.0, 17)\n}", "17 lanes");
}

TEST(loop_text, the_verifier_names_the_statement_and_every_mistake)
{
	expect_error("func f(x: f32[2], out y: f32[2]) {\n  y[0] = x[0] + 1\n}",
		     "the right operand is i64, not f32 in 'y[0] = x[0] + 1'");
	expect_error("func f(x: f32[2], out y: f32[2]) {\n  x[0] = 1.0\n}", "a store to the input 'x'");
	expect_error("func f(x: f32[2], out y: f32[2]) {\n  y[0, 1] = 1.0\n}", "'y' has 1 dims and 2 indices");
	expect_error("func f(x: f32[2], out y: f32[2]) {\n  y[0] as f64 = 1.0:f64\n}", "wider than its elements");
	expect_error("func f(x: f32[2], out y: f32[2]) {\n  y[0] as i8 = 1.0\n}", "the stored value is f32, not i8");
	expect_error("func f(x: f32[2], out y: f32[2]) {\n  y[0:i32] = 1.0\n}", "an index is i32, not i64");
	expect_error("func f(x: f32[2], out y: f32[2]) {\n  if x[0] {\n  }\n}", "the condition is f32, not bool");
	expect_error("func f(x: f32[2], out y: f32[2]) {\n  y[0] = x[0] % x[1]\n}", "'%' does not take f32");
	expect_error("func f(x: f32[2], out y: f32[2]) {\n  y[0] = lane(x[0], 0)\n}", "lane 0 of f32");
	expect_error("func f(x: f32[2], out y: f32[2]) {\n  y[0] = abs(1:i32)\n}", "'abs' does not take i32");
	expect_error("func f(x: f32[2], out y: f32[2]) {\n  y[0] = bitcast(f32, 1)\n}", "bitcast from i64 to f32");
	expect_error("func f(x: f32[8], out y: f32[8]) {\n  y[ramp(0, 1, 3)] = x[ramp(0, 1, 3)]\n}", "3 lanes");
	expect_error("func f(x: f32[2], out y: f32[2]) {\n  for i in 0..2 serial {\n    for j in 0..2 parallel {\n    }\n  }\n}",
		     "a second or an inner parallel loop");
	expect_error("func f(x: f32[2], out y: f32[2]) {\n  y[0] = 1\n  y[1] = 2\n}",
		     "'y[0] = 1'; the stored value is i64, not f32 in 'y[1] = 2'");
}

static void expect_nesting_error(const char *before, const char *repeated, int times, const char *want)
{
	struct str s = {0};

	str_add(&s, before);
	for (int i = 0; i < times; i++)
		str_add(&s, repeated);
	expect_error(str_text(&s), want);
	str_free(&s);
}

TEST(loop_text, nesting_without_end_is_an_error_and_no_stack_overflow)
{
	expect_nesting_error("func f(out y: f32[2]) {\n  y[0] = ", "(", 1000000, "nests deeper");
	expect_nesting_error("func f(out y: f32[2]) {\n  y[0] = ", "!", 1000000, "nests deeper");
	expect_nesting_error("func f(out y: f32[2]) {\n  y[0] = ", "exp(", 100000, "nests deeper");
	expect_nesting_error("func f(out y: f32[2]) {\n  y[", "y[", 100000, "nests deeper");
	expect_nesting_error("func f(out y: f32[2]) {\n  y[0] = 1.0", " + 1.0", 100000, "nests deeper");
	expect_nesting_error("func f(out y: f32[2]) {\n", "{", 1000000, "braces nest deeper");
	expect_nesting_error("func f(out y: f32[2]) {\n", "if true {", 100000, "braces nest deeper");
}

TEST(loop_text, the_hash_is_that_of_the_text_without_the_name)
{
	struct arena *a = arena_new(NULL);
	struct lir_func *f = parse(a, "func f(out y: f32[2]) {\n  y[0] = 1.0\n}\n");
	struct lir_func *g = parse(a, "# a comment\nfunc g(out y: f32[2]) { y[0] = 1.0 }");
	struct lir_func *h = parse(a, "func f(out y: f32[2]) {\n  y[0] = 2.0\n}\n");

	cr_expect(hash_eq(lir_hash(f), lir_hash(g)));
	cr_expect(!hash_eq(lir_hash(f), lir_hash(h)));
	arena_free(a);
}
