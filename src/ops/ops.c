/* ops.c: the table of operators and the two drivers, inference and lowering of one node */
#include <assert.h>

#include "ops/ops_internal.h"

/* A row without its file does not link. */
#define OP(id, ...) extern const struct op_impl op_##id;
#include "graph/onnx_ops.def"
#undef OP

const struct op_impl *op_impl(enum gir_op op)
{
	static const struct op_impl *const impls[GIR_OP_COUNT] = {
#define OP(id, ...) [GIR_##id] = &op_##id,
#include "graph/onnx_ops.def"
#undef OP
	};
	return (unsigned)op < GIR_OP_COUNT ? impls[op] : NULL;
}

bool op_infer_node(struct op_infer *c, struct err *e)
{
	const struct gir_op_info *info = gir_op_info(c->node->op);
	const struct op_impl *impl = op_impl(c->node->op);
	uint32_t given = c->node->nin;

	while (given && !c->node->in[given - 1])
		given--;
	if ((int)given < info->min_inputs || (info->max_inputs >= 0 && (int)given > info->max_inputs))
		return err_set(e, ERR_PARSE, "node '%s' (%s): %u inputs, but the operator takes %d to %d", c->node->name, info->name, given,
		               info->min_inputs, info->max_inputs);
	for (int i = 0; i < info->min_inputs; i++)
		if (!c->node->in[i])
			return err_set(e, ERR_PARSE, "node '%s' (%s): input %d is left out, but it is required", c->node->name, info->name, i);
	if (!c->node->nout)
		return err_set(e, ERR_PARSE, "node '%s' (%s): no outputs", c->node->name, info->name);
	if (!c->node->out[0]) { /* only others are wanted: lowerings may count on it all the same */
		c->node->out[0] = gir_value(c->graph, arena_printf(c->a, "%s.0", c->node->name));
		c->node->out[0]->producer = c->node;
	}
	if (!impl->infer(c, e))
		return err_in(e, "node '%s' (%s)", c->node->name, info->name);
	for (uint32_t i = 0; i < c->node->nout; i++)
		if (c->node->out[i] && !c->node->out[i]->typed)
			return err_set(e, ERR_PARSE, "node '%s' (%s): has no output %u in opset %d", c->node->name, info->name, i, c->opset);
	return true;
}

bool op_lower_node(struct op_lower *c, struct err *e)
{
	const struct op_impl *impl = op_impl(c->node->op);

	assert(impl && impl->lower);
	if (!impl->lower(c, e))
		return err_in(e, "lowering node '%s' (%s)", c->node->name, gir_op_info(c->node->op)->name);
	assert(c->kernels.n && !c->open);
	return true;
}
