/* gir_pass_gelu.c: the five nodes that exporters write for GELU become one
 *
 *     y = x * (1 + erf(x / sqrt(2))) * 0.5
 *
 * x has two readers, so that no chain could reach from what makes it to y. A Gelu has one, and joins the kernel before it. Any
 * order of the factors is recognised; numbers are compared as f32.
 */
#include <math.h>
#include <stddef.h>

#include "base/arena.h"
#include "graph/graph.h"

struct gelu {
	struct gir_graph *g;
	uint32_t *uses;
	struct gir_node **user; /* by value id: the last node that reads it */
};

/* v is one f32 number and that one. */
static bool is_number(const struct gir_value *v, double want)
{
	const struct tensor *t = v->data ? v->data : v->known;

	if (!t || t->dtype != DT_F32 || tensor_elements(t) != 1)
		return false;
	return fabs((double)*(const float *)t->data / want - 1) < 1e-6;
}

/* The operand of `op` (two inputs) beside one that is this number; NULL: n is no such node. */
static struct gir_value *beside(const struct gir_node *n, enum gir_op op, double number)
{
	if (!n || n->op != op || n->nin != 2 || !n->in[0] || !n->in[1])
		return NULL;
	if (is_number(n->in[1], number))
		return n->in[0];
	return op != GIR_DIV && is_number(n->in[0], number) ? n->in[1] : NULL;
}

/* Numbers of a higher rank than the tensor's make a result of another shape. */
static bool alike(const struct gir_value *x, const struct gir_value *y)
{
	if (x->dtype != DT_F32 || y->dtype != DT_F32 || x->nd != y->nd)
		return false;
	for (int d = 0; d < x->nd; d++)
		if (x->dim[d] != y->dim[d])
			return false;
	return true;
}

/* The only reader of v, which makes a value of the same shape. */
static struct gir_node *next(const struct gelu *f, const struct gir_value *v)
{
	struct gir_node *n = f->uses[v->id] == 1 ? f->user[v->id] : NULL;

	return n && n->nout == 1 && alike(n->out[0], v) ? n : NULL;
}

/* x of erf's argument, which is x / sqrt(2). */
static struct gir_value *argument(const struct gir_node *erf)
{
	const struct gir_node *scale = erf->in[0]->producer;
	struct gir_value *x = beside(scale, GIR_DIV, M_SQRT2);

	return x ? x : beside(scale, GIR_MUL, M_SQRT1_2);
}

/* The node whose result is GELU of *x, beginning at its Erf; NULL: something else is computed. Half of x may stand in place of x, and
 * then nothing behind. */
static struct gir_node *last_of(const struct gelu *f, const struct gir_node *erf, struct gir_value **x)
{
	struct gir_node *sum, *product, *half;
	const struct gir_value *other;

	if (erf->op != GIR_ERF || !(*x = argument(erf)) || !alike(*x, erf->out[0]) || f->uses[erf->in[0]->id] != 1)
		return NULL;
	sum = next(f, erf->out[0]);
	if (!sum || beside(sum, GIR_ADD, 1) != erf->out[0] || !(product = next(f, sum->out[0])) || product->op != GIR_MUL)
		return NULL;
	other = product->in[product->in[0] == sum->out[0]];
	if (other != *x)
		return beside(other->producer, GIR_MUL, 0.5) == *x ? product : NULL;
	half = next(f, product->out[0]);
	return half && beside(half, GIR_MUL, 0.5) == product->out[0] ? half : NULL;
}

static bool run(struct gir_graph *g, const struct gir_pass_options *o, bool *changed, struct err *e)
{
	struct arena *a = arena_new(NULL);
	struct gelu f = {.g = g, .uses = gir_count_uses(a, g), .user = ARENA_ARRAY(a, struct gir_node *, g->values.n + 1)};

	(void)e;
	for (size_t i = 0; i < g->nodes.n; i++)
		for (uint32_t k = 0; k < g->nodes.v[i]->nin; k++)
			if (g->nodes.v[i]->in[k])
				f.user[g->nodes.v[i]->in[k]->id] = g->nodes.v[i];
	for (size_t i = 0; i < g->nodes.n; i++) {
		struct gir_value *x;
		struct gir_node *last = last_of(&f, g->nodes.v[i], &x);

		if (!last || !gir_plan_decide(o->plan, "gelu", g->nodes.v[i]->name, last->name, true))
			continue;
		last->op = GIR_GELU; /* of the nodes before it nobody reads the results: `dead` takes them */
		last->in = ARENA_ARRAY(g->arena, struct gir_value *, 1);
		last->in[0] = x;
		last->nin = 1;
		last->nattrs = 0;
		*changed = true;
	}
	arena_free(a);
	return true;
}

const struct gir_pass gir_pass_gelu = {"gelu", "the nodes that exporters write for GELU become one", 3, run, false};
