/* test_image.c: decoding and resizing against Pillow's pixels, and what hostile files do */
#include "test_support.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "image/image.h"
#include "image_samples.h"

#define NSAMPLES (sizeof samples / sizeof *samples)

/* The error text, which must be there; the caller frees it with the arena. */
static const char *refusal(struct arena *a, const void *p, size_t n)
{
	struct err e = {0};
	struct image *im;
	const char *text;

	cr_assert_not(image_decode(a, p, n, "x", &im, &e));
	text = arena_strdup(a, err_text(&e));
	err_free(&e);
	return text;
}

static struct image *decoded(struct arena *a, const uint8_t *p, size_t n)
{
	struct err e = {0};
	struct image *im = NULL;

	cr_assert(image_decode(a, p, n, "x", &im, &e), "%s", err_text(&e));
	return im;
}

TEST(image, every_kind_of_file_gives_pillows_pixels)
{
	struct arena *a = arena_new(NULL);

	for (size_t i = 0; i < NSAMPLES; i++) {
		const struct sample *s = &samples[i];
		struct image *im = decoded(a, s->bytes, s->n);
		bool lossy = !strncmp(s->name, "jpeg", 4) || !strcmp(s->name, "webp_lossy");

		cr_assert_eq(im->w, s->w, "%s", s->name);
		cr_assert_eq(im->h, s->h, "%s", s->name);
		cr_assert_eq(im->channels, 3);
		/* another version of a codec may round a lossy picture in another way, by one level */
		for (size_t j = 0; j < (size_t)s->w * (size_t)s->h * 3; j++)
			cr_assert(abs(im->data[j] - s->pixels[j]) <= lossy, "%s: byte %zu is %d, not %d", s->name, j, im->data[j],
				  s->pixels[j]);
	}
	arena_free(a);
}

TEST(image, all_eight_exif_orientations_are_applied)
{
	static const uint8_t exif[] = "\xff\xe1\0\x22"
				      "Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0?\0\0\0\0\0\0";
	struct arena *a = arena_new(NULL);
	uint8_t file[sizeof jpeg_asym + 36];

	cr_assert_eq(sizeof exif - 1, 36u);
	memcpy(file, jpeg_asym, 2);
	memcpy(file + 2, exif, 36);
	memcpy(file + 38, jpeg_asym + 2, sizeof jpeg_asym - 2);
	for (uint8_t k = 1; k <= 8; k++) {
		struct image *im;
		int block = 0;

		file[2 + 29] = k;
		im = decoded(a, file, sizeof file);
		cr_assert_eq(im->w, oriented[k - 1].w);
		cr_assert_eq(im->h, oriented[k - 1].h);
		for (int y = 4; y < im->h; y += 8) {
			for (int x = 4; x < im->w; x += 8, block++) {
				int got = im->data[(y * im->w + x) * 3], want = oriented[k - 1].centre[block];

				cr_expect_leq(abs(got - want), 1, "orientation %d, block %d: %d, not %d", k, block, got, want);
			}
		}
	}
	file[2 + 29] = 9; /* no such orientation */
	cr_expect_eq(decoded(a, file, sizeof file)->w, 24);
	arena_free(a);
}

TEST(image, a_file_cut_anywhere_is_an_error_that_says_so)
{
	struct arena *a = arena_new(NULL);

	for (size_t i = 0; i < NSAMPLES; i++) {
		const struct sample *s = &samples[i];
		/* libspng does without the checksum of the last, empty chunk */
		size_t last = strncmp(s->name, "png", 3) ? s->n : s->n - 4;

		for (size_t n = 0; n < last; n++) {
			uint8_t *copy = malloc(n + 1); /* so that reading on is seen */
			struct arena *scratch = arena_new(NULL);
			struct err e = {0};
			struct image *im;

			memcpy(copy, s->bytes, n);
			cr_expect_not(image_decode(scratch, copy, n, "cut", &im, &e), "%s cut at %zu of %zu", s->name, n, s->n);
			if (n > 40)
				cr_expect(strstr(err_text(&e), "truncated") || strstr(err_text(&e), "corrupt"), "%s at %zu: %s",
					  s->name, n, err_text(&e));
			err_free(&e);
			arena_free(scratch);
			free(copy);
		}
	}
	arena_free(a);
}

TEST(image, absurd_dimensions_are_refused_before_memory_is_taken)
{
	struct arena *a = arena_new(NULL);
	uint8_t png[sizeof png_rgb], jpeg[sizeof jpeg_grey], webp[sizeof webp_lossless];
	size_t before;

	memcpy(png, png_rgb, sizeof png);
	memcpy(png + 16, "\x7f\xff\xff\xff\x7f\xff\xff\xff", 8);
	before = arena_live_bytes();
	cr_expect(strstr(refusal(a, png, sizeof png), "2147483647x2147483647 pixels is too large"));
	memcpy(png + 16, "\0\0\xff\xff\0\0\xff\xff", 8);
	cr_expect(strstr(refusal(a, png, sizeof png), "65535x65535 pixels is too large"));
	memcpy(png + 16, "\0\0\0\0\0\0\0\1", 8);
	cr_expect(strstr(refusal(a, png, sizeof png), "empty picture"));

	memcpy(jpeg, jpeg_grey, sizeof jpeg);
	for (size_t i = 0; i + 9 < sizeof jpeg; i++) {
		if (jpeg[i] == 0xff && jpeg[i + 1] == 0xc0)
			memcpy(jpeg + i + 5, "\xff\xdc\xff\xdc", 4);
	}
	cr_expect(strstr(refusal(a, jpeg, sizeof jpeg), "65500x65500 pixels is too large"));
	for (size_t i = 0; i + 9 < sizeof jpeg; i++) {
		if (jpeg[i] == 0xff && jpeg[i + 1] == 0xc0)
			memcpy(jpeg + i + 5, "\x20\0\x20\0", 4);
	}
	cr_expect(strstr(refusal(a, jpeg, sizeof jpeg), "cannot hold 8192x8192 pixels"));

	memcpy(webp, webp_lossless, sizeof webp);
	memset(webp + 21, 0xff, 3); /* 14 bits of width - 1 and of height - 1 */
	webp[24] |= 0x0f;
	cr_expect(strstr(refusal(a, webp, sizeof webp), "16384x16384 pixels is too large"));
	cr_expect_lt(arena_live_bytes() - before, 10000u);
	arena_free(a);
}

