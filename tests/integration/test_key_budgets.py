"""Keys with budgets, from the authorizer's table to the caller's 429."""

import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from regroup.adapters.dynamodb_keys import DynamoKeyStore
from regroup.domain.budget import Budget
from regroup.domain.keys import new_key
from tests.local.api_client import Reply, decisions, post
from tests.local.stack import KEYS_TABLE, LocalStack

MAX_TOKENS = 50
BODY = {
    "model": "haiku",
    "max_tokens": MAX_TOKENS,
    "messages": [{"role": "user", "content": "Say something nice about the number seven."}],
}


@pytest.fixture(scope="module")
def stack(small_router: tuple[Path, str]) -> Iterator[LocalStack]:
    with LocalStack(artifact=small_router[0]) as running:
        yield running


def key_with(stack: LocalStack, budget: Budget) -> str:
    token, key_id, record = new_key(secrets.token_bytes, budget=budget)
    DynamoKeyStore(KEYS_TABLE, stack.aws.client("dynamodb")).put(key_id, record)
    return token


def ask(stack: LocalStack, key: str) -> Reply:
    return post(stack, "/v1/chat/completions", BODY, key=key)


def test_a_key_without_a_budget_is_not_counted(stack: LocalStack) -> None:
    key = key_with(stack, Budget())
    assert [ask(stack, key).status for _ in range(3)] == [200] * 3


def test_an_exhausted_key_is_told_when_it_may_spend_again(stack: LocalStack) -> None:
    # The estimate of the prompt is some fifteen tokens: one request fits, a second does not.
    key = key_with(stack, Budget(tokens=MAX_TOKENS + 40))
    assert ask(stack, key).status == 200

    refused = ask(stack, key)

    assert refused.status == 429
    error = refused.json["error"]
    assert (error["code"], error["type"]) == ("budget_exhausted", "insufficient_quota")
    assert "it is whole again at 20" in error["message"]
    assert "+09:00" in error["message"]
    assert 0 < int(refused.headers["retry-after"]) <= 24 * 3600


def test_money_is_counted_as_the_line_says(stack: LocalStack) -> None:
    key = key_with(stack, Budget(usd_micros=10_000_000))
    before = len(decisions(stack))
    for _ in range(3):
        assert ask(stack, key).status == 200
    lines = decisions(stack)[before:]
    items = stack.aws.client("dynamodb").scan(TableName=KEYS_TABLE)["Items"]
    counters = [item for item in items if item["key_id"]["S"].startswith(f"{lines[0]['key_id']}#")]
    (counter,) = counters
    spent = int(counter["spent_usd_micros"]["N"])
    total = sum(line["cost_usd"] for line in lines) * 1e6
    # Each call is rounded up to a whole millionth.
    assert total <= spent <= total + 3
    tokens = sum(line["input_tokens"] + line["output_tokens"] for line in lines)
    assert int(counter["spent_tokens"]["N"]) == tokens


def test_fifty_threads_against_a_budget_of_ten_calls_never_get_an_eleventh(
    stack: LocalStack,
) -> None:
    probe = decisions_of_one(stack)
    most = probe["input_tokens"] + probe["output_tokens"]
    key = key_with(stack, Budget(tokens=10 * most))
    barrier = threading.Barrier(50)
    statuses: list[int] = []

    def run() -> None:
        barrier.wait()
        statuses.append(ask(stack, key).status)

    threads = [threading.Thread(target=run) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # What is set aside is a little more than what is used, so fewer than ten may fit at once.
    assert set(statuses) == {200, 429}
    assert 1 <= statuses.count(200) <= 10


def decisions_of_one(stack: LocalStack) -> dict[str, int]:
    assert ask(stack, stack.key).status == 200
    return decisions(stack)[-1]
