/* test_device_vulkan_api.c: memory, launches and refusals of the Vulkan device (lavapipe), without any IR
 *
 * Skipped where there is no such device.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "device/device.h"
#include "test_support.h"

static const struct device_ops *ops;

static bool open_as(const char *select, struct device **d, struct err *e)
{
	struct device_options o = {.name = "lavapipe", .select = select, .threads = 2, .cache_dir = ""};

	bool ok;

	ops = device_find("vulkan");
	if (!ops)
		cr_skip_test("built without Vulkan");
	test_leaks_of_others(true);
	ok = ops->open(&o, d, e);
	test_leaks_of_others(false);
	return ok;
}

static struct device *open_device(void)
{
	struct device *d = NULL;
	struct err e = {0};

	if (!open_as("llvmpipe", &d, &e))
		cr_skip_test("%s", err_text(&e));
	return d;
}

#define HEAD                                                                                                                       \
	"#version 450\nlayout(local_size_x = 64) in;\n"                                                                            \
	"layout(std430, set = 0, binding = 0) buffer B0 { uint v[]; } data;\n"

static struct kernel *build(struct device *d, struct arena *a, const char *source)
{
	struct artefact art;
	struct kernel *k = NULL;
	struct err e = {0};

	cr_assert(ops->compile(d, a, source, false, &art, &e), "%s", err_text(&e));
	cr_assert(ops->load(d, &art, &k, &e), "%s", err_text(&e));
	return k;
}

TEST(vulkan_api, what_is_queued_sees_what_was_queued_before)
{
	struct device *d = open_device();
	struct arena *a = arena_new(NULL);
	struct kernel *k =
	    build(d, a, HEAD "void main() { data.v[gl_GlobalInvocationID.x] = data.v[gl_GlobalInvocationID.x] * 3u + 1u; }\n");
	struct device_memory *m;
	struct device_launch l = {.kernel = k, .arg = &m, .nargs = 1, .groups = 4, .group = 64};
	uint32_t v[256], one = 1;
	double seconds[600];
	struct err e = {0};

	cr_assert(ops->memory_new(d, sizeof v, 0, &m, &e), "%s", err_text(&e));
	cr_assert(ops->memory_fill(d, m, 0, sizeof v, 2, &e));
	cr_assert(ops->launch(d, &l, &e)); /* 7 */
	cr_assert(ops->memory_write(d, m, 40, &one, 4, &e));
	one = 99;
	cr_assert(ops->launch(d, &l, &e)); /* 22, and 4 */
	cr_assert(ops->memory_fill(d, m, 400, 8, 5, &e));
	cr_assert(ops->memory_read(d, m, 0, v, sizeof v, &e));
	for (int i = 0; i < 256; i++)
		cr_assert_eq(v[i], i == 10 ? 4u : i == 100 || i == 101 ? 5u : 22u, "%d: %u", i, v[i]);
	cr_assert(ops->finish(d, seconds, 2, &e));
	for (int i = 0; i < 600; i++) /* more than one command buffer holds */
		cr_assert(ops->launch(d, &l, &e), "%s", err_text(&e));
	cr_assert(ops->finish(d, seconds, 600, &e), "%s", err_text(&e));
	for (int i = 0; i < 600; i++)
		cr_assert(seconds[i] > 0 && seconds[i] < 60, "launch %d took %g s", i, seconds[i]);
	ops->memory_free(d, m);
	arena_free(a);
	ops->close(d);
}

TEST(vulkan_api, names_and_comments_are_not_in_a_shaders_code)
{
	static const char *const text[] = {
	    HEAD "void main() { uint i = gl_GlobalInvocationID.x; data.v[i] = data.v[i] * 2u + 1u; }\n",
	    "#version 450\n/* again */\nlayout(local_size_x = 64) in;\n"
	    "layout(std430, set = 0, binding = 0) buffer Other { uint w[]; } tensor;\n"
	    "void main()\n{\n\tuint number = gl_GlobalInvocationID.x;\n\ttensor.w[number] = tensor.w[number] * 2u + 1u;\n}\n",
	    HEAD "void main() { uint i = gl_GlobalInvocationID.x; data.v[i] = data.v[i] * 2u + 2u; }\n"};
	struct device *d = open_device();
	struct arena *a = arena_new(NULL);
	struct artefact art[3];
	struct err e = {0};

	for (int i = 0; i < 3; i++)
		cr_assert(ops->compile(d, a, text[i], false, &art[i], &e), "%s", err_text(&e));
	cr_expect(hash_eq(art[0].code, art[1].code));
	cr_expect(!hash_eq(art[0].code, art[2].code));
	arena_free(a);
	ops->close(d);
}

TEST(vulkan_api, pads_are_in_reach_and_neighbours_are_not)
{
	struct device *d = open_device();
	struct device_memory *m[40];
	uint32_t v[24];
	struct err e = {0};

	for (uint32_t i = 0; i < 40; i++) { /* neighbours in one block */
		cr_assert(ops->memory_new(d, 32, 32, &m[i], &e), "%s", err_text(&e));
		cr_assert(ops->memory_fill(d, m[i], -32, 96, i, &e));
	}
	cr_assert(ops->memory_fill(d, m[7], -4, 40, 1000, &e));
	for (uint32_t i = 0; i < 40; i++) {
		cr_assert(ops->memory_read(d, m[i], -32, v, 96, &e));
		for (int k = 0; k < 24; k++)
			cr_assert_eq(v[k], i == 7 && k >= 7 && k <= 16 ? 1000u : i, "%u, word %d: %u", i, k, v[k]);
	}
	for (uint32_t i = 0; i < 40; i++)
		ops->memory_free(d, m[i]);
	cr_assert(ops->memory_new(d, 0, 0, &m[0], &e), "an empty tensor: %s", err_text(&e));
	ops->memory_free(d, m[0]);
	ops->close(d);
}

