/* device_target.c: instruction sets - which one this program has, which one a compiler makes code for - and what a thread does with
 * denormal numbers */
#include <elf.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "device/device_internal.h"

static const struct target {
	const char *name, *macro;
	unsigned elf;
} targets[] = {
    {"x86-64", "__x86_64__", EM_X86_64}, {"aarch64", "__aarch64__", EM_AARCH64}, {"riscv64", "__riscv", EM_RISCV},
    {"s390x", "__s390x__", EM_S390},     {"ppc64", "__powerpc64__", EM_PPC64},   {"loongarch64", "__loongarch64", 258},
    {"", NULL, EM_NONE},
};

const char *target_here(void)
{
#if defined __x86_64__
	return "x86-64";
#elif defined __aarch64__
	return "aarch64";
#elif defined __riscv
	return "riscv64";
#elif defined __s390x__
	return "s390x";
#elif defined __powerpc64__
	return "ppc64";
#elif defined __loongarch64
	return "loongarch64";
#else
	return "";
#endif
}

const char *target_of_macros(const char *dump)
{
	const struct target *t = targets;
	char line[64];

	for (; t->macro; t++) {
		strcpy(line, "#define ");
		strcat(line, t->macro);
		if (strstr(dump, strcat(line, " ")))
			break;
	}
	return t->name;
}

const char *target_of_elf(unsigned machine)
{
	const struct target *t = targets;

	while (t->macro && t->elf != machine)
		t++;
	return t->name;
}

/* ---- this processor ---------------------------------------------------------------------------------------------- */

static const char *line_of(struct arena *a, const char *text, const char *key)
{
	const char *at = strstr(text, key);

	at = at ? strchr(at, ':') : NULL;
	if (!at)
		return NULL;
	at += 1 + (at[1] == ' ');
	return arena_strndup(a, at, strcspn(at, "\n"));
}

/* Under an emulator of user programs the kernel speaks of the processor that it runs on. */
const char *target_processor(struct arena *a)
{
	const char *here = target_here(), *text, *model;
	bool x86 = !strcmp(here, "x86-64");
	struct bytes raw;

	text = file_read(a, "/proc/cpuinfo", 0, &raw, NULL) ? (const char *)raw.p : "";
	model = line_of(a, text, "model name");
	if (x86)
		return model ? model : "unknown processor";
	if (model && line_of(a, text, "vendor_id") && strcmp(here, "s390x") != 0)
		return arena_printf(a, "%s emulated on %s", here, model);
	if (!model)
		model = line_of(a, text, "uarch");
	if (!model && line_of(a, text, "CPU part"))
		model =
		    arena_printf(a, "implementer %s part %s", line_of(a, text, "CPU implementer"), line_of(a, text, "CPU part"));
	return arena_printf(a, "%s %s", here, model ? model : "processor");
}

/* ---- calling kernels ---------------------------------------------------------------------------------------------- */

#if defined __x86_64__

void target_call(kernel_fn *fn, void *const *buffer, int64_t part, int64_t parts)
{
	unsigned control = __builtin_ia32_stmxcsr();

	fn(buffer, part, parts);
	/* no direction flag, no alignment check, the 80-bit registers empty and as Linux sets them up */
	__builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~0x40400ull);
	__asm__ volatile("fninit");
	__builtin_ia32_ldmxcsr(control);
}

#elif defined __aarch64__

void target_call(kernel_fn *fn, void *const *buffer, int64_t part, int64_t parts)
{
	uint64_t control;

	__asm__ volatile("mrs %0, fpcr" : "=r"(control));
	fn(buffer, part, parts);
	__asm__ volatile("msr fpcr, %0" ::"r"(control));
}

#else

void target_call(kernel_fn *fn, void *const *buffer, int64_t part, int64_t parts)
{
	fn(buffer, part, parts);
}

#endif

/* ---- denormals ---------------------------------------------------------------------------------------------------- */

#if defined __x86_64__

#define FTZ_DAZ 0x8040u

bool target_can_flush(void)
{
	return true;
}

void target_flush_denormals(void)
{
	__builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | FTZ_DAZ);
}

#elif defined __aarch64__

#define FPCR_FZ ((uint64_t)1 << 24)

bool target_can_flush(void)
{
	return true;
}

void target_flush_denormals(void)
{
	uint64_t r;

	__asm__ volatile("mrs %0, fpcr" : "=r"(r));
	__asm__ volatile("msr fpcr, %0" ::"r"(r | FPCR_FZ));
}

#else

bool target_can_flush(void)
{
	return false;
}

void target_flush_denormals(void)
{
}

#endif
