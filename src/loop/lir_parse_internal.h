/* loop/lir_parse_internal.h: between the files of the parser */
#pragma once
#include "base/lex.h"
#include "loop/loop_internal.h"

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
