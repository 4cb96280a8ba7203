/* device_pocl.c: PoCL's programs as bytes - one kernel of several as a program of its own, and the object that is run
 *
 * Every number is little-endian, every text has its length in front, 32 bits: a head of 85 bytes with the number of kernels at 20 and, last, the size
 * of the files that belong to the program (its bitcode); these files; of each kernel its whole size (64 bits), 12 bytes, its name, its arguments and
 * its files, the object among them. So it is in PoCL 3.1; where anything is otherwise no kernel is found. The bytes come from a driver or a cache: nothing in them is trusted.
 */
#include <string.h>

#include "base/arena.h"
#include "device/device_internal.h"

#define MAGIC "poclbin" /* and a zero */
#define NUMBER_AT 20
#define FILES_AT 77
#define HEAD 85
#define NAME_AT 20 /* in a kernel */
#define MAX_NAME 256
#define ENTRY "mutatenn_kernel" /* of kernels that are built alone */

static uint64_t number(const uint8_t *p, int bytes)
{
	uint64_t v = 0;

	for (int i = bytes; i--;)
		v = v << 8 | p[i];
	return v;
}

struct part { /* of the bytes: a kernel, or what is in front of all */
	size_t at, n;
	const char *name; /* not terminated */
	size_t nname;
};

static bool head_of(const uint8_t *p, size_t n, struct part *head, uint64_t *kernels)
{
	uint64_t files;

	if (n < HEAD || memcmp(p, MAGIC, sizeof MAGIC) != 0)
		return false;
	files = number(p + FILES_AT, 8);
	*kernels = number(p + NUMBER_AT, 4);
	*head = (struct part){.n = HEAD + (size_t)files};
	return files <= n - HEAD;
}

static bool kernel_at(const uint8_t *p, size_t n, size_t at, struct part *out)
{
	uint64_t size = n - at >= NAME_AT + 4 ? number(p + at, 8) : 0;
	uint64_t nname = size >= NAME_AT + 4 ? number(p + at + NAME_AT, 4) : 0;

	*out = (struct part){.at = at, .n = (size_t)size, .name = (const char *)p + at + NAME_AT + 4, .nname = (size_t)nname};
	return nname && nname <= MAX_NAME && size <= n - at && size >= NAME_AT + 4 + nname;
}

/* The kernel of that name, or NULL: the only one. All of the bytes must be as they should. */
static bool find(const uint8_t *p, size_t n, const char *name, struct part *head, struct part *out)
{
	uint64_t kernels, found = 0;
	size_t at;

	if (!head_of(p, n, head, &kernels))
		return false;
	at = head->n;
	for (uint64_t i = 0; i < kernels; i++) {
		struct part k;

		if (!kernel_at(p, n, at, &k))
			return false;
		at += k.n;
		if (!name || (k.nname == strlen(name) && !memcmp(k.name, name, k.nname))) {
			*out = k;
			found++;
		}
	}
	return found == 1 && at == n;
}

bool pocl_cut(struct arena *a, const uint8_t *p, size_t n, const char *name, uint8_t **out, size_t *size)
{
	struct part head, k;

	if (!find(p, n, name, &head, &k))
		return false;
	*size = head.n + k.n;
	*out = arena_alloc(a, *size);
	memcpy(*out, p, head.n);
	memcpy(*out + head.n, p + k.at, k.n);
	memset(*out + NUMBER_AT, 0, 4);
	(*out)[NUMBER_AT] = 1;
	return true;
}

bool pocl_object(const uint8_t *p, size_t n, struct hash *out)
{
	char entry[MAX_NAME + 1] = ENTRY;
	struct part head, k;
	const uint8_t *at;
	int objects = 0;

	if (n < sizeof MAGIC || memcmp(p, MAGIC, sizeof MAGIC) != 0)
		return false;
	if (find(p, n, NULL, &head, &k)) {
		memset(entry, 0, sizeof entry);
		memcpy(entry, k.name, k.nname);
	} else {
		k.at = 0; /* of another form: the kernel is one that was built alone */
	}
	for (at = p + k.at; (at = memmem(at, (size_t)(p + n - at), "\177ELF", 4)); at += 4) {
		struct hash object;

		if (elf_hash(at, (size_t)(p + n - at), entry, &object)) {
			*out = object;
			objects++;
		}
	}
	return objects == 1;
}
