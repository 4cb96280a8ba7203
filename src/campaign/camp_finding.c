/* camp_finding.c: from the reports of instrumented kernels to outcomes */
#include <stdio.h>

#include "campaign/campaign_internal.h"

static enum outcome outcome_of(enum lir_fault f)
{
	switch (f) {
	case LIR_FAULT_BOUNDS_READ:
	case LIR_FAULT_BOUNDS_WRITE: return OUTCOME_OVERRUN;
	case LIR_FAULT_UNINITIALISED: return OUTCOME_UNDEFINED;
	case LIR_FAULT_STEPS: return OUTCOME_HANG;
	default: return OUTCOME_NOT_RUN;
	}
}

void camp_finding(const struct comp_program *p, const struct tensor *outputs, struct camp_finding *out)
{
	const struct tensor *report = outputs + p->noutputs;

	*out = (struct camp_finding){.outcome = OUTCOME_NOT_RUN};
	for (uint32_t k = 0; k < p->nkernels; k++) {
		struct lir_finding f;
		enum outcome o;

		if (!p->kernel[k].checks || !lir_finding(p->kernel[k].checks, (report++)->data, &f))
			continue;
		o = outcome_of(f.site->fault);
		if (o <= out->outcome)
			continue;
		out->outcome = o;
		out->kernel = p->kernel[k].func->name;
		snprintf(out->text, sizeof out->text, "'%.120s': %s", out->kernel, f.text);
	}
}
