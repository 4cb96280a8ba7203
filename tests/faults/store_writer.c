/* store_writer.c: puts results into a store, one after the other, telling of each that it is stored
 *
 * usage: store_writer STORE RESULTS ACK [retry]
 *
 * A store that has some of them is gone on with. Exit status 1 and the error on standard error when a put fails; with `retry` it is
 * tried a second time on the same open store.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "store/store.h"

#define IMAGES 3

static const int32_t label[] = {7, 2, 9};
static const float probability[] = {0.5f, 0.25f, 0.125f};
static float logits[200];

static struct store_answer answer(int i)
{
	return (struct store_answer){
	    .digest = {1, (uint64_t)i + 1}, .k = 3, .label = label, .probability = probability, .logits = logits, .nlogits = 200};
}

static bool begin(struct store *s, struct err *e)
{
	if (!store_begin(s, e))
		return false;
	if (!store_configure(s, "model: m\n", e) ||
	    !store_put_model(s, &(struct store_model){.name = "net", .file = "net.onnx", .hash = {1, 2}}, e) ||
	    !store_put_device(s, &(struct store_device){.name = "d", .backend = "cpu", .identity = "a", .describe = "b"}, e)) {
		store_rollback(s);
		return false;
	}
	for (int i = 0; i < IMAGES; i++) {
		char name[16];
		struct store_baseline b = {.device = "d", .image = i, .answer = answer(i)};

		snprintf(name, sizeof name, "%d.png", i);
		if (!store_put_image(s, &(struct store_image){.index = i, .name = name, .hash = {3, (uint64_t)i + 1}, .label = i},
				     e) ||
		    !store_put_baseline(s, &b, e)) {
			store_rollback(s);
			return false;
		}
	}
	return store_commit(s, e);
}

static bool put(struct store *s, int i, struct err *e)
{
	char id[32], diff[400];
	struct store_image_result im[IMAGES];
	struct store_result r = {.mutant = id, .device = "d", .image = im, .nimages = IMAGES, .message = "m", .run_s = 0.5};
	bool has;

	snprintf(id, sizeof id, "m%d", i);
	memset(diff, 'a' + i % 26, sizeof diff);
	diff[sizeof diff - 1] = 0;
	if (!store_has_result(s, id, "d", &has, e))
		return false;
	if (has) /* what comes behind it may be missing */
		return i % 7 || store_confirm(s, "d", e);
	for (int k = 0; k < IMAGES; k++)
		im[k] = (struct store_image_result){.image = k, .outcome = OUTCOME_DRIFTED, .answer = answer(k), .max_abs = 0.5};
	return store_put_mutant(s,
				&(struct store_mutant){.id = id,
						       .op = "op",
						       .category = "",
						       .target = "t",
						       .ordinal = "0",
						       .variant = "",
						       .sites = 1,
						       .diff = diff},
				e) &&
	       (i % 5 == 4 ? store_put_twin(s, "m0", id, "d", e) : store_put_result(s, &r, e)) &&
	       (i % 7 || store_confirm(s, "d", e));
}

int main(int argc, char **argv)
{
	int n = argc > 3 ? atoi(argv[2]) : 0, tries = argc > 4 ? 2 : 1, fd;
	struct store *s = NULL;
	struct err e = {0};
	bool ok = false;

	if (argc < 4 || (fd = open(argv[3], O_WRONLY | O_CREAT | O_APPEND, 0600)) < 0)
		return 2;
	for (int t = 0; t < tries && !ok; t++)
		ok = store_open(argv[1], STORE_WRITE, &s, &e);
	for (int t = 0, opened = ok; opened && t < tries && (!t || !ok); t++)
		ok = begin(s, &e);
	for (int i = 0; ok && i < n; i++) {
		char text[16];
		int length = snprintf(text, sizeof text, "%d\n", i);

		ok = false;
		for (int t = 0; t < tries && !ok; t++)
			ok = put(s, i, &e);
		if (ok && write(fd, text, (size_t)length) != length)
			abort();
	}
	store_close(s);
	if (!ok)
		fprintf(stderr, "%s\n", err_text(&e));
	err_free(&e);
	return !ok;
}
