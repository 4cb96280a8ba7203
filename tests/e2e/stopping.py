#!/usr/bin/env python3
"""Ctrl-C, SIGTERM, SIGHUP and --max-time in every phase: the command ends, nothing of it is left, the same command goes on.

usage: stopping.py BUILD_DIR SOURCE_DIR [TEST...]     needs only python3's standard library

Each phase is one that would not end by itself within the hour: a worker, a compiler or a pipe that never answers. So a command that
ends did end because of the signal, and no clock is looked at. What does not answer tells so by a file.
"""
import json
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

from cases import run_tests, test

BUILD, SOURCE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
BIN, WORKER = BUILD / "mutatenn", BUILD / "mutatenn-worker"
PATIENCE = 120  # a test that gives up; no criterion

# The real worker behind a relay that swallows what it is told from the N-th message of a kind on.
RELAY = '''#!/usr/bin/env python3
import os, pathlib, subprocess, sys, time
here = pathlib.Path(os.environ["HERE"])
silent_kind, left = map(int, (here / "when").read_text().split())
p = subprocess.Popen(["WORKER"], stdin=subprocess.PIPE)
while True:
    head = sys.stdin.buffer.read(8)
    if len(head) < 8:
        p.stdin.close()
        sys.exit(p.wait())
    n, kind = int.from_bytes(head[:4], "little"), head[4]
    body = sys.stdin.buffer.read(n)
    left -= kind == silent_kind
    if left < 0:
        (here / "silent").touch()
        time.sleep(4000)  # neither reads nor ends when its wire is closed
    p.stdin.write(head + body)
    p.stdin.flush()
'''
CC = '''#!/bin/sh
case "$*" in
*-shared*) [ ! -e "$HERE/slow" ] || { touch "$HERE/silent"; sleep 4000; } ;;
esac
exec gcc "$@"
'''


def kinds():
    """Numbers of the messages, from the wire's header."""
    table = (SOURCE / "src/worker/wire.h").read_text().split("#define WIRE_TYPES(X)")[1].split("\n\n")[0]
    names = re.findall(r"\bX\((\w+), ", table)
    assert names[0] == "HELLO" and "RUN" in names, names
    return {n: i + 1 for i, n in enumerate(names)}


def script(tmp, name, text):
    f = tmp / name
    f.write_text(text.replace("WORKER", str(WORKER)))
    f.chmod(0o755)
    return f


def campaign(tmp, device, **more):
    f = tmp / "c.yaml"
    lines = [f"model: {SOURCE}/demo/model.onnx", f"images: {SOURCE}/demo/images", "sample: 2", "devices: [d]",
             "device-definitions:", f"  - {{name: d, {device}}}", "mutations:", "  - {operator: 'loop.cond.*', sites: sample 12}"]
    f.write_text("\n".join(lines + [f"{k}: {v}" for k, v in more.items()]) + "\n")
    return f


def environment(tmp):
    (tmp / "tmp").mkdir(exist_ok=True)
    cache = tmp if (tmp / "cc").exists() else SHARED  # what a slow compiler has not built must not lie there
    return os.environ | {"MUTATENN_WORKER": str(WORKER), "XDG_CACHE_HOME": str(cache / "cache"), "TMPDIR": str(tmp / "tmp"), "HERE": str(tmp), "LC_ALL": "C"}


