/* report_mutatenn.c: reading MutateNN's result folders, where whatever is missing or cut short is a finding too */
#include "report/report_mutatenn.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/map.h"
#include "base/vec.h"
#include "value/value.h"

#define MAX_FILE 65536
#define MAX_K 1000

struct texts {
	char **v;
	size_t n, cap;
};

static int by_text(const void *x, const void *y)
{
	return strcmp(*(char *const *)x, *(char *const *)y);
}

/* Folders directly in dir, sorted. */
static bool folders(struct arena *a, const char *dir, struct texts *out, struct err *e)
{
	DIR *d = opendir(dir);
	struct dirent *ent;

	*out = (struct texts){0};
	if (!d)
		return err_set(e, ERR_IO, "cannot open folder '%s': %s", dir, strerror(errno));
	while ((ent = readdir(d))) {
		if (ent->d_name[0] != '.' && file_is_dir(file_join(a, dir, ent->d_name)))
			vec_push(a, out, arena_strdup(a, ent->d_name));
	}
	closedir(d);
	if (out->n)
		qsort(out->v, out->n, sizeof *out->v, by_text);
	return true;
}

static char *below(struct arena *a, const char *dir, const char *device, const char *variant)
{
	return arena_printf(a, "%s/%s/%s/mutations", dir, device, variant);
}

static bool has_form(struct arena *a, const char *dir)
{
	struct texts devices, variants;

	if (!folders(a, dir, &devices, NULL))
		return false;
	for (size_t i = 0; i < devices.n; i++) {
		if (!folders(a, file_join(a, dir, devices.v[i]), &variants, NULL))
			continue;
		for (size_t j = 0; j < variants.n; j++)
			if (file_is_dir(below(a, dir, devices.v[i], variants.v[j])))
				return true;
	}
	return false;
}

/* The folder itself, or the only folder in it that has the form. NULL: neither. */
static char *find_root(struct arena *a, const char *dir)
{
	struct texts inner;
	char *found = NULL;

	if (has_form(a, dir))
		return arena_strdup(a, dir);
	if (!folders(a, dir, &inner, NULL))
		return NULL;
	for (size_t i = 0; i < inner.n; i++) {
		char *path = file_join(a, dir, inner.v[i]);

		if (!has_form(a, path))
			continue;
		if (found)
			return NULL;
		found = path;
	}
	return found;
}

bool report_is_mutatenn(const char *dir)
{
	struct arena *a = arena_new(NULL);
	bool yes = find_root(a, dir) != NULL;

	arena_free(a);
	return yes;
}

/* "label, probability" */
static bool parse_line(const char *line, int32_t *label, double *probability)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(line, &end, 10);
	if (end == line || errno || n < INT32_MIN || n > INT32_MAX)
		return false;
	end += strspn(end, " ");
	if (*end++ != ',')
		return false;
	line = end;
	*probability = strtod(line, &end);
	*label = (int32_t)n;
	return end != line && !end[strspn(end, " \r")];
}

static bool has_label(const struct mnn_answer *m, int32_t label)
{
	for (int i = 0; i < m->k; i++)
		if (m->label[i] == label)
			return true;
	return false;
}

static void parse_answer(struct arena *a, char *text, struct mnn_answer *out)
{
	VEC(int32_t) label = {0};
	VEC(double) probability = {0};
	char *line, *rest = text, *end;

	out->state = MNN_TRUNCATED;
	while ((line = strsep(&rest, "\n")) && line[strspn(line, " \r")]) {
		int32_t l;
		double p;

		if (!parse_line(line, &l, &p) || has_label(out, l) || out->k == MAX_K)
			return;
		vec_push(a, &label, l);
		vec_push(a, &probability, p);
		out->label = label.v;
		out->probability = probability.v;
		out->k++;
	}
	line = strsep(&rest, "\n"); /* after the empty line: seconds */
	if (!out->k || !line)
		return;
	out->seconds = strtod(line, &end);
	if (end != line && !end[strspn(end, " \r")])
		out->state = MNN_ANSWERED;
}

/* IMAGE.txt that is not the log. */
static bool is_answer(const char *name)
{
	size_t n = strlen(name);

	return n > 4 && !strcmp(name + n - 4, ".txt") && strcmp(name, "execution_log.txt") && strcmp(name, "Error.txt");
}

