/* worker/worker.h: run bundles in worker processes; parent side, one thread
 *
 * A pool owns the worker processes of every device of a campaign: builders compile kernels, runners run programs. The
 * parent never executes generated code. The death of a worker at any point is an outcome, never an error: the mutant that
 * was running is blamed, the worker replaced, the rest goes on. No call waits without limit.
 *
 * A job is a bundle and the inputs (images) to run it on. The pool compiles what kernels are not yet built for that device
 * (each distinct kernel once, in parallel, cached on disk), then hands the program to a runner of the device.
 *
 * Content-addressed execution. Every tensor has a key: constants and inputs the hash of their bytes, the output of a launch
 * the hash of (code of the kernel, the keys of its inputs, what it finds where nobody wrote, output number). A runner that has run a baseline keeps its
 * tensors by key, per input. For a later job with that baseline, a launch whose output key is known is not run; after a
 * launch that had to run, its output is compared bitwise with the baseline tensor of the same name, type and shape: if equal
 * it takes the baseline's key, and everything downstream is found again. Launches fed only by constants run once per runner.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "value/value.h"

struct arena;
struct err;
struct pool;

/* How to reach a device. Strings are copied by pool_open. */
struct pool_device {
	const char *name;                 /* "host-gcc" */
	const char *backend;              /* "cpu" */
	const char *const *worker;        /* argv of the worker command; NULL: $MUTATENN_WORKER, else mutatenn-worker beside this executable or on PATH */
	size_t nworker;
	const char *const *builder;       /* argv of the worker command of builders, when that is another: a compiler for the worker's machine
	                                   * elsewhere. "mutatenn-worker": the one beside this executable. NULL: the same */
	size_t nbuilder;
	bool flush_denormals;             /* kernels run with denormal numbers taken for zeros */
	const char *why_not;              /* it is known beforehand not to work: this is the device's error; NULL: try */
	const char *select;               /* which of several devices of the backend; NULL: the first */
	const char *cc;                   /* compiler; NULL: the backend's default */
	const char *const *cflags;        /* replaces the default optimisation flags; NULL: default */
	size_t ncflags;
	const char *const *env;           /* "NAME=value": the worker's, in front of this program's own; its compiler sees them too */
	size_t nenv;
	int threads;                      /* per run; 0: number of cores */
	int builders, runners;            /* processes; 0: number of cores builders, 1 runner */
	int together;                     /* kernels that are built in one program, at most, where the device gains by it; 0: as many as it says, 1: each alone */
	double start_timeout_s;           /* until a worker's first message; 0: 10, with a command of the user's 60 */
	double reconnect_s;               /* a command of the user's that worked before is tried again for so long; 0: 60, negative: not */
	const char *cache_dir;            /* compiled kernels; NULL: the user's cache, "": none */
	uint64_t blob_cache;              /* bytes of weights, inputs ... that the worker's machine may keep on disk for its next life; 0: none */
	uint64_t budget;                  /* bytes of a baseline's tensors that each runner keeps, the longest unused go first; 0: half of its machine's memory, shared by
	                                   * the runners */
	uint64_t memory_limit;            /* bytes a child may allocate beyond its buffers; 0: 1 GiB */
};

/* Starts one worker per device and waits for its first message (start_timeout_s at most). A device that cannot
 * be opened does not fail the call: see pool_device_error. False only when there is nothing to run on or no memory. */
bool pool_open(const struct pool_device *dev, size_t n, struct pool **out, struct err *e);
/* Ends all workers: asks, waits a second, kills. Jobs that have not ended are dropped; what they point to may be gone already. */
void pool_close(struct pool *p);

/* Ends the worker processes of all pools within 0.2 s. For a process about to end; safe in a signal handler. */
void pool_kill_workers(void);

/* NULL when device d works; else why it does not (owned by the pool). A device may be lost at any time: its jobs are then
 * delivered as POOL_LOST. */
const char *pool_device_error(const struct pool *p, size_t d);
const struct device_caps *pool_caps(const struct pool *p, size_t d); /* of a working device */
const char *pool_backend(const struct pool *p, size_t d);            /* of any */

