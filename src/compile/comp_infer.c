/* comp_infer.c: types of every value, and the values that are known before anything runs
 *
 * Exporters write shapes as computed tensors (Shape -> Gather -> Concat -> Reshape). Such chains are evaluated here, in
 * graph order, by the same lowering and the reference interpreter as everything else: no second set of operator semantics.
 */
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "compile/compile_internal.h"
#include "ops/ops.h"

#define KNOWN_STEPS 20000000u /* loop iterations; a value that takes longer is left to run time */
#define MAX_UNSUPPORTED 50 /* nodes named in one error */

static const struct tensor *value_of(void *user, struct gir_value *v)
{
	(void)user;
	return v->data ? v->data : v->known;
}

static bool is_small(const struct gir_value *v)
{
	int64_t n;

	return dims_elements(v->dim, v->nd, &n) && n <= COMP_FOLD_ELEMENTS;
}

/* Shape and Size need only types; everything else needs its inputs' values. */
static bool can_know(const struct gir_node *n)
{
	for (uint32_t i = 0; i < n->nout; i++)
		if (n->out[i] && !is_small(n->out[i]))
			return false;
	if (n->op == GIR_SHAPE || n->op == GIR_SIZE)
		return true;
	for (uint32_t i = 0; i < n->nin; i++)
		if (n->in[i] && (!value_of(NULL, n->in[i]) || !is_small(n->in[i])))
			return false;
	return true;
}

/* The memory behind a kernel's argument; NULL when it is not known. */
static void *contents(struct arena *a, const struct gir_node *n, const struct lower_arg *arg, struct tensor **temp, struct tensor **made)
{
	const struct tensor *t;

	if (arg->temp && arg->temp->data)
		return (void *)arg->temp->data;
	if (arg->temp) {
		if (!temp[arg->temp->id])
			temp[arg->temp->id] = tensor_new(a, arg->temp->dtype, arg->temp->nd, arg->temp->dim);
		return temp[arg->temp->id]->data;
	}
	for (uint32_t i = 0; i < n->nout; i++)
		if (arg->value == n->out[i])
			return made[i]->data;
	t = value_of(NULL, arg->value);
	return t ? t->data : NULL;
}

bool comp_evaluate_node(struct gir_graph *g, struct gir_node *n, struct err *e)
{
	struct lower_target target = {.cls = LOWER_CPU, .lanes = 1};
	struct arena *scratch = arena_new(NULL);
	struct op_lower c = {.a = scratch, .node = n, .opset = g->opset, .target = &target};
	struct lir_interp_options o = {.max_steps = KNOWN_STEPS};
	struct lir_interp_result r = {0};
	struct tensor **temp, **made;
	bool ok = op_lower_node(&c, e), known = ok;

	temp = ARENA_ARRAY(scratch, struct tensor *, c.temps.n + 1);
	made = ARENA_ARRAY(scratch, struct tensor *, n->nout);
	for (uint32_t i = 0; known && i < n->nout; i++)
		if (n->out[i])
			made[i] = tensor_new(g->arena, n->out[i]->dtype, n->out[i]->nd, n->out[i]->dim);
	for (size_t k = 0; known && k < c.kernels.n; k++) {
		const struct lowered_kernel *kernel = &c.kernels.v[k];
		void **param = ARENA_ARRAY(scratch, void *, kernel->func->nparams);

		for (uint32_t p = 0; p < kernel->func->nparams; p++) {
			param[p] = contents(scratch, n, &kernel->arg[p], temp, made);
			known = known && param[p];
		}
		ok = !known || lir_interp(kernel->func, param, &o, &r, e);
		known = known && ok && !r.fault;
	}
	for (uint32_t i = 0; known && i < n->nout; i++)
		if (n->out[i])
			n->out[i]->known = made[i];
	arena_free(scratch);
	return ok;
}

