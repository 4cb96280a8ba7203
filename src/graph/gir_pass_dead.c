/* gir_pass_dead.c: nodes whose results nobody uses */
#include "base/arena.h"
#include "graph/graph.h"

static void need(const struct gir_node *n, bool *needed)
{
	for (uint32_t i = 0; i < n->nin; i++)
		if (n->in[i])
			needed[n->in[i]->id] = true;
	for (uint32_t i = 0; i < n->nfused; i++)
		need(n->fused[i].node, needed);
}

static bool run(struct gir_graph *g, const struct gir_pass_options *o, bool *changed, struct err *e)
{
	struct arena *a = arena_new(NULL);
	bool *needed = ARENA_ARRAY(a, bool, g->values.n), *keep = ARENA_ARRAY(a, bool, g->nodes.n + 1);
	size_t kept = 0;

	for (size_t i = 0; i < g->outputs.n; i++)
		needed[g->outputs.v[i]->id] = true;
	for (size_t i = g->nodes.n; i-- > 0;) {
		const struct gir_node *n = g->nodes.v[i];

		for (uint32_t k = 0; k < n->nout; k++)
			keep[i] = keep[i] || (n->out[k] && needed[n->out[k]->id]);
		if (keep[i])
			need(n, needed);
	}
	for (size_t i = 0; i < g->nodes.n; i++)
		if (keep[i])
			g->nodes.v[kept++] = g->nodes.v[i];
	*changed = kept != g->nodes.n;
	g->nodes.n = kept;
	arena_free(a);
	return true;
}

const struct gir_pass gir_pass_dead = {"dead", "remove nodes whose results nobody uses", 1, run, false};
