"""The classifier behind plain HTTP: an event comes in, the pieces of its answer leave as they come.

What a response-streaming adapter would do in place of the proxy one. Run by `StreamingFunction`.
"""

import json
import sys
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from classifier.bootstrap import Application, build_application
from classifier.handler import request_of
from classifier.http import Response, internal_error
from classifier.settings import Settings
from regroup.domain.fallback import Deadline

SECONDS = 27.0
"""As long as a request has behind the gateway."""


class Server(ThreadingHTTPServer):
    """One application, a thread a request."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, app: Application) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.app = app


class Handler(BaseHTTPRequestHandler):
    """Answers one event after the other."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_POST(self) -> None:
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        app = self.server.app
        with app.telemetry.invocation(event["requestContext"]["requestId"]):
            request = request_of(event, Deadline(time.monotonic() + SECONDS))
            try:
                response = app.api.handle(request)
            except Exception as error:
                app.telemetry.failure("internal error", error)
                response = internal_error()
            self._send(response)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet: the decision line says it all."""

    def _send(self, response: Response) -> None:
        close = getattr(response.body, "close", None)
        try:
            with suppress(ConnectionError):  # the client went away
                self.send_response(response.status)
                for name, value in response.headers.items():
                    self.send_header(name, value)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for piece in response.body:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                self.wfile.write(b"0\r\n\r\n")
        finally:
            if close is not None:
                close()


def main() -> None:
    """Serve until killed; the first line on stderr is the port."""
    with Server(build_application(Settings.from_environment())) as server:
        sys.stderr.write(f"{server.server_port}\n")
        sys.stderr.flush()
        server.serve_forever()


if __name__ == "__main__":
    main()
