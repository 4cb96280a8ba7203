/* lir_interp_expr.c: expressions of the interpreter - indices, loads, selection - and how a tree becomes code */
#include <assert.h>
#include <string.h>

#include "base/arena.h"
#include "loop/lir_interp_internal.h"

/* ---- sums of variables ---- */

static bool sum_add(struct affine *s, uint32_t slot, int64_t coef)
{
	for (int i = 0; i < s->n; i++)
		if (s->slot[i] == slot) {
			s->coef[i] = (int64_t)((uint64_t)s->coef[i] + (uint64_t)coef);
			return true;
		}
	if (s->n == MAX_TERMS)
		return false;
	s->slot[s->n] = slot;
	s->coef[s->n++] = coef;
	return true;
}

/* s += scale * x; false when x is something else than a sum */
static bool as_sum(struct compiler *k, const struct lir_expr *x, int64_t scale, struct affine *s)
{
	if (x->type.dtype != DT_I64 || x->type.lanes != 1)
		return false;
	if (x->kind == LIR_INT) {
		s->constant = (int64_t)((uint64_t)s->constant + (uint64_t)scale * (uint64_t)x->i);
		return true;
	}
	if (x->kind == LIR_VAR)
		return sum_add(s, k->slot[x->var->id], scale);
	if (x->kind != LIR_BINARY)
		return false;
	switch (x->op) {
	case LIR_ADD: return as_sum(k, x->arg[0], scale, s) && as_sum(k, x->arg[1], scale, s);
	case LIR_SUB: return as_sum(k, x->arg[0], scale, s) && as_sum(k, x->arg[1], (int64_t)(0 - (uint64_t)scale), s);
	case LIR_MUL:
		if (x->arg[1]->kind == LIR_INT)
			return as_sum(k, x->arg[0], (int64_t)((uint64_t)scale * (uint64_t)x->arg[1]->i), s);
		if (x->arg[0]->kind == LIR_INT)
			return as_sum(k, x->arg[1], (int64_t)((uint64_t)scale * (uint64_t)x->arg[0]->i), s);
		return false;
	default: return false;
	}
}

static inline int64_t sum_value(const struct affine *s, const struct vm *vm)
{
	uint64_t v = (uint64_t)s->constant;

	for (int i = 0; i < s->n; i++)
		v += (uint64_t)s->coef[i] * (uint64_t)vm->slot[s->slot[i]].i;
	return (int64_t)v;
}

static union val s_sum(const struct code *c, struct vm *vm)
{
	return (union val){.i = sum_value(c->sum, vm)};
}

/* ---- where an access lies ---- */

static inline int64_t index_value(const struct index *x, struct vm *vm)
{
	return x->code ? x->code->run(x->code, vm).i : sum_value(&x->sum, vm);
}

static _Noreturn void out_of_bounds(const struct access *x, struct vm *vm, int dim, int64_t index)
{
	lir_fault(vm, x->write ? LIR_FAULT_BOUNDS_WRITE : LIR_FAULT_BOUNDS_READ, x->mem->buffer, dim, index);
}

/* Of the first n dims. */
static inline uint64_t address_of(const struct access *x, struct vm *vm, int n)
{
	const struct lir_buffer *buf = x->mem->buffer;
	uint64_t at = (uint64_t)buf->offset;

	for (int d = 0; d < n; d++) {
		int64_t i = index_value(&x->index[d], vm);

		if ((uint64_t)i >= (uint64_t)buf->dim[d])
			out_of_bounds(x, vm, d, i);
		at += (uint64_t)i * (uint64_t)buf->stride[d];
	}
	return at;
}

/* Where the work-item's own copy of a private buffer begins. */
static int64_t row_of(const struct access *x, const struct vm *vm)
{
	return x->mem->buffer->scope == LIR_PRIVATE ? (int64_t)vm->item * x->mem->buffer->elements : 0;
}

int64_t lir_address(const struct access *x, struct vm *vm)
{
	uint64_t at = address_of(x, vm, x->nd);

	if (at >= (uint64_t)x->mem->buffer->elements) /* a view that leaves its memory */
		out_of_bounds(x, vm, -1, (int64_t)at);
	return (int64_t)at + row_of(x, vm);
}

