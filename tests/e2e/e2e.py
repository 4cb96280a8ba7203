#!/usr/bin/env python3
"""The program as a user runs it, on the demo's model and pictures.

usage: e2e.py BUILD_DIR SOURCE_DIR [TEST...]     needs only python3's standard library
"""
import contextlib
import csv
import json
import os
import pathlib
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

from cases import run_tests, test

BUILD, SOURCE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
BIN, MODEL, IMAGES = BUILD / "mutatenn", SOURCE / "demo/model.onnx", SOURCE / "demo/images"


def run(*args, status=0, **kw):
    r = subprocess.run([BIN, *map(str, args)], capture_output=True, text=True, timeout=300, **kw)
    assert r.returncode == status, f"{args}: exit status {r.returncode}, not {status}\n{r.stdout[-2000:]}\n{r.stderr[-2000:]}"
    return r


def table(store):
    """What a campaign decided, without times."""
    con = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    report = json.loads(run("report", store, "--json", "-").stdout)
    con.close()
    return [(m["id"], m["sites"], [(d["device"], d["outcome"], d["images"], d["images_changed"], d["code"]) for d in m["devices"]])
            for m in report["mutants"]]


def messages(store):
    with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as con:
        return con.execute("SELECT id, device, message FROM results JOIN mutants USING(mutant) ORDER BY id, device").fetchall()


def same(got, want):
    assert len(got) == len(want), (len(got), len(want))
    for g, w in zip(got, want):
        assert g == w, f"now {g}, undisturbed {w}"


CAMPAIGN = ["--model", MODEL, "--images", IMAGES, "--mutations", "mutatenn-paper"]


def some_images(folder, n=6):
    folder.mkdir()
    for name in sorted(os.listdir(IMAGES))[:n]:
        if name.endswith(".png"):
            shutil.copy(IMAGES / name, folder)
    shutil.copy(IMAGES / "labels.csv", folder)
    return folder


@test
def help_and_version(tmp):
    """every command has help with examples, and a man page"""
    out = run("--help").stdout
    for name in re.findall(r"^  (\w+) +\S", out.split("commands:")[1].split("\n\n")[0], re.M):
        text = run(name, "--help").stdout
        assert "usage: mutatenn " + name in text and "examples:" in text, name
        assert max(map(len, text.splitlines())) <= 80, name
        assert ".SH SYNOPSIS" in run("--man", name).stdout
    assert re.match(r"mutatenn \d", run("--version").stdout)


@test
def devices_say_what_they_are(tmp):
    """the list has every definition, the type of its tensors and the options of its compiler"""
    names = [f"null{i}" for i in range(60)]
    own = [{"name": "half", "precision": "f16"}, {"name": "relaxed", "backend": "opencl", "select": "Portable", "cflags": ["-cl-fast-relaxed-math"]}]
    (tmp / "d.yaml").write_text(json.dumps({"device-definitions": own + [{"name": n, "backend": "null"} for n in names]}))
    found = {d["name"]: d for d in json.loads(run("devices", "--devices-file", tmp / "d.yaml", "--json").stdout)["devices"]}
    assert not set(names) - set(found), set(names) - set(found)
    assert found["half"]["description"] == found["host-gcc"]["description"] + ", f16", found["half"]
    if found["pocl"]["available"]:
        assert found["relaxed"]["description"] == found["pocl"]["description"] + ", -cl-fast-relaxed-math", found["relaxed"]


