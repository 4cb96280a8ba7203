/* mut_list.c: which mutants - ids, selection, sampling */
#include <fnmatch.h>
#include <string.h>

#include "base/map.h"
#include "base/near.h"
#include "base/str.h"
#include "mutate/mutate_internal.h"

const char *mut_category_name(enum mut_category c)
{
	static const char *const names[] = {
#define CATEGORY(id, name) name,
#include "mutate/categories.def"
#undef CATEGORY
	};
	return (unsigned)c < MUT_CAT_COUNT ? names[c] : "?";
}

static const char *near_operator(const char *name)
{
	struct near n = near_new(name);

	for (size_t i = 0; mut_ops[i]; i++)
		near_try(&n, mut_ops[i]->name);
	for (size_t i = 0; mut_presets[i]; i++)
		near_try(&n, mut_presets[i]->name);
	return near_text(&n);
}

const struct mut_op *mut_find(const char *name)
{
	for (size_t i = 0; mut_ops[i]; i++)
		if (!strcmp(mut_ops[i]->name, name))
			return mut_ops[i];
	return NULL;
}

const struct mut_preset *mut_preset_find(const char *name)
{
	for (size_t i = 0; mut_presets[i]; i++)
		if (!strcmp(mut_presets[i]->name, name))
			return mut_presets[i];
	return NULL;
}

/* ---- ids ---- */

static size_t put_text(char *out, const char *text)
{
	size_t n = strlen(text);

	if (out)
		memcpy(out, text, n);
	return n;
}

static size_t put_escaped(char *out, const char *name)
{
	size_t n = 0;

	for (; *name; name++) {
		bool escaped = *name == '/' || *name == '%';

		if (out && escaped)
			memcpy(out + n, *name == '/' ? "%2F" : "%25", 3);
		else if (out)
			out[n] = *name;
		n += escaped ? 3 : 1;
	}
	return n;
}

static size_t put_number(char *out, uint32_t x)
{
	size_t n = 1;

	for (uint32_t y = x; y > 9; y /= 10)
		n++;
	for (size_t i = n; out && i-- > 0; x /= 10)
		out[i] = (char)('0' + x % 10);
	return n;
}

/* The id's bytes, without a NUL, to out unless that is NULL; how many they are. By hand: there may be millions of them. */
static size_t put_id(char *out, const struct mut_op *op, const char *target, bool all, uint32_t ordinal, unsigned variant)
{
	size_t n = 0;

#define AT (out ? out + n : NULL)
	n += put_text(AT, op->name);
	n += put_text(AT, "/");
	n += put_escaped(AT, target ? target : "*");
	n += put_text(AT, all ? "/all/" : "/");
	if (!all) {
		n += put_number(AT, ordinal);
		n += put_text(AT, "/");
	}
	n += put_text(AT, op->variant[variant]);
#undef AT
	return n;
}

const char *mut_id(struct arena *a, const struct mut_op *op, const char *target, bool all, uint32_t ordinal, unsigned variant)
{
	size_t n = put_id(NULL, op, target, all, ordinal, variant);
	char *id = arena_alloc(a, n + 1);

	put_id(id, op, target, all, ordinal, variant);
	id[n] = 0;
	return id;
}

static char *unescape(struct arena *a, const char *s, size_t n)
{
	char *out = arena_strndup(a, s, n), *to = out;

	for (const char *p = out; *p; p++)
		if (!strncmp(p, "%2F", 3) || !strncmp(p, "%25", 3)) {
			*to++ = p[2] == 'F' ? '/' : '%';
			p += 2;
		} else {
			*to++ = *p;
		}
	*to = 0;
	return out;
}

/* ---- one spec ---- */

/* An operator that a spec names, and where it applies. */
struct found {
	const struct mut_op *op;
	uint64_t wanted; /* variants */
	struct mut_sites sites;
};

