#!/usr/bin/env python3
"""What the machine code of a network's launches says about their speed on an NVIDIA GPU that is not here.

Every kernel of the accelerators' schedule is compiled by NVRTC (the test program cuda_ptx) and disassembled by cuobjdump, which has to be in the PATH. Of each
launch: its grid, what of a multiprocessor a group takes, the instructions of the loop that has most multiply-adds, and how many of them are
between a load of memory and the use of what it brings (`ahead`). The least time is what
the issue of that loop's instructions takes on the busiest multiprocessor, or its tensors' way through memory, whichever is more: nothing waits there for
anything, so a device is slower. It is for comparing schedules, and for holding against launches that
were measured (`--measured`: what `mutatenn infer --repeat N --launches --json` prints for the same model and batch).
"""
import argparse
import collections
import concurrent.futures
import json
import math
import os
import pathlib
import re
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
INSTRUCTION = re.compile(r"/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)([^;]*);")


def options():
    p = argparse.ArgumentParser(prog="bench/gpu_model.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=pathlib.Path)
    p.add_argument("--batch", type=int, default=32, help="default: 32; a model of a fixed batch keeps its own")
    p.add_argument("--build", type=pathlib.Path, default=ROOT / "build", metavar="DIR")
    p.add_argument("--kept", type=pathlib.Path, metavar="DIR", help="where the kernels go and stay (default: nowhere)")
    p.add_argument("--arch", default="sm_90")
    p.add_argument("--measured", type=pathlib.Path, metavar="FILE", help="times of the launches, to hold the prediction against")
    p.add_argument("--json", type=pathlib.Path, metavar="FILE", help="where a summary goes")
    p.add_argument("--units", type=int, default=132, help="multiprocessors (default: an H200's 132)")
    p.add_argument("--clock", type=float, default=1.98, metavar="GHZ", help="(default: 1.98, an H200's 67 TFLOP/s)")
    p.add_argument("--bandwidth", type=float, default=4.8, metavar="TB/S", help="(default: 4.8)")
    p.add_argument("--shared", type=int, default=228, metavar="KIB", help="of a multiprocessor (default: 228)")
    return p.parse_args()


def instructions(text):
    """(address, mnemonic, operands) in order."""
    return [(int(m[1], 16), m[2], m[3]) for m in INSTRUCTION.finditer(text)]


def main_loop(code):
    """The instructions of the smallest loop with nearly all multiply-adds that any loop has."""
    loops = []
    for i, (at, name, rest) in enumerate(code):
        target = re.search(r"0x([0-9a-f]+)", rest) if name.startswith("BRA") else None
        if target and int(target[1], 16) < at:
            loops.append([c for c in code[:i + 1] if c[0] >= int(target[1], 16)])
    most = max((sum(n.startswith("FFMA") for _, n, _ in l) for l in loops), default=0)
    loops = [l for l in loops if most and sum(n.startswith("FFMA") for _, n, _ in l) >= .9 * most]
    return min(loops, key=len, default=[])


def counts(loop):
    n = collections.Counter()
    for _, name, _ in loop:
        op = name.split(".")[0]
        width = 4 if ".128" in name else 2 if ".64" in name else 1
        n[op] += 1
        if op in ("LDG", "LDS", "STS", "STG"):
            n[op + " elements"] += width
    return n


def ahead(loop):
    """Instructions from a load of memory to its element's store to shared memory, at least: what there is to wait behind."""
    at = collections.defaultdict(list)
    for i, (_, name, _) in enumerate(loop):
        at[name.split(".")[0]].append(i)
    return min((s - l for l, s in zip(at["LDG"], at["STS"])), default=0)


def kernel(file):
    usage = subprocess.run(["cuobjdump", "-res-usage", file], capture_output=True, text=True, check=True).stdout
    code = subprocess.run(["cuobjdump", "-sass", file], capture_output=True, text=True, check=True).stdout
    usage = dict(re.findall(r"(REG|STACK|SHARED|LOCAL):(\d+)", usage))
    code = instructions(code)
    loop = main_loop(code)
    return {"registers": int(usage["REG"]), "shared": int(usage["SHARED"]), "spills": int(usage["STACK"]) + int(usage["LOCAL"]), "all": counts(code),
            "loop": counts(loop), "length": len(loop), "ahead": ahead(loop)}


def resident(k, items, o):
    """Groups that a multiprocessor holds."""
    registers = math.ceil(k["registers"] / 8) * 8 * math.ceil(items / 32) * 32
    shared = (o.shared << 10) // (k["shared"] + 1024)
    return max(1, min(65536 // registers, shared, 32, 2048 // items))


def products(tensors, taps):
    """Multiply-adds: of a convolution by the taps of an output, else of a product of two matrices."""
    size = [math.prod(dims) for _, dims in tensors]
    return size[-1] * taps if taps else math.isqrt(size[0] * size[1] * size[-1])


def read(o, folder):
    command = [o.build / "tests/diff/cuda_ptx", o.model, "--batch", o.batch, "--level", 3, "--arch", o.arch, "--keep", folder]
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
    table = next(folder.glob("*-3.launches"))
    lines = [l.split("\t") for l in table.read_text().splitlines()]
    numbers = sorted({int(l[0]) for l in lines})
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        kernels = dict(zip(numbers, pool.map(lambda i: kernel(folder / f"{table.stem}-{i}.{o.arch}"), numbers)))
    taps = {}
    for line in lines:
        tensors = [(t.split()[0], [int(d) for d in t.split()[1:]]) for t in line[4:]]
        if line[3].endswith(".pack"):
            taps[line[3][:-5]] = math.prod(tensors[0][1][1:])
        else:
            yield kernels[int(line[0])], int(line[1]), int(line[2]), line[3], tensors, taps.get(line[3])


def row(o, k, groups, items, name, tensors, taps):
    """Of a launch: microseconds of arithmetic and of memory, multiply-adds, and its cells."""
    loop, held = k["loop"], resident(k, items, o)
    memory = 4 * sum(math.prod(d) for _, d in tensors) / o.bandwidth / 1e6
    if not loop["BAR"]:  # no groups that share tiles
        return 0, memory, 0, None
    macs = products(tensors, taps)
    busiest = math.ceil(groups / o.units)
    balance = groups / (busiest * o.units)
    share = loop["FFMA"] / k["length"]
    least = macs / (o.units * 128 * o.clock * 1e3)
    warps = min(busiest, held) * items // 32
    return least / balance / share, memory, macs, [
        name, groups, items, k["registers"], k["spills"], k["shared"], held, f"{groups / o.units:.2f}", f"{balance:.2f}", warps, k["length"], loop["FFMA"],
        f'{loop["LDS"]}/{loop["LDS elements"]}', f'{loop["LDG"]}/{loop["LDG elements"]}', f'{loop["STS"]}/{loop["STS elements"]}', loop["BAR"], k["ahead"], f"{share:.2f}",
        f'{k["all"]["STG"]}/{k["all"]["STG elements"]}', f"{macs / 1e9:.2f}", f"{least / max(least / balance / share, memory):.2f}", f"{max(least / balance / share, memory):.0f}"]


def held_against(rows, file):
    """Launches, the longest first, and the sums: what was predicted, what was measured."""
    report = json.loads(file.read_text())
    times = collections.defaultdict(list)
    for launch in report["inputs"][0]["launches"]:
        times[launch["name"]].append(1e3 * launch["time_ms"])
    out, missing = [], []
    for name, busy, memory, macs, cells in rows:
        if not times[name]:
            missing.append(name)
            continue
        us, least = times[name].pop(0), max(busy, memory)
        out.append({"launch": name, "measured_us": us, "least_us": least, "of_bound": least / us if us else None, "gmac": macs / 1e9, "products": cells is not None,
                    "tflops": 2 * macs / us / 1e6 if us else None})
    return sorted(out, key=lambda r: -r["measured_us"]), {
        "predicted_ms": sum(r["least_us"] for r in out) / 1e3, "launches_ms": sum(r["measured_us"] for r in out) / 1e3, "run_ms": report["inputs"][0]["time_ms"],
        "without_products_ms": sum(r["measured_us"] for r in out if not r["products"]) / 1e3, "not_found": missing}


def show_measured(rows, sums):
    print("\n| launch | GMAC | measured us | least us | of that bound | TFLOP/s |\n|---|--:|--:|--:|--:|--:|")
    for r in rows:
        print(f"| {r['launch']} | {r['gmac']:.2f} | {r['measured_us']:.1f} | {r['least_us']:.1f} | {r['of_bound'] or 0:.2f} | {r['tflops'] or 0:.1f} |")
    print(f"\nmeasured: {sums['launches_ms']:.3f} ms in launches ({sums['without_products_ms']:.3f} of them without products), {sums['run_ms']:.3f} ms a run; predicted: "
          f"{sums['predicted_ms']:.3f} ms at least" + (f"; not measured: {', '.join(sums['not_found'])}" if sums["not_found"] else ""))


def main():
    o = options()
    head = ["launch", "groups", "items", "registers", "spills", "shared", "held", "a unit", "balance", "warps", "loop", "FFMA", "LDS", "LDG", "STS", "BAR", "ahead", "share", "STG",
            "GMAC", "of peak", "least us"]
    print("| " + " | ".join(head) + " |\n|---" + "|--:" * (len(head) - 1) + "|")
    total = macs = other = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = o.kept or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        launches = list(read(o, folder))
        rows = [row(o, *r) for r in launches]
    seen = collections.Counter(tuple(map(str, r[3][1:])) for r in rows if r[3])
    for busy, memory, n, cells in rows:
        total += max(busy, memory)
        macs += n
        if not cells:
            other += memory
        elif seen[key := tuple(map(str, cells[1:]))]:
            times = seen.pop(key)
            print("| " + " | ".join(map(str, [cells[0] + (f" (and {times - 1} like it)" if times > 1 else ""), *cells[1:]])) + " |")
    peak = o.units * 128 * o.clock * 1e9
    print(f"\n{total / 1e3:.2f} ms at least, {other / 1e3:.2f} of them in launches without products; {macs / 1e9:.1f} GMAC are {macs / peak * 1e3:.2f} ms at the peak: at most "
          f"{macs / peak * 1e6 / total:.2f} of it. LDS, LDG, STS, STG: instructions/elements; STG of the whole kernel, the rest of the loop with most FFMA.")
    summary = {"least_ms": total / 1e3, "at_peak_ms": macs / peak * 1e3, "of_peak": macs / peak * 1e6 / total}
    if o.measured:
        table, sums = held_against([(r[3], *cells) for r, cells in zip(launches, rows)], o.measured)
        show_measured(table, sums)
        summary |= sums | {"measured_of_peak": macs / peak * 1e3 / sums["run_ms"] if sums["run_ms"] else None, "launches": table}
    if o.json:
        o.json.write_text(json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()
