/* report/report.h: what a store says, for people and for scripts; stores against each other; foreign result folders
 *
 * `out` is a file (written whole or not at all) or "-" for standard output. Nothing is ever left out: mutants that crashed,
 * hung, had no site or were not run are rows. Rates are of the mutants with a counted outcome and carry 95 % Wilson intervals.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

struct arena;
struct err;
struct str;

enum report_format { REPORT_TABLE, REPORT_JSON, REPORT_CSV };

struct report_options {
	bool images;      /* JSON: every image's labels and metrics */
	bool all_mutants; /* table: one line per mutant however many; else only up to 60 mutants, then a summary per operator */
};

/* o may be NULL. The table fits 80 columns; JSON is {"mutants": [...], "launches": {...}, ...}; CSV has one line per
 * mutant and device. */
bool report_write(struct store *s, enum report_format f, const struct report_options *o, const char *out, struct err *e);
/* The same, appended to text. */
bool report_text(struct store *s, enum report_format f, const struct report_options *o, struct str *text, struct err *e);

/* One page that opens from disk, with everything in it up to a size; of large campaigns the mutants' details lie in the folder
 * FILE.files beside it (FILE without ".html"). "-" is standard output, with everything inside. Memory does not grow with the number
 * of mutants. */
bool report_html(struct store *s, const char *path, struct err *e);

/* Mutant against original on each device; device against device for the original and for every mutant, within one store or
 * across several (mutants paired by id, images by name). REPORT_CSV is not offered (ERR_USAGE). */
bool report_compare(struct store *const *s, size_t n, enum report_format f, struct str *text, struct err *e);

/* A result folder of MutateNN: DEVICE/VARIANT/mutations/ts_EPOCH_DEVICE/IMAGE.txt. Every variant, device against device. */
bool report_is_mutatenn(const char *dir);
bool report_compare_mutatenn(const char *dir, enum report_format f, struct str *text, struct err *e);

/* The command: each path is a store or a result folder of MutateNN (then it is the only one). */
bool report_compare_paths(const char *const *path, size_t n, enum report_format f, const char *out, struct err *e);
