"""Read the API's answers strictly, and write the bodies that tests send."""

import json
from typing import Any

from classifier.http import Response

CANARY = "canary-7f3a"
HELLO = [{"role": "user", "content": CANARY}]

PATHS = ["/v1/chat/completions", "/v1/route"]


def read(response: Response) -> bytes:
    return b"".join(response.body)


def read_json(response: Response) -> Any:
    assert response.headers["content-type"] == "application/json"
    return json.loads(read(response), parse_constant=_no_constant)


def _no_constant(name: str) -> object:
    raise AssertionError(f"{name} is no JSON")


def error_of(response: Response) -> dict[str, Any]:
    """Look at the shape OpenAI's clients expect, and that the sentence is for people."""
    body = read_json(response)
    assert body.keys() == {"error"}
    error: dict[str, Any] = body["error"]
    assert error.keys() == {"message", "type", "code", "param"}
    assert error["type"] == ("server_error" if response.status >= 500 else "invalid_request_error")
    assert error["message"].endswith(".")
    assert "\n" not in error["message"]
    assert len(error["message"]) < 1_000
    assert CANARY not in json.dumps(body)
    return error


def events_of(body: bytes) -> list[Any]:
    """Parse server-sent events strictly: `data: ` lines, each ended by an empty one."""
    text = body.decode()
    assert text.endswith("\n\n")
    events = text.removesuffix("\n\n").split("\n\n")
    assert all(event.startswith("data: ") and "\n" not in event for event in events)
    payloads = [event.removeprefix("data: ") for event in events]
    return [one if one == "[DONE]" else json.loads(one) for one in payloads]


def message(**fields: object) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": CANARY, **fields}]}).encode()


def body(**fields: object) -> bytes:
    return json.dumps({"messages": HELLO, **fields}).encode()
