/* test_select.c: the cover against brute force, its bounds, kills of a store, manifests of every sort */
#include "test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "select/select.h"
#include "test_report_store.h"

#define OK(call) cr_assert((call), "%s", err_text(&e))

/* ---- random problems ---- */

struct problem {
	size_t images, n;
	uint64_t row[400], weight[400]; /* up to 64 images */
	struct select_matrix *m;
};

static uint64_t state;

static uint64_t rnd(uint64_t n)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (state >> 33) % n;
}

static void make(struct arena *a, struct problem *p, size_t images, size_t rows, uint64_t sparse)
{
	p->images = images;
	p->n = rows;
	p->m = select_matrix_new(a, images);
	cr_assert_eq(select_row_words(p->m), 1u);
	for (size_t r = 0; r < rows; r++) {
		p->row[r] = (uint64_t)1 << rnd(images);
		for (size_t i = 0; i < images; i++)
			p->row[r] |= (uint64_t)(!rnd(sparse)) << i;
		p->weight[r] = 1 + rnd(9);
		cr_assert(select_matrix_add(p->m, &p->row[r], p->weight[r], NULL));
	}
}

static uint64_t kept(const struct problem *p, uint64_t set)
{
	uint64_t sum = 0;

	for (size_t r = 0; r < p->n; r++)
		sum += p->row[r] & set ? p->weight[r] : 0;
	return sum;
}

static uint64_t as_set(const struct select_cover *c)
{
	uint64_t set = 0;

	for (size_t i = 0; i < c->n; i++) {
		cr_assert(!i || c->image[i] > c->image[i - 1]);
		set |= (uint64_t)1 << c->image[i];
	}
	return set;
}

/* The least size of a set that keeps all, and for each size the most that can be kept. */
static size_t brute(const struct problem *p, uint64_t *most)
{
	uint64_t all = kept(p, UINT64_MAX);
	size_t best = p->images;

	memset(most, 0, (p->images + 1) * sizeof *most);
	for (uint64_t set = 0; set < (uint64_t)1 << p->images; set++) {
		size_t n = (size_t)__builtin_popcountll(set);
		uint64_t k = kept(p, set);

		most[n] = k > most[n] ? k : most[n];
		best = k == all && n < best ? n : best;
	}
	return best;
}

TEST(select, the_cover_of_small_problems_is_the_smallest_as_brute_force_finds_it)
{
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct arena *a = arena_new(NULL);
		struct problem p;
		struct select_cover c;
		uint64_t most[16];
		size_t best;

		state = seed;
		make(a, &p, 3 + rnd(9), 1 + rnd(40), 2 + rnd(6));
		best = brute(&p, most);
		select_cover(a, p.m, 0, 0, &c);
		cr_assert_eq(kept(&p, as_set(&c)), kept(&p, UINT64_MAX), "seed %d", (int)seed);
		cr_assert_eq(c.n, best, "seed %d: %zu, brute force %zu", (int)seed, c.n, best);
		cr_assert(c.smallest && c.lower == best && c.kept == c.kills && c.greedy >= c.n);
		arena_free(a);
	}
}

TEST(select, without_steps_for_a_search_the_bounds_still_hold)
{
	size_t gaps = 0;

	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct arena *a = arena_new(NULL);
		struct problem p;
		struct select_cover c;
		uint64_t most[16];
		size_t best;

		state = seed;
		make(a, &p, 8 + rnd(5), 20 + rnd(60), 2 + rnd(6));
		best = brute(&p, most);
		select_cover(a, p.m, 0, 1, &c);
		cr_assert_eq(kept(&p, as_set(&c)), kept(&p, UINT64_MAX), "seed %d", (int)seed);
		cr_assert(c.lower <= best && best <= c.n, "seed %d: %zu <= %zu <= %zu", (int)seed, c.lower, best, c.n);
		cr_assert(c.lower >= 1 && (!c.smallest || c.n == best));
		cr_assert((double)c.greedy <= c.greedy_bound * (double)best + (double)c.essential, "seed %d", (int)seed);
		gaps += c.lower < c.n;
		arena_free(a);
	}
	cr_assert(gaps > 0, "every problem was easy: nothing was shown");
}

TEST(select, a_limit_keeps_no_more_than_its_bound_and_at_least_what_greedy_promises)
{
	for (uint64_t seed = 1; seed <= 100; seed++) {
		struct arena *a = arena_new(NULL);
		struct problem p;
		uint64_t most[16];
		size_t best;

		state = seed;
		make(a, &p, 6 + rnd(5), 20 + rnd(60), 3 + rnd(6));
		best = brute(&p, most);
		for (size_t limit = 1; limit < best; limit++) {
			struct select_cover c;

			select_cover(a, p.m, limit, 0, &c);
			cr_assert(c.n <= limit && c.kept == kept(&p, as_set(&c)));
			cr_assert(c.kept <= most[limit] && most[limit] <= c.most, "seed %d", (int)seed);
			cr_assert((double)c.kept >= 0.632 * (double)most[limit], "seed %d", (int)seed);
			cr_assert(!c.smallest && c.lower == best);
		}
		arena_free(a);
	}
}

