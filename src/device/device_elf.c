/* device_elf.c: what of a shared object the loader maps, as one hash; the bytes come from a compiler or a cache: nothing in
 * them is trusted */
#include <dlfcn.h>
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
	FIX(h->e_type);
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
	FIX(out->sh_link);
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

/* ---- what an object is, whatever its kernel is called --------------------------------------------------------- */

/* Sections that say how things are called, or are made of such. */
static bool is_of_names(const Elf64_Shdr *s, const char *name)
{
	return s->sh_type == SHT_HASH || s->sh_type == SHT_GNU_HASH || s->sh_type == SHT_DYNSYM || s->sh_type == SHT_STRTAB ||
	       !strcmp(name, ".note.gnu.build-id");
}

static void put_name(struct hasher *h, const char *name, const char *entry)
{
	const char *at = strstr(name, entry);

	if (at) {
		hash_put_bytes(h, name, (size_t)(at - name));
		hash_put_text(h, "*");
		name = at + strlen(entry);
	}
	hash_put_text(h, name);
}

/* Symbol i of a table of those that the loader sees; *undefined: it is somebody else's. */
static bool symbol_hash(const uint8_t *p, size_t n, const Elf64_Ehdr *head, const Elf64_Shdr *table, uint64_t i, const char *entry, struct hash *out,
			bool *undefined)
{
	bool swap = foreign(head);
	struct hasher *h;
	Elf64_Shdr names, name = {0};
	const char *text;
	Elf64_Sym y;

	if (!inside(table->sh_offset, table->sh_size, n) || i >= table->sh_size / sizeof y || !section(p, n, head, table->sh_link, &names))
		return false;
	memcpy(&y, p + table->sh_offset + i * sizeof y, sizeof y);
	FIX(y.st_name);
	FIX(y.st_shndx);
	FIX(y.st_value);
	FIX(y.st_size);
	name.sh_name = y.st_name;
	if (!(text = name_of(p, n, &names, &name)))
		return false;
	h = hasher_new();
	put_name(h, text, entry);
	hash_put_u64(h, (uint64_t)y.st_info << 32 | (uint64_t)y.st_other << 16 | y.st_shndx);
	hash_put_u64(h, y.st_value);
	hash_put_u64(h, y.st_size);
	*undefined = y.st_shndx == SHN_UNDEF;
	*out = hasher_end(h);
	return true;
}

/* Symbols of others in their order; its own, which are ordered by their names, in any. */
static bool put_symbols(struct hasher *h, const uint8_t *p, size_t n, const Elf64_Ehdr *head, const Elf64_Shdr *s, const char *entry)
{
	struct hash own = {0, 0};

	for (uint64_t i = 0; i < s->sh_size / sizeof(Elf64_Sym); i++) {
		struct hash one;
		bool undefined;

		if (!symbol_hash(p, n, head, s, i, entry, &one, &undefined))
			return false;
		if (undefined) {
			hash_put_hash(h, one);
			continue;
		}
		own.hi += one.hi;
		own.lo += one.lo;
	}
	hash_put_hash(h, own);
	return true;
}

/* Relocations, with symbols for their numbers. */
static bool put_relocations(struct hasher *h, const uint8_t *p, size_t n, const Elf64_Ehdr *head, const Elf64_Shdr *s, const char *entry)
{
	bool swap = foreign(head), undefined;
	Elf64_Shdr table;

	if (!inside(s->sh_offset, s->sh_size, n) || !section(p, n, head, s->sh_link, &table))
		return false;
	for (uint64_t i = 0; i < s->sh_size / sizeof(Elf64_Rela); i++) {
		struct hash symbol = {0, 0};
		Elf64_Rela r;

		memcpy(&r, p + s->sh_offset + i * sizeof r, sizeof r);
		FIX(r.r_offset);
		FIX(r.r_info);
		FIX(r.r_addend);
		if (ELF64_R_SYM(r.r_info) && !symbol_hash(p, n, head, &table, ELF64_R_SYM(r.r_info), entry, &symbol, &undefined))
			return false;
		hash_put_u64(h, r.r_offset);
		hash_put_u64(h, ELF64_R_TYPE(r.r_info));
		hash_put_u64(h, (uint64_t)r.r_addend);
		hash_put_hash(h, symbol);
	}
	return true;
}

