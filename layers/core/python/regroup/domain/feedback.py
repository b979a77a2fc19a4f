"""What a caller says of an answer afterwards, and the line that it becomes."""

from dataclasses import dataclass

SCHEMA = 1

SOURCE = "feedback"
"""In place of a reward model's name: a person or program judged."""


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """What must be known of a decision when its reward comes, long after."""

    decision_id: str
    key_id: str | None
    at: float
    """When it was made, in seconds since 1970."""
    routed_model: str
    cluster_id: int | None
    version: str | None
    preset: str


def reward_line(record: DecisionRecord, reward: float, *, at: float) -> dict[str, object]:
    """Return the `reward_scored` line: what was decided again, as saved queries cannot join.

    Args:
        record: the decision that the reward belongs to.
        reward: in [0, 1].
        at: when the reward came, in seconds since 1970.
    """
    return {
        "event": "reward_scored",
        "schema": SCHEMA,
        "at": round(at, 3),
        "decision_id": record.decision_id,
        "decided_at": round(record.at, 3),
        "reward_score": reward,
        "reward_model": SOURCE,
        "routed_model": record.routed_model,
        "cluster_id": record.cluster_id,
        "version": record.version,
        "preset": record.preset,
        "key_id": record.key_id,
    }
