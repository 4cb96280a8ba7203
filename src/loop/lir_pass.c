/* lir_pass.c: the list of passes and the one place that runs and checks them */
#include <string.h>

#include "base/err.h"
#include "loop/loop_internal.h"

const struct lir_pass *const lir_passes[] = {&lir_pass_simplify, &lir_pass_unroll, &lir_pass_sanitize, &lir_pass_budget, NULL};

const struct lir_pass *lir_pass_find(const char *name)
{
	for (size_t i = 0; lir_passes[i]; i++)
		if (!strcmp(lir_passes[i]->name, name))
			return lir_passes[i];
	return NULL;
}

bool lir_run_pass(struct lir_func *f, const struct lir_pass *p, struct err *e)
{
	struct hash before = lir_hash(f);
	bool changed = false;

	if (!p->run(f, &changed, e))
		return err_in(e, "pass '%s'", p->name);
	if (!lir_verify(f, e))
		return err_in(e, "after pass '%s'", p->name);
	if (changed == hash_eq(before, lir_hash(f)))
		return err_set(e, ERR_BAD_IR, "pass '%s' misreports progress", p->name);
	return true;
}