@test
def examples_work(tmp):
    """the examples of every help text do what they are examples of"""
    shutil.copytree(SOURCE / "demo", tmp / "demo", ignore=shutil.ignore_patterns("*.db"))
    for name in sorted(os.listdir(IMAGES))[4:]:
        if name.endswith(".png"):
            (tmp / "demo/images" / name).unlink()
    shutil.copy(MODEL, tmp / "net.onnx")
    shutil.copy(MODEL.with_suffix(".yaml"), tmp / "net.yaml")
    shutil.copy(SOURCE / "demo/labels.txt", tmp)
    shutil.copytree(tmp / "demo/images", tmp / "photos")
    shutil.copy(IMAGES / "00_disc.png", tmp / "cat.jpg")
    (tmp / "campaign.yaml").write_text("model: net.onnx\nimages: photos\ndevices: [host-gcc]\nmutations: [{preset: mutatenn-paper}]\n")
    for name in "out", "monday", "tuesday":
        run("run", "--model", tmp / "net.onnx", "--images", tmp / "photos", "--mutations", "input.flip", "--store", tmp / f"{name}.db")
    env, seen = dict(os.environ, PATH=f"{BUILD}:{os.environ['PATH']}"), 0
    for name in re.findall(r"^  (\w+) +\S", run("--help").stdout.split("commands:")[1].split("\n\n")[0], re.M):
        for line in run(name, "--help").stdout.split("examples:\n")[1].replace("\\\n", "").splitlines():
            if any(absent in line for absent in ("input.npy", "boards.yaml", "results/", "fetch mnist", "fetch ResNet50", "fetch net-1")):
                continue
            line = line.replace("| less", "| cat")
            r = subprocess.run(["bash", "-o", "pipefail", "-c", line], cwd=tmp, env=env, capture_output=True, text=True, timeout=300)
            assert r.returncode in (0, 3 if "--fail-under" in line else 0) and (r.stdout or re.search("--(csv|html|export|stryker|junit)", line)), f"{line}: exit status {r.returncode}\n{r.stderr}"
            seen += 1
    assert seen >= 18


@test
def catalogue_is_fresh(tmp):
    """docs/operators.md is what `make docs` writes"""
    assert run("operators", "--markdown").stdout == (SOURCE / "docs/operators.md").read_text()


@test
def configuration_reference_is_fresh(tmp):
    """docs/configuration.md is what `make docs` writes"""
    assert run("run", "--keys").stdout == (SOURCE / "docs/configuration.md").read_text()


@test
def metrics_page_is_complete(tmp):
    """docs/metrics.md has every outcome as outcomes.def says it, and names every metric that a store keeps"""
    page, store = (SOURCE / "docs/metrics.md").read_text(), tmp / "s.db"
    counted = {"NONE": "no", "COUNTED": "yes", "APART": "apart"}
    kills = {"KILL_NONE": "", "KILL_NUMERIC": "numeric", "KILL_TOPK": "numeric, topk", "KILL_ALL": "numeric, topk, label"}
    rows = re.findall(r'^OUTCOME\(\w+, "([^"]+)", (\w+), (\w+), "([^"]+)"\)', (SOURCE / "src/store/outcomes.def").read_text(), re.M)
    assert len(rows) >= 18
    for name, kind, killed, text in rows:
        assert f"| `{name}` | {counted[kind]} | {kills[killed]} | {text} |" in page, name
    run("run", "--model", MODEL, "--images", some_images(tmp / "im", 1), "--mutations", "input.quantise", "--store", store)
    columns = {row[1] for row in sqlite3.connect(store).execute("PRAGMA table_info(image_results)")}
    other = {"mutant", "device", "image", "outcome", "digest", "top1", "top", "time_s", "launches_run", "launches_saved"}
    assert len(columns - other) >= 16
    assert not [c for c in columns - other if f"`{c}`" not in page]


@test
def a_model_that_is_never_right_is_doubted(tmp):
    """labels that are another model's: the campaign says that preprocessing or label offset may be wrong"""
    head, *rows = (IMAGES / "labels.csv").read_text().splitlines()[:11]
    for row in rows:
        shutil.copy(IMAGES / row.split(",")[0], tmp)
    (tmp / "labels.csv").write_text("\n".join([head, *rows]) + "\n")
    (tmp / "wrong.csv").write_text("\n".join([head] + [f"{name},{(int(n) + 1) % 10},{text}" for name, n, text in (x.split(",") for x in rows)]) + "\n")
    args = ["run", "--model", MODEL, "--images", tmp, "--mutations", "loop.store.skip", "--sites", "1", "--store"]
    assert "the original is right about 0 of 10 labelled images" in run(*args, tmp / "a.db", "--labels", tmp / "wrong.csv").stderr
    assert "the original is right" not in run(*args, tmp / "b.db").stderr


