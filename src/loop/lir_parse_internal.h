/* loop/lir_parse_internal.h: between the lexer and the parser of the text form */
#pragma once
#include "loop/loop_internal.h"

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
	struct token tok; /* the one to be looked at */
	struct err *e;
};

/* All false after an error, which is then in e. */
bool lir_lex_next(struct lexer *x);
bool lir_lex_error(struct lexer *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool lir_lex_is(const struct lexer *x, const char *text); /* a word or sign */
bool lir_lex_take(struct lexer *x, const char *text, bool *taken);
bool lir_lex_expect(struct lexer *x, const char *text);
bool lir_lex_u64(struct lexer *x, uint64_t *out);
bool lir_lex_i64(struct lexer *x, int64_t *out); /* with a sign */
bool lir_lex_double(struct lexer *x, double *out);

struct symbol {
	struct lir_var *var;
	struct lir_buffer *buffer;
	bool open;
};

struct parser {
	struct lexer x;
	struct arena *a;
	struct map *symbols; /* name -> struct symbol */
	struct lir_func *f;
	int nesting; /* of parentheses and the like */
	int braces, statements;
};

/* ---- lir_parse_expr.c ---- */
struct lir_expr *lir_parse_expr(struct parser *p); /* NULL after an error */
/* "[a, b]"; height is that of the highest tree in it. */
bool lir_parse_index(struct parser *p, struct lir_expr ***index, uint32_t *n, int *height);
bool lir_parse_dtype(struct parser *p, enum dtype *out);
struct symbol *lir_find_symbol(struct parser *p, struct token t);
