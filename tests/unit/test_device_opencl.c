/* test_device_opencl.c: PoCL: what the code of a kernel is, built alone and together with others; refusals
 *
 * Skipped where PoCL is absent.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "device/device_internal.h"
#include "test_support.h"

#define HEAD "__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void mutatenn_kernel(__global const float *in0, __global float *out0)\n"
#define KERNEL HEAD "{\n\tfor (int i = 0; i < 8; i++) {\n\t\tfloat acc = in0[i] * 2.0f;\n\t\tout0[i] = acc;\n\t}\n}\n"

static const struct device_ops *ops;

static struct device *open_device(const char *cache)
{
	struct device_options o = {.name = "pocl", .select = "Portable", .threads = 1, .cache_dir = cache};
	struct device *d = NULL;
	struct err e = {0};
	bool ok;

	ops = device_find("opencl");
	if (!ops)
		cr_skip_test("built without OpenCL");
	test_leaks_of_others(true);
	ok = ops->open(&o, &d, &e);
	test_leaks_of_others(false);
	if (!ok)
		cr_skip_test("%s", err_text(&e));
	return d;
}

static struct hash code(struct device *d, struct arena *a, const char *source, bool cached)
{
	struct artefact art = {0};
	struct err e = {0};

	test_leaks_of_others(true);
	cr_assert(ops->compile(d, a, source, false, &art, &e), "%s", err_text(&e));
	test_leaks_of_others(false);
	cr_expect_eq(art.cached, cached);
	return art.code;
}

TEST(device_opencl, what_pocl_makes_the_same_object_of_is_the_same_code)
{
	char cache[] = "/tmp/mutatenn-opencl-XXXXXX", remove[64];
	struct arena *a = arena_new(NULL);
	struct device *d;
	struct hash one;

	cr_assert(mkdtemp(cache) != NULL);
	d = open_device(cache);
	one = code(d, a, KERNEL, false);
	cr_expect(hash_eq(one, code(d, a, "/* names */\n" HEAD "{\n\tfor (int k = 0; k < 8; k++) {\n\t\tfloat sum = in0[k] * 2.0f;\n"
				    "\t\tout0[k] = sum;\n\t}\n}\n", false)));
	cr_expect(hash_eq(one, code(d, a, HEAD "{\n\tfor (int i = 0; i < 8; i++)\n\t\tout0[i] = in0[i] * (4.0f - 2.0f);\n}\n", false)));
	cr_expect(!hash_eq(one, code(d, a, HEAD "{\n\tfor (int i = 0; i < 8; i++)\n\t\tout0[i] = in0[i] * 3.0f;\n}\n", false)));
	cr_expect(!hash_eq(one, code(d, a, HEAD "{\n\tfor (int i = 0; i < 7; i++)\n\t\tout0[i] = in0[i] * 2.0f;\n}\n", false)));
	ops->close(d);
	d = open_device(cache);
	cr_expect(hash_eq(one, code(d, a, KERNEL, true)), "from the cache");
	ops->close(d);
	snprintf(remove, sizeof remove, "rm -rf '%s'", cache);
	cr_expect_eq(system(remove), 0);
	arena_free(a);
}

static void expect_refused(struct err *e, const char *part)
{
	cr_expect(strstr(err_text(e), part), "'%s' is not in '%s'", part, err_text(e));
	err_free(e);
}

