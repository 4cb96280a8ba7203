/* store/store.h: everything a campaign knows, in one SQLite file
 *
 * One process writes, any number read while it does. Every store_put_* is one transaction (inside store_begin/store_commit:
 * part of that one). What has returned true is on the disk (WAL, synchronous=FULL): after a kill or a power cut at any moment
 * the file opens again and holds it, and of every other transaction all or nothing. After an error the store stays usable; what
 * failed was rolled back.
 * Strings handed in are copied; strings and arrays handed out by an iterator are valid until its next step.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

struct arena;
struct err;
struct store;

/* ---- outcomes ------------------------------------------------------------------------------------------- */

/* Kill criteria, kept side by side: as bits, and in the order of their names. */
#define STORE_KILL_LABEL 1u
#define STORE_KILL_TOPK 2u
#define STORE_KILL_NUMERIC 4u
#define STORE_CRITERIA 3 /* criterion c has bit 1 << c: 0 label, 1 topk, 2 numeric */

enum outcome {
#define OUTCOME(id, ...) OUTCOME_##id,
#include "store/outcomes.def"
#undef OUTCOME
	OUTCOME_COUNT
};

enum outcome_class { OUTCOME_CLASS_NONE, OUTCOME_CLASS_COUNTED, OUTCOME_CLASS_APART };

const char *outcome_name(enum outcome o); /* "no-site"; "?" outside the table */
const char *outcome_help(enum outcome o);
bool outcome_parse(const char *name, enum outcome *out);
enum outcome_class outcome_class(enum outcome o);
unsigned outcome_kills(enum outcome o);  /* STORE_KILL_* */
const char *store_criterion_name(int c); /* "label" "topk" "numeric" */
bool store_criterion_parse(const char *name, unsigned *bit);

/* ---- the file ------------------------------------------------------------------------------------------- */

/* WRITE makes the file when it is absent; a second writer is refused; a damaged file is an error. READ works while somebody writes
 * and needs no write permission. WRITE brings a store of an older version up to date, READ reads a temporary copy of it (in
 * SQLITE_TMPDIR, TMPDIR or /var/tmp). A file that is no store, or one of a newer version, is an error and is not touched. */
enum store_mode { STORE_READ, STORE_WRITE };
bool store_open(const char *path, enum store_mode mode, struct store **out, struct err *e);
void store_close(struct store *s); /* NULL is allowed; rolls back an open transaction */
/* Whether somebody has it open for writing, as far as this machine knows. */
bool store_is_written(const char *path);
const char *store_path(const struct store *s);
/* A new store `out` of stores that are parts of one campaign: the same model, images and configuration but for devices and mutants. What
 * two of them say differently (a device's identity, the original's scores, a result) is ERR_USAGE that names it; nothing is left then. */
bool store_merge(const char *const *path, size_t n, const char *out, struct err *e);

/* The campaign's configuration as canonical text: lines "key: value" (config_text). The first call keeps it; later
 * calls (a resumed campaign) fail with ERR_USAGE naming the first key that differs and both values. The lines "model", "images" and
 * "labels" say where things lie and may differ. */
bool store_configure(struct store *s, const char *text, struct err *e);
bool store_configuration(struct store *s, struct arena *a, char **out, struct err *e); /* NULL when none was kept */

/* Small facts by name ("tool-version" and "created" are there from the start; "launches-run" ...). */
bool store_set(struct store *s, const char *name, const char *value, struct err *e);
bool store_get(struct store *s, struct arena *a, const char *name, char **out, struct err *e); /* NULL when absent */

/* Several puts as one transaction. Not nested. */
bool store_begin(struct store *s, struct err *e);
bool store_commit(struct store *s, struct err *e);
void store_rollback(struct store *s);

/* ---- what is written ------------------------------------------------------------------------------------ */

/* Putting a model, image or device again (a resumed campaign) is fine when it is the same, else ERR_USAGE says what differs. */
struct store_model {
	const char *name; /* "resnet20_cifar10" */
	const char *file;
	struct hash hash; /* of the file's bytes */
};
bool store_put_model(struct store *s, const struct store_model *m, struct err *e);

/* Any other file that results depend on. */
struct store_file {
	const char *what; /* "the model's side-car": one of each */
	const char *path; /* where it is, or would be */
	struct hash hash; /* zero: there is none */
};
bool store_put_file(struct store *s, const struct store_file *f, struct err *e);

struct store_image {
	int64_t index;    /* 0.. in the campaign's order */
	const char *name; /* "zebra.jpg": what images of several stores are paired by */
	struct hash hash; /* of the preprocessed input */
	int64_t label;    /* the true class, -1 when unknown */
	const char *path; /* where the file was, absolute; NULL when unknown */
	struct hash file_hash; /* of its bytes; zero when unknown */
};
bool store_put_image(struct store *s, const struct store_image *i, struct err *e);

