/* test_config.c: campaigns as people write them, and every way to write them wrong */
#include "test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "config/config.h"

static char path[] = "/tmp/mutatenn-config-XXXXXX";
static struct arena *a;

static void write_yaml(const char *text, size_t n)
{
	int fd;

	strcpy(path, "/tmp/mutatenn-config-XXXXXX");
	fd = mkstemp(path);
	cr_assert(fd >= 0 && write(fd, text, n) == (ssize_t)n);
	close(fd);
	a = arena_new(NULL);
}

static bool campaign(const char *text, struct config_campaign *c, struct err *e)
{
	bool ok;

	write_yaml(text, strlen(text));
	ok = config_campaign_read(a, path, c, e);
	unlink(path);
	return ok;
}

/* The error must name the file, and then say this. */
static void refuses(const char *text, const char *want)
{
	struct config_campaign c;
	struct err e = {0};

	cr_expect_not(campaign(text, &c, &e), "was read: %s", text);
	cr_expect(!strncmp(err_text(&e), path, strlen(path)) && strstr(err_text(&e) + strlen(path), want), "want '%s', got '%s'",
		  want, err_text(&e));
	err_free(&e);
	arena_free(a);
}

#define BASE "model: m.onnx\nimages: photos/\ndevices: [host-gcc]\nmutations:\n  - preset: mutatenn-paper\n"

TEST(config, the_reference_describes_every_key)
{
	struct str s = {0};
	struct err e = {0};

	cr_assert(config_keys_markdown(&s, &e), "%s", err_text(&e));
	cr_expect_not_null(strstr(str_text(&s), "| `opt-level` | whole number, 0 to 3 | 2 |"));
	cr_expect_not_null(strstr(str_text(&s), "| `model` | text | **required** |"));
	cr_expect_not_null(strstr(str_text(&s), "| `scores` | `auto`, `logits` or `probabilities` | `auto` |"));
	cr_expect_not_null(strstr(str_text(&s), "| `logits` | `true` or `false` | `true` |"));
	str_free(&s);
}

TEST(config, reads_the_documented_example)
{
	static const char text[] =
	    "model: mobilenetv2.onnx                 # a campaign\n"
	    "images: photos/\n"
	    "devices: [host-gcc, host-clang, pocl, board]\n"
	    "device-definitions:\n"
	    "  - {name: board, backend: cpu, worker: [ssh, board, mutatenn-worker], cc: aarch64-linux-gnu-gcc}\n"
	    "  - name: odd\n    cflags: []\n    env: [A=b, C=]\n    threads: 3\n"
	    "opt-level: 3\nenable-pass: [winograd]\n"
	    "mutations:\n"
	    "  - preset: mutatenn-paper\n"
	    "  - operator: loop.cond.*\n    sites: sample 200\n"
	    "  - {operator: x, variant: to-*, target: conv1*, sites: 2-7}\n"
	    "criteria: [numeric, label]\n"
	    "seed: 18446744073709551615\nmemory: 512M\nmutant-memory: 2G\ntime-limit-factor: 2.5\nfail-under: 80\nlogits: false\n";
	struct config_campaign c;
	struct err e = {0};

	cr_assert(campaign(text, &c, &e), "%s", err_text(&e));
	cr_expect_str_eq(c.model, "mobilenetv2.onnx");
	cr_expect(c.ndevices == 4 && !strcmp(c.devices[3], "board"));
	cr_expect(c.ndefinitions == 2 && c.definitions[0].nworker == 3 && !strcmp(c.definitions[0].worker[2], "mutatenn-worker"));
	cr_expect_null(c.definitions[0].cflags, "not given: the default");
	cr_expect(c.definitions[1].cflags && !c.definitions[1].ncflags, "given and empty: none");
	cr_expect(c.definitions[1].threads == 3 && c.definitions[1].nenv == 2 && !strcmp(c.definitions[1].backend, "cpu"));
	cr_expect(c.opt_level == 3 && c.nmutations == 3 && !c.mutations[0].op && !c.mutations[0].sites_text);
	cr_expect(c.nenable_pass == 1 && !strcmp(c.enable_pass[0], "winograd") && strstr(config_text(a, &c), "enable-pass: [winograd]\n"));
	cr_expect(c.mutations[1].sites == SITES_SAMPLE && c.mutations[1].sample == 200);
	cr_expect(!strcmp(c.mutations[2].variant, "to-*") && !strcmp(c.mutations[2].target, "conv1*") && !c.mutations[1].variant);
	cr_expect(c.mutations[2].sites == SITES_RANGE && c.mutations[2].first == 2 && c.mutations[2].last == 7);
	cr_expect_eq(c.criteria, CONFIG_LABEL | CONFIG_NUMERIC);
	cr_expect_str_eq(c.fail_under_criterion, "numeric");
	cr_expect(c.seed == UINT64_MAX && c.memory == (uint64_t)512 << 20 && c.time_limit_factor == 2.5 && c.fail_under == 80);
	cr_expect(c.batch == 1 && c.top_k == 5 && c.controls == 50 && c.control_mutants == 6 && c.repeat == 3 && !c.keep_logits && !c.scores_given);
	cr_expect(config_device_find(&c, "board") == &c.definitions[0] && !config_device_find(&c, "pocl"));
	cr_expect_str_eq(config_path(a, &c, "x/y"), "/tmp/x/y");
	cr_expect_str_eq(config_path(a, &c, "/x/y"), "/x/y");
	arena_free(a);
}

