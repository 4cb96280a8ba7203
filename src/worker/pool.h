/* worker/pool.h: inside the parent's side of worker/worker.h; private to pool*.c */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>
#include <time.h>

#include "base/hash.h"
#include "base/str.h"
#include "worker/wire.h"
#include "worker/worker.h"

struct arena;
struct err;
struct map;

#define PEER_DEPTH 2                   /* messages given to a worker before the first is answered */
#define PEER_TAIL 4096                 /* bytes kept of what a worker says on standard error, and before the magic */
#define PEER_BLOBS ((uint64_t)2 << 30) /* bytes a runner holds before the longest unused go */
/* Blobs more than after the last time that unused ones went: each is a mapping, of which a process has 65,530 and a fork copies all. */
#define PEER_MANY 1024
#define PEER_SPARE 128                 /* unused ones that stay then */
#define START_TRIES 8                  /* failed starts in a row until a device is given up */

struct dev;
struct job;

/* ---- kernels -------------------------------------------------------------------------------------------------- */

enum kern_state { KERN_IDLE, KERN_QUEUED, KERN_BUILDING, KERN_BUILT, KERN_FAILED };

struct kern { /* one distinct text on one device */
	struct hash hash;
	enum kern_state state;
	char *source; /* while it is to be built */
	bool contract;
	bool alone;     /* is never built with others: its job wants it so, or a builder died of it and others */
	bool together;  /* was given to a builder with others */
	struct prog_kernel id; /* once built */
	uint8_t *data;         /* artefact; NULL when dropped (code stays known) */
	size_t size;
	char *log; /* when failed */
	enum wire_built why;
	uint32_t users, uses; /* jobs now, jobs ever */
	int lost, troubles;   /* builders that died with it; that could not run the compiler */
	double seconds;
	bool cached, counted; /* counted: its build belongs to some job's result */
	bool ahead;           /* no job has wanted it yet; it is kept until then */
	int priority;
	struct kern *next; /* in the queue */
	struct job **waiter;
	size_t nwaiters, cap;
};

/* A baseline as its runners get it: made once for all its jobs, in the pool's arena. */
struct original {
	const struct bundle *bundle;
	struct prog_kernel *id; /* of its kernels then */
	struct prog *prog;
	uint8_t *bytes;
	size_t n;
	struct original *next;
};

/* ---- jobs ----------------------------------------------------------------------------------------------------- */

enum job_state { JOB_BUILDING, JOB_READY, JOB_RUNNING, JOB_ENDED };

struct job {
	struct pool_job j;
	struct dev *dev;
	enum job_state state;
	uint64_t seq;
	struct kern **kern; /* of the bundle, then of the baseline */
	uint32_t nkern, nwait;
	int lost, killed, silent;
	uint64_t signs; /* of life of the worker that runs it */
	bool announced;     /* by a worker that runs mutants in its own process: this is what it was at last */
	enum pool_stage at;
	uint32_t at_launch; /* index + 1; 0: none */
	uint64_t written;    /* peer.queued when all of it was in the queue: before that is written nobody can have answered */
	struct arena *arena; /* NULL until it is given to a runner or ends */
	struct prog *prog;
	uint8_t *program;
	size_t nprogram;
	const struct original *base; /* of j.baseline */
	struct pool_result r;    /* in the arena */
	struct job *next, *prev; /* in one of the lists */
};

struct joblist {
	struct job *first, *last;
};

/* ---- workers -------------------------------------------------------------------------------------------------- */

enum peer_state { PEER_DOWN, PEER_STARTING, PEER_READY };

struct out_item {
	uint8_t *own; /* freed when written; NULL: p belongs to a pending job */
	const uint8_t *p;
	size_t n;
	uint64_t ask; /* the question whose answer decides whether it is sent; 0: none is open */
	size_t blob;  /* which one of that question */
};

/* A question about blobs: which of them the worker has from an earlier life. */
struct question {
	struct blob_name {
		struct hash hash;
		uint64_t size;
	} *blob;
	size_t n, cap;
	size_t place; /* in the queue: where the question goes once all its blobs are known */
};

struct sent {
	struct hash hash;
	uint64_t size, used; /* used: job->seq that named it last */
};

struct segment { /* where the data that follow a message go */
	uint8_t *p;
	size_t n;
	struct hash hash;
};

struct peer {
	struct dev *dev;
	bool builder;
	enum peer_state state;
	pid_t pid;
	int to, from, err; /* -1 when closed */
	struct out_item *out;
	size_t nout, capout, outoff;
	uint64_t queued; /* items ever; those not in out any more are written */
	bool keeps_blobs;                     /* has a cache of them: asked before large ones are sent */
	struct question question[PEER_DEPTH]; /* by number */
	uint64_t asked, answered;             /* numbers of the last ones; asked may be one more while a job is put together */
	uint8_t *in;
	size_t nin, capin;
	bool magic;           /* seen */
	struct str printed;   /* before the magic */
	char tail[PEER_TAIL]; /* of standard error */
	size_t ntail;
	double deadline; /* monotonic seconds; 0: none */
	uint64_t moved, seen_moved; /* whole messages read and whole items written: bytes that trickle are no sign of life */
	double retry_at;
	int failures, bad_starts; /* in a row */
	double gone_since;        /* its first death since it last was ready; 0: none */
	struct job *job[PEER_DEPTH];
	int njobs;
	struct kern *kern[WIRE_MAX_TOGETHER];
	int nkerns;
	double busy_since; /* what it is at began then, as far as is known here */
	struct map *sent;    /* hash -> struct sent */
	const struct original *base; /* all of it was sent, and nothing has been dropped since; NULL: not known */
	struct arena *arena; /* of this life of the worker */
	uint64_t nsent;
	size_t many;                 /* blobs, beyond which unused ones go */
	enum wire_type type; /* message whose data are arriving */
	void *message;
	struct segment *seg;
	size_t nseg, segat, segoff;
};

