/* device_together.c: the texts of several kernels as one
 *
 * A text is definitions, each from a line that begins with a word to the next such line, and the kernel behind them. What several texts define alike
 * is there once; kernels get names as long as the one that all have. Where texts define one name in two ways the compiler refuses the whole.
 */
#include <ctype.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/str.h"
#include "device/device_internal.h"

#define ENTRY "mutatenn_kernel"

const char *together_name(struct arena *a, size_t i)
{
	return arena_printf(a, "mutatenn_k%05zu", i);
}

/* Length of the definition at text, which ends before end. */
static size_t definition(const char *text, const char *end)
{
	const char *at = text;

	do {
		const char *line = memchr(at, '\n', (size_t)(end - at));

		at = line ? line + 1 : end;
	} while (at < end && (isspace((unsigned char)*at) || *at == '{' || *at == '}'));
	return (size_t)(at - text);
}

const char *together_text(struct arena *a, const char *const *source, size_t n)
{
	struct map *known = map_new(a);
	struct str s = {0};
	const char *out;

	for (size_t i = 0; i < n; i++) {
		const char *at = source[i], *kernel = strstr(at, "__kernel "), *entry = kernel ? strstr(kernel, ENTRY "(") : NULL;

		if (!entry) {
			str_free(&s);
			return NULL;
		}
		for (size_t len; at < kernel; at += len) {
			size_t text = len = definition(at, kernel);
			struct hash h;

			while (text && isspace((unsigned char)at[text - 1]))
				text--;
			h = hash_bytes(at, text);
			if (!map_get_hash(known, h))
				str_addf(&s, "%.*s\n", (int)text, at);
			map_put_hash(known, h, (void *)source[i]);
		}
		str_addn(&s, kernel, (size_t)(entry - kernel));
		str_addf(&s, "%s%s\n", together_name(a, i), entry + strlen(ENTRY));
	}
	out = arena_strdup(a, str_text(&s));
	str_free(&s);
	return out;
}
