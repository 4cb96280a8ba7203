/* test_image_tensor.c: the description of preprocessing, the pipeline and its faults, labels and lists of inputs */
#include "test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "image/image.h"
#include "image_samples.h"
#include "value/value.h"

static struct preprocess parsed(const char *text)
{
	struct preprocess p;
	struct err e = {0};

	cr_assert(preprocess_parse(text, &p, &e), "%s", err_text(&e));
	return p;
}

static void refuses(const char *text, const char *why)
{
	struct preprocess p;
	struct err e = {0};

	cr_assert_not(preprocess_parse(text, &p, &e), "%s", text);
	cr_expect(strstr(err_text(&e), why), "'%s': %s", text, err_text(&e));
	cr_expect_eq(err_exit_status(&e), 2);
	err_free(&e);
}

/* A picture whose red says the column, green the row. */
static struct image *ramp(struct arena *a, int w, int h)
{
	struct image *im = ARENA_NEW(a, struct image);

	*im = (struct image){w, h, 3, arena_zalloc(a, (size_t)(w * h * 3))};
	for (int i = 0; i < w * h; i++) {
		im->data[i * 3] = (uint8_t)(i % w + 1);
		im->data[i * 3 + 1] = (uint8_t)(i / w + 1);
		im->data[i * 3 + 2] = 200;
	}
	return im;
}

static struct tensor *tensor_of(struct arena *a, const struct image *im, const struct preprocess *p)
{
	struct tensor *t = NULL;
	struct err e = {0};

	cr_assert(image_to_tensor(a, im, p, &t, &e), "%s", err_text(&e));
	return t;
}

static float at(const struct tensor *t, int c, int y, int x)
{
	return ((float *)t->data)[(c * t->dim[2] + y) * t->dim[3] + x];
}

TEST(preprocess, the_canonical_text_parses_back_to_itself)
{
	static const char *const cases[][2] = {
	    {"torchvision", "resize=256,crop=224,square=no,filter=bilinear,order=rgb,layout=nchw,mean=123.675:116.28:103.53,std=58."
			    "395:57.12:57.375"},
	    {"keras-tf", "resize=256,crop=224,square=no,filter=bilinear,order=rgb,layout=nchw,mean=127.5,std=127.5"},
	    {"caffe", "resize=256,crop=224,square=no,filter=bilinear,order=bgr,layout=nchw,mean=123.68:116.779:103.939,std=1"},
	    {"unit", "resize=256,crop=224,square=no,filter=bilinear,order=rgb,layout=nchw,mean=0,std=255"},
	    {"none", "resize=none,crop=none,square=no,filter=bilinear,order=rgb,layout=nchw,mean=0,std=1"},
	    {"torchvision,crop=32", "resize=256,crop=32,square=no,filter=bilinear,order=rgb,layout=nchw,mean=123.675:116.28:103.53,"
				    "std=58.395:57.12:57.375"},
	    {" std=2 , layout=nhwc,order=grey,square=yes,crop=7x9,resize=640x480,filter=lanczos,mean=-1e-3:0.1:33",
	     "resize=640x480,crop=7x9,square=yes,filter=lanczos,order=grey,layout=nhwc,mean=-0.001:0.1:33,std=2"},
	};
	struct arena *a = arena_new(NULL);

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct preprocess p = parsed(cases[i][0]);

		cr_expect_str_eq(preprocess_text(a, &p), cases[i][1]);
		p = parsed(cases[i][1]);
		cr_expect_str_eq(preprocess_text(a, &p), cases[i][1]);
	}
	arena_free(a);
}

TEST(preprocess, mistakes_name_what_would_have_been_right)
{
	refuses("torchvison", "'torchvison' is not a preset of preprocess (there are torchvision, keras-tf, caffe, unit, none)");
	refuses("torchvision,size=3",
		"'size' is not a key of preprocess (there are resize, crop, square, filter, order, layout, mean, std)");
	refuses("resize=3,caffe", "'caffe' is not KEY=VALUE");
	refuses("crop=0", "'0' is not a size");
	refuses("crop=12x", "'12x' is not a size");
	refuses("resize=70000", "not a size");
	refuses("resize=99999999999999999999", "not a size");
	refuses("mean=1:2", "not one number or three");
	refuses("mean=1:2:3:4", "not one number or three");
	refuses("mean=nan", "not one number or three");
	refuses("std=1:0:1", "none of them zero");
	refuses("filter=cubic", "'cubic' is none of nearest, box, bilinear, hamming, bicubic, lanczos");
	refuses("square=maybe", "none of no, yes");
	refuses("", "not a preset");
}

