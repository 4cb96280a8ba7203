/* mut_graph_attr.c: attributes read wrongly - pads, dilations, epsilon, the divisor of pooling */
#include <string.h>

#include "mutate/mutate_internal.h"

/* ---- pads: begin and end exchanged; only where that changes something and keeps the shape ---- */

static const char *const pads_variants[] = {"begin-end", "h-w", NULL};

static uint64_t pads_sites(const struct mut_node *n)
{
	const struct gir_attr *p = gir_attr(n->node, "pads");
	uint64_t bits = 0;

	if (!p || p->kind != GIR_ATTR_INTS || p->n != 4)
		return 0;
	if (p->ints[0] != p->ints[2] || p->ints[1] != p->ints[3])
		bits |= 1;
	if (p->ints[0] + p->ints[2] == p->ints[1] + p->ints[3] && (p->ints[0] != p->ints[1] || p->ints[2] != p->ints[3]))
		bits |= 2;
	return bits;
}

static bool pads_apply(const struct mut_node *n, unsigned variant, struct err *e)
{
	const int64_t *p = gir_attr(n->node, "pads")->ints;
	int64_t ends[4] = {p[2], p[3], p[0], p[1]}, axes[4] = {p[1], p[0], p[3], p[2]};

	gir_set_ints(n->graph, n->node, "pads", variant ? axes : ends, 4);
	return true;
}

const struct mut_op mut_graph_pads = {.name = "graph.attribute.pads",
				      .kind = MUT_GRAPH,
				      .category = MUT_CAT_LAYER,
				      .summary = "padding before and after, or of rows and columns, is exchanged",
				      .imitates = "asymmetric padding put on the wrong side",
				      .variant = pads_variants,
				      .graph_variants = pads_sites,
				      .graph_apply = pads_apply};

/* ---- dilations of rows and columns exchanged: only where they differ and the shape stays ---- */

static const char *const swap_variants[] = {"h-w", NULL};

/* The output's size along d with dilation `by` instead. */
static int64_t size_with(const struct gir_node *n, int d, int64_t by)
{
	const struct gir_attr *p = gir_attr(n, "pads"), *s = gir_attr(n, "strides");
	int64_t pads = p && p->n == 4 ? p->ints[d] + p->ints[d + 2] : 0, stride = s && s->n == 2 && s->ints[d] > 0 ? s->ints[d] : 1;

	if (!strncmp(gir_attr_string(n, "auto_pad", "NOTSET"), "SAME", 4))
		return n->out[0]->dim[d + 2];
	return (n->in[0]->dim[d + 2] + pads - (n->in[1]->dim[d + 2] - 1) * by - 1) / stride + 1;
}

static uint64_t dilation_sites(const struct mut_node *m)
{
	const struct gir_node *n = m->node;
	const struct gir_attr *d = gir_attr(n, "dilations");

	if (n->op != GIR_CONV || !d || d->n != 2 || d->ints[0] == d->ints[1] || n->in[0]->nd != 4 || !n->out[0])
		return 0;
	return size_with(n, 0, d->ints[1]) == n->out[0]->dim[2] && size_with(n, 1, d->ints[0]) == n->out[0]->dim[3];
}

static bool dilation_apply(const struct mut_node *n, unsigned variant, struct err *e)
{
	const int64_t *d = gir_attr(n->node, "dilations")->ints;

	gir_set_ints(n->graph, n->node, "dilations", (int64_t[]){d[1], d[0]}, 2);
	return true;
}

const struct mut_op mut_graph_strides_dilations = {.name = "graph.attribute.dilations",
						   .kind = MUT_GRAPH,
						   .category = MUT_CAT_LAYER,
						   .summary = "dilations of rows and columns are exchanged",
						   .imitates = "asymmetric dilation read in the wrong order",
						   .variant = swap_variants,
						   .graph_variants = dilation_sites,
						   .graph_apply = dilation_apply};

/* ---- epsilon ---- */

static const char *const epsilon_variants[] = {"zero", "*10", "*1000", NULL};

static uint64_t epsilon_sites(const struct mut_node *n)
{
	return n->node->op == GIR_BATCHNORMALIZATION || n->node->op == GIR_INSTANCENORMALIZATION ||
		       n->node->op == GIR_LAYERNORMALIZATION
		   ? 7
		   : 0;
}

static bool epsilon_apply(const struct mut_node *n, unsigned variant, struct err *e)
{
	static const float by[] = {0, 10, 1000};

	gir_set_float(n->graph, n->node, "epsilon", gir_attr_float(n->node, "epsilon", 1e-5f) * by[variant]);
	return true;
}

