/* test_compile_layout.c: random networks give the same numbers in blocks of channels as they do plain
 *
 * Levels 0 and 3 are both run by the interpreter, which refuses any access outside a tensor and any read of what was not
 * written; vectors of 4, 8 and 16 lanes.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "compile/compile.h"
#include "compile_net.h"
#include "compile_support.h"

static struct gir_value *conv(struct net *n, struct gir_value *x)
{
	static const int64_t widths[] = {3, 8, 10, 16, 24, 33, 48};
	int64_t c = x->dim[1], groups = 1, out = widths[draw(n, 0, 6)], k[2] = {draw(n, 1, 3), draw(n, 1, 3)},
		stride[2] = {draw(n, 1, 2), 1};
	int64_t dilation[2] = {1, draw(n, 1, 2)}, pads[4] = {draw(n, 0, 1), draw(n, 0, 2), draw(n, 0, 1), draw(n, 0, 2)};
	struct gir_value *in[3] = {x};
	struct gir_node *node;

	if (draw(n, 0, 3) == 0) /* depthwise */
		groups = out = c;
	else if (draw(n, 0, 3) == 0 && c % 32 == 0) {
		groups = 2;
		out = 32 * draw(n, 1, 2);
	} else if (draw(n, 0, 1) == 0) { /* one tap; with groups that are no whole blocks it stays plain */
		k[0] = k[1] = stride[0] = dilation[1] = 1;
		memset(pads, 0, sizeof pads);
		if (c % 3 == 0) {
			groups = 3;
			out = 3 * draw(n, 2, 20);
		}
	}
	while (pads[0] + pads[2] + x->dim[2] < k[0])
		pads[2]++;
	while (pads[1] + pads[3] + x->dim[3] < (k[1] - 1) * dilation[1] + 1)
		pads[3]++;
	in[1] = constant(n, 4, (int64_t[]){out, c / groups, k[0], k[1]}, -0.3f, 0.3f);
	in[2] = constant(n, 1, &out, -1, 1);
	x = add(n, GIR_CONV, (uint32_t)draw(n, 2, 3), in, &node);
	gir_set_ints(n->g, node, "strides", stride, 2);
	gir_set_ints(n->g, node, "dilations", dilation, 2);
	gir_set_ints(n->g, node, "pads", pads, 4);
	gir_set_int(n->g, node, "group", groups);
	return x;
}

static struct gir_value *pool(struct net *n, struct gir_value *x)
{
	struct gir_node *node;
	int64_t k[2] = {2, 3}, stride[2] = {draw(n, 1, 2), draw(n, 1, 2)}, pads[4] = {1, 1, 1, 1};

	x = add(n, draw(n, 0, 1) ? GIR_MAXPOOL : GIR_AVERAGEPOOL, 1, &x, &node);
	gir_set_ints(n->g, node, "kernel_shape", k, 2);
	gir_set_ints(n->g, node, "strides", stride, 2);
	gir_set_ints(n->g, node, "pads", pads, 4);
	if (node->op == GIR_AVERAGEPOOL)
		gir_set_int(n->g, node, "count_include_pad", draw(n, 0, 1));
	return x;
}

static struct gir_value *lrn(struct net *n, struct gir_value *x)
{
	static const float beta[] = {0.75f, 0.5f, 1, 0.6f};
	struct gir_node *node;

	x = add(n, GIR_LRN, 1, &x, &node);
	gir_set_int(n->g, node, "size", draw(n, 1, 9));
	gir_set_float(n->g, node, "alpha", 0.5f);
	gir_set_float(n->g, node, "beta", beta[draw(n, 0, 3)]);
	return x;
}

static struct gir_value *norm(struct net *n, struct gir_value *x)
{
	int64_t c = x->dim[1];
	struct gir_value *in[5] = {x, constant(n, 1, &c, 0.5f, 1.5f), constant(n, 1, &c, -1, 1), constant(n, 1, &c, -1, 1),
				   constant(n, 1, &c, 0.5f, 2)};

