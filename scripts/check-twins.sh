#!/usr/bin/env bash
# Compares what our goroutineleak says with what Go's own says of the same leaks: the corpus of tasks (tests/tasks-corpus, leaks) and its
# twin in Go (tests/go/twins) have functions of the same names. It prints a table, and fails if Go or we accuse a task that can be woken,
# or if Go finds a kind that we do not find.
#   scripts/check-twins.sh
# Needs a Go with the profile: 1.27, or 1.26 with GOEXPERIMENT=goroutineleakprofile, which this script sets where that is needed.
set -euo pipefail
cd "$(dirname "$0")/.."

go=$(scripts/install-go.sh)/go
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
[[ $("$go" env GOVERSION) != go1.26* ]] || export GOEXPERIMENT=goroutineleakprofile
(cd tests/go/twins && CGO_ENABLED=0 "$go" build -o "$folder/twins" .)
"$folder/twins" > "$folder/go"
cargo build --quiet -p tasks-corpus --bin leaks
"${CARGO_TARGET_DIR:-target}/debug/leaks" 10 > "$folder/ours" || { cat "$folder/ours"; exit 1; }

"$go" env GOVERSION
python3 - "$folder" tests/go/twins/main.go <<'PY'
import re
import sys

folder, source = sys.argv[1:]
kinds = sorted(set(re.findall(r"^func ((?:leaked|alive)_\w+)", open(source).read(), re.M)))
of_go = dict(line.split() for line in open(f"{folder}/go"))
lines = open(f"{folder}/ours").read().splitlines()
ours = {}
for line in lines:
    if row := re.match(r"\| (\w+) \| (\d+) of (\d+) \|", line):
        ours[row[1]] = int(row[2])
    if row := re.match(r"false accusation: (\d+) tasks of (\w+)", line):
        ours[row[2]] = int(row[1])

same = 0
wrong = []
print("| kind | Go | ours |\n|---|---|---|")
for kind in kinds:
    say = ["leaked" if int(found.get(kind, 0)) else "not leaked" for found in (of_go, ours)]
    print(f"| {kind} | {say[0]} | {say[1]} |")
    same += say[0] == say[1]
    truth = "leaked" if kind.startswith("leaked") else "not leaked"
    if truth == "not leaked" and "leaked" in say or say == ["leaked", "not leaked"]:
        wrong.append(kind)
print(f"{same} of {len(kinds)} kinds have the same verdict")
if wrong:
    sys.exit("wrong: " + ", ".join(wrong))
PY
