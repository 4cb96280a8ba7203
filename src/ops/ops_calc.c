/* ops_calc.c: what reductions, windows and normalisations share */
#include <math.h>
#include <string.h>

#include "ops/ops_tile.h"

#define B (&c->b)

bool op_check_type(struct op_infer *c, uint32_t i, uint32_t types, struct err *e)
{
	struct gir_value *v = op_arg(c->node, i);

	if (!v || (types >> v->dtype & 1))
		return true;
	return err_set(e, ERR_UNSUPPORTED, "input %u has type %s, which is not supported", i, dtype_name(v->dtype));
}

bool op_check_same_type(struct op_infer *c, uint32_t i, struct err *e)
{
	struct gir_value *v = op_arg(c->node, i);

	if (!v || v->dtype == c->node->in[0]->dtype)
		return true;
	return err_set(e, ERR_PARSE, "input %u has type %s, but input 0 has %s", i, dtype_name(v->dtype),
		       dtype_name(c->node->in[0]->dtype));
}

bool op_check_rank(struct op_infer *c, uint32_t i, int low, int high, struct err *e)
{
	struct gir_value *v = op_arg(c->node, i);

	if (!v || (v->nd >= low && v->nd <= high))
		return true;
	return err_set(e, ERR_PARSE, "input %u has %d dimensions, expected %d to %d", i, v->nd, low, high);
}

bool op_check_dims(struct op_infer *c, uint32_t i, int nd, const int64_t *dim, struct err *e)
{
	struct gir_value *v = op_arg(c->node, i);

	if (!v || (v->nd == nd && !memcmp(v->dim, dim, (size_t)nd * sizeof *dim)))
		return true;
	return err_set(e, ERR_PARSE, "input %u has shape %s, expected %s", i, dims_text(c->a, v->dim, v->nd),
		       dims_text(c->a, dim, nd));
}

bool op_check_scalar_or(struct op_infer *c, uint32_t i, int64_t n, struct err *e)
{
	struct gir_value *v = op_arg(c->node, i);
	int64_t count;

	if (!v || (dims_elements(v->dim, v->nd, &count) && (count == 1 || (n > 0 && v->nd == 1 && count == n))))
		return true;
	return err_set(e, ERR_PARSE, "input %u has shape %s, expected one number%s", i, dims_text(c->a, v->dim, v->nd),
		       n > 0 ? " or one for each channel" : "");
}

bool op_attr_ints(const struct gir_node *n, const char *name, int count, int64_t low, int64_t high, int64_t otherwise, int64_t *out,
		  struct err *e)
{
	const struct gir_attr *a = gir_attr(n, name);

	for (int i = 0; i < count; i++)
		out[i] = otherwise;
	if (!a)
		return true;
	if (a->kind != GIR_ATTR_INTS || a->n != (size_t)count)
		return err_set(e, ERR_PARSE, "attribute '%s' must be a list of %d integers", name, count);
	for (int i = 0; i < count; i++) {
		if (a->ints[i] < low || a->ints[i] > high)
			return err_set(e, ERR_PARSE, "attribute '%s' has the value %lld, expected %lld to %lld", name,
				       (long long)a->ints[i], (long long)low, (long long)high);
		out[i] = a->ints[i];
	}
	return true;
}

const struct tensor *op_known(const struct gir_value *v)
{
	if (!v)
		return NULL;
	return v->data ? v->data : v->known;
}

const struct tensor *op_infer_known(void *user, struct gir_value *v)
{
	return op_known(v);
}

enum dtype op_acc_type(enum dtype t)
{
	if (t == DT_BOOL)
		return DT_U8;
	return t == DT_F16 || t == DT_BF16 ? DT_F32 : t;
}

enum dtype op_real_type(enum dtype t)
{
	return dtype_is_float(t) && t != DT_F64 ? DT_F32 : DT_F64;
}

struct lir_expr *op_lowest(struct op_lower *c, enum dtype t)
{
	int bits = (int)dtype_size(t) * 8;

	if (dtype_is_float(t))
		return lir_imm(B, t, -INFINITY);
	return lir_imm_i64(B, t, dtype_is_signed(t) ? (int64_t)(UINT64_MAX << (bits - 1)) : 0);
}

struct lir_expr *op_highest(struct op_lower *c, enum dtype t)
{
	int bits = (int)dtype_size(t) * 8;

	if (dtype_is_float(t))
		return lir_imm(B, t, INFINITY);
	return lir_imm_i64(B, t, (int64_t)(UINT64_MAX >> (64 - bits + dtype_is_signed(t))));
}

struct lir_expr *op_load_as(struct op_lower *c, struct lir_buffer *buf, struct lir_expr *const *index, enum dtype t)
{
	return lir_cast(B, t, c->lanes > 1 ? lir_load_lanes(B, buf, index, c->lanes) : lir_load(B, buf, index));
}

