/* campaign_internal.h: one campaign under way, and the life of a mutant in it; shared by this room's files */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "campaign/campaign.h"

struct camp_device_state {
	const char *name;
	size_t runners;                   /* processes that run its mutants */
	bool dead;                        /* cannot be opened, or set aside after failed controls */
	const char *aside;                /* why it was set aside; NULL: it was not */
	const char *differs;              /* why its last control run failed; NULL: it did not */
	int failed_controls;              /* of the group under way */
	struct store_device row;          /* its row in the store, once it has one */
	uint64_t done;                    /* mutants */
	bool refused;                     /* a mutant was not built since the last control: that builds something, too */
	double time_limit_s;              /* per image, from the original's time */
	double seconds;                   /* of the original, the longest image */
	const float **logits;             /* per input: the original's scores on this device */
	double *noise;                    /* per input: the largest difference that is no fault */
	bool frozen;                      /* logits and noise are the store's */
	size_t variant;                   /* of the campaign's programs: the one it runs */
	struct map *code;                 /* hash of a program's code -> struct camp_code: whose run it is */
	char *noise_text;                 /* how the noise was measured, for people */
};

/* The first mutant that has this code on the device. */
struct camp_code {
	const char *mutant;
	uint64_t group;                   /* in which it is run; an earlier one: see the store */
};

/* A program of the original for some of the devices. */
struct camp_variant {
	struct camp_target target;
	struct camp_program program;
	size_t of;                        /* variant with the same functions in another dialect, before this one; itself when there is none */
};

/* A mutant for one variant. */
struct camp_made_program {
	struct comp_program *program;
	struct bundle *bundle;            /* NULL: decided without running */
	enum outcome decided;
	const char *message;
	bool races;                       /* on devices that run its iterations at the same time */
	bool fills;                       /* changed kernels' text holds a fill of local arrays */
	bool looks;                       /* ... or they are not proved to stay inside their buffers */
	struct bundle *other;             /* the same with the other fill, once made */
};

struct camp_made {
	struct arena *a;                  /* its own; the caller frees it */
	struct camp_made_program *program; /* per variant */
	struct tensor **input;            /* of an input mutant; NULL: the campaign's */
	bool told;                        /* its sources are in the store */
};

/* The next group of mutants (camp_ahead.c). */
struct camp_ahead {
	struct arena *a;
	struct camp_made *made;           /* n from mutant `first` on; NULL: no group is to be made */
	size_t first, n, at;              /* at: the next one to make */
	bool hold;
};

#define CAMP_MAX_RUNS 3

struct camp_repeat {                      /* one of several runs of the same job */
	struct hash sight;                /* of all that another run must repeat */
	enum outcome outcome;
};

/* A mutant of the group that is under way, on one device. */
struct camp_pending {
	struct store_result result;
	const struct comp_program *program; /* what ran: it knows what its checks report */
	bool wanted;                      /* a job is needed: not resumed, not decided without running */
	bool ended;                       /* crashed or hung: the remaining images are not run */
	bool races;                       /* parallel iterations may write the same element, and the device keeps no order */
	enum outcome found;               /* the worst that checks reported, NOT_RUN: nothing */
	const char *twin;                 /* mutant with the same code, whose result it takes; NULL: none */
	bool changed;                     /* runs other kernels than the original's */
	bool looks;                       /* ... of which it is not proved that they read only what was written */
	bool left_unwritten;              /* an output held the fill still */
	const char *unwritten;            /* where, in words; NULL: not known */
	bool refilled, refill_hung;       /* the run under way has the other fill; and is the second since the first hung */
	size_t refill_at, refill_n;       /* ... and is of so many images from this one of the chunk on */
	size_t refill_left;               /* ... with so many behind it, where none of those shows a difference */
	bool undefined;                   /* an image has shown one: the others are not run again */
	struct store_result first;        /* what is known without it; image: of the chunk under way alone */
	/* Of the chunk of images under way (camp_confirm.c). */
	struct store_result before;       /* what was known when it began */
	struct camp_repeat run[CAMP_MAX_RUNS];
	int runs, wanted_runs;
};

#define CAMP_SAMPLES 64
#define CAMP_ACTIVATION_BYTES ((uint64_t)4 << 30) /* of the original's tensors that a runner keeps at a time */

