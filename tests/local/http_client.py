"""A plain HTTP client for the loopback gateway, down to raw bytes where a test needs them."""

import http.client
import json
import socket
from collections.abc import Mapping
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from tests.local.gateway import LoopbackGateway

KEY = "Bearer good"


class Reply:
    """A whole answer."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str]:
        """Status and code, after a look at the shape OpenAI's clients expect."""
        error = self.json["error"]
        assert error.keys() == {"message", "type", "code", "param"}
        assert error["message"].endswith(".")
        assert self.headers["Content-Type"] == "application/json"
        return self.status, error["code"]


def ask(
    gateway: LoopbackGateway,
    method: str = "POST",
    path: str = "/v1/chat/completions",
    body: bytes = b"{}",
    key: str | None = KEY,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Send one request on a connection of its own."""
    headers = {**(headers or {}), **({} if key is None else {"Authorization": key})}
    with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)) as connection:
        connection.request(method, path, body, headers)
        return Reply(connection.getresponse())


def fetch(url: str) -> Reply:
    """Get what lies at a loopback address."""
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(parts.netloc, timeout=20)) as connection:
        connection.request("GET", parts.path)
        return Reply(connection.getresponse())


def raw(gateway: LoopbackGateway, request: bytes) -> Reply:
    """Send bytes as they are and read one answer."""
    with closing(socket.create_connection(("127.0.0.1", gateway.port), timeout=20)) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        with closing(response):
            response.begin()
            return Reply(response)
