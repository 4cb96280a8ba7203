#!/usr/bin/env python3
"""What `make install` puts in place is whole: programs, man pages, library; programs of others build with pkg-config and run.

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
    want = {"mutatenn.1", "mutatenn-worker.1", *(f"mutatenn-{c}.1" for c in COMMANDS)}
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
    for shell, place in ("bash", "bash-completion/completions/mutatenn.bash"), ("zsh", "zsh/site-functions/_mutatenn"), ("fish", "fish/vendor_completions.d/mutatenn.fish"):
        assert installed(root, "share/" + place)[0].read_text() == run(BUILD / "mutatenn", "completion", shell).stdout, shell
    return "the schema of the JSON report and the shells' completions are there"


def check_header(cflags, tmp):
    """The one header stands alone: in C99 and C11, and in C++ where there is a compiler."""
    (tmp / "one.c").write_text('#include <mutatenn.h>\nint main(void) { return 0; }\n')
    for std in "c99", "c11":
        run(*CC, f"-std={std}", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", *cflags, tmp / "one.c")
    if not shutil.which("c++"):
        return "the header stands alone (skipped in C++: no c++)"
    (tmp / "one.cc").write_text('#include <mutatenn.h>\nint main() { mutatenn_error e; return mutatenn_model_open("", &e) != nullptr; }\n')
    run("c++", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", *cflags, tmp / "one.cc")
    return "the header stands alone in C and C++"


def check_symbols(root):
    """What is exported is what the map lists and the header declares, each with its version; nothing else leaks out."""
    want = set(re.findall(r"^\t(mutatenn_\w+);$", (SOURCE / "src/lib/mutatenn.map").read_text(), re.M))
    header = set(re.findall(r"MUTATENN_API[^;]*?\b(mutatenn_\w+)\(", (SOURCE / "src/lib/mutatenn.h").read_text()))
    assert want == header, f"map and header differ in {want ^ header}"
    so = installed(root, "lib/**/libmutatenn.so")[0]
    lines = [x.split() for x in run("nm", "-D", "--defined-only", so).stdout.splitlines()]
    assert {x[2] for x in lines if x[1] == "T"} == {f"{n}@@MUTATENN_0.1" for n in want}, lines
    assert [x[2] for x in lines if x[1] != "T"] == ["MUTATENN_0.1"], lines
    dynamic = run("readelf", "-d", so).stdout
    assert "soname: [libmutatenn.so.0]" in dynamic, dynamic
    return f"{len(want)} functions with versions are exported and nothing else"


def build_example(name, tmp, cflags, libs, *more, folder="examples"):
    run(*CC, SOURCE / f"{folder}/{name}.c", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o", tmp / name, *cflags, *libs, *more)
    return tmp / name


def check_examples(root, tmp, cflags, libs, static):
    """Whole journeys by programs of others, linked both ways."""
    env = {k: v for k, v in os.environ.items() if k != "MUTATENN_WORKER"}
    env["PATH"] = f"{installed(root, 'bin/mutatenn-worker')[0].parent}:{env['PATH']}"
    env["LD_LIBRARY_PATH"] = str(installed(root, "lib/**/libmutatenn.so")[0].parent)
    model, images = SOURCE / "demo/model.onnx", SOURCE / "demo/images"
    shared = build_example("classify", tmp, cflags, libs)
    assert "libmutatenn.so.0" in run("readelf", "-d", shared).stdout
    assert run(shared, model, images / "03_triangle.png", env=env).stdout.startswith("triangle 97.8"), "the best class"
    r = subprocess.run([shared, images / "labels.csv", images], capture_output=True, text=True, env=env)
    assert r.returncode == 1 and "labels.csv" in r.stderr, r
    del env["LD_LIBRARY_PATH"]
    for name in "classify", "campaign":
        exe = build_example(name, tmp, cflags, [x if x != "-lmutatenn" else "-l:libmutatenn.a" for x in static])
        assert "libmutatenn" not in run("readelf", "-d", exe).stdout
    assert run(tmp / "classify", model, images / "03_triangle.png", env=env).stdout.startswith("triangle 97.8"), "the best class"
    said = run(tmp / "campaign", model, images, tmp / "c.db", env=env).stdout
    assert "22 mutants; the first" in said and "\n+" in said and said.rstrip().splitlines()[-1].startswith("44 jobs, 44 verdicts, "), said
    report = run(installed(root, "bin/mutatenn")[0], "report", tmp / "c.db", "--json", "-").stdout
    assert report.count('"outcome"') >= 44, "the store is any store"
    again = run(tmp / "campaign", model, images, tmp / "c.db", env=env).stdout
    assert again.splitlines()[:-1] == said.splitlines()[:-1], "a second run has nothing to do and reads the same"
    misuse = build_example("misuse", tmp, cflags, libs, folder="tests/install")
    env["LD_LIBRARY_PATH"] = str(installed(root, "lib/**/libmutatenn.so")[0].parent)
    r = subprocess.run([misuse, model, images / "03_triangle.png", tmp / "m.db"], capture_output=True, text=True, env=env, timeout=300)
    assert r.returncode == 0, f"{r.returncode}\n{r.stdout}\n{r.stderr}"
    return "example programs build, linked with the shared and the static library, and are right"


def main():
    tmp = pathlib.Path(tempfile.mkdtemp(prefix="mutatenn-install-"))
    try:
        root = tmp / "root"
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", root)
        pc = installed(root, "pkgconfig/mutatenn.pc")[0]
        prefix = re.search(r"^prefix=(.*)$", pc.read_text(), re.M).group(1)
        env = {**os.environ, "PKG_CONFIG_PATH": f"{pc.parent}:{os.environ.get('PKG_CONFIG_PATH', '')}"}
        ask = lambda *what: run("pkg-config", f"--define-variable=prefix={root}{prefix}", *what, "mutatenn", env=env).stdout.split()
        cflags, libs, static = ask("--cflags"), ask("--libs"), ask("--static", "--libs")
        version = run(installed(root, "bin/mutatenn")[0], "--version").stdout.split()[1]
        assert run("pkg-config", "--modversion", "mutatenn", env=env).stdout.strip() == version
        print(check_man(root), check_data(root), check_header(cflags, tmp), check_symbols(root), check_examples(root, tmp, cflags, libs, static), sep="\n")
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


main()
