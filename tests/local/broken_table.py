"""DynamoDB tables that fail, hang or answer nonsense, and items that someone else wrote.

with broken_table("hangs") as client:
    client.get_item(TableName="any", Key=...)
"""

import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.config import Config
from hypothesis import strategies as st

from regroup.errors import StoreError
from tests.local.aws import REGION

type Client = Any
"""A boto3 client of DynamoDB, which refuses no parameter before it is asked."""


def _answer(status: int, body: bytes, *, length: int | None = None) -> bytes:
    head = (
        f"HTTP/1.1 {status} Any\r\nContent-Type: application/x-amz-json-1.0\r\n"
        f"Content-Length: {len(body) if length is None else length}\r\n\r\n"
    )
    return head.encode() + body


_HANGS = {"hangs": b"", "hangs after the head": _answer(200, b"{", length=100)}

_ANSWERS = {
    "throttles": _answer(400, b'{"__type":"com.amazonaws#ThrottlingException"}'),
    "denies": _answer(400, b'{"__type":"com.amazonaws#AccessDeniedException"}'),
    "fails": _answer(500, b'{"__type":"InternalServerError"}'),
    "fails in HTML": _answer(503, b"<html>busy</html>"),
    "hangs up": b"",
    "speaks no HTTP": b"\0\1\2\r\n\r\n",
    "answers a list": _answer(200, b"[]"),
    "answers null": _answer(200, b"null"),
    "answers no UTF-8": _answer(200, b"\xff\xfe"),
    "answers too deep": _answer(200, b"[" * 100_000),
}

FAULTS = (*_ANSWERS, *_HANGS, "is not there")
"""Every way in which a table can fail a caller, by name."""

ODD_EXPIRIES: Mapping[str, Callable[[float], dict[str, Any]]] = {
    "milliseconds": lambda now: {"N": str(int(now * 1000))},
    "later in milliseconds": lambda now: {"N": str(int((now + 60) * 1000))},
    "zero": lambda _: {"N": "0"},
    "negative": lambda _: {"N": "-1"},
    "huge": lambda _: {"N": "1e30"},
    "text": lambda now: {"S": str(int(now) + 60)},
    "null": lambda _: {"NULL": True},
}
"""What `expire_at` may hold that is no later time in seconds."""

odd_attributes: st.SearchStrategy[object] = st.fixed_dictionaries(
    {},
    optional={
        "S": st.text(max_size=3) | st.none(),
        "N": st.integers().map(str)
        | st.floats().map(str)
        | st.sampled_from(["1e400", "1" * 5_000, "", "NaN", "0x1"])
        | st.none(),
        "NULL": st.booleans(),
        "M": st.just({}),
    },
) | st.sampled_from([None, [], "text", 5])
"""Attributes as they come, and some that no table would hold."""


@contextmanager
def broken_table(fault: str) -> Iterator[Client]:
    """Yield a client of an endpoint that meets every call with one of `FAULTS`."""
    with ExitStack() as stack:
        port = 1  # where nothing listens
        if fault != "is not there":
            answer = _HANGS[fault] if fault in _HANGS else _ANSWERS[fault]
            server = stack.enter_context(_Server(answer, hangs=fault in _HANGS))
            stack.enter_context(server.running())
            port = server.server_address[1]
        client = _client(port)
        stack.callback(client.close)
        yield client


def check_store_errors(sentence: str, *calls: Callable[[], object]) -> None:
    """Check that each call raises a `StoreError` of such a sentence, and nothing of the SDK's."""
    for call in calls:
        with pytest.raises(StoreError, match=rf"^{sentence}$") as caught:
            call()
        assert caught.value.__cause__ is not None


class OneItem:
    """A table that holds one item under every key: thousands of them would be slow over HTTP."""

    def __init__(self, item: Mapping[str, Any]) -> None:
        self._item = item

    def get_item(self, **_: object) -> dict[str, Any]:
        """Return the item, which need not be one that DynamoDB would hold."""
        return {"Item": self._item}


class _Server(socketserver.ThreadingTCPServer):
    """Gives every connection the same bytes."""

    def __init__(self, answer: bytes, *, hangs: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.hangs = hangs
        self.closing = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield
        finally:
            self.closing.set()
            self.shutdown()
            thread.join()


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        length = 0
        while (line := self.rfile.readline().lower()) not in (b"", b"\r\n"):
            name, _, value = line.partition(b":")
            length = int(value) if name == b"content-length" else length
        self.rfile.read(length)  # else closing would reset the connection under the answer
        self.wfile.write(self.server.answer)
        if self.server.hangs:
            self.server.closing.wait()


@cache
def _session() -> boto3.Session:
    return boto3.Session(aws_access_key_id="none", aws_secret_access_key="none")


def _client(port: int) -> Client:
    # Short: where a busy machine takes longer, that is one more failure of the table.
    config = Config(connect_timeout=0.1, read_timeout=0.1, retries={"total_max_attempts": 1})
    make: Any = _session().client
    return make(
        "dynamodb",
        region_name=REGION,
        endpoint_url=f"http://127.0.0.1:{port}",
        config=config,
    )
