/* mutate_internal.h: shared by the files of mutate/ */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/vec.h"
#include "mutate/mutate.h"

/* A place found: enough to find it again in a clone of the same function. */
struct mut_site {
	uint32_t target;                  /* function or node index */
	uint32_t ordinal;                 /* among this operator's sites in the target */
	uint64_t variants;
};
struct mut_sites {
	VEC(struct mut_site) v;
};

/* All sites of an operator, in print order. */
void mut_find_sites(struct arena *a, const struct mut_subject *s, const struct mut_op *op, struct mut_sites *out);
/* The same of n operators at once, each in its own of out, which are empty: one walk of the loops. */
void mut_find_all_sites(struct arena *a, const struct mut_subject *s, const struct mut_op *const *op, size_t n, struct mut_sites *out);
const char *mut_target_name(const struct mut_subject *s, const struct mut_op *op, uint32_t target);
/* "OP/TARGET/ORDINAL/VARIANT"; target NULL: everywhere. */
const char *mut_id(struct arena *a, const struct mut_op *op, const char *target, bool all, uint32_t ordinal, unsigned variant);
/* Whether a mutant may change places of the target. */
bool mut_touches(const struct mutant *m, const char *target);
unsigned mut_count_variants(const struct mut_op *op);