struct lir_expr *op_load_scalar_or(struct op_lower *c, struct lir_buffer *buf, struct lir_expr *i, enum dtype t)
{
	struct lir_expr *at[MAX_DIMS];

	for (int d = 0; d < buf->nd; d++)
		at[d] = i && buf->dim[d] > 1 ? i : lir_int(B, 0);
	return op_load_as(c, buf, at, t);
}

struct lir_expr *op_abs(struct op_lower *c, struct lir_expr *x)
{
	enum dtype t = x->type.dtype;

	if (dtype_is_float(t))
		return lir_call1(B, LIR_CALL_ABS, x);
	if (!dtype_is_signed(t))
		return x;
	x = op_let(c, "x", x);
	return lir_select(B, lir_lt(B, x, lir_imm(B, t, 0)), lir_sub(B, lir_imm(B, t, 0), x), x);
}

struct lir_expr *op_quantize(struct op_lower *c, struct lir_expr *v, struct lir_expr *zero, enum dtype t)
{
	double low = dtype_is_signed(t) ? (t == DT_I8 ? -128 : -32768) : 0;
	double high = low + (dtype_size(t) == 1 ? 255 : 65535);
	struct lir_expr *q = lir_add(B, lir_call1(B, LIR_CALL_RINT, v), zero);

	/* In this order NaN gives the highest value: the conversion never sees one. */
	q = lir_max(B, lir_min(B, q, lir_imm(B, DT_F32, high)), lir_imm(B, DT_F32, low));
	return lir_cast(B, t, q);
}

struct lir_buffer *op_acc(struct op_lower *c, const char *name, struct lir_expr *init)
{
	struct lir_buffer *acc = lir_alloc(B, name, init->type.dtype, 1, (const int64_t[]){c->lanes > 1 ? c->lanes : 1});

	op_acc_set(c, acc, init);
	return acc;
}

struct lir_expr *op_acc_get(struct op_lower *c, struct lir_buffer *acc)
{
	struct lir_expr *zero = lir_int(B, 0);

	return acc->dim[0] > 1 ? lir_load_lanes(B, acc, &zero, (int)acc->dim[0]) : lir_load(B, acc, &zero);
}

void op_acc_set(struct op_lower *c, struct lir_buffer *acc, struct lir_expr *v)
{
	struct lir_expr *zero = lir_int(B, 0);

	lir_store(B, acc, &zero, lir_broadcast(B, v, (int)acc->dim[0]));
}

void op_acc_add(struct op_lower *c, struct lir_buffer *acc, struct lir_expr *v)
{
	op_acc_set(c, acc, lir_add(B, op_acc_get(c, acc), v));
}

struct op_space op_space_of(const struct op_lower *c, const struct lir_buffer *buf)
{
	struct op_space s = {.nd = buf->nd - (c->lanes > 1)};

	memcpy(s.dim, buf->dim, sizeof s.dim);
	return s;
}

int64_t op_space_inner(const struct op_space *s)
{
	int64_t n = 1;

	for (int d = 0; d < s->nd; d++)
		if (s->inner[d])
			n *= s->dim[d];
	return n;
}

void op_outer_begin(struct op_lower *c, struct op_space *s)
{
	int64_t dim[MAX_DIMS] = {0};
	int nd = 0;

	for (int d = 0; d < s->nd; d++)
		if (!s->inner[d])
			dim[nd++] = s->dim[d];
	s->nest = lir_nest_over(B, nd, dim);
	nd = 0;
	for (int d = 0; d < s->nd; d++)
		s->index[d] = s->inner[d] ? NULL : s->nest.index[nd++];
	s->index[s->nd] = lir_int(B, 0); /* of a block's first lane */
}

void op_outer_end(struct op_lower *c, struct op_space *s)
{
	lir_nest_end(B, &s->nest);
}

void op_inner_begin(struct op_lower *c, struct op_space *s)
{
	for (int d = 0; d < s->nd; d++)
		if (s->inner[d])
			s->index[d] = lir_for(B, "r", s->dim[d], LIR_SERIAL);
}

void op_inner_end(struct op_lower *c, struct op_space *s)
{
	for (int d = 0; d < s->nd; d++)
		if (s->inner[d])
			lir_end(B);
}

struct lir_expr *op_inner_number(struct op_lower *c, const struct op_space *s)
{
	struct lir_expr *x = lir_int(B, 0);

	for (int d = 0; d < s->nd; d++)
		if (s->inner[d])
			x = lir_add(B, lir_mul(B, x, lir_int(B, s->dim[d])), s->index[d]);
	return x;
}