/* One image, preprocessed: ninputs tensors in the order of bundle.input. Not copied; must outlive the job. */
struct pool_input {
	const char *name;
	const struct tensor *const *tensor;
	size_t ntensors;
	const struct hash *hash; /* of each tensor's bytes, when the caller knows them; NULL: every job looks */
};

struct pool_job {
	uint64_t id;                      /* the caller's */
	size_t device;
	const struct bundle *bundle;      /* must outlive the job */
	/* The original: cut-off and equivalence refer to it; it is run first on a runner that has not run it on these inputs
	 * (that run belongs to no job's result). NULL: this job is judged on its own (an original, or --no-reuse). It stays as it
	 * is until pool_close. */
	const struct bundle *baseline;
	/* Inputs of the baseline when they differ (an input mutant); NULL: the same. */
	const struct pool_input *baseline_input;
	const struct pool_input *input;
	size_t ninputs;
	bool build_only;                  /* compile, say code and stop */
	bool alone;                       /* its kernels are built for it alone: neither those of other jobs are taken, nor a cache's (see cache_dir) */
	bool run_equivalent;              /* run even when the code equals the baseline's */
	/* What kernels that are not the baseline's find where nobody wrote: in outputs, and beyond the edges of all buffers. Part of the keys
	 * of what they make, but for NAN. The baseline itself is always run with NAN. */
	struct fill fill;
	bool dump;                        /* return every tensor of every input, not only the outputs */
	/* Nothing else is run on these constants: the runner gives back the memory of constants and tensors as soon as nothing reads them. Timed
	 * runs keep their tensors. No baseline, no dump. */
	bool once;
	int warmup, repeat;               /* timing: whole program, all launches, warmup + repeat times per input; 0, 0: once with reuse */
	int threads;                      /* 0: the device's */
	double time_limit_s;              /* per input and repetition; 0: 600 */
	int priority;                     /* lower first; equal: in order of submission */
	/* Asked once everything is built, before each run, when the code is not the baseline's: false ends the job as POOL_SKIPPED. NULL: run. */
	bool (*wanted)(void *user, const struct pool_job *job, struct hash code);
	void *user;
};

enum pool_stage { POOL_START, POOL_BUILD, POOL_LOAD, POOL_RUN, POOL_END };

/* What a runner's time for a job goes into beside its messages' reading, in order. ENTER to LIMIT are a child's own. */
#define POOL_STEPS(X) X(TAKE, "take") X(PLAN, "plan") X(FORK, "fork") X(ENTER, "enter") X(LOAD, "load") X(LIMIT, "limit") X(READY, "ready") X(EXEC, "run") X(STOP, "stop") X(TELL, "tell")
enum pool_step {
#define X(id, name) POOL_STEP_##id,
	POOL_STEPS(X)
#undef X
	POOL_STEP_COUNT
};

enum pool_status {
	POOL_DONE,         /* see the images */
	POOL_EQUIVALENT,   /* same code and same inputs as the baseline: not run */
	POOL_BUILD_FAILED, /* the device's compiler said no (log), ran out of time or memory */
	POOL_CRASHED,      /* the child died: signal, stage, launch */
	POOL_HUNG,         /* time limit */
	POOL_OVERRUN,      /* wrote outside its buffers: launch, buffer; all images were still run when it could go on */
	POOL_LOST,         /* ten workers lost one after the other through no fault of the mutant, or no worker at all: a tool error */
	POOL_SKIPPED,      /* built, and then the caller did not want it run (never on the wire) */
};

struct pool_tensor { /* dense, in the stored layout */
	const char *name;
	struct tensor value;
	struct hash key;
	bool cut_off;      /* was run and found equal to the baseline's */
	bool reused;       /* was not run */
};

