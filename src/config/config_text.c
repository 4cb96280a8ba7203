/* config_text.c: a campaign as canonical text, to be kept and compared when it is resumed */
#include "config/config.h"

#include <string.h>

#include "base/arena.h"
#include "base/str.h"

/* One line stays one line. */
static void put_text(struct str *s, const char *text)
{
	if (!text) {
		str_add(s, "-");
		return;
	}
	for (; *text; text++) {
		if (*text == '\n')
			str_add(s, "\\n");
		else if (*text == '\\')
			str_add(s, "\\\\");
		else
			str_addc(s, *text);
	}
}

static void line(struct str *s, const char *key, const char *value)
{
	str_addf(s, "%s: ", key);
	put_text(s, value);
	str_addc(s, '\n');
}

static void list(struct str *s, char *const *v, size_t n)
{
	str_addc(s, '[');
	for (size_t i = 0; i < n; i++) {
		str_add(s, i ? ", " : "");
		put_text(s, v[i]);
	}
	str_addc(s, ']');
}

static void list_line(struct str *s, const char *key, char *const *v, size_t n)
{
	str_addf(s, "%s: ", key);
	list(s, v, n);
	str_addc(s, '\n');
}

static void device_line(struct str *s, const struct config_device *d)
{
	str_addf(s, "device %s: backend ", d->name);
	put_text(s, d->backend);
	if (d->select) {
		str_add(s, ", select ");
		put_text(s, d->select);
	}
	str_add(s, ", worker ");
	list(s, d->worker, d->nworker);
	if (d->builder) {
		str_add(s, ", builder ");
		list(s, d->builder, d->nbuilder);
	}
	if (d->precision && strcmp(d->precision, "f32") != 0)
		str_addf(s, ", precision %s", d->precision);
	if (d->denormals && !strcmp(d->denormals, "flush"))
		str_add(s, ", denormals flush");
	str_add(s, ", cc ");
	put_text(s, d->cc);
	str_add(s, ", cflags ");
	if (d->cflags)
		list(s, d->cflags, d->ncflags);
	else
		str_addc(s, '-');
	str_add(s, ", env ");
	list(s, d->env, d->nenv);
	str_addc(s, '\n');
}

char *config_text(struct arena *a, const struct config_campaign *c)
{
	static const char *const schedules[] = {"auto", "portable", "native"};
	static const char *const scores[] = {"auto", "logits", "probabilities"};
	struct str s = {0};
	char *text;

	line(&s, "model", c->model);
	line(&s, "images", c->images);
	line(&s, "labels", c->labels);
	list_line(&s, "devices", c->devices, c->ndevices);
	for (size_t i = 0; i < c->ndefinitions; i++)
		device_line(&s, &c->definitions[i]);
	str_addf(&s, "opt-level: %d\nschedule: %s\n", c->opt_level, schedules[c->schedule]);
	list_line(&s, "disable-pass", c->disable_pass, c->ndisable_pass);
	if (c->nenable_pass) /* stores that are older know none */
		list_line(&s, "enable-pass", c->enable_pass, c->nenable_pass);
	for (size_t i = 0; i < c->nmutations; i++) {
		const struct config_mutation *m = &c->mutations[i];

		str_addf(&s, "mutation %zu: %s ", i + 1, m->preset ? "preset" : "operator");
		put_text(&s, m->preset ? m->preset : m->op);
		if (m->variant) {
			str_add(&s, ", variant ");
			put_text(&s, m->variant);
		}
		if (m->target) {
			str_add(&s, ", target ");
			put_text(&s, m->target);
		}
		str_addf(&s, ", sites %s\n", m->sites_text ? m->sites_text : m->preset ? "-" : "each");
	}
	str_addf(&s, "batch: %d\nseed: %llu\ntop-k: %d\n", c->batch, (unsigned long long)c->seed, c->top_k);
	line(&s, "preprocess", c->preprocess);
	line(&s, "output", c->output);
	line(&s, "scores", c->scores_given ? scores[c->scores] : NULL);
	str_addf(&s, "time-limit-factor: %.17g\ntime-limit-min: %.17g\n", c->time_limit_factor, c->time_limit_min);
	str_addf(&s, "sample: %lld\n", (long long)c->image_sample);
	if (c->fill && strcmp(c->fill, "nan") != 0) /* stores that are older know no other */
		line(&s, "fill", c->fill);
	str_addf(&s, "tolerance: %.17g\ncontrols: %d\ncontrol-mutants: %d\nrepeat: %d\nlogits: %s\n", c->tolerance, c->controls, c->control_mutants, c->repeat,
		 c->keep_logits ? "true" : "false");
	if (c->sanitize)
		str_add(&s, "sanitize: true\n");
	text = arena_strdup(a, str_text(&s));
	str_free(&s);
	return text;
}
