/* near.c: the known word that somebody may have meant */
#include "base/near.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

int near_distance(const char *a, const char *b)
{
	size_t na = strlen(a), nb = strlen(b);
	int row[64];

	if (na > 60 || nb > 60)
		return 99;
	for (size_t j = 0; j <= nb; j++)
		row[j] = (int)j;
	for (size_t i = 1; i <= na; i++) {
		int corner = row[0];

		row[0] = (int)i;
		for (size_t j = 1; j <= nb; j++) {
			int change = corner + (a[i - 1] != b[j - 1]), best = change;

			corner = row[j];
			best = row[j] + 1 < best ? row[j] + 1 : best;
			row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
		}
	}
	return row[nb];
}

struct near near_new(const char *word)
{
	size_t n = strlen(word);

	return (struct near){.word = word, .edits = n < 2 ? 0 : n < 5 ? 2 : 3};
}

void near_try(struct near *n, const char *candidate)
{
	int d = near_distance(n->word, candidate);

	if (d < n->edits) {
		n->edits = d;
		n->best = candidate;
	}
}

const char *near_text(const struct near *n)
{
	static char text[128];

	snprintf(text, sizeof text, n->best ? " (did you mean '%.80s'?)" : "%s", n->best ? n->best : "");
	return text;
}