struct pool_image {
	bool ran;                         /* false: not reached (crash, hang before it) */
	enum pool_status status;          /* of this image: DONE, CRASHED, HUNG or OVERRUN */
	const struct tensor *output;      /* noutputs of the bundle, reports behind; NULL unless there are results */
	uint32_t launches_run, launches_saved;
	double time_s;                    /* of all launches run; with repeat: median */
	const double *times_s;            /* repeat values, or NULL */
	const double *launch_s;           /* with repeat: mean of each of the bundle's launches, by the device's clock; 0: ran once, before */
	double transfer_s;                /* devices with a memory of their own: tensors there and back, not in the other times */
	const struct pool_tensor *dump;   /* with pool_job.dump */
	size_t ndump;
	/* Elements of an output that hold the fill still behind a launch whose kernel is not the baseline's: nobody wrote them, or somebody
	 * wrote just that. 0: none, or not known (FILL_STALE). The names are the first such launch's and its output's; NULL: none. */
	uint64_t unwritten;
	const char *unwritten_by, *unwritten_in;
};

struct pool_result {
	uint64_t job;
	size_t device;
	enum pool_status status;          /* the worst over the images */
	enum pool_stage stage;            /* where it ended */
	int signal;                       /* of a crash */
	const char *launch;               /* that was running or that overran; NULL if none */
	const char *buffer;               /* that was overrun */
	const char *text;                 /* one line for people; never NULL */
	const char *log;                  /* the compiler's, NULL if none */
	struct hash code;                 /* identity of the built program on this device: artefacts, launches, wiring, constants */
	struct hash *kernel_code;         /* per kernel of the bundle: hash of its artefact; NULL unless built */
	size_t nkernels;
	struct pool_image *image;         /* ninputs */
	size_t nimages;
	double build_s, run_s;            /* processor-independent wall times of the stages; 0 when cached */
	double step_s[POOL_STEP_COUNT];   /* of the runner, by its own clock; 0 where it took none */
	uint32_t kernels_built, kernels_cached;
};

/* Queues a job. Never blocks. */
bool pool_submit(struct pool *p, const struct pool_job *job, struct err *e);
/* Builds the bundle's kernels when no job waits for others, so that they are there once one wants them. It need not outlive the call.
 * more: others follow. */
void pool_build_ahead(struct pool *p, size_t device, const struct bundle *b, bool more);
/* Something is being timed: no such kernel is given to a builder, and no job to a runner while a builder is at work. */
void pool_hold_ahead(struct pool *p, bool hold);
/* Blocks until a job ends, or timeout_s (negative: until one ends) passed: then *got is false. The result lives in `a`.
 * Jobs of a device that fails for good are delivered as POOL_LOST. With nothing pending, *got is false at once. */
bool pool_wait(struct pool *p, struct arena *a, double timeout_s, bool *got, struct pool_result *out, struct err *e);
size_t pool_pending(const struct pool *p); /* submitted and not yet returned */
/* Forgets the baselines' tensors on all runners (a new batch of images begins). */
void pool_forget(struct pool *p);

/* Ends the runners of device d, which has nothing under way: the next job finds a fresh one. */
void pool_restart(struct pool *p, size_t d);

/* What a runner keeps of a baseline for each input, in bytes. */
uint64_t pool_baseline_bytes(const struct bundle *b);
/* What a program cannot do without: its constants in the form in which launches read them for each input, and the most of what it computes that is
 * alive at a time. */
void pool_planned_bytes(const struct bundle *b, uint64_t *constants, uint64_t *tensors);

/* What a device is at. */
struct pool_look {
	size_t building, waiting, running; /* jobs that wait for kernels, for a runner, that run */
	uint32_t kernels, built;           /* of the jobs that are building */
	uint64_t job;                      /* id of the longest running one; UINT64_MAX: none */
};
void pool_look(const struct pool *p, size_t d, struct pool_look *out);

/* What the pool has done so far: shown in reports. */
struct pool_stats {
	uint64_t launches_run, launches_saved, kernels_built, kernels_cached, kernels_together, workers_started, workers_lost;
	double build_s, run_s; /* summed over workers */
	double building_s, running_s; /* that builders and runners were at something, all that belongs to it included */
	uint64_t blobs_sent, blobs_held, blob_bytes_sent, blob_bytes_held; /* of those a device with a blob cache was asked about */
};
struct pool_stats pool_stats(const struct pool *p);

/* The worker program's main: speaks the wire on standard input and output until end-of-file. */
int worker_main(int argc, char **argv);
