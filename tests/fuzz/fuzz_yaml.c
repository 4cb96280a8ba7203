/* fuzz_yaml.c: bytes as a campaign, as definitions of devices and as the facts beside a model */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An error says where. */
static void says_where(bool ok, const char *path, struct err *e)
{
	assert(ok || !strncmp(err_text(e), path, strlen(path)) || strstr(err_text(e), path));
	err_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(NULL);
	struct config_campaign c;
	struct config_sidecar s;
	struct config_device *d;
	struct err e = {0};
	char path[64];
	int fd = memfd_create("yaml", MFD_CLOEXEC);
	size_t n;
	bool ok;

	assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ok = config_campaign_read(a, path, &c, &e);
	says_where(ok, path, &e);
	if (ok) {
		assert(config_campaign_check(&c, NULL));
		assert(!strcmp(config_text(a, &c), config_text(a, &c)));
	}
	says_where(config_devices_read(a, path, &d, &n, &e), path, &e);
	says_where(config_sidecar_read(a, path, &s, &e), path, &e);
	close(fd);
	arena_free(a);
	return 0;
}
