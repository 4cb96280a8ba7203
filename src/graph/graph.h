/* graph/graph.h: the graph IR - an imported network as nodes and values, and what passes turn it into
 *
 * The words are ONNX's. All shapes are static: the batch dimension is bound at import. Nodes are kept in an order in which
 * every value is made before it is used. Everything lives in the graph's arena; tensor data may point into a mapped file
 * that the arena's owner keeps.
 *
 * Names. Every node and every value has a unique, non-empty name; import makes missing ones (`Conv_3`). Names are how mutants,
 * plans and reports speak of nodes, so passes keep them: a fused or rewritten node keeps the name of its root.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/vec.h"
#include "value/value.h"

struct arena;
struct err;
struct str;
struct map;

enum gir_op {
#define OP(id, name, lo, hi, fuse, block) GIR_##id,
#include "graph/onnx_ops.def"
#undef OP
	GIR_OP_COUNT
};

/* Columns of onnx_ops.def. */
struct gir_op_info {
	const char *name; /* ONNX's; "mutatenn.*" for ours */
	int min_inputs, max_inputs;
	bool elementwise, root, blocked, internal;
};
const struct gir_op_info *gir_op_info(enum gir_op op);
bool gir_op_find(const char *onnx_name, enum gir_op *out);

enum gir_attr_kind { GIR_ATTR_INT, GIR_ATTR_FLOAT, GIR_ATTR_STRING, GIR_ATTR_INTS, GIR_ATTR_FLOATS, GIR_ATTR_TENSOR, GIR_ATTR_STRINGS };

struct gir_attr {
	const char *name;
	enum gir_attr_kind kind;
	int64_t i;
	float f;
	const char *s;         /* NUL-terminated; a NUL inside is refused at import */
	size_t n;              /* of ints, floats or strings */
	const int64_t *ints;
	const float *floats;
	const char *const *strings;
	const struct tensor *tensor;
};

#define GIR_MAX_ATTRS 64 /* of a node; no operator has half as many */

struct gir_node;

struct gir_value {
	const char *name;
	uint32_t id;                 /* index in graph.values */
	bool typed;                  /* dtype and dim are known: always, after inference */
	enum dtype dtype;
	int nd;
	int64_t dim[MAX_DIMS];       /* logical */
	const struct tensor *data;   /* an initializer (or folded constant): its value; NULL otherwise */
	const struct tensor *known;  /* the value is computed at run time but is already known here (found while inferring
	                                shapes, at most 65,536 elements); NULL otherwise. data implies nothing about known. */
	struct hash hash;            /* a constant read from a text that gives only its hash: data is NULL; zero otherwise */
	struct gir_node *producer;   /* NULL: graph input or initializer */
	int block;                   /* 0: plain. c: stored [N, ceil(C/c), spatial..., c]; lanes beyond C hold anything finite or not and
	                                are never read into real channels */
};

/* A node that lives inside a root node's chain: its input `slot` is the value so far. */
struct gir_fused {
	struct gir_node *node;
	uint32_t slot;
};

struct gir_node {
	const char *name;
	enum gir_op op;
	uint32_t nin, nout;
	struct gir_value **in;       /* NULL for an optional input left out */
	struct gir_value **out;      /* NULL for an optional output nobody wants */
	uint32_t nattrs;
	struct gir_attr *attr;
	uint32_t nfused;
	struct gir_fused *fused;     /* applied in order to output 0; out[0] is then the last fused node's output value */
};

struct gir_graph {
	struct arena *arena;
	const char *name;            /* of the model */
	int opset;                   /* of the default domain */
	VEC(struct gir_node *) nodes;
	VEC(struct gir_value *) values;
	VEC(struct gir_value *) inputs;  /* without initializers */
	VEC(struct gir_value *) outputs;
	struct map *value_by_name;
};

/* ---- gir_build.c ---- */
struct gir_graph *gir_new(struct arena *a, const char *name, int opset);
/* A name that is taken gets a suffix. */
struct gir_value *gir_value(struct gir_graph *g, const char *name);
struct gir_value *gir_value_typed(struct gir_graph *g, const char *name, enum dtype t, int nd, const int64_t *dim);
struct gir_value *gir_const(struct gir_graph *g, const char *name, const struct tensor *data);
/* Made but not yet in the order; outputs' producer is set. */
struct gir_node *gir_node(struct gir_graph *g, const char *name, enum gir_op op, uint32_t nin, struct gir_value *const *in, uint32_t nout,
                          struct gir_value *const *out);
