"""What the profiler costs, beside bare allocators and rivals: measures, judges by the budget, prints, pastes.

    scripts/bench.sh [--quick] [--rounds N] [--big] [--plots] [--markdown docs/performance.md]
    scripts/bench.sh [--only SETTING]... [--workload WORKLOAD] [--over results/….json]... [--markdown PAGE]
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import budget  # noqa: E402  (after the path is set)
import machine  # noqa: E402
import plots  # noqa: E402
import special  # noqa: E402
import tables  # noqa: E402
from build import PACKAGE, ROOT, build  # noqa: E402
from measure import Measurements, measure  # noqa: E402
from settings import ALLOC_FREE, CHURN, JSON, WORKLOADS, all_settings, ours  # noqa: E402

RESULTS = PACKAGE / "results"


def main():
    options = parse()
    host = machine.describe()
    print(machine.line(host))
    if options.plots:
        programs, _, _ = build(["bare-system", "ours-system", "read-path"])
        data = plots.measure(programs, options.quick)
        save("plots", {"machine": host, "axes": data})
        return plots.write(data, ROOT / "docs/performance")

    settings, missing = available(options.only)
    workloads = [workload for workload in WORKLOADS if options.workload in workload.label]
    programs, layouts, broken = build({setting.program for setting in settings} | {"bare-system", "ours-system", "read-path"})
    missing |= {setting.name: f"does not build: {broken[setting.program]}" for setting in settings
                if setting.program in broken}
    runnable = [setting for setting in settings if setting.name not in missing]
    measured = measure(runnable, layouts, workloads, options.rounds, options.millis)
    if options.over:
        settings, measured, figures, missing = load_below(options.over, measured, missing)
    else:
        figures = special.all_figures(programs, options.rounds, options.big)
    save("results", {"machine": host, "pairs": keyed(measured.pairs), "notes": keyed(measured.notes),
                     "failures": keyed(measured.failures), "missing": missing, "figures": figures})
    report(settings, measured, figures, missing, host, options.markdown)
    return worst_ratio(measured) > options.max_ratio


def parse():
    parser = argparse.ArgumentParser(prog="bench.sh", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three rounds of short runs: for function, not figures")
    parser.add_argument("--rounds", type=int, help="pairs of runs for each budgeted setting (default 21)")
    parser.add_argument("--millis", type=int, help="length of one run (default 250)")
    parser.add_argument("--only", metavar="TEXT", action="append",
                        help="only settings with TEXT in their name, and what they need; several times: any of them")
    parser.add_argument("--workload", metavar="TEXT", default="", help="only workloads with TEXT in their name")
    parser.add_argument("--over", metavar="RESULTS", type=Path, action="append", default=[],
                        help="raw figures of an earlier run, for what this one does not measure; no figures by other "
                             "means than pairs of runs are taken then")
    parser.add_argument("--big", action="store_true", help="10 GiB of live blocks too: needs 12 GiB of memory")
    parser.add_argument("--plots", action="store_true", help="measure along each axis instead; writes SVGs")
    parser.add_argument("--markdown", metavar="PAGE", help="paste the tables into this page")
    parser.add_argument("--max-ratio", type=float, default=1.05,
                        help="exit 1 if System's loops or JSON at the default interval cost more (default 1.05)")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 21)
    options.millis = options.millis or (60 if options.quick else 250)
    return options


def available(only):
    """The settings to measure, and by name why one cannot be."""
    settings = all_settings()
    if only:
        names = {setting.name for setting in settings if any(text in setting.name for text in only)}
        names |= {setting.base for setting in settings if setting.name in names}
        settings = [setting for setting in settings if setting.name in names]
    missing = {setting.name: setting.why_missing() for setting in settings if setting.why_missing()}
    for name, reason in missing.items():
        print(f"left out: {name}: {reason}", file=sys.stderr)
    return settings, missing


def report(settings, measured: Measurements, figures, missing, host, page):
    rows = list(budget.rows(measured, figures))
    found = list(tables.comparisons(settings, measured, missing))
    print("\nBudget\n" + tables.text(budget.HEADER, rows))
    for title, header, body in found:
        print(f"\n{title.capitalize()}\n" + tables.text(header, body))
    if page:
        when = time.strftime("%Y-%m-%d")
        sections = {"machine": f"{machine.line(host)}; commit {host['commit']}, {when}.",
                    "budget": tables.markdown(budget.HEADER, rows)}
        sections |= {title: tables.markdown(header, body) for title, header, body in found}
        tables.paste(page, sections)


def worst_ratio(measured):
    """Of the rows that may fail a build: System at the default interval."""
    ratios = [measured.ratio(ours("512 KiB", "System"), workload) for workload in (ALLOC_FREE, CHURN, JSON)]
    return max((ratio[1] for ratio in ratios if ratio), default=0.0)


def save(name, data):
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps(data, indent=1))
    print(f"raw figures: {path}", file=sys.stderr)


def load_below(paths, newest, missing):
    """What `save` wrote, later files before earlier ones, and `newest` before all of them."""
    whole, figures, earlier_missing = Measurements(), {}, {}
    for path in paths:
        data = json.loads(path.read_text())
        earlier = Measurements()
        for name in ("pairs", "notes", "failures"):
            setattr(earlier, name, {tuple(key.split(" / ")): value for key, value in data[name].items()})
        whole.take_over(earlier)
        figures |= data["figures"]
        earlier_missing |= data["missing"]
    whole.take_over(newest)
    was_there = {setting for setting, _ in newest.pairs}
    missing = {name: why for name, why in (earlier_missing | missing).items() if name not in was_there}
    return all_settings(), whole, figures, missing


def keyed(table):
    """JSON knows no pairs as keys."""
    return {" / ".join(key): value for key, value in table.items()}


sys.exit(main())
