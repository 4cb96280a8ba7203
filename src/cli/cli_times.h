/* cli_times.h: what a campaign has done and where its time went, when it has ended */
#pragma once
#include <stdbool.h>

struct arena;
struct camp_summary;
struct err;

/* For scripts, on standard output: `run --json` (docs/exports.md). */
bool cli_print_summary(const struct camp_summary *s, const char *store, struct err *e);
/* For people: "lower 0.1 s, emit 0.2 s, ..."; in `a`. */
const char *cli_times_text(struct arena *a, const struct camp_summary *s);
