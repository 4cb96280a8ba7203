/* fuzz_access.c: random functions whose accesses are in range, or nearly so */
#include "fuzz_access.h"

#include <string.h>

#include "base/arena.h"

struct gen {
	struct lir_builder b;
	uint64_t state;
	struct lir_expr *var[12];
	int nvars;
	struct lir_buffer *x, *data, *v, *y, *z, *local;
	unsigned with;
};

static int rnd(struct gen *g, int n)
{
	g->state = g->state * 6364136223846793005u + 1442695040888963407u;
	return (int)((g->state >> 33) % (uint64_t)n);
}

static struct lir_expr *number(struct gen *g, int low, int high)
{
	return lir_int(&g->b, low + rnd(g, high - low + 1));
}

static struct lir_expr *condition(struct gen *g, int depth);

static struct lir_expr *integer(struct gen *g, int depth)
{
	struct lir_builder *b = &g->b;
	struct lir_expr *i;

	if (depth == 0 || rnd(g, 5) == 0)
		return g->nvars && rnd(g, 4) ? g->var[rnd(g, g->nvars)] : number(g, -3, 9);
	switch (rnd(g, 11)) {
	case 0:
	case 1: return lir_add(b, integer(g, depth - 1), integer(g, depth - 1));
	case 2: return lir_sub(b, integer(g, depth - 1), integer(g, depth - 1));
	case 3: return lir_mul(b, integer(g, depth - 1), number(g, -2, 4));
	case 4: return lir_div(b, integer(g, depth - 1), number(g, 1, 5));
	case 5: return lir_mod(b, integer(g, depth - 1), number(g, 1, 9));
	case 6: return lir_min(b, integer(g, depth - 1), integer(g, depth - 1));
	case 7: return lir_max(b, integer(g, depth - 1), integer(g, depth - 1));
	case 8: return lir_select(b, condition(g, depth - 1), integer(g, depth - 1), integer(g, depth - 1));
	case 9: return lir_cast(b, DT_I64, lir_cast(b, rnd(g, 2) ? DT_I8 : DT_U8, integer(g, depth - 1)));
	default:
		i = lir_mod(b, lir_add(b, lir_mod(b, integer(g, depth - 1), lir_int(b, 8)), lir_int(b, 8)), lir_int(b, 8));
		return lir_load(b, g->data, &i);
	}
}

static struct lir_expr *condition(struct gen *g, int depth)
{
	static const enum lir_op op[] = {LIR_LT, LIR_LE, LIR_GT, LIR_GE, LIR_EQ, LIR_NE};
	struct lir_builder *b = &g->b;
	struct lir_expr *x;

	switch (depth ? rnd(g, 7) : 0) {
	case 1: return lir_and(b, condition(g, depth - 1), condition(g, depth - 1));
	case 2: return lir_or(b, condition(g, depth - 1), condition(g, depth - 1));
	case 3: return lir_not(b, condition(g, depth - 1));
	case 4:
		x = lir_cast(b, DT_F32, integer(g, depth - 1));
		return lir_binary(b, op[rnd(g, 6)], lir_add(b, x, lir_imm(b, DT_F32, (double)(rnd(g, 9) - 4) / 2)),
				  rnd(g, 2) ? lir_cast(b, DT_F32, number(g, 0, 8)) : lir_imm(b, DT_F32, rnd(g, 40) / 5.0));
	default: return lir_binary(b, op[rnd(g, 6)], integer(g, depth), rnd(g, 2) ? number(g, -1, 9) : integer(g, depth));
	}
}

/* Through local arrays, outputs that are read, narrow stores, vectors, views: all a bit out of bounds or before their time. */
static void random_store(struct gen *g)
{
	struct lir_builder *b = &g->b;
	struct lir_expr *at[2] = {integer(g, 1), lir_add(b, integer(g, 1), lir_int(b, rnd(g, 3)))}, *v;

	switch (rnd(g, 6)) {
	case 0: v = lir_load(b, g->y, at); break;
	case 1: v = lir_load(b, g->v, at); break;
	case 2: v = g->local ? lir_load(b, g->local, at) : lir_imm(b, DT_F32, 1); break;
	case 3: v = lir_add(b, lir_load(b, g->x, at), lir_load(b, g->y, at)); break;
	default: v = lir_cast(b, DT_F32, integer(g, 1)); break;
	}
	at[0] = rnd(g, 2) ? integer(g, 1) : lir_int(b, rnd(g, 8));
	switch (rnd(g, 6)) {
	case 0:
		if (g->local) {
			lir_store(b, g->local, at, v);
			break;
		}
		/* fall through */
	case 1: lir_store(b, g->y, at, v); break;
	case 2:
		lir_store(
		    b, g->z, at,
		    lir_cast(b, DT_I32, lir_add(b, integer(g, 1), lir_select(b, condition(g, 1), lir_int(b, 0), lir_int(b, 1)))));
		break;
	case 3: lir_store(b, g->z, at, lir_load(b, g->z, (struct lir_expr *[]){integer(g, 1)})); break;
	case 4:
		if (g->with & FUZZ_VECTORS) {
			lir_store(
			    b, g->y, at,
			    lir_load_lanes(b, rnd(g, 2) ? g->y : g->x, (struct lir_expr *[]){integer(g, 1), integer(g, 1)}, 4));
			break;
		}
		/* fall through */
	default: lir_store(b, g->y, at, v); break;
	}
}

