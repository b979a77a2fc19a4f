"""Labelled rows that say who was chosen and how likely that was: a log to evaluate policies on."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from regroup.domain.offpolicy import TOLERANCE, Logged
from regroup.errors import DataError


class LoggedDecision(BaseModel):
    """The field `decision` of a labelled row: who answered, by which chances."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False, frozen=True)

    candidate: str
    """Who was chosen and answered; its reward is in the row's `scores`."""
    probabilities: dict[str, Annotated[float, Field(ge=0)]]
    """How likely each candidate was, exploration and masking included; an absent one was not."""
    inclusion_probability: float = Field(gt=0, le=1)
    """How likely the row was to be logged; it says what the row counts, not how it was decided."""

    @field_validator("probabilities", mode="before")
    @classmethod
    def _without_nulls(cls, probabilities: object) -> object:
        # A struct of parquet has every name in every row.
        if isinstance(probabilities, Mapping):
            return {name: p for name, p in probabilities.items() if p is not None}
        return probabilities

    @model_validator(mode="after")
    def _is_drawn_from_its_probabilities(self) -> Self:
        total = sum(self.probabilities.values())
        if abs(total - 1.0) > TOLERANCE:
            raise ValueError(f"probabilities sum to {total:.6g}, not 1: log every candidate's")
        if self.candidate not in self.probabilities:
            names = ", ".join(sorted(self.probabilities))
            raise ValueError(f"{self.candidate!r} has no probability; these have: {names}")
        if self.probabilities[self.candidate] == 0.0:
            raise ValueError(f"{self.candidate!r} was chosen with probability 0")
        return self


def to_logged(
    decisions: Sequence[LoggedDecision], rewards: NDArray[np.float64], candidates: Sequence[str]
) -> Logged:
    """Bring decisions and rewards together.

    Of a row only the reward of the candidate decided on is used, so one observed score is enough.
    A row counts 1 / its inclusion probability.

    Args:
        decisions: one for each row.
        rewards: (rows, candidates); a gap is NaN.
        candidates: the columns' names.

    Raises:
        DataError: a decision names a candidate that has no column, or its reward is a gap.
    """
    shape = (len(decisions), len(candidates))
    if rewards.shape != shape:
        raise DataError(
            f"rewards have shape {rewards.shape}, not {shape}: one row for each decision, "
            "one column for each candidate"
        )
    column = {name: c for c, name in enumerate(candidates)}
    probabilities = np.zeros(shape)
    actions = np.zeros(len(decisions), np.intp)
    for row, decision in enumerate(decisions):
        for name, probability in decision.probabilities.items():
            if name in column:
                # Rounding may leave a certain choice a hair above 1.
                probabilities[row, column[name]] = min(probability, 1.0)
            elif probability > 0.0:
                known = ", ".join(candidates)
                raise DataError(
                    f"row {row + 1}: decision: {name!r} is no candidate of these data, which are: "
                    f"{known}"
                )
        actions[row] = column[decision.candidate]
        if np.isnan(rewards[row, actions[row]]):
            raise DataError(_without_reward(row, decision.candidate, rewards[row], candidates))
    each = np.arange(len(decisions))
    return Logged(
        actions=actions,
        rewards=rewards[each, actions],
        propensities=probabilities[each, actions],
        weights=np.array([1.0 / one.inclusion_probability for one in decisions], np.float64),
        supported=probabilities > 0.0,
    )


def _without_reward(
    row: int, decided: str, rewards: NDArray[np.float64], candidates: Sequence[str]
) -> str:
    scored = [name for name, one in zip(candidates, rewards, strict=True) if not np.isnan(one)]
    if not scored:
        return f"row {row + 1}: {decided!r} was decided on, but has no reward yet: score it first"
    return (
        f"row {row + 1}: {decided!r} was decided on, but the reward is of {', '.join(scored)}: "
        "leave out rows where a fallback answered"
    )
