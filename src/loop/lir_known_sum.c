/* lir_known_sum.c: sums of unknowns, their intervals, and what facts say about them
 *
 * Facts tighten intervals when they are learnt, and bound sums by adding the multiple of a fact that cancels an unknown.
 */
#include "loop/lir_known_internal.h"

#include "base/arena.h"

#define FACT_ROUNDS 3
#define WORK 2000 /* steps for each node of a function; lowerings need a tenth of it at most */

/* ---- sums ---- */

struct form form_constant(int64_t c)
{
	return (struct form){.constant = c};
}

struct form form_of_atom(uint32_t atom)
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

bool form_add(struct form *f, const struct form *g, int64_t times)
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

bool form_same(const struct form *f, const struct form *g)
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

struct lir_range known_plain_range(const struct known *k, const struct form *f)
{
	struct lir_range r = {f->constant, f->constant};

	for (int i = 0; i < f->n; i++) {
		struct lir_range t = {f->term[i].times, f->term[i].times};

		r = lir_range_binary(LIR_ADD, r, lir_range_binary(LIR_MUL, k->atom.v[f->term[i].atom].range, t));
	}
	return r;
}

int64_t form_floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

bool known_spend(struct known *k)
{
	k->work -= k->work > 0;
	return k->work;
}

/* An upper bound of f; depth: how many facts may be added. */
static int64_t upper(struct known *k, const struct form *f, int depth)
{
	int64_t best = known_plain_range(k, f).high;
	size_t first = k->fact.n > SCAN ? k->fact.n - SCAN : 0;

	for (size_t i = k->fact.n; depth && i-- > first && known_spend(k);) {
		const struct form *g = &k->fact.v[i].form;

		for (int t = 0; t < f->n; t++) {
			int at = find_term(g, f->term[t].atom);
			int64_t mine = f->term[t].times, its = at < 0 ? 0 : g->term[at].times, bound;
			struct form sum = form_constant(0);

			/* |its| * f <= |its| * f + |mine| * g, where the atom cancels */
			if (at < 0 || (mine > 0) == (its > 0) || mine == INT64_MIN || its == INT64_MIN)
				continue;
			mine = mine < 0 ? -mine : mine;
			its = its < 0 ? -its : its;
			if (mine % its == 0) {
				mine /= its;
				its = 1;
			}
			if (!form_add(&sum, f, its) || !form_add(&sum, g, mine))
				continue;
			bound = upper(k, &sum, depth - 1);
			if (bound < MOST && form_floor_div(bound, its) < best)
				best = form_floor_div(bound, its);
		}
	}
	return best;
}

struct lir_range known_bounded(struct known *k, const struct form *f, int depth)
{
	struct form minus = form_constant(0);
	struct lir_range r = known_plain_range(k, f);

	if (!f->n)
		return r;
	r.high = upper(k, f, depth);
	if (form_add(&minus, f, -1)) {
		int64_t low = upper(k, &minus, depth);

		if (low < MOST && -low > r.low)
			r.low = -low;
	}
	return r;
}

struct lir_range known_range(struct known *k, const struct form *f)
{
	return known_bounded(k, f, 2);
}

/* ---- atoms and facts ---- */

uint32_t known_new_atom(struct known *k, struct lir_range r)
{
	struct atom x = {.range = r, .op = LIR_OP_COUNT};

	vec_push(k->a, &k->atom, x);
	return (uint32_t)k->atom.n - 1;
}

struct form known_unknown(struct known *k, struct lir_range r)
{
	if (r.low == r.high)
		return form_constant(r.low);
	return form_of_atom(known_new_atom(k, r));
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
		most = known_plain_range(k, &rest).high; /* times * atom >= -most */
		if (most >= MOST || most <= -MOST)
			continue;
		if (times > 0)
			to.low = -form_floor_div(most, times);
		else
			to.high = form_floor_div(most, -times);
		narrow(k, g->term[i].atom, to);
	}
	if (!g->n && g->constant < 0)
		k->dead = true;
}

void known_learn(struct known *k, const struct form *g)
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

void known_learn_sum(struct known *k, int64_t a, const struct form *x, int64_t b, const struct form *y, int64_t c)
{
	struct form g = form_constant(c);

	if (form_add(&g, x, a) && form_add(&g, y, b))
		known_learn(k, &g);
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
