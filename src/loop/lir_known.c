/* lir_known.c: sums of unknowns, their intervals, and what guards say about them
 *
 * Sums are those of whole numbers: an expression is taken as one only where its interval shows that nothing wraps, else it is a
 * new unknown of its type. Facts tighten intervals when they are learnt, and bound sums by adding the multiple of a fact that
 * cancels an unknown.
 */
#include "loop/lir_known.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "loop/loop_internal.h"

#define MOST LIR_RANGE_MOST
#define FACT_ROUNDS 3
#define SCAN 48   /* facts and atoms looked at, newest first */
#define WORK 2000 /* steps for each node of a function; lowerings need a tenth of it at most */

/* ---- sums ---- */

static struct form constant(int64_t c)
{
	return (struct form){.constant = c};
}

static struct form of_atom(uint32_t atom)
{
	return (struct form){.n = 1, .term = {{atom, 1}}};
}

static int find_term(const struct form *f, uint32_t atom)
{
	for (int i = 0; i < f->n; i++)
		if (f->term[i].atom == atom)
			return i;
	return -1;
}

/* f += times * g; false: too large. */
static bool add_form(struct form *f, const struct form *g, int64_t times)
{
	int64_t v;

	if (!times)
		return true;
	if (__builtin_mul_overflow(g->constant, times, &v) || __builtin_add_overflow(f->constant, v, &f->constant))
		return false;
	for (int i = 0; i < g->n; i++) {
		int at = find_term(f, g->term[i].atom);

		if (__builtin_mul_overflow(g->term[i].times, times, &v))
			return false;
		if (at < 0) {
			if (f->n == FORM_TERMS)
				return false;
			f->term[f->n++] = (struct term){g->term[i].atom, v};
		} else if (__builtin_add_overflow(f->term[at].times, v, &f->term[at].times)) {
			return false;
		} else if (!f->term[at].times) {
			f->term[at] = f->term[--f->n];
		}
	}
	return true;
}

static bool same_form(const struct form *f, const struct form *g)
{
	if (f->n != g->n || f->constant != g->constant)
		return false;
	for (int i = 0; i < f->n; i++) {
		int at = find_term(g, f->term[i].atom);

		if (at < 0 || g->term[at].times != f->term[i].times)
			return false;
	}
	return true;
}

/* From the intervals of its atoms alone. */
static struct lir_range plain_range(const struct known *k, const struct form *f)
{
	struct lir_range r = {f->constant, f->constant};

	for (int i = 0; i < f->n; i++) {
		struct lir_range t = {f->term[i].times, f->term[i].times};

		r = lir_range_binary(LIR_ADD, r, lir_range_binary(LIR_MUL, k->atom.v[f->term[i].atom].range, t));
	}
	return r;
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static bool spend(struct known *k)
{
	k->work -= k->work > 0;
	return k->work;
}

/* An upper bound of f; depth: how many facts may be added. */
static int64_t upper(struct known *k, const struct form *f, int depth)
{
	int64_t best = plain_range(k, f).high;
	size_t first = k->fact.n > SCAN ? k->fact.n - SCAN : 0;

	for (size_t i = k->fact.n; depth && i-- > first && spend(k);) {
		const struct form *g = &k->fact.v[i].form;

		for (int t = 0; t < f->n; t++) {
			int at = find_term(g, f->term[t].atom);
			int64_t mine = f->term[t].times, its = at < 0 ? 0 : g->term[at].times, bound;
			struct form sum = constant(0);

			/* |its| * f <= |its| * f + |mine| * g, where the atom cancels */
			if (at < 0 || (mine > 0) == (its > 0) || mine == INT64_MIN || its == INT64_MIN)
				continue;
			mine = mine < 0 ? -mine : mine;
			its = its < 0 ? -its : its;
			if (mine % its == 0) {
				mine /= its;
				its = 1;
			}
			if (!add_form(&sum, f, its) || !add_form(&sum, g, mine))
				continue;
			bound = upper(k, &sum, depth - 1);
			if (bound < MOST && floor_div(bound, its) < best)
				best = floor_div(bound, its);
		}
	}
	return best;
}

static struct lir_range bounded_by(struct known *k, const struct form *f, int depth)
{
	struct form minus = constant(0);
	struct lir_range r = plain_range(k, f);

