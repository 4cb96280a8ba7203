/* ops_lower.c: kernels under construction - their parameters, the fused chain, element-wise nests */
#include <assert.h>
#include <string.h>

#include "ops/ops_internal.h"

struct open_arg {
	struct lower_arg arg;
	struct lir_buffer *buffer;
	bool out;
};

struct op_open {
	VEC(struct open_arg) args;
};

void op_begin(struct op_lower *c, const char *suffix)
{
	assert(!c->open);
	c->open = ARENA_NEW(c->a, struct op_open);
	lir_begin(&c->b, c->a, *suffix ? arena_printf(c->a, "%s.%s", c->node->name, suffix) : c->node->name);
}

void op_end(struct op_lower *c)
{
	struct lowered_kernel k = {.func = lir_finish(&c->b)};

	k.arg = ARENA_ARRAY(c->a, struct lower_arg, k.func->nparams);
	for (uint32_t p = 0; p < k.func->nparams; p++)
		for (size_t i = 0; i < c->open->args.n; i++)
			if (c->open->args.v[i].buffer == k.func->param[p])
				k.arg[p] = c->open->args.v[i].arg;
	vec_push(c->a, &c->kernels, k);
	c->open = NULL;
	c->flat = false;
	c->groups = 0;
	c->lanes = 0;
}

static struct lir_buffer *find(struct op_lower *c, struct lower_arg arg)
{
	for (size_t i = 0; i < c->open->args.n; i++)
		if (c->open->args.v[i].arg.value == arg.value && c->open->args.v[i].arg.temp == arg.temp)
			return c->open->args.v[i].buffer;
	return NULL;
}

static struct lir_buffer *param(struct op_lower *c, struct lower_arg arg, const char *prefix, enum dtype t, int nd, const int64_t *dim, bool out)
{
	struct lir_buffer *known = find(c, arg);
	struct open_arg open = {.arg = arg, .out = out};
	int count = 0;

	if (known)
		return known;
	for (size_t i = 0; i < c->open->args.n; i++)
		count += c->open->args.v[i].out == out;
	open.buffer = lir_param(&c->b, arena_printf(c->a, "%s%d", prefix, count), t, nd, dim, out);
	vec_push(c->a, &c->open->args, open);
	return open.buffer;
}

/* As the open kernel sees them. */
static int stored_dims(const struct op_lower *c, const struct gir_value *v, int64_t dim[MAX_DIMS])
{
	int nd = gir_stored_dims(v, dim);

	if (c->groups && v->nd == 4) {
		int64_t split = v->dim[1] == 1 ? 1 : c->groups;

		memcpy(dim, (int64_t[]){v->dim[0], split, v->dim[1] / split, v->dim[2] * v->dim[3]}, 4 * sizeof *dim);
	}
	if (!c->flat || !v->block)
		return nd;
	for (int d = 3; d + 1 < nd; d++)
		dim[2] *= dim[d];
	dim[3] = v->block;
	return 4;
}

struct lir_buffer *op_value(struct op_lower *c, struct gir_value *v)
{
	int64_t dim[MAX_DIMS];
	int nd = stored_dims(c, v, dim);

	return param(c, (struct lower_arg){.value = v}, "in", v->dtype, nd, dim, false);
}

struct lir_buffer *op_view(struct op_lower *c, struct gir_value *v, int nd, const int64_t *dim)
{
	return param(c, (struct lower_arg){.value = v}, "in", v->dtype, nd, dim, false);
}

struct lir_buffer *op_in(struct op_lower *c, uint32_t i)
{
	return op_value(c, c->node->in[i]);
}

struct lir_buffer *op_out(struct op_lower *c, uint32_t i)
{
	struct gir_value *v = c->node->out[i];
	int64_t dim[MAX_DIMS];
	int nd = stored_dims(c, v, dim);

	return param(c, (struct lower_arg){.value = v}, "out", v->dtype, nd, dim, true);
}

struct lir_buffer *op_view_out(struct op_lower *c, uint32_t i, int nd, const int64_t *dim)
{
	struct gir_value *v = c->node->out[i];

	return param(c, (struct lower_arg){.value = v}, "out", v->dtype, nd, dim, true);
}

struct lower_temp *op_temp(struct op_lower *c, const char *name, enum dtype t, int nd, const int64_t *dim)
{
	struct lower_temp *p = ARENA_NEW(c->a, struct lower_temp);

	p->name = name;
	p->dtype = t;
	p->nd = nd;
	memcpy(p->dim, dim, (size_t)nd * sizeof *dim);
	p->id = (uint32_t)c->temps.n;
	vec_push(c->a, &c->temps, p);
	return p;
}

struct lower_temp *op_table(struct op_lower *c, const char *name, enum dtype t, int nd, const int64_t *dim, const void *data)
{
	struct lower_temp *p = op_temp(c, name, t, nd, dim);

	assert(data);
	p->data = data;
	return p;
}

struct lir_buffer *op_temp_out(struct op_lower *c, struct lower_temp *t)
{
	assert(!t->data);
	return param(c, (struct lower_arg){.temp = t}, "out", t->dtype, t->nd, t->dim, true);
}

struct lir_buffer *op_temp_in(struct op_lower *c, struct lower_temp *t)
{
	return param(c, (struct lower_arg){.temp = t}, "in", t->dtype, t->nd, t->dim, false);
}

struct lir_expr *op_imm_like(struct lir_builder *b, const struct lir_expr *x, double v)
{
	return lir_imm(b, x->type.dtype, v);
}

struct lir_buffer *op_operand(struct op_lower *c, struct gir_value *v)
{
	int64_t elements = 1;

