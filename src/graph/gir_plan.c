/* gir_plan.c: what the passes decided on the original, replayed for its mutants */
#include "base/arena.h"
#include "base/map.h"
#include "graph/graph.h"

struct gir_plan {
	struct arena *a;
	struct map *decision;             /* key -> 1 yes, 2 no */
	bool replay;
};

struct gir_plan *gir_plan_new(struct arena *a)
{
	struct gir_plan *p = ARENA_NEW(a, struct gir_plan);

	p->a = a;
	p->decision = map_new(a);
	return p;
}

void gir_plan_replay(struct gir_plan *p)
{
	p->replay = true;
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
	return p->replay && known ? known == 1 : wish;
}
