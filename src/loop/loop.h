/* loop/loop.h: the loop IR - what a kernel is before it becomes C, OpenCL C, CUDA C or GLSL
 *
 * The words follow TVM's TIR. One lir_func is one kernel: loops over buffers. Everything that decides which element is
 * touched (bounds, guards, tails, padding) is a node of the tree, because nodes are mutation sites.
 *
 * Types. A value has an element type and 1 or more lanes. Loop variables, loop bounds and indices are i64 scalars.
 * Binary operators need equal types on both sides; nothing is converted silently. Comparisons give bool of the same lanes.
 *
 * Memory. A function's nodes live in its arena; nobody frees nodes. Expressions may be shared between statements until a
 * mutation is applied: lir_func_clone copies every node exactly once per use, so that a clone is a tree.
 *
 * Device-defined operations (no one answer is right): integer division by zero and INT_MIN / -1, shifts by the width or
 * more, a float converted to an integer type that cannot hold its truncated value, NaN converted to an integer.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/vec.h"
#include "value/value.h"

struct arena;
struct err;
struct str;

#define LIR_MAX_LANES 16
#define LIR_MAX_GROUP 1024

struct lir_type {
	enum dtype dtype;
	int lanes;
};

enum lir_op {
#define BIN(id, name, kind) LIR_##id,
#include "loop/ops.def"
#undef BIN
	LIR_OP_COUNT
};

enum lir_call {
#define CALL(id, name, args, kind) LIR_CALL_##id,
#include "loop/calls.def"
#undef CALL
	LIR_CALL_COUNT
};

struct lir_var { /* a loop variable or a let; printed by name, unique within a function after lir_finish */
	const char *name;
	struct lir_type type;
	uint32_t id; /* for printers, interpreters and clones: unique in the function */
};

enum lir_scope {
	LIR_GLOBAL,  /* parameters */
	LIR_LOCAL,   /* per-thread scratch (registers or stack) */
	LIR_SHARED,  /* one copy for all work-items of a group */
	LIR_PRIVATE, /* one copy per work-item, which lives from one thread loop to the next */
};

struct lir_buffer {
	const char *name;
	enum dtype dtype;
	int nd;
	int64_t dim[MAX_DIMS];
	int64_t stride[MAX_DIMS]; /* in elements; row-major unless it is a view */
	int64_t offset;           /* in elements; where index 0,0,.. lies */
	int64_t elements;         /* of the memory behind it: offset + every reachable index < elements, originally */
	enum lir_scope scope;
	uint32_t id;              /* position among the parameters, then in order of allocation */
};

enum lir_expr_kind {
	LIR_INT,       /* i: integer or bool immediate of `type` */
	LIR_FLOAT,     /* f: immediate of a float type; exactly representable in it */
	LIR_VAR,       /* var */
	LIR_BINARY,    /* op, arg[0], arg[1] */
	LIR_NOT,       /* arg[0], bool */
	LIR_SELECT,    /* arg[0] ? arg[1] : arg[2]. A scalar condition (the sides may be vectors) evaluates one side only: loads in
	                  the side not taken must not be performed (so a guarded load is Select(guard, load, 0)). A vector condition
	                  chooses lane by lane, after both sides */
	LIR_CAST,      /* arg[0] to `type`: numeric conversion; float to int truncates; to bool is != 0 */
	LIR_BITCAST,   /* arg[0] reinterpreted, same size */
	LIR_LOAD,      /* buffer[arg...]; with lanes > 1 the last index is a Ramp */
	LIR_CALL,      /* call, arg... */
	LIR_RAMP,      /* arg[0] + lane * i (the stride), i64 */
	LIR_BROADCAST, /* arg[0] in every lane */
	LIR_LANE,      /* lane number i of the vector arg[0] */
};

struct lir_expr {
	enum lir_expr_kind kind;
	struct lir_type type;
	enum lir_op op;
	enum lir_call call;
	int64_t i;
	double f;
	struct lir_var *var;
	struct lir_buffer *buffer;
	uint32_t nargs;
	struct lir_expr **arg;
};

