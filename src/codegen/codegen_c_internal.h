/* codegen_c_internal.h: what the files of the C dialect share */
#pragma once
#include "codegen/codegen_internal.h"

/* How an operation on scalars is written: pre X mid Y mid Z post, its own precedence and what its operands must have. */
struct c_shape {
	const char *pre, *mid, *post;
	int prec, left, right;
};

/* codegen_c_ops.c. Types and helper functions are put in front of the text when they are first asked for. */
const char *c_scalar(struct cg *g, enum dtype t);            /* "f32"; bool is "u8" */
const char *c_vector(struct cg *g, enum dtype t, int lanes); /* "f32x16"; with _u behind it for any alignment */
const char *c_type(struct cg *g, struct lir_type t);         /* of a value; not for vectors of bool */
const char *c_mask_type(struct cg *g, int bytes, int lanes); /* "i32x16": lanes of 0 or -1 */
struct c_shape c_infix(struct cg *g, enum lir_op op);        /* a OP b as C has it */
struct c_shape c_binary_shape(struct cg *g, enum lir_op op, enum dtype t);
struct c_shape c_cast_shape(struct cg *g, enum dtype from, enum dtype to);
struct c_shape c_call_shape(struct cg *g, enum lir_call call, enum dtype t);
/* Names of functions on vectors. */
const char *c_vector_binary(struct cg *g, enum lir_op op, enum dtype t, int lanes);
const char *c_vector_compare(struct cg *g, enum lir_op op, enum dtype t, int lanes); /* f16, bf16 */
const char *c_vector_cast(struct cg *g, enum dtype from, enum dtype to, int lanes);
const char *c_vector_call(struct cg *g, enum lir_call call, enum dtype t, int lanes);
const char *c_vector_select(struct cg *g, enum dtype t, int lanes);
const char *c_vector_all(struct cg *g, enum dtype t, int lanes);
const char *c_bitcast(struct cg *g, enum dtype from, enum dtype to);

/* For helpers: whether this name is new (it is not afterwards); a function's text; its dependency on reinterpreting. */
bool c_first_time(struct cg *g, const char *name);
void c_helper(struct cg *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void c_to_bits(struct cg *g, enum dtype from, enum dtype to);

/* codegen_c_half.c */
void c_half_scalar(struct cg *g, enum dtype from, enum dtype to);          /* "f16_of_f32" and its like are there */
const char *c_half_vector(struct cg *g, enum dtype t, int lanes, bool up); /* name of t to f32, or of f32 to t */

/* codegen_c_expr.c */
void c_expr(struct cg *g, const struct lir_expr *x, int prec);
/* A vector of bool as lanes of 0 or -1 of so many bytes, primary. */
void c_mask(struct cg *g, const struct lir_expr *x, int bytes);
int c_mask_bytes(const struct cg *g, const struct lir_expr *x); /* the width it has by itself */
