/* wire.c: frames, and the checks every message passes before anyone looks into it */
#include "worker/wire.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "worker/worker.h"

static const ProtobufCMessageDescriptor *const descriptors[] = {
#define X(id, message, most) [WIRE_##id] = &wire__##message##__descriptor,
    WIRE_TYPES(X)
#undef X
};

static const uint32_t longest[] = {
    [WIRE_DATA] = WIRE_MAX_DATA,
#define X(id, message, most) [WIRE_##id] = most,
    WIRE_TYPES(X)
#undef X
};

/* Any one bit changes it. */
static uint8_t head_sum(const uint8_t p[static WIRE_HEAD])
{
	return p[0] ^ p[1] ^ p[2] ^ p[3] ^ p[4] ^ p[6] ^ p[7] ^ 0x5a;
}

static uint16_t sum(const uint8_t *p, size_t n)
{
	uint64_t h = hash_bytes(p, n).lo;

	return (uint16_t)(h ^ h >> 16 ^ h >> 32 ^ h >> 48);
}

bool wire_head_parse(const uint8_t p[static WIRE_HEAD], struct wire_head *out, struct err *e)
{
	uint32_t type = p[4];

	out->len = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
	if (type >= WIRE_TYPE_COUNT)
		return err_set(e, ERR_PARSE, "frame of unknown type %u", type);
	out->type = (enum wire_type)type;
	out->sum = (uint16_t)(p[6] | p[7] << 8);
	out->summed = p[5] || out->sum;
	if (out->summed && p[5] != head_sum(p))
		return err_set(e, ERR_PARSE, "a frame was damaged on its way");
	if (out->len > longest[out->type])
		return err_set(e, ERR_PARSE, "frame of %u bytes is too long", out->len);
	return true;
}

static void head_put(uint8_t p[static WIRE_HEAD], enum wire_type type, uint32_t len, uint16_t sum)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(len >> 8 * i);
	p[4] = (uint8_t)type;
	p[6] = (uint8_t)sum;
	p[7] = (uint8_t)(sum >> 8);
	p[5] = head_sum(p);
}

void wire_data_put(uint8_t p[static WIRE_HEAD], uint32_t len)
{
	head_put(p, WIRE_DATA, len, 0);
}

bool wire_intact(const struct wire_head *h, const uint8_t *payload, struct err *e)
{
	return !h->summed || h->type == WIRE_DATA || h->sum == sum(payload, h->len) ||
	       err_set(e, ERR_PARSE, "a '%s' message was damaged on its way", descriptors[h->type]->short_name);
}

bool wire_pack(enum wire_type type, const void *message, uint8_t **out, size_t *n, struct err *e)
{
	size_t len = protobuf_c_message_get_packed_size(message);

	if (len > longest[type])
		return err_set(e, ERR_UNSUPPORTED, "'%s' message of %zu bytes is longer than the %u that are taken",
			       descriptors[type]->short_name, len, longest[type]);
	if (!(*out = malloc(WIRE_HEAD + len)))
		abort();
	protobuf_c_message_pack(message, *out + WIRE_HEAD);
	head_put(*out, type, (uint32_t)len, sum(*out + WIRE_HEAD, len));
	*n = WIRE_HEAD + len;
	return true;
}

static bool hash_ok(ProtobufCBinaryData b)
{
	return b.len == 16;
}

static bool hashes_ok(const ProtobufCBinaryData *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!hash_ok(b[i]))
			return false;
	return true;
}

static bool seconds_ok(double s)
{
	return isfinite(s) && s >= 0 && s < 1e12;
}

static bool check_run(const Wire__Run *m)
{
	bool base = m->baseline.len != 0;

	if (!hash_ok(m->program) || (base && !hash_ok(m->baseline)) || !seconds_ok(m->time_limit) || m->warmup > 1000000 ||
	    m->repeat > 1000000 || m->threads > 4096 || m->fill > FILL_STALE || (m->once && (base || m->dump)))
		return false;
	for (size_t i = 0; i < m->n_input; i++) {
		const Wire__Input *in = m->input[i];

		if (!hashes_ok(in->tensor, in->n_tensor) || !hashes_ok(in->baseline, in->n_baseline) ||
		    in->n_baseline != (base ? in->n_tensor : 0))
			return false;
	}
	return true;
}

static bool check_image(const Wire__Image *m)
{
	if (m->status > POOL_LOST || m->status == POOL_EQUIVALENT || m->status == POOL_BUILD_FAILED || !seconds_ok(m->time))
		return false;
	for (size_t i = 0; i < m->n_times; i++)
		if (!seconds_ok(m->times[i]))
			return false;
	for (size_t i = 0; i < m->n_launch; i++)
		if (!seconds_ok(m->launch[i]))
			return false;
	if (!seconds_ok(m->transfer))
		return false;
	for (size_t i = 0; i < m->n_tensor; i++)
		if (!hash_ok(m->tensor[i]->hash) || !hash_ok(m->tensor[i]->key))
			return false;
	return true;
}

/* What a worker says is shown to people, and kept. */
static bool text_ok(char *s, size_t most)
{
	text_clean(s);
	return strlen(s) <= most;
}

