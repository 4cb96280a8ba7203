/* mut_site.c: the walk over places, shared by all operators, and applying a mutant to a clone */
#include <assert.h>
#include <string.h>

#include "mutate/mutate_internal.h"

/* ---- loops ---- */

static struct mut_place place_of(const struct lir_func *f, const struct lir_visit *v)
{
	return (struct mut_place){.func = f, .stmt = v->stmt_slot, .expr = v->expr_slot, .parent = v->parent, .nparents = v->nparents, .depth = v->depth};
}

/* Any number of operators look at each place of one walk: walking costs more than most of their looks. */
struct counted {
	const struct mut_op *op;
	struct mut_sites *sites;
	uint32_t ordinal;
};
struct count_walk {
	struct arena *a;
	const struct lir_func *func;
	uint32_t target;
	struct counted *op;
	size_t nops;
};

static bool count(const struct lir_visit *v, void *user)
{
	struct count_walk *w = user;
	struct mut_place p = place_of(w->func, v);

	for (size_t i = 0; i < w->nops; i++) {
		struct counted *c = &w->op[i];
		uint64_t bits = c->op->loop_variants(&p);

		if (bits)
			vec_push(w->a, &c->sites->v, ((struct mut_site){w->target, c->ordinal++, bits}));
	}
	return true;
}

struct loop_walk {
	struct arena *a;
	const struct lir_func *func;
	const struct mut_op *op;
	VEC(struct mut_place) places;
	VEC(uint64_t) variants;
};

static bool visit(const struct lir_visit *v, void *user)
{
	struct loop_walk *w = user;
	struct mut_place p = place_of(w->func, v);
	uint64_t bits = w->op->loop_variants(&p);

	if (!bits)
		return true;
	p.parent = arena_memdup(w->a, p.parent, p.nparents * sizeof *p.parent);
	vec_push(w->a, &w->places, p);
	vec_push(w->a, &w->variants, bits);
	return true;
}

/* Applies one variant to one place (ordinal) or to all, from the last to the first: a place inside another is changed before
 * the one around it, and no change hides a place. */
static bool change_func(struct arena *a, struct lir_func *f, const struct mutant *m, struct err *e)
{
	struct loop_walk w = {.a = arena_new(a), .func = f, .op = m->op};
	bool ok = true;

	lir_walk(f, visit, &w);
	for (size_t i = w.places.n; ok && i-- > 0;)
		if (m->all ? (w.variants.v[i] >> m->variant & 1) : i == m->ordinal)
			ok = m->op->loop_apply(f->arena, f, &w.places.v[i], m->variant, e);
	arena_free(w.a);
	return ok && (lir_verify(f, e) || err_in(e, "mutant '%s' makes an ill-formed function '%s'", m->id, f->name));
}

bool mut_apply_loop(struct arena *a, const struct mut_subject *s, const struct mutant *m, struct lir_func ***func, struct err *e)
{
	struct arena *scratch = arena_new(a);
	struct mut_sites sites = {0};
	bool ok = true;

	assert(m->op->kind == MUT_LOOP);
	*func = ARENA_ARRAY(a, struct lir_func *, s->nfuncs);
	if (m->all) {
		mut_find_sites(scratch, s, m->op, &sites);
		for (size_t i = 0; i < sites.v.n; i++) {
			uint32_t k = sites.v.v[i].target;

			if ((sites.v.v[i].variants >> m->variant & 1) && mut_touches(m, s->func[k]->name))
				(*func)[k] = s->func[k];
		}
	} else {
		for (size_t k = 0; k < s->nfuncs; k++)
			if (mut_touches(m, s->func[k]->name))
				(*func)[k] = s->func[k];
	}
	for (size_t k = 0; ok && k < s->nfuncs; k++)
		if ((*func)[k]) {
			(*func)[k] = lir_func_clone(a, s->func[k]);
			ok = change_func(a, (*func)[k], m, e);
		}
	arena_free(scratch);
	return ok;
}

