"""Labelled rows that say who was chosen and how likely that was: a log to evaluate policies on."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from regroup.domain.offpolicy import TOLERANCE


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
