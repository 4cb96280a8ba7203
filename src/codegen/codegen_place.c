/* codegen_place.c: what is known about integers while text is written - constants under the unrolled loops' values, element
 * numbers as sums, and names that are free in the dialect */
#include <ctype.h>
#include <string.h>

#include "base/arena.h"
#include "base/map.h"
#include "codegen/codegen_internal.h"

static bool fold_i64(enum lir_op op, int64_t x, int64_t y, int64_t *out)
{
	switch (op) {
	case LIR_ADD: *out = (int64_t)((uint64_t)x + (uint64_t)y); return true;
	case LIR_SUB: *out = (int64_t)((uint64_t)x - (uint64_t)y); return true;
	case LIR_MUL: *out = (int64_t)((uint64_t)x * (uint64_t)y); return true;
	case LIR_DIV:
	case LIR_MOD:
		if (!y || y == -1)
			return false;
		*out = op == LIR_DIV ? x / y : x % y;
		return true;
	case LIR_MIN: *out = x < y ? x : y; return true;
	case LIR_MAX: *out = x > y ? x : y; return true;
	case LIR_LT: *out = x < y; return true;
	case LIR_LE: *out = x <= y; return true;
	case LIR_GT: *out = x > y; return true;
	case LIR_GE: *out = x >= y; return true;
	case LIR_EQ: *out = x == y; return true;
	case LIR_NE: *out = x != y; return true;
	case LIR_AND: *out = x && y; return true;
	case LIR_OR: *out = x || y; return true;
	default: return false;
	}
}

static bool const_binary(const struct cg *g, const struct lir_expr *x, int64_t *out)
{
	enum dtype t = x->arg[0]->type.dtype;
	int64_t l, r;

	if ((t != DT_I64 && t != DT_BOOL) || !cg_const(g, x->arg[0], &l))
		return false;
	if ((x->op == LIR_AND && !l) || (x->op == LIR_OR && l)) {
		*out = l;
		return true;
	}
	return cg_const(g, x->arg[1], &r) && fold_i64(x->op, l, r, out);
}

bool cg_const(const struct cg *g, const struct lir_expr *x, int64_t *out)
{
	if ((x->type.dtype != DT_I64 && x->type.dtype != DT_BOOL) || x->type.lanes != 1)
		return false;
	switch (x->kind) {
	case LIR_INT: *out = x->i; return true;
	case LIR_VAR: *out = g->bind[x->var->id].value; return g->bind[x->var->id].bound;
	case LIR_BINARY: return const_binary(g, x, out);
	case LIR_NOT:
		if (!cg_const(g, x->arg[0], out))
			return false;
		*out = !*out;
		return true;
	default: return false;
	}
}

void cg_int(struct cg *g, int64_t v, int prec)
{
	if (v == INT64_MIN)
		str_addf(&g->body, "(-9223372036854775807%s - 1)", g->d->long_suffix);
	else if (v < 0 && prec >= P_UNARY)
		str_addf(&g->body, "(%lld)", (long long)v);
	else
		str_addf(&g->body, "%lld%s", (long long)v, v > INT32_MAX || v < -INT32_MAX ? g->d->long_suffix : "");
}

/* ---- sums ---------------------------------------------------------------------------------------------------
 * An element number is a sum of terms, each a factor times something opaque, and one constant. Everything wraps at 64 bits,
 * so that collecting is exact. */
struct sum {
	struct {
		const struct lir_expr *x;
		int64_t factor;
	} * term;
	uint32_t n, cap;
	int64_t constant;
};

static int64_t times(int64_t x, int64_t y)
{
	return (int64_t)((uint64_t)x * (uint64_t)y);
}

static void collect(struct cg *g, struct sum *s, const struct lir_expr *x, int64_t factor)
{
	int64_t v;

	if (x->kind == LIR_INT || (x->kind == LIR_VAR && g->bind[x->var->id].bound)) {
		cg_const(g, x, &v);
		s->constant = (int64_t)((uint64_t)s->constant + (uint64_t)times(v, factor));
		return;
	}
	if (x->kind == LIR_BINARY && (x->op == LIR_ADD || x->op == LIR_SUB)) {
		collect(g, s, x->arg[0], factor);
		collect(g, s, x->arg[1], x->op == LIR_SUB ? times(factor, -1) : factor);
		return;
	}
	if (x->kind == LIR_BINARY && x->op == LIR_MUL) {
		if (cg_const(g, x->arg[1], &v)) {
			collect(g, s, x->arg[0], times(factor, v));
			return;
		}
		if (cg_const(g, x->arg[0], &v)) {
			collect(g, s, x->arg[1], times(factor, v));
			return;
		}
	} else if (x->kind == LIR_BINARY && cg_const(g, x, &v)) {
		s->constant = (int64_t)((uint64_t)s->constant + (uint64_t)times(v, factor));
		return;
	}
	if (!factor)
		return;
	if (s->n == s->cap) {
		uint32_t cap = s->cap ? s->cap * 2 : 8;
		void *grown = arena_alloc(g->a, cap * sizeof *s->term);

		if (s->n)
			memcpy(grown, s->term, s->n * sizeof *s->term);
		s->term = grown;
		s->cap = cap;
	}
	s->term[s->n].x = x;
	s->term[s->n++].factor = factor;
}

