/* op_reorder.c: mutatenn.Reorder - a tensor from the plain layout to blocks of channels, or back; made by the layout pass */
#include <string.h>

#include "ops/ops_calc.h"

#define B (&c->b)
#define MIN_ROWS 4

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

struct rows {
	struct lir_buffer *in, *out;
	struct lir_expr *from[MAX_DIMS], *to[MAX_DIMS];
};

/* Pixels side by side, of one channel after the other while a cache has their blocks. */
static void piece(struct op_lower *c, void *user, struct lir_expr *at, int lanes)
{
	struct rows *r = user;
	int64_t block = c->node->in[0]->block;
	struct lir_expr *channel = lir_for(B, "channel", r->out->dim[1], LIR_SERIAL);

	r->from[1] = lir_div(B, channel, lir_int(B, block));
	r->from[r->in->nd - 1] = lir_add(B, lir_mul(B, at, lir_int(B, block)), lir_mod(B, channel, lir_int(B, block)));
	r->to[1] = channel;
	r->to[r->out->nd - 1] = at;
	lir_store(B, r->out, r->to, lir_load_step(B, r->in, r->from, block, lanes));
	lir_end(B);
}

/* The same as to_plain by vectors along rows: pixels of a channel lie a block apart. */
static void rows_to_plain(struct op_lower *c)
{
	struct gir_value *x = c->node->in[0];
	int64_t dim[MAX_DIMS], outer[MAX_DIMS] = {x->dim[0]};
	struct rows r = {0};
	struct lir_nest nest;

	memcpy(dim, x->dim, sizeof dim);
	dim[1] = (x->dim[1] + x->block - 1) / x->block;
	dim[x->nd - 1] *= x->block;
	memcpy(outer + 1, x->dim + 2, sizeof *outer * (size_t)(x->nd - 3));
	r.in = op_view(c, x, x->nd, dim);
	r.out = op_out(c, 0);
	nest = lir_nest_over(B, x->nd - 2, outer);
	r.from[0] = r.to[0] = nest.index[0];
	for (int d = 2; d < x->nd - 1; d++)
		r.from[d] = r.to[d] = nest.index[d - 1];
	op_pieces(c, c->target->lanes, x->dim[x->nd - 1], piece, &r);
	lir_nest_end(B, &nest);
}

static bool lower(struct op_lower *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	int64_t rows = x->nd > 2 ? x->dim[0] : 0; /* of pixels, for threads to share */
	struct lir_buffer *in, *out;

	(void)e;
	for (int d = 2; d < x->nd - 1; d++)
		rows *= x->dim[d];
	op_begin(c, "");
	if (x->block && op_all_f32(c->node) && c->target->lanes > 1 && rows >= MIN_ROWS && x->dim[x->nd - 1] * 2 >= c->target->lanes) {
		rows_to_plain(c);
	} else {
		in = op_in(c, 0);
		out = op_out(c, 0);
		(x->block ? to_plain : to_blocks)(c, in, out);
	}
	op_end(c);
	return true;
}

const struct op_impl op_REORDER = {.infer = infer, .lower = lower};
