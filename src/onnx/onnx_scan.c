/* onnx_scan.c: a walk over the wire format before protobuf-c sees it: protobuf-c recurses without limit */
#include <sys/mman.h>

#include "onnx/onnx_internal.h"

#define LARGE ((size_t)256 << 10)

#define MAX_NESTING 64
#define MAX_FIELD ((1u << 29) - 1)

struct scan {
	const uint8_t *start;
	struct err *e;
};

static bool varint(struct scan *s, const uint8_t **p, const uint8_t *end, uint64_t *out)
{
	*out = 0;
	for (int shift = 0; shift < 64; shift += 7) {
		if (*p == end)
			return err_set(s->e, ERR_PARSE, "byte %zu: the file ends inside a number", (size_t)(*p - s->start));
		*out |= (uint64_t)(**p & 0x7f) << shift;
		if (!(*(*p)++ & 0x80))
			return true;
	}
	return err_set(s->e, ERR_PARSE, "byte %zu: a number of more than 10 bytes", (size_t)(*p - s->start));
}

/*
 * A second copy of a message that is not a list is to be merged with the first. Nobody writes that, and protobuf-c copies all that
 * it has for each: a small file could ask for any amount of memory.
 */
static bool once(struct scan *s, const ProtobufCMessageDescriptor *d, const ProtobufCFieldDescriptor *f, uint64_t *seen, const uint8_t *p)
{
	uint64_t bit = (uint64_t)1 << (f - d->fields) % 64;

	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return true;
	if (*seen & bit)
		return err_set(s->e, ERR_PARSE, "byte %zu: '%s' appears twice", (size_t)(p - s->start), f->name);
	*seen |= bit;
	return true;
}

static bool message(struct scan *s, const ProtobufCMessageDescriptor *d, const uint8_t *p, const uint8_t *end, int depth)
{
	uint64_t seen = 0;

	if (depth > MAX_NESTING)
		return err_set(s->e, ERR_PARSE, "byte %zu: messages nest deeper than %d", (size_t)(p - s->start), MAX_NESTING);
	while (p < end) {
		const ProtobufCFieldDescriptor *f;
		uint64_t tag, len = 0;

		if (!varint(s, &p, end, &tag))
			return false;
		if (tag >> 3 == 0 || tag >> 3 > MAX_FIELD)
			return err_set(s->e, ERR_PARSE, "byte %zu: not ONNX (field %llu)", (size_t)(p - s->start), (unsigned long long)(tag >> 3));
		switch (tag & 7) {
		case 0:
			if (!varint(s, &p, end, &len))
				return false;
			continue;
		case 1: len = 8; break;
		case 5: len = 4; break;
		case 2:
			if (!varint(s, &p, end, &len))
				return false;
			break;
		default: return err_set(s->e, ERR_PARSE, "byte %zu: not ONNX (wire type %d)", (size_t)(p - s->start), (int)(tag & 7));
		}
		if (len > (uint64_t)(end - p))
			return err_set(s->e, ERR_PARSE, "byte %zu: %llu bytes are announced, %zu are left (is the file truncated?)",
			               (size_t)(p - s->start), (unsigned long long)len, (size_t)(end - p));
		if (len > INT32_MAX)
			return err_set(s->e, ERR_UNSUPPORTED,
			               "byte %zu: a field of %llu bytes; they end at 2 GiB, larger models keep their weights as external data",
			               (size_t)(p - s->start), (unsigned long long)len);
		f = protobuf_c_message_descriptor_get_field(d, (unsigned)(tag >> 3));
		if ((tag & 7) == 2 && f && f->type == PROTOBUF_C_TYPE_MESSAGE &&
		    (!once(s, d, f, &seen, p) || !message(s, f->descriptor, p, p + len, depth + 1)))
			return false;
		p += len;
	}
	return true;
}

bool onnx_scan(const ProtobufCMessageDescriptor *d, const uint8_t *p, size_t n, struct err *e)
{
	struct scan s = {p, e};

	return message(&s, d, p, p + n, 0);
}

struct unpack {
	struct arena *a;
	void *file;
	size_t n;
};

/* The message is read from its beginning to its end, so what lies before a large field has been copied: those pages of the file need not stay. */
static void *take(void *data, size_t size)
{
	struct unpack *u = data;

	if (u->file && size >= LARGE)
		madvise(u->file, u->n, MADV_DONTNEED);
	return arena_alloc(u->a, size);
}

static void keep(void *data, void *p)
{
	(void)data, (void)p;
}

void *onnx_unpack(struct arena *a, const ProtobufCMessageDescriptor *d, const void *bytes, size_t n, bool mapped, struct err *e)
{
	struct unpack u = {a, mapped ? (void *)bytes : NULL, n};
	ProtobufCAllocator allocator = {.alloc = take, .free = keep, .allocator_data = &u};
	void *m;

	if (!onnx_scan(d, bytes, n, e))
		return NULL;
	m = protobuf_c_message_unpack(d, &allocator, n, bytes);
	if (!m)
		err_set(e, ERR_PARSE, "not a valid ONNX message");
	return m;
}
