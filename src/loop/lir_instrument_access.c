/* lir_instrument_access.c: checks of loads and stores: indices, views, elements nobody has written */
#include <assert.h>

#include "loop/lir_instrument_internal.h"

static size_t count_loads(const struct lir_expr *x)
{
	size_t count = x->kind == LIR_LOAD;

	for (uint32_t i = 0; i < x->nargs; i++)
		count += count_loads(x->arg[i]);
	return count;
}

static struct lir_expr *outside(struct ins *n, struct lir_expr *i, int64_t size)
{
	return lir_or(B, lir_lt(B, i, lir_int(B, 0)), lir_ge(B, i, lir_int(B, size)));
}

static struct lir_expr *both(struct ins *n, struct lir_expr *x, struct lir_expr *y)
{
	return x ? lir_and(B, x, y) : y;
}

/* The last lane's index. */
static struct lir_expr *last_lane(struct ins *n, const struct lir_expr *ramp)
{
	return lir_add(B, ramp->arg[0], lir_int(B, ramp->i * (ramp->type.lanes - 1)));
}

/* Of a ramp that leaves: the index of the first lane that does. */
static struct lir_expr *first_outside(struct ins *n, const struct lir_expr *ramp, int64_t size)
{
	struct lir_expr *first = ramp->arg[0], *step = lir_int(B, ramp->i < 0 ? -ramp->i : ramp->i), *lane;

	if (!ramp->i)
		return first;
	if (ramp->i > 0)
		lane = lir_div(B, lir_add(B, lir_sub(B, lir_int(B, size), first), lir_int(B, ramp->i - 1)), step);
	else
		lane = lir_add(B, lir_div(B, first, step), lir_int(B, 1));
	return lir_select(B, outside(n, first, size), first, lir_add(B, first, lir_mul(B, lane, lir_int(B, ramp->i))));
}

/* Checks one index; *ok: what must hold for the access to be performed. */
static void check_index(struct ins *n, const struct lir_buffer *buf, bool write, int dim, struct lir_expr *i, struct lir_expr **ok)
{
	int64_t size = buf->dim[dim];
	bool ramp = i->kind == LIR_RAMP;
	struct lir_expr *first = ramp ? i->arg[0] : i, *leaves = outside(n, first, size);
	uint32_t site;

	if (ramp && i->i)
		leaves = lir_or(B, leaves, outside(n, last_lane(n, i), size));
	if (leaves->kind == LIR_INT && !leaves->i)
		return;
	site = ins_site(n, write ? LIR_FAULT_BOUNDS_WRITE : LIR_FAULT_BOUNDS_READ, buf, dim, size);
	ins_emit(n, ins_if(n, leaves, ins_record(n, site, ramp ? first_outside(n, i, size) : i)));
	*ok = both(n, *ok, lir_not(B, leaves));
}

/* Of the elements that in-range indices lead to. */
static bool view_fits(const struct lir_buffer *buf)
{
	struct lir_range at = {buf->offset, buf->offset};

	for (int d = 0; d < buf->nd; d++) {
		struct lir_range index = {0, buf->dim[d] > 0 ? buf->dim[d] - 1 : 0}, stride = {buf->stride[d], buf->stride[d]};

		at = lir_range_binary(LIR_ADD, at, lir_range_binary(LIR_MUL, index, stride));
	}
	return at.low >= 0 && at.high < buf->elements;
}

/* Element number, of a ramp its first lane's. */
static struct lir_expr *element(struct ins *n, const struct lir_buffer *buf, struct lir_expr *const *index)
{
	struct lir_expr *at = lir_int(B, buf->offset);

	for (int d = 0; d < buf->nd; d++) {
		struct lir_expr *i = index[d]->kind == LIR_RAMP ? index[d]->arg[0] : index[d];

		at = lir_add(B, at, lir_mul(B, i, lir_int(B, buf->stride[d])));
	}
	return at;
}

