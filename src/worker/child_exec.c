/* child_exec.c: one program on one image after another - which launches are run, and what became of their outputs */
#include <string.h>

#include "base/arena.h"
#include "device/device.h"
#include "worker/child_exec.h"

#define MOST_TOGETHER 16 /* launches */
#define SPARE ((size_t)4 << 20) /* of dead tensors is not given back: the next image takes it again */
#define GIVE_BACK ((size_t)4 << 20) /* launches are run together until so much can go behind them */

void exec_image(struct exec *x, struct blob *const *input, bool last)
{
	const struct prog *p = x->prog;

	for (uint32_t i = 0; i < p->ninputs; i++) {
		x->view[p->input[i]] = input[i]->data;
		x->ptr[p->input[i]] = input[i]->copy && !x->gpu ? input[i]->copy : input[i]->data;
		x->key[p->input[i]] = input[i]->hash;
	}
	x->last_image = last;
	x->proc.image++;
	x->since = worker_now();
	memset(x->cut, 0, p->nbuffers * sizeof *x->cut);
	memset(x->reused, 0, p->nbuffers * sizeof *x->reused);
	x->run = x->saved = 0;
	x->seconds = x->transfer_s = 0;
	x->overrun = false;
	x->unwritten.elements = 0;
	x->dead = 0;
	flat_image(x);
	if (x->gpu)
		gpu_image(x);
}

/* All outputs of the launch are known: nothing to run. */
static bool reuse(struct exec *x, uint32_t k, const struct known *constant, const struct known *image)
{
	const struct prog_launch *l = &x->prog->launch[k];
	const struct known *from = l->constant ? constant : image;

	if (l->constant && x->held[k])
		return true;
	if (!exec_is_known(x, l, from))
		return false;
	for (uint32_t o = l->nargs - l->nout; o < l->nargs; o++) {
		x->view[l->arg[o]] = exec_known_data(from, x->key[l->arg[o]]);
		x->ptr[l->arg[o]] = (void *)x->view[l->arg[o]];
		x->reused[l->arg[o]] = true;
	}
	return true;
}

static void set_args(struct exec *x, uint32_t k)
{
	const struct prog_launch *l = &x->prog->launch[k];

	for (uint32_t i = 0; i < l->nargs; i++) {
		const struct slot *s = &x->w->slots.slot[x->slot[l->arg[i]]];

		flat_write(x, l->arg[i]);
		if (i >= l->nargs - l->nout) {
			x->ptr[l->arg[i]] = (x->gpu ? s->view : s->at) + s->front;
			x->view[l->arg[i]] = s->view + s->front;
		}
		if (!x->gpu)
			x->arg[l->first_arg + i] = x->ptr[l->arg[i]];
	}
}

static void check_pads(struct exec *x, uint32_t k)
{
	const struct prog_launch *l = &x->prog->launch[k];
	/* the original's kernels do not leave their buffers: another did, while this one's were open */
	int64_t who = x->trusted[l->kernel] && exec_only_suspect(x) >= 0 ? exec_only_suspect(x) : k;

	for (uint32_t o = l->nargs - l->nout; o < l->nargs; o++) {
		struct slot *s = &x->w->slots.slot[l->arg[o]];

		if (slot_intact(s))
			continue;
		slot_refill(s);
		if (x->gpu)
			gpu_mend(x, l->arg[o]);
		exec_overran(x, who, l->arg[o]);
	}
}

/* The first output that a launch did not fill; the worker looks, since a child may say anything. */
static void check_written(struct exec *x, uint32_t k)
{
	const struct prog_launch *l = &x->prog->launch[k];

	for (uint32_t o = l->nargs - l->nout; o < l->nargs && !x->trusted[l->kernel] && !x->unwritten.elements; o++) {
		const struct slot *s = &x->w->slots.slot[l->arg[o]];

		if (x->prog->buffer[l->arg[o]].role == BUF_REPORT)
			continue;
		x->unwritten.elements = filling_left(s->view + s->front, s->bytes, &s->data);
		x->unwritten.launch = k;
		x->unwritten.buffer = l->arg[o];
	}
}

