/* store_write.c: every store_put_* is one transaction */
#include "store/store_internal.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

/* A put of something the store may hold already: compares the first text column of `sql` with `now`. */
static bool same(struct store *s, const char *what, const char *name, const char *property, const char *sql, const char *types,
		 const char *now, struct err *e)
{
	sqlite3_stmt *st = store_statement(s, sql, e);
	bool ok = false;

	if (!st)
		return false;
	if (!store_bind(st, types, name) || sqlite3_step(st) != SQLITE_ROW)
		store_fail(s, "read it", e);
	else if (!(ok = !strcmp(store_text(st, 0), now)))
		err_set(e, ERR_USAGE, "store '%s' holds %s '%s' with %s '%s', now it is '%s'; use another store", s->path, what,
			name, property, store_text(st, 0), now);
	sqlite3_reset(st);
	return ok;
}

/* A file's hash is what it was. `then` and `now` are hexadecimal, "" where there is no file. */
static bool same_file(struct store *s, const char *what, const char *path, const char *then, const char *now, struct err *e)
{
	if (!strcmp(then, now))
		return true;
	if (!*then)
		return err_set(e, ERR_USAGE, "'%s' (%s) was not there when store '%s' was begun: move it away, or use another store", path,
			       what, s->path);
	if (!*now)
		return err_set(e, ERR_USAGE, "'%s' (%s) was there when store '%s' was begun: put it back, or use another store", path, what,
			       s->path);
	return err_set(e, ERR_USAGE, "'%s' (%s) has changed since store '%s' was begun: put the old one back, or use another store", path,
		       what, s->path);
}

/* sql gives one text, the hash that the store holds. */
static bool same_hash(struct store *s, const char *what, const char *path, const char *sql, const char *key, struct hash now, struct err *e)
{
	sqlite3_stmt *st = store_statement(s, sql, e);
	char hex[HASH_HEX];
	bool ok = false;

	if (!st)
		return false;
	if (!store_bind(st, "t", key) || sqlite3_step(st) != SQLITE_ROW)
		store_fail(s, "read it", e);
	else
		ok = same_file(s, what, path, store_text(st, 0), hash_is_zero(now) ? "" : hash_hex(now, hex), e);
	sqlite3_reset(st);
	return ok;
}

static bool same_model_name(struct store *s, const struct store_model *m, struct err *e)
{
	sqlite3_stmt *st = store_statement(s, "SELECT name FROM models WHERE name <> ? LIMIT 1", e);
	int rc;

	if (!st)
		return false;
	rc = store_bind(st, "t", m->name) ? sqlite3_step(st) : SQLITE_NOMEM;
	if (rc == SQLITE_ROW)
		err_set(e, ERR_USAGE, "store '%s' was begun with a model of the name '%s', now it is '%s'; use another store", s->path,
			store_text(st, 0), m->file);
	else if (rc != SQLITE_DONE)
		store_fail(s, "read it", e);
	sqlite3_reset(st);
	return rc == SQLITE_DONE;
}

bool store_put_model(struct store *s, const struct store_model *m, struct err *e)
{
	bool ok;

	if (!store_put_begin(s, e))
		return false;
	ok = same_model_name(s, m, e) &&
	     store_run(s, e, "INSERT OR IGNORE INTO models(name, file, hash) VALUES(?, ?, ?)", "tth", m->name, m->file, m->hash) &&
	     same_hash(s, "the model", m->file, "SELECT hash FROM models WHERE name = ?", m->name, m->hash, e);
	return store_put_end(s, ok, e);
}

bool store_put_file(struct store *s, const struct store_file *f, struct err *e)
{
	bool ok;

	if (!store_put_begin(s, e))
		return false;
	ok = store_run(s, e, "INSERT OR IGNORE INTO files(what, path, hash) VALUES(?, ?, ?)", "tth", f->what, f->path, f->hash) &&
	     same_hash(s, f->what, f->path, "SELECT hash FROM files WHERE what = ?", f->what, f->hash, e);
	return store_put_end(s, ok, e);
}

