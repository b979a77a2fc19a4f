"""Parse a request body strictly: what Python's parser lets through, callers would regret."""

import json
import re

from regroup.errors import BadRequestError, TooLargeError, UnprocessableError

MAX_BODY_BYTES = 6 * 1024 * 1024
"""What Lambda accepts in one synchronous event."""

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""An escaped half of a surrogate pair; the only way for one to come in UTF-8."""


def parse_json(body: bytes) -> dict[str, object]:
    """Parse a request body strictly.

    Raises:
        TooLargeError: over the gateway's limit; nothing was parsed.
        UnprocessableError: a lone surrogate, which is no character.
        BadRequestError: empty, not UTF-8, not JSON, not an object, a key twice, NaN, too deep.
    """
    if len(body) > MAX_BODY_BYTES:
        raise TooLargeError(
            f"The body has {len(body)} bytes; at most {MAX_BODY_BYTES} are taken.",
            code="request_too_large",
        )
    if not body.strip():
        raise BadRequestError("The body is empty; send a JSON object.", code="empty_body")
    try:
        parsed = json.loads(
            body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant
        )
    except RecursionError as error:
        raise BadRequestError("The body is nested too deeply.", code="invalid_json") from error
    except ValueError as error:
        raise BadRequestError(_json_sentence(error), code="invalid_json") from error
    if not isinstance(parsed, dict):
        raise BadRequestError("The body must be a JSON object.", code="invalid_json")
    if _SURROGATE.search(body):
        _refuse_lone_surrogates(parsed)
    return parsed


def _refuse_lone_surrogates(parsed: object) -> None:
    """Refuse text that no encoder, digest or table can hold; two escaped halves are a character."""
    try:
        json.dumps(parsed, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise UnprocessableError(
            "The body holds half of a surrogate pair, which is no character; "
            "send the text as valid Unicode.",
            code="invalid_unicode",
        ) from error


class _NotStrictError(ValueError):
    """What Python's parser would let through; the message is written for the caller."""


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _NotStrictError("a key stands twice in one object")
    return fields


def _refuse_constant(name: str) -> object:
    raise _NotStrictError(f"{name} is not JSON")


def _json_sentence(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"The body is not JSON: {error.msg}, line {error.lineno} column {error.colno}."
    if isinstance(error, UnicodeDecodeError):
        return "The body is not UTF-8."
    if isinstance(error, _NotStrictError):
        return f"The body is not JSON: {error}."
    return "The body holds a number with too many digits."
