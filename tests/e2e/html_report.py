#!/usr/bin/python3
"""The HTML report in a browser: what it says is what the store holds, and it can be used by everybody, on stores of every kind.

usage: html.py BUILD_DIR SOURCE_DIR [--mutants N] [--screenshot FILE.png] [TEST...]

Debian's python3 (for python3-selenium), chromium and chromium-driver; exit status 77 where they are not there.
--mutants N: only the test of a large store, with N made-up mutants. --screenshot: writes a picture of the demo's report and ends.
"""
import argparse
import base64
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.parse

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select
except ImportError as e:
    print(f"skipped: {e} (Debian: python3-selenium)")
    sys.exit(77)

DRIVER, BROWSER = shutil.which("chromedriver"), shutil.which("chromium")
TESTS = []


def test(f):
    TESTS.append(f)
    return f


def check(ok, what):
    if not ok:
        raise AssertionError(what)


def same(a, b, what):
    check(a == b, f"{what}: {a!r}, not {b!r}")


# ---- stores ---------------------------------------------------------------------------------------------------

def run(*args, **kw):
    r = subprocess.run([str(a) for a in args], capture_output=True, text=True, **kw)
    check(r.returncode == 0, f"{args[1]}: {r.stderr[-2000:]}")
    return r


class World:
    """The program, a browser, and a store of a real campaign that tests copy and change."""

    def __init__(self, build, source, folder):
        self.bin, self.source, self.folder = build / "mutatenn", source, folder
        self.env = {**os.environ, "MUTATENN_WORKER": str(build / "mutatenn-worker")}
        self.n = 0
        self.real = folder / "real.db"
        self.clone = self.demo()

    def demo(self):
        """What `make demo` does after building, in a folder of its own."""
        place = self.folder / "clone"
        (place / "tools").mkdir(parents=True)
        shutil.copy(self.source / "tools/demo", place / "tools/demo")
        shutil.copytree(self.source / "demo", place / "demo")
        self.said = run(place / "tools/demo", self.bin.parent, env=self.env).stdout
        self.real.write_bytes((place / "demo-out/demo.db").read_bytes())
        return place

    def copy(self, *sql):
        """A copy of the real store, changed."""
        self.n += 1
        path = self.folder / f"copy{self.n}.db"
        with sqlite3.connect(self.real) as old, sqlite3.connect(path) as new:
            old.backup(new)
        db = sqlite3.connect(path)
        for s in sql:
            db.execute(*s) if isinstance(s, tuple) else db.executescript(s)
        db.commit()
        db.close()
        return path

    def report(self, store, name=None):
        page = self.folder / (name or store.stem + ".html")
        p = subprocess.Popen([self.bin, "report", store, "--html", page], env=self.env)
        status, usage = os.wait4(p.pid, 0)[1:]
        p.returncode = os.waitstatus_to_exitcode(status)
        same(p.returncode, 0, f"status of the report of {store}")
        self.memory = usage.ru_maxrss >> 10  # MiB
        return page

    def browse(self, width=1280, height=900):
        o = Options()
        o.binary_location = BROWSER
        for a in ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--force-device-scale-factor=1", f"--window-size={width},{height}",
                  f"--user-data-dir={self.folder}/profile"]:
            o.add_argument(a)
        o.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.d = webdriver.Chrome(options=o, service=Service(DRIVER))
        self.d.set_script_timeout(120)

    # ---- a page

    def open(self, page, at=""):
        self.d.get("about:blank")
        self.d.get_log("browser")
        start = time.monotonic()
        self.d.get("file://" + urllib.parse.quote(str(page)) + at)
        self.wait("return document.documentElement.hasAttribute('data-ready')", "the page is drawn")
        return time.monotonic() - start

    def js(self, code, *args):
        return self.d.execute_script(code, *args)

    def wait(self, code, what, *args):
        for _ in range(400):
            if self.js(code, *args):
                return
            time.sleep(0.05)
        raise AssertionError("in vain: " + what)

    def clean(self):
        """Nothing was said on the console, nothing was fetched, and no part gave up."""
        log = [x["message"] for x in self.d.get_log("browser")]
        same(log, [], "the console")
        for url in self.js("return performance.getEntriesByType('resource').map(e => e.name)"):
            check(url.startswith(("file:", "data:")), f"fetched {url}")
        same(self.js("return [...document.querySelectorAll('.alert')].map(e => e.textContent).filter(t => /could not be drawn|add up/.test(t))"), [], "alerts")

    def all(self, css):
        return self.d.find_elements(By.CSS_SELECTOR, css)

    def text(self, css):
        return self.js("return document.querySelector(arguments[0])?.textContent", css)

    def now(self):
        return self.text(".where-now")

    def keys(self, *keys):
        for k in keys:
            webdriver.ActionChains(self.d).send_keys(k).perform()

    def media(self, scheme, width=None):
        self.d.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        if width:
            self.d.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False})
        else:
            self.d.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def query(self, store, sql, *args):
        db = sqlite3.connect(store)
        try:
            return db.execute(sql, args).fetchall()
        finally:
            db.close()

    def open_mutant(self, where):
        """Opens the first mutant that a JavaScript condition on row `r` holds for; waits for its details."""
        self.js(f"openMutant(rows.find((r) => {where}))")
        self.wait("return document.querySelector('tr.detail h3') || document.querySelector('tr.detail .alert')", "the details are there")


