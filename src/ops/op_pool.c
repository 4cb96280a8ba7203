/* op_pool.c: MaxPool, AveragePool, LpPool and the global pools */
#include <string.h>

#include "ops/ops_pool.h"

#define B (&c->b)

static bool read_window(const struct gir_node *n, struct op_window *w, struct err *e)
{
	const struct gir_value *x = n->in[0];

	if (x->nd < 3)
		return err_set(e, ERR_PARSE, "needs a tensor of 3 or more dimensions, not %d", x->nd);
	return op_window_read(n, x->nd - 2, x->dim + 2, NULL, w, e) &&
	       op_window_size(n, gir_attr_int(n, "ceil_mode", 0) != 0, w, e);
}

static bool set_outs(struct op_infer *c, const struct op_window *w, bool indices, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	int64_t dim[MAX_DIMS] = {x->dim[0], x->dim[1]};

	memcpy(dim + 2, w->out, (size_t)w->nd * sizeof *dim);
	return op_set_out(c, 0, x->dtype, x->nd, dim, e) && (!indices || op_set_out(c, 1, DT_I64, x->nd, dim, e));
}

static bool max_infer(struct op_infer *c, struct err *e)
{
	struct op_window w;

	return op_check_type(c, 0, TYPES_FLOAT | TYPES_BYTE, e) && read_window(c->node, &w, e) && set_outs(c, &w, true, e);
}

static bool float_infer(struct op_infer *c, struct err *e)
{
	struct op_window w;

	return op_check_type(c, 0, TYPES_FLOAT, e) && read_window(c->node, &w, e) && set_outs(c, &w, false, e);
}

/* Opens the loops of one window and gives the element under the current tap. */
static struct lir_expr *open_window(struct op_lower *c, const struct op_window *w, const struct op_space *s, struct op_taps *taps,
				    struct lir_expr **at)
{
	enum dtype t = c->node->in[0]->dtype;

	*taps = op_taps_begin(c, w, s->index + 2);
	at[0] = s->index[0];
	at[1] = s->index[1];
	memcpy(at + 2, taps->pos, (size_t)w->nd * sizeof *at);
	at[2 + w->nd] = lir_int(B, 0);
	return op_let(c, "x", op_load_as(c, op_in(c, 0), at, op_acc_type(t)));
}

/* ---- MaxPool ---- */

/* The number of an element in its whole tensor; by_column numbers the spatial dims with the first one running fastest. */
static struct lir_expr *flat_number(struct op_lower *c, const struct gir_value *v, struct lir_expr *const *at, bool by_column)
{
	struct lir_expr *n = lir_add(B, lir_mul(B, at[0], lir_int(B, v->dim[1])), at[1]);

	for (int i = 2; i < v->nd; i++)
		n = lir_mul(B, n, lir_int(B, v->dim[i]));
	if (!by_column) {
		struct lir_expr *place = lir_int(B, 0);

		for (int i = 2; i < v->nd; i++)
			place = lir_add(B, lir_mul(B, place, lir_int(B, v->dim[i])), at[i]);
		return lir_add(B, n, place);
	}
	for (int i = 2; i < v->nd; i++) {
		int64_t step = 1;

		for (int k = 2; k < i; k++)
			step *= v->dim[k];
		n = lir_add(B, n, lir_mul(B, at[i], lir_int(B, step)));
	}
	return n;
}

