/* suite.c: read ONNX's own backend tests and make programs of them */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "onnx/onnx.h"
#include "suite.h"

char *suite_set_dir(struct arena *a, const char *dir, int number)
{
	char *set = arena_printf(a, "%s/test_data_set_%d", dir, number);

	return file_is_dir(set) ? set : NULL;
}

bool suite_read_set(struct arena *a, const char *set, struct suite_set *s, struct err *e)
{
	*s = (struct suite_set){0};
	for (; s->nin < SUITE_MAX_TENSORS; s->nin++) {
		char *path = arena_printf(a, "%s/input_%d.pb", set, s->nin);

		if (!file_exists(path))
			break;
		if (!onnx_tensor_read(a, path, &s->in[s->nin], &s->name[s->nin], e))
			return false;
	}
	for (; s->nout < SUITE_MAX_TENSORS; s->nout++) {
		char *path = arena_printf(a, "%s/output_%d.pb", set, s->nout);

		if (!file_exists(path))
			break;
		if (!onnx_tensor_read(a, path, &s->out[s->nout], NULL, e))
			return false;
	}
	return true;
}

bool suite_importable(struct arena *a, const char *model, struct str *why)
{
	static const char *const others[] = {"is not a tensor", "is of type", "not supported: node"};
	struct gir_graph *g;
	struct err e = {0};
	bool ok = onnx_import(a, model, NULL, &g, &e);

	for (size_t i = 0; !ok && i < sizeof others / sizeof *others; i++)
		if (strstr(err_text(&e), others[i]))
			str_add(why, err_text(&e));
	err_free(&e);
	return !why->n;
}

/* Which inputs become constants: none; those that are no floats or are lists; all but the first; all. */
static size_t bind(struct arena *a, const struct suite_set *s, int attempt, struct onnx_bind **out)
{
	size_t n = 0;

	*out = ARENA_ARRAY(a, struct onnx_bind, (size_t)s->nin + 1);
	for (int i = 0; i < s->nin; i++) {
		bool take = attempt == 3 || (attempt == 2 && i > 0) ||
			    (attempt == 1 && (!dtype_is_float(s->in[i]->dtype) || (s->in[i]->nd <= 1 && i > 0)));

		if (take)
			(*out)[n++] = (struct onnx_bind){s->name[i], s->in[i]};
	}
	return n;
}

bool suite_import(struct arena *a, const char *model, const struct suite_set *s, suite_build *build, void *user, struct err *e)
{
	struct err first = {0};

	for (int attempt = 0; attempt < 4; attempt++) {
		struct onnx_options oo = {0};
		struct onnx_bind *list;
		struct gir_graph *g;

		oo.nbind = bind(a, s, attempt, &list);
		oo.bind = list;
		err_free(e);
		if (onnx_import(a, model, &oo, &g, e) && build(a, g, user, e)) {
			err_free(&first);
			return true;
		}
		if (!attempt)
			err_set(&first, e->code, "%s", err_text(e));
		if (!strstr(err_text(e), "constant") && !strstr(err_text(e), "is not a number") &&
		    !strstr(err_text(e), "has no shape"))
			break; /* binding inputs would not help */
	}
	err_set(e, first.code, "%s", err_text(&first)); /* what is wrong with the model as it is */
	err_free(&first);
	return false;
}

/*
 * The suite's makers wrote bfloat16 data as uint16, and the CastLike cases' second input, of which only the type
 * matters, as a single element where the model declares 3x4: the model's word counts.
 */
static const struct tensor *as_declared(struct arena *a, const struct tensor *t, const struct comp_buffer *b)
{
	struct tensor *n = arena_memdup(a, t, sizeof *t);
	struct tensor *all;

	if (n->dtype == DT_U16 && b->dtype == DT_BF16)
		n->dtype = DT_BF16;
	if (tensor_elements(n) != 1 || n->dtype != b->dtype)
		return n;
	all = tensor_new(a, b->dtype, b->nd, b->dim);
	for (int64_t i = 0; i < tensor_elements(all); i++)
		memcpy((char *)all->data + i * (int64_t)dtype_size(b->dtype), n->data, dtype_size(b->dtype));
	return all;
}

bool suite_inputs(struct arena *a, const struct comp_program *p, const struct suite_set *s, const struct tensor ***out)
{
	*out = ARENA_ARRAY(a, const struct tensor *, p->ninputs + 1);
	for (uint32_t i = 0; i < p->ninputs; i++) {
		for (int k = 0; k < s->nin && !(*out)[i]; k++)
			if (!strcmp(s->name[k], p->buffer[p->input[i]].name))
				(*out)[i] = s->in[k];
		if (!(*out)[i] && (int)i < s->nin)
			(*out)[i] = s->in[i];
		if (!(*out)[i])
			return false;
		(*out)[i] = as_declared(a, (*out)[i], &p->buffer[p->input[i]]);
	}
	return true;
}

char *suite_reason(struct arena *a, const char *why)
{
	const char *p = strstr(why, "': "), *end;

	if (p && strstr(why, "supported: node")) {
		end = strstr(p + 3, " (opset");
		return arena_strndup(a, p + 3, end ? (size_t)(end - p - 3) : strlen(p + 3));
	}
	p = strrchr(why, ':');
	return arena_strdup(a, p ? p + 2 : why);
}

static int by_name(const struct dirent **x, const struct dirent **y)
{
	return strcmp((*x)->d_name, (*y)->d_name);
}

void suite_each(struct arena *a, const char *data, void (*one)(const char *name, const char *dir, const char *model, void *user),
		void *user)
{
	static const char *const groups[] = {"node", "simple", "pytorch-operator", "pytorch-converted"};

	for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
		struct dirent **list;
		int n = scandir(file_join(a, data, groups[g]), &list, NULL, by_name);

		for (int i = 0; i < n; i++) {
			char *name = arena_printf(a, "%s/%s", groups[g], list[i]->d_name), *dir = file_join(a, data, name);
			char *model = file_join(a, dir, "model.onnx");

			if (list[i]->d_name[0] != '.' && file_exists(model))
				one(name, dir, model, user);
			free(list[i]);
		}
		if (n >= 0)
			free(list);
	}
}
