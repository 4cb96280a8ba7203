/* campaign.c: from a model to verdicts - list mutants, look at one, run a campaign with progress, read what it found
 *
 * cc campaign.c $(pkg-config --cflags --libs mutatenn) -o campaign && ./campaign net.onnx photos/ out.db
 */
#include <mutatenn.h>
#include <stdio.h>
#include <string.h>

struct seen {
	char first[256]; /* id of the first mutant with a site */
	int mutants, verdicts, survived;
	unsigned long long done;
};

static bool on_mutant(const struct mutatenn_mutant *m, void *user)
{
	struct seen *s = user;

	s->mutants++;
	if (!*s->first && m->sites)
		snprintf(s->first, sizeof s->first, "%s", m->id);
	return true;
}

static bool on_progress(const struct mutatenn_progress *p, void *user)
{
	struct seen *s = user;

	s->done = p->done;
	return true; /* false would stop it; the same call goes on from there */
}

static bool on_verdict(const struct mutatenn_verdict *v, void *user)
{
	struct seen *s = user;

	s->verdicts++;
	if (v->counted && !v->killed_label) {
		s->survived++;
		printf("not seen in the first label: %s on %s (%s)\n", v->mutant, v->device, v->outcome);
	}
	return true;
}

static void on_rate(const struct mutatenn_rate *r, void *user)
{
	printf("%s: %lld of %lld killed, %.1f %% (%.1f .. %.1f)\n", (const char *)user, (long long)r->killed, (long long)r->counted, r->percent, r->low, r->high);
}

static bool look(const char *model, struct seen *s, struct mutatenn_error *e)
{
	struct mutatenn_model *m = mutatenn_model_open(model, e);
	bool ok = m && mutatenn_mutants(m, 2, "mutatenn-paper", NULL, 1, on_mutant, s, e);
	char *diff = ok ? mutatenn_show(m, 2, s->first, e) : NULL;

	if (diff)
		printf("%d mutants; the first, %s:\n%s\n", s->mutants, s->first, diff);
	mutatenn_free(diff);
	mutatenn_model_close(m);
	return diff != NULL;
}

static bool run(const char *model, const char *images, const char *store, struct seen *s, struct mutatenn_error *e)
{
	struct mutatenn_campaign *c = mutatenn_campaign_new(model, images);
	bool ok = mutatenn_campaign_set(c, "devices", "host-gcc,host-clang", e) && mutatenn_campaign_set(c, "image-sample", "4", e) &&
		  mutatenn_campaign_run(c, store, on_progress, s, e);

	mutatenn_campaign_close(c);
	return ok;
}

static bool read_verdicts(const char *file, struct seen *s, struct mutatenn_error *e)
{
	struct mutatenn_store *store = mutatenn_store_open(file, e);
	bool ok = store && mutatenn_verdicts(store, on_verdict, s, e) && mutatenn_rate(store, "label", NULL, on_rate, "label", e) &&
		  mutatenn_rate(store, "numeric", "host-gcc", on_rate, "numeric on host-gcc", e);

	mutatenn_store_close(store);
	return ok;
}

int main(int argc, char **argv)
{
	struct mutatenn_error e;
	struct seen s;

	memset(&s, 0, sizeof s);
	if (argc != 4) {
		fprintf(stderr, "usage: campaign MODEL IMAGES STORE\n");
		return 2;
	}
	mutatenn_set_verbose(false);
	if (!look(argv[1], &s, &e) || !run(argv[1], argv[2], argv[3], &s, &e) || !read_verdicts(argv[3], &s, &e)) {
		fprintf(stderr, "%s\n", e.text);
		return 1;
	}
	printf("%llu jobs, %d verdicts, %d not seen in the first label\n", s.done, s.verdicts, s.survived);
	return 0;
}