enum lir_loop_kind {
	LIR_SERIAL,
	LIR_PARALLEL, /* iterations are independent; not inside another loop, at most one per function - but a parallel loop may be the whole
	                 body of a parallel loop: such a chain is one space of independent iterations */
	LIR_UNROLLED, /* emitted once per iteration when the bounds are constants */
	LIR_THREAD,   /* the work-items of a group, iteration k by work-item k % group; behind it a barrier. Functions with a group only,
	                 not inside each other; their loads and stores are inside such loops */
	LIR_THREAD_NOBARRIER, /* the same without the barrier: a fault, nothing that a lowering writes */
};

enum lir_stmt_kind {
	LIR_FOR,   /* for var in min .. min+extent: body[0]; both evaluated once, an extent <= 0 runs nothing; var cannot be assigned */
	LIR_STORE, /* buffer[index...] = value (of the type `access`), written as `access` (normally the buffer's type; a narrower access writes its
	              bytes at `element number * sizeof(access)` from the buffer's start: the narrow store at the narrow stride) */
	LIR_IF,    /* value is the condition; body[0], and body[1] when nbody is 2 */
	LIR_LET,   /* var = value, visible in body[0] */
	LIR_ALLOC, /* buffer (not global), visible in body[0]; contents start unwritten */
	LIR_SEQ,   /* body[0..nbody) in order */
};

struct lir_stmt {
	enum lir_stmt_kind kind;
	enum lir_loop_kind loop;
	struct lir_var *var;
	struct lir_buffer *buffer;
	struct lir_expr *min, *extent;
	struct lir_expr *value;
	enum dtype access;
	uint32_t nindex;
	struct lir_expr **index;
	uint32_t nbody;
	struct lir_stmt **body;
};

struct lir_func {
	struct arena *arena;
	const char *name;          /* of this lowered function: NODE or NODE.part; not part of the emitted text */
	uint32_t nparams, nout;    /* the last nout parameters are outputs; parameters never overlap in memory */
	struct lir_buffer **param;
	struct lir_stmt *body;
	bool contract;             /* uses vector fma */
	int64_t group;             /* work-items in a group, 1..LIR_MAX_GROUP; 0: no thread loops. An iteration of the parallel loops is then a group's */
	uint32_t nvars, nbuffers;  /* ids given out so far */
};

/* ---- lir_build.c ----------------------------------------------------------------------------------------
 * A builder has an insertion point: statements go into the innermost open block. Expression constructors check types by
 * assert and simplify integer constants (x+0, x*1, 2+3, comparison of constants), so that lowerings may be written
 * naively; they never drop a comparison that is not constant. Float arithmetic is never simplified. */
struct lir_builder {
	struct arena *a;
	struct lir_func *f;
	struct lir_block *block; /* private */
	bool *out;               /* private: which parameters are outputs */
};

void lir_begin(struct lir_builder *b, struct arena *a, const char *name);
/* Row-major parameter, at any time before lir_finish, which puts the outputs behind the inputs (each in the order they were
 * added). dims with nd 0 make a scalar buffer (no index). */
struct lir_buffer *lir_param(struct lir_builder *b, const char *name, enum dtype t, int nd, const int64_t *dim, bool out);
/* Closes the function: names made unique, verified by assert in debug builds. The parallel loop becomes serial when the
 * parts would not do the kernel together once: two parallel loops, one inside a loop, or a store to a parameter outside. */
struct lir_func *lir_finish(struct lir_builder *b);

