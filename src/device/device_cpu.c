/* device_cpu.c: this processor through a C compiler - text to shared object to function */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "device/device_internal.h"

#define ENTRY "mutatenn_kernel"
#define MAX_MACROS ((size_t)1 << 20)

struct kernel {
	struct kernel *next;
	void *library; /* of dlopen; NULL: put into memory at `at` */
	uint8_t *at;
	struct plain_block *block; /* that it was moved to; NULL: memory of its own */
	struct elf_plain plain;
	bool moves; /* its bytes are the same elsewhere */
	kernel_fn *fn;
	bool constant; /* the library has no data that change */
	bool settled;
};

struct device {
	struct arena *arena;
	const char *cc;
	struct cachedir cache;
	const char **flags;         /* the user's or the default; then what is always there */
	size_t nflags;
	struct spawn_limits limits;
	bool clang;
	enum device_role role;
	bool flush;
	bool fast;  /* the user wants fast mathematics */
	bool fuses; /* the text leaves fma to the compiler's contraction on this target */
	struct device_caps caps;
	struct hash toolchain;
	struct hash compiler; /* of its file */
	struct cc cc_for[2]; /* contracted? */
	struct threads *threads;
	struct kernel *kernels;
};

static const char *const default_flags[] = {"-O2", "-march=native"}; /* the second where the compiler knows it */
/* No builtins: the compiler must not evaluate a mathematical function itself, with other bits than the library's. */
static const char *const fixed_flags[] = {
    "-std=gnu11",
    "-fwrapv",
    "-fno-strict-aliasing",
    "-fno-math-errno",
    "-fno-builtin",
    "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables",
    "-w",
    "-Wno-psabi",
    "-shared",
    "-fPIC",
    "-nostdlib",
    "-Wl,--build-id=none",
};

/* ---- opening --------------------------------------------------------------------------------------------------- */

/* The rest of the line "#define NAME rest"; NULL when it is not defined. */
static const char *macro(struct arena *a, const char *dump, const char *name)
{
	const char *key = arena_printf(a, "#define %s ", name), *at = strstr(dump, key);

	if (!at)
		return NULL;
	at += strlen(key);
	return arena_strndup(a, at, strcspn(at, "\n"));
}

static const char *version(struct arena *a, const char *dump)
{
	const char *clang = macro(a, dump, "__clang_major__");
	const char *gnu = macro(a, dump, "__GNUC__");

	if (clang)
		return arena_printf(a, "clang %s.%s.%s", clang, macro(a, dump, "__clang_minor__"),
				    macro(a, dump, "__clang_patchlevel__"));
	if (gnu)
		return arena_printf(a, "gcc %s.%s.%s", gnu, macro(a, dump, "__GNUC_MINOR__"),
				    macro(a, dump, "__GNUC_PATCHLEVEL__"));
	return "unknown compiler";
}

/* The Debian package that has the compiler: aarch64-linux-gnu-gcc is in gcc-aarch64-linux-gnu. */
static const char *package(struct arena *a, const char *cc)
{
	const char *base = file_base(cc);
	size_t n = strlen(base);

	if (strstr(base, "clang"))
		return "clang";
	if (n > 4 && !strcmp(base + n - 4, "-gcc"))
		return arena_printf(a, "gcc-%.*s", (int)n - 4, base);
	return "gcc";
}

/* Every predefined macro, which says what the compiler is and what -march=native has become. *refused: it ran and would not have the flags. */
static bool ask_compiler(struct device *d, struct str *dump, bool *refused, struct err *e)
{
	const char **argv = ARENA_ARRAY(d->arena, const char *, d->nflags + 8);
	const char *const *command = argv;
	size_t n = 0;
	int status;

	argv[n++] = d->cc;
	for (size_t i = 0; i < d->nflags; i++)
		argv[n++] = d->flags[i];
	argv[n++] = "-w";
	argv[n++] = "-dM";
	argv[n++] = "-E";
	argv[n++] = "-x";
	argv[n++] = "c";
	argv[n] = "-";
	if (!spawn_run(&command, 1, "", NULL, &d->limits, MAX_MACROS, dump, &status, e)) {
		if (e && e->code == ERR_USAGE)
			return err_set(e, ERR_DEVICE, "the compiler '%s' is not installed (Debian package '%s')", d->cc,
				       package(d->arena, d->cc));
		return false;
	}
	*refused = WIFEXITED(status) && WEXITSTATUS(status);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return err_set(e, ERR_DEVICE, "the compiler '%s' does not work: %.400s", d->cc, str_text(dump));
	return true;
}

