/* op_einsum.c: Einsum - a loop per label of the result, then a loop per label that is summed over */
#include <ctype.h>
#include <string.h>

#include "ops/ops_calc.h"

#define B (&c->b)
#define LETTERS 52
#define LABELS (LETTERS + MAX_DIMS) /* the dims of the ellipsis come last */
#define MAX_TERMS 16

struct term {
	int n;
	int label[MAX_DIMS];
};

struct einsum {
	int nterms, ellipsis; /* dims that "..." stands for */
	struct term in[MAX_TERMS], out;
	int64_t size[LABELS]; /* 0 and !used: no such label */
	bool used[LABELS];
	int count[LABELS]; /* how often a label appears among the inputs */
};

static int label_of(char ch)
{
	return ch >= 'a' && ch <= 'z' ? ch - 'a' + 26 : ch >= 'A' && ch <= 'Z' ? ch - 'A' : -1;
}

/* Reads one term up to ',', '-' or the end; `dots` dims stand for the ellipsis, aligned to the right of the largest. */
static bool read_term(const char **text, int dots, struct term *t, bool *has_dots, int all_dots, struct err *e)
{
	const char *p = *text;

	*t = (struct term){0};
	*has_dots = false;
	for (; *p && *p != ',' && *p != '-'; p++) {
		int label = label_of(*p);

		if (isspace((unsigned char)*p))
			continue;
		if (!strncmp(p, "...", 3) && !*has_dots) {
			*has_dots = true;
			for (int i = 0; i < dots; i++) {
				if (t->n == MAX_DIMS)
					return err_set(e, ERR_PARSE, "a term of the equation has more than %d dimensions",
						       MAX_DIMS);
				t->label[t->n++] = LETTERS + all_dots - dots + i;
			}
			p += 2;
			continue;
		}
		if (label < 0)
			return err_set(e, ERR_PARSE, "unexpected '%c' in the equation", isprint((unsigned char)*p) ? *p : '?');
		if (t->n == MAX_DIMS)
			return err_set(e, ERR_PARSE, "a term of the equation has more than %d dimensions", MAX_DIMS);
		t->label[t->n++] = label;
	}
	*text = p;
	return true;
}

/* How many dims the ellipsis of a term stands for: what the letters leave of the tensor's. */
static int dots_of(const char *text, int nd)
{
	int letters = 0;

	for (; *text && *text != ',' && *text != '-'; text++)
		letters += label_of(*text) >= 0;
	return nd - letters;
}

static bool note_sizes(struct einsum *s, const struct term *t, const struct gir_value *v, struct err *e)
{
	if (t->n != v->nd)
		return err_set(e, ERR_PARSE, "a term of the equation has %d dimensions, its input %d", t->n, v->nd);
	for (int d = 0; d < t->n; d++) {
		int l = t->label[d];

		if (s->used[l] && s->size[l] != v->dim[d] && s->size[l] != 1 && v->dim[d] != 1)
			return err_set(e, ERR_PARSE, "one label stands for dimensions of %lld and %lld", (long long)s->size[l],
				       (long long)v->dim[d]);
		if (!s->used[l] || s->size[l] == 1)
			s->size[l] = v->dim[d];
		s->used[l] = true;
		s->count[l]++;
	}
	return true;
}

/* Without "->": the ellipsis, then every label that appears once, in the order of the alphabet. */
static bool implicit_result(struct einsum *s, struct err *e)
{
	for (int i = 0; i < s->ellipsis; i++)
		s->out.label[s->out.n++] = LETTERS + i;
	for (int l = 0; l < LETTERS; l++) {
		if (s->count[l] != 1)
			continue;
		if (s->out.n == MAX_DIMS)
			return err_set(e, ERR_PARSE, "the result has more than %d dimensions", MAX_DIMS);
		s->out.label[s->out.n++] = l;
	}
	return true;
}

static bool check_result(const struct einsum *s, struct err *e)
{
	bool seen[LABELS] = {false};

	for (int d = 0; d < s->out.n; d++) {
		int l = s->out.label[d];

		if (!s->used[l] || seen[l])
			return err_set(e, ERR_PARSE, "the result of the equation repeats a label or has one that no input has");
		seen[l] = true;
	}
	return true;
}

