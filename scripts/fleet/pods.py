"""These are the programs of a fleet: demo processes, each behind a recorder."""

import os
import pathlib
import signal
import subprocess
import time
import urllib.request

from recorder import Recorder

TOKEN = "0123456789abcdef0123456789abcdef"


def asked(port, path):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        return reply.read()


class Pod:
    """One process of `demo-leak`, or of another program with `install!`, which serves its profiles with a token."""

    def __init__(self, binary, folder, name, version, arguments, variables=None):
        self.binary, self.name, self.version, self.arguments = binary, name, version, arguments
        self.variables = variables or {}
        self.log = pathlib.Path(folder, f"{name}.log")
        self.port = 0
        self.start()
        self.recorder = Recorder(self.port)

    def start(self):
        """Starts the program: anew at the same port, if it ran before."""
        environment = dict(os.environ, PPROF_ADDR=f"127.0.0.1:{self.port}", PPROF_TOKEN=TOKEN, **self.variables)
        command = [self.binary, "--listen", "127.0.0.1:0", "--idle-seconds", "0", "--load-seconds", "3600"]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(command + self.arguments, stdout=log, stderr=log, env=environment)
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline:
            lines = [line for line in self.log.read_text().splitlines() if "http://127.0.0.1:" in line and "/debug/pprof/" in line]
            if lines:
                self.port = int(lines[0].split("127.0.0.1:")[1].split("/")[0])
                return
            time.sleep(0.05)
        self.stop()
        raise SystemExit(f"{self.name} does not say where it serves: {self.log.read_text()}")

    def restart(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.start()

    def end(self):
        """Has the program end by itself."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait()

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm") as figures:
            return int(figures.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self):
        self.process.kill()
        self.process.wait()