TEST(select, many_images_are_covered_and_equal_rows_are_one)
{
	struct arena *a = arena_new(NULL);
	struct select_matrix *m = select_matrix_new(a, 1000);
	size_t words = select_row_words(m);
	struct select_cover c;

	cr_assert_eq(words, 16u);
	state = 7;
	for (int r = 0; r < 20000; r++) {
		uint64_t bits[16] = {0};

		for (int i = 0; i < 1 + r % 7; i++) {
			size_t k = (size_t)rnd(40) * 25; /* 40 of the images kill anything */

			bits[k / 64] |= (uint64_t)1 << (k % 64);
		}
		cr_assert(select_matrix_add(m, bits, 1, NULL));
	}
	select_cover(a, m, 0, 0, &c);
	cr_assert_eq(c.n, 40u); /* rows of one image: every one of them occurs */
	cr_assert(c.smallest && c.essential == 40 && c.kills == 20000 && c.distinct < 20000 && !c.left);
	for (size_t i = 0; i < c.n; i++)
		cr_assert_eq(c.image[i], i * 25);
	arena_free(a);
}

TEST(select, the_answer_is_the_same_each_time)
{
	struct arena *a = arena_new(NULL);
	struct select_cover c[2];

	for (int i = 0; i < 2; i++) {
		struct problem p;

		state = 99;
		make(a, &p, 40, 300, 9);
		select_cover(a, p.m, 0, 200000, &c[i]);
	}
	cr_assert(c[0].n == c[1].n && c[0].lower == c[1].lower && c[0].steps == c[1].steps);
	cr_assert(!memcmp(c[0].image, c[1].image, c[0].n * sizeof *c[0].image));
	cr_assert_leq(c[0].lower, c[0].n);
	arena_free(a);
}

TEST(select, nothing_to_keep_needs_no_image)
{
	struct arena *a = arena_new(NULL);
	struct select_cover c;

	select_cover(a, select_matrix_new(a, 10), 0, 0, &c);
	cr_assert(!c.n && c.smallest && !c.kills);
	select_cover(a, select_matrix_new(a, 10), 3, 0, &c);
	cr_assert(!c.n);
	arena_free(a);
}

/* ---- a store ---- */

static void put(struct store *s, const char *id, const char *device, enum outcome o, const enum outcome *image)
{
	struct store_image_result im[SAMPLE_IMAGES];
	struct err e = {0};

	for (int i = 0; image && i < SAMPLE_IMAGES; i++)
		im[i] = (struct store_image_result){.image = i, .outcome = image[i], .answer = sample_answer(i, 0), .top1_equal = true};
	OK(store_put_result(
	    s, &(struct store_result){.mutant = id, .device = device, .outcome = o, .image = image ? im : NULL, .nimages = image ? SAMPLE_IMAGES : 0}, &e));
}

#define I OUTCOME_IDENTICAL
#define D OUTCOME_DRIFTED
#define R OUTCOME_REORDERED
#define M OUTCOME_MISCLASSIFIED
#define C OUTCOME_CRASH
#define N OUTCOME_NOT_RUN

static struct store *kills_store(const char *name)
{
	static const enum outcome images[][SAMPLE_IMAGES] = {{M, I, I, I}, {D, R, I, I}, {I, D, C, N}, {I, D, D, I}, {OUTCOME_UNSTABLE, M, I, I}};
	struct store *s = sample_empty(name);
	struct err e = {0};
	char text[16];

	for (int i = 0; i < SAMPLE_IMAGES; i++) {
		snprintf(text, sizeof text, "%d.png", i);
		OK(store_put_image(s, &(struct store_image){.index = i, .name = text, .hash = {3, (uint64_t)i + 1}, .label = i}, &e));
	}
	OK(store_put_device(s, &(struct store_device){.name = "a", .backend = "cpu", .identity = "a"}, &e));
	OK(store_put_device(s, &(struct store_device){.name = "b", .backend = "cpu", .identity = "b"}, &e));
	for (int i = 0; i < 6; i++) {
		snprintf(text, sizeof text, "op/%d", i);
		OK(store_put_mutant(s, &(struct store_mutant){.id = text, .op = "op", .category = "", .target = "t", .ordinal = "1", .variant = "", .sites = 1}, &e));
		if (i < 5)
			put(s, text, "a", I, images[i]);
	}
	put(s, "op/5", "b", C, NULL); /* dies while it is loaded */
	return s;
}

