/* detail.js: one mutant, opened: what changes, what ran, how far the scores went, what the images became */

function diffText(parent, text) {
	const pre = put(parent, "pre").attr("tabindex", 0).attr("role", "region").attr("aria-label", "diff"), lines = text.replace(/\n$/, "").split("\n");
	const heading = (l) => /^(---|\+\+\+|@@|\.\.\. )/.test(l);
	/* what all lines are indented by says nothing */
	const depth = d3.min(lines.filter((l) => !heading(l) && l.trim()), (l) => /^[-+ ]?(\s*)/.exec(l)[1].length) || 0;
	for (const line of lines) {
		const kind = heading(line) ? "at" : line[0] === "+" ? "add" : line[0] === "-" ? "del" : "";
		put(pre, "span", `l ${kind}`, (kind === "at" || !depth ? line : line[0] + " " + line.slice(1 + depth)) || " ");
	}
}

const DIALECTS = { c: "C", "opencl-c": "OpenCL C", "opencl-c-cpu": "OpenCL C (processors)", "cuda-c": "CUDA C", cuda: "CUDA C", glsl: "GLSL", "glsl-cpu": "GLSL (processors)" };

function changes(box, row, x) {
	if (!x.diff && !x.source.length) return;
	put(box, "h3", null, "What changes");
	const grid = put(box, "div", "diffs"), left = put(grid, "div");
	if (x.diff) {
		const d = put(left, "div");
		put(d, "h4", "soft", row.opName.startsWith("input.") ? "Preprocessing" : row.opName.startsWith("graph.") ? "Graph" : "Loop IR");
		diffText(d, x.diff);
	}
	x.source.forEach(([dialect, text], i) => {
		const title = `Source, ${DIALECTS[dialect] || dialect}`, d = put(i ? left : grid, i ? "details" : "div");
		put(d, i ? "summary" : "h4", i ? null : "soft", title);
		diffText(d, text);
	});
}

/* One row per fact, one column per device; facts that no device has are left out. */
function factTable(box, facts, x) {
	const t = put(put(box, "div", "scroll"), "table"), hr = put(t, "thead").append("tr");
	hr.append("td");
	for (const d of devices) put(hr, "th", null, d.name).attr("scope", "col");
	const body = put(t, "tbody");
	for (const [name, get, help] of facts) {
		const cells = devices.map((_, d) => get(d, x.devices[d]));
		if (cells.every((c) => c === null || c === undefined || c === "")) continue;
		const tr = body.append("tr");
		put(tr, "th", "soft nowrap", name).attr("scope", "row").attr("data-tip", help || null);
		for (const c of cells) {
			const td = put(tr, "td");
			if (typeof c === "function") c(td);
			else td.text(c ?? "\u2013");
		}
	}
}

function ran(box, row, x) {
	put(box, "h3", null, "What ran");
	const codes = x.devices.map((d) => d.code);
	factTable(box, [
		["outcome", (d) => (td) => outcome(td, row.outcome[d])],
		["killed by", (d) => meta.criteria.filter((_, c) => row.killed[d] & (1 << c)).join(", ") || (row.outcome[d].kind === COUNTED ? "nothing" : "not judged")],
		["images changed", (d) => (row.answered[d] ? `${row.changed[d]} of ${row.answered[d]}` : null), "images with another first label than the original's, of those that gave an answer"],
		["remarks", (d) => [row.remark[d] & REMARK.degenerate && "same answer for every image", row.remark[d] & REMARK.nan && "NaN or Inf in some scores"].filter(Boolean).join(", ")],
		["message", (d, y) => y.message],
		["ended", (d, y) => (y.stage || y.kernel || y.signal ? [y.stage && `stage ${y.stage}`, y.kernel && `kernel ${y.kernel}`, y.signal && `signal ${y.signal}`].filter(Boolean).join(", ") : null)],
		["launches", (d, y) => (y.run || y.saved ? `${y.run} run, ${y.saved} saved` : null), "saved: not run, since their inputs and code are the original's"],
		["runs", (d, y) => y.runs || null, "how often it was run before it was believed"],
		["unwritten memory", (d, y) => y.fill || null, "what lay where nobody wrote, in the runs that were compared"],
		["build, run", (d, y) => (y.build_s || y.run_s ? `${seconds(y.build_s)}, ${seconds(y.run_s)}` : null)],
		["code", (d, y) => y.code && ((td) => tipped(put(td, "span", "mono", y.code.slice(0, 12)), `identity of what ran: ${y.code}` + (codes.filter((c) => c === y.code).length > 1 ? "\nthe same on other devices" : "")))],
		["same code as", (d, y) => y.twin && ((td) => {
			const twin = rows.find((r) => r.id === y.twin);
			if (twin) put(td, "button", "link mono", y.twin).attr("type", "button").on("click", () => openMutant(twin));
			else put(td, "span", "mono", y.twin);
		}), "a mutant whose built code on this device is this one's: they share the run"],
	], x);
	x.devices.forEach((y, d) => {
		if (!y.log) return;
		put(box, "h4", "soft", `Compiler's log, ${devices[d].name}`);
		put(box, "pre", "text", y.log).attr("tabindex", 0);
	});
}

