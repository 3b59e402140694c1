"""This has Grafana Agent, which Alloy is made of, scrape demo processes by Alloy's configurations and send what it gets to Pyroscope, and compares
what Pyroscope says with what the programs answered.

Usage: check_scraped.py SCRAPER PYROSCOPE VERSION DEMO WAITS FOLDER. `scripts/check-fleet.sh --scraped` builds them and calls it.
"""

import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import cluster
from check import SAMPLED, failed, free_port, waited
from check_pyroscope import check_leak, pushed
from jobs import kind_of
from parca import ROOT, block
from pods import TOKEN, Pod
from pprof import Profile
from pyroscope import Pyroscope
from recorder import Recorder

INTERVAL_SECONDS = 10
# How often each kind of profile must have come from each pod, before a pod is restarted and after that.
ROUNDS = 4
# By the name of each pod: its version, and the arguments of the program. The last one is the program that waits, which is scraped by the page's
# configuration, and the others by that of the chart's values.
PODS = {name: (name[:2], ["--fixed"] if name[:2] == "v1" else []) for name in ("v1-0", "v1-1", "v2-0", "v2-1", "page")}
OF_VALUES = ("memory", "process_cpu", "goroutine")
OF_PAGE = (*OF_VALUES, "block", "mutex", "goroutineleak")
# Of these the scraper passes on how much came between two scrapes, and nothing of the first one.
GROWS = ("alloc_objects", "alloc_space", "contentions", "delay")


def replaced(text, *pairs):
    for old, new in pairs:
        assert old in text, f"the configuration has no {old!r}"
        text = text.replace(old, new)
    return text


def of_leaked_tasks():
    """Returns the beginning of a `profiling_config`, with what docs/goroutineleak.md has in it."""
    text = (ROOT / "docs/goroutineleak.md").read_text().split("```alloy\n")[1].split("  }\n```")[0]
    assert text.startswith("  profiling_config {\n")
    return text


def configuration(api, page, engine, folder):
    """Returns the configuration of the chart's values, and that of the pages with one target, both with the addresses of this run."""
    token = pathlib.Path(folder, "pprof-token")
    token.write_text(TOKEN)
    values = (ROOT / "docs/fleet/values-alloy.yaml").read_text()
    of_values = textwrap.dedent(values.split("    content: |\n")[1].split("  mounts:\n")[0])
    of_values = replaced(
        of_values,
        ('role = "pod"', f'role = "pod"\n  api_server = "{api}"'),
        ("60s", f"{INTERVAL_SECONDS}s"),
        ("/run/secrets/pprof/token", str(token)),
        ("http://pyroscope:4040", engine),
    )
    of_page = replaced(
        # Both write to the same engine.
        block("pyroscope.scrape", "alloy").split('\npyroscope.write "')[0],
        ("60s", f"{INTERVAL_SECONDS}s"),
        ("127.0.0.1:6060", page),
        ('"service_name" = "your-program"', '"service_name" = "page", "pod" = "page"'),
        ("/run/secrets/pprof-token", str(token)),
        ("  profiling_config {\n", of_leaked_tasks()),
    )
    return of_values + of_page


class Scraper:
    def __init__(self, binary, folder, config):
        file = pathlib.Path(folder, "config.alloy")
        file.write_text(config)
        self.log = pathlib.Path(folder, "scraper.log")
        command = [binary, str(file), str(folder), f"127.0.0.1:{free_port()}"]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def sent(recorder):
    """Returns what the scraper sent, by pod and kind."""
    found = {}
    for one in pushed(recorder):
        found.setdefault((one.labels["pod"], one.labels["__name__"]), []).append(one)
    return found


def wanted():
    return [(pod, kind) for pod in PODS for kind in (OF_PAGE if pod == "page" else OF_VALUES)]


def rounds(recorder):
    found = sent(recorder)
    return min(len(found.get(key, [])) for key in wanted())


def expected(answers, sample_type, times):
    """Returns the sum that the answers of these times make, as the scraper understands them."""
    total, before = 0, None
    for answer in answers:
        value = answer.totals[sample_type]
        if answer.time_nanos in times:
            # A program that was started anew has all of it since then.
            anew = before is None or value < before
            total += value - before if sample_type in GROWS and not anew else value
        before = value
    return total


