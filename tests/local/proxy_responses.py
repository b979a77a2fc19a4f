"""What a REST API answers: a Lambda proxy response as HTTP, or the gateway's own refusal."""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_JSON = ("Content-Type", "application/json")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer; the length is the server's to add."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class StreamedAnswer:
    """An HTTP answer that is still coming."""

    status: int
    headers: tuple[tuple[str, str], ...]
    pieces: Iterator[bytes]


class GatewayError(Exception):
    """The gateway answers itself, in the shape OpenAI's clients read."""

    def __init__(
        self, status: HTTPStatus, code: str, message: str, kind: str = "invalid_request_error"
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.kind = kind

    def answer(self) -> Answer:
        """Return it as HTTP."""
        error = {"message": str(self), "type": self.kind, "code": self.code, "param": None}
        return Answer(self.status, (_JSON,), json.dumps({"error": error}).encode())


class MalformedResponseError(Exception):
    """The function returned something that is no proxy response; the text says what is wrong."""


def to_http(response: object) -> Answer:
    """Read a Lambda proxy response as API Gateway does.

    Raises:
        MalformedResponseError: API Gateway would answer 502.
    """
    if not isinstance(response, Mapping):
        raise MalformedResponseError(f"a {type(response).__name__} instead of an object")
    status = response.get("statusCode")
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise MalformedResponseError(f"statusCode is {status!r}")
    headers = tuple(_headers(response))
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers = (*headers, _JSON)
    return Answer(status, headers, _body(response))


def _body(response: Mapping[str, Any]) -> bytes:
    body = response.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise MalformedResponseError(f"body is a {type(body).__name__} instead of a string")
    try:
        if response.get("isBase64Encoded"):
            return base64.b64decode(body, validate=True)
        return body.encode()
    except (binascii.Error, ValueError) as error:
        raise MalformedResponseError(f"body cannot be decoded: {error}") from error


def _headers(response: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what may be passed on; a name in both maps is taken from the one with many values."""
    many = _mapping(response, "multiValueHeaders")
    named = {name.lower() for name in many}
    single = {
        name: [value]
        for name, value in _mapping(response, "headers").items()
        if str(name).lower() not in named
    }
    for name, values in {**single, **many}.items():
        if not isinstance(values, list):
            raise MalformedResponseError(f"multiValueHeaders[{name!r}] is no list")
        for value in values:
            text = _header(name, value)
            if name.lower() not in HOP_BY_HOP | {"content-length"}:
                yield name, text


def _mapping(response: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = response.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise MalformedResponseError(f"{key} is a {type(value).__name__} instead of an object")
    return value


def _header(name: str, value: object) -> str:
    if isinstance(value, bool):
        value = str(value).lower()
    text = str(value) if isinstance(value, str | int | float) else "\n"
    # A line break in a value would let the function write headers, or a second answer.
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(text):
        raise MalformedResponseError(f"the header {name!r} cannot be sent")
    return text
