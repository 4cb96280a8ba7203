#!/usr/bin/env python3
"""What hostile or careless people hand to the program: each time an error that names the place, status 1 or 2, and nothing left behind.

usage: bad_input.py BUILD_DIR SOURCE_DIR [TEST...]     needs only python3's standard library
"""
import json
import os
import pathlib
import random
import resource
import shutil
import sqlite3
import struct
import subprocess
import sys
import time

from cases import run_tests, test

BUILD, SOURCE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
BIN, WORKER = BUILD / "mutatenn", BUILD / "mutatenn-worker"
MODEL, IMAGES = SOURCE / "demo/model.onnx", SOURCE / "demo/images"
PICTURE = IMAGES / "00_disc.png"
ENV = {**os.environ, "MUTATENN_WORKER": str(WORKER), "LC_ALL": "C"}
LIMIT = 8 << 30  # bytes of address space of the parent: what a file only announces must not be allocated
SANITIZED = b"__asan_init" in BIN.read_bytes()  # takes terabytes of addresses


def limit_memory():
    if not SANITIZED:
        resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def start(args, **kw):
    kw.setdefault("env", ENV)
    return subprocess.run([os.fsencode(a) if not isinstance(a, bytes) else a for a in [BIN, *(a if isinstance(a, (bytes, os.PathLike)) else str(a) for a in args)]],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=150, preexec_fn=limit_memory, **kw)


def fails(*args, status=1, says=(), silent=True, **kw):
    """Runs, and checks the status, every word of `says`, and that the error is text for people."""
    r = start(args, **kw)
    err = r.stderr.decode("utf-8", "backslashreplace")
    what = f"mutatenn {' '.join(map(str, args))}: status {r.returncode}\n{err[:1500]}"
    assert r.returncode == status, what + f"\nwanted status {status}"
    assert "mutatenn: " in err, what
    for word in [says] if isinstance(says, str) else says:
        assert word in err, what + f"\nwanted: {word}"
    assert all(c in "\n\t" or c >= " " for c in err), what + "\ncontrol characters"
    assert not silent or not r.stdout, what + f"\nprinted {r.stdout[:200]}"
    return err


def listing(folder):
    return sorted((str(p.relative_to(folder)), p.stat().st_size if p.is_file() else -1) for p in folder.rglob("*"))


# ---- ONNX, by hand ----


def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def number(field, n):
    return varint(field << 3) + varint(n)