static bool check_built(const Wire__Built *m)
{
	if (!text_ok(m->log, WIRE_MAX_LOG) || !text_ok(m->apart, WIRE_MAX_TEXT) || m->status > WIRE_BUILT_ERROR || !seconds_ok(m->seconds) || m->size > WIRE_MAX_ARTEFACT)
		return false;
	return m->status == WIRE_BUILT_OK ? hash_ok(m->code) && hash_ok(m->hash) && m->size : !m->size;
}

static bool check_ready(const Wire__Ready *r)
{
	char *const text[] = {r->error, r->backend, r->dialect, r->describe, r->identity, r->machine, r->build};

	for (size_t i = 0; i < sizeof text / sizeof *text; i++)
		if (!text_ok(text[i], WIRE_MAX_TEXT))
			return false;
	return r->lanes <= 1024 && r->threads <= 65536 && r->cls <= DEVICE_GPU && r->max_group <= 65536 &&
	       r->together <= WIRE_MAX_TOGETHER;
}

static bool check_done(const Wire__Done *m)
{
	if (m->n_step != POOL_STEP_COUNT)
		return false;
	for (size_t i = 0; i < m->n_step; i++)
		if (!seconds_ok(m->step[i]))
			return false;
	return text_ok(m->text, WIRE_MAX_TEXT) && text_ok(m->lost, WIRE_MAX_TEXT) && m->status <= POOL_LOST && m->stage <= POOL_END && m->signal >= 0 && m->signal < 128 && seconds_ok(m->seconds);
}

static bool check(enum wire_type type, const void *message)
{
	switch (type) {
	case WIRE_READY: return check_ready(message);
	case WIRE_HELLO:
		return ((const Wire__Hello *)message)->threads <= 65536 && ((const Wire__Hello *)message)->runners <= 65536;
	case WIRE_HAVE:
		return hashes_ok(((const Wire__Have *)message)->hash, ((const Wire__Have *)message)->n_hash) &&
		       ((const Wire__Have *)message)->n_hash == ((const Wire__Have *)message)->n_size;
	case WIRE_BLOB: return hash_ok(((const Wire__Blob *)message)->hash);
	case WIRE_DROP: return hashes_ok(((const Wire__Drop *)message)->hash, ((const Wire__Drop *)message)->n_hash);
	case WIRE_BUILD:
		return ((const Wire__Build *)message)->n_text && ((const Wire__Build *)message)->n_text <= WIRE_MAX_TOGETHER;
	case WIRE_BUILT: return check_built(message);
	case WIRE_RUN: return check_run(message);
	case WIRE_IMAGE: return check_image(message);
	case WIRE_DONE: return check_done(message);
	default: return true;
	}
}

static void *take(void *left, size_t n)
{
	void *p;

	if (n > *(size_t *)left)
		return NULL;
	*(size_t *)left -= n;
	if (!(p = malloc(n ? n : 1)))
		abort(); /* NULL would say that the message is broken */
	return p;
}

static void give(void *left, void *p)
{
	(void)left;
	free(p);
}

/* An element of a list is two bytes at least, and seldom more than sixty in memory. */
ProtobufCMessage *wire_unpack_bounded(const ProtobufCMessageDescriptor *d, size_t n, const uint8_t *p)
{
	size_t left = 32 * n + (64 << 10);
	ProtobufCAllocator a = {.alloc = take, .free = give, .allocator_data = &left};

	return protobuf_c_message_unpack(d, &a, n, p);
}

bool wire_unpack(enum wire_type type, const uint8_t *p, size_t n, void **out, struct err *e)
{
	*out = NULL;
	if (type == WIRE_DATA || type >= WIRE_TYPE_COUNT)
		return err_set(e, ERR_PARSE, "data where a message should be");
	*out = wire_unpack_bounded(descriptors[type], n, p);
	if (!*out)
		return err_set(e, ERR_PARSE, "broken '%s' message", descriptors[type]->short_name);
	if (!check(type, *out)) {
		wire_free(type, *out);
		*out = NULL;
		return err_set(e, ERR_PARSE, "'%s' message with a value out of range", descriptors[type]->short_name);
	}
	return true;
}

uint32_t wire_greeting(const uint8_t *p, size_t n)
{
	Wire__Greeting *m = wire__greeting__unpack(NULL, n, p);
	uint32_t version = m ? m->version : 0;

	wire__greeting__free_unpacked(m, NULL);
	return version;
}

void wire_free(enum wire_type type, void *message)
{
	if (message)
		protobuf_c_message_free_unpacked(message, NULL);
}

ProtobufCBinaryData wire_hash_put(struct wire_hash *buf, struct hash h)
{
	for (int i = 0; i < 8; i++) {
		buf->b[i] = (uint8_t)(h.hi >> (56 - 8 * i));
		buf->b[8 + i] = (uint8_t)(h.lo >> (56 - 8 * i));
	}
	return (ProtobufCBinaryData){.len = 16, .data = buf->b};
}

struct hash wire_hash_get(ProtobufCBinaryData b)
{
	struct hash h = {0};

	for (int i = 0; b.len == 16 && i < 8; i++) {
		h.hi = h.hi << 8 | b.data[i];
		h.lo = h.lo << 8 | b.data[8 + i];
	}
	return h;
}