	return add(n, GIR_BATCHNORMALIZATION, 5, in, NULL);
}

/* A gate computed from the image itself: x * sigmoid(mean(x)). */
static struct gir_value *gate(struct net *n, struct gir_value *x)
{
	struct gir_value *in[2] = {x}, *mean = add(n, GIR_GLOBALAVERAGEPOOL, 1, &x, NULL);

	in[1] = add(n, GIR_SIGMOID, 1, &mean, NULL);
	return add(n, GIR_MUL, 2, in, NULL);
}

static struct gir_value *join(struct net *n, struct gir_value *x)
{
	struct gir_node *node;
	struct gir_value *in[2] = {x, add(n, GIR_RELU, 1, &x, NULL)};

	x = add(n, GIR_CONCAT, 2, in, &node);
	gir_set_int(n->g, node, "axis", draw(n, 1, 2));
	return x;
}

/* Two branches joined, a pool perhaps, and a convolution of one tap: nothing needs to be copied. */
static struct gir_value *fire(struct net *n, struct gir_value *x)
{
	static const int64_t widths[] = {3, 16, 24, 33};
	int64_t out = widths[draw(n, 0, 3)];
	struct gir_value *in[3] = {x, add(n, GIR_RELU, 1, &x, NULL), x};
	struct gir_node *node;

	in[0] = add(n, GIR_CONCAT, (uint32_t)draw(n, 2, 3), in, &node);
	gir_set_int(n->g, node, "axis", draw(n, 0, 1) ? 1 : -3);
	if (draw(n, 0, 1))
		in[0] = pool(n, in[0]);
	in[1] = constant(n, 4, (int64_t[]){out, node->nin * x->dim[1], 1, 1}, -0.2f, 0.2f);
	in[2] = constant(n, 1, &out, -1, 1);
	return add(n, GIR_CONV, (uint32_t)draw(n, 2, 3), in, NULL);
}

static struct gir_value *step(struct net *n, struct gir_value *x)
{
	struct gir_value *in[2] = {x};

	switch (draw(n, 0, 12)) {
	case 11:
	case 12: return fire(n, x);
	case 10: return lrn(n, x);
	case 0: return pool(n, x);
	case 1: return norm(n, x);
	case 2: return gate(n, x);
	case 3: return join(n, x);
	case 4: /* per channel */
		in[1] = constant(n, draw(n, 0, 1) ? 3 : 4,
				 draw(n, 0, 1) ? (int64_t[]){x->dim[1], 1, 1, 1} : (int64_t[]){1, x->dim[1], 1, 1}, 0.5f, 1.5f);
		if (in[1]->nd == 3 && in[1]->dim[0] != x->dim[1])
			in[1] = constant(n, 0, NULL, 0.5f, 1.5f);
		if (in[1]->nd == 4 && in[1]->dim[0] != 1)
			in[1] = constant(n, 1, &x->dim[3], 0.5f, 1.5f); /* along the width: cannot be blocked */
		return add(n, GIR_MUL, 2, in, NULL);
	case 5: { /* residual */ in[1] = add(n, GIR_RELU, 1, &x, NULL); return add(n, GIR_ADD, 2, in, NULL);
	}
	default: return conv(n, x);
	}
}

/* Two parts along an axis, by Slice or by Split, and joined the other way round with the whole. */
static struct gir_value *cut(struct net *n, struct gir_value *x)
{
	int64_t axis = draw(n, 1, 3), split[2] = {x->dim[axis] / 3, x->dim[axis] - x->dim[axis] / 3}, two = 2;
	struct gir_value *part[3], *in[2] = {x};
	struct gir_node *node;

