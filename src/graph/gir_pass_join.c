/* gir_pass_join.c: a concatenation of concatenations is one
 *
 * In a network where each layer adds channels to all that came before (DenseNet) the growing tensor would be copied by each of them.
 * Joined, each concatenation reads the layers themselves; the one before is left to its other readers, if there are any. For
 * processors only: a kernel of many inputs is nothing for devices that bind few.
 */
#include "base/arena.h"
#include "graph/graph.h"

#define MAX_PARTS 64

/* The same axis, however it is counted. */
static bool same_axis(const struct gir_node *x, const struct gir_node *y)
{
	int64_t nd = x->out[0]->nd, a = gir_attr_int(x, "axis", 1), b = gir_attr_int(y, "axis", 1);

	return (a < 0 ? a + nd : a) == (b < 0 ? b + nd : b);
}

/* Inputs of n with those of inner ones in their place; the inner ones are joined already. */
static void join(struct gir_graph *g, const struct gir_pass_options *o, struct gir_node *n, bool *changed)
{
	struct gir_value **in;
	uint32_t total = 0, k = 0;

	for (uint32_t i = 0; i < n->nin; i++) {
		const struct gir_node *p = n->in[i]->producer;

		total += p && p->op == GIR_CONCAT ? p->nin : 1;
	}
	if (total == n->nin || total > MAX_PARTS)
		return;
	in = ARENA_ARRAY(g->arena, struct gir_value *, total);
	for (uint32_t i = 0; i < n->nin; i++) {
		const struct gir_node *p = n->in[i]->producer;

		if (p && p->op == GIR_CONCAT && same_axis(n, p) && gir_plan_decide(o->plan, "join", p->name, n->name, true)) {
			for (uint32_t j = 0; j < p->nin; j++)
				in[k++] = p->in[j];
			*changed = true;
		} else {
			in[k++] = n->in[i];
		}
	}
	n->in = in;
	n->nin = k;
}

static bool run(struct gir_graph *g, const struct gir_pass_options *o, bool *changed, struct err *e)
{
	(void)e;
	for (size_t i = 0; i < g->nodes.n && o->lanes > 1; i++)
		if (g->nodes.v[i]->op == GIR_CONCAT)
			join(g, o, g->nodes.v[i], changed);
	return true;
}

const struct gir_pass gir_pass_join = {"join", "a concatenation of concatenations is one", 3, run, false};
