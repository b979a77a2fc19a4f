"""Conversations with real boto3 against a real table's behaviour."""

import struct
import threading
from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regroup.adapters.dynamodb_sessions import DynamoSessionStore
from regroup.domain.conversation import Session
from tests.local.aws import LoopbackAws
from tests.local.broken_table import (
    FAULTS,
    ODD_EXPIRIES,
    Client,
    OneItem,
    broken_table,
    check_store_errors,
    odd_attributes,
)
from tests.local.fakes import PATIENT

TABLE = "sessions"
NOW = 1_790_000_000.0
TTL_SECONDS = 3_600
SESSION = Session("sonnet", NOW - 0.25, cached_tokens=4_096, turns=3)
ITEM: dict[str, Any] = {
    "model": {"S": "sonnet"},
    "at": {"N": str(NOW - 0.25)},
    "cached_tokens": {"N": "4096"},
    "turns": {"N": "3"},
    "expire_at": {"N": str(int(NOW) + 60)},
}


@pytest.fixture(scope="module")
def aws() -> Iterator[LoopbackAws]:
    with LoopbackAws() as account:
        account.create_table(TABLE, "session_id")
        yield account


@pytest.fixture(scope="module")
def table(aws: LoopbackAws) -> Client:
    return aws.client("dynamodb")


@pytest.fixture(scope="module")
def sessions(table: Client) -> DynamoSessionStore:
    return DynamoSessionStore(TABLE, table, ttl_seconds=TTL_SECONDS)


def found_in(item: dict[str, Any], now: float = NOW) -> Session | None:
    """Return what is made of an item that someone else might have written."""
    lone: Any = OneItem(item)
    return DynamoSessionStore(TABLE, lone, ttl_seconds=TTL_SECONDS).get("any", now)


def test_what_was_put_comes_back(sessions: DynamoSessionStore) -> None:
    assert sessions.get("round-trip", NOW) is None
    sessions.put("round-trip", SESSION, NOW)
    assert sessions.get("round-trip", NOW) == SESSION
    assert sessions.get("another", NOW) is None


def test_the_items_are_such_as_the_other_tests_here_suppose(
    sessions: DynamoSessionStore, table: Client
) -> None:
    sessions.put("shape", SESSION, NOW + 0.75)
    item = table.get_item(TableName=TABLE, Key={"session_id": {"S": "shape"}})["Item"]
    expiry_in_whole_seconds = {"N": str(int(NOW) + TTL_SECONDS)}
    assert item == {**ITEM, "session_id": {"S": "shape"}, "expire_at": expiry_in_whole_seconds}
    assert found_in(ITEM) == SESSION


@settings(PATIENT, max_examples=25)
@given(st.floats(1, 4e9), st.integers(0, 10**9), st.integers(1, 10**6))
def test_numbers_come_back_to_the_last_bit(
    sessions: DynamoSessionStore, at: float, cached_tokens: int, turns: int
) -> None:
    name = f"exact-{at!r}-{cached_tokens}-{turns}"
    session = Session("haiku", at, cached_tokens, turns)

    sessions.put(name, session, at)
    found = sessions.get(name, at)

    assert found == session
    assert struct.pack("<d", found.at) == struct.pack("<d", at)


@pytest.mark.parametrize(
    ("later_seconds", "found"),
    [(0, True), (TTL_SECONDS - 1, True), (TTL_SECONDS, False), (10 * TTL_SECONDS, False)],
)
def test_an_expired_item_still_in_the_table_is_a_miss(
    sessions: DynamoSessionStore, table: Client, later_seconds: int, found: bool
) -> None:
    sessions.put("expiring", SESSION, NOW)

    assert (sessions.get("expiring", NOW + later_seconds) is not None) is found
    assert "Item" in table.get_item(TableName=TABLE, Key={"session_id": {"S": "expiring"}})


# Two answers of one conversation


ANSWERS = (
    Session("haiku", NOW - 2, 10, 1),
    Session("sonnet", NOW - 1, 20, 2),
    Session("opus", NOW, 30, 3),
)


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_answers_that_end_out_of_order_leave_the_latest(
    sessions: DynamoSessionStore, order: tuple[int, ...]
) -> None:
    for number in order:
        sessions.put(f"order-{order}", ANSWERS[number], NOW)
    assert sessions.get(f"order-{order}", NOW) == ANSWERS[-1]


