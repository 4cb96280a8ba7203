/* pool_talk.c: what a worker says, checked against what it was asked */
#include "worker/pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "base/map.h"

#define MIN_SIGNS 1000
#define MAX_TROUBLES 3 /* builders that had no memory, no process ... for one kernel */
#define SIGNS_PER_STEP 16 /* a runner announces a step once or twice */

static const char *or_none(struct arena *a, const char *s)
{
	return arena_strdup(a, s ? s : "");
}

static bool other_version(uint32_t version, struct err *e)
{
	return err_set(e, ERR_DEVICE,
		       "'mutatenn-worker' there speaks version %u of the protocol, this program version %d: install the same "
		       "release on both sides",
		       version, WIRE_VERSION);
}

/* Builder and runner of a device that builds elsewhere: each knows its half. */
static struct device_caps join(struct arena *a, const struct device_caps *b, const struct device_caps *r)
{
	struct device_caps c = *r;

	c.lanes = b->lanes;
	c.build = b->build;
	c.together = b->together;
	c.describe = arena_printf(a, "%s, %s", b->describe, r->describe);
	c.identity = arena_printf(a, "%s, %s", b->identity, r->identity);
	return c;
}

/* What a worker of its kind says for the first time, or again. */
static bool take_caps(struct peer *p, const Wire__Ready *m, struct err *e)
{
	struct dev *d = p->dev;
	struct arena *a = d->pool->arena;
	struct device_caps **mine = d->apart && p->builder ? &d->builder : &d->runner, c;

	if (*mine) {
		if ((d->apart || !p->builder) && strcmp((*mine)->identity, m->identity) != 0)
			return err_set(e, ERR_DEVICE, "the worker is now on another machine or compiler: '%s', before '%s'",
				       m->identity, (*mine)->identity);
		/* a builder beside its runner knows only its half; were its flags others, so would be all kernels */
		if (!d->apart && p->builder && strcmp((*mine)->build, m->build) != 0)
			return err_set(e, ERR_DEVICE, "the compiler now builds with '%s', before with '%s'", m->build, (*mine)->build);
		return true;
	}
	c = (struct device_caps){.backend = or_none(a, m->backend),
				 .dialect = or_none(a, m->dialect),
				 .describe = or_none(a, m->describe),
				 .identity = or_none(a, m->identity),
				 .lanes = (int)m->lanes,
				 .threads = (int)m->threads,
				 .isolates = m->isolates,
				 .cls = (enum device_class)m->cls,
				 .max_group = m->max_group,
				 .local_memory = m->local_memory,
				 .memory = m->memory,
				 .machine = or_none(a, m->machine),
				 .build = or_none(a, m->build),
				 .together = m->together,
				 .types = m->types};
	*mine = arena_memdup(a, &c, sizeof c);
	if (d->apart && (!d->builder || !d->runner))
		return true;
	if (d->apart && *d->builder->machine && strcmp(d->builder->machine, d->runner->machine) != 0)
		return err_set(e, ERR_DEVICE, "the builder's compiler makes code for %s, and the runner is %s", d->builder->machine,
			       d->runner->machine);
	d->caps = d->apart ? join(a, d->builder, d->runner) : c;
	d->together = d->d.together > 0 && (uint32_t)d->d.together < d->caps.together ? (uint32_t)d->d.together : d->caps.together;
	d->known = true;
	return true;
}

static bool on_ready(struct peer *p, const Wire__Ready *m, struct err *e)
{
	struct dev *d = p->dev;
	bool said = d->known;

	if (p->state != PEER_STARTING)
		return err_set(e, ERR_PARSE, "a second greeting");
	if (m->version != WIRE_VERSION)
		return other_version(m->version, e);
	if (m->big_endian)
		return err_set(e, ERR_DEVICE, "this worker is big-endian, which is not supported yet");
	if (*m->error) /* a device that worked may have trouble for a moment */
		return err_set(e, d->known ? ERR_IO : ERR_DEVICE, "%s", m->error);
	if (!take_caps(p, m, e))
		return false;
	p->state = PEER_READY;
	p->keeps_blobs = m->keeps_blobs && !p->builder;
	if (p->bad_starts && d->custom)
		log_info("device '%s': connected again", d->d.name);
	p->bad_starts = 0;
	p->gone_since = 0;
	p->deadline = 0;
	if (!said && p->printed.n) {
		while (p->printed.n && p->printed.s[p->printed.n - 1] == '\n')
			p->printed.n--;
		log_info("device '%s': the worker command printed: %.*s", d->d.name, (int)p->printed.n, p->printed.s);
	}
	return true;
}