/* Outputs that came out as the original's take its keys, and readers are pointed at the original's read-only copies. True: there was one. */
static bool cut_off(struct exec *x, uint32_t k, const struct known *constant, const struct known *image, const uint32_t *twin)
{
	const struct prog_launch *l = &x->prog->launch[k];
	bool any = false;

	for (uint32_t o = l->nargs - l->nout; o < l->nargs; o++) {
		uint32_t b = l->arg[o], t = twin ? twin[b] : 0;
		const struct known *from = t && image && !image->failed && image->data[t - 1] ? image : constant;

		if (!t || !from || from->failed || !from->data[t - 1] ||
		    memcmp(x->view[b], from->data[t - 1], x->prog->buffer[b].bytes))
			continue;
		x->key[b] = from->key[t - 1];
		x->view[b] = x->ptr[b] = from->data[t - 1];
		x->cut[b] = any = true;
	}
	return any;
}

static double time_left(const struct exec *x)
{
	double left = x->limit_s - (worker_now() - x->since); /* the limit is the image's */

	return left < 0.01 ? 0.01 : left;
}

static enum step run_in_child(struct exec *x, uint32_t n)
{
	enum step s = STEP_OK;

	if (x->started)
		proc_post(&x->proc, x->sel, n, PROC_CHECKED, 0, 1, x->last_now);
	else
		s = exec_start(x, n);
	if (s == STEP_OK)
		s = exec_ended(x, proc_done(&x->proc, time_left(x), x->w->in));
	if (s == STEP_OK)
		x->seconds += proc_seconds(&x->proc);
	return s;
}

static enum step flush(struct exec *x, uint32_t n)
{
	enum step s;

	if (!n)
		return STEP_OK;
	x->nsel = n;
	s = x->gpu ? gpu_run(x, n, time_left(x)) : run_in_child(x, n);
	for (uint32_t i = 0; s == STEP_OK && i < n; i++) {
		check_pads(x, x->sel[i]);
		check_written(x, x->sel[i]);
	}
	return s;
}

/* Launches whose outputs are to be compared that go to the child together. The farther the original's kernels have run without one that
 * came out as the original's, the less likely is the next: more go at once, and the processes wait less often for each other. What would
 * not have had to run then costs time, nothing else. */
static uint32_t together(const struct exec *x, uint32_t before, uint32_t last, bool cut)
{
	if (x->gpu || cut || !x->trusted[x->prog->launch[last].kernel])
		return 1;
	return before < MOST_TOGETHER ? 2 * before : before;
}

/* Runs the first n of sel and compares what they made. */
static enum step flush_and_compare(struct exec *x, uint32_t n, const struct known *constant, const struct known *image, const uint32_t *twin,
				   bool *cut)
{
	enum step s = flush(x, n);

	*cut = false;
	for (uint32_t i = 0; s == STEP_OK && i < n; i++) {
		*cut = cut_off(x, x->sel[i], constant, image, twin) || *cut;
		flat_look(x, x->sel[i]);
	}
	return s;
}

/* What can go behind launch k. */
static size_t ends_with(const struct exec *x, uint32_t k)
{
	const struct prog_launch *l = &x->prog->launch[k];
	size_t n = 0;

	for (uint32_t i = 0; x->last && i < l->nargs; i++)
		n += x->last[l->arg[i]] == k ? x->prog->buffer[l->arg[i]].bytes : 0;
	return n;
}

/* Behind the launches that have just run. The child has let go of the constants, too. */
static void give_back(struct exec *x)
{
	for (uint32_t n = 0; n < x->nsel; n++) {
		const struct prog_launch *l = &x->prog->launch[x->sel[n]];

		for (uint32_t i = 0; i < l->nargs; i++) {
			const struct prog_buffer *b = &x->prog->buffer[l->arg[i]];
			struct blob *blob = b->role == BUF_CONST ? worker_blob(x->w, b->hash) : NULL;

			if (x->last[l->arg[i]] != x->sel[n])
				continue;
			if (b->writer >= 0 && x->spare + b->bytes <= SPARE) {
				x->spare += b->bytes;
				x->last[l->arg[i]] = NEVER;
			} else if (b->writer >= 0)
				slot_give_back(&x->w->slots, &x->w->slots.slot[l->arg[i]]);
			else if (blob)
				blob_drop(x->w, blob);
		}
	}
	x->dead = 0;
}

