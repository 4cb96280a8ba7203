#!/usr/bin/env python3
"""mutatenn fetch against a server on this machine that lies in every way.

usage: fetch.py BUILD_DIR SOURCE_DIR [TEST...]     needs python3's standard library and openssl

The certificates are made here; nothing outside this machine is asked.
"""
import hashlib
import http.server
import json
import os
import pathlib
import pty
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

from cases import run_tests, test

BUILD, SOURCE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
BIN = BUILD / "mutatenn"
DATA = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(300_000)
PATIENCE = 120  # a test that gives up; no criterion


class Handler(http.server.BaseHTTPRequestHandler):
    """GET /how/NAME.onnx is answered by the method `how`."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def do_GET(self):
        server = self.server
        server.seen.append((self.path, self.headers.get("Range")))
        try:
            getattr(self, self.path.split("/")[1])()
        except (BrokenPipeError, ConnectionError, ssl.SSLError):
            pass
        self.close_connection = True

    def send(self, data, status=200, length=None, **headers):
        self.send_response(status)
        if length != "none":
            self.send_header("Content-Length", str(len(data) if length is None else length))
        for k, v in headers.items():
            self.send_header(k.replace("_", "-"), v)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def start(self):
        m = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        return int(m[1]) if m else 0

    def ranged(self, data, **more):
        at = self.start()
        if at:
            self.send(data[at:], 206, Content_Range=f"bytes {at}-{len(data) - 1}/{len(data)}", **more)
        else:
            self.send(data, **more)

    def good(self):
        self.ranged(DATA)

    def wrong_hash(self):
        self.ranged(OTHER)

    def truncated(self):
        self.send(DATA[:1000])

    def too_long(self):
        self.send(DATA + b"x")

    def endless(self):
        self.send(b"", length="none")
        while True:
            self.wfile.write(DATA)

    def length_too_small(self):
        self.send(DATA, length=1000)

    def length_too_large(self):
        self.send(DATA, length=10**12)

    def length_missing(self):
        self.send(DATA, length="none")

    def length_nonsense(self):
        self.send(DATA, length="-7")

    def to_http(self):
        self.send(b"", 302, Location=f"http://localhost:{self.server.server_port}/good/net-1.onnx")

    def to_file(self):
        self.send(b"", 302, Location="file:///etc/passwd")

    def to_good(self):
        self.send(b"moved" * 100, 302, Location="/good/net-1.onnx")

    def to_itself(self):
        self.send(b"", 302, Location=self.path)

    def absent(self):
        self.send(b"no such file", 404)

    def broken(self):
        self.send(b"oops", 500)

    def empty(self):
        self.send(b"", 204, length="none")

    def stalled(self):
        self.send(DATA[:1000], length=len(DATA))
        self.server.closing.wait(PATIENCE)

    def silent(self):
        self.server.closing.wait(PATIENCE)

    def closed(self):  # every time a little more
        at = self.start()
        some = DATA[at:at + 100_000]
        self.send(some, 206 if at else 200, length=len(DATA) - at, **({"Content_Range": f"bytes {at}-{len(DATA) - 1}/{len(DATA)}"} if at else {}))

    def closed_once(self):
        if len(self.server.seen) > 1:
            return self.ranged(DATA)
        self.send(DATA[:100_000], length=len(DATA))

    def closed_at_once(self):
        self.connection.shutdown(socket.SHUT_RDWR)

    def range_ignored(self):
        self.send(DATA)

    def range_wrong(self):
        at = self.start()
        if not at:
            return self.send(DATA)
        self.send(DATA[at - 10:], 206, Content_Range=f"bytes {at - 10}-{len(DATA) - 1}/{len(DATA)}")

    def range_of_another_file(self):
        at = self.start()
        self.send(OTHER[at:] + b"more", 206 if at else 200, Content_Range=f"bytes {at}-{len(DATA) + 3}/{len(DATA) + 4}")

    def range_without_asking(self):
        self.send(DATA, 206, Content_Range=f"bytes 0-{len(DATA) - 1}/{len(DATA)}")

    def range_refused(self):
        if self.start():
            return self.send(b"", 416, Content_Range=f"bytes */{len(DATA)}")
        self.send(DATA)

    def changed(self):  # the rest is that of another file
        self.ranged(OTHER if self.start() else DATA)

    def compressed(self):
        import gzip
        self.send(gzip.compress(bytes(10**7)), length="none", Content_Encoding="gzip")

    def pointer(self):
        self.send(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 300000\n")

    def long_head(self):
        self.send_response(200)
        for i in range(20):
            self.send_header(f"X-{i}", "y" * 60000)
        self.end_headers()

    def no_http(self):
        self.wfile.write(random.Random(3).randbytes(5000))


def certificate(folder, name, host="localhost"):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem",
                    "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"], check=True, capture_output=True)
    return folder / f"{name}.pem", folder / f"{name}.key"


class Server:
    def __init__(self, pem, key):
        self.http = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem, key)
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True, do_handshake_on_connect=False)
        self.http.seen, self.http.closing, self.http.daemon_threads = [], threading.Event(), True
        self.http.handle_error = lambda *a: None
        self.url = f"https://localhost:{self.http.server_port}/"
        self.pem = pem
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.closing.set()
        self.http.shutdown()
        self.http.server_close()


def entry(path, data=DATA, **meta):
    return {"model": "Net", "model_path": path, "opset_version": 1, "metadata": {"model_sha": hashlib.sha256(data).hexdigest(), "model_bytes": len(data), **meta}}


class Case:
    """A folder, a server and a manifest with net-1 at /how/net-1.onnx."""
    server = None

    def __init__(self, tmp, how="good", entries=None):
        self.tmp, self.out = tmp, tmp / "out"
        shutil.rmtree(self.out, ignore_errors=True)
        self.manifest = tmp / "manifest.json"
        self.manifest.write_text(json.dumps(entries or [entry(f"{how}/net-1.onnx")]))
        Case.server.http.seen.clear()
        self.file, self.part = self.out / "net-1.onnx", self.out / "net-1.onnx.part"

    def args(self, *more, name="net-1"):
        place = [] if "--from" in more else ["--from", Case.server.url]
        return [str(a) for a in [BIN, "fetch", name, "--out", self.out, "--manifest", self.manifest, *place, "--ca", Case.server.pem, *more]]

    def run(self, *more, status=0, says="", name="net-1", env=None):
        r = subprocess.run(self.args(*more, name=name), capture_output=True, text=True, timeout=PATIENCE, env={**CLEAN, **(env or {})})
        assert r.returncode == status, (r.returncode, r.stderr)
        assert says in r.stderr, r.stderr
        assert "\r" not in r.stderr and "\x1b" not in r.stderr, "progress in a pipe"
        return r

    def whole(self, *more, **kw):
        r = self.run(*more, **kw)
        assert self.file.read_bytes() == DATA and not self.part.exists()
        return r

    def fails(self, says, *more, part=None, status=1, **kw):
        r = self.run(*more, status=status, says=says, **kw)
        assert not self.file.exists(), "a file that is not whole"
        left = self.part.stat().st_size if self.part.exists() else 0
        assert part is None or left == part, left
        assert "net-1" in r.stderr, r.stderr
        return r

    def begun(self, n, data=DATA):
        self.out.mkdir(exist_ok=True)
        self.part.write_bytes(data[:n])
        return self


CLEAN = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and k != "MUTATENN_HUB"}


@test
def a_model_is_fetched_once(tmp):
    """whole, by its hash; the second time it is there already; JSON; another file of that name is left alone"""
    c = Case(tmp)
    assert c.whole().stdout == f"{c.file}\n"
    assert len(c.server.http.seen) == 1
    c.whole(says="already")
    assert len(c.server.http.seen) == 1
    assert json.loads(c.run("--json").stdout) == {"name": "net-1", "file": str(c.file), "bytes": len(DATA), "sha256": hashlib.sha256(DATA).hexdigest(), "fetched": False}
    c.file.write_bytes(b"mine")
    c.run(status=1, says="is not this model")
    assert c.file.read_bytes() == b"mine"
    Case(tmp, "to_good").whole()
    Case(tmp, "length_missing").whole()


@test
def what_is_not_the_model_is_refused(tmp):
    """another hash, too short, too long, without end, lengths that lie, compressed, a pointer, errors, no HTTP"""
    for how, says in [("wrong_hash", "SHA-256"), ("truncated", "a file of 1000 bytes"), ("too_long", "a file of 300001 bytes"), ("endless", "more than the 300000 bytes"),
                      ("length_too_small", "a file of 1000 bytes"), ("length_too_large", "a file of 1000000000000 bytes"), ("length_nonsense", ""),
                      ("compressed", "compressed"), ("pointer", "a file of"), ("absent", "answered 404"), ("broken", "answered 500"), ("empty", "answered 204"),
                      ("closed_at_once", ""), ("no_http", ""), ("long_head", ""), ("range_without_asking", "another range")]:
        c = Case(tmp, how)
        c.fails(says)
        left = c.part.stat().st_size if c.part.exists() else 0
        assert left <= len(DATA), (how, left)


@test
def redirects_stay_within_https(tmp):
    """to http, to a file, to itself without end"""
    for how, says in [("to_http", ""), ("to_file", ""), ("to_itself", "redirects")]:
        Case(tmp, how).fails(says, part=0)


@test
def certificates_are_checked(tmp):
    """a server that nobody vouches for, one whose certificate is over, one of another name"""
    c = Case(tmp)
    c.run("--ca", certificate(tmp, "else")[0], status=1, says="certificate")
    subprocess.run(["openssl", "req", "-new", "-key", c.server.pem.with_suffix(".key"), "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                    "-out", tmp / "r.csr"], check=True, capture_output=True)
    subprocess.run(["openssl", "x509", "-req", "-in", tmp / "r.csr", "-signkey", c.server.pem.with_suffix(".key"), "-days", "-1", "-copy_extensions", "copy",
                    "-out", tmp / "over.pem"], check=True, capture_output=True)
    for pem, key, says in [(tmp / "over.pem", c.server.pem.with_suffix(".key"), "expired"),
                           (*certificate(tmp, "name", "elsewhere"), "no alternative certificate subject name matches")]:
        s = Server(pem, key)
        c.run("--from", s.url, "--ca", pem, status=1, says=says)
        s.close()
    assert not c.file.exists() and not c.part.exists()


@test
def only_https_is_spoken(tmp):
    """http, file, ftp and nonsense as the place; a manifest without one"""
    c = Case(tmp)
    for url in ["http://localhost/", "file:///etc/", "ftp://localhost/", "localhost"]:
        c.run("--from", url, status=2, says="only https")
    c.run("--from", "", status=2, says="names nothing")
    c.run("--from", "https://localhost:1/", status=1, says="localhost:1")
    r = subprocess.run([BIN, "fetch", "net-1", "--manifest", c.manifest], capture_output=True, text=True, env=CLEAN)
    assert r.returncode == 2 and "--from" in r.stderr
    assert not c.file.exists()


@test
def of_several_mirrors_the_next_is_tried(tmp):
    """one that has not the model, one that breaks off, one that has it: all of them together; and from the environment"""
    c = Case(tmp)
    url = c.server.url
    other = "net-1.onnx?"  # roots of these mirrors: the model's path, /good/net-1.onnx, comes behind the question mark
    r = c.fails("SHA-256", "--from", f"{url}absent/{other},{url}broken/{other}", "--from", f"{url}wrong_hash/{other}")
    assert "404" in r.stderr and "500" in r.stderr, r.stderr
    c.whole("--from", f"{url}absent/{other}", "--from", f"https://localhost:1,{url}", says="trying elsewhere")
    c = Case(tmp)
    args = [a for a in c.args() if a not in ("--from", url)]
    r = subprocess.run(args, capture_output=True, text=True, env={**CLEAN, "MUTATENN_HUB": url})
    assert r.returncode == 0 and c.file.read_bytes() == DATA, r.stderr
    r = subprocess.run(args, capture_output=True, text=True, env={**CLEAN, "MUTATENN_HUB": "http://localhost/"})
    assert r.returncode == 2 and "only https" in r.stderr, r.stderr


@test
def a_part_is_gone_on_with(tmp):
    """only what is missing is asked for; a server that does not go on, or wrongly, or with another file; a part that is wrong or too long"""
    c = Case(tmp).begun(123_456)
    c.whole()
    assert c.server.http.seen == [("/good/net-1.onnx", "bytes=123456-")]
    Case(tmp).begun(len(DATA)).whole()
    assert not c.server.http.seen
    for how in ["range_ignored", "range_refused"]:
        Case(tmp, how).begun(1000).whole()
    Case(tmp, "closed").whole()
    Case(tmp, "closed_once").whole()
    Case(tmp).begun(1000, OTHER).whole(says="fetched anew")
    Case(tmp).begun(len(DATA), OTHER).whole(says="fetched anew")
    Case(tmp).begun(len(DATA) + 5, DATA + b"12345").whole()
    Case(tmp, "changed").begun(1000).whole(says="fetched anew")
    Case(tmp, "range_wrong").begun(1000).fails("another range", part=1000)
    Case(tmp, "range_of_another_file").begun(1000).fails("a file of 300004 bytes", part=1000)
    c = Case(tmp)
    c.out.mkdir()
    c.part.symlink_to(tmp / "elsewhere")
    c.run(status=1, says="cannot write")
    assert not (tmp / "elsewhere").exists()


@test
def a_stalled_connection_is_given_up(tmp):
    """one that brings nothing more, one that says nothing at all; what came is kept"""
    Case(tmp, "stalled").fails("", "--stall", "1", part=1000)
    Case(tmp, "silent").fails("", "--stall", "1", part=0)
    Case(tmp).run("--stall", "0", status=2, says="--stall")


@test
def stopped_it_goes_on_later(tmp):
    """SIGINT, SIGTERM, SIGHUP and kill -9 while it waits for more: the part stays and is gone on with"""
    for sig in [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL]:
        c = Case(tmp, "stalled")
        p = subprocess.Popen(c.args("--stall", "3000"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=CLEAN)
        while not (c.part.exists() and c.part.stat().st_size == 1000):
            assert p.poll() is None, p.communicate()
            time.sleep(.01)
        c.run(status=1, says="another process")
        p.send_signal(sig)
        _, err = p.communicate(timeout=PATIENCE)
        assert p.returncode == (-9 if sig == signal.SIGKILL else 1) and (sig == signal.SIGKILL or "goes on from there" in err), (p.returncode, err)
        part = c.part.read_bytes()
        assert part == DATA[:1000]
        Case(tmp).begun(1000).whole()


@test
def a_terminal_sees_progress(tmp):
    """and a pipe does not (as all other tests check)"""
    c = Case(tmp, "stalled")
    master, slave = pty.openpty()
    p = subprocess.Popen(c.args("--stall", "1"), stdout=subprocess.DEVNULL, stderr=slave, env={**CLEAN, "TERM": "xterm"})
    os.close(slave)
    text = b""
    while True:
        try:
            more = os.read(master, 4096)
        except OSError:
            break
        if not more:
            break
        text += more
    p.wait()
    assert re.search(rb"\rnet-1: 0\.0 of 0\.3 MB \(0 %\)", text), text
    os.close(master)


@test
def the_proxy_of_the_environment_is_used(tmp):
    """https_proxy gets a CONNECT, no_proxy none"""
    c = Case(tmp)
    s = socket.create_server(("localhost", 0))
    got = []

    def proxy():
        conn, _ = s.accept()
        got.append(conn.recv(4096))
        conn.sendall(b"HTTP/1.1 403 no\r\n\r\n")
        conn.close()

    t = threading.Thread(target=proxy, daemon=True)
    t.start()
    env = {"https_proxy": f"http://localhost:{s.getsockname()[1]}"}
    c.run(status=1, says="403", env=env)
    t.join(PATIENCE)
    assert got[0].startswith(b"CONNECT localhost:"), got
    c.whole(env={**env, "no_proxy": "localhost"})
    s.close()


@test
def hostile_manifests_lead_nowhere(tmp):
    """paths out of the folder, names that are none, sizes and hashes that are none, no JSON"""
    for path in ["../x.onnx", "a/../../x.onnx", "/etc/passwd", "a//b.onnx", ".hidden.onnx", "a/.b", "a b.onnx", "a%2e.onnx", "x\n.onnx", "", "a/", "ä.onnx",
                 "a?b", "https://elsewhere/x.onnx", "a\\b", "-" * 300]:
        c = Case(tmp, entries=[entry("good/net-1.onnx"), entry(path)])
        c.run(status=1, says="entry 2")
    for meta in [{"model_sha": "0"}, {"model_sha": "z" * 64}, {"model_bytes": -1}, {"model_bytes": 0}, {"model_bytes": 10**17}, {"model_bytes": "5"}]:
        Case(tmp, entries=[entry("good/net-1.onnx", **meta)]).run(status=1, says="entry 1")
    for text in ["", "{}", "[", "[1]", "[[]]", '{"a":1}', "[" * 100000, "\0", '[{"model_path":"a.onnx","metadata":[]}]']:
        c = Case(tmp)
        c.manifest.write_text(text)
        c.run(status=1, says="manifest.json")
    assert not list(tmp.glob("*.onnx")) and not (tmp.parent / "x.onnx").exists()


@test
def names_are_found(tmp):
    """of a file, of the hub, a beginning; in any case; what is not one model says what there is"""
    entries = [entry("good/net-1.onnx"), {**entry("good/net-7.onnx"), "opset_version": 7}, {**entry("good/other-9.onnx"), "model": "Big Other"}]
    c = Case(tmp, entries=entries)
    for name, file in [("net-1", "net-1"), ("NET-7", "net-7"), ("net", "net-7"), ("oth", "other-9"), ("big other", "other-9")]:
        assert c.run(name=name).stdout.strip() == str(c.out / f"{file}.onnx"), name
    assert c.run("--opset", "1", name="Net").stdout.strip() == str(c.file)
    c.run("--opset", "3", name="Net", status=2, says="with 1, 7")
    for name, says in [("ne", "'net-1', 'net-7'"), ("nope", "no model is called"), ("../x", "no model is called"), ("", ""), ("x" * 5000, "no model")]:
        c.run(name=name, status=2, says=says)
    listed = json.loads(subprocess.run([BIN, "fetch", "--list", "--json"], capture_output=True, text=True, check=True).stdout)["models"]
    assert len(listed) > 100 and len({m["name"].lower() for m in listed}) == len(listed)
    for m in listed:
        assert re.fullmatch("[0-9a-f]{64}", m["sha256"]) and m["bytes"] > 0 and m["path"].endswith(f"/{m['name']}.onnx") and "/classification/" in m["path"], m
    text = subprocess.run([BIN, "fetch", "--list", "mnist"], capture_output=True, text=True, check=True).stdout
    assert "mnist-12 " in text and "resnet" not in text
    assert subprocess.run([BIN, "fetch"], capture_output=True).returncode == 2


@test
def a_full_disk_is_an_error(tmp):
    """a limit on the size of files; afterwards it goes on"""
    c = Case(tmp)
    r = subprocess.run(["sh", "-c", 'ulimit -f 100; exec "$@"', "sh", *c.args()], capture_output=True, text=True, env=CLEAN)
    assert r.returncode == 1 and "cannot write the part" in r.stderr, r.stderr
    assert not c.file.exists()
    c.whole()


def main():
    if not shutil.which("openssl"):
        print("skipped: openssl is not installed")
        return 77
    with tempfile.TemporaryDirectory(prefix="mutatenn-ca-") as top:
        Case.server = Server(*certificate(pathlib.Path(top), "server"))
        try:
            return run_tests("fetch", sys.argv[3:])
        finally:
            Case.server.close()


sys.exit(main())
