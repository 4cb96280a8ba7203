/* codegen_range.c: how large the integers of a function can become
 *
 * Each integer expression has an interval, and a bound on what any partial sum of it can reach, since element numbers are
 * written as sums in an order of their own. Values that are loaded have the range of their type.
 */
#include <math.h>

#include "base/arena.h"
#include "codegen/codegen_internal.h"

#define NO_BOUND 1e300

struct range {
	struct lir_range v;
	double sum; /* of the absolute values of its terms */
};

struct ranges {
	struct range *var; /* by variable id */
	bool fits;
};

static struct range range_of(struct ranges *r, const struct lir_expr *x);

static struct range opaque(struct lir_range v)
{
	return (struct range){v, lir_range_bounded(v) ? fmax(fabs((double)v.low), fabs((double)v.high)) : NO_BOUND};
}

static struct range of_type(enum dtype t)
{
	return t == DT_I32 ? (struct range){lir_range_of_type(t), INT32_MAX} : opaque(lir_range_of_type(t));
}

static struct range binary(struct ranges *r, const struct lir_expr *x)
{
	struct range a = range_of(r, x->arg[0]), b = range_of(r, x->arg[1]), out = opaque(lir_range_binary(x->op, a.v, b.v));

	switch (x->op) {
	case LIR_ADD:
	case LIR_SUB: out.sum = a.sum + b.sum; return out;
	case LIR_MUL: out.sum = a.sum * b.sum; return out;
	case LIR_DIV:
	case LIR_MOD:
	case LIR_MIN:
	case LIR_MAX: return out;
	default: return of_type(x->type.dtype);
	}
}

static struct range place(struct ranges *r, const struct lir_buffer *b, struct lir_expr *const *index, uint32_t n)
{
	struct range at = opaque((struct lir_range){b->offset, b->offset});

	for (uint32_t i = 0; i < n; i++)
		at.sum += range_of(r, index[i]).sum * fabs((double)b->stride[i]);
	return at;
}

static struct range range_of(struct ranges *r, const struct lir_expr *x)
{
	struct range v = of_type(x->type.dtype);
	struct lir_range from, lanes = {0, 0};

	switch (x->kind) {
	case LIR_INT: v = opaque((struct lir_range){x->i, x->i}); break;
	case LIR_VAR: v = r->var[x->var->id]; break;
	case LIR_BINARY: v = binary(r, x); break;
	case LIR_SELECT:
		range_of(r, x->arg[0]);
		v = opaque(lir_range_unite(range_of(r, x->arg[1]).v, range_of(r, x->arg[2]).v));
		break;
	case LIR_CAST:
		from = lir_range_within(range_of(r, x->arg[0]).v, x->arg[0]->type.dtype);
		v = dtype_is_float(x->arg[0]->type.dtype) ? v : opaque(lir_range_within(from, x->type.dtype));
		break;
	case LIR_RAMP:
		v = range_of(r, x->arg[0]);
		*(x->i < 0 ? &lanes.low : &lanes.high) = x->i * (x->type.lanes - 1);
		v.v = lir_range_binary(LIR_ADD, v.v, lanes);
		v.sum += fabs((double)x->i) * x->type.lanes;
		break;
	case LIR_LOAD: r->fits = r->fits && place(r, x->buffer, x->arg, x->nargs).sum <= INT32_MAX; break;
	default:
		for (uint32_t i = 0; i < x->nargs; i++)
			v = x->kind == LIR_BROADCAST || x->kind == LIR_LANE ? range_of(r, x->arg[i]) : (range_of(r, x->arg[i]), v);
		break;
	}
	if (x->type.dtype == DT_I64)
		r->fits = r->fits && v.sum <= INT32_MAX + 1.0 && v.v.low >= INT32_MIN && v.v.high <= INT32_MAX;
	return v;
}

static void check(struct ranges *r, const struct lir_stmt *s)
{
	if (s->kind == LIR_FOR) {
		struct lir_range min = range_of(r, s->min).v, extent = range_of(r, s->extent).v, end = lir_range_binary(LIR_ADD, min, extent);

		r->var[s->var->id] = opaque((struct lir_range){min.low, end.high - 1 > min.low ? end.high - 1 : min.low});
		r->fits = r->fits && end.high <= INT32_MAX;
	} else if (s->value) {
		struct range v = range_of(r, s->value);

		if (s->kind == LIR_LET)
			r->var[s->var->id] = opaque(v.v);
	}
	if (s->kind == LIR_STORE)
		r->fits = r->fits && place(r, s->buffer, s->index, s->nindex).sum <= INT32_MAX;
	for (uint32_t i = 0; i < s->nbody; i++)
		check(r, s->body[i]);
}

bool cg_fits_int(const struct lir_func *f)
{
	struct arena *a = arena_new(NULL);
	struct ranges r = {.var = ARENA_ARRAY(a, struct range, f->nvars + 1), .fits = true};

	for (uint32_t i = 0; i < f->nparams; i++)
		r.fits = r.fits && f->param[i]->dtype != DT_I64;
	check(&r, f->body);
	arena_free(a);
	return r.fits;
}
