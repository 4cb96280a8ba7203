/* mut_loop_store.c: what a kernel stores - its type, its value, whether at all */
#include "mutate/mutate_internal.h"

static struct lir_stmt *store_at(const struct mut_place *p)
{
	return p->stmt && (*p->stmt)->kind == LIR_STORE ? *p->stmt : NULL;
}

static const enum dtype narrow[] = {DT_F16, DT_I32, DT_I16, DT_I8};
static const char *const type_variants[] = {"f16", "i32", "i16", "i8", NULL};

/* ---- narrow stores: the value in another type, at that type's stride ---- */

static uint64_t narrow_sites(const struct mut_place *p)
{
	struct lir_stmt *s = store_at(p);

	return s && s->buffer->dtype == DT_F32 && s->access == DT_F32 && s->buffer->scope == LIR_GLOBAL ? 15 : 0;
}

static bool narrow_apply(struct arena *a, struct lir_func *f, const struct mut_place *p, unsigned variant, struct err *e)
{
	struct lir_builder b = {.a = a, .f = f};
	struct lir_stmt *s = store_at(p);

	s->value = lir_cast(&b, narrow[variant], s->value);
	s->access = narrow[variant];
	return true;
}

const struct mut_op mut_loop_store_narrow = {.name = "loop.store.narrow",
                                             .kind = MUT_LOOP,
                                             .category = MUT_CAT_TYPES,
                                             .summary = "a float32 result is stored as another type, at that type's stride",
                                             .imitates = "a store through a pointer of the wrong type: the reader finds other bits",
                                             .variant = type_variants,
                                             .loop_variants = narrow_sites,
                                             .loop_apply = narrow_apply};

/* ---- round trips: only the precision is lost ---- */

static uint64_t trip_sites(const struct mut_place *p)
{
	struct lir_stmt *s = store_at(p);

	return s && s->access == DT_F32 && s->buffer->dtype == DT_F32 ? 15 : 0;
}

static bool trip_apply(struct arena *a, struct lir_func *f, const struct mut_place *p, unsigned variant, struct err *e)
{
	struct lir_builder b = {.a = a, .f = f};
	struct lir_stmt *s = store_at(p);

	s->value = lir_cast(&b, DT_F32, lir_cast(&b, narrow[variant], s->value));
	return true;
}

const struct mut_op mut_loop_store_round_trip = {.name = "loop.store.round-trip",
                                                 .kind = MUT_LOOP,
                                                 .category = MUT_CAT_TYPES,
                                                 .summary = "a float32 result goes through another type before it is stored",
                                                 .imitates = "an accumulator or activation kept in too narrow a type",
                                                 .variant = type_variants,
                                                 .loop_variants = trip_sites,
                                                 .loop_apply = trip_apply};

/* ---- values ---- */

static const struct {
	enum lir_op op;
	double by;
} change[] = {{LIR_SUB, 1e-8}, {LIR_MUL, 1.00000001}, {LIR_ADD, 1e-3}, {LIR_SUB, 1e-3}, {LIR_MUL, 1.001}, {LIR_DIV, 1.001},
              {LIR_ADD, 1},    {LIR_SUB, 1},          {LIR_MUL, 2},    {LIR_DIV, 2},    {LIR_MUL, -1},    {LIR_MUL, 0}};
static const char *const value_variants[] = {"-1e-8",  "*1.00000001", "+1e-3", "-1e-3", "*1.001", "div1.001", "+1", "-1", "*2", "div2", "negate", "zero", NULL};

static uint64_t value_sites(const struct mut_place *p)
{
	struct lir_stmt *s = store_at(p);

	return s && dtype_is_float(s->access) && s->access == s->buffer->dtype ? 0xfff : 0;
}

static bool value_apply(struct arena *a, struct lir_func *f, const struct mut_place *p, unsigned variant, struct err *e)
{
	struct lir_builder b = {.a = a, .f = f};
	struct lir_stmt *s = store_at(p);

	s->value = lir_binary(&b, change[variant].op, s->value, lir_imm(&b, s->access, change[variant].by));
	return true;
}

const struct mut_op mut_loop_store_value = {.name = "loop.store.value",
                                            .kind = MUT_LOOP,
                                            .category = MUT_CAT_STORES,
                                            .summary = "a constant is added to a stored value, or it is scaled",
                                            .imitates = "a wrong bias, scale or rounding constant; a lost sign",
                                            .variant = value_variants,
                                            .loop_variants = value_sites,
                                            .loop_apply = value_apply};

/* ---- stores left out ---- */

static uint64_t skip_sites(const struct mut_place *p)
{
	return store_at(p) ? 1 : 0;
}

static bool skip_apply(struct arena *a, struct lir_func *f, const struct mut_place *p, unsigned variant, struct err *e)
{
	struct lir_stmt *nothing = ARENA_NEW(a, struct lir_stmt);

	nothing->kind = LIR_SEQ;
	*p->stmt = nothing;
	return true;
}

static const char *const skip_variants[] = {"skip", NULL};

const struct mut_op mut_loop_store_skip = {.name = "loop.store.skip",
                                           .kind = MUT_LOOP,
                                           .category = MUT_CAT_STORES,
                                           .summary = "a store is left out",
                                           .imitates = "a store removed as dead, or put behind the wrong guard",
                                           .variant = skip_variants,
                                           .loop_variants = skip_sites,
                                           .loop_apply = skip_apply};
