#!/usr/bin/env python3
"""Does the first minute of a leak suffice to name it, and do three minutes suffice to tell it from a cache and from a queue?

The demo runs, and a web service whose memory grows in three ways at once (`pprof-server/tests/programs/shop.rs`), each 20 times at
the recorder's default and 20 times with `PPROF_RECORD=1s`. `/debug/pprof/leaks` is asked every two seconds after the load began:

- The line that leaks is the first suspect within 60 s.
- The cache is never called a leak.
- After 3 minutes the service's three lines are one row each: a leak, a backlog, and one that grew once and stopped.

Arguments: the number of runs (20), and how many programs run at once (4), which must not keep each other waiting. With 4 at once it
takes 40 minutes.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
# The leak must be named in so many seconds, and all verdicts be right in so many.
NAMED_SECONDS = 60
RIGHT_SECONDS = 180
PAUSE_SECONDS = 2
EXPECTED = {"Session::new": "leak", "encode_event": "backlog", "render_page": "burst"}


class Program:
    """A program that runs until the `with` block ends, with its suspects."""

    def __init__(self, command, begins, record):
        environment = {**os.environ, "PPROF_ADDR": "127.0.0.1:0"}
        environment |= {"PPROF_RECORD": record} if record else {}
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.begins = begins

    def __enter__(self):
        address = None
        for line in self.process.stdout:
            if found := re.search(r"http://([0-9.:]+)/debug/pprof/", line):
                address = found[1]
            if address and re.search(self.begins, line):
                self.url, self.begun = f"http://{address}/debug/pprof/leaks?format=json", time.monotonic()
                return self
        raise RuntimeError(f"{self.process.args}: it ended before its load began")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def suspects(self):
        """The seconds since the load began, and function and kind of each suspect, the first one first."""
        with urllib.request.urlopen(self.url, timeout=30) as answer:
            leaks = json.load(answer)
        # It is late rather than early: how long the answer took counts.
        return time.monotonic() - self.begun, [
            (suspect["stack"][suspect["named_frame"]]["function"], suspect["kind"]) for suspect in leaks["suspects"]
        ]


def run_demo(record):
    """Returns how long it took until the leak came first, or None, and what was wrong."""
    command = [TARGET / "demo-leak", "--listen", "127.0.0.1:0"]
    with Program(command, r"\| load +\|", record) as program:
        while True:
            time.sleep(PAUSE_SECONDS)
            seconds, suspects = program.suspects()
            if seconds > NAMED_SECONDS:
                return None, ["not named"]
            if suspects and suspects[0][0].endswith("reader::Reader::start"):
                return seconds, []


def run_shop(record):
    """As `run_demo`, but goes on for three minutes."""
    named, wrong = None, []
    with Program([TARGET / "examples/shop", "20"], r"^load begins", record) as program:
        while True:
            time.sleep(PAUSE_SECONDS)
            seconds, suspects = program.suspects()
            if named is None and suspects and suspects[0][0].endswith("Session::new"):
                named = seconds
            if any(name.endswith("render_page") and kind == "leak" for name, kind in suspects):
                wrong.append(f"the cache is a leak after {seconds:.0f} s")
            if seconds > RIGHT_SECONDS:
                break
    if named is None or named > NAMED_SECONDS:
        wrong.append("not named" if named is None else f"named after {named:.0f} s")
    for line, kind in EXPECTED.items():
        kinds = [kind for name, kind in suspects if name.endswith(line)]
        if kinds != [kind]:
            wrong.append(f"{line} is {kinds}")
    others = [row for row in suspects if not row[0].endswith(tuple(EXPECTED)) and row[1] != "burst"]
    return named, wrong + [f"{name} is {kind}" for name, kind in others]


def outcome(run, record):
    """What a run found. A program that does not answer is wrong, and the other runs go on."""
    try:
        return run(record)
    except (OSError, RuntimeError) as error:
        return None, [f"no answer: {error}"]


def main():
    runs, at_once = (int(argument) for argument in (sys.argv[1:] + ["20", "4"][len(sys.argv) - 1 :])[:2])
    build = ["cargo", "build", "--quiet", "-p", "demo-leak", "-p", "pprof-server", "--example", "shop", "--bin", "demo-leak"]
    subprocess.run(["nice", *build], cwd=ROOT, check=True)
    cases = [(name, run, record) for name, run in (("demo", run_demo), ("shop", run_shop)) for record in (None, "1s")]
    failed = False
    with ThreadPoolExecutor(at_once) as pool:
        results = [[pool.submit(outcome, run, record) for _ in range(runs)] for _, run, record in cases]
        for (name, _, record), futures in zip(cases, results):
            ended = [future.result() for future in futures]
            named = sorted(seconds for seconds, _ in ended if seconds is not None)
            wrong = [text for _, texts in ended for text in texts]
            failed |= bool(wrong)
            times = f"{named[0]:.0f} to {named[-1]:.0f} s, median {named[len(named) // 2]:.0f} s" if named else "never"
            right = sum(not texts for _, texts in ended)
            print(f"{name}, PPROF_RECORD={record or 'default'}: {right} of {runs} right; first after {times}", flush=True)
            for text in wrong:
                print(f"  {text}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
