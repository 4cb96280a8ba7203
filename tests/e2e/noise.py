#!/usr/bin/env python3
"""Noise is no fault, and a device that goes bad is set aside.

usage: noise.py BUILD_DIR SOURCE_DIR [--mutants N]

Two planted devices, both a compiler that adds a few lines to every kernel: one flips the lowest bits of a result by the processor's
clock; the other is right as long as its process may use more than one processor, which this test takes from it in the middle of the campaign.
Exit status 77 where there is no such clock.
"""
import argparse
import contextlib
import json
import os
import pathlib
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time

CLOCK = {"x86_64": "__builtin_ia32_rdtsc()", "aarch64": '({ unsigned long long t; __asm__ volatile("mrs %0, cntvct_el0" : "=r"(t)); t; })'}
# How many bytes of `mask` are set, by the only question about the outside that a kernel may ask: on which processors do I run?
PROCESSORS = {"x86_64": """
        unsigned char mask[512] = {0};
        long got;
        __asm__ volatile("syscall" : "=a"(got) : "a"(204L), "D"(0L), "S"(sizeof mask), "d"(mask) : "rcx", "r11", "memory");
""", "aarch64": """
        unsigned char mask[512] = {0};
        register long got __asm__("x0") = 0, size __asm__("x1") = sizeof mask, to __asm__("x2") = (long)mask, nr __asm__("x8") = 123;
        __asm__ volatile("svc 0" : "+r"(got) : "r"(size), "r"(to), "r"(nr) : "memory");
"""}

# Reads the kernel from its standard input like the compiler does, and puts another one around it.
COMPILER = '''#!/usr/bin/env python3
import os, re, subprocess, sys
if "-shared" not in sys.argv:
    os.execvp("gcc", ["gcc"] + sys.argv[1:])
text = sys.stdin.read()
out = re.search(r"f32 \\*restrict out0 = buffer\\[(\\d+)\\]", text)
if out:
    head = "void mutatenn_kernel(void *const *buffer, i64 part, i64 parts)"
    text = text.replace(head, "static " + head.replace("mutatenn", "real")) + head + """
{
        unsigned *out = buffer[%s];
        real_kernel(buffer, part, parts);
        unsigned long long now = CLOCK;
        PLANTED
}
""" % out.group(1)
sys.exit(subprocess.run(["gcc"] + sys.argv[1:], input=text, text=True).returncode)
'''


def compiler(folder, name, planted):
    f = folder / name
    f.write_text(COMPILER.replace("CLOCK", CLOCK[platform.machine()]).replace("PLANTED", planted))
    f.chmod(0o755)
    return f


def run(a, folder, yaml, meanwhile=lambda p: None):
    (folder / "campaign.yaml").write_text(yaml)
    with open(folder / "said", "w+") as said:
        p = subprocess.Popen([a.build / "mutatenn", "run", folder / "campaign.yaml", "--quiet", "--store", folder / "s.db"], stdout=subprocess.DEVNULL,
                             stderr=said, env=os.environ | {"XDG_CACHE_HOME": str(folder / "cache")})
        meanwhile(p)
        p.wait()
        said.seek(0)
        stderr = said.read()
    report = subprocess.run([a.build / "mutatenn", "report", folder / "s.db", "--json", "-"], capture_output=True, text=True)
    return p.returncode, stderr, json.loads(report.stdout) if report.returncode == 0 else None


def devices_file(folder, cc):
    f = folder / "devices.yaml"
    f.write_text(f"device-definitions:\n  - {{name: closing, cc: {cc}, threads: 1}}\n")
    return f


def children(pid):
    """Of the process, and theirs."""
    for f in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(f.read_text().rsplit(")", 1)[1].split()[1]) == pid:
                yield int(f.parent.name)
                yield from children(int(f.parent.name))
        except (OSError, ValueError):
            pass