static void expect(struct peer *p, size_t n)
{
	free(p->seg);
	p->seg = calloc(n ? n : 1, sizeof *p->seg);
	if (!p->seg)
		abort();
	p->nseg = 0;
	p->segat = p->segoff = 0;
}

/* ---- builders ---------------------------------------------------------------------------------------------- */

static bool on_built(struct peer *p, const Wire__Built *m, struct err *e)
{
	struct kern *k = p->nkerns ? p->kern[0] : NULL;

	if (!k || m->id != k->hash.lo)
		return err_set(e, ERR_PARSE, "a kernel that was not asked for");
	expect(p, 1);
	if (m->status == WIRE_BUILT_OK) {
		free(k->data);
		k->size = m->size;
		if (!(k->data = malloc(k->size)))
			abort();
		p->seg[p->nseg++] = (struct segment){k->data, k->size, wire_hash_get(m->hash)};
	}
	return true;
}

/* What it was at is over; what it has been given besides begins. */
static void count_time(struct peer *p, double *sum)
{
	double now = pool_now();

	*sum += now - p->busy_since;
	p->busy_since = now;
}

static void end_built(struct peer *p, const Wire__Built *m)
{
	struct kern *k = p->kern[0];
	struct pool_stats *st = &p->dev->pool->stats;

	memmove(p->kern, p->kern + 1, sizeof *p->kern * (size_t)--p->nkerns);
	p->failures = 0;
	if (*m->apart && p->dev->together) {
		p->dev->together = 0;
		log_warn("device '%s' builds each kernel alone from here on: %s", p->dev->d.name, m->apart);
	}
	if (m->status == WIRE_BUILT_ERROR && ++k->troubles < MAX_TROUBLES) {
		kern_enqueue(p->dev, k, k->priority);
		return;
	}
	count_time(p, &st->building_s);
	k->seconds = m->seconds;
	k->cached = m->cached;
	k->counted = false;
	k->why = (enum wire_built)m->status;
	if (m->status == WIRE_BUILT_OK) {
		k->id = (struct prog_kernel){.artefact = wire_hash_get(m->hash), .code = wire_hash_get(m->code)};
		k->state = KERN_BUILT;
		st->kernels_built += !m->cached;
		st->kernels_cached += m->cached;
		st->kernels_together += m->together;
	} else {
		free(k->log);
		k->log = strdup(m->log);
		k->state = KERN_FAILED;
	}
	st->build_s += m->cached ? 0 : m->seconds;
	kern_built(p->dev, k);
}

/* ---- runners ----------------------------------------------------------------------------------------------- */

static struct job *running(struct peer *p, uint64_t id)
{
	struct job *j = p->njobs && p->job[0]->seq == id ? p->job[0] : NULL;

	return j && p->queued - p->nout >= j->written ? j : NULL;
}

static bool tensor_of(struct job *j, const Wire__Tensor *m, uint32_t buffer, struct pool_tensor *out, struct peer *p, struct err *e)
{
	const struct prog_buffer *b = &j->prog->buffer[buffer];

	if (m->buffer != buffer)
		return err_set(e, ERR_PARSE, "tensors in another order than asked for");
	*out = (struct pool_tensor){.name = b->name,
				    .key = wire_hash_get(m->key),
				    .cut_off = m->cut_off,
				    .reused = m->reused,
				    .value = {.dtype = b->dtype, .nd = b->nd}};
	memcpy(out->value.dim, b->dim, sizeof b->dim);
	out->value.data = arena_alloc(j->arena, b->bytes);
	p->seg[p->nseg++] = (struct segment){out->value.data, b->bytes, wire_hash_get(m->hash)};
	return true;
}

static bool take_tensors(struct peer *p, struct job *j, struct pool_image *im, const Wire__Image *m, struct err *e)
{
	const struct prog *g = j->prog;
	struct tensor *output = ARENA_ARRAY(j->arena, struct tensor, g->noutputs);
	struct pool_tensor *dump, one;
	uint32_t n = 0, written = 0;

	for (uint32_t i = 0; j->j.dump && i < g->nbuffers; i++)
		written += g->buffer[i].writer >= 0;
	if (m->n_tensor != (size_t)g->noutputs + written)
		return err_set(e, ERR_PARSE, "%zu tensors, not %u", m->n_tensor, g->noutputs + written);
	expect(p, m->n_tensor);
	for (uint32_t i = 0; i < g->noutputs; i++) {
		if (!tensor_of(j, m->tensor[n++], g->output[i], &one, p, e))
			return false;
		output[i] = one.value;
	}
	im->output = output;
	im->dump = dump = ARENA_ARRAY(j->arena, struct pool_tensor, written);
	for (uint32_t i = 0; written && i < g->nbuffers; i++)
		if (g->buffer[i].writer >= 0 && !tensor_of(j, m->tensor[n++], i, &dump[im->ndump++], p, e))
			return false;
	return true;
}

