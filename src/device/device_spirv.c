/* device_spirv.c: what is done to a shader between its compiler and the driver
 *
 * `precise` does not reach what is passed to functions, and the compilers behind take whatever lacks it as real numbers: x * 0 is
 * 0 for them, x / x is 1. So every operation on floats is marked as one that must be done as it stands. Names go, so that equal
 * code is equal bytes.
 */
#include <string.h>

#include "base/arena.h"
#include "device/device_vulkan.h"

#define HEADER 5 /* words */

enum opcode {
	OP_SOURCE = 3, /* .. OP_LINE: names */
	OP_LINE = 8,
	OP_EXT_INST = 12,
	OP_ENTRY_POINT = 15,
	OP_CAPABILITY = 17,
	OP_TYPE_VOID = 19,
	OP_VARIABLE = 59,
	OP_DECORATE = 71,
	OP_FNEGATE = 127,
	OP_FADD = 129,
	OP_FSUB = 131,
	OP_FMUL = 133,
	OP_FDIV = 136,
	OP_FREM = 140,
	OP_FMOD = 141,
	OP_LOGICAL_EQUAL = 164, /* .. OP_LOGICAL_NOT */
	OP_LOGICAL_NOT = 168,
	OP_FORD_EQUAL = 180, /* .. OP_FUNORD_GREATER_EQUAL */
	OP_FUNORD_GREATER_EQUAL = 191,
	OP_EXECUTION_MODE = 16,
};

enum { CAPABILITY_FLOAT64 = 10, CAPABILITY_INT64 = 11, CAPABILITY_INT16 = 22, CAPABILITY_INT8 = 39 };
enum { CAPABILITY_STORAGE16 = 4433, CAPABILITY_STORAGE8 = 4448, DENORM_PRESERVE = 4464, SIGNED_ZERO_INF_NAN_PRESERVE = 4466 };

/* Decorations, and a class of variables. */
#define BINDING 33
#define NO_CONTRACTION 42
#define UNIFORM_CONSTANT 0

static bool is_name(unsigned op)
{
	return (op >= OP_SOURCE && op <= OP_LINE);
}

static bool is_arithmetic(unsigned op)
{
	return op == OP_FNEGATE || op == OP_FADD || op == OP_FSUB || op == OP_FMUL || op == OP_FDIV || op == OP_FREM ||
	       op == OP_FMOD || op == OP_EXT_INST || (op >= OP_FORD_EQUAL && op <= OP_FUNORD_GREATER_EQUAL) ||
	       (op >= OP_LOGICAL_EQUAL && op <= OP_LOGICAL_NOT);
}

/* Length of the instruction at w[i]; 0 when it is none. */
static size_t length(const uint32_t *w, size_t n, size_t i)
{
	size_t k = w[i] >> 16;

	return k && k <= n - i ? k : 0;
}

/* Marks those that the compiler has marked already. */
static bool decorated(const uint32_t *w, size_t n, uint8_t *marked)
{
	size_t k;

	for (size_t i = HEADER; i < n; i += k) {
		if (!(k = length(w, n, i)))
			return false;
		if ((w[i] & 0xffff) == OP_DECORATE && k == 3 && w[i + 2] == NO_CONTRACTION && w[i + 1] < w[3])
			marked[w[i + 1]] = 1;
	}
	return true;
}

static size_t decorate_rest(const uint32_t *w, size_t n, const uint8_t *marked, uint32_t *out)
{
	size_t k, m = 0;

	for (size_t i = HEADER; i < n; i += k) {
		k = length(w, n, i);
		if (!is_arithmetic(w[i] & 0xffff) || k < 3 || w[i + 2] >= w[3] || marked[w[i + 2]])
			continue;
		out[m++] = 3u << 16 | OP_DECORATE;
		out[m++] = w[i + 2];
		out[m++] = NO_CONTRACTION;
	}
	return m;
}

