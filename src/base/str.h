/* base/str.h: a string that grows; on the heap, always NUL-terminated once something was added */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
	char *s; /* NULL while empty; use str_text for a C string */
	size_t n, cap;
};

void str_add(struct str *s, const char *text);
void str_addn(struct str *s, const char *bytes, size_t n);
void str_addc(struct str *s, char c);
void str_addf(struct str *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void str_vaddf(struct str *s, const char *fmt, va_list ap);
const char *str_text(const struct str *s); /* "" while empty */
void str_clear(struct str *s);             /* keeps the memory */
/* In place: a question mark for each byte that is no UTF-8 or of a control character but tab and newline, which could tell a terminal
 * what to do. For text that strangers wrote. */
void text_clean(char *s);
void str_free(struct str *s);

/* Bytes of the UTF-8 character at s, *c its number; 0: there is none (overlong ones, surrogates and what is beyond U+10FFFF are none). */
int text_utf8(const char *s, unsigned *c);
/* A field of a CSV file, quoted as RFC 4180 says; bytes that are not UTF-8 become '?'. NULL: an empty one. */
void str_add_csv(struct str *s, const char *text);
/* Text of an XML or HTML document, in an element or a quoted attribute; what is not UTF-8 or XML may not hold becomes '?'. NULL: nothing. */
void str_add_xml(struct str *s, const char *text);

/* "512", "64K", "2G": at least 1, with a unit of 2^10, 2^20, 2^30, 2^40 or none, and nothing behind it. */
bool str_parse_bytes(const char *text, uint64_t *out);
/* "2%", "0.5%": a share from 0.0001 to below 1. */
bool str_parse_per_cent(const char *text, double *out);
