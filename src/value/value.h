/* value/value.h: data that crosses rooms - element types, tensors, distances and rankings, device capabilities, bundles
 *
 * Nothing here knows an IR, a device or a file format other than NumPy's .npy.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

struct arena;
struct err;

/* ---- element types -------------------------------------------------------------------------------------- */

enum dtype {
#define DT(id, name, bytes, kind) DT_##id,
#include "value/dtypes.def"
#undef DT
	DT_COUNT
};

const char *dtype_name(enum dtype t); /* "f32" */
bool dtype_parse(const char *name, enum dtype *out);
size_t dtype_size(enum dtype t);
bool dtype_is_float(enum dtype t);  /* f16 bf16 f32 f64 */
bool dtype_is_int(enum dtype t);    /* signed or unsigned; not bool */
bool dtype_is_signed(enum dtype t); /* signed integers and floats */

/* IEEE binary16 and bfloat16, round to nearest even, denormals kept, NaN stays NaN (quiet). */
uint16_t f16_from_f32(float x);
float f16_to_f32(uint16_t h);
uint16_t f16_from_f64(double x); /* one rounding */
uint16_t bf16_from_f32(float x);
float bf16_to_f32(uint16_t h);

/* ---- tensors -------------------------------------------------------------------------------------------- */

#define MAX_DIMS 8
/* No tensor has more elements than this: products of dimensions stay far from overflow. */
#define MAX_ELEMENTS ((int64_t)1 << 40)

/* Dense, row-major. nd 0 is a scalar. Whoever made data owns it (usually an arena). */
struct tensor {
	enum dtype dtype;
	int nd;
	int64_t dim[MAX_DIMS];
	void *data;
};

/* Product of dims; false when a dim is negative or the product exceeds MAX_ELEMENTS. */
bool dims_elements(const int64_t *dim, int nd, int64_t *out);
int64_t tensor_elements(const struct tensor *t); /* of a checked tensor */
size_t tensor_bytes(const struct tensor *t);
/* Zeroed data in the arena; the caller has checked the dims. */
struct tensor *tensor_new(struct arena *a, enum dtype t, int nd, const int64_t *dim);
/* Element i as a number; integers beyond 2^53 lose bits in the double form. */
double tensor_get_f64(const struct tensor *t, int64_t i);
int64_t tensor_get_i64(const struct tensor *t, int64_t i);
void tensor_set_f64(struct tensor *t, int64_t i, double v);
void tensor_set_i64(struct tensor *t, int64_t i, int64_t v);
struct hash tensor_hash(const struct tensor *t); /* type, shape and bytes */
const char *dims_text(struct arena *a, const int64_t *dim, int nd); /* "1x3x224x224", "scalar" */

/* NumPy .npy, versions 1 to 3, C or Fortran order (converted), little or big endian, types with a dtype above. */
bool npy_parse(struct arena *a, const void *bytes, size_t n, struct tensor **out, struct err *e);
bool npy_read(struct arena *a, const char *path, struct tensor **out, struct err *e);
bool npy_write(const char *path, const struct tensor *t, struct err *e);

/* ---- comparing results ---------------------------------------------------------------------------------- */

/* Distances between a reference and a mutated vector of logits (or any tensor), element by element.
 * Elements where either side is NaN or Inf are counted, not measured; identical NaN or Inf count as equal. */
struct distance {
	int64_t n;
	bool identical;         /* bitwise */
	double max_abs;         /* max |a_i - b_i| */
	double max_rel;         /* max |a_i - b_i| / max(|a_i|, |b_i|), 0 where both are 0 */
	double l2;              /* sqrt(sum (a_i - b_i)^2) */
	double cosine;          /* a.b / (|a||b|); 1 when both are zero vectors, 0 when one is */
	double nmse;            /* sum (a_i-b_i)^2 / sum a_i^2; 0 when both are zero, infinite when only a is */
	double max_ulp;         /* units in the last place of the element type; f32 ordering of bit patterns */
	int64_t nan_a, nan_b, inf_a, inf_b;
	bool special_differs;   /* a NaN or Inf (with sign) on one side only */
	double scale;           /* the largest finite |a_i| */
};
void distance_f32(const float *a, const float *b, int64_t n, struct distance *out);
/* The same of tensors of equally many elements and of any types; max_ulp in steps of the coarser type (integers: of one). */
void distance_tensor(const struct tensor *a, const struct tensor *b, struct distance *out);

