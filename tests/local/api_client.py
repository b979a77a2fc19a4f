"""Requests to the served API, as a plain client sends them."""

import http.client
import json
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.local.stack import LocalStack


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back over HTTP; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body as JSON."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


def send(
    stack: LocalStack,
    path: str,
    body: bytes | None = None,
    *,
    method: str = "POST",
    key: str | None = None,
) -> Reply:
    """Send one request; `key` is the stack's own unless given, and an empty one sends none."""
    address = urlsplit(stack.url)
    token = stack.key if key is None else key
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    with closing(connection):
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, found, answer.read())


def post(stack: LocalStack, path: str, body: object, *, key: str | None = None) -> Reply:
    """Send one body as JSON."""
    return send(stack, path, json.dumps(body).encode(), key=key)


def decisions(stack: LocalStack) -> list[dict[str, Any]]:
    """Return every decision line that the classifier has written."""
    lines = [json.loads(line) for line in stack.function.log_lines if '"decision"' in line]
    return [line for line in lines if line.get("event") == "decision"]