struct dev {
	struct pool *pool;
	struct pool_device d;
	char *error; /* NULL: works */
	struct device_caps caps;
	bool known;        /* caps were heard */
	bool apart;        /* builders are of another command than runners */
	struct device_caps *runner, *builder; /* then: what each says; NULL: not yet */
	struct peer *peer; /* runners, then builders */
	int nrunners, npeers;
	struct map *kern; /* hash -> struct kern */
	struct kern *queue, *queue_end;
	struct original *original; /* those that jobs had for baseline */
	struct joblist ready;
	uint32_t together; /* kernels that a builder gets at once; 0, 1: each alone */
	bool custom; /* a worker command of the user's: may take longer to start */
};

struct pool {
	struct arena *arena;
	struct dev *dev;
	size_t ndev;
	struct joblist building, running, ended;
	size_t pending;
	bool submitting; /* more work comes soon */
	bool more_ahead; /* ... of what is built ahead */
	bool hold;       /* what is built ahead waits */
	uint64_t seq;
	struct pool_stats stats;
};

/* Without memory for its lists the pool cannot keep a promise. */
static inline void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

static inline double pool_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* pool_start.c: a worker process */
bool peer_start(struct peer *p, struct err *e);
/* Kills, reaps, forgets; jobs and kernels stay listed. False: its process was killed and does not end; it is left alone. */
bool peer_stop(struct peer *p);
/* Kills it, with what it started, which must not outlive it. A driver that gives a device back, with a kernel on it that does not end, takes
 * its time; other processes do not. False: it does not end. */
bool peer_kill(struct peer *p, int *status);
void peer_reaped(struct peer *p); /* its process is waited for, or left alone */
const char *const *peer_command(const struct peer *p, size_t *n);

/* pool_send.c: what is to be written to it */
bool peer_send(struct peer *p, enum wire_type type, const void *message, struct err *e);
void peer_enqueue(struct peer *p, const struct out_item *item);
bool peer_waits_to_write(const struct peer *p);
bool peer_flush(struct peer *p); /* as much as it takes; false: it is gone */

/* pool_peer.c: what comes from it */
void peer_polled(struct peer *p, short to, short from, short err);
/* What a worker printed that was not for the pool. Appends. */
void peer_said(struct peer *p, struct str *out);

/* pool_blobs.c: what a runner has, is sent and is asked about. A job's blobs lie between two messages: questions go in front. */
void peer_blob(struct peer *p, struct hash h, const void *data, size_t n, uint64_t seq); /* once per life */
void peer_ask(struct peer *p); /* all blobs of a job have been named */
bool peer_held(struct peer *p, const Wire__Held *m, struct err *e);
void peer_gave_back(struct peer *p); /* it will have no blobs once it has done what it was told so far */
bool peer_is_full(const struct peer *p); /* of blobs: unused ones are to go */
void peer_trim(struct peer *p, uint64_t oldest); /* drops blobs that no job since `oldest` named */
void peer_forget_questions(struct peer *p);

/* pool_talk.c: a message came; false: the worker talks nonsense */
bool peer_message(struct peer *p, enum wire_type type, const uint8_t *bytes, size_t n, struct err *e);
bool peer_data(struct peer *p, const uint8_t *bytes, size_t n, struct err *e);

/* pool_jobs.c: from submission to a result */
void jobs_add(struct joblist *l, struct job *j); /* by priority, then in order */
void jobs_remove(struct joblist *l, struct job *j);
bool job_new(struct pool *p, const struct pool_job *j, struct err *e);
void job_free(struct job *j);
void job_end(struct job *j, enum pool_status status, enum pool_stage stage, const char *text);
void job_deliver(struct job *j, struct arena *a, struct pool_result *out);
/* Makes the job's programs; false when it ended without a runner (equivalent, or cannot be). */
bool job_prepare(struct job *j);
bool job_send(struct job *j, struct peer *p, struct err *e);
void kern_built(struct dev *d, struct kern *k); /* or failed */
void kern_enqueue(struct dev *d, struct kern *k, int priority);
void kerns_ahead(struct dev *d, const struct bundle *b);
void kern_free(struct kern *k);
double job_patience(const struct job *j); /* seconds without a word from the runner until it is given up */

#define BUILD_S 300 /* without a word from a builder: the worker ends compilers itself before, and its first text may take four of them */

/* pool_build.c */
void pool_give_kernels(struct dev *d);

/* pool_workers.c: a worker that can take work now, of n from `first` on; starts one when it is worth it. busy_too: one that has some will do. NULL: none */
struct peer *pool_free_peer(struct dev *d, int first, int n, bool busy_too);
/* A worker's death; text says what was seen. */
/* status: of waitpid, or why it was ended from here. */
#define PEER_SILENT (-1)
#define PEER_NONSENSE (-2)
#define PEER_STUCK (-3) /* was killed, and does not end */
void pool_peer_died(struct peer *p, int status, const char *text);
void pool_dev_failed(struct dev *d, const char *text);
extern const char pool_stuck_text[]; /* why, of PEER_STUCK */
double pool_start_limit(const struct dev *d); /* seconds from a worker's start to its first word */