# ---- from a clone to a report ----------------------------------------------------------------------------------

@test
def two_commands_lead_from_a_clone_to_a_report(w):
    """git clone, make demo: that installs, builds, runs a campaign and says which file to open."""
    plan = run("make", "-n", "-C", w.source, "demo", "BUILD=build-that-is-not-there").stdout
    check([plan.find(x) >= 0 for x in ("tools/deps", "meson setup", "tools/demo")] == [True] * 3 and plan.index("tools/deps") < plan.index("meson setup") < plan.index("tools/demo"), plan)
    check("demo-out/report.html in a browser" in w.said, w.said)
    w.open(w.clone / "demo-out/report.html")
    w.clean()
    n = w.query(w.real, "SELECT count(*) FROM mutants")[0][0]
    check(n > 100 and f"{n} mutants" in w.text("#head"), w.text("#head"))
    check(w.text(".lead").startswith("Of ") and "change an answer" in w.text(".lead"), w.text(".lead"))


# ---- what it says ---------------------------------------------------------------------------------------------

@test
def a_page_opens_from_disk_says_nothing_on_the_console_and_fetches_nothing(w):
    page = w.report(w.real)
    w.open(page)
    w.clean()
    check(not (w.folder / "real.files").exists(), "a small report is one file")
    n = w.query(w.real, "SELECT count(*) FROM mutants")[0][0]
    check(f"{n} mutants" in w.text("#head"), w.text("#head"))
    shift = w.js("return new Promise(done => { let s = 0; new PerformanceObserver(l => l.getEntries().forEach(e => s += e.value)).observe({type: 'layout-shift', buffered: true}); setTimeout(() => done(s), 300); })")
    check(shift < 0.001, f"layout shift: {shift}")


@test
def numbers_are_the_store_s(w):
    page = w.report(w.real)
    w.open(page)
    for device, outcome, n in w.query(w.real, "SELECT device_name, outcome, count(*) FROM verdicts GROUP BY 1, 2"):
        button = w.all(f"#outcomes button[aria-label='{n} {outcome} on {device}: show them']")
        same(len(button), 1, f"{n} {outcome} on {device}")
    killed, counted = w.query(w.real, "SELECT sum(killed_label), sum(counted) FROM kill_rates WHERE device = 'host-gcc'")[0]
    tips = [e.get_attribute("data-tip") for e in w.all("#summary td[data-tip]")]
    check(any(t.startswith(f"{killed} of {counted} judged") for t in tips), tips)
    same(w.js("return addsUp"), True, "the page's own check")