TEST(preprocess, the_pipeline_normalises_pillows_pixels)
{
	struct arena *a = arena_new(NULL);
	struct preprocess p = parsed("resize=7x6,crop=none,filter=lanczos,mean=10:20.5:30,std=2:3:7");
	struct image *im;
	struct tensor *t;

	cr_assert(image_decode(a, png_rgb, sizeof png_rgb, "x", &im, NULL));
	for (int order = 0; order < 2; order++) {
		for (int layout = 0; layout < 2; layout++) {
			p.order = (enum channel_order)order;
			p.layout = (enum image_layout)layout;
			t = tensor_of(a, im, &p);
			cr_assert_eq(t->nd, 4);
			cr_assert_eq(t->dim[layout ? 3 : 1], 3);
			cr_assert_eq(t->dim[layout ? 1 : 2], 6);
			for (int i = 0; i < 42; i++) {
				for (int c = 0; c < 3; c++) {
					float want = ((float)resize_lanczos_7x6[i * 3 + c] - (float)p.mean[c]) / (float)p.std[c];
					int to = order ? 2 - c : c;

					cr_assert_eq(((float *)t->data)[layout ? i * 3 + to : to * 42 + i], want);
				}
			}
		}
	}
	p = parsed("none,order=grey,mean=5,std=2");
	t = tensor_of(a, im, &p);
	cr_assert_eq(t->dim[1], 1);
	for (int i = 0; i < 20; i++)
		cr_expect_eq(((float *)t->data)[i], ((float)grey_of_rgb[i] - 5) / 2);
	arena_free(a);
}

/* Expected: torchvision 0.1x's CenterCrop, int(round((size - crop) / 2.0)) in Python, which rounds halves to even. */
TEST(preprocess, centre_crops_round_halves_to_even_and_pad_with_black)
{
	static const int cases[][3] = {{5, 4, 0}, {7, 4, 2}, {9, 4, 2}, {11, 4, 4}, {8, 4, 2}, {341, 224, 58}, {259, 224, 18}};
	struct arena *a = arena_new(NULL);
	struct preprocess p = parsed("none");
	struct tensor *t;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		p.crop_w = cases[i][1];
		p.crop_h = 2;
		t = tensor_of(a, ramp(a, cases[i][0], 3), &p);
		cr_expect_eq(at(t, 0, 0, 0), (float)((cases[i][2] + 1) & 255), "%d to %d: %g", cases[i][0], cases[i][1],
			     at(t, 0, 0, 0));
		cr_expect_eq(at(t, 1, 0, 0), 1, "row 0 of 3 to 2");
	}
	p.crop_w = 6;
	p.crop_h = 2;
	t = tensor_of(a, ramp(a, 3, 2), &p); /* padded by 1 and 2 */
	cr_expect_eq(at(t, 0, 0, 0), 0);
	cr_expect_eq(at(t, 0, 0, 1), 1);
	cr_expect_eq(at(t, 0, 0, 3), 3);
	cr_expect_eq(at(t, 0, 0, 4), 0);
	p = parsed("none,square=yes");
	t = tensor_of(a, ramp(a, 7, 4), &p);
	cr_expect_eq(t->dim[3], 4);
	cr_expect_eq(at(t, 0, 0, 0), 3);
	p = parsed("resize=6,crop=none"); /* short side; int(6 * 7 / 4) = 10 */
	t = tensor_of(a, ramp(a, 4, 7), &p);
	cr_expect_eq(t->dim[2], 10);
	cr_expect_eq(t->dim[3], 6);
	arena_free(a);
}

