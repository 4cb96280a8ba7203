/* device_elf.c: what of a shared object the loader maps, as one hash; the bytes come from a compiler or a cache: nothing in
 * them is trusted */
#include <elf.h>
#include <string.h>

#include "device/device_internal.h"

/* Fields have the byte order of the file's machine. */
static uint64_t field(uint64_t v, size_t size, bool swap)
{
	if (!swap)
		return v;
	return size == 2 ? __builtin_bswap16((uint16_t)v) : size == 4 ? __builtin_bswap32((uint32_t)v) : __builtin_bswap64(v);
}

#define FIX(x) ((x) = (__typeof__(x))field((x), sizeof(x), swap))

static bool foreign(const Elf64_Ehdr *h)
{
	return h->e_ident[EI_DATA] != (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB);
}

static bool header(const uint8_t *p, size_t n, Elf64_Ehdr *h)
{
	bool swap;

	if (n < sizeof *h)
		return false;
	memcpy(h, p, sizeof *h);
	if (memcmp(h->e_ident, ELFMAG, SELFMAG) || h->e_ident[EI_CLASS] != ELFCLASS64)
		return false;
	swap = foreign(h);
	FIX(h->e_machine);
	FIX(h->e_shoff);
	FIX(h->e_phoff);
	FIX(h->e_phentsize);
	FIX(h->e_phnum);
	FIX(h->e_shentsize);
	FIX(h->e_shnum);
	FIX(h->e_shstrndx);
	return true;
}

unsigned elf_machine(const uint8_t *p, size_t n)
{
	Elf64_Ehdr h;

	return header(p, n, &h) ? h.e_machine : EM_NONE;
}

static bool inside(uint64_t offset, uint64_t size, size_t n)
{
	return offset <= n && size <= n - offset;
}

static bool section(const uint8_t *p, size_t n, const Elf64_Ehdr *h, unsigned i, Elf64_Shdr *out)
{
	uint64_t at = h->e_shoff + (uint64_t)i * sizeof *out;
	bool swap = foreign(h);

	if (i >= h->e_shnum || at < h->e_shoff || !inside(at, sizeof *out, n))
		return false;
	memcpy(out, p + at, sizeof *out);
	FIX(out->sh_name);
	FIX(out->sh_type);
	FIX(out->sh_flags);
	FIX(out->sh_offset);
	FIX(out->sh_size);
	return true;
}

/* The name inside the string section, bounded; NULL when it is not there. */
static const char *name_of(const uint8_t *p, size_t n, const Elf64_Shdr *names, const Elf64_Shdr *s)
{
	const char *text;

	if (!inside(names->sh_offset, names->sh_size, n) || s->sh_name >= names->sh_size)
		return NULL;
	text = (const char *)p + names->sh_offset + s->sh_name;
	return memchr(text, 0, (size_t)(names->sh_size - s->sh_name)) ? text : NULL;
}

bool elf_hash(const uint8_t *p, size_t n, struct hash *out)
{
	struct hasher *h;
	Elf64_Ehdr head;
	Elf64_Shdr names, s;
	bool ok = true;

	if (!header(p, n, &head) || head.e_shentsize != sizeof s || !head.e_shnum || !section(p, n, &head, head.e_shstrndx, &names))
		return false;
	h = hasher_new();
	hash_put_u64(h, head.e_machine);
	for (unsigned i = 0; ok && i < head.e_shnum; i++) {
		const char *name;

		ok = section(p, n, &head, i, &s);
		if (!ok || !(s.sh_flags & SHF_ALLOC))
			continue;
		name = name_of(p, n, &names, &s);
		ok = name && (s.sh_type == SHT_NOBITS || inside(s.sh_offset, s.sh_size, n));
		if (!ok)
			break;
		hash_put_text(h, name);
		hash_put_u64(h, s.sh_type);
		hash_put_u64(h, s.sh_flags);
		hash_put_u64(h, s.sh_size);
		if (s.sh_type != SHT_NOBITS)
			hash_put_bytes(h, p + s.sh_offset, (size_t)s.sh_size);
	}
	*out = hasher_end(h);
	return ok;
}

/* The loader writes these once, when it resolves everything at once. */
static bool loaders_own(const char *name)
{
	static const char *const own[] = {".got", ".got.plt", ".dynamic", ".data.rel.ro", ".data.rel.ro.local"};

	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		if (!strcmp(name, own[i]))
			return true;
	return false;
}

bool elf_is_constant(const uint8_t *p, size_t n)
{
	Elf64_Ehdr head;
	Elf64_Shdr names, s;

	if (!header(p, n, &head) || head.e_shentsize != sizeof s || !head.e_shnum || !section(p, n, &head, head.e_shstrndx, &names))
		return false;
	for (unsigned i = 0; i < head.e_shnum; i++) {
		const char *name;

		if (!section(p, n, &head, i, &s) || !(name = name_of(p, n, &names, &s)) || s.sh_flags & SHF_TLS)
			return false;
		if ((s.sh_flags & (SHF_ALLOC | SHF_WRITE)) == (SHF_ALLOC | SHF_WRITE) && s.sh_size && !loaders_own(name))
			return false;
	}
	return true;
}

/* A table of the loader's: does it name code that is run at once? */
static bool dynamic_runs(const uint8_t *p, size_t n, const Elf64_Phdr *h)
{
	static const int64_t tags[] = {DT_INIT, DT_INIT_ARRAY, DT_PREINIT_ARRAY, DT_FINI, DT_FINI_ARRAY,
				       DT_AUDIT, DT_DEPAUDIT};

	for (uint64_t at = 0; inside(h->p_offset + at, sizeof(Elf64_Dyn), n) && at < h->p_filesz; at += sizeof(Elf64_Dyn)) {
		Elf64_Dyn d;

		memcpy(&d, p + h->p_offset + at, sizeof d);
		for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
			if (d.d_tag == tags[i])
				return true;
	}
	return false;
}

static bool symbols_run(const uint8_t *p, size_t n, const Elf64_Shdr *s)
{
	for (uint64_t at = 0; inside(s->sh_offset + at, sizeof(Elf64_Sym), n) && at < s->sh_size; at += sizeof(Elf64_Sym)) {
		Elf64_Sym y;

		memcpy(&y, p + s->sh_offset + at, sizeof y);
		if (ELF64_ST_TYPE(y.st_info) == STT_GNU_IFUNC)
			return true;
	}
	return false;
}

bool elf_runs_at_load(const uint8_t *p, size_t n)
{
	Elf64_Ehdr head;
	Elf64_Phdr h;
	Elf64_Shdr s;

	if (!header(p, n, &head) || foreign(&head) || head.e_phentsize != sizeof h || head.e_shentsize != sizeof s)
		return true;
	for (unsigned i = 0; i < head.e_phnum; i++) {
		uint64_t at = head.e_phoff + (uint64_t)i * sizeof h;

		if (at < head.e_phoff || !inside(at, sizeof h, n))
			return true;
		memcpy(&h, p + at, sizeof h);
		if (h.p_type == PT_DYNAMIC && (!inside(h.p_offset, h.p_filesz, n) || dynamic_runs(p, n, &h)))
			return true;
	}
	for (unsigned i = 0; i < head.e_shnum; i++)
		if (!section(p, n, &head, i, &s) || ((s.sh_type == SHT_DYNSYM || s.sh_type == SHT_SYMTAB) && symbols_run(p, n, &s)))
			return true;
	return false;
}