/* From one lane's element to the next one's. */
static int64_t lane_step(const struct lir_buffer *buf, struct lir_expr *const *index)
{
	return buf->nd && index[buf->nd - 1]->kind == LIR_RAMP ? index[buf->nd - 1]->i * buf->stride[buf->nd - 1] : 0;
}

static void check_view(struct ins *n, const struct lir_buffer *buf, bool write, struct lir_expr *const *index, int lanes,
		       struct lir_expr **ok)
{
	uint32_t site = ins_site(n, write ? LIR_FAULT_BOUNDS_WRITE : LIR_FAULT_BOUNDS_READ, buf, -1, buf->elements);
	struct lir_expr *inside = *ok, *all = inside;

	for (int l = 0; l < lanes; l++) {
		struct lir_expr *at = lir_add(B, element(n, buf, index), lir_int(B, lane_step(buf, index) * l));
		struct lir_expr *leaves = outside(n, at, buf->elements);

		ins_emit(n, ins_if(n, inside ? lir_and(B, inside, leaves) : leaves, ins_record(n, site, at)));
		all = both(n, all, lir_not(B, leaves));
	}
	*ok = all;
}

bool ins_is_marked(const struct ins *n, const struct lir_buffer *buf)
{
	return n->mark[buf->id] != NULL;
}

int64_t ins_mark_bytes(const struct ins *n, const struct lir_buffer *buf)
{
	return n->narrow[buf->id] ? (int64_t)dtype_size(buf->dtype) : 1;
}

/* Every element read must have been written: lane by lane, byte by byte. */
static void check_written(struct ins *n, const struct lir_buffer *buf, struct lir_expr *const *index, int lanes,
			  struct lir_expr *ok)
{
	struct lir_expr *at = element(n, buf, index), *mark = at, *lane, *byte;
	uint32_t site = ins_site(n, LIR_FAULT_UNINITIALISED, buf, 0, 0);
	struct lir_stmt *lanes_loop = NULL, *bytes_loop = NULL, *s;
	int64_t bytes = ins_mark_bytes(n, buf);

	if (lanes > 1) {
		lanes_loop = ins_loop(n, "lane", lanes, &lane);
		mark = at = lir_add(B, at, lir_mul(B, lane, lir_int(B, lane_step(buf, index))));
	}
	if (bytes > 1) {
		bytes_loop = ins_loop(n, "byte", bytes, &byte);
		mark = lir_add(B, lir_mul(B, at, lir_int(B, bytes)), byte);
	}
	s = ins_if(n, lir_eq(B, ins_load(n, n->mark[buf->id], mark), ins_i32(n, 0)), ins_record(n, site, at));
	if (bytes_loop)
		bytes_loop->body[0] = s, s = bytes_loop;
	if (lanes_loop)
		lanes_loop->body[0] = s, s = lanes_loop;
	ins_emit(n, ok ? ins_if(n, ok, s) : s);
}

struct lir_stmt *ins_mark_written(struct ins *n, const struct lir_stmt *s)
{
	const struct lir_buffer *buf = s->buffer;
	int lanes = s->value->type.lanes;
	struct lir_expr *at = element(n, buf, s->index), *lane, *byte;
	struct lir_stmt *lanes_loop = NULL, *bytes_loop = NULL, *t;

	if (lanes > 1 && !n->narrow[buf->id])
		return ins_store(n, n->mark[buf->id], lir_ramp(B, at, lane_step(buf, s->index), lanes),
				lir_broadcast(B, ins_i32(n, 1), lanes));
	if (lanes > 1) {
		lanes_loop = ins_loop(n, "lane", lanes, &lane);
		at = lir_add(B, at, lir_mul(B, lane, lir_int(B, lane_step(buf, s->index))));
	}
	if (n->narrow[buf->id]) {
		int64_t size = (int64_t)dtype_size(s->access);

		bytes_loop = ins_loop(n, "byte", size, &byte);
		at = lir_add(B, lir_mul(B, at, lir_int(B, size)), byte);
	}
	t = ins_store(n, n->mark[buf->id], at, ins_i32(n, 1));
	if (bytes_loop)
		bytes_loop->body[0] = t, t = bytes_loop;
	if (lanes_loop)
		lanes_loop->body[0] = t, t = lanes_loop;
	return t;
}

