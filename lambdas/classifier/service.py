"""Decide who answers, and ask them in turn until one begins to."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain

from classifier.predictor import Predictor
from classifier.record import AnswerStream, Record, Recorder, status_of
from regroup.domain.catalog import Candidate, Catalog
from regroup.domain.chat import ChatEvent, ChatRequest
from regroup.domain.decision import CacheState, Decision
from regroup.domain.events import (
    Attempt,
    decision_line,
)
from regroup.domain.fallback import Cooldowns, Deadline
from regroup.domain.mask import Needs, find_hurdles, find_lasting_hurdle, needs_of
from regroup.domain.policy import Choice, Knobs, Offer, Reason, choose, draw_for
from regroup.domain.prediction import Prediction
from regroup.domain.query import query_from_turns
from regroup.errors import (
    ArtifactIncompatibleError,
    DeadlineError,
    NoAnswerError,
    UnprocessableError,
    UpstreamError,
    UpstreamUnavailableError,
)
from regroup.ports import ChatModel, Clock, InteractionQueue, Telemetry

PRESETS = ("quality", "balanced", "economy")
GUESSED_OUTPUT_TOKENS = 256.0
"""Expected length of an answer while no artifact says better."""

_ATTEMPT_CAP_SECONDS = 20.0
_ATTEMPT_SHARE = 0.7
"""Of the time left: a candidate that hangs leaves the rest to those after it."""
_RETRY_AFTER_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to the router."""

    chat: ChatRequest
    key_id: str | None
    preset: str | None = None
    """None: the deployment's default."""
    candidate: str | None = None
    """Names who must answer; nothing is routed then."""
    cost_weight: float | None = None
    """Takes the place of the preset's."""
    explore: bool = True


@dataclass(frozen=True, slots=True)
class Rules:
    """What the deployment decided."""

    default_preset: str
    default_candidate: str
    """Answers while no router is published."""
    explore_share: float
    sample_rate: float


