/* ops_planes.c: windows over small plain planes */
#include "ops/ops_planes.h"

#include <string.h>

#include "ops/ops_tile.h"

#define B (&c->b)
#define MAX_FRAME 16384 /* elements, sums included: 64 KiB of stack */

struct planes {
	const struct op_planes *p;
	int64_t lanes, height, pitch; /* of the frame: rows that are read, and their width */
	int64_t row;                  /* sums at a time: of one row, or of all */
	int64_t step, left;           /* from one sum to the next: in the frame, and of those from one that is stored to the next */
	int64_t sums, frame;          /* elements of both arrays */
	struct lir_buffer *f, *s;
	struct lir_expr *at[4];       /* of the output; the last two by row */
	struct lir_expr *start;
};

static int64_t round_up(int64_t n, int64_t to)
{
	return (n + to - 1) / to * to;
}

/* Only sums that are stored: every second element is two vectors and a shuffle, so rows should fill half of one. */
static bool by_step(const struct op_lower *c, const struct op_window *w)
{
	return w->stride[1] == 2 && w->out[1] * 2 >= c->target->lanes;
}

/* false: it does not fit. */
static bool measure(const struct op_lower *c, const struct op_window *w, struct planes *q)
{
	int64_t need[2];

	for (int d = 0; d < 2; d++) {
		need[d] = (w->out[d] - 1) * w->stride[d] + (w->kernel[d] - 1) * w->dilation[d] + 1;
		if (w->out[d] < 1 || need[d] > MAX_FRAME || w->begin[d] >= need[d])
			return false;
	}
	q->lanes = c->target->lanes;
	q->height = need[0];
	q->pitch = need[1];
	q->step = by_step(c, w) ? w->stride[1] : 1;
	q->left = w->stride[1] / q->step;
	q->row = (w->out[1] - 1) * q->left + 1 + (w->stride[0] == 1 && q->step == 1 ? (w->out[0] - 1) * q->pitch : 0);
	q->sums = round_up(q->row, q->lanes);
	q->frame = round_up(q->height * q->pitch + (q->sums - q->row) * q->step, q->lanes);
	return q->frame + q->sums <= MAX_FRAME;
}

bool op_planes_fit(const struct op_lower *c, const struct op_window *w)
{
	const struct gir_value *x = c->node->in[0];
	struct planes q;

	return c->target->cls == LOWER_CPU && c->target->lanes > 1 && x->nd == 4 && !x->block && !c->node->out[0]->block && op_all_f32(c->node) &&
	       w->kernel[0] <= PLANE_TAPS && w->kernel[0] * w->kernel[1] <= PLANE_TAPS && measure(c, w, &q);
}

static void copy_plane(struct op_lower *c, struct planes *q)
{
	const struct op_window *w = &q->p->w;
	int64_t rows = q->height - w->begin[0] < w->in[0] ? q->height - w->begin[0] : w->in[0];
	int64_t cols = q->pitch - w->begin[1] < w->in[1] ? q->pitch - w->begin[1] : w->in[1];
	struct lir_expr *channel = q->p->channel ? op_let(c, "channel", q->p->channel(c, q->p->user, q->at[1])) : q->at[1], *v, *y, *to;

	v = op_loop(c, "z", q->frame / q->lanes, LIR_SERIAL);
	to = lir_mul(B, v, lir_int(B, q->lanes));
	lir_store(B, q->f, &to, lir_broadcast(B, lir_imm(B, DT_F32, 0), (int)q->lanes));
	op_loop_end(c, v);
	y = op_loop(c, "y", rows, LIR_SERIAL);
	to = lir_add(B, lir_mul(B, y, lir_int(B, q->pitch)), lir_int(B, w->begin[0] * q->pitch + w->begin[1]));
	op_copy_row(c, q->f, &to, op_in(c, 0), (struct lir_expr *[]){q->at[0], channel, y, lir_int(B, 0)}, cols);
	op_loop_end(c, y);
}

/* The sums of q->row places from `first` of the frame. */
static void sum(struct op_lower *c, struct planes *q, struct lir_expr *first)
{
	const struct op_window *w = &q->p->w;
	struct lir_expr *v = op_loop(c, "s", q->sums / q->lanes, LIR_SERIAL), *at = lir_mul(B, v, lir_int(B, q->lanes)), *x = q->start, *from;
	struct lir_expr *place = lir_add(B, first, lir_mul(B, at, lir_int(B, q->step)));

	for (int64_t k = 0; k < w->kernel[0] * w->kernel[1]; k++) {
		from = lir_int(B, k / w->kernel[1] * w->dilation[0] * q->pitch + k % w->kernel[1] * w->dilation[1]);
		from = lir_add(B, place, from);
		x = q->p->add(c, q->p->user, k, lir_load_step(B, q->f, &from, q->step, (int)q->lanes), x);
	}
	lir_store(B, q->s, &at, x);
	op_loop_end(c, v);
}

struct store {
	struct planes *q;
	struct lir_expr *first; /* of the row among the sums */
};

static void store(struct op_lower *c, void *user, struct lir_expr *col, int lanes)
{
	const struct store *s = user;
	struct planes *q = s->q;
	struct lir_expr *from = lir_add(B, s->first, lir_mul(B, col, lir_int(B, q->left))), *x;

	q->at[3] = col;
	x = lanes > 1 ? lir_load_lanes(B, q->s, &from, lanes) : lir_load(B, q->s, &from);
	op_store(c, q->at, q->p->finish ? q->p->finish(c, q->p->user, q->at, x, lanes) : x);
}

static void plane(struct op_lower *c, struct planes *q)
{
	const struct op_window *w = &q->p->w;
	bool whole = w->stride[0] == 1 && q->step == 1;
	struct store s = {.q = q};

	q->f = lir_alloc(B, "frame", DT_F32, 1, &q->frame);
	copy_plane(c, q);
	q->start = q->p->start(c, q->p->user, q->at);
	if (whole) {
		q->s = lir_alloc(B, "sums", DT_F32, 1, &q->sums);
		sum(c, q, lir_int(B, 0));
	}
	q->at[2] = op_loop(c, "row", w->out[0], LIR_SERIAL);
	s.first = whole ? lir_mul(B, q->at[2], lir_int(B, q->pitch)) : lir_int(B, 0);
	if (!whole) {
		q->s = lir_alloc(B, "sums", DT_F32, 1, &q->sums);
		sum(c, q, lir_mul(B, q->at[2], lir_int(B, w->stride[0] * q->pitch)));
	}
	op_pieces(c, q->left == 1 ? (int)q->lanes : 1, w->out[1], store, &s);
	op_loop_end(c, q->at[2]);
}

void op_planes_loops(struct op_lower *c, const struct op_planes *p)
{
	struct planes q = {.p = p};
	struct lir_nest nest = lir_nest_over(B, 2, c->node->in[0]->dim);

	measure(c, &p->w, &q);
	q.at[0] = nest.index[0];
	q.at[1] = nest.index[1];
	plane(c, &q);
	lir_nest_end(B, &nest);
}
