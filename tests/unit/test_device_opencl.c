/* test_device_opencl.c: what the code of a kernel is on PoCL
 *
 * Skipped where PoCL is absent.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/err.h"
#include "device/device.h"
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
