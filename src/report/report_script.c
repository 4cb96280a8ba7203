/* report_script.c: JSON that may stand inside a page's script element */
#include "report/report_script.h"

#include <math.h>
#include <string.h>

static void escape(struct str *t, const unsigned char *p, size_t n)
{
	if (!n) {
		str_add(t, "\\ufffd");
	} else if (n == 1 && (*p == '"' || *p == '\\')) {
		str_addf(t, "\\%c", *p);
	} else if (n == 1 && *p == '\n') {
		str_add(t, "\\n");
	} else if (n == 1 && (*p < 0x20 || *p == 0x7f || *p == '<' || *p == '>' || *p == '&')) {
		str_addf(t, "\\u%04x", *p);
	} else if (n == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9)) {
		str_addf(t, "\\u20%02x", p[2] - 0x80);
	} else {
		str_addn(t, (const char *)p, n);
	}
}

void script_text(struct str *t, const char *text, size_t max)
{
	const unsigned char *p = (const unsigned char *)text, *end;

	if (!text) {
		str_add(t, "null");
		return;
	}
	end = p + (max ? strnlen(text, max) : strlen(text));
	str_addc(t, '"');
	while (p < end) {
		unsigned c;
		size_t n = (size_t)text_utf8((const char *)p, &c);

		if (p + n > end)
			break;
		escape(t, p, n);
		p += n ? n : 1;
	}
	str_add(t, *p ? "\xe2\x80\xa6\"" : "\"");
}

void script_number(struct str *t, double x, int digits)
{
	if (isnan(x))
		str_add(t, "null");
	else if (isinf(x))
		str_add(t, x > 0 ? "1e999" : "-1e999");
	else
		str_addf(t, "%.*g", digits, x);
}

void script_hash(struct str *t, struct hash h, int digits)
{
	char hex[HASH_HEX];

	if (hash_is_zero(h))
		str_add(t, "null");
	else
		str_addf(t, "\"%.*s\"", digits, hash_hex(h, hex));
}

void script_base64(struct str *t, const void *p, size_t n)
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *b = p;

	str_addc(t, '"');
	for (size_t i = 0; i < n; i += 3) {
		uint32_t x = (uint32_t)b[i] << 16 | (i + 1 < n ? b[i + 1] << 8 : 0) | (i + 2 < n ? b[i + 2] : 0);

		str_addc(t, digit[x >> 18]);
		str_addc(t, digit[x >> 12 & 63]);
		str_addc(t, i + 1 < n ? digit[x >> 6 & 63] : '=');
		str_addc(t, i + 2 < n ? digit[x & 63] : '=');
	}
	str_addc(t, '"');
}
