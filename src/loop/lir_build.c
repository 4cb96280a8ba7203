/* lir_build.c: writing a function from top to bottom */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "loop/loop_internal.h"

enum block_kind {
	BLOCK_ROOT,
	BLOCK_FOR,
	BLOCK_IF,
	BLOCK_ELSE,
	BLOCK_SCOPE,
	BLOCK_REST, /* what follows a let or alloc; ends with the block around it */
};

struct lir_block {
	struct lir_block *up;
	enum block_kind kind;
	struct lir_stmt *owner; /* whose body this is */
	VEC(struct lir_stmt *) list;
};

static struct lir_block *open_block(struct lir_builder *b, enum block_kind kind, struct lir_stmt *owner)
{
	struct lir_block *block = ARENA_NEW(b->a, struct lir_block);

	block->up = b->block;
	block->kind = kind;
	block->owner = owner;
	return b->block = block;
}

static void add(struct lir_builder *b, struct lir_stmt *s)
{
	assert(b->block && "statements need lir_begin");
	vec_push(b->a, &b->block->list, s);
}

static struct lir_stmt *pop_body(struct lir_builder *b)
{
	struct lir_stmt *body = lir_seq(b->a, b->block->list.v, b->block->list.n);

	b->block = b->block->up;
	return body;
}

static void close_rest(struct lir_builder *b)
{
	while (b->block->kind == BLOCK_REST) {
		struct lir_stmt *s = b->block->owner;

		s->body[0] = pop_body(b);
		add(b, s);
	}
}

void lir_begin(struct lir_builder *b, struct arena *a, const char *name)
{
	struct lir_func *f = ARENA_NEW(a, struct lir_func);

	f->arena = a;
	f->name = arena_strdup(a, name);
	*b = (struct lir_builder){.a = a, .f = f};
	open_block(b, BLOCK_ROOT, NULL);
}

void lir_edit(struct lir_builder *b, struct lir_func *f)
{
	*b = (struct lir_builder){.a = f->arena, .f = f};
}

struct lir_buffer *lir_buffer_new(struct lir_func *f, const char *name, enum dtype t, enum lir_scope scope, int nd,
				  const int64_t *dim)
{
	struct lir_buffer *buf = ARENA_NEW(f->arena, struct lir_buffer);
	int64_t elements;
	bool ok = nd >= 0 && nd <= MAX_DIMS && dims_elements(dim, nd, &elements);

	assert(ok && "the caller has checked the dims");
	(void)ok;
	buf->name = lir_clean_name(f->arena, name);
	buf->dtype = t;
	buf->nd = nd;
	for (int d = 0; d < nd; d++)
		buf->dim[d] = dim[d];
	lir_buffer_set_dense(buf);
	buf->scope = scope;
	buf->id = f->nbuffers++;
	return buf;
}

struct lir_var *lir_var_new(struct lir_func *f, const char *name, struct lir_type t)
{
	struct lir_var *v = ARENA_NEW(f->arena, struct lir_var);

	v->name = lir_clean_name(f->arena, name);
	v->type = t;
	v->id = f->nvars++;
	return v;
}

struct lir_buffer *lir_param(struct lir_builder *b, const char *name, enum dtype t, int nd, const int64_t *dim, bool out)
{
	struct lir_func *f = b->f;
	struct lir_buffer *buf = lir_buffer_new(f, name, t, LIR_GLOBAL, nd, dim);
	struct lir_buffer **param = ARENA_ARRAY(b->a, struct lir_buffer *, f->nparams + 1);

	for (uint32_t i = 0; i < f->nparams; i++)
		param[i] = f->param[i];
	if (f->nparams % 16 == 0) {
		bool *grown = ARENA_ARRAY(b->a, bool, f->nparams + 16);

		if (f->nparams)
			memcpy(grown, b->out, f->nparams * sizeof *grown);
		b->out = grown;
	}
	b->out[f->nparams] = out;
	param[f->nparams++] = buf;
	f->param = param;
	f->nout += out;
	return buf;
}

/* ---- the parallel loop ---- */

