/* test_value_metrics.c: distances, rankings and statistics against scipy 1.x, numpy and hand-worked values */
#include "test_support.h"

#include <math.h>
#include <string.h>

#include "value/value.h"

static void near(double got, double want)
{
	cr_expect(fabs(got - want) <= 1e-12 * fmax(1, fabs(want)), "got %.17g, want %.17g", got, want);
}

TEST(distance, agrees_with_numpy)
{
	/* numpy float64 over these float32 values; ULPs by subtracting ordered bit patterns */
	const float a[] = {1.5f, -2.25f, 3e-3f, 1000.0f, 0.0f, 7.125f};
	const float b[] = {1.25f, -2.25f, 3.1e-3f, 1000.0625f, -0.0f, 7.5f};
	struct distance d;

	distance_f32(a, b, 6, &d);
	cr_expect_not(d.identical);
	near(d.max_abs, 0.375);
	near(d.max_rel, 0.16666666666666666);
	near(d.l2, 0.4550068790688912);
	near(d.cosine, 0.999999898602611);
	near(d.nmse, 2.0701923670904243e-07);
	near(d.max_ulp, 2097152);
	cr_expect_not(d.special_differs);
}

TEST(distance, of_tensors_of_any_type_counts_steps_of_the_coarser)
{
	float wide[4] = {1, -2, 0, 65504};
	uint16_t half[4] = {f16_from_f32(1) + 1, f16_from_f32(-2), 0x8000, 0x7c00}, brain[4] = {0x3f80, 0xc001, 0, 0x4780};
	double one = 1, next = nextafter(1, 2), minus = -nextafter(0, 1), plus = nextafter(0, 1);
	int8_t i[2] = {-128, 4}, k[2] = {127, 4};
	struct tensor w = {.dtype = DT_F32, .nd = 1, .dim = {3}, .data = wide}, h = {.dtype = DT_F16, .nd = 1, .dim = {3}, .data = half};
	struct tensor b = {.dtype = DT_BF16, .nd = 1, .dim = {3}, .data = brain}, x = {.dtype = DT_F64, .data = &one}, y = {.dtype = DT_F64, .data = &next};
	struct tensor m = {.dtype = DT_I8, .nd = 1, .dim = {2}, .data = i}, n = {.dtype = DT_I8, .nd = 1, .dim = {2}, .data = k};
	struct distance d;

	distance_tensor(&w, &h, &d);
	cr_expect(d.max_ulp == 1 && d.max_abs == 1 / 1024.0 && d.scale == 2 && !d.identical, "one step of f16 at 1");
	distance_tensor(&h, &b, &d);
	cr_expect(d.max_ulp == 1 && d.max_abs == 1 / 64.0, "bf16 is coarser");
	w.dim[0] = h.dim[0] = 4;
	distance_tensor(&w, &h, &d);
	cr_expect(d.special_differs && d.inf_b == 1 && d.scale == 65504);
	distance_tensor(&x, &y, &d);
	cr_expect_eq(d.max_ulp, 1);
	x.data = &minus;
	y.data = &plus;
	distance_tensor(&x, &y, &d);
	cr_expect_eq(d.max_ulp, 2, "through zero");
	distance_tensor(&m, &n, &d);
	cr_expect(d.max_ulp == 255 && d.max_abs == 255);
	distance_tensor(&m, &m, &d);
	cr_expect(d.identical && d.cosine == 1);
}

TEST(distance, of_a_vector_to_itself_is_exactly_nothing)
{
	const float a[] = {0.1f, -0.7f, 1e30f, 1e-42f};
	struct distance d;

	distance_f32(a, a, 4, &d);
	cr_expect(d.identical && d.max_abs == 0 && d.l2 == 0 && d.cosine == 1 && d.nmse == 0 && d.max_ulp == 0);
}

TEST(distance, zeros_of_both_signs_are_equal_numbers_but_not_identical_bits)
{
	const float a[] = {0.0f}, b[] = {-0.0f};
	struct distance d;

	distance_f32(a, b, 1, &d);
	cr_expect(!d.identical && d.max_abs == 0 && d.max_ulp == 0 && d.cosine == 1);
}

TEST(distance, against_a_zero_vector_has_no_angle)
{
	const float a[] = {1, 2}, z[] = {0, 0};
	struct distance d;

	distance_f32(a, z, 2, &d);
	cr_expect(d.cosine == 0 && d.nmse == 1 && d.max_rel == 1);
	distance_f32(z, z, 2, &d);
	cr_expect(d.cosine == 1 && d.nmse == 0);
	distance_f32(z, a, 2, &d);
	cr_expect(d.cosine == 0 && isinf(d.nmse));
}

