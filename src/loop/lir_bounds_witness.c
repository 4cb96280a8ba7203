/* lir_bounds_witness.c: an iteration that certainly runs and leaves its buffer
 *
 * Loop variables on the way to the access get values from both ends of their ranges, outermost first; conditions on the way are
 * computed as soon as what they mention has values. What depends on data is not known, and then there is no witness.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/arena.h"
#include "loop/loop_internal.h"
#include "loop/lir_bounds_internal.h"

#define TRIES 4000
#define ALL 64 /* of a loop that runs no more often, every iteration is looked at */
#define HINTS 12
#define MULTIPLES 16

struct search {
	const struct path *path;
	const struct lir_access *access;
	struct witness *out;
	int64_t *value; /* by variable id */
	bool *known, *matters;
	int64_t hint[HINTS]; /* numbers on the way: what variables are compared with and divided by */
	int nhints;
	int tries;
};

static bool compute(struct search *s, const struct lir_expr *x, int64_t *out);

/* f32 and f64. */
static bool compute_float(struct search *s, const struct lir_expr *x, double *out)
{
	enum dtype t = x->type.dtype;
	double a, b;
	int64_t i;

	if (x->type.lanes > 1 || (t != DT_F32 && t != DT_F64))
		return false;
	if (x->kind == LIR_FLOAT) {
		*out = x->f;
		return true;
	}
	if (x->kind == LIR_CAST && !dtype_is_float(x->arg[0]->type.dtype)) {
		if (!compute(s, x->arg[0], &i))
			return false;
		*out = lir_round_i64(t, i, !dtype_is_signed(x->arg[0]->type.dtype));
		return true;
	}
	if (x->kind != LIR_BINARY || !compute_float(s, x->arg[0], &a) || !compute_float(s, x->arg[1], &b))
		return false;
	return lir_fold_float(x->op, t, a, b, out);
}

static bool compare_floats(struct search *s, const struct lir_expr *x, int64_t *out)
{
	double a, b;

	if (!compute_float(s, x->arg[0], &a) || !compute_float(s, x->arg[1], &b))
		return false;
	switch (x->op) {
	case LIR_LT: *out = a < b; break;
	case LIR_LE: *out = a <= b; break;
	case LIR_GT: *out = a > b; break;
	case LIR_GE: *out = a >= b; break;
	case LIR_EQ: *out = a == b; break;
	default: *out = a != b; break;
	}
	return true;
}

static bool compare(enum lir_op op, bool is_unsigned, int64_t a, int64_t b)
{
	if (is_unsigned && (a < 0) != (b < 0)) /* compared as 64 bits without a sign */
		return op == LIR_NE || (op != LIR_EQ && (a < 0) == (op == LIR_GT || op == LIR_GE));
	switch (op) {
	case LIR_LT: return a < b;
	case LIR_LE: return a <= b;
	case LIR_GT: return a > b;
	case LIR_GE: return a >= b;
	case LIR_EQ: return a == b;
	default: return a != b;
	}
}

static bool compute_binary(struct search *s, const struct lir_expr *x, int64_t *out)
{
	int64_t a, b;

	if (x->op == LIR_AND || x->op == LIR_OR) {
		bool stops = x->op == LIR_OR; /* the left operand that decides */

		if (!compute(s, x->arg[0], &a))
			return false;
		*out = a;
		return (a != 0) == stops || compute(s, x->arg[1], out);
	}
	if (lir_op_is_compare(x->op) && dtype_is_float(x->arg[0]->type.dtype))
		return compare_floats(s, x, out);
	if (!compute(s, x->arg[0], &a) || !compute(s, x->arg[1], &b))
		return false;
	if (lir_op_is_compare(x->op)) {
		*out = compare(x->op, x->arg[0]->type.dtype == DT_U64, a, b);
		return true;
	}
	return lir_fold_int(x->op, x->type.dtype, a, b, out);
}

/* False when the value depends on data, or is nobody's to say. */
static bool compute(struct search *s, const struct lir_expr *x, int64_t *out)
{
	if (x->type.lanes > 1 || dtype_is_float(x->type.dtype))
		return false;
	switch (x->kind) {
	case LIR_INT: *out = x->i; return true;
	case LIR_VAR: *out = s->value[x->var->id]; return s->known[x->var->id];
	case LIR_BINARY: return compute_binary(s, x, out);
	case LIR_NOT:
		if (!compute(s, x->arg[0], out))
			return false;
		*out = !*out;
		return true;
	case LIR_SELECT: return compute(s, x->arg[0], out) && compute(s, x->arg[*out ? 1 : 2], out);
	case LIR_CAST:
		if (!compute(s, x->arg[0], out))
			return false;
		*out = x->type.dtype == DT_BOOL ? *out != 0 : lir_wrap(x->type.dtype, *out);
		return true;
	default: return false;
	}
}

static void found(struct search *s, int dim, int64_t index)
{
	struct witness *w = s->out;
	size_t n = 0;

	*w = (struct witness){.dim = dim, .index = index};
	for (size_t i = 0; i < s->path->n && n < sizeof w->where; i++) {
		const struct step *t = &s->path->v[i];

		if (t->kind == STEP_LOOP)
			n += (size_t)snprintf(w->where + n, sizeof w->where - n, "%s%.30s = %" PRId64, n ? ", " : "",
					      t->stmt->var->name, s->value[t->stmt->var->id]);
	}
}

