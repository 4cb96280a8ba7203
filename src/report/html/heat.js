/* heat.js: operators against devices: how many of their mutants end in an outcome, or are killed by a criterion */

const LISTED = 40;

function measures() {
	const kills = meta.criteria.map((c, k) => [`k${k}`, `killed by ${c}`]);
	const ends = OUTCOMES.filter((o) => byDevice.some((t) => t.outcome[o.i])).map((o) => [`o${o.i}`, o.name]);
	return [...kills, ...ends];
}

/* Of a tally: part and whole under a measure. */
const measured = (t, m) => (m[0] === "k" ? [t.killed[Number(m.slice(1))], t.counted] : [t.outcome[Number(m.slice(1))], t.rows]);

function heatTable(parent, m, all) {
	const known = meta.operators.map(([name, category], i) => ({ i, name, category, rows: byOperator[i] }));
	const order = known.filter((o) => o.rows.some((t) => measured(t, m)[1]));
	const groups = d3.groups(order, (o) => o.category);
	const t = put(put(parent, "div", "scroll"), "table", "heat");
	const hr = put(t, "thead").append("tr");
	put(hr, "th", null, "operator").attr("scope", "col");
	put(hr, "th", "n", "mutants").attr("scope", "col");
	for (const d of devices) put(hr, "th", "n", d.name).attr("scope", "col");
	let listed = 0;
	for (const [category, ops] of groups) {
		if (!all && listed >= LISTED) break;
		const body = put(t, "tbody");
		put(put(body, "tr", "group"), "th", null, category || "other").attr("colspan", 2 + devices.length).attr("scope", "rowgroup");
		for (const op of ops) {
			const tr = body.append("tr");
			listed++;
			put(put(tr, "th").attr("scope", "row"), "span", "mono", op.name);
			put(tr, "td", "n soft", count(op.rows[0].rows));
			devices.forEach((d, i) => {
				const [k, n] = measured(op.rows[i], m), cell = put(tr, "td", "cell");
				if (!n) return void put(cell, "span", "v soft", "\u2013").attr("data-tip", "no mutant of this operator was judged on this device");
				const b = put(cell, "button", null, `${k}/${n}`).attr("type", "button").attr("aria-label", `${op.name} on ${d.name}: ${k} of ${n}`);
				heat(b, k / n);
				tipped(b, `${shareTip(k, n)}\n${percent(k / n)} %`).on("click", () => look({ operator: op.i, device: i, ...(m[0] === "o" ? { outcome: OUTCOMES[Number(m.slice(1))].name } : {}) }));
			});
		}
	}
	arrows(t, ".cell button", devices.length);
	const idle = known.filter((o) => !order.includes(o)).map((o) => o.name);
	if (idle.length) {
		const d = put(parent, "details");
		put(d, "summary", null, `${many(idle.length, "operator")} without a verdict: no site in this model, or nothing but the original\u2019s code`);
		put(d, "p", "mono note", idle.join("  "));
	}
	return order.length - listed;
}

function operators() {
	const s = byId("operators");
	put(s, "p", "note", "Rows are mutation operators, cells the share of their mutants on a device. A cell opens its mutants.");
	if (!rows.length) return;
	let m = "k0", all = false;
	picker(s, "Show", measures(), (v) => draw(v, all), m);
	const scale = put(s, "span", "scale soft");
	scale.append("span").text("0 %");
	for (let i = 0; i <= 10; i++) put(scale, "i").attr("aria-hidden", "true").style("background", `var(--h${i})`);
	scale.append("span").text("100 %");
	const box = put(s, "div");
	const more = put(s, "button", "more").attr("type", "button").on("click", () => draw(m, true));
	function draw(measure, every) {
		m = measure;
		all = every;
		box.selectAll("*").remove();
		const left = heatTable(box, m, all);
		more.attr("hidden", left > 0 ? null : "").text(`Show ${left} more operators`);
	}
	draw(m, all);
}
