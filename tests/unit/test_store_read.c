/* test_store_read.c: what was put is what is read: rows, counts, summaries, what is shown around them, what is suppressed, what is merged */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "store_case.h"

TEST(store, gives_back_what_was_put)
{
	struct store_image_result im[3], got;
	struct store_result r = result(im), row;
	struct store_mutant m;
	struct store_device d;
	struct store_iter *it;
	struct err e = {0};
	struct store *s;
	int n = 0;

	enter();
	s = must_open(STORE_WRITE);
	fill(s);
	OK(store_put_result(s, &r, &e));
	store_close(s);
	s = must_open(STORE_READ);
	it = store_results(s, r.mutant, NULL);
	cr_assert(store_next_result(it, &row));
	cr_expect_eq(row.outcome, OUTCOME_CRASH, "the highest over the images");
	cr_expect_eq(row.killed, STORE_KILL_LABEL | STORE_KILL_TOPK | STORE_KILL_NUMERIC);
	cr_expect(row.images == 2 && row.images_changed == 1 && row.signal == 11 && row.code.lo == 22 && row.build_s == 1.5);
	cr_expect_str_eq(row.stage, "run");
	cr_assert(store_next_result(it, &row));
	cr_expect_str_eq(row.device, "board");
	cr_expect_eq(row.outcome, OUTCOME_NOT_RUN);
	cr_expect_not(store_next_result(it, &row));
	OK(store_iter_end(it, &e));
	it = store_image_results(s, r.mutant, "host-gcc");
	cr_assert(store_next_image_result(it, &got));
	cr_expect(got.answer.k == 3 && !memcmp(got.answer.label, labels, sizeof labels));
	cr_expect(!memcmp(got.answer.probability, probabilities, sizeof probabilities));
	cr_expect(got.answer.nlogits == 4 && !memcmp(got.answer.logits, logits, sizeof logits));
	cr_expect(got.cosine == 1 && got.rbo == 0.25 && got.minkowski == 2.5 && got.max_abs == 1e-300 && got.nan_count == 4);
	cr_expect(got.launches_run == 5 && got.launches_saved == 6 && got.time_s == 0.125 && got.top1_equal);
	cr_assert(store_next_image_result(it, &got));
	cr_expect(got.answer.logits == NULL && got.outcome == OUTCOME_MISCLASSIFIED);
	cr_assert(store_next_image_result(it, &got));
	cr_expect(got.answer.k == 0 && got.outcome == OUTCOME_CRASH);
	OK(store_iter_end(it, &e));
	it = store_mutants(s, "loop.lt");
	for (; store_next_mutant(it, &m); n++)
		cr_expect_str_eq(m.target, "conv1");
	OK(store_iter_end(it, &e));
	cr_expect_eq(n, 2);
	it = store_devices(s);
	cr_assert(store_next_device(it, &d) && !d.error && store_next_device(it, &d));
	cr_expect_str_eq(d.error, "no route to host");
	OK(store_iter_end(it, &e));
	store_close(s);
	leave();
}

TEST(store, counts_every_mutant_on_every_device_whatever_happened)
{
	struct store_image_result im[3];
	struct store_result r = result(im);
	struct store_counts c;
	struct err e = {0};
	struct store *s;

	enter();
	s = must_open(STORE_WRITE);
	fill(s);
	OK(store_put_result(s, &r, &e));
	r = (struct store_result){.mutant = "loop.lt/conv1/4/le", .device = "host-gcc", .outcome = OUTCOME_TOOL_ERROR};
	OK(store_put_result(s, &r, &e));
	OK(store_count(s, NULL, NULL, NULL, &c, &e));
	cr_expect(c.rows == 6 && c.outcome[OUTCOME_CRASH] == 1 && c.outcome[OUTCOME_NO_SITE] == 2 &&
		  c.outcome[OUTCOME_NOT_RUN] == 2);
	cr_expect(c.counted == 1 && c.killed[0] == 1, "a tool error is neither killed nor counted");
	OK(store_count(s, "board", NULL, NULL, &c, &e));
	cr_expect(c.rows == 3 && c.counted == 0);
	OK(store_count(s, NULL, "loop.lt", "Conditional", &c, &e));
	cr_expect(c.rows == 4 && c.launches_saved == 60);
	store_close(s);
	leave();
}

