/* child_mem.c: where tensors lie in a worker: read-only chunks in large pages, and output slots far apart from each other */
#include "worker/child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/hash.h"

#define HUGE_PAGE ((size_t)2 << 20)
#define CHUNK ((size_t)32 << 20)
#define GAP ((size_t)64 << 20)
#define MIN_GAP ((size_t)64 << 10)
#define MAX_ALONE 4096 /* blobs with a mapping each */
#define SMALL ((size_t)128 << 10) /* smaller ones lie together until a child is to read them */
#define RESERVE ((size_t)8 << 40)
#define RESERVE_EMULATED ((size_t)8 << 30)
#define PROBE ((size_t)128 << 20)
#define REGION_AT ((uint8_t *)(uintptr_t)0x180000000000) /* below: what the system places by itself lies far above */
#define REGION ((size_t)8 << 40)
#define RESERVE_AT ((void *)(uintptr_t)0x200000000000) /* the same in every run where it is free */
#define BLOB_PAD (PAD_ELEMENTS * 8)

static size_t up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

/* ---- chunks ------------------------------------------------------------------------------------------------ */

struct chunk {
	struct chunk *next;
	uint8_t *base;
	size_t size, used;
	uint8_t *map; /* with what lies around it, and is no memory */
	size_t map_size;
	uint32_t holds;
	bool shared; /* takes blobs; no child sees it */
	bool lent;   /* the next child sees it */
	uint64_t wanted; /* mem.forks when it was lent */
	bool closed; /* nobody writes there any more */
};

size_t pad_bytes(enum dtype t)
{
	return PAD_ELEMENTS * dtype_size(t);
}

void mem_open(struct mem *m, const struct slots *s)
{
	struct rlimit all;

	*m = (struct mem){.gap = slots_gap(s), .region = s->reserve < RESERVE ? NULL : REGION_AT};
	m->joins = !SANITIZED && !getrlimit(RLIMIT_AS, &all) && all.rlim_cur == RLIM_INFINITY;
}

/* Where the region has size bytes with a gap on both sides; NULL: nowhere. Once it was walked through, what was freed is taken again. */
static uint8_t *free_place(struct mem *m, size_t size)
{
	for (int round = 0; round < 2; round++) {
		while (m->next + size + 2 * m->gap <= REGION) {
			uint8_t *at = m->region + m->next + m->gap;
			const struct chunk *c = m->chunk;

			while (c && (c->map + c->map_size + m->gap <= at || at + size + m->gap <= c->map))
				c = c->next;
			if (!c)
				return at;
			m->next = up((size_t)(c->map + c->map_size - m->region), HUGE_PAGE);
		}
		m->next = 0;
	}
	return NULL;
}

static bool map_at(uint8_t *at, size_t size, int may)
{
	return mmap(at, size, may, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) == at;
}

/* Fills the space between the chunk before this place and the place: closed chunks that no child inherits are then one mapping, and a fork costs as if there were one.
 * A child that inherits both finds nothing between them all the same; what runs in this process would. Large pages have mappings of their own. Returns where that mapping begins. */
static uint8_t *join(const struct mem *m, const struct chunk *c, uint8_t *at)
{
	for (const struct chunk *b = m->chunk; m->joins && !m->padded && c->size < HUGE_PAGE && b; b = b->next) {
		uint8_t *end = b->map + b->map_size;

		if (b->size >= HUGE_PAGE || end >= at || (size_t)(at - end) > m->gap + HUGE_PAGE)
			continue;
		if (!map_at(end, (size_t)(at - end), PROT_READ))
			return at;
		madvise(end, (size_t)(at - end), MADV_DONTFORK);
		return end;
	}
	return at;
}

static bool map_in_region(struct mem *m, struct chunk *c)
{
	uint8_t *at = free_place(m, c->size);

	if (!at || !map_at(at, c->size, PROT_READ | PROT_WRITE))
		return false;
	m->next = up((size_t)(at + c->size - m->region), HUGE_PAGE);
	c->base = at;
	c->map = join(m, c, at);
	c->map_size = (size_t)(at - c->map) + c->size;
	return true;
}

/* With mappings that are no memory around it. */
static bool map_anywhere(struct mem *m, struct chunk *c)
{
	size_t all = c->size + HUGE_PAGE + 2 * m->gap;
	uint8_t *p = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return false;
	c->map = p;
	c->map_size = all;
	c->base = (uint8_t *)up((uintptr_t)p + m->gap, c->size < HUGE_PAGE ? PAGE : HUGE_PAGE);
	if (!mprotect(c->base, c->size, PROT_READ | PROT_WRITE))
		return true;
	munmap(p, all);
	return false;
}