struct lir_expr *lir_int(struct lir_builder *b, int64_t v);                      /* i64 */
struct lir_expr *lir_imm(struct lir_builder *b, enum dtype t, double v);         /* scalar of any type, rounded to it */
struct lir_expr *lir_imm_i64(struct lir_builder *b, enum dtype t, int64_t v);    /* wrapped to an integer type; exact for 64 bits */
struct lir_expr *lir_var_expr(struct lir_builder *b, struct lir_var *v);
struct lir_expr *lir_binary(struct lir_builder *b, enum lir_op op, struct lir_expr *x, struct lir_expr *y);
/* A scalar beside a vector is broadcast by lir_binary, lir_select and lir_call_n. */
struct lir_expr *lir_not(struct lir_builder *b, struct lir_expr *x);
struct lir_expr *lir_select(struct lir_builder *b, struct lir_expr *cond, struct lir_expr *x, struct lir_expr *y);
struct lir_expr *lir_cast(struct lir_builder *b, enum dtype t, struct lir_expr *x); /* x itself when the type is the same */
struct lir_expr *lir_bitcast(struct lir_builder *b, enum dtype t, struct lir_expr *x);
struct lir_expr *lir_load(struct lir_builder *b, struct lir_buffer *buf, struct lir_expr *const *index);
struct lir_expr *lir_load_lanes(struct lir_builder *b, struct lir_buffer *buf, struct lir_expr *const *index, int lanes); /* last index is the first lane's */
/* Elements `step` apart. */
struct lir_expr *lir_load_step(struct lir_builder *b, struct lir_buffer *buf, struct lir_expr *const *index, int64_t step, int lanes);
struct lir_expr *lir_call_n(struct lir_builder *b, enum lir_call c, int n, struct lir_expr *const *arg);
struct lir_expr *lir_call1(struct lir_builder *b, enum lir_call c, struct lir_expr *x);
struct lir_expr *lir_call2(struct lir_builder *b, enum lir_call c, struct lir_expr *x, struct lir_expr *y);
struct lir_expr *lir_fma(struct lir_builder *b, struct lir_expr *x, struct lir_expr *y, struct lir_expr *z); /* x*y+z */
struct lir_expr *lir_broadcast(struct lir_builder *b, struct lir_expr *x, int lanes);
struct lir_expr *lir_lane(struct lir_builder *b, struct lir_expr *x, int lane);
struct lir_expr *lir_ramp(struct lir_builder *b, struct lir_expr *base, int64_t stride, int lanes);
/* A builder for a finished function's nodes (mutations, passes): only the expression constructors may be used. */
void lir_edit(struct lir_builder *b, struct lir_func *f);

/* Below the builder: bare nodes and definitions, nothing checked or simplified. Names are cleaned, not made unique. */
struct lir_expr *lir_expr_new(struct arena *a, enum lir_expr_kind k, struct lir_type t, uint32_t nargs);
struct lir_stmt *lir_stmt_new(struct arena *a, enum lir_stmt_kind k, uint32_t nindex, uint32_t nbody);
struct lir_var *lir_var_new(struct lir_func *f, const char *name, struct lir_type t);
struct lir_buffer *lir_buffer_new(struct lir_func *f, const char *name, enum dtype t, enum lir_scope scope, int nd, const int64_t *dim);
/* Renames variables and buffers so that each name is used once; the first in print order keeps its name. */
void lir_unique_names(struct lir_func *f);

static inline struct lir_expr *lir_add(struct lir_builder *b, struct lir_expr *x, struct lir_expr *y) { return lir_binary(b, LIR_ADD, x, y); }
static inline struct lir_expr *lir_sub(struct lir_builder *b, struct lir_expr *x, struct lir_expr *y) { return lir_binary(b, LIR_SUB, x, y); }
static inline struct lir_expr *lir_mul(struct lir_builder *b, struct lir_expr *x, struct lir_expr *y) { return lir_binary(b, LIR_MUL, x, y); }
static inline struct lir_expr *lir_div(struct lir_builder *b, struct lir_expr *x, struct lir_expr *y) { return lir_binary(b, LIR_DIV, x, y); }
static inline struct lir_expr *lir_mod(struct lir_builder *b, struct lir_expr *x, struct lir_expr *y) { return lir_binary(b, LIR_MOD, x, y); }
static inline struct lir_expr *lir_min(struct lir_builder *b, struct lir_expr *x, struct lir_expr *y) { return lir_binary(b, LIR_MIN, x, y); }
static inline struct lir_expr *lir_max(struct lir_builder *b, struct lir_expr *x, struct lir_expr *y) { return lir_binary(b, LIR_MAX, x, y); }
static inline struct lir_expr *lir_lt(struct lir_builder *b, struct lir_expr *x, struct lir_expr *y) { return lir_binary(b, LIR_LT, x, y); }
static inline struct lir_expr *lir_ge(struct lir_builder *b, struct lir_expr *x, struct lir_expr *y) { return lir_binary(b, LIR_GE, x, y); }
static inline struct lir_expr *lir_eq(struct lir_builder *b, struct lir_expr *x, struct lir_expr *y) { return lir_binary(b, LIR_EQ, x, y); }
static inline struct lir_expr *lir_and(struct lir_builder *b, struct lir_expr *x, struct lir_expr *y) { return lir_binary(b, LIR_AND, x, y); }
static inline struct lir_expr *lir_or(struct lir_builder *b, struct lir_expr *x, struct lir_expr *y) { return lir_binary(b, LIR_OR, x, y); }

