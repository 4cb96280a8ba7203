/* child_exec.c: one program in one child - which launches are run, and what became of their outputs */
#include "worker/child.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "device/device.h"

#define START_LIMIT_S 60
#define START_TRIES 3
#define START_PAUSE_MS 20
#define MOST_TOGETHER 16 /* launches */
#define SPARE ((size_t)4 << 20) /* of dead tensors is not given back: the next image takes it again */
#define GIVE_BACK ((size_t)4 << 20) /* launches are run together until so much can go behind them */

static bool find_kernels(struct exec *x, const struct base *b, struct proc_spec *s, struct err *e)
{
	struct prog *p = x->prog;

	s->kernel = ARENA_ARRAY(x->arena, struct kernel *, p->nkernels);
	s->trusted = x->trusted;
	s->artefact = ARENA_ARRAY(x->arena, const uint8_t *, p->nkernels);
	s->artefact_size = ARENA_ARRAY(x->arena, size_t, p->nkernels);
	for (uint32_t i = 0; i < p->nkernels; i++) {
		struct blob *blob;

		if (b && i < b->prog->nkernels && hash_eq(b->prog->kernel[i].artefact, p->kernel[i].artefact))
			s->kernel[i] = b->kernel[i]; /* most: in the same place */
		for (uint32_t k = 0; b && k < b->prog->nkernels && !s->kernel[i]; k++)
			if (hash_eq(b->prog->kernel[k].artefact, p->kernel[i].artefact))
				s->kernel[i] = b->kernel[k];
		x->trusted[i] = s->kernel[i] && b->prog != p;
		if (s->kernel[i])
			continue;
		if (!(blob = worker_blob(x->w, p->kernel[i].artefact)))
			return err_set(e, ERR_PARSE, "kernel %u was not sent", i);
		s->artefact[i] = blob->data;
		s->artefact_size[i] = blob->size;
	}
	return true;
}

static bool find_constants(struct exec *x, struct err *e)
{
	struct prog *p = x->prog;

	for (uint32_t i = 0; i < p->nbuffers; i++) {
		const struct prog_buffer *buf = &p->buffer[i];
		struct blob *blob;

		if (buf->role != BUF_CONST)
			continue;
		if (!(blob = worker_blob(x->w, buf->hash)) || blob->size != buf->bytes)
			return err_set(e, ERR_PARSE, "constant '%s' was not sent, or has another size", buf->name);
		x->view[i] = x->ptr[i] = blob->data;
		x->key[i] = buf->hash;
	}
	return true;
}

/* What a kernel that may look where nobody wrote finds there is one of its inputs. The same stale memory is never found twice. */
static void put_fill(struct exec *x, struct hasher *h, uint32_t kernel)
{
	char text[FILL_TEXT];

	if (x->trusted[kernel] || x->fill.kind == FILL_NAN)
		return;
	hash_put_text(h, fill_text(x->fill, text));
	if (x->fill.kind == FILL_STALE)
		hash_put_u64(h, ++x->w->clock);
}

/* Launches that are the original's: the same kernel's code on the same buffers, of the same form. */
static bool *same_launches(struct arena *a, const struct prog *p, const struct prog *b, const bool *trusted)
{
	bool *same = ARENA_ARRAY(a, bool, p->nlaunches);

	for (uint32_t k = 0; k < p->nlaunches && k < b->nlaunches; k++) {
		const struct prog_launch *l = &p->launch[k], *its = &b->launch[k];

		same[k] = trusted[l->kernel] && l->nargs == its->nargs && l->nout == its->nout &&
			  hash_eq(p->kernel[p->kernel[l->kernel].plain].code, b->kernel[b->kernel[its->kernel].plain].code) &&
			  (l->arg == its->arg || !memcmp(l->arg, its->arg, l->nargs * sizeof *l->arg));
		for (uint32_t o = l->nargs - l->nout; same[k] && o < l->nargs; o++)
			same[k] = p->buffer[l->arg[o]].dtype == b->buffer[l->arg[o]].dtype &&
				  !memcmp(p->buffer[l->arg[o]].dim, b->buffer[l->arg[o]].dim, sizeof b->buffer->dim);
	}
	return same;
}

