"""Ask the candidates of a ranking in turn until one begins to answer."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from classifier.patience import PatientEvents
from regroup.domain.catalog import Catalog
from regroup.domain.chat import ChatEvent, ChatRequest
from regroup.domain.decision import Decision
from regroup.domain.events import Attempt
from regroup.domain.fallback import Cooldowns, Deadline
from regroup.errors import (
    DeadlineError,
    NoAnswerError,
    UpstreamError,
    UpstreamUnavailableError,
)
from regroup.ports import ChatModel, Clock, Telemetry

_ATTEMPT_SHARE = 0.7
"""Of the time left: a candidate that hangs leaves the rest to those after it."""
_SILENCE_CAP_SECONDS = 20.0
"""The longest silence that is waited through where others could still answer."""
_RETRY_AFTER_SECONDS = 30

UNPAID = "budget"
"""In place of an error's cause: the key's budget does not hold this candidate."""


@dataclass(frozen=True, slots=True)
class Begun:
    """An answer that has begun."""

    candidate: str
    first: ChatEvent
    rest: PatientEvents


@dataclass(slots=True)
class Caller:
    """Falls back before the first event only: what the client has seen cannot be taken back."""

    catalog: Catalog
    chat_model: ChatModel
    cooldowns: Cooldowns
    telemetry: Telemetry
    clock: Clock

    def begin(
        self,
        decision: Decision,
        chat: ChatRequest,
        deadline: Deadline,
        *,
        can_pay: Callable[[str], bool],
        attempts: list[Attempt],
    ) -> Begun:
        """Return the first answer that begins; every attempt is added to `attempts`.

        Raises:
            UpstreamRejectedError: the request itself is malformed.
            NoAnswerError: every candidate failed.
            DeadlineError: the time was up before one answered.
        """
        ranking = decision.choice.ranking
        for name in ranking:
            if not can_pay(name):
                attempts.append(Attempt(name, UNPAID))
                continue
            # After the table was asked, which takes time as well.
            seconds = deadline.attempt_seconds(self.clock.monotonic())
            if seconds == 0.0:
                raise DeadlineError("the time was up before a candidate answered")
            request = replace(chat, max_tokens=decision.max_tokens[name])
            try:
                begun = self._attempt(name, request, seconds, last=name == ranking[-1])
            except UpstreamError as error:
                attempts.append(Attempt(name, error.cause))
                self.note_failure(name, error)
                if not error.try_another:
                    raise
                continue
            attempts.append(Attempt(name, None))
            self.cooldowns.wake(name)
            return begun
        if deadline.attempt_seconds(self.clock.monotonic()) == 0.0:
            # The last one was waited for as long as there was time: it did not refuse.
            raise DeadlineError("the time was up before a candidate answered")
        raise NoAnswerError(
            f"{len(attempts)} candidates were tried and none answered",
            retry_after_seconds=_RETRY_AFTER_SECONDS,
        )

    def _attempt(self, name: str, chat: ChatRequest, seconds: float, *, last: bool) -> Begun:
        patience = seconds if last else seconds * _ATTEMPT_SHARE
        silence = patience if last else min(patience, _SILENCE_CAP_SECONDS)
        candidate = self.catalog.candidates[name]
        events = PatientEvents(self.chat_model.stream(candidate, chat, timeout_seconds=silence))
        first = events.next_within(patience)
        if first is None:
            raise UpstreamUnavailableError(f"{name} sent an empty stream")
        return Begun(name, first, events)

    def note_failure(self, name: str, error: UpstreamError) -> None:
        """Count a failure, and let the candidate rest where that helps."""
        self.telemetry.count(f"Upstream{error.cause.capitalize()}")
        if error.cools_down:
            self.cooldowns.rest(name, self.clock.monotonic())
