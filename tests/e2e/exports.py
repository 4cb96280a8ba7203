#!/usr/bin/env python3
"""The reports for other programs: each is valid under its published schema, says what the store says, and is whole or not there.

usage: exports.py BUILD_DIR SOURCE_DIR [TEST...]     needs python3-jsonschema and xmllint (Debian: libxml2-utils)
"""
import csv
import io
import json
import os
import pathlib
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import xml.etree.ElementTree as ET

from cases import run_tests, test

try:
    import jsonschema
except ImportError:  # Debian's package is Debian's python's
    if sys.executable == "/usr/bin/python3":
        raise
    os.execv("/usr/bin/python3", ["/usr/bin/python3", *sys.argv])

BUILD, SOURCE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
BIN, MODEL, IMAGES, SCHEMAS = BUILD / "mutatenn", SOURCE / "demo/model.onnx", SOURCE / "demo/images", SOURCE / "tests/schemas"
FORMATS = ["json", "csv", "stryker", "sarif", "junit"]
SANITIZED = b"__asan_init" in BIN.read_bytes()


def run(*args, status=0, **kw):
    r = subprocess.run([BIN, *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, timeout=300, **kw)
    assert r.returncode == status, f"{args}: exit status {r.returncode}, not {status}\n{r.stdout[-2000:]}\n{r.stderr[-2000:]}"
    return r


def report(store, form, *args, **kw):
    return run("report", store, "--" + form, "-", *args, **kw).stdout.decode()


def schema(name):
    s = json.loads((SCHEMAS / name).read_text())
    jsonschema.Draft7Validator.check_schema(s)
    return jsonschema.Draft7Validator(s)


def undocumented(s, v, root, at="$"):
    """Names in v that the schema s does not describe."""
    while "$ref" in s:
        s = root["definitions"][s["$ref"].split("/")[-1]]
    if isinstance(v, list):
        return [x for i in v for x in undocumented(s.get("items", {}), i, root, at + "[]")]
    if not isinstance(v, dict):
        return []
    known = dict(s.get("properties", {}))
    for part in s.get("allOf", []):
        while "$ref" in part:
            part = root["definitions"][part["$ref"].split("/")[-1]]
        known |= part.get("properties", {})
    if "additionalProperties" in s:
        return []
    return [f"{at}.{k}" for k in v if k not in known] + [x for k in v if k in known for x in undocumented(known[k], v[k], root, f"{at}.{k}")]


def valid(store, folder):
    """Writes all five formats at once, checks each against its schema, and returns what they hold."""
    names = {f: folder / f"out.{f}" for f in FORMATS}
    run("report", store, "--images", *[x for f in FORMATS for x in ("--" + f, names[f])])
    own = json.loads((SOURCE / "docs/report.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(own)
    j = json.loads(names["json"].read_text())
    jsonschema.Draft7Validator(own).validate(j)
    assert not undocumented(own, j, own), f"not in docs/report.schema.json: {sorted(set(undocumented(own, j, own)))}"
    stryker = json.loads(names["stryker"].read_text())
    schema("mutation-testing-report.json").validate(stryker)
    sarif = json.loads(names["sarif"].read_text())
    schema("sarif-2.1.0.json").validate(sarif)
    r = subprocess.run(["xmllint", "--noout", "--schema", SCHEMAS / "junit-10.xsd", names["junit"]], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr[:2000]
    rows = list(csv.DictReader(io.StringIO(names["csv"].read_bytes().decode(), newline="")))
    return j, rows, stryker, sarif, ET.parse(names["junit"]).getroot()


def campaign():
    """A small campaign on two devices, made once: mutants with and without a place, at one site and at many."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mutatenn-exports-"))
    (folder / "images").mkdir()
    for name in sorted(os.listdir(IMAGES))[:3] + ["labels.csv"]:
        shutil.copy(IMAGES / name, folder / "images")
    shutil.copy(MODEL, folder / "model.onnx")
    for name in "model.yaml", "labels.txt":
        shutil.copy(MODEL.parent / name, folder)
    (folder / "c.yaml").write_text("""model: model.onnx
images: images
devices: [host-gcc, host-clang]
mutations:
  - {operator: graph.replace.relu, sites: all}
  - {operator: graph.insert.transpose.*, sites: all}
  - {operator: loop.cond.*, sites: sample 8}
  - {operator: loop.bound.*, sites: sample 8}
  - {operator: loop.store.*, sites: sample 8}
  - {operator: loop.store.narrow, sites: all}
  - {operator: "input.[fq]*"}
""")
    run("run", "c.yaml", "--store", "s.db", "--quiet", cwd=folder)
    return folder


@test
def every_format_is_valid(folder, tmp):
    """JSON, CSV, Stryker, SARIF and JUnit are valid, and agree about every mutant"""
    j, rows, stryker, sarif, junit = valid(folder / "s.db", tmp)
    verdict = {(m["id"], d["device"]): d for m in j["mutants"] for d in m["devices"]}
    assert len(verdict) >= 50 and j["schema"] == 1
    assert {(r["mutant"], r["device"]): (r["outcome"], r["killed_label"] == "1") for r in rows} == {
        k: (d["outcome"], d["killed"]["label"]) for k, d in verdict.items()}
    counted = {"identical", "tolerated", "drifted", "reordered", "misclassified", "nan", "overrun", "undefined", "hang", "crash"}
    survivors = {k for k, d in verdict.items() if d["outcome"] in counted and not d["killed"]["label"]}
    assert survivors and len(survivors) < len(verdict)

    mutants = [m for f in stryker["files"].values() for m in f["mutants"]]
    assert len({m["id"] for m in mutants}) == len(mutants) == len(j["mutants"])
    tests = {t["id"] for f in stryker["testFiles"].values() for t in f["tests"]}
    assert len(tests) == 2 * j["images"]
    for m in mutants:
        d = [verdict[m["id"], name] for name in ("host-gcc", "host-clang")]
        want = ("Killed" if any(x["killed"]["label"] and x["outcome"] != "hang" for x in d) else "Timeout" if any(x["outcome"] == "hang" for x in d)
                else "Survived" if any(x["outcome"] in counted for x in d) else "CompileError" if any(x["outcome"] == "build-failed" for x in d) else "Ignored")
        assert m["status"] == want, (m["id"], m["status"], [x["outcome"] for x in d])
        assert set(m["killedBy"]) <= set(m["coveredBy"]) <= tests
        assert (want == "Killed") == bool(m["killedBy"]), m

    shown = [r for r in sarif["runs"][0]["results"] if r["ruleId"] not in ("device-disagreement", "model-disagreement")]
    assert {r["properties"]["mutant"] for r in shown} == {m for m, _ in survivors}
    prints = [r["partialFingerprints"]["mutatenn/v1"] for r in sarif["runs"][0]["results"]]
    assert len(set(prints)) == len(prints)
    rules = sarif["runs"][0]["tool"]["driver"]["rules"]
    assert all(rules[r["ruleIndex"]]["id"] == r["ruleId"] and rules[r["ruleIndex"]]["help"]["text"] for r in sarif["runs"][0]["results"])

    for suite in junit:
        cases = suite.findall("testcase")
        assert int(suite.get("tests")) == len(cases) == len(j["mutants"]) + 1
        for kind, tag in [("failures", "failure"), ("errors", "error"), ("skipped", "skipped")]:
            assert int(suite.get(kind)) == len(suite.findall(f"testcase/{tag}")), kind
        assert {c.get("name") for c in cases if c.find("failure") is not None} == {m for m, d in survivors if d == suite.get("name")}


def patched(source, diff):
    """The text that a unified diff of one file makes of the source."""
    lines, at, out = source.split("\n"), 0, []
    for head, body in re.findall(r"^@@ -(\d+),\d+ \+\d+,\d+ @@\n((?:[ +-].*\n?|\n)*)", diff, re.M):
        out += lines[at:int(head) - 1]
        at = int(head) - 1
        for line in body.split("\n")[:-1] if body.endswith("\n") else body.split("\n"):
            if line.startswith("+"):
                out.append(line[1:])
            else:
                assert lines[at] == line[1:], (lines[at], line)
                out += [] if line.startswith("-") else [lines[at]]
                at += 1
    return "\n".join(out + lines[at:])


@test
def replacements_make_the_mutant(folder, tmp):
    """putting a mutant's replacement at its location in the source gives the mutated text"""
    stryker = json.loads(report(folder / "s.db", "stryker"))
    diffs = dict(sqlite3.connect(folder / "s.db").execute("SELECT id, diff FROM mutants WHERE diff IS NOT NULL"))
    seen, precise = 0, 0
    for name, f in stryker["files"].items():
        for m in f["mutants"]:
            if "replacement" not in m or name == "input.txt" or "places" in m["description"]:
                continue
            lines, start, end = f["source"].split("\n"), m["location"]["start"], m["location"]["end"]
            before = "\n".join(lines[:start["line"] - 1] + [lines[start["line"] - 1][:start["column"] - 1]])
            after = "\n".join([lines[end["line"] - 1][end["column"] - 1:]] + lines[end["line"]:])
            got, want = before + m["replacement"] + after, patched(f["source"], diffs[m["id"]])
            if m["replacement"] == "" and end["line"] - start["line"] >= 0 and got.replace("\n\n", "\n") == want.replace("\n\n", "\n"):
                got = want  # a line that goes leaves its newline
            assert got == want, (m["id"], m["location"], m["replacement"])
            seen += 1
            precise += start["line"] == end["line"] and end["column"] - start["column"] < 12
    assert seen >= 15 and precise >= 8, (seen, precise)


@test
def every_outcome_has_its_place(folder, tmp):
    """each outcome, and an unreachable device, is mapped as docs/exports.md says"""
    store = shutil.copy(folder / "s.db", tmp / "s.db")
    con = sqlite3.connect(store)
    outcomes = [r[0] for r in con.execute("SELECT name FROM outcomes WHERE name NOT IN ('not-run', 'no-site') ORDER BY place")]
    ids = [r[0] for r in con.execute("SELECT m.mutant FROM mutants m WHERE sites > 0 ORDER BY m.mutant LIMIT ?", (len(outcomes) + 1,))]
    kills = dict(con.execute("SELECT name, iif(counted, kills, 0) FROM outcomes"))
    con.execute("DELETE FROM results WHERE mutant IN (SELECT mutant FROM results WHERE mutant <= ?)", (ids[-1],))
    for i, o in zip(ids, outcomes):
        con.execute("INSERT INTO results(mutant, device, outcome, killed, degenerate, signal, launches_run, launches_saved, images, images_changed, runs, controlled)"
                    " SELECT ?, device, ?, ?, 0, 0, 0, 0, 0, 0, 1, 1 FROM devices", (i, o, kills[o]))
    con.execute("INSERT INTO devices(name, backend, identity, describe, error) VALUES('board', 'cpu', '', '', 'no route to host')")
    con.commit()
    name = dict(con.execute("SELECT id, mutant FROM mutants"))
    con.close()
    j, _, stryker, sarif, junit = valid(store, tmp)
    of = {name[m["id"]]: m["status"] for f in stryker["files"].values() for m in f["mutants"]}
    want = {"no-effect": "Ignored", "equivalent": "Ignored", "identical": "Survived", "tolerated": "Survived", "drifted": "Survived",
            "reordered": "Survived", "misclassified": "Killed", "nan": "Killed", "overrun": "Killed", "undefined": "Killed", "hang": "Timeout",
            "crash": "Killed", "unstable": "RuntimeError", "build-failed": "CompileError", "refused": "RuntimeError", "tool-error": "RuntimeError"}
    # on the board it was not run: what is worse to have wins
    want = {o: "Pending" if s == "Ignored" else s for o, s in want.items()}
    assert {o: of[i] for i, o in zip(ids, outcomes)} == want
    assert of[ids[-1]] == "Pending"
    suite = {s.get("name"): s for s in junit}
    assert suite["board"].find("testcase[@classname='device']/error").get("message") == "no route to host"
    assert "were not run: the campaign is not complete" in suite["host-gcc"].find("testcase[@classname='device']/error").get("message")
    kind = {c.get("name"): [x.tag for x in c] for c in suite["host-gcc"]}
    back = {v: k for k, v in name.items()}
    for i, o in zip(ids, outcomes):
        want = ("failure" if o in ("identical", "tolerated", "drifted", "reordered") else "error" if o == "tool-error" else "skipped"
                if o in ("no-effect", "equivalent", "unstable", "build-failed", "refused") else "system-out")
        assert kind[back[i]] == [want], (o, kind[back[i]])
    by = {c: json.loads(report(store, "stryker", "--criterion", c)) for c in ("topk", "numeric")}
    drifted, reordered = (back[ids[outcomes.index(o)]] for o in ("drifted", "reordered"))
    status = {c: {m["id"]: m["status"] for f in r["files"].values() for m in f["mutants"]} for c, r in by.items()}
    assert (status["topk"][drifted], status["topk"][reordered], status["numeric"][drifted]) == ("Survived", "Killed", "Killed")


@test
def disagreements_are_shown(folder, tmp):
    """SARIF has a result for every mutant that two devices disagree on, and for images that the model itself has different labels for"""
    store = shutil.copy(folder / "s.db", tmp / "s.db")
    con = sqlite3.connect(store)
    none = json.loads(report(store, "sarif"))["runs"][0]["results"]
    assert not [r for r in none if r["ruleId"] == "model-disagreement"]
    before = {r["properties"]["mutant"] for r in none if r["ruleId"] == "device-disagreement"}
    rows = con.execute("SELECT m.id, r.mutant FROM results r JOIN mutants m ON m.mutant = r.mutant WHERE r.device = 2 AND outcome = 'misclassified'").fetchall()
    rows = [r for r in rows if r[0] not in before][:3]
    con.execute("UPDATE results SET outcome = 'crash' WHERE device = 2 AND mutant = ?", (rows[0][1],))
    con.execute("UPDATE image_results SET top1 = (top1 + 1) % 10 WHERE device = 2 AND mutant = ? AND image = 1", (rows[1][1],))
    con.execute("UPDATE baselines SET top1 = (top1 + 1) % 10 WHERE device = 2 AND image = 2")
    con.execute("UPDATE image_results SET top1 = (top1 + 1) % 10 WHERE device = 2 AND mutant = ? AND image = 2", (rows[2][1],))
    con.commit()
    con.close()
    got = json.loads(report(store, "sarif"))["runs"][0]["results"]
    assert {r["properties"]["mutant"] for r in got if r["ruleId"] == "device-disagreement"} == before | {rows[0][0], rows[1][0]}
    disagree = lambda: int(re.search(r"devices disagree +(\d+)", run("report", store).stdout.decode())[1])
    assert disagree() == len(before) + 2
    table = " ".join(run("report", store).stdout.decode().split())
    assert re.search(f"{re.escape(rows[1][0])}: misclassified on [^ ]+, misclassified on [^ ]+, with another first label on 1 image ", table), table[:1000]
    run("suppress", store, rows[0][0], "--reason", "known")
    assert disagree() == len(before) + 1, "a suppressed mutant is none that devices disagree on"
    model = [r for r in got if r["ruleId"] == "model-disagreement"]
    assert len(model) == 1 and "1 of 3 images" in model[0]["message"]["text"] and model[0]["level"] == "error"


@test
def fingerprints_are_stable(folder, tmp):
    """a result keeps its fingerprint when other mutants and devices come and go"""
    store = shutil.copy(folder / "s.db", tmp / "s.db")
    prints = lambda: {(r["ruleId"], r["properties"]["mutant"]): r["partialFingerprints"] for r in json.loads(report(store, "sarif"))["runs"][0]["results"]}
    before, con = prints(), sqlite3.connect(store)
    con.execute("DELETE FROM results WHERE device = 2")
    con.execute("DELETE FROM mutants WHERE mutant = (SELECT mutant FROM mutants ORDER BY mutant LIMIT 1)")
    con.execute("UPDATE devices SET name = 'other' WHERE device = 2")
    con.commit()
    after = prints()
    assert after and all(before.get(k, v) == v for k, v in after.items()) and len(set(after) & set(before)) >= 2


HOSTILE = "a<b>&\"'\\/%2F]]>\u202e\U0001f600 \t\x01\x1b[31m,;\n--> ${x} {{y}}"


@test
def hostile_names_stay_inside(folder, tmp):
    """names with markup, quotes, control characters and broken UTF-8 leave every format well-formed"""
    store = shutil.copy(folder / "s.db", tmp / "s.db")
    con = sqlite3.connect(store)
    broken = "CAST(x'ff3c2fc3' AS TEXT)"
    con.execute("PRAGMA foreign_keys = OFF")
    con.execute("UPDATE devices SET name = name || ?, describe = ?, error = ? WHERE device = 1", (HOSTILE, HOSTILE, HOSTILE))
    con.execute(f"UPDATE devices SET name = name || {broken} WHERE device = 2")
    con.execute("UPDATE images SET name = name || ?", (HOSTILE,))
    con.execute("UPDATE mutants SET id = id || ?, target = ?, op = op || ? WHERE mutant % 2 = 0", (HOSTILE, HOSTILE, HOSTILE))
    con.execute(f"UPDATE mutants SET id = id || {broken}, diff = {broken} || diff WHERE mutant % 2 = 1")
    con.execute("UPDATE results SET message = ?, kernel = ?, stage = ?", (HOSTILE, HOSTILE, HOSTILE))
    con.execute("UPDATE models SET name = ?, file = ?", (HOSTILE, HOSTILE))
    con.execute("UPDATE originals SET name = name || ?, text = text || ? WHERE kind = 'loop'", (HOSTILE, HOSTILE))
    con.execute(f"UPDATE originals SET text = {broken} WHERE kind = 'graph'")
    con.commit()
    con.close()
    j, rows, stryker, sarif, junit = valid(store, tmp)
    assert len(rows) == 2 * len(j["mutants"]) == 2 * sum(len(f["mutants"]) for f in stryker["files"].values())
    assert any(HOSTILE in m["id"] for m in j["mutants"]) and any(HOSTILE in r["mutant"] for r in rows)
    assert len(junit) == 2 and len(junit[0]) == len(j["mutants"]) + 1
    run("report", store)


@test
def damaged_diffs_are_survived(folder, tmp):
    """diffs that no diff is like, texts that are missing: the mutants are listed all the same"""
    store = shutil.copy(folder / "s.db", tmp / "s.db")
    con = sqlite3.connect(store)
    diffs = ["", "--- ", "--- a\n+++ a", "--- a\n+++ a\n@@ -1,1 +1,1 @@", "--- a\n+++ a\n@@ -999999999,3 +1,2 @@\n-x\n+y\n", "@@ -1,2 +3,4 @@\n-x",
             "--- a\n+++ a\n@@ -0,0 +0,0 @@\n", "--- a\n+++ a\n@@ -1,99999 +1,99999 @@\n-\n+\n", "input: ", "--- a\n+++ a\n@@ -2147483647,1 +1,1 @@\n-x\n+y",
             "--- a\n+++ a\n@@ --5,1 +1,1 @@\n-x\n+y", "--- a\n+++ b\n@@ -3,0 +3,1 @@\n+y", "x" * 100000]
    for i, (m,) in enumerate(con.execute("SELECT mutant FROM mutants ORDER BY mutant").fetchall()):
        con.execute("UPDATE mutants SET diff = ? WHERE mutant = ?", (diffs[i % len(diffs)], m))
    con.execute("DELETE FROM originals")
    con.execute("DELETE FROM operators")
    con.commit()
    con.close()
    j, _, stryker, _, _ = valid(store, tmp)
    assert sum(len(f["mutants"]) for f in stryker["files"].values()) == len(j["mutants"])


@test
def thresholds_decide_the_exit_status(folder, tmp):
    """--fail-under ends with 3 under the threshold, by the criterion asked for; JUnit's survivors fail only then"""
    store = folder / "s.db"
    killed = json.loads(report(store, "json"))["counts"]["killed"]
    rate = {c: 100 * killed[c]["rate"] for c in killed}
    assert rate["label"] < rate["numeric"]
    between = (rate["label"] + rate["numeric"]) / 2
    r = run("report", store, "--fail-under", between, status=3)
    assert b"under the threshold" in r.stderr and b"killed" in r.stdout
    run("report", store, "--fail-under", between, "--criterion", "numeric")
    run("report", store, "--fail-under", 0)
    failures = lambda *args, **kw: int(ET.fromstring(report(store, "junit", *args, **kw)).get("failures"))
    assert failures() == failures("--fail-under", between, status=3) > 0
    assert failures("--fail-under", rate["label"] - 1) == 0
    for bad in (["--fail-under", "101"], ["--fail-under", "-1"], ["--fail-under", "nan"], ["--criterion", "colour"], ["--json", "-", "--csv", "-"]):
        run("report", store, *bad, status=2)
    args = ["run", folder / "c.yaml", "--store", store, "--quiet"]
    run(*args, "--fail-under", between, status=3)
    run(*args, "--fail-under", between, "--criterion", "numeric")


@test
def files_are_whole_or_not_there(folder, tmp):
    """what cannot be written leaves nothing behind and keeps what was there; pipes and devices are written to"""
    store = folder / "s.db"
    (tmp / "out.sarif").write_text("old")
    run("report", store, "--sarif", tmp / "no/such/folder.sarif", status=1)
    run("report", store, "--junit", "/dev/full", status=1)
    limited = dict(preexec_fn=lambda: (resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)), __import__("signal").signal(25, __import__("signal").SIG_IGN)))
    for f in FORMATS:
        run("report", store, "--" + f, tmp / "out.sarif", status=1, **limited)
        assert (tmp / "out.sarif").read_text() == "old"
    con = sqlite3.connect(shutil.copy(store, tmp / "bad.db"))
    con.execute("PRAGMA foreign_keys = OFF")
    con.execute("PRAGMA ignore_check_constraints = ON")
    con.execute("UPDATE results SET outcome = 'no such outcome' WHERE mutant = (SELECT max(mutant) FROM results)")
    con.commit()
    con.close()
    for f in FORMATS:
        run("report", tmp / "bad.db", "--" + f, tmp / "out.sarif", status=1)
        assert (tmp / "out.sarif").read_text() == "old"
    assert sorted(p.name for p in tmp.iterdir()) == ["bad.db", "out.sarif"]
    shutil.copy(store, tmp / "own.db")
    os.symlink("own.db", tmp / "link.db")
    for f in FORMATS + ["html"]:
        for name in ("own.db", "link.db", "./own.db"):
            assert "would replace" in run("report", "own.db", "--" + f, name, status=2, cwd=tmp).stderr.decode()
    assert "would replace" in run("compare", store, tmp / "own.db", "--out", tmp / "own.db", status=2).stderr.decode()
    assert "both" in run("report", "own.db", "--json", "a", "--csv", "./a", status=2, cwd=tmp).stderr.decode()
    run("report", tmp / "own.db")
    run("report", store, "--json", "/dev/null")
    assert not os.path.isfile("/dev/null")
    os.mkfifo(tmp / "pipe")
    got = []
    reader = threading.Thread(target=lambda: got.append((tmp / "pipe").read_text()))
    reader.start()
    run("report", store, "--json", tmp / "pipe")
    reader.join()
    assert json.loads(got[0]) == json.loads(report(store, "json")) and (tmp / "pipe").is_fifo()
    r = subprocess.run(f"'{BIN}' report '{store}' --csv - | head -1", shell=True, capture_output=True, text=True)
    assert r.stdout.startswith("mutant,operator") and not r.stderr


@test
def a_large_store_needs_little_memory(folder, tmp):
    """twenty thousand mutants on two devices are written in bounded memory, in every format"""
    store = shutil.copy(folder / "s.db", tmp / "s.db")
    con = sqlite3.connect(store)
    last = con.execute("SELECT max(mutant) FROM mutants").fetchone()[0]
    model = con.execute("SELECT r.mutant FROM results r WHERE outcome = 'misclassified' ORDER BY 1 LIMIT 1").fetchone()[0]
    columns = {t: [r[1] for r in con.execute(f"PRAGMA table_info({t})")] for t in ("results", "image_results")}
    con.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO mutants(mutant, id, op, category, target, ordinal, variant, sites, diff)"
                f" SELECT {last} + i, id || '/' || i, op, category, target, ordinal, variant, sites, diff FROM n, mutants WHERE mutant = {model}")
    for t, c in columns.items():
        rest = ", ".join(c[1:])
        con.execute(f"INSERT INTO {t}(mutant, {rest}) SELECT m.mutant, {', '.join('x.' + k for k in c[1:])} FROM mutants m, {t} x WHERE m.mutant > {last} AND x.mutant = {model}")
    con.execute("UPDATE results SET outcome = 'identical', killed = 0 WHERE mutant % 3 = 0")
    con.commit()
    con.close()
    for f in FORMATS:
        out = tmp / f"out.{f}"
        p = subprocess.Popen([BIN, "report", store, "--" + f, out])
        _, status, used = os.wait4(p.pid, 0)
        size = out.stat().st_size
        assert status == 0 and size > 5 << 20, (f, status, size)
        # ids, and places of texts, are kept; the rest goes as it comes
        assert SANITIZED or used.ru_maxrss < 64 << 10, f"{f}: {used.ru_maxrss} KiB for a file of {size >> 10} KiB"
        out.unlink()


def main():
    folder = campaign()
    try:
        return run_tests("exports", sys.argv[3:], folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


sys.exit(main())
