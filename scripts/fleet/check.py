"""This runs a fleet of demo processes and Parca, and compares what Parca says with what the programs answered.

Usage: check.py PARCA VERSION DEMO WAITS FOLDER. `scripts/check-fleet.sh` builds the three and calls it.
"""

import pathlib
import random
import socket
import subprocess
import sys
import time

import kubernetes
from comparison import answered, compared, lost_functions
from jobs import INTERVAL_SECONDS, OF_WAITS, OTHERS, configuration
from metrics import check_metrics
from parca import Parca, block
from pods import Pod, asked

LEAK = "demo_leak::reader::Reader::start"
# How many scrapes of each kind must have been answered, before the restart of a pod and after it.
ROUNDS = 4
FLEET = {
    "your-program": [("v1", ["--fixed"]), ("v1", ["--fixed"]), ("v2", []), ("v2", [])],
    "defaults": [("v1", ["--fixed"])],
    "others": [("v2", [])],
    "limited": [("v2", [])],
    "waits": [("v1", [])],
}
# For each pod of the page's configuration what that asks for, Parca's five defaults, one for the job with a limit, and what that which waits is
# asked for.
TARGETS = 4 * block("object_storage:").count("enabled: true") + 5 + len(OTHERS) + 1 + 2 + len(OF_WAITS)
KINDS = {"memory", "goroutine", "process_cpu", "block", "mutex", *OTHERS, *OF_WAITS}
# The program that waits samples all waits and all tasks.
SAMPLED = {"PPROF_BLOCK_RATE": "1ms", "ALLOC_PROFILER_INTERVAL": "1"}


def failed(text):
    raise SystemExit(f"check-fleet: {text}")


def waited(what, condition, seconds=200):
    """Returns what `condition` returns, as soon as that is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.5)
    failed(f"{what}: not within {seconds} s")


def free_port():
    """Returns a port that nobody has. The system gives none of these to connections, so it is free a moment later too."""
    while True:
        port = random.randrange(20000, 30000)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def start_fleet(fleet, demo, waits, folder):
    """Puts the processes into `fleet` one by one, so that those that run can be stopped if another one does not start."""
    for name, pods in FLEET.items():
        for number, (version, arguments) in enumerate(pods):
            arguments = ["--connections-per-second", "20", *arguments]
            program, variables = (waits, SAMPLED) if name == "waits" else (demo, None)
            pod = Pod(program, folder, f"{name}-{number}", version, arguments, variables)
            fleet.setdefault(name, []).append(pod)


def not_green(parca):
    """Returns the targets whose last scrape was not good, with what Parca says of them."""
    targets = list(parca.targets())
    bad = [(labels, health, error) for labels, health, error in targets if health != "HEALTH_GOOD"]
    return bad or ([] if len(targets) == TARGETS else [f"{len(targets)} targets instead of {TARGETS}"])


def all_green(parca, what):
    deadline = time.monotonic() + 200
    while bad := not_green(parca):
        if time.monotonic() > deadline:
            failed(f"{what}: not all targets are green: {bad}")
        time.sleep(1)


def rounds(pods):
    """Returns how often the least asked profile of all was answered."""
    found = answered(pods)
    asked_for = {kind for _, kind in found}
    return min(map(len, found.values())) if asked_for >= KINDS else 0


def print_table(version, rows, names):
    """Prints the table, and returns whether all of it is well."""
    line = "{:13} | {:58} | {:>8} | {:>11} | {:11} | {}"
    print(line.format("engine", "profile type", "accepted", "total equal", "delta right", "names there"))
    well = True
    for query, row in sorted(rows.items()):
        count, named = row["profiles"], names.get(query, False)
        good = count and row["accepted"] == row["equal"] == count and named
        delta = ("yes" if row["equal"] == count else "no") if row["delta"] else "a snapshot"
        figures = f"{row['accepted']}/{count}", f"{row['equal']}/{count}"
        print(line.format(f"Parca {version}", query, *figures, delta, ("yes" if named else "no") + ("" if good else "  <--")))
        well = well and good
    return well


def names_by_type(parca, rows, pods, started):
    """Tells for each type whether all functions have names, and some are the programs' own or begin threads."""
    found = {}
    for query in rows:
        table, _ = parca.merged_top(query, started, time.time_ns())
        named = [row["name"] for row in table if row["name"]]
        found[query] = len(named) == len(table) and any(part in name for part in ("demo_leak::", "waits::", "thread") for name in named)
    return found


