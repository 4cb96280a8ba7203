/* test_campaign_run.c: a campaign from its plan to its rows: resuming, controls, devices, groups, what is built ahead
 *
 * What is run again before it is believed is in test_campaign_confirm.c.
 */
#include <math.h>
#include <signal.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "campaign_fake.h"

TEST(run, whatever_a_mutant_does_is_a_row_and_only_tool_errors_are_tried_again)
{
	static const struct answer script[] = {
	    {.status = POOL_CRASHED, .signal = SIGFPE, .text = "killed by SIGFPE"},
	    {.status = POOL_HUNG, .text = "exceeded 2 s"},
	    {.status = POOL_OVERRUN, .text = "wrote past y"},
	    {.status = POOL_BUILD_FAILED, .text = "the compiler says no"},
	    {.status = POOL_LOST, .text = "ten workers lost"},
	    {.status = POOL_EQUIVALENT},
	    {.status = POOL_DONE},
	    {.add = {0, 0, 0, 0.5f}},
	    {.add = {0, 0, -2.5f, 0}},
	    {.add = {0, -2, 0, 0}},
	    {.add = {0, 0, 0, NAN}},
	    {.add = {0, INFINITY, 0, 0}},
	};
	static const enum outcome want[] = {OUTCOME_CRASH,      OUTCOME_HANG,          OUTCOME_OVERRUN,   OUTCOME_BUILD_FAILED,
					    OUTCOME_TOOL_ERROR, OUTCOME_EQUIVALENT,    OUTCOME_IDENTICAL, OUTCOME_DRIFTED,
					    OUTCOME_REORDERED,  OUTCOME_MISCLASSIFIED, OUTCOME_NAN,       OUTCOME_NAN};
	enum { N = sizeof want / sizeof *want };
	struct arena *a = arena_new(NULL);
	struct store_result r[N];
	struct config_campaign c;
	size_t asked;

	fake_enter(a, &c);
	fake.script = script;
	fake.nscript = N;
	fake_run(&c);
	cr_assert_eq(fake_rows(a, "host-gcc", r, N), N, "the model is too small for this test");
	for (int i = 0; i < N; i++)
		cr_expect_eq(r[i].outcome, want[i], "row %d is %s, not %s", i, outcome_name(r[i].outcome), outcome_name(want[i]));
	cr_expect_eq(r[0].signal, SIGFPE);
	cr_expect_str_eq(r[0].message, "killed by SIGFPE");
	cr_expect_str_eq(r[0].stage, "run");
	cr_expect_str_eq(r[0].kernel, "relu_y");
	cr_expect_eq(r[0].images, 1, "the first image answered");
	cr_expect_eq(r[0].killed, STORE_KILL_LABEL | STORE_KILL_TOPK | STORE_KILL_NUMERIC);
	cr_expect_eq(r[1].images, 1);
	cr_expect_eq(r[2].images, IMAGES, "an overrun does not end the job");
	cr_expect_str_eq(r[3].log, "error: no");
	cr_expect_eq(r[3].killed, 0);
	cr_expect_eq(r[4].killed, 0);
	cr_expect_eq(r[6].images_changed, 0);
	cr_expect_eq(r[9].images_changed, IMAGES);
	cr_expect_eq(r[9].launches_run, 3 * IMAGES);
	asked = fake.asked;
	cr_expect_eq(fake_run(&c).done, fake_run(&c).jobs);
	cr_expect_eq(fake.asked, asked + 1, "only the tool error is run again, and only once");
	fake_rows(a, "host-gcc", r, N);
	cr_expect_eq(r[4].outcome, OUTCOME_IDENTICAL);
	cr_expect_eq(r[0].outcome, OUTCOME_CRASH);
	fake_leave(a);
}

/* Groups of four on two devices; the original is run after each. */
static struct camp_summary controlled(struct arena *a, struct config_campaign *c, int bad_runs)
{
	fake_enter(a, c);
	c->ndevices = 2;
	c->controls = 4;
	fake.bad_after = 5;
	fake.bad_runs = bad_runs;
	return fake_run(c);
}

