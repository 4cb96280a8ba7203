/* loop/loop_internal.h: what the files of this room share */
#pragma once
#include "loop/loop.h"

/* Parsed text may not nest deeper; everything here recurses over trees. */
#define LIR_MAX_EXPR_DEPTH 512
#define LIR_MAX_STMT_DEPTH 4096 /* lets and allocs nest without braces */
#define LIR_MAX_BRACES 256
#define LIR_GROWTH 4 /* times so much after passes */

/* ---- lir_node.c: making nodes, without simplification ---- */
struct lir_type lir_type_of(enum dtype t, int lanes);
static inline bool lir_type_eq(struct lir_type a, struct lir_type b)
{
	return a.dtype == b.dtype && a.lanes == b.lanes;
}
struct lir_expr *lir_node_int(struct arena *a, enum dtype t, int64_t v); /* v is wrapped */
struct lir_expr *lir_node_float(struct arena *a, enum dtype t, double v);
struct lir_expr *lir_node2(struct arena *a, enum lir_expr_kind k, struct lir_type t, struct lir_expr *x, struct lir_expr *y);
struct lir_expr *lir_node_binary(struct arena *a, enum lir_op op, struct lir_expr *x, struct lir_expr *y);
struct lir_stmt *lir_seq(struct arena *a, struct lir_stmt *const *s, size_t n); /* the statement itself when n is 1 */
bool lir_buffer_is_dense(const struct lir_buffer *buf);
/* Row-major strides and the number of elements of dims that dims_elements accepts. */
void lir_buffer_set_dense(struct lir_buffer *buf);
char lir_op_kind(enum lir_op op);    /* 'A', 'I', 'C' or 'L' */
char lir_call_kind(enum lir_call c); /* 'F' or 'B' */
int lir_call_args(enum lir_call c);

/* ---- lir_fold.c: integer arithmetic on constants ---- */
int64_t lir_wrap(enum dtype t, int64_t v);                       /* to an integer type or bool, sign- or zero-extended again */
double lir_round(enum dtype t, double v);                        /* to a float type */
double lir_round_i64(enum dtype t, int64_t v, bool is_unsigned); /* an integer converted to a float type */
/* False when the operation is device-defined or not on integers. */
bool lir_fold_int(enum lir_op op, enum dtype t, int64_t x, int64_t y, int64_t *out);
/* f32 and f64 (an operation of f32 is one of f64, rounded); false: another type or operator. */
bool lir_fold_float(enum lir_op op, enum dtype t, double x, double y, double *out);
/* A simpler expression of the same value, or NULL: constants, x+0, x*1, (x+1)+2, true && x. Scalars only, no floats. */
struct lir_expr *lir_fold_binary(struct arena *a, enum lir_op op, struct lir_expr *x, struct lir_expr *y);
struct lir_expr *lir_fold_cast(struct arena *a, enum dtype t, struct lir_expr *x);

/* ---- lir_names.c ---- */
bool lir_is_name(const char *s, size_t n); /* a letter or '_', then letters, digits, '_'; no word of the language */
/* Turns any text into a name. */
const char *lir_clean_name(struct arena *a, const char *s);

/* ---- lir_print.c ---- */
void lir_print_head(struct str *out, const struct lir_stmt *s); /* the statement's first line, without its body */
int lir_op_precedence(enum lir_op op);                          /* as in C; min and max bind like calls */
void lir_print_type(struct str *out, struct lir_type t);

/* ---- lir_pass_*.c ---- */
extern const struct lir_pass lir_pass_simplify, lir_pass_unroll, lir_pass_sanitize, lir_pass_budget;
/* x or something simpler of the same value; only x itself is looked at, its operands are taken as simplified. */
struct lir_expr *lir_simplify_node(struct arena *a, struct lir_expr *x);
