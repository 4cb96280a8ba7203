/* op_resize.c: Resize and Upsample - images of another size; positions and weights are tables, the clamps stand in the loops */
#include <math.h>
#include <string.h>

#include "ops/ops_calc.h"
#include "ops/ops_resample.h"

#define B (&c->b)

enum policy { STRETCH, NOT_LARGER, NOT_SMALLER };

struct resize {
	struct resample_rule rule;
	struct resample_dim dim[MAX_DIMS];
	enum policy policy;
	float extrapolation;
	int naxes, axis[MAX_DIMS]; /* what scales, sizes and the region of interest speak of */
};

/* ---- attributes and constant inputs ---- */

/* The place of the attribute's text in the list. */
static bool choose(const struct gir_node *n, const char *name, const char *otherwise, const char *const *list, int count, int *out,
		   struct err *e)
{
	const char *s = gir_attr_string(n, name, otherwise);

	for (*out = 0; *out < count; ++*out)
		if (!strcmp(s, list[*out]))
			return true;
	return err_set(e, ERR_PARSE, "%s '%s'", name, s);
}

#define CHOOSE(name, otherwise, list, out) choose(n, (name), (otherwise), (list), (int)(sizeof(list) / sizeof *(list)), (out), e)

static bool read_rule(const struct gir_node *n, int opset, struct resample_rule *r, struct err *e)
{
	static const char *const filters[] = {"nearest", "linear", "cubic"};
	static const char *const transforms[] = {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners",
						 "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize"};
	static const char *const rounding[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
	int filter, transform = RESAMPLE_ASYMMETRIC, nearest = RESAMPLE_OLD;

	if (!CHOOSE("mode", "nearest", filters, &filter))
		return false;
	if (opset > 10 && (!CHOOSE("coordinate_transformation_mode", "half_pixel", transforms, &transform) ||
			   !CHOOSE("nearest_mode", "round_prefer_floor", rounding, &nearest)))
		return false;
	*r = (struct resample_rule){.filter = filter, .transform = transform, .nearest = nearest};
	r->antialias = OP_INT(n, "antialias", 0) != 0;
	r->exclude_outside = OP_INT(n, "exclude_outside", 0) != 0;
	r->cubic_a = OP_FLOAT(n, "cubic_coeff_a", -0.75f);
	if (!(fabsf(r->cubic_a) < 1e6f))
		return err_set(e, ERR_PARSE, "cubic_coeff_a %g", (double)r->cubic_a);
	if (r->antialias && filter == RESAMPLE_NEAREST)
		return err_set(e, ERR_PARSE, "mode 'nearest' has no antialiasing");
	return true;
}

static bool read_axes(const struct gir_node *n, struct resize *r, struct err *e)
{
	const struct gir_attr *attr = gir_attr(n, "axes");
	bool seen[MAX_DIMS] = {false};
	int rank = n->in[0]->nd;

	r->naxes = attr ? (int)attr->n : rank;
	if (attr && (attr->kind != GIR_ATTR_INTS || attr->n > (size_t)rank))
		return err_set(e, ERR_PARSE, "'axes' must be at most %d integers", rank);
	for (int i = 0; i < r->naxes; i++) {
		if (!op_axis(attr ? attr->ints[i] : i, rank, &r->axis[i], e))
			return false;
		if (seen[r->axis[i]])
			return err_set(e, ERR_PARSE, "axis %d twice", r->axis[i]);
		seen[r->axis[i]] = true;
	}
	return true;
}

/* The constant of input i as `count` numbers; NULL when it is left out or empty. */
static bool numbers(const struct gir_node *n, uint32_t i, const char *what, int count, const struct tensor **out, struct err *e)
{
	const struct gir_value *v = op_arg(n, i);
	const struct tensor *t = op_known(v);

	*out = NULL;
	if (!v || (v->nd == 1 && !v->dim[0]))
		return true;
	if (!t)
		return err_set(e, ERR_UNSUPPORTED, "the %s (input %u, '%s') decide a shape but are not a constant", what, i,
			       v->name);
	if (t->nd != 1 || t->dim[0] != count)
		return err_set(e, ERR_PARSE, "%lld %s, expected %d", (long long)tensor_elements(t), what, count);
	*out = t;
	return true;
}

static bool check_scale(float s, float least, struct err *e)
{
	return (isfinite(s) && s >= least && s > 0) || err_set(e, ERR_PARSE, "scale %g", (double)s);
}

/* Dims of the output are rounded down; the product is f32, so that 10 by 0.7f makes 7. */
static bool apply_scales(struct resize *r, const float *scale, float least, struct err *e)
{
	for (int i = 0; i < r->naxes; i++) {
		struct resample_dim *d = &r->dim[r->axis[i]];

		if (!check_scale(scale[i], least, e))
			return false;
		d->scale = scale[i];
		d->length = d->scale * (float)d->in;
		if (d->length > 0x1p40f)
			return err_set(e, ERR_PARSE, "scale %g", (double)d->scale);
		d->out = (int64_t)d->length;
	}
	return true;
}

static bool apply_sizes(struct resize *r, const struct tensor *sizes, struct err *e)
{
	float common = 0;

	for (int i = 0; i < r->naxes; i++) {
		struct resample_dim *d = &r->dim[r->axis[i]];

		d->out = tensor_get_i64(sizes, i);
		if (d->out < 0 || d->out > MAX_ELEMENTS || (d->out && !d->in))
			return err_set(e, ERR_PARSE, "size %lld for dimension %d of %lld", (long long)d->out, r->axis[i],
				       (long long)d->in);
		d->length = (float)d->out;
		d->scale = d->in ? d->length / (float)d->in : 1;
		if (!i || (r->policy == NOT_LARGER ? d->scale < common : d->scale > common))
			common = d->scale;
	}
	for (int i = 0; i < r->naxes && r->policy != STRETCH; i++) {
		struct resample_dim *d = &r->dim[r->axis[i]];

		d->scale = common;
		d->length = common * (float)d->in;
		if (d->length > 0x1p40f)
			return err_set(e, ERR_PARSE, "absurd sizes");
		d->out = (int64_t)floor((double)d->length + 0.5);
	}
	return true;
}

static bool apply_region(const struct gir_node *n, struct resize *r, struct err *e)
{
	const struct tensor *roi;

	if (r->rule.transform != RESAMPLE_TF_CROP_AND_RESIZE)
		return true;
	if (!numbers(n, 1, "region of interest", 2 * r->naxes, &roi, e))
		return false;
	if (!roi || !dtype_is_float(roi->dtype))
		return err_set(e, ERR_PARSE, "tf_crop_and_resize without a region of interest");
	for (int i = 0; i < r->naxes; i++) {
		struct resample_dim *d = &r->dim[r->axis[i]];

		d->start = (float)tensor_get_f64(roi, i);
		d->end = (float)tensor_get_f64(roi, i + r->naxes);
		if (!isfinite(d->start) || !isfinite(d->end))
			return err_set(e, ERR_PARSE, "a region of interest that is not finite");
	}
	return true;
}

static bool read_inputs(const struct gir_node *n, int opset, struct resize *r, struct err *e)
{
	const struct tensor *scales, *sizes = NULL;
	float list[MAX_DIMS];

	if (!numbers(n, opset > 10 ? 2 : 1, "scales", r->naxes, &scales, e) ||
	    (opset > 10 && !numbers(n, 3, "sizes", r->naxes, &sizes, e)))
		return false;
	if (!scales == !sizes)
		return err_set(e, ERR_PARSE, "%s",
			       scales ? "both scales and sizes are given" : "neither scales nor sizes are given");
	if (sizes)
		return dtype_is_int(sizes->dtype) ? apply_sizes(r, sizes, e)
						  : err_set(e, ERR_PARSE, "sizes of type %s", dtype_name(sizes->dtype));
	if (!dtype_is_float(scales->dtype))
		return err_set(e, ERR_PARSE, "scales of type %s", dtype_name(scales->dtype));
	for (int i = 0; i < r->naxes; i++)
		list[i] = (float)tensor_get_f64(scales, i);
	return apply_scales(r, list, 0, e);
}

static void clear(const struct gir_node *n, struct resize *r)
{
	*r = (struct resize){0};
	for (int d = 0; d < n->in[0]->nd; d++)
		r->dim[d] = (struct resample_dim){
		    .in = n->in[0]->dim[d], .out = n->in[0]->dim[d], .scale = 1, .length = (float)n->in[0]->dim[d], .end = 1};
}

static bool read_resize(const struct gir_node *n, int opset, struct resize *r, struct err *e)
{
	static const char *const policies[] = {"stretch", "not_larger", "not_smaller"};
	int policy;

	clear(n, r);
	if (!read_rule(n, opset, &r->rule, e) || !read_axes(n, r, e) ||
	    !CHOOSE("keep_aspect_ratio_policy", "stretch", policies, &policy))
		return false;
	r->policy = policy;
	r->extrapolation = OP_FLOAT(n, "extrapolation_value", 0);
	return read_inputs(n, opset, r, e) && apply_region(n, r, e);
}

/* Upsample: scales of at least 1 for all dims, an attribute in opset 7, then an input. */
static bool read_upsample(const struct gir_node *n, int opset, struct resize *r, struct err *e)
{
	const struct gir_attr *attr = gir_attr(n, "scales");
	const struct tensor *scales;
	float list[MAX_DIMS];

	clear(n, r);
	if (opset < 7)
		return err_set(e, ERR_UNSUPPORTED, "opset %d", opset);
	if (!read_rule(n, opset, &r->rule, e) || !read_axes(n, r, e) || !numbers(n, 1, "scales", r->naxes, &scales, e))
		return false;
	if (r->rule.filter == RESAMPLE_CUBIC)
		return err_set(e, ERR_PARSE, "mode 'cubic'");
	if (scales) {
		for (int i = 0; i < r->naxes; i++)
			list[i] = (float)tensor_get_f64(scales, i);
		return apply_scales(r, list, 1, e);
	}
	if (!attr || attr->kind != GIR_ATTR_FLOATS || attr->n != (size_t)r->naxes)
		return err_set(e, ERR_PARSE, "no scales for the %d dimensions", r->naxes);
	return apply_scales(r, attr->floats, 1, e);
}

static bool read_node(const struct gir_node *n, int opset, struct resize *r, struct err *e)
{
	return n->op == GIR_RESIZE ? read_resize(n, opset, r, e) : read_upsample(n, opset, r, e);
}

/* ---- inference ---- */

static bool changes(const struct resize *r, int d)
{
	return r->dim[d].in != r->dim[d].out || r->dim[d].scale != 1 || r->rule.transform == RESAMPLE_TF_CROP_AND_RESIZE;
}

static bool infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	int64_t dim[MAX_DIMS];
	struct resize r;

	if (!read_node(c->node, c->opset, &r, e))
		return false;
	if (r.rule.filter != RESAMPLE_NEAREST &&
	    !op_check_type(c, 0, TYPES_FLOAT | TYPES_NARROW_INT | TYPE_BIT(I32) | TYPE_BIT(U32), e))
		return false;
	for (int d = 0; d < x->nd; d++) {
		dim[d] = r.dim[d].out;
		if (changes(&r, d) && (r.dim[d].in > RESAMPLE_MAX_DIM || dim[d] > RESAMPLE_MAX_DIM))
			return err_set(e, ERR_UNSUPPORTED, "dimension %d goes from %lld to %lld, at most %lld is supported", d,
				       (long long)r.dim[d].in, (long long)dim[d], (long long)RESAMPLE_MAX_DIM);
	}
	return op_set_out(c, 0, x->dtype, x->nd, dim, e);
}