TEST(run, a_group_whose_control_fails_is_run_again_on_that_device)
{
	static struct store_result r[500];
	struct arena *a = arena_new(NULL);
	struct config_campaign c;
	struct camp_summary sum = controlled(a, &c, 1);
	size_t n = fake_rows(a, "host-clang", r, 500);

	cr_assert_gt(n, 8);
	cr_expect_eq(fake_count(r, n, OUTCOME_IDENTICAL), n, "nothing is missing");
	cr_expect_eq(fake.mutants[0], n);
	cr_expect(fake.mutants[1] > n && fake.mutants[1] <= n + 4, "%zu jobs for %zu mutants", fake.mutants[1], n);
	cr_expect_eq(sum.done, sum.jobs, "%llu of %llu", (unsigned long long)sum.done, (unsigned long long)sum.jobs);
	fake_leave(a);
}

TEST(run, a_device_whose_controls_keep_failing_is_set_aside_without_that_group)
{
	static struct store_result r[500];
	struct arena *a = arena_new(NULL);
	struct config_campaign c;
	struct camp_status status;
	struct store *s = NULL;
	struct err e = {0};
	struct camp_summary sum = controlled(a, &c, 1000);
	size_t n = fake_rows(a, "host-clang", r, 500), kept = fake_count(r, n, OUTCOME_IDENTICAL);

	cr_expect(kept > 0 && kept < 5, "those of the groups before: %zu", kept);
	cr_expect_eq(fake_count(r, n, OUTCOME_NOT_RUN), n - kept);
	cr_expect_eq(fake.bad_runs, 1000 - 3, "three tries");
	cr_expect_lt(sum.done, sum.jobs);
	cr_expect_eq(fake_count(r, fake_rows(a, "host-gcc", r, 500), OUTCOME_IDENTICAL), fake.mutants[0], "the other device is not touched");
	cr_expect_str_eq(fake_error(a, "host-clang"), "set aside: its control run failed 3 times: on '0.npy' the original's scores are off by 100",
			 "reports say why");
	cr_assert(store_open(fake_store, STORE_READ, &s, &e) && camp_status_read(s, a, &status, &e), "%s", err_text(&e));
	cr_assert_eq(status.ndevices, 2u);
	cr_expect(status.device[1].phase == CAMP_DEVICE_SET_ASIDE && strstr(status.device[1].why, "its control run failed 3 times: on '0.npy'"), "so does 'status'");
	store_close(s);
	fake.bad_runs = 0;
	fake_run(&c);
	cr_expect_str_empty(fake_error(a, "host-clang"));
	n = fake_rows(a, "host-clang", r, 500);
	cr_expect_eq(fake_count(r, n, OUTCOME_IDENTICAL), n, "it is itself again: the missing are run");
	fake_leave(a);
}

TEST(run, failed_controls_are_counted_for_each_device)
{
	static struct store_result r[500];
	struct arena *a = arena_new(NULL);
	struct config_campaign c;
	struct camp_summary sum;
	size_t n;

	fake_enter(a, &c);
	fake_only_stores(&c);
	c.ndevices = 2;
	c.controls = 4;
	fake.bad_after = 5;
	fake.bad_runs = 1000;
	fake.bad_run = 5; /* the first one, then the first group's control; of the second group's the third, with which the other device is set aside */
	sum = fake_run(&c);
	n = fake_rows(a, "host-gcc", r, 500);
	cr_expect_gt(fake.originals[0], 5);
	cr_expect_eq(fake_count(r, n, OUTCOME_IDENTICAL), n, "one failure is not three");
	cr_expect_str_empty(fake_error(a, "host-gcc"));
	cr_expect(sum.nlost == 1 && !strcmp(sum.lost, "host-clang"), "%zu, %s", (size_t)sum.nlost, sum.lost);
	fake_leave(a);
}

static bool stop_after(void *user)
{
	return fake.asked >= *(const size_t *)user;
}

static bool in_the_control(void *user)
{
	return fake.originals[0] >= *(int *)user;
}

