#!/usr/bin/env python3
"""The tutorial's commands, in order, in a folder with the demo; and 'init', which they begin a campaign with.

usage: tutorial.py BUILD_DIR SOURCE_DIR     needs only python3's standard library
"""
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile

BUILD, SOURCE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
BIN = BUILD / "mutatenn"


def environment(tmp):
    return {**os.environ, "PATH": f"{BUILD}:{os.environ['PATH']}", "HOME": str(tmp), "XDG_CACHE_HOME": str(tmp / "cache")}


def run(tmp, *args, status=0, **kw):
    r = subprocess.run([BIN, *map(str, args)], cwd=tmp, env=environment(tmp), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, **kw)
    assert r.returncode == status, f"{args}: exit status {r.returncode}, not {status}\n{r.stdout[-2000:]}\n{r.stderr[-2000:]}"
    return r


def blocks(text):
    """(reason why it is not run or None, commands) of each ```sh block."""
    return [(m[1], m[2]) for m in re.finditer(r"(?:<!-- not run: (.*?) -->\n)?```sh\n(.*?)```", text, re.S)]


def check_tutorial(tmp):
    ran = 0
    for reason, commands in blocks((SOURCE / "docs/tutorial.md").read_text()):
        if reason:
            print(f"skipped: {commands.splitlines()[0].split('  ')[0]} ... ({reason})", flush=True)
            continue
        for line in commands.splitlines():
            r = subprocess.run(["bash", "-euc", line], cwd=tmp, env=environment(tmp), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900)
            assert r.returncode == 0, f"{line}: exit status {r.returncode}\n{r.stdout[-2000:]}\n{r.stderr[-2000:]}"
            ran += 1
    for made in "shapes.yaml", "demo.db", "loops.db", "report.html", "report.json", "report.csv", "reproducer/build.sh", "acceptance", "mutants/index.csv":
        assert (tmp / made).exists(), f"{made} was not made"
    print(f"ok    {ran} commands of the tutorial", flush=True)


def answer(tmp, args, lines):
    """Runs init on a terminal of its own and gives it lines."""
    pid, fd = pty.fork()
    if not pid:
        os.chdir(tmp)
        os.execve(BIN, [str(BIN), *args], environment(tmp))
    os.write(fd, "".join(x + "\n" for x in lines).encode())
    said = b""
    while select.select([fd], [], [], 300)[0]:
        try:
            got = os.read(fd, 4096)
        except OSError:
            break
        if not got:
            break
        said += got
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.decode()


def check_init(tmp):
    text = (tmp / "shapes.yaml").read_text()
    assert "devices: [host-gcc, host-clang]" in text and re.search(r"sites: sample \d+ .*Leveugle", text), text
    for key in "model", "images", "devices", "opt-level", "mutations", "criteria", "seed":
        assert re.search(rf"^{key}:", text, re.M), f"no {key}"
    r = run(tmp, "init", "shapes.yaml", "--model", "demo/model.onnx", "--images", "demo/images", status=2)
    assert "--force" in r.stderr and (tmp / "shapes.yaml").read_text() == text
    r = run(tmp, "init", "new.yaml", status=2)
    assert "--model and --images" in r.stderr and not (tmp / "new.yaml").exists()
    for args, words in ((("--model", "demo/labels.txt", "--images", "demo/images"), "not ONNX"), (("--model", "demo/model.onnx", "--images", "nowhere"), "nowhere"),
                        (("--model", "demo/model.onnx", "--images", "demo/images", "--device", "host-gc"), "did you mean 'host-gcc'")):
        r = subprocess.run([BIN, "init", "new.yaml", *args], cwd=tmp, env=environment(tmp), stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert r.returncode in (1, 2) and words in r.stderr, (args, r)
        assert not list(tmp.glob("new.yaml*")), "nothing is written that does not work"
    (tmp / "a folder").mkdir()
    run(tmp, "init", "a folder", "--model", "demo/model.onnx", "--images", "demo/images", "--device", "host-gcc", "--quiet")
    assert run(tmp, "run", "a folder/campaign.yaml", "--plan").stdout, "its paths count from its folder"
    status, said = answer(tmp, ["init", "asked.yaml"], ["demo/model.onnx", "demo/images", "host-gcc"])
    assert status == 0 and "Model" in said and "Pictures" in said and "Devices" in said, said
    assert "devices: [host-gcc]" in (tmp / "asked.yaml").read_text()
    print("ok    init asks on a terminal, takes options elsewhere, writes only what can be planned", flush=True)


def check_catalogue(tmp):
    names = re.findall(r"^(\S+)", run(tmp, "operators").stdout, re.M)
    page = (SOURCE / "docs/operators.md").read_text()
    for name in names:
        assert re.search(rf"^\*\*`{re.escape(name)}`\*\*, `.+`\n\n```diff\n.+\n```", page, re.M | re.S), f"no example of {name}"
    print(f"ok    each of {len(names)} operators has an example", flush=True)


def check_numbers(tmp):
    """What the pages show of the demo is what it gives, where its compiler is theirs."""
    page = (SOURCE / "docs/tutorial.md").read_text()
    shown = re.search(r"    host-gcc: (gcc \S+) .*\n((?:      (?:killed by|original right) .*\n)+)", page)
    report = run(tmp, "run", "demo/campaign.yaml", "--store", "numbers.db").stdout
    if f"host-gcc: {shown[1]} " not in report:
        print(f"skipped: the tutorial's numbers are of {shown[1]}", flush=True)
        return
    lines = [line.strip() for line in shown[2].splitlines()]
    lines += [line.strip() for line in re.findall(r"^    \d+ of \d+ images keep .*", (SOURCE / "docs/acceptance.md").read_text(), re.M)]
    gives = report + run(tmp, "select", "numbers.db").stdout
    missing = [line for line in lines if line not in gives]
    assert len(lines) == 5 and not missing, (missing, gives[:2500])
    print(f"ok    {len(lines)} lines of numbers are the demo's", flush=True)


def main():
    tmp = pathlib.Path(tempfile.mkdtemp(prefix="mutatenn-tutorial-"))
    try:
        shutil.copytree(SOURCE / "demo", tmp / "demo")
        check_tutorial(tmp)
        check_init(tmp)
        check_catalogue(tmp)
        check_numbers(tmp)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


main()
