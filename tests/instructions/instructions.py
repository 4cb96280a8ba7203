#!/usr/bin/env python3
"""What mutatenn itself does costs no more instructions than recorded: the parent's hot paths under valgrind --tool=callgrind.

Instructions repeat where clocks do not: two runs differ by a few in ten thousand. They depend on compiler and libraries, so recorded.json says
with which they were counted; with others nothing is compared, and that is said. Needs only Python's standard library and valgrind.
Exit status: 0; 1 when a path needs more than recorded; 77 when nothing can be compared.
"""
import argparse
import collections
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RECORDED = HERE / "recorded.json"
MOST = 1.05   # times what is recorded: more fails
LEAST = .95   # below it the record is out of date, and later losses up to it would pass
NODES, MUTANTS, IMAGES = 60, 100, 2
LIBRARIES = ("libsqlite3", "libjansson", "libprotobuf-c", "libxxhash", "libcyaml", "libyaml", "libspng", "libz")  # those on the paths

# name: what it is; the profile; functions of that profile whose inclusive counts are added up, none: the whole command without what starting takes
PATHS = {
    "import": ("a model read: protobuf, checks, shapes", "run", ["onnx_import"]),
    "compile": ("a model lowered and emitted", "run", ["camp_program_build"]),
    "sites": ("all mutants of the demo's model listed", "mutants", []),
    "sites-json": ("the same as JSON", "mutants-json", []),
    "sample": (f"{MUTANTS} of all loop mutants drawn", "run", ["mut_list_drawn"]),
    "mutate": ("the drawn mutants made: changed, lowered, verified, emitted, packed", "run", ["camp_make"]),
    "send": ("mutants packed, hashed and sent", "run", ["prog_make", "job_send"]),  # not pool_submit, which also does what arrived meanwhile
    "answers": ("what workers say unpacked and checked", "run", ["peer_message"]),
    "judge": ("answers judged", "run", ["camp_judge"]),
    "store": ("results and mutants put into the store", "run", ["camp_store", "store_put_mutant"]),
    "report-json": ("the JSON report of that store", "report", []),
}


class Skip(Exception):
    """Why nothing can be compared."""


def toolchain(mutatenn, built):
    """What the counts depend on, as far as known. The processor's vectors choose among the C library's functions."""
    if not shutil.which("valgrind"):
        raise Skip("valgrind is not installed")
    flags = pathlib.Path("/proc/cpuinfo").read_text() if os.path.exists("/proc/cpuinfo") else ""
    linked = subprocess.run(["ldd", mutatenn], capture_output=True, text=True).stdout
    files = (os.path.basename(os.path.realpath(f)) for f in re.findall(r"=> (/\S+)", linked))
    return {"built": built, "libc": os.confstr("CS_GNU_LIBC_VERSION"), "machine": platform.machine(), "avx2": " avx2 " in flags,
            "valgrind": subprocess.run(["valgrind", "--version"], capture_output=True, text=True).stdout.strip(),
            "libraries": sorted(f for f in files if f.startswith(tuple(n + ".so" for n in LIBRARIES) + tuple(n + "-" for n in LIBRARIES)))}


def read_profile(path):
    """Instructions of all, and of each function with what it calls. By name: callgrind tells a function apart from itself when its file is spelt twice."""
    names, inclusive, total, at, callee = {}, collections.Counter(), 0, None, None
    for line in path.read_text().splitlines():
        if m := re.match(r"(c?fn)=\((\d+)\)(?: (.+))?$", line):
            name = names.setdefault(m[2], m[3])
            if m[1] == "fn":
                at = name
            else:
                callee = name
        elif m := re.match(r"[-+*\d]\S* (\d+)$", line):
            total += 0 if callee else int(m[1])
            inclusive[at] += 0 if callee == at else int(m[1])
            callee = None
    return total, inclusive


class Counting:
    def __init__(self, build, folder):
        self.mutatenn, self.folder = build / "mutatenn", folder
        self.env = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache"), "LC_ALL": "C", "TERM": "dumb",
                    "MUTATENN_WORKER": str(build / "mutatenn-worker")}
        self.profiles = {}

    def profile(self, name, *args):
        """Runs the command: instructions of all, and of each function with what it calls. Only this process: workers are no part of it."""
        out = self.folder / f"callgrind.{name}"
        r = subprocess.run(["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}", self.mutatenn, *map(str, args)],
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=self.env, cwd=self.folder)
        if r.returncode:
            raise AssertionError(f"'mutatenn {' '.join(map(str, args))}' ended with status {r.returncode}:\n{r.stderr[-2000:]}")
        self.profiles[name] = read_profile(out)

    def all(self):
        campaign, store = inputs(self.folder), self.folder / "store.db"

        def run():
            self.profile("run", "run", campaign, "--store", store, "--quiet")
            self.profile("report", "report", store, "--json", self.folder / "report.json")

        def rest():
            self.profile("start", "--version")
            self.profile("mutants", "mutants", ROOT / "demo/model.onnx", "--opt-level", 2)
            self.profile("mutants-json", "mutants", ROOT / "demo/model.onnx", "--opt-level", 2, "--json")

        with ThreadPoolExecutor(2) as both:
            for f in [both.submit(run), both.submit(rest)]:
                f.result()
        return {name: self.of(*path[1:]) for name, path in PATHS.items()}

    def of(self, profile, functions):
        total, by_name = self.profiles[profile]
        missing = [f for f in functions if f not in by_name]
        if missing:
            raise AssertionError(f"'{profile}' calls no function {' or '.join(missing)}: PATHS names what the program no longer has")
        return sum(by_name[f] for f in functions) if functions else total - self.profiles["start"][0]