TEST(run, results_whose_control_was_cut_off_are_controlled_when_the_campaign_goes_on)
{
	static struct store_result r[500];
	struct arena *a = arena_new(NULL);
	struct config_campaign c;
	struct camp_summary sum;
	struct err e = {0};
	int limit = 2; /* the original, then the only group's control */
	size_t n, mutants;

	fake_enter(a, &c);
	c.controls = 1000;
	cr_assert(camp_run(&c, fake_store, NULL, &(struct camp_hooks){.stop = in_the_control, .user = &limit}, &sum, &e), "%s", err_text(&e));
	n = fake_rows(a, "host-gcc", r, 500);
	cr_assert(sum.stopped && n > 8);
	fake.bad_run = fake.originals[0] + 2; /* it is not what it was when it is asked at last */
	mutants = fake.mutants[0];
	sum = fake_run(&c);
	cr_expect_eq(sum.done, sum.jobs);
	cr_expect_eq(fake.mutants[0], mutants + n, "%zu jobs: what was never confirmed is run again", fake.mutants[0] - mutants);
	mutants = fake.mutants[0];
	limit = fake.originals[0];
	fake_run(&c);
	cr_expect_eq(fake.originals[0], limit, "and that is all");
	cr_expect_eq(fake.mutants[0], mutants);
	fake_leave(a);
}

TEST(run, a_campaign_that_is_stopped_says_what_it_had_set_aside)
{
	struct arena *a = arena_new(NULL);
	struct config_campaign c;
	struct camp_summary sum;
	struct err e = {0};
	size_t limit = 1; /* in the middle of the changes without effect */

	fake_enter(a, &c);
	c.ndevices = 2;
	c.repeat = 3;
	c.control_mutants = 4;
	fake.unwritten = 1;
	cr_assert(camp_run(&c, fake_store, NULL, &(struct camp_hooks){.stop = stop_after, .user = &limit}, &sum, &e), "%s", err_text(&e));
	cr_expect(sum.stopped);
	cr_expect(strstr(fake_error(a, "host-clang"), "set aside: the original itself"), "%s", fake_error(a, "host-clang"));
	cr_expect_str_empty(fake_error(a, "host-gcc"));
	fake_leave(a);
}

TEST(run, runners_share_the_images_of_the_original_and_each_has_its_control)
{
	static struct config_device two = {.name = (char *)"host-clang", .backend = (char *)"cpu", .runners = 2};
	struct arena *a = arena_new(NULL);
	struct config_campaign c;
	struct camp_summary sum;

	fake_enter(a, &c);
	fake_only_stores(&c);
	c.ndevices = 2;
	c.definitions = &two;
	c.ndefinitions = 1;
	c.controls = 1000;
	fake.bad_after = 1;
	fake.bad_runs = 1; /* of the two runners' controls */
	sum = fake_run(&c);
	cr_expect_eq(sum.done, sum.jobs);
	cr_expect_eq(fake.originals[0], 3, "one at the beginning, and one for each control");
	cr_expect_eq(fake.originals[1], 6, "two parts, then two controls twice: %d", fake.originals[1]);
	cr_expect_eq(fake.mutants[1], 2 * fake.mutants[0], "what one runner can no longer do is enough");
	fake_leave(a);
}

TEST(run, a_campaign_that_is_done_runs_nothing)
{
	struct arena *a = arena_new(NULL);
	struct config_campaign c;
	struct camp_summary sum;
	int originals;

	fake_enter(a, &c);
	fake_run(&c);
	originals = fake.originals[0];
	sum = fake_run(&c);
	cr_expect_eq(fake.originals[0], originals);
	cr_expect(sum.done == sum.jobs && sum.resumed == sum.jobs);
	fake_leave(a);
}

TEST(run, kernels_of_the_next_group_are_built_while_one_runs)
{
	struct arena *a = arena_new(NULL);
	struct config_campaign c;
	struct camp_summary sum;

	fake_enter(a, &c);
	fake_only_stores(&c);
	c.controls = 4;
	sum = fake_run(&c);
	cr_assert_gt(sum.mutants, 8);
	cr_expect(fake.nahead >= sum.mutants - 4 && fake.nahead <= sum.mutants, "%zu of %llu", fake.nahead, (unsigned long long)sum.mutants);
	cr_expect_eq(fake.came, fake.nahead, "each is run, once, as it was built");
	cr_expect_eq(fake.asked, sum.mutants);
	cr_expect(!fake.hold && !fake.held);
	fake.nahead = 0;
	fake_run(&c);
	cr_expect_eq(fake.nahead, 0u, "nothing is left to build");
	fake_leave(a);
}

