/* op_move.c: elements in another order or place - Transpose, Slice, Split, Concat, Pad, Expand, Tile */
#include <string.h>

#include "ops/ops_product.h"

#define B (&c->b)

/* ---- Transpose ---- */

static bool perm_of(const struct gir_node *n, int *perm, struct err *e)
{
	const struct gir_attr *attr = gir_attr(n, "perm");
	int nd = n->in[0]->nd;
	unsigned seen = 0;

	for (int i = 0; i < nd; i++)
		perm[i] = nd - 1 - i;
	if (!attr)
		return true;
	if (attr->kind != GIR_ATTR_INTS || attr->n != (size_t)nd)
		return err_set(e, ERR_PARSE, "'perm' must have %d numbers", nd);
	for (int i = 0; i < nd; i++) {
		if (attr->ints[i] < 0 || attr->ints[i] >= nd || (seen >> attr->ints[i] & 1))
			return err_set(e, ERR_PARSE, "'perm' is not a permutation of %d dimensions", nd);
		seen |= 1u << attr->ints[i];
		perm[i] = (int)attr->ints[i];
	}
	return true;
}

static bool transpose_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	int64_t dim[MAX_DIMS];
	int perm[MAX_DIMS];

	if (!perm_of(c->node, perm, e))
		return false;
	for (int i = 0; i < x->nd; i++)
		dim[i] = x->dim[perm[i]];
	return op_set_out(c, 0, x->dtype, x->nd, dim, e);
}

/* The same transposition of fewer dims: those of 1 left out, those that stay side by side made one. dim: of the output. */
static int merge_dims(const struct gir_value *x, const int *perm, int *merged, int64_t *dim)
{
	int number[MAX_DIMS], first[MAX_DIMS], nd = 0, kept = 0, last = -1;

	for (int d = 0; d < x->nd; d++) {
		number[d] = kept;
		kept += x->dim[d] != 1;
	}
	for (int i = 0; i < x->nd; i++) {
		int from = perm[i];

		if (x->dim[from] == 1)
			continue;
		if (nd && number[from] == last + 1) {
			dim[nd - 1] *= x->dim[from];
		} else {
			first[nd] = number[from];
			dim[nd++] = x->dim[from];
		}
		last = number[from];
	}
	for (int i = 0; i < nd; i++) {
		merged[i] = 0;
		for (int k = 0; k < nd; k++)
			merged[i] += first[k] < first[i];
	}
	return nd;
}

/* Whole rows move: a vector at a time. */
static void transpose_rows(struct op_lower *c, int nd, const int *perm, const int64_t *dim)
{
	struct lir_expr *to[MAX_DIMS], *from[MAX_DIMS];
	struct lir_buffer *in, *out;
	struct lir_nest nest;
	int64_t in_dim[MAX_DIMS];

	for (int i = 0; i < nd; i++)
		in_dim[perm[i]] = dim[i];
	op_begin(c, "");
	in = op_view(c, c->node->in[0], nd, in_dim);
	out = op_view_out(c, 0, nd, dim);
	nest = lir_nest_over(B, nd - 1, dim);
	memcpy(to, nest.index, sizeof to);
	to[nd - 1] = lir_int(B, 0);
	for (int i = 0; i < nd; i++)
		from[perm[i]] = to[i];
	op_copy_row(c, out, to, in, from, dim[nd - 1]);
	lir_nest_end(B, &nest);
	op_end(c);
}

static bool transpose_lower(struct op_lower *c, struct err *e)
{
	struct lir_expr *at[MAX_DIMS];
	struct lir_buffer *in, *out;
	struct lir_nest nest;
	int perm[MAX_DIMS], merged[MAX_DIMS], nd;
	int64_t dim[MAX_DIMS];

	if (!perm_of(c->node, perm, e))
		return false;
	nd = merge_dims(c->node->in[0], perm, merged, dim);
	if (nd > 1 && merged[nd - 1] == nd - 1 && c->target->lanes > 1 && c->node->in[0]->dtype == DT_F32 && dim[nd - 1] >= c->target->lanes) {
		transpose_rows(c, nd, merged, dim);
		return true;
	}
	op_begin(c, "");
	in = op_in(c, 0);
	out = op_out(c, 0);
	nest = lir_nest_over(B, out->nd, out->dim);
	for (int i = 0; i < out->nd; i++)
		at[perm[i]] = nest.index[i];
	lir_store(B, out, nest.index, lir_load(B, in, at));
	lir_nest_end(B, &nest);
	op_end(c);
	return true;
}

