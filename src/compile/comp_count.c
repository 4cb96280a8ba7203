/* comp_count.c: what can be counted without running anything */
#include "compile/compile_internal.h"

static double elements(const struct gir_value *v)
{
	double n = 1;

	for (int d = 0; d < v->nd; d++)
		n *= (double)v->dim[d];
	return n;
}

double comp_node_macs(const struct gir_node *n)
{
	const struct gir_value *x = n->nin ? n->in[0] : NULL, *w = n->nin > 1 ? n->in[1] : NULL;

	if (!n->nin || !n->nout || !x || !n->out[0] || (n->nin > 1 && !w))
		return 0;
	if (n->op == GIR_CONV && w->nd && w->dim[0])
		return elements(n->out[0]) * elements(w) / (double)w->dim[0];
	if (n->op == GIR_CONVTRANSPOSE && x->nd > 1 && x->dim[1])
		return elements(x) * elements(w) / (double)x->dim[1];
	if (n->op == GIR_GEMM && x->nd == 2)
		return elements(n->out[0]) * (double)x->dim[gir_attr_int(n, "transA", 0) ? 0 : 1];
	if (n->op == GIR_MATMUL && x->nd)
		return elements(n->out[0]) * (double)x->dim[x->nd - 1];
	return 0;
}

double comp_macs(const struct gir_graph *g)
{
	double macs = 0;

	for (size_t i = 0; i < g->nodes.n; i++)
		macs += comp_node_macs(g->nodes.v[i]);
	return macs;
}

int64_t comp_parameters(const struct gir_graph *g)
{
	int64_t n = 0;

	for (size_t i = 0; i < g->values.n; i++)
		if (g->values.v[i]->data && dtype_is_float(g->values.v[i]->data->dtype))
			n += tensor_elements(g->values.v[i]->data);
	return n;
}
