#!/usr/bin/env python3
"""Reproducers: what the folder of `mutatenn reproduce` gives without mutatenn is what the store says.

usage: reproduce.py BUILD_DIR SOURCE_DIR [TEST...]     needs only python3's standard library
"""
import json
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import traceback

BUILD, SOURCE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
BIN, MODEL, IMAGES = BUILD / "mutatenn", SOURCE / "demo/model.onnx", SOURCE / "demo/images"
TESTS, SKIPPED = [], []


def test(f):
    TESTS.append(f)
    return f


def run(*args, status=0, **kw):
    r = subprocess.run([BIN, *map(str, args)], capture_output=True, text=True, timeout=300, **kw)
    assert r.returncode == status, f"{args}: exit status {r.returncode}, not {status}\n{r.stdout[-2000:]}\n{r.stderr[-2000:]}"
    return r


LOOPS = ["loop.store.value/gap/2/zero", "loop.bound.extent/pool1/2/+1", "loop.cond.ge-to-ne/res1.conv/1/swap"]
OTHERS = ["graph.attribute.epsilon/right.bn/0/*10", "input.flip/input/0/vertical"]
_shared = {}


def shared():
    if not _shared:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="mutatenn-reproduce-"))
        images = folder / "pictures"
        images.mkdir()
        for name in sorted(os.listdir(IMAGES))[:3]:
            shutil.copy(IMAGES / name, images)
        devices = [d["name"] for d in json.loads(run("devices", "--json").stdout)["devices"] if d["available"]]
        devices = [d for d in ("host-gcc", "host-clang", "pocl") if d in devices]
        (folder / "devices.yaml").write_text("device-definitions:\n  - {name: fast, cc: gcc, cflags: [-O3, -ffast-math]}\n")
        mutations = "\n".join(f"  - {{operator: {m.split('/')[0]}, target: '{m.split('/')[1]}', variant: '{m.split('/')[3]}'}}"
                              for m in LOOPS + OTHERS[:1])
        (folder / "c.yaml").write_text(f"model: {MODEL}\nimages: {images}\ndevices: [{', '.join(devices + ['fast'])}]\n"
                                       f"device-definitions:\n  - {{name: fast, cc: gcc, cflags: [-O3, -ffast-math]}}\n"
                                       f"mutations:\n{mutations}\n  - operator: input.flip\n  - {{operator: loop.store.value, target: dense, variant: '*1.00000001'}}\n")
        run("run", folder / "c.yaml", "--store", folder / "s.db", "--quiet")
        _shared.update(folder=folder, store=folder / "s.db", devices=devices, definitions=folder / "devices.yaml")
    return _shared


