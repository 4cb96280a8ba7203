/* about.js: where the numbers come from */

function facts(parent, list) {
	const dl = put(parent, "dl", "facts");
	for (const [name, value, mono] of list) {
		if (value === null || value === undefined || value === "") continue;
		put(dl, "dt", null, name);
		put(put(dl, "dd"), "span", mono ? "mono" : null, value);
	}
}

function about() {
	const s = byId("about");
	facts(s, [
		["Model", meta.file, true], ["Hash of the model", meta.hash, true], ["Store", meta.store, true], ["Begun", meta.created], ["Tool", meta.tool && `mutatenn ${meta.tool}`],
		["Last run", meta.seconds && `${count(Math.round(Number(meta.seconds)))} s`], ["Launches", `${count(meta.run)} run, ${count(meta.saved)} saved`],
	]);
	put(s, "h3", null, "Devices");
	for (const d of devices) facts(s, [["Device", d.name], ["Backend", d.backend], ["What it is", d.describe], ["Identity", d.identity, true], ["Noise", d.noise || "the original was not run"], ["Cannot be used", d.error]]);
	put(s, "h3", null, "Outcomes");
	const t = put(put(s, "div", "scroll"), "table"), hr = put(t, "thead").append("tr");
	for (const h of ["outcome", "counted", "killed by", "meaning"]) put(hr, "th", null, h).attr("scope", "col");
	const body = put(t, "tbody");
	for (const o of OUTCOMES) {
		const tr = body.append("tr");
		outcome(put(tr, "th").attr("scope", "row"), o).attr("data-tip", null);
		put(tr, "td", null, o.kind === COUNTED ? "yes" : o.kind === APART ? "apart" : "no");
		put(tr, "td", null, meta.criteria.filter((_, c) => o.kills & (1 << c)).join(", "));
		put(tr, "td", null, o.help);
	}
	put(s, "p", "note").style("margin-top", ".8rem").text("Counted outcomes make the rates: killed of counted. Intervals are 95 % Wilson intervals: they say how far a rate may lie from that of all mutants of the kind, had these been drawn at random. They say nothing about faults of other kinds.");
	if (meta.configuration) {
		const d = put(s, "details");
		put(d, "summary", null, "The campaign's configuration");
		put(d, "pre", "text", meta.configuration).attr("tabindex", 0);
	}
}
