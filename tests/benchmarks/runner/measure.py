"""Runs programs, bare and profiled in turn, and keeps what they print."""

import os
import statistics
import subprocess
import sys
import tempfile

RUN_SECONDS_MAX = 120
# Real work at the default interval is judged to a hundredth: its runs are so many times as long, since beginnings differ
# by more (the heap grows, tables are read for the first time) and a program that runs for days has none.
LONG = 8


class Measurements:
    """The figures of every pair of runs: `pairs[setting, workload label]` is a list of (bare, profiled)."""

    def __init__(self):
        self.pairs = {}
        self.notes = {}
        self.failures = {}

    def ratio(self, setting, workload):
        """First quartile, median and third quartile of the ratios, pair by pair; None if never measured."""
        return quartiles([profiled / bare for bare, profiled in self.pairs.get((setting, workload.label), [])])

    def difference(self, setting, workload):
        return quartiles([profiled - bare for bare, profiled in self.pairs.get((setting, workload.label), [])])

    def nanos(self, setting, workload):
        pairs = self.pairs.get((setting, workload.label), [])
        return statistics.median(profiled for _, profiled in pairs) if pairs else None

    def bare_nanos(self, base, workload, settings):
        """Of a bare allocator: all its runs beside whatever setting."""
        runs = [bare for setting in settings if setting.base == base
                for bare, _ in self.pairs.get((setting.name, workload.label), [])]
        return statistics.median(runs) if runs else None

    def take_over(self, other):
        """What `other` has measured too counts instead."""
        self.failures = {key: error for key, error in self.failures.items() if key not in other.pairs}
        for name in ("pairs", "notes", "failures"):
            getattr(self, name).update(getattr(other, name))


def quartiles(values):
    if not values:
        return None
    if len(values) == 1:
        return (values[0],) * 3
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def run(program, arguments, environment=None, wrapper=()):
    """What one run prints: nanoseconds per operation, and the note after it or None."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [part.format(scratch=scratch) for part in wrapper] + [str(program), *arguments]
        done = subprocess.run(command, env={**os.environ, **(environment or {})}, capture_output=True, text=True,
                              cwd=scratch, timeout=RUN_SECONDS_MAX)
    for line in done.stdout.splitlines():
        if line.startswith(arguments[0] + "\t"):
            _, nanos, *note = line.split("\t")
            return float(nanos), note[0] if note else None
    raise RuntimeError(f"exit {done.returncode}: {(done.stderr or done.stdout).strip()[-200:]}")


def measure(settings, layouts, workloads, rounds, millis):
    """Pairs of runs, one right after the other, taking turns in who goes first, each round in another layout."""
    measured = Measurements()
    by_name = {setting.name: setting for setting in settings}

    def one(setting, workload, is_long):
        length = millis * (LONG if workload.is_real and is_long else 1)
        arguments = [*workload.arguments(), "--millis", str(length)]
        program = layouts[setting.program][number % len(layouts[setting.program])]
        nanos, note = run(program, arguments, setting.environment, setting.wrapper)
        if note:
            measured.notes.setdefault((setting.name, workload.label), []).append(note)
        return nanos

    for number in range(rounds):
        print(f"round {number + 1} of {rounds} ...", file=sys.stderr)
        for setting in settings:
            if setting.base is None or setting.base not in by_name or (number % 3 and not setting.is_key):
                continue
            base = by_name[setting.base]
            for workload in workloads:
                if (setting.name, workload.label) in measured.failures:
                    continue
                try:
                    if number % 2:
                        profiled, bare = (one(each, workload, setting.is_key) for each in (setting, base))
                    else:
                        bare, profiled = (one(each, workload, setting.is_key) for each in (base, setting))
                    measured.pairs.setdefault((setting.name, workload.label), []).append((bare, profiled))
                except (RuntimeError, subprocess.TimeoutExpired) as error:
                    print(f"{setting.name}, {workload.label}: {error}", file=sys.stderr)
                    measured.failures[setting.name, workload.label] = str(error)
    return measured
