/* op_conv_planes.c: Conv with one channel a group, plain - plane by plane, vectors along the rows
 *
 * Between operators that work on plain tensors blocks of channels would be made for one convolution only, and undone behind it. A plane
 * with its padding is copied into `frame`, a small array of this kernel. Seen as one long row, the sums of all pixels are vectors at any
 * place of it: tap (y, x) of the sum at i lies at i + y * pitch + x. Sums that begin behind the last pixel of a row belong to nothing
 * and are not stored. With a vertical stride this is done row by row.
 */
#include <string.h>

#include "ops/ops_conv.h"
#include "ops/ops_tile.h"

#define B (&c->b)
#define MAX_TAPS 25
#define MAX_FRAME 16384 /* elements, sums included: 64 KiB of stack */

struct planes {
	struct op_conv v;
	int64_t lanes, height, pitch; /* of the frame: rows that are read, and their width */
	int64_t row;                  /* sums at a time: of one row, or of all */
	int64_t sums, frame;          /* elements of both arrays */
	struct lir_buffer *in, *f, *s;
	struct lir_expr *at[4];       /* of the output; the last two by row */
	struct lir_expr *tap[MAX_TAPS], *start;
};

static int64_t round_up(int64_t n, int64_t to)
{
	return (n + to - 1) / to * to;
}

/* false: it does not fit. */
static bool measure(const struct op_lower *c, struct planes *p)
{
	const struct op_window *w = &p->v.w;
	int64_t need[2];

	for (int d = 0; d < 2; d++) {
		need[d] = (w->out[d] - 1) * w->stride[d] + (w->kernel[d] - 1) * w->dilation[d] + 1;
		if (w->out[d] < 1 || need[d] > MAX_FRAME || w->begin[d] >= need[d])
			return false;
	}
	p->lanes = c->target->lanes;
	p->height = need[0];
	p->pitch = need[1];
	p->row = (w->out[1] - 1) * w->stride[1] + 1 + (w->stride[0] == 1 ? (w->out[0] - 1) * p->pitch : 0);
	p->sums = round_up(p->row, p->lanes);
	p->frame = round_up(p->height * p->pitch + p->sums - p->row, p->lanes);
	return p->frame + p->sums <= MAX_FRAME;
}

static void copy_plane(struct op_lower *c, struct planes *p)
{
	const struct op_window *w = &p->v.w;
	int64_t rows = p->height - w->begin[0] < w->in[0] ? p->height - w->begin[0] : w->in[0];
	int64_t cols = p->pitch - w->begin[1] < w->in[1] ? p->pitch - w->begin[1] : w->in[1];
	struct lir_expr *channel = op_conv_channel(c, &p->v, p->at[1]), *v, *y, *to, *from[4];

	channel = channel == p->at[1] ? channel : op_let(c, "channel", channel);
	v = op_loop(c, "z", p->frame / p->lanes, LIR_SERIAL);
	to = lir_mul(B, v, lir_int(B, p->lanes));
	lir_store(B, p->f, &to, lir_broadcast(B, lir_imm(B, DT_F32, 0), (int)p->lanes));
	op_loop_end(c, v);
	y = op_loop(c, "y", rows, LIR_SERIAL);
	to = lir_add(B, lir_mul(B, y, lir_int(B, p->pitch)), lir_int(B, w->begin[0] * p->pitch + w->begin[1]));
	memcpy(from, p->at, sizeof from);
	from[1] = channel;
	from[2] = y;
	from[3] = lir_int(B, 0);
	op_copy_row(c, p->f, &to, p->in, from, cols);
	op_loop_end(c, y);
}

