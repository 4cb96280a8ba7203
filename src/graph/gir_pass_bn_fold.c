/* gir_pass_bn_fold.c: batch normalisation after a convolution or matrix product goes into its weights
 *
 *     y = (Conv(x, W) + b - mean) * s + beta,   s = gamma / sqrt(var + eps)
 *       = Conv(x, W * s) + (b - mean) * s + beta
 *
 * The new weights are computed by ordinary nodes over the constants: the fold pass or a run-once launch evaluates them, with the
 * same operator semantics as everything else.
 */
#include <string.h>

#include "base/arena.h"
#include "graph/graph.h"

static bool all_const(const struct gir_node *n, uint32_t from)
{
	for (uint32_t i = from; i < n->nin; i++)
		if (n->in[i] && (!n->in[i]->data || n->in[i]->dtype != DT_F32))
			return false;
	return true;
}

/* Which dimension of the weights counts output channels; -1 when this producer is not handled. */
static int channel_dim(const struct gir_node *n)
{
	if (n->op == GIR_CONV)
		return 0;
	if (n->op == GIR_GEMM && gir_attr_float(n, "alpha", 1) == 1 && gir_attr_float(n, "beta", 1) == 1)
		return gir_attr_int(n, "transB", 0) ? 0 : 1;
	if (n->op == GIR_CONVTRANSPOSE && gir_attr_int(n, "group", 1) == 1)
		return 1;
	return -1;
}

static bool matches(const struct gir_node *bn, const uint32_t *uses)
{
	const struct gir_node *p = bn->op == GIR_BATCHNORMALIZATION ? bn->in[0]->producer : NULL;

	if (!p || bn->in[0]->dtype != DT_F32 || uses[bn->in[0]->id] != 1 || bn->nout != 1 || gir_attr_int(bn, "training_mode", 0) ||
	    !gir_attr_int(bn, "spatial", 1))
		return false;
	if (channel_dim(p) < 0 || !all_const(p, 1) || !all_const(bn, 1))
		return false;
	/* Gemm broadcasts its C: only a plain vector is a bias per channel */
	return p->nin < 3 || !p->in[2] || (p->in[2]->nd == 1 && p->in[2]->dim[0] == bn->in[1]->dim[0]);
}

/* Appends NAME = op(x, y) with the type and shape of `like`. */
#define NODE(what, op, like, ...)                                                                                      \
	emit(g, order, bn, what, op, like, (struct gir_value *[]){__VA_ARGS__}, sizeof((struct gir_value *[]){__VA_ARGS__}) / sizeof(void *))

struct order {
	VEC(struct gir_node *) v;
};

static struct gir_value *emit(struct gir_graph *g, struct order *order, const struct gir_node *bn, const char *what, enum gir_op op,
                              const struct gir_value *like, struct gir_value **in, size_t nin)
{
	char *name = arena_printf(g->arena, "%s.%s", bn->name, what);
	struct gir_value *out = gir_value_typed(g, name, like->dtype, like->nd, like->dim);

	vec_push(g->arena, &order->v, gir_node(g, out->name, op, (uint32_t)nin, in, 1, &out));
	return out;
}

static struct gir_value *scalar(struct gir_graph *g, const struct gir_node *bn, float x)
{
	struct tensor *t = tensor_new(g->arena, DT_F32, 0, NULL);

	*(float *)t->data = x;
	return gir_const(g, arena_printf(g->arena, "%s.epsilon", bn->name), t);
}

/* s with a 1 for every dimension of the weights but the channels'. */
static struct gir_value *along_channels(struct gir_graph *g, struct order *order, const struct gir_node *bn, const char *what,
					struct gir_value *s, const struct gir_value *w, int dim)
{
	struct tensor *shape = tensor_new(g->arena, DT_I64, 1, (int64_t[]){w->nd});
	struct gir_value like = *s;

	like.nd = w->nd;
	for (int d = 0; d < w->nd; d++) {
		like.dim[d] = d == dim ? s->dim[0] : 1;
		((int64_t *)shape->data)[d] = like.dim[d];
	}
	return NODE(arena_printf(g->arena, "%s-shaped", what), GIR_RESHAPE, &like, s,
		    gir_const(g, arena_printf(g->arena, "%s.%s-shape", bn->name, what), shape));
}

/* gamma / sqrt(var + eps) */
static struct gir_value *factor(struct gir_graph *g, struct order *order, const struct gir_node *bn)
{
	struct gir_value *gamma = bn->in[1], *var = bn->in[4];
	struct gir_value *sum = NODE("var", GIR_ADD, var, var, scalar(g, bn, gir_attr_float(bn, "epsilon", 1e-5f)));

	return NODE("scale", GIR_DIV, gamma, gamma, NODE("std", GIR_SQRT, var, sum));
}

