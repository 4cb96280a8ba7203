#!/usr/bin/env python3
"""What is stored stays: faults injected into the calls on a store's files, the writer killed in them, the power cut between them.

usage: faults.py BUILD_DIR SOURCE_DIR [--all] [TEST...]     needs only python3's standard library

Without --all a sample of the calls, drawn anew from the same seed each time; with it every one. Either the outcome is the one of an
undisturbed run, or there is an error in words and the next run comes to it.
"""
import os
import pathlib
import random
import shutil
import sqlite3
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "e2e"))
from cases import run_tests, test

ARGS = [a for a in sys.argv[1:] if a != "--all"]
ALL = "--all" in sys.argv
BUILD, SOURCE = pathlib.Path(ARGS[0]).resolve(), pathlib.Path(ARGS[1]).resolve()
LIBRARY, WRITER, BIN = BUILD / "tests/faults/libfaults.so", BUILD / "tests/faults/store_writer", BUILD / "mutatenn"
SECTOR = 512


def preload(store, **more):
    return {**os.environ, "LD_PRELOAD": str(LIBRARY), "FAULT_FILE": str(store), **{k: str(v) for k, v in more.items()}, "LC_ALL": "C"}


def rows(con, sql):
    return sorted(con.execute(sql).fetchall(), key=repr)


def contents(store):
    """All that does not depend on the time, nor (`controlled`) on how often it was begun; and that the file is whole."""
    con = sqlite3.connect(store)
    assert con.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert not con.execute("PRAGMA foreign_key_check").fetchall()
    out = {}
    for t in ["models", "images", "devices", "mutants", "baselines", "results", "image_results", "logits"]:
        columns = [c[1] for c in con.execute(f"PRAGMA table_info({t})") if c[1] != "controlled"]
        out[t] = rows(con, f"SELECT {', '.join(columns)} FROM {t}")
    out["meta"] = rows(con, "SELECT * FROM meta WHERE name <> 'created'")
    con.close()
    return out


def verdicts(store):
    con = sqlite3.connect(store)
    assert con.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    out = rows(con, "SELECT v.id, v.device_name, v.outcome, v.killed, v.degenerate, v.code, r.image, r.outcome, r.digest, r.top1, r.max_abs FROM verdicts v"
                    " LEFT JOIN image_results r ON r.mutant = v.mutant AND r.device = v.device")
    con.close()
    return out


def write(store, n, *more, env=None):
    return subprocess.run([WRITER, store, str(n), store.parent / "ack", *more], capture_output=True, text=True, env=env)


def acknowledged(folder):
    f = folder / "ack"
    return [int(x) for x in f.read_text().split()] if f.exists() else []


def stored(store):
    con = sqlite3.connect(store)
    out = {r[0] for r in con.execute("SELECT id FROM mutants JOIN results USING(mutant)")}
    con.close()
    return out


def sample(n, k, rng):
    return range(1, n + 1) if ALL or n <= k else sorted(rng.sample(range(1, n + 1), k))


# ---- the power goes ----


class Disk:
    """A file as the machine sees it, and as it lies on the disk until the next sync."""

    def __init__(self):
        self.now, self.safe, self.since = bytearray(), b"", []

    def write(self, at, data):
        self.now.extend(bytes(max(0, at + len(data) - len(self.now))))
        self.now[at:at + len(data)] = data
        self.since.append((at, data))

    def truncate(self, n):
        del self.now[n:]
        self.now.extend(bytes(n - len(self.now)))
        self.since.append((n, None))

    def sync(self):
        self.safe, self.since = bytes(self.now), []

    def after(self, rng):
        """Of what was not synchronised any sectors are there, or not."""
        out = bytearray(self.safe)
        for at, data in self.since:
            if data is None:
                if rng.random() < .5:
                    del out[at:]
                    out.extend(bytes(at - len(out)))
                continue
            for first in range(at - at % SECTOR, at + len(data), SECTOR):
                a, b = max(first, at), min(first + SECTOR, at + len(data))
                if rng.random() < .5:
                    out.extend(bytes(max(0, b - len(out))))
                    out[a:b] = data[a - at:b - at]
        return bytes(out)


def events(trace):
    raw, i = trace.read_bytes(), 0
    while i < len(raw):
        what, length, at, n = struct.unpack_from("<IIQQ", raw, i)
        name = raw[i + 24:i + 24 + length].decode()
        i += 24 + length
        data = None
        if chr(what) in "WA":
            data = raw[i:i + n]
            i += n
        yield chr(what), name, at, data


