/* ops/ops.h: what each ONNX operator means - its shape inference and its lowering to loop IR
 *
 * One file per operator family (op_conv.c, op_pool.c, op_unary.c, ...). The row in graph/onnx_ops.def is data, the behaviour is
 * `const struct op_impl op_ID`; a row without its behaviour does not link.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "graph/graph.h"
#include "loop/loop.h"

/* ---- shape inference ------------------------------------------------------------------------------------ */

struct op_infer {
	struct arena *a;            /* the graph's */
	struct gir_graph *graph;
	struct gir_node *node;
	int opset;
	/* Gives the constant value of v when it can be had (initializer, or computed from constants); NULL otherwise. */
	const struct tensor *(*value)(void *user, struct gir_value *v);
	void *user;
};

/* Input i, or NULL when it is left out. Inputs that are there are always typed. */
struct gir_value *op_arg(const struct gir_node *n, uint32_t i);
/* Sets type and shape of output i (no effect when it is not wanted). Refuses absurd sizes. */
bool op_set_out(struct op_infer *c, uint32_t i, enum dtype t, int nd, const int64_t *dim, struct err *e);
bool op_out_like(struct op_infer *c, uint32_t i, uint32_t arg, struct err *e);
/* The constant integers of input i (any integer type) in the arena; an error that names the input when it is not a constant. */
bool op_ints(struct op_infer *c, uint32_t i, const int64_t **v, int *n, struct err *e);
/* NumPy broadcasting of the shapes of two tensors; false with an error when they do not fit. */
bool op_broadcast(const int64_t *a, int na, const int64_t *b, int nb, int64_t *out, int *nout, struct err *e);
/* -r..r-1 to 0..r-1; error otherwise. */
bool op_axis(int64_t axis, int rank, int *out, struct err *e);
bool op_infer_broadcast_all(struct op_infer *c, enum dtype t, struct err *e); /* output 0: broadcast of all inputs */

/* ---- lowering ------------------------------------------------------------------------------------------- */

/* LOWER_GPU: one work-item per iteration of the parallel loops, tiles in registers; scalars. */
enum lower_class { LOWER_CPU, LOWER_GPU };

/* What lowering may know of the devices: the class and the limits common to all of them, never one device. */
struct lower_target {
	enum lower_class cls;
	int lanes;                  /* 1: plain nests, one element at a time (opt-levels 0 to 2); 4, 8, 16: vectors of f32 */
	uint32_t max_group;         /* LOWER_GPU: work-items of a group, the least of all devices; 0: no groups that share memory */
	uint64_t local_memory;      /* bytes that a group shares, likewise */
};

struct lower_temp {                 /* a tensor between two kernels of one node, or a table of constants */
	const char *name;
	enum dtype dtype;
	int nd;
	int64_t dim[MAX_DIMS];
	uint32_t id;
	const void *data;               /* a table: its elements; NULL: a kernel writes it */
};

/* A kernel argument: a value of the graph or a temporary of the node. */
struct lower_arg {
	struct gir_value *value;
	const struct lower_temp *temp;
};

struct lowered_kernel {
	struct lir_func *func;
	struct lower_arg *arg;      /* func->nparams, in parameter order */
};

struct op_lower {
	struct arena *a;
	const struct gir_node *node;
	int opset;
	const struct lower_target *target;
	struct lir_builder b;       /* of the open kernel: pass &c->b to lir_* */
	VEC(struct lowered_kernel) kernels; /* finished */
	VEC(struct lower_temp *) temps;
	struct op_open *open;       /* private: arguments of the open kernel */
	/* Set before op_begin, back to 0 by op_end: */
	bool flat;                  /* blocked tensors are seen with one spatial dim: [N, blocks, H * W, lanes] */
	int64_t groups;             /* > 0: plain images are seen as [N, groups, C / groups, H * W] */
	int lanes;                  /* > 1: op_load_as, op_acc and op_space_of work on whole blocks of channels */
};

/* Opens a kernel named NODE, or NODE.suffix. A node may make several, run in order; every tensor is written, whole, by
 * exactly one kernel (its content has one key). */
void op_begin(struct op_lower *c, const char *suffix);
void op_end(struct op_lower *c);
/* Parameters of the open kernel, added on first use; stored dims (blocked values have nd + 1, or 4 in a flat kernel). Outputs are those of the node
 * after fusion: op_out(c, 0) is the end of the chain. Reading an output that the same kernel wrote is allowed. */
struct lir_buffer *op_in(struct op_lower *c, uint32_t i);
struct lir_buffer *op_value(struct op_lower *c, struct gir_value *v); /* any value, as input */
struct lir_buffer *op_view(struct op_lower *c, struct gir_value *v, int nd, const int64_t *dim); /* with other dims, as many elements */
struct lir_buffer *op_out(struct op_lower *c, uint32_t i);
struct lir_buffer *op_view_out(struct op_lower *c, uint32_t i, int nd, const int64_t *dim);
struct lower_temp *op_temp(struct op_lower *c, const char *name, enum dtype t, int nd, const int64_t *dim);
struct lir_buffer *op_temp_out(struct op_lower *c, struct lower_temp *t); /* this kernel writes it */
struct lir_buffer *op_temp_in(struct op_lower *c, struct lower_temp *t);  /* a later kernel reads it */
/* Constants that lowering has computed, for op_temp_in; data must live in the arena. No kernel writes them. */
struct lower_temp *op_table(struct op_lower *c, const char *name, enum dtype t, int nd, const int64_t *dim, const void *data);

/* Stores element `index` (stored dims; with a vector value the last index is the first lane's) of output 0 after applying the
 * fused chain to it. Roots and element-wise operators write output 0 only through this. */
void op_store(struct op_lower *c, struct lir_expr *const *index, struct lir_expr *value);
/* The element of v that broadcasting pairs with element `index` of a tensor of nd stored dims; lanes > 1: a vector along the
 * last dim, or the broadcast scalar where v has size 1 there. Where output 0 is blocked, a plain v has one element, or one for
 * each channel. op_operand is the parameter that it reads. */
struct lir_buffer *op_operand(struct op_lower *c, struct gir_value *v);
struct lir_expr *op_load_broadcast(struct op_lower *c, struct gir_value *v, struct lir_expr *const *index, int nd, int lanes);
/* The whole lowering of an element-wise operator: a nest over output 0 that calls op_impl.scalar and op_store. */
bool op_lower_elementwise(struct op_lower *c, struct err *e);

struct op_impl {
	bool (*infer)(struct op_infer *c, struct err *e);
	bool (*lower)(struct op_lower *c, struct err *e);
	/* E operators only: output element from one element of each input (NULL for a left-out input); any lanes, same for all.
	 * n is the node (it may be a fused one: use n, not c->node, for attributes and input types). */
	struct lir_expr *(*scalar)(struct op_lower *c, const struct gir_node *n, struct lir_expr *const *in);
	bool steps; /* scalar rounds more than once: it is given f16 and bf16 elements as f32 */
};

const struct op_impl *op_impl(enum gir_op op);
/* Infers the outputs of c->node; on failure the error names the node and operator. Checks arity first. Output 0 is made when the
 * node leaves it out, so that every lowering has it. */
bool op_infer_node(struct op_infer *c, struct err *e);
/* Lowers c->node into c->kernels (at least one). */
bool op_lower_node(struct op_lower *c, struct err *e);
