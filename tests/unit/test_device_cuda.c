/* test_device_cuda.c: the cuda device - what is missing, in words; what NVRTC makes of kernels, which needs no GPU; and, where
 * there is one, memory with pads, launches, times, and an illegal address */
#include <elf.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "device/device_cuda_api.h"
#include "device/device_internal.h"
#include "test_support.h"

#define HEAD "extern \"C\" __global__ __launch_bounds__(128) void mutatenn_kernel("
#define TWICE HEAD "const float *__restrict__ x, float *__restrict__ y)\n{\n\tint i = blockIdx.x * blockDim.x + threadIdx.x;\n\n\t"
#define AXPY HEAD "const float *x, const float *y, float *z)\n{\n\tz[threadIdx.x] = x[threadIdx.x] * y[threadIdx.x] + 1.0f;\n}\n"

/* A compiler for an architecture, whatever this machine has; the test is skipped without NVRTC. */
static struct device *builder(const char *arch, const char *more, const char *cache)
{
	const char *flag[] = {arch, more};
	struct device_options o = {
	    .role = DEVICE_BUILDER, .cflags = flag, .ncflags = more ? 2 : 1, .cache_dir = cache ? cache : ""};
	struct device *d = NULL;
	struct err e = {0};

	if (!device_cuda.open(&o, &d, &e)) {
		cr_assert(strstr(err_text(&e), "libnvrtc"), "%s", err_text(&e));
		cr_skip_test("%s", err_text(&e));
	}
	return d;
}

static struct artefact compile(struct device *d, struct arena *a, const char *source, bool contract)
{
	struct artefact art;
	struct err e = {0};

	cr_assert(device_cuda.compile(d, a, source, contract, &art, &e), "%s", err_text(&e));
	return art;
}

/* The CUDA device, or NULL where there is none; then the message says what is missing. */
static struct device *gpu(void)
{
	struct device_options o = {.cache_dir = ""};
	struct device *d = NULL;
	struct err e = {0};

	if (!device_cuda.open(&o, &d, &e))
		cr_skip_test("%s", err_text(&e));
	return d;
}

TEST(device_cuda, opening_without_a_gpu_says_in_words_what_is_missing)
{
	struct device_options o = {.cache_dir = ""};
	struct device *d = NULL;
	struct err e = {0};

	if (device_cuda.open(&o, &d, &e)) {
		device_cuda.close(d);
		cr_skip_test("there is a CUDA device");
	}
	cr_expect_eq(e.code, ERR_DEVICE);
	cr_expect(!strncmp(err_text(&e), "device 'cuda': ", 15), "%s", err_text(&e));
	cr_expect(strstr(err_text(&e), "'libcuda.so.1' is not there: the NVIDIA driver is not installed") ||
		      strstr(err_text(&e), "no CUDA device") || strstr(err_text(&e), "libnvrtc"),
		  "%s", err_text(&e));
	err_free(&e);
	cr_expect_eq(device_find("cuda"), &device_cuda);
}

TEST(device_cuda, a_builder_without_gpu_and_architecture_says_which_option_to_give)
{
	struct device_options o = {.role = DEVICE_BUILDER, .cache_dir = "", .name = "card"};
	struct device *d = NULL;
	struct err e = {0};

	if (device_cuda.open(&o, &d, &e)) {
		device_cuda.close(d);
		cr_skip_test("there is a CUDA device");
	}
	if (strstr(err_text(&e), "libnvrtc"))
		cr_skip_test("%s", err_text(&e));
	cr_expect_str_eq(err_text(&e), "device 'card': no CUDA device here to compile for, and no option says which: -arch=sm_90");
	err_free(&e);
}

