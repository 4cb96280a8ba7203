/* child_gpu.c: a program on a device with a memory of its own, in the worker's own process
 *
 * A driver does not survive a fork, so there is no child here: when a mutant takes the driver down, the worker dies with it, and
 * the pool knows from the announcement before the launch whom to blame. A launch that never ends is ended by an alarm. The
 * worker looks at results in the same host memory as with a child: every output is read back, pads and all.
 *
 * What kernels only read - constants, inputs, the original's tensors - stays on the device under its key, up to a budget.
 */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "device/device.h"
#include "worker/child.h"

struct resident { /* a tensor on the device */
	struct hash key;
	struct device_memory *memory;
	size_t size;
	uint64_t used;
	bool constant; /* goes last */
};

struct spare { /* memory that no program uses now */
	struct spare *next;
	struct device_memory *memory;
	size_t bytes, pad;
};

struct gpu {
	struct map *resident; /* key -> struct resident */
	size_t held, budget;
	uint64_t clock;
	struct spare *spare;
	size_t spared; /* bytes of them */
};

struct gpu_exec {
	struct kernel **kernel;      /* per kernel of the program */
	bool *own;                   /* per kernel: loaded here */
	bool *warm;                  /* per kernel: was launched */
	struct device_memory **slot; /* per slot that a launch writes; NULL: none yet */
	bool *there;                 /* per buffer: its slot holds what the worker's view shows */
	double *seconds; /* of the selected launches */
	struct device_memory **arg;
};

/* ---- the alarm ----------------------------------------------------------------------------------------------------------- */

static void on_alarm(int signal)
{
	(void)signal;
	_exit(WIRE_EXIT_HUNG);
}

/* Ends the process in so many seconds; 0: no more. */
static void alarm_in(double s)
{
	struct itimerval t = {.it_value = {.tv_sec = (time_t)s, .tv_usec = (suseconds_t)((s - floor(s)) * 1e6) + (s > 0)}};

	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &t, NULL);
}

/* ---- tensors that stay on the device --------------------------------------------------------------------------------------- */

static struct gpu *gpu_of(struct worker *w)
{
	uint64_t memory = w->ops->caps(w->device)->memory;

	if (w->gpu)
		return w->gpu;
	w->gpu = ARENA_NEW(w->arena, struct gpu);
	w->gpu->resident = map_new(w->arena);
	w->gpu->budget = memory ? memory / 2 : w->budget / 2;
	return w->gpu;
}

static void drop(struct worker *w, struct resident *r)
{
	map_del_hash(w->gpu->resident, r->key);
	w->ops->memory_free(w->device, r->memory);
	w->gpu->held -= r->size;
	free(r);
}

/* The longest unused go, constants last; what this call of the clock used stays. */
static void make_room(struct worker *w, size_t size, uint64_t now)
{
	struct gpu *g = w->gpu;

	while (g->held + size > g->budget) {
		struct resident *oldest = NULL;
		void *v;

		for (size_t it = 0; map_next(g->resident, &it, NULL, &v);) {
			struct resident *r = v;

			if (r->used < now && (!oldest || r->constant < oldest->constant ||
					      (r->constant == oldest->constant && r->used < oldest->used)))
				oldest = r;
		}
		if (!oldest)
			return;
		drop(w, oldest);
	}
}

static void free_spares(struct worker *w)
{
	while (w->gpu->spare) {
		struct spare *s = w->gpu->spare;

		w->gpu->spare = s->next;
		w->ops->memory_free(w->device, s->memory);
		free(s);
	}
	w->gpu->spared = 0;
}

/* A full device is no mutant's fault while there is memory on it that nothing uses now. */
static bool memory_new(struct worker *w, size_t bytes, size_t pad, struct device_memory **out, struct err *e)
{
	struct gpu *g = w->gpu;
	struct err first = {0};
	bool ok = w->ops->memory_new(w->device, bytes, pad, out, &first);

	if (!ok && (g->spare || g->held)) {
		free_spares(w);
		make_room(w, g->budget, g->clock);
		ok = w->ops->memory_new(w->device, bytes, pad, out, e);
	} else if (!ok) {
		err_set(e, ERR_DEVICE, "%s", err_text(&first));
	}
	err_free(&first);
	return ok;
}

