/* ops_product.h: matrix products by register tiles, what Gemm and MatMul share at level 3
 *
 * Only files of ops/ include this.
 */
#pragma once
#include "ops/ops_tile.h"

struct op_product {
	int64_t m, n, k;
	bool trans_a, trans_b;
	/* Finishes a sum (one element or a vector) for output element `at`; NULL: as it is. */
	struct lir_expr *(*finish)(struct op_lower *c, void *user, struct lir_expr *const *at, struct lir_expr *sum);
	void *user;
};

/* Inputs 0 and 1 and everything fused are f32 matrices (or stacks of matrices that broadcast), large enough for tiles. */
bool op_product_fits(const struct op_lower *c, const struct op_product *p);
/* The whole lowering: `pack` brings B into the order in which it is read (once, when it is constant); where n is not a multiple of
 * the lanes, `sum` makes whole vectors and the last kernel takes what belongs to the output. */
bool op_product_lower(struct op_lower *c, const struct op_product *p);
