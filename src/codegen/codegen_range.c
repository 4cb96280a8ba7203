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
	double low, high, sum; /* sum: of the absolute values of its terms */
};

struct ranges {
	struct range *var; /* by variable id */
	bool fits;
};

static struct range range_of(struct ranges *r, const struct lir_expr *x);

static struct range opaque(double low, double high)
{
	return (struct range){low, high, fmax(fabs(low), fabs(high))};
}

static struct range of_type(enum dtype t)
{
	switch (t) {
	case DT_BOOL: return opaque(0, 1);
	case DT_I8: return opaque(-128, 127);
	case DT_U8: return opaque(0, 255);
	case DT_I16: return opaque(-32768, 32767);
	case DT_U16: return opaque(0, 65535);
	case DT_I32: return (struct range){INT32_MIN, INT32_MAX, INT32_MAX};
	default: return opaque(-NO_BOUND, NO_BOUND);
	}
}

static struct range product(struct range a, struct range b)
{
	double p[4] = {a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high};
	struct range r = {p[0], p[0], a.sum * b.sum};

	for (int i = 1; i < 4; i++) {
		r.low = fmin(r.low, p[i]);
		r.high = fmax(r.high, p[i]);
	}
	return r;
}

/* Of integers, towards zero. */
static struct range quotient(struct range a, struct range b)
{
	if (b.low < 1)
		return opaque(fmin(a.low, -a.high), fmax(a.high, -a.low));
	return opaque(trunc(a.low / (a.low < 0 ? b.low : b.high)), trunc(a.high / (a.high < 0 ? b.high : b.low)));
}

static struct range modulo(struct range a, struct range b)
{
	double most = fmax(fabs(b.low), fabs(b.high)) - 1;

	return opaque(a.low >= 0 ? 0 : fmax(a.low, -most), a.high <= 0 ? 0 : fmin(a.high, most));
}

static struct range binary(struct ranges *r, const struct lir_expr *x)
{
	struct range a = range_of(r, x->arg[0]), b = range_of(r, x->arg[1]);

	switch (x->op) {
	case LIR_ADD: return (struct range){a.low + b.low, a.high + b.high, a.sum + b.sum};
	case LIR_SUB: return (struct range){a.low - b.high, a.high - b.low, a.sum + b.sum};
	case LIR_MUL: return product(a, b);
	case LIR_DIV: return quotient(a, b);
	case LIR_MOD: return modulo(a, b);
	case LIR_MIN: return opaque(fmin(a.low, b.low), fmin(a.high, b.high));
	case LIR_MAX: return opaque(fmax(a.low, b.low), fmax(a.high, b.high));
	default: return of_type(x->type.dtype);
	}
}

static struct range place(struct ranges *r, const struct lir_buffer *b, struct lir_expr *const *index, uint32_t n)
{
	struct range at = opaque((double)b->offset, (double)b->offset);

	for (uint32_t i = 0; i < n; i++)
		at.sum += range_of(r, index[i]).sum * fabs((double)b->stride[i]);
	return at;
}

static struct range unite(struct range a, struct range b)
{
	return opaque(fmin(a.low, b.low), fmax(a.high, b.high));
}

/* What leaves its type wraps, and may be anything of the type then. */
static struct range within(struct range v, enum dtype t)
{
	struct range whole = of_type(t);

	return v.low >= whole.low && v.high <= whole.high ? opaque(v.low, v.high) : whole;
}

static struct range range_of(struct ranges *r, const struct lir_expr *x)
{
	struct range v = of_type(x->type.dtype), from;

	switch (x->kind) {
	case LIR_INT: v = opaque((double)x->i, (double)x->i); break;
	case LIR_VAR: v = r->var[x->var->id]; break;
	case LIR_BINARY: v = binary(r, x); break;
	case LIR_SELECT:
		range_of(r, x->arg[0]);
		v = unite(range_of(r, x->arg[1]), range_of(r, x->arg[2]));
		break;
	case LIR_CAST:
		from = within(range_of(r, x->arg[0]), x->arg[0]->type.dtype);
		v = dtype_is_float(x->arg[0]->type.dtype) ? v : within(from, x->type.dtype);
		break;
	case LIR_RAMP:
		v = range_of(r, x->arg[0]);
		v.low += fmin(0, (double)x->i * (x->type.lanes - 1));
		v.high += fmax(0, (double)x->i * (x->type.lanes - 1));
		v.sum += fabs((double)x->i) * x->type.lanes;
		break;
	case LIR_LOAD: r->fits = r->fits && place(r, x->buffer, x->arg, x->nargs).sum <= INT32_MAX; break;
	default:
		for (uint32_t i = 0; i < x->nargs; i++)
			v = x->kind == LIR_BROADCAST || x->kind == LIR_LANE ? range_of(r, x->arg[i]) : (range_of(r, x->arg[i]), v);
		break;
	}
	if (x->type.dtype == DT_I64)
		r->fits = r->fits && v.sum <= INT32_MAX + 1.0 && v.low >= INT32_MIN && v.high <= INT32_MAX;
	return v;
}

static void check(struct ranges *r, const struct lir_stmt *s)
{
	if (s->kind == LIR_FOR) {
		struct range min = range_of(r, s->min), extent = range_of(r, s->extent);

		r->var[s->var->id] = opaque(min.low, fmax(min.low, min.high + extent.high - 1));
		r->fits = r->fits && min.high + extent.high <= INT32_MAX;
	} else if (s->value) {
		struct range v = range_of(r, s->value);

		if (s->kind == LIR_LET)
			r->var[s->var->id] = opaque(v.low, v.high);
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
