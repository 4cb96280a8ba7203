#!/usr/bin/env python3
"""Devices behind ssh: campaigns on the demo's model through a real sshd on loopback, with keys made for the purpose.

usage: remote.py BUILD_DIR SOURCE_DIR [TEST...]     needs only python3's standard library, and Debian's openssh-server and -client
"""
import atexit
import fcntl
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import termios
import time

from cases import run_tests, test

BUILD, SOURCE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
BIN, WORKER = BUILD / "mutatenn", BUILD / "mutatenn-worker"
MODEL, IMAGES = SOURCE / "demo/model.onnx", SOURCE / "demo/images"
SSHD = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin:/sbin")


class Sshd:
    """A server of the current user's, and what a client needs to reach it as 'board'."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="mutatenn-sshd-"))
        atexit.register(shutil.rmtree, self.dir, ignore_errors=True)
        atexit.register(self.stop)
        for key in "host", "user", "stranger":
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.dir / key], check=True)
        shutil.copy(self.dir / "user.pub", self.dir / "authorized")
        if os.getuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        (self.dir / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self.dir}/host\nAuthorizedKeysFile {self.dir}/authorized\nPidFile none\n"
            "UsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication yes\nMaxStartups 100\n")
        (self.dir / "known_hosts").write_text(f"[127.0.0.1]:{self.port} " + (self.dir / "host.pub").read_text())
        self.config = self.client("config", f"IdentityFile {self.dir}/user\nBatchMode yes\n")
        self.process = None
        self.start()

    def client(self, name, lines, known_hosts="known_hosts"):
        path = self.dir / name
        path.write_text(f"Host board\nHostName 127.0.0.1\nPort {self.port}\nUser {pwd.getpwuid(os.getuid()).pw_name}\nIdentitiesOnly yes\n"
                        f"IdentityAgent none\nUserKnownHostsFile {self.dir}/{known_hosts}\nGlobalKnownHostsFile none\n" + lines)
        return path

    def start(self):
        self.process = subprocess.Popen([SSHD, "-D", "-e", "-f", self.dir / "sshd_config"], stderr=open(self.dir / "log", "a"))
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(.05)
        raise RuntimeError("sshd does not start:\n" + (self.dir / "log").read_text()[-2000:])

    def sessions(self):
        """All processes of connections: descendants of the server called sshd."""
        parent = {}
        for p in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                name, rest = (p / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
                if name.startswith("sshd"):
                    parent[int(p.name)] = int(rest.split()[1])
            except OSError:
                pass
        found = {self.process.pid}
        while True:
            more = {p for p, of in parent.items() if of in found} - found
            if not more:
                return found - {self.process.pid}
            found |= more

    def drop(self):
        """Ends all connections; what ran at their other end sees no more than that."""
        gone = 0
        for p in self.sessions():
            try:
                os.kill(p, signal.SIGKILL)
                gone += 1
            except ProcessLookupError:
                pass
        return gone

    def stop(self):
        if self.process:
            sessions = self.sessions()
            self.process.kill()
            self.process.wait()
            for p in sessions:
                try:
                    os.kill(p, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        self.process = None


def run(*args, status=0, **kw):
    r = subprocess.run([BIN, *map(str, args)], capture_output=True, text=True, timeout=300, **kw)
    assert r.returncode == status, f"{args}: exit status {r.returncode}, not {status}\n{r.stdout[-2000:]}\n{r.stderr[-3000:]}"
    return r


def table(store, device="board"):
    """What a campaign decided on a device, without times."""
    report = json.loads(run("report", store, "--json", "-").stdout)
    return [(m["id"], m["sites"], [(d["outcome"], d["images"], d["images_changed"], d["code"]) for d in m["devices"] if d["device"] == device])
            for m in report["mutants"]]


def same(got, want):
    assert len(got) == len(want), (len(got), len(want))
    for g, w in zip(got, want):
        assert g == w, f"now {g}, on this machine {w}"


def results(store, where="1"):
    try:
        con = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
        try:
            return con.execute(f"SELECT count(*) FROM results JOIN devices USING(device) WHERE {where}").fetchone()[0]
        finally:
            con.close()
    except sqlite3.Error:
        return 0


def remote(tmp, *before, worker=WORKER):
    """A worker command whose caches lie in tmp, as if on another machine."""
    return ["ssh", "-F", str(SERVER.config), "board", *before, f"XDG_CACHE_HOME={tmp}/there", str(worker)]


def campaign(tmp, worker, name="campaign", devices=("board",), few={}, **keys):
    """Each device but host-gcc is defined with that worker command; None is this machine's own."""
    definition = {"name": "board", **({"worker": worker} if worker else {}), **keys}
    images = tmp / "images"
    if not images.exists():
        images.mkdir()
        for picture in sorted(IMAGES.glob("*.png"))[:4]:
            shutil.copy(picture, images)
        shutil.copy(IMAGES / "labels.csv", images)
    path = tmp / f"{name}.yaml"
    path.write_text(json.dumps({"model": str(MODEL), "images": str(images), "devices": list(devices), "device-definitions": [definition],
                                "mutations": [{"preset": "mutatenn-paper"}, {"operator": "loop.cond.*", "sites": "sample 12"}, {"operator": "input.*"}],
                                "store": f"{name}.db", **few}))
    return path, tmp / f"{name}.db"


