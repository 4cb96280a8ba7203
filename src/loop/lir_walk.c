/* lir_walk.c: one visit to every statement and expression, in the order in which they are printed */
#include "base/arena.h"
#include "base/vec.h"
#include "loop/loop_internal.h"

struct walk {
	struct arena *scratch;
	VEC(struct lir_stmt *) parents;
	bool (*visit)(const struct lir_visit *v, void *user);
	void *user;
};

static bool walk_expr(struct walk *w, struct lir_expr **slot, uint32_t depth)
{
	struct lir_visit v = {NULL, slot, w->parents.v, (uint32_t)w->parents.n, depth};
	struct lir_expr *x = *slot;

	if (!w->visit(&v, w->user))
		return false;
	if (*slot != x) /* replaced */
		return true;
	for (uint32_t i = 0; i < x->nargs; i++)
		if (!walk_expr(w, &x->arg[i], depth + 1))
			return false;
	return true;
}

static bool walk_stmt(struct walk *w, struct lir_stmt **slot);

static bool walk_parts(struct walk *w, struct lir_stmt *s)
{
	for (uint32_t i = 0; i < s->nindex; i++)
		if (!walk_expr(w, &s->index[i], 0))
			return false;
	if ((s->min && !walk_expr(w, &s->min, 0)) || (s->extent && !walk_expr(w, &s->extent, 0)) ||
	    (s->value && !walk_expr(w, &s->value, 0)))
		return false;
	for (uint32_t i = 0; i < s->nbody; i++)
		if (!walk_stmt(w, &s->body[i]))
			return false;
	return true;
}

static bool walk_stmt(struct walk *w, struct lir_stmt **slot)
{
	struct lir_visit v = {slot, NULL, w->parents.v, (uint32_t)w->parents.n, 0};
	struct lir_stmt *s = *slot;
	bool ok;

	if (!w->visit(&v, w->user))
		return false;
	if (*slot != s)
		return true;
	vec_push(w->scratch, &w->parents, s);
	ok = walk_parts(w, s);
	w->parents.n--;
	return ok;
}

bool lir_walk(struct lir_func *f, bool (*visit)(const struct lir_visit *v, void *user), void *user)
{
	struct walk w = {.scratch = arena_new(NULL), .visit = visit, .user = user};
	bool ok = walk_stmt(&w, &f->body);

	arena_free(w.scratch);
	return ok;
}
