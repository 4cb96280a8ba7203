/* test_loop_race.c: the interpreter finds iterations of the parallel loops that are not independent, and only those */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "loop/loop.h"
#include "test_support.h"

/* Runs f(x: 8 inputs, out y: 8 elements, or 8 bytes of narrow ones), with y holding values. */
static struct lir_interp_result run(const char *text, bool races)
{
	struct lir_interp_options o = {.outputs_initialised = true, .races = races};
	float x[8] = {1, 2, 3, 4, 5, 6, 7, 8}, y[8] = {0};
	struct arena *a = arena_new(NULL);
	struct lir_interp_result r = {0};
	struct lir_func *f = NULL;
	struct err e = {0};

	cr_assert(lir_parse(a, "t.lir", text, strlen(text), &f, &e), "%s", err_text(&e));
	cr_assert(lir_interp(f, (void *[]){x, y}, &o, &r, &e), "%s", err_text(&e));
	r.buffer = NULL;
	arena_free(a);
	return r;
}

static void expect_race(const char *text, int64_t element)
{
	struct lir_interp_result r = run(text, true);

	cr_expect_eq(r.fault, LIR_FAULT_RACE, "no race, but '%s' in %s", r.text, text);
	cr_expect_eq(r.index, element, "element %lld in %s", (long long)r.index, text);
	r = run(text, false);
	cr_expect_eq(r.fault, LIR_OK, "not looked for, but '%s'", r.text);
}

static void expect_none(const char *text)
{
	struct lir_interp_result r = run(text, true);

	cr_expect_eq(r.fault, LIR_OK, "'%s' in %s", r.text, text);
	cr_expect_eq(r.unwritten, 0u);
}

#define FUNC(BODY) "func f(x: f32[8], out y: f32[8]) { " BODY " }"

TEST(loop_race, two_iterations_that_write_one_element)
{
	expect_race(FUNC("for i in 0..8 parallel { y[i / 2] = x[i] }"), 0);
	expect_race(FUNC("for i in 0..8 parallel { y[min(i, 5)] = x[i] }"), 5);
	expect_race(FUNC("for i in 0..8 parallel { for j in 0..2 serial { y[(i + j) % 8] = x[i] } }"), 1);
}

TEST(loop_race, an_iteration_that_reads_what_another_writes)
{
	/* before and after the write */
	expect_race(FUNC("for i in 0..7 parallel { y[i] = y[i + 1] }"), 1);
	expect_race(FUNC("for i in 0..7 parallel { y[i + 1] = y[i] }"), 1);
	/* many readers first */
	expect_race(FUNC("for i in 0..8 parallel { if i < 7 { y[i] = select(i < 4, y[7], 0.0) } else { y[i] = 1.0 } }"), 7);
}

TEST(loop_race, the_loops_of_a_chain_are_one_space)
{
	expect_race(FUNC("for i in 0..2 parallel { for j in 0..4 parallel { y[j] = x[i] } }"), 0);
	expect_race(FUNC("for i in 0..2 parallel { for j in 0..4 parallel { y[i] = x[j] } }"), 0);
	expect_none(FUNC("for i in 0..2 parallel { for j in 0..4 parallel { y[i * 4 + j] = x[j] } }"));
}

TEST(loop_race, what_stands_outside_is_no_step_before_or_behind)
{
	expect_race(FUNC("let s = y[3] for i in 0..8 parallel { y[i] = s }"), 3);
	expect_race(FUNC("for i in 0..2 parallel { for j in 0..cast(i64, y[5]) + 4 parallel { y[i * 4 + j] = x[j] } }"), 5);
	expect_none(FUNC("let s = x[3] for i in 0..8 parallel { y[i] = s }"));
}

TEST(loop_race, vectors_and_narrow_stores_count_by_bytes)
{
	expect_race(FUNC("for i in 0..3 parallel { y[ramp(i * 2, 1, 4)] = broadcast(x[i], 4) }"), 2);
	expect_none(FUNC("for i in 0..2 parallel { y[ramp(i * 4, 1, 4)] = broadcast(x[i], 4) }"));
	/* elements 0 and 1 as u8 lie in one f32 */
	expect_none(FUNC("for i in 0..8 parallel { y[i] as u8 = 7:u8 }"));
	expect_race(FUNC("for i in 0..8 parallel { y[i % 4] as u8 = 7:u8 }"), 0);
}

