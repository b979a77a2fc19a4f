"""API Gateway's REST API on loopback: HTTP/1.1 in front of a Lambda proxy integration.

with (
    LoopbackAws() as aws,
    LambdaFunction("classifier.entry.lambda_handler", aws.environment()) as function,
    LambdaFunction("classifier.authorizer.lambda_handler", {...}) as authorizer,
    LoopbackGateway(function.handle, authorizer.handle) as gateway,
):
    httpx.post(f"{gateway.url}/v1/chat/completions", ...)
"""

import errno
import json
import logging
import socket
import socketserver
import sys
import threading
import time
import uuid
from collections.abc import Callable, Collection, Generator, Iterable
from concurrent.futures import Future, InvalidStateError
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Self, cast

from tests.local.gateway_authorizer import Authorizer, AuthorizerGate
from tests.local.proxy_events import proxy_event
from tests.local.proxy_responses import (
    HOP_BY_HOP,
    Answer,
    GatewayError,
    StreamedAnswer,
    to_http,
)

__all__ = ["Authorizer", "Backend", "LoopbackGateway", "PortTakenError"]

type Backend = Callable[[dict[str, Any]], dict[str, Any] | StreamedAnswer]
"""From a proxy event to a proxy response, or to an answer that is still coming.

`LambdaFunction.handle`, `StreamingFunction.handle`, or any function.
"""

MAX_BODY_BYTES = 10 * 1024 * 1024
MAX_EVENT_BYTES = 6 * 1024 * 1024
TIMEOUT_SECONDS = 29.0
OPEN_ROUTES = frozenset({("GET", "/healthz")})

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_IDLE_SECONDS = 60.0
_LINGER_SECONDS = 2.0

_log = logging.getLogger(__name__)


class PortTakenError(Exception):
    """Something else listens there already."""


class LoopbackGateway:
    """Serves a backend on 127.0.0.1 for as long as the context lasts."""

    def __init__(
        self,
        backend: Backend,
        authorizer: Authorizer,
        *,
        port: int = 0,
        timeout_seconds: float = TIMEOUT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        open_routes: Collection[tuple[str, str]] = OPEN_ROUTES,
    ) -> None:
        """Take a free port where `port` is 0; `clock` is the authorizer cache's."""
        self._open_routes = open_routes
        self._backend = backend
        self._gate = AuthorizerGate(lambda event: self._run(authorizer, event), clock)
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._running: set[Future[Any]] = set()
        self._closing = False
        self._exit = ExitStack()
        self.port = port

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        server = _Server(self)
        with ExitStack() as stack:
            stack.callback(server.server_close)
            self.port = _listen(server, self.port)
            thread = threading.Thread(
                target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
            )
            thread.start()
            stack.callback(thread.join)
            stack.callback(self._abandon)
            stack.callback(server.shutdown)
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exit.close()

    def answer(
        self, method: str, path: str, headers: Iterable[tuple[str, str]], body: bytes
    ) -> Answer | StreamedAnswer:
        """Answer one request whose body has been read.

        Raises:
            GatewayError: the request does not reach the backend, or the backend fails.
        """
        pairs = list(headers)
        route, _, _ = path.partition("?")
        context = None
        if (method, route) not in self._open_routes:
            context = self._gate.admit(_authorization(pairs), method, route)
        event = proxy_event(
            method,
            path,
            _forwarded(pairs),
            body,
            authorizer=context,
            request_id=str(uuid.uuid4()),
            now_ms=int(time.time() * 1000),
        )
        if len(json.dumps(event, ensure_ascii=False).encode("utf-8", "replace")) > MAX_EVENT_BYTES:
            raise _too_large()
        return self._call(event)

    def _call(self, event: dict[str, Any]) -> Answer | StreamedAnswer:
        try:
            found = self._run(self._backend, event)
            answer = found if isinstance(found, StreamedAnswer) else to_http(found)
        except TimeoutError:
            raise GatewayError(
                HTTPStatus.GATEWAY_TIMEOUT,
                "timeout",
                f"No answer came within {self._timeout_seconds:g} seconds.",
                "server_error",
            ) from None
        except Exception as error:
            _log.warning("the function failed: %s: %s", type(error).__name__, error)
            raise GatewayError(
                HTTPStatus.BAD_GATEWAY,
                "bad_gateway",
                "The function failed or gave a malformed response.",
                "server_error",
            ) from error
        request_id = ("x-amzn-RequestId", event["requestContext"]["requestId"])
        return replace(answer, headers=(*answer.headers, request_id))

    def _run[T](self, function: Callable[[dict[str, Any]], T], event: dict[str, Any]) -> T:
        """Call a function, and leave it running alone once the gateway's patience is over."""
        future: Future[T] = Future()
        with self._lock:
            if self._closing:
                raise ConnectionAbortedError("the gateway was closed")
            self._running.add(future)
        threading.Thread(target=_fill, args=(future, function, event), daemon=True).start()
        try:
            return future.result(self._timeout_seconds)
        finally:
            with self._lock:
                self._running.discard(future)

    def _abandon(self) -> None:
        """Let go of whoever waits for the backend: nobody is there to be answered."""
        with self._lock:
            self._closing = True
            for future in self._running:
                _settle(future.set_exception, ConnectionAbortedError("the gateway was closed"))


