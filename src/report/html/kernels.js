/* kernels.js: where the original's time goes, by device */

const KERNELS = 15;
const seconds = (s) => (s === null ? "\u2013" : s >= 1 ? `${short(s)} s` : s >= 1e-3 ? `${short(s * 1e3)} ms` : `${short(s * 1e6)} \u00b5s`);

function times() {
	const s = byId("times"), all = meta.kernels.filter((k) => k[4] !== null);
	if (!all.length) return void put(s, "p", "note", meta.kernels.length ? "No device's launches have been timed yet." : "This store was written without times.");
	put(s, "p", "note", "Mean time of each launch of the original on one image, by the device's own clock, before the first mutant ran. The machine was not reserved: other devices' workers may have run beside it (contended), so read these as shares, not as a benchmark.");
	const total = devices.map((_, d) => d3.sum(all, (k) => (k[0] === d ? k[4] : 0)));
	const names = d3.groups(all, (k) => k[1]).map(([name, list]) => ({ name, layer: list[0][2], list, share: d3.max(list, (k) => k[4] / (total[k[0]] || 1)) }));
	const longest = d3.max(names, (k) => k.share) || 1;
	let shown = names.length > KERNELS ? KERNELS : names.length;
	const box = put(s, "div", "scroll");
	const more = put(s, "button", "more").attr("type", "button").text(`Show all ${names.length} kernels`).on("click", () => ((shown = names.length), draw()));
	function draw() {
		box.selectAll("*").remove();
		more.attr("hidden", shown < names.length ? null : "");
		const t = put(box, "table"), hr = put(t, "thead").append("tr"), timed = devices.map((d, i) => i).filter((i) => total[i]);
		put(hr, "th", null, "kernel").attr("scope", "col");
		for (const d of timed) put(hr, "th", null, `${devices[d].name}, ${seconds(total[d])}`).attr("scope", "colgroup").attr("colspan", 3).attr("class", "first");
		const list = d3.sort(names, (a, b) => d3.descending(a.share, b.share)).slice(0, shown), body = put(t, "tbody");
		for (const k of list) {
			const tr = body.append("tr");
			put(put(tr, "th").attr("scope", "row"), "span", "mono", k.name);
			for (const d of timed) {
				const one = k.list.find((r) => r[0] === d), part = one ? one[4] / total[d] : 0;
				bar(put(tr, "td", "first"), part / longest, [0, 0], timed.length > 3 ? 60 : 130, "var(--mark)");
				put(tr, "td", "n nowrap", one ? seconds(one[4]) : "\u2013");
				put(tr, "td", "n soft nowrap", one ? `${percent(part)} %` + (one[3] && one[4] ? `, ${short(one[3] / one[4] / 1e9)} GFLOP/s` : "") : "")
					.attr("data-tip", one ? `${short(one[3] / 1e6)} MFLOP at most (every branch taken) in ${seconds(one[4])}` : null);
			}
		}
	}
	draw();
}