def block(field, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


def ints(name, *values):
    return block(1, name) + b"".join(number(8, v) for v in values) + number(20, 7)


def graph_attribute(name, graph):
    return block(1, name) + block(6, graph) + number(20, 5)


def node(op, ins, outs, name="", *attributes, domain=""):
    """ins: a list, or names between spaces"""
    ins = ins.split() if isinstance(ins, str) else ins
    return (b"".join(block(1, i) for i in ins) + b"".join(block(2, o) for o in outs.split(" ")) + block(3, name) + block(4, op) +
            b"".join(block(5, a) for a in attributes) + (block(7, domain) if domain else b""))


def tensor(name, dims, raw=b"", kind=1):
    return b"".join(number(1, d) for d in dims) + number(2, kind) + block(8, name) + block(9, raw)


def floats(name, dims):
    n = 1
    for d in dims:
        n *= d
    return tensor(name, dims, struct.pack(f"<{n}f", *([.5] * n)))


def longs(name, *values):
    return tensor(name, [len(values)], struct.pack(f"<{len(values)}q", *values), 7)


def external(name, dims, **entries):
    return (b"".join(number(1, d) for d in dims) + number(2, 1) + block(8, name) +
            b"".join(block(13, block(1, k) + block(2, v)) for k, v in entries.items()) + number(14, 1))


def value(name, dims, kind=1):
    shape = b"".join(block(1, block(2, d) if isinstance(d, str) else number(1, d)) for d in dims)
    return block(1, name) + block(2, block(1, number(1, kind) + block(2, shape)))


def graph(nodes, inputs, outputs, initializers=()):
    return (b"".join(block(1, n) for n in nodes) + block(2, "g") + b"".join(block(5, t) for t in initializers) +
            b"".join(block(11, i) for i in inputs) + b"".join(block(12, block(1, o)) for o in outputs))


def model(nodes, inputs=(value("x", [1, 3]),), outputs=("y",), initializers=(), opset=13, ir=7):
    return number(1, ir) + block(7, graph(nodes, inputs, outputs, initializers)) + block(8, number(2, opset))


def relu(inputs, outputs=("y",)):
    return model([node("Relu", "x", "y")], inputs, outputs)


PIXELS = value("x", [1, 3, 8, 8])
SCORES = [node("GlobalAveragePool", "c", "p"), node("Flatten", "p", "y")]


def refused(tmp, name, raw, says, status=1):
    path = tmp / f"{name}.onnx"
    path.write_bytes(raw)
    err = fails("info", path, says=says, status=status)
    assert f"{name}.onnx" in err, err
    fails("run", "--model", path, "--images", IMAGES, "--store", tmp / "s.db", says=says, status=status)
    path.unlink()
    assert not listing(tmp), f"{name}: left {listing(tmp)}"


# ---- models ----


@test
def sound_models_are_accepted(tmp):
    """the encoder of this test writes models that the program takes"""
    (tmp / "ok.onnx").write_bytes(model([node("Relu", "x", "c"), *SCORES], [PIXELS]))
    r = start(["infer", tmp / "ok.onnx", PICTURE, "--json"])
    assert r.returncode == 0 and len(json.loads(r.stdout)["inputs"][0]["top"]) == 3, r.stderr
    (tmp / "w.bin").write_bytes(struct.pack("<4f", 1, 2, 3, 4))
    (tmp / "ext.onnx").write_bytes(model([node("Add", "x w", "y")], initializers=[external("w", [3], location="w.bin", offset="4", length="12")]))
    assert start(["info", tmp / "ext.onnx"]).returncode == 0


@test
def files_that_are_no_models(tmp):
    """missing, a folder, empty, text, a pipe, a device"""
    fails("info", tmp / "absent.onnx", says=["absent.onnx", "No such file"])
    fails("info", tmp, says=[str(tmp), "not a regular file"])
    fails("info", "/dev/zero", says="/dev/zero")
    os.mkfifo(tmp / "pipe.onnx")
    fails("info", tmp / "pipe.onnx", says=["pipe.onnx", "not a regular file"])
    (tmp / "pipe.onnx").unlink()
    refused(tmp, "empty", b"", "no graph")
    refused(tmp, "text", b"this is not a model at all\n", "byte")
    refused(tmp, "group", b"\x0b\x0c", "not ONNX")


@test
def truncated_models(tmp):
    """the demo's model cut anywhere"""
    raw, rng = MODEL.read_bytes(), random.Random(1)
    for n in sorted(rng.sample(range(1, len(raw)), 25)) + [len(raw) - 1]:
        (tmp / "cut.onnx").write_bytes(raw[:n])
        fails("info", tmp / "cut.onnx", says="cut.onnx")


@test
def damaged_models_never_crash(tmp):
    """the demo's model with bytes changed: whatever it is then, status 0, 1 or 2"""
    raw, rng, seen = MODEL.read_bytes(), random.Random(2), set()
    head, tail = raw[:3000], raw[-3000:]
    for _ in range(120):
        body = bytearray(raw)
        for _ in range(rng.choice([1, 3, 20])):
            at = rng.randrange(len(head)) if rng.random() < .7 else len(raw) - 1 - rng.randrange(len(tail))
            body[at] = rng.randrange(256)
        (tmp / "damaged.onnx").write_bytes(body)
        r = start(["info", tmp / "damaged.onnx"])
        assert r.returncode in (0, 1, 2), (r.returncode, r.stderr)
        assert r.returncode == 0 or b"mutatenn: " in r.stderr
        seen.add(r.returncode)
    assert 1 in seen


@test
def numbers_that_lie(tmp):
    """dimensions huge, negative, overflowing; data of the wrong size; types unknown; memory is never taken for them"""
    zeros = bytes(12)
    for name, t, says in [
            ("huge", tensor("w", [2**62]), "absurd shape"), ("overflow", tensor("w", [2**32, 2**32]), "absurd shape"),
            ("overflow-zero", tensor("w", [2**40, 2**40, 0]), "absurd shape"), ("negative", tensor("w", [-3], zeros), "-3 is an absurd shape"),
            ("three-gigabytes", tensor("w", [3 << 30], zeros), "3221225472 elements are announced, 3 are there"),
            ("many-dims", tensor("w", [1] * 60, bytes(4)), "60 dimensions"), ("short", tensor("w", [3], bytes(11)), "11 bytes"),
            ("long", tensor("w", [3], bytes(16)), "4 are there"), ("no-data", tensor("w", [3]), "0 are there"),
            ("type-string", tensor("w", [1], b"", 8), "type string"), ("type-unknown", tensor("w", [3], zeros, 99), "type unknown"),
            ("external-absent", external("w", [3], location="w.bin"), "w.bin"),
            ("external-outside", external("w", [3], location="../w.bin"), "leaves the model's folder"),
            ("external-root", external("w", [3], location="/etc/hostname"), "leaves the model's folder"),
            ("external-nowhere", external("w", [3]), "without a location"),
            ("external-offset", external("w", [3], location="w.bin", offset="-1"), "offset '-1'")]:
        refused(tmp, name, model([node("Add", "x w", "y")], initializers=[t]), ["initializer 'w'", says])
    (tmp / "w.bin").write_bytes(bytes(8))
    (tmp / "e.onnx").write_bytes(model([node("Add", "x w", "y")], initializers=[external("w", [1 << 33], location="w.bin")]))
    fails("info", tmp / "e.onnx", says=["initializer 'w'", "'w.bin' has 8 bytes"])


@test
def inputs_that_cannot_be(tmp):
    """shapes of inputs: huge, negative, open, too many; no type; declared twice"""
    refused(tmp, "huge", relu([value("x", [1, 3, 2**31, 2**31])]), ["input 'x'", "absurd shape"])
    refused(tmp, "negative", relu([value("x", [1, -7])]), ["input 'x'", "dimension 1 is not a number"])
    refused(tmp, "open", relu([value("x", ["N", "C"])]), ["input 'x'", "dimension 1 ('C') is not a number"])
    refused(tmp, "many", relu([value("x", [1] * 20)]), ["input 'x'", "20 dimensions"])
    refused(tmp, "untyped", relu([block(1, "x")]), ["input 'x'", "not a tensor"])
    refused(tmp, "string", relu([value("x", [1], 8)]), ["input 'x'", "string"])
    refused(tmp, "twice", relu([value("x", [1]), value("x", [2])]), ["input 'x'", "twice"])


@test
def graphs_that_do_not_hang_together(tmp):
    """cycles, values made twice or by nobody, wrong arity, nested graphs, versions, functions"""
    two = [node("Add", "x b", "a", "first"), node("Relu", "a", "b")]
    refused(tmp, "cycle", model(two, outputs=["b"]), ["'first'", "'b'", "cyclic"])
    refused(tmp, "self-cycle", model([node("Add", "x y", "y", "me")]), ["'me'", "cyclic"])
    refused(tmp, "twice", model([node("Relu", "x", "y"), node("Tanh", "x", "y")]), "'y' is made twice")
    refused(tmp, "ghost", model([node("Add", "x ghost", "y", "plus")]), ["'plus'", "'ghost'"])
    refused(tmp, "no-output", model([node("Relu", "x", "a")]), "output 'y' is made by nobody")
    refused(tmp, "few", model([node("Conv", "x", "y", "conv")]), ["'conv'", "inputs"])
    refused(tmp, "many", model([node("Relu", " ".join("x" * 50), "y", "r")]), ["'r'", "50 inputs"])
    inner = graph([node("Relu", "x", "z")], [], ["z"])
    refused(tmp, "branch", model([node("If", "x", "y", "if", graph_attribute("then_branch", inner))]), ["'if'", "If"])
    for _ in range(40):
        inner = graph([node("If", "x", "z", "", graph_attribute("then_branch", inner))], [], ["z"])
    refused(tmp, "deep", model([node("If", "x", "y", "", graph_attribute("then_branch", inner))]), "nest deeper than 64")
    refused(tmp, "opset", model([node("Relu", "x", "y")], opset=99), ["opset 99", "1 to 22"])
    refused(tmp, "ir", model([node("Relu", "x", "y")], ir=99), ["IR version 99", "10"])
    refused(tmp, "functions", model([node("Relu", "x", "y")]) + block(25, block(1, "f")), "functions")
    raw = model([node("Relu", "x", "y")])
    refused(tmp, "graph-twice", raw + raw, "twice")


@test
def unsupported_nodes_are_all_named(tmp):
    """one error lists every node that cannot be compiled"""
    nodes = [node("Frob", "x", "a", "one"), node("Relu", "a", "b", "fine"), node("Knob", "b", "c", "two", domain="com.example"), node("Loop", "c", "y", "three")]
    err = fails("info", write(tmp / "u.onnx", model(nodes)), says=["u.onnx", "3 nodes are not supported", "'one': Frob", "'two': com.example.Knob", "'three': Loop"])
    assert "'fine'" not in err


def write(path, raw):
    path.write_bytes(raw)
    return path


@test
def shapes_that_do_not_fit_each_other(tmp):
    """nodes whose inputs do not fit are named, with the numbers"""
    pool = "kernel_shape"
    for name, nodes, inits, inputs, says in [
            ("conv", [node("Conv", "x w", "c", "bad"), *SCORES], [floats("w", [2, 4, 3, 3])], PIXELS, "3 channels"),
            ("matmul", [node("MatMul", "x w", "y", "bad")], [floats("w", [4, 4])], None, "3 and 4"),
            ("add", [node("Add", "x w", "y", "bad")], [floats("w", [4, 4])], None, "3 against 4"),
            ("reshape", [node("Reshape", "x s", "y", "bad")], [longs("s", 7, -1)], None, "7"),
            ("expand", [node("Expand", "x s", "y", "bad")], [longs("s", 2**50, 3)], None, "absurd shape"),
            ("pad", [node("Pad", "x s", "y", "bad")], [longs("s", 2**62, 0, 2**62, 0)], None, "absurd"),
            ("fill", [node("ConstantOfShape", "s", "y", "bad")], [longs("s", 1 << 45)], None, "absurd shape"),
            ("types", [node("Add", "x w", "y", "bad")], [longs("w", 1, 2, 3)], None, "f32 and i64"),
            ("kernel", [node("MaxPool", "x", "c", "bad", ints(pool, 2**40, 2**40)), *SCORES], [], PIXELS, pool),
            ("stride", [node("MaxPool", "x", "c", "bad", ints(pool, 2, 2), ints("strides", 0, 0)), *SCORES], [], PIXELS, "strides"),
            ("group", [node("Conv", "x w", "c", "bad", block(1, "group") + number(3, 0) + number(20, 2)), *SCORES], [floats("w", [2, 3, 3, 3])], PIXELS, "0 groups")]:
        refused(tmp, name, model(nodes, [inputs] if inputs else [value("x", [1, 3])], initializers=inits), ["'bad'", says])


@test
def more_memory_than_there_is(tmp):
    """inputs and intermediate tensors too large for the machine are an error of the worker, not a death"""
    if SANITIZED:
        print("  (skipped: the limit of memory that this needs cannot be set)")
        return
    write(tmp / "wide.onnx", model([node("Expand", "x s", "w", "wide"), node("ReduceMean", "w", "y", "", ints("axes", 0))], initializers=[longs("s", 1 << 30, 3)]))
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), }"
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    write(tmp / "x.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + struct.pack("<3f", 1, 2, 3))
    fails("infer", tmp / "wide.onnx", tmp / "x.npy", says="do not fit")
    write(tmp / "huge.onnx", model([node("Identity", "x", "c"), *SCORES], [value("x", [1, 3, 30000, 30000])]))
    fails("infer", tmp / "huge.onnx", PICTURE, says=[PICTURE.name, "too large"])
    write(tmp / "many.onnx", model([node("Expand", "x s", "y")], initializers=[longs("s", 1 << 26, 3)]))
    fails("info", tmp / "many.onnx", says=["'y' has 201326592 scores"])


@test
def names_do_not_steer_the_terminal(tmp):
    """names with escapes, newlines, quotes and no UTF-8 come out as text, and never as code"""
    nasty = "*/ int x[; \x1b]0;owned\x07\n#error \"'"
    fails("info", write(tmp / "n.onnx", model([node("Frob\x1b[31m", "x", "y", nasty)])), says="\\x1b")
    write(tmp / "n.onnx", model([node("Relu", [nasty], "c", nasty), *SCORES], [value(nasty, [1, 3, 8, 8])]))
    r = start(["infer", tmp / "n.onnx", PICTURE, "--json"])
    assert r.returncode == 0 and json.loads(r.stdout)["inputs"][0]["top"], r.stderr
    write(tmp / "n.onnx", model([node("Relu", "x", "c", "n").replace(block(3, "n"), block(3, b"\xff\x01")), *SCORES], [PIXELS]))
    r = start(["mutants", tmp / "n.onnx", "--json"])
    assert r.returncode == 0 and json.loads(r.stdout)["mutants"], r.stderr
    write(tmp / "n.onnx", model([node("Relu", "x", "c", "a \"b\" \\ \u00e4/%"), *SCORES], [PIXELS]))
    r = start(["mutants", tmp / "n.onnx", "--operator", "graph.*", "--json"])
    assert r.returncode == 0 and "a \"b\" \\ \u00e4/%" in {m["target"] for m in json.loads(r.stdout)["mutants"]}, r.stderr
    shutil.copy(PICTURE, os.fsencode(tmp) + b"/\xff.png")
    r = start(["infer", MODEL, os.fsencode(tmp) + b"/\xff.png", "--json"])
    assert r.returncode == 0 and len(json.loads(r.stdout)["inputs"]) == 1, r.stderr
    (tmp / "in").mkdir()
    shutil.copy(PICTURE, tmp / "in/\x1b[31mred\xff.png")
    assert start(["run", "--model", MODEL, "--images", tmp / "in", "--mutations", "input.*", "--store", tmp / "s.db"]).returncode == 0
    for args in [["select", tmp / "s.db"], ["report", tmp / "s.db", "--all"], ["select", tmp / "s.db", "--max", 1, "--out", tmp / "set"]]:
        r = start(args)
        assert r.returncode == 0 and b"\x1b" not in r.stdout + r.stderr, r.stdout


# ---- pictures and tensors ----


@test
def pictures_that_cannot_be_decoded(tmp):
    """cut, empty, text, missing, a model; tensors cut or of another shape; a folder without any"""
    for name, raw, says in [("cut.png", PICTURE.read_bytes()[:100], "truncated"), ("empty.png", b"", "empty"), ("text.jpg", b"hello", "not a"),
                            ("cut.npy", b"\x93NUMPY\x01\x00", "cut.npy"), ("bad.npy", b"\x93NUMPY" + bytes(100), "bad.npy")]:
        fails("infer", MODEL, write(tmp / name, raw), says=[name, says])
        fails("run", "--model", MODEL, "--images", tmp, "--store", tmp / "s.db", says=[name, says])
        (tmp / name).unlink()
        assert not listing(tmp), (name, listing(tmp))
    fails("infer", MODEL, tmp / "absent.png", says=["absent.png", "does not exist"])
    fails("infer", MODEL, MODEL, says="not a jpeg, png or webp picture")
    fails("infer", MODEL, tmp, says=[str(tmp), "no pictures"])
    write(tmp / "seven.onnx", model([node("Identity", "x", "c"), *SCORES], [value("x", [1, 7, 8, 8])]))
    fails("infer", tmp / "seven.onnx", PICTURE, says=[PICTURE.name, "7 channels"], status=2)
    assert start(["info", tmp / "seven.onnx"]).returncode == 0


@test
def pictures_of_other_kinds_are_not_left_out_in_silence(tmp):
    """those of a folder; what is no picture may lie there"""
    shutil.copy(PICTURE, tmp)
    for name in ["notes.txt", "labels.md", ".hidden.gif"]:
        (tmp / name).touch()
    r = start(["infer", MODEL, tmp])
    assert r.returncode == 0 and b"left out" not in r.stderr, r.stderr
    for name in ["a.gif", "b.TIFF"]:
        (tmp / name).touch()
    r = start(["infer", MODEL, tmp])
    assert r.returncode == 0 and b"left out: 2 pictures" in r.stderr and b"'a.gif'" in r.stderr, r.stderr


@test
def scores_that_are_no_numbers(tmp):
    """an original whose scores are NaN is no answer, and a campaign on it is warned of"""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 64, 64), }"
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    (tmp / "nan.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\x00\x00\xc0\xff" * (3 * 64 * 64))
    r = start(["infer", MODEL, tmp / "nan.npy"])
    assert r.returncode == 0 and b"NaN" in r.stderr and b"nan %" in r.stdout and b"-nan" not in r.stdout, (r.stdout, r.stderr)
    r = start(["infer", MODEL, PICTURE])
    assert r.returncode == 0 and b"NaN" not in r.stderr, r.stderr
    shutil.copy(PICTURE, tmp)
    for sample, says in [(tmp, b"on 1 of 2 images"), (PICTURE, None)]:
        r = start(["run", "--model", MODEL, "--images", sample, "--mutations", "input.flip", "--store", tmp / f"{sample.name}.db"])
        assert r.returncode == 0 and (says in r.stderr if says else b"NaN" not in r.stderr), r.stderr