struct camp {
	struct arena *a;
	const struct config_campaign *config;
	const struct camp_run_options *options;
	const struct camp_hooks *hooks;
	struct camp_model *model;
	struct camp_input *input;
	struct fill fill;                 /* what mutants find where nobody wrote */
	uint64_t budget;                  /* bytes of the original's tensors that each runner keeps */
	uint64_t runners;                 /* of all devices */
	size_t ninputs, chunk;            /* chunk: images whose baseline tensors fit the memory budget */
	struct pool *pool;
	struct camp_device_state *device;
	size_t ndevices;
	struct camp_variant *variant;     /* the first is what mutants are listed from */
	size_t nvariants;
	struct mutant *mutant;
	size_t nmutants;
	struct store *store;
	struct camp_progress progress;
	/* camp_progress.c: */
	struct camp_device_progress *seen;
	struct camp_sample {
		double at;
		uint64_t done;
	} sample[CAMP_SAMPLES];
	size_t nsamples;
	double phase_began, told, kept;
	/* camp_times.c: */
	struct camp_times times;
	double phase_timed;               /* until then the phase under way has been counted */
	double processor_s;               /* used before this campaign, negative */
	uint64_t launches_run, launches_saved; /* of what was stored */
	struct camp_ahead ahead;
	size_t group_first;               /* of the mutants: what the jobs of the group under way are numbered from */
	bool in_group;                    /* a group is under way */
	bool originals;                   /* jobs under way are runs of the original (camp_original_first) */
	bool recording;                   /* the store is not to be written to */
	uint64_t group;                   /* number of the group under way, from 1 */
	double started;
	bool stopped, out_of_time;
	bool again;                       /* results of groups before this one were withdrawn too */
	bool unconfirmed;                 /* the store has results of a run that was stopped before their control */
};

/* The original's program for a device. */
static inline const struct bundle *camp_original(const struct camp *c, size_t device)
{
	return c->variant[c->device[device].variant].program.bundle;
}

/* camp_stop.c */
double camp_now(void);                    /* monotonic seconds */
bool camp_stopping(struct camp *c);
/* For what comes before the first mutant: false with an error when camp_stopping. */
bool camp_go_on(struct camp *c, struct err *e);
void camp_set_aside(struct camp *c, size_t d, const char *why);

/* camp_progress.c. phase NULL: the same. Cheap: most calls do nothing. */
void camp_tell(struct camp *c, const char *phase);
void camp_expect(struct camp *c, uint64_t jobs); /* so many more results are awaited in this phase */
void camp_tell_end(struct camp *c, bool ok);
/* camp_times.c */
void camp_times_begin(struct camp *c);
void camp_times_phase(struct camp *c, double now); /* progress.phase begins; what was before it is counted */
void camp_times_end(struct camp *c, struct camp_summary *out); /* behind camp_end; out has all the rest */
/* camp_originals.c */
bool camp_originals(struct camp *c, struct err *e);
/* camp_recall.c: what a store says of how its campaign was run */
bool camp_recall(struct arena *a, struct store *s, struct select_set *out, struct err *e); /* all but criteria, devices and images */
struct camp_level camp_level_of(const struct select_set *s);
bool camp_recall_device(struct arena *a, struct store *s, const struct store_device *d, struct select_device *out, struct err *e);
/* The model of s, from `file` or where it was; `what` it is and `where` its hash stands, for messages. */
bool camp_recall_model(struct arena *a, struct select_set *s, const char *what, const char *where, const char *file, struct camp_model **out,
		       struct err *e);
char *camp_configured(struct arena *a, const char *text, const char *key); /* of the configuration; "" when there is none */

/* camp_estimate.c: what the plan will cost, from a few mutants of it or from what the store at `history` (may be NULL) holds. */
bool camp_estimate(struct camp *c, const char *history, struct camp_cost *out, struct err *e);

/* camp_plan.c: everything before the first mutant runs. */
bool camp_prepare(struct camp *c, const char *store_path, struct err *e);
void camp_end(struct camp *c);

/* camp_cores.c: threads and runners of the devices that do not say how many they have. */
void camp_share_cores(const struct camp *c, struct pool_device *dev);
int camp_usable_cores(void); /* by this process */

/* camp_jobs.c */
/* Inputs first..first+n as the pool wants them. */
struct pool_input *camp_pool_inputs(struct camp *c, struct arena *a, struct tensor *const *edited, size_t first, size_t n);
/* Waits until `jobs` results are in; calls take for each. */
bool camp_wait_all(struct camp *c, struct arena *a, size_t jobs, bool (*take)(struct camp *, const struct pool_result *, void *, struct err *),
                   void *user, struct err *e);
/* The original on inputs first.., on all devices that work and are not left out: divided among a device's runners, or, with each, all of
 * them on every runner. What take is given is of the inputs from camp_original_first on. */
bool camp_run_original(struct camp *c, size_t first, size_t n, struct fill fill, const bool *left_out, bool each,
                       bool (*take)(struct camp *, const struct pool_result *, void *, struct err *), void *user, struct err *e);
size_t camp_original_first(const struct camp *c, const struct pool_result *r);
uint64_t camp_original_jobs(const struct camp *c, size_t d, size_t n); /* that it takes on a device, without each */

