"""Store each sampled interaction once, under the day it was decided."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo

from regroup.domain.events import SCHEMA
from regroup.errors import DataError
from regroup.ports import ObjectStore, Telemetry

_ID_LETTERS = set("0123456789abcdefghijklmnopqrstuvwxyz-")
_MOST_ID_LETTERS = 64


@dataclass(frozen=True, slots=True)
class SampleService:
    """Keeps interactions as dated JSONL, one object each.

    The key is made of the interaction's own id and time, and is written only if it is new: a
    message that SQS delivers twice, even days apart or to two functions at once, is stored once.
    """

    store: ObjectStore
    telemetry: Telemetry
    timezone: tzinfo

    def keep(self, body: str) -> None:
        """Store one message of the interaction queue.

        Raises:
            DataError: the message is no interaction; after some tries it goes to the DLQ.
            StoreError: the store did not take it; SQS will deliver it again.
        """
        message = _parse(body)
        fresh = self.store.create(self.key_of(message), _line(message))
        self.telemetry.count("SamplesStored" if fresh else "SamplesRepeated")

    def key_of(self, message: Mapping[str, object]) -> str:
        """Return where an interaction lies: `interactions/2026/11/24/<id>.jsonl`.

        Raises:
            DataError: its id or time cannot be used.
        """
        name, decision = message.get("id"), message.get("decision")
        at = decision.get("at") if isinstance(decision, dict) else None
        if not isinstance(name, str) or not 0 < len(name) <= _MOST_ID_LETTERS:
            raise DataError("an interaction has no id")
        if not set(name) <= _ID_LETTERS:
            raise DataError("an interaction's id holds letters that no id has")
        if not isinstance(at, int | float) or isinstance(at, bool):
            raise DataError("an interaction has no decision time")
        try:
            day = datetime.fromtimestamp(at, self.timezone)
        except (ValueError, OverflowError, OSError) as error:
            raise DataError("an interaction's decision time is no time") from error
        return f"interactions/{day:%Y/%m/%d}/{name}.jsonl"


def _line(message: Mapping[str, object]) -> bytes:
    try:
        return (json.dumps(message, ensure_ascii=False, sort_keys=True) + "\n").encode()
    except (UnicodeEncodeError, RecursionError) as error:
        raise DataError("an interaction holds half of a surrogate pair, or is too deep") from error


def _parse(body: str) -> dict[str, object]:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DataError("a message is not JSON") from error
    if not isinstance(message, dict) or message.get("event") != "interaction":
        raise DataError("a message is no interaction")
    if message.get("schema") != SCHEMA:
        raise DataError("an interaction has a schema that this version does not know")
    return message
