/* test_ops_nn.c: convolutions, pools, products, normalisations, reductions, quantisation - against other implementations */
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "ops/ops.h"
#include "ops_case.h"
#include "test_support.h"

static const char conv_cases[] =
#include "ops_cases_conv.inc"
    ;
static const char pool_cases[] =
#include "ops_cases_pool.inc"
    ;
static const char product_cases[] =
#include "ops_cases_product.inc"
    ;
static const char norm_cases[] =
#include "ops_cases_norm.inc"
    ;
static const char reduce_cases[] =
#include "ops_cases_reduce.inc"
    ;
static const char quant_cases[] =
#include "ops_cases_quant.inc"
    ;

TEST(ops_nn, convolutions_give_what_onnxruntime_gives)
{
	ops_cases_check(conv_cases, 36);
}

TEST(ops_nn, pools_give_what_onnxruntime_gives)
{
	ops_cases_check(pool_cases, 29);
}

TEST(ops_nn, matrix_products_give_what_onnxruntime_gives)
{
	ops_cases_check(product_cases, 41);
}

TEST(ops_nn, normalisations_give_what_onnxruntime_gives)
{
	ops_cases_check(norm_cases, 40);
}

TEST(ops_nn, reductions_give_what_onnxruntime_gives)
{
	ops_cases_check(reduce_cases, 67);
}

TEST(ops_nn, quantisation_and_losses_give_what_onnxruntime_gives)
{
	ops_cases_check(quant_cases, 29);
}

/* onnxruntime 1.32, graph optimisation off. A mutant's NaN must reach the scores, or its verdict is wrong. */
static const char nan_cases[] =
    "case relu\nop Relu 14\ninput f32 4 nan 1 -1 7\noutput f32 4 nan 1 0 7\nend\n"
    "case clip\nop Clip 13\ninput f32 4 nan 1 -1 7\nconst f32 scalar 0\nconst f32 scalar 6\noutput f32 4 nan 1 0 6\nend\n"
    "case clip of opset 6\nop Clip 6\nfloat min 0\nfloat max 6\ninput f32 4 nan 1 -1 7\noutput f32 4 nan 1 0 6\nend\n"
    "case hard sigmoid\nop HardSigmoid 6\ninput f32 4 nan 5 -5 0\noutput f32 4 nan 1 0 0.5\nend\n"
    "case hard swish\nop HardSwish 14\ninput f32 4 nan 3 -3 0\noutput f32 4 nan 3 0 0\nend\n"
    "case celu\nop Celu 12\ninput f32 4 nan 1 0 7\noutput f32 4 nan 1 0 7\nend\n"
    "case softplus\nop Softplus 1\ninput f32 2 nan 100\noutput f32 2 nan 100\nend\n"
    "case max\nop Max 13\ninput f32 3 nan 1 -1\nconst f32 1 0\noutput f32 3 nan 1 0\nend\n";

TEST(ops_nn, activations_keep_nan)
{
	ops_cases_check(nan_cases, 8);
}

/* A 3x3 convolution of a 1x2x5x5 image to three channels, padded by `pad` on all sides. */
static struct lir_func *convolution(struct arena *a, int64_t pad, bool relu)
{
	struct gir_graph *g = gir_new(a, "test", 13);
	struct gir_value *in[] = {gir_value_typed(g, "x", DT_F32, 4, (int64_t[]){1, 2, 5, 5}),
				  gir_value_typed(g, "w", DT_F32, 4, (int64_t[]){3, 2, 3, 3})};
	struct gir_value *out = gir_value(g, "y"), *end = gir_value(g, "z");
	struct gir_node *n = gir_node(g, "conv", GIR_CONV, 2, in, 1, &out);
	struct gir_node *after = gir_node(g, "relu", GIR_RELU, 1, &out, 1, &end);
	struct lower_target target = {.cls = LOWER_CPU, .lanes = 1};
	struct op_infer infer = {.a = a, .graph = g, .node = n, .opset = 13};
	struct op_lower lower = {.a = a, .node = n, .opset = 13, .target = &target};
	struct gir_fused fused = {.node = after, .slot = 0};

	gir_set_ints(g, n, "pads", arena_memdup(a, (int64_t[]){pad, pad, pad, pad}, 4 * sizeof(int64_t)), 4);
	cr_assert(op_infer_node(&infer, NULL));
	infer.node = after;
	cr_assert(op_infer_node(&infer, NULL));
	if (relu) {
		n->nfused = 1;
		n->fused = &fused;
		n->out[0] = end;
	}
	cr_assert(op_lower_node(&lower, NULL));
	cr_assert_eq(lower.kernels.n, 1);
	return lower.kernels.v[0].func;
}

static const char *text_of(struct str *s, const struct lir_func *f)
{
	str_clear(s);
	lir_print(s, f);
	return str_text(s);
}

TEST(ops_nn, a_guard_stands_where_padding_can_be_touched_and_nowhere_else)
{
	struct arena *a = arena_new(NULL);
	struct str s = {0};

	cr_assert_null(strstr(text_of(&s, convolution(a, 0, false)), "if "));
	cr_assert_not_null(strstr(text_of(&s, convolution(a, 1, false)), "if "));
	str_free(&s);
	arena_free(a);
}

TEST(ops_nn, the_first_loop_with_several_iterations_is_parallel)
{
	struct arena *a = arena_new(NULL);

	cr_assert(lir_has_parallel(convolution(a, 0, false)));
	arena_free(a);
}

TEST(ops_nn, a_fused_operator_is_applied_before_the_only_store)
{
	struct arena *a = arena_new(NULL);
	struct lir_func *f = convolution(a, 0, true);
	float x[50], w[54], y[27];
	struct lir_interp_result r = {0};
	struct lir_interp_options o = {0};
	int negative = 0, positive = 0;

	for (int i = 0; i < 50; i++)
		x[i] = (float)(i % 7) - 3;
	for (int i = 0; i < 54; i++)
		w[i] = (float)(i % 5) - 2;
	cr_assert(lir_interp(f, (void *[]){x, w, y}, &o, &r, NULL));
	cr_assert_eq(r.fault, LIR_OK);
	for (int m = 0; m < 3; m++)
		for (int p = 0; p < 9; p++) {
			float sum = 0;

			for (int k = 0; k < 18; k++)
				sum += x[k / 9 * 25 + (p / 3 + k % 9 / 3) * 5 + p % 3 + k % 3] * w[m * 18 + k];
			cr_assert_eq(y[m * 9 + p], sum > 0 ? sum : 0);
			negative += sum < 0;
			positive += sum > 0;
		}
	cr_assert(negative && positive);
	arena_free(a);
}
