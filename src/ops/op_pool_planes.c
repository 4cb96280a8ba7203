/* op_pool_planes.c: AveragePool of small plain planes (ops_planes.h) */
#include "ops/ops_pool.h"
#include "ops/ops_planes.h"

#define B (&c->b)

struct average {
	const struct op_window *w;
	bool include_pad;
	struct lir_buffer *cols; /* how many columns each output column counts; NULL: all */
};

/* Whether some window has taps that do not count. */
static bool some_missing(const struct average *q, int d)
{
	const struct op_window *w = q->w;
	int64_t pad[2] = {q->include_pad ? w->begin[d] : 0, q->include_pad ? w->end[d] : 0};

	return w->begin[d] > pad[0] || (w->out[d] - 1) * w->stride[d] - w->begin[d] + w->kernel[d] > w->in[d] + pad[1];
}

/* Every window has a tap that counts: nothing is divided by 0. */
static bool none_empty(const struct average *q, int d)
{
	const struct op_window *w = q->w;
	int64_t last = (w->out[d] - 1) * w->stride[d] - w->begin[d];

	return q->include_pad ? last < w->in[d] + w->end[d] : w->begin[d] < w->kernel[d] && last < w->in[d];
}

/* How many rows (d 0) or columns (1) of the window at `o` count. */
static struct lir_expr *count(struct op_lower *c, const struct average *q, int d, struct lir_expr *o)
{
	const struct op_window *w = q->w;
	int64_t low = q->include_pad ? -w->begin[d] : 0, high = w->in[d] + (q->include_pad ? w->end[d] : 0);
	struct lir_expr *first, *end;

	if (!some_missing(q, d))
		return lir_imm(B, DT_F32, (double)w->kernel[d]);
	first = op_let(c, "first", lir_sub(B, lir_mul(B, o, lir_int(B, w->stride[d])), lir_int(B, w->begin[d])));
	end = lir_min(B, lir_add(B, first, lir_int(B, w->kernel[d])), lir_int(B, high));
	return lir_cast(B, DT_F32, lir_sub(B, end, lir_max(B, first, lir_int(B, low))));
}

static struct lir_expr *start(struct op_lower *c, void *user, struct lir_expr *const *at)
{
	struct average *q = user;
	struct lir_expr *o;

	(void)at;
	if (some_missing(q, 1)) {
		q->cols = lir_alloc(B, "cols", DT_F32, 1, &q->w->out[1]);
		o = lir_for(B, "col", q->w->out[1], LIR_SERIAL);
		lir_store(B, q->cols, &o, count(c, q, 1, o));
		lir_end(B);
	}
	return lir_broadcast(B, lir_imm(B, DT_F32, 0), c->target->lanes);
}

static struct lir_expr *add(struct op_lower *c, void *user, int64_t k, struct lir_expr *x, struct lir_expr *sum)
{
	(void)user, (void)k;
	return lir_add(B, sum, x);
}

static struct lir_expr *finish(struct op_lower *c, void *user, struct lir_expr *const *at, struct lir_expr *sum, int lanes)
{
	struct average *q = user;
	struct lir_expr *rows = count(c, q, 0, at[2]), *cols = lir_imm(B, DT_F32, (double)q->w->kernel[1]);

	if (q->cols)
		cols = lanes > 1 ? lir_load_lanes(B, q->cols, &at[3], lanes) : lir_load(B, q->cols, &at[3]);
	else if (lanes > 1)
		cols = lir_broadcast(B, cols, lanes);
	return lir_div(B, sum, lir_mul(B, lanes > 1 ? lir_broadcast(B, rows, lanes) : rows, cols));
}

bool op_average_lower_planes(struct op_lower *c, const struct op_window *w, bool include_pad)
{
	struct average q = {.w = w, .include_pad = include_pad};
	struct op_planes p = {.w = *w, .user = &q, .start = start, .add = add, .finish = finish};

	if (w->nd != 2 || w->dilation[0] != 1 || w->dilation[1] != 1 || !none_empty(&q, 0) || !none_empty(&q, 1) || !op_planes_fit(c, w))
		return false;
	op_begin(c, "");
	op_in(c, 0);
	op_out(c, 0);
	op_planes_loops(c, &p);
	op_end(c);
	return true;
}
