#include "base/hash.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct hash hash_bytes(const void *p, size_t n)
{
	XXH128_hash_t h = XXH3_128bits(p, n);

	return (struct hash){h.high64, h.low64};
}

struct hash hash_text(const char *s)
{
	return hash_bytes(s, strlen(s));
}

/* Numbers come eight bytes at a time, and each call of the library costs more than they do. */
struct hasher {
	XXH3_state_t *state; /* NULL while all of it waits */
	size_t n;
	uint8_t waiting[1024];
};

struct hasher *hasher_new(void)
{
	struct hasher *h = malloc(sizeof *h);

	if (!h)
		abort();
	h->state = NULL;
	h->n = 0;
	return h;
}

static void flush(struct hasher *h)
{
	if (!h->state) {
		if (!(h->state = XXH3_createState()))
			abort();
		XXH3_128bits_reset(h->state);
	}
	XXH3_128bits_update(h->state, h->waiting, h->n);
	h->n = 0;
}

void hash_put_raw(struct hasher *h, const void *p, size_t n)
{
	if (n > sizeof h->waiting - h->n)
		flush(h);
	if (n > sizeof h->waiting) {
		XXH3_128bits_update(h->state, p, n);
		return;
	}
	if (n)
		memcpy(h->waiting + h->n, p, n);
	h->n += n;
}

void hash_put_u64(struct hasher *h, uint64_t v)
{
	uint8_t b[8]; /* little-endian whatever the host, so that keys agree between machines */

	for (int i = 0; i < 8; i++)
		b[i] = (uint8_t)(v >> (8 * i));
	hash_put_raw(h, b, sizeof b);
}

void hash_put_bytes(struct hasher *h, const void *p, size_t n)
{
	hash_put_u64(h, n);
	hash_put_raw(h, p, n);
}

void hash_put_text(struct hasher *h, const char *s)
{
	hash_put_bytes(h, s, strlen(s));
}

void hash_put_hash(struct hasher *h, struct hash v)
{
	hash_put_u64(h, v.hi);
	hash_put_u64(h, v.lo);
}

struct hash hasher_end(struct hasher *h)
{
	struct hash v;

	if (h->state) {
		XXH128_hash_t d;

		flush(h);
		d = XXH3_128bits_digest(h->state);
		XXH3_freeState(h->state);
		v = (struct hash){d.high64, d.low64};
	} else {
		v = hash_bytes(h->waiting, h->n); /* most: the same, without a state of half a kilobyte */
	}
	free(h);
	return v;
}

const char *hash_hex(struct hash h, char out[static HASH_HEX])
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < 32; i++)
		out[i] = digits[((i < 16 ? h.hi : h.lo) >> (60 - 4 * (i & 15))) & 15];
	out[32] = 0;
	return out;
}

bool hash_parse(const char *hex, struct hash *out)
{
	*out = (struct hash){0};
	for (int i = 0; i < 32; i++) {
		char c = hex[i];
		uint64_t *half = i < 16 ? &out->hi : &out->lo;

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
		*half = *half << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return !hex[32];
}