TEST(distance, counts_special_values_and_measures_the_rest)
{
	const float a[] = {NAN, INFINITY, 1, 2, INFINITY, 3}, b[] = {NAN, INFINITY, 1.5f, NAN, -INFINITY, 3};
	struct distance d;

	distance_f32(a, b, 2, &d);
	cr_expect_not(d.special_differs, "the same NaN and Inf on both sides");
	distance_f32(a, b, 6, &d);
	cr_expect(d.special_differs);
	cr_expect(d.nan_a == 1 && d.nan_b == 2 && d.inf_a == 2 && d.inf_b == 2);
	near(d.max_abs, 0.5);
	distance_f32(a + 4, b + 4, 1, &d);
	cr_expect(d.special_differs, "Inf of the other sign");
}

TEST(distance, neighbouring_floats_are_one_unit_apart_across_zero_too)
{
	const float a[] = {1.0f, 1e-45f}, b[] = {nextafterf(1.0f, 2), -1e-45f};
	struct distance d;

	distance_f32(a, b, 1, &d);
	near(d.max_ulp, 1);
	distance_f32(a + 1, b + 1, 1, &d);
	near(d.max_ulp, 2);
}

TEST(topk, gives_the_largest_first_ties_by_index_and_nan_last)
{
	const float s[] = {1, 5, NAN, 5, -INFINITY, 7, 1};
	const int32_t want[] = {5, 1, 3, 0, 6, 4, 2};
	int32_t got[10];

	cr_expect_eq(topk_f32(s, 7, 10, got), 7);
	cr_expect_arr_eq(got, want, sizeof want);
	cr_expect_eq(topk_f32(s, 7, 3, got), 3);
	cr_expect_arr_eq(got, want, 3 * sizeof *want);
	cr_expect_eq(topk_f32(s, 0, 3, got), 0);
	cr_expect_eq(topk_f32(s, 7, 0, got), 0);
}

TEST(softmax, agrees_with_scipy_and_does_not_overflow)
{
	const float x[] = {0.5f, -1.25f, 2, 0}, big[] = {1, -1000, 800}, inf[] = {1, INFINITY, INFINITY}, nan[] = {1, NAN};
	const double want[] = {0.15969355003210822, 0.027750577932680404, 0.7156968377823844, 0.09685903425282705};
	double p[4];

	softmax_f32(x, 4, p);
	for (int i = 0; i < 4; i++)
		near(p[i], want[i]);
	softmax_f32(big, 3, p);
	cr_expect(p[0] == 0 && p[1] == 0 && p[2] == 1);
	softmax_f32(inf, 3, p);
	cr_expect(p[0] == 0 && p[1] == 0.5 && p[2] == 0.5);
	softmax_f32(nan, 2, p);
	cr_expect(isnan(p[0]) && isnan(p[1]));
}

struct rank_case {
	int k;
	int32_t a[5], b[5];
	double jaccard, rbo, kendall, displacement, euclidean, manhattan, minkowski;
};

/* scipy.stats.kendalltau and scipy.spatial.distance on the rank vectors of the union; rbo and displacement by hand */
static const struct rank_case cases[] = {
    {5, {3, 1, 4, 0, 5}, {3, 1, 4, 0, 5}, 1, 1, 1, 1, 0, 0, 0},
    {5, {3, 1, 4, 0, 5}, {1, 3, 4, 0, 5}, 1, 0.8, 0.8, 0.92, 1.4142135623730951, 2, 1.5874010519681994},
    {5, {3, 1, 4, 0, 5}, {3, 1, 4, 5, 0}, 1, 0.9744, 0.8, 0.92, 1.4142135623730951, 2, 1.5874010519681994},
    {5, {3, 1, 4, 0, 5}, {9, 4, 3, 7, 8}, 0.25, 0.3003733333333334, -0.16, 0.28, 7.483314773547883, 18, 9.797182055847955},
    {5, {1, 2, 3, 4, 5}, {6, 7, 8, 9, 10}, 0, 0, -0.7142857142857143, 0, 10.488088481701515, 30, 14.70855152287527},
    {5, {1, 2, 3, 4, 5}, {5, 4, 3, 2, 1}, 1, 0.5290666666666668, -1, 0.52, 6.324555320336759, 12, 7.7695687836175855},
    {3, {7, 8, 2}, {2, 7, 9}, 0.5, 0.5066666666666667, 0, 1.0 / 3, 3.1622776601683795, 6, 3.884784391808793},
    {1, {1}, {2}, 0, 0, -1, 0, 1.4142135623730951, 2, 1.5874010519681994},
    {1, {1}, {1}, 1, 1, 1, 1, 0, 0, 0},
};

TEST(rank, agrees_with_scipy_and_hand_worked_values)
{
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct rank_case *c = &cases[i];
		struct rank_metrics m;

		rank_compare(c->a, c->b, c->k, &m);
		cr_expect_eq(m.top1_equal, c->a[0] == c->b[0]);
		near(m.jaccard, c->jaccard);
		near(m.rbo, c->rbo);
		near(m.kendall, c->kendall);
		near(m.displacement, c->displacement);
		near(m.euclidean, c->euclidean);
		near(m.manhattan, c->manhattan);
		near(m.minkowski, c->minkowski);
	}
}

