#!/usr/bin/env python3
"""A campaign on the demo's model over all devices that are present: complete, resumed, and not disturbed by an OpenCL worker that dies.

usage: devices.py BUILD_DIR SOURCE_DIR     needs only python3's standard library
"""
import json
import os
import pathlib
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

BUILD, SOURCE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
BIN, MODEL, IMAGES = BUILD / "mutatenn", SOURCE / "demo/model.onnx", SOURCE / "demo/images"
WANTED = ["host-gcc", "host-clang", "pocl", "opencl", "lavapipe", "vulkan", "cuda", "aarch64-qemu"]
KILLS = 4


def run(*args):
    r = subprocess.run([BIN, *map(str, args)], capture_output=True, text=True, timeout=900)
    assert r.returncode == 0, f"{args}: exit status {r.returncode}\n{r.stdout[-2000:]}\n{r.stderr[-2000:]}"
    return r


def present():
    out = []
    for d in json.loads(run("devices", "--json").stdout)["devices"]:
        if d["available"] and d["name"] in WANTED:
            out.append(d["name"])
        elif not d["available"]:
            print(f"skipped {d['name']}: {d['reason']}", flush=True)
    return out


def some_images(folder, n):
    folder.mkdir()
    for name in [x for x in sorted(os.listdir(IMAGES)) if x.endswith(".png")][:n]:
        shutil.copy(IMAGES / name, folder)
    shutil.copy(IMAGES / "labels.csv", folder)
    return folder


def table(store):
    """What a campaign decided, without times."""
    return {m["id"]: {d["device"]: (d["outcome"], d["images"], d["images_changed"], d["code"]) for d in m["devices"]}
            for m in json.loads(run("report", store, "--json", "-").stdout)["mutants"]}


def children(pid):
    out = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = stat.read_text().rsplit(")", 1)
        except OSError:
            continue
        if "mutatenn-worker" in name and int(rest.split()[1]) == pid:
            out.append(int(stat.parent.name))
    return out


def with_library(pids, library):
    def maps(p):
        try:
            return pathlib.Path(f"/proc/{p}/maps").read_text()
        except OSError:
            return ""
    return [p for p in pids if library in maps(p)]


def has_results(store):
    try:
        return sqlite3.connect(f"file:{store}?mode=ro", uri=True).execute("SELECT count(*) FROM results").fetchone()[0] > 0
    except sqlite3.Error:
        return False


def kill_workers(args, store, library):
    """Runs the campaign, and once it has results kills workers of a device, by the library that they have loaded, at random moments."""
    rng, killed, p = random.Random(3), 0, subprocess.Popen([BIN, *map(str, args), str(store)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while p.poll() is None and not has_results(store):
        time.sleep(.05)
    while p.poll() is None and killed < KILLS:
        time.sleep(rng.uniform(.1, .6))
        found = with_library(children(p.pid), library)
        if found:
            os.kill(rng.choice(found), signal.SIGKILL)
            killed += 1
    _, err = p.communicate(timeout=900)
    assert p.returncode == 0, err
    return killed


def check(tmp):
    devices, store = present(), tmp / "s.db"
    assert "host-gcc" in devices
    print("on", ", ".join(devices), flush=True)
    args = ["run", "--model", MODEL, "--images", some_images(tmp / "im", 3), "--mutations", "mutatenn-paper", "--device", ",".join(devices), "--store"]

    start = time.time()
    run(*args, store)
    want = table(store)
    assert len(want) == 22
    for mutant, rows in want.items():
        assert list(rows) == devices, (mutant, rows)
        assert not [r for r in rows.values() if r[0] in ("not-started", "tool-error", "lost")], (mutant, rows)
    assert want["graph.replace.relu/*/all/to-sigmoid"]["host-gcc"][0] == "misclassified"
    print(f"ok    every mutant has a row on every device ({time.time() - start:.1f} s)", flush=True)

    pairs = {(a, b) for i, a in enumerate(devices) for b in devices[i + 1:]}
    compare = json.loads(run("compare", store, "--json").stdout)
    assert {(x["a"], x["b"]) for x in compare["original"]} == pairs
    for x in compare["original"]:
        assert x["images"] == 3 and x["labels_differ"] == 0, x
    assert len(compare["mutants"]) == 22
    for m in compare["mutants"]:
        assert {(x["a"], x["b"]) for x in m["across"]} == pairs, m["id"]
        assert [x["device"] for x in m["against_original"]] == devices, m["id"]
    print("ok    compare has every pair of devices, for the original and each mutant", flush=True)

    again = run(*args, store)
    assert f"{22 * len(devices)} were done before" in again.stderr, again.stderr
    assert table(store) == want
    print("ok    a second run has nothing to do", flush=True)

    if "pocl" in devices:
        start, killed = time.time(), kill_workers(args, tmp / "k.db", "libpocl")
        assert killed == KILLS, f"the campaign was over after {killed} kills"
        got = table(tmp / "k.db")
        assert got == want, [(m, d, got[m][d], want[m][d]) for m in want for d in devices if got[m][d] != want[m][d]]
        print(f"ok    {killed} killed OpenCL workers change nothing ({time.time() - start:.1f} s)", flush=True)
    else:
        print("skipped: no OpenCL worker to kill, PoCL is absent", flush=True)


def driver_disappears(tmp):
    """PoCL's driver is taken away in the middle, and the workers that have it loaded are killed."""
    icd, store, file, start = tmp / "icd", tmp / "gone.db", tmp / "gone.yaml", time.time()
    icd.mkdir()
    shutil.copy("/etc/OpenCL/vendors/pocl.icd", icd)
    file.write_text(json.dumps({"model": str(MODEL), "images": str(some_images(tmp / "two", 2)), "devices": ["host-gcc", "gone"], "store": str(store),
                                "device-definitions": [{"name": "gone", "backend": "opencl", "env": [f"OCL_ICD_VENDORS={icd}"]}],
                                "mutations": [{"operator": "loop.cond.*", "sites": "sample 20"}]}))
    p = subprocess.Popen([BIN, "run", file], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while p.poll() is None and not has_results(store):
        time.sleep(.05)
    (icd / "pocl.icd").unlink()
    while p.poll() is None:
        for worker in with_library(children(p.pid), "libpocl"):
            os.kill(worker, signal.SIGKILL)
        time.sleep(.3)
    err = p.communicate()[1]
    assert p.returncode == 1 and "device 'gone' is set aside: device 'gone': no OpenCL driver (ICD) is installed" in err and "nonsense" not in err, err
    rows = table(store)
    assert all(r["host-gcc"][0] not in ("tool-error", "not-run") for r in rows.values()), rows
    assert [r for r in rows.values() if r["gone"][0] == "tool-error"], rows
    assert "lost: device 'gone': no OpenCL driver" in " ".join(run("report", store).stdout.split())
    print(f"ok    a driver that disappears sets its device aside, the other one goes on ({time.time() - start:.1f} s)", flush=True)


def main():
    tmp = pathlib.Path(tempfile.mkdtemp(prefix="mutatenn-e2e-devices-"))
    try:
        check(tmp)
        if "pocl" in present():
            driver_disappears(tmp)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


main()