TEST(config, names_line_and_key_of_every_mistake)
{
	refuses(BASE "opt-levle: 2\n", ":6: 'opt-levle' is not a key here (did you mean 'opt-level'?)");
	refuses(BASE "zzzzzzzzz: 2\n", ":6: 'zzzzzzzzz' is not a key here");
	refuses("model: m\nimages: i\nmutations: [{preset: p}]\n", ":1: 'devices' is missing");
	refuses(BASE "batch: two\n", ":6: 'batch' must be a whole number, not 'two'");
	refuses(BASE "batch: 2x\n", ":6: 'batch' must be a whole number");
	refuses(BASE "batch: 010\n", ":6: 'batch' must be a whole number");
	refuses(BASE "batch: 99999999999\n", ":6: 'batch' is out of range");
	refuses(BASE "batch: 0\n", ":6: 'batch' must be 1 to 1024, not 0");
	refuses(BASE "seed: -1\n", ":6: 'seed' must be a whole number");
	refuses(BASE "seed: 18446744073709551616\n", ":6: 'seed' is out of range");
	refuses(BASE "opt-level: 4\n", ":6: 'opt-level' must be 0 to 3, not 4");
	refuses(BASE "opt-level:\n", ":6: 'opt-level' has no value");
	refuses(BASE "opt-level: [1]\n", ":6: 'opt-level' must be a single value, not a list");
	refuses(BASE "time-limit-factor: nan\n", ":6: 'time-limit-factor' must be a number");
	refuses(BASE "logits: perhaps\n", ":6: 'logits' must be true or false");
	refuses(BASE "scores: softmax\n", ":6: 'scores' must be one of 'auto', 'logits', 'probabilities', not 'softmax'");
	refuses(BASE "criteria: [label, feeling]\n", ":6: 'criteria[2]' must be one of");
	refuses(BASE "criteria: label\n", ":6: 'criteria' must be a list");
	refuses(BASE "memory: lots\n", ":6: 'lots' is no size");
	refuses(BASE "mutant-memory: lots\n", ":6: 'lots' is no size");
	refuses(BASE "memory: 99999999999T\n", ":6: '99999999999T' is no size");
	refuses(BASE "fill: zeros\n", ":6: 'zeros' is no fill: nan, zero, stale, or random(7) with any number");
	refuses(BASE "fail-under: -3\n", ":6: 'fail-under' must be 0 to 100");
	refuses(BASE "model: again\n", ":6: 'model' is given twice (first on line 1)");
	refuses(BASE "device-definitions:\n  - {backend: cpu}\n", ":7: 'device-definitions[1].name' is missing");
	refuses(BASE "device-definitions:\n  - name: a\n  - name: a\n", ":8: device 'a' is defined twice");
	refuses(BASE "device-definitions:\n  - name: a\n    colour: red\n", ":8: 'colour' is not a key here");
	refuses(BASE "device-definitions:\n  - name: a\n    env: [PATH]\n",
		":8: 'device-definitions[1].env[1]' must be NAME=value");
	refuses(BASE "device-definitions:\n  - name: ../a\n", ":7: '../a' is not a name");
	refuses(BASE "device-definitions:\n  - {name: a, count: 2, runners: 2}\n", ":7: 'count' and 'runners' are the same");
	refuses(BASE "device-definitions:\n  - name: a\n    blob-cache: lots\n", ":8: 'lots' is no size");
	refuses(BASE "device-definitions:\n  - name: a\n    reconnect: -1\n",
		":8: 'device-definitions[1].reconnect' must be 0 to 86400");
	refuses("model: m\nimages: i\ndevices: [a,\n  b, a]\nmutations: [{preset: p}]\n", ":4: device 'a' is listed twice");
	refuses("model: m\nimages: i\ndevices: []\nmutations: [{preset: p}]\n", ":3: 'devices' needs at least 1 entry");
	refuses("model: m\nimages: i\ndevices: [a]\nmutations:\n  - sites: each\n",
		":5: 'mutations[1]' needs a preset or an operator");
	refuses("model: m\nimages: i\ndevices: [a]\nmutations:\n  - {operator: x, preset: y}\n", "not both");
	refuses("model: m\nimages: i\ndevices: [a]\nmutations:\n  - operator: x\n    sites: 5-1\n", ":6: '5-1' are no sites");
}

