/* group_run.c: tensors there, one launch, tensors back */
#include "group_run.h"

#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "codegen/codegen.h"
#include "device/device.h"
#include "loop/loop.h"
#include "test_support.h"

#define PATTERN 0x7fc5a5a5u

static size_t bytes_of(const struct lir_buffer *b)
{
	return (size_t)b->elements * dtype_size(b->dtype);
}

static bool upload(const struct device_ops *ops, struct device *d, const struct lir_buffer *b, const void *data,
		   struct device_memory **out, struct err *e)
{
	size_t n = bytes_of(b), pad = BUNDLE_PAD * dtype_size(b->dtype);

	return ops->memory_new(d, n, pad, out, e) &&
	       ops->memory_fill(d, *out, -(int64_t)pad, (pad + n + 3) / 4 * 4 + pad - 4, PATTERN, e) &&
	       ops->memory_write(d, *out, 0, data, n, e);
}

/* Everything that the kernel must not write is as it was. */
static void expect_untouched(const struct device_ops *ops, struct device *d, struct arena *a, const struct lir_buffer *b,
			     struct device_memory *m, const void *was)
{
	size_t n = bytes_of(b), pad = BUNDLE_PAD * dtype_size(b->dtype), tail = (n + 3) / 4 * 4;
	uint32_t *front = arena_alloc(a, pad), *back = arena_alloc(a, pad - 4);
	struct err e = {0};

	cr_assert(ops->memory_read(d, m, -(int64_t)pad, front, pad, &e), "%s", err_text(&e));
	cr_assert(ops->memory_read(d, m, (int64_t)tail, back, pad - 4, &e), "%s", err_text(&e));
	for (size_t i = 0; i < pad / 4; i++)
		cr_assert_eq(front[i], PATTERN, "in front of '%s': word %zu", b->name, i);
	for (size_t i = 0; i < pad / 4 - 1; i++)
		cr_assert_eq(back[i], PATTERN, "behind '%s': word %zu", b->name, i);
	if (was) {
		void *now = arena_alloc(a, n);

		cr_assert(ops->memory_read(d, m, 0, now, n, &e), "%s", err_text(&e));
		cr_assert_eq(memcmp(was, now, n), 0, "the input '%s' was changed", b->name);
	}
}

bool group_run(const struct device_ops *ops, struct device *d, struct arena *a, const struct lir_func *f, void *const *buffer,
	       uint64_t divide, double *seconds, struct err *e)
{
	return group_run_as(ops->caps(d)->dialect, ops, d, a, f, buffer, divide, seconds, e);
}

bool group_run_as(const char *dialect, const struct device_ops *ops, struct device *d, struct arena *a, const struct lir_func *f,
		  void *const *buffer, uint64_t divide, double *seconds, struct err *e)
{
	struct device_memory **memory = ARENA_ARRAY(a, struct device_memory *, f->nparams);
	struct device_launch l = {.arg = memory, .nargs = f->nparams};
	struct codegen_shape shape;
	struct str source = {0};
	struct artefact art = {0};
	uint32_t nin = f->nparams - f->nout;
	bool ok;

	memset(memory, 0, f->nparams * sizeof *memory);
	ok = codegen_emit(dialect, f, &source, &shape, e) &&
	     ops->compile(d, a, str_text(&source), f->contract, &art, e) && ops->load(d, &art, &l.kernel, e);
	l.groups = shape.groups > divide ? shape.groups / divide : 1;
	l.group = shape.group;
	for (uint32_t i = 0; ok && i < f->nparams; i++)
		ok = upload(ops, d, f->param[i], buffer[i], &memory[i], e);
	ok = ok && ops->launch(d, &l, e) && ops->finish(d, seconds, 1, e);
	for (uint32_t i = 0; ok && i < f->nparams; i++) {
		expect_untouched(ops, d, a, f->param[i], memory[i], i < nin ? buffer[i] : NULL);
		ok = i < nin || ops->memory_read(d, memory[i], 0, buffer[i], bytes_of(f->param[i]), e);
	}
	for (uint32_t i = 0; i < f->nparams; i++)
		if (memory[i])
			ops->memory_free(d, memory[i]);
	if (l.kernel)
		ops->unload(d, l.kernel);
	str_free(&source);
	return ok;
}