struct store_device {
	const char *name, *backend;
	const char *identity; /* whatever may change the bits a kernel computes */
	const char *describe; /* for people */
	const char *error;    /* why it cannot be used; NULL: it works */
};
bool store_put_device(struct store *s, const struct store_device *d, struct err *e);

/* Put once each; a second put of an id must have the same operator and target (ERR_USAGE otherwise) and replaces the rest. */
struct store_mutant {
	const char *id;       /* OPERATOR/TARGET/ORDINAL or all/VARIANT */
	const char *op;       /* "loop.cond.lt-le" */
	const char *category; /* one of the six, or "" */
	const char *target;   /* lowered function, node, or "input" */
	const char *ordinal;  /* "12" or "all" */
	const char *variant;  /* "" when the operator has only one */
	int64_t sites;        /* how many places are changed at once; 0: no-site */
	const char *diff;     /* of the graph or the loop IR; NULL when there is none */
	const char *bounds;   /* foreseen before it ran: "in-range", "may-leave", "leaves" its buffers; NULL: not looked at */
	const char *bounds_text; /* the first access that does; NULL */
	const char *suppressed; /* why it is in no rate; NULL: it counts. Filled by the store, ignored by store_put_mutant */
};
bool store_put_mutant(struct store *s, const struct store_mutant *m, struct err *e);

/* ---- mutants that somebody decided not to count (store_suppress.c) --------------------------------------- */

/* A mutant whose id is `glob` or matches it (SQLite's GLOB: * ? [..], * also matches '/') keeps its results and is in no rate; the reason
 * is shown. The first suppression that matches gives it. */
struct store_suppression {
	const char *glob, *reason;
	const char *source; /* "campaign": of its file, put anew by every run; "command" */
	int64_t mutants;    /* that it matches; 0: stale */
};
/* A glob that is there takes the new reason. */
bool store_suppress(struct store *s, const char *glob, const char *reason, const char *source, struct err *e);
bool store_unsuppress(struct store *s, const char *glob, bool *found, struct err *e);
/* Forgets those of that source. */
bool store_unsuppress_all(struct store *s, const char *source, struct err *e);
/* After mutants were put: mutants put since the last change of a suppression do not know of it. */
bool store_apply_suppressions(struct store *s, struct err *e);
struct store_iter *store_suppressions(struct store *s); /* in the order they were made */
bool store_next_suppression(struct store_iter *it, struct store_suppression *out);

/* What reports show of the campaign's surroundings. Putting any of these again replaces it. */
#define STORE_MAX_THUMBNAIL (64 << 10)
bool store_put_thumbnail(struct store *s, int64_t image, const void *jpeg, size_t n, struct err *e);
bool store_has_thumbnail(struct store *s, int64_t image, bool *has, struct err *e);
bool store_put_class(struct store *s, int64_t index, const char *name, struct err *e);

struct store_layer {
	int64_t index;     /* 0.. in the order of the imported graph */
	const char *node;  /* its name */
	const char *op;    /* "Conv" */
	const char *shape; /* of its first output: "1x64x32x32" */
	double macs;       /* multiply-accumulates; 0: no such operator */
};
bool store_put_layer(struct store *s, const struct store_layer *l, struct err *e);

/* One launch of the original on one device. */
struct store_kernel {
	const char *device;
	int64_t launch;   /* 0.. in order */
	const char *name; /* of the lowered function: what loop mutants have as target */
	const char *node; /* it was made from; a layer, or one that a pass has added */
	double flops;     /* floating-point operations at most: every branch taken */
	double seconds;   /* by the device's own clock; negative: not measured */
};
bool store_put_kernel(struct store *s, const struct store_kernel *k, struct err *e);
bool store_has_times(struct store *s, const char *device, bool *has, struct err *e);

/* A mutant's change as a device's compiler sees it, by dialect. */
#define STORE_MAX_SOURCE (16 << 10) /* longer diffs end in a line that says so */
bool store_put_source(struct store *s, const char *mutant, const char *dialect, const char *diff, struct err *e);

/* What mutants are differences of: the text of the original, once per campaign. Put again: replaced. */
struct store_original {
	const char *kind; /* "graph", "loop", "input" */
	const char *name; /* of the lowered function; else the kind */
	const char *text;
};
bool store_put_original(struct store *s, const struct store_original *x, struct err *e);

