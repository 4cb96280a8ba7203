/* test_codegen_checks.c: instrumented functions report on every kind of device what they report in the interpreter
 *
 * MUTATENN_FUZZ_ROUNDS sets how many findings there must be, MUTATENN_FUZZ_SEED where to begin. CUDA C: test_codegen_cuda.c.
 */
#include "base/err.h"
#include "checks_case.h"
#include "device/device.h"
#include "fuzz_func.h"
#include "test_support.h"

static void run(const char *backend, const char *cc, long first, long rounds)
{
	const struct device_ops *ops = device_find(backend);
	struct device_options o = {.cc = cc, .cache_dir = ""};
	struct device *d;
	struct err e = {0};

	if (!ops)
		cr_skip_test("this build has no backend '%s'", backend);
	test_leaks_of_others(true);
	if (!ops->open(&o, &d, &e))
		cr_skip_test("%s", err_text(&e));
	checks_run(ops, d, (uint64_t)fuzz_setting("MUTATENN_FUZZ_SEED", first), fuzz_setting("MUTATENN_FUZZ_ROUNDS", rounds));
	ops->close(d);
	test_leaks_of_others(false);
}

TEST(codegen_checks, gcc_reports_what_the_interpreter_reports)
{
	run("cpu", "gcc", 1, 10);
}

TEST(codegen_checks, clang_reports_what_the_interpreter_reports)
{
	run("cpu", "clang", 1, 10);
}

TEST(codegen_checks, opencl_reports_what_the_interpreter_reports)
{
	run("opencl", NULL, 10, 4); /* its compiler needs a minute for some others */
}

TEST(codegen_checks, vulkan_reports_what_the_interpreter_reports)
{
	run("vulkan", NULL, 1, 4);
}
