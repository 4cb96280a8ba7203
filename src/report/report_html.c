/* report_html.c: a report as one page, written as the store is read
 *
 * Mutants come in chunks: a block of rows, and a block of details that is parsed when one of them is opened. Once the details
 * within the page reach HTML_INLINE_BYTES, further chunks become files beside the page, loaded by a script element (which a page
 * opened from disk may do, unlike fetch). So neither this program nor the browser ever holds all details.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "report/report_html.h"

struct page {
	struct html *h;
	struct file_out *out;
	struct str row, detail;
	size_t mutants;   /* of the chunk */
	size_t chunk;     /* its number */
	size_t inside;    /* bytes of details within the page */
	bool folder_made;
};

static void add(struct page *p, const char *text)
{
	file_out_add(p->out, text, strlen(text));
}

static void block(struct page *p, const char *kind, size_t chunk, const struct str *body)
{
	char head[160];

	snprintf(head, sizeof head, "<script type=\"application/json\" class=\"%s\" id=\"%s-%zu\">[", kind, kind, chunk);
	add(p, head);
	file_out_add(p->out, str_text(body), body->n);
	add(p, "]</script>\n");
}

/* The details of the chunk as a file: a call that hands them to the page. */
static bool beside(struct page *p, struct err *e)
{
	char *path = arena_printf(p->h->a, "%s/%zu.js", p->h->folder, p->chunk), head[160];
	struct file_out *f;

	if (!p->folder_made && !file_mkdirs(p->h->folder, e))
		return false;
	p->folder_made = true;
	f = file_out_begin(path);
	snprintf(head, sizeof head, "mutatenn_details(%zu,\"%s\",[", p->chunk, p->h->token);
	file_out_add(f, head, strlen(head));
	file_out_add(f, str_text(&p->detail), p->detail.n);
	file_out_add(f, "]);\n", 4);
	return file_out_end(f, true, e);
}

static bool end_chunk(struct page *p, struct err *e)
{
	bool ok = true;

	if (!p->mutants)
		return true;
	block(p, "rows", p->chunk, &p->row);
	if (!p->h->folder || p->inside + p->detail.n <= HTML_INLINE_BYTES) {
		p->inside += p->detail.n;
		block(p, "details", p->chunk, &p->detail);
	} else {
		p->inside = HTML_INLINE_BYTES; /* the first that does not fit is followed by files only */
		ok = beside(p, e);
	}
	str_clear(&p->row);
	str_clear(&p->detail);
	p->mutants = 0;
	p->chunk++;
	return ok;
}

static bool put_mutants(struct page *p, struct err *e)
{
	struct store_iter *it = store_mutants(p->h->s, NULL);
	struct store_mutant m;
	bool ok = true;

	while (ok && !file_out_failed(p->out) && store_next_mutant(it, &m)) {
		if (p->mutants) {
			str_add(&p->row, ",\n");
			str_add(&p->detail, ",\n");
		}
		ok = html_mutant(p->h, &m, &p->row, &p->detail, e);
		p->mutants++;
		if (ok && (p->mutants == HTML_CHUNK_MUTANTS || p->detail.n > HTML_CHUNK_BYTES))
			ok = end_chunk(p, e);
	}
	return store_iter_end(it, ok ? e : NULL) && ok && end_chunk(p, e);
}

/* Files of an earlier report of this name that this one has not. */
static void remove_others(struct page *p)
{
	if (!p->h->folder || !file_is_dir(p->h->folder))
		return;
	for (size_t i = p->folder_made ? p->chunk : 0; !unlink(arena_printf(p->h->a, "%s/%zu.js", p->h->folder, i)); i++)
		;
	rmdir(p->h->folder); /* when nothing else is in it */
}

static bool put_page(struct page *p, struct err *e)
{
	struct str meta = {0};
	bool ok;

	file_out_add(p->out, report_html_head, report_html_head_size);
	ok = put_mutants(p, e) && html_meta(p->h, &meta, e);
	add(p, "<script type=\"application/json\" id=\"meta\">");
	file_out_add(p->out, str_text(&meta), meta.n);
	add(p, "</script>\n");
	file_out_add(p->out, report_html_tail, report_html_tail_size);
	str_free(&meta);
	return ok;
}

/* Says which moment of which campaign this is. */
static void set_token(struct html *h)
{
	struct hasher *k = hasher_new();

	hash_put_text(k, h->data.created ? h->data.created : "");
	hash_put_text(k, h->data.model);
	hash_put_u64(k, (uint64_t)h->data.mutants);
	for (int o = 0; o < OUTCOME_COUNT; o++)
		hash_put_u64(k, (uint64_t)h->data.all.outcome[o]);
	hash_put_u64(k, (uint64_t)h->data.all.launches_run);
	hash_hex(hasher_end(k), h->token);
	h->token[16] = 0;
}

static bool gather(struct html *h, struct err *e)
{
	if (!report_gather(h->s, h->a, &h->data, e) || !cmp_open(&h->s, 1, h->a, &h->cmp, e))
		return false;
	h->op = map_new(h->a);
	h->target = map_new(h->a);
	h->layer = map_new(h->a);
	for (uintptr_t i = 0; i < h->data.nops; i++)
		map_put(h->op, h->data.op[i].name, (void *)(i + 1));
	h->told = ARENA_ARRAY(h->a, struct html_image, h->cmp.nimages * h->cmp.nsides + 1);
	h->max_images = h->data.mutants <= 2000 ? 24 : h->data.mutants <= 20000 ? 8 : 4;
	set_token(h);
	return html_layers(h, e);
}

static char *folder_of(struct arena *a, const char *path)
{
	size_t n = strlen(path);

	if (!strcmp(path, "-"))
		return NULL;
	return arena_printf(a, "%.*s.files", (int)(n > 5 && !strcmp(path + n - 5, ".html") ? n - 5 : n), path);
}

static bool write_page(struct html *h, const char *path, struct err *e)
{
	struct page p = {.h = h, .out = file_out_begin(path)};
	bool ok;

	h->folder = folder_of(h->a, path);
	ok = put_page(&p, e);
	ok = file_out_end(p.out, ok, e) && ok;
	if (ok)
		remove_others(&p);
	str_free(&p.row);
	str_free(&p.detail);
	return ok;
}

bool report_html(struct store *s, const char *path, struct err *e)
{
	struct html h = {.s = s, .a = arena_new(NULL)};
	bool ok;

	/* one moment of a store that is being written */
	if (!store_begin(s, e)) {
		arena_free(h.a);
		return false;
	}
	ok = gather(&h, e) && write_page(&h, path, e);
	store_rollback(s);
	arena_free(h.a);
	return ok;
}