/* ---- rows ---- */

void op_pieces(struct op_lower *c, int lanes, int64_t n, void (*body)(struct op_lower *c, void *user, struct lir_expr *at, int lanes), void *user)
{
	for (int64_t done = 0; done < n; lanes = lanes > 4 ? lanes / 2 : 1) {
		int64_t count = (n - done) / lanes;
		struct lir_expr *at;

		if (!count)
			continue;
		at = op_loop(c, lanes > 1 ? "v" : "t", count, LIR_SERIAL);
		body(c, user, lir_add(B, lir_mul(B, at, lir_int(B, lanes)), lir_int(B, done)), lanes);
		op_loop_end(c, at);
		done += count * lanes;
	}
}

struct copy {
	struct lir_buffer *out, *in;
	struct lir_expr *const *to, *const *from;
};

static void copy(struct op_lower *c, void *user, struct lir_expr *at, int lanes)
{
	const struct copy *p = user;
	struct lir_expr *to[MAX_DIMS], *from[MAX_DIMS];

	memcpy(to, p->to, (size_t)p->out->nd * sizeof *to);
	memcpy(from, p->from, (size_t)p->in->nd * sizeof *from);
	to[p->out->nd - 1] = lir_add(B, to[p->out->nd - 1], at);
	from[p->in->nd - 1] = lir_add(B, from[p->in->nd - 1], at);
	lir_store(B, p->out, to, lanes > 1 ? lir_load_lanes(B, p->in, from, lanes) : lir_load(B, p->in, from));
}

void op_copy_row(struct op_lower *c, struct lir_buffer *out, struct lir_expr *const *to, struct lir_buffer *in, struct lir_expr *const *from, int64_t n)
{
	struct copy p = {.out = out, .in = in, .to = to, .from = from};

	op_pieces(c, out->dtype == DT_F32 ? c->target->lanes : 1, n, copy, &p);
}

bool op_row_vectors(const struct op_lower *c, const struct op_space *s)
{
	for (int d = 0; d < s->nd - 1; d++)
		if (s->inner[d])
			return false;
	return s->nd && s->inner[s->nd - 1] && c->target->lanes > 1 && s->dim[s->nd - 1] >= c->target->lanes && op_all_f32(c->node);
}

/* Opens the loop over whole vectors of the row, or over the elements behind them; false when there are none. */
static bool row_begin(struct op_lower *c, struct op_space *s, bool vectors)
{
	int64_t n = s->dim[s->nd - 1], lanes = c->target->lanes, whole = n / lanes;
	struct lir_expr *at;

	if (!vectors && n % lanes == 0)
		return false;
	at = lir_for(B, vectors ? "v" : "t", vectors ? whole : n % lanes, LIR_SERIAL);
	s->index[s->nd - 1] = vectors ? lir_mul(B, at, lir_int(B, lanes)) : lir_add(B, at, lir_int(B, whole * lanes));
	c->lanes = vectors ? (int)lanes : 0;
	return true;
}

static void row_end(struct op_lower *c)
{
	c->lanes = 0;
	lir_end(B);
}

void op_row_each(struct op_lower *c, struct op_space *s, void (*body)(struct op_lower *c, struct op_space *s, void *user),
		 void *user)
{
	for (int vectors = 1; vectors >= 0; vectors--)
		if (row_begin(c, s, vectors)) {
			body(c, s, user);
			row_end(c);
		}
}

struct lir_expr *op_fold_lanes(struct op_lower *c, enum lir_op op, struct lir_expr *all, int first, int n)
{
	if (n == 1)
		return lir_lane(B, all, first);
	return lir_binary(B, op, op_fold_lanes(c, op, all, first, n / 2), op_fold_lanes(c, op, all, first + n / 2, n - n / 2));
}

struct lir_expr *op_row_fold(struct op_lower *c, struct op_space *s, const char *name, enum lir_op op, struct lir_expr *init,
			     struct lir_expr *(*term)(struct op_lower *c, struct op_space *s, void *user), void *user)
{
	struct lir_buffer *many, *one;
	struct lir_expr *all;

	c->lanes = c->target->lanes;
	many = op_acc(c, name, init);
	row_begin(c, s, true);
	op_acc_set(c, many, lir_binary(B, op, op_acc_get(c, many), term(c, s, user)));
	row_end(c);
	all = op_let(c, "all", op_acc_get(c, many));
	one = op_acc(c, name, op_fold_lanes(c, op, all, 0, c->target->lanes));
	if (row_begin(c, s, false)) {
		op_acc_set(c, one, lir_binary(B, op, op_acc_get(c, one), term(c, s, user)));
		row_end(c);
	}
	return op_let(c, name, op_acc_get(c, one));
}
