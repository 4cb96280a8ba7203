/* test_device_cc.c: kernels compiled without the compiler's driver are what it makes; where they may not be, it is used */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "device/device_internal.h"
#include "test_support.h"

#define ENTRY "void mutatenn_kernel(void *const *buffer, long long part, long long parts)\n"
#define FLAGS "-O2", "-shared", "-fPIC", "-nostdlib", "-w", "-Wl,--build-id=none"

static const char *const texts[] = {
    ENTRY "{ *(float *)buffer[0] = 7; }",
    "float expf(float);\n" ENTRY "{ float *x = buffer[0]; for (int i = 0; i < 99; i++) x[i] = expf(x[i]) + 0.1f; }",
    "static const int table[] = {3, 1, 2}; static int count;\n" ENTRY "{ ((int *)buffer[0])[part] = table[parts % 3] + count++; }",
};

static struct cc driver_of(struct arena *a, const char *const *argv)
{
	return (struct cc){.arena = a, .argv = argv, .limits = {60, 0, NULL}};
}

static void skip_without(struct arena *a, const char *cc)
{
	if (!cc_find(a, cc))
		cr_skip_test("no %s here", cc);
}

static struct artefact made(struct cc *d, struct arena *a, const char *text)
{
	struct artefact out = {0};
	struct err e = {0};

	cr_assert(cc_compile(d, a, text, &out, &e), "%s", err_text(&e));
	return out;
}

/* Whatever it does, the bytes are the driver's. */
static struct cc same_as_driver(struct arena *a, const char *const *argv)
{
	struct cc d = driver_of(a, argv), plain = driver_of(a, argv);

	plain.asked = true;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct artefact one = made(&d, a, texts[i]), two = made(&plain, a, texts[i]);

		cr_expect(one.size == two.size && !memcmp(one.data, two.data, one.size), "text %zu", i);
		cr_expect_str_eq(one.log, two.log);
	}
	cr_expect_eq(plain.n, 0u);
	return d;
}

static void commands_of(const char *cc, size_t n)
{
	struct arena *a = arena_new(NULL);
	const char *argv[] = {cc, FLAGS, NULL};

	skip_without(a, cc);
	cr_expect_eq(same_as_driver(a, argv).n, n);
	arena_free(a);
}

TEST(device_cc, gcc_is_cc1_as_and_ld)
{
	commands_of("gcc", 3);
}

TEST(device_cc, clang_is_itself_and_ld)
{
	commands_of("clang", 2);
}

TEST(device_cc, a_gcc_for_another_machine_is_cc1_as_and_ld)
{
	commands_of("aarch64-linux-gnu-gcc", 3);
}

TEST(device_cc, flags_that_need_the_driver_have_it)
{
	static const struct {
		const char *flag;
		size_t n; /* commands */
	} with[] = {{"-flto", 0}, {"-pipe", 0}, {"-fuse-ld=bfd", 0}, {"-save-temps=obj", 4}};
	struct arena *a = arena_new(NULL);

	skip_without(a, "gcc");
	for (size_t i = 0; i < sizeof with / sizeof *with; i++) {
		const char *argv[] = {"gcc", FLAGS, with[i].flag, NULL};
		size_t n = same_as_driver(a, argv).n;

		cr_expect_eq(n, with[i].n, "%s: %zu commands", with[i].flag, n);
	}
	arena_free(a);
}

/* A compiler that is a script of this text. */
static char *script(struct arena *a, const char *text, char **dir)
{
	char *path;

	*dir = arena_strdup(a, "/tmp/mutatenn-test-XXXXXX");
	cr_assert(mkdtemp(*dir));
	path = file_join(a, *dir, "my-gcc");
	cr_assert(file_write(path, text, strlen(text), NULL) && !chmod(path, 0755));
	return path;
}

TEST(device_cc, a_script_is_never_passed_by)
{
	struct arena *a = arena_new(NULL);
	char *dir, *cc = script(a, "#!/bin/sh\nexec gcc \"$@\"\n", &dir);
	const char *argv[] = {cc, FLAGS, NULL};

	skip_without(a, "gcc");
	cr_expect_eq(same_as_driver(a, argv).n, 0u);
	unlink(cc);
	rmdir(dir);
	arena_free(a);
}

