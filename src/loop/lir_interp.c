/* lir_interp.c: runs a function exactly as written - statements, memory and faults */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "loop/lir_interp_internal.h"

#define MAX_SCRATCH ((uint64_t)1 << 30)

struct step {
	void (*run)(const struct step *s, struct vm *vm);
	const struct code *min, *extent, *value;
	const struct access *access;
	enum dtype type; /* of a store's access */
	uint32_t slot;
	int lanes; /* of a thread loop: the work-items of a group */
	bool barrier;
	struct memory *mem;
	uint32_t nbody;
	const struct step **body;
};

/* ---- faults ---- */

static void describe(struct lir_interp_result *r)
{
	const struct lir_buffer *buf = r->buffer;
	const char *name = buf ? buf->name : "";

	switch (r->fault) {
	case LIR_OK: r->text[0] = 0; break;
	case LIR_FAULT_BOUNDS_READ:
	case LIR_FAULT_BOUNDS_WRITE:
		if (r->dim < 0)
			snprintf(r->text, sizeof r->text, "%s '%.80s' leaves its memory: element %" PRId64 " of %" PRId64,
				 r->fault == LIR_FAULT_BOUNDS_READ ? "a read of" : "a write to", name, r->index, buf->elements);
		else
			snprintf(r->text, sizeof r->text, "%s '%.80s' out of bounds: index %" PRId64 " in dim %d of size %" PRId64,
				 r->fault == LIR_FAULT_BOUNDS_READ ? "a read of" : "a write to", name, r->index, r->dim,
				 buf->dim[r->dim]);
		break;
	case LIR_FAULT_UNINITIALISED:
		snprintf(r->text, sizeof r->text, "a read of '%.80s' before it was written: element %" PRId64, name, r->index);
		break;
	case LIR_FAULT_DIVIDE:
		snprintf(r->text, sizeof r->text, "an integer division of %" PRId64 " by zero or without a result", r->index);
		break;
	case LIR_FAULT_RACE:
		if (buf->scope == LIR_SHARED)
			snprintf(r->text, sizeof r->text,
				 "a race: two work-items touch element %" PRId64 " of '%.80s' with no barrier between, and one writes it",
				 r->index, name);
		else snprintf(r->text, sizeof r->text,
			 "a race: two iterations of the parallel loops touch element %" PRId64 " of '%.80s', and one writes it",
			 r->index, name);
		break;
	case LIR_FAULT_STEPS: snprintf(r->text, sizeof r->text, "more than %" PRId64 " loop iterations", r->index); break;
	}
}

/* ---- statements ---- */

static void run_seq(const struct step *s, struct vm *vm)
{
	for (uint32_t i = 0; i < s->nbody; i++)
		s->body[i]->run(s->body[i], vm);
}

static void run_for(const struct step *s, struct vm *vm)
{
	uint64_t first = (uint64_t)s->min->run(s->min, vm).i;
	int64_t n = s->extent->run(s->extent, vm).i;
	const struct step *body = s->body[0];

	for (int64_t k = 0; k < n; k++) {
		if (vm->steps == vm->max_steps)
			lir_fault(vm, LIR_FAULT_STEPS, NULL, 0, (int64_t)vm->max_steps);
		vm->steps++;
		vm->slot[s->slot].i = (int64_t)(first + (uint64_t)k);
		body->run(body, vm);
	}
}

/* While races are looked for: every iteration has a number of its own. */
static void run_parallel(const struct step *s, struct vm *vm)
{
	uint64_t first = (uint64_t)s->min->run(s->min, vm).i;
	int64_t n = s->extent->run(s->extent, vm).i;
	uint64_t outer = vm->iteration;

	for (int64_t k = 0; k < n; k++) {
		if (vm->steps == vm->max_steps)
			lir_fault(vm, LIR_FAULT_STEPS, NULL, 0, (int64_t)vm->max_steps);
		vm->steps++;
		vm->iteration = ++vm->iterations;
		vm->slot[s->slot].i = (int64_t)(first + (uint64_t)k);
		s->body[0]->run(s->body[0], vm);
	}
	vm->iteration = outer;
}

/* Iteration k is work-item k % group's. While races are looked for, each work-item counts as an iteration of its own. */
static void run_thread(const struct step *s, struct vm *vm)
{
	uint64_t first = (uint64_t)s->min->run(s->min, vm).i;
	int64_t n = s->extent->run(s->extent, vm).i;
	uint64_t group = vm->iteration;

	for (int64_t k = 0; k < n; k++) {
		if (vm->steps == vm->max_steps)
			lir_fault(vm, LIR_FAULT_STEPS, NULL, 0, (int64_t)vm->max_steps);
		vm->steps++;
		vm->item = (uint64_t)k % (uint64_t)s->lanes;
		vm->iteration = group * LIR_MAX_GROUP + vm->item;
		vm->slot[s->slot].i = (int64_t)(first + (uint64_t)k);
		s->body[0]->run(s->body[0], vm);
	}
	vm->iteration = group;
	vm->epoch += s->barrier;
}

