/* test_loop_bounds.c: which accesses are proved in range, which leave, and that the interpreter agrees
 *
 * MUTATENN_FUZZ_ROUNDS sets how many random functions are tried (default 4000), MUTATENN_FUZZ_SEED the first one's seed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "fuzz_access.h"
#include "fuzz_func.h"
#include "loop/loop.h"
#include "test_support.h"

static struct lir_bounds bounds_of(struct arena *a, const char *text)
{
	struct lir_func *f;
	struct err e = {0};
	struct lir_bounds b;

	cr_assert(lir_parse(a, "test", text, strlen(text), &f, &e), "%s", err_text(&e));
	lir_bounds(f, &b);
	if (b.buffer) /* the function's, which goes away with the arena */
		b.buffer = NULL;
	return b;
}

static void expect(const char *body, enum lir_bounds_kind kind, const char *text)
{
	struct arena *a = arena_new(NULL);
	char func[2048];
	struct lir_bounds b;

	snprintf(func, sizeof func,
		 "func f(x: f32[4, 8], n: i64[16], v: f32[3, 2] strides [8, 1] offset 2 elements 20, out y: f32[8]) {\n%s\n}\n",
		 body);
	b = bounds_of(a, func);
	cr_expect_eq(b.kind, kind, "%s: %s instead of %s: %s", body, lir_bounds_name(b.kind), lir_bounds_name(kind), b.text);
	cr_expect_str_eq(b.text, text, "%s", body);
	arena_free(a);
}

TEST(bounds, loops_and_sums_of_their_variables_are_proved)
{
	expect("for i in 0..4 serial { for j in 0..2 serial { y[i * 2 + j] = x[i, j + 6] } }", LIR_BOUNDS_IN_RANGE, "");
	expect("for p in 0..32 serial { y[p % 8] = x[p / 8, p % 8] }", LIR_BOUNDS_IN_RANGE, "");
	expect("for i in 2..+6 serial { y[i - 2] = x[0, 9 - i] }", LIR_BOUNDS_IN_RANGE, "");
	expect("for i in 0..3 serial { y[i] = v[i, 1] }", LIR_BOUNDS_IN_RANGE, "");
	expect("for i in 0..0 serial { y[i + 100] = 0.0 }", LIR_BOUNDS_IN_RANGE, "");
}

TEST(bounds, guards_are_taken_into_account)
{
	expect("for i in 0..20 serial { if i >= 4 && i < 12 { y[i - 4] = 0.0 } }", LIR_BOUNDS_IN_RANGE, "");
	expect("for i in 0..20 serial { if i < 4 || i > 11 { y[0] = 1.0 } else { y[i - 4] = 0.0 } }", LIR_BOUNDS_IN_RANGE, "");
	expect("for i in 0..8 serial { y[i] = select(i - 3 >= 0, x[0, i - 3], 0.0) }", LIR_BOUNDS_IN_RANGE, "");
	expect("for i in 0..8 serial { let k = i >= 2 && !(i > 5)\ny[i] = select(k, x[i - 2, 0], 0.0) }", LIR_BOUNDS_IN_RANGE, "");
	expect("for i in 0..16 serial { if i < 8 { if cast(f32, i) + 0.5 < 8.0 { y[i] = 0.0 } } }", LIR_BOUNDS_IN_RANGE, "");
	expect("for i in 0..16 serial { if i * 1 != 16 { if i < 9 && i != 8 { y[i] = 0.0 } } }", LIR_BOUNDS_IN_RANGE, "");
}

TEST(bounds, indices_from_data_are_proved_when_they_are_clamped)
{
	expect("let i = n[0]\ny[max(min(i, 7), 0)] = 0.0", LIR_BOUNDS_IN_RANGE, "");
	expect("let i = n[0]\nlet j = select(i < 0, i + 8, i)\nif j >= 0 && j < 8 { y[j] = 0.0 }", LIR_BOUNDS_IN_RANGE, "");
	expect("let i = n[0]\ny[(i % 8 + 8) % 8] = 0.0", LIR_BOUNDS_IN_RANGE, "");
	expect("alloc c: i64[]\nc[] = 0\nfor i in 0..16 serial { if n[i] > 3 { c[] = c[] + 1 } }\nlet k = c[]\nif k < 8 { y[k] = "
	       "0.0 }",
	       LIR_BOUNDS_IN_RANGE, "");
	expect("y[n[0]] = 0.0", LIR_BOUNDS_MAY_LEAVE, "a write to 'y' out of bounds: index that is not known in dim 0 of size 8");
	expect("alloc c: i64[]\nc[] = 0\nfor i in 0..16 serial { if n[i] > 3 { c[] = c[] - 1 } }\nlet k = c[]\nif k < 8 { y[k] = "
	       "0.0 }",
	       LIR_BOUNDS_MAY_LEAVE, "a write to 'y' out of bounds: index that is not known in dim 0 of size 8");
}