	if (split[0] < 1)
		return x;
	if (draw(n, 0, 1)) {
		for (int i = 0; i < 2; i++)
			part[i] = gir_value(n->g, arena_printf(n->a, "v%d", n->count++));
		in[1] = gir_const(n->g, arena_printf(n->a, "c%d", n->count++), tensor_new(n->a, DT_I64, 1, &two));
		memcpy(in[1]->data->data, split, sizeof split);
		node = gir_node(n->g, arena_printf(n->a, "n%d", n->count++), GIR_SPLIT, 2, in, 2, part);
		gir_append(n->g, node);
		gir_set_int(n->g, node, "axis", axis);
	} else {
		for (int i = 0; i < 2; i++) {
			int64_t one = 1, value[] = {i ? split[0] : 0, i ? x->dim[axis] : split[0], axis};
			struct gir_value *arg[4] = {x};

			for (int k = 0; k < 3; k++) {
				arg[k + 1] = gir_const(n->g, arena_printf(n->a, "c%d", n->count++), tensor_new(n->a, DT_I64, 1, &one));
				memcpy(arg[k + 1]->data->data, &value[k], sizeof *value);
			}
			part[i] = add(n, GIR_SLICE, 4, arg, NULL);
		}
	}
	part[2] = part[0];
	x = add(n, GIR_CONCAT, 2, &part[1], &node);
	gir_set_int(n->g, node, "axis", axis);
	return draw(n, 0, 1) ? x : add(n, GIR_RELU, 1, &x, NULL);
}

/* LayerNorm of the pixels' channels, GELU, and a matrix product of the tokens with themselves, added to x. */
static struct gir_value *attend(struct net *n, struct gir_value *x)
{
	int64_t pixels = x->dim[2] * x->dim[3], c = x->dim[1];
	struct gir_value *in[3], *tokens = transpose(n, reshape(n, x, 3, (int64_t[]){x->dim[0], c, pixels}), (int64_t[]){0, 2, 1});
	struct gir_value *normal, *y;
	struct gir_node *node;

	in[0] = tokens;
	in[1] = constant(n, 1, &c, 0.5f, 1.5f);
	in[2] = constant(n, 1, &c, -1, 1);
	normal = add(n, GIR_LAYERNORMALIZATION, (uint32_t)draw(n, 2, 3), in, &node);
	in[0] = typed(n, normal);
	in[1] = transpose(n, normal, (int64_t[]){0, 2, 1});
	y = add(n, GIR_MATMUL, 2, in, NULL);
	in[0] = typed(n, add(n, GIR_SOFTMAX, 1, &y, NULL));
	in[1] = normal;
	y = typed(n, add(n, GIR_MATMUL, 2, in, NULL));
	in[0] = y;
	in[1] = constant(n, 0, NULL, 1.41421356f, 1.41421356f);
	in[0] = add(n, GIR_DIV, 2, in, NULL);
	in[0] = add(n, GIR_ERF, 1, in, NULL);
	in[1] = constant(n, 0, NULL, 1, 1);
	in[0] = add(n, GIR_ADD, 2, in, NULL);
	in[1] = y;
	in[0] = add(n, GIR_MUL, 2, in, NULL);
	in[1] = constant(n, 0, NULL, 0.5f, 0.5f);
	in[0] = add(n, GIR_MUL, 2, in, NULL);
	in[1] = tokens;
	y = typed(n, add(n, GIR_ADD, 2, in, NULL));
	return reshape(n, transpose(n, y, (int64_t[]){0, 2, 1}), 4, x->dim);
}

static struct gir_value *move(struct net *n, struct gir_value *x)
{
	switch (draw(n, 0, 4)) {
	case 0: return cut(n, x);
	case 1: return x->dim[1] * x->dim[2] * x->dim[3] < 20000 ? attend(n, x) : x;
	case 2: return transpose(n, x, draw(n, 0, 1) ? (int64_t[]){0, 1, 3, 2} : (int64_t[]){0, 2, 1, 3});
	default: return shuffle(n, x);
	}
}

