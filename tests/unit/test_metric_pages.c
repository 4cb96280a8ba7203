/* test_metric_pages.c: the worked example of every page of docs/metrics is what the code computes, and every metric has a page */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "test_support.h"
#include "value/value.h"

#define MOST 16

/* The numbers behind "    NAME = " in a page. */
static int numbers(const char *text, const char *name, double *out)
{
	char key[64];
	const char *at;
	char *end;
	int n = 0;

	snprintf(key, sizeof key, "\n    %s = ", name);
	at = strstr(text, key);
	cr_assert_not_null(at, "no '%s = ' in the page", name);
	for (at += strlen(key); n < MOST && *at != '\n'; at = end) {
		out[n++] = strtod(at, &end);
		cr_assert(end > at, "'%s' is followed by something else", name);
	}
	return n;
}

static const char *page(struct arena *a, const char *name)
{
	struct bytes b;
	struct err e = {0};

	cr_assert(file_read(a, file_join(a, METRIC_PAGES, arena_printf(a, "%s.md", name)), 0, &b, &e), "%s", err_text(&e));
	return (const char *)b.p;
}

#define PAGE(name, value)                                                                                                          \
	do {                                                                                                                       \
		cr_expect(numbers(page(a, #name), #name, &want) == 1 && fabs((double)(value)-want) <= 1e-7 * fmax(1, fabs(want)),  \
			  #name " is %.9g, its page says %.9g", (double)(value), want);                                            \
	} while (0)

TEST(metric_pages, distances_are_those_of_their_examples)
{
	struct arena *a = arena_new(NULL);
	double x[MOST], y[MOST], want;
	float fx[MOST], fy[MOST];
	struct distance d;
	int n = numbers(page(a, "max_abs"), "a", x);

	cr_assert_eq(numbers(page(a, "max_abs"), "b", y), n);
	for (int i = 0; i < n; i++) {
		fx[i] = (float)x[i];
		fy[i] = (float)y[i];
	}
	distance_f32(fx, fy, n, &d);
	PAGE(max_abs, d.max_abs);
	PAGE(max_rel, d.max_rel);
	PAGE(l2, d.l2);
	PAGE(cosine, d.cosine);
	PAGE(nmse, d.nmse);
	PAGE(max_ulp, d.max_ulp);
	arena_free(a);
}

TEST(metric_pages, rankings_are_those_of_their_examples)
{
	struct arena *a = arena_new(NULL);
	double x[MOST], y[MOST], want;
	int32_t ix[MOST], iy[MOST];
	struct rank_metrics r;
	int k = numbers(page(a, "rbo"), "a", x);

	cr_assert_eq(numbers(page(a, "rbo"), "b", y), k);
	for (int i = 0; i < k; i++) {
		ix[i] = (int32_t)x[i];
		iy[i] = (int32_t)y[i];
	}
	rank_compare(ix, iy, k, &r);
	PAGE(top1_equal, r.top1_equal);
	PAGE(jaccard, r.jaccard);
	PAGE(rbo, r.rbo);
	PAGE(kendall, r.kendall);
	PAGE(displacement, r.displacement);
	PAGE(euclidean, r.euclidean);
	PAGE(manhattan, r.manhattan);
	PAGE(minkowski, r.minkowski);
	arena_free(a);
}
