#!/usr/bin/env python3
"""What ran was the mutant: graph mutants, exported as ONNX files, give onnxruntime the scores that the campaign stored.

usage: exported_mutants.py BUILD_DIR MODEL INPUT.npy... [--levels 0,3] [--sample 50] [--limit 1e-3]

Runs the preset mutatenn-paper and a sample of graph.* on the inputs. Needs numpy and onnxruntime.
"""
import argparse
import csv
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime


def call(build, *args):
    r = subprocess.run([build / "mutatenn", *map(str, args)], capture_output=True, text=True)
    if r.returncode:
        sys.exit(f"{args}: {r.stderr}")


def scores(model, inputs):
    """onnxruntime's answers, or why it has none."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(str(model), options)
        return [session.run(None, {session.get_inputs()[0].name: x})[0].ravel() for x in inputs]
    except Exception as e:
        return str(e).splitlines()[0]


def check(a, level, tmp):
    images, store = tmp / "inputs", tmp / "s.db"
    images.mkdir()
    for i, f in enumerate(a.inputs):
        shutil.copy(f, images / f"{i}.npy")
    inputs = [np.load(f) for f in a.inputs]
    what = ["--sites", f"sample {a.sample}", "--opt-level", level]
    call(a.build, "run", "--model", a.model, "--images", images, "--mutations", "mutatenn-paper,graph.*", *what, "--store", store)
    call(a.build, "mutants", a.model, "--preset", "mutatenn-paper", "--operator", "graph.*", *what, "--export", tmp / "ex")
    con = sqlite3.connect(store)
    original = [np.frombuffer(b, "f") for b, in con.execute("SELECT logits FROM baselines ORDER BY image")]
    tally = {"agree": 0, "refused by onnxruntime": 0, "did not run": 0, "WRONG": 0}
    for r in csv.DictReader(open(tmp / "ex/index.csv")):
        outcome = con.execute("SELECT outcome FROM verdicts WHERE id = ?", (r["mutant"],)).fetchone()[0]
        kept = dict(con.execute("SELECT image, logits FROM logits JOIN mutants USING (mutant) WHERE id = ?", (r["mutant"],)))
        want = scores(tmp / "ex" / r["file"], inputs)
        if isinstance(want, str):
            tally["refused by onnxruntime"] += 1
            print(f"  {r['mutant']}: {outcome}; onnxruntime: {want[:150]}")
            continue
        if outcome in ("build-failed", "crash", "timeout", "invalid"):
            tally["did not run"] += 1
            print(f"  {r['mutant']}: {outcome}")
            continue
        worst = 0
        for i, w in enumerate(want):
            got = np.frombuffer(kept[i], "f") if i in kept else original[i]
            finite = np.isfinite(w) & np.isfinite(got)
            same = np.array_equal(np.isnan(w), np.isnan(got)) and np.array_equal(w[~finite & ~np.isnan(w)], got[~finite & ~np.isnan(w)])
            scale = np.abs(w[finite]).max() if finite.any() else 1
            worst = max(worst, np.abs(w - got)[finite].max() / (scale or 1) if finite.any() else 0, 0 if same else np.inf)
        tally["agree" if worst <= a.limit else "WRONG"] += 1
        if worst > a.limit:
            print(f"  WRONG {r['mutant']} ({outcome}): {worst:.2e} of the largest score")
    print(f"{a.model.stem} level {level}: " + ", ".join(f"{v} {k}" for k, v in tally.items()), flush=True)
    return not tally["WRONG"]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build", type=pathlib.Path)
    p.add_argument("model", type=pathlib.Path)
    p.add_argument("inputs", nargs="+")
    p.add_argument("--levels", default="0,3")
    p.add_argument("--sample", type=int, default=50)
    p.add_argument("--limit", type=float, default=1e-3)
    a, ok = p.parse_args(), True
    for level in a.levels.split(","):
        with tempfile.TemporaryDirectory() as tmp:
            ok &= check(a, level, pathlib.Path(tmp))
    sys.exit(not ok)


main()
