#!/usr/bin/env python3
"""What ran was the mutant: graph mutants, exported as ONNX files, give the scores that the campaign stored.

usage: mutants_are_real.py BUILD_DIR [MODEL...] [--inputs X.npy...] [--levels 0,3] [--sample 50] [--limit 1e-3] [--show 10]

Runs the preset mutatenn-paper and a sample of graph.* and loop.*. Every exported mutant is read and run again as a model of its own, by
`mutatenn infer`, and by onnxruntime where python3 has it; `show --build` of every mutant must give the stored `code`. Without MODEL: those in
the folder $MUTATENN_MODELS, or the demo's. Without --inputs: two tensors of noise.
"""
import argparse
import array
import csv
import json
import math
import os
import pathlib
import random
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile

try:
    import numpy
    import onnxruntime
except ImportError:
    onnxruntime = None

NOT_RUN = ("not-run", "build-failed", "refused", "hang", "crash", "tool-error")


def call(a, *args):
    return subprocess.run([a.build / "mutatenn", *map(str, args)], capture_output=True, text=True)


def must(a, *args):
    r = call(a, *args)
    if r.returncode:
        sys.exit(f"{args}: {r.stderr}")
    return r.stdout


def noise(a, model, folder):
    """Two .npy files of the shape of the model's input."""
    shape = tuple(map(int, json.loads(must(a, "info", model, "--json"))["inputs"][0]["shape"].split("x")))
    draw, files = random.Random(1), [folder / "noise0.npy", folder / "noise1.npy"]
    for f in files:
        head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
        f.write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", 118) + head.encode() + array.array("f", (draw.uniform(-1, 1) for _ in range(math.prod(shape)))).tobytes())
    return files


def floats(b):
    x = array.array("f")
    x.frombytes(b)
    return list(x)


def read_npy(f):
    b = f.read_bytes()
    return floats(b[10 + struct.unpack_from("<H", b, 8)[0]:])


def by_infer(a, level, file, inputs, tmp):
    """The exported file as a model of its own, or why it does not run."""
    out = tmp / "scores"
    shutil.rmtree(out, ignore_errors=True)
    r = call(a, "infer", file, *inputs, "--opt-level", level, "--disable-pass", "winograd", "--npy", out, "--quiet")
    return [read_npy(out / i.name) for i in inputs] if not r.returncode else r.stderr.strip()


def by_onnxruntime(file, inputs, level="ORT_DISABLE_ALL"):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    try:
        session = onnxruntime.InferenceSession(str(file), options)
        return [session.run(None, {session.get_inputs()[0].name: numpy.load(x)})[0].ravel().tolist() for x in inputs]
    except Exception as e:
        return str(e).splitlines()[0]


def difference(got, want):
    """The largest, in parts of the largest score; infinite where one is NaN or infinite and the other is not."""
    if len(got) != len(want):
        return math.inf
    worst, largest = 0, max((abs(w) for w in want if math.isfinite(w)), default=1) or 1
    for g, w in zip(got, want):
        if math.isfinite(g) and math.isfinite(w):
            worst = max(worst, abs(g - w) / largest)
        elif not (g == w or (math.isnan(g) and math.isnan(w))):
            return math.inf
    return worst


class Tally(dict):
    def add(self, what, *why):
        self[what] = self.get(what, 0) + 1
        if why:
            print("  " + what, *why, flush=True)


def judge(a, tally, who, ident, outcome, stored, got, other=None):
    if isinstance(got, str):
        tally.add("did not run anywhere" if outcome in NOT_RUN else f"refused by {who}" if who == "onnxruntime" else "WRONG", ident, outcome, got[:150])
    elif outcome in NOT_RUN:
        tally.add("did not run" if who == "onnxruntime" else "WRONG", ident, outcome, f"but {who} has scores")
    else:
        worst = max(map(difference, stored, got))
        if worst > a.limit and other:  # some mutants magnify rounding: then onnxruntime differs from itself
            near = [min(pair) for pair in zip(map(difference, stored, got), map(difference, stored, other()))]
            if max(near) <= a.limit:
                return tally.add(f"as {who} when it optimises", ident, outcome, f"{worst:.2e} of the largest score from its result without")
        tally.add(*([f"as {who}"] if worst <= a.limit else ["WRONG", ident, outcome, f"{worst:.2e} of the largest score from {who}"]))


