/* test_compile.c: inference, passes by level and name, programs, run by the interpreter; numbers from onnxruntime */
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "compile/compile.h"
#include "test_support.h"

static struct gir_graph *parse(struct arena *a, const char *text)
{
	struct gir_graph *g = NULL;
	struct err e = {0};

	cr_assert(gir_parse(a, "t.gir", text, strlen(text), &g, &e), "%s", err_text(&e));
	return g;
}

static struct comp_program *program(struct arena *a, const struct gir_graph *g, const struct comp_options *o)
{
	struct comp_program *p = NULL;
	struct err e = {0};

	cr_assert(comp_program(a, g, o, &p, &e), "%s", err_text(&e));
	return p;
}

/* A convolution with everything that follows one, a shape computed as exporters do it, a classifier. */
static const char net[] =
    "graph \"net\" opset 13 {\n"
    "  input \"x\": f32[1,2,3,3]\n"
    "  const \"w\": f32[2,2,1,1] = {0.5, -1, 1.5, 2}\n"
    "  const \"b\": f32[2] = {0.25, -0.5}\n"
    "  const \"scale\": f32[2] = {1, 1.5}\n"
    "  const \"beta\": f32[2] = {0.1, -0.2}\n"
    "  const \"mean\": f32[2] = {0.3, 0.4}\n"
    "  const \"var\": f32[2] = {0.5, 2}\n"
    "  const \"zero\": i64[] = {0}\n"
    "  const \"axis\": i64[1] = {0}\n"
    "  const \"rest\": i64[1] = {-1}\n"
    "  const \"fw\": f32[8,3] = {-0.75, 0.5, 0, 0, -0.5, 0.75, 0.75, 0.25, -0.25, -0.25, -0.75, 0.5, 0.5, 0, -0.5, -0.5, 0.75, "
    "0.25, "
    "0.25, -0.25, -0.75, -0.75, 0.5, 0}\n"
    "  const \"fb\": f32[3] = {0.5, 0, -0.5}\n"
    "  \"conv\" = Conv(\"x\", \"w\", \"b\") -> \"c\": ?\n"
    "  \"bn\" = BatchNormalization(\"c\", \"scale\", \"beta\", \"mean\", \"var\") {epsilon = 0.001} -> \"n\": ?\n"
    "  \"relu\" = Relu(\"n\") -> \"r\": ?\n"
    "  \"sum\" = Add(\"r\", \"x\") -> \"s\": ?\n"
    "  \"id\" = Identity(\"s\") -> \"i\": ?\n"
    "  \"pool\" = MaxPool(\"i\") {kernel_shape = [2,2]} -> \"p\": ?\n"
    "  \"shape\" = Shape(\"p\") -> \"sh\": ?\n"
    "  \"batch\" = Gather(\"sh\", \"zero\") -> \"n0\": ?\n"
    "  \"batch1\" = Unsqueeze(\"n0\", \"axis\") -> \"n1\": ?\n"
    "  \"dims\" = Concat(\"n1\", \"rest\") {axis = 0} -> \"d\": ?\n"
    "  \"flat\" = Reshape(\"p\", \"d\") -> \"f\": ?\n"
    "  \"unused\" = Neg(\"f\") -> \"u\": ?\n"
    "  \"dense\" = Gemm(\"f\", \"fw\", \"fb\") -> \"g\": ?\n"
    "  \"soft\" = Softmax(\"g\") -> \"y\": ?\n"
    "  output \"g\"\n"
    "  output \"y\"\n"
    "}\n";

/* onnxruntime 1.32.0, optimisations off, of the net above with x = i / 8 - 1 */
static const double net_logits[3] = {-0.6067473888397217, 1.2051140069961548, -2.2007079124450684};
static const double net_scores[3] = {0.1365196853876114, 0.8357505798339844, 0.0277298204600811};

static struct tensor *ramp(struct arena *a, int nd, const int64_t *dim)
{
	struct tensor *t = tensor_new(a, DT_F32, nd, dim);

	for (int64_t i = 0; i < tensor_elements(t); i++)
		((float *)t->data)[i] = (float)i / 8 - 1;
	return t;
}

