/* checks_case.c: one instrumented function by the interpreter and on a device */
#include "checks_case.h"

#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "codegen/codegen.h"
#include "device/device.h"
#include "fuzz_access.h"
#include "fuzz_func.h"
#include "group_run.h"
#include "loop/loop.h"
#include "test_support.h"

static void **data(struct arena *a, const struct lir_func *plain, const struct lir_func *f, int which)
{
	void **given = fuzz_access_data(a, plain, which), **all = ARENA_ARRAY(a, void *, f->nparams);

	memcpy(all, given, plain->nparams * sizeof *all);
	for (uint32_t i = plain->nparams; i < f->nparams; i++)
		all[i] = arena_zalloc(a, (size_t)f->param[i]->elements * 4 + 64);
	return all;
}

static void run(const struct device_ops *ops, struct device *d, struct arena *a, const struct lir_func *f, void *const *buffer)
{
	struct codegen_shape shape;
	struct artefact art;
	struct str source = {0};
	struct kernel *k;
	struct err e = {0};

	if (!ops->run) {
		cr_assert(group_run(ops, d, a, f, buffer, 1, NULL, &e), "%s", err_text(&e));
		return;
	}
	cr_assert(codegen_emit(ops->caps(d)->dialect, f, &source, &shape, &e), "%s", err_text(&e));
	cr_assert(ops->compile(d, a, str_text(&source), f->contract, &art, &e), "%s\n%s", err_text(&e), str_text(&source));
	cr_assert(ops->load(d, &art, &k, &e) && ops->run(d, k, buffer, false, &e), "%s", err_text(&e));
	ops->unload(d, k);
	str_free(&source);
}

static bool one(const struct device_ops *ops, struct device *d, uint64_t seed, int which)
{
	struct arena *a = arena_new(NULL);
	struct lir_func *plain = fuzz_access_func(a, seed, ops->run ? FUZZ_STORES | FUZZ_VECTORS : FUZZ_STORES);
	struct lir_interp_options o = {.outputs_initialised = true};
	struct lir_interp_result result;
	struct lir_instrumented r;
	struct lir_finding found = {0};
	struct err e = {0};
	void **want, **have;
	int64_t where = 0;

	cr_assert(lir_instrument(a, plain, NULL, LIR_CHECK_BOUNDS | LIR_CHECK_INIT, &r, &e), "%s", err_text(&e));
	if (r.func) {
		want = data(a, plain, r.func, which);
		have = data(a, plain, r.func, which);
		cr_assert(lir_interp(r.func, want, &o, &result, &e), "%s", err_text(&e));
		if (!result.fault && !result.device_defined) {
			run(ops, d, a, r.func, have);
			for (uint32_t i = r.func->nparams - r.func->nout; i < r.func->nparams; i++)
				cr_expect(fuzz_equal(r.func->param[i], want[i], have[i], &where),
					  "%s, seed %llu: '%s'[%lld] differs", ops->caps(d)->dialect, (unsigned long long)seed,
					  r.func->param[i]->name, (long long)where);
			lir_finding(&r, have[r.func->nparams - 1], &found);
		}
	}
	arena_free(a);
	return found.site != NULL;
}

void checks_run(const struct device_ops *ops, struct device *d, uint64_t first, long rounds)
{
	long found = 0;

	for (uint64_t seed = first; found < rounds && seed < first + 20 * (uint64_t)rounds; seed++)
		found += one(ops, d, seed, (int)(seed % FUZZ_ACCESS_DATA));
	cr_expect_eq(found, rounds, "only %ld functions were found out", found);
}