struct parallel {
	struct lir_stmt *loop;
	bool wrong; /* two of them, one inside a loop, or a store to a parameter outside of it */
};

static bool find_parallel(const struct lir_visit *v, void *user)
{
	struct parallel *p = user;
	struct lir_stmt *s;
	bool in_loop = false, in_parallel = false;

	if (!v->stmt_slot)
		return true;
	s = *v->stmt_slot;
	for (uint32_t i = 0; i < v->nparents; i++) {
		in_loop |= v->parent[i]->kind == LIR_FOR;
		in_parallel |= v->parent[i]->kind == LIR_FOR && v->parent[i]->loop == LIR_PARALLEL;
	}
	if (s->kind == LIR_FOR && s->loop == LIR_PARALLEL) {
		if (!v->nparents || !lir_is_chained(s, v->parent[v->nparents - 1]))
			p->wrong |= p->loop || in_loop;
		p->loop = s;
	} else if (s->kind == LIR_STORE && s->buffer->scope == LIR_GLOBAL && !in_parallel) {
		p->wrong = true;
	}
	return true;
}

static bool make_serial(const struct lir_visit *v, void *user)
{
	if (v->stmt_slot && (*v->stmt_slot)->kind == LIR_FOR && (*v->stmt_slot)->loop == LIR_PARALLEL)
		(*v->stmt_slot)->loop = LIR_SERIAL;
	return true;
}

static bool number_alloc(const struct lir_visit *v, void *user)
{
	if (v->stmt_slot && (*v->stmt_slot)->kind == LIR_ALLOC)
		(*v->stmt_slot)->buffer->id = (*(uint32_t *)user)++;
	return true;
}

/* Lowerings add parameters as they come to need them: inputs move before outputs here, and ids follow the positions. */
static void order_params(struct lir_func *f, const bool *out)
{
	struct lir_buffer **param = ARENA_ARRAY(f->arena, struct lir_buffer *, f->nparams + 1);
	uint32_t n = 0, next = f->nparams;

	for (int pass = 0; pass < 2; pass++)
		for (uint32_t i = 0; i < f->nparams; i++)
			if (out[i] == (pass == 1))
				param[n++] = f->param[i];
	f->param = param;
	for (uint32_t i = 0; i < n; i++)
		param[i]->id = i;
	lir_walk(f, number_alloc, &next);
	assert(next <= f->nbuffers);
}

struct lir_func *lir_finish(struct lir_builder *b)
{
	struct lir_func *f = b->f;
	struct parallel p = {0};

	close_rest(b);
	assert(b->block->kind == BLOCK_ROOT && "a lir_end is missing");
	f->body = pop_body(b);
	order_params(f, b->out);
	lir_unique_names(f);
	lir_walk(f, find_parallel, &p);
	if (p.loop && p.wrong)
		lir_walk(f, make_serial, NULL);
#ifndef NDEBUG
	struct err e = {0};

	if (!lir_verify(f, &e)) {
		log_error("function '%s': %s", f->name, err_text(&e));
		assert(!"a lowering made a wrong function");
	}
#endif
	return f;
}

/* ---- expressions ---- */

struct lir_expr *lir_int(struct lir_builder *b, int64_t v)
{
	return lir_node_int(b->a, DT_I64, v);
}

struct lir_expr *lir_imm_i64(struct lir_builder *b, enum dtype t, int64_t v)
{
	assert(!dtype_is_float(t));
	return lir_node_int(b->a, t, v);
}

struct lir_expr *lir_imm(struct lir_builder *b, enum dtype t, double v)
{
	if (dtype_is_float(t))
		return lir_node_float(b->a, t, v);
	if (t == DT_BOOL)
		return lir_node_int(b->a, t, v != 0);
	if (!(v > -0x1p63)) /* NaN too */
		return lir_node_int(b->a, t, isnan(v) ? 0 : INT64_MIN);
	if (v >= 0x1p63)
		return lir_node_int(b->a, t, t == DT_U64 ? (int64_t)(v < 0x1p64 ? (uint64_t)v : UINT64_MAX) : INT64_MAX);
	return lir_node_int(b->a, t, (int64_t)v);
}

