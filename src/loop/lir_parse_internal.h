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
bool lex_next(struct lexer *x);
bool lex_error(struct lexer *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool lex_is(const struct lexer *x, const char *text); /* a word or sign */
bool lex_take(struct lexer *x, const char *text, bool *taken);
bool lex_expect(struct lexer *x, const char *text);
bool lex_u64(struct lexer *x, uint64_t *out);
bool lex_i64(struct lexer *x, int64_t *out); /* with a sign */
bool lex_double(struct lexer *x, double *out);

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
struct lir_expr *parse_expr(struct parser *p); /* NULL after an error */
/* "[a, b]"; height is that of the highest tree in it. */
bool parse_index(struct parser *p, struct lir_expr ***index, uint32_t *n, int *height);
bool parse_dtype(struct parser *p, enum dtype *out);
struct symbol *find_symbol(struct parser *p, struct token t);
