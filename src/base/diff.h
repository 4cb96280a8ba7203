/* base/diff.h: a unified diff of two texts */
#pragma once
#include <stddef.h>

struct str;

/* Appends the differences of a and b, line by line, with `context` lines around, in unified form; nothing when they are equal.
 * Myers' O(ND) algorithm; beyond 4,000 differing lines the rest is shown as replaced. */
void text_diff(struct str *out, const char *name_a, const char *a, const char *name_b, const char *b, int context);