/* True classes may be learnt later: nothing that was judged depends on them. Once known they stay. */
static bool same_label(struct store *s, const struct store_image *i, struct err *e)
{
	int64_t then = -1;
	bool found;

	if (!store_number(s, e, &then, &found, "SELECT label FROM images WHERE image = ?", "i", i->index))
		return false;
	if (then < 0 || then == i->label)
		return true;
	if (i->label < 0)
		return err_set(e, ERR_USAGE, "store '%s' knows that image '%s' is of class %lld, and now no labels say so: put the labels back, "
					     "or use another store", s->path, i->name, (long long)then);
	return err_set(e, ERR_USAGE, "store '%s' knows that image '%s' is of class %lld, now the labels say %lld: put the old ones back, or "
				     "use another store", s->path, i->name, (long long)then, (long long)i->label);
}

/* The file first: where that is the same, and what becomes of it is not, it is what lies between. */
static bool same_image(struct store *s, const struct store_image *i, struct err *e)
{
	const char *path = i->path ? i->path : i->name;
	char hex[HASH_HEX];
	struct err why = {0};
	bool ok;

	if (!hash_is_zero(i->file_hash) &&
	    (!store_run(s, e, "UPDATE images SET file_hash = ? WHERE image = ? AND file_hash IS NULL", "hi", i->file_hash, i->index) ||
	     !same_hash(s, "an image", path, "SELECT file_hash FROM images WHERE name = ?", i->name, i->file_hash, e)))
		return false;
	ok = same(s, "image", i->name, "hash", "SELECT hash FROM images WHERE name = ?", "t",
		  hash_is_zero(i->hash) ? "" : hash_hex(i->hash, hex), &why);
	if (!ok && why.code == ERR_USAGE && !hash_is_zero(i->file_hash))
		err_set(e, ERR_USAGE, "image '%s' is the file it was, but it comes to the model as another tensor than when store '%s' was "
				      "begun: its preprocessing has changed; undo that, or use another store", path, s->path);
	else if (!ok)
		err_set(e, why.code, "%s", err_text(&why));
	err_free(&why);
	return ok;
}

bool store_put_image(struct store *s, const struct store_image *i, struct err *e)
{
	int64_t index = 0;
	bool ok, found;

	if (!store_put_begin(s, e))
		return false;
	ok = store_run(s, e, "INSERT OR IGNORE INTO images(image, name, hash, label, file_hash) VALUES(?, ?, ?, ?, ?)", "ithih", i->index,
		       i->name, i->hash, i->label, i->file_hash) &&
	     store_number(s, e, &index, &found, "SELECT image FROM images WHERE name = ?", "t", i->name);
	if (ok && (!found || index != i->index))
		ok = err_set(e, ERR_USAGE, "store '%s' holds other images: number %lld is not '%s' there; use another store",
			     s->path, (long long)i->index, i->name);
	ok = ok && same_image(s, i, e) && same_label(s, i, e) &&
	     store_run(s, e, "UPDATE images SET label = ?, path = ? WHERE image = ?", "iti", i->label, i->path, i->index);
	return store_put_end(s, ok, e);
}

bool store_put_device(struct store *s, const struct store_device *d, struct err *e)
{
	bool ok;

	if (!store_put_begin(s, e))
		return false;
	/* a device that could not be opened last time may work now */
	ok = store_run(s, e,
		       "INSERT INTO devices(name, backend, identity, describe, error) VALUES(?1, ?2, ?3, ?4, ?5)"
		       " ON CONFLICT(name) DO UPDATE SET error = ?5, describe = ?4,"
		       " identity = iif(identity = '', ?3, identity)",
		       "ttttt", d->name, d->backend, d->identity ? d->identity : "", d->describe ? d->describe : "", d->error);
	if (ok && !d->error)
		ok = same(s, "device", d->name, "identity", "SELECT identity FROM devices WHERE name = ?", "t",
			  d->identity ? d->identity : "", e);
	return store_put_end(s, ok, e);
}

