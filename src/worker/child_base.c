/* child_base.c: originals a runner knows, and the tensors they made of each image */
#include "worker/child.h"

#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "device/device.h"

#define MAX_BASES 4
#define BASE_LIMIT_S 60 /* at least, for one image */

static size_t kept_bytes(const struct prog *p, bool constant)
{
	size_t n = WIRE_KEPT_MORE;

	for (uint32_t i = 0; i < p->nbuffers; i++) {
		const struct prog_buffer *b = &p->buffer[i];

		if (b->writer >= 0 && p->launch[b->writer].constant == constant)
			n += wire_kept_bytes(b->dtype, b->bytes);
	}
	return n;
}

static void known_free(struct worker *w, struct known *k)
{
	if (!k)
		return;
	w->cached -= k->size;
	if (k->chunk)
		chunk_release(&w->mem, k->chunk);
	arena_free(k->arena);
}

static void base_free(struct worker *w, struct base *b)
{
	struct known *next;

	for (struct known *k = b->known; k; k = next) {
		next = k->next;
		known_free(w, k);
	}
	known_free(w, b->constant);
	for (uint32_t i = 0; i < b->prog->nkernels; i++)
		if (b->kernel[i])
			w->ops->unload(w->device, b->kernel[i]);
	arena_free(b->arena);
}

static bool load(struct worker *w, struct base *b, struct err *e)
{
	struct prog *p = b->prog;

	for (uint32_t i = 0; i < p->nkernels; i++) {
		struct blob *blob = worker_blob(w, p->kernel[i].artefact);
		struct artefact a = {.code = p->kernel[i].code};

		if (!blob)
			return err_set(e, ERR_PARSE, "kernel %u of the original was not sent", i);
		a.data = blob->data;
		a.size = blob->size;
		if (!w->ops->load(w->device, &a, &b->kernel[i], e))
			return err_in(e, "kernel %u of the original", i);
	}
	if (w->ops->settle)
		w->ops->settle(w->device);
	return true;
}

static void drop_oldest(struct worker *w)
{
	struct base **oldest = NULL;
	uint32_t n = 0;

	for (struct base **at = &w->base; *at; at = &(*at)->next, n++)
		if (!oldest || (*at)->used < (*oldest)->used)
			oldest = at;
	if (n > MAX_BASES) {
		struct base *b = *oldest;

		*oldest = b->next;
		base_free(w, b);
	}
}

struct base *base_get(struct worker *w, struct hash program, struct err *e)
{
	struct blob *blob = worker_blob(w, program);
	struct arena *a;
	struct base *b;

	for (b = w->base; b; b = b->next)
		if (hash_eq(b->prog->hash, program)) {
			b->used = ++w->clock;
			return b;
		}
	if (!blob) {
		err_set(e, ERR_PARSE, "the original was not sent");
		return NULL;
	}
	a = arena_new(NULL);
	b = ARENA_NEW(a, struct base);
	b->arena = a;
	if (!prog_decode(a, blob->data, blob->size, NULL, &b->prog, e)) {
		arena_free(a);
		return NULL;
	}
	b->kernel = ARENA_ARRAY(a, struct kernel *, b->prog->nkernels);
	b->image_bytes = kept_bytes(b->prog, false);
	b->used = ++w->clock;
	if (!load(w, b, e)) {
		base_free(w, b);
		return NULL;
	}
	b->next = w->base;
	w->base = b;
	drop_oldest(w);
	return b;
}

/* Copies what x has just made into memory of its own. */
static struct known *keep(struct worker *w, struct base *b, const struct exec *x, bool constant)
{
	struct prog *p = b->prog;
	struct arena *a = arena_new(NULL);
	struct known *k = ARENA_NEW(a, struct known);
	size_t size;
	int file;

	k->arena = a;
	size = kept_bytes(p, constant);
	k->size = constant ? 0 : size; /* what is made of constants is there once, and stays */
	k->used = ++w->clock;
	k->data = ARENA_ARRAY(a, uint8_t *, p->nbuffers);
	k->key = arena_memdup(a, x->key, p->nbuffers * sizeof *k->key);
	k->by_key = map_new(a);
	w->cached += k->size;
	k->chunk = mem_chunk(&w->mem, size);
	file = k->chunk ? chunk_file(k->chunk) : -1;
	k->failed = file < 0;
	for (uint32_t i = 0; i < p->nbuffers && !k->failed; i++) {
		const struct prog_buffer *buf = &p->buffer[i];
		struct filling pads;

		if (buf->writer < 0 || p->launch[buf->writer].constant != constant)
			continue;
		pads = filling_of_pads((struct fill){FILL_NAN, 0}, buf->name, buf->dtype);
		k->data[i] = chunk_put(k->chunk, file, x->view[i], buf->bytes, pad_bytes(buf->dtype), &pads);
		map_put_hash(k->by_key, k->key[i], (void *)(uintptr_t)(i + 1));
		k->failed = !k->data[i];
	}
	if (file >= 0)
		k->failed = !chunk_show(k->chunk, file) || k->failed;
	return k;
}