TEST(preprocess, fits_itself_to_the_models_input)
{
	static const int64_t cifar[] = {1, 3, 32, 32}, nhwc[] = {-1, 299, 299, 3}, mnist[] = {1, 1, 28, 28},
			     free_hw[] = {0, 3, 0, 0};
	static const int64_t wide[] = {1, 3, 120, 160}, odd[] = {1, 4, 32, 32}, big[] = {1, 3, 224, 224};
	struct arena *a = arena_new(NULL);
	struct preprocess p = parsed("torchvision");
	struct err e = {0};

	cr_assert(preprocess_fit(&p, 4, cifar, NULL));
	cr_expect_eq(p.crop_w, 32);
	cr_expect_eq(p.resize_w, 37); /* 36.57 */
	p = parsed("torchvision");
	cr_assert(preprocess_fit(&p, 4, nhwc, NULL));
	cr_expect_eq(p.layout, LAYOUT_NHWC);
	cr_expect_eq(p.crop_h, 299);
	cr_expect_eq(p.resize_h, 342); /* 341.7 */
	p = parsed("unit");
	cr_assert(preprocess_fit(&p, 4, mnist, NULL));
	cr_expect_eq(p.order, ORDER_GREY);
	p = parsed("caffe");
	cr_assert(preprocess_fit(&p, 4, free_hw, NULL));
	cr_expect_eq(p.crop_w, 224);
	cr_expect_eq(p.order, ORDER_BGR);
	p = parsed("torchvision,resize=160");
	cr_assert(preprocess_fit(&p, 4, wide, NULL));
	cr_expect_eq(p.resize_w, 160);
	cr_expect_eq(p.crop_w, 160);
	cr_expect_eq(p.crop_h, 120);
	p = parsed("torchvision,crop=32");
	cr_expect_not(preprocess_fit(&p, 4, big, &e));
	cr_expect(strstr(err_text(&e), "preprocessing gives 32x32, the model takes 224x224"), "%s", err_text(&e));
	p = parsed("resize=200");
	cr_expect_not(preprocess_fit(&p, 4, big, &e));
	p = parsed("torchvision");
	cr_expect_not(preprocess_fit(&p, 4, odd, &e));
	cr_expect(strstr(err_text(&e), "4 channels"));
	cr_expect_not(preprocess_fit(&p, 2, odd, &e));
	p = parsed("order=bgr");
	cr_expect_not(preprocess_fit(&p, 4, mnist, &e));
	p = parsed("none");
	cr_assert(preprocess_fit(&p, 4, cifar, NULL));
	cr_expect_not(image_to_tensor(a, ramp(a, 31, 32), &p, &(struct tensor *){NULL}, &e));
	cr_expect(strstr(err_text(&e), "preprocessing gives 31x32, the model takes 32x32"));
	err_free(&e);
	arena_free(a);
}

TEST(preprocess, each_fault_does_what_it_says)
{
	struct arena *a = arena_new(NULL);
	struct preprocess clean = parsed("none,mean=10:20:30,std=2:4:5"), p = clean;
	struct image *im = ramp(a, 5, 4);
	struct tensor *t, *ref = tensor_of(a, im, &clean);

	p.fault = (struct preprocess_fault){.swap_channels = true};
	cr_expect_eq(at(tensor_of(a, im, &p), 0, 1, 2), (200.f - 10) / 2);
	p.fault = (struct preprocess_fault){.skip_normalise = true};
	cr_expect_eq(at(tensor_of(a, im, &p), 0, 1, 2), 3);
	p.fault = (struct preprocess_fault){.double_normalise = true};
	cr_expect_eq(at(tensor_of(a, im, &p), 0, 1, 2), ((3.f - 10) / 2 - 10) / 2);
	p.fault = (struct preprocess_fault){.flip_horizontal = true};
	cr_expect_eq(at(tensor_of(a, im, &p), 0, 1, 1), at(ref, 0, 1, 3));
	p.fault = (struct preprocess_fault){.flip_vertical = true};
	cr_expect_eq(at(tensor_of(a, im, &p), 1, 0, 1), at(ref, 1, 3, 1));
	p.fault = (struct preprocess_fault){.crop_shift_x = 1, .crop_shift_y = -2};
	t = tensor_of(a, im, &p);
	cr_expect_eq(at(t, 0, 2, 0), at(ref, 0, 0, 1));
	cr_expect_eq(at(t, 0, 1, 0), (0.f - 10) / 2, "outside is black");
	p.fault = (struct preprocess_fault){.quantise_levels = 2};
	cr_expect_eq(at(tensor_of(a, im, &p), 2, 0, 0), (255.f - 30) / 5);
	cr_expect_eq(at(tensor_of(a, im, &p), 0, 0, 0), (0.f - 10) / 2);
	p.fault = (struct preprocess_fault){.transpose_hw = true};
	im = ramp(a, 4, 4);
	t = tensor_of(a, im, &p);
	cr_expect_eq(at(t, 0, 3, 1), (2.f + 2 - 10) / 2 - 0, "row 3, column 1 shows row 1, column 3");
	cr_expect_eq(at(t, 1, 3, 1), (2.f - 20) / 4);
	p = parsed("resize=2x2,crop=none,filter=bilinear");
	p.fault = (struct preprocess_fault){.filter_set = true, .filter = FILTER_NEAREST};
	clean = parsed("resize=2x2,crop=none,filter=nearest");
	cr_expect_eq(memcmp(tensor_of(a, im, &p)->data, tensor_of(a, im, &clean)->data, 48), 0);
	cr_expect(strstr(preprocess_text(a, &p), ",fault.filter=nearest"));
	arena_free(a);
}

