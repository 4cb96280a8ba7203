#!/usr/bin/env python3
"""Whole campaigns whose compiler plants the worst into the kernels of mutants: rows of the store are right, mutants that were left alone have the
results that they always have, controls hold, nothing is left behind.

usage: campaign.py BUILD_DIR SOURCE_DIR [--all]     --all: every kind, not the first three
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

BUILD, SOURCE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
BIN = BUILD / "mutatenn"
SYSCALL = "extern long syscall(long, ...);"
# what stands at the beginning of a mutant's kernel, OUT being its last parameter; the outcome; what the row must say. System calls are x86-64's
KINDS = {
    "trap": ("__builtin_trap();", "crash", "signal"),
    "overrun": ("((volatile char *)buffer[OUT])[-1] ^= 1;", "overrun", "wrote outside of buffer"),
    "fork": (SYSCALL + " syscall(57);", "crash", "signal 31"),
    "hang": ("for (;;) __asm__ volatile(\"\");", "hang", "not done after"),
    "null": ("*(volatile char *)8 = 1;", "crash", "signal 11"),
    "everywhere": ("for (volatile char *p = buffer[OUT];; p += 4096) *p = 1;", "crash", "signal"),
    "exit": (SYSCALL + " syscall(231, 0);", "crash", "ended with status 0"),
    "kill": (SYSCALL + " syscall(62, -1, 18);", "crash", "signal 31"),
}
CC = """#!{python}
import hashlib, os, re, subprocess, sys
if "-dM" in sys.argv:
    os.execvp("gcc", ["gcc"] + sys.argv[1:])
text, seen, plant = sys.stdin.read(), {seen!r}, os.environ.get("TORTURE_PLANT", "")
name = os.path.join(seen, hashlib.sha256(text.encode()).hexdigest())
if os.environ.get("TORTURE_SEE"):
    open(name, "w").close()
elif plant and not os.path.exists(name):
    last = max(int(n) for n in re.findall(r"= buffer\\[(\\d+)\\];", text))
    text = re.sub(r"(void mutatenn_kernel\\([^)]*\\)\\n{{\\n)", lambda m: m[1] + plant.replace("OUT", str(last)) + "\\n", text)
sys.exit(subprocess.run(["gcc"] + sys.argv[1:], input=text.encode()).returncode)
"""
CAMPAIGN = """model: {model}
images: images
devices: [torture]
threads: 2
controls: 2
mutations:
  - operator: input.*
    sites: sample 2
{more}device-definitions:
  - {{name: torture, backend: cpu, cc: {cc}}}
"""


MORE = """  - operator: loop.bound.*
    sites: sample 2
"""


def run(folder, name, plant="", see="", campaign="c.yaml"):
    store = folder / f"{name}.db"
    r = subprocess.run([BIN, "run", folder / campaign, "--store", store, "--quiet"], capture_output=True, text=True, timeout=600, env={
        **os.environ, "XDG_CACHE_HOME": str(folder / f"cache-{name}"), "TORTURE_PLANT": plant, "TORTURE_SEE": see, "TMPDIR": str(folder / "tmp")})
    assert r.returncode == 0, f"{name}: exit status {r.returncode}\n{r.stderr}"
    assert not r.stderr, f"{name}: {r.stderr}"
    out = subprocess.run([BIN, "report", store, "--json", "-"], capture_output=True, text=True, timeout=60, check=True).stdout
    return {m["id"]: {k: v for k, v in m["devices"][0].items() if k not in ("build_s", "run_s")} for m in json.loads(out)["mutants"]}


def main():
    if os.uname().machine != "x86_64":
        print("skipped: the kinds are for x86-64")
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="mutatenn-torture-") as name:
        folder = pathlib.Path(name)
        for d in ["images", "seen", "tmp"]:
            (folder / d).mkdir()
        for image in sorted(x for x in os.listdir(SOURCE / "demo/images") if x.endswith(".png"))[:2]:
            shutil.copy(SOURCE / "demo/images" / image, folder / "images")
        cc = folder / "torture-cc"
        cc.write_text(CC.format(python=sys.executable, seen=str(folder / "seen")))
        cc.chmod(0o755)
        for file, more in [("c.yaml", MORE), ("see.yaml", "")]:
            (folder / file).write_text(CAMPAIGN.format(model=SOURCE / "demo/model.onnx", cc=cc, more=more))
        # the original and the changes without effect by which noise is measured are left alone
        run(folder, "see", see="1", campaign="see.yaml")
        undisturbed = run(folder, "undisturbed")
        for kind, (plant, outcome, words) in list(KINDS.items())[:None if "--all" in sys.argv else 3]:
            rows = run(folder, kind, plant)
            assert rows.keys() == undisturbed.keys(), kind
            hit = [i for i, d in rows.items() if i.startswith("loop.") and undisturbed[i]["outcome"] not in ("equivalent", "no-effect")]
            assert hit, f"{kind}: no mutant has a kernel of its own"
            for i, d in rows.items():
                if i in hit:
                    assert d["outcome"] == outcome, f"{kind}: {i}: {d}"
                    assert words in json.dumps(d), f"{kind}: {i}: '{words}' in {d}"
                elif not i.startswith("loop."):
                    assert d == undisturbed[i], f"{kind}: {i} was disturbed: {d}, alone {undisturbed[i]}"
            print(f"{kind}: {len(hit)} of {len(rows)} mutants end as '{outcome}', the others as always", flush=True)
        assert not os.listdir(folder / "tmp"), os.listdir(folder / "tmp")


main()
