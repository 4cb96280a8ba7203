/* cli_session.c: devices, model and program from the options that most commands share */
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/str.h"
#include "campaign/campaign.h"
#include "cli/cli.h"

bool cli_devices(const struct cli_args *args, struct config_campaign *out, struct err *e)
{
	const struct cli_value *names = cli_get(args, "device");
	const char *file = cli_text(args, "devices-file", NULL);

	config_campaign_default(out);
	if (file && !config_devices_read(args->a, file, &out->definitions, &out->ndefinitions, e))
		return false;
	out->ndevices = names->n ? names->n : 1;
	out->devices = ARENA_ARRAY(args->a, char *, out->ndevices);
	out->devices[0] = arena_strdup(args->a, "host-gcc");
	for (size_t i = 0; i < names->n; i++)
		out->devices[i] = arena_strdup(args->a, names->list[i]);
	return true;
}

static bool has_option(const struct cli_args *args, const char *name)
{
	for (const struct cli_option *o = args->command->options; o->name; o++)
		if (!strcmp(o->name, name))
			return true;
	return false;
}

bool cli_model(const struct cli_args *args, const char *file, struct camp_model **out, struct err *e)
{
	struct camp_model_options o = {0};
	int64_t batch = has_option(args, "batch") ? cli_int(args, "batch", 1) : 1;

	if (batch < 1 || batch > 1024)
		return err_set(e, ERR_USAGE, "--batch takes 1 to 1024");
	o.batch = (int)batch;
	if (has_option(args, "preprocess"))
		o.preprocess = cli_text(args, "preprocess", NULL);
	if (has_option(args, "output"))
		o.output = cli_text(args, "output", NULL);
	return camp_model_load(args->a, file, &o, out, e);
}

bool cli_pool(const struct cli_args *args, const struct config_campaign *c, struct pool **out, struct camp_target *t, struct err *e)
{
	struct pool_device *dev = ARENA_ARRAY(args->a, struct pool_device, c->ndevices);
	struct camp_target *all;
	int64_t threads = has_option(args, "threads") ? cli_int(args, "threads", 0) : 0;

	if (threads < 0 || threads > 1024)
		return err_set(e, ERR_USAGE, "--threads takes 0 to 1024");
	for (size_t d = 0; d < c->ndevices; d++) {
		if (!camp_device(args->a, c->devices[d], c, &dev[d], e))
			return false;
		if (threads)
			dev[d].threads = (int)threads;
		if (args->command->builds_anew)
			dev[d].cache_dir = "";
	}
	if (!pool_open(dev, c->ndevices, out, e))
		return false;
	for (size_t d = 0; d < c->ndevices; d++) {
		if (pool_device_error(*out, d)) {
			err_set(e, ERR_DEVICE, "device '%s' cannot be used: %s", c->devices[d], pool_device_error(*out, d));
			pool_close(*out);
			*out = NULL;
			return false;
		}
	}
	all = ARENA_ARRAY(args->a, struct camp_target, c->ndevices);
	if (!camp_targets(*out, c, all, e)) {
		pool_close(*out);
		*out = NULL;
		return false;
	}
	*t = all[0];
	t->dialect = arena_strdup(args->a, t->dialect); /* may outlive the pool */
	return true;
}

/* What --enable-pass names; of a command that has no such option, because speed counts, every pass that runs only when it is named. */
static void enable(const struct cli_args *args, struct camp_level *l)
{
	VEC(const char *) name = {0};

	if (!args->command->all_passes) {
		const struct cli_value *on = cli_get(args, "enable-pass");

		l->enabled = on->list;
		l->nenabled = on->n;
		return;
	}
	for (size_t i = 0; gir_passes[i]; i++)
		if (gir_passes[i]->asked && gir_passes[i]->level <= l->opt_level)
			vec_push(args->a, &name, gir_passes[i]->name);
	l->enabled = name.v;
	l->nenabled = name.n;
}

bool cli_level(const struct cli_args *args, struct camp_level *out, struct err *e)
{
	const struct cli_value *off = cli_get(args, "disable-pass");
	int64_t level = cli_int(args, "opt-level", 2);

	if (level < 0 || level > 3)
		return err_set(e, ERR_USAGE, "--opt-level takes 0 to 3, not %lld", (long long)level);
	*out = (struct camp_level){.opt_level = (int)level, .disabled = off->list, .ndisabled = off->n};
	enable(args, out);
	return true;
}

static bool lower(const struct cli_args *args, const struct camp_model *m, const struct camp_target *t, struct camp_program *out, struct err *e)
{
	struct camp_level level;

	return cli_level(args, &level, e) && camp_program_lower(args->a, m, &level, t, out, e);
}

bool cli_program(const struct cli_args *args, const struct camp_model *m, const struct camp_target *t, struct camp_program *out, struct err *e)
{
	return lower(args, m, t, out, e) && (camp_program_render(args->a, out, t->dialect, out, e) || err_in(e, "compiling '%s'", m->file));
}

bool cli_asks_devices(const struct cli_args *args, struct camp_target *t, bool *ask, struct err *e)
{
	const char *name = cli_text(args, "dialect", NULL);
	struct str known = {0};

	*ask = !name && (cli_int(args, "opt-level", 2) >= 3 || cli_get(args, "device")->n);
	if (!name)
		return true;
	for (size_t i = 0; codegen_dialects[i]; i++) {
		str_addf(&known, "%s'%s'", i ? ", " : "", codegen_dialects[i]);
		if (!strcmp(codegen_dialects[i], name))
			t->dialect = codegen_dialects[i];
	}
	if (strcmp(t->dialect, name)) {
		err_set(e, ERR_USAGE, "'%s' is not a dialect; there are %s", name, str_text(&known));
		str_free(&known);
		return false;
	}
	str_free(&known);
	if (strcmp(name, "c") && strcmp(name, "opencl-c-cpu")) { /* the others have no vectors */
		t->cls = DEVICE_GPU;
		t->lanes = 1;
		t->max_group = LIR_MAX_GROUP;
		t->local_memory = strcmp(name, "glsl-cpu") ? CAMP_LOCAL_MEMORY : 0;
	}
	return true;
}

bool cli_program_only(const struct cli_args *args, const struct camp_model *m, struct camp_program *out, struct err *e)
{
	struct config_campaign c;
	struct pool *pool;
	struct camp_target target = CAMP_TARGET_HOST;
	bool ask;

	if (has_option(args, "dialect") ? !cli_asks_devices(args, &target, &ask, e) : (ask = cli_int(args, "opt-level", 2) >= 3, false))
		return false;
	if (ask) {
		if (!cli_devices(args, &c, e) || !cli_pool(args, &c, &pool, &target, e))
			return false;
		pool_close(pool);
	}
	return lower(args, m, &target, out, e);
}
