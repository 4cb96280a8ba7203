/* ops_calc.h: what reductions, windows and normalisations share - accumulators, loops over some dims, checks of inputs
 *
 * Only files of ops/ include this. Everything here writes plain code into the open kernel: one element at a time, or one block of
 * channels where op_lower.lanes says so.
 */
#pragma once
#include "ops/ops_internal.h"

#define TYPE_BIT(id) (1u << DT_##id)
#define TYPES_FLOAT (TYPE_BIT(F16) | TYPE_BIT(BF16) | TYPE_BIT(F32) | TYPE_BIT(F64))
#define TYPES_WIDE_INT (TYPE_BIT(I32) | TYPE_BIT(U32) | TYPE_BIT(I64) | TYPE_BIT(U64))
#define TYPES_NARROW_INT (TYPE_BIT(I8) | TYPE_BIT(U8) | TYPE_BIT(I16) | TYPE_BIT(U16))
#define TYPES_INT (TYPES_WIDE_INT | TYPES_NARROW_INT)
#define TYPES_NUMBER (TYPES_FLOAT | TYPES_INT)
#define TYPES_BYTE (TYPE_BIT(I8) | TYPE_BIT(U8))
#define TYPES_INDEX (TYPE_BIT(I32) | TYPE_BIT(I64))

/* ---- inference ---- */

/* Input i, when it is there, has one of the types of the mask. */
bool op_check_type(struct op_infer *c, uint32_t i, uint32_t types, struct err *e);
/* Input i, when it is there, has the type of input 0. */
bool op_check_same_type(struct op_infer *c, uint32_t i, struct err *e);
bool op_check_rank(struct op_infer *c, uint32_t i, int low, int high, struct err *e);
/* Input i, when it is there, has exactly these dims. */
bool op_check_dims(struct op_infer *c, uint32_t i, int nd, const int64_t *dim, struct err *e);
/* Input i, when it is there, is one number, or (n > 0) a vector of n. */
bool op_check_scalar_or(struct op_infer *c, uint32_t i, int64_t n, struct err *e);
/* The integers of an attribute, exactly n of them, each within low..high; `otherwise` for all when it is absent. */
bool op_attr_ints(const struct gir_node *n, const char *name, int count, int64_t low, int64_t high, int64_t otherwise, int64_t *out,
		  struct err *e);

/* The element type with this number in ONNX's TensorProto.DataType. */
bool op_onnx_type(int64_t onnx, enum dtype *out, struct err *e);
/* For operators with an index for each element (input 1): its type, and that no dim but `axis` is larger than the data's. */
bool op_check_element_indices(struct op_infer *c, int axis, struct err *e);

/* The value that shape inference found to be constant; NULL otherwise. */
const struct tensor *op_known(const struct gir_value *v);
const struct tensor *op_infer_known(void *user, struct gir_value *v); /* for inference again while lowering; user: not used */

/* ---- expressions ---- */

/* What sums of type t are made in: f32 for the two short floats, u8 for bool, else t. */
enum dtype op_acc_type(enum dtype t);
/* f64 for f64 and for integers, f32 for other floats: where an integer operator goes through real numbers. */
enum dtype op_real_type(enum dtype t);
/* Lowest and highest value (infinities for floats) as an immediate. */
struct lir_expr *op_lowest(struct op_lower *c, enum dtype t);
struct lir_expr *op_highest(struct op_lower *c, enum dtype t);
struct lir_expr *op_load_as(struct op_lower *c, struct lir_buffer *buf, struct lir_expr *const *index, enum dtype t);
/* The first element of a tensor of one element; buf[i] when it is a vector of more. */
struct lir_expr *op_load_scalar_or(struct op_lower *c, struct lir_buffer *buf, struct lir_expr *i, enum dtype t);
struct lir_expr *op_abs(struct op_lower *c, struct lir_expr *x);
/* round half to even, add the zero point, clamp to the integer type t (8 or 16 bits), convert; v and zero are f32. */
struct lir_expr *op_quantize(struct op_lower *c, struct lir_expr *v, struct lir_expr *zero, enum dtype t);

