/* test_loop_race.c: the interpreter finds iterations of the parallel loops that are not independent, and only those */
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
}

TEST(loop_race, what_is_not_proved_to_be_apart_is_not)
{
	disjoint(false, FUNC("for i in 0..8 parallel { y[i / 2] = x[i] }"));
	disjoint(false, FUNC("for i in 0..8 parallel { y[0] = x[i] }"));
	disjoint(false, FUNC("for i in 0..2 parallel { for j in 0..5 serial { y[i * 4 + j] = x[j] } }"));
	disjoint(false, FUNC("for i in 0..7 parallel { y[i + 1] = y[i] }"));
	disjoint(false, FUNC("for i in 0..9 parallel { y[i] = x[0] }"));
	/* the end of a row is the start of the next */
	disjoint(false, "func f(x: f32[8], out y: f32[2, 4]) { for i in 0..2 parallel { for j in 1..+4 serial { y[i, j] = x[j] } } }");
	disjoint(false, "func f(x: f32[8], out y: f32[2, 4]) { for i in 0..2 parallel { for j in 0..4 parallel { y[i, 0] = x[j] } } }");
	disjoint(false, FUNC("for i in 0..8 parallel { y[i] as f16 = cast(f16, x[i]) }"));
	disjoint(false, "func f(n: i64[1], out y: f32[8]) { for i in 0..n[0] parallel { y[i] = 1.0 } }");
}