TEST(device_cuda, equal_texts_give_equal_machine_code_and_comments_leave_it_alone)
{
	struct device *d = builder("-arch=sm_90", NULL, NULL);
	struct arena *a = arena_new(NULL);
	struct artefact one = compile(d, a, TWICE "y[i] = 2 * x[i];\n}\n", false);
	struct artefact again = compile(d, a, TWICE "y[i] = 2 * x[i];\n}\n", false);
	struct artefact comment = compile(d, a, "/* a comment */\n" TWICE "y[i] = 2 * x[i];\n}\n", false);
	struct artefact other = compile(d, a, TWICE "y[i] = 3 * x[i];\n}\n", false);

	cr_expect_eq(one.size, again.size);
	cr_expect(!memcmp(one.data, again.data, one.size));
	cr_expect(!memcmp(one.data, "\177ELF", 4));
	cr_expect(hash_eq(one.code, again.code));
	cr_expect(hash_eq(one.code, comment.code));
	cr_expect(!hash_eq(one.code, other.code));
	cr_expect_eq(elf_machine(one.data, one.size), 190u, "EM_CUDA");
	arena_free(a);
	device_cuda.close(d);
}

TEST(device_cuda, names_of_variables_and_parameters_are_not_in_machine_code_nor_in_ptx)
{
	static const char *const options[] = {"-arch=sm_90", "-arch=compute_90"};
	static const char source[] = "extern \"C\" __global__ void mutatenn_kernel(const float *%s, float *out0)\n{\n"
				     "\tfor (int %s = 0; %s < 8; %s++) {\n\t\tfloat %s = %s[%s];\n\t\tout0[%s] = %s * 2;\n\t}\n}\n";

	for (int i = 0; i < 2; i++) {
		struct device *d = builder(options[i], NULL, NULL);
		struct arena *a = arena_new(NULL);
		struct artefact one = compile(d, a, arena_printf(a, source, "in0", "i", "i", "i", "acc", "in0", "i", "i", "acc"), false);
		struct artefact two =
		    compile(d, a, arena_printf(a, source, "other", "index", "index", "index", "sum", "other", "index", "index", "sum"), false);

		cr_expect(hash_eq(one.code, two.code), "%s", options[i]);
		arena_free(a);
		device_cuda.close(d);
	}
}

static bool has(struct artefact art, const char *text)
{
	return memmem(art.data, art.size, text, strlen(text)) != NULL;
}

TEST(device_cuda, products_are_not_fused_into_sums_unless_the_kernel_says_so_or_the_user)
{
	struct device *d = builder("-arch=compute_75", NULL, NULL), *fast = builder("-arch=compute_75", "--fmad=true", NULL);
	struct arena *a = arena_new(NULL);
	struct artefact plain = compile(d, a, AXPY, false), fused = compile(d, a, AXPY, true), user = compile(fast, a, AXPY, false);

	cr_expect(has(plain, "mul.rn.f32") || has(plain, "mul.f32"));
	cr_expect(!has(plain, "fma.rn.f32"));
	cr_expect(has(fused, "fma.rn.f32"));
	cr_expect(has(user, "fma.rn.f32"));
	cr_expect(has(plain, ".target sm_75"));
	cr_expect_eq(plain.data[plain.size - 1], 0, "PTX ends as a string does");
	arena_free(a);
	device_cuda.close(fast);
	device_cuda.close(d);
}

TEST(device_cuda, division_and_square_root_are_rounded_correctly_and_denormals_are_kept)
{
	struct device *d = builder("-arch=compute_75", NULL, NULL);
	struct arena *a = arena_new(NULL);
	struct artefact art = compile(d, a, TWICE "y[i] = sqrtf(x[i]) / x[i + 1];\n}\n", false);

	cr_expect(has(art, "div.rn.f32"));
	cr_expect(has(art, "sqrt.rn.f32"));
	cr_expect(!has(art, ".ftz"));
	arena_free(a);
	device_cuda.close(d);
}

TEST(device_cuda, a_refused_text_gives_the_compilers_log)
{
	struct device *d = builder("-arch=compute_75", NULL, NULL);
	struct arena *a = arena_new(NULL);
	struct artefact art;
	struct err e = {0};

	cr_assert(!device_cuda.compile(d, a, TWICE "y[i] = nothing;\n}\n", false, &art, &e));
	cr_expect_eq(e.code, ERR_DEVICE);
	cr_assert(art.log);
	cr_expect(strstr(art.log, "identifier \"nothing\" is undefined"), "%s", art.log);
	cr_expect(strstr(err_text(&e), "NVRTC refused the kernel"), "%s", err_text(&e));
	err_free(&e);
	arena_free(a);
	device_cuda.close(d);
}

