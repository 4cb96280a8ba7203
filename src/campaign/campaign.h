/* campaign/campaign.h: the whole story - model, images, devices, mutants; run, judge, keep
 *
 * The only room that knows all the others below it. Commands call these functions; nothing here prints but through log.h
 * and the progress hook.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compile/compile.h"
#include "config/config.h"
#include "image/image.h"
#include "mutate/mutate.h"
#include "select/select.h"
#include "store/store.h"
#include "worker/worker.h"

struct arena;
struct err;

/* ---- a model and the facts about it (camp_model.c) ---- */

struct camp_model {
	const char *file, *name;          /* name: the file's without suffix */
	struct hash hash;                 /* of the file */
	struct hash weights;              /* of all constants, wherever they were read from */
	const char *sidecar;              /* where it is, or would be */
	const char *names_file;           /* of the classes; NULL: none */
	struct hash sidecar_hash, names_hash; /* of the files; zero: there is none */
	struct gir_graph *graph;          /* imported and inferred */
	size_t output;                    /* which graph output holds the scores */
	bool probabilities;               /* the output is already a distribution */
	int64_t classes;                  /* elements of that output for one image, the first of the batch */
	struct preprocess preprocess;     /* fitted to the input */
	const char *no_pictures;          /* why no picture fits the input (.npy may); NULL: pictures do */
	bool assumed_preprocess;          /* neither given nor in a side-car */
	int64_t label_offset;             /* class index = label in labels.csv + this */
	const char *const *class_name;    /* may be NULL */
	size_t nclass_names;
};
struct camp_model_options {
	const char *preprocess, *output;  /* override the side-car's; may be NULL */
	bool scores_given;
	enum config_scores scores;
	int batch;                        /* 0: 1 */
};
bool camp_model_load(struct arena *a, const char *file, const struct camp_model_options *o, struct camp_model **out, struct err *e);
const char *camp_class_name(const struct camp_model *m, int64_t index); /* NULL when unknown */

bool camp_file_hash(const char *path, struct hash *out, struct err *e); /* of its bytes */

/* ---- devices (camp_devices.c) ---- */

/* Built-in names (host-gcc, host-clang) and the configuration's definitions. An unknown name is ERR_USAGE and lists the known. */
bool camp_device(struct arena *a, const char *name, const struct config_campaign *c, struct pool_device *out, struct err *e);
extern const char *const camp_builtin_devices[]; /* NULL-terminated */

/* ---- inputs (camp_inputs.c) ---- */

struct camp_input {
	const char *path, *name;          /* name is unique among the inputs */
	struct tensor *tensor;            /* preprocessed, as the model wants it */
	struct hash hash, file_hash;      /* of the tensor; of the file's bytes */
	struct hash bytes;                /* of the tensor's bytes alone */
	int64_t label;                    /* class index of the model, -1 unknown */
};
/* paths: images, folders, .npy. Each image is decoded and preprocessed once. labels: a CSV, or NULL for labels.csv beside them. */
bool camp_inputs(struct arena *a, const struct camp_model *m, const char *const *path, size_t npaths, const char *labels,
                 struct camp_input **out, size_t *n, struct err *e);
/* The same images with the preprocessing changed by an input mutant's edit. */
bool camp_inputs_edited(struct arena *a, const struct camp_model *m, const struct camp_input *in, size_t n, const char *edit,
                        struct tensor ***out, struct err *e);

/* ---- programs (camp_program.c) ---- */

