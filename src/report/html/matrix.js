/* matrix.js: device against device, for the original and for the mutants */

function matrix(parent, title, note, cell) {
	const box = put(parent, "div");
	put(box, "h3", null, title);
	const t = put(put(box, "div", "scroll"), "table", "matrix");
	const hr = put(t, "thead").append("tr");
	hr.append("td");
	for (const d of devices) put(hr, "th", "n", d.name).attr("scope", "col");
	const body = put(t, "tbody");
	devices.forEach((d, i) => {
		const tr = body.append("tr");
		put(tr, "th", null, d.name).attr("scope", "row");
		devices.forEach((e, j) => {
			const td = put(tr, "td", "cell"), p = meta.pairs.findIndex(([a, b]) => (a === i && b === j) || (a === j && b === i));
			if (p >= 0) cell(td, p, i < j);
			else put(td, "span", "soft", "\u00b7");
		});
	});
	put(box, "p", "note", note);
}

function pairs() {
	const s = byId("devices");
	if (devices.length < 2) return void put(s, "p", "note", "The campaign has one device; with two or more this shows where they differ.");
	const two = put(s, "div", "two");
	matrix(two, "The original", "Above the diagonal: images whose first label differs. Below: images whose scores have other bits.", (td, p, upper) => {
		const [, , n, labels, bits, far] = meta.pairs[p], k = upper ? labels : n - bits;
		td.text(n ? `${k}/${n}` : "\u2013");
		heat(td, n ? k / n : null);
		tipped(td.attr("tabindex", 0), `${shareTip(k, n, upper ? "images have another first label" : "images have other bits")}` + (far !== null ? `\nlargest difference of a score ${short(far)}` : ""));
	});
	matrix(two, "The mutants", "Above the diagonal: mutants whose labels differ where the originals agree, that only one of the two devices runs to an answer, or that give NaN on one of them only. Below: mutants with the same labels but another verdict (drifted on one, within noise on the other).", (td, p, upper) => {
		const v = byPair[p], n = d3.sum(v) - v[VERDICT["not-compared"]], k = live.filter((r) => (upper ? r.apart(p) : r.unlike(p))).length;
		heat(td, n ? k / n : null);
		if (!n) return void td.text("\u2013");
		const b = put(td, "button", "plain", `${k}/${n}`).attr("type", "button").on("click", () => look({ kind: upper ? "disagree" : "judged", pair: p }));
		tipped(b, shareTip(k, n, "mutants") + "\n" + meta.verdicts.map((name, i) => `${name} ${v[i]}`).join(", "));
	});
}