/* Host tensors lie between pads at least as wide as the device's: they travel along, so that what a kernel finds beyond an edge
 * is the same everywhere. With zeros or random numbers there they are made for this tensor. */
static bool upload(struct worker *w, struct device_memory *m, const uint8_t *data, const struct prog_buffer *b, struct fill fill,
		   struct err *e)
{
	struct filling pads = filling_of_pads(fill, b->name, b->dtype);
	size_t pad = pad_bytes(b->dtype), n = b->bytes + 2 * pad;
	uint8_t *copy = NULL;
	bool ok;

	if (fill.kind == FILL_ZERO || fill.kind == FILL_RANDOM) {
		if (!(copy = malloc(n)))
			return err_set(e, ERR_IO, "out of memory");
		memcpy(copy + pad, data, b->bytes);
		data = copy + pad;
		filling_put(copy + pad, -(int64_t)pad, pad, &pads);
		filling_put(copy + pad, (int64_t)b->bytes, pad, &pads);
	}
	ok = w->ops->memory_write(w->device, m, -(int64_t)pad, data - pad, n, e);
	free(copy);
	return ok;
}

static struct device_memory *reside(struct worker *w, struct hash key, const uint8_t *data, const struct prog_buffer *b,
				    struct fill fill, struct err *e)
{
	struct gpu *g = w->gpu;
	size_t pad = pad_bytes(b->dtype);
	struct resident *r;
	char text[FILL_TEXT];

	key.lo += pad; /* the same bytes may be a tensor of another type, whose pads are of another width */
	if (fill.kind == FILL_ZERO || fill.kind == FILL_RANDOM)
		key.hi ^= hash_text(fill_text(fill, text)).hi;
	r = map_get_hash(g->resident, key);
	if (r) {
		r->used = g->clock;
		return r->memory;
	}
	make_room(w, b->bytes + 2 * pad, g->clock);
	if (!(r = calloc(1, sizeof *r))) {
		err_set(e, ERR_IO, "out of memory");
		return NULL;
	}
	*r = (struct resident){.key = key, .size = b->bytes + 2 * pad, .used = g->clock, .constant = b->role == BUF_CONST};
	if (!memory_new(w, b->bytes, pad, &r->memory, e)) {
		free(r);
		return NULL;
	}
	if (!upload(w, r->memory, data, b, fill, e)) {
		w->ops->memory_free(w->device, r->memory);
		free(r);
		return NULL;
	}
	g->held += r->size;
	map_put_hash(g->resident, key, r);
	return r->memory;
}

void gpu_forget(struct worker *w)
{
	void *v;

	if (!w->gpu)
		return;
	for (size_t it = 0; map_next(w->gpu->resident, &it, NULL, &v); it = 0)
		drop(w, v);
	free_spares(w);
}

/* ---- output slots --------------------------------------------------------------------------------------------------------- */

static struct device_memory *take_spare(struct gpu *g, size_t bytes, size_t pad)
{
	for (struct spare **at = &g->spare; *at; at = &(*at)->next)
		if ((*at)->bytes == bytes && (*at)->pad == pad) {
			struct spare *s = *at;
			struct device_memory *m = s->memory;

			*at = s->next;
			g->spared -= bytes + 2 * pad;
			free(s);
			return m;
		}
	return NULL;
}

/* One pad; where it is one word over and over, the device needs no copy of it, for which this process would wait. */
static bool write_pad(struct exec *x, uint32_t b, int64_t at, struct err *e)
{
	const struct slot *s = &x->w->slots.slot[b];
	enum dtype t = x->prog->buffer[b].dtype;
	const struct device_ops *ops = x->w->ops;

	if (x->fill.kind == FILL_RANDOM || dtype_size(t) > 4 || at % 4)
		return ops->memory_write(x->w->device, x->gpu->slot[b], at, s->view + s->front + at, pad_bytes(t), e);
	return ops->memory_fill(x->w->device, x->gpu->slot[b], at, pad_bytes(t), (uint32_t)s->pads.word, e);
}

/* Writes the pads of the slot on the device. */
static bool write_pads(struct exec *x, uint32_t b, struct err *e)
{
	return write_pad(x, b, -(int64_t)pad_bytes(x->prog->buffer[b].dtype), e) &&
	       write_pad(x, b, (int64_t)x->w->slots.slot[b].bytes, e);
}