TEST(device_cc, a_linker_of_the_users_is_the_one_that_links)
{
	struct arena *a = arena_new(NULL);
	char *dir, *cc = script(a, "#!/bin/sh\nexec ld \"$@\"\n", &dir), *ld = file_join(a, dir, "ld");
	const char *argv[] = {"gcc", FLAGS, arena_printf(a, "-B%s", dir), NULL};
	struct cc d;

	skip_without(a, "gcc");
	cr_assert(!rename(cc, ld));
	d = same_as_driver(a, argv);
	cr_assert_eq(d.n, 3u);
	cr_expect_str_eq(d.command[2][0], ld);
	unlink(ld);
	rmdir(dir);
	arena_free(a);
}

TEST(device_cc, a_refusal_is_told_as_the_driver_tells_it)
{
	struct arena *a = arena_new(NULL);
	const char *argv[] = {"gcc", FLAGS, NULL};
	struct cc d, plain = driver_of(a, argv);
	struct artefact one, two;
	struct err e[2] = {{0}};

	skip_without(a, "gcc");
	d = same_as_driver(a, argv);
	plain.asked = true;
	cr_expect(!cc_compile(&d, a, "int x = ;", &one, &e[0]));
	cr_expect(!cc_compile(&plain, a, "int x = ;", &two, &e[1]));
	cr_expect_eq(e[0].code, ERR_DEVICE);
	cr_expect_str_eq(err_text(&e[0]), err_text(&e[1]));
	cr_expect_str_eq(one.log, two.log);
	cr_expect_eq(d.n, 3u, "what is refused says nothing against the commands");
	err_free(&e[0]);
	err_free(&e[1]);
	arena_free(a);
}

TEST(device_cc, commands_that_work_no_more_are_left_for_the_driver)
{
	struct arena *a = arena_new(NULL);
	const char *argv[] = {"gcc", FLAGS, NULL}, *gone[] = {"/no/such/cc1", NULL}, *fails[] = {"/bin/false", NULL}, *dies[] = {"/bin/sh", "-c", "kill -9 $$", NULL},
		   *idle[] = {"/bin/true", NULL};
	const char *const *bad[] = {gone, fails, dies, idle}; /* the last makes nothing */

	struct cc good;

	skip_without(a, "gcc");
	good = same_as_driver(a, argv);
	for (size_t i = 0; i < 3 * sizeof bad / sizeof *bad; i++) {
		struct cc d = good;

		d.command[i % 3] = bad[i / 3];
		cr_expect(made(&d, a, texts[1]).size > 0);
		cr_expect_eq(d.n, 0u, "%s as command %zu", bad[i / 3][0], i % 3);
	}
	arena_free(a);
}

TEST(device_cc, commands_that_hang_are_killed_with_what_they_started)
{
	struct arena *a = arena_new(NULL);
	char *dir, *hangs = script(a, "#!/bin/sh\nsleep 100 &\necho $! > \"$1\"\nwait\n", &dir), *mark = file_join(a, dir, "pid");
	const char *argv[] = {"gcc", FLAGS, NULL}, *slow[] = {hangs, mark, NULL};
	struct cc good;
	struct bytes raw;
	pid_t pid;

	skip_without(a, "gcc");
	good = same_as_driver(a, argv);
	for (size_t i = 0; i < 3; i++) {
		struct cc d = good;
		struct artefact out;
		struct err e = {0};

		d.command[i] = slow;
		d.limits.seconds = 8; /* the commands before it take a while on a busy machine */
		cr_expect(!cc_compile(&d, a, texts[0], &out, &e));
		cr_expect_eq(e.code, ERR_TIMEOUT);
		cr_expect_str_eq(err_text(&e), "'gcc' took longer than 8 s");
		cr_assert(file_read(a, mark, 0, &raw, &e), "command %zu: %s", i, err_text(&e));
		pid = atoi((const char *)raw.p);
		for (int k = 0; k < 1000 && file_exists(arena_printf(a, "/proc/%d/fd/0", (int)pid)); k++)
			nanosleep(&(struct timespec){0, 10000000}, NULL);
		cr_expect(!file_exists(arena_printf(a, "/proc/%d/fd/0", (int)pid)), "what command %zu started still runs", i);
		unlink(mark);
		err_free(&e);
	}
	unlink(hangs);
	rmdir(dir);
	arena_free(a);
}