struct lir_expr *lir_var_expr(struct lir_builder *b, struct lir_var *v)
{
	struct lir_expr *x = lir_expr_new(b->a, LIR_VAR, v->type, 0);

	x->var = v;
	return x;
}

struct lir_expr *lir_broadcast(struct lir_builder *b, struct lir_expr *x, int lanes)
{
	assert(x->type.lanes == 1 || x->type.lanes == lanes);
	if (x->type.lanes == lanes)
		return x;
	return lir_node2(b->a, LIR_BROADCAST, lir_type_of(x->type.dtype, lanes), x, NULL);
}

static int wider(struct lir_expr *x, struct lir_expr *y)
{
	return x->type.lanes > y->type.lanes ? x->type.lanes : y->type.lanes;
}

struct lir_expr *lir_binary(struct lir_builder *b, enum lir_op op, struct lir_expr *x, struct lir_expr *y)
{
	int lanes = wider(x, y);
	struct lir_expr *e;

	x = lir_broadcast(b, x, lanes);
	y = lir_broadcast(b, y, lanes);
	assert(x->type.dtype == y->type.dtype && "operands of one type");
	assert(lir_op_kind(op) == 'C' || (x->type.dtype == DT_BOOL) == (lir_op_kind(op) == 'L'));
	assert(lir_op_kind(op) != 'I' || dtype_is_int(x->type.dtype));
	e = lir_fold_binary(b->a, op, x, y);
	return e ? e : lir_node_binary(b->a, op, x, y);
}

struct lir_expr *lir_not(struct lir_builder *b, struct lir_expr *x)
{
	assert(x->type.dtype == DT_BOOL);
	if (x->kind == LIR_INT)
		return lir_node_int(b->a, DT_BOOL, !x->i);
	return lir_node2(b->a, LIR_NOT, x->type, x, NULL);
}

struct lir_expr *lir_select(struct lir_builder *b, struct lir_expr *cond, struct lir_expr *x, struct lir_expr *y)
{
	int lanes = wider(cond, x) > y->type.lanes ? wider(cond, x) : y->type.lanes;
	struct lir_expr *e;

	assert(cond->type.dtype == DT_BOOL && x->type.dtype == y->type.dtype);
	x = lir_broadcast(b, x, lanes);
	y = lir_broadcast(b, y, lanes);
	if (cond->kind == LIR_INT)
		return cond->i ? x : y;
	e = lir_expr_new(b->a, LIR_SELECT, x->type, 3);
	e->arg[0] = cond; /* a scalar condition stays scalar: one side only is evaluated */
	e->arg[1] = x;
	e->arg[2] = y;
	return e;
}

struct lir_expr *lir_cast(struct lir_builder *b, enum dtype t, struct lir_expr *x)
{
	struct lir_expr *e;

	if (x->type.dtype == t)
		return x;
	e = lir_fold_cast(b->a, t, x);
	return e ? e : lir_node2(b->a, LIR_CAST, lir_type_of(t, x->type.lanes), x, NULL);
}

struct lir_expr *lir_bitcast(struct lir_builder *b, enum dtype t, struct lir_expr *x)
{
	if (x->type.dtype == t)
		return x;
	assert(dtype_size(t) == dtype_size(x->type.dtype));
	return lir_node2(b->a, LIR_BITCAST, lir_type_of(t, x->type.lanes), x, NULL);
}

struct lir_expr *lir_ramp(struct lir_builder *b, struct lir_expr *base, int64_t stride, int lanes)
{
	struct lir_expr *x;

	assert(base->type.dtype == DT_I64 && base->type.lanes == 1 && lanes > 1 && lanes <= LIR_MAX_LANES);
	x = lir_node2(b->a, LIR_RAMP, lir_type_of(DT_I64, lanes), base, NULL);
	x->i = stride;
	return x;
}

struct lir_expr *lir_load(struct lir_builder *b, struct lir_buffer *buf, struct lir_expr *const *index)
{
	return lir_load_lanes(b, buf, index, 1);
}

