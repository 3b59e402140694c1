"""This runs demo processes that push their profiles by OTLP to the OpenTelemetry Collector, and compares what the Collector passes on with
what was pushed.

Usage: check_collector.py COLLECTOR DEMO FOLDER. `scripts/check-fleet.sh --collector` builds the two and calls it.
"""

import gzip
import os
import pathlib
import re
import signal
import subprocess
import sys
import textwrap
import time

from check import LEAK, failed, free_port, waited
from parca import ROOT, block
from pods import Pod
from pprof import fields, values
from recorder import Recorder

EVERY_SECONDS = 3
# By the name of each pod: its version, and the arguments of the program.
PODS = {"v1-0": ("v1", ["--fixed"]), "v2-0": ("v2", [])}
# How many pushes of each pod must have been taken, and how many more after the Collector was away.
ROUNDS = 4
PATH = "/v1development/profiles"
TYPES = {"alloc_objects", "alloc_space", "inuse_objects", "inuse_space", "samples", "cpu"}

GATE = "--feature-gates=+service.profilesSupport"


class Collector:
    def __init__(self, binary, folder, port, sink):
        self.configuration = pathlib.Path(folder, "collector.yaml")
        # That of the page, with other ports.
        text = block("# otelcol", "yaml")
        assert ":4318" in text and ":4040" in text, "the page's configuration has no ports"
        self.configuration.write_text(text.replace(":4318", f":{port}").replace(":4040", f":{sink}"))
        self.log = open(pathlib.Path(folder, "collector.log"), "ab")
        self.binary, self.process = binary, None
        self.start()

    def start(self):
        quiet = "--set=service.telemetry.metrics.level=none"
        command = [self.binary, GATE, f"--config={self.configuration}", quiet]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def end(self):
        """Ends it, so that it passes on what it has."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def check_configurations(binary, folder):
    """Has the Collector itself validate the configurations that it is not run with, and refuse one with a setting that it does not
    know."""
    manifest = (ROOT / "docs/fleet/kubernetes-collector.yaml").read_text()
    of_manifest = textwrap.dedent(re.search(r"  collector.yaml: \|\n(.*?)^---", manifest, re.S | re.M)[1])
    values = (ROOT / "docs/fleet/values-collector.yaml").read_text()
    # scripts/check-fleet-files.sh sees that the chart makes this configuration of them.
    of_values = textwrap.dedent(re.search(r"^alternateConfig:\n(.*?)^\S", values, re.S | re.M)[1])
    of_page = block("receivers:\n  pprof:")
    configurations = [(of_manifest, ""), (of_page, ""), (of_values, "")]
    # In each of these is one fault, which the Collector has to name.
    for text, right, wrong, name in [
        (of_page, "collection_interval:", "collection_intervall:", "collection_intervall"),
        (of_values, "collection_interval:", "collection_intervall:", "collection_intervall"),
        (of_values, "pod.annotations", "pod.anotations", "anotations"),
        (of_values, 'name == "pprof"', 'name == "http"', "the rule says false"),
        (of_values, "observe_pods:", "observe_pod:", "observe_pod"),
    ]:
        assert right in text
        configurations.append((text.replace(right, wrong), name))
    file = pathlib.Path(folder, "validated.yaml")
    environment = dict(os.environ, MY_POD_IP="127.0.0.1", PPROF_TOKEN="token")
    for text, fault in configurations:
        file.write_text(text)
        command = [binary, "validate", GATE, f"--config={file}"]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=100, env=environment)
        if (ran.returncode == 0) != (fault == "") or fault not in ran.stderr:
            failed(f"the Collector validates this wrongly: {text}\n{ran.stdout}{ran.stderr}")
    print("the configurations of manifest, page and chart's values are valid, and 5 with one fault each are refused")


def children(message, *path):
    """Gives the values of the fields at this path of numbers."""
    if not path:
        yield message
        return
    for number, value, _ in fields(message):
        if number == path[0]:
            yield from children(value, *path[1:])


def first(message, number, absent):
    return next(children(message, number), absent)


class Export:
    """The figures of an `ExportProfilesServiceRequest`: the totals of each pod and type, and names of functions."""

    def __init__(self, body):
        # The Collector compresses what it passes on.
        body = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
        strings = [text.decode() for text in children(body, 2, 5)]
        self.names = {strings[first(function, 1, 0)] for function in children(body, 2, 3)}
        self.totals, self.profiles = {}, 0
        for of_resource in children(body, 1):
            # A key, or a text, stands there itself, or is a number of a string.
            told = lambda message, text, number: (
                next(children(message, text), b"").decode() or strings[first(message, number, 0)]
            )
            labels = {
                told(one, 1, 3): told(value, 1, 8)
                for one in children(of_resource, 1, 1)
                for value in children(one, 2)
            }
            pod = labels.get("pod", "")
            for profile in children(of_resource, 2, 2):
                self.profiles += 1
                key = pod, strings[next(children(profile, 1, 1))]
                total = sum(sum(values(sample, 4)) for sample in children(profile, 2))
                self.totals[key] = self.totals.get(key, 0) + total


def exports(recorder):
    return [Export(answer.sent) for answer in recorder.taken() if answer.path == PATH and answer.status == 200]


def summed(found):
    totals = {}
    for export in found:
        for key, total in export.totals.items():
            totals[key] = totals.get(key, 0) + total
    return totals


def rounds(recorder):
    """Returns how often the least pushed of all was taken."""
    found = exports(recorder)
    wanted = [(pod, kind) for pod in PODS for kind in TYPES]
    return min(sum(key in export.totals for export in found) for key in wanted)


def started_pods(demo, folder, recorder):
    pods = {}
    for name, (version, arguments) in PODS.items():
        variables = {
            "PPROF_PUSH": f"http://127.0.0.1:{recorder.port}",
            "PPROF_PUSH_PROTOCOL": "otlp",
            "PPROF_PUSH_LABELS": f"service_name=your-program,version={version},pod={name}",
            "PPROF_PUSH_EVERY": f"{EVERY_SECONDS}s",
        }
        pods[name] = Pod(demo, folder, name, version, ["--connections-per-second", "20", *arguments], variables)
    return pods


def compared(pushed, passed_on):
    """Prints each pod's totals of each type on both sides. Returns whether all are equal, and the leak is named."""
    before, after = summed(pushed), summed(passed_on)
    line = "{:5} | {:13} | {:>16} | {:>16} | {}"
    print(line.format("pod", "type", "pushed", "passed on", "equal"))
    for key in sorted(before):
        print(line.format(*key, before[key], after.get(key, 0), "yes" if before[key] == after.get(key) else "NO"))
    names = set().union(*(export.names for export in passed_on))
    print(f"profiles: {sum(one.profiles for one in pushed)} pushed, {sum(one.profiles for one in passed_on)} passed on")
    kinds = {(pod, kind) for pod in PODS for kind in TYPES}
    return before == after and set(before) == kinds and any(LEAK in name for name in names)


