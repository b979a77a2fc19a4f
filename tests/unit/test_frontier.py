"""The frontier: never below a point, never bent upward, and reached by mixing what is given."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.decide import decide, taken
from training.frontier import (
    WEIGHTS,
    Sweep,
    at_cost,
    at_reward,
    blind_mix,
    envelope,
    mean_height,
    sweep,
)

type Floats = NDArray[np.float64]
type Points = list[tuple[float, float]]

# Steps make equal costs, equal rewards and points on one line; the rest is anything.
cost = st.integers(0, 8).map(lambda step: step / 8) | st.floats(0.01, 1).map(lambda x: round(x, 4))
reward = st.integers(0, 4).map(lambda step: step / 4) | st.floats(0, 1).map(lambda x: round(x, 4))
points = st.lists(st.tuples(cost, reward), min_size=1, max_size=8)
seeds = st.integers(0, 2**32 - 1)


def columns(of: Points) -> tuple[Floats, Floats]:
    costs, rewards = np.array(of, np.float64).T
    return costs, rewards


@settings(max_examples=100, deadline=None)
@given(points)
def test_the_envelope_is_a_concave_rise_over_given_points(of: Points) -> None:
    x, y = envelope(*columns(of))
    assert set(zip(x.tolist(), y.tolist(), strict=True)) <= set(of)
    assert (np.diff(x) > 0).all()
    assert (np.diff(y) > 0).all()
    slopes = np.diff(y) / np.diff(x)
    assert (np.diff(slopes) < 1e-9).all()
    assert x[0] == min(of)[0]
    assert y[-1] == max(height for _, height in of)


@settings(max_examples=100, deadline=None)
@given(points)
def test_no_point_and_no_mix_of_two_is_above_the_envelope(of: Points) -> None:
    costs, rewards = columns(of)
    for left in range(len(of)):
        for right in range(left + 1):
            for share in (0.0, 0.3):
                budget = share * costs[left] + (1 - share) * costs[right]
                mixed = share * rewards[left] + (1 - share) * rewards[right]
                assert mixed <= at_cost(costs, rewards, budget) + 1e-9


def test_a_point_below_the_line_between_two_others_is_no_corner() -> None:
    costs, rewards = np.array([3.0, 1.0, 2.0, 4.0]), np.array([0.9, 0.1, 0.4, 0.8])
    x, y = envelope(costs, rewards)
    assert (x.tolist(), y.tolist()) == ([1.0, 3.0], [0.1, 0.9])
    assert at_cost(costs, rewards, 2.0) == pytest.approx(0.5)
    assert at_cost(costs, rewards, 0.5) == pytest.approx(0.1)
    assert at_cost(costs, rewards, 9.0) == pytest.approx(0.9)
    assert at_reward(costs, rewards, 0.5) == pytest.approx(2.0)
    assert at_reward(costs, rewards, 0.05) == pytest.approx(1.0)
    assert np.isnan(at_reward(costs, rewards, 0.91))


def test_of_points_on_one_line_the_ends_are_corners() -> None:
    x, y = envelope(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 0.25, 0.5, 0.75]))
    assert (x.tolist(), y.tolist()) == ([0.0, 3.0], [0.0, 0.75])


@settings(max_examples=100, deadline=None)
@given(points, st.floats(0, 1))
def test_the_least_cost_of_a_reward_buys_that_reward(of: Points, share: float) -> None:
    costs, rewards = columns(of)
    x, y = envelope(costs, rewards)
    budget = x[0] + share * (x[-1] - x[0])
    height = at_cost(costs, rewards, budget)
    assert at_reward(costs, rewards, min(height, y[-1])) == pytest.approx(budget, abs=1e-9)


@pytest.mark.parametrize(
    ("of", "low", "high", "height"),
    [
        ([(0.5, 0.3)], 0.5, 0.5, 0.3),
        ([(0.5, 0.3)], 0.0, 1.0, 0.3),
        ([(0.0, 0.0), (1.0, 1.0)], 0.0, 1.0, 0.5),
        ([(0.0, 0.0), (1.0, 1.0)], 0.5, 1.0, 0.75),
        ([(0.0, 0.0), (1.0, 1.0)], 0.0, 2.0, 0.75),
        ([(0.0, 0.0), (0.5, 1.0), (1.0, 0.5)], 0.0, 1.0, 0.75),
        ([(0.0, 0.2), (0.5, 0.1), (1.0, 0.2)], 0.0, 1.0, 0.2),
    ],
)
def test_the_mean_height_of_known_frontiers(
    of: Points, low: float, high: float, height: float
) -> None:
    assert mean_height(*columns(of), low, high) == pytest.approx(height)


@settings(max_examples=50, deadline=None)
@given(points)
def test_the_mean_height_is_the_mean_of_heights(of: Points) -> None:
    costs, rewards = columns(of)
    low, high = float(costs.min()), float(costs.max())
    middles = low + (high - low) * (np.arange(2_000) + 0.5) / 2_000
    heights = np.interp(middles, *envelope(costs, rewards))
    assert mean_height(costs, rewards, low, high) == pytest.approx(heights.mean(), abs=2e-3)


@settings(max_examples=100, deadline=None)
@given(points, st.floats(-0.2, 1.2) | cost)
def test_a_blind_mix_costs_its_budget_and_earns_what_the_envelope_says(
    of: Points, budget: float
) -> None:
    costs, rewards = columns(of)
    x, _ = envelope(costs, rewards)
    shares = blind_mix(costs, rewards, budget)
    assert shares.shape == costs.shape
    assert (shares >= 0).all()
    assert (shares > 0).sum() <= 2
    assert shares.sum() == pytest.approx(1.0)
    assert shares @ costs == pytest.approx(np.clip(budget, x[0], x[-1]), abs=1e-9)
    assert shares @ rewards == pytest.approx(at_cost(costs, rewards, budget), abs=1e-9)


def offers(seed: int, rows: int = 40) -> tuple[Floats, Floats, Floats, Floats]:
    """Predicted and realised rewards, expected and paid costs, of three candidates."""
    rng = np.random.default_rng(seed)
    predicted = rng.integers(20, size=(rows, 3)) / 20  # ties are common
    expected = 10.0 ** rng.uniform(-5, -1, size=(rows, 3))
    return predicted, rng.uniform(size=(rows, 3)), expected, expected * rng.uniform(0.5, 2.0)


def swept(seed: int, margin: float = 0.0) -> Sweep:
    return sweep(*offers(seed), default=1, margin=margin)


@pytest.mark.parametrize("margin", [0.0, 0.1])
@pytest.mark.parametrize("at", [0, 60, 100, len(WEIGHTS) - 1])
def test_a_sweep_holds_what_is_decided_at_each_weight(at: int, margin: float) -> None:
    predicted, realised, expected, paid = offers(0)
    found = swept(0, margin)
    assert found.rewards.shape == found.costs.shape == (40, len(WEIGHTS))
    weight = WEIGHTS[at]
    chosen = decide(predicted, 1, min_margin=margin, cost_weight=weight, costs=expected)
    np.testing.assert_array_equal(found.rewards[:, at], taken(realised, chosen))
    np.testing.assert_array_equal(found.costs[:, at], taken(paid, chosen))


def test_a_sweep_starts_where_cost_does_not_count_and_ends_at_the_cheapest() -> None:
    predicted, realised, expected, paid = offers(1)
    found = swept(1)
    np.testing.assert_array_equal(
        predicted[realised == found.rewards[:, :1]], predicted.max(axis=1)
    )
    np.testing.assert_array_equal(found.costs[:, -1], taken(paid, expected.argmin(axis=1)))


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from([0.0, 0.02, 0.3]))
def test_the_expected_cost_never_rises_with_its_weight(seed: int, margin: float) -> None:
    predicted, realised, expected, _ = offers(seed)
    costs = sweep(predicted, realised, expected, expected, default=2, margin=margin).costs
    assert (np.diff(costs, axis=1) <= 0).all()
