"""The prediction cache with real boto3 against a real table's behaviour."""

import json
import struct
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regroup.adapters.dynamodb_cache import DynamoPredictionCache
from regroup.domain.prediction import Prediction
from tests.local.aws import LoopbackAws
from tests.local.broken_table import (
    FAULTS,
    ODD_EXPIRIES,
    Client,
    OneItem,
    broken_table,
    check_store_errors,
)
from tests.local.fakes import PATIENT

TABLE = "predictions"
NOW = 1_790_000_000.0
TTL_SECONDS = 3_600
PREDICTION = Prediction(
    3,
    0.125,
    rewards={"haiku": 0.75, "sonnet": 0.875},
    output_tokens={"haiku": 9.0, "sonnet": 8.5},
    reward_errors={"haiku": 0.0625, "sonnet": 0.25},
    choice_errors={"haiku": 0.03125, "sonnet": 0.125},
)
FIELDS = asdict(PREDICTION)


@pytest.fixture(scope="module")
def aws() -> Iterator[LoopbackAws]:
    with LoopbackAws() as account:
        account.create_table(TABLE, "query_hash")
        yield account


@pytest.fixture(scope="module")
def table(aws: LoopbackAws) -> Client:
    return aws.client("dynamodb")


@pytest.fixture(scope="module")
def cache(table: Client) -> DynamoPredictionCache:
    return DynamoPredictionCache(TABLE, table, ttl_seconds=TTL_SECONDS)


def put(table: Client, key: str, prediction: object, expire_at: object = None) -> None:
    """Write an item as someone else might have."""
    item: dict[str, Any] = {"query_hash": {"S": key}}
    if prediction is not None:
        item["prediction"] = prediction
    item["expire_at"] = expire_at or {"N": str(int(NOW) + 60)}
    table.put_item(TableName=TABLE, Item=item)


def test_what_was_put_comes_back(cache: DynamoPredictionCache) -> None:
    assert cache.get("round-trip", NOW) is None
    cache.put("round-trip", PREDICTION, NOW)
    assert cache.get("round-trip", NOW) == PREDICTION
    assert cache.get("another", NOW) is None


def test_a_second_put_takes_the_place_of_the_first(cache: DynamoPredictionCache) -> None:
    cache.put("twice", Prediction(0, 0.0, {"a": 1.0}, {"a": 1.0}), NOW)
    cache.put("twice", PREDICTION, NOW)
    assert cache.get("twice", NOW) == PREDICTION


@pytest.mark.parametrize(
    ("later_seconds", "found"),
    [(0, True), (TTL_SECONDS - 1, True), (TTL_SECONDS, False), (10 * TTL_SECONDS, False)],
)
def test_an_expired_item_still_in_the_table_is_a_miss(
    cache: DynamoPredictionCache,
    table: Client,
    later_seconds: int,
    found: bool,
) -> None:
    cache.put("expiring", PREDICTION, NOW)

    assert (cache.get("expiring", NOW + later_seconds) is not None) is found
    assert "Item" in table.get_item(TableName=TABLE, Key={"query_hash": {"S": "expiring"}})


def test_the_expiry_is_in_whole_seconds_as_ttl_reads_it(
    cache: DynamoPredictionCache,
    table: Client,
) -> None:
    cache.put("expiry", PREDICTION, NOW + 0.75)
    item = table.get_item(TableName=TABLE, Key={"query_hash": {"S": "expiry"}})["Item"]
    assert item["expire_at"] == {"N": str(int(NOW) + TTL_SECONDS)}


@pytest.mark.parametrize("expiry", ODD_EXPIRIES)
def test_an_expiry_that_is_none_in_seconds_is_a_miss(
    cache: DynamoPredictionCache,
    table: Client,
    expiry: str,
) -> None:
    put(table, "odd-expiry", {"S": json.dumps(FIELDS)}, ODD_EXPIRIES[expiry](NOW))
    assert cache.get("odd-expiry", NOW) is None