LOCAL = {}


def local(tmp):
    """The same campaign without ssh; made once."""
    if not LOCAL:
        path, store = campaign(tmp, None, "local")
        run("run", path)
        LOCAL["table"] = table(store)
        assert len(LOCAL["table"]) > 30 and all(len(devices) == 1 for _, _, devices in LOCAL["table"])
    return LOCAL["table"]


def start(path):
    return subprocess.Popen([BIN, "run", path], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_for(p, what):
    while p.poll() is None and not what():
        time.sleep(.02)
    assert p.poll() is None, "the campaign was over too early:\n" + p.communicate()[1]


@test
def campaign_through_ssh(tmp):
    """a campaign through ssh decides what one on this machine does"""
    path, store = campaign(tmp, remote(tmp))
    run("run", path)
    same(table(store), local(tmp))


@test
def dropped_connections(tmp):
    """all connections dropped in the middle, twice: the same table"""
    path, store = campaign(tmp, remote(tmp))
    p, dropped = start(path), 0
    for n in 3, 20:
        wait_for(p, lambda: results(store) >= n)
        dropped += SERVER.drop()
    err = p.communicate(timeout=300)[1]
    assert p.returncode == 0, err
    assert dropped >= 2 and "connection was lost" in err, (dropped, err)
    same(table(store), local(tmp))


@test
def frozen_connections(tmp):
    """connections that fall silent without an end: ssh's ServerAliveInterval ends them, and the table is the same"""
    config = SERVER.client("config-alive", f"IdentityFile {SERVER.dir}/user\nBatchMode yes\nServerAliveInterval 1\nServerAliveCountMax 2\n")
    worker = remote(tmp)
    worker[2] = str(config)
    path, store = campaign(tmp, worker)
    p, frozen = start(path), set()
    try:
        wait_for(p, lambda: results(store) >= 3)
        frozen = SERVER.sessions()
        for session in frozen:
            os.kill(session, signal.SIGSTOP)
        err = p.communicate(timeout=300)[1]
    finally:
        for session in frozen:
            os.kill(session, signal.SIGKILL)
    assert p.returncode == 0 and "connection was lost" in err and "not responding" in err, err
    same(table(store), local(tmp))


@test
def dropped_in_a_driver(tmp):
    """a device whose runner is its own child is not blamed for its connection, nor the mutant: PoCL through ssh, dropped twice"""
    if not [d for d in json.loads(run("devices", "--json").stdout)["devices"] if d["name"] == "pocl" and d["available"]]:
        print("      skipped here: PoCL is absent (Debian: pocl-opencl-icd)")
        return
    keys = {"backend": "opencl", "select": "Portable Computing Language"}
    few = {"mutations": [{"operator": "loop.cond.*", "sites": "sample 12"}]}
    path, want = campaign(tmp, None, "local", few=few, **keys)
    run("run", path)
    path, store = campaign(tmp, remote(tmp), few=few, **keys)
    p = start(path)
    for n in 2, 6:
        wait_for(p, lambda: results(store) >= n)
        SERVER.drop()
    err = p.communicate(timeout=300)[1]
    assert p.returncode == 0 and "connection was lost" in err, err
    same(table(store), table(want))


@test
def lost_for_good(tmp):
    """a server that stays away: exit status 1 names the device, the other device went on, and the same command completes the campaign"""
    path, store = campaign(tmp, remote(tmp), devices=("board", "host-gcc"), reconnect=2)
    p = start(path)
    wait_for(p, lambda: results(store, "name = 'board'") >= 3)
    SERVER.stop()
    try:
        err = p.communicate(timeout=120)[1]
    finally:
        SERVER.start()
    assert p.returncode == 1 and "device 'board' was lost" in err and "device 'board' is set aside" in err, (p.returncode, err)
    want = local(tmp)
    same(table(store, "host-gcc"), want)
    undone = [row for row in table(store) if row[2][0][0] == "tool-error"]
    assert undone and len(undone) < len(want), len(undone)
    err = run("run", path).stderr
    assert "were done before" in err
    same(table(store), want)


def blobs(text):
    """sent and found there, of large ones"""
    found = re.search(r"blob cache: (\d+) \([\d.]+ MB\) sent, (\d+) \(", text)
    return tuple(map(int, found.groups())) if found else (0, 0)


@test
def blobs_are_sent_once(tmp):
    """a second campaign finds weights and pictures in the device's cache; a damaged one is sent again; 0 keeps none"""
    there = tmp / "there/mutatenn/blobs"
    sent, found = blobs(run("run", campaign(tmp, remote(tmp), "first")[0]).stderr)
    assert sent >= 4 and not found, (sent, found)
    files = sorted(there.iterdir())
    assert len(files) == sent and all(len(f.name) == 32 and f.stat().st_size >= 32768 for f in files), files
    path, store = campaign(tmp, remote(tmp), "second")
    assert blobs(run("run", path).stderr) == (0, sent)
    same(table(store), local(tmp))
    damaged = bytearray(files[0].read_bytes())
    damaged[1000] ^= 1
    files[0].write_bytes(damaged)
    files[1].write_bytes(files[1].read_bytes()[:-1])
    files[2].unlink()
    os.mkfifo(files[2])
    path, store = campaign(tmp, remote(tmp), "damaged")
    assert blobs(run("run", path).stderr) == (3, sent - 3)
    same(table(store), local(tmp))
    path, store = campaign(tmp, remote(tmp), "none", **{"blob-cache": "0"})
    assert blobs(run("run", path).stderr) == (0, 0)


@test
def blob_cache_is_bounded(tmp):
    """the cache keeps within blob-cache: the longest unused go"""
    there = tmp / "there/mutatenn/blobs"
    for count in 1, 3:
        run("run", campaign(tmp, remote(tmp), f"bounded{count}", count=count, **{"blob-cache": "128K"})[0])
        assert 0 < sum(f.stat().st_size for f in there.iterdir()) <= 128 << 10, list(there.iterdir())


@test
def lost_while_the_original_runs(tmp):
    """a server that goes away before the first mutant: the other device's campaign is run"""
    path, store = campaign(tmp, remote(tmp), devices=("host-gcc", "board"), reconnect=1)
    p = start(path)
    wait_for(p, lambda: list(tmp.glob("there/mutatenn/kernels*/*.so")))
    SERVER.stop()
    try:
        err = p.communicate(timeout=120)[1]
    finally:
        SERVER.start()
    assert p.returncode == 1 and "device 'board' was lost" in err and "device 'board' is set aside" in err, (p.returncode, err)
    same(table(store, "host-gcc"), local(tmp))
    assert not results(store, "name = 'board'")
    run("run", path)
    same(table(store), local(tmp))


@test
def compiled_here(tmp):
    """kernels compiled on this machine and run on the other one"""
    path, store = campaign(tmp, remote(tmp), builder=["mutatenn-worker"])
    run("run", path)
    assert not list(tmp.glob("there/mutatenn/kernels*/*.so"))
    same(table(store), local(tmp))


@test
def three_connections(tmp):
    """count: 3 connections decide what one does"""
    path, store = campaign(tmp, remote(tmp), count=3)
    run("run", path)
    same(table(store), local(tmp))


@test
def banner_first(tmp):
    """a login shell that prints before the worker speaks does no harm"""
    path, store = campaign(tmp, remote(tmp, "echo Welcome to the board;"))
    assert "Welcome to the board" in run("run", path).stderr
    same(table(store), local(tmp))


def refused(tmp, worker, *words, limit=20, **keys):
    """On a terminal of its own, on which questions could be asked."""
    path, _ = campaign(tmp, worker, **keys)
    began = time.time()
    ours, theirs = os.openpty()
    try:
        err = run("run", path, status=1, start_new_session=True, preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)).stderr
    finally:
        os.close(ours)
        os.close(theirs)
    assert time.time() - began < limit, f"it took {time.time() - began:.1f} s"
    for word in words:
        assert word in err, err