/* What an output holds before it is written. */
static bool fill_slot(struct exec *x, uint32_t b, struct err *e)
{
	const struct device_ops *ops = x->w->ops;
	const struct slot *s = &x->w->slots.slot[b];
	uint8_t *data = s->view + s->front;
	struct device_memory *m = x->gpu->slot[b];

	if (x->fill.kind == FILL_RANDOM) {
		filling_put(data, 0, s->bytes, &s->data); /* what the device wrote is read into the same place later */
		return ops->memory_write(x->w->device, m, 0, data, s->bytes, e);
	}
	if (!ops->memory_fill(x->w->device, m, 0, (s->bytes + 3) / 4 * 4, (uint32_t)s->data.word, e))
		return false;
	return !(s->bytes % 4) || ops->memory_write(x->w->device, m, (int64_t)s->bytes, data + s->bytes, 4 - s->bytes % 4,
						    e); /* the fill reached into the pad */
}

/* An output's memory, filled with what nobody writes. */
static bool prepare_slot(struct exec *x, uint32_t b, bool trusted, struct err *e)
{
	size_t bytes = x->prog->buffer[b].bytes, pad = pad_bytes(x->prog->buffer[b].dtype);
	struct device_memory **m = &x->gpu->slot[b];

	if (!*m) {
		if (!(*m = take_spare(x->w->gpu, bytes, pad)) && !memory_new(x->w, bytes, pad, m, e))
			return false;
		if (!write_pads(x, b, e))
			return false;
	}
	return (x->fill.kind == FILL_STALE && !trusted && x->prog->buffer[b].role != BUF_REPORT) || fill_slot(x, b, e);
}

/* Data and pads into the worker's view. */
static bool read_slot(struct exec *x, uint32_t b, struct err *e)
{
	const struct slot *s = &x->w->slots.slot[b];
	size_t pad = pad_bytes(x->prog->buffer[b].dtype);

	return x->w->ops->memory_read(x->w->device, x->gpu->slot[b], -(int64_t)pad, s->view + s->front - pad, s->bytes + 2 * pad,
				      e);
}

/* ---- one program ------------------------------------------------------------------------------------------------------------- */

void gpu_open(struct exec *x, struct kernel **kernel)
{
	const struct prog *p = x->prog;
	struct gpu_exec *g = x->gpu = ARENA_NEW(x->arena, struct gpu_exec);

	gpu_of(x->w);
	g->kernel = kernel;
	g->own = ARENA_ARRAY(x->arena, bool, p->nkernels);
	g->warm = ARENA_ARRAY(x->arena, bool, p->nkernels);
	g->slot = ARENA_ARRAY(x->arena, struct device_memory *, p->nbuffers);
	g->there = ARENA_ARRAY(x->arena, bool, p->nbuffers);
	g->seconds = ARENA_ARRAY(x->arena, double, p->nlaunches);
	g->arg = ARENA_ARRAY(x->arena, struct device_memory *, p->nargs);
}

/* Tells the pool what comes next, in case it is the last that is heard. */
static bool announce(struct exec *x, enum pool_stage stage, int64_t launch)
{
	Wire__Stage m = WIRE__STAGE__INIT;
	struct err e = {0};
	bool ok;

	m.id = x->job;
	m.stage = stage;
	m.launch = (uint32_t)(launch + 1);
	ok = worker_send(x->w, WIRE_STAGE, &m, &e);
	err_free(&e);
	return ok;
}

/* The device said no. One that is lost is of no use to anybody: the worker goes, after it has told. */
static enum step refused(struct exec *x, enum pool_stage stage, int64_t launch, struct err *e)
{
	const char *name = launch >= 0 ? x->prog->launch[launch].name : NULL;

	alarm_in(0);
	x->end.status = x->original || e->code == ERR_IO ? POOL_LOST : POOL_CRASHED; /* memory that fails is no mutant's fault */
	x->end.stage = stage;
	x->end.launch = launch;
	snprintf(x->end.text, sizeof x->end.text, "%.300s%s%.100s%s", err_text(e), name ? " in '" : "", name ? name : "",
		 name ? "'" : "");
	x->w->broken = true;
	err_free(e);
	return STEP_ENDED;
}