TEST(config, refuses_hostile_yaml)
{
	struct config_campaign c;
	struct err e = {0};
	struct str s = {0};

	refuses("", ":1: the file is empty");
	refuses("[]\n", ":1: the file must be a mapping");
	refuses("{model: [[[[[[[[[[[[[[[[[[[[[[[[", "'model' must be a single value");
	refuses("a: &a [x]\nb: *a\n", "'a' is not a key");
	refuses("model: &a x\nimages: *a\n", ":2: aliases ('*a') are not allowed");
	refuses(BASE "---\nmodel: b\n", ":6: the file holds more than one document");
	refuses("model: \"a\\0b\"\n", ":1: 'model' holds a NUL character");
	refuses("model: \"a\n", "not YAML");
	refuses("model: a\n\tb: c\n", "not YAML");
	refuses("? [a, b]\n: c\n", ":1: a key must be a word");
	refuses("model: \x01\n", "not YAML");
	str_add(&s, "devices: [");
	for (int i = 0; i < 300; i++)
		str_addf(&s, "d%d, ", i);
	refuses(str_text(&s), "'devices' has more than 256 entries");
	str_clear(&s);
	for (int i = 0; i < 200000; i++)
		str_add(&s, "[{");
	refuses(str_text(&s), ":1: the file must be a mapping");
	str_clear(&s);
	for (int i = 0; i < (1 << 20) + 1; i++)
		str_addc(&s, '#');
	cr_expect_not(campaign(str_text(&s), &c, &e));
	cr_expect(strstr(err_text(&e), "cannot read"), "%s", err_text(&e));
	err_free(&e);
	arena_free(a);
	str_free(&s);
}

TEST(config, only_devices_with_a_worker_command_keep_blobs)
{
	struct config_campaign c;

	cr_assert(campaign(BASE "device-definitions:\n  - {name: a}\n  - {name: b, worker: [ssh, b, w]}\n"
				"  - {name: c, worker: [w], blob-cache: 0, reconnect: 0}\n  - {name: d, blob-cache: 64K}\n",
			   &c, NULL));
	cr_expect_eq(c.definitions[0].blob_cache, 0u);
	cr_expect_eq(c.definitions[1].blob_cache, (uint64_t)2 << 30);
	cr_expect_eq(c.definitions[2].blob_cache, 0u);
	cr_expect_eq(c.definitions[3].blob_cache, 65536u);
	cr_expect_eq(c.definitions[1].reconnect, 60);
	cr_expect_eq(c.definitions[2].reconnect, 0);
	arena_free(a);
}