def spoil(folder, results):
    """Once so many results of the device are confirmed: from now on all processes of the campaign, and those it will start, have one processor."""
    def meanwhile(p):
        while p.poll() is None:
            try:
                with contextlib.closing(sqlite3.connect(f"file:{folder}/s.db?mode=ro", uri=True)) as db:
                    n, = db.execute("SELECT count(*) FROM results JOIN devices USING(device) WHERE name = 'flaky' AND controlled").fetchone()
            except sqlite3.Error:
                n = 0
            if n >= results:
                one = {min(os.sched_getaffinity(0))}
                for _ in range(3):  # what was forked while we looked
                    for pid in [p.pid, *children(p.pid)]:
                        with contextlib.suppress(OSError):
                            os.sched_setaffinity(pid, one)
                return
            time.sleep(0.05)
    return meanwhile


def noise_is_no_fault(a, folder):
    cc = compiler(folder, "noisy-cc", "out[0] ^= (now >> 3) & 3;")
    status, stderr, report = run(a, folder, f"""
model: {a.source}/demo/model.onnx
images: {a.source}/demo/images
sample: 4
devices: [host-gcc, noisy]
device-definitions:
  - {{name: noisy, cc: {cc}, threads: 1}}
mutations:
  - {{operator: 'loop.*', sites: sample {a.mutants}}}
  - {{operator: 'control.*', sites: sample {a.mutants // 5}}}
""")
    assert status == 0, stderr
    noise = {d["name"]: d["noise"] for d in report["devices"]}
    assert "the same bits" in noise["host-gcc"] and "differ by up to" in noise["noisy"], noise
    table = {m["id"]: {d["device"]: d for d in m["devices"]} for m in report["mutants"]}
    survive = ("identical", "equivalent", "no-effect", "tolerated")
    false = [(i, t) for i, t in table.items() if t["host-gcc"]["outcome"] in survive and any(t["noisy"]["killed"].values())]
    assert not false, f"{len(false)} false kills: {false[:3]}"
    harmless = [t["noisy"]["outcome"] for t in table.values() if t["host-gcc"]["outcome"] in survive]
    assert "tolerated" in harmless, harmless
    killed = [t for t in table.values() if t["host-gcc"]["killed"]["label"]]
    still = [t for t in killed if t["noisy"]["killed"]["label"]]
    assert killed and len(still) >= 0.9 * len(killed), "real faults are far above it"
    print(f"ok: {len(table)} mutants, {len(harmless)} of them harmless: no false kill; {len(still)} of {len(killed)} real ones found; {noise['noisy']}")


def noise_is_not_taken_for_memory_nobody_wrote(a, folder):
    """A maximum that starts from what was there is run with several fills, and is the same with all but for the noise."""
    cc = compiler(folder, "noisy-cc", "out[0] ^= (now >> 3) & 3;")
    listed = subprocess.run([a.build / "mutatenn", "mutants", a.source / "demo/model.onnx", "--operator", "loop.store.skip"], capture_output=True, text=True, check=True)
    site = 1 + listed.stdout.split().index("loop.store.skip/pool1/0/skip")
    status, stderr, report = run(a, folder, f"""
model: {a.source}/demo/model.onnx
images: {a.source}/demo/images
devices: [host-gcc, noisy]
device-definitions:
  - {{name: noisy, cc: {cc}, threads: 1}}
mutations:
  - {{operator: loop.store.skip, sites: {site}-{site}}}
""")
    assert status == 0, stderr
    found = {d["device"]: d["outcome"] for d in report["mutants"][0]["devices"]}
    assert found["host-gcc"] == "identical" and found["noisy"] in ("tolerated", "identical"), found
    print(f"ok: with noise {found['noisy']} whatever the fill, without {found['host-gcc']}")


def a_device_that_is_bad_from_the_start_is_named_with_the_reason(a, folder):
    cc = compiler(folder, "random-cc", "out[0] ^= (now >> 3 & 1) << 30;")
    status, stderr, report = run(a, folder, f"""
model: {a.source}/demo/model.onnx
images: {a.source}/demo/images
sample: 4
devices: [host-gcc, random]
device-definitions:
  - {{name: random, cc: {cc}, threads: 1}}
mutations:
  - operator: input.flip
""")
    assert status == 1 and "'random'" in stderr, (status, stderr)
    error = {d["name"]: d["error"] for d in report["devices"]}
    assert error["host-gcc"] is None and error["random"].startswith("set aside: ") and "the original" in error["random"], error
    assert {d["name"]: d["counts"]["counted"] for d in report["devices"]} == {"host-gcc": 2, "random": 0}
    table = subprocess.run([a.build / "mutatenn", "report", folder / "s.db"], capture_output=True, text=True).stdout
    assert "  cannot be used    random\n" in table and "cannot be used: set aside: " in table, table
    print(f"ok: reports say why a device was {error['random'][:60]} ...")


