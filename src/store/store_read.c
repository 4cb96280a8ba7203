/* store_read.c: rows one at a time; a file is not trusted to hold what we wrote */
#include "store/store_internal.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

struct store_iter {
	struct store *s;
	sqlite3_stmt *st;
	bool failed;
	struct err err;
	int32_t label[STORE_MAX_TOP];
	float probability[STORE_MAX_TOP];
	float *logits; /* grown as needed */
	size_t room;
};

static struct store_iter *iterate(struct store *s, const char *sql, const char *types, const char *p1, const char *p2)
{
	struct store_iter *it = calloc(1, sizeof *it);

	if (!it)
		abort();
	it->s = s;
	if (sqlite3_prepare_v2(s->db, sql, -1, &it->st, NULL) != SQLITE_OK || !store_bind(it->st, types, p1, p2))
		it->failed = !store_fail(s, "read it", &it->err);
	return it;
}

static bool step(struct store_iter *it)
{
	int rc = it->failed ? SQLITE_DONE : sqlite3_step(it->st);

	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		it->failed = !store_fail(it->s, "read it", &it->err);
	return rc == SQLITE_ROW;
}

struct store_iter *store_iterate(struct store *s, const char *sql, const char *types, const char *p1, const char *p2)
{
	return iterate(s, sql, types, p1, p2);
}

sqlite3_stmt *store_step(struct store_iter *it)
{
	return step(it) ? it->st : NULL;
}

static bool damaged(struct store_iter *it, const char *what)
{
	it->failed = true;
	return store_damaged(it->s, what, &it->err);
}

bool store_iter_end(struct store_iter *it, struct err *e)
{
	bool ok = !it->failed;

	if (!ok)
		err_set(e, it->err.code, "%s", err_text(&it->err));
	err_free(&it->err);
	sqlite3_finalize(it->st);
	free(it->logits);
	free(it);
	return ok;
}

struct store_iter *store_models(struct store *s)
{
	return iterate(s, "SELECT name, file, hash FROM models ORDER BY model", "", NULL, NULL);
}

bool store_next_model(struct store_iter *it, struct store_model *out)
{
	if (!step(it))
		return false;
	*out = (struct store_model){store_text(it->st, 0), store_text(it->st, 1), store_hash(it->st, 2)};
	return true;
}

struct store_iter *store_images(struct store *s)
{
	return iterate(s, "SELECT image, name, hash, label, path, file_hash FROM images ORDER BY image", "", NULL, NULL);
}

bool store_next_image(struct store_iter *it, struct store_image *out)
{
	if (!step(it))
		return false;
	*out = (struct store_image){sqlite3_column_int64(it->st, 0), store_text(it->st, 1), store_hash(it->st, 2),
				    sqlite3_column_int64(it->st, 3), store_text_or_null(it->st, 4), store_hash(it->st, 5)};
	return true;
}

struct store_iter *store_devices(struct store *s)
{
	return iterate(s, "SELECT name, backend, identity, describe, error FROM devices ORDER BY device", "", NULL, NULL);
}

bool store_next_device(struct store_iter *it, struct store_device *out)
{
	if (!step(it))
		return false;
	*out = (struct store_device){store_text(it->st, 0), store_text(it->st, 1), store_text(it->st, 2), store_text(it->st, 3),
				     store_text_or_null(it->st, 4)};
	return true;
}

struct store_iter *store_suppressions(struct store *s)
{
	return iterate(s,
		       "SELECT glob, reason, source, (SELECT count(*) FROM mutants WHERE id = glob OR id GLOB glob)"
		       " FROM suppressions ORDER BY suppression",
		       "", NULL, NULL);
}

bool store_next_suppression(struct store_iter *it, struct store_suppression *out)
{
	if (!step(it))
		return false;
	*out = (struct store_suppression){store_text(it->st, 0), store_text(it->st, 1), store_text(it->st, 2),
					  sqlite3_column_int64(it->st, 3)};
	return true;
}

#define MUTANT_COLUMNS "SELECT id, op, category, target, ordinal, variant, sites, diff, bounds, bounds_text, suppressed FROM mutants "

static void read_mutant(sqlite3_stmt *st, struct store_mutant *out)
{
	*out = (struct store_mutant){store_text(st, 0), store_text(st, 1), store_text(st, 2),           store_text(st, 3),
				     store_text(st, 4), store_text(st, 5), sqlite3_column_int64(st, 6), store_text_or_null(st, 7),
				     store_text_or_null(st, 8), store_text_or_null(st, 9), store_text_or_null(st, 10)};
}

