/* table.js: all mutants: filter, sort, page by page, open */

const PAGE = 50;
const PAPER = 1000; /* rows that are printed */
const KINDS = {
	all: ["all mutants", () => true],
	label: ["an answer changes", (r) => r.level === "label"],
	numbers: ["only numbers change", (r) => r.level === "numbers"],
	nothing: ["nothing changes", (r) => r.level === "nothing"],
	unjudged: ["not judged", (r) => r.level === "unjudged"],
	suppressed: ["suppressed", (r) => r.suppressed !== undefined],
	disagree: ["devices disagree", (r, f) => (f.pair === null ? r.disagrees : r.apart(f.pair))],
	judged: ["same labels, other verdict", (r, f) => (f.pair === null ? meta.pairs.some((_, p) => r.unlike(p)) : r.unlike(f.pair))],
};
const NO_FILTER = { text: "", operator: "", kind: "all", outcome: "", device: "", layer: null, pair: null, remark: null };
const list = { filter: { ...NO_FILTER }, sort: "order", down: false, page: 0, found: rows, open: null, size: PAGE };

const SORTS = {
	order: (r) => r.i,
	id: (r) => r.text,
	layer: (r) => r.layer,
	changed: (r) => r.mostChanged,
	distance: (r) => r.farthest,
};
devices.forEach((_, d) => (SORTS[`d${d}`] = (r) => r.outcome[d].i));

function matches(r, f, words) {
	if (f.operator !== "" && r.op !== Number(f.operator)) return false;
	if (f.layer !== null && r.layer !== f.layer) return false;
	if (!KINDS[f.kind][1](r, f)) return false;
	if (f.outcome && !(f.device !== "" ? r.outcome[f.device].name === f.outcome : r.outcome.some((o) => o.name === f.outcome))) return false;
	if (f.remark && !r.has(REMARK[f.remark])) return false;
	return words.every((w) => r.text.includes(w));
}

function find() {
	const words = list.filter.text.toLowerCase().split(/\s+/).filter(Boolean), key = SORTS[list.sort], sign = list.down ? -1 : 1;
	const found = rows.filter((r) => matches(r, list.filter, words));
	list.found = found.sort((a, b) => {
		const x = key(a), y = key(b);
		return x < y ? -sign : x > y ? sign : a.i - b.i;
	});
}

/* ---- the controls ---- */

function labelled(parent, text, tag) {
	const l = put(parent, "label", null, text);
	return l.append(tag);
}

function options(select, pairs) {
	select.selectAll("option").data(pairs).join("option").attr("value", (o) => o[0]).text((o) => o[1]);
}

function controls(s) {
	const f = put(s, "div", "filters").attr("role", "search").attr("aria-label", "Filter the mutants");
	const set = (key, value) => ((list.filter[key] = value), key === "kind" && (list.filter.pair = null), first());
	const search = labelled(f, "Words of the id", "input").attr("type", "search").attr("placeholder", "loop.cond conv_3").attr("spellcheck", "false").attr("id", "search");
	search.on("input", () => set("text", search.property("value")));
	const kind = labelled(f, "Show", "select").attr("id", "kind");
	options(kind, Object.entries(KINDS).filter(([k]) => k !== "suppressed" || meta.suppressions.length).filter(([k]) => devices.length > 1 || (k !== "disagree" && k !== "judged")).map(([k, v]) => [k, v[0]]));
	kind.on("change", () => set("kind", kind.property("value")));
	const op = labelled(f, "Operator", "select").attr("id", "operator");
	options(op, [["", "any"], ...d3.sort(meta.operators.map(([name], i) => [i, name]), (a, b) => d3.ascending(a[1], b[1]))]);
	op.on("change", () => set("operator", op.property("value")));
	const out = labelled(f, "Outcome", "select").attr("id", "outcome");
	options(out, [["", "any"], ...OUTCOMES.filter((o) => byDevice.some((t) => t.outcome[o.i])).reverse().map((o) => [o.name, o.name])]);
	out.on("change", () => set("outcome", out.property("value")));
	const dev = labelled(f, "on", "select").attr("id", "device");
	options(dev, [["", "any device"], ...devices.map((d, i) => [i, d.name])]);
	dev.on("change", () => set("device", dev.property("value")));
	put(f, "span", "tokens");
	put(f, "button", null, "Clear").attr("type", "button").attr("id", "clear").on("click", () => look({}, false));
	list.controls = { text: search, kind, operator: op, outcome: out, device: dev };
}

