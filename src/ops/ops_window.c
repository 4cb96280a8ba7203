/* ops_window.c: geometry and tap loops of convolutions and pools */
#include <string.h>

#include "ops/ops_window.h"

#define B (&c->b)

const char *op_auto_pad(const struct gir_node *n, struct err *e)
{
	static const char *const known[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"};
	const char *s = gir_attr_string(n, "auto_pad", "NOTSET");

	if (!*s)
		return known[0];
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (!strcmp(s, known[i]))
			return known[i];
	err_set(e, ERR_PARSE, "auto_pad '%s' does not exist", s);
	return NULL;
}

bool op_window_read(const struct gir_node *n, int nd, const int64_t *in, const int64_t *kernel, struct op_window *w, struct err *e)
{
	const int64_t most = INT32_MAX; /* products of two and sums of many stay far from overflow */
	int64_t pads[2 * WINDOW_DIMS];

	*w = (struct op_window){.nd = nd};
	memcpy(w->in, in, (size_t)nd * sizeof *in);
	if (!kernel && !gir_attr(n, "kernel_shape"))
		return err_set(e, ERR_PARSE, "attribute 'kernel_shape' is missing");
	if (!op_attr_ints(n, "kernel_shape", nd, 1, most, 0, w->kernel, e) ||
	    !op_attr_ints(n, "strides", nd, 1, most, 1, w->stride, e) ||
	    !op_attr_ints(n, "dilations", nd, 1, most, 1, w->dilation, e) || !op_attr_ints(n, "pads", 2 * nd, 0, most, 0, pads, e))
		return false;
	for (int d = 0; kernel && d < nd; d++) {
		if (w->kernel[d] && w->kernel[d] != kernel[d])
			return err_set(e, ERR_PARSE, "kernel_shape %lld differs from the weight's %lld", (long long)w->kernel[d],
				       (long long)kernel[d]);
		if (kernel[d] < 1 || kernel[d] > most)
			return err_set(e, ERR_PARSE, "the weight has an empty kernel");
		w->kernel[d] = kernel[d];
	}
	if (strcmp(gir_attr_string(n, "auto_pad", "NOTSET"), "NOTSET"))
		return true;
	memcpy(w->begin, pads, (size_t)nd * sizeof *pads);
	memcpy(w->end, pads + nd, (size_t)nd * sizeof *pads);
	return true;
}

bool op_window_size(const struct gir_node *n, bool ceil_mode, struct op_window *w, struct err *e)
{
	const char *mode = op_auto_pad(n, e);

	if (!mode)
		return false;
	for (int d = 0; d < w->nd; d++) {
		int64_t extent = (w->kernel[d] - 1) * w->dilation[d] + 1, stride = w->stride[d], room, total;

		if (!strncmp(mode, "SAME", 4)) {
			w->out[d] = (w->in[d] + stride - 1) / stride;
			total = (w->out[d] - 1) * stride + extent - w->in[d];
			total = total > 0 ? total : 0;
			w->begin[d] = !strcmp(mode, "SAME_LOWER") ? total - total / 2 : total / 2;
			w->end[d] = total - w->begin[d];
			continue;
		}
		room = w->in[d] + w->begin[d] + w->end[d] - extent;
		if (room <= (ceil_mode ? -stride : -1))
			return err_set(e, ERR_PARSE, "a window of %lld does not fit into %lld elements and their padding",
				       (long long)extent, (long long)w->in[d]);
		w->out[d] = room < 0 ? 1 : room / stride + 1;
		/* a window that would start in the padding behind the input is left out */
		if (ceil_mode && room > 0 && room % stride && w->out[d] * stride < w->in[d] + w->begin[d])
			w->out[d]++;
	}
	return true;
}

struct op_taps op_taps_begin(struct op_lower *c, const struct op_window *w, struct lir_expr *const *o)
{
	struct op_taps t = {0};

	for (int d = 0; d < w->nd; d++) {
		int64_t last = (w->out[d] - 1) * w->stride[d] - w->begin[d] + (w->kernel[d] - 1) * w->dilation[d];
		struct lir_expr *at, *guard = NULL, *above;

		t.k[d] = lir_int(B, 0);
		if (w->kernel[d] > 1) {
			t.k[d] = lir_for(B, "k", w->kernel[d], LIR_SERIAL);
			t.blocks[d]++;
		}
		at = lir_add(B, lir_mul(B, o[d], lir_int(B, w->stride[d])), lir_mul(B, t.k[d], lir_int(B, w->dilation[d])));
		at = lir_sub(B, at, lir_int(B, w->begin[d]));
		t.pos[d] = at->kind == LIR_VAR ? at : op_let(c, "p", at);
		if (w->begin[d] > 0)
			guard = lir_ge(B, t.pos[d], lir_int(B, 0));
		if (last >= w->in[d]) {
			above = lir_lt(B, t.pos[d], lir_int(B, w->in[d]));
			guard = guard ? lir_and(B, guard, above) : above;
		}
		if (guard) {
			lir_if(B, guard);
			t.blocks[d]++;
		}
	}
	return t;
}

void op_taps_end(struct op_lower *c, const struct op_window *w, const struct op_taps *t)
{
	for (int d = w->nd - 1; d >= 0; d--)
		for (int i = 0; i < t->blocks[d]; i++)
			lir_end(B);
}
