"""The Lambda proxy adapter: an API Gateway REST event in, its response out; nothing else."""

import binascii
import time
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Protocol

from classifier.bootstrap import Application
from classifier.http import Request, Response, internal_error
from regroup.domain.budget import Budget
from regroup.domain.fallback import Deadline

_MARGIN_SECONDS = 2.0
"""Kept back to record the interaction and to answer before the gateway hangs up."""


class Context(Protocol):
    """What the handler uses of Lambda's context."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Return the time until Lambda ends the invocation."""
        ...


def handle(app: Application, event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Answer one proxy event with one application."""
    seconds = context.get_remaining_time_in_millis() / 1000 - _MARGIN_SECONDS
    deadline = Deadline(time.monotonic() + seconds)
    with app.telemetry.invocation(context.aws_request_id):
        try:
            return proxy_response(app.api.handle(request_of(event, deadline)))
        except Exception as error:
            # Lambda would log the error's text, and that may quote the prompt.
            app.telemetry.failure("internal error", error)
            app.telemetry.count("InternalErrors")
            return proxy_response(internal_error())


def request_of(event: Mapping[str, Any], deadline: Deadline) -> Request:
    """Return what the API looks at of a proxy event."""
    authorizer = (event.get("requestContext") or {}).get("authorizer") or {}
    return Request(
        method=event["httpMethod"],
        path=event["path"],
        body=_body(event),
        deadline=deadline,
        key_id=authorizer.get("key_id"),
        budget=Budget(
            usd_micros=_whole(authorizer.get("daily_usd_micros")),
            tokens=_whole(authorizer.get("daily_tokens")),
        ),
    )


def proxy_response(response: Response) -> dict[str, Any]:
    """Return a response as the proxy demands it, the pieces of its body joined."""
    try:
        body = b"".join(response.body)
    finally:
        close = getattr(response.body, "close", None)
        if close is not None:
            close()
    return {
        "statusCode": response.status,
        "headers": dict(response.headers),
        "body": body.decode(),
        "isBase64Encoded": False,
    }


def _whole(text: str | None) -> int | None:
    return None if text is None else int(text)


def _body(event: Mapping[str, Any]) -> bytes:
    text: str = event.get("body") or ""
    if event.get("isBase64Encoded"):
        try:
            return b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            pass  # Taken as it came; unless it is JSON after all, the API says that it is not.
    return text.encode("utf-8", "surrogatepass")