static void expect_near(const struct tensor *t, const double *want, int64_t n, const char *what)
{
	cr_assert_eq(tensor_elements(t), n);
	for (int64_t i = 0; i < n; i++)
		cr_expect_float_eq(tensor_get_f64(t, i), want[i], 1e-6 * fmax(1, fabs(want[i])), "%s, element %d: %.9g, not %.9g",
				   what, (int)i, tensor_get_f64(t, i), want[i]);
}

static void expect_net_numbers(struct arena *a, const struct comp_program *p, const char *what)
{
	const struct tensor *in = ramp(a, 4, (int64_t[]){1, 2, 3, 3});
	struct tensor *out[2];
	struct err e = {0};

	cr_assert(comp_interpret(a, p, &in, out, &e), "%s", err_text(&e));
	expect_near(out[0], net_logits, 3, what);
	expect_near(out[1], net_scores, 3, what);
}

static bool has_op(const struct gir_graph *g, enum gir_op op)
{
	for (size_t i = 0; i < g->nodes.n; i++) {
		if (g->nodes.v[i]->op == op)
			return true;
		for (uint32_t k = 0; k < g->nodes.v[i]->nfused; k++)
			if (g->nodes.v[i]->fused[k].node->op == op)
				return true;
	}
	return false;
}

/* ---- inference ---- */

TEST(compile_infer, types_and_computed_shapes_are_found)
{
	struct arena *a = arena_new(NULL);
	struct gir_graph *g = parse(a, net);
	const struct gir_value *v;
	struct err e = {0};

	cr_assert(comp_infer(g, &e), "%s", err_text(&e));
	for (size_t i = 0; i < g->values.n; i++)
		cr_expect(g->values.v[i]->typed, "'%s'", g->values.v[i]->name);
	v = gir_find_value(g, "f");
	cr_expect(v->dtype == DT_F32 && v->nd == 2 && v->dim[0] == 1 && v->dim[1] == 8);
	v = gir_find_value(g, "d");
	cr_assert_not_null(v->known);
	cr_expect_null(v->data);
	cr_expect(tensor_get_i64(v->known, 0) == 1 && tensor_get_i64(v->known, 1) == -1);
	cr_expect_null(gir_find_value(g, "g")->known);
	arena_free(a);
}

TEST(compile_infer, what_was_true_of_another_shape_is_forgotten)
{
	struct arena *a = arena_new(NULL);
	struct gir_graph *g = parse(a, net);
	struct err e = {0};

	cr_assert(comp_infer(g, &e), "%s", err_text(&e));
	gir_find_value(g, "x")->dim[2] = 2;
	gir_find_value(g, "x")->dim[0] = 5;
	cr_expect_not(comp_infer(g, &e), "8 rows of weights for 2 columns");
	cr_expect(strstr(err_text(&e), "node 'dense' (Gemm): "), "%s", err_text(&e));
	cr_expect_eq(gir_find_value(g, "c")->dim[0], 5);
	cr_expect_eq(tensor_get_i64(gir_find_value(g, "d")->known, 0), 5);
	err_free(&e);
	arena_free(a);
}

static void expect_infer_error(const char *text, const char *error)
{
	struct arena *a = arena_new(NULL);
	struct gir_graph *g = parse(a, text);
	struct comp_program *p;
	struct err e = {0};

	cr_expect_not(comp_infer(g, &e));
	cr_expect_str_eq(err_text(&e), error, "got '%s', not '%s'", err_text(&e), error);
	err_free(&e);
	cr_expect_not(comp_program(a, g, &(struct comp_options){0}, &p, &e));
	cr_expect_str_eq(err_text(&e), error);
	err_free(&e);
	cr_expect_not(comp_infer(g, NULL));
	arena_free(a);
}

#define HEAD "graph \"g\" opset 13 {\n  input \"x\": f32[2,3]\n  input \"n\": i64[1]\n  const \"c\": f32[4] = {1, 2, 3, 4}\n"