@test
def inputs_of_one_name(tmp):
    """scores of inputs of the same name do not overwrite each other"""
    for name in ["p/a.png", "p/a.jpg", "q/a.png"]:
        (tmp / name).parent.mkdir(exist_ok=True)
        shutil.copy(PICTURE, tmp / name)
    r = start(["infer", MODEL, tmp / "p", tmp / "q", "--npy", tmp / "out"])
    assert r.returncode == 0, r.stderr
    assert [n for n, _ in listing(tmp / "out")] == ["a.npy", "a_2.npy", "a_3.npy"], listing(tmp / "out")


# ---- configuration ----


@test
def newcomers(tmp):
    """what newcomers get wrong is answered with the next step"""
    for status, says, args in (
            (2, "did you mean 'run'?", ["rum"]), (2, "did you mean 'report'?", ["help", "reprot"]), (2, "did you mean '--model'?", ["run", "--modle", "x"]),
            (2, "did you mean 'host-gcc'?", ["infer", MODEL, PICTURE, "--device", "host-gc"]),
            (2, "did you mean 'loop.cond.lt-to-le'?", ["mutants", MODEL, "--operator", "loop.cond.lt-to-l"]),
            (2, "did you mean 'mutatenn-paper'?", ["run", "--model", MODEL, "--images", IMAGES, "--mutations", "mutatenn-papr", "--store", tmp / "s.db"]),
            (2, "did you mean 'loop.cond.lt-to-le'?", ["operators", "loop.cond.lt-to-l"]),
            (2, "mutatenn infer --help", ["infer"]), (2, "mutatenn init", ["run"]), (2, "--model", ["run", MODEL]), (1, "mutatenn init", ["run", tmp / "no.yaml"]),
            (1, "torch.onnx.export", ["infer", PICTURE, IMAGES]), (1, "has no pictures", ["infer", MODEL, SOURCE / "src"])):
        fails(*args, says=says, status=status)
    assert not list(tmp.iterdir())


