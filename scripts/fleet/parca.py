"""This starts Parca, and asks it by its own query API."""

import base64
import json
import pathlib
import re
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/continuous-profiling.md").read_text()


def block(start, language="yaml"):
    """Returns the block of the page that begins with the line `start`."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)
    found = [text for text in blocks if text.startswith(start)]
    assert len(found) == 1, f"the page has {len(found)} blocks that begin with {start!r}"
    return found[0]


def stamp(nanos):
    seconds, rest = divmod(nanos, 10**9)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09}Z"


def nanos(text):
    """Reads a time of Parca's answers, such as 2026-11-30T00:29:46.697Z."""
    import calendar

    whole, _, rest = text.rstrip("Z").partition(".")
    seconds = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
    return seconds * 10**9 + int(rest.ljust(9, "0") or 0)


class Parca:
    def __init__(self, binary, folder, port, config):
        self.binary, self.folder, self.port = binary, pathlib.Path(folder), port
        self.config = self.folder / "parca.yaml"
        self.config.write_text(config)
        self.url = f"http://127.0.0.1:{port}"
        self.start()

    def start(self):
        log = open(self.folder / "parca.log", "a")
        command = [self.binary, f"--config-path={self.config}", f"--http-address=127.0.0.1:{self.port}"]
        command += ["--log-level=info", f"--debuginfo-cache-dir={self.folder}", "--debuginfod-upstream-servers="]
        self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        deadline = time.monotonic() + 100
        while True:
            try:
                return self.ask("targets")
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit((self.folder / "parca.log").read_text()[-3000:])
                time.sleep(0.2)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def ask(self, path, **parameters):
        address = f"{self.url}/api/{path}?" + urllib.parse.urlencode(parameters, doseq=True)
        try:
            with urllib.request.urlopen(address, timeout=60) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{address}: {error.read().decode()}") from None

    def targets(self):
        """Returns for each target its labels, its health and its last error."""
        pools = self.ask("targets", state="STATE_ACTIVE")["targets"]
        for pool in pools.values():
            for target in pool["targets"]:
                labels = {pair["name"]: pair["value"] for pair in target["labels"]["labels"]}
                yield labels, target["health"], target.get("lastError", "")

    def series(self, query, start, end):
        """Gives the labels, the moment and the value of each profile that answers to `query`."""
        reply = self.ask("profiles/query_range", query=query, start=stamp(start), end=stamp(end), step="1s")
        for one in reply["series"]:
            labels = {pair["name"]: pair["value"] for pair in one["labelset"]["labels"]}
            for sample in one["samples"]:
                yield labels, nanos(sample["timestamp"]), int(sample.get("value", 0))

    def top(self, **parameters):
        """Returns the rows of a table of functions, as the names, the files and the figures."""
        reply = self.ask("profiles/query", reportType="REPORT_TYPE_TOP", **parameters)
        rows = []
        for row in reply["top"]["list"]:
            function = row["meta"].get("function") or {}
            figures = {name: int(row.get(name, 0)) for name in ("cumulative", "flat", "diff")}
            rows.append(figures | {"name": function.get("name", ""), "file": function.get("filename", "")})
        return rows, int(reply.get("total", 0))

    def merged_top(self, query, start, end):
        """Returns the table of all profiles of this time, added up, and their total."""
        merge = {"merge.query": query, "merge.start": stamp(start), "merge.end": stamp(end)}
        return self.top(mode="MODE_MERGE", **merge)

    def exported(self, query, start, end):
        """Returns the body of a profile in pprof's format, of all profiles of this time."""
        merge = {"merge.query": query, "merge.start": stamp(start), "merge.end": stamp(end)}
        reply = self.ask("profiles/query", mode="MODE_MERGE", reportType="REPORT_TYPE_PPROF", **merge)
        return base64.b64decode(reply["pprof"])

    def merged(self, query, start, end):
        return self.merged_top(query, start, end)[1]
