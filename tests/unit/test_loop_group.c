/* test_loop_group.c: thread loops, shared and private memory - text, verifier, interpreter, races, bounds */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "group_text.h"
#include "loop/loop.h"
#include "test_support.h"

static struct lir_func *parse(struct arena *a, const char *text)
{
	struct lir_func *f = NULL;
	struct err e = {0};

	cr_assert(lir_parse(a, "t.lir", text, strlen(text), &f, &e), "%s", err_text(&e));
	return f;
}

TEST(loop_group, what_is_printed_is_what_was_parsed)
{
	static const char *const text[] = {GROUP_PRODUCT, GROUP_TURN};
	struct arena *a = arena_new(NULL);

	for (int i = 0; i < 2; i++) {
		struct str s = {0};

		lir_print(&s, lir_func_clone(a, parse(a, text[i])));
		cr_expect_str_eq(str_text(&s), text[i]);
		str_free(&s);
	}
	arena_free(a);
}

static void expect_refused(const char *head, const char *body, const char *why)
{
	struct arena *a = arena_new(NULL);
	const char *text = arena_printf(a, "func f(x: f32[8], out y: f32[8])%s { %s }", head, body);
	struct lir_func *f = NULL;
	struct err e = {0};

	cr_assert(!lir_parse(a, "t.lir", text, strlen(text), &f, &e), "%s", text);
	cr_expect(strstr(err_text(&e), why), "'%s' is not in '%s'", why, err_text(&e));
	arena_free(a);
}

TEST(loop_group, a_barrier_stands_where_every_work_item_comes)
{
	expect_refused("", "for t in 0..8 thread { y[t] = x[t] }", "a thread loop in a function without a group");
	expect_refused(" group 8", "for t in 0..8 thread { for u in 0..8 thread { y[u] = x[t] } }", "a thread loop inside another");
	expect_refused(" group 8", "if x[0] < 0.0 { for t in 0..8 thread { y[t] = 1.0 } }", "an access to 'x' outside the thread loops");
	expect_refused(" group 8", "for t in 0..8 thread { y[t] = x[t] } y[0] = 1.0", "an access to 'y' outside the thread loops");
	expect_refused(" group 8", "for t in 0..8 thread { alloc s: f32[8] shared s[t] = 1.0 y[t] = s[t] }", "an alloc of 's' inside");
	expect_refused(" group 8", "alloc s: f32[8] for t in 0..8 thread { s[t] = 1.0 y[t] = s[t] }", "an alloc of 's' outside");
	expect_refused("", "alloc s: f32[8] shared for t in 0..8 serial { s[t] = 1.0 y[t] = s[t] }", "without one");
	expect_refused(" group 4096", "for t in 0..8 thread { y[t] = x[t] }", "a group of 4096 work-items");
	expect_refused(" group 0", "for t in 0..8 thread { y[t] = x[t] }", "a number of work-items");
}

static struct lir_interp_result run(const char *text, float *y, size_t ny)
{
	struct lir_interp_options o = {.races = true};
	struct arena *a = arena_new(NULL);
	struct lir_interp_result r = {0};
	struct lir_func *f = parse(a, text);
	struct err e = {0};
	float x[64], z[64];

	for (int i = 0; i < 64; i++) {
		x[i] = (float)(i % 7) - 3;
		z[i] = (float)(i % 5) - 2;
	}
	memset(y, 0, ny * sizeof *y);
	cr_assert(lir_interp(f, f->nparams == 2 ? (void *[]){x, y} : (void *[]){x, z, y}, &o, &r, &e), "%s", err_text(&e));
	r.buffer = NULL;
	arena_free(a);
	return r;
}

