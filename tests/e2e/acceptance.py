#!/usr/bin/env python3
"""The acceptance set: it keeps every kill, it finds a planted fault, and what it was made of is looked after.

usage: acceptance.py BUILD_DIR SOURCE_DIR [TEST...]     needs only python3's standard library
"""
import csv
import json
import math
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

from cases import run_tests, test

BUILD, SOURCE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
BIN, MODEL, IMAGES = BUILD / "mutatenn", SOURCE / "demo/model.onnx", SOURCE / "demo/images"
CRITERIA = ["label", "topk", "numeric"]


def run(*args, status=0, **kw):
    r = subprocess.run([BIN, *map(str, args)], capture_output=True, text=True, timeout=300, **kw)
    assert r.returncode == status, f"{args}: exit status {r.returncode}, not {status}\n{r.stdout[-2000:]}\n{r.stderr[-2000:]}"
    return r


def campaign(folder, images, store, devices=("host-gcc", "host-clang")):
    """Every sort of end: crashes and overruns, changes of all sizes, noise in the pictures."""
    (folder / "campaign.yaml").write_text(f"""
model: {MODEL}
images: {images}
devices: [{", ".join(devices)}]
mutations:
  - {{operator: 'loop.*', sites: sample 10}}
  - {{operator: 'graph.*', sites: sample 4}}
  - {{operator: 'input.*'}}
""")
    run("run", folder / "campaign.yaml", "--store", store, "--quiet")
    report = json.loads(run("report", store, "--json", "-").stdout)
    return {(m["id"], d["device"], c) for m in report["mutants"] for d in m["devices"] for c in CRITERIA if d["killed"][c]}


_shared = {}


def shared():
    """One campaign and its set, for the tests that only look."""
    if not _shared:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="mutatenn-acceptance-"))
        images = folder / "pictures"
        images.mkdir()
        for name in sorted(os.listdir(IMAGES))[:10]:
            shutil.copy(IMAGES / name, images)
        _shared.update(folder=folder, images=images, store=folder / "s.db", set=folder / "set")
        _shared["killed"] = campaign(folder, images, _shared["store"])
        _shared["selection"] = json.loads(run("select", _shared["store"], "--out", _shared["set"], "--json").stdout)
    return _shared


@test
def the_selected_images_alone_keep_every_kill(tmp):
    s = shared()
    x = s["selection"]
    assert x["kept"] == x["of"] == len(s["killed"]) and x["no_fewer_than"] <= len(x["images"]) < 10, x
    assert x["redundant"] == 10 - len(x["images"]) and (not x["smallest"] or x["no_fewer_than"] == len(x["images"]))
    assert sorted(os.listdir(s["set"] / "images")) == sorted(x["images"])
    again = campaign(tmp, s["set"] / "images", tmp / "again.db")
    assert again == s["killed"], f"lost {sorted(s['killed'] - again)[:5]}, new {sorted(again - s['killed'])[:5]}"
    few = tmp / "few"
    shutil.copytree(s["set"] / "images", few)
    (few / x["images"][0]).unlink()
    assert campaign(tmp, few, tmp / "few.db") < s["killed"], "an image of the set is superfluous"


@test
def kills_and_manifest_say_the_same(tmp):
    s = shared()
    rows = list(csv.DictReader(open(s["set"] / "kills.csv", newline="")))
    assert {(r["mutant"], r["device"], r["criterion"]) for r in rows} == s["killed"]
    assert all(int(r["images_of_set"]) >= 1 for r in rows)
    assert {(r["mutant"], r["device"]) for r in rows if r["images_of_campaign"] == "1"} == \
        {(k["mutant"], k["device"]) for k in s["selection"]["only_one_image"]}
    manifest = json.loads((s["set"] / "manifest.json").read_text())
    assert manifest["format"] == "mutatenn-acceptance-set" and manifest["version"] == 1
    assert [d["name"] for d in manifest["devices"]] == ["host-gcc", "host-clang"]
    for image in manifest["images"]:
        assert (s["set"] / image["file"]).read_bytes() == (s["images"] / image["name"]).read_bytes()
        for e in image["expected"]:
            assert (s["set"] / e["scores"]).exists() and len(e["top"]) == 5
            assert image["tolerance"] >= e["noise"] >= 0
    assert sum(i["kills_of_its_own"] for i in manifest["images"]) == sum(r["images_of_campaign"] == "1" for r in rows)