TEST(store, twins_share_a_run_with_its_images)
{
	struct store_image_result im[3], got;
	struct store_result r = result(im), twin;
	struct store_counts c;
	struct store_iter *it;
	struct err e = {0};
	struct store *s;
	int n = 0;

	enter();
	s = must_open(STORE_WRITE);
	fill(s);
	r.runs = 2;
	OK(store_put_result(s, &r, &e));
	OK(store_put_twin(s, r.mutant, "loop.lt/conv1/4/le", r.device, &e));
	it = store_results(s, "loop.lt/conv1/4/le", r.device);
	cr_assert(store_next_result(it, &twin));
	cr_expect_str_eq(twin.twin, r.mutant);
	cr_expect(twin.outcome == OUTCOME_CRASH && twin.runs == 0 && twin.launches_run == 0);
	cr_expect_eq(twin.launches_saved, r.launches_run + r.launches_saved);
	OK(store_iter_end(it, &e));
	it = store_results(s, r.mutant, r.device);
	cr_expect(store_next_result(it, &twin) && !twin.twin && twin.runs == 2);
	OK(store_iter_end(it, &e));
	it = store_image_results(s, "loop.lt/conv1/4/le", r.device);
	for (; store_next_image_result(it, &got); n++)
		cr_expect(got.outcome == im[n].outcome && got.answer.nlogits == im[n].answer.nlogits && got.cosine == im[n].cosine);
	OK(store_iter_end(it, &e));
	cr_expect_eq(n, 3);
	OK(store_count(s, r.device, NULL, NULL, &c, &e));
	cr_expect_eq(c.twins, 1);
	store_close(s);
	leave();
}

TEST(store, learns_true_classes_later_and_rates_by_them)
{
	struct store_image_result im[3];
	struct store_result r = result(im);
	struct store_summary sum;
	struct err e = {0};
	struct store *s;

	enter();
	s = must_open(STORE_WRITE);
	fill(s);
	OK(store_put_result(s, &r, &e));
	OK(store_put_baseline(s, &(struct store_baseline){"host-gcc", 0, answer(), 0, 0}, &e));
	OK(store_put_image(s, &(struct store_image){.index = 0, .name = "0.png", .hash = {3, 1}, .label = 7}, &e));
	OK(store_summarise(s, NULL, "host-gcc", &sum, &e));
	cr_expect(sum.answers == 1 && sum.labelled == 1 && sum.right == 1);
	OK(store_summarise(s, r.mutant, "host-gcc", &sum, &e));
	cr_expect(sum.answers == 2 && sum.labelled == 2 && sum.right == 1 && sum.rbo == 0.25 && sum.nan_images == 2);
	OK(store_summarise(s, r.mutant, "board", &sum, &e));
	cr_expect(sum.answers == 0 && sum.labelled == 0);
	store_close(s);
	leave();
}