TEST(run, an_original_that_is_not_the_store_s_sets_the_device_aside)
{
	struct arena *a = arena_new(NULL);
	size_t limit = 7, before = 0;
	struct config_campaign c;
	struct camp_summary sum;
	struct err e = {0};

	fake_enter(a, &c);
	c.ndevices = 2;
	cr_assert(camp_run(&c, fake_store, NULL, &(struct camp_hooks){.stop = stop_after, .user = &limit}, &sum, &e), "%s",
		  err_text(&e));
	before = fake.mutants[1];
	fake.bad_after = 0;
	fake.bad_runs = 1000;
	sum = fake_run(&c);
	cr_expect_eq(fake.mutants[1], before);
	cr_expect(sum.nlost == 1 && !strcmp(sum.lost, "host-clang"));
	cr_expect_str_eq(fake_error(a, "host-clang"), "set aside: on '1.npy' the original no longer gives what the store holds; use another store");
	fake_leave(a);
}

TEST(run, an_original_of_other_kernels_than_the_store_s_sets_the_device_aside)
{
	struct arena *a = arena_new(NULL);
	size_t limit = 7, before = 0;
	struct config_campaign c;
	struct camp_summary sum;
	struct store *s = NULL;
	struct err e = {0};

	fake_enter(a, &c);
	c.ndevices = 2;
	cr_assert(camp_run(&c, fake_store, NULL, &(struct camp_hooks){.stop = stop_after, .user = &limit}, &sum, &e), "%s", err_text(&e));
	before = fake.mutants[1];
	cr_assert(store_open(fake_store, STORE_WRITE, &s, &e) && store_set(s, "original host-clang", "of another build", &e), "%s", err_text(&e));
	store_close(s);
	sum = fake_run(&c);
	cr_expect_eq(fake.mutants[1], before);
	cr_expect(sum.nlost == 1 && !strcmp(sum.lost, "host-clang"));
	cr_expect_str_eq(fake_error(a, "host-clang"), "set aside: the original's kernels are not those that the store was begun with; use the mutatenn of then, or another store");
	fake_leave(a);
}

TEST(run, a_device_whose_original_does_not_repeat_itself_is_set_aside)
{
	struct arena *a = arena_new(NULL);
	struct camp_summary sum;
	struct config_campaign c;
	struct err e = {0};

	fake_enter(a, &c);
	c.repeat = 3;
	fake.noise = 0.5f; /* of 4 */
	cr_expect_not(camp_run(&c, fake_store, NULL, NULL, &sum, &e));
	cr_expect(strstr(err_text(&e), "no device is left"), "%s", err_text(&e));
	err_free(&e);
	fake_leave(a);
}

TEST(run, changes_without_effect_measure_the_noise_before_any_mutant)
{
	static const struct answer script[] = {{.add = {0, 0, 0, 0.25f}}};
	static struct store_result r[500];
	struct arena *a = arena_new(NULL);
	struct config_campaign c;
	struct err e = {0};
	struct store *s;
	char *text;
	size_t n;

	fake_enter(a, &c);
	c.control_mutants = 4;
	fake.script = script;
	fake.nscript = 1;
	fake_run(&c);
	n = fake_rows(a, "host-gcc", r, 500);
	cr_expect_eq(fake_count(r, n, OUTCOME_IDENTICAL), n, "they are no rows");
	cr_assert(store_open(fake_store, STORE_READ, &s, &e), "%s", err_text(&e));
	cr_assert(store_get(s, a, "noise host-gcc", &text, &e) && text);
	cr_expect(strstr(text, "differ by up to 0.25; the floor is up to 0.5"), "%s", text);
	store_close(s);
	fake_leave(a);
}

