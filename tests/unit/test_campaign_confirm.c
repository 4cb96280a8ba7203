/* test_campaign_confirm.c: what is run again before it is believed, or not run at all: crashes, hangs, refusals, what is near the noise,
 * what another fill of memory changes, mutants with the same code
 */
#include <math.h>
#include <signal.h>

#include "campaign_fake.h"

static void with_noise(int repeat, double tolerance, float add, enum outcome want)
{
	const struct answer script = {.add = {0, 0, 0, add}};
	struct arena *a = arena_new(NULL);
	struct config_campaign c;
	struct store_result r;

	fake_enter(a, &c);
	fake.script = &script;
	fake.nscript = 1;
	fake.noise = 0.25f;
	c.repeat = repeat;
	c.tolerance = tolerance;
	fake_run(&c);
	cr_assert_eq(fake_rows(a, "host-gcc", &r, 1), 1);
	cr_expect_eq(r.outcome, want, "%d runs, tolerance %g, %g away: %s", repeat, tolerance, (double)add,
		     outcome_name(r.outcome));
	cr_expect_eq(fake.originals[0], repeat > 1 ? repeat + 96 / IMAGES + 1 : 1, "more runs once there is noise");
	fake_leave(a);
}

TEST(run, what_the_original_does_by_itself_is_noise)
{
	with_noise(3, 0, 0.25f, OUTCOME_TOLERATED);
	with_noise(3, 0, -0.25f, OUTCOME_TOLERATED);
	with_noise(3, 0, 0.5f, OUTCOME_TOLERATED);
	with_noise(3, 0, 0.625f, OUTCOME_DRIFTED);
	with_noise(1, 0, 0.25f, OUTCOME_DRIFTED);
	with_noise(1, 0.25, 0.25f, OUTCOME_TOLERATED);
	with_noise(3, 0.5, 0.375f, OUTCOME_TOLERATED);
}

TEST(run, what_ends_badly_is_run_again_and_told_apart_when_it_ends_otherwise)
{
	static const struct answer well, drifts = {.add = {0, 0, 0, 0.5f}}, hangs = {.status = POOL_HUNG, .text = "exceeded 2 s"};
	static const struct answer drifts_then_hangs = {.add = {0, 0, 0, 0.5f}, .again = &hangs};
	static const struct answer script[] = {
	    {.status = POOL_CRASHED, .text = "killed by SIGSEGV"},
	    {.status = POOL_CRASHED, .text = "killed by SIGSEGV", .again = &well},
	    {.status = POOL_HUNG, .text = "exceeded 2 s"},
	    {.status = POOL_HUNG, .text = "exceeded 2 s", .again = &drifts},
	    {.status = POOL_HUNG, .text = "exceeded 2 s", .again = &drifts_then_hangs},
	    {.add = {0, 0, 0, 0.5f}, .again = &well},
	    {.status = POOL_CRASHED, .stage = POOL_LOAD, .text = "the device does not take it"},
	    {.status = POOL_BUILD_FAILED, .text = "the compiler says no"},
	    {.status = POOL_BUILD_FAILED, .text = "the compiler is out of memory", .again = &drifts},
	};
	static const enum outcome want[] = {OUTCOME_CRASH,   OUTCOME_UNSTABLE, OUTCOME_HANG,         OUTCOME_DRIFTED, OUTCOME_UNSTABLE,
					    OUTCOME_DRIFTED, OUTCOME_REFUSED,  OUTCOME_BUILD_FAILED, OUTCOME_DRIFTED};
	static const int runs[] = {3, 2, 2, 3, 3, 1, 1, 2, 3}; /* a crash that is believed is run with another fill too */
	enum { N = sizeof want / sizeof *want };
	struct arena *a = arena_new(NULL);
	struct store_result r[N];
	struct config_campaign c;

	fake_enter(a, &c);
	fake_only_stores(&c);
	fake.script = script;
	fake.nscript = N;
	fake_run(&c);
	cr_assert_eq(fake_rows(a, "host-gcc", r, N), N);
	for (int i = 0; i < N; i++) {
		cr_expect_eq(r[i].outcome, want[i], "row %d is %s, not %s", i, outcome_name(r[i].outcome), outcome_name(want[i]));
		cr_expect_eq(r[i].runs, runs[i], "row %d: %lld runs", i, (long long)r[i].runs);
	}
	cr_expect_str_eq(r[1].message, "run again, it gave something else: crash, then identical");
	cr_expect_eq(r[1].killed, 0);
	fake_leave(a);
}