	if (!f->n)
		return r;
	r.high = upper(k, f, depth);
	if (add_form(&minus, f, -1)) {
		int64_t low = upper(k, &minus, depth);

		if (low < MOST && -low > r.low)
			r.low = -low;
	}
	return r;
}

struct lir_range known_range(struct known *k, const struct form *f)
{
	return bounded_by(k, f, 2);
}

/* ---- atoms and facts ---- */

static uint32_t new_atom(struct known *k, struct lir_range r)
{
	struct atom x = {.range = r, .op = LIR_OP_COUNT};

	vec_push(k->a, &k->atom, x);
	return (uint32_t)k->atom.n - 1;
}

static struct form unknown(struct known *k, struct lir_range r)
{
	if (r.low == r.high)
		return constant(r.low);
	return of_atom(new_atom(k, r));
}

static void narrow(struct known *k, uint32_t atom, struct lir_range to)
{
	struct lir_range *r = &k->atom.v[atom].range;
	struct undo u = {atom, *r};

	if (to.low <= r->low && to.high >= r->high)
		return;
	vec_push(k->a, &k->undo, u);
	r->low = to.low > r->low ? to.low : r->low;
	r->high = to.high < r->high ? to.high : r->high;
	k->dead = k->dead || r->low > r->high;
}

/* The fact says of each of its atoms how small or large it can be, given the others. */
static void use_fact(struct known *k, const struct form *g)
{
	for (int i = 0; i < g->n && !k->dead; i++) {
		struct form rest = *g;
		int64_t times = g->term[i].times, most;
		struct lir_range to = {-MOST, MOST};

		rest.term[i] = rest.term[--rest.n];
		most = plain_range(k, &rest).high; /* times * atom >= -most */
		if (most >= MOST || most <= -MOST)
			continue;
		if (times > 0)
			to.low = -floor_div(most, times);
		else
			to.high = floor_div(most, -times);
		narrow(k, g->term[i].atom, to);
	}
	if (!g->n && g->constant < 0)
		k->dead = true;
}

static void learn(struct known *k, const struct form *g)
{
	struct fact fact = {*g};
	size_t first;

	for (int i = 0; i < g->n; i++)
		if (g->term[i].times == INT64_MIN)
			return;
	use_fact(k, g);
	if (g->n < 2 || k->dead)
		return;
	vec_push(k->a, &k->fact, fact);
	first = k->fact.n > SCAN ? k->fact.n - SCAN : 0;
	for (int round = 0; round < FACT_ROUNDS; round++) {
		size_t before = k->undo.n;

		for (size_t i = first; i < k->fact.n && !k->dead; i++)
			use_fact(k, &k->fact.v[i].form);
		if (k->undo.n == before)
			break;
	}
}

/* a * x + b * y + c >= 0 */
static void learn_sum(struct known *k, int64_t a, const struct form *x, int64_t b, const struct form *y, int64_t c)
{
	struct form g = constant(c);

	if (add_form(&g, x, a) && add_form(&g, y, b))
		learn(k, &g);
}

static uint64_t count_expr(const struct lir_expr *x)
{
	uint64_t n = x != NULL;

	for (uint32_t i = 0; x && i < x->nargs; i++)
		n += count_expr(x->arg[i]);
	return n;
}

static uint64_t count_stmt(const struct lir_stmt *s)
{
	uint64_t n = 1 + count_expr(s->min) + count_expr(s->extent) + count_expr(s->value);

	for (uint32_t i = 0; i < s->nindex; i++)
		n += count_expr(s->index[i]);
	for (uint32_t i = 0; i < s->nbody; i++)
		n += count_stmt(s->body[i]);
	return n;
}

void known_open(struct known *k, const struct lir_func *f)
{
	*k = (struct known){.a = arena_new(NULL), .f = f};
	k->var = ARENA_ARRAY(k->a, struct known_var, f->nvars + 1);
	k->work = WORK * (count_stmt(f->body) + 100);
}

struct known_mark known_mark(const struct known *k)
{
	return (struct known_mark){k->atom.n, k->fact.n, k->undo.n, k->dead};
}

void known_back(struct known *k, struct known_mark m)
{
	while (k->undo.n > m.undos) {
		struct undo *u = &k->undo.v[--k->undo.n];

		k->atom.v[u->atom].range = u->range;
	}
	k->atom.n = m.atoms;
	k->fact.n = m.facts;
	k->dead = m.dead;
}

/* ---- expressions ---- */

/* One atom for equal quotients and remainders; *seen: its facts are known. */
static uint32_t made_atom(struct known *k, enum lir_op op, const struct form *of, int64_t by, struct lir_range r, bool *seen)
{
	size_t first = k->atom.n > SCAN ? k->atom.n - SCAN : 0;
	uint32_t at;

	*seen = true;
	for (size_t i = k->atom.n; i-- > first;)
		if (k->atom.v[i].op == op && k->atom.v[i].by == by && same_form(&k->atom.v[i].of, of))
			return (uint32_t)i;
	*seen = false;
	at = new_atom(k, r);
	k->atom.v[at].op = op;
	k->atom.v[at].of = *of;
	k->atom.v[at].by = by;
	return at;
}

/* f = by * quotient + rest, term by term; true when 0 <= rest < by, so that these are quotient and remainder. */
static bool split(const struct known *k, const struct form *f, int64_t by, struct form *quotient, struct form *rest)
{
	struct lir_range r;

	*quotient = constant(floor_div(f->constant, by));
	*rest = constant(f->constant - by * quotient->constant);
	for (int i = 0; i < f->n; i++) {
		struct form *to = f->term[i].times % by ? rest : quotient;

		to->term[to->n] = f->term[i];
		to->term[to->n++].times /= to == rest ? 1 : by;
	}
	r = plain_range(k, rest);
	return r.low >= 0 && r.high < by;
}

/* x is not negative: x = by * quotient + remainder, and both have facts. */
static struct form divided(struct known *k, const struct form *x, struct lir_range rx, int64_t by, bool remainder)
{
	struct form quotient, rest;
	bool seen;

