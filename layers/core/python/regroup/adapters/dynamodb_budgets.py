"""What keys spend: one DynamoDB item per key and day, beside the keys themselves."""

from typing import TYPE_CHECKING, Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from regroup.aws_settings import explain
from regroup.domain.budget import Amount, Budget, BudgetDay, Holding
from regroup.dynamodb_item import UNREADABLE, Item, number
from regroup.errors import StoreError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# An update that adds must not be sent again: what looked lost may have been counted.
_CONFIG = Config(connect_timeout=2, read_timeout=2, retries={"total_max_attempts": 1})
_KEPT_SECONDS = 7 * 86_400
"""How long a day's counter stays after the day: a week to look back on."""

_USD, _TOKENS = "spent_usd_micros", "spent_tokens"
_ADD = (
    f"SET {_USD} = if_not_exists({_USD}, :zero) + :usd_micros,"
    f" {_TOKENS} = if_not_exists({_TOKENS}, :zero) + :tokens, expire_at = :expire_at"
)
_SILENT = "the budget table did not answer"
_DAMAGED = "the budget table holds an item that is no counter"


class DynamoBudgetStore:
    """Counters by key and day, in the keys' table; its key is `key_id`.

    A counter is named `<key id>#<day>`, which no key can be, as key ids have letters and digits
    only. That a budget is never overdrawn rests on DynamoDB, which checks the condition of an
    update and applies it in one step.
    """

    def __init__(self, table: str, client: "DynamoDBClient") -> None:
        """Use a client that is quick to give up and makes one attempt: a call waits for it."""
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
            sentence = "the budget table cannot be reached with these AWS settings"
            raise StoreError(explain(error, sentence)) from error

    def hold(self, key_id: str, amount: Amount, budget: Budget, day: BudgetDay) -> Holding:
        """Set an amount aside if the budget holds it, in one step that no other comes between.

        Where an error is raised the amount may have been set aside all the same: too much is
        counted then, never too little.

        Raises:
            StoreError: the table did not answer in time, or what it counts cannot be read.
        """
        try:
            answer = self._add(key_id, amount, day, _room(amount, budget))
        except ClientError as error:
            refusal: dict[str, Any] = {**error.response}
            if refusal["Error"].get("Code") != "ConditionalCheckFailedException":
                raise StoreError(_SILENT) from error
            # The refusal brings the item along. There is none where the first amount of a day
            # is more than the whole budget.
            return Holding(granted=False, spent=_spent(refusal.get("Item", {})))
        # Not only the SDK's own errors: alien bytes surface as whatever its parsers stumble over.
        except Exception as error:
            raise StoreError(explain(error, _SILENT)) from error
        return Holding(granted=True, spent=_spent(answer.get("Attributes", {}), required=True))

    def settle(self, key_id: str, change: Amount, day: BudgetDay) -> None:
        """Add what a call cost more than was set aside for it; less is given back.

        Raises:
            StoreError: the table did not answer in time.
        """
        try:
            self._add(key_id, change, day, {})
        except Exception as error:
            raise StoreError(explain(error, _SILENT)) from error

    def spent(self, key_id: str, day: BudgetDay) -> Amount:
        """Return what a key has spent and set aside in a day.

        Raises:
            StoreError: the table did not answer in time, or what it counts cannot be read.
        """
        try:
            answer = self._client.get_item(
                TableName=self._table, Key=_key(key_id, day), ConsistentRead=True
            )
        except Exception as error:
            raise StoreError(explain(error, _SILENT)) from error
        return _spent(answer.get("Item", {}))

    def _add(
        self, key_id: str, change: Amount, day: BudgetDay, room: dict[str, int]
    ) -> dict[str, Any]:
        """Add to a counter, on condition that what was spent is at most `room`."""
        values = {
            ":zero": 0,
            ":usd_micros": change.usd_micros,
            ":tokens": change.tokens,
            ":expire_at": int(day.ends_at) + _KEPT_SECONDS,
            **{f":{name}_room": most for name, most in room.items()},
        }
        condition: dict[str, Any] = {}
        if room:
            condition = {
                "ConditionExpression": " AND ".join(_fits(*item) for item in room.items()),
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        answer = self._client.update_item(
            TableName=self._table,
            Key=_key(key_id, day),
            UpdateExpression=_ADD,
            ExpressionAttributeValues={name: number(value) for name, value in values.items()},
            ReturnValues="ALL_NEW",
            **condition,
        )
        return {**answer}


def _key(key_id: str, day: BudgetDay) -> dict[str, Any]:
    return {"key_id": {"S": f"{key_id}#{day.name}"}}


def _room(amount: Amount, budget: Budget) -> dict[str, int]:
    """Return what may have been spent, at most, for the amount to fit: conditions have no sums."""
    room = {}
    if budget.usd_micros is not None:
        room[_USD] = budget.usd_micros - amount.usd_micros
    if budget.tokens is not None:
        room[_TOKENS] = budget.tokens - amount.tokens
    return room


def _fits(name: str, room: int) -> str:
    # A key that has spent nothing today has no counter, and nothing compares with what is absent.
    # An amount over the whole budget does not fit even then.
    unspent = f"attribute_not_exists({name}) OR " if room >= 0 else ""
    return f"({unspent}{name} <= :{name}_room)"


def _spent(item: Item, *, required: bool = False) -> Amount:
    """Read a counter; where there is none nothing is spent, unless it must be there."""
    if not item and not required:
        return Amount(0, 0)
    try:
        return Amount(int(item[_USD]["N"]), int(item[_TOKENS]["N"]))
    except UNREADABLE as error:
        raise StoreError(_DAMAGED) from error
