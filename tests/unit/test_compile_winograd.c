/* test_compile_winograd.c: convolutions by Winograd's transforms give the numbers of plain ones, and the pass that chooses them
 *
 * Run by the interpreter, which refuses any access outside a tensor, any read of what was not written, and races.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "compile/compile.h"
#include "compile_support.h"
#include "loop/loop.h"

struct shape {
	int lanes;
	int64_t batch, in, out, height, width, pads[4];
	bool bias, residual, relu;
};

static float noise(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (float)((double)(*state >> 40) / (1 << 24) * 2 - 1);
}

static struct tensor *filled(struct arena *a, int nd, const int64_t *dim, uint64_t seed)
{
	struct tensor *t = tensor_new(a, DT_F32, nd, dim);

	for (int64_t i = 0; i < tensor_elements(t); i++)
		((float *)t->data)[i] = noise(&seed);
	return t;
}

static struct gir_value *node(struct gir_graph *g, const char *name, enum gir_op op, uint32_t nin, struct gir_value **in, const int64_t *dim, int block,
			      struct gir_node **made)
{
	struct gir_value *v = gir_value_typed(g, arena_printf(g->arena, "%s.out", name), DT_F32, 4, dim);
	struct gir_node *n = gir_node(g, name, op, nin, in, 1, &v);

	v->block = block;
	gir_append(g, n);
	if (made)
		*made = n;
	return v;
}

/* Convolution, residual sum and Relu; `op` is Conv, plain, or WinogradConv, between reorders. */
static struct gir_graph *network(struct arena *a, const struct shape *s, enum gir_op op)
{
	struct gir_graph *g = gir_new(a, "net", 13);
	int block = op == GIR_WINOGRADCONV ? s->lanes : 0;
	int64_t x[] = {s->batch, s->in, s->height, s->width}, w[] = {s->out, s->in, 3, 3};
	int64_t y[] = {s->batch, s->out, s->height + s->pads[0] + s->pads[2] - 2, s->width + s->pads[1] + s->pads[3] - 2};
	struct gir_value *in[3] = {gir_value_typed(g, "x", DT_F32, 4, x)}, *other = gir_value_typed(g, "r", DT_F32, 4, y), *sum[2];
	struct gir_node *conv;

	vec_push(a, &g->inputs, in[0]);
	vec_push(a, &g->inputs, other);
	if (block) {
		in[0] = node(g, "to", GIR_REORDER, 1, in, x, block, NULL);
		other = node(g, "to2", GIR_REORDER, 1, &other, y, block, NULL);
	}
	in[1] = gir_const(g, "w", filled(a, 4, w, 2));
	in[2] = gir_const(g, "b", filled(a, 1, &s->out, 3));
	in[0] = node(g, "conv", op, s->bias ? 3 : 2, in, y, block, &conv);
	gir_set_ints(g, conv, "pads", s->pads, 4);
	sum[0] = in[0];
	sum[1] = other;
	if (s->residual)
		in[0] = node(g, "add", GIR_ADD, 2, sum, y, block, NULL);
	if (s->relu)
		in[0] = node(g, "relu", GIR_RELU, 1, in, y, block, NULL);
	if (block)
		in[0] = node(g, "from", GIR_REORDER, 1, in, y, 0, NULL);
	vec_push(a, &g->outputs, in[0]);
	return g;
}

static bool has_kernel(const struct comp_program *p, const char *name)
{
	for (uint32_t k = 0; k < p->nkernels; k++)
		if (!strcmp(p->kernel[k].func->name, name))
			return true;
	return false;
}