static void add_sum(struct cg *g, const struct sum *s, int prec)
{
	bool sums = s->n > 1 || (s->n && s->constant) || (s->n && s->term[0].factor < 0);
	bool paren = s->n && (sums ? prec > P_ADD : s->term[0].factor != 1 && prec > P_MUL);
	int64_t c = s->constant;

	if (paren)
		str_addc(&g->body, '(');
	for (uint32_t i = 0; i < s->n; i++) {
		int64_t k = s->term[i].factor;
		bool minus = k < 0 && k != INT64_MIN;

		if (minus)
			k = -k;
		if (i || minus)
			str_add(&g->body, i ? (minus ? " - " : " + ") : "-");
		g->d->expr(g, s->term[i].x, k != 1 ? P_MUL : P_MUL + (minus || i));
		if (k != 1) {
			str_add(&g->body, " * ");
			cg_int(g, k, P_UNARY);
		}
	}
	if (!s->n) {
		cg_int(g, c, prec);
	} else if (c) {
		bool minus = c < 0 && c != INT64_MIN;

		str_add(&g->body, minus ? " - " : " + ");
		cg_int(g, minus ? -c : c, P_UNARY);
	}
	if (paren)
		str_addc(&g->body, ')');
}

void cg_index(struct cg *g, const struct lir_expr *x, int prec)
{
	struct sum s = {0};

	collect(g, &s, x, 1);
	if (s.n || prec == P_ANY)
		add_sum(g, &s, prec);
	else
		str_addf(&g->body, "%s%lld%s%s", s.constant < 0 ? "(" : "", (long long)s.constant, g->narrow ? "" : g->d->long_suffix,
			 s.constant < 0 ? ")" : "");
}

static const struct lir_expr *first_lane(const struct lir_expr *x)
{
	return x->kind == LIR_RAMP ? x->arg[0] : x;
}

void cg_place(struct cg *g, const struct lir_buffer *b, struct lir_expr *const *index, uint32_t n, int prec)
{
	struct sum s = {.constant = b->offset};

	for (uint32_t d = 0; d < n; d++)
		collect(g, &s, first_lane(index[d]), b->stride[d]);
	add_sum(g, &s, prec);
}

bool cg_place_const(const struct cg *g, const struct lir_buffer *b, struct lir_expr *const *index, uint32_t n, int64_t *out)
{
	uint64_t at = (uint64_t)b->offset;
	int64_t v;

	for (uint32_t d = 0; d < n; d++) {
		if (!cg_const(g, first_lane(index[d]), &v))
			return false;
		at += (uint64_t)v * (uint64_t)b->stride[d];
	}
	*out = (int64_t)at;
	return true;
}

/* ---- names ---------------------------------------------------------------------------------------------------
 * A name that the dialect keeps for itself, or that ends in '_', gets another '_': what the walker makes up ends in one. */
static const char *safe_name(struct cg *g, const char *name)
{
	size_t n = strlen(name);
	bool parameter = (!strncmp(name, "in", 2) && isdigit((unsigned char)name[2])) ||
			 (!strncmp(name, "out", 3) && isdigit((unsigned char)name[3]));

	return parameter || (n && name[n - 1] == '_') || g->d->is_reserved(name) ? arena_printf(g->a, "%s_", name) : name;
}

static void name_stmt(struct cg *g, struct map *taken, const struct lir_stmt *s)
{
	if (s->kind == LIR_FOR || s->kind == LIR_LET) {
		g->var_name[s->var->id] = safe_name(g, s->var->name);
		map_put(taken, g->var_name[s->var->id], g);
	} else if (s->kind == LIR_ALLOC) {
		g->buffer_name[s->buffer->id] = safe_name(g, s->buffer->name);
		map_put(taken, g->buffer_name[s->buffer->id], g);
	}
	for (uint32_t i = 0; i < s->nbody; i++)
		name_stmt(g, taken, s->body[i]);
}

/* The pieces of buffer x are x_0, x_1 ..: none of these may be somebody else's name. */
static const char *stem_of(struct cg *g, const struct map *taken, const char *name)
{
	const char *stem = arena_printf(g->a, "%s_", name), *key;

	for (bool clash = true; clash;) {
		clash = false;
		for (size_t it = 0; !clash && map_next(taken, &it, &key, NULL);)
			clash = !strncmp(key, stem, strlen(stem)) && isdigit((unsigned char)key[strlen(stem)]);
		if (clash)
			stem = arena_printf(g->a, "%s_", stem);
	}
	return stem;
}

void cg_names(struct cg *g)
{
	struct map *taken = map_new(g->a);

	for (uint32_t i = 0; i < g->f->nparams; i++) {
		uint32_t nin = g->f->nparams - g->f->nout;

		g->buffer_name[i] = i < nin ? arena_printf(g->a, "in%u", i) : arena_printf(g->a, "out%u", i - nin);
	}
	name_stmt(g, taken, g->f->body);
	for (uint32_t i = g->f->nparams; i < g->f->nbuffers; i++) {
		g->local[i].name = g->buffer_name[i];
		g->local[i].stem = g->buffer_name[i] ? stem_of(g, taken, g->buffer_name[i]) : NULL;
	}
}