TEST(image, other_files_are_refused_with_a_reason)
{
	struct arena *a = arena_new(NULL);
	int w, h;

	cr_expect_str_eq(refusal(a, "", 0), "image 'x': empty file");
	cr_expect_str_eq(refusal(a, "GIF89a..", 8), "image 'x': not a jpeg, png or webp picture");
	cr_expect_str_eq(refusal(a, webp_animated, sizeof webp_animated), "image 'x': webp: animations are not supported");
	cr_expect(strstr(refusal(a, "\xff\xd8\xff\xd9", 4), "image 'x': jpeg: truncated"));
	cr_assert(image_probe(png_exif6, sizeof png_exif6, "x", &w, &h, NULL));
	cr_expect_eq(w, 5, "as stored");
	cr_expect_eq(h, 4);
	arena_free(a);
}

TEST(image, damaged_bytes_never_crash)
{
	uint64_t seed = 1;

	for (int round = 0; round < 300; round++) {
		const struct sample *s = &samples[(size_t)round % NSAMPLES];
		struct arena *a = arena_new(NULL);
		uint8_t *copy = malloc(s->n);
		struct image *im;

		memcpy(copy, s->bytes, s->n);
		for (int k = 0; k < 3; k++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			copy[12 + (seed >> 33) % (s->n - 12)] = (uint8_t)(seed >> 20);
		}
		if (image_decode(a, copy, s->n, "damaged", &im, NULL))
			cr_assert(im->w > 0 && im->h > 0);
		free(copy);
		arena_free(a);
	}
}

#define RESIZED(name, id, w, h)                                                                                                    \
	{                                                                                                                          \
		FILTER_##id, w, h, resize_##name##_##w##x##h, #name                                                                \
	}
#define RESIZED_ALL(name, id) RESIZED(name, id, 3, 2), RESIZED(name, id, 7, 6), RESIZED(name, id, 5, 2), RESIZED(name, id, 4, 1)

TEST(resize, every_filter_gives_pillows_bytes_when_shrinking_and_growing)
{
	static const struct {
		enum image_filter f;
		int w, h;
		const uint8_t *want;
		const char *name;
	} cases[] = {RESIZED_ALL(nearest, NEAREST), RESIZED_ALL(box, BOX),         RESIZED_ALL(bilinear, BILINEAR),
		     RESIZED_ALL(hamming, HAMMING), RESIZED_ALL(bicubic, BICUBIC), RESIZED_ALL(lanczos, LANCZOS)};
	struct arena *a = arena_new(NULL);
	struct image *im = decoded(a, png_rgb, sizeof png_rgb), *r;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		cr_assert(image_resize(a, im, cases[i].w, cases[i].h, cases[i].f, &r, NULL));
		cr_expect(!memcmp(r->data, cases[i].want, (size_t)r->w * (size_t)r->h * 3), "%s to %dx%d", cases[i].name, r->w,
			  r->h);
	}
	arena_free(a);
}

TEST(resize, impossible_sizes_are_errors)
{
	struct arena *a = arena_new(NULL);
	struct image *im = decoded(a, png_rgb, sizeof png_rgb), *r;
	struct err e = {0};

	cr_expect_not(image_resize(a, im, 0, 5, FILTER_BOX, &r, &e));
	cr_expect_not(image_resize(a, im, 65535, 65535, FILTER_BOX, &r, &e));
	cr_expect(strstr(err_text(&e), "too large"));
	cr_expect_not(image_resize(a, im, -1, 5, FILTER_BOX, &r, &e));
	cr_expect_not(image_crop(a, im, 0, 0, 3, 0, &r, &e));
	err_free(&e);
	arena_free(a);
}

TEST(image, grey_is_pillows_luma)
{
	struct arena *a = arena_new(NULL);
	struct image *g = image_grey(a, decoded(a, png_rgb, sizeof png_rgb));

	cr_expect_arr_eq(g->data, grey_of_rgb, sizeof grey_of_rgb);
	arena_free(a);
}

TEST(image, a_crop_beyond_the_picture_is_black_there)
{
	struct arena *a = arena_new(NULL);
	struct image *im = decoded(a, png_rgb, sizeof png_rgb), *c;

	cr_assert(image_crop(a, im, -1, 3, 7, 2, &c, NULL));
	cr_expect_eq(c->data[0], 0);
	cr_expect_eq(memcmp(c->data + 3, im->data + 3 * 15, 15), 0);
	cr_expect_eq(c->data[6 * 3], 0);
	for (int i = 0; i < 21; i++)
		cr_expect_eq(c->data[21 + i], 0);
	cr_assert(image_crop(a, im, 100, -2000000000, 3, 3, &c, NULL));
	cr_expect_eq(c->data[0], 0);
	arena_free(a);
}
