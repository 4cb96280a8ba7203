/* pool_jobs.c: a job from its submission over its kernels and its run to the result */
#include "worker/pool.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"

#define DEFAULT_LIMIT_S 600
#define AHEAD INT_MAX /* priority */
#define SLOW_S 60 /* what a runner may need besides running: copying, hashing, the original */

/* ---- lists ------------------------------------------------------------------------------------------------- */

void jobs_add(struct joblist *l, struct job *j)
{
	struct job *after = l->last;

	while (after && (after->j.priority > j->j.priority || (after->j.priority == j->j.priority && after->seq > j->seq)))
		after = after->prev;
	j->prev = after;
	j->next = after ? after->next : l->first;
	*(after ? &after->next : &l->first) = j;
	*(j->next ? &j->next->prev : &l->last) = j;
}

void jobs_remove(struct joblist *l, struct job *j)
{
	*(j->prev ? &j->prev->next : &l->first) = j->next;
	*(j->next ? &j->next->prev : &l->last) = j->prev;
	j->next = j->prev = NULL;
}

/* ---- kernels ----------------------------------------------------------------------------------------------- */

void kern_enqueue(struct dev *d, struct kern *k, int priority)
{
	struct kern **at = &d->queue;

	k->state = KERN_QUEUED;
	k->priority = priority;
	if (d->queue_end && d->queue_end->priority <= priority) {
		at = &d->queue_end->next;
	} else {
		while (*at && (*at)->priority <= priority)
			at = &(*at)->next;
	}
	k->next = *at;
	*at = k;
	if (!k->next)
		d->queue_end = k;
}

/* A job wants what is built ahead. */
static void kern_claim(struct dev *d, struct kern *k, int priority)
{
	struct kern *before = NULL;

	k->ahead = false;
	k->priority = priority;
	if (k->state != KERN_QUEUED)
		return;
	for (struct kern *q = d->queue; q != k; q = q->next)
		before = q;
	*(before ? &before->next : &d->queue) = k->next;
	if (d->queue_end == k)
		d->queue_end = before;
	kern_enqueue(d, k, priority);
}

/* What a job that is alone builds has a name of its own: nobody else finds it. */
static struct hash kern_name(const struct job *j, const struct bundle_kernel *b)
{
	struct hasher *h;

	if (!j->j.alone)
		return b->hash;
	h = hasher_new();
	hash_put_hash(h, b->hash);
	hash_put_u64(h, j->seq);
	return hasher_end(h);
}

/* j: the job that wants it; NULL: none yet. */
static struct kern *kern_get(struct dev *d, const struct job *j, const struct bundle_kernel *b)
{
	struct hash name = j ? kern_name(j, b) : b->hash;
	struct kern *k = map_get_hash(d->kern, name);

	if (!k) {
		k = must(calloc(1, sizeof *k));
		k->hash = name;
		k->contract = b->contract;
		k->alone = j && j->j.alone;
		map_put_hash(d->kern, name, k);
	}
	if (j && k->state == KERN_FAILED && k->why == WIRE_BUILT_REFUSED) { /* to be seen again: the compiler may have been what was broken */
		free(k->log);
		k->log = NULL;
		k->troubles = k->lost = 0;
		k->state = KERN_IDLE;
	}
	if (!k->source && !k->data && k->state != KERN_FAILED)
		k->source = must(strdup(b->source));
	return k;
}

static void wait_for(struct job *j, struct kern *k)
{
	if (k->nwaiters == k->cap) {
		k->cap = k->cap ? k->cap * 2 : 4;
		k->waiter = must(realloc(k->waiter, k->cap * sizeof *k->waiter));
	}
	k->waiter[k->nwaiters++] = j;
	j->nwait++;
}

static void stop_waiting(struct job *j, struct kern *k)
{
	for (size_t i = 0; i < k->nwaiters;)
		if (k->waiter[i] == j)
			k->waiter[i] = k->waiter[--k->nwaiters];
		else
			i++;
}

