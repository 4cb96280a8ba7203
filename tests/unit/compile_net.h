/* compile_net.h: small networks of drawn shapes and constants, run by the interpreter at any level */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "compile/compile.h"
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

static inline struct tensor **outputs(struct net *n, const struct comp_options *o, const struct tensor *in, struct comp_program **p)
{
	struct tensor **out = ARENA_ARRAY(n->a, struct tensor *, 2);
	struct err e = {0};

	cr_assert(comp_program(n->a, n->g, o, p, &e), "%s", err_text(&e));
	cr_assert(comp_interpret(n->a, *p, &in, out, &e), "%s", err_text(&e));
	return out;
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