bool elf_hash(const uint8_t *p, size_t n, const char *entry, struct hash *out)
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
		if (entry && is_of_names(&s, name)) {
			ok = s.sh_type != SHT_DYNSYM || put_symbols(h, p, n, &head, &s, entry);
			continue;
		}
		if (entry && s.sh_type == SHT_RELA) {
			ok = put_relocations(h, p, n, &head, &s, entry);
			continue;
		}
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

/* ---- objects that need little of a loader ------------------------------------------------------------------------ */

#define MOST_MEMORY ((uint64_t)256 << 20)

/* Relocations are not looked at here. Everything else that a table of the loader's can ask for is refused. */
static bool take_tag(const Elf64_Dyn *d, struct elf_plain *out)
{
	uint64_t v = d->d_un.d_val;

	if (v > MOST_MEMORY && d->d_tag != DT_NULL)
		return false;
	switch (d->d_tag) {
	case DT_NULL:
	case DT_HASH:
	case DT_GNU_HASH:
	case DT_SONAME:
	case DT_PLTGOT:
	case DT_RELACOUNT: return true;
	case DT_SYMENT: return v == sizeof(Elf64_Sym);
	case DT_RELAENT: return v == sizeof(Elf64_Rela);
	case DT_PLTREL: return v == DT_RELA;
	case DT_STRTAB: out->names.at = v; return true;
	case DT_STRSZ: out->names.bytes = v; return true;
	case DT_SYMTAB: out->symbols = v; return true;
	case DT_RELA: out->relocations[0].at = v; return true;
	case DT_RELASZ: out->relocations[0].bytes = v; return true;
	case DT_JMPREL: out->relocations[1].at = v; return true;
	case DT_PLTRELSZ: out->relocations[1].bytes = v; return true;
	default: return false;
	}
}

static bool take_tags(const uint8_t *p, size_t n, const Elf64_Phdr *h, struct elf_plain *out)
{
	Elf64_Dyn d = {.d_tag = DT_NULL};

	if (!inside(h->p_offset, h->p_filesz, n))
		return false;
	for (uint64_t at = 0; h->p_filesz - at >= sizeof d; at += sizeof d) {
		memcpy(&d, p + h->p_offset + at, sizeof d);
		if (!take_tag(&d, out))
			return false;
	}
	return d.d_tag == DT_NULL;
}

static bool add_part(const Elf64_Phdr *h, size_t n, struct elf_plain *out)
{
	/* in order and side by side: what lies between two is less than a page of the largest kind */
	if (out->nparts == ELF_MAX_PARTS || !inside(h->p_offset, h->p_filesz, n) || h->p_filesz > h->p_memsz || h->p_vaddr < out->size ||
	    !inside(h->p_vaddr, h->p_memsz, MOST_MEMORY) || h->p_vaddr - out->size > (64u << 10))
		return false;
	out->part[out->nparts++] = (struct elf_part){(size_t)h->p_vaddr, (size_t)h->p_offset, (size_t)h->p_filesz};
	out->size = (size_t)(h->p_vaddr + h->p_memsz);
	return true;
}

/* A function of that name in a table of symbols. */
static bool find_function(const uint8_t *p, size_t n, const Elf64_Ehdr *head, const Elf64_Shdr *table, const char *name, struct elf_plain *out)
{
	Elf64_Shdr names;

	if (!section(p, n, head, table->sh_link, &names) || !inside(table->sh_offset, table->sh_size, n))
		return false;
	for (uint64_t at = 0; table->sh_size - at >= sizeof(Elf64_Sym); at += sizeof(Elf64_Sym)) {
		Elf64_Shdr named = {0};
		Elf64_Sym y;
		const char *text;

		memcpy(&y, p + table->sh_offset + at, sizeof y);
		named.sh_name = y.st_name;
		if (ELF64_ST_TYPE(y.st_info) != STT_FUNC || y.st_shndx == SHN_UNDEF || !(text = name_of(p, n, &names, &named)) || strcmp(text, name) != 0)
			continue;
		out->fn = (size_t)y.st_value;
		return y.st_value < out->size;
	}
	return false;
}

