"""Record what came of a decision, exactly once, however its answer ends."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import ceil

from classifier.budgets import Purse
from classifier.caller import UNPAID
from classifier.patience import PatientEvents
from classifier.runners import Runner, Work, in_turn
from classifier.sessions import Sessions
from regroup.domain.budget import MICRO, Amount
from regroup.domain.catalog import Catalog
from regroup.domain.chat import ChatEvent, Metered, TextDelta, Usage, fold
from regroup.domain.conversation import Session
from regroup.domain.decision import Decision
from regroup.domain.events import Attempt, Outcome, decision_line, interaction_message
from regroup.domain.fallback import Deadline
from regroup.domain.feedback import DecisionRecord
from regroup.domain.policy import draw_for
from regroup.errors import (
    DeadlineError,
    RegroupError,
    StoreError,
    UpstreamError,
    UpstreamRejectedError,
    UpstreamTimeoutError,
)
from regroup.ports import Clock, DecisionStore, InteractionQueue, Telemetry

_LATE_SECONDS = 0.4
"""After the deadline: a write that begins later may end after the invocation does."""


@dataclass(frozen=True, slots=True)
class Recorder:
    """Writes decision lines and metrics, and hands samples to the collector."""

    catalog: Catalog
    sessions: Sessions
    decisions: DecisionStore | None
    queue: InteractionQueue | None
    telemetry: Telemetry
    clock: Clock
    sample_rate: float
    run: Runner = in_turn
    """How the writes of one answer are run; none depends on another."""

    def sample(self, message: Callable[[], Mapping[str, object]], decision_id: str) -> None:
        """Hand one interaction in `1 / sample_rate` to the collector."""
        if self.queue is None or draw_for(f"sample {decision_id}") >= self.sample_rate:
            return
        try:
            self.queue.send(message())
        except StoreError:
            # A lost sample must not cost the caller an answer that is already paid for.
            self.telemetry.count("SampleLost")

    def keep(self, record: DecisionRecord, now: float) -> None:
        """Remember a decision, so that its feedback can find it."""
        if self.decisions is None:
            return
        try:
            self.decisions.put(record, now)
        except StoreError:
            self.telemetry.count("DecisionLost")


@dataclass(slots=True)
class Record:
    """Gathers what came of one decision, and writes it exactly once."""

    recorder: Recorder
    decision: Decision
    purse: Purse
    key_id: str | None
    query: str
    started: float
    deadline: Deadline
    attempts: list[Attempt] = field(default_factory=list)
    first_byte_at: float | None = None
    usage: Usage | None = None
    events: list[ChatEvent] = field(default_factory=list)
    closed: bool = False

    def close(self, *, status: int) -> None:
        """Write the line and count, then settle the budget and remember what was answered."""
        if self.closed:
            return
        self.closed = True
        now = self.recorder.clock.monotonic()
        cost = self._cost()
        outcome = Outcome(
            attempts=tuple(self.attempts),
            status=status,
            usage=self.usage,
            cost_usd=cost,
            latency_ms=1000 * (now - self.started),
            first_byte_ms=None
            if self.first_byte_at is None
            else 1000 * (self.first_byte_at - self.started),
        )
        at = self.recorder.clock.wall()
        line = decision_line(self.decision, outcome, key_id=self.key_id, at=at)
        telemetry = self.recorder.telemetry
        telemetry.event(line)
        telemetry.count("Decisions")
        telemetry.count("Fallbacks", sum(a.error is not None for a in self.attempts))
        cut: list[Work] = []
        losable = (partial(self._in_time, one, cut) for one in self._losable(outcome, line, at))
        self.recorder.run([partial(self.purse.settle, self._used(cost)), *losable])
        if cut:
            telemetry.count("RecordCut")

    def _losable(self, outcome: Outcome, line: dict[str, object], at: float) -> Iterator[Work]:
        """Yield the writes that are given up where no time is left for them."""
        model, recorder = outcome.answered_by, self.recorder
        if model is None:
            return
        # Also of an answer that its reader broke off: it may have been a bad one.
        yield lambda: recorder.keep(self._judgeable(model, at), at)
        if outcome.status == 200:
            yield lambda: self._remember(model, at)
            yield lambda: recorder.sample(lambda: self._message(line), self.decision.decision_id)

    def _in_time(self, write: Work, cut: list[Work]) -> None:
        """Write, or note what is not begun any more."""
        if self.recorder.clock.monotonic() > self.deadline.at + _LATE_SECONDS:
            cut.append(write)
        else:
            write()

    def _remember(self, model: str, at: float) -> None:
        decision, usage = self.decision, self.usage or Usage()
        turns = decision.session.turns if decision.session is not None else 0
        session = Session(model, at, usage.cache_read + usage.cache_write, turns + 1)
        self.recorder.sessions.remember(decision.session_name, session, at)

    def _judgeable(self, model: str, at: float) -> DecisionRecord:
        prediction = self.decision.prediction
        return DecisionRecord(
            decision_id=self.decision.decision_id,
            key_id=self.key_id,
            at=at,
            routed_model=model,
            cluster_id=None if prediction is None else prediction.cluster,
            version=self.decision.version,
            preset=self.decision.preset,
        )

    def _used(self, cost: float | None) -> Amount | None:
        """Return what was used; None where a candidate began to answer and its count never came."""
        lost = self._given_up()
        if self.first_byte_at is None:
            return lost
        if cost is None or self.usage is None:
            return None
        usage = self.usage
        tokens = usage.input + usage.output + usage.cache_read + usage.cache_write
        return lost + Amount(ceil(cost * MICRO), tokens)

    def _given_up(self) -> Amount:
        """Return the most that attempts used which were given up before they began to answer."""
        before = self.attempts if self.first_byte_at is None else self.attempts[:-1]
        silent = (one for one in before if one.error == UpstreamTimeoutError.cause)
        return sum((self.decision.dearest[one.candidate] for one in silent), Amount(0, 0))

    def _cost(self) -> float | None:
        if self.usage is None or not self.attempts:
            return None
        candidate = self.recorder.catalog.candidates[self.attempts[-1].candidate]
        return candidate.cost_usd(
            self.usage.input,
            self.usage.output,
            cache_read_tokens=self.usage.cache_read,
            cache_write_tokens=self.usage.cache_write,
        )

    def _message(self, line: dict[str, object]) -> Mapping[str, object]:
        return interaction_message(
            self.decision,
            line,
            query=self.query,
            answer=fold(self.events),
            inclusion_probability=self.recorder.sample_rate,
        )


@dataclass(slots=True)
class AnswerStream:
    """The events of one answer; records the interaction when it ends, breaks or is closed."""

    decision: Decision
    candidate: str
    _first: ChatEvent | None
    _rest: PatientEvents
    _record: Record
    _deadline: Deadline
    _note_failure: Callable[[str, UpstreamError], None]

    @property
    def tried(self) -> int:
        """How many candidates were asked until one began to answer."""
        return sum(attempt.error != UNPAID for attempt in self._record.attempts)

    def __iter__(self) -> "AnswerStream":
        """Yield the events as the candidate sends them."""
        return self

    def __next__(self) -> ChatEvent:
        """Return the next event.

        Raises:
            UpstreamError: the answer broke off; what was used so far is recorded.
        """
        try:
            event = self._next()
        except Exception as error:
            self._broke(error)
            raise
        if event is None:
            self._record.close(status=200)
            raise StopIteration
        if isinstance(event, TextDelta):
            event = TextDelta(_characters(event.text))
        elif isinstance(event, Metered):
            self._record.usage = event.usage
        self._record.events.append(event)
        return event

    def close(self) -> None:
        """Stop reading: the client went away, or nobody wants the rest."""
        self._rest.close()
        self._record.close(status=499)

    def _next(self) -> ChatEvent | None:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        left = self._deadline.at - self._record.recorder.clock.monotonic()
        if left < 0:
            self._rest.close()
            raise UpstreamTimeoutError("the answer was still coming when the time was up")
        return self._rest.next_within(left)

    def _broke(self, error: Exception) -> None:
        cause = error.cause if isinstance(error, UpstreamError) else "broken"
        self._record.attempts[-1] = Attempt(self.candidate, cause)
        # That the time was up says nothing of the candidate: a long answer takes long.
        if isinstance(error, UpstreamError) and not isinstance(error, UpstreamTimeoutError):
            self._note_failure(self.candidate, error)
        self._record.close(status=status_of(error))


def _characters(text: str) -> str:
    """Replace halves of surrogate pairs, which no answer's bytes and no sample can hold."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def status_of(error: Exception) -> int:
    """Return the HTTP status that a failed answer is recorded with."""
    match error:
        case UpstreamRejectedError():
            return 400
        case DeadlineError() | UpstreamTimeoutError():
            return 504
        case RegroupError():
            return 503
        case _:
            return 500