@test
def filters_and_headings_show_the_right_mutants(w):
    page = w.report(w.real)
    w.open(page)
    total = w.query(w.real, "SELECT count(*) FROM mutants")[0][0]
    search = w.d.find_element(By.ID, "search")
    search.send_keys("loop.cond")
    n = w.query(w.real, "SELECT count(*) FROM mutants WHERE id LIKE '%loop.cond%'")[0][0]
    check(w.now().split(" of ")[1].startswith(f"{n} ({total}"), f"{w.now()}, wanted {n}")
    search.clear()
    w.d.find_element(By.ID, "clear").click()
    Select(w.d.find_element(By.ID, "outcome")).select_by_value("misclassified")
    Select(w.d.find_element(By.ID, "device")).select_by_visible_text("host-gcc")
    n = w.query(w.real, "SELECT count(*) FROM verdicts WHERE outcome = 'misclassified' AND device_name = 'host-gcc'")[0][0]
    check(w.now().split(" of ")[1].startswith(f"{n} ("), f"{w.now()}, wanted {n}")
    w.d.find_element(By.ID, "clear").click()
    w.d.find_element(By.CSS_SELECTOR, "th[data-key=id] button").click()
    ids = [e.get_attribute("aria-label") for e in w.all("#list button.id")]
    same(ids, [x[0] for x in w.query(w.real, "SELECT id FROM mutants ORDER BY lower(id)")][: len(ids)], "sorted by id")
    same(w.d.find_element(By.CSS_SELECTOR, "th[data-key=id]").get_attribute("aria-sort"), "ascending", "aria-sort")
    w.d.find_element(By.CSS_SELECTOR, "th[data-key=id] button").click()
    same(w.all("#list button.id")[0].get_attribute("aria-label"), w.query(w.real, "SELECT id FROM mutants ORDER BY lower(id) DESC")[0][0], "sorted the other way")
    w.js("document.querySelector('#outcomes button').click()")
    check(" of " in w.now(), "a number of a chart opens its mutants")
    w.clean()


@test
def devices_disagree_where_the_table_says_so(w):
    """NaN on one device and numbers on the other with the same labels: the page counts it as the table does"""
    told = lambda store: int(re.search(r"devices disagree +(\d+)", run(w.bin, "report", store).stdout)[1])
    before = told(w.real)
    one = w.query(w.real, "SELECT a.mutant FROM results a JOIN results b ON b.mutant = a.mutant AND b.device = 2 WHERE a.device = 1 AND a.outcome = 'drifted' AND b.outcome = 'drifted' LIMIT 1")[0][0]
    store = w.copy(("UPDATE results SET outcome = 'nan' WHERE device = 2 AND mutant = ?", (one,)))
    same(told(store), before + 1, "in the table")
    w.open(w.report(store))
    Select(w.d.find_element(By.ID, "kind")).select_by_value("disagree")
    check(w.now().split(" of ")[1].startswith(f"{before + 1} ("), f"{w.now()}, wanted {before + 1}")
    check(w.all(".findings button")[0].text.startswith(f"{before + 1} fault"), w.text(".findings"))
    check("gives NaN on host-clang" in w.text(".findings"), w.text(".findings"))
    w.clean()


