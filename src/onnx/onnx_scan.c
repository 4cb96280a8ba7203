/* onnx_scan.c: a walk over the wire format before protobuf-c sees it: protobuf-c recurses without limit */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/str.h"
#include "base/vec.h"
#include "onnx/onnx_internal.h"

#define LARGE ((size_t)64 << 10) /* weights that protobuf-c does not see */
#define PIECE ((size_t)1 << 20)
#define SMALL ((size_t)4 << 20) /* of a file: what it holds in memory is not worth walking through it once more */
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
 * it has for each: a small file could ask for any amount of memory. Of bytes the last copy counts; nobody writes that either, and
 * strip() must not have to know which it is.
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

struct field {
	const uint8_t *start, *len_at, *p; /* its tag, what follows it, its bytes (not of a varint) */
	uint64_t number, len;
	int wire;
};

/* The field at *p, which is moved behind it. */
static inline bool next(struct scan *s, const uint8_t **p, const uint8_t *end, struct field *f)
{
	uint64_t tag;

	f->start = *p;
	f->len = 0;
	if (!varint(s, p, end, &tag))
		return false;
	f->number = tag >> 3;
	f->wire = (int)(tag & 7);
	f->len_at = *p;
	if (f->number == 0 || f->number > MAX_FIELD)
		return err_set(s->e, ERR_PARSE, "byte %zu: not ONNX (field %llu)", (size_t)(*p - s->start), (unsigned long long)f->number);
	switch (f->wire) {
	case 0: return varint(s, p, end, &tag);
	case 1: f->len = 8; break;
	case 5: f->len = 4; break;
	case 2:
		if (!varint(s, p, end, &f->len))
			return false;
		break;
	default: return err_set(s->e, ERR_PARSE, "byte %zu: not ONNX (wire type %d)", (size_t)(*p - s->start), f->wire);
	}
	if (f->len > (uint64_t)(end - *p))
		return err_set(s->e, ERR_PARSE, "byte %zu: %llu bytes are announced, %zu are left (is the file truncated?)",
		               (size_t)(*p - s->start), (unsigned long long)f->len, (size_t)(end - *p));
	if (f->len > INT32_MAX)
		return err_set(s->e, ERR_UNSUPPORTED,
		               "byte %zu: a field of %llu bytes; they end at 2 GiB, larger models keep their weights as external data",
		               (size_t)(*p - s->start), (unsigned long long)f->len);
	f->p = *p;
	*p += f->len;
	return true;
}

static bool message(struct scan *s, const ProtobufCMessageDescriptor *d, const uint8_t *p, const uint8_t *end, int depth)
{
	uint64_t seen = 0;

	if (depth > MAX_NESTING)
		return err_set(s->e, ERR_PARSE, "byte %zu: messages nest deeper than %d", (size_t)(p - s->start), MAX_NESTING);
	while (p < end) {
		const ProtobufCFieldDescriptor *known;
		struct field f;

		if (!next(s, &p, end, &f))
			return false;
		known = protobuf_c_message_descriptor_get_field(d, (unsigned)f.number);
		if (f.wire != 2 || !known || (known->type != PROTOBUF_C_TYPE_MESSAGE && known->type != PROTOBUF_C_TYPE_BYTES))
			continue;
		if (!once(s, d, known, &seen, f.p))
			return false;
		if (known->type == PROTOBUF_C_TYPE_MESSAGE && !message(s, known->descriptor, f.p, p, depth + 1))
			return false;
	}
	return true;
}

bool onnx_scan(const ProtobufCMessageDescriptor *d, const uint8_t *p, size_t n, struct err *e)
{
	struct scan s = {p, e};

	return message(&s, d, p, p + n, 0);
}

/* ---- large weights ----
 * protobuf-c copies a field in one go, and then all pages of the file that it lies in are in memory beside the copy. So it is given
 * the model without the bytes of large initializers; they are copied a piece at a time.
 */

enum { MODEL, GRAPH, TENSOR }; /* messages inside each other, and the field of each that leads to the bytes: */
static const unsigned inwards[] = {[MODEL] = 7 /* graph */, [GRAPH] = 5 /* initializer */, [TENSOR] = 9 /* raw_data */};

