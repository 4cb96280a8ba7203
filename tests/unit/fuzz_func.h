/* fuzz_func.h: random functions of the loop IR, and what to run them with
 *
 * Without device-defined operations: a device that keeps IEEE arithmetic gives the interpreter's bits.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "loop/loop.h"

struct arena;

struct fuzz_options {
	uint32_t types; /* bit 1u << DT_x */
	bool scalars;   /* no vectors */
	bool exact;     /* only functions with one right answer: no exp, no pow */
};

extern const struct fuzz_options fuzz_everything;

struct lir_func *fuzz_func(struct arena *a, uint64_t seed, const struct fuzz_options *o);
/* Memory for each parameter, inputs filled the same way every time: with NaN, Inf and zeros of both signs here and there. */
void **fuzz_buffers(struct arena *a, const struct lir_func *f);
/* Bit by bit, but any NaN for any other. */
bool fuzz_equal(const struct lir_buffer *b, const void *x, const void *y, int64_t *where);
long fuzz_setting(const char *name, long otherwise); /* of the environment */