const DISTANCES = [["max_abs", "largest difference"], ["max_rel", "largest relative"], ["l2", "L2"], ["nmse", "normalised squared error"], ["max_ulp", "ULP"], ["cosine", "cosine"],
	["jaccard", "Jaccard, top-k"], ["rbo", "rank-biased overlap"], ["kendall", "Kendall\u2019s tau"], ["displacement", "displacement"], ["nan", "NaN values"], ["inf", "Inf values"]];

function distances(box, x) {
	if (!x.devices.some((d) => d.distances)) return;
	put(box, "h3", null, "How far from the original");
	put(box, "p", "note", "Distances: the worst image. Overlap of rankings (Jaccard to displacement): the mean over the images; 1 is the original's ranking.");
	factTable(box, DISTANCES.map(([key, name]) => [name, (d, y) => y.distances && ((key === "nan" || key === "inf") && !y.distances[key] ? null : short(y.distances[key]))]), x);
}

function strips(box, x) {
	const n = Math.max(...x.devices.map((d) => d.strip.length));
	if (!x.devices.some((d) => /[^a]/.test(d.strip))) return;
	put(box, "h3", null, "Image by image");
	const w = n > 160 ? 3 : n > 80 ? 6 : 11, h = 22;
	const t = put(put(box, "div", "scroll"), "table");
	x.devices.forEach((y, d) => {
		const tr = t.append("tr"), tally = d3.rollups(Array.from(y.strip, outcomeAt), (v) => v.length, (o) => o.name).sort((a, b) => b[1] - a[1]);
		put(tr, "th", "soft nowrap", devices[d].name).attr("scope", "row");
		const svg = put(tr, "td").append("svg").attr("class", "strip").attr("width", n * w).attr("height", h).attr("role", "img")
			.attr("aria-label", tally.map(([name, k]) => `${k} ${name}`).join(", "));
		Array.from(y.strip, outcomeAt).forEach((o, i) => {
			const k = Math.max(2, h * heightOf(o));
			svg.append("rect").attr("x", i * w).attr("y", h - k).attr("width", w - 1).attr("height", k).style("--c", o.color).attr("data-tip", `${meta.images[i] ? meta.images[i][0] : i}: ${o.name}`);
		});
		put(tr, "td", "soft", tally.map(([name, k]) => `${k} ${name}`).join(", "));
	});
	if (nimages > n) put(box, "p", "note", `The first ${n} of ${count(nimages)} images.`);
}

/* The original's top labels beside the mutant's, on devices where both are the same. */
function answer(box, i, ds, seen) {
	const original = (meta.originals[ds[0]] || {})[i], b = put(box, "div", "answer");
	const h = put(b, "h4", "soft", (ds.length > 1 && ds.length === devices.length ? "all devices" : ds.map((d) => devices[d].name).join(", ")) + "\u2002");
	outcome(h, outcomeAt(seen[0]));
	if (seen[2].includes(null)) put(h, "span", "soft", ", NaN among its scores");
	else if (seen[3] !== null) put(h, "span", "soft", `, scores off by ${short(seen[3])}`).attr("data-tip", "largest difference of a score");
	if (!seen[1].length) return void put(b, "p", "note", "no answer");
	const t = put(b, "table"), hr = put(t, "thead").append("tr");
	for (const c of ["original", "", "mutant", ""]) put(hr, c ? "th" : "td", null, c).attr("scope", c ? "col" : null).attr("class", c ? null : "p");
	const body = put(t, "tbody");
	seen[1].forEach((label, k) => {
		const tr = body.append("tr"), was = original && original[0][k];
		put(tr, "td", null, original && k < original[0].length ? className(was) : "\u2013").attr("data-tip", original && k < original[0].length ? className(was) : null);
		probability(tr, original && k < original[0].length ? original[1][k] : undefined);
		put(tr, "td", was !== label ? "changed" : null, className(label)).attr("data-tip", className(label));
		probability(tr, seen[2][k]);
	});
}

