#!/usr/bin/env python3
"""A campaign with --sanitize says of every mutant that leaves its buffers where, and of no other.

usage: sanitize.py BUILD_DIR SOURCE_DIR
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

BUILD, SOURCE = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
FINDING = re.compile(r"^'[^']+': (a (read of|write to) '\w+' (out of bounds: index -?\d+ in dim \d of size \d+|before it was written: element \d+)) in '.+'$")
CAMPAIGN = f"""
model: {SOURCE}/demo/model.onnx
images: {SOURCE}/demo/images
devices: [host-gcc]
opt-level: 2
sample: 1
control-mutants: 1
SANITIZE
mutations:
  - operator: loop.bound.*
    sites: sample 10
  - operator: loop.index.*
    sites: sample 8
  - operator: loop.cond.*
    sites: sample 5
  - operator: loop.store.skip
    sites: sample 4
  - operator: graph.replace.relu
    sites: "1"
preprocess: resize=64,crop=64,mean=127.5,std=127.5
output: logits
scores: logits
"""


def mutatenn(*args, status=0):
    p = subprocess.run([BUILD / "mutatenn", *map(str, args)], capture_output=True, text=True)
    assert p.returncode == status, f"{args}: status {p.returncode}\n{p.stdout}{p.stderr}"
    return p.stdout + p.stderr


def campaign(folder, name, line):
    """The mutants of a report, by id, with the one device's row."""
    (folder / f"{name}.yaml").write_text(CAMPAIGN.replace("SANITIZE", line))
    mutatenn("run", folder / f"{name}.yaml", "--store", folder / f"{name}.db", "--quiet")
    mutatenn("report", folder / f"{name}.db", "--json", folder / f"{name}.json")
    rows = json.loads((folder / f"{name}.json").read_text())["mutants"]
    return {m["id"]: (m, m["devices"][0]) for m in rows}


with tempfile.TemporaryDirectory() as t:
    folder = pathlib.Path(t)
    checked = campaign(folder, "checked", "sanitize: true")
    plain = campaign(folder, "plain", "")
    found = {"overrun": 0, "undefined": 0}

    for name, (m, d) in checked.items():
        ran = d["outcome"] not in ("no-effect", "equivalent", "no-site")
        if m.get("bounds") == "leaves" and ran:
            assert d["outcome"] == "overrun", f"{name} leaves its buffers, and is {d['outcome']}"
        if m.get("bounds") in ("in-range", None):
            assert d["outcome"] != "overrun", f"{name} stays in its buffers: {d}"
        if d["outcome"] in found and FINDING.match(d.get("message", "")):
            found[d["outcome"]] += 1
            kind = d["outcome"] == "undefined"
            assert ("before it was written" in d["message"]) == kind, d
        else:
            assert d["outcome"] not in ("overrun", "tool-error", "crash", "build-failed"), d
        assert d["code"] == plain[name][1]["code"], f"{name}: checks are no part of what a mutant is"
    assert found["overrun"] >= 5 and found["undefined"] >= 1, found

    # The flag of a stored campaign is kept; its mutants are predicted alike wherever they are asked about.
    said = mutatenn("run", folder / "plain.yaml", "--store", folder / "plain.db", "--sanitize", "--quiet", status=2)
    assert "sanitize" in said, said
    listed = json.loads(mutatenn("mutants", SOURCE / "demo/model.onnx", "--operator", "loop.*", "--bounds", "--json"))["mutants"]
    for m in listed:
        if m["id"] in checked:
            assert m.get("bounds") == checked[m["id"]][0].get("bounds"), m
    over = next(n for n, (m, d) in checked.items() if d["outcome"] == "overrun")
    shown = json.loads(mutatenn("show", SOURCE / "demo/model.onnx", over, "--checks", "--json"))["checks"]
    assert len(shown) == 1 and "report[0] = 1:i32" in shown[0]["ir"], shown
    print(f"{len(checked)} mutants, {found['overrun']} overruns and {found['undefined']} reads before a write named")
