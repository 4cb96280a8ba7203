/* device_settle.c: a loaded library as one mapping instead of five
 *
 * A fork copies every mapping, and a network has a hundred libraries. Once the loader has done its work, what it mapped from a file in
 * four parts is copied to memory in its place that is read and executed only; libraries side by side become one mapping. Nothing
 * is lost: children do not trust these permissions, and files of the compiler's have no secrets.
 */
#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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
