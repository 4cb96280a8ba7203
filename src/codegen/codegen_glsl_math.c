/* codegen_glsl_math.c: functions that GLSL lacks or whose accuracy it leaves open, by arithmetic that every device rounds alike
 *
 * Errors on f32, measured on lavapipe against double, in units in the last place: exp 1, log 1, tanh 2, erf 4, sin and cos 2 up to
 * 8192 (GLSL's own beyond), tan 4; pow and those that go through double 1; fmod exact. Polynomials: Cephes, and for erf from 1
 * Abramowitz and Stegun 7.1.26. Lavapipe's own log and tanh are wrong from the third digit on in places. fma is the device's own
 * and rounds once or twice (lavapipe: twice); kernels are made of it, so that it must be fast.
 */
#include <string.h>

#include "base/arena.h"
#include "codegen/codegen_c_internal.h"

struct function {
	const char *name, *needs; /* needs: another, before it */
	const char *text;
};

static const struct function functions[] = {
    {"special", "",
     "#define NAN_ uintBitsToFloat(0x7fc00000u)\n"
     "#define INF_ uintBitsToFloat(0x7f800000u)\n"
     "#define BITS_(x) (floatBitsToUint(x) & 0x7fffffffu)\n"},
    {"exp_f32", "special",
     "float exp_f32(float x)\n{\n"
     "\tif (BITS_(x) > 0x7f800000u)\n\t\treturn NAN_;\n"
     "\tif (x > 88.72284)\n\t\treturn INF_;\n"
     "\tif (x < -104.0)\n\t\treturn 0.0;\n"
     "\tfloat n = floor(x * 1.44269504088896341 + 0.5), r = (x - n * 0.693359375) + n * 2.12194440e-4;\n"
     "\tfloat p = ((((1.9875691500e-4 * r + 1.3981999507e-3) * r + 8.3334519073e-3) * r + 4.1665795894e-2) * r + 1.6666665459e-1) "
     "* r\n"
     "\t\t+ 5.0000001201e-1;\n"
     "\tint half_ = int(n) / 2;\n"
     "\tp = (p * (r * r) + r) + 1.0;\n"
     "\treturn p * uintBitsToFloat(uint(half_ + 127) << 23) * uintBitsToFloat(uint(int(n) - half_ + 127) << 23);\n}\n"},
    {"log_f32", "special",
     "float log_f32(float x)\n{\n"
     "\tuint b = floatBitsToUint(x);\n"
     "\tif (BITS_(x) == 0u)\n\t\treturn -INF_;\n"
     "\tif (b > 0x7f800000u)\n\t\treturn NAN_;\n"
     "\tif (b == 0x7f800000u)\n\t\treturn x;\n"
     "\tint e = 0;\n"
     "\tif (b < 0x800000u) {\n\t\tint s = 23 - findMSB(b);\n\t\tb <<= s;\n\t\te = -s;\n\t\tb = (b & 0x7fffffu) | "
     "0x800000u;\n\t}\n"
     "\te += int(b >> 23) - 127;\n"
     "\tfloat m = uintBitsToFloat((b & 0x7fffffu) | 0x3f800000u);\n"
     "\tif (m > 1.41421356) {\n\t\tm *= 0.5;\n\t\te++;\n\t}\n"
     "\tfloat f = m - 1.0, z = f * f;\n"
     "\tfloat p = (((((((7.0376836292e-2 * f - 1.1514610310e-1) * f + 1.1676998740e-1) * f - 1.2420140846e-1) * f\n"
     "\t\t+ 1.4249322787e-1) * f - 1.6668057665e-1) * f + 2.0000714765e-1) * f - 2.4999993993e-1) * f + 3.3333331174e-1;\n"
     "\tfloat y = f * z * p - float(e) * 2.12194440e-4 - 0.5 * z;\n"
     "\treturn (f + y) + float(e) * 0.693359375;\n}\n"},
    {"tanh_f32", "exp_f32",
     "float tanh_f32(float x)\n{\n"
     "\tfloat a = abs(x), z = x * x;\n"
     "\tif (a < 0.625)\n"
     "\t\treturn ((((-5.70498872745e-3 * z + 2.06390887954e-2) * z - 5.37397155531e-2) * z + 1.33314422036e-1) * z -\n"
     "\t\t\t3.33332819422e-1) * z * x + x;\n"
     "\tfloat y = 1.0 - 2.0 / (exp_f32(2.0 * a) + 1.0);\n"
     "\treturn x < 0.0 ? -y : y;\n}\n"},
    {"erf_f32", "exp_f32",
     "float erf_f32(float x)\n{\n"
     "\tfloat a = abs(x), s = x * x;\n"
     "\tif (a < 1.0)\n"
     "\t\treturn x * ((((((7.853861353153693e-5 * s - 8.010193625184903e-4) * s + 5.188327685732524e-3) * s -\n"
     "\t\t\t2.685381193529856e-2) * s + 1.128358514861418e-1) * s - 3.761262582423300e-1) * s + 1.128379165726710);\n"
     "\tfloat t = 1.0 / (1.0 + 0.3275911 * a);\n"
     "\tfloat y = 1.0 - t * ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * "
     "exp_f32(-s);\n"
     "\treturn x < 0.0 ? -y : y;\n}\n"},
    {"sine", "special",
     "float sine_(float x, int quarter, float own)\n{\n"
     "\tfloat a = abs(x);\n"
     "\tif (BITS_(x) >= 0x7f800000u)\n\t\treturn NAN_;\n"
     "\tif (a > 8192.0)\n\t\treturn own;\n"
     "\tint n = int(floor(a * 0.636619772367581 + 0.5));\n"
     "\tfloat q = float(n), r = (((a - q * 1.5703125) - q * 0.0004837512969970703) - q * 7.549533620476723e-08) - q * "
     "2.5633440682570896e-12, z = r * r;\n"
     "\tfloat s = ((-1.9515295891e-4 * z + 8.3321608736e-3) * z - 1.6666654611e-1) * z * r + r;\n"
     "\tfloat c = ((2.443315711809948e-5 * z - 1.388731625493765e-3) * z + 4.166664568298827e-2) * z * z - 0.5 * z + 1.0;\n"
     "\tint k = n + quarter;\n"
     "\tfloat y = (k & 1) != 0 ? c : s;\n"
     "\tif ((k & 2) != 0)\n\t\ty = -y;\n"
     "\treturn quarter == 0 && x < 0.0 ? -y : y;\n}\n"},
    {"sin_f32", "sine", "float sin_f32(float x) { return x == 0.0 ? x : sine_(x, 0, sin(x)); }\n"},
    {"cos_f32", "sine", "float cos_f32(float x) { return sine_(x, 1, cos(x)); }\n"},
    {"tan_f32", "sine", "float tan_f32(float x) { return x == 0.0 ? x : sine_(x, 0, sin(x)) / sine_(x, 1, cos(x)); }\n"},
    {"exp_d", "special", /* rounded to f32: also below its smallest normal number */
     "double two_to_(int n) { return packDouble2x32(uvec2(0u, uint(n + 1023) << 20)); }\n"
     "double exp_of_(double x)\n{\n"
     "\tif (x > 700.0LF || x < -700.0LF)\n\t\treturn x > 0.0LF ? double(INF_) : 0.0LF;\n"
     "\tdouble n = roundEven(x * 1.4426950408889634LF), r = x - n * 0.6931471805599453LF, p = 1.0LF;\n"
     "\tfor (int i = 12; i > 0; i--)\n\t\tp = 1.0LF + p * r / double(i);\n"
     "\treturn p * two_to_(int(n));\n}\n"},
    {"log_d", "exp_d", /* of finite numbers above 0 that are no denormals of f64 */
     "double log_of_(double x)\n{\n"
     "\tuvec2 b = unpackDouble2x32(x);\n"
     "\tint e = int(b.y >> 20) - 1023;\n"
     "\tdouble m = packDouble2x32(uvec2(b.x, (b.y & 0xfffffu) | 0x3ff00000u));\n"
     "\tif (m > 1.4142135623730951LF) {\n\t\tm *= 0.5LF;\n\t\te++;\n\t}\n"
     "\tdouble f = (m - 1.0LF) / (m + 1.0LF), z = f * f, s = 0.0LF;\n"
     "\tfor (int i = 19; i > 0; i -= 2)\n\t\ts = s * z + 1.0LF / double(i);\n"
     "\treturn double(e) * 0.6931471805599453LF + 2.0LF * f * s;\n}\n"},
    {"pow_f32", "log_d",
     "float pow_f32(float x, float y)\n{\n"
     "\tfloat a = abs(x), b = abs(y), r;\n"
     "\tif (y == 0.0 || x == 1.0)\n\t\treturn 1.0;\n"
     "\tif (BITS_(x) > 0x7f800000u || BITS_(y) > 0x7f800000u)\n\t\treturn NAN_;\n"
     "\tbool whole = floor(y) == y, odd = whole && b < 16777216.0 && (uint(b) & 1u) != 0u;\n"
     "\tif (x < 0.0 && !whole && BITS_(x) < 0x7f800000u)\n\t\treturn NAN_;\n"
     "\tif (BITS_(y) == 0x7f800000u)\n\t\tr = a == 1.0 ? 1.0 : (a > 1.0) == (y > 0.0) ? INF_ : 0.0;\n"
     "\telse if (BITS_(x) == 0u || BITS_(x) == 0x7f800000u)\n\t\tr = (a > 1.0) == (y > 0.0) ? INF_ : 0.0;\n"
     "\telse\n\t\tr = float(exp_of_(double(y) * log_of_(double(a))));\n"
     "\treturn odd && floatBitsToUint(x) > 0x7fffffffu ? -r : r;\n}\n"},
    {"atan_d", "special", /* 0 or more */
     "double atan_of_(double x)\n{\n"
     "\tdouble y = 0.0LF;\n"
     "\tif (x > 2.414213562373095LF) {\n\t\ty = 1.5707963267948966LF;\n\t\tx = -1.0LF / x;\n"
     "\t} else if (x > 0.4142135623730951LF) {\n\t\ty = 0.7853981633974483LF;\n\t\tx = (x - 1.0LF) / (x + 1.0LF);\n\t}\n"
     "\tdouble z = x * x;\n"
     "\treturn y + ((((8.05374449538e-2LF * z - 1.38776856032e-1LF) * z + 1.99777106478e-1LF) * z - 3.33329491539e-1LF) * z * x + "
     "x);\n"
     "}\n"},
    {"atan_f32", "atan_d",
     "float atan_f32(float x)\n{\n"
     "\tif (x == 0.0 || BITS_(x) > 0x7f800000u)\n\t\treturn x;\n"
     "\tfloat y = BITS_(x) == 0x7f800000u ? 1.57079632679489662 : float(atan_of_(double(abs(x))));\n"
     "\treturn x < 0.0 ? -y : y;\n}\n"},
    {"asin_f32", "atan_d",
     "float asin_f32(float x)\n{\n"
     "\tdouble a = double(abs(x)), c = (1.0LF - a) * (1.0LF + a);\n"
     "\tif (!(abs(x) <= 1.0))\n\t\treturn NAN_;\n"
     "\tif (x == 0.0)\n\t\treturn x;\n"
     "\tfloat y = abs(x) == 1.0 ? 1.57079632679489662 : float(atan_of_(a / sqrt(c)));\n"
     "\treturn x < 0.0 ? -y : y;\n}\n"},
    {"acos_f32", "atan_d",
     "float acos_f32(float x)\n{\n"
     "\tif (!(abs(x) <= 1.0))\n\t\treturn NAN_;\n"
     "\tif (x == -1.0)\n\t\treturn 3.14159265358979324;\n"
     "\tdouble d = double(x);\n"
     "\treturn float(2.0LF * atan_of_(sqrt((1.0LF - d) / (1.0LF + d))));\n}\n"},
    {"sinh_f32", "exp_d",
     "float sinh_f32(float x)\n{\n"
     "\tif (!(abs(x) > 0.001))\n\t\treturn x + x * x * x * 0.16666667;\n"
     "\tif (BITS_(x) >= 0x7f800000u)\n\t\treturn x;\n"
     "\treturn float((exp_of_(double(x)) - exp_of_(-double(x))) * 0.5LF);\n}\n"},
    {"cosh_f32", "exp_d",
     "float cosh_f32(float x)\n{\n"
     "\tif (BITS_(x) >= 0x7f800000u)\n\t\treturn abs(x);\n"
     "\treturn float((exp_of_(double(x)) + exp_of_(-double(x))) * 0.5LF);\n}\n"},
    {"asinh_f32", "log_d",
     "float asinh_f32(float x)\n{\n"
     "\tif (!(abs(x) > 0.001))\n\t\treturn x - x * x * x * 0.16666667;\n"
     "\tif (BITS_(x) >= 0x7f800000u)\n\t\treturn x;\n"
     "\tdouble a = double(abs(x));\n"
     "\tfloat y = float(log_of_(a + sqrt(a * a + 1.0LF)));\n"
     "\treturn x < 0.0 ? -y : y;\n}\n"},
    {"acosh_f32", "log_d",
     "float acosh_f32(float x)\n{\n"
     "\tif (!(x >= 1.0))\n\t\treturn NAN_;\n"
     "\tif (BITS_(x) == 0x7f800000u)\n\t\treturn x;\n"
     "\tdouble a = double(x);\n"
     "\treturn float(log_of_(a + sqrt((a - 1.0LF) * (a + 1.0LF))));\n}\n"},
    {"atanh_f32", "log_d",
     "float atanh_f32(float x)\n{\n"
     "\tif (!(abs(x) <= 1.0))\n\t\treturn NAN_;\n"
     "\tif (abs(x) < 0.001)\n\t\treturn x + x * x * x * 0.33333334;\n"
     "\tif (abs(x) == 1.0)\n\t\treturn x < 0.0 ? -INF_ : INF_;\n"
     "\tdouble a = double(abs(x));\n"
     "\tfloat y = float(0.5LF * log_of_((1.0LF + a) / (1.0LF - a)));\n"
     "\treturn x < 0.0 ? -y : y;\n}\n"},
    {"fmod_f32", "special", /* long division, eight bits at a time */
     "float fmod_f32(float x, float y)\n{\n"
     "\tuint a = BITS_(x), b = BITS_(y);\n"
     "\tif (a >= 0x7f800000u || b > 0x7f800000u || b == 0u)\n\t\treturn NAN_;\n"
     "\tif (a < b)\n\t\treturn x;\n"
     "\tint ea = max(int(a >> 23), 1), eb = max(int(b >> 23), 1);\n"
     "\tuint ma = a - (uint(ea - 1) << 23), mb = b - (uint(eb - 1) << 23);\n"
     "\tma %= mb;\n"
     "\twhile (ea > eb) {\n\t\tint n = min(ea - eb, 8);\n\t\tma = (ma << n) % mb;\n\t\tea -= n;\n\t}\n"
     "\tif (ma != 0u) {\n\t\tint n = min(max(23 - findMSB(ma), 0), eb - 1);\n\t\tma = (ma << n) + (uint(eb - n - 1) << 23);\n\t}\n"
     "\treturn uintBitsToFloat(ma | (floatBitsToUint(x) & 0x80000000u));\n}\n"},
    {"fmod_f64", "", "double fmod_f64(double x, double y) { return x - trunc(x / y) * y; }\n"},
};

static bool need(struct cg *g, const char *name)
{
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
		if (strcmp(functions[i].name, name))
			continue;
		if (*functions[i].needs)
			need(g, functions[i].needs);
		if (c_first_time(g, name))
			str_add(&g->pre, functions[i].text);
		return true;
	}
	return false;
}

const char *c_glsl_function(struct cg *g, enum lir_call c, enum dtype t)
{
	const char *name = arena_printf(g->a, "%s_%s", lir_call_name(c), dtype_name(t));

	return need(g, name) ? name : NULL;
}