@test
def missing_worker(tmp):
    """a worker that is not installed there is said to be so"""
    refused(tmp, remote(tmp, worker="mutatenn-worker-of-nowhere"), "'mutatenn-worker-of-nowhere' is not installed on the other side (exit status 127)")
    refused(tmp, ["ssh", "-F", str(SERVER.config), "board", "/nowhere/mutatenn-worker"], "'/nowhere/mutatenn-worker' is not installed on the other side",
            "No such file or directory")


@test
def other_version(tmp):
    """a worker of another version is told apart"""
    fake = tmp / "mutatenn-worker"
    fake.write_text("#!/bin/sh\nprintf '\\223mutaNN\\n\\2\\0\\0\\0\\2\\0\\0\\0\\10\\143'\ncat >/dev/null\n")
    fake.chmod(0o755)
    refused(tmp, remote(tmp, worker=fake), "speaks version 99 of the protocol", "install the same release on both sides")


@test
def other_version_of_the_other_side(tmp):
    """a worker answers a greeting of another version, and one it cannot read, with its own version and in words"""
    frame = lambda kind, payload: struct.pack("<II", len(payload), kind) + payload
    for hello, word in [(frame(1, b"\x08\x63\x12\x06runner\x1a\x03cpu"), b"the pool 99: install the same release on both sides"),
                        (frame(1, b"\x08\x63\xff\xff"), b"broken 'Hello' message"), (frame(200, b"\x08\x63"), b"frame of unknown type 200")]:
        out = subprocess.run([WORKER], input=hello, capture_output=True, timeout=20).stdout
        assert out.startswith(b"\x93mutaNN\n") and out[12] == 2 and out[16] == 8 and word in out, out


