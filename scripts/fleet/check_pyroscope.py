"""This runs demo processes that push their profiles to Pyroscope, and compares what Pyroscope says with what was pushed.

Usage: check_pyroscope.py PYROSCOPE VERSION DEMO FOLDER. `scripts/check-fleet.sh` builds the two and calls it.
"""

import pathlib
import signal
import subprocess
import sys
import time

from check import LEAK, failed, free_port, waited
from parca import block
from pods import Pod
from pprof import Profile, fields
from pyroscope import Pyroscope
from recorder import Recorder

EVERY_SECONDS = 5
TENANT = "anonymous"
# By the name of each pod: its version, and the arguments of the program.
PODS = {"v1-0": ("v1", ["--fixed"]), "v1-1": ("v1", ["--fixed"]), "v2-0": ("v2", []), "v2-1": ("v2", [])}
# How often each pod must have pushed each kind, before it is restarted and after that.
ROUNDS = 4
KINDS = {
    "memory": "memory:{0}:{1}:space:bytes",
    "process_cpu": "process_cpu:{0}:{1}:cpu:nanoseconds",
}
UNITS = {"alloc_objects": "count", "inuse_objects": "count", "alloc_space": "bytes", "inuse_space": "bytes"}
UNITS |= {"samples": "count", "cpu": "nanoseconds"}


class Pushed:
    """A request of `push/v1/push.proto`, with the status of its answer."""

    def __init__(self, answer):
        self.status, self.labels, self.profile = answer.status, {}, None
        ((_, series, _),) = fields(answer.sent)
        for number, value, _ in fields(series):
            parts = dict((n, v) for n, v, _ in fields(value))
            if number == 1:
                self.labels[parts[1].decode()] = parts.get(2, b"").decode()
            else:
                self.profile = Profile(parts[1])


def pushed(recorder):
    return [Pushed(answer) for answer in recorder.taken() if answer.path == "/push.v1.PusherService/Push"]


def taken(recorder):
    """Returns what the engine took, by pod and kind."""
    found = {}
    for one in pushed(recorder):
        if one.status == 200:
            found.setdefault((one.labels["pod"], one.labels["__name__"]), []).append(one.profile)
    return found


def rounds(recorder):
    """Returns how often the least pushed of all was taken."""
    found = taken(recorder)
    return min((len(found.get((pod, kind), [])) for pod in PODS for kind in KINDS))


def started_pods(demo, folder, recorder):
    pods = {}
    for name, (version, arguments) in PODS.items():
        labels = f"service_name=your-program,version={version},pod={name}"
        variables = {
            "PPROF_PUSH": f"http://127.0.0.1:{recorder.port}",
            "PPROF_PUSH_LABELS": labels,
            "PPROF_PUSH_EVERY": f"{EVERY_SECONDS}s",
            "PPROF_PUSH_TENANT": TENANT,
        }
        arguments = ["--connections-per-second", "20", *arguments]
        pods[name] = Pod(demo, folder, name, version, arguments, variables)
    return pods


def compared(engine, recorder, started):
    """Compares the totals of each sample type with what the engine took: how many profiles there are, and for how many pods the
    totals are equal."""
    found, rows, now = taken(recorder), {}, time.time_ns()
    for (pod, kind), profiles in found.items():
        for sample_type in profiles[0].totals:
            query = KINDS[kind].format(sample_type, UNITS[sample_type])
            truth = sum(profile.totals[sample_type] for profile in profiles)
            total, names = engine.merged(query, f'{{pod="{pod}"}}', started, now)
            row = rows.setdefault(query, {"profiles": 0, "pods": 0, "equal": 0, "named": 0})
            row["profiles"] += len(profiles)
            row["pods"] += 1
            row["equal"] += total == truth
            row["named"] += any("demo_leak::" in name or "thread" in name for name in names)
            if total != truth:
                print(f"{query} of {pod}: {total} instead of {truth}")
    return rows


def print_table(version, rows):
    """Prints the table, and returns whether all of it is well."""
    line = "{:17} | {:52} | {:>8} | {:>14} | {:>11}"
    print(line.format("engine", "profile type", "accepted", "total equal", "names there"))
    well = len(rows) == 6
    for query, row in sorted(rows.items()):
        pods = row["pods"]
        print(line.format(f"Pyroscope {version}", query, row["profiles"], f"{row['equal']}/{pods} pods", f"{row['named']}/{pods}"))
        well = well and row["equal"] == row["named"] == pods == len(PODS)
    return well


def check_leak(engine):
    """Runs the commands of the page, which ask Pyroscope for the difference between the versions."""
    script = block("pyroscope=", "sh")
    assert "http://127.0.0.1:4040" in script, "the page's commands have no address"
    script = script.replace("http://127.0.0.1:4040", engine.url)
    ran = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, timeout=100)
    print("\nThe page's commands answer:\n" + ran.stdout)
    first = ran.stdout.splitlines()[0] if ran.stdout else ""
    if ran.returncode or LEAK not in first:
        failed(f"the leak is not the first row: {ran.stderr}")


def check_engine_away(engine, pods, recorder):
    """The engine ends and comes again: what was allocated meanwhile is pushed when it is there."""
    before = {name: pod.resident_bytes() for name, pod in pods.items() if name.startswith("v1")}
    engine.end()
    refused = lambda: sum(one.status == 503 for one in pushed(recorder))
    waited("pushes that nobody takes", lambda: refused() >= 2 * len(PODS))
    engine.start()
    already = rounds(recorder)
    waited("pushes that are taken again", lambda: rounds(recorder) > already)
    growth = max(pods[name].resident_bytes() - bytes_before for name, bytes_before in before.items())
    print(f"the engine was away: {refused()} pushes were refused; a pod that does not leak grew by {growth / 2**20:.1f} MiB at most")
    if growth > 16 * 2**20:
        failed("a pod that does not leak grew by more than 16 MiB")


def check_end(pods, recorder):
    """A pod that ends pushes once more."""
    count = lambda: len(taken(recorder)[("v1-0", "memory")])
    before = count()
    pods["v1-0"].end()
    if count() == before:
        failed("a pod that ended has not pushed once more")


def run(binary, version, demo, folder):
    port = free_port()
    recorder, started = Recorder(port, away=503), time.time_ns()
    engine, pods = None, {}
    try:
        engine = Pyroscope(binary, pathlib.Path(folder, "engine"), port, free_port())
        pods = started_pods(demo, folder, recorder)
        waited("the first pushes", lambda: rounds(recorder) >= ROUNDS)
        check_leak(engine)
        already = rounds(recorder)
        pods["v2-1"].restart()
        waited("pushes after a restart", lambda: rounds(recorder) >= already + ROUNDS)
        check_engine_away(engine, pods, recorder)
        check_end(pods, recorder)
        for pod in pods.values():
            pod.stop()
        # A push that was under way has its answer.
        time.sleep(2)
        bad = {one.status for one in pushed(recorder)} - {200, 503}
        if bad:
            failed(f"profiles were rejected: {bad}")
        return print_table(version, compared(engine, recorder, started))
    finally:
        for pod in pods.values():
            pod.stop()
        if engine:
            engine.end(signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(0 if run(*sys.argv[1:]) else "check-fleet: Pyroscope does not say what was pushed")
