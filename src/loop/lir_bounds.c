/* lir_bounds.c: whether the accesses of a function stay inside their buffers
 *
 * A walk in print order that carries along what is known (lir_known.c). An access that is not proved is tried the other way round:
 * lir_bounds_witness.c looks for an iteration that certainly runs and leaves.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/str.h"
#include "loop/lir_bounds_internal.h"

#define LARGEST ((int64_t)1 << 40) /* what a counter may reach: no loop of a kernel runs longer */
#define ROUNDS 4

struct walk {
	struct known k;
	struct path path;
	struct lir_bounds_hooks h;
};

static void push(struct walk *w, enum step_kind kind, const struct lir_stmt *s, const struct lir_expr *x, bool holds)
{
	struct step step = {kind, s, x, holds};

	vec_push(w->k.a, &w->path, step);
}

/* ---- accesses ---- */

/* The elements that a view's strides lead to, given indices within its dims. */
static bool view_fits(const struct lir_buffer *buf, struct lir_range *at)
{
	*at = (struct lir_range){buf->offset, buf->offset};
	for (int d = 0; d < buf->nd; d++) {
		struct lir_range index = {0, buf->dim[d] - 1}, stride = {buf->stride[d], buf->stride[d]};

		if (buf->dim[d] <= 0)
			return true; /* nothing is in range of it */
		*at = lir_range_binary(LIR_ADD, *at, lir_range_binary(LIR_MUL, index, stride));
	}
	return at->low >= 0 && at->high < buf->elements;
}

static struct lir_range index_range(struct walk *w, const struct lir_expr *x)
{
	const struct lir_expr *base = x->kind == LIR_RAMP ? x->arg[0] : x;
	struct known_mark m = known_mark(&w->k);
	struct form f = known_form(&w->k, base);
	struct lir_range r = known_range(&w->k, &f);

	known_back(&w->k, m);
	if (x->kind == LIR_RAMP) {
		int64_t last = x->i * (x->type.lanes - 1);
		struct lir_range lanes = {last < 0 ? last : 0, last < 0 ? 0 : last};

		r = lir_range_binary(LIR_ADD, r, lanes);
	}
	return r;
}

static void access(struct walk *w, const struct lir_stmt *s, const struct lir_expr *load)
{
	struct lir_access x = {.stmt = s, .load = load, .buffer = load ? load->buffer : s->buffer, .dim = -1, .known = &w->k};
	struct lir_expr *const *index = load ? load->arg : s->index;
	uint32_t n = load ? load->nargs : s->nindex;

	x.index = index;
	x.proved = w->k.dead || view_fits(x.buffer, &x.range);
	for (uint32_t d = 0; x.proved && !w->k.dead && d < n; d++) {
		struct lir_range r = index_range(w, index[d]);

		if (r.low >= 0 && r.high < x.buffer->dim[d])
			continue;
		x.proved = false;
		x.dim = (int)d;
		x.range = r;
	}
	if (w->h.access)
		w->h.access(&x, &w->path, w->h.user);
}

/* Every access of an expression, in the order of evaluation, with what its place in the expression says. */
static void expression(struct walk *w, const struct lir_stmt *s, const struct lir_expr *x);

static void guarded(struct walk *w, const struct lir_stmt *s, const struct lir_expr *cond, bool holds, const struct lir_expr *x)
{
	struct known_mark m = known_mark(&w->k);
	size_t depth = w->path.n;

	push(w, STEP_COND, NULL, cond, holds);
	known_assume(&w->k, cond, holds);
	expression(w, s, x);
	w->path.n = depth;
	known_back(&w->k, m);
}

static void expression(struct walk *w, const struct lir_stmt *s, const struct lir_expr *x)
{
	bool lazy = x->kind == LIR_BINARY && (x->op == LIR_AND || x->op == LIR_OR) && x->type.lanes == 1;

	if (x->kind == LIR_SELECT && x->arg[0]->type.lanes == 1) {
		expression(w, s, x->arg[0]);
		guarded(w, s, x->arg[0], true, x->arg[1]);
		guarded(w, s, x->arg[0], false, x->arg[2]);
	} else if (lazy) {
		expression(w, s, x->arg[0]);
		guarded(w, s, x->arg[0], x->op == LIR_AND, x->arg[1]);
	} else {
		for (uint32_t i = 0; i < x->nargs; i++)
			expression(w, s, x->arg[i]);
	}
	if (x->kind == LIR_LOAD)
		access(w, s, x);
}