@test
def labels_that_cannot_be_right(tmp):
    """a class that the model does not have and labels of other pictures are told; names are fit for a terminal"""
    (tmp / "labels.csv").write_text("file,class_index\n00_disc.png,10\n")
    run = ["run", "--model", MODEL, "--images", PICTURE, "--labels", tmp / "labels.csv", "--mutations", "input.flip", "--store", tmp / "s.db", "--plan"]
    says = start(run).stderr.decode()
    assert "'00_disc.png' is labelled as class 10" in says and "10 classes" in says and "label-offset" in says, says
    (tmp / "labels.csv").write_text("file,class_index\n00_disc.jpg,0\n")
    assert "has a class for none of the images" in start(run).stderr.decode()
    (tmp / "labels.csv").write_text("file,class_index\n00_disc.png,9\n")
    assert b"labelled" not in start(run).stderr
    shutil.copy(PICTURE, tmp / "\33[31mred.png")
    r = start(["infer", MODEL, tmp / "\33[31mred.png"])
    assert r.returncode == 0 and r.stdout.startswith(b"?[31mred.png"), r.stdout


@test
def campaign_files_with_mistakes(tmp):
    """every mistake is named with file and line, and no store is made"""
    base = f"model: {MODEL}\nimages: {IMAGES}\ndevices: [host-gcc]\nmutations:\n  - preset: mutatenn-paper\n"
    for text, says in [
            ("", "empty"), ("\x01", "control characters"), ("\tmodel: x\n", "not YAML"), ("&a [*a]", "c.yaml"), ("model: x\n", "missing"),
            (base + "modle: x\n", "did you mean 'model'"), (base + "opt-level: 9\n", "0 to 3"), (base + "opt-level: high\n", "whole number"),
            (base + "model: y\n", "twice"), (base + "batch: 99999999999999999999\n", "out of range"), (base + "threads: 9999999\n", "9999999"),
            (base + "seed: -1\n", "seed"), (base + "criteria: [nope]\n", "nope"), (base + "sample: -4\n", "sample"),
            (base.replace("preset: mutatenn-paper", "frob: 1"), "frob"),
            (base + "device-definitions:\n  - name: a b\n", "a b")]:
        (tmp / "c.yaml").write_text(text)
        r = start(["run", tmp / "c.yaml", "--store", tmp / "s.db"])
        assert r.returncode == 2 and says in r.stderr.decode() and "c.yaml" in r.stderr.decode(), (text, r.returncode, r.stderr)
        assert [n for n, _ in listing(tmp)] == ["c.yaml"], listing(tmp)
    for text, says in [(base.replace(str(MODEL), "absent.onnx"), "absent.onnx"), (base.replace(str(IMAGES), "nowhere"), "nowhere"),
                       (base + "labels: nowhere.csv\n", "nowhere.csv"), (base + "output: nope\n", "nope"), (base + "preprocess: resize=banana\n", "banana"),
                       (base.replace("preset: mutatenn-paper", "operator: nope.*"), "nope.*"), (base.replace("mutatenn-paper", "nope"), "nope"),
                       (base + "disable-pass: [nope]\n", "nope"), (base.replace("host-gcc", "nope"), "nope")]:
        (tmp / "c.yaml").write_text(text)
        r = start(["run", tmp / "c.yaml", "--store", tmp / "s.db"])
        assert r.returncode in (1, 2) and says in r.stderr.decode(), (text, r.returncode, r.stderr)
        assert [n for n, _ in listing(tmp)] == ["c.yaml"], listing(tmp)
    fails("run", tmp, says=str(tmp))
    fails("run", tmp / "absent.yaml", says="absent.yaml")