static void random_access(struct gen *g)
{
	struct lir_expr *at[2], *v;
	struct lir_builder *b = &g->b;

	if (g->with && rnd(g, 2)) {
		random_store(g);
		return;
	}
	at[0] = integer(g, 2);
	at[1] = integer(g, 2);
	if (rnd(g, 2)) { /* guarded, more or less well */
		struct lir_expr *inside = lir_and(b, lir_ge(b, at[0], number(g, -1, 0)), lir_lt(b, at[0], number(g, 3, 5)));

		inside = rnd(g, 4)
			     ? lir_and(b, inside, lir_and(b, lir_ge(b, at[1], lir_int(b, 0)), lir_lt(b, at[1], number(g, 6, 7))))
			     : inside;
		v = lir_select(b, inside, lir_load(b, g->x, at), lir_imm(b, DT_F32, 0));
	} else {
		at[0] = lir_max(b, lir_min(b, at[0], number(g, 2, 4)), number(g, -1, 0));
		at[1] = lir_mod(b, lir_add(b, lir_mod(b, at[1], lir_int(b, 6)), lir_int(b, 6)), number(g, 5, 7));
		v = lir_load(b, g->x, at);
	}
	at[0] = lir_int(b, rnd(g, 8));
	lir_store(b, g->y, at, v);
}

static void random_block(struct gen *g, int depth)
{
	struct lir_builder *b = &g->b;
	int kept = g->nvars;

	for (int n = 1 + rnd(g, 2); n > 0; n--) {
		g->nvars = kept;
		struct lir_buffer *local = g->local;

		lir_scope(b);
		if (g->with && rnd(g, 3) == 0)
			g->local = lir_alloc(b, "t", DT_F32, 1, (int64_t[]){4});
		if (depth && rnd(g, 3)) {
			if (rnd(g, 2))
				g->var[g->nvars++] = lir_let(b, "l", integer(g, 2));
			if (rnd(g, 2)) {
				struct lir_expr *min = rnd(g, 2) ? lir_int(b, 0) : integer(g, 1),
						*extent = rnd(g, 3) ? number(g, 0, 6) : integer(g, 1);

				extent = lir_min(b, extent, lir_int(b, 6));
				g->var[g->nvars] = lir_for_expr(b, "i", min, extent, LIR_SERIAL);
				g->nvars++;
			} else {
				lir_if(b, condition(g, 2));
			}
			random_block(g, depth - 1);
			lir_end(b);
		} else {
			random_access(g);
		}
		lir_end(b);
		g->local = local;
	}
	g->nvars = kept;
}

static void narrow_some(struct gen *g, struct lir_stmt *s)
{
	if (s->kind == LIR_STORE && s->buffer == g->z && rnd(g, 2)) {
		s->access = DT_I8;
		s->value = lir_cast(&g->b, DT_I8, s->value);
	}
	for (uint32_t i = 0; i < s->nbody; i++)
		narrow_some(g, s->body[i]);
}

struct lir_func *fuzz_access_func(struct arena *a, uint64_t seed, unsigned with)
{
	struct gen g = {.state = seed * 77 + 5, .with = with};
	struct lir_func *f;

	lir_begin(&g.b, a, "random");
	g.x = lir_param(&g.b, "x", DT_F32, 2, (int64_t[]){4, 6}, false);
	g.data = lir_param(&g.b, "n", DT_I64, 1, (int64_t[]){8}, false);
	g.y = lir_param(&g.b, "y", DT_F32, 1, (int64_t[]){8}, true);
	g.v = lir_param(&g.b, "v", DT_F32, 2, (int64_t[]){3, 3}, false);
	g.v->stride[0] = 4;
	g.v->offset = 1;
	g.v->elements = (with & FUZZ_VIEWS) && seed % 3 == 0 ? 9 : 12;
	if (with)
		g.z = lir_param(&g.b, "z", DT_I32, 1, (int64_t[]){16}, true);
	if (with & FUZZ_PARALLEL)
		g.var[g.nvars++] = lir_for(&g.b, "p", 2, LIR_PARALLEL);
	random_block(&g, 4);
	if (with & FUZZ_PARALLEL)
		lir_end(&g.b);
	f = lir_finish(&g.b);
	lir_edit(&g.b, f);
	if (with)
		narrow_some(&g, f->body);
	return f;
}

void **fuzz_access_data(struct arena *a, const struct lir_func *f, int which)
{
	static const int64_t values[FUZZ_ACCESS_DATA][8] = {
	    {0}, {1, 2, 3, 4, 5, 6, 7, 8}, {-1, -5, 100, 3, -128, 9, 255, 2}, {INT64_MAX, INT64_MIN, 7, -7, 1, 1, 0, 3}};
	void **out = ARENA_ARRAY(a, void *, f->nparams);

	for (uint32_t i = 0; i < f->nparams; i++) {
		out[i] = arena_zalloc(a, (size_t)f->param[i]->elements * dtype_size(f->param[i]->dtype) + 64);
		for (int64_t k = 0; i + f->nout < f->nparams && f->param[i]->dtype == DT_F32 && k < f->param[i]->elements; k++)
			((float *)out[i])[k] = (float)(k + 1 + which);
	}
	memcpy(out[1], values[which], sizeof values[which]);
	return out;
}
