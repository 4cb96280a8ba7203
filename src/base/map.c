/* map.c: entries in insertion order plus an open-addressing index into them */
#include "base/map.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"

struct entry {
	char *key; /* NULL for hash-keyed maps */
	struct hash hash;
	void *value;
	bool live;
};

struct map {
	struct arena *a;
	struct entry *entry;
	uint32_t *slot; /* entry number + 1; 0 is empty */
	size_t n, cap, live, nslots;
};

struct map *map_new(struct arena *a)
{
	struct map *m = ARENA_NEW(a, struct map);

	m->a = a;
	return m;
}

/* The slot that holds the key, or the empty one where it belongs. */
static size_t find(const struct map *m, const char *key, struct hash h)
{
	size_t i = h.lo & (m->nslots - 1);

	for (;; i = (i + 1) & (m->nslots - 1)) {
		const struct entry *e;

		if (!m->slot[i])
			return i;
		e = &m->entry[m->slot[i] - 1];
		if (hash_eq(e->hash, h) && (!key || !strcmp(e->key, key)))
			return i;
	}
}

static void grow(struct map *m)
{
	size_t cap = m->cap ? m->cap * 2 : 16;
	struct entry *entry = ARENA_ARRAY(m->a, struct entry, cap);

	assert(cap < UINT32_MAX / 4);
	if (m->n)
		memcpy(entry, m->entry, m->n * sizeof *entry);
	m->entry = entry;
	m->cap = cap;
	m->nslots = cap * 2;
	m->slot = ARENA_ARRAY(m->a, uint32_t, m->nslots);
	for (size_t i = 0; i < m->n; i++)
		m->slot[find(m, entry[i].key, entry[i].hash)] = (uint32_t)i + 1;
}

static void put(struct map *m, const char *key, struct hash h, void *value)
{
	struct entry *e;
	size_t at;

	if (m->n == m->cap)
		grow(m);
	at = find(m, key, h);
	if (!m->slot[at]) {
		m->entry[m->n] = (struct entry){.key = key ? arena_strdup(m->a, key) : NULL, .hash = h};
		m->slot[at] = (uint32_t)++m->n;
	}
	e = &m->entry[m->slot[at] - 1];
	m->live += !e->live;
	e->live = true;
	e->value = value;
}

static struct entry *get(const struct map *m, const char *key, struct hash h)
{
	size_t at;

	if (!m->n)
		return NULL;
	at = find(m, key, h);
	return m->slot[at] && m->entry[m->slot[at] - 1].live ? &m->entry[m->slot[at] - 1] : NULL;
}

static bool del(struct map *m, const char *key, struct hash h)
{
	struct entry *e = get(m, key, h);

	if (!e)
		return false;
	e->live = false; /* the entry stays as a tombstone and is used again by the same key */
	m->live--;
	return true;
}

void map_put(struct map *m, const char *key, void *value)
{
	put(m, key, hash_text(key), value);
}

void *map_get(const struct map *m, const char *key)
{
	struct entry *e = get(m, key, hash_text(key));

	return e ? e->value : NULL;
}

bool map_has(const struct map *m, const char *key)
{
	return get(m, key, hash_text(key));
}

bool map_del(struct map *m, const char *key)
{
	return del(m, key, hash_text(key));
}

size_t map_count(const struct map *m)
{
	return m->live;
}

void map_put_hash(struct map *m, struct hash key, void *value)
{
	put(m, NULL, key, value);
}

void *map_get_hash(const struct map *m, struct hash key)
{
	struct entry *e = get(m, NULL, key);

	return e ? e->value : NULL;
}

bool map_del_hash(struct map *m, struct hash key)
{
	return del(m, NULL, key);
}

bool map_next(const struct map *m, size_t *it, const char **key, void **value)
{
	for (; *it < m->n; (*it)++) {
		const struct entry *e = &m->entry[*it];

		if (!e->live)
			continue;
		if (key)
			*key = e->key;
		if (value)
			*value = e->value;
		(*it)++;
		return true;
	}
	return false;
}