struct camp_program {
	struct comp_options options;
	struct comp_program *program;     /* of the original */
	struct bundle *bundle;
	struct hash identity;             /* of the bundle: all that decides its results */
	const char *dialect;
	struct mut_subject subject;
	double lower_s, emit_s;           /* spent on its mutants so far: to loop IR, from there to source */
};
/* What a program is made for: the functions by class, lanes and precision; the text by dialect. */
struct camp_target {
	enum device_class cls;
	int lanes;                        /* of vectors at level 3; 1: one element at a time */
	uint32_t max_group;               /* accelerators: work-items of a group, bytes that it shares */
	uint64_t local_memory;
	enum dtype precision;             /* F32, F16, BF16 */
	const char *dialect;
	struct fill fill;                 /* of local buffers */
};
/* What a device is, for people, with the type of the network's tensors on it where that is not f32. */
const char *camp_describe(struct arena *a, const struct config_campaign *c, const char *device, const struct device_caps *caps);
#define CAMP_LOCAL_MEMORY (48 << 10) /* of more, kernels make no use */
#define CAMP_TARGET_HOST ((struct camp_target){.cls = DEVICE_CPU, .lanes = 16, .precision = DT_F32, .dialect = "c"})

/* One target per device of c; those of devices that do not work are the host's. Devices of one class share its schedule, with the
 * least of their lanes; a mix of classes the portable schedule, one plain nest per output element - unless c->schedule says that
 * each class has its own (then loop mutants of different classes are different mutants), or that all are portable. An error names
 * a device that cannot compute with its precision. */
bool camp_targets(const struct pool *p, const struct config_campaign *c, struct camp_target *out, struct err *e);
struct fill camp_fill(const struct config_campaign *c);
bool camp_same_functions(const struct camp_target *a, const struct camp_target *b);
/* What a device is and which functions it runs: results under another schedule are others. */
const char *camp_identity(struct arena *a, const struct device_caps *caps, const struct camp_target *t, int opt_level);
/* How much is optimised: the level, passes of it that are left out, and passes that run only when they are named. */
struct camp_level {
	int opt_level;
	const char *const *disabled;
	size_t ndisabled;
	const char *const *enabled;
	size_t nenabled;
};
bool camp_program_build(struct arena *a, const struct camp_model *m, const struct camp_level *l, const struct camp_target *t,
                        struct camp_program *out, struct err *e);
/* The same without the kernels' text (out->bundle is NULL): enough to list mutants, and to change and print loops and graphs. */
bool camp_program_lower(struct arena *a, const struct camp_model *m, const struct camp_level *l, const struct camp_target *t,
                        struct camp_program *out, struct err *e);
/* The same functions in another dialect, or in the first; p and out may be the same. */
bool camp_program_render(struct arena *a, const struct camp_program *p, const char *dialect, struct camp_program *out, struct err *e);
/* A mutant's program. *bundle is NULL for an input mutant. `same` says that it is the original's, text and wiring. */
bool camp_mutate(struct arena *a, const struct camp_model *m, struct camp_program *p, const struct mutant *mutant, struct bundle **bundle,
                 struct comp_program **program, bool *same, struct err *e);
/* The difference in graph or loop IR, as text (unified diffs, one per changed function). */
bool camp_ir_diff(struct arena *a, struct camp_program *p, const struct mutant *m, char **out, struct err *e);
/* What is known of a mutant's accesses before it runs (lir_bounds): of loop mutants, whose changed functions alone are looked at. */
struct camp_prediction {
	bool known;                       /* false: not a loop mutant, or one without a site */
	struct lir_bounds bounds;         /* of the function with the worst kind */
	const char *kernel;               /* its name; NULL when all are in range */
};
bool camp_predict(struct arena *a, struct camp_program *p, const struct mutant *m, struct camp_prediction *out, struct err *e);
/* "'conv1': a read of 'x' out of bounds: ..."; NULL when there is nothing to say. */
const char *camp_prediction_text(struct arena *a, const struct camp_prediction *p);
/* Specs of the configuration's mutation list, presets expanded. */
bool camp_specs(struct arena *a, const struct config_mutation *m, size_t n, struct mut_spec **out, size_t *count, struct err *e);

/* ---- judging one image (camp_judge.c) ---- */

/* logits of the original and the mutant (n f32 values each); noise: largest difference that is not a fault. Fills answer (with label
 * and probability in `a`), the metrics and the outcome. */
