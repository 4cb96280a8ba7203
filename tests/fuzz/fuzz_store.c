/* fuzz_store.c: bytes as a store, through every report and the comparison */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "report/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(struct store *s, struct err *e)
{
	static const struct report_options all = {true, true};

	for (int f = REPORT_TABLE; f <= REPORT_CSV; f++) {
		struct str t = {0};

		assert(report_text(s, (enum report_format)f, &all, &t, e) || *err_text(e));
		str_clear(&t);
		assert(report_compare(&s, 1, (enum report_format)f, &t, e) || *err_text(e));
		str_free(&t);
		err_free(e);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct store *s = NULL;
	struct err e = {0};
	char path[64];

	snprintf(path, sizeof path, "/tmp/mutatenn-fuzz-store-%ld", (long)getpid());
	assert(file_write(path, data, size, NULL));
	if (store_open(path, STORE_READ, &s, &e))
		read_all(s, &e);
	else
		assert(*err_text(&e));
	store_close(s);
	err_free(&e);
	unlink(path);
	return 0;
}
