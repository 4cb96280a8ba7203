#!/usr/bin/env python3
"""tools/check-gpu goes through all its steps on a CUDA device made of this processor, and says what failed, what was skipped and why.

usage: check_gpu.py BUILD_DIR SOURCE_DIR [STEP...]     in the environment of tests/cuda
"""
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile

BUILD, SOURCE, STEPS = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve(), sys.argv[3:]
MAY_SKIP = {"sanitizer", "peer", "vulkan-2", "vulkan-3"}


def check_gpu(out, *args, **env):
    r = subprocess.run([SOURCE / "tools/check-gpu", "--build", BUILD, "--quick", "--out", out, *args], capture_output=True, text=True, timeout=3000,
                       env={**os.environ, "MUTATENN_BENCH_ENV": "", **env})
    print(r.stdout + r.stderr)
    return r.returncode, json.loads((out / "summary.json").read_text())["steps"], r.stdout


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        status, steps, _ = check_gpu(folder / "whole", *STEPS)
        assert status == 0, status
        assert set(STEPS) <= set(steps) and (STEPS or len(steps) == 21), list(steps)
        for name, s in steps.items():
            assert s["state"] == "passed" or (name in MAY_SKIP and s["state"] == "skipped" and s["text"]), (name, s)
        with tarfile.open(folder / "whole/check-gpu.tar.gz") as t:
            inside = t.getnames()
        assert {"check-gpu/summary.json", "check-gpu/summary.md", *(f"check-gpu/{n}.log" for n in steps)} <= set(inside), inside

        status, steps, said = check_gpu(folder / "broken", "machine", "unit", "loop-mutants-1", CUDA_TEST_ECC="1")
        assert status == 1 and steps["unit"]["state"] == "FAILED" and steps["machine"]["state"] == "passed", steps
        assert "unit            FAILED" in said and "loop-mutants-1" in steps, said
        status, steps, _ = check_gpu(folder / "broken", "unit")
        assert status == 0 and steps["unit"]["state"] == "passed" and steps["machine"]["state"] == "passed", "a second call adds to the first"

        # the compiler library where pip put it: whoever sees it there has a device
        pip, fake = folder / "dist-packages/nvidia/cu13/lib", folder / "fake"
        pip.mkdir(parents=True)
        fake.mkdir()
        (pip / "libnvrtc.so.13").touch()
        (fake / "mutatenn").write_text("""#!/bin/sh
case $LD_LIBRARY_PATH$OF_ANOTHER_CARD in *nvidia/cu13/lib) is=true;; *) is=false;; esac
echo "{\\"devices\\": [{\\"name\\": \\"cuda\\", \\"available\\": $is, \\"reason\\": \\"'libnvrtc.so' is not there\\", \\"description\\": \\"a card\\"}]}"
""")
        (fake / "mutatenn").chmod(0o755)
        for path, another, want in ("", "", 77), (str(folder / "dist-packages"), "", 0), (str(folder / "dist-packages"), "yes", 77):
            status, steps, _ = check_gpu(folder / "pip", "machine", "--build", fake, PYTHONPATH=path, OF_ANOTHER_CARD=another)
            assert status == want, (path, steps)

        status, steps, _ = check_gpu(folder / "none", "machine", "unit", "costs", CUDA_TEST_NO_DEVICE="1")
        assert status == 77 and "sees no GPU" in steps["unit"]["text"] and steps["unit"]["state"] == steps["costs"]["state"] == "skipped", steps
        status, steps, _ = check_gpu(folder / "late", "machine", "unit", "--time", "1")
        assert status == 77 and {s["state"] for s in steps.values()} == {"left out"}, steps


main()
