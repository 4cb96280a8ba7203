/* lir_info.c: names of things and small questions about a function */
#include "loop/loop_internal.h"

static const char *const op_names[] = {
#define BIN(id, name, kind) name,
#include "loop/ops.def"
#undef BIN
};

static const char *const call_names[] = {
#define CALL(id, name, args, kind) name,
#include "loop/calls.def"
#undef CALL
};

const char *lir_op_name(enum lir_op op)
{
	return (unsigned)op < LIR_OP_COUNT ? op_names[op] : "?";
}

const char *lir_call_name(enum lir_call c)
{
	return (unsigned)c < LIR_CALL_COUNT ? call_names[c] : "?";
}

bool lir_op_is_compare(enum lir_op op)
{
	return op >= LIR_LT && op <= LIR_NE;
}

const char *lir_loop_name(enum lir_loop_kind k)
{
	static const char *const names[] = {[LIR_SERIAL] = "serial", [LIR_PARALLEL] = "parallel", [LIR_UNROLLED] = "unrolled",
					    [LIR_THREAD] = "thread", [LIR_THREAD_NOBARRIER] = "thread_nobarrier"};

	return (unsigned)k < sizeof names / sizeof *names ? names[k] : "?";
}

bool lir_is_thread(const struct lir_stmt *s)
{
	return s->kind == LIR_FOR && (s->loop == LIR_THREAD || s->loop == LIR_THREAD_NOBARRIER);
}

bool lir_expr_const_i64(const struct lir_expr *x, int64_t *out)
{
	if (!x || x->kind != LIR_INT)
		return false;
	*out = x->i;
	return true;
}

static bool not_parallel(const struct lir_visit *v, void *user)
{
	return !v->stmt_slot || (*v->stmt_slot)->kind != LIR_FOR || (*v->stmt_slot)->loop != LIR_PARALLEL;
}

bool lir_is_chained(const struct lir_stmt *s, const struct lir_stmt *parent)
{
	return s->kind == LIR_FOR && s->loop == LIR_PARALLEL && parent && parent->kind == LIR_FOR && parent->loop == LIR_PARALLEL &&
	       parent->body[0] == s;
}

bool lir_has_parallel(const struct lir_func *f)
{
	return !lir_walk((struct lir_func *)f, not_parallel, NULL); /* only looks */
}

static double expr_flops(const struct lir_expr *x)
{
	double n = 0;

	for (uint32_t i = 0; i < x->nargs; i++)
		n += expr_flops(x->arg[i]);
	if (x->kind == LIR_BINARY && dtype_is_float(x->arg[0]->type.dtype))
		n += x->type.lanes;
	if (x->kind == LIR_CALL)
		n += x->type.lanes * (x->call == LIR_CALL_FMA ? 2 : 1);
	return n;
}

static double stmt_flops(const struct lir_stmt *s)
{
	double n = 0, body[2] = {0, 0};
	int64_t extent;

	for (uint32_t i = 0; i < s->nindex; i++)
		n += expr_flops(s->index[i]);
	if (s->value)
		n += expr_flops(s->value);
	if (s->kind == LIR_IF) {
		body[0] = stmt_flops(s->body[0]);
		body[1] = s->nbody == 2 ? stmt_flops(s->body[1]) : 0;
		return n + (body[0] > body[1] ? body[0] : body[1]);
	}
	for (uint32_t i = 0; i < s->nbody; i++)
		body[0] += stmt_flops(s->body[i]);
	if (s->kind == LIR_FOR)
		body[0] *= lir_expr_const_i64(s->extent, &extent) && extent > 0 ? (double)extent : 0;
	return n + body[0];
}

double lir_flops(const struct lir_func *f)
{
	return stmt_flops(f->body);
}