void camp_judge(struct arena *a, const struct camp_model *m, const float *original, const float *mutant, int64_t n, int k, double noise,
                struct store_image_result *out);
void camp_answer(struct arena *a, const struct camp_model *m, const float *scores, int64_t n, int k, struct store_answer *out);
/* The selected output of an image as f32 scores. */
const float *camp_scores(struct arena *a, const struct camp_model *m, const struct tensor *outputs);

/* ---- tensor by tensor (camp_diff.c, camp_diff_alone.c) ---- */

struct camp_diff_side {
	size_t device;                    /* of the pool */
	struct camp_target target;
	const char *mutant;               /* id; NULL: the original */
};
struct camp_diff_options {
	struct camp_level level;
	double tolerance;                 /* of max_abs / scale; negative: what the coarser precision of the two deserves */
	bool alone;                       /* also run each of B's kernels alone on A's tensors: the error that it adds itself */
};
enum camp_diff_state {
	DIFF_EQUAL,                       /* bit for bit */
	DIFF_WITHIN,                      /* the tolerance */
	DIFF_BAD,                         /* beyond it, or a NaN or Inf on one side only */
	DIFF_SHAPE,                       /* other dimensions: not compared */
	DIFF_ONLY_A, DIFF_ONLY_B,         /* the other program has no tensor of that name */
};
struct camp_diff_row {
	const char *tensor;               /* ONNX name, or NODE:temporary */
	const char *kernel, *op;          /* that writes it, and the operators it computes ("Conv+Relu"); of B where both have it */
	bool mutated;                     /* by a kernel that the mutation changed or added */
	enum camp_diff_state state;
	const struct tensor *a, *b;       /* dense, in the logical layout; a temporary as it is stored; NULL where there is none */
	struct distance d;                /* of EQUAL, WITHIN and BAD */
	double relative;                  /* d.max_abs / d.scale; 0 when equal, infinite against zeros or when a NaN or Inf differs */
	bool has_alone;
	struct distance alone;            /* B's kernel fed with A's tensors */
	double alone_relative;
};
struct camp_diff {
	struct camp_diff_row *row;        /* in topological order */
	size_t n;
	double tolerance;
	const struct camp_diff_row *first_different, *first_bad, *first_alone; /* NULL: none; shapes and missing ones are no first */
	struct store_answer answer[2];
	const char *overrun[2];           /* what a side did to memory outside its buffers, for people; NULL: nothing */
};
/* Runs both sides on one input and compares every tensor that a kernel writes. What does not run to the end is ERR_DEVICE and says
 * which side, and in which kernel it ended. Everything lives in `a`. */
bool camp_diff(struct arena *a, struct pool *pool, const struct camp_model *m, const struct camp_diff_side side[2], const struct camp_diff_options *o,
               const struct camp_input *in, struct camp_diff *out, struct err *e);
const char *camp_diff_state_name(enum camp_diff_state s); /* "equal" "within" "bad" "shape" "only-a" "only-b" */

/* ---- running (camp_run.c) ---- */