bool store_put_mutant(struct store *s, const struct store_mutant *m, struct err *e)
{
	bool ok;

	if (!store_put_begin(s, e))
		return false;
	ok = store_run(s, e,
		       "INSERT INTO mutants(id, op, category, target, ordinal, variant, sites, diff, bounds, bounds_text) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
		       " ON CONFLICT(id) DO UPDATE SET category = excluded.category, ordinal = excluded.ordinal,"
		       " variant = excluded.variant, sites = excluded.sites, diff = excluded.diff,"
		       " bounds = excluded.bounds, bounds_text = excluded.bounds_text"
		       " WHERE op = excluded.op AND target = excluded.target",
		       "ttttttittt", m->id, m->op, m->category, m->target, m->ordinal, m->variant, m->sites, m->diff, m->bounds,
		       m->bounds_text);
	if (ok && !sqlite3_changes(s->db))
		ok = err_set(e, ERR_USAGE, "store '%s' holds mutant '%s' with another operator or target", s->path, m->id);
	return store_put_end(s, ok, e);
}

bool store_put_original(struct store *s, const struct store_original *x, struct err *e)
{
	return store_put_begin(s, e) &&
	       store_put_end(s, store_run(s, e, "INSERT INTO originals(kind, name, place, text) VALUES(?1, ?2, (SELECT count(*) FROM originals), ?3)"
					  " ON CONFLICT(kind, name) DO UPDATE SET text = excluded.text", "ttt", x->kind, x->name, x->text), e);
}

bool store_put_operator(struct store *s, const struct store_operator *o, struct err *e)
{
	return store_put_begin(s, e) &&
	       store_put_end(s, store_run(s, e, "INSERT OR REPLACE INTO operators(op, summary, imitates) VALUES(?, ?, ?)", "ttt", o->name, o->summary,
					  o->imitates), e);
}

/* Labels and probabilities as they lie in the file: k pairs of 4 bytes, little endian. */
static void *pack_top(const struct store_answer *a)
{
	uint32_t *p = malloc((size_t)(a->k ? a->k : 1) * 8);

	if (!p)
		abort();
	for (int i = 0; i < a->k; i++) {
		uint32_t label, probability;

		memcpy(&label, &a->label[i], 4);
		memcpy(&probability, &a->probability[i], 4);
		p[2 * i] = htole32(label);
		p[2 * i + 1] = htole32(probability);
	}
	return p;
}

static bool answer_fits(const struct store_answer *a, struct err *e)
{
	if (a->k < 0 || a->k > STORE_MAX_TOP || a->nlogits < 0 || a->nlogits > STORE_MAX_LOGITS)
		return err_set(e, ERR_STORE, "%d labels or %lld logits are more than a store holds", a->k, (long long)a->nlogits);
	return true;
}

static bool find(struct store *s, const char *what, const char *name, const char *sql, int64_t *out, struct err *e)
{
	bool found;

	if (!store_number(s, e, out, &found, sql, "t", name))
		return false;
	return found || err_set(e, ERR_STORE, "store '%s' knows no %s '%s'", s->path, what, name);
}

#define DEVICE_BY_NAME "SELECT device FROM devices WHERE name = ?"
#define MUTANT_BY_ID "SELECT mutant FROM mutants WHERE id = ?"

static bool find_device(struct store *s, const char *name, int64_t *out, struct err *e)
{
	return find(s, "device", name, DEVICE_BY_NAME, out, e);
}

static bool find_mutant(struct store *s, const char *id, int64_t *out, struct err *e)
{
	return find(s, "mutant", id, MUTANT_BY_ID, out, e);
}