TEST(device_opencl, refusals_say_why_and_the_device_goes_on)
{
	static const float two[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	struct artefact art = {0}, bad = {.data = (uint8_t *)"no program at all, but long", .size = 27};
	struct device *d = open_device("");
	struct arena *a = arena_new(NULL);
	struct device_memory *in = NULL, *out = NULL, *huge = NULL, *arg[2];
	struct device_launch l = {.arg = arg, .nargs = 2, .groups = 1, .group = 1};
	struct kernel *none;
	float got[8] = {0};
	double seconds;
	struct err e = {0};

	test_leaks_of_others(true);
	cr_expect(!ops->compile(d, a, HEAD "{\n\tout0[0] = nobody;\n}\n", false, &art, &e));
	cr_expect(strstr(art.log, "undeclared identifier 'nobody'"), "%s", art.log);
	expect_refused(&e, "the driver refused the kernel: the program does not build (-11): ");
	cr_expect(!ops->load(d, &bad, &none, &e));
	expect_refused(&e, "clCreateProgramWithBinary");
	cr_expect(!ops->memory_new(d, (size_t)1 << 50, 4096, &huge, &e));
	expect_refused(&e, "allocating a tensor: out of device memory");
	cr_assert(ops->memory_new(d, sizeof two, 64, &in, &e) && ops->memory_new(d, sizeof two, 64, &out, &e), "%s", err_text(&e));
	cr_assert(ops->memory_write(d, in, 0, two, sizeof two, &e), "%s", err_text(&e));
	cr_assert(ops->compile(d, a, KERNEL, false, &art, &e) && ops->load(d, &art, &l.kernel, &e), "%s", err_text(&e));
	arg[0] = in;
	arg[1] = out;
	l.group = ops->caps(d)->max_group + 1;
	cr_expect(!ops->launch(d, &l, &e));
	expect_refused(&e, "over the device's limit");
	l.group = 2; /* the kernel says 1 */
	cr_expect(!ops->launch(d, &l, &e));
	expect_refused(&e, "a work-group of that size is over the limit");
	l.group = 1;
	cr_assert(ops->launch(d, &l, &e) && ops->finish(d, &seconds, 1, &e), "%s", err_text(&e));
	cr_assert(ops->memory_read(d, out, 0, got, sizeof got, &e), "%s", err_text(&e));
	test_leaks_of_others(false);
	for (int i = 0; i < 8; i++)
		cr_expect_eq(got[i], 2 * two[i]);
	ops->memory_free(d, in);
	ops->memory_free(d, out);
	ops->close(d);
	arena_free(a);
}

/* ---- several in one program -------------------------------------------------------------------------------------- */

#define TEXT(helpers, body) "#pragma OPENCL FP_CONTRACT OFF\n" helpers "\n" HEAD "{\n" body "}\n"
#define ADD "static inline float add(float a, float b)\n{\n\treturn a + b;\n}\n"
#define MAX "static inline float max_f32(float a, float b) { return a > b ? a : b; }\n"

static const char *const texts[] = {
    TEXT(ADD MAX, "\tfor (int i = 0; i < 8; i++)\n\t\tout0[i] = max_f32(add(in0[i], 1.0f), 0.0f);\n"),
    TEXT(MAX ADD, "\tfor (int i = 0; i < 64; i++)\n\t\tout0[i] = exp(add(in0[i], in0[i + 1])) / max_f32(in0[i], 0.5f);\n"),
    TEXT("", "\tfor (int i = 0; i < 8; i++)\n\t\tout0[i] = in0[i] * 3.0f;\n"),
    TEXT(MAX, "\tfor (int i = 0; i < 8; i++)\n\t\tout0[i] = tanh(max_f32(in0[i], 0.0f));\n"),
};
#define TEXTS (sizeof texts / sizeof *texts)

static void together(struct device *d, struct arena *a, const char *const *source, size_t n, struct artefact *out)
{
	test_leaks_of_others(true);
	ops->compile_together(d, a, source, n, out);
	test_leaks_of_others(false);
}

/* Cuts every file of the cache in half but the first one or two. */
static void truncate_cache(const char *dir, int but)
{
	DIR *d = opendir(dir);
	char path[400];

	for (struct dirent *f; (f = readdir(d));)
		if (f->d_name[0] != '.' && but-- <= 0) {
			snprintf(path, sizeof path, "%s/%s", dir, f->d_name);
			cr_assert_eq(truncate(path, 20000), 0);
		}
	closedir(d);
}

TEST(device_opencl, kernels_built_in_one_program_are_what_they_are_alone)
{
	char cache[] = "/tmp/mutatenn-opencl-XXXXXX", remove[64];
	struct arena *a = arena_new(NULL);
	struct artefact art[TEXTS], again[TEXTS];
	struct device *d = open_device("");
	struct kernel *k;
	struct err e = {0};
	struct hash alone[TEXTS];

	for (size_t i = 0; i < TEXTS; i++)
		alone[i] = code(d, a, texts[i], false);
	ops->close(d);
	cr_assert(mkdtemp(cache) != NULL);
	d = open_device(cache);
	cr_assert_eq(ops->caps(d)->together, 16u);
	together(d, a, texts, TEXTS, art);
	cr_expect_null(ops->caps(d)->apart, "the control, which the first program has: %s", ops->caps(d)->apart);
	for (size_t i = 0; i < TEXTS; i++) {
		cr_assert_not_null(art[i].data);
		cr_expect(!art[i].cached && hash_eq(art[i].code, alone[i]), "text %zu", i);
		cr_expect(ops->load(d, &art[i], &k, &e), "%s", err_text(&e));
	}
	ops->close(d);
	d = open_device(cache); /* each is in the cache under its own key */
	truncate_cache(cache, 1);
	together(d, a, texts, TEXTS, again);
	for (size_t i = 0, cached = 0; i < TEXTS; i++) {
		cr_assert_not_null(again[i].data);
		cr_expect(hash_eq(again[i].code, alone[i]));
		cr_expect_leq(cached += again[i].cached, 1u, "files that were cut are built again");
	}
	for (size_t i = 0; i < TEXTS; i++)
		cr_expect(hash_eq(code(d, a, texts[i], true), alone[i]));
	ops->close(d);
	snprintf(remove, sizeof remove, "rm -rf '%s'", cache);
	cr_expect_eq(system(remove), 0);
	arena_free(a);
}

TEST(device_opencl, kernels_that_do_not_fit_into_one_program_are_left_to_be_built_alone)
{
	static const char *const refused[] = {TEXT("", "\tout0[0] = 1.0f;\n"), TEXT("", "\tout0[0] = nobody_knows_this;\n")};
	static const char *const two[] = {TEXT("static inline float f(float x) { return x; }\n", "\tout0[0] = f(in0[0]);\n"),
					  TEXT("static inline float f(float x) { return -x; }\n", "\tout0[0] = f(in0[0]);\n")};
	static const char *const none[] = {TEXT("", "\tout0[0] = 1.0f;\n"), "this is no kernel\n"};
	struct arena *a = arena_new(NULL);
	struct device *d = open_device("");
	struct artefact art[2];

	for (int i = 0; i < 3; i++) {
		together(d, a, i == 0 ? refused : i == 1 ? two : none, 2, art);
		cr_expect(!art[0].data && !art[1].data, "%d", i);
	}
	cr_expect_eq(ops->caps(d)->together, 16u, "the texts' fault");
	cr_expect(!hash_eq(code(d, a, two[0], false), code(d, a, two[1], false)));
	ops->close(d);
	arena_free(a);
}

TEST(device_opencl, where_neighbours_change_a_kernel_each_is_built_alone)
{
	static const char *const line[] = {TEXT("", "\tout0[0] = 1.0f;\n"), TEXT("", "\tout0[0] = in0[__LINE__] + in0[0] + in0[1];\n")};
	struct arena *a = arena_new(NULL);
	struct device *d = open_device("");
	struct artefact art[TEXTS];

	together(d, a, line, 2, art);
	cr_expect(!art[0].data && !art[1].data);
	cr_expect_eq(ops->caps(d)->together, 0u);
	cr_expect_not_null(ops->caps(d)->apart);
	together(d, a, texts, TEXTS, art);
	for (size_t i = 0; i < TEXTS; i++)
		cr_expect_null(art[i].data);
	ops->close(d);
	arena_free(a);
}

TEST(device_opencl, a_damaged_program_has_no_kernels)
{
	struct artefact art = {0};
	struct arena *a = arena_new(NULL);
	struct device *d = open_device("");
	struct err e = {0};
	struct hash h;
	uint8_t *out;
	size_t size;

	test_leaks_of_others(true);
	cr_assert(ops->compile(d, a, texts[0], false, &art, &e));
	test_leaks_of_others(false);
	cr_expect(pocl_cut(a, art.data, art.size, "mutatenn_kernel", &out, &size) && size == art.size && !memcmp(out, art.data, size));
	cr_expect(!pocl_cut(a, art.data, art.size, "mutatenn_kerne", &out, &size));
	for (size_t n = 0; n < art.size; n += n < 200 || art.size - n < 200 ? 1 : 997) {
		uint8_t *cut = malloc(n + 1);

		memcpy(cut, art.data, n);
		cr_expect(!pocl_cut(a, cut, n, "mutatenn_kernel", &out, &size), "%zu bytes", n);
		pocl_object(cut, n, &h); /* must not crash */
		free(cut);
	}
	for (size_t at = 0; at < 200; at++) {
		uint8_t *copy = malloc(art.size);

		memcpy(copy, art.data, art.size);
		memset(copy + at, 0xff, 8);
		pocl_cut(a, copy, art.size, "mutatenn_kernel", &out, &size);
		pocl_object(copy, art.size, &h);
		free(copy);
	}
	ops->close(d);
	arena_free(a);
}