TEST(config, text_differs_exactly_where_results_may)
{
	struct config_campaign c, d;
	struct arena *first;
	char *t, *u;

	cr_assert(campaign(BASE, &c, NULL));
	first = a;
	cr_assert(campaign(BASE "threads: 7\nstore: other.db\nfail-under: 3\n", &d, NULL));
	t = config_text(first, &c);
	cr_expect_str_eq(t, config_text(a, &d));
	cr_expect(strstr(t, "\nopt-level: 2\n") && strstr(t, "\nmutation 1: preset mutatenn-paper, sites -\n"), "%s", t);
	arena_free(a);
	cr_assert(campaign(BASE "top-k: 3\n", &d, NULL));
	u = config_text(a, &d);
	cr_expect_str_neq(t, u);
	d.top_k = 5;
	d.model = "m.onnx\nimages: x";
	u = config_text(a, &d);
	cr_expect_eq(strstr(u, "\nimages: x"), NULL, "a value cannot pose as a line");
	arena_free(a);
	arena_free(first);
}

TEST(config, reads_the_facts_beside_a_model)
{
	static const char text[] =
	    "preprocess: resize=256,crop=224,mean=127.5,std=127.5\nlabel-offset: 1\nlabels: names.txt\nscores: probabilities\n";
	struct config_sidecar s;
	struct err e = {0};

	write_yaml(text, strlen(text));
	cr_assert(config_sidecar_read(a, path, &s, &e), "%s", err_text(&e));
	cr_expect(s.label_offset == 1 && s.scores_given && s.scores == SCORES_PROBABILITIES && !s.output);
	cr_expect_str_eq(s.preprocess, "resize=256,crop=224,mean=127.5,std=127.5");
	cr_expect_str_eq(s.labels, "/tmp/names.txt");
	arena_free(a);
	unlink(path);
	write_yaml("label-offset: one\n", 18);
	cr_expect_not(config_sidecar_read(a, path, &s, &e));
	cr_expect(strstr(err_text(&e), ":1: 'label-offset' must be a whole number"), "%s", err_text(&e));
	err_free(&e);
	arena_free(a);
	unlink(path);
}

TEST(config, finds_the_file_beside_a_model)
{
	struct arena *b = arena_new(NULL);
	char *model, *yaml;

	write_yaml("a: b\n", 5);
	yaml = arena_printf(b, "%s.yaml", path);
	model = arena_printf(b, "%s.onnx", path);
	cr_expect_null(config_sidecar_path(b, model));
	cr_assert(file_write(yaml, "", 0, NULL));
	cr_expect_str_eq(config_sidecar_path(b, model), yaml);
	cr_expect_str_eq(config_sidecar_path(b, path), yaml);
	unlink(yaml);
	unlink(path);
	arena_free(a);
	arena_free(b);
}

TEST(config, reads_definitions_alone)
{
	struct config_device *d;
	struct err e = {0};
	size_t n;

	write_yaml("device-definitions: [{name: a, cc: tcc}]\n", 41);
	cr_assert(config_devices_read(a, path, &d, &n, &e), "%s", err_text(&e));
	cr_expect(n == 1 && !strcmp(d->cc, "tcc") && !strcmp(d->backend, "cpu") && !d->cflags);
	unlink(path);
	arena_free(a);
}

