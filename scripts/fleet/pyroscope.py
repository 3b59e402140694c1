"""This starts Pyroscope, and asks it by its own query API."""

import json
import pathlib
import signal
import subprocess
import time
import urllib.error
import urllib.request


# What says where each part of Pyroscope is reached.
PARTS = ["ingester.lifecycler.addr", "query-frontend.instance-addr"] + [
    f"{part}ring.instance-addr"
    for part in ("distributor.", "query-scheduler.", "compactor.", "overrides-exporter.", "store-gateway.sharding-")
]


class Pyroscope:
    """One process of Pyroscope, with all of its parts, that keeps its data in `folder`."""

    def __init__(self, binary, folder, port, other_port):
        self.binary, self.folder, self.port, self.other_port = binary, pathlib.Path(folder), port, other_port
        self.folder.mkdir(exist_ok=True)
        self.url = f"http://127.0.0.1:{port}"
        self.start()

    def start(self):
        log = open(self.folder / "pyroscope.log", "a")
        command = [self.binary, "-target=all", "-server.http-listen-address=127.0.0.1"]
        command += [f"-server.http-listen-port={self.port}", "-server.grpc-listen-address=127.0.0.1"]
        command += [f"-server.grpc-listen-port={self.other_port}", "-memberlist.bind-addr=127.0.0.1", "-memberlist.bind-port=0"]
        # Its parts reach one another by an address of the machine's network otherwise.
        command += [f"-{part}=127.0.0.1" for part in PARTS]
        command += ["-self-profiling.disable-push=true", "-usage-stats.enabled=false", "-config.show_banner=false"]
        command += ["-storage.backend=filesystem", f"-storage.filesystem.dir={self.folder}/store"]
        command += [f"-pyroscopedb.data-path={self.folder}/data"]
        self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        deadline = time.monotonic() + 100
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit((self.folder / "pyroscope.log").read_text()[-3000:])
            time.sleep(0.2)

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"{self.url}/ready", timeout=10) as reply:
                return reply.status == 200
        except OSError:
            return False

    def end(self, how=signal.SIGTERM):
        """Ends the process. When it is told so by SIGTERM, it writes to its store what it has in memory."""
        self.process.send_signal(how)
        self.process.wait()

    def ask(self, method, **message):
        """Calls a method of `querier.v1.QuerierService` by JSON."""
        address = f"{self.url}/querier.v1.QuerierService/{method}"
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(address, json.dumps(message).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{address}: {error.read().decode()}") from None

    def types(self, start, end):
        """Returns the names of the profile types."""
        reply = self.ask("ProfileTypes", start=start // 10**6, end=end // 10**6)
        return sorted(kind["ID"] for kind in reply.get("profileTypes", []))

    def merged(self, kind, selector, start, end):
        """Returns the total of all profiles of this time, added up, and the names of the functions in them."""
        times = {"start": start // 10**6, "end": end // 10**6}
        reply = self.ask("SelectMergeStacktraces", profileTypeID=kind, labelSelector=selector, maxNodes=100000, **times)
        graph = reply.get("flamegraph", {})
        return int(graph.get("total", 0)), set(graph.get("names", [])) - {"total", "other"}