void gir_append(struct gir_graph *g, struct gir_node *n);
void gir_insert_before(struct gir_graph *g, struct gir_node *at, struct gir_node *n);
void gir_insert_after(struct gir_graph *g, struct gir_node *at, struct gir_node *n);
void gir_remove(struct gir_graph *g, struct gir_node *n);
void gir_set_int(struct gir_graph *g, struct gir_node *n, const char *attr, int64_t v);
void gir_set_float(struct gir_graph *g, struct gir_node *n, const char *attr, float v);
void gir_set_ints(struct gir_graph *g, struct gir_node *n, const char *attr, const int64_t *v, size_t count);
void gir_set_string(struct gir_graph *g, struct gir_node *n, const char *attr, const char *v);
const struct gir_attr *gir_attr(const struct gir_node *n, const char *name); /* NULL when absent */
int64_t gir_attr_int(const struct gir_node *n, const char *name, int64_t otherwise);
float gir_attr_float(const struct gir_node *n, const char *name, float otherwise);
const char *gir_attr_string(const struct gir_node *n, const char *name, const char *otherwise);
/* Replaces every use of `from` (inputs of nodes and of fused nodes, graph outputs) by `to`. */
void gir_replace_uses(struct gir_graph *g, struct gir_value *from, struct gir_value *to);
/* Uses per value (index: value id) by nodes, fused nodes and graph outputs; n is graph.values.n. */
uint32_t *gir_count_uses(struct arena *a, const struct gir_graph *g);
struct gir_node *gir_find_node(const struct gir_graph *g, const char *name);
struct gir_value *gir_find_value(const struct gir_graph *g, const char *name);
/* A copy in its own arena `a`, to be changed freely. Names, attributes' contents and tensors are shared: the original must outlive it. */
struct gir_graph *gir_clone(struct arena *a, const struct gir_graph *g);

/* Physical dims of a value as stored: dim itself, or the blocked form (nd + 1). Returns the number of dims. */
int gir_stored_dims(const struct gir_value *v, int64_t dim[MAX_DIMS]);

/* ---- gir_print.c, gir_parse.c: text form; docs/graph-ir.md. Large constants print as a hash unless `full`. What is printed is
 * read back and prints the same. A graph with constants known by hash can be looked at and passed over, but not made a program.
 * Errors of gir_parse say "name:line:column: ..."; what it accepts has passed gir_verify; tensors lie in `a`. ---- */
void gir_print(struct str *out, const struct gir_graph *g, bool full);
bool gir_parse(struct arena *a, const char *name, const char *text, size_t n, struct gir_graph **out, struct err *e);

/* ---- gir_verify.c: order, uniqueness, arity, producers, shapes that are possible and agree with the data, chains, block only where
 * allowed; collects errors ---- */
bool gir_verify(const struct gir_graph *g, struct err *e);

/* ---- gir_plan.c: what the passes decided on the original, replayed for its mutants ---- */
struct gir_plan;
struct gir_plan *gir_plan_new(struct arena *a);            /* recording */
void gir_plan_replay(struct gir_plan *p);                  /* from now on: answer from the record */
/* Recording: g is the original before any pass. Replaying, or without a plan: nothing. */
void gir_plan_nodes(struct gir_plan *p, const struct gir_graph *g);
/* A pass asks before it does `what` to the nodes a and b (b may be ""). Recording: remembers the wish and returns it. Replaying: the
 * recorded answer; when there is none, no between nodes of the original, where the pass saw nothing to do, and the wish for nodes
 * that the mutation or a pass has made. NULL plan: the wish. */
bool gir_plan_decide(struct gir_plan *p, const char *what, const char *a, const char *b, bool wish);

/* ---- gir_pass_*.c ---- */
struct gir_pass_options {
	int lanes;              /* vector width of the target class: channel block of the layout pass */
	enum dtype precision;   /* F16, BF16: what f32 tensors become; any other: they stay */
	struct gir_plan *plan;
};
struct gir_pass {
	const char *name, *summary;
	int level;              /* lowest --opt-level that runs it */
	bool (*run)(struct gir_graph *g, const struct gir_pass_options *o, bool *changed, struct err *e);
	bool asked;             /* runs only where somebody asks for it by name: it changes how results are rounded */
};
/* A convolution of one channel a group: its window and planes are such as ops/ works on in the plain layout, a channel at a time. */
bool gir_small_planes(const struct gir_node *n);
/* In the order they run, NULL-terminated. Constant folding stands in this list by name with run == NULL: compile/ does it. */
extern const struct gir_pass *const gir_passes[];
