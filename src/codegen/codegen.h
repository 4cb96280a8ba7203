/* codegen/codegen.h: loop IR to device code - one walker, one file per dialect
 *
 * The text depends on the function's nodes and on the names of its buffers and variables, never on the function's own
 * name: equal code is equal text. It is a complete translation unit whose entry point is `mutatenn_kernel`
 * (value/value.h says with which parameters).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "value/value.h"

struct err;
struct lir_func;
struct str;

/* How a kernel is launched: groups of so many work-items each. 0 and 0: it takes (part, parts). */
struct codegen_shape {
	uint64_t groups;
	uint32_t group;
	bool fills; /* the text says what a local buffer holds before it is written: it is not proved that nobody reads that */
};

/* The dialects of this build, NULL-terminated. "c"; "opencl-c", one work-item per iteration of the parallel loops;
 * "opencl-c-cpu", for processors: one per iteration of the outermost, in groups of one; "cuda-c"; "glsl"; "glsl-cpu",
 * for devices that are processors. */
extern const char *const codegen_dialects[];

/* Appends the source of f, which verifies, in the dialect. Deterministic; linear in the size of the expanded code,
 * which is limited: loops to be unrolled stay loops beyond 4,096 statements. False for an unknown dialect, for parallel
 * functions with stores outside the parallel loop, and for what the dialect cannot express. A launch with fewer groups does
 * the same work: every work-item goes on with what is left. */
bool codegen_emit(const char *dialect, const struct lir_func *f, struct str *out, struct codegen_shape *shape, struct err *e);
/* The same with another fill of local buffers than NAN. */
bool codegen_emit_filled(const char *dialect, const struct lir_func *f, struct fill fill, struct str *out, struct codegen_shape *shape,
			 struct err *e);