/* Id 0: an original runs for the job in front. */
static bool on_stage(struct peer *p, const Wire__Stage *m, struct err *e)
{
	struct job *j = m->id ? running(p, m->id) : p->njobs ? p->job[0] : NULL;

	if (!j || m->stage > POOL_END || (m->id && m->launch > j->prog->nlaunches))
		return err_set(e, ERR_PARSE, "a stage of a job that was not asked for");
	j->announced = true;
	j->at = m->id ? (enum pool_stage)m->stage : POOL_START;
	j->at_launch = m->id ? m->launch : 0;
	expect(p, 0);
	return true;
}

/* A worker that only ever says that it is still at it would never be given up. */
static bool on_sign_of_life(struct peer *p, struct err *e)
{
	struct job *j = p->njobs ? p->job[0] : NULL;
	uint64_t steps;

	if (!j)
		return err_set(e, ERR_PARSE, "a sign of life without a job");
	steps = (uint64_t)j->prog->nlaunches + j->prog->nkernels;
	if (j->j.baseline)
		steps += (uint64_t)j->j.baseline->nlaunches + j->j.baseline->nkernels;
	return ++j->signs <= MIN_SIGNS + SIGNS_PER_STEP * steps * (j->r.nimages + 1) ||
	       err_set(e, ERR_PARSE, "%llu signs of life during one job", (unsigned long long)j->signs);
}

static bool on_image(struct peer *p, const Wire__Image *m, struct err *e)
{
	struct job *j = running(p, m->id);
	struct pool_image *im;

	if (!j || m->index >= j->r.nimages || j->r.image[m->index].ran)
		return err_set(e, ERR_PARSE, "an image that was not asked for");
	im = &j->r.image[m->index];
	*im = (struct pool_image){.ran = true,
				  .status = (enum pool_status)m->status,
				  .launches_run = m->launches_run,
				  .launches_saved = m->launches_saved,
				  .time_s = m->time};
	if ((uint64_t)m->launches_run + m->launches_saved > j->prog->nlaunches)
		return err_set(e, ERR_PARSE, "more launches than the program has");
	if (m->n_times != (j->j.repeat && (m->status == POOL_DONE || m->status == POOL_OVERRUN) ? (size_t)j->j.repeat : 0))
		return err_set(e, ERR_PARSE, "another number of times than asked for");
	if (m->n_times)
		im->times_s = arena_memdup(j->arena, m->times, m->n_times * sizeof *m->times);
	if (m->n_launch && (!m->n_times || m->n_launch != j->prog->nlaunches))
		return err_set(e, ERR_PARSE, "times of other launches than the program's");
	if (m->n_launch)
		im->launch_s = arena_memdup(j->arena, m->launch, m->n_launch * sizeof *m->launch);
	im->transfer_s = m->transfer;
	if (m->unwritten) {
		if (m->unwritten_launch >= j->prog->nlaunches || m->unwritten_buffer >= j->prog->nbuffers)
			return err_set(e, ERR_PARSE, "elements that nobody wrote, of no buffer");
		im->unwritten = m->unwritten;
		im->unwritten_by = j->prog->launch[m->unwritten_launch].name;
		im->unwritten_in = j->prog->buffer[m->unwritten_buffer].name;
	}
	expect(p, 0);
	if (m->status == POOL_DONE || m->status == POOL_OVERRUN)
		return take_tensors(p, j, im, m, e);
	return !m->n_tensor || err_set(e, ERR_PARSE, "tensors of an image that has none");
}

