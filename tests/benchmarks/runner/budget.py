"""The budget: what | goal | measured | verdict."""

from settings import (ALLOC_FREE, ALLOC_FREE_2, CHURN, CHURN_2, INNER, JSON, REAL, REAL_2, WORKLOADS, ours)

JEMALLOCS = "jemalloc's profiler, 512 KiB"
HEADER = ("what", "goal", "measured", "verdict")


def rows(measured, figures):
    """Every row as four strings."""
    return [*overhead(measured), *below_jemalloc(measured), *instructions(figures), *scaling(measured),
            *every_allocation(measured, figures), *reading(figures), *memory(figures)]


def verdict(quartiles, goal):
    """Met by the median; within noise if a quarter of the runs met it."""
    if quartiles is None:
        return "not measured"
    low, median, _ = quartiles
    return "met" if median <= goal else "within noise" if low <= goal else "missed"


def spread(quartiles, form="{:.3f}"):
    if quartiles is None:
        return "-"
    low, median, high = (form.format(value) for value in quartiles)
    return f"{median} ({low} to {high})"


def overhead(measured):
    for inner in INNER:
        setting = ours("512 KiB", inner)
        added = measured.difference(setting, ALLOC_FREE)
        yield f"default interval over {inner}: {ALLOC_FREE.label}", "<= +0.35 ns", spread(added, "{:+.2f} ns"), \
            verdict(added, 0.35)
        for workload, goal in [(CHURN, 1.04)] + [(workload, 1.01) for workload in REAL + REAL_2]:
            ratio = measured.ratio(setting, workload)
            yield f"default interval over {inner}: {workload.label}", f"<= {goal} x", spread(ratio), \
                verdict(ratio, goal)


def below_jemalloc(measured):
    """No workload on which ours, over any allocator, costs more than jemalloc's own profiler costs jemalloc."""
    above, count = [], 0
    for workload in WORKLOADS:
        theirs = measured.ratio(JEMALLOCS, workload)
        for inner in INNER:
            ratio = measured.ratio(ours("512 KiB", inner), workload)
            if ratio and theirs:
                count += 1
                # Beyond noise: our lower quartile above their upper one.
                if ratio[1] > theirs[1] and ratio[0] > theirs[2]:
                    above.append(f"{workload.label} over {inner} {ratio[1]:.3f} against {theirs[1]:.3f}")
    shown = f"{count - len(above)} of {count} workloads below or within noise" + "".join(f"; {case}" for case in above)
    yield "default interval: ratio below jemalloc's own profiler's", "all", shown, \
        "not measured" if not count else "met" if not above else "missed"


def instructions(figures):
    for workload in (ALLOC_FREE, CHURN):
        for inner in INNER:
            counts = figures["instructions"].get(f"{workload.label} over {inner}", {})
            if None in counts.values() or len(counts) < 3:
                yield f"instructions added over {inner}: {workload.label}", "<= 10", "-", "not measured"
                continue
            added = {label: counts[label] - counts["bare"] for label in ("off", "512 KiB")}
            shown = f"{added['off']:+.1f} off, {added['512 KiB']:+.1f} at 512 KiB (bare {counts['bare']:.1f})"
            # A pair that is not sampled is what "off" runs.
            yield f"instructions added over {inner}: {workload.label}", "<= 10", shown, \
                verdict((added["off"],) * 3, 10)
    for workload in REAL:
        for inner in INNER:
            counts = figures["instructions"].get(f"{workload.label} over {inner}", {})
            what = f"default interval over {inner}: {workload.label}, instructions"
            if None in counts.values() or len(counts) < 3:
                yield what, "<= 1.01 x", "-", "not measured"
                continue
            off, ours = (counts[label] / counts["bare"] for label in ("off", "512 KiB"))
            shown = f"{ours:.4f} ({off:.4f} off; bare {counts['bare'] / 1e6:.2f} M)"
            yield what, "<= 1.01 x", shown, verdict((ours,) * 3, 1.01)


