"""Choose a candidate from what each is predicted to earn and to cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from math import isfinite


class Reason(StrEnum):
    """Why this candidate was chosen."""

    LEARNED = "learned"
    """The router predicts the best trade-off for it."""
    DEFAULT = "default"
    """The router prefers no other by more than the margin, so the default candidate answers."""
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


@dataclass(frozen=True, slots=True)
class Knobs:
    """What the policy may be told."""

    cost_weight: float
    """Reward that one US dollar must buy."""
    default: str
    """The candidate that answers unless another is better by more than `min_margin`."""
    min_margin: float = 0.0
    explore_share: float = 0.0
    """The part of decisions drawn evenly from the mask, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen candidate, how likely each was, and whom to ask next."""

    candidate: str
    reason: Reason
    probabilities: dict[str, float]
    """Over the candidates left by the mask; sums to 1."""
    ranking: tuple[str, ...]
    """The chosen candidate, then the others by falling score."""


def choose(offers: Mapping[str, Offer], knobs: Knobs, *, draw: float) -> Choice:
    """Choose among the candidates that can serve the request.

    Maximises predicted reward - cost_weight x expected cost; a tie goes to the cheaper, then to
    the first by name. The default candidate answers unless the best beats it by `min_margin`.

    Args:
        offers: the candidates left by the mask, at least one.
        knobs: preset, default candidate, margin and exploration.
        draw: a number in [0, 1) from `draw_for`: chance is an argument.
    """
    scores = {
        name: offer.reward - knobs.cost_weight * offer.cost_usd for name, offer in offers.items()
    }
    finite = all(isfinite(score) for score in scores.values())
    ranked = sorted(offers, key=lambda name: _order(scores[name], offers[name], name))
    greedy, reason = ranked[0], Reason.LEARNED
    if not finite:
        ranked = sorted(offers, key=lambda name: (offers[name].cost_usd, name))
        greedy, reason = ranked[0], Reason.NOT_FINITE
    if knobs.default in offers:
        lead = scores[greedy] - scores[knobs.default]
        # Written so that NaN falls to the default as well.
        if not (finite and lead > knobs.min_margin):
            reason = Reason.DEFAULT if finite else Reason.NOT_FINITE
            greedy = knobs.default
    even = knobs.explore_share / len(offers)
    probabilities = dict.fromkeys(offers, even)
    probabilities[greedy] += 1.0 - knobs.explore_share
    candidate = _drawn(probabilities, draw) if knobs.explore_share > 0 else greedy
    if candidate != greedy:
        reason = Reason.EXPLORED
    rest = [name for name in (greedy, *ranked) if name != candidate]
    ranking = (candidate, *dict.fromkeys(rest))
    return Choice(candidate, reason, probabilities, ranking)


def draw_for(decision_id: str) -> float:
    """Return a number in [0, 1) that anyone can compute again from the decision's id."""
    return int.from_bytes(sha256(decision_id.encode()).digest()[:7]) / 2**56


def _order(score: float, offer: Offer, name: str) -> tuple[bool, float, float, str]:
    return (not isfinite(score), -score if isfinite(score) else 0.0, offer.cost_usd, name)


def _drawn(probabilities: Mapping[str, float], draw: float) -> str:
    passed = 0.0
    for name in sorted(probabilities):
        passed += probabilities[name]
        if draw < passed:
            return name
    return max(probabilities)  # only rounding can bring a draw here