TEST(device_cuda, an_unknown_option_or_architecture_is_an_error_at_the_first_kernel)
{
	struct device *d = builder("-arch=sm_13", NULL, NULL), *other = builder("-arch=sm_90", "--no-such-option", NULL);
	struct arena *a = arena_new(NULL);
	struct artefact art;
	struct err e = {0};

	cr_expect(!device_cuda.compile(d, a, AXPY, false, &art, &e));
	cr_expect_eq(e.code, ERR_DEVICE);
	err_free(&e);
	cr_expect(!device_cuda.compile(other, a, AXPY, false, &art, &e));
	cr_expect_eq(e.code, ERR_DEVICE);
	err_free(&e);
	arena_free(a);
	device_cuda.close(other);
	device_cuda.close(d);
}

TEST(device_cuda, a_cached_kernel_is_found_again_under_the_same_options_only)
{
	struct arena *a = arena_new(NULL);
	char *dir = arena_strdup(a, "/tmp/mutatenn-test-XXXXXX"), **name;
	struct device *d, *fast;
	struct artefact one, again, other;
	size_t n;

	cr_assert(mkdtemp(dir));
	d = builder("-arch=sm_90", NULL, dir);
	fast = builder("-arch=sm_90", "--ftz=true", dir);
	one = compile(d, a, AXPY, false);
	again = compile(d, a, AXPY, false);
	other = compile(fast, a, AXPY, false);
	cr_expect(!one.cached);
	cr_expect(again.cached);
	cr_expect(hash_eq(one.code, again.code));
	cr_expect(!other.cached);
	cr_assert(file_list(a, dir, &name, &n, NULL));
	cr_expect_eq(n, 2u);
	for (size_t i = 0; i < n; i++)
		unlink(file_join(a, dir, name[i]));
	cr_expect_eq(rmdir(dir), 0);
	device_cuda.close(fast);
	device_cuda.close(d);
	arena_free(a);
}

/* ---- with a GPU ------------------------------------------------------------------------------------------------------------- */

static struct kernel *kernel_of(struct device *d, const char *source)
{
	struct arena *a = arena_new(NULL);
	struct artefact art = compile(d, a, source, false);
	struct kernel *k = NULL;
	struct err e = {0};

	cr_assert(device_cuda.load(d, &art, &k, &e), "%s", err_text(&e));
	arena_free(a);
	return k;
}

TEST(device_cuda_gpu, a_launch_computes_between_pads_that_can_be_filled_written_and_read)
{
	struct device *d = gpu();
	struct kernel *k =
	    kernel_of(d, TWICE "if (i < 1000)\n\t\ty[i] = 2 * x[i];\n\telse if (i == 1000)\n\t\ty[-1] = y[i] = 7;\n}\n");
	struct device_memory *m[2];
	struct device_launch l = {.kernel = k, .arg = m, .nargs = 2, .groups = 8, .group = 128};
	float x[1000], y[1016];
	double seconds[2] = {0};

	for (int i = 0; i < 1000; i++)
		x[i] = (float)i;
	for (int i = 0; i < 2; i++)
		cr_assert(device_cuda.memory_new(d, sizeof x, 64, &m[i], NULL));
	cr_assert(device_cuda.memory_fill(d, m[1], -64, 64 + sizeof x + 64, 0x40400000, NULL)); /* 3.0f */
	cr_assert(device_cuda.memory_write(d, m[0], 0, x, sizeof x, NULL));
	cr_assert(device_cuda.launch(d, &l, NULL));
	cr_assert(device_cuda.launch(d, &l, NULL));
	cr_assert(device_cuda.finish(d, seconds, 2, NULL));
	cr_expect(seconds[0] > 0 && seconds[0] < 1 && seconds[1] > 0 && seconds[1] < 1, "%g %g", seconds[0], seconds[1]);
	cr_assert(device_cuda.memory_read(d, m[1], -32, y, sizeof y, NULL));
	for (int i = 0; i < 1016; i++)
		cr_expect_eq(y[i], i == 7 || i == 1008 ? 7.0f : i < 8 || i > 1008 ? 3.0f : 2 * (float)(i - 8), "%d", i);
	for (int i = 0; i < 2; i++)
		device_cuda.memory_free(d, m[i]);
	device_cuda.unload(d, k);
	device_cuda.close(d);
}

