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
	bool *made; /* by value id: available at this point of the order */
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

static bool same_type(const struct gir_value *x, enum dtype t, int nd, const int64_t *dim)
{
	return x->dtype == t && x->nd == nd && !memcmp(x->dim, dim, (size_t)nd * sizeof *dim);
}

static void check_value(struct verify *v, const struct gir_value *x)
{
	int64_t elements;

	if (!*x->name)
		wrong(v, "value %u has no name", x->id);
	if (x->typed && (x->nd < 0 || x->nd > MAX_DIMS || !dims_elements(x->dim, x->nd, &elements)))
		wrong(v, "value '%s' has an impossible shape", x->name);
	else if (x->block && (!x->typed || x->block < 0 || x->nd < 2 || x->nd >= MAX_DIMS))
		wrong(v, "value '%s' cannot be blocked", x->name);
	if (x->data && (!x->typed || !same_type(x, x->data->dtype, x->data->nd, x->data->dim)))
		wrong(v, "constant '%s' is not of the type of its data", x->name);
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

/* Node names are unique in the whole graph, those inside chains too. */
static void check_name(struct verify *v, const struct gir_node *n)
{
	if (!*n->name)
		wrong(v, "a node (%s) has no name", gir_op_info(n->op)->name);
	else if (map_has(v->names, n->name))
		wrong(v, "two nodes are called '%s'", n->name);
	map_put(v->names, n->name, (void *)n);
	if (n->nattrs > GIR_MAX_ATTRS) {
		wrong(v, "node '%s' has %u attributes", n->name, n->nattrs);
		return;
	}
	for (uint32_t i = 0; i < n->nattrs; i++)
		for (uint32_t k = 0; k < i; k++)
			if (!strcmp(n->attr[i].name, n->attr[k].name))
				wrong(v, "node '%s' has two attributes '%s'", n->name, n->attr[i].name);
}

/* One node of a chain: what it reads there is the value so far, and what it makes has the same shape. */
static void check_link(struct verify *v, const struct gir_node *root, const struct gir_fused *f, const struct gir_value *sofar)
{
	const struct gir_value *in = f->node->in[f->slot], *out = f->node->out[0];

	if (!in || (sofar && in != sofar)) {
		wrong(v, "node '%s': '%s' does not read the value so far", root->name, f->node->name);
		return;
	}
	if (in->typed && out->typed && (!same_type(in, out->dtype, out->nd, out->dim) || in->block != out->block))
		wrong(v, "node '%s': '%s' changes the shape or type", root->name, f->node->name);
	if (in->block && !gir_op_info(f->node->op)->blocked)
		wrong(v, "node '%s': '%s' cannot read the blocked '%s'", root->name, f->node->name, in->name);
	check_inputs(v, f->node, in, f->slot);
}

static void check_chain(struct verify *v, const struct gir_node *n)
{
	const struct gir_value *sofar = NULL; /* the root's own result is known only by who reads it */

	if (!gir_op_info(n->op)->root && n->nfused)
		wrong(v, "node '%s' (%s) cannot carry a chain", n->name, gir_op_info(n->op)->name);
	if (n->nfused && (!n->nout || !n->out[0])) {
		wrong(v, "node '%s' carries a chain, but has no output 0", n->name);
		return;
	}
	for (uint32_t i = 0; i < n->nfused; i++) {
		const struct gir_fused *f = &n->fused[i];

		check_name(v, f->node);
		if (f->node->nout != 1 || !f->node->out[0] || f->node->nfused) {
			wrong(v, "node '%s': '%s' must have one output and no chain", n->name, f->node->name);
			return;
		}
		if (!gir_op_info(f->node->op)->elementwise)
			wrong(v, "node '%s': '%s' is not element-wise", n->name, f->node->name);
		else if (f->slot >= f->node->nin)
			wrong(v, "node '%s': '%s' has no input %u", n->name, f->node->name, f->slot);
		else
			check_link(v, n, f, sofar);
		sofar = f->node->out[0];
	}
	if (n->nfused && n->out[0] != sofar)
		wrong(v, "node '%s': its output is not the end of its chain", n->name);
}

static void check_outputs(struct verify *v, const struct gir_node *n)
{
	if (!n->nout)
		wrong(v, "node '%s' (%s) has no outputs", n->name, gir_op_info(n->op)->name);
	for (uint32_t i = 0; i < n->nout; i++) {
		const struct gir_value *x = n->out[i];

		if (!x)
			continue;
		if (x->data || !hash_is_zero(x->hash))
			wrong(v, "constant '%s' is also computed by '%s'", x->name, n->name);
		else if (!owned(v, x) || v->made[x->id])
			wrong(v, "node '%s': output '%s' is made twice or is of another graph", n->name, x->name);
		else if (x->producer != n)
			wrong(v, "value '%s' does not know that '%s' makes it", x->name, n->name);
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

	for (size_t i = 0; i < g->values.n; i++) {
		check_value(&v, g->values.v[i]);
		v.made[i] = g->values.v[i]->data || !hash_is_zero(g->values.v[i]->hash);
	}
	for (size_t i = 0; i < g->inputs.n; i++)
		v.made[g->inputs.v[i]->id] = true;
	for (size_t i = 0; i < g->nodes.n; i++) {
		const struct gir_node *n = g->nodes.v[i];

		check_name(&v, n);
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
