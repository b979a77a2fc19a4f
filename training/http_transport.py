"""Requests to a served API over urllib, which every Python has."""

import json
from http.client import HTTPException, HTTPResponse
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPErrorProcessor, Request, build_opener

from regroup.errors import ConfigurationError
from training.smoke import Call, Reply, Transport

_ANSWER_SECONDS = 35.0
"""Longer than API Gateway waits for the function."""
_MOST_BODY_BYTES = 1_000_000
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def http_transport(url: str, timeout_seconds: float = _ANSWER_SECONDS) -> Transport:
    """Return what sends requests to the API at an address.

    Raises:
        ConfigurationError: a key would go there unencrypted, or the address is none.
    """
    base = _base_of(url)
    opener = build_opener(_EveryAnswer)

    def send(call: Call) -> Reply:
        headers = {"User-Agent": "regroup", "Content-Type": "application/json"}
        if call.token is not None:
            headers["Authorization"] = f"Bearer {call.token}"
        body = None if call.body is None else json.dumps(call.body).encode()
        request = Request(base + call.path, body, headers, method=call.method)  # noqa: S310
        try:
            with opener.open(request, timeout=timeout_seconds) as answer:
                found = {name.lower(): value for name, value in answer.headers.items()}
                return Reply(answer.status, found, answer.read(_MOST_BODY_BYTES))
        except URLError as error:
            raise OSError(str(error.reason)) from error
        except HTTPException as error:
            raise OSError(f"what came is no whole answer ({type(error).__name__})") from error

    return send


class _EveryAnswer(HTTPErrorProcessor):
    """Takes any status as an answer; so no key follows a redirection to another address."""

    def http_response(self, request: Request, response: HTTPResponse) -> HTTPResponse:
        """Return the response as it came."""
        return response

    https_response = http_response


def _base_of(url: str) -> str:
    """Return where the API is served; a client's base_url, with /v1, will do as well."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        parts, host = urlsplit(""), None
    if not host or (parts.scheme, host in _LOOPBACK) not in _SAFE:
        raise ConfigurationError(
            f"--url is {url!r}: give Terraform's output api_url, which begins with https://; no key"
            " is sent unencrypted"
        )
    return url.rstrip("/").removesuffix("/v1")


_SAFE = frozenset({("https", False), ("https", True), ("http", True)})
"""Scheme, and whether it stays on this machine."""