	if (split(k, x, by, &quotient, &rest))
		return remainder ? rest : quotient;
	quotient = of_atom(made_atom(k, LIR_DIV, x, by, lir_range_binary(LIR_DIV, rx, (struct lir_range){by, by}), &seen));
	if (!seen) {
		learn_sum(k, 1, x, -by, &quotient, 0);
		learn_sum(k, -1, x, by, &quotient, by - 1);
	}
	if (!remainder)
		return quotient;
	rest = of_atom(made_atom(k, LIR_MOD, x, by, lir_range_binary(LIR_MOD, rx, (struct lir_range){by, by}), &seen));
	if (!seen) { /* x - by * quotient = rest */
		struct form g = constant(0), h = constant(0);

		if (add_form(&g, x, 1) && add_form(&g, &quotient, -by) && add_form(&g, &rest, -1) && add_form(&h, &g, -1)) {
			learn(k, &g);
			learn(k, &h);
		}
	}
	return rest;
}

static struct form extreme(struct known *k, enum lir_op op, const struct form *x, const struct form *y, struct lir_range r)
{
	struct form diff = constant(0), m;
	int64_t sign = op == LIR_MIN ? 1 : -1;
	struct lir_range d = {-MOST, MOST};

	if (add_form(&diff, x, sign) && add_form(&diff, y, -sign))
		d = bounded_by(k, &diff, 1);
	if (d.high <= 0)
		return *x;
	if (d.low >= 0)
		return *y;
	m = unknown(k, r);
	learn_sum(k, sign, x, -sign, &m, 0);
	learn_sum(k, sign, y, -sign, &m, 0);
	return m;
}

/* A sum as it stands, where it cannot wrap. */
static bool exact(struct known *k, const struct form *f, enum dtype t)
{
	struct lir_range r = plain_range(k, f), in = lir_range_within(r, t);

	if (lir_range_bounded(r) && in.low == r.low && in.high == r.high)
		return true;
	r = known_range(k, f);
	in = lir_range_within(r, t);
	return lir_range_bounded(r) && in.low == r.low && in.high == r.high;
}

static struct lir_range operand(struct known *k, const struct form *f)
{
	struct lir_range r = plain_range(k, f);

