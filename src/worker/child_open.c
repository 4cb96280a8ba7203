/* child_open.c: what a program needs before it runs - its kernels and constants, the keys of its tensors, which launches may have to run and
 * what they read, and behind which one each tensor goes */
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "device/device.h"
#include "worker/child_exec.h"

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

const uint8_t *exec_known_data(const struct known *k, struct hash key)
{
	uintptr_t at = k && !k->failed ? (uintptr_t)map_get_hash(k->by_key, key) : 0;

	/* The key covers type and shape, so the sizes are equal. */
	return at ? k->data[at - 1] : NULL;
}

bool exec_is_known(const struct exec *x, const struct prog_launch *l, const struct known *from)
{
	for (uint32_t o = l->nargs - l->nout; o < l->nargs; o++)
		if (!exec_known_data(from, x->key[l->arg[o]]))
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
		x->may[k] = !exec_is_known(x, l, l->constant ? constant : first);
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

bool exec_open(struct exec *x, struct worker *w, struct prog *p, const struct base *b, const struct exec_given *g, uint64_t job,
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