/* *strips: whether threads share strips, each with points of its own. */
static void check(const struct shape *s, bool *strips)
{
	static const char *const off[] = {"layout", "parts"};
	struct arena *a = arena_new(NULL);
	struct gir_graph *plain = network(a, s, GIR_CONV), *ours = network(a, s, GIR_WINOGRADCONV);
	const struct tensor *in[2] = {filled(a, 4, plain->inputs.v[0]->dim, 4), filled(a, 4, plain->inputs.v[1]->dim, 5)};
	struct tensor *want, *got;
	struct comp_program *p, *q;
	struct err e = {0};
	double d;

	cr_assert(comp_program(a, plain, &(struct comp_options){.opt_level = 0}, &p, &e) && comp_interpret(a, p, in, &want, &e), "%s", err_text(&e));
	cr_assert(comp_program(a, ours, &(struct comp_options){.opt_level = 3, .lanes = s->lanes, .disabled = off, .ndisabled = 2}, &q, &e), "%s",
		  err_text(&e));
	cr_assert(comp_interpret(a, q, in, &got, &e), "%s", err_text(&e));
	cr_expect(has_kernel(q, "conv.transform"));
	*strips = !has_kernel(q, "conv.tiles");
	for (uint32_t k = 0; k < q->nkernels; k++) {
		struct lir_bounds b;

		lir_bounds(q->kernel[k].func, &b);
		cr_expect_eq(b.kind, LIR_BOUNDS_IN_RANGE, "%s: %s", q->kernel[k].func->name, b.text);
		cr_expect(lir_has_parallel(q->kernel[k].func), "%s runs in one thread", q->kernel[k].func->name);
	}
	d = test_worst(got, want);
	cr_expect_lt(d, 2e-5, "%d lanes, %d x %d to %d channels, %d x %d: %g", s->lanes, (int)s->batch, (int)s->in, (int)s->out, (int)s->height,
		     (int)s->width, d);
	arena_free(a);
}

TEST(compile_winograd, convolutions_of_every_geometry_give_the_numbers_of_plain_ones)
{
	static const int64_t channels[] = {4, 8, 16, 17, 20, 33, 48};
	static const int lanes[] = {4, 8, 16};
	uint64_t state = 1;
	int strips = 0, n = TEST_CASES(120);
	bool own;

	for (int i = 0; i < n; i++) {
		struct shape s = {.lanes = lanes[i % 3]};
		int64_t draw[12];

		for (int k = 0; k < 12; k++)
			draw[k] = (int64_t)((noise(&state) + 1) * 32767);
		s.in = channels[draw[0] % 7];
		s.out = channels[draw[1] % 7];
		s.batch = 1 + draw[2] % 3;
		s.height = 1 + draw[3] % 13;
		s.width = 1 + draw[4] % (i % 5 ? 13 : 60);
		for (int k = 0; k < 4; k++)
			s.pads[k] = draw[5] % 2 ? 1 : draw[6 + k] % (i % 7 ? 3 : 9);
		if (i % 4 == 0) { /* enough strips for all threads */
			s.in = channels[draw[0] % 5];
			s.batch = 8;
			s.height = 9 + draw[3] % 7;
			s.width = 12 + draw[4] % 4;
		}
		while (s.height + s.pads[0] + s.pads[2] < 3)
			s.pads[2]++;
		while (s.width + s.pads[1] + s.pads[3] < 3)
			s.pads[3]++;
		s.bias = draw[10] % 2;
		s.residual = draw[10] / 2 % 2;
		s.relu = draw[10] / 4 % 2;
		check(&s, &own);
		strips += own;
	}
	cr_expect(strips > n / 10 && strips < n * 9 / 10, "%d of %d with points for each thread", strips, n);
}

TEST(compile_winograd, both_forms_take_a_residual_and_maps_of_real_networks)
{
	static const struct shape many = {16, 1, 32, 48, 56, 29, {1, 1, 1, 1}, true, true, true}, few = {16, 1, 64, 96, 14, 14, {1, 1, 1, 1}, true, true, true};
	static const struct shape batch = {16, 8, 16, 16, 14, 14, {1, 1, 1, 1}, true, true, true};
	bool own;

	check(&many, &own);
	cr_expect(own);
	check(&few, &own);
	cr_expect_not(own);
	check(&batch, &own);
	cr_expect(own, "images are strips too");
}

