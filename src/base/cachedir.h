/* base/cachedir.h: files by hash in a folder that several processes use at once, of bounded size
 *
 * Files appear whole (written beside, then renamed) and are not synced: what a power cut leaves half written is there, so whoever reads one
 * checks what it says. When there are too many bytes the longest unused go. Any trouble is a miss, and never an error.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

struct cachedir {
	const char *dir;       /* NULL: nothing is kept */
	const char *suffix;    /* of the files' names: "", ".so" */
	uint64_t limit;        /* bytes of all of them */
	uint64_t total, added; /* there when last looked at and written since; written since by this process */
};

/* Makes room at once when there is too much; a process that only adds a little now and then need not call it. */
void cachedir_trim(struct cachedir *c);
/* -1: not there. Marks it as used just now. Close it. */
int cachedir_open(const struct cachedir *c, struct hash name, uint64_t *size);
bool cachedir_has(const struct cachedir *c, struct hash name, uint64_t size);
/* Two parts, one behind the other; the second may be empty. What does not fit is not kept. */
void cachedir_put(struct cachedir *c, struct hash name, const void *p, size_t n, const void *end, size_t nend);
void cachedir_drop(const struct cachedir *c, struct hash name);
