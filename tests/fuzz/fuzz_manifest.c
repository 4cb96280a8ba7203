/* fuzz_manifest.c: bytes as the manifest of an acceptance set: what is taken is written and read again the same */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "select/select.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool read_bytes(struct arena *a, const void *data, size_t size, struct select_set *out)
{
	int fd = memfd_create("manifest", MFD_CLOEXEC);
	struct err e = {0};
	char path[64];
	bool ok;

	assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ok = select_manifest_read(a, path, out, &e);
	assert(ok || strstr(err_text(&e), path));
	err_free(&e);
	close(fd);
	return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(NULL);
	struct select_set s, again;
	struct str first = {0}, second = {0};

	if (read_bytes(a, data, size, &s)) {
		assert(select_manifest_text(&s, &first, NULL));
		assert(read_bytes(a, first.s, first.n, &again));
		assert(select_manifest_text(&again, &second, NULL));
		assert(first.n == second.n && !memcmp(first.s, second.s, first.n));
	}
	str_free(&first);
	str_free(&second);
	arena_free(a);
	return 0;
}
