#!/usr/bin/env python3
"""No page links to a file or a heading that does not exist."""
import pathlib
import re
import sys

source = pathlib.Path(sys.argv[1])
LINK = re.compile(r"\]\(([^)\s]+)\)")


def headings(page):
    lines = (line for line in page.read_text().splitlines() if line.startswith("#"))
    return [re.sub(r"[^\w\- ]", "", line.lstrip("# ").strip().lower()).replace(" ", "-") for line in lines]


dead, links = [], 0
for page in [source / "README.md", source / "CHANGELOG.md", *sorted((source / "docs").glob("*.md")), *sorted(source.glob("demo/*.md"))]:
    for link in LINK.findall(page.read_text()):
        file, _, part = link.partition("#")
        if re.match(r"\w+:", file):
            continue
        links += 1
        target = page.parent / file if file else page
        if not target.exists() or (part and part not in headings(target)):
            dead.append(f"{page.relative_to(source)}: {link}")
if links < 50 or dead:
    sys.exit("\n".join([f"{links} links; these lead nowhere:", *dead]))