TEST(compile_winograd, what_the_transforms_cannot_do_is_an_error)
{
	static const struct shape s = {8, 1, 16, 16, 14, 14, {1, 1, 1, 1}, true, false, false};
	static const char *const off[] = {"layout", "parts"};
	struct comp_options o = {.opt_level = 3, .lanes = 8, .disabled = off, .ndisabled = 2};

	for (int i = 0; i < 2; i++) {
		struct arena *a = arena_new(NULL);
		struct gir_graph *g = network(a, &s, GIR_WINOGRADCONV);
		struct gir_node *conv = gir_find_node(g, "conv");
		struct comp_program *p;
		struct err e = {0};

		if (i)
			conv->in[0] = g->inputs.v[0]; /* plain */
		else
			gir_set_ints(g, conv, "dilations", (int64_t[]){2, 2}, 2), gir_set_ints(g, conv, "pads", (int64_t[]){2, 2, 2, 2}, 4);
		cr_expect_not(comp_program(a, g, &o, &p, &e));
		cr_expect(strstr(err_text(&e), "conv") && strstr(err_text(&e), "3 x 3 taps"), "%s", err_text(&e));
		err_free(&e);
		arena_free(a);
	}
}

/* ---- the pass ---- */

static int chosen(struct arena *a, const struct shape *s, const struct comp_options *o)
{
	struct comp_program *p;
	struct err e = {0};
	int n = 0;

	cr_assert(comp_program(a, network(a, s, GIR_CONV), o, &p, &e), "%s", err_text(&e));
	for (size_t i = 0; i < p->graph->nodes.n; i++)
		n += p->graph->nodes.v[i]->op == GIR_WINOGRADCONV;
	return n;
}

TEST(compile_winograd, only_who_asks_gets_it_and_only_where_it_pays)
{
	static const char *const name = "winograd";
	static const struct shape large = {16, 1, 64, 64, 56, 56, {1, 1, 1, 1}, true, true, true}, seven = {16, 1, 512, 512, 7, 7, {1, 1, 1, 1}, true, true, true};
	static const struct shape plain = {16, 1, 3, 64, 56, 56, {1, 1, 1, 1}, true, true, true}, wasted = {16, 1, 64, 64, 5, 5, {1, 1, 1, 1}, true, true, true};
	struct comp_options asked = {.opt_level = 3, .lanes = 16, .enabled = &name, .nenabled = 1}, o;
	struct arena *a = arena_new(NULL);

	cr_expect_eq(chosen(a, &large, &asked), 1);
	cr_expect_eq(chosen(a, &seven, &asked), 0, "the weights are most of what is read");
	cr_expect_eq(chosen(a, &plain, &asked), 0, "channels are no blocks");
	cr_expect_eq(chosen(a, &wasted, &asked), 0, "most of the second tiles lies beside the map");
	o = asked;
	o.nenabled = 0;
	cr_expect_eq(chosen(a, &large, &o), 0);
	o = asked;
	o.opt_level = 2;
	cr_expect_eq(chosen(a, &large, &o), 0);
	o = asked;
	o.disabled = &name;
	o.ndisabled = 1;
	cr_expect_eq(chosen(a, &large, &o), 0, "what is disabled is not run, asked for or not");
	o = asked;
	o.cls = DEVICE_GPU;
	o.lanes = 1;
	cr_expect_eq(chosen(a, &large, &o), 0);
	arena_free(a);
}

TEST(compile_winograd, a_mutant_keeps_what_was_decided_for_the_original)
{
	static const char *const name = "winograd";
	static const struct shape small = {16, 1, 16, 16, 5, 5, {1, 1, 1, 1}, true, false, true}, large = {16, 1, 16, 32, 56, 56, {1, 1, 1, 1}, true, false, true};
	struct comp_options o = {.opt_level = 3, .lanes = 16, .enabled = &name, .nenabled = 1};
	struct arena *a = arena_new(NULL);

	o.plan = gir_plan_new(a);
	cr_assert_eq(chosen(a, &small, &o), 0);
	gir_plan_replay(o.plan);
	cr_expect_eq(chosen(a, &large, &o), 0, "it would pay, but the original did not");
	o.plan = gir_plan_new(a);
	cr_assert_eq(chosen(a, &large, &o), 1);
	gir_plan_replay(o.plan);
	cr_expect_eq(chosen(a, &small, &o), 1);
	arena_free(a);
}