/* Artefacts that nobody needs now go; the original's, which come again and again, stay. */
static void drop_unused(struct kern *k)
{
	if (k->users || k->uses > 1 || k->ahead || k->state != KERN_BUILT)
		return;
	free(k->data);
	k->data = NULL;
	k->state = KERN_IDLE;
}

static void kern_release(struct kern *k)
{
	k->users--;
	drop_unused(k);
}

void kerns_ahead(struct dev *d, const struct bundle *b)
{
	for (uint32_t i = 0; i < b->nkernels; i++) {
		struct kern *k = kern_get(d, NULL, &b->kernel[i]);

		if (k->state != KERN_IDLE)
			continue;
		k->ahead = true;
		kern_enqueue(d, k, AHEAD);
	}
}

void kern_free(struct kern *k)
{
	free(k->source);
	free(k->data);
	free(k->log);
	free(k->waiter);
	free(k);
}

/* ---- submission -------------------------------------------------------------------------------------------- */

static bool check_bundle(const struct bundle *b, struct err *e)
{
	for (uint32_t i = 0; i < b->nbuffers; i++) {
		int64_t n;

		if (b->buffer[i].nd < 0 || b->buffer[i].nd > MAX_DIMS || !dims_elements(b->buffer[i].dim, b->buffer[i].nd, &n))
			return err_set(e, ERR_UNSUPPORTED, "buffer '%s' is too large", b->buffer[i].name);
	}
	return true;
}

static bool check_inputs(const struct bundle *b, const struct pool_input *in, size_t n, struct err *e)
{
	if (b->ninputs && n > WIRE_MAX_MESSAGE / 64 / b->ninputs) /* job_send relies on it */
		return err_set(e, ERR_USAGE, "%zu inputs are too many for one job", n);
	for (size_t i = 0; i < n; i++) {
		if (in[i].ntensors != b->ninputs)
			return err_set(e, ERR_USAGE, "'%s': %zu tensors for a program of %u inputs",
				       in[i].name ? in[i].name : "input", in[i].ntensors, b->ninputs);
		for (uint32_t t = 0; t < b->ninputs; t++) {
			const struct bundle_buffer *buf = &b->buffer[b->input[t]];
			struct tensor shape = {.dtype = buf->dtype, .nd = buf->nd};

			memcpy(shape.dim, buf->dim, sizeof buf->dim);
			if (in[i].tensor[t]->dtype != buf->dtype || tensor_bytes(in[i].tensor[t]) != tensor_bytes(&shape))
				return err_set(e, ERR_USAGE, "'%s': a tensor of another type or size than input '%s'",
					       in[i].name ? in[i].name : "input", buf->name);
		}
	}
	return true;
}

static void want_kernels(struct job *j)
{
	const struct bundle *b[2] = {j->j.bundle, j->j.baseline};
	uint32_t n = 0;

	j->nkern = b[0]->nkernels + (b[1] ? b[1]->nkernels : 0);
	j->kern = must(calloc(j->nkern ? j->nkern : 1, sizeof *j->kern));
	for (int which = 0; which < 2 && b[which]; which++)
		for (uint32_t i = 0; i < b[which]->nkernels; i++) {
			struct kern *k = j->kern[n++] = kern_get(j->dev, j, &b[which]->kernel[i]);

			k->users++;
			k->uses++;
			if (k->ahead)
				kern_claim(j->dev, k, j->j.priority);
		}
	for (uint32_t i = 0; i < n; i++) {
		struct kern *k = j->kern[i];

		if (k->state == KERN_BUILT || k->state == KERN_FAILED)
			continue;
		if (k->state == KERN_IDLE)
			kern_enqueue(j->dev, k, j->j.priority);
		wait_for(j, k);
	}
}

