/* stats.c: intervals, sample sizes, analysis of variance */
#include "value/value.h"

#include <math.h>

#define Z95 1.959963984540054 /* 97.5 % quantile of the normal distribution */

/* Wilson 1927; Brown, Cai, DasGupta 2001, eq. 4. */
void wilson(int64_t successes, int64_t n, double *low, double *high)
{
	double p, z2 = Z95 * Z95, centre, half, nn = (double)n;

	*low = 0;
	*high = 1;
	if (n <= 0)
		return;
	p = (double)successes / nn;
	centre = (p + z2 / (2 * nn)) / (1 + z2 / nn);
	half = Z95 / (1 + z2 / nn) * sqrt(p * (1 - p) / nn + z2 / (4 * nn * nn));
	/* the ends are exact where rounding would leave 1e-17 */
	*low = successes <= 0 ? 0 : fmax(0, centre - half);
	*high = successes >= n ? 1 : fmin(1, centre + half);
}

/* n = N / (1 + e^2 (N - 1) / (t^2 p (1 - p))) with p = 0.5 and the paper's t = 1.96. */
int64_t leveugle(int64_t population, double error)
{
	double n, big = (double)population;

	if (population <= 0)
		return 0;
	n = ceil(big / (1 + error * error * (big - 1) / (1.96 * 1.96 * 0.25)));
	return n >= big ? population : n < 1 ? 1 : (int64_t)n;
}

/* Continued fraction of the incomplete beta function, by Lentz's method (Abramowitz and Stegun 26.5.8). */
static double beta_fraction(double a, double b, double x)
{
	const double tiny = 1e-300;
	double c = 1, d = 1 - (a + b) * x / (a + 1), f;

	d = 1 / (fabs(d) < tiny ? tiny : d);
	f = d;
	for (int m = 1; m < 10000; m++) {
		double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
		double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
		double step;

		d = 1 + even * d;
		d = 1 / (fabs(d) < tiny ? tiny : d);
		c = 1 + even / c;
		c = fabs(c) < tiny ? tiny : c;
		f *= d * c;
		d = 1 + odd * d;
		d = 1 / (fabs(d) < tiny ? tiny : d);
		c = 1 + odd / c;
		c = fabs(c) < tiny ? tiny : c;
		step = d * c;
		f *= step;
		if (fabs(step - 1) < 1e-15)
			break;
	}
	return f;
}

static double log_gamma(double x)
{
	int sign;

	return lgamma_r(x, &sign);
}

/* I_x(a, b); y = 1 - x, given apart because it may be tiny */
static double incomplete_beta(double a, double b, double x, double y)
{
	double front;

	if (x <= 0)
		return 0;
	if (y <= 0)
		return 1;
	front = exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log(y));
	if (x < (a + 1) / (a + b + 2))
		return front * beta_fraction(a, b, x) / a;
	return 1 - front * beta_fraction(b, a, y) / b;
}

bool anova(const double *const *group, const int64_t *n, int groups, double *f, double *p)
{
	double total = 0, mean, between = 0, within = 0, d1, d2, s;
	int64_t count = 0;

	for (int g = 0; g < groups; g++) {
		if (n[g] <= 0)
			return false;
		for (int64_t i = 0; i < n[g]; i++)
			total += group[g][i];
		count += n[g];
	}
	if (groups < 2 || count <= groups || !isfinite(total))
		return false;
	mean = total / (double)count;
	for (int g = 0; g < groups; g++) {
		double sum = 0, own;

		for (int64_t i = 0; i < n[g]; i++)
			sum += group[g][i];
		own = sum / (double)n[g];
		between += (double)n[g] * (own - mean) * (own - mean);
		for (int64_t i = 0; i < n[g]; i++)
			within += (group[g][i] - own) * (group[g][i] - own);
	}
	d1 = groups - 1;
	d2 = (double)(count - groups);
	if (between == 0) {
		*f = 0;
		*p = 1;
		return true;
	}
	*f = within > 0 ? between / d1 / (within / d2) : INFINITY;
	s = within + between;
	*p = incomplete_beta(d2 / 2, d1 / 2, within / s, between / s);
	return true;
}