/* Spans of launches that follow each other share an event. */
TEST(device_cuda_gpu, the_time_of_a_launch_leaves_out_what_was_queued_in_front_of_it)
{
	struct device *d = gpu();
	struct kernel *k = kernel_of(d, TWICE "if (!i)\n\t\ty[i] = x[i];\n}\n");
	size_t large = (size_t)512 << 20;
	struct device_memory *m, *arg[2];
	struct device_launch l = {.kernel = k, .arg = arg, .nargs = 2, .groups = 1, .group = 1};
	double least = 1, seconds[3];

	cr_assert(device_cuda.memory_new(d, large, 64, &m, NULL));
	arg[0] = arg[1] = m;
	for (int tries = 0; tries < 5 && least > 1e-4; tries++) {
		cr_assert(device_cuda.launch(d, &l, NULL) && device_cuda.launch(d, &l, NULL));
		cr_assert(device_cuda.memory_fill(d, m, 0, large, 0, NULL)); /* over 0.1 ms on anything */
		cr_assert(device_cuda.launch(d, &l, NULL) && device_cuda.finish(d, seconds, 3, NULL));
		cr_expect(seconds[0] > 0 && seconds[1] > 0 && seconds[2] > 0, "%g %g %g", seconds[0], seconds[1], seconds[2]);
		least = fmin(least, seconds[2]);
	}
	cr_expect(least < 1e-4, "%g s", least);
	device_cuda.memory_free(d, m);
	device_cuda.close(d);
}

TEST(device_cuda_gpu, many_launches_are_queued_and_each_has_the_arguments_of_its_moment)
{
	struct device *d = gpu();
	struct kernel *k = kernel_of(d, TWICE "y[i] = x[i] + 1;\n}\n");
	struct device_memory *m[200];
	float x[32] = {0};

	for (int i = 0; i < 200; i++)
		cr_assert(device_cuda.memory_new(d, sizeof x, 64, &m[i], NULL));
	cr_assert(device_cuda.memory_write(d, m[0], 0, x, sizeof x, NULL));
	for (int i = 0; i + 1 < 200; i++) {
		struct device_memory *arg[2] = {m[i], m[i + 1]};
		struct device_launch l = {.kernel = k, .arg = arg, .nargs = 2, .groups = 1, .group = 32};

		cr_assert(device_cuda.launch(d, &l, NULL));
		arg[0] = arg[1] = NULL;
	}
	cr_assert(device_cuda.finish(d, NULL, 0, NULL));
	cr_assert(device_cuda.memory_read(d, m[199], 0, x, sizeof x, NULL));
	for (int i = 0; i < 32; i++)
		cr_expect_eq(x[i], 199.0f);
	for (int i = 0; i < 200; i++)
		device_cuda.memory_free(d, m[i]);
	device_cuda.close(d);
}

TEST(device_cuda_gpu, memory_that_fails_is_told_from_what_a_kernel_did)
{
	struct device *d = gpu();
	struct kernel *k;
	struct device_memory *m, *arg[2];
	struct device_launch l = {.arg = arg, .nargs = 2, .groups = 1, .group = 1};
	struct err e = {0};

	if (!strstr(device_cuda.caps(d)->describe, "for tests"))
		cr_skip_test("only the device of tests/cuda has broken memory");
	setenv("CUDA_TEST_ECC", "1", 1);
	l.kernel = k = kernel_of(d, TWICE "y[i] = 1;\n}\n");
	cr_assert(device_cuda.memory_new(d, 4096, 64, &m, &e));
	arg[0] = arg[1] = m;
	cr_expect(!(device_cuda.launch(d, &l, &e) && device_cuda.finish(d, NULL, 0, &e)));
	cr_expect_eq(e.code, ERR_IO, "%s", err_text(&e));
	err_free(&e);
	device_cuda.memory_free(d, m);
	device_cuda.close(d);
}

TEST(device_cuda_gpu, kernels_are_whole_once_they_are_loaded)
{
	struct device *d = gpu();

	cr_expect_str_eq(getenv("CUDA_MODULE_LOADING"), "EAGER");
	device_cuda.close(d);
}

