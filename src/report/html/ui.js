/* ui.js: the few things all parts are made of: elements, tips, colours, shares drawn as lines, arrow keys */

const byId = (id) => d3.select(document.getElementById(id));

/* An element with a class and a text; hostile texts stay texts. */
function put(parent, tag, cls, text) {
	const el = parent.append(tag);
	if (cls) el.attr("class", cls);
	if (text !== undefined && text !== null) el.text(text);
	return el;
}

/* f(event, datum), whichever version of D3 this is. */
function on(el, type, f) {
	return el.each(function (d) {
		this.addEventListener(type, (ev) => f(ev, d));
	});
}

const tipped = (el, text) => el.attr("data-tip", text);
const say = (text) => byId("said").text(text);

function swatch(parent, color) {
	const s = put(parent, "span", "sw").attr("aria-hidden", "true");
	s.style("background", color);
	return s;
}

function outcome(parent, o, brief) {
	const el = put(parent, "span", "o");
	swatch(el, o.color);
	if (brief) el.attr("role", "img").attr("aria-label", o.name);
	el.append("span").text(brief ? (o.kind ? o.name.slice(0, 3) : "\u2013") : o.name);
	return tipped(el, `${o.name}: ${o.help}`);
}

function picker(parent, label, options, change, value) {
	const l = put(parent, "label", "pick", label + " ");
	const s = l.append("select");
	s.selectAll("option").data(options).join("option").attr("value", (o) => o[0]).text((o) => o[1]);
	if (value !== undefined) s.property("value", value);
	s.on("change", () => change(s.property("value")));
	return s;
}

/* A share as a dot on a line from 0 to 1, with its interval. */
function dotline(parent, k, n, width = 110, color = "var(--text)") {
	const h = 14, x = (v) => 1 + v * (width - 2);
	const svg = parent.append("svg").attr("width", width).attr("height", h).attr("aria-hidden", "true");
	svg.append("line").attr("x1", x(0)).attr("x2", x(1)).attr("y1", h / 2).attr("y2", h / 2).style("stroke", "var(--line-strong)");
	for (const t of [0, 0.5, 1]) svg.append("line").attr("x1", x(t)).attr("x2", x(t)).attr("y1", 4).attr("y2", h - 4).style("stroke", "var(--line-strong)");
	if (n) {
		const [lo, hi] = wilson(k, n);
		svg.append("line").attr("x1", x(lo)).attr("x2", x(hi)).attr("y1", h / 2).attr("y2", h / 2).style("stroke", color).style("stroke-width", 2.5).style("stroke-opacity", 0.45);
		svg.append("circle").attr("cx", x(k / n)).attr("cy", h / 2).attr("r", 3.6).style("fill", color);
	}
	return svg;
}

/* A bar with the interval of its share as a whisker. */
function bar(parent, part, [lo, hi], width, color) {
	const h = 13, x = (v) => v * width;
	const svg = parent.append("svg").attr("width", width).attr("height", h).attr("aria-hidden", "true");
	svg.append("line").attr("x1", 0.5).attr("x2", 0.5).attr("y1", 0).attr("y2", h).style("stroke", "var(--line-strong)");
	svg.append("rect").attr("x", 1).attr("y", 2).attr("width", Math.max(part > 0 ? 1 : 0, x(part))).attr("height", h - 4).style("fill", color);
	if (hi > lo && part > 0) {
		svg.append("line").attr("x1", x(lo)).attr("x2", x(hi)).attr("y1", h / 2).attr("y2", h / 2).style("stroke", "var(--text)").style("stroke-opacity", 0.75);
		for (const v of [lo, hi]) svg.append("line").attr("x1", x(v)).attr("x2", x(v)).attr("y1", h / 2 - 2.5).attr("y2", h / 2 + 2.5).style("stroke", "var(--text)").style("stroke-opacity", 0.75);
	}
	return svg;
}

/* Fill of a heat cell for a share, and ink that can be read on it. */
function heat(el, x) {
	const step = x === null ? null : Math.round(10 * x);
	el.style("background", step === null ? null : `var(--h${step})`).style("color", step === null ? null : `var(--i${step})`);
}

/* One tab stop for many marks: arrow keys, Home and End go from one to the next. columns: how many stand beside each other. */
function arrows(root, selector, columns = 1) {
	const marks = () => Array.from(root.node().querySelectorAll(selector));
	marks().forEach((m, i) => m.setAttribute("tabindex", i ? -1 : 0));
	on(root, "keydown", (ev) => {
		const list = marks(), at = list.indexOf(ev.target);
		const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + columns, ArrowUp: at - columns, Home: 0, End: list.length - 1 }[ev.key];
		if (at < 0 || to === undefined || !list[to]) return;
		ev.preventDefault();
		list[at].setAttribute("tabindex", -1);
		list[to].setAttribute("tabindex", 0);
		list[to].focus();
	});
}

/* The table that says the same as a chart. */
function asTable(parent, title, head, body) {
	const d = put(parent, "details", "more");
	put(d, "summary", null, title);
	d.on("toggle", () => {
		if (!d.property("open") || !d.select("table").empty()) return;
		const t = put(put(d, "div", "scroll"), "table");
		put(t, "thead").append("tr").selectAll("th").data(head).join("th").attr("scope", "col").attr("class", (h, i) => (i ? "n" : null)).text((h) => h);
		const tr = put(t, "tbody").selectAll("tr").data(body()).join("tr");
		tr.selectAll("td").data((r) => r).join("td").attr("class", (c, i) => (i ? "n" : null)).text((c) => c);
	});
}

/* ---- tips: whatever has data-tip, under the pointer or focused ---- */

const tip = byId("tip");
let tipOwner = null;
function placeTip() {
	const at = tipOwner.getBoundingClientRect(), own = tip.node().getBoundingClientRect();
	const left = Math.max(6, Math.min(at.left, document.documentElement.clientWidth - own.width - 6));
	const below = at.bottom + own.height + 10 < innerHeight;
	tip.style("left", `${left}px`).style("top", `${below ? at.bottom + 5 : Math.max(4, at.top - own.height - 5)}px`);
}
function hideTip() {
	tipOwner = null;
	tip.attr("hidden", "");
}
function showTip(ev) {
	const el = ev.target.closest && ev.target.closest("[data-tip]");
	if (!el) return void hideTip();
	tipOwner = el;
	tip.attr("hidden", null).text(el.getAttribute("data-tip"));
	placeTip();
}
document.addEventListener("mouseover", showTip);
document.addEventListener("focusin", showTip);
document.addEventListener("focusout", hideTip);
document.addEventListener("scroll", () => tipOwner && (tipOwner === document.activeElement ? placeTip() : hideTip()), { passive: true, capture: true });
document.addEventListener("keydown", (ev) => ev.key === "Escape" && hideTip());

/* ---- light, dark, or as the system has it ---- */

function theme(name) {
	document.documentElement.toggleAttribute("data-theme", false);
	if (name !== "auto") document.documentElement.setAttribute("data-theme", name);
	d3.selectAll(".theme button").attr("aria-pressed", function () {
		return String(this.textContent === name);
	});
	try {
		localStorage.setItem("mutatenn-theme", name);
	} catch {
		/* a page from disk may have no storage */
	}
}
on(d3.selectAll(".theme button"), "click", (ev) => theme(ev.target.textContent));
theme((() => {
	try {
		return ["light", "dark"].find((t) => t === localStorage.getItem("mutatenn-theme")) || "auto";
	} catch {
		return "auto";
	}
})());