/* How a kernel is compiled, up to the files. */
static size_t all_flags(const struct device *d, bool contract, const char **argv)
{
	size_t fixed = sizeof fixed_flags / sizeof *fixed_flags, n = 0;

	argv[n++] = d->cc;
	/* before the user's flags, which have the last word */
	argv[n++] = d->fast || (contract && d->fuses) ? "-ffp-contract=fast" : "-ffp-contract=off";
	for (size_t i = 0; i < d->nflags; i++)
		argv[n++] = d->flags[i];
	for (size_t i = 0; i < fixed; i++)
		argv[n++] = fixed_flags[i];
	if (d->clang) /* expressions nest; gcc has no limit */
		argv[n++] = "-fbracket-depth=4096";
	return n;
}

#define MOST_FLAGS(d) ((d)->nflags + sizeof fixed_flags / sizeof *fixed_flags + 4)

/* The same for a shell. */
static const char *build_line(const struct device *d)
{
	const char **argv = ARENA_ARRAY(d->arena, const char *, MOST_FLAGS(d)), *text;
	size_t n = all_flags(d, false, argv);
	struct str s = {0};

	for (size_t i = 0; i < n; i++) {
		bool plain = *argv[i] && !argv[i][strspn(argv[i], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+,./:")];

		str_add(&s, i ? " " : "");
		str_add(&s, plain ? "" : "'");
		for (const char *p = argv[i]; *p; p++)
			if (*p == '\'')
				str_add(&s, "'\\''");
			else
				str_addc(&s, *p);
		str_add(&s, plain ? "" : "'");
	}
	text = arena_strdup(d->arena, str_text(&s));
	str_free(&s);
	return text;
}

static void open_cc(struct device *d, bool contract)
{
	const char **argv = ARENA_ARRAY(d->arena, const char *, MOST_FLAGS(d));

	all_flags(d, contract, argv);
	d->cc_for[contract] = (struct cc){.arena = d->arena, .argv = argv, .limits = d->limits};
}

static void describe(struct device *d, const char *dump, int threads)
{
	struct str flags = {0};
	char hex[HASH_HEX];
	struct hasher *h = hasher_new();
	bool builder = d->role == DEVICE_BUILDER;
	const char *model = builder ? "" : target_processor(d->arena), *comma = builder ? "" : ", ",
		   *compiler = version(d->arena, dump);
	const char *flush = d->flush && !builder ? ", denormals flushed" : "";

	for (size_t i = 0; i < d->nflags; i++)
		str_addf(&flags, " %s", d->flags[i]);
	hash_put_text(h, dump);
	hash_put_text(h, model);
	hash_put_text(h, str_text(&flags));
	d->toolchain = hasher_end(h);
	d->clang = strstr(dump, "#define __clang__ ") != NULL;
	d->fuses =
	    !strstr(dump, "#define __x86_64__ ") && !strstr(dump, "#define __aarch64__ ") && !strstr(dump, "#define __riscv_flen ");
	d->caps = (struct device_caps){
	    .backend = "cpu",
	    .dialect = "c",
	    .describe = arena_printf(d->arena, "%s%s%s%s%s", compiler, str_text(&flags), comma, model, flush),
	    .identity = arena_printf(d->arena, "%s%s%s%s%s, %s", compiler, str_text(&flags), comma, model, flush,
				     hash_hex(d->toolchain, hex)),
	    .lanes = strstr(dump, "#define __AVX512F__ ") ? 16
		     : strstr(dump, "#define __AVX__ ")   ? 8
							  : 4,
	    .threads = threads,
	    .isolates = true,
	    .cls = DEVICE_CPU,
	    .machine = target_of_macros(dump),
	    .build = build_line(d),
	    .types = DEVICE_ALL_TYPES,
	};
	str_free(&flags);
}

/* What the runner of kernels that are built elsewhere says. */
static void describe_runner(struct device *d, int threads)
{
	const char *text = arena_printf(d->arena, "%s%s", target_processor(d->arena), d->flush ? ", denormals flushed" : "");

	d->caps = (struct device_caps){
	    .backend = "cpu",
	    .dialect = "c",
	    .describe = text,
	    .identity = text,
	    .threads = threads,
	    .isolates = true,
	    .cls = DEVICE_CPU,
	    .machine = target_here(),
	    .types = DEVICE_ALL_TYPES,
	};
}

static bool is_fast(const char *flag)
{
	static const char *const fast[] = {"-ffast-math", "-Ofast", "-funsafe-math-optimizations"};

	for (size_t i = 0; i < sizeof fast / sizeof *fast; i++)
		if (!strcmp(flag, fast[i]))
			return true;
	return false;
}

/* Which file the compiler is. An update of the same version, or another script of that name, says the same macros and may make other code. */
static struct hash compiler_file(struct arena *a, const char *cc)
{
	const char *path = cc_find(a, cc);
	struct hasher *h = hasher_new();
	struct stat st;

	if (path && !stat(path, &st)) {
		hash_put_u64(h, (uint64_t)st.st_size);
		hash_put_u64(h, (uint64_t)st.st_mtim.tv_sec);
		hash_put_u64(h, (uint64_t)st.st_mtim.tv_nsec);
	}
	return hasher_end(h);
}

static bool open_compiler(struct device *d, const struct device_options *o, struct err *e)
{
	const char *const *flags = o->cflags ? o->cflags : default_flags;
	struct arena *a = d->arena;
	struct str dump = {0};
	const char *machine;
	struct err why = {0};
	bool ok, refused = false;

	d->cc = arena_strdup(a, o->cc ? o->cc : "gcc");
	d->nflags = o->cflags ? o->ncflags : sizeof default_flags / sizeof *default_flags;
	d->flags = ARENA_ARRAY(a, const char *, d->nflags + 1);
	for (size_t i = 0; i < d->nflags; i++) {
		d->flags[i] = arena_strdup(a, flags[i]);
		d->fast = d->fast || is_fast(flags[i]);
	}
	d->compiler = compiler_file(a, d->cc);
	ok = ask_compiler(d, &dump, &refused, &why);
	/* a cross compiler has no native machine, nor have all others; one that could not be started would be another device without its flags */
	if (!ok && refused && !o->cflags) {
		d->nflags = 1;
		str_free(&dump);
		ok = ask_compiler(d, &dump, &refused, NULL);
	}
	if (!ok)
		err_set(e, why.code, "%s", err_text(&why));
	err_free(&why);
	if (ok) {
		describe(d, str_text(&dump), o->threads > 0 ? o->threads : threads_usable());
		open_cc(d, false);
		open_cc(d, true);
		machine = d->caps.machine;
		if (o->role == DEVICE_WHOLE && *machine && strcmp(machine, target_here()) != 0)
			ok = err_set(e, ERR_DEVICE,
				     "the compiler '%s' makes code for %s, and this worker runs on %s: its kernels need a worker "
				     "of their own ('builder')",
				     d->cc, machine, target_here());
	}
	str_free(&dump);
	return ok;
}

static bool cpu_open(const struct device_options *o, struct device **out, struct err *e)
{
	struct arena *a = arena_new(NULL);
	struct device *d = ARENA_NEW(a, struct device);
	bool ok = true;

	d->arena = a;
	d->role = o->role;
	d->flush = o->flush_denormals;
	d->limits.seconds = o->compile_timeout_s > 0 ? o->compile_timeout_s : 60;
	d->limits.memory = o->compile_memory ? o->compile_memory : (uint64_t)4 << 30;
	if (d->flush && d->role != DEVICE_BUILDER && !target_can_flush())
		ok = err_set(e, ERR_DEVICE, "%s cannot flush denormals", target_here());
	/* kernels leave the mathematical functions undefined: they must be there whatever this program itself uses */
	ok = ok && (dlopen("libm.so.6", RTLD_NOW | RTLD_GLOBAL) != NULL ||
		    err_set(e, ERR_DEVICE, "no mathematical library: %s", dlerror()));
	if (ok && d->role == DEVICE_RUNNER)
		describe_runner(d, o->threads > 0 ? o->threads : threads_usable());
	else
		ok = ok && open_compiler(d, o, e) && cache_open(d->arena, o->cache_dir, &d->cache, e);
	if (ok) {
		temp_sweep();
		*out = d;
	} else {
		err_in(e, "device '%s'", o->name ? o->name : "cpu");
		arena_free(a);
	}
	return ok;
}

static const struct device_caps *cpu_caps(const struct device *d)
{
	return &d->caps;
}

/* ---- compiling --------------------------------------------------------------------------------------------------- */

static struct hash cache_key(const struct device *d, const char *source, bool contract)
{
	struct hasher *h = hasher_new();

	hash_put_hash(h, d->toolchain);
	hash_put_hash(h, d->compiler);
	hash_put_text(h, d->cc);
	for (size_t i = 0; i < sizeof fixed_flags / sizeof *fixed_flags; i++)
		hash_put_text(h, fixed_flags[i]);
	hash_put_u64(h, (contract ? 1 : 0) | (d->fast ? 2 : 0));
	hash_put_text(h, source);
	return hasher_end(h);
}

static bool cpu_compile(struct device *d, struct arena *a, const char *source, bool contract, struct artefact *out, struct err *e)
{
	struct hash key;

	*out = (struct artefact){0};
	if (d->role == DEVICE_RUNNER)
		return err_set(e, ERR_UNSUPPORTED, "this worker has no compiler: its kernels are built elsewhere");
	key = cache_key(d, source, contract);
	if (cache_get(a, &d->cache, key, &out->data, &out->size) && elf_hash(out->data, out->size, NULL, &out->code)) {
		out->cached = true;
		out->log = arena_strdup(a, "");
		return true;
	}
	if (!cc_compile(&d->cc_for[contract], a, source, out, e))
		return false;
	if (!elf_hash(out->data, out->size, NULL, &out->code))
		return err_set(e, ERR_DEVICE, "'%s' did not write a shared object", d->cc);
	cache_put(&d->cache, key, out->data, out->size);
	return true;
}

/* ---- loading and running --------------------------------------------------------------------------------------------- */

/* The loader takes equal names for equal libraries and descriptors get reused, so the name says the number of the load in
 * slashes. */
static char *load_name(struct arena *a, int fd, uint32_t number)
{
	struct str s = {0};
	char *out;

	str_add(&s, "/proc/self/fd/");
	for (; number; number >>= 1)
		str_add(&s, number & 1 ? ".//" : "./");
	str_addf(&s, "%d", fd);
	out = arena_strdup(a, str_text(&s));
	str_free(&s);
	return out;
}

static void *load_library(const struct artefact *art, struct err *e)
{
	static atomic_uint loads; /* names are the process's, whatever the device */
	struct arena *scratch = arena_new(NULL);
	int fd = memfd_create("kernel", MFD_CLOEXEC);
	void *library = NULL;
	size_t done = 0;

	while (fd >= 0 && done < art->size) {
		ssize_t n = write(fd, art->data + done, art->size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (fd < 0 || done < art->size) {
		err_set(e, ERR_IO, "no memory for a kernel: %s", strerror(errno));
	} else {
		library = dlopen(load_name(scratch, fd, ++loads), RTLD_NOW | RTLD_LOCAL);
		if (!library)
			err_set(e, ERR_DEVICE, "cannot load a kernel: %s", dlerror());
	}
	if (fd >= 0)
		close(fd);
	arena_free(scratch);
	return library;
}

static bool cpu_load(struct device *d, const struct artefact *art, struct kernel **out, struct err *e)
{
	struct kernel k = {0};
	const char *machine = target_of_elf(elf_machine(art->data, art->size));
	void *symbol;

	if (strcmp(machine, target_here()) != 0)
		return err_set(e, ERR_DEVICE, "a kernel for %s cannot run on %s", *machine ? machine : "another machine",
			       target_here());
	if (elf_runs_at_load(art->data, art->size))
		return err_set(e, ERR_DEVICE, "a kernel that runs code when it is loaded");
	if (elf_plain(art->data, art->size, ENTRY, &k.plain) && (k.at = plain_load(&k.plain, art->data, &k.moves))) {
		symbol = k.at + k.plain.fn;
	} else {
		if (!(k.library = load_library(art, e)))
			return false;
		symbol = dlsym(k.library, ENTRY);
		if (!symbol) {
			dlclose(k.library);
			return err_set(e, ERR_DEVICE, "a kernel without '" ENTRY "'");
		}
	}
	memcpy(&k.fn, &symbol, sizeof symbol);
	k.constant = elf_is_constant(art->data, art->size);
	k.next = d->kernels;
	*out = d->kernels = arena_memdup(d->arena, &k, sizeof k);
	return true;
}

static void cpu_unload(struct device *d, struct kernel *k)
{
	struct kernel **at = &d->kernels;

	while (*at && *at != k)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = k->next;
	if (k->library)
		dlclose(k->library);
	else if (k->block)
		plain_release(k->block);
	else
		plain_unload(&k->plain, k->at);
}

static bool to_be_moved(const struct kernel *k)
{
	return !k->settled && !k->library && k->moves;
}

static void cpu_settle(struct device *d)
{
	struct arena *scratch = arena_new(NULL);
	struct plain_block *block;
	struct plain_part *part;
	size_t n = 0;

	for (struct kernel *k = d->kernels; k; k = k->next)
		n += to_be_moved(k);
	part = ARENA_ARRAY(scratch, struct plain_part, n);
	n = 0;
	for (struct kernel *k = d->kernels; k; k = k->next)
		if (to_be_moved(k))
			part[n++] = (struct plain_part){k->at, k->plain.size};
	block = n ? plain_settle(part, n) : NULL;
	n = 0;
	for (struct kernel *k = d->kernels; k; k = k->next) {
		if (block && to_be_moved(k)) {
			k->block = block;
			k->at = part[n++].at;
			k->fn = (kernel_fn *)(void *)(k->at + k->plain.fn);
		}
		if (k->constant && k->library && !k->settled)
			library_settle(k->library);
		k->settled = true;
	}
	arena_free(scratch);
}

static bool cpu_start_threads(struct device *d, int n, struct err *e)
{
	if (d->threads)
		return err_set(e, ERR_DEVICE, "the threads are running already");
	if (d->flush)
		target_flush_denormals();
	return n <= 1 || threads_start(n, d->flush, &d->threads, e);
}

static bool cpu_run(struct device *d, struct kernel *k, void *const *buffer, bool parallel, struct err *e)
{
	if (parallel && d->threads)
		threads_run(d->threads, k->fn, buffer);
	else
		target_call(k->fn, buffer, 0, 1);
	return true;
}

static void cpu_close(struct device *d)
{
	if (!d)
		return;
	threads_stop(d->threads);
	while (d->kernels)
		cpu_unload(d, d->kernels);
	arena_free(d->arena);
}

const struct device_ops device_cpu = {
    .name = "cpu",
    .dialect = "c",
    .open = cpu_open,
    .caps = cpu_caps,
    .compile = cpu_compile,
    .load = cpu_load,
    .unload = cpu_unload,
    .settle = cpu_settle,
    .start_threads = cpu_start_threads,
    .run = cpu_run,
    .close = cpu_close,
};
