"""The seams: what the services ask of the world, named by role."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from regroup.domain.budget import Amount, Budget, BudgetDay, Holding
from regroup.domain.catalog import Candidate
from regroup.domain.chat import ChatEvent, ChatRequest
from regroup.domain.conversation import Session
from regroup.domain.feedback import DecisionRecord
from regroup.domain.prediction import Prediction


class Encoder(Protocol):
    """Turns text into meaning."""

    def encode(self, text: str) -> NDArray[np.float32]:
        """Return the unit-length (dims,) embedding of one text."""
        ...


class ChatModel(Protocol):
    """Asks a candidate."""

    def stream(
        self, candidate: Candidate, request: ChatRequest, *, timeout_seconds: float
    ) -> Iterator[ChatEvent]:
        """Yield the answer as it comes; nothing was billed if the first `next` raises.

        Raises:
            UpstreamError: the subclass says whether another candidate may do better.
        """
        ...


class PredictionCache(Protocol):
    """Remembers predictions by `Query.digest`."""

    def get(self, query_hash: str, now: float) -> Prediction | None:
        """Return what was put, unless it has expired by `now` (seconds since 1970).

        Raises:
            StoreError: the store did not answer in time.
        """
        ...

    def put(self, query_hash: str, prediction: Prediction, now: float) -> None:
        """Keep a prediction for the cache's lifetime.

        Raises:
            StoreError: the store did not answer in time.
        """
        ...


class SessionStore(Protocol):
    """Remembers conversations by `session_name`."""

    def get(self, name: str, now: float) -> Session | None:
        """Return what was put last, unless it has expired by `now` (seconds since 1970).

        Raises:
            StoreError: the store did not answer in time.
        """
        ...

    def put(self, name: str, session: Session, now: float) -> None:
        """Keep a conversation's latest state.

        Raises:
            StoreError: the store did not answer in time.
        """
        ...


class BudgetStore(Protocol):
    """Counts what keys spend in a day."""

    def spent(self, key_id: str, day: BudgetDay) -> Amount:
        """Return what a key has spent and set aside in a day.

        Raises:
            StoreError: the store did not answer in time.
        """
        ...

    def hold(self, key_id: str, amount: Amount, budget: Budget, day: BudgetDay) -> Holding:
        """Set an amount aside if the budget holds it, in one step that no other comes between.

        Raises:
            StoreError: the store did not answer in time.
        """
        ...

    def settle(self, key_id: str, change: Amount, day: BudgetDay) -> None:
        """Add what a call cost more than was set aside for it; less is given back.

        Raises:
            StoreError: the store did not answer in time.
        """
        ...


class DecisionStore(Protocol):
    """Remembers decisions until their feedback may have come."""

    def get(self, decision_id: str, now: float) -> DecisionRecord | None:
        """Return a decision, unless it is forgotten by `now` (seconds since 1970).

        Raises:
            StoreError: the store did not answer in time.
        """
        ...

    def put(self, record: DecisionRecord, now: float) -> None:
        """Keep a decision.

        Raises:
            StoreError: the store did not answer in time.
        """
        ...


@dataclass(frozen=True, slots=True)
class Clock:
    """The times a service needs: seconds since 1970, and seconds that never jump."""

    wall: Callable[[], float]
    monotonic: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Stored:
    """An object's bytes and the tag that a conditional write names."""

    content: bytes
    tag: str


class ObjectStore(Protocol):
    """Keeps bytes under keys, and can write on condition."""

    def read(self, key: str) -> Stored:
        """Return an object.

        Raises:
            ArtifactNotFoundError: there is none.
            StoreError: the store did not answer.
        """
        ...

    def create(self, key: str, content: bytes) -> bool:
        """Write an object unless one is there; tell whether it was written."""
        ...

    def replace(self, key: str, content: bytes, *, tag: str | None) -> None:
        """Write an object if it still has `tag` (None: if there is none).

        Raises:
            PointerConflictError: it has another by now.
        """
        ...


class InteractionQueue(Protocol):
    """Takes sampled interactions to the collector."""

    def send(self, message: Mapping[str, object]) -> None:
        """Hand on one interaction.

        Raises:
            StoreError: the queue did not take it.
        """
        ...


class Telemetry(Protocol):
    """Writes decision lines, failures and metrics."""

    def failure(self, what: str, error: BaseException) -> None:
        """Write that something failed, by the error's type alone: its text may quote a prompt."""
        ...

    def event(self, line: Mapping[str, object]) -> None:
        """Write one structured log line; it never holds prompt text."""
        ...

    def count(self, metric: str, value: float = 1, *, unit: str = "Count") -> None:
        """Add to a metric."""
        ...
