/* codegen_range.c: how large the integers of a function can become
 *
 * Not an interval for each but one bound on the absolute value of everything met on the way to it, so that it holds for sums in
 * whatever order they are written. Values that are loaded have no bound.
 */
#include <math.h>

#include "base/arena.h"
#include "codegen/codegen_internal.h"

#define NO_BOUND 1e300

struct range {
	double *var; /* bound by variable id */
	bool fits;
};

static double bound(struct range *r, const struct lir_expr *x);

static double number_bound(enum dtype t)
{
	switch (t) {
	case DT_BOOL: return 1;
	case DT_I8: return 128;
	case DT_U8: return 255;
	case DT_I16: return 32768;
	case DT_U16: return 65535;
	default: return NO_BOUND;
	}
}

static double binary_bound(struct range *r, const struct lir_expr *x)
{
	double a = bound(r, x->arg[0]), b = bound(r, x->arg[1]);

	switch (x->op) {
	case LIR_ADD:
	case LIR_SUB: return a + b;
	case LIR_MUL: return a * b;
	case LIR_DIV:
	case LIR_MOD: return a;
	case LIR_MIN:
	case LIR_MAX: return fmax(a, b);
	default: return lir_op_is_compare(x->op) || x->op == LIR_AND || x->op == LIR_OR ? 1 : NO_BOUND;
	}
}

/* Of an integer of 64 bits or a bool; anything else is only searched for such. */
static double bound(struct range *r, const struct lir_expr *x)
{
	double v = number_bound(x->type.dtype);

	switch (x->kind) {
	case LIR_INT: v = fabs((double)x->i); break;
	case LIR_VAR: v = r->var[x->var->id]; break;
	case LIR_BINARY: v = binary_bound(r, x); break;
	case LIR_SELECT:
		bound(r, x->arg[0]);
		v = fmax(bound(r, x->arg[1]), bound(r, x->arg[2]));
		break;
	case LIR_CAST: v = fmin(bound(r, x->arg[0]), number_bound(x->arg[0]->type.dtype)); break;
	case LIR_RAMP: v = bound(r, x->arg[0]) + fabs((double)x->i) * x->type.lanes; break;
	default:
		for (uint32_t i = 0; i < x->nargs; i++)
			v = fmax(v, bound(r, x->arg[i]));
		if (x->type.dtype == DT_I64 && x->kind != LIR_BROADCAST && x->kind != LIR_LANE)
			v = NO_BOUND;
		break;
	}
	if (x->kind == LIR_LOAD) {
		double place = fabs((double)x->buffer->offset);

		for (uint32_t i = 0; i < x->nargs; i++)
			place += bound(r, x->arg[i]) * fabs((double)x->buffer->stride[i]);
		r->fits = r->fits && place < INT32_MAX;
	}
	if (x->type.dtype == DT_I64)
		r->fits = r->fits && v < INT32_MAX;
	return v;
}

static void check(struct range *r, const struct lir_stmt *s)
{
	double place = s->buffer ? fabs((double)s->buffer->offset) : 0;

	if (s->kind == LIR_FOR) {
		r->var[s->var->id] = bound(r, s->min) + bound(r, s->extent);
		r->fits = r->fits && r->var[s->var->id] < INT32_MAX;
	} else if (s->value) {
		double v = bound(r, s->value);

		if (s->kind == LIR_LET)
			r->var[s->var->id] = v;
	}
	for (uint32_t i = 0; i < s->nindex; i++)
		place += bound(r, s->index[i]) * fabs((double)s->buffer->stride[i]);
	r->fits = r->fits && place < INT32_MAX;
	for (uint32_t i = 0; i < s->nbody; i++)
		check(r, s->body[i]);
}

bool cg_fits_int(const struct lir_func *f)
{
	struct arena *a = arena_new(NULL);
	struct range r = {.var = ARENA_ARRAY(a, double, f->nvars + 1), .fits = true};

	check(&r, f->body);
	arena_free(a);
	return r.fits;
}
