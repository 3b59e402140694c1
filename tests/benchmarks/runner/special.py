"""Figures that are not a ratio of two loops: one deep sample, the read path, what a heap weighs."""

import statistics
import subprocess
import sys

from counted import instructions_per_operation
from measure import quartiles, run
from settings import ALLOC_FREE, CHURN, DEFAULT_INTERVAL, INNER, REAL

EVERY = {"ALLOC_PROFILER_INTERVAL": "1"}
# Operations of the shorter and the longer run of which instructions are counted.
COUNTED = [(ALLOC_FREE, 20_000, 520_000), (CHURN, 20_000, 320_000),
           *((workload, *((200, 1_200) if workload.name == "HTTP server" else (3, 13))) for workload in REAL)]
# Frames of the programs themselves below a workload, from `_start` to it, and within it down to the allocation.
OWN_FRAMES = 10
GIB = 2**30


def all_figures(programs, rounds, is_big):
    figures = {}
    for name, take in [("instructions", counted), ("deep", deep_sample), ("read", read_path),
                       ("weight", heap_weight)]:
        print(f"{name} ...", file=sys.stderr)
        figures[name] = take(programs, rounds)
    if is_big:
        print("10 GiB live ...", file=sys.stderr)
        figures["big"] = heap_weight(programs, 1, {"BENCH_LIVE_BYTES": str(10 * GIB)})
    return figures


def counted(programs, _rounds):
    """Instructions per operation by workload and setting; empty without valgrind."""
    table = {}
    for workload, few, many in COUNTED:
        for inner in INNER:
            bare, ours = programs.get(f"bare-{inner.lower()}"), programs.get(f"ours-{inner.lower()}")
            settings = [("bare", bare, {}), ("off", ours, {"ALLOC_PROFILER_INTERVAL": "0"}),
                        ("512 KiB", ours, {"ALLOC_PROFILER_INTERVAL": str(DEFAULT_INTERVAL)})]
            for label, program, environment in settings:
                if program:
                    count = instructions_per_operation(program, workload.arguments(), environment, few, many)
                    table.setdefault(f"{workload.label} over {inner}", {})[label] = count
    return table


def deep_sample(programs, rounds):
    """Nanoseconds that sampling adds to an allocation 40 frames deep and its free."""
    arguments = [*ALLOC_FREE.arguments(), "--depth", str(40 - OWN_FRAMES), "--millis", "200"]
    added = []
    for _ in range(rounds):
        bare, _ = run(programs["bare-system"], arguments)
        sampled, _ = run(programs["ours-system"], arguments, EVERY)
        added.append(sampled - bare)
    return quartiles(added)


def read_path(programs, rounds):
    """What `read-path` prints for the budget's case and for a million live samples."""
    cases = {}
    for live in (100_000, 1_000_000):
        runs = [run_read_path(programs, live, 10_000) for _ in range(max(1, rounds // 5))]
        cases[str(live)] = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    return cases


def run_read_path(programs, live, stacks):
    command = [programs["read-path"], "--live", str(live), "--stacks", str(stacks)]
    line = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {name: float(value) for name, value in (pair.split("=") for pair in line.split())}


def heap_weight(programs, rounds, environment=None):
    """Of a heap of small blocks by inner allocator: resident KiB bare, the quartiles of ours / bare, and how many
    frees look for a record that is not there, for each sampled block and as a share of all."""
    weights = {}
    for inner in INNER:
        bare, ours = programs.get(f"bare-{inner.lower()}"), programs.get(f"ours-{inner.lower()}")
        if not (bare and ours):
            continue
        pairs = [(live_blocks(bare, environment), live_blocks(ours, environment)) for _ in range(max(1, rounds // 3))]
        resident = [(bare["rss_kib"], ours["rss_kib"]) for bare, ours in pairs]
        last = pairs[-1][1]
        weights[inner] = {"bare_kib": statistics.median(bare for bare, _ in resident),
                          "ratio": quartiles([ours / bare for bare, ours in resident]),
                          "needless_per_sampled": last["looked_for_needlessly"] / max(1, last["sampled"]),
                          "needless_share": last["looked_for_needlessly"] / last["blocks"]}
    return weights


def live_blocks(program, environment):
    _, note = run(program, ["live blocks"], {"ALLOC_PROFILER_INTERVAL": str(DEFAULT_INTERVAL), **(environment or {})})
    return {name: int(value) for name, value in (pair.split("=") for pair in note.split())}
