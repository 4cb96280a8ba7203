/* worker/child.h: inside the worker process - memory, the forked child, baselines; private to child*.c
 *
 * The worker has one thread and never runs a kernel. It forks a child that runs the launches of one job; the child announces in
 * shared memory what it is about to do, the worker checks, compares, copies and decides what is run next.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cachedir.h"
#include "base/hash.h"
#include "base/str.h"
#include "worker/wire.h"
#include "worker/worker.h"

struct arena;
struct device;
struct device_ops;
struct kernel;
struct err;
struct map;

#define PAD_ELEMENTS BUNDLE_PAD
#define PAGE ((size_t)4096)
#define NEVER UINT32_MAX

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0 /* else: the sanitizer's runtime needs more than a kernel does, and its shadow is private writable memory */
#endif

/* ---- memory (child_mem.c) ------------------------------------------------------------------------------- */

/* Private memory in large pages for tensors that children only read: constants, inputs, cached tensors. What lies around each is nobody's,
 * so that a kernel which reads on behind it finds nothing, whatever came before. A child inherits the chunks that it was lent and no others:
 * what a fork costs is the number of mappings and of pages in them. */
struct mem {
	struct chunk *chunk;
	size_t gap;      /* on both sides of a chunk */
	uint8_t *region; /* addresses for them that nothing else takes, so that gaps need no mappings; NULL: wherever there is room */
	size_t next;     /* in the region */
	uint32_t n;      /* chunks */
	uint64_t forks;  /* so far */
	bool joins; /* addresses cost nothing: the space between chunks may be mapped, too */
	bool padded; /* blobs that lie together have pads, too: this process hands them to a device as they are */
};
struct chunk;
struct slots;
void mem_open(struct mem *m, const struct slots *s);
/* Room for size bytes in a chunk that is freed when everything in it was given back. NULL: out of memory. */
struct chunk *mem_chunk(struct mem *m, size_t size);
/* n bytes from `from` bytes behind p, which is where a tensor's data begin (before it when negative). */
void filling_put(uint8_t *p, int64_t from, size_t n, const struct filling *f);
/* Elements of the n bytes at p that hold the filling still; of STALE none is known to. */
uint64_t filling_left(const uint8_t *p, size_t n, const struct filling *f);
/* The next child reads what is in it. */
void chunk_lend(const struct mem *m, struct chunk *c);
/* Before a fork: what was lent since the last one is what the child inherits. Writable bytes that it does not. */
uint64_t mem_before_fork(struct mem *m);
void mem_fork_again(struct mem *m); /* nothing came of it: the next child inherits the same */
/* bytes in the chunk, pad bytes of filling on both sides; NULL when it does not fit. */
void *chunk_alloc(struct chunk *c, size_t bytes, size_t pad, const struct filling *pads);
void chunk_release(struct mem *m, struct chunk *c); /* one allocation, or the creator's hold (mem_chunk counts as one) */
/* Where it lies, for a child that has no more use for it. */
void chunk_place(const struct chunk *c, uint8_t **at, size_t *n);
void chunk_close(struct chunk *c); /* what is in it stays as it is */
/* A chunk whose contents are written to a file in memory first and then seen, once and for all: memory that nobody touched before need not
 * be cleared, and a fork copies nothing of it. In order: the file, -1 where there is none; data with pads of a plain fill, NULL when they
 * do not fit; what was put appears, and the file is closed. Writing to a page of it makes a private copy. */
int chunk_file(const struct chunk *c);
uint8_t *chunk_put(struct chunk *c, int file, const uint8_t *data, size_t bytes, size_t pad, const struct filling *pads);
bool chunk_show(struct chunk *c, int file);
bool chunk_shared(const struct chunk *c);
/* An allocation of a blob: in a chunk of its own, or one with others, which is never lent, when it is small or there are thousands. *where is
 * what to release. alone: the former in any case. */
void *mem_alloc(struct mem *m, size_t bytes, bool alone, struct chunk **where);
void mem_read_only(const struct mem *m); /* in the child */
size_t pad_bytes(enum dtype t);

/* Output slots lie in one file in memory. The worker sees them side by side; a child maps those that it needs, at addresses that
 * depend on the program only, with nothing mapped between them. */