/* What a mutation operator does and which fault it stands for, a line each. Put again: replaced. */
struct store_operator {
	const char *name, *summary, *imitates;
};
bool store_put_operator(struct store *s, const struct store_operator *o, struct err *e);

/* What one program answered on one image. */
struct store_answer {
	struct hash digest;   /* of the logits' bytes */
	int k;                /* how many of label and probability; 0: no answer */
	const int32_t *label; /* best first */
	const float *probability;
	/* NULL, 0: not kept. A mutant's logits need not be kept where its digest is the baseline's. */
	const float *logits;
	int64_t nlogits;
};
#define STORE_MAX_TOP 1000
#define STORE_MAX_LOGITS ((int64_t)1 << 24)

/* The original on one device and image. */
struct store_baseline {
	const char *device;
	int64_t image;
	struct store_answer answer;
	double noise_max_abs; /* the noise floor that `tolerated` is judged by */
	double time_s;
};
bool store_put_baseline(struct store *s, const struct store_baseline *b, struct err *e); /* replaces */

/* One mutant on one device and image. The metrics are those of value/value.h, against the baseline on the same device. */
struct store_image_result {
	int64_t image;
	enum outcome outcome;
	struct store_answer answer;
	double max_abs, max_rel, l2, cosine, nmse, max_ulp;
	int64_t nan_count, inf_count; /* in the mutant's logits */
	bool top1_equal;
	double jaccard, rbo, kendall, displacement, euclidean, manhattan, minkowski;
	double time_s;
	int64_t launches_run, launches_saved;
};

/* One mutant on one device: one finished job. */
struct store_result {
	const char *mutant; /* id */
	const char *device; /* name */
	/* The least it can be; what is stored is the highest of this and the images'. */
	enum outcome outcome;
	bool degenerate;     /* the same answer for every image */
	struct hash code;    /* identity of what ran; zero when nothing was built */
	const char *message; /* one line for people: NULL when there is nothing to say */
	const char *stage;   /* evidence of a crash or hang: "build" "load" "run"; NULL otherwise */
	const char *kernel;  /* launch that was running; NULL when unknown */
	int signal;
	const char *log; /* the compiler's; NULL */
	int64_t launches_run, launches_saved;
	double build_s, run_s;
	const char *twin; /* id of the mutant with the same code on this device, whose run this is; NULL: its own */
	int64_t runs;     /* how often it was run before it was believed; 0: decided without running */
	const char *fill; /* what lay where nobody wrote: "nan"; "nan, zero" when runs with both were compared; NULL: not run */
	struct store_image_result *image;
	size_t nimages;
	/* Filled by the store, ignored by store_put_result. */
	unsigned killed;        /* STORE_KILL_*: by the outcome or any image; 0 when the outcome is not COUNTED */
	int64_t images;         /* images that gave an answer */
	int64_t images_changed; /* ... with another first label than the original's */
};
/* Replaces an earlier result of the same mutant and device. The mutant, device and images must have been put. */
bool store_put_result(struct store *s, const struct store_result *r, struct err *e);
/* A tool error is stored, but is no result: it is tried again. */
bool store_has_result(struct store *s, const char *mutant, const char *device, bool *has, struct err *e);
/* A mutant whose code on this device is that of `from` has the same result, images included; its launches are saved ones. */
bool store_put_twin(struct store *s, const char *from, const char *mutant, const char *device, struct err *e);
/* The original still gave what it gave: the device's results up to now stand. */
bool store_confirm(struct store *s, const char *device, struct err *e);
/* *any: some of the device's results were not confirmed yet. */
bool store_unconfirmed(struct store *s, const char *device, bool *any, struct err *e);
/* It did not: those since the last store_confirm are taken back. *n: how many. */
bool store_withdraw(struct store *s, const char *device, int64_t *n, struct err *e);

/* ---- what is read --------------------------------------------------------------------------------------- */

/* Rows one at a time, in bounded memory:
 *
 *     struct store_iter *it = store_mutants(s, NULL);
 *     while (store_next_mutant(it, &m)) ...
 *     if (!store_iter_end(it, e)) return false;
 *
 * An iterator is never NULL; errors appear at its end. End every iterator before closing the store. */
struct store_iter;
bool store_iter_end(struct store_iter *it, struct err *e);