	if (v->block || !c->node->out[0]->block)
		return op_value(c, v);
	dims_elements(v->dim, v->nd, &elements);
	return param(c, (struct lower_arg){.value = v}, "in", v->dtype, elements > 1, &elements, false);
}

struct lir_expr *op_load_broadcast(struct op_lower *c, struct gir_value *v, struct lir_expr *const *index, int nd, int lanes)
{
	struct lir_buffer *buf = op_operand(c, v);
	struct lir_expr *at[MAX_DIMS];

	if (c->node->out[0]->block && !v->block) { /* one for all, or one for each channel */
		at[0] = lir_add(&c->b, lir_mul(&c->b, index[1], lir_int(&c->b, lanes)), index[nd - 1]);
	} else {
		for (int d = 0; d < buf->nd; d++) {
			assert(buf->dim[d] == 1 || d >= buf->nd - nd);
			at[d] = buf->dim[d] == 1 ? lir_int(&c->b, 0) : index[nd - buf->nd + d];
		}
	}
	if (lanes == 1)
		return lir_load(&c->b, buf, at);
	if (!buf->nd || buf->dim[buf->nd - 1] == 1)
		return lir_broadcast(&c->b, lir_load(&c->b, buf, at), lanes);
	return lir_load_lanes(&c->b, buf, at, lanes);
}

/* What an element-wise operator computes. One of several steps computes f16 and bf16 in f32 and rounds once: 1 + exp(-x) and what
 * cancels would else lose most of their few bits. */
static struct lir_expr *scalar(struct op_lower *c, const struct gir_node *n, struct lir_expr **in)
{
	const struct op_impl *impl = op_impl(n->op);
	enum dtype t = n->in[0]->dtype;

	if (!impl->steps || (t != DT_F16 && t != DT_BF16))
		return impl->scalar(c, n, in);
	for (uint32_t i = 0; i < n->nin; i++)
		if (n->in[i])
			in[i] = lir_let(&c->b, "w", lir_cast(&c->b, DT_F32, in[i]));
	return lir_cast(&c->b, t, impl->scalar(c, n, in));
}

void op_store(struct op_lower *c, struct lir_expr *const *index, struct lir_expr *value)
{
	struct lir_buffer *out = op_out(c, 0);

	for (uint32_t k = 0; k < c->node->nfused; k++) {
		const struct gir_fused *f = &c->node->fused[k];
		struct lir_expr **in = ARENA_ARRAY(c->a, struct lir_expr *, f->node->nin);

		value = lir_let(&c->b, "v", value);
		for (uint32_t i = 0; i < f->node->nin; i++)
			if (i == f->slot)
				in[i] = value;
			else if (f->node->in[i])
				in[i] = op_load_broadcast(c, f->node->in[i], index, out->nd, value->type.lanes);
		value = scalar(c, f->node, in);
	}
	lir_store(&c->b, out, index, value);
}

static void store_element(struct op_lower *c, struct lir_expr *const *index, int nd, int lanes)
{
	struct lir_expr **in = ARENA_ARRAY(c->a, struct lir_expr *, c->node->nin);

	for (uint32_t i = 0; i < c->node->nin; i++)
		if (c->node->in[i])
			in[i] = lir_let(&c->b, "x", op_load_broadcast(c, c->node->in[i], index, nd, lanes));
	op_store(c, index, scalar(c, c->node, in));
}

bool op_all_f32(const struct gir_node *n)
{
	bool ok = true;

	for (uint32_t i = 0; i < n->nin; i++)
		ok = ok && (!n->in[i] || n->in[i]->dtype == DT_F32);
	for (uint32_t i = 0; i < n->nout; i++)
		ok = ok && (!n->out[i] || n->out[i]->dtype == DT_F32);
	for (uint32_t i = 0; i < n->nfused; i++)
		ok = ok && op_all_f32(n->fused[i].node);
	return ok;
}

/* A vector at a time along the last dimension, and what is left one by one. */
static void store_row(struct op_lower *c, struct lir_expr **index, int nd, int64_t n, int lanes)
{
	struct lir_expr *v = lir_int(&c->b, 0);

	if (n / lanes > 1)
		v = lir_for(&c->b, "v", n / lanes, LIR_SERIAL);
	index[nd - 1] = lir_mul(&c->b, v, lir_int(&c->b, lanes));
	store_element(c, index, nd, lanes);
	if (n / lanes > 1)
		lir_end(&c->b);
	if (n % lanes) {
		v = lir_for(&c->b, "t", n % lanes, LIR_SERIAL);
		index[nd - 1] = lir_add(&c->b, v, lir_int(&c->b, n / lanes * lanes));
		store_element(c, index, nd, 1);
		lir_end(&c->b);
	}
}

bool op_lower_elementwise(struct op_lower *c, struct err *e)
{
	int lanes = c->target->lanes > 1 && op_all_f32(c->node) ? c->target->lanes : 1;
	struct lir_buffer *out;
	struct lir_nest nest;

	(void)e;
	c->flat = c->node->out[0]->block;
	op_begin(c, "");
	for (uint32_t i = 0; i < c->node->nin; i++) /* parameters in the order of the inputs */
		if (c->node->in[i])
			op_operand(c, c->node->in[i]);
	out = op_out(c, 0);
	if (lanes > 1 && out->nd && out->dim[out->nd - 1] >= lanes) {
		struct lir_expr *index[MAX_DIMS];

		nest = lir_nest_over(&c->b, out->nd - 1, out->dim);
		memcpy(index, nest.index, sizeof index);
		store_row(c, index, out->nd, out->dim[out->nd - 1], lanes);
	} else {
		nest = lir_nest_over(&c->b, out->nd, out->dim);
		store_element(c, nest.index, out->nd, 1);
	}
	lir_nest_end(&c->b, &nest);
	op_end(c);
	return true;
}