TEST(bounds, bounds_that_depend_on_other_variables_are_related)
{
	expect("for t in 0..3 serial { for i in 0..min(3, 8 - t * 3) serial { y[t * 3 + i] = 0.0 } }", LIR_BOUNDS_IN_RANGE, "");
	expect("for t in 0..8 serial { for i in t..+8 - t serial { y[i] = 0.0 } }", LIR_BOUNDS_IN_RANGE, "");
	expect("for i in 0..8 serial { for j in 0..8 serial { if j >= i { y[j - i] = 0.0 } } }", LIR_BOUNDS_IN_RANGE, "");
	expect("for i in 0..8 serial { let m = select(i < 0, 0 - i, i)\ny[select(m > 7, 14 - m, m)] = 0.0 }", LIR_BOUNDS_IN_RANGE,
	       "");
}

TEST(bounds, an_iteration_that_certainly_leaves_is_named)
{
	expect("for i in 0..9 serial { y[i] = 0.0 }", LIR_BOUNDS_LEAVES,
	       "a write to 'y' out of bounds: index 8 in dim 0 of size 8 with i = 8");
	expect("for i in 0..9 serial { if i != 8 || n[0] > 3 { y[i] = 0.0 } }", LIR_BOUNDS_MAY_LEAVE,
	       "a write to 'y' out of bounds: index 0..8 in dim 0 of size 8");
	expect("for i in 0..8 serial { let k = i - 1\nif k >= 0 || i == 0 { y[i] = x[0, k] } }", LIR_BOUNDS_LEAVES,
	       "a read of 'x' out of bounds: index -1 in dim 1 of size 8 with i = 0");
	expect("y[ramp(1, 1, 8)] = broadcast(0.0, 8)", LIR_BOUNDS_LEAVES,
	       "a write to 'y' out of bounds: index 8 in dim 0 of size 8");
	expect("for i in 0..n[0] serial { y[i] = 0.0 }", LIR_BOUNDS_MAY_LEAVE,
	       "a write to 'y' out of bounds: index that is not known in dim 0 of size 8");
}

TEST(bounds, the_memory_behind_a_view_has_bounds_too)
{
	struct arena *a = arena_new(NULL);
	struct lir_bounds b =
	    bounds_of(a, "func f(v: f32[3, 2] strides [8, 1] offset 2 elements 19, out y: f32[]) {\n  y[] = v[2, 1]\n}\n");

	cr_expect_eq(b.kind, LIR_BOUNDS_LEAVES);
	cr_expect_eq(b.dim, -1);
	cr_expect_str_eq(b.text, "a read of 'v' out of bounds: element 19 of 19");
	arena_free(a);
}

/* ---- random functions ---- */

/* Under several data: never outside when proved in range, always when certain to leave. */
static void expect_agrees(const struct lir_func *f, uint64_t seed, int *count)
{
	struct lir_bounds b;
	struct str text = {0};

	lir_bounds(f, &b);
	lir_print(&text, f);
	for (int d = 0; d < FUZZ_ACCESS_DATA; d++) {
		struct arena *a = arena_new(NULL);
		struct lir_interp_options o = {.outputs_initialised = true};
		struct lir_interp_result r;
		struct err e = {0};
		bool left;

		cr_assert(lir_interp(f, fuzz_access_data(a, f, d), &o, &r, &e), "%s", err_text(&e));
		left = r.fault == LIR_FAULT_BOUNDS_READ || r.fault == LIR_FAULT_BOUNDS_WRITE;
		cr_expect(b.kind != LIR_BOUNDS_IN_RANGE || !left, "seed %llu is proved in range: %s\n%s", (unsigned long long)seed,
			  r.text, str_text(&text));
		cr_expect(b.kind != LIR_BOUNDS_LEAVES || r.fault, "seed %llu must leave: %s\n%s", (unsigned long long)seed, b.text,
			  str_text(&text));
		arena_free(a);
	}
	count[b.kind]++;
	str_free(&text);
}

TEST(bounds, the_interpreter_agrees_on_random_functions)
{
	long first = fuzz_setting("MUTATENN_FUZZ_SEED", 1), rounds = fuzz_setting("MUTATENN_FUZZ_ROUNDS", 4000);
	int count[3] = {0};

	for (long seed = first; seed < first + rounds; seed++) {
		struct arena *a = arena_new(NULL);

		expect_agrees(fuzz_access_func(a, (uint64_t)seed, 0), (uint64_t)seed, count);
		arena_free(a);
	}
	cr_log_info("%d in range, %d may leave, %d leave", count[0], count[1], count[2]);
	cr_expect(rounds < 1000 || (count[0] > rounds / 10 && count[2] > rounds / 10), "%d in range, %d may leave, %d leave",
		  count[0], count[1], count[2]);
}
