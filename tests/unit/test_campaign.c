/* test_campaign.c: from scores to verdicts, and from a configuration's list to mutants
 *
 * Runs with processes are in tests/e2e.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "campaign/campaign.h"
#include "test_support.h"

static enum outcome judged(const float *mutant, double noise, struct store_image_result *out)
{
	static const float original[4] = {1, 4, 3, 2};
	struct arena *a = arena_new(NULL);
	struct camp_model m = {.classes = 4};

	camp_judge(a, &m, original, mutant, 4, 3, noise, out);
	if (out->answer.k)
		cr_expect_not(out->answer.probability[0] > 1);
	arena_free(a);
	out->answer = (struct store_answer){.logits = out->answer.logits ? original : NULL}; /* the rest lived in the arena */
	return out->outcome;
}

#define JUDGED(noise, ...) judged((float[]){__VA_ARGS__}, noise, &r)

TEST(campaign, every_change_of_scores_has_the_least_outcome_that_describes_it)
{
	struct store_image_result r = {0};

	cr_expect_eq(JUDGED(0, 1, 4, 3, 2), OUTCOME_IDENTICAL);
	cr_expect_null(r.answer.logits, "the original's scores are kept once");
	cr_expect_eq(JUDGED(0, 1, 4, 3, nextafterf(2, 3)), OUTCOME_DRIFTED);
	cr_expect_not_null(r.answer.logits);
	cr_expect_eq(r.max_ulp, 1);
	cr_expect_eq(JUDGED(0.5, 1, 4, 3, 2.5f), OUTCOME_TOLERATED, "as large as the noise");
	cr_expect_eq(JUDGED(0.5, 1, 4, 3, 2.75f), OUTCOME_DRIFTED, "larger than the noise");
	cr_expect_eq(JUDGED(0, 1, 4, 2, 3), OUTCOME_REORDERED);
	cr_expect_eq(JUDGED(0, 2.5f, 4, 3, 2), OUTCOME_REORDERED, "another label among the first three");
	cr_expect_eq(JUDGED(0, 1.5f, 4, 3, 2), OUTCOME_DRIFTED, "below the first three");
	cr_expect_eq(JUDGED(0, 1, 2.5f, 3, 2), OUTCOME_MISCLASSIFIED);
	cr_expect_not(r.top1_equal);
	cr_expect_eq(JUDGED(2, 1, 2.5f, 3, 2), OUTCOME_TOLERATED, "noise comes first: no fault is seen below it");
	cr_expect_eq(JUDGED(0, 1, 4, 3, NAN), OUTCOME_NAN);
	cr_expect_eq(r.nan_count, 1);
	cr_expect_eq(JUDGED(1e9, 1, INFINITY, 3, 2), OUTCOME_NAN, "an infinity is never noise");
	cr_expect_eq(r.inf_count, 1);
}

TEST(campaign, scores_become_probabilities_unless_they_are)
{
	static const float scores[3] = {0, 1, 2}, probabilities[3] = {0.25f, 0.25f, 0.5f};
	struct arena *a = arena_new(NULL);
	struct camp_model logits = {.classes = 3}, done = {.classes = 3, .probabilities = true};
	struct store_answer x;

	camp_answer(a, &logits, scores, 3, 2, &x);
	cr_expect(x.k == 2 && x.label[0] == 2 && x.label[1] == 1);
	/* scipy.special.softmax([0, 1, 2]) */
	cr_expect_float_eq(x.probability[0], 0.6652409557748219, 1e-7);
	cr_expect_float_eq(x.probability[1], 0.24472847105479767, 1e-7);
	camp_answer(a, &done, probabilities, 3, 3, &x);
	cr_expect(x.k == 3 && x.label[0] == 2 && x.label[1] == 0 && x.label[2] == 1, "equal scores: the lower index first");
	cr_expect_eq(x.probability[0], 0.5f);
	arena_free(a);
}

TEST(campaign, a_preset_keeps_its_own_sites_unless_others_are_given)
{
	struct arena *a = arena_new(NULL);
	struct config_mutation m[] = {{.preset = "mutatenn-paper"},
				      {.preset = "mutatenn-paper", .sites_text = "each", .sites = SITES_EACH},
				      {.op = "loop.*",
				       .variant = "swap",
				       .target = "conv*",
				       .sites_text = "3-4",
				       .sites = SITES_RANGE,
				       .first = 3,
				       .last = 4}};
	struct mut_spec *spec;
	struct err e = {0};
	size_t n;

	cr_assert(camp_specs(a, m, 3, &spec, &n, &e), "%s", err_text(&e));
	cr_assert_eq(n, 22 + 22 + 1);
	for (size_t i = 0; i < 22; i++) {
		cr_expect_eq(spec[i].pick, MUT_ALL);
		cr_expect_eq(spec[22 + i].pick, MUT_EACH);
		cr_expect_str_eq(spec[i].label, spec[22 + i].label);
	}
	cr_expect(spec[44].pick == MUT_RANGE && spec[44].first == 2 && spec[44].last == 3, "counted from 0 inside");
	cr_expect_str_eq(spec[44].variant_glob, "swap");
	cr_expect_str_eq(spec[44].target_glob, "conv*");
	m[0].preset = "nothing-like-it";
	cr_expect_not(camp_specs(a, m, 1, &spec, &n, &e));
	cr_expect(strstr(err_text(&e), "'mutatenn-paper'"), "%s", err_text(&e));
	err_free(&e);
	arena_free(a);
}