struct slot {
	size_t size;      /* mapped, pads and all; 0: no slot */
	size_t off;       /* in the file */
	size_t front;     /* from the start of the mapping to the data */
	size_t bytes;     /* of data */
	struct filling data, pads;
	uint8_t *at;      /* start of the mapping in a child */
	uint8_t *view;    /* the same for the worker */
};
struct slots {
	uint8_t *base; /* of the reservation for children */
	size_t reserve;
	int file;
	uint8_t *view;
	size_t view_size;
	struct slot *slot; /* per buffer of the program laid out last */
	uint32_t n;
	bool dirty; /* pads must be written again */
};
bool slots_open(struct slots *s, struct err *e);
size_t slots_gap(const struct slots *s); /* between two tensors, where there is room */
void slots_close(struct slots *s);
bool slots_layout(struct slots *s, const struct prog *p, struct fill fill, struct err *e);
bool slot_intact(const struct slot *s);
/* For runs that keep nothing but outputs: slot[i] becomes the slot of p's buffer i, which a buffer that no launch reads any more had. */
void slots_share(struct arena *a, const struct prog *p, uint32_t *slot);
void slot_refill(struct slot *s);
/* Nobody reads its data again: their memory goes back to the system, pads stay. */
void slot_give_back(const struct slots *s, const struct slot *slot);

/* ---- the child (child_proc.c) ---------------------------------------------------------------------------- */

#define PROC_SOCK 3
#define PROC_SLOTS 4 /* descriptors of a child */
#define PROC_GAVE_UP 3 /* exit status of a child that cannot go on; also of any kernel that likes */
enum proc_mode { PROC_CHECKED, PROC_TIMED };

/* Shared with the child, which may write any of it at any time: the worker copies what it needs, once, and believes nothing that it
 * can know by itself - what it asked for lies in memory of its own. */
struct ctl {
	_Atomic uint32_t cmd, done; /* sequence numbers */
	_Atomic uint32_t worker_sleeps, child_sleeps;
	_Atomic uint32_t stage, launch, rep; /* announced before entering */
	uint32_t mode, nsel, warmup, repeat, image, last;
	double seconds; /* of the selected launches */
	double reached[POOL_STEP_COUNT]; /* monotonic: when the child was through with a step */
	char text[256]; /* why it gave up; not terminated perhaps */
};

/* Memory for one, and what goes with it, of which no child is alive. */
struct shared {
	void *p;
	size_t size;
};
void shared_free(struct shared *s);

enum slot_state { SLOT_ABSENT, SLOT_OPEN, SLOT_READ };

/* Where the time of a job goes: each moment belongs to the step that ends next. */
struct steps {
	double since, s[POOL_STEP_COUNT];
};
void step_end(struct steps *t, enum pool_step which);

struct proc_spec {
	const struct prog *prog;
	struct kernel **kernel;   /* per kernel: loaded already, or NULL */
	void *const *arg;         /* prog->nargs: of a launch when it is posted */
	uint8_t *open;            /* per buffer: enum slot_state; the child's own copy */
	uint32_t *written;        /* per buffer: the image for which it was written last; likewise */
	const bool *trusted;      /* per kernel: the original's, which stays inside its buffers and writes before it reads */
	struct fill fill;         /* what the others find where nobody wrote */
	const uint8_t **artefact; /* per kernel: bytes, for those that are not loaded; the child gets a copy */
	size_t *artefact_size;
	const struct slots *slots;
	struct shared *shared;
	struct mem *mem;
	const struct device_ops *ops;
	struct device *device;
	int threads;
	uint32_t repeat;    /* room for times */
	double cpu_seconds; /* limit; 0: none */
	uint64_t memory;    /* beyond what it has at the fork */
	const uint32_t *last; /* per buffer, of constants: the launch behind which the child gives them back, NEVER; NULL: all stay */
	const struct place {
		uint8_t *at;
		size_t n;
	} *place;             /* per buffer: where those lie */
	struct jail *jail;
	uint64_t first;     /* byte of the slots' file from which on it may map them */
	bool closed;        /* no start without the system-call filter */
};

struct proc {
	struct proc_spec spec;
	struct ctl *ctl;
	size_t ctl_size;
	uint32_t *sel; /* launches to run next */
	double *times;
	double *spent; /* per launch: seconds, over all repetitions */
	void **arg; /* prog->nargs: the child's copy */
	uint32_t reps;
	bool soon; /* of the last command: how often it repeats; it may end soon */
	uint32_t seq; /* of the last command; the child's copy may be anything */
	uint32_t image; /* the how many-th it runs */
	pid_t pid;
	int sock;
	int status; /* of waitpid, once dead */
	bool stuck; /* killed, and not dead: left alone */
};

