/* codegen_internal.h: the walker's state and what a dialect must provide */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "codegen/codegen.h"
#include "loop/loop.h"
#include "value/value.h"

struct arena;
struct cg;
struct err;
struct map;

/* Precedences of C-like languages; an expression is put into parentheses when its own is lower than what is asked for. */
enum cg_prec { P_ANY, P_TERNARY, P_OR, P_AND, P_BOR, P_BXOR, P_BAND, P_EQ, P_REL, P_SHIFT, P_ADD, P_MUL, P_UNARY, P_PRIMARY };

/* A local buffer. When every access (after unrolling) has a constant place and one width, its pieces become variables of
 * their own: register allocation depends on it. */
struct cg_local {
	const char *name; /* of the array */
	const char *stem; /* of the pieces: stem0, stem1 .. */
	int lanes;        /* of every access so far; 0: none yet */
	bool spoiled;     /* needs an array */
	uint8_t *used, *fill;
	uint8_t *touched; /* in this instance of the allocation */
	uint32_t certain; /* conditional depth at the allocation */
};

struct cg_binding { /* an unrolled loop's variable */
	bool bound;
	int64_t value;
};

/* What C-like languages write differently. */
enum cg_family { CG_C, CG_OPENCL, CG_CUDA, CG_GLSL };

/* One dialect's table. Every function appends to g->body unless it says otherwise. */
struct cg_dialect {
	const char *name;
	enum cg_family family;
	const char *long_suffix; /* of an integer literal of 64 bits */
	uint32_t group; /* work-items in a group; 0: the dialect has no groups */
	uint32_t most_groups; /* of a launch: what is left they take in turns; 0: no such limit */
	bool collapses; /* the loops of a parallel chain become one */
	bool texels; /* GLSL: inputs of f32 are images */
	/* The entry point's head, written after the body is known, before it in the text; and what comes last. */
	void (*open)(struct cg *g, struct str *out);
	void (*close)(struct cg *g, struct str *out);
	void (*expr)(struct cg *g, const struct lir_expr *x, int prec);
	/* value is already for the place: element number `at` of the buffer. */
	void (*store)(struct cg *g, const struct lir_stmt *s);
	void (*let)(struct cg *g, const struct lir_stmt *s);
	void (*alloc)(struct cg *g, const struct lir_buffer *b, const struct cg_local *l);
	void (*loop)(struct cg *g, const struct lir_stmt *s); /* "for (...) {" */
	/* The same for this part's or work-item's share of a parallel loop, or of the n loops of a chain: constant extents > 0 when
	 * there are several. */
	/* A thread loop's head and end, where g->groups: this work-item's share, and the barrier. */
	void (*thread)(struct cg *g, const struct lir_stmt *s);
	void (*barrier)(struct cg *g);
	void (*parallel)(struct cg *g, const struct lir_stmt *const *chain, uint32_t n);
	bool (*is_reserved)(const char *name);                    /* must not be the name of a variable */
};

extern const struct cg_dialect cg_dialect_c, cg_dialect_opencl, cg_dialect_opencl_cpu, cg_dialect_cuda, cg_dialect_glsl, cg_dialect_glsl_cpu;

struct cg {
	const struct cg_dialect *d;
	const struct lir_func *f;
	struct arena *a;
	struct err *e;
	bool failed;
	bool dry;             /* first run: learns how local buffers are used, its text is thrown away */
	struct str body, pre; /* pre: types and helper functions, each before its first use */
	struct map *have;     /* names of what is in pre */
	int indent;
	uint32_t unrolling, expanded; /* unrolled loops around this place; statements written inside of any */
	uint32_t certain;             /* conditions around this place */
	bool has_parallel, in_parallel;
	bool groups;                  /* the function's thread loops are the dialect's work-items; else they are loops */
	bool has_private;
	bool narrow;                  /* every i64 value of the function fits an int: a dialect with groups writes int for i64 */
	struct codegen_shape shape;
	struct fill fill;             /* of local buffers */
	struct cg_binding *bind; /* by variable id */
	const char **var_name;   /* by variable id */
	int *mask_bytes;         /* by variable id: element size of a let that holds a vector of bool */
	struct cg_local *local;  /* by buffer id */
	const char **buffer_name;
	int64_t local_bytes, shared_bytes;
};

/* codegen_walk.c */
bool cg_fail(struct cg *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cg_line(struct cg *g); /* a new line's indentation */
void cg_stmt(struct cg *g, const struct lir_stmt *s, bool tail);

/* codegen_place.c: constants, element numbers, names */
bool cg_const(const struct cg *g, const struct lir_expr *x, int64_t *out); /* integer or bool scalar */
bool cg_place_const(const struct cg *g, const struct lir_buffer *b, struct lir_expr *const *index, uint32_t n, int64_t *out);
/* The element number of the first lane, as a sum. */
void cg_place(struct cg *g, const struct lir_buffer *b, struct lir_expr *const *index, uint32_t n, int prec);
void cg_int(struct cg *g, int64_t v, int prec);                  /* where another operand or the context makes it 64 bits wide */
void cg_index(struct cg *g, const struct lir_expr *x, int prec); /* an i64 expression as a sum */
void cg_names(struct cg *g);

/* codegen_range.c: whether all integers that f computes with, and every partial sum of an element number, fit an int. */
bool cg_fits_int(const struct lir_func *f);

/* codegen_local.c */
void cg_local_begin(struct cg *g, const struct lir_buffer *b);
void cg_local_touch(struct cg *g, const struct lir_buffer *b, struct lir_expr *const *index, uint32_t n, enum dtype access,
		    bool store);
bool cg_local_split(const struct cg_local *l);
/* Elements of an array, the work-items' own copies included. */
int64_t cg_local_elements(const struct cg *g, const struct lir_buffer *b);
