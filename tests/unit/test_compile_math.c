/* test_compile_math.c: exp, tanh and erf of vectors against the C library's in double; rows by vectors against rows by elements */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "compile/compile.h"
#include "test_support.h"

#define N 60000 /* a multiple of 16: no element takes the scalar path */

static const float special[] = {0,    -0.0f,   NAN,     INFINITY, -INFINITY, 88.72283f, 88.8f,   89,     -87.3f, -87.4f, -90,
				-100, -103.9f, -104.1f, -1000,    1000,      1e-30f,    -1e-40f, 0.624f, 0.626f, 0.999f, 1.001f, 3.699f, 3.701f};

static struct tensor *values(struct arena *a)
{
	struct tensor *t = tensor_new(a, DT_F32, 2, (int64_t[]){2, N / 2});
	float *x = t->data;

	for (int i = 0; i < N; i++) /* most of them where something happens */
		x[i] = (i % 2 ? 110.0f : 5.0f) * (2 * (float)i / N - 1);
	memcpy(x, special, sizeof special);
	return t;
}

static float *apply(struct arena *a, enum gir_op op, const struct tensor *in)
{
	struct gir_graph *g = gir_new(a, "math", 13);
	struct gir_value *x = gir_value_typed(g, "x", DT_F32, 2, in->dim), *y = gir_value(g, "y");
	struct comp_program *p;
	struct tensor *out;
	struct err e = {0};

	vec_push(a, &g->inputs, x);
	gir_append(g, gir_node(g, "f", op, 1, &x, 1, &y));
	vec_push(a, &g->outputs, y);
	cr_assert(comp_program(a, g, &(struct comp_options){.opt_level = 3, .lanes = 16}, &p, &e), "%s", err_text(&e));
	cr_assert(comp_interpret(a, p, &in, &out, &e), "%s", err_text(&e));
	return out->data;
}

/* Distance in units in the last place of the right value, subnormal numbers included. */
static double ulps(float got, double want)
{
	float right = (float)want;
	double unit;

	if (isnan(want) || isinf(right) || isinf(got))
		return (isnan(want) && isnan(got)) || got == right ? 0 : INFINITY;
	unit = fmax(fabs((double)nextafterf(right, INFINITY) - right), 0x1p-149);
	return fabs(got - want) / unit;
}

static double worst(enum gir_op op, double (*f)(double))
{
	struct arena *a = arena_new(NULL);
	struct tensor *in = values(a);
	float *y = apply(a, op, in), *x = in->data;
	double most = 0;

	for (int i = 0; i < N; i++) {
		double d = ulps(y[i], f(x[i]));

		if (d > most)
			most = d;
		cr_expect(d < 100, "f(%.9g) = %.9g instead of %.9g", (double)x[i], (double)y[i], f(x[i]));
	}
	arena_free(a);
	return most;
}

TEST(compile_math, vectors_of_exp_tanh_and_erf_are_nearly_the_librarys)
{
	cr_expect_leq(worst(GIR_EXP, exp), 2);
	cr_expect_leq(worst(GIR_TANH, tanh), 3);
	cr_expect_leq(worst(GIR_ERF, erf), 5);
}

/* y = op(x) over the last dim of a 3 x 5 x n tensor, at a level. */
static struct tensor *rows(struct arena *a, enum gir_op op, int64_t n, int level, int lanes)
{
	struct gir_graph *g = gir_new(a, "rows", 11);
	struct gir_value *x = gir_value_typed(g, "x", DT_F32, 3, (int64_t[]){3, 5, n}), *y = gir_value(g, "y");
	struct tensor *in = tensor_new(a, DT_F32, 3, x->dim), *out;
	struct gir_node *node = gir_node(g, "f", op, 1, &x, 1, &y);
	struct comp_program *p;
	struct err e = {0};

	for (int64_t i = 0; i < tensor_elements(in); i++)
		((float *)in->data)[i] = 3 * sinf((float)(i * i % 1009));
	vec_push(a, &g->inputs, x);
	gir_append(g, node);
	if (op == GIR_SOFTMAX)
		gir_set_int(g, node, "axis", 2);
	else
		gir_set_ints(g, node, "axes", (int64_t[]){-1}, 1);
	vec_push(a, &g->outputs, y);
	cr_assert(comp_program(a, g, &(struct comp_options){.opt_level = level, .lanes = lanes}, &p, &e), "%s", err_text(&e));
	cr_assert(comp_interpret(a, p, (const struct tensor *const *)&in, &out, &e), "%s", err_text(&e));
	return out;
}

TEST(compile_math, rows_by_vectors_give_what_rows_by_elements_give)
{
	static const enum gir_op ops[] = {GIR_SOFTMAX,  GIR_REDUCEMEAN, GIR_REDUCESUM,       GIR_REDUCEMAX,    GIR_REDUCEMIN,
					  GIR_REDUCEL1, GIR_REDUCEL2,   GIR_REDUCESUMSQUARE, GIR_REDUCELOGSUM, GIR_REDUCELOGSUMEXP};
	static const int lanes[] = {4, 8, 16};
	static const int64_t lengths[] = {3, 16, 37, 64};

	for (size_t o = 0; o < sizeof ops / sizeof *ops; o++)
		for (int l = 0; l < 3; l++)
			for (int k = 0; k < 4; k++) {
				struct arena *a = arena_new(NULL);
				struct tensor *plain = rows(a, ops[o], lengths[k], 0, 1),
					      *vectors = rows(a, ops[o], lengths[k], 3, lanes[l]);

				cr_assert_eq(tensor_elements(plain), tensor_elements(vectors));
				for (int64_t i = 0; i < tensor_elements(plain); i++) {
					double x = tensor_get_f64(plain, i), y = tensor_get_f64(vectors, i);

					cr_expect((isnan(x) && isnan(y)) || fabs(x - y) <= 2e-5 * fmax(1, fabs(x)),
						  "%s, %d of %d lanes: %g and %g", gir_op_info(ops[o])->name, (int)lengths[k],
						  lanes[l], x, y);
				}
				arena_free(a);
			}
}
