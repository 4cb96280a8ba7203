/* device_settle.c: where kernels lie
 *
 * Most kernels need little of a loader: they are put into memory here, and those that will be there for long together into a file in memory, of
 * whose mapping a fork copies nothing. What dlopen loaded becomes one mapping instead of five:
 * A fork copies every mapping, and a network has a hundred libraries. Once the loader has done its work, what it mapped from a file in
 * four parts is copied to memory in its place that is read and executed only; libraries side by side become one mapping. Nothing
 * is lost: children do not trust these permissions, and files of the compiler's have no secrets.
 */
#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include "device/device_internal.h"

/* Some systems let no memory be executed that was written. */
static bool may_execute(size_t page)
{
	static int may = -1;

	if (may < 0) {
		void *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		may = p != MAP_FAILED && !mprotect(p, page, PROT_READ | PROT_EXEC);
		if (p != MAP_FAILED)
			munmap(p, page);
	}
	return may;
}

/* Bytes from the library's start to its end; 0 when there are holes, or parts that share a page. */
static size_t extent(const uint8_t *base, size_t page)
{
	const ElfW(Ehdr) *h = (const ElfW(Ehdr) *)base;
	size_t end = 0;

	for (unsigned i = 0; i < h->e_phnum; i++) {
		const ElfW(Phdr) *p = (const ElfW(Phdr) *)(base + h->e_phoff) + i;

		if (p->p_type != PT_LOAD)
			continue;
		if (p->p_vaddr / page * page != end)
			return 0;
		end = (p->p_vaddr + p->p_memsz + page - 1) / page * page;
	}
	return end;
}

void library_settle(void *library)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), n;
	struct link_map *map = NULL;
	uint8_t *base, *copy;

	if (dlinfo(library, RTLD_DI_LINKMAP, &map) || !map->l_addr || !may_execute(page))
		return;
	base = (uint8_t *)map->l_addr;
	n = extent(base, page);
	if (!n || !(copy = malloc(n)))
		return;
	memcpy(copy, base, n);
	if (mmap(base, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == (void *)base) {
		memcpy(base, copy, n);
		__builtin___clear_cache((char *)base, (char *)base + n);
		if (mprotect(base, n, PROT_READ | PROT_EXEC)) /* out of mappings, as out of memory; no kernel of this library could run */
			abort();
	}
	free(copy);
}

void *plain_load(const struct elf_plain *o, const uint8_t *file, bool *moves)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *at;

	if (!may_execute(page))
		return NULL;
	at = mmap(NULL, o->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (at == MAP_FAILED)
		return NULL;
	if (elf_place(o, file, at, (uintptr_t)at, moves)) {
		__builtin___clear_cache((char *)at, (char *)at + o->size);
		if (!mprotect(at, o->size, PROT_READ | PROT_EXEC))
			return at;
	}
	munmap(at, o->size);
	return NULL;
}

void plain_unload(const struct elf_plain *o, void *at)
{
	munmap(at, o->size);
}

struct plain_block {
	uint8_t *at;
	size_t size, users;
};

static size_t whole_pages(size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (n + page - 1) / page * page;
}

static bool write_at(int file, const uint8_t *p, size_t n, size_t at)
{
	ssize_t k = 1;

	for (; n && k > 0; p += k, at += (size_t)k, n -= (size_t)k)
		if ((k = pwrite(file, p, n, (off_t)at)) < 0)
			return false;
	return !n;
}

struct plain_block *plain_settle(struct plain_part *part, size_t n)
{
	struct plain_block *b = calloc(1, sizeof *b);
	int file = b ? memfd_create("mutatenn-kernels", MFD_CLOEXEC) : -1;
	bool ok = file >= 0;

	for (size_t i = 0; ok && i < n; i++) {
		ok = write_at(file, part[i].at, part[i].size, b->size);
		b->size += whole_pages(part[i].size);
	}
	ok = ok && !ftruncate(file, (off_t)b->size) &&
	     (b->at = mmap(NULL, b->size, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0)) != MAP_FAILED;
	if (file >= 0)
		close(file);
	if (!ok) {
		free(b);
		return NULL;
	}
	__builtin___clear_cache((char *)b->at, (char *)b->at + b->size);
	b->users = n;
	for (size_t i = 0, at = 0; i < n; i++) {
		munmap(part[i].at, part[i].size);
		part[i].at = b->at + at;
		at += whole_pages(part[i].size);
	}
	return b;
}

void plain_release(struct plain_block *b)
{
	if (--b->users)
		return;
	munmap(b->at, b->size);
	free(b);
}
