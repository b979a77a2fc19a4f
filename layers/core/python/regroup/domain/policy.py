"""Choose a candidate from what each is predicted to earn and to cost."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from math import inf, isfinite
from types import MappingProxyType


class Reason(StrEnum):
    """Why this candidate was chosen."""

    LEARNED = "learned"
    """The router predicts the best trade-off for it."""
    DEFAULT = "default"
    """The router prefers no other by more than the margin, so the default candidate answers."""
    SESSION = "session"
    """It answered this conversation before, and no other is worth leaving it."""
    NOT_FINITE = "not_finite"
    """A prediction was not a number."""
    NO_ARTIFACT = "no_artifact"
    """No router was published yet, or none can be read."""
    EXPLORED = "explored"
    """Drawn by chance, to learn what the router would not have tried."""
    NAMED = "named"
    """The request named its candidate."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What one candidate left by the mask is expected to bring."""

    reward: float
    cost_usd: float
    """With as much of the prompt in its cache as lies in that of the conversation's model."""
    switch_cost_usd: float = 0.0
    """What it costs besides because its cache is cold."""


@dataclass(frozen=True, slots=True)
class Exploration:
    """How much is left to chance."""

    share: float = 0.0
    """The part of decisions drawn evenly among those that may be drawn, in [0, 1]."""
    floor: float = 0.0
    """The least probability of each of them, where `share` is above 0."""
    among: frozenset[str] | None = None
    """Those that may be drawn; None: all that are left by the mask."""


@dataclass(frozen=True, slots=True)
class Knobs:
    """What the policy may be told."""

    cost_weight: float
    """Reward that one US dollar must buy."""
    default: str
    """The candidate that answers unless another is better by more than `min_margin`."""
    min_margin: float = 0.0
    incumbent: str | None = None
    """The candidate that answered the conversation before: it takes the default's place."""
    return_margin: float = 0.0
    """The lead at which the default takes a conversation back that another answers."""
    goes_on: bool = False
    """The request only continues the conversation: the incumbent is not left."""
    exploration: Exploration = Exploration()


@dataclass(frozen=True, slots=True)
class Staying:
    """What leaving the conversation's model was worth, in units of reward."""

    incumbent: str
    rival: str
    """Whom a new conversation would get; where that is the incumbent, the best of the others."""
    saving: float
    """Its lead were its prompt cache as warm as the incumbent's."""
    switch_cost: float
    """What the lead must exceed: the margin and the price of a cold prompt cache.

    Infinite where the request only continues the conversation.
    """
    switch_cost_usd: float


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen candidate, how likely each was, and whom to ask next."""

    candidate: str
    reason: Reason
    probabilities: dict[str, float]
    """Over the candidates left by the mask; sums to 1."""
    ranking: tuple[str, ...]
    """The chosen candidate, the others by falling score, then likewise those that rest."""
    staying: Staying | None = None
    """None: the conversation is new, its model cannot serve, or there is no other."""
    cost_weight: float | None = None
    """Reward that one US dollar had to buy; None where nothing was weighed."""
    scores: dict[str, float] = field(default_factory=dict)
    """Predicted reward - cost_weight x cost, of those left by the mask."""


def choose(
    offers: Mapping[str, Offer],
    knobs: Knobs,
    *,
    draw: float,
    resting: Mapping[str, Offer] = MappingProxyType({}),
) -> Choice:
    """Choose among the candidates that can serve the request.

    Maximises predicted reward - cost_weight x (expected cost + switch cost); a tie goes to the
    cheaper, then to the first by name. The default candidate answers unless the best beats it by
    more than `min_margin`; a conversation's model, unless whom a new one would get beats it so.

    Args:
        offers: the candidates left by the mask, at least one.
        knobs: preset, default candidate, margin, conversation and exploration.
        draw: a number in [0, 1) from `draw_for`: chance is an argument.
        resting: candidates that failed a moment ago and could serve otherwise. None of them is
            chosen, but they are asked before a request is left without an answer.
    """
    ranked, finite = _ranked(offers, knobs.cost_weight)
    greedy, reason = ranked[0], Reason.LEARNED if finite else Reason.NOT_FINITE
    if knobs.default in offers:
        lead = _score(offers[greedy], knobs.cost_weight)
        lead -= _score(offers[knobs.default], knobs.cost_weight)
        # Written so that NaN falls to the default as well.
        if not (finite and lead > knobs.min_margin):
            greedy, reason = knobs.default, Reason.DEFAULT if finite else reason
    staying = _staying([greedy, *ranked], offers, knobs) if finite else None
    if staying is not None and not staying.saving > staying.switch_cost:
        greedy, reason = staying.incumbent, Reason.SESSION
    probabilities = _explored(greedy, offers, knobs.exploration)
    candidate = _drawn(probabilities, draw) if knobs.exploration.share > 0 else greedy
    if candidate != greedy:
        reason = Reason.EXPLORED
    rest = [name for name in (greedy, *ranked) if name != candidate]
    ranking = (candidate, *dict.fromkeys(rest), *_ranked(resting, knobs.cost_weight)[0])
    scores = {name: _score(offer, knobs.cost_weight) for name, offer in offers.items()}
    return Choice(candidate, reason, probabilities, ranking, staying, knobs.cost_weight, scores)


def mix(
    champion: Mapping[str, float], challenger: Mapping[str, float], share: float
) -> dict[str, float]:
    """Return the probabilities where a challenger decides a share of the conversations."""
    names = {**champion, **challenger}
    return {
        name: (1.0 - share) * champion.get(name, 0.0) + share * challenger.get(name, 0.0)
        for name in names
    }


def draw_for(decision_id: str) -> float:
    """Return a number in [0, 1) that anyone can compute again from the decision's id."""
    return int.from_bytes(sha256(decision_id.encode()).digest()[:7]) / 2**56


