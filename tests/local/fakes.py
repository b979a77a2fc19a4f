"""Fakes of everything the classifier asks of the world; `tests.local.world` joins them."""

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

from regroup.domain.budget import Amount, Budget, BudgetDay, Holding
from regroup.domain.catalog import Candidate
from regroup.domain.chat import ChatEvent, ChatRequest, Metered, Stop, TextDelta, Usage
from regroup.domain.conversation import Session
from regroup.domain.feedback import DecisionRecord
from regroup.domain.prediction import Prediction
from regroup.errors import (
    ArtifactNotFoundError,
    PointerConflictError,
    StoreError,
)
from regroup.ports import Stored

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For properties of whole requests: a busy machine makes none of them wrong."""

USAGE = Usage(input=10, output=20, cache_read=3, cache_write=4)
ANSWER: tuple[ChatEvent, ...] = (
    TextDelta("Good "),
    TextDelta("day."),
    Stop("stop"),
    Metered(USAGE),
)


@dataclass(frozen=True, slots=True)
class Wait:
    """A step of a plan: the time that passes before the next one."""

    seconds: float


type Step = ChatEvent | Exception | Wait


@dataclass(slots=True)
class FakeClock:
    """Two clocks that stand still until told."""

    wall: float = 1_790_000_000.0
    monotonic: float = 1_000.0

    def advance(self, seconds: float) -> None:
        """Let time pass on both."""
        self.wall += seconds
        self.monotonic += seconds


@dataclass(slots=True)
class FakeEncoder:
    """Gives every text the same embedding and keeps the texts it was given."""

    embedding: NDArray[np.float32] = field(default_factory=lambda: np.array([1, 0], np.float32))
    texts: list[str] = field(default_factory=list)

    def encode(self, text: str) -> NDArray[np.float32]:
        """Note the text."""
        self.texts.append(text)
        return self.embedding


@dataclass(frozen=True, slots=True)
class Call:
    """What a candidate was asked."""

    candidate: str
    request: ChatRequest
    timeout_seconds: float


@dataclass(slots=True)
class FakeChatModel:
    """Answers by plan, one plan per attempt; without one with `ANSWER`."""

    clock: FakeClock
    calls: list[Call] = field(default_factory=list)
    plans: dict[str, list[Sequence[Step]]] = field(default_factory=dict)

    def plan(self, candidate: str, *attempts: Sequence[Step]) -> None:
        """Say how the next attempts of a candidate go."""
        self.plans.setdefault(candidate, []).extend(attempts)

    def stream(
        self, candidate: Candidate, request: ChatRequest, *, timeout_seconds: float
    ) -> Iterator[ChatEvent]:
        """Follow the plan."""
        self.calls.append(Call(candidate.name, request, timeout_seconds))
        plans = self.plans.get(candidate.name)
        for step in plans.pop(0) if plans else ANSWER:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, Wait):
                self.clock.advance(step.seconds)
            else:
                yield step

    @property
    def asked(self) -> list[str]:
        """The candidates in the order they were asked."""
        return [call.candidate for call in self.calls]


@dataclass(slots=True)
class RecordingTelemetry:
    """Keeps lines and counts."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, str]] = field(default_factory=list)

    def event(self, line: Mapping[str, object]) -> None:
        """Keep a line as it would be read back; NaN and infinity are no JSON."""
        self.lines.append(_through_json(line))

    def failure(self, what: str, error: BaseException) -> None:
        """Keep what failed, and the error's type."""
        self.failures.append((what, type(error).__name__))

    def count(self, metric: str, value: float = 1, *, unit: str = "Count") -> None:
        """Add up."""
        assert unit == "Count"
        self.counts[metric] += int(value)


@dataclass(slots=True)
class FakeCache:
    """A table in memory, which may be told to fail."""

    items: dict[str, Prediction] = field(default_factory=dict)
    read_fails: bool = False
    write_fails: bool = False
    reads: list[tuple[str, float]] = field(default_factory=list)
    writes: list[tuple[str, float]] = field(default_factory=list)

    def get(self, query_hash: str, now: float) -> Prediction | None:
        """Return what was put."""
        self.reads.append((query_hash, now))
        if self.read_fails:
            raise StoreError("the fake cache cannot be read")
        return self.items.get(query_hash)

    def put(self, query_hash: str, prediction: Prediction, now: float) -> None:
        """Keep it."""
        self.writes.append((query_hash, now))
        if self.write_fails:
            raise StoreError("the fake cache cannot be written")
        self.items[query_hash] = prediction


