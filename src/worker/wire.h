/* worker/wire.h: frames around the messages of wire.proto, and programs as they travel; shared by pool and worker
 *
 * A frame is the payload's length and its type, 4 bytes each, little endian, and the payload: a packed message, or for
 * DATA raw bytes that belong to the message before. A worker's first frame is preceded by the magic; whatever comes before it
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
#define WIRE_VERSION 2
#define WIRE_HEAD 8
#define WIRE_MAX_DATA (1u << 20)
#define WIRE_MAX_MESSAGE (32u << 20)
#define WIRE_MAX_ARTEFACT (256u << 20)
#define WIRE_MAX_GROUPS ((uint64_t)1 << 32)
#define WIRE_MAX_GROUP 4096
#define WIRE_ASK_SIZE ((uint64_t)32 << 10) /* a smaller blob is sent sooner than asked about */
#define WIRE_EXIT_HUNG 70 /* status of a worker that ended itself because a launch did not end */

/* TYPE(id, message): who sends it is checked by the receiver's switch */
#define WIRE_TYPES(X)                                                                                                              \
	X(HELLO, hello)                                                                                                            \
	X(READY, ready)                                                                                                            \
	X(BLOB, blob)                                                                                                              \
	X(DROP, drop)                                                                                                              \
	X(BUILD, build)                                                                                                            \
	X(BUILT, built)                                                                                                            \
	X(RUN, run)                                                                                                                \
	X(IMAGE, image)                                                                                                            \
	X(DONE, done)                                                                                                              \
	X(STAGE, stage)                                                                                                            \
	X(PULSE, pulse)                                                                                                            \
	X(FORGET, forget)                                                                                                          \
	X(HAVE, have)                                                                                                              \
	X(HELD, held)

enum wire_type {
	WIRE_DATA,
#define X(id, message) WIRE_##id,
	WIRE_TYPES(X)
#undef X
	    WIRE_TYPE_COUNT
};

enum wire_built { WIRE_BUILT_OK, WIRE_BUILT_REFUSED, WIRE_BUILT_TIMEOUT, WIRE_BUILT_ERROR };

struct wire_head {
	uint32_t len;
	enum wire_type type;
};

bool wire_head_parse(const uint8_t p[static WIRE_HEAD], struct wire_head *out, struct err *e);
void wire_head_put(uint8_t p[static WIRE_HEAD], enum wire_type type, uint32_t len);

/* Head and message in one malloc'ed block. */
bool wire_pack(enum wire_type type, const void *message, uint8_t **out, size_t *n, struct err *e);
/* Checks that every hash has its size and every number its range; wire_free gives the message back. */
bool wire_unpack(enum wire_type type, const uint8_t *p, size_t n, void **out, struct err *e);
void wire_free(enum wire_type type, void *message); /* NULL is allowed */
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
};

/* A checked program: all indices in range, every buffer but constants and inputs written by exactly one launch, before it is read.
 */
struct prog {
	struct hash hash; /* of the message */
	struct prog_buffer *buffer;
	struct prog_kernel *kernel;
	struct prog_launch *launch;
	uint32_t nbuffers, nkernels, nlaunches, ninputs, noutputs, nargs;
	uint32_t *input, *output;
	struct hash code; /* identity: kernels' code, launches, wiring, constants; names do not count */
	size_t bytes;     /* of all buffers */
};

/* kernel: artefacts of b's kernels. The bytes (a packed Program) live in the arena. */
bool prog_encode(struct arena *a, const struct bundle *b, const struct prog_kernel *kernel, uint8_t **out, size_t *n,
		 struct err *e);
bool prog_decode(struct arena *a, const uint8_t *p, size_t n, struct prog **out, struct err *e);