static void product(struct net *n, struct gir_value *x)
{
	struct gir_value *in[3] = {add(n, GIR_FLATTEN, 1, &x, NULL)};
	int64_t width = draw(n, 16, 70), inner = typed(n, in[0])->dim[1];
	struct gir_node *node;

	if (draw(n, 0, 1)) {
		in[1] = constant(n, 2, (int64_t[]){width, inner}, -0.1f, 0.1f);
		in[2] = constant(n, 1, &width, -1, 1);
		x = add(n, GIR_GEMM, 3, in, &node);
		gir_set_int(n->g, node, "transB", 1);
		gir_set_float(n->g, node, "alpha", 0.5f);
	} else {
		in[1] = constant(n, 2, (int64_t[]){inner, width}, -0.1f, 0.1f);
		x = add(n, GIR_MATMUL, 2, in, NULL);
	}
	vec_push(n->a, &n->g->outputs, add(n, GIR_TANH, 1, &x, NULL));
}

/* moves: data are moved, too, and normalised as in transformers. */
static struct net make(struct arena *a, uint64_t seed, bool moves)
{
	struct net n = {.a = a, .g = gir_new(a, "random", moves ? 17 : 13), .state = seed * 7919 + 17};
	int64_t dim[4] = {draw(&n, 1, 2), draw(&n, 0, 1) ? 3 : 16 * draw(&n, 1, 2), draw(&n, 5, 17), draw(&n, 5, 17)};
	struct gir_value *x = gir_value_typed(n.g, "x", DT_F32, 4, dim);

	vec_push(a, &n.g->inputs, x);
	x = typed(&n, conv(&n, x));
	for (int64_t i = draw(&n, 2, 6);
	     i > 0 && tensor_elements(
			  &(struct tensor){.dtype = DT_F32, .nd = 4, .dim = {x->dim[0], x->dim[1], x->dim[2], x->dim[3]}}) < 40000;
	     i--)
		x = typed(&n, moves && draw(&n, 0, 1) ? move(&n, x) : step(&n, x));
	vec_push(a, &n.g->outputs, x);
	product(&n, x);
	typed(&n, x);
	return n;
}

static void check_random_networks(uint64_t from, uint64_t to, bool moves)
{
	static const int lanes[] = {4, 8, 16};
	uint64_t used = 0;

	for (uint64_t seed = from; seed <= to; seed++) {
		struct arena *a = arena_new(NULL);
		struct net n = make(a, seed, moves);
		struct tensor *in = tensor_new(a, DT_F32, 4, n.g->inputs.v[0]->dim), **plain, **blocked, **tiled;
		struct comp_program *p;

		fill(&n, in, -1, 1);
		plain = outputs(&n, &(struct comp_options){.opt_level = 0, .lanes = 1}, in, &p);
		blocked = outputs(&n, &(struct comp_options){.opt_level = 3, .lanes = lanes[seed % 3]}, in, &p);
		used += any_blocked(p);
		tiled = outputs(&n, &(struct comp_options){.opt_level = 3, .cls = DEVICE_GPU, .lanes = 1, .max_group = 256, .local_memory = 32 << 10}, in, &p);
		cr_expect_not(any_blocked(p));
		for (int i = 0; i < 2; i++) {
			cr_expect_lt(test_worst(blocked[i], plain[i]), 1e-4, "seed %d, output %d: %g", (int)seed, i,
				     test_worst(blocked[i], plain[i]));
			cr_expect_lt(test_worst(tiled[i], plain[i]), 1e-4, "seed %d, output %d, accelerators: %g", (int)seed, i,
				     test_worst(tiled[i], plain[i]));
		}
		arena_free(a);
	}
	cr_expect_geq(used, (to - from + 1) * 8 / 9, "%d", (int)used);
}

TEST(compile_layout, blocked_and_tiled_networks_give_the_numbers_of_plain_ones)
{
	check_random_networks(1, TEST_CASES(90), false);
}