@test
def a_mutant_opens_to_its_diff_and_the_images_it_changed(w):
    page = w.report(w.real)
    w.open(page)
    w.open_mutant("r.level === 'label' && r.opName.startsWith('loop.')")
    mutant = w.js("return list.open.id")
    check(w.all("tr.detail pre .add") and w.all("tr.detail pre .del"), "lines that came and went")
    headings = [e.text for e in w.all("tr.detail .diffs h4")]
    check("Loop IR" in headings and "Source, C" in headings, headings)
    w.js("document.querySelector('tr.detail .shot').scrollIntoView()")
    w.wait("return document.querySelector('tr.detail .shot img').naturalWidth > 0", "the picture is there")
    changed = w.query(w.real, "SELECT count(*) FROM image_results r JOIN mutants m USING(mutant) WHERE m.id = ? AND r.device = 1 AND outcome >= 'm'", mutant)
    check(changed, mutant)
    names = (w.source / "demo/labels.txt").read_text().split()
    shown = [e.text for e in w.all("tr.detail .answer tbody td:first-child")]
    check(shown and all(s in names for s in shown), f"class names of the original: {shown}")
    check(w.all("tr.detail .answer td.changed"), "what changed is marked")
    commands = w.text("tr.detail pre[aria-label=commands]").replace("DIR", str(w.folder / "again")).splitlines()
    for command in commands:  # what the page says can be done can be done
        run("sh", "-c", command.replace("mutatenn", str(w.bin), 1), env=w.env, cwd=w.clone)
    check(len(commands) == 2 and any((w.folder / "again").iterdir()), commands)
    check(mutant in urllib.parse.unquote(w.js("return location.hash")), "the address leads to the mutant")
    w.open(page, "#m=" + urllib.parse.quote(mutant, safe=""))
    same(w.js("return list.open?.id"), mutant, "opened by its address")
    w.clean()


# ---- for everybody --------------------------------------------------------------------------------------------

@test
def the_keyboard_alone_reaches_everything(w):
    page = w.report(w.real)
    w.open(page)
    focused = "return document.activeElement.className + ' ' + document.activeElement.tagName + ' ' + document.activeElement.textContent.slice(0, 20)"
    w.keys(Keys.TAB)
    check("skip" in w.js(focused), w.js(focused))
    w.keys(Keys.ENTER)
    same(w.js("return document.activeElement.id"), "mutants", "the skip link")
    for _ in range(40):
        w.keys(Keys.TAB)
        if "plain id" in w.js(focused):
            break
    check("plain id" in w.js(focused), "a mutant within forty tabs: " + w.js(focused))
    one = w.js("return document.activeElement.getAttribute('aria-label')")
    w.keys(Keys.ARROW_DOWN)
    two = w.js("return document.activeElement.getAttribute('aria-label')")
    check(one != two, "arrow down")
    w.keys(Keys.ENTER)
    w.wait("return document.querySelector('tr.detail h3')", "opened by Enter")
    same(w.js("return list.open.id"), two, "what was opened")
    same(w.js("return document.activeElement.getAttribute('aria-label')"), two, "the focus stays")
    w.keys(Keys.ESCAPE)
    same(w.all("tr.detail"), [], "closed by Escape")
    same(w.js("return document.activeElement.getAttribute('aria-label')"), two, "the focus is where it was")
    w.js("document.querySelector('#operators .cell button').focus()")
    w.keys(Keys.ARROW_RIGHT, Keys.ENTER)
    same(w.js("return list.filter.device"), 1, "a cell of the second device")
    w.js("document.querySelector('g.layer').focus()")
    w.keys(Keys.ARROW_RIGHT)
    check(w.js("return document.activeElement.getAttribute('data-tip').length > 5 && !document.getElementById('tip').hidden"), "a layer says its numbers when it is focused")
    w.keys(Keys.ENTER)
    check(w.js("return list.filter.layer") is not None, "a layer opens its mutants")
    w.clean()