@test
def misuse_is_status_2(tmp):
    """misuse says what is wrong and ends with 2, failure with 1"""
    for args, word in [([], "usage"), (["frobnicate"], "not a command"), (["info"], "usage"), (["info", MODEL, "--frob"], "not an option"),
                       (["info", MODEL, "--opt-level", "7"], "0 to 3"), (["infer", MODEL, IMAGES, "--device", "nope"], "no device"),
                       (["run"], "--model"), (["run", *CAMPAIGN, "--mutations", "nope.*"], "no mutation operator"),
                       (["info", MODEL, "--opt-level", "x"], "number"), (["mutants", MODEL, "--sites", "5-2"], "sites"),
                       (["show", MODEL, "a/b"], "not a mutant"), (["info", MODEL, "--disable-pass", "nope"], "not a pass")]:
        r = run(*args, status=2, cwd=tmp)
        assert word in r.stderr + r.stdout, (args, r.stderr)
    for args, word in [(["info", tmp / "absent.onnx"], "absent.onnx"), (["report", tmp / "absent.db"], "absent.db"),
                       (["infer", MODEL, tmp / "absent.png"], "absent.png")]:
        assert word in run(*args, status=1).stderr, args
    (tmp / "bad.onnx").write_bytes(MODEL.read_bytes()[:1000])
    assert "bad.onnx" in run("info", tmp / "bad.onnx", status=1).stderr
    assert not list(tmp.glob("*.db"))


@test
def infer_classifies_the_demo(tmp):
    """at least 95 % of the demo's pictures at every level, the same bits through gcc and clang"""
    labels = {r["file"]: int(r["class_index"]) for r in csv.DictReader(open(IMAGES / "labels.csv"))}
    for level in range(4):
        out = json.loads(run("infer", MODEL, IMAGES, "--json", "--opt-level", level, "--npy", tmp / f"g{level}").stdout)
        assert out["device"] == "host-gcc" and len(out["inputs"]) == len(labels)
        right = sum(i["top"][0]["index"] == labels[i["input"]] for i in out["inputs"])
        assert right >= .95 * len(labels), (level, right)
        assert out["inputs"][0]["top"][0]["label"] and out["inputs"][0]["time_ms"] > 0
        run("infer", MODEL, IMAGES, "--device", "host-clang", "--opt-level", level, "--npy", tmp / f"c{level}", "--quiet")
        for f in (tmp / f"g{level}").iterdir():
            other = (tmp / f"c{level}" / f.name).read_bytes()
            assert f.read_bytes() == other, f"{f.name} differs between gcc and clang at level {level}"


def numbers(file):
    return memoryview(file.read_bytes()[-40:]).cast("f").tolist()


@test
def passes_that_round_otherwise_run_where_they_are_named(tmp):
    """winograd: infer and info have it unless it is disabled, campaigns only by name; the answers are the same"""
    passes = lambda *more: run("info", MODEL, "--opt-level", 3, *more).stdout
    assert "parts winograd " in passes() and "winograd" not in passes("--disable-pass", "winograd")
    assert "winograd" not in run("info", MODEL).stdout, "it is one of level 3"
    assert "mutatenn.WinogradConv" in passes("--graph") and "mutatenn.WinogradConv" not in passes("--graph", "--disable-pass", "winograd")
    picture = IMAGES / "00_disc.png"
    for threads, name, more in (1, "on", []), (3, "threads", []), (1, "off", ["--disable-pass", "winograd"]):
        run("infer", MODEL, picture, "--opt-level", 3, "--threads", threads, "--quiet", "--npy", tmp / name, *more)
    on, off = numbers(tmp / "on/00_disc.npy"), numbers(tmp / "off/00_disc.npy")
    assert on == numbers(tmp / "threads/00_disc.npy"), "as many threads as you like: the same bits"
    assert on != off and max(abs(x - y) for x, y in zip(on, off)) < 1e-4 * max(map(abs, off)), (on, off)
    for command in ("mutants",), ("run", "--images", IMAGES, "--mutations", "mutatenn-paper"):
        model = ["--model", MODEL] if command[0] == "run" else [MODEL]
        assert "'wino' is not a pass" in run(command[0], *model, *command[1:], "--enable-pass", "wino", status=2, cwd=tmp).stderr
        assert "not one to enable" in run(command[0], *model, *command[1:], "--enable-pass", "fuse", status=2, cwd=tmp).stderr
        assert "from opt-level 3 on" in run(command[0], *model, *command[1:], "--opt-level", 2, "--enable-pass", "winograd", status=2, cwd=tmp).stderr
    loops = lambda *more: json.loads(run("mutants", MODEL, "--opt-level", 3, "--operator", "loop.arith.*", "--json", *more).stdout)
    assert not any(".transform/" in m["id"] for m in loops()["mutants"])
    named = [m["id"] for m in loops("--enable-pass", "winograd")["mutants"] if "/res1.conv.transform/" in m["id"]]
    assert named
    pictures, store = some_images(tmp / "in"), tmp / "w.db"
    campaign = ["run", "--model", MODEL, "--images", pictures, "--mutations", "loop.arith.*", "--sites", "sample 6", "--opt-level", 3, "--store", store]
    run(*campaign, "--enable-pass", "winograd")
    configuration = run("status", store, "--json").stdout
    assert "enable-pass" in run(*campaign, status=2).stderr, configuration
    run(*campaign, "--enable-pass", "winograd")
    ran = [m for m, _, rows in table(store) if any(r[1] not in ("no-site", "no-effect", "tool-error") for r in rows)]
    assert ran and not [rows for _, _, rows in table(store) if any(r[1] == "tool-error" for r in rows)]