	return r.low >= 0 && r.high < MOST ? r : known_range(k, f);
}

static struct form binary(struct known *k, const struct lir_expr *x)
{
	enum dtype t = x->type.dtype;
	struct lir_range ra, rb, r;
	struct form a, b, sum;

	if (t == DT_BOOL)
		return unknown(k, lir_range_of_type(t));
	sum = a = known_form(k, x->arg[0]);
	b = known_form(k, x->arg[1]);
	if ((x->op == LIR_ADD || x->op == LIR_SUB) && add_form(&sum, &b, x->op == LIR_ADD ? 1 : -1) && exact(k, &sum, t))
		return sum;
	if (x->op == LIR_MUL && (!a.n || !b.n)) {
		sum = constant(0);
		if ((a.n ? add_form(&sum, &a, b.constant) : add_form(&sum, &b, a.constant)) && exact(k, &sum, t))
			return sum;
	}
	ra = operand(k, &a);
	rb = operand(k, &b);
	r = lir_range_binary(x->op, ra, rb);
	if (x->op == LIR_MIN || x->op == LIR_MAX)
		return extreme(k, x->op, &a, &b, r);
	if ((x->op == LIR_DIV || x->op == LIR_MOD) && rb.low == rb.high && rb.low > 0) {
		if (ra.low >= 0 && ra.high < MOST)
			return divided(k, &a, ra, rb.low, x->op == LIR_MOD);
		return unknown(k, lir_range_within(r, t));
	}
	return unknown(k, lir_range_bounded(r) ? lir_range_within(r, t) : lir_range_of_type(t));
}

static struct form select_form(struct known *k, const struct lir_expr *x)
{
	struct lir_range r[2] = {{0}};
	bool reached[2];

	for (int side = 0; side < 2; side++) {
		struct known_mark m = known_mark(k);
		struct form f;

		known_assume(k, x->arg[0], !side);
		reached[side] = !k->dead;
		if (!k->dead) {
			f = known_form(k, x->arg[1 + side]);
			r[side] = known_range(k, &f);
		}
		known_back(k, m);
	}
	if (reached[0] != reached[1])
		return known_form(k, x->arg[reached[0] ? 1 : 2]);
	return unknown(k, reached[0] ? lir_range_unite(r[0], r[1]) : lir_range_of_type(x->type.dtype));
}

static bool is_integer(struct lir_type t)
{
	return t.lanes == 1 && !dtype_is_float(t.dtype);
}

static struct form cast_form(struct known *k, const struct lir_expr *x)
{
	struct lir_range whole = lir_range_of_type(x->type.dtype), r;
	struct form f;

