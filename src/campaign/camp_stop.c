/* camp_stop.c: when a campaign stops, and when it goes on without a device */
#include <time.h>

#include "campaign/campaign_internal.h"

double camp_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

bool camp_stopping(struct camp *c)
{
	if (c->hooks && c->hooks->stop && c->hooks->stop(c->hooks->user))
		c->stopped = true;
	if (!c->stopped && c->options->max_time_s > 0 && camp_now() - c->started > c->options->max_time_s)
		c->stopped = c->out_of_time = true;
	return c->stopped;
}

bool camp_go_on(struct camp *c, struct err *e)
{
	if (!camp_stopping(c))
		return true;
	return err_set(e, ERR_CANCELLED, "%s while %s; the same command goes on from there", c->out_of_time ? "the time was up" : "stopped",
		       c->progress.phase ? c->progress.phase : "reading the model");
}

void camp_set_aside(struct camp *c, size_t d, const char *why)
{
	log_warn("device '%s' is set aside: %s", c->device[d].name, why);
	c->device[d].dead = true;
	c->device[d].aside = why;
}
