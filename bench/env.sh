#!/bin/sh
# env.sh [tvm]: makes the Python environment of the benchmarks (numpy, onnxruntime), or finds the one that is there; prints its folder.
# It lies in $MUTATENN_BENCH_ENV, else in build/ if that exists, else in the user's cache. The program itself needs no Python.
# tvm: the one of bench/tvm_peer.py, with Apache TVM, in $MUTATENN_TVM_ENV likewise; apart, since it is large and chooses its own numpy.
set -eu
cd "$(dirname "$0")/.."
case "${1:-}" in
'') name=bench-env packages='numpy onnxruntime' modules='numpy, onnxruntime' env=${MUTATENN_BENCH_ENV:-} ;;
tvm) name=tvm-env packages='apache-tvm numpy onnx onnxruntime' modules='tvm.relax, onnx, onnxruntime' env=${MUTATENN_TVM_ENV:-} ;;
*)
	echo "usage: bench/env.sh [tvm]" >&2
	exit 2
	;;
esac
if [ -n "$env" ]; then
	:
elif [ -d build ]; then
	env=$PWD/build/$name
else
	env=${XDG_CACHE_HOME:-$HOME/.cache}/mutatenn/$name
fi
usable() {
	[ -e "$env/complete" ] && "$env/bin/python" -c "import $modules" 2>/dev/null
}
if ! usable; then
	mkdir -p "$(dirname "$env")"
	exec 9>"$env.lock"
	flock 9
	if ! usable; then # nobody else made it while we waited
		echo "making $env ($packages)" >&2
		rm -rf "$env"
		python3 -m venv "$env" >&2 || {
			echo "bench/env.sh: 'python3 -m venv' failed; on Debian it is in the package python3-venv ('make deps')" >&2
			exit 1
		}
		# shellcheck disable=SC2086 # a list
		"$env/bin/python" -m pip install --quiet --disable-pip-version-check $packages >&2
		touch "$env/complete"
	fi
fi
echo "$env"
