/* op_reorder.c: mutatenn.Reorder - a tensor from the plain layout to blocks of channels, or back; made by the layout pass */
#include <string.h>

#include "ops/ops_internal.h"

#define B (&c->b)

static bool infer(struct op_infer *c, struct err *e)
{
	return op_out_like(c, 0, 0, e);
}

/* out[n, b, ..., lane] = in[n, b * lanes + lane, ...], 0 in lanes beyond the last channel */
static void to_blocks(struct op_lower *c, struct lir_buffer *in, struct lir_buffer *out)
{
	struct lir_nest nest = lir_nest_over(B, out->nd, out->dim);
	struct lir_expr *at[MAX_DIMS], *x;
	int lanes = (int)out->dim[out->nd - 1];

	memcpy(at, nest.index, sizeof at);
	at[1] = lir_add(B, lir_mul(B, nest.index[1], lir_int(B, lanes)), nest.index[out->nd - 1]);
	x = lir_load(B, in, at);
	if (in->dim[1] % lanes)
		x = lir_select(B, lir_lt(B, at[1], lir_int(B, in->dim[1])), x, lir_imm(B, in->dtype, 0));
	lir_store(B, out, nest.index, x);
	lir_nest_end(B, &nest);
}

/* out[n, c, ...] = in[n, c / lanes, ..., c % lanes] */
static void to_plain(struct op_lower *c, struct lir_buffer *in, struct lir_buffer *out)
{
	struct lir_nest nest = lir_nest_over(B, out->nd, out->dim);
	struct lir_expr *at[MAX_DIMS], *lanes = lir_int(B, in->dim[in->nd - 1]);

	memcpy(at, nest.index, sizeof at);
	at[1] = lir_div(B, nest.index[1], lanes);
	at[in->nd - 1] = lir_mod(B, nest.index[1], lanes);
	lir_store(B, out, nest.index, lir_load(B, in, at));
	lir_nest_end(B, &nest);
}

static bool lower(struct op_lower *c, struct err *e)
{
	struct lir_buffer *in, *out;

	(void)e;
	op_begin(c, "");
	in = op_in(c, 0);
	out = op_out(c, 0);
	if (c->node->out[0]->block)
		to_blocks(c, in, out);
	else
		to_plain(c, in, out);
	op_end(c);
	return true;
}

const struct op_impl op_REORDER = {.infer = infer, .lower = lower};
