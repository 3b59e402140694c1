"""This checks by the real engine how far off the merged figure of a fleet is that samples less: docs/continuous-profiling.md has the formula."""

import concurrent.futures
import math
import os
import pathlib
import subprocess
import time

from check import failed, free_port, waited
from parca import Parca
from pods import TOKEN, asked

PODS, PLACE, HELD_BYTES = 200, "holds::block", 1 << 20
# On average each pod has half a sample of the place at the first interval, and eight at the second one.
INTERVALS = (2 << 20, 128 << 10)
# So many standard errors may the figure be off. By chance it is more once in 15 000 times.
ERRORS = 4


def profile_of(program, interval, log):
    """Runs the program, and returns its profile."""
    environment = dict(os.environ, PPROF_ADDR="127.0.0.1:0", PPROF_TOKEN=TOKEN, ALLOC_PROFILER_INTERVAL=str(interval))
    with open(log, "w") as file:
        process = subprocess.Popen([program], stdout=file, stderr=file, env=environment)
    try:
        waited("all blocks", lambda: "are held" in log.read_text())
        port = log.read_text().split("http://127.0.0.1:")[1].split("/")[0]
        return asked(int(port), "/debug/pprof/allocs")
    finally:
        process.kill()
        process.wait()


def measured(parca, started):
    """Returns what Parca says that the place has in use in all pods."""
    table, _ = parca.merged_top("memory:inuse_space:bytes:space:bytes", started, time.time_ns())
    return sum(row["flat"] for row in table if row["name"] == PLACE)


def check_interval(binary, program, folder, interval, fleet_of, configuration):
    """Replays one profile of each of the pods, and compares the figure of the place with what they hold."""
    folder = pathlib.Path(folder, f"sampling-{interval}")
    folder.mkdir()
    with concurrent.futures.ThreadPoolExecutor(4) as several:
        logs = (folder / f"{number}.log" for number in range(PODS))
        bodies = list(several.map(lambda log: profile_of(program, interval, log), logs))
    fleet, started = fleet_of(bodies), time.time_ns()
    parca = Parca(binary, folder, free_port(), configuration(fleet, folder))
    try:
        waited("all profiles", lambda: len(fleet.served) == PODS)
        # What was served last is taken in.
        time.sleep(3)
        found = measured(parca, started)
    finally:
        parca.kill()
    off, expected = found / (PODS * HELD_BYTES) - 1, math.sqrt(interval / (PODS * HELD_BYTES))
    print(f"{PODS} pods that sample at {interval >> 10} KiB: the place is {off * 100:+.1f} % off; the formula's error is {expected * 100:.1f} %")
    if abs(off) > ERRORS * expected:
        failed("the merged figure is further off than sampling explains")


def check_sampling(binary, program, folder, fleet_of, configuration):
    for interval in INTERVALS:
        check_interval(binary, program, folder, interval, fleet_of, configuration)
