"""API keys: one DynamoDB item per key, in the table that also counts what keys spend."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from regroup.aws_settings import explain
from regroup.domain.budget import Budget
from regroup.domain.keys import KeyRecord, is_key_id
from regroup.dynamodb_item import UNREADABLE, Item, number, read_count
from regroup.errors import StoreError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_CONFIG = Config(
    connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 2, "mode": "standard"}
)
_ATTRIBUTES = ("salt", "hash", "expires_at", "revoked", "note", "daily_usd_micros", "daily_tokens")
# `hash` is a reserved word in DynamoDB's expressions, so every name goes through a placeholder.
_NAMES = {f"#{name}": name for name in _ATTRIBUTES}
_IS_KEY = "attribute_exists(#salt) OR attribute_exists(#hash)"


class DynamoKeyStore:
    """Key records by key id, in a table with the key `key_id`."""

    def __init__(self, table: str, client: "DynamoDBClient") -> None:
        """Use a client whose timeouts are short: the caller waits for the answer."""
        self._table = table
        self._client = client

    @classmethod
    def connect(cls, table: str) -> Self:
        """Return a store with a client of its own, region and endpoint from the environment.

        Raises:
            StoreError: the environment names no region, or a profile that is not there.
        """
        try:
            return cls(table, boto3.client("dynamodb", config=_CONFIG))
        except BotoCoreError as error:
            sentence = "the key table cannot be reached with these AWS settings"
            raise StoreError(explain(error, sentence)) from error

    def get(self, key_id: str) -> KeyRecord | None:
        """Return a key's record, or None where there is no such key.

        Raises:
            StoreError: the table did not answer, or holds an item that is no key record.
        """
        try:
            answer = self._client.get_item(
                TableName=self._table,
                Key={"key_id": {"S": key_id}},
                ProjectionExpression=", ".join(_NAMES),
                ExpressionAttributeNames=_NAMES,
                # A stale read would let a revoked key live on for one more cache lifetime.
                ConsistentRead=True,
            )
        # Not only the SDK's own errors: alien bytes surface as whatever its parsers stumble over.
        except Exception as error:
            raise StoreError(explain(error, "the key table did not answer")) from error
        item = answer.get("Item", {})
        # What has neither salt nor hash was never a key.
        if "salt" not in item and "hash" not in item:
            return None
        try:
            return _record(item)
        except UNREADABLE as error:
            raise StoreError("the key table holds an item that is no key record") from error

    def list(self) -> Iterator[tuple[str, KeyRecord]]:
        """Yield every key id with its record, in no order.

        Raises:
            StoreError: the table did not answer, or holds an item that is no key record; it is
                named.
        """
        for item in self._items():
            yield _named_record(item)

    def put(self, key_id: str, record: KeyRecord) -> None:
        """Write a key's record and leave what else its item holds as it is.

        Raises:
            StoreError: the table did not take it.
            ValueError: no key can have this id.
        """
        if not is_key_id(key_id):
            raise ValueError("a key id is made of letters and digits")
        attributes: dict[str, Any] = {
            "salt": {"S": record.salt},
            "hash": {"S": record.secret_hash},
            "expires_at": _number(record.expires_at),
            "revoked": {"BOOL": record.revoked},
            "note": {"S": record.note},
            "daily_usd_micros": _number(record.budget.usd_micros),
            "daily_tokens": _number(record.budget.tokens),
        }
        given = {name: value for name, value in attributes.items() if value is not None}
        update = "SET " + ", ".join(f"#{name} = :{name}" for name in given)
        if absent := [f"#{name}" for name in attributes if name not in given]:
            update += " REMOVE " + ", ".join(absent)
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"key_id": {"S": key_id}},
                UpdateExpression=update,
                ExpressionAttributeNames=_NAMES,
                ExpressionAttributeValues={f":{name}": value for name, value in given.items()},
            )
        except Exception as error:
            raise StoreError(explain(error, "the key table did not take the key")) from error

    def revoke(self, key_id: str) -> bool:
        """Refuse a key from now on; tell whether there is such a key.

        Raises:
            StoreError: the table did not take it.
        """
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"key_id": {"S": key_id}},
                UpdateExpression="SET #revoked = :true",
                # Without it an update makes the item that it does not find.
                ConditionExpression=_IS_KEY,
                ExpressionAttributeNames={f"#{n}": n for n in ("revoked", "salt", "hash")},
                ExpressionAttributeValues={":true": {"BOOL": True}},
            )
        except ClientError as error:
            if error.response["Error"].get("Code") == "ConditionalCheckFailedException":
                return False
            raise StoreError("the key table did not take the revocation") from error
        except Exception as error:
            raise StoreError(explain(error, "the key table did not take the revocation")) from error
        return True

    def _items(self) -> Iterator[Item]:
        try:
            pages = self._client.get_paginator("scan").paginate(
                TableName=self._table,
                ProjectionExpression=", ".join(("key_id", *_NAMES)),
                ExpressionAttributeNames=_NAMES,
                FilterExpression=_IS_KEY,
                ConsistentRead=True,
            )
            for page in pages:
                yield from page["Items"]
        except Exception as error:
            raise StoreError(explain(error, "the key table did not answer")) from error


def _number(value: int | None) -> dict[str, str] | None:
    return None if value is None else number(value)


def _named_record(item: Item) -> tuple[str, KeyRecord]:
    key_id = str(item["key_id"]["S"])
    try:
        return key_id, _record(item)
    except UNREADABLE as error:
        raise StoreError(f"the item {key_id!r} of the key table is no key record") from error


def _record(item: Item) -> KeyRecord:
    """Read what `put` wrote; see `UNREADABLE`.

    Nothing damaged is read as "not revoked", "never expires" or "no limit": it is no key then.
    """
    return KeyRecord(
        salt=item["salt"]["S"],
        secret_hash=item["hash"]["S"],
        expires_at=int(item["expires_at"]["N"]) if "expires_at" in item else None,
        revoked=item["revoked"]["BOOL"] if "revoked" in item else False,
        note=item["note"]["S"] if "note" in item else "",
        budget=Budget(_limit(item, "daily_usd_micros"), _limit(item, "daily_tokens")),
    )


def _limit(item: Item, name: str) -> int | None:
    return read_count(item, name) if name in item else None