@test
def lists_and_shows(tmp):
    """operators, mutants and show speak of the same mutants"""
    ops = {o["name"] for o in json.loads(run("operators", "--json").stdout)["operators"]}
    assert len(ops) > 100
    text = run("mutants", MODEL, "--json").stdout
    mutants = json.loads(text)["mutants"]
    assert text == json.dumps({"mutants": mutants}, indent=2) + "\n", "written one by one, it reads as if it were written whole"
    assert [m["id"] for m in mutants] == [line.split("  ")[0] for line in run("mutants", MODEL).stdout.splitlines()]
    assert {m["operator"] for m in mutants} == {o for o in ops if not o.startswith("control.")}, "every operator has a row"
    assert len({m["id"] for m in mutants}) == len(mutants)
    chosen = random.Random(1).sample([m["id"] for m in mutants if m["sites"]], 40)
    for i in chosen:
        shown = json.loads(run("show", MODEL, i, "--json").stdout)
        assert shown["id"] == i and shown["ir"], i
        assert shown["kernels"] or shown["no_effect"] or i.startswith(("input.", "graph.")), i
    sample = [m["id"] for m in json.loads(run("mutants", MODEL, "--operator", "loop.*", "--sites", "sample 20", "--seed", "7", "--json").stdout)["mutants"]
              if m["sites"]]
    assert len(sample) == 20 and sample == [m["id"] for m in json.loads(
        run("mutants", MODEL, "--operator", "loop.*", "--sites", "sample 20", "--seed", "7", "--json").stdout)["mutants"] if m["sites"]]


@test
def shown_source_is_what_ran(tmp):
    """building what `show` prints gives the `code` that the campaign stored"""
    images = some_images(tmp / "im", 3)
    run("run", "--model", MODEL, "--images", images, "--mutations", "loop.*,graph.replace.*", "--sites", "sample 6", "--store", tmp / "s.db")
    seen = 0
    for ident, _, devices in table(tmp / "s.db"):
        if not devices[0][4] or devices[0][1] in ("no-site", "no-effect"):
            continue
        shown = json.loads(run("show", MODEL, ident, "--build", "--json").stdout)
        assert shown["code"] == devices[0][4], ident
        seen += 1
    assert seen >= 6


@test
def campaign_and_reports(tmp):
    """the preset gives its 22 rows; JSON, CSV and table agree; the second run does nothing"""
    images, store = some_images(tmp / "im"), tmp / "s.db"
    plan = run("run", *CAMPAIGN, "--images", images, "--device", "host-gcc,host-clang", "--store", store, "--plan").stdout
    assert "22 mutants" in plan and "2 devices, 6 images" in plan and not store.exists(), plan
    first = run("run", *CAMPAIGN, "--images", images, "--device", "host-gcc,host-clang", "--store", store)
    report = json.loads(run("report", store, "--json", "-").stdout)
    assert len(report["mutants"]) == 22
    assert report["launches"]["saved"] >= 0 and report["launches"]["run"] > 0
    outcomes = {m["id"]: m["devices"][0]["outcome"] for m in report["mutants"]}
    assert outcomes["graph.replace.relu/*/all/to-sigmoid"] == "misclassified"
    assert outcomes["loop.store.value/*/all/*1.00000001"] in ("equivalent", "no-effect", "identical")
    rows = list(csv.DictReader(run("report", store, "--csv", "-").stdout.splitlines()))
    assert len(rows) == 44
    assert "graph.replace.relu" in first.stdout
    before = table(store)
    again = run("run", *CAMPAIGN, "--images", images, "--device", "host-gcc,host-clang", "--store", store)
    assert "44 were done before" in again.stderr, again.stderr
    assert table(store) == before
    compare = json.loads(run("compare", store, "--json").stdout)
    assert compare
    r = run("run", *CAMPAIGN, "--images", images, "--store", store, "--opt-level", "1", "--device", "host-gcc,host-clang", status=2)
    assert "opt-level" in r.stderr


