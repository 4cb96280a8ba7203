/* layers.js: the kill rate layer by layer, in the order of the graph, with what each layer computes below it */

const SHAPES = [d3.symbolCircle, d3.symbolSquare, d3.symbolTriangle, d3.symbolDiamond, d3.symbolCross, d3.symbolStar, d3.symbolWye, d3.symbolCircle];
const deviceColor = (d) => `var(--d${d % 8})`;
const mark = (d) => d3.symbol().type(SHAPES[(d + 3 * Math.floor(d / 8)) % 8]).size(42)();

function network() {
	const s = byId("network");
	const shown = meta.layers.map(([node, op, shape, macs], i) => ({ i, node, op, shape, macs, t: byLayer[i] })).filter((l) => l.t.some((t) => t.rows));
	put(s, "p", "note", "How often a fault in a layer is noticed: each mark is one device, its line the 95 % Wilson interval. Layers that no mutant targets are left out; a layer that was fused or folded into another is counted there." +
		(withoutLayer ? ` ${many(withoutLayer, "mutant")} ${withoutLayer === 1 ? "changes" : "change"} several layers or the input and ${withoutLayer === 1 ? "is" : "are"} not here.` : ""));
	if (!shown.length) return void put(s, "p", null, meta.layers.length ? "No mutant has a layer of its own." : "This store was written without the list of layers.");
	let c = 0;
	picker(s, "Killed by", meta.criteria.map((n, i) => [i, n]), (v) => draw(Number(v)), 0);
	const key = put(s, "span", "series");
	devices.forEach((d, i) => {
		const item = put(key, "span", "nowrap");
		item.append("svg").attr("width", 12).attr("height", 12).attr("viewBox", "-6 -6 12 12").attr("aria-hidden", "true").append("path").attr("d", mark(i)).style("fill", deviceColor(i));
		item.append("span").text(" " + d.name);
	});
	const box = put(s, "div", "scroll");
	function draw(criterion) {
		c = criterion;
		box.selectAll("*").remove();
		layerChart(box, shown, c);
	}
	draw(0);
	asTable(s, "The same as a table", ["layer", "operator", "output", "MMAC", ...devices.flatMap((d) => [`${d.name}: judged`, ...meta.criteria.map((n) => `killed by ${n}`)])], () =>
		shown.map((l) => [l.node, l.op, l.shape, l.macs ? short(l.macs / 1e6) : "", ...l.t.flatMap((t) => [t.counted, ...t.killed.map((k) => share(k, t.counted))])]));
}

function layerChart(box, shown, c) {
	const left = 44, right = 8, top = 12, h = 190, gap = 12, hm = 34, names = 92;
	const band = Math.max(7 * Math.max(1, devices.length) + 5, Math.min(64, ((box.node().clientWidth || 900) - left - right) / shown.length));
	const W = left + right + band * shown.length, H = top + h + gap + hm + names;
	const x = d3.scaleBand(d3.range(shown.length), [left, W - right]), y = d3.scaleLinear([0, 1], [top + h, top]);
	const ym = d3.scaleLinear([0, d3.max(shown, (l) => l.macs) || 1], [0, hm]);
	const svg = box.append("svg").attr("width", W).attr("height", H).attr("viewBox", `0 0 ${W} ${H}`).attr("role", "group").attr("aria-label", `Share of mutants killed by ${meta.criteria[c]}, by layer; arrow keys go from layer to layer`);
	const grid = svg.append("g").attr("class", "grid");
	for (const t of [0, 0.25, 0.5, 0.75, 1]) {
		grid.append("line").attr("x1", left).attr("x2", W - right).attr("y1", y(t)).attr("y2", y(t));
		svg.append("text").attr("class", "soft").attr("x", left - 7).attr("y", y(t) + 4).attr("text-anchor", "end").text(`${t * 100} %`);
	}
	svg.append("text").attr("class", "soft").attr("x", left - 7).attr("y", top + h + gap + hm - 2).attr("text-anchor", "end").text("MAC");
	const g = svg.selectAll("g.layer").data(shown).join("g").attr("class", "layer").attr("role", "button").attr("transform", (l, i) => `translate(${x(i)},0)`)
		.attr("aria-label", (l) => layerTip(l, c)).attr("data-tip", (l) => layerTip(l, c));
	g.append("rect").attr("width", band).attr("height", H - names).style("fill", "transparent");
	g.append("line").attr("x1", band / 2).attr("x2", band / 2).attr("y1", top).attr("y2", top + h).style("stroke", "var(--line)").style("stroke-dasharray", "1 3");
	g.append("rect").attr("x", band * 0.18).attr("width", band * 0.64).attr("y", (l) => top + h + gap + hm - ym(l.macs)).attr("height", (l) => ym(l.macs)).style("fill", "var(--line-strong)");
	const step = Math.min(11, (band - 5) / Math.max(1, devices.length));
	devices.forEach((d, i) => {
		const one = g.filter((l) => l.t[i].counted).append("g").attr("transform", `translate(${band / 2 + (i - (devices.length - 1) / 2) * step},0)`);
		one.append("line").attr("y1", (l) => y(wilson(l.t[i].killed[c], l.t[i].counted)[0])).attr("y2", (l) => y(wilson(l.t[i].killed[c], l.t[i].counted)[1]))
			.style("stroke", deviceColor(i)).style("stroke-width", 2).style("stroke-opacity", 0.45);
		one.append("path").attr("transform", (l) => `translate(0,${y(l.t[i].killed[c] / l.t[i].counted)})`).attr("d", mark(i)).style("fill", deviceColor(i));
	});
	const every = Math.ceil(15 / band);
	g.filter((l, i) => i % every === 0).append("text").attr("transform", `translate(${band / 2 + 4},${top + h + gap + hm + 9}) rotate(-52)`).attr("text-anchor", "end")
		.text((l) => (l.node.length > 18 ? l.node.slice(0, 8) + "\u2026" + l.node.slice(-9) : l.node));
	on(g, "click", (ev, l) => look({ layer: l.i }));
	on(g, "keydown", (ev, l) => (ev.key === "Enter" || ev.key === " ") && (ev.preventDefault(), look({ layer: l.i })));
	arrows(svg, "g.layer");
}

function layerTip(l, c) {
	return `${l.node} (${l.op}, ${l.shape})` + (l.macs ? `, ${short(l.macs / 1e6)} MMAC` : "") + devices.map((d, i) => {
		const t = l.t[i];
		return `\n${d.name}: ` + (t.counted ? `${t.killed[c]} of ${t.counted} killed, ${share(t.killed[c], t.counted)}` : `none of ${t.rows} judged`);
	}).join("");
}