struct chunk *mem_chunk(struct mem *m, size_t size)
{
	struct chunk *c;

	if (size > (size_t)1 << 46 || !(c = calloc(1, sizeof *c)))
		return NULL;
	/* a fork copies one entry for a large page, 512 for small ones; a large page that is mostly empty is a waste all the same */
	*c = (struct chunk){.next = m->chunk, .size = up(size ? size : 1, PAGE), .holds = 1};
	if (up(size, HUGE_PAGE) - size < HUGE_PAGE / 8)
		c->size = up(size, HUGE_PAGE);
	if (!(m->region && map_in_region(m, c)) && !map_anywhere(m, c)) {
		free(c);
		return NULL;
	}
	if (c->size >= HUGE_PAGE)
		madvise(c->base, c->size, MADV_HUGEPAGE);
	madvise(c->base, c->size, MADV_DONTFORK);
	m->chunk = c;
	m->n++;
	return c;
}

void chunk_lend(const struct mem *m, struct chunk *c)
{
	c->wanted = m->forks + 1;
}

uint64_t mem_before_fork(struct mem *m)
{
	uint64_t writable = 0;

	m->forks++;
	for (struct chunk *c = m->chunk; c; c = c->next) {
		bool want = c->wanted == m->forks;

		if (want != c->lent)
			madvise(c->base, c->size, want ? MADV_DOFORK : MADV_DONTFORK);
		c->lent = want;
		writable += want || c->closed ? 0 : c->size;
	}
	return writable;
}

void mem_fork_again(struct mem *m)
{
	m->forks--;
}

/* ---- what nobody wrote ------------------------------------------------------------------------------------------ */

static bool filling_eq(const struct filling *a, const struct filling *b)
{
	return fill_eq(a->fill, b->fill) && a->dtype == b->dtype && a->word == b->word;
}

static uint64_t word_at(const struct filling *f, int64_t i)
{
	return f->fill.kind == FILL_RANDOM ? fill_word(f->fill, f->dtype, i) : f->word;
}

/* Bytes of the word at `from` up to its end, or n of them. */
static size_t in_word(int64_t from, size_t n)
{
	size_t left = 8 - (size_t)(from & 7);

	return n < left ? n : left;
}

typedef uint64_t vec64 __attribute__((vector_size(64), aligned(1), may_alias)); /* as much at once as any processor likes */

void filling_put(uint8_t *p, int64_t from, size_t n, const struct filling *f)
{
	const bool plain = f->fill.kind != FILL_RANDOM;

	for (size_t k; n; n -= k, from += (int64_t)k) {
		uint64_t w = word_at(f, from >> 3);

		k = in_word(from, n);
		memcpy(p + from, (uint8_t *)&w + (from & 7), k);
		for (; plain && n - k >= sizeof(vec64); k += sizeof(vec64))
			*(vec64 *)(p + from + k) = (vec64){0} + w;
		for (; plain && n - k >= 8; k += 8) /* most of it, fast */
			memcpy(p + from + k, &w, 8);
	}
}

/* Bits in which lines of 64 bytes differ from the word. All canaries are looked at after every job, so this is to be as fast as memory. */
static uint64_t differ(const uint8_t *p, size_t lines, uint64_t w)
{
	typedef uint64_t vec __attribute__((vector_size(64), aligned(1), may_alias));
	vec all = {0};
	uint64_t some = 0;

	for (; lines; lines--, p += 64)
		all |= *(const vec *)p ^ w;
	for (int i = 0; i < 8; i++)
		some |= all[i];
	return some;
}

static bool filled(const uint8_t *p, int64_t from, size_t n, const struct filling *f)
{
	const bool plain = f->fill.kind != FILL_RANDOM;
	uint64_t differs = 0;

	for (size_t k; n; n -= k, from += (int64_t)k) {
		uint64_t w = word_at(f, from >> 3), v = w;

		k = in_word(from, n);
		memcpy((uint8_t *)&v + (from & 7), p + from, k);
		differs |= v ^ w;
		if (plain && n - k >= 64) {
			size_t lines = (n - k) / 64;

			differs |= differ(p + from + k, lines, w);
			k += lines * 64;
		}
		for (; plain && n - k >= 8; k += 8) {
			memcpy(&v, p + from + k, 8);
			differs |= v ^ w;
		}
	}
	return !differs;
}

