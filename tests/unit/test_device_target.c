/* test_device_target.c: devices of other instruction sets and variants of this one - whose kernels are taken, and that the user's
 * flags and denormals change the bits they should */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "device/device.h"
#include "device/device_internal.h"
#include "test_support.h"

#define ENTRY "void mutatenn_kernel(void *const *buffer, long long part, long long parts)\n"
#define NUMBER "{ *(float *)buffer[0] = 7; }"

static struct device *open_or_skip(struct device_options o)
{
	struct device *d = NULL;
	struct err e = {0};

	o.cache_dir = "";
	if (!device_cpu.open(&o, &d, &e))
		cr_skip_test("%s", err_text(&e));
	return d;
}

static struct artefact compile(struct device *d, struct arena *a, const char *source)
{
	struct artefact art;
	struct err e = {0};

	cr_assert(device_cpu.compile(d, a, source, false, &art, &e), "%s", err_text(&e));
	return art;
}

static void expect_refused(struct device *d, const struct artefact *art, const char *machine)
{
	struct kernel *k;
	struct err e = {0};

	cr_assert(!device_cpu.load(d, art, &k, &e));
	cr_expect_eq(e.code, ERR_DEVICE);
	cr_expect(strstr(err_text(&e), "a kernel for ") && strstr(err_text(&e), machine), "%s", err_text(&e));
	err_free(&e);
}

/* ---- machines ----------------------------------------------------------------------------------------------------- */

TEST(device, a_kernel_for_another_machine_has_a_hash_and_is_refused_in_words)
{
	struct device *d = open_or_skip((struct device_options){0});
	struct arena *a = arena_new(NULL);
	struct artefact art = compile(d, a, ENTRY NUMBER);
	struct hash here = art.code, there;
	Elf64_Ehdr *h = (Elf64_Ehdr *)art.data;

	cr_expect_str_eq(target_of_elf(elf_machine(art.data, art.size)), target_here());
	h->e_machine = strcmp(target_here(), "riscv64") ? EM_RISCV : EM_AARCH64;
	cr_expect(elf_hash(art.data, art.size, NULL, &there) && !hash_eq(here, there));
	expect_refused(d, &art, strcmp(target_here(), "riscv64") ? "riscv64" : "aarch64");
	h->e_machine = 0xfafa;
	expect_refused(d, &art, "another machine");
	arena_free(a);
	device_cpu.close(d);
}

#define SWAP(x)                                                                                                                    \
	((x) = (__typeof__(x))(sizeof(x) == 2   ? __builtin_bswap16((uint16_t)(x))                                                 \
			       : sizeof(x) == 4 ? __builtin_bswap32((uint32_t)(x))                                                 \
						: __builtin_bswap64((uint64_t)(x))))

TEST(device, objects_of_the_other_byte_order_have_a_hash_too)
{
	struct device *d = open_or_skip((struct device_options){0});
	struct arena *a = arena_new(NULL);
	struct artefact art = compile(d, a, ENTRY NUMBER);
	struct hash other;
	Elf64_Ehdr *h = (Elf64_Ehdr *)art.data;

	for (unsigned i = 0; i < h->e_shnum; i++) {
		Elf64_Shdr *s = (Elf64_Shdr *)(art.data + h->e_shoff + i * sizeof *s);

		SWAP(s->sh_name);
		SWAP(s->sh_type);
		SWAP(s->sh_flags);
		SWAP(s->sh_offset);
		SWAP(s->sh_size);
	}
	h->e_ident[EI_DATA] ^= ELFDATA2LSB ^ ELFDATA2MSB;
	h->e_machine = EM_S390;
	SWAP(h->e_machine);
	SWAP(h->e_shoff);
	SWAP(h->e_shentsize);
	SWAP(h->e_shnum);
	SWAP(h->e_shstrndx);
	cr_expect(elf_hash(art.data, art.size, NULL, &other));
	cr_expect_str_eq(target_of_elf(elf_machine(art.data, art.size)), "s390x");
	expect_refused(d, &art, "s390x");
	arena_free(a);
	device_cpu.close(d);
}

TEST(device, a_cross_compiler_builds_for_its_machine_and_a_whole_device_refuses_it)
{
	struct device_options o = {.cc = strcmp(target_here(), "aarch64") ? "aarch64-linux-gnu-gcc" : "x86_64-linux-gnu-gcc",
				   .cache_dir = "",
				   .role = DEVICE_BUILDER};
	const char *machine = strcmp(target_here(), "aarch64") ? "aarch64" : "x86-64";
	struct device *d = open_or_skip(o), *whole;
	struct arena *a = arena_new(NULL);
	struct artefact art = compile(d, a, ENTRY NUMBER);
	struct err e = {0};

	cr_expect_str_eq(device_cpu.caps(d)->machine, machine);
	cr_expect_str_eq(target_of_elf(elf_machine(art.data, art.size)), machine);
	o.role = DEVICE_WHOLE;
	cr_assert(!device_cpu.open(&o, &whole, &e));
	cr_expect(strstr(err_text(&e), "makes code for") && strstr(err_text(&e), machine), "%s", err_text(&e));
	err_free(&e);
	arena_free(a);
	device_cpu.close(d);
}

