/* gir_plan.c: what the passes decided on the original, replayed for its mutants */
#include "base/arena.h"
#include "base/map.h"
#include "graph/graph.h"

struct gir_plan {
	struct arena *a;
	struct map *decision; /* key -> 1 yes, 2 no */
	struct map *nodes;    /* names of the original's nodes */
	bool replay;
};

struct gir_plan *gir_plan_new(struct arena *a)
{
	struct gir_plan *p = ARENA_NEW(a, struct gir_plan);

	p->a = a;
	p->decision = map_new(a);
	p->nodes = map_new(a);
	return p;
}

void gir_plan_nodes(struct gir_plan *p, const struct gir_graph *g)
{
	for (size_t i = 0; p && !p->replay && i < g->nodes.n; i++)
		map_put(p->nodes, g->nodes.v[i]->name, p);
}

void gir_plan_replay(struct gir_plan *p)
{
	p->replay = true;
}

/* Between nodes of the original that were not asked about there was nothing to decide: the pass did nothing to them. */
static bool never_wished(const struct gir_plan *p, const char *a, const char *b)
{
	return map_has(p->nodes, a) && (!*b || map_has(p->nodes, b));
}

bool gir_plan_decide(struct gir_plan *p, const char *what, const char *a, const char *b, bool wish)
{
	struct arena *scratch;
	uintptr_t known;
	char *key;

	if (!p)
		return wish;
	scratch = arena_new(NULL);
	key = arena_printf(scratch, "%s\n%s\n%s", what, a, b);
	known = (uintptr_t)map_get(p->decision, key);
	if (!p->replay)
		map_put(p->decision, key, (void *)(uintptr_t)(wish ? 1 : 2));
	arena_free(scratch);
	if (!p->replay)
		return wish;
	return known ? known == 1 : wish && !never_wished(p, a, b);
}