function probability(tr, p) {
	const td = put(tr, "td", "p", p === undefined ? "" : prob(p));
	if (p > 0) td.style("background", `linear-gradient(to left, var(--line) ${100 * Math.min(1, p)}%, transparent 0) 0 85% / 100% 2px no-repeat`);
}

const prob = (p) => (p === null ? "NaN" : !isFinite(p) ? "Inf" : `${(100 * p).toFixed(1)} %`);

function shots(box, x) {
	if (!x.images.length) return;
	put(box, "h3", null, "Images");
	const list = put(box, "div", "shots");
	for (const [i, ...sides] of x.images) {
		const shot = put(list, "div", "shot"), left = put(shot, "div");
		thumbnail(left, i);
		const [name, label] = meta.images[i] || [`image ${i}`, -1];
		put(left, "div", "soft name", label >= 0 ? className(label) : name).attr("data-tip", name);
		const answers = put(shot, "div", "answers");
		const alike = d3.groups(sides.map((seen, d) => [d, seen]).filter((s) => s[1]), ([d, seen]) => JSON.stringify([seen, ((meta.originals[d] || {})[i] || []).slice(0, 2)]));
		for (const [, group] of alike) answer(answers, i, group.map((g) => g[0]), group[0][1]);
	}
	if (x.more) put(box, "p", "note", `${many(x.more, "more image")} ${x.more === 1 ? "differs" : "differ"} on some device; 'mutatenn report STORE --json FILE --images' has them all.`);
}

/* ---- where to go on ---- */

const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`);

/* The device that shows most of it. */
const telling = (row) => d3.greatest(devices.map((_, d) => d), (d) => (row.outcome[d].kind === COUNTED ? row.outcome[d].i : -1));

function further(box, row) {
	const level = /^opt-level: (\d)$/m.exec(meta.configuration || ""), d = telling(row), other = devices.findIndex((_, e) => e !== d && row.outcome[e] !== row.outcome[d]);
	const lines = [`mutatenn show ${quoted(meta.file)} ${quoted(row.id)}${level ? ` --opt-level ${level[1]}` : ""}`];
	if (row.counted) lines.push(`mutatenn reproduce ${quoted(meta.store)} ${quoted(row.id)} --device ${quoted(devices[d].name)} --out DIR`);
	if (row.disagrees && other >= 0) lines.push(`mutatenn reproduce ${quoted(meta.store)} ${quoted(row.id)} --device ${quoted(devices[d].name)} --against ${quoted(devices[other].name)} --out DIR`);
	put(box, "h3", null, "Where to go on");
	put(box, "p", "note", "The whole change; a folder that shows what the mutant does without mutatenn.");
	put(box, "pre", "text", lines.join("\n")).attr("tabindex", 0).attr("role", "region").attr("aria-label", "commands");
}

function detail(td, row) {
	const box = put(td, "div");
	const full = put(box, "div", "full");
	put(full, "code", null, row.id);
	const places = put(full, "span", "soft", many(row.sites, "place") + " changed");
	const foreseen = { leaves: "leaves its buffers", "may-leave": "may leave its buffers", "in-range": "stays in its buffers" };
	details(row, (x, why) => {
		if (!x) return void put(box, "p", "alert", why);
		if (x.bounds) places.text(`${places.text()}; foreseen before it ran: ${foreseen[x.bounds] || x.bounds}${x.bounds_text ? " (" + x.bounds_text + ")" : ""}`);
		changes(box, row, x);
		ran(box, row, x);
		strips(box, x);
		shots(box, x);
		distances(box, x);
		further(box, row);
		say(`Details of ${row.id} are open`);
	});
}
