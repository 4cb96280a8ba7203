#!/usr/bin/env python3
"""Every name that the JSON report writes is described in docs/report.schema.json (tests/e2e/exports.py validates whole reports)."""
import json
import pathlib
import re
import sys

source = pathlib.Path(sys.argv[1])
written = set(re.findall(r'(?:set|json_object_set_new)\(\w+, "(\w+)"|part\(t, "(\w+)"', (source / "src/report/report_json.c").read_text()))
names = {a or b for a, b in written}


def described(s):
    if isinstance(s, list):
        return set().union(*map(described, s)) if s else set()
    return set(s.get("properties", {})) | set().union(set(), *(described(v) for v in s.values())) if isinstance(s, dict) else set()


missing = names - described(json.loads((source / "docs/report.schema.json").read_text()))
if len(names) < 50 or missing:
    sys.exit(f"docs/report.schema.json does not describe {sorted(missing)} ({len(names)} names are written); describe them there")
