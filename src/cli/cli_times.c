/* cli_times.c: see cli_times.h */
#include "cli/cli_times.h"

#include <string.h>

#include "base/arena.h"
#include "campaign/campaign.h"
#include "cli/cli_json.h"

/* The phase in which mutants are made, built and run, controls of the original among them. */
static double mutants_seconds(const struct camp_times *t)
{
	for (size_t i = 0; i < t->nphases; i++)
		if (!strcmp(t->phase[i].name, "mutants"))
			return t->phase[i].seconds;
	return 0;
}

static json_t *json_phases(const struct camp_times *t)
{
	json_t *list = json_array();

	for (size_t i = 0; i < t->nphases; i++)
		json_array_append_new(list, json_pack("{s:s,s:f}", "name", t->phase[i].name, "seconds", t->phase[i].seconds));
	return list;
}

bool cli_print_summary(const struct camp_summary *s, const char *store, struct err *e)
{
	const struct camp_times *t = &s->times;
	json_t *j = json_pack("{s:i,s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:f,s:f,s:b}", "schema", 1, "store", cli_json_text(store), "mutants", (json_int_t)s->mutants,
			      "with_site", (json_int_t)s->with_site, "devices", (json_int_t)s->devices, "images", (json_int_t)s->images, "of", (json_int_t)s->jobs,
			      "done", (json_int_t)s->done, "resumed", (json_int_t)s->resumed, "elapsed_s", s->elapsed_s, "mutants_s", mutants_seconds(t),
			      "killed_percent", s->killed_percent, "stopped", s->stopped);

	json_object_set_new(j, "phases", json_phases(t));
	json_object_set_new(j, "times",
			    json_pack("{s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:i}", "lower_s", t->lower_s, "emit_s", t->emit_s, "compile_s", t->compile_s, "run_s", t->run_s,
				      "kernels_s", t->kernels_s, "store_s", t->store_s, "processor_s", t->processor_s, "idle_s", t->idle_s, "cores", t->cores));
	json_object_set_new(j, "launches", json_pack("{s:I,s:I}", "run", (json_int_t)s->launches_run, "saved", (json_int_t)s->launches_saved));
	json_object_set_new(j, "kernels", json_pack("{s:I,s:I,s:I}", "built", (json_int_t)s->pool.kernels_built, "together", (json_int_t)s->pool.kernels_together,
	                                            "cached", (json_int_t)s->pool.kernels_cached));
	json_object_set_new(j, "workers", json_pack("{s:I,s:I}", "started", (json_int_t)s->pool.workers_started, "lost", (json_int_t)s->pool.workers_lost));
	json_object_set_new(j, "lost_devices", json_integer((json_int_t)s->nlost));
	return cli_print_json(j, e);
}

const char *cli_times_text(struct arena *a, const struct camp_summary *s)
{
	const struct camp_times *t = &s->times;

	return arena_printf(a, "lower %.1f s, emit %.1f s, compile %.1f s, run %.1f s (kernels %.1f s), store %.1f s; of %d cores x %.1f s %.1f s idle", t->lower_s,
			    t->emit_s, t->compile_s, t->run_s, t->kernels_s, t->store_s, t->cores, s->elapsed_s, t->idle_s);
}
