"use strict";
/* data.js: what the blocks of the page hold, as rows; shares and their intervals; sums over the rows */

const block = (id) => JSON.parse(document.getElementById(id).textContent);
const meta = block("meta");
const OUTCOMES = meta.outcomes.map(([name, kind, kills, help], i) => ({ i, name, kind, kills, help, color: `var(--o-${name})` }));
const COUNTED = 1;
const APART = 2;
const outcomeAt = (letter) => OUTCOMES[letter.charCodeAt(0) - 97] || OUTCOMES[0];
const devices = meta.devices;
const nimages = meta.images.length;
const VERDICT = Object.fromEntries(meta.verdicts.map((v, i) => [v, i]));
const REMARK = { degenerate: 1, twin: 2, nan: 4 };

/* How tall an outcome stands in strips: the order without the colour. */
const HEIGHT = { identical: 0.18, tolerated: 0.26, drifted: 0.4, reordered: 0.6, misclassified: 0.8 };
const heightOf = (o) => HEIGHT[o.name] || (o.kind === COUNTED ? 1 : 0.1);

class Row {
	constructor(i, chunk, at, [rest, op, target, sites, outcomes, kills, pairs, remarks, changed, answered, distance, suppressed]) {
		Object.assign(this, { i, chunk, at, rest, op, target, sites, pairs, changed, answered, distance, suppressed });
		this.outcome = Array.from(outcomes, outcomeAt);
		this.killed = Array.from(kills, Number);
		this.remark = Array.from(remarks, Number);
		this.kills = this.killed.reduce((a, k) => a | k, 0);
		this.counted = this.outcome.some((o) => o.kind === COUNTED);
	}
	get id() {
		return this.rest[0] === "=" ? this.rest.slice(1) : `${this.opName}/${this.targetName}/${this.rest}`;
	}
	get opName() {
		return meta.operators[this.op][0];
	}
	get targetName() {
		return meta.targets[this.target][0];
	}
	get layer() {
		return meta.targets[this.target][1];
	}
	get text() {
		return (this.lower ??= this.id.toLowerCase());
	}
	/* Over all devices: what the worst of them shows. */
	get level() {
		return this.suppressed ? "suppressed" : this.kills & 1 ? "label" : this.kills ? "numbers" : this.counted ? "nothing" : "unjudged";
	}
	/* Of the p-th pair of devices: labels differ where the originals agree, only one answers, only one's labels kill it, or only one gives NaN. */
	apart(p) {
		const v = Number(this.pairs[p]), [a, b] = meta.pairs[p], two = [this.outcome[a].name, this.outcome[b].name];
		if (v === VERDICT.mutant || v === VERDICT.outcome) return true;
		if (two.includes("not-run") || two.includes("tool-error")) return false;
		return ((this.killed[a] ^ this.killed[b]) & 1) !== 0 || (two[0] === "nan") !== (two[1] === "nan");
	}
	/* Of that pair: they do not disagree, and yet were judged differently. */
	unlike(p) {
		return Number(this.pairs[p]) === VERDICT.judged && !this.apart(p);
	}
	get disagrees() {
		return !this.suppressed && meta.pairs.some((_, p) => this.apart(p));
	}
	get worst() {
		return this.outcome.reduce((a, o) => Math.max(a, o.kind === COUNTED ? o.i : -1), -1);
	}
	get mostChanged() {
		return Math.max(0, ...this.changed);
	}
	get farthest() {
		return this.distance.reduce((a, x) => (x !== null && x > a ? x : a), -1);
	}
	has(remark) {
		return this.remark.some((r) => r & remark);
	}
}

const rows = [];
for (const el of document.querySelectorAll("script.rows")) {
	const chunk = Number(el.id.slice(5));
	JSON.parse(el.textContent).forEach((r, at) => rows.push(new Row(rows.length, chunk, at, r)));
	el.remove();
}
/* Suppressed ones are shown, and counted nowhere. */
const live = rows.filter((r) => !r.suppressed);

/* ---- shares: killed of counted, with the 95 % Wilson interval ---- */

function wilson(k, n) {
	if (!n) return [0, 1];
	const z = 1.959964, p = k / n, d = 1 + (z * z) / n;
	const mid = (p + (z * z) / (2 * n)) / d, half = (z * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n))) / d;
	return [Math.max(0, mid - half), Math.min(1, mid + half)];
}

