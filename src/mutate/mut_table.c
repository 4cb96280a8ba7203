/* mut_table.c: the list of operators; a row without its behaviour does not link; what can be told from a row alone */
#include <string.h>

#include "mutate/mutate_internal.h"

#define MUT(id) extern const struct mut_op mut_##id;
#include "mutate/operators.def"
#undef MUT

const struct mut_op *const mut_ops[] = {
#define MUT(id) &mut_##id,
#include "mutate/operators.def"
#undef MUT
        NULL};

bool mut_touches(const struct mutant *m, const char *target)
{
	return (m->all && !strcmp(m->target, "*")) || !strcmp(m->target, target);
}

unsigned mut_count_variants(const struct mut_op *op)
{
	unsigned n = 0;

	while (op->variant[n])
		n++;
	return n;
}
