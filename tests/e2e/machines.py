#!/usr/bin/env python3
"""A campaign on this processor and on others under emulation: the same table, the same bits.

usage: machines.py BUILD_DIR SOURCE_DIR     exit status 77: nothing to emulate with, and why
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

BUILD, SOURCE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
BIN, MODEL, IMAGES = BUILD / "mutatenn", SOURCE / "demo/model.onnx", SOURCE / "demo/images"
MACHINES = ["aarch64", "riscv64"]
# What a conversion of NaN to an integer gives is the machine's business: 0x80000000 here, 0 on aarch64, 0x7fffffff on RISC-V.
OWN_RESULTS = {"riscv64": {"loop.store.narrow/*/all/i32", "loop.store.narrow/*/all/i16", "loop.store.narrow/*/all/i8"}}


def run(*args, status=0):
    r = subprocess.run([BIN, *map(str, args)], capture_output=True, text=True, timeout=600)
    assert r.returncode == status, f"{args}: exit status {r.returncode}, not {status}\n{r.stdout[-2000:]}\n{r.stderr[-2000:]}"
    return r


def devices(*args):
    return {d["name"]: d for d in json.loads(run("devices", "--json", *args).stdout)["devices"]}


def some_images(tmp, n):
    folder = tmp / f"images{n}"
    if not folder.exists():
        folder.mkdir()
        for f in sorted(IMAGES.glob("*.png"))[::5][:n] + [IMAGES / "labels.csv"]:
            shutil.copy(f, folder)
    return folder


def same_table(machine, tmp):
    """every mutant of the preset has the same outcome and changes as many images as here; the original has the same bits"""
    for level, mutations, n in (2, "mutatenn-paper", 22), (3, "input.flip", 1):
        store = tmp / f"{machine}{level}.db"
        run("run", "--model", MODEL, "--images", some_images(tmp, 3), "--mutations", mutations, "--opt-level", level,
            "--device", f"host-gcc,{machine}-qemu", "--store", store)
        report, differ = json.loads(run("report", store, "--json", "-").stdout), []
        assert len(report["mutants"]) >= n
        for m in report["mutants"]:
            here, there = ((d["outcome"], d["images_changed"]) for d in m["devices"])
            if here != there and m["id"] not in OWN_RESULTS.get(machine, ()):
                differ.append((m["id"], here, there))
        assert not differ, differ
        assert "host-gcc ~ %s-qemu: labels differ on 0 of 3 (0.0 %%), logits bitwise equal" % machine in \
            " ".join(run("compare", store).stdout.split()), level


def same_bits(machine, tmp):
    """without vectors and contraction the scores of every picture are the same bits, however many threads"""
    pictures = some_images(tmp, 8)
    for level in 0, 1, 2:
        for device in "host-gcc", f"{machine}-qemu":
            run("infer", MODEL, pictures, "--device", device, "--opt-level", level, "--quiet", "--npy", tmp / f"{device}{level}")
        for f in sorted((tmp / f"host-gcc{level}").iterdir()):
            assert f.read_bytes() == (tmp / f"{machine}-qemu{level}" / f.name).read_bytes(), (level, f.name)


def compiles_over_there(machine, tmp):
    """a worker under the emulator may also start the compiler itself"""
    worker = next(p for p in (BUILD / f"mutatenn-worker-{machine}", BUILD.parent / f"build-{machine}/mutatenn-worker") if p.exists())
    file = tmp / f"{machine}.yaml"
    file.write_text(f"device-definitions:\n  - {{name: board, cc: {machine}-linux-gnu-gcc, worker: [qemu-{machine}, -L, /usr/{machine}-linux-gnu, '{worker}']}}\n"
                    f"  - {{name: wrong, cc: {machine}-linux-gnu-gcc}}\n"
                    f"  - {{name: mixed, cc: gcc, builder: [mutatenn-worker], worker: [qemu-{machine}, -L, /usr/{machine}-linux-gnu, '{worker}']}}\n")
    picture = IMAGES / "00_disc.png"
    for device in "host-gcc", "board":
        run("infer", MODEL, picture, "--device", device, "--devices-file", file, "--opt-level", "2", "--quiet", "--npy", tmp / device)
    here, there = (next((tmp / device).iterdir()).read_bytes() for device in ("host-gcc", "board"))
    assert here == there
    known = devices("--devices-file", file)
    assert known["board"]["available"] and machine in known["board"]["description"]
    assert "no system-call filter" in known["board"]["description"]
    assert f"makes code for {machine}" in known["wrong"]["reason"], known["wrong"]
    assert f"and the runner is {machine}" in known["mixed"]["reason"], known["mixed"]


def main():
    known, ran = devices(), 0
    for machine in MACHINES:
        device = known[f"{machine}-qemu"]
        if not device["available"]:
            print(f"{machine}: skipped: {device['reason']}")
            continue
        for test in same_bits, compiles_over_there, same_table:
            with tempfile.TemporaryDirectory() as tmp:
                print(f"{machine}: {test.__doc__}", flush=True)
                test(machine, pathlib.Path(tmp))
        ran += 1
    return 0 if ran else 77


if __name__ == "__main__":
    os.environ["XDG_CACHE_HOME"] = cache = tempfile.mkdtemp()
    try:
        sys.exit(main())
    finally:
        shutil.rmtree(cache)