/* Every spec is gone through twice: what is not drawn is only counted, and never gets an id. */
struct lister {
	struct arena *a;
	const struct mut_subject *s;
	struct map *seen;                 /* ids of the specs so far; NULL: there is one spec, whose ids differ */
	VEC(struct mutant) out;
	uint64_t random;
	struct str id;                    /* of a mutant that may be there already */
	/* the spec at hand */
	bool counting, sampling, again;   /* again: others were before it */
	uint64_t rows, of;                /* counted: mutants, and those that have sites */
	uint64_t count, passed, kept;     /* drawn: how many at most, of how many seen, so far */
};

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* Selection sampling (Knuth, TAOCP 2, 3.4.2 S): order kept. What is not drawn may still be listed by a later spec. */
static bool is_drawn(struct lister *l)
{
	bool drawn = next_random(&l->random) % (l->of - l->passed++) < (l->count > l->kept ? l->count - l->kept : 0);

	l->kept += drawn;
	return drawn;
}

static bool is_listed(struct lister *l, const struct mut_op *op, const char *target, bool all, uint32_t ordinal, unsigned variant)
{
	size_t n = put_id(NULL, op, target, all, ordinal, variant);

	str_clear(&l->id);
	while (l->id.cap <= n) /* room for it */
		str_addc(&l->id, 0);
	put_id(l->id.s, op, target, all, ordinal, variant);
	l->id.s[n] = 0;
	return map_get_hash(l->seen, hash_text(l->id.s));
}

static void add(struct lister *l, const struct mut_spec *spec, const struct mut_op *op, const char *target, bool all,
		uint32_t ordinal, unsigned variant, uint64_t sites)
{
	const char *id;

	if (l->again && is_listed(l, op, target, all, ordinal, variant))
		return;
	if (l->counting) {
		l->rows++;
		l->of += sites > 0;
		return;
	}
	if (l->sampling && sites && !is_drawn(l))
		return;
	id = mut_id(l->a, op, target, all, ordinal, variant);
	vec_push(l->a, &l->out,
		 ((struct mutant){.op = op, .label = spec->label, .id = id, .target = target ? target : "*", .all = all, .ordinal = ordinal,
				  .variant = variant, .sites = sites}));
	if (l->seen)
		map_put_hash(l->seen, hash_text(id), (void *)1);
}

static uint64_t wanted_variants(const struct mut_spec *spec, const struct mut_op *op)
{
	uint64_t bits = 0;

	if (!spec->variant_glob)
		return spec->pick == MUT_ALL ? 1 : ~0ull;
	for (unsigned v = 0; op->variant[v]; v++)
		if (!fnmatch(spec->variant_glob, op->variant[v], 0))
			bits |= 1ull << v;
	return bits;
}

/* The row that says that a spec found nothing. What limited it is part of the id, so that no other spec's mutants have it. */
static void list_nothing(struct lister *l, const struct mut_spec *spec, const struct mut_op *op, uint64_t wanted)
{
	bool range = spec->pick == MUT_RANGE;

	add(l, spec, op, range ? NULL : spec->target_glob, !range, range ? (uint32_t)spec->first : 0,
	    (unsigned)__builtin_ctzll(wanted), 0);
}

/* One mutant per variant over every site; where targets are named, one per target and variant. */
static void list_all(struct lister *l, const struct mut_spec *spec, const struct mut_op *op, const struct mut_sites *sites,
		     uint64_t wanted)
{
	uint64_t n[MUT_MAX_VARIANTS] = {0};
	bool found = false;

	for (size_t i = 0; i < sites->v.n; i++) {
		const struct mut_site *site = &sites->v.v[i];
		const char *target = mut_target_name(l->s, op, site->target);
		bool last = i + 1 == sites->v.n || (spec->target_glob && site[1].target != site->target);

		if (spec->target_glob && fnmatch(spec->target_glob, target, 0))
			continue;
		for (unsigned v = 0; op->variant[v]; v++) {
			n[v] += site->variants >> v & 1;
			if (last && spec->target_glob && n[v] && wanted >> v & 1) {
				add(l, spec, op, target, true, 0, v, n[v]);
				found = true;
			}
		}
		if (last && spec->target_glob)
			memset(n, 0, sizeof n);
	}
	for (unsigned v = 0; op->variant[v] && !spec->target_glob; v++)
		if (wanted >> v & 1)
			add(l, spec, op, NULL, true, 0, v, n[v]);
	if (!found && spec->target_glob)
		list_nothing(l, spec, op, wanted);
}

