/* misuse.c: the library answers wrong calls with errors, and a stopped campaign goes on; run by install.py */
#include <mutatenn.h>
#include <stdio.h>
#include <string.h>

static int wrong;

#define CHECK(x) ((x) ? (void)0 : (void)(wrong++, printf("line %d: %s: %d '%s'\n", __LINE__, #x, (int)e.code, e.text)))

static bool stop_now(const struct mutatenn_progress *p, void *user)
{
	(void)p;
	++*(int *)user;
	return false;
}

static bool first_only(const struct mutatenn_mutant *m, void *user)
{
	(void)m;
	++*(int *)user;
	return false;
}

static bool count_rows(const struct mutatenn_verdict *v, void *user)
{
	*(int *)user += strcmp(v->outcome, "not-run") != 0;
	return true;
}

static void models(const char *file, const char *picture)
{
	struct mutatenn_model *m = mutatenn_model_open(file, NULL);
	struct mutatenn_error e = {MUTATENN_OK, ""};
	struct mutatenn_top top[99];
	size_t n = 5;
	int seen = 0;

	CHECK(!mutatenn_model_open("nowhere.onnx", &e) && e.code == MUTATENN_IO && strstr(e.text, "nowhere.onnx"));
	CHECK(!mutatenn_model_open("nowhere.onnx", NULL));
	CHECK(!mutatenn_model_open(picture, &e) && e.code == MUTATENN_PARSE);
	CHECK(!mutatenn_infer(m, "no-device", 2, picture, top, 1, &n, &e) && e.code == MUTATENN_MISUSE && n == 0);
	CHECK(!mutatenn_infer(m, "host-gcc", 4, picture, top, 1, &n, &e) && e.code == MUTATENN_MISUSE);
	CHECK(!mutatenn_infer(m, "host-gcc", 2, file, top, 1, &n, &e) && e.code != MUTATENN_OK);
	CHECK(mutatenn_infer(m, "host-gcc", 2, picture, top, 99, &n, &e) && e.code == MUTATENN_OK && !*e.text);
	CHECK(n == (size_t)mutatenn_model_classes(m) && top[0].probability >= top[n - 1].probability);
	CHECK(!mutatenn_model_class_name(m, -1) && !mutatenn_model_class_name(m, 1 << 20));
	CHECK(!mutatenn_mutants(m, 2, "no-such-operator", NULL, 1, first_only, &seen, &e) && e.code == MUTATENN_MISUSE && !seen);
	CHECK(!mutatenn_mutants(m, 2, "loop.*", "some", 1, first_only, &seen, &e) && e.code == MUTATENN_MISUSE && !seen);
	CHECK(mutatenn_mutants(m, 2, "loop.*", "sample 9", 1, first_only, &seen, &e) && seen == 1);
	CHECK(!mutatenn_show(m, 2, "no/such/0/mutant", &e) && e.code == MUTATENN_MISUSE);
	mutatenn_model_close(m);
	mutatenn_model_close(NULL);
	mutatenn_free(NULL);
}

static void campaigns(const char *model, const char *picture, const char *store)
{
	struct mutatenn_campaign *c = mutatenn_campaign_new(model, picture);
	struct mutatenn_store *s;
	struct mutatenn_error e = {MUTATENN_OK, ""};
	int calls = 0, rows = 0;

	CHECK(!mutatenn_campaign_read("nowhere.yaml", &e) && e.code == MUTATENN_IO);
	CHECK(!mutatenn_campaign_set(c, "colour", "blue", &e) && e.code == MUTATENN_MISUSE && strstr(e.text, "opt-level"));
	CHECK(!mutatenn_campaign_set(c, "seed", "-1", &e) && e.code == MUTATENN_MISUSE);
	CHECK(!mutatenn_campaign_set(c, "devices", ",", &e) && e.code == MUTATENN_MISUSE);
	CHECK(mutatenn_campaign_set(c, "devices", "host-gcc", &e) && mutatenn_campaign_set(c, "mutations", "input.*", &e));
	CHECK(!mutatenn_campaign_run(c, store, stop_now, &calls, &e) && e.code == MUTATENN_CANCELLED && calls == 1);
	CHECK(mutatenn_campaign_run(c, store, NULL, NULL, &e) && e.code == MUTATENN_OK);
	mutatenn_campaign_close(c);
	mutatenn_campaign_close(NULL);
	CHECK(!mutatenn_store_open(model, &e) && e.code == MUTATENN_STORE);
	s = mutatenn_store_open(store, &e);
	CHECK(s && mutatenn_verdicts(s, count_rows, &rows, &e) && rows >= 9);
	CHECK(!mutatenn_rate(s, "luck", NULL, NULL, NULL, &e) && e.code == MUTATENN_MISUSE);
	mutatenn_store_close(s);
	mutatenn_store_close(NULL);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	mutatenn_set_verbose(false);
	models(argv[1], argv[2]);
	campaigns(argv[1], argv[2], argv[3]);
	return wrong != 0;
}