	if (!is_integer(x->arg[0]->type))
		return unknown(k, whole);
	f = known_form(k, x->arg[0]);
	if (x->type.dtype == DT_BOOL)
		return unknown(k, whole);
	r = known_range(k, &f);
	if (x->arg[0]->type.dtype == DT_U64 || x->type.dtype == DT_U64)
		return lir_range_bounded(r) && r.low >= 0 ? f : unknown(k, whole);
	return r.low >= whole.low && r.high <= whole.high ? f : unknown(k, whole);
}

/* Of an expression that has one value wherever its variables are visible: false when it loads. */
static bool hash_text_of(const struct lir_expr *x, uint64_t *h)
{
	uint64_t own[4] = {(uint64_t)x->kind << 32 | (uint64_t)x->type.dtype << 8 | (uint64_t)x->type.lanes, (uint64_t)x->i,
			   x->kind == LIR_VAR      ? x->var->id
			   : x->kind == LIR_BINARY ? x->op
			   : x->kind == LIR_CALL   ? x->call
						   : 0,
			   0};

	if (x->kind == LIR_LOAD)
		return false;
	if (x->kind == LIR_FLOAT)
		memcpy(&own[3], &x->f, sizeof x->f);
	for (int i = 0; i < 4; i++)
		*h = (*h ^ own[i]) * 0x9e3779b97f4a7c15u, *h ^= *h >> 29;
	for (uint32_t i = 0; i < x->nargs; i++)
		if (!hash_text_of(x->arg[i], h))
			return false;
	return true;
}

static bool same_text(const struct lir_expr *x, const struct lir_expr *y)
{
	if (x->kind != y->kind || !lir_type_eq(x->type, y->type) || x->nargs != y->nargs || x->i != y->i)
		return false;
	if ((x->kind == LIR_VAR && x->var != y->var) || (x->kind == LIR_BINARY && x->op != y->op) ||
	    (x->kind == LIR_CALL && x->call != y->call) || (x->kind == LIR_FLOAT && memcmp(&x->f, &y->f, sizeof x->f)))
		return false;
	for (uint32_t i = 0; i < x->nargs; i++)
		if (!same_text(x->arg[i], y->arg[i]))
			return false;
	return true;
}

/* A choice is an unknown of its own, the same one each time it is written. */
static struct form chosen(struct known *k, const struct lir_expr *x)
{
	size_t first = k->atom.n > SCAN ? k->atom.n - SCAN : 0;
	uint64_t hash = 1;
	bool fixed = hash_text_of(x, &hash);
	uint32_t fresh = (uint32_t)k->atom.n; /* one that was there may outlive what makes it the choice here */
	struct form f;

	for (size_t i = k->atom.n; fixed && i-- > first;)
		if (k->atom.v[i].text && k->atom.v[i].hash == hash && same_text(k->atom.v[i].text, x))
			return of_atom((uint32_t)i);
	f = x->kind == LIR_SELECT ? select_form(k, x) : binary(k, x);
	if (fixed && f.n == 1 && f.term[0].times == 1 && !f.constant && f.term[0].atom >= fresh &&
	    !k->atom.v[f.term[0].atom].text) {
		k->atom.v[f.term[0].atom].text = x;
		k->atom.v[f.term[0].atom].hash = hash;
	}
	return f;
}

struct form known_form(struct known *k, const struct lir_expr *x)
{
	struct lir_range whole = lir_range_of_type(x->type.dtype);

