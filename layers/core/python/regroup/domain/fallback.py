"""Who is asked next, who rests, and how long an attempt may take."""

from collections.abc import Collection
from dataclasses import dataclass, field

REST_SECONDS = 30.0
"""How long a candidate rests after it failed for want of capacity."""

LEAST_ATTEMPT_SECONDS = 1.0
"""Less than this is not worth an attempt."""


@dataclass(slots=True)
class Cooldowns:
    """Which candidates rest after a failure; each function instance keeps its own.

    Times are seconds of one monotonic clock.
    """

    rest_seconds: float = REST_SECONDS
    _until: dict[str, float] = field(default_factory=dict)

    def rest(self, candidate: str, now: float) -> None:
        """Let a candidate rest from `now` on."""
        self._until[candidate] = now + self.rest_seconds

    def wake(self, candidate: str) -> None:
        """End a candidate's rest: it just answered."""
        self._until.pop(candidate, None)

    def resting(self, now: float) -> Collection[str]:
        """Return the candidates that rest at `now`."""
        return {name for name, until in self._until.copy().items() if now < until}


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment, on a monotonic clock, by which the answer must have left."""

    at: float

    def attempt_seconds(self, now: float) -> float:
        """Return how long the next attempt may take; 0 when it is not worth beginning."""
        left = self.at - now
        return left if left >= LEAST_ATTEMPT_SECONDS else 0.0
