/* camp_times.c: where a campaign's time goes - phase by phase, and over all its processes by what they did */
#include <sys/resource.h>
#include <unistd.h>

#include "campaign/campaign_internal.h"

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec * 1e-6;
}

static double processor_time(int who)
{
	struct rusage r;

	return getrusage((__rusage_who_t)who, &r) ? 0 : seconds(r.ru_utime) + seconds(r.ru_stime);
}

/* Of this process and of those that it has waited for: workers, their children and compilers. */
static double all_processor_time(void)
{
	return processor_time(RUSAGE_SELF) + processor_time(RUSAGE_CHILDREN);
}

void camp_times_begin(struct camp *c)
{
	c->processor_s = -all_processor_time();
}

void camp_times_phase(struct camp *c, double now)
{
	struct camp_times *t = &c->times;

	if (t->nphases)
		t->phase[t->nphases - 1].seconds += now - c->phase_timed;
	c->phase_timed = now;
	if (!c->progress.phase)
		return;
	for (size_t i = 0; i < t->nphases; i++)
		if (t->phase[i].name == c->progress.phase) { /* texts of this program: one pointer each */
			struct camp_phase_time again = t->phase[i];

			for (; i + 1 < t->nphases; i++)
				t->phase[i] = t->phase[i + 1];
			t->phase[i] = again;
			return;
		}
	if (t->nphases < CAMP_MAX_PHASES)
		t->phase[t->nphases++] = (struct camp_phase_time){c->progress.phase, 0};
}

/* Behind camp_end: only workers that have ended are known to have used the processor. */
void camp_times_end(struct camp *c, struct camp_summary *out)
{
	struct camp_times *t = &c->times;

	for (size_t v = 0; v < c->nvariants; v++) {
		t->lower_s += c->variant[v].program.lower_s;
		t->emit_s += c->variant[v].program.emit_s;
	}
	t->compile_s = out->pool.building_s;
	t->run_s = out->pool.running_s;
	t->kernels_s = out->pool.run_s;
	t->cores = camp_usable_cores();
	t->processor_s = c->processor_s + all_processor_time();
	t->idle_s = t->cores * out->elapsed_s - t->processor_s;
	if (t->idle_s < 0)
		t->idle_s = 0;
	out->times = *t;
}