@test
def little_memory_changes_no_verdict(tmp):
    """with room for one image's tensors, in one runner and in two, everything is as with room for all; with less there is an error in words"""
    images = some_images(tmp / "im")
    args = ["run", *CAMPAIGN, "--images", images, "--mutations", "mutatenn-paper,loop.cond.*,input.*", "--sites", "sample 12", "--opt-level", 3]
    run(*args, "--store", tmp / "all.db")
    r = run(*args, "--store", tmp / "none.db", "--memory", "1K", status=2)
    need = re.search(r"memory \(--memory\) must be at least \d+K: .* for one image take (\d+) bytes in each runner, and there are 1", r.stderr)
    assert need and not (tmp / "none.db").exists(), r.stderr
    (tmp / "two.yaml").write_text("device-definitions:\n  - {name: host-gcc, runners: 2}\n")
    for name, memory, more in [("one", int(need[1]), []), ("two", 5 * int(need[1]), ["--devices-file", tmp / "two.yaml"])]:
        run(*args, "--store", tmp / f"{name}.db", "--memory", memory, *more)
        same(table(tmp / f"{name}.db"), table(tmp / "all.db"))
        same(messages(tmp / f"{name}.db"), messages(tmp / "all.db"))
    for bad in ("", "0", "much", "-1"):
        assert "--memory takes a size" in run(*args, "--store", tmp / "none.db", f"--memory={bad}", status=2).stderr, bad


