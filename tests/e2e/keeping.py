#!/usr/bin/env python3
"""Stores of older versions, damaged ones, ones that are copied, replaced, or may not be written while a campaign runs.

usage: keeping.py BUILD_DIR SOURCE_DIR [TEST...]     needs only python3's standard library
"""
import json
import os
import pathlib
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import time

from cases import run_tests, test

BUILD, SOURCE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
BIN = BUILD / "mutatenn"
ENV = {**os.environ, "MUTATENN_WORKER": str(BUILD / "mutatenn-worker"), "LC_ALL": "C"}


def run(*args, status=0, **kw):
    r = subprocess.run([str(a) for a in [BIN, *args]], capture_output=True, text=True, env={**ENV, **kw.pop("env", {})}, **kw)
    assert r.returncode == status, (args, r.returncode, r.stderr[-2000:])
    return r


def campaign(tmp, store, n=40):
    images = tmp / "images"
    if not images.exists():
        images.mkdir()
        for f in sorted((SOURCE / "demo/images").glob("*.png"))[:2]:
            shutil.copy(f, images)
    return ["run", "--model", SOURCE / "demo/model.onnx", "--images", images, "--mutations", "loop.cond.ge-to-gt,loop.bound.min", "--sites", f"sample {n}", "--store", store, "--quiet"]


def old_store(path):
    con = sqlite3.connect(path)
    con.executescript((SOURCE / "tests/e2e/data/store-v2.sql").read_text())
    con.execute("PRAGMA journal_mode = WAL")
    con.close()
    return path.read_bytes()


@test
def an_older_store_is_read_as_it_is(tmp):
    """report and compare say what it holds; the file stays what it was"""
    old = tmp / "old.db"
    raw = old_store(old)
    text = run("report", old).stdout
    assert "8 mutants, 2 images, 2 devices" in text, text
    report = json.loads(run("report", old, "--images", "--json", "-").stdout)
    outcomes = {(m["id"], r["device"]): r["outcome"] for m in report["mutants"] for r in m["devices"]}
    assert outcomes["loop.bound.min/pool1/1/-1", "host-gcc"] == "overrun" and len(outcomes) == 16, outcomes
    assert "host-clang" in run("compare", old).stdout
    assert old.read_bytes() == raw and [f.name for f in tmp.iterdir()] == ["old.db"]
    con = sqlite3.connect(old)
    con.execute("DROP TABLE images")
    con.commit()
    con.close()
    assert "old.db" in run("report", old, status=1).stderr


@test
def an_older_store_is_brought_up_to_date_by_its_campaign(tmp):
    """what run opens has the newest version and all that it had"""
    old = tmp / "old.db"
    old_store(old)
    before = run("report", old, "--csv", "-").stdout
    r = run(*campaign(tmp, old), status=2)
    assert "another configuration" in r.stderr, r.stderr
    con = sqlite3.connect(old)
    version = con.execute("PRAGMA user_version").fetchone()[0]
    con.close()
    newest = int(re.search(r"STORE_VERSION (\d+)", (SOURCE / "src/store/store_internal.h").read_text()).group(1))
    assert version == newest, version
    assert run("report", old, "--csv", "-").stdout == before