/* What is left of the filling: most kernels leave nothing, so it is the pass over the memory that counts. */
static uint64_t left_lines(const uint8_t *p, size_t lines, uint32_t word)
{
	typedef uint32_t vec32 __attribute__((vector_size(64), aligned(1), may_alias));
	vec32 n = {0}; /* 2^32 lines would be too many */
	uint64_t left = 0;

	for (; lines; lines--, p += sizeof n)
		n -= (vec32)(*(const vec32 *)p == word);
	for (int i = 0; i < 16; i++)
		left += n[i];
	return left;
}

#define LEFT(name, type)										\
	static uint64_t name(const uint8_t *p, size_t n, uint64_t word)					\
	{												\
		size_t lines = sizeof(type) == 4 ? n / 64 : 0;						\
		uint64_t left = left_lines(p, lines, (uint32_t)word);					\
		type v;											\
													\
		for (size_t at = lines * 64; at + sizeof v <= n; at += sizeof v) {			\
			memcpy(&v, p + at, sizeof v);							\
			left += v == (type)word;							\
		}											\
		return left;										\
	}
LEFT(left_8, uint8_t)
LEFT(left_16, uint16_t)
LEFT(left_32, uint32_t)
LEFT(left_64, uint64_t)

static uint64_t left_random(const uint8_t *p, size_t n, const struct filling *f)
{
	size_t size = dtype_size(f->dtype);
	uint64_t left = 0;

	for (size_t at = 0; at + size <= n; at += size) {
		uint64_t w = fill_element(f->fill, f->dtype, (int64_t)(at / size));

		left += !memcmp(p + at, &w, size);
	}
	return left;
}

uint64_t filling_left(const uint8_t *p, size_t n, const struct filling *f)
{
	if (f->fill.kind == FILL_STALE)
		return 0;
	if (f->fill.kind == FILL_RANDOM)
		return left_random(p, n, f);
	switch (dtype_size(f->dtype)) {
	case 8: return left_64(p, n, f->word);
	case 4: return left_32(p, n, f->word);
	case 2: return left_16(p, n, f->word);
	default: return left_8(p, n, f->word);
	}
}

/* ---- chunks, and what lies in them ------------------------------------------------------------------------------ */

void *chunk_alloc(struct chunk *c, size_t bytes, size_t pad, const struct filling *pads)
{
	size_t need = up(bytes, 64) + 2 * pad;
	uint8_t *p;

	if (need > c->size - c->used)
		return NULL;
	p = c->base + c->used + pad;
	filling_put(p, -(int64_t)pad, pad, pads);
	filling_put(p, (int64_t)bytes, need - pad - bytes, pads);
	c->used += need;
	c->holds++;
	return p;
}

/* ---- chunks that are made from a file --------------------------------------------------------------------------- */

static bool write_all(int file, const struct iovec *part, size_t n, off_t at)
{
	for (size_t i = 0; i < n; at += (off_t)part[i].iov_len, i++)
		for (size_t done = 0; done < part[i].iov_len;) {
			ssize_t k = pwrite(file, (const uint8_t *)part[i].iov_base + done, part[i].iov_len - done, at + (off_t)done);

			if (k < 0 && errno == EINTR)
				continue;
			if (k <= 0)
				return false;
			done += (size_t)k;
		}
	return true;
}

int chunk_file(const struct chunk *c)
{
	int file = memfd_create("mutatenn-known", MFD_CLOEXEC);

	if (file >= 0 && !ftruncate(file, (off_t)c->size))
		return file;
	if (file >= 0)
		close(file);
	return -1;
}

uint8_t *chunk_put(struct chunk *c, int file, const uint8_t *data, size_t bytes, size_t pad, const struct filling *pads)
{
	size_t need = up(bytes, 64) + 2 * pad, behind = need - pad - bytes, phase = bytes & 7;
	uint8_t *around = need > c->size - c->used ? NULL : malloc(2 * pad + 64 + 8), *p = NULL;
	struct iovec part[3];

	if (!around)
		return NULL;
	filling_put(around + pad, -(int64_t)pad, pad, pads);
	filling_put(around + pad, (int64_t)phase, behind, pads); /* of a word that repeats: where it begins is all that counts */
	part[0] = (struct iovec){around, pad};
	part[1] = (struct iovec){(uint8_t *)data, bytes};
	part[2] = (struct iovec){around + pad + phase, behind};
	if (write_all(file, part, 3, (off_t)c->used)) {
		p = c->base + c->used + pad;
		c->used += need;
	}
	free(around);
	return p;
}

