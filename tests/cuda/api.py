#!/usr/bin/env python3
"""usage: api.py HEADER - what device_cuda_api.h declares of CUDA, held against NVIDIA's own headers and libraries by a C++ compiler

Numbers must be equal; a function's symbol must be the one that a program built with that cuda.h calls, its arguments as many, of the same
sizes, pointers where those are pointers; and the libraries must have it. Exit status 77 where no CUDA toolkit is installed.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

OLDER = {"cuEventElapsedTime"}  # drivers before 12.8 have no other; newer ones keep it

HEAD = """#include <cuda.h>
#include <nvrtc.h>
#include <cstring>
#include <string_view>
#include <type_traits>
#define TEXT(x) TEXT2(x)
#define TEXT2(x) #x
template <class X, class Y> constexpr bool same = sizeof(X) == sizeof(Y) && std::is_pointer_v<X> == std::is_pointer_v<Y>;
template <class... A, class... B> constexpr bool alike(int (*)(A...), B...) { return false; }
template <class R, class... A, class Q, class... B> constexpr bool alike(R (*)(A...), Q (*)(B...))
{
	if constexpr (sizeof...(A) != sizeof...(B))
		return false;
	else
		return sizeof(R) == sizeof(Q) && (same<A, B> && ...);
}
"""


def toolkit():
    for place in (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda", "/opt/cuda", "/usr"):
        if place and pathlib.Path(place, "include/cuda.h").exists() and pathlib.Path(place, "include/nvrtc.h").exists():
            return pathlib.Path(place)
    print("skipped: no CUDA toolkit here (CUDA_HOME)")
    sys.exit(77)


def program(header):
    text = re.sub(r"/\*.*?\*/|\\\n", " ", header, flags=re.S)
    numbers = re.findall(r"\b((?:CUDA_ERROR|CUDA_SUCCESS|CU_|NVRTC_)\w*) = (\w+)", text)
    driver = re.findall(r'X\((cu\w+),\s+"(\w+)",\s+\(([^()]*)\)\)', text)
    compiler = re.findall(r"X\((nvrtc\w+), +\(([^()]*)\)\)", text)
    compiler += [(name, args) for name, args in re.findall(r"nvrtcResult \(\*(nvrtcSetFlowCallback)\)\((.*)\);", text)]
    if len(numbers) < 20 or len(driver) != len(re.findall(r"\tX\(cu", header)) or len(compiler) != len(re.findall(r"\tX\(nvrtc", header)) + 1:
        sys.exit(f"this script does not understand the header: {len(numbers)} numbers, {len(driver)} and {len(compiler)} functions")
    out = [HEAD] + [f'static_assert({name} == {value}, "{name}");' for name, value in numbers]
    out += [f'static_assert(std::string_view(TEXT({name})) == "{symbol}", "{name} is called otherwise");' for name, symbol, _ in driver if name not in OLDER]
    for name, args in [(n, a) for n, _, a in driver] + compiler:
        out.append(f'static_assert(alike((int (*)({args}))nullptr, &{name}), "the arguments of {name}");')
    symbols = [s for _, s, _ in driver] + [n for n, _ in compiler] + ["nvrtcGetErrorString"]
    out += [f'extern "C" char there_{i}[] asm("{s}");' for i, s in enumerate(symbols)]
    out.append("volatile const void *all[] = {" + ", ".join(f"there_{i}" for i in range(len(symbols))) + "};\nint main() {}\n")
    return "\n".join(out), len(numbers), len(symbols)


def main():
    text, numbers, functions = program(pathlib.Path(sys.argv[1]).read_text())
    cuda = toolkit()
    places = [str(p) for p in (cuda / "lib64", cuda / "lib", cuda / "lib64/stubs", cuda / "lib/stubs") if p.exists()]
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "api.cc")
        source.write_text(text)
        r = subprocess.run([os.environ.get("CXX", "c++"), "-std=c++17", "-I", cuda / "include", source, "-o", source.with_suffix(""), *(f"-L{p}" for p in places),
                            "-lcuda", "-lnvrtc"], capture_output=True, text=True)
    if r.returncode:
        sys.exit(r.stderr)
    print(f"{numbers} numbers and {functions} functions are those of {cuda}")


if __name__ == "__main__":
    main()