static void list_each(struct lister *l, const struct mut_spec *spec, const struct mut_op *op, const struct mut_sites *sites,
		      uint64_t wanted)
{
	bool found = false;

	for (size_t i = 0; i < sites->v.n; i++) {
		const struct mut_site *site = &sites->v.v[i];
		const char *target = mut_target_name(l->s, op, site->target);

		if (spec->pick == MUT_RANGE && (i < spec->first || i > spec->last))
			continue;
		if (spec->target_glob && fnmatch(spec->target_glob, target, 0))
			continue;
		for (unsigned v = 0; op->variant[v]; v++)
			if (site->variants & wanted & 1ull << v) {
				add(l, spec, op, target, false, site->ordinal, v, 1);
				found = true;
			}
	}
	if (!found)
		list_nothing(l, spec, op, wanted);
}

/* Where each of the operators applies. */
static void find_all(struct arena *a, const struct mut_subject *s, struct found *f, size_t n)
{
	const struct mut_op **op = ARENA_ARRAY(a, const struct mut_op *, n);
	struct mut_sites *sites = ARENA_ARRAY(a, struct mut_sites, n);

	for (size_t i = 0; i < n; i++)
		op[i] = f[i].op;
	mut_find_all_sites(a, s, op, n, sites);
	for (size_t i = 0; i < n; i++)
		f[i].sites = sites[i];
}

/* The operators that the spec names, and where they apply. */
static bool find_spec(struct lister *l, struct arena *scratch, const struct mut_spec *spec, struct found **out, size_t *n, struct err *e)
{
	VEC(struct found) list = {0};

	for (size_t i = 0; mut_ops[i]; i++) {
		struct found f = {.op = mut_ops[i], .wanted = wanted_variants(spec, mut_ops[i])};

		if (fnmatch(spec->operator_glob, f.op->name, 0) || !f.wanted)
			continue;
		if (f.op->category == MUT_CAT_CONTROL && strncmp(spec->operator_glob, "control", 7)) /* no faults: only on demand */
			continue;
		vec_push(scratch, &list, f);
	}
	*out = list.v;
	*n = list.n;
	if (!list.n)
		return err_set(e, ERR_USAGE, "no mutation operator matches '%s'%s%s%s; 'mutatenn operators' lists them",
			       spec->operator_glob, spec->variant_glob ? " with variant " : "",
			       spec->variant_glob ? spec->variant_glob : "", near_operator(spec->operator_glob));
	find_all(scratch, l->s, list.v, list.n);
	return true;
}

static void go_through(struct lister *l, const struct mut_spec *spec, const struct found *f, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (spec->pick == MUT_ALL)
			list_all(l, spec, f[i].op, &f[i].sites, f[i].wanted);
		else
			list_each(l, spec, f[i].op, &f[i].sites, f[i].wanted);
}

/* Room for n more mutants. The first spec's is exact: doubling millions of them would leave as many behind; with each of a thousand specs it
 * would be quadratic. */
static void reserve(struct lister *l, uint64_t n)
{
	size_t cap = l->out.n + n;
	struct mutant *v;

	if (cap <= l->out.cap)
		return;
	if (cap < 2 * l->out.cap)
		cap = 2 * l->out.cap;
	v = ARENA_ARRAY(l->a, struct mutant, cap);
	if (l->out.n)
		memcpy(v, l->out.v, l->out.n * sizeof *v);
	l->out.v = v;
	l->out.cap = cap;
}

static bool list_spec(struct lister *l, const struct mut_spec *spec, struct mut_drawn *drawn, struct err *e)
{
	struct arena *scratch = arena_new(l->a);
	struct found *f;
	uint64_t most;
	size_t n;

	*drawn = (struct mut_drawn){0};
	if (!find_spec(l, scratch, spec, &f, &n, e))
		return false;
	l->sampling = spec->pick == MUT_SAMPLE;
	l->again = l->out.n > 0;
	l->rows = l->of = l->passed = l->kept = 0;
	l->counting = true;
	go_through(l, spec, f, n);
	l->counting = false;
	l->count = spec->error > 0 ? (uint64_t)leveugle((int64_t)l->of, spec->error) : spec->count;
	most = l->sampling && l->count < l->of ? l->rows - l->of + l->count : l->rows;
	reserve(l, most);
	go_through(l, spec, f, n);
	if (l->sampling)
		*drawn = (struct mut_drawn){l->kept, l->of};
	arena_free(scratch);
	return true;
}

