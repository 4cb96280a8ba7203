/* op_slice.c: parts of a tensor - Slice, Split */
#include <string.h>

#include "ops/ops_calc.h"

#define B (&c->b)

/* ---- a box of a tensor ---- */

/* Output i is the box of input 0 that begins at `start`. Behind the last dim that is cut, rows are whole: they are copied as one, a vector
 * at a time. false: nothing was lowered, since the target has no vectors or rows are short. */
static bool box_rows(struct op_lower *c, uint32_t i, const int64_t *start)
{
	const struct gir_value *x = c->node->in[0], *y = c->node->out[i];
	struct lir_expr *to[MAX_DIMS], *from[MAX_DIMS];
	int64_t in_dim[MAX_DIMS], out_dim[MAX_DIMS], count;
	int lanes = c->target->lanes, cut = x->nd - 1;
	struct lir_buffer *in, *out;
	struct lir_nest nest;

	while (cut > 0 && x->dim[cut] == y->dim[cut])
		cut--;
	if (lanes <= 1 || x->dtype != DT_F32 || !x->nd)
		return false;
	memcpy(in_dim, x->dim, sizeof in_dim);
	memcpy(out_dim, y->dim, sizeof out_dim);
	for (int d = cut + 1; d < x->nd; d++) {
		in_dim[cut] *= x->dim[d];
		out_dim[cut] *= x->dim[d];
	}
	count = 1;
	for (int d = 0; d < cut; d++)
		count *= out_dim[d];
	if (count < 1 || out_dim[cut] < lanes || (count == 1 && out_dim[cut] % lanes))
		return false;
	op_begin(c, c->node->nout > 1 ? arena_printf(c->a, "%u", i) : "");
	in = op_view(c, c->node->in[0], cut + 1, in_dim);
	out = op_view_out(c, i, cut + 1, out_dim);
	if (count == 1) /* one row: its vectors are what is shared among threads */
		out_dim[cut] /= lanes;
	nest = lir_nest_over(B, count == 1 ? cut + 1 : cut, out_dim);
	memcpy(to, nest.index, sizeof to);
	to[cut] = count == 1 ? lir_mul(B, nest.index[cut], lir_int(B, lanes)) : lir_int(B, 0);
	for (int d = 0; d <= cut; d++)
		from[d] = lir_add(B, to[d], lir_int(B, start[d] * (d == cut ? in_dim[cut] / x->dim[cut] : 1)));
	op_copy_row(c, out, to, in, from, count == 1 ? lanes : out_dim[cut]);
	lir_nest_end(B, &nest);
	op_end(c);
	return true;
}

static bool all_ones(const int64_t *step, int nd)
{
	for (int d = 0; d < nd; d++)
		if (step[d] != 1)
			return false;
	return true;
}

/* ---- Slice: attributes until opset 9, then inputs ---- */

struct slice {
	int64_t start[MAX_DIMS], step[MAX_DIMS], dim[MAX_DIMS];
};

/* One of the lists: input i or the attribute; n is -1 when it is not given. */
static bool slice_list(struct op_infer *c, uint32_t i, const char *attr, const int64_t **v, int *n, struct err *e)
{
	const struct gir_attr *a = gir_attr(c->node, attr);

	*n = -1;
	if (op_arg(c->node, i))
		return op_ints(c, i, v, n, e);
	if (a && a->kind == GIR_ATTR_INTS) {
		*v = a->ints;
		*n = (int)a->n;
	}
	return true;
}

