/* images.js: which images tell mutants from the original */

const PICTURES = 12;

function thumbnail(parent, i) {
	const data = meta.thumbnails[i];
	if (!data) return put(parent, "span", "thumb").attr("role", "img").attr("aria-label", `${meta.images[i][0]}: no picture was kept`);
	return parent.append("img").attr("class", "thumb").attr("src", `data:image/jpeg;base64,${data}`).attr("alt", meta.images[i][0]);
}

function images() {
	const s = byId("images");
	if (!nimages) return void put(s, "p", "note", "The store holds no images.");
	const list = meta.images.map(([name, label, kills, only], i) => ({ i, name, label, kills: d3.max(kills) || 0, only: d3.max(only) || 0, by: kills, alone: only }));
	const idle = list.filter((im) => !im.only).length;
	put(s, "p", "note", `How many mutants an image alone would kill by label (the most on any device), and how many no other image kills. ${count(idle)} of ${many(nimages, "image")} ${idle === 1 ? "kills" : "kill"} nothing that others do not kill as well.`);
	const order = d3.sort(list, (a, b) => b.kills - a.kills || b.only - a.only || a.i - b.i);
	let shown = Math.min(PICTURES, order.length);
	const ul = put(s, "ul", "cards");
	const more = put(s, "button", "more").attr("type", "button").text(`Show all ${count(nimages)} images`).on("click", () => ((shown = Math.min(order.length, 500)), draw()));
	function draw() {
		more.attr("hidden", shown < order.length ? null : "");
		const li = ul.selectAll("li").data(order.slice(0, shown)).enter().append("li");
		li.each(function (im) {
			const el = d3.select(this);
			thumbnail(el, im.i);
			put(el, "span", "name", im.label >= 0 ? className(im.label) : im.name).attr("data-tip", im.name);
			const text = put(el, "span", null, many(im.kills, "kill"));
			tipped(text, devices.map((d, i) => `${d.name}: kills ${im.by[i] ?? "?"}, alone ${im.alone[i] ?? "?"}`).join("\n"));
			if (im.only) put(el, "span", "soft", `, ${im.only} alone`);
		});
	}
	draw();
	asTable(s, "All images as a table", ["image", "class", ...devices.flatMap((d) => [`${d.name}: kills`, "alone"])], () => order.slice(0, 2000).map((im) => [im.name, className(im.label), ...devices.flatMap((d, i) => [im.by[i], im.alone[i]])]));
}
