/* mut_graph_replace.c: one operator becomes another of the same shape */
#include <string.h>

#include "mutate/mutate_internal.h"

/* What unary operators may become; the order is the order of the variants. */
static const enum gir_op unary_to[] = {GIR_SIGMOID, GIR_TANH,     GIR_RELU, GIR_LEAKYRELU, GIR_ELU,  GIR_SOFTPLUS, GIR_SOFTSIGN,
                                       GIR_EXP,     GIR_IDENTITY, GIR_ABS,  GIR_NEG,       GIR_SQRT, GIR_FLOOR,    GIR_HARDSIGMOID};
static const char *const unary_variants[] = {"to-sigmoid",  "to-tanh",     "to-relu", "to-leaky-relu", "to-elu",  "to-softplus", "to-softsign",
                                             "to-exp",      "to-identity", "to-abs",  "to-neg",        "to-sqrt", "to-floor",    "to-hard-sigmoid", NULL};
#define UNARIES (sizeof unary_to / sizeof *unary_to)

static uint64_t unary_sites(const struct mut_node *n, enum gir_op from)
{
	uint64_t bits = 0;

	if (n->node->op != from || !dtype_is_float(n->node->in[0]->dtype))
		return 0;
	for (unsigned v = 0; v < UNARIES; v++)
		if (unary_to[v] != from)
			bits |= 1u << v;
	return bits;
}

/* Attributes and further inputs belong to the old operator. */
static bool become(const struct mut_node *n, enum gir_op op, uint32_t inputs)
{
	n->node->op = op;
	n->node->nattrs = 0;
	n->node->nin = inputs;
	return true;
}

static bool unary_apply(const struct mut_node *n, unsigned variant, struct err *e)
{
	return become(n, unary_to[variant], 1);
}

/* Every other element-wise operator of one float input and output. */
static uint64_t other_sites(const struct mut_node *n)
{
	enum gir_op op = n->node->op;

	if (op == GIR_RELU || op == GIR_SIGMOID || op == GIR_TANH || op == GIR_CLIP || !gir_op_info(op)->elementwise ||
	    gir_op_info(op)->max_inputs != 1 || !n->node->out[0] || n->node->out[0]->dtype != n->node->in[0]->dtype)
		return 0;
	return unary_sites(n, op);
}

#define UNARY(id, op_name, OP)                                                                                         \
	static uint64_t sites_##id(const struct mut_node *n) { return unary_sites(n, GIR_##OP); }                      \
	const struct mut_op mut_graph_replace_##id = {.name = "graph.replace." op_name,                                \
	                                              .kind = MUT_GRAPH,                                               \
	                                              .category = MUT_CAT_LAYER,                                       \
	                                              .summary = op_name " becomes another element-wise operator",            \
	                                              .imitates = "an operator mapped to the wrong kernel",            \
	                                              .variant = unary_variants,                                       \
	                                              .graph_variants = sites_##id,                                    \
	                                              .graph_apply = unary_apply};
UNARY(relu, "relu", RELU)
UNARY(sigmoid, "sigmoid", SIGMOID)
UNARY(tanh, "tanh", TANH)
UNARY(clip, "clip", CLIP)

const struct mut_op mut_graph_replace_unary = {.name = "graph.replace.unary",
                                               .kind = MUT_GRAPH,
                                               .category = MUT_CAT_LAYER,
                                               .summary = "an element-wise operator of one input that has no row of its own becomes another",
                                               .imitates = "an operator mapped to the wrong kernel",
                                               .variant = unary_variants,
                                               .graph_variants = other_sites,
                                               .graph_apply = unary_apply};

/* ---- two inputs ---- */

static const enum gir_op binary_to[] = {GIR_ADD, GIR_SUB, GIR_MUL, GIR_DIV, GIR_MAX, GIR_MIN};
static const char *const binary_variants[] = {"to-add", "to-subtract", "to-multiply", "to-divide", "to-max", "to-min", NULL};

static uint64_t binary_sites(const struct mut_node *n, enum gir_op from)
{
	uint64_t bits = 0;

	if (n->node->op != from || !dtype_is_float(n->node->in[0]->dtype))
		return 0;
	for (unsigned v = 0; v < sizeof binary_to / sizeof *binary_to; v++)
		if (binary_to[v] != from)
			bits |= 1u << v;
	return bits;
}

static bool binary_apply(const struct mut_node *n, unsigned variant, struct err *e)
{
	return become(n, binary_to[variant], 2);
}

#define BINARY(id, op_name, OP)                                                                                        \
	static uint64_t sites_##id(const struct mut_node *n) { return binary_sites(n, GIR_##OP); }                     \
	const struct mut_op mut_graph_replace_##id = {.name = "graph.replace." op_name,                                \
	                                              .kind = MUT_GRAPH,                                               \
	                                              .category = MUT_CAT_ARITHMETIC,                                  \
	                                              .summary = op_name " becomes another arithmetic operator",       \
	                                              .imitates = "an arithmetic operator mapped to the wrong kernel", \
	                                              .variant = binary_variants,                                      \
	                                              .graph_variants = sites_##id,                                    \
	                                              .graph_apply = binary_apply};
BINARY(add, "add", ADD)
BINARY(sub, "subtract", SUB)
BINARY(mul, "multiply", MUL)
BINARY(div, "divide", DIV)

/* ---- pooling ---- */

static const char *const pool_variants[] = {"max-average", NULL};

static enum gir_op other_pool(enum gir_op op)
{
	switch (op) {
	case GIR_MAXPOOL: return GIR_AVERAGEPOOL;
	case GIR_AVERAGEPOOL: return GIR_MAXPOOL;
	case GIR_GLOBALMAXPOOL: return GIR_GLOBALAVERAGEPOOL;
	case GIR_GLOBALAVERAGEPOOL: return GIR_GLOBALMAXPOOL;
	default: return op;
	}
}

static uint64_t pool_sites(const struct mut_node *n)
{
	return other_pool(n->node->op) != n->node->op && n->node->nout == 1 && n->node->in[0]->dtype == DT_F32;
}

static bool pool_apply(const struct mut_node *n, unsigned variant, struct err *e)
{
	static const char *const not_shared[] = {"count_include_pad", "storage_order"};

	n->node->op = other_pool(n->node->op);
	for (size_t i = 0; i < 2; i++)
		for (uint32_t k = 0; k < n->node->nattrs; k++)
			if (!strcmp(n->node->attr[k].name, not_shared[i]))
				n->node->attr[k] = n->node->attr[--n->node->nattrs];
	return true;
}

const struct mut_op mut_graph_replace_pool = {.name = "graph.replace.pool",
                                              .kind = MUT_GRAPH,
                                              .category = MUT_CAT_LAYER,
                                              .summary = "a maximum pool becomes an average pool and the other way round",
                                              .imitates = "an operator mapped to the wrong kernel",
                                              .variant = pool_variants,
                                              .graph_variants = pool_sites,
                                              .graph_apply = pool_apply};
