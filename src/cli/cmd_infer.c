/* cmd_infer.c: classify inputs on one device */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "campaign/campaign.h"
#include "cli/cli.h"
#include "cli/cli_json.h"

static const struct cli_option options[] = {
        CLI_OPT_DEVICE, CLI_OPT_DEFINITIONS, CLI_OPT_LEVEL, CLI_OPT_DISABLE, CLI_OPT_BATCH, CLI_OPT_THREADS, CLI_OPT_PREPROCESS, CLI_OPT_OUTPUT,
        {"top", CLI_INT, "K", "classes per input (default: 5)"},
        {"npy", CLI_TEXT, "DIR", "write the scores of each input as DIR/NAME.npy, float32"},
        {"repeat", CLI_INT, "N", "time N whole runs per input and report the median (default: 1)"},
        {"warmup", CLI_INT, "N", "runs before those that are timed (default: 0)"},
        {"launches", CLI_FLAG, NULL, "with --repeat: the mean time of each launch, by the device's clock, and of transfers"},
        CLI_OPT_JSON, CLI_OPT_QUIET, CLI_OPT_END};

/* taken: names given to earlier inputs; cat.png and cat.jpg become cat.npy and cat_2.npy. */
static bool write_npy(const struct cli_args *args, const struct camp_input *in, const struct camp_model *m, const struct tensor *outputs,
                      struct map *taken, struct err *e)
{
	const char *dir = cli_text(args, "npy", NULL), *stem = file_stem(args->a, in->name), *name = stem;
	struct tensor t = outputs[m->output];

	if (!dir)
		return true;
	t.dtype = DT_F32;
	t.data = (void *)camp_scores(args->a, m, outputs);
	for (int i = 2; map_has(taken, name); i++)
		name = arena_printf(args->a, "%s_%d", stem, i);
	map_put(taken, name, taken);
	return file_mkdirs(dir, e) && npy_write(file_join(args->a, dir, arena_printf(args->a, "%s.npy", name)), &t, e);
}

/* The sign of a NaN is an accident. */
static double number(double x)
{
	return isnan(x) ? (double)NAN : x;
}

static void print_one(struct arena *a, const struct camp_input *in, const struct pool_image *im, const struct store_answer *x, const float *scores,
                      const struct camp_model *m)
{
	printf("%s  (%.2f ms)\n", cli_shown(a, in->name), im->time_s * 1e3);
	for (int i = 0; i < x->k; i++) {
		printf("  %5d  %7.3f %%  %10.4f  %s\n", x->label[i], number(x->probability[i] * 100), number(scores[x->label[i]]),
		       cli_shown(a, camp_class_name(m, x->label[i])));
	}
}

static void print_launches(const struct pool_image *im, const struct bundle *b)
{
	if (!im->launch_s)
		return;
	for (uint32_t i = 0; i < b->nlaunches; i++)
		printf("  %9.4f ms  %s\n", im->launch_s[i] * 1e3, b->launch[i].name);
	printf("  %9.4f ms  (transfers, not in the times)\n", im->transfer_s * 1e3);
}

static json_t *json_launches(const struct pool_image *im, const struct bundle *b)
{
	json_t *list = json_array();

	for (uint32_t i = 0; im->launch_s && i < b->nlaunches; i++)
		json_array_append_new(list, json_pack("{s:s,s:f}", "name", b->launch[i].name, "time_ms", im->launch_s[i] * 1e3));
	return list;
}

static json_t *json_one(const struct camp_input *in, const struct pool_image *im, const struct store_answer *x, const float *scores,
                        const struct camp_model *m, int repeat, const struct bundle *launches)
{
	json_t *top = json_array(), *times = json_array();

	for (int i = 0; i < x->k; i++)
		json_array_append_new(top, json_pack("{s:i,s:o,s:o,s:o}", "index", x->label[i], "label", cli_json_text(camp_class_name(m, x->label[i])),
		                                     "probability", cli_json_number(x->probability[i]), "logit",
		                                     cli_json_number(scores[x->label[i]])));
	for (int i = 0; im->times_s && i < repeat; i++)
		json_array_append_new(times, json_real(im->times_s[i] * 1e3));
	return json_pack("{s:o,s:f,s:o,s:f,s:o*,s:o,s:i}", "input", cli_json_text(in->name), "time_ms", im->time_s * 1e3, "times_ms", times,
	                 "transfer_ms", im->transfer_s * 1e3, "launches", launches ? json_launches(im, launches) : NULL, "top", top, "class",
	                 (int)in->label);
}

/* What the program needs at least: weights as they are read, tensors alive at a time. */
static json_t *json_memory(const struct bundle *b)
{
	uint64_t constants, tensors;

	pool_planned_bytes(b, &constants, &tensors);
	return json_pack("{s:I,s:I}", "weights_bytes", (json_int_t)constants, "tensors_bytes", (json_int_t)tensors);
}

