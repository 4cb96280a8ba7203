/* fuzz_results.c: bytes as the files of one of MutateNN's result folders: two devices' answers for an image and a second original
 *
 * The files are divided by bytes 0.
 */
#include <assert.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "report/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const file[] = {"a/model_original/mutations/ts_1_a/x.jpg.txt", "b/model_original/mutations/ts_1_b/x.jpg.txt",
				   "a/model_m/mutations/ts_1_a/x.jpg.txt", "b/model_m/mutations/ts_1_b/x.jpg.txt"};
#define FILES (sizeof file / sizeof *file)
static char dir[64];

static void remove_folders(void)
{
	char command[128];

	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	if (system(command))
		fprintf(stderr, "'%s' is left\n", dir);
}

static void make_folders(void)
{
	char path[200];

	snprintf(dir, sizeof dir, "%s/mutatenn-fuzz-results-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	assert(mkdtemp(dir));
	atexit(remove_folders);
	for (size_t i = 0; i < FILES; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, file[i]);
		*strrchr(path, '/') = 0;
		assert(file_mkdirs(path, NULL));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str t = {0};
	struct err e = {0};
	size_t at = 0;

	if (!*dir)
		make_folders();
	for (size_t i = 0; i < FILES; i++) {
		const uint8_t *zero = memchr(data + at, 0, size - at);
		size_t n = zero ? (size_t)(zero - data) - at : size - at;
		char path[200];
		int fd;

		snprintf(path, sizeof path, "%s/%s", dir, file[i]);
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		assert(fd >= 0 && write(fd, data + at, n) == (ssize_t)n);
		close(fd);
		at += n + (zero != NULL);
	}
	assert(report_is_mutatenn(dir));
	for (int f = REPORT_TABLE; f <= REPORT_JSON; f++) {
		assert(report_compare_mutatenn(dir, (enum report_format)f, &t, &e) || *err_text(&e));
		str_clear(&t);
		err_free(&e);
	}
	str_free(&t);
	return 0;
}
