"""The loopback gateway asks its authorizer as a REST API does: by token, cached, by policy."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from classifier.authorizer import authorize
from classifier.handler import request_of
from regroup.domain.budget import Budget
from regroup.domain.fallback import Deadline
from regroup.domain.keys import new_key
from tests.local.gateway import LoopbackGateway
from tests.local.gateway_authorizer import is_allowed
from tests.local.http_client import ask
from tests.local.proxy_events import method_arn

type Event = dict[str, Any]


def _echo(event: Event) -> dict[str, Any]:
    return {"statusCode": 200, "body": json.dumps(event)}


def _policy(effect: str = "Allow", path: str = "*", **context: object) -> dict[str, Any]:
    resource = method_arn("*", path) if path != "*" else method_arn("*", "*")
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return {"principalId": "k1", "policyDocument": document, "context": context}


class _Authorizer:
    """Answers by token, and remembers what it was asked."""

    def __init__(self, **answers: dict[str, Any] | Exception) -> None:
        self.events: list[Event] = []
        self._answers = {"good": _policy(key_id="k1", admin=True, quota=5), **answers}

    def __call__(self, event: Event) -> dict[str, Any]:
        self.events.append(event)
        word = str(event["authorizationToken"]).removeprefix("Bearer ")
        answer = self._answers.get(word, Exception("Unauthorized"))
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(scope="module")
def gateway() -> Iterator[LoopbackGateway]:
    with LoopbackGateway(_echo, _Authorizer()) as running:
        yield running


def test_the_function_learns_who_called_and_never_sees_the_key(gateway: LoopbackGateway) -> None:
    reply = ask(gateway)

    assert reply.json["requestContext"]["authorizer"] == {
        "principalId": "k1",
        "key_id": "k1",
        "admin": "true",
        "quota": "5",
    }
    assert "good" not in reply.body.decode()
    assert "authorization" not in reply.body.decode().lower()


@pytest.mark.parametrize(
    ("budget", "limits"),
    [
        (Budget(), {}),
        (Budget(usd_micros=2_500_000), {"daily_usd_micros": "2500000"}),
        (Budget(0, 10**15), {"daily_usd_micros": "0", "daily_tokens": "1000000000000000"}),
    ],
)
def test_a_keys_limits_reach_the_classifier_as_text(budget: Budget, limits: dict[str, str]) -> None:
    token, key_id, record = new_key(secrets.token_bytes, budget=budget)
    keys = {key_id: record}
    with LoopbackGateway(_echo, lambda event: authorize(event, keys, now=0)) as gateway:
        event = ask(gateway, key=f"Bearer {token}").json

    identity = {"principalId": key_id, "key_id": key_id}
    assert event["requestContext"]["authorizer"] == identity | limits
    request = request_of(event, Deadline(0))
    assert (request.key_id, request.budget) == (key_id, budget)


@pytest.mark.parametrize("key", [None, ""])
def test_no_key_is_401_without_asking_the_authorizer(key: str | None) -> None:
    authorizer = _Authorizer()
    with LoopbackGateway(_echo, authorizer) as gateway:
        reply = ask(gateway, key=key)
    assert reply.error == (401, "invalid_api_key")
    assert reply.json["error"]["message"] == NO_KEY
    assert authorizer.events == []


NO_KEY = "No API key: send `Authorization: Bearer rg-...`."
INCORRECT = "Incorrect API key provided."


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("Bearer bad", INCORRECT),
        ("bearer  bad", INCORRECT),
        ("Bearer", NO_KEY),
        ("Bearer ", NO_KEY),
        ("Basic cmc6eA==", NO_KEY),
        ("rg-abc", NO_KEY),
    ],
)
def test_an_unauthorized_key_is_401_and_one_that_is_not_there_is_said_so(
    gateway: LoopbackGateway, key: str, sentence: str
) -> None:
    reply = ask(gateway, key=key)

    assert reply.error == (401, "invalid_api_key")
    assert reply.json["error"]["type"] == "authentication_error"
    assert reply.json["error"]["message"] == sentence


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (_policy("Deny"), (403, "forbidden")),
        (_policy("Allow", "v1/models"), (403, "forbidden")),
        (_policy(nested={}), (500, "authorizer_failed")),
        ({}, (500, "authorizer_failed")),
        ({"principalId": "k", "policyDocument": {}}, (500, "authorizer_failed")),
        (RuntimeError("the table is on fire"), (500, "authorizer_failed")),
        (RuntimeError("Unauthorized."), (500, "authorizer_failed")),
    ],
)
def test_what_the_authorizer_says_decides(
    answer: dict[str, Any] | Exception, expected: tuple[int, str]
) -> None:
    with LoopbackGateway(_echo, _Authorizer(special=answer)) as gateway:
        reply = ask(gateway, key="Bearer special")

    assert reply.error == expected
    assert "fire" not in reply.body.decode()


def test_a_policy_is_cached_by_token_for_sixty_seconds() -> None:
    now = [1000.0]
    authorizer = _Authorizer(other=_policy())
    with LoopbackGateway(_echo, authorizer, clock=lambda: now[0]) as gateway:
        for seconds, key in ((0, "good"), (59.9, "good"), (59.9, "other"), (60, "good")):
            now[0] = 1000.0 + seconds
            assert ask(gateway, key=f"Bearer {key}").status == 200

    assert [event["authorizationToken"] for event in authorizer.events] == [
        "Bearer good",
        "Bearer other",
        "Bearer good",
    ]


def test_a_cached_policy_is_applied_to_each_path_anew() -> None:
    with LoopbackGateway(_echo, _Authorizer(narrow=_policy("Allow", "v1/models"))) as gateway:
        allowed = ask(gateway, "GET", "/v1/models", b"", key="Bearer narrow")
        denied = ask(gateway, "GET", "/v1/other", b"", key="Bearer narrow")

    assert (allowed.status, denied.status) == (200, 403)


def test_a_refusal_is_not_cached() -> None:
    authorizer = _Authorizer()
    with LoopbackGateway(_echo, authorizer) as gateway:
        for _ in range(2):
            assert ask(gateway, key="Bearer bad").status == 401

    assert len(authorizer.events) == 2


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("GET", "/healthz?deep=1", 200),
        ("POST", "/healthz", 401),
        ("GET", "/healthz/", 401),
        ("GET", "//healthz", 200),  # http.server folds the slashes, the function sees /healthz
        ("GET", "/v1/models?/healthz", 401),
    ],
)
def test_only_the_health_check_is_open(
    gateway: LoopbackGateway, method: str, path: str, status: int
) -> None:
    assert ask(gateway, method, path, b"", key=None).status == status


def test_a_deny_wins_over_an_allow_whatever_their_order() -> None:
    allow, deny = (
        {"Action": "execute-api:*", "Effect": effect, "Resource": [method_arn(method, "*")]}
        for effect, method in (("Allow", "*"), ("Deny", "DELETE"))
    )

    for statements in ([allow, deny], [deny, allow]):
        assert not is_allowed({"Statement": statements}, method_arn("DELETE", "/v1/x"))
        assert is_allowed({"Statement": statements}, method_arn("GET", "/v1/x"))