/* ---- lowering ---- */

struct sampler {
	struct lir_buffer *in;
	int64_t taps[MAX_DIMS]; /* 0: the dim stays as it is */
	struct lir_buffer *first[MAX_DIMS], *weight[MAX_DIMS];
	struct lir_expr *const *index, *at[MAX_DIMS]; /* of the output, of the input */
	enum dtype wide;
};

static struct lir_expr *clamp_index(struct op_lower *c, struct lir_expr *i, int64_t size)
{
	return op_let(c, "at", lir_max(B, lir_min(B, i, lir_int(B, size - 1)), lir_int(B, 0)));
}

/* The weighted sum over the dims from d on. */
static struct lir_expr *sample(struct op_lower *c, struct sampler *s, int d)
{
	struct lir_expr *first, *t, *x;
	struct lir_buffer *sum;

	if (d == s->in->nd)
		return lir_cast(B, s->wide, lir_load(B, s->in, s->at));
	s->at[d] = s->index[d];
	if (!s->taps[d])
		return sample(c, s, d + 1);
	first = op_let(c, "first", lir_cast(B, DT_I64, lir_load(B, s->first[d], &s->index[d])));
	if (s->taps[d] == 1) {
		s->at[d] = clamp_index(c, first, s->in->dim[d]);
		return sample(c, s, d + 1);
	}
	sum = op_acc(c, "sum", lir_imm(B, s->wide, 0));
	t = lir_for(B, "t", s->taps[d], s->taps[d] <= 4 ? LIR_UNROLLED : LIR_SERIAL);
	s->at[d] = clamp_index(c, lir_add(B, first, t), s->in->dim[d]);
	x = sample(c, s, d + 1);
	op_acc_add(c, sum, lir_mul(B, x, lir_cast(B, s->wide, lir_load(B, s->weight[d], (struct lir_expr *[]){s->index[d], t}))));
	lir_end(B);
	return op_acc_get(c, sum);
}

