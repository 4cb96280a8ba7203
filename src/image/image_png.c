/* image_png.c: PNG by libspng */
#include <spng.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "image/image_internal.h"

/* Deflate's best is 1032 to 1, on 8 pixels a byte. */
#define MAX_PIXELS_PER_BYTE (8 * 1032)
#define MAX_CHUNK ((size_t)1 << 30)
#define MAX_CHUNKS_KEPT ((size_t)64 << 20)

static bool matches(const uint8_t *p, size_t n)
{
	return n >= 8 && !memcmp(p, "\x89PNG\r\n\x1a\n", 8);
}

static bool fail(int code, struct err *e)
{
	if (code == SPNG_IO_EOF)
		return err_set(e, ERR_PARSE, "truncated: the file ends too early");
	return err_set(e, ERR_PARSE, "%s", spng_strerror(code));
}

static bool header(spng_ctx *s, const uint8_t *p, size_t n, int *w, int *h, struct err *e)
{
	struct spng_ihdr ihdr;
	int code;

	spng_set_image_limits(s, IMAGE_MAX_SIDE, IMAGE_MAX_SIDE);
	spng_set_chunk_limits(s, MAX_CHUNK, MAX_CHUNKS_KEPT);
	spng_set_crc_action(s, SPNG_CRC_ERROR, SPNG_CRC_DISCARD);
	/* libspng has its own words for dimensions over the limits; ours say which */
	if (n >= 24 && !image_dims_ok((uint64_t)p[16] << 24 | (uint64_t)p[17] << 16 | (uint64_t)p[18] << 8 | p[19],
				      (uint64_t)p[20] << 24 | (uint64_t)p[21] << 16 | (uint64_t)p[22] << 8 | p[23], e))
		return false;
	if ((code = spng_set_png_buffer(s, p, n)) || (code = spng_get_ihdr(s, &ihdr)))
		return fail(code, e);
	if (!image_dims_ok(ihdr.width, ihdr.height, e))
		return false;
	if ((uint64_t)ihdr.width * ihdr.height / MAX_PIXELS_PER_BYTE > n)
		return err_set(e, ERR_PARSE, "truncated: %zu bytes cannot hold %ux%u pixels", n, ihdr.width, ihdr.height);
	*w = (int)ihdr.width;
	*h = (int)ihdr.height;
	return true;
}

static bool probe(const uint8_t *p, size_t n, int *w, int *h, struct err *e)
{
	spng_ctx *s = spng_ctx_new(0);
	bool ok = s ? header(s, p, n, w, h, e) : err_set(e, ERR_IO, "out of memory");

	spng_ctx_free(s);
	return ok;
}

static bool pixels(spng_ctx *s, struct arena *a, const uint8_t *p, size_t n, struct image **out, int *orientation, struct err *e)
{
	struct spng_exif exif;
	int w, h, code;
	size_t size;

	if (!header(s, p, n, &w, &h, e))
		return false;
	if ((code = spng_decoded_image_size(s, SPNG_FMT_RGB8, &size)))
		return fail(code, e);
	if (size != (size_t)w * (size_t)h * 3)
		return err_set(e, ERR_PARSE, "unexpected size %zu", size);
	*out = image_new(a, w, h, 3);
	if ((code = spng_decode_image(s, (*out)->data, size, SPNG_FMT_RGB8, 0)) || (code = spng_decode_chunks(s)))
		return fail(code, e);
	if (!spng_get_exif(s, &exif))
		*orientation = exif_orientation((const uint8_t *)exif.data, exif.length);
	return true;
}

static bool decode(struct arena *a, const uint8_t *p, size_t n, struct image **out, int *orientation, struct err *e)
{
	spng_ctx *s = spng_ctx_new(0);
	bool ok = s ? pixels(s, a, p, n, out, orientation, e) : err_set(e, ERR_IO, "out of memory");

	spng_ctx_free(s);
	return ok;
}

const struct image_codec image_codec_png = {.name = "png", .matches = matches, .probe = probe, .decode = decode};