/* camp_baseline.c: the original on every device: answers, noise, time limits; and its control runs. */
bool camp_baselines(struct camp *c, struct err *e);
/* The row of a device; error NULL: it works. (camp_plan.c) */
bool camp_record_device(struct camp *c, size_t d, const char *error, struct err *e);
/* Does the original still give what it gave? Each device's `differs` is set. */
bool camp_control(struct camp *c, struct err *e);

/* camp_context.c: what reports show around the verdicts. First what is known before anything runs, then the times of the original's
 * launches (one device after the other; other programs may run beside it), then what the compilers see of a mutant. */
bool camp_context(struct camp *c, struct err *e);
bool camp_launch_times(struct camp *c, struct err *e);
bool camp_sources(struct camp *c, const struct mutant *m, const struct camp_made *made, struct err *e);

/* camp_make.c: applies a mutation and emits what comes of it. What goes wrong then is the mutant's outcome, not an error. */
bool camp_make(struct camp *c, const struct mutant *m, struct camp_made *out, struct err *e);

/* camp_ahead.c. From here on the mutants first.., of a group of `size`, are made ahead ... */
void camp_ahead_begin(struct camp *c, size_t first, size_t size);
/* ... one by each call, while results are awaited; *more: not all are. */
bool camp_ahead_step(struct camp *c, bool *more, struct err *e);
void camp_ahead_hold(struct camp *c, bool hold); /* nothing is made or built ahead: something is being timed */
/* What was made of the group, in a: the caller frees each; those that were not have no arena. */
struct camp_made *camp_ahead_take(struct camp *c, struct arena *a, size_t first, size_t n);

/* camp_noise.c: how far apart runs of the original lie, and of changes that must not change it. */
bool camp_noise(struct camp *c, struct err *e);

/* camp_group.c: the mutants first.. of the plan on every device, with a control run behind them; the next group is one of `size`. */
bool camp_group(struct camp *c, size_t first, size_t n, size_t size, struct err *e);

/* Iterations of a changed kernel run one after the other (comp_kernel.alone) in programs of this dialect. */
bool camp_in_order(const char *dialect);

/* camp_judge.c. A score that is off by no more than a few times the noise of a device that has some: nothing can be concluded from it alone. */
bool camp_near_noise(const struct store_image_result *im, double noise);

/* camp_confirm.c: takes one run of a job over inputs first.. into the pending result. False: not believed yet, run it again. */
bool camp_confirm(struct camp *c, struct arena *a, size_t device, size_t first, const struct pool_result *r, struct camp_pending *p);

/* camp_fill.c: does the outcome depend on memory that nobody wrote? */
struct fill camp_other_fill(struct fill f); /* to compare with */
/* The program's bundle for a run with the other fill, in p->other. */
bool camp_other_bundle(struct camp *c, struct arena *a, size_t device, struct camp_made_program *p, struct err *e);
void camp_looks(struct camp_made_program *p, const struct bundle *original); /* sets p->fills and p->looks */
/* r is the last of the runs that agreed: true when one with the other fill is to follow (p->refilled) ... */
bool camp_refill(struct camp *c, struct arena *a, size_t first, const struct pool_result *r, struct camp_pending *p);
/* ... which is taken here; false: run it once more. */
bool camp_refilled(struct camp *c, struct arena *a, size_t device, size_t first, const struct pool_result *r, struct camp_pending *p);

/* camp_twin.c: mutants with the same code on a device are run once. */
bool camp_twins_load(struct camp *c, struct err *e); /* those of the store */
/* Nobody has this code yet: it is now this mutant's, which is to be run (true). Else *twin is who has it. */
bool camp_twin_first(struct camp *c, size_t device, const char *mutant, struct hash code, const char **twin);
/* The group has ended: those that waited for their twin get its result. */
bool camp_twin_store(struct camp *c, size_t device, struct camp_pending *p, struct err *e);

#define CAMP_SANITIZE_SLOW 30 /* times that a kernel may be slower with checks */

/* camp_finding.c: what the checks of a program reported for one image. outputs: as the pool gives them, reports behind. The worst,
 * of equally bad ones the first in launch order; NOT_RUN: nothing. */
struct camp_finding {
	enum outcome outcome;
	const char *kernel;
	char text[640];
};
void camp_finding(const struct comp_program *p, const struct tensor *outputs, struct camp_finding *out);

/* camp_result.c: adds one finished job over inputs first.. to what is known of the mutant. */
void camp_take(struct camp *c, struct arena *a, size_t device, size_t first, const struct pool_result *r, struct camp_pending *p);
bool camp_store(struct camp *c, size_t device, struct camp_pending *p, struct err *e);