void lir_addresses(const struct access *x, struct vm *vm, int64_t *at)
{
	const struct lir_buffer *buf = x->mem->buffer;
	int last = x->nd - 1;
	uint64_t outer = address_of(x, vm, last);
	uint64_t first = (uint64_t)index_value(&x->index[last], vm);

	for (int l = 0; l < x->lanes; l++) {
		uint64_t i = first + (uint64_t)x->step * (uint64_t)l;
		uint64_t a = outer + i * (uint64_t)buf->stride[last];

		if (i >= (uint64_t)buf->dim[last])
			out_of_bounds(x, vm, last, (int64_t)i);
		if (a >= (uint64_t)buf->elements)
			out_of_bounds(x, vm, -1, (int64_t)a);
		at[l] = (int64_t)a + row_of(x, vm);
	}
}

/* ---- loads ---- */

static void check_written(const struct access *x, struct vm *vm, int64_t at, size_t size)
{
	const uint8_t *w = x->mem->written + (size_t)at * size;

	for (size_t i = 0; i < size; i++)
		if (!w[i])
			lir_fault(vm, LIR_FAULT_UNINITIALISED, x->mem->buffer, 0, at - row_of(x, vm));
	if (x->mem->touched)
		lir_race_read(x->mem, vm, at, size);
}

#define LOAD(ID, T, M, GET)                                                                                                        \
	static union val load_##ID(const struct code *c, struct vm *vm) {                                                          \
		const struct access *x = c->access;                                                                                \
		int64_t at = lir_address(x, vm);                                                                                   \
		union val r = {0};                                                                                                 \
		T raw;                                                                                                             \
                                                                                                                                   \
		if (x->mem->written)                                                                                               \
			check_written(x, vm, at, sizeof raw);                                                                      \
		memcpy(&raw, x->mem->data + (size_t)at * sizeof raw, sizeof raw);                                                  \
		r.M = GET(raw);                                                                                                    \
		return r;                                                                                                          \
	}

#define PLAIN(x) (x)
#define TRUTH(x) ((x) != 0)
#define LOADS(X)                                                                                                                   \
	X(BOOL, uint8_t, i, TRUTH)                                                                                                 \
	X(I8, int8_t, i, PLAIN)                                                                                                    \
	X(U8, uint8_t, i, PLAIN)                                                                                                   \
	X(I16, int16_t, i, PLAIN)                                                                                                  \
	X(U16, uint16_t, i, PLAIN)                                                                                                 \
	X(I32, int32_t, i, PLAIN)                                                                                                  \
	X(U32, uint32_t, i, PLAIN)                                                                                                 \
	X(I64, int64_t, i, PLAIN)                                                                                                  \
	X(U64, uint64_t, i, PLAIN)                                                                                                 \
	X(F16, uint16_t, f, f16_to_f32)                                                                                            \
	X(BF16, uint16_t, f, bf16_to_f32)                                                                                          \
	X(F32, float, f, PLAIN)                                                                                                    \
	X(F64, double, d, PLAIN)
LOADS(LOAD)

#define LOAD_ENTRY(ID, T, M, GET) [DT_##ID] = load_##ID,
static const scalar_fn loads[DT_COUNT] = {LOADS(LOAD_ENTRY)};

static void v_load(const struct code *c, struct vm *vm, union val *out)
{
	const struct access *x = c->access;
	enum dtype t = x->mem->buffer->dtype;
	size_t size = dtype_size(t);
	int64_t at[LIR_MAX_LANES];

	lir_addresses(x, vm, at);
	for (int l = 0; l < c->lanes; l++) {
		if (x->mem->written)
			check_written(x, vm, at[l], size);
		if (t == DT_F32)
			memcpy(&out[l].f, x->mem->data + (size_t)at[l] * 4, 4);
		else
			out[l] = lir_unpack(t, x->mem->data + (size_t)at[l] * size);
	}
}

static void compile_index(struct compiler *k, const struct lir_expr *x, struct index *out)
{
	out->sum = (struct affine){0};
	out->code = as_sum(k, x, 1, &out->sum) ? NULL : lir_compile_expr(k, x);
}

const struct access *lir_compile_access(struct compiler *k, const struct lir_buffer *buf, struct lir_expr *const *index, uint32_t n,
					bool write)
{
	struct access *x = ARENA_NEW(k->a, struct access);

	x->mem = &k->mem[buf->id];
	x->nd = (int)n;
	x->lanes = 1;
	x->write = write;
	for (uint32_t d = 0; d < n; d++) {
		const struct lir_expr *i = index[d];

		if (i->kind == LIR_RAMP) {
			x->lanes = i->type.lanes;
			x->step = i->i;
			i = i->arg[0];
		}
		compile_index(k, i, &x->index[d]);
	}
	return x;
}

/* ---- the other kinds ---- */

static union val s_imm(const struct code *c, struct vm *vm)
{
	return c->imm;
}

