#!/usr/bin/env python3
"""A small campaign, disturbed between pool and worker and inside the worker, ends with the table of the undisturbed one; or it says what
went wrong, and run again on the same store it ends with that table.

usage: disturb.py BUILD_DIR SOURCE_DIR [--all]     --all: every message and every call, not a sample
"""
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile

BUILD, SOURCE, ALL = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve(), "--all" in sys.argv
BIN, HERE = BUILD / "mutatenn", BUILD / "tests/disturb"
CAMPAIGN = """model: {model}
images: images
devices: [host-gcc]
threads: 2
controls: 3
mutations:
  - operator: loop.bound.*
    sites: sample 3
  - operator: graph.replace.*
    sites: sample 2
  - operator: input.*
    sites: sample 1
"""
MESSAGES = ["kill", "after", "truncate", "flip", "duplicate"]
CALLS = ["malloc", "mmap", "fork", "write", "memfd", "socket", "thread"]
SAMPLE = {"messages": 2, "calls": 1}  # of each kind, without --all
ALWAYS = {"fork": {3, 4}}  # builders asking their compiler what it is: without an answer they once built with other flags


class Bench:
    def __init__(self, folder):
        self.folder = folder
        (folder / "images").mkdir()
        for name in sorted(x for x in os.listdir(SOURCE / "demo/images") if x.endswith(".png"))[:2]:
            shutil.copy(SOURCE / "demo/images" / name, folder / "images")
        (folder / "c.yaml").write_text(CAMPAIGN.format(model=SOURCE / "demo/model.onnx"))
        self.number = 0

    def run(self, store, **env):
        count, calls = self.folder / "count", self.folder / "calls"
        count.write_bytes(bytes(8))
        calls.write_bytes(bytes(8))
        env = {k.upper(): str(v) for k, v in env.items()}
        r = subprocess.run([BIN, "run", self.folder / "c.yaml", "--store", store, "--quiet"], capture_output=True, text=True, timeout=600, env={
            **os.environ, "XDG_CACHE_HOME": str(self.folder / "cache"), "MUTATENN_WORKER": str(HERE / "proxy"),
            "PROXY_WORKER": str(BUILD / "mutatenn-worker"), "PROXY_COUNT": str(count), "PROXY_PRELOAD": str(HERE / "librefuse.so"),
            "REFUSE_COUNT": str(calls), **env})
        assert r.returncode in (0, 1), f"{env}: exit status {r.returncode}\n{r.stdout}\n{r.stderr}"
        self.messages, self.calls = (struct.unpack("Q", f.read_bytes())[0] for f in (count, calls))
        return r

    def table(self, store):
        r = subprocess.run([BIN, "report", store, "--json", "-"], capture_output=True, text=True, timeout=60, check=True)
        return {(m["id"], d["device"]): (d["outcome"], json.dumps(d["killed"]), d["images"], d["images_changed"], d["code"])
                for m in json.loads(r.stdout)["mutants"] for d in m["devices"]}

    def check(self, what, expected, **env):
        """The disturbed run, and where it has to be, the next one."""
        self.number += 1
        store = self.folder / f"s{self.number}.db"
        r = self.run(store, **env)
        got = self.table(store) if store.exists() else {}
        wrong = {k: (v, expected.get(k)) for k, v in got.items() if v != expected.get(k) and v[0] not in ("tool-error", "not-run")}
        assert not wrong, f"{what}: {wrong}\n{r.stderr}"
        resumed = got != expected
        if resumed:
            said = r.stderr.strip().splitlines() or [v[0] for v in got.values() if v[0] == "tool-error"]
            assert said, f"{what}: rows are missing, and nothing was said"
            print(f"{what}: {said[-1]}", flush=True)
            self.run(store)
            assert self.table(store) == expected, f"{what}: not what it was after another run: {self.table(store)}"
        for f in self.folder.glob(f"s{self.number}.db*"):
            f.unlink()
        return resumed


def numbers(rng, n, most):
    return range(1, n + 1) if ALL else sorted(rng.sample(range(1, n + 1), min(n, most)))


def main():
    rng = random.Random(6)
    with tempfile.TemporaryDirectory(prefix="mutatenn-disturb-") as folder:
        b = Bench(pathlib.Path(folder))
        b.run(b.folder / "warm.db")
        b.run(b.folder / "reference.db")
        expected, messages = b.table(b.folder / "reference.db"), b.messages
        assert len(expected) >= 6 and not any(v[0] == "tool-error" for v in expected.values()), expected
        print(f"{len(expected)} rows, {messages} messages", flush=True)
        for kind in MESSAGES:
            at = numbers(rng, messages, SAMPLE["messages"])
            again = sum(b.check(f"{kind} {n}", expected, proxy_kind=kind, proxy_at=n, proxy_seed=n) for n in at)
            print(f"{kind}: {len(at)} campaigns, {again} of them in two runs", flush=True)
        for kind in ["short", "delay"]:
            assert not b.check(kind, expected, proxy_kind=kind), kind
        for kind in CALLS:
            b.run(b.folder / "count.db", refuse=kind)
            (b.folder / "count.db").unlink()
            calls = b.calls
            at = numbers(rng, calls, SAMPLE["calls"]) if calls <= 600 or not ALL else sorted(rng.sample(range(1, calls + 1), 300))
            at = sorted({*at, *ALWAYS.get(kind, ())})
            again = sum(b.check(f"{kind} {n} refused", expected, refuse=kind, refuse_at=n) for n in at)
            print(f"{kind}: {calls} calls, {len(at)} campaigns, {again} of them in two runs", flush=True)


main()