/* What reads the same makes the same: its keys are known, too. */
static bool recall_keys(struct exec *x, uint32_t k, const struct known *image)
{
	const struct prog_launch *l = &x->prog->launch[k];

	if (!x->same || !x->same[k] || !image || image->failed)
		return false;
	for (uint32_t i = 0; i < l->nargs - l->nout; i++)
		if (!hash_eq(x->key[l->arg[i]], image->key[l->arg[i]]))
			return false;
	for (uint32_t o = l->nargs - l->nout; o < l->nargs; o++)
		x->key[l->arg[o]] = image->key[l->arg[o]];
	return true;
}

/* Keys of a launch's outputs from what it does and what it reads; not from how many threads it has. image: what is known of it, or NULL. */
void exec_keys(struct exec *x, uint32_t k, const struct known *image)
{
	const struct prog *p = x->prog;
	const struct prog_launch *l = &p->launch[k];

	if (recall_keys(x, k, image))
		return;
	for (uint32_t o = l->nargs - l->nout; o < l->nargs; o++) {
		const struct prog_buffer *b = &p->buffer[l->arg[o]];
		struct hasher *h = hasher_new();

		hash_put_hash(h, p->kernel[p->kernel[l->kernel].plain].code);
		hash_put_u64(h, (uint64_t)b->dtype << 32 | (o - (l->nargs - l->nout)));
		hash_put_bytes(h, b->dim, sizeof b->dim);
		for (uint32_t i = 0; i < l->nargs - l->nout; i++)
			hash_put_hash(h, x->key[l->arg[i]]);
		put_fill(x, h, l->kernel);
		x->key[l->arg[o]] = hasher_end(h);
	}
}

static const uint8_t *known_data(const struct known *k, struct hash key)
{
	uintptr_t at = k && !k->failed ? (uintptr_t)map_get_hash(k->by_key, key) : 0;

	/* The key covers type and shape, so the sizes are equal. */
	return at ? k->data[at - 1] : NULL;
}

static bool is_known(const struct exec *x, const struct prog_launch *l, const struct known *from)
{
	for (uint32_t o = l->nargs - l->nout; o < l->nargs; o++)
		if (!known_data(from, x->key[l->arg[o]]))
			return false;
	return true;
}

static bool lend(struct exec *x, uint32_t buffer, struct blob *blob, struct err *e)
{
	x->ptr[buffer] = blob_lend(x->w, blob);
	if (x->last && x->ptr[buffer] && x->prog->buffer[buffer].role == BUF_CONST)
		chunk_place(blob->copy ? blob->copy_chunk : blob->chunk, &x->place[buffer].at, &x->place[buffer].n);
	return x->ptr[buffer] || err_set(e, ERR_IO, "no memory for '%s'", x->prog->buffer[buffer].name);
}

/* What a launch reads that no launch of this child writes. */
static bool lend_args(struct exec *x, const struct prog_launch *l, const struct exec_given *g, struct err *e)
{
	const struct prog *p = x->prog;

	for (uint32_t i = 0; i < l->nargs - l->nout; i++) {
		const struct prog_buffer *b = &p->buffer[l->arg[i]];

		if (b->role == BUF_CONST && !lend(x, l->arg[i], worker_blob(x->w, b->hash), e))
			return false;
		for (uint32_t in = 0; b->role == BUF_INPUT && in < p->ninputs; in++)
			for (uint32_t k = 0; p->input[in] == l->arg[i] && k < g->n; k++)
				if (!lend(x, l->arg[i], g->input[k][in], e))
					return false;
	}
	return true;
}

/* Behind which launch each buffer goes. What launches made of constants write is there for all images, and so is what the others read of
 * what is not theirs; buffers with the same bytes are one blob. */
