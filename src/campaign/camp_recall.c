/* camp_recall.c: what a store says of how its campaign was run, for those that do the same again */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "campaign/campaign_internal.h"

static bool fact(struct arena *a, struct store *s, const char *name, char **out, struct err *e)
{
	if (!store_get(s, a, name, out, e))
		return false;
	return *out || err_set(e, ERR_STORE, "store '%s' does not say '%s': it was written by an older mutatenn; run its campaign again",
			       store_path(s), name);
}

/* "key: value" of the configuration's text. */
char *camp_configured(struct arena *a, const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *p = text; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
		if (!strncmp(p, key, n) && !strncmp(p + n, ": ", 2))
			return arena_strndup(a, p + n + 2, strcspn(p + n + 2, "\n"));
	return arena_strdup(a, "");
}

/* "[a, b]" */
static void configured_list(struct arena *a, const char *text, char ***out, size_t *n)
{
	VEC(char *) v = {0};

	for (const char *p = text + (*text == '['); *p && *p != ']';) {
		size_t len = strcspn(p, ",]");

		vec_push(a, &v, arena_strndup(a, p, len));
		p += len;
		p += strspn(p, ", ");
	}
	*out = v.v;
	*n = v.n;
}

bool camp_recall(struct arena *a, struct store *s, struct select_set *out, struct err *e)
{
	struct store_iter *it = store_models(s);
	struct store_model m;
	char *text;

	while (store_next_model(it, &m)) {
		out->model = arena_strdup(a, m.name);
		out->model_hash = m.hash;
	}
	if (!store_iter_end(it, e))
		return false;
	if (!out->model)
		return err_set(e, ERR_STORE, "store '%s' holds no model", store_path(s));
	if (!fact(a, s, "model-path", &out->model_file, e) || !fact(a, s, "preprocess", &out->preprocess, e) ||
	    !fact(a, s, "output", &out->output, e) || !fact(a, s, "scores", &out->scores, e) || !fact(a, s, "configuration", &text, e))
		return false;
	out->tool = arena_strdup(a, MUTATENN_VERSION);
	out->store = arena_strdup(a, file_base(store_path(s)));
	out->opt_level = atoi(camp_configured(a, text, "opt-level"));
	out->batch = atoi(camp_configured(a, text, "batch"));
	out->top_k = atoi(camp_configured(a, text, "top-k"));
	configured_list(a, camp_configured(a, text, "disable-pass"), &out->disable_pass, &out->ndisable_pass);
	configured_list(a, camp_configured(a, text, "enable-pass"), &out->enable_pass, &out->nenable_pass);
	if (out->opt_level < 0 || out->opt_level > 3 || out->batch < 1 || out->batch > 1024 || out->top_k < 1 || out->top_k > STORE_MAX_TOP)
		return err_set(e, ERR_STORE, "store '%s' is damaged: its configuration makes no sense", store_path(s));
	return true;
}

struct camp_level camp_level_of(const struct select_set *s)
{
	return (struct camp_level){s->opt_level, (const char *const *)s->disable_pass, s->ndisable_pass,
				   (const char *const *)s->enable_pass, s->nenable_pass};
}

/* A device's name is the name of a folder here. */
static bool plain_name(const char *s)
{
	return *s && *s != '.' && !s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")];
}

bool camp_recall_device(struct arena *a, struct store *s, const struct store_device *d, struct select_device *out, struct err *e)
{
	char *target, cls[8], precision[8];

	*out = (struct select_device){.name = arena_strdup(a, d->name), .backend = arena_strdup(a, d->backend),
				      .identity = arena_strdup(a, d->identity), .describe = arena_strdup(a, d->describe)};
	if (!plain_name(d->name))
		return err_set(e, ERR_STORE, "store '%s' is damaged: it has a device without a proper name", store_path(s));
	if (!fact(a, s, arena_printf(a, "target %s", d->name), &target, e))
		return false;
	if (sscanf(target, "%7s %4d %7s", cls, &out->lanes, precision) != 3 || out->lanes < 1 || out->lanes > 64)
		return err_set(e, ERR_STORE, "store '%s' is damaged: the target of '%s' makes no sense", store_path(s), d->name);
	out->cls = arena_strdup(a, cls);
	out->precision = arena_strdup(a, precision);
	return true;
}

bool camp_recall_model(struct arena *a, struct select_set *s, const char *what, const char *where, const char *file, struct camp_model **out,
		       struct err *e)
{
	struct camp_model_options o = {.preprocess = s->preprocess,
				       .output = s->output,
				       .scores_given = true,
				       .scores = !strcmp(s->scores, "probabilities") ? SCORES_PROBABILITIES : SCORES_LOGITS,
				       .batch = s->batch};
	char hex[2][HASH_HEX];

	file = file ? file : s->model_file;
	if (!camp_model_load(a, file, &o, out, e))
		return err_in(e, "%s (--model says where it is now)", what);
	if (!hash_eq((*out)->hash, s->model_hash))
		return err_set(e, ERR_IO, "model '%s' is not %s: its hash is %s, in '%s' it is %s; --model says where that is now", file, what,
			       hash_hex((*out)->hash, hex[0]), where, hash_hex(s->model_hash, hex[1]));
	s->model_file = file_absolute(a, file);
	return true;
}
