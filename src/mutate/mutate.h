/* mutate/mutate.h: mutation operators, the places where they apply, and applying one
 *
 * Three kinds: graph operators change the imported network, loop operators change one lowered function, input operators change
 * how an image becomes a tensor. An operator is a file with a row in operators.def; it only judges and changes one place. The
 * walk over places (in print order, so that ordinals are stable), ids, selection and sampling are shared.
 *
 * Sites are counted on the unmutated program, before anything is applied.
 *
 * A mutant's id:  OPERATOR/TARGET/ORDINAL/VARIANT
 *   TARGET   graph: node name; loop: name of the lowered function; input: `input`; `*` when it applies everywhere
 *   ORDINAL  the how-manyeth site of this operator in the target, from 0; `all`: every site there
 *   VARIANT  name of what is done, e.g. `to-le`, `left+1`
 * '/' and '%' inside target names are written %2F and %25.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "graph/graph.h"
#include "loop/loop.h"

struct arena;
struct err;

enum mut_kind { MUT_GRAPH, MUT_LOOP, MUT_INPUT };

enum mut_category {
#define CATEGORY(id, name) MUT_CAT_##id,
#include "mutate/categories.def"
#undef CATEGORY
	MUT_CAT_COUNT
};
const char *mut_category_name(enum mut_category c);

#define MUT_MAX_VARIANTS 64

/* A place a loop operator may judge: a statement, or an expression of one. */
struct mut_place {
	const struct lir_func *func;
	struct lir_stmt **stmt;             /* set for a statement */
	struct lir_expr **expr;             /* set for an expression */
	struct lir_stmt *const *parent;     /* enclosing statements, outermost first; last: the one the expression belongs to */
	uint32_t nparents, depth;
};

/* Where a graph operator may act. Types of all values are known. */
struct mut_node {
	struct gir_graph *graph;
	struct gir_node *node;
	const uint32_t *uses;               /* per value id */
};

struct mut_op {
	const char *name;                   /* "loop.cond.lt-to-le": in stores, never renamed */
	enum mut_kind kind;
	enum mut_category category;
	const char *summary;                /* what it does, one line */
	const char *imitates;               /* the real fault it stands for, one line */
	const char *const *variant;         /* names, NULL-terminated; at most MUT_MAX_VARIANTS */
	/* Exactly one kind's pair is set. Bit v of the result: variant v applies here; 0: not a site. */
	uint64_t (*loop_variants)(const struct mut_place *p);
	bool (*loop_apply)(struct arena *a, struct lir_func *f, const struct mut_place *p, unsigned variant, struct err *e);
	uint64_t (*graph_variants)(const struct mut_node *n);
	bool (*graph_apply)(const struct mut_node *n, unsigned variant, struct err *e);
	/* Input operators: per variant a change of the preprocessing in its own notation ("flip=horizontal"). */
	const char *const *input_edit;
};

/* Every operator, NULL-terminated, in the order of operators.def. */
extern const struct mut_op *const mut_ops[];
const struct mut_op *mut_find(const char *name);

/* A set of mutants wanted: an operator glob (fnmatch), a variant glob, and which sites. */
enum mut_pick { MUT_EACH, MUT_ALL, MUT_RANGE, MUT_SAMPLE };
struct mut_spec {
	const char *label;                  /* name for the row when it is one of a preset; may be NULL */
	const char *operator_glob;          /* reaches control.* only when it begins with "control" */
	const char *variant_glob;           /* NULL: every variant; for MUT_ALL: the first, unless given */
	enum mut_pick pick;                 /* EACH: one mutant per site and variant; ALL: one mutant over all sites of all targets (one per
	                                       operator and variant; where a target_glob names targets, one for each of them); RANGE:
	                                       EACH limited to places first..last counted over the whole program; SAMPLE: `count`
	                                       drawn without replacement from EACH by the seed */
	uint64_t first, last, count;
	double error;                       /* SAMPLE: as many as tell a rate within +- this at 95 % (value.h: leveugle); 0: count */
	const char *target_glob;            /* node or function; NULL: any */
	const char *place;                  /* where the spec is written, put in front of its errors; NULL: nowhere */
};

struct mut_preset {
	const char *name, *summary;
	const struct mut_spec *spec;
	size_t n;
};
extern const struct mut_preset *const mut_presets[]; /* NULL-terminated: mutatenn-paper (22 rows), ... */
const struct mut_preset *mut_preset_find(const char *name);

/* The unmutated program as the operators see it. */
struct mut_subject {
	struct gir_graph *graph;            /* as imported, inferred */
	struct lir_func *const *func;       /* of the lowered original, in launch order; entries that are equal text are still
	                                       separate targets, because they are separate launches */
	size_t nfuncs;
};

struct mutant {
	const struct mut_op *op;
	const char *label;                  /* of the spec, or NULL */
	const char *id;
	const char *target;                 /* "*": everywhere */
	bool all;
	uint32_t ordinal;                   /* within the target, unless all */
	unsigned variant;
	uint64_t sites;                     /* how many places it changes: 1, or all of them; 0: no site (the row stays) */
};

/* Sites of an operator in the subject (places where at least one variant applies). */
uint64_t mut_count_sites(const struct mut_subject *s, const struct mut_op *op);
/* Lists the mutants of the specs, in order, linear in the size of the program. A spec whose operator has no site gives one row
 * with sites 0 per operator (and variant, for ALL). Duplicate ids are listed once. */
bool mut_list(struct arena *a, const struct mut_subject *s, const struct mut_spec *spec, size_t nspecs, uint64_t seed, struct mutant **out,
              size_t *n, struct err *e);
/* The same, and for each spec how many were drawn of how many: 0 of 0 where it is no sample. */
struct mut_drawn {
	uint64_t drawn, of;
};
bool mut_list_drawn(struct arena *a, const struct mut_subject *s, const struct mut_spec *spec, size_t nspecs, uint64_t seed, struct mutant **out,
                    size_t *n, struct mut_drawn *drawn, struct err *e);
/* The mutant with this id; an error says which part of the id does not fit. */
bool mut_parse(struct arena *a, const struct mut_subject *s, const char *id, struct mutant *out, struct err *e);

/* Applies a loop mutant: func[k] is a changed clone for the functions it touches and NULL for the others. Each is verified. */
bool mut_apply_loop(struct arena *a, const struct mut_subject *s, const struct mutant *m, struct lir_func ***func, struct err *e);
/* Applies a graph mutant to a clone of the graph (types must be inferred again). */
bool mut_apply_graph(struct arena *a, const struct mut_subject *s, const struct mutant *m, struct gir_graph **out, struct err *e);
/* The change of preprocessing of an input mutant. */
const char *mut_input_edit(const struct mutant *m);
