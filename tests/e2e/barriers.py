#!/usr/bin/env python3
"""Dropped barriers in a campaign, on processors that run groups of work-items as accelerators do.

usage: barriers.py BUILD_DIR SOURCE_DIR

What a race gives is the device's matter, and may be another thing next time. So this asks for what must hold whichever it is: every mutant has a row that agrees
with itself, the original and its controls stay what they are, and some dropped barriers are noticed. Exit status 77 where neither device is there.
"""
import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile

BUILD, SOURCE = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
SAMPLE = 6
CAMPAIGN = f"""
model: {SOURCE}/demo/model.onnx
images: {SOURCE}/demo/images
devices: [DEVICES]
opt-level: 3
sample: 1
control-mutants: 1
mutations:
  - operator: loop.sync.barrier
    sites: sample {SAMPLE}
preprocess: resize=64,crop=64,mean=127.5,std=127.5
output: logits
scores: logits
"""
SAME = {"no-effect", "equivalent", "identical"}
NUMBERS = {"drifted", "reordered", "misclassified", "nan", "undefined", "unstable"}
BROKEN = {"crash", "hang", "overrun"}


def mutatenn(*args):
    p = subprocess.run([BUILD / "mutatenn", *map(str, args)], capture_output=True, text=True, env=dict(os.environ, MUTATENN_SHARE_ON_CPU="1"))
    assert p.returncode == 0, f"{args}: status {p.returncode}\n{p.stdout}{p.stderr}"
    return p.stdout


def check(name, d, images):
    """A row agrees with itself."""
    known, killed = d["outcome"], d["killed"]
    assert known in SAME | NUMBERS | BROKEN, f"{name} on {d['device']}: {d}"
    assert d["images"] == images or known in BROKEN | {"no-effect", "equivalent"}, f"{name} on {d['device']}: {d}"
    if known in SAME:
        assert not d["images_changed"] and not any(killed.values()), f"{name} on {d['device']} is {known}: {d}"
    if known in ("misclassified", "nan", "undefined"):
        assert any(killed.values()), f"{name} on {d['device']} is {known}: {d}"
    assert killed["label"] <= killed["topk"] <= killed["numeric"], f"{name} on {d['device']}: {d}"


devices = [d["name"] for d in json.loads(mutatenn("devices", "--json"))["devices"] if d["available"] and d["name"] in ("lavapipe", "pocl")]
if not devices:
    print("skipped: neither lavapipe nor PoCL is here")
    sys.exit(77)
with tempfile.TemporaryDirectory() as t:
    folder = pathlib.Path(t)
    (folder / "campaign.yaml").write_text(CAMPAIGN.replace("DEVICES", ", ".join(devices)))
    mutatenn("run", folder / "campaign.yaml", "--store", folder / "campaign.db", "--quiet")
    report = json.loads(mutatenn("report", folder / "campaign.db", "--json", "-"))
    seen = collections.Counter()
    assert report["complete"] and len(report["mutants"]) == SAMPLE, len(report["mutants"])
    for m in report["mutants"]:
        assert m["bounds"] == "in-range", f"{m['id']}: the same accesses, {m['bounds']}"
        assert sorted(d["device"] for d in m["devices"]) == sorted(devices), f"{m['id']}: {m['devices']}"
        for d in m["devices"]:
            check(m["id"], d, 1)
            seen[d["device"], d["outcome"]] += 1
    for name in devices:
        assert any(n for (device, outcome), n in seen.items() if device == name and outcome not in SAME), f"{name} notices no dropped barrier: {seen}"
print(", ".join(f"{device}: {n} {outcome}" for (device, outcome), n in sorted(seen.items())))
