/* lex.c: the lexer that the text forms share */
#include "base/lex.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

bool lex_error(struct lexer *x, const char *fmt, ...)
{
	struct str s = {0};
	va_list ap;

	va_start(ap, fmt);
	str_vaddf(&s, fmt, ap);
	va_end(ap);
	err_set(x->e, ERR_PARSE, "%s:%d:%d: %s", x->name, x->tok.line, x->tok.column, str_text(&s));
	str_free(&s);
	return false;
}

static void skip_blanks(struct lexer *x)
{
	while (x->p < x->end) {
		if (*x->p == '#') {
			while (x->p < x->end && *x->p != '\n')
				x->p++;
		} else if (*x->p == '\n') {
			x->line++;
			x->line_start = ++x->p;
		} else if (*x->p == ' ' || *x->p == '\t' || *x->p == '\r') {
			x->p++;
		} else {
			return;
		}
	}
}

static int peek(const struct lexer *x, int ahead)
{
	return x->end - x->p > ahead ? (unsigned char)x->p[ahead] : 0;
}

static void digits(struct lexer *x)
{
	while (isdigit(peek(x, 0)))
		x->p++;
}

/* 12, 1.5, 1e-3; the two dots of a range do not belong to a number */
static enum token_kind number(struct lexer *x)
{
	enum token_kind kind = TOKEN_INT;
	int sign;

	digits(x);
	if (peek(x, 0) == '.' && isdigit(peek(x, 1))) {
		x->p++;
		digits(x);
		kind = TOKEN_FLOAT;
	}
	sign = peek(x, 1) == '+' || peek(x, 1) == '-';
	if (peek(x, 0) == 'e' && isdigit(peek(x, 1 + sign))) {
		x->p += 1 + sign;
		digits(x);
		kind = TOKEN_FLOAT;
	}
	return kind;
}

static size_t sign_length(const struct lexer *x)
{
	for (const char *const *sign = x->signs; *sign; sign++) {
		size_t n = strlen(*sign);

		if ((size_t)(x->end - x->p) >= n && !memcmp(x->p, *sign, n))
			return n;
	}
	return *x->p && strchr(x->sign_chars, *x->p) ? 1 : 0;
}

static bool string(struct lexer *x)
{
	x->p++;
	while (x->p < x->end && *x->p != '"' && *x->p != '\n')
		x->p++;
	if (peek(x, 0) != '"')
		return lex_error(x, "a string does not end");
	x->p++;
	return true;
}

bool lex_next(struct lexer *x)
{
	struct token *t = &x->tok;
	size_t n;

	skip_blanks(x);
	t->text = x->p;
	t->line = x->line;
	t->column = (int)(x->p - x->line_start) + 1;
	t->kind = TOKEN_END;
	if (x->p < x->end) {
		if (isalpha(peek(x, 0)) || *x->p == '_') {
			while (isalnum(peek(x, 0)) || peek(x, 0) == '_')
				x->p++;
			t->kind = TOKEN_WORD;
		} else if (isdigit(peek(x, 0))) {
			t->kind = number(x);
		} else if (*x->p == '"') {
			t->kind = TOKEN_STRING;
			if (!string(x))
				return false;
		} else {
			n = sign_length(x);
			if (!n)
				return lex_error(x, "unexpected byte 0x%02x", (unsigned char)*x->p);
			x->p += n;
			t->kind = TOKEN_SIGN;
		}
	}
	t->n = (size_t)(x->p - t->text);
	return true;
}

bool lex_is(const struct lexer *x, const char *text)
{
	return (x->tok.kind == TOKEN_WORD || x->tok.kind == TOKEN_SIGN) && strlen(text) == x->tok.n &&
	       !memcmp(text, x->tok.text, x->tok.n);
}

bool lex_take(struct lexer *x, const char *text, bool *taken)
{
	*taken = lex_is(x, text);
	return !*taken || lex_next(x);
}

bool lex_expect(struct lexer *x, const char *text)
{
	if (!lex_is(x, text))
		return lex_error(x, "'%s' expected", text);
	return lex_next(x);
}

bool lex_u64(struct lexer *x, uint64_t *out)
{
	uint64_t v = 0;

	if (x->tok.kind != TOKEN_INT)
		return lex_error(x, "an integer expected");
	for (size_t i = 0; i < x->tok.n; i++)
		if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(x->tok.text[i] - '0'), &v))
			return lex_error(x, "the integer is too large");
	*out = v;
	return lex_next(x);
}

bool lex_i64(struct lexer *x, int64_t *out)
{
	struct token at = x->tok;
	bool minus;
	uint64_t v;

	if (!lex_take(x, "-", &minus) || !lex_u64(x, &v))
		return false;
	if (v > (uint64_t)INT64_MAX + minus) {
		x->tok = at;
		return lex_error(x, "the integer is too large");
	}
	*out = (int64_t)(minus ? 0 - v : v);
	return true;
}

bool lex_double(struct lexer *x, double *out)
{
	char text[64];

	if (x->tok.n >= sizeof text)
		return lex_error(x, "a number of %zu characters", x->tok.n);
	memcpy(text, x->tok.text, x->tok.n);
	text[x->tok.n] = 0;
	*out = strtod(text, NULL);
	return lex_next(x);
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool lex_string(struct lexer *x, struct arena *a, const char *what, const char **out)
{
	const char *s = x->tok.text;
	size_t n = x->tok.n, k = 0;
	char *name;

	if (x->tok.kind != TOKEN_STRING)
		return lex_error(x, "%s expected", what);
	name = arena_alloc(a, n + 1);
	for (size_t i = 1; i + 1 < n; i++) {
		int high, low;

		if (s[i] != '\\') {
			name[k++] = s[i];
			continue;
		}
		high = i + 4 < n && s[i + 1] == 'x' ? hex(s[i + 2]) : -1;
		low = high >= 0 ? hex(s[i + 3]) : -1;
		if (low < 0)
			return lex_error(x, "a backslash stands only in \\x and two digits");
		name[k++] = (char)(high << 4 | low);
		i += 3;
	}
	name[k] = 0;
	if (memchr(name, 0, k))
		return lex_error(x, "a NUL in a string");
	*out = name;
	return lex_next(x);
}