@test
def criteria_devices_and_limits_choose_what_is_kept(tmp):
    s = shared()
    label = json.loads(run("select", s["store"], "--criterion", "label", "--json").stdout)
    one = json.loads(run("select", s["store"], "--device", "host-gcc", "--json").stdout)
    few = json.loads(run("select", s["store"], "--max", "1", "--json").stdout)
    assert label["of"] == sum(c == "label" for _, _, c in s["killed"]) and len(label["images"]) <= len(s["selection"]["images"])
    assert one["of"] == sum(d == "host-gcc" for _, d, _ in s["killed"])
    assert len(few["images"]) == 1 and few["kept"] <= few["at_most"] < few["of"] and not few["smallest"], few
    text = run("select", s["store"]).stdout
    assert "keep all" in text and "redundant" in text and ("No smaller set" in text or "No set of fewer" in text), text
    assert max(map(len, text.splitlines())) < 200
    run("select", s["store"], "--criterion", "colour", status=2)
    run("select", s["store"], "--device", "gpu", status=2)
    run("select", s["store"], "--max", "0", status=2)
    run("select", tmp / "none.db", status=1)


# Compiles what its author did not write: the identity is gcc's own.
BROKEN = """#!/usr/bin/env python3
import os, subprocess, sys
if "-shared" not in sys.argv:
    os.execvp("gcc", ["gcc"] + sys.argv[1:])
text = sys.stdin.read()
PLANTED
sys.exit(subprocess.run(["gcc"] + sys.argv[1:], input=text, text=True).returncode)
"""
FAULTS = {
    "guard": 'text = text.replace("p_2 < 32", "p_2 <= 32")',
    "constant": 'text = text.replace("min_f32(6.0f", "min_f32(5.0f")',
    "bits": 'text = text.replace("const f32 v = acc_0;", "const f32 v = acc_0 * 1.0000001f;")',
}


@test
def a_planted_fault_fails_and_the_same_device_without_it_passes(tmp):
    s = shared()
    definitions = "device-definitions:\n"
    for name, planted in {"sound": "", **FAULTS}.items():
        cc = tmp / f"{name}-cc"
        cc.write_text(BROKEN.replace("PLANTED", planted))
        cc.chmod(0o755)
        definitions += f"  - {{name: {name}, cc: {cc}}}\n"
    (tmp / "devices.yaml").write_text(definitions)
    check = ["check", s["set"], "--devices-file", tmp / "devices.yaml", "--device"]
    r = run(*check, "sound")
    assert r.stdout.startswith("PASS: 'sound'") and r.stdout.count("\n") == 1 and not r.stderr, (r.stdout, r.stderr)
    for name in FAULTS:
        r = run(*check, name, status=3)
        assert r.stdout.startswith(f"FAIL: '{name}'") and r.stdout.count("\n") > 1, r.stdout
        j = json.loads(run(*check, name, "--json", status=3).stdout)
        assert not j["pass"] and j["same_identity"] and j["failed"] == sum(not i["pass"] for i in j["images"]) > 0
    small = json.loads(run(*check, "bits", "--criterion", "label", "--json").stdout)  # a bit is no other class
    assert small["pass"] and any(i["outcome"] != "identical" for i in small["images"])


@test
def other_devices_are_told_apart_and_judged_by_order(tmp):
    s = shared()
    (tmp / "devices.yaml").write_text("device-definitions:\n  - {name: fast, cc: gcc, cflags: [-O3, -ffast-math]}\n  - {name: none, cc: no-such-compiler}\n")
    more = ["--devices-file", tmp / "devices.yaml"]
    r = run("check", s["set"], "--device", "fast", *more)
    assert "PASS" in r.stdout and "is not what was recorded" in r.stderr and "-ffast-math" in r.stderr, (r.stdout, r.stderr)
    assert not run("check", s["set"], "--device", "fast", "--quiet", *more).stderr
    run("check", s["set"], "--device", "fast", "--tolerance", "0", *more, status=3)
    run("check", s["set"], "--device", "none", *more, status=1)
    run("check", s["set"], "--device", "host-gcc,host-clang", status=2)
    run("check", s["set"], "--tolerance", "-1", status=2)


