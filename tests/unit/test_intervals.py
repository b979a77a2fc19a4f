"""Means over queries: fair averages, and intervals that are as wide as the doubt."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.intervals import (
    Average,
    best_single,
    bootstrap_means,
    paired_interval,
    row_weights,
    standard_error,
)

AVERAGES: tuple[Average, ...] = ("rows", "datasets")
every_average = pytest.mark.parametrize("average", AVERAGES)
origins = st.lists(st.sampled_from("abc"), min_size=1, max_size=60).map(np.array)


@every_average
@settings(deadline=None)
@given(datasets=origins)
def test_weights_sum_to_one(average: Average, datasets: NDArray[np.str_]) -> None:
    weights = row_weights(datasets, average)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights > 0).all()


@settings(deadline=None)
@given(origins)
def test_rows_count_alike_or_datasets_do(datasets: NDArray[np.str_]) -> None:
    assert len(set(row_weights(datasets, "rows").tolist())) == 1
    weights = row_weights(datasets, "datasets")
    names = np.unique(datasets)
    for name in names:
        assert weights[datasets == name].sum() == pytest.approx(1.0 / len(names))
        assert len(set(weights[datasets == name].tolist())) == 1


# Candidate 0 wins the large data set, candidate 1 the two small ones.
DATASETS = np.array(["large"] * 8 + ["small"] * 2 + ["tiny"])
REWARDS = np.array([[1.0, 0.5]] * 8 + [[0.0, 1.0]] * 3)


@pytest.mark.parametrize(("average", "best"), [("rows", 0), ("datasets", 1)])
def test_the_best_single_candidate_depends_on_what_counts_alike(
    average: Average, best: int
) -> None:
    assert best_single(REWARDS, row_weights(DATASETS, average)) == best


def test_a_candidate_never_scored_is_not_the_best() -> None:
    rewards = np.array([[np.nan, 0.1], [np.nan, 0.2]])
    assert best_single(rewards, np.full(2, 0.5)) == 1


@every_average
def test_a_constant_difference_has_an_interval_of_no_width(average: Average) -> None:
    interval = paired_interval(np.full(11, 0.25), DATASETS, average, seed=0)
    numbers = (interval.mean, interval.low, interval.high)
    assert numbers == pytest.approx((0.25, 0.25, 0.25), abs=1e-12)


def test_the_mean_is_that_of_rows_or_of_datasets() -> None:
    differences = np.array([0.5] * 8 + [-1.0] * 3)
    assert paired_interval(differences, DATASETS, "rows", seed=0).mean == pytest.approx(1 / 11)
    assert paired_interval(differences, DATASETS, "datasets", seed=0).mean == pytest.approx(-0.5)


def test_datasets_are_drawn_from_within() -> None:
    # Within each data set nothing varies, so neither does any draw; over all rows much does.
    differences = np.where(DATASETS == "large", 0.5, -1.0)
    within = paired_interval(differences, DATASETS, "datasets", seed=0)
    over_all = paired_interval(differences, DATASETS, "rows", seed=0)
    assert within.high - within.low == pytest.approx(0.0, abs=1e-12)
    assert over_all.high - over_all.low > 0.5


@every_average
def test_about_95_of_100_intervals_hold_the_true_mean(average: Average) -> None:
    rng = np.random.default_rng(0)
    datasets = np.array(["a"] * 20 + ["b"] * 40)
    truth, covered = 0.1, 0
    for seed in range(100):
        differences = rng.choice(np.array([-1.0, 0.0, 1.0]), p=[0.2, 0.5, 0.3], size=60)
        interval = paired_interval(differences, datasets, average, seed=seed)
        assert interval.low <= interval.mean <= interval.high
        covered += interval.low <= truth <= interval.high
    assert 90 <= covered <= 99


def test_what_both_sides_of_a_query_share_does_not_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    ease, datasets = rng.normal(scale=10.0, size=200), np.array(["a"] * 200)
    ours, theirs = ease + rng.normal(0.5, 1.0, size=200), ease + rng.normal(size=200)
    paired = paired_interval(ours - theirs, datasets, "rows", seed=0)
    alone = paired_interval(ours, datasets, "rows", seed=0)
    assert paired.low > 0.0
    assert paired.high - paired.low < 0.25 * (alone.high - alone.low)


@every_average
def test_every_column_is_averaged_over_the_same_drawn_queries(average: Average) -> None:
    values = np.random.default_rng(2).normal(size=(11, 2))
    both = np.column_stack([values, values @ [2.0, -1.0] + 3.0])
    draws = bootstrap_means(both, DATASETS, average, seed=0)
    assert draws.shape == (2_000, 3)
    np.testing.assert_allclose(draws[:, 2], draws[:, :2] @ [2.0, -1.0] + 3.0, atol=1e-12)
    assert len(np.unique(draws[:, 0])) > 1_000


@every_average
def test_draws_scatter_around_the_mean(average: Average) -> None:
    values = np.random.default_rng(3).normal(size=(600, 1))  # more cells than one chunk holds
    datasets = np.where(np.arange(600) < 550, "a", "b")
    draws = bootstrap_means(values, datasets, average, seed=0)
    mean = row_weights(datasets, average) @ values
    assert draws.shape == (2_000, 1)
    assert abs(draws.mean() - mean[0]) < 4 * draws.std() / np.sqrt(2_000)


@every_average
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_standard_error_is_the_spread_of_the_draws(average: Average, seed: int) -> None:
    rng = np.random.default_rng(seed)
    datasets = np.repeat(["a", "b", "c"], [150, 60, 40])
    scale = np.where(datasets == "c", 3.0, 1.0)
    differences = rng.normal(size=250) * scale + np.where(datasets == "b", 4.0, 0.0)
    error = standard_error(differences, datasets, average)
    draws = bootstrap_means(differences[:, None], datasets, average, seed=seed)
    assert error == pytest.approx(draws.std(), rel=0.15)


def test_the_standard_errors_of_a_few_numbers() -> None:
    differences, datasets = np.array([0.0, 2.0, 0.0, 4.0, 7.0]), np.array(["a", "a", "b", "b", "c"])
    # Variances of the means are 1 and 4; of a data set of one row nothing is known.
    assert standard_error(differences, datasets, "datasets") == pytest.approx(np.sqrt(5) / 3)
    assert standard_error(differences[:2], datasets[:2], "rows") == pytest.approx(1.0)


def test_the_same_seed_gives_the_same_interval() -> None:
    differences = np.random.default_rng(0).normal(size=50)
    datasets = np.array(["a"] * 50)
    one, same, other = (paired_interval(differences, datasets, "rows", seed=s) for s in (1, 1, 2))
    assert one == same
    assert one != other


def test_datasets_of_one_row_are_drawn_from_together() -> None:
    differences = np.random.default_rng(0).normal(size=400)
    names = np.array([f"set {n}" for n in range(400)])
    together = standard_error(differences, np.array(["all"] * 400), "rows")
    assert standard_error(differences, names, "datasets") == pytest.approx(together)
    found = paired_interval(differences, names, "datasets", seed=0)
    assert found.high - found.low == pytest.approx(2 * 1.96 * together, rel=0.1)