TEST(compile_infer, wrong_shapes_name_the_node)
{
	expect_infer_error(HEAD "  \"sum\" = Add(\"x\", \"c\") -> \"y\": ?\n  output \"y\"\n}\n",
			   "node 'sum' (Add): shapes do not broadcast: 3 against 4 in dimension -1");
	expect_infer_error(HEAD "  \"n1\" = Conv(\"x\", _) -> \"y\": ?\n  output \"y\"\n}\n",
			   "node 'n1' (Conv): 1 inputs, but the operator takes 2 to 3");
	expect_infer_error(HEAD "  \"n1\" = Relu(\"x\") -> \"y\": ?, \"z\": ?\n  output \"y\"\n}\n",
			   "node 'n1' (Relu): has no output 1 in opset 13");
}

TEST(compile_infer, all_nodes_that_are_not_supported_are_named_in_one_error)
{
	expect_infer_error(HEAD "  \"flat\" = Reshape(\"x\", \"n\") -> \"f\": ?\n  output \"f\"\n}\n",
			   "node 'flat' (Reshape): input 1 ('n') decides a shape but is not a constant");
	expect_infer_error(HEAD "  \"flat\" = Reshape(\"x\", \"n\") -> \"f\": ?\n"
				"  \"after\" = Relu(\"f\") -> \"a\": ?\n"
				"  \"good\" = Relu(\"x\") -> \"b\": ?\n"
				"  \"mean\" = ReduceSum(\"b\", \"n\") -> \"m\": ?\n"
				"  \"text\" = Cast(\"x\") {to = 8} -> \"t\": ?\n"
				"  output \"a\"\n  output \"m\"\n  output \"t\"\n}\n",
			   "3 nodes are not supported: node 'flat' (Reshape): input 1 ('n') decides a shape but is not a constant; "
			   "node 'mean' (ReduceSum): input 1 ('n') decides a shape but is not a constant; "
			   "node 'text' (Cast): type number 8 (a string, complex or other type)");
}

TEST(compile_infer, a_constant_known_by_its_hash_only_is_no_program)
{
	struct arena *a = arena_new(NULL);
	struct gir_graph *g = parse(a, "graph \"g\" opset 13 {\n  input \"x\": f32[2]\n"
				       "  const \"h\": f32[2] = hash \"0123456789abcdef0123456789abcdef\"\n"
				       "  \"sum\" = Add(\"x\", \"h\") -> \"y\": ?\n  output \"y\"\n}\n");
	struct comp_program *p;
	struct err e = {0};

	cr_expect(comp_infer(g, &e), "%s", err_text(&e));
	cr_expect_not(comp_program(a, g, &(struct comp_options){0}, &p, &e));
	cr_expect_str_eq(err_text(&e), "constant 'h' is known by its hash only");
	err_free(&e);
	arena_free(a);
}

/* ---- passes ---- */

TEST(compile_passes, every_level_gives_the_same_numbers)
{
	static const char *const what[] = {"level 0", "level 1", "level 2", "level 3"};

	for (int level = 0; level <= 3; level++) {
		struct arena *a = arena_new(NULL);
		struct comp_program *p = program(a, parse(a, net), &(struct comp_options){.opt_level = level, .lanes = 4});

		expect_net_numbers(a, p, what[level]);
		cr_expect_eq(has_op(p->graph, GIR_IDENTITY), level < 1);
		cr_expect_eq(has_op(p->graph, GIR_SHAPE), level < 1);
		cr_expect_eq(has_op(p->graph, GIR_NEG), level < 1);
		cr_expect_eq(has_op(p->graph, GIR_BATCHNORMALIZATION), level < 2);
		arena_free(a);
	}
}

TEST(compile_passes, each_pass_can_be_left_out)
{
	for (size_t i = 0; gir_passes[i]; i++) {
		struct arena *a = arena_new(NULL);
		const char *off = gir_passes[i]->name, *names[32];
		struct comp_options o = {.opt_level = 3, .lanes = 4, .disabled = &off, .ndisabled = 1};
		struct comp_program *p = program(a, parse(a, net), &o);
		size_t n = comp_passes(&o, names, 32), all = comp_passes(&(struct comp_options){.opt_level = 3}, names + n, 32 - n);

		cr_expect_eq(n + (strcmp(off, "precision") && !gir_passes[i]->asked), all); /* that one is a device's wish, others a user's */
		for (size_t k = 0; k < n; k++)
			cr_expect_str_neq(names[k], off);
		expect_net_numbers(a, p, off);
		cr_expect_eq(has_op(p->graph, GIR_BATCHNORMALIZATION), !strcmp(off, "bn-fold"));
		cr_expect_eq(has_op(p->graph, GIR_IDENTITY), !strcmp(off, "identity"));
		cr_expect_eq(has_op(p->graph, GIR_SHAPE), !strcmp(off, "fold"));
		cr_expect_eq(has_op(p->graph, GIR_NEG), !strcmp(off, "dead"));
		arena_free(a);
	}
}