@test
def side_cars_with_mistakes(tmp):
    """MODEL.yaml is named when it is wrong"""
    shutil.copy(MODEL, tmp / "m.onnx")
    for text, says, status in [("frob: 1\n", "frob", 1), ("labels: absent.txt\n", "absent.txt", 1), ("preprocess: nope\n", "m.yaml", 2), ("output: nope\n", "nope", 2)]:
        (tmp / "m.yaml").write_text(text)
        fails("infer", tmp / "m.onnx", PICTURE, says=says, status=status)


@test
def misuse(tmp):
    """options out of range or unknown end with 2"""
    for args, says in [(["info", MODEL, "--batch", 0], "--batch"), (["info", MODEL, "--batch", 4294967297], "--batch"), (["info", MODEL, "--batch", "x"], "number"),
                       (["infer", MODEL, PICTURE, "--threads", 9999999], "--threads"), (["infer", MODEL, PICTURE, "--top", 0], "--top"),
                       (["infer", MODEL, PICTURE, "--repeat", 99999999999999], "--repeat"), (["infer", MODEL, PICTURE, "--device", "nope"], "nope"),
                       (["infer", MODEL, PICTURE, "--output", "nope"], "'logits'"), (["run", "--model", MODEL, "--images", IMAGES, "--batch", 4294967297], "batch"),
                       (["infer", MODEL, PICTURE, "--preprocess", "resize=-1"], "resize"), (["show", MODEL, "no/such/mutant/x"], "no"),
                       (["infer", MODEL, PICTURE, "--repeat", 0], "--repeat"), (["infer", MODEL, PICTURE, "--launches"], "--repeat"),
                       (["infer", MODEL, PICTURE, "--device", "host-gcc,host-clang"], "diff"), (["check", tmp, "--junit", "-", "--json"], "--junit")]:
        fails(*args, says=says, status=2, cwd=tmp)
        assert not listing(tmp)