CONTRAST = """
const lum = ([r, g, b]) => { const f = (v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; return .2126 * f(r) + .7152 * f(g) + .0722 * f(b); };
const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const parsed = new Map();
const parse = (c) => { if (!parsed.has(c)) { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1); parsed.set(c, [...canvas.getImageData(0, 0, 1, 1).data]); } return parsed.get(c); };
const over = (a, b) => a.slice(0, 3).map((v, i) => v * a[3] / 255 + b[i] * (1 - a[3] / 255));
function ground(el) {
	const stack = [];
	for (let e = el; e; e = e.parentElement) stack.push(parse(getComputedStyle(e).backgroundColor));
	return stack.reverse().reduce((under, c) => over(c, under), [255, 255, 255]);
}
const bad = [];
let seen = 0;
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
	const el = walk.currentNode.parentElement;
	if (!walk.currentNode.data.trim() || !el.getClientRects().length || el.closest('script, style, .unseen, .skip, option') || el.closest('button:disabled')) continue;
	const s = getComputedStyle(el), svg = el.closest('svg');
	const ink = over(parse(svg ? s.fill : s.color), ground(el)), back = ground(el);
	const [a, b] = [lum(ink), lum(back)].sort((x, y) => y - x), ratio = (a + .05) / (b + .05);
	const large = parseFloat(s.fontSize) >= 24 || (parseFloat(s.fontSize) >= 18.66 && Number(s.fontWeight) >= 700);
	seen++;
	if (ratio < (large ? 3 : 4.5)) bad.push(`${ratio.toFixed(2)} ${el.tagName}.${el.className.baseVal ?? el.className} '${walk.currentNode.data.slice(0, 30)}'`);
}
return [seen, [...new Set(bad)].slice(0, 20)];
"""


@test
def text_can_be_read_in_both_themes_and_the_switch_overrides_the_system(w):
    page = w.report(w.real)
    grounds = {}
    for scheme in ["light", "dark"]:
        w.media(scheme)
        w.open(page)
        w.open_mutant("r.level === 'label' && r.opName.startsWith('loop.')")
        w.js("document.querySelectorAll('details').forEach(d => d.open = true)")
        time.sleep(0.2)
        seen, bad = w.js(CONTRAST)
        check(seen > 300, f"only {seen} texts")
        same(bad, [], f"contrast below WCAG AA, {scheme}")
        grounds[scheme] = w.js("return getComputedStyle(document.body).backgroundColor")
    check(grounds["light"] != grounds["dark"], grounds)
    for button in w.all(".theme button"):
        button.click()
        want = grounds[{"auto": "dark", "light": "light", "dark": "dark"}[button.text]]
        same(w.js("return getComputedStyle(document.body).backgroundColor"), want, f"after the button '{button.text}'")
        seen, bad = w.js(CONTRAST)
        same(bad, [], f"contrast after the button '{button.text}'")
    w.all(".theme button")[0].click()
    w.media("light")


@test
def everything_that_can_be_used_or_seen_has_a_name(w):
    page = w.report(w.real)
    w.open(page)
    w.open_mutant("r.level === 'label' && r.opName.startsWith('loop.')")
    nodes = w.d.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = {"button", "link", "textbox", "searchbox", "combobox", "checkbox", "image", "img", "region", "table", "group", "navigation"}
    nameless, counted = [], 0
    for n in nodes:
        role = n.get("role", {}).get("value")
        if n.get("ignored") or role not in roles - {"table", "group"}:
            continue
        counted += 1
        if not n.get("name", {}).get("value", "").strip():
            nameless.append((role, n.get("backendDOMNodeId")))
    check(counted > 100, f"only {counted} nodes")
    same(nameless[:5], [], "without a name")
    same(w.js("return [...document.querySelectorAll('[id]')].map(e => e.id).filter((id, i, all) => all.indexOf(id) !== i)"), [], "ids twice")
    same(w.js("return [...document.querySelectorAll('th')].filter(e => !e.scope).length"), 0, "headings without a scope")