static bool on_done(struct peer *p, const Wire__Done *m, struct err *e)
{
	struct job *j = running(p, m->id);
	struct pool_stats *st = &p->dev->pool->stats;

	if (!j || m->launch > j->prog->nlaunches || m->buffer > j->prog->nbuffers)
		return err_set(e, ERR_PARSE, "the end of a job that was not asked for");
	if (m->status == POOL_EQUIVALENT || m->status == POOL_BUILD_FAILED)
		return err_set(e, ERR_PARSE, "an end that no run has");
	for (uint32_t i = 0; (m->status == POOL_DONE || m->status == POOL_OVERRUN) && i < j->r.nimages; i++) {
		const struct pool_image *im = &j->r.image[i];

		if (!im->ran || (im->status != POOL_DONE && im->status != m->status))
			return err_set(e, ERR_PARSE, "a job done with images that are not");
	}
	memmove(p->job, p->job + 1, sizeof *p->job * (PEER_DEPTH - 1));
	p->njobs--;
	p->failures = 0;
	for (uint32_t i = 0; i < j->r.nimages; i++) {
		st->launches_run += j->r.image[i].launches_run;
		st->launches_saved += j->r.image[i].launches_saved;
	}
	count_time(p, &st->running_s);
	st->run_s += m->seconds;
	j->r.run_s = m->seconds;
	memcpy(j->r.step_s, m->step, sizeof j->r.step_s);
	j->r.signal = m->signal;
	j->r.launch = m->launch ? j->prog->launch[m->launch - 1].name : NULL;
	j->r.buffer = m->buffer ? j->prog->buffer[m->buffer - 1].name : NULL;
	jobs_remove(&p->dev->pool->running, j);
	job_end(j, (enum pool_status)m->status, (enum pool_stage)m->stage, m->text);
	if (*m->lost)
		return err_set(e, ERR_DEVICE, "%s", m->lost);
	return true;
}

/* ---- frames ------------------------------------------------------------------------------------------------ */

static bool begin(struct peer *p, enum wire_type type, const void *m, struct err *e)
{
	if (p->state == PEER_STARTING && type != WIRE_READY)
		return err_set(e, ERR_PARSE, "the first message is not a greeting");
	switch (type) {
	case WIRE_READY: return on_ready(p, m, e);
	case WIRE_BUILT: return on_built(p, m, e);
	case WIRE_IMAGE: return on_image(p, m, e);
	case WIRE_DONE: return on_done(p, m, e);
	case WIRE_STAGE: return on_sign_of_life(p, e) && on_stage(p, m, e);
	case WIRE_HELD: return peer_held(p, m, e);
	case WIRE_PULSE: return on_sign_of_life(p, e);
	default: return err_set(e, ERR_PARSE, "a message that only pools send");
	}
}

/* Acts on a message whose data are complete. */
static bool finish(struct peer *p, struct err *e)
{
	bool ok = true;

	for (size_t i = 0; ok && i < p->nseg; i++)
		if (!hash_eq(hash_bytes(p->seg[i].p, p->seg[i].n), p->seg[i].hash))
			ok = err_set(e, ERR_PARSE, "data that do not have their hash");
	if (ok && p->type == WIRE_BUILT)
		end_built(p, p->message);
	wire_free(p->type, p->message);
	p->message = NULL;
	p->nseg = p->segat = p->segoff = 0;
	return ok;
}

static void skip_empty(struct peer *p)
{
	while (p->segat < p->nseg && p->segoff == p->seg[p->segat].n) {
		p->segat++;
		p->segoff = 0;
	}
}

bool peer_message(struct peer *p, enum wire_type type, const uint8_t *bytes, size_t n, struct err *e)
{
	if (p->message)
		return err_set(e, ERR_PARSE, "a message where data should be");
	p->type = type;
	if (!wire_unpack(type, bytes, n, &p->message, e)) {
		uint32_t version = p->state == PEER_STARTING && type == WIRE_READY ? wire_greeting(bytes, n) : 0;

		return version && version != WIRE_VERSION && other_version(version, e);
	}
	if (!begin(p, type, p->message, e))
		return false;
	skip_empty(p);
	return p->segat < p->nseg || finish(p, e);
}

bool peer_data(struct peer *p, const uint8_t *bytes, size_t n, struct err *e)
{
	if (!p->message || !n)
		return err_set(e, ERR_PARSE, "data that belong to nothing");
	while (n && p->segat < p->nseg) {
		struct segment *s = &p->seg[p->segat];
		size_t k = s->n - p->segoff < n ? s->n - p->segoff : n;

		memcpy(s->p + p->segoff, bytes, k);
		p->segoff += k;
		bytes += k;
		n -= k;
		skip_empty(p);
	}
	if (n)
		return err_set(e, ERR_PARSE, "more data than announced");
	return p->segat < p->nseg || finish(p, e);
}
