/* op_cast.c: Cast, CastLike, Dropout at inference */
#include "ops/ops_calc.h"

#define B (&c->b)

bool op_onnx_type(int64_t onnx, enum dtype *out, struct err *e)
{
	static const struct {
		int onnx;
		enum dtype t;
	} types[] = {{1, DT_F32}, {2, DT_U8}, {3, DT_I8}, {4, DT_U16}, {5, DT_I16}, {6, DT_I32}, {7, DT_I64}, {9, DT_BOOL},
	             {10, DT_F16}, {11, DT_F64}, {12, DT_U32}, {13, DT_U64}, {16, DT_BF16}};

	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (types[i].onnx == onnx) {
			*out = types[i].t;
			return true;
		}
	return err_set(e, ERR_UNSUPPORTED, "type number %lld (a string, complex or other type)", (long long)onnx);
}

static bool cast_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	enum dtype t = DT_F32;

	if (!op_onnx_type(OP_INT(c->node, "to", 0), &t, e))
		return false;
	return op_set_out(c, 0, t, x->nd, x->dim, e);
}

static struct lir_expr *cast_scalar(struct op_lower *c, const struct gir_node *n, struct lir_expr *const *in)
{
	return lir_cast(B, n->out[0]->dtype, in[0]);
}

const struct op_impl op_CAST = {.infer = cast_infer, .lower = op_lower_elementwise, .scalar = cast_scalar};

static bool cast_like_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];

	return op_set_out(c, 0, c->node->in[1]->dtype, x->nd, x->dim, e);
}

/* Only the type of the second input counts: it is not loaded, whatever its shape. */
static bool cast_like_lower(struct op_lower *c, struct err *e)
{
	struct lir_buffer *in, *out;
	struct lir_nest nest;

	op_begin(c, "");
	in = op_in(c, 0);
	out = op_out(c, 0);
	nest = lir_nest_over(B, out->nd, out->dim);
	op_store(c, nest.index, lir_cast(B, out->dtype, lir_load(B, in, nest.index)));
	lir_nest_end(B, &nest);
	op_end(c);
	return true;
}

const struct op_impl op_CASTLIKE = {.infer = cast_like_infer, .lower = cast_like_lower, .scalar = cast_scalar};

static bool dropout_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	const struct tensor *training = op_arg(c->node, 2) ? c->value(c->user, c->node->in[2]) : NULL;
	const struct tensor *ratio = op_arg(c->node, 1) ? c->value(c->user, c->node->in[1]) : NULL;

	if (op_arg(c->node, 2) && (!training || tensor_get_i64(training, 0)) && !(ratio && tensor_get_f64(ratio, 0) == 0))
		return err_set(e, ERR_UNSUPPORTED, "training mode draws random numbers");
	return op_out_like(c, 0, 0, e) && op_set_out(c, 1, DT_BOOL, x->nd, x->dim, e);
}

static void fill(struct op_lower *c, const char *suffix, uint32_t which)
{
	struct lir_buffer *out;
	struct lir_nest nest;

	op_begin(c, suffix);
	out = op_out(c, which);
	nest = lir_nest_over(B, out->nd, out->dim);
	lir_store(B, out, nest.index, which ? lir_imm_i64(B, DT_BOOL, 1) : lir_load(B, op_in(c, 0), nest.index));
	lir_nest_end(B, &nest);
	op_end(c);
}

static bool dropout_lower(struct op_lower *c, struct err *e)
{
	fill(c, "", 0);
	if (c->node->nout > 1 && c->node->out[1])
		fill(c, "mask", 1);
	return true;
}

const struct op_impl op_DROPOUT = {.infer = dropout_infer, .lower = dropout_lower};