@test
def a_dozen_devices_have_room(w):
    columns = {t: [x[1] for x in w.query(w.real, f"PRAGMA table_info({t})")] for t in ("devices", "baselines", "results", "image_results", "kernels")}
    again = "WITH RECURSIVE i(v) AS (SELECT 3 UNION ALL SELECT v + 1 FROM i WHERE v < 12) INSERT INTO {0}({1}) SELECT {2} FROM i, {0} WHERE device = 1;"
    store = w.copy("PRAGMA foreign_keys = OFF;" + "".join(
        again.format(t, ", ".join(c), ", ".join({"device": "v", "name": "'board-' || v || '.lab.example'" if t == "devices" else "name"}.get(x, x) for x in c)) for t, c in columns.items()))
    page = w.report(store)
    for width in [700, 1280]:
        w.media("light", width)
        w.open(page)
        w.open_mutant("r.level === 'label' && r.opName.startsWith('loop.')")
        wide = w.js("return [document.documentElement.scrollWidth, innerWidth]")
        w.media("light")
        check(wide[0] <= wide[1], f"at {width}: {wide}")
    same(len(w.all("#list > tbody > tr:first-child > td .o")), 12, "outcomes")
    w.clean()


@test
def a_narrow_window_shows_all_without_scrolling_sideways(w):
    page = w.report(w.real)
    for width in [380, 700, 1000]:
        w.media("light", width)
        w.open(page)
        w.open_mutant("r.level === 'label' && r.opName.startsWith('loop.')")
        wide = w.js("return [document.documentElement.scrollWidth, innerWidth]")
        w.media("light")
        check(wide[0] <= wide[1], f"at {width}: {wide}")