/* Ranking: indices of the k largest scores, largest first; ties by lower index; NaN after every number.
 * Returns min(k, n). */
int topk_f32(const float *score, int64_t n, int k, int32_t *index);
/* Softmax of a row, in double, shifted by the maximum. A NaN makes all NaN; infinite maxima share everything. */
void softmax_f32(const float *logit, int64_t n, double *probability);

/* The prior tool's per-image metrics, defined properly, over two rankings a and b of k distinct class indices each.
 * Ranks count from 0; an item missing from a list has rank k there. k = 0 gives the values of equal lists. */
struct rank_metrics {
	bool top1_equal;
	double jaccard;         /* |A and B| / |A or B| */
	/* Rank-biased overlap, extrapolated (RBO_ext; Webber, Moffat, Zobel, TOIS 2010, eq. 32; lists are of equal length, so it
	 * is |A and B|/k p^k + (1-p)/p sum over d of p^d |A[:d] and B[:d]|/d) with p = 0.8. Ranks 1 and 2 of 5 swapped: 0.8. */
	double rbo;
	double kendall;         /* tau-b of the two rank vectors of the union (Kendall 1945); ranks 1, 2 of 5 swapped: 0.8 */
	double displacement;    /* mean of 1 - |rank_a - rank_b| / k over the items of a; an item missing from b gives 0: 1 is equal */
	double euclidean, manhattan, minkowski; /* between the rank vectors of the union; minkowski p = 1.5 */
};
void rank_compare(const int32_t *a, const int32_t *b, int k, struct rank_metrics *out);

/* Wilson score interval for successes of n at 95 %. n = 0 gives [0, 1]. */
void wilson(int64_t successes, int64_t n, double *low, double *high);
/* Sample size of a finite population N for error e at 95 % (Leveugle et al., DATE 2009): N / (1 + e^2 (N-1) / (t^2 p (1-p))),
 * t = 1.96, p = 0.5, rounded up. */
int64_t leveugle(int64_t population, double error);
/* One-way ANOVA of g groups: F and its p-value (upper tail of the F distribution). Equal means: 0 and 1. False with
 * fewer than two groups, an empty group or no degrees of freedom. */
bool anova(const double *const *group, const int64_t *n, int groups, double *f, double *p);

/* ---- what lies where nobody wrote ------------------------------------------------------------------------ */

/* What a kernel finds in outputs before it has written them, beyond the edges of buffers, and in local arrays. NAN: a quiet NaN in
 * floats, something large in integers. RANDOM: floats from -1 up to 1, any integers. STALE: whatever was there. */
enum fill_kind { FILL_NAN, FILL_ZERO, FILL_RANDOM, FILL_STALE };
struct fill {
	enum fill_kind kind;
	uint64_t seed; /* of RANDOM */
};
#define FILL_TEXT 32
const char *fill_text(struct fill f, char out[static FILL_TEXT]); /* "random(7)"; returns out */
bool fill_eq(struct fill a, struct fill b);
/* Bits of element i of an unwritten buffer, and of the eight bytes from 8 i on; those of STALE are NAN's. i may be negative. */
uint64_t fill_element(struct fill f, enum dtype t, int64_t i);
uint64_t fill_word(struct fill f, enum dtype t, int64_t i);

/* What lies in memory that nobody wrote, as words of 8 bytes. */
struct filling {
	struct fill fill;
	enum dtype dtype;
	uint64_t word; /* every one of them; unused with FILL_RANDOM */
};
/* Of an output before it is written; and of the pads of the tensor of that name, which tell each other apart: with NAN a payload of its
 * own, so that a copied neighbour shows; with ZERO the zero that a kernel stores least, the negative one of floats. */
struct filling filling_of_data(struct fill f, const char *name, enum dtype t);
struct filling filling_of_pads(struct fill f, const char *name, enum dtype t);
#define FILLING_OF_BLOBS 0xfffafffafffafffau /* the word in the pads of constants and inputs, whose type is not known where they lie: a quiet NaN in every one */