def inputs(folder):
    """A synthetic model, two pictures and a campaign on the device that is none."""
    sys.path.insert(0, str(ROOT / "bench"))
    import synthetic

    (folder / "model.onnx").write_bytes(synthetic.model(NODES))
    (folder / "images").mkdir()
    for i in range(IMAGES):
        (folder / f"images/{i}.png").write_bytes(synthetic.picture(i))
    (folder / "campaign.yaml").write_text(f"""model: model.onnx
images: images
preprocess: resize=8,mean=0,std=255
opt-level: 3
devices: [nothing]
device-definitions:
  - {{name: nothing, backend: 'null'}}
mutations:
  - {{operator: 'loop.*', sites: sample {MUTANTS}}}
""")
    return folder / "campaign.yaml"


def judge(counts, recorded):
    """Names of the paths that need more than recorded, and of those whose record is out of date."""
    new = [n for n in counts if n not in recorded]
    return ([n for n in counts if n not in new and counts[n] > MOST * recorded[n]],
            new + [n for n in counts if n not in new and counts[n] < LEAST * recorded[n]])


def check_the_judge(counts):
    """It can fail: each path, had it been recorded 6 % cheaper, is found, and nothing else is."""
    for n in counts:
        assert judge(counts, counts | {n: counts[n] / 1.06}) == ([n], []), f"6 % more in '{n}' would pass"
        assert judge(counts, counts | {n: counts[n] * 1.06}) == ([], [n]), f"6 % less in '{n}' would not be told"
    assert judge(counts, counts) == ([], [])


def table(counts, recorded):
    for n, count in counts.items():
        before = recorded.get(n)
        change = f"{100 * (count / before - 1):+6.1f} %" if before else "     new"
        print(f"{count:>14,} {before or 0:>14,}  {change}  {n}: {PATHS[n][0]}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build", type=pathlib.Path, help="build folder")
    p.add_argument("--built", default="unknown", help="compiler and options of that build")
    p.add_argument("--record", action="store_true", help="write recorded.json instead of comparing")
    p.add_argument("--keep", type=pathlib.Path, metavar="DIR", help="keep the profiles there, for callgrind_annotate")
    a = p.parse_args()
    recorded = json.loads(RECORDED.read_text()) if RECORDED.exists() else {"toolchain": None, "instructions": {}}
    try:
        here = toolchain(a.build / "mutatenn", a.built)
        if not a.record and here != recorded["toolchain"]:
            raise Skip("other tools than those of recorded.json, so other counts; `make record-instructions` before a change makes it comparable here\n" +
                       "\n".join(f"  {k}: {here[k]}, recorded: {(recorded['toolchain'] or {}).get(k)}" for k in here
                                 if here[k] != (recorded["toolchain"] or {}).get(k)))
    except Skip as why:
        print(f"skip  instructions: {why}")
        return 77
    with tempfile.TemporaryDirectory(prefix="mutatenn-instructions-") as folder:
        counting = Counting(a.build.resolve(), pathlib.Path(folder))
        counts = counting.all()
        if a.keep:
            a.keep.mkdir(parents=True, exist_ok=True)
            for f in pathlib.Path(folder).glob("callgrind.*"):
                shutil.copy(f, a.keep)
    print("  instructions       recorded    change  path")
    table(counts, recorded["instructions"])
    check_the_judge(counts)
    if a.record:
        RECORDED.write_text(json.dumps({"toolchain": here, "instructions": counts}, indent=1) + "\n")
        return 0
    more, stale = judge(counts, recorded["instructions"])
    for n in more:
        print(f"FAIL  {n}: more than {100 * (MOST - 1):.0f} % above what is recorded")
    if more:
        print("--keep DIR keeps profiles for callgrind_annotate. If it is what the change is worth: `make record-instructions`, and say why")
    if stale:
        print(f"note  recorded.json is out of date for {', '.join(stale)}: `make record-instructions`, so that what was won is kept")
    return 1 if more else 0


if __name__ == "__main__":
    sys.exit(main())