/* All kernels are there, or one cannot be. */
static void built(struct job *j)
{
	struct pool *p = j->dev->pool;

	jobs_remove(&p->building, j);
	for (uint32_t i = 0; i < j->j.bundle->nkernels; i++)
		if (j->kern[i]->state == KERN_FAILED) {
			for (uint32_t k = 0; k < j->nkern; k++)
				stop_waiting(j, j->kern[k]);
			j->arena = arena_new(NULL);
			j->r.log = arena_strdup(j->arena, j->kern[i]->log);
			job_end(j, j->kern[i]->why == WIRE_BUILT_ERROR || j->j.bundle->kernel[i].plain ? POOL_LOST : POOL_BUILD_FAILED,
				POOL_BUILD,
				j->j.bundle->kernel[i].plain ? "the compiler refused an instrumented kernel"
				: j->kern[i]->why == WIRE_BUILT_TIMEOUT ? "the compiler took too long"
				: j->kern[i]->why == WIRE_BUILT_ERROR ? "the compiler could not be run"
								      : "the compiler refused a kernel");
			return;
		}
	j->state = JOB_READY;
	if (j->j.build_only) {
		if (job_prepare(j))
			job_end(j, POOL_DONE, POOL_BUILD, "");
		return;
	}
	jobs_add(&j->dev->ready, j);
}

static bool hopeless(const struct job *j)
{
	for (uint32_t i = 0; i < j->j.bundle->nkernels; i++)
		if (j->kern[i]->state == KERN_FAILED)
			return true;
	return false;
}

void kern_built(struct dev *d, struct kern *k)
{
	struct job **w = k->waiter;
	size_t n = k->nwaiters;

	free(k->source);
	k->source = NULL;
	k->waiter = NULL; /* jobs that end now look for themselves in here */
	k->nwaiters = k->cap = 0;
	for (size_t i = 0; i < n; i++) {
		struct job *j = w[i];

		if (j->state == JOB_BUILDING && (!--j->nwait || (k->state == KERN_FAILED && hopeless(j))))
			built(j);
	}
	free(w);
	drop_unused(k);
}

bool job_new(struct pool *p, const struct pool_job *given, struct err *e)
{
	struct job *j;

	if (!check_bundle(given->bundle, e) || (given->baseline && !check_bundle(given->baseline, e)))
		return err_in(e, "job %llu", (unsigned long long)given->id);
	if (!given->build_only &&
	    (!check_inputs(given->bundle, given->input, given->ninputs, e) ||
	     (given->baseline &&
	      !check_inputs(given->baseline, given->baseline_input ? given->baseline_input : given->input, given->ninputs, e))))
		return err_in(e, "job %llu", (unsigned long long)given->id);
	assert(!given->once || (!given->baseline && !given->dump));
	j = must(calloc(1, sizeof *j));
	j->j = *given;
	j->dev = &p->dev[given->device];
	j->seq = ++p->seq;
	p->pending++;
	if (j->dev->error) {
		char *text = strdup(j->dev->error);

		j->kern = must(calloc(1, sizeof *j->kern));
		job_end(j, POOL_LOST, POOL_START, text);
		free(text);
		return true;
	}
	want_kernels(j);
	jobs_add(&p->building, j);
	if (!j->nwait || hopeless(j))
		built(j);
	return true;
}

void job_free(struct job *j)
{
	arena_free(j->arena);
	free(j->kern);
	free(j);
}

/* ---- running ----------------------------------------------------------------------------------------------- */

static struct prog_kernel *kernel_ids(struct arena *a, const struct job *j, uint32_t first, uint32_t n)
{
	struct prog_kernel *id = ARENA_ARRAY(a, struct prog_kernel, n);

	for (uint32_t i = 0; i < n; i++)
		id[i] = j->kern[first + i]->id;
	return id;
}

static bool same_kernels(const struct original *o, const struct job *j, uint32_t first)
{
	for (uint32_t i = 0; i < o->bundle->nkernels; i++)
		if (!hash_eq(o->id[i].artefact, j->kern[first + i]->id.artefact) || !hash_eq(o->id[i].code, j->kern[first + i]->id.code))
			return false;
	return true;
}

