"""Decide who answers a request: mask, prediction, conversation, policy and chance."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import ceil

from classifier.ask import CUSTOM, NO_PRESET, Ask, Rules
from classifier.predictor import Predictor
from classifier.refusals import budget_exhausted, named_cannot_serve, nobody_can_serve
from classifier.releases import Live, Releases
from classifier.sessions import Sessions
from regroup.domain.budget import MICRO, Amount
from regroup.domain.catalog import Candidate, Catalog
from regroup.domain.chat import DEFAULT_MAX_TOKENS, ChatRequest, Image
from regroup.domain.conversation import Session, is_bare, session_name
from regroup.domain.decision import Arm, CacheState, Confidence, Decision
from regroup.domain.fallback import Cooldowns
from regroup.domain.mask import (
    TOKEN_MARGIN,
    Hurdle,
    Needs,
    find_hurdles,
    find_lasting_hurdle,
    needs_of,
)
from regroup.domain.policy import (
    Choice,
    Exploration,
    Knobs,
    Offer,
    Reason,
    choose,
    draw_for,
    mix,
)
from regroup.domain.prediction import Prediction
from regroup.domain.query import query_from_turns
from regroup.errors import (
    BudgetExhaustedError,
    UnprocessableError,
)
from regroup.ports import Clock, Telemetry

GUESSED_OUTPUT_TOKENS = 256.0
"""Expected length of an answer while no artifact says better."""

_LEAST_MAX_TOKENS = 256

type Closed = Callable[[Mapping[str, Amount]], Collection[str]]
"""From the most that a call may use, by candidate, to those that the budget cannot pay for."""


@dataclass(frozen=True, slots=True)
class _Case:
    """One request with all that is the same whichever version decides."""

    ask: Ask
    decision_id: str
    now: float
    needs: Needs
    max_tokens: Mapping[str, int]
    dearest: Mapping[str, Amount]
    session_name: str
    session: Session | None
    closed: Closed


@dataclass(frozen=True, slots=True)
class _View:
    """What one version makes of a request."""

    predictor: Predictor | None
    prediction: Prediction | None
    cache: CacheState
    mask: dict[str, Hurdle | None]
    offers: dict[str, Offer]
    choice: Choice


@dataclass(slots=True)
class Decider:
    """Decides; asks nobody and writes nothing down."""

    catalog: Catalog
    releases: Releases
    sessions: Sessions
    cooldowns: Cooldowns
    telemetry: Telemetry
    clock: Clock
    new_id: Callable[[], str]
    rules: Rules

    def decide(self, ask: Ask, *, seconds: float, closed: Closed = lambda _dearest: ()) -> Decision:
        """Return who answers, and why.

        Args:
            ask: the request.
            seconds: what is left until the answer must have ended; bounds its length.
            closed: says whom the key's budget cannot pay for.

        Raises:
            UnprocessableError: no candidate can serve the request; the message says why of each.
            BudgetExhaustedError: some could, but for the key's budget.
        """
        case = self._case(ask, seconds, closed)
        live = self.releases.current()
        if ask.candidate is not None:
            return self._named(case, ask.candidate)
        arm = live.arm_of(case.session_name)
        views = self._views(case, live, arm)
        arm = arm if arm in views else "champion"
        view = views[arm]
        arms = {name: one.choice.probabilities for name, one in views.items()}
        behaviour = arms[arm]
        if live.mode == "canary" and len(arms) == 2:
            behaviour = mix(arms["champion"], arms["challenger"], live.share)
        return Decision(
            decision_id=case.decision_id,
            version=view.predictor.digest if view.predictor else None,
            preset=CUSTOM if ask.cost_weight is not None else self._preset(ask),
            choice=view.choice,
            mask=view.mask,
            prediction=view.prediction,
            expected_costs_usd={
                name: offer.cost_usd + offer.switch_cost_usd for name, offer in view.offers.items()
            },
            cache=view.cache,
            explore_allowed=ask.explore,
            dearest=case.dearest,
            max_tokens=case.max_tokens,
            session_name=case.session_name,
            session=case.session,
            arm=arm,
            arms=arms,
            challenger=live.challenger.digest if live.challenger else None,
            behaviour=behaviour,
            confidence=_confidence(view) if ask.explain else None,
        )

    def _case(self, ask: Ask, seconds: float, closed: Closed) -> _Case:
        now = self.clock.wall()
        places = tuple(p for p in (self.rules.residency, ask.residency) if p is not None)
        today = datetime.fromtimestamp(now, UTC).date()
        needs = needs_of(ask.chat, today, residencies=places, only=ask.candidates)
        everyone = self.catalog.candidates
        caps = {name: _max_tokens(one, ask.chat, seconds) for name, one in everyone.items()}
        name = session_name(ask.chat, key_id=ask.key_id, session_id=ask.session_id)
        # The first request of a conversation has none, unless the caller says so: many begin alike.
        known = ask.session_id is not None or ask.chat.is_continued
        return _Case(
            ask=ask,
            decision_id=self.new_id(),
            now=now,
            needs=needs,
            max_tokens=caps,
            dearest={n: _dearest(one, needs, caps[n]) for n, one in everyone.items()},
            session_name=name,
            session=self.sessions.recall(name, now) if known else None,
            closed=closed,
        )

    def _named(self, case: _Case, name: str) -> Decision:
        candidate = self.catalog.candidates[name]
        hurdle = find_lasting_hurdle(candidate, case.needs)
        if hurdle is None and name in self._over_cap(case):
            hurdle = Hurdle.COST_CAP
        if hurdle is not None:
            raise named_cannot_serve(name, hurdle)
        everyone = self.catalog.candidates
        able = [n for n, one in everyone.items() if find_lasting_hurdle(one, case.needs) is None]
        if name in case.closed({n: case.dearest[n] for n in able}):
            raise self._exhausted(case, [name])
        offer = self._offer(case, name, None)
        return Decision(
            decision_id=case.decision_id,
            version=None,
            preset=NO_PRESET,
            choice=Choice(name, Reason.NAMED, {name: 1.0}, (name,)),
            mask={name: None},
            prediction=None,
            expected_costs_usd={name: offer.cost_usd + offer.switch_cost_usd},
            cache=CacheState.UNUSED,
            explore_allowed=False,
            dearest=case.dearest,
            max_tokens=case.max_tokens,
            session_name=case.session_name,
            session=case.session,
            arms={"champion": {name: 1.0}},
            behaviour={name: 1.0},
        )

    def _views(self, case: _Case, live: Live, arm: Arm) -> dict[Arm, _View]:
        views: dict[Arm, _View] = {}
        if live.challenger is not None:
            try:
                views["challenger"] = self._view(case, live.challenger)
            except (UnprocessableError, BudgetExhaustedError):
                # It may know other candidates; what the champion can serve is served.
                self.telemetry.count("ChallengerPassed")
        try:
            views["champion"] = self._view(case, live.champion)
        except (UnprocessableError, BudgetExhaustedError):
            # Nor is a conversation that is the challenger's refused for the champion's sake.
            if arm == "champion" or arm not in views:
                raise
        return views

    def _view(self, case: _Case, predictor: Predictor | None) -> _View:
        prediction, cache = self._predict(case, predictor)
        mask = find_hurdles(
            self.catalog,
            case.needs,
            scored=self.catalog.names if prediction is None else prediction.rewards,
            cooling=self.cooldowns.resting(self.clock.monotonic()),
            over_cap=self._over_cap(case),
            closed=lambda able: case.closed({name: case.dearest[name] for name in able}),
        )
        able = [name for name, hurdle in mask.items() if hurdle is None]
        if not able:
            raise self._nobody(mask, case)
        offers = {name: self._offer(case, name, prediction) for name in able}
        tired = [name for name, hurdle in mask.items() if hurdle is Hurdle.COOLING_DOWN]
        resting = {name: self._offer(case, name, prediction) for name in tired}
        if predictor is None or prediction is None:
            choice = self._blind_choice(case, offers, resting, predictor)
        else:
            knobs = self._knobs(case, predictor, frozenset(offers))
            choice = choose(offers, knobs, draw=draw_for(case.decision_id), resting=resting)
        return _View(predictor, prediction, cache, mask, offers, choice)

    def _predict(
        self, case: _Case, predictor: Predictor | None
    ) -> tuple[Prediction | None, CacheState]:
        if predictor is None:
            return None, CacheState.UNUSED
        try:
            return predictor.predict(query_from_turns(case.ask.chat.turns), case.now)
        except Exception:  # onnxruntime's errors share no narrower root
            # Never a wrong choice for a broken embedding: the default candidate answers.
            self.telemetry.count("PredictionFailed")
            return None, CacheState.UNUSED

    def _blind_choice(
        self,
        case: _Case,
        offers: Mapping[str, Offer],
        resting: Mapping[str, Offer],
        predictor: Predictor | None,
    ) -> Choice:
        default, known = self.rules.default_candidate, case.session
        if known is not None and known.model in offers:
            default = known.model
        knobs = Knobs(1.0, default, float("inf"))
        reason = Reason.NO_ARTIFACT if predictor is None else Reason.NOT_FINITE
        choice = choose(offers, knobs, draw=0.0, resting=resting)
        return replace(choice, reason=reason, cost_weight=None, scores={})

    def _knobs(self, case: _Case, predictor: Predictor, able: frozenset[str]) -> Knobs:
        ask, manifest = case.ask, predictor.manifest
        tuned = manifest.presets[self._preset(ask)]
        # A weight of the request's own is no preset, so no preset's margin fits it.
        margin = tuned.min_margin if ask.cost_weight is None else None
        incumbent = case.session.model if case.session is not None else None
        if incumbent not in able:
            incumbent = None
        return Knobs(
            cost_weight=tuned.cost_weight if ask.cost_weight is None else ask.cost_weight,
            default=manifest.default_candidate,
            min_margin=manifest.min_margin if margin is None else margin,
            incumbent=incumbent,
            return_margin=manifest.min_margin,
            goes_on=incumbent is not None and _goes_on(ask.chat),
            # A conversation is explored at its beginning: what tries models mid-way breaks it.
            exploration=self._exploration(case) if ask.explore and case.session is None else _NONE,
        )

    def _preset(self, ask: Ask) -> str:
        return ask.preset or self.rules.default_preset

    def _exploration(self, case: _Case) -> Exploration:
        cap = self.rules.explore_max_cost_usd
        among = None
        if cap is not None:
            affordable = (n for n, most in case.dearest.items() if most.usd_micros <= cap * MICRO)
            among = frozenset(affordable)
        return Exploration(self.rules.explore_share, self.rules.explore_floor, among)

    def _offer(self, case: _Case, name: str, prediction: Prediction | None) -> Offer:
        candidate = self.catalog.candidates[name]
        output = GUESSED_OUTPUT_TOKENS if prediction is None else prediction.output_tokens[name]
        output = min(output, case.max_tokens[name])
        size = case.needs.input_tokens(candidate)
        reward = 0.0 if prediction is None else prediction.rewards[name]
        cold = candidate.cost_usd(size, output)
        cached = min(self._warm_tokens(case), size)
        if candidate.capabilities.prompt_cache is None or cached == 0:
            return Offer(reward, cold)
        warm = min(cold, candidate.cost_usd(size - cached, output, cache_read_tokens=cached))
        is_warm = case.session is not None and case.session.model == name
        return Offer(reward, warm, 0.0 if is_warm else cold - warm)

    def _warm_tokens(self, case: _Case) -> int:
        session = case.session
        if session is None or session.model not in self.catalog.candidates:
            return 0
        return session.warm_tokens(self.catalog.candidates[session.model], case.now)

    def _over_cap(self, case: _Case) -> set[str]:
        cap = case.ask.max_cost_usd
        if cap is None:
            return set()
        return {name for name, most in case.dearest.items() if most.usd_micros > cap * MICRO}

    def _nobody(
        self, mask: Mapping[str, Hurdle | None], case: _Case
    ) -> UnprocessableError | BudgetExhaustedError:
        unpaid = [name for name, hurdle in mask.items() if hurdle is Hurdle.BUDGET]
        return self._exhausted(case, unpaid) if unpaid else nobody_can_serve(mask)

    def _exhausted(self, case: _Case, names: Iterable[str]) -> BudgetExhaustedError:
        needed = [case.dearest[name] for name in names]
        return budget_exhausted(case.now, self.rules.timezone, case.ask.budget, needed)


_NONE = Exploration()


def _confidence(view: _View) -> Confidence | None:
    if view.predictor is None or view.prediction is None:
        return None
    return view.predictor.confidence(view.prediction, view.choice.candidate, tuple(view.offers))


def _goes_on(chat: ChatRequest) -> bool:
    """Tell whether the request only continues: "yes", or the results of tools that were called."""
    last = next(turn for turn in reversed(chat.turns) if turn.role == "user")
    shows = any(isinstance(block, Image) for block in last.content)
    return is_bare(last.text) and not shows


def _max_tokens(candidate: Candidate, chat: ChatRequest, seconds: float) -> int:
    """Return the output cap of a call: as asked, else as much as fits into the time."""
    wanted = chat.max_tokens
    if wanted is None:
        fitting = int(candidate.output_tokens_per_second * seconds)
        wanted = min(DEFAULT_MAX_TOKENS, max(_LEAST_MAX_TOKENS, fitting))
    return min(wanted, candidate.max_output_tokens)


def _dearest(candidate: Candidate, needs: Needs, max_tokens: int) -> Amount:
    """Return the most that a call may use, rounded up: its prompt by estimate and all output."""
    prompt = ceil(needs.input_tokens(candidate) * TOKEN_MARGIN)
    usd = candidate.dearest_usd(prompt, max_tokens)
    return Amount(ceil(usd * MICRO), prompt + max_tokens)
