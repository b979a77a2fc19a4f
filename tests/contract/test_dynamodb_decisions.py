"""Decisions that wait for feedback, with real boto3 against a real table's behaviour."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regroup.adapters.dynamodb_decisions import DynamoDecisionStore
from regroup.domain.feedback import DecisionRecord
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

TABLE = "decisions"
NOW = 1_790_000_000.0
TTL_SECONDS = 3_600
RECORD = DecisionRecord(
    decision_id="0123abcd",
    key_id="key-1",
    at=NOW - 0.25,
    routed_model="sonnet",
    cluster_id=3,
    version="d" * 64,
    preset="balanced",
)
ITEM: dict[str, Any] = {
    "decision_id": {"S": "0123abcd"},
    "key_id": {"S": "key-1"},
    "at": {"N": str(NOW - 0.25)},
    "routed_model": {"S": "sonnet"},
    "cluster_id": {"N": "3"},
    "version": {"S": "d" * 64},
    "preset": {"S": "balanced"},
    "expire_at": {"N": str(int(NOW) + 60)},
}
NULL = {"NULL": True}


@pytest.fixture(scope="module")
def table() -> Iterator[Client]:
    with LoopbackAws() as account:
        account.create_table(TABLE, "decision_id")
        yield account.client("dynamodb")


@pytest.fixture(scope="module")
def decisions(table: Client) -> DynamoDecisionStore:
    return DynamoDecisionStore(TABLE, table, ttl_seconds=TTL_SECONDS)


def found_in(item: dict[str, Any]) -> DecisionRecord | None:
    """Return what is made of an item that someone else might have written."""
    lone: Any = OneItem(item)
    return DynamoDecisionStore(TABLE, lone, ttl_seconds=TTL_SECONDS).get("any", NOW)


def test_a_decision_comes_back_and_no_other(decisions: DynamoDecisionStore) -> None:
    record = replace(RECORD, decision_id="round-trip")
    assert decisions.get("round-trip", NOW) is None
    decisions.put(record, NOW)
    assert decisions.get("round-trip", NOW) == record
    assert decisions.get("another", NOW) is None


def test_the_items_are_such_as_the_other_tests_here_suppose(
    decisions: DynamoDecisionStore, table: Client
) -> None:
    decisions.put(RECORD, NOW + 0.75)
    item = table.get_item(TableName=TABLE, Key={"decision_id": ITEM["decision_id"]})["Item"]
    assert item == {**ITEM, "expire_at": {"N": str(int(NOW) + TTL_SECONDS)}}
    assert found_in(ITEM) == RECORD


@settings(PATIENT, max_examples=25)
@given(
    st.none() | st.text("abc-0", max_size=9),
    st.floats(1, 4e9),
    st.none() | st.integers(0, 10_000),
    st.none() | st.just("d" * 64),
)
def test_every_field_comes_back_as_it_was_or_as_the_nothing_that_it_was(
    decisions: DynamoDecisionStore,
    key_id: str | None,
    at: float,
    cluster_id: int | None,
    version: str | None,
) -> None:
    record = replace(RECORD, key_id=key_id, at=at, cluster_id=cluster_id, version=version)
    decisions.put(record, at)
    assert decisions.get(record.decision_id, at) == record


@pytest.mark.parametrize(
    ("later_seconds", "found"),
    [(0, True), (TTL_SECONDS - 1, True), (TTL_SECONDS, False), (10 * TTL_SECONDS, False)],
)
def test_an_expired_item_still_in_the_table_is_forgotten(
    decisions: DynamoDecisionStore, table: Client, later_seconds: int, found: bool
) -> None:
    decisions.put(replace(RECORD, decision_id="expiring"), NOW)

    assert (decisions.get("expiring", NOW + later_seconds) is not None) is found
    assert "Item" in table.get_item(TableName=TABLE, Key={"decision_id": {"S": "expiring"}})


# Items that someone else wrote


@pytest.mark.parametrize("expiry", ODD_EXPIRIES)
def test_a_decision_whose_expiry_is_none_in_seconds_is_forgotten(expiry: str) -> None:
    assert found_in({**ITEM, "expire_at": ODD_EXPIRIES[expiry](NOW)}) is None


@pytest.mark.parametrize("missing", ITEM)
def test_a_decision_that_lacks_a_field_is_forgotten(missing: str) -> None:
    assert found_in({name: value for name, value in ITEM.items() if name != missing}) is None


@pytest.mark.parametrize(
    "damage",
    [
        {"decision_id": NULL},
        {"key_id": {"N": "1"}},
        {"key_id": {"NULL": False}},
        {"at": {"S": str(NOW)}},
        {"at": {"N": str(NOW * 1000)}},
        {"at": {"N": "NaN"}},
        {"at": NULL},
        {"routed_model": NULL},
        {"cluster_id": {"N": "-1"}},
        {"cluster_id": {"N": "0.5"}},
        {"cluster_id": {"NULL": False}},
        {"version": {"M": {}}},
        {"preset": {"BOOL": True}},
    ],
    ids=str,
)
def test_a_decision_with_a_damaged_field_is_forgotten(damage: dict[str, Any]) -> None:
    assert found_in({**ITEM, **damage}) is None


@PATIENT
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(ITEM, odd_attributes)))
def test_whatever_lies_there_is_forgotten_or_a_decision_that_can_have_been(
    changes: dict[str, Any],
) -> None:
    found = found_in({**ITEM, **changes})
    if found is not None:
        assert all(isinstance(text, str) for text in (found.decision_id, found.routed_model))
        assert found.key_id is None or isinstance(found.key_id, str)
        assert found.cluster_id is None or found.cluster_id >= 0
        assert found.at < NOW + 1e10


# A table that fails


@pytest.mark.parametrize("fault", FAULTS)
def test_a_table_that_fails_is_a_store_error(fault: str) -> None:
    with broken_table(fault) as client:
        check(DynamoDecisionStore(TABLE, client, ttl_seconds=60))


def test_a_table_that_was_never_made_is_a_store_error(table: Client) -> None:
    check(DynamoDecisionStore("nowhere", table, ttl_seconds=60))


def check(lost: DynamoDecisionStore) -> None:
    check_store_errors("the decision table did not answer", lambda: lost.get("a", NOW))
    check_store_errors("the decision table did not take a decision", lambda: lost.put(RECORD, NOW))