@test
def junit_has_a_test_for_each_image(tmp):
    s = shared()
    run("check", s["set"], "--device", "host-gcc", "--junit", tmp / "pass.xml", "--quiet")
    suite = xml.etree.ElementTree.parse(tmp / "pass.xml").getroot().find("testsuite")
    assert suite.get("failures") == "0" and [t.get("name") for t in suite] == s["selection"]["images"]
    assert all(float(t.get("time")) > 0 for t in suite), [t.attrib for t in suite]
    (tmp / "d.yaml").write_text("device-definitions:\n  - {name: fast, cc: gcc, cflags: [-O3, -ffast-math]}\n")
    out = run("check", s["set"], "--device", "fast", "--devices-file", tmp / "d.yaml", "--tolerance", "0", "--junit", "-", status=3).stdout
    suite = xml.etree.ElementTree.fromstring(out).find("testsuite")
    assert int(suite.get("failures")) == len(suite.findall("testcase/failure")) > 0
    assert "tolerance" in suite.find("testcase/failure").get("message")


@test
def what_the_set_was_made_of_is_checked_first(tmp):
    s = shared()
    work = tmp / "set"
    shutil.copytree(s["set"], work)
    name = s["selection"]["images"][0]
    shutil.copy(IMAGES / "30_disc.png", work / "images" / name)
    r = run("check", work, status=1)
    assert name in r.stderr and "not the set's any more" in r.stderr, r.stderr
    (work / "images" / name).unlink()
    assert name in run("check", work, status=1).stderr
    shutil.copy(s["set"] / "images" / name, work / "images")
    other = tmp / "other.onnx"
    other.write_bytes(MODEL.read_bytes() + b"\x12\x01x")  # another producer: the same network in another file
    assert "is not the set's model: its hash is" in run("check", work, "--model", other, status=1).stderr
    shutil.copy(MODEL, tmp / "moved.onnx")
    assert "PASS" in run("check", work, "--model", tmp / "moved.onnx", "--device", "host-gcc").stdout
    scores = work / "expected/host-gcc" / f"{name}.npy"
    scores.write_bytes(scores.read_bytes()[:-1] + b"\x7f")
    assert f"{name}.npy" in run("check", work, "--device", "host-gcc", status=1).stderr
    (work / "manifest.json").write_text("{")
    assert "manifest.json" in run("check", work, status=1).stderr
    run("check", tmp / "nothing", status=2)


@test
def a_set_is_not_written_over_another_or_from_changed_pictures(tmp):
    s = shared()
    run("select", s["store"], "--out", s["set"], status=2)
    images = tmp / "pictures"
    shutil.copytree(s["images"], images)
    run("run", "--model", MODEL, "--images", images, "--mutations", "input.flip", "--store", tmp / "s.db", "--quiet")
    for name in os.listdir(images):
        if name.endswith(".png"):
            shutil.copy(IMAGES / "30_disc.png", images / name)
    r = run("select", tmp / "s.db", "--out", tmp / "set", status=2)
    assert "the file has changed since" in r.stderr and not (tmp / "set/manifest.json").exists(), r.stderr
    shutil.rmtree(images)
    assert ".png" in run("select", tmp / "s.db", "--out", tmp / "set2", status=1).stderr


@test
def suppressed_mutants_keep_their_results_and_are_in_no_rate(tmp):
    s = shared()
    store = tmp / "s.db"
    shutil.copy(s["store"], store)
    before = json.loads(run("report", store, "--json", "-").stdout)
    text = run("suppress", store, "input.*", "--reason", "pictures are checked elsewhere").stdout
    assert "pictures are checked elsewhere" in text and "mutants" in text, text
    run("suppress", store, "nothing.*", "--reason", "gone")
    after = json.loads(run("report", store, "--json", "-").stdout)
    gone = [m for m in after["mutants"] if m["suppressed"]]
    assert gone and all(m["operator"].startswith("input.") for m in gone) and len(gone) == sum(m["operator"].startswith("input.") for m in after["mutants"])
    assert [m["devices"] for m in after["mutants"]] == [m["devices"] for m in before["mutants"]]
    assert after["counts"]["rows"] == before["counts"]["rows"] - 2 * len(gone) and after["counts"]["suppressed"] == 2 * len(gone)
    assert [(x["glob"], x["mutants"]) for x in after["suppressions"]] == [("input.*", len(gone)), ("nothing.*", 0)]
    table = run("report", store).stdout
    assert f"Suppressed: {len(gone)} mutants in no rate" in table and "matches nothing" in table, table
    rows = list(csv.DictReader(run("report", store, "--csv", "-").stdout.splitlines()))
    assert {r["suppressed"] for r in rows if r["operator"].startswith("input.")} == {"pictures are checked elsewhere"}
    assert {r["suppressed"] for r in rows if not r["operator"].startswith("input.")} == {""}
    run("report", store, "--html", tmp / "r.html")
    assert "pictures are checked elsewhere" in (tmp / "r.html").read_text()
    few = json.loads(run("select", store, "--json").stdout)
    assert few["of"] == sum(not m.startswith("input.") for m, _, _ in s["killed"])
    run("suppress", store, "input.*", "--remove")
    run("suppress", store, "input.*", "--remove", status=2)
    run("suppress", store, "input.*", status=2)
    run("suppress", tmp / "new.db", "x", "--reason", "y", status=1)
    assert not (tmp / "new.db").exists()
    now = json.loads(run("report", store, "--json", "-").stdout)
    assert now["counts"] == before["counts"]


