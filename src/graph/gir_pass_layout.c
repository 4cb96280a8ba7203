/* gir_pass_layout.c: tensors of convolutional stretches are stored by blocks of channels, one vector wide
 *
 * A convolution starts a blocked stretch, a depthwise one of small planes only goes on with it; pools, normalisations, concatenations and
 * element-wise operators continue one they are in. Everything else reads plain tensors. Where the two meet, a mutatenn.Reorder changes
 * the layout, once per tensor. Outputs of the graph are plain and keep their names.
 */
#include <string.h>

#include "base/arena.h"
#include "graph/graph.h"

struct layout {
	struct gir_graph *g;
	int lanes;
	struct gir_value **twin; /* by id, of values older than the pass: the same tensor in the other layout */
	bool *is_output;
	VEC(struct gir_node *) order;
};

static bool image(const struct gir_value *v)
{
	return v && v->dtype == DT_F32 && v->nd == 4;
}

/* The tensor can be had blocked without a reorder. */
static bool blocked(const struct layout *l, const struct gir_value *v)
{
	return v->block || l->twin[v->id];
}

static bool whole_blocks(const struct layout *l, int64_t channels)
{
	return channels % l->lanes == 0;
}

static bool same_dims(const struct gir_value *x, const struct gir_value *y)
{
	return x->nd == y->nd && !memcmp(x->dim, y->dim, (size_t)x->nd * sizeof *x->dim);
}

bool gir_small_planes(const struct gir_node *n)
{
	const struct gir_attr *pads = gir_attr(n, "pads"), *dilations = gir_attr(n, "dilations");
	const int64_t *x = n->in[0]->dim, *w = n->in[1]->dim;

	for (size_t i = 0; pads && i < pads->n; i++)
		if (pads->ints[i] >= w[2 + i % 2])
			return false;
	for (size_t i = 0; dilations && i < dilations->n; i++)
		if (dilations->ints[i] != 1)
			return false;
	return w[2] <= 5 && w[3] <= 5 && x[2] <= 64 && x[3] <= 64;
}

/* Groups must be whole blocks; or every channel is a group of its own, which is no reason to begin a stretch. */
static bool conv_fits(const struct layout *l, const struct gir_node *n)
{
	int64_t groups = gir_attr_int(n, "group", 1);

	if (!image(n->in[0]) || !image(n->in[1]) || groups < 1)
		return false;
	if (groups == 1)
		return true;
	if (groups == n->in[0]->dim[1] && groups == n->in[1]->dim[0])
		return blocked(l, n->in[0]) || !gir_small_planes(n);
	return whole_blocks(l, n->in[1]->dim[1]) && whole_blocks(l, n->in[1]->dim[0] / groups);
}

static bool concat_fits(const struct layout *l, const struct gir_node *n)
{
	int64_t axis = gir_attr_int(n, "axis", 1);
	bool any = false;

	for (uint32_t i = 0; i < n->nin; i++) {
		if (!image(n->in[i]) || ((axis == 1 || axis == -3) && !whole_blocks(l, n->in[i]->dim[1])))
			return false;
		any |= blocked(l, n->in[i]);
	}
	return any;
}

static bool norm_fits(const struct layout *l, const struct gir_node *n)
{
	for (uint32_t i = 1; i < n->nin; i++)
		if (n->in[i]->dtype != DT_F32)
			return false;
	return blocked(l, n->in[0]) && whole_blocks(l, n->in[0]->dim[1]) && !gir_attr_int(n, "training_mode", 0) &&
	       gir_attr_int(n, "spatial", 1);
}

/* A window across channels reaches into the blocks beside its own, no farther. */
static bool lrn_fits(const struct layout *l, const struct gir_node *n)
{
	return blocked(l, n->in[0]) && whole_blocks(l, n->in[0]->dim[1]) && gir_attr_int(n, "size", 1) <= 2 * l->lanes;
}

enum operand { OPERAND_BLOCKED, OPERAND_SCALAR, OPERAND_CHANNELS, OPERAND_UNFIT };

/* How element-wise code over the blocked `out` may read v. */
static enum operand operand(const struct layout *l, const struct gir_value *out, const struct gir_value *v)
{
	int64_t elements;

	if (v->dtype != DT_F32 || !dims_elements(v->dim, v->nd, &elements))
		return OPERAND_UNFIT;
	if (elements == 1)
		return OPERAND_SCALAR;
	if (v->nd == 4 && v->dim[1] == out->dim[1] && (blocked(l, v) || same_dims(v, out)))
		return OPERAND_BLOCKED;
	if ((v->nd == 3 || v->nd == 4) && v->dim[v->nd - 3] == out->dim[1] && elements == out->dim[1] && whole_blocks(l, elements))
		return OPERAND_CHANNELS;
	return OPERAND_UNFIT;
}