enum proc_end { PROC_OK, PROC_DIED, PROC_HUNG, PROC_GONE }; /* GONE: the pool is gone, give up */

bool proc_start(struct proc *p, const struct proc_spec *spec, struct err *e);
/* Waits until the child has started; wire: descriptor whose hang-up means that the pool is gone. */
double worker_now(void); /* monotonic seconds */

enum proc_end proc_ready(struct proc *p, double limit_s, int wire);
/* The launches pick[0..n) are what it runs next; before it is ready: as soon as it is. last: then it ends by itself. */
void proc_post(struct proc *p, const uint32_t *pick, uint32_t n, enum proc_mode mode, uint32_t warmup, uint32_t repeat, bool last);
/* Waits until they have run. limit_s is per repetition. */
enum proc_end proc_done(struct proc *p, double limit_s, int wire);
/* What the child says: seconds of the last run; of each repetition; of each launch. Each is finite, not negative and below 1e9. */
double proc_seconds(const struct proc *p);
void proc_times(const struct proc *p, double *times, double *spent);
void proc_steps(const struct proc *p, struct steps *t); /* of its start */
void proc_text(const struct proc *p, char out[static 256]); /* why it gave up: printable */
/* Kills and reaps what is left, with what it may have forked. stuck says that it would not go. */
void proc_stop(struct proc *p);
/* The child's side of both; never returns. */
_Noreturn void proc_child(struct proc *p, int sock, pid_t parent);
/* The system-call filter of children, whose descriptors these are; made once, since that takes longer than a child may. (child_jail.c) */
struct sock_filter;
struct jail {
	struct sock_filter *filter;
	unsigned short n;
	int statm, oom; /* files of this process in /proc; -1: not there */
	char score[16]; /* of its own: which process goes first when memory is short */
	ssize_t nscore;
	uint64_t data;  /* private writable bytes that the next child inherits; 0: not known */
};
/* What a fork needs again and again. */
void jail_open(struct jail *j);
/* Around a fork. not_inherited: private writable bytes that the child will not have. */
void jail_before_fork(struct jail *j, uint64_t not_inherited);
void jail_after_fork(struct jail *j);
void jail_signals(void);
bool jail_make(int sock, int slots, struct jail *out);
void jail_free(struct jail *j);
/* Lets the child's threads do little more than compute, and map the file of tensors from byte `first` on; false where the platform refuses. */
bool jail_close(const struct jail *j, uint64_t first);
void jail_enter(void); /* before anything else: no privileges */
void jail_limits(const struct jail *j, double cpu_seconds, uint64_t memory, bool threads); /* before a kernel is loaded, and once threads run */
void jail_files(int files);    /* no file but those below `files` from here on */
bool jail_closes(const struct jail *j); /* would jail_close work? */
void jail_worker(void); /* the worker itself: what root could do and a worker need not */
bool jail_limits_memory(void); /* would jail_limits' memory be kept? */

/* ---- jobs (child_run.c, child_base.c) -------------------------------------------------------------------- */

struct blob {
	struct hash hash;
	uint8_t *data;
	size_t size;
	struct chunk *chunk;
	uint8_t *copy;           /* of data, by itself, for children; NULL: none, or data lie by themselves */
	struct chunk *copy_chunk;
	struct blob *next_copy;
	uint64_t lent;           /* mem.forks when it was lent last */
	bool input;              /* of the job under way that runs once */
};

/* The tensors that the original made of one image (or of no image: those made of constants only). */
struct known {
	struct hash id; /* of the inputs */
	struct chunk *chunk;
	size_t size;        /* of the budget */
	uint8_t **data;     /* per buffer; NULL: not here */
	struct hash *key;   /* per buffer, all of them */
	struct map *by_key; /* -> buffer index + 1 */
	struct arena *arena;
	bool failed; /* the original crashed on it: nothing to reuse */
	uint64_t used;
	struct known *next;
};

struct base { /* an original */
	struct arena *arena;
	struct prog *prog;
	struct kernel **kernel; /* loaded before any fork */
	struct known *known;
	struct known *constant; /* NULL until they have run */
	size_t image_bytes;     /* of one known */
	uint64_t used;
	struct base *next;
};

