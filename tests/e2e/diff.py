#!/usr/bin/env python3
"""mutatenn diff: the first bad layer is the one with the planted fault, whatever the devices, layouts and precisions.

usage: diff.py BUILD_DIR SOURCE_DIR     needs only python3's standard library
"""
import ast
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile

BUILD, SOURCE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
BIN, MODEL, IMAGE = BUILD / "mutatenn", SOURCE / "demo/model.onnx", SOURCE / "demo/images/03_triangle.png"
FAULT = "loop.cond.lt-to-le/res2.conv/0/swap"

# A compiler that gets one kernel wrong: the text of that kernel is exchanged for another one.
WRAPPER = """#!{python}
import os, subprocess, sys
text = sys.stdin.read() if sys.argv[-1] == "-" else None
if text == open("{folder}/right.c").read():
    text = open("{folder}/wrong.c").read()
sys.exit(subprocess.run(["gcc", *sys.argv[1:]], input=text, text=True).returncode)
"""

ENV = dict(os.environ)


def run(*args, status=0):
    r = subprocess.run([BIN, *map(str, args)], capture_output=True, text=True, timeout=300, env=ENV)
    assert r.returncode == status, f"{args}: exit status {r.returncode}, not {status}\n{r.stdout[-2000:]}\n{r.stderr[-2000:]}"
    return r


def diff(*args, status=0):
    return json.loads(run("diff", MODEL, IMAGE, *args, "--json", status=status).stdout)


def rows(d):
    return {t["tensor"]: t for t in d["tensors"]}


def bad(d):
    return [t["tensor"] for t in d["tensors"] if t["state"] == "bad"]


def npy(path):
    """dtype, shape and numbers of a .npy of float32."""
    raw = path.read_bytes()
    head = ast.literal_eval(raw[10:10 + struct.unpack("<H", raw[8:10])[0]].decode())
    data = raw[10 + struct.unpack("<H", raw[8:10])[0]:]
    return head["descr"], head["shape"], struct.unpack(f"<{len(data) // 4}f", data) if head["descr"] == "<f4" else data


def plant(tmp):
    """A definitions file whose device `planted` is gcc with the kernel of FAULT wrong."""
    kernel = [k for k in json.loads(run("show", MODEL, FAULT, "--json").stdout)["kernels"] if k["name"] == "res2.conv"][0]
    (tmp / "right.c").write_text(kernel["original"])
    (tmp / "wrong.c").write_text(kernel["source"])
    (tmp / "cc").write_text(WRAPPER.format(python=sys.executable, folder=tmp))
    (tmp / "cc").chmod(0o755)
    (tmp / "d.yaml").write_text("device-definitions:\n"
                                f"  - {{name: planted, cc: {tmp}/cc}}\n"
                                "  - {name: half, cc: gcc, precision: f16}\n"
                                "  - {name: brain, cc: gcc, precision: bf16}\n"
                                "  - {name: narrow, cc: gcc, cflags: [-O2, -mno-avx, -msse2]}\n")
    return tmp / "d.yaml"


def check_planted(definitions):
    want = "res.act"  # res2.conv is fused up to there
    for level in ("2",):
        d = diff("--device", "host-gcc", "--device", "planted", "--devices-file", definitions, "--alone", "--opt-level", level)
        assert d["first_different"] == d["first_bad"] == d["first_alone"] == want, (level, d["first_bad"], d["first_alone"])
        assert rows(d)[want]["kernel"] == "res2.conv"
        t = list(rows(d))
        assert all(rows(d)[x]["state"] == "equal" for x in t[:t.index(want)]), "what lies in front of it is equal"
        alone = [x for x in t if "alone" in rows(d)[x] and rows(d)[x]["alone"]["relative"] != 0]
        assert alone == [want], f"no other kernel adds an error: {alone}"
    run("diff", MODEL, IMAGE, "--device", "host-gcc,planted", "--devices-file", definitions, "--tolerance", "0.01", status=3)
    run("diff", MODEL, IMAGE, "--device", "host-gcc,host-gcc", "--tolerance", "0")
    # The fault is a mutant's text: mutant on the sound device and original on the broken one are equal.
    d = diff("--device", "planted", "--device", "host-gcc", "--devices-file", definitions, "--mutant", FAULT)
    assert d["first_different"] is None, d["first_different"]
    assert [t for t in rows(d).values() if t["mutated"]] == [rows(d)[want]]


