/* store_suppress.c: mutants that somebody decided not to count */
#include "store/store_internal.h"

#define MAX_REASON 4096

bool store_apply_suppressions(struct store *s, struct err *e)
{
	return store_put_begin(s, e) &&
	       store_put_end(s,
			     store_run(s, e,
				       "UPDATE mutants SET suppressed = (SELECT reason FROM suppressions"
				       " WHERE mutants.id = glob OR mutants.id GLOB glob ORDER BY suppression LIMIT 1)",
				       ""),
			     e);
}

static bool plain(const char *text)
{
	const char *p = text;

	while ((unsigned char)*p >= ' ' && *p != 0x7f)
		p++;
	return p != text && !*p && p - text <= MAX_REASON;
}

bool store_suppress(struct store *s, const char *glob, const char *reason, const char *source, struct err *e)
{
	if (!plain(glob))
		return err_set(e, ERR_USAGE, "a suppression needs a glob of mutant ids, one line");
	if (!plain(reason))
		return err_set(e, ERR_USAGE, "the suppression of '%s' needs a reason, one line of at most %d bytes", glob, MAX_REASON);
	if (!store_put_begin(s, e))
		return false;
	return store_put_end(s,
			     store_run(s, e,
				       "INSERT INTO suppressions(glob, reason, source) VALUES(?1, ?2, ?3)"
				       " ON CONFLICT(glob) DO UPDATE SET reason = ?2, source = ?3",
				       "ttt", glob, reason, source) &&
				 store_apply_suppressions(s, e),
			     e);
}

bool store_unsuppress(struct store *s, const char *glob, bool *found, struct err *e)
{
	bool ok;

	*found = false;
	if (!store_put_begin(s, e))
		return false;
	ok = store_run(s, e, "DELETE FROM suppressions WHERE glob = ?", "t", glob);
	*found = ok && sqlite3_changes(s->db);
	return store_put_end(s, ok && store_apply_suppressions(s, e), e);
}

bool store_unsuppress_all(struct store *s, const char *source, struct err *e)
{
	if (!store_put_begin(s, e))
		return false;
	return store_put_end(s,
			     store_run(s, e, "DELETE FROM suppressions WHERE source = ?", "t", source) &&
				 store_apply_suppressions(s, e),
			     e);
}