struct lir_expr *lir_load_lanes(struct lir_builder *b, struct lir_buffer *buf, struct lir_expr *const *index, int lanes)
{
	return lir_load_step(b, buf, index, 1, lanes);
}

struct lir_expr *lir_load_step(struct lir_builder *b, struct lir_buffer *buf, struct lir_expr *const *index, int64_t step, int lanes)
{
	struct lir_expr *x = lir_expr_new(b->a, LIR_LOAD, lir_type_of(buf->dtype, lanes), (uint32_t)buf->nd);

	assert(lanes == 1 || buf->nd);
	x->buffer = buf;
	for (int d = 0; d < buf->nd; d++)
		x->arg[d] = index[d];
	if (lanes > 1)
		x->arg[buf->nd - 1] = lir_ramp(b, index[buf->nd - 1], step, lanes);
	return x;
}

struct lir_expr *lir_call_n(struct lir_builder *b, enum lir_call c, int n, struct lir_expr *const *arg)
{
	struct lir_expr *x;
	int lanes = 1;

	assert(n == lir_call_args(c));
	for (int i = 0; i < n; i++)
		lanes = arg[i]->type.lanes > lanes ? arg[i]->type.lanes : lanes;
	assert(dtype_is_float(arg[0]->type.dtype));
	x = lir_expr_new(b->a, LIR_CALL, lir_type_of(lir_call_kind(c) == 'B' ? DT_BOOL : arg[0]->type.dtype, lanes), (uint32_t)n);
	x->call = c;
	for (int i = 0; i < n; i++) {
		assert(arg[i]->type.dtype == arg[0]->type.dtype);
		x->arg[i] = lir_broadcast(b, arg[i], lanes);
	}
	if (c == LIR_CALL_FMA && lanes > 1)
		b->f->contract = true;
	return x;
}

struct lir_expr *lir_call1(struct lir_builder *b, enum lir_call c, struct lir_expr *x)
{
	return lir_call_n(b, c, 1, &x);
}

struct lir_expr *lir_call2(struct lir_builder *b, enum lir_call c, struct lir_expr *x, struct lir_expr *y)
{
	return lir_call_n(b, c, 2, (struct lir_expr *[]){x, y});
}

struct lir_expr *lir_fma(struct lir_builder *b, struct lir_expr *x, struct lir_expr *y, struct lir_expr *z)
{
	return lir_call_n(b, LIR_CALL_FMA, 3, (struct lir_expr *[]){x, y, z});
}

struct lir_expr *lir_lane(struct lir_builder *b, struct lir_expr *x, int lane)
{
	struct lir_expr *e = lir_node2(b->a, LIR_LANE, lir_type_of(x->type.dtype, 1), x, NULL);

	assert(lane >= 0 && lane < x->type.lanes && x->type.lanes > 1);
	e->i = lane;
	return e;
}

/* ---- statements ---- */

struct lir_expr *lir_for(struct lir_builder *b, const char *name, int64_t extent, enum lir_loop_kind kind)
{
	return lir_for_expr(b, name, lir_int(b, 0), lir_int(b, extent), kind);
}

struct lir_expr *lir_for_expr(struct lir_builder *b, const char *name, struct lir_expr *min, struct lir_expr *extent,
			      enum lir_loop_kind kind)
{
	struct lir_stmt *s = lir_stmt_new(b->a, LIR_FOR, 0, 1);

	s->loop = kind;
	s->var = lir_var_new(b->f, name, lir_type_of(DT_I64, 1));
	s->min = min;
	s->extent = extent;
	open_block(b, BLOCK_FOR, s);
	return lir_var_expr(b, s->var);
}

void lir_if(struct lir_builder *b, struct lir_expr *cond)
{
	struct lir_stmt *s = lir_stmt_new(b->a, LIR_IF, 0, 1);

	assert(cond->type.dtype == DT_BOOL && cond->type.lanes == 1);
	s->value = cond;
	open_block(b, BLOCK_IF, s);
}

