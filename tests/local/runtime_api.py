"""The Lambda runtime API of 2018-06-01 over HTTP, one server per process as in Lambda.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import json
import socketserver
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Protocol

_PREFIX = "/2018-06-01/runtime/"


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One event on its way to a process."""

    request_id: str
    event: bytes
    deadline_ms: int
    """Milliseconds since 1970."""
    function_arn: str
    trace_id: str


class Host(Protocol):
    """Whoever started the process that calls this API."""

    def next_event(self) -> Dispatch | None:
        """Wait for the next event; None once the process is gone."""
        ...

    def finish(self, request_id: str, body: bytes, *, raised: bool) -> HTTPStatus:
        """Take what the handler returned or raised, and say what to answer the process."""
        ...

    def fail_init(self, body: bytes) -> None:
        """Take the error that kept the process from coming up."""
        ...


class RuntimeApi:
    """Serves one process, on a free port of 127.0.0.1, until `close`."""

    def __init__(self, host: Host) -> None:
        self._server = _Server(host)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """What AWS_LAMBDA_RUNTIME_API holds: host and port."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def close(self) -> None:
        """Stop; the process must be gone, because its open connections are waited for."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.ThreadingTCPServer):
    # Not HTTPServer: its bind looks its own name up in the DNS.
    allow_reuse_address = True

    def __init__(self, host: Host) -> None:
        self.host = host
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a process that was killed in the middle of a request."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Without it an answer in two writes waits for the kernel's delayed acknowledgement: 40 ms.
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        if self.path != f"{_PREFIX}invocation/next":
            self._answer(HTTPStatus.NOT_FOUND)
            return
        dispatch = self.server.host.next_event()
        if dispatch is None:
            self.close_connection = True
            return
        headers = {
            "Lambda-Runtime-Aws-Request-Id": dispatch.request_id,
            "Lambda-Runtime-Deadline-Ms": str(dispatch.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": dispatch.function_arn,
            "Lambda-Runtime-Trace-Id": dispatch.trace_id,
        }
        self._answer(HTTPStatus.OK, dispatch.event, headers)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        match self.path.removeprefix(_PREFIX).split("/"):
            case ["init", "error"]:
                self.server.host.fail_init(body)
                status = HTTPStatus.ACCEPTED
            case ["invocation", request_id, "response" | "error" as end]:
                status = self.server.host.finish(request_id, body, raised=end == "error")
            case _:
                status = HTTPStatus.NOT_FOUND
        error = {"errorType": "InvalidRequest", "errorMessage": status.phrase}
        self._answer(status, b"" if status.is_success else json.dumps(error).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the function's own log is what counts."""

    def _answer(
        self, status: HTTPStatus, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