static bool read_equation(const struct gir_node *n, struct einsum *s, struct err *e)
{
	const char *text = gir_attr_string(n, "equation", ""), *p = text;
	bool dots;

	*s = (struct einsum){.nterms = (int)n->nin};
	if (!n->nin || n->nin > MAX_TERMS)
		return err_set(e, ERR_UNSUPPORTED, "%u inputs, 1 to %d are supported", n->nin, MAX_TERMS);
	for (uint32_t i = 0; i < n->nin; i++) {
		int have = n->in[i] ? dots_of(p, n->in[i]->nd) : -1;

		if (have < 0)
			return err_set(e, ERR_PARSE, "term %u of the equation '%s' does not fit its input", i, text);
		if (!read_term(&p, 0, &s->in[i], &dots, 0, e))
			return false;
		if (!dots && have)
			return err_set(e, ERR_PARSE, "term %u of the equation '%s' does not fit its input", i, text);
		s->ellipsis = have > s->ellipsis ? have : s->ellipsis;
		if ((*p == ',') != (i + 1 < n->nin))
			return err_set(e, ERR_PARSE, "the equation '%s' does not have %u terms", text, n->nin);
		p += *p == ',';
	}
	p = text;
	for (uint32_t i = 0; i < n->nin; i++) {
		if (!read_term(&p, dots_of(p, n->in[i]->nd), &s->in[i], &dots, s->ellipsis, e) ||
		    !note_sizes(s, &s->in[i], n->in[i], e))
			return false;
		p += *p == ',';
	}
	if (!*p)
		return implicit_result(s, e);
	if (p[1] != '>')
		return err_set(e, ERR_PARSE, "the equation '%s' has a lone '-'", text);
	p += 2;
	if (!read_term(&p, s->ellipsis, &s->out, &dots, s->ellipsis, e))
		return false;
	if (*p)
		return err_set(e, ERR_PARSE, "the equation '%s' goes on after its result", text);
	return check_result(s, e);
}

static bool infer(struct op_infer *c, struct err *e)
{
	struct einsum s;
	int64_t dim[MAX_DIMS];

	if (!op_check_type(c, 0, TYPES_NUMBER, e))
		return false;
	for (uint32_t i = 1; i < c->node->nin; i++)
		if (!op_check_same_type(c, i, e))
			return false;
	if (!read_equation(c->node, &s, e))
		return false;
	for (int d = 0; d < s.out.n; d++)
		dim[d] = s.size[s.out.label[d]];
	return op_set_out(c, 0, c->node->in[0]->dtype, s.out.n, dim, e);
}

static struct lir_expr *product(struct op_lower *c, const struct einsum *s, struct lir_expr *const *of_label, enum dtype wide)
{
	struct lir_expr *r = NULL;

	for (int i = 0; i < s->nterms; i++) {
		struct lir_expr *at[MAX_DIMS], *x;
		struct lir_buffer *buf = op_in(c, (uint32_t)i);

		for (int d = 0; d < buf->nd; d++)
			at[d] = buf->dim[d] == 1 ? lir_int(B, 0) : of_label[s->in[i].label[d]];
		x = op_load_as(c, buf, at, wide);
		r = r ? lir_mul(B, r, x) : x;
	}
	return r;
}

static bool lower(struct op_lower *c, struct err *e)
{
	enum dtype t = c->node->in[0]->dtype, wide = op_acc_type(t);
	struct lir_expr *of_label[LABELS] = {NULL};
	struct lir_buffer *acc;
	struct einsum s;
	struct op_space space;
	int open = 0;

	if (!read_equation(c->node, &s, e))
		return false;
	op_begin(c, "");
	for (uint32_t i = 0; i < c->node->nin; i++)
		op_in(c, i);
	space = op_space_of(c, op_out(c, 0));
	op_outer_begin(c, &space);
	for (int d = 0; d < s.out.n; d++)
		of_label[s.out.label[d]] = space.index[d];
	acc = op_acc(c, "acc", lir_imm(B, wide, 0));
	for (int l = 0; l < LABELS; l++) {
		if (!s.used[l] || of_label[l])
			continue;
		of_label[l] = lir_for(B, "r", s.size[l], LIR_SERIAL);
		open++;
	}
	op_acc_add(c, acc, product(c, &s, of_label, wide));
	while (open--)
		lir_end(B);
	op_store(c, space.index, lir_cast(B, t, op_acc_get(c, acc)));
	op_outer_end(c, &space);
	op_end(c);
	return true;
}

const struct op_impl op_EINSUM = {.infer = infer, .lower = lower};
