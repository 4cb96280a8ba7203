/* summary.js: what came out, in sentences; how sure it is; what to look at first */

function head() {
	const h = byId("head");
	put(h, "h1", null, meta.model || "campaign");
	const sub = put(h, "p", "sub");
	put(sub, "b", null, `${many(rows.length, "mutant")} \u00d7 ${many(nimages, "image")} \u00d7 ${many(devices.length, "device")}`);
	sub.append("span").text(`, ${devices.map((d) => d.name).join(", ") || "none"}. Campaign begun ${meta.created || "at an unknown time"}, mutatenn ${meta.tool || "?"}.`);
	document.title = `${meta.model || "campaign"} \u2013 mutatenn report`;
	if (!addsUp) put(h, "p", "alert", "The rows of this page do not add up to what the store counted. Do not trust this report; write it again and tell the authors of mutatenn.");
	if (missing) put(h, "p", "alert", `Partial: ${count(missing)} of ${count(d3.sum(byDevice, (t) => t.rows))} results are missing (not-run); all rates are of the others. The command that began the campaign goes on with it.`);
	for (const d of devices) if (d.error) put(h, "p", "alert", `Device ${d.name} cannot be used: ${d.error}`);
	if (!rows.length) put(h, "p", "alert", "This store holds no mutants yet: the campaign has not got so far.");
}

const LEVELS = [
	["label", "change an answer", "the first label of some image changes, or the run crashes, hangs, touches memory outside its buffers or gives NaN, on some device", "var(--o-misclassified)"],
	["numbers", "change numbers only", "scores differ by more than noise on some device, every first label stays", "var(--o-drifted)"],
	["nothing", "change nothing", "identical or within the device's noise, for every image on every device that ran it", "var(--o-identical)"],
	["unjudged", "not judged", "the same program, the same code, no such place in this model, not built, or not run", "var(--o-not-run)"],
];

function lead(s) {
	const judged = live.length - levels.unjudged, p = put(s, "p", "lead");
	if (!judged) return void p.text(live.length ? "No mutant has a verdict yet." : "Nothing has been run.");
	const part = (k) => {
		const b = put(p, "b", null, `${count(k)} (${share(k, judged).replace(" (", ", ")}`);
		tipped(b, shareTip(k, judged, "judged mutants"));
	};
	p.append("span").text(`Of ${many(judged, "fault")} that were judged, `);
	part(levels.label);
	p.append("span").text(` ${levels.label === 1 ? "changes" : "change"} an answer on at least one device, `);
	part(levels.numbers);
	p.append("span").text(` only numbers, and `);
	part(levels.nothing);
	p.append("span").text(` nothing that ${nimages === 1 ? "the image" : `any of the ${count(nimages)} images`} would show.`);
}

function split(s) {
	const W = 1000, H = 34, x = d3.scaleLinear([0, Math.max(1, live.length)], [0, W]);
	const svg = s.append("svg").attr("class", "split").attr("viewBox", `0 0 ${W} ${H}`).attr("preserveAspectRatio", "none").attr("role", "img")
		.attr("aria-label", LEVELS.map(([l, name]) => `${name}: ${levels[l]}`).join(", "));
	let at = 0;
	for (const [l, name, help, color] of LEVELS) {
		tipped(svg.append("rect").attr("x", x(at)).attr("width", Math.max(0, x(levels[l]) - (levels[l] ? 1.5 : 0))).attr("height", H).style("fill", color), `${many(levels[l], "mutant")} ${name}: ${help}`);
		at += levels[l];
	}
	const key = put(s, "ul", "key");
	for (const [l, name, help, color] of LEVELS) {
		const li = key.append("li");
		swatch(li, color);
		tipped(put(li, "button", "plain", `${count(levels[l])} ${name}`).attr("type", "button"), help).on("click", () => look({ kind: l }));
	}
}

function rates(s) {
	put(s, "h3", null, "Killed, by device and criterion");
	const box = put(s, "div"), all = meta.criteria.map((_, c) => c);
	if (devices.length > 4) picker(box, "Killed by", meta.criteria.map((n, i) => [i, n]), (v) => draw([Number(v)]), 0);
	const table = put(box, "div");
	const draw = (criteria) => (table.selectAll("*").remove(), rateTable(table, criteria));
	draw(devices.length > 4 ? [0] : all);
	const right = devices.filter((d) => d.labelled);
	if (right.length) put(s, "p", "note", "The original is right about " + d3.groups(right, (d) => `${d.right} of ${d.labelled} labelled images`).map(([text, same]) => `${text} on ${same.length > 1 && same.length === devices.length ? "every device" : same.map((d) => d.name).join(", ")}`).join("; ") + ".");
}

