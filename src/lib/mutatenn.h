/* mutatenn.h: the library - import a model, classify, list mutants, run a campaign, read its verdicts
 *
 * What this header declares is what libmutatenn.so exports; within one soname its meaning stays. Handles are opaque. Structs that the
 * library hands out are valid during the call that hands them out and may grow at their end; the caller makes none of them but
 * mutatenn_error and mutatenn_top, which stay as they are. Text is UTF-8 and NUL-terminated.
 *
 * Errors. Functions that can fail take a `struct mutatenn_error *` last, which may be NULL, and return false or NULL. The text is one
 * line for people (a compiler's log may follow), lower case, with names in quotes: the same that the command line prints.
 *
 * Threads. The library has no locks. A handle belongs to one thread at a time, and a process runs one campaign or one classification
 * at a time: workers are child processes, and standard error, where warnings go, is the process's. Callbacks come on the calling thread
 * before the call returns, and must not call back into the library with the same handle.
 *
 * Generated code runs in worker processes only: $MUTATENN_WORKER, else `mutatenn-worker` beside the executable or on PATH.
 */
#ifndef MUTATENN_H
#define MUTATENN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined __GNUC__
#define MUTATENN_API __attribute__((visibility("default")))
#else
#define MUTATENN_API
#endif

enum mutatenn_code {
	MUTATENN_OK,
	MUTATENN_MISUSE,      /* the caller's mistake: a name that does not exist, a value out of range */
	MUTATENN_IO,          /* a file, a disk, the network */
	MUTATENN_PARSE,       /* a file that is not what it should be */
	MUTATENN_UNSUPPORTED, /* it is, but we cannot do it */
	MUTATENN_DEVICE,      /* a device or a compiler failed */
	MUTATENN_TIMEOUT,
	MUTATENN_STORE,       /* a store that is damaged, locked or of another version */
	MUTATENN_CANCELLED,   /* a callback said so; a campaign's store goes on from there */
	MUTATENN_INTERNAL     /* a fault of ours */
};

struct mutatenn_error {
	enum mutatenn_code code;
	char text[2048]; /* cut off there; "" when nothing failed */
};

/* "0.1.0", of the library that runs. */
MUTATENN_API const char *mutatenn_version(void);
/* Warnings and notes on standard error: on (the default) or off. */
MUTATENN_API void mutatenn_set_verbose(bool on);
/* Of what a function of this header says that the caller frees. NULL is allowed. */
MUTATENN_API void mutatenn_free(void *p);

/* ---- a model and what it answers ---- */

struct mutatenn_model;

/* Imports an ONNX file, with the facts of MODEL.yaml beside it. */
MUTATENN_API struct mutatenn_model *mutatenn_model_open(const char *file, struct mutatenn_error *e);
MUTATENN_API void mutatenn_model_close(struct mutatenn_model *m); /* NULL is allowed */
MUTATENN_API int64_t mutatenn_model_classes(const struct mutatenn_model *m);
/* Owned by the model; NULL where no name is known. */
MUTATENN_API const char *mutatenn_model_class_name(const struct mutatenn_model *m, int64_t index);

struct mutatenn_top {
	int64_t index;
	double probability;
	double score;
};
/* Runs the unmutated model on a picture or .npy tensor, on a built-in device ("host-gcc"). Fills best first top[0..k) and sets *n, which is
 * k or the number of classes, if that is less, and 0 on failure; n must not be NULL. */
MUTATENN_API bool mutatenn_infer(struct mutatenn_model *m, const char *device, int opt_level, const char *input, struct mutatenn_top *top, size_t k,
				 size_t *n, struct mutatenn_error *e);

/* ---- its mutants ---- */

struct mutatenn_mutant {
	const char *id, *op, *category, *summary;
	uint64_t sites; /* how many places it changes; 0: the operator has none in this model */
};
/* Lists mutants of the schedule of processors. what: a preset or a glob over operators. sites: "each", "all", "3", "1-5", "sample 50"; NULL: a preset's own,
 * each. `each` returns false to stop, which is no error. */