@dataclass(slots=True)
class FakeSessions:
    """Conversations in memory; may be told to fail."""

    items: dict[str, Session] = field(default_factory=dict)
    fails: bool = False

    def get(self, name: str, now: float) -> Session | None:
        """Return what was put."""
        if self.fails:
            raise StoreError("the fake sessions cannot be read")
        return self.items.get(name)

    def put(self, name: str, session: Session, now: float) -> None:
        """Keep it."""
        if self.fails:
            raise StoreError("the fake sessions cannot be written")
        self.items[name] = session


@dataclass(slots=True)
class FakeDecisions:
    """Decisions in memory; may be told to fail."""

    items: dict[str, DecisionRecord] = field(default_factory=dict)
    fails: bool = False

    def get(self, decision_id: str, now: float) -> DecisionRecord | None:
        """Return what was put."""
        if self.fails:
            raise StoreError("the fake decisions cannot be read")
        return self.items.get(decision_id)

    def put(self, record: DecisionRecord, now: float) -> None:
        """Keep it."""
        if self.fails:
            raise StoreError("the fake decisions cannot be written")
        self.items[record.decision_id] = record


@dataclass(slots=True)
class FakeBudgets:
    """What keys spent, by key and day, counted under a lock; may be told to fail."""

    counts: dict[tuple[str, str], Amount] = field(default_factory=dict)
    fails: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def spent_by(self, key_id: str, day: str) -> Amount:
        """Return the count, whether or not the store is told to fail."""
        return self.counts.get((key_id, day), Amount(0, 0))

    def spent(self, key_id: str, day: BudgetDay) -> Amount:
        """Return what was counted."""
        if self.fails:
            raise StoreError("the fake budgets cannot be read")
        return self.spent_by(key_id, day.name)

    def hold(self, key_id: str, amount: Amount, budget: Budget, day: BudgetDay) -> Holding:
        """Set aside if it fits."""
        if self.fails:
            raise StoreError("the fake budgets cannot be read")
        with self._lock:
            before = self.spent_by(key_id, day.name)
            if not budget.holds(amount, before):
                return Holding(False, before)
            after = self.counts[key_id, day.name] = before + amount
            return Holding(True, after)

    def settle(self, key_id: str, change: Amount, day: BudgetDay) -> None:
        """Add the difference."""
        if self.fails:
            raise StoreError("the fake budgets cannot be written")
        with self._lock:
            self.counts[key_id, day.name] = self.spent_by(key_id, day.name) + change


@dataclass(slots=True)
class FakeQueue:
    """Keeps messages as they would arrive, and may be told to fail."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    fails: bool = False

    def send(self, message: Mapping[str, object]) -> None:
        """Take one message."""
        if self.fails:
            raise StoreError("the fake queue takes nothing")
        self.messages.append(_through_json(message))


@dataclass(slots=True)
class MemoryStore:
    """Objects in memory, created once each whoever comes first; may be told to fail."""

    objects: dict[str, bytes] = field(default_factory=dict)
    fails_on: str | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, key: str) -> Stored:
        """Return an object and its digest."""
        if key not in self.objects:
            raise ArtifactNotFoundError(key)
        content = self.objects[key]
        return Stored(content, sha256(content).hexdigest())

    def replace(self, key: str, content: bytes, *, tag: str | None) -> None:
        """Write an object if it still has that digest."""
        with self._lock:
            found = self.read(key).tag if key in self.objects else None
            if found != tag:
                raise PointerConflictError(key)
            self.objects[key] = content

    def create(self, key: str, content: bytes) -> bool:
        """Write an object unless one is there."""
        if self.fails_on is not None and self.fails_on in key:
            raise StoreError("the fake store takes nothing")
        with self._lock:
            if key in self.objects:
                return False
            self.objects[key] = content
            return True


def _through_json(fields: Mapping[str, object]) -> dict[str, Any]:
    """Return what a reader gets; fails on what JSON in UTF-8 cannot hold."""
    read: dict[str, Any] = json.loads(
        json.dumps(fields, ensure_ascii=False, allow_nan=False).encode()
    )
    return read
