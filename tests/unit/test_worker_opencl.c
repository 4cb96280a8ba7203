/* test_worker_opencl.c: programs on a device with a memory of its own, of which PoCL is one that needs no hardware
 *
 * Skipped where PoCL is absent.
 */
#include "test_support.h"
#include "worker_support.h"

#define KERNEL "__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void mutatenn_kernel("
#define IN(i) "__global const float *in" #i ", "
#define OUT "__global float *out)\n"

static struct pool *pocl(void)
{
	struct pool_device d = {.name = "pocl", .backend = "opencl", .select = "Portable Computing Language", .threads = 1, .builders = 1,
				.cache_dir = ""};
	struct err e = {0};
	struct pool *p;

	pool_close(test_pool_of((const char *const[]){"true"}, 1, 1)); /* knows where the worker is */
	cr_assert(pool_open(&d, 1, &p, &e), "%s", err_text(&e));
	if (pool_device_error(p, 0)) {
		pool_close(p);
		cr_skip_test("no PoCL here");
	}
	return p;
}

static struct bundle *bundle(struct arena *a, const char *const source[3])
{
	struct bundle *b = test_bundle(a, source);

	for (uint32_t k = 0; k < b->nkernels; k++)
		b->kernel[k].groups = b->kernel[k].group = 1;
	return b;
}

/* y1 says where it lies, y2 the same, y how far it lies from there. */
TEST(worker_opencl, only_timed_runs_write_where_a_tensor_lay_that_nobody_reads_any_more)
{
	const char *const where[3] = {KERNEL IN(0) OUT "{ out[0] = (float)((ulong)out >> 6 & 0xffffff); }\n",
				      KERNEL IN(0) OUT "{ out[0] = in0[0]; }\n",
				      KERNEL IN(0) IN(1) OUT "{ out[0] = (float)((ulong)out >> 6 & 0xffffff) - in0[0]; }\n"};
	struct arena *a = arena_new(NULL);

	test_slots_are_shared_in_timed_runs_only(pocl(), a, bundle(a, where));
	arena_free(a);
}
