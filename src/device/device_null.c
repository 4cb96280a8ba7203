/* device_null.c: no device - kernels are neither compiled nor run, for measuring mutatenn itself
 *
 * Every output of a launch holds the same sequence of numbers from 0.5 up to 1 (read as f32), whatever the kernel and its inputs: runs repeat, changes
 * without effect have none, and no mutant has any. No outcome on it says anything about a model; description and identity say so wherever they are
 * shown.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/vec.h"
#include "device/device_internal.h"

#define MAX_ARGS 4096
#define ENTRY "mutatenn_kernel("

struct image { /* of an artefact; nargs flags follow */
	struct hash text;
	uint64_t nargs;
};

struct kernel {
	struct kernel *next;
	uint32_t nargs;
	bool *written; /* per argument */
};

struct device {
	struct arena *arena;
	struct device_caps caps;
	struct kernel *kernels;
};

struct device_memory {
	uint8_t *data;
	size_t bytes, pad;
};

static bool null_open(const struct device_options *o, struct device **out, struct err *e)
{
	struct arena *a = arena_new(NULL);
	struct device *d = ARENA_NEW(a, struct device);

	(void)o;
	(void)e;
	d->arena = a;
	d->caps = (struct device_caps){
	    .backend = "null",
	    .dialect = "opencl-c-cpu",
	    .describe = "no device: nothing is compiled or run, outcomes say nothing about the model",
	    .identity = "null 1",
	    .cls = DEVICE_CPU,
	    .lanes = 16,
	    .max_group = 1,
	    .build = "",
	    .machine = "",
	    .types = DEVICE_ALL_TYPES,
	};
	*out = d;
	return true;
}

static const struct device_caps *null_caps(const struct device *d)
{
	return &d->caps;
}

/* Whether each parameter of the kernel is written: those that are not const. False: the text is none of ours. */
static bool parameters(const char *source, bool *written, uint64_t *n)
{
	const char *at = strstr(source, ENTRY), *end = at ? strchr(at, ')') : NULL;

	*n = 0;
	if (!end)
		return false;
	for (at += strlen(ENTRY); at < end; at += strcspn(at, ",)") + 1) {
		size_t len = strcspn(at, ",)");

		if (*n == MAX_ARGS)
			return false;
		written[(*n)++] = !memmem(at, len, "const ", 6);
	}
	return true;
}

static bool null_compile(struct device *d, struct arena *a, const char *source, bool contract, struct artefact *out, struct err *e)
{
	struct image head = {.text = hash_text(source)};
	bool written[MAX_ARGS];

	(void)d;
	(void)contract;
	*out = (struct artefact){.log = arena_strdup(a, "")};
	if (!parameters(source, written, &head.nargs))
		return err_set(e, ERR_DEVICE, "a text without '%s...)' of at most %d parameters", ENTRY, MAX_ARGS);
	out->size = sizeof head + head.nargs;
	out->data = arena_alloc(a, out->size);
	memcpy(out->data, &head, sizeof head);
	for (uint64_t i = 0; i < head.nargs; i++)
		out->data[sizeof head + i] = written[i];
	out->code = hash_bytes(out->data, out->size);
	return true;
}

static bool null_load(struct device *d, const struct artefact *art, struct kernel **out, struct err *e)
{
	struct image head;
	struct kernel *k;

	if (art->size >= sizeof head)
		memcpy(&head, art->data, sizeof head);
	if (art->size < sizeof head || head.nargs > MAX_ARGS || art->size != sizeof head + head.nargs)
		return err_set(e, ERR_DEVICE, "a kernel that this device did not make");
	if (!(k = calloc(1, sizeof *k + head.nargs)))
		return err_set(e, ERR_IO, "out of memory");
	k->nargs = (uint32_t)head.nargs;
	k->written = (bool *)(k + 1);
	for (uint64_t i = 0; i < head.nargs; i++)
		k->written[i] = art->data[sizeof head + i] != 0;
	k->next = d->kernels;
	*out = d->kernels = k;
	return true;
}

static void null_unload(struct device *d, struct kernel *k)
{
	struct kernel **at = &d->kernels;

	while (*at && *at != k)
		at = &(*at)->next;
	if (*at) {
		*at = k->next;
		free(k);
	}
}

static void null_memory_free(struct device *d, struct device_memory *m)
{
	(void)d;
	free(m);
}

static bool null_memory_new(struct device *d, size_t bytes, size_t pad, struct device_memory **out, struct err *e)
{
	struct device_memory *m = pad < SIZE_MAX / 4 && bytes < SIZE_MAX / 4 ? calloc(1, sizeof *m + bytes + 2 * pad + 8) : NULL;

	(void)d;
	if (!m)
		return err_set(e, ERR_DEVICE, "allocating a tensor: out of device memory");
	m->data = (uint8_t *)(m + 1) + pad;
	m->bytes = bytes;
	m->pad = pad;
	*out = m;
	return true;
}

static bool null_memory_fill(struct device *d, struct device_memory *m, int64_t at, size_t n, uint32_t pattern, struct err *e)
{
	(void)d;
	(void)e;
	for (size_t i = 0; i < n; i += sizeof pattern)
		memcpy(m->data + at + i, &pattern, sizeof pattern);
	return true;
}

static bool null_memory_write(struct device *d, struct device_memory *m, int64_t at, const void *from, size_t n, struct err *e)
{
	(void)d;
	(void)e;
	memcpy(m->data + at, from, n);
	return true;
}

static bool null_memory_read(struct device *d, struct device_memory *m, int64_t at, void *to, size_t n, struct err *e)
{
	(void)d;
	(void)e;
	memcpy(to, m->data + at, n);
	return true;
}

static bool null_launch(struct device *d, const struct device_launch *l, struct err *e)
{
	const struct kernel *k = l->kernel;

	(void)d;
	if (l->nargs != k->nargs)
		return err_set(e, ERR_DEVICE, "a launch of %u arguments for a kernel of %u", l->nargs, k->nargs);
	for (uint32_t i = 0; i < k->nargs; i++) {
		uint32_t x = 1;

		for (size_t at = 0; k->written[i] && at + sizeof x <= l->arg[i]->bytes; at += sizeof x) {
			uint32_t word = 0x3f000000 | x >> 9;

			memcpy(l->arg[i]->data + at, &word, sizeof word);
			x = x * 1664525 + 1013904223;
		}
	}
	return true;
}

static bool null_finish(struct device *d, double *seconds, size_t n, struct err *e)
{
	(void)d;
	(void)e;
	for (size_t i = 0; seconds && i < n; i++)
		seconds[i] = 0;
	return true;
}

static void null_close(struct device *d)
{
	if (!d)
		return;
	while (d->kernels)
		null_unload(d, d->kernels);
	arena_free(d->arena);
}

const struct device_ops device_null = {
    .name = "null",
    .dialect = "opencl-c-cpu",
    .open = null_open,
    .caps = null_caps,
    .compile = null_compile,
    .load = null_load,
    .unload = null_unload,
    .memory_new = null_memory_new,
    .memory_free = null_memory_free,
    .memory_fill = null_memory_fill,
    .memory_write = null_memory_write,
    .memory_read = null_memory_read,
    .launch = null_launch,
    .finish = null_finish,
    .close = null_close,
};
