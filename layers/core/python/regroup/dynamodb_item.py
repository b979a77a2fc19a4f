"""Items of DynamoDB as its low-level client gives and takes them, read without trust."""

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

from regroup.errors import StoreError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

type Item = Mapping[str, Any]
"""Attributes by name, each a map from its type to its value: `{"at": {"N": "1.5"}}`."""

LATEST_SECONDS = 10_000_000_000
"""Seconds since 1970 in the year 2286; a time beyond it was written in milliseconds."""

UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, OverflowError)
"""What reading an attribute raises that is missing, of another type or out of range."""


def fetch(
    client: "DynamoDBClient", table: str, key: Mapping[str, str], *, what: str, consistent: bool
) -> Item:
    """Return the item of a text key; an empty one where there is none.

    Args:
        client: makes one attempt, and is quick to give up.
        table: where to look.
        key: the key attribute's name and value.
        what: the table, in the words of an error.
        consistent: whether what was written a moment ago must be seen.

    Raises:
        StoreError: the table did not answer in time.
    """
    try:
        answer = client.get_item(
            TableName=table,
            Key={name: {"S": value} for name, value in key.items()},
            ConsistentRead=consistent,
        )
    # Not only the SDK's own errors: alien bytes surface as whatever its parsers stumble over.
    except Exception as error:
        raise StoreError(f"the {what} did not answer") from error
    return answer.get("Item", {})


def lives(item: Item, now: float) -> bool:
    """Tell whether an item may still be used at `now` (seconds since 1970), by `expire_at`.

    DynamoDB deletes expired items hours to days late and returns them until then; one without an
    expiry in seconds never lives.
    """
    try:
        return now < read_number(item, "expire_at") < LATEST_SECONDS
    except UNREADABLE:
        return False


def number(value: float) -> dict[str, str]:
    """Return a number as an attribute; its digits are kept to the last bit."""
    return {"N": repr(value)}


def text_or_null(value: str | None) -> dict[str, Any]:
    """Return a text as an attribute; what is None is said to be, so that a gap is damage."""
    return {"NULL": True} if value is None else {"S": value}


def read_text(item: Item, name: str) -> str:
    """Return a text; see `UNREADABLE`."""
    value = item[name]["S"]
    if not isinstance(value, str):
        raise TypeError(name)
    return value


def read_text_or_null(item: Item, name: str) -> str | None:
    """Return a text, or None where that was written; see `UNREADABLE`."""
    return None if item[name].get("NULL") is True else read_text(item, name)


def read_number(item: Item, name: str) -> float:
    """Return a finite number; see `UNREADABLE`."""
    value = float(item[name]["N"])
    if not isfinite(value):
        raise ValueError(name)
    return value


def read_count(item: Item, name: str, *, least: int = 0) -> int:
    """Return a whole number of at least `least`; see `UNREADABLE`."""
    value = int(item[name]["N"])
    if value < least:
        raise ValueError(name)
    return value
