/* test_device_null.c: the device that is none */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "device/device.h"
#include "test_support.h"

#define TEXT(name) "__kernel void mutatenn_kernel(\n\t__global const f32 *restrict in0,\n\t__global f32 *restrict " name ")\n{\n}\n"

static struct device *open_null(void)
{
	struct device *d = NULL;

	cr_assert(device_null.open(&(struct device_options){0}, &d, NULL));
	return d;
}

TEST(device_null, a_launch_writes_the_outputs_alone_and_always_the_same)
{
	struct device *d = open_null();
	struct arena *a = arena_new(NULL);
	struct device_memory *m[2];
	float before[4] = {1, 2, 3, 4}, got[3][4];
	struct artefact k[2];
	struct kernel *kernel[2];

	for (int i = 0; i < 2; i++) {
		cr_assert(device_null.memory_new(d, sizeof before, 64, &m[i], NULL));
		cr_assert(device_null.memory_write(d, m[i], 0, before, sizeof before, NULL));
		cr_assert(device_null.compile(d, a, i ? TEXT("out1") : TEXT("out0"), false, &k[i], NULL));
		cr_assert(device_null.load(d, &k[i], &kernel[i], NULL));
	}
	cr_expect(!hash_eq(k[0].code, k[1].code), "other text is other code");
	for (int i = 0; i < 3; i++) {
		struct device_launch l = {.kernel = kernel[i / 2], .arg = m, .nargs = 2, .groups = 1, .group = 1};
		double seconds = 1;

		cr_assert(device_null.launch(d, &l, NULL) && device_null.finish(d, &seconds, 1, NULL));
		cr_expect_eq(seconds, 0.0);
		cr_assert(device_null.memory_read(d, m[1], 0, got[i], sizeof *got, NULL));
		cr_expect_arr_eq(got[i], got[0], sizeof *got);
	}
	for (int i = 0; i < 4; i++)
		cr_expect(got[0][i] >= .5f && got[0][i] < 1 && (!i || got[0][i] != got[0][i - 1]));
	cr_assert(device_null.memory_read(d, m[0], 0, got[0], sizeof *got, NULL));
	cr_expect_arr_eq(got[0], before, sizeof before);
	for (int i = 0; i < 2; i++)
		device_null.memory_free(d, m[i]);
	device_null.close(d);
	arena_free(a);
}

TEST(device_null, what_is_no_kernel_of_ours_is_an_error)
{
	struct device *d = open_null();
	struct arena *a = arena_new(NULL);
	struct artefact k;
	struct kernel *kernel;
	struct err e = {0};

	cr_expect(!device_null.compile(d, a, "int main(void) {}", false, &k, &e));
	cr_expect_eq(e.code, ERR_DEVICE);
	err_free(&e);
	cr_assert(device_null.compile(d, a, TEXT("out0"), false, &k, NULL));
	k.size--;
	cr_expect(!device_null.load(d, &k, &kernel, &e));
	err_free(&e);
	k.size = 3;
	cr_expect(!device_null.load(d, &k, &kernel, NULL));
	device_null.close(d);
	arena_free(a);
}