TEST(device_cuda_gpu, too_much_memory_and_too_large_a_group_are_errors_and_the_device_goes_on)
{
	struct device *d = gpu();
	struct kernel *k = kernel_of(d, TWICE "y[i] = 1;\n}\n");
	struct device_memory *m = NULL, *arg[2];
	struct device_launch l = {.kernel = k, .arg = arg, .nargs = 2, .groups = 1, .group = 4096};
	struct err e = {0};

	cr_expect(!device_cuda.memory_new(d, (size_t)1 << 46, 4096, &m, &e));
	cr_expect(strstr(err_text(&e), "out of device memory"), "%s", err_text(&e));
	err_free(&e);
	cr_assert(device_cuda.memory_new(d, 4096, 64, &m, &e));
	arg[0] = arg[1] = m;
	cr_expect(!device_cuda.launch(d, &l, &e));
	cr_expect(strstr(err_text(&e), "over the device's limit"), "%s", err_text(&e));
	err_free(&e);
	l.group = 1;
	cr_expect(device_cuda.launch(d, &l, &e) && device_cuda.finish(d, NULL, 0, &e), "%s", err_text(&e));
	device_cuda.memory_free(d, m);
	device_cuda.close(d);
}

TEST(device_cuda_gpu, what_is_no_kernel_is_refused)
{
	struct device *d = gpu();
	struct arena *a = arena_new(NULL);
	struct artefact whole = compile(d, a, AXPY, false);
	struct kernel *k;

	for (size_t n = 1; n < whole.size; n += 1 + whole.size / 20) {
		struct artefact cut = {.data = malloc(n), .size = n};

		memcpy(cut.data, whole.data, n);
		cr_expect(!device_cuda.load(d, &cut, &k, NULL));
		free(cut.data);
	}
	arena_free(a);
	device_cuda.close(d);
}

/* As NVIDIA's compiler has it; the driver, which takes no size, would read on. */
TEST(device_cuda_gpu, an_object_whose_segments_are_listed_at_its_end_is_whole_with_all_of_them_only)
{
	struct device *d = gpu();
	struct arena *a = arena_new(NULL);
	struct artefact whole = compile(d, a, AXPY, false), moved;
	Elf64_Ehdr *h;
	struct kernel *k;
	size_t table;
	struct err e = {0};

	moved = (struct artefact){.data = arena_zalloc(a, whole.size + 4096), .size = whole.size};
	h = (Elf64_Ehdr *)memcpy(moved.data, whole.data, whole.size);
	table = (size_t)h->e_phnum * h->e_phentsize;
	memcpy(moved.data + whole.size, whole.data + h->e_phoff, table);
	h->e_phoff = whole.size;
	moved.size = whole.size + table - 1;
	cr_expect(!device_cuda.load(d, &moved, &k, &e));
	cr_expect_str_eq(err_text(&e), "loading a kernel: neither machine code nor PTX");
	err_free(&e);
	arena_free(a);
	device_cuda.close(d);
}

TEST(device_cuda_gpu, an_illegal_address_is_an_error_that_says_that_the_device_is_lost)
{
	struct device *d = gpu();
	struct kernel *k;
	struct device_memory *m, *arg[2];
	struct device_launch l = {.arg = arg, .nargs = 2, .groups = 1, .group = 1};
	struct err e = {0};
	bool ok;

	l.kernel = k = kernel_of(d, TWICE "y[i + (1LL << 40)] = 1;\n}\n");
	cr_assert(device_cuda.memory_new(d, 4096, 64, &m, &e));
	arg[0] = arg[1] = m;
	ok = device_cuda.launch(d, &l, &e) && device_cuda.finish(d, NULL, 0, &e);
	cr_expect(!ok);
	cr_expect_eq(e.code, ERR_DEVICE);
	cr_expect(strstr(err_text(&e), "CUDA_ERROR_ILLEGAL_ADDRESS") && strstr(err_text(&e), "is lost"), "%s", err_text(&e));
	err_free(&e);
	cr_expect(!device_cuda.memory_write(d, m, 0, &l, 4, &e));
	err_free(&e);
	device_cuda.memory_free(d, m);
	device_cuda.close(d);
}