TEST(preprocess, quantising_to_256_levels_changes_nothing_and_to_any_other_is_idempotent)
{
	struct arena *a = arena_new(NULL);
	struct preprocess p = parsed("none");
	struct image *im = ramp(a, 250, 2);
	struct tensor *ref = tensor_of(a, im, &p), *t;

	for (int levels = 2; levels <= 256; levels++) {
		p.fault.quantise_levels = levels;
		t = tensor_of(a, im, &p);
		for (int i = 0; i < 250; i++) {
			double step = 255.0 / (levels - 1), want = floor(floor(at(ref, 0, 0, i) / step + 0.5) * step + 0.5 + 1e-9);

			cr_assert_eq(at(t, 0, 0, i), (float)want, "%d levels: %g", levels, at(ref, 0, 0, i));
		}
	}
	p.fault.quantise_levels = 1;
	cr_expect_not(image_to_tensor(a, im, &p, &t, NULL));
	p.fault = (struct preprocess_fault){.noise_sigma = NAN};
	cr_expect_not(image_to_tensor(a, im, &p, &t, NULL));
	arena_free(a);
}

TEST(preprocess, noise_has_its_sigma_and_comes_again_with_its_seed)
{
	struct arena *a = arena_new(NULL);
	struct preprocess p = parsed("none");
	struct image *im = ramp(a, 200, 200), *other = ramp(a, 200, 200);
	struct tensor *one, *same, *two;
	double sum = 0, square = 0;
	int n = 200 * 200, equal = 0;

	p.fault = (struct preprocess_fault){.noise_sigma = 8, .seed = 42};
	one = tensor_of(a, im, &p);
	same = tensor_of(a, im, &p);
	cr_expect_eq(memcmp(one->data, same->data, tensor_bytes(one)), 0);
	p.fault.seed = 43;
	two = tensor_of(a, im, &p);
	for (int i = 0; i < n; i++) { /* blue: 200 everywhere, hardly clipped */
		double d = ((float *)one->data)[2 * n + i] - 200.0;

		sum += d;
		square += d * d;
		equal += ((float *)one->data)[2 * n + i] == ((float *)two->data)[2 * n + i];
	}
	cr_expect_lt(fabs(sum / n), 0.2, "mean %g", sum / n);                         /* 5 standard errors */
	cr_expect_lt(fabs(sqrt(square / n) - 8), 0.15, "sigma %g", sqrt(square / n)); /* rounding adds 1/12 to the variance */
	cr_expect_lt(equal, n / 15);
	p.fault.seed = 42;
	other->data[0] ^= 1;
	cr_expect_neq(memcmp((float *)one->data + 2 * n, (float *)tensor_of(a, other, &p)->data + 2 * n, (size_t)n * 4), 0);
	arena_free(a);
}

/* ---- files ---------------------------------------------------------------------------------------------- */

static char *folder(struct arena *a)
{
	char *dir = arena_strdup(a, "/tmp/mutatenn-image-XXXXXX");

	cr_assert(mkdtemp(dir));
	return dir;
}

static const char *put(struct arena *a, const char *dir, const char *name, const void *p, size_t n)
{
	char *path = file_join(a, dir, name);

	cr_assert(file_write(path, p, n, NULL));
	return path;
}

static const char *put_text(struct arena *a, const char *dir, const char *name, const char *text)
{
	return put(a, dir, name, text, strlen(text));
}

static void clear(struct arena *a, const char *dir)
{
	char **names;
	size_t n;

	cr_assert(file_list(a, dir, &names, &n, NULL));
	for (size_t i = 0; i < n; i++)
		unlink(file_join(a, dir, names[i]));
	cr_assert_eq(rmdir(dir), 0);
}