enum step exec_all(struct exec *x, const struct known *constant, const struct known *image, const uint32_t *twin)
{
	uint32_t pending = 0, compared = 0, most = 1;
	enum step s;
	bool cut;

	for (uint32_t k = 0; k < x->prog->nlaunches; k++) {
		const struct prog_launch *l = &x->prog->launch[k];
		bool compare = false;

		if (!(l->constant && x->held[k]))
			exec_keys(x, k, image);
		if (reuse(x, k, constant, image) || flat_known(x, k)) {
			x->saved++;
			continue;
		}
		if (!x->gpu && !x->may[k])
			return STEP_AGAIN;
		set_args(x, k);
		x->sel[pending++] = k;
		x->run++;
		x->held[k] = l->constant;
		for (uint32_t o = l->nargs - l->nout; twin && o < l->nargs; o++)
			compare = compare || twin[l->arg[o]];
		compared += compare;
		x->dead += ends_with(x, k);
		x->last_now = x->last_image && k + 1 == x->prog->nlaunches;
		if (x->dead >= GIVE_BACK) { /* then there is nothing to compare with */
			if ((s = flush(x, pending)) != STEP_OK)
				return s;
			give_back(x);
			pending = 0;
			continue;
		}
		/* nothing depends yet on how it ends: let more come together; unless what follows was known behind it for the image before */
		if (!compare || (compared < most && x->trusted[l->kernel] && !(x->flat && x->flattens[k])))
			continue;
		if ((s = flush_and_compare(x, pending, constant, image, twin, &cut)) != STEP_OK)
			return s;
		most = together(x, most, k, cut);
		pending = compared = 0;
	}
	x->last_now = x->last_image;
	s = flush_and_compare(x, pending, constant, image, twin, &cut);
	for (uint32_t i = 0; s == STEP_OK && i < x->prog->noutputs; i++)
		flat_write(x, x->prog->output[i]);
	return s;
}

enum step exec_timed(struct exec *x, uint32_t warmup, uint32_t repeat, bool keep)
{
	uint32_t n = 0;
	enum step s = exec_start(x, 0);

	if (s != STEP_OK)
		return s;
	for (uint32_t k = 0; k < x->prog->nlaunches; k++) { /* what is made of constants is not part of the time */
		if (!x->prog->launch[k].constant || x->held[k])
			continue;
		exec_keys(x, k, NULL);
		set_args(x, k);
		x->held[k] = true;
		x->run++;
		x->sel[n++] = k;
		if ((x->dead += ends_with(x, k)) < GIVE_BACK)
			continue;
		if ((s = flush(x, n)) != STEP_OK)
			return s;
		give_back(x);
		n = 0;
	}
	if ((s = flush(x, n)) != STEP_OK)
		return s;
	n = 0;
	if (!keep)
		slots_share(x->arena, x->prog, x->slot);
	for (uint32_t k = 0; k < x->prog->nlaunches; k++)
		if (!x->prog->launch[k].constant) {
			exec_keys(x, k, NULL);
			set_args(x, k);
			x->sel[n++] = k;
		}
	x->saved = x->prog->nlaunches - x->run - n;
	x->run += n;
	x->nsel = n;
	memset(x->spent, 0, x->prog->nlaunches * sizeof *x->spent);
	if (!x->gpu)
		proc_post(&x->proc, x->sel, n, PROC_TIMED, warmup, repeat, x->last_image);
	s = x->gpu ? gpu_timed(x, n, warmup, repeat) : exec_ended(x, proc_done(&x->proc, x->limit_s, x->w->in));
	if (s == STEP_OK && !x->gpu)
		proc_times(&x->proc, x->times, x->spent);
	for (uint32_t i = 0; s == STEP_OK && i < n; i++)
		check_pads(x, x->sel[i]);
	return s;
}