bool chunk_show(struct chunk *c, int file)
{
	bool ok = mmap(c->base, c->size, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, 0) != MAP_FAILED;

	close(file);
	if (ok && !c->lent)
		madvise(c->base, c->size, MADV_DONTFORK); /* as mem_chunk had it */
	c->closed = ok;
	return ok;
}

void chunk_release(struct mem *m, struct chunk *c)
{
	if (--c->holds)
		return;
	for (struct chunk **at = &m->chunk; *at; at = &(*at)->next)
		if (*at == c) {
			*at = c->next;
			break;
		}
	munmap(c->map, c->map_size);
	free(c);
	m->n--;
}

void chunk_close(struct chunk *c)
{
	c->closed = c->shared ? false : !mprotect(c->base, c->size, PROT_READ);
}

void chunk_place(const struct chunk *c, uint8_t **at, size_t *n)
{
	*at = c->base;
	*n = c->size;
}

bool chunk_shared(const struct chunk *c)
{
	return c->shared;
}

void *mem_alloc(struct mem *m, size_t bytes, bool alone, struct chunk **where)
{
	const struct filling pads = {.fill = {FILL_NAN, 0}, .word = FILLING_OF_BLOBS};
	struct chunk *c = m->chunk, *made = NULL;
	size_t need, pad;
	void *p;

	alone = alone || (bytes >= SMALL && m->n < MAX_ALONE);
	pad = alone || m->padded ? BLOB_PAD : 0;
	need = up(bytes, 64) + 2 * pad;

	while (c && (alone || !c->shared || need > c->size - c->used))
		c = c->next;
	if (!c) {
		if (!(c = made = mem_chunk(m, alone || need > CHUNK ? need : CHUNK)))
			return NULL;
		c->shared = !alone;
	}
	*where = c;
	p = chunk_alloc(c, bytes, pad, &pads);
	if (made)
		chunk_release(m, made); /* only its contents hold it */
	return p;
}

void mem_read_only(const struct mem *m)
{
	for (const struct chunk *c = m->chunk; c; c = c->next)
		if (c->lent && !c->closed)
			mprotect(c->base, c->size, PROT_READ);
}

/* ---- slots ------------------------------------------------------------------------------------------------- */

static size_t resident(void)
{
	unsigned long long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f)
		return 0;
	if (fscanf(f, "%*u %llu", &pages) != 1)
		pages = 0;
	fclose(f);
	return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Emulators of processors keep books on every page of the address space: terabytes of it would be gigabytes of books. */
