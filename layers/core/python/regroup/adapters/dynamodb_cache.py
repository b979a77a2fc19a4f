"""The prediction cache: one DynamoDB item per query and artifact."""

import json
from dataclasses import asdict
from math import isfinite
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from regroup.domain.prediction import Prediction
from regroup.errors import StoreError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_MOST_SECONDS = 10_000_000_000
"""Seconds since 1970 in the year 2286; an expiry beyond it was written in milliseconds."""


class DynamoPredictionCache:
    """Predictions by query digest, in a table with the key `query_hash`."""

    def __init__(self, table: str, client: "DynamoDBClient", *, ttl_seconds: int) -> None:
        """Use a client whose timeouts are short: a slow cache is worse than none."""
        self._table = table
        self._client = client
        self._ttl_seconds = ttl_seconds

    def get(self, query_hash: str, now: float) -> Prediction | None:
        """Return what was put, unless it expired or cannot be read any more."""
        try:
            answer = self._client.get_item(
                TableName=self._table, Key={"query_hash": {"S": query_hash}}
            )
        except (ClientError, BotoCoreError) as error:
            raise StoreError("the prediction cache did not answer") from error
        item = answer.get("Item", {})
        # DynamoDB deletes expired items hours to days late and returns them until then.
        if not now < _expiry(item) < _MOST_SECONDS:
            return None
        return _prediction(item.get("prediction", {}).get("S", ""))

    def put(self, query_hash: str, prediction: Prediction, now: float) -> None:
        """Keep a prediction for the cache's lifetime."""
        try:
            self._client.put_item(
                TableName=self._table,
                Item={
                    "query_hash": {"S": query_hash},
                    "prediction": {"S": json.dumps(asdict(prediction))},
                    "expire_at": {"N": str(int(now) + self._ttl_seconds)},
                },
            )
        except (ClientError, BotoCoreError) as error:
            raise StoreError("the prediction cache did not answer") from error


def _expiry(item: dict[str, Any]) -> float:
    try:
        return float(item["expire_at"]["N"])
    except (KeyError, TypeError, ValueError):
        return 0.0


def _prediction(text: str) -> Prediction | None:
    """Parse what `put` wrote; an item of another shape is a miss and will be overwritten."""
    try:
        fields = json.loads(text)
        return Prediction(
            cluster=int(fields["cluster"]),
            distance=_finite(fields["distance"]),
            rewards={str(k): _finite(v) for k, v in fields["rewards"].items()},
            output_tokens={str(k): _finite(v) for k, v in fields["output_tokens"].items()},
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None


def _finite(value: str | float) -> float:
    number = float(value)
    if not isfinite(number):
        raise ValueError("not a finite number")
    return number
