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

bool mut_touches(const struct mutant *m, const char *target)
{
	return (m->all && !strcmp(m->target, "*")) || !strcmp(m->target, target);
}

unsigned mut_count_variants(const struct mut_op *op)
{
	unsigned n = 0;

	while (op->variant[n])
		n++;
	return n;
}

/* ---- ids ---- */

static void add_escaped(struct str *s, const char *name)
{
	for (; *name; name++)
		if (*name == '/')
			str_add(s, "%2F");
		else if (*name == '%')
			str_add(s, "%25");
		else
			str_addc(s, *name);
}

const char *mut_id(struct arena *a, const struct mut_op *op, const char *target, bool all, uint32_t ordinal, unsigned variant)
{
	struct str s = {0};
	char *id;

	str_addf(&s, "%s/", op->name);
	add_escaped(&s, target ? target : "*");
	if (all)
		str_add(&s, "/all/");
	else
		str_addf(&s, "/%u/", ordinal);
	str_add(&s, op->variant[variant]);
	id = arena_strndup(a, s.s, s.n);
	str_free(&s);
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

struct lister {
	struct arena *a, *scratch;
	const struct mut_subject *s;
	struct map *seen; /* ids */
	VEC(struct mutant) out;
	uint64_t random;
};

static void add(struct lister *l, const struct mut_spec *spec, const struct mut_op *op, const char *target, bool all,
		uint32_t ordinal, unsigned variant, uint64_t sites)
{
	struct mutant m = {.op = op,
			   .label = spec->label,
			   .target = target ? target : "*",
			   .all = all,
			   .ordinal = ordinal,
			   .variant = variant,
			   .sites = sites,
			   .id = mut_id(l->a, op, target, all, ordinal, variant)};

	if (map_has(l->seen, m.id))
		return;
	map_put(l->seen, m.id, (void *)1);
	vec_push(l->a, &l->out, m);
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

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
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

/* Selection sampling (Knuth, TAOCP 2, 3.4.2 S): one pass, order kept. What is not drawn may still be listed by a later spec. */
static void sample(struct lister *l, size_t first, const struct mut_spec *spec, struct mut_drawn *drawn)
{
	uint64_t sites = 0, seen = 0, kept = 0, count;
	size_t to = first;

	for (size_t i = first; i < l->out.n; i++)
		sites += l->out.v[i].sites > 0;
	count = spec->error > 0 ? (uint64_t)leveugle((int64_t)sites, spec->error) : spec->count;
	for (size_t i = first; i < l->out.n; i++) {
		if (l->out.v[i].sites) {
			if (next_random(&l->random) % (sites - seen++) >= (count > kept ? count - kept : 0)) {
				map_del(l->seen, l->out.v[i].id);
				continue;
			}
			kept++;
		}
		l->out.v[to++] = l->out.v[i];
	}
	l->out.n = to;
	*drawn = (struct mut_drawn){kept, sites};
}

static bool list_spec(struct lister *l, const struct mut_spec *spec, struct mut_drawn *drawn, struct err *e)
{
	size_t first = l->out.n;
	bool matched = false;

	for (size_t i = 0; mut_ops[i]; i++) {
		const struct mut_op *op = mut_ops[i];
		uint64_t wanted = wanted_variants(spec, op);
		struct mut_sites sites = {0};

		if (fnmatch(spec->operator_glob, op->name, 0) || !wanted)
			continue;
		if (op->category == MUT_CAT_CONTROL && strncmp(spec->operator_glob, "control", 7)) /* no faults: only on demand */
			continue;
		matched = true;
		l->scratch = arena_new(l->a);
		mut_find_sites(l->scratch, l->s, op, &sites);
		if (spec->pick == MUT_ALL)
			list_all(l, spec, op, &sites, wanted);
		else
			list_each(l, spec, op, &sites, wanted);
		arena_free(l->scratch);
	}
	if (!matched)
		return err_set(e, ERR_USAGE, "no mutation operator matches '%s'%s%s%s; 'mutatenn operators' lists them",
			       spec->operator_glob, spec->variant_glob ? " with variant " : "",
			       spec->variant_glob ? spec->variant_glob : "", near_operator(spec->operator_glob));
	*drawn = (struct mut_drawn){0};
	if (spec->pick == MUT_SAMPLE)
		sample(l, first, spec, drawn);
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
	struct lister l = {.a = a, .s = s, .seen = map_new(a), .random = seed};
	struct mut_drawn unused;

	for (size_t i = 0; i < nspecs; i++)
		if (!list_spec(&l, &spec[i], drawn ? &drawn[i] : &unused, e))
			return spec[i].place ? err_in(e, "%s", spec[i].place) : false;
	*out = l.out.v;
	*n = l.out.n;
	return true;
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