/* Opens a loop 0..extent and returns its variable as an expression; lir_end closes it. */
struct lir_expr *lir_for(struct lir_builder *b, const char *name, int64_t extent, enum lir_loop_kind kind);
struct lir_expr *lir_for_expr(struct lir_builder *b, const char *name, struct lir_expr *min, struct lir_expr *extent, enum lir_loop_kind kind);
void lir_if(struct lir_builder *b, struct lir_expr *cond);
void lir_else(struct lir_builder *b); /* inside an open lir_if */
void lir_end(struct lir_builder *b);  /* closes the innermost lir_for, lir_if or lir_scope */
void lir_scope(struct lir_builder *b); /* a plain block: lets and allocs made in it end with it */
/* Evaluated once here; visible until the enclosing block ends. */
struct lir_expr *lir_let(struct lir_builder *b, const char *name, struct lir_expr *value);
struct lir_buffer *lir_alloc(struct lir_builder *b, const char *name, enum dtype t, int nd, const int64_t *dim);
struct lir_buffer *lir_alloc_in(struct lir_builder *b, enum lir_scope scope, const char *name, enum dtype t, int nd, const int64_t *dim);
/* The value's type must be the buffer's; its lanes decide the access (last index is the first lane's). */
void lir_store(struct lir_builder *b, struct lir_buffer *buf, struct lir_expr *const *index, struct lir_expr *value);

/* A loop over every element of a shape: gives index[0..nd). Outside any loop the nest is a chain of parallel loops from
 * the first dim larger than 1; dims of 1 before it get no loop, their index is the constant 0. lir_nest_end closes what was opened. */
struct lir_nest {
	int nd;
	struct lir_expr *index[MAX_DIMS];
};
struct lir_nest lir_nest_over(struct lir_builder *b, int nd, const int64_t *dim);
void lir_nest_end(struct lir_builder *b, const struct lir_nest *n);

/* ---- lir_clone.c, lir_walk.c ---------------------------------------------------------------------------- */
struct lir_func *lir_func_clone(struct arena *a, const struct lir_func *f);
struct lir_expr *lir_expr_clone(struct arena *a, const struct lir_expr *x); /* of the same function: variables and buffers are shared */
/* For duplicating code inside a function: definitions in s become new ones. lir_unique_names is due afterwards. */
struct lir_stmt *lir_stmt_clone(struct lir_func *f, const struct lir_stmt *s);

/* Visits every statement and expression in print order: a statement before its children; of a statement first index, then
 * min, extent, value, then body. `slot` is where the visited pointer is stored, so a visitor may replace it (by a node that
 * it has made; the replacement is not entered). parents is a stack of enclosing statements, outermost first. */
struct lir_visit {
	struct lir_stmt **stmt_slot;    /* set when a statement is visited */
	struct lir_expr **expr_slot;    /* set when an expression is visited */
	struct lir_stmt *const *parent; /* enclosing statements; for an expression the last is the statement it belongs to */
	uint32_t nparents;
	uint32_t depth;                 /* of the expression below its statement: 0 is the root */
};
/* Stops when visit returns false. */
bool lir_walk(struct lir_func *f, bool (*visit)(const struct lir_visit *v, void *user), void *user);

/* ---- lir_print.c, lir_parse.c ---------------------------------------------------------------------------
 * The text form; docs/loop-ir.md has the grammar. print(parse(text)) == text for any printed text. */
void lir_print(struct str *out, const struct lir_func *f);
void lir_print_expr(struct str *out, const struct lir_expr *x);
void lir_print_stmt(struct str *out, const struct lir_stmt *s); /* with its body, unindented */
/* One function. `name` is for messages ("kernel.lir:3:7: ..."). Nesting and sizes are limited; hostile text is an error. */
bool lir_parse(struct arena *a, const char *name, const char *text, size_t n, struct lir_func **out, struct err *e);
struct hash lir_hash(const struct lir_func *f); /* of the printed text without the function's name */