/* Integers are rounded half to even and clamped. */
static struct lir_expr *narrow(struct op_lower *c, struct lir_expr *x, enum dtype t)
{
	int bits = (int)dtype_size(t) * 8;

	if (dtype_is_float(t) || x->type.dtype == t)
		return lir_cast(B, t, x);
	x = lir_call1(B, LIR_CALL_RINT, x);
	x = lir_min(B, x, op_imm_like(B, x, dtype_is_signed(t) ? ldexp(1, bits - 1) - 1 : ldexp(1, bits) - 1));
	return lir_cast(B, t, lir_max(B, x, op_imm_like(B, x, dtype_is_signed(t) ? -ldexp(1, bits - 1) : 0)));
}

static struct lir_expr *constant(struct op_lower *c, double v, enum dtype t)
{
	int bits = (int)dtype_size(t) * 8;

	if (dtype_is_int(t))
		v = fmin(fmax(rint(v), dtype_is_signed(t) ? -ldexp(1, bits - 1) : 0), ldexp(1, bits - dtype_is_signed(t)) - 1);
	return lir_imm(B, t, v);
}

/* Makes the tables of dim d; `inside` collects the condition that the output lies in the input at all. */
static void tables(struct op_lower *c, const struct resize *r, int d, struct sampler *s, struct lir_expr **inside)
{
	struct resample table;
	struct lir_expr *x;

	if (!r->dim[d].out || !changes(r, d) || !resample_dim(c->a, &r->rule, &r->dim[d], &table))
		return;
	s->taps[d] = table.taps;
	s->first[d] = op_temp_in(c, op_table(c, arena_printf(c->a, "first%d", d), DT_I32, 1, &r->dim[d].out, table.first));
	if (table.weight)
		s->weight[d] = op_temp_in(c, op_table(c, arena_printf(c->a, "weight%d", d), DT_F32, 2,
						      (const int64_t[]){r->dim[d].out, table.taps}, table.weight));
	if (table.from == 0 && table.to == r->dim[d].out)
		return;
	x = lir_and(B, lir_ge(B, s->index[d], lir_int(B, table.from)), lir_lt(B, s->index[d], lir_int(B, table.to)));
	*inside = *inside ? lir_and(B, *inside, x) : x;
}

