/* lir_disjoint.c: whether iterations of the parallel loops keep to elements of their own
 *
 * Proved, not guessed: every access to an output inside the parallel loops has, for each of their variables v, an index c*v + rest
 * with 0 <= rest < c, the same c in the same place for all accesses to that buffer, and all its indices lie in range. What is not of
 * this form counts as not proved; a guard that would keep an index in range is not looked at.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "loop/loop_internal.h"

struct bounds {
	bool known, parallel;
	int64_t low, high;             /* of a loop variable */
	const struct lir_expr *let;    /* NULL: a loop variable */
};

struct factor { /* where the output buffer tells parallel variables apart: dim -1: not seen yet */
	int dim;
	int64_t c;
};

struct disjoint {
	struct arena *a;
	const struct lir_func *f;
	struct bounds *var;            /* by id */
	int64_t *coefficient, constant; /* of the linear form under way, by variable id */
	struct factor *factor;         /* nvars for each parameter */
	uint32_t parallel[MAX_DIMS * 2], nparallel;
	bool ok;
};

/* Adds scale * x to the linear form; the coefficients are small numbers or the proof fails. */
static bool linear(struct disjoint *d, const struct lir_expr *x, int64_t scale)
{
	int64_t k;

	if (scale > INT32_MAX || scale < -INT32_MAX)
		return false;
	switch (x->kind) {
	case LIR_INT: return !__builtin_mul_overflow(x->i, scale, &k) && !__builtin_add_overflow(d->constant, k, &d->constant);
	case LIR_VAR:
		if (d->var[x->var->id].let)
			return linear(d, d->var[x->var->id].let, scale);
		d->coefficient[x->var->id] += scale;
		return d->var[x->var->id].known;
	case LIR_RAMP: return linear(d, x->arg[0], scale); /* its lanes are added by the caller */
	case LIR_BINARY:
		if (x->op == LIR_ADD || x->op == LIR_SUB)
			return linear(d, x->arg[0], scale) && linear(d, x->arg[1], x->op == LIR_ADD ? scale : -scale);
		if (x->op != LIR_MUL)
			return false;
		if (lir_expr_const_i64(x->arg[1], &k))
			return k <= INT32_MAX && k >= -INT32_MAX && linear(d, x->arg[0], scale * k);
		return lir_expr_const_i64(x->arg[0], &k) && k <= INT32_MAX && k >= -INT32_MAX && linear(d, x->arg[1], scale * k);
	default: return false;
	}
}

static bool span(const struct disjoint *d, bool parallel, int64_t *low, int64_t *high)
{
	for (uint32_t v = 0; v < d->f->nvars; v++) {
		int64_t c = d->coefficient[v], a, b;

		if (!c || d->var[v].parallel != parallel)
			continue;
		if (__builtin_mul_overflow(c, d->var[v].low, &a) || __builtin_mul_overflow(c, d->var[v].high, &b) ||
		    __builtin_add_overflow(*low, a < b ? a : b, low) || __builtin_add_overflow(*high, a < b ? b : a, high))
			return false;
	}
	return true;
}

/* One index of an access; told: which parallel variables it tells apart is added to *seen. */
static bool index_ok(struct disjoint *d, const struct lir_buffer *buf, int dim, const struct lir_expr *x, int lanes, uint64_t *seen)
{
	struct factor *factor = &d->factor[(size_t)buf->id * d->f->nvars];
	int64_t low, high;
	int apart = -1;

	memset(d->coefficient, 0, d->f->nvars * sizeof *d->coefficient);
	d->constant = 0;
	if (!linear(d, x, 1))
		return false;
	low = d->constant;
	if (__builtin_add_overflow(d->constant, x->kind == LIR_RAMP ? x->i * (lanes - 1) : lanes - 1, &high) || !span(d, false, &low, &high))
		return false;
	for (uint32_t i = 0; i < d->nparallel; i++) {
		if (!d->coefficient[d->parallel[i]])
			continue;
		if (apart >= 0 || d->coefficient[d->parallel[i]] < 0)
			return false;
		apart = (int)i;
	}
	if (apart >= 0) {
		uint32_t v = d->parallel[apart];
		int64_t c = d->coefficient[v];

		if (low >= 0 && high < c && (factor[v].dim < 0 || (factor[v].dim == dim && factor[v].c == c))) {
			factor[v] = (struct factor){dim, c};
			*seen |= 1ull << apart;
		}
	}
	return span(d, true, &low, &high) && low >= 0 && high < buf->dim[dim];
}

