/* npy.c: NumPy's .npy files */
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "value/value.h"

#define MAGIC "\x93NUMPY"
#define MAX_HEADER 65536

/* What a header says. */
struct npy_header {
	bool big, fortran, have_descr, have_order, have_shape;
	enum dtype dtype;
	int nd;
	int64_t dim[MAX_DIMS];
};

/* A cursor over the header's text, a Python dictionary. */
struct cursor {
	const char *p, *end;
};

static void skip_space(struct cursor *c)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\n' || *c->p == '\t'))
		c->p++;
}

/* Skips spaces and eats ch if it comes next. */
static bool eat(struct cursor *c, char ch)
{
	skip_space(c);
	if (c->p == c->end || *c->p != ch)
		return false;
	c->p++;
	return true;
}

static bool eat_word(struct cursor *c, const char *word)
{
	size_t n = strlen(word);

	skip_space(c);
	if ((size_t)(c->end - c->p) < n || memcmp(c->p, word, n))
		return false;
	c->p += n;
	return true;
}

/* A string without escapes, at most 31 characters. */
static bool string(struct cursor *c, char out[32])
{
	size_t n = 0;
	char quote;

	skip_space(c);
	if (c->p == c->end || (*c->p != '\'' && *c->p != '"'))
		return false;
	quote = *c->p++;
	while (c->p < c->end && *c->p != quote && n < 31)
		out[n++] = *c->p++;
	out[n] = '\0';
	return c->p < c->end && *c->p++ == quote;
}

static bool shape(struct cursor *c, struct npy_header *h, struct err *e)
{
	bool good = eat(c, '(');

	while (good && !eat(c, ')')) {
		int64_t v = 0;

		skip_space(c);
		good = c->p < c->end && *c->p >= '0' && *c->p <= '9';
		for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++)
			v = v > MAX_ELEMENTS ? v : v * 10 + (*c->p - '0');
		if (good && h->nd == MAX_DIMS)
			return err_set(e, ERR_UNSUPPORTED, "more than %d dimensions", MAX_DIMS);
		if (good)
			h->dim[h->nd++] = v;
		if (!eat(c, ',')) {
			good = good && eat(c, ')');
			break;
		}
	}
	h->have_shape = true;
	return good || err_set(e, ERR_PARSE, "the shape in the header is not a tuple of numbers");
}

static const struct {
	const char *name;
	enum dtype dtype;
} descrs[] = {{"b1", DT_BOOL}, {"i1", DT_I8},  {"u1", DT_U8},  {"i2", DT_I16}, {"u2", DT_U16}, {"i4", DT_I32},
	      {"u4", DT_U32},  {"i8", DT_I64}, {"u8", DT_U64}, {"f2", DT_F16}, {"f4", DT_F32}, {"f8", DT_F64}};

static bool descr(struct cursor *c, struct npy_header *h, struct err *e)
{
	char text[32];
	const char *s = text;

	if (!string(c, text))
		return err_set(e, ERR_UNSUPPORTED, "the element type in the header is not a plain one");
	h->big = *s == '>';
	if (*s == '<' || *s == '>' || *s == '|' || *s == '=')
		s++;
	for (size_t i = 0; i < sizeof descrs / sizeof *descrs; i++) {
		if (!strcmp(descrs[i].name, s)) {
			h->dtype = descrs[i].dtype;
			h->have_descr = true;
			return true;
		}
	}
	return err_set(e, ERR_UNSUPPORTED, "element type '%s' is not supported", text);
}

static bool parse_header(const char *p, size_t n, struct npy_header *h, struct err *e)
{
	struct cursor c = {p, p + n};
	char key[32];

	if (!eat(&c, '{'))
		return err_set(e, ERR_PARSE, "the header is not a dictionary");
	while (!eat(&c, '}')) {
		if (!string(&c, key) || !eat(&c, ':'))
			return err_set(e, ERR_PARSE, "the header is not a dictionary of names");
		if (!strcmp(key, "descr")) {
			if (!descr(&c, h, e))
				return false;
		} else if (!strcmp(key, "fortran_order")) {
			h->fortran = eat_word(&c, "True");
			h->have_order = h->fortran || eat_word(&c, "False");
			if (!h->have_order)
				return err_set(e, ERR_PARSE, "'fortran_order' in the header is neither True nor False");
		} else if (!strcmp(key, "shape")) {
			if (h->have_shape)
				return err_set(e, ERR_PARSE, "two shapes in the header");
			if (!shape(&c, h, e))
				return false;
		} else {
			return err_set(e, ERR_PARSE, "unknown key '%s' in the header", key);
		}
		if (!eat(&c, ',')) {
			if (!eat(&c, '}'))
				return err_set(e, ERR_PARSE, "the header is not a dictionary");
			break;
		}
	}
	if (!h->have_descr || !h->have_order || !h->have_shape)
		return err_set(e, ERR_PARSE, "the header lacks one of 'descr', 'fortran_order', 'shape'");
	return true;
}

static bool host_is_big(void)
{
	return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
}

