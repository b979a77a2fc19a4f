"""A decision: prediction, catalog, request and chance brought together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from regroup.domain.budget import Amount
from regroup.domain.conversation import Session
from regroup.domain.mask import Hurdle
from regroup.domain.policy import Choice
from regroup.domain.prediction import Prediction

type Arm = Literal["champion", "challenger"]


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
class Confidence:
    """How sure a choice by predicted reward is."""

    probability_best: float
    """That no other candidate left by the mask earns more, by the errors of the predictions."""
    expected_gain: float | None
    """Reward that such leads over the default candidate came to; None where it cannot serve."""


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
    dearest: Mapping[str, Amount] = field(default_factory=dict)
    """The most a call may use, by candidate left by the mask."""
    max_tokens: Mapping[str, int] = field(default_factory=dict)
    """The output cap of a call, by candidate left by the mask."""
    session_name: str = ""
    session: Session | None = None
    """What was remembered of the conversation."""
    arm: Arm = "champion"
    """Which of the two live versions decided."""
    arms: Mapping[Arm, Mapping[str, float]] = field(default_factory=dict)
    """The probabilities of each live version, had it decided."""
    challenger: str | None = None
    """Digest of the challenger, where one is live."""
    behaviour: Mapping[str, float] = field(default_factory=dict)
    """How likely each candidate was, the draw between the versions included; sums to 1."""
    confidence: Confidence | None = None
