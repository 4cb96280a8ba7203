/* image_inputs.c: which files a list of pictures and folders means, their labels, and the names of classes */
#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/vec.h"
#include "image/image.h"

#define MAX_LIST_BYTES ((size_t)64 << 20)
#define MAX_FIELDS 64

/* ---- inputs --------------------------------------------------------------------------------------------- */

static bool has_suffix(const char *path, const char *const *suffixes)
{
	const char *dot = strrchr(file_base(path), '.');

	for (; dot && *suffixes; suffixes++) {
		if (!strcasecmp(dot, *suffixes))
			return true;
	}
	return false;
}

bool input_is_npy(const char *path)
{
	static const char *const npy[] = {".npy", NULL};

	return has_suffix(path, npy);
}

/* Labels, notes and folders belong beside pictures; pictures that cannot be read are missed. */
static void tell_left_out(const char *folder, char *const *names, size_t n)
{
	static const char *const others[] = {".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".jfif", ".ppm", ".pgm", ".tga", ".svg", NULL};
	const char *first = NULL;
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		if (!has_suffix(names[i], others))
			continue;
		first = count++ ? first : names[i];
	}
	if (count)
		log_warn("left out: %zu picture%s of folder '%s', '%s' for one; those that can be read end in .jpg, .jpeg, .png or .webp", count,
			 count == 1 ? "" : "s", folder, first);
}

bool inputs_expand(struct arena *a, const char *const *paths, size_t npaths, char ***out, size_t *n, struct err *e)
{
	static const char *const suffixes[] = {".jpg", ".jpeg", ".png", ".webp", ".npy", NULL};
	VEC(char *) list = {0};

	for (size_t i = 0; i < npaths; i++) {
		size_t names_n, before = list.n;
		char **names;

		if (!file_is_dir(paths[i])) {
			if (!file_exists(paths[i]))
				return err_set(e, ERR_IO, "input '%s' does not exist", paths[i]);
			vec_push(a, &list, arena_strdup(a, paths[i]));
			continue;
		}
		if (!file_list(a, paths[i], &names, &names_n, e))
			return false;
		for (size_t j = 0; j < names_n; j++) {
			if (has_suffix(names[j], suffixes))
				vec_push(a, &list, file_join(a, paths[i], names[j]));
		}
		tell_left_out(paths[i], names, names_n);
		if (list.n == before)
			return err_set(e, ERR_IO, "folder '%s' has no pictures (.jpg, .jpeg, .png, .webp) and no .npy", paths[i]);
	}
	*out = list.v;
	*n = list.n;
	return true;
}

/* ---- lines ---------------------------------------------------------------------------------------------- */

/* A text file, line by line; each line is NUL-terminated in place, without its line end. */
struct lines {
	const char *path;
	char *p, *end;
	int number;
};

static bool lines_open(struct arena *a, const char *path, struct lines *l, struct err *e)
{
	struct bytes b;

	if (!file_read(a, path, MAX_LIST_BYTES, &b, e))
		return false;
	*l = (struct lines){.path = path, .p = (char *)arena_memdup(a, b.p, b.n + 1)};
	l->end = l->p + b.n;
	if (b.n >= 3 && !memcmp(b.p, "\xef\xbb\xbf", 3))
		l->p += 3;
	return true;
}

/* 1: a line, 0: the end, -1: an error. */
static int lines_next(struct lines *l, char **line, struct err *e)
{
	char *end;

	if (l->p >= l->end)
		return 0;
	l->number++;
	*line = l->p;
	end = memchr(l->p, '\n', (size_t)(l->end - l->p));
	if (!end)
		end = l->end;
	l->p = end + 1;
	if (end > *line && end[-1] == '\r')
		end--;
	*end = '\0';
	for (char *c = *line; c < end; c++) {
		if ((unsigned char)*c < ' ' && *c != '\t') {
			err_set(e, ERR_PARSE, "%s:%d: not a text file (byte 0x%02x)", l->path, l->number, (unsigned char)*c);
			return -1;
		}
	}
	return 1;
}

bool class_names_read(struct arena *a, const char *path, char ***names, size_t *n, struct err *e)
{
	VEC(char *) list = {0};
	struct lines l;
	int empty = 0, got;
	char *line;

	if (!lines_open(a, path, &l, e))
		return err_in(e, "class names");
	while ((got = lines_next(&l, &line, e)) > 0) {
		if (!line[strspn(line, " \t")]) {
			empty = empty ? empty : l.number;
			continue;
		}
		if (empty)
			return err_set(e, ERR_PARSE, "%s:%d: empty line in a list of class names", path, empty);
		vec_push(a, &list, line);
	}
	if (got < 0)
		return false;
	if (!list.n)
		return err_set(e, ERR_PARSE, "%s: no class names", path);
	*names = list.v;
	*n = list.n;
	return true;
}

