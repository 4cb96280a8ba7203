/* test_compile_product.c: matrix products by tiles, by groups and by dot products give the numbers of plain ones
 *
 * Run by the interpreter, which refuses any access outside a tensor, any read of what was not written, and races.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "compile_net.h"
#include "compile_support.h"

/* A product of drawn dims: either way round, with a stack, with what is fused. */
static struct net some_product(struct arena *a, uint64_t seed, bool gemm)
{
	struct net n = {.a = a, .g = gir_new(a, "product", 13), .state = seed * 911 + 3};
	int64_t m = draw(&n, 16, 90), k = draw(&n, 8, 40), w = draw(&n, 16, 150), stack = draw(&n, 1, 3), ta = draw(&n, 0, 1), tb = draw(&n, 0, 1);
	struct gir_value *x = gir_value_typed(n.g, "x", DT_F32, gemm ? 2 : 3, gemm ? ta ? (int64_t[]){k, m} : (int64_t[]){m, k} : (int64_t[]){stack, m, k}), *y;
	struct gir_value *in[3] = {x};
	struct gir_node *node;

	vec_push(a, &n.g->inputs, x);
	if (gemm) {
		in[1] = constant(&n, 2, tb ? (int64_t[]){w, k} : (int64_t[]){k, w}, -0.3f, 0.3f);
		in[2] = constant(&n, 1, &w, -1, 1);
		y = add(&n, GIR_GEMM, (uint32_t)draw(&n, 2, 3), in, &node);
		gir_set_int(n.g, node, "transA", ta);
		gir_set_int(n.g, node, "transB", tb);
	} else {
		in[1] = constant(&n, 3, (int64_t[]){draw(&n, 0, 1) ? 1 : stack, k, w}, -0.3f, 0.3f);
		y = add(&n, GIR_MATMUL, 2, in, NULL);
	}
	vec_push(a, &n.g->outputs, typed(&n, add(&n, GIR_TANH, 1, &y, NULL)));
	return n;
}

TEST(compile_product, products_by_groups_give_the_numbers_of_plain_nests)
{
	int used = 0;

	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct arena *a = arena_new(NULL);
		struct net n = some_product(a, seed, seed % 2);
		struct comp_options o = {.opt_level = 3, .cls = DEVICE_GPU, .lanes = 1, .max_group = 256, .local_memory = 48 << 10};

		used += same_by_groups(&n, &o, (int)seed, seed % 8 == 0);
		arena_free(a);
	}
	cr_expect_eq(used, 40, "%d", used);
}

TEST(compile_product, nothing_is_shared_where_a_device_has_no_groups)
{
	struct arena *a = arena_new(NULL);
	struct net n = some_product(a, 2, false);
	struct comp_options o = {.opt_level = 3, .cls = DEVICE_GPU, .lanes = 1, .max_group = 32, .local_memory = 48 << 10};
	struct comp_program *p;
	struct err e = {0};

	cr_assert(comp_program(a, n.g, &o, &p, &e), "%s", err_text(&e));
	cr_expect_not(any_group(p));
	o.max_group = 1024;
	o.local_memory = 1024;
	cr_assert(comp_program(a, n.g, &o, &p, &e), "%s", err_text(&e));
	cr_expect_not(any_group(p));
	arena_free(a);
}

/* B is the network's input: it is not packed. Widths of less than a strip, of whole strips, and between. */
TEST(compile_product, products_of_what_is_computed_take_every_column_once)
{
	static const int64_t width[] = {16, 17, 31, 32, 33, 47, 49, 50, 65, 97, 196, 197};
	static const int lanes[] = {4, 8, 16};

	for (uint64_t i = 0; i < 36; i++) {
		struct arena *a = arena_new(NULL);
		struct net n = {.a = a, .g = gir_new(a, "columns", 13), .state = i * 37 + 11};
		int64_t dim[3] = {draw(&n, 1, 2), draw(&n, 9, 20), width[i / 3]};
		struct gir_value *in[2] = {NULL, gir_value_typed(n.g, "x", DT_F32, 3, dim)};
		struct tensor *x = tensor_new(a, DT_F32, 3, dim), **plain, **strips;
		struct comp_program *p;

		in[0] = constant(&n, 2, (int64_t[]){draw(&n, 29, 45), dim[1]}, -1, 1);
		vec_push(a, &n.g->inputs, in[1]);
		vec_push(a, &n.g->outputs, add(&n, GIR_MATMUL, 2, in, NULL));
		fill(&n, x, -1, 1);
		plain = outputs(&n, &(struct comp_options){.opt_level = 0, .lanes = 1}, x, &p);
		strips = outputs(&n, &(struct comp_options){.opt_level = 3, .lanes = lanes[i % 3]}, x, &p);
		cr_expect_eq(p->nkernels, 1u, "%u kernels", p->nkernels);
		cr_expect(p->kernel[0].func->contract, "no tiles");
		cr_expect_lt(test_worst(strips[0], plain[0]), 1e-5, "%d columns: %g", (int)dim[2], test_worst(strips[0], plain[0]));
		expect_no_races(a, p->kernel[0].func, arena_printf(a, "%d columns", (int)dim[2]));
		arena_free(a);
	}
}