enum step gpu_start(struct exec *x)
{
	struct gpu_exec *g = x->gpu;
	struct err e = {0};

	alarm_in(x->limit_s + 60);
	for (uint32_t k = 0; k < x->prog->nlaunches; k++) {
		uint32_t i = x->prog->launch[k].kernel;
		const struct blob *blob;
		struct artefact a = {.code = x->prog->kernel[i].code};

		if (g->kernel[i])
			continue;
		blob = worker_blob(x->w, x->prog->kernel[i].artefact); /* exec_open has seen it */
		a.data = blob->data;
		a.size = blob->size;
		if (!announce(x, x->original ? POOL_START : POOL_LOAD, k))
			return STEP_GONE;
		if (!x->w->ops->load(x->w->device, &a, &g->kernel[i], &e))
			return refused(x, POOL_LOAD, k, &e);
		g->own[i] = true;
	}
	alarm_in(0);
	return STEP_OK;
}

/* Brings a launch's arguments to the device. */
static bool gather(struct exec *x, uint32_t k, bool checked, struct err *e)
{
	struct gpu_exec *g = x->gpu;
	const struct prog *p = x->prog;
	const struct prog_launch *l = &p->launch[k];
	struct device_memory **arg = g->arg + l->first_arg;
	bool trusted = x->trusted[l->kernel];
	struct fill fill = trusted ? (struct fill){FILL_NAN, 0} : x->fill;

	for (uint32_t i = 0; i < l->nargs; i++) {
		uint32_t b = l->arg[i], s = x->slot[b];

		if (i >= l->nargs - l->nout) {
			if ((checked || !g->slot[s]) && !prepare_slot(x, s, trusted, e))
				return false;
			g->there[b] = true;
			arg[i] = g->slot[s];
		} else if (g->there[b]) {
			arg[i] = g->slot[s];
		} else if (!(arg[i] = reside(x->w, x->key[b], x->ptr[b], &p->buffer[b], fill, e))) {
			return false;
		}
	}
	return true;
}

static bool queue_launch(struct exec *x, uint32_t k, struct err *e)
{
	struct gpu_exec *g = x->gpu;
	const struct prog_launch *l = &x->prog->launch[k];
	const struct prog_kernel *kernel = &x->prog->kernel[l->kernel];
	struct device_launch launch = {.kernel = g->kernel[l->kernel],
				       .arg = g->arg + l->first_arg,
				       .nargs = l->nargs,
				       .groups = kernel->groups,
				       .group = kernel->group};

	if (!kernel->group)
		return err_set(e, ERR_DEVICE, "kernel '%s' was made for another kind of device", l->name);
	/* A changed kernel of a processor runs its iterations one after the other: they may store over each other's results, and in
	 * which order must not depend on the moment. */
	if (!l->parallel && kernel->group == 1)
		launch.groups = 1;
	return x->w->ops->launch(x->w->device, &launch, e);
}

enum step gpu_run(struct exec *x, uint32_t n, double limit_s)
{
	struct gpu_exec *g = x->gpu;
	struct err e = {0};
	double began = worker_now(), device = 0, first = x->w->ops->caps(x->w->device)->first_launch_s;

	x->w->gpu->clock++;
	for (uint32_t i = 0; i < n; i++) {
		bool *warm = &g->warm[x->prog->launch[x->sel[i]].kernel];

		limit_s += *warm ? 0 : first;
		*warm = true;
	}
	alarm_in(limit_s + 0.05);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t k = x->sel[i];

		if ((!i || !x->trusted[x->prog->launch[k].kernel]) && !announce(x, x->original ? POOL_START : POOL_RUN, k))
			return STEP_GONE;
		if (!gather(x, k, true, &e) || !queue_launch(x, k, &e))
			return refused(x, POOL_RUN, k, &e);
	}
	if (!x->w->ops->finish(x->w->device, g->seconds, n, &e))
		return refused(x, POOL_RUN, n == 1 ? (int64_t)x->sel[0] : -1, &e);
	for (uint32_t i = 0; i < n; i++) {
		const struct prog_launch *l = &x->prog->launch[x->sel[i]];
		double t = worker_now();

		device += g->seconds[i];
		for (uint32_t o = l->nargs - l->nout; o < l->nargs; o++)
			if (!read_slot(x, l->arg[o], &e))
				return refused(x, POOL_RUN, x->sel[i], &e);
		x->transfer_s += worker_now() - t;
	}
	alarm_in(0);
	x->seconds += device;
	x->since += worker_now() - began - device; /* the image's limit is about what kernels take, not drivers and transfers */
	return STEP_OK;
}