static void plan_end(struct exec *x, const struct exec_given *g)
{
	const struct prog *p = x->prog;
	struct map *same = map_new(x->arena);
	uint32_t *blob = ARENA_ARRAY(x->arena, uint32_t, p->nbuffers);

	x->last = ARENA_ARRAY(x->arena, uint32_t, p->nbuffers);
	x->place = ARENA_ARRAY(x->arena, struct place, p->nbuffers);
	for (uint32_t k = 0; k < g->n; k++)
		for (uint32_t i = 0; i < p->ninputs; i++)
			g->input[k][i]->input = true;
	for (uint32_t i = 0; i < p->nbuffers; i++) {
		const struct prog_buffer *b = &p->buffer[i];

		blob[i] = i;
		x->last[i] = b->writer < 0 ? NEVER : (uint32_t)b->writer;
		if (b->role != BUF_CONST)
			continue;
		if (map_get_hash(same, b->hash))
			blob[i] = (uint32_t)(uintptr_t)map_get_hash(same, b->hash) - 1;
		else
			map_put_hash(same, b->hash, (void *)(uintptr_t)(i + 1));
		x->last[i] = worker_blob(x->w, b->hash)->input ? NEVER : 0;
	}
	for (uint32_t k = 0; k < p->nlaunches; k++)
		for (uint32_t i = 0; i < p->launch[k].nargs - p->launch[k].nout; i++) {
			uint32_t at = blob[p->launch[k].arg[i]], writer = (uint32_t)p->buffer[at].writer;
			bool of_all = p->buffer[at].writer < 0 || p->launch[writer].constant;

			if (x->last[at] != NEVER)
				x->last[at] = of_all && !p->launch[k].constant ? NEVER : k;
		}
	for (uint32_t i = 0; i < p->noutputs; i++)
		x->last[p->output[i]] = NEVER;
	for (uint32_t i = 0; i < p->nbuffers; i++)
		x->last[i] = x->last[blob[i]];
}

/* Which launches may have to run, and what they read. A launch that is known for the first image is known for the others, whose
 * inputs differ from the original's where the first one's do; where not, exec_all notices. */
static bool lend_all(struct exec *x, const struct exec_given *g, struct proc_spec *s, struct err *e)
{
	const struct prog *p = x->prog;
	const int threads = s->threads;
	const struct known *constant = g->all ? NULL : g->constant, *first = g->all || !g->known || !g->n ? NULL : g->known[0];

	s->threads = 1;
	s->first = x->w->slots.view_size;
	for (uint32_t i = 0; g->known && i < g->n; i++)
		if (g->known[i]->failed)
			constant = first = NULL;
	for (uint32_t i = 0; g->n && i < p->ninputs; i++)
		x->key[p->input[i]] = g->input[0][i]->hash;
	for (uint32_t k = 0; k < p->nlaunches; k++) {
		const struct prog_launch *l = &p->launch[k];

		exec_keys(x, k, first);
		x->may[k] = !is_known(x, l, l->constant ? constant : first);
		if (!x->may[k])
			continue;
		s->threads = l->parallel ? threads : s->threads;
		for (uint32_t o = l->nargs - l->nout; o < l->nargs; o++)
			s->first = x->w->slots.slot[l->arg[o]].off < s->first ? x->w->slots.slot[l->arg[o]].off : s->first;
		if (!lend_args(x, l, g, e))
			return false;
	}
	if (g->constant && !g->constant->failed)
		chunk_lend(&x->w->mem, g->constant->chunk);
	for (uint32_t i = 0; g->known && i < g->n; i++)
		if (!g->known[i]->failed)
			chunk_lend(&x->w->mem, g->known[i]->chunk);
	return true;
}

static bool open_once(struct exec *x, struct worker *w, struct prog *p, const struct base *b, const struct exec_given *g, uint64_t job,
		      struct fill fill, int threads, uint32_t repeat, double limit_s, double cpu_seconds, struct err *e)
{
	struct proc_spec s = {.prog = p,
			      .slots = &w->slots,
			      .shared = &w->shared,
			      .mem = &w->mem,
			      .ops = w->ops,
			      .device = w->device,
			      .threads = threads,
			      .fill = fill,
			      .repeat = repeat,
			      .cpu_seconds = cpu_seconds,
			      .memory = w->memory_limit,
			      .jail = &w->jail,
			      .closed = w->closes};