function rateTable(s, criteria) {
	const t = put(put(s, "div", "scroll"), "table", "wide rates");
	const hr = put(t, "thead").append("tr");
	put(hr, "th", null, "device").attr("scope", "col");
	put(hr, "th", "n", "judged").attr("scope", "col");
	put(hr, "th", null, "criterion").attr("scope", "col");
	put(hr, "th", null, "killed, 95 % interval").attr("scope", "col").attr("colspan", 2);
	const body = put(t, "tbody");
	devices.forEach((d, i) => {
		criteria.forEach((k, at) => {
			const tr = body.append("tr"), n = byDevice[i].counted, killed = byDevice[i].killed[k];
			if (!at) {
				put(tr, "th", null, d.name).attr("scope", "rowgroup").attr("rowspan", criteria.length).attr("data-tip", d.describe || null);
				put(tr, "td", "n", count(n)).attr("rowspan", criteria.length);
			}
			put(tr, "td", null, meta.criteria[k]);
			dotline(put(tr, "td", "dot"), killed, n);
			tipped(put(tr, "td", "n nowrap", share(killed, n)), shareTip(killed, n, "judged mutants"));
		});
	});
}

/* ---- what to look at first ---- */

function examples(list, found, say, n = 3) {
	const ul = list.append("ul");
	for (const r of found.slice(0, n)) {
		const li = ul.append("li");
		put(li, "button", "link mono", r.id).attr("type", "button").on("click", () => openMutant(r));
		li.append("span").text(" " + say(r));
	}
}

function inWords(r, d) {
	const o = r.outcome[d], words = { crash: "crashes", hang: "hangs", nan: "gives NaN" };
	return `${words[o.name] || o.name} on ${devices[d].name}`;
}

/* The pair of devices that differ most plainly on this mutant. */
function apart(r) {
	const p = meta.pairs.findIndex((_, i) => r.apart(i));
	const [a, b] = meta.pairs[p];
	return r.outcome[a] === r.outcome[b] ? `gives other labels on ${devices[a].name} than on ${devices[b].name}` : `${inWords(r, a)}, ${inWords(r, b)}`;
}