TEST(device, a_runner_needs_no_compiler_and_has_none)
{
	struct device *d = open_or_skip((struct device_options){.role = DEVICE_RUNNER, .cc = "no-such-compiler"}),
		      *builder = open_or_skip((struct device_options){.role = DEVICE_BUILDER});
	struct arena *a = arena_new(NULL);
	struct artefact art;
	struct kernel *k;
	struct err e = {0};
	float x = 0;

	cr_expect(!device_cpu.compile(d, a, ENTRY NUMBER, false, &art, &e));
	cr_expect_eq(e.code, ERR_UNSUPPORTED);
	err_free(&e);
	cr_expect_str_eq(device_cpu.caps(d)->machine, target_here());
	cr_expect_eq(device_cpu.caps(d)->lanes, 0);
	art = compile(builder, a, ENTRY NUMBER);
	cr_assert(device_cpu.load(d, &art, &k, &e), "%s", err_text(&e));
	cr_expect(device_cpu.run(d, k, (void *[]){&x}, false, &e) && x == 7);
	arena_free(a);
	device_cpu.close(d);
	device_cpu.close(builder);
}

/* ---- variants ------------------------------------------------------------------------------------------------------ */

struct outcome {
	float x[4];
	char identity[512];
};

/* The kernel's result for each of two parts, buffer 0, from buffer 1. */
static struct outcome run_with(const char *cc, const char *const *cflags, size_t n, bool flush, const char *source,
			       const float in[4])
{
	struct device *d =
	    open_or_skip((struct device_options){.cc = cc, .cflags = cflags, .ncflags = n, .flush_denormals = flush});
	struct arena *a = arena_new(NULL);
	struct artefact art = compile(d, a, source);
	struct outcome o = {.x = {0}};
	struct kernel *k;
	struct err e = {0};
	float from[4];

	memcpy(from, in, sizeof from);
	snprintf(o.identity, sizeof o.identity, "%s", device_cpu.caps(d)->identity);
	cr_assert(device_cpu.load(d, &art, &k, &e), "%s", err_text(&e));
	cr_assert(device_cpu.start_threads(d, 2, &e), "%s", err_text(&e));
	cr_assert(device_cpu.run(d, k, (void *[]){o.x, from}, true, &e));
	arena_free(a);
	device_cpu.close(d);
	return o;
}

#define FLAGS(...) (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)

/* (x + 1e8) - 1e8: exact arithmetic gives x, floats give 0 for 1.25 */
static void fast_mathematics(const char *cc)
{
	const char *source = ENTRY "{ float *o = buffer[0], *x = buffer[1]; o[part] = (x[part] + 1e8f) - 1e8f; }";
	const float in[4] = {1.25f, 1.25f};
	struct outcome plain = run_with(cc, FLAGS("-O2"), false, source, in),
		       fast = run_with(cc, FLAGS("-O2", "-ffast-math"), false, source, in);

	cr_expect(plain.x[0] == 0 && plain.x[1] == 0);
	cr_expect(fast.x[0] == 1.25f && fast.x[1] == 1.25f, "%g", (double)fast.x[0]);
	cr_expect(strstr(fast.identity, "-ffast-math") && strcmp(fast.identity, plain.identity) != 0);
}

TEST(device, fast_math_has_its_effect_with_gcc)
{
	fast_mathematics("gcc");
}

TEST(device, fast_math_has_its_effect_with_clang)
{
	fast_mathematics("clang");
}

/* (1 + 2^-12)^2 - (1 + 2^-11) = 2^-24, which a product rounded to 24 bits has lost */
static void contraction(const char *cc)
{
	const char *source = ENTRY "{ float *o = buffer[0], *x = buffer[1]; o[part] = x[0] * x[1] - x[2]; }";
	const float in[4] = {1 + 0x1p-12f, 1 + 0x1p-12f, 1 + 0x1p-11f};
	struct outcome off, fast, both;

#ifdef __x86_64__
	if (!__builtin_cpu_supports("fma"))
		cr_skip_test("this processor has no fused multiply-add");
#define FMA "-mfma"
#else
#define FMA "-g0"
#endif
	off = run_with(cc, FLAGS("-O2", FMA), false, source, in);
	fast = run_with(cc, FLAGS("-O2", FMA, "-ffp-contract=fast"), false, source, in);
	both = run_with(cc, FLAGS("-O2", FMA, "-ffast-math", "-ffp-contract=off"), false, source, in);
	cr_expect(off.x[0] == 0 && off.x[1] == 0, "%a", (double)off.x[0]);
	cr_expect(fast.x[0] == 0x1p-24f && fast.x[1] == 0x1p-24f, "%a", (double)fast.x[0]);
	if (!strcmp(cc, "gcc")) /* to clang 14, fast mathematics is contraction whatever else is said */
		cr_expect(both.x[0] == 0, "the last word is the user's");
	cr_expect(strcmp(fast.identity, off.identity) != 0);
}

TEST(device, contraction_has_its_effect_with_gcc)
{
	contraction("gcc");
}

TEST(device, contraction_has_its_effect_with_clang)
{
	contraction("clang");
}

TEST(device, denormals_are_flushed_in_every_thread_where_that_is_wished)
{
	const char *source =
	    ENTRY "{ float *o = buffer[0], *x = buffer[1]; o[part] = x[part] * 2; o[2 + part] = x[2 + part] / 2; }";
	const float in[4] = {0x1p-140f, -0x1p-130f, 0x1p-126f, 0x1p-126f}; /* taken for zero; made from what is none */
	struct outcome keep, flush;

	if (!target_can_flush())
		cr_skip_test("%s has no such mode", target_here());
	keep = run_with("gcc", FLAGS("-O2"), false, source, in);
	cr_expect(keep.x[0] == 0x1p-139f && keep.x[1] == -0x1p-129f && keep.x[2] == 0x1p-127f && keep.x[3] == 0x1p-127f);
	flush = run_with("gcc", FLAGS("-O2"), true, source, in);
	for (int i = 0; i < 4; i++)
		cr_expect(flush.x[i] == 0, "%d: %a", i, (double)flush.x[i]);
	cr_expect(strstr(flush.identity, "denormals flushed") && strcmp(flush.identity, keep.identity) != 0);
}