def _score(offer: Offer, cost_weight: float) -> float:
    return offer.reward - cost_weight * (offer.cost_usd + offer.switch_cost_usd)


def _ranked(offers: Mapping[str, Offer], cost_weight: float) -> tuple[list[str], bool]:
    """Order the candidates, by price alone where a score is no number; tell whether all were."""
    scores = {name: _score(offer, cost_weight) for name, offer in offers.items()}
    if not all(isfinite(score) for score in scores.values()):
        return sorted(offers, key=lambda name: (_price(offers[name]), name)), False
    order = {name: (-scores[name], offers[name].cost_usd, name) for name in offers}
    return sorted(offers, key=order.__getitem__), True


def _price(offer: Offer) -> float:
    return offer.cost_usd if isfinite(offer.cost_usd) else float("inf")


def _explored(greedy: str, offers: Collection[str], exploration: Exploration) -> dict[str, float]:
    probabilities = dict.fromkeys(offers, 0.0)
    among = [n for n in offers if exploration.among is None or n in exploration.among]
    if exploration.share > 0 and among:
        even = max(exploration.share / len(among), exploration.floor)
        probabilities |= dict.fromkeys(among, min(even, 1.0 / len(among)))
    probabilities[greedy] += max(0.0, 1.0 - sum(probabilities.values()))
    return probabilities


def _staying(ranked: list[str], offers: Mapping[str, Offer], knobs: Knobs) -> Staying | None:
    incumbent = knobs.incumbent
    rival = next((name for name in ranked if name != incumbent), None)
    if incumbent is None or incumbent not in offers or rival is None:
        return None
    here, there = offers[incumbent], offers[rival]
    saving = (there.reward - here.reward) - knobs.cost_weight * (there.cost_usd - here.cost_usd)
    switch = there.switch_cost_usd - here.switch_cost_usd
    margin = knobs.return_margin if rival == knobs.default else knobs.min_margin
    least = inf if knobs.goes_on else margin + knobs.cost_weight * switch
    return Staying(incumbent, rival, saving, least, switch)


def _drawn(probabilities: Mapping[str, float], draw: float) -> str:
    passed = 0.0
    for name in sorted(probabilities):
        passed += probabilities[name]
        if draw < passed:
            return name
    # Only rounding can bring a draw here.
    return max(name for name, probability in probabilities.items() if probability > 0)
