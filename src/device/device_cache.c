/* device_cache.c: compiled kernels on disk, one file per key
 *
 * Files are believed only when their length and hash are right.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "device/device_internal.h"

#define DEFAULT_LIMIT ((uint64_t)2 << 30)
#define MAX_ARTEFACT ((size_t)256 << 20)

struct trailer {
	char magic[8];
	uint64_t size;
	struct hash hash; /* of key and data */
};

static const char magic[8] = "mtnkern1";

static struct trailer trailer_of(struct hash key, const uint8_t *data, size_t size)
{
	struct trailer t = {.size = size};
	struct hasher *h = hasher_new();

	memcpy(t.magic, magic, sizeof magic);
	hash_put_hash(h, key);
	hash_put_bytes(h, data, size);
	t.hash = hasher_end(h);
	return t;
}

bool cache_open(struct arena *a, const char *wanted, struct cachedir *out, struct err *e)
{
	const char *limit = getenv("MUTATENN_KERNEL_CACHE");
	struct err why = {0};
	char *dir = NULL;

	*out = (struct cachedir){.suffix = ".so", .limit = DEFAULT_LIMIT};
	if (limit && !strcmp(limit, "0"))
		out->limit = 0;
	else if (limit && !str_parse_bytes(limit, &out->limit))
		return err_set(e, ERR_USAGE, "MUTATENN_KERNEL_CACHE is '%s', which is no size: a number of bytes, or with K, M, G or T like 512M", limit);
	/* a board without a place to write does without */
	if (!wanted && out->limit && !file_cache_dir(a, "kernels", &dir, &why)) {
		log_warn("kernels are not kept: %s", err_text(&why));
		err_free(&why);
		dir = NULL;
	}
	if (wanted && *wanted && !file_mkdirs(dir = arena_strdup(a, wanted), e))
		return false;
	out->dir = out->limit ? dir : NULL;
	return true;
}

bool cache_get(struct arena *a, const struct cachedir *c, struct hash key, uint8_t **data, size_t *size)
{
	struct trailer have, want;
	uint64_t n = 0;
	int fd = cachedir_open(c, key, &n);
	uint8_t *p;
	bool ok = false;

	if (fd >= 0 && n >= sizeof have && n <= MAX_ARTEFACT) {
		p = arena_alloc(a, n);
		if (fd_read_all(fd, p, n)) {
			memcpy(&have, p + n - sizeof have, sizeof have);
			want = trailer_of(key, p, n - sizeof have);
			ok = !memcmp(&have, &want, sizeof have);
			*size = n - sizeof have;
			*data = p;
		}
	}
	if (fd >= 0 && !ok)
		log_debug("a cached kernel in '%s' is damaged and will be built again", c->dir);
	if (fd >= 0)
		close(fd);
	return ok;
}

void cache_put(struct cachedir *c, struct hash key, const uint8_t *data, size_t size)
{
	struct trailer t = trailer_of(key, data, size);

	cachedir_put(c, key, data, size, &t, sizeof t);
}
