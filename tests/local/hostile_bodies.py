"""Bodies that no well-meaning client sends, and how each must be refused."""

import gzip
import json
from base64 import b64encode
from typing import Any

DEPTH = 100_000
PNG = b"\x89PNG\r\n\x1a\n"
"""What the first bytes of every PNG are."""

type Refusal = tuple[int, str]
"""Status and code."""


def data_url(content: bytes, kind: str = "png") -> str:
    """Return an image in a URL."""
    return f"data:image/{kind};base64,{b64encode(content).decode()}"


def image_body(url: str, **fields: object) -> dict[str, Any]:
    """Return a body that shows one image."""
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    return {"messages": [{"role": "user", "content": parts}], **fields}


def said(content: str, more: str = "") -> bytes:
    """Return a body whose content stands there as it is, JSON or not."""
    return f'{{"messages": [{{"role": "user", "content": {content}}}]{more}}}'.encode(
        "utf-8", "surrogatepass"
    )


def with_tool(parameters: object) -> bytes:
    """Return a body that offers one tool."""
    function = {"name": "look", "parameters": parameters}
    tools = json.dumps([{"type": "function", "function": function}])
    return said('"hello"', f', "tools": {tools}')


def nested(levels: int) -> dict[str, Any]:
    """Return objects in objects."""
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


VALID = said('"hello"')

HOSTILE: dict[str, tuple[bytes, Refusal]] = {
    "nothing": (b"", (400, "empty_body")),
    "white space": (b" \r\n\t", (400, "empty_body")),
    "a list": (b"[1, 2]", (400, "invalid_json")),
    "a string": (b'"messages"', (400, "invalid_json")),
    "cut off": (VALID[:-3], (400, "invalid_json")),
    "cut off in a character": (said('"東京"')[:-7], (400, "invalid_json")),
    "two bodies": (VALID * 2, (400, "invalid_json")),
    "lists nested deep, never closed": (b"[" * DEPTH, (400, "invalid_json")),
    "lists nested deep": (said("[" * DEPTH + "]" * DEPTH), (400, "invalid_json")),
    "objects nested deep": (said('{"a":' * DEPTH + "1" + "}" * DEPTH), (400, "invalid_json")),
    "a schema nested deeper than is sent on": (with_tool(nested(200)), (400, "invalid_field")),
    "not a number": (said('"hello"', ', "temperature": NaN'), (400, "invalid_json")),
    "infinity": (said('"hello"', ', "temperature": Infinity'), (400, "invalid_json")),
    "minus infinity": (said('"hello"', ', "x": {"y": [-Infinity]}'), (400, "invalid_json")),
    "more than a float holds": (said('"hello"', ', "temperature": 1e999'), (400, "invalid_field")),
    "an infinite weight": (
        said('"hello"', ', "regroup": {"cost_weight": 1e999}'),
        (400, "invalid_field"),
    ),
    "an integer of 10,000 digits": (
        said('"hello"', f', "max_tokens": {"9" * 10_000}'),
        (400, "invalid_json"),
    ),
    "minus a huge integer": (
        said('"hello"', f', "max_tokens": -{"9" * 4_000}'),
        (400, "invalid_field"),
    ),
    "a fraction of a token": (said('"hello"', ', "max_tokens": 1.5'), (400, "invalid_field")),
    "the same key twice": (said('"hello", "content": "goodbye"'), (400, "invalid_json")),
    "the same key twice, once escaped": (
        said('"hello"', ', "model": "haiku", "\\u006dodel": "sonnet"'),
        (400, "invalid_json"),
    ),
    "half a surrogate pair": (said('"half \\ud83d"'), (422, "invalid_unicode")),
    "half a surrogate pair as a key": (said('"hello"', ', "\\udfff": 1'), (422, "invalid_unicode")),
    "surrogates the wrong way round": (said('"\\ude00\\ud83d"'), (422, "invalid_unicode")),
    "a surrogate in UTF-8": (said('"\ud83d"'), (400, "invalid_json")),
    "NUL, not escaped": (said('"a\x00b"'), (400, "invalid_json")),
    "a line break, not escaped": (said('"a\nb"'), (400, "invalid_json")),
    "gzip": (gzip.compress(VALID, mtime=0), (400, "invalid_json")),
    "UTF-16": (VALID.decode().encode("utf-16"), (400, "invalid_json")),
    "Latin-1": ('{"messages": "é"}'.encode("latin-1"), (400, "invalid_json")),
    "a byte order mark": (b"\xef\xbb\xbf" + VALID, (400, "invalid_json")),
    "an image that is not base64": (
        json.dumps(image_body("data:image/png;base64,!!!")).encode(),
        (400, "invalid_image"),
    ),
    "an image whose base64 is cut off": (
        json.dumps(image_body(data_url(PNG)[:-1])).encode(),
        (400, "invalid_image"),
    ),
    "an image that is none": (
        json.dumps(image_body(data_url(b"#!/bin/sh\n"))).encode(),
        (400, "invalid_image"),
    ),
    "an image of another kind": (
        json.dumps(image_body(data_url(PNG, "jpeg"))).encode(),
        (400, "invalid_image"),
    ),
    "an image elsewhere": (
        json.dumps(image_body("http://169.254.169.254/latest/meta-data/")).encode(),
        (422, "remote_image"),
    ),
    "an image in a file": (
        json.dumps(image_body("file:///etc/passwd")).encode(),
        (400, "invalid_image"),
    ),
    "a form": (b"messages=hello&model=regroup", (400, "invalid_json")),
    "XML": (b'<?xml version="1.0"?><messages/>', (400, "invalid_json")),
}