static void access(struct disjoint *d, const struct lir_buffer *buf, struct lir_expr *const *index, uint32_t n, int lanes)
{
	uint64_t seen = 0;

	if (buf->scope != LIR_GLOBAL || buf->id < d->f->nparams - d->f->nout || !d->nparallel)
		return;
	for (uint32_t i = 0; d->ok && i < n; i++)
		d->ok = index_ok(d, buf, (int)i, index[i], i + 1 == n ? lanes : 1, &seen);
	d->ok = d->ok && seen == (1ull << d->nparallel) - 1;
}

static void expression(struct disjoint *d, const struct lir_expr *x)
{
	if (x->kind == LIR_LOAD)
		access(d, x->buffer, x->arg, x->nargs, x->type.lanes);
	for (uint32_t i = 0; d->ok && i < x->nargs; i++)
		expression(d, x->arg[i]);
}

static void statement(struct disjoint *d, const struct lir_stmt *s);

static void loop(struct disjoint *d, const struct lir_stmt *s)
{
	struct bounds *b = &d->var[s->var->id];
	int64_t min, extent;

	expression(d, s->min);
	expression(d, s->extent);
	*b = (struct bounds){.parallel = s->loop == LIR_PARALLEL};
	if (lir_expr_const_i64(s->min, &min) && lir_expr_const_i64(s->extent, &extent)) {
		if (extent <= 0)
			return;
		b->known = !__builtin_add_overflow(min, extent - 1, &b->high);
		b->low = min;
	}
	if (b->parallel && (d->nparallel == sizeof d->parallel / sizeof *d->parallel || !b->known)) {
		d->ok = false;
		return;
	}
	if (b->parallel && b->high > b->low)
		d->parallel[d->nparallel++] = s->var->id;
	statement(d, s->body[0]);
	if (b->parallel && b->high > b->low)
		d->nparallel--;
}

static void statement(struct disjoint *d, const struct lir_stmt *s)
{
	if (!d->ok)
		return;
	for (uint32_t i = 0; i < s->nindex; i++)
		expression(d, s->index[i]);
	if (s->value)
		expression(d, s->value);
	switch (s->kind) {
	case LIR_FOR: loop(d, s); return;
	case LIR_LET: d->var[s->var->id] = (struct bounds){.let = s->value}; break;
	case LIR_STORE:
		if (s->access != s->buffer->dtype && s->buffer->scope == LIR_GLOBAL)
			d->ok = false;
		else
			access(d, s->buffer, s->index, s->nindex, s->value->type.lanes);
		break;
	default: break;
	}
	for (uint32_t i = 0; i < s->nbody; i++)
		statement(d, s->body[i]);
}

bool lir_iterations_disjoint(const struct lir_func *f)
{
	struct disjoint d = {.a = arena_new(NULL), .f = f, .ok = true};
	size_t n = (size_t)f->nparams * f->nvars;
	bool ok;

	d.var = ARENA_ARRAY(d.a, struct bounds, f->nvars);
	d.coefficient = ARENA_ARRAY(d.a, int64_t, f->nvars);
	d.factor = ARENA_ARRAY(d.a, struct factor, n);
	for (size_t i = 0; i < n; i++)
		d.factor[i].dim = -1;
	statement(&d, f->body);
	ok = d.ok;
	arena_free(d.a);
	return ok;
}