/* Few rows: no kernel packs, of however many lanes; one more than few: one does. Sums that end between vectors, tiles of all widths. */
TEST(compile_product, few_rows_read_a_transposed_matrix_where_it_lies)
{
	static const int lanes[] = {4, 8, 16};

	for (uint64_t i = 0; i < 45; i++) {
		struct arena *a = arena_new(NULL);
		struct net n = {.a = a, .g = gir_new(a, "rows", 13), .state = i * 41 + 7};
		int64_t m = 1 + (int64_t)i / 9, k = draw(&n, 16, 80), w = draw(&n, 200, 260);
		struct gir_value *in[3] = {gir_value_typed(n.g, "x", DT_F32, 2, (int64_t[]){m, k})}, *y;
		struct tensor *x = tensor_new(a, DT_F32, 2, in[0]->dim), **plain, **dots;
		struct comp_program *p;
		struct gir_node *node;
		bool packs = false;

		vec_push(a, &n.g->inputs, in[0]);
		in[1] = constant(&n, 2, (int64_t[]){w, k}, -0.3f, 0.3f);
		in[2] = constant(&n, 1, &w, -1, 1);
		y = add(&n, GIR_GEMM, (uint32_t)draw(&n, 2, 3), in, &node);
		gir_set_int(n.g, node, "transB", 1);
		vec_push(a, &n.g->outputs, typed(&n, add(&n, GIR_RELU, 1, &y, NULL)));
		fill(&n, x, -1, 1);
		plain = outputs(&n, &(struct comp_options){.opt_level = 0, .lanes = 1}, x, &p);
		dots = outputs(&n, &(struct comp_options){.opt_level = 3, .lanes = lanes[i % 3]}, x, &p);
		cr_expect_lt(test_worst(dots[0], plain[0]), 1e-5, "case %d: %g", (int)i, test_worst(dots[0], plain[0]));
		for (uint32_t j = 0; j < p->nkernels; j++)
			packs = packs || strstr(p->kernel[j].func->name, "pack");
		cr_expect_eq(packs, m > 4, "%d rows", (int)m);
		if (!packs)
			expect_no_races(a, p->kernel[0].func, arena_printf(a, "case %d", (int)i));
		arena_free(a);
	}
}

/* Weights in the order in which tiles read them; rows that fill their tiles and rows that do not, a strip and several. */
TEST(compile_product, grouped_convolutions_of_one_tap_pack_their_weights)
{
	static const struct { int64_t groups, in, out, size; } cases[] = {{3, 8, 20, 14}, {2, 6, 14, 20}, {3, 24, 33, 7}, {4, 5, 21, 11}};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct arena *a = arena_new(NULL);
		struct net n = {.a = a, .g = gir_new(a, "grouped", 13), .state = i + 1};
		int64_t groups = cases[i].groups, dim[4] = {2, groups * cases[i].in, cases[i].size, cases[i].size}, out = groups * cases[i].out;
		struct gir_value *in[3] = {gir_value_typed(n.g, "x", DT_F32, 4, dim)};
		struct tensor *x = tensor_new(a, DT_F32, 4, dim), **plain, **tiles;
		struct comp_program *p;
		struct gir_node *node;
		int packs = 0;

		fill(&n, x, -1, 1);
		vec_push(a, &n.g->inputs, in[0]);
		in[1] = constant(&n, 4, (int64_t[]){out, cases[i].in, 1, 1}, -0.3f, 0.3f);
		in[2] = constant(&n, 1, &out, -1, 1);
		vec_push(a, &n.g->outputs, add(&n, GIR_CONV, 3, in, &node));
		gir_set_int(n.g, node, "group", groups);
		plain = outputs(&n, &(struct comp_options){.opt_level = 0, .lanes = 1}, x, &p);
		tiles = outputs(&n, &(struct comp_options){.opt_level = 3, .lanes = 16}, x, &p);
		for (uint32_t k = 0; k < p->nkernels; k++)
			packs += !!strstr(p->kernel[k].func->name, "weights");
		cr_expect_eq(packs, 1, "case %zu: %u kernels", i, p->nkernels);
		cr_expect_lt(test_worst(tiles[0], plain[0]), 1e-5, "case %zu", i);
		arena_free(a);
	}
}
