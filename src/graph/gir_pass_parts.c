/* gir_pass_parts.c: convolutions of one tap read the parts of a concatenation, which is then not made
 *
 * A sum over the channels of a concatenation is the sum over the channels of its parts, one part after the other, so nothing has
 * to be copied as long as parts are whole blocks. A pool between the two works on channels one by one: it is applied to the parts.
 */
#include "base/arena.h"
#include "graph/graph.h"

struct parts {
	struct gir_graph *g;
	const struct gir_pass_options *o;
	uint32_t *uses, *fit;     /* by value id: of all readers, of those that can read parts */
	struct gir_node **joined; /* by value id: the concatenation that is not made */
	size_t nvalues;           /* when the pass began */
	VEC(struct gir_node *) order;
};

static bool is_pool(const struct gir_node *n)
{
	return (n->op == GIR_MAXPOOL || n->op == GIR_AVERAGEPOOL) && (n->nout < 2 || !n->out[1]);
}

static bool all_ones(const struct gir_node *n, const char *attr)
{
	const struct gir_attr *a = gir_attr(n, attr);

	for (size_t i = 0; a && i < a->n; i++)
		if (a->kind != GIR_ATTR_INTS || a->ints[i] != 1)
			return false;
	return true;
}

/* One tap, stride 1 and as many pixels as before: no padding. */
static bool one_tap(const struct gir_node *n)
{
	if (n->op != GIR_CONV || !n->out[0]->block || gir_attr_int(n, "group", 1) != 1 || !all_ones(n, "strides"))
		return false;
	for (int d = 2; d < 4; d++)
		if (n->in[1]->dim[d] != 1 || n->in[0]->dim[d] != n->out[0]->dim[d])
			return false;
	return true;
}

/* All of its readers can do without it. */
static bool fits(const struct parts *p, const struct gir_node *n)
{
	int64_t axis = gir_attr_int(n, "axis", 1);
	const struct gir_value *v = n->out[0];

	return n->op == GIR_CONCAT && n->nin > 1 && v->block && v->id < p->nvalues && (axis == 1 || axis == -3) && p->uses[v->id] &&
	       p->uses[v->id] == p->fit[v->id] && gir_plan_decide(p->o->plan, "parts", n->name, "", true);
}

static void push(struct parts *p, struct gir_node *n)
{
	if (fits(p, n))
		p->joined[n->out[0]->id] = n;
	else
		vec_push(p->g->arena, &p->order, n);
}

/* A pool for each part, and a concatenation of what they give. */
static void pool_parts(struct parts *p, struct gir_node *n, const struct gir_node *from)
{
	struct gir_value **in = ARENA_ARRAY(p->g->arena, struct gir_value *, from->nin);
	struct gir_value *out = n->out[0];
	struct gir_node *concat;

	for (uint32_t i = 0; i < from->nin; i++) {
		char *name = arena_printf(p->g->arena, "%s.%u", n->name, i);
		int64_t dim[] = {out->dim[0], from->in[i]->dim[1], out->dim[2], out->dim[3]};
		struct gir_node *pool;

		in[i] = gir_value_typed(p->g, name, out->dtype, 4, dim);
		in[i]->block = out->block;
		pool = gir_node(p->g, name, n->op, 1, &from->in[i], 1, &in[i]);
		pool->attr = n->attr;
		pool->nattrs = n->nattrs;
		vec_push(p->g->arena, &p->order, pool);
	}
	concat = gir_node(p->g, n->name, GIR_CONCAT, from->nin, in, 1, &out);
	gir_set_int(p->g, concat, "axis", 1);
	push(p, concat);
}

/* The same convolution of the parts: weight and bias stay where they are, the other parts stand behind them. */
static void convolve_parts(struct parts *p, struct gir_node *n, const struct gir_node *from)
{
	struct gir_value **in = ARENA_ARRAY(p->g->arena, struct gir_value *, from->nin + 2);

	in[0] = from->in[0];
	in[1] = n->in[1];
	in[2] = n->nin > 2 ? n->in[2] : NULL;
	for (uint32_t i = 1; i < from->nin; i++)
		in[i + 2] = from->in[i];
	n->op = GIR_PARTSCONV;
	n->in = in;
	n->nin = from->nin + 2;
	vec_push(p->g->arena, &p->order, n);
}

static bool run(struct gir_graph *g, const struct gir_pass_options *o, bool *changed, struct err *e)
{
	struct arena *a = arena_new(NULL);
	struct parts p = {.g = g, .o = o, .uses = gir_count_uses(a, g), .nvalues = g->values.n};

	(void)e;
	p.fit = ARENA_ARRAY(a, uint32_t, p.nvalues + 1);
	p.joined = ARENA_ARRAY(a, struct gir_node *, p.nvalues + 1);
	for (size_t i = 0; i < g->nodes.n; i++) {
		const struct gir_node *n = g->nodes.v[i];

		if (n->nin && n->in[0] && (is_pool(n) || one_tap(n)))
			p.fit[n->in[0]->id]++;
	}
	for (size_t i = 0; i < g->nodes.n; i++) {
		struct gir_node *n = g->nodes.v[i];
		const struct gir_node *from = n->nin && n->in[0] ? p.joined[n->in[0]->id] : NULL;

		*changed |= from != NULL;
		if (!from)
			push(&p, n);
		else if (n->op == GIR_CONV)
			convolve_parts(&p, n, from);
		else
			pool_parts(&p, n, from);
	}
	g->nodes.v = p.order.v;
	g->nodes.n = p.order.n;
	g->nodes.cap = p.order.cap;
	arena_free(a);
	return true;
}

const struct gir_pass gir_pass_parts = {"parts", "convolutions of one tap read the parts of a concatenation", 3, run, false};