static bool named(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

TEST(compile_passes, levels_add_passes)
{
	const char *names[16];
	size_t last = 0;

	cr_expect_eq(comp_passes(&(struct comp_options){.opt_level = 0}, names, 16), 0);
	for (int level = 1; level <= 3; level++) {
		size_t n = comp_passes(&(struct comp_options){.opt_level = level}, names, 16);

		cr_expect_gt(n, last);
		cr_expect(named(names, n, "identity") && named(names, n, "fold") && named(names, n, "dead"));
		cr_expect_eq(named(names, n, "bn-fold"), level >= 2);
		cr_expect_eq(named(names, n, "fuse"), level >= 2);
		cr_expect_eq(named(names, n, "layout"), level >= 3);
		cr_expect_not(named(names, n, "winograd"));
		last = n;
	}
	cr_expect_eq(comp_passes(&(struct comp_options){.opt_level = 3}, names, 2), 2, "no more than there is room for");
	for (size_t i = 0; gir_passes[i]; i++) {
		const char *one = gir_passes[i]->name;
		struct comp_options o = {.opt_level = 3, .enabled = &one, .nenabled = 1};

		cr_expect_eq(comp_passes(&o, names, 16) - last, gir_passes[i]->asked, "%s", one);
	}
}

static double as_half(double x)
{
	return (double)f16_to_f32(f16_from_f64(x));
}

/* Every stored tensor is rounded once; the sum of a convolution before that is f32's. */
TEST(compile_passes, a_network_of_halves_rounds_each_tensor_and_sums_in_f32)
{
	static const char text[] = "graph \"net\" opset 13 {\n"
				   "  input \"x\": f32[1,2,1,2]\n"
				   "  const \"w\": f32[1,2,1,1] = {0.1, 1000}\n"
				   "  const \"b\": f32[1] = {0.3}\n"
				   "  \"conv\" = Conv(\"x\", \"w\", \"b\") -> \"c\": ?\n"
				   "  \"exp\" = Sigmoid(\"c\") -> \"e\": ?\n"
				   "  \"sum\" = Add(\"e\", \"c\") -> \"y\": ?\n"
				   "  output \"y\"\n}\n";
	static const float x[] = {0.7f, -3.3f, 0.001f, 0.0033f};

	for (int level = 0; level <= 3; level++) {
		struct arena *a = arena_new(NULL);
		struct comp_program *p = program(a, parse(a, text), &(struct comp_options){.opt_level = level, .lanes = 16, .precision = DT_F16});
		struct tensor *in = tensor_new(a, DT_F32, 4, (const int64_t[]){1, 2, 1, 2}), *out;
		struct err e = {0};

		memcpy(in->data, x, sizeof x);
		cr_assert(comp_interpret(a, p, (const struct tensor *const[]){in}, &out, &e), "%s", err_text(&e));
		cr_assert_eq(out->dtype, DT_F32);
		for (int i = 0; i < 2; i++) {
			float sum = (float)as_half(0.3f) + (float)as_half(x[i]) * (float)as_half(0.1f);
			double c, s;

			sum += (float)as_half(x[2 + i]) * (float)as_half(1000);
			c = as_half(sum);
			s = as_half(1 / (1 + exp(-c)));
			cr_expect_float_eq(tensor_get_f64(out, i), as_half(s + c), 1e-3, "level %d, element %d: %g", level, i,
					   tensor_get_f64(out, i));
			cr_expect_eq(tensor_get_f64(out, i), as_half(tensor_get_f64(out, i)));
		}
		arena_free(a);
	}
}

/* What takes several steps is rounded once: numpy's float64 results as float16. In steps of f16, elu(-0.01) would be -0.0098. */
TEST(compile_passes, an_activation_of_halves_is_rounded_once)
{
	static const struct {
		const char *call;
		float want[4];
	} cases[] = {
		{"Sigmoid(\"x\")", {0.0910644531f, 0.497558594f, 0.622558594f, 0.95703125f}},
		{"Elu(\"x\")", {-0.899902344f, -0.00994873047f, 0.5f, 3.09960938f}},
		{"Selu(\"x\")", {-1.58203125f, -0.0175018311f, 0.525390625f, 3.25585938f}},
		{"HardSwish(\"x\")", {-0.268066406f, -0.00498580933f, 0.291748047f, 3.09960938f}},
		{"HardSigmoid(\"x\")", {0.039855957f, 0.498046875f, 0.600097656f, 1}},
		{"LeakyRelu(\"x\")", {-0.0230102539f, -0.000100016594f, 0.5f, 3.09960938f}},
		{"Softplus(\"x\")", {0.0954589844f, 0.687988281f, 0.974121094f, 3.14453125f}},
		{"Softsign(\"x\")", {-0.697265625f, -0.0099029541f, 0.333251953f, 0.755859375f}},
		{"Sum(\"x\", \"up\", \"down\")", {-2.30078125f, -0.0100021362f, 0.5f, 3.09960938f}},
	};
	static const float x[] = {-2.3f, -0.01f, 0.5f, 3.1f};

	for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
		for (int level = 0; level <= 3; level++) {
			struct arena *a = arena_new(NULL);
			const char *text = arena_printf(a,
							"graph \"net\" opset 14 {\n  input \"x\": f32[4]\n  const \"up\": f32[1] = {64}\n"
							"  const \"down\": f32[1] = {-64}\n  \"n\" = %s -> \"y\": ?\n  output \"y\"\n}\n",
							cases[k].call);
			struct comp_program *p =
				program(a, parse(a, text), &(struct comp_options){.opt_level = level, .lanes = 16, .precision = DT_F16});
			struct tensor *in = tensor_new(a, DT_F32, 1, (const int64_t[]){4}), *out;
			struct err e = {0};

			memcpy(in->data, x, sizeof x);
			cr_assert(comp_interpret(a, p, (const struct tensor *const[]){in}, &out, &e), "%s", err_text(&e));
			for (int i = 0; i < 4; i++)
				cr_expect_eq(tensor_get_f64(out, i), cases[k].want[i], "level %d, %s of %g: %.9g", level, cases[k].call, x[i],
					     tensor_get_f64(out, i));
			arena_free(a);
		}
}

TEST(compile_passes, large_constants_are_left_to_kernels)
{
	static const int64_t sizes[] = {COMP_FOLD_ELEMENTS, COMP_FOLD_ELEMENTS + 1};

	for (int i = 0; i < 2; i++) {
		struct arena *a = arena_new(NULL);
		struct gir_graph *g = gir_new(a, "g", 13);
		struct gir_value *v = gir_const(g, "c", ramp(a, 1, &sizes[i])), *y = gir_value(g, "y"), *z = gir_value(g, "z");
		struct comp_program *p;
		struct tensor *out;
		struct err e = {0};

		gir_append(g, gir_node(g, "neg", GIR_NEG, 1, &v, 1, &y));
		gir_append(g, gir_node(g, "abs", GIR_ABS, 1, &y, 1, &z));
		vec_push(a, &g->outputs, z);
		p = program(a, g, &(struct comp_options){.opt_level = 1});
		cr_expect_eq(p->nkernels, i ? 2 : 1);
		cr_assert(comp_interpret(a, p, NULL, &out, &e), "%s", err_text(&e));
		cr_expect_eq(((float *)out->data)[0], 1);
		cr_expect_eq(((float *)out->data)[sizes[i] - 1], (float)(sizes[i] - 1) / 8 - 1);
		arena_free(a);
	}
}

/* Two readers of a convolution keep batch normalisation where it is; a mutant in which one is gone must not fold it either. */
TEST(compile_passes, a_replayed_plan_does_not_fold_what_the_original_did_not)
{
	static const char form[] = "graph \"g\" opset 13 {\n  input \"x\": f32[1,1,2,2]\n  const \"w\": f32[1,1,1,1] = {3}\n"
				   "  const \"k\": f32[1] = {0.7}\n  \"conv\" = Conv(\"x\", \"w\") -> \"c\": ?\n"
				   "  \"bn\" = BatchNormalization(\"c\", \"k\", \"k\", \"k\", \"k\") -> \"b\": ?\n"
				   "  \"sum\" = Add(\"b\", \"%s\") -> \"y\": ?\n  output \"y\"\n}\n";
	struct arena *a = arena_new(NULL);
	struct gir_graph *original = parse(a, arena_printf(a, form, "c")), *mutant = parse(a, arena_printf(a, form, "x"));
	struct comp_options o = {.opt_level = 2};

	cr_expect_not(has_op(program(a, mutant, &o)->graph, GIR_BATCHNORMALIZATION));
	o.plan = gir_plan_new(a);
	cr_expect(has_op(program(a, original, &o)->graph, GIR_BATCHNORMALIZATION));
	gir_plan_replay(o.plan);
	cr_expect(has_op(program(a, mutant, &o)->graph, GIR_BATCHNORMALIZATION));
	arena_free(a);
}

/* ---- programs ---- */

TEST(compile_program, outputs_that_nobody_computes_are_copied)
{
	struct arena *a = arena_new(NULL);
	struct gir_graph *g =
	    parse(a, "graph \"g\" opset 13 {\n  input \"x\": f32[2]\n  const \"c\": f32[2] = {5, 6}\n"
		     "  \"neg\" = Neg(\"x\") -> \"y\": ?\n  output \"y\"\n  output \"x\"\n  output \"c\"\n  output \"y\"\n}\n");
	const struct tensor *in = ramp(a, 1, (int64_t[]){2});

	for (int level = 0; level <= 3; level++) {
		struct comp_program *p = program(a, g, &(struct comp_options){.opt_level = level, .lanes = 8});
		struct tensor *out[4];
		struct err e = {0};

		cr_assert_eq(p->noutputs, 4);
		cr_assert(comp_interpret(a, p, &in, out, &e), "%s", err_text(&e));
		expect_near(out[0], (double[]){1, 0.875}, 2, "y");
		expect_near(out[1], (double[]){-1, -0.875}, 2, "x");
		expect_near(out[2], (double[]){5, 6}, 2, "c");
		expect_near(out[3], (double[]){1, 0.875}, 2, "y again");
		for (int i = 0; i < 4; i++)
			for (int k = 0; k < i; k++)
				cr_expect_neq(p->output[i], p->output[k]);
	}
	cr_expect_eq(g->outputs.v[1], g->inputs.v[0], "the graph given is not changed");
	cr_expect_eq(g->nodes.n, 1);
	arena_free(a);
}

static uint32_t kernel_of(const struct comp_program *p, const char *node)
{
	for (uint32_t k = 0; k < p->nkernels; k++)
		if (!strcmp(p->kernel[k].node->name, node))
			return k;
	cr_assert(false, "no kernel of '%s'", node);
	return 0;
}

TEST(compile_program, a_replaced_kernel_changes_the_copy_only_and_its_faults_name_it)
{
	static const char text[] =
	    "graph \"g\" opset 13 {\n  input \"x\": f32[2]\n  \"neg\" = Neg(\"x\") -> \"y\": ?\n  output \"y\"\n}\n";
	static const char twice[] =
	    "func neg(x: f32[2], out y: f32[2]) {\n  for i in 0..2 serial {\n    y[i] = x[i] + x[i]\n  }\n}\n";
	static const char fault[] = "func neg(x: f32[2], out y: f32[2]) {\n  for i in 0..2 serial {\n    y[i] = x[i + 1]\n  }\n}\n";
	struct arena *a = arena_new(NULL);
	struct comp_program *p = program(a, parse(a, text), &(struct comp_options){0}), *q;
	const struct tensor *in = ramp(a, 1, (int64_t[]){2});
	struct lir_func *f = NULL;
	struct tensor *out;
	struct err e = {0};

	cr_assert_eq(p->nkernels, 1);
	cr_assert(lir_parse(a, "t", twice, strlen(twice), &f, &e), "%s", err_text(&e));
	q = comp_replace(a, p, &f);
	cr_assert(comp_interpret(a, q, &in, &out, &e), "%s", err_text(&e));
	expect_near(out, (double[]){-2, -1.75}, 2, "replaced");
	cr_assert(comp_interpret(a, p, &in, &out, &e), "%s", err_text(&e));
	expect_near(out, (double[]){1, 0.875}, 2, "original");
	cr_assert(lir_parse(a, "t", fault, strlen(fault), &f, &e), "%s", err_text(&e));
	cr_expect_not(comp_interpret(a, comp_replace(a, p, &f), &in, &out, &e));
	cr_expect_str_eq(err_text(&e), "kernel 'neg': a read of 'x' out of bounds: index 2 in dim 0 of size 2");
	err_free(&e);
	arena_free(a);
}

TEST(compile_program, a_race_is_an_error_unless_the_kernel_runs_alone)
{
	static const char text[] =
	    "graph \"g\" opset 13 {\n  input \"x\": f32[2]\n  \"neg\" = Neg(\"x\") -> \"y\": ?\n  output \"y\"\n}\n";
	static const char race[] =
	    "func neg(x: f32[2], out y: f32[2]) {\n  for i in 0..2 parallel {\n    y[0] = x[i]\n    y[1] = x[i]\n  }\n}\n";
	struct arena *a = arena_new(NULL);
	struct comp_program *q, *p = program(a, parse(a, text), &(struct comp_options){0});
	const struct tensor *in = ramp(a, 1, (int64_t[]){2});
	struct lir_func *f = NULL;
	struct tensor *out;
	struct err e = {0};

	cr_assert(lir_parse(a, "t", race, strlen(race), &f, &e), "%s", err_text(&e));
	q = comp_replace(a, p, &f);
	cr_expect(comp_interpret(a, q, &in, &out, &e), "%s", err_text(&e));
	p->kernel[0].func = f; /* as if it had been lowered so */
	cr_expect_not(comp_interpret(a, p, &in, &out, &e));
	cr_expect_str_eq(err_text(&e),
			 "kernel 'neg': a race: two iterations of the parallel loops touch element 0 of 'y', and one writes it");
	err_free(&e);
	arena_free(a);
}

TEST(compile_program, equal_kernels_of_a_bundle_are_one_and_texts_do_not_change)
{
	struct arena *a = arena_new(NULL);
	struct gir_graph *g =
	    parse(a, "graph \"g\" opset 13 {\n  input \"x\": f32[2]\n  \"one\" = Relu(\"x\") -> \"a\": ?\n"
		     "  \"other\" = Neg(\"a\") -> \"b\": ?\n  \"two\" = Relu(\"b\") -> \"y\": ?\n  output \"y\"\n}\n");
	struct comp_program *p = program(a, g, &(struct comp_options){0}), *again = program(a, g, &(struct comp_options){0});
	struct bundle *b, *c;
	struct err e = {0};

	cr_assert(comp_bundle(a, p, "c", &b, &e), "%s", err_text(&e));
	cr_assert(comp_bundle(a, again, "c", &c, &e), "%s", err_text(&e));
	cr_expect_eq(b->nlaunches, 3);
	cr_expect_eq(b->nkernels, 2);
	cr_expect_eq(b->launch[kernel_of(p, "one")].kernel, b->launch[kernel_of(p, "two")].kernel);
	cr_expect_neq(b->launch[kernel_of(p, "one")].kernel, b->launch[kernel_of(p, "other")].kernel);
	cr_assert_eq(c->nkernels, b->nkernels);
	for (uint32_t k = 0; k < b->nkernels; k++)
		cr_expect_str_eq(b->kernel[k].source, c->kernel[k].source);
	cr_expect_not(comp_bundle(a, program(a, g, &(struct comp_options){0}), "fortran", &b, &e));
	cr_expect(strstr(err_text(&e), "'fortran'"), "%s", err_text(&e));
	err_free(&e);
	arena_free(a);
}

TEST(compile_program, multiplications_and_parameters_are_counted)
{
	struct arena *a = arena_new(NULL);
	struct gir_graph *g = parse(a, net);
	struct err e = {0};

	cr_assert(comp_infer(g, &e), "%s", err_text(&e));
	cr_expect_eq(comp_macs(g), 2 * 2 * 9 + 8 * 3);
	cr_expect_eq(comp_parameters(g), 4 + 5 * 2 + 24 + 3);
	arena_free(a);
}
