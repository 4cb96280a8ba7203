/* codegen_c_internal.h: what the files of the C-like dialects share: C, OpenCL C, CUDA C */
#pragma once
#include "codegen/codegen_internal.h"

/* Elements before and behind a local array that a mutant may touch without harm to others. */
#define C_SLACK 64

/* How an operation on scalars is written: pre X mid Y mid Z post, its own precedence and what its operands must have. */
struct c_shape {
	const char *pre, *mid, *post;
	int prec, left, right;
};

/* codegen_c_family.c: the same thing as C, OpenCL C and CUDA C write it. */
const char *c_cl_name(enum dtype t);                           /* OpenCL's own: "float" */
const char *c_index_type(struct cg *g);                       /* of loop variables and element numbers */
const char *c_special(struct cg *g, enum dtype t, bool nan, bool negative); /* f32 or f64; primary */
const char *c_reinterpret(struct cg *g, enum dtype to, int lanes);   /* of a vector: what goes before a parenthesis */
const char *c_convert(struct cg *g, enum dtype to, int lanes);       /* "__builtin_convertvector(" or "convert_float16(" */
const char *c_convert_end(struct cg *g, enum dtype to, int lanes);   /* ", f32x16)" or ")" */
const char *c_make(struct cg *g);                             /* opens the list of lanes behind "(type)" */
const char *c_make_end(struct cg *g);
const char *c_lane(struct cg *g, int lane);                   /* "[3]" or ".s3" */
const char *c_and(struct cg *g, enum dtype t, int lanes, unsigned bits); /* " & 1" for vectors of that type */
const char *c_zero(struct cg *g, enum dtype t, int lanes);    /* a vector compares with it */
const char *c_space(const struct cg *g, const struct lir_buffer *b);  /* "__global " before a pointer's type */
bool c_vector_lanes(struct cg *g, int lanes);                 /* false (failed): the dialect has no such vectors */
void c_open(struct cg *g, struct str *out);                   /* cg_dialect.open */
void c_parallel(struct cg *g, const struct lir_stmt *const *chain, uint32_t n);
void c_thread(struct cg *g, const struct lir_stmt *s);
void c_barrier(struct cg *g);
void c_shared(struct cg *g, struct str *out, const struct lir_stmt *s); /* declares the shared arrays in s, for the function's head */
void c_item(struct cg *g, struct str *out);                             /* and the work-item's number, item_ */
bool c_is_reserved(const char *name);
const char *c_inline(const struct cg *g);                     /* what stands before a helper function */
const char *c_cast_to(struct cg *g, enum dtype t);            /* "(f32)" or "f32": a parenthesis follows */
/* The element's text from the buffer's name to before its number, which is a sum's part; what follows it is returned. access: as it is
 * read or written. */
const char *c_element(struct cg *g, const struct lir_buffer *b, enum dtype access);

/* codegen_glsl.c: where GLSL differs more. */
const char *c_glsl_scalar(struct cg *g, enum dtype t);
const char *c_glsl_function(struct cg *g, enum lir_call c, enum dtype t); /* codegen_glsl_math.c; NULL: GLSL's own will do */
const char *c_glsl_zero(struct cg *g, enum dtype t); /* a 0 that no compiler sees */
const char *c_glsl_bits(enum dtype from, enum dtype to);      /* function that reinterprets */
struct c_shape c_glsl_call(struct cg *g, enum lir_call c, enum dtype t);
void c_glsl_half(struct cg *g, enum dtype from, enum dtype to); /* "f16_of_f32" and its like */
void c_glsl_open(struct cg *g, struct str *out);
bool c_glsl_is_texels(const struct cg *g, const struct lir_buffer *b); /* the buffer is an image */
const char *c_glsl_narrow(struct cg *g, const struct lir_buffer *b, enum dtype access); /* name of the buffer seen as elements of another type */

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
const char *c_vector_even(struct cg *g, enum dtype t, int lanes); /* C only: of a pointer, every second element from there */
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
/* The same with only the given bits of lanes of -1, as a vector of t. */
void c_mask_and(struct cg *g, const struct lir_expr *x, enum dtype t, unsigned bits);
int c_mask_bytes(const struct cg *g, const struct lir_expr *x); /* the width it has by itself */
