/* lir_known.c: integer expressions as sums of unknowns
 *
 * Sums are those of whole numbers: an expression is taken as one only where its interval shows that nothing wraps, else it is a
 * new unknown of its type.
 */
#include "loop/lir_known_internal.h"

#include <string.h>

/* One atom for equal quotients and remainders; *seen: its facts are known. */
static uint32_t made_atom(struct known *k, enum lir_op op, const struct form *of, int64_t by, struct lir_range r, bool *seen)
{
	size_t first = k->atom.n > SCAN ? k->atom.n - SCAN : 0;
	uint32_t at;

	*seen = true;
	for (size_t i = k->atom.n; i-- > first;)
		if (k->atom.v[i].op == op && k->atom.v[i].by == by && form_same(&k->atom.v[i].of, of))
			return (uint32_t)i;
	*seen = false;
	at = known_new_atom(k, r);
	k->atom.v[at].op = op;
	k->atom.v[at].of = *of;
	k->atom.v[at].by = by;
	return at;
}

/* f = by * quotient + rest, term by term; true when 0 <= rest < by, so that these are quotient and remainder. */
static bool split(const struct known *k, const struct form *f, int64_t by, struct form *quotient, struct form *rest)
{
	struct lir_range r;

	*quotient = form_constant(form_floor_div(f->constant, by));
	*rest = form_constant(f->constant - by * quotient->constant);
	for (int i = 0; i < f->n; i++) {
		struct form *to = f->term[i].times % by ? rest : quotient;

		to->term[to->n] = f->term[i];
		to->term[to->n++].times /= to == rest ? 1 : by;
	}
	r = known_plain_range(k, rest);
	return r.low >= 0 && r.high < by;
}

/* x is not negative: x = by * quotient + remainder, and both have facts. */
static struct form divided(struct known *k, const struct form *x, struct lir_range rx, int64_t by, bool remainder)
{
	struct form quotient, rest;
	bool seen;

	if (split(k, x, by, &quotient, &rest))
		return remainder ? rest : quotient;
	quotient = form_of_atom(made_atom(k, LIR_DIV, x, by, lir_range_binary(LIR_DIV, rx, (struct lir_range){by, by}), &seen));
	if (!seen) {
		known_learn_sum(k, 1, x, -by, &quotient, 0);
		known_learn_sum(k, -1, x, by, &quotient, by - 1);
	}
	if (!remainder)
		return quotient;
	rest = form_of_atom(made_atom(k, LIR_MOD, x, by, lir_range_binary(LIR_MOD, rx, (struct lir_range){by, by}), &seen));
	if (!seen) { /* x - by * quotient = rest */
		struct form g = form_constant(0), h = form_constant(0);

		if (form_add(&g, x, 1) && form_add(&g, &quotient, -by) && form_add(&g, &rest, -1) && form_add(&h, &g, -1)) {
			known_learn(k, &g);
			known_learn(k, &h);
		}
	}
	return rest;
}

static struct form extreme(struct known *k, enum lir_op op, const struct form *x, const struct form *y, struct lir_range r)
{
	struct form diff = form_constant(0), m;
	int64_t sign = op == LIR_MIN ? 1 : -1;
	struct lir_range d = {-MOST, MOST};

	if (form_add(&diff, x, sign) && form_add(&diff, y, -sign))
		d = known_bounded(k, &diff, 1);
	if (d.high <= 0)
		return *x;
	if (d.low >= 0)
		return *y;
	m = known_unknown(k, r);
	known_learn_sum(k, sign, x, -sign, &m, 0);
	known_learn_sum(k, sign, y, -sign, &m, 0);
	return m;
}

/* A sum as it stands, where it cannot wrap. */
static bool exact(struct known *k, const struct form *f, enum dtype t)
{
	struct lir_range r = known_plain_range(k, f), in = lir_range_within(r, t);

	if (lir_range_bounded(r) && in.low == r.low && in.high == r.high)
		return true;
	r = known_range(k, f);
	in = lir_range_within(r, t);
	return lir_range_bounded(r) && in.low == r.low && in.high == r.high;
}

