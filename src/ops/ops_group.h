/* ops_group.h: matrix products by groups of work-items that share tiles of both factors, for accelerators
 *
 * A group computes a tile of rows by cols, each work-item some of it in registers. Slices of the depth are brought to shared memory, one
 * after the other; there every element of a slice serves all work-items of its row or column. While one slice is computed with, the next
 * is on its way: shared memory has room for two, and one barrier is between slices. Where a product has few tiles, several parts of a
 * group's work-items share one, and a slice: each takes some of its depth, and in the end the sums of all are added. What a work-item
 * loads of a slice lies four neighbours at a time, and neighbouring work-items take neighbouring fours.
 *
 * Only files of ops/ include this.
 */
#pragma once
#include "ops/ops_calc.h"

struct op_group {
	int64_t rows, cols, depth, stack; /* of the product; how many there are */
	bool left_along_depth, right_along_depth; /* which neighbours lie together in memory: those of one row (column), or of one place in the depth */
	int left_run, right_run, store_run; /* 4: so many neighbours, from a multiple of it on, lie together and are all there or none; 1 */
	int64_t own_slice; /* > 0: the depth consists of slices of so many places; 0: any */
	int64_t unit;      /* own_slice 0: slices should not reach over its multiples */
	void *user;
	/* `row`, `col` and `k` may lie behind the last in left, column, right and start, up to whole tiles and slices; not in store. */
	void (*begin)(struct op_lower *c, void *user, struct lir_expr *stack, struct lir_expr *row, struct lir_expr *col); /* of the tile: first ones */
	/* Before the loads of a slice, its number; NULL: nothing to do. */
	void (*slice)(struct op_lower *c, void *user, struct lir_expr *number);
	/* Of a run of neighbours, the first and one's distance from it. k: place in the depth; deep: in the slice. */
	struct lir_expr *(*left)(struct op_lower *c, void *user, struct lir_expr *row, struct lir_expr *next, struct lir_expr *k, struct lir_expr *deep);
	/* Called before the loads of a run of columns; NULL: nothing to do. */
	void (*column)(struct op_lower *c, void *user, struct lir_expr *col);
	struct lir_expr *(*right)(struct op_lower *c, void *user, struct lir_expr *col, struct lir_expr *next, struct lir_expr *k, struct lir_expr *deep);
	struct lir_expr *(*start)(struct op_lower *c, void *user, struct lir_expr *row); /* of every sum in a row; NULL: 0 */
	/* Called once per run of columns of a work-item, then for each row and column: all exist. */
	void (*store_column)(struct op_lower *c, void *user, struct lir_expr *col);
	void (*store)(struct op_lower *c, void *user, struct lir_expr *row, struct lir_expr *next, struct lir_expr *sum);
	/* set by op_group_choose */
	int64_t tile_rows, tile_cols, item_rows, item_cols, group;
	int64_t parts, part_depth;         /* of the work-items; places of a slice that one takes */
	int64_t slice_depth, slices;       /* of all parts */
	int64_t left_depth;                /* own slices: with places that left fills up, up to whole turns of the group; k of left counts them */
};

/* Whether groups gain for such a product under the target's limits; chooses the tile. */
bool op_group_choose(const struct op_lower *c, struct op_group *g);
/* The loops, in the open kernel. */
void op_group_loops(struct op_lower *c, const struct op_group *g);