MUTATENN_API bool mutatenn_mutants(struct mutatenn_model *m, int opt_level, const char *what, const char *sites, uint64_t seed,
				   bool (*each)(const struct mutatenn_mutant *mutant, void *user), void *user, struct mutatenn_error *e);
/* What a mutant changes in the graph or loop IR, as a unified diff. The caller frees it with mutatenn_free. */
MUTATENN_API char *mutatenn_show(struct mutatenn_model *m, int opt_level, const char *mutant, struct mutatenn_error *e);

/* ---- a campaign ---- */

struct mutatenn_campaign;

/* Reads a campaign file. Keys: docs/configuration.md. */
MUTATENN_API struct mutatenn_campaign *mutatenn_campaign_read(const char *file, struct mutatenn_error *e);
/* One without a file: the preset `mutatenn-paper` on host-gcc, to be changed by mutatenn_campaign_set. */
MUTATENN_API struct mutatenn_campaign *mutatenn_campaign_new(const char *model, const char *images);
MUTATENN_API void mutatenn_campaign_close(struct mutatenn_campaign *c); /* NULL is allowed */
/* key: devices, mutations (both comma-separated), sites (of the mutations there are: setting those forgets it), opt-level, seed, threads,
 * image-sample, labels, max-time (seconds). */
MUTATENN_API bool mutatenn_campaign_set(struct mutatenn_campaign *c, const char *key, const char *value, struct mutatenn_error *e);

struct mutatenn_progress {
	uint64_t jobs, done, resumed; /* mutants x devices; resumed: of those done, found in the store */
	double elapsed_s;
	const char *phase;
};
/* Runs it, or what the store lacks of it. progress may be NULL; it returns false to end cleanly: MUTATENN_CANCELLED, and the same call goes on
 * from there later. max-time ends it in the same way: MUTATENN_TIMEOUT. A device that was lost is MUTATENN_DEVICE, after the others are done. */
MUTATENN_API bool mutatenn_campaign_run(struct mutatenn_campaign *c, const char *store, bool (*progress)(const struct mutatenn_progress *p, void *user),
					void *user, struct mutatenn_error *e);

/* ---- its verdicts ---- */

struct mutatenn_store;

/* Of a campaign that is finished or under way: reading disturbs nobody. */
MUTATENN_API struct mutatenn_store *mutatenn_store_open(const char *file, struct mutatenn_error *e);
MUTATENN_API void mutatenn_store_close(struct mutatenn_store *s); /* NULL is allowed */

struct mutatenn_verdict {
	const char *mutant, *op, *category, *device;
	const char *outcome;                          /* "identical", "misclassified" ...: docs/metrics.md */
	bool counted;                                 /* is it evidence, in a rate? */
	bool killed_label, killed_topk, killed_numeric;
	int64_t images, images_changed;               /* that gave an answer; with another first label than the original's */
	const char *message;                          /* one line; NULL: nothing to say */
};
/* Every mutant on every device, one that was not run as "not-run". `each` returns false to stop, which is no error. */
MUTATENN_API bool mutatenn_verdicts(struct mutatenn_store *s, bool (*each)(const struct mutatenn_verdict *v, void *user), void *user,
				    struct mutatenn_error *e);

struct mutatenn_rate {
	int64_t killed, counted;
	double percent, low, high; /* 95 % Wilson interval, in per cent; nothing counted: 0 to 100 */
};
/* criterion: "label", "topk" or "numeric"; device NULL: all of them. */
MUTATENN_API bool mutatenn_rate(struct mutatenn_store *s, const char *criterion, const char *device, void (*take)(const struct mutatenn_rate *r, void *user),
				void *user, struct mutatenn_error *e);

#ifdef __cplusplus
}
#endif
#endif
