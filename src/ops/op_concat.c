/* op_concat.c: Concat */
#include <string.h>

#include "ops/ops_product.h"

#define B (&c->b)

static bool concat_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	const struct gir_attr *given = gir_attr(c->node, "axis");
	int64_t dim[MAX_DIMS];
	int axis;

	if (!given && c->opset >= 4)
		return err_set(e, ERR_PARSE, "no axis is given");
	if (!op_axis(OP_INT(c->node, "axis", 1), x->nd, &axis, e))
		return false;
	memcpy(dim, x->dim, sizeof dim);
	for (uint32_t i = 1; i < c->node->nin; i++) {
		const struct gir_value *y = op_arg(c->node, i);

		if (!y || y->dtype != x->dtype || y->nd != x->nd)
			return err_set(e, ERR_PARSE, "input %u has another type or rank than input 0", i);
		for (int d = 0; d < x->nd; d++)
			if (d != axis && y->dim[d] != x->dim[d])
				return err_set(e, ERR_PARSE, "input %u has size %lld in dimension %d, input 0 has %lld", i, (long long)y->dim[d], d,
				               (long long)x->dim[d]);
		dim[axis] += y->dim[axis];
	}
	return op_set_out(c, 0, x->dtype, x->nd, dim, e);
}

/* Copies the dims that are not open of `in` to the output, moved by `start` along the axis; a blocked tensor's last dim is one vector. */
static void concat_part(struct op_lower *c, struct lir_buffer *in, const bool *open, int axis, int64_t start,
			struct lir_expr *const *outer)
{
	struct lir_expr *from[MAX_DIMS + 1], *to[MAX_DIMS + 1];
	int lanes = c->node->out[0]->block, nd = in->nd - (lanes > 1);

	for (int d = 0; d < nd; d++)
		from[d] = open[d] ? outer[d] : lir_for(B, "i", in->dim[d], LIR_SERIAL);
	from[nd] = lir_int(B, 0);
	memcpy(to, from, sizeof to);
	to[axis] = lir_add(B, from[axis], lir_int(B, start));
	op_store(c, to, lanes > 1 ? lir_load_lanes(B, in, from, lanes) : lir_load(B, in, from));
	for (int d = 0; d < nd; d++)
		if (!open[d])
			lir_end(B);
}

#define MAX_BRANCHES 8 /* inputs that are told apart by comparisons */

/* Long rows in the plain layout: each is one input's, by its place along the axis. Images are seen as rows of all pixels. */
static bool concat_by_rows(const struct op_lower *c, int axis, bool *whole)
{
	const struct gir_value *out = c->node->out[0];

	*whole = out->nd == 4 && axis == 1 && op_fused_by_groups(c->node);
	if (c->target->lanes <= 1 || out->block || !op_all_f32(c->node) || c->node->nin > MAX_BRANCHES)
		return false;
	return *whole ? out->dim[2] * out->dim[3] >= c->target->lanes : axis < out->nd - 1 && out->dim[out->nd - 1] >= c->target->lanes;
}

struct row {
	struct lir_buffer *in;
	struct lir_expr **to, **from;
	int nd;
};

/* A piece of it, through the fused chain. */
static void store_piece(struct op_lower *c, void *user, struct lir_expr *at, int lanes)
{
	const struct row *r = user;

	r->to[r->nd - 1] = r->from[r->nd - 1] = at;
	op_store(c, r->to, lanes > 1 ? lir_load_lanes(B, r->in, r->from, lanes) : lir_load(B, r->in, r->from));
}

static void concat_rows(struct op_lower *c, int axis, bool whole)
{
	struct lir_expr *to[MAX_DIMS], *from[MAX_DIMS];
	struct lir_buffer *out;
	struct lir_nest nest;
	int64_t start = 0;
	uint32_t open = 0;
	int at;

	c->groups = whole;
	op_begin(c, "");
	for (uint32_t i = 0; i < c->node->nin; i++)
		op_in(c, i);
	out = op_out(c, 0);
	at = whole ? 2 : axis; /* [N, 1, C, H * W] */
	nest = lir_nest_over(B, out->nd - 1, out->dim);
	memcpy(to, nest.index, sizeof to);
	for (uint32_t i = 0; i < c->node->nin; i++) {
		struct lir_buffer *in = op_in(c, i);

		if (!in->dim[at])
			continue;
		if (start + in->dim[at] < out->dim[at]) {
			lir_if(B, lir_lt(B, nest.index[at], lir_int(B, start + in->dim[at])));
			open++;
		}
		memcpy(from, to, sizeof from);
		from[at] = lir_sub(B, to[at], lir_int(B, start));
		op_pieces(c, c->target->lanes, out->dim[out->nd - 1], store_piece, &(struct row){in, to, from, out->nd});
		start += in->dim[at];
		if (start < out->dim[at])
			lir_else(B);
	}
	while (open--)
		lir_end(B);
	lir_nest_end(B, &nest);
	op_end(c);
}

/* One kernel: per input a loop over its share of the axis, inside the loops over the other dims, so that there is something to share
 * among threads and work-items; blocks of channels are joined row by row. */
static bool concat_lower(struct op_lower *c, struct err *e)
{
	bool blocked = c->node->out[0]->block, open[MAX_DIMS] = {false}, whole;
	struct lir_expr *outer[MAX_DIMS];
	int64_t start = 0, dim[MAX_DIMS];
	struct lir_buffer *out;
	struct lir_nest nest;
	int axis, nd = 0;

	if (!op_axis(OP_INT(c->node, "axis", 1), c->node->in[0]->nd, &axis, e))
		return false;
	if (concat_by_rows(c, axis, &whole)) {
		concat_rows(c, axis, whole);
		return true;
	}
	op_begin(c, "");
	for (uint32_t i = 0; i < c->node->nin; i++)
		op_in(c, i);
	out = op_out(c, 0);
	for (int d = 0; d < out->nd; d++) {
		open[d] = blocked ? d < axis || (d == axis + 1 && d + 1 < out->nd) : d != axis;
		if (open[d])
			dim[nd++] = out->dim[d];
	}
	nest = lir_nest_over(B, nd, dim);
	for (int d = 0, k = 0; d < out->nd; d++)
		if (open[d])
			outer[d] = nest.index[k++];
	for (uint32_t i = 0; i < c->node->nin; i++) {
		struct lir_buffer *in = op_in(c, i);

		concat_part(c, in, open, axis, start, outer);
		start += in->dim[axis];
	}
	lir_nest_end(B, &nest);
	op_end(c);
	return true;
}

const struct op_impl op_CONCAT = {.infer = concat_infer, .lower = concat_lower};