void lir_else(struct lir_builder *b)
{
	struct lir_stmt *s, *then;

	close_rest(b);
	assert(b->block->kind == BLOCK_IF);
	s = b->block->owner;
	then = pop_body(b);
	s->nbody = 2;
	s->body = ARENA_ARRAY(b->a, struct lir_stmt *, 2);
	s->body[0] = then;
	open_block(b, BLOCK_ELSE, s);
}

void lir_scope(struct lir_builder *b)
{
	open_block(b, BLOCK_SCOPE, NULL);
}

void lir_end(struct lir_builder *b)
{
	struct lir_block *block;
	struct lir_stmt *s;

	close_rest(b);
	block = b->block;
	s = block->owner;
	assert(block->kind != BLOCK_ROOT && "lir_end without a beginning");
	if (block->kind == BLOCK_SCOPE) {
		b->block = block->up;
		for (size_t i = 0; i < block->list.n; i++)
			add(b, block->list.v[i]);
		return;
	}
	s->body[block->kind == BLOCK_ELSE] = pop_body(b);
	if (s->kind == LIR_IF && s->value->kind == LIR_INT) { /* decided: the taken side alone */
		if (s->value->i || s->nbody == 2)
			add(b, s->body[!s->value->i]);
		return;
	}
	add(b, s);
}

struct lir_expr *lir_let(struct lir_builder *b, const char *name, struct lir_expr *value)
{
	struct lir_stmt *s = lir_stmt_new(b->a, LIR_LET, 0, 1);

	s->var = lir_var_new(b->f, name, value->type);
	s->value = value;
	open_block(b, BLOCK_REST, s);
	return lir_var_expr(b, s->var);
}

struct lir_buffer *lir_alloc(struct lir_builder *b, const char *name, enum dtype t, int nd, const int64_t *dim)
{
	return lir_alloc_in(b, LIR_LOCAL, name, t, nd, dim);
}

struct lir_buffer *lir_alloc_in(struct lir_builder *b, enum lir_scope scope, const char *name, enum dtype t, int nd, const int64_t *dim)
{
	struct lir_stmt *s = lir_stmt_new(b->a, LIR_ALLOC, 0, 1);

	s->buffer = lir_buffer_new(b->f, name, t, scope, nd, dim);
	open_block(b, BLOCK_REST, s);
	return s->buffer;
}

void lir_store(struct lir_builder *b, struct lir_buffer *buf, struct lir_expr *const *index, struct lir_expr *value)
{
	struct lir_stmt *s = lir_stmt_new(b->a, LIR_STORE, (uint32_t)buf->nd, 0);

	assert(value->type.dtype == buf->dtype);
	assert(value->type.lanes == 1 || buf->nd);
	s->buffer = buf;
	s->access = buf->dtype;
	s->value = value;
	for (int d = 0; d < buf->nd; d++)
		s->index[d] = index[d];
	if (value->type.lanes > 1)
		s->index[buf->nd - 1] = lir_ramp(b, index[buf->nd - 1], 1, value->type.lanes);
	add(b, s);
}

static bool inside_a_loop(const struct lir_builder *b)
{
	for (const struct lir_block *k = b->block; k; k = k->up)
		if (k->kind == BLOCK_FOR)
			return true;
	return false;
}

struct lir_nest lir_nest_over(struct lir_builder *b, int nd, const int64_t *dim)
{
	static const char *const names[MAX_DIMS] = {"i0", "i1", "i2", "i3", "i4", "i5", "i6", "i7"};
	struct lir_nest n = {.nd = nd};
	bool top = !inside_a_loop(b), begun = false;

	for (int d = 0; d < nd; d++) {
		/* the first parallel loop is what parts are made of: a batch of one gets no loop */
		if (top && !begun && dim[d] == 1 && d + 1 < nd) {
			n.index[d] = lir_int(b, 0);
			continue;
		}
		n.index[d] = lir_for(b, names[d], dim[d], top && (begun || dim[d] > 1) ? LIR_PARALLEL : LIR_SERIAL);
		begun = true;
	}
	return n;
}

void lir_nest_end(struct lir_builder *b, const struct lir_nest *n)
{
	for (int d = 0; d < n->nd; d++)
		if (n->index[d]->kind == LIR_VAR)
			lir_end(b);
}
