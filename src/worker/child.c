/* child.c: the worker program - speaks the wire, builds kernels or runs programs */
#include "worker/child.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "device/device.h"

#define BIG_ENDIAN_HOST (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)

/* ---- building ---------------------------------------------------------------------------------------------- */

/* What became of one text; art is what it was built to together with others, without data when it is to be built alone. together_s: its part of that. */
static bool built(struct worker *w, struct arena *a, const Wire__Text *m, struct artefact art, double together_s, struct err *e)
{
	const struct device_caps *caps = w->ops->caps(w->device);
	Wire__Built r = WIRE__BUILT__INIT;
	struct wire_hash code, hash;
	struct err why = {0};
	double began = worker_now();
	bool ok;

	r.id = m->id;
	r.together = art.data && !art.cached;
	r.apart = (char *)(caps->apart ? caps->apart : "");
	if (art.data || w->ops->compile(w->device, a, m->source, m->contract, &art, &why)) {
		r.size = art.size;
		r.code = wire_hash_put(&code, art.code);
		r.hash = wire_hash_put(&hash, hash_bytes(art.data, art.size));
		r.cached = art.cached;
		if (!art.size || art.size > WIRE_MAX_ARTEFACT)
			err_set(&why, ERR_DEVICE, "the compiled kernel has %zu bytes", art.size);
	}
	if (why.code != ERR_NONE) {
		r.status = why.code == ERR_DEVICE    ? WIRE_BUILT_REFUSED
			   : why.code == ERR_TIMEOUT ? WIRE_BUILT_TIMEOUT
						     : WIRE_BUILT_ERROR;
		r.size = 0;
	}
	r.seconds = together_s + worker_now() - began;
	r.log = arena_printf(a, "%.*s%s%.*s", WIRE_MAX_LOG / 4, err_text(&why), *err_text(&why) && art.log && *art.log ? "\n" : "",
			     WIRE_MAX_LOG / 2, art.log ? art.log : "");
	ok = worker_send(w, WIRE_BUILT, &r, e) && worker_data(w, art.data, r.size, e);
	err_free(&why);
	return ok;
}

static bool build(struct worker *w, const Wire__Build *m, struct err *e)
{
	struct arena *a = arena_new(NULL);
	struct artefact art[WIRE_MAX_TOGETHER] = {0};
	double began = worker_now(), each;
	bool ok = true;

	if (m->n_text > 1 && w->ops->compile_together) {
		const char *source[WIRE_MAX_TOGETHER];

		for (size_t i = 0; i < m->n_text; i++)
			source[i] = m->text[i]->source;
		w->ops->compile_together(w->device, a, source, m->n_text, art);
	}
	each = (worker_now() - began) / (double)m->n_text;
	for (size_t i = 0; ok && i < m->n_text; i++)
		ok = built(w, a, m->text[i], art[i], each, e);
	arena_free(a);
	return ok;
}

/* ---- the life of a worker ---------------------------------------------------------------------------------- */

static bool other_version(uint32_t version, struct err *e)
{
	return err_set(e, ERR_DEVICE, "the worker speaks version %d, the pool %u: install the same release on both sides",
		       WIRE_VERSION, version);
}

/* What a device's definition wishes and this backend would not do. */
static const char *unknown_wish(const struct device_ops *ops, const Wire__Hello *m)
{
	if (!ops->launch)
		return *m->select ? "select" : NULL;
	if (m->apart)
		return "builder";
	if (m->flush_denormals)
		return "denormals: flush";
	if (*m->cc)
		return "cc";
	return m->n_cflags && !strcmp(ops->dialect, "glsl") ? "cflags" : NULL;
}

static bool open_device(struct worker *w, const Wire__Hello *m, struct err *e)
{
	struct device_options o = {
	    .name = *m->name ? m->name : NULL,
	    .cc = *m->cc ? m->cc : NULL,
	    .cflags = m->has_cflags ? (const char *const *)m->cflags : NULL,
	    .ncflags = m->n_cflags,
	    .threads = (int)m->threads,
	    .select = *m->select ? m->select : NULL,
	    .cache_dir = m->has_cache_dir ? m->cache_dir : NULL,
	    .role = !m->apart                     ? DEVICE_WHOLE
		    : !strcmp(m->role, "builder") ? DEVICE_BUILDER
						  : DEVICE_RUNNER,
	    .flush_denormals = m->flush_denormals,
	};
	static const char *const none[] = {NULL};
	const char *wish;

	if (m->version != WIRE_VERSION)
		return other_version(m->version, e);
	if (BIG_ENDIAN_HOST)
		return err_set(e, ERR_DEVICE, "this worker is big-endian, which is not supported yet");
	if (m->has_cflags && !m->n_cflags)
		o.cflags = none;
	if (!(w->ops = device_find(m->backend)))
		return err_set(e, ERR_DEVICE, "this worker has no backend '%s'", m->backend);
	if ((wish = unknown_wish(w->ops, m)))
		return err_set(e, ERR_DEVICE, "backend '%s' has no '%s'", m->backend, wish);
	w->memory_limit = m->memory_limit ? m->memory_limit : (uint64_t)1 << 30;
	w->budget = m->budget ? (size_t)m->budget : (size_t)sysconf(_SC_PHYS_PAGES) / 2 * (size_t)sysconf(_SC_PAGESIZE) / (m->runners ? m->runners : 1);
	return w->ops->open(&o, &w->device, e);
}