struct store_iter *store_mutants(struct store *s, const char *op)
{
	if (op)
		return iterate(s, MUTANT_COLUMNS "WHERE op = ?1 ORDER BY mutant", "t", op, NULL);
	return iterate(s, MUTANT_COLUMNS "ORDER BY mutant", "", NULL, NULL);
}

bool store_next_mutant(struct store_iter *it, struct store_mutant *out)
{
	if (!step(it))
		return false;
	read_mutant(it->st, out);
	return true;
}

bool store_get_mutant(struct store *s, struct arena *a, const char *id, struct store_mutant *out, bool *found, struct err *e)
{
	struct store_iter *it = iterate(s, MUTANT_COLUMNS "WHERE id = ?", "t", id, NULL);
	struct store_mutant m;

	*found = store_next_mutant(it, &m);
	if (*found)
		*out = (struct store_mutant){arena_strdup(a, m.id),
					     arena_strdup(a, m.op),
					     arena_strdup(a, m.category),
					     arena_strdup(a, m.target),
					     arena_strdup(a, m.ordinal),
					     arena_strdup(a, m.variant),
					     m.sites,
					     arena_strdup(a, m.diff),
					     arena_strdup(a, m.bounds),
					     arena_strdup(a, m.bounds_text),
					     arena_strdup(a, m.suppressed)};
	return store_iter_end(it, e);
}

/* Columns c: digest, top, logits. */
static bool read_answer(struct store_iter *it, int c, struct store_answer *out)
{
	const void *top = sqlite3_column_blob(it->st, c + 1);
	size_t ntop = (size_t)sqlite3_column_bytes(it->st, c + 1);
	const void *logits = sqlite3_column_blob(it->st, c + 2);
	size_t nlogits = (size_t)sqlite3_column_bytes(it->st, c + 2);

	if (ntop % 8 || ntop / 8 > STORE_MAX_TOP)
		return damaged(it, "labels of the wrong size");
	if (nlogits % 4 || nlogits / 4 > STORE_MAX_LOGITS)
		return damaged(it, "logits of the wrong size");
	*out = (struct store_answer){
	    .digest = store_hash(it->st, c), .k = (int)(ntop / 8), .label = it->label, .probability = it->probability};
	for (size_t i = 0; i < ntop / 8; i++) {
		uint32_t pair[2];

		memcpy(pair, (const char *)top + 8 * i, 8);
		pair[0] = le32toh(pair[0]);
		pair[1] = le32toh(pair[1]);
		memcpy(&it->label[i], &pair[0], 4);
		memcpy(&it->probability[i], &pair[1], 4);
	}
	if (!nlogits)
		return true;
	if (nlogits > it->room) {
		it->room = nlogits;
		if (!(it->logits = realloc(it->logits, nlogits)))
			abort();
	}
	memcpy(it->logits, logits, nlogits);
	out->logits = it->logits;
	out->nlogits = (int64_t)(nlogits / 4);
	return true;
}

struct store_iter *store_baselines(struct store *s, const char *device)
{
	return iterate(s,
		       "SELECT d.name, b.image, b.digest, b.top, b.logits, b.noise_max_abs, b.time_s"
		       " FROM devices d JOIN baselines b ON b.device = d.device"
		       " WHERE ?1 IS NULL OR d.name = ?1 ORDER BY d.device, b.image",
		       "t", device, NULL);
}

bool store_next_baseline(struct store_iter *it, struct store_baseline *out)
{
	if (!step(it))
		return false;
	out->device = store_text(it->st, 0);
	out->image = sqlite3_column_int64(it->st, 1);
	out->noise_max_abs = sqlite3_column_double(it->st, 5);
	out->time_s = sqlite3_column_double(it->st, 6);
	return read_answer(it, 2, &out->answer);
}

struct store_iter *store_results(struct store *s, const char *mutant, const char *device)
{
	static const char all[] = "SELECT id, device_name, outcome, killed, degenerate, code, message, stage, kernel, signal, log,"
				  " launches_run, launches_saved, build_s, run_s, images, images_changed, twin, runs, fill FROM verdicts"
				  " WHERE (?1 IS NULL OR id = ?1) AND (?2 IS NULL OR device_name = ?2) ORDER BY mutant, device";
	static const char one[] = "SELECT id, device_name, outcome, killed, degenerate, code, message, stage, kernel, signal, log,"
				  " launches_run, launches_saved, build_s, run_s, images, images_changed, twin, runs, fill FROM verdicts"
				  " WHERE id = ?1 AND (?2 IS NULL OR device_name = ?2) ORDER BY device";