def run(binary, demo, folder):
    check_configurations(binary, folder)
    port = free_port()
    # Nobody listens behind the sink, so it answers by itself.
    sink, recorder = Recorder(free_port(), away=200), Recorder(port, away=503)
    engine, pods = Collector(binary, folder, port, sink.port), {}
    try:
        pods = started_pods(demo, folder, recorder)
        waited("the first pushes", lambda: rounds(recorder) >= ROUNDS)
        engine.end()
        refused = lambda: sum(answer.status == 503 for answer in recorder.taken())
        waited("pushes that nobody takes", lambda: refused() >= 2 * len(PODS))
        engine.start()
        already = rounds(recorder)
        waited("pushes that are taken again", lambda: rounds(recorder) >= already + 2)
        for pod in pods.values():
            pod.end()
        count = lambda found: sum(export.profiles for export in exports(found))
        deadline = time.monotonic() + 20
        while count(sink) < count(recorder) and time.monotonic() < deadline:
            time.sleep(0.5)
        engine.end()
        print(f"while the Collector was away, {refused()} pushes were refused")
        bad = {answer.status for answer in recorder.taken()} - {200, 503}
        if bad:
            failed(f"profiles were rejected: {bad}")
        return compared(exports(recorder), exports(sink))
    finally:
        for pod in pods.values():
            pod.stop()
        engine.process.kill()


if __name__ == "__main__":
    sys.exit(0 if run(*sys.argv[1:]) else "check-fleet: the Collector does not pass on what was pushed")