TEST(store, keeps_what_a_report_shows_around_the_verdicts)
{
	static char longer[STORE_MAX_SOURCE + 100], zeros[STORE_MAX_THUMBNAIL + 1];
	const char *dialect, *diff, *name;
	struct store_kernel k = {"host-gcc", 0, "conv1", "conv1", 100, 0.5};
	struct store_iter *it;
	struct store_layer l;
	struct err e = {0};
	const void *jpeg;
	struct store *s;
	int64_t i;
	bool has;
	size_t n;

	enter();
	s = must_open(STORE_WRITE);
	fill(s);
	OK(store_put_thumbnail(s, 1, "jpeg", 4, &e));
	cr_expect_not(store_put_thumbnail(s, 1, zeros, sizeof zeros, &e));
	err_free(&e);
	OK(store_has_thumbnail(s, 0, &has, &e));
	cr_expect_not(has);
	it = store_thumbnails(s);
	cr_assert(store_next_thumbnail(it, &i, &jpeg, &n));
	cr_expect(i == 1 && n == 4 && !memcmp(jpeg, "jpeg", 4));
	cr_expect_not(store_next_thumbnail(it, &i, &jpeg, &n));
	OK(store_iter_end(it, &e));

	OK(store_put_class(s, 3, "cat", &e) && store_put_class(s, 3, "dog", &e));
	it = store_classes(s);
	cr_expect(store_next_class(it, &i, &name) && i == 3 && !strcmp(name, "dog"));
	OK(store_iter_end(it, &e));

	OK(store_put_layer(s, &(struct store_layer){0, "conv1", "Conv", "1x8x4x4", 1e6}, &e));
	it = store_layers(s);
	cr_expect(store_next_layer(it, &l) && !strcmp(l.op, "Conv") && l.macs == 1e6);
	OK(store_iter_end(it, &e));

	OK(store_has_times(s, "host-gcc", &has, &e));
	cr_expect_not(has);
	OK(store_put_kernel(s, &k, &e));
	k.seconds = -1; /* put again by a campaign that goes on: the time stays */
	OK(store_put_kernel(s, &k, &e) && store_has_times(s, "host-gcc", &has, &e));
	cr_expect(has);
	it = store_kernels(s, NULL);
	cr_expect(store_next_kernel(it, &k) && k.seconds == 0.5 && !strcmp(k.device, "host-gcc"));
	OK(store_iter_end(it, &e));

	memset(longer, 'x', sizeof longer - 1);
	memcpy(longer + 100, "\n", 1);
	OK(store_put_source(s, "loop.lt/conv1/3/le", "c", longer, &e));
	it = store_sources(s, "loop.lt/conv1/3/le");
	cr_assert(store_next_source(it, &dialect, &diff) && !strcmp(dialect, "c"));
	cr_expect(strlen(diff) < 200 && !strncmp(diff + 101, "... ", 4) && strstr(diff, "not kept"), "whole lines, and what is missing: %s", diff);
	OK(store_iter_end(it, &e));
	store_close(s);
	leave();
}

TEST(outcome, table_is_in_order_and_kills_only_grow)
{
	unsigned kills = 0;

	for (int o = 0; o < OUTCOME_COUNT; o++) {
		enum outcome back;

		cr_expect(outcome_parse(outcome_name((enum outcome)o), &back) && (int)back == o);
		if (outcome_class((enum outcome)o) != OUTCOME_CLASS_COUNTED)
			continue;
		cr_expect_eq(outcome_kills((enum outcome)o) & kills, kills, "%s kills less than the one before",
			     outcome_name((enum outcome)o));
		kills = outcome_kills((enum outcome)o);
	}
	cr_expect_eq(outcome_kills(OUTCOME_TOOL_ERROR), 0u);
	cr_expect_eq(outcome_class(OUTCOME_TOOL_ERROR), OUTCOME_CLASS_NONE);
	cr_expect_str_eq(outcome_name((enum outcome)99), "?");
}

static const char *reason_of(struct store *s, struct arena *a, const char *id)
{
	struct store_mutant m;
	struct err e = {0};
	bool found;

	OK(store_get_mutant(s, a, id, &m, &found, &e));
	cr_assert(found);
	return m.suppressed;
}

