/* op_quant.c: QuantizeLinear, DequantizeLinear (per tensor, per axis, per block) and DynamicQuantizeLinear */
#include <string.h>

#include "ops/ops_calc.h"

#define B (&c->b)

/* How the scale (and the zero point, which has its shape) is spread over the tensor. */
struct spread {
	int axis;      /* -1: one scale for all */
	int64_t block; /* elements along the axis that share a scale; 0: not blocked */
};

static bool read_spread(const struct gir_node *n, struct spread *s, struct err *e)
{
	const struct gir_value *x = n->in[0], *scale = n->in[1];
	int64_t count, block = OP_INT(n, "block_size", 0);

	*s = (struct spread){.axis = -1};
	if (!dims_elements(scale->dim, scale->nd, &count))
		return err_set(e, ERR_PARSE, "the scale has an absurd shape");
	if (count == 1 && scale->nd <= 1)
		return true;
	if (!op_axis(OP_INT(n, "axis", 1), x->nd, &s->axis, e))
		return false;
	if (!block) {
		if (scale->nd == 1 && scale->dim[0] == x->dim[s->axis])
			return true;
		return err_set(e, ERR_PARSE, "the scale does not have one number for each of %lld slices",
			       (long long)x->dim[s->axis]);
	}
	s->block = block;
	if (block < 0 || block > INT32_MAX || scale->nd != x->nd)
		return err_set(e, ERR_PARSE, "block_size %lld does not fit the scale", (long long)block);
	for (int d = 0; d < x->nd; d++)
		if (scale->dim[d] != (d == s->axis ? (x->dim[d] + block - 1) / block : x->dim[d]))
			return err_set(e, ERR_PARSE, "the scale's dimension %d does not fit block_size %lld", d, (long long)block);
	return true;
}

static bool zero_like_scale(struct op_infer *c, struct err *e)
{
	const struct gir_value *scale = c->node->in[1], *zero = op_arg(c->node, 2);
	int64_t a, b;

	if (zero && scale->nd <= 1 && zero->nd <= 1 && dims_elements(scale->dim, scale->nd, &a) &&
	    dims_elements(zero->dim, zero->nd, &b) && a == 1 && b == 1)
		return true;
	return op_check_dims(c, 2, scale->nd, scale->dim, e);
}

/* The scale or zero point that belongs to element `index`. */
static struct lir_expr *parameter(struct op_lower *c, const struct spread *s, uint32_t i, struct lir_expr *const *index,
				  enum dtype t)
{
	struct lir_buffer *buf = op_in(c, i);
	struct lir_expr *at[MAX_DIMS];

	if (s->axis < 0)
		return op_load_scalar_or(c, buf, NULL, t);
	if (!s->block)
		return op_load_as(c, buf, index + s->axis, t);
	memcpy(at, index, (size_t)buf->nd * sizeof *at);
	at[s->axis] = lir_div(B, at[s->axis], lir_int(B, s->block));
	return op_load_as(c, buf, at, t);
}

/* ---- QuantizeLinear ---- */

static bool quantized_type(const struct gir_node *n, enum dtype *t, struct err *e)
{
	int64_t number = OP_INT(n, "output_dtype", 0); /* ONNX's numbering of types */

	*t = DT_U8;
	if (op_arg(n, 2))
		*t = n->in[2]->dtype;
	else if (number == 3)
		*t = DT_I8;
	else if (number == 4)
		*t = DT_U16;
	else if (number == 5)
		*t = DT_I16;
	else if (number && number != 2)
		return err_set(e, ERR_UNSUPPORTED, "quantising to the ONNX type %lld is not supported", (long long)number);
	return true;
}

static bool quantize_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	struct spread s;
	enum dtype t;

	return op_check_type(c, 0, TYPES_FLOAT | TYPE_BIT(I32), e) && op_check_type(c, 1, TYPES_FLOAT | TYPE_BIT(I32), e) &&
	       op_check_type(c, 2, TYPES_NARROW_INT, e) && read_spread(c->node, &s, e) && zero_like_scale(c, e) &&
	       quantized_type(c->node, &t, e) && op_set_out(c, 0, t, x->nd, x->dim, e);
}

static bool quantize_lower(struct op_lower *c, struct err *e)
{
	struct lir_expr *x, *zero;
	struct lir_buffer *in;
	struct spread spread;
	struct op_space s;
	enum dtype t;

	if (!read_spread(c->node, &spread, e) || !quantized_type(c->node, &t, e))
		return false;
	op_begin(c, "");
	in = op_in(c, 0);
	op_in(c, 1);
	if (op_arg(c->node, 2))
		op_in(c, 2);
	s = op_space_of(c, op_out(c, 0));
	op_outer_begin(c, &s);
	zero = op_arg(c->node, 2) ? parameter(c, &spread, 2, s.index, DT_F32) : lir_imm(B, DT_F32, 0);
	x = lir_div(B, op_load_as(c, in, s.index, DT_F32), parameter(c, &spread, 1, s.index, DT_F32));
	op_store(c, s.index, op_quantize(c, x, zero, t));
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

const struct op_impl op_QUANTIZELINEAR = {.infer = quantize_infer, .lower = quantize_lower};

/* ---- DequantizeLinear ---- */

static bool dequantize_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	struct spread s;

	return op_check_type(c, 0, TYPES_NARROW_INT | TYPE_BIT(I32), e) && op_check_type(c, 1, TYPES_FLOAT, e) &&
	       op_check_same_type(c, 2, e) && read_spread(c->node, &s, e) && zero_like_scale(c, e) &&
	       op_set_out(c, 0, c->node->in[1]->dtype, x->nd, x->dim, e);
}