static struct lir_range operand(struct known *k, const struct form *f)
{
	struct lir_range r = known_plain_range(k, f);

	return r.low >= 0 && r.high < MOST ? r : known_range(k, f);
}

static struct form binary(struct known *k, const struct lir_expr *x)
{
	enum dtype t = x->type.dtype;
	struct lir_range ra, rb, r;
	struct form a, b, sum;

	if (t == DT_BOOL)
		return known_unknown(k, lir_range_of_type(t));
	sum = a = known_form(k, x->arg[0]);
	b = known_form(k, x->arg[1]);
	if ((x->op == LIR_ADD || x->op == LIR_SUB) && form_add(&sum, &b, x->op == LIR_ADD ? 1 : -1) && exact(k, &sum, t))
		return sum;
	if (x->op == LIR_MUL && (!a.n || !b.n)) {
		sum = form_constant(0);
		if ((a.n ? form_add(&sum, &a, b.constant) : form_add(&sum, &b, a.constant)) && exact(k, &sum, t))
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
		return known_unknown(k, lir_range_within(r, t));
	}
	return known_unknown(k, lir_range_bounded(r) ? lir_range_within(r, t) : lir_range_of_type(t));
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
	return known_unknown(k, reached[0] ? lir_range_unite(r[0], r[1]) : lir_range_of_type(x->type.dtype));
}

bool known_is_integer(struct lir_type t)
{
	return t.lanes == 1 && !dtype_is_float(t.dtype);
}

static struct form cast_form(struct known *k, const struct lir_expr *x)
{
	struct lir_range whole = lir_range_of_type(x->type.dtype), r;
	struct form f;

	if (!known_is_integer(x->arg[0]->type))
		return known_unknown(k, whole);
	f = known_form(k, x->arg[0]);
	if (x->type.dtype == DT_BOOL)
		return known_unknown(k, whole);
	r = known_range(k, &f);
	if (x->arg[0]->type.dtype == DT_U64 || x->type.dtype == DT_U64)
		return lir_range_bounded(r) && r.low >= 0 ? f : known_unknown(k, whole);
	return r.low >= whole.low && r.high <= whole.high ? f : known_unknown(k, whole);
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
			return form_of_atom((uint32_t)i);
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

	if (!known_is_integer(x->type))
		return known_unknown(k, (struct lir_range){-MOST, MOST});
	if (!known_spend(k))
		return known_unknown(k, whole);
	switch (x->kind) {
	case LIR_INT: return x->i > -MOST && x->i < MOST ? form_constant(x->i) : known_unknown(k, whole);
	case LIR_VAR:
		if (!k->var[x->var->id].set)
			return known_unknown(k, whole);
		return k->var[x->var->id].form;
	case LIR_BINARY: return x->op == LIR_MIN || x->op == LIR_MAX ? chosen(k, x) : binary(k, x);
	case LIR_SELECT: return chosen(k, x);
	case LIR_CAST: return cast_form(k, x);
	case LIR_LOAD: return known_unknown(k, k->stored && x->buffer->scope == LIR_LOCAL ? k->stored[x->buffer->id] : whole);
	default: return known_unknown(k, whole);
	}
}

/* ---- statements ---- */

void known_let(struct known *k, const struct lir_stmt *s)
{
	struct known_var *v = &k->var[s->var->id];

	*v = (struct known_var){.set = known_is_integer(s->var->type), .value = s->value};
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

		if (form_add(&sum, &extent, 1)) /* min and extent may be related */
			end = known_range(k, &sum);
		r = (struct lir_range){rmin.low, end.high - 1};
	}
	v = k->dead || r.low >= r.high ? form_constant(r.low) : known_unknown(k, r);
	k->dead = k->dead || r.low > r.high;
	k->var[s->var->id] = (struct known_var){.set = true, .form = v};
	if (r.low <= -MOST || k->dead)
		return rextent;
	known_learn_sum(k, 1, &extent, 0, &extent, -1);
	if (min.n)
		known_learn_sum(k, 1, &v, -1, &min, 0);
	if ((min.n || extent.n) && form_add(&last, &extent, 1))
		known_learn_sum(k, 1, &last, -1, &v, -1);
	return rextent;
}