def scaling(measured):
    """How the ratio to bare changes from one thread to two."""
    for inner in INNER:
        setting = ours("512 KiB", inner)
        for one, two in ((ALLOC_FREE, ALLOC_FREE_2), (CHURN, CHURN_2)):
            alone, together = measured.ratio(setting, one), measured.ratio(setting, two)
            change = together and alone and tuple(quartile / alone[1] for quartile in together)
            yield f"two threads over {inner}: {one.label}, ratio against one thread's", "<= 1.02 x", \
                spread(change), verdict(change, 1.02)


def every_allocation(measured, figures):
    deep = figures["deep"]
    yield "one sampled allocation 40 frames deep, and its free", "<= 1000 ns", spread(deep, "{:.0f} ns"), \
        verdict(deep, 1000)
    setting = ours("every", "System")
    ratio = measured.ratio(setting, JSON)
    yield "every allocation: JSON", "<= 4 x bare", spread(ratio, "{:.2f}"), verdict(ratio, 4)
    for rival, goal in (("dhat, every", 10), ("heaptrack, every", 1)):
        theirs, mine = measured.nanos(rival, JSON), measured.nanos(setting, JSON)
        if theirs and mine:
            yield f"every allocation: JSON, faster than {rival.split(',')[0]}", f">= {goal} x", \
                f"{theirs / mine:.1f}", "met" if theirs / mine >= goal else "missed"
        else:
            yield f"every allocation: JSON, faster than {rival.split(',')[0]}", f">= {goal} x", "-", "not measured"


def reading(figures):
    for live, case in figures["read"].items():
        count = f"{int(live):,}".replace(",", " ")
        millis = case["snapshot_ms"] + case["encode_ms"]
        shown = f"{millis:.1f} ms ({case['snapshot_ms']:.1f} + {case['encode_ms']:.1f}; cold {case['cold_ms']:.1f})"
        has_goal = live == "100000"
        yield f"snapshot + encode, {count} live samples on {case['stacks']:.0f} stacks, warm", \
            "<= 50 ms" if has_goal else "-", shown, verdict((millis,) * 3, 50) if has_goal else "-"
        pause = case["pause_us"]
        yield f"longest pause of an allocating thread meanwhile, {count} live", "< 1000 us", \
            f"{pause:.0f} us ({case['pause_without_us']:.0f} us without snapshots)", verdict((pause,) * 3, 1000)
        held = case["history_bytes"] / (1 << 20)
        yield f"recorder after 2000 minutes, {count} live on {case['stacks']:.0f} stacks: memory", "<= 8 MiB", \
            f"{held:.2f} MiB, {case['history_records']:.0f} snapshots", verdict((held,) * 3, 8)
        yield f"recorder, one record, {count} live: snapshot + keeping it", "-", \
            f"{case['snapshot_ms'] + case['record_ms']:.1f} ms ({case['snapshot_ms']:.1f} + {case['record_ms']:.1f})", "-"
        share = case["recorder_percent"]
        yield f"recorder, records and points of two minutes, {count} live: share of a core", "<= 0.1 %", \
            f"{share:.3f} %", verdict((share,) * 3, 0.1)
        yield f"totals of the whole program, {count} live", "-", f"{case['totals_us']:.1f} us", "-"
        pause = case["pause_recorder_us"]
        yield f"longest pause of an allocating thread while it records without rest, {count} live", "< 1000 us", \
            f"{pause:.0f} us", verdict((pause,) * 3, 1000)
        yield f"which stacks leak, {count} live: snapshot with ages + report", "-", \
            f"{case['ages_ms']:.1f} + {case['suspects_ms']:.1f} ms", "-"
        each = case["live_bytes_each"]
        yield f"bytes for one live sample, {count} live", "<= 96", f"{each:.1f}", verdict((each,) * 3, 96)


def memory(figures):
    for key, what in (("weight", "8 M blocks of 16-255 B"), ("big", "10 GiB in blocks of 64 B to 64 KiB")):
        for inner, weight in figures.get(key, {}).items():
            ratio = weight["ratio"]
            yield f"resident memory over {inner}: {what}", "<= 1.003 x", \
                f"{spread(ratio, '{:.4f}')} of {weight['bare_kib'] / 1024:.0f} MiB", verdict(ratio, 1.003)
            yield f"frees that look for a record in vain, over {inner}: {what}", "-", \
                f"{weight['needless_per_sampled']:.1f} for each sampled free, {weight['needless_share']:.3%} of all", "-"
