/* gir_op.c: the table of operators */
#include <string.h>

#include "graph/graph.h"

const struct gir_op_info *gir_op_info(enum gir_op op)
{
	enum { E = 1, R = 2, N = 0, B = 1, P = 0 };
	static const struct gir_op_info infos[] = {
#define OP(id, onnx_name, lo, hi, fuse, block)                                                                         \
	{.name = onnx_name, .min_inputs = lo, .max_inputs = hi, .elementwise = (fuse) == E, .root = (fuse) != N, .blocked = (block) == B, \
	 .internal = sizeof onnx_name > 9 && (onnx_name)[8] == '.'},
#include "graph/onnx_ops.def"
#undef OP
	};
	return &infos[op];
}

bool gir_op_find(const char *onnx_name, enum gir_op *out)
{
	for (int op = 0; op < GIR_OP_COUNT; op++)
		if (!strcmp(gir_op_info((enum gir_op)op)->name, onnx_name)) {
			*out = (enum gir_op)op;
			return true;
		}
	return false;
}
