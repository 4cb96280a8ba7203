/* worker/wire.h: frames around the messages of wire.proto, and programs as they travel; shared by pool and worker
 *
 * A frame is the payload's length (4 bytes, little endian), its type (1), a sum of the head's other bytes (1), a sum of the payload (2),
 * and the payload: a packed message, or for DATA raw bytes that belong to the message before. Sums of zero are none. A worker's first frame is preceded by the magic; whatever comes before it
 * was printed by the command that started the worker. Neither side trusts the other: lengths, counts, indices and hashes are
 * checked here before anyone sees them.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "value/value.h"
#include "worker/wire.pb-c.h"

struct arena;
struct err;

#define WIRE_MAGIC "\x93mutaNN\n" /* 8 bytes */
#define WIRE_MAGIC_SIZE 8
#define WIRE_VERSION 6
#define WIRE_HEAD 8
#define WIRE_MAX_DATA (1u << 20)
#define WIRE_CHUNK (256u << 10) /* as it is sent: even a slow line has one through before anybody loses patience */
#define WIRE_MAX_MESSAGE (32u << 20)
#define WIRE_MAX_ARTEFACT (256u << 20)
#define WIRE_MAX_TOGETHER 64 /* kernels in one Build */
#define WIRE_MAX_GROUPS ((uint64_t)1 << 32)
#define WIRE_MAX_GROUP 4096
#define WIRE_ASK_SIZE ((uint64_t)32 << 10) /* a smaller blob is sent sooner than asked about */
#define WIRE_EXIT_HUNG 70 /* status of a worker that ended itself because a launch did not end */

#define WIRE_MAX_LOG (128u << 10) /* of a compiler */
#define WIRE_MAX_TEXT (16u << 10) /* any other text a worker says */

/* TYPE(id, message, longest in bytes): who sends it is checked by the receiver's switch. What unpacking makes of a message may be
 * fifty times as long, so none is let be longer than there is a use for. */
#define WIRE_TYPES(X)                                                                                                              \
	X(HELLO, hello, 1u << 20)                                                                                                  \
	X(READY, ready, 1u << 20)                                                                                                  \
	X(BLOB, blob, 64)                                                                                                          \
	X(DROP, drop, WIRE_MAX_MESSAGE)                                                                                            \
	X(BUILD, build, WIRE_MAX_MESSAGE)                                                                                          \
	X(BUILT, built, 1u << 20)                                                                                                  \
	X(RUN, run, WIRE_MAX_MESSAGE)                                                                                              \
	X(IMAGE, image, 16u << 20)                                                                                                 \
	X(DONE, done, 1u << 20)                                                                                                    \
	X(STAGE, stage, 64)                                                                                                        \
	X(PULSE, pulse, 64)                                                                                                        \
	X(FORGET, forget, 64)                                                                                                      \
	X(HAVE, have, WIRE_MAX_MESSAGE)                                                                                            \
	X(HELD, held, WIRE_MAX_MESSAGE)

enum wire_type {
	WIRE_DATA,
#define X(id, ...) WIRE_##id,
	WIRE_TYPES(X)
#undef X
	    WIRE_TYPE_COUNT
};

enum wire_built { WIRE_BUILT_OK, WIRE_BUILT_REFUSED, WIRE_BUILT_TIMEOUT, WIRE_BUILT_ERROR };

struct wire_head {
	uint32_t len;
	enum wire_type type;
	uint16_t sum; /* of a message; 0 for data, which have hashes */
	bool summed;
};

bool wire_head_parse(const uint8_t p[static WIRE_HEAD], struct wire_head *out, struct err *e);
void wire_data_put(uint8_t p[static WIRE_HEAD], uint32_t len); /* the head of data */
/* The message has the sum that its head says. */
bool wire_intact(const struct wire_head *h, const uint8_t *payload, struct err *e);