/* NULL instead of a first label where there is no answer */
static const char *top1_text(const struct store_answer *a, char buf[static 16])
{
	if (!a->k)
		return NULL;
	snprintf(buf, 16, "%d", (int)a->label[0]);
	return buf;
}

bool store_put_baseline(struct store *s, const struct store_baseline *b, struct err *e)
{
	const struct store_answer *a = &b->answer;
	int64_t device;
	char top1[16];
	void *top;
	bool ok;

	if (!answer_fits(a, e) || !store_put_begin(s, e))
		return false;
	top = pack_top(a);
	/* the column's affinity makes the text a number again */
	ok = find_device(s, b->device, &device, e) &&
	     store_run(s, e,
		       "INSERT OR REPLACE INTO baselines(device, image, digest, top1, top, logits, noise_max_abs, time_s)"
		       " VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
		       "iihtbbdd", device, b->image, a->digest, top1_text(a, top1), top, (int64_t)a->k * 8, a->logits,
		       a->nlogits * 4, b->noise_max_abs, b->time_s);
	ok = store_put_end(s, ok, e);
	free(top);
	return ok;
}

static bool put_image_row(struct store *s, int64_t mutant, int64_t device, const struct store_image_result *r, struct err *e)
{
	const struct store_answer *a = &r->answer;
	char top1[16];
	void *top;
	bool ok;

	if (!answer_fits(a, e))
		return false;
	top = pack_top(a);
	ok = store_run(
	    s, e, "INSERT INTO image_results VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	    "iiithtbddddddiiiddddddddii", mutant, device, r->image, outcome_name(r->outcome), a->digest, top1_text(a, top1), top,
	    (int64_t)a->k * 8, r->max_abs, r->max_rel, r->l2, r->cosine, r->nmse, r->max_ulp, r->nan_count, r->inf_count,
	    (int64_t)r->top1_equal, r->jaccard, r->rbo, r->kendall, r->displacement, r->euclidean, r->manhattan, r->minkowski,
	    r->time_s, r->launches_run, r->launches_saved);
	if (ok && a->logits)
		ok = store_run(s, e, "INSERT INTO logits VALUES(?, ?, ?, ?)", "iiib", mutant, device, r->image, a->logits,
			       a->nlogits * 4);
	free(top);
	return ok;
}

#define RESULT_COLUMNS                                                                                                             \
	"mutant, device, outcome, killed, degenerate, code, message, stage, kernel, signal, log, launches_run, launches_saved,"    \
	" build_s, run_s, images, images_changed, twin, runs, controlled, fill"
#define FORGET "DELETE FROM results WHERE mutant = ? AND device = ?" /* and by cascade its images */

static bool put_result_rows(struct store *s, const struct store_result *r, struct err *e)
{
	enum outcome worst = r->outcome;
	int64_t mutant, device, answered = 0, changed = 0;
	unsigned killed;

	for (size_t i = 0; i < r->nimages; i++) {
		const struct store_image_result *im = &r->image[i];

		if (im->outcome > worst)
			worst = im->outcome;
		answered += im->answer.k > 0;
		changed += im->answer.k > 0 && !im->top1_equal;
	}
	killed = outcome_class(worst) == OUTCOME_CLASS_COUNTED ? outcome_kills(worst) : 0;
	if (!find_mutant(s, r->mutant, &mutant, e) || !find_device(s, r->device, &device, e) ||
	    !store_run(s, e, FORGET, "ii", mutant, device) ||
	    !store_run(s, e, "INSERT INTO results(" RESULT_COLUMNS ") VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)", "iitiihtttitiiddiitit",
		       mutant, device, outcome_name(worst), (int64_t)killed, (int64_t)r->degenerate, r->code, r->message, r->stage,
		       r->kernel, (int64_t)r->signal, r->log, r->launches_run, r->launches_saved, r->build_s, r->run_s, answered,
		       changed, r->twin, r->runs, r->fill))
		return false;
	for (size_t i = 0; i < r->nimages; i++)
		if (!put_image_row(s, mutant, device, &r->image[i], e))
			return false;
	return true;
}

