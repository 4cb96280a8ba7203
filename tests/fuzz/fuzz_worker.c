/* fuzz_worker.c: bytes as what a pool says to a worker that has greeted and has the blobs of a small program and its mutant
 *
 * The worker is the real one, on a device that lives in this process. Where the bytes name @ORIGINAL-PROGRM, @A-MUTANT-OF-IT@, the same
 * as @BY-DIFFERENCES@, @THE-INPUT-BLOB@ or @A-CONSTANT-BLOB, the hash of that blob stands for it, whatever it is in this version.
 */
#include <assert.h>
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "device/device.h"
#include "worker/wire.h"
#include "worker/worker.h"

#define MAX_MEMORY ((size_t)64 << 20)
#define WORKER_FDS 10 /* from here on lie those that worker_main leaves to the end of its process */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the device ------------------------------------------------------------------------------------------- */

struct device {
	int unused;
};

struct device_memory {
	size_t bytes, pad;
	uint8_t *p; /* of the front pad */
};

struct kernel {
	bool overruns;
};

static struct device the_device;

static bool fake_open(const struct device_options *o, struct device **out, struct err *e)
{
	*out = &the_device;
	return true;
}

static const struct device_caps *fake_caps(const struct device *d)
{
	static const struct device_caps caps = {.backend = "fake",
						.dialect = "c",
						.describe = "a fake",
						.identity = "fake",
						.cls = DEVICE_GPU,
						.lanes = 1,
						.max_group = 64,
						.memory = MAX_MEMORY,
						.machine = "",
						.first_launch_s = 20, /* limits of a microsecond are limits */
						.types = ~0u};

	return &caps;
}

static bool fake_compile(struct device *d, struct arena *a, const char *source, bool contract, struct artefact *out, struct err *e)
{
	*out = (struct artefact){.data = (uint8_t *)arena_strdup(a, source),
				 .size = strlen(source),
				 .code = hash_bytes(source, strlen(source)),
				 .log = arena_strdup(a, "")};
	return *source != '!' || err_set(e, ERR_DEVICE, "refused");
}

static bool fake_load(struct device *d, const struct artefact *art, struct kernel **out, struct err *e)
{
	*out = calloc(1, sizeof **out);
	assert(*out);
	(*out)->overruns = art->size && art->data[0] == 'm';
	return true;
}

static void fake_unload(struct device *d, struct kernel *k)
{
	free(k);
}

static void fake_close(struct device *d)
{
}

static bool memory_new(struct device *d, size_t bytes, size_t pad, struct device_memory **out, struct err *e)
{
	struct device_memory *m;

	if (bytes > MAX_MEMORY || pad > MAX_MEMORY)
		return err_set(e, ERR_DEVICE, "out of device memory");
	m = malloc(sizeof *m);
	assert(m);
	*m = (struct device_memory){bytes, pad, calloc(1, bytes + 2 * pad)};
	assert(m->p);
	*out = m;
	return true;
}

static void memory_free(struct device *d, struct device_memory *m)
{
	free(m->p);
	free(m);
}

/* What the room promises the device: it stays inside. */
static uint8_t *within(struct device_memory *m, int64_t at, size_t n)
{
	assert(at >= -(int64_t)m->pad && n <= m->bytes + 2 * m->pad && at + (int64_t)n <= (int64_t)(m->bytes + m->pad));
	return m->p + m->pad + at;
}

static bool memory_fill(struct device *d, struct device_memory *m, int64_t at, size_t n, uint32_t pattern, struct err *e)
{
	uint8_t *p = within(m, at, n);

	assert(at % 4 == 0 && n % 4 == 0);
	for (size_t i = 0; i < n; i += 4)
		memcpy(p + i, &pattern, 4);
	return true;
}

static bool memory_write(struct device *d, struct device_memory *m, int64_t at, const void *from, size_t n, struct err *e)
{
	memcpy(within(m, at, n), from, n);
	return true;
}

static bool memory_read(struct device *d, struct device_memory *m, int64_t at, void *to, size_t n, struct err *e)
{
	memcpy(to, within(m, at, n), n);
	return true;
}

static bool launch(struct device *d, const struct device_launch *l, struct err *e)
{
	struct device_memory *out = l->arg[l->nargs - 1];

	memset(out->p + out->pad, 1, out->bytes + (l->kernel->overruns ? 4 : 0));
	return true;
}

static bool finish(struct device *d, double *seconds, size_t n, struct err *e)
{
	for (size_t i = 0; seconds && i < n; i++)
		seconds[i] = 0;
	return true;
}

static const struct device_ops fake = {
    .name = "fake",
    .dialect = "c",
    .open = fake_open,
    .caps = fake_caps,
    .compile = fake_compile,
    .load = fake_load,
    .unload = fake_unload,
    .close = fake_close,
    .memory_new = memory_new,
    .memory_free = memory_free,
    .memory_fill = memory_fill,
    .memory_write = memory_write,
    .memory_read = memory_read,
    .launch = launch,
    .finish = finish,
};
const struct device_ops *const device_backends[] = {&fake, NULL};

const struct device_ops *device_find(const char *backend)
{
	return &fake;
}

/* ---- what the pool has said before ------------------------------------------------------------------------- */

