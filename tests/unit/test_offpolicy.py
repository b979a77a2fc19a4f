import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from regroup.domain.offpolicy import (
    Estimate,
    Floats,
    Logged,
    corrected_rewards,
    difference,
    doubly_robust,
    ips,
    snips,
)
from regroup.errors import DataError
from tests.bench.offpolicy import Simulated, coverage, simulate

CANDIDATES = 3

# Weights 2, 4, 0 and 1: the third row's action is not what the policy would take.
LOG = Logged(
    actions=np.array([0, 1, 0, 2]),
    rewards=np.array([1.0, 0.5, 0.25, 0.0]),
    propensities=np.array([0.5, 0.25, 0.8, 1.0]),
)
TARGET = np.eye(CANDIDATES)[[0, 1, 1, 2]]
PREDICTED = np.array([[0.8, 0.1, 0.1], [0.2, 0.4, 0.1], [0.3, 0.6, 0.1], [0.1, 0.1, 0.2]])

ESTIMATORS: dict[str, Callable[[Logged, Floats], Estimate]] = {
    "ips": ips,
    "snips": snips,
    "dr": lambda logged, target: doubly_robust(logged, target, np.full(target.shape, 0.5)),
}


@st.composite
def logs(draw: st.DrawFn) -> tuple[Logged, Floats, Floats]:
    """A log, a policy that is likely to take its actions, and predicted rewards."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = draw(st.integers(4, 40))
    logged = Logged(
        actions=rng.integers(0, CANDIDATES, rows),
        rewards=rng.random(rows),
        propensities=rng.uniform(0.05, 1.0, rows),
        weights=rng.uniform(1.0, 10.0, rows) if draw(st.booleans()) else None,
    )
    target = rng.dirichlet(np.ones(CANDIDATES), rows)
    return logged, target, rng.random((rows, CANDIDATES))


def close(one: Estimate, other: Estimate, *, shift: float = 0.0) -> bool:
    numbers = (one.value, one.low, one.high)
    moved = (other.value + shift, other.low + shift, other.high + shift)
    same = np.allclose(numbers, moved, rtol=1e-7, atol=1e-9)
    return same and math.isclose(one.effective_rows, other.effective_rows)


def on_policy(rewards: list[float]) -> Logged:
    rows = len(rewards)
    return Logged(np.zeros(rows, np.intp), np.array(rewards), np.ones(rows))


def test_ips_averages_weighted_rewards() -> None:
    assert ips(LOG, TARGET).value == pytest.approx((2 * 1.0 + 4 * 0.5 + 0 + 0) / 4)


def test_snips_divides_by_the_sum_of_the_weights() -> None:
    assert snips(LOG, TARGET).value == pytest.approx((2 * 1.0 + 4 * 0.5 + 0 + 0) / 7)


def test_doubly_robust_adds_weighted_residuals_to_what_is_predicted() -> None:
    terms = (0.8 + 2 * 0.2, 0.4 + 4 * 0.1, 0.6, 0.2 + 1 * (0.0 - 0.2))
    assert doubly_robust(LOG, TARGET, PREDICTED).value == pytest.approx(sum(terms) / 4)


def test_a_policy_that_draws_is_weighed_by_its_probabilities() -> None:
    target = np.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.4, 0.6, 0.0], [0.0, 0.0, 1.0]])
    assert ips(LOG, target).value == pytest.approx((1 * 1.0 + 2 * 0.5 + 0.5 * 0.25 + 0) / 4)


def test_the_difference_is_the_gap_between_two_policies() -> None:
    other = np.eye(CANDIDATES)[[0, 2, 0, 2]]
    # Rows 1 and 4 agree. Row 2: only A takes the logged action; row 3: only B does.
    second = (0.4 - 0.1) + 4 * (0.5 - 0.4)
    third = (0.6 - 0.3) - 1.25 * (0.25 - 0.3)
    found = difference(LOG, TARGET, other, PREDICTED)
    assert found.value == pytest.approx((second + third) / 4)
    assert found.effective_rows == pytest.approx((4 + 1.25) ** 2 / (4**2 + 1.25**2))


def test_effective_rows_are_kishs() -> None:
    for estimate in (ips(LOG, TARGET), snips(LOG, TARGET)):
        assert estimate.effective_rows == pytest.approx((2 + 4 + 1) ** 2 / (4 + 16 + 1))


@pytest.mark.parametrize("rows", [4, 6, 8, 10, 12, 20, 50, 200, 5_000])
@pytest.mark.parametrize("name", ["ips", "snips", "dr"])
def test_even_weights_and_two_outcomes_give_students_interval(name: str, rows: int) -> None:
    found = ESTIMATORS[name](on_policy([0.0, 1.0] * (rows // 2)), np.ones((rows, 1)))
    half = stats.t.ppf(0.975, rows - 1) * math.sqrt(0.25 / (rows - 1))
    assert found.value == pytest.approx(0.5)
    assert found.high - found.value == pytest.approx(found.value - found.low)
    # The table's quantiles are never below the exact ones.
    assert 0.9999 * half <= found.high - found.value <= 1.02 * half


@pytest.mark.parametrize("small", [0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5])
def test_few_rows_that_carry_the_variance_are_the_degrees_of_freedom(small: float) -> None:
    squares = np.array([0.5, 0.5, small, small]) ** 2
    degrees = squares.sum() ** 2 / (squares**2).sum() - 1  # 1 to 3
    rewards = [0.5] * 96 + [0.0, 1.0, 0.5 - small, 0.5 + small]
    found = ips(on_policy(rewards), np.ones((100, 1)))
    half = stats.t.ppf(0.975, degrees) * math.sqrt(squares.sum() / (100 * 99))
    assert 0.9999 * half <= found.high - found.value <= 1.04 * half


def test_one_effective_row_bounds_nothing() -> None:
    target = np.eye(CANDIDATES)[[0, 2, 2, 0]]
    for name, estimate in ESTIMATORS.items():
        found = estimate(LOG, target)
        assert (found.low, found.high) == (-math.inf, math.inf), name
        assert found.effective_rows == 1.0


def test_one_row_that_counts_for_all_bounds_nothing() -> None:
    # The policy takes other actions than that row's, so the weights of the actions look even.
    found = ips(replace(LOG, weights=np.array([1.0, 1.0, 1e18, 1.0])), TARGET)
    assert found.effective_rows > 2
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_rewards_all_alike_leave_snips_no_width() -> None:
    found = snips(replace(LOG, rewards=np.full(4, 0.7)), TARGET)
    assert (found.value, found.low, found.high) == pytest.approx((0.7, 0.7, 0.7))


def test_a_row_of_double_weight_counts_as_two() -> None:
    twice = np.array([0, 1, 1, 2, 3])
    doubled = replace(LOG, weights=np.array([1.0, 2.0, 1.0, 1.0]))
    repeated = Logged(LOG.actions[twice], LOG.rewards[twice], LOG.propensities[twice])
    for name, estimate in ESTIMATORS.items():
        found = estimate(doubled, TARGET).value
        assert found == pytest.approx(estimate(repeated, TARGET[twice]).value), name


@given(rewards=st.lists(st.floats(0, 1), min_size=2, max_size=50))
def test_on_policy_every_estimate_is_the_mean(rewards: list[float]) -> None:
    for name, estimate in ESTIMATORS.items():
        found = estimate(on_policy(rewards), np.ones((len(rewards), 1)))
        assert found.value == pytest.approx(np.mean(rewards)), name
        assert found.effective_rows == pytest.approx(len(rewards))
        assert found.low <= found.value <= found.high


@given(log=logs(), shift=st.floats(-5, 5))
def test_a_constant_added_to_rewards_is_added_to_snips(
    log: tuple[Logged, Floats, Floats], shift: float
) -> None:
    logged, target, _ = log
    shifted = replace(logged, rewards=logged.rewards + shift)
    assert close(snips(shifted, target), snips(logged, target), shift=shift)


@given(log=logs())
def test_snips_stays_between_the_least_and_the_most_reward(
    log: tuple[Logged, Floats, Floats],
) -> None:
    logged, target, _ = log
    value = snips(logged, target).value
    assert logged.rewards.min() - 1e-12 <= value <= logged.rewards.max() + 1e-12


@given(log=logs(), order=st.integers(0, 2**32))
def test_the_order_of_rows_changes_nothing(log: tuple[Logged, Floats, Floats], order: int) -> None:
    logged, target, predicted = log
    rows = np.random.default_rng(order).permutation(len(logged))
    weights = None if logged.weights is None else logged.weights[rows]
    turned = Logged(logged.actions[rows], logged.rewards[rows], logged.propensities[rows], weights)
    other = np.roll(target, 1, axis=1)
    assert close(ips(turned, target[rows]), ips(logged, target))
    assert close(snips(turned, target[rows]), snips(logged, target))
    assert close(
        doubly_robust(turned, target[rows], predicted[rows]),
        doubly_robust(logged, target, predicted),
    )
    assert close(
        difference(turned, target[rows], other[rows], predicted[rows]),
        difference(logged, target, other, predicted),
    )


@given(log=logs())
def test_doubly_robust_without_predictions_is_ips(log: tuple[Logged, Floats, Floats]) -> None:
    logged, target, predicted = log
    assert close(doubly_robust(logged, target, np.zeros_like(predicted)), ips(logged, target))


@given(log=logs())
def test_perfect_predictions_leave_only_the_spread_of_the_queries(
    log: tuple[Logged, Floats, Floats],
) -> None:
    logged, target, predicted = log
    each = np.arange(len(logged))
    exact = replace(logged, rewards=predicted[each, logged.actions], weights=None)
    earned = (target * predicted).sum(axis=1)
    found = doubly_robust(exact, target, predicted)
    assume(found.effective_rows >= 2)
    everything_known = ips(on_policy(earned.tolist()), np.ones((len(logged), 1)))
    assert (found.value, found.low, found.high) == pytest.approx(
        (everything_known.value, everything_known.low, everything_known.high)
    )


@given(log=logs())
def test_perfect_predictions_of_noise_free_levels_leave_no_width(
    log: tuple[Logged, Floats, Floats],
) -> None:
    logged, target, predicted = log
    levels = predicted[:1]
    exact = replace(logged, rewards=levels[0, logged.actions])
    target = np.repeat(target[:1], len(logged), axis=0)
    found = doubly_robust(exact, target, np.repeat(levels, len(logged), axis=0))
    assume(found.low > -math.inf)
    assert found.value == pytest.approx(float(target[0] @ levels[0]))
    assert found.high - found.low < 1e-9


@given(log=logs())
def test_a_difference_is_that_of_two_estimates_and_turns_with_its_sides(
    log: tuple[Logged, Floats, Floats],
) -> None:
    logged, target, predicted = log
    other = np.roll(target, 1, axis=1)
    found = difference(logged, target, other, predicted)
    turned = difference(logged, other, target, predicted)
    one, two = (doubly_robust(logged, policy, predicted) for policy in (target, other))
    assert found.value == pytest.approx(one.value - two.value, abs=1e-9)
    assert (found.value, found.low, found.high) == pytest.approx(
        (-turned.value, -turned.high, -turned.low)
    )


@given(log=logs())
def test_a_policy_differs_from_itself_by_nothing(log: tuple[Logged, Floats, Floats]) -> None:
    logged, target, predicted = log
    found = difference(logged, target, target.copy(), predicted)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def worlds() -> list[Simulated]:
    return [simulate(500, seed=(1, world)) for world in range(40)]


def test_pairing_narrows_the_difference_of_policies_that_mostly_agree(
    worlds: list[Simulated],
) -> None:
    one = worlds[0]
    nearly = 0.9 * one.target + 0.1 * one.other
    paired = difference(one.logged, one.target, nearly, one.predicted)
    alone = doubly_robust(one.logged, one.target, one.predicted)
    assert paired.high - paired.low < 0.3 * (alone.high - alone.low)


def test_intervals_hold_the_truth_of_simulated_worlds() -> None:
    held = coverage(40, 500, seed=1)
    assert set(held) == {"ips", "snips", "dr"}
    assert min(held.values()) >= 0.85, held


def test_intervals_are_not_wider_than_it_takes(worlds: list[Simulated]) -> None:
    # Half as wide, an interval of a normal estimate holds the truth two times in three.
    held = 0
    for one in worlds:
        found = doubly_robust(one.logged, one.target, one.predicted)
        held += abs(found.value - one.truth) <= (found.high - found.value) / 2
    assert 18 <= held <= 34


def test_differences_hold_the_truth_of_simulated_worlds(worlds: list[Simulated]) -> None:
    held = 0
    for one in worlds:
        found = difference(one.logged, one.target, one.other, one.predicted)
        held += found.low <= one.truth - one.other_truth <= found.high
    assert held >= 34


def test_row_weights_undo_uneven_sampling(worlds: list[Simulated]) -> None:
    # Rows with a reward above a half are kept one time in four, and count four.
    rng = np.random.default_rng(0)
    held = {True: 0, False: 0}
    for one in worlds:
        inclusion = np.where(one.logged.rewards > 0.5, 0.25, 1.0)
        kept = rng.random(len(inclusion)) < inclusion
        for weighted in held:
            log = Logged(
                one.logged.actions[kept],
                one.logged.rewards[kept],
                one.logged.propensities[kept],
                1.0 / inclusion[kept] if weighted else None,
            )
            found = doubly_robust(log, one.target[kept], np.full(one.target[kept].shape, 0.5))
            held[weighted] += found.low <= one.truth <= found.high
    assert held[True] >= 33
    assert held[False] <= 10


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"actions": np.array([], np.intp)}, r"logged rewards have shape \(4,\), not \(0,\)"),
        ({"rewards": np.zeros(3)}, r"logged rewards have shape \(3,\), not \(4,\)"),
        ({"propensities": np.ones((4, 1))}, r"logged propensities have shape \(4, 1\)"),
        ({"weights": np.ones(5)}, r"logged weights have shape \(5,\)"),
        ({"actions": np.array([0, -1, 0, 2])}, "actions must be column numbers"),
        ({"actions": np.zeros(4)}, "actions must be column numbers"),
        ({"rewards": np.array([1.0, 1.0, math.nan, 1.0])}, "row 3 has no finite reward"),
        ({"rewards": np.array([1.0, math.inf, math.nan, 1.0])}, r"row 2 \(and 1 more\) has no"),
        ({"propensities": np.array([1.0, 0.0, 1.0, 1.0])}, r"row 2 has a propensity outside"),
        ({"propensities": np.array([1.0, 1.0, 1.0, 1.1])}, r"row 4 has a propensity outside"),
        ({"propensities": np.array([math.nan, 1, 1, 1])}, r"row 1 has a propensity outside"),
        ({"weights": np.array([1.0, 1.0, 0.0, 1.0])}, "row 3 has a weight that is not above 0"),
        ({"weights": np.array([1.0, math.inf, 1, 1])}, "row 2 has a weight that is not above 0"),
    ],
)
def test_a_log_that_says_nothing_is_refused(change: dict[str, Floats], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        replace(LOG, **change)  # type: ignore[arg-type]


def test_a_log_without_rows_is_refused() -> None:
    with pytest.raises(DataError, match="the log holds no rows: log decisions"):
        Logged(np.array([], np.intp), np.array([]), np.array([]))


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        (TARGET[:3], r"shape \(3, 3\), not \(4, candidates\)"),
        (np.ones(4), r"shape \(4,\), not \(4, candidates\)"),
        (TARGET[:, :2], "takes action 2, but the policy knows only 2 candidates"),
        (TARGET * 0.99, r"row 1 \(and 3 more\) of the policy is no distribution"),
        (
            TARGET + np.array([[0, 0, 0]] * 3 + [[-0.5, 0.5, 0]]),
            "row 4 of the policy is no distribution",
        ),
        (np.full((4, 3), math.nan), "of the policy is no distribution"),
        (np.eye(CANDIDATES)[[2, 2, 2, 0]], "no logged row took an action"),
    ],
)
@pytest.mark.parametrize("name", ["ips", "snips", "dr"])
def test_a_policy_that_does_not_fit_the_log_is_refused(
    name: str, target: Floats, complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        ESTIMATORS[name](LOG, target)


@pytest.mark.parametrize(
    ("predicted", "complaint"),
    [
        (PREDICTED[:, :2], r"predicted rewards have shape \(4, 2\), not \(4, 3\)"),
        (np.where(np.eye(4, 3), math.nan, 0.5), r"row 1 \(and 2 more\) has a predicted reward"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(predicted: Floats, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        doubly_robust(LOG, TARGET, predicted)
    with pytest.raises(DataError, match=complaint):
        difference(LOG, TARGET, np.roll(TARGET, 1, axis=1), predicted)


def test_a_difference_that_no_row_shows_is_refused() -> None:
    # The two differ in the third row alone, where the log took neither's action.
    other = np.eye(CANDIDATES)[[0, 1, 2, 2]]
    with pytest.raises(DataError, match="no logged row took an action"):
        difference(LOG, TARGET, other, PREDICTED)


def test_an_action_that_the_log_could_not_take_is_refused() -> None:
    supported = np.ones((4, CANDIDATES), np.bool_)
    supported[2, 1] = False
    with pytest.raises(DataError, match="row 3 gives the policy a candidate that the log could"):
        ips(replace(LOG, supported=supported), TARGET)
    supported[2] = [False, True, False]
    assert ips(replace(LOG, supported=supported), TARGET) == ips(LOG, TARGET)


def test_support_of_another_shape_is_refused() -> None:
    with pytest.raises(DataError, match=r"supported has shape \(4, 2\)"):
        ips(replace(LOG, supported=np.ones((4, 2), np.bool_)), TARGET)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_corrected_rewards_average_to_the_doubly_robust_value_of_any_policy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, candidates = 40, 3
    actions = rng.integers(candidates, size=rows)
    logged = Logged(actions, rng.uniform(size=rows), rng.uniform(0.1, 1.0, size=rows))
    predicted = rng.uniform(size=(rows, candidates))
    target = np.eye(candidates)[rng.integers(candidates, size=rows)]
    corrected = corrected_rewards(logged, predicted)
    wanted = doubly_robust(logged, target, predicted).value
    assert (target * corrected).sum(axis=1).mean() == pytest.approx(wanted)
