/* loop/lir_interp_internal.h: the compiled form of a function in the interpreter
 *
 * An expression becomes a tree of struct code, whose `run` (one lane) or `runv` (more) is a function made for its operator
 * and type. Every integer type is held sign- or zero-extended in 64 bits; f16 and bf16 are held as the float of the same
 * value. Variables live in slots, one per lane.
 */
#pragma once
#include <setjmp.h>

#include "loop/loop_internal.h"

union val {
	int64_t i; /* integers and bool */
	float f;   /* f32, f16, bf16 */
	double d;  /* f64 */
};

struct vm {
	union val *slot;
	uint64_t steps, max_steps;
	uint64_t device_defined;
	uint64_t iteration, iterations; /* of the parallel loops: the number of the one that runs, and the last number given out */
	uint64_t item, epoch; /* work-item in its group; barriers so far, from 1 */
	struct lir_interp_result *result;
	jmp_buf escape; /* taken by the first fault */
};

struct code;
typedef union val (*scalar_fn)(const struct code *c, struct vm *vm);
typedef void (*vector_fn)(const struct code *c, struct vm *vm, union val *out);

/* A sum of variables times constants: what most indices are. Exact, because i64 arithmetic wraps. */
#define MAX_TERMS 6
struct affine {
	int64_t constant;
	int n;
	uint32_t slot[MAX_TERMS];
	int64_t coef[MAX_TERMS];
};

struct index {
	const struct code *code; /* NULL: the affine form */
	struct affine sum;
};

struct memory {
	const struct lir_buffer *buffer;
	uint8_t *data;
	uint8_t *written; /* one byte per byte of data, 0xff once stored; NULL when all of it holds values and nothing is written */
	uint64_t *touched; /* of each byte, for races: iteration << 1 | whether it wrote, 0 when untouched; of shared memory
	                      (epoch * 2 * LIR_MAX_GROUP + item) << 1 | whether it wrote; NULL: not looked for. With `written` only */
};

struct access {
	struct memory *mem;
	int nd, lanes;
	int64_t step; /* of the last index, from lane to lane */
	bool write;
	struct index index[MAX_DIMS];
};

struct code {
	scalar_fn run;
	vector_fn runv;
	const struct code *arg[3];
	int lanes;
	union val imm;
	uint32_t slot;
	int number; /* a lane, a type */
	const struct affine *sum;
	const struct access *access;
	const void *fn;
};

#define RUN(k) c->arg[k]->run(c->arg[k], vm)
#define RUNV(k, out) c->arg[k]->runv(c->arg[k], vm, out)

struct compiler {
	struct arena *a; /* of this run */
	const struct lir_func *f;
	struct memory *mem; /* by buffer id */
	uint32_t *slot;     /* by variable id */
	uint32_t nslots;
	void *const *param;
	uint64_t scratch; /* bytes of local memory so far */
	bool races;       /* are looked for */
	bool in_parallel;
};

/* ---- lir_interp_ops.c, lir_interp_convert.c ---- */
extern const scalar_fn lir_binary_scalar[LIR_OP_COUNT][DT_COUNT];
extern const vector_fn lir_binary_vector[LIR_OP_COUNT][DT_COUNT];
void lir_code_cast(struct code *c, enum dtype from, enum dtype to);
void lir_code_bitcast(struct code *c, enum dtype from, enum dtype to);
void lir_code_call(struct code *c, enum lir_call call, enum dtype t);
union val lir_unpack(enum dtype t, const void *p);
void lir_pack(enum dtype t, union val v, void *p);
static inline float round_f16(float x)
{
	return f16_to_f32(f16_from_f32(x));
}
static inline float round_bf16(float x)
{
	return bf16_to_f32(bf16_from_f32(x));
}

/* ---- lir_interp_race.c ---- */
#define OUTSIDE 1 /* the iteration's number for what is in no parallel loop */
/* Element `at`, `size` bytes each, of a memory with `touched`. */
void lir_race_read(const struct memory *m, struct vm *vm, int64_t at, size_t size);
void lir_race_write(const struct memory *m, struct vm *vm, int64_t at, size_t size);

/* ---- lir_interp_expr.c ---- */
const struct code *lir_compile_expr(struct compiler *k, const struct lir_expr *x);
const struct access *lir_compile_access(struct compiler *k, const struct lir_buffer *buf, struct lir_expr *const *index, uint32_t n,
					bool write);
/* Element numbers of every lane, all within the buffer; a fault otherwise. */
int64_t lir_address(const struct access *x, struct vm *vm);
void lir_addresses(const struct access *x, struct vm *vm, int64_t *at);

/* ---- lir_interp.c ---- */
static inline _Noreturn void lir_fault(struct vm *vm, enum lir_fault fault, const struct lir_buffer *buf, int dim, int64_t index)
{
	vm->result->fault = fault;
	vm->result->buffer = buf;
	vm->result->dim = dim;
	vm->result->index = index;
	longjmp(vm->escape, 1);
}