	*x = (struct exec){
	    .w = w, .arena = arena_new(NULL), .prog = p, .job = job, .original = !job, .fill = fill, .limit_s = limit_s, .end = {.launch = -1, .buffer = -1}};
	x->proc.pid = x->proc.sock = -1;
	x->ptr = ARENA_ARRAY(x->arena, void *, p->nbuffers);
	x->view = ARENA_ARRAY(x->arena, const uint8_t *, p->nbuffers);
	x->slot = ARENA_ARRAY(x->arena, uint32_t, p->nbuffers);
	for (uint32_t i = 0; i < p->nbuffers; i++)
		x->slot[i] = i;
	x->key = ARENA_ARRAY(x->arena, struct hash, p->nbuffers);
	x->cut = ARENA_ARRAY(x->arena, bool, p->nbuffers);
	x->reused = ARENA_ARRAY(x->arena, bool, p->nbuffers);
	x->held = ARENA_ARRAY(x->arena, bool, p->nlaunches);
	x->may = ARENA_ARRAY(x->arena, bool, p->nlaunches);
	x->times = ARENA_ARRAY(x->arena, double, repeat);
	x->spent = ARENA_ARRAY(x->arena, double, p->nlaunches);
	x->sel = ARENA_ARRAY(x->arena, uint32_t, p->nlaunches);
	x->arg = ARENA_ARRAY(x->arena, void *, p->nargs);
	x->trusted = ARENA_ARRAY(x->arena, bool, p->nkernels);
	s.open = ARENA_ARRAY(x->arena, uint8_t, p->nbuffers);
	s.written = ARENA_ARRAY(x->arena, uint32_t, p->nbuffers);
	if (!find_kernels(x, b, &s, e))
		return false;
	if (b && b->prog != p)
		x->same = same_launches(x->arena, p, b->prog, x->trusted);
	if (!find_constants(x, e) || !slots_layout(&w->slots, p, fill, e))
		return false;
	if (!w->ops->launch) {
		if (g->once)
			plan_end(x, g);
		if (!lend_all(x, g, &s, e))
			return false;
		if (g->known && !g->dump && fill.kind != FILL_STALE)
			flat_open(x);
		s.last = x->last;
		s.place = x->place;
		s.arg = x->arg;
		x->proc.spec = s;
		step_end(&w->steps, POOL_STEP_PLAN);
		return true;
	}
	gpu_open(x, s.kernel);
	return true;
}

static void overran(struct exec *x, int64_t launch, uint32_t buffer)
{
	const char *name = launch >= 0 ? x->prog->launch[launch].name : "a kernel";

	if (!x->overrun && x->end.status != POOL_OVERRUN) {
		x->end.status = POOL_OVERRUN;
		x->end.stage = POOL_RUN;
		x->end.launch = launch;
		x->end.buffer = buffer;
		snprintf(x->end.text, sizeof x->end.text, "'%.100s' wrote outside of buffer '%.100s'", name,
			 x->prog->buffer[buffer].name);
	}
	x->overrun = true;
}

/* The one kernel that is not the original's, if there is only one; else -1. */
static int64_t only_suspect(const struct exec *x)
{
	int64_t found = -1;

	for (uint32_t k = 0; k < x->prog->nlaunches; k++) {
		if (x->trusted[x->prog->launch[k].kernel])
			continue;
		if (found >= 0)
			return -1;
		found = k;
	}
	return found;
}