def check_mutants(definitions):
    d = diff("--mutant", FAULT)
    assert d["first_bad"] == "res.act" and d["a"]["mutant"] is None and d["b"]["mutant"] == FAULT
    text = run("diff", MODEL, IMAGE, "--mutant", FAULT).stdout
    assert "first bad layer:           'res.act': kernel 'res2.conv' (Conv+Add+Relu)" in text, text
    assert max(map(len, text.splitlines())) <= 80, text
    d = diff("--mutant", "graph.replace.relu/*/all/to-sigmoid", "--alone")
    t = rows(d)
    assert d["first_bad"] == "stem.act" and t["stem.act"]["mutated"] and not t["dw1.act"]["mutated"]
    assert t["dw1.act"]["state"] == "bad" and t["dw1.act"]["alone"]["identical"], "its own kernel is sound"
    d = diff("--mutant", "input.flip/input/0/horizontal")
    assert d["first_bad"] == "stem.act" and not rows(d)["stem.act"]["mutated"]
    d = diff("--device", "host-gcc,host-clang", "--mutant", FAULT, "--both")
    assert d["a"]["mutant"] == d["b"]["mutant"] == FAULT and d["first_different"] is None, "one text on both compilers"


def check_endings(definitions, tmp):
    """A side that does not run to its end is named, with the kernel; one that writes over an edge is compared, and said to."""
    trap = tmp / "trap"
    trap.mkdir()
    (trap / "right.c").write_text((tmp / "right.c").read_text())
    (trap / "wrong.c").write_text(re.sub(r"(void mutatenn_kernel\([^)]*\)\s*{)", r"\1 __builtin_trap();", (tmp / "right.c").read_text()))
    (trap / "cc").write_text(WRAPPER.format(python=sys.executable, folder=trap))
    (trap / "cc").chmod(0o755)
    (trap / "d.yaml").write_text(f"device-definitions: [{{name: trap, cc: {trap}/cc}}]\n")
    r = run("diff", MODEL, IMAGE, "--device", "host-gcc,trap", "--devices-file", trap / "d.yaml", status=1)
    assert "the original on B" in r.stderr and "res2.conv" in r.stderr, r.stderr
    d = diff("--mutant", "loop.launch.extent/flatten/0/double")
    assert "flatten" in d["b"]["overrun"] and d["a"]["overrun"] is None, d["b"]
    assert "flat" in rows(d) and rows(d)["gap"]["state"] == "equal"


def check_equal(definitions):
    for level in "0123":
        d = diff("--device", "host-gcc,host-clang", "--opt-level", level, "--alone")
        assert d["first_different"] is None and {t["state"] for t in d["tensors"]} == {"equal"}, (level, bad(d))
    assert "every tensor is equal bit for bit" in run("diff", MODEL, IMAGE, "--device", "host-gcc,host-clang").stdout


def check_precisions(definitions):
    for device, dtype, least in ("half", "f16", 2 ** -11), ("brain", "bf16", 2 ** -8):
        for level in "2", "3":
            d = diff("--device", f"host-gcc,{device}", "--devices-file", definitions, "--opt-level", level, "--alone")
            t = rows(d)
            assert not bad(d), bad(d)
            assert t["logits"]["a"]["dtype"] == "f32" and t["logits"]["b"]["dtype"] == dtype and t["logits"]["state"] == "within"
            assert t["logits"]["distance"]["relative"] > least / 128 and t["pool1"]["alone"]["relative"] <= least, "a pool only rounds its input"
        d = diff("--device", f"host-gcc,{device}", "--devices-file", definitions, "--mutant", FAULT)
        assert d["first_bad"] == "res.act", "the fault is found through the noise of the precision"


