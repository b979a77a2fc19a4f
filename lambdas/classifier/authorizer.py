"""API Gateway's token authorizer: a good key becomes a policy, all else one word.

A function of its own, because it must start fast and the classifier carries a model. It loads
neither numpy nor onnxruntime nor pydantic.
"""

import json
import logging
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol

from classifier.authorizer_settings import AuthorizerSettings
from regroup.adapters.dynamodb_keys import DynamoKeyStore
from regroup.domain.budget import Budget
from regroup.domain.keys import KeyRecord, Token, parse_token, verify
from regroup.errors import StoreError

_log = logging.getLogger(__name__)


class KeyStore(Protocol):
    """Knows the keys."""

    def get(self, key_id: str) -> KeyRecord | None:
        """Return a key's record, or None where there is no such key.

        Raises:
            StoreError: the store did not answer.
        """
        ...


class UnauthorizedError(Exception):
    """API Gateway answers 401 to exactly this word, and 500 to any other error.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html
    """

    def __init__(self) -> None:
        """Say the word, and never why: unknown, wrong, expired and revoked look alike."""
        super().__init__("Unauthorized")


def authorize(event: Mapping[str, Any], store: KeyStore, now: float) -> dict[str, Any]:
    """Return the policy for a TOKEN event at `now` (seconds since 1970).

    Its context carries the key id and the limits of the key's budget to the classifier, which has
    no need to read the key then: `key_id`, and where they are set `daily_usd_micros` and
    `daily_tokens`, all as text. API Gateway keeps policy and context for 60 seconds, so a changed
    budget, like a revoked key, takes effect within that time.

    Raises:
        UnauthorizedError: the key is absent, malformed, unknown, wrong, expired or revoked.
        StoreError: the keys could not be read, which is not the caller's fault.
    """
    token = _token(event.get("authorizationToken"))
    record = store.get(token.key_id)
    if record is None or not verify(record, token.secret, now):
        raise UnauthorizedError
    context = {"key_id": token.key_id, **_limits(record.budget)}
    return _policy(token.key_id, str(event["methodArn"]), context)


def lambda_handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Handle one authorizer event."""
    try:
        return authorize(event, _key_store(), time.time())
    except StoreError as error:
        # The cause's kind only: neither the token nor what the SDK quotes of the request.
        line = {"event": "key_store_failed", "error": str(error), "cause": _name(error.__cause__)}
        _log.error(json.dumps(line))
        raise


@lru_cache(maxsize=1)
def _key_store() -> KeyStore:
    """Build the store on the first call, so that importing this module needs no environment."""
    return DynamoKeyStore.connect(AuthorizerSettings.from_environment().keys_table)


def _token(header: object) -> Token:
    scheme, _, text = header.partition(" ") if isinstance(header, str) else ("", "", "")
    token = parse_token(text.strip()) if scheme.lower() == "bearer" else None
    if token is None:
        raise UnauthorizedError
    return token


def _limits(budget: Budget) -> dict[str, str]:
    limits = {"daily_usd_micros": budget.usd_micros, "daily_tokens": budget.tokens}
    return {name: str(limit) for name, limit in limits.items() if limit is not None}


def _policy(key_id: str, method_arn: str, context: Mapping[str, str]) -> dict[str, Any]:
    # arn:aws:execute-api:<region>:<account>:<api>/<stage>/<method>/<path>. API Gateway caches the
    # policy by token, whatever the path was, so it has to name every path of the stage.
    api, stage, *_ = method_arn.split("/")
    statement = {
        "Action": "execute-api:Invoke",
        "Effect": "Allow",
        "Resource": f"{api}/{stage}/*",
    }
    return {
        "principalId": key_id,
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": context,
    }


def _name(error: BaseException | None) -> str:
    return type(error).__name__
