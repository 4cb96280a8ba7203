/* child_run.c: one job of a runner - the original where it is not known, then the program on each image */
#include "worker/child.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"

#define DEFAULT_LIMIT_S 600

struct run {
	struct worker *w;
	struct arena *arena;
	const Wire__Run *m;
	struct prog *prog;
	struct base *base; /* NULL: none */
	uint32_t nimages, *twin;
	struct blob ***input, ***base_input; /* per image */
	struct known **known;
	int threads;
	double limit_s, seconds;
	bool again; /* a child gave up: there will be no third */
	bool all;   /* one was not given all that it needed: the next is */
	struct run_end end;
};

/* ---- what was asked ---------------------------------------------------------------------------------------- */

static bool find_inputs(struct run *r, const struct prog *p, size_t n, const ProtobufCBinaryData *hash, struct blob ***out,
			struct err *e)
{
	if (n != p->ninputs)
		return err_set(e, ERR_PARSE, "%zu inputs for a program of %u", n, p->ninputs);
	*out = ARENA_ARRAY(r->arena, struct blob *, n);
	for (size_t i = 0; i < n; i++) {
		struct blob *b = worker_blob(r->w, wire_hash_get(hash[i]));

		if (!b || b->size != p->buffer[p->input[i]].bytes)
			return err_set(e, ERR_PARSE, "input %zu was not sent, or has another size than the program's", i);
		(*out)[i] = b;
	}
	return true;
}

static struct map *names_of(struct arena *a, const struct prog *p)
{
	struct map *names = map_new(a);

	for (uint32_t i = 0; i < p->nbuffers; i++)
		if (p->buffer[i].writer >= 0)
			map_put(names, p->buffer[i].name, (void *)(uintptr_t)(i + 1));
	return names;
}

static void find_twins(struct run *r)
{
	struct map *names = NULL; /* made once one lies elsewhere */
	const struct prog *b = r->base->prog, *p = r->prog;

	r->twin = ARENA_ARRAY(r->arena, uint32_t, p->nbuffers);
	for (uint32_t i = 0; i < p->nbuffers; i++) {
		const struct prog_buffer *mine = &p->buffer[i], *its;
		uintptr_t at;

		if (mine->writer < 0)
			continue;
		if (i < b->nbuffers && b->buffer[i].writer >= 0 && !strcmp(b->buffer[i].name, mine->name)) {
			at = i + 1;
		} else {
			names = names ? names : names_of(r->arena, b);
			at = (uintptr_t)map_get(names, mine->name);
		}
		if (!at)
			continue;
		its = &b->buffer[at - 1];
		if (its->dtype == mine->dtype && its->nd == mine->nd && !memcmp(its->dim, mine->dim, sizeof mine->dim))
			r->twin[i] = (uint32_t)at;
	}
}

static bool prepare(struct run *r, struct err *e)
{
	const Wire__Run *m = r->m;
	struct blob *program = worker_blob(r->w, wire_hash_get(m->program));

	r->threads = m->threads ? (int)m->threads : r->w->threads;
	r->limit_s = m->time_limit > 0 ? m->time_limit : DEFAULT_LIMIT_S;
	r->nimages = (uint32_t)m->n_input;
	r->again = m->once; /* what is given back is not there for another child */
	r->end = (struct run_end){.stage = POOL_END, .launch = -1, .buffer = -1};
	if (!program)
		return err_set(e, ERR_PARSE, "the program was not sent");
	if (m->baseline.len && !m->repeat && !(r->base = base_get(r->w, wire_hash_get(m->baseline), e)))
		return false;
	if (!prog_decode(r->arena, program->data, program->size, r->base ? r->base->prog : NULL, &r->prog, e))
		return false;
	r->input = ARENA_ARRAY(r->arena, struct blob **, r->nimages);
	r->base_input = ARENA_ARRAY(r->arena, struct blob **, r->nimages);
	r->known = ARENA_ARRAY(r->arena, struct known *, r->nimages);
	for (uint32_t i = 0; i < r->nimages; i++) {
		const Wire__Input *in = m->input[i];

		if (!find_inputs(r, r->prog, in->n_tensor, in->tensor, &r->input[i], e) ||
		    (r->base && !find_inputs(r, r->base->prog, in->n_baseline, in->baseline, &r->base_input[i], e)))
			return err_in(e, "image %u", i);
	}
	if (r->base)
		find_twins(r);
	return true;
}

/* ---- what is told ------------------------------------------------------------------------------------------ */