def check_layouts(definitions):
    """Blocked tensors are compared in their logical layout: with other vectors the blocks are others, the tensors are not."""
    d = diff("--device", "host-gcc,host-clang", "--opt-level", "3", "--schedule", "native")
    assert rows(d)["stem.act"]["a"]["shape"] == [1, 16, 32, 32]
    names = {x["name"]: x["available"] for x in json.loads(run("devices", "--json").stdout)["devices"]}
    if not names["lavapipe"]:
        print("skipped: lavapipe is absent")
        return
    d = diff("--device", "host-gcc,lavapipe", "--opt-level", "3", "--schedule", "native", "--alone")
    t = rows(d)
    assert t["stem.act"]["a"]["shape"] == t["stem.act"]["b"]["shape"] == [1, 16, 32, 32] and not bad(d), bad(d)
    assert any(x["state"] == "only-a" for x in t.values()), "packed weights are the processor's"


def check_files(definitions, tmp):
    run("diff", MODEL, IMAGE, "--mutant", "graph.replace.relu/res.act/0/to-sigmoid", "--dump", tmp / "dump", "--html", tmp / "d.html", "--opt-level", "3")
    index = json.loads((tmp / "dump/index.json").read_text())
    t = rows(index)
    files = {p.name for p in (tmp / "dump").iterdir()} - {"index.json"}
    assert files == {t[x][s]["file"] for x in t for s in "ab"} and all(re.fullmatch(r"[\w.-]+", f) for f in files), files
    for name in ("stem.act", "res.act", "logits"):
        (kind, shape, a), (_, _, b) = npy(tmp / "dump" / t[name]["a"]["file"]), npy(tmp / "dump" / t[name]["b"]["file"])
        assert kind == "<f4" and list(shape) == t[name]["a"]["shape"]
        worst = max(abs(x - y) for x, y in zip(a, b))
        assert abs(worst - t[name]["distance"]["max_abs"]) <= 1e-12, name
    run("infer", MODEL, IMAGE, "--npy", tmp / "logits", "--opt-level", "3", "--disable-pass", "winograd", "--quiet")
    assert npy(tmp / "dump" / t["logits"]["a"]["file"])[2] == npy(tmp / "logits/03_triangle.npy")[2], "the dump is what infer computes as a campaign does"
    page = (tmp / "d.html").read_text()
    assert page.count("<rect") == len(t) and "First bad layer: <b>res.act</b>" in page and "http" not in page
    run("diff", MODEL, IMAGE, "--device", "host-gcc,brain", "--devices-file", definitions, "--dump", tmp / "brain")
    index = rows(json.loads((tmp / "brain/index.json").read_text()))
    assert index["stem.act"]["b"]["dtype"] == "bf16" and npy(tmp / "brain" / index["stem.act"]["b"]["file"])[0] == "<f4"


def check_refusals(definitions):
    for args, words in (
            ((), "name a second --device, or a --mutant"),
            (("--device", "host-gcc,host-clang,pocl"), "compares two devices, 3 are named"),
            (("--both", "--mutant", FAULT), "--both needs"),
            (("--mutant", FAULT, "--tolerance", "-1"), "--tolerance takes 0 or more"),
            (("--mutant", FAULT, "--schedule", "best"), "'auto', 'portable' or 'native'"),
            (("--mutant", "loop.cond.lt-to-le/nowhere/0/swap"), "nowhere"),
            (("--device", "nothing,host-gcc"), "'nothing'")):
        r = run("diff", MODEL, IMAGE, *args, status=2)
        assert words in r.stderr, (args, r.stderr)
    r = run("diff", MODEL, IMAGE.parent, "--mutant", FAULT, status=2)
    assert "holds 40: name one of them" in r.stderr, r.stderr


def main():
    tmp = pathlib.Path(tempfile.mkdtemp(prefix="mutatenn-diff-"))
    ENV["XDG_CACHE_HOME"] = str(tmp / "cache")
    try:
        definitions = plant(tmp)
        for check, says in ((check_planted, "the first bad layer is the one that the device gets wrong"), (check_mutants, "the first bad layer is the mutant's"),
                            (check_equal, "equal devices are equal in every tensor"), (check_precisions, "f16 and bf16 devices stay within their rounding"),
                            (check_layouts, "layouts do not matter"),
                            (check_refusals, "what cannot be compared is refused with the next step")):
            check(definitions)
            print(f"ok    {says}", flush=True)
        check_endings(definitions, tmp)
        print("ok    a side that does not end well is named", flush=True)
        check_files(definitions, tmp)
        print("ok    dumped tensors, index and page say the same")
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


main()