bool elf_plain(const uint8_t *p, size_t n, const char *name, struct elf_plain *out)
{
	Elf64_Ehdr head;
	Elf64_Phdr h;
	Elf64_Shdr s;

	*out = (struct elf_plain){0};
	if (!elf_is_constant(p, n) || elf_runs_at_load(p, n) || !header(p, n, &head) || head.e_type != ET_DYN)
		return false;
	for (unsigned i = 0; i < head.e_phnum; i++) {
		memcpy(&h, p + head.e_phoff + (uint64_t)i * sizeof h, sizeof h); /* inside: elf_runs_at_load has looked */
		if (h.p_type == PT_TLS || h.p_type == PT_INTERP || (h.p_type == PT_GNU_STACK && h.p_flags & PF_X) ||
		    (h.p_type == PT_LOAD && !add_part(&h, n, out)) || (h.p_type == PT_DYNAMIC && !take_tags(p, n, &h, out)))
			return false;
	}
	for (unsigned i = 0; i < head.e_shnum; i++)
		if (section(p, n, &head, i, &s) && s.sh_type == SHT_DYNSYM)
			return find_function(p, n, &head, &s, name, out);
	return false;
}

/* What relocations of 64 bits there are: to a symbol, in one of three ways, and to the object's own start. */
#if defined(__x86_64__)
static const uint32_t to_symbol[] = {R_X86_64_64, R_X86_64_GLOB_DAT, R_X86_64_JUMP_SLOT}, to_base = R_X86_64_RELATIVE;
#elif defined(__aarch64__)
static const uint32_t to_symbol[] = {R_AARCH64_ABS64, R_AARCH64_GLOB_DAT, R_AARCH64_JUMP_SLOT}, to_base = R_AARCH64_RELATIVE;
#elif defined(__riscv)
static const uint32_t to_symbol[] = {R_RISCV_64, R_RISCV_64, R_RISCV_JUMP_SLOT}, to_base = R_RISCV_RELATIVE;
#else
static const uint32_t to_symbol[] = {0, 0, 0}, to_base = 0; /* none: they need a loader */
#endif

/* The address of symbol i; the object's own come first, as nobody else has one of a kernel's. */
static bool address(const struct elf_plain *o, const uint8_t *image, uintptr_t base, uint64_t i, uint64_t *out)
{
	Elf64_Sym y;
	const char *name;
	void *there;

	if (!inside(o->symbols, (i + 1) * sizeof y, o->size) || !inside(o->names.at, o->names.bytes, o->size))
		return false;
	memcpy(&y, image + o->symbols + i * sizeof y, sizeof y);
	if (ELF64_ST_TYPE(y.st_info) == STT_TLS || y.st_shndx == SHN_ABS)
		return false;
	*out = base + y.st_value;
	if (y.st_shndx != SHN_UNDEF)
		return y.st_value < o->size;
	name = (const char *)image + o->names.at + y.st_name;
	if (y.st_name >= o->names.bytes || !memchr(name, 0, o->names.bytes - y.st_name) || !(there = dlsym(RTLD_DEFAULT, name)))
		return false;
	*out = (uintptr_t)there;
	return true;
}

static bool relocate(const struct elf_plain *o, const Elf64_Rela *r, uint8_t *image, uintptr_t base, bool *moves)
{
	uint32_t type = (uint32_t)ELF64_R_TYPE(r->r_info);
	uint64_t value = base;

	*moves = *moves && type == to_symbol[2]; /* functions of libraries */
	if (!to_base || !inside(r->r_offset, sizeof value, o->size))
		return false;
	if (type != to_base) {
		if ((type != to_symbol[0] && type != to_symbol[1] && type != to_symbol[2]) || !address(o, image, base, ELF64_R_SYM(r->r_info), &value))
			return false;
		*moves = *moves && value - base >= o->size;
	}
	value += (uint64_t)r->r_addend;
	memcpy(image + r->r_offset, &value, sizeof value);
	return true;
}

bool elf_place(const struct elf_plain *o, const uint8_t *file, uint8_t *to, uintptr_t base, bool *moves)
{
	for (unsigned i = 0; i < o->nparts; i++)
		memcpy(to + o->part[i].at, file + o->part[i].offset, o->part[i].bytes);
	*moves = true;
	for (int k = 0; k < 2; k++) {
		const struct elf_table *t = &o->relocations[k];
		Elf64_Rela r;

		if (t->bytes && !inside(t->at, t->bytes, o->size))
			return false;
		for (size_t at = 0; t->bytes - at >= sizeof r; at += sizeof r) {
			memcpy(&r, to + t->at + at, sizeof r);
			if (!relocate(o, &r, to, base, moves))
				return false;
		}
	}
	return true;
}