static union val s_var(const struct code *c, struct vm *vm)
{
	return vm->slot[c->slot];
}

static void v_var(const struct code *c, struct vm *vm, union val *out)
{
	memcpy(out, vm->slot + c->slot, (size_t)c->lanes * sizeof *out);
}

static union val s_not(const struct code *c, struct vm *vm)
{
	return (union val){.i = !RUN(0).i};
}

static void v_not(const struct code *c, struct vm *vm, union val *out)
{
	RUNV(0, out);
	for (int l = 0; l < c->lanes; l++)
		out[l].i = !out[l].i;
}

static union val s_select(const struct code *c, struct vm *vm)
{
	return RUN(0).i ? RUN(1) : RUN(2);
}

static void v_select_one(const struct code *c, struct vm *vm, union val *out)
{
	if (RUN(0).i)
		RUNV(1, out);
	else
		RUNV(2, out);
}

static void v_select(const struct code *c, struct vm *vm, union val *out)
{
	union val cond[LIR_MAX_LANES], x[LIR_MAX_LANES];

	RUNV(0, cond);
	RUNV(1, x);
	RUNV(2, out);
	for (int l = 0; l < c->lanes; l++)
		if (cond[l].i)
			out[l] = x[l];
}

static void v_ramp(const struct code *c, struct vm *vm, union val *out)
{
	uint64_t v = (uint64_t)RUN(0).i;

	for (int l = 0; l < c->lanes; l++, v += (uint64_t)c->imm.i)
		out[l].i = (int64_t)v;
}

static void v_broadcast(const struct code *c, struct vm *vm, union val *out)
{
	union val v = RUN(0);

	for (int l = 0; l < c->lanes; l++)
		out[l] = v;
}

static union val s_lane(const struct code *c, struct vm *vm)
{
	union val v[LIR_MAX_LANES];

	RUNV(0, v);
	return v[c->number];
}

static bool compile_sum(struct compiler *k, const struct lir_expr *x, struct code *c)
{
	struct affine s = {0};

	if (x->kind != LIR_BINARY || !as_sum(k, x, 1, &s))
		return false;
	c->sum = arena_memdup(k->a, &s, sizeof s);
	c->run = s_sum;
	return true;
}

static void compile_leaf(struct compiler *k, const struct lir_expr *x, struct code *c)
{
	if (x->kind == LIR_VAR) {
		c->slot = k->slot[x->var->id];
		c->run = s_var;
		c->runv = v_var;
		return;
	}
	c->run = s_imm;
	if (x->kind == LIR_INT)
		c->imm.i = x->i;
	else if (x->type.dtype == DT_F64)
		c->imm.d = x->f;
	else
		c->imm.f = (float)x->f;
}

static void set(struct code *c, scalar_fn run, vector_fn runv)
{
	c->run = run;
	c->runv = runv;
}

const struct code *lir_compile_expr(struct compiler *k, const struct lir_expr *x)
{
	struct code *c = ARENA_NEW(k->a, struct code);
	enum dtype from = x->nargs ? x->arg[0]->type.dtype : x->type.dtype;

	c->lanes = x->type.lanes;
	if (compile_sum(k, x, c))
		return c;
	if (x->kind == LIR_LOAD) {
		c->access = lir_compile_access(k, x->buffer, x->arg, x->nargs, false);
		set(c, loads[x->type.dtype], v_load);
		return c;
	}
	for (uint32_t i = 0; i < x->nargs; i++)
		c->arg[i] = lir_compile_expr(k, x->arg[i]);
	switch (x->kind) {
	case LIR_INT:
	case LIR_FLOAT:
	case LIR_VAR: compile_leaf(k, x, c); break;
	case LIR_BINARY:
		set(c, lir_binary_scalar[x->op][from], lir_binary_vector[x->op][from]);
		assert(c->run && c->runv);
		break;
	case LIR_NOT: set(c, s_not, v_not); break;
	case LIR_SELECT: set(c, s_select, x->arg[0]->type.lanes == 1 ? v_select_one : v_select); break;
	case LIR_CAST: lir_code_cast(c, from, x->type.dtype); break;
	case LIR_BITCAST: lir_code_bitcast(c, from, x->type.dtype); break;
	case LIR_CALL: lir_code_call(c, x->call, from); break;
	case LIR_RAMP:
		c->imm.i = x->i;
		set(c, NULL, v_ramp);
		break;
	case LIR_BROADCAST: set(c, NULL, v_broadcast); break;
	case LIR_LANE:
		c->number = (int)x->i;
		set(c, s_lane, NULL);
		break;
	case LIR_LOAD: break;
	}
	return c;
}
