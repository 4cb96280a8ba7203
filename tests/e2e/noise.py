#!/usr/bin/env python3
"""Noise is no fault, and a device that goes bad is set aside.

usage: noise.py BUILD_DIR SOURCE_DIR [--mutants N]

Two planted devices, both a compiler that adds a few lines to every kernel: one flips the lowest bits of a result by the processor's
clock; the other is right until a moment and wrong from then on. Exit status 77 where there is no such clock.
"""
import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

CLOCK = {"x86_64": "__builtin_ia32_rdtsc()", "aarch64": '({ unsigned long long t; __asm__ volatile("mrs %0, cntvct_el0" : "=r"(t)); t; })'}

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
    f.write_text(COMPILER.replace("CLOCK", CLOCK[platform.machine()].replace('"', '\\"')).replace("PLANTED", planted))
    f.chmod(0o755)
    return f


def clock(folder):
    """The clock now, and its ticks per second."""
    (folder / "clock.c").write_text(f'#include <stdio.h>\nint main(void) {{ printf("%llu", (unsigned long long){CLOCK[platform.machine()]}); }}\n')
    subprocess.run(["gcc", "-o", folder / "clock", folder / "clock.c"], check=True)

    def read():
        return int(subprocess.run([folder / "clock"], capture_output=True, check=True).stdout), time.monotonic()
    a, ta = read()
    time.sleep(0.5)
    b, tb = read()
    return b, (b - a) / (tb - ta)


def run(a, folder, yaml, **env):
    (folder / "campaign.yaml").write_text(yaml)
    r = subprocess.run([a.build / "mutatenn", "run", folder / "campaign.yaml", "--quiet", "--store", folder / "s.db"], capture_output=True, text=True,
                       env=os.environ | env | {"XDG_CACHE_HOME": str(folder / "cache")})
    report = subprocess.run([a.build / "mutatenn", "report", folder / "s.db", "--json", "-"], capture_output=True, text=True)
    return r, json.loads(report.stdout) if report.returncode == 0 else None


def noise_is_no_fault(a, folder):
    cc = compiler(folder, "noisy-cc", "out[0] ^= (now >> 3) & 3;")
    r, report = run(a, folder, f"""
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
    assert r.returncode == 0, r.stderr
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


def a_device_that_goes_bad_is_set_aside(a, folder):
    cc = compiler(folder, "flaky-cc", f"if (now > {{}}ull) out[0] ^= 1u << 30;")
    now, per_second = clock(folder)
    cc.write_text(cc.read_text().replace("{}ull", f"{int(now + 8 * per_second)}ull"))
    r, report = run(a, folder, f"""
model: {a.source}/demo/model.onnx
images: {a.source}/demo/images
sample: 4
controls: 10
devices: [host-gcc, flaky]
device-definitions:
  - {{name: flaky, cc: {cc}, threads: 1}}
mutations:
  - {{operator: 'loop.*', sites: sample {max(a.mutants, 150)}}}
""")
    assert r.returncode == 1 and "'flaky'" in r.stderr, (r.returncode, r.stderr)
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
    for f in (noise_is_no_fault, a_device_that_goes_bad_is_set_aside):
        with tempfile.TemporaryDirectory() as t:
            f(a, pathlib.Path(t))


if __name__ == "__main__":
    main()
