/* lir_pass_unroll.c: unrolled loops with constant bounds become their iterations, the innermost first
 *
 * A loop whose copies would make the function too large stays a loop.
 */
#include "base/arena.h"
#include "base/vec.h"
#include "loop/loop_internal.h"

#define MAX_NODES (1 << 20) /* of all copies of all loops */

struct unroll {
	struct lir_func *f;
	bool changed;
	int64_t nodes_left;
	struct lir_var *var; /* to be replaced */
	int64_t value;
};

static int64_t expr_nodes(const struct lir_expr *x)
{
	int64_t n = 1;

	if (!x)
		return 0;
	for (uint32_t i = 0; i < x->nargs; i++)
		n += expr_nodes(x->arg[i]);
	return n;
}

static int64_t stmt_nodes(const struct lir_stmt *s)
{
	int64_t n = 1 + expr_nodes(s->min) + expr_nodes(s->extent) + expr_nodes(s->value);

	for (uint32_t i = 0; i < s->nindex; i++)
		n += expr_nodes(s->index[i]);
	for (uint32_t i = 0; i < s->nbody; i++)
		n += stmt_nodes(s->body[i]);
	return n;
}

/* True when something in it was replaced; what stands above a replacement is simplified. */
static bool replace_expr(struct unroll *u, struct lir_expr **slot)
{
	struct lir_expr *x = *slot;
	bool any = false;

	if (!x)
		return false;
	if (x->kind == LIR_VAR && x->var == u->var) {
		*slot = lir_node_int(u->f->arena, DT_I64, u->value);
		return true;
	}
	for (uint32_t i = 0; i < x->nargs; i++)
		any |= replace_expr(u, &x->arg[i]);
	if (any)
		*slot = lir_simplify_node(u->f->arena, x);
	return any;
}

static void replace_stmt(struct unroll *u, struct lir_stmt *s)
{
	for (uint32_t i = 0; i < s->nindex; i++)
		replace_expr(u, &s->index[i]);
	replace_expr(u, &s->min);
	replace_expr(u, &s->extent);
	replace_expr(u, &s->value);
	for (uint32_t i = 0; i < s->nbody; i++)
		replace_stmt(u, s->body[i]);
}

static struct lir_stmt *copies(struct unroll *u, struct lir_stmt *loop, int64_t first, int64_t extent)
{
	struct arena *a = u->f->arena;
	VEC(struct lir_stmt *) list = {0};

	for (int64_t k = 0; k < extent; k++) {
		struct lir_stmt *s = lir_stmt_clone(u->f, loop->body[0]);

		u->var = loop->var;
		u->value = (int64_t)((uint64_t)first + (uint64_t)k);
		replace_stmt(u, s);
		if (s->kind == LIR_SEQ) {
			for (uint32_t i = 0; i < s->nbody; i++)
				vec_push(a, &list, s->body[i]);
		} else {
			vec_push(a, &list, s);
		}
	}
	return lir_seq(a, list.v, list.n);
}

static void unroll_stmt(struct unroll *u, struct lir_stmt **slot);

static void unroll_seq(struct unroll *u, struct lir_stmt **slot)
{
	struct arena *a = u->f->arena;
	struct lir_stmt *s = *slot;
	VEC(struct lir_stmt *) list = {0};
	bool any = false;

	for (uint32_t i = 0; i < s->nbody; i++) {
		struct lir_stmt *before = s->body[i], *after = before;

		unroll_stmt(u, &after);
		any = any || after != before;
		if (after == before || after->kind != LIR_SEQ) {
			vec_push(a, &list, after);
			continue;
		}
		for (uint32_t k = 0; k < after->nbody; k++) /* iterations stand beside what stood beside the loop */
			vec_push(a, &list, after->body[k]);
	}
	if (any) /* else it stays as it is, sequences in it and all */
		*slot = lir_seq(a, list.v, list.n);
}

static void unroll_stmt(struct unroll *u, struct lir_stmt **slot)
{
	struct lir_stmt *s = *slot;
	int64_t first, extent, nodes;

	if (s->kind == LIR_SEQ) {
		unroll_seq(u, slot);
		return;
	}
	for (uint32_t i = 0; i < s->nbody; i++)
		unroll_stmt(u, &s->body[i]);
	if (s->kind != LIR_FOR || s->loop != LIR_UNROLLED || !lir_expr_const_i64(s->min, &first) ||
	    !lir_expr_const_i64(s->extent, &extent))
		return;
	nodes = stmt_nodes(s->body[0]);
	if (extent > u->nodes_left / nodes)
		return;
	if (extent > 0)
		u->nodes_left -= extent * nodes;
	*slot = copies(u, s, first, extent);
	u->changed = true;
}

static bool run(struct lir_func *f, bool *changed, struct err *e)
{
	struct unroll u = {.f = f, .nodes_left = MAX_NODES};

	unroll_stmt(&u, &f->body);
	if (u.changed)
		lir_unique_names(f);
	*changed = u.changed;
	return true;
}

const struct lir_pass lir_pass_unroll = {
    .name = "unroll",
    .summary = "write out the iterations of unrolled loops with constant bounds",
    .run = run,
};