bool mut_list(struct arena *a, const struct mut_subject *s, const struct mut_spec *spec, size_t nspecs, uint64_t seed,
	      struct mutant **out, size_t *n, struct err *e)
{
	return mut_list_drawn(a, s, spec, nspecs, seed, out, n, NULL, e);
}

bool mut_list_drawn(struct arena *a, const struct mut_subject *s, const struct mut_spec *spec, size_t nspecs, uint64_t seed,
		    struct mutant **out, size_t *n, struct mut_drawn *drawn, struct err *e)
{
	struct arena *scratch = arena_new(a);
	struct lister l = {.a = a, .s = s, .seen = nspecs > 1 ? map_new(scratch) : NULL, .random = seed};
	struct mut_drawn unused;
	bool ok = true;

	for (size_t i = 0; ok && i < nspecs; i++)
		ok = list_spec(&l, &spec[i], drawn ? &drawn[i] : &unused, e) || (spec[i].place ? err_in(e, "%s", spec[i].place) : false);
	*out = l.out.v;
	*n = l.out.n;
	str_free(&l.id);
	arena_free(scratch);
	return ok;
}

/* ---- from text ---- */

/* All of s up to the character `end` (0: the end): one to nine digits. */
static bool number(const char *s, char end, uint64_t *out)
{
	int n = 0;

	for (*out = 0; s[n] != end && s[n] >= '0' && s[n] <= '9' && n < 10; n++)
		*out = *out * 10 + (uint64_t)(s[n] - '0');
	return n > 0 && n < 10 && s[n] == end;
}

static bool find_variant(const struct mut_op *op, const char *name, unsigned *out)
{
	for (unsigned v = 0; op->variant[v]; v++)
		if (!strcmp(op->variant[v], name)) {
			*out = v;
			return true;
		}
	return false;
}

/* Splits at the last three slashes that are not part of a name: names have theirs escaped, operators have none. */
static bool split_id(struct arena *a, const char *id, char *part[4])
{
	for (int i = 0; i < 4; i++) {
		size_t n = i < 3 ? strcspn(id, "/") : strlen(id);

		part[i] = arena_strndup(a, id, n);
		if (i < 3 && id[n] != '/')
			return false;
		id += n + (i < 3);
	}
	return true;
}

bool mut_parse(struct arena *a, const struct mut_subject *s, const char *id, struct mutant *out, struct err *e)
{
	struct mut_sites sites = {0};
	char *part[4];
	uint64_t ordinal = 0;

	if (!split_id(a, id, part))
		return err_set(e, ERR_USAGE, "'%s' is not a mutant: ids are OPERATOR/TARGET/ORDINAL/VARIANT", id);
	*out = (struct mutant){.op = mut_find(part[0]), .id = arena_strdup(a, id), .target = unescape(a, part[1], strlen(part[1]))};
	if (!out->op)
		return err_set(e, ERR_USAGE, "'%s': no mutation operator is called '%s'%s; 'mutatenn operators' lists them", id, part[0], near_operator(part[0]));
	out->all = !strcmp(part[2], "all");
	if (!out->all && !number(part[2], 0, &ordinal))
		return err_set(e, ERR_USAGE, "'%s': '%s' is neither an ordinal nor 'all'", id, part[2]);
	if (!find_variant(out->op, part[3], &out->variant))
		return err_set(e, ERR_USAGE, "'%s': operator '%s' has no variant '%s'", id, out->op->name, part[3]);
	out->ordinal = (uint32_t)ordinal;
	mut_find_sites(a, s, out->op, &sites);
	for (size_t i = 0; i < sites.v.n; i++) {
		const struct mut_site *site = &sites.v.v[i];

		out->sites += mut_touches(out, mut_target_name(s, out->op, site->target)) &&
			      (out->all || site->ordinal == out->ordinal) && (site->variants >> out->variant & 1);
	}
	if (!out->sites && (!out->all || strcmp(out->target, "*")))
		return err_set(e, ERR_USAGE, "'%s': %s '%s' has no such site of this operator at this --opt-level", id,
			       out->op->kind == MUT_LOOP ? "kernel" : "node", out->target);
	return true;
}
