"""This runs Prometheus on the metrics of the fleet, and asks it everything that the dashboard asks."""

import json
import pathlib
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request

from pods import TOKEN

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What the dashboard shows that is not there in a healthy program, or not without a limit, or not after a minute.
MAY_BE_EMPTY = ("offset", "pprof_loss_ratio", "cgroup_")


def expressions():
    """Returns what the dashboard's panels ask, for all jobs and instances."""
    dashboard = json.loads((ROOT / "docs/fleet/grafana-dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            # Programs that have run for a minute have no five minutes yet.
            yield target["expr"].replace("$job", ".*").replace("$instance", ".*").replace("[5m]", "[30s]")


def configuration(pods):
    targets = [f"127.0.0.1:{pod.port}" for pod in pods]
    job = {"job_name": "fleet", "scrape_interval": "2s", "authorization": {"type": "Bearer", "credentials": TOKEN}}
    job["static_configs"] = [{"targets": targets}]
    return {"scrape_configs": [job], "rule_files": [str(ROOT / "docs/fleet/alerts.yaml")]}


def check_metrics(pods, folder):
    """Fails if Prometheus does not understand the dashboard or the alert rules, or has no figures for a panel."""
    if not shutil.which("prometheus"):
        print("no prometheus: the dashboard's expressions were not asked")
        return
    config = pathlib.Path(folder, "prometheus.json")
    config.write_text(json.dumps(configuration(pods)))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/prometheus"]
    with open(pathlib.Path(folder, "prometheus.log"), "w") as log:
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
    try:
        wait_for_figures(port, len(pods), process, pathlib.Path(folder, "prometheus.log"))
        for expression in expressions():
            found = ask(port, expression)
            if not found and not any(part in expression for part in MAY_BE_EMPTY):
                raise SystemExit(f"check-fleet: the dashboard's panel has no figures: {expression}")
        print(f"Prometheus: {len(list(expressions()))} expressions of the dashboard are answered")
    finally:
        process.kill()
        process.wait()


def ask(port, expression):
    address = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(address, timeout=30) as reply:
        return json.load(reply)["data"]["result"]


def wait_for_figures(port, count, process, log):
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        try:
            if len(ask(port, "count_over_time(alloc_profiler_installed[1m]) > 5")) == count:
                return
        except OSError:
            pass
        if process.poll() is not None:
            break
        time.sleep(1)
    raise SystemExit(f"check-fleet: Prometheus has no figures: {log.read_text()[-3000:]}")