TEST(compile_layout, networks_that_move_data_give_the_numbers_of_plain_ones)
{
	check_random_networks(101, 100 + TEST_CASES(45), true);
}

TEST(compile_layout, reshapes_have_no_kernel_unless_they_make_an_output)
{
	struct arena *a = arena_new(NULL);
	struct net n = {.a = a, .g = gir_new(a, "views", 13), .state = 1};
	struct gir_value *x = gir_value_typed(n.g, "x", DT_F32, 4, (int64_t[]){1, 6, 4, 4}), *y;
	struct tensor *in = tensor_new(a, DT_F32, 4, x->dim), **plain, **other;
	struct comp_program *p;

	fill(&n, in, -1, 1);
	vec_push(a, &n.g->inputs, x);
	y = shuffle(&n, x);
	vec_push(a, &n.g->outputs, reshape(&n, y, 2, (int64_t[]){6, 16}));
	vec_push(a, &n.g->outputs, add(&n, GIR_NEG, 1, &y, NULL));
	plain = outputs(&n, &(struct comp_options){.opt_level = 0, .lanes = 1}, in, &p);
	cr_expect_eq(kernels_of(p, GIR_RESHAPE), 3u);
	other = outputs(&n, &(struct comp_options){.opt_level = 3, .lanes = 16}, in, &p);
	cr_expect_eq(kernels_of(p, GIR_RESHAPE), 1u);
	cr_expect_eq(kernels_of(p, GIR_VIEW), 0u);
	cr_expect_eq(test_worst(other[0], plain[0]), 0);
	cr_expect_eq(test_worst(other[1], plain[1]), 0);
	other = outputs(&n, &(struct comp_options){.opt_level = 3, .lanes = 16, .disabled = (const char *const[]){"views"}, .ndisabled = 1}, in, &p);
	cr_expect_eq(kernels_of(p, GIR_RESHAPE), 3u);
	cr_expect_eq(test_worst(other[1], plain[1]), 0);
	arena_free(a);
}

/* Rows of pixels are for threads to share: so few that there is nothing to share are not worth vectors along them, nor are narrow ones. */
TEST(compile_layout, blocks_become_plain_images_by_vectors_along_rows)
{
	static const struct { int64_t n, h, w; bool vectors; } cases[] = {{1, 4, 20, true}, {1, 3, 20, false}, {2, 2, 16, true}, {1, 9, 8, true}, {1, 9, 7, false}};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct arena *a = arena_new(NULL);
		struct net n = {.a = a, .g = gir_new(a, "rows", 13), .state = i + 1};
		int64_t dim[4] = {cases[i].n, 32, cases[i].h, cases[i].w};
		struct gir_value *in[2] = {gir_value_typed(n.g, "x", DT_F32, 4, dim)};
		struct tensor *x = tensor_new(a, DT_F32, 4, dim), **plain, **other;
		struct comp_program *p;
		const char *store;

		fill(&n, x, -1, 1);
		vec_push(a, &n.g->inputs, in[0]);
		in[1] = constant(&n, 4, (int64_t[]){35, 32, 1, 1}, -0.3f, 0.3f);
		vec_push(a, &n.g->outputs, add(&n, GIR_CONV, 2, in, NULL));
		plain = outputs(&n, &(struct comp_options){.opt_level = 0, .lanes = 1}, x, &p);
		other = outputs(&n, &(struct comp_options){.opt_level = 3, .lanes = 16}, x, &p);
		cr_expect_eq(kernels_of(p, GIR_REORDER), 2u, "case %zu", i);
		store = arena_printf(a, ", 1, %d)] = in0[", cases[i].w < 16 ? (int)cases[i].w : 16);
		cr_expect_eq(!!strstr(text_of(a, p, GIR_REORDER), store), cases[i].vectors, "case %zu:\n%s", i, text_of(a, p, GIR_REORDER));
		cr_expect_lt(test_worst(other[0], plain[0]), 1e-5, "case %zu", i);
		arena_free(a);
	}
}