/* ---- devices and bundles -------------------------------------------------------------------------------- */

/* Devices of one class run the same functions. */
enum device_class { DEVICE_CPU, DEVICE_GPU };

#define DEVICE_ALL_TYPES ((1u << DT_COUNT) - 1)

/* What a device can do; measured by the worker, told to the parent in its first message. */
struct device_caps {
	const char *backend;   /* "cpu" */
	const char *dialect;   /* "c" */
	const char *describe;  /* for people: "gcc 12.2.0, AMD EPYC, avx512" */
	const char *identity;  /* whatever may change the bits a kernel computes: compiler version, flags, CPU model */
	enum device_class cls; /* which schedules suit it */
	int lanes;             /* preferred f32 vector width: 4, 8 or 16; 1: scalars */
	int threads;           /* most threads a kernel may be split over; 0: the device's business */
	bool isolates;         /* runs mutants in children with resource limits */
	uint32_t max_group;    /* work-items in a group; 0: no groups */
	uint64_t local_memory; /* bytes that a group shares; 0: sharing does not gain there */
	uint64_t memory;       /* bytes of the device's own; 0: the host's */
	const char *build;     /* how kernels are compiled: a command without files, or options; "" when unknown */
	const char *machine;   /* what the kernels are for, where that is a processor: "x86-64"; else "" */
	uint32_t together;     /* kernels that are built in one program because the device gains by it; 0: each alone */
	const char *apart;     /* why it found that it should build each alone; NULL: it did not */
	double first_launch_s; /* a kernel's first launch may take so much longer, because drivers finish compiling then */
	uint32_t types;        /* bit 1u << DT_x for each element type that kernels can use */
};

/* REPORT: written by instrumentation in a launch; holds zeros before it, and is no part of what the program is. */
enum buffer_role { BUF_CONST, BUF_INPUT, BUF_TEMP, BUF_OUTPUT, BUF_REPORT };

/* Elements, of the tensor's own type, on both sides of every tensor on every device: what runs over an edge shows there. */
#define BUNDLE_PAD 4096

/* One tensor of a program, as it lies on the device: dense in its stored (possibly blocked) layout. */
struct bundle_buffer {
	const char *name;      /* ONNX name, or NODE:temporary */
	enum buffer_role role;
	enum dtype dtype;
	int nd;
	int64_t dim[MAX_DIMS]; /* physical */
	const void *data;      /* BUF_CONST: its bytes; not owned */
	struct hash hash;      /* BUF_CONST: of data */
};

/* One distinct kernel text. Its entry point is always `mutatenn_kernel`, so equal code is equal text.
 * C: void mutatenn_kernel(void *const *buffer, int64_t part, int64_t parts), buffers in parameter order;
 * calls with part = 0..parts-1 may run at the same time in any order and together do the kernel once.
 * Dialects with groups: buffers in parameter order; fewer groups than `groups` do the same, in more turns. */
struct bundle_kernel {
	const char *source;
	bool contract;         /* may the compiler fuse a*b+c (the text writes fma on vectors that way)? */
	struct hash hash;      /* of source and contract */
	uint64_t groups;       /* how it is launched: so many groups of so many work-items; 0 and 0: (part, parts) */
	uint32_t group;
	bool fills;            /* the text holds a fill of local buffers */
	uint32_t plain;        /* 0; of an instrumented kernel: index + 1 of the one without, which is what this one's identity is */
};

struct bundle_launch {
	const char *name;      /* the lowered function: NODE or NODE.part */
	uint32_t kernel;       /* index into kernels */
	uint32_t nargs;
	uint32_t *arg;         /* buffer indices, in parameter order */
	uint32_t nout;         /* the last nout arguments are written, the others only read */
	bool parallel;         /* false: part 0 of 1 */
};

/* A whole program for one device. Launches are in an order in which every buffer is written before it is read. */
struct bundle {
	struct bundle_buffer *buffer;
	struct bundle_kernel *kernel;
	struct bundle_launch *launch;
	uint32_t nbuffers, nkernels, nlaunches;
	uint32_t ninputs, noutputs;
	uint32_t *input, *output; /* buffer indices; the reports of launches, in their order, come behind the program's own outputs */
	uint32_t nreports;
};
