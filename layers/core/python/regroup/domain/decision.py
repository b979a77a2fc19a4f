"""A decision: prediction, catalog, request and chance brought together."""

from dataclasses import dataclass
from enum import StrEnum

from regroup.domain.mask import Hurdle
from regroup.domain.policy import Choice
from regroup.domain.prediction import Prediction


class CacheState(StrEnum):
    """Where the prediction came from."""

    MEMORY = "memory"
    HIT = "hit"
    MISS = "miss"
    BYPASSED = "bypassed"
    """The cache did not answer; the prediction was made afresh."""
    UNUSED = "unused"
    """There was nothing to predict: no artifact, or a named candidate."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Who answers, and all it takes to explain and to replay the choice."""

    decision_id: str
    version: str | None
    """Digest of the artifact that decided; None where there is none."""
    preset: str
    choice: Choice
    mask: dict[str, Hurdle | None]
    prediction: Prediction | None
    expected_costs_usd: dict[str, float]
    cache: CacheState
    explore_allowed: bool