@test
def what_would_be_ignored_is_refused(tmp):
    """lists that name nothing, as of a variable that is not set, are not the default; options that do not go together"""
    nothing = [["infer", MODEL, PICTURE, "--device", ""], ["check", tmp, "--device="], ["run", "--model", MODEL, "--images", IMAGES, "--mutations", ","],
               ["mutants", MODEL, "--operator", ""], ["select", tmp / "s.db", "--criterion", ""]]
    pairs = [["--preset", "quick", "--operator", "loop.*"], ["--count", "--sites", "1"], ["--count", "--preset", "quick"], ["--count", "--bounds"],
             ["--export", tmp / "ex", "--json"]]
    for args, says in [(a, "names nothing") for a in nothing] + [(["mutants", MODEL, *p], "does not go with") for p in pairs]:
        fails(*args, says=says, status=2, cwd=tmp)
        assert not listing(tmp)


@test
def exports_are_not_mixed(tmp):
    """an index names every model of its folder"""
    args = ["mutants", MODEL, "--operator", "graph.replace.*", "--sites", "1", "--export", tmp / "ex"]
    assert start(args).returncode == 0
    before = listing(tmp)
    fails(*args, says="not empty", status=2)
    assert listing(tmp) == before


# ---- devices ----


@test
def devices_that_do_not_work(tmp):
    """no compiler, a compiler that is none, flags it refuses, no worker, a worker that is none"""
    base = f"model: {MODEL}\nimages: {IMAGES}\ndevices: [mine]\nmutations:\n  - operator: input.*\ndevice-definitions:\n  - name: mine\n"
    for text, says in [("cc: no-such-cc", "not installed"), ("cc: /bin/false", "/bin/false"), ('cflags: ["-fnope"]', "-fnope"), ("backend: nope", "nope"),
                       ('worker: ["/dev/null/w"]', "/dev/null/w"), ('worker: ["/bin/sh", "-c", "exit 3"]', "status 3")]:
        (tmp / "c.yaml").write_text(base + "    " + text + "\n")
        fails("run", tmp / "c.yaml", "--store", tmp / "s.db", says=["no device can be used", says])
        assert [n for n, _ in listing(tmp)] == ["c.yaml"], listing(tmp)
    (tmp / "bin").mkdir()
    empty = {**ENV, "PATH": str(tmp / "bin")}
    fails("infer", MODEL, PICTURE, says=["host-gcc", "gcc"], env=empty)
    r = start(["devices"], env=empty)
    assert r.returncode in (0, 1) and b"not installed" in r.stdout + r.stderr
    fails("infer", MODEL, PICTURE, says="/dev/null/w", env={**ENV, "MUTATENN_WORKER": "/dev/null/w"})
    for extra in {}, {"MUTATENN_KERNEL_CACHE": "0"}:
        r = start(["infer", MODEL, PICTURE], env={**ENV, "XDG_CACHE_HOME": "/proc/nowhere", **extra})
        assert r.returncode == 0 and b"disc" in r.stdout, (r.returncode, r.stdout, r.stderr)  # nowhere to keep kernels: nothing is kept


