/* loop/lir_known.h: what is known about integers at a point of a function; private to the analyses of this room
 *
 * An integer is a sum of multiples of unknowns ("atoms": loop variables, loaded values, quotients, minima ...) whenever it is one.
 * Atoms have intervals; facts are sums that are not negative (what guards, loop bounds and divisions say). Both are scoped:
 * known_mark remembers how much is known, known_back forgets what was learnt since.
 */
#pragma once
#include "base/vec.h"
#include "loop/loop.h"

#define FORM_TERMS 10

struct form {
	int64_t constant;
	int n;
	struct term {
		uint32_t atom;
		int64_t times;
	} term[FORM_TERMS];
};

struct fact {
	struct form form; /* >= 0 */
};

/* What is written twice is one atom: quotients and remainders by what they are of, select, min and max by their text. */
struct atom {
	struct lir_range range;
	enum lir_op op; /* LIR_OP_COUNT: no quotient or remainder */
	struct form of;
	int64_t by;
	const struct lir_expr *text; /* NULL: none that can be found again */
	uint64_t hash;
};

struct known {
	struct arena *a;
	const struct lir_func *f;
	struct known_var {
		bool set;
		struct form form;
		const struct lir_expr *value; /* of a let of type bool */
	} * var;                              /* by id */
	struct lir_range *stored;             /* by buffer id: of all that is stored to a local integer buffer */
	VEC(struct atom) atom;
	VEC(struct fact) fact;
	VEC(struct undo {
		uint32_t atom;
		struct lir_range range;
	})
	undo;
	bool dead;     /* what is known contradicts itself: this point is not reached */
	uint64_t work; /* left: linear in the function's size. Then nothing more is found out, which is always right */
};

struct known_mark {
	size_t atoms, facts, undos;
	bool dead;
};

void known_open(struct known *k, const struct lir_func *f); /* k->a is the caller's to free */
struct known_mark known_mark(const struct known *k);
void known_back(struct known *k, struct known_mark m);

/* Of a scalar of an integer type or bool. */
struct form known_form(struct known *k, const struct lir_expr *x);
/* The tightest interval that is found. */
struct lir_range known_range(struct known *k, const struct form *f);
/* The condition holds, or does not. */
void known_assume(struct known *k, const struct lir_expr *cond, bool holds);
void known_let(struct known *k, const struct lir_stmt *s);
/* The loop's variable, inside. Returns the range of the extent. */
struct lir_range known_loop(struct known *k, const struct lir_stmt *s);
