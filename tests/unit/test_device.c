/* test_device.c: the cpu device - what the hash of an artefact sees, what the cache believes, what a bad compiler does, and
 * threads that share a kernel */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "device/device.h"
#include "device/device_internal.h"
#include "test_support.h"

#define ENTRY "void mutatenn_kernel(void *const *buffer, long long part, long long parts)\n"

static struct device *open_with(const char *cc, const char *cache)
{
	struct device_options o = {.cc = cc, .cache_dir = cache};
	struct device *d = NULL;
	struct err e = {0};

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

static void run(struct device *d, const struct artefact *art, void *const *buffer, bool parallel)
{
	struct kernel *k;
	struct err e = {0};

	cr_assert(device_cpu.load(d, art, &k, &e), "%s", err_text(&e));
	cr_assert(device_cpu.run(d, k, buffer, parallel, &e));
	device_cpu.unload(d, k);
}

/* As a runner does with what it was sent. */
static void place(const uint8_t *p, size_t n)
{
	struct elf_plain o;
	uint8_t *image;
	bool moves;

	if (!elf_plain(p, n, "mutatenn_kernel", &o))
		return;
	cr_expect_lt(o.fn, o.size);
	image = calloc(o.size, 1);
	cr_assert(image);
	elf_place(&o, p, image, 1 << 20, &moves);
	free(image);
}

static void hashes_with(const char *cc)
{
	struct device *d = open_with(cc, "");
	struct arena *a = arena_new(NULL);
	struct hash one =
	    compile(d, a, "static float twice(float x) { return x * 2; }\n" ENTRY "{ *(float *)buffer[0] = twice(3); }").code;
	struct hash same = compile(d, a,
				   "/* a comment */\nstatic float other(float y) { return y * 2; }\n" ENTRY
				   "{\n\t*(float *)buffer[0] = other(3);\n}")
			       .code;
	struct hash different =
	    compile(d, a, "static float twice(float x) { return x * 2; }\n" ENTRY "{ *(float *)buffer[0] = twice(4); }").code;

	cr_expect(hash_eq(one, same));
	cr_expect(!hash_eq(one, different));
	arena_free(a);
	device_cpu.close(d);
}

TEST(device, gcc_comments_and_inner_names_leave_the_code_hash_alone_and_constants_change_it)
{
	hashes_with("gcc");
}

TEST(device, clang_comments_and_inner_names_leave_the_code_hash_alone_and_constants_change_it)
{
	hashes_with("clang");
}

TEST(device, equal_names_of_loaded_kernels_do_not_hide_each_other)
{
	struct device *d = open_with("gcc", "");
	struct arena *a = arena_new(NULL);
	struct artefact art[3];
	struct kernel *k[3];
	float x = 0;
	void *buffer[] = {&x};

	for (int i = 0; i < 3; i++) {
		art[i] = compile(d, a, arena_printf(a, ENTRY "{ *(float *)buffer[0] = %d; }", i + 1));
		cr_assert(device_cpu.load(d, &art[i], &k[i], NULL));
	}
	for (int i = 2; i >= 0; i--) {
		cr_assert(device_cpu.run(d, k[i], buffer, false, NULL));
		cr_expect_eq(x, (float)(i + 1));
	}
	device_cpu.unload(d, k[1]);
	arena_free(a);
	device_cpu.close(d); /* unloads the others */
}

static char *temp_dir(struct arena *a)
{
	char *dir = arena_strdup(a, "/tmp/mutatenn-test-XXXXXX");

	cr_assert(mkdtemp(dir));
	return dir;
}

static void damage(const char *path, long at)
{
	FILE *f = fopen(path, "r+b");

	cr_assert(f);
	fseek(f, at, SEEK_SET);
	fputc(0x55, f);
	fclose(f);
}

static void script(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	cr_assert(f);
	cr_assert(fputs(text, f) >= 0 && !fchmod(fileno(f), 0755) && !fclose(f));
}

TEST(device, a_compiler_that_was_exchanged_is_not_answered_for_by_the_cache_of_the_old_one)
{
	struct arena *a = arena_new(NULL);
	char *dir = temp_dir(a), *cc = file_join(a, dir, "cc"), **name;
	const char *source = ENTRY "{ *(float *)buffer[0] = 7; }";
	struct device *d;
	struct artefact k;
	float x = 0;
	void *buffer[] = {&x};
	size_t n;

	for (int i = 0; i < 3; i++) {
		script(cc, i ? "#!/bin/sh\ncase $* in *-shared*) sed 's/= 7/= 8/' | exec gcc \"$@\";; *) exec gcc \"$@\";; esac\n" : "#!/bin/sh\nexec gcc \"$@\"\n");
		d = open_with(cc, file_join(a, dir, "cache"));
		k = compile(d, a, source);
		cr_expect(!k.cached);
		cr_expect(compile(d, a, source).cached);
		run(d, &k, buffer, false);
		cr_expect_eq(x, i ? 8.0f : 7.0f);
		device_cpu.close(d);
	}
	dir = file_join(a, dir, "cache");
	cr_assert(file_list(a, dir, &name, &n, NULL));
	cr_expect_eq(n, 3u);
	for (size_t i = 0; i < n; i++)
		unlink(file_join(a, dir, name[i]));
	cr_expect(!rmdir(dir) && !unlink(cc) && !rmdir(file_dir(a, cc)));
	arena_free(a);
}

TEST(device, a_cached_kernel_is_found_again_and_a_damaged_one_is_built_again)
{
	struct arena *a = arena_new(NULL);
	char *dir = temp_dir(a), **name, *path;
	struct device *d = open_with("gcc", dir);
	const char *source = ENTRY "{ *(float *)buffer[0] = 7; }";
	struct artefact first = compile(d, a, source), second = compile(d, a, source), third;
	float x = 0;
	void *buffer[] = {&x};
	size_t n;

	cr_expect(!first.cached);
	cr_expect(second.cached);
	cr_expect(hash_eq(first.code, second.code));
	cr_expect_eq(first.size, second.size);
	cr_assert(file_list(a, dir, &name, &n, NULL));
	cr_assert_eq(n, 1u);
	path = file_join(a, dir, name[0]);
	for (int i = 0; i < 3; i++) {
		if (i < 2)
			damage(path, i ? (long)first.size + 3 : 700);
		else
			cr_assert(!truncate(path, 100));
		third = compile(d, a, source);
		cr_expect(!third.cached);
		cr_expect(hash_eq(first.code, third.code));
	}
	third = compile(d, a, source);
	cr_expect(third.cached);
	run(d, &third, buffer, false);
	cr_expect_eq(x, 7.0f);
	device_cpu.close(d);
	unlink(path);
	cr_expect_eq(rmdir(dir), 0);
	arena_free(a);
}

TEST(device, a_missing_compiler_is_an_error_that_names_the_package)
{
	struct device_options o = {.cc = "no-such-machine-gcc", .cache_dir = "", .name = "board"};
	struct device *d = NULL;
	struct err e = {0};

	cr_assert(!device_cpu.open(&o, &d, &e));
	cr_expect_str_eq(
	    err_text(&e),
	    "device 'board': the compiler 'no-such-machine-gcc' is not installed (Debian package 'gcc-no-such-machine')");
	err_free(&e);
}

TEST(device, a_refused_text_gives_the_compilers_log)
{
	struct device *d = open_with("gcc", "");
	struct arena *a = arena_new(NULL);
	struct artefact art;
	struct err e = {0};

	cr_assert(!device_cpu.compile(d, a, "int x = ;", false, &art, &e));
	cr_expect_eq(e.code, ERR_DEVICE);
	cr_assert(art.log);
	cr_expect(strstr(art.log, "expected expression") != NULL, "%s", art.log);
	err_free(&e);
	arena_free(a);
	device_cpu.close(d);
}

/* Waits, ten seconds at most, until there is no such process; a zombie may wait for somebody to reap it. */
static bool goes(struct arena *a, pid_t pid)
{
	char *stat = arena_printf(a, "/proc/%d/stat", (int)pid);

	for (int i = 0; i < 1000; i++) {
		struct bytes text;

		if (!file_read(a, stat, 0, &text, NULL) || strstr((const char *)text.p, ") Z"))
			return true;
		nanosleep(&(struct timespec){0, 10000000}, NULL);
	}
	return false;
}

TEST(device, a_compiler_goes_with_the_worker_that_is_killed)
{
	struct arena *a = arena_new(NULL);
	char *dir = temp_dir(a), *cc = file_join(a, dir, "silent-gcc"), *mark = file_join(a, dir, "pid");
	struct device_options o = {.cc = cc, .cache_dir = ""};
	struct bytes raw = {0};
	struct err e = {0};
	struct device *d;
	pid_t worker;

	script(cc, arena_printf(a, "echo $$ > %s.new; mv %s.new %s; exec sleep 1000", mark, mark, mark));
	worker = fork();
	if (!worker)
		_exit(device_cpu.open(&o, &d, &e));
	while (!file_exists(mark))
		nanosleep(&(struct timespec){0, 10000000}, NULL);
	cr_assert(file_read(a, mark, 0, &raw, &e), "%s", err_text(&e));
	kill(worker, SIGKILL);
	waitpid(worker, NULL, 0);
	cr_expect(goes(a, atoi((const char *)raw.p)), "the compiler still runs");
	unlink(cc);
	unlink(mark);
	rmdir(dir);
	arena_free(a);
}

/* A compiler that answers at first, then never: its child must go too. */
TEST(device, a_compiler_that_hangs_is_killed_with_what_it_started)
{
	struct arena *a = arena_new(NULL);
	char *dir = temp_dir(a), *cc = file_join(a, dir, "slow-gcc"), *mark = file_join(a, dir, "pid");
	struct device_options o = {.cc = cc, .cache_dir = "", .compile_timeout_s = 0.5};
	const char *script =
	    arena_printf(a, "#!/bin/sh\ncase \"$*\" in *-dM*) exit 0;; esac\nsleep 100 &\necho $! > %s\nwait\n", mark);
	struct artefact art;
	struct device *d;
	struct err e = {0};
	struct bytes raw;

	cr_assert(file_write(cc, script, strlen(script), &e));
	cr_assert(!chmod(cc, 0755));
	cr_assert(device_cpu.open(&o, &d, &e), "%s", err_text(&e));
	cr_expect(!device_cpu.compile(d, a, "", false, &art, &e));
	cr_expect_eq(e.code, ERR_TIMEOUT, "%s", err_text(&e));
	cr_assert(file_read(a, mark, 0, &raw, &e), "%s", err_text(&e));
	cr_expect(goes(a, atoi((const char *)raw.p)), "the compiler's child still runs");
	device_cpu.close(d);
	unlink(cc);
	unlink(mark);
	rmdir(dir);
	err_free(&e);
	arena_free(a);
}

/* Compilers that take what they can get; -dM is the question what they are. */
static void greedy(const char *script, const char *source, uint64_t memory, const char *words)
{
	struct arena *a = arena_new(NULL);
	char *dir = temp_dir(a), *cc = file_join(a, dir, "greedy-gcc");
	struct device_options o = {.cc = cc, .cache_dir = "", .compile_timeout_s = 30, .compile_memory = memory};
	struct artefact art;
	struct device *d;
	struct err e = {0};
	struct stat st;

	script = arena_printf(a, "#!/bin/sh\ncase \"$*\" in *-dM*) exit 0;; esac\n%s\n", script);
	cr_assert(file_write(cc, script, strlen(script), &e));
	cr_assert(!chmod(cc, 0755));
	cr_assert(device_cpu.open(&o, &d, &e), "%s", err_text(&e));
	cr_expect(!device_cpu.compile(d, a, source, false, &art, &e));
	cr_expect_eq(e.code, ERR_DEVICE, "%s", err_text(&e));
	cr_expect(strstr(err_text(&e), words) != NULL, "'%s' in '%.300s'", words, err_text(&e));
	cr_expect(!art.log || strlen(art.log) <= 64 << 10);
	device_cpu.close(d);
	unlink(cc);
	cr_expect(stat(file_join(a, dir, "left"), &st), "it left a file");
	rmdir(dir);
	err_free(&e);
	arena_free(a);
}

TEST(device, a_compiler_that_prints_without_end_is_stopped)
{
	greedy("exec yes 'warning: endless'", "", 0, "died of signal 25");
}

TEST(device, a_compiler_that_writes_without_end_is_stopped_and_its_file_goes)
{
	greedy("while test \"$1\" != -o; do shift; done; exec cat /dev/zero >\"$2\"", "", 0, "died of signal 25");
}

/* The compiler proper is a grandchild. */
TEST(device, a_text_that_takes_the_compiler_too_much_memory_is_refused)
{
	struct arena *a = arena_new(NULL);
	const char *source = "#define A(x) x+x+x+x+x+x+x+x+x+x\n#define B(x) A(A(A(x)))\nint f(int y) { return B(B(B(y))); }\n";

	if (system("command -v gcc >/dev/null"))
		cr_skip_test("no gcc");
	greedy("gcc \"$@\"", source, (uint64_t)128 << 20, "memory");
	arena_free(a);
}

TEST(device, hostile_objects_have_no_hash)
{
	struct device *d = open_with("gcc", "");
	struct arena *a = arena_new(NULL);
	struct artefact art = compile(d, a, "float sqrtf(float);\nstatic float (*const f[])(float) = {sqrtf};\n" ENTRY
					    "{ *(float *)buffer[0] = ((float (*const volatile *)(float))f)[part](36) + sqrtf(4); }");
	struct hash h;
	uint64_t state = 1;

	for (size_t n = 0; n < art.size; n += 1 + art.size / 200) { /* exact copies, so that a checker sees any overrun */
		uint8_t *cut = malloc(n ? n : 1);

		memcpy(cut, art.data, n);
		cr_expect(!elf_hash(cut, n, NULL, &h));
		place(cut, n);
		free(cut);
	}
	for (int i = 0; i < 3000; i++) {
		uint8_t *copy = malloc(art.size);

		memcpy(copy, art.data, art.size);
		for (int k = 0; k < 4; k++) {
			state = state * 6364136223846793005ULL + 1442695040888963407ULL;
			copy[i % 3 == 0 ? state >> 33 & 63 : i % 3 == 1 ? (state >> 33) % art.size : art.size - 1 - (state >> 33) % 2000] = (uint8_t)(state >> 20);
		}
		elf_hash(copy, art.size, NULL, &h); /* must not crash */
		place(copy, art.size);
		free(copy);
	}
	arena_free(a);
	device_cpu.close(d);
}

#define PARTS_KERNEL                                                                                                               \
	ENTRY "{\n\tfor (long long i = 1000 * part / parts; i < 1000 * (part + 1) / parts; i++)\n\t\t((float *)buffer[0])[i] += "  \
	      "i;\n}"

static void refused_with(const char *cc)
{
	static const char *const runs[] = {
	    "__attribute__((constructor)) static void at_load(void) { __builtin_trap(); }\n" ENTRY "{ }\n",
	    "__attribute__((destructor)) static void at_unload(void) { __builtin_trap(); }\n" ENTRY "{ }\n",
	    "static void f(void) { }\nstatic void *choose(void) { __builtin_trap(); return f; }\n"
	    "void g(void) __attribute__((ifunc(\"choose\")));\n" ENTRY "{ g(); }\n",
	    "static void f(void) { }\nstatic void *choose(void) { __builtin_trap(); return f; }\n"
	    "__attribute__((used, ifunc(\"choose\"))) static void g(void);\n" ENTRY "{ g(); }\n",
	};
	struct device *d = open_with(cc, "");
	struct arena *a = arena_new(NULL);

	for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
		struct artefact art = compile(d, a, runs[i]);
		struct kernel *k;
		struct err e = {0};

		cr_expect(!device_cpu.load(d, &art, &k, &e), "kernel %zu", i);
		cr_expect_str_eq(err_text(&e), "a kernel that runs code when it is loaded");
		err_free(&e);
	}
	cr_expect(elf_runs_at_load((const uint8_t *)"\x7f"
							"ELF",
				   4));
	arena_free(a);
	device_cpu.close(d);
}

