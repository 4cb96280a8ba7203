/* outcome.c: the table of outcomes */
#include "store/store.h"

#include <string.h>

static const struct {
	const char *name, *help;
	enum outcome_class class;
	unsigned kills;
} table[] = {
#define OUTCOME(id, name, class, kills, help) [OUTCOME_##id] = {name, help, OUTCOME_CLASS_##class, kills},
#include "store/outcomes.def"
#undef OUTCOME
};

static const char *const criteria[STORE_CRITERIA] = {"label", "topk", "numeric"};

static bool known(enum outcome o)
{
	return (unsigned)o < OUTCOME_COUNT;
}

const char *outcome_name(enum outcome o)
{
	return known(o) ? table[o].name : "?";
}

const char *outcome_help(enum outcome o)
{
	return known(o) ? table[o].help : "";
}

bool outcome_parse(const char *name, enum outcome *out)
{
	for (int o = 0; o < OUTCOME_COUNT; o++)
		if (!strcmp(name, table[o].name)) {
			*out = (enum outcome)o;
			return true;
		}
	return false;
}

enum outcome_class outcome_class(enum outcome o)
{
	return known(o) ? table[o].class : OUTCOME_CLASS_NONE;
}

unsigned outcome_kills(enum outcome o)
{
	return known(o) ? table[o].kills : 0;
}

const char *store_criterion_name(int c)
{
	return c >= 0 && c < STORE_CRITERIA ? criteria[c] : "?";
}

bool store_criterion_parse(const char *name, unsigned *bit)
{
	for (int c = 0; c < STORE_CRITERIA; c++)
		if (!strcmp(name, criteria[c])) {
			*bit = 1u << c;
			return true;
		}
	return false;
}