TEST(compile_layout, padding_far_larger_than_its_image_costs_nothing)
{
	struct arena *a = arena_new(NULL);
	struct net n = {.a = a, .g = gir_new(a, "far", 13), .state = 1};
	int64_t dim[4] = {1, 16, 8, 8}, far = INT32_MAX;
	struct gir_value *in[2] = {gir_value_typed(n.g, "x", DT_F32, 4, dim)};
	struct tensor *x = tensor_new(a, DT_F32, 4, dim), **plain, **other;
	struct comp_program *p;
	struct gir_node *node;

	fill(&n, x, -1, 1);
	vec_push(a, &n.g->inputs, in[0]);
	in[1] = constant(&n, 4, (int64_t[]){16, 16, 1, 1}, -1, 1);
	vec_push(a, &n.g->outputs, add(&n, GIR_CONV, 2, in, &node));
	gir_set_ints(n.g, node, "pads", (int64_t[]){far, far, far, far}, 4);
	gir_set_ints(n.g, node, "strides", (int64_t[]){far, far}, 2);
	plain = outputs(&n, &(struct comp_options){.opt_level = 0, .lanes = 1}, x, &p);
	other = outputs(&n, &(struct comp_options){.opt_level = 3, .lanes = 16}, x, &p);
	cr_expect(any_blocked(p));
	cr_expect_lt(test_worst(other[0], plain[0]), 1e-4);
	arena_free(a);
}

/* One convolution of a drawn geometry: wide and narrow images, windows wider than them, padding beyond a window. */
static struct net single(struct arena *a, uint64_t seed)
{
	static const int64_t channels[] = {1, 3, 16, 17, 32};
	struct net n = {.a = a, .g = gir_new(a, "single", 13), .state = seed * 6007 + 5};
	int64_t c = channels[draw(&n, 0, 4)], out = channels[draw(&n, 0, 4)];
	int64_t dim[4] = {draw(&n, 1, 2), c, draw(&n, 1, 9), draw(&n, 0, 1) ? draw(&n, 1, 15) : draw(&n, 16, 64)};
	int64_t k[2] = {draw(&n, 1, 5), draw(&n, 1, 5)}, stride[2] = {draw(&n, 1, 3), draw(&n, 1, 3)}, pads[4], groups = 1;
	int64_t dilation[2] = {draw(&n, 1, 2), draw(&n, 1, 3)};
	struct gir_value *in[3] = {gir_value_typed(n.g, "x", DT_F32, 4, dim)};
	struct gir_node *node;

	for (int i = 0; i < 4; i++)
		pads[i] = draw(&n, 0, 1) ? draw(&n, 0, 7) : draw(&n, 0, 1);
	for (int d = 0; d < 2; d++)
		while (pads[d] + pads[d + 2] + dim[d + 2] < (k[d] - 1) * dilation[d] + 1)
			pads[d + 2]++;
	if (seed % 2)
		groups = out = c;
	vec_push(a, &n.g->inputs, in[0]);
	in[1] = constant(&n, 4, (int64_t[]){out, c / groups, k[0], k[1]}, -0.3f, 0.3f);
	in[2] = constant(&n, 1, &out, -1, 1);
	vec_push(a, &n.g->outputs, add(&n, GIR_CONV, (uint32_t)draw(&n, 2, 3), in, &node));
	gir_set_ints(n.g, node, "strides", stride, 2);
	gir_set_ints(n.g, node, "dilations", dilation, 2);
	gir_set_ints(n.g, node, "pads", pads, 4);
	gir_set_int(n.g, node, "group", groups);
	typed(&n, n.g->outputs.v[0]);
	return n;
}

