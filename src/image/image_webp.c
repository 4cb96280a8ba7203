/* image_webp.c: WebP by libwebp */
#include <string.h>
#include <webp/decode.h>

#include "base/arena.h"
#include "base/err.h"
#include "image/image_internal.h"

static bool matches(const uint8_t *p, size_t n)
{
	return n >= 12 && !memcmp(p, "RIFF", 4) && !memcmp(p + 8, "WEBP", 4);
}

static bool fail(VP8StatusCode code, struct err *e)
{
	switch (code) {
	case VP8_STATUS_NOT_ENOUGH_DATA: return err_set(e, ERR_PARSE, "truncated: the file ends too early");
	case VP8_STATUS_UNSUPPORTED_FEATURE: return err_set(e, ERR_UNSUPPORTED, "a feature of this file is not supported");
	case VP8_STATUS_OUT_OF_MEMORY: return err_set(e, ERR_IO, "out of memory");
	default: return err_set(e, ERR_PARSE, "corrupt");
	}
}

static bool header(const uint8_t *p, size_t n, WebPBitstreamFeatures *f, struct err *e)
{
	VP8StatusCode code = WebPGetFeatures(p, n, f);

	if (code)
		return fail(code, e);
	if (f->has_animation)
		return err_set(e, ERR_UNSUPPORTED, "animations are not supported");
	return image_dims_ok((uint64_t)f->width, (uint64_t)f->height, e);
}

static bool probe(const uint8_t *p, size_t n, int *w, int *h, struct err *e)
{
	WebPBitstreamFeatures f;

	if (!header(p, n, &f, e))
		return false;
	*w = f.width;
	*h = f.height;
	return true;
}

/* Chunks of the RIFF container: four letters, little-endian length, data, padding to even. */
static int orientation_of(const uint8_t *p, size_t n)
{
	for (size_t i = 12; n - i >= 8;) {
		size_t len = (size_t)p[i + 4] | (size_t)p[i + 5] << 8 | (size_t)p[i + 6] << 16 | (size_t)p[i + 7] << 24;

		if (len > n - i - 8)
			break;
		if (!memcmp(p + i, "EXIF", 4))
			return exif_orientation(p + i + 8, len);
		i += 8 + len;
		if (len & 1 && i < n)
			i++;
	}
	return 1;
}

static bool decode(struct arena *a, const uint8_t *p, size_t n, struct image **out, int *orientation, struct err *e)
{
	WebPDecoderConfig c;
	VP8StatusCode code;
	size_t size;

	if (!WebPInitDecoderConfig(&c))
		return err_set(e, ERR_IO, "wrong version of libwebp");
	if (!header(p, n, &c.input, e))
		return false;
	*out = image_new(a, c.input.width, c.input.height, 3);
	size = (size_t)c.input.width * (size_t)c.input.height * 3;
	c.output.colorspace = MODE_RGB; /* drops alpha */
	c.output.is_external_memory = 1;
	c.output.u.RGBA.rgba = (*out)->data;
	c.output.u.RGBA.stride = c.input.width * 3;
	c.output.u.RGBA.size = size;
	code = WebPDecode(p, n, &c);
	WebPFreeDecBuffer(&c.output);
	if (code)
		return fail(code, e);
	*orientation = orientation_of(p, n);
	return true;
}

const struct image_codec image_codec_webp = {.name = "webp", .matches = matches, .probe = probe, .decode = decode};
