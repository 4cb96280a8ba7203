/* ops_product.h: matrix products by register tiles, what Gemm and MatMul share at level 3
 *
 * Only files of ops/ include this.
 */
#pragma once
#include "ops/ops_tile.h"

/* An input of the node, seen as a stack of matrices: the last two dims. */
struct op_matrix {
	uint32_t input;
	int nd;
	int64_t dim[MAX_DIMS];
};

struct op_product {
	struct op_matrix a, b;
	int64_t m, n, k;
	bool trans_a, trans_b;
	/* Finishes a sum (one element or a vector) for output element `at`; NULL: as it is. */
	struct lir_expr *(*finish)(struct op_lower *c, void *user, struct lir_expr *const *at, struct lir_expr *sum);
	void *user;
	/* > 0: the output, an image, and all images fused to it are seen as [N, groups, channels of a group, pixels] */
	int64_t groups;
};

struct op_matrix op_matrix_of(const struct op_lower *c, uint32_t input); /* as it is */

/* Seen by groups, what is fused must be an image of the same pixels, one number per channel, or one number. */
bool op_fused_by_groups(const struct gir_node *n);
/* Everything is f32, of dims that fit, and large enough for tiles. */
bool op_product_fits(const struct op_lower *c, const struct op_product *p);
/* On accelerators: by groups that share tiles (ops_product_group.c); false: nothing was lowered. */
bool op_product_lower_group(struct op_lower *c, const struct op_product *p);
/* A few rows by a transposed matrix (ops_product_dot.c); false: more rows than pay, or another form; nothing was lowered. */
bool op_product_lower_dot(struct op_lower *c, const struct op_product *p);
/* The whole lowering. A B that is computed by the network is read where it lies, in strips of columns. One that is constant, or
 * transposed, is brought by `pack` into the order in which it is read (once, when constant); where n is then not a multiple of the
 * lanes, `sum` makes whole vectors and the last kernel takes what belongs to the output. By groups, a constant A is packed, too, by
 * `weights`. */
bool op_product_lower(struct op_lower *c, const struct op_product *p);