@dataclass(slots=True)
class RouteService:
    """Routes and answers chat requests."""

    catalog: Catalog
    predictor: Predictor | None
    chat_model: ChatModel
    queue: InteractionQueue | None
    telemetry: Telemetry
    clock: Clock
    new_id: Callable[[], str]
    rules: Rules
    cooldowns: Cooldowns = field(default_factory=Cooldowns)

    def decide(self, ask: Ask) -> Decision:
        """Decide who should answer, without asking anyone.

        Raises:
            UnprocessableError: no candidate can serve the request; the message says why of each.
        """
        decision = self._decide(ask)
        line = decision_line(decision, None, key_id=ask.key_id, at=self.clock.wall())
        self.telemetry.event(line)
        return decision

    def answer(self, ask: Ask, deadline: Deadline) -> AnswerStream:
        """Decide, ask the candidates in turn until one begins to answer, and return its stream.

        The decision is recorded when the stream ends or is closed, or before an error is raised.

        Raises:
            UnprocessableError: no candidate can serve the request.
            UpstreamRejectedError: the request itself is malformed.
            NoAnswerError: every candidate failed.
            DeadlineError: the time was up before one answered.
        """
        started = self.clock.monotonic()
        decision = self._decide(ask)
        query = query_from_turns(ask.chat.turns).text
        record = Record(self.recorder(), decision, ask.key_id, query, started)
        try:
            events = self._first_to_answer(decision, ask.chat, deadline, record.attempts)
        except Exception as error:  # a mistake of ours leaves a line as well
            record.close(status=status_of(error))
            raise
        record.first_byte_at = self.clock.monotonic()
        return AnswerStream(decision, record.attempts[-1].candidate, events, record, deadline)

    def recorder(self) -> Recorder:
        """Return what writes down what comes of decisions."""
        return Recorder(
            self.catalog, self.queue, self.telemetry, self.clock, self.rules.sample_rate
        )

    def _decide(self, ask: Ask) -> Decision:
        now = self.clock.wall()
        needs = needs_of(ask.chat, datetime.fromtimestamp(now, UTC).date())
        if ask.candidate is not None:
            return self._named(ask, ask.candidate, needs)
        prediction, cache = self._predict(ask, now)
        mask = find_hurdles(
            self.catalog,
            needs,
            scored=self.catalog.names if prediction is None else prediction.rewards,
            cooling=self.cooldowns.resting(self.clock.monotonic()),
        )
        able = [name for name, hurdle in mask.items() if hurdle is None]
        if not able:
            reasons = ", ".join(f"{name}: {hurdle}" for name, hurdle in mask.items())
            raise UnprocessableError(
                f"No candidate can serve this request ({reasons}).", code="no_candidate"
            )
        costs = {name: self._expected_cost(name, ask.chat, needs, prediction) for name in able}
        decision_id = self.new_id()
        preset = ask.preset or self.rules.default_preset
        choice = self._choose(ask, preset, prediction, costs, draw_for(decision_id))
        return Decision(
            decision_id=decision_id,
            version=self.predictor.digest if self.predictor else None,
            preset=preset,
            choice=choice,
            mask=dict(mask),
            prediction=prediction,
            expected_costs_usd=costs,
            cache=cache,
            explore_allowed=ask.explore,
        )

    def _named(self, ask: Ask, name: str, needs: Needs) -> Decision:
        candidate = self.catalog.candidates[name]
        hurdle = find_lasting_hurdle(candidate, needs)
        if hurdle is not None:
            raise UnprocessableError(
                f"{name} cannot serve this request ({hurdle}); use the model name `regroup` "
                "to let the router find one that can.",
                code="no_candidate",
                param="model",
            )
        return Decision(
            decision_id=self.new_id(),
            version=self.predictor.digest if self.predictor else None,
            preset="none",
            choice=Choice(name, Reason.NAMED, {name: 1.0}, (name,)),
            mask={name: None},
            prediction=None,
            expected_costs_usd={name: self._expected_cost(name, ask.chat, needs, None)},
            cache=CacheState.UNUSED,
            explore_allowed=False,
        )

    def _predict(self, ask: Ask, now: float) -> tuple[Prediction | None, CacheState]:
        if self.predictor is None:
            return None, CacheState.UNUSED
        try:
            return self.predictor.predict(query_from_turns(ask.chat.turns), now)
        except ArtifactIncompatibleError:
            # Never a wrong choice for a broken embedding: the default candidate answers.
            self.telemetry.count("PredictionFailed")
            return None, CacheState.UNUSED

    def _choose(
        self,
        ask: Ask,
        preset: str,
        prediction: Prediction | None,
        costs: Mapping[str, float],
        draw: float,
    ) -> Choice:
        if self.predictor is None or prediction is None:
            offers = {name: Offer(0.0, cost) for name, cost in costs.items()}
            choice = choose(
                offers, Knobs(1.0, self.rules.default_candidate, float("inf")), draw=draw
            )
            reason = Reason.NO_ARTIFACT if self.predictor is None else Reason.NOT_FINITE
            return replace(choice, reason=reason)
        manifest = self.predictor.manifest
        tuned = manifest.presets[preset]
        # A weight of the request's own is no preset, so no preset's margin fits it.
        margin = tuned.min_margin if ask.cost_weight is None else None
        offers = {name: Offer(prediction.rewards[name], cost) for name, cost in costs.items()}
        knobs = Knobs(
            cost_weight=tuned.cost_weight if ask.cost_weight is None else ask.cost_weight,
            default=manifest.default_candidate,
            min_margin=manifest.min_margin if margin is None else margin,
            explore_share=self.rules.explore_share if ask.explore else 0.0,
        )
        return choose(offers, knobs, draw=draw)

    def _expected_cost(
        self, name: str, chat: ChatRequest, needs: Needs, prediction: Prediction | None
    ) -> float:
        candidate = self.catalog.candidates[name]
        output = GUESSED_OUTPUT_TOKENS
        if prediction is not None:
            output = prediction.output_tokens[name]
        most = min(candidate.max_output_tokens, chat.max_tokens or candidate.max_output_tokens)
        return candidate.cost_usd(candidate.estimate_tokens(needs.script_counts), min(output, most))

    def _first_to_answer(
        self,
        decision: Decision,
        chat: ChatRequest,
        deadline: Deadline,
        attempts: list[Attempt],
    ) -> Iterator[ChatEvent]:
        for name in decision.choice.ranking:
            seconds = deadline.attempt_seconds(self.clock.monotonic())
            if seconds == 0.0:
                raise DeadlineError("the time was up before a candidate answered")
            last = name == decision.choice.ranking[-1]
            timeout = seconds if last else min(seconds * _ATTEMPT_SHARE, _ATTEMPT_CAP_SECONDS)
            try:
                events = self._begin(self.catalog.candidates[name], chat, timeout)
            except UpstreamError as error:
                attempts.append(Attempt(name, error.cause))
                self._note_failure(name, error)
                if not error.try_another:
                    raise
                continue
            attempts.append(Attempt(name, None))
            self.cooldowns.wake(name)
            return events
        raise NoAnswerError("no candidate answered", retry_after_seconds=_RETRY_AFTER_SECONDS)

    def _begin(
        self, candidate: Candidate, chat: ChatRequest, timeout: float
    ) -> Iterator[ChatEvent]:
        events = self.chat_model.stream(candidate, chat, timeout_seconds=timeout)
        first = next(events, None)
        if first is None:
            raise UpstreamUnavailableError(f"{candidate.name} sent an empty stream")
        return chain([first], events)

    def _note_failure(self, name: str, error: UpstreamError) -> None:
        self.telemetry.count(f"Upstream{error.cause.capitalize()}")
        if error.cools_down:
            self.cooldowns.rest(name, self.clock.monotonic())
