/* ops_math.c: exp, tanh and erf
 *
 * Polynomials: S. Moshier, Cephes Mathematical Library, single precision (exp, tanh).
 */
#include "ops/ops_math.h"

#define B (&c->b)
#define F(v) lir_imm(B, DT_F32, (v))
#define I(v) lir_imm_i64(B, DT_I32, (v))

static bool vector(const struct lir_expr *x)
{
	return x->type.lanes > 1 && x->type.dtype == DT_F32;
}

/* coefficient[0] * x^(n-1) + ... + coefficient[n-1] */
static struct lir_expr *polynomial(struct op_lower *c, struct lir_expr *x, const double *coefficient, int n)
{
	struct lir_expr *y = lir_broadcast(B, F(coefficient[0]), x->type.lanes);

	for (int i = 1; i < n; i++)
		y = lir_fma(B, y, x, lir_broadcast(B, F(coefficient[i]), x->type.lanes));
	return y;
}

/* 2^n for integers n of f32's exponents, by their bits. */
static struct lir_expr *power_of_two(struct op_lower *c, struct lir_expr *n)
{
	return lir_bitcast(B, DT_F32, lir_binary(B, LIR_SHL, lir_add(B, n, I(127)), I(23)));
}

/* exp(x) = 2^n * exp(r), n = round(x / ln 2), r = x - n ln 2. Adding and subtracting 1.5 * 2^23 rounds to an integer, whose bits
 * then lie at the low end; half of n at a time, since 2^n may be no f32 where the product is. */
struct lir_expr *op_exp(struct op_lower *c, struct lir_expr *x)
{
	static const double p[] = {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3,
				   4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1};
	const double magic = 12582912, low = -0.693359375, lower = 2.12194440e-4;
	struct lir_expr *z, *n, *half, *r, *y;

	if (!vector(x))
		return lir_call1(B, LIR_CALL_EXP, x);
	x = op_let(c, "x",
		   lir_min(B, lir_broadcast(B, F(104), x->type.lanes), lir_max(B, lir_broadcast(B, F(-104), x->type.lanes), x)));
	z = op_let(
	    c, "z",
	    lir_fma(B, x, lir_broadcast(B, F(1.44269504088896341), x->type.lanes), lir_broadcast(B, F(magic), x->type.lanes)));
	n = op_let(c, "n", lir_sub(B, lir_bitcast(B, DT_I32, z), I(0x4b400000)));
	half = op_let(c, "half", lir_binary(B, LIR_SHR, n, I(1)));
	z = op_let(c, "z", lir_sub(B, z, F(magic)));
	r = lir_fma(B, z, lir_broadcast(B, F(low), x->type.lanes), x);
	r = op_let(c, "r", lir_fma(B, z, lir_broadcast(B, F(lower), x->type.lanes), r));
	y = lir_fma(B, polynomial(c, r, p, 6), lir_mul(B, r, r), lir_add(B, r, F(1)));
	return op_let(c, "exp", lir_mul(B, lir_mul(B, y, power_of_two(c, half)), power_of_two(c, lir_sub(B, n, half))));
}

/* Odd polynomial near 0; 1 - 2 / (exp(2|x|) + 1) with the sign of x elsewhere. */
struct lir_expr *op_tanh(struct op_lower *c, struct lir_expr *x)
{
	static const double p[] = {-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1};
	struct lir_expr *size, *square, *near, *far;

	if (!vector(x))
		return lir_call1(B, LIR_CALL_TANH, x);
	x = op_let(c, "x", x);
	size = op_let(c, "size", lir_call1(B, LIR_CALL_ABS, x));
	square = op_let(c, "square", lir_mul(B, x, x));
	near = lir_fma(B, lir_mul(B, polynomial(c, square, p, 5), square), x, x);
	far = lir_sub(B, F(1), lir_div(B, F(2), lir_add(B, op_exp(c, lir_add(B, size, size)), F(1))));
	far = lir_select(B, lir_lt(B, x, F(0)), lir_sub(B, F(0), far), far);
	return op_let(c, "tanh", lir_select(B, lir_lt(B, size, F(0.625)), near, far));
}

/* x P(x^2) / Q(x^2), fitted to the least relative error up to 3.7, where f32 has little left to 1. Beyond, only the factor x grows, and is cut. */
struct lir_expr *op_erf(struct op_lower *c, struct lir_expr *x)
{
	static const double p[] = {2.2897007e-8, -2.05010247e-6, 1.30152053e-4, 2.98983557e-3, 4.82298769e-2, 1.81723893e-1, 1.12837911};
	static const double q[] = {8.00588576e-4, 1.28575321e-2, 1.07541181e-1, 4.9438104e-1, 1};
	struct lir_expr *square, *y;

	if (!vector(x))
		return lir_call1(B, LIR_CALL_ERF, x);
	x = op_let(c, "x", x);
	square = op_let(c, "square", lir_min(B, lir_mul(B, x, x), lir_broadcast(B, F(3.7 * 3.7), x->type.lanes)));
	y = lir_div(B, lir_mul(B, x, polynomial(c, square, p, 7)), polynomial(c, square, q, 5));
	y = lir_max(B, lir_broadcast(B, F(-1), x->type.lanes), y);
	return op_let(c, "erf", lir_min(B, lir_broadcast(B, F(1), x->type.lanes), y));
}
