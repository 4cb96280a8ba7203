/* loop/lir_instrument_internal.h: what the files of lir_instrument share: a function under instrumentation, nodes, sites, accesses */
#pragma once
#include "base/arena.h"
#include "base/vec.h"
#include "loop/loop_internal.h"

#define B (&n->b)

struct guard {
	struct lir_expr *cond;
	bool holds;
};

struct block {
	struct lir_stmt **v;
	size_t n, cap;
};

struct ins {
	struct lir_func *f;
	struct lir_builder b;
	unsigned checks;
	VEC(bool) proved; /* accesses in the order of evaluation */
	size_t next;      /* the one that is come to */
	int64_t *limit;   /* of a loop's trips by variable id; 0: none */
	VEC(struct guard) guard;
	struct block *pre; /* where checks go */
	struct lir_buffer *report;
	struct lir_buffer **mark; /* by buffer id; NULL: not marked */
	bool *narrow, *read;      /* by buffer id: some store is narrow; it is loaded */
	VEC(struct lir_site) site;
	const char *at;                /* text of the statement whose accesses are checked, as it was written */
	bool parallel, inside, serial; /* it has parallel loops; this is in them; they must become serial ones */
	bool thread;                  /* in a thread loop */
};

/* ---- nodes (lir_instrument_report.c) ---- */

struct lir_expr *ins_i32(struct ins *n, int64_t v);
struct lir_stmt *ins_store(struct ins *n, struct lir_buffer *buf, struct lir_expr *at, struct lir_expr *v);
struct lir_expr *ins_load(struct ins *n, struct lir_buffer *buf, struct lir_expr *at);
struct lir_stmt *ins_if(struct ins *n, struct lir_expr *cond, struct lir_stmt *then);
/* From 0 to extent; its body is the caller's to set. */
struct lir_stmt *ins_loop(struct ins *n, const char *name, int64_t extent, struct lir_expr **var);
/* What a read gives that is not performed, and local elements hold before they are written. */
struct lir_expr *ins_fill(struct ins *n, enum dtype t, int lanes);
/* Puts s in front of the statement that is instrumented, under the guards of where this is. */
void ins_emit(struct ins *n, struct lir_stmt *s);

/* ---- the report ---- */

uint32_t ins_site(struct ins *n, enum lir_fault fault, const struct lir_buffer *buf, int dim, int64_t bound);
/* Reports the site with what was seen there, unless it has been. */
struct lir_stmt *ins_record(struct ins *n, uint32_t site, struct lir_expr *seen);

/* ---- accesses (lir_instrument_access.c) ---- */

/* The loads of an expression, in the order of evaluation; what takes its place. */
struct lir_expr *ins_checked(struct ins *n, struct lir_expr *x);
/* The indices of an access, checked one after the other. What must hold for it to be performed; NULL: nothing. */
struct lir_expr *ins_check_access(struct ins *n, const struct lir_buffer *buf, bool write, struct lir_expr **index, uint32_t count, int lanes);
/* It is kept which elements have been written, with so many marks for each. */
bool ins_is_marked(const struct ins *n, const struct lir_buffer *buf);
int64_t ins_mark_bytes(const struct ins *n, const struct lir_buffer *buf);
/* What stands behind a store: its elements are written now. */
struct lir_stmt *ins_mark_written(struct ins *n, const struct lir_stmt *s);