static bool max_lower(struct op_lower *c, struct err *e)
{
	const struct gir_node *n = c->node;
	bool indices = n->nout > 1 && n->out[1], by_column = gir_attr_int(n, "storage_order", 0) != 0;
	enum dtype t = n->in[0]->dtype, wide = op_acc_type(t);
	struct lir_buffer *best, *place = NULL;
	struct lir_expr *at[MAX_DIMS + 1], *x;
	struct op_window w;
	struct op_taps taps;
	struct op_space s;

	if (!read_window(n, &w, e))
		return false;
	c->lanes = c->node->out[0]->block;
	op_begin(c, "");
	op_in(c, 0);
	s = op_space_of(c, op_out(c, 0));
	op_outer_begin(c, &s);
	best = op_acc(c, "best", op_lowest(c, wide));
	if (indices)
		place = op_acc(c, "place", lir_int(B, -1));
	x = open_window(c, &w, &s, &taps, at);
	if (indices) { /* the first of equal elements counts, and any element beats none */
		lir_if(B, lir_or(B, lir_lt(B, op_acc_get(c, best), x), lir_lt(B, op_acc_get(c, place), lir_int(B, 0))));
		op_acc_set(c, best, x);
		op_acc_set(c, place, flat_number(c, n->in[0], at, by_column));
		lir_end(B);
	} else {
		op_acc_set(c, best, lir_max(B, op_acc_get(c, best), x));
	}
	op_taps_end(c, &w, &taps);
	op_store(c, s.index, lir_cast(B, t, op_acc_get(c, best)));
	if (indices)
		lir_store(B, op_out(c, 1), s.index, op_acc_get(c, place));
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

const struct op_impl op_MAXPOOL = {.infer = max_infer, .lower = max_lower};

/* ---- AveragePool ---- */

/* With count_include_pad every tap within the padded tensor counts; ceil_mode may put taps beyond even that. */
static bool beyond_padding(const struct op_window *w)
{
	bool beyond = false;

	for (int d = 0; d < w->nd; d++)
		beyond |=
		    (w->out[d] - 1) * w->stride[d] + (w->kernel[d] - 1) * w->dilation[d] >= w->in[d] + w->begin[d] + w->end[d];
	return beyond;
}

static void count_padded_taps(struct op_lower *c, const struct op_window *w, const struct op_space *s, struct lir_buffer *count)
{
	struct op_window padded = *w;
	struct op_taps taps;

	for (int d = 0; d < w->nd; d++) {
		padded.in[d] += w->begin[d] + w->end[d];
		padded.begin[d] = 0;
	}
	taps = op_taps_begin(c, &padded, s->index + 2);
	op_acc_add(c, count, lir_imm(B, count->dtype, 1));
	op_taps_end(c, &padded, &taps);
}

static bool average_lower(struct op_lower *c, struct err *e)
{
	bool include_pad = gir_attr_int(c->node, "count_include_pad", 0) != 0, counted;
	enum dtype t = c->node->in[0]->dtype, wide = op_acc_type(t);
	struct lir_buffer *sum, *count = NULL;
	struct lir_expr *at[MAX_DIMS + 1], *x, *n;
	double all = 1;
	struct op_window w;
	struct op_taps taps;
	struct op_space s;

	if (!read_window(c->node, &w, e))
		return false;
	if (op_average_lower_planes(c, &w, include_pad))
		return true;
	for (int d = 0; d < w.nd; d++)
		all *= (double)w.kernel[d];
	c->lanes = c->node->out[0]->block;
	op_begin(c, "");
	op_in(c, 0);
	s = op_space_of(c, op_out(c, 0));
	op_outer_begin(c, &s);
	sum = op_acc(c, "sum", lir_imm(B, wide, 0));
	counted = !include_pad || beyond_padding(&w);
	if (counted)
		count = op_acc(c, "count", lir_imm(B, wide, 0));
	if (counted && include_pad)
		count_padded_taps(c, &w, &s, count);
	x = open_window(c, &w, &s, &taps, at);
	op_acc_add(c, sum, x);
	if (counted && !include_pad)
		op_acc_add(c, count, lir_imm(B, wide, 1));
	op_taps_end(c, &w, &taps);
	n = counted ? op_acc_get(c, count) : lir_imm(B, wide, all);
	op_store(c, s.index, lir_cast(B, t, lir_div(B, op_acc_get(c, sum), n)));
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

const struct op_impl op_AVERAGEPOOL = {.infer = float_infer, .lower = average_lower};

/* ---- LpPool ---- */

/* p is an integer; it was a float in the first opset. */
static double exponent(const struct gir_node *n)
{
	const struct gir_attr *p = gir_attr(n, "p");

	return !p ? 2 : p->kind == GIR_ATTR_FLOAT ? p->f : (double)p->i;
}

/* |x|^p */
static struct lir_expr *power(struct op_lower *c, struct lir_expr *x, double p)
{
	if (p == 2)
		return lir_mul(B, x, x);
	x = op_abs(c, x);
	return p == 1 ? x : lir_call2(B, LIR_CALL_POW, x, lir_imm(B, x->type.dtype, p));
}

static struct lir_expr *root(struct op_lower *c, struct lir_expr *x, double p)
{
	if (p == 2)
		return lir_call1(B, LIR_CALL_SQRT, x);
	return p == 1 ? x : lir_call2(B, LIR_CALL_POW, x, lir_imm(B, x->type.dtype, 1 / p));
}

static bool lp_lower(struct op_lower *c, struct err *e)
{
	enum dtype t = c->node->in[0]->dtype;
	double p = exponent(c->node);
	struct lir_expr *at[MAX_DIMS + 1], *x;
	struct lir_buffer *sum;
	struct op_window w;
	struct op_taps taps;
	struct op_space s;

	if (!read_window(c->node, &w, e))
		return false;
	op_begin(c, "");
	op_in(c, 0);
	s = op_space_of(c, op_out(c, 0));
	op_outer_begin(c, &s);
	sum = op_acc(c, "sum", lir_imm(B, op_acc_type(t), 0));
	x = open_window(c, &w, &s, &taps, at);
	op_acc_add(c, sum, power(c, x, p));
	op_taps_end(c, &w, &taps);
	op_store(c, s.index, lir_cast(B, t, root(c, op_acc_get(c, sum), p)));
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

const struct op_impl op_LPPOOL = {.infer = float_infer, .lower = lp_lower};

/* ---- global pools: the window is the whole plane ---- */

static bool global_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	int64_t dim[MAX_DIMS];

	if (!op_check_type(c, 0, TYPES_FLOAT, e) || !op_check_rank(c, 0, 2, MAX_DIMS - 1, e))
		return false;
	for (int d = 0; d < x->nd; d++)
		dim[d] = d < 2 ? x->dim[d] : 1;
	return op_set_out(c, 0, x->dtype, x->nd, dim, e);
}

enum global { GLOBAL_MAX, GLOBAL_AVERAGE, GLOBAL_LP };

static bool global_lower(struct op_lower *c, enum global kind)
{
	enum dtype t = c->node->in[0]->dtype, wide = op_acc_type(t);
	double p = kind == GLOBAL_LP ? exponent(c->node) : 0;
	struct lir_expr *x, *r, *out[MAX_DIMS + 1];
	struct lir_buffer *in, *acc;
	struct op_space s;

	c->lanes = c->node->out[0]->block;
	op_begin(c, "");
	in = op_in(c, 0);
	op_out(c, 0);
	s = op_space_of(c, in);
	for (int d = 2; d < s.nd; d++)
		s.inner[d] = true;
	op_outer_begin(c, &s);
	acc = op_acc(c, "acc", kind == GLOBAL_MAX ? op_lowest(c, wide) : lir_imm(B, wide, 0));
	op_inner_begin(c, &s);
	x = op_load_as(c, in, s.index, wide);
	if (kind == GLOBAL_MAX)
		op_acc_set(c, acc, lir_max(B, op_acc_get(c, acc), x));
	else
		op_acc_add(c, acc, kind == GLOBAL_LP ? power(c, op_let(c, "x", x), p) : x);
	op_inner_end(c, &s);
	r = op_acc_get(c, acc);
	if (kind == GLOBAL_AVERAGE)
		r = lir_div(B, r, lir_imm(B, wide, (double)op_space_inner(&s)));
	else if (kind == GLOBAL_LP)
		r = root(c, r, p);
	for (int d = 0; d < s.nd; d++)
		out[d] = d < 2 ? s.index[d] : lir_int(B, 0);
	out[s.nd] = lir_int(B, 0);
	op_store(c, out, lir_cast(B, t, r));
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

static bool global_max_lower(struct op_lower *c, struct err *e)
{
	return (void)e, global_lower(c, GLOBAL_MAX);
}

static bool global_average_lower(struct op_lower *c, struct err *e)
{
	return (void)e, global_lower(c, GLOBAL_AVERAGE);
}

static bool global_lp_lower(struct op_lower *c, struct err *e)
{
	return (void)e, global_lower(c, GLOBAL_LP);
}

const struct op_impl op_GLOBALMAXPOOL = {.infer = global_infer, .lower = global_max_lower};
const struct op_impl op_GLOBALAVERAGEPOOL = {.infer = global_infer, .lower = global_average_lower};
const struct op_impl op_GLOBALLPPOOL = {.infer = global_infer, .lower = global_lp_lower};
