"""This stands between a scraper and a program, or a program and an engine, and passes all on unchanged. It keeps what was answered,
and what was pushed."""

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answer:
    """The answer to a request, and what that had for a body."""

    def __init__(self, path, status, body, sent):
        self.path, self.status, self.body, self.sent = path, status, body, sent


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Says nothing when a scraper is killed, and its connection with it."""


def body_of(request):
    """Reads what was sent with a request, whole or in chunks."""
    if request.headers.get("Transfer-Encoding", "").lower() != "chunked":
        return request.rfile.read(int(request.headers.get("Content-Length", 0)))
    chunks = []
    while size := int(request.rfile.readline().split(b";")[0], 16):
        chunks.append(request.rfile.read(size))
        request.rfile.readline()
    request.rfile.readline()
    return b"".join(chunks)


class Recorder:
    """Listens at a port of its own, and passes requests to `program`, a port of this machine. Where nobody listens there, it answers
    with `away`."""

    def __init__(self, program, away=502):
        recorder = self
        self.answers, self.lock, self.away = [], threading.Lock(), away

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                recorder.pass_on(self, program)

            def do_POST(self):
                recorder.pass_on(self, program)

            def log_message(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def pass_on(self, request, program):
        sent = body_of(request)
        connection = http.client.HTTPConnection("127.0.0.1", program, timeout=60)
        try:
            headers = {name: value for name, value in request.headers.items() if name.lower() not in ("host", "transfer-encoding")}
            connection.request(request.command, request.path, sent, headers)
            reply = connection.getresponse()
            body = reply.read()
            kept = [(name, value) for name, value in reply.getheaders() if name.lower() != "connection"]
            status = reply.status
        except OSError:
            # The program is being restarted. The scraper is told what a proxy would tell it.
            status, body, kept = self.away, b"", [("Content-Length", "0")]
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
            self.answers.append(Answer(request.path, status, body, sent))

    def taken(self):
        """Returns the answers until now."""
        with self.lock:
            return list(self.answers)
