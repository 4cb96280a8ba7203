/* tensor.c: dense arrays with checked sizes */
#include <string.h>

#include "base/arena.h"
#include "base/str.h"
#include "value/value.h"

bool dims_elements(const int64_t *dim, int nd, int64_t *out)
{
	int64_t n = 1;
	bool zero = false;

	for (int i = 0; i < nd; i++) {
		if (dim[i] < 0)
			return false;
		if (dim[i] == 0)
			zero = true;
		else if (n > MAX_ELEMENTS / dim[i])
			return false;
		else
			n *= dim[i];
	}
	*out = zero ? 0 : n;
	return true;
}

int64_t tensor_elements(const struct tensor *t)
{
	int64_t n = 1;

	for (int i = 0; i < t->nd; i++)
		n *= t->dim[i];
	return n;
}

size_t tensor_bytes(const struct tensor *t)
{
	return (size_t)tensor_elements(t) * dtype_size(t->dtype);
}

struct tensor *tensor_new(struct arena *a, enum dtype dt, int nd, const int64_t *dim)
{
	struct tensor *t = ARENA_NEW(a, struct tensor);

	t->dtype = dt;
	t->nd = nd;
	for (int i = 0; i < nd; i++)
		t->dim[i] = dim[i];
	t->data = arena_zalloc(a, tensor_bytes(t));
	return t;
}

#define LOAD(T)                                                                                                        \
	({                                                                                                             \
		T v_;                                                                                                  \
		memcpy(&v_, (const char *)t->data + (size_t)i * sizeof v_, sizeof v_);                                 \
		v_;                                                                                                    \
	})
#define STORE(T, x)                                                                                                    \
	do {                                                                                                           \
		T v_ = (T)(x);                                                                                         \
		memcpy((char *)t->data + (size_t)i * sizeof v_, &v_, sizeof v_);                                       \
	} while (0)

double tensor_get_f64(const struct tensor *t, int64_t i)
{
	switch (t->dtype) {
	case DT_F16: return f16_to_f32(LOAD(uint16_t));
	case DT_BF16: return bf16_to_f32(LOAD(uint16_t));
	case DT_F32: return LOAD(float);
	case DT_F64: return LOAD(double);
	case DT_U64: return (double)LOAD(uint64_t);
	default: return (double)tensor_get_i64(t, i);
	}
}

int64_t tensor_get_i64(const struct tensor *t, int64_t i)
{
	switch (t->dtype) {
	case DT_BOOL: return LOAD(uint8_t) != 0;
	case DT_I8: return LOAD(int8_t);
	case DT_U8: return LOAD(uint8_t);
	case DT_I16: return LOAD(int16_t);
	case DT_U16: return LOAD(uint16_t);
	case DT_I32: return LOAD(int32_t);
	case DT_U32: return LOAD(uint32_t);
	case DT_I64: return LOAD(int64_t);
	case DT_U64: return (int64_t)LOAD(uint64_t);
	default: break;
	}
	double x = tensor_get_f64(t, i);
	if (x != x)
		return 0;
	return x >= 9223372036854775808.0 ? INT64_MAX : x <= -9223372036854775808.0 ? INT64_MIN : (int64_t)x;
}

void tensor_set_f64(struct tensor *t, int64_t i, double x)
{
	switch (t->dtype) {
	case DT_F16: STORE(uint16_t, f16_from_f64(x)); break;
	case DT_BF16: STORE(uint16_t, bf16_from_f32((float)x)); break;
	case DT_F32: STORE(float, x); break;
	case DT_F64: STORE(double, x); break;
	default: tensor_set_i64(t, i, (int64_t)x); break;
	}
}

void tensor_set_i64(struct tensor *t, int64_t i, int64_t x)
{
	switch (t->dtype) {
	case DT_BOOL: STORE(uint8_t, x != 0); break;
	case DT_I8: STORE(int8_t, x); break;
	case DT_U8: STORE(uint8_t, x); break;
	case DT_I16: STORE(int16_t, x); break;
	case DT_U16: STORE(uint16_t, x); break;
	case DT_I32: STORE(int32_t, x); break;
	case DT_U32: STORE(uint32_t, x); break;
	case DT_I64: STORE(int64_t, x); break;
	case DT_U64: STORE(uint64_t, x); break;
	default: tensor_set_f64(t, i, (double)x); break;
	}
}

struct hash tensor_hash(const struct tensor *t)
{
	struct hasher *h = hasher_new();

	hash_put_u64(h, t->dtype);
	hash_put_u64(h, (uint64_t)t->nd);
	for (int i = 0; i < t->nd; i++)
		hash_put_u64(h, (uint64_t)t->dim[i]);
	hash_put_bytes(h, t->data, tensor_bytes(t));
	return hasher_end(h);
}

const char *dims_text(struct arena *a, const int64_t *dim, int nd)
{
	struct str s = {0};
	char *out;

	for (int i = 0; i < nd; i++)
		str_addf(&s, "%s%lld", i ? "x" : "", (long long)dim[i]);
	out = arena_strdup(a, nd ? str_text(&s) : "scalar");
	str_free(&s);
	return out;
}