/* ---- labels.csv ----------------------------------------------------------------------------------------- */

/* Splits in place (quotes removed). Returns the number of fields, -1 for a broken quote or too many. */
static int split(char *line, char separator, char **field)
{
	int n = 0;

	for (;;) {
		char *to = line;

		if (n == MAX_FIELDS)
			return -1;
		field[n++] = line;
		if (*line == '"') {
			line++;
			while (*line && (*line != '"' || line[1] == '"')) {
				line += *line == '"';
				*to++ = *line++;
			}
			if (*line++ != '"' || (*line && *line != separator))
				return -1;
		} else {
			while (*line && *line != separator)
				*to++ = *line++;
		}
		if (!*line) {
			*to = '\0';
			return n;
		}
		line++;
		*to = '\0';
	}
}

static char separator_of(const char *line)
{
	const char *found = strpbrk(line, ",;\t");

	return found ? *found : ',';
}

static char *strip(char *s)
{
	size_t n;

	s += strspn(s, " \t");
	n = strlen(s);
	while (n && (s[n - 1] == ' ' || s[n - 1] == '\t'))
		s[--n] = '\0';
	return s;
}

static bool parse_index(const char *s, int64_t *out)
{
	int64_t v = 0;

	if (!*s)
		return false;
	for (; *s; s++) {
		if (!isdigit((unsigned char)*s) || v > 100000000)
			return false;
		v = v * 10 + (*s - '0');
	}
	*out = v;
	return true;
}

static int column(char **field, int n, const char *const *names)
{
	for (; *names; names++) {
		for (int i = 0; i < n; i++) {
			if (!strcasecmp(strip(field[i]), *names))
				return i;
		}
	}
	return -1;
}

struct columns {
	char separator;
	int file, index;
};

/* Is the first line a header? Then its columns count. */
static bool header(char **field, int n, struct columns *c)
{
	static const char *const file[] = {"file", "filename", "file_name", "image", "name", "path", NULL};
	static const char *const index[] = {"class_index", "class_id", "class", "label", "index", "target", NULL};
	int f = column(field, n, file), i = column(field, n, index);

	if (f < 0 || i < 0)
		return false;
	c->file = f;
	c->index = i;
	return true;
}

static bool add(struct arena *a, struct labels *l, size_t *cap, const struct lines *at, char *path, char *index, struct err *e)
{
	struct label new = {.file = (char *)file_base(strip(path))};
	const struct label *old;

	if (!*new.file)
		return err_set(e, ERR_PARSE, "%s:%d: the name of the file is empty", at->path, at->number);
	if (!parse_index(strip(index), &new.class_index))
		return err_set(e, ERR_PARSE, "%s:%d: class index '%.40s' is not a number from 0 on", at->path, at->number,
			       strip(index));
	old = map_get(l->by_file, new.file);
	if (old && old->class_index != new.class_index)
		return err_set(e, ERR_PARSE, "%s:%d: '%s' has class %lld here and %lld before", at->path, at->number, new.file,
			       (long long)new.class_index, (long long)old->class_index);
	if (old)
		return true;
	if (l->n == *cap)
		l->v = vec_grow(a, l->v, l->n, cap, sizeof *l->v);
	l->v[l->n++] = new;
	map_put(l->by_file, new.file, arena_memdup(a, &new, sizeof new));
	return true;
}

bool labels_read(struct arena *a, const char *path, struct labels **out, struct err *e)
{
	struct labels *l = ARENA_NEW(a, struct labels);
	struct columns c = {.file = 0, .index = 1};
	char *line, *field[MAX_FIELDS];
	struct lines at;
	size_t cap = 0;
	int got;

	if (!lines_open(a, path, &at, e))
		return err_in(e, "labels");
	l->by_file = map_new(a);
	while ((got = lines_next(&at, &line, e)) > 0) {
		int n;

		if (!*strip(line))
			continue;
		if (!c.separator) {
			bool is_header;
			char *copy = arena_strdup(a, line);

			c.separator = separator_of(line);
			n = split(copy, c.separator, field);
			is_header = n >= 0 && header(field, n, &c);
			if (is_header)
				continue;
		}
		n = split(line, c.separator, field);
		if (n < 0)
			return err_set(e, ERR_PARSE, "%s:%d: broken quotes, or more than %d columns", path, at.number, MAX_FIELDS);
		if (c.file >= n || c.index >= n)
			return err_set(e, ERR_PARSE, "%s:%d: %d column%s, wanted a file and a class index", path, at.number, n,
				       n == 1 ? "" : "s");
		if (!add(a, l, &cap, &at, field[c.file], field[c.index], e))
			return false;
	}
	if (got < 0)
		return false;
	*out = l;
	return true;
}

int64_t labels_find(const struct labels *l, const char *path)
{
	const struct label *found = map_get(l->by_file, file_base(path));

	return found ? found->class_index : -1;
}
