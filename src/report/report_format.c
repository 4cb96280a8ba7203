/* report_format.c: rates, columns and JSON values, the same in every report */
#include "report/report_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "value/value.h"

static bool continues(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80; /* of a UTF-8 character */
}

static void put_clean(struct str *t, char c)
{
	str_addc(t, (unsigned char)c < 0x20 || c == 0x7f ? '?' : c);
}

static int width_of(const char *text, size_t n)
{
	int w = 0;

	for (size_t i = 0; i < n; i++)
		w += !continues(text[i]);
	return w;
}

void report_wrap(struct str *t, int indent, const char *text)
{
	int room = REPORT_COLUMNS - indent, column = 0;

	str_addf(t, "%*s", indent, "");
	while (*text) {
		size_t n = strcspn(text, " \n");
		int w = width_of(text, n);

		if (column && column + 1 + w > room) {
			str_addf(t, "\n%*s", indent, "");
			column = 0;
		} else if (column) {
			str_addc(t, ' ');
			column++;
		}
		for (size_t i = 0; i < n; i++) {
			if (column == room && !continues(text[i])) {
				str_addf(t, "\n%*s", indent, "");
				column = 0;
			}
			put_clean(t, text[i]);
			column += !continues(text[i]);
		}
		text += n;
		text += strspn(text, " \n");
	}
	str_addc(t, '\n');
}

void report_cell(struct str *t, int width, const char *text)
{
	size_t n = strlen(text);
	int w = width_of(text, n), head = (width - 1) / 2, tail = width - 1 - head, at = 0;

	if (w <= width) {
		for (size_t i = 0; i < n; i++)
			put_clean(t, text[i]);
		str_addf(t, "%*s", width - w, "");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		at += !continues(text[i]);
		if (at == head + 1 && !continues(text[i]))
			str_addc(t, '~');
		if (at <= head || at > w - tail)
			put_clean(t, text[i]);
	}
}

void report_rate(struct str *t, int64_t part, int64_t whole)
{
	double low, high;

	if (!whole) {
		str_add(t, "-");
		return;
	}
	wilson(part, whole, &low, &high);
	str_addf(t, "%5.1f %% (%.1f .. %.1f)", 100.0 * (double)part / (double)whole, 100 * low, 100 * high);
}

json_t *report_string(const char *text)
{
	struct str clean = {0};
	json_t *j;

	if (!text)
		return json_null();
	if ((j = json_string(text)))
		return j;
	for (; *text; text++)
		str_addc(&clean, (unsigned char)*text < 0x80 ? *text : '?');
	j = json_string(str_text(&clean));
	str_free(&clean);
	return j;
}

json_t *report_number(double x)
{
	return isfinite(x) ? json_real(x) : json_null();
}

json_t *report_hash(struct hash h)
{
	char hex[HASH_HEX];

	return hash_is_zero(h) ? json_null() : json_string(hash_hex(h, hex));
}

json_t *report_share(const char *part, int64_t n, int64_t of)
{
	json_t *j = json_object();
	double low, high;

	wilson(n, of, &low, &high);
	json_object_set_new(j, part, json_integer(n));
	json_object_set_new(j, "of", json_integer(of));
	json_object_set_new(j, "rate", of ? report_number((double)n / (double)of) : json_null());
	json_object_set_new(j, "low", of ? json_real(low) : json_null());
	json_object_set_new(j, "high", of ? json_real(high) : json_null());
	return j;
}

void report_quote(struct str *t, const char *text)
{
	report_dump(t, report_string(text));
}

static int append(const char *p, size_t n, void *t)
{
	str_addn(t, p, n);
	return 0;
}

void report_dump(struct str *t, json_t *j)
{
	json_dump_callback(j, append, t, JSON_INDENT(2) | JSON_ENCODE_ANY);
	json_decref(j);
}

/* ---- a report on its way to its file ---- */

#define DRAIN_BYTES (1 << 18)

bool report_flush(struct report_out *out)
{
	if (!out->file)
		return true;
	file_out_add(out->file, str_text(&out->text), out->text.n);
	str_clear(&out->text);
	return !file_out_failed(out->file);
}

bool report_drain(struct report_out *out)
{
	return out->text.n < DRAIN_BYTES || report_flush(out);
}
