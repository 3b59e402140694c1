#!/usr/bin/env bash
# Neither a dependency nor our own code may need a newer Rust than we promise. This script checks the dependencies, by what
# each package states. Clippy checks our own code (incompatible_msrv, denied in Cargo.toml).
set -euo pipefail
cd "$(dirname "$0")/.."

cargo metadata --format-version 1 --locked | python3 -c '
import json, sys
number = lambda version: tuple(map(int, (version + ".0").split(".")[:2]))
metadata = json.load(sys.stdin)
ours = next(p["rust_version"] for p in metadata["packages"] if p["name"] == "alloc-profiler")
shipped, queue = set(), [p["id"] for p in metadata["packages"] if p["name"] in ("alloc-profiler", "pprof-server")]
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
while queue:
    package = queue.pop()
    if package not in shipped:
        shipped.add(package)
        queue += [d["pkg"] for d in nodes[package]["deps"] if any(k["kind"] is None for k in d["dep_kinds"])]
newer = [(p["name"], p["rust_version"]) for p in metadata["packages"]
         if p["id"] in shipped and p["rust_version"] and number(p["rust_version"]) > number(ours)]
for name, version in newer:
    print(f"check-msrv: {name} needs Rust {version}, we promise {ours}", file=sys.stderr)
print(f"Rust {ours} is enough for {len(shipped)} packages by what they state")
sys.exit(bool(newer))
'
