/* kernels.js: where the original's time goes, by device */

const KERNELS = 15;
const seconds = (s) => (s === null ? "\u2013" : s >= 1 ? `${short(s)} s` : s >= 1e-3 ? `${short(s * 1e3)} ms` : `${short(s * 1e6)} \u00b5s`);

function times() {
	const s = byId("times"), all = meta.kernels.filter((k) => k[4] !== null);
	if (!all.length) return void put(s, "p", "note", meta.kernels.length ? "No device's launches have been timed yet." : "This store was written without times.");
	put(s, "p", "note", "Time of each launch of the original on one image, by the device\u2019s own clock, before the first mutant ran: the least of three means of three runs. The machine was not reserved (contended): read these as shares, not as a benchmark.");
	const total = devices.map((_, d) => d3.sum(all, (k) => (k[0] === d ? k[4] : 0)));
	const names = d3.groups(all, (k) => k[1]).map(([name, list]) => ({ name, layer: list[0][2], list, share: d3.max(list, (k) => k[4] / (total[k[0]] || 1)) }));
	const longest = d3.max(names, (k) => k.share) || 1;
	let shown = names.length > KERNELS ? KERNELS : names.length;
	const box = put(s, "div", "scroll");
	const more = put(s, "button", "more").attr("type", "button").text(`Show all ${names.length} kernels`).on("click", () => ((shown = names.length), draw()));
	function draw() {
		box.selectAll("*").remove();
		more.attr("hidden", shown < names.length ? null : "");
		const t = put(box, "table"), hr = put(t, "thead").append("tr"), timed = devices.map((d, i) => i).filter((i) => total[i]), wide = timed.length <= 2;
		put(hr, "th", null, "kernel").attr("scope", "col");
		for (const d of timed) put(hr, "th", null, `${devices[d].name}, ${seconds(total[d])}`).attr("scope", "colgroup").attr("colspan", wide ? 3 : 2).attr("class", "first");
		const list = d3.sort(names, (a, b) => d3.descending(a.share, b.share)).slice(0, shown), body = put(t, "tbody");
		for (const k of list) {
			const tr = body.append("tr");
			put(put(tr, "th").attr("scope", "row"), "span", "mono nowrap", k.name.length > 36 ? k.name.slice(0, 17) + "\u2026" + k.name.slice(-18) : k.name).attr("data-tip", k.name);
			for (const d of timed) {
				const one = k.list.find((r) => r[0] === d), part = one ? one[4] / total[d] : 0;
				bar(put(tr, "td", "first"), part / longest, [0, 0], timed.length > 4 ? 60 : 130, "var(--mark)");
				const cell = put(tr, "td", "n nowrap", one ? seconds(one[4]) : "\u2013");
				const rate = one && one[3] && one[4] ? `${short(one[3] / one[4] / 1e9)} GFLOP/s` : "";
				cell.attr("data-tip", one ? `${percent(part)} % of the device\u2019s time; ${short(one[3] / 1e6)} MFLOP at most (every branch taken)` + (rate && `\n${rate}`) : null);
				if (wide) put(tr, "td", "n soft nowrap", one ? `${percent(part)} %` + (rate && `, ${rate}`) : "");
			}
		}
	}
	draw();
}
