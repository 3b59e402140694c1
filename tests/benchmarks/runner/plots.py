"""How cost grows along each axis: one is varied by tens, the others stand still."""

import statistics
import sys

import svg
from measure import run
from settings import ALLOC_FREE, CHURN, JSON, Workload
from special import run_read_path

EVERY = 1


def measure(programs, is_quick):
    """The points of each axis: {axis: {series: [(x, y), ...]}}. Times are in nanoseconds."""
    repeats, millis = (1, 60) if is_quick else (7, 250)

    def nanos(program, interval, workload, *more):
        environment = {"ALLOC_PROFILER_INTERVAL": str(interval)}
        arguments = [*workload.arguments(), "--millis", str(millis), *more]
        return statistics.median(run(programs[program], arguments, environment)[0] for _ in range(repeats))

    def read(live, stacks):
        runs = [run_read_path(programs, live, stacks) for _ in range(1 if is_quick else 3)]
        return {name: statistics.median(run[name] for run in runs) for name in runs[0]}

    axes = {}
    for name, take in (("interval", by_interval), ("threads", by_threads), ("depth", by_depth)):
        print(f"axis: {name} ...", file=sys.stderr)
        axes[name] = take(nanos)
    for name, cases in (("live", [(10**power, 100) for power in range(3, 7)]),
                        ("stacks", [(100_000, 10**power) for power in range(1, 6)])):
        print(f"axis: {name} ...", file=sys.stderr)
        axes[name] = by_tables(read, cases, 0 if name == "live" else 1)
    return axes


def by_interval(nanos):
    intervals = [10**power for power in range(8)]
    series = {}
    for workload in (ALLOC_FREE, CHURN, JSON):
        bare = nanos("bare-system", 0, workload)
        series[workload.label] = [(each, nanos("ours-system", each, workload) / bare) for each in intervals]
    return series


def by_threads(nanos):
    """Operations per second of all threads together."""
    series = {}
    for label, program, interval in (("bare", "bare-system", 0), ("512 KiB", "ours-system", 524288),
                                     ("every", "ours-system", EVERY)):
        series[label] = [(count, 1e9 * count / nanos(program, interval, Workload(CHURN.name, count)))
                         for count in (1, 2, 4, 8)]
    return series


def by_depth(nanos):
    """Frames are those added to the program's own dozen."""
    depths = [1, 10, 100, 1000]
    return {label: [(depth, nanos(program, interval, ALLOC_FREE, "--depth", str(depth))) for depth in depths]
            for label, program, interval in (("sampled, each", "ours-system", EVERY),
                                             ("512 KiB", "ours-system", 524288), ("bare", "bare-system", 0))}


def by_tables(read, cases, position):
    """`position` says which of a case's two numbers is the axis."""
    series = {}
    for case in cases:
        figures = read(*case)
        for label, value in (("sampled alloc+free", figures["pair_ns"]), ("snapshot", figures["snapshot_ms"] * 1e6),
                             ("encode, warm", figures["encode_ms"] * 1e6)):
            series.setdefault(label, []).append((case[position], value))
    return series


CHARTS = {
    "interval": ("Cost by sampling interval, over System", "mean bytes between samples", "time / bare"),
    "threads": ("Churn by threads, over System", "threads", "operations / s, all threads"),
    "depth": ("Alloc+free of 64 B by stack depth", "frames below", "time for a pair"),
    "live": ("By live samples, on 100 stacks", "live samples", "time"),
    "stacks": ("By distinct stacks, with 100 000 live samples", "distinct stacks", "time"),
}


def write(axes, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, series in axes.items():
        y_format = {"interval": lambda ratio: f"x {ratio:g}", "threads": count}.get(name, duration)
        (folder / f"{name}.svg").write_text(svg.chart(*CHARTS[name], series, count, y_format))
        print(folder / f"{name}.svg")


def count(number):
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:g} {unit}"
    return f"{number:g}"


def duration(nanos):
    for size, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if nanos >= size:
            return f"{nanos / size:g} {unit}"
    return f"{nanos:g} ns"
