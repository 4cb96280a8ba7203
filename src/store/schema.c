/* schema.c: the tables, version by version, and the views
 *
 * A new store is made by all steps in order; an older one is brought up to date, when it is opened for writing, by the steps that it
 * lacks. So a step that has been released is never changed: what is new is added by the last one (ALTER TABLE .. ADD COLUMN,
 * CREATE TABLE), and the first addition after a release is a new step. Views are made anew each time.
 *
 * Outcomes are kept by name, so that the table in outcomes.def may grow. The rows of image_results are many: what is big
 * (logits) lies beside them.
 */
#include "store/store_internal.h"

static const char version_2[] =
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE outcomes(name TEXT PRIMARY KEY, place INTEGER NOT NULL, counted INTEGER NOT NULL, kills INTEGER NOT NULL,"
    " help TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE models(model INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, file TEXT NOT NULL, hash TEXT);"
    "CREATE TABLE images(image INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, hash TEXT, label INTEGER NOT NULL);"
    "CREATE TABLE devices(device INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, backend TEXT NOT NULL,"
    " identity TEXT NOT NULL, describe TEXT NOT NULL, error TEXT);"
    "CREATE TABLE mutants(mutant INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, op TEXT NOT NULL, category TEXT NOT NULL,"
    " target TEXT NOT NULL, ordinal TEXT NOT NULL, variant TEXT NOT NULL, sites INTEGER NOT NULL, diff TEXT);"
    "CREATE INDEX mutants_op ON mutants(op);"
    "CREATE TABLE baselines(device INTEGER NOT NULL REFERENCES devices, image INTEGER NOT NULL REFERENCES images,"
    " digest TEXT, top1 INTEGER, top BLOB, logits BLOB, noise_max_abs REAL, time_s REAL, UNIQUE(device, image));"
    "CREATE TABLE results(mutant INTEGER NOT NULL REFERENCES mutants, device INTEGER NOT NULL REFERENCES devices,"
    " outcome TEXT NOT NULL REFERENCES outcomes, killed INTEGER NOT NULL, degenerate INTEGER NOT NULL, code TEXT,"
    " message TEXT, stage TEXT, kernel TEXT, signal INTEGER NOT NULL, log TEXT,"
    " launches_run INTEGER NOT NULL, launches_saved INTEGER NOT NULL, build_s REAL, run_s REAL,"
    " images INTEGER NOT NULL, images_changed INTEGER NOT NULL, twin TEXT, runs INTEGER NOT NULL, controlled INTEGER NOT NULL,"
    " PRIMARY KEY(mutant, device)) WITHOUT ROWID;"
    "CREATE INDEX results_uncontrolled ON results(device) WHERE controlled = 0;"
    "CREATE TABLE image_results(mutant INTEGER NOT NULL, device INTEGER NOT NULL, image INTEGER NOT NULL REFERENCES images,"
    " outcome TEXT NOT NULL REFERENCES outcomes, digest TEXT, top1 INTEGER, top BLOB,"
    " max_abs REAL, max_rel REAL, l2 REAL, cosine REAL, nmse REAL, max_ulp REAL, nan_count INTEGER, inf_count INTEGER,"
    " top1_equal INTEGER, jaccard REAL, rbo REAL, kendall REAL, displacement REAL, euclidean REAL, manhattan REAL,"
    " minkowski REAL, time_s REAL, launches_run INTEGER, launches_saved INTEGER, PRIMARY KEY(mutant, device, image),"
    " FOREIGN KEY(mutant, device) REFERENCES results ON DELETE CASCADE) WITHOUT ROWID;"
    "CREATE TABLE logits(mutant INTEGER NOT NULL, device INTEGER NOT NULL, image INTEGER NOT NULL, logits BLOB NOT NULL,"
    " UNIQUE(mutant, device, image),"
    " FOREIGN KEY(mutant, device) REFERENCES results ON DELETE CASCADE);";

/* One line per addition. */
static const char version_3[] =
    "ALTER TABLE images ADD COLUMN path TEXT;" /* where the file was: what copies it or shows it looks there */
    "ALTER TABLE mutants ADD COLUMN bounds TEXT; ALTER TABLE mutants ADD COLUMN bounds_text TEXT;" /* what was foreseen of its accesses */
    "ALTER TABLE mutants ADD COLUMN suppressed TEXT;" /* the reason; NULL: it counts */
    "CREATE TABLE suppressions(suppression INTEGER PRIMARY KEY, glob TEXT NOT NULL UNIQUE, reason TEXT NOT NULL, source TEXT NOT NULL);"
    "ALTER TABLE images ADD COLUMN thumbnail BLOB;" /* a small JPEG, for reports */
    "CREATE TABLE classes(class INTEGER PRIMARY KEY, name TEXT NOT NULL);"
    "CREATE TABLE layers(layer INTEGER PRIMARY KEY, node TEXT NOT NULL UNIQUE, op TEXT NOT NULL, shape TEXT NOT NULL, macs REAL NOT NULL);"
    "CREATE TABLE kernels(device INTEGER NOT NULL REFERENCES devices, launch INTEGER NOT NULL, name TEXT NOT NULL, node TEXT NOT NULL,"
    " flops REAL NOT NULL, seconds REAL, PRIMARY KEY(device, launch)) WITHOUT ROWID;"
    "CREATE TABLE sources(mutant INTEGER NOT NULL REFERENCES mutants, dialect TEXT NOT NULL, diff TEXT NOT NULL,"
    " PRIMARY KEY(mutant, dialect)) WITHOUT ROWID;"
    "ALTER TABLE results ADD COLUMN fill TEXT;" /* what lay where nobody wrote, in the runs that were compared */
    "ALTER TABLE images ADD COLUMN file_hash TEXT;"
    "CREATE TABLE files(what TEXT PRIMARY KEY, path TEXT NOT NULL, hash TEXT) WITHOUT ROWID;" /* that a campaign rests on */
    /* what the mutants' diffs are against: the graph, each function's loop IR, the preprocessing */
    "CREATE TABLE originals(kind TEXT NOT NULL, name TEXT NOT NULL, place INTEGER NOT NULL, text TEXT NOT NULL, PRIMARY KEY(kind, name));"
    "CREATE TABLE operators(op TEXT PRIMARY KEY, summary TEXT NOT NULL, imitates TEXT NOT NULL) WITHOUT ROWID;"; /* of the mutants */

const struct store_step store_steps[] = {{2, version_2}, {STORE_VERSION, version_3}, {0, NULL}};

const char store_views[] =
    "DROP VIEW IF EXISTS kill_rates; DROP VIEW IF EXISTS verdicts;"
    /* Every mutant on every device, whatever is known of it. */
    "CREATE VIEW verdicts AS SELECT m.mutant, m.id, m.op, m.category, m.sites, d.device, d.name AS device_name,"
    " coalesce(r.outcome, iif(m.sites = 0, 'no-site', 'not-run')) AS outcome,"
    " coalesce(r.killed, 0) AS killed, coalesce(r.killed, 0) & 1 AS killed_label,"
    " (coalesce(r.killed, 0) & 2) <> 0 AS killed_topk, (coalesce(r.killed, 0) & 4) <> 0 AS killed_numeric,"
    " coalesce(r.degenerate, 0) AS degenerate, r.code, r.message, r.stage, r.kernel, coalesce(r.signal, 0) AS signal, r.log,"
    " coalesce(r.launches_run, 0) AS launches_run, coalesce(r.launches_saved, 0) AS launches_saved,"
    " coalesce(r.build_s, 0) AS build_s, coalesce(r.run_s, 0) AS run_s, coalesce(r.images, 0) AS images,"
    " coalesce(r.images_changed, 0) AS images_changed, r.twin, coalesce(r.runs, 0) AS runs, r.fill, m.suppressed"
    " FROM mutants m CROSS JOIN devices d LEFT JOIN results r ON r.mutant = m.mutant AND r.device = d.device;"
    "CREATE VIEW kill_rates AS SELECT v.device_name AS device, v.op, v.category, count(*) AS rows,"
    " sum(o.counted) AS counted, sum(v.killed_label) AS killed_label, sum(v.killed_topk) AS killed_topk,"
    " sum(v.killed_numeric) AS killed_numeric"
    " FROM verdicts v JOIN outcomes o ON o.name = v.outcome WHERE v.suppressed IS NULL"
    " GROUP BY v.device, v.op, v.category;";
