/* child_flat.c: tensors of one value - behind unwritten memory, every image is soon like every other
 *
 * Where a mutant leaves elements unwritten, the NaNs that it finds there spread from kernel to kernel until a tensor holds nothing else. Such
 * a tensor's key is its value, so what the original's kernels make of it is known after the first image: they do not run again. Behind the
 * last changed kernel only: what that one could reach must be as it would be if all ran. And in one child only: a mutant can spoil its own
 * results, no other's.
 */
#include "worker/child.h"

#include <string.h>

#include "base/arena.h"
#include "base/map.h"

void flat_open(struct exec *x)
{
	const struct prog *p = x->prog;

	x->flat = ARENA_ARRAY(x->arena, struct flat, p->nbuffers);
	x->flattens = ARENA_ARRAY(x->arena, bool, p->nlaunches);
	x->flat_by_key = map_new(x->arena);
	for (uint32_t k = 0; k < p->nlaunches; k++)
		if (!x->trusted[p->launch[k].kernel])
			x->flat_from = k + 1;
}

void flat_image(struct exec *x)
{
	if (x->flat)
		memset(x->flat, 0, x->prog->nbuffers * sizeof *x->flat);
}

/* All that differs from image to image has one value. */
static bool reads_flat(const struct exec *x, const struct prog_launch *l)
{
	for (uint32_t i = 0; i < l->nargs - l->nout; i++) {
		const struct prog_buffer *b = &x->prog->buffer[l->arg[i]];

		if (b->role != BUF_CONST && !x->flat[l->arg[i]].is && (b->writer < 0 || !x->prog->launch[b->writer].constant))
			return false;
	}
	return true;
}

static struct hash key_of(const struct prog_buffer *b, uint64_t value)
{
	struct hasher *h = hasher_new();

	hash_put_text(h, "one value");
	hash_put_u64(h, value);
	hash_put_u64(h, b->dtype);
	hash_put_bytes(h, b->dim, sizeof b->dim);
	return hasher_end(h);
}

static void set(struct exec *x, uint32_t buffer, uint64_t value, bool there)
{
	x->flat[buffer] = (struct flat){.is = true, .there = there, .value = value};
	x->key[buffer] = key_of(&x->prog->buffer[buffer], value);
}

bool flat_known(struct exec *x, uint32_t k)
{
	const struct prog_launch *l = &x->prog->launch[k];

	if (!x->flat || k < x->flat_from || l->constant || !x->may[k])
		return false;
	for (uint32_t o = l->nargs - l->nout; o < l->nargs; o++)
		if (!map_get_hash(x->flat_by_key, x->key[l->arg[o]]))
			return false;
	for (uint32_t o = l->nargs - l->nout; o < l->nargs; o++) {
		const uint64_t *v = map_get_hash(x->flat_by_key, x->key[l->arg[o]]);

		set(x, l->arg[o], *v, false);
		x->reused[l->arg[o]] = true;
	}
	return true;
}

/* Most tensors say at their beginning or in their middle that they are not. */
static bool has_one_value(const uint8_t *p, size_t n, size_t size, uint64_t *value)
{
	if (n < size || memcmp(p, p + n / size / 2 * size, size) || memcmp(p, p + size, n - size))
		return false;
	for (size_t at = 0; at < sizeof *value; at += size)
		memcpy((uint8_t *)value + at, p, size);
	return true;
}

void flat_look(struct exec *x, uint32_t k)
{
	const struct prog_launch *l = &x->prog->launch[k];
	bool all = true, keep;

	if (!x->flat || l->constant)
		return;
	keep = k >= x->flat_from && reads_flat(x, l);
	for (uint32_t o = l->nargs - l->nout; o < l->nargs; o++) {
		const struct prog_buffer *b = &x->prog->buffer[l->arg[o]];
		uint64_t value;

		if (!x->cut[l->arg[o]] && has_one_value(x->view[l->arg[o]], b->bytes, dtype_size(b->dtype), &value))
			x->flat[l->arg[o]] = (struct flat){.is = true, .there = true, .value = value};
		all = all && x->flat[l->arg[o]].is;
	}
	keep = keep && all;
	if (keep)
		exec_keys(x, k, NULL); /* what it read may have got its key after this launch had */
	for (uint32_t o = l->nargs - l->nout; o < l->nargs; o++) {
		struct flat *f = &x->flat[l->arg[o]];

		if (keep)
			map_put_hash(x->flat_by_key, x->key[l->arg[o]], arena_memdup(x->arena, &f->value, sizeof f->value));
		if (f->is)
			set(x, l->arg[o], f->value, true);
	}
	x->flattens[k] = all;
}

void flat_write(struct exec *x, uint32_t buffer)
{
	struct slot *s = &x->w->slots.slot[buffer];
	struct filling f = {.fill = {FILL_NAN, 0}, .dtype = x->prog->buffer[buffer].dtype};

	if (!x->flat || !x->flat[buffer].is || x->flat[buffer].there)
		return;
	f.word = x->flat[buffer].value;
	filling_put(s->view + s->front, 0, s->bytes, &f);
	x->flat[buffer].there = true;
	x->ptr[buffer] = s->at + s->front;
	x->view[buffer] = s->view + s->front;
}
