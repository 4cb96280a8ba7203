/* lir_names.c: names that the text form can hold, each used once in a function */
#include <ctype.h>
#include <string.h>

#include "base/arena.h"
#include "base/map.h"
#include "loop/loop_internal.h"

static const char *const words[] = {"for", "in", "if", "else", "let", "alloc", "as", "true", "false", "inf", "nan", "out", "func"};

bool lir_is_name(const char *s, size_t n)
{
	if (!n || !(isalpha((unsigned char)s[0]) || s[0] == '_'))
		return false;
	for (size_t i = 1; i < n; i++)
		if (!(isalnum((unsigned char)s[i]) || s[i] == '_'))
			return false;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strlen(words[i]) == n && !memcmp(words[i], s, n))
			return false;
	return true;
}

const char *lir_clean_name(struct arena *a, const char *s)
{
	size_t n = strlen(s);
	char *out;

	if (lir_is_name(s, n))
		return arena_strdup(a, s);
	out = arena_printf(a, "_%s", s);
	for (char *p = out; *p; p++)
		if (!isalnum((unsigned char)*p))
			*p = '_';
	return isalpha((unsigned char)out[1]) && lir_is_name(out + 1, n) ? out + 1 : out;
}

struct naming {
	struct arena *a, *scratch; /* a: the function's */
	struct map *taken;         /* name -> size_t, the number to try next beside it */
};

static const char *unique(struct naming *n, const char *name)
{
	const char *base = name;
	size_t stem = strlen(name), *next = map_get(n->taken, name);

	if (next) {
		/* a name that already carries a number counts on from its stem */
		while (stem && isdigit((unsigned char)name[stem - 1]))
			stem--;
		if (stem < 2 || name[stem - 1] != '_' || stem == strlen(name))
			stem = strlen(name) + 1;
		do
			name = arena_printf(n->a, "%.*s_%zu", (int)stem - 1, base, (*next)++);
		while (map_has(n->taken, name));
	}
	next = ARENA_NEW(n->scratch, size_t);
	*next = 2;
	map_put(n->taken, name, next);
	return name;
}

static bool name_stmt(const struct lir_visit *v, void *user)
{
	struct lir_stmt *s;

	if (!v->stmt_slot)
		return true;
	s = *v->stmt_slot;
	if (s->kind == LIR_FOR || s->kind == LIR_LET)
		s->var->name = unique(user, s->var->name);
	if (s->kind == LIR_ALLOC)
		s->buffer->name = unique(user, s->buffer->name);
	return true;
}

void lir_unique_names(struct lir_func *f)
{
	struct arena *scratch = arena_new(NULL);
	struct naming n = {f->arena, scratch, map_new(scratch)};

	for (uint32_t i = 0; i < f->nparams; i++)
		f->param[i]->name = unique(&n, f->param[i]->name);
	lir_walk(f, name_stmt, &n);
	arena_free(scratch);
}