/* ---- graphs ---- */

static void find_nodes(struct arena *a, struct gir_graph *g, const struct mut_op *op, struct mut_sites *out)
{
	uint32_t *uses = gir_count_uses(a, g);

	for (size_t i = 0; i < g->nodes.n; i++) {
		struct mut_node n = {.graph = g, .node = g->nodes.v[i], .uses = uses};
		uint64_t bits = op->graph_variants(&n);

		if (bits)
			vec_push(a, &out->v, ((struct mut_site){(uint32_t)i, 0, bits}));
	}
}

bool mut_apply_graph(struct arena *a, const struct mut_subject *s, const struct mutant *m, struct gir_graph **out, struct err *e)
{
	struct gir_graph *g = gir_clone(a, s->graph);
	struct arena *scratch = arena_new(a);
	VEC(struct gir_node *) nodes = {0}; /* first all, then change: a change adds nodes */
	struct mut_sites sites = {0};
	bool ok = true;

	assert(m->op->kind == MUT_GRAPH);
	find_nodes(scratch, g, m->op, &sites);
	for (size_t i = 0; i < sites.v.n; i++) {
		struct gir_node *n = g->nodes.v[sites.v.v[i].target];

		if ((sites.v.v[i].variants >> m->variant & 1) && mut_touches(m, n->name))
			vec_push(scratch, &nodes, n);
	}
	for (size_t i = 0; ok && i < nodes.n; i++) {
		struct mut_node n = {.graph = g, .node = nodes.v[i]};

		ok = m->op->graph_apply(&n, m->variant, e) || err_in(e, "node '%s'", nodes.v[i]->name);
	}
	arena_free(scratch);
	*out = g;
	return ok;
}

/* ---- all kinds ---- */

static void find_loops(struct arena *a, const struct mut_subject *s, struct counted *op, size_t n)
{
	for (size_t k = 0; n && k < s->nfuncs; k++) {
		struct count_walk w = {.a = a, .func = s->func[k], .target = (uint32_t)k, .op = op, .nops = n};

		for (size_t i = 0; i < n; i++)
			op[i].ordinal = 0;
		lir_walk(s->func[k], count, &w); /* the visitor changes nothing */
	}
}

void mut_find_all_sites(struct arena *a, const struct mut_subject *s, const struct mut_op *const *op, size_t n, struct mut_sites *out)
{
	struct counted *loops = ARENA_ARRAY(a, struct counted, n);
	size_t nloops = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned variants = mut_count_variants(op[i]);

		switch (op[i]->kind) {
		case MUT_GRAPH: find_nodes(a, s->graph, op[i], &out[i]); break;
		case MUT_INPUT: vec_push(a, &out[i].v, ((struct mut_site){0, 0, variants >= 64 ? ~0ull : (1ull << variants) - 1})); break;
		case MUT_LOOP: loops[nloops++] = (struct counted){op[i], &out[i], 0}; break;
		}
	}
	find_loops(a, s, loops, nloops);
}

void mut_find_sites(struct arena *a, const struct mut_subject *s, const struct mut_op *op, struct mut_sites *out)
{
	mut_find_all_sites(a, s, &op, 1, out);
}

const char *mut_target_name(const struct mut_subject *s, const struct mut_op *op, uint32_t target)
{
	return op->kind == MUT_LOOP ? s->func[target]->name : op->kind == MUT_GRAPH ? s->graph->nodes.v[target]->name : "input";
}

uint64_t mut_count_sites(const struct mut_subject *s, const struct mut_op *op)
{
	struct arena *a = arena_new(NULL);
	struct mut_sites sites = {0};

	mut_find_sites(a, s, op, &sites);
	arena_free(a);
	return sites.v.n;
}

const char *mut_input_edit(const struct mutant *m)
{
	return m->op->input_edit[m->variant];
}