Test(store, a_suppression_matches_globs_and_whole_ids_and_comes_and_goes, .init = enter, .fini = leave)
{
	static const char *const ids[] = {"loop.lt/conv[1]/1/x", "loop.lt/conv1/1/x", "graph.add/*/all/x"};
	struct arena *a = arena_new(NULL);
	struct store *s = must_open(STORE_WRITE);
	struct store_suppression x;
	struct store_iter *it;
	struct err e = {0};
	bool found;

	for (int i = 0; i < 2; i++)
		OK(store_put_mutant(s, &(struct store_mutant){.id = ids[i], .op = "o", .category = "", .target = "t", .ordinal = "1", .variant = ""}, &e));
	OK(store_suppress(s, "loop.lt/conv[1]/1/x", "both", "command", &e)); /* itself, and as a glob the other one */
	OK(store_suppress(s, "loop.*", "later", "campaign", &e));
	OK(store_suppress(s, "graph.*", "not yet", "campaign", &e));
	cr_assert_str_eq(reason_of(s, a, ids[0]), "both");
	cr_assert_str_eq(reason_of(s, a, ids[1]), "both");
	OK(store_put_mutant(s, &(struct store_mutant){.id = ids[2], .op = "o", .category = "", .target = "t", .ordinal = "1", .variant = ""}, &e));
	OK(store_apply_suppressions(s, &e));
	cr_assert_str_eq(reason_of(s, a, ids[2]), "not yet");
	OK(store_unsuppress(s, "loop.lt/conv[1]/1/x", &found, &e));
	cr_assert(found && !strcmp(reason_of(s, a, ids[0]), "later"));
	OK(store_unsuppress(s, "loop.lt/conv[1]/1/x", &found, &e));
	cr_assert(!found);
	it = store_suppressions(s);
	cr_assert(store_next_suppression(it, &x) && !strcmp(x.glob, "loop.*") && x.mutants == 2 && !strcmp(x.source, "campaign"));
	cr_assert(store_next_suppression(it, &x) && x.mutants == 1 && !store_next_suppression(it, &x));
	OK(store_iter_end(it, &e));
	OK(store_unsuppress_all(s, "campaign", &e));
	cr_assert_null(reason_of(s, a, ids[0]));
	cr_assert(!store_suppress(s, "loop.*", "", "command", &e) && e.code == ERR_USAGE && strstr(err_text(&e), "needs a reason"));
	cr_assert(!store_suppress(s, "loop.*", "two\nlines", "command", &e) && e.code == ERR_USAGE);
	cr_assert(!store_suppress(s, "", "why", "command", &e) && e.code == ERR_USAGE);
	err_free(&e);
	store_close(s);
	arena_free(a);
}

/* The same id of a mutant is another place then. */
Test(store, stores_whose_original_had_other_kernels_are_not_merged)
{
	struct err e = {0};
	char other[160], both[160];

	enter();
	for (int i = 0; i < 2; i++) {
		struct store *s = must_open(STORE_WRITE);

		fill(s);
		OK(store_set(s, "original gcc", i ? "01" : "02", &e));
		OK(store_set(s, "last-run-seconds", i ? "1" : "2", &e));
		store_close(s);
		if (!i) {
			snprintf(other, sizeof other, "%s.other", path);
			cr_assert(!rename(path, other));
		}
	}
	snprintf(both, sizeof both, "%s.both", path);
	cr_assert(!store_merge((const char *const[]){other, path}, 2, both, &e));
	cr_expect(strstr(err_text(&e), "the original's kernels on 'gcc' are others"), "%s", err_text(&e));
	cr_expect_eq(e.code, ERR_USAGE);
	err_free(&e);
	leave();
}

/* Whichever comes first: the images of a run that this tool broke do not lie beneath a result. */
Test(store, a_merged_result_has_no_images_of_a_failed_run)
{
	struct store_image_result im[3], row;
	struct store_result r = result(im);
	struct err e = {0};
	char other[160], both[160];

	enter();
	for (int i = 0; i < 2; i++) {
		struct store *s = must_open(STORE_WRITE);

		fill(s);
		r.nimages = i ? 3 : 1;
		r.outcome = i ? OUTCOME_TOOL_ERROR : OUTCOME_IDENTICAL;
		im[0].outcome = OUTCOME_IDENTICAL;
		OK(store_put_result(s, &r, &e));
		store_close(s);
		if (!i) {
			snprintf(other, sizeof other, "%s.other", path);
			cr_assert(!rename(path, other));
		}
	}
	for (int i = 0; i < 2; i++) {
		const char *const from[] = {i ? path : other, i ? other : path};
		struct store_iter *it;
		struct store *s;
		int n = 0;

		snprintf(both, sizeof both, "%s.both%d", path, i);
		OK(store_merge(from, 2, both, &e));
		OK(store_open(both, STORE_READ, &s, &e));
		for (it = store_image_results(s, r.mutant, r.device); store_next_image_result(it, &row);)
			n++;
		OK(store_iter_end(it, &e));
		cr_expect_eq(n, 1, "%d images, %s first", n, i ? "the failure" : "the result");
		store_close(s);
	}
	leave();
}
