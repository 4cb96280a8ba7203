/* op_gridsample.c: GridSample - pixels taken from places that are data
 *
 * A place may be anything, NaN too: it is clamped to where integers are exact before it becomes an index, and every pixel that is
 * read is guarded (zeros), clamped (border) or folded back (reflection). The padding is that of pixels, as in onnxruntime.
 */
#include <string.h>

#include "ops/ops_calc.h"

#define B (&c->b)
#define MAX_SPATIAL 3
#define MAX_TAPS 4
#define FARTHEST 0x1p30

enum filter { NEAREST, LINEAR, CUBIC };
enum padding { ZEROS, BORDER, REFLECTION };

struct rule {
	enum filter filter;
	enum padding padding;
	bool align;
	int taps;
};

static bool read_rule(const struct gir_node *n, struct rule *r, struct err *e)
{
	static const char *const modes[] = {"nearest", "bilinear", "bicubic",
					    "",        "linear",   "cubic"}; /* the last two since opset 20 */
	static const char *const paddings[] = {"zeros", "border", "reflection"};
	static const int taps[] = {1, 2, 4};
	const char *mode = gir_attr_string(n, "mode", "bilinear"), *padding = gir_attr_string(n, "padding_mode", "zeros");
	int m = 0, p = 0;

	while (m < 6 && strcmp(mode, modes[m]))
		m++;
	if (m == 6 || !*mode)
		return err_set(e, ERR_PARSE, "mode '%s'", mode);
	while (p < 3 && strcmp(padding, paddings[p]))
		p++;
	if (p == 3)
		return err_set(e, ERR_PARSE, "padding_mode '%s'", padding);
	*r = (struct rule){.filter = m % 3, .padding = p, .align = OP_INT(n, "align_corners", 0) != 0};
	r->taps = taps[r->filter];
	return true;
}

static bool infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0], *grid = c->node->in[1];
	int64_t dim[MAX_DIMS], places = 0;
	struct rule r;

	if (!read_rule(c->node, &r, e) || !op_check_rank(c, 0, 3, 2 + MAX_SPATIAL, e) || !op_check_rank(c, 1, x->nd, x->nd, e) ||
	    !op_check_type(c, 1, TYPES_FLOAT, e) || (r.filter != NEAREST && !op_check_type(c, 0, TYPES_FLOAT, e)))
		return false;
	if (grid->dim[0] != x->dim[0] || grid->dim[x->nd - 1] != x->nd - 2)
		return err_set(e, ERR_PARSE, "a grid of shape %s for a picture of shape %s", dims_text(c->a, grid->dim, grid->nd),
			       dims_text(c->a, x->dim, x->nd));
	dims_elements(grid->dim, grid->nd, &places);
	memcpy(dim, x->dim, sizeof dim);
	for (int d = 2; d < x->nd; d++) {
		if (places && !x->dim[d])
			return err_set(e, ERR_PARSE, "dimension %d is empty: there is nothing to choose from", d);
		dim[d] = grid->dim[d - 1];
	}
	return op_set_out(c, 0, x->dtype, x->nd, dim, e);
}

/* What the loop over channels needs of one spatial dim. */
struct axis {
	struct lir_expr *at[MAX_TAPS], *inside[MAX_TAPS], *weight[MAX_TAPS]; /* inside: zeros only; weight: not for nearest */
};

struct sampler {
	struct rule rule;
	struct lir_buffer *in;
	int spatial;
	struct axis axis[MAX_SPATIAL];
	struct lir_expr *at[MAX_DIMS];
	enum dtype wide;
};

/* From -1..1 to pixels. */
static struct lir_expr *coordinate(struct op_lower *c, const struct rule *r, struct lir_expr *g, int64_t size)
{
	struct lir_expr *half = op_imm_like(B, g, 0.5), *one = op_imm_like(B, g, 1), *x = lir_add(B, g, one);

	if (r->align)
		x = lir_mul(B, lir_mul(B, x, half), op_imm_like(B, g, (double)(size - 1)));
	else
		x = lir_mul(B, lir_sub(B, lir_mul(B, x, op_imm_like(B, g, (double)size)), one), half);
	if (r->filter == NEAREST)
		x = lir_call1(B, LIR_CALL_RINT, x);
	return op_let(c, "x", lir_max(B, lir_min(B, x, op_imm_like(B, g, FARTHEST)), op_imm_like(B, g, -FARTHEST)));
}

/* Mirrored at the borders: at the middle of the outermost pixels, or (not aligned) at their outer edges. */
static struct lir_expr *reflect(struct op_lower *c, const struct rule *r, struct lir_expr *i, int64_t size)
{
	int64_t period = r->align ? 2 * (size - 1) : 2 * size;
	struct lir_expr *p = lir_int(B, period);

	if (!period)
		return lir_int(B, 0);
	i = op_let(c, "m", lir_mod(B, lir_add(B, lir_mod(B, i, p), p), p));
	return lir_select(B, lir_lt(B, i, lir_int(B, size)), i, lir_sub(B, lir_int(B, r->align ? period : period - 1), i));
}

/* a * x^3 - 5a * x^2 + 8a * x - 4a with a = -0.75, for 1 <= x <= 2 */
static struct lir_expr *cubic_far(struct op_lower *c, struct lir_expr *x)
{
	struct lir_expr *y = lir_add(B, lir_mul(B, x, op_imm_like(B, x, -0.75)), op_imm_like(B, x, 3.75));

