/* op_depth.c: DepthToSpace and SpaceToDepth - squares of pixels from groups of channels, and back */
#include <string.h>

#include "ops/ops_calc.h"

#define B (&c->b)

static bool check(struct op_infer *c, int64_t *block, struct err *e)
{
	*block = OP_INT(c->node, "blocksize", 0);
	if (*block < 1 || *block > 1 << 16)
		return err_set(e, ERR_PARSE, "blocksize %lld", (long long)*block);
	return op_check_rank(c, 0, 4, 4, e);
}

static bool to_space_infer(struct op_infer *c, struct err *e)
{
	const char *mode = gir_attr_string(c->node, "mode", "DCR");
	const int64_t *x = c->node->in[0]->dim;
	int64_t b;

	if (!check(c, &b, e))
		return false;
	if (strcmp(mode, "DCR") && strcmp(mode, "CRD"))
		return err_set(e, ERR_PARSE, "mode '%s'", mode);
	if (x[1] % (b * b))
		return err_set(e, ERR_PARSE, "%lld channels do not make squares of %lld", (long long)x[1], (long long)b);
	return op_set_out(c, 0, c->node->in[0]->dtype, 4, (const int64_t[]){x[0], x[1] / (b * b), x[2] * b, x[3] * b}, e);
}

static bool to_depth_infer(struct op_infer *c, struct err *e)
{
	const int64_t *x = c->node->in[0]->dim;
	int64_t b;

	if (!check(c, &b, e))
		return false;
	if (x[2] % b || x[3] % b)
		return err_set(e, ERR_PARSE, "%lld x %lld pixels do not make squares of %lld", (long long)x[2], (long long)x[3],
			       (long long)b);
	return op_set_out(c, 0, c->node->in[0]->dtype, 4, (const int64_t[]){x[0], x[1] * (b * b), x[2] / b, x[3] / b}, e);
}

/* (x * n) + y */
static struct lir_expr *join(struct op_lower *c, struct lir_expr *x, int64_t n, struct lir_expr *y)
{
	return lir_add(B, lir_mul(B, x, lir_int(B, n)), y);
}

/* Loops over the dims [N, channels, height, row, width, column] of the output, without dividing an index. */
static bool to_space_lower(struct op_lower *c, struct err *e)
{
	bool channel_first = !strcmp(gir_attr_string(c->node, "mode", "DCR"), "CRD");
	int64_t b = OP_INT(c->node, "blocksize", 0);
	struct lir_buffer *in, *out;
	struct lir_expr **i, *depth;
	struct lir_nest nest;

	(void)e;
	op_begin(c, "");
	in = op_in(c, 0);
	out = op_out(c, 0);
	nest = lir_nest_over(B, 6, (const int64_t[]){out->dim[0], out->dim[1], in->dim[2], b, in->dim[3], b});
	i = nest.index;
	if (channel_first)
		depth = join(c, join(c, i[1], b, i[3]), b, i[5]);
	else
		depth = join(c, join(c, i[3], b, i[5]), out->dim[1], i[1]);
	lir_store(B, out, (struct lir_expr *[]){i[0], i[1], join(c, i[2], b, i[3]), join(c, i[4], b, i[5])},
		  lir_load(B, in, (struct lir_expr *[]){i[0], depth, i[2], i[4]}));
	lir_nest_end(B, &nest);
	op_end(c);
	return true;
}

/* Loops over [N, row, column, channels, height, width]: the channels of the output are (row, column, channel). */
static bool to_depth_lower(struct op_lower *c, struct err *e)
{
	int64_t b = OP_INT(c->node, "blocksize", 0);
	struct lir_buffer *in, *out;
	struct lir_nest nest;
	struct lir_expr **i;

	(void)e;
	op_begin(c, "");
	in = op_in(c, 0);
	out = op_out(c, 0);
	nest = lir_nest_over(B, 6, (const int64_t[]){out->dim[0], b, b, in->dim[1], out->dim[2], out->dim[3]});
	i = nest.index;
	lir_store(B, out, (struct lir_expr *[]){i[0], join(c, join(c, i[1], b, i[2]), in->dim[1], i[3]), i[4], i[5]},
		  lir_load(B, in, (struct lir_expr *[]){i[0], i[3], join(c, i[4], b, i[1]), join(c, i[5], b, i[2])}));
	lir_nest_end(B, &nest);
	op_end(c);
	return true;
}

const struct op_impl op_DEPTHTOSPACE = {.infer = to_space_infer, .lower = to_space_lower};
const struct op_impl op_SPACETODEPTH = {.infer = to_depth_infer, .lower = to_depth_lower};
