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
        # a campaign that is not done in time: what it did is a result, if it did anything
        for done, state, said in (30, "passed", "30 of 107 results, 7.0 a second, 0 workers replaced; then the time was up"), (23, "FAILED", "no mutant ran"):
            summary = {"mutants": 107, "with_site": 84, "devices": 1, "of": 107, "done": done, "elapsed_s": 9, "mutants_s": done / 7, "phases": [], "times": {}, "workers": {"lost": 0},
                       "stopped": True, "lost_devices": 0}
            (fake / "mutatenn").write_text(f"""#!/bin/sh
case $1 in
devices) echo '{{"devices": [{{"name": "cuda", "available": true, "reason": null, "description": "a card"}}]}}';;
run) echo '{json.dumps(summary)}'; exit 1;;
report) echo '{{"devices": [], "mutants": []}}';;
esac
""")
            status, steps, _ = check_gpu(folder / f"short-{done}", "campaign-alone", "--build", fake)
            assert steps["campaign-alone"]["state"] == state and said in steps["campaign-alone"]["text"] and status == (state == "FAILED"), steps

        (fake / "mutatenn").write_text("#!/bin/sh\necho no library of mine >&2\nexit 127\n")
        r = subprocess.run([SOURCE / "tools/check-gpu", "--build", fake, "--out", folder / "dead"], capture_output=True, text=True, timeout=60)
        assert r.returncode == 1 and "status 127" in r.stderr and "Traceback" not in r.stderr, r

        r = subprocess.run([SOURCE / "tools/check-gpu", "--build", BUILD, "--device", "cudda", "--out", folder / "typo"], capture_output=True, text=True, timeout=60)
        assert r.returncode == 2 and "there is no device 'cudda'" in r.stderr and "cuda" in r.stderr, r

        status, steps, _ = check_gpu(folder / "late", "machine", "unit", "--time", "1")
        assert status == 77 and {s["state"] for s in steps.values()} == {"left out"}, steps


main()
