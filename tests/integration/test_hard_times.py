"""The deployed function where its tables are gone and its models fall silent."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from regroup.adapters.dynamodb_keys import DynamoKeyStore
from regroup.domain.budget import Budget
from regroup.domain.keys import new_key
from tests.local.api_client import decisions, post
from tests.local.bedrock import Stall
from tests.local.lambda_runtime import LambdaFunction
from tests.local.proxy_events import proxy_event
from tests.local.stack import KEYS_TABLE, LocalStack

CHAT = {
    "model": "regroup-quality",
    "max_tokens": 200,
    "messages": [{"role": "user", "content": "Write a function in Go to merge two sorted arrays."}],
}
NO_TABLES = dict.fromkeys(
    ("CACHE_TABLE", "SESSIONS_TABLE", "DECISIONS_TABLE", "KEYS_TABLE"), "not-there"
)


@pytest.fixture(scope="module")
def stack(small_router: tuple[Path, str]) -> Iterator[LocalStack]:
    with LocalStack(artifact=small_router[0], variables=NO_TABLES) as running:
        yield running


def key_with(stack: LocalStack, budget: Budget) -> str:
    token, key_id, record = new_key(secrets.token_bytes, budget=budget)
    DynamoKeyStore(KEYS_TABLE, stack.aws.client("dynamodb")).put(key_id, record)
    return token


def test_without_any_table_requests_are_answered_and_what_is_missing_is_counted(
    stack: LocalStack,
) -> None:
    talk = [{"role": "user", "content": "Write a function in Java to parse a CSV file."}]
    reply = post(stack, "/v1/chat/completions", {**CHAT, "messages": talk})
    assert (reply.status, reply.headers["x-regroup-cache"]) == (200, "bypassed")
    talk += [{"role": "assistant", "content": "Here."}, {"role": "user", "content": "yes"}]
    more = {**CHAT, "messages": talk}
    again = post(stack, "/v1/chat/completions", more)
    # The conversation is known to this instance.
    assert again.headers["x-regroup-model"] == reply.headers["x-regroup-model"]
    assert decisions(stack)[-1]["reason"] == "session"
    log = "\n".join(stack.function.log_lines)
    for metric in ("CacheBypassed", "SessionsBypassed", "SessionLost", "DecisionLost"):
        assert f'"{metric}":[1.0]' in log


def test_a_budget_that_cannot_be_read_leaves_the_cheapest_candidate(stack: LocalStack) -> None:
    key = key_with(stack, Budget(usd_micros=10_000_000))
    assert post(stack, "/v1/chat/completions", CHAT).headers["x-regroup-model"] == "sonnet"

    reply = post(stack, "/v1/chat/completions", CHAT, key=key)

    assert (reply.status, reply.headers["x-regroup-model"]) == (200, "haiku")
    mask = decisions(stack)[-1]["mask"]
    assert {name for name, hurdle in mask.items() if hurdle == "budget"} == set(mask) - {"haiku"}
    dear = post(stack, "/v1/chat/completions", {**CHAT, "model": "sonnet"}, key=key)
    assert (dear.status, dear.json["error"]["code"]) == (503, "budget_unknown")


def test_feedback_on_what_cannot_be_looked_up_is_told_to_come_again(stack: LocalStack) -> None:
    reply = post(stack, "/v1/feedback", {"decision_id": "0" * 32, "thumbs": "up"})
    assert (reply.status, reply.json["error"]["code"]) == (503, "store_unavailable")
    assert reply.headers["retry-after"] == "1"


@pytest.mark.parametrize("after_events", [0, 4])
def test_a_model_that_falls_silent_ends_in_our_own_timeout(
    stack: LocalStack, after_events: int
) -> None:
    model_id = stack.catalog.candidates["haiku"].invoke_id
    event = proxy_event(
        "POST",
        "/v1/chat/completions",
        {},
        json.dumps({**CHAT, "model": "haiku"}).encode(),
        authorizer=None,
        request_id="hangs",
    )
    # Lambda gives four seconds, of which two are kept back; the model is silent for ten.
    with LambdaFunction(
        "classifier.entry.lambda_handler", stack.environment(), timeout_seconds=4.0
    ) as function:
        function.wait_until_ready()
        stack.bedrock.plan(model_id, [Stall(after_events, seconds=10)])
        answer = function.handle(event)
        line = [json.loads(one) for one in function.log_lines if '"decision"' in one][-1]
    assert answer["statusCode"] == 504
    assert json.loads(answer["body"])["error"]["code"] == "timeout"
    assert (line["status"], line["attempts"]) == (504, [{"model": "haiku", "error": "timeout"}])