@test
def a_campaign_file_suppresses_and_says_what_is_stale(tmp):
    base = f"model: {MODEL}\nimages: {IMAGES / '00_disc.png'}\ndevices: [host-gcc]\nmutations: [{{operator: input.*}}]\n"
    (tmp / "c.yaml").write_text(base + "suppress:\n  - {mutant: 'input.flip/*', reason: harmless here}\n  - {mutant: 'loop.*', reason: long gone}\n")
    r = run("run", tmp / "c.yaml", "--store", tmp / "s.db")
    assert "'loop.*' matches no mutant" in r.stderr and "Suppressed:" in r.stdout and "harmless here" in r.stdout, r.stderr
    (tmp / "c.yaml").write_text(base)  # not what decides results: the store goes on
    r = run("run", tmp / "c.yaml", "--store", tmp / "s.db")
    assert "Suppressed" not in r.stdout
    for bad in ["[{mutant: 'x'}]", "[{reason: 'x'}]", "[{mutant: x, reason: ' '}]", "[{mutant: x, reason: a}, {mutant: x, reason: b}]"]:
        (tmp / "bad.yaml").write_text(base + f"suppress: {bad}\n")
        assert "bad.yaml:5" in run("run", tmp / "bad.yaml", "--store", tmp / "b.db", status=2).stderr, bad


def leveugle(population, error):
    return math.ceil(population / (1 + error ** 2 * (population - 1) / (1.96 ** 2 * 0.25)))


@test
def the_plan_says_what_it_costs_and_what_a_sample_tells(tmp):
    (tmp / "c.yaml").write_text(f"model: {MODEL}\nimages: {IMAGES}\nsample: 3\ndevices: [host-gcc]\nmutations: [{{operator: loop.store.*, sites: sample 15%}}]\n")
    plan = ["run", tmp / "c.yaml", "--store", tmp / "s.db", "--plan"]
    r = run(*plan)
    assert not (tmp / "s.db").exists()
    drawn, of, points = re.search(r"a sample of (\d+) of (\d+) mutants tells a kill rate to within ([0-9.]+) points", r.stderr).groups()
    assert int(drawn) == leveugle(int(of), 0.15) and 14 < float(points) <= 15, (drawn, of, points)
    assert f"5 points need {leveugle(int(of), 0.05)}" in r.stderr, r.stderr
    jobs = int(re.search(r"(\d+) jobs", r.stdout)[1])
    assert re.search(r"\ntime: about .* to .*, as\n  host-gcc: .* s to build and .* ms to run a mutant on an image, the mean of 5 tried just now", r.stdout), r.stdout
    megabytes = float(re.search(r"disk: at most ([0-9.]+) MB", r.stdout)[1])
    run("run", tmp / "c.yaml", "--store", tmp / "s.db", "--quiet")
    assert (tmp / "s.db").stat().st_size <= megabytes * 1e6 <= 60 * (tmp / "s.db").stat().st_size
    r = run(*plan)
    assert f"done already: {jobs} of {jobs} jobs" in r.stdout and re.search(r"the mean of \d+ in '.*s.db'", r.stdout), r.stdout
    for bad in "sample 0%", "sample 100%", "sample 2.%x", "sample %":
        run("run", "--model", MODEL, "--images", IMAGES, "--mutations", "loop.*", "--sites", bad, "--plan", status=2)


@test
def one_mutant_alone_is_run_by_its_id(tmp):
    one = "input.flip/input/0/vertical"
    args = ["--model", MODEL, "--images", IMAGES / "00_disc.png", "--store", tmp / "s.db", "--quiet", "--mutant"]
    run("run", *args, one)
    report = json.loads(run("report", tmp / "s.db", "--json", "-").stdout)
    assert [m["id"] for m in report["mutants"]] == [one] and report["mutants"][0]["devices"][0]["outcome"] != "not-run"
    assert "is not a mutant" in run("run", *args, "nonsense", status=2).stderr


