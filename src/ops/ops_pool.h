/* ops_pool.h: ways to lower a pool
 *
 * Only files of ops/ include this.
 */
#pragma once
#include "ops/ops_window.h"

/* AveragePool plane by plane; include_pad: padding counts. false: nothing was lowered, as it does not fit. */
bool op_average_lower_planes(struct op_lower *c, const struct op_window *w, bool include_pad);