static void rewrite(struct gir_graph *g, struct order *order, struct gir_node *bn)
{
	struct gir_node *p = bn->in[0]->producer;
	struct gir_value *beta = bn->in[2], *mean = bn->in[3], *w = p->in[1];
	struct gir_value *bias = p->nin > 2 ? p->in[2] : NULL, *s = factor(g, order, bn), *b, *in[3];

	in[0] = p->in[0];
	in[1] = NODE("weight", GIR_MUL, w, w, along_channels(g, order, bn, "scale", s, w, channel_dim(p)));
	if (bias)
		b = NODE("bias", GIR_ADD, beta, NODE("moved", GIR_MUL, beta, NODE("centred", GIR_SUB, beta, bias, mean), s), beta);
	else
		b = NODE("bias", GIR_SUB, beta, beta, NODE("moved", GIR_MUL, beta, mean, s));
	in[2] = b;
	p->in = arena_memdup(g->arena, in, sizeof in);
	p->nin = 3;
	p->out[0] = bn->out[0];
	p->out[0]->producer = p;
}

static bool run(struct gir_graph *g, const struct gir_pass_options *o, bool *changed, struct err *e)
{
	struct arena *a = arena_new(NULL);
	uint32_t *uses = gir_count_uses(a, g);
	struct gir_node **bn_of = ARENA_ARRAY(a, struct gir_node *, g->values.n); /* by the producer's output */
	size_t nvalues = g->values.n;
	struct order order = {0};

	for (size_t i = 0; i < g->nodes.n; i++) {
		struct gir_node *n = g->nodes.v[i];

		if (matches(n, uses) && gir_plan_decide(o->plan, "bn-fold", n->in[0]->producer->name, n->name, true))
			bn_of[n->in[0]->id] = n;
	}
	for (size_t i = 0; i < g->nodes.n; i++) {
		struct gir_node *n = g->nodes.v[i];
		struct gir_node *bn = n->nout && n->out[0] && n->out[0]->id < nvalues ? bn_of[n->out[0]->id] : NULL;

		if (n->op == GIR_BATCHNORMALIZATION && n->in[0]->id < nvalues && bn_of[n->in[0]->id] == n)
			continue;
		if (bn) {
			rewrite(g, &order, bn);
			*changed = true;
		}
		vec_push(g->arena, &order.v, n);
	}
	g->nodes.v = order.v.v;
	g->nodes.n = order.v.n;
	g->nodes.cap = order.v.cap;
	arena_free(a);
	return true;
}

const struct gir_pass gir_pass_bn_fold = {"bn-fold", "fold batch normalisation into the weights before it", 2, run, false};

/* ---- what is left: beside a node that element-wise operators can join, as two of them ---- */

static bool splits(const struct gir_node *bn, const uint32_t *uses)
{
	const struct gir_node *p = bn->op == GIR_BATCHNORMALIZATION ? bn->in[0]->producer : NULL;

	return p && p->op == GIR_CONCAT && bn->in[0]->dtype == DT_F32 && uses[bn->in[0]->id] == 1 && bn->nout == 1 &&
	       !gir_attr_int(bn, "training_mode", 0) && gir_attr_int(bn, "spatial", 1) && bn->in[0]->nd > 1 && all_const(bn, 1);
}

/* y = x * s + (beta - mean * s) */
static void split(struct gir_graph *g, struct order *order, struct gir_node *bn)
{
	struct gir_value *x = bn->in[0], *beta = bn->in[2], *mean = bn->in[3], *y = bn->out[0], *s, *b, *in[2];

	s = factor(g, order, bn);
	b = NODE("bias", GIR_SUB, beta, beta, NODE("moved", GIR_MUL, beta, mean, s));
	in[0] = NODE("scaled", GIR_MUL, y, x, along_channels(g, order, bn, "scale", s, x, 1));
	in[1] = along_channels(g, order, bn, "bias", b, x, 1);
	vec_push(g->arena, &order->v, gir_node(g, bn->name, GIR_ADD, 2, in, 1, &y));
}

static bool run_split(struct gir_graph *g, const struct gir_pass_options *o, bool *changed, struct err *e)
{
	struct arena *a = arena_new(NULL);
	uint32_t *uses = gir_count_uses(a, g);
	size_t nvalues = g->values.n;
	struct order order = {0};

	(void)e;
	for (size_t i = 0; i < g->nodes.n; i++) {
		struct gir_node *n = g->nodes.v[i];

		if (n->op == GIR_BATCHNORMALIZATION && n->in[0]->id < nvalues && splits(n, uses) &&
		    gir_plan_decide(o->plan, "bn-split", n->in[0]->producer->name, n->name, true)) {
			split(g, &order, n);
			*changed = true;
		} else {
			vec_push(g->arena, &order.v, n);
		}
	}
	g->nodes.v = order.v.v;
	g->nodes.n = order.v.n;
	g->nodes.cap = order.v.cap;
	arena_free(a);
	return true;
}

const struct gir_pass gir_pass_bn_split = {"bn-split", "batch normalisation of a concatenation as a product and a sum, which join its kernel", 3, run_split, false};
