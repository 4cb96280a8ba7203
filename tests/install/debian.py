#!/usr/bin/env python3
"""The Debian packages build, are clean, and what they install runs the demo and builds a program of others.

usage: debian.py SOURCE_DIR [--control]     --control: only that the packages asked for are those of packages.txt
exit status 77: a tool that building packages needs is not there
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(sys.argv[1]).resolve()
# of packages.txt, what every Debian build has anyway, or only a device of the tests needs
NOT_ASKED = {"gcc"}
ONLY_HERE = {"debhelper-compat", "python3"}
NAMES = {"clang": "a compiler of kernels, for the tests"}


def run(*command, **kw):
    r = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=3000, **kw)
    assert r.returncode == 0, f"{command}: exit status {r.returncode}\n{r.stdout[-4000:]}\n{r.stderr[-4000:]}"
    return r.stdout


def check_control():
    """Build-Depends is the part `build` of packages.txt; what only tests need is marked <!nocheck> and in its part `tests`."""
    control = (SOURCE / "debian/control").read_text()
    wanted = re.search(r"^Build-Depends:\n((?: .*\n)+)", control, re.M).group(1).split(",")
    asked, checked = set(), set()
    for entry in filter(str.strip, wanted):
        name = re.match(r"\s*([\w.+-]+)", entry).group(1)
        (checked if "<!nocheck>" in entry else asked).add(name)
    parts = dict(re.findall(r"^# (build|tests)\n((?:[^#].*\n)+)", (SOURCE / "packages.txt").read_text(), re.M))
    build, tests = (set(parts[p].split()) for p in ("build", "tests"))
    assert asked - ONLY_HERE == build - NOT_ASKED - set(NAMES), f"Build-Depends and packages.txt differ in {(asked - ONLY_HERE) ^ (build - NOT_ASKED - set(NAMES))}"
    assert checked <= tests | set(NAMES), f"not in packages.txt: {checked - tests - set(NAMES)}"
    symbols = set(re.findall(r"^ (mutatenn_\w+)@MUTATENN_", (SOURCE / "debian/libmutatenn0.symbols").read_text(), re.M))
    assert symbols == set(re.findall(r"^\t(mutatenn_\w+);", (SOURCE / "src/lib/mutatenn.map").read_text(), re.M)), "debian/libmutatenn0.symbols is not the map"
    version = re.search(r"version: '([\d.]+)'", (SOURCE / "meson.build").read_text()).group(1)
    assert (SOURCE / "debian/changelog").read_text().startswith(f"mutatenn ({version}) "), "debian/changelog has another version"
    print("ok    debian/ asks for what packages.txt lists, and has the library's symbols and version")


def build(tmp):
    shutil.copytree(SOURCE, tmp / "mutatenn", symlinks=True,
                    ignore=lambda folder, names: {n for n in names if n == ".git" or (n.startswith("build") and (pathlib.Path(folder) / n).is_dir())
                                                  or n == "demo-out"})
    run("dpkg-buildpackage", "-us", "-uc", "-b", cwd=tmp / "mutatenn", env={**os.environ, "DEB_BUILD_OPTIONS": f"nocheck parallel={os.cpu_count()}"})
    debs = sorted(tmp.glob("*.deb"))
    names = {d.name.split("_")[0] for d in debs if "dbgsym" not in d.name}
    assert names == {"mutatenn", "libmutatenn0", "libmutatenn-dev", "mutatenn-doc"}, names
    for d in debs:
        run("dpkg-deb", "-x", d, tmp / "root")
    print("ok    four packages build")


def check_lintian(tmp):
    if not shutil.which("lintian"):
        print("skipped: lintian is not installed")
        return
    said = subprocess.run(["lintian", "--no-cfg", "--allow-root", next(tmp.glob("*.changes"))], capture_output=True, text=True).stdout
    wrong = [line for line in said.splitlines() if line.startswith("E:")]
    assert not wrong, "\n".join(wrong)
    print("ok    lintian finds no errors", *said.splitlines(), sep="\n      ")


def check_installed(tmp):
    root, usr = tmp / "root", tmp / "root/usr"
    demo = usr / "share/doc/mutatenn/examples/demo"
    library = next(usr.glob("lib/*/libmutatenn.so.0")).parent
    env = {"PATH": f"{usr}/bin:{os.environ['PATH']}", "HOME": str(tmp), "LD_LIBRARY_PATH": str(library)}
    said = run("mutatenn", "run", demo / "campaign.yaml", "--store", tmp / "demo.db", "--quiet", "--mutant", "graph.replace.relu/*/all/to-sigmoid", env=env, cwd=tmp)
    assert "host-gcc" in said and "killed by label" in said, said
    pages = {p.name for p in usr.glob("share/man/man1/*")}
    assert {"mutatenn.1.gz", "mutatenn-run.1.gz", "mutatenn-worker.1.gz"} <= pages, pages
    assert len([p for p in (usr / "share").rglob("*mutatenn*") if "completion" in str(p.parent) or p.name == "_mutatenn"]) >= 3, "no shell completion"
    docs = {p.name.removesuffix(".gz") for p in (usr / "share/doc").rglob("*.md*")}
    assert {"tutorial.md", "configuration.md", "metrics.md"} <= docs, docs
    run("gcc", next(usr.rglob("campaign.c*")), "-o", tmp / "campaign", f"-I{usr}/include", f"-L{library}", "-lmutatenn")
    said = run(tmp / "campaign", demo / "model.onnx", demo / "images", tmp / "c.db", env=env)
    assert "44 jobs, 44 verdicts" in said, said
    print("ok    what is installed runs the demo and a program of others")


def main():
    check_control()
    if "--control" in sys.argv:
        return
    if not shutil.which("dpkg-buildpackage") or not shutil.which("dh"):
        print("skipped: dpkg-buildpackage or debhelper is not installed")
        sys.exit(77)
    tmp = pathlib.Path(tempfile.mkdtemp(prefix="mutatenn-debian-"))
    try:
        build(tmp)
        check_lintian(tmp)
        check_installed(tmp)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


main()
