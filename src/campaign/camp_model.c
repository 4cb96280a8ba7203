/* camp_model.c: a model file, its side-car, and what both say about inputs and outputs */
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "campaign/campaign.h"
#include "onnx/onnx.h"

#define MAX_CLASSES (1 << 26) /* the scores of every image are held, ranked and stored */

static bool choose_output(struct camp_model *m, const char *name, struct err *e)
{
	struct str names = {0};
	bool found = !name && m->graph->outputs.n == 1;

	for (size_t i = 0; i < m->graph->outputs.n; i++) {
		str_addf(&names, "%s'%s'", i ? ", " : "", m->graph->outputs.v[i]->name);
		if (name && !strcmp(name, m->graph->outputs.v[i]->name)) {
			m->output = i;
			found = true;
		}
	}
	if (!found && name)
		err_set(e, ERR_USAGE, "'%s' has no output '%s'; it has %s", m->file, name, str_text(&names));
	else if (!found)
		err_set(e, ERR_USAGE, "'%s' has %zu outputs (%s): name the one with the scores (output: in MODEL.yaml or --output)",
			m->file, m->graph->outputs.n, str_text(&names));
	str_free(&names);
	return found;
}

/* Scores are probabilities when the output comes out of a Softmax, looking through shape-only operators. */
static bool ends_in_softmax(const struct gir_value *v)
{
	for (int depth = 0; v && v->producer && depth < 16; depth++) {
		switch (v->producer->op) {
		case GIR_SOFTMAX: return true;
		case GIR_RESHAPE:
		case GIR_FLATTEN:
		case GIR_SQUEEZE:
		case GIR_UNSQUEEZE:
		case GIR_IDENTITY: v = v->producer->in[0]; break;
		default: return false;
		}
	}
	return false;
}

static bool describe_output(struct camp_model *m, const struct camp_model_options *o, const struct config_sidecar *s, struct err *e)
{
	enum config_scores scores = o->scores_given ? o->scores : s->scores_given ? s->scores : SCORES_AUTO;
	const struct gir_value *v;

	if (!choose_output(m, o->output ? o->output : s->output, e))
		return false;
	v = m->graph->outputs.v[m->output];
	if (!dims_elements(v->dim, v->nd, &m->classes) || m->classes < 1)
		return err_set(e, ERR_UNSUPPORTED, "'%s': output '%s' is empty", m->file, v->name);
	if (v->nd >= 2 && v->dim[0] > 1 && m->graph->inputs.n == 1 && m->graph->inputs.v[0]->nd &&
	    v->dim[0] == m->graph->inputs.v[0]->dim[0])
		m->classes /= v->dim[0]; /* the other rows are of the other images of the batch */
	if (m->classes > MAX_CLASSES)
		return err_set(e, ERR_UNSUPPORTED, "'%s': output '%s' has %lld scores for an image, at most %d are supported",
			       m->file, v->name, (long long)m->classes, MAX_CLASSES);
	m->probabilities = scores == SCORES_PROBABILITIES || (scores == SCORES_AUTO && ends_in_softmax(v));
	return true;
}

static bool describe_input(struct arena *a, struct camp_model *m, const struct camp_model_options *o,
			   const struct config_sidecar *s, const char *sidecar, struct err *e)
{
	const char *text = o->preprocess ? o->preprocess : s->preprocess;
	const struct gir_value *v;
	struct err why = {0};

	m->assumed_preprocess = !text;
	if (!preprocess_parse(text ? text : "torchvision", &m->preprocess, e))
		return o->preprocess ? err_in(e, "preprocessing") : err_in(e, "'%s': preprocess", sidecar);
	if (m->graph->inputs.n != 1)
		return true; /* only .npy inputs can be meant, or info */
	v = m->graph->inputs.v[0];
	if (v->nd != 4)
		return true;
	if (!preprocess_fit(&m->preprocess, v->nd, v->dim, &why))
		m->no_pictures = arena_printf(a, "input '%s' of '%s': %s", v->name, m->file, err_text(&why));
	err_free(&why);
	return true;
}

bool camp_file_hash(const char *path, struct hash *out, struct err *e)
{
	struct bytes bytes;

	if (!file_map(path, &bytes, e))
		return false;
	*out = hash_bytes(bytes.p, bytes.n);
	file_unmap(bytes);
	return true;
}

/* External data are not in the model's file. */
static struct hash hash_weights(const struct gir_graph *g)
{
	struct hasher *h = hasher_new();

	for (size_t i = 0; i < g->values.n; i++)
		if (g->values.v[i]->data && !g->values.v[i]->producer)
			hash_put_hash(h, tensor_hash(g->values.v[i]->data));
	return hasher_end(h);
}

/* Another framework's file is the commonest reason. */
static bool refused(const char *file, struct err *e)
{
	if (e && strstr(err_text(e), "not ONNX"))
		err_set(e, e->code, "%s; an ONNX file is wanted, as torch.onnx.export, tf2onnx and others write it", err_text(e));
	return err_in(e, "'%s'", file);
}

bool camp_model_load(struct arena *a, const char *file, const struct camp_model_options *o, struct camp_model **out, struct err *e)
{
	struct camp_model *m = ARENA_NEW(a, struct camp_model);
	struct onnx_options import = {.batch = o->batch};
	struct config_sidecar s = {0};
	char *sidecar = config_sidecar_path(a, file), **names;

	m->file = arena_strdup(a, file);
	m->name = file_stem(a, file);
	m->sidecar = sidecar ? sidecar : file_join(a, file_dir(a, file), arena_printf(a, "%s.yaml", m->name));
	if (!camp_file_hash(file, &m->hash, e) || (sidecar && !camp_file_hash(sidecar, &m->sidecar_hash, e)))
		return false;
	if (sidecar && !config_sidecar_read(a, sidecar, &s, e))
		return false;
	if (!onnx_import(a, file, &import, &m->graph, e) || !comp_infer(m->graph, e))
		return refused(file, e);
	m->weights = hash_weights(m->graph);
	m->label_offset = s.label_offset;
	if (s.labels) {
		m->names_file = s.labels;
		if (!camp_file_hash(s.labels, &m->names_hash, e) || !class_names_read(a, s.labels, &names, &m->nclass_names, e))
			return false;
		m->class_name = (const char *const *)names;
	}
	*out = m;
	return describe_output(m, o, &s, e) && describe_input(a, m, o, &s, sidecar, e);
}

const char *camp_class_name(const struct camp_model *m, int64_t index)
{
	return index >= 0 && (uint64_t)index < m->nclass_names ? m->class_name[index] : NULL;
}
