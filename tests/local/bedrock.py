"""A Bedrock runtime on loopback: Converse and ConverseStream over real HTTP, with faults on demand.

moto has no Converse. boto3 talks to this server with real signing, parsing and sockets, through
`endpoint_url` or AWS_ENDPOINT_URL_BEDROCK_RUNTIME. It checks no signature and knows no quota.

    with LoopbackBedrock() as bedrock:
        bedrock.plan("amazon.nova-lite-v1:0", [Throttle(), Ok()])
        client = session.client("bedrock-runtime", endpoint_url=bedrock.endpoint_url)
        client.converse(modelId="amazon.nova-lite-v1:0", messages=[...])  # throttled
        assert [call.model_id for call in bedrock.calls] == ["amazon.nova-lite-v1:0"]
"""

import json
import re
import socket
import struct
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import unquote

from tests.local import eventstream
from tests.local.complaints import complaint
from tests.local.converse import (
    Reply,
    Request,
    Responder,
    ToolCall,
    echo,
    reply_body,
    reply_frames,
)

__all__ = [
    "REQUEST_ID",
    "Call",
    "Delay",
    "Fault",
    "Garbage",
    "LoopbackBedrock",
    "Ok",
    "Reply",
    "Request",
    "Reset",
    "ResetMidStream",
    "Responder",
    "Stall",
    "Status",
    "StreamException",
    "Throttle",
    "ToolCall",
]

type Operation = Literal["converse", "converse-stream"]


@dataclass(frozen=True, slots=True)
class Call:
    """One request that reached the server, whatever came of it."""

    model_id: str
    operation: Operation
    request: Request


@dataclass(frozen=True)
class Ok:
    """Answer as the responder says."""


@dataclass(frozen=True)
class Status:
    """Refuse with an HTTP status and an exception name."""

    code: int
    error_type: str
    message: str = "refused as planned"


@dataclass(frozen=True)
class Throttle(Status):
    """Refuse as Bedrock does when a quota is used up."""

    code: int = 429
    error_type: str = "ThrottlingException"
    message: str = "Too many requests, please wait before trying again."


@dataclass(frozen=True)
class Delay:
    """Answer, but only after a while."""

    seconds: float


@dataclass(frozen=True)
class Reset:
    """Reset the connection (RST) before the first byte."""


@dataclass(frozen=True)
class ResetMidStream:
    """Send some events (Converse: half the body), then reset the connection."""

    after_events: int


@dataclass(frozen=True)
class Garbage:
    """Answer 200 with these bytes under the right content type."""

    body: bytes = b'{"hello": "world"}'


@dataclass(frozen=True)
class StreamException:
    """Send some events, then an exception event (Converse: refuse with that exception)."""

    error_type: str
    after_events: int = 2
    message: str = "broke off as planned"


@dataclass(frozen=True)
class Stall:
    """Send some events, then nothing for a while, then the rest (ConverseStream only)."""

    after_events: int
    seconds: float


type Fault = Ok | Status | Delay | Reset | ResetMidStream | Garbage | Stall | StreamException

REQUEST_ID = "00000000-feed-4000-8000-000000000000"
"""Of every refusal."""

# Close at once and drop what is unsent: the other side sees a reset.
_LINGER_ZERO = struct.pack("ii", 1, 0)
_PATH = re.compile(r"/model/(?P<model>.+)/(?P<operation>converse|converse-stream)")
_STREAM_EXCEPTION_STATUS = {
    "internalServerException": 500,
    "modelStreamErrorException": 424,
    "validationException": 400,
    "throttlingException": 429,
    "serviceUnavailableException": 503,
}


class LoopbackBedrock:
    """The server; a context manager, and closing it also checks that no responder broke.

    `models` limits the model ids that exist; others get a 404. `chance` says what a call meets for
    which nothing is planned.
    """

    def __init__(
        self,
        responder: Responder = echo,
        models: Collection[str] | None = None,
        chance: Callable[[], Fault] = Ok,
    ) -> None:
        self.responder = responder
        self.models = models
        self._chance = chance
        self.endpoint_url = ""
        self.closing = threading.Event()
        self._lock = threading.Condition()
        self._calls: list[Call] = []
        self._queues: dict[str, deque[Fault]] = defaultdict(deque)
        self._always: dict[str, Fault] = {}

    def __enter__(self) -> Self:
        self._server = _Server(self)
        self.endpoint_url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="loopback-bedrock"
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        if exc is None and self._server.failures:
            raise RuntimeError("the loopback server broke") from self._server.failures[0]

    def close(self) -> None:
        """Stop at once: delays end, connections are cut, threads are joined."""
        self.closing.set()
        self._server.shutdown()
        self._server.cut()
        self._server.server_close()
        self._thread.join()

    @property
    def calls(self) -> list[Call]:
        """What was asked so far, in order of arrival."""
        with self._lock:
            return list(self._calls)

    def wait_for_calls(self, count: int, timeout_seconds: float = 5) -> bool:
        """Wait until so many calls have arrived; tell whether they have."""
        with self._lock:
            return self._lock.wait_for(lambda: len(self._calls) >= count, timeout_seconds)

    def plan(self, model_id: str, faults: Iterable[Fault]) -> None:
        """Queue what the next calls of a model meet, one each; after them it answers again."""
        with self._lock:
            self._queues[model_id].extend(faults)

    def always(self, model_id: str, fault: Fault) -> None:
        """Set what every call of a model meets once its queue is empty."""
        with self._lock:
            self._always[model_id] = fault

    def take(self, call: Call) -> Fault:
        """Record a call and say what it meets."""
        with self._lock:
            self._calls.append(call)
            self._lock.notify_all()
            if self.models is not None and call.model_id not in self.models:
                return Status(404, "ResourceNotFoundException", "Could not resolve the model.")
            queue = self._queues[call.model_id]
            if queue:
                return queue.popleft()
            return self._always.get(call.model_id) or self._chance()