TEST(select, every_kill_counts_for_the_images_that_were_seen_to_keep_it)
{
	struct arena *a = arena_new(NULL);
	struct store *s = kills_store("kills");
	struct select_result r;
	struct err e = {0};
	char path[160];
	struct bytes csv;

	OK(select_from_store(a, s, &(struct select_options){0}, &r, &e));
	/* op/0: image 0 by all; op/1: 0 and 1 by numeric, 1 by topk; op/2: 2 by all (crash), 1 and 2 by numeric; op/3: 1 and 2; op/5: any */
	cr_assert_eq(r.cover.n, 3u);
	cr_assert(r.cover.image[0] == 0 && r.cover.image[1] == 1 && r.cover.image[2] == 2);
	cr_assert(r.cover.smallest && r.cover.essential == 3);
	cr_assert(r.kills[0] == 3 && r.kills[1] == 4 && r.kills[2] == 5, "%d %d %d", (int)r.kills[0], (int)r.kills[1], (int)r.kills[2]);
	cr_assert(r.kept[0] == 3 && r.kept[1] == 4 && r.kept[2] == 5);
	cr_assert_eq(r.anywhere, 3u);
	cr_assert_eq(r.lonely, 3u);
	cr_assert(r.nkills == 3 && !strcmp(r.kill[1].mutant, "op/1") && r.kill[1].image == 1 && r.kill[1].criteria == STORE_KILL_TOPK);
	cr_assert(r.alone[0] == 3 && r.alone[1] == 1 && r.alone[2] == 2 && !r.alone[3]);
	OK(select_from_store(a, s, &(struct select_options){.criteria = STORE_KILL_NUMERIC}, &r, &e));
	cr_assert_eq(r.cover.n, 2u);
	OK(select_from_store(a, s, &(struct select_options){.device = (const char *[]){"b"}, .ndevices = 1}, &r, &e));
	cr_assert_eq(r.cover.n, 1u);
	snprintf(path, sizeof path, "%s/kills.csv", sample_dir);
	OK(select_kills_csv(s, &(struct select_options){.criteria = STORE_KILL_LABEL}, &r, path, &e));
	OK(file_read(a, path, 0, &csv, &e));
	cr_assert_str_eq((const char *)csv.p, "mutant,device,criterion,needs,images_of_set,images_of_campaign,only_image\r\n"
					      "op/0,a,label,seen,1,1,0.png\r\nop/2,a,label,seen,0,1,2.png\r\nop/5,b,label,any,1,,\r\n");
	cr_assert(!select_from_store(a, s, &(struct select_options){.device = (const char *[]){"c"}, .ndevices = 1}, &r, &e));
	cr_assert(strstr(err_text(&e), "no device 'c'; it has 'a', 'b'"), "%s", err_text(&e));
	err_free(&e);
	store_close(s);
	sample_remove();
	arena_free(a);
}

TEST(select, a_store_without_images_is_an_error_and_one_without_kills_is_not)
{
	struct arena *a = arena_new(NULL);
	struct store *s = sample_empty("empty");
	struct select_result r;
	struct err e = {0};

	cr_assert(!select_from_store(a, s, &(struct select_options){0}, &r, &e));
	cr_assert(strstr(err_text(&e), "holds no images"), "%s", err_text(&e));
	err_free(&e);
	OK(store_put_image(s, &(struct store_image){.index = 0, .name = "x", .hash = {1, 1}, .label = -1}, &e));
	OK(select_from_store(a, s, &(struct select_options){0}, &r, &e));
	cr_assert(!r.cover.n && r.nimages == 1);
	store_close(s);
	sample_remove();
	arena_free(a);
}

/* ---- manifests ---- */

static const struct select_set *a_set(void)
{
	static struct select_device device = {"dev", "cpu", "id", "a \"device\"", "cpu", "f32", 16};
	static int32_t label[] = {3, 1};
	static float probability[] = {0.75f, 0.25f};
	static struct select_expected expected = {2, label, probability, {5, 6}, "expected/dev/x.png.npy", 0, 0.125};
	static struct select_image image = {"x.png", "images/x.png", {1, 2}, {3, 4}, -1, &expected, 0.5, 2};
	static char *passes[] = {"fuse"}, *more[] = {"winograd"};
	static struct select_set s = {.tool = "t", .store = "s.db", .model = "m", .model_file = "/m.onnx", .preprocess = "none", .output = "y",
				      .scores = "logits", .model_hash = {7, 8}, .opt_level = 2, .batch = 1, .top_k = 2, .disable_pass = passes,
				      .ndisable_pass = 1, .enable_pass = more, .nenable_pass = 1, .criteria = STORE_KILL_LABEL | STORE_KILL_NUMERIC, .device = &device, .ndevices = 1,
				      .image = &image, .nimages = 1, .result.nimages = 4};

	return &s;
}

