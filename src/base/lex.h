/* base/lex.h: words, numbers, strings and signs of a text form, with their places
 *
 * '#' starts a comment that ends with the line; blanks and newlines only separate. The text may be hostile. Functions that return
 * bool are false after an error, which is then in lexer.e as "NAME:LINE:COLUMN: ...", lines and columns (bytes) counted from 1.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct err;

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_INT, TOKEN_FLOAT, TOKEN_STRING, TOKEN_SIGN };

struct token {
	enum token_kind kind;
	const char *text; /* not terminated */
	size_t n;
	int line, column;
};

struct lexer {
	const char *name; /* of the text, for messages */
	const char *p, *end, *line_start;
	int line;
	const char *const *signs; /* of several characters, NULL-terminated; of those that fit, the first is taken */
	const char *sign_chars;   /* those of one */
	struct token tok;         /* the one to be looked at, after the first lex_next */
	struct err *e;
};

bool lex_next(struct lexer *x);
/* Names the place of x->tok; always false. */
bool lex_error(struct lexer *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool lex_is(const struct lexer *x, const char *text); /* a word or sign */
bool lex_take(struct lexer *x, const char *text, bool *taken);
bool lex_expect(struct lexer *x, const char *text);
bool lex_u64(struct lexer *x, uint64_t *out);
bool lex_i64(struct lexer *x, int64_t *out); /* with a sign */
bool lex_double(struct lexer *x, double *out);
/* A quoted string, unpacked into a: \x and two lower-case hexadecimal digits stand for a byte; no NUL. `what` names what is
 * expected. */
bool lex_string(struct lexer *x, struct arena *a, const char *what, const char **out);
