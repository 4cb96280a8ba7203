/* gir_pass_views.c: reshapes become views - the same elements in the same order, so that nothing has to be copied
 *
 * A mutatenn.View gets no kernel: what reads its result reads the memory of its input. A result that the graph gives is one that
 * some kernel writes, so it stays a copy; so does one of a blocked tensor, whose elements lie in another order.
 */
#include "base/arena.h"
#include "graph/graph.h"

/* Dims of 1 may go anywhere, the others keep their order. */
static bool keeps_order(const struct gir_node *n)
{
	const struct gir_attr *perm = gir_attr(n, "perm");
	int nd = n->in[0]->nd;
	int64_t last = -1;

	for (int i = 0; i < nd; i++) {
		int64_t from = perm ? perm->ints[i] : nd - 1 - i;

		if (n->in[0]->dim[from] == 1)
			continue;
		if (from < last)
			return false;
		last = from;
	}
	return true;
}

static bool fits(const struct gir_node *n, const bool *is_output)
{
	switch (n->op) {
	case GIR_RESHAPE:
	case GIR_FLATTEN:
	case GIR_SQUEEZE:
	case GIR_UNSQUEEZE: break;
	case GIR_TRANSPOSE:
		if (!keeps_order(n))
			return false;
		break;
	default: return false;
	}
	return !is_output[n->out[0]->id] && !n->in[0]->block && !n->out[0]->block;
}

static bool run(struct gir_graph *g, const struct gir_pass_options *o, bool *changed, struct err *e)
{
	struct arena *a = arena_new(NULL);
	bool *is_output = ARENA_ARRAY(a, bool, g->values.n + 1);

	(void)e;
	for (size_t i = 0; i < g->outputs.n; i++)
		is_output[g->outputs.v[i]->id] = true;
	for (size_t i = 0; i < g->nodes.n; i++) {
		struct gir_node *n = g->nodes.v[i];

		if (!fits(n, is_output) || !gir_plan_decide(o->plan, "view", n->name, "", true))
			continue;
		n->op = GIR_VIEW;
		n->nin = 1;
		n->nattrs = 0;
		gir_set_ints(g, n, "shape", n->out[0]->dim, (size_t)n->out[0]->nd);
		*changed = true;
	}
	arena_free(a);
	return true;
}

const struct gir_pass gir_pass_views = {"views", "reshapes share the memory of what they reshape", 3, run, false};