struct worker {
	int in, out; /* the wire */
	bool hold;       /* what is written, as long as it is short, waits for what follows at once: the pool wakes up once */
	struct str held;
	struct steps steps;
	const struct device_ops *ops;
	struct device *device;
	uint64_t memory_limit;
	int threads;           /* where a job says none */
	size_t budget, cached; /* bytes of known tensors: most, now */
	struct mem mem;
	struct slots slots;
	struct arena *arena;
	struct map *blob;
	struct blob *copies; /* blobs that have a copy */
	uint32_t ncopies;
	struct cachedir cache; /* blobs on disk */
	struct base *base;
	uint64_t clock;
	struct gpu *gpu;       /* what lies on a device with a memory of its own */
	struct shared shared;
	struct jail jail;
	bool closes;           /* children run behind a system-call filter */
	bool broken;           /* such a device failed: this process ends after it has told, and the pool starts another */
	bool stuck;            /* a child cannot be killed: no other worker goes on either */
};

/* ENDED: the child is dead or hung, out says how. AGAIN: it gave up through no fault of a kernel's, or was not given what it needs */
enum step { STEP_OK, STEP_ENDED, STEP_AGAIN, STEP_GONE };

struct run_end {
	enum pool_status status;
	enum pool_stage stage;
	int signal;
	int64_t launch, buffer; /* -1: none */
	bool ours;              /* the child itself gave up while a kernel was to run: no memory, perhaps */
	char text[512];
};

/* A tensor of one value: its key is that value. */
struct flat {
	bool is, there;  /* there: in its slot; else its launch did not run, and it is written when somebody wants to read it */
	uint64_t value;  /* an element, repeated */
};

/* One program running in one child, or on a device with a memory of its own. */
struct exec {
	struct gpu_exec *gpu; /* NULL: in a child */
	uint64_t job;         /* for announcements */
	bool original;        /* runs to be known: nobody's fault when it fails */
	bool started;         /* there is a child: a launch was to run */
	bool ready;           /* it has said that it is */
	bool *trusted;        /* per kernel: the original's, which stays inside its buffers */
	void **arg;           /* prog->nargs, for a child */
	uint32_t *sel, nsel;  /* launches to run next, running, or just run */
	struct fill fill;
	struct {              /* what a kernel that is not trusted left unwritten, of the image under way */
		uint64_t elements; /* 0: nothing */
		uint32_t launch, buffer;
	} unwritten;
	double since; /* monotonic: the image's start */
	struct worker *w;
	struct arena *arena;
	struct prog *prog;
	struct proc proc;
	void **ptr;           /* per buffer: where its data are now for the child */
	const uint8_t **view; /* and for the worker */
	uint32_t *slot;       /* the one that it is written to */
	struct hash *key;
	bool *same;   /* per launch: the original's; NULL: none is */
	bool *cut, *reused;
	bool *held; /* per launch: made of constants, ran in this child, still in its slot */
	bool *may;  /* per launch: the child was given what it reads */
	uint32_t *last;       /* per buffer: the launch behind which nothing reads it, NEVER; NULL: all stay */
	struct place *place;  /* per buffer: of constants that a child was lent */
	size_t spare;         /* bytes of tensors that nothing reads and that stay all the same */
	size_t dead;          /* bytes that can be given back behind the launches that are pending */
	struct flat *flat;    /* per buffer, of the image under way; NULL: nobody looks for any */
	struct map *flat_by_key; /* of launches' outputs -> uint64_t: their value */
	bool *flattens;       /* per launch: made nothing else of the image before */
	uint32_t flat_from;   /* launches from here on are all the original's */
	uint32_t run, saved;
	double seconds, limit_s;
	double *times; /* of exec_timed */
	double *spent; /* per launch: seconds, over its repetitions */
	double transfer_s;
	bool overrun;
	bool last_image, last_now; /* nothing more is to run: behind this image, behind what runs next */
	struct run_end end;
};

/* What a child is to run a program on, and what is known before: its tensors are what it is lent. */
struct exec_given {
	struct blob *const *const *input; /* per image: the program's inputs */
	uint32_t n;
	const struct known *constant;           /* NULL: launches made of constants run as well */
	struct known *const *known;             /* per image; NULL: all launches run */
	bool all;                               /* in any case */
	bool once;                              /* what nothing reads any more goes */
	bool dump;                              /* every tensor is told */
};

/* job: 0 for an original that runs to be known. What may be the machine's trouble of a moment (no process, no memory) is tried again. ENDED:
 * x->end says why. Close it whatever comes of it. A child is started once a launch is to run: many a mutant changes none. */