/* The modes' numbers lie five below those of their capabilities. */
static size_t add_mode(uint32_t *out, uint32_t capability, const uint32_t *entry)
{
	if (!entry) {
		out[0] = 2u << 16 | OP_CAPABILITY;
		out[1] = capability;
		return 2;
	}
	out[0] = 4u << 16 | OP_EXECUTION_MODE;
	out[1] = entry[2];
	out[2] = capability - 5;
	out[3] = 32;
	return 4;
}

static size_t add_modes(uint32_t *out, unsigned modes, const uint32_t *entry)
{
	size_t m = 0;

	if (modes & SPIRV_KEEPS_SPECIAL)
		m += add_mode(out + m, SIGNED_ZERO_INF_NAN_PRESERVE, entry);
	if (modes & SPIRV_KEEPS_DENORMALS)
		m += add_mode(out + m, DENORM_PRESERVE, entry);
	return m;
}

uint64_t spirv_texels(const uint8_t *data, size_t size)
{
	size_t n = size / 4, k;
	uint32_t id[64] = {0}, w[4]; /* the variable of each binding; no id is 0 */
	uint64_t out = 0;

	for (size_t i = HEADER; i + 4 <= n; i += k) {
		memcpy(w, data + 4 * i, sizeof w);
		k = w[0] >> 16;
		if (!k || k > n - i)
			break;
		if ((w[0] & 0xffff) == OP_DECORATE && k == 4 && w[2] == BINDING && w[3] < 64)
			id[w[3]] = w[1];
		if ((w[0] & 0xffff) != OP_VARIABLE || w[3] != UNIFORM_CONSTANT) /* there are no other images, and no samplers */
			continue;
		for (unsigned b = 0; b < 64; b++)
			out |= (uint64_t)(id[b] == w[2]) << b;
	}
	return out;
}

const char *spirv_lacks(const uint8_t *data, size_t size, uint32_t types)
{
	static const struct {
		uint32_t capability;
		enum dtype type;
	} needs[] = {{CAPABILITY_FLOAT64, DT_F64}, {CAPABILITY_INT64, DT_I64},     {CAPABILITY_INT16, DT_I16},
		     {CAPABILITY_INT8, DT_I8},     {CAPABILITY_STORAGE16, DT_I16}, {CAPABILITY_STORAGE8, DT_I8}};
	uint32_t w[2];

	for (size_t i = HEADER * 4; i + 8 <= size; i += 8) {
		memcpy(w, data + i, sizeof w);
		if ((w[0] & 0xffff) != OP_CAPABILITY) /* they come first */
			break;
		for (size_t k = 0; k < sizeof needs / sizeof *needs; k++)
			if (needs[k].capability == w[1] && !(types & 1u << needs[k].type))
				return dtype_name(needs[k].type);
	}
	return NULL;
}

bool spirv_exact(struct arena *a, const uint8_t *data, size_t size, unsigned modes, uint8_t **out, size_t *out_size)
{
	size_t n = size / 4, k, m = 0;
	const uint32_t *w = arena_memdup(a, data, size);
	uint32_t *o = arena_alloc(a, (n * 2 + 16) * sizeof *o);
	bool done = false;
	uint8_t *marked;

	if (n < HEADER || size % 4 || w[3] > n * 4)
		return false;
	marked = arena_zalloc(a, w[3] + 1);
	if (!decorated(w, n, marked))
		return false;
	memcpy(o, w, HEADER * sizeof *w);
	m = HEADER;
	for (size_t i = HEADER; i < n; i += k) {
		k = length(w, n, i);
		if (is_name(w[i] & 0xffff))
			continue;
		if (!done && (w[i] & 0xffff) == OP_TYPE_VOID) { /* the first of the types, behind the decorations */
			m += decorate_rest(w, n, marked, o + m);
			done = true;
		}
		memcpy(o + m, w + i, k * sizeof *w);
		m += k;
		if (i == HEADER) /* behind the first capability, and behind the one entry point */
			m += add_modes(o + m, modes, NULL);
		else if ((w[i] & 0xffff) == OP_ENTRY_POINT && k > 2)
			m += add_modes(o + m, modes, w + i);
	}
	*out = (uint8_t *)o;
	*out_size = m * sizeof *o;
	return done;
}