void exec_stop(struct exec *x)
{
	bool ran = x->proc.ctl != NULL;
	uint64_t first = x->w->closes ? x->proc.spec.first : 0; /* the filter lets no child map what is before */

	proc_stop(&x->proc);
	x->w->stuck = x->w->stuck || x->proc.stuck;
	/* The next program must find its canaries whole, and this one answers for what it did to any. */
	for (uint32_t i = 0; ran && !x->w->slots.dirty && i < x->w->slots.n; i++) {
		struct slot *s = &x->w->slots.slot[i];

		if (!s->size || s->off < first || slot_intact(s))
			continue;
		slot_refill(s);
		overran(x, only_suspect(x), i);
	}
}

void exec_close(struct exec *x)
{
	if (x->gpu)
		gpu_close(x);
	exec_stop(x);
	arena_free(x->arena);
	x->arena = NULL;
}

/* What the child announced last, as far as it makes sense: once it is ready nothing but what it was asked to run is believed. */
static void where(struct exec *x, struct run_end *end)
{
	uint32_t stage = atomic_load(&x->proc.ctl->stage), launch = atomic_load(&x->proc.ctl->launch);
	bool asked = false;

	if (!x->ready) {
		end->stage = stage == POOL_LOAD ? POOL_LOAD : POOL_START;
		end->launch = end->stage == POOL_LOAD && launch && launch <= x->prog->nlaunches ? (int64_t)launch - 1 : -1;
		return;
	}
	end->stage = POOL_RUN;
	for (uint32_t i = 0; launch && i < x->nsel; i++)
		asked = asked || x->sel[i] == launch - 1;
	end->launch = asked ? (int64_t)launch - 1 : only_suspect(x);
}

static void say_death(struct exec *x, struct run_end *end)
{
	static const char *const doing[] = {"starting", "building", "loading", "running", "ending"};
	int status = x->proc.status;
	const char *name = end->launch >= 0 ? x->prog->launch[end->launch].name : NULL;
	char why[300], text[256];

	if (WIFSIGNALED(status)) {
		end->signal = WTERMSIG(status);
		snprintf(why, sizeof why, "killed by signal %d (%s)", end->signal, strsignal(end->signal));
	} else if (proc_text(&x->proc, text), WEXITSTATUS(status) == PROC_GAVE_UP && *text) {
		snprintf(why, sizeof why, "%s", text);
	} else {
		snprintf(why, sizeof why, "ended with status %d", WEXITSTATUS(status));
	}
	snprintf(end->text, sizeof end->text, "%s while %s%s%.100s%s", why, doing[end->stage], name ? " '" : "", name ? name : "",
		 name ? "'" : "");
}

static enum step ended(struct exec *x, enum proc_end how)
{
	struct run_end *end = &x->end;

	if (how == PROC_OK)
		return STEP_OK;
	x->w->slots.dirty = true;
	x->w->stuck = x->w->stuck || x->proc.stuck;
	if (how == PROC_GONE)
		return STEP_GONE;
	where(x, end);
	if (how == PROC_HUNG && !x->ready) {
		end->status = POOL_LOST;
		snprintf(end->text, sizeof end->text, "the child that runs kernels was not ready after %d s", START_LIMIT_S);
	} else if (how == PROC_HUNG || (WIFSIGNALED(x->proc.status) && WTERMSIG(x->proc.status) == SIGXCPU)) {
		end->status = POOL_HUNG;
		snprintf(end->text, sizeof end->text, "not done after %.3g s%s%.100s%s", x->limit_s,
			 end->launch >= 0 ? " in '" : "", end->launch >= 0 ? x->prog->launch[end->launch].name : "",
			 end->launch >= 0 ? "'" : "");
	} else {
		/* before a child is ready nothing of the mutant's has run: only what the loader says is about it */
		end->status = end->stage == POOL_START || (!x->ready && WIFSIGNALED(x->proc.status)) ? POOL_LOST : POOL_CRASHED;
		end->ours = x->ready && WIFEXITED(x->proc.status) && WEXITSTATUS(x->proc.status) == PROC_GAVE_UP;
		say_death(x, end);
	}
	return STEP_ENDED;
}

static void could_not(struct exec *x, const struct err *e)
{
	x->end.status = POOL_LOST;
	snprintf(x->end.text, sizeof x->end.text, "%s", err_text(e));
}