def icd(folder, *files):
    """The environment in which OpenCL's loader finds these drivers: (name, what the file says)"""
    folder.mkdir()
    for name, text in files:
        (folder / name).write_text(text)
    return {**ENV, "OCL_ICD_VENDORS": str(folder)}


@test
def opencl_drivers_that_do_not_work(tmp):
    """none, one that is no library, one that is not there, one that dies when it is loaded: each is told, none takes the program down"""
    if b"no OpenCL loader" in start(["devices"]).stdout:
        return "OpenCL's loader is absent (Debian: ocl-icd-libopencl1)"
    (tmp / "garbage.so").write_bytes(random.Random(1).randbytes(5000))
    (tmp / "dies.c").write_text("__attribute__((constructor)) static void f(void) { __builtin_trap(); }")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", tmp / "dies.so", tmp / "dies.c"], check=True)
    for folder, files, says in [
            ("none", [], "no OpenCL driver (ICD) is installed"),
            ("garbage", [("g.icd", f"{tmp}/garbage.so\n")], f"the driver that '{tmp}/garbage/g.icd' names cannot be loaded: {tmp}/garbage.so: "),
            ("absent", [("a.icd", "libnowhere.so.7"), ("readme", "x")], "libnowhere.so.7: cannot open shared object file"),
            ("dies", [("d.icd", f"{tmp}/dies.so\n")], "(Illegal instruction) while it opened its device")]:
        env = icd(tmp / folder, *files)
        found = {d["name"]: d for d in json.loads(start(["devices", "--json"], env=env).stdout)["devices"]}
        for name in "pocl", "opencl":
            assert not found[name]["available"] and says in found[name]["reason"], (folder, found[name])
        assert found["host-gcc"]["available"], found["host-gcc"]
        fails("infer", MODEL, PICTURE, "--device", "pocl", says=[says], env=env)