/* ---- lir_verify.c ----------------------------------------------------------------------------------------
 * Form, not sense: types, scopes, arities, single parallel loop. Reading out of bounds is legal. Collects up to 20 errors
 * into e, each with the printed statement. */
bool lir_verify(const struct lir_func *f, struct err *e);

/* ---- lir_pass.c -------------------------------------------------------------------------------------------- */
struct lir_pass {
	const char *name, *summary;
	bool (*run)(struct lir_func *f, bool *changed, struct err *e);
};
extern const struct lir_pass *const lir_passes[]; /* NULL-terminated: simplify, unroll, sanitize, budget */
const struct lir_pass *lir_pass_find(const char *name);
/* Runs one pass and verifies; a pass that misreports progress is an error. */
bool lir_run_pass(struct lir_func *f, const struct lir_pass *p, struct err *e);

/* ---- lir_interp.c ------------------------------------------------------------------------------------------
 * The reference: exact bounds per dimension, uninitialised reads found byte by byte in local and output buffers. Floating
 * point as written (f32 rounds after every operation, fma once). Compiles the tree once, then runs; about 10^8 simple
 * operations a second at least. */
enum lir_fault { LIR_OK, LIR_FAULT_BOUNDS_READ, LIR_FAULT_BOUNDS_WRITE, LIR_FAULT_UNINITIALISED, LIR_FAULT_DIVIDE, LIR_FAULT_STEPS, LIR_FAULT_RACE };
struct lir_interp_result {
	enum lir_fault fault;         /* the first; the run stops there */
	const struct lir_buffer *buffer;
	int dim;                      /* which index was out of range; -1: the element that a view's strides lead to */
	int64_t index;                /* its value; of an uninitialised read and of a race the element number */
	uint64_t device_defined;      /* how many device-defined operations were met (they get x86's answer) */
	uint64_t steps;
	uint64_t unwritten;           /* bytes of the outputs that were never stored (0 with outputs_initialised) */
	char text[256];               /* the fault in words */
};
struct lir_interp_options {
	uint64_t max_steps;           /* loop iterations; 0: no limit */
	bool outputs_initialised;     /* outputs hold values already (in-place reads are fine) */
	bool races;                   /* finds two work-items of a group that touch the same shared memory with no barrier between, and two iterations of the parallel loops that touch the same byte of an output, one of them writing it,
	                                 and one that reads what another left in a local buffer. Needs 9 bytes more for each byte of the outputs */
};
/* param[i] points to the memory behind parameter i (`elements` of it). False only for IR that does not verify or needs more than
 * 1 GiB of local memory; a fault is a result. r->buffer points into f. */
bool lir_interp(const struct lir_func *f, void *const *param, const struct lir_interp_options *o, struct lir_interp_result *r, struct err *e);

/* ---- lir_range.c ------------------------------------------------------------------------------------------
 * Intervals of integers, both ends included. An end at +-LIR_RANGE_MOST is not known: the value may lie anywhere beyond. */
#define LIR_RANGE_MOST ((int64_t)1 << 62)
struct lir_range {
	int64_t low, high;
};
bool lir_range_bounded(struct lir_range r); /* both ends are known */
struct lir_range lir_range_of_type(enum dtype t);
struct lir_range lir_range_unite(struct lir_range a, struct lir_range b);
struct lir_range lir_range_within(struct lir_range v, enum dtype t); /* what leaves its type wraps, and may be anything of it */
/* + - * / % min max, before wrapping; of others nothing is known. */
struct lir_range lir_range_binary(enum lir_op op, struct lir_range a, struct lir_range b);

/* ---- lir_bounds.c -----------------------------------------------------------------------------------------
 * Whether accesses stay inside their buffers, found without running: intervals of the indices, with what guards, loop bounds,
 * min/max and divisions say about them. Linear in the size of the function. */
