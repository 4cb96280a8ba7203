/* alone.h: one kernel of a program as a program of its own */
#pragma once
#include <stddef.h>

#include "compile/compile.h"

struct arena;

/* Kernel k with the function f in its place: what it reads are inputs, what it writes are outputs; buffers in parameter order. */
struct comp_program *alone(struct arena *a, const struct comp_program *p, uint32_t k, struct lir_func *f);
size_t alone_bytes(const struct comp_buffer *b);
/* A buffer with these contents. */
struct tensor alone_tensor(const struct comp_buffer *b, void *data);