TEST(rank, does_not_depend_on_the_numbers_of_the_classes)
{
	const int32_t a[] = {10, 9, 100}, b[] = {9, 10, 100}, c[] = {0, 1, 2}, d[] = {1, 0, 2};
	struct rank_metrics m, n;

	memset(&m, 0, sizeof m);
	memset(&n, 0, sizeof n);
	rank_compare(a, b, 3, &m);
	rank_compare(c, d, 3, &n);
	cr_expect(m.kendall == n.kendall && m.euclidean == n.euclidean && m.manhattan == n.manhattan && m.rbo == n.rbo);
}

TEST(rank, equal_lists_are_exactly_alike_and_others_never_more)
{
	int32_t a[200], b[200];
	struct rank_metrics m;

	for (int k = 1; k <= 200; k++) {
		for (int i = 0; i < k; i++)
			a[i] = b[i] = 3 * i;
		rank_compare(a, b, k, &m);
		cr_expect(m.rbo == 1 && m.kendall == 1 && m.jaccard == 1 && m.displacement == 1, "%d: rbo %.17g, kendall %.17g", k, m.rbo, m.kendall);
		b[k - 1] = 1;
		rank_compare(a, b, k, &m);
		cr_expect(m.rbo <= 1 && m.kendall <= 1, "%d: rbo %.17g, kendall %.17g", k, m.rbo, m.kendall);
	}
}

TEST(wilson, agrees_with_scipy)
{
	/* scipy.stats.binomtest(s, n).proportion_ci(method='wilson') */
	static const struct {
		int64_t s, n;
		double low, high;
	} w[] = {{0, 10, 0, 0.27753279986288926},
		 {10, 10, 0.7224672001371109, 1},
		 {3, 22, 0.04749003714055253, 0.33334987166571717},
		 {1, 1, 0.20654931437723745, 1},
		 {500, 1000, 0.4690696003681042, 0.5309303996318958},
		 {0, 0, 0, 1}};

	for (size_t i = 0; i < sizeof w / sizeof *w; i++) {
		double low, high;

		wilson(w[i].s, w[i].n, &low, &high);
		near(low, w[i].low);
		near(high, w[i].high);
	}
}

TEST(leveugle, agrees_with_the_formula_by_hand)
{
	/* 3.8416 * 0.25 = 0.9604; N = 10000, e = 5 %: 10000 / (1 + 0.0025 * 9999 / 0.9604) = 369.98 */
	cr_expect_eq(leveugle(10000, 0.05), 370);
	/* without end: 0.9604 / 0.0001 = 9604 */
	cr_expect_eq(leveugle(INT64_C(1) << 60, 0.01), 9604);
	cr_expect_eq(leveugle(5, 0.05), 5);
	cr_expect_eq(leveugle(0, 0.05), 0);
	cr_expect_eq(leveugle(100, 0), 100);
}

TEST(anova, agrees_with_scipy)
{
	/* scipy.stats.f_oneway */
	const double a[] = {6.1, 5.8, 7.2, 6.6}, b[] = {7.1, 8.3, 6.9}, c[] = {5.0, 6.2, 5.9, 6.1, 5.5};
	const double d[] = {1, 2, 3}, e[] = {1, 2, 4}, g[] = {1, 1.01, .99}, h[] = {9, 9.01, 8.99};
	const double *three[] = {a, b, c}, *two[] = {d, e}, *far[] = {g, h}, *same[] = {d, d};
	const int64_t n3[] = {4, 3, 5}, n2[] = {3, 3}, none[] = {1, 1};
	double f, p, x[200], y[300];
	const double *many[] = {x, y};
	const int64_t nmany[] = {200, 300};

	cr_assert(anova(three, n3, 3, &f, &p));
	near(f, 7.462186168301069);
	near(p, 0.012283123122617126);
	cr_assert(anova(two, n2, 2, &f, &p));
	near(f, 0.1);
	near(p, 0.7676439152389032);
	cr_assert(anova(far, n2, 2, &f, &p));
	cr_expect(fabs(p / 6.510371456119304e-12 - 1) < 1e-6, "%g", p);
	cr_assert(anova(same, n2, 2, &f, &p));
	cr_expect(f == 0 && p == 1);
	for (int i = 0; i < 200; i++)
		x[i] = i % 7;
	for (int i = 0; i < 300; i++)
		y[i] = i % 11 * .7;
	cr_assert(anova(many, nmany, 2, &f, &p));
	near(f, 6.612742405236038);
	near(p, 0.010414185796897756);
	cr_expect_not(anova(two, n2, 1, &f, &p));
	cr_expect_not(anova(two, none, 2, &f, &p));
}
