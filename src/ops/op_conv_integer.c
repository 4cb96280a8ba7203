/* op_conv_integer.c: ConvInteger and QLinearConv - convolutions of bytes, summed in i32
 *
 * Padding stands for the zero point, so that a padded tap adds nothing.
 */
#include "ops/ops_conv.h"

#define B (&c->b)

/* Where the two operators keep their inputs. */
struct places {
	uint32_t x, w, x_zero, w_zero;
};
static const struct places integer_places = {0, 1, 2, 3}, linear_places = {0, 3, 2, 5};

static bool check(struct op_infer *c, const struct places *p, struct op_conv *v, struct err *e)
{
	struct gir_value *x = c->node->in[p->x], *w = c->node->in[p->w];

	if (!op_check_type(c, p->x, TYPES_BYTE, e) || !op_check_type(c, p->w, TYPES_BYTE, e) ||
	    !op_check_type(c, p->x_zero, TYPES_BYTE, e) || !op_check_type(c, p->w_zero, TYPES_BYTE, e))
		return false;
	return op_conv_read(c->node, x, w, v, e) && op_check_scalar_or(c, p->x_zero, 0, e) &&
	       op_check_scalar_or(c, p->w_zero, w->dim[0], e);
}

static bool integer_infer(struct op_infer *c, struct err *e)
{
	struct op_conv v;

	return check(c, &integer_places, &v, e) && op_conv_set_out(c, &v, DT_I32, e);
}

static bool linear_infer(struct op_infer *c, struct err *e)
{
	struct gir_value *const *in = c->node->in;
	struct op_conv v;

	return check(c, &linear_places, &v, e) && op_check_type(c, 1, TYPES_FLOAT, e) && op_check_type(c, 4, TYPES_FLOAT, e) &&
	       op_check_type(c, 6, TYPES_FLOAT, e) && op_check_type(c, 7, TYPES_BYTE, e) && op_check_type(c, 8, TYPE_BIT(I32), e) &&
	       op_check_scalar_or(c, 1, 0, e) && op_check_scalar_or(c, 4, in[3]->dim[0], e) && op_check_scalar_or(c, 6, 0, e) &&
	       op_check_scalar_or(c, 7, 0, e) && op_check_dims(c, 8, 1, &in[3]->dim[0], e) &&
	       op_conv_set_out(c, &v, in[7]->dtype, e);
}

/* The zero point in i32, or NULL when it is left out. */
static struct lir_expr *zero_point(struct op_lower *c, uint32_t i, struct lir_expr *channel, const char *name)
{
	return op_arg(c->node, i) ? op_let(c, name, op_load_scalar_or(c, op_in(c, i), channel, DT_I32)) : NULL;
}

/* All inputs become parameters before the output, in their order. */
static void declare_inputs(struct op_lower *c)
{
	for (uint32_t i = 0; i < c->node->nin; i++)
		if (c->node->in[i])
			op_in(c, i);
}

static bool lower_bytes(struct op_lower *c, const struct places *p, bool linear, struct err *e)
{
	struct gir_value *const *in = c->node->in;
	struct lir_expr *x_zero, *w_zero, *scale, *v;
	struct lir_buffer *acc;
	struct op_conv conv;
	struct op_space s;

	if (!op_conv_read(c->node, in[p->x], in[p->w], &conv, e))
		return false;
	op_begin(c, "");
	declare_inputs(c);
	s = op_space_of(c, op_out(c, 0));
	op_outer_begin(c, &s);
	x_zero = zero_point(c, p->x_zero, NULL, "x_zero");
	w_zero = zero_point(c, p->w_zero, s.index[1], "w_zero");
	acc = op_acc(c, "acc", op_arg(c->node, 8) ? lir_load(B, op_in(c, 8), s.index + 1) : lir_imm(B, DT_I32, 0));
	op_conv_sum(c, &conv, op_in(c, p->x), x_zero, op_in(c, p->w), w_zero, s.index, acc);
	v = op_acc_get(c, acc);
	if (linear) {
		scale = lir_mul(B, op_load_scalar_or(c, op_in(c, 1), NULL, DT_F32),
				op_load_scalar_or(c, op_in(c, 4), s.index[1], DT_F32));
		scale = lir_div(B, scale, op_load_scalar_or(c, op_in(c, 6), NULL, DT_F32));
		v = op_quantize(c, lir_mul(B, lir_cast(B, DT_F32, v), scale), op_load_scalar_or(c, op_in(c, 7), NULL, DT_F32),
				in[7]->dtype);
	}
	op_store(c, s.index, v);
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

static bool integer_lower(struct op_lower *c, struct err *e)
{
	return lower_bytes(c, &integer_places, false, e);
}

static bool linear_lower(struct op_lower *c, struct err *e)
{
	return lower_bytes(c, &linear_places, true, e);
}

const struct op_impl op_CONVINTEGER = {.infer = integer_infer, .lower = integer_lower};
const struct op_impl op_QLINEARCONV = {.infer = linear_infer, .lower = linear_lower};