TEST(inputs, a_folder_gives_its_pictures_and_tensors_sorted)
{
	struct arena *a = arena_new(NULL);
	struct preprocess p = parsed("none");
	struct err e = {0};
	const char *dir = folder(a), *one = put(a, dir, "b.PNG", png_rgb, sizeof png_rgb), *paths[2] = {dir, one};
	struct tensor *t, *again;
	char **list;
	size_t n;

	cr_expect_not(inputs_expand(a, (const char *const[]){"/dev/null/x.jpg"}, 1, &list, &n, &e));
	cr_expect_str_eq(err_text(&e), "input '/dev/null/x.jpg' does not exist");
	put_text(a, dir, "labels.csv", "x");
	put_text(a, dir, "a.jpeg", "not a picture");
	cr_assert(input_load(a, one, &p, &t, NULL));
	cr_assert(npy_write(file_join(a, dir, "c.npy"), t, &e), "%s", err_text(&e));
	cr_assert(inputs_expand(a, paths, 2, &list, &n, NULL));
	cr_assert_eq(n, 4u);
	cr_expect_str_eq(file_base(list[0]), "a.jpeg");
	cr_expect_str_eq(list[1], one);
	cr_expect_str_eq(file_base(list[2]), "c.npy");
	cr_assert(input_load(a, list[2], &p, &again, NULL));
	cr_expect_eq(memcmp(t->data, again->data, tensor_bytes(t)), 0);
	cr_expect_not(input_load(a, list[0], &p, &again, &e));
	cr_expect(strstr(err_text(&e), "a.jpeg': not a jpeg, png or webp picture"), "%s", err_text(&e));
	err_free(&e);
	clear(a, dir);
	arena_free(a);
}

static void labels_give(const char *text, const char *error, int64_t zebra)
{
	struct arena *a = arena_new(NULL);
	const char *dir = folder(a), *path = put_text(a, dir, "l.csv", text);
	struct labels *l;
	struct err e = {0};
	bool ok = labels_read(a, path, &l, &e);

	cr_expect_eq(ok, !error, "%s: %s", text, err_text(&e));
	if (ok)
		cr_expect_eq(labels_find(l, "photos/zebra.jpg"), zebra, "%s", text);
	else if (error)
		cr_expect(strstr(err_text(&e), error), "%s: %s", text, err_text(&e));
	err_free(&e);
	clear(a, dir);
	arena_free(a);
}

TEST(labels, many_forms_of_the_list_are_read)
{
	labels_give("file,class_index,wnid\nzebra.jpg,340,n1\nx.jpg,0,n2\n", NULL, 340);
	labels_give("\xef\xbb\xbf"
		    "wnid;Label;FileName\r\nn1;340;a/b/zebra.jpg\r\n\r\n",
		    NULL, 340);
	labels_give("zebra.jpg\t7", NULL, 7);
	labels_give("\"zebra.jpg\", 7\n\"a,\"\"b\"\".jpg\",8\n", NULL, 7);
	labels_give("zebra.jpg,7\nzebra.jpg,7\n", NULL, 7);
	labels_give("x.jpg,7\n", NULL, -1);
	labels_give("", NULL, -1);
}

TEST(labels, mistakes_name_file_and_line)
{
	labels_give("zebra.jpg,7\nx.jpg,seven\n", "l.csv:2: class index 'seven' is not a number", 0);
	labels_give("zebra.jpg,-1\n", "l.csv:1: class index '-1'", 0);
	labels_give("zebra.jpg,99999999999999999999\n", "l.csv:1: class index", 0);
	labels_give("file,index\nzebra.jpg\n", "l.csv:2: 1 column, wanted", 0);
	labels_give("zebra.jpg,7\nzebra.jpg,8\n", "l.csv:2: 'zebra.jpg' has class 8 here and 7 before", 0);
	labels_give("\"zebra.jpg,7\n", "l.csv:1: broken quotes", 0);
	labels_give("a\x01"
		    "b,7\n",
		    "l.csv:1: not a text file", 0);
	labels_give(",7\n", "l.csv:1: the name of the file is empty", 0);
}

TEST(labels, class_names_are_one_a_line)
{
	struct arena *a = arena_new(NULL);
	const char *dir = folder(a);
	struct err e = {0};
	char **names;
	size_t n;

	cr_assert(class_names_read(a, put_text(a, dir, "n.txt", "tench, Tinca\r\ngoldfish\n\n\n"), &names, &n, NULL));
	cr_assert_eq(n, 2u);
	cr_expect_str_eq(names[0], "tench, Tinca");
	cr_expect_not(class_names_read(a, put_text(a, dir, "n.txt", "a\n\nb\n"), &names, &n, &e));
	cr_expect(strstr(err_text(&e), "n.txt:2: empty line"), "%s", err_text(&e));
	cr_expect_not(class_names_read(a, put_text(a, dir, "n.txt", "\n"), &names, &n, &e));
	cr_expect_not(class_names_read(a, "/dev/null/names.txt", &names, &n, &e));
	err_free(&e);
	clear(a, dir);
	arena_free(a);
}
