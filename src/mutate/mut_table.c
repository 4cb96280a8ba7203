/* mut_table.c: the list of operators; a row without its behaviour does not link */
#include "mutate/mutate.h"

#define MUT(id) extern const struct mut_op mut_##id;
#include "mutate/operators.def"
#undef MUT

const struct mut_op *const mut_ops[] = {
#define MUT(id) &mut_##id,
#include "mutate/operators.def"
#undef MUT
        NULL};
