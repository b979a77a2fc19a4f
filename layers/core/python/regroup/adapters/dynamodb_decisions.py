"""Decisions that feedback may still come to: one DynamoDB item each."""

from typing import TYPE_CHECKING

from regroup.domain.feedback import DecisionRecord
from regroup.dynamodb_item import (
    UNREADABLE,
    Item,
    fetch,
    lives,
    number,
    read_count,
    read_number,
    read_text,
    read_text_or_null,
    text_or_null,
)
from regroup.errors import StoreError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoDecisionStore:
    """Decisions by id, in a table with the key `decision_id`."""

    def __init__(self, table: str, client: "DynamoDBClient", *, ttl_seconds: int) -> None:
        """Use a client whose timeouts fit behind an answer."""
        self._table = table
        self._client = client
        self._ttl_seconds = ttl_seconds

    def get(self, decision_id: str, now: float) -> DecisionRecord | None:
        """Return a decision, unless it is forgotten or cannot be read any more."""
        key = {"decision_id": decision_id}
        # Consistent: a program judges an answer as soon as it has it.
        item = fetch(self._client, self._table, key, what="decision table", consistent=True)
        return _record(item) if lives(item, now) else None

    def put(self, record: DecisionRecord, now: float) -> None:
        """Keep a decision until its feedback may have come."""
        cluster = record.cluster_id
        try:
            self._client.put_item(
                TableName=self._table,
                Item={
                    "decision_id": {"S": record.decision_id},
                    "key_id": text_or_null(record.key_id),
                    "at": number(record.at),
                    "routed_model": {"S": record.routed_model},
                    "cluster_id": {"NULL": True} if cluster is None else number(cluster),
                    "version": text_or_null(record.version),
                    "preset": {"S": record.preset},
                    "expire_at": number(int(now) + self._ttl_seconds),
                },
            )
        except Exception as error:
            raise StoreError("the decision table did not take a decision") from error


def _record(item: Item) -> DecisionRecord | None:
    """Read what `put` wrote; of an item of another shape nothing is known."""
    try:
        at = read_number(item, "at")
        if at >= read_number(item, "expire_at"):
            return None  # Milliseconds.
        no_cluster = item["cluster_id"].get("NULL") is True
        return DecisionRecord(
            decision_id=read_text(item, "decision_id"),
            key_id=read_text_or_null(item, "key_id"),
            at=at,
            routed_model=read_text(item, "routed_model"),
            cluster_id=None if no_cluster else read_count(item, "cluster_id"),
            version=read_text_or_null(item, "version"),
            preset=read_text(item, "preset"),
        )
    except UNREADABLE:
        return None