/* An index that data give, any integer type, for a dimension of this size: negative ones count from the end. The result may
 * still be outside; whoever uses it clamps or guards. */
struct lir_expr *op_wrap_index(struct op_lower *c, struct lir_expr *i, int64_t size);

/* Index of the element with row-major number `linear`, and back. */
void op_unravel(struct op_lower *c, struct lir_expr *linear, int nd, const int64_t *dim, struct lir_expr **index);
struct lir_expr *op_ravel(struct op_lower *c, int nd, const int64_t *dim, struct lir_expr *const *index);

/* ---- accumulators: one element of scratch ---- */

struct lir_buffer *op_acc(struct op_lower *c, const char *name, struct lir_expr *init);
struct lir_expr *op_acc_get(struct op_lower *c, struct lir_buffer *acc);
void op_acc_set(struct op_lower *c, struct lir_buffer *acc, struct lir_expr *v);
void op_acc_add(struct op_lower *c, struct lir_buffer *acc, struct lir_expr *v);

/* ---- loops over the elements of a tensor, split into outer dims (parallel) and inner dims (serial) ---- */

struct op_space {
	int nd;
	int64_t dim[MAX_DIMS];
	bool inner[MAX_DIMS];
	struct lir_expr *index[MAX_DIMS + 1]; /* of the open loops; behind them a 0 */
	struct lir_nest nest;                 /* private: of the outer loops */
};

/* All dims outer; in a kernel with lanes the last one, a block, is left out: an iteration is a whole block. */
struct op_space op_space_of(const struct op_lower *c, const struct lir_buffer *buf);
int64_t op_space_inner(const struct op_space *s); /* product of the inner dims */
void op_outer_begin(struct op_lower *c, struct op_space *s);
void op_outer_end(struct op_lower *c, struct op_space *s);
/* May be opened and closed several times inside the outer loops. */
void op_inner_begin(struct op_lower *c, struct op_space *s);
void op_inner_end(struct op_lower *c, struct op_space *s);
/* Lanes first .. first + n of a vector, op between them: halves first, then what they give, since a chain would wait for each of its steps. */
struct lir_expr *op_fold_lanes(struct op_lower *c, enum lir_op op, struct lir_expr *all, int first, int n);

/* ---- rows of f32 along the last dim, a vector at a time ---- */

/* The only inner dim is the last, everything is f32, and a row is at least one vector of the target. */
bool op_row_vectors(const struct op_lower *c, const struct op_space *s);
/* Calls body at s->index for every vector of the row (with op_lower.lanes set), then for each element that is left. */
void op_row_each(struct op_lower *c, struct op_space *s, void (*body)(struct op_lower *c, struct op_space *s, void *user),
		 void *user);
/* init op term op term ... over the row, named; the vectors' lanes are folded at the end of their loop. */
struct lir_expr *op_row_fold(struct op_lower *c, struct op_space *s, const char *name, enum lir_op op, struct lir_expr *init,
			     struct lir_expr *(*term)(struct op_lower *c, struct op_space *s, void *user), void *user);

/* Calls body for vectors of `lanes` from 0 on while they fit into n, then for half as many, down to 4, then for single elements. */
void op_pieces(struct op_lower *c, int lanes, int64_t n, void (*body)(struct op_lower *c, void *user, struct lir_expr *at, int lanes), void *user);
/* out[to + i] = in[from + i] for i in 0..n along the last dims, a vector at a time where the target has them and the type is f32. */
void op_copy_row(struct op_lower *c, struct lir_buffer *out, struct lir_expr *const *to, struct lir_buffer *in, struct lir_expr *const *from,
		 int64_t n);

/* Row-major number of the current element among the inner ones. */
struct lir_expr *op_inner_number(struct op_lower *c, const struct op_space *s);
