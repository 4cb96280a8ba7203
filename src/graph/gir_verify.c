/* gir_verify.c: the promises every pass must keep; collects all that is broken */
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "base/str.h"
#include "graph/graph.h"

#define MAX_ERRORS 20

struct verify {
	const struct gir_graph *g;
	bool *made;                       /* by value id: available at this point of the order */
	struct map *names;
	struct str errors;
	int n;
};

static void wrong(struct verify *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void wrong(struct verify *v, const char *fmt, ...)
{
	va_list ap;

	if (v->n++ >= MAX_ERRORS)
		return;
	if (v->n > 1)
		str_add(&v->errors, "; ");
	va_start(ap, fmt);
	str_vaddf(&v->errors, fmt, ap);
	va_end(ap);
}

static bool owned(const struct verify *v, const struct gir_value *x)
{
	return x->id < v->g->values.n && v->g->values.v[x->id] == x;
}

static void check_inputs(struct verify *v, const struct gir_node *n, const struct gir_value *chain, uint32_t slot)
{
	const struct gir_op_info *info = gir_op_info(n->op);

	if ((int)n->nin < info->min_inputs || (info->max_inputs >= 0 && (int)n->nin > info->max_inputs))
		wrong(v, "node '%s' (%s) has %u inputs", n->name, info->name, n->nin);
	for (uint32_t i = 0; i < n->nin; i++) {
		const struct gir_value *x = n->in[i];

		if (!x || (chain && i == slot))
			continue;
		if (!owned(v, x))
			wrong(v, "node '%s': input %u is of another graph", n->name, i);
		else if (!v->made[x->id])
			wrong(v, "node '%s' uses '%s' before it is made", n->name, x->name);
		else if (x->block && !info->blocked)
			wrong(v, "node '%s' (%s) cannot read the blocked '%s'", n->name, info->name, x->name);
	}
}

static void check_chain(struct verify *v, const struct gir_node *n)
{
	const struct gir_node *prev = n;

	if (!gir_op_info(n->op)->root && n->nfused)
		wrong(v, "node '%s' (%s) cannot carry a chain", n->name, gir_op_info(n->op)->name);
	for (uint32_t i = 0; i < n->nfused; i++) {
		const struct gir_fused *f = &n->fused[i];

		if (!gir_op_info(f->node->op)->elementwise)
			wrong(v, "node '%s': '%s' is not element-wise", n->name, f->node->name);
		else if (f->slot >= f->node->nin)
			wrong(v, "node '%s': '%s' has no input %u", n->name, f->node->name, f->slot);
		else
			check_inputs(v, f->node, prev->out[0], f->slot);
		prev = f->node;
	}
	if (n->nfused && n->out[0] != prev->out[0])
		wrong(v, "node '%s': its output is not the end of its chain", n->name);
}

static void check_outputs(struct verify *v, const struct gir_node *n)
{
	for (uint32_t i = 0; i < n->nout; i++) {
		const struct gir_value *x = n->out[i];

		if (!x)
			continue;
		if (!owned(v, x) || v->made[x->id])
			wrong(v, "node '%s': output '%s' is made twice or is of another graph", n->name, x->name);
		else if (x->producer != n)
			wrong(v, "value '%s' does not know that '%s' makes it", x->name, n->name);
		else if (x->data)
			wrong(v, "constant '%s' is also computed by '%s'", x->name, n->name);
		if (owned(v, x))
			v->made[x->id] = true;
		if (x->block && (!gir_op_info(n->op)->blocked || x->nd < 2))
			wrong(v, "node '%s' (%s) cannot write the blocked '%s'", n->name, gir_op_info(n->op)->name, x->name);
	}
}

bool gir_verify(const struct gir_graph *g, struct err *e)
{
	struct arena *a = arena_new(NULL);
	struct verify v = {.g = g, .made = ARENA_ARRAY(a, bool, g->values.n + 1), .names = map_new(a)};

	for (size_t i = 0; i < g->values.n; i++)
		v.made[i] = g->values.v[i]->data;
	for (size_t i = 0; i < g->inputs.n; i++)
		v.made[g->inputs.v[i]->id] = true;
	for (size_t i = 0; i < g->nodes.n; i++) {
		const struct gir_node *n = g->nodes.v[i];

		if (!*n->name || map_has(v.names, n->name))
			wrong(&v, "two nodes are called '%s'", n->name);
		map_put(v.names, n->name, (void *)n);
		check_inputs(&v, n, NULL, 0);
		check_chain(&v, n);
		check_outputs(&v, n);
	}
	for (size_t i = 0; i < g->outputs.n; i++)
		if (!v.made[g->outputs.v[i]->id])
			wrong(&v, "nobody makes the output '%s'", g->outputs.v[i]->name);
	if (v.n)
		err_set(e, ERR_BAD_IR, "%s%s", str_text(&v.errors), v.n > MAX_ERRORS ? "; and more" : "");
	str_free(&v.errors);
	arena_free(a);
	return !v.n;
}
