#!/usr/bin/env python3
"""Includes point strictly down, and only a room's own files see its internal headers (docs/HACKING.md has the table)."""
import pathlib
import re
import sys

LEVEL = {
    "base": 0, "value": 1, "config": 1, "store": 1, "graph": 2, "loop": 2, "device": 2,
    "image": 3, "fetch": 3, "onnx": 3, "ops": 3, "mutate": 3, "codegen": 3, "worker": 3, "report": 3, "select": 3,
    "compile": 4, "campaign": 5, "cli": 6, "lib": 6,
}
MAY = {  # what a room may include besides base
    "base": [], "value": [], "config": [], "store": [], "graph": ["value"], "loop": ["value"], "device": ["value"],
    "image": ["value"], "fetch": [], "onnx": ["value", "graph"], "ops": ["value", "graph", "loop"],
    "mutate": ["value", "graph", "loop", "ops"], "codegen": ["value", "loop"], "worker": ["value", "device"], "report": ["store", "value"], "select": ["store"],
    "compile": ["onnx", "ops", "mutate", "codegen", "graph", "loop", "value"],
    "campaign": ["value", "config", "store", "select", "graph", "loop", "image", "fetch", "onnx", "ops", "mutate", "codegen", "worker", "compile"],
    "cli": [r for r in LEVEL if r not in ("base", "cli", "lib", "device")],
    "lib": ["value", "config", "store", "image", "mutate", "worker", "compile", "campaign"],
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([a-z]+)/([^"]+)"')


def main():
    src = pathlib.Path(sys.argv[1])
    wrong, seen = [], {}
    for path in sorted(src.rglob("*.[ch]")):
        room = path.relative_to(src).parts[0]
        if room not in LEVEL:
            wrong.append(f"{path}: room '{room}' is not in the table")
            continue
        if path.name in seen:
            wrong.append(f"{path}: same file name as {seen[path.name]}")
        seen[path.name] = path
        for number, line in enumerate(path.read_text().splitlines(), 1):
            m = INCLUDE.match(line)
            if not m or m[1] == room or m[1] not in LEVEL:
                continue
            if m[1] != "base" and m[1] not in MAY[room]:
                wrong.append(f"{path}:{number}: {room} may not include {m[1]}")
            elif m[2].endswith("_internal.h"):
                wrong.append(f"{path}:{number}: internal header of {m[1]}")
            if m[1] == "device" and room == "worker" and path.name != "child.c" and not path.name.startswith("child_"):
                wrong.append(f"{path}:{number}: only worker/child*.c see device")
    print("\n".join(wrong) or f"{len(seen)} files, layering holds")
    sys.exit(bool(wrong))


main()
