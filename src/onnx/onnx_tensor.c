/* onnx_tensor.c: TensorProto to tensors - raw, typed and external data */
#include <string.h>

#include "onnx/onnx_internal.h"

static const struct {
	int onnx;
	enum dtype t;
} types[] = {{1, DT_F32}, {2, DT_U8}, {3, DT_I8}, {4, DT_U16}, {5, DT_I16}, {6, DT_I32}, {7, DT_I64}, {9, DT_BOOL},
             {10, DT_F16}, {11, DT_F64}, {12, DT_U32}, {13, DT_U64}, {16, DT_BF16}};

bool onnx_dtype(int onnx_type, enum dtype *out)
{
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (types[i].onnx == onnx_type) {
			*out = types[i].t;
			return true;
		}
	return false;
}

int onnx_dtype_number(enum dtype t)
{
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (types[i].t == t)
			return types[i].onnx;
	return 0;
}

const char *onnx_dtype_name(int t)
{
	static const char *const names[] = {"undefined", "float", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16", "double",
	                                    "uint32", "uint64", "complex64", "complex128", "bfloat16", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2",
	                                    "float8e5m2fnuz", "uint4", "int4"};

	return t >= 0 && (size_t)t < sizeof names / sizeof *names ? names[t] : "unknown";
}

/* The typed field that holds elements of t: their number, or -1 when the field does not exist for t. */
static int64_t typed_count(const Onnx__TensorProto *p, enum dtype t)
{
	switch (t) {
	case DT_F32: return (int64_t)p->n_float_data;
	case DT_F64: return (int64_t)p->n_double_data;
	case DT_I64: return (int64_t)p->n_int64_data;
	case DT_U32:
	case DT_U64: return (int64_t)p->n_uint64_data;
	default: return (int64_t)p->n_int32_data;
	}
}

static void copy_typed(const Onnx__TensorProto *p, struct tensor *t, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		switch (t->dtype) {
		case DT_F32: ((float *)t->data)[i] = p->float_data[i]; break;
		case DT_F64: ((double *)t->data)[i] = p->double_data[i]; break;
		case DT_I64: ((int64_t *)t->data)[i] = p->int64_data[i]; break;
		case DT_U32:
		case DT_U64: tensor_set_i64(t, i, (int64_t)p->uint64_data[i]); break;
		case DT_F16:
		case DT_BF16: ((uint16_t *)t->data)[i] = (uint16_t)p->int32_data[i]; break; /* the bits */
		default: tensor_set_i64(t, i, p->int32_data[i]); break;
		}
}

static bool number(const char *s, uint64_t *out)
{
	*out = 0;
	if (!*s || strlen(s) > 18)
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return false;
		*out = *out * 10 + (uint64_t)(*s - '0');
	}
	return true;
}

static bool leaves(const char *path)
{
	if (*path == '/')
		return true;
	for (const char *p = path; p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL)
		if (!strncmp(p, "..", 2) && (!p[2] || p[2] == '/'))
			return true;
	return false;
}

/* shape: the tensor without its data, which may be more than there is. */
static bool external(struct arena *a, const Onnx__TensorProto *p, const char *dir, const struct tensor *shape, struct tensor **out, struct err *e)
{
	const char *location = NULL;
	uint64_t offset = 0, length = tensor_bytes(shape);
	struct bytes file;
	bool ok;

	for (size_t i = 0; i < p->n_external_data; i++) {
		const Onnx__StringStringEntryProto *x = p->external_data[i];

		if (!x->key || !x->value)
			continue;
		if (!strcmp(x->key, "location"))
			location = x->value;
		else if (!strcmp(x->key, "offset") && !number(x->value, &offset))
			return err_set(e, ERR_PARSE, "external data: offset '%s'", x->value);
		else if (!strcmp(x->key, "length") && !number(x->value, &length))
			return err_set(e, ERR_PARSE, "external data: length '%s'", x->value);
	}
	if (!location)
		return err_set(e, ERR_PARSE, "external data without a location");
	if (!dir)
		return err_set(e, ERR_PARSE, "external data: '%s' cannot be read from here", location);
	if (leaves(location))
		return err_set(e, ERR_PARSE, "external data: '%s' leaves the model's folder", location);
	if (!file_map(file_join(a, dir, location), &file, e))
		return err_in(e, "external data");
	ok = offset <= file.n && length == tensor_bytes(shape) && length <= file.n - offset;
	if (ok) {
		*out = arena_memdup(a, shape, sizeof *shape);
		(*out)->data = onnx_copy_mapped(a, file.n ? file.p + offset : NULL, length);
	} else {
		err_set(e, ERR_PARSE, "external data: '%s' has %zu bytes, bytes %llu to %llu are wanted for %zu", location, file.n,
		        (unsigned long long)offset, (unsigned long long)(offset + length), tensor_bytes(shape));
	}
	file_unmap(file);
	return ok;
}