/* Of a copy: a child that goes on writing must not change what is sent after it was hashed. */
static Wire__Tensor *describe(struct arena *a, const struct exec *x, uint32_t buffer, const uint8_t **data)
{
	Wire__Tensor *t = ARENA_NEW(a, Wire__Tensor);
	size_t n = x->prog->buffer[buffer].bytes;

	wire__tensor__init(t);
	*data = arena_memdup(a, x->view[buffer], n);
	t->buffer = buffer;
	t->hash = wire_hash_put(ARENA_NEW(a, struct wire_hash), hash_bytes(*data, n));
	t->key = wire_hash_put(ARENA_NEW(a, struct wire_hash), x->key[buffer]);
	t->cut_off = x->cut[buffer];
	t->reused = x->reused[buffer];
	return t;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void add_times(struct run *r, const struct exec *x, Wire__Image *im)
{
	double *sorted;

	im->time = x->seconds;
	im->transfer = x->transfer_s;
	if (!r->m->repeat)
		return;
	im->n_times = r->m->repeat;
	im->times = ARENA_ARRAY(r->arena, double, im->n_times);
	sorted = ARENA_ARRAY(r->arena, double, im->n_times);
	for (size_t i = 0; i < im->n_times; i++)
		sorted[i] = im->times[i] = x->times[i];
	qsort(sorted, im->n_times, sizeof *sorted, by_value);
	im->time = sorted[im->n_times / 2];
	im->n_launch = x->prog->nlaunches;
	im->launch = ARENA_ARRAY(r->arena, double, im->n_launch);
	for (size_t i = 0; i < im->n_launch; i++)
		im->launch[i] = x->spent[i] / r->m->repeat;
}

/* Outputs in order; then, for a dump, everything that launches write. */
static bool tell_image(struct run *r, const struct exec *x, uint32_t index, enum pool_status status, struct err *e)
{
	Wire__Image im = WIRE__IMAGE__INIT;
	const struct prog *p = r->prog;
	bool data = status == POOL_DONE || status == POOL_OVERRUN, ok;
	struct arena *a = arena_new(NULL);
	const uint8_t **copy = ARENA_ARRAY(a, const uint8_t *, (size_t)p->noutputs + p->nbuffers);

	im.id = r->m->id;
	im.index = index;
	im.status = status;
	im.launches_run = x->run;
	im.launches_saved = x->saved;
	im.unwritten = data ? x->unwritten.elements : 0;
	im.unwritten_launch = x->unwritten.launch;
	im.unwritten_buffer = x->unwritten.buffer;
	im.tensor = ARENA_ARRAY(a, Wire__Tensor *, (size_t)p->noutputs + p->nbuffers);
	if (data)
		add_times(r, x, &im);
	for (uint32_t i = 0; data && i < p->noutputs; i++, im.n_tensor++)
		im.tensor[im.n_tensor] = describe(a, x, p->output[i], &copy[im.n_tensor]);
	for (uint32_t i = 0; data && r->m->dump && i < p->nbuffers; i++)
		if (p->buffer[i].writer >= 0) {
			im.tensor[im.n_tensor] = describe(a, x, i, &copy[im.n_tensor]);
			im.n_tensor++;
		}
	ok = worker_send(r->w, WIRE_IMAGE, &im, e);
	for (size_t i = 0; ok && i < im.n_tensor; i++)
		ok = worker_data(r->w, copy[i], p->buffer[im.tensor[i]->buffer].bytes, e);
	arena_free(a);
	return ok;
}

static bool tell_done(struct run *r, struct err *e)
{
	Wire__Done d = WIRE__DONE__INIT;

	d.id = r->m->id;
	d.status = r->end.status;
	d.stage = r->end.stage;
	d.signal = r->end.signal > 0 && r->end.signal < 128 ? r->end.signal : 0;
	d.launch = (uint32_t)(r->end.launch + 1);
	d.buffer = (uint32_t)(r->end.buffer + 1);
	d.text = r->end.text;
	d.seconds = r->seconds;
	d.n_step = POOL_STEP_COUNT;
	d.step = r->w->steps.s;
	if (r->w->stuck)
		d.lost = "a process that ran a kernel was killed and does not end";
	return worker_send(r->w, WIRE_DONE, &d, e) && worker_flush(r->w, e);
}

/* ---- running ----------------------------------------------------------------------------------------------- */

static enum step run_image(struct run *r, struct exec *x, uint32_t i, bool last, struct err *e)
{
	const struct known *k = r->known[i];
	bool strayed = x->end.status == POOL_OVERRUN;
	enum pool_status status;
	enum step s;

	exec_image(x, r->input[i], last);
	if (r->m->repeat)
		s = exec_timed(x, r->m->warmup, r->m->repeat, r->m->dump);
	else if (r->base && !k->failed && r->base->constant)
		s = exec_all(x, r->base->constant, k, r->twin);
	else
		s = exec_all(x, NULL, NULL, NULL);
	step_end(&r->w->steps, POOL_STEP_EXEC);
	if (s == STEP_GONE)
		return s;
	if (s == STEP_AGAIN) {
		r->all = true;
		return s;
	}
	if (s == STEP_ENDED && !x->ready)
		return s;
	if (s == STEP_ENDED && x->end.ours && !r->again && !strayed) {
		r->again = true;
		return STEP_AGAIN;
	}
	r->seconds += x->seconds;
	status = s == STEP_ENDED ? x->end.status : x->overrun ? POOL_OVERRUN : POOL_DONE;
	r->w->hold = last && i + 1 == r->nimages; /* the end of the job is told soon */
	if (!tell_image(r, x, i, status, e))
		return STEP_GONE;
	step_end(&r->w->steps, POOL_STEP_TELL);
	return s;
}

static int worse(enum pool_status a, enum pool_status b)
{
	return a == POOL_DONE ? b != POOL_DONE : a == POOL_OVERRUN && b != POOL_DONE && b != POOL_OVERRUN;
}

/* Images from *i on in one child. */
static enum step run_child(struct run *r, uint32_t *i, uint32_t last, double cpu, struct err *e)
{
	struct fill fill = {(enum fill_kind)r->m->fill, r->m->fill_seed};
	bool reuses = r->base && r->base->constant && !r->m->repeat;
	struct exec_given g = {.input = (struct blob *const *const *)(r->input + *i),
			       .n = last - *i,
			       .constant = reuses ? r->base->constant : NULL,
			       .known = reuses ? r->known + *i : NULL,
			       .all = r->all,
			       .once = r->m->once,
			       .dump = r->m->dump};
	struct exec x;
	enum step s = exec_begin(&x, r->w, r->prog, r->base, &g, r->m->id, fill, r->threads, r->m->repeat, r->limit_s, cpu);

	while (s == STEP_OK && *i < last) {
		s = run_image(r, &x, *i, *i + 1 == last, e);
		*i += s != STEP_AGAIN;
	}
	exec_stop(&x);
	if (s != STEP_AGAIN && worse(r->end.status, x.end.status)) {
		r->end = x.end;
		if (x.end.status == POOL_OVERRUN && s == STEP_OK)
			r->end.stage = POOL_RUN;
	}
	exec_close(&x);
	step_end(&r->w->steps, POOL_STEP_STOP);
	return s;
}

static enum step run_some(struct run *r, uint32_t first, uint32_t last, struct err *e)
{
	uint32_t reps = r->m->repeat + r->m->warmup;
	double cpu = r->limit_s * (last - first) * (reps ? reps : 1) * r->threads + 10;
	enum step s;

	do
		s = run_child(r, &first, last, cpu, e);
	while (s == STEP_AGAIN);
	return s;
}

/* The images that fit into the budget together: a child sees only what was there when it was forked. */
static uint32_t batch(const struct run *r, uint32_t first)
{
	size_t n = r->base ? r->w->budget / r->base->image_bytes : r->nimages;

	return n < 1 ? first + 1 : n < r->nimages - first ? first + (uint32_t)n : r->nimages;
}

static bool lost(struct run *r, struct err *e)
{
	r->end.status = POOL_LOST;
	snprintf(r->end.text, sizeof r->end.text, "%s", err_text(e));
	err_free(e);
	return tell_done(r, e);
}

bool run_job(struct worker *w, const Wire__Run *m, struct err *e)
{
	struct run r = {.w = w, .arena = arena_new(NULL), .m = m};
	enum step s = STEP_OK;
	bool ok;

	w->steps = (struct steps){.since = worker_now()};
	if (!prepare(&r, e)) {
		ok = lost(&r, e);
		if (m->once)
			blobs_close(w);
		arena_free(r.arena);
		return ok;
	}
	step_end(&w->steps, POOL_STEP_TAKE);
	for (uint32_t i = 0, next; s == STEP_OK && i < r.nimages; i = next) {
		next = batch(&r, i);
		if (r.base) {
			s = base_know(w, r.base, (struct blob *const *const *)(r.base_input + i), next - i, r.threads,
				      r.limit_s, r.known + i, e);
			if (s == STEP_ENDED) {
				ok = lost(&r, e);
				arena_free(r.arena);
				return ok;
			}
		}
		if (s == STEP_OK)
			s = run_some(&r, i, next, e);
	}
	ok = s != STEP_GONE && tell_done(&r, e);
	if (m->once)
		blobs_close(w);
	arena_free(r.arena);
	return ok;
}
