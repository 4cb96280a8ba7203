/* compile_internal.h: shared by the files of compile/ */
#pragma once
#include "base/map.h"
#include "compile/compile.h"

/* Computes the outputs of a node whose inputs are known and stores them as gir_value.known; leaves them unknown when that
 * takes too long or meets something undefined. */
bool comp_evaluate_node(struct gir_graph *g, struct gir_node *n, struct err *e);
/* After a pass: inferring again must give what the pass left. */
bool comp_check_types(struct gir_graph *g, struct err *e);
/* Runs the passes of o on g, which is inferred. */
bool comp_run_passes(struct gir_graph *g, const struct comp_options *o, struct err *e);
