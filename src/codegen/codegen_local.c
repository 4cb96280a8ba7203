/* codegen_local.c: which local buffers can be variables, and which of their pieces may be read unwritten */
#include <string.h>

#include "base/arena.h"
#include "codegen/codegen_internal.h"

#define MAX_PIECES 256 /* more variables than that only cost the compiler time */
#define MAX_ELEMENTS_SPLIT (MAX_PIECES * LIR_MAX_LANES)

bool cg_local_split(const struct cg_local *l)
{
	return !l->spoiled;
}

int64_t cg_local_elements(const struct cg *g, const struct lir_buffer *b)
{
	return b->scope == LIR_PRIVATE && !g->groups ? b->elements * g->f->group : b->elements;
}

/* An allocation is entered: nothing of it is written. */
void cg_local_begin(struct cg *g, const struct lir_buffer *b)
{
	struct cg_local *l = &g->local[b->id];

	l->certain = g->certain;
	if (!g->dry)
		return;
	if (b->elements > MAX_ELEMENTS_SPLIT || b->scope == LIR_SHARED || (b->scope == LIR_PRIVATE && !g->groups))
		l->spoiled = true;
	if (l->spoiled)
		return;
	if (!l->used) {
		l->used = arena_zalloc(g->a, (size_t)b->elements * 3);
		l->fill = l->used + b->elements;
		l->touched = l->fill + b->elements;
	}
	memset(l->touched, 0, (size_t)b->elements);
}

/* An access in text order. A piece that is first touched by a store which surely happens needs no filling. */
void cg_local_touch(struct cg *g, const struct lir_buffer *b, struct lir_expr *const *index, uint32_t n, enum dtype access,
		    bool store)
{
	struct cg_local *l = &g->local[b->id];
	const struct lir_expr *last = n ? index[n - 1] : NULL;
	int lanes = last ? last->type.lanes : 1;
	int64_t at;

	if (lanes > 1 && b->scope == LIR_PRIVATE && !g->groups)
		cg_fail(g, "vectors in private memory");
	if (b->scope == LIR_GLOBAL || !g->dry || l->spoiled)
		return;
	if ((l->lanes && l->lanes != lanes) || access != b->dtype || !cg_place_const(g, b, index, n, &at) || at < 0 || at % lanes ||
	    at + lanes > b->elements || (lanes > 1 && (last->kind != LIR_RAMP || last->i != 1 || b->stride[n - 1] != 1)) ||
	    b->elements / lanes > MAX_PIECES) {
		l->spoiled = true;
		return;
	}
	l->lanes = lanes;
	at /= lanes;
	l->used[at] = 1;
	if (!l->touched[at] && !(store && g->certain == l->certain))
		l->fill[at] = 1;
	l->touched[at] = 1;
}