	return iterate(s, mutant ? one : all, "tt", mutant, device);
}

bool store_next_result(struct store_iter *it, struct store_result *out)
{
	sqlite3_stmt *st = it->st;

	if (!step(it))
		return false;
	memset(out, 0, sizeof *out);
	out->mutant = store_text(st, 0);
	out->device = store_text(st, 1);
	if (!outcome_parse(store_text(st, 2), &out->outcome))
		return damaged(it, "an unknown outcome");
	out->killed = (unsigned)sqlite3_column_int(st, 3) & (STORE_KILL_LABEL | STORE_KILL_TOPK | STORE_KILL_NUMERIC);
	out->degenerate = sqlite3_column_int(st, 4) != 0;
	out->code = store_hash(st, 5);
	out->message = store_text_or_null(st, 6);
	out->stage = store_text_or_null(st, 7);
	out->kernel = store_text_or_null(st, 8);
	out->signal = sqlite3_column_int(st, 9);
	out->log = store_text_or_null(st, 10);
	out->launches_run = sqlite3_column_int64(st, 11);
	out->launches_saved = sqlite3_column_int64(st, 12);
	out->build_s = sqlite3_column_double(st, 13);
	out->run_s = sqlite3_column_double(st, 14);
	out->images = sqlite3_column_int64(st, 15);
	out->images_changed = sqlite3_column_int64(st, 16);
	out->twin = store_text_or_null(st, 17);
	out->runs = sqlite3_column_int64(st, 18);
	out->fill = store_text_or_null(st, 19);
	return true;
}

#define IMAGE_RESULTS(logits, join)                                                                                             \
	"SELECT r.image, r.outcome, r.digest, r.top, " logits ", r.max_abs, r.max_rel, r.l2, r.cosine, r.nmse,"                 \
	" r.max_ulp, r.nan_count, r.inf_count, r.top1_equal, r.jaccard, r.rbo, r.kendall, r.displacement,"                      \
	" r.euclidean, r.manhattan, r.minkowski, r.time_s, r.launches_run, r.launches_saved"                                    \
	" FROM image_results r" join " WHERE r.mutant = (SELECT mutant FROM mutants WHERE id = ?1)"                             \
	" AND r.device = (SELECT device FROM devices WHERE name = ?2) ORDER BY r.image"

struct store_iter *store_image_results(struct store *s, const char *mutant, const char *device)
{
	return iterate(s,
			     IMAGE_RESULTS("l.logits", " LEFT JOIN logits l ON l.mutant = r.mutant AND l.device = r.device"
						       " AND l.image = r.image"),
			     "tt", mutant, device);
}

struct store_iter *store_image_verdicts(struct store *s, const char *mutant, const char *device)
{
	return iterate(s, IMAGE_RESULTS("NULL", ""), "tt", mutant, device);
}

bool store_next_image_result(struct store_iter *it, struct store_image_result *out)
{
	sqlite3_stmt *st = it->st;
	double *const number[] = {&out->max_abs,   &out->max_rel,   &out->l2,        &out->cosine,  &out->nmse,
				  &out->max_ulp,   &out->jaccard,   &out->rbo,       &out->kendall, &out->displacement,
				  &out->euclidean, &out->manhattan, &out->minkowski, &out->time_s};

	if (!step(it))
		return false;
	memset(out, 0, sizeof *out);
	out->image = sqlite3_column_int64(st, 0);
	if (!outcome_parse(store_text(st, 1), &out->outcome))
		return damaged(it, "an unknown outcome");
	for (int i = 0; i < 14; i++)
		*number[i] = sqlite3_column_double(st, i < 6 ? 5 + i : 8 + i);
	out->nan_count = sqlite3_column_int64(st, 11);
	out->inf_count = sqlite3_column_int64(st, 12);
	out->top1_equal = sqlite3_column_int(st, 13) != 0;
	out->launches_run = sqlite3_column_int64(st, 22);
	out->launches_saved = sqlite3_column_int64(st, 23);
	return read_answer(it, 2, &out->answer);
}

struct store_iter *store_kills(struct store *s)
{
	return iterate(s,
		       "SELECT m.id, d.name, r.mutant, r.device, r.killed, i.image, i.outcome FROM results r"
		       " CROSS JOIN mutants m ON m.mutant = r.mutant CROSS JOIN devices d ON d.device = r.device"
		       " LEFT JOIN image_results i ON i.mutant = r.mutant AND i.device = r.device"
		       " WHERE r.killed <> 0 AND m.suppressed IS NULL ORDER BY r.mutant, r.device, i.image",
		       "", NULL, NULL);
}