function findings(s) {
	put(s, "h3", null, "What to look at first");
	const ul = put(s, "ul", "findings");
	const finding = (color, text, filter) => {
		const li = put(ul, "li").style("--sign", color);
		if (filter) put(li, "button", "link", text).attr("type", "button").on("click", () => look(filter));
		else li.append("span").text(text);
		return li;
	};
	const worstFirst = (list) => list.sort((a, b) => b.worst - a.worst || b.mostChanged - a.mostChanged);
	/* other labels say more than an outcome of another kind, and what does not repeat itself says least */
	const weight = (r) => (r.pairs.includes(VERDICT.mutant) ? 2 : 0) - (r.outcome.some((o) => o.kind === APART) ? 1 : 0);
	const differ = worstFirst(live.filter((r) => r.disagrees)).sort((a, b) => weight(b) - weight(a));
	if (differ.length) {
		const li = finding("var(--o-nan)", `${many(differ.length, "fault")} ${differ.length === 1 ? "behaves" : "behave"} differently on two devices although the original does not`, { kind: "disagree" });
		examples(li, differ, apart);
	} else if (devices.length > 1 && live.length > levels.unjudged) {
		finding("var(--o-identical)", "Every fault gives the same labels on all devices, as far as they ran it");
	}
	for (const [a, b, n, labels, bits] of meta.pairs)
		if (labels) finding("var(--o-nan)", `The original itself gives another first label on ${devices[a].name} than on ${devices[b].name} for ${labels} of ${many(n, "image")}`);
		else if (n && bits < n && meta.pairs.length <= 3) finding("var(--o-drifted)", `The original gives the same labels on ${devices[a].name} and ${devices[b].name}, but other bits for ${n - bits} of ${many(n, "image")}`);
	if (levels.nothing) {
		const still = live.filter((r) => r.level === "nothing").sort((a, b) => b.sites - a.sites);
		const li = finding("var(--o-identical)", `${many(levels.nothing, "fault")} ${levels.nothing === 1 ? "changes" : "change"} nothing that any of the ${count(nimages)} images shows`, { kind: "nothing" });
		examples(li, still, (r) => `(${many(r.sites, "place")} changed)`, 2);
	}
	const bad = (names) => live.filter((r) => r.outcome.some((o) => names.includes(o.name)));
	const quiet = live.filter((r) => r.outcome.some((o, d) => o.name === "overrun" && !r.changed[d]));
	if (quiet.length) finding("var(--o-overrun)", `${many(quiet.length, "fault")} ${quiet.length === 1 ? "touches" : "touch"} memory outside the buffers and still ${quiet.length === 1 ? "gives" : "give"} every image its label`, { outcome: "overrun" });
	for (const [name, text] of [["crash", "crash"], ["hang", "hang"], ["nan", "give NaN or Inf"], ["undefined", "depend on memory nobody wrote"]]) {
		const n = bad([name]).length;
		if (n) finding(`var(--o-${name})`, `${many(n, "fault")} ${n === 1 ? { crash: "crashes", hang: "hangs", nan: "gives NaN or Inf", undefined: "depends on memory nobody wrote" }[name] : text} on some device`, { outcome: name });
	}
	for (const name of ["unstable", "build-failed", "refused", "tool-error"]) {
		const n = bad([name]).length;
		if (n) finding(`var(--o-${name})`, `${many(n, "mutant")} ${n === 1 ? "is" : "are"} ${name} on some device: in no rate`, { outcome: name });
	}
	const dull = live.filter((r) => r.has(REMARK.degenerate)).length;
	if (dull) finding("var(--o-tolerated)", `${many(dull, "fault")} ${dull === 1 ? "gives" : "give"} the same answer for every image: easily killed, and telling little`, { remark: "degenerate" });
	strongest(finding);
	const only = meta.images.map((im, i) => [i, d3.max(im[3]) || 0]).filter((x) => x[1]);
	if (only.length && nimages > 1) {
		const [i, n] = d3.greatest(only, (x) => x[1]);
		finding("var(--mark)", `${many(only.length, "image")} of ${count(nimages)} ${only.length === 1 ? "exposes" : "each expose"} a fault that no other image does; ${meta.images[i][0]} alone exposes ${count(n)}`);
	}
}

/* The layers where faults are noticed most and least, among those with enough of them. */
function strongest(finding) {
	const known = layerLevels.map((l, i) => ({ i, n: l.judged, k: l.label })).filter((l) => l.n >= 5);
	if (known.length < 4) return;
	const least = d3.least(known, (l) => wilson(l.k, l.n)[1]), most = d3.greatest(known, (l) => wilson(l.k, l.n)[0]);
	if (wilson(least.k, least.n)[1] < wilson(most.k, most.n)[0])
		finding("var(--mark)", `Faults show most in layer ${meta.layers[most.i][0]} (${most.k} of ${most.n} change an answer, ${interval(most.k, most.n)} %) and least in ${meta.layers[least.i][0]} (${least.k} of ${least.n}, ${interval(least.k, least.n)} %)`, { layer: least.i });
}

/* What somebody decided not to count, with the reason. */
function suppressed(s) {
	if (!meta.suppressions.length) return;
	const box = put(s, "div").attr("id", "suppressed");
	put(box, "h3", null, "Suppressed");
	put(box, "p", "note", `${many(rows.length - live.length, "mutant")} ${rows.length - live.length === 1 ? "is" : "are"} in no number of this page:`);
	const ul = put(box, "ul");
	for (const [glob, n, reason] of meta.suppressions) {
		const li = ul.append("li");
		put(li, "code", null, glob);
		li.append("span").text(`: ${reason} `);
		if (n) put(li, "button", "link", `(${many(n, "mutant")})`).attr("type", "button").on("click", () => look({ kind: "suppressed" }));
		else put(li, "span", "soft", "(matches nothing)");
	}
}

function summary() {
	const s = byId("summary");
	lead(s);
	if (live.length) split(s);
	const two = put(s, "div", "two");
	if (devices.length) rates(put(two, "div"));
	findings(put(two, "div"));
	suppressed(s);
}
