"""Judging a router: fair averages, honest intervals, and no row predicted by a fit that saw it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.evaluate import (
    FOLDS,
    Average,
    Interval,
    best_single,
    folds,
    judge,
    out_of_fold,
    paired_interval,
    row_weights,
)
from training.heads import fit_ridge_cluster

AVERAGES: tuple[Average, ...] = ("rows", "datasets")
origins = st.lists(st.sampled_from("abc"), min_size=1, max_size=60).map(np.array)


@pytest.mark.parametrize("average", AVERAGES)
@given(datasets=origins)
def test_weights_sum_to_one(average: Average, datasets: NDArray[np.str_]) -> None:
    weights = row_weights(datasets, average)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights > 0).all()


@given(origins)
def test_rows_count_alike_or_datasets_do(datasets: NDArray[np.str_]) -> None:
    assert len(set(row_weights(datasets, "rows").tolist())) == 1
    weights = row_weights(datasets, "datasets")
    names = np.unique(datasets)
    for name in names:
        assert weights[datasets == name].sum() == pytest.approx(1.0 / len(names))


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


@pytest.mark.parametrize("average", AVERAGES)
def test_a_constant_difference_has_an_interval_of_no_width(average: Average) -> None:
    interval = paired_interval(np.full(11, 0.25), DATASETS, average, seed=0)
    assert interval == Interval(0.25, 0.25, 0.25)


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


@pytest.mark.parametrize("average", AVERAGES)
def test_about_95_of_100_intervals_hold_the_true_mean(average: Average) -> None:
    rng = np.random.default_rng(0)
    datasets = np.array(["a"] * 40 + ["b"] * 60)
    truth, covered = 0.1, 0
    for seed in range(200):
        differences = rng.choice(np.array([-1.0, 0.0, 1.0]), p=[0.2, 0.5, 0.3], size=100)
        interval = paired_interval(differences, datasets, average, seed=seed)
        assert interval.low <= interval.mean <= interval.high
        covered += interval.low <= truth <= interval.high
    assert 0.90 <= covered / 200 <= 0.99


def test_the_same_seed_gives_the_same_interval() -> None:
    differences = np.random.default_rng(0).normal(size=50)
    datasets = np.array(["a"] * 50)
    one, same, other = (paired_interval(differences, datasets, "rows", seed=s) for s in (1, 1, 2))
    assert one == same
    assert one != other


@given(origins, st.integers(0, 2**32 - 1))
def test_folds_hold_every_row_once_and_spread_each_dataset(
    datasets: NDArray[np.str_], seed: int
) -> None:
    masks = [held_out for held_out, _ in folds(datasets, seed=seed)]
    assert len(masks) == FOLDS
    assert (np.sum(masks, axis=0) == 1).all()
    for name in (*np.unique(datasets), None):
        of_it = datasets == name if name is not None else np.full(len(datasets), True)
        sizes = [int((mask & of_it).sum()) for mask in masks]
        assert max(sizes) - min(sizes) <= 1


def test_no_row_is_predicted_by_a_fit_that_saw_it() -> None:
    # Rewards are coins: only a fit that saw a row can know how its coin fell.
    rng = np.random.default_rng(0)
    rows, dims = 300, 50
    points = rng.normal(size=(rows, dims))
    embeddings = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    rewards = rng.integers(2, size=(rows, 3)).astype(np.float64)
    labels, datasets = rng.integers(4, size=rows), np.array(["all"] * rows)

    seen = fit_ridge_cluster(embeddings, rewards, labels, 4, seed=0).predict(embeddings, labels)
    unseen = out_of_fold(embeddings, rewards, labels, 4, datasets, seed=0)

    def correlation(predicted: NDArray[np.float64], column: int) -> float:
        return float(np.corrcoef(predicted[:, column], rewards[:, column])[0, 1])

    for column in range(3):
        assert correlation(seen, column) > 0.3
        assert correlation(unseen, column) < 0.1


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 99))
def test_a_rows_own_reward_does_not_change_its_prediction(row: int) -> None:
    rng = np.random.default_rng(1)
    embeddings = rng.normal(size=(100, 5)).astype(np.float32)
    rewards, labels = rng.uniform(size=(100, 1)), rng.integers(3, size=100)
    datasets = np.array(["a", "b"] * 50)
    before = out_of_fold(embeddings, rewards, labels, 3, datasets, seed=0)
    changed = rewards.copy()
    changed[row] = 1.0 - changed[row]
    after = out_of_fold(embeddings, changed, labels, 3, datasets, seed=0)
    assert after[row] == before[row]
    assert (after != before).any()


@pytest.mark.parametrize(
    ("gain", "route", "sentence"),
    [
        (
            Interval(0.0512, 0.0104, 0.0931),
            True,
            "route (gain 5.1 points, 95 % interval 1.0 to 9.3)",
        ),
        (
            Interval(0.0112, -0.0104, 0.0331),
            False,
            "do not route: use sonnet (gain 1.1 points, 95 % interval -1.0 to 3.3)",
        ),
        (
            Interval(0.0, 0.0, 0.0),
            False,
            "do not route: use sonnet (gain 0.0 points, 95 % interval 0.0 to 0.0)",
        ),
        (
            Interval(-0.2, -0.3, -0.1),
            False,
            "do not route: use sonnet (gain -20.0 points, 95 % interval -30.0 to -10.0)",
        ),
        (
            Interval(-0.0001, -0.0004, 0.0002),
            False,
            "do not route: use sonnet (gain 0.0 points, 95 % interval 0.0 to 0.0)",
        ),
    ],
)
def test_the_verdict_is_said_in_one_sentence(gain: Interval, route: bool, sentence: str) -> None:
    verdict = judge(gain, "sonnet")
    assert (verdict.route, verdict.sentence) == (route, sentence)
    assert (verdict.gain, verdict.gain_low, verdict.gain_high) == (gain.mean, gain.low, gain.high)
