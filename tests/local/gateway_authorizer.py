"""How a REST API uses a TOKEN authorizer: ask, cache by token, apply the policy."""

import logging
import re
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from tests.local.proxy_events import token_event
from tests.local.proxy_responses import GatewayError

type Authorizer = Callable[[dict[str, Any]], dict[str, Any]]
"""From a TOKEN event to a policy; an error whose text is "Unauthorized" is a refusal."""

CACHE_SECONDS = 60.0

_NO_KEY = "No API key: send `Authorization: Bearer rg-...`."
_INCORRECT = "Incorrect API key provided."

_log = logging.getLogger(__name__)


class AuthorizerGate:
    """Lets a request in and returns what the authorizer says about its sender."""

    def __init__(self, authorizer: Authorizer, clock: Callable[[], float]) -> None:
        """`clock` gives seconds; only differences count."""
        self._authorizer = authorizer
        self._clock = clock
        self._lock = threading.Lock()
        self._policies: dict[str, tuple[float, dict[str, Any]]] = {}

    def admit(self, authorization: str | None, method: str, path: str) -> dict[str, Any]:
        """Return what stands in `requestContext.authorizer`.

        Raises:
            GatewayError: 401 without a good key, 403 where the policy does not allow it, 500 where
                the authorizer failed.
        """
        if not authorization:
            # API Gateway does not even ask the authorizer.
            raise _unauthorized(_NO_KEY)
        event = token_event(authorization, method, path)
        policy = self._cached(authorization)
        if policy is None:
            policy = self._ask(event)
            # As in API Gateway only policies are cached: a refused key may work a moment later.
            with self._lock:
                self._policies[authorization] = (self._clock() + CACHE_SECONDS, policy)
        try:
            allowed = is_allowed(policy["policyDocument"], event["methodArn"])
            context = _context(policy)
        except (KeyError, TypeError, AttributeError) as error:
            raise _failed(error) from error
        if not allowed:
            raise GatewayError(
                HTTPStatus.FORBIDDEN,
                "forbidden",
                "This API key may not do this.",
                "permission_error",
            )
        return context

    def _cached(self, authorization: str) -> dict[str, Any] | None:
        with self._lock:
            expires, policy = self._policies.get(authorization, (0.0, None))
        return policy if policy is not None and self._clock() < expires else None

    def _ask(self, event: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._authorizer(event)
        except Exception as error:
            if str(error) == "Unauthorized":
                # A shell whose variable is not set sends the scheme alone.
                sentence = _INCORRECT if _holds_key(str(event["authorizationToken"])) else _NO_KEY
                raise _unauthorized(sentence) from None
            raise _failed(error) from error


def is_allowed(document: Mapping[str, Any], method_arn: str) -> bool:
    """Apply a policy document: a Deny wins, and what nothing allows is denied."""
    effects = {
        statement["Effect"]
        for statement in document["Statement"]
        if any(_matches(resource, method_arn) for resource in _list(statement["Resource"]))
        and any(_matches(action, "execute-api:Invoke") for action in _list(statement["Action"]))
    }
    return "Allow" in effects and "Deny" not in effects


def _holds_key(authorization: str) -> bool:
    scheme, _, key = authorization.strip().partition(" ")
    return scheme.lower() == "bearer" and bool(key)


def _context(policy: Mapping[str, Any]) -> dict[str, Any]:
    context: dict[str, Any] = {"principalId": policy["principalId"]}
    for name, value in policy.get("context", {}).items():
        if not isinstance(value, str | int | float):
            raise TypeError(f"the context's {name} is neither text nor number nor boolean")
        # Numbers and booleans reach the function as text.
        context[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return context


def _matches(pattern: str, value: str) -> bool:
    parts = ({"*": ".*", "?": "."}.get(part, re.escape(part)) for part in pattern)
    return re.fullmatch("".join(parts), value, re.DOTALL) is not None


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _unauthorized(message: str) -> GatewayError:
    return GatewayError(HTTPStatus.UNAUTHORIZED, "invalid_api_key", message, "authentication_error")


def _failed(error: Exception) -> GatewayError:
    _log.warning("the authorizer failed: %s: %s", type(error).__name__, error)
    return GatewayError(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "authorizer_failed",
        "The API key could not be checked just now; try again.",
        "server_error",
    )