const struct mut_op mut_graph_epsilon = {.name = "graph.attribute.epsilon",
					 .kind = MUT_GRAPH,
					 .category = MUT_CAT_LAYER,
					 .summary = "the epsilon of a normalisation is 0, 10 or 1000 times as large",
					 .imitates = "a runtime's own epsilon used instead of the model's",
					 .variant = epsilon_variants,
					 .graph_variants = epsilon_sites,
					 .graph_apply = epsilon_apply};

/* ---- the divisor of average pooling at the border ---- */

static const char *const include_variants[] = {"toggle", NULL};

static uint64_t include_sites(const struct mut_node *n)
{
	const struct gir_attr *p = gir_attr(n->node, "pads");
	int64_t sum = 0;

	if (n->node->op != GIR_AVERAGEPOOL || !p)
		return 0;
	for (size_t i = 0; i < p->n; i++)
		sum += p->ints[i];
	return sum != 0;
}

static bool include_apply(const struct mut_node *n, unsigned variant, struct err *e)
{
	gir_set_int(n->graph, n->node, "count_include_pad", !gir_attr_int(n->node, "count_include_pad", 0));
	return true;
}

const struct mut_op mut_graph_count_include_pad = {.name = "graph.attribute.count-include-pad",
						   .kind = MUT_GRAPH,
						   .category = MUT_CAT_LAYER,
						   .summary =
						       "average pooling counts padding where it did not, and the other way round",
						   .imitates = "an average at the border divided by the wrong number of elements",
						   .variant = include_variants,
						   .graph_variants = include_sites,
						   .graph_apply = include_apply};

/* ---- layout ---- */

static const char *const layout_variants[] = {"round-trip", "misread", NULL};

static uint64_t layout_sites(const struct mut_node *n)
{
	enum gir_op op = n->node->op;
	const struct gir_value *x = n->node->nin ? n->node->in[0] : NULL;

	if (!x || x->nd != 4 || !(op == GIR_CONV || op == GIR_MAXPOOL || op == GIR_AVERAGEPOOL || op == GIR_BATCHNORMALIZATION))
		return 0;
	return x->dim[1] > 1 && x->dim[2] * x->dim[3] > 1 ? 3 : 1;
}

static struct gir_value *before(const struct mut_node *n, const char *what, enum gir_op op, struct gir_value *x,
				struct gir_value *more, const int64_t *dim)
{
	struct gir_value *in[2] = {x, more};
	struct gir_value *y =
	    gir_value_typed(n->graph, arena_printf(n->graph->arena, "%s.%s", n->node->name, what), x->dtype, 4, dim);

	gir_insert_before(n->graph, n->node, gir_node(n->graph, y->name, op, more ? 2 : 1, in, 1, &y));
	return y;
}

/* round-trip: the data really go to NHWC and back, nothing changes; misread: NCHW bytes are taken for NHWC ones. */
static bool layout_apply(const struct mut_node *n, unsigned variant, struct err *e)
{
	static const int64_t to_nhwc[] = {0, 2, 3, 1}, to_nchw[] = {0, 3, 1, 2};
	struct gir_value *x = n->node->in[0], *y, *z;
	int64_t nhwc[] = {x->dim[0], x->dim[2], x->dim[3], x->dim[1]};

	if (variant == 0) {
		y = before(n, "to-nhwc", GIR_TRANSPOSE, x, NULL, nhwc);
		gir_set_ints(n->graph, y->producer, "perm", to_nhwc, 4);
	} else {
		struct tensor *shape = tensor_new(n->graph->arena, DT_I64, 1, (int64_t[]){4});

		memcpy(shape->data, nhwc, sizeof nhwc);
		y = before(n, "as-nhwc", GIR_RESHAPE, x,
			   gir_const(n->graph, arena_printf(n->graph->arena, "%s.nhwc", n->node->name), shape), nhwc);
	}
	z = before(n, "to-nchw", GIR_TRANSPOSE, y, NULL, x->dim);
	gir_set_ints(n->graph, z->producer, "perm", to_nchw, 4);
	n->node->in[0] = z;
	return true;
}

const struct mut_op mut_graph_layout = {
    .name = "graph.layout",
    .kind = MUT_GRAPH,
    .category = MUT_CAT_LAYER,
    .summary = "an input is brought to NHWC and back (which changes nothing), or its bytes are taken for NHWC ones",
    .imitates = "a layout hint that does not fit the data",
    .variant = layout_variants,
    .graph_variants = layout_sites,
    .graph_apply = layout_apply};