static void load_taps(struct op_lower *c, struct planes *p)
{
	struct lir_buffer *w = op_in(c, 1), *bias = op_arg(c->node, 2) ? op_in(c, 2) : NULL;
	struct lir_expr *at[4] = {p->at[1], lir_int(B, 0)};

	p->start = op_let(c, "start", lir_broadcast(B, bias ? lir_load(B, bias, &p->at[1]) : lir_imm(B, DT_F32, 0), (int)p->lanes));
	for (int64_t k = 0; k < p->v.w.kernel[0] * p->v.w.kernel[1]; k++) {
		at[2] = lir_int(B, k / p->v.w.kernel[1]);
		at[3] = lir_int(B, k % p->v.w.kernel[1]);
		p->tap[k] = op_let(c, "w", lir_broadcast(B, lir_load(B, w, at), (int)p->lanes));
	}
}

/* The sums of p->row places from `first` of the frame. */
static void sum(struct op_lower *c, struct planes *p, struct lir_expr *first)
{
	const struct op_window *w = &p->v.w;
	struct lir_expr *v = op_loop(c, "s", p->sums / p->lanes, LIR_SERIAL), *at = lir_mul(B, v, lir_int(B, p->lanes)), *x = p->start, *from;

	for (int64_t k = 0; k < w->kernel[0] * w->kernel[1]; k++) {
		from = lir_int(B, k / w->kernel[1] * w->dilation[0] * p->pitch + k % w->kernel[1] * w->dilation[1]);
		from = lir_add(B, lir_add(B, first, at), from);
		x = lir_fma(B, lir_load_lanes(B, p->f, &from, (int)p->lanes), p->tap[k], x);
	}
	lir_store(B, p->s, &at, x);
	op_loop_end(c, v);
}

struct store {
	struct planes *p;
	struct lir_expr *first; /* of the row among the sums */
};

static void store(struct op_lower *c, void *user, struct lir_expr *col, int lanes)
{
	const struct store *s = user;
	struct planes *p = s->p;
	struct lir_expr *from = lir_add(B, s->first, lir_mul(B, col, lir_int(B, p->v.w.stride[1])));

	p->at[3] = col;
	op_store(c, p->at, lanes > 1 ? lir_load_lanes(B, p->s, &from, lanes) : lir_load(B, p->s, &from));
}

static void plane(struct op_lower *c, struct planes *p)
{
	const struct op_window *w = &p->v.w;
	bool whole = w->stride[0] == 1;
	struct store s = {.p = p};

	p->f = lir_alloc(B, "frame", DT_F32, 1, &p->frame);
	copy_plane(c, p);
	load_taps(c, p);
	if (whole) {
		p->s = lir_alloc(B, "sums", DT_F32, 1, &p->sums);
		sum(c, p, lir_int(B, 0));
	}
	p->at[2] = op_loop(c, "row", w->out[0], LIR_SERIAL);
	s.first = whole ? lir_mul(B, p->at[2], lir_int(B, p->pitch)) : lir_int(B, 0);
	if (!whole) {
		p->s = lir_alloc(B, "sums", DT_F32, 1, &p->sums);
		sum(c, p, lir_mul(B, p->at[2], lir_int(B, w->stride[0] * p->pitch)));
	}
	op_pieces(c, w->stride[1] == 1 ? (int)p->lanes : 1, w->out[1], store, &s);
	op_loop_end(c, p->at[2]);
}

bool op_conv_lower_planes(struct op_lower *c, const struct op_conv *v)
{
	const struct gir_value *x = c->node->in[0];
	struct planes p = {.v = *v};
	struct lir_nest nest;

	if (c->target->cls != LOWER_CPU || c->target->lanes <= 1 || x->nd != 4 || x->block || v->groups < 2 || v->in_channels != 1 ||
	    v->out_channels != 1 || v->w.kernel[0] > MAX_TAPS || v->w.kernel[0] * v->w.kernel[1] > MAX_TAPS || !op_all_f32(c->node) || !measure(c, &p))
		return false;
	op_begin(c, "");
	p.in = op_in(c, 0);
	op_in(c, 1);
	if (op_arg(c->node, 2))
		op_in(c, 2);
	op_out(c, 0);
	nest = lir_nest_over(B, 2, x->dim);
	p.at[0] = nest.index[0];
	p.at[1] = nest.index[1];
	plane(c, &p);
	lir_nest_end(B, &nest);
	op_end(c);
	return true;
}
