/* main.js: everything in its place; a part that fails says so in its place and leaves the others alone */

for (const [id, part] of [["head", head], ["summary", summary], ["outcomes", outcomes], ["operators", operators], ["network", network], ["devices", pairs], ["images", images], ["times", times], ["mutants", mutants], ["about", about]]) {
	try {
		part();
	} catch (error) {
		put(byId(id), "p", "alert", `This part could not be drawn: ${error.message}`);
		console.error(error);
	}
}
fromAddress();
document.documentElement.setAttribute("data-ready", "");
