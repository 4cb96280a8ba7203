/* classify.c: a program of others, linked with the installed library: the best class of a picture, run in a worker process */
#include <stdio.h>

#include "base/arena.h"
#include "base/err.h"
#include "campaign/campaign.h"

static bool classify(struct arena *a, const char *file, const char *picture, struct err *e)
{
	struct pool_device device = {.name = "here", .backend = "cpu", .cc = "gcc"};
	struct pool_input in = {.name = picture, .ntensors = 1};
	struct pool_job job = {.input = &in, .ninputs = 1};
	struct camp_program program;
	struct pool_result result;
	struct camp_model *model;
	struct camp_input *input;
	struct pool *pool;
	int32_t best;
	size_t n;
	bool got;

	if (!camp_model_load(a, file, &(struct camp_model_options){0}, &model, e) || !camp_inputs(a, model, &picture, 1, NULL, &input, &n, e) ||
	    !camp_program_build(a, model, 2, NULL, 0, &CAMP_TARGET_HOST, &program, e) || !pool_open(&device, 1, &pool, e))
		return false;
	in.tensor = (const struct tensor *const *)&input->tensor;
	job.bundle = program.bundle;
	if (pool_device_error(pool, 0) || !pool_submit(pool, &job, e) || !pool_wait(pool, a, -1, &got, &result, e) || result.status != POOL_DONE)
		return err_set(e, ERR_DEVICE, "not run");
	topk_f32(camp_scores(a, model, result.image->output), model->classes, 1, &best);
	puts(camp_class_name(model, best));
	pool_close(pool);
	return true;
}

int main(int argc, char **argv)
{
	struct arena *a = arena_new(NULL);
	struct err e = {0};
	bool ok = argc == 3 && classify(a, argv[1], argv[2], &e);

	if (!ok)
		fprintf(stderr, "%s\n", err_text(&e));
	err_free(&e);
	arena_free(a);
	return !ok;
}