TEST(run, what_depends_on_memory_nobody_wrote_is_undefined)
{
	static const struct answer well, drifts = {.add = {0, 0, 0, 0.5f}}, more = {.add = {0, 0, 0, 0.75f}}, lost = {.status = POOL_LOST, .text = "lost"},
				   over = {.status = POOL_OVERRUN, .add = {0, -9, 0, 0}, .text = "'first' wrote outside of buffer 'h'"};
	static const struct answer script[] = {
	    {.add = {NAN}, .unwritten = 1, .refilled = &drifts},
	    {.add = {NAN}, .unwritten = 1},
	    {.add = {0, 0, 0, 0.5f}, .unwritten = 3, .refilled = &more},
	    {.unwritten = 1},
	    {.status = POOL_CRASHED, .signal = SIGSEGV, .text = "killed by SIGSEGV", .refilled = &well},
	    {.status = POOL_OVERRUN, .add = {0, 1, 0, 0}, .text = "'first' wrote outside of buffer 'h'", .unwritten = 1, .refilled = &over},
	    {.add = {NAN}, .unwritten = 1, .refilled = &lost},
	    {.add = {0, 0, 0, 0.5f}, .refilled = &more},
	    {.unwritten = 1, .refilled = &over},
	};
	static const enum outcome want[] = {OUTCOME_UNDEFINED, OUTCOME_NAN, OUTCOME_UNDEFINED, OUTCOME_IDENTICAL, OUTCOME_UNDEFINED,
					    OUTCOME_OVERRUN,   OUTCOME_NAN, OUTCOME_DRIFTED,   OUTCOME_OVERRUN};
	static const int runs[] = {2, 2, 2, 2, 3, 2, 1, 1, 2};
	enum { N = sizeof want / sizeof *want };
	struct arena *a = arena_new(NULL);
	struct store_result r[N];
	struct config_campaign c;

	fake_enter(a, &c);
	fake_only_stores(&c);
	fake.script = script;
	fake.nscript = N;
	fake_run(&c);
	cr_assert_eq(fake_rows(a, "host-gcc", r, N), N);
	for (int i = 0; i < N; i++) {
		cr_expect_eq(r[i].outcome, want[i], "row %d is %s, not %s", i, outcome_name(r[i].outcome), outcome_name(want[i]));
		cr_expect_eq(r[i].runs, runs[i], "row %d: %lld runs", i, (long long)r[i].runs);
		cr_expect_str_eq(r[i].fill, i < 6 || i == 8 ? "nan, zero" : "nan");
	}
	cr_expect_str_eq(r[8].message, "'first' wrote outside of buffer 'h' (seen with fill zero)");
	cr_expect_str_eq(r[0].message, "depends on memory nobody wrote: nan with fill nan, drifted with fill zero; 'first' left the fill in 1 element of 'h'");
	cr_expect_str_eq(r[2].message, "depends on memory nobody wrote: drifted with fill nan, other scores with fill zero; "
				       "'first' left the fill in 3 elements of 'h'");
	cr_expect_str_eq(r[4].message,
			 "depends on memory nobody wrote: crash with fill nan, identical with fill zero; killed by SIGSEGV");
	cr_expect(r[4].signal == SIGSEGV && r[4].killed == (STORE_KILL_LABEL | STORE_KILL_TOPK | STORE_KILL_NUMERIC));
	cr_expect_null(r[3].message);
	fake_leave(a);
}

TEST(run, a_device_whose_original_depends_on_unwritten_memory_is_set_aside)
{
	static struct store_result r[500];
	struct arena *a = arena_new(NULL);
	struct config_campaign c;
	struct camp_summary sum;
	size_t n;

	fake_enter(a, &c);
	c.ndevices = 2;
	c.repeat = 3;
	fake.unwritten = 0.001f;
	sum = fake_run(&c);
	n = fake_rows(a, "host-gcc", r, 500);
	cr_expect(n > 8 && fake_count(r, n, OUTCOME_IDENTICAL) == n);
	n = fake_rows(a, "host-clang", r, 500);
	cr_expect_eq(fake_count(r, n, OUTCOME_IDENTICAL), 0);
	cr_expect_str_eq(sum.lost, "host-clang");
	cr_expect_eq(fake.originals[0], 3, "the other device has none of it");
	fake_leave(a);
}

