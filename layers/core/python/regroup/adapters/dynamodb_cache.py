"""The prediction cache: one DynamoDB item per query and artifact."""

import json
from dataclasses import asdict
from math import isfinite
from typing import TYPE_CHECKING

from regroup.domain.prediction import Prediction
from regroup.dynamodb_item import fetch, lives
from regroup.errors import StoreError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoPredictionCache:
    """Predictions by query digest, in a table with the key `query_hash`."""

    def __init__(self, table: str, client: "DynamoDBClient", *, ttl_seconds: int) -> None:
        """Use a client whose timeouts are short: a slow cache is worse than none."""
        self._table = table
        self._client = client
        self._ttl_seconds = ttl_seconds

    def get(self, query_hash: str, now: float) -> Prediction | None:
        """Return what was put, unless it expired or cannot be read any more."""
        key = {"query_hash": query_hash}
        # A prediction never changes, so an old one is as good.
        item = fetch(self._client, self._table, key, what="prediction cache", consistent=False)
        if not lives(item, now):
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
        except Exception as error:
            raise StoreError("the prediction cache did not answer") from error


def _prediction(text: str) -> Prediction | None:
    """Parse what `put` wrote; an item of another shape is a miss and will be overwritten."""
    try:
        fields = json.loads(text)
        return Prediction(
            cluster=int(fields["cluster"]),
            distance=_finite(fields["distance"]),
            rewards={str(k): _finite(v) for k, v in fields["rewards"].items()},
            output_tokens={str(k): _finite(v) for k, v in fields["output_tokens"].items()},
            reward_errors={str(k): _finite(v) for k, v in fields["reward_errors"].items()},
            choice_errors={str(k): _finite(v) for k, v in fields["choice_errors"].items()},
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None


def _finite(value: str | float) -> float:
    number = float(value)
    if not isfinite(number):
        raise ValueError("not a finite number")
    return number