def start(tmp, *args):
    return subprocess.Popen([str(x) for x in [BIN, *args]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(tmp))


def wait_for(f, p):
    until = time.monotonic() + PATIENCE
    while not f.exists():
        assert p.poll() is None, p.communicate()[1][-1000:]
        assert time.monotonic() < until, f"{f} never came"
        time.sleep(0.02)


def left(tmp):
    """Processes that were started for this test: HERE is in their environment."""
    mark, out = b"HERE=" + os.fsencode(tmp) + b"\0", []
    for p in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if mark in (p / "environ").read_bytes() and (p / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                out.append((p / "cmdline").read_bytes().replace(b"\0", b" "))
        except OSError:
            pass
    return out


def nothing_is_left(tmp):
    until = time.monotonic() + PATIENCE
    while left(tmp) and time.monotonic() < until:
        time.sleep(0.05)
    assert not left(tmp), left(tmp)
    files = [str(f) for f in (tmp / "tmp").rglob("*") if f.is_file()]
    assert not files, files


def stopped(tmp, p, sig, status=1, says="the same command"):
    if sig:
        p.send_signal(sig)
    out, err = p.communicate(timeout=PATIENCE)
    assert p.returncode == status, (p.returncode, err)
    assert says in err, err
    nothing_is_left(tmp)


def goes_on(tmp, *args):
    """What hindered is gone: the same campaign is finished on the same store."""
    (tmp / "silent").unlink(missing_ok=True)
    (tmp / "slow").unlink(missing_ok=True)
    p = start(tmp, *args)
    _, err = p.communicate(timeout=PATIENCE)
    assert p.returncode == 0, err
    nothing_is_left(tmp)


def silent_after(tmp, kind, n):
    (tmp / "when").write_text(f"{kinds()[kind]} {n}")
    return f"worker: [{script(tmp, 'relay', RELAY)}]"


def phase(tmp, kind, n, sig):
    """The worker is silent from the n-th message of a kind on; then a campaign on a worker that talks goes on with the store."""
    args = ["run", campaign(tmp, silent_after(tmp, kind, n)), "--store", tmp / "s.db"]
    p = start(tmp, *args)
    wait_for(tmp / "silent", p)
    stopped(tmp, p, sig)
    silent_after(tmp, kind, 10**6)
    goes_on(tmp, *args)


@test
def while_devices_are_opened(tmp):
    """a worker that never greets"""
    args = ["run", campaign(tmp, "worker: [sh, -c, 'touch $HERE/silent; sleep 4000'], start-timeout: 3600"), "--store", tmp / "s.db"]
    for sig in [signal.SIGINT, signal.SIGHUP]:
        (tmp / "silent").unlink(missing_ok=True)
        p = start(tmp, *args)
        wait_for(tmp / "silent", p)
        stopped(tmp, p, sig)
    assert not (tmp / "s.db").exists()
    p = start(tmp, *args, "--max-time", "1s")
    stopped(tmp, p, None, says="the time")


@test
def while_the_original_is_compiled(tmp):
    """a compiler that never ends, and its folder"""
    cc = script(tmp, "cc", CC)
    args = ["run", campaign(tmp, f"cc: {cc}"), "--store", tmp / "s.db"]
    for sig in [signal.SIGINT, signal.SIGHUP]:
        (tmp / "silent").unlink(missing_ok=True)
        (tmp / "slow").touch()
        p = start(tmp, *args)
        wait_for(tmp / "silent", p)
        stopped(tmp, p, sig)
    goes_on(tmp, *args)


@test
def while_mutants_are_compiled(tmp):
    """a compiler that never ends once the original is built"""
    cc = script(tmp, "cc", CC)
    args = ["run", campaign(tmp, f"cc: {cc}"), "--store", tmp / "s.db"]
    goes_on(tmp, *args[:2], "--store", tmp / "other.db")  # the original is in the cache now, and so are all mutants
    other = campaign(tmp, f"cc: {cc}", seed=4)
    (tmp / "slow").touch()
    p = start(tmp, "run", other, "--store", tmp / "s.db")
    wait_for(tmp / "silent", p)
    stopped(tmp, p, signal.SIGTERM)
    goes_on(tmp, "run", other, "--store", tmp / "s.db")


@test
def while_the_original_runs(tmp):
    """a worker silent from the first run on"""
    phase(tmp, "RUN", 0, signal.SIGINT)


@test
def while_noise_is_measured(tmp):
    """a worker silent from the second run on"""
    phase(tmp, "RUN", 1, signal.SIGTERM)


@test
def while_mutants_run(tmp):
    """a worker silent after twelve runs"""
    phase(tmp, "RUN", 12, signal.SIGHUP)


@test
def while_a_kernel_is_built_elsewhere(tmp):
    """a builder silent from its second kernel on"""
    phase(tmp, "BUILD", 1, signal.SIGINT)


@test
def when_the_time_is_up_and_a_worker_is_silent(tmp):
    """--max-time while nothing answers: the report of what there is"""
    args = ["run", campaign(tmp, silent_after(tmp, "RUN", 12)), "--store", tmp / "s.db"]
    p = start(tmp, *args, "--max-time", "8s")
    stopped(tmp, p, None, status=1, says="the time is up")


@test
def what_is_not_complete_meets_no_threshold(tmp):
    """--max-time with --fail-under: status 1, and as many results as the store has, also those of earlier runs"""
    counts = []
    for n in [12, 0]:  # among the mutants; before any
        args = ["run", campaign(tmp, silent_after(tmp, "RUN", n)), "--store", tmp / "s.db", "--max-time", "8s", "--fail-under", "0", "--json"]
        p = start(tmp, *args)
        out, err = p.communicate(timeout=PATIENCE)
        assert p.returncode == 1, (p.returncode, err)
        said = json.loads(out)
        store = sqlite3.connect(tmp / "s.db")
        counts += store.execute("SELECT count(*) FROM verdicts WHERE outcome <> 'not-run'").fetchone()
        store.close()
        assert said["stopped"] and said["done"] == counts[-1] < said["of"], (said["done"], counts)
        assert f"{counts[-1]} of {said['of']} are done" in err, err
        nothing_is_left(tmp)
    assert counts[1] == counts[0] > 0, counts


@test
def a_second_signal_ends_it_at_once(tmp):
    """and the workers with it"""
    args = ["run", campaign(tmp, silent_after(tmp, "RUN", 0)), "--store", tmp / "s.db"]
    p = start(tmp, *args)
    wait_for(tmp / "silent", p)
    os.kill(p.pid, signal.SIGSTOP)  # both arrive before it can end in order
    p.send_signal(signal.SIGINT)
    p.send_signal(signal.SIGTERM)
    os.kill(p.pid, signal.SIGCONT)
    p.communicate(timeout=PATIENCE)
    assert p.returncode in (-signal.SIGTERM, -signal.SIGINT), p.returncode
    nothing_is_left(tmp)


@test
def other_commands_take_their_workers_with_them(tmp):
    """infer, devices: ended by the signal"""
    devices = tmp / "d.yaml"
    devices.write_text("device-definitions:\n  - {name: d, worker: [sh, -c, 'touch $HERE/silent; sleep 4000'], start-timeout: 3600}\n")
    image = next((SOURCE / "demo/images").glob("*.png"))
    for args in [["devices", "--devices-file", devices], ["infer", SOURCE / "demo/model.onnx", image, "--device", "d", "--devices-file", devices]]:
        (tmp / "silent").unlink(missing_ok=True)
        p = start(tmp, *args)
        wait_for(tmp / "silent", p)
        stopped(tmp, p, signal.SIGINT, status=-signal.SIGINT, says="")


@test
def while_a_pipe_gives_nothing(tmp):
    """labels from a pipe that nobody writes to: a phase that looks at nothing"""
    os.mkfifo(tmp / "labels.csv")
    args = ["run", campaign(tmp, "cc: gcc", labels=tmp / "labels.csv"), "--store", tmp / "s.db"]
    p = start(tmp, *args)
    fd = os.open(tmp / "labels.csv", os.O_WRONLY)  # returns when it is being read
    stopped(tmp, p, signal.SIGINT)
    os.close(fd)


with tempfile.TemporaryDirectory(prefix="mutatenn-stop-cache-") as shared:
    SHARED = pathlib.Path(shared)
    status = run_tests("stop", sys.argv[3:])
sys.exit(status)
