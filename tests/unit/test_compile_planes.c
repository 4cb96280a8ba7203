/* test_compile_planes.c: windows over small plain planes give the numbers of one output element at a time
 *
 * Levels 0 and 3 are both run by the interpreter, which refuses any access outside a tensor and any read of what was not written.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "compile_net.h"
#include "compile_support.h"

/* A plane and its padding in one buffer. */
static bool has_frame(struct arena *a, const struct comp_program *p, enum gir_op op)
{
	return strstr(text_of(a, p, op), "frame: f32[");
}

/* Vectors of 16 lanes of every second element: with stride 2, only the sums that are stored. */
static bool reads_by_step(struct arena *a, const struct comp_program *p, enum gir_op op)
{
	return strstr(text_of(a, p, op), ", 2, 16)]");
}

/* A depthwise convolution of x; its padding keeps the size. */
static struct gir_value *depthwise(struct net *n, struct gir_value *x, int64_t stride)
{
	struct gir_value *in[3] = {x, constant(n, 4, (int64_t[]){x->dim[1], 1, 3, 3}, -0.3f, 0.3f), constant(n, 1, &x->dim[1], -1, 1)};
	struct gir_node *node;

	x = add(n, GIR_CONV, 3, in, &node);
	gir_set_ints(n->g, node, "pads", (int64_t[]){1, 1, 1, 1}, 4);
	gir_set_ints(n->g, node, "strides", (int64_t[]){stride, stride}, 2);
	gir_set_int(n->g, node, "group", in[0]->dim[1]);
	return typed(n, x);
}

TEST(compile_planes, depthwise_convolutions_take_small_planes_as_they_are_and_large_ones_by_blocks)
{
	static const struct { int64_t size, stride; bool blocked, by_step; } cases[] = {
	    {28, 1, false, false}, {28, 2, false, true}, {16, 2, false, true}, {14, 2, false, false}, {7, 1, false, false}, {65, 1, true, false},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct arena *a = arena_new(NULL);
		struct net n = {.a = a, .g = gir_new(a, "planes", 13), .state = i + 1};
		struct gir_value *x = gir_value_typed(n.g, "x", DT_F32, 4, (int64_t[]){2, 20, cases[i].size, cases[i].size}), *y;
		struct tensor *in = tensor_new(a, DT_F32, 4, x->dim), **plain, **other;
		struct comp_program *p;

		fill(&n, in, -1, 1);
		vec_push(a, &n.g->inputs, x);
		y = depthwise(&n, x, cases[i].stride);
		vec_push(a, &n.g->outputs, add(&n, GIR_RELU, 1, &y, NULL));
		plain = outputs(&n, &(struct comp_options){.opt_level = 0, .lanes = 1}, in, &p);
		other = outputs(&n, &(struct comp_options){.opt_level = 3, .lanes = 16}, in, &p);
		cr_expect_eq(any_blocked(p), cases[i].blocked, "size %d", (int)cases[i].size);
		cr_expect_eq(p->nkernels, cases[i].blocked ? 5u : 1u, "%u kernels", p->nkernels);
		cr_expect_eq(has_frame(a, p, GIR_CONV), !cases[i].blocked, "size %d", (int)cases[i].size);
		cr_expect_eq(reads_by_step(a, p, GIR_CONV), cases[i].by_step, "size %d", (int)cases[i].size);
		cr_expect_lt(test_worst(other[0], plain[0]), 1e-5, "size %d", (int)cases[i].size);
		arena_free(a);
	}
}