TEST(compile_layout, convolutions_of_every_geometry_give_the_numbers_of_plain_ones)
{
	static const int lanes[] = {4, 8, 16};

	for (uint64_t seed = 1; seed <= 150; seed++) {
		struct arena *a = arena_new(NULL);
		struct net n = single(a, seed);
		struct tensor *in = tensor_new(a, DT_F32, 4, n.g->inputs.v[0]->dim), **plain, **blocked;
		struct comp_program *p;

		fill(&n, in, -1, 1);
		plain = outputs(&n, &(struct comp_options){.opt_level = 0, .lanes = 1}, in, &p);
		blocked = outputs(&n, &(struct comp_options){.opt_level = 3, .lanes = lanes[seed % 3]}, in, &p);
		cr_expect_lt(test_worst(blocked[0], plain[0]), 1e-4, "seed %d: %g", (int)seed, test_worst(blocked[0], plain[0]));
		arena_free(a);
	}
}

TEST(compile_layout, groups_that_share_tiles_give_the_numbers_of_plain_nests)
{
	static const uint32_t group[] = {64, 128, 256};
	int used = 0;

	for (uint64_t seed = 2; seed <= 120; seed += 2) { /* odd ones are depthwise */
		struct arena *a = arena_new(NULL);
		struct net n = single(a, seed);
		struct comp_options o = {.opt_level = 3, .cls = DEVICE_GPU, .lanes = 1, .max_group = group[seed / 2 % 3], .local_memory = 16 << 10};

		used += same_by_groups(&n, &o, (int)seed, seed % 10 == 0);
		arena_free(a);
	}
	cr_expect_geq(used, 20, "%d", used);
}

/* Convolutions for each order of the depth and each number of parts; what their text must have: the sums of other parts, a slice of so many places. */
static const struct grouped {
	int64_t n, c, h, w, out, k[2], stride, pad, groups;
	const char *has;
} grouped[] = {
    {2, 3, 14, 12, 40, {7, 7}, 2, 3, 1, "right: f32[2, 7, "},                       /* rows of taps, which left fills up to whole turns */
    {1, 6, 9, 9, 48, {3, 3}, 1, 1, 2, "right: f32[2, 9, "},                         /* all taps of a channel */
    {1, 32, 8, 8, 48, {3, 3}, 1, 1, 1, "other: f32[2, "},                           /* four parts */
    {1, 32, 10, 10, 64, {1, 1}, 1, 0, 1, "other: f32[2, "},                         /* pixels four at a time, a tail of them */
    {3, 16, 7, 7, 33, {1, 1}, 1, 0, 1, "other: f32[1, "},                           /* two parts, pixels one at a time, a tail of rows */
    {1, 64, 11, 5, 20, {1, 1}, 2, 0, 1, "other: "},
    {2, 24, 6, 6, 32, {2, 1}, 1, 0, 1, "right: f32[2, 8, "},
    {1, 20, 6, 8, 32, {1, 1}, 1, 0, 1, "right: f32[2, 8, "},                        /* a depth of no whole slices */
};

static struct net of_grouped(struct arena *a, const struct grouped *t)
{
	struct net n = {.a = a, .g = gir_new(a, "grouped", 13), .state = 77};
	int64_t stride[2] = {t->stride, t->stride}, pads[4] = {t->pad, t->pad, t->pad, t->pad};
	struct gir_value *in[3] = {gir_value_typed(n.g, "x", DT_F32, 4, (int64_t[]){t->n, t->c, t->h, t->w})};
	struct gir_node *node;

	vec_push(a, &n.g->inputs, in[0]);
	in[1] = constant(&n, 4, (int64_t[]){t->out, t->c / t->groups, t->k[0], t->k[1]}, -0.3f, 0.3f);
	in[2] = constant(&n, 1, &t->out, -1, 1);
	in[0] = add(&n, GIR_CONV, 3, in, &node);
	gir_set_ints(n.g, node, "strides", stride, 2);
	gir_set_ints(n.g, node, "pads", pads, 4);
	gir_set_int(n.g, node, "group", t->groups);
	typed(&n, in[0]);
	vec_push(a, &n.g->outputs, typed(&n, add(&n, GIR_RELU, 1, in, NULL)));
	return n;
}

