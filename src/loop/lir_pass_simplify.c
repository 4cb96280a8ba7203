/* lir_pass_simplify.c: integer arithmetic on constants, decided conditions, loops that never run
 *
 * A comparison disappears only when both sides are constants; one that could be decided by knowing a variable's range
 * stays, since it is a mutation site.
 */
#include "base/arena.h"
#include "base/vec.h"
#include "loop/loop_internal.h"

struct simplify {
	struct lir_func *f;
	bool changed;
};

/* Folding may write the same expression anew. */
static bool same_binary(const struct lir_expr *x, const struct lir_expr *y)
{
	return y->kind == LIR_BINARY && y->op == x->op && y->arg[0] == x->arg[0] && x->arg[1]->kind == LIR_INT &&
	       y->arg[1]->kind == LIR_INT && x->arg[1]->i == y->arg[1]->i;
}

struct lir_expr *lir_simplify_node(struct arena *a, struct lir_expr *x)
{
	struct lir_expr *y = NULL;

	switch (x->kind) {
	case LIR_BINARY:
		y = lir_fold_binary(a, x->op, x->arg[0], x->arg[1]);
		if (y && same_binary(x, y))
			y = NULL;
		break;
	case LIR_NOT:
		if (x->arg[0]->kind == LIR_INT)
			y = lir_node_int(a, DT_BOOL, !x->arg[0]->i);
		break;
	case LIR_SELECT:
		if (x->arg[0]->kind == LIR_INT)
			y = x->arg[0]->i ? x->arg[1] : x->arg[2];
		break;
	case LIR_CAST: y = x->type.dtype == x->arg[0]->type.dtype ? x->arg[0] : lir_fold_cast(a, x->type.dtype, x->arg[0]); break;
	default: break;
	}
	return y ? y : x;
}

static void simplify_expr(struct simplify *s, struct lir_expr **slot)
{
	struct lir_expr *x = *slot;

	if (!x)
		return;
	for (uint32_t i = 0; i < x->nargs; i++)
		simplify_expr(s, &x->arg[i]);
	*slot = lir_simplify_node(s->f->arena, x);
	s->changed |= *slot != x;
}

static bool is_empty(const struct lir_stmt *s)
{
	return s->kind == LIR_SEQ && !s->nbody;
}

/* What stands in s's place. */
static struct lir_stmt *simplify_stmt(struct simplify *s, struct lir_stmt *t)
{
	struct arena *a = s->f->arena;
	VEC(struct lir_stmt *) kept = {0};
	int64_t extent;

	for (uint32_t i = 0; i < t->nindex; i++)
		simplify_expr(s, &t->index[i]);
	simplify_expr(s, &t->min);
	simplify_expr(s, &t->extent);
	simplify_expr(s, &t->value);
	if (t->kind == LIR_FOR && lir_expr_const_i64(t->extent, &extent) && extent <= 0) {
		s->changed = true;
		return lir_seq(a, NULL, 0);
	}
	if (t->kind == LIR_IF && t->value->kind == LIR_INT) {
		s->changed = true;
		if (!t->value->i && t->nbody == 1)
			return lir_seq(a, NULL, 0);
		return simplify_stmt(s, t->body[!t->value->i]);
	}
	for (uint32_t i = 0; i < t->nbody; i++)
		t->body[i] = simplify_stmt(s, t->body[i]);
	if (t->kind == LIR_IF && t->nbody == 2 && is_empty(t->body[1])) {
		t->nbody = 1;
		s->changed = true;
	}
	if (t->kind != LIR_SEQ)
		return t;
	for (uint32_t i = 0; i < t->nbody; i++) {
		if (!is_empty(t->body[i]))
			vec_push(a, &kept, t->body[i]);
		else
			s->changed = true;
	}
	return kept.n == t->nbody ? t : lir_seq(a, kept.v, kept.n);
}

static bool run(struct lir_func *f, bool *changed, struct err *e)
{
	struct simplify s = {.f = f};
	struct hash before = lir_hash(f);

	f->body = simplify_stmt(&s, f->body);
	*changed = s.changed && !hash_eq(before, lir_hash(f)); /* an empty sequence inside another has no text */
	return true;
}

const struct lir_pass lir_pass_simplify = {
    .name = "simplify",
    .summary = "fold integer constants, decided conditions and loops that never run",
    .run = run,
};
