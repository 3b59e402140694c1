"""This stands in for the API of a Kubernetes cluster: it lists pods, as far as scrapers need that to find them."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from parca import ROOT

NAMESPACE = "shop"


def annotations(port):
    """Returns those of the manifest with a token, for a program at this port."""
    manifest = (ROOT / "docs/fleet/kubernetes-token.yaml").read_text()
    found = dict(re.findall(r"^        (profiles\.grafana\.com/\S+): \"?([^\"\n]*)\"?$", manifest, re.M))
    assert len(found) == 9, f"the manifest has other annotations: {found}"
    return {name: str(port) if name.endswith(".port") else value for name, value in found.items()}


def pod(name, version, marks):
    """Returns a pod of two ports, with the address of this machine."""
    labels = {"app.kubernetes.io/name": "your-program", "app.kubernetes.io/version": version}
    ports = [{"name": "http", "containerPort": 8080, "protocol": "TCP"}, {"name": "pprof", "containerPort": 6060, "protocol": "TCP"}]
    metadata = {"name": name, "namespace": NAMESPACE, "uid": name, "labels": labels, "annotations": marks, "resourceVersion": "1"}
    return {
        "metadata": metadata,
        "spec": {"nodeName": "node", "containers": [{"name": "your-program", "image": "your-program", "ports": ports}]},
        "status": {"phase": "Running", "podIP": "127.0.0.1", "hostIP": "127.0.0.1"},
    }


class Cluster:
    """A cluster of these pods, to which nothing happens."""

    def __init__(self, pods):
        listed = {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": pods}
        body = json.dumps(listed).encode()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if not self.path.startswith("/api/v1/pods"):
                    return self.send_error(404)
                self.send_response_only(200)
                self.send_header("Content-Type", "application/json")
                if "watch=" in self.path:
                    # Whoever watches is told nothing until it goes.
                    self.end_headers()
                    self.wfile.flush()
                    self.rfile.read()
                    return None
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return None

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
