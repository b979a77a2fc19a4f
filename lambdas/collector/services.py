"""Store each sampled interaction and each reward once, under its day."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from hashlib import sha256

from regroup.domain import events, feedback
from regroup.errors import DataError
from regroup.ports import ObjectStore, Telemetry

type Message = Mapping[str, object]

_ID_LETTERS = set("0123456789abcdefghijklmnopqrstuvwxyz-")
_MOST_ID_LETTERS = 64
_DIGEST_LETTERS = 12
"""Enough to tell the judgements of one decision apart."""


@dataclass(frozen=True, slots=True)
class SampleService:
    """Keeps what the queue brings as dated JSONL, one object each.

    The key is made of the message alone, and is written only if it is new: a message that SQS
    delivers twice, even days apart or to two functions at once, is stored once.
    """

    store: ObjectStore
    telemetry: Telemetry
    timezone: tzinfo

    def keep(self, body: str) -> None:
        """Store one message of the interaction queue.

        Raises:
            DataError: the message is of no known kind; after some tries it goes to the DLQ.
            StoreError: the store did not take it; SQS will deliver it again.
        """
        message = _parse(body)
        fresh = self.store.create(self.key_of(message), _line(message))
        name = _kind_of(message).metric
        self.telemetry.count(f"{name}Stored" if fresh else f"{name}Repeated")

    def key_of(self, message: Message) -> str:
        """Return where a message lies, under the day of the deployment's time zone.

        Raises:
            DataError: its kind, id or time cannot be used.
        """
        return _kind_of(message).key(message, self.timezone)


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is done with the messages of one event."""

    schema: int
    metric: str
    key: Callable[[Message, tzinfo], str]


def _interaction_key(message: Message, timezone: tzinfo) -> str:
    """`interactions/2026/11/24/<id>.jsonl`, the day of the decision."""
    decision = message.get("decision")
    day = _day(decision.get("at") if isinstance(decision, dict) else None, timezone)
    return f"interactions/{day}/{_name(message.get('id'))}.jsonl"


def _reward_key(message: Message, timezone: tzinfo) -> str:
    """`rewards/2026/11/24/<decision id>-<digest>.jsonl`, the day the reward came.

    A decision that is judged again has another line, and so another object.
    """
    digest = sha256(_line(message)).hexdigest()[:_DIGEST_LETTERS]
    day = _day(message.get("at"), timezone)
    return f"rewards/{day}/{_name(message.get('decision_id'))}-{digest}.jsonl"


_KINDS: Mapping[object, _Kind] = {
    "interaction": _Kind(events.SCHEMA, "Samples", _interaction_key),
    "reward_scored": _Kind(feedback.SCHEMA, "Rewards", _reward_key),
}


def _kind_of(message: Message) -> _Kind:
    event = message.get("event")
    kind = _KINDS.get(event) if isinstance(event, str) else None
    if kind is None:
        raise DataError("a message is of no kind that is stored")
    if message.get("schema") != kind.schema:
        raise DataError("a message has a schema that this version does not know")
    return kind


def _name(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _MOST_ID_LETTERS:
        raise DataError("a message has no id")
    if not set(value) <= _ID_LETTERS:
        raise DataError("a message's id holds letters that no id has")
    return value


def _day(at: object, timezone: tzinfo) -> str:
    """Return the day (`2026/11/24`) that a time in seconds since 1970 belongs to."""
    if not isinstance(at, int | float) or isinstance(at, bool):
        raise DataError("a message has no time")
    try:
        return f"{datetime.fromtimestamp(at, timezone):%Y/%m/%d}"
    except (ValueError, OverflowError, OSError) as error:
        raise DataError("a message's time is no time") from error


def _line(message: Message) -> bytes:
    try:
        text = json.dumps(message, ensure_ascii=False, allow_nan=False, sort_keys=True)
        return f"{text}\n".encode()
    except (ValueError, RecursionError) as error:
        raise DataError(
            "a message holds half of a surrogate pair or a number that JSON lacks, or is too deep"
        ) from error


def _parse(body: str) -> Message:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DataError("a message is not JSON") from error
    if not isinstance(message, dict):
        raise DataError("a message is no JSON object")
    return message
