"""Deciding many queries at once: row by row what the policy that serves would choose."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regroup.domain.policy import Knobs, Offer, choose
from training.decide import decide, taken

NAMES = ("a", "b", "c", "d")
# Steps make ties, and trades that come out even.
stepped = st.builds(Offer, st.sampled_from([0.0, 0.5]), st.sampled_from([0.0, 0.25, 0.5]))
anything = st.builds(Offer, st.floats(0, 1), st.floats(0, 10))
weights = st.just(0.0) | st.sampled_from([1.0, 2.0]) | st.floats(0, 1e6)
margins = st.just(0.0) | st.sampled_from([0.25, 0.5]) | st.floats(0, 1)


@st.composite
def offered(draw: st.DrawFn) -> list[list[Offer]]:
    """Rows of offers by the same candidates."""
    candidates = draw(st.integers(1, len(NAMES)))
    offer = draw(st.sampled_from([stepped, anything, stepped | anything]))
    one = st.lists(offer, min_size=candidates, max_size=candidates)
    return draw(st.lists(one, min_size=1, max_size=8))


def served(row: list[Offer], default: int, weight: float, margin: float) -> int:
    """Return the column that the classifier would choose."""
    offers = dict(zip(NAMES, row, strict=False))
    knobs = Knobs(weight, NAMES[default], min_margin=margin)
    return NAMES.index(choose(offers, knobs, draw=0.0).candidate)


@settings(max_examples=200, deadline=None)
@given(st.data(), offered(), weights, margins)
def test_every_row_is_decided_as_it_would_be_served(
    data: st.DataObject, rows: list[list[Offer]], weight: float, margin: float
) -> None:
    columns = st.integers(0, len(rows[0]) - 1)
    defaults = data.draw(st.lists(columns, min_size=len(rows), max_size=len(rows)))
    predicted = np.array([[offer.reward for offer in row] for row in rows])
    expected = np.array([[offer.cost_usd for offer in row] for row in rows])
    each = [served(row, one, weight, margin) for row, one in zip(rows, defaults, strict=True)]
    found = decide(
        predicted, np.array(defaults), min_margin=margin, cost_weight=weight, costs=expected
    )
    assert found.tolist() == each
    same = decide(predicted, defaults[0], min_margin=margin, cost_weight=weight, costs=expected)
    assert same.tolist() == [served(row, defaults[0], weight, margin) for row in rows]


@settings(max_examples=50, deadline=None)
@given(st.data(), offered(), margins)
def test_without_costs_only_rewards_count(
    data: st.DataObject, rows: list[list[Offer]], margin: float
) -> None:
    default = data.draw(st.integers(0, len(rows[0]) - 1))
    free = [[Offer(offer.reward, 0.0) for offer in row] for row in rows]
    found = decide(
        np.array([[offer.reward for offer in row] for row in rows]), default, min_margin=margin
    )
    assert found.tolist() == [served(row, default, 0.0, margin) for row in free]


TIE = np.array([[0.25, 0.75, 0.75]])


@pytest.mark.parametrize(
    ("default", "margin", "weight", "costs", "chosen"),
    [
        (0, 0.0, 0.0, [0.0, 2.0, 1.0], 2),  # of equals the cheaper
        (0, 0.0, 0.0, [0.0, 1.0, 1.0], 1),  # then the first
        (0, 0.5, 0.0, [0.0, 1.0, 1.0], 0),  # a lead must exceed the margin
        (0, 0.49, 0.0, [0.0, 1.0, 1.0], 1),
        (1, 0.0, 0.0, [0.0, 2.0, 1.0], 1),  # the default keeps what nobody beats
        (2, 0.0, 1.0, [0.0, 1.0, 2.0], 0),
    ],
)
def test_ties_margins_and_prices(
    default: int, margin: float, weight: float, costs: list[float], chosen: int
) -> None:
    found = decide(TIE, default, min_margin=margin, cost_weight=weight, costs=np.array([costs]))
    assert found.tolist() == [chosen]


def test_a_default_can_be_each_rows_own() -> None:
    predicted = np.tile(TIE, (3, 1))
    assert decide(predicted, np.array([0, 1, 2]), min_margin=0.6).tolist() == [0, 1, 2]


def test_a_prediction_that_is_no_number_falls_to_the_default() -> None:
    assert decide(np.array([[0.1, np.nan, 0.9]]), 0).tolist() == [0]


def test_one_value_a_row_is_taken() -> None:
    values = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    np.testing.assert_array_equal(taken(values, np.array([1, 0, 1])), [2.0, 3.0, 6.0])
