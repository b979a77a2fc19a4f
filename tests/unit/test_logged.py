import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from regroup.domain.offpolicy import ips
from regroup.errors import DataError
from training.logged import LoggedDecision, to_logged

NAMES = ("a", "b", "c")
FIELDS: dict[str, Any] = {
    "candidate": "b",
    "probabilities": {"a": 0.75, "b": 0.25},
    "inclusion_probability": 0.5,
}
NAN = math.nan


def decision(**changes: object) -> LoggedDecision:
    return LoggedDecision.model_validate(FIELDS | changes)


def test_decisions_and_rewards_become_a_log() -> None:
    certain = decision(candidate="c", probabilities={"c": 1.0}, inclusion_probability=1.0)
    rewards = np.array([[NAN, 0.75, NAN], [NAN, NAN, 0.5]])
    logged = to_logged([decision(), certain], rewards, NAMES)
    assert logged.actions.tolist() == [1, 2]
    assert logged.rewards.tolist() == [0.75, 0.5]
    assert logged.propensities.tolist() == [0.25, 1.0]
    assert logged.weights is not None
    assert logged.weights.tolist() == [2.0, 1.0]
    assert logged.supported is not None
    assert logged.supported.tolist() == [[True, True, False], [False, False, True]]


def test_only_the_reward_of_who_was_chosen_is_used() -> None:
    everything = to_logged([decision()], np.array([[1.0, 0.25, 0.5]]), NAMES)
    assert everything.rewards.tolist() == [0.25]


def test_being_logged_is_no_part_of_the_propensity() -> None:
    logs = [
        to_logged([decision(inclusion_probability=p)] * 3, np.array([[NAN, 1.0, NAN]] * 3), NAMES)
        for p in (1.0, 0.01)
    ]
    assert logs[0].propensities.tolist() == logs[1].propensities.tolist()
    target = np.eye(3)[[1, 1, 1]]
    assert ips(logs[0], target).value == pytest.approx(ips(logs[1], target).value)


def test_a_masked_candidate_cannot_be_evaluated() -> None:
    logged = to_logged([decision()] * 2, np.array([[NAN, 1.0, NAN]] * 2), NAMES)
    with pytest.raises(DataError, match=r"row 2 gives the policy a candidate that the log could"):
        ips(logged, np.eye(3)[[1, 2]])


def test_fields_of_other_versions_and_nulls_of_parquet_are_ignored() -> None:
    probabilities = {"a": 0.75, "b": 0.25, "c": None}
    assert decision(probabilities=probabilities, mood="sunny") == decision()


@given(share=st.floats(0.0, 1.0), number=st.integers(1, 40))
def test_probabilities_as_the_policy_makes_them_are_accepted(share: float, number: int) -> None:
    names = [f"m{i}" for i in range(number)]
    probabilities = dict.fromkeys(names, share / number)
    probabilities["m0"] += 1.0 - share
    one = decision(candidate="m0", probabilities=probabilities)
    logged = to_logged([one], np.full((1, number), 0.5), names)
    assert 0.0 < logged.propensities[0] <= 1.0


def test_a_certain_choice_a_hair_above_one_is_certain() -> None:
    one = decision(probabilities={"b": 1.0 + 2e-16 * 4})
    assert one.probabilities["b"] > 1.0
    assert to_logged([one], np.array([[NAN, 1.0, NAN]]), NAMES).propensities.tolist() == [1.0]


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


@pytest.mark.parametrize(
    ("second", "rewards", "complaint"),
    [
        ({}, [NAN, NAN, NAN], "row 2: 'b' was decided on, but has no reward yet"),
        ({}, [0.5, NAN, 1.0], "row 2: 'b' was decided on, but the reward is of a, c: leave out"),
        (
            {"candidate": "z", "probabilities": {"z": 1.0}},
            [1.0, 1.0, 1.0],
            "row 2: decision: 'z' is no candidate of these data, which are: a, b, c",
        ),
        (
            {"probabilities": {"y": 0.75, "b": 0.25}},
            [1.0, 1.0, 1.0],
            "row 2: decision: 'y' is no candidate of these data",
        ),
    ],
)
def test_a_row_that_does_not_fit_its_decision_is_refused(
    second: dict[str, object], rewards: list[float], complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        to_logged([decision(), decision(**second)], np.array([[NAN, 1.0, NAN], rewards]), NAMES)


def test_a_name_without_a_column_may_have_had_no_chance() -> None:
    retired = decision(probabilities={"a": 0.75, "b": 0.25, "retired": 0.0})
    assert to_logged([retired], np.array([[NAN, 1.0, NAN]]), NAMES).actions.tolist() == [1]


@pytest.mark.parametrize("shape", [(2, 3), (1, 2), (3,)])
def test_rewards_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"rewards have shape .*, not \(1, 3\)"):
        to_logged([decision()], np.ones(shape), NAMES)


def test_no_decisions_are_no_log() -> None:
    with pytest.raises(DataError, match="the log holds no rows"):
        to_logged([], np.ones((0, 3)), NAMES)