	y = lir_sub(B, lir_mul(B, y, x), op_imm_like(B, x, 6));
	return lir_add(B, lir_mul(B, y, x), op_imm_like(B, x, 3));
}

/* (a + 2) * x^3 - (a + 3) * x^2 + 1, for 0 <= x <= 1 */
static struct lir_expr *cubic_near(struct op_lower *c, struct lir_expr *x)
{
	struct lir_expr *y = lir_sub(B, lir_mul(B, x, op_imm_like(B, x, 1.25)), op_imm_like(B, x, 2.25));

	return lir_add(B, lir_mul(B, lir_mul(B, y, x), x), op_imm_like(B, x, 1));
}

static void weigh(struct op_lower *c, struct sampler *s, struct axis *a, struct lir_expr *part)
{
	struct lir_expr *one = op_imm_like(B, part, 1), *rest = op_let(c, "rest", lir_sub(B, one, part));

	if (s->rule.filter == LINEAR) {
		a->weight[0] = rest;
		a->weight[1] = part;
	} else {
		a->weight[0] = cubic_far(c, op_let(c, "far", lir_add(B, part, one)));
		a->weight[1] = cubic_near(c, part);
		a->weight[2] = cubic_near(c, rest);
		a->weight[3] = cubic_far(c, op_let(c, "far", lir_add(B, rest, one)));
	}
	for (int t = 0; t < s->rule.taps; t++)
		a->weight[t] = op_let(c, "w", lir_cast(B, s->wide, a->weight[t]));
}

/* Indices, guards and weights of one dim of this size for the place g. */
static void prepare(struct op_lower *c, struct sampler *s, struct axis *a, struct lir_expr *g, int64_t size)
{
	struct lir_expr *x = coordinate(c, &s->rule, g, size), *down = x, *first, *last = lir_int(B, size - 1),
			*zero = lir_int(B, 0), *i;

	if (s->rule.filter != NEAREST)
		down = op_let(c, "down", lir_call1(B, LIR_CALL_FLOOR, x));
	first = op_let(c, "first", lir_cast(B, DT_I64, down));
	for (int t = 0; t < s->rule.taps; t++) {
		i = lir_add(B, first, lir_int(B, s->rule.filter == CUBIC ? t - 1 : t));
		if (s->rule.padding == BORDER)
			i = lir_max(B, lir_min(B, i, last), zero);
		else if (s->rule.padding == REFLECTION)
			i = reflect(c, &s->rule, i, size);
		i = a->at[t] = op_let(c, "at", i);
		if (s->rule.padding == ZEROS)
			a->inside[t] = op_let(c, "inside", lir_and(B, lir_ge(B, i, zero), lir_lt(B, i, lir_int(B, size))));
	}
	if (s->rule.filter != NEAREST)
		weigh(c, s, a, op_let(c, "part", lir_sub(B, x, down)));
}

/* The weighted sum over the spatial dims from k on; inside guards the dims before it. */
static struct lir_expr *sample(struct op_lower *c, struct sampler *s, int k, struct lir_expr *inside)
{
	struct lir_expr *sum = NULL, *x;

	if (k == s->spatial) {
		x = lir_load(B, s->in, s->at);
		x = inside ? lir_select(B, inside, x, lir_imm(B, s->in->dtype, 0)) : x;
		return lir_cast(B, s->wide, x);
	}
	for (int t = 0; t < s->rule.taps; t++) {
		struct lir_expr *guard = s->axis[k].inside[t];

		s->at[2 + k] = s->axis[k].at[t];
		x = sample(c, s, k + 1, inside && guard ? lir_and(B, inside, guard) : guard);
		if (s->axis[k].weight[t])
			x = lir_mul(B, s->axis[k].weight[t], x);
		sum = sum ? lir_add(B, sum, x) : x;
	}
	return s->rule.taps > 1 ? op_let(c, "sum", sum) : sum;
}

/* Loops over the places, then over the channels: what a place means is worked out once. */
static bool lower(struct op_lower *c, struct err *e)
{
	struct lir_expr *from[MAX_DIMS], *to[MAX_DIMS];
	struct lir_buffer *grid, *out;
	struct sampler s = {0};
	struct lir_nest nest;

	if (!read_rule(c->node, &s.rule, e))
		return false;
	op_begin(c, "");
	s.in = op_in(c, 0);
	grid = op_in(c, 1);
	out = op_out(c, 0);
	s.spatial = out->nd - 2;
	s.wide = s.rule.filter == NEAREST ? out->dtype : op_acc_type(out->dtype);
	nest = lir_nest_over(B, grid->nd - 1, grid->dim);
	memcpy(from, nest.index, sizeof from);
	for (int k = 0; k < s.spatial; k++) { /* the last dim's coordinate stands first */
		from[grid->nd - 1] = lir_int(B, s.spatial - 1 - k);
		prepare(c, &s, &s.axis[k], op_load_as(c, grid, from, op_acc_type(grid->dtype)), s.in->dim[2 + k]);
	}
	s.at[0] = to[0] = nest.index[0];
	s.at[1] = to[1] = lir_for(B, "c", out->dim[1], LIR_SERIAL);
	memcpy(to + 2, nest.index + 1, (size_t)s.spatial * sizeof *to);
	lir_store(B, out, to, lir_cast(B, out->dtype, sample(c, &s, 0, NULL)));
	lir_end(B);
	lir_nest_end(B, &nest);
	op_end(c);
	return true;
}

const struct op_impl op_GRIDSAMPLE = {.infer = infer, .lower = lower};
