/* device/device.h: what runs kernels - a table of functions per kind of device; takes text and buffers, knows no IR
 *
 * Only worker processes call this. A device is two steps: compile(source) gives an artefact (bytes that may travel or be
 * cached), load(artefact) gives a kernel. Both may happen in different processes, compile without ever running anything.
 *
 * cpu: a worker opens the device, loads kernels or not, then forks; the child calls start_threads (never before the fork)
 * and runs. Kernels loaded before the fork stay usable after it. A seccomp filter loaded after start_threads must allow
 * futex, sched_yield and exit_group to the threads; load needs memfd_create, mmap, open and read, so it comes before.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "value/value.h"

struct arena;
struct err;
struct device;
struct kernel;

/* A device whose kernels are built by another worker than the one that runs them: the runner has no compiler and takes what is
 * for its machine; the builder's compiler may be for any machine, and it never runs anything. */
enum device_role { DEVICE_WHOLE, DEVICE_BUILDER, DEVICE_RUNNER };

/* Strings are copied by open. Zero or NULL means the default given here. */
struct device_options {
	const char *name;          /* for messages; the backend's name */
	const char *select;        /* which of several devices: a part of its name, or its number as `mutatenn devices` shows it; the first */
	const char *cc;            /* compiler: a name looked up in PATH, or a path; "gcc" */
	const char *const *cflags; /* replace the default optimisation flags: -O2, and -march=native where the compiler knows that */
	size_t ncflags;
	enum device_role role;
	bool flush_denormals;     /* kernels run with denormal numbers taken for zeros */
	int threads;              /* most parts a kernel is split into; number of usable cores */
	const char *cache_dir;    /* compiled kernels; the user's cache. "" caches nothing */
	double compile_timeout_s; /* 60 */
	uint64_t compile_memory;  /* bytes the compiler may allocate; 4 GiB */
};

struct artefact {
	uint8_t *data; /* loadable form: a shared object */
	size_t size;
	struct hash code; /* of what the loader would map: equal when two artefacts do the same */
	char *log;        /* what the compiler said, at most 64 KiB; "" when nothing; set on failure too, else NULL */
	bool cached;      /* found in the cache */
};

struct device_memory; /* one allocation on the device, with its pads */

struct device_launch {
	struct kernel *kernel;
	struct device_memory *const *arg; /* in parameter order */
	uint32_t nargs;
	uint64_t groups; /* 1 .. */
	uint32_t group;  /* work-items in a group */
};

struct device_ops {
	const char *name, *dialect; /* "cpu", "c" */

	/* Blocks while the compiler is asked what it is. A missing compiler is an error that says what to install. */
	bool (*open)(const struct device_options *o, struct device **out, struct err *e);
	/* Valid until close. */
	const struct device_caps *(*caps)(const struct device *d);
	/* Fills out in the arena. May be called by several processes at a time with one cache. ERR_DEVICE: the compiler refused
	 * the text or ran out of memory (see log); ERR_TIMEOUT: it took too long and was killed; others are not the text's fault.
	 */
	bool (*compile)(struct device *d, struct arena *a, const char *source, bool contract, struct artefact *out, struct err *e);
	/* Where compile does not care for `contract`: builds several texts in one program, as far as that gives each the code that it has when it is built alone.
	 * out[i].data stays NULL where it does not, or anything fails: compile says why. Optional, see caps.together. */
	void (*compile_together)(struct device *d, struct arena *a, const char *const *source, size_t n, struct artefact *out);
	/* The artefact is copied. unload gives the kernel back; close unloads what is left. */
	bool (*load)(struct device *d, const struct artefact *art, struct kernel **out, struct err *e);
	void (*unload)(struct device *d, struct kernel *k);
	/* Kernels loaded so far will be there for long: what they cost each fork becomes small. Optional. */
	void (*settle)(struct device *d);
	/* n threads in all, the caller among them; once, before the first run that is to use them. Returns when all are ready. */
	bool (*start_threads)(struct device *d, int n, struct err *e);
	/* Runs the kernel once over buffers in parameter order, in as many parts as there are threads when parallel, else as part
	 * 0 of 1. Blocks until done. Never says whether the kernel stayed inside its buffers. */
	bool (*run)(struct device *d, struct kernel *k, void *const *buffer, bool parallel, struct err *e);
	void (*close)(struct device *d); /* ends its threads; NULL is allowed */

	/* Devices with a memory of their own have these, and neither start_threads nor run; others have none of these. There is one
	 * queue, in order: whatever is queued sees what was queued before. Offsets are bytes from the start of a tensor's data; the
	 * pads, pad bytes in front and behind, belong to its allocation and are in reach. Errors are ERR_DEVICE, say which call
	 * failed and how, and "out of device memory" when that is it; after one, the device may be lost.
	 * Kernels see the address behind the front pad (GLSL: the allocation, and count from there). */
	bool (*memory_new)(struct device *d, size_t bytes, size_t pad, struct device_memory **out, struct err *e);
	void (*memory_free)(struct device *d, struct device_memory *m);
	/* at and n are multiples of 4. */
	bool (*memory_fill)(struct device *d, struct device_memory *m, int64_t at, size_t n, uint32_t pattern, struct err *e);
	/* `from` may change once it returns. */
	bool (*memory_write)(struct device *d, struct device_memory *m, int64_t at, const void *from, size_t n, struct err *e);
	bool (*memory_read)(struct device *d, struct device_memory *m, int64_t at, void *to, size_t n, struct err *e); /* blocks */
	bool (*launch)(struct device *d, const struct device_launch *l, struct err *e);
	/* Blocks until everything queued is done. seconds: of each of the n launches since the last finish, by the device's own
	 * clock; NULL: not wanted. */
	bool (*finish)(struct device *d, double *seconds, size_t n, struct err *e);
};

extern const struct device_ops device_cpu, device_opencl, device_vulkan, device_cuda, device_null; /* those that this build has: device_backends */

/* Compilers that run when the other end of this pipe or socket is closed are ended, and what they wrote is removed. */
void device_cancel_fd(int fd);

/* By backend name; NULL when there is no such backend in this build. */
const struct device_ops *device_find(const char *backend);
/* NULL-terminated. */
extern const struct device_ops *const device_backends[];
