/* codegen/codegen.h: loop IR to device code - one walker, one file per dialect
 *
 * The text depends on the function's nodes and on the names of its buffers and variables, never on the function's own
 * name: equal code is equal text. It is a complete translation unit whose entry point is `mutatenn_kernel`
 * (value/value.h says with which parameters).
 */
#pragma once
#include <stdbool.h>

struct err;
struct lir_func;
struct str;

/* Appends the source of f, which verifies, in the dialect ("c"). Deterministic; linear in the size of the expanded code,
 * which is limited: loops to be unrolled stay loops beyond 4,096 statements. False for an unknown dialect, for parallel
 * functions with stores outside the parallel loop, and for what the dialect cannot express. */
bool codegen_emit(const char *dialect, const struct lir_func *f, struct str *out, struct err *e);