class _Server(socketserver.ThreadingTCPServer):
    # Not HTTPServer: its bind looks its own name up in the DNS.
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, gateway: LoopbackGateway) -> None:
        self.gateway = gateway
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler, bind_and_activate=False)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Hang up on idle clients too: their threads are waited for."""
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that hung up."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = _IDLE_SECONDS
    server: _Server

    def serve(self) -> None:
        """Answer one request."""
        self._unread = False
        answer: Answer | StreamedAnswer
        try:
            body = self._read_body()
            answer = self.server.gateway.answer(self.command, self.path, self.headers.items(), body)
        except GatewayError as refusal:
            answer = refusal.answer()
        if isinstance(answer, StreamedAnswer):
            self._write_stream(answer)
        else:
            self._write(answer)
        if self._unread:
            self._linger()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = serve

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what the parser refused, in the same shape as all else."""
        status = HTTPStatus(code)
        self.close_connection = True
        name = status.phrase.lower().replace(" ", "_").replace("-", "_")
        self._write(GatewayError(status, name, f"{message or status.phrase}.").answer())

    def handle_expect_100(self) -> bool:
        """Put the "go on" off until the length has been checked."""
        return True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the function writes the decision line."""

    def _read_body(self) -> bytes:
        try:
            length = self._length()
        except GatewayError:
            # What follows on this connection may be a body: it cannot be used any more.
            self.close_connection = self._unread = True
            raise
        if length and self.headers.get("Expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionAbortedError("the client hung up in the middle of its request")
        return body

    def _length(self) -> int:
        """Return the body's size, refused before a byte of it is read."""
        if "Transfer-Encoding" in self.headers:
            raise _length_required("Chunked bodies are not taken here: send a Content-Length.")
        lengths = {value.strip() for value in self.headers.get_all("Content-Length", [])}
        if not lengths:
            if self.command in _WITH_BODY:
                raise _length_required("Send a Content-Length.")
            return 0
        length = lengths.pop()
        # int() would take "+5", "1_000" and digits of any script.
        if lengths or not (length.isascii() and length.isdigit()):
            raise GatewayError(
                HTTPStatus.BAD_REQUEST, "bad_content_length", "Content-Length is not a number."
            )
        if len(length.lstrip("0")) > len(str(MAX_BODY_BYTES)) or int(length) > MAX_BODY_BYTES:
            raise _too_large()
        return int(length)

    def _write(self, answer: Answer) -> None:
        bodiless = answer.status in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
        body = b"" if bodiless else answer.body
        headers = list(answer.headers)
        if not bodiless:
            headers.append(("Content-Length", str(len(body))))
        head = self._head(answer.status, headers)
        self.wfile.write(head if self.command == "HEAD" else head + body)

    def _write_stream(self, answer: StreamedAnswer) -> None:
        """Send the pieces as they come; a client that hangs up ends the reading as well."""
        with closing(cast(Generator[bytes], answer.pieces)):
            self.wfile.write(
                self._head(answer.status, [*answer.headers, ("Transfer-Encoding", "chunked")])
            )
            for piece in answer.pieces:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")

    def _head(self, status: int, headers: list[tuple[str, str]]) -> bytes:
        if self.close_connection:
            headers = [*headers, ("Connection", "close")]
        phrase = HTTPStatus(status).phrase if status in _STATUSES else "Unknown"
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{n}: {v}" for n, v in headers), "", ""]
        return "\r\n".join(lines).encode("latin-1")

    def _linger(self) -> None:
        """Throw away what the client still sends: a close on it would cost it our answer."""
        self.connection.settimeout(_LINGER_SECONDS)
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            left = 8 * MAX_BODY_BYTES
            while left > 0 and (chunk := self.connection.recv(65_536)):
                left -= len(chunk)


_STATUSES = frozenset(int(status) for status in HTTPStatus)


def _listen(server: _Server, port: int) -> int:
    """Bind and return the port, which is a free one where 0 was asked for."""
    server.server_address = ("127.0.0.1", port)
    try:
        server.server_bind()
        server.server_activate()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise PortTakenError(
            f"port {port} is taken: stop what listens there, or choose another"
            f" (make serve PORT={port + 1})"
        ) from None
    return int(server.server_address[1])


def _fill[T](
    future: "Future[T]", backend: Callable[[dict[str, Any]], T], event: dict[str, Any]
) -> None:
    try:
        response = backend(event)
    except BaseException as error:  # whoever waits shall hear of it, whatever it is
        _settle(future.set_exception, error)
    else:
        _settle(future.set_result, response)


def _settle[T](settle: Callable[[T], None], value: T) -> None:
    with suppress(InvalidStateError):  # the gateway was closed in the meantime
        settle(value)


def _authorization(pairs: list[tuple[str, str]]) -> str | None:
    return next((value for name, value in pairs if name.lower() == "authorization"), None)


def _forwarded(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers the function may see.

    The key is none of its business: whoever sent it is in `requestContext.authorizer`. A real
    proxy integration does pass Authorization on, so the function must neither need nor log it.
    """
    named = {
        word.strip().lower()
        for name, value in pairs
        if name.lower() == "connection"
        for word in value.split(",")
    }
    dropped = HOP_BY_HOP | named | {"authorization"}
    return [(name, value) for name, value in pairs if name.lower() not in dropped]


def _too_large() -> GatewayError:
    # One limit is said whichever was met first: a body below the event's is below its own too.
    return GatewayError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "request_too_large",
        f"The request is too large: its body must stay below {MAX_EVENT_BYTES // 1024**2} MB.",
    )


def _length_required(message: str) -> GatewayError:
    return GatewayError(HTTPStatus.LENGTH_REQUIRED, "length_required", message)
