import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from training.logged import LoggedDecision

FIELDS: dict[str, Any] = {
    "candidate": "b",
    "probabilities": {"a": 0.75, "b": 0.25},
    "inclusion_probability": 0.5,
}
NAN = math.nan


def decision(**changes: object) -> LoggedDecision:
    return LoggedDecision.model_validate(FIELDS | changes)


def test_fields_of_other_versions_and_nulls_of_parquet_are_ignored() -> None:
    probabilities = {"a": 0.75, "b": 0.25, "c": None}
    assert decision(probabilities=probabilities, mood="sunny") == decision()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"probabilities": {"a": 0.7, "b": 0.25}}, "probabilities sum to 0.95, not 1"),
        ({"probabilities": {"a": 0.75001, "b": 0.25}}, "probabilities sum to 1.00001, not 1"),
        ({"probabilities": {}}, "probabilities sum to 0, not 1"),
        ({"candidate": "z"}, "'z' has no probability; these have: a, b"),
        ({"probabilities": {"a": 1.0, "b": 0.0}}, "'b' was chosen with probability 0"),
        ({"probabilities": {"a": 1.25, "b": -0.25}}, "probabilities.b"),
        ({"probabilities": {"a": NAN, "b": 0.25}}, "probabilities.a"),
        ({"probabilities": [0.75, 0.25]}, "probabilities"),
        ({"inclusion_probability": 0.0}, "inclusion_probability"),
        ({"inclusion_probability": 1.5}, "inclusion_probability"),
        ({"inclusion_probability": None}, "inclusion_probability"),
    ],
)
def test_a_decision_that_cannot_be_is_refused(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        decision(**change)


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_every_field_of_a_decision_is_needed(name: str) -> None:
    fields = {key: value for key, value in FIELDS.items() if key != name}
    with pytest.raises(ValidationError, match=name):
        LoggedDecision.model_validate(fields)


@given(share=st.floats(0.0, 1.0), number=st.integers(1, 40))
def test_probabilities_as_the_policy_makes_them_are_accepted(share: float, number: int) -> None:
    probabilities = {f"m{i}": share / number for i in range(number)}
    probabilities["m0"] += 1.0 - share
    assert decision(candidate="m0", probabilities=probabilities).candidate == "m0"
