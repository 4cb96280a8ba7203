/* mut_graph_insert.c: a unary operator that does not belong there, before an input or after the output of chosen operators
 *
 * `transpose` keeps the shape: it exchanges the last two dimensions that have the same size (rows and columns of a square map,
 * of a square kernel); where no size above 1 occurs twice it has no site. Weights are tensors like any other.
 */
#include <string.h>

#include "mutate/mutate_internal.h"

enum where { BEFORE_0, BEFORE_1, BEFORE_2, AFTER, WHERES };
static const char *const where_names[] = {"before-0", "before-1", "before-2", "after", NULL};

/* ---- which nodes ---- */

static bool in_class_conv(enum gir_op op)
{
	return op == GIR_CONV || op == GIR_CONVTRANSPOSE;
}
static bool in_class_dense(enum gir_op op)
{
	return op == GIR_GEMM || op == GIR_MATMUL;
}
static bool in_class_conv_dense(enum gir_op op)
{
	return in_class_conv(op) || in_class_dense(op);
}
static bool in_class_batch_norm(enum gir_op op)
{
	return op == GIR_BATCHNORMALIZATION;
}
static bool in_class_any(enum gir_op op)
{
	return (void)op, true;
}

/* ---- where ---- */

static struct gir_value *value_at(const struct mut_node *n, unsigned where)
{
	const struct gir_node *x = n->node;

	if (where == AFTER)
		return x->nout ? x->out[0] : NULL;
	return where < x->nin ? x->in[where] : NULL;
}

/* The last two dimensions of one size above 1. */
static bool equal_dims(const struct gir_value *v, int *p, int *q)
{
	for (int j = v->nd - 1; j > 0; j--)
		for (int i = j - 1; i >= 0; i--)
			if (v->dim[i] == v->dim[j] && v->dim[i] > 1) {
				*p = i;
				*q = j;
				return true;
			}
	return false;
}

static uint64_t sites(const struct mut_node *n, enum gir_op insert, bool (*in_class)(enum gir_op))
{
	uint64_t bits = 0;

	if (!in_class(n->node->op))
		return 0;
	for (unsigned w = 0; w < WHERES; w++) {
		const struct gir_value *v = value_at(n, w);
		int p, q;

		if (v && dtype_is_float(v->dtype) && (insert != GIR_TRANSPOSE || equal_dims(v, &p, &q)))
			bits |= 1u << w;
	}
	return bits;
}

static bool insert(const struct mut_node *n, enum gir_op op, unsigned where)
{
	struct gir_value *v = value_at(n, where), *w;
	struct gir_graph *g = n->graph;
	struct gir_node *made;
	char *name = arena_printf(g->arena, "%s.%s-%s", n->node->name, gir_op_info(op)->name, where_names[where]);

	w = gir_value_typed(g, name, v->dtype, v->nd, v->dim);
	if (where == AFTER) {
		gir_replace_uses(g, v, w);
		made = gir_node(g, w->name, op, 1, &v, 1, &w);
		gir_insert_after(g, n->node, made);
	} else {
		made = gir_node(g, w->name, op, 1, &v, 1, &w);
		n->node->in[where] = w;
		gir_insert_before(g, n->node, made);
	}
	if (op == GIR_TRANSPOSE) {
		int64_t perm[MAX_DIMS];
		int p, q;

		if (!equal_dims(v, &p, &q))
			return false;
		for (int i = 0; i < v->nd; i++)
			perm[i] = i == p ? q : i == q ? p : i;
		gir_set_ints(g, made, "perm", perm, (size_t)v->nd);
	}
	return true;
}

#define INSERT(id, unary, OP, cls, class_name, nodes, fault)                                                                       \
	static uint64_t sites_##id##_##cls(const struct mut_node *n)                                                               \
	{                                                                                                                          \
		return sites(n, GIR_##OP, in_class_##cls);                                                                         \
	}                                                                                                                          \
	static bool apply_##id##_##cls(const struct mut_node *n, unsigned v, struct err *e)                                        \
	{                                                                                                                          \
		return insert(n, GIR_##OP, v) || err_set(e, ERR_BAD_IR, "no place for " unary);                                    \
	}                                                                                                                          \
	const struct mut_op mut_graph_insert_##id##_##cls = {.name = "graph.insert." unary "." class_name,                         \
							     .kind = MUT_GRAPH,                                                    \
							     .category = MUT_CAT_NODE_IO,                                          \
							     .summary =                                                            \
								 unary " put before an input or after the output of " nodes,       \
							     .imitates = fault,                                                    \
							     .variant = where_names,                                               \
							     .graph_variants = sites_##id##_##cls,                                 \
							     .graph_apply = apply_##id##_##cls};

#define CLASSES(id, unary, OP, fault)                                                                                              \
	INSERT(id, unary, OP, conv, "conv", "a convolution", fault)                                                                \
	INSERT(id, unary, OP, dense, "dense", "a fully connected layer (Gemm, MatMul)", fault)                                     \
	INSERT(id, unary, OP, conv_dense, "conv-dense", "a convolution or fully connected layer", fault)                           \
	INSERT(id, unary, OP, batch_norm, "batch-norm", "a batch normalisation", fault)                                            \
	INSERT(id, unary, OP, any, "any", "any node", fault)

CLASSES(transpose, "transpose", TRANSPOSE, "a layout conversion too many, rows and columns confused")
CLASSES(exp, "exp", EXP, "an activation applied twice or in the wrong place")
CLASSES(round, "round", ROUND, "a tensor converted to integers on its way")
CLASSES(neg, "neg", NEG, "a sign lost")
CLASSES(abs, "abs", ABS, "a signed tensor read as unsigned")
CLASSES(sqrt, "sqrt", SQRT, "a root taken twice: a deviation taken for a variance")
CLASSES(floor, "floor", FLOOR, "a tensor truncated on its way")
CLASSES(relu, "relu", RELU, "an activation fused into the wrong node")
CLASSES(sigmoid, "sigmoid", SIGMOID, "an activation fused into the wrong node")
CLASSES(tanh, "tanh", TANH, "an activation fused into the wrong node")