/* n: launches of x->sel that it goes on with at once. */
static enum step start_once(struct exec *x, uint32_t n)
{
	const struct proc_spec spec = x->proc.spec;
	const uint32_t image = x->proc.image;
	struct steps *t = &x->w->steps;
	struct err e = {0};
	enum step s;

	if (!proc_start(&x->proc, &spec, &e)) {
		could_not(x, &e);
		err_free(&e);
		return STEP_ENDED;
	}
	x->proc.image = image;
	if (n)
		proc_post(&x->proc, x->sel, n, PROC_CHECKED, 0, 1, x->last_now);
	step_end(t, POOL_STEP_FORK);
	s = ended(x, proc_ready(&x->proc, START_LIMIT_S, x->w->in));
	x->ready = s == STEP_OK;
	if (x->ready)
		proc_steps(&x->proc, t);
	step_end(t, POOL_STEP_READY);
	return s;
}

static enum step start(struct exec *x, uint32_t n)
{
	struct err e = {0};

	x->started = true;
	for (int tries = 1;; tries++) {
		const struct proc before = x->proc;
		enum step s = start_once(x, n);

		x->since = worker_now(); /* an image's limit is for its launches */
		if (s != STEP_ENDED || x->w->stuck || tries == START_TRIES)
			return s;
		proc_stop(&x->proc);
		x->proc = before;
		mem_fork_again(&x->w->mem);
		poll(NULL, 0, START_PAUSE_MS);
		if (!slots_layout(&x->w->slots, x->prog, x->fill, &e)) {
			could_not(x, &e);
			err_free(&e);
			return STEP_ENDED;
		}
		x->end = (struct run_end){.launch = -1, .buffer = -1};
	}
}

enum step exec_start(struct exec *x)
{
	return x->started || x->gpu ? STEP_OK : start(x, 0);
}

enum step exec_begin(struct exec *x, struct worker *w, struct prog *p, const struct base *b, const struct exec_given *g, uint64_t job, struct fill fill,
		     int threads, uint32_t repeat, double limit_s, double cpu_seconds)
{
	for (int tries = 1;; tries++) {
		struct err e = {0};
		bool again;

		if (open_once(x, w, p, b, g, job, fill, threads, repeat, limit_s, cpu_seconds, &e)) {
			enum step s = x->gpu ? gpu_start(x) : STEP_OK;

			x->ready = x->gpu && s == STEP_OK;
			return s;
		}
		again = e.code == ERR_IO;
		could_not(x, &e);
		err_free(&e);
		if (!again || tries == START_TRIES)
			return STEP_ENDED;
		exec_close(x);
		poll(NULL, 0, START_PAUSE_MS);
	}
}

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
	if (!is_known(x, l, from))
		return false;
	for (uint32_t o = l->nargs - l->nout; o < l->nargs; o++) {
		x->view[l->arg[o]] = known_data(from, x->key[l->arg[o]]);
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
	int64_t who = x->trusted[l->kernel] && only_suspect(x) >= 0 ? only_suspect(x) : k;

	for (uint32_t o = l->nargs - l->nout; o < l->nargs; o++) {
		struct slot *s = &x->w->slots.slot[l->arg[o]];

		if (slot_intact(s))
			continue;
		slot_refill(s);
		if (x->gpu)
			gpu_mend(x, l->arg[o]);
		overran(x, who, l->arg[o]);
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
		s = start(x, n);
	if (s == STEP_OK)
		s = ended(x, proc_done(&x->proc, time_left(x), x->w->in));
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
	enum step s = exec_start(x);

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
	if (!x->gpu && !keep)
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
	s = x->gpu ? gpu_timed(x, n, warmup, repeat) : ended(x, proc_done(&x->proc, x->limit_s, x->w->in));
	if (s == STEP_OK && !x->gpu)
		proc_times(&x->proc, x->times, x->spent);
	for (uint32_t i = 0; s == STEP_OK && i < n; i++)
		check_pads(x, x->sel[i]);
	return s;
}