TEST(compile_planes, depthwise_convolutions_read_through_a_shuffle_of_channels)
{
	static const struct { int64_t size, stride; } cases[] = {{28, 1}, {14, 2}, {7, 1}, {1, 1}};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct arena *a = arena_new(NULL);
		struct net n = {.a = a, .g = gir_new(a, "shuffled", 13), .state = i + 1};
		struct gir_value *x = gir_value_typed(n.g, "x", DT_F32, 4, (int64_t[]){2, 21, cases[i].size, cases[i].size}), *y;
		struct comp_options o = {.opt_level = 3, .lanes = 16};
		struct tensor *in = tensor_new(a, DT_F32, 4, x->dim), **plain, **other;
		struct comp_program *p;

		fill(&n, in, -1, 1);
		vec_push(a, &n.g->inputs, x);
		y = depthwise(&n, shuffle(&n, x), cases[i].stride);
		vec_push(a, &n.g->outputs, add(&n, GIR_RELU, 1, &y, NULL));
		plain = outputs(&n, &(struct comp_options){.opt_level = 0, .lanes = 1}, in, &p);
		other = outputs(&n, &o, in, &p);
		cr_expect_eq(p->nkernels, 1u, "%u kernels", p->nkernels);
		cr_expect_eq(kernels_of(p, GIR_SHUFFLEDCONV), 1u);
		cr_expect_lt(test_worst(other[0], plain[0]), 1e-5, "size %d", (int)cases[i].size);
		o.disabled = (const char *const[]){"shuffle"};
		o.ndisabled = 1;
		plain = outputs(&n, &o, in, &p);
		cr_expect_eq(kernels_of(p, GIR_TRANSPOSE), 1u);
		cr_expect_eq(test_worst(other[0], plain[0]), 0, "size %d", (int)cases[i].size);
		arena_free(a);
	}
}

/* Windows that begin before their plane or end behind it, steps that leave rows of any length, and one case that planes cannot do. */
TEST(compile_planes, average_pools_of_planes_give_the_numbers_of_plain_ones)
{
	static const struct { int64_t size, kernel, stride, pad, include, ceil; bool planes, by_step; } cases[] = {
	    {28, 3, 2, 1, 0, 0, true, true}, {15, 3, 2, 1, 1, 0, true, true}, {14, 2, 2, 0, 0, 0, true, false}, {33, 3, 2, 1, 0, 1, true, true},
	    {33, 4, 3, 1, 1, 1, true, false}, {17, 3, 1, 1, 0, 0, true, false}, {9, 5, 1, 2, 1, 0, true, false}, {20, 6, 2, 2, 0, 0, false, false},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct arena *a = arena_new(NULL);
		struct net n = {.a = a, .g = gir_new(a, "pools", 13), .state = i + 1};
		int64_t dim[] = {2, 3, cases[i].size, cases[i].size + 1}, k = cases[i].kernel, s = cases[i].stride, p = cases[i].pad;
		struct gir_value *x = gir_value_typed(n.g, "x", DT_F32, 4, dim);
		struct tensor *in = tensor_new(a, DT_F32, 4, dim), **plain, **other;
		struct comp_program *program;
		struct gir_node *node;

		fill(&n, in, -1, 1);
		vec_push(a, &n.g->inputs, x);
		vec_push(a, &n.g->outputs, add(&n, GIR_AVERAGEPOOL, 1, &x, &node));
		gir_set_ints(n.g, node, "kernel_shape", (int64_t[]){k, k}, 2);
		gir_set_ints(n.g, node, "strides", (int64_t[]){s, s}, 2);
		gir_set_ints(n.g, node, "pads", (int64_t[]){p, 0, p, p}, 4);
		gir_set_int(n.g, node, "count_include_pad", cases[i].include);
		gir_set_int(n.g, node, "ceil_mode", cases[i].ceil);
		plain = outputs(&n, &(struct comp_options){.opt_level = 0, .lanes = 1}, in, &program);
		other = outputs(&n, &(struct comp_options){.opt_level = 3, .lanes = 16}, in, &program);
		cr_expect_eq(has_frame(a, program, GIR_AVERAGEPOOL), cases[i].planes, "case %zu", i);
		cr_expect_eq(reads_by_step(a, program, GIR_AVERAGEPOOL), cases[i].by_step, "case %zu", i);
		cr_expect_lt(test_worst(other[0], plain[0]), 1e-6, "case %zu", i);
		arena_free(a);
	}
}