enum camp_device_phase {
	CAMP_DEVICE_WAITING,
	CAMP_DEVICE_BUILDING,             /* kernels; nothing runs */
	CAMP_DEVICE_WORKING,
	CAMP_DEVICE_DONE,
	CAMP_DEVICE_LOST,
	CAMP_DEVICE_SET_ASIDE,
	CAMP_DEVICE_INTERRUPTED,          /* `status` only: nobody runs the campaign */
};
const char *camp_device_phase_name(enum camp_device_phase p); /* "set aside" */
struct camp_device_progress {
	const char *name;
	enum camp_device_phase phase;
	uint64_t done, of;                /* mutants */
	uint32_t kernels, built;          /* of the programs that are waiting for kernels */
	const char *current;              /* id of the mutant that runs, "the original"; NULL or "": none */
	const char *why;                  /* it was lost or set aside */
};
struct camp_progress {
	uint64_t jobs, done;              /* mutant x device */
	uint64_t resumed;                 /* of jobs: were in the store already */
	uint64_t by_outcome[OUTCOME_COUNT];
	double elapsed_s;
	const char *phase;                /* "running the original", "mutants", ... */
	uint64_t phase_done, phase_of;    /* of phases before the mutants; 0: not known */
	double rate;                      /* mutants x devices a second, of the last minute; negative: not known yet */
	double left_s;                    /* until the end of the phase; negative: not known yet */
	const struct camp_device_progress *device;
	size_t ndevices;
};
/* What a store says of the campaign that writes it, or wrote it (camp_progress.c); in `a`. */
struct camp_status {
	bool known;                       /* false: nothing (an older version's store) */
	const char *state;                /* "running" "finished" "stopped" "out of time" "failed", as the writer left it */
	const char *phase, *host;
	double pid, updated;              /* seconds since 1970 */
	double elapsed_s, phase_done, phase_of, rate, left_s;
	struct camp_device_progress *device; /* without done and of */
	size_t ndevices, room;
};
bool camp_status_read(struct store *s, struct arena *a, struct camp_status *out, struct err *e);
struct camp_hooks {
	void (*progress)(const struct camp_progress *p, void *user); /* may be NULL; twenty times a second at most */
	bool (*stop)(void *user);         /* true: end cleanly now (Ctrl-C); what is stored stays */
	void *user;
};
/* Where the time of one run of a campaign went. Seconds; those of workers are summed over them, and what runs at the same time counts
 * each time. */
#define CAMP_MAX_PHASES 16
struct camp_times {
	struct camp_phase_time {
		const char *name;
		double seconds;
	} phase[CAMP_MAX_PHASES];         /* in the order in which they ended; together the whole run */
	size_t nphases;
	double lower_s, emit_s;           /* this process: mutants to loop IR, what is proved of it included; loop IR to source */
	double compile_s;                 /* builders, while they were building */
	double run_s;                     /* runners, while they had a job: starting children, the original, comparing, hashing ... */
	double kernels_s;                 /* ... of it the mutants' and originals' launches themselves */
	double store_s;                   /* this process: putting results into the store */
	double processor_s;               /* processor time of all processes here */
	double idle_s;                    /* cores x elapsed, less that */
	int cores;
};
struct camp_summary {
	uint64_t mutants, jobs, done, resumed;
	uint64_t with_site;               /* of the mutants */
	uint64_t launches_run, launches_saved; /* by the mutants that were stored */
	size_t devices, images;
	struct camp_times times;
	struct pool_stats pool;
	double elapsed_s;
	bool stopped;
	bool out_of_time;                 /* stopped by max_time_s */
	double killed_percent;            /* by fail_under_criterion, over all devices; of counted outcomes */
	bool below;                       /* under fail-under */
	char lost[80];                    /* the first device that was not there, was lost or was set aside; "": none */
	size_t nlost;
};
struct camp_run_options {
	const char *only_mutant;          /* --mutant: this id alone */
	uint32_t shard, shards;           /* every shards-th mutant of the plan, from the shard-th (1 ..) on; 0 0: all */
	bool no_reuse;                    /* every mutant's whole program is compiled for it alone, and run */
	double max_time_s;                /* end cleanly after so long; 0: no limit */
	bool estimate;                    /* camp_list: what it will cost */
	const char *history;              /* ... from what this store holds, if it is there */
};
/* What a plan costs. Times are of this machine as busy as it is now. */
struct camp_cost {
	uint64_t jobs, done;              /* mutant x device; of these done already */
	double low_s, high_s;             /* devices at the same time and builds beside runs; or all one after the other */
	uint64_t bytes;                   /* of the store, at most */
	struct camp_device_cost {
		const char *name;
		bool known;                   /* false: it does not work, or nothing could be tried */
		uint64_t of;                  /* mutants that this is based on */
		bool history;                 /* of the store; else tried now, on one image */
		bool cached;                  /* their kernels were in the cache already */
		double build_s, image_s;      /* of a mutant, and of a mutant on an image; by history image_s is of a whole mutant */
		double original_s;            /* of the original on an image; 0: by history */
	} *device;                        /* ndevices */
};
struct camp_plan {
	const struct mutant *mutant;
	size_t nmutants, without_site, ndevices, nimages;
	struct camp_cost cost;
};
/* What camp_run would run, without a store; in `a`. Devices are opened, since the schedule depends on them. */
bool camp_list(struct arena *a, const struct config_campaign *c, const struct camp_run_options *o, struct camp_plan *out, struct err *e);
/* Plans, runs, judges, stores. Resumes what the store holds. */
bool camp_run(const struct config_campaign *c, const char *store_path, const struct camp_run_options *o, const struct camp_hooks *h,
              struct camp_summary *out, struct err *e);

