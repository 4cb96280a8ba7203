/* fuzz_wire.c: bytes as what comes over the wire: to a pool, to a worker, and as a program
 *
 * The first byte chooses: 'p' a program, 'd' one told by its differences to the program below, whose hash stands for @ORIGINAL-PROGRM, 'w' frames that a worker reads, 'b' and 'r' all that a builder or a runner says to a pool
 * which waits for the kernel or the job made below; 'c' the same of a runner that is asked about blobs first, in two parts, the
 * first of four times as many bytes as the second byte says.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <poll.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "worker/pool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* y = f(x), z = g(y), of four elements; the seeds of the corpus were made for it */
#define LARGE 16384 /* large enough to be asked about */
static struct bundle_buffer buffers[] = {
    {.name = "x", .role = BUF_INPUT, .dtype = DT_F32, .nd = 1, .dim = {LARGE}},
    {.name = "y", .role = BUF_TEMP, .dtype = DT_F32, .nd = 1, .dim = {4}},
    {.name = "z", .role = BUF_OUTPUT, .dtype = DT_F32, .nd = 1, .dim = {4}},
};
static struct bundle_kernel kernels[] = {{.source = "k", .hash = {0, 5}}};
static uint32_t first[] = {0, 1}, second[] = {1, 2}, input[] = {0}, output[] = {2};
static struct bundle_launch launches[] = {
    {.name = "f", .kernel = 0, .nargs = 2, .arg = first, .nout = 1},
    {.name = "g", .kernel = 0, .nargs = 2, .arg = second, .nout = 1},
};
static struct bundle bundle = {.buffer = buffers,
			       .kernel = kernels,
			       .launch = launches,
			       .nbuffers = 3,
			       .nkernels = 1,
			       .nlaunches = 2,
			       .ninputs = 1,
			       .noutputs = 1,
			       .input = input,
			       .output = output};
static float x[LARGE];
static struct tensor tensor = {.dtype = DT_F32, .nd = 1, .dim = {LARGE}, .data = x};
static const struct tensor *tensors[] = {&tensor};
static const struct pool_input inputs[] = {{"a", tensors, 1, NULL}, {"b", tensors, 1, NULL}};

static struct pool *make_pool(void)
{
	struct arena *a = arena_new(NULL);
	struct pool *p = ARENA_NEW(a, struct pool);
	struct dev *d = ARENA_NEW(a, struct dev);

	p->arena = a;
	p->dev = d;
	p->ndev = 1;
	d->pool = p;
	d->d.name = "fuzz";
	d->d.nworker = 1;
	d->d.worker = arena_memdup(a, (const char *[]){"fuzz", NULL}, 2 * sizeof(char *));
	d->kern = map_new(a);
	d->nrunners = 1;
	d->npeers = 2;
	d->peer = ARENA_ARRAY(a, struct peer, 2);
	for (int i = 0; i < 2; i++) {
		struct peer *q = &d->peer[i];

		*q = (struct peer){
		    .dev = d, .builder = i, .to = -1, .from = -1, .err = -1, .state = PEER_STARTING, .arena = arena_new(NULL)};
		q->sent = map_new(q->arena);
	}
	return p;
}

/* One job, given to its runner or with its kernel at the builder. */
static void make_job(struct pool *p, bool runner)
{
	struct pool_job job = {.id = 1, .bundle = &bundle, .input = inputs, .ninputs = 2, .dump = true, .repeat = 2};
	struct dev *d = &p->dev[0];
	struct kern *k;

	assert(job_new(p, &job, NULL));
	k = d->queue;
	assert(k);
	d->queue = d->queue_end = NULL;
	if (!runner) {
		k->state = KERN_BUILDING;
		d->peer[1].kern[d->peer[1].nkerns++] = k;
		return;
	}
	k->state = KERN_BUILT;
	k->size = 1;
	k->data = malloc(1);
	kern_built(d, k);
	struct job *j = d->ready.first;

	jobs_remove(&d->ready, j);
	assert(job_prepare(j));
	j->state = JOB_RUNNING;
	jobs_add(&p->running, j);
	d->peer[0].job[d->peer[0].njobs++] = j;
}