TEST(run, a_store_has_the_layers_the_times_of_their_kernels_and_what_the_compiler_sees)
{
	struct arena *a = arena_new(NULL);
	struct store_iter *it;
	struct config_campaign c;
	struct store_kernel k;
	struct store_layer l;
	struct err e = {0};
	struct store *s;
	const char *dialect, *diff;
	int layers = 0, kernels = 0, sources = 0;
	static struct store_result r[500];
	size_t n;

	fake_enter(a, &c);
	c.ndevices = 2;
	fake_run(&c);
	n = fake_rows(a, "host-gcc", r, 500);
	cr_assert(store_open(fake_store, STORE_READ, &s, &e), "%s", err_text(&e));
	for (it = store_layers(s); store_next_layer(it, &l); layers++)
		cr_expect(l.index == layers && *l.node && *l.op && *l.shape, "layer %d", layers);
	cr_assert(store_iter_end(it, &e), "%s", err_text(&e));
	for (it = store_kernels(s, "host-clang"); store_next_kernel(it, &k); kernels++)
		cr_expect(k.launch == kernels && *k.name && fabs(k.seconds - (kernels + 1) * 1e-3) < 1e-9, "'%s' took %g s", k.name, k.seconds);
	cr_assert(store_iter_end(it, &e), "%s", err_text(&e));
	for (size_t i = 0; i < n; i++) {
		for (it = store_sources(s, r[i].mutant); store_next_source(it, &dialect, &diff); sources++)
			cr_expect(!strcmp(dialect, "c") && strstr(diff, "\n+") && strstr(diff, "\n-"), "%s: %s", r[i].mutant, diff);
		cr_assert(store_iter_end(it, &e), "%s", err_text(&e));
	}
	cr_expect(layers > 0 && kernels > 0 && sources > 0, "%d layers, %d kernels, %d changes of source", layers, kernels, sources);
	store_close(s);
	fake_leave(a);
}

static const char *planned(struct arena *a, const struct config_campaign *c, struct camp_plan *plan)
{
	static const struct camp_run_options options;
	const char *ids = "";
	struct err e = {0};

	cr_assert(camp_list(a, c, &options, plan, &e), "%s", err_text(&e));
	for (size_t i = 0; i < plan->nmutants; i++)
		ids = arena_printf(a, "%s %s", ids, plan->mutant[i].id);
	return ids;
}

TEST(run, the_plan_follows_from_the_seed_and_leaves_no_store)
{
	struct config_mutation sample = {
	    .op = (char *)"loop.*", .sites_text = (char *)"sample 5", .sites = SITES_SAMPLE, .sample = 5};
	struct arena *a = arena_new(NULL);
	struct config_campaign c;
	struct camp_plan plan;
	const char *ids;

	fake_enter(a, &c);
	c.mutations = &sample;
	c.ndevices = 2;
	ids = planned(a, &c, &plan);
	cr_expect_eq(plan.nmutants - plan.without_site, 5);
	cr_expect_gt(plan.without_site, 0, "what has no site is planned, as a row");
	cr_expect(plan.ndevices == 2 && plan.nimages == IMAGES);
	cr_expect_str_eq(planned(a, &c, &plan), ids);
	c.seed++;
	cr_expect_str_neq(planned(a, &c, &plan), ids);
	c.image_sample = 1;
	planned(a, &c, &plan);
	cr_expect_eq(plan.nimages, 1);
	cr_expect(!file_exists(fake_store) && !fake.originals[0]);
	fake_leave(a);
}

TEST(run, a_stopped_campaign_goes_on_where_it_was)
{
	static struct store_result r[500];
	struct arena *a = arena_new(NULL);
	size_t limit = 7, n, kept;
	struct config_campaign c;
	struct camp_summary sum;
	struct err e = {0};

	fake_enter(a, &c);
	cr_assert(camp_run(&c, fake_store, NULL, &(struct camp_hooks){.stop = stop_after, .user = &limit}, &sum, &e), "%s",
		  err_text(&e));
	cr_expect(sum.stopped && sum.done < sum.jobs);
	n = fake_rows(a, "host-gcc", r, 500);
	kept = fake_count(r, n, OUTCOME_IDENTICAL);
	cr_expect(kept > 0 && kept <= limit, "%zu", kept);
	sum = fake_run(&c);
	cr_expect(!sum.stopped && sum.done == sum.jobs);
	cr_expect_eq(fake.asked, limit + n - kept, "each is run once, but for one that was under way");
	cr_expect_eq(fake_count(r, fake_rows(a, "host-gcc", r, 500), OUTCOME_IDENTICAL), n);
	fake_leave(a);
}
