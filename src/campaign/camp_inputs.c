/* camp_inputs.c: images to tensors, once, with their labels; and again with a fault in front of the network */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "campaign/campaign.h"

static bool check_shape(const struct camp_model *m, const char *path, const struct tensor *t, struct err *e)
{
	const struct gir_value *v = m->graph->inputs.v[0];
	struct arena *a;

	if (t->dtype == v->dtype && t->nd == v->nd && !memcmp(t->dim, v->dim, (size_t)t->nd * sizeof *t->dim))
		return true;
	a = arena_new(NULL);
	err_set(e, ERR_USAGE, "'%s' is %s %s, but the model's input '%s' is %s %s", path, dtype_name(t->dtype),
		dims_text(a, t->dim, t->nd), v->name, dtype_name(v->dtype), dims_text(a, v->dim, v->nd));
	arena_free(a);
	return false;
}

/* A picture is always f32; a model that wants another type gets its values converted. */
static struct tensor *convert(struct arena *a, const struct camp_model *m, struct tensor *t)
{
	enum dtype want = m->graph->inputs.v[0]->dtype;
	struct tensor *u;
	int64_t n;

	if (t->dtype == want)
		return t;
	u = tensor_new(a, want, t->nd, t->dim);
	n = tensor_elements(t);
	for (int64_t i = 0; i < n; i++)
		tensor_set_f64(u, i, tensor_get_f64(t, i));
	return u;
}

/* A model of batch N gets the picture in its first place and zeros in the others. */
static struct tensor *pad_batch(struct arena *a, const struct camp_model *m, struct tensor *t)
{
	const struct gir_value *v = m->graph->inputs.v[0];
	struct tensor *u;

	if (t->nd != v->nd || !t->nd || t->dim[0] != 1 || v->dim[0] <= 1 ||
	    memcmp(t->dim + 1, v->dim + 1, (size_t)(t->nd - 1) * sizeof *t->dim))
		return t;
	u = tensor_new(a, t->dtype, v->nd, v->dim);
	memcpy(u->data, t->data, tensor_bytes(t));
	return u;
}

static bool load(struct arena *a, const struct camp_model *m, const char *path, const struct preprocess *p, struct tensor **out,
		 struct err *e)
{
	struct arena *scratch = arena_new(a);
	struct tensor *t = NULL;
	bool picture = !input_is_npy(path);
	bool ok = (picture && m->no_pictures) ? err_set(e, ERR_USAGE, "'%s': %s", path, m->no_pictures)
					      : input_load(scratch, path, p, &t, e);

	if (ok) {
		if (picture)
			t = convert(scratch, m, t);
		t = pad_batch(scratch, m, t);
		ok = check_shape(m, path, t, e);
	}
	if (ok) {
		*out = tensor_new(a, t->dtype, t->nd, t->dim);
		memcpy((*out)->data, t->data, tensor_bytes(t));
	}
	arena_free(scratch);
	return ok;
}

static bool find_labels(struct arena *a, const char *const *path, size_t npaths, const char *given, struct labels **out,
			struct err *e)
{
	char *beside;

	*out = NULL;
	if (given)
		return labels_read(a, given, out, e);
	for (size_t i = 0; i < npaths; i++) {
		if (!file_is_dir(path[i]))
			continue;
		beside = file_join(a, path[i], "labels.csv");
		if (file_exists(beside))
			return labels_read(a, beside, out, e);
	}
	return true;
}

bool camp_inputs(struct arena *a, const struct camp_model *m, const char *const *path, size_t npaths, const char *labels_file,
		 struct camp_input **out, size_t *n, struct err *e)
{
	struct map *taken = map_new(a);
	struct labels *labels;
	char **file;

	if (m->graph->inputs.n != 1)
		return err_set(e, ERR_UNSUPPORTED, "'%s' has %zu inputs; classifiers of one input are supported", m->file,
			       m->graph->inputs.n);
	if (!find_labels(a, path, npaths, labels_file, &labels, e) || !inputs_expand(a, path, npaths, &file, n, e))
		return false;
	*out = ARENA_ARRAY(a, struct camp_input, *n);
	for (size_t i = 0; i < *n; i++) {
		struct camp_input *in = &(*out)[i];

		in->path = file[i];
		in->name = arena_strdup(a, file_base(file[i]));
		if (map_has(taken, in->name)) /* same name in two folders: the whole path tells them apart */
			in->name = file[i];
		map_put(taken, in->name, in);
		in->label = labels ? labels_find(labels, file[i]) : -1;
		if (in->label >= 0)
			in->label += m->label_offset;
		if (!camp_file_hash(file[i], &in->file_hash, e) || !load(a, m, file[i], &m->preprocess, &in->tensor, e))
			return false;
		in->hash = tensor_hash(in->tensor);
		in->bytes = hash_bytes(in->tensor->data, tensor_bytes(in->tensor));
	}
	return true;
}

/* The notation of input operators: "NAME" or "NAME=VALUE". */
static bool parse_edit(const char *edit, struct preprocess_fault *f, struct err *e)
{
	const char *eq = strchr(edit, '='), *value = eq ? eq + 1 : "";
	size_t n = eq ? (size_t)(eq - edit) : strlen(edit);
	static const char *const names[] = {"swap-channels", "skip-normalise", "double-normalise", "transpose", "flip", "filter",
					    "quantise",      "noise",          "crop-shift"};
	int which = -1;

	for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
		if (strlen(names[i]) == n && !memcmp(names[i], edit, n))
			which = i;
	switch (which) {
	case 0: f->swap_channels = true; return true;
	case 1: f->skip_normalise = true; return true;
	case 2: f->double_normalise = true; return true;
	case 3: f->transpose_hw = true; return true;
	case 4:
		f->flip_horizontal = !strcmp(value, "horizontal");
		f->flip_vertical = !strcmp(value, "vertical");
		return true;
	case 5:
		f->filter_set = true;
		return image_filter_parse(value, &f->filter) || err_set(e, ERR_BAD_IR, "no filter '%s'", value);
	case 6: f->quantise_levels = atoi(value); return true;
	case 7:
		f->noise_sigma = strtod(value, NULL);
		f->seed = 1;
		return true;
	case 8: return sscanf(value, "%dx%d", &f->crop_shift_x, &f->crop_shift_y) == 2;
	}
	return err_set(e, ERR_BAD_IR, "'%s' is not a change of preprocessing", edit);
}

bool camp_inputs_edited(struct arena *a, const struct camp_model *m, const struct camp_input *in, size_t n, const char *edit,
			struct tensor ***out, struct err *e)
{
	struct preprocess p = m->preprocess;

	if (!parse_edit(edit, &p.fault, e))
		return false;
	*out = ARENA_ARRAY(a, struct tensor *, n);
	for (size_t i = 0; i < n; i++) {
		p.fault.seed = in[i].hash.lo; /* of the picture, wherever it stands in the list */
		if (!load(a, m, in[i].path, &p, &(*out)[i], e))
			return false;
	}
	return true;
}
