/* camp_result.c: from what a worker saw to rows of the store */
#include <string.h>

#include "campaign/campaign_internal.h"

static enum outcome image_outcome(enum pool_status s)
{
	switch (s) {
	case POOL_CRASHED: return OUTCOME_CRASH;
	case POOL_HUNG: return OUTCOME_HANG;
	case POOL_OVERRUN: return OUTCOME_OVERRUN;
	default: return OUTCOME_NOT_RUN;
	}
}

static enum outcome job_outcome(const struct pool_result *r)
{
	switch (r->status) {
	case POOL_EQUIVALENT: return OUTCOME_EQUIVALENT;
	case POOL_BUILD_FAILED: return OUTCOME_BUILD_FAILED;
	case POOL_CRASHED: return r->stage == POOL_LOAD && !r->signal ? OUTCOME_REFUSED : OUTCOME_CRASH;
	case POOL_HUNG: return OUTCOME_HANG;
	case POOL_OVERRUN: return OUTCOME_OVERRUN;
	case POOL_LOST: return OUTCOME_TOOL_ERROR;
	case POOL_DONE:
	case POOL_SKIPPED: break;
	}
	return OUTCOME_NOT_RUN;
}

static const char *stage_name(enum pool_stage s)
{
	static const char *const names[] = {"start", "build", "load", "run", "end"};

	return (unsigned)s < sizeof names / sizeof *names ? names[s] : "?";
}

/* What the image's checks found is at least its outcome; the first of the worst is the mutant's message, unless the job itself ended
 * worse (a crash): then it is what was said of that. */
static void take_finding(struct arena *a, struct camp_pending *p, const struct pool_image *i, struct store_image_result *out)
{
	struct camp_finding f;

	if (!p->program || !i->output)
		return;
	camp_finding(p->program, i->output, &f);
	if (f.outcome > out->outcome)
		out->outcome = f.outcome;
	if (f.outcome <= p->found || f.outcome < p->result.outcome)
		return;
	p->found = f.outcome;
	p->result.message = arena_strdup(a, f.text);
	p->result.stage = stage_name(POOL_RUN);
	p->result.kernel = arena_strdup(a, f.kernel);
}

static void take_image(struct camp *c, struct arena *a, const struct camp_device_state *d, size_t input, const struct pool_image *i,
		       struct store_image_result *out)
{
	*out = (struct store_image_result){.image = (int64_t)input, .outcome = OUTCOME_NOT_RUN};
	if (!i->ran)
		return;
	if (i->output) { /* copied: the result of the job goes away before the mutant is stored */
		const float *scores = camp_scores(a, c->model, i->output);

		scores = arena_memdup(a, scores, (size_t)c->model->classes * sizeof *scores);
		camp_judge(a, c->model, d->logits[input], scores, c->model->classes, c->config->top_k, d->noise[input], out);
		if (!c->config->keep_logits) {
			out->answer.logits = NULL;
			out->answer.nlogits = 0;
		}
	}
	out->image = (int64_t)input;
	if (i->status != POOL_DONE && image_outcome(i->status) > out->outcome)
		out->outcome = image_outcome(i->status);
	out->time_s = i->time_s;
	out->launches_run = i->launches_run;
	out->launches_saved = i->launches_saved;
}

void camp_take(struct camp *c, struct arena *a, size_t device, size_t first, const struct pool_result *r, struct camp_pending *p)
{
	struct store_result *s = &p->result;
	enum outcome o = job_outcome(r);

	if (!s->message)
		p->found = OUTCOME_NOT_RUN;
	if (o > s->outcome)
		s->outcome = o;
	if (!hash_is_zero(r->code))
		s->code = r->code;
	if (r->status != POOL_DONE && r->status != POOL_EQUIVALENT) {
		s->message = arena_strdup(a, r->text);
		s->stage = stage_name(r->stage);
		s->kernel = arena_strdup(a, r->launch);
		s->signal = r->signal;
		s->log = arena_strdup(a, r->log);
	}
	s->build_s += r->build_s;
	s->run_s += r->run_s;
	p->ended = r->status == POOL_CRASHED || r->status == POOL_HUNG || r->status == POOL_BUILD_FAILED ||
		   r->status == POOL_LOST || r->status == POOL_EQUIVALENT;
	if (r->status == POOL_EQUIVALENT || r->status == POOL_BUILD_FAILED || o == OUTCOME_REFUSED)
		return;
	if (!s->image) {
		s->image = ARENA_ARRAY(a, struct store_image_result, c->ninputs);
		s->nimages = c->ninputs;
		for (size_t i = 0; i < c->ninputs; i++)
			s->image[i] = (struct store_image_result){.image = (int64_t)i, .outcome = OUTCOME_NOT_RUN};
	}
	for (size_t i = 0; i < r->nimages; i++) {
		take_image(c, a, &c->device[device], first + i, &r->image[i], &s->image[first + i]);
		take_finding(a, p, &r->image[i], &s->image[first + i]);
		s->launches_run += r->image[i].launches_run;
		s->launches_saved += r->image[i].launches_saved;
	}
}

/* The same first label for every image, where the original has at least two and there are at least eight images. */
static bool degenerate(const struct camp *c, size_t device, const struct store_result *r)
{
	bool original_varies = false;
	int32_t first_original = 0, first = 0;
	size_t seen = 0;

	for (size_t i = 0; i < r->nimages; i++) {
		const struct store_answer *x = &r->image[i].answer;
		int32_t original;

		if (!x->k)
			continue;
		topk_f32(c->device[device].logits[i], c->model->classes, 1, &original);
		if (!seen++) {
			first = x->label[0];
			first_original = original;
		}
		if (x->label[0] != first)
			return false;
		original_varies = original_varies || original != first_original;
	}
	return seen >= 8 && original_varies;
}

bool camp_store(struct camp *c, size_t device, struct camp_pending *p, struct err *e)
{
	struct store_result *r = &p->result;
	char fill[FILL_TEXT];
	double began;

	if (!r->fill && r->nimages)
		r->fill = fill_text(c->fill, fill);
	r->degenerate = degenerate(c, device, r);
	began = camp_now();
	if (!store_put_result(c->store, r, e))
		return err_in(e, "storing the result of '%s'", r->mutant);
	c->times.store_s += camp_now() - began;
	c->launches_run += r->launches_run;
	c->launches_saved += r->launches_saved;
	for (size_t i = 0; i < r->nimages; i++)
		if (r->image[i].outcome > r->outcome)
			r->outcome = r->image[i].outcome;
	c->progress.by_outcome[r->outcome]++;
	c->progress.done++;
	c->device[device].done++;
	return true;
}