def reproduce(folder, status=0):
    """Builds and runs the folder by its own script, without this program."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("MUTATENN")}
    b = subprocess.run([folder / "build.sh"], capture_output=True, text=True, env=env, timeout=120)
    assert b.returncode == 0, f"build.sh: {b.stderr[-1500:]}"
    r = subprocess.run(["./reproduce"], cwd=folder, capture_output=True, text=True, env=env, timeout=120)
    assert r.returncode == status, f"{folder}: {r.returncode}\n{r.stdout}\n{r.stderr}"
    return r.stdout


def logits(store, mutant, device, image):
    """What the store keeps of the mutant's scores on the image; None where it is the original's."""
    con = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    row = con.execute("SELECT l.logits FROM logits l JOIN mutants m USING(mutant) JOIN devices d USING(device) JOIN images i USING(image)"
                      " WHERE m.id = ? AND d.name = ? AND i.name = ?", (mutant, device, image)).fetchone()
    con.close()
    return row and row[0]


@test
def one_launch_gives_the_same_bits_on_every_device(tmp):
    s = shared()
    for device in s["devices"]:
        for i, mutant in enumerate(LOOPS if device == "host-gcc" else LOOPS[1:2]):
            out = tmp / f"{device}-{i}"
            r = run("reproduce", s["store"], mutant, "--device", device, "--out", out)
            assert r.stdout.startswith(f"launch {mutant.split('/')[1]} on image") and not r.stderr, (r.stdout, r.stderr)
            text = reproduce(out)
            assert "REPRODUCED" in text and text.count("is what was seen, bit for bit") >= 2 and "differs from what the original gives" in text, text
            readme = (out / "README.md").read_text()
            assert mutant in readme and device in readme and "bit for bit what the campaign saw" in readme, readme
            assert "+++" in (out / "mutant.diff").read_text()


@test
def a_whole_program_gives_the_scores_of_the_store(tmp):
    s = shared()
    for i, mutant in enumerate(LOOPS[:1] + OTHERS):
        for device in s["devices"] if mutant == LOOPS[0] else s["devices"][:1]:
            out = tmp / f"{device}-{i}"
            r = run("reproduce", s["store"], mutant, "--device", device, "--out", out, *(["--whole"] if mutant not in OTHERS[1:] else []))
            image = re.search(r"on image '([^']+)'", r.stdout)[1]
            assert "the whole program" in r.stdout, r.stdout
            assert "REPRODUCED" in reproduce(out)
            want = logits(s["store"], mutant, device, image)
            files = [p.read_bytes() for p in (out / "data").glob("mutant_*.bin")]
            assert want and want in files, f"{mutant} on {device}: none of the files is what the store has"


@test
def a_difference_of_two_devices_is_one_launch_with_its_inputs(tmp):
    s = shared()
    r = run("reproduce", s["store"], "original", "--device", "fast", "--against", "host-gcc", "--devices-file", s["definitions"], "--out", tmp / "o")
    assert "launch" in r.stdout, r.stdout
    text = reproduce(tmp / "o")
    assert "REPRODUCED" in text and "differs from what device 'host-gcc' gives" in text, text
    assert "-ffast-math" in (tmp / "o/build.sh").read_text() and "-ffast-math" in (tmp / "o/README.md").read_text()
    if "pocl" in s["devices"]:
        run("reproduce", s["store"], LOOPS[0], "--device", "pocl", "--against", "host-gcc", "--image", "01_ring.png", "--out", tmp / "p")
        assert "REPRODUCED" in reproduce(tmp / "p")
    else:
        SKIPPED.append("no pocl here")
    r = run("reproduce", s["store"], "original", "--device", "host-gcc", "--against", "host-clang", "--out", tmp / "q", status=2)
    assert "nothing to reproduce" in r.stderr


@test
def a_crash_and_an_overrun_happen_again(tmp):
    for name, says in ("double", "ended by signal 11"), ("+1", "wrote outside of 'stem.act'"):
        mutant = f"loop.launch.extent/stem.conv/0/{name}"
        run("run", "--model", MODEL, "--images", IMAGES / "00_disc.png", "--mutant", mutant, "--store", tmp / f"{name}.db", "--quiet")
        r = run("reproduce", tmp / f"{name}.db", mutant, "--out", tmp / name)
        assert ("ended: killed by signal 11" in r.stdout) == (name == "double"), r.stdout
        text = reproduce(tmp / name)
        assert says in text and "REPRODUCED" in text, text


# The names that the real headers give to what the libraries have.
CUDA_H = """#pragma once
#include "%s/src/device/device_cuda_api.h"
#define DECLARE(f, symbol, args) CUresult f args __asm__(symbol);
CUDA_DRIVER(DECLARE)
#undef DECLARE
#define DECLARE(f, args) nvrtcResult f args;
CUDA_COMPILER(DECLARE)
#undef DECLARE
const char *nvrtcGetErrorString(nvrtcResult);
"""


@test
def cuda_kernels_run_by_the_driver_s_own_functions(tmp):
    """on a CUDA device that is made of this processor: the host program is real, the device is not"""
    if not (BUILD / "tests/cuda/libcuda.so.1").exists():
        return SKIPPED.append("the CUDA device of the tests is not built")
    env = dict(os.environ, LD_LIBRARY_PATH=str(BUILD / "tests/cuda"))
    mutant = LOOPS[0]
    run("run", "--model", MODEL, "--images", IMAGES / "00_disc.png", "--device", "cuda", "--mutant", mutant, "--store", tmp / "s.db", "--quiet", env=env)
    run("reproduce", tmp / "s.db", mutant, "--device", "cuda", "--out", tmp / "o", env=env)
    (tmp / "cuda/include").mkdir(parents=True)
    for header in "cuda.h", "nvrtc.h":
        (tmp / "cuda/include" / header).write_text(CUDA_H % SOURCE)
    (tmp / "cuda/lib64").symlink_to(BUILD / "tests/cuda")
    env["CUDA_HOME"] = str(tmp / "cuda")
    b = subprocess.run([tmp / "o/build.sh"], capture_output=True, text=True, env=env)
    assert b.returncode == 0, b.stderr
    r = subprocess.run(["./reproduce"], cwd=tmp / "o", capture_output=True, text=True, env=env, timeout=120)
    assert r.returncode == 0 and "REPRODUCED" in r.stdout, (r.returncode, r.stdout, r.stderr)


@test
def a_compiler_that_changed_is_told(tmp):
    """what it was made of is not there any more: the program says NOT REPRODUCED"""
    s = shared()
    run("reproduce", s["store"], LOOPS[0], "--out", tmp / "o")
    r = run("reproduce", s["store"], LOOPS[0], "--out", tmp / "o", status=2)
    assert "is not empty; give a new one" in r.stderr, r.stderr
    kernel = tmp / "o/kernels/mutant_0.c"
    kernel.write_text(kernel.read_text().replace("void mutatenn_kernel(", "void old(", 1) +
                      "\nvoid mutatenn_kernel(void *const *b, long long p, long long n)\n{\n}\n")
    subprocess.run([tmp / "o/build.sh"], check=True)
    r = subprocess.run(["./reproduce"], cwd=tmp / "o", capture_output=True, text=True)
    assert r.returncode == 1 and "NOT REPRODUCED" in r.stdout, (r.returncode, r.stdout, r.stderr)


@test
def mistakes_are_named(tmp):
    s = shared()
    for args, status, says in [((s["store"], "loop.x/y/1/z", "--out", tmp / "a"), 2, "holds no mutant"), ((s["store"], LOOPS[0]), 2, "--out"),
                               ((s["store"], LOOPS[0], "--device", "cuda", "--out", tmp / "a"), 2, "has no device 'cuda'"),
                               ((s["store"], LOOPS[0], "--image", "cat.png", "--out", tmp / "a"), 2, "has no image 'cat.png'"),
                               ((s["store"], "original", "--out", tmp / "a"), 2, "--against"),
                               ((s["store"], LOOPS[0], "--against", "host-gcc", "--out", tmp / "a"), 2, "same device"),
                               ((s["store"], "loop.store.value/dense/0/*1.00000001", "--out", tmp / "a"), 2, "compiles to the original's code on 'host-gcc'"),
                               ((tmp / "none.db", LOOPS[0], "--out", tmp / "a"), 1, "none.db")]:
        assert says in run("reproduce", *args, status=status).stderr, (args, says)
        assert not (tmp / "a").exists()


def main():
    wanted, failed = sys.argv[3:], 0
    for t in TESTS:
        if wanted and t.__name__ not in wanted:
            continue
        with tempfile.TemporaryDirectory(prefix="mutatenn-reproduce-") as tmp:
            try:
                t(pathlib.Path(tmp))
                print(f"ok    {t.__name__}" + (f" (skipped: {SKIPPED.pop()})" if SKIPPED else ""), flush=True)
            except Exception:
                failed += 1
                print(f"FAIL  {t.__name__}\n{traceback.format_exc()}", flush=True)
    if _shared:
        shutil.rmtree(_shared["folder"], ignore_errors=True)
    sys.exit(failed > 0)


main()