def cut(trace, position, rng):
    """Files after a power cut behind the position-th event, and the results that had been acknowledged."""
    files, names, acks = {}, {}, []
    for k, (what, name, at, data) in enumerate(events(trace)):
        if k == position:
            break
        if what == "C":
            files[name] = Disk()
            names[name] = "made"  # in the folder, but that is not synchronised
        elif what == "W":
            files[name].write(at, data)
        elif what == "T":
            files[name].truncate(at)
        elif what == "S":
            files[name].sync()
        elif what == "U":
            names[name] = "gone" if names[name] == "there" else "was made and is gone"
        elif what == "D":
            names = {n: "there" for n, state in names.items() if state in ("made", "there")}
        elif what == "A":
            acks += [int(x) for x in data.split()]
    out = {}
    for name, state in names.items():
        if name in ("!", ".lock", "-shm"):  # the shared memory is made anew by the first who opens
            continue
        if state == "there" or rng.random() < .5:
            out[name] = files[name].after(rng)
    return out, acks


@test
def a_power_cut_loses_nothing_acknowledged(tmp):
    """states of the disk in which unsynchronised sectors are there or not, and names too"""
    store, rng = tmp / "s.db", random.Random(11)
    trace = tmp / "trace"
    r = write(store, 30, env=preload(store, FAULT_TRACE=trace, FAULT_ACK=tmp / "ack"))
    assert r.returncode == 0, r.stderr
    total = sum(1 for _ in events(trace))
    cuts = sample(total, 100, rng)
    seen = 0
    for position in cuts:
        here = tmp / "cut"
        shutil.rmtree(here, ignore_errors=True)
        here.mkdir()
        files, acks = cut(trace, position, rng)
        for name, data in files.items():
            (here / f"s.db{name}").write_bytes(data)
        if acks:
            got = stored(here / "s.db")
            assert {f"m{i}" for i in acks} <= got, (position, sorted(acks), got)
            contents(here / "s.db")
            seen += 1
        if position % 10 == 0:
            r = write(here / "s.db", 30)
            assert r.returncode == 0, (position, r.stderr)
            assert contents(here / "s.db") == contents(store), position
    assert seen > 30, seen
    print(f"  {len(cuts)} of {total} moments", flush=True)


# ---- one call fails ----


def undisturbed(tmp, n):
    here = tmp / "whole"
    here.mkdir()
    r = write(here / "s.db", n, env=preload(here / "s.db", FAULT_COUNT=tmp / "count"))
    assert r.returncode == 0, r.stderr
    return contents(here / "s.db"), [int(x) for x in (tmp / "count").read_text().split()]


def one_fault(tmp, n, want, retry, **fault):
    here = tmp / "fault"
    shutil.rmtree(here, ignore_errors=True)
    here.mkdir()
    store = here / "s.db"
    r = write(store, n, *(["retry"] if retry else []), env=preload(store, **fault))
    if r.returncode == 0:
        assert contents(store) == want, fault
        return True
    if r.returncode == 1:
        assert "store '" in r.stderr or "is not a store" in r.stderr, (fault, r.stderr)
    else:
        assert r.returncode == -9 and fault["FAULT_KIND"] == "kill", (fault, r.returncode, r.stderr)
    acks = acknowledged(here)
    assert not acks or {f"m{i}" for i in acks} <= stored(store), fault
    r = write(store, n)
    assert r.returncode == 0, (fault, r.stderr)
    assert contents(store) == want, fault
    return False


def faults(tmp, kind, k, **more):
    n = 12
    want, (changes, _) = undisturbed(tmp, n)
    points, passed = sample(changes, k, random.Random(kind)), 0
    for at in points:
        passed += one_fault(tmp, n, want, "retry" in more, FAULT_AT=at, FAULT_KIND=kind, **{x: 1 for x in more if x != "retry"})
    print(f"  {len(points)} of {changes} calls; {passed} times the end was the undisturbed one at once", flush=True)
    return len(points), passed


@test
def killed_in_any_call_it_resumes(tmp):
    """kill -9 before the n-th write, fsync, truncate, open or unlink"""
    points, passed = faults(tmp, "kill", 20)
    assert not passed


