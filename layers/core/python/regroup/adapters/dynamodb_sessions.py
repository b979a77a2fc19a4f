"""What is remembered of conversations: one DynamoDB item each."""

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from regroup.domain.conversation import Session
from regroup.dynamodb_item import (
    LATEST_SECONDS,
    UNREADABLE,
    Item,
    fetch,
    lives,
    number,
    read_count,
    read_number,
    read_text,
)
from regroup.errors import StoreError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# Nothing but an item with sound times may stand in the way: a damaged one is overwritten.
_NOT_OLDER = (
    "NOT (attribute_type(#at, :number) AND attribute_type(expire_at, :number)"
    " AND #at > :at AND #at < expire_at AND expire_at > :now AND expire_at < :latest)"
)


class DynamoSessionStore:
    """Conversations by `session_name`, in a table with the key `session_id`."""

    def __init__(self, table: str, client: "DynamoDBClient", *, ttl_seconds: int) -> None:
        """Use a client whose timeouts are short: a memory that is slow is worse than none."""
        self._table = table
        self._client = client
        self._ttl_seconds = ttl_seconds

    def get(self, name: str, now: float) -> Session | None:
        """Return what was put last, unless it expired or cannot be read any more."""
        key = {"session_id": name}
        # Consistent: the next step of a tool loop comes within a moment of the answer before it.
        item = fetch(self._client, self._table, key, what="session table", consistent=True)
        return _session(item) if lives(item, now) else None

    def put(self, name: str, session: Session, now: float) -> None:
        """Keep a conversation's latest state; one that is known to be older is dropped."""
        try:
            self._client.put_item(
                TableName=self._table,
                Item={
                    "session_id": {"S": name},
                    "model": {"S": session.model},
                    "at": number(session.at),
                    "cached_tokens": number(session.cached_tokens),
                    "turns": number(session.turns),
                    "expire_at": number(int(now) + self._ttl_seconds),
                },
                ConditionExpression=_NOT_OLDER,
                ExpressionAttributeNames={"#at": "at"},
                ExpressionAttributeValues={
                    ":at": number(session.at),
                    ":now": number(now),
                    ":latest": number(LATEST_SECONDS),
                    ":number": {"S": "N"},
                },
            )
        except Exception as error:
            # A lost race is none: an answer that ended later was written first.
            if not _is_refused_by_condition(error):
                raise StoreError("the session table did not take a conversation") from error


def _session(item: Item) -> Session | None:
    """Read what `put` wrote; an item of another shape is a miss and will be overwritten."""
    try:
        at = read_number(item, "at")
        if at >= read_number(item, "expire_at"):
            return None  # Milliseconds.
        return Session(
            model=read_text(item, "model"),
            at=at,
            cached_tokens=read_count(item, "cached_tokens"),
            turns=read_count(item, "turns", least=1),
        )
    except UNREADABLE:
        return None


def _is_refused_by_condition(error: Exception) -> bool:
    return (
        isinstance(error, ClientError)
        and error.response["Error"]["Code"] == "ConditionalCheckFailedException"
    )
