# Two commands matter: `make demo` and `make check`. The rest is Meson's.

BUILD ?= build
NINJA ?= ninja
ONNX_TESTDATA ?= /usr/share/libonnx-testdata/data

.PHONY: check-gpu bundle all deps deps-cross worker-aarch64 worker-riscv64 demo check check-long check-all check-others check-devices record-instructions others sanitize fuzz bench bench-campaign bench-devices docs install clean

all: $(BUILD)/build.ninja
	$(NINJA) -C $(BUILD)

# Installs the packages of packages.txt that are missing. Needs root (or sudo) only when something is missing.
deps:
	@tools/deps

$(BUILD)/build.ninja: | deps
	meson setup $(BUILD)

# The worker for another instruction set, to run there or under qemu: build-aarch64/mutatenn-worker. docs/devices.md says how.
deps-cross:
	@tools/deps packages-cross.txt

worker-aarch64 worker-riscv64: worker-%: | deps deps-cross
	[ -f build-$*/build.ninja ] || meson setup build-$* --cross-file cross/$*.ini -Dworker-only=true
	$(NINJA) -C build-$* mutatenn-worker

# A campaign on the embedded model and pictures, on two devices: leaves demo-out/report.html, the store, JSON and CSV.
demo: all
	@tools/demo $(BUILD)

check: all
	meson test -C $(BUILD) --print-errorlogs --no-suite long

# What takes longer: a thousand mutants where make check has fifty.
check-long: all
	meson test -C $(BUILD) --print-errorlogs --suite long

# What the guard `instructions` of make check compares with: after a change that is worth its cost, or that made a path cheaper.
record-instructions: all
	$(NINJA) -C $(BUILD) record-instructions

# The same with clang, and with gcc under AddressSanitizer and UBSan: what CI runs.
check-all: check others check-others

others: | deps
	[ -f $(BUILD)-clang/build.ninja ] || CC=clang meson setup $(BUILD)-clang
	$(NINJA) -C $(BUILD)-clang
	[ -f $(BUILD)-asan/build.ninja ] || meson setup $(BUILD)-asan -Db_sanitize=address,undefined
	$(NINJA) -C $(BUILD)-asan

check-others:
	meson test -C $(BUILD)-clang --print-errorlogs --suite unit --suite style --suite fuzz
	meson test -C $(BUILD)-asan --print-errorlogs --suite unit --suite fuzz

sanitize: others
	meson test -C $(BUILD)-asan --print-errorlogs --suite unit --suite fuzz

# libFuzzer on one of the doors for foreign bytes: make fuzz DOOR=image TIME=600. What it finds lies in build-fuzz/found-DOOR.
DOOR ?= image
TIME ?= 600
fuzz: | deps
	[ -f build-fuzz/build.ninja ] || CC=clang meson setup build-fuzz -Dfuzz=true -Db_lundef=false
	$(NINJA) -C build-fuzz tests/fuzz/fuzz-$(DOOR)
	mkdir -p build-fuzz/corpus/$(DOOR) build-fuzz/found-$(DOOR)
	build-fuzz/tests/fuzz/fuzz-$(DOOR) -max_total_time=$(TIME) -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
	  -artifact_prefix=build-fuzz/found-$(DOOR)/ build-fuzz/corpus/$(DOOR) tests/fuzz/corpus/$(DOOR)

# The differential test of all devices in full: every model of ONNX's suite (emulated devices: every 10th), and the models under
# $MUTATENN_MODELS. Half an hour.
check-devices: all
	MUTATENN_WORKER=$(abspath $(BUILD))/mutatenn-worker $(BUILD)/tests/diff/conformance $(ONNX_TESTDATA) --c host-gcc || [ $$? = 77 ]
	MUTATENN_WORKER=$(abspath $(BUILD))/mutatenn-worker $(BUILD)/tests/diff/devices $(ONNX_TESTDATA) demo/model.onnx $(MUTATENN_MODELS) || [ $$? = 77 ]

# All that needs an NVIDIA GPU, and its figures: check-gpu-out/summary.md. More: tools/check-gpu --help
check-gpu: all
	tools/check-gpu --build $(BUILD) $(STEPS)

# One folder and a tarball that run on another Linux without our packages: build-bundle/out
bundle: | deps
	tools/bundle build-bundle build-bundle/out

docs: all
	$(BUILD)/mutatenn operators --markdown > docs/operators.md
	$(BUILD)/mutatenn run --keys > docs/configuration.md

# Against onnxruntime: the demo's model and those under $MUTATENN_MODELS. More: bench/infer --help
bench: all
	bench/infer --build $(BUILD)

# Campaigns: mutants a second, and what reuse saves. More: bench/campaign --help
bench-campaign: all
	bench/campaign --build $(BUILD)

# Devices against the native one, on models under $MUTATENN_MODELS. More: bench/devices --help
bench-devices: all
	bench/devices --build $(BUILD)

install: all
	meson install -C $(BUILD)

clean:
	rm -rf build-bundle build-bundle-static check-gpu-out $(BUILD) $(BUILD)-clang $(BUILD)-asan build-aarch64 build-riscv64 demo-out
