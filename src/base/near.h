/* base/near.h: the known word that somebody may have meant */
#pragma once

struct near {
	const char *word;  /* as written */
	const char *best;  /* NULL: none is near enough, or one is the same */
	int edits;         /* fewer than this are wanted */
};

/* At most two edits, and fewer than half of the word's letters. */
struct near near_new(const char *word);
/* Candidates that outlive n. The first of the nearest stays. */
void near_try(struct near *n, const char *candidate);
/* " (did you mean 'BEST'?)", or "" ; valid until the next call. */
const char *near_text(const struct near *n);
/* Edits - a letter more, less or another one - between two words; 99 when one has over 60 letters. */
int near_distance(const char *a, const char *b);