def compared(engine, pods, recorder, started):
    """Compares for each type what the engine says with what was sent, and that with what the programs answered."""
    now, rows = time.time_ns(), {}
    queries = {tuple(query.split(":")[:2]): query for query in engine.types(started, now)}
    for (pod, kind), requests in sent(recorder).items():
        answers = [Profile(one.body) for one in pods[pod].recorder.taken() if one.status == 200 and kind_of(one.path) == kind]
        times = {one.profile.time_nanos for one in requests}
        for sample_type in requests[0].profile.totals:
            total = sum(one.profile.totals[sample_type] for one in requests)
            query = queries[kind, sample_type]
            said, names = engine.merged(query, f'{{pod="{pod}"}}', started, now)
            truth = expected(answers, sample_type, times)
            row = rows.setdefault(query, {"profiles": 0, "pods": 0, "equal": 0, "true": 0, "named": 0})
            row["profiles"] += len(requests)
            row["pods"] += 1
            row["equal"] += said == total
            row["true"] += total == truth
            row["named"] += any(part in name for part in ("demo_leak::", "waits::", "thread") for name in names)
            if not said == total == truth:
                print(f"{query} of {pod}: the programs {truth}, sent {total}, the engine {said}; {len(answers)} answers")
    return rows


def print_table(version, rows):
    line = "{:17} | {:52} | {:>8} | {:>15} | {:>17} | {:>11}"
    print(line.format("engine", "profile type", "accepted", "equal what came", "equal the answers", "names there"))
    for query, row in sorted(rows.items()):
        equal = (f"{row[what]}/{row['pods']} pods" for what in ("equal", "true", "named"))
        print(line.format(f"Pyroscope {version}", query, row["profiles"], *equal))
    return len(rows) == 12 and all(row["equal"] == row["true"] == row["named"] == row["pods"] for row in rows.values())


def check_misspelt(scraper, folder, config):
    """The scraper refuses each of these names, so that it would refuse any of ours that it does not know."""
    for right, wrong in [("profile.memory", "profile.memori"), ("credentials_file", "credential_file"), ("discovery.relabel", "discovery.label")]:
        assert right in config
        misspelt = Scraper(scraper, folder, config.replace(right, wrong))
        waited(f"refusal of {wrong}", lambda: misspelt.process.poll(), 30)
        if wrong not in misspelt.log.read_text():
            failed(f"the scraper does not refuse {wrong}: {misspelt.log.read_text()[-3000:]}")
    print("the scraper refuses 3 names that are misspelt")


def run(scraper, pyroscope, version, demo, waits, folder):
    port = free_port()
    recorder, started = Recorder(port, away=503), time.time_ns()
    engine, agent, pods = None, None, {}
    try:
        engine = Pyroscope(pyroscope, pathlib.Path(folder, "engine"), port, free_port())
        for name, (of, arguments) in PODS.items():
            program, variables = (waits, SAMPLED) if name == "page" else (demo, None)
            pods[name] = Pod(program, folder, name, of, ["--connections-per-second", "20", *arguments], variables)
        listed = [cluster.pod(name, pod.version, cluster.annotations(pod.recorder.port)) for name, pod in pods.items() if name != "page"]
        # Nobody scrapes this one: it has no annotations.
        listed.append(cluster.pod("silent", "v1", {}))
        api = cluster.Cluster(listed)
        page = f"127.0.0.1:{pods['page'].recorder.port}"
        config = configuration(api.url, page, f"http://127.0.0.1:{recorder.port}", folder)
        check_misspelt(scraper, folder, config)
        agent = Scraper(scraper, folder, config)
        waited("the first profiles", lambda: agent.process.poll() is not None or rounds(recorder) >= ROUNDS)
        if agent.process.poll() is not None:
            failed(f"the scraper ended: {agent.log.read_text()[-3000:]}")
        check_leak(engine)
        already = rounds(recorder)
        pods["v2-1"].restart()
        waited("profiles after a restart", lambda: rounds(recorder) >= already + ROUNDS)
        agent.end()
        bad = {one.status for pod in pods.values() for one in pod.recorder.taken()} - {200, 502}
        bad |= {one.status for one in pushed(recorder)} - {200}
        if bad or set(sent(recorder)) != set(wanted()):
            failed(f"not all was scraped and taken: {bad}, {set(sent(recorder)) ^ set(wanted())}: {agent.log.read_text()[-3000:]}")
        return print_table(version, compared(engine, pods, recorder, started))
    finally:
        if agent:
            agent.end()
        for pod in pods.values():
            pod.stop()
        if engine:
            engine.end(signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(0 if run(*sys.argv[1:]) else "check-fleet: Pyroscope does not say what the programs answered")