TEST(loop_race, a_local_buffer_from_outside_carries_nothing_between_iterations)
{
	expect_race(FUNC("alloc t: f32[2] t[0] = 0.0 for i in 0..8 parallel { t[0] = t[0] + x[i] y[i] = t[0] }"), 0);
	expect_race(FUNC("alloc t: f32[2] t[0] = 0.0 for i in 0..8 parallel { if i < 1 { t[1] = 1.0 } y[i] = t[1] }"), 1);
	expect_none(FUNC("alloc t: f32[2] t[0] = 3.0 for i in 0..8 parallel { t[1] = x[i] y[i] = t[1] + t[0] }"));
	expect_none(FUNC("for i in 0..8 parallel { alloc t: f32[1] t[0] = x[i] t[0] = t[0] + 1.0 y[i] = t[0] }"));
}

TEST(loop_race, one_iteration_and_serial_loops_may_do_what_they_like)
{
	expect_none(FUNC("for i in 0..8 parallel { y[i] = x[i] for j in 0..3 serial { y[i] = y[i] + x[j] } }"));
	expect_none(FUNC("for i in 0..8 serial { y[i / 2] = y[7] + x[i] }"));
}

TEST(loop_race, an_output_is_still_unwritten_until_it_is_stored)
{
	static const char text[] = FUNC("for i in 0..7 parallel { y[i] = x[i] }");
	struct lir_interp_options o = {.races = true};
	struct lir_interp_result r;
	struct arena *a = arena_new(NULL);
	struct lir_func *f;
	float x[8] = {0}, y[8];

	cr_assert(lir_parse(a, "t.lir", text, strlen(text), &f, NULL));
	cr_assert(lir_interp(f, (void *[]){x, y}, &o, &r, NULL));
	cr_expect_eq(r.fault, LIR_OK);
	cr_expect_eq(r.unwritten, 4u);
	arena_free(a);
}

static void disjoint(bool want, const char *text)
{
	struct arena *a = arena_new(NULL);
	struct lir_func *f = NULL;
	struct err e = {0};

	cr_assert(lir_parse(a, "t.lir", text, strlen(text), &f, &e), "%s", err_text(&e));
	cr_expect_eq(lir_iterations_disjoint(f), want, "%s", text);
	arena_free(a);
}

TEST(loop_race, iterations_that_keep_to_their_own_elements_are_proved_to_do_so)
{
	disjoint(true, FUNC("for i in 0..8 parallel { y[i] = x[i / 2] }"));
	disjoint(true, FUNC("for i in 0..2 parallel { for j in 0..4 serial { y[i * 4 + j] = x[j] } }"));
	disjoint(true, FUNC("for i in 0..2 parallel { let k = i * 4\n for j in 0..4 serial { y[k + j] = y[k + j] + x[j] } }"));
	disjoint(true, "func f(x: f32[8], out y: f32[2, 4]) { for i in 0..2 parallel { for j in 0..4 parallel { y[i, j] = x[j] } } }");
	disjoint(true, FUNC("for i in 0..1 parallel { for j in 0..8 serial { y[j] = x[j] } }"));
	disjoint(true, FUNC("for j in 0..8 serial { y[j] = x[j] }"));
	/* guards keep an index in range; one dim tells several loops, quotient and remainder tell one */
	disjoint(true, FUNC("for i in 0..9 parallel { if i < 8 { y[i] = x[i] } }"));
	disjoint(true, FUNC("for i in 0..2 parallel { for j in 0..2 parallel { for k in 0..2 serial { y[i * 4 + j * 2 + k] = x[k] } } }"));
	disjoint(true, "func f(x: f32[8], out y: f32[2, 4]) { for p in 0..8 parallel { let q = p / 4\n let r = p % 4\n y[q, r] = x[p] } }");
	disjoint(true, "func f(x: f32[8], out y: f32[2, 12]) { for p in 0..8 parallel { let r = p % 4 * 3\n for k in 0..3 serial { y[p / 4, r + k] = x[p] } } }");
}