static bool read_text(struct arena *a, const char *text, struct select_set *out, struct err *e)
{
	char path[] = "/tmp/mutatenn-manifest-XXXXXX";
	int fd = mkstemp(path);
	bool ok;

	cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	ok = select_manifest_read(a, path, out, e);
	cr_assert(ok || strstr(err_text(e), path), "the error does not name the file: %s", err_text(e));
	unlink(path);
	return ok;
}

TEST(select, a_manifest_reads_back_what_was_written)
{
	struct arena *a = arena_new(NULL);
	const struct select_set *w = a_set();
	struct select_set r;
	struct str text = {0};
	struct err e = {0};

	OK(select_manifest_text(w, &text, &e));
	OK(read_text(a, str_text(&text), &r, &e));
	cr_assert(!strcmp(r.model_file, w->model_file) && hash_eq(r.model_hash, w->model_hash) && r.criteria == w->criteria);
	cr_assert(r.ndevices == 1 && !strcmp(r.device[0].describe, "a \"device\"") && r.device[0].lanes == 16);
	cr_assert(r.nimages == 1 && r.image[0].expected[0].k == 2 && r.image[0].expected[0].label[0] == 3);
	cr_assert(r.image[0].tolerance == 0.5 && r.image[0].expected[0].margin == 0.125 && r.image[0].expected[0].probability[1] == 0.25f);
	cr_assert(hash_eq(r.image[0].input, w->image[0].input) && !strcmp(r.image[0].file, "images/x.png"));
	cr_assert(r.ndisable_pass == 1 && !strcmp(r.disable_pass[0], "fuse"));
	cr_assert(r.nenable_pass == 1 && !strcmp(r.enable_pass[0], "winograd"));
	str_free(&text);
	arena_free(a);
}

/* Replaces `from` in a good manifest and expects an error that says `want`. */
static void spoiled(const char *from, const char *to, const char *want)
{
	struct arena *a = arena_new(NULL);
	struct str text = {0}, bad = {0};
	struct select_set r;
	struct err e = {0};
	const char *at;

	cr_assert(select_manifest_text(a_set(), &text, NULL));
	at = strstr(str_text(&text), from);
	cr_assert_not_null(at, "'%s' is not in the manifest", from);
	str_addn(&bad, text.s, (size_t)(at - text.s));
	str_addf(&bad, "%s%s", to, at + strlen(from));
	cr_assert(!read_text(a, str_text(&bad), &r, &e), "'%s' was taken", to);
	cr_assert(strstr(err_text(&e), want), "'%s' instead of '%s': %s", to, from, err_text(&e));
	err_free(&e);
	str_free(&text);
	str_free(&bad);
	arena_free(a);
}

TEST(select, a_manifest_that_makes_no_sense_is_refused_and_the_field_named)
{
	spoiled("mutatenn-acceptance-set", "something", "is not the manifest of an acceptance set");
	spoiled("\"version\": 1", "\"version\": 2", "newer mutatenn");
	spoiled("\"version\": 1", "\"version\": 0", "'version' is out of range");
	spoiled("\"opt_level\": 2", "\"opt_level\": 9", "'compile.opt_level' is out of range");
	spoiled("\"opt_level\": 2", "\"opt_level\": \"2\"", "'compile.opt_level' must be a whole number");
	spoiled("\"images/x.png\"", "\"../x.png\"", "'images[0].file' must be the name of a file inside");
	spoiled("\"images/x.png\"", "\"/etc/passwd\"", "'images[0].file' must be the name of a file inside");
	spoiled("\"images/x.png\"", "\"images/../../x\"", "'images[0].file' must be the name of a file inside");
	spoiled("expected/dev/x.png.npy", "expected//x", "'images[0].expected[0].scores' must be the name of a file inside");
	spoiled("\"label\",", "\"labels\",", "'criteria' must be of label, topk and numeric");
	spoiled("\"class\": \"cpu\"", "\"class\": \"tpu\"", "'devices[0].class' must be cpu or gpu");
	spoiled("\"device\": \"dev\"", "\"device\": \"dove\"", "'images[0].expected[0].device' is not the device");
	spoiled("\"index\": 3", "\"index\": -3", "'images[0].expected[0].top[0].index' is out of range");
	spoiled("\"hash\": \"0000000000000007", "\"hash\": \"x000000000000007", "'model.hash' must be 32 hexadecimal digits");
	spoiled("\"images\": [\n    {", "\"images\": [\n 7, {", "must be a mapping");
	spoiled("\"margin\": 0.125", "\"margin\": []", "'images[0].expected[0].margin' must be a number");
	spoiled("\"format\"", "\"format\": 1, \"format\"", "duplicate");
	spoiled("}", "", "");
}
