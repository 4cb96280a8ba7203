/* ops_math.h: exp, tanh and erf, of vectors too
 *
 * Only files of ops/ include this. A scalar is the C library's function. A vector of f32 is computed by ordinary nodes - range
 * reduction, a polynomial - because a library call for each lane would take most of a modern network's time; like all
 * arithmetic it is visible and mutable. NaN stays NaN, overflow is infinity, underflow goes through denormals to 0.
 */
#pragma once
#include "ops/ops_calc.h"

/* Vectors are within 2, 3 and 5 units in the last place (tests/unit/test_compile_math.c). */
struct lir_expr *op_exp(struct op_lower *c, struct lir_expr *x);
struct lir_expr *op_tanh(struct op_lower *c, struct lir_expr *x);
struct lir_expr *op_erf(struct op_lower *c, struct lir_expr *x);
