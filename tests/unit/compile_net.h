/* compile_net.h: small networks of drawn shapes and constants, run by the interpreter at any level */
#pragma once
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "compile/compile.h"
#include "compile_support.h"
#include "test_support.h"

struct net {
	struct arena *a;
	struct gir_graph *g;
	uint64_t state;
	int count;
};

static inline int64_t draw(struct net *n, int64_t low, int64_t high)
{
	n->state = n->state * 6364136223846793005u + 1442695040888963407u;
	return low + (int64_t)((n->state >> 33) % (uint64_t)(high - low + 1));
}

static inline void fill(struct net *n, struct tensor *t, float low, float high)
{
	for (int64_t i = 0; i < tensor_elements(t); i++)
		((float *)t->data)[i] = low + (high - low) * (float)draw(n, 0, 1000) / 1000;
}

static inline struct gir_value *constant(struct net *n, int nd, const int64_t *dim, float low, float high)
{
	struct tensor *t = tensor_new(n->a, DT_F32, nd, dim);

	fill(n, t, low, high);
	return gir_const(n->g, arena_printf(n->a, "c%d", n->count++), t);
}

static inline struct gir_value *add(struct net *n, enum gir_op op, uint32_t nin, struct gir_value **in, struct gir_node **node)
{
	struct gir_value *out = gir_value(n->g, arena_printf(n->a, "v%d", n->count++));
	struct gir_node *made = gir_node(n->g, arena_printf(n->a, "n%d", n->count++), op, nin, in, 1, &out);

	gir_append(n->g, made);
	if (node)
		*node = made;
	return out;
}

/* Shapes are needed while drawing: inference of the graph so far. */
static inline struct gir_value *typed(struct net *n, struct gir_value *v)
{
	struct err e = {0};

	cr_assert(comp_infer(n->g, &e), "%s", err_text(&e));
	return v;
}

static inline struct gir_value *reshape(struct net *n, struct gir_value *x, int64_t nd, const int64_t *dim)
{
	struct tensor *t = tensor_new(n->a, DT_I64, 1, &nd);
	struct gir_value *in[2] = {x, gir_const(n->g, arena_printf(n->a, "c%d", n->count++), t)};

	memcpy(t->data, dim, (size_t)nd * sizeof *dim);
	return typed(n, add(n, GIR_RESHAPE, 2, in, NULL));
}

static inline struct gir_value *transpose(struct net *n, struct gir_value *x, const int64_t *perm)
{
	struct gir_node *node;
	int64_t copy[MAX_DIMS];

	memcpy(copy, perm, (size_t)x->nd * sizeof *perm);
	x = add(n, GIR_TRANSPOSE, 1, &x, &node);
	gir_set_ints(n->g, node, "perm", copy, (size_t)node->in[0]->nd);
	return typed(n, x);
}

/* Channels of groups in turn, as in ShuffleNet. */
static inline struct gir_value *shuffle(struct net *n, struct gir_value *x)
{
	int64_t dim[5], groups = x->dim[1] % 3 ? x->dim[1] % 2 ? 1 : 2 : 3;

	memcpy(dim, (int64_t[]){x->dim[0], groups, x->dim[1] / groups, x->dim[2], x->dim[3]}, sizeof dim);
	x = transpose(n, reshape(n, x, 5, dim), (int64_t[]){0, 2, 1, 3, 4});
	dim[1] *= dim[2];
	dim[2] = dim[3];
	dim[3] = dim[4];
	return reshape(n, x, 4, dim);
}

static inline struct tensor **outputs(struct net *n, const struct comp_options *o, const struct tensor *in, struct comp_program **p)
{
	struct tensor **out = ARENA_ARRAY(n->a, struct tensor *, 2);
	struct err e = {0};

	cr_assert(comp_program(n->a, n->g, o, p, &e), "%s", err_text(&e));
	cr_assert(comp_interpret(n->a, *p, &in, out, &e), "%s", err_text(&e));
	return out;
}

static inline bool any_blocked(const struct comp_program *p)
{
	for (uint32_t i = 0; i < p->nbuffers; i++)
		if (p->buffer[i].value && p->buffer[i].value->block)
			return true;
	return false;
}

/* How many kernels of this node. */
static inline uint32_t kernels_of(const struct comp_program *p, enum gir_op op)
{
	uint32_t n = 0;

	for (uint32_t k = 0; k < p->nkernels; k++)
		n += p->kernel[k].node->op == op;
	return n;
}

/* Of all kernels of this node. */
static inline const char *text_of(struct arena *a, const struct comp_program *p, enum gir_op op)
{
	struct str text = {0};
	const char *copy;

	for (uint32_t k = 0; k < p->nkernels; k++)
		if (p->kernel[k].node->op == op)
			lir_print(&text, p->kernel[k].func);
	copy = arena_printf(a, "%s", str_text(&text));
	str_free(&text);
	return copy;
}

static inline bool any_group(const struct comp_program *p)
{
	for (uint32_t k = 0; k < p->nkernels; k++)
		if (p->kernel[k].func->group)
			return true;
	return false;
}

static inline void expect_no_races(struct arena *a, const struct lir_func *f, const char *what)
{
	void **param = ARENA_ARRAY(a, void *, f->nparams);
	struct lir_interp_options o = {.races = true};
	struct lir_interp_result r;
	struct lir_bounds b;
	struct err e = {0};

	for (uint32_t i = 0; i < f->nparams; i++)
		param[i] = arena_zalloc(a, (size_t)f->param[i]->elements * dtype_size(f->param[i]->dtype));
	cr_assert(lir_interp(f, param, &o, &r, &e), "%s", err_text(&e));
	cr_expect_eq(r.fault, LIR_OK, "%s: %s", what, r.text);
	cr_expect_eq(r.unwritten, 0u, "%s", what);
	lir_bounds(f, &b);
	cr_expect_eq(b.kind, LIR_BOUNDS_IN_RANGE, "%s: %s", what, b.text);
}

/* With o, which asks for groups, a net of one input gives the numbers of plain nests, and its kernels no races where they are looked for.
 * Says whether any of them is by groups. */
static inline bool same_by_groups(struct net *n, const struct comp_options *o, int seed, bool races)
{
	const struct gir_value *x = n->g->inputs.v[0];
	struct tensor *in = tensor_new(n->a, DT_F32, x->nd, x->dim), **plain, **shared;
	struct comp_program *p;

	fill(n, in, -1, 1);
	plain = outputs(n, &(struct comp_options){.opt_level = 0, .lanes = 1}, in, &p);
	shared = outputs(n, o, in, &p);
	cr_expect_lt(test_worst(shared[0], plain[0]), 1e-4, "seed %d: %g", seed, test_worst(shared[0], plain[0]));
	for (uint32_t k = 0; races && k < p->nkernels; k++)
		expect_no_races(n->a, p->kernel[k].func, arena_printf(n->a, "seed %d", seed));
	return any_group(p);
}
