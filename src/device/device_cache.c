/* device_cache.c: compiled kernels on disk, one file per key
 *
 * Several processes use one directory: files appear whole (written beside, then renamed) and are believed only when their
 * length and hash are right. They are not synced: what a power cut leaves half written is a miss.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "device/device_internal.h"

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

static char *path_of(struct arena *a, const char *dir, struct hash key)
{
	char hex[HASH_HEX];

	return arena_printf(a, "%s/%s.so", dir, hash_hex(key, hex));
}

bool cache_open(struct arena *a, const char *wanted, const char **dir, struct err *e)
{
	char *cache = NULL;

	if (!wanted && !file_cache_dir(a, "kernels", &cache, e))
		return false;
	if (wanted && *wanted && !file_mkdirs(cache = arena_strdup(a, wanted), e))
		return false;
	*dir = cache;
	return true;
}

bool cache_get(struct arena *a, const char *dir, struct hash key, uint8_t **data, size_t *size)
{
	struct arena *scratch = arena_new(NULL);
	const char *path = path_of(scratch, dir, key);
	struct bytes raw;
	struct trailer have, want;
	bool ok = false;

	if (file_exists(path) && file_read(scratch, path, MAX_ARTEFACT, &raw, NULL) && raw.n >= sizeof have) {
		memcpy(&have, raw.p + raw.n - sizeof have, sizeof have);
		want = trailer_of(key, raw.p, raw.n - sizeof have);
		ok = !memcmp(&have, &want, sizeof have);
		if (ok) {
			*size = raw.n - sizeof have;
			*data = arena_memdup(a, raw.p, *size);
		} else {
			log_debug("the cached kernel '%s' is damaged and will be built again", path);
		}
	}
	arena_free(scratch);
	return ok;
}

static bool write_all(int fd, const void *p, size_t n)
{
	const uint8_t *at = p;

	while (n) {
		ssize_t w = write(fd, at, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return false;
		at += w;
		n -= (size_t)w;
	}
	return true;
}

void cache_put(const char *dir, struct hash key, const uint8_t *data, size_t size)
{
	static atomic_uint count; /* one process may have several devices */
	struct arena *scratch = arena_new(NULL);
	const char *path = path_of(scratch, dir, key);
	const char *temp = arena_printf(scratch, "%s.%ld.%u.tmp", path, (long)getpid(), count++);
	struct trailer t = trailer_of(key, data, size);
	int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	bool ok;

	if (fd >= 0) {
		ok = write_all(fd, data, size) && write_all(fd, &t, sizeof t);
		ok = !close(fd) && ok && !rename(temp, path);
		if (!ok) {
			log_debug("cannot cache a kernel in '%s': %s", dir, strerror(errno));
			unlink(temp);
		}
	}
	arena_free(scratch);
}