static bool inputs_typed(const struct gir_node *n)
{
	for (uint32_t i = 0; i < n->nin; i++)
		if (n->in[i] && !n->in[i]->typed)
			return false;
	return true;
}

static bool infer_node(struct gir_graph *g, struct gir_node *n, struct err *e)
{
	struct op_infer c = {.a = g->arena, .graph = g, .node = n, .opset = g->opset, .value = value_of};

	if (!op_infer_node(&c, e))
		return false;
	return !can_know(n) || comp_evaluate_node(g, n, e) || err_in(e, "computing the constant '%s'", n->out[0]->name);
}

/* Goes on after a node that is not supported, so that all are named at once; what depends on one is left out. */
bool comp_infer(struct gir_graph *g, struct err *e)
{
	struct str unsupported = {0};
	struct err one = {0};
	bool ok = true;
	int n = 0;

	for (size_t i = 0; ok && i < g->nodes.n; i++) {
		struct gir_node *node = g->nodes.v[i];

		for (uint32_t k = 0; k < node->nout; k++)
			if (node->out[k]) { /* a mutated clone carries what was true of the original */
				node->out[k]->typed = false;
				node->out[k]->known = NULL;
			}
		if (inputs_typed(node) ? infer_node(g, node, &one) : n > 0)
			continue;
		if (!inputs_typed(node))
			err_set(&one, ERR_BAD_IR, "node '%s' reads a value without a type", node->name);
		ok = one.code == ERR_UNSUPPORTED;
		for (uint32_t k = 0; k < node->nout; k++)
			if (node->out[k])
				node->out[k]->typed = false;
		if (ok && n++ < MAX_UNSUPPORTED)
			str_addf(&unsupported, "%s%s", n > 1 ? "; " : "", err_text(&one));
	}
	if (!ok)
		err_set(e, one.code, "%s", err_text(&one));
	else if (n == 1)
		err_set(e, ERR_UNSUPPORTED, "%s", str_text(&unsupported));
	else if (n)
		err_set(e, ERR_UNSUPPORTED, "%d nodes are not supported: %s%s", n, str_text(&unsupported), n > MAX_UNSUPPORTED ? "; and more" : "");
	err_free(&one);
	str_free(&unsupported);
	return ok && !n;
}

static bool check_node(struct gir_graph *g, struct gir_node *n, struct arena *a, struct err *e)
{
	struct gir_value **out = n->out, **again = ARENA_ARRAY(a, struct gir_value *, n->nout);
	struct op_infer c = {.a = a, .graph = g, .node = n, .opset = g->opset, .value = value_of};
	bool ok;

	for (uint32_t k = 0; k < n->nout; k++)
		if (out[k]) {
			again[k] = ARENA_NEW(a, struct gir_value);
			again[k]->name = out[k]->name;
		}
	n->out = again;
	ok = op_infer_node(&c, e);
	n->out = out;
	for (uint32_t k = 0; ok && k < n->nout; k++) {
		const struct gir_value *x = out[k], *y = again[k];

		if (x && (x->dtype != y->dtype || x->nd != y->nd || memcmp(x->dim, y->dim, (size_t)x->nd * sizeof *x->dim)))
			ok = err_set(e, ERR_BAD_IR, "node '%s': output %u is %s %s, but inference gives %s %s", n->name, k, dtype_name(x->dtype),
			             dims_text(a, x->dim, x->nd), dtype_name(y->dtype), dims_text(a, y->dim, y->nd));
	}
	return ok;
}

bool comp_check_types(struct gir_graph *g, struct err *e)
{
	bool ok = true;

	for (size_t i = 0; ok && i < g->nodes.n; i++) {
		struct arena *a;

		if (g->nodes.v[i]->nfused) /* the fuse pass has checked the chain's shapes; out[0] is another node's output */
			continue;
		a = arena_new(NULL);
		ok = check_node(g, g->nodes.v[i], a, e);
		arena_free(a);
	}
	return ok;
}
