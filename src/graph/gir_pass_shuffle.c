/* gir_pass_shuffle.c: depthwise convolutions read the channels that a shuffle would have moved
 *
 *     Reshape [N, g, C / g, H, W], Transpose [0, 2, 1, 3, 4], Reshape [N, C, H, W], Conv of C groups
 *
 * A convolution that takes one channel at a time finds it wherever it lies, so nothing has to be moved. For processors only, and for
 * planes that the layout pass leaves as they are: others are read by blocks of neighbouring channels.
 */
#include <string.h>

#include "base/arena.h"
#include "graph/graph.h"

static bool is_depthwise(const struct gir_node *n)
{
	const struct gir_value *x = n->nin > 1 ? n->in[0] : NULL, *w = x ? n->in[1] : NULL;

	return n->op == GIR_CONV && x->nd == 4 && x->dtype == DT_F32 && w->dim[0] == x->dim[1] && w->dim[1] == 1 &&
	       gir_attr_int(n, "group", 1) == x->dim[1] && gir_small_planes(n);
}

/* What v is made of by a node that nobody else reads. */
static const struct gir_node *only(const uint32_t *uses, const struct gir_value *v, enum gir_op op)
{
	return uses[v->id] == 1 && v->producer && v->producer->op == op ? v->producer : NULL;
}

static bool swaps_channels(const struct gir_node *n)
{
	static const int64_t swap[] = {0, 2, 1, 3, 4};
	const struct gir_attr *perm = gir_attr(n, "perm");

	return perm && perm->kind == GIR_ATTR_INTS && perm->n == 5 && !memcmp(perm->ints, swap, sizeof swap);
}

/* The value of which v has the channels in another order, and the number of its groups; NULL: v is no shuffle. */
static struct gir_value *shuffled(const uint32_t *uses, const struct gir_value *v, int64_t *groups)
{
	const struct gir_node *last = only(uses, v, GIR_RESHAPE), *swap = last ? only(uses, last->in[0], GIR_TRANSPOSE) : NULL;
	const struct gir_node *first = swap && swaps_channels(swap) ? only(uses, swap->in[0], GIR_RESHAPE) : NULL;
	const struct gir_value *x = first ? first->in[0] : NULL, *parts = first ? first->out[0] : NULL;

	if (!x || x->nd != 4 || memcmp(x->dim, v->dim, 4 * sizeof *x->dim) || parts->dim[0] != x->dim[0] || parts->dim[1] * parts->dim[2] != x->dim[1] ||
	    parts->dim[3] != x->dim[2] || parts->dim[4] != x->dim[3])
		return NULL;
	*groups = parts->dim[1];
	return first->in[0];
}

static bool run(struct gir_graph *g, const struct gir_pass_options *o, bool *changed, struct err *e)
{
	struct arena *a = arena_new(NULL);
	const uint32_t *uses = gir_count_uses(a, g);

	(void)e;
	for (size_t i = 0; i < g->nodes.n && o->lanes > 1; i++) {
		struct gir_node *n = g->nodes.v[i];
		struct gir_value *x;
		int64_t groups;

		if (!is_depthwise(n) || !(x = shuffled(uses, n->in[0], &groups)) || !gir_plan_decide(o->plan, "shuffle", n->in[0]->producer->name, n->name, true))
			continue;
		n->op = GIR_SHUFFLEDCONV; /* nobody reads the shuffle any more: `dead` takes it */
		n->in = arena_memdup(g->arena, n->in, n->nin * sizeof *n->in);
		n->in[0] = x;
		gir_set_int(g, n, "shuffle", groups);
		*changed = true;
	}
	arena_free(a);
	return true;
}

const struct gir_pass gir_pass_shuffle = {"shuffle", "depthwise convolutions read the channels that a shuffle would have moved", 3, run, false};