static float x[4] = {1, 2, 3, 4}, w[4] = {5, 6, 7, 8};
static struct bundle_buffer buffers[] = {
    {.name = "x", .role = BUF_INPUT, .dtype = DT_F32, .nd = 1, .dim = {4}},
    {.name = "w", .role = BUF_CONST, .dtype = DT_F32, .nd = 1, .dim = {4}, .data = w},
    {.name = "y", .role = BUF_TEMP, .dtype = DT_F32, .nd = 1, .dim = {4}},
    {.name = "z", .role = BUF_OUTPUT, .dtype = DT_F32, .nd = 1, .dim = {4}},
};
static uint32_t first[] = {0, 1, 2}, second[] = {2, 3}, input[] = {0}, output[] = {3};
static struct bundle_launch launches[] = {
    {.name = "f", .kernel = 0, .nargs = 3, .arg = first, .nout = 1},
    {.name = "g", .kernel = 1, .nargs = 2, .arg = second, .nout = 1},
};
static struct bundle_kernel kernels[] = {{.source = "f", .hash = {0, 5}, .groups = 1, .group = 1},
					 {.source = "g", .hash = {0, 6}, .groups = 1, .group = 1}};
static struct bundle bundle = {.buffer = buffers,
			       .kernel = kernels,
			       .launch = launches,
			       .nbuffers = 4,
			       .nkernels = 2,
			       .nlaunches = 2,
			       .ninputs = 1,
			       .noutputs = 1,
			       .input = input,
			       .output = output};

static const char *const name[] = {"@ORIGINAL-PROGRM", "@A-MUTANT-OF-IT@", "@THE-INPUT-BLOB@", "@A-CONSTANT-BLOB", "@BY-DIFFERENCES@"};
#define NAMES (sizeof name / sizeof *name)
static struct wire_hash meant[NAMES];

static void put(int fd, const void *p, size_t n)
{
	assert(write(fd, p, n) == (ssize_t)n);
}

static void say(int fd, enum wire_type type, const void *message)
{
	uint8_t *p;
	size_t n;

	assert(wire_pack(type, message, &p, &n, NULL));
	put(fd, p, n);
	free(p);
}

static struct wire_hash blob(int fd, const void *p, size_t n)
{
	Wire__Blob m = WIRE__BLOB__INIT;
	uint8_t head[WIRE_HEAD];
	struct wire_hash h;

	m.hash = wire_hash_put(&h, hash_bytes(p, n));
	m.size = n;
	say(fd, WIRE_BLOB, &m);
	wire_data_put(head, (uint32_t)n);
	put(fd, head, sizeof head);
	put(fd, p, n);
	return h;
}

/* original: of the message that it is the difference to; NULL: it is whole. */
static struct wire_hash program(int fd, const char *second_kernel, const struct wire_hash *original)
{
	struct prog_kernel k[2] = {{.plain = 0}, {.plain = 1}}, its[2] = {{.plain = 0}, {.plain = 1}};
	struct prog of_it = {0};
	struct prog_base base = {&bundle, its, &of_it};
	struct arena *a = arena_new(NULL);
	struct wire_hash h;
	uint8_t *bytes;
	size_t n;

	k[0].artefact = k[0].code = hash_bytes("f", 1);
	k[1].artefact = k[1].code = hash_bytes(second_kernel, 1);
	its[0] = k[0];
	its[1].artefact = its[1].code = hash_bytes("g", 1);
	if (original)
		of_it.hash = wire_hash_get((ProtobufCBinaryData){16, (uint8_t *)original->b});
	assert(prog_encode(a, &bundle, k, original ? &base : NULL, &bytes, &n, NULL));
	h = blob(fd, bytes, n);
	arena_free(a);
	return h;
}

static void said_before(int fd)
{
	Wire__Hello hello = WIRE__HELLO__INIT;
	char none[] = "", role[] = "runner", backend[] = "fake";

	hello.version = WIRE_VERSION;
	hello.role = role;
	hello.backend = backend;
	hello.name = hello.cc = hello.select = hello.cache_dir = none;
	say(fd, WIRE_HELLO, &hello);
	blob(fd, "f", 1);
	blob(fd, "g", 1);
	blob(fd, "m", 1);
	meant[2] = blob(fd, x, sizeof x);
	meant[3] = blob(fd, w, sizeof w);
	buffers[1].hash = hash_bytes(w, sizeof w);
	meant[0] = program(fd, "g", NULL);
	meant[1] = program(fd, "m", NULL);
	meant[4] = program(fd, "m", &meant[0]);
}

static void insert_hashes(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < NAMES; i++)
		for (uint8_t *at = p; (at = memmem(at, n - (size_t)(at - p), name[i], 16)); at += 16)
			memcpy(at, meant[i].b, 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *argv[] = {"mutatenn-worker", NULL};
	uint8_t *said = malloc(size + 1);
	int fd = memfd_create("fuzz-worker", 0), null = open("/dev/null", O_WRONLY);
	int out = dup(1), err = dup(2), next = dup(0); /* next: what the worker opens first and leaves open */

	assert(said && fd >= 0 && null >= 0);
	memcpy(said, data, size);
	said_before(fd);
	insert_hashes(said, size);
	put(fd, said, size);
	free(said);
	assert(!lseek(fd, 0, SEEK_SET));
	dup2(fd, 0);
	dup2(null, 1);
	dup2(null, 2); /* what it says at its end */
	close(next);
	worker_main(1, argv);
	dup2(out, 1);
	dup2(err, 2);
	for (size_t i = 0; i < 5; i++)
		close((int[]){fd, null, out, err, next}[i]);
	close_range(WORKER_FDS, WORKER_FDS + 50, 0);
	return 0;
}