	if (!is_integer(x->type))
		return unknown(k, (struct lir_range){-MOST, MOST});
	if (!spend(k))
		return unknown(k, whole);
	switch (x->kind) {
	case LIR_INT: return x->i > -MOST && x->i < MOST ? constant(x->i) : unknown(k, whole);
	case LIR_VAR:
		if (!k->var[x->var->id].set)
			return unknown(k, whole);
		return k->var[x->var->id].form;
	case LIR_BINARY: return x->op == LIR_MIN || x->op == LIR_MAX ? chosen(k, x) : binary(k, x);
	case LIR_SELECT: return chosen(k, x);
	case LIR_CAST: return cast_form(k, x);
	case LIR_LOAD: return unknown(k, k->stored && x->buffer->scope == LIR_LOCAL ? k->stored[x->buffer->id] : whole);
	default: return unknown(k, whole);
	}
}

/* ---- conditions ---- */

#define EXACT ((int64_t)1 << 21) /* halves below this are exact in f32, and so are their sums */

/* Twice the value of a float that is an integer and so many halves. */
static bool halves(struct known *k, const struct lir_expr *x, struct form *out)
{
	struct form y;
	struct lir_range r;

	*out = constant(0);
	if (x->type.lanes > 1 || (x->type.dtype != DT_F32 && x->type.dtype != DT_F64))
		return false;
	switch (x->kind) {
	case LIR_FLOAT:
		if (!(x->f >= -(double)EXACT && x->f <= (double)EXACT) || (double)(int64_t)(2 * x->f) != 2 * x->f)
			return false;
		*out = constant((int64_t)(2 * x->f));
		return true;
	case LIR_CAST:
		if (!is_integer(x->arg[0]->type))
			return false;
		y = known_form(k, x->arg[0]);
		if (!add_form(out, &y, 2))
			return false;
		break;
	case LIR_BINARY:
		if ((x->op != LIR_ADD && x->op != LIR_SUB) || !halves(k, x->arg[0], out) || !halves(k, x->arg[1], &y) ||
		    !add_form(out, &y, x->op == LIR_ADD ? 1 : -1))
			return false;
		break;
	default: return false;
	}
	r = known_range(k, out);
	return r.low >= -EXACT && r.high <= EXACT;
}

static bool float_constant(const struct lir_expr *x, double *out)
{
	double a, b;

	*out = x->f;
	if (x->kind == LIR_FLOAT)
		return true;
	return x->kind == LIR_BINARY && float_constant(x->arg[0], &a) && float_constant(x->arg[1], &b) &&
	       lir_fold_float(x->op, x->type.dtype, a, b, out);
}

static enum lir_op mirrored(enum lir_op op)
{
	switch (op) {
	case LIR_LT: return LIR_GT;
	case LIR_LE: return LIR_GE;
	case LIR_GT: return LIR_LT;
	case LIR_GE: return LIR_LE;
	default: return op;
	}
}

/* An integer and halves against any number: both sides doubled, the number rounded down to a whole one. */
static bool against_constant(struct known *k, enum lir_op *op, const struct lir_expr *x, const struct lir_expr *y, struct form *a,
			     struct form *b)
{
	double c, whole;