struct store_iter *store_models(struct store *s);
bool store_next_model(struct store_iter *it, struct store_model *out);
struct store_iter *store_images(struct store *s); /* by index */
bool store_next_image(struct store_iter *it, struct store_image *out);
struct store_iter *store_thumbnails(struct store *s); /* by image, of those that have one */
bool store_next_thumbnail(struct store_iter *it, int64_t *image, const void **jpeg, size_t *n);
struct store_iter *store_classes(struct store *s); /* by index */
bool store_next_class(struct store_iter *it, int64_t *index, const char **name);
struct store_iter *store_layers(struct store *s); /* in order */
bool store_next_layer(struct store_iter *it, struct store_layer *out);
struct store_iter *store_kernels(struct store *s, const char *device); /* in launch order; NULL: of all devices */
bool store_next_kernel(struct store_iter *it, struct store_kernel *out);
struct store_iter *store_sources(struct store *s, const char *mutant); /* by dialect */
bool store_next_source(struct store_iter *it, const char **dialect, const char **diff);
struct store_iter *store_devices(struct store *s); /* in the order they were put */
bool store_next_device(struct store_iter *it, struct store_device *out);
/* In the order they were put; op NULL: all. */
struct store_iter *store_mutants(struct store *s, const char *op);
bool store_next_mutant(struct store_iter *it, struct store_mutant *out);
bool store_get_mutant(struct store *s, struct arena *a, const char *id, struct store_mutant *out, bool *found, struct err *e);
struct store_iter *store_originals(struct store *s); /* in the order they were put; a store of an older version may have none */
bool store_next_original(struct store_iter *it, struct store_original *out);
struct store_iter *store_operators(struct store *s); /* by name */
bool store_next_operator(struct store_iter *it, struct store_operator *out);
/* device NULL: all; by device, then image. */
struct store_iter *store_baselines(struct store *s, const char *device);
bool store_next_baseline(struct store_iter *it, struct store_baseline *out);
/* Every mutant x device of the campaign, by mutant, then device: without a result the outcome is `not-run`. image is NULL.
 * mutant or device NULL: all. */
struct store_iter *store_results(struct store *s, const char *mutant, const char *device);
bool store_next_result(struct store_iter *it, struct store_result *out);
struct store_iter *store_image_results(struct store *s, const char *mutant, const char *device); /* by image */
struct store_iter *store_image_verdicts(struct store *s, const char *mutant, const char *device); /* the same without the logits */
bool store_next_image_result(struct store_iter *it, struct store_image_result *out);

/* Of every killed mutant and device, what each image gave, by mutant, device, image; once without an image when none was run. */
struct store_kill {
	const char *mutant, *device;
	int64_t mutant_number, device_number; /* tell where the next one begins */
	unsigned killed;                      /* STORE_KILL_* of the whole result */
	int64_t image;                        /* -1: none */
	enum outcome outcome;                 /* of the image */
};
struct store_iter *store_kills(struct store *s);
bool store_next_kill(struct store_iter *it, struct store_kill *out);

/* A mutant that two devices have a result for, where these are not alike: the outcomes or the kills differ, or the first label of
 * some image does whose first labels the originals agree on. By mutant, then devices. */
struct store_pair {
	const char *mutant;
	const char *device[2];
	enum outcome outcome[2];
	unsigned killed[2];
	int64_t labels_differ; /* of the images answered on both where the originals agree */
};
struct store_iter *store_unlike(struct store *s);
bool store_next_pair(struct store_iter *it, struct store_pair *out);
/* Images on which the first labels of two devices' originals differ, and of how many. */
struct store_original_pair {
	const char *device[2];
	int64_t labels_differ, images;
};
struct store_iter *store_original_pairs(struct store *s);
bool store_next_original_pair(struct store_iter *it, struct store_original_pair *out);

/* Counts of mutants by outcome: whole, or of one device, operator, category (NULL: any); and how many are killed. */
struct store_counts {
	int64_t outcome[OUTCOME_COUNT];
	int64_t rows;                   /* all of them */
	int64_t counted;                /* with a COUNTED outcome: what rates are of */
	int64_t killed[STORE_CRITERIA]; /* of the counted */
	int64_t degenerate;
	int64_t twins; /* that share the code and the run of another one */
	int64_t suppressed; /* rows of suppressed mutants; but for their launches they are in none of the other numbers */
	int64_t launches_run, launches_saved;
};
bool store_count(struct store *s, const char *device, const char *op, const char *category, struct store_counts *out,
		 struct err *e);

/* The images of one mutant on one device together: over those that gave an answer. */
struct store_summary {
	int64_t answers;
	double max_abs, max_rel, l2, max_ulp, cosine;                                /* the worst */
	double jaccard, rbo, kendall, displacement, euclidean, manhattan, minkowski; /* the means */
	int64_t nan_images;                                                          /* with NaN or Inf */
	int64_t labelled, right; /* images whose true class is known; of these the first label is it */
};
/* mutant NULL: the original (answers, labelled and right only). */
bool store_summarise(struct store *s, const char *mutant, const char *device, struct store_summary *out, struct err *e);