static void swap_bytes(uint8_t *p, size_t elements, size_t size)
{
	for (size_t i = 0; i < elements; i++, p += size) {
		for (size_t j = 0; j < size / 2; j++) {
			uint8_t t = p[j];

			p[j] = p[size - 1 - j];
			p[size - 1 - j] = t;
		}
	}
}

/* First index fastest becomes last index fastest. */
static void from_fortran(const uint8_t *from, struct tensor *t, size_t elements)
{
	size_t size = dtype_size(t->dtype), stride[MAX_DIMS], at = 0, s = 1;
	int64_t index[MAX_DIMS] = {0};
	uint8_t *to = t->data;

	for (int d = 0; d < t->nd; d++) {
		stride[d] = s;
		s *= (size_t)t->dim[d];
	}
	for (size_t i = 0; i < elements; i++) {
		memcpy(to + i * size, from + at * size, size);
		for (int d = t->nd - 1; d >= 0; d--) {
			at += stride[d];
			if (++index[d] < t->dim[d])
				break;
			at -= stride[d] * (size_t)t->dim[d];
			index[d] = 0;
		}
	}
}

/* Where the header's text lies and where the data begin. */
static bool find_header(const uint8_t *p, size_t n, size_t *start, size_t *len, struct err *e)
{
	if (n < 10 || memcmp(p, MAGIC, 6))
		return err_set(e, ERR_PARSE, n < 6 || memcmp(p, MAGIC, 6) ? "not a .npy file" : "truncated header");
	if (p[6] < 1 || p[6] > 3)
		return err_set(e, ERR_UNSUPPORTED, "version %d of the format is not supported", p[6]);
	*start = p[6] == 1 ? 10 : 12;
	if (n < *start)
		return err_set(e, ERR_PARSE, "truncated header");
	*len = (size_t)p[8] | (size_t)p[9] << 8;
	if (p[6] > 1)
		*len |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
	if (*len > MAX_HEADER)
		return err_set(e, ERR_PARSE, "a header of %zu bytes", *len);
	if (*len > n - *start)
		return err_set(e, ERR_PARSE, "truncated header");
	return true;
}

bool npy_parse(struct arena *a, const void *bytes, size_t n, struct tensor **out, struct err *e)
{
	const uint8_t *p = bytes;
	struct npy_header h = {0};
	size_t start = 0, len = 0, need;
	struct tensor *t;
	int64_t elements;

	if (!find_header(p, n, &start, &len, e) || !parse_header((const char *)p + start, len, &h, e))
		return false;
	if (!dims_elements(h.dim, h.nd, &elements))
		return err_set(e, ERR_PARSE, "absurd shape");
	need = (size_t)elements * dtype_size(h.dtype);
	if (need > n - start - len)
		return err_set(e, ERR_PARSE, "truncated: the shape needs %zu bytes, there are %zu", need, n - start - len);
	t = tensor_new(a, h.dtype, h.nd, h.dim);
	if (h.fortran && h.nd > 1)
		from_fortran(p + start + len, t, (size_t)elements);
	else
		memcpy(t->data, p + start + len, need);
	if (h.big != host_is_big())
		swap_bytes(t->data, (size_t)elements, dtype_size(h.dtype));
	*out = t;
	return true;
}

bool npy_read(struct arena *a, const char *path, struct tensor **out, struct err *e)
{
	struct arena *scratch = arena_new(NULL);
	struct bytes b;
	bool ok = file_read(scratch, path, 0, &b, e) && (npy_parse(a, b.p, b.n, out, e) || err_in(e, "'%s'", path));

	arena_free(scratch);
	return ok;
}

bool npy_write(const char *path, const struct tensor *t, struct err *e)
{
	const char *name = NULL;
	struct str s = {0};
	size_t pad;
	bool ok;

	for (size_t i = 0; i < sizeof descrs / sizeof *descrs; i++) {
		if (descrs[i].dtype == t->dtype)
			name = descrs[i].name;
	}
	if (!name)
		return err_set(e, ERR_UNSUPPORTED, "'%s': .npy has no element type for %s", path, dtype_name(t->dtype));
	str_addn(&s, MAGIC "\1\0\0\0", 10);
	str_addf(&s, "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
		 dtype_size(t->dtype) == 1 ? '|'
		 : host_is_big()           ? '>'
					   : '<',
		 name);
	for (int i = 0; i < t->nd; i++)
		str_addf(&s, "%s%lld", i ? ", " : "", (long long)t->dim[i]);
	str_add(&s, t->nd == 1 ? ",), }" : "), }");
	pad = 63 - s.n % 64; /* the data begin at a multiple of 64 after the final newline */
	for (size_t i = 0; i < pad; i++)
		str_addc(&s, ' ');
	str_addc(&s, '\n');
	s.s[8] = (char)((s.n - 10) & 255);
	s.s[9] = (char)((s.n - 10) >> 8);
	str_addn(&s, t->data, tensor_bytes(t));
	ok = file_write(path, s.s, s.n, e);
	str_free(&s);
	return ok;
}
