/* ops_infer.c: what shape inference of many operators shares */
#include "ops/ops_internal.h"

struct gir_value *op_arg(const struct gir_node *n, uint32_t i)
{
	return i < n->nin ? n->in[i] : NULL;
}

bool op_set_out(struct op_infer *c, uint32_t i, enum dtype t, int nd, const int64_t *dim, struct err *e)
{
	struct gir_value *v = i < c->node->nout ? c->node->out[i] : NULL;
	int64_t elements;

	if (nd > MAX_DIMS - 1) /* one is kept for the channel block */
		return err_set(e, ERR_UNSUPPORTED, "output %u has %d dimensions, at most %d are supported", i, nd, MAX_DIMS - 1);
	if (!dims_elements(dim, nd, &elements) || elements > (int64_t)1 << 33)
		return err_set(e, ERR_PARSE, "output %u has an absurd shape %s", i, dims_text(c->a, dim, nd));
	if (!v)
		return true;
	v->dtype = t;
	v->nd = nd;
	for (int d = 0; d < nd; d++)
		v->dim[d] = dim[d];
	v->typed = true;
	return true;
}

bool op_out_like(struct op_infer *c, uint32_t i, uint32_t arg, struct err *e)
{
	const struct gir_value *v = c->node->in[arg];

	return op_set_out(c, i, v->dtype, v->nd, v->dim, e);
}

bool op_ints(struct op_infer *c, uint32_t i, const int64_t **out, int *n, struct err *e)
{
	struct gir_value *v = op_arg(c->node, i);
	const struct tensor *t = v ? c->value(c->user, v) : NULL;
	int64_t count, *list;

	if (!t)
		return err_set(e, ERR_UNSUPPORTED, "input %u ('%s') decides a shape but is not a constant", i, v ? v->name : "");
	count = tensor_elements(t);
	if (!dtype_is_int(t->dtype) || t->nd > 1 || count > 1 << 16)
		return err_set(e, ERR_PARSE, "input %u ('%s') must be a list of integers", i, v->name);
	list = ARENA_ARRAY(c->a, int64_t, (size_t)count);
	for (int64_t k = 0; k < count; k++)
		list[k] = tensor_get_i64(t, k);
	*out = list;
	*n = (int)count;
	return true;
}

bool op_broadcast(const int64_t *a, int na, const int64_t *b, int nb, int64_t *out, int *nout, struct err *e)
{
	int64_t dim[MAX_DIMS];
	int n = na > nb ? na : nb;

	for (int i = 1; i <= n; i++) {
		int64_t x = i <= na ? a[na - i] : 1, y = i <= nb ? b[nb - i] : 1;

		if (x != y && x != 1 && y != 1)
			return err_set(e, ERR_PARSE, "shapes do not broadcast: %lld against %lld in dimension -%d", (long long)x, (long long)y, i);
		dim[n - i] = x == 1 ? y : x;
	}
	for (int i = 0; i < n; i++)
		out[i] = dim[i];
	*nout = n;
	return true;
}

bool op_axis(int64_t axis, int rank, int *out, struct err *e)
{
	if (axis < -rank || axis >= rank)
		return err_set(e, ERR_PARSE, "axis %lld is outside a tensor of %d dimensions", (long long)axis, rank);
	*out = (int)(axis < 0 ? axis + rank : axis);
	return true;
}

bool op_infer_broadcast_all(struct op_infer *c, enum dtype t, struct err *e)
{
	int64_t dim[MAX_DIMS];
	int nd = 0;

	for (uint32_t i = 0; i < c->node->nin; i++)
		if (c->node->in[i] && !op_broadcast(dim, nd, c->node->in[i]->dim, c->node->in[i]->nd, dim, &nd, e))
			return false;
	return op_set_out(c, 0, t, nd, dim, e);
}