static void run_if(const struct step *s, struct vm *vm)
{
	if (s->value->run(s->value, vm).i)
		s->body[0]->run(s->body[0], vm);
	else if (s->nbody == 2)
		s->body[1]->run(s->body[1], vm);
}

static void run_let(const struct step *s, struct vm *vm)
{
	if (s->lanes == 1)
		vm->slot[s->slot] = s->value->run(s->value, vm);
	else
		s->value->runv(s->value, vm, vm->slot + s->slot);
	s->body[0]->run(s->body[0], vm);
}

static void run_alloc(const struct step *s, struct vm *vm)
{
	const struct lir_buffer *buf = s->mem->buffer;
	size_t bytes = (size_t)buf->elements * dtype_size(buf->dtype) * (buf->scope == LIR_PRIVATE ? (size_t)s->lanes : 1);

	memset(s->mem->written, 0, bytes);
	if (s->mem->touched && buf->scope != LIR_SHARED)
		memset(s->mem->touched, 0, bytes * sizeof *s->mem->touched);
	s->body[0]->run(s->body[0], vm);
}

/* The value is computed before the indices: a fault in it comes first, as in "value; then where". */
static void store_at(const struct step *s, struct vm *vm, int64_t at, union val v)
{
	size_t size = dtype_size(s->type), byte = (size_t)at * size;

	lir_pack(s->type, v, s->access->mem->data + byte);
	if (s->access->mem->written)
		memset(s->access->mem->written + byte, 0xff, size);
	if (s->access->mem->touched)
		lir_race_write(s->access->mem, vm, at, size);
}

static void run_store(const struct step *s, struct vm *vm)
{
	union val v = s->value->run(s->value, vm);

	store_at(s, vm, lir_address(s->access, vm), v);
}

static void run_store_f32(const struct step *s, struct vm *vm)
{
	const struct memory *m = s->access->mem;
	union val v = s->value->run(s->value, vm);
	int64_t at = lir_address(s->access, vm);
	size_t byte = (size_t)at * 4;

	memcpy(m->data + byte, &v.f, 4);
	if (m->written)
		memset(m->written + byte, 0xff, 4);
	if (m->touched)
		lir_race_write(m, vm, at, 4);
}

static void run_store_lanes(const struct step *s, struct vm *vm)
{
	union val v[LIR_MAX_LANES];
	int64_t at[LIR_MAX_LANES];

	s->value->runv(s->value, vm, v);
	lir_addresses(s->access, vm, at);
	for (int l = 0; l < s->lanes; l++)
		store_at(s, vm, at[l], v[l]);
}

/* ---- compiling ---- */

static bool add_memory(struct compiler *k, const struct lir_buffer *buf, uint8_t *data, bool track, struct err *e)
{
	struct memory *m = &k->mem[buf->id];
	uint64_t rows = buf->scope == LIR_PRIVATE ? (uint64_t)k->f->group : 1, bytes = (uint64_t)buf->elements * dtype_size(buf->dtype) * rows;
	bool races = track && k->races && buf->scope != LIR_PRIVATE && (!k->in_parallel || buf->scope == LIR_SHARED);

	m->buffer = buf;
	if (!data) {
		k->scratch += bytes;
		if (bytes > MAX_SCRATCH || k->scratch > MAX_SCRATCH)
			return err_set(e, ERR_BAD_IR, "buffer '%s': more than %" PRIu64 " bytes of local memory", buf->name,
				       MAX_SCRATCH);
	}
	m->data = data ? data : arena_zalloc(k->a, bytes);
	m->written = track ? arena_zalloc(k->a, bytes) : NULL;
	m->touched = races ? arena_zalloc(k->a, bytes * sizeof *m->touched) : NULL;
	return true;
}

static const struct step *compile(struct compiler *k, const struct lir_stmt *s, struct err *e);

static uint32_t new_slot(struct compiler *k, const struct lir_var *v)
{
	k->slot[v->id] = k->nslots;
	k->nslots += (uint32_t)v->type.lanes;
	return k->slot[v->id];
}

static void compile_store(struct compiler *k, const struct lir_stmt *s, struct step *t)
{
	t->access = lir_compile_access(k, s->buffer, s->index, s->nindex, true);
	t->type = s->access;
	t->lanes = s->value->type.lanes;
	t->run = t->lanes > 1 ? run_store_lanes : s->access == DT_F32 && s->buffer->dtype == DT_F32 ? run_store_f32 : run_store;
}

