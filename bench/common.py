"""What the benchmarks share: building, calling the program, statistics, the machine, tables, tensors."""
import array
import json
import math
import os
import pathlib
import platform
import random
import statistics
import struct
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
NOISY = .15  # spread of the middle half of the runs, relative to the median, beyond which a row is marked


class Skip(Exception):
    """Why a row has no figures."""


class Fixed(Skip):
    """It has none because the model does not come in that batch size, which is nobody's fault."""


def build(folder, wanted=True):
    """Builds the program in that folder, and has it use the worker there."""
    if wanted:
        if not (folder / "build.ninja").exists():
            subprocess.run(["meson", "setup", folder, ROOT], check=True, stdout=sys.stderr)
        subprocess.run(["ninja", "-C", folder, "mutatenn", "mutatenn-worker", "bench/peak"], check=True, stdout=subprocess.DEVNULL)
    os.environ["MUTATENN_WORKER"] = str(folder / "mutatenn-worker")


def mutatenn(folder, *args, env=None, timeout=None):
    """A command's JSON."""
    try:
        r = subprocess.run([folder / "mutatenn", *map(str, args), "--json"], capture_output=True, text=True, env=env and dict(os.environ, **env), timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Skip(f"not done after {timeout:.0f} s") from None
    if r.returncode:
        raise Skip((r.stderr.strip().splitlines() or [f"mutatenn ended with status {r.returncode}"])[0])
    return json.loads(r.stdout)


def capture(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def machine(folder, threads):
    """The processor and its peak with these numbers of threads."""
    info = pathlib.Path("/proc/cpuinfo").read_text() if os.path.exists("/proc/cpuinfo") else ""
    names = [line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith(("model name", "Model"))]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"time": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()), "processor": names[0] if names else platform.processor(),
            "architecture": platform.machine(), "cores": len(os.sched_getaffinity(0)), "memory_gib": round(memory / 2**30, 1),
            "caches": {k: capture("getconf", v) for k, v in (("l1d", "LEVEL1_DCACHE_SIZE"), ("l2", "LEVEL2_CACHE_SIZE"), ("l3", "LEVEL3_CACHE_SIZE"))},
            "kernel": platform.release(), "mutatenn": capture("git", "describe", "--always", "--dirty"), "python": platform.python_version(),
            "load_before": os.getloadavg()[0], "peak": json.loads(capture(folder / "bench/peak", *map(str, sorted(set(threads)))) or "null")}


def summary(times):
    q = statistics.quantiles(times, n=4) if len(times) > 1 else times * 3
    median = statistics.median(times)
    return {"median_ms": median, "least_ms": min(times), "spread": (q[2] - q[0]) / median, "times_ms": [round(t, 4) for t in times]}


def exponent(sizes, values, least):
    """Slope of a line through the logarithms, by least squares over the points that are large enough; None when there are fewer than two."""
    points = [(math.log(n), math.log(v)) for n, v in zip(sizes, values) if v >= least]
    if len(points) < 2:
        return None
    mx, my = (sum(p[k] for p in points) / len(points) for k in (0, 1))
    return round(sum((x - mx) * (y - my) for x, y in points) / sum((x - mx) ** 2 for x, _ in points), 3)


def markdown(head, rows, left=1):
    """Rows of cells; short ones end with a remark."""
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * left + "--:|" * (len(head) - left)]
    out += ["| " + " | ".join(c + [""] * (len(head) - len(c))) + " |" for c in rows]
    return "\n".join(out) + "\n"


def write_npy(path, shape, scale):
    """Random numbers, without numpy."""
    rng, n = random.Random(1), math.prod(shape)
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {tuple(shape)!r}, }}"
    head += " " * (-(len(head) + 11) % 64) + "\n"
    values = array.array("f", (rng.gauss(0, scale) for _ in range(n)))
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + values.tobytes())


def progress(text):
    """What is measured now, where somebody is looking."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
