/* lir_node.c: allocating nodes; no checks and no simplification beyond what a node is */
#include <assert.h>

#include "base/arena.h"
#include "loop/loop_internal.h"

static const char op_kinds[] = {
#define A 'A'
#define I 'I'
#define C 'C'
#define L 'L'
#define BIN(id, name, kind) kind,
#include "loop/ops.def"
#undef BIN
#undef A
#undef I
#undef C
#undef L
};

static const struct {
	int args;
	char kind;
} calls[] = {
#define F 'F'
#define B 'B'
#define CALL(id, name, args, kind) {args, kind},
#include "loop/calls.def"
#undef CALL
#undef F
#undef B
};

char lir_op_kind(enum lir_op op)
{
	return op_kinds[op];
}

char lir_call_kind(enum lir_call c)
{
	return calls[c].kind;
}

int lir_call_args(enum lir_call c)
{
	return calls[c].args;
}

struct lir_type lir_type_of(enum dtype t, int lanes)
{
	return (struct lir_type){t, lanes};
}

struct lir_expr *lir_expr_new(struct arena *a, enum lir_expr_kind k, struct lir_type t, uint32_t nargs)
{
	struct lir_expr *x = ARENA_NEW(a, struct lir_expr);

	x->kind = k;
	x->type = t;
	x->nargs = nargs;
	x->arg = nargs ? ARENA_ARRAY(a, struct lir_expr *, nargs) : NULL;
	return x;
}

struct lir_expr *lir_node_int(struct arena *a, enum dtype t, int64_t v)
{
	struct lir_expr *x = lir_expr_new(a, LIR_INT, lir_type_of(t, 1), 0);

	x->i = lir_wrap(t, v);
	return x;
}

struct lir_expr *lir_node_float(struct arena *a, enum dtype t, double v)
{
	struct lir_expr *x = lir_expr_new(a, LIR_FLOAT, lir_type_of(t, 1), 0);

	x->f = lir_round(t, v);
	return x;
}

struct lir_expr *lir_node2(struct arena *a, enum lir_expr_kind k, struct lir_type t, struct lir_expr *x, struct lir_expr *y)
{
	struct lir_expr *e = lir_expr_new(a, k, t, y ? 2 : 1);

	e->arg[0] = x;
	if (y)
		e->arg[1] = y;
	return e;
}

struct lir_expr *lir_node_binary(struct arena *a, enum lir_op op, struct lir_expr *x, struct lir_expr *y)
{
	struct lir_type t = x->type;
	struct lir_expr *e;

	if (lir_op_is_compare(op))
		t.dtype = DT_BOOL;
	e = lir_node2(a, LIR_BINARY, t, x, y);
	e->op = op;
	return e;
}

struct lir_stmt *lir_stmt_new(struct arena *a, enum lir_stmt_kind k, uint32_t nindex, uint32_t nbody)
{
	struct lir_stmt *s = ARENA_NEW(a, struct lir_stmt);

	s->kind = k;
	s->nindex = nindex;
	s->index = nindex ? ARENA_ARRAY(a, struct lir_expr *, nindex) : NULL;
	s->nbody = nbody;
	s->body = nbody ? ARENA_ARRAY(a, struct lir_stmt *, nbody) : NULL;
	return s;
}

struct lir_stmt *lir_seq(struct arena *a, struct lir_stmt *const *list, size_t n)
{
	struct lir_stmt *s;

	if (n == 1)
		return list[0];
	s = lir_stmt_new(a, LIR_SEQ, 0, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		s->body[i] = list[i];
	return s;
}

void lir_buffer_set_dense(struct lir_buffer *buf)
{
	int64_t n = 1;

	for (int d = buf->nd - 1; d >= 0; d--) {
		buf->stride[d] = n;
		n = (int64_t)((uint64_t)n * (uint64_t)buf->dim[d]); /* may wrap beside a dim of 0 */
	}
	buf->offset = 0;
	buf->elements = n;
}

bool lir_buffer_is_dense(const struct lir_buffer *buf)
{
	struct lir_buffer dense = *buf;

	lir_buffer_set_dense(&dense);
	for (int d = 0; d < buf->nd; d++)
		if (buf->stride[d] != dense.stride[d])
			return false;
	return !buf->offset && buf->elements == dense.elements;
}
