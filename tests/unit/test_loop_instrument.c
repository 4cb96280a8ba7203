/* test_loop_instrument.c: what an instrumented function reports is what the interpreter faults at, and else nothing changes
 *
 * MUTATENN_FUZZ_ROUNDS sets how many random functions are tried (default 2000), MUTATENN_FUZZ_SEED the first one's seed.
 */
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "fuzz_access.h"
#include "fuzz_func.h"
#include "loop/loop.h"
#include "test_support.h"

static const unsigned all = LIR_CHECK_BOUNDS | LIR_CHECK_INIT;

/* The report of the instrumented function, run by the interpreter on data of its own. */
static bool run(struct arena *a, const struct lir_instrumented *r, void *const *param, uint32_t nparams, struct lir_finding *found)
{
	struct lir_interp_options o = {.outputs_initialised = true, .max_steps = 10000000};
	struct lir_interp_result got;
	struct err e = {0};
	void **arg = ARENA_ARRAY(a, void *, r->func->nparams);

	memcpy(arg, param, nparams * sizeof *arg);
	for (uint32_t i = nparams; i < r->func->nparams; i++)
		arg[i] = arena_zalloc(a, (size_t)r->func->param[i]->elements * 4);
	cr_assert(lir_interp(r->func, arg, &o, &got, &e), "%s", err_text(&e));
	if (got.fault == LIR_FAULT_DIVIDE)
		return false;
	cr_assert_eq(got.fault, LIR_OK, "the instrumented function: %s", got.text);
	lir_finding(r, arg[r->func->nparams - 1], found);
	return true;
}

static void expect_same(const struct lir_func *f, const struct lir_interp_result *want, const struct lir_finding *have,
			uint64_t seed)
{
	struct str text = {0};
	bool same;

	if (!have->site)
		same = !want->fault;
	else
		same = have->site->fault == want->fault && have->seen == want->index &&
		       !strcmp(have->site->buffer->name, want->buffer->name) &&
		       (want->fault == LIR_FAULT_UNINITIALISED || have->site->dim == want->dim);
	lir_print(&text, f);
	cr_expect(same, "seed %llu: '%s' instead of '%s'\n%s", (unsigned long long)seed, have->text, want->text, str_text(&text));
	str_free(&text);
}

static bool reports_an_index(const struct lir_interp_result *r)
{
	return r->fault != LIR_FAULT_DIVIDE && r->index < INT32_MAX - 1 && r->index > INT32_MIN;
}

static int check(uint64_t seed, unsigned with)
{
	struct arena *a = arena_new(NULL);
	struct lir_func *f = fuzz_access_func(a, seed, with);
	struct lir_instrumented r;
	struct err e = {0};
	int faults = 0;

	cr_assert(lir_instrument(a, f, NULL, all, &r, &e), "seed %llu: %s", (unsigned long long)seed, err_text(&e));
	for (int d = 0; d < FUZZ_ACCESS_DATA; d++) {
		void **want = fuzz_access_data(a, f, d), **have = fuzz_access_data(a, f, d);
		struct lir_interp_result result;
		struct lir_finding found = {0};

		cr_assert(lir_interp(f, want, NULL, &result, &e), "%s", err_text(&e));
		if (!reports_an_index(&result) || (r.func && !run(a, &r, have, f->nparams, &found)))
			continue;
		expect_same(f, &result, &found, seed);
		faults += result.fault != LIR_OK;
		for (uint32_t i = f->nparams - f->nout; r.func && !result.fault && i < f->nparams; i++)
			cr_expect(!memcmp(want[i], have[i], (size_t)f->param[i]->elements * 4), "seed %llu: output %u differs",
				  (unsigned long long)seed, i);
	}
	arena_free(a);
	return faults;
}

TEST(instrument, random_functions_report_the_interpreters_first_fault)
{
	static const unsigned with[] = {0, FUZZ_STORES, FUZZ_STORES | FUZZ_VECTORS, FUZZ_STORES | FUZZ_VECTORS | FUZZ_VIEWS,
					FUZZ_STORES | FUZZ_PARALLEL};
	long first = fuzz_setting("MUTATENN_FUZZ_SEED", 1), rounds = fuzz_setting("MUTATENN_FUZZ_ROUNDS", 2000);
	int faults = 0;

	for (long seed = first; seed < first + rounds; seed++)
		faults += check((uint64_t)seed, with[seed % 5]);
	cr_expect(rounds < 1000 || faults > rounds, "only %d faults", faults);
}

static struct lir_func *parse(struct arena *a, const char *text)
{
	struct lir_func *f;
	struct err e = {0};

	cr_assert(lir_parse(a, "test", text, strlen(text), &f, &e), "%s", err_text(&e));
	return f;
}

TEST(instrument, a_finding_names_buffer_dim_index_size_and_statement)
{
	struct arena *a = arena_new(NULL);
	struct lir_func *f =
	    parse(a, "func f(x: f32[4], n: i64[], out y: f32[4]) {\n  for i in 0..4 serial {\n    y[i] = x[i + n[]]\n  }\n}\n");
	struct lir_instrumented r;
	struct lir_finding found;
	float x[4] = {1, 2, 3, 4}, y[4];
	int64_t n = 2;
	struct err e = {0};

	cr_assert(lir_instrument(a, f, NULL, all, &r, &e));
	run(a, &r, (void *[]){x, &n, y}, 3, &found);
	cr_expect_str_eq(found.text, "a read of 'x' out of bounds: index 4 in dim 0 of size 4 in 'y[i] = x[i + n[]]'");
	cr_expect_eq(y[1], 4);
	cr_expect(y[2] != y[2], "a NaN is read there");
	n = 0;
	run(a, &r, (void *[]){x, &n, y}, 3, &found);
	cr_expect_null(found.site);
	arena_free(a);
}

TEST(instrument, a_loop_that_would_run_too_long_ends_at_its_budget_and_says_so)
{
	struct arena *a = arena_new(NULL);
	const char *text =
	    "func f(n: i64[], out y: i64[]) {\n  y[] = 0\n  for i in 0..min(n[], 7) serial {\n    y[] = y[] + 1\n  }\n}\n";
	struct lir_func *original = parse(a, text), *mutant = lir_func_clone(a, original);
	struct lir_instrumented r;
	struct lir_finding found;
	struct lir_stmt *loop = mutant->body->body[1];
	int64_t n = 5, y;
	struct err e = {0};

	cr_assert(lir_instrument(a, original, original, LIR_CHECK_TRIPS, &r, &e));
	cr_expect_null(r.func, "seven is enough");
	loop->extent->op = LIR_MAX;
	cr_assert(lir_instrument(a, mutant, original, LIR_CHECK_TRIPS, &r, &e));
	run(a, &r, (void *[]){&n, &y}, 2, &found);
	cr_expect_eq(y, 7);
	cr_expect_null(found.site);
	n = 123456;
	run(a, &r, (void *[]){&n, &y}, 2, &found);
	cr_expect_eq(y, 700);
	cr_expect_str_eq(found.text, "the loop over 'i' would run 123456 times: its budget is 700");
	n = INT64_MAX;
	run(a, &r, (void *[]){&n, &y}, 2, &found);
	cr_expect_str_eq(found.text, "the loop over 'i' would run 2147483646 times or more: its budget is 700");
	arena_free(a);
}
