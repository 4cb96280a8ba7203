#!/usr/bin/env python3
"""Progress on terminals of every kind and size, and `status` from another one.

usage: terminal.py BUILD_DIR SOURCE_DIR [TEST...]     needs only python3's standard library
"""
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
import time

from cases import run_tests, test

BUILD, SOURCE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
BIN, MODEL, IMAGES = BUILD / "mutatenn", SOURCE / "demo/model.onnx", SOURCE / "demo/images"


def run(*args, status=0, **kw):
    r = subprocess.run([BIN, *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, **kw)
    assert r.returncode == status, f"{args}: exit status {r.returncode}, not {status}\n{r.stdout[-2000:]}\n{r.stderr[-2000:]}"
    return r


def campaign(store, sample=8, device="host-gcc,host-clang"):
    images = store.parent / "images"
    if not images.exists():
        images.mkdir()
        for name in sorted(os.listdir(IMAGES))[:3]:
            shutil.copy(IMAGES / name, images)
    return ["run", "--model", MODEL, "--images", images, "--device", device, "--mutations", "loop.cond.*,loop.bound.*,loop.store.*", "--sites", f"sample {sample}",
            "--store", store]


class Screen:
    """What a terminal shows that wraps long lines, anew when its width changes: rows without a limit, and the few sequences that are used."""

    def __init__(self, columns):
        self.columns, self.rows, self.row, self.column, self.text, self.widest, self.tallest = columns, [""], 0, 0, "", 0, 0

    def height(self, row):
        return max(1, -(-len(row) // self.columns))

    def up(self, n):
        while n > 0 and self.row > 0:
            self.row -= 1
            n -= self.height(self.rows[self.row])
        assert n <= 0, "it went up into the middle of a line, or above the first"

    def put(self, text):
        for sequence, letter, char in re.findall(r"\x1b\[([\d;]*)([A-Za-z])|([^\x1b])", text):
            row = self.rows[self.row]
            if char == "\n":
                self.row += 1
                if self.row == len(self.rows):
                    self.rows.append("")
            elif char == "\r":
                self.column = 0
            elif char:
                self.rows[self.row] = row[:self.column].ljust(self.column) + char + row[self.column + 1:]
                self.column += 1
            elif letter == "A":
                self.up(int(sequence or 1))
            elif letter == "K":
                self.rows[self.row] = row[:self.column]
            elif letter == "J":
                self.rows = self.rows[:self.row + 1]
                self.rows[self.row] = row[:self.column]
            else:
                assert letter == "m", f"an unexpected sequence: {sequence}{letter}"
            if char and char >= " ":
                self.widest = max(self.widest, self.column)


class Terminal:
    def __init__(self, args, columns=80, lines=24, env=None, stdout=False):
        self.screen, self.raw, self.lines = Screen(columns), "", lines
        master, slave = pty.openpty()
        self.fd = master
        self.resize(columns, lines)
        environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TERM")} | {"TERM": "xterm", "LC_ALL": "C.UTF-8"} | (env or {})
        self.child = subprocess.Popen([BIN, *map(str, args)], stdin=slave, stdout=slave if stdout else subprocess.DEVNULL, stderr=slave, env=environment,
                                      preexec_fn=lambda: (os.setsid(), fcntl.ioctl(0, termios.TIOCSCTTY, 0)))
        os.close(slave)

    def resize(self, columns, lines):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.columns = columns

    def more(self):
        """Reads what is there; False at the end."""
        assert select.select([self.fd], [], [], 120)[0], f"nothing comes any more; it shows {self.screen.rows}"
        try:
            got = os.read(self.fd, 65536).decode("utf-8", "replace")
        except OSError:
            got = ""
        self.raw += got
        self.screen.put(got)
        return bool(got)

    def read(self, until=None):
        """To the end, or until the screen shows a pattern."""
        while not until or not re.search(until, "\n".join(self.screen.rows)):
            if not self.more():
                assert not until, f"it ended before it showed '{until}': {self.screen.rows}"
                return

    def end(self, status=0):
        self.read()
        os.close(self.fd)
        got = self.child.wait()
        assert got == status, f"exit status {got}, not {status}: {self.screen.rows}"
        return [r for r in self.screen.rows if r.strip()]


@test
def a_screen_says_how_far_it_is(tmp):
    """on a terminal: phase, share, time left, rate, outcomes, each device with what it runs; at the end none of it is left"""
    t = Terminal(campaign(tmp / "s.db", 40), env={"XDG_CACHE_HOME": str(tmp)})  # kernels are really built
    t.read(r"mutants \d+ %")
    t.read(r"\d+s left, \d+ of \d+, [\d.]+/s")
    t.read(r"(misclassified|identical|nan|drifted) \d+")
    t.read(r"host-gcc +working +(\d+/\d+ )?loop\.")
    shown = t.screen.rows
    assert any(re.match(r"\[#*\.*\]$", r) for r in shown), shown
    assert any(r.startswith("host-clang ") for r in shown), shown
    rows = t.end()
    assert all(re.match(r"\d+ mutants x devices|weights and|where the time went: lower |'loop.*a sample of", r) for r in rows), rows
    said = re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", t.raw)
    for phase in "opening devices", "compiling the model", "recording the plan", "running the original", "measuring noise":
        assert phase in said, phase
    assert re.search(r"kernels \d+/\d+", said) and re.search(r"measuring noise \d+ %", said)


@test
def every_size_fits(tmp):
    """in 20, 80 and 400 columns and in 4 lines nothing is wider or taller than the terminal"""
    for columns, lines in (20, 24), (80, 4), (400, 50), (1, 1):
        t = Terminal(campaign(tmp / f"{columns}.db", 2), columns, lines)
        t.end()
        drawn = [d.split("\x1b[J")[0] for d in re.split(r"\x1b\[\d+A\r|\r\x1b\[J", t.raw) if "\x1b[K" in d]
        assert len(drawn) >= 5
        for d in drawn:
            rows = re.sub(r"\x1b\[[\d;]*[A-Za-z]|\r", "", d.rsplit("\x1b[K", 1)[0]).split("\n")
            assert max(map(len, rows)) <= max(1, columns - 1), (columns, rows)
            assert len(rows) <= max(1, lines - 1), (lines, rows)


@test
def resizing_leaves_nothing_behind(tmp):
    """made narrower and wider while it runs, the display is drawn anew, and nothing of it is left at the end"""
    t = Terminal(campaign(tmp / "s.db", 60), 120)
    for columns in 30, 200, 17:
        t.read(r"mutants \d+ %.*\n\[")
        t.resize(columns, 24)
        drawn = t.raw.count("[K") + 20  # a few times
        while t.raw.count("[K") < drawn and t.more():
            pass
        assert sum(r.startswith("[#") for r in t.screen.rows) <= 1, t.screen.rows
    assert not [r for r in t.end() if "host-" in r and "store" not in r or r.startswith("[")]


@test
def ctrl_c_leaves_a_clean_terminal(tmp):
    """Ctrl-C takes the display away, says how to go on, and ends with status 1"""
    t = Terminal(campaign(tmp / "s.db", 40))
    t.read(r"mutants \d+ %.*\n\[#")
    os.write(t.fd, b"\x03")
    rows = [r.replace("^C", "") for r in t.end(status=1) if "a sample of" not in r]
    assert len(rows) == 1 and "the same command goes on" in rows[0], rows
    assert t.screen.column == 0


@test
def dumb_terminals_get_lines(tmp):
    """TERM=dumb gets a line per phase and no escape sequence; no terminal gets nothing, unless lines are asked for"""
    t = Terminal(campaign(tmp / "s.db", 2), env={"TERM": "dumb"}, stdout=True)
    t.end()
    assert "\x1b" not in t.raw and re.search(r"^measuring noise.*\r$", t.raw, re.M) and re.search(r"^mutants", t.raw, re.M)
    quiet = run(*campaign(tmp / "q.db", 2))
    assert "noise" not in quiet.stderr and "\r" not in quiet.stderr and "\x1b" not in quiet.stderr + quiet.stdout
    lines = run(*campaign(tmp / "l.db", 2), "--progress", "lines")
    assert re.search(r"^measuring noise", lines.stderr, re.M) and "\x1b" not in lines.stderr
    t = Terminal([*campaign(tmp / "n.db", 2), "--progress", "none"])
    t.end()
    assert "noise" not in t.raw
    run(*campaign(tmp / "m.db", 2), "--progress", "loud", status=2)


@test
def colour_only_where_it_is_wanted(tmp):
    """colour on a terminal; none with NO_COLOR, none in a pipe; tables are the same without it"""
    store = tmp / "s.db"
    t = Terminal([*campaign(store, 2)], stdout=True)
    t.end()
    assert re.search(r"\x1b\[\d+m", t.raw)
    t = Terminal(campaign(tmp / "n.db", 2), env={"NO_COLOR": "1"}, stdout=True)
    t.end()
    assert not re.search(r"\x1b\[\d*m", t.raw) and "\x1b[K" in t.raw
    plain = run("report", store).stdout
    assert "\x1b" not in plain and max(map(len, plain.splitlines())) <= 80
    t = Terminal(["report", store], 80, stdout=True)
    t.end()
    assert re.search(r"\x1b\[\d+m", t.raw)
    assert re.sub(r"\x1b\[[\d;]*m|\r", "", t.raw) == plain


def state(store):
    return json.loads(run("status", store, "--json").stdout)


@test
def status_follows_a_campaign(tmp):
    """status says running with phase, rate and devices; interrupted after kill -9; finished at the end; and reads the store only"""
    store = tmp / "s.db"
    run("status", store, status=1)
    p = subprocess.Popen([BIN, *map(str, campaign(store, 60))], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    seen = {}
    while not seen.get("rate"):
        assert p.poll() is None, "it ended too early"
        time.sleep(0.1)
        seen = state(store) if store.exists() and sqlite3.connect(store).execute("PRAGMA user_version").fetchone()[0] else {}
    assert seen["state"] == "running" and seen["phase"] == "mutants" and seen["writer"]["pid"] == p.pid and seen["left_s"] > 0
    assert 0 < seen["done"] < seen["of"] == 2 * seen["mutants"] and [d["name"] for d in seen["devices"]] == ["host-gcc", "host-clang"]
    assert {d["state"] for d in seen["devices"]} <= {"working", "building", "waiting"} and seen["done"] == sum(d["done"] for d in seen["devices"])
    text = run("status", store).stdout
    assert "running" in text and "left" in text and "\x1b" not in text
    os.killpg(p.pid, signal.SIGKILL)
    p.wait()
    dead = state(store)
    assert dead["state"] == "interrupted" and dead["writer"] is None and dead["rate"] is None and dead["done"] >= seen["done"]
    assert {d["state"] for d in dead["devices"]} == {"interrupted"} and "goes on with it" in run("status", store).stdout
    small = tmp / "t.db"
    run(*campaign(small, 2))
    done = state(small)
    report = json.loads(run("report", small, "--json", "-").stdout)
    assert done["state"] == "finished" and done["done"] == done["of"] == 2 * len(report["mutants"]) and done["outcomes"] == report["counts"]["outcomes"]
    assert done["killed"] == {k: v["killed"] for k, v in report["counts"]["killed"].items()} and {d["state"] for d in done["devices"]} == {"done"}
    before = {p.name: p.stat().st_mtime_ns for p in tmp.iterdir() if p.name.startswith("t.db")}
    run("status", small)
    assert {p.name: p.stat().st_mtime_ns for p in tmp.iterdir() if p.name.startswith("t.db")} == before


@test
def watch_ends_with_the_campaign(tmp):
    """status --watch shows the same place again and again on a terminal, an object per line in a pipe, and ends when the writer does"""
    store = tmp / "s.db"
    p = subprocess.Popen([BIN, *map(str, campaign(store, 12))], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not store.exists() or not sqlite3.connect(store).execute("PRAGMA user_version").fetchone()[0]:
        time.sleep(0.05)
    piped = subprocess.Popen([BIN, "status", store, "--json", "--watch"], stdout=subprocess.PIPE, text=True)
    t = Terminal(["status", store, "--watch"], stdout=True)
    rows = t.end()
    out = [json.loads(line) for line in piped.communicate(timeout=120)[0].splitlines()]
    p.wait()
    assert sum(" mutants, 3 images" in r for r in rows) == 1 and "finished" in rows[0], rows
    assert len(out) >= 2 and [x["state"] for x in out][-1] == "finished" and out[0]["state"] == "running"
    assert all(a["done"] <= b["done"] for a, b in zip(out, out[1:]))


@test
def init_asks_again(tmp):
    """a model or a folder that is not there is asked for again at once"""
    t = Terminal(["init", tmp / "c.yaml"], stdout=True)
    for answer, wanted in [("nope.onnx", r"no 'nope.onnx'\nModel"), (SOURCE / "demo", r"is a folder\nModel"), (SOURCE / "demo/model.onnx", "Pictures"),
                           ("nowhere", r"no 'nowhere'\nPictures"), (SOURCE / "demo/images", "Devices .*: $"), ("host-gcc", "run .*c.yaml")]:
        t.read("(Model|Pictures|Devices) [^:]*: $")
        os.write(t.fd, f"{answer}\n".encode())
        t.read(wanted)
    t.end()
    assert "devices: [host-gcc]" in (tmp / "c.yaml").read_text()


@test
def hostile_facts_are_survived(tmp):
    """what a damaged store says of the campaign's progress is an error or is shown, never more"""
    store = tmp / "s.db"
    run(*campaign(store, 2))
    for text in ("", "\n\n\n", "state", "device", "device\thost-gcc", "device\thost-gcc\tdancing\t1\t2\t\t\n", "rate\tnan\n", "elapsed\tinf", "phase-done\t1e300\nphase-of\t-5\n",
                 "device\thost-gcc\tworking\t99999999999999999999\t-1\t\x1b[31mred\t\n" * 500, "x" * 100000, "phase\t\x1b[2J\x07\nwriter\t-1\t\x1b]0;title\x07\nupdated\t1e18"):
        con = sqlite3.connect(store)
        con.execute("UPDATE meta SET value = ? WHERE name = 'status'", (text,))
        con.commit()
        con.close()
        for args in ([], ["--json"]):
            r = subprocess.run([BIN, "status", store, *args], capture_output=True, text=True, timeout=60)
            assert r.returncode in (0, 1) and (r.returncode == 0 or "damaged" in r.stderr), (text[:50], r)
            assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", r.stdout + r.stderr), (text[:50], r.stdout)


sys.exit(run_tests("terminal", sys.argv[3:]))
