"""The event that API Gateway's REST API hands to a Lambda proxy integration (format 1.0)."""

import base64
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

REGION = "ap-northeast-1"
ACCOUNT_ID = "123456789012"
"""The account moto plays; it stands in every ARN."""
API_ID = "loopback"


def method_arn(method: str, path: str, *, stage: str = "local") -> str:
    """Return the ARN an authorizer is asked about and a policy names."""
    api = f"arn:aws:execute-api:{REGION}:{ACCOUNT_ID}:{API_ID}"
    return f"{api}/{stage}/{method}/{path.lstrip('/')}"


def token_event(
    authorization: str, method: str, path: str, *, stage: str = "local"
) -> dict[str, Any]:
    """Return the event of a TOKEN authorizer."""
    return {
        "type": "TOKEN",
        "authorizationToken": authorization,
        "methodArn": method_arn(method, path, stage=stage),
    }


def proxy_event(
    method: str,
    path: str,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    *,
    authorizer: Mapping[str, Any] | None,
    request_id: str,
    stage: str = "local",
    now_ms: int = 0,
) -> dict[str, Any]:
    """Return the event of one request; `path` may carry a query string.

    A body that is UTF-8 arrives as text and any other as base64, as with a REST API whose binary
    media types match the request; an empty one arrives as None.
    """
    path, _, query_string = path.partition("?")
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    query: dict[str, list[str]] = {}
    for name, value in parse_qsl(query_string, keep_blank_values=True):
        query.setdefault(name, []).append(value)
    text, encoded = _body(body)
    many = _many(pairs)
    context: dict[str, Any] = {
        "accountId": ACCOUNT_ID,
        "apiId": API_ID,
        "stage": stage,
        "requestId": request_id,
        "extendedRequestId": request_id,
        "resourceId": "loopback",
        "resourcePath": "/{proxy+}",
        "path": f"/{stage}{path}",
        "httpMethod": method,
        "protocol": "HTTP/1.1",
        "requestTimeEpoch": now_ms,
        "domainName": "127.0.0.1",
        "identity": {"sourceIp": "127.0.0.1", "userAgent": _last(many, "user-agent")},
    }
    if authorizer is not None:
        context["authorizer"] = dict(authorizer)
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": {name: values[-1] for name, values in many.items()} or None,
        "multiValueHeaders": many or None,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": {"proxy": unquote(path).lstrip("/")},
        "stageVariables": None,
        "requestContext": context,
        "body": text,
        "isBase64Encoded": encoded,
    }


def _body(body: bytes) -> tuple[str | None, bool]:
    if not body:
        return None, False
    try:
        return body.decode("utf-8"), False
    except UnicodeDecodeError:
        return base64.b64encode(body).decode("ascii"), True


def _many(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Collect the values of a header under the spelling that came first, as API Gateway does."""
    spelling: dict[str, str] = {}
    many: dict[str, list[str]] = {}
    for name, value in pairs:
        many.setdefault(spelling.setdefault(name.lower(), name), []).append(value)
    return many


def _last(many: Mapping[str, list[str]], name: str) -> str | None:
    return next((values[-1] for key, values in many.items() if key.lower() == name), None)