static const struct step *compile(struct compiler *k, const struct lir_stmt *s, struct err *e)
{
	static void (*const run[])(const struct step *, struct vm *) = {
	    [LIR_FOR] = run_for,     [LIR_IF] = run_if,   [LIR_LET] = run_let,
	    [LIR_ALLOC] = run_alloc, [LIR_SEQ] = run_seq, [LIR_STORE] = run_store,
	};
	struct step *t = ARENA_NEW(k->a, struct step);
	bool opens = s->kind == LIR_FOR && s->loop == LIR_PARALLEL && !k->in_parallel;

	t->run = s->kind == LIR_FOR && s->loop == LIR_PARALLEL && k->races ? run_parallel : run[s->kind];
	if (lir_is_thread(s))
		t->run = run_thread;
	t->barrier = s->loop == LIR_THREAD;
	t->min = s->min ? lir_compile_expr(k, s->min) : NULL;
	t->extent = s->extent ? lir_compile_expr(k, s->extent) : NULL;
	t->value = s->value ? lir_compile_expr(k, s->value) : NULL;
	if (s->kind == LIR_FOR || s->kind == LIR_LET) {
		t->slot = new_slot(k, s->var);
		t->lanes = lir_is_thread(s) ? (int)k->f->group : s->var->type.lanes;
	} else if (s->kind == LIR_ALLOC) {
		t->lanes = (int)k->f->group;
		if (!add_memory(k, s->buffer, NULL, true, e))
			return NULL;
		t->mem = &k->mem[s->buffer->id];
	} else if (s->kind == LIR_STORE) {
		compile_store(k, s, t);
	}
	t->nbody = s->nbody;
	t->body = ARENA_ARRAY(k->a, const struct step *, s->nbody);
	k->in_parallel |= opens;
	for (uint32_t i = 0; i < s->nbody; i++) {
		t->body[i] = compile(k, s->body[i], e);
		if (!t->body[i])
			return NULL;
	}
	k->in_parallel &= !opens;
	return t;
}

/* ---- the whole ---- */

static void execute(struct vm *vm, const struct step *program)
{
	if (!setjmp(vm->escape))
		program->run(program, vm);
}

static uint64_t count_unwritten(const struct compiler *k)
{
	uint64_t n = 0;

	for (uint32_t i = k->f->nparams - k->f->nout; i < k->f->nparams; i++) {
		const struct memory *m = &k->mem[i];
		size_t bytes = (size_t)m->buffer->elements * dtype_size(m->buffer->dtype);

		for (size_t b = 0; m->written && b < bytes; b++)
			n += !m->written[b];
	}
	return n;
}

static bool interpret(struct compiler *k, const struct lir_interp_options *o, struct lir_interp_result *r, struct err *e)
{
	struct vm vm = {
	    .max_steps = o && o->max_steps ? o->max_steps : UINT64_MAX, .result = r, .iteration = OUTSIDE, .iterations = OUTSIDE, .epoch = 1};
	const struct lir_func *f = k->f;
	const struct step *program;

	k->mem = ARENA_ARRAY(k->a, struct memory, f->nbuffers);
	k->slot = ARENA_ARRAY(k->a, uint32_t, f->nvars);
	k->races = o && o->races && (f->group || lir_has_parallel(f));
	for (uint32_t i = 0; i < f->nparams; i++) {
		bool output = i + f->nout >= f->nparams, holds = o && o->outputs_initialised;

		if (!add_memory(k, f->param[i], k->param[i], output && (!holds || k->races), e))
			return false;
		if (output && holds && k->races)
			memset(k->mem[i].written, 0xff, (size_t)f->param[i]->elements * dtype_size(f->param[i]->dtype));
	}
	program = compile(k, f->body, e);
	if (!program)
		return false;
	vm.slot = ARENA_ARRAY(k->a, union val, k->nslots);
	execute(&vm, program);
	r->steps = vm.steps;
	r->device_defined = vm.device_defined;
	r->unwritten = count_unwritten(k);
	describe(r);
	return true;
}

bool lir_interp(const struct lir_func *f, void *const *param, const struct lir_interp_options *o, struct lir_interp_result *r,
		struct err *e)
{
	struct compiler k = {.f = f, .param = param};
	bool ok;

	*r = (struct lir_interp_result){0};
	if (!lir_verify(f, e))
		return err_in(e, "function '%s'", f->name);
	k.a = arena_new(NULL);
	ok = interpret(&k, o, r, e);
	arena_free(k.a);
	return ok;
}
