/* gir_pass_fuse.c: element-wise operators join the node that makes their input - bias, activation, residual sum
 *
 * A chain grows from a root while the value so far has exactly one use, that use is element-wise, keeps the shape and type, and
 * everything else it reads exists before the root runs.
 */
#include <string.h>

#include "base/arena.h"
#include "graph/graph.h"

#define MAX_CHAIN 8

struct fuser {
	struct gir_graph *g;
	const struct gir_pass_options *o;
	uint32_t *uses;
	struct gir_node **user;           /* by value id: the node that uses it, when there is one */
	size_t *made_at;                  /* by value id: position of its producer + 1; 0: constant or input */
	bool *gone;                       /* by position: joined a chain */
};

static bool fits(const struct fuser *f, const struct gir_value *v, const struct gir_node *next, size_t root_at, uint32_t *slot)
{
	uint32_t found = 0;

	if (!gir_op_info(next->op)->elementwise || next->nout != 1 || next->out[0]->dtype != v->dtype || next->out[0]->nd != v->nd ||
	    next->out[0]->block != v->block ||
	    memcmp(next->out[0]->dim, v->dim, (size_t)v->nd * sizeof *v->dim))
		return false;
	for (uint32_t i = 0; i < next->nin; i++) {
		if (!next->in[i])
			continue;
		if (next->in[i] == v) {
			*slot = i;
			found++;
		} else if (f->made_at[next->in[i]->id] > root_at) {
			return false;
		}
	}
	return found == 1;
}

static void grow(struct fuser *f, size_t at, bool *changed)
{
	struct gir_node *root = f->g->nodes.v[at];
	struct gir_fused chain[MAX_CHAIN];
	struct gir_value *v = root->out[0];
	uint32_t n = 0;

	while (n < MAX_CHAIN && v && f->uses[v->id] == 1 && f->user[v->id]) {
		struct gir_node *next = f->user[v->id];
		uint32_t slot;

		/* the root itself stands at at + 1: what it makes is not an outside operand */
		if (!fits(f, v, next, at, &slot) || !gir_plan_decide(f->o->plan, "fuse", root->name, next->name, true))
			break;
		chain[n++] = (struct gir_fused){next, slot};
		f->gone[f->made_at[next->out[0]->id] - 1] = true;
		v = next->out[0];
	}
	if (!n)
		return;
	root->fused = arena_memdup(f->g->arena, chain, n * sizeof *chain);
	root->nfused = n;
	root->out[0] = v;
	v->producer = root;
	f->made_at[v->id] = at + 1;
	*changed = true;
}

static bool run(struct gir_graph *g, const struct gir_pass_options *o, bool *changed, struct err *e)
{
	struct arena *a = arena_new(NULL);
	struct fuser f = {.g = g, .o = o, .uses = gir_count_uses(a, g), .user = ARENA_ARRAY(a, struct gir_node *, g->values.n),
	                  .made_at = ARENA_ARRAY(a, size_t, g->values.n), .gone = ARENA_ARRAY(a, bool, g->nodes.n + 1)};
	size_t kept = 0;

	for (size_t i = 0; i < g->nodes.n; i++) {
		struct gir_node *n = g->nodes.v[i];

		for (uint32_t k = 0; k < n->nin; k++)
			if (n->in[k])
				f.user[n->in[k]->id] = n;
		for (uint32_t k = 0; k < n->nout; k++)
			if (n->out[k])
				f.made_at[n->out[k]->id] = i + 1;
	}
	for (size_t i = 0; i < g->nodes.n; i++)
		if (!f.gone[i] && gir_op_info(g->nodes.v[i]->op)->root && !g->nodes.v[i]->nfused && g->nodes.v[i]->nout)
			grow(&f, i, changed);
	for (size_t i = 0; i < g->nodes.n; i++)
		if (!f.gone[i])
			g->nodes.v[kept++] = g->nodes.v[i];
	g->nodes.n = kept;
	arena_free(a);
	return true;
}

const struct gir_pass gir_pass_fuse = {"fuse", "element-wise operators join the kernel before them", 2, run, false};
