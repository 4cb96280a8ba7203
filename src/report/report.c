/* report.c: the choice of format, and where it goes */
#include "report/report_internal.h"

#include "base/arena.h"
#include "base/file.h"

static bool write_format(struct store *s, enum report_format f, const struct report_options *o, struct report_out *out, struct err *e)
{
	static bool (*const formats[])(struct store *, const struct report_data *, const struct report_options *, struct report_out *,
				       struct err *) = {
	    [REPORT_TABLE] = report_table,     [REPORT_JSON] = report_json,   [REPORT_CSV] = report_csv,
	    [REPORT_STRYKER] = report_stryker, [REPORT_SARIF] = report_sarif, [REPORT_JUNIT] = report_junit};
	static const struct report_options none = {0};
	struct arena *a = arena_new(NULL);
	struct report_data d;
	bool ok = report_gather(s, a, &d, e) && formats[f](s, &d, o ? o : &none, out, e) && report_flush(out);

	arena_free(a);
	return ok;
}

bool report_text(struct store *s, enum report_format f, const struct report_options *o, struct str *text, struct err *e)
{
	struct report_out out = {.text = *text};
	bool ok;

	/* one moment of a store that is being written */
	if (!store_begin(s, e))
		return false;
	ok = write_format(s, f, o, &out, e);
	store_rollback(s);
	*text = out.text;
	return ok;
}

static bool write_file(struct store *s, const struct report_file *file, const struct report_options *o, struct err *e)
{
	struct report_out out = {.file = file_out_begin(file->out)};
	bool ok = write_format(s, file->format, o, &out, e);

	str_free(&out.text);
	return file_out_end(out.file, ok || file_out_failed(out.file), e) && ok;
}

bool report_write_all(struct store *s, const struct report_file *file, size_t n, const struct report_options *o, struct err *e)
{
	bool ok = true;

	if (!store_begin(s, e))
		return false;
	for (size_t i = 0; ok && i < n; i++)
		ok = write_file(s, &file[i], o, e);
	store_rollback(s);
	return ok;
}

bool report_write(struct store *s, enum report_format f, const struct report_options *o, const char *out, struct err *e)
{
	return report_write_all(s, &(struct report_file){f, out}, 1, o, e);
}

bool report_kill_rate(struct store *s, int criterion, double *percent, int64_t *counted, struct err *e)
{
	struct store_counts n;

	if (!store_count(s, NULL, NULL, NULL, &n, e))
		return false;
	*counted = n.counted;
	*percent = n.counted ? 100.0 * (double)n.killed[criterion] / (double)n.counted : 0;
	return true;
}
