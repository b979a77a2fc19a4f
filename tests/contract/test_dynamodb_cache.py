"""The prediction cache with real boto3 against a real table's behaviour."""

import json
import struct
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st

from regroup.adapters.dynamodb_cache import DynamoPredictionCache
from regroup.domain.prediction import Prediction
from regroup.errors import StoreError
from tests.local.aws import LoopbackAws
from tests.local.fakes import PATIENT

type Client = Any
"""A boto3 client of DynamoDB, which refuses no parameter before it is asked."""

TABLE = "predictions"
NOW = 1_790_000_000.0
TTL_SECONDS = 3_600
PREDICTION = Prediction(3, 0.125, {"haiku": 0.75, "sonnet": 0.875}, {"haiku": 9.0, "sonnet": 8.5})
FIELDS = {
    "cluster": 3,
    "distance": 0.125,
    "rewards": {"haiku": 0.75},
    "output_tokens": {"haiku": 9.0},
}


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


@pytest.mark.parametrize(
    "expire_at",
    [
        {"N": str(int(NOW * 1000))},
        {"N": str(int((NOW + 60) * 1000))},
        {"N": "0"},
        {"N": "-1"},
        {"N": "1e30"},
        {"S": str(int(NOW) + 60)},
        {"NULL": True},
    ],
    ids=["milliseconds", "later in milliseconds", "zero", "negative", "huge", "text", "null"],
)
def test_an_expiry_that_is_none_in_seconds_is_a_miss(
    cache: DynamoPredictionCache,
    table: Client,
    expire_at: object,
) -> None:
    put(table, "odd-expiry", {"S": json.dumps(FIELDS)}, expire_at)
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
    }
)


class OneItem:
    """A table that holds one text under every key: thousands of them would be slow over HTTP."""

    def __init__(self, text: str) -> None:
        self._text = text

    def get_item(self, **_: object) -> dict[str, Any]:
        expire_at = {"N": str(int(NOW) + 60)}
        return {"Item": {"expire_at": expire_at, "prediction": {"S": self._text}}}


@PATIENT
@given(anything | likely)
def test_whatever_json_lies_there_is_a_miss_or_a_prediction_of_finite_numbers(
    fields: object,
) -> None:
    table: Client = OneItem(json.dumps(fields))
    found = DynamoPredictionCache(TABLE, table, ttl_seconds=60).get("any", NOW)
    if found is not None:
        # As JSON knows neither NaN nor infinity, it would refuse them here.
        json.dumps([found.distance, found.rewards, found.output_tokens], allow_nan=False)
        assert isinstance(found.cluster, int)


floats = st.floats(allow_nan=False, allow_infinity=False)


@settings(PATIENT, max_examples=25)
@given(floats, st.dictionaries(st.sampled_from(["haiku", "sonnet"]), floats))
def test_numbers_come_back_to_the_last_bit(
    cache: DynamoPredictionCache, distance: float, rewards: dict[str, float]
) -> None:
    cache.put("exact", Prediction(0, distance, rewards, rewards), NOW)

    found = cache.get("exact", NOW)

    assert found is not None
    assert struct.pack("<d", found.distance) == struct.pack("<d", distance)
    assert found.rewards == found.output_tokens == rewards


def test_a_table_that_is_not_there_is_a_store_error(table: Client) -> None:
    check_store_error(DynamoPredictionCache("nowhere", table, ttl_seconds=60))


def test_a_closed_port_is_a_store_error() -> None:
    client = boto3.client(
        "dynamodb",
        region_name="ap-northeast-1",
        endpoint_url="http://127.0.0.1:1",
        aws_access_key_id="none",
        aws_secret_access_key="none",
        config=Config(connect_timeout=1, retries={"total_max_attempts": 1}),
    )
    check_store_error(DynamoPredictionCache(TABLE, client, ttl_seconds=60))
    client.close()


def check_store_error(lost: DynamoPredictionCache) -> None:
    with pytest.raises(StoreError, match=r"^the prediction cache did not answer$"):
        lost.get("a", NOW)
    with pytest.raises(StoreError, match=r"^the prediction cache did not answer$"):
        lost.put("a", PREDICTION, NOW)