/* The newest ts_EPOCH_NAME; epochs have one length for a long time to come, a longer one is newer. */
static const char *newest(const struct texts *t)
{
	const char *best = NULL;
	double when = -1;

	for (size_t i = 0; i < t->n; i++) {
		double epoch = !strncmp(t->v[i], "ts_", 3) ? strtod(t->v[i] + 3, NULL) : -1;

		if (epoch >= when) {
			when = epoch;
			best = t->v[i];
		}
	}
	return best;
}

/* name -> answer */
static bool read_run(struct arena *a, const char *folder, struct mnn_run *r, struct map *into, struct err *e)
{
	struct texts times;
	char **names, *at;
	size_t n;

	r->folder = true;
	if (!folders(a, folder, &times, e))
		return false;
	r->times = times.n;
	if (!times.n)
		return true;
	at = file_join(a, folder, newest(&times));
	if (!file_list(a, at, &names, &n, e))
		return false;
	for (size_t i = 0; i < n; i++) {
		struct mnn_answer *m = ARENA_NEW(a, struct mnn_answer);
		struct bytes b;

		if (!is_answer(names[i]))
			continue;
		m->state = MNN_TRUNCATED;
		if (file_read(a, file_join(a, at, names[i]), MAX_FILE, &b, NULL))
			parse_answer(a, (char *)b.p, m);
		map_put(into, arena_strndup(a, names[i], strlen(names[i]) - 4), m);
	}
	return true;
}

static bool same_list(const struct mnn_answer *x, const struct mnn_answer *y)
{
	return x->k == y->k && !memcmp(x->label, y->label, (size_t)x->k * sizeof *x->label);
}

static void judge(struct mnn *m, struct mnn_run *r, int k)
{
	const struct mnn_answer *first = NULL;

	r->stuck = true;
	for (size_t i = 0; i < m->nimages; i++) {
		struct mnn_answer *x = &r->answer[i];
		bool nan = false;

		if (x->state == MNN_ANSWERED && x->k < k)
			x->state = MNN_TRUNCATED;
		r->missing += x->state == MNN_MISSING;
		r->truncated += x->state == MNN_TRUNCATED;
		if (x->state != MNN_ANSWERED)
			continue;
		r->answered++;
		for (int j = 0; j < x->k; j++)
			nan = nan || !isfinite(x->probability[j]);
		r->nan += nan;
		first = first ? first : x;
		r->stuck = r->stuck && same_list(first, x);
	}
	r->stuck = r->stuck && r->answered >= 2;
}

static void names_of(struct arena *a, struct map *m, char ***out, size_t *n)
{
	const char *key;
	size_t i = 0;

	*n = map_count(m);
	*out = ARENA_ARRAY(a, char *, *n + 1);
	for (size_t it = 0; map_next(m, &it, &key, NULL);)
		(*out)[i++] = arena_strdup(a, key);
	if (*n)
		qsort(*out, *n, sizeof **out, by_text);
}

/* All device and variant names; a device without any variant is none (there lie evaluation folders too). */
static bool read_names(struct arena *a, struct mnn *m, struct err *e)
{
	struct map *variants = map_new(a), *devices = map_new(a);
	struct texts d, v;

	if (!folders(a, m->dir, &d, e))
		return false;
	for (size_t i = 0; i < d.n; i++) {
		if (!folders(a, file_join(a, m->dir, d.v[i]), &v, e))
			return false;
		for (size_t j = 0; j < v.n; j++)
			if (file_is_dir(below(a, m->dir, d.v[i], v.v[j]))) {
				map_put(variants, v.v[j], m);
				map_put(devices, d.v[i], m);
			}
	}
	names_of(a, devices, &m->device, &m->ndevices);
	names_of(a, variants, &m->variant, &m->nvariants);
	return true;
}

