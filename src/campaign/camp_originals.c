/* camp_originals.c: the texts that mutants are differences of, and what their operators do, kept for reports */
#include "base/map.h"
#include "base/str.h"
#include "campaign/campaign_internal.h"

static bool record(struct camp *c, const char *kind, const char *name, struct str *text, struct err *e)
{
	struct store_original x = {kind, name, str_text(text)};
	bool ok = store_put_original(c->store, &x, e);

	str_free(text);
	return ok;
}

/* What the mutants' diffs are against, and what their operators do. */
bool camp_originals(struct camp *c, struct err *e)
{
	const struct mut_subject *s = &c->variant[0].program.subject;
	struct map *seen = map_new(c->a);
	struct str text = {0};

	gir_print(&text, s->graph, false);
	if (!record(c, "graph", "graph", &text, e))
		return false;
	for (size_t i = 0; i < s->nfuncs; i++) {
		lir_print(&text, s->func[i]);
		if (!record(c, "loop", s->func[i]->name, &text, e))
			return false;
	}
	str_add(&text, preprocess_text(c->a, &c->model->preprocess));
	str_addc(&text, '\n');
	if (!record(c, "input", "input", &text, e))
		return false;
	for (size_t i = 0; i < c->nmutants; i++) {
		const struct mut_op *op = c->mutant[i].op;

		if (map_has(seen, op->name))
			continue;
		map_put(seen, op->name, (void *)op);
		if (!store_put_operator(c->store, &(struct store_operator){op->name, op->summary, op->imitates}, e))
			return false;
	}
	return true;
}