static int64_t clamp(int64_t v, int64_t lo, int64_t hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

static void slice_axis(struct slice *s, int axis, int64_t size, int64_t start, int64_t end, int64_t step)
{
	int64_t length;

	start = start < 0 ? (start < -size ? -1 : start + size) : start;
	end = end < 0 ? (end < -size ? -1 : end + size) : end;
	if (step > 0) {
		start = clamp(start, 0, size);
		end = clamp(end, 0, size);
		length = end > start ? (end - start - 1) / step + 1 : 0;
	} else {
		start = clamp(start, 0, size - 1);
		end = clamp(end, -1, size - 1);
		length = start > end ? (start - end - 1) / -step + 1 : 0;
	}
	s->start[axis] = start;
	s->step[axis] = step;
	s->dim[axis] = length;
}

static bool slice_of(struct op_infer *c, struct slice *s, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	const int64_t *starts, *ends, *axes, *steps;
	int n, nends, naxes, nsteps;

	if (!slice_list(c, 1, "starts", &starts, &n, e) || !slice_list(c, 2, "ends", &ends, &nends, e) ||
	    !slice_list(c, 3, "axes", &axes, &naxes, e) || !slice_list(c, 4, "steps", &steps, &nsteps, e))
		return false;
	if (n < 0 || nends != n || (naxes >= 0 && naxes != n) || (nsteps >= 0 && nsteps != n) || n > x->nd)
		return err_set(e, ERR_PARSE, "starts, ends, axes and steps do not fit together");
	for (int i = 0; i < x->nd; i++) {
		s->start[i] = 0;
		s->step[i] = 1;
		s->dim[i] = x->dim[i];
	}
	for (int i = 0; i < n; i++) {
		int64_t step = nsteps >= 0 ? steps[i] : 1;
		int axis;

		if (!op_axis(naxes >= 0 ? axes[i] : i, x->nd, &axis, e))
			return false;
		if (!step || step < -MAX_ELEMENTS)
			return err_set(e, ERR_PARSE, "step %lld", (long long)step);
		slice_axis(s, axis, x->dim[axis], starts[i], ends[i], step);
	}
	return true;
}

static bool slice_infer(struct op_infer *c, struct err *e)
{
	struct slice s;

	return slice_of(c, &s, e) && op_set_out(c, 0, c->node->in[0]->dtype, c->node->in[0]->nd, s.dim, e);
}

static bool slice_lower(struct op_lower *c, struct err *e)
{
	struct op_infer again = {.a = c->a, .node = (struct gir_node *)c->node, .opset = c->opset, .value = op_infer_known};
	struct lir_expr *at[MAX_DIMS];
	struct lir_buffer *in, *out;
	struct lir_nest nest;
	struct slice s;

	if (!slice_of(&again, &s, e))
		return false;
	if (all_ones(s.step, c->node->in[0]->nd) && box_rows(c, 0, s.start))
		return true;
	op_begin(c, "");
	in = op_in(c, 0);
	out = op_out(c, 0);
	nest = lir_nest_over(B, out->nd, out->dim);
	for (int i = 0; i < out->nd; i++)
		at[i] = lir_add(B, lir_mul(B, nest.index[i], lir_int(B, s.step[i])), lir_int(B, s.start[i]));
	lir_store(B, out, nest.index, lir_load(B, in, at));
	lir_nest_end(B, &nest);
	op_end(c);
	return true;
}

const struct op_impl op_SLICE = {.infer = slice_infer, .lower = slice_lower};

/* ---- Split ---- */

static bool split_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	const struct gir_attr *attr = gir_attr(c->node, "split");
	const int64_t *part = NULL;
	int64_t dim[MAX_DIMS], sum = 0, even;
	int axis, n = -1;

	if (!op_axis(OP_INT(c->node, "axis", 0), x->nd, &axis, e))
		return false;
	if (op_arg(c->node, 1)) {
		if (!op_ints(c, 1, &part, &n, e))
			return false;
	} else if (attr && attr->kind == GIR_ATTR_INTS) {
		part = attr->ints;
		n = (int)attr->n;
	}
	if (n >= 0 && (uint32_t)n != c->node->nout)
		return err_set(e, ERR_PARSE, "%d parts for %u outputs", n, c->node->nout);
	even = (x->dim[axis] + c->node->nout - 1) / c->node->nout;
	memcpy(dim, x->dim, sizeof dim);
	for (uint32_t i = 0; i < c->node->nout; i++) {
		dim[axis] = n >= 0 ? part[i] : x->dim[axis] - sum < even ? x->dim[axis] - sum : even;
		if (dim[axis] < 0 || dim[axis] > x->dim[axis] - sum)
			return err_set(e, ERR_PARSE, "the parts are more than the %lld there are", (long long)x->dim[axis]);
		sum += dim[axis];
		if (!op_set_out(c, i, x->dtype, x->nd, dim, e))
			return false;
	}
	return sum == x->dim[axis] || err_set(e, ERR_PARSE, "the parts are %lld of %lld", (long long)sum, (long long)x->dim[axis]);
}

static bool split_lower(struct op_lower *c, struct err *e)
{
	struct lir_expr *at[MAX_DIMS];
	int64_t start = 0, first[MAX_DIMS] = {0};
	int axis;

	if (!op_axis(OP_INT(c->node, "axis", 0), c->node->in[0]->nd, &axis, e))
		return false;
	for (uint32_t i = 0; i < c->node->nout; i++) {
		struct lir_buffer *in, *out;
		struct lir_nest nest;

		if (!c->node->out[i])
			return err_set(e, ERR_UNSUPPORTED, "output %u is left out", i);
		first[axis] = start;
		start += c->node->out[i]->dim[axis];
		if (box_rows(c, i, first))
			continue;
		op_begin(c, c->node->nout > 1 ? arena_printf(c->a, "%u", i) : "");
		in = op_in(c, 0);
		out = op_out(c, i);
		nest = lir_nest_over(B, out->nd, out->dim);
		memcpy(at, nest.index, sizeof at);
		at[axis] = lir_add(B, at[axis], lir_int(B, first[axis]));
		lir_store(B, out, nest.index, lir_load(B, in, at));
		lir_nest_end(B, &nest);
		op_end(c);
	}
	return true;
}

const struct op_impl op_SPLIT = {.infer = split_infer, .lower = split_lower};