static size_t affordable(void)
{
	size_t before = resident(), after;
	void *p = mmap(NULL, PROBE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return RESERVE_EMULATED;
	after = resident();
	munmap(p, PROBE);
	return after > before + PROBE / 512 ? RESERVE_EMULATED : RESERVE;
}

bool slots_open(struct slots *s, struct err *e)
{
	*s = (struct slots){.reserve = affordable(), .file = memfd_create("mutatenn-tensors", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
	if (s->file < 0)
		return err_set(e, ERR_IO, "no memory file for tensors: %s", strerror(errno));
	/* a child has it too: were it made shorter, the worker would die of looking */
	if (fcntl(s->file, F_ADD_SEALS, F_SEAL_SHRINK) && errno != EINVAL && errno != ENOSYS)
		return err_set(e, ERR_IO, "cannot seal the memory file for tensors: %s", strerror(errno));
	for (;; s->reserve /= 2) {
		s->base = mmap(RESERVE_AT, s->reserve, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (s->base != MAP_FAILED)
			return true;
		if (s->reserve < (size_t)256 << 20) {
			s->base = NULL;
			return err_set(e, ERR_IO, "no address space for tensors");
		}
	}
}

size_t slots_gap(const struct slots *s)
{
	return s->reserve < RESERVE ? MIN_GAP : GAP;
}

void slots_close(struct slots *s)
{
	if (!s->reserve)
		return;
	if (s->base)
		munmap(s->base, s->reserve);
	if (s->view)
		munmap(s->view, s->view_size);
	if (s->file >= 0)
		close(s->file);
	free(s->slot);
	*s = (struct slots){0};
}

void slot_refill(struct slot *s)
{
	filling_put(s->view + s->front, -(int64_t)s->front, s->front, &s->pads);
	filling_put(s->view + s->front, (int64_t)s->bytes, s->size - s->front - s->bytes, &s->pads);
}

void slot_give_back(const struct slots *s, const struct slot *slot)
{
	size_t first = up(slot->front, PAGE), end = (slot->front + slot->bytes) / PAGE * PAGE;

	if (first < end && fallocate(s->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(slot->off + first), (off_t)(end - first)))
		errno = 0; /* then it stays */
}

bool slot_intact(const struct slot *s)
{
	return filled(s->view + s->front, -(int64_t)s->front, s->front, &s->pads) &&
	       filled(s->view + s->front, (int64_t)s->bytes, s->size - s->front - s->bytes, &s->pads);
}

/* Data start at different offsets in their pages: tensors that are walked together should not share cache sets. */
static void plan(struct slot *s, uint32_t i, const struct prog_buffer *b, struct fill fill)
{
	size_t pad = pad_bytes(b->dtype);

	s->bytes = b->bytes;
	s->data = filling_of_data(b->role == BUF_REPORT ? (struct fill){FILL_ZERO, 0} : fill, b->name, b->dtype);
	s->pads = filling_of_pads(fill, b->name, b->dtype);
	s->front = up(pad, PAGE) + i * 5 % 16 * 256;
	s->size = up(s->front + b->bytes + pad, PAGE);
}

static bool place(struct slots *s, struct slot *now, uint32_t n, size_t *file, struct err *e)
{
	size_t total = 0, count = 0, gap = GAP, at = 0;

	for (uint32_t i = 0; i < n; i++) {
		now[i].off = total;
		total += now[i].size;
		count += now[i].size != 0;
	}
	if (total > s->reserve || (count && (s->reserve - total) / (count + 1) < MIN_GAP))
		return err_set(e, ERR_UNSUPPORTED, "tensors of %zu MiB do not fit into the address space of this worker",
			       total >> 20);
	if (count && (s->reserve - total) / (count + 1) < gap)
		gap = (s->reserve - total) / (count + 1) / PAGE * PAGE;
	for (uint32_t i = 0; i < n; i++)
		if (now[i].size) {
			at += gap;
			now[i].at = s->base + at;
			at += now[i].size;
		}
	*file = total;
	return true;
}

/* Pages come into being when they are touched; a file that grew is seen through a new mapping, which no child inherits. */
static bool grow(struct slots *s, size_t size, struct err *e)
{
	uint8_t *view;

	if (size <= s->view_size)
		return true;
	if (size > (size_t)sysconf(_SC_PHYS_PAGES) * PAGE)
		return err_set(e, ERR_UNSUPPORTED, "the program's tensors (%zu MiB) do not fit into memory", size >> 20);
	view = ftruncate(s->file, (off_t)size) ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, s->file, 0);
	if (view == MAP_FAILED)
		return err_set(e, ERR_IO, "no memory for the program's tensors (%zu MiB): %s", size >> 20, strerror(errno));
	if (s->view)
		munmap(s->view, s->view_size);
	madvise(view, size, MADV_DONTFORK);
	s->view = view;
	s->view_size = size;
	return true;
}

bool slots_layout(struct slots *s, const struct prog *p, struct fill fill, struct err *e)
{
	struct slot *now = calloc(p->nbuffers ? p->nbuffers : 1, sizeof *now);
	size_t size = 0;

	if (!now)
		return err_set(e, ERR_IO, "out of memory");
	for (uint32_t i = 0; i < p->nbuffers; i++)
		if (p->buffer[i].writer >= 0)
			plan(&now[i], i, &p->buffer[i], fill);
	if (!place(s, now, p->nbuffers, &size, e) || !grow(s, size, e)) {
		free(now);
		return false;
	}
	for (uint32_t i = 0; i < p->nbuffers; i++) {
		const struct slot *old = i < s->n ? &s->slot[i] : NULL;

		now[i].view = s->view + now[i].off;
		if (now[i].size && (s->dirty || !old || old->off != now[i].off || old->size != now[i].size ||
				    old->front != now[i].front || old->bytes != now[i].bytes || !filling_eq(&old->pads, &now[i].pads)))
			slot_refill(&now[i]);
	}
	free(s->slot);
	s->slot = now;
	s->n = p->nbuffers;
	s->dirty = false;
	return true;
}
