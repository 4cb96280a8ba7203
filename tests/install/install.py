#!/usr/bin/env python3
"""What `make install` puts in place is whole: programs, man pages, headers, library; a program of others builds with pkg-config and runs.

usage: install.py BUILD_DIR SOURCE_DIR COMPILER     needs only python3's standard library, meson and pkg-config
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

BUILD, SOURCE, CC = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve(), sys.argv[3:]
COMMANDS = re.findall(r"^CMD\((\w+),", (SOURCE / "src/cli/commands.def").read_text(), re.M)


def run(*command, **kw):
    r = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, **kw)
    assert r.returncode == 0, f"{command}: exit status {r.returncode}\n{r.stdout[-2000:]}\n{r.stderr[-2000:]}"
    return r


def installed(root, pattern):
    found = sorted(root.rglob(pattern))
    assert found, f"no {pattern} was installed"
    return found


def check_man(root):
    pages = installed(root, "man1/*.1*")
    want = {"mutatenn.1", *(f"mutatenn-{c}.1" for c in COMMANDS)}
    assert {p.name.removesuffix(".gz") for p in pages} == want, f"man pages {[p.name for p in pages]}, not {sorted(want)}"
    if not shutil.which("man"):
        return "man pages are there (not rendered: no man)"
    for p in pages:
        r = run("man", "--warnings", "-E", "UTF-8", "-l", p, env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8"})
        assert not r.stderr, f"{p.name}: {r.stderr}"
        assert "SYNOPSIS" in r.stdout and "\\" not in re.sub(r"\\\n|\\t|\\n", "", r.stdout), f"{p.name}: {r.stdout[:400]}"
    return f"{len(pages)} man pages without warnings"


def check_data(root):
    assert installed(root, "share/mutatenn/report.schema.json")[0].read_bytes() == (SOURCE / "docs/report.schema.json").read_bytes()
    return "the schema of the JSON report is there"


def check_headers(root, cflags, tmp):
    headers = installed(root, "include/mutatenn/*/*.h")
    base = root.glob("**/include/mutatenn").__next__()
    for h in headers:
        (tmp / "one.c").write_text(f'#include "{h.relative_to(base)}"\nint main(void) {{ return 0; }}\n')
        run(*CC, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-fsyntax-only", *cflags, tmp / "one.c")
    return f"{len(headers)} headers stand alone"


def check_program(root, cflags, libs, tmp):
    run(*CC, SOURCE / "tests/install/classify.c", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-o", tmp / "classify", *cflags, *libs)
    env = {k: v for k, v in os.environ.items() if k != "MUTATENN_WORKER"}
    env["PATH"] = f"{installed(root, 'bin/mutatenn-worker')[0].parent}:{env['PATH']}"
    said = run(tmp / "classify", SOURCE / "demo/model.onnx", SOURCE / "demo/images/03_triangle.png", env=env).stdout
    assert said == "triangle\n", f"it said {said!r}"
    return "a program of others builds, runs and is right"


def main():
    tmp = pathlib.Path(tempfile.mkdtemp(prefix="mutatenn-install-"))
    try:
        root = tmp / "root"
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", root)
        pc = installed(root, "pkgconfig/mutatenn.pc")[0]
        prefix = re.search(r"^prefix=(.*)$", pc.read_text(), re.M).group(1)
        env = {**os.environ, "PKG_CONFIG_PATH": f"{pc.parent}:{os.environ.get('PKG_CONFIG_PATH', '')}"}
        ask = lambda what: run("pkg-config", f"--define-variable=prefix={root}{prefix}", what, "mutatenn", env=env).stdout.split()
        cflags, libs = ask("--cflags"), ask("--libs")
        version = run(installed(root, "bin/mutatenn")[0], "--version").stdout.split()[1]
        assert run("pkg-config", "--modversion", "mutatenn", env=env).stdout.strip() == version
        print(check_man(root), check_data(root), check_headers(root, cflags, tmp), check_program(root, cflags, libs, tmp), sep="\n")
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


main()