/* All that leads there is known: does it leave? */
static bool leaves(struct search *s)
{
	const struct lir_access *x = s->access;
	const struct lir_buffer *buf = x->buffer;
	uint32_t n = x->load ? x->load->nargs : x->stmt->nindex;
	uint64_t at = (uint64_t)buf->offset;
	bool all = true;

	for (uint32_t d = 0; d < n; d++) {
		const struct lir_expr *index = x->index[d], *base = index->kind == LIR_RAMP ? index->arg[0] : index;
		int64_t lanes = index->kind == LIR_RAMP ? index->type.lanes : 1, v;

		if (!compute(s, base, &v)) {
			all = false;
			continue;
		}
		for (int64_t l = 0; l < lanes; l++) {
			int64_t i = (int64_t)((uint64_t)v + (uint64_t)(index->kind == LIR_RAMP ? index->i : 0) * (uint64_t)l);

			if (i < 0 || i >= buf->dim[d]) {
				found(s, (int)d, i);
				return true;
			}
		}
		at += (uint64_t)v * (uint64_t)buf->stride[d];
	}
	if (all && at >= (uint64_t)buf->elements) {
		found(s, -1, (int64_t)at);
		return true;
	}
	return false;
}

static bool from(struct search *s, size_t i);

/* Around the numbers that stand on the way, and their first multiples. */
static bool near_hints(struct search *s, uint32_t v, size_t i, int64_t min, int64_t last)
{
	for (int h = 0; h < s->nhints; h++)
		for (int64_t k = 1; k <= MULTIPLES && s->hint[h] <= last / k; k++)
			for (int64_t off = -1; off <= 1 && s->tries > 0; off++) {
				s->value[v] = s->hint[h] * k + off;
				if (s->value[v] >= min && s->value[v] <= last && from(s, i + 1))
					return true;
			}
	return false;
}

/* Both ends first, then ever further from them. */
static bool loop(struct search *s, const struct lir_stmt *t, size_t i)
{
	int64_t min, extent, last;
	uint32_t v = t->var->id;

	if (!compute(s, t->min, &min) || !compute(s, t->extent, &extent) || extent <= 0 ||
	    __builtin_add_overflow(min, extent - 1, &last))
		return false;
	s->known[v] = true;
	for (int64_t off = 0; off < extent && s->tries > 0; off = off < 2 || extent <= ALL ? off + 1 : off * 2) {
		s->value[v] = last - off;
		if (from(s, i + 1))
			return true;
		s->value[v] = min + off;
		if (s->matters[v] && last - off != min + off && from(s, i + 1))
			return true;
		if (!s->matters[v] || last - off <= min + off)
			break;
	}
	if (s->matters[v] && extent > ALL && near_hints(s, v, i, min, last))
		return true;
	s->known[v] = false;
	return false;
}

static bool from(struct search *s, size_t i)
{
	const struct step *t = &s->path->v[i];
	int64_t v;

	if (s->tries-- <= 0)
		return false;
	if (i == s->path->n)
		return leaves(s);
	switch (t->kind) {
	case STEP_LOOP: return loop(s, t->stmt, i);
	case STEP_LET: s->known[t->stmt->var->id] = compute(s, t->stmt->value, &s->value[t->stmt->var->id]); return from(s, i + 1);
	default: return compute(s, t->cond, &v) && (v != 0) == t->holds && from(s, i + 1);
	}
}

static void mark(struct search *s, const struct lir_expr *x)
{
	if (x->kind == LIR_VAR)
		s->matters[x->var->id] = true;
	if (x->kind == LIR_INT && x->i > 1 && x->i < ((int64_t)1 << 40) && s->nhints < HINTS)
		s->hint[s->nhints++] = x->i;
	for (uint32_t i = 0; i < x->nargs; i++)
		mark(s, x->arg[i]);
}

/* Variables on which the way there depends, and the indices of that dim (-1: all). Of other loops one iteration will do. */
static void mark_all(struct search *s, int dim)
{
	const struct lir_access *x = s->access;
	uint32_t n = x->load ? x->load->nargs : x->stmt->nindex;

	for (uint32_t d = 0; d < n; d++)
		if (dim < 0 || d == (uint32_t)dim)
			mark(s, x->index[d]);
	for (size_t i = s->path->n; i-- > 0;) {
		const struct step *t = &s->path->v[i];

		if (t->kind == STEP_COND) {
			mark(s, t->cond);
		} else if (t->kind == STEP_LOOP) {
			mark(s, t->stmt->min);
			mark(s, t->stmt->extent);
		} else if (s->matters[t->stmt->var->id]) {
			mark(s, t->stmt->value);
		}
	}
}

bool lir_bounds_witness(const struct lir_func *f, const struct path *path, const struct lir_access *x, struct witness *out)
{
	struct search s = {.path = path, .access = x, .out = out, .tries = TRIES};
	struct arena *a = arena_new(NULL);
	bool ok = false;

	s.value = ARENA_ARRAY(a, int64_t, f->nvars + 1);
	s.known = ARENA_ARRAY(a, bool, f->nvars + 1);
	s.matters = ARENA_ARRAY(a, bool, f->nvars + 1);
	mark_all(&s, x->dim);
	ok = from(&s, 0);
	arena_free(a);
	return ok;
}