TEST(config, parses_sites_and_sizes)
{
	static const char *const bad[] = {
	    "", "0", "-1", "1-", "1-0", "sample", "sample 0", "sample x", "every", "1 - 5", "99999999999999999999",
	    "5-3", "1-2-3", "each ", "sample -1",
	    "sample %", "sample 0%", "sample 100%", "sample -1%", "sample 2% ", "sample nan%"};
	struct config_mutation m = {0};
	uint64_t n;

	cr_expect(config_sites_parse("each", &m, NULL) && m.sites == SITES_EACH);
	cr_expect(config_sites_parse("all", &m, NULL) && m.sites == SITES_ALL);
	cr_expect(config_sites_parse("4", &m, NULL) && m.sites == SITES_RANGE && m.first == 4 && m.last == 4);
	cr_expect(config_sites_parse("sample 2.5%", &m, NULL) && m.sites == SITES_SAMPLE && !m.sample && m.sample_error == 0.025);
	cr_expect(config_sites_parse("sample 50", &m, NULL) && m.sample == 50 && m.sample_error == 0);
	cr_expect(config_sites_parse("1-5", &m, NULL) && m.sites == SITES_RANGE && m.first == 1 && m.last == 5);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct err e = {0};

		cr_expect_not(config_sites_parse(bad[i], &m, &e), "%s", bad[i]);
		cr_expect(strstr(err_text(&e), bad[i]), "%s", err_text(&e));
		err_free(&e);
	}
	cr_expect(config_bytes_parse("4096", &n, NULL) && n == 4096);
	cr_expect(config_bytes_parse("2G", &n, NULL) && n == (uint64_t)2 << 30);
	cr_expect(!config_bytes_parse("2GB", &n, NULL) && !config_bytes_parse("-2", &n, NULL) &&
		  !config_bytes_parse("K", &n, NULL));
}

TEST(config, parses_what_lies_where_nobody_wrote)
{
	static const char *const bad[] = {"", "random", "random()", "random(-1)", "random(7", "random(7) ", "random(99999999999999999999)", "NaN", "nan "};
	unsigned kind = 9;
	uint64_t seed = 9;

	cr_expect(config_fill_parse(NULL, &kind, &seed, NULL) && kind == 0 && seed == 0);
	cr_expect(config_fill_parse("nan", &kind, &seed, NULL) && kind == 0);
	cr_expect(config_fill_parse("zero", &kind, &seed, NULL) && kind == 1);
	cr_expect(config_fill_parse("random(18446744073709551615)", &kind, &seed, NULL) && kind == 2 && seed == UINT64_MAX);
	cr_expect(config_fill_parse("stale", &kind, &seed, NULL) && kind == 3);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_expect_not(config_fill_parse(bad[i], &kind, &seed, NULL), "%s", bad[i]);
}

TEST(config, missing_files_are_named)
{
	struct arena *b = arena_new(NULL);
	struct config_campaign c;
	struct err e = {0};

	cr_expect_not(config_campaign_read(b, "/nowhere/c.yaml", &c, &e));
	cr_expect(strstr(err_text(&e), "/nowhere/c.yaml"));
	err_free(&e);
	arena_free(b);
}

TEST(config, reads_where_a_device_builds_and_what_it_does_with_denormals)
{
	static const char text[] =
	    "device-definitions:\n  - {name: a, builder: [mutatenn-worker], cc: x-gcc, denormals: flush}\n  - {name: b}\n";
	static const char bad[] = "device-definitions:\n  - name: a\n    denormals: sometimes\n";
	struct config_device *d;
	struct err e = {0};
	size_t n;

	write_yaml(text, strlen(text));
	cr_assert(config_devices_read(a, path, &d, &n, &e), "%s", err_text(&e));
	cr_expect(n == 2 && d[0].nbuilder == 1 && !strcmp(d[0].builder[0], "mutatenn-worker") && !strcmp(d[0].denormals, "flush"));
	cr_expect(!d[1].builder && !d[1].denormals);
	arena_free(a);
	unlink(path);
	write_yaml(bad, strlen(bad));
	cr_expect_not(config_devices_read(a, path, &d, &n, &e));
	cr_expect(strstr(err_text(&e), ":3: 'device-definitions[1].denormals' must be 'keep' or 'flush', not 'sometimes'"), "%s",
		  err_text(&e));
	err_free(&e);
	arena_free(a);
	unlink(path);
}
