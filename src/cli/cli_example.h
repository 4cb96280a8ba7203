/* cli_example.h: what every mutation operator changes, shown on a small network and a small kernel */
#pragma once
#include <stdbool.h>

#include "mutate/mutate.h"

struct arena;
struct err;
struct str;

/* Parsed; NULL: e says why (a fault of ours). */
struct mut_subject *cli_example(struct arena *a, struct err *e);
/* Appends the lines that the operator's variant changes at its first site, before (-) and after (+). *found: there is such a site. */
bool cli_example_diff(struct arena *a, const struct mut_subject *s, const struct mut_op *op, unsigned variant, struct str *out, bool *found, struct err *e);