static bool lower(struct op_lower *c, struct err *e)
{
	struct lir_expr *inside = NULL, *x;
	struct sampler s = {0};
	struct lir_buffer *out;
	struct lir_nest nest;
	enum dtype t;
	struct resize r;

	if (!read_node(c->node, c->opset, &r, e))
		return false;
	op_begin(c, "");
	s.in = op_in(c, 0);
	out = op_out(c, 0);
	t = s.in->dtype;
	s.wide = r.rule.filter == RESAMPLE_NEAREST                ? t
		 : TYPES_NARROW_INT >> t & 1 || dtype_is_float(t) ? op_acc_type(dtype_is_float(t) ? t : DT_F32)
								  : DT_F64;
	nest = lir_nest_over(B, out->nd, out->dim);
	s.index = nest.index;
	for (int d = 0; d < out->nd; d++)
		tables(c, &r, d, &s, &inside);
	x = narrow(c, sample(c, &s, 0), t);
	if (inside)
		x = lir_select(B, inside, x, constant(c, (double)r.extrapolation, t));
	lir_store(B, out, nest.index, x);
	lir_nest_end(B, &nest);
	op_end(c);
	return true;
}

const struct op_impl op_RESIZE = {.infer = infer, .lower = lower};
const struct op_impl op_UPSAMPLE = {.infer = infer, .lower = lower};
