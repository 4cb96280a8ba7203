/* cli_keys.c: the reference of configuration files, from the program's own tables; docs/configuration.md is its output */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/str.h"
#include "campaign/campaign.h"
#include "cli/cli.h"

static const char *const intro =
        "# Configuration\n\n"
        "Every key of a campaign file, of a device and of a model's side-car. This page is the output of `mutatenn run --keys`.\n\n"
        "The files are YAML: one document, at most 1 MiB, no aliases. Numbers are decimal. An unknown key, a key given twice or a value\n"
        "out of range is an error that names file, line and key. Nothing is taken silently.\n\n"
        "    model: net.onnx\n"
        "    images: photos\n"
        "    devices: [host-gcc, board]\n"
        "    device-definitions:\n"
        "      - {name: board, worker: [ssh, board, mutatenn-worker], cc: clang, cflags: [-O3]}\n"
        "    opt-level: 3\n"
        "    mutations:\n"
        "      - preset: mutatenn-paper\n"
        "      - {operator: loop.cond.*, target: Conv_0*, sites: sample 20}\n"
        "    criteria: [label]\n"
        "    fail-under: 60\n\n"
        "A stopped campaign goes on when the same command is given again. It is refused when a key that decides results has changed:\n"
        "all but `store`, `threads`, `criteria`, `fail-under`, `suppress`, `memory`, `mutant-memory` and a device's `threads`, `builders`, `build-together`, `runners`, `count`, `start-timeout`, `reconnect` and `blob-cache`;\n"
        "and when a file that results rest on has: the model with its external data, its side-car, the names of the classes, an image, or a label that was known.\n\n";

static const char *const steps =
        "\n## Preprocessing\n\n"
        "`PRESET`, or `KEY=VALUE,...`, or both: `keras-tf,filter=bicubic`. Without a preset, what is not said is as in `torchvision`; a crop\n"
        "that is not said is the model's input, a resize that is not said 256/224 of it. The numbers are Pillow's and torchvision's.\n\n"
        "| key | value | meaning |\n"
        "|---|---|---|\n"
        "| `square` | `yes`, `no` | centre square first |\n"
        "| `resize` | `N`, `WxH`, `none` | short side to N, or exactly to W x H |\n"
        "| `filter` | `nearest`, `box`, `bilinear`, `hamming`, `bicubic`, `lanczos` | of the resize, with antialiasing |\n"
        "| `crop` | `N`, `WxH`, `none` | centre crop |\n"
        "| `mean`, `std` | `X` or `R:G:B` | (pixel - mean) / std, pixels from 0 to 255; always in the order R, G, B |\n"
        "| `order` | `rgb`, `bgr`, `grey` | of the channels; the default follows the model's input |\n"
        "| `layout` | `nchw`, `nhwc` | the default follows the model's input |\n\n"
        "| preset | meaning |\n"
        "|---|---|\n";

static void put_presets(struct arena *a, struct str *s)
{
	char *rest = preprocess_presets(a), *line;

	while ((line = strsep(&rest, "\n")) && *line) {
		size_t n = strcspn(line, " ");

		str_addf(s, "| `%.*s` | %s |\n", (int)n, line, line + n + strspn(line + n, " "));
	}
}

bool cli_print_keys(struct arena *a, struct err *e)
{
	struct str s = {0};
	bool ok;

	str_add(&s, intro);
	ok = config_keys_markdown(&s, e);
	str_add(&s, steps);
	put_presets(a, &s);
	if (ok)
		fputs(str_text(&s), stdout);
	str_free(&s);
	return ok;
}
