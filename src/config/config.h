/* config/config.h: campaigns, devices and facts about a model, as people write them in YAML
 *
 * Errors name file, line and key: "campaign.yaml:7: 'opt-levle' is not a key here (did you mean 'opt-level'?)". Files over
 * 1 MiB, nested deeper than 16, with aliases or with more than one document are refused. Everything lives in the arena.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct err;
struct str;

/* ---- devices -------------------------------------------------------------------------------------------- */

struct config_device {
	char *name;
	char *backend; /* "cpu" when not given */
	char *select;  /* which of several devices of the backend; NULL: the first */
	char **worker; /* argv; NULL: the one beside this program */
	size_t nworker;
	char **builder; /* argv of the builders' worker; NULL: the same */
	size_t nbuilder;
	char *precision; /* "f32", "f16", "bf16"; NULL: f32 */
	char *denormals; /* "keep", "flush"; NULL: keep */
	char *cc;      /* NULL: the backend's default */
	char **cflags; /* given, possibly empty: replaces the default; NULL: default */
	size_t ncflags;
	char **env; /* "NAME=value", for the worker */
	size_t nenv;
	int threads;           /* 0: number of cores */
	int builders, runners; /* processes; 0: default */
	int build_together;    /* kernels in one program at most; 0: as the device gains, 1: each alone */
	int count;             /* another name for runners: one of them is 0 */
	int start_timeout;     /* seconds; 0: default */
	int reconnect;         /* seconds */
	char *blob_cache_text; /* as written; NULL: not */
	uint64_t blob_cache;   /* bytes */
};

/* ---- mutations ------------------------------------------------------------------------------------------ */

enum config_sites { SITES_EACH, SITES_ALL, SITES_RANGE, SITES_SAMPLE };

/* Either preset or op is set. */
struct config_mutation {
	const char *place; /* FILE:LINE of the entry, for messages; NULL: not from a file */
	char *preset;
	char *op;         /* operator: glob over operator names */
	char *variant;    /* glob over variants; NULL: every one (`sites: all`: the first) */
	char *target;     /* glob over node or kernel names; NULL: any */
	char *sites_text; /* as written; NULL when not given: a preset's own choice, `each` for an operator */
	enum config_sites sites;
	int64_t first, last; /* RANGE: 1-based, inclusive */
	int64_t sample;      /* SAMPLE: how many at most; 0: as error says */
	double sample_error; /* SAMPLE: as many as tell a rate within +- this (0.02) at 95 % */
};

/* Mutants that are run and shown and in no rate. */
struct config_suppression {
	char *mutant; /* glob over ids */
	char *reason;
};

/* "each", "all", "3", "1-5", "sample 50", "sample 2%". */
bool config_sites_parse(const char *text, struct config_mutation *m, struct err *e);
/* "nan", "zero", "random(7)", "stale": *kind is the number of the word in this list, *seed that of random. NULL is nan. */
bool config_fill_parse(const char *text, unsigned *kind, uint64_t *seed, struct err *e);
/* "4096", "512M", "2G": bytes; units are powers of 1024. */
bool config_bytes_parse(const char *text, uint64_t *out, struct err *e);

/* ---- a campaign ----------------------------------------------------------------------------------------- */

enum config_schedule { SCHEDULE_AUTO, SCHEDULE_PORTABLE, SCHEDULE_NATIVE };

enum config_scores { SCORES_AUTO, SCORES_LOGITS, SCORES_PROBABILITIES };

/* Criteria, as bits; the same values as the store's. */
#define CONFIG_LABEL 1u
#define CONFIG_TOPK 2u
#define CONFIG_NUMERIC 4u

/* Start from config_campaign_default when no file is read (the command line fills it). Paths are as written: resolve them
 * with config_path. Keys of the file in comments where the name differs. */