@test
def no_connection(tmp):
    """what ssh says when it cannot connect is shown"""
    config = SERVER.client("config-refused", f"IdentityFile {SERVER.dir}/user\n")
    config.write_text(config.read_text().replace(f"Port {SERVER.port}", "Port 1"))
    refused(tmp, ["ssh", "-F", str(config), "board", str(WORKER)], "no connection: 'ssh' ended with status 255", "Connection refused")


@test
def questions(tmp):
    """a password, an unknown host key or a question on the terminal: an error at once, never a hang"""
    stranger = SERVER.client("config-password", f"IdentityFile {SERVER.dir}/stranger\n")
    refused(tmp, ["ssh", "-F", str(stranger), "board", str(WORKER)], "Permission denied")
    unknown = SERVER.client("config-unknown", f"IdentityFile {SERVER.dir}/user\nStrictHostKeyChecking ask\n", "nowhere")
    refused(tmp, ["ssh", "-F", str(unknown), "board", str(WORKER)], "Host key verification failed")
    refused(tmp, ["bash", "-c", "read -p 'password: ' x </dev/tty && exec " + str(WORKER)], "/dev/tty")


@test
def silence(tmp):
    """a command that asks on the wire and never answers is given up after start-timeout, and its question shown"""
    refused(tmp, ["bash", "-c", "printf 'Proceed (y/n)? '; sleep 1000"], "did not answer within 2 seconds; it printed: Proceed (y/n)?",
            **{"start-timeout": 2})


def main():
    global SERVER
    if not SSHD or not shutil.which("ssh") or not shutil.which("ssh-keygen"):
        print("skipped: sshd, ssh or ssh-keygen is not installed (Debian: openssh-server openssh-client)")
        return 77
    if not (IMAGES / "labels.csv").exists():
        print("skipped: demo/images is absent")
        return 77
    SERVER = Sshd()
    return run_tests("e2e", sys.argv[3:], on_failure=lambda: (SERVER.dir / "log").read_text()[-1500:])


sys.exit(main())