TEST(vulkan_api, more_groups_than_a_row_holds)
{
	struct device *d = open_device();
	struct arena *a = arena_new(NULL);
	struct kernel *k = build(d, a,
				 HEAD "void main() { uint g = gl_WorkGroupID.x + gl_WorkGroupID.y * gl_NumWorkGroups.x; if "
				      "(gl_LocalInvocationID.x == 0u && g < 70000u) data.v[g] = g + 1u; }\n");
	struct device_memory *m;
	struct device_launch l = {.kernel = k, .arg = &m, .nargs = 1, .groups = 70000, .group = 64};
	uint32_t *v = ARENA_ARRAY(a, uint32_t, 70000);
	struct err e = {0};

	cr_assert(ops->memory_new(d, 280000, 0, &m, &e));
	cr_assert(ops->launch(d, &l, &e), "%s", err_text(&e));
	cr_assert(ops->memory_read(d, m, 0, v, 280000, &e));
	for (uint32_t i = 0; i < 70000; i++)
		cr_assert_eq(v[i], i + 1);
	ops->memory_free(d, m);
	arena_free(a);
	ops->close(d);
}

static void expect_refused(struct err *e, const char *part)
{
	cr_expect(strstr(err_text(e), part), "%s", err_text(e));
	err_free(e);
}

TEST(vulkan_api, refusals_say_why_and_the_device_goes_on)
{
	struct device *d = open_device();
	struct arena *a = arena_new(NULL);
	struct artefact art, bad = {.data = (uint8_t *)"no shader at all, but long", .size = 24};
	struct kernel *k = build(d, a, HEAD "void main() { data.v[0] = 1u; }\n"), *none;
	struct device_memory *m, *huge, *args[80];
	struct device_launch l = {.kernel = k, .arg = args, .nargs = 1, .groups = 1, .group = 1u << 20};
	uint32_t v;
	struct err e = {0};

	cr_expect(!ops->compile(d, a, "#version 450\nvoid main() { x = 1; }\n", false, &art, &e));
	cr_expect(strstr(art.log, "'x' : undeclared identifier"), "%s", art.log);
	expect_refused(&e, "the compiler refused the shader: ");
	cr_expect(!ops->load(d, &bad, &none, &e));
	expect_refused(&e, "no SPIR-V");
	cr_assert(ops->memory_new(d, 4, 4, &m, &e));
	for (int i = 0; i < 80; i++)
		args[i] = m;
	cr_expect(!ops->launch(d, &l, &e));
	expect_refused(&e, "over the device's limit");
	l.group = 64;
	l.nargs = 80;
	cr_expect(!ops->launch(d, &l, &e));
	expect_refused(&e, "80 buffers is over the device's limit");
	cr_expect(!ops->memory_new(d, (size_t)1 << 40, 0, &huge, &e));
	expect_refused(&e, "over the device's limit");
	l.nargs = 1;
	cr_assert(ops->launch(d, &l, &e), "%s", err_text(&e));
	l.nargs = 2;
	cr_expect(!ops->launch(d, &l, &e));
	expect_refused(&e, "a kernel of 1 buffers was given 2");
	cr_assert(ops->memory_read(d, m, -4, &v, 4, &e), "%s", err_text(&e));
	cr_expect_eq(v, 1);
	ops->memory_free(d, m);
	arena_free(a);
	ops->close(d);
}

TEST(vulkan_api, a_device_that_is_not_there)
{
	struct device *d = open_device();
	struct err e = {0};

	ops->close(d);
	cr_expect(!open_as("Voodoo 2", &d, &e));
	expect_refused(&e, "device 'lavapipe': no Vulkan 1.2 device is called 'Voodoo 2'; there is 'llvmpipe");
}

TEST(vulkan_api, a_broken_driver_is_an_error_in_words)
{
	static const char *const text[] = {"{ this is no JSON",
					   "{\"file_format_version\": \"1.0.0\", \"ICD\": {\"library_path\": \"/dev/null\", "
					   "\"api_version\": \"1.3.0\"}}",
					   "{\"file_format_version\": \"1.0.0\", \"ICD\": {\"library_path\": \"libm.so.6\", "
					   "\"api_version\": \"1.3.0\"}}"};
	char path[] = "/tmp/mutatenn-icd-XXXXXX";
	struct device *d = NULL;
	struct err e = {0};
	FILE *f;
	int fd = mkstemp(path);

	cr_assert(fd >= 0);
	close(fd);
	setenv("VK_ICD_FILENAMES", path, 1);
	setenv("VK_DRIVER_FILES", path, 1);
	for (int i = 0; i < 3; i++) {
		cr_assert((f = fopen(path, "w")));
		fputs(text[i], f);
		fclose(f);
		cr_expect(!open_as(NULL, &d, &e), "driver %d", i);
		cr_expect(!strncmp(err_text(&e), "device 'lavapipe': ", 19), "%s", err_text(&e));
		expect_refused(&e, "Vulkan");
	}
	unlink(path);
	cr_expect(!open_as(NULL, &d, &e), "no driver");
	expect_refused(&e, "no Vulkan");
}