/* What the charts filter by and no control shows. */
function tokens() {
	const f = list.filter, items = [];
	if (f.layer !== null) items.push([`layer ${meta.layers[f.layer][0]}`, "layer"]);
	if (f.pair !== null) items.push([`${devices[meta.pairs[f.pair][0]].name} and ${devices[meta.pairs[f.pair][1]].name}`, "pair"]);
	if (f.remark) items.push([f.remark, "remark"]);
	const box = d3.select(".tokens");
	box.selectAll("*").remove();
	for (const [text, key] of items)
		put(box, "button", "token", `${text} \u00d7`).attr("type", "button").attr("aria-label", `remove the filter ${text}`).on("click", () => ((list.filter[key] = null), first()));
}

/* Shows the mutants that a chart speaks of. */
function look(filter, jump = true) {
	list.filter = { ...NO_FILTER, ...filter };
	for (const [key, control] of Object.entries(list.controls)) control.property("value", list.filter[key]);
	first();
	if (jump) document.getElementById("mutants").scrollIntoView();
	if (jump) document.getElementById("mutants").focus({ preventScroll: true });
}

/* ---- the table ---- */

const CROWDED = devices.length > 5; /* outcomes by three letters, names of devices upright */
const COLUMNS = [["id", "mutant", CROWDED ? "28%" : "38%"], ["layer", "layer", "12%"], ...devices.map((d, i) => [`d${i}`, d.name]), ["changed", "images changed", "8%"], ["distance", "differ\u00adence", "8%"]];

function table(s) {
	const t = put(s, "table").attr("id", "list");
	put(t, "caption", "unseen", "Mutants; the first column opens one");
	const tr = put(t, "thead").append("tr");
	for (const [key, name, width] of COLUMNS) {
		const th = put(tr, "th").attr("scope", "col").attr("data-key", key).style("width", width || null).classed("n", key === "changed" || key === "distance").classed("layer", key === "layer").classed("tall", CROWDED && /^d\d/.test(key));
		put(th, "button", "plain", name).attr("type", "button").on("click", () => {
			list.down = list.sort === key ? !list.down : key !== "id" && key !== "layer";
			list.sort = key;
			first();
		});
	}
	put(t, "tbody");
	on(t, "keydown", (ev) => {
		if (ev.key === "Escape" && list.open) {
			const row = list.found.indexOf(list.open) - list.page * list.size;
			shut();
			return void t.node().querySelectorAll("button.id")[row]?.focus();
		}
		const ids = Array.from(t.node().querySelectorAll("button.id")), at = ids.indexOf(ev.target);
		const to = ids[at + ({ ArrowDown: 1, ArrowUp: -1 }[ev.key] || 0)];
		if (at < 0 || !to || to === ev.target) return;
		ev.preventDefault();
		to.focus();
	});
}

function pager(s, where) {
	const p = put(s, "div", `pager ${where}`).attr("role", "group").attr("aria-label", `Pages, ${where}`);
	put(p, "span", "where-now");
	put(p, "span", "grow");
	put(p, "button", "back", "Back").attr("type", "button").on("click", () => go(list.page - 1));
	put(p, "button", "on", "Next").attr("type", "button").on("click", () => go(list.page + 1));
}

function go(page) {
	list.page = Math.max(0, Math.min(page, Math.ceil(list.found.length / list.size) - 1));
	list.open = null;
	draw();
}

function first() {
	find();
	go(0);
	say(`${many(list.found.length, "mutant")} shown`);
}

