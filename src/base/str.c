#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void reserve(struct str *s, size_t more)
{
	size_t need = s->n + more + 1;

	if (need <= s->cap)
		return;
	s->cap = s->cap * 2 > need ? s->cap * 2 : need < 64 ? 64 : need;
	if (need < more || !(s->s = realloc(s->s, s->cap)))
		abort();
}

void str_addn(struct str *s, const char *bytes, size_t n)
{
	reserve(s, n);
	if (n)
		memcpy(s->s + s->n, bytes, n);
	s->n += n;
	s->s[s->n] = 0;
}

void str_add(struct str *s, const char *text)
{
	str_addn(s, text, strlen(text));
}

void str_addc(struct str *s, char c)
{
	str_addn(s, &c, 1);
}

void str_vaddf(struct str *s, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		abort();
	reserve(s, (size_t)n);
	vsnprintf(s->s + s->n, (size_t)n + 1, fmt, ap);
	s->n += (size_t)n;
}

void str_addf(struct str *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	str_vaddf(s, fmt, ap);
	va_end(ap);
}

const char *str_text(const struct str *s)
{
	return s->s ? s->s : "";
}

void str_clear(struct str *s)
{
	s->n = 0;
	if (s->s)
		s->s[0] = 0;
}

void str_free(struct str *s)
{
	free(s->s);
	*s = (struct str){0};
}

bool str_parse_bytes(const char *text, uint64_t *out)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end = NULL;
	int shift = 0;
	long long n;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoll(text, &end, 10);
	if (*end && (unit = strchr(units, *end))) {
		shift = 10 * (int)(unit - units + 1);
		end++;
	}
	if (errno || n < 1 || *end || n > INT64_MAX >> shift)
		return false;
	*out = (uint64_t)n << shift;
	return true;
}

bool str_parse_per_cent(const char *text, double *out)
{
	char *end = NULL;
	double v = *text >= '0' && *text <= '9' ? strtod(text, &end) : 0;

	*out = v / 100;
	return v >= 0.01 && v < 100 && !strcmp(end, "%");
}

int text_utf8(const char *text, unsigned *c)
{
	const unsigned char *s = (const unsigned char *)text;
	int n = *s < 0x80 ? 1 : *s >= 0xc2 && *s < 0xe0 ? 2 : *s >= 0xe0 && *s < 0xf0 ? 3 : *s >= 0xf0 && *s < 0xf5 ? 4 : 0;

	*c = n < 2 ? *s : *s & (0xffu >> (n + 1));
	for (int i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (s[i] & 0x3f);
	}
	if ((n == 3 && (*c < 0x800 || (*c >= 0xd800 && *c < 0xe000))) || (n == 4 && (*c < 0x10000 || *c > 0x10ffff)))
		return 0;
	return n;
}

void text_clean(char *s)
{
	while (*s) {
		unsigned c;
		int n = text_utf8(s, &c);
		bool control = n && ((c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0));

		for (int i = 0; control && i < n; i++)
			s[i] = '?';
		if (!n)
			*s = '?';
		s += n ? n : 1;
	}
}

/* Bytes of the character at p, when XML may hold it; 0: it may not. */
static int xml_character(const char *p)
{
	unsigned c;
	int n = text_utf8(p, &c);

	if (c < 0x20 && c != '\n' && c != '\t' && c != '\r')
		return 0;
	return c == 0xfffe || c == 0xffff ? 0 : n;
}

void str_add_xml(struct str *s, const char *text)
{
	while (text && *text) {
		int n = xml_character(text);

		if (!n)
			str_addc(s, '?');
		else if (*text == '&' || *text == '<' || *text == '>' || *text == '"' || *text == '\'' || (unsigned char)*text < 0x20)
			str_addf(s, "&#%d;", *text);
		else
			str_addn(s, text, (size_t)n);
		text += n ? n : 1;
	}
}

void str_add_csv(struct str *s, const char *text)
{
	bool quote = text && text[strcspn(text, ",\"\r\n")];

	if (quote)
		str_addc(s, '"');
	while (text && *text) {
		unsigned c;
		int n = text_utf8(text, &c);

		if (*text == '"')
			str_addc(s, '"');
		str_addn(s, n ? text : "?", n ? (size_t)n : 1);
		text += n ? n : 1;
	}
	if (quote)
		str_addc(s, '"');
}
