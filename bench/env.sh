#!/bin/sh
# Makes the Python environment of bench/infer (numpy, onnxruntime), or finds the one that is there; prints its folder.
# It lies in $MUTATENN_BENCH_ENV, else in build/ if that exists, else in the user's cache. The program itself needs no Python.
set -eu
cd "$(dirname "$0")/.."
if [ -n "${MUTATENN_BENCH_ENV:-}" ]; then
	env=$MUTATENN_BENCH_ENV
elif [ -d build ]; then
	env=$PWD/build/bench-env
else
	env=${XDG_CACHE_HOME:-$HOME/.cache}/mutatenn/bench-env
fi
usable() {
	[ -e "$env/complete" ] && "$env/bin/python" -c 'import numpy, onnxruntime' 2>/dev/null
}
if ! usable; then
	mkdir -p "$(dirname "$env")"
	exec 9>"$env.lock"
	flock 9
	if ! usable; then # nobody else made it while we waited
		echo "making $env (numpy, onnxruntime)" >&2
		rm -rf "$env"
		python3 -m venv "$env" >&2 || {
			echo "bench/env.sh: 'python3 -m venv' failed; on Debian it is in the package python3-venv ('make deps')" >&2
			exit 1
		}
		"$env/bin/python" -m pip install --quiet --disable-pip-version-check numpy onnxruntime >&2
		touch "$env/complete"
	fi
fi
echo "$env"
