/* test_device_vulkan.c: compute shaders on a processor (lavapipe) against the loop IR's interpreter
 *
 * Skipped where there is no such device. MUTATENN_FUZZ_ROUNDS and MUTATENN_FUZZ_SEED as in test_codegen_fuzz.c;
 * MUTATENN_VULKAN selects another device by a part of its name.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "codegen/codegen.h"
#include "device/device.h"
#include "fuzz_func.h"
#include "group_run.h"
#include "loop/loop.h"
#include "test_support.h"

static const struct device_ops *ops;

static struct device *open_device(void)
{
	const char *select = getenv("MUTATENN_VULKAN");
	struct device_options o = {.name = "lavapipe", .select = select ? select : "llvmpipe", .threads = 2, .cache_dir = ""};
	struct device *d = NULL;
	struct err e = {0};

	ops = device_find("vulkan");
	if (!ops)
		cr_skip_test("built without Vulkan");
	if (!ops->open(&o, &d, &e))
		cr_skip_test("%s", err_text(&e));
	return d;
}

static struct lir_func *parse(struct arena *a, const char *text)
{
	struct lir_func *f = NULL;
	struct err e = {0};

	cr_assert(lir_parse(a, "t.lir", text, strlen(text), &f, &e), "%s", err_text(&e));
	cr_assert(lir_verify(f, &e), "%s", err_text(&e));
	return f;
}

/* The interpreter's answer. */
static void **expected(struct arena *a, const struct lir_func *f, bool defined)
{
	struct lir_interp_options io = {.outputs_initialised = true};
	struct lir_interp_result r = {0};
	void **out = fuzz_buffers(a, f);
	struct err e = {0};

	cr_assert(lir_interp(f, out, &io, &r, &e), "%s", err_text(&e));
	cr_assert_eq(r.fault, LIR_OK, "%s", r.text);
	cr_assert(!defined || !r.device_defined);
	return out;
}

static double number(const struct lir_buffer *b, void *data, int64_t i)
{
	struct tensor t = {.dtype = b->dtype, .nd = 1, .dim = {b->elements}, .data = data};

	return tensor_get_f64(&t, i);
}

static void expect_same(struct device *d, const struct lir_func *f, uint64_t divide, const char *what)
{
	struct arena *a = arena_new(NULL);
	void **want = expected(a, f, true), **have = fuzz_buffers(a, f);
	struct str source = {0};
	struct codegen_shape shape;
	struct err e = {0};
	int64_t where = 0;

	if (getenv("MUTATENN_FUZZ_SHOW")) {
		lir_print(&source, f);
		codegen_emit("glsl", f, &source, &shape, &e);
	}
	cr_assert(group_run(ops, d, a, f, have, divide, NULL, &e), "%s: %s", what, err_text(&e));
	for (uint32_t i = f->nparams - f->nout; i < f->nparams; i++)
		cr_expect(fuzz_equal(f->param[i], want[i], have[i], &where), "%s: '%s'[%lld] is %.17g and should be %.17g\n%s",
			  what, f->param[i]->name, (long long)where, number(f->param[i], have[i], where),
			  number(f->param[i], want[i], where), str_text(&source));
	str_free(&source);
	arena_free(a);
}

TEST(device_vulkan, random_functions_compute_what_the_interpreter_computes)
{
	struct device *d = open_device();
	struct fuzz_options o = {.types = ops->caps(d)->types, .scalars = true, .exact = true};
	long first = fuzz_setting("MUTATENN_FUZZ_SEED", 1), rounds = fuzz_setting("MUTATENN_FUZZ_ROUNDS", 6);
	char what[32];

	for (long seed = first; seed < first + rounds; seed++) {
		struct arena *a = arena_new(NULL);

		snprintf(what, sizeof what, "seed %ld", seed);
		expect_same(d, fuzz_func(a, (uint64_t)seed, &o), 1, what);
		arena_free(a);
	}
	ops->close(d);
}

static void expect_text(const char *what, const char *text)
{
	struct device *d = open_device();
	struct arena *a = arena_new(NULL);

	expect_same(d, parse(a, text), 1, what);
	expect_same(d, parse(a, text), 3, what); /* fewer groups take more turns */
	arena_free(a);
	ops->close(d);
}

TEST(device_vulkan, a_convolution_with_padding_and_an_accumulator)
{
	expect_text("conv", "func conv(x: f32[1, 3, 9, 11], w: f32[5, 3, 3, 3], b: f32[5], out y: f32[1, 5, 9, 11]) {\n"
			    "  for o in 0..5 parallel {\n"
			    "    for i in 0..9 parallel {\n"
			    "      for j in 0..11 parallel {\n"
			    "        alloc acc: f32[]\n"
			    "        acc[] = b[o]\n"
			    "        for c in 0..3 serial {\n"
			    "          for k in 0..3 unrolled {\n"
			    "            for l in 0..3 serial {\n"
			    "              if i + k >= 1 && i + k < 10 && j + l >= 1 && j + l < 12 {\n"
			    "                acc[] = acc[] + x[0, c, i + k - 1, j + l - 1] * w[o, c, k, l]\n"
			    "              }\n"
			    "            }\n"
			    "          }\n"
			    "        }\n"
			    "        y[0, o, i, j] = max(acc[], 0.0)\n"
			    "      }\n"
			    "    }\n"
			    "  }\n"
			    "}\n");
}
