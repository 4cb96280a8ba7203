/* loop/lir_known_internal.h: sums, unknowns and facts, shared by the files of lir_known.h */
#pragma once
#include "loop/lir_known.h"
#include "loop/loop_internal.h"

#define MOST LIR_RANGE_MOST
#define SCAN 48 /* facts and atoms looked at, newest first */

struct form form_constant(int64_t c);
struct form form_of_atom(uint32_t atom);
/* f += times * g; false: too large, f is spoilt. */
bool form_add(struct form *f, const struct form *g, int64_t times);
bool form_same(const struct form *f, const struct form *g);
int64_t form_floor_div(int64_t a, int64_t b); /* b > 0 */

/* From the intervals of its atoms alone. */
struct lir_range known_plain_range(const struct known *k, const struct form *f);
/* Up to depth facts are added. */
struct lir_range known_bounded(struct known *k, const struct form *f, int depth);

uint32_t known_new_atom(struct known *k, struct lir_range r);
/* A new atom, or the constant that an interval of one number is. */
struct form known_unknown(struct known *k, struct lir_range r);
/* g >= 0 */
void known_learn(struct known *k, const struct form *g);
/* a * x + b * y + c >= 0 */
void known_learn_sum(struct known *k, int64_t a, const struct form *x, int64_t b, const struct form *y, int64_t c);

/* One step of the work that a function is worth; false: there is none left. */
bool known_spend(struct known *k);
/* One whole number, or bool. */
bool known_is_integer(struct lir_type t);