CORRUPT: dict[str, object] = {
    "no prediction": None,
    "another type": {"N": "1"},
    "a map": {"M": {"cluster": {"N": "3"}}},
    "empty text": {"S": ""},
    "not JSON": {"S": "{"},
    "too deep": {"S": "[" * 100_000},
    "null": {"S": "null"},
    "a list": {"S": "[1, 2]"},
    "an older shape": {"S": json.dumps({"cluster": 3, "scores": [0.5]})},
    **{
        f"no {name}": {"S": json.dumps({k: v for k, v in FIELDS.items() if k != name})}
        for name in FIELDS
    },
    **{
        f"{name} is {value}": {"S": json.dumps({**FIELDS, name: value})}
        for name, value in [
            ("cluster", None),
            ("cluster", "three"),
            ("cluster", float("inf")),
            ("cluster", float("nan")),
            ("distance", None),
            ("distance", float("nan")),
            ("distance", 10**400),
            ("rewards", [0.5]),
            ("rewards", 0.5),
            ("rewards", {"haiku": None}),
            ("rewards", {"haiku": float("nan")}),
            ("rewards", {"haiku": float("-inf")}),
            ("rewards", {"haiku": 10**400}),
            ("output_tokens", {"haiku": [1]}),
            ("output_tokens", {"haiku": float("inf")}),
        ]
    },
}


@pytest.mark.parametrize("prediction", CORRUPT.values(), ids=[name[:40] for name in CORRUPT])
def test_an_item_that_cannot_be_read_is_a_miss_and_can_be_overwritten(
    cache: DynamoPredictionCache,
    table: Client,
    prediction: object,
) -> None:
    put(table, "corrupt", prediction)
    assert cache.get("corrupt", NOW) is None
    cache.put("corrupt", PREDICTION, NOW)
    assert cache.get("corrupt", NOW) == PREDICTION


numbers = st.integers() | st.floats() | st.just(10**400)
leaves = st.none() | st.booleans() | numbers | st.text(max_size=5)
anything = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner)
)
maps = st.dictionaries(st.sampled_from(["haiku", "sonnet", ""]), numbers) | anything
likely = st.fixed_dictionaries(
    {
        "cluster": numbers | anything,
        "distance": numbers | anything,
        "rewards": maps,
        "output_tokens": maps,
        "reward_errors": maps,
        "choice_errors": maps,
    }
)


@PATIENT
@given(anything | likely)
def test_whatever_json_lies_there_is_a_miss_or_a_prediction_of_finite_numbers(
    fields: object,
) -> None:
    lone: Client = OneItem(
        {"expire_at": {"N": str(int(NOW) + 60)}, "prediction": {"S": json.dumps(fields)}}
    )
    found = DynamoPredictionCache(TABLE, lone, ttl_seconds=60).get("any", NOW)
    if found is not None:
        # As JSON knows neither NaN nor infinity, it would refuse them here.
        json.dumps(asdict(found), allow_nan=False)
        assert isinstance(found.cluster, int)


floats = st.floats(allow_nan=False, allow_infinity=False)


@settings(PATIENT, max_examples=25)
@given(floats, st.dictionaries(st.sampled_from(["haiku", "sonnet"]), floats))
def test_numbers_come_back_to_the_last_bit(
    cache: DynamoPredictionCache, distance: float, rewards: dict[str, float]
) -> None:
    cache.put("exact", Prediction(0, distance, rewards, rewards, rewards, rewards), NOW)

    found = cache.get("exact", NOW)

    assert found is not None
    assert struct.pack("<d", found.distance) == struct.pack("<d", distance)
    assert found.rewards == found.output_tokens == rewards
    assert found.reward_errors == found.choice_errors == rewards


@pytest.mark.parametrize("fault", FAULTS)
def test_a_table_that_fails_is_a_store_error(fault: str) -> None:
    with broken_table(fault) as client:
        check(DynamoPredictionCache(TABLE, client, ttl_seconds=60))


def test_a_table_that_was_never_made_is_a_store_error(table: Client) -> None:
    check(DynamoPredictionCache("nowhere", table, ttl_seconds=60))


def check(lost: DynamoPredictionCache) -> None:
    check_store_errors(
        "the prediction cache did not answer",
        lambda: lost.get("a", NOW),
        lambda: lost.put("a", PREDICTION, NOW),
    )
