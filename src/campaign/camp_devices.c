/* camp_devices.c: from a device's name to how it is reached */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/near.h"
#include "base/str.h"
#include "campaign/campaign.h"

const char *const camp_builtin_devices[] = {"host-gcc", "host-clang", "aarch64-qemu", "riscv64-qemu", "pocl",
					    "opencl",   "lavapipe",   "vulkan",       "cuda",         NULL};

static void from_config(const struct config_device *d, struct pool_device *out)
{
	*out = (struct pool_device){.name = d->name,
				    .backend = d->backend,
				    .select = d->select,
				    .worker = (const char *const *)d->worker,
				    .nworker = d->nworker,
				    .cc = d->cc,
				    .cflags = (const char *const *)d->cflags,
				    .ncflags = d->ncflags,
				    .env = (const char *const *)d->env,
				    .nenv = d->nenv,
				    .threads = d->threads,
				    .builders = d->builders,
				    .together = d->build_together,
				    .builder = (const char *const *)d->builder,
				    .nbuilder = d->nbuilder,
				    .flush_denormals = d->denormals && !strcmp(d->denormals, "flush"),
				    .runners = d->count ? d->count : d->runners,
				    .start_timeout_s = d->start_timeout,
				    .reconnect_s = d->reconnect ? d->reconnect : -1,
				    .blob_cache = d->blob_cache};
}

static const char *worker_in(struct arena *a, const char *dir, const char *machine)
{
	const char *file = arena_printf(a, "%s/mutatenn-worker-%s", dir, machine);

	if (access(file, X_OK))
		file = arena_printf(a, "%s/../build-%s/mutatenn-worker", dir, machine);
	return access(file, X_OK) ? NULL : file;
}

/* The worker for another machine: mutatenn-worker-MACHINE beside this program or beside $MUTATENN_WORKER, else
 * ../build-MACHINE/mutatenn-worker from there. */
static const char *worker_for(struct arena *a, const char *machine)
{
	const char *own = getenv("MUTATENN_WORKER"), *file = NULL;
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

	if (n > 0) {
		path[n] = 0;
		file = worker_in(a, file_dir(a, path), machine);
	}
	return file || !own ? file : worker_in(a, file_dir(a, own), machine);
}

static bool on_path(struct arena *a, const char *program)
{
	const char *path = getenv("PATH");

	for (const char *at = path ? path : "/usr/bin:/bin"; *at;) {
		size_t n = strcspn(at, ":");

		if (!access(arena_printf(a, "%.*s/%s", (int)n, at, program), X_OK))
			return true;
		at += n + (at[n] == ':');
	}
	return false;
}

static void emulated(struct arena *a, const char *machine, struct pool_device *out)
{
	const char *emulator = arena_printf(a, "qemu-%s", machine), *worker = worker_for(a, machine);
	const char **argv = ARENA_ARRAY(a, const char *, 5);

	argv[0] = emulator;
	argv[1] = "-L";
	argv[2] = arena_printf(a, "/usr/%s-linux-gnu", machine);
	argv[3] = worker;
	out->worker = argv;
	out->nworker = 4;
	out->builder = ARENA_ARRAY(a, const char *, 2);
	((const char **)out->builder)[0] = "mutatenn-worker";
	out->nbuilder = 1;
	out->cc = arena_printf(a, "%s-linux-gnu-gcc", machine);
	if (!on_path(a, emulator))
		out->why_not = arena_printf(a, "'%s' is not installed (Debian package 'qemu-user')", emulator);
	else if (!worker)
		out->why_not = arena_printf(a, "there is no 'mutatenn-worker-%s' beside this program: 'make worker-%s' builds it",
					    machine, machine);
}

bool camp_device(struct arena *a, const char *name, const struct config_campaign *c, struct pool_device *out, struct err *e)
{
	const struct config_device *d = c ? config_device_find(c, name) : NULL;
	struct near near = near_new(name);
	struct str known = {0};

	*out = (struct pool_device){.name = name, .backend = "cpu"};
	if (d) {
		from_config(d, out);
	} else if (!strcmp(name, "host-gcc")) {
		out->cc = "gcc";
	} else if (!strcmp(name, "host-clang")) {
		out->cc = "clang";
	} else if (!strcmp(name, "aarch64-qemu")) {
		emulated(a, "aarch64", out);
	} else if (!strcmp(name, "riscv64-qemu")) {
		emulated(a, "riscv64", out);
	} else if (!strcmp(name, "pocl")) {
		out->backend = "opencl";
		out->select = "Portable Computing Language";
	} else if (!strcmp(name, "opencl")) {
		out->backend = "opencl";
		out->select = "!Portable Computing Language";
	} else if (!strcmp(name, "cuda")) {
		out->backend = "cuda";
	} else if (!strcmp(name, "lavapipe")) {
		out->backend = "vulkan";
		out->select = "llvmpipe";
	} else if (!strcmp(name, "vulkan")) {
		out->backend = "vulkan";
		out->select = "!llvmpipe";
	} else {
		for (size_t i = 0; camp_builtin_devices[i]; i++)
			str_addf(&known, "%s'%s'", i ? ", " : "", camp_builtin_devices[i]);
		for (size_t i = 0; c && i < c->ndefinitions; i++)
			str_addf(&known, ", '%s'", c->definitions[i].name);
		for (size_t i = 0; camp_builtin_devices[i]; i++)
			near_try(&near, camp_builtin_devices[i]);
		for (size_t i = 0; c && i < c->ndefinitions; i++)
			near_try(&near, c->definitions[i].name);
		err_set(e, ERR_USAGE, "no device is called '%s'%s; known: %s; define others under device-definitions", name,
			near_text(&near), str_text(&known));
		str_free(&known);
		return false;
	}
	if (c && c->mutant_memory)
		out->memory_limit = c->mutant_memory;
	if (c && c->threads && !out->threads)
		out->threads = c->threads;
	return true;
}
