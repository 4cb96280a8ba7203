/* rank.c: the best classes of a row of scores, and how alike two such lists are */
#include "value/value.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define RBO_P 0.8
#define MINKOWSKI_P 1.5

/* Does score x come before score y? Equal ones keep their order. */
static bool before(float x, float y)
{
	return isnan(y) ? !isnan(x) : x > y;
}

int topk_f32(const float *score, int64_t n, int k, int32_t *index)
{
	int count = 0;

	assert(n <= INT32_MAX);
	for (int64_t i = 0; i < n && k > 0; i++) {
		int at = count;

		if (count == k && !before(score[i], score[index[k - 1]]))
			continue;
		if (count == k)
			at--;
		else
			count++;
		for (; at > 0 && before(score[i], score[index[at - 1]]); at--)
			index[at] = index[at - 1];
		index[at] = (int32_t)i;
	}
	return count;
}

void softmax_f32(const float *logit, int64_t n, double *probability)
{
	double max = -INFINITY, sum = 0;

	for (int64_t i = 0; i < n; i++)
		max = isnan(logit[i]) || isnan(max) ? NAN : fmax(max, logit[i]);
	for (int64_t i = 0; i < n; i++) {
		/* an infinite maximum takes everything; Inf - Inf would be NaN */
		probability[i] = isinf(max) ? logit[i] == max : exp(logit[i] - max);
		sum += probability[i];
	}
	for (int64_t i = 0; i < n; i++)
		probability[i] /= sum;
}

static int find(const int32_t *list, int k, int32_t item)
{
	for (int i = 0; i < k; i++)
		if (list[i] == item)
			return i;
	return k;
}

/* Webber, Moffat, Zobel: A Similarity Measure for Indefinite Rankings, TOIS 2010, eq. 32 with lists of equal length
 * (there it is eq. 23): overlap(k)/k p^k + (1-p)/p sum_d overlap(d)/d p^d. */
static double rank_biased_overlap(const int *b_rank, const int *a_rank, int k)
{
	double sum = 0, power = 1;
	int overlap = 0;

	for (int d = 1; d <= k; d++) {
		/* the items at depth d of each list that the other has at depth d or above */
		overlap += (b_rank[d - 1] < d) + (a_rank[d - 1] < d - 1);
		power *= RBO_P;
		sum += power * overlap / d;
	}
	return overlap * power / k + (1 - RBO_P) / RBO_P * sum;
}

/* Kendall's tau-b of two vectors of ranks: (C - D) / sqrt((n0 - ties of x) (n0 - ties of y)), n0 = n (n - 1) / 2 */
static double tau_b(const int *x, const int *y, int n)
{
	int64_t agree = 0, untied_x = 0, untied_y = 0;

	for (int i = 0; i < n; i++) {
		for (int j = 0; j < i; j++) {
			int dx = (x[i] > x[j]) - (x[i] < x[j]), dy = (y[i] > y[j]) - (y[i] < y[j]);

			agree += dx * dy;
			untied_x += dx != 0;
			untied_y += dy != 0;
		}
	}
	if (!untied_x || !untied_y)
		return 1; /* one item, in both lists */
	return (double)agree / sqrt((double)untied_x * (double)untied_y); /* exactly 1 for equal ones, as two roots would not be */
}

void rank_compare(const int32_t *a, const int32_t *b, int k, struct rank_metrics *out)
{
	struct rank_metrics m = {.top1_equal = true, .jaccard = 1, .rbo = 1, .kendall = 1, .displacement = 1};
	int *x, *y, *a_rank, n, common = 0;
	double squares = 0, powers = 0, moved = 0;

	if (k <= 0) {
		*out = m;
		return;
	}
	x = calloc((size_t)k * 5, sizeof *x); /* ranks in a and in b of the union: a's items, then those only in b */
	if (!x)
		abort();
	y = x + 2 * k;
	a_rank = y + 2 * k; /* of b's items */
	for (int i = 0; i < k; i++) {
		x[i] = i;
		y[i] = find(b, k, a[i]);
		common += y[i] < k;
		moved += y[i] < k ? abs(i - y[i]) : k;
	}
	n = k;
	for (int i = 0; i < k; i++) {
		a_rank[i] = find(a, k, b[i]);
		if (a_rank[i] == k) {
			x[n] = k;
			y[n++] = i;
		}
	}
	for (int i = 0; i < n; i++) {
		double diff = abs(x[i] - y[i]);

		m.manhattan += diff;
		squares += diff * diff;
		powers += pow(diff, MINKOWSKI_P);
	}
	m.top1_equal = a[0] == b[0];
	m.jaccard = (double)common / n;
	m.rbo = m.manhattan > 0 ? fmin(1, rank_biased_overlap(y, a_rank, k)) : 1; /* whatever the rounding of the sum */
	m.kendall = tau_b(x, y, n);
	m.displacement = 1 - moved / k / k;
	m.euclidean = sqrt(squares);
	m.minkowski = pow(powers, 1 / MINKOWSKI_P);
	free(x);
	*out = m;
}
