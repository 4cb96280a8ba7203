/* classify.c: the best classes of a picture
 *
 * cc classify.c $(pkg-config --cflags --libs mutatenn) -o classify && ./classify net.onnx cat.jpg
 */
#include <mutatenn.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	struct mutatenn_error e;
	struct mutatenn_model *m;
	struct mutatenn_top top[3];
	size_t n;

	if (argc != 3) {
		fprintf(stderr, "usage: classify MODEL PICTURE\n");
		return 2;
	}
	m = mutatenn_model_open(argv[1], &e);
	if (!m || !mutatenn_infer(m, "host-gcc", 2, argv[2], top, 3, &n, &e)) {
		fprintf(stderr, "%s\n", e.text);
		mutatenn_model_close(m);
		return 1;
	}
	for (size_t i = 0; i < n; i++) {
		const char *name = mutatenn_model_class_name(m, top[i].index);

		printf("%s %.2f %%\n", name ? name : "?", top[i].probability * 100);
	}
	mutatenn_model_close(m);
	return 0;
}