@test
def a_store_is_of_one_campaign(tmp):
    """a store goes on only with the same model, images and configuration; what differs is named"""
    images, model, store = some_images(tmp / "im", 3), tmp / "m.onnx", tmp / "s.db"
    shutil.copy(MODEL, model)
    shutil.copy(MODEL.with_suffix(".yaml"), tmp / "m.yaml")
    shutil.copy(SOURCE / "demo/labels.txt", tmp)
    args = ["run", "--model", model, "--images", images, "--mutations", "mutatenn-paper", "--store", store]
    first, extra, spare = sorted(images.glob("*.png"))[0], images / "zz.png", tmp / "spare.png"
    run(*args)
    before = table(store)
    for more, word in [(["--seed", 5], "'seed' differs"), (["--opt-level", 3], "'opt-level' differs"), (["--device", "host-clang"], "'devices' differs"),
                       (["--mutations", "loop.*"], "loop.*"), (["--preprocess", "torchvision"], "preprocess")]:
        assert word in run(*args, *more, status=2).stderr, word
    shutil.copy(first, spare)
    shutil.copy(first, extra)
    assert "holds 3 images, now there are 4" in run(*args, status=2).stderr
    extra.unlink()
    first.unlink()
    assert "holds 3 images, now there are 2" in run(*args, status=2).stderr
    shutil.copy(sorted(images.glob("*.png"))[0], first)
    assert f"{first.name}' (an image) has changed" in run(*args, status=2).stderr
    shutil.copy(spare, first)
    whole = model.read_bytes()
    model.write_bytes(whole[:len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1]) + whole[len(whole) // 2 + 1:])
    assert "m.onnx' (the model) has changed" in run(*args, status=2).stderr
    model.write_bytes(whole)
    run(*args)
    moved = tmp / "moved"
    moved.mkdir()
    for what in (model, tmp / "m.yaml", tmp / "labels.txt", images):
        shutil.move(what, moved)
    run("run", "--model", moved / "m.onnx", "--images", moved / "im", "--mutations", "mutatenn-paper", "--store", store)  # places are not what things are
    assert table(store) == before
    run("run", "--model", moved / "m.onnx", "--images", moved / "im", "--mutations", "mutatenn-paper", "--store", tmp / "t.db")
    run("merge", store, tmp / "t.db", "--out", tmp / "both.db")
    assert table(tmp / "both.db") == before


def planned(store):
    """The campaign has written down what it will run."""
    try:
        con = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
        n = con.execute("SELECT count(*) FROM mutants").fetchone()[0]
        con.close()
        return n
    except sqlite3.Error:
        return 0


@test
def a_store_has_one_writer_and_says_what_is_missing(tmp):
    """a second run on a store is refused; a report of a stopped campaign says so"""
    images, store = some_images(tmp / "im", 4), tmp / "s.db"
    args = ["run", "--model", MODEL, "--images", images, "--mutations", "loop.*", "--sites", "sample 150", "--store", store]
    p = subprocess.Popen([BIN, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while p.poll() is None and not planned(store):
        time.sleep(.02)
    assert "another process" in run(*args, status=1).stderr
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=60)
    assert p.returncode == 1 and "the same command goes on" in err, (p.returncode, err)
    text = run("report", store).stdout
    assert re.search(r"^Partial: \d+ of \d+ results are missing", text, re.M), text[:500]
    assert json.loads(run("report", store, "--json", "-").stdout)["complete"] is False
    assert "Partial" not in run(*args).stdout
    assert json.loads(run("report", store, "--json", "-").stdout)["complete"] is True


def interrupted(tmp, kill):
    """The table of a campaign disturbed by kill(parent process), run until it is done."""
    images, store = some_images(tmp / "im2", 4), tmp / "k.db"
    args = [BIN, "run", "--model", MODEL, "--images", images, "--mutations", "mutatenn-paper,loop.*", "--sites", "sample 150", "--store", store]
    for _ in range(30):
        p = subprocess.Popen(list(map(str, args)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        kill(p)
        try:
            _, err = p.communicate(timeout=200)
        except subprocess.TimeoutExpired:
            p.kill()
            raise
        if p.returncode == 0:
            return table(store)
    raise AssertionError("never done: " + err)


def undisturbed(tmp):
    images, store = some_images(tmp / "im1", 4), tmp / "u.db"
    run("run", "--model", MODEL, "--images", images, "--mutations", "mutatenn-paper,loop.*", "--sites", "sample 150", "--store", store)
    return table(store)


def workers_of(pid):
    out = []
    for p in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = p.read_text().rsplit(")", 1)
        except OSError:
            continue
        if "mutatenn-worker" in fields[0] and int(fields[1].split()[1]) == pid:
            out.append(int(p.parent.name))
    return out


@test
def killed_workers_change_nothing(tmp):
    """SIGKILL to workers at ten random moments: the same table"""
    want, rng = undisturbed(tmp), random.Random(5)
    killed = []

    def kill(p):
        while p.poll() is None and len(killed) < 10:
            time.sleep(rng.uniform(.05, .3))
            found = workers_of(p.pid)
            if found:
                try:
                    killed.append(rng.choice(found))
                    os.kill(killed[-1], signal.SIGKILL)
                except ProcessLookupError:
                    killed.pop()

    same(interrupted(tmp, kill), want)
    assert len(killed) == 10, f"the campaign was over after {len(killed)} kills"


@test
def killed_parent_resumes(tmp):
    """SIGKILL, then SIGINT, to the parent at random moments, run again each time: the same table, no stray workers"""
    want, rng = undisturbed(tmp), random.Random(6)
    how = iter([signal.SIGKILL] * 5 + [signal.SIGINT] * 3)
    left = []

    def kill(p):
        time.sleep(rng.uniform(.3, 2))
        sig = next(how, None)
        if sig and p.poll() is None:
            left.extend(workers_of(p.pid))
            start = time.time()
            p.send_signal(sig)
            p.wait(20)
            assert time.time() - start < 5, "slow to stop"

    same(interrupted(tmp, kill), want)
    time.sleep(2)
    assert not [p for p in left if pathlib.Path(f"/proc/{p}/stat").exists() and "mutatenn-worker" in pathlib.Path(f"/proc/{p}/comm").read_text()]


if not (IMAGES / "labels.csv").exists():
    print("skipped: demo/images is absent")
    sys.exit(77)
sys.exit(run_tests("e2e", sys.argv[3:]))