def test_of_two_answers_of_one_moment_the_one_that_is_put_last_stays(
    sessions: DynamoSessionStore,
) -> None:
    sessions.put("moment", Session("haiku", NOW), NOW)
    sessions.put("moment", Session("sonnet", NOW), NOW)
    assert sessions.get("moment", NOW) == Session("sonnet", NOW)


def test_answers_that_end_at_once_leave_the_latest(
    aws: LoopbackAws, sessions: DynamoSessionStore
) -> None:
    barrier = threading.Barrier(len(ANSWERS), timeout=20)
    stores = [DynamoSessionStore(TABLE, aws.client("dynamodb"), ttl_seconds=60) for _ in ANSWERS]

    def end(store: DynamoSessionStore, session: Session) -> None:
        barrier.wait()
        store.put("at-once", session, NOW)

    threads = [
        threading.Thread(target=end, args=pair) for pair in zip(stores, ANSWERS, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)

    assert sessions.get("at-once", NOW) == ANSWERS[-1]


def test_an_expired_conversation_is_begun_again_though_its_clock_was_ahead(
    sessions: DynamoSessionStore,
) -> None:
    sessions.put("again", Session("haiku", NOW + TTL_SECONDS - 1), NOW)
    later = NOW + TTL_SECONDS + 10
    sessions.put("again", Session("sonnet", later - 30), later)
    assert sessions.get("again", later) == Session("sonnet", later - 30)


# Items that someone else wrote


@pytest.mark.parametrize("expiry", ODD_EXPIRIES)
def test_an_expiry_that_is_none_in_seconds_is_a_miss_and_can_be_overwritten(
    sessions: DynamoSessionStore, table: Client, expiry: str
) -> None:
    newer = {"at": {"N": str(NOW + 5)}, "expire_at": ODD_EXPIRIES[expiry](NOW)}
    table.put_item(TableName=TABLE, Item={**ITEM, **newer, "session_id": {"S": expiry}})

    assert sessions.get(expiry, NOW) is None
    sessions.put(expiry, SESSION, NOW)
    assert sessions.get(expiry, NOW) == SESSION


DAMAGED: dict[str, dict[str, Any]] = {
    "a text as time": {"at": {"S": str(NOW + 5)}},
    "milliseconds": {"at": {"N": str(NOW * 1000)}},
    "no time at all": {"at": {"NULL": True}},
    "another type of model": {"model": {"N": "1"}},
    "tokens in part": {"cached_tokens": {"N": "0.5"}},
    "fewer tokens than none": {"cached_tokens": {"N": "-1"}},
    "no turn": {"turns": {"N": "0"}},
    "turns as text": {"turns": {"S": "3"}},
}


@pytest.mark.parametrize("name", [*DAMAGED, *(f"no {field}" for field in ITEM)])
def test_an_item_that_cannot_be_read_is_a_miss_and_can_be_overwritten(
    sessions: DynamoSessionStore, table: Client, name: str
) -> None:
    damaged = {field: value for field, value in ITEM.items() if f"no {field}" != name}
    damaged |= DAMAGED.get(name, {})
    table.put_item(TableName=TABLE, Item={**damaged, "session_id": {"S": name}})

    assert sessions.get(name, NOW) is None
    sessions.put(name, SESSION, NOW)
    assert sessions.get(name, NOW) == SESSION


@PATIENT
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(ITEM, odd_attributes)))
def test_whatever_lies_there_is_a_miss_or_a_conversation_that_can_have_been(
    changes: dict[str, Any],
) -> None:
    found = found_in({**ITEM, **changes})
    if found is not None:
        assert isinstance(found.model, str)
        assert found.at < NOW + 1e10
        assert found.cached_tokens >= 0
        assert found.turns >= 1


# A table that fails


@pytest.mark.parametrize("fault", FAULTS)
def test_a_table_that_fails_is_a_store_error(fault: str) -> None:
    with broken_table(fault) as client:
        check(DynamoSessionStore(TABLE, client, ttl_seconds=60))


def test_a_table_that_was_never_made_is_a_store_error(table: Client) -> None:
    check(DynamoSessionStore("nowhere", table, ttl_seconds=60))


def check(lost: DynamoSessionStore) -> None:
    check_store_errors("the session table did not answer", lambda: lost.get("a", NOW))
    check_store_errors(
        "the session table did not take a conversation", lambda: lost.put("a", SESSION, NOW)
    )
