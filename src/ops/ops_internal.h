/* ops_internal.h: shorthand for writing operators; only files of ops/ include this */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "ops/ops.h"

#define OP_INT(n, name, otherwise) gir_attr_int((n), (name), (otherwise))
#define OP_FLOAT(n, name, otherwise) gir_attr_float((n), (name), (otherwise))

/* x op constant, where the constant takes x's type (and lanes, by broadcasting). */
struct lir_expr *op_imm_like(struct lir_builder *b, const struct lir_expr *x, double v);

/* Names x in the open block, so that using it several times computes it once. */
static inline struct lir_expr *op_let(struct op_lower *c, const char *name, struct lir_expr *x)
{
	return lir_let(&c->b, name, x);
}

/* Every tensor that the node and its fused chain touch is f32: vectors are possible. */
bool op_all_f32(const struct gir_node *n);