static bool original(struct job *j, const struct original **out, struct err *e)
{
	const struct bundle *b = j->j.baseline;
	uint32_t first = j->j.bundle->nkernels;
	struct arena *a = j->dev->pool->arena;
	struct original *o = j->dev->original;

	while (o && (o->bundle != b || !same_kernels(o, j, first)))
		o = o->next;
	if (!o) {
		o = ARENA_NEW(a, struct original);
		o->bundle = b;
		o->id = kernel_ids(a, j, first, b->nkernels);
		if (!prog_make(a, b, o->id, NULL, &o->bytes, &o->n, &o->prog, e))
			return false;
		o->next = j->dev->original;
		j->dev->original = o;
	}
	*out = o;
	return true;
}

static bool same_inputs(const struct pool_job *j)
{
	if (!j->baseline_input || j->baseline_input == j->input)
		return true;
	for (size_t i = 0; i < j->ninputs; i++)
		for (size_t t = 0; t < j->input[i].ntensors; t++) {
			const struct tensor *a = j->input[i].tensor[t];
			const struct tensor *b = t < j->baseline_input[i].ntensors ? j->baseline_input[i].tensor[t] : NULL;

			if (!b || (a != b && (tensor_bytes(a) != tensor_bytes(b) || memcmp(a->data, b->data, tensor_bytes(a)))))
				return false;
		}
	return true;
}

static bool baseline_built(const struct job *j)
{
	for (uint32_t i = j->j.bundle->nkernels; i < j->nkern; i++)
		if (j->kern[i]->state != KERN_BUILT)
			return false;
	return j->j.baseline != NULL;
}

bool job_prepare(struct job *j)
{
	const struct bundle *b = j->j.bundle;
	struct prog_base base;
	bool differs;
	struct err e = {0};

	arena_free(j->arena);
	j->arena = arena_new(NULL);
	j->r = (struct pool_result){0};
	j->base = NULL;
	if (!baseline_built(j))
		j->j.baseline = NULL; /* an original that cannot be built is no help */
	/* a runner knows the original by then, but for one that takes times */
	differs = j->j.baseline && original(j, &j->base, &e) && !j->j.repeat;
	if (differs)
		base = (struct prog_base){j->base->bundle, j->base->id, j->base->prog};
	if ((j->j.baseline && !j->base) || !prog_make(j->arena, b, kernel_ids(j->arena, j, 0, b->nkernels), differs ? &base : NULL, &j->program,
						      &j->nprogram, &j->prog, &e)) {
		job_end(j, POOL_LOST, POOL_BUILD, err_text(&e));
		err_free(&e);
		return false;
	}
	j->r.code = j->prog->code;
	j->r.nimages = j->j.build_only ? 0 : j->j.ninputs;
	j->r.image = ARENA_ARRAY(j->arena, struct pool_image, j->r.nimages);
	j->r.kernel_code = ARENA_ARRAY(j->arena, struct hash, b->nkernels);
	j->r.nkernels = b->nkernels;
	for (uint32_t i = 0; i < b->nkernels; i++)
		j->r.kernel_code[i] = j->kern[b->kernel[i].plain ? b->kernel[i].plain - 1 : i]->id.code;
	if (j->base && !j->j.run_equivalent && hash_eq(j->base->prog->code, j->prog->code) && same_inputs(&j->j)) {
		job_end(j, POOL_EQUIVALENT, POOL_BUILD, "the same code as the original's");
		return false;
	}
	if (j->j.wanted && !j->j.build_only && !j->j.wanted(j->j.user, &j->j, j->r.code)) {
		job_end(j, POOL_SKIPPED, POOL_BUILD, "not wanted with this code");
		return false;
	}
	return true;
}

static bool is_constant(const struct bundle *b, uint32_t i, struct hash h)
{
	return i < b->nbuffers && b->buffer[i].role == BUF_CONST && hash_eq(b->buffer[i].hash, h);
}

