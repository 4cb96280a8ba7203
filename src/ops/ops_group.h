/* ops_group.h: matrix products by groups of work-items that share tiles of both factors, for accelerators
 *
 * A group computes a tile of rows by cols, each work-item some of it in registers. Slices of the depth are brought to shared memory, one
 * after the other; between barriers every element of a slice serves all work-items of its row or column. What a work-item loads of a
 * slice lies four neighbours at a time, and neighbouring work-items take neighbouring fours.
 *
 * Only files of ops/ include this.
 */
#pragma once
#include "ops/ops_calc.h"

struct op_group {
	int64_t rows, cols, depth, stack; /* of the product; how many there are */
	bool left_along_depth, right_along_depth; /* which neighbours lie together in memory: those of one row (column), or of one place in the depth */
	void *user;
	/* `row`, `col` and `k` may lie behind the last in left, column, right and start, up to whole tiles and slices; not in store. */
	void (*begin)(struct op_lower *c, void *user, struct lir_expr *stack, struct lir_expr *row, struct lir_expr *col); /* of the tile: first ones */
	/* Open the loops over the slices of the depth and give the first place of one, so many slices in all; NULL: one loop. */
	struct lir_expr *(*slices)(struct op_lower *c, void *user);
	void (*slices_end)(struct op_lower *c, void *user);
	/* k: place in the depth; deep: in the slice. */
	struct lir_expr *(*left)(struct op_lower *c, void *user, struct lir_expr *row, struct lir_expr *k, struct lir_expr *deep);
	/* Called before the loads of one column; NULL: nothing to do. */
	void (*column)(struct op_lower *c, void *user, struct lir_expr *col);
	struct lir_expr *(*right)(struct op_lower *c, void *user, struct lir_expr *col, struct lir_expr *k, struct lir_expr *deep);
	struct lir_expr *(*start)(struct op_lower *c, void *user, struct lir_expr *row); /* of every sum in a row; NULL: 0 */
	/* Called once per column of a work-item, then for each row: both exist. */
	void (*store)(struct op_lower *c, void *user, struct lir_expr *row, struct lir_expr *sum);
	void (*store_column)(struct op_lower *c, void *user, struct lir_expr *col);
	/* set by op_group_choose */
	int64_t tile_rows, tile_cols, item_rows, item_cols, slice_depth, group;
};

/* Whether groups gain for such a product under the target's limits; chooses the tile. */
bool op_group_choose(const struct op_lower *c, struct op_group *g);
/* The loops, in the open kernel. */
void op_group_loops(struct op_lower *c, const struct op_group *g);