	if (!float_constant(y, &c) || !(fabs(c) < (double)EXACT) || !halves(k, x, a))
		return false;
	whole = floor(2 * c);
	*b = constant((int64_t)whole);
	if (whole == 2 * c)
		return true;
	k->dead = k->dead || *op == LIR_EQ;
	*op = *op == LIR_LT ? LIR_LE : *op == LIR_GE ? LIR_GT : *op;
	return *op != LIR_EQ && *op != LIR_NE;
}

static void compare(struct known *k, enum lir_op op, const struct lir_expr *x, const struct lir_expr *y)
{
	struct form a, b, diff = constant(0);
	struct lir_range d;

	if (dtype_is_float(x->type.dtype)) {
		enum lir_op back = mirrored(op);

		if (against_constant(k, &op, x, y, &a, &b)) {
			;
		} else if (against_constant(k, &back, y, x, &b, &a)) {
			op = mirrored(back);
		} else if (!halves(k, x, &a) || !halves(k, y, &b)) {
			return;
		}
	} else if (is_integer(x->type) && x->type.dtype != DT_U64) {
		a = known_form(k, x);
		b = known_form(k, y);
	} else {
		return;
	}
	switch (op) {
	case LIR_LT: learn_sum(k, -1, &a, 1, &b, -1); return;
	case LIR_LE: learn_sum(k, -1, &a, 1, &b, 0); return;
	case LIR_GT: learn_sum(k, 1, &a, -1, &b, -1); return;
	case LIR_GE: learn_sum(k, 1, &a, -1, &b, 0); return;
	case LIR_EQ:
		learn_sum(k, 1, &a, -1, &b, 0);
		learn_sum(k, -1, &a, 1, &b, 0);
		return;
	default: break;
	}
	if (!add_form(&diff, &a, 1) || !add_form(&diff, &b, -1)) /* not equal: an end of the interval goes */
		return;
	d = known_range(k, &diff);
	if (d.low == 0 && d.high == 0)
		k->dead = true;
	else if (d.low == 0)
		learn_sum(k, 1, &a, -1, &b, -1);
	else if (d.high == 0)
		learn_sum(k, -1, &a, 1, &b, -1);
}

static enum lir_op opposite(enum lir_op op)
{
	switch (op) {
	case LIR_LT: return LIR_GE;
	case LIR_LE: return LIR_GT;
	case LIR_GT: return LIR_LE;
	case LIR_GE: return LIR_LT;
	case LIR_EQ: return LIR_NE;
	default: return LIR_EQ;
	}
}

/* One of the two operands is not known to be otherwise: then it must hold. */
static void assume_one(struct known *k, const struct lir_expr *x, bool holds)
{
	for (int i = 0; i < 2; i++) {
		struct known_mark m = known_mark(k);
		bool impossible;

		known_assume(k, x->arg[i], holds);
		impossible = k->dead;
		known_back(k, m);
		if (impossible) {
			known_assume(k, x->arg[!i], holds);
			return;
		}
	}
}

void known_assume(struct known *k, const struct lir_expr *x, bool holds)
{
	if (k->dead || x->type.lanes > 1 || !spend(k))
		return;
	switch (x->kind) {
	case LIR_INT: k->dead = k->dead || (x->i != 0) != holds; return;
	case LIR_NOT: known_assume(k, x->arg[0], !holds); return;
	case LIR_VAR:
		if (k->var[x->var->id].value)
			known_assume(k, k->var[x->var->id].value, holds);
		return;
	case LIR_BINARY: break;
	default: return;
	}
	if (lir_op_is_compare(x->op) && x->arg[0]->type.dtype != DT_BOOL) {
		compare(k, holds ? x->op : opposite(x->op), x->arg[0], x->arg[1]);
	} else if ((x->op == LIR_AND && holds) || (x->op == LIR_OR && !holds)) {
		known_assume(k, x->arg[0], holds);
		known_assume(k, x->arg[1], holds);
	} else if (x->op == LIR_AND || x->op == LIR_OR) {
		assume_one(k, x, holds);
	}
}

/* ---- statements ---- */

void known_let(struct known *k, const struct lir_stmt *s)
{
	struct known_var *v = &k->var[s->var->id];

	*v = (struct known_var){.set = is_integer(s->var->type), .value = s->value};
	if (v->set)
		v->form = known_form(k, s->value);
	if (s->var->type.dtype != DT_BOOL)
		v->value = NULL;
}

struct lir_range known_loop(struct known *k, const struct lir_stmt *s)
{
	struct form min = known_form(k, s->min), extent = known_form(k, s->extent), v, last = min;
	struct lir_range rmin = known_range(k, &min), rextent = known_range(k, &extent), end, r = {-MOST, MOST};

	end = lir_range_binary(LIR_ADD, rmin, rextent);
	if (rextent.high <= 0)
		k->dead = true;
	if (rmin.low > -MOST && end.high < MOST) { /* nothing wraps */
		struct form sum = min;

		if (add_form(&sum, &extent, 1)) /* min and extent may be related */
			end = known_range(k, &sum);
		r = (struct lir_range){rmin.low, end.high - 1};
	}
	v = k->dead || r.low >= r.high ? constant(r.low) : unknown(k, r);
	k->dead = k->dead || r.low > r.high;
	k->var[s->var->id] = (struct known_var){.set = true, .form = v};
	if (r.low <= -MOST || k->dead)
		return rextent;
	learn_sum(k, 1, &extent, 0, &extent, -1);
	if (min.n)
		learn_sum(k, 1, &v, -1, &min, 0);
	if ((min.n || extent.n) && add_form(&last, &extent, 1))
		learn_sum(k, 1, &last, -1, &v, -1);
	return rextent;
}
