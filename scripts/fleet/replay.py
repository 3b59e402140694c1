"""This plays the answers of a few real pods as those of 200 to Parca, and measures what taking them in and asking costs. Then it plays one answer
of each of 200 pods that sample less, and compares the merged figure with what they hold.

Usage: replay.py PARCA DEMO HOLDS FOLDER
"""

import os
import pathlib
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from check import free_port
from parca import Parca
from pods import Pod, asked
from pprof import Profile, dated
from sampling import check_sampling

PODS, REAL_PODS, SECONDS, INTERVAL_SECONDS = 200, 4, 60, 10
QUERY = "memory:inuse_space:bytes:space:bytes"


class Server(ThreadingHTTPServer):
    daemon_threads = True
    # 200 targets may come at once.
    request_queue_size = 256

    def handle_error(self, *_):
        """Says nothing when the scraper is killed while it reads."""


class Fleet:
    """Answers each scrape with the next of the profiles, dated now: with each one `once`, or with all again and again. The label `pod` tells the
    pods apart."""

    def __init__(self, bodies, once=False):
        self.bodies, self.once, self.served, self.lock = bodies, once, [], threading.Lock()
        fleet = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                body = fleet.next()
                if body is None:
                    return self.send_error(503)
                self.send_response_only(200)
                self.send_header("Content-Type", "application/octet-stream")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return None

            def log_message(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self):
        with self.lock:
            if self.once and len(self.served) == len(self.bodies):
                return None
            now = time.time_ns()
            body, total = self.bodies[len(self.served) % len(self.bodies)]
            self.served.append((now, total, len(body)))
        return dated(body, now)


def recorded(demo, folder):
    """Returns answers of real pods as their load goes on, each with its total."""
    pods = [Pod(demo, folder, f"real-{n}", "v1", ["--connections-per-second", "50"]) for n in range(REAL_PODS)]
    bodies = []
    for _ in range(5):
        time.sleep(2)
        for pod in pods:
            body = asked(pod.port, "/debug/pprof/allocs")
            bodies.append((body, Profile(body).totals["inuse_space"]))
    for pod in pods:
        pod.stop()
    return bodies


def configuration(fleet, folder):
    text = f"object_storage: {{bucket: {{type: FILESYSTEM, config: {{directory: {folder}/store}}}}}}\n"
    text += f"scrape_configs:\n  - job_name: fleet\n    scrape_interval: {INTERVAL_SECONDS}s\n    static_configs:\n"
    for pod in range(PODS):
        text += f"      - {{targets: ['127.0.0.1:{fleet.port}'], labels: {{pod: pod-{pod}}}}}\n"
    text += "    profiling_config:\n      pprof_config:\n        memory: {enabled: true}\n"
    return text + "".join(
        f"        {kind}: {{enabled: false}}\n" for kind in ("block", "goroutine", "mutex", "process_cpu")
    )


def used(process):
    """Returns the seconds of processor time and the bytes of memory of a process."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    ticks = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK"), int(fields[21]) * os.sysconf("SC_PAGE_SIZE")


def run(binary, demo, holds, folder):
    measure(binary, demo, folder)
    one_each = lambda bodies: Fleet([(body, Profile(body).totals["inuse_space"]) for body in bodies], once=True)
    check_sampling(binary, holds, folder, one_each, configuration)


def measure(binary, demo, folder):
    fleet = Fleet(recorded(demo, folder))
    parca = Parca(binary, folder, free_port(), configuration(fleet, folder))
    try:
        start, (cpu, memory) = time.time_ns(), used(parca.process)
        time.sleep(SECONDS)
        # What was served a second ago has been taken in.
        end, (later_cpu, later_memory) = time.time_ns() - 10**9, used(parca.process)
        count = len(fleet.served)
        served = [total for at, total, _ in fleet.served if start <= at // 10**6 * 10**6 <= end]
        size = sum(size for _, _, size in fleet.served) / count
        began = time.monotonic()
        merged = parca.merged(QUERY, start, end)
        took = time.monotonic() - began
        each = (later_cpu - cpu) / count
        print(f"{PODS} pods: {count} profiles of {size / 1024:.1f} KiB in {SECONDS} s: Parca used {each * 1000:.2f} ms of a core for")
        print(f"each, and {(later_memory - memory) / count / 1024:.1f} KiB of memory; all {len(served)} merged in {took:.2f} s")
        for pods in (1000, 10_000):
            print(f"{pods} pods, once a minute: {pods / 60 * each:.2f} cores, {pods * size * 1440 / 2**30:.1f} GiB a day of answers")
        if merged != sum(served):
            raise SystemExit(f"replay: Parca says {merged} bytes, and the answers add up to {sum(served)}")
        print(f"the total of the merged profile equals the sum of the {len(served)} answers: {merged} bytes")
    finally:
        parca.kill()


if __name__ == "__main__":
    run(*sys.argv[1:])
