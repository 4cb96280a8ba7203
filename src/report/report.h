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

enum report_format { REPORT_TABLE, REPORT_JSON, REPORT_CSV, REPORT_STRYKER, REPORT_SARIF, REPORT_JUNIT };

#define REPORT_JSON_SCHEMA 1 /* of docs/report.schema.json; fields may be added under the same number */

struct report_options {
	bool images;         /* JSON: every image's labels and metrics */
	bool all_mutants;    /* table: one line per mutant however many; else only up to 60 mutants, then a summary per operator */
	bool colour;         /* table: with escape sequences of terminals */
	int criterion;       /* 0 label, 1 topk, 2 numeric: what counts as killed where a format knows one kind only */
	bool threshold;      /* fail_under is given */
	double fail_under;   /* per cent: JUnit counts survivors as failures only below it */
};

/* o may be NULL. The table fits 80 columns; JSON is docs/report.schema.json; CSV has one line per mutant and device; docs/exports.md
 * says what the others are. All but the table are written as they are made, whatever the size of the store. */
bool report_write(struct store *s, enum report_format f, const struct report_options *o, const char *out, struct err *e);
/* Several at the same moment of a store that is being written. */
struct report_file {
	enum report_format format;
	const char *out;
};
bool report_write_all(struct store *s, const struct report_file *file, size_t n, const struct report_options *o, struct err *e);
/* Per cent of the counted mutants, over all devices, that criterion c kills; *counted: of how many. */
bool report_kill_rate(struct store *s, int criterion, double *percent, int64_t *counted, struct err *e);
/* The same, appended to text. */
bool report_text(struct store *s, enum report_format f, const struct report_options *o, struct str *text, struct err *e);

/* One page that opens from disk, with everything in it up to a size; of large campaigns the mutants' details lie in the folder
 * FILE.files beside it (FILE without ".html"). "-" is standard output, with everything inside. Memory does not grow with the number
 * of mutants. */
bool report_html(struct store *s, const char *path, struct err *e);

/* Mutant against original on each device; device against device for the original and for every mutant, within one store or
 * across several (mutants paired by id, images by name). only REPORT_TABLE and REPORT_JSON are offered (ERR_USAGE). */
bool report_compare(struct store *const *s, size_t n, enum report_format f, struct str *text, struct err *e);

/* A result folder of MutateNN: DEVICE/VARIANT/mutations/ts_EPOCH_DEVICE/IMAGE.txt. Every variant, device against device. */
bool report_is_mutatenn(const char *dir);
bool report_compare_mutatenn(const char *dir, enum report_format f, struct str *text, struct err *e);

/* The command: each path is a store or a result folder of MutateNN (then it is the only one). */
bool report_compare_paths(const char *const *path, size_t n, enum report_format f, const char *out, struct err *e);