@test
def a_copy_taken_at_any_moment_opens(tmp):
    """store and journal copied while a campaign writes: whole, with what the copy before had, and the campaign goes on from it"""
    store, rng = tmp / "s.db", random.Random(7)
    p = subprocess.Popen([str(a) for a in [BIN, *campaign(tmp, store)]], env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    had, copies = set(), 0
    while p.poll() is None:
        time.sleep(rng.uniform(.01, .2))
        copy = tmp / f"c{copies}.db"
        try:  # the journal grows between the two: first the file, which only a checkpoint writes to
            sizes = store.stat().st_mtime_ns
            shutil.copy(store, copy)
            shutil.copy(f"{store}-wal", f"{copy}-wal")
            if store.stat().st_mtime_ns != sizes:
                continue
        except FileNotFoundError:
            continue
        con = sqlite3.connect(copy)
        assert con.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        if con.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            now = {r[0] for r in con.execute("SELECT mutant FROM results")}
            assert had <= now, had - now
            had = now
            last = copy
            copies += 1
        con.close()
    assert p.returncode == 0, p.stderr.read()
    assert copies > 3, copies
    run(*campaign(tmp, last))
    table = "SELECT id, device_name, outcome, killed FROM verdicts ORDER BY id"
    assert sqlite3.connect(last).execute(table).fetchall() == sqlite3.connect(store).execute(table).fetchall()
    print(f"  {copies} copies", flush=True)


@test
def a_damaged_store_is_not_built_upon(tmp):
    """pages overwritten at random: run goes on or says what is damaged, report prints or says so; neither crashes"""
    good, rng, said = tmp / "good.db", random.Random(8), 0
    run(*campaign(tmp, good, 4))
    raw = good.read_bytes()
    for k in range(8):
        bad = bytearray(raw)
        page = rng.randrange(1, len(raw) // 4096)
        at = page * 4096 + rng.choice([0, rng.randrange(4000)])
        bad[at:at + 90] = rng.randbytes(90)
        (tmp / "bad.db").write_bytes(bad)
        for args in [["report", tmp / "bad.db", "--json", "-"], campaign(tmp, tmp / "bad.db", 4)]:
            r = subprocess.run([str(a) for a in [BIN, *args]], capture_output=True, text=True, env=ENV)
            assert r.returncode in (0, 1, 2) and (not r.returncode or "bad.db" in r.stderr), (k, args, r.returncode, r.stderr)
            said += "is damaged" in r.stderr and ".recover" in r.stderr
        for f in tmp.glob("bad.db*"):
            f.unlink()
    assert said > 2, said


@test
def a_store_taken_away_ends_the_campaign(tmp):
    """removed, or replaced by another file, while it is written: an error, the other file is left alone"""
    for replace in [False, True]:
        store = tmp / "s.db"
        p = subprocess.Popen([str(a) for a in [BIN, *campaign(tmp, store, 100)]], env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while p.poll() is None and not (store.exists() and pathlib.Path(f"{store}-wal").exists() and results(store)):
            time.sleep(.02)
        if replace:
            (tmp / "letter").write_text("dear aunt\n")
            os.replace(tmp / "letter", store)
        else:
            store.unlink()
        _, err = p.communicate(timeout=300)
        assert p.returncode == 1 and "was removed or replaced" in err, (p.returncode, err)
        assert not replace or store.read_text() == "dear aunt\n"
        for f in tmp.glob("s.db*"):
            f.unlink()


def results(store):
    try:
        con = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
        n = con.execute("SELECT count(*) FROM results").fetchone()[0]
        con.close()
        return n
    except sqlite3.Error:
        return 0


@test
def a_file_that_may_not_grow_is_an_error(tmp):
    """a limit on the size of files: an error, and without the limit the same command finishes"""
    store = tmp / "s.db"
    limited = ["sh", "-c", 'ulimit -f 200; exec "$@"', "sh", *[str(a) for a in [BIN, *campaign(tmp, store)]]]
    run(*campaign(tmp, tmp / "warm.db"))  # the compiled kernels need files, too
    r = subprocess.run(limited, capture_output=True, text=True, env=ENV)
    assert r.returncode == 1 and "store '" in r.stderr, (r.returncode, r.stderr)
    run(*campaign(tmp, store))
    table = "SELECT id, outcome, killed FROM verdicts ORDER BY id"
    assert sqlite3.connect(store).execute(table).fetchall() == sqlite3.connect(tmp / "warm.db").execute(table).fetchall()


@test
def who_may_not_write_may_read(tmp):
    """a store and a folder without write permission: report works, run says so"""
    folder = tmp / "closed"
    folder.mkdir()
    folder.chmod(0o777)
    store = folder / "s.db"
    run(*campaign(tmp, store, 2))
    raw = store.read_bytes()
    old_store(folder / "old.db")
    store.chmod(0o444)
    (folder / "old.db").chmod(0o444)
    folder.chmod(0o555)
    tmp.chmod(0o755)
    kw = {}
    if not os.geteuid():  # root may do everything: as nobody
        kw = {"user": 65534, "group": 65534, "extra_groups": [], "env": {"XDG_CACHE_HOME": "/tmp/mutatenn-nobody"}}
        if subprocess.run([BIN, "--version"], capture_output=True, **{k: v for k, v in kw.items() if k != "env"}).returncode:
            print("  (skipped: the program cannot be run as another user here)")
            return
    assert "model: 4 mutants" in run("report", store, **kw).stdout
    assert "8 mutants" in run("report", folder / "old.db", **kw).stdout
    err = run(*campaign(tmp, store, 2), status=1, **kw).stderr
    assert "s.db" in err and ("denied" in err or "not writable" in err), err
    assert store.read_bytes() == raw and sorted(f.name for f in folder.iterdir()) == ["old.db", "s.db"]
    folder.chmod(0o777)


sys.exit(run_tests("keep", sys.argv[3:]))
