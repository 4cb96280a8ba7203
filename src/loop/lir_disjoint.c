/* lir_disjoint.c: whether iterations of the parallel loops keep to elements of their own
 *
 * Proved, not guessed: every access to an output inside the parallel loops lies in range, and its indices tell the loops'
 * variables: an index c*v + rest with 0 <= rest < c has another value for each v, wherever the rest comes from. What is told is
 * taken out of the index, and the next variable looked for in the rest. A variable is also told by its quotient and its remainder
 * by the same number
 * (`part / 32`, `part % 32`). All accesses to a buffer must tell a variable in the same dim with the same c.
 */
#include <string.h>

#include "base/arena.h"
#include "loop/lir_bounds_internal.h"
#include "loop/loop_internal.h"

struct key { /* a variable, or its quotient or remainder by a number, is told by this buffer's index in dim, in steps of c */
	uint32_t buffer, var;
	enum lir_op op; /* LIR_OP_COUNT: the variable itself */
	int64_t by;
	int dim;
	int64_t c;
};

struct disjoint {
	struct arena *a;
	const struct lir_func *f;
	VEC(struct key) key;
	bool ok;
};

struct parallel {
	uint32_t var, atom;
	bool told;
};

/* The parallel loops around the access that have more than one iteration. */
static size_t parallel_loops(const struct lir_access *x, const struct path *path, struct parallel *out, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < path->n; i++) {
		const struct lir_stmt *s = path->v[i].stmt;
		const struct form *f;

		if (path->v[i].kind != STEP_LOOP || s->loop != LIR_PARALLEL)
			continue;
		f = &x->known->var[s->var->id].form;
		if (f->n && n < max)
			out[n] = (struct parallel){.var = s->var->id, .atom = f->term[0].atom};
		n += f->n != 0;
	}
	return n;
}

/* Which of the loops an atom stands for, and as what. */
static bool is_of(const struct known *k, uint32_t atom, const struct parallel *v, struct key *out)
{
	const struct atom *x = &k->atom.v[atom];

	*out = (struct key){.var = v->var, .op = LIR_OP_COUNT};
	if (atom == v->atom)
		return true;
	out->op = x->op;
	out->by = x->by;
	return x->op != LIR_OP_COUNT && x->of.n == 1 && x->of.term[0].atom == v->atom && x->of.term[0].times == 1 &&
	       !x->of.constant;
}

/* All accesses to the buffer agree on how it tells this. */
static bool agrees(struct disjoint *d, const struct key *key)
{
	for (size_t i = 0; i < d->key.n; i++) {
		const struct key *have = &d->key.v[i];

		if (have->buffer == key->buffer && have->var == key->var && have->op == key->op && have->by == key->by)
			return have->dim == key->dim && have->c == key->c;
	}
	vec_push(d->a, &d->key, *key);
	return true;
}

static bool seen(const struct key *told, size_t n, uint32_t var, enum lir_op op, int64_t by)
{
	for (size_t i = 0; i < n; i++)
		if (told[i].var == var && told[i].op == op && told[i].by == by)
			return true;
	return false;
}

#define MAX_TOLD 32

/* Takes what one index tells out of it, until there is no more. */
static size_t tell(struct disjoint *d, const struct lir_access *x, int dim, struct form *f, int64_t lanes, const struct parallel *v,
		   size_t nv, struct key *told, size_t n)
{
	for (int t = 0; t < f->n && n < MAX_TOLD; t++) {
		struct form rest = *f;
		struct lir_range r;
		struct key key;
		size_t i = 0;

		while (i < nv && !is_of(x->known, f->term[t].atom, &v[i], &key))
			i++;
		rest.term[t] = rest.term[--rest.n];
		r = known_range(x->known, &rest);
		if (i == nv || f->term[t].times <= 0 || r.low < 0 || r.high >= f->term[t].times - lanes)
			continue;
		key.buffer = x->buffer->id;
		key.dim = dim;
		key.c = f->term[t].times;
		if (!agrees(d, &key))
			continue;
		told[n++] = key;
		*f = rest;
		t = -1; /* from the start */
	}
	return n;
}

static bool all_told(const struct parallel *v, size_t nv, const struct key *told, size_t n)
{
	for (size_t i = 0; i < nv; i++) {
		bool ok = seen(told, n, v[i].var, LIR_OP_COUNT, 0);

		for (size_t k = 0; k < n && !ok; k++)
			ok = told[k].var == v[i].var && told[k].op == LIR_DIV && seen(told, n, v[i].var, LIR_MOD, told[k].by);
		if (!ok)
			return false;
	}
	return true;
}

static void access(const struct lir_access *x, const struct path *path, void *user)
{
	struct disjoint *d = user;
	uint32_t n = x->load ? x->load->nargs : x->stmt->nindex;
	struct parallel v[MAX_DIMS * 2];
	struct key told[MAX_TOLD];
	size_t nv, ntold = 0;

	if (x->buffer->scope != LIR_GLOBAL || x->buffer->id < d->f->nparams - d->f->nout || x->known->dead)
		return;
	if (!x->load && x->stmt->access != x->buffer->dtype) {
		d->ok = false;
		return;
	}
	nv = parallel_loops(x, path, v, sizeof v / sizeof *v);
	if (!nv || !d->ok)
		return;
	d->ok = x->proved && nv <= sizeof v / sizeof *v;
	for (uint32_t i = 0; d->ok && i < n; i++) {
		const struct lir_expr *index = x->index[i], *base = index->kind == LIR_RAMP ? index->arg[0] : index;
		int64_t lanes = index->kind == LIR_RAMP ? index->i * (index->type.lanes - 1) : 0;
		struct form f = known_form(x->known, base);

		if (lanes >= 0) /* lanes that go down are not looked at */
			ntold = tell(d, x, (int)i, &f, lanes, v, nv, told, ntold);
	}
	d->ok = d->ok && all_told(v, nv, told, ntold);
}

bool lir_iterations_disjoint(const struct lir_func *f)
{
	struct disjoint d = {.a = arena_new(NULL), .f = f, .ok = true};
	struct lir_bounds_hooks h = {.access = access, .user = &d};

	lir_bounds_walk(f, &h);
	arena_free(d.a);
	return d.ok;
}
