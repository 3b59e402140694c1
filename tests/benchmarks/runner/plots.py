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
    repeats, millis = (1, 60) if is_quick else (15, 250)

    def nanos(cases):
        """The median time of each case: a program, its interval, the workload, and more arguments. They are run in
        turn, so that what else the machine does falls on all of them."""
        def once(program, interval, workload, *more):
            environment = {"ALLOC_PROFILER_INTERVAL": str(interval)}
            return run(programs[program], [*workload.arguments(), "--millis", str(millis), *more], environment)[0]

        rounds = [[once(*case) for case in cases] for _ in range(repeats)]
        return [statistics.median(times) for times in zip(*rounds)]

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
        cases = [("bare-system", 0, workload), *(("ours-system", each, workload) for each in intervals)]
        bare, *ours = nanos(cases)
        series[workload.label] = [(each, time / bare) for each, time in zip(intervals, ours)]
    return series


BARE, DEFAULT, EACH = ("bare-system", 0), ("ours-system", 524288), ("ours-system", EVERY)


def by_threads(nanos):
    """Operations per second of all threads together."""
    counts = [1, 2, 4, 8]
    settings = {"bare": BARE, "512 KiB": DEFAULT, "every": EACH}
    series = {label: [] for label in settings}
    for count in counts:
        times = nanos([(*setting, Workload(CHURN.name, count)) for setting in settings.values()])
        for label, time in zip(settings, times):
            series[label].append((count, 1e9 * count / time))
    return series


def by_depth(nanos):
    """Frames are those added to the program's own dozen."""
    settings = {"sampled, each": EACH, "512 KiB": DEFAULT, "bare": BARE}
    series = {label: [] for label in settings}
    for depth in (1, 10, 100, 1000):
        times = nanos([(*setting, ALLOC_FREE, "--depth", str(depth)) for setting in settings.values()])
        for label, time in zip(settings, times):
            series[label].append((depth, time))
    return series


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
