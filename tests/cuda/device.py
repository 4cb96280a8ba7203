#!/usr/bin/env python3
"""usage: device.py BUILD_DIR SOURCE_DIR - a CUDA device that takes long to wake up is waited for; one whose memory fails kills no mutant

In the environment of tests/cuda, whose driver does both when it is asked to.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

BUILD, SOURCE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()


def mutatenn(*args, **env):
    r = subprocess.run([BUILD / "mutatenn", *map(str, args), "--json"], capture_output=True, text=True, timeout=600, env={**os.environ, **env})
    return r.returncode, json.loads(r.stdout) if r.stdout.startswith("{") else None


def outcomes(store):
    report = subprocess.run([BUILD / "mutatenn", "report", store, "--json", "-"], capture_output=True, text=True, check=True).stdout
    return json.loads(report)["counts"]["outcomes"]


def run(store, **env):
    return mutatenn("run", "--model", SOURCE / "demo/model.onnx", "--images", SOURCE / "demo/images/00_disc.png", "--mutations", "loop.*", "--sites", "sample 12", "--device", "cuda",
                    "--store", store, **env)


def main():
    found = {d["name"]: d for d in mutatenn("devices", CUDA_TEST_INIT_S="11")[1]["devices"]}
    assert found["cuda"]["available"], found["cuda"]["reason"]
    seen = 0
    with tempfile.TemporaryDirectory() as folder:
        assert run(f"{folder}/whole.db")[0] == 0
        whole = outcomes(f"{folder}/whole.db")
        for launch in range(120, 220, 20):  # in controls it is the device's trouble, too
            store = f"{folder}/{launch}.db"
            run(store, CUDA_TEST_ECC=str(launch))
            broken = outcomes(store)
            assert broken.get("crash", 0) == whole.get("crash", 0), (launch, broken, whole)
            seen += broken.get("tool-error", 0)
            assert run(store)[0] == 0 and outcomes(store) == whole, (launch, outcomes(store), whole)
    assert seen, "no mutant met the failing memory"
    print(f"a device that takes 11 s to wake up is waited for; {seen} mutants met memory that failed, none was killed by it, and each had its outcome in the next run")


main()
