"""Tables as text and as Markdown, and the pages' marked sections that they go into."""

import re

from settings import MICRO, REAL, REAL_2


def text(header, rows):
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in [header, *rows]]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def markdown(header, rows):
    cells = [[cell.replace("|", "\\|") for cell in row] for row in [header, ["---"] * len(header), *rows]]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


def comparison(settings, measured, workloads, failures):
    """One row for each setting: a bare allocator's nanoseconds, everyone else's ratio to its own."""
    rows = []
    for setting in settings:
        reason = failures.get(setting.name)
        if reason:
            rows.append([setting.name, reason, *[""] * (len(workloads) - 1)])
            continue
        row = [setting.name]
        for workload in workloads:
            if setting.base is None:
                row.append(nanos(measured.bare_nanos(setting.name, workload, settings)))
            else:
                row.append(ratio(setting, measured, workload))
        rows.append(row)
    return ["setting", *[workload.label for workload in workloads]], rows


def ratio(setting, measured, workload):
    if (setting.name, workload.label) in measured.failures:
        return "failed"
    found = measured.ratio(setting.name, workload)
    if found is None:
        return "-"
    low, median, high = found
    digits = 3 if median < 1.5 else 1
    spread = max(median - low, high - median)
    return f"x {median:.{digits}f} ±{spread:.{digits}f}"


def nanos(value):
    if value is None:
        return "-"
    for unit, size in (("ms", 1e6), ("µs", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g} ns"


def slowest_requests(settings, measured):
    """The server's requests per second and 99th percentile, by setting."""
    rows = []
    server = next(workload for workload in REAL if workload.name == "HTTP server")
    for setting in settings:
        notes = measured.notes.get((setting.name, server.label), [])
        times = sorted(float(note.removeprefix("p99_us=")) for note in notes)
        per_request = measured.nanos(setting.name, server) if setting.base else \
            measured.bare_nanos(setting.name, server, settings)
        if times and per_request:
            rows.append([setting.name, f"{1e9 / per_request:.0f}", f"{times[len(times) // 2]:.0f}"])
    return ["setting", "requests / s", "p99 µs"], rows


def comparisons(settings, measured, failures):
    """Title, header and rows of each table of settings."""
    yield "loops", *comparison(settings, measured, MICRO, failures)
    yield "programs", *comparison(settings, measured, REAL + REAL_2, failures)
    yield "server", *slowest_requests(settings, measured)


def paste(path, sections):
    """Replaces what stands between `<!-- name -->` and `<!-- /name -->` in the page by `sections[name]`."""
    with open(path) as file:
        page = file.read()
    for name, content in sections.items():
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not marked.search(page):
            raise SystemExit(f"{path} has no section <!-- {name} -->")
        page = marked.sub(lambda found: found[1] + content + "\n" + found[2], page)
    with open(path, "w") as file:
        file.write(page)