/* A bool is 0 or 1 everywhere behind this door. */
static void normalise(struct tensor *t)
{
	int64_t n = t->dtype == DT_BOOL ? tensor_elements(t) : 0;

	for (int64_t i = 0; i < n; i++)
		((uint8_t *)t->data)[i] = ((uint8_t *)t->data)[i] != 0;
}

/* p was unpacked into an arena that lives as long as a. */
bool onnx_tensor(struct arena *a, const Onnx__TensorProto *p, const char *dir, struct tensor **out, struct err *e)
{
	struct tensor *t, shape = {0};
	int64_t n, have;
	enum dtype dt;

	if (p->has_data_type == 0 || !onnx_dtype(p->data_type, &dt))
		return err_set(e, ERR_UNSUPPORTED, "type %s", onnx_dtype_name(p->data_type));
	if (p->n_dims > MAX_DIMS - 1)
		return err_set(e, ERR_UNSUPPORTED, "%zu dimensions, at most %d are supported", p->n_dims, MAX_DIMS - 1);
	if (!dims_elements(p->dims, (int)p->n_dims, &n) || n > (int64_t)1 << 33)
		return err_set(e, ERR_PARSE, "%s is an absurd shape", dims_text(a, p->dims, (int)p->n_dims));
	if (p->segment)
		return err_set(e, ERR_UNSUPPORTED, "a tensor in segments");
	shape.dtype = dt;
	shape.nd = (int)p->n_dims;
	for (int i = 0; i < shape.nd; i++)
		shape.dim[i] = p->dims[i];
	if (p->has_data_location && p->data_location == 1)
		return external(a, p, dir, &shape, out, e) && (normalise(*out), true);
	have = p->has_raw_data ? (int64_t)(p->raw_data.len / dtype_size(dt)) : typed_count(p, dt);
	if (p->has_raw_data && p->raw_data.len % dtype_size(dt))
		return err_set(e, ERR_PARSE, "%zu bytes are not a whole number of elements of type %s", p->raw_data.len, dtype_name(dt));
	if (have != n)
		return err_set(e, ERR_PARSE, "%lld elements are announced, %lld are there", (long long)n, (long long)have);
	if (p->has_raw_data && n) { /* unpacked into the arena, as aligned as all of it: weights of gigabytes are not copied again */
		t = arena_memdup(a, &shape, sizeof shape);
		t->data = p->raw_data.data;
	} else {
		t = tensor_new(a, dt, shape.nd, shape.dim);
		copy_typed(p, t, n);
	}
	normalise(t);
	*out = t;
	return true;
}

bool onnx_tensor_read(struct arena *a, const char *path, struct tensor **out, const char **name, struct err *e)
{
	Onnx__TensorProto *p;
	struct bytes b;

	if (!file_read(a, path, 0, &b, e))
		return false;
	p = onnx_unpack(a, &onnx__tensor_proto__descriptor, b.p, b.n, e);
	if (name)
		*name = p && p->name ? p->name : "";
	return (p && onnx_tensor(a, p, NULL, out, e)) || err_in(e, "'%s'", path);
}
