/* ops_conv.h: what the float and the integer convolution share
 *
 * Only files of ops/ include this.
 */
#pragma once
#include "ops/ops_window.h"

struct op_conv {
	struct op_window w;
	int64_t groups;
	int64_t in_channels, out_channels; /* of one group */
	int64_t shuffle; /* > 1: the channels that are read lie in that many groups, one of each in turn */
};

/* Geometry of a convolution of the tensor `x` with the weight `w`; checks that all shapes agree. */
bool op_conv_read(const struct gir_node *n, const struct gir_value *x, const struct gir_value *w, struct op_conv *v, struct err *e);
/* Where channel `channel` of those that the convolution sees lies in its input. */
struct lir_expr *op_conv_channel(struct op_lower *c, const struct op_conv *v, struct lir_expr *channel);
/* Sets output 0: type t, shape from the geometry. */
bool op_conv_set_out(struct op_infer *c, const struct op_conv *v, enum dtype t, struct err *e);
/* acc += sum over channels and taps of (x - x_zero) * (w - w_zero), in acc's type, for the output element o (batch, channel,
 * position). A NULL zero is none. */
void op_conv_sum(struct op_lower *c, const struct op_conv *v, struct lir_buffer *x, struct lir_expr *x_zero, struct lir_buffer *w,
		 struct lir_expr *w_zero, struct lir_expr *const *o, struct lir_buffer *acc);
/* The whole lowering where output 0 is blocked (op_conv_blocked.c): float, two spatial dims; one group, whole blocks for each
 * group, or one channel each; the input blocked or, of one group and fewer channels than a block, plain. */
bool op_conv_lower_blocked(struct op_lower *c, const struct op_conv *v, struct err *e);
/* Of those: one channel each, the input blocked (op_conv_depthwise.c). */
void op_conv_lower_depthwise(struct op_lower *c, const struct op_conv *v);
/* One channel each, plain images with vectors (op_conv_planes.c); false: nothing was lowered, as the window or a plane is too large. */
bool op_conv_lower_planes(struct op_lower *c, const struct op_conv *v);
/* The bias (input 2) filled up with zeros to n channels by a kernel of its own; NULL: there is none, or it has as many. */
struct lower_temp *op_conv_bias(struct op_lower *c, int64_t channels, int64_t n);
/* Where tap k of output position o lies along dim d (*at), and the condition that this is in the image; NULL: it always is, or
 * nobody needs to ask (`ask`). */
struct lir_expr *op_conv_inside(struct op_lower *c, const struct op_conv *v, int d, struct lir_expr *o, struct lir_expr *k, bool ask,
				struct lir_expr **at);
/* Of the whole tiles of so many columns, those from *left to *right have no tap beside the image. */
void op_conv_edges(const struct op_conv *v, int64_t cols, int64_t *left, int64_t *right);
/* Register tiles for the accelerators' class (op_conv_tiled.c): f32, two spatial dims, plain images. */
bool op_conv_fits_tiles(const struct op_lower *c, const struct op_conv *v);
/* By groups that share tiles (op_conv_group.c), where op_conv_fits_tiles and that gains; false: nothing was lowered. */
bool op_conv_lower_group(struct op_lower *c, const struct op_conv *v);
bool op_conv_lower_tiles(struct op_lower *c, const struct op_conv *v, struct err *e);
/* 3 x 3 taps by Winograd's transforms (op_conv_winograd.c): f32, stride and dilation 1, one group, input and output blocked. */
bool op_conv_fits_winograd(const struct op_lower *c, const struct op_conv *v);
void op_conv_lower_winograd(struct op_lower *c, const struct op_conv *v);