def a_device_that_builds_no_change_is_set_aside(a, folder):
    cc = folder / "closing-cc"
    cc.write_text(f"""#!/bin/sh
case "$*" in *-dM*) ;; *) if [ -e {folder}/closed ]; then echo 'no licence left' >&2; exit 1; fi ;; esac
exec gcc "$@"
""")
    cc.chmod(0o755)
    yaml = f"""
model: {a.source}/demo/model.onnx
images: {a.source}/demo/images
sample: 2
devices: [host-gcc, closing]
device-definitions:
  - {{name: closing, cc: {cc}, threads: 1}}
mutations:
  - operator: 'loop.arith.operator'
    sites: sample 4
"""
    subprocess.run([a.build / "mutatenn", "infer", a.source / "demo/model.onnx", a.source / "demo/images", "--device", "closing", "--devices-file", devices_file(folder, cc),
                    "--quiet"], check=True, stdout=subprocess.DEVNULL, env=os.environ | {"XDG_CACHE_HOME": str(folder / "cache")})
    (folder / "closed").touch()  # the original's kernels are there; no other will be
    status, stderr, report = run(a, folder, yaml)
    assert status == 1 and "'closing'" in stderr, (status, stderr)
    error = {d["name"]: d["error"] for d in report["devices"]}["closing"]
    assert error.startswith("set aside: no change without effect") and "no licence left" in error, error
    counts = {d["name"]: d["counts"]["counted"] for d in report["devices"]}
    assert counts == {"host-gcc": 4, "closing": 0}, counts
    print("ok: a compiler that fails for every change is the device's fault, not the mutants'")


def a_device_that_goes_bad_is_set_aside(a, folder):
    cc = compiler(folder, "flaky-cc", PROCESSORS[platform.machine()] + """
        int processors = 0;
        for (int i = 0; i < got; i++)
                processors += __builtin_popcount(mask[i]);
        if (processors == 1)
                out[0] ^= 1u << 30;
""")
    status, stderr, report = run(a, folder, f"""
model: {a.source}/demo/model.onnx
images: {a.source}/demo/images
sample: 4
controls: 10
devices: [host-gcc, flaky]
device-definitions:
  - {{name: flaky, cc: {cc}, threads: 1}}
mutations:
  - {{operator: 'loop.*', sites: sample {max(a.mutants, 150)}}}
""", spoil(folder, 20))
    assert status == 1 and "'flaky'" in stderr, (status, stderr)
    done = {d["name"]: d["counts"] for d in report["devices"]}
    assert "not-run" not in done["host-gcc"]["outcomes"], done
    assert done["flaky"]["outcomes"]["not-run"] > 0 and done["flaky"]["counted"] > 0, done
    table = [{d["device"]: d["outcome"] for d in m["devices"]} for m in report["mutants"]]
    differ = [t for t in table if t["flaky"] != "not-run" and t["flaky"] != t["host-gcc"] and "equivalent" not in t.values()]
    assert not differ, f"what is kept was measured while it was well: {differ}"
    print(f"ok: set aside, {done['flaky']['counted']} results of before are kept, all right")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build", type=pathlib.Path)
    p.add_argument("source", type=pathlib.Path)
    p.add_argument("--mutants", type=int, default=50)
    a = p.parse_args()
    if platform.machine() not in CLOCK:
        print(f"skipped: no clock that a kernel can read is known here for {platform.machine()}")
        sys.exit(77)
    tests = [noise_is_no_fault, noise_is_not_taken_for_memory_nobody_wrote, a_device_that_is_bad_from_the_start_is_named_with_the_reason, a_device_that_builds_no_change_is_set_aside,
             a_device_that_goes_bad_is_set_aside]
    if len(os.sched_getaffinity(0)) < 2:
        print(f"skipped: {tests.pop().__name__}: there is one processor only")
    for f in tests:
        with tempfile.TemporaryDirectory() as t:
            f(a, pathlib.Path(t))


if __name__ == "__main__":
    main()
