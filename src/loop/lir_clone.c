/* lir_clone.c: a copy that shares nothing with its original, so that a mutation of one cannot be seen in the other */
#include <assert.h>

#include "base/arena.h"
#include "loop/loop_internal.h"

struct cloning {
	struct arena *a;
	struct lir_var **var; /* by id; NULL: keep variables and buffers */
	struct lir_buffer **buffer;
	uint32_t nvars, nbuffers;
};

static struct lir_var *clone_var(struct cloning *c, struct lir_var *v)
{
	if (!v || !c->var)
		return v;
	assert(v->id < c->nvars);
	if (!c->var[v->id]) {
		c->var[v->id] = arena_memdup(c->a, v, sizeof *v);
		c->var[v->id]->name = arena_strdup(c->a, v->name);
	}
	return c->var[v->id];
}

static struct lir_buffer *clone_buffer(struct cloning *c, struct lir_buffer *buf)
{
	if (!buf || !c->buffer)
		return buf;
	assert(buf->id < c->nbuffers);
	if (!c->buffer[buf->id]) {
		c->buffer[buf->id] = arena_memdup(c->a, buf, sizeof *buf);
		c->buffer[buf->id]->name = arena_strdup(c->a, buf->name);
	}
	return c->buffer[buf->id];
}

static struct lir_expr *clone_expr(struct cloning *c, const struct lir_expr *x)
{
	struct lir_expr *y;

	if (!x)
		return NULL;
	y = arena_memdup(c->a, x, sizeof *x);
	y->var = clone_var(c, x->var);
	y->buffer = clone_buffer(c, x->buffer);
	y->arg = x->nargs ? ARENA_ARRAY(c->a, struct lir_expr *, x->nargs) : NULL;
	for (uint32_t i = 0; i < x->nargs; i++)
		y->arg[i] = clone_expr(c, x->arg[i]);
	return y;
}

static struct lir_stmt *clone_stmt(struct cloning *c, const struct lir_stmt *s)
{
	struct lir_stmt *t = arena_memdup(c->a, s, sizeof *s);

	t->var = clone_var(c, s->var);
	t->buffer = clone_buffer(c, s->buffer);
	t->min = clone_expr(c, s->min);
	t->extent = clone_expr(c, s->extent);
	t->value = clone_expr(c, s->value);
	t->index = s->nindex ? ARENA_ARRAY(c->a, struct lir_expr *, s->nindex) : NULL;
	for (uint32_t i = 0; i < s->nindex; i++)
		t->index[i] = clone_expr(c, s->index[i]);
	t->body = s->nbody ? ARENA_ARRAY(c->a, struct lir_stmt *, s->nbody) : NULL;
	for (uint32_t i = 0; i < s->nbody; i++)
		t->body[i] = clone_stmt(c, s->body[i]);
	return t;
}

struct lir_expr *lir_expr_clone(struct arena *a, const struct lir_expr *x)
{
	struct cloning c = {.a = a};

	return clone_expr(&c, x);
}

struct lir_func *lir_func_clone(struct arena *a, const struct lir_func *f)
{
	struct arena *scratch = arena_new(NULL);
	struct cloning c = {a, ARENA_ARRAY(scratch, struct lir_var *, f->nvars),
			    ARENA_ARRAY(scratch, struct lir_buffer *, f->nbuffers), f->nvars, f->nbuffers};
	struct lir_func *g = arena_memdup(a, f, sizeof *f);

	g->arena = a;
	g->name = arena_strdup(a, f->name);
	g->param = ARENA_ARRAY(a, struct lir_buffer *, f->nparams);
	for (uint32_t i = 0; i < f->nparams; i++)
		g->param[i] = clone_buffer(&c, f->param[i]);
	g->body = clone_stmt(&c, f->body);
	arena_free(scratch);
	return g;
}

struct renaming {
	struct lir_func *f;
	struct cloning *c;
};

/* Variables and allocs defined inside get new ids; they are entered before the copying reaches their uses. */
static void fresh_definitions(struct renaming *r, const struct lir_stmt *s)
{
	if (s->kind == LIR_FOR || s->kind == LIR_LET)
		r->c->var[s->var->id] = lir_var_new(r->f, s->var->name, s->var->type);
	if (s->kind == LIR_ALLOC) {
		struct lir_buffer *buf = arena_memdup(r->f->arena, s->buffer, sizeof *s->buffer);

		buf->id = r->f->nbuffers++;
		r->c->buffer[s->buffer->id] = buf;
	}
	for (uint32_t i = 0; i < s->nbody; i++)
		fresh_definitions(r, s->body[i]);
}

static void keep_expr(struct cloning *c, const struct lir_expr *x)
{
	if (!x)
		return;
	if (x->var && !c->var[x->var->id])
		c->var[x->var->id] = x->var;
	if (x->buffer && !c->buffer[x->buffer->id])
		c->buffer[x->buffer->id] = x->buffer;
	for (uint32_t i = 0; i < x->nargs; i++)
		keep_expr(c, x->arg[i]);
}

/* What is defined outside stays what it is. */
static void keep_uses(struct cloning *c, const struct lir_stmt *s)
{
	keep_expr(c, s->min);
	keep_expr(c, s->extent);
	keep_expr(c, s->value);
	for (uint32_t i = 0; i < s->nindex; i++)
		keep_expr(c, s->index[i]);
	if (s->buffer && !c->buffer[s->buffer->id])
		c->buffer[s->buffer->id] = s->buffer;
	for (uint32_t i = 0; i < s->nbody; i++)
		keep_uses(c, s->body[i]);
}

struct lir_stmt *lir_stmt_clone(struct lir_func *f, const struct lir_stmt *s)
{
	struct arena *scratch = arena_new(NULL);
	struct cloning c = {f->arena, ARENA_ARRAY(scratch, struct lir_var *, f->nvars),
			    ARENA_ARRAY(scratch, struct lir_buffer *, f->nbuffers), f->nvars, f->nbuffers};
	struct renaming r = {f, &c};
	struct lir_stmt *t;

	fresh_definitions(&r, s);
	keep_uses(&c, s);
	t = clone_stmt(&c, s);
	arena_free(scratch);
	return t;
}
