/* op_transpose.c: Transpose */
#include <string.h>

#include "ops/ops_calc.h"

#define B (&c->b)

static bool perm_of(const struct gir_node *n, int *perm, struct err *e)
{
	const struct gir_attr *attr = gir_attr(n, "perm");
	int nd = n->in[0]->nd;
	unsigned seen = 0;

	for (int i = 0; i < nd; i++)
		perm[i] = nd - 1 - i;
	if (!attr)
		return true;
	if (attr->kind != GIR_ATTR_INTS || attr->n != (size_t)nd)
		return err_set(e, ERR_PARSE, "'perm' must have %d numbers", nd);
	for (int i = 0; i < nd; i++) {
		if (attr->ints[i] < 0 || attr->ints[i] >= nd || (seen >> attr->ints[i] & 1))
			return err_set(e, ERR_PARSE, "'perm' is not a permutation of %d dimensions", nd);
		seen |= 1u << attr->ints[i];
		perm[i] = (int)attr->ints[i];
	}
	return true;
}

static bool transpose_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	int64_t dim[MAX_DIMS];
	int perm[MAX_DIMS];

	if (!perm_of(c->node, perm, e))
		return false;
	for (int i = 0; i < x->nd; i++)
		dim[i] = x->dim[perm[i]];
	return op_set_out(c, 0, x->dtype, x->nd, dim, e);
}

/* The same transposition of fewer dims: those of 1 left out, those that stay side by side made one. dim: of the output. */
static int merge_dims(const struct gir_value *x, const int *perm, int *merged, int64_t *dim)
{
	int number[MAX_DIMS], first[MAX_DIMS], nd = 0, kept = 0, last = -1;

	for (int d = 0; d < x->nd; d++) {
		number[d] = kept;
		kept += x->dim[d] != 1;
	}
	for (int i = 0; i < x->nd; i++) {
		int from = perm[i];

		if (x->dim[from] == 1)
			continue;
		if (nd && number[from] == last + 1) {
			dim[nd - 1] *= x->dim[from];
		} else {
			first[nd] = number[from];
			dim[nd++] = x->dim[from];
		}
		last = number[from];
	}
	for (int i = 0; i < nd; i++) {
		merged[i] = 0;
		for (int k = 0; k < nd; k++)
			merged[i] += first[k] < first[i];
	}
	return nd;
}

/* Whole rows move: a vector at a time. */
static void transpose_rows(struct op_lower *c, int nd, const int *perm, const int64_t *dim)
{
	struct lir_expr *to[MAX_DIMS], *from[MAX_DIMS];
	struct lir_buffer *in, *out;
	struct lir_nest nest;
	int64_t in_dim[MAX_DIMS];

	for (int i = 0; i < nd; i++)
		in_dim[perm[i]] = dim[i];
	op_begin(c, "");
	in = op_view(c, c->node->in[0], nd, in_dim);
	out = op_view_out(c, 0, nd, dim);
	nest = lir_nest_over(B, nd - 1, dim);
	memcpy(to, nest.index, sizeof to);
	to[nd - 1] = lir_int(B, 0);
	for (int i = 0; i < nd; i++)
		from[perm[i]] = to[i];
	op_copy_row(c, out, to, in, from, dim[nd - 1]);
	lir_nest_end(B, &nest);
	op_end(c);
}

static bool transpose_lower(struct op_lower *c, struct err *e)
{
	struct lir_expr *at[MAX_DIMS];
	struct lir_buffer *in, *out;
	struct lir_nest nest;
	int perm[MAX_DIMS], merged[MAX_DIMS], nd;
	int64_t dim[MAX_DIMS];

	if (!perm_of(c->node, perm, e))
		return false;
	nd = merge_dims(c->node->in[0], perm, merged, dim);
	if (nd > 1 && merged[nd - 1] == nd - 1 && c->target->lanes > 1 && c->node->in[0]->dtype == DT_F32 && dim[nd - 1] >= c->target->lanes) {
		transpose_rows(c, nd, merged, dim);
		return true;
	}
	op_begin(c, "");
	in = op_in(c, 0);
	out = op_out(c, 0);
	nest = lir_nest_over(B, out->nd, out->dim);
	for (int i = 0; i < out->nd; i++)
		at[perm[i]] = nest.index[i];
	lir_store(B, out, nest.index, lir_load(B, in, at));
	lir_nest_end(B, &nest);
	op_end(c);
	return true;
}

const struct op_impl op_TRANSPOSE = {.infer = transpose_infer, .lower = transpose_lower};
