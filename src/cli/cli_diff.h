/* cli_diff.h: how 'mutatenn diff' shows a comparison */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "campaign/campaign.h"

struct arena;
struct err;

struct cli_diff {
	const struct camp_diff *diff;
	const struct camp_model *model;
	const char *input;
	const char *device[2], *describe[2];
	const char *mutant[2];            /* NULL: the original */
	bool alone;                       /* kernels were run alone, too */
	bool all;                         /* also tensors that are equal */
};

/* 0..n: how far a relative error reaches on a logarithmic scale from 1e-8 to 1; what is not equal has at least 1. */
int cli_diff_bar(double relative, int n);

/* ---- cli_diff_text.c: a table with a bar per tensor, 80 columns wide ---- */
void cli_diff_print(struct arena *a, const struct cli_diff *d);

/* ---- cli_diff_files.c ---- */

/* file: NULL, or names that hold the tensors, two per row (NULL: none). */
json_t *cli_diff_json(const struct cli_diff *d, const char *const *file);
/* DIR/NNN_NAME.a.npy and .b.npy, and DIR/index.json. bf16, which .npy does not know, is written as f32. */
bool cli_diff_dump(struct arena *a, const struct cli_diff *d, const char *dir, struct err *e);
/* One page with an SVG, nothing to load. */
bool cli_diff_html(const struct cli_diff *d, const char *path, struct err *e);
