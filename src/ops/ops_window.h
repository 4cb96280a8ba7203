/* ops_window.h: sliding windows - geometry and tap loops of convolutions and pools
 *
 * Only files of ops/ include this.
 */
#pragma once
#include "ops/ops_calc.h"

#define WINDOW_DIMS (MAX_DIMS - 2)

struct op_window {
	int nd; /* spatial dims */
	int64_t in[WINDOW_DIMS], out[WINDOW_DIMS];
	int64_t kernel[WINDOW_DIMS], stride[WINDOW_DIMS], dilation[WINDOW_DIMS];
	int64_t begin[WINDOW_DIMS], end[WINDOW_DIMS]; /* padding */
};

/* Reads kernel_shape (or takes `kernel` and checks that they agree), strides, dilations and pads; pads stay 0 under auto_pad. */
bool op_window_read(const struct gir_node *n, int nd, const int64_t *in, const int64_t *kernel, struct op_window *w, struct err *e);
/* "NOTSET", "SAME_UPPER", "SAME_LOWER" or "VALID"; NULL with an error for anything else. */
const char *op_auto_pad(const struct gir_node *n, struct err *e);
/* Resolves auto_pad and computes the output dims. SAME_* with a stride beyond the window pads nothing. */
bool op_window_size(const struct gir_node *n, bool ceil_mode, struct op_window *w, struct err *e);

struct op_taps {
	struct lir_expr *k[WINDOW_DIMS];   /* position in the kernel */
	struct lir_expr *pos[WINDOW_DIMS]; /* position in the input */
	int blocks[WINDOW_DIMS];           /* private: open blocks per dim */
};

/* Opens the loops over the window at output position o, each followed by its padding guard (left out where no tap can fall
 * outside). Inside, pos is within the input. */
struct op_taps op_taps_begin(struct op_lower *c, const struct op_window *w, struct lir_expr *const *o);
void op_taps_end(struct op_lower *c, const struct op_window *w, const struct op_taps *t);