const struct op_impl op_TRANSPOSE = {.infer = transpose_infer, .lower = transpose_lower};

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

static const struct tensor *known_value(void *user, struct gir_value *v)
{
	return (void)user, op_known(v);
}

static bool slice_lower(struct op_lower *c, struct err *e)
{
	struct op_infer again = {.a = c->a, .node = (struct gir_node *)c->node, .opset = c->opset, .value = known_value};
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

/* ---- Concat ---- */

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

/* ---- Pad: constant, reflect, edge, wrap ---- */

static bool pads_of(struct op_infer *c, int64_t *before, int64_t *after, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	const struct gir_attr *attr = gir_attr(c->node, "pads");
	const int64_t *pads, *axes = NULL;
	int n, naxes = x->nd;

	attr = attr ? attr : gir_attr(c->node, "paddings");
	if (op_arg(c->node, 1)) {
		if (!op_ints(c, 1, &pads, &n, e))
			return false;
	} else if (attr && attr->kind == GIR_ATTR_INTS) {
		pads = attr->ints;
		n = (int)attr->n;
	} else {
		return err_set(e, ERR_PARSE, "no pads are given");
	}
	if (op_arg(c->node, 3) && !op_ints(c, 3, &axes, &naxes, e))
		return false;
	if (n != 2 * naxes)
		return err_set(e, ERR_PARSE, "%d pads for %d dimensions", n, naxes);
	for (int i = 0; i < x->nd; i++)
		before[i] = after[i] = 0;
	for (int i = 0; i < naxes; i++) {
		int axis;

		if (!op_axis(axes ? axes[i] : i, x->nd, &axis, e))
			return false;
		if (pads[i] < -MAX_ELEMENTS || pads[i] > MAX_ELEMENTS || pads[i + naxes] < -MAX_ELEMENTS || pads[i + naxes] > MAX_ELEMENTS)
			return err_set(e, ERR_PARSE, "absurd pads");
		before[axis] = pads[i];
		after[axis] = pads[i + naxes];
	}
	return true;
}

static bool pad_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	const char *mode = gir_attr_string(c->node, "mode", "constant");
	int64_t before[MAX_DIMS], after[MAX_DIMS], dim[MAX_DIMS];

	if (!pads_of(c, before, after, e))
		return false;
	if (strcmp(mode, "constant") && strcmp(mode, "reflect") && strcmp(mode, "edge") && strcmp(mode, "wrap"))
		return err_set(e, ERR_PARSE, "mode '%s'", mode);
	for (int i = 0; i < x->nd; i++) {
		dim[i] = x->dim[i] + before[i] + after[i];
		if (!strcmp(mode, "reflect") && (before[i] >= x->dim[i] || after[i] >= x->dim[i]) && (before[i] > 0 || after[i] > 0))
			return err_set(e, ERR_UNSUPPORTED, "reflection by more than the size less one in dimension %d", i);
		if (!x->dim[i] && dim[i] && strcmp(mode, "constant"))
			return err_set(e, ERR_PARSE, "nothing to repeat in dimension %d", i);
	}
	return op_set_out(c, 0, x->dtype, x->nd, dim, e);
}

/* Where position i (from the first real element) reads; i is within the pads. */
static struct lir_expr *pad_source(struct op_lower *c, const char *mode, struct lir_expr *i, int64_t size)
{
	struct lir_expr *zero = lir_int(B, 0), *last = lir_int(B, size - 1);

	if (!strcmp(mode, "edge"))
		return lir_max(B, lir_min(B, i, last), zero);
	if (!strcmp(mode, "wrap"))
		return lir_mod(B, lir_add(B, lir_mod(B, i, lir_int(B, size)), lir_int(B, size)), lir_int(B, size));
	i = lir_select(B, lir_lt(B, i, zero), lir_sub(B, zero, i), i);
	return lir_select(B, lir_binary(B, LIR_GT, i, last), lir_sub(B, lir_int(B, 2 * (size - 1)), i), i);
}

