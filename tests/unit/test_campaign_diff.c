/* test_campaign_diff.c: two tensors of one name; what runs is in tests/e2e/diff.py */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "campaign/camp_diff_internal.h"
#include "test_support.h"

static struct camp_diff_row compared(const struct tensor *a, const struct tensor *b, double tolerance)
{
	struct camp_diff_row row = {.a = a, .b = b};

	diff_compare(&row, tolerance);
	return row;
}

TEST(campaign_diff, what_cannot_be_compared_element_by_element_is_said)
{
	float x[6] = {1, 2, 3, 4, 5, 6};
	struct tensor a = {.dtype = DT_F32, .nd = 2, .dim = {2, 3}, .data = x}, b = {.dtype = DT_F32, .nd = 2, .dim = {3, 2}, .data = x};
	struct tensor flat = {.dtype = DT_F32, .nd = 1, .dim = {6}, .data = x};

	cr_expect_eq(compared(&a, &b, 1).state, DIFF_SHAPE);
	cr_expect_eq(compared(&a, &flat, 1).state, DIFF_SHAPE);
	cr_expect_eq(compared(&a, NULL, 1).state, DIFF_ONLY_A);
	cr_expect_eq(compared(NULL, &a, 1).state, DIFF_ONLY_B);
	cr_expect_eq(compared(&a, &a, 0).state, DIFF_EQUAL);
}

TEST(campaign_diff, a_layer_is_bad_when_its_worst_element_is_beyond_the_tolerance_of_its_largest)
{
	float x[3] = {1, -8, 0}, y[3] = {1.5f, -8, 0}, nan[3] = {1, -8, NAN}, zero[3] = {0, 0, 0};
	struct tensor a = {.dtype = DT_F32, .nd = 1, .dim = {3}, .data = x}, b = a, c = a, z = a;

	b.data = y;
	c.data = nan;
	z.data = zero;
	cr_expect_eq(compared(&a, &b, 0.0625).state, DIFF_WITHIN, "0.5 of 8");
	cr_expect_eq(compared(&a, &b, 0.0624).state, DIFF_BAD);
	cr_expect_float_eq(compared(&a, &b, 1).relative, 0.0625, 1e-15);
	cr_expect_eq(compared(&a, &c, 1e30).state, DIFF_BAD, "no tolerance makes a NaN a number");
	cr_expect_eq(compared(&z, &b, 1e30).state, DIFF_BAD, "nor something nothing");
	cr_expect_eq(compared(&c, &c, 0).state, DIFF_EQUAL, "equal bits are equal, NaN too");
}

TEST(campaign_diff, a_blocked_tensor_is_compared_without_its_spare_lanes)
{
	struct arena *a = arena_new(NULL);
	/* [1, 3, 1, 2] in blocks of two channels: [1, 2, 1, 2, 2] */
	float stored[8] = {0, 2, 1, 3, 4, NAN, 5, NAN};
	struct gir_value v = {.nd = 4, .dim = {1, 3, 1, 2}, .block = 2};
	struct comp_buffer b = {.value = &v};
	struct tensor t = {.dtype = DT_F32, .nd = 5, .dim = {1, 2, 1, 2, 2}, .data = stored}, *logical = diff_logical(a, &b, &t);

	cr_expect(logical->nd == 4 && logical->dim[1] == 3);
	for (int64_t i = 0; i < 6; i++)
		cr_expect_eq(tensor_get_f64(logical, i), (double)i);
	arena_free(a);
}
