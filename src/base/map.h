/* base/map.h: a hash table from strings or 128-bit keys to pointers, in an arena; iteration in insertion order */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/hash.h"

struct arena;
struct map;

struct map *map_new(struct arena *a);
/* The key is copied. A second put of a key replaces its value. */
void map_put(struct map *m, const char *key, void *value);
void *map_get(const struct map *m, const char *key); /* NULL when absent */
bool map_has(const struct map *m, const char *key);
bool map_del(struct map *m, const char *key); /* true when it was there */
size_t map_count(const struct map *m);

/* The same table keyed by content hashes. Do not mix both kinds of key in one map. */
void map_put_hash(struct map *m, struct hash key, void *value);
void *map_get_hash(const struct map *m, struct hash key);
bool map_del_hash(struct map *m, struct hash key);

/* for (size_t it = 0; map_next(m, &it, &key, &value);) ...; key is NULL for hash-keyed maps; either out may be NULL. */
bool map_next(const struct map *m, size_t *it, const char **key, void **value);