/* What the kernels and constants of a program are made of, but for those that are another's in the same place. */
static void send_parts(struct job *j, struct peer *p, const struct bundle *b, uint32_t first, const struct original *had)
{
	for (uint32_t i = 0; i < b->nkernels; i++) {
		const struct kern *k = j->kern[first + i];

		if (!had || i >= had->bundle->nkernels || !hash_eq(had->id[i].artefact, k->id.artefact))
			peer_blob(p, k->id.artefact, k->data, k->size, j->seq);
	}
	for (uint32_t i = 0; i < b->nbuffers; i++)
		if (b->buffer[i].role == BUF_CONST && !(had && is_constant(had->bundle, i, b->buffer[i].hash))) {
			struct tensor t = {.dtype = b->buffer[i].dtype, .nd = b->buffer[i].nd};

			memcpy(t.dim, b->buffer[i].dim, sizeof t.dim);
			peer_blob(p, b->buffer[i].hash, b->buffer[i].data, tensor_bytes(&t), j->seq);
		}
}

static void send_baseline(struct job *j, struct peer *p)
{
	peer_blob(p, j->base->prog->hash, j->base->bytes, j->base->n, j->seq);
	send_parts(j, p, j->j.baseline, j->j.bundle->nkernels, NULL);
	p->base = j->base;
}

static ProtobufCBinaryData *send_tensors(struct job *j, struct peer *p, const struct pool_input *in)
{
	ProtobufCBinaryData *h = ARENA_ARRAY(j->arena, ProtobufCBinaryData, in->ntensors);

	for (size_t t = 0; t < in->ntensors; t++) {
		size_t n = tensor_bytes(in->tensor[t]);
		struct hash hash = in->hash ? in->hash[t] : hash_bytes(in->tensor[t]->data, n);

		peer_blob(p, hash, in->tensor[t]->data, n, j->seq);
		h[t] = wire_hash_put(ARENA_NEW(j->arena, struct wire_hash), hash);
	}
	return h;
}

bool job_send(struct job *j, struct peer *p, struct err *e)
{
	const struct pool_input *base_in = j->j.baseline_input ? j->j.baseline_input : j->j.input;
	Wire__Run m = WIRE__RUN__INIT;
	struct wire_hash program, baseline;
	int threads = j->j.threads ? j->j.threads : j->dev->d.threads;

	if (j->j.baseline) { /* first, so that its constants lie where they lie on every runner */
		if (p->base != j->base)
			send_baseline(j, p);
		m.baseline = wire_hash_put(&baseline, j->base->prog->hash);
	}
	peer_blob(p, j->prog->hash, j->program, j->nprogram, j->seq);
	send_parts(j, p, j->j.bundle, 0, j->base);
	j->announced = false;
	j->at = POOL_START;
	m.id = j->seq;
	m.program = wire_hash_put(&program, j->prog->hash);
	m.warmup = j->j.warmup > 0 ? (uint32_t)j->j.warmup : 0;
	m.repeat = j->j.repeat > 0 ? (uint32_t)j->j.repeat : 0;
	m.threads = threads > 0 ? (uint32_t)threads : (uint32_t)j->dev->caps.threads;
	m.time_limit = j->j.time_limit_s > 0 ? j->j.time_limit_s : DEFAULT_LIMIT_S;
	m.dump = j->j.dump;
	m.once = j->j.once;
	m.fill = j->j.fill.kind;
	m.fill_seed = j->j.fill.seed;
	m.n_input = j->j.ninputs;
	m.input = ARENA_ARRAY(j->arena, Wire__Input *, m.n_input);
	for (size_t i = 0; i < m.n_input; i++) {
		Wire__Input *in = m.input[i] = ARENA_NEW(j->arena, Wire__Input);

		wire__input__init(in);
		in->n_tensor = j->j.input[i].ntensors;
		in->tensor = send_tensors(j, p, &j->j.input[i]);
		if (j->j.baseline) {
			in->n_baseline = base_in[i].ntensors;
			in->baseline = base_in == j->j.input ? in->tensor : send_tensors(j, p, &base_in[i]);
		}
	}
	if (j->base && peer_is_full(p)) /* of the baseline's, nothing is unused */
		send_baseline(j, p);
	peer_ask(p);
	if (!peer_send(p, WIRE_RUN, &m, e))
		return false;
	if (m.once)
		peer_gave_back(p);
	j->written = p->queued;
	j->signs = 0;
	return true;
}