/* ---- statements ---- */

static void statement(struct walk *w, const struct lir_stmt *s);

static void body(struct walk *w, const struct lir_stmt *s, uint32_t i, enum step_kind kind, bool holds)
{
	size_t depth = w->path.n;

	push(w, kind, s, s->value, holds);
	statement(w, s->body[i]);
	w->path.n = depth;
}

static void branches(struct walk *w, const struct lir_stmt *s)
{
	for (uint32_t i = 0; i < s->nbody; i++) {
		struct known_mark m = known_mark(&w->k);

		known_assume(&w->k, s->value, !i);
		body(w, s, i, STEP_COND, !i);
		known_back(&w->k, m);
	}
}

static void statement(struct walk *w, const struct lir_stmt *s)
{
	struct known_mark m = known_mark(&w->k);

	if (s->min)
		expression(w, s, s->min);
	if (s->extent)
		expression(w, s, s->extent);
	if (s->value)
		expression(w, s, s->value);
	for (uint32_t i = 0; i < s->nindex; i++)
		expression(w, s, s->index[i]);
	switch (s->kind) {
	case LIR_STORE: access(w, s, NULL); break;
	case LIR_IF: branches(w, s); break;
	case LIR_FOR: {
		bool dead = w->k.dead;
		struct lir_range extent = known_loop(&w->k, s);

		if (w->h.loop)
			w->h.loop(s, dead ? (struct lir_range){0, 0} : extent, w->h.user);
		body(w, s, 0, STEP_LOOP, true);
		break;
	}
	case LIR_LET:
		known_let(&w->k, s);
		body(w, s, 0, STEP_LET, true);
		break;
	default:
		for (uint32_t i = 0; i < s->nbody; i++)
			statement(w, s->body[i]);
		break;
	}
	known_back(&w->k, m);
}

/* ---- counters ---- */

/* Local integers that are only set to what is not negative, or counted up: assumed to be so, and checked by what is stored. */
struct counters {
	struct walk *w;
	bool *fails; /* by buffer id */
};

static void check_stored(const struct lir_access *x, const struct path *path, void *user)
{
	struct counters *c = user;
	struct known *k = &c->w->k;
	struct form f;
	struct known_mark m;
	struct lir_range r;

	(void)path;
	if (x->load || x->buffer->scope != LIR_LOCAL || dtype_is_float(x->buffer->dtype) || k->dead)
		return;
	if (x->stmt->access != x->buffer->dtype || x->stmt->value->type.lanes > 1) {
		c->fails[x->buffer->id] = true;
		return;
	}
	m = known_mark(k);
	f = known_form(k, x->stmt->value);
	r = known_range(k, &f);
	known_back(k, m);
	if (r.low < 0 || r.high > LARGEST + (1 << 20)) /* counted up by so much at a time */
		c->fails[x->buffer->id] = true;
}

