"""This stands between a scraper and a program, passes all on unchanged, and keeps what the program answered."""

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answer:
    def __init__(self, path, status, body):
        self.path, self.status, self.body = path, status, body


class Recorder:
    """Listens at a port of its own, and passes requests to `program`, a port of this machine."""

    def __init__(self, program):
        recorder = self
        self.answers, self.lock = [], threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                recorder.pass_on(self, program)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def pass_on(self, request, program):
        connection = http.client.HTTPConnection("127.0.0.1", program, timeout=60)
        try:
            headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
            connection.request("GET", request.path, headers=headers)
            reply = connection.getresponse()
            body = reply.read()
            kept = [(name, value) for name, value in reply.getheaders() if name.lower() != "connection"]
            status = reply.status
        except OSError:
            # The program is being restarted. The scraper is told what a proxy would tell it.
            status, body, kept = 502, b"", [("Content-Length", "0")]
        finally:
            connection.close()
        try:
            request.send_response_only(status)
            for name, value in kept:
                request.send_header(name, value)
            request.end_headers()
            request.wfile.write(body)
        except OSError:
            return  # The scraper left.
        with self.lock:
            self.answers.append(Answer(request.path, status, body))

    def taken(self):
        """Returns the answers until now."""
        with self.lock:
            return list(self.answers)