@test
def a_disk_full_for_a_moment(tmp):
    """the n-th call says ENOSPC: an error, and the next run goes on"""
    points, passed = faults(tmp, "enospc", 20)
    assert passed < points / 2, "the faults are without effect"


@test
def a_disk_that_stays_full(tmp):
    """all calls from the n-th on say ENOSPC, until the next run"""
    faults(tmp, "enospc", 10, FAULT_FROM=1)


@test
def a_disk_that_fails(tmp):
    """the n-th call says EIO"""
    faults(tmp, "eio", 20)


@test
def a_store_stays_usable_after_an_error(tmp):
    """the n-th call fails and the same put is tried again: mostly it succeeds on the open store"""
    points, passed = faults(tmp, "enospc", 15, retry=1)
    assert passed > points / 2, (points, passed)


@test
def writes_may_be_short(tmp):
    """the n-th write writes half of it"""
    points, passed = faults(tmp, "short", 10)
    assert passed == points


@test
def reads_that_fail_are_errors(tmp):
    """the n-th read of a store that is gone on with says EIO"""
    want, _ = undisturbed(tmp, 12)
    here = tmp / "half"
    here.mkdir()
    assert write(here / "s.db", 6).returncode == 0
    half = (here / "s.db").read_bytes()
    (here / "count").unlink(missing_ok=True)
    assert write(here / "s.db", 12, env=preload(here / "s.db", FAULT_COUNT=here / "count")).returncode == 0
    reads = int((here / "count").read_text().split()[1])
    failed = 0
    for n in sample(reads, 12, random.Random(3)):
        for f in here.glob("s.db*"):
            f.unlink()
        (here / "s.db").write_bytes(half)
        r = write(here / "s.db", 12, env=preload(here / "s.db", FAULT_READ=n))
        failed += r.returncode
        assert r.returncode == 0 or (r.returncode == 1 and "s.db" in r.stderr), (n, r.returncode, r.stderr)
        assert write(here / "s.db", 12).returncode == 0, n
        assert contents(here / "s.db") == want, n
    assert failed, "no read failed"


# ---- whole campaigns ----


@test
def campaigns_come_to_the_same_verdicts(tmp):
    """ENOSPC, EIO and kill -9 in calls of a campaign on its store, each gone on with"""
    rng = random.Random(12)
    env = {"MUTATENN_WORKER": str(BUILD / "mutatenn-worker"), "XDG_CACHE_HOME": str(tmp / "cache")}

    def run(store, **fault):
        args = [BIN, "run", "--model", SOURCE / "demo/model.onnx", "--images", tmp / "images", "--mutations", "input.flip,graph.*", "--sites", "sample 10",
                "--store", store, "--quiet"]
        return subprocess.run(args, capture_output=True, text=True, env={**(preload(store, **fault) if fault else os.environ), **env})

    (tmp / "images").mkdir()
    for f in sorted((SOURCE / "demo/images").glob("*.png"))[:2]:
        shutil.copy(f, tmp / "images")
    r = run(tmp / "whole.db", FAULT_COUNT=tmp / "count")
    assert r.returncode == 0, r.stderr
    want = verdicts(tmp / "whole.db")
    assert len({row[2] for row in want}) > 2, "the campaign finds too little"
    changes = int((tmp / "count").read_text().split()[0])
    ends = {}
    for kind in ["kill", "enospc", "eio"]:
        for at in sample(changes, 1, rng):
            store = tmp / "s.db"
            for f in tmp.glob("s.db*"):
                f.unlink()
            r = run(store, FAULT_AT=at, FAULT_KIND=kind)
            ends[kind, r.returncode] = ends.get((kind, r.returncode), 0) + 1
            assert r.returncode in ([-9] if kind == "kill" else [0, 1]), (kind, at, r.returncode, r.stderr)
            assert r.returncode != 1 or "store '" in r.stderr, (kind, at, r.stderr)
            if r.returncode:
                again = run(store)
                assert again.returncode == 0, (kind, at, r.stderr, again.stderr)
            assert verdicts(store) == want, (kind, at)
    print(f"  {changes} calls; ends: {ends}", flush=True)


if b"__asan_init" in WRITER.read_bytes():
    print("skipped: a sanitizer's library must be loaded first")
    sys.exit(77)
sys.exit(run_tests("faults", ARGS[2:]))