static bool show_results(const struct cli_args *args, const struct camp_model *m, const struct camp_input *in, size_t n, const struct pool_result *r,
                         int repeat, const char *device, const struct bundle *b, struct err *e)
{
	json_t *list = json_array();
	int64_t k = cli_int(args, "top", 5);
	struct map *taken = map_new(args->a);

	if (k > m->classes)
		k = m->classes;
	for (size_t i = 0; i < n; i++) {
		const float *scores = camp_scores(args->a, m, r->image[i].output);
		struct store_answer x;

		camp_answer(args->a, m, scores, m->classes, (int)k, &x);
		for (int64_t c = 0; c < m->classes; c++)
			if (!isfinite(scores[c])) {
				log_warn("'%s': scores are NaN or Inf: what is listed first is no answer", in[i].name);
				break;
			}
		if (!write_npy(args, &in[i], m, r->image[i].output, taken, e))
			return json_decref(list), false;
		if (cli_flag(args, "json"))
			json_array_append_new(list, json_one(&in[i], &r->image[i], &x, scores, m, repeat, cli_flag(args, "launches") ? b : NULL));
		else
			print_one(args->a, &in[i], &r->image[i], &x, scores, m);
		if (cli_flag(args, "launches") && !cli_flag(args, "json"))
			print_launches(&r->image[i], b);
	}
	if (cli_flag(args, "json"))
		return cli_print_json(json_pack("{s:s,s:o,s:f,s:i,s:i,s:o}", "device", device, "inputs", list, "build_s", r->build_s, "kernels_built",
		                                (int)r->kernels_built, "kernels_cached", (int)r->kernels_cached, "memory", json_memory(b)), e);
	json_decref(list);
	return true;
}

/* Runs everything as one job and waits for it. */
static bool infer(const struct cli_args *args, struct pool *pool, const struct bundle *b, const struct camp_input *in, size_t n, struct pool_result *r,
                  struct err *e)
{
	struct pool_input *pi = ARENA_ARRAY(args->a, struct pool_input, n);
	struct pool_job job = {.bundle = b, .input = pi, .ninputs = n, .once = true, .repeat = (int)cli_int(args, "repeat", 0), .warmup = (int)cli_int(args, "warmup", 0)};
	bool got = false;

	if (job.repeat < 0 || job.repeat > 100000 || job.warmup < 0 || job.warmup > 100000)
		return err_set(e, ERR_USAGE, "--repeat and --warmup take 0 to 100000");
	if (cli_get(args, "repeat")->given && !job.repeat)
		return err_set(e, ERR_USAGE, "--repeat takes 1 to 100000");
	if (cli_flag(args, "launches") && !job.repeat && !job.warmup)
		return err_set(e, ERR_USAGE, "--launches is of runs that are timed: say how many with --repeat");
	if (job.warmup && !job.repeat)
		job.repeat = 1;
	for (size_t i = 0; i < n; i++)
		pi[i] = (struct pool_input){.name = in[i].name, .tensor = (const struct tensor *const *)&in[i].tensor, .ntensors = 1};
	if (!pool_submit(pool, &job, e))
		return false;
	while (!got)
		if (!pool_wait(pool, args->a, -1, &got, r, e))
			return false;
	if (r->status != POOL_DONE)
		return err_set(e, ERR_DEVICE, "%s%s%s%s%s", r->text, r->launch ? " in kernel " : "", r->launch ? r->launch : "", r->log ? "\n" : "",
		               r->log ? r->log : "");
	return true;
}

static bool run(const struct cli_args *args, int *status, struct err *e)
{
	struct config_campaign c;
	struct camp_program p;
	struct camp_input *in;
	struct pool_result r;
	struct camp_model *m;
	struct pool *pool;
	size_t n;
	struct camp_target target;
	bool ok;

	(void)status;
	if (cli_flag(args, "quiet"))
		log_set_level(LOG_ERROR);
	if (!cli_model(args, args->positional[0], &m, e) || !cli_devices(args, &c, e))
		return false;
	if (c.ndevices != 1)
		return err_set(e, ERR_USAGE, "infer runs on one device; 'mutatenn diff' compares two");
	if (cli_int(args, "top", 5) < 1)
		return err_set(e, ERR_USAGE, "--top takes 1 or more");
	if (!camp_inputs(args->a, m, args->positional + 1, args->npositional - 1, NULL, &in, &n, e))
		return false;
	for (size_t i = 0; i < n && m->assumed_preprocess; i++)
		if (!input_is_npy(in[i].path)) {
			log_warn("'%s' has no side-car and no --preprocess is given: assuming the preset 'torchvision'", m->file);
			break;
		}
	if (!cli_pool(args, &c, &pool, &target, e))
		return false;
	ok = cli_program(args, m, &target, &p, e) && infer(args, pool, p.bundle, in, n, &r, e) &&
	     show_results(args, m, in, n, &r, (int)cli_int(args, "repeat", 0), c.devices[0], p.bundle, e);
	pool_close(pool);
	return ok;
}

const struct cli_command cmd_infer = {
        .name = "infer",
        .summary = "classify images: the top classes per input",
        .usage = "MODEL INPUT...",
        .description = "Runs the unmutated model on each INPUT: a picture (JPEG, PNG, WebP), a folder of pictures, or a .npy tensor that is "
                       "already preprocessed.\n\nPreprocessing, class names and the output's name come from MODEL.yaml beside the model, if any.",
        .options = options,
        .examples = "  mutatenn infer demo/model.onnx demo/images\n"
                    "  mutatenn infer net.onnx cat.jpg --opt-level 3 --repeat 20 --json\n"
                    "  mutatenn infer net.onnx input.npy --npy logits/\n",
        .min_positional = 2,
        .all_passes = true,
        .run = run,
};