static bool read_runs(struct arena *a, struct mnn *m, struct err *e)
{
	size_t n = m->ndevices * m->nvariants;
	struct map **answers = ARENA_ARRAY(a, struct map *, n), *images = map_new(a);
	const char *name;
	void *found;
	int k = 0;

	m->run = ARENA_ARRAY(a, struct mnn_run, n);
	for (size_t i = 0; i < n; i++) {
		char *folder = below(a, m->dir, m->device[i % m->ndevices], m->variant[i / m->ndevices]);

		answers[i] = map_new(a);
		if (file_is_dir(folder) && !read_run(a, folder, &m->run[i], answers[i], e))
			return false;
		for (size_t it = 0; map_next(answers[i], &it, &name, &found);) {
			const struct mnn_answer *x = found;

			map_put(images, name, m);
			k = x->state == MNN_ANSWERED && x->k > k ? x->k : k;
		}
	}
	names_of(a, images, &m->image, &m->nimages);
	for (size_t i = 0; i < n; i++) {
		m->run[i].answer = ARENA_ARRAY(a, struct mnn_answer, m->nimages + 1);
		for (size_t j = 0; j < m->nimages; j++)
			if ((found = map_get(answers[i], m->image[j])))
				m->run[i].answer[j] = *(struct mnn_answer *)found;
		judge(m, &m->run[i], k);
	}
	return true;
}

bool mnn_read(struct arena *a, const char *dir, struct mnn *out, struct err *e)
{
	*out = (struct mnn){.dir = find_root(a, dir), .original = -1};
	if (!out->dir)
		return err_set(e, ERR_USAGE, "'%s' is no result folder of MutateNN: DEVICE/VARIANT/mutations/ts_EPOCH/IMAGE.txt",
			       dir);
	if (!read_names(a, out, e) || !read_runs(a, out, e))
		return false;
	for (size_t v = out->nvariants; v-- > 0;)
		if (!strncmp(out->variant[v], "model_original", 14))
			out->original = (long)v;
	return true;
}

const char *mnn_status(const struct mnn_run *r)
{
	return !r->folder ? "not-run" : r->missing ? "crashed" : r->truncated ? "damaged" : r->stuck ? "stuck" : "complete";
}

static void add_ranks(const struct mnn_answer *x, const struct mnn_answer *y, struct mnn_pair *p)
{
	struct rank_metrics r;
	int k = x->k < y->k ? x->k : y->k;

	rank_compare(x->label, y->label, k, &r);
	p->jaccard += r.jaccard;
	p->rbo += r.rbo;
	p->kendall += r.kendall;
	p->displacement += r.displacement;
	p->euclidean += r.euclidean;
	p->manhattan += r.manhattan;
	p->minkowski += r.minkowski;
	for (int i = 0; i < k; i++)
		for (int j = 0; j < k; j++)
			if (x->label[i] == y->label[j])
				p->max_probability = fmax(p->max_probability, fabs(x->probability[i] - y->probability[j]));
}

void mnn_compare(struct arena *a, const struct mnn *m, const struct mnn_run *x, const struct mnn_run *y, struct mnn_pair *p)
{
	double *seconds[2] = {ARENA_ARRAY(a, double, m->nimages + 1), ARENA_ARRAY(a, double, m->nimages + 1)};
	double *const mean[] = {&p->jaccard, &p->rbo, &p->kendall, &p->displacement, &p->euclidean, &p->manhattan, &p->minkowski};
	const double *const groups[] = {seconds[0], seconds[1]};
	int64_t n[2] = {0, 0};

	*p = (struct mnn_pair){.differ = ARENA_ARRAY(a, const char *, m->nimages + 1)};
	for (size_t i = 0; i < m->nimages; i++) {
		const struct mnn_answer *ax = &x->answer[i], *ay = &y->answer[i];
		bool bx = ax->state == MNN_ANSWERED, by = ay->state == MNN_ANSWERED;

		p->one_sided += bx != by;
		if (bx)
			seconds[0][n[0]++] = ax->seconds;
		if (by)
			seconds[1][n[1]++] = ay->seconds;
		if (!bx || !by)
			continue;
		p->images++;
		if (ax->label[0] != ay->label[0])
			p->differ[p->top1_differ++] = m->image[i];
		add_ranks(ax, ay, p);
	}
	for (size_t i = 0; p->images && i < sizeof mean / sizeof *mean; i++)
		*mean[i] /= (double)p->images;
	p->timed = anova(groups, n, 2, &p->f, &p->p) && isfinite(p->f);
}