/* An index that loads is computed once, in front, where its guards hold; else it is 0. Checks of checks would grow without end. */
static struct lir_expr *hoisted(struct ins *n, struct lir_expr *x)
{
	struct lir_stmt *let;

	if (!count_loads(x))
		return x;
	if (x->kind == LIR_RAMP) {
		x->arg[0] = hoisted(n, x->arg[0]);
		return x;
	}
	for (size_t i = n->guard.n; i-- > 0;) {
		const struct guard *g = &n->guard.v[i];

		x = lir_select(B, g->holds ? g->cond : lir_not(B, g->cond), x, lir_int(B, 0));
	}
	let = lir_stmt_new(n->f->arena, LIR_LET, 0, 1);
	let->var = lir_var_new(n->f, "at", lir_type_of(DT_I64, 1));
	let->value = x;
	vec_push(n->f->arena, n->pre, let);
	n->serial = n->serial || (n->parallel && !n->inside);
	return lir_var_expr(B, let->var);
}

struct lir_expr *ins_check_access(struct ins *n, const struct lir_buffer *buf, bool write, struct lir_expr **index,
				     uint32_t count, int lanes)
{
	struct lir_expr *ok = NULL;
	size_t own = n->next;
	bool proved;

	for (uint32_t d = 0; d < count; d++)
		own += count_loads(index[d]);
	proved = n->proved.v[own] || !(n->checks & LIR_CHECK_BOUNDS);
	for (uint32_t d = 0; d < count; d++) {
		index[d] = ins_checked(n, index[d]);
		if (!proved || ins_is_marked(n, buf))
			index[d] = hoisted(n, index[d]);
		if (!proved)
			check_index(n, buf, write, (int)d, index[d], &ok);
	}
	if (!proved && !view_fits(buf))
		check_view(n, buf, write, index, lanes, &ok);
	assert(n->next == own);
	n->next++;
	return ok;
}

static struct lir_expr *checked_load(struct ins *n, struct lir_expr *x)
{
	struct lir_expr *ok = ins_check_access(n, x->buffer, false, x->arg, x->nargs, x->type.lanes);

	if (ins_is_marked(n, x->buffer))
		check_written(n, x->buffer, x->arg, x->type.lanes, ok);
	return ok ? lir_select(B, ok, x, ins_fill(n, x->type.dtype, x->type.lanes)) : x;
}

static struct lir_expr *checked_under(struct ins *n, struct lir_expr *cond, bool holds, struct lir_expr *x)
{
	struct guard g = {cond, holds};

	vec_push(n->f->arena, &n->guard, g);
	x = ins_checked(n, x);
	n->guard.n--;
	return x;
}

struct lir_expr *ins_checked(struct ins *n, struct lir_expr *x)
{
	bool lazy = x->kind == LIR_BINARY && (x->op == LIR_AND || x->op == LIR_OR) && x->type.lanes == 1;

	if (x->kind == LIR_LOAD)
		return checked_load(n, x);
	if (x->kind == LIR_SELECT && x->arg[0]->type.lanes == 1) {
		x->arg[0] = ins_checked(n, x->arg[0]);
		x->arg[1] = checked_under(n, x->arg[0], true, x->arg[1]);
		x->arg[2] = checked_under(n, x->arg[0], false, x->arg[2]);
	} else if (lazy) {
		x->arg[0] = ins_checked(n, x->arg[0]);
		x->arg[1] = checked_under(n, x->arg[0], x->op == LIR_AND, x->arg[1]);
	} else {
		for (uint32_t i = 0; i < x->nargs; i++)
			x->arg[i] = ins_checked(n, x->arg[i]);
	}
	return x;
}
