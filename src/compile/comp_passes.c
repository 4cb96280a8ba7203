/* comp_passes.c: which passes run, constant folding, and the checks after each */
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "compile/compile_internal.h"

static bool named(const char *const *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(list[i], name))
			return true;
	return false;
}

static bool enabled(const struct comp_options *o, const struct gir_pass *p)
{
	if (p->level > o->opt_level || (!strcmp(p->name, "precision") && o->precision != DT_F16 && o->precision != DT_BF16))
		return false;
	return !named(o->disabled, o->ndisabled, p->name) && (!p->asked || named(o->enabled, o->nenabled, p->name));
}

size_t comp_passes(const struct comp_options *o, const char **name, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; gir_passes[i]; i++)
		if (enabled(o, gir_passes[i]) && n < max)
			name[n++] = gir_passes[i]->name;
	return n;
}

/* Small constant inputs and outputs: worth computing here. */
static bool foldable(const struct gir_node *n)
{
	int64_t elements;

	for (uint32_t k = 0; k < n->nin; k++)
		if (n->in[k] && (!n->in[k]->data || tensor_elements(n->in[k]->data) > COMP_FOLD_ELEMENTS))
			return false;
	for (uint32_t k = 0; k < n->nout; k++)
		if (n->out[k] && (!dims_elements(n->out[k]->dim, n->out[k]->nd, &elements) || elements > COMP_FOLD_ELEMENTS))
			return false;
	return n->nin > 0 && !n->nfused;
}

static bool all_known(const struct gir_node *n)
{
	for (uint32_t k = 0; k < n->nout; k++)
		if (n->out[k] && !n->out[k]->known)
			return false;
	return !n->nfused;
}

static bool makes_output(const struct gir_node *n, const bool *is_output)
{
	for (uint32_t k = 0; k < n->nout; k++)
		if (n->out[k] && is_output[n->out[k]->id])
			return true;
	return false;
}

/* A node all of whose outputs are known becomes constants; larger constant work is left to run-once launches. Nodes that a
 * pass has made since inference are evaluated now. */
static bool fold(struct gir_graph *g, bool *changed, struct err *e)
{
	struct arena *a = arena_new(NULL);
	bool *is_output = ARENA_ARRAY(a, bool, g->values.n), ok = true;
	size_t kept = 0;

	for (size_t i = 0; i < g->outputs.n; i++)
		is_output[g->outputs.v[i]->id] = true;
	for (size_t i = 0; i < g->nodes.n; i++) {
		struct gir_node *n = g->nodes.v[i];

		if (ok && !all_known(n) && foldable(n))
			ok = comp_evaluate_node(g, n, e) || err_in(e, "folding node '%s'", n->name);
		if (!ok || !all_known(n) || makes_output(n, is_output)) {
			g->nodes.v[kept++] = n;
			continue;
		}
		for (uint32_t k = 0; k < n->nout; k++)
			if (n->out[k]) {
				n->out[k]->data = n->out[k]->known;
				n->out[k]->producer = NULL;
			}
		*changed = true;
	}
	g->nodes.n = kept;
	arena_free(a);
	return ok;
}

bool comp_run_passes(struct gir_graph *g, const struct comp_options *o, struct err *e)
{
	struct gir_pass_options po = {.lanes = o->lanes, .precision = o->precision, .plan = o->plan};

	gir_plan_nodes(o->plan, g);
	for (size_t i = 0; gir_passes[i]; i++) {
		const struct gir_pass *p = gir_passes[i];
		bool changed = false;

		if (!enabled(o, p))
			continue;
		if (!(p->run ? p->run(g, &po, &changed, e) : fold(g, &changed, e)))
			return err_in(e, "pass '%s'", p->name);
		if (changed && (!gir_verify(g, e) || !comp_check_types(g, e)))
			return err_in(e, "after pass '%s'", p->name);
	}
	return true;
}