static bool elementwise_fits(const struct layout *l, const struct gir_node *n)
{
	bool any = false;

	for (uint32_t i = 0; i < n->nin; i++) {
		if (n->in[i] && operand(l, n->out[0], n->in[i]) == OPERAND_UNFIT)
			return false;
		any |= n->in[i] && same_dims(n->in[i], n->out[0]) && blocked(l, n->in[i]);
	}
	return any;
}

static bool fits(const struct layout *l, const struct gir_node *n)
{
	if (!n->nout || !image(n->out[0]))
		return false;
	for (uint32_t i = 1; i < n->nout; i++)
		if (n->out[i])
			return false;
	switch (n->op) {
	case GIR_CONV: return conv_fits(l, n);
	case GIR_MAXPOOL:
	case GIR_AVERAGEPOOL:
	case GIR_GLOBALMAXPOOL:
	case GIR_GLOBALAVERAGEPOOL: return blocked(l, n->in[0]);
	case GIR_BATCHNORMALIZATION: return norm_fits(l, n);
	case GIR_LRN: return lrn_fits(l, n);
	case GIR_CONCAT: return concat_fits(l, n);
	default: return gir_op_info(n->op)->elementwise && gir_op_info(n->op)->blocked && elementwise_fits(l, n);
	}
}

/* A copy of v in the other layout. */
static struct gir_value *twin_of(struct layout *l, struct gir_value *v, bool block)
{
	const char *name = arena_printf(l->g->arena, "%s.%s", v->name, block ? "blocked" : "plain");
	struct gir_value *t = gir_value_typed(l->g, name, v->dtype, v->nd, v->dim);

	t->block = block ? l->lanes : 0;
	return l->twin[v->id] = t;
}

static void reorder(struct layout *l, struct gir_value *from, struct gir_value *to)
{
	vec_push(l->g->arena, &l->order,
		 gir_node(l->g, arena_printf(l->g->arena, "%s.reorder", to->name), GIR_REORDER, 1, &from, 1, &to));
}

/* v itself, or its twin in the other layout, made before the node at hand. */
static struct gir_value *in_layout(struct layout *l, struct gir_value *v, bool block)
{
	if (!v || (v->block != 0) == block)
		return v;
	if (!l->twin[v->id])
		reorder(l, v, twin_of(l, v, block));
	return l->twin[v->id];
}

static void make_blocked(struct layout *l, struct gir_node *n)
{
	struct gir_value *out = n->out[0];

	if (l->is_output[out->id]) {
		n->out[0] = twin_of(l, out, true);
		n->out[0]->producer = n;
	} else {
		out->block = l->lanes;
	}
	for (uint32_t i = 0; i < n->nin; i++) {
		bool want = false;

		if (!n->in[i])
			continue;
		if (n->op == GIR_CONV) /* images of few channels are read as they are, all at once */
			want = i == 0 && (blocked(l, n->in[0]) || n->in[0]->dim[1] >= l->lanes || gir_attr_int(n, "group", 1) > 1);
		else if (n->op == GIR_BATCHNORMALIZATION)
			want = i == 0;
		else if (gir_op_info(n->op)->elementwise)
			want = operand(l, out, n->in[i]) == OPERAND_BLOCKED;
		else
			want = true;
		n->in[i] = in_layout(l, n->in[i], want);
	}
	vec_push(l->g->arena, &l->order, n);
	if (out != n->out[0])
		reorder(l, n->out[0], out);
}

static bool run(struct gir_graph *g, const struct gir_pass_options *o, bool *changed, struct err *e)
{
	struct arena *a = arena_new(NULL);
	struct layout l = {.g = g,
			   .lanes = o->lanes,
			   .twin = ARENA_ARRAY(a, struct gir_value *, g->values.n + 1),
			   .is_output = ARENA_ARRAY(a, bool, g->values.n + 1)};

	(void)e;
	for (size_t i = 0; i < g->outputs.n; i++)
		l.is_output[g->outputs.v[i]->id] = true;
	for (size_t i = 0; i < g->nodes.n && o->lanes > 1; i++) {
		struct gir_node *n = g->nodes.v[i];

		if (fits(&l, n) && gir_plan_decide(o->plan, "block", n->name, "", true)) {
			make_blocked(&l, n);
			*changed = true;
		} else {
			for (uint32_t k = 0; k < n->nin; k++)
				n->in[k] = in_layout(&l, n->in[k], false);
			vec_push(g->arena, &l.order, n);
		}
	}
	if (*changed) {
		g->nodes.v = l.order.v;
		g->nodes.n = l.order.n;
		g->nodes.cap = l.order.cap;
	}
	arena_free(a);
	return true;
}

const struct gir_pass gir_pass_layout = {"layout", "store images by blocks of channels, one vector wide", 3, run, false};