function line(tr, r) {
	const td = put(tr, "td");
	put(td, "button", "plain id mono", r.rest[0] === "=" ? r.id : `${r.opName}`).attr("type", "button").attr("aria-expanded", String(list.open === r)).attr("aria-label", r.id)
		.on("click", () => (list.open === r ? shut() : show(r)));
	put(td, "span", "where mono", r.rest[0] === "=" ? "" : `${r.targetName === "*" ? "everywhere" : r.targetName} / ${r.rest}`);
	if (r.suppressed) put(td, "span", "soft", ` suppressed: ${r.suppressed}`);
	put(tr, "td", "soft layer", r.layer >= 0 ? meta.layers[r.layer][0] : "\u2013").attr("data-head", "layer").attr("data-tip", r.layer >= 0 ? `${meta.layers[r.layer][0]}: ${meta.layers[r.layer][1]}, ${meta.layers[r.layer][2]}` : null);
	devices.forEach((d, i) => {
		const cell = put(tr, "td", CROWDED ? "brief" : null).attr("data-head", d.name);
		outcome(cell, r.outcome[i], CROWDED);
	});
	const some = r.answered.some(Boolean);
	put(tr, "td", "n", some ? `${r.mostChanged}/${Math.max(...r.answered)}` : "\u2013").attr("data-head", "images changed").attr("data-tip", some ? devices.map((d, i) => `${d.name}: ${r.changed[i]} of ${r.answered[i]} images`).join("\n") : null);
	put(tr, "td", "n", r.has(REMARK.nan) ? "NaN" : r.farthest < 0 ? "\u2013" : short(r.farthest)).attr("data-head", "largest difference").attr("data-tip", r.farthest < 0 ? null : "largest difference of a score\n" + devices.map((d, i) => `${d.name}: ${short(r.distance[i])}`).join("\n"));
}

function draw() {
	const from = list.page * list.size, page = list.found.slice(from, from + list.size), body = d3.select("#list tbody");
	hideTip();
	body.selectAll("*").remove();
	for (const r of page) {
		const tr = body.append("tr").classed("open", list.open === r);
		line(tr, r);
		if (list.open === r) detail(put(put(body, "tr", "detail"), "td").attr("colspan", COLUMNS.length), r);
	}
	if (!page.length) put(put(body, "tr"), "td", "soft", rows.length ? "No mutant fits this filter." : "There are no mutants.").attr("colspan", COLUMNS.length);
	d3.selectAll("#list thead th").attr("aria-sort", function () {
		return this.getAttribute("data-key") === list.sort ? (list.down ? "descending" : "ascending") : null;
	});
	d3.selectAll(".where-now").text(page.length ? `${count(from + 1)}\u2013${count(from + page.length)} of ${count(list.found.length)}` + (list.found.length < rows.length ? ` (${count(rows.length)} in all)` : "") : "none");
	d3.selectAll(".back").property("disabled", !list.page);
	d3.selectAll(".on").property("disabled", from + list.size >= list.found.length);
	tokens();
}

function remember(hash) {
	try {
		history.replaceState(null, "", hash);
	} catch {
		/* some browsers refuse this for pages from disk */
	}
}

function shut() {
	list.open = null;
	draw();
	remember("#mutants");
}

/* Opens a mutant of the page in hand. */
function show(r) {
	list.open = r;
	draw();
	const button = d3.selectAll("#list button.id").filter(function () {
		return this.getAttribute("aria-expanded") === "true";
	});
	button.node()?.focus({ preventScroll: true });
	remember(`#m=${encodeURIComponent(r.id)}`);
}

/* Opens it wherever it stands. */
function openMutant(r) {
	if (!list.found.includes(r)) look({}, false);
	list.page = Math.floor(list.found.indexOf(r) / list.size);
	show(r);
	d3.select("#list tr.open").node()?.scrollIntoView({ block: "start" });
}

function mutants() {
	const s = byId("mutants");
	put(s, "p", "note", "One row per mutant; the outcome on each device is the worst that any image reached. Headings sort. A mutant opens to its change, what ran, and the images it changed; arrow keys go from one to the next, Escape closes.");
	controls(s);
	pager(s, "above");
	table(s);
	pager(s, "below");
	first();
}

function fromAddress() {
	const wanted = /^#m=(.+)$/.exec(location.hash);
	if (!wanted) return;
	let id = wanted[1];
	try {
		id = decodeURIComponent(id);
	} catch {
		/* taken as it is */
	}
	const r = rows.find((x) => x.id === id);
	if (r) openMutant(r);
}
addEventListener("hashchange", fromAddress);

/* Paper has no next page to ask for. */
let before = 0;
addEventListener("beforeprint", () => {
	before = list.page;
	list.size = PAPER;
	list.page = 0;
	draw();
});
addEventListener("afterprint", () => {
	list.size = PAGE;
	list.page = before;
	draw();
});