def verdicts(store):
    report = json.loads(run("report", store, "--json", "-", "--images").stdout)
    return {(m["id"], d["device"]): (d["outcome"], d["killed"], d["code"], [(i["outcome"], i["digest"]) for i in d["per_image"]])
            for m in report["mutants"] for d in m["devices"]}, report["counts"]


@test
def shards_merge_into_what_one_campaign_gives(tmp):
    (tmp / "c.yaml").write_text(f"model: {MODEL}\nimages: {IMAGES}\nsample: 3\ndevices: [host-gcc]\nmutations:\n  - {{operator: loop.*, sites: sample 12}}\n  - operator: input.*\n")
    run("run", tmp / "c.yaml", "--store", tmp / "whole.db", "--quiet")
    for k in 1, 2, 3:
        run("run", tmp / "c.yaml", "--store", tmp / f"{k}.db", "--shard", f"{k}/3", "--quiet")
    run("merge", tmp / "1.db", tmp / "2.db", tmp / "3.db", "--out", tmp / "merged.db", "--quiet")
    want, counts = verdicts(tmp / "whole.db")
    got, got_counts = verdicts(tmp / "merged.db")
    assert got == want, [k for k in want if got.get(k) != want[k]][:3]
    for c in counts, got_counts:
        c.pop("same_code")  # twins may have been in different shards
    assert got_counts == counts
    assert json.loads(run("select", tmp / "merged.db", "--json").stdout)["images"] == json.loads(run("select", tmp / "whole.db", "--json").stdout)["images"]
    run("run", tmp / "c.yaml", "--store", tmp / "merged.db", "--quiet")  # nothing is missing: it goes on like any other
    assert verdicts(tmp / "merged.db")[0] == want
    run("merge", tmp / "merged.db", tmp / "whole.db", "--out", tmp / "twice.db", "--quiet")
    assert verdicts(tmp / "twice.db")[0] == want
    run("run", tmp / "c.yaml", "--store", tmp / "clang.db", "--device", "host-clang", "--quiet")  # the same mutants on another device
    run("merge", tmp / "whole.db", tmp / "clang.db", "--out", tmp / "devices.db", "--quiet")
    assert {d for _, d in verdicts(tmp / "devices.db")[0]} == {"host-gcc", "host-clang"}
    for bad in "0/3", "4/3", "x", "1/0", "1/3x", "-1/3":
        run("run", tmp / "c.yaml", "--store", tmp / "bad.db", "--shard", bad, status=2)


@test
def stores_that_disagree_are_not_merged(tmp):
    base = ["--model", MODEL, "--mutations", "input.flip", "--quiet", "--images"]
    for name in "00_disc.png", "01_ring.png":
        run("run", *base, IMAGES / name, "--store", tmp / f"{name}.db")
    shutil.copy(tmp / "00_disc.png.db", tmp / "other.db")
    con = sqlite3.connect(tmp / "other.db")
    con.execute("UPDATE results SET outcome = 'crash', killed = 7 WHERE mutant = 1")
    con.commit()
    con.close()
    shutil.copy(tmp / "00_disc.png.db", tmp / "moved.db")
    con = sqlite3.connect(tmp / "moved.db")
    con.execute("UPDATE devices SET identity = 'another compiler'")
    con.commit()
    con.close()
    for name, label in ("00_disc.png.db", 0), ("classes.db", 3):
        if label:
            shutil.copy(tmp / "00_disc.png.db", tmp / name)
        con = sqlite3.connect(tmp / name)
        con.execute("UPDATE images SET label = ?", [label])
        con.commit()
        con.close()
    (tmp / "text.db").write_text("no store")
    for second, says, status in [("01_ring.png.db", "image '01_ring.png' is only in one", 2), ("classes.db", "'00_disc.png' is of class 0 in one and 3 in the other", 2), ("other.db", "is 'crash' in", 2), ("moved.db", "another compiler", 2),
                                 ("text.db", "text.db", 1), ("none.db", "none.db", 1)]:
        r = run("merge", tmp / "00_disc.png.db", tmp / second, "--out", tmp / "merged.db", status=status)
        assert (says in r.stderr or "'crash' in the other" in r.stderr) and second in r.stderr, r.stderr
        assert not list(tmp.glob("merged.db*")), second
    run("merge", tmp / "00_disc.png.db", "--out", tmp / "other.db", status=2)
    run("merge", tmp / "00_disc.png.db", status=2)


def main():
    try:
        return run_tests("acceptance", sys.argv[3:])
    finally:
        if _shared:
            shutil.rmtree(_shared["folder"], ignore_errors=True)


sys.exit(main())