TEST(run, a_mutant_that_may_leave_its_buffers_is_run_with_another_fill_whatever_it_gives)
{
	static struct config_mutation bounds = {.op = (char *)"loop.index.*", .sites_text = (char *)"each"};
	struct store_result r[4];
	struct arena *a = arena_new(NULL);
	struct config_campaign c;
	size_t n;

	fake_enter(a, &c);
	c.mutations = &bounds;
	fake_run(&c);
	n = fake_rows(a, "host-gcc", r, 4);
	cr_assert_gt(n, 1);
	cr_expect(r[0].outcome == OUTCOME_IDENTICAL && !r[0].message);
	for (size_t i = 0; i < n; i++)
		cr_expect_str_eq(r[i].fill, r[i].runs == 2 ? "nan, zero" : "nan", "%s", r[i].mutant);
	cr_expect_gt(fake.again, 0);
	fake_leave(a);
}

TEST(run, a_campaign_with_another_fill_is_compared_with_nan)
{
	static const struct answer script[] = {{.add = {0, 0, 0, 0.5f}, .unwritten = 1}};
	struct arena *a = arena_new(NULL);
	struct store_result r[1];
	struct config_campaign c;

	fake_enter(a, &c);
	fake_only_stores(&c);
	c.fill = (char *)"zero";
	fake.script = script;
	fake.nscript = 1;
	fake_run(&c);
	cr_assert_eq(fake_rows(a, "host-gcc", r, 1), 1);
	cr_expect(r[0].outcome == OUTCOME_DRIFTED && r[0].runs == 2);
	cr_expect_str_eq(r[0].fill, "zero, nan");
	fake_leave(a);
}

TEST(run, a_kill_by_one_image_near_the_noise_is_run_again)
{
	static const struct answer near_it = {.add = {0, 0, 0, 0.75f}};
	static const struct answer script[] = {{.add = {0, 0, 0, 0.75f}}, {.add = {0, 0, 0, 0.75f}, .again = &near_it}};
	struct arena *a = arena_new(NULL);
	struct store_result r[2];
	struct config_campaign c;

	fake_enter(a, &c);
	fake_only_stores(&c);
	c.image_sample = 1;
	c.tolerance = 0.25;
	fake.script = script;
	fake.nscript = 2;
	fake_run(&c);
	cr_assert_eq(fake_rows(a, "host-gcc", r, 2), 2);
	cr_expect(r[0].outcome == OUTCOME_DRIFTED && r[0].runs == 2);
	fake_leave(a);
}

TEST(run, mutants_with_the_same_code_are_run_once)
{
	static const struct answer script[] = {
	    {.code = 5, .add = {0, -2, 0, 0}}, {.code = 6}, {.code = 5}, {.code = 5}, {.code = 7, .status = POOL_LOST, .text = "lost"}, {.code = 7}};
	static const enum outcome want[] = {OUTCOME_MISCLASSIFIED, OUTCOME_IDENTICAL,  OUTCOME_MISCLASSIFIED,
					    OUTCOME_MISCLASSIFIED, OUTCOME_TOOL_ERROR, OUTCOME_NOT_RUN};
	struct arena *a = arena_new(NULL);
	struct camp_summary sum;
	struct store_result r[6];
	struct config_campaign c;

	fake_enter(a, &c);
	fake_only_stores(&c);
	fake.script = script;
	fake.nscript = 6;
	sum = fake_run(&c);
	cr_assert_eq(fake_rows(a, "host-gcc", r, 6), 6);
	for (int i = 0; i < 6; i++)
		cr_expect_eq(r[i].outcome, want[i], "row %d is %s", i, outcome_name(r[i].outcome));
	cr_expect(r[0].runs == 1 && r[2].runs == 0 && r[2].images_changed == IMAGES && r[2].launches_run == 0);
	cr_expect_eq(sum.done, sum.jobs - 1, "the twin of a tool error waits for it");
	sum = fake_run(&c);
	cr_expect_eq(sum.done, sum.jobs);
	fake_leave(a);
}
