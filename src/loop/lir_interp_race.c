/* lir_interp_race.c: do two iterations of the parallel loops touch the same memory, one of them writing?
 *
 * The interpreter runs the iterations one after the other; a device may run them at the same time. Each byte that an iteration
 * can write has a mark: who touched it, and whether it was written. What runs outside the parallel loops counts as one more
 * iteration, because on devices it is no step before them or behind them: every work-item runs it for itself.
 *
 * A local buffer from outside the loops is another matter: each thread has its own copy, so that writing is no race. But who reads
 * what an earlier iteration left there relies on that iteration having run before it in the same thread.
 */
#include "loop/lir_interp_internal.h"

#define ITEMS (2 * LIR_MAX_GROUP)
#define MANY (UINT64_MAX - 1) /* read by several iterations, written by none */

/* Of shared memory: what was touched before the last barrier is nobody's. */
static void shared(const struct memory *m, struct vm *vm, int64_t at, size_t size, bool write)
{
	uint64_t own = (vm->epoch * ITEMS + vm->item) << 1, many = (vm->epoch * ITEMS + ITEMS - 1) << 1, *mark = m->touched + (size_t)at * size;

	for (size_t i = 0; i < size; i++) {
		bool current = (mark[i] >> 1) / ITEMS == vm->epoch, written = mark[i] & 1;

		if (current && mark[i] >> 1 != own >> 1 && (write || written))
			lir_fault(vm, LIR_FAULT_RACE, m->buffer, 0, at);
		if (current && mark[i] >> 1 != own >> 1)
			mark[i] = many; /* read by several */
		else if (!current || write)
			mark[i] = own | write;
	}
}

void lir_race_read(const struct memory *m, struct vm *vm, int64_t at, size_t size)
{
	uint64_t *mark = m->touched + (size_t)at * size;

	if (m->buffer->scope == LIR_SHARED) {
		shared(m, vm, at, size, false);
		return;
	}
	for (size_t i = 0; i < size; i++) {
		uint64_t who = mark[i] >> 1;
		bool written = mark[i] & 1;

		if (who == vm->iteration)
			continue;
		if (m->buffer->scope == LIR_LOCAL ? who != OUTSIDE : written)
			lir_fault(vm, LIR_FAULT_RACE, m->buffer, 0, at);
		if (m->buffer->scope != LIR_LOCAL)
			mark[i] = mark[i] ? MANY : vm->iteration << 1;
	}
}

void lir_race_write(const struct memory *m, struct vm *vm, int64_t at, size_t size)
{
	uint64_t *mark = m->touched + (size_t)at * size;

	if (m->buffer->scope == LIR_SHARED) {
		shared(m, vm, at, size, true);
		return;
	}
	for (size_t i = 0; i < size; i++) {
		if (mark[i] && mark[i] >> 1 != vm->iteration && m->buffer->scope != LIR_LOCAL)
			lir_fault(vm, LIR_FAULT_RACE, m->buffer, 0, at);
		mark[i] = vm->iteration << 1 | 1;
	}
}