bool store_put_result(struct store *s, const struct store_result *r, struct err *e)
{
	if (!store_put_begin(s, e))
		return false;
	if (store_put_end(s, put_result_rows(s, r, e), e))
		return true;
	return err_in(e, "result of '%s' on '%s'", r->mutant, r->device);
}

bool store_has_result(struct store *s, const char *mutant, const char *device, bool *has, struct err *e)
{
	int64_t one;

	return store_number(s, e, &one, has,
			    "SELECT 1 FROM results WHERE mutant = (SELECT mutant FROM mutants WHERE id = ?)"
			    " AND device = (SELECT device FROM devices WHERE name = ?) AND outcome <> ?",
			    "ttt", mutant, device, outcome_name(OUTCOME_TOOL_ERROR));
}

static bool copy_rows(struct store *s, int64_t from, int64_t to, int64_t device, struct err *e)
{
	return store_run(s, e, FORGET, "ii", to, device) &&
	       store_run(s, e,
			 "INSERT INTO results(" RESULT_COLUMNS ") SELECT ?1, device, outcome, killed, degenerate, code, message, stage, kernel, signal, log, 0,"
			 " launches_run + launches_saved, 0, 0, images, images_changed, (SELECT id FROM mutants WHERE mutant = ?2), 0, 0, fill"
			 " FROM results WHERE mutant = ?2 AND device = ?3",
			 "iii", to, from, device) &&
	       store_run(s, e,
			 "INSERT INTO image_results SELECT ?1, device, image, outcome, digest, top1, top, max_abs, max_rel, l2, cosine, nmse, max_ulp,"
			 " nan_count, inf_count, top1_equal, jaccard, rbo, kendall, displacement, euclidean, manhattan, minkowski, 0, 0,"
			 " launches_run + launches_saved FROM image_results WHERE mutant = ?2 AND device = ?3",
			 "iii", to, from, device) &&
	       store_run(s, e, "INSERT INTO logits SELECT ?1, device, image, logits FROM logits WHERE mutant = ?2 AND device = ?3", "iii", to,
			 from, device);
}

bool store_put_twin(struct store *s, const char *from, const char *mutant, const char *device, struct err *e)
{
	int64_t f, m, d;
	bool ok;

	if (!store_put_begin(s, e))
		return false;
	ok = find_mutant(s, from, &f, e) && find_mutant(s, mutant, &m, e) && find_device(s, device, &d, e) && copy_rows(s, f, m, d, e);
	return store_put_end(s, ok, e) || err_in(e, "result of '%s' on '%s'", mutant, device);
}

bool store_confirm(struct store *s, const char *device, struct err *e)
{
	int64_t d;

	if (!store_put_begin(s, e))
		return false;
	return store_put_end(s,
			     find_device(s, device, &d, e) &&
				 store_run(s, e, "UPDATE results SET controlled = 1 WHERE device = ? AND controlled = 0", "i", d),
			     e);
}

bool store_unconfirmed(struct store *s, const char *device, bool *any, struct err *e)
{
	int64_t one;

	return store_number(s, e, &one, any, "SELECT 1 FROM results WHERE device = (SELECT device FROM devices WHERE name = ?) AND controlled = 0 LIMIT 1",
			    "t", device);
}

bool store_withdraw(struct store *s, const char *device, int64_t *n, struct err *e)
{
	bool found;
	int64_t d;

	*n = 0;
	if (!store_put_begin(s, e))
		return false;
	return store_put_end(s,
			     find_device(s, device, &d, e) &&
				 store_number(s, e, n, &found, "SELECT count(*) FROM results WHERE device = ? AND controlled = 0", "i", d) &&
				 store_run(s, e, "DELETE FROM results WHERE device = ? AND controlled = 0", "i", d),
			     e);
}