/* What holds mutants less well here than elsewhere is worth knowing. */
static const char *describe(struct worker *w, const Wire__Hello *m, const struct device_caps *c)
{
	if (!c->isolates || strcmp(m->role, "runner") != 0)
		return c->describe;
	jail_open(&w->jail);
	w->closes = jail_make(PROC_SOCK, PROC_SLOTS, &w->jail) && jail_closes(&w->jail);
	return arena_printf(w->arena, "%s%s%s", c->describe, w->closes ? "" : ", no system-call filter",
			    jail_limits_memory() ? "" : ", no memory limit");
}

static bool greet(struct worker *w, const Wire__Hello *m, struct err *e)
{
	Wire__Ready r = WIRE__READY__INIT;
	struct err why = {0};
	bool ok, open = open_device(w, m, &why);

	r.version = WIRE_VERSION;
	r.big_endian = BIG_ENDIAN_HOST;
	if (!open) {
		r.error = (char *)(*err_text(&why) ? err_text(&why) : "it cannot be opened");
	} else {
		const struct device_caps *c = w->ops->caps(w->device);

		w->threads = c->threads > 0 ? c->threads : 1;
		if (c->isolates) /* drivers may need more */
			jail_worker();
		r.backend = (char *)c->backend;
		r.dialect = (char *)c->dialect;
		r.describe = (char *)describe(w, m, c);
		r.machine = (char *)(c->machine ? c->machine : "");
		r.build = (char *)(c->build ? c->build : "");
		r.identity = (char *)c->identity;
		r.lanes = (uint32_t)c->lanes;
		r.threads = (uint32_t)c->threads;
		r.keeps_blobs = blobs_open_cache(w, m->blob_cache);
		r.isolates = c->isolates;
		r.cls = c->cls;
		r.max_group = c->max_group;
		r.local_memory = c->local_memory;
		r.memory = c->memory;
		r.types = c->types;
		r.together = c->together;
	}
	ok = worker_write(w, WIRE_MAGIC, WIRE_MAGIC_SIZE, e) && worker_send(w, WIRE_READY, &r, e);
	err_free(&why);
	return ok && open;
}

/* The other side may be of another release: it learns ours. */
static bool not_understood(struct worker *w, const struct err *why)
{
	Wire__Ready r = WIRE__READY__INIT;

	r.version = WIRE_VERSION;
	r.big_endian = BIG_ENDIAN_HOST;
	r.error = (char *)err_text(why);
	if (worker_write(w, WIRE_MAGIC, WIRE_MAGIC_SIZE, NULL))
		worker_send(w, WIRE_READY, &r, NULL);
	return false;
}

static bool obey(struct worker *w, enum wire_type type, const void *m, struct err *e)
{
	switch (type) {
	case WIRE_HAVE: return blobs_answer(w, m, e);
	case WIRE_BLOB: return blobs_take(w, m, e);
	case WIRE_DROP: blobs_drop(w, m); return true;
	case WIRE_BUILD: return build(w, m, e);
	case WIRE_RUN: return run_job(w, m, e);
	case WIRE_FORGET:
		base_forget(w);
		gpu_forget(w);
		return true;
	default: return err_set(e, ERR_PARSE, "a message that a worker does not take");
	}
}

static bool serve(struct worker *w, struct err *e)
{
	enum wire_type type;
	void *m;
	bool ok;

	if (!worker_message(w, &type, &m, e))
		return !*err_text(e) || not_understood(w, e);
	ok = type == WIRE_HELLO ? greet(w, m, e) : err_set(e, ERR_PARSE, "the first message is not a greeting");
	wire_free(type, m);
	if (!ok || !slots_open(&w->slots, e))
		return !*err_text(e);
	mem_open(&w->mem, &w->slots);
	w->mem.padded = w->ops->launch;
	while (worker_message(w, &type, &m, e)) {
		ok = obey(w, type, m, e);
		wire_free(type, m);
		if (!ok)
			return false;
		if (w->broken)
			return err_set(e, ERR_DEVICE, "the device failed; another worker goes on");
		if (w->stuck)
			return err_set(e, ERR_DEVICE, "a child cannot be killed");
	}
	return !*err_text(e);
}

int worker_main(int argc, char **argv)
{
	struct worker w = {.in = fcntl(0, F_DUPFD_CLOEXEC, 10), .out = fcntl(1, F_DUPFD_CLOEXEC, 10), .jail = {.oom = -1, .statm = -1}};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct err e = {0};
	bool ok;

	dup2(2, 1); /* nothing that prints may disturb the wire */
	if (null < 0 || dup2(null, 0) < 0)
		close(0);
	if (argc > 1 || isatty(w.in)) {
		fputs("mutatenn-worker " MUTATENN_VERSION
		      ": started by mutatenn, speaks its protocol on standard input and output\n",
		      stderr);
		return argc == 2 && (!strcmp(argv[1], "--version") || !strcmp(argv[1], "--help")) ? 0 : 2;
	}
	signal(SIGPIPE, SIG_IGN);
	device_cancel_fd(w.in);
	w.arena = arena_new(NULL);
	w.blob = map_new(w.arena);
	ok = serve(&w, &e);
	if (!ok)
		fprintf(stderr, "mutatenn-worker: %s\n", *err_text(&e) ? err_text(&e) : "stopped");
	base_close(&w);
	if (w.device)
		gpu_forget(&w);
	blobs_close(&w);
	slots_close(&w.slots);
	jail_free(&w.jail);
	shared_free(&w.shared);
	if (w.device)
		w.ops->close(w.device);
	err_free(&e);
	arena_free(w.arena);
	str_free(&w.held);
	return ok ? 0 : 1;
}