@test
def it_prints(w):
    page = w.report(w.real)
    w.media("dark")
    w.open(page)
    w.open_mutant("r.level === 'label'")
    pdf = base64.b64decode(w.d.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    check(pdf.startswith(b"%PDF") and len(pdf) > 50000, f"{len(pdf)} bytes")
    w.d.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    same(w.js("return getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)", "paper")
    same(w.js("return getComputedStyle(document.querySelector('.bar')).display"), "none", "the bar on paper")
    w.d.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    w.clean()


# ---- stores of every kind -------------------------------------------------------------------------------------

EVIL = "</script><script>window.pwned=1</script><img src=x onerror=window.pwned=1>\"'`${1}\\u0000\n\u2028\U0001f600\u202e"


@test
def names_of_all_kinds_are_shown_and_never_run(w):
    store = w.copy(
        ("UPDATE models SET name = ?1, file = ?1", (EVIL,)), ("UPDATE devices SET name = name || ?1, describe = ?1, identity = ?1", (EVIL,)),
        ("UPDATE images SET name = ?1 || image", (EVIL,)), ("UPDATE classes SET name = ?1", (EVIL,)), ("UPDATE layers SET op = ?1, shape = ?1, node = ?1 || layer", (EVIL,)),
        ("UPDATE kernels SET name = ?1 || launch, node = ?1 || launch", (EVIL,)), ("UPDATE mutants SET op = ?1, target = ?1, id = ?1 || mutant, diff = ?1, category = ?1", (EVIL,)),
        ("UPDATE sources SET diff = ?1", (EVIL,)), ("UPDATE mutants SET suppressed = ?1 WHERE mutant % 7 = 0", (EVIL,)),
        ("INSERT INTO suppressions(glob, reason, source) VALUES(?1, ?1, ?1)", (EVIL,)), ("UPDATE results SET message = ?1, log = ?1, kernel = ?1, stage = ?1, twin = ?1", (EVIL,)),
        ("UPDATE meta SET value = ?1 WHERE name IN ('configuration', 'created', 'tool-version')", (EVIL,)))
    page = w.report(store)
    w.open(page)
    w.js("openMutant(rows.find(r => r.level === 'label'))")
    w.wait("return document.querySelector('tr.detail h3')", "opened")
    w.js("document.querySelectorAll('details').forEach(d => d.open = true)")
    time.sleep(0.3)
    same(w.js("return window.pwned ?? null"), None, "run")
    same(w.js("return document.querySelectorAll('img[src=x], [onerror]').length"), 0, "elements of a name")
    check("</script>" in w.text("h1"), w.text("h1"))
    w.clean()


@test
def numbers_that_are_none_and_rows_that_say_nothing_are_no_obstacle(w):
    store = w.copy(
        "UPDATE image_results SET max_abs = 9e999, max_rel = NULL, l2 = -9e999, cosine = NULL, max_ulp = 9e999, top = NULL, top1 = NULL WHERE image % 2;"
        "UPDATE baselines SET top = NULL, digest = NULL, noise_max_abs = 9e999; UPDATE images SET thumbnail = NULL, label = -1, path = NULL;"
        "UPDATE mutants SET diff = NULL; DELETE FROM sources; DELETE FROM layers; DELETE FROM classes; DELETE FROM kernels WHERE device = 1;"
        "UPDATE kernels SET seconds = 0, flops = 9e999; DELETE FROM results WHERE mutant % 3 = 0; DELETE FROM meta; DELETE FROM models;")
    w.open(w.report(store))
    w.js("openMutant(rows.find(r => r.level === 'label'))")
    w.wait("return document.querySelector('tr.detail h3')", "opened")
    w.clean()


@test
def a_picture_that_is_none_is_not_shown(w):
    store = w.copy(("UPDATE images SET thumbnail = ?", (b"<svg onload='window.pwned=1'>",)))
    w.open(w.report(store))
    same(w.all("img"), [], "pictures")
    w.clean()


@test
def an_empty_store_and_one_that_is_being_written_make_a_page(w):
    store = w.copy("DELETE FROM image_results; DELETE FROM logits; DELETE FROM results; DELETE FROM sources; DELETE FROM mutants; DELETE FROM baselines; DELETE FROM images;"
                   "DELETE FROM kernels; DELETE FROM devices; DELETE FROM models; DELETE FROM layers; DELETE FROM classes; DELETE FROM meta;")
    w.open(w.report(store))
    check("no mutants yet" in w.text("#head"), w.text("#head"))
    w.clean()
    store = w.copy("DELETE FROM results WHERE mutant > 5;")
    db = sqlite3.connect(store, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("BEGIN IMMEDIATE")
    db.execute("DELETE FROM results")
    page = w.report(store)
    db.execute("ROLLBACK")
    db.close()
    w.open(page)
    check("Partial" in w.text("#head"), w.text("#head"))
    check(w.all("#outcomes button"), "what is there already is shown")
    w.clean()


# ---- large stores ---------------------------------------------------------------------------------------------

def made_up(w, n):
    """A store of n mutants: those of the real campaign over and over, with outcomes that vary, and devices that differ."""
    def again(table, source, **other):
        columns = [x[1] for x in w.query(w.real, f"PRAGMA table_info({table})")]
        values = [other.get(c, f"r.{c}") for c in columns]
        return f"INSERT INTO {table}({', '.join(columns)}) SELECT {', '.join(values)} FROM new n JOIN {source} r ON r.mutant = n.from_mutant;"

    return w.copy(f"""
        PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF;
        CREATE TEMP TABLE old AS SELECT row_number() OVER (ORDER BY mutant) - 1 AS k, * FROM mutants WHERE mutant IN (SELECT mutant FROM image_results);
        CREATE TEMP TABLE new AS WITH RECURSIVE i(v) AS (SELECT 0 UNION ALL SELECT v + 1 FROM i WHERE v < {n} - 1)
            SELECT 1000000 + v AS mutant, v, o.mutant AS from_mutant FROM i JOIN old o ON o.k = v % (SELECT count(*) FROM old);
        CREATE TEMP TABLE kept AS SELECT * FROM results; CREATE TEMP TABLE kept_images AS SELECT * FROM image_results; CREATE TEMP TABLE kept_sources AS SELECT * FROM sources;
        DELETE FROM logits; DELETE FROM image_results; DELETE FROM results; DELETE FROM sources; DELETE FROM mutants;
        """ + again("mutants", "old", mutant="n.mutant", id="r.op || '/' || r.target || '/' || n.v || '/made-up'", ordinal="n.v", variant="'made-up'", sites="1")
        + again("results", "kept", mutant="n.mutant", twin="NULL", controlled="1", outcome="iif((n.mutant * 7 + r.device * 3) % 11 = 0, 'crash', r.outcome)")
        + again("image_results", "kept_images", mutant="n.mutant") + again("sources", "kept_sources", mutant="n.mutant"))


def large(w, n):
    store = made_up(w, n)
    w.report(w.real)
    small = w.memory
    start = time.monotonic()
    page = w.report(store, "large.html")
    print(f"  memory {w.memory} MiB, {small} MiB for the demo")
    check(w.memory < small + 48, "memory grows with the number of mutants")
    files = list((w.folder / "large.files").iterdir())
    print(f"  {n} mutants: written in {time.monotonic() - start:.1f} s, page {page.stat().st_size >> 10} KiB, {len(files)} files beside it with {sum(f.stat().st_size for f in files) >> 10} KiB")
    print(f"  opened in {w.open(page):.2f} s; the browser counts {w.js('const t = performance.getEntriesByType(`navigation`)[0]; return t.loadEventEnd - t.startTime'):.0f} ms to the load event")
    same(w.js("return rows.length"), n, "mutants")
    check(len(w.all("#list tbody tr")) <= 50, "a page of the table")
    start = time.monotonic()
    w.js("document.getElementById('search').value = arguments[0]; document.getElementById('search').dispatchEvent(new Event('input'))", f"/{n - 3}/")
    same(w.now(), f"1\u20131 of 1 ({n:,} in all)".replace(",", "\u202f"), "found by its number")
    print(f"  one of them found in {1000 * (time.monotonic() - start):.0f} ms")
    w.js("document.querySelector('#list button.id').click()")
    w.wait("return document.querySelector('tr.detail h3')", "details from a file beside the page")
    check(w.all("tr.detail pre .add"), "its diff")
    w.clean()
    for f in files:
        f.unlink()
    w.open(page)
    w.js("openMutant(rows[rows.length - 1])")
    w.wait("return document.querySelector('tr.detail .alert')", "says what is missing")
    check("large.files/" in w.text("tr.detail .alert"), w.text("tr.detail .alert"))
    w.d.get_log("browser")


@test
def ten_thousand_mutants_open_with_details_in_files_beside_the_page(w):
    large(w, 10000)


def screenshot(w, out):
    w.media("light")
    w.open(w.clone / "demo-out/report.html")
    w.d.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 1180, "height": 1000, "deviceScaleFactor": 1, "mobile": False})
    shot = w.d.execute_cdp_cmd("Page.captureScreenshot", {"clip": {"x": 0, "y": 0, "width": 1180, "height": 1010, "scale": 1}, "captureBeyondViewport": True})
    pathlib.Path(out).write_bytes(base64.b64decode(shot["data"]))


def main():
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument("build", type=pathlib.Path)
    p.add_argument("source", type=pathlib.Path)
    p.add_argument("--mutants", type=int)
    p.add_argument("--screenshot")
    p.add_argument("test", nargs="*")
    args = p.parse_args()
    if not DRIVER or not BROWSER:
        print("skipped: no chromedriver or chromium (Debian: chromium, chromium-driver)")
        return 77
    failed = 0
    with tempfile.TemporaryDirectory(prefix="mutatenn-html-") as folder:
        w = World(args.build.resolve(), args.source.resolve(), pathlib.Path(folder))
        w.browse()
        try:
            if args.screenshot:
                screenshot(w, args.screenshot)
                return 0
            tests = [lambda w: large(w, args.mutants)] if args.mutants else [t for t in TESTS if not args.test or t.__name__ in args.test]
            for t in tests:
                start = time.monotonic()
                try:
                    t(w)
                    print(f"ok {t.__name__} ({time.monotonic() - start:.1f} s)", flush=True)
                except Exception:
                    failed += 1
                    print(f"FAILED {t.__name__}", flush=True)
                    traceback.print_exc(file=sys.stdout)
        finally:
            w.d.quit()
    return 1 if failed else 0


sys.exit(main())
