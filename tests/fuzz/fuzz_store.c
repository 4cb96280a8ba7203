/* fuzz_store.c: bytes as a store, through every report and the comparison
 *
 * The corpus is of version 2, which stays readable: each of its files is also brought up to date.
 */
#include <assert.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "report/report.h"
#include "select/select.h"

#define PAGE_EVERY 16 /* HTML pages are large: for inputs of such sizes */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(struct store *s, struct err *e)
{
	static const struct report_options all = {.images = true, .all_mutants = true, .colour = true};

	for (int f = REPORT_TABLE; f <= REPORT_JUNIT; f++) {
		struct str t = {0};

		assert(report_text(s, (enum report_format)f, &all, &t, e) || *err_text(e));
		str_clear(&t);
		assert(report_compare(&s, 1, (enum report_format)f, &t, e) || *err_text(e));
		str_free(&t);
		err_free(e);
	}
}

/* With what SQLite may have left beside it: the next input is not to be judged by this one's journal. */
static void remove_all(const char *path)
{
	static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
	char name[80];

	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		snprintf(name, sizeof name, "%s%s", path, ends[i]);
		unlink(name);
	}
}

/* The fewest images, and a store made of this one. */
static void select_and_merge(struct store *s, const char *path, struct err *e)
{
	struct arena *a = arena_new(NULL);
	struct select_result r;
	char out[80];

	if (select_from_store(a, s, &(struct select_options){.steps = 100000}, &r, e))
		assert(r.cover.kept == r.cover.kills && r.cover.lower <= r.cover.n && r.cover.n <= r.nimages);
	else
		assert(*err_text(e));
	err_free(e);
	snprintf(out, sizeof out, "%s.merged", path);
	remove_all(out);
	assert(store_merge(&path, 1, out, e) || *err_text(e));
	err_free(e);
	remove_all(out);
	arena_free(a);
}

static void write_page(struct store *s, const char *path, struct err *e)
{
	char page[80];

	snprintf(page, sizeof page, "%s.html", path);
	assert(report_html(s, page, e) || *err_text(e));
	err_free(e);
	unlink(page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *folder;
	struct store *s = NULL;
	struct err e = {0};
	char path[64];
	int fd;

	folder = folder ? folder : access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
	snprintf(path, sizeof path, "%s/mutatenn-fuzz-store-%ld", folder, (long)getpid());
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	close(fd);
	if (store_open(path, STORE_READ, &s, &e)) {
		read_all(s, &e);
		select_and_merge(s, path, &e);
		if (size % PAGE_EVERY == 0)
			write_page(s, path, &e);
	} else {
		assert(*err_text(&e));
	}
	store_close(s);
	err_free(&e);
	remove_all(path);
	return 0;
}
