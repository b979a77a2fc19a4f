"""API keys: one DynamoDB item per key, beside that key's budget."""

from typing import TYPE_CHECKING, Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from regroup.domain.keys import KeyRecord
from regroup.errors import StoreError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# `hash` is a reserved word in DynamoDB's expressions, so every name goes through a placeholder.
_NAMES = {f"#{name}": name for name in ("salt", "hash", "expires_at", "revoked", "note")}


class DynamoKeyStore:
    """Key records by key id, in a table with the key `key_id`."""

    def __init__(self, table: str, client: "DynamoDBClient") -> None:
        """Use a client whose timeouts are short: the caller waits for the answer."""
        self._table = table
        self._client = client

    @classmethod
    def connect(cls, table: str) -> Self:
        """Return a store with a client of its own, region and endpoint from the environment."""
        config = Config(
            connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 2, "mode": "standard"}
        )
        return cls(table, boto3.client("dynamodb", config=config))

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
        except (ClientError, BotoCoreError) as error:
            raise StoreError("the key table did not answer") from error
        item = answer.get("Item", {})
        # A budget's counter may outlive its key: an item without salt and hash is no key.
        if "salt" not in item and "hash" not in item:
            return None
        return _record(item)

    def put(self, key_id: str, record: KeyRecord) -> None:
        """Write a key's record and leave what else its item holds (a budget) as it is.

        Raises:
            StoreError: the table did not take it.
        """
        values: dict[str, Any] = {
            ":salt": {"S": record.salt},
            ":hash": {"S": record.secret_hash},
            ":revoked": {"BOOL": record.revoked},
            ":note": {"S": record.note},
        }
        update = "SET #salt = :salt, #hash = :hash, #revoked = :revoked, #note = :note"
        if record.expires_at is None:
            update += " REMOVE #expires_at"
        else:
            values[":expires_at"] = {"N": str(record.expires_at)}
            update += ", #expires_at = :expires_at"
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"key_id": {"S": key_id}},
                UpdateExpression=update,
                ExpressionAttributeNames=_NAMES,
                ExpressionAttributeValues=values,
            )
        except (ClientError, BotoCoreError) as error:
            raise StoreError("the key table did not take the key") from error


def _record(item: dict[str, Any]) -> KeyRecord:
    try:
        return KeyRecord(
            salt=item["salt"]["S"],
            secret_hash=item["hash"]["S"],
            expires_at=int(item["expires_at"]["N"]) if "expires_at" in item else None,
            revoked=item["revoked"]["BOOL"] if "revoked" in item else False,
            note=item["note"]["S"] if "note" in item else "",
        )
    except (KeyError, TypeError, ValueError) as error:
        # Never read as "not revoked" or "never expires": a damaged key is no key.
        raise StoreError("the key table holds an item that is no key record") from error