enum lir_bounds_kind {
	LIR_BOUNDS_IN_RANGE,  /* proved: no access leaves its buffer, whatever the data */
	LIR_BOUNDS_MAY_LEAVE, /* not proved */
	LIR_BOUNDS_LEAVES,    /* proved: an iteration that certainly runs leaves (an earlier fault or hang apart) */
};
/* The first access, in print order, of the worst kind in the function. */
struct lir_bounds {
	enum lir_bounds_kind kind;
	const struct lir_buffer *buffer; /* NULL when all are in range */
	bool write;
	int dim;                         /* -1: the element that a view's strides lead to */
	int64_t size;                    /* of that dimension, or the elements of the memory behind a view */
	struct lir_range index;          /* what it may be; LEAVES: low == high, the value in that iteration */
	uint32_t unproved;               /* how many accesses are not proved in range */
	char text[400];                  /* in words, as the interpreter's: "a write to 'y' out of bounds: index 8 in dim 0 of size 8 with i = 8" */
};
void lir_bounds(const struct lir_func *f, struct lir_bounds *out);
const char *lir_bounds_name(enum lir_bounds_kind k); /* "in-range", "may-leave", "leaves" */

/* ---- lir_instrument.c --------------------------------------------------------------------------------------
 * The same function with checks in it. Its last nextra outputs are new, of i32, and must hold zeros when it starts: marks of what
 * was written, and last the report. A load that would leave its buffer gives a fill value (a NaN, or all bits set), such a store is
 * dropped, a loop runs no longer than its budget; so it always goes on to its end. Without an offence the other outputs are f's, bit by bit. */
#define LIR_CHECK_BOUNDS 1u /* per dimension, and the memory behind views; not where lir_bounds proves the access in range */
#define LIR_CHECK_INIT 2u   /* reads of local arrays and outputs before they are written */
#define LIR_CHECK_TRIPS 4u  /* loops that are not proved to run at most LIR_TRIPS_FACTOR times as often as the original's; not parallel ones */
#define LIR_TRIPS_FACTOR 100
#define LIR_TRIPS ((int64_t)1 << 20) /* the budget of a loop that has no original */
struct lir_site { /* where something may be found */
	enum lir_fault fault;            /* BOUNDS_READ, BOUNDS_WRITE, UNINITIALISED, STEPS */
	const struct lir_buffer *buffer; /* f's parameter or local array by name; NULL: a loop */
	int dim;                         /* -1: the memory behind a view */
	int64_t bound;                   /* size, elements, or budget */
	const char *statement, *loop;    /* as IR text, without its body; name of the variable */
};
struct lir_instrumented {
	struct lir_func *func;           /* NULL: there is nothing to check */
	uint32_t nextra;
	struct lir_site *site;
	uint32_t nsites;                 /* the report has one word more */
};
/* original: of which f is a mutation (variables keep their ids); NULL: none. */
bool lir_instrument(struct arena *a, const struct lir_func *f, const struct lir_func *original, unsigned checks,
		    struct lir_instrumented *out, struct err *e);
struct lir_finding {
	const struct lir_site *site;
	int64_t seen;                    /* index, element number or trips; limited to 32 bits */
	char text[480];                  /* in words: "a write to 'y' out of bounds: index 8 in dim 0 of size 8 in 'y[i] = x[i]'" */
};
/* The first offence (of some iteration, where they run at the same time); false: none. word: nsites + 1 of them. */
bool lir_finding(const struct lir_instrumented *r, const int32_t *word, struct lir_finding *out);

/* ---- lir_info.c -------------------------------------------------------------------------------------------- */
bool lir_expr_const_i64(const struct lir_expr *x, int64_t *out);
bool lir_has_parallel(const struct lir_func *f);
/* Proved that no two iterations of the parallel loops touch the same element of an output (lir_disjoint.c); false: not proved. */
bool lir_iterations_disjoint(const struct lir_func *f);
/* s is a parallel loop that is the whole body of its parent, a parallel loop too: not the first of its chain. */
bool lir_is_chained(const struct lir_stmt *s, const struct lir_stmt *parent);
const char *lir_op_name(enum lir_op op);
const char *lir_call_name(enum lir_call c);
bool lir_op_is_compare(enum lir_op op);
const char *lir_loop_name(enum lir_loop_kind k);
bool lir_is_thread(const struct lir_stmt *s); /* a thread loop, with its barrier or without */
/* Static worst-case floating-point operations (fma counts 2), for reports; constant bounds only, else 0 for that loop. */
double lir_flops(const struct lir_func *f);