TEST(loop_group, the_interpreter_runs_work_items_to_each_barrier)
{
	struct lir_interp_result r;
	float y[64];

	r = run(GROUP_PRODUCT, y, 64);
	cr_assert_eq(r.fault, LIR_OK, "%s", r.text);
	cr_expect_eq(r.unwritten, 0u);
	for (int i = 0; i < 64; i++) {
		float want = 0;

		for (int k = 0; k < 6; k++)
			want += ((float)((i / 8 * 6 + k) % 7) - 3) * ((float)((k * 8 + i % 8) % 5) - 2);
		cr_expect_eq(y[i], want, "%d: %g and not %g", i, (double)y[i], (double)want);
	}
	r = run(GROUP_TURN, y, 64);
	cr_assert_eq(r.fault, LIR_OK, "%s", r.text);
	for (int i = 0; i < 36; i++)
		cr_expect_eq(y[i], (float)((i / 12 * 12 + 11 - i % 12) % 7) - 3 + (float)(i % 7) - 3, "%d: %g", i, (double)y[i]);
}

/* The text with `from` replaced once by `to`. */
static const char *changed(struct arena *a, const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);

	cr_assert(at);
	return arena_printf(a, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

TEST(loop_group, a_missing_barrier_is_a_race)
{
	static const char *const loops[] = {"for t_1 in 0..8 thread", "for t_2 in 0..16 thread", "for t_3 in 0..16 thread"};
	struct arena *a = arena_new(NULL);
	struct lir_interp_result r;
	float y[64];

	/* the first of two loops that write different arrays needs none: the second has one */
	for (int i = 0; i < 3; i++) {
		r = run(changed(a, GROUP_PRODUCT, loops[i], arena_printf(a, "%s_nobarrier", loops[i])), y, 64);
		cr_expect_eq(r.fault, i ? LIR_FAULT_RACE : LIR_OK, "%s: '%s'", loops[i], r.text);
	}
	cr_expect(strstr(r.text, "no barrier between"), "%s", r.text);
	r = run(changed(a, GROUP_TURN, "row[t] = x", "row[t / 2] = x"), y, 64);
	cr_expect_eq(r.fault, LIR_FAULT_RACE, "%s", r.text);
	r = run(changed(a, GROUP_TURN, "y[i, t_2] =", "y[i, t_2 / 2] ="), y, 64);
	cr_expect_eq(r.fault, LIR_FAULT_RACE, "%s", r.text);
	arena_free(a);
}

TEST(loop_group, accesses_of_shared_and_private_memory_are_proved_in_range)
{
	struct arena *a = arena_new(NULL);
	struct lir_bounds b;

	lir_bounds(parse(a, GROUP_PRODUCT), &b);
	cr_expect_eq(b.kind, LIR_BOUNDS_IN_RANGE, "%s", b.text);
	lir_bounds(parse(a, changed(a, GROUP_TURN, "row[11 - t_1]", "row[12 - t_1]")), &b);
	cr_expect_eq(b.kind, LIR_BOUNDS_LEAVES, "%s", b.text);
	arena_free(a);
}

TEST(loop_group, checks_are_written_into_functions_with_groups_too)
{
	struct arena *a = arena_new(NULL);
	float x[36], y[36] = {0}, mark[36] = {0};
	int32_t report[16] = {0};
	struct lir_instrumented out;
	struct lir_interp_options o = {.outputs_initialised = true};
	struct lir_interp_result r;
	struct lir_finding found;
	struct err e = {0};

	for (int i = 0; i < 36; i++)
		x[i] = (float)i;
	/* one element of the row is not written: 12 work-items read 12 elements */
	cr_assert(lir_instrument(a, parse(a, changed(a, GROUP_TURN, "for t in 0..12", "for t in 0..11")), NULL,
				 LIR_CHECK_BOUNDS | LIR_CHECK_INIT | LIR_CHECK_TRIPS, &out, &e),
		  "%s", err_text(&e));
	cr_assert(out.func);
	cr_assert(out.nextra <= 2 && out.nsites < 16);
	cr_assert(lir_interp(out.func, out.nextra == 2 ? (void *[]){x, y, mark, report} : (void *[]){x, y, report}, &o, &r, &e), "%s",
		  err_text(&e));
	cr_assert_eq(r.fault, LIR_OK, "%s", r.text);
	cr_assert(lir_finding(&out, report, &found));
	cr_expect(strstr(found.text, "a read of 'row' before it was written: element 11"), "%s", found.text);
	arena_free(a);
}