# ---- places to write ----


@test
def standard_output_that_is_full(tmp):
    """/dev/full behind standard output is a failure of every command"""
    for args in [["--help"], ["run", "--help"], ["--version"], ["operators"], ["devices"], ["info", MODEL], ["mutants", MODEL], ["infer", MODEL, PICTURE]]:
        with open("/dev/full", "wb") as full:
            r = subprocess.run([BIN, *args], stdout=full, stderr=subprocess.PIPE, env=ENV, timeout=100)
        assert r.returncode == 1 and b"standard output" in r.stderr, (args, r.returncode, r.stderr)


RUN = ["run", "--model", MODEL, "--images", PICTURE, "--mutations", "input.flip", "--quiet"]


@test
def stores_that_cannot_be_used(tmp):
    """no folder, a folder, text, another database, another version, cut; the file is left as it was"""
    fails(*RUN, "--store", "/dev/null/s.db", says="/dev/null/s.db")
    fails(*RUN, "--store", "/proc/s.db", says="/proc/s.db")
    fails(*RUN, "--store", tmp, says=[str(tmp), "not a regular file"])
    good = tmp / "good.db"
    assert start([*RUN, "--store", good]).returncode == 0
    raw = good.read_bytes()
    assert start(["report", good]).returncode == 0 and start(["compare", good]).returncode == 0
    assert [n for n, _ in listing(tmp)] == ["good.db"] and good.read_bytes() == raw, listing(tmp)

    def changed(name, sql):
        (tmp / name).write_bytes(raw)
        con = sqlite3.connect(tmp / name)
        con.execute("PRAGMA journal_mode = DELETE")
        con.execute(sql)
        con.commit()
        con.close()
        return (tmp / name).read_bytes()

    other = sqlite3.connect(tmp / "other.db")
    other.execute("CREATE TABLE t(a)")
    other.commit()
    other.close()
    for name, body, says in [("text.db", b"surely no database\n" * 40, "not a store"), ("other.db", (tmp / "other.db").read_bytes(), "not a store"),
                             ("future.db", changed("future.db", "PRAGMA user_version = 99"), "version 99"), ("cut.db", raw[:5000], "cut.db")]:
        for command in [[*RUN, "--store", tmp / name], ["report", tmp / name], ["compare", tmp / name]]:
            (tmp / name).write_bytes(body)
            fails(*command, says=[name, says])
            assert (tmp / name).read_bytes() == body, (name, command)
    for command in ["report", "compare"]:
        fails(command, tmp / "absent.db", says="absent.db")
        assert not (tmp / "absent.db").exists()
    fails(*RUN, "--store", good, "--seed", 9, says="'seed' differs", status=2)
    if os.geteuid():
        (tmp / "closed").mkdir(mode=0o500)
        fails(*RUN, "--store", tmp / "closed/s.db", says="closed/s.db")
    for command, says in [(["report", good, "--json", "/dev/null/r.json"], "/dev/null/r.json"), (["compare", good, "--json", "--out", "/dev/null/c.json"], "c.json")]:
        fails(*command, says=says, silent=False)


@test
def disks_that_are_full(tmp):
    """stores, reports, scores and exports on a full disk: an error, and no half of a file"""
    disk = tmp / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True).returncode:
        print("  (skipped: this needs the right to mount)")
        return
    try:
        good = tmp / "good.db"
        assert start([*RUN, "--store", good]).returncode == 0
        fails(*RUN, "--store", disk / "s.db", says=["s.db", "space"])
        assert not listing(disk), listing(disk)
        (disk / "fill").write_bytes(bytes(64 << 10))
        for args in [[*RUN, "--store", disk / "s.db"], ["report", good, "--json", disk / "r.json"], ["report", good, "--csv", disk / "r.csv"],
                     ["compare", good, "--json", "--out", disk / "c.json"], ["infer", MODEL, PICTURE, "--npy", disk / "npy"],
                     ["mutants", MODEL, "--operator", "graph.*", "--sites", "1", "--export", disk / "ex"]]:
            fails(*args, says=[str(disk)], silent=False)
            left = [p.name for p in disk.rglob("*") if p.is_file()]
            assert left == ["fill"], (args, left)
        (disk / "cache").mkdir()
        fails("infer", MODEL, PICTURE, says="No space left", env={**ENV, "TMPDIR": str(disk), "XDG_CACHE_HOME": str(disk / "cache")})
    finally:
        for _ in range(50):  # workers may still be leaving
            if not subprocess.run(["umount", disk], capture_output=True).returncode:
                break
            time.sleep(.1)


if not PICTURE.exists():
    print("skipped: demo/images is absent")
    sys.exit(77)
sys.exit(run_tests("bad", sys.argv[3:]))