/* ---- the acceptance set (camp_select.c, camp_check.c) ---- */

/* Writes the images of `r` that were selected from s, what is expected of them, and the manifest, which comes last, to the folder
 * dir, which must be new or empty. model: its file now; NULL: where it was. The model and every image must be what the campaign had. */
bool camp_set_write(struct store *s, const struct select_options *o, const struct select_result *r, const char *model, const char *dir,
                    struct err *e);

struct camp_check_image {
	const struct select_image *image;
	const struct select_expected *expected;
	struct store_image_result result; /* against what is expected; of a run that ended: the outcome alone */
	double tolerance;
	bool pass;
};
struct camp_check {
	struct select_set set;
	unsigned criteria;                /* that it was judged by */
	const char *device, *identity;    /* that was checked */
	const struct select_device *against; /* whose results are expected */
	bool same_identity;               /* ... and which this is */
	const char *ended;                /* the original ended before the last image: how; NULL */
	struct camp_check_image *image;   /* set.nimages */
	size_t nfailed, ndrifted;         /* drifted: passed, and not bitwise what was expected */
	double worst;                     /* largest difference of a score among those that passed */
};
struct camp_check_options {
	const char *model;                /* NULL: where it was when the set was made */
	unsigned criteria;                /* 0: the set's */
	double tolerance;                 /* on scores, in place of the set's; negative: the set's */
};
/* Reads the set in folder dir, makes sure that model and images are those it was made of, and loads the model. */
bool camp_check_load(struct arena *a, const char *dir, const struct camp_check_options *o, struct camp_check *out, struct camp_model **model,
                     struct camp_input **input, struct err *e);
/* Runs it on the device 0 of the pool, for which t is the target. False only where it cannot be run: a device that fails is a result. */
bool camp_check_run(struct arena *a, struct pool *p, const char *device, const struct camp_target *t, const struct camp_model *model,
                    const struct camp_input *input, const char *dir, const struct camp_check_options *o, struct camp_check *out, struct err *e);

/* ---- a program that stands alone (camp_repro.c) ---- */

struct camp_repro_options {
	const char *mutant;               /* an id of the store, or "original" with `against` */
	const char *device;
	const char *against;              /* the same program on two devices; NULL: the mutant against the original */
	const char *image;                /* NULL: the first that shows the verdict */
	const char *model;                /* NULL: where it was */
	const char *dir;
	bool whole;                       /* the whole program, not only the launch whose result differs first */
	const struct config_campaign *config; /* definitions of devices */
};
struct camp_repro {
	const char *image, *launch;       /* launch NULL: the whole program */
	const char *ended;                /* how the mutant ended; NULL: by itself */
	bool as_stored;                   /* it gave what the store has */
};
/* Runs it once more and writes sources, inputs, results and a host program to the folder. */
bool camp_reproduce(struct arena *a, struct store *s, const struct camp_repro_options *o, struct camp_repro *out, struct err *e);