static struct known *failed(struct worker *w)
{
	struct arena *a = arena_new(NULL);
	struct known *k = ARENA_NEW(a, struct known);

	k->arena = a;
	k->failed = true;
	k->used = ++w->clock;
	return k;
}

static struct hash inputs_id(struct blob *const *input, uint32_t n)
{
	struct hasher *h = hasher_new();

	for (uint32_t i = 0; i < n; i++)
		hash_put_hash(h, input[i]->hash);
	return hasher_end(h);
}

static struct known *find(struct worker *w, struct base *b, struct hash id)
{
	for (struct known *k = b->known; k; k = k->next)
		if (hash_eq(k->id, id)) {
			k->used = ++w->clock;
			return k;
		}
	return NULL;
}

/* Room for one more image: the longest unused go, but nothing that was used since `since`. */
static void make_room(struct worker *w, size_t size, uint64_t since)
{
	while (w->cached + size > w->budget) {
		struct known **oldest = NULL;

		for (struct base *b = w->base; b; b = b->next)
			for (struct known **at = &b->known; *at; at = &(*at)->next)
				if ((*at)->used <= since && (*at)->size && (!oldest || (*at)->used < (*oldest)->used))
					oldest = at;
		if (!oldest)
			return;
		struct known *k = *oldest;

		*oldest = k->next;
		known_free(w, k);
	}
}

static enum step know_one(struct worker *w, struct base *b, struct exec *x, struct blob *const *input, struct hash id,
			  uint64_t since, struct known **out)
{
	enum step s;
	struct known *k;

	exec_image(x, input, false);
	s = exec_all(x, b->constant, NULL, NULL);
	if (s == STEP_GONE)
		return s;
	if (s == STEP_OK && !x->overrun) {
		if (!b->constant)
			b->constant = keep(w, b, x, true);
		make_room(w, b->image_bytes, since);
		k = keep(w, b, x, false);
	} else {
		k = failed(w);
	}
	k->id = id;
	k->next = b->known;
	b->known = k;
	*out = k;
	return s;
}

/* ENDED: cannot, e says why */
static enum step open_original(struct exec *x, struct worker *w, struct base *b, struct blob *const *const *input, uint32_t n, int threads,
			       double limit, struct err *e)
{
	struct exec_given g = {.input = input, .n = n, .constant = b->constant};
	enum step s = exec_begin(x, w, b->prog, b, &g, 0, (struct fill){FILL_NAN, 0}, threads, 0, limit, 0);

	if (s == STEP_OK)
		s = exec_start(x, 0);
	if (s == STEP_ENDED)
		err_set(e, ERR_DEVICE, "%s", x->end.text);
	if (s != STEP_OK) {
		exec_close(x);
		err_in(e, "starting the original");
	}
	return s;
}

enum step base_know(struct worker *w, struct base *b, struct blob *const *const *input, uint32_t n, int threads,
		    double limit_s, struct known **found, struct err *e)
{
	Wire__Pulse pulse = WIRE__PULSE__INIT;
	uint64_t since = w->clock;
	double limit = limit_s > BASE_LIMIT_S ? limit_s : BASE_LIMIT_S;
	struct exec x = {0};
	bool open = false;
	enum step s = STEP_OK;

	for (uint32_t i = 0; i < n && s != STEP_GONE; i++) {
		struct hash id = inputs_id(input[i], b->prog->ninputs);

		if ((found[i] = find(w, b, id)))
			continue;
		if (!open) {
			s = open_original(&x, w, b, input + i, n - i, threads, limit, e);
			if (s != STEP_OK)
				return s;
			open = true;
		}
		s = know_one(w, b, &x, input[i], id, since, &found[i]);
		if (s == STEP_ENDED && w->broken) {
			err_set(e, ERR_DEVICE, "running the original: %s", x.end.text);
			exec_close(&x);
			return s;
		}
		if (s == STEP_ENDED) {
			exec_close(&x);
			open = false;
		}
		if (s != STEP_GONE && !worker_send(w, WIRE_PULSE, &pulse, e))
			s = STEP_GONE;
	}
	if (open)
		exec_close(&x);
	return s == STEP_GONE ? STEP_GONE : STEP_OK;
}

void base_forget(struct worker *w)
{
	for (struct base *b = w->base; b; b = b->next) {
		struct known *next;

		for (struct known *k = b->known; k; k = next) {
			next = k->next;
			known_free(w, k);
		}
		b->known = NULL;
	}
}

void base_close(struct worker *w)
{
	while (w->base) {
		struct base *b = w->base;

		w->base = b->next;
		base_free(w, b);
	}
}
