/* replay_main.c: runs a fuzz target's entry over the files of its corpus, as a test */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool replay(const char *path, struct err *e)
{
	struct arena *a = arena_new(NULL);
	struct bytes b = {0};
	bool ok = file_read(a, path, 0, &b, e);

	if (ok) {
		uint8_t *exact = malloc(b.n ? b.n : 1); /* no NUL behind: reading on is seen by a sanitizer */
		size_t live = arena_live_bytes();

		memcpy(exact, b.p, b.n);
		LLVMFuzzerTestOneInput(exact, b.n);
		free(exact);
		if (arena_live_bytes() != live)
			ok = err_set(e, ERR_IO, "%s: memory was kept", path);
	}
	arena_free(a);
	return ok;
}

int main(int argc, char **argv)
{
	struct arena *a = arena_new(NULL);
	struct err e = {0};
	char **names;
	size_t n = 0, done = 0;
	bool ok = argc == 2 ? file_list(a, argv[1], &names, &n, &e) : err_set(&e, ERR_USAGE, "usage: %s folder", argv[0]);

	for (; ok && done < n; done++)
		ok = replay(file_join(a, argv[1], names[done]), &e);
	if (ok && !n)
		ok = err_set(&e, ERR_IO, "'%s' is empty", argv[1]);
	if (ok)
		printf("%zu files replayed\n", n);
	else
		fprintf(stderr, "%s\n", err_text(&e));
	err_free(&e);
	arena_free(a);
	return !ok;
}