struct weights {
	size_t initializer; /* its number */
	const uint8_t *p;
	size_t n;
};

struct skeleton {
	struct arena *a;
	struct scan scan; /* never fails: onnx_scan has looked */
	size_t initializers, left_out;
	VEC(struct weights) weights;
};

static void put_varint(struct str *out, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		str_addc(out, (char)(v | 0x80));
	str_addc(out, (char)v);
}

/* out: NULL to find out only what would be left out. */
static void strip(struct skeleton *k, int of, const uint8_t *p, const uint8_t *end, struct str *out)
{
	struct field f;

	while (p < end && next(&k->scan, &p, end, &f)) {
		struct str inner = {0};

		if (f.wire != 2 || f.number != inwards[of] || (of == TENSOR && f.len < LARGE)) {
			if (out)
				str_addn(out, (const char *)f.start, (size_t)(p - f.start));
			continue;
		}
		if (of != TENSOR) {
			strip(k, of + 1, f.p, p, out ? &inner : NULL);
		} else if (out) {
			vec_push(k->a, &k->weights, ((struct weights){k->initializers, f.p, f.len}));
		} else {
			k->left_out += f.len;
		}
		if (!out)
			continue;
		k->initializers += of == GRAPH;
		str_addn(out, (const char *)f.start, (size_t)(f.len_at - f.start));
		put_varint(out, inner.n);
		str_addn(out, inner.s, inner.n);
		str_free(&inner);
	}
}

void *onnx_copy_mapped(struct arena *a, const uint8_t *p, size_t n)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *to = arena_alloc(a, n);

	for (size_t at = 0, k; at < n; at += k) {
		size_t into = (uintptr_t)(p + at) % page;

		k = n - at < PIECE ? n - at : PIECE;
		memcpy(to + at, p + at, k);
		madvise((uint8_t *)p + at - into, (into + k) / page * page, MADV_DONTNEED);
	}
	return to;
}

/* ---- unpacking ---- */

static void *take(void *data, size_t size)
{
	return arena_alloc(data, size);
}

static void keep(void *data, void *p)
{
	(void)data, (void)p;
}

static void *unpack(struct arena *a, const ProtobufCMessageDescriptor *d, const void *bytes, size_t n, struct err *e)
{
	ProtobufCAllocator allocator = {.alloc = take, .free = keep, .allocator_data = a};
	void *m = protobuf_c_message_unpack(d, &allocator, n, bytes);

	if (!m)
		err_set(e, ERR_PARSE, "not a valid ONNX message");
	return m;
}

void *onnx_unpack(struct arena *a, const ProtobufCMessageDescriptor *d, const void *bytes, size_t n, struct err *e)
{
	return onnx_scan(d, bytes, n, e) ? unpack(a, d, bytes, n, e) : NULL;
}

Onnx__ModelProto *onnx_unpack_mapped(struct arena *a, const void *bytes, size_t n, struct err *e)
{
	const ProtobufCMessageDescriptor *d = &onnx__model_proto__descriptor;
	struct skeleton k = {.a = a, .scan = {.start = bytes, .e = e}};
	struct str out = {0};
	Onnx__ModelProto *m;

	if (!onnx_scan(d, bytes, n, e))
		return NULL;
	if (n >= SMALL)
		strip(&k, MODEL, bytes, (const uint8_t *)bytes + n, NULL);
	if (k.left_out < n / 2 || n < SMALL) /* much of the rest would be there once more */
		return unpack(a, d, bytes, n, e);
	strip(&k, MODEL, bytes, (const uint8_t *)bytes + n, &out);
	m = unpack(a, d, out.s, out.n, e);
	str_free(&out);
	for (size_t i = 0; m && i < k.weights.n; i++) {
		const struct weights *w = &k.weights.v[i];

		m->graph->initializer[w->initializer]->raw_data = (ProtobufCBinaryData){w->n, onnx_copy_mapped(a, w->p, w->n)};
	}
	return m;
}
