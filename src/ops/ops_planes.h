/* ops_planes.h: windows over small plain planes - plane by plane, vectors along the rows
 *
 * Only files of ops/ include this. A plane with its padding is copied into `frame`, a small array of the kernel. Seen as one long row,
 * the sums of all pixels are vectors at any place of it: tap (y, x) of the sum at i lies at i + y * pitch + x. Sums that begin behind
 * the last pixel of a row belong to nothing and are not stored. With a vertical stride this is done row by row.
 */
#pragma once
#include "ops/ops_window.h"

#define PLANE_TAPS 25 /* of a window, at most */

struct op_planes {
	struct op_window w;
	void *user;
	/* The channel of the input that is read for output channel `channel`; NULL: the same. */
	struct lir_expr *(*channel)(struct op_lower *c, void *user, struct lir_expr *channel);
	/* What a sum begins with, a vector; may load what the others need for channel at[1] of image at[0]. */
	struct lir_expr *(*start)(struct op_lower *c, void *user, struct lir_expr *const *at);
	/* The sum with x of tap k added: vectors. */
	struct lir_expr *(*add)(struct op_lower *c, void *user, int64_t k, struct lir_expr *x, struct lir_expr *sum);
	/* What is stored as output element `at`, or as that many from there; NULL: the sum. */
	struct lir_expr *(*finish)(struct op_lower *c, void *user, struct lir_expr *const *at, struct lir_expr *sum, int lanes);
};

/* Vectors, a plain f32 image, and a window and planes that fit. */
bool op_planes_fit(const struct op_lower *c, const struct op_window *w);
/* Everything between op_begin and op_end, once inputs and outputs are declared. */
void op_planes_loops(struct op_lower *c, const struct op_planes *p);