/* Head and message in one malloc'ed block. */
bool wire_pack(enum wire_type type, const void *message, uint8_t **out, size_t *n, struct err *e);
/* Checks that every hash has its size, every number its range and every text of a worker's its length, and makes those fit for a
 * terminal; wire_free gives the message back. */
bool wire_unpack(enum wire_type type, const uint8_t *p, size_t n, void **out, struct err *e);
void wire_free(enum wire_type type, void *message); /* NULL is allowed */
/* Unpacks with memory in proportion to n; NULL: broken, or made to take much. */
ProtobufCMessage *wire_unpack_bounded(const ProtobufCMessageDescriptor *d, size_t n, const uint8_t *p);
/* The version in a first message that wire_unpack does not take, 0 when there is none. */
uint32_t wire_greeting(const uint8_t *p, size_t n);

/* Hashes travel as 16 bytes. put writes into a buffer of the caller's that must outlive the message. */
struct wire_hash {
	uint8_t b[16];
};
ProtobufCBinaryData wire_hash_put(struct wire_hash *buf, struct hash h);
struct hash wire_hash_get(ProtobufCBinaryData b); /* zero when the size is wrong or 0 */

/* ---- programs ------------------------------------------------------------------------------------------- */

struct prog_buffer {
	const char *name;
	enum buffer_role role;
	enum dtype dtype;
	int nd;
	int64_t dim[MAX_DIMS];
	size_t bytes;
	struct hash hash; /* constants */
	int32_t writer;   /* launch, or -1 */
};

struct prog_launch {
	const char *name;
	uint32_t kernel, nargs, nout;
	uint32_t *arg;
	uint32_t first_arg; /* position of its arguments in a list of all launches' arguments */
	bool parallel;
	bool constant; /* fed only by constants */
};

struct prog_kernel {
	struct hash artefact, code; /* of its bytes; of what it does */
	uint64_t groups;            /* work-groups of a launch; 0: no groups */
	uint32_t group;             /* work-items in one */
	uint32_t plain;             /* whose code counts for identity and keys: its own index, or of an instrumented one the plain one's */
};

/* What a runner keeps of a baseline's tensor: its bytes between pads; and once for each input. */
#define WIRE_KEPT_MORE ((size_t)4096)
static inline size_t wire_kept_bytes(enum dtype t, size_t bytes)
{
	return bytes + 64 + 2 * BUNDLE_PAD * dtype_size(t);
}

/* A checked program: all indices in range, every buffer but constants and inputs written by exactly one launch, before it is read.
 */
struct prog {
	struct hash hash; /* of the message */
	struct prog_buffer *buffer;
	struct prog_kernel *kernel;
	struct prog_launch *launch;
	uint32_t nbuffers, nkernels, nlaunches, ninputs, noutputs, nargs;
	uint32_t *input, *output;
	struct hash code; /* identity, where it was asked for: kernels' code, launches, wiring, constants; names do not count */
	size_t bytes;     /* of all buffers */
};

/* What a program may be told by its differences to. */
struct prog_base {
	const struct bundle *bundle; /* for those that make one */
	const struct prog_kernel *kernel;
	const struct prog *prog;     /* must outlive what is made of it */
};

/* kernel: artefacts of b's kernels. The bytes (a packed Program) live in the arena. */
bool prog_encode(struct arena *a, const struct bundle *b, const struct prog_kernel *kernel, const struct prog_base *base, uint8_t **out, size_t *n, struct err *e);
/* base: the only program that it may be a difference to; NULL: none. The result has no identity. */
bool prog_decode(struct arena *a, const uint8_t *p, size_t n, const struct prog *base, struct prog **out, struct err *e);
/* Both at once, without reading the bytes again, and its identity. base: NULL, or of differences. */
bool prog_make(struct arena *a, const struct bundle *b, const struct prog_kernel *kernel, const struct prog_base *base, uint8_t **bytes, size_t *n,
	       struct prog **out, struct err *e);
