/* base/hash.h: content hashes (XXH3, 128 bits) and their text form
 *
 * Not cryptographic: keys are trusted against accident, not against an attacker. SHA-256 is used where a
 * file's origin is checked (fetch/).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hash {
	uint64_t hi, lo;
};

#define HASH_HEX 33 /* 32 hex digits and NUL */

struct hash hash_bytes(const void *p, size_t n);
struct hash hash_text(const char *s);

/* Streaming; every update is length-prefixed by hash_put_* except hash_put_raw, so "ab","c" differs from "a","bc". */
struct hasher;
struct hasher *hasher_new(void);
void hash_put_raw(struct hasher *h, const void *p, size_t n);
void hash_put_bytes(struct hasher *h, const void *p, size_t n);
void hash_put_text(struct hasher *h, const char *s);
void hash_put_u64(struct hasher *h, uint64_t v);
void hash_put_hash(struct hasher *h, struct hash v);
struct hash hasher_end(struct hasher *h); /* frees h */

static inline bool hash_eq(struct hash a, struct hash b) { return a.hi == b.hi && a.lo == b.lo; }
static inline bool hash_is_zero(struct hash a) { return !a.hi && !a.lo; }
const char *hash_hex(struct hash h, char out[static HASH_HEX]); /* returns out */
bool hash_parse(const char *hex, struct hash *out);             /* exactly 32 lower-case hex digits */