bool store_next_kill(struct store_iter *it, struct store_kill *out)
{
	sqlite3_stmt *st = it->st;

	if (!step(it))
		return false;
	*out = (struct store_kill){.mutant = store_text(st, 0),
				   .device = store_text(st, 1),
				   .mutant_number = sqlite3_column_int64(st, 2),
				   .device_number = sqlite3_column_int64(st, 3),
				   .killed = (unsigned)sqlite3_column_int(st, 4) & (STORE_KILL_LABEL | STORE_KILL_TOPK | STORE_KILL_NUMERIC),
				   .image = sqlite3_column_type(st, 5) == SQLITE_NULL ? -1 : sqlite3_column_int64(st, 5)};
	if (out->image >= 0 && !outcome_parse(store_text(st, 6), &out->outcome))
		return damaged(it, "an unknown outcome");
	return true;
}

bool store_count(struct store *s, const char *device, const char *op, const char *category, struct store_counts *out, struct err *e)
{
	static const char sql[] = "SELECT outcome, count(*), sum(killed & 1), sum((killed & 2) <> 0), sum((killed & 4) <> 0),"
				  " sum(degenerate), sum(launches_run), sum(launches_saved), count(twin), suppressed IS NOT NULL FROM verdicts"
				  " WHERE (?1 IS NULL OR device_name = ?1) AND (?2 IS NULL OR op = ?2)"
				  " AND (?3 IS NULL OR category = ?3) GROUP BY outcome, suppressed IS NOT NULL";
	sqlite3_stmt *st = store_statement(s, sql, e);
	int rc = SQLITE_NOMEM;

	memset(out, 0, sizeof *out);
	if (!st)
		return false;
	if (store_bind(st, "ttt", device, op, category))
		rc = sqlite3_step(st);
	for (; rc == SQLITE_ROW; rc = sqlite3_step(st)) {
		enum outcome o;
		int64_t n = sqlite3_column_int64(st, 1);

		if (!outcome_parse(store_text(st, 0), &o))
			continue;
		out->launches_run += sqlite3_column_int64(st, 6);
		out->launches_saved += sqlite3_column_int64(st, 7);
		if (sqlite3_column_int(st, 9)) {
			out->suppressed += n;
			continue;
		}
		out->outcome[o] = n;
		out->rows += n;
		if (outcome_class(o) == OUTCOME_CLASS_COUNTED) {
			out->counted += n;
			for (int c = 0; c < STORE_CRITERIA; c++)
				out->killed[c] += sqlite3_column_int64(st, 2 + c);
		}
		out->degenerate += sqlite3_column_int64(st, 5);
		out->twins += sqlite3_column_int64(st, 8);
	}
	if (rc != SQLITE_DONE)
		store_fail(s, "read it", e);
	sqlite3_reset(st);
	return rc == SQLITE_DONE;
}

bool store_summarise(struct store *s, const char *mutant, const char *device, struct store_summary *out, struct err *e)
{
	static const char original[] = "SELECT count(*), count(iif(i.label >= 0, 1, NULL)), sum(i.label >= 0 AND b.top1 = i.label)"
				       " FROM baselines b JOIN images i ON i.image = b.image WHERE b.top1 IS NOT NULL"
				       " AND b.device = (SELECT device FROM devices WHERE name = ?2)";
	static const char mutated[] =
	    "SELECT count(*), count(iif(i.label >= 0, 1, NULL)), sum(i.label >= 0 AND r.top1 = i.label), max(max_abs), "
	    "max(max_rel),"
	    " max(l2), max(max_ulp), min(cosine), avg(jaccard), avg(rbo), avg(kendall), avg(displacement), avg(euclidean),"
	    " avg(manhattan), avg(minkowski), sum(nan_count + inf_count > 0)"
	    " FROM image_results r JOIN images i ON i.image = r.image WHERE r.top1 IS NOT NULL"
	    " AND r.mutant = (SELECT mutant FROM mutants WHERE id = ?1)"
	    " AND r.device = (SELECT device FROM devices WHERE name = ?2)";
	double *const number[] = {&out->max_abs,      &out->max_rel,   &out->l2,        &out->max_ulp,
				  &out->cosine,       &out->jaccard,   &out->rbo,       &out->kendall,
				  &out->displacement, &out->euclidean, &out->manhattan, &out->minkowski};
	sqlite3_stmt *st = store_statement(s, mutant ? mutated : original, e);
	bool ok;

	memset(out, 0, sizeof *out);
	if (!st)
		return false;
	ok = store_bind(st, "tt", mutant, device) && sqlite3_step(st) == SQLITE_ROW;
	if (ok) {
		out->answers = sqlite3_column_int64(st, 0);
		out->labelled = sqlite3_column_int64(st, 1);
		out->right = sqlite3_column_int64(st, 2);
		for (int i = 0; mutant && i < 12; i++)
			*number[i] = sqlite3_column_double(st, 3 + i);
		out->nan_images = mutant ? sqlite3_column_int64(st, 15) : 0;
	} else {
		store_fail(s, "read it", e);
	}
	sqlite3_reset(st);
	return ok;
}