TEST(device, gcc_kernels_that_run_code_when_they_are_loaded_are_refused)
{
	refused_with("gcc");
}

TEST(device, clang_kernels_that_run_code_when_they_are_loaded_are_refused)
{
	refused_with("clang");
}

TEST(device, threads_together_do_a_kernel_once_also_in_a_forked_child)
{
	struct device *d = open_with("gcc", "");
	struct arena *a = arena_new(NULL);
	struct artefact art = compile(d, a, PARTS_KERNEL);
	struct kernel *k;
	pid_t pid;
	int status;

	cr_assert(device_cpu.load(d, &art, &k, NULL));
	pid = fork();
	if (!pid) {
		float *x = arena_zalloc(a, 1000 * sizeof *x);
		void *buffer[] = {x};
		bool ok = device_cpu.start_threads(d, 3, NULL);

		for (int i = 0; i < 5000; i++) {
			ok = ok && device_cpu.run(d, k, buffer, true, NULL);
			if (i % 1000 == 0)
				nanosleep(&(struct timespec){0, 1000000}, NULL); /* long enough for them to sleep */
		}
		for (int i = 0; i < 1000; i++)
			ok = ok && x[i] == 5000.0f * (float)i;
		device_cpu.close(d);
		_exit(ok ? 0 : 1);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	arena_free(a);
	device_cpu.close(d);
}

TEST(device, capabilities_say_what_the_compiler_is)
{
	struct device *d = open_with("clang", "");
	const struct device_caps *c = device_cpu.caps(d);

	cr_expect_str_eq(c->backend, "cpu");
	cr_expect_str_eq(c->dialect, "c");
	cr_expect(!strncmp(c->describe, "clang ", 6), "%s", c->describe);
	cr_expect(strstr(c->describe, "-O2 -march=native") != NULL);
	cr_expect(c->lanes == 4 || c->lanes == 8 || c->lanes == 16);
	cr_expect(c->threads >= 1);
	cr_expect_eq(device_find("cpu"), &device_cpu);
	cr_expect_null(device_find("abacus"));
	device_cpu.close(d);
}

TEST(device, the_cache_of_kernels_has_the_size_that_the_environment_says)
{
	struct arena *a = arena_new(NULL);
	char *dir = temp_dir(a), **name;
	const char *source = ENTRY "{ *(float *)buffer[0] = 7; }";
	struct device_options o = {.cc = "gcc", .cache_dir = dir};
	struct err e = {0};
	struct device *d;
	size_t n;

	setenv("MUTATENN_KERNEL_CACHE", "much", 1);
	cr_expect_not(device_cpu.open(&o, &d, &e));
	cr_expect(strstr(err_text(&e), "'much'"), "%s", err_text(&e));
	err_free(&e);
	for (int i = 0; i < 2; i++) {
		setenv("MUTATENN_KERNEL_CACHE", i ? "8K" : "0", 1); /* an artefact is larger than half of that */
		d = open_with("gcc", dir);
		compile(d, a, source);
		cr_assert(file_list(a, dir, &name, &n, NULL));
		cr_expect_eq(n, 0u);
		device_cpu.close(d);
	}
	unsetenv("MUTATENN_KERNEL_CACHE");
	rmdir(dir);
	arena_free(a);
}

static int mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	int n = 0, c;

	cr_assert(f);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

/* of: mappings that the eight constant ones take once they are settled */
static void settle(struct device *d, int most)
{
	static const float third[4] = {1, 2, 3, 4};
	struct arena *a = arena_new(NULL);
	struct kernel *k[8], *counts;
	struct artefact art;
	struct err e = {0};
	float y;
	int before, n = 0;

	art = compile(d, a, "static int n;\n" ENTRY "{ *(int *)buffer[0] = ++n; }");
	cr_expect(!elf_is_constant(art.data, art.size));
	cr_assert(device_cpu.load(d, &art, &counts, &e), "%s", err_text(&e));
	before = mappings();
	for (int i = 0; i < 8; i++) {
		art = compile(d, a, arena_printf(a, "float sqrtf(float);\nstatic const float t[] = {%d, 7};\n" ENTRY
						    "{ const float *x = buffer[0]; *(float *)buffer[1] = sqrtf(x[3]) + t[part]; }", i));
		cr_assert(elf_is_constant(art.data, art.size));
		cr_assert(device_cpu.load(d, &art, &k[i], &e), "%s", err_text(&e));
	}
	device_cpu.settle(d);
	cr_expect_leq(mappings() - before, most, "%d mappings before, %d with eight kernels settled", before, mappings());
	for (int i = 0; i < 8; i++) {
		cr_assert(device_cpu.run(d, k[i], (void *const[]){(void *)third, &y}, false, &e));
		cr_expect_eq(y, (float)(2 + i));
	}
	for (int i = 1; i < 3; i++) {
		cr_assert(device_cpu.run(d, counts, (void *const[]){&n}, false, &e));
		cr_expect_eq(n, i);
	}
	for (int i = 0; i < 8; i++)
		device_cpu.unload(d, k[i]);
	arena_free(a);
	device_cpu.close(d);
}

TEST(device, settled_kernels_take_few_mappings_and_do_what_they_did)
{
	settle(open_with("gcc", ""), 1);
}

TEST(device, settled_libraries_take_few_mappings_and_do_what_they_did)
{
	static const char *const flags[] = {"-O2", "-Wl,-z,now"}; /* asks something of the loader */
	struct device_options o = {.cc = "gcc", .cache_dir = "", .cflags = flags, .ncflags = 2};
	struct device *d;
	struct err e = {0};

	cr_assert(device_cpu.open(&o, &d, &e), "%s", err_text(&e));
	settle(d, 8 + 3); /* and what the loader itself needed */
}

/* Data of their own, addresses of their own data and of functions elsewhere, one that is nowhere. */
TEST(device, kernels_that_need_little_of_a_loader_and_others_do_what_they_say)
{
	static const struct {
		const char *text;
		bool plain, places, moves;
	} t[] = {
	    {ENTRY "{ *(float *)buffer[0] = 6; }", true, true, true},
	    {"float sqrtf(float);\n" ENTRY "{ *(float *)buffer[0] = sqrtf(*(float *)buffer[1]); }", true, true, true},
	    {"static const float x[] = {1, 6}, *const at[] = {x, x + 1};\n" ENTRY "{ *(float *)buffer[0] = *((const float *const volatile *)at)[part + 1]; }", true, true, false},
	    {"float sqrtf(float);\nstatic float (*const f[])(float) = {sqrtf};\n" ENTRY "{ *(float *)buffer[0] = ((float (*const volatile *)(float))f)[part](36); }", true, true, false},
	    {"static float n = 5;\n" ENTRY "{ *(float *)buffer[0] = ++n; }", false, false, false},
	    {"static __thread float n = 5;\n" ENTRY "{ *(float *)buffer[0] = ++n; }", false, false, false},
	    {"float nobody_has_this(float) __attribute__((weak));\n" ENTRY "{ *(float *)buffer[0] = nobody_has_this ? 1 : 6; }", true, false, false},
	};
	struct device *d = open_with("gcc", "");
	struct arena *a = arena_new(NULL);

	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct artefact art = compile(d, a, t[i].text);
		uint8_t image[1 << 16] = {0};
		float x = 36, y = 0;
		struct elf_plain o;
		bool moves = false, plain = elf_plain(art.data, art.size, "mutatenn_kernel", &o);

		cr_expect_eq(plain, t[i].plain, "%s", t[i].text);
		if (plain && o.size <= sizeof image)
			cr_expect_eq(elf_place(&o, art.data, image, 1 << 20, &moves), t[i].places, "%s", t[i].text);
		cr_expect(!t[i].places || moves == t[i].moves, "%s", t[i].text);
		run(d, &art, (void *const[]){&y, &x}, false);
		cr_expect_eq(y, 6, "%s", t[i].text);
	}
	arena_free(a);
	device_cpu.close(d);
}
