/* compile/compile.h: from an imported graph to a program - inference, passes, lowering, emission
 *
 * The mutation points lie on both sides of this room: graph mutants change the imported graph before comp_program, loop mutants
 * change a kernel of the finished program (comp_replace). Everything here is deterministic: same graph, same options, same text.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codegen/codegen.h"
#include "graph/graph.h"
#include "loop/loop.h"
#include "value/value.h"

struct arena;
struct err;

#define COMP_FOLD_ELEMENTS 65536 /* larger constants are computed once on the device, by launches fed only by constants */

struct comp_options {
	int opt_level;                    /* 0..3 */
	const char *const *disabled;      /* passes left out, by name */
	size_t ndisabled;
	const char *const *enabled;       /* passes that run only when they are asked for; disabled wins */
	size_t nenabled;
	enum device_class cls;            /* whose schedules are used at level 3 */
	int lanes;                        /* f32 vector width of the target class at level 3; ignored below */
	uint32_t max_group;               /* work-items of a group and bytes that it shares, for accelerators at level 3; 0: no such groups */
	uint64_t local_memory;
	struct fill fill;                 /* of local buffers, in what is emitted */
	enum dtype precision;             /* F16, BF16: what f32 tensors between inputs and outputs become; any other: they stay */
	struct gir_plan *plan;            /* records, or replays for mutants; may be NULL */
};

struct comp_buffer {
	const char *name;
	struct gir_value *value;          /* NULL: a temporary or a table of a node */
	enum buffer_role role;
	enum dtype dtype;
	int nd;
	int64_t dim[MAX_DIMS];            /* as stored */
	const void *data;                 /* constants */
	struct hash hash;                 /* of data */
};

struct comp_text {
	const char *dialect, *source;
	struct hash hash;                 /* of the kernel: the text, and how it is compiled */
	struct codegen_shape shape;       /* of a launch */
	struct comp_text *next;
};

struct comp_kernel {
	struct lir_func *func;
	const struct gir_node *node;      /* it was lowered from */
	uint32_t *arg;                    /* func->nparams buffer indices */
	bool alone;                       /* runs in one thread: a changed kernel's iterations may store over each other's results, and
	                                     in which order must not depend on the moment */
	struct fill fill;                 /* of its local buffers */
	struct comp_text *text;           /* emitted so far, one per dialect; private */
	struct lir_instrumented *checks;  /* what runs instead of func, with a report (comp_instrument); NULL: func itself */
	struct comp_text *checked;        /* its texts; private */
};

struct comp_program {
	struct arena *arena;
	struct gir_graph *graph;          /* after the passes */
	struct comp_kernel *kernel;       /* in launch order */
	uint32_t nkernels;
	struct comp_buffer *buffer;
	uint32_t nbuffers;
	uint32_t *input, *output;         /* buffer indices, in the order of the graph's */
	uint32_t ninputs, noutputs;
	struct map *kernel_by_name;       /* function name -> index + 1 */
};

/* Infers all types of g; finds values known at compile time (gir_value.known). Errors name the node; one ERR_UNSUPPORTED names all
 * nodes that are not supported. */
bool comp_infer(struct gir_graph *g, struct err *e);

/* The names of passes that run with these options, in order. */
size_t comp_passes(const struct comp_options *o, const char **name, size_t max);

/* g is not changed. The program lives in `a`; constants point into g's data or into `a`. */
bool comp_program(struct arena *a, const struct gir_graph *g, const struct comp_options *o, struct comp_program **out, struct err *e);

/* A program that differs from p in some kernels: func[k] (nkernels long) replaces kernel k's function, NULL keeps it; what is
 * replaced runs in one thread. Shares
 * everything else with p, so p must outlive it. */
struct comp_program *comp_replace(struct arena *a, struct comp_program *p, struct lir_func *const *func);

bool comp_has_kernel(const struct bundle *b, struct hash hash); /* bundle_kernel.hash */
/* The same program with another fill of local buffers in those kernels whose text is not one of the original's bundle. */
bool comp_refill(struct arena *a, struct comp_program *p, const char *dialect, const struct bundle *original, struct fill fill,
		 struct comp_program **out, struct err *e);
/* Writes checks (LIR_CHECK_*) into the kernels that the original has not, for the bundles that are made from now on. What a program
 * is - hashes, keys, equal code - stays that of the kernels without. p must be of comp_replace or comp_program, and its own. */
bool comp_instrument(struct comp_program *p, const struct comp_program *original, unsigned checks, struct err *e);

/* Emits every kernel that is not emitted yet. Equal texts become one kernel of the bundle. */
bool comp_bundle(struct arena *a, struct comp_program *p, const char *dialect, struct bundle **out, struct err *e);
/* The text of one kernel, which the program keeps. */
bool comp_source(struct comp_program *p, uint32_t kernel, const char *dialect, const struct comp_text **out, struct err *e);

/* Runs the whole program in the reference interpreter. input: dense tensors for p->input. output: noutputs tensors in `a`.
 * A fault is an error that names the kernel; so is a race between iterations of its parallel loops, unless it runs `alone`. */
bool comp_interpret(struct arena *a, const struct comp_program *p, const struct tensor *const *input, struct tensor **output, struct err *e);
/* One kernel, with the contents of all its arguments given (those it writes are overwritten). */
bool comp_interpret_kernel(const struct comp_program *p, uint32_t kernel, void *const *arg, struct lir_interp_result *r, struct err *e);

/* Multiply-accumulates of convolutions and matrix products of an inferred graph without fused or blocked nodes. */
double comp_node_macs(const struct gir_node *n);
double comp_macs(const struct gir_graph *g);
int64_t comp_parameters(const struct gir_graph *g); /* elements of initializers of float type */