enum step exec_begin(struct exec *x, struct worker *w, struct prog *p, const struct base *b, const struct exec_given *g, uint64_t job, struct fill fill,
		     int threads, uint32_t repeat, double limit_s, double cpu_seconds);
/* Starts the child, unless there is one; n: launches of x->sel that it goes on with at once. ENDED before x->ready: nothing has run. */
enum step exec_start(struct exec *x, uint32_t n);
/* Sets the inputs of an image, which may be the last: bytes in mem, their hashes are the keys. */
void exec_image(struct exec *x, struct blob *const *input, bool last);
/* AGAIN: a launch is to run that was not expected to. k: what the original made of this image; twin: per buffer of x's program, the original's of the same name and form + 1. */
enum step exec_all(struct exec *x, const struct known *constant, const struct known *k, const uint32_t *twin);
/* keep: tensors besides the outputs are wanted */
enum step exec_timed(struct exec *x, uint32_t warmup, uint32_t repeat, bool keep);
/* Ends the child and looks at all canaries, those too that no launch was to come near. */
void exec_stop(struct exec *x);
void exec_close(struct exec *x);

/* Keys of a launch's outputs from what it does and what it reads; not from how many threads it has. image: what is known of it, or NULL. */
void exec_keys(struct exec *x, uint32_t k, const struct known *image);

/* child_flat.c, all of an exec with children, and for jobs whose original is known */
void flat_open(struct exec *x);
void flat_image(struct exec *x);
bool flat_known(struct exec *x, uint32_t k);     /* need not run: the outputs are known, and their keys set */
void flat_look(struct exec *x, uint32_t k);      /* it ran */
void flat_write(struct exec *x, uint32_t buffer); /* into its slot, if it is known and not there: somebody is about to read it */

/* child_wire.c */
/* False with no error set: the pool closed the wire in front of the first byte. */
bool worker_read(struct worker *w, void *p, size_t n, bool may_end, struct err *e);
bool worker_message(struct worker *w, enum wire_type *type, void **message, struct err *e); /* the next one; false: like worker_read */
bool worker_send(struct worker *w, enum wire_type type, const void *message, struct err *e);
bool worker_flush(struct worker *w, struct err *e); /* what was held; holds no more */
bool worker_write(struct worker *w, const void *p, size_t n, struct err *e);
bool worker_data(struct worker *w, const void *p, size_t n, struct err *e);

/* child_blobs.c */
struct blob *worker_blob(struct worker *w, struct hash h);
/* The next child reads it, there; NULL: out of memory. */
uint8_t *blob_lend(struct worker *w, struct blob *b);
bool blobs_open_cache(struct worker *w, uint64_t limit); /* bytes on disk, 0: none; false: nothing is kept */
bool blobs_take(struct worker *w, const Wire__Blob *m, struct err *e);
bool blobs_answer(struct worker *w, const Wire__Have *m, struct err *e);
void blobs_drop(struct worker *w, const Wire__Drop *m);
void blob_drop(struct worker *w, struct blob *b);
void blobs_close(struct worker *w); /* all go */

/* Finds or makes the original; NULL with an error. */
struct base *base_get(struct worker *w, struct hash program, struct err *e);
/* Runs the original on those of the n images that it has not run on; after STEP_OK found[i] is not NULL but may have
 * failed. ENDED: the original cannot be started, e says why. */
enum step base_know(struct worker *w, struct base *b, struct blob *const *const *input, uint32_t n, int threads,
		    double limit_s, struct known **found, struct err *e);
void base_forget(struct worker *w);
void base_close(struct worker *w);

/* ---- devices with a memory of their own (child_gpu.c) ----------------------------------------------------------- */

/* kernel: per kernel of the program, NULL where it is to be loaded. */
void gpu_open(struct exec *x, struct kernel **kernel);
enum step gpu_start(struct exec *x);
void gpu_image(struct exec *x); /* a new image: only what is made of constants is still there */
/* Runs the first n of sel and reads what they wrote into the worker's views. */
enum step gpu_run(struct exec *x, uint32_t n, double limit_s);
enum step gpu_timed(struct exec *x, uint32_t n, uint32_t warmup, uint32_t repeat);
bool gpu_mend(struct exec *x, uint32_t buffer); /* its pads were overwritten: writes them again */
void gpu_close(struct exec *x);
void gpu_forget(struct worker *w); /* gives back all memory but that of running programs */

/* Blocks; false when the pool is gone or cannot be understood. */
bool run_job(struct worker *w, const Wire__Run *m, struct err *e);
