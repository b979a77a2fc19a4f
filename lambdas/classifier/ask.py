"""What a request asks of the router, and what the deployment decided for all of them."""

from dataclasses import dataclass
from datetime import UTC, tzinfo

from regroup.domain.budget import NO_LIMITS, Budget
from regroup.domain.catalog import Residency
from regroup.domain.chat import ChatRequest

PRESETS = ("quality", "balanced", "economy")
CUSTOM = "custom"
"""In place of a preset's name: the request gave a cost weight of its own."""
NO_PRESET = "none"
"""The request named its candidate."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to the router."""

    chat: ChatRequest
    key_id: str | None
    budget: Budget = NO_LIMITS
    """What the key may spend in a day."""
    preset: str | None = None
    """None: the deployment's default."""
    candidate: str | None = None
    """Names who must answer; nothing is routed then."""
    cost_weight: float | None = None
    """Takes the place of the preset's."""
    candidates: frozenset[str] | None = None
    """Those that may answer; None: all."""
    max_cost_usd: float | None = None
    """The most that the answer may cost at list prices."""
    residency: Residency | None = None
    session_id: str | None = None
    """The caller's name for the conversation."""
    explain: bool = False
    explore: bool = True


@dataclass(frozen=True, slots=True)
class Rules:
    """What the deployment decided."""

    default_preset: str
    default_candidate: str
    """Answers while no router is published."""
    sample_rate: float = 0.0
    explore_share: float = 0.0
    explore_floor: float = 0.0
    explore_max_cost_usd: float | None = None
    """The most that an answer drawn by chance may cost; None: as the request says."""
    residency: Residency | None = None
    """Where prompts may be processed; a request may narrow it, never widen it."""
    timezone: tzinfo = UTC
    """Whose midnight begins a budget's day."""