TEST(loop_race, what_is_not_proved_to_be_apart_is_not)
{
	disjoint(false, FUNC("for i in 0..8 parallel { y[i / 2] = x[i] }"));
	disjoint(false, FUNC("for i in 0..8 parallel { y[0] = x[i] }"));
	disjoint(false, FUNC("for i in 0..9 parallel { if i < 9 { y[i] = x[0] } }"));
	disjoint(false, "func f(x: f32[8], out y: f32[2, 4]) { for p in 0..8 parallel { let q = p / 4\n let r = p % 3\n y[q, r] = x[p] } }");
	disjoint(false, "func f(x: f32[8], out y: f32[2, 4]) { for p in 0..8 parallel { let q = p / 4\n let r = p % 4\n y[q, r] = x[p]\n y[1 - q, r] = 0.0 } }");
	disjoint(false, FUNC("for i in 0..2 parallel { for j in 0..2 parallel { for k in 0..3 serial { y[i * 4 + j * 2 + k] = x[k] } } }"));
	disjoint(false, FUNC("for i in 0..2 parallel { for j in 0..5 serial { y[i * 4 + j] = x[j] } }"));
	disjoint(false, FUNC("for i in 0..7 parallel { y[i + 1] = y[i] }"));
	disjoint(false, FUNC("for i in 0..9 parallel { y[i] = x[0] }"));
	/* the end of a row is the start of the next */
	disjoint(false, "func f(x: f32[8], out y: f32[2, 4]) { for i in 0..2 parallel { for j in 1..+4 serial { y[i, j] = x[j] } } }");
	disjoint(false, "func f(x: f32[8], out y: f32[2, 4]) { for i in 0..2 parallel { for j in 0..4 parallel { y[i, 0] = x[j] } } }");
	disjoint(false, FUNC("for i in 0..8 parallel { y[i] as f16 = cast(f16, x[i]) }"));
	disjoint(false, "func f(n: i64[1], out y: f32[8]) { for i in 0..n[0] parallel { y[i] = 1.0 } }");
}

static uint64_t state;

static int any(int low, int high)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return low + (int)((state >> 33) % (uint64_t)(high - low + 1));
}

/* Sums of a few of the loops' variables, of quotients and remainders, in a buffer of 6 x 24. */
static void random_store(char *out, size_t n)
{
	static const char *const part[] = {"p", "s", "q", "r", "k", "p", "s"};
	char index[2][96];

	for (int d = 0; d < 2; d++)
		snprintf(index[d], sizeof index[d], "%s * %d + %s * %d + %d", part[any(0, 6)], any(0, d ? 12 : 2), part[any(0, 6)], any(0, d ? 6 : 1), any(0, 1));
	snprintf(out, n,
		 "func f(x: f32[8], out y: f32[6, 24]) { for p in 0..%d parallel { for s in 0..%d parallel { let q = p / %d\n let r = p %% %d\n"
		 " for k in 0..%d serial { if %s + %s <= %d { y[%s, %s] = x[0] } } } } }",
		 any(1, 6), any(1, 3), any(2, 3), any(2, 3), any(1, 3), part[any(0, 6)], part[any(0, 6)], any(2, 9), index[0], index[1]);
}

TEST(loop_race, random_functions_that_are_proved_apart_have_no_race)
{
	struct lir_interp_options o = {.outputs_initialised = true, .races = true};
	int proved = 0;

	for (int i = 0; i < 20000; i++) {
		struct arena *a = arena_new(NULL);
		float x[8] = {0}, y[144] = {0};
		struct lir_interp_result r;
		struct lir_func *f;
		struct err e = {0};
		char text[512];

		random_store(text, sizeof text);
		cr_assert(lir_parse(a, "t.lir", text, strlen(text), &f, &e), "%s: %s", text, err_text(&e));
		if (lir_iterations_disjoint(f)) {
			proved++;
			cr_assert(lir_interp(f, (void *[]){x, y}, &o, &r, &e));
			cr_expect_neq(r.fault, LIR_FAULT_RACE, "%s: %s", text, r.text);
		}
		arena_free(a);
	}
	cr_expect_gt(proved, 500, "only %d are proved", proved);
}
