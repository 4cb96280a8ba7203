/* ops_tile.h: register tiles - a few pixels times a few vectors of channels, summed up in registers
 *
 * Only files of ops/ include this. A tile is written as unrolled loops over whole vectors with constant places, so that code
 * generation turns its sums into variables (docs/codegen.md). A matrix product is the same thing: its pixels are rows.
 */
#pragma once
#include "ops/ops_calc.h"

struct op_tile {
	int lanes;
	int vectors;                                                                    /* of `lanes` channels side by side */
	int64_t rows, cols;                                                             /* pixels */
	void *user;                                                                     /* of the functions: */
	struct lir_expr *(*start)(struct op_lower *c, void *user, struct lir_expr *v);  /* what the sums of vector v begin with */
	struct lir_expr *(*weight)(struct op_lower *c, void *user, struct lir_expr *v); /* vector v's factor */
	/* the pixel's factor: one number for all channels, or a vector */
	struct lir_expr *(*pixel)(struct op_lower *c, void *user, struct lir_expr *i, struct lir_expr *j);
	/* NULL, or conditions to take pixels of row i, and pixel j of the row at hand, into the sum; they may give NULL: always */
	struct lir_expr *(*row)(struct op_lower *c, void *user, struct lir_expr *i);
	struct lir_expr *(*col)(struct op_lower *c, void *user, struct lir_expr *j);
	void (*store)(struct op_lower *c, void *user, struct lir_expr *v, struct lir_expr *i, struct lir_expr *j,
		      struct lir_expr *sum);
	struct lir_buffer *sum; /* private */
};

/* How many vectors and pixels (at most) fit the registers of a processor with so many lanes; vectors divides n. */
void op_tile_size(int lanes, int64_t n, int *vectors, int64_t *pixels);
/* The smallest step that cuts n into as few parts as steps of `most` would. */
int64_t op_tile_step(int64_t n, int64_t most);

void op_tile_begin(struct op_lower *c, struct op_tile *t);
void op_tile_fma(struct op_lower *c, const struct op_tile *t); /* once, inside the loops of the sum */
void op_tile_end(struct op_lower *c, const struct op_tile *t); /* stores */

/* A loop, or the index 0 without one when the extent is 1. op_loop_end takes what op_loop gave. */
struct lir_expr *op_loop(struct op_lower *c, const char *name, int64_t extent, enum lir_loop_kind kind);
void op_loop_end(struct op_lower *c, const struct lir_expr *index);