static bool dequantize_lower(struct op_lower *c, struct err *e)
{
	struct lir_buffer *in;
	struct spread spread;
	struct lir_expr *x;
	struct op_space s;
	enum dtype t, wide;

	if (!read_spread(c->node, &spread, e))
		return false;
	op_begin(c, "");
	in = op_in(c, 0);
	t = op_in(c, 1)->dtype;
	wide = op_acc_type(t);
	if (op_arg(c->node, 2))
		op_in(c, 2);
	s = op_space_of(c, op_out(c, 0));
	op_outer_begin(c, &s);
	x = op_load_as(c, in, s.index, DT_I32);
	if (op_arg(c->node, 2))
		x = lir_sub(B, x, parameter(c, &spread, 2, s.index, DT_I32));
	x = lir_mul(B, lir_cast(B, wide, x), parameter(c, &spread, 1, s.index, wide));
	op_store(c, s.index, lir_cast(B, t, x));
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

const struct op_impl op_DEQUANTIZELINEAR = {.infer = dequantize_infer, .lower = dequantize_lower};

/* ---- DynamicQuantizeLinear: u8, with the scale that the data ask for ---- */

static bool dynamic_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];

	return op_check_type(c, 0, TYPE_BIT(F32), e) && op_set_out(c, 0, DT_U8, x->nd, x->dim, e) &&
	       op_set_out(c, 1, DT_F32, 0, NULL, e) && op_set_out(c, 2, DT_U8, 0, NULL, e);
}

/* An output nobody wants is still needed by the second kernel: it becomes a temporary. */
static struct lower_temp *stand_in(struct op_lower *c, uint32_t i, enum dtype t, const char *name)
{
	return i < c->node->nout && c->node->out[i] ? NULL : op_temp(c, name, t, 0, (const int64_t[]){0});
}

static void dynamic_parameters(struct op_lower *c, struct lower_temp *scale_temp, struct lower_temp *zero_temp)
{
	struct lir_expr *x, *scale, *range, *zero, *f0;
	struct lir_buffer *in, *low, *high;
	struct op_space s;

	op_begin(c, "range");
	in = op_in(c, 0);
	f0 = lir_imm(B, DT_F32, 0);
	s = op_space_of(c, in);
	for (int d = 0; d < s.nd; d++)
		s.inner[d] = true;
	op_outer_begin(c, &s);
	low = op_acc(c, "low", f0); /* the range always includes 0 */
	high = op_acc(c, "high", f0);
	op_inner_begin(c, &s);
	x = op_let(c, "x", lir_load(B, in, s.index));
	op_acc_set(c, low, lir_min(B, op_acc_get(c, low), x));
	op_acc_set(c, high, lir_max(B, op_acc_get(c, high), x));
	op_inner_end(c, &s);
	range = op_let(c, "range", lir_sub(B, op_acc_get(c, high), op_acc_get(c, low)));
	scale = lir_select(B, lir_eq(B, range, f0), lir_imm(B, DT_F32, 1), lir_div(B, range, lir_imm(B, DT_F32, 255)));
	scale = op_let(c, "scale", scale);
	zero = op_quantize(c, lir_div(B, lir_sub(B, f0, op_acc_get(c, low)), scale), f0, DT_U8);
	lir_store(B, scale_temp ? op_temp_out(c, scale_temp) : op_out(c, 1), NULL, scale);
	lir_store(B, zero_temp ? op_temp_out(c, zero_temp) : op_out(c, 2), NULL, zero);
	op_outer_end(c, &s);
	op_end(c);
}

static bool dynamic_lower(struct op_lower *c, struct err *e)
{
	struct lower_temp *scale_temp = stand_in(c, 1, DT_F32, "scale"), *zero_temp = stand_in(c, 2, DT_U8, "zero");
	struct lir_buffer *in, *scale, *zero;
	struct lir_expr *x;
	struct op_space s;

	(void)e;
	dynamic_parameters(c, scale_temp, zero_temp);
	op_begin(c, "apply");
	in = op_in(c, 0);
	scale = scale_temp ? op_temp_in(c, scale_temp) : op_value(c, c->node->out[1]);
	zero = zero_temp ? op_temp_in(c, zero_temp) : op_value(c, c->node->out[2]);
	s = op_space_of(c, op_out(c, 0));
	op_outer_begin(c, &s);
	x = lir_div(B, lir_load(B, in, s.index), lir_load(B, scale, NULL));
	op_store(c, s.index, op_quantize(c, x, lir_cast(B, DT_F32, lir_load(B, zero, NULL)), DT_U8));
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

const struct op_impl op_DYNAMICQUANTIZELINEAR = {.infer = dynamic_infer, .lower = dynamic_lower};