class _Server(ThreadingHTTPServer):
    """Keeps hold of its connections, so that closing never waits for an idle client."""

    request_queue_size = 128  # benches open many connections at once
    daemon_threads = False  # so that server_close() joins them and no socket is left behind

    def __init__(self, bedrock: LoopbackBedrock) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bedrock = bedrock
        self.failures: list[BaseException] = []
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def close_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().close_request(request)

    def shutdown_request(self, request: Any) -> None:
        # The inherited one says goodbye first (FIN); a connection to be reset must not.
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == _LINGER_ZERO:
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def cut(self) -> None:
        """End every open connection: its handler reads end of file."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):  # the client went first
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        # A client that hung up is what half the faults are for; anything else is a bug to show.
        if error is not None and not isinstance(error, ConnectionError):
            self.failures.append(error)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet: the calls are recorded."""

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = _PATH.fullmatch(self.path.partition("?")[0])
        if path is None:
            self._refuse(Status(404, "UnknownOperationException", "no such operation"))
            return
        operation: Operation = "converse" if path["operation"] == "converse" else "converse-stream"
        try:
            request = json.loads(raw)
        except ValueError:
            self._refuse(Status(400, "SerializationException", "the body is not JSON"))
            return
        call = Call(unquote(path["model"]), operation, request)
        self._meet(call, self.server.bedrock.take(call))

    def _meet(self, call: Call, fault: Fault) -> None:
        match fault:
            case Status():
                self._refuse(fault)
            case Reset():
                self._reset()
            case Garbage(body):
                self._send(200, _content_type(call), body)
            case Delay(seconds) if self._closes_within(seconds):
                self.close_connection = True
            case _:
                self._answer(call, fault)

    def _closes_within(self, seconds: float) -> bool:
        return self.server.bedrock.closing.wait(seconds)

    def _answer(self, call: Call, fault: Fault) -> None:
        refusal = complaint(call.request)
        if refusal is not None:
            self._refuse(Status(400, "ValidationException", refusal))
            return
        reply = self.server.bedrock.responder(call.model_id, call.request)
        if call.operation == "converse":
            self._answer_whole(reply, fault)
        else:
            self._answer_stream(reply, fault)

    def _answer_whole(self, reply: Reply, fault: Fault) -> None:
        body = reply_body(reply)
        match fault:
            case ResetMidStream():
                self._head(200, "application/json", {"Content-Length": str(len(body))})
                self.wfile.write(body[: len(body) // 2])
                self._reset()
            case StreamException(error_type, _, message):
                status = _STREAM_EXCEPTION_STATUS[_lower_first(error_type)]
                self._refuse(Status(status, error_type[:1].upper() + error_type[1:], message))
            case _:
                self._send(200, "application/json", body)

    def _answer_stream(self, reply: Reply, fault: Fault) -> None:
        frames = reply_frames(reply)
        if isinstance(fault, ResetMidStream | StreamException):
            frames = frames[: fault.after_events]
        if isinstance(fault, StreamException):
            frames.append(eventstream.exception(_lower_first(fault.error_type), fault.message))
        self._head(200, eventstream.CONTENT_TYPE, {"Transfer-Encoding": "chunked"})
        for number, frame in enumerate(frames):
            if isinstance(fault, Stall) and number == fault.after_events:
                self._closes_within(fault.seconds)
            self._chunk(frame)
        if isinstance(fault, ResetMidStream):
            self._reset()
        else:
            self._chunk(b"")

    def _refuse(self, status: Status) -> None:
        body = json.dumps({"message": status.message}).encode()
        headers = {"x-amzn-errortype": status.error_type, "x-amzn-requestid": REQUEST_ID}
        self._send(status.code, "application/json", body, headers)

    def _send(
        self, code: int, content_type: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        self._head(code, content_type, {"Content-Length": str(len(body)), **(headers or {})})
        self.wfile.write(body)

    def _head(self, code: int, content_type: str, headers: Mapping[str, str]) -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self.close_connection = True


def _content_type(call: Call) -> str:
    return "application/json" if call.operation == "converse" else eventstream.CONTENT_TYPE


def _lower_first(name: str) -> str:
    return name[:1].lower() + name[1:]