TEST(compile_layout, every_order_and_part_of_groups_gives_the_numbers_of_plain_nests)
{
	for (size_t i = 0; i < sizeof grouped / sizeof *grouped; i++) {
		struct arena *a = arena_new(NULL);
		struct net n = of_grouped(a, &grouped[i]);
		struct tensor *in = tensor_new(a, DT_F32, 4, n.g->inputs.v[0]->dim), **plain, **shared;
		struct comp_options o = {.opt_level = 3, .cls = DEVICE_GPU, .lanes = 1, .max_group = 1024, .local_memory = 48 << 10};
		struct comp_program *p;
		struct str text = {0};

		fill(&n, in, -1, 1);
		plain = outputs(&n, &(struct comp_options){.opt_level = 0, .lanes = 1}, in, &p);
		shared = outputs(&n, &o, in, &p);
		cr_expect_lt(test_worst(shared[0], plain[0]), 1e-4, "%d: %g", (int)i, test_worst(shared[0], plain[0]));
		for (uint32_t k = 0; k < p->nkernels; k++) {
			lir_print(&text, p->kernel[k].func);
			expect_no_races(a, p->kernel[k].func, arena_printf(a, "%d", (int)i));
		}
		cr_expect(strstr(str_text(&text), grouped[i].has), "%d: no '%s' in\n%.3000s", (int)i, grouped[i].has, str_text(&text));
		str_free(&text);
		arena_free(a);
	}
}

/* Where groups share nothing each work-item has a tile of its own: a large one where that leaves enough work-items for a processor. */
TEST(compile_layout, tiles_of_processors_are_large_and_give_the_numbers_of_plain_nests)
{
	static const struct tiled {
		struct grouped conv;
		uint32_t group;
		uint64_t memory;
	} tiled[] = {
	    {{1, 8, 20, 20, 64, {3, 3}, 1, 1, 1, "acc: f32[8, 8]"}, 256, 0},
	    {{1, 16, 13, 13, 100, {1, 1}, 1, 0, 1, "acc: f32[8, 8]"}, 256, 0}, /* a tail of pixels and one of channels */
	    {{1, 8, 20, 20, 24, {3, 3}, 1, 1, 1, "acc: f32[4, 8]"}, 256, 0},
	    {{1, 8, 20, 20, 64, {3, 3}, 1, 1, 1, "acc: f32[4, 8]"}, 32, 48 << 10}, /* accelerators have room for more */
	};

	for (size_t i = 0; i < sizeof tiled / sizeof *tiled; i++) {
		struct arena *a = arena_new(NULL);
		struct net n = of_grouped(a, &tiled[i].conv);
		struct tensor *in = tensor_new(a, DT_F32, 4, n.g->inputs.v[0]->dim), **plain, **have;
		struct comp_options o = {.opt_level = 3, .cls = DEVICE_GPU, .lanes = 1, .max_group = tiled[i].group, .local_memory = tiled[i].memory};
		struct comp_program *p;
		struct str text = {0};

		fill(&n, in, -1, 1);
		plain = outputs(&n, &(struct comp_options){.opt_level = 0, .lanes = 1}, in, &p);
		have = outputs(&n, &o, in, &p);
		cr_expect_lt(test_worst(have[0], plain[0]), 1e-4, "%d: %g", (int)i, test_worst(have[0], plain[0]));
		for (uint32_t k = 0; k < p->nkernels; k++)
			lir_print(&text, p->kernel[k].func);
		cr_expect(strstr(str_text(&text), tiled[i].conv.has), "%d: no '%s' in\n%.3000s", (int)i, tiled[i].conv.has, str_text(&text));
		str_free(&text);
		arena_free(a);
	}
}
