/* cmd_devices.c: what can run here */
#include <stdio.h>

#include "base/arena.h"
#include "campaign/campaign.h"
#include "cli/cli.h"
#include "cli/cli_json.h"

static const struct cli_option options[] = {CLI_OPT_DEFINITIONS, CLI_OPT_JSON, CLI_OPT_END};

static bool run(const struct cli_args *args, int *status, struct err *e)
{
	const char *file = cli_text(args, "devices-file", NULL);
	struct config_campaign c;
	struct pool_device *dev;
	json_t *list = json_array();
	struct pool *pool;
	size_t n = 0;

	(void)status;
	config_campaign_default(&c);
	if (file && !config_devices_read(args->a, file, &c.definitions, &c.ndefinitions, e))
		return false;
	while (camp_builtin_devices[n])
		n++;
	dev = ARENA_ARRAY(args->a, struct pool_device, n + c.ndefinitions);
	n = 0;
	for (size_t i = 0; camp_builtin_devices[i]; i++)
		if (!camp_device(args->a, camp_builtin_devices[i], NULL, &dev[n++], e))
			return false;
	for (size_t i = 0; i < c.ndefinitions; i++)
		if (!camp_device(args->a, c.definitions[i].name, &c, &dev[n++], e))
			return false;
	if (!pool_open(dev, n, &pool, e))
		return false;
	for (size_t i = 0; i < n; i++) {
		const char *why = pool_device_error(pool, i);
		const char *what = why ? NULL : camp_describe(args->a, &c, dev[i].name, pool_caps(pool, i));

		if (cli_flag(args, "json"))
			json_array_append_new(list, json_pack("{s:s,s:s,s:b,s:s?,s:s?}", "name", dev[i].name, "backend", dev[i].backend, "available",
			                                      !why, "reason", why, "description", what));
		else
			printf("%-14s %-6s %-11s %s\n", dev[i].name, dev[i].backend, why ? "unavailable" : "available", why ? why : what);
	}
	pool_close(pool);
	if (cli_flag(args, "json"))
		return cli_print_json(json_pack("{s:o}", "devices", list), e);
	json_decref(list);
	return true;
}

const struct cli_command cmd_devices = {
        .name = "devices",
        .summary = "what can run here, and why the rest cannot",
        .usage = "",
        .description = "Opens every built-in device and every one of the definitions and says what it is, or why it cannot be used.",
        .options = options,
        .examples = "  mutatenn devices\n  mutatenn devices --devices-file boards.yaml --json\n",
        .run = run,
};