/* Whole program, warmup + repeat times; wall time, the transfer of inputs and outputs left out. */
enum step gpu_timed(struct exec *x, uint32_t n, uint32_t warmup, uint32_t repeat)
{
	struct gpu_exec *g = x->gpu;
	struct err e = {0};
	double transfer = worker_now(), first = x->w->ops->caps(x->w->device)->first_launch_s;

	x->w->gpu->clock++;
	alarm_in(x->limit_s + first);
	for (uint32_t i = 0; i < n; i++)
		if (!gather(x, x->sel[i], false, &e))
			return refused(x, POOL_RUN, x->sel[i], &e);
	x->transfer_s += worker_now() - transfer;
	for (uint32_t r = 0; r < warmup + repeat; r++) {
		double t;

		alarm_in(x->limit_s + first);
		if (!announce(x, POOL_RUN, -1))
			return STEP_GONE;
		t = worker_now();
		for (uint32_t i = 0; i < n; i++)
			if (!queue_launch(x, x->sel[i], &e))
				return refused(x, POOL_RUN, x->sel[i], &e);
		if (!x->w->ops->finish(x->w->device, g->seconds, n, &e))
			return refused(x, POOL_RUN, -1, &e);
		if (r >= warmup)
			x->times[r - warmup] = worker_now() - t;
		for (uint32_t i = 0; r >= warmup && i < n; i++)
			x->spent[x->sel[i]] += g->seconds[i];
	}
	transfer = worker_now();
	for (uint32_t i = 0; i < n; i++) {
		const struct prog_launch *l = &x->prog->launch[x->sel[i]];

		for (uint32_t o = l->nargs - l->nout; o < l->nargs; o++)
			if (x->slot[l->arg[o]] == l->arg[o] && !read_slot(x, l->arg[o], &e)) /* each slot once */
				return refused(x, POOL_RUN, x->sel[i], &e);
	}
	x->transfer_s += worker_now() - transfer;
	alarm_in(0);
	return STEP_OK;
}

void gpu_image(struct exec *x)
{
	for (uint32_t b = 0; b < x->prog->nbuffers; b++)
		if (x->prog->buffer[b].writer < 0 || !x->prog->launch[x->prog->buffer[b].writer].constant)
			x->gpu->there[b] = false;
}

bool gpu_mend(struct exec *x, uint32_t b)
{
	struct err e = {0};
	bool ok = write_pads(x, b, &e);

	err_free(&e);
	return ok;
}

void gpu_close(struct exec *x)
{
	struct gpu_exec *g = x->gpu;
	struct worker *w = x->w;

	alarm_in(0);
	for (uint32_t b = 0; b < x->prog->nbuffers; b++) {
		size_t bytes = x->prog->buffer[b].bytes, pad = pad_bytes(x->prog->buffer[b].dtype);
		struct spare *s;

		if (!g->slot[b])
			continue;
		/* mutants of the graph leave sizes that none asks for again */
		if (w->gpu->spared + bytes + 2 * pad > w->gpu->budget / 2)
			free_spares(w);
		if (x->overrun || x->end.status == POOL_OVERRUN || !(s = calloc(1, sizeof *s))) {
			w->ops->memory_free(w->device, g->slot[b]);
			continue;
		}
		*s = (struct spare){.next = w->gpu->spare, .memory = g->slot[b], .bytes = bytes, .pad = pad};
		w->gpu->spare = s;
		w->gpu->spared += bytes + 2 * pad;
	}
	for (uint32_t i = 0; i < x->prog->nkernels; i++)
		if (g->own[i])
			w->ops->unload(w->device, g->kernel[i]);
	if (x->end.status == POOL_OVERRUN) /* it may have written anywhere */
		gpu_forget(w);
}