def campaign(a, model, level, inputs, tmp, tally, run, mutants):
    """One campaign and its exported mutants; what ran, by id, with the hash of its code."""
    store, ex = tmp / "s.db", pathlib.Path(tempfile.mkdtemp(dir=tmp))
    must(a, "run", "--model", model, "--images", tmp / "in", "--opt-level", level, "--store", store, *run)
    must(a, "mutants", model, "--opt-level", level, "--export", ex, *mutants)
    con = sqlite3.connect(store)
    original = [floats(b) for b, in con.execute("SELECT logits FROM baselines ORDER BY image")]
    for r in csv.DictReader(open(ex / "index.csv")):
        ident, file = r["mutant"], ex / r["file"]
        outcome, = con.execute("SELECT outcome FROM verdicts WHERE id = ?", (ident,)).fetchone()
        kept = {i: floats(b) for i, b in con.execute("SELECT image, logits FROM logits JOIN mutants USING (mutant) WHERE id = ?", (ident,))}
        stored = [kept.get(i, o) for i, o in enumerate(original)]
        judge(a, tally, "a model of its own", ident, outcome, stored, by_infer(a, level, file, inputs, tmp))
        if onnxruntime:
            judge(a, tally, "onnxruntime", ident, outcome, stored, by_onnxruntime(file, inputs),
                  lambda: by_onnxruntime(file, inputs, "ORT_ENABLE_ALL"))
    con.close()
    report = json.loads(must(a, "report", store, "--json", "-"))
    store.unlink()
    return {m["id"]: m["devices"][0]["code"] for m in report["mutants"] if m["devices"][0]["outcome"] not in ("no-site", "no-effect")}


def check(a, model, level, tmp):
    (tmp / "in").mkdir()
    inputs, tally = [shutil.copy(f, tmp / "in" / f"{i}.npy") for i, f in enumerate(a.inputs or noise(a, model, tmp))], Tally()
    few = ["--sites", f"sample {a.sample}"]
    ran = campaign(a, model, level, inputs, tmp, tally, ["--mutations", "mutatenn-paper"], ["--preset", "mutatenn-paper"])
    ran |= campaign(a, model, level, inputs, tmp, tally, ["--mutations", "graph.*,loop.*", *few], ["--operator", "graph.*", *few])
    built = sorted(i for i, code in ran.items() if code)
    for ident in random.Random(1).sample(built, min(a.show, len(built))):
        code = json.loads(must(a, "show", model, ident, "--build", "--opt-level", level, "--json"))["code"]
        tally.add(*(["built as shown"] if code == ran[ident] else ["WRONG", ident, "is shown with other code than ran"]))
    print(f"{model.stem} level {level}: " + ", ".join(f"{n} {what}" for what, n in sorted(tally.items())), flush=True)
    return "WRONG" not in tally and tally.get("as a model of its own", 0) >= 10 and tally.get("built as shown", 0) >= min(a.show, 5)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build", type=lambda t: pathlib.Path(t).resolve())
    p.add_argument("models", type=pathlib.Path, nargs="*")
    p.add_argument("--inputs", type=pathlib.Path, nargs="+")
    p.add_argument("--levels", default="0,3")
    p.add_argument("--sample", type=int, default=50)
    p.add_argument("--limit", type=float, default=1e-3)
    p.add_argument("--show", type=int, default=10)
    a, ok, folder = p.parse_args(), True, os.environ.get("MUTATENN_MODELS")
    if not onnxruntime:
        print("without onnxruntime (no such module): exported mutants are compared with `mutatenn infer` only")
    a.models = a.models or sorted(pathlib.Path(folder).glob("*.onnx")) if folder else a.models or [pathlib.Path(__file__).parents[2] / "demo/model.onnx"]
    for model in a.models:
        for level in a.levels.split(","):
            with tempfile.TemporaryDirectory() as tmp:
                ok &= check(a, model, level, pathlib.Path(tmp))
    sys.exit(not ok or not a.models)


main()
