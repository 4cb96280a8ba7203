/* report_script.h: JSON that may stand inside a page's script element, written as it is made */
#pragma once
#include "base/hash.h"
#include "base/str.h"

/* A string in quotes, null for NULL. Whatever the bytes, neither the string nor the element around it can be ended from inside:
 * quotes, control characters, < > & and the line separators are escaped, what is no UTF-8 becomes U+FFFD. At most max bytes of text
 * are taken (0: all), whole characters; an ellipsis says that some are missing. */
void script_text(struct str *t, const char *text, size_t max);
/* digits significant digits; NaN is null, infinities are 1e999, which JSON.parse reads as such. */
void script_number(struct str *t, double x, int digits);
void script_hash(struct str *t, struct hash h, int digits); /* the first of them; null when zero */
void script_base64(struct str *t, const void *p, size_t n); /* in quotes */