double job_patience(const struct job *j)
{
	double limit = j->j.time_limit_s > 0 ? j->j.time_limit_s : DEFAULT_LIMIT_S;
	int reps = j->j.repeat > 0 ? j->j.repeat + (j->j.warmup > 0 ? j->j.warmup : 0) : 1;

	return (limit > SLOW_S ? limit : SLOW_S) * reps + SLOW_S;
}

/* ---- the end ----------------------------------------------------------------------------------------------- */

void job_end(struct job *j, enum pool_status status, enum pool_stage stage, const char *text)
{
	if (!j->arena)
		j->arena = arena_new(NULL);
	j->r.job = j->j.id;
	j->r.device = j->j.device;
	j->r.status = status;
	j->r.stage = stage;
	j->r.text = arena_strdup(j->arena, text);
	if (!j->r.image && !j->j.build_only) {
		j->r.nimages = j->j.ninputs;
		j->r.image = ARENA_ARRAY(j->arena, struct pool_image, j->r.nimages);
	}
	for (uint32_t i = 0; i < j->nkern; i++) {
		struct kern *k = j->kern[i];

		if (i < j->j.bundle->nkernels && k->state == KERN_BUILT && !k->counted) {
			k->counted = true;
			j->r.build_s += k->cached ? 0 : k->seconds;
			j->r.kernels_built += !k->cached;
			j->r.kernels_cached += k->cached;
		}
	}
	for (uint32_t i = 0; i < j->nkern; i++)
		kern_release(j->kern[i]);
	j->nkern = 0;
	j->state = JOB_ENDED;
	j->next = j->prev = NULL;
	jobs_add(&j->dev->pool->ended, j);
}

static void copy_tensor(struct arena *a, struct tensor *t)
{
	t->data = arena_memdup(a, t->data, tensor_bytes(t));
}

static void copy_image(struct arena *a, struct pool_image *im, const struct job *j)
{
	struct tensor *out;
	struct pool_tensor *dump;

	im->unwritten_by = arena_strdup(a, im->unwritten_by);
	im->unwritten_in = arena_strdup(a, im->unwritten_in);
	if (im->times_s)
		im->times_s = arena_memdup(a, im->times_s, (size_t)j->j.repeat * sizeof *im->times_s);
	if (im->launch_s)
		im->launch_s = arena_memdup(a, im->launch_s, j->prog->nlaunches * sizeof *im->launch_s);
	if (im->output) {
		im->output = out = arena_memdup(a, im->output, j->prog->noutputs * sizeof *out);
		for (uint32_t i = 0; i < j->prog->noutputs; i++)
			copy_tensor(a, &out[i]);
	}
	if (!im->ndump) {
		im->dump = NULL;
		return;
	}
	im->dump = dump = arena_memdup(a, im->dump, im->ndump * sizeof *dump);
	for (size_t i = 0; i < im->ndump; i++) {
		dump[i].name = arena_strdup(a, dump[i].name);
		copy_tensor(a, &dump[i].value);
	}
}

void job_deliver(struct job *j, struct arena *a, struct pool_result *out)
{
	*out = j->r;
	out->launch = arena_strdup(a, j->r.launch);
	out->buffer = arena_strdup(a, j->r.buffer);
	out->text = arena_strdup(a, j->r.text);
	out->log = arena_strdup(a, j->r.log);
	out->kernel_code = j->r.kernel_code ? arena_memdup(a, j->r.kernel_code, j->r.nkernels * sizeof *j->r.kernel_code) : NULL;
	out->image = arena_memdup(a, j->r.image, j->r.nimages * sizeof *j->r.image);
	for (size_t i = 0; i < out->nimages; i++)
		copy_image(a, &out->image[i], j);
}