def check_leak(parca):
    """Runs the commands of the page, which ask Parca for the difference between the versions."""
    script = block("parca=", "sh")
    for old, new in (("http://127.0.0.1:7070", parca.url), ("-2 minutes", "-45 seconds")):
        assert old in script, f"the page's commands have no {old!r}"
        script = script.replace(old, new)
    ran = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, timeout=100)
    print("\nThe page's commands answer:\n" + ran.stdout)
    first = ran.stdout.splitlines()[0] if ran.stdout else ""
    if ran.returncode or LEAK not in first:
        failed(f"the leak is not the first row: {ran.stderr}")


def check_functions(parca, pod):
    """Parca's export of a profile has every function of ours, inlined ones too, with its file."""
    lost, count, ours, theirs = lost_functions(parca, pod)
    if lost:
        failed(f"of {count} functions Parca lost {lost}")
    print(f"functions: all {count} of a profile are there with their files; of {ours} comments {theirs}")


def check_limited(parca, pod, started):
    """Profiles with a limit keep their total, and Parca shows what is not told apart as [other]."""
    query = f'memory:inuse_space:bytes:space:bytes{{instance="127.0.0.1:{pod.recorder.port}"}}'
    table, _ = parca.merged_top(query, started, time.time_ns())
    if not any("[other]" in row["name"] for row in table):
        failed(f"Parca does not have [other]: {table}")
    print("[other]: there, in profiles with limit=2")


def check_engine_killed(parca, pods):
    """Programs do not notice when the engine is killed in the middle of its scrapes, and it goes on afterwards."""
    before = [pod.resident_bytes() for pod in pods]
    for _ in range(5):
        time.sleep(INTERVAL_SECONDS / 3)
        parca.kill()
        for pod in pods:
            asked(pod.port, "/debug/pprof/allocs")
        parca.start()
    all_green(parca, "after the engine was killed five times")
    after = [pod.resident_bytes() for pod in pods]
    growth = max(new - old for old, new in zip(before, after))
    print(f"the engine was killed 5 times: all targets are green again; a pod grew by {growth / 2**20:.1f} MiB at most")
    if growth > 16 * 2**20:
        failed("a pod that does not leak grew by more than 16 MiB")


def check_kubernetes(binary, pod, folder, name, source):
    """Parca takes the rules of `source`, which is in the file `name`, and finds the pod that has the annotations."""
    folder = pathlib.Path(folder, name)
    folder.mkdir()
    parca = Parca(binary, folder, free_port(), kubernetes.configuration(source(folder), pod.port))
    try:
        deadline = time.monotonic() + 100
        while wrong := kubernetes.wrong_targets(parca, pod.port):
            if time.monotonic() > deadline:
                failed(f"the rules of {name}: {wrong}")
            time.sleep(1)
        print(f"{name}: Parca takes the one pod of three that its rules choose, with its labels")
    finally:
        parca.kill()


def run(binary, version, demo, waits, folder):
    fleet, parca = {}, None
    try:
        start_fleet(fleet, demo, waits, folder)
        pods = [pod for group in fleet.values() for pod in group]
        started = time.time_ns()
        parca = Parca(binary, folder, free_port(), configuration(fleet, folder))
        waited("the first scrapes", lambda: rounds(pods) >= ROUNDS)
        all_green(parca, "at first")
        check_leak(parca)
        restarted = fleet["your-program"][3]
        restarted.restart()
        already = len(restarted.recorder.taken())
        waited("scrapes after a restart", lambda: len(restarted.recorder.taken()) >= already + 3 * ROUNDS)
        all_green(parca, "after a restart")
        rows = compared(parca, pods, started)
        well = print_table(version, rows, names_by_type(parca, rows, pods, started))
        check_functions(parca, fleet["your-program"][2])
        check_limited(parca, fleet["limited"][0], started)
        check_metrics(pods, folder)
        # Of this one nobody asks for CPU profiles, and of one program a client has one at a time.
        for name, source in (("kubernetes-parca.yaml", kubernetes.of_manifest), ("values-parca.yaml", kubernetes.of_values)):
            check_kubernetes(binary, fleet["limited"][0], folder, name, source)
        check_engine_killed(parca, fleet["your-program"][:2] + fleet["defaults"])
        return well
    finally:
        if parca:
            parca.kill()
        for group in fleet.values():
            for pod in group:
                pod.stop()


if __name__ == "__main__":
    sys.exit(0 if run(*sys.argv[1:]) else "check-fleet: not everything is as it should be; see the rows with an arrow")
