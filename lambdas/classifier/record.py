"""Record what came of a decision, exactly once, however its answer ends."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from regroup.domain.catalog import Catalog
from regroup.domain.chat import ChatEvent, Metered, TextDelta, Usage
from regroup.domain.decision import Decision
from regroup.domain.events import Attempt, Outcome, decision_line, interaction_message
from regroup.domain.fallback import Deadline
from regroup.domain.policy import draw_for
from regroup.errors import (
    DeadlineError,
    RegroupError,
    StoreError,
    UpstreamError,
    UpstreamRejectedError,
    UpstreamTimeoutError,
)
from regroup.ports import Clock, InteractionQueue, Telemetry


@dataclass(frozen=True, slots=True)
class Recorder:
    """Writes decision lines and metrics, and hands samples to the collector."""

    catalog: Catalog
    queue: InteractionQueue | None
    telemetry: Telemetry
    clock: Clock
    sample_rate: float

    def sample(self, message: Callable[[], Mapping[str, object]], decision_id: str) -> None:
        """Hand one interaction in `1 / sample_rate` to the collector."""
        if self.queue is None or draw_for(f"sample {decision_id}") >= self.sample_rate:
            return
        try:
            self.queue.send(message())
        except StoreError:
            # A lost sample must not cost the caller an answer that is already paid for.
            self.telemetry.count("SampleLost")


@dataclass(slots=True)
class Record:
    """Gathers what came of one decision, and writes it exactly once."""

    recorder: Recorder
    decision: Decision
    key_id: str | None
    query: str
    started: float
    attempts: list[Attempt] = field(default_factory=list)
    first_byte_at: float | None = None
    usage: Usage | None = None
    pieces: list[str] = field(default_factory=list)
    closed: bool = False

    def close(self, *, status: int) -> None:
        """Write the line, count, and sample an answer that was complete."""
        if self.closed:
            return
        self.closed = True
        now = self.recorder.clock.monotonic()
        outcome = Outcome(
            attempts=tuple(self.attempts),
            status=status,
            usage=self.usage,
            cost_usd=self._cost(),
            latency_ms=1000 * (now - self.started),
            first_byte_ms=None
            if self.first_byte_at is None
            else 1000 * (self.first_byte_at - self.started),
        )
        line = decision_line(
            self.decision, outcome, key_id=self.key_id, at=self.recorder.clock.wall()
        )
        telemetry = self.recorder.telemetry
        telemetry.event(line)
        telemetry.count("Decisions")
        telemetry.count("Fallbacks", sum(a.error is not None for a in self.attempts))
        if status == 200:
            self.recorder.sample(lambda: self._message(line), self.decision.decision_id)

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
            answer=self.pieces,
            inclusion_probability=self.recorder.sample_rate,
        )


@dataclass(slots=True)
class AnswerStream:
    """The events of one answer; records the interaction when it ends, breaks or is closed."""

    decision: Decision
    candidate: str
    _events: Iterator[ChatEvent]
    _record: Record
    _deadline: Deadline

    def __iter__(self) -> Iterator[ChatEvent]:
        """Yield the events as the candidate sends them."""
        return self

    def __next__(self) -> ChatEvent:
        """Return the next event.

        Raises:
            UpstreamError: the answer broke off; what was used so far is recorded.
        """
        try:
            if self._record.recorder.clock.monotonic() > self._deadline.at:
                raise UpstreamTimeoutError("the answer was still coming when the time was up")
            event = next(self._events)
        except StopIteration:
            self._record.close(status=200)
            raise
        except Exception as error:
            self._broke(error)
            raise
        if isinstance(event, TextDelta):
            event = TextDelta(_characters(event.text))
            self._record.pieces.append(event.text)
        elif isinstance(event, Metered):
            self._record.usage = event.usage
        return event

    def close(self) -> None:
        """Stop reading: the client went away, or nobody wants the rest."""
        self._record.close(status=499)

    def _broke(self, error: Exception) -> None:
        cause = error.cause if isinstance(error, UpstreamError) else "broken"
        self._record.attempts[-1] = Attempt(self.candidate, cause)
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