const percent = (x) => (x > 0 && x < 0.005 ? "<1" : x < 1 && x > 0.995 ? ">99" : String(Math.round(100 * x)));
const interval = (k, n) => wilson(k, n).map((x) => Math.round(100 * x)).join("\u2013");
const share = (k, n) => (n ? `${percent(k / n)} % (${interval(k, n)})` : "\u2013");
const shareTip = (k, n, what) => (n ? `${count(k)} of ${count(n)}${what ? " " + what : ""}\n95 % interval ${interval(k, n)} %` : "nothing to count");
const count = (n) => n.toLocaleString("en").replace(/,/g, "\u202f");
const many = (n, one, more) => `${count(n)} ${n === 1 ? one : more || one + "s"}`;
const short = (x) =>
	x === null || x === undefined ? "\u2013" : !isFinite(x) ? (x > 0 ? "\u221e" : "\u2212\u221e") : x === 0 ? "0" : Math.abs(x) >= 1e5 || Math.abs(x) < 1e-3 ? x.toExponential(1) : String(Number(x.toPrecision(3)));
const className = (label) => (label < 0 ? "unknown" : meta.classes[label] || `class ${label}`);

/* ---- sums ---- */

class Tally {
	constructor() {
		this.rows = this.counted = 0;
		this.killed = [0, 0, 0];
		this.outcome = OUTCOMES.map(() => 0);
	}
	add(row, d) {
		const o = row.outcome[d], k = row.killed[d];
		this.rows++;
		this.outcome[o.i]++;
		if (o.kind !== COUNTED) return;
		this.counted++;
		this.killed[0] += k & 1;
		this.killed[1] += (k >> 1) & 1;
		this.killed[2] += (k >> 2) & 1;
	}
}
const tallies = () => devices.map(() => new Tally());
const byDevice = tallies();
const byOperator = meta.operators.map(tallies);
const byLayer = meta.layers.map(tallies);
const byPair = meta.pairs.map(() => meta.verdicts.map(() => 0));
const levels = { label: 0, numbers: 0, nothing: 0, unjudged: 0 };
/* By layer, each mutant once: judged on some device, and of these an answer changed on some device. */
const layerLevels = meta.layers.map(() => ({ judged: 0, label: 0 }));
let withoutLayer = 0;
for (const r of live) {
	const layer = r.layer;
	devices.forEach((_, d) => {
		byDevice[d].add(r, d);
		byOperator[r.op][d].add(r, d);
		if (layer >= 0) byLayer[layer][d].add(r, d);
	});
	meta.pairs.forEach((_, p) => byPair[p][Number(r.pairs[p])]++);
	levels[r.level]++;
	if (layer < 0) withoutLayer++;
	else if (r.counted) {
		layerLevels[layer].judged++;
		if (r.kills & 1) layerLevels[layer].label++;
	}
}
/* The store counted too: both must agree. */
const addsUp = devices.every((d, i) => d.counts.rows === byDevice[i].rows && d.counts.counted === byDevice[i].counted &&
	d.counts.killed.every((k, c) => k === byDevice[i].killed[c]) && d.counts.outcome.every((n, o) => n === byDevice[i].outcome[o]));
const missing = d3.sum(byDevice, (t) => t.outcome[0]);

/* ---- details, by chunk: in the page, or in a file beside it ---- */

const held = new Map();
const waiting = new Map();

function keep(chunk, list) {
	if (held.size >= 8) held.delete(held.keys().next().value);
	held.set(chunk, list);
}

window.mutatenn_details = (chunk, token, list) => {
	const then = waiting.get(chunk) || [];
	waiting.delete(chunk);
	if (token === meta.token) keep(chunk, list);
	then.forEach((f) => f(token === meta.token ? list : null, `'${meta.folder}/${chunk}.js' belongs to another report than this page: write both again.`));
};

/* f(details) or f(null, why) */
function details(row, f) {
	const take = (list, why) => f(list ? list[row.at] : null, why);
	if (held.has(row.chunk)) return take(held.get(row.chunk));
	if (document.getElementById(`details-${row.chunk}`)) {
		keep(row.chunk, block(`details-${row.chunk}`));
		return take(held.get(row.chunk));
	}
	if (waiting.has(row.chunk)) return void waiting.get(row.chunk).push(take);
	waiting.set(row.chunk, [take]);
	const script = document.createElement("script");
	script.src = `${encodeURIComponent(meta.folder)}/${row.chunk}.js`;
	script.onload = () => script.remove();
	script.onerror = () => {
		const then = waiting.get(row.chunk) || [];
		waiting.delete(row.chunk);
		script.remove();
		then.forEach((g) => g(null, `The details of this mutant lie in '${meta.folder}/${row.chunk}.js' beside this page, and that file is not there: keep both together.`));
	};
	document.head.append(script);
}