struct store_iter *store_originals(struct store *s)
{
	return iterate(s, "SELECT kind, name, text FROM originals ORDER BY place, kind, name", "", NULL, NULL);
}

bool store_next_original(struct store_iter *it, struct store_original *out)
{
	if (!step(it))
		return false;
	*out = (struct store_original){store_text(it->st, 0), store_text(it->st, 1), store_text(it->st, 2)};
	return true;
}

struct store_iter *store_operators(struct store *s)
{
	return iterate(s, "SELECT op, summary, imitates FROM operators ORDER BY op", "", NULL, NULL);
}

bool store_next_operator(struct store_iter *it, struct store_operator *out)
{
	if (!step(it))
		return false;
	*out = (struct store_operator){store_text(it->st, 0), store_text(it->st, 1), store_text(it->st, 2)};
	return true;
}

struct store_iter *store_unlike(struct store *s)
{
	/* where the same code was run no image can differ; CROSS JOIN keeps the order of the loops, mutant by mutant */
	return iterate(
	    s,
	    "SELECT m.id, dx.name, dy.name, x.outcome, y.outcome, x.killed, y.killed,"
	    " (SELECT count(*) FROM image_results i CROSS JOIN image_results j CROSS JOIN baselines bi CROSS JOIN baselines bj"
	    "  WHERE i.mutant = x.mutant AND i.device = x.device AND j.mutant = x.mutant AND j.device = y.device AND j.image = i.image"
	    "  AND j.top1 <> i.top1 AND bi.device = x.device AND bi.image = i.image AND bj.device = y.device AND bj.image = i.image"
	    "  AND bi.top1 = bj.top1) AS differ"
	    " FROM mutants m CROSS JOIN results x CROSS JOIN results y CROSS JOIN devices dx CROSS JOIN devices dy"
	    " WHERE x.mutant = m.mutant AND y.mutant = m.mutant AND y.device > x.device AND dx.device = x.device AND dy.device = y.device"
	    " AND (x.outcome <> y.outcome OR x.killed <> y.killed OR differ > 0) ORDER BY m.mutant, x.device, y.device",
	    "", NULL, NULL);
}

bool store_next_pair(struct store_iter *it, struct store_pair *out)
{
	if (!step(it))
		return false;
	*out = (struct store_pair){.mutant = store_text(it->st, 0), .labels_differ = sqlite3_column_int64(it->st, 7)};
	for (int i = 0; i < 2; i++) {
		out->device[i] = store_text(it->st, 1 + i);
		out->killed[i] = (unsigned)sqlite3_column_int(it->st, 5 + i);
		if (!outcome_parse(store_text(it->st, 3 + i), &out->outcome[i]))
			return damaged(it, "an unknown outcome");
	}
	return true;
}

struct store_iter *store_original_pairs(struct store *s)
{
	return iterate(s,
		       "SELECT dx.name, dy.name, sum(x.top1 <> y.top1), count(*) FROM devices dx JOIN devices dy ON dy.device > dx.device"
		       " JOIN baselines x ON x.device = dx.device JOIN baselines y ON y.device = dy.device AND y.image = x.image"
		       " GROUP BY dx.device, dy.device ORDER BY dx.device, dy.device",
		       "", NULL, NULL);
}

bool store_next_original_pair(struct store_iter *it, struct store_original_pair *out)
{
	if (!step(it))
		return false;
	*out = (struct store_original_pair){.device = {store_text(it->st, 0), store_text(it->st, 1)},
					    .labels_differ = sqlite3_column_int64(it->st, 2),
					    .images = sqlite3_column_int64(it->st, 3)};
	return true;
}