struct config_campaign {
	char *file;     /* the YAML file; NULL: none */
	char *model;    /* required */
	char *images;   /* required: a folder, an image or a .npy */
	char *labels;   /* CSV; NULL: labels.csv beside the images, if any */
	char **devices; /* required, at least one, all distinct */
	size_t ndevices;
	struct config_device *definitions; /* device-definitions */
	size_t ndefinitions;
	int opt_level;       /* opt-level: 0..3; default 2 */
	enum config_schedule schedule; /* default auto: the devices' class's, portable when they are of several */
	char **disable_pass; /* disable-pass */
	size_t ndisable_pass;
	char **enable_pass;  /* enable-pass */
	size_t nenable_pass;
	struct config_mutation *mutations; /* required, at least one */
	size_t nmutations;
	struct config_suppression *suppress;
	size_t nsuppress;
	unsigned criteria; /* default: all three. Reports show all; the first listed is what fail-under is about */
	int batch;         /* default 1 */
	int threads;       /* default 0: number of cores */
	uint64_t seed;     /* default 1 */
	int top_k;         /* top-k: default 5 */
	char *preprocess;  /* preset name or resize=...,crop=...; NULL: the side-car's */
	char *output;      /* name of the model's output; NULL: the side-car's, else the only one */
	bool scores_given;
	enum config_scores scores;
	char *store;                /* NULL: the caller's choice */
	double time_limit_factor;   /* time-limit-factor: times the original's time; default 10 */
	double time_limit_min;      /* time-limit-min: seconds; default 2 */
	char *fill;                 /* what a mutant finds where nobody wrote: see config_fill_parse; NULL: nan */
	double fail_under;          /* fail-under: per cent killed by the first criterion; negative: not given */
	char *fail_under_criterion; /* the criterion that fail-under is about: the first that `criteria` lists */
	uint64_t memory;            /* bytes of the original's tensors that all runners keep together; "512M" "1G"; default 0: see camp_plan.c */
	uint64_t mutant_memory;     /* mutant-memory: bytes a mutant may allocate beyond its buffers; default 0: the pool's */
	int64_t image_sample;       /* sample: use only so many images, seeded; 0: all */
	double tolerance;           /* absolute, on logits: used where noise cannot be measured; default 0 */
	int controls;               /* run the original again after every so many mutants; default 50; 0: never */
	int control_mutants;        /* control-mutants: changes without effect that measure the noise too; default 6 */
	int repeat;                 /* runs of the original that measure the noise; default 3 */
	bool sanitize;              /* check accesses of mutants; default false */
	bool keep_logits;           /* logits: keep those of mutants that changed; default true */
};

void config_campaign_default(struct config_campaign *c);
bool config_campaign_read(struct arena *a, const char *path, struct config_campaign *out, struct err *e);
/* What both ways of making a campaign must satisfy (ranges, names, duplicates). The reader has called it. */
bool config_campaign_check(const struct config_campaign *c, struct err *e);
/* One line "key: value" for each key that decides results, in a fixed order, defaults written out. Not in it: store, threads,
 * criteria, fail-under, suppress, memory, mutant-memory, a device's threads, builders and runners. */
char *config_text(struct arena *a, const struct config_campaign *c);
/* Relative paths are relative to the campaign file's folder. NULL gives NULL. */
char *config_path(struct arena *a, const struct config_campaign *c, const char *path);
/* The definition of that name, else NULL (then it may be built in). */
const struct config_device *config_device_find(const struct config_campaign *c, const char *name);

/* A file of definitions alone: {device-definitions: [...]}. */
bool config_devices_read(struct arena *a, const char *path, struct config_device **out, size_t *n, struct err *e);

/* The reference of every key of these files, as Markdown tables. False: a key is not described (ERR_BAD_IR; a test asks). */
bool config_keys_markdown(struct str *s, struct err *e);

/* ---- facts about a model -------------------------------------------------------------------------------- */

/* MODEL.yaml beside MODEL.onnx. NULL or zero: not given. */
struct config_sidecar {
	char *preprocess;     /* a preset, or resize=256,crop=224,mean=R:G:B,std=R:G:B,... */
	int64_t label_offset; /* label-offset: class index = label in labels.csv + this */
	char *labels;         /* file with one class name per line; relative to the side-car's folder, already resolved */
	char *output;
	bool scores_given;
	enum config_scores scores;
};
bool config_sidecar_read(struct arena *a, const char *path, struct config_sidecar *out, struct err *e);
/* The side-car of a model file, NULL when there is none: net.onnx -> net.yaml. */
char *config_sidecar_path(struct arena *a, const char *model);