static struct lir_expr *pad_value(struct op_lower *c, enum dtype t)
{
	if (op_arg(c->node, 2))
		return op_load_scalar_or(c, op_in(c, 2), lir_int(B, 0), t);
	return lir_imm(B, t, gir_attr_float(c->node, "value", 0));
}

static bool pad_lower(struct op_lower *c, struct err *e)
{
	struct op_infer again = {.a = c->a, .node = (struct gir_node *)c->node, .opset = c->opset, .value = known_value};
	const char *mode = gir_attr_string(c->node, "mode", "constant");
	int64_t before[MAX_DIMS], after[MAX_DIMS];
	struct lir_expr *at[MAX_DIMS], *inside = NULL, *x;
	struct lir_buffer *in, *out;
	struct lir_nest nest;

	if (!pads_of(&again, before, after, e))
		return false;
	op_begin(c, "");
	in = op_in(c, 0);
	out = op_out(c, 0);
	nest = lir_nest_over(B, out->nd, out->dim);
	for (int i = 0; i < out->nd; i++) {
		at[i] = lir_sub(B, nest.index[i], lir_int(B, before[i]));
		if (before[i] <= 0 && after[i] <= 0)
			continue;
		at[i] = op_let(c, "p", at[i]);
		if (strcmp(mode, "constant")) {
			at[i] = op_let(c, "q", pad_source(c, mode, at[i], in->dim[i]));
			continue;
		}
		x = lir_and(B, lir_ge(B, at[i], lir_int(B, 0)), lir_lt(B, at[i], lir_int(B, in->dim[i])));
		inside = inside ? lir_and(B, inside, x) : x;
	}
	x = lir_load(B, in, at);
	lir_store(B, out, nest.index, inside ? lir_select(B, inside, x, pad_value(c, in->dtype)) : x);
	lir_nest_end(B, &nest);
	op_end(c);
	return true;
}

const struct op_impl op_PAD = {.infer = pad_infer, .lower = pad_lower};

/* ---- Expand, Tile ---- */

static bool expand_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	const int64_t *want;
	int64_t dim[MAX_DIMS];
	int n;

	if (!op_ints(c, 1, &want, &n, e))
		return false;
	if (n > MAX_DIMS - 1)
		return err_set(e, ERR_UNSUPPORTED, "%d dimensions", n);
	return op_broadcast(x->dim, x->nd, want, n, dim, &n, e) && op_set_out(c, 0, x->dtype, n, dim, e);
}

static bool tile_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	const int64_t *repeat;
	int64_t dim[MAX_DIMS];
	int n;

	if (!op_ints(c, 1, &repeat, &n, e))
		return false;
	if (n != x->nd)
		return err_set(e, ERR_PARSE, "%d repeats for %d dimensions", n, x->nd);
	for (int i = 0; i < n; i++) {
		if (repeat[i] < 0 || (x->dim[i] && repeat[i] > MAX_ELEMENTS / x->dim[i]))
			return err_set(e, ERR_PARSE, "repeat %lld", (long long)repeat[i]);
		dim[i] = x->dim[i] * repeat[i];
	}
	return op_set_out(c, 0, x->dtype, n, dim, e);
}

/* Expand and Tile alike: each output index modulo the input's size, dims aligned at the end. */
static bool repeat_lower(struct op_lower *c, struct err *e)
{
	struct lir_expr *at[MAX_DIMS];
	struct lir_buffer *in, *out;
	struct lir_nest nest;

	op_begin(c, "");
	in = op_in(c, 0);
	out = op_out(c, 0);
	nest = lir_nest_over(B, out->nd, out->dim);
	for (int i = 0; i < in->nd; i++) {
		struct lir_expr *x = nest.index[out->nd - in->nd + i];

		at[i] = in->dim[i] == 1 ? lir_int(B, 0) : in->dim[i] == out->dim[out->nd - in->nd + i] ? x : lir_mod(B, x, lir_int(B, in->dim[i]));
	}
	lir_store(B, out, nest.index, lir_load(B, in, at));
	lir_nest_end(B, &nest);
	op_end(c);
	return true;
}

const struct op_impl op_EXPAND = {.infer = expand_infer, .lower = repeat_lower};
const struct op_impl op_TILE = {.infer = tile_infer, .lower = repeat_lower};
