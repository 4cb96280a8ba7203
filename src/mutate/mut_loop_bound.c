/* mut_loop_bound.c: where loops begin and how often they run; how far a parallel loop is split; indices off by one */
#include "mutate/mutate_internal.h"

static const struct lir_stmt *loop_at(const struct mut_place *p)
{
	return p->stmt && (*p->stmt)->kind == LIR_FOR ? *p->stmt : NULL;
}

static struct lir_expr *moved(struct lir_builder *b, struct lir_expr *x, unsigned how)
{
	switch (how) {
	case 0: return lir_add(b, x, lir_int(b, 1));
	case 1: return lir_sub(b, x, lir_int(b, 1));
	case 2: return lir_div(b, x, lir_int(b, 2));
	default: return lir_mul(b, x, lir_int(b, 2));
	}
}

/* The first loop of the parallel chain: what a launch is sized by. */
static bool is_launch(const struct mut_place *p)
{
	return loop_at(p)->loop == LIR_PARALLEL && !(p->nparents && lir_is_chained(loop_at(p), p->parent[p->nparents - 1]));
}

static uint64_t inner_sites(const struct mut_place *p)
{
	return loop_at(p) && !is_launch(p) ? 3 : 0;
}

static uint64_t extent_sites(const struct mut_place *p)
{
	return loop_at(p) && !is_launch(p) ? 15 : 0;
}

static uint64_t launch_sites(const struct mut_place *p)
{
	return loop_at(p) && is_launch(p) ? 15 : 0;
}

static bool min_apply(struct arena *a, struct lir_func *f, const struct mut_place *p, unsigned variant, struct err *e)
{
	struct lir_builder b = {.a = a, .f = f};

	(*p->stmt)->min = moved(&b, (*p->stmt)->min, variant);
	return true;
}

static bool extent_apply(struct arena *a, struct lir_func *f, const struct mut_place *p, unsigned variant, struct err *e)
{
	struct lir_builder b = {.a = a, .f = f};

	(*p->stmt)->extent = moved(&b, (*p->stmt)->extent, variant);
	return true;
}

static const char *const min_variants[] = {"+1", "-1", NULL};
static const char *const extent_variants[] = {"+1", "-1", "half", "double", NULL};

const struct mut_op mut_loop_min = {.name = "loop.bound.min",
				    .kind = MUT_LOOP,
				    .category = MUT_CAT_BOUNDS,
				    .summary = "a loop runs as often, but from one further up or down",
				    .imitates = "a tile or tail that starts one element early or late",
				    .variant = min_variants,
				    .loop_variants = inner_sites,
				    .loop_apply = min_apply};

const struct mut_op mut_loop_extent = {.name = "loop.bound.extent",
				       .kind = MUT_LOOP,
				       .category = MUT_CAT_BOUNDS,
				       .summary = "a loop runs once more, once less, half or twice as often",
				       .imitates = "a dropped tail, an overrun, a loop partitioned wrongly",
				       .variant = extent_variants,
				       .loop_variants = extent_sites,
				       .loop_apply = extent_apply};

const struct mut_op mut_loop_launch = {.name = "loop.launch.extent",
				       .kind = MUT_LOOP,
				       .category = MUT_CAT_BOUNDS,
				       .summary =
					   "the parallel loop (the launch) has one more, one less, half or twice the iterations",
				       .imitates = "a grid or thread count computed wrongly",
				       .variant = extent_variants,
				       .loop_variants = launch_sites,
				       .loop_apply = extent_apply};

/* ---- barriers ---- */

static uint64_t barrier_sites(const struct mut_place *p)
{
	return loop_at(p) && loop_at(p)->loop == LIR_THREAD;
}

static bool barrier_apply(struct arena *a, struct lir_func *f, const struct mut_place *p, unsigned variant, struct err *e)
{
	(*p->stmt)->loop = LIR_THREAD_NOBARRIER;
	return true;
}

static const char *const barrier_variants[] = {"drop", NULL};

const struct mut_op mut_loop_barrier = {.name = "loop.sync.barrier",
					.kind = MUT_LOOP,
					.category = MUT_CAT_STORES,
					.summary = "the work-items of a group do not wait for each other behind a loop",
					.imitates = "a forgotten barrier: what is read may not have been written yet",
					.variant = barrier_variants,
					.loop_variants = barrier_sites,
					.loop_apply = barrier_apply};

/* ---- indices ---- */

/* A tensor, or what a group shares of it. */
static bool for_many(const struct lir_buffer *b)
{
	return b->scope == LIR_GLOBAL || b->scope == LIR_SHARED;
}

static uint64_t load_sites(const struct mut_place *p)
{
	return p->expr && (*p->expr)->kind == LIR_LOAD && for_many((*p->expr)->buffer) && (*p->expr)->nargs ? 3 : 0;
}

static uint64_t store_sites(const struct mut_place *p)
{
	return p->stmt && (*p->stmt)->kind == LIR_STORE && for_many((*p->stmt)->buffer) && (*p->stmt)->nindex ? 3 : 0;
}

/* A ramp is moved by its base. */
static struct lir_expr *moved_index(struct lir_builder *b, struct lir_expr *x, unsigned how)
{
	struct lir_expr *r;

	if (x->kind != LIR_RAMP)
		return moved(b, x, how);
	r = arena_memdup(b->a, x, sizeof *x);
	r->arg = arena_memdup(b->a, x->arg, sizeof *x->arg);
	r->arg[0] = moved(b, x->arg[0], how);
	return r;
}

static bool load_apply(struct arena *a, struct lir_func *f, const struct mut_place *p, unsigned variant, struct err *e)
{
	struct lir_expr *x = arena_memdup(a, *p->expr, sizeof *x);
	struct lir_builder b = {.a = a, .f = f};

	x->arg = arena_memdup(a, x->arg, x->nargs * sizeof *x->arg);
	x->arg[x->nargs - 1] = moved_index(&b, x->arg[x->nargs - 1], variant);
	*p->expr = x;
	return true;
}

static bool store_apply(struct arena *a, struct lir_func *f, const struct mut_place *p, unsigned variant, struct err *e)
{
	struct lir_stmt *s = *p->stmt;
	struct lir_builder b = {.a = a, .f = f};

	s->index[s->nindex - 1] = moved_index(&b, s->index[s->nindex - 1], variant);
	return true;
}

const struct mut_op mut_loop_load_index = {.name = "loop.index.load",
					   .kind = MUT_LOOP,
					   .category = MUT_CAT_BOUNDS,
					   .summary = "a tensor is read one element further up or down",
					   .imitates = "a wrong stride, offset or halo",
					   .variant = min_variants,
					   .loop_variants = load_sites,
					   .loop_apply = load_apply};

const struct mut_op mut_loop_store_index = {.name = "loop.index.store",
					    .kind = MUT_LOOP,
					    .category = MUT_CAT_BOUNDS,
					    .summary = "a result is written one element further up or down",
					    .imitates = "a wrong stride or offset of an output",
					    .variant = min_variants,
					    .loop_variants = store_sites,
					    .loop_apply = store_apply};
