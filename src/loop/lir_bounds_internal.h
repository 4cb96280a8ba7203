/* loop/lir_bounds_internal.h: the walk over accesses and loops that the bounds check and the instrumenting passes share */
#pragma once
#include "loop/lir_known.h"

/* What must be so for a place to be reached, outermost first. */
enum step_kind { STEP_LOOP, STEP_LET, STEP_COND };
struct step {
	enum step_kind kind;
	const struct lir_stmt *stmt; /* LOOP, LET */
	const struct lir_expr *cond; /* COND */
	bool holds;
};
struct path {
	struct step *v;
	size_t n, cap;
};

struct lir_access {
	const struct lir_stmt *stmt; /* it belongs to */
	const struct lir_expr *load; /* NULL: the store itself */
	const struct lir_buffer *buffer;
	struct lir_expr *const *index;
	bool proved;
	int dim;                /* else the first dim that is not, -1: the memory behind a view */
	struct lir_range range; /* and what its index may be */
	struct known *known;    /* at this place */
};

struct lir_bounds_hooks {
	/* In the order of evaluation. Both may be NULL. */
	void (*access)(const struct lir_access *x, const struct path *path, void *user);
	void (*loop)(const struct lir_stmt *s, struct lir_range extent, void *user); /* before its body */
	void *user;
};
void lir_bounds_walk(const struct lir_func *f, const struct lir_bounds_hooks *h);

/* ---- lir_bounds_witness.c ---- */
struct witness {
	int dim;
	int64_t index;
	char where[96]; /* "i = 3, j = 0" */
};
/* An iteration that reaches the access, whatever the data, and leaves its buffer there. A bounded search. */
bool lir_bounds_witness(const struct lir_func *f, const struct path *path, const struct lir_access *x, struct witness *out);
