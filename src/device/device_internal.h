/* device_internal.h: the parts of the cpu device */
#pragma once
#include "base/cachedir.h"
#include "device/device.h"

struct str;

/* Whether device n of platform p is the one wanted: NULL is the first; "P:N", "N" by number; a part of its name; "!part": the first without it. */
bool device_is_selected(const char *select, unsigned p, unsigned n, const char *name);

/* ---- device_spawn.c: a command with its input in memory ------------------------------------------------------- */

struct spawn_limits {
	double seconds;  /* wall time; processor time is limited likewise */
	uint64_t memory; /* bytes of data; 0: no limit */
	const char *name; /* of the whole, in messages; NULL: the first command's */
};

/* Runs n commands (looked up in PATH, never a shell), each once the one before has ended with 0; together a process group, `input` on fd 0, the first `keep` bytes of what it
 * writes to fd 1 and 2 appended to output. temp is its TMPDIR or NULL. status is waitpid's. ERR_TIMEOUT: killed with its whole
 * group, as with ERR_CANCELLED: device_cancel_fd. ERR_USAGE: there is no such command, of one; of several that is status 127. */
bool spawn_run(const char *const *const *argv, size_t n, const char *input, const char *temp, const struct spawn_limits *l, size_t keep,
	       struct str *output, int *status, struct err *e);

/* ---- device_cc.c: a C compiler, as far as possible without its driver ------------------------------------------ */

#define CC_MOST_COMMANDS 4
struct cc {
	struct arena *arena;
	const char *const *argv; /* the compiler and its flags, up to the files */
	struct spawn_limits limits;
	bool asked;
	size_t n; /* commands that make what it makes, in order; 0: it is needed */
	const char *const *command[CC_MOST_COMMANDS];
	const char *dir; /* in them: the folder for what they write */
};
/* To a shared object; out->log is always set. */
bool cc_compile(struct cc *d, struct arena *a, const char *source, struct artefact *out, struct err *e);
/* The file of a command, by PATH; NULL: there is none. */
const char *cc_find(struct arena *a, const char *name);

/* ---- device_elf.c ------------------------------------------------------------------------------------------------ */

/* Hash of the sections that the loader maps (names, flags, contents). False when p is not a 64-bit ELF file. Any machine's will do.
 * entry: whatever has it in its name may be called anything; NULL: what things are called counts. */
bool elf_hash(const uint8_t *p, size_t n, const char *entry, struct hash *out);
/* Would loading it run code of its own - constructors, resolvers - before anybody calls it? An object that cannot be
 * understood would. Kernels, whatever a mutation did to them, have no such thing. */
bool elf_runs_at_load(const uint8_t *p, size_t n);
/* Has it no data that change, once the loader has resolved everything? */
bool elf_is_constant(const uint8_t *p, size_t n);
/* A shared object of this machine's order that needs little of a loader: constant, without libraries and without thread-local data. Where its parts
 * lie in memory, from its start; its tables; and the function of that name. False: dlopen it. */
#define ELF_MAX_PARTS 8
struct elf_plain {
	size_t size; /* of all of it */
	size_t fn;
	unsigned nparts;
	struct elf_part {
		size_t at, offset, bytes; /* in memory; in the file */
	} part[ELF_MAX_PARTS];
	struct elf_table {
		size_t at, bytes; /* in memory */
	} relocations[2], names;
	size_t symbols;
};
bool elf_plain(const uint8_t *p, size_t n, const char *name, struct elf_plain *out);
/* The bytes of its memory, which will lie at `base`, at `to`. False: it wants something else of a loader, or names what nobody has. *moves: they
 * are the same wherever they lie. */
bool elf_place(const struct elf_plain *o, const uint8_t *file, uint8_t *to, uintptr_t base, bool *moves);
/* Its machine, as in elf.h; EM_NONE when it is no ELF file. */
unsigned elf_machine(const uint8_t *p, size_t n);

/* ---- device_pocl.c ----------------------------------------------------------------------------------------------- */

/* Of PoCL's binary of a program: one with the kernel of that name only. False: there is none, or the bytes are not of the form that is known. */
bool pocl_cut(struct arena *a, const uint8_t *p, size_t n, const char *name, uint8_t **out, size_t *size);
/* Hash of the object in PoCL's binary of a program of one kernel, whatever that is called. */
bool pocl_object(const uint8_t *p, size_t n, struct hash *out);

/* ---- device_together.c ------------------------------------------------------------------------------------------- */

/* One text of OpenCL C that holds the kernels of all; NULL: they cannot be told apart. */
const char *together_text(struct arena *a, const char *const *source, size_t n);
const char *together_name(struct arena *a, size_t i); /* of the i-th kernel there */

/* ---- device_settle.c --------------------------------------------------------------------------------------------- */

/* Of a library that dlopen gave with RTLD_NOW and that elf_is_constant: makes it one mapping, where that is possible. */
void library_settle(void *library);
/* Puts a plain object into memory that is read and executed only. NULL: no memory, or the system does not let it be executed, or it is not so plain. */
void *plain_load(const struct elf_plain *o, const uint8_t *file, bool *moves);
void plain_unload(const struct elf_plain *o, void *at);
/* Memory of objects whose bytes are the same elsewhere. */
struct plain_part {
	uint8_t *at; /* then: where it is now */
	size_t size;
};
struct plain_block;
/* Moves all of them into one mapping, of which a fork copies nothing. NULL: they stay where they are. */
struct plain_block *plain_settle(struct plain_part *part, size_t n);
void plain_release(struct plain_block *b); /* of one part */

typedef void kernel_fn(void *const *buffer, int64_t part, int64_t parts);

/* ---- device_target.c --------------------------------------------------------------------------------------------- */

const char *target_here(void);                        /* "x86-64"; "": not in the table */
const char *target_of_macros(const char *dump);       /* of what a compiler predefines */
const char *target_of_elf(unsigned machine);
const char *target_processor(struct arena *a);        /* "AMD EPYC", "aarch64 emulated on AMD EPYC" */
bool target_can_flush(void);
/* Calls it; whatever it does to rounding and the like, the next begins as it began. */
void target_call(kernel_fn *fn, void *const *buffer, int64_t part, int64_t parts);
void target_flush_denormals(void);                    /* for this thread and those it starts */

/* ---- device_cache.c: artefacts on disk; any trouble is a miss ------------------------------------------------------ */

/* The folder wanted, or the user's for NULL, made where it is missing; "": no cache. MUTATENN_KERNEL_CACHE says how large it may
 * become (2G); 0: no cache. */
bool cache_open(struct arena *a, const char *wanted, struct cachedir *out, struct err *e);
bool cache_get(struct arena *a, const struct cachedir *c, struct hash key, uint8_t **data, size_t *size);
void cache_put(struct cachedir *c, struct hash key, const uint8_t *data, size_t size);

/* ---- device_temp.c: folders for compilers in TMPDIR (else /tmp) ------------------------------------------------------- */

bool temp_make(struct arena *a, char **out, struct err *e);
void temp_remove(const char *dir); /* with the files in it */
/* Removes this user's folders that are older than an hour: of processes that were killed. */
void temp_sweep(void);

/* ---- device_threads.c: threads that share a kernel ------------------------------------------------------------------- */

struct threads;
/* n > 1 threads, the caller among them; flush: the others take denormals for zeros; returns when all are there. Pinned when n is the number of usable processors. */
bool threads_start(int n, bool flush, struct threads **out, struct err *e);
void threads_run(struct threads *t, kernel_fn *fn, void *const *buffer);
void threads_stop(struct threads *t);
int threads_usable(void); /* processors this process may use */