static void end_pool(struct pool *p)
{
	struct arena *a = arena_new(NULL);
	struct pool_result r;
	struct err e = {0};
	bool got = false;

	if (p->ended.first) {
		assert(pool_wait(p, a, 0, &got, &r, &e) && got && r.text);
		for (size_t i = 0; r.status == POOL_DONE && i < r.nimages; i++)
			assert(r.image[i].ran);
	}
	err_free(&e);
	pool_close(p);
	arena_free(a);
}

static void to_pool(const uint8_t *data, size_t size, bool runner)
{
	struct pool *p = make_pool();
	struct peer *q = &p->dev[0].peer[!runner];

	make_job(p, runner);
	q->from = memfd_create("fuzz-wire", 0);
	assert(q->from >= 0 && write(q->from, data, size) == (ssize_t)size && !lseek(q->from, 0, SEEK_SET));
	while (q->state != PEER_DOWN) /* the end of the file is the worker's death */
		peer_polled(q, 0, POLLIN, 0);
	end_pool(p);
}

static void to_asking_pool(const uint8_t *data, size_t size)
{
	struct pool *p = make_pool();
	struct peer *q = &p->dev[0].peer[0];
	size_t first = size ? (size_t)data[0] * 4 : 0;
	int fd[2];

	data += size != 0;
	size -= size != 0;
	first = first < size ? first : size;
	assert(!pipe2(fd, O_NONBLOCK) && fcntl(fd[1], F_SETPIPE_SZ, 1 << 20) >= 1 << 20);
	make_job(p, true);
	q->keeps_blobs = true;
	assert(job_send(q->job[0], q, NULL) && q->asked == 1 && q->nout > 1);
	q->from = fd[0];
	q->to = open("/dev/null", O_WRONLY);
	for (int part = 0; part < 2 && q->state != PEER_DOWN; part++) {
		const uint8_t *from = part ? data + first : data;
		size_t n = part ? size - first : first;

		assert(write(fd[1], from, n) == (ssize_t)n);
		peer_polled(q, peer_waits_to_write(q) ? POLLOUT : 0, POLLIN, 0);
		assert(q->state == PEER_DOWN || q->answered || peer_waits_to_write(q) || q->out[0].ask == 1);
	}
	close(fd[1]);
	while (q->state != PEER_DOWN)
		peer_polled(q, peer_waits_to_write(q) ? POLLOUT : 0, POLLIN, 0);
	end_pool(p);
}

static void to_worker(const uint8_t *data, size_t size)
{
	struct err e = {0};
	struct wire_head h;
	void *m;

	for (size_t at = 0; size - at >= WIRE_HEAD && wire_head_parse(data + at, &h, &e) && h.len <= size - at - WIRE_HEAD;
	     at += WIRE_HEAD + h.len) {
		if (wire_unpack(h.type, data + at + WIRE_HEAD, h.len, &m, &e))
			wire_free(h.type, m);
		else
			assert(*err_text(&e));
		err_free(&e);
	}
	err_free(&e);
}

static void program(const uint8_t *data, size_t size, bool differs)
{
	const struct prog_kernel id = {.artefact = {1, 1}, .code = {2, 2}};
	struct arena *a = arena_new(NULL);
	struct prog *p, *base = NULL;
	struct err e = {0};
	uint8_t *bytes, *at, *copy = arena_memdup(a, data, size);
	struct wire_hash h;
	size_t n;

	if (differs) {
		assert(prog_make(a, &bundle, &id, NULL, &bytes, &n, &base, &e));
		wire_hash_put(&h, base->hash);
		if ((at = memmem(copy, size, "@ORIGINAL-PROGRM", 16)))
			memcpy(at, h.b, 16);
	}
	if (!prog_decode(a, copy, size, base, &p, &e))
		assert(*err_text(&e));
	else
		for (uint32_t i = 0; i < p->nlaunches; i++)
			for (uint32_t k = 0; k < p->launch[i].nargs; k++)
				assert(p->launch[i].kernel < p->nkernels && p->launch[i].arg[k] < p->nbuffers && p->launch[i].first_arg + k < p->nargs);
	err_free(&e);
	arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	switch (data[0]) {
	case 'p': program(data + 1, size - 1, false); break;
	case 'd': program(data + 1, size - 1, true); break;
	case 'w': to_worker(data + 1, size - 1); break;
	case 'b': to_pool(data + 1, size - 1, false); break;
	case 'r': to_pool(data + 1, size - 1, true); break;
	case 'c':
		if (size < 1 << 20)
			to_asking_pool(data + 1, size - 1);
		break;
	}
	return 0;
}
