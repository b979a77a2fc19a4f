"""The Lambda proxy adapter: an API Gateway REST event in, its response out; nothing else."""

import time
from base64 import b64decode
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol

from classifier.bootstrap import Application, build_application
from classifier.http import Request
from classifier.settings import Settings
from regroup.domain.fallback import Deadline

_MARGIN_SECONDS = 1.0
"""Kept back to record the interaction and to answer before the gateway hangs up."""


class Context(Protocol):
    """What the handler uses of Lambda's context."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Return the time until Lambda ends the invocation."""
        ...


@lru_cache(maxsize=1)
def application() -> Application:
    """Build the application on the first call, so that importing this module does nothing."""
    return build_application(Settings.from_environment())


def lambda_handler(event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Handle one REST API request; the pieces of the body are joined, as the proxy demands."""
    app = application()
    with app.telemetry.invocation(context.aws_request_id):
        response = app.api.handle(_request(event, context))
        return {
            "statusCode": response.status,
            "headers": dict(response.headers),
            "body": b"".join(response.body).decode(),
            "isBase64Encoded": False,
        }


def _request(event: Mapping[str, Any], context: Context) -> Request:
    text = event.get("body") or ""
    body = (
        b64decode(text) if event.get("isBase64Encoded") else text.encode("utf-8", "surrogatepass")
    )
    seconds = context.get_remaining_time_in_millis() / 1000 - _MARGIN_SECONDS
    authorizer = (event.get("requestContext") or {}).get("authorizer") or {}
    return Request(
        method=event["httpMethod"],
        path=event["path"],
        body=body,
        deadline=Deadline(time.monotonic() + seconds),
        key_id=authorizer.get("key_id"),
    )