/* The ranges of local integer buffers: proved by induction over the stores. What fails is taken back, until nothing more does. */
static void find_counters(struct walk *w)
{
	const struct lir_func *f = w->k.f;
	struct counters c = {.w = w, .fails = ARENA_ARRAY(w->k.a, bool, f->nbuffers + 1)};
	struct lir_bounds_hooks kept = w->h;

	w->k.stored = ARENA_ARRAY(w->k.a, struct lir_range, f->nbuffers + 1);
	for (int round = 0; round < ROUNDS; round++) {
		bool again = false;

		for (uint32_t i = 0; i < f->nbuffers; i++)
			w->k.stored[i] = round ? w->k.stored[i] : (struct lir_range){0, LARGEST};
		memset(c.fails, 0, f->nbuffers);
		w->h = (struct lir_bounds_hooks){.access = check_stored, .user = &c};
		statement(w, f->body);
		for (uint32_t i = 0; i < f->nbuffers; i++) {
			if (!c.fails[i])
				continue;
			again = again || w->k.stored[i].low == 0;
			w->k.stored[i] = (struct lir_range){-LIR_RANGE_MOST, LIR_RANGE_MOST};
		}
		w->h = kept;
		if (!again)
			break;
		if (round == ROUNDS - 1)
			memset(c.fails, 1, f->nbuffers);
	}
	for (uint32_t i = 0; i < f->nbuffers; i++) /* how far it is counted is not asked */
		w->k.stored[i] = (struct lir_range){c.fails[i] ? -LIR_RANGE_MOST : w->k.stored[i].low, LIR_RANGE_MOST};
}

static bool has_local_integers(const struct lir_stmt *s)
{
	if (s->kind == LIR_ALLOC && !dtype_is_float(s->buffer->dtype))
		return true;
	for (uint32_t i = 0; i < s->nbody; i++)
		if (has_local_integers(s->body[i]))
			return true;
	return false;
}

void lir_bounds_walk(const struct lir_func *f, const struct lir_bounds_hooks *h)
{
	struct walk w = {.h = *h};

	known_open(&w.k, f);
	if (has_local_integers(f->body))
		find_counters(&w);
	statement(&w, f->body);
	arena_free(w.k.a);
}

/* ---- the whole ---- */

struct verdict {
	const struct lir_func *f;
	struct lir_bounds *out;
	struct arena *a;
};

static void describe(struct lir_bounds *b, const char *where)
{
	char index[64], at[160];

	if (b->kind == LIR_BOUNDS_LEAVES)
		snprintf(index, sizeof index, "%" PRId64, b->index.low);
	else if (!lir_range_bounded(b->index))
		snprintf(index, sizeof index, "%s", "that is not known");
	else
		snprintf(index, sizeof index, "%" PRId64 "..%" PRId64, b->index.low, b->index.high);
	if (b->dim < 0)
		snprintf(at, sizeof at, "element %s of %" PRId64, index, b->size);
	else
		snprintf(at, sizeof at, "index %s in dim %d of size %" PRId64, index, b->dim, b->size);
	snprintf(b->text, sizeof b->text, "%s '%.80s' out of bounds: %s%s%s", b->write ? "a write to" : "a read of",
		 b->buffer->name, at, *where ? " with " : "", where);
}

static void judge(const struct lir_access *x, const struct path *path, void *user)
{
	struct verdict *v = user;
	struct lir_bounds *b = v->out;
	struct witness found;
	bool leaves;

	if (x->proved)
		return;
	b->unproved++;
	if (b->kind == LIR_BOUNDS_LEAVES)
		return;
	leaves = lir_bounds_witness(v->f, path, x, &found);
	if (!leaves && b->kind == LIR_BOUNDS_MAY_LEAVE)
		return;
	b->kind = leaves ? LIR_BOUNDS_LEAVES : LIR_BOUNDS_MAY_LEAVE;
	b->buffer = x->buffer;
	b->write = !x->load;
	b->dim = leaves ? found.dim : x->dim;
	b->index = leaves ? (struct lir_range){found.index, found.index} : x->range;
	b->size = b->dim < 0 ? x->buffer->elements : x->buffer->dim[b->dim];
	describe(b, leaves ? found.where : "");
}

void lir_bounds(const struct lir_func *f, struct lir_bounds *out)
{
	struct verdict v = {.f = f, .out = out};
	struct lir_bounds_hooks h = {.access = judge, .user = &v};

	*out = (struct lir_bounds){.kind = LIR_BOUNDS_IN_RANGE, .dim = -1};
	lir_bounds_walk(f, &h);
}

const char *lir_bounds_name(enum lir_bounds_kind k)
{
	static const char *const names[] = {"in-range", "may-leave", "leaves"};

	return (unsigned)k < sizeof names / sizeof *names ? names[k] : "?";
}
