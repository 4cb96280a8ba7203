/* camp_judge.c: from two vectors of scores to an outcome and its metrics */
#include <math.h>
#include <string.h>

#include "campaign/campaign_internal.h"

#define NEAR_NOISE 4 /* times the noise floor */

const float *camp_scores(struct arena *a, const struct camp_model *m, const struct tensor *outputs)
{
	const struct tensor *t = &outputs[m->output];
	int64_t n;
	float *f;

	if (t->dtype == DT_F32)
		return t->data;
	n = tensor_elements(t);
	f = ARENA_ARRAY(a, float, (size_t)n);
	for (int64_t i = 0; i < n; i++)
		f[i] = (float)tensor_get_f64(t, i);
	return f;
}

void camp_answer(struct arena *a, const struct camp_model *m, const float *scores, int64_t n, int k, struct store_answer *out)
{
	int32_t *index = ARENA_ARRAY(a, int32_t, (size_t)k);
	float *top = ARENA_ARRAY(a, float, (size_t)k);
	double *p = ARENA_ARRAY(a, double, (size_t)n);

	*out = (struct store_answer){.digest = hash_bytes(scores, (size_t)n * sizeof *scores)};
	out->k = topk_f32(scores, n, k, index);
	if (m->probabilities)
		for (int64_t i = 0; i < n; i++)
			p[i] = scores[i];
	else
		softmax_f32(scores, n, p);
	for (int i = 0; i < out->k; i++)
		top[i] = (float)p[index[i]];
	out->label = index;
	out->probability = top;
	out->logits = scores;
	out->nlogits = n;
}

static enum outcome outcome_of(const struct distance *d, const int32_t *a, const int32_t *b, int k, double noise)
{
	if (d->identical)
		return OUTCOME_IDENTICAL;
	if (d->nan_b > d->nan_a || d->inf_b > d->inf_a || d->special_differs)
		return OUTCOME_NAN;
	if (d->max_abs <= noise)
		return OUTCOME_TOLERATED;
	if (k && a[0] != b[0])
		return OUTCOME_MISCLASSIFIED;
	return memcmp(a, b, (size_t)k * sizeof *a) ? OUTCOME_REORDERED : OUTCOME_DRIFTED;
}

void camp_judge(struct arena *a, const struct camp_model *m, const float *original, const float *mutant, int64_t n, int k,
		double noise, struct store_image_result *out)
{
	struct store_answer reference;
	struct rank_metrics r;
	struct distance d;
	int both;

	camp_answer(a, m, original, n, k, &reference);
	camp_answer(a, m, mutant, n, k, &out->answer);
	distance_f32(original, mutant, n, &d);
	both = reference.k < out->answer.k ? reference.k : out->answer.k;
	rank_compare(reference.label, out->answer.label, both, &r);
	out->outcome = outcome_of(&d, reference.label, out->answer.label, both, noise);
	if (out->outcome == OUTCOME_IDENTICAL) { /* the digest says it all */
		out->answer.logits = NULL;
		out->answer.nlogits = 0;
	}
	out->max_abs = d.max_abs;
	out->max_rel = d.max_rel;
	out->l2 = d.l2;
	out->cosine = d.cosine;
	out->nmse = d.nmse;
	out->max_ulp = d.max_ulp;
	out->nan_count = d.nan_b;
	out->inf_count = d.inf_b;
	out->top1_equal = r.top1_equal;
	out->jaccard = r.jaccard;
	out->rbo = r.rbo;
	out->kendall = r.kendall;
	out->displacement = r.displacement;
	out->euclidean = r.euclidean;
	out->manhattan = r.manhattan;
	out->minkowski = r.minkowski;
}

bool camp_near_noise(const struct store_image_result *im, double noise)
{
	return noise > 0 && im->outcome >= OUTCOME_IDENTICAL && im->outcome <= OUTCOME_MISCLASSIFIED && im->max_abs <= NEAR_NOISE * noise;
}
