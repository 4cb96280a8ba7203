/* outcomes.js: of each device the share of every outcome, as a bar with its interval */

function outcomes() {
	const s = byId("outcomes"), seen = OUTCOMES.filter((o) => byDevice.some((t) => t.outcome[o.i])).reverse();
	const note = put(s, "p", "note", "Every mutant is in one row of each device.");
	if (!seen.length) return void put(s, "p", null, "There are no outcomes yet.");
	const t = put(put(s, "div", "scroll"), "table");
	const hr = put(t, "thead").append("tr");
	put(hr, "th", null, "outcome").attr("scope", "col");
	for (const d of devices) put(hr, "th", null, d.name).attr("scope", "colgroup").attr("colspan", 2).attr("class", "first").attr("data-tip", d.describe || null);
	if (devices.length <= 4) put(hr, "th", "first no-paper", "meaning").attr("scope", "col");
	const width = devices.length > 4 ? 60 : devices.length > 2 ? 110 : 190;
	const order = [...seen.filter((o) => o.kind === COUNTED), ...seen.filter((o) => o.kind !== COUNTED)];
	const longest = d3.max(byDevice, (b) => d3.max(b.outcome, (n) => wilson(n, b.rows)[1] * (n > 0))) || 1;
	note.text(`Every mutant is in one row of each device. Bars are shares of the device\u2019s mutants (the full width is ${Math.round(100 * longest)} %), whiskers 95 % Wilson intervals. Outcomes below the heavier line are in no kill rate.`);
	const body = put(t, "tbody");
	for (const o of order) {
		const tr = body.append("tr");
		outcome(put(tr, "th").attr("scope", "row"), o);
		devices.forEach((d, i) => {
			const n = byDevice[i].outcome[o.i], all = byDevice[i].rows;
			bar(put(tr, "td", "first"), n / (all || 1) / longest, wilson(n, all).map((v) => v / longest), width, o.color);
			const cell = put(tr, "td", "n");
			if (!n) return void put(cell, "span", "zero", "0");
			tipped(put(cell, "button", "plain", count(n)).attr("type", "button").attr("aria-label", `${n} ${o.name} on ${d.name}: show them`), shareTip(n, all, "mutants") + `\n${percent(n / all)} %`)
				.on("click", () => look({ outcome: o.name, device: i }));
		});
		if (devices.length <= 4) put(tr, "td", "soft first no-paper", o.help);
		tr.classed("rule", o.kind !== COUNTED && order[order.indexOf(o) - 1]?.kind === COUNTED);
	}
}
