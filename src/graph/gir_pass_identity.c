/* gir_pass_identity.c: operators that change nothing - Identity, Dropout at inference, casts and reshapes to what is already there */
#include <string.h>

#include "base/arena.h"
#include "graph/graph.h"

static bool same_shape(const struct gir_value *x, const struct gir_value *y)
{
	return x->dtype == y->dtype && x->nd == y->nd && !memcmp(x->dim, y->dim, (size_t)x->nd * sizeof *x->dim);
}

static bool identity_perm(const struct gir_node *n)
{
	const struct gir_attr *perm = gir_attr(n, "perm");

	if (!perm)
		return n->in[0]->nd <= 1;
	for (size_t i = 0; i < perm->n; i++)
		if (perm->ints[i] != (int64_t)i)
			return false;
	return true;
}

/* At inference, its mask read by nobody: old exporters name one all the same. */
static bool idle_dropout(const struct gir_node *n, const bool *read)
{
	bool trains = n->nin > 2 && n->in[2] && (!n->in[2]->data || tensor_get_i64(n->in[2]->data, 0));

	return !trains && (n->nout < 2 || !n->out[1] || !read[n->out[1]->id]);
}

static bool does_nothing(const struct gir_node *n, const bool *read)
{
	switch (n->op) {
	case GIR_IDENTITY: return true;
	case GIR_DROPOUT: return idle_dropout(n, read);
	case GIR_CAST:
	case GIR_RESHAPE:
	case GIR_FLATTEN:
	case GIR_SQUEEZE:
	case GIR_UNSQUEEZE:
	case GIR_EXPAND: return same_shape(n->in[0], n->out[0]);
	case GIR_CONCAT: return n->nin == 1;
	case GIR_TRANSPOSE: return identity_perm(n);
	default: return false;
	}
}

static bool run(struct gir_graph *g, const struct gir_pass_options *o, bool *changed, struct err *e)
{
	struct arena *a = arena_new(NULL);
	struct gir_value **alias = ARENA_ARRAY(a, struct gir_value *, g->values.n);
	bool *is_output = ARENA_ARRAY(a, bool, g->values.n), *read = ARENA_ARRAY(a, bool, g->values.n);
	size_t kept = 0;

	for (size_t i = 0; i < g->outputs.n; i++)
		is_output[g->outputs.v[i]->id] = read[g->outputs.v[i]->id] = true;
	for (size_t i = 0; i < g->nodes.n; i++)
		for (uint32_t k = 0; k < g->nodes.v[i]->nin; k++)
			if (g->nodes.v[i]->in[k])
				read[g->nodes.v[i]->in[k]->id] = true;
	for (size_t i = 0; i < g->nodes.n; i++) {
		struct gir_node *n = g->nodes.v[i];

		for (uint32_t k = 0; k < n->nin; k++)
			if (n->in[k] && alias[n->in[k]->id])
				n->in[k] = alias[n->in[k]->id];
		/* an output keeps its name, so what makes it stays */
		if (does_nothing(n, read) && !is_output[n->out[0]->id] && gir_plan_decide(o->plan, "identity", n->name, "", true)) {
			alias[n->out[0]->id] = n->in[0];
			for (uint32_t k = 0; k < n->nout; k++)
				if (n->out[k])
					n->out[k]->producer = NULL;
			*changed = true;
		} else {
			g->nodes.v[kept++] = n;
		}
	}
	g->nodes.n = kept;
	arena_free(a);
	return true;
}

const struct gir_pass gir_pass_identity = {"identity", "remove operators that change nothing", 1, run, false};
