/* cmd_select.c: the acceptance set of a campaign */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/str.h"
#include "campaign/campaign.h"
#include "cli/cli.h"
#include "cli/cli_json.h"

#define LISTED 20

static const struct cli_option options[] = {
        {"out", CLI_TEXT, "DIR", "write the set to this new folder: pictures, expected results, manifest"},
        {"criterion", CLI_LIST, "NAME", "kills by label, topk or numeric; may be repeated (default: all)"},
        {"device", CLI_LIST, "NAME", "kills on this device alone; may be repeated (default: all)"},
        {"max", CLI_INT, "N", "at most so many images: those that keep most kills"},
        {"model", CLI_TEXT, "FILE", "with --out: where the model is now (default: where it was)"},
        CLI_OPT_JSON, CLI_OPT_END};

static char **names_of(struct arena *a, struct store *s, size_t n, struct err *e)
{
	char **name = ARENA_ARRAY(a, char *, n + 1);
	struct store_iter *it = store_images(s);
	struct store_image im;

	for (size_t i = 0; i < n && store_next_image(it, &im); i++)
		name[i] = arena_strdup(a, im.name);
	return store_iter_end(it, e) ? name : NULL;
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void print_bound(const struct select_cover *c)
{
	if (c->kept < c->kills)
		printf("No %zu image%s more than %llu of them; every kill needs at least %zu.\n", c->n, c->n == 1 ? " keeps" : "s keep", (unsigned long long)c->most, c->lower);
	else if (c->smallest)
		printf("No smaller set keeps them all.\n");
	else
		printf("No set of fewer than %zu images keeps them all.\n", c->lower);
}

static void print_lonely(const struct cli_args *args, const struct select_result *r, char **name)
{
	if (!r->lonely)
		return;
	printf("\n%llu mutant%s killed by one image alone:\n", (unsigned long long)r->lonely, r->lonely == 1 ? " is" : "s are");
	for (size_t i = 0; i < r->nkills && i < LISTED; i++)
		printf("  %s on %s: %s (%s)\n", r->kill[i].mutant, r->kill[i].device, cli_shown(args->a, name[r->kill[i].image]), cli_criteria_text(args->a, r->kill[i].criteria));
	if (r->nkills > LISTED)
		printf("  ... and more: kills.csv in the set's folder has them all\n");
}

static void print_text(const struct cli_args *args, const struct select_result *r, char **name)
{
	const struct select_cover *c = &r->cover;
	uint64_t redundant = r->nimages - c->n;

	if (!c->kills) {
		printf("No mutant is killed, so no image is needed: the campaign says nothing of what the images are good for.\n");
		return;
	}
	printf("%zu of %zu image%s keep%s ", c->n, r->nimages, plural(r->nimages), c->n == 1 ? "s" : "");
	if (c->kept < c->kills)
		printf("%llu of %llu kill%s", (unsigned long long)c->kept, (unsigned long long)c->kills, plural(c->kills));
	else
		printf("all %llu kill%s", (unsigned long long)c->kills, plural(c->kills));
	for (int k = 0, seen = 0; k < STORE_CRITERIA; k++)
		if (r->kills[k])
			printf("%s%llu by %s", seen++ ? ", " : " (", (unsigned long long)r->kept[k], store_criterion_name(k));
	printf("%s.\n", r->kills[0] + r->kills[1] + r->kills[2] ? ")" : "");
	print_bound(c);
	printf("%llu image%s redundant.\n\n", (unsigned long long)redundant, redundant == 1 ? " is" : "s are");
	for (size_t i = 0; i < c->n; i++)
		printf("  %s%s\n", cli_shown(args->a, name[c->image[i]]),
		       r->alone[c->image[i]] ? arena_printf(args->a, "  (%llu kill%s of its own)", (unsigned long long)r->alone[c->image[i]],
		                                            plural(r->alone[c->image[i]]))
		                             : "");
	print_lonely(args, r, name);
}

static json_t *count(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static bool print_json(const struct select_result *r, char **name, const char *dir, struct err *e)
{
	json_t *images = json_array(), *only = json_array(), *kills = json_object();

	for (size_t i = 0; i < r->cover.n; i++)
		json_array_append_new(images, cli_json_text(name[r->cover.image[i]]));
	for (size_t i = 0; i < r->nkills; i++)
		json_array_append_new(only, json_pack("{s:o,s:o,s:o,s:o}", "mutant", cli_json_text(r->kill[i].mutant), "device",
		                                      cli_json_text(r->kill[i].device), "image", cli_json_text(name[r->kill[i].image]), "criteria",
		                                      cli_json_criteria(r->kill[i].criteria)));
	for (int c = 0; c < STORE_CRITERIA; c++)
		json_object_set_new(kills, store_criterion_name(c), json_pack("{s:o,s:o}", "kills", count(r->kills[c]), "kept", count(r->kept[c])));
	return cli_print_json(json_pack("{s:o,s:o,s:o,s:o,s:b,s:o,s:f,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "images", images, "images_of_campaign",
	                                count(r->nimages), "redundant", count(r->nimages - r->cover.n), "no_fewer_than", count(r->cover.lower), "smallest",
	                                (int)r->cover.smallest, "greedy", count(r->cover.greedy), "greedy_bound", r->cover.greedy_bound, "essential",
	                                count(r->cover.essential), "kept", count(r->cover.kept), "of", count(r->cover.kills), "at_most",
	                                count(r->cover.most), "on_any_image", count(r->anywhere), "kills", kills, "only_one_image", only, "set",
	                                cli_json_text(dir)), e);
}

/* What was not run may need another image. */
static bool warn_of_missing(struct store *s, struct err *e)
{
	struct store_counts n;

	if (!store_count(s, NULL, NULL, NULL, &n, e))
		return false;
	if (n.outcome[OUTCOME_NOT_RUN])
		log_warn("%lld of %lld results are missing: the set keeps the kills of the others; finish the campaign first",
		         (long long)n.outcome[OUTCOME_NOT_RUN], (long long)n.rows);
	return true;
}

static bool select_and_show(const struct cli_args *args, struct store *s, const struct select_options *o, struct err *e)
{
	const char *dir = cli_text(args, "out", NULL);
	struct select_result r;
	char **name;

	if (!warn_of_missing(s, e) || !select_from_store(args->a, s, o, &r, e) || !(name = names_of(args->a, s, r.nimages, e)))
		return false;
	if (dir && !camp_set_write(s, o, &r, cli_text(args, "model", NULL), dir, e))
		return false;
	if (cli_flag(args, "json"))
		return print_json(&r, name, dir, e);
	print_text(args, &r, name);
	if (dir)
		printf("\nWritten to '%s': 'mutatenn check %s --device NAME' runs it.\n", dir, dir);
	return true;
}

static bool run(const struct cli_args *args, int *status, struct err *e)
{
	struct select_options o = {.device = cli_get(args, "device")->list, .ndevices = cli_get(args, "device")->n};
	int64_t max = cli_int(args, "max", 0);
	struct store *s;
	bool ok;

	(void)status;
	if (!cli_criteria(args, &o.criteria, e))
		return false;
	if (cli_get(args, "max")->given && (max < 1 || max > SELECT_MAX_IMAGES))
		return err_set(e, ERR_USAGE, "--max takes 1 to %d", SELECT_MAX_IMAGES);
	o.most_images = (size_t)max;
	if (!store_open(args->positional[0], STORE_READ, &s, e))
		return false;
	ok = store_begin(s, e); /* one moment of a store that is being written */
	if (ok) {
		ok = select_and_show(args, s, &o, e);
		store_rollback(s);
	}
	store_close(s);
	return ok;
}

const struct cli_command cmd_select = {
        .name = "select",
        .summary = "the acceptance set: the fewest images that keep every kill",
        .usage = "STORE",
        .description = "Picks the fewest images of a campaign on which every mutant that was killed is killed still, and proves how few they can be. With "
                       "--out it writes them with what the original gives on them: the thing to run on a device with 'mutatenn check' after every change "
                       "of driver, compiler or board.\n\n"
                       "A mutant that crashed or hung is kept by the image on which it did so; one that died while it was loaded by any image.",
        .options = options,
        .examples = "  mutatenn select out.db\n  mutatenn select out.db --out acceptance\n"
                    "  mutatenn select out.db --criterion label --device host-gcc --json\n",
        .min_positional = 1,
        .max_positional = 1,
        .run = run,
};
