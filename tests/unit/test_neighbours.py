"""Nearest neighbours: those nearby are asked, and nobody else unless they say nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from regroup.errors import DataError
from training.dataset import Matrix
from training.neighbours import NEIGHBOURS, fit_neighbours
from training.sample import Sample

DIMS, NAN = 6, np.nan
seeds = st.integers(0, 2**32 - 1)


def unit_vectors(rows: int, rng: np.random.Generator) -> NDArray[np.float32]:
    points = rng.normal(size=(rows, DIMS))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def sample_of(
    embeddings: NDArray[np.float32], rewards: Matrix, weights: NDArray[np.float64] | None = None
) -> Sample:
    weights = np.ones(len(rewards)) if weights is None else weights
    return Sample(embeddings, rewards, np.zeros(len(rewards), np.intp), 1, weights)


def random_sample(seed: int, rows: int, gaps: float = 0.0) -> Sample:
    rng = np.random.default_rng(seed)
    rewards = rng.uniform(size=(rows, 3))
    rewards[rng.uniform(size=rewards.shape) < gaps] = NAN
    return sample_of(unit_vectors(rows, rng), rewards, rng.uniform(0.5, 2.0, size=rows))


def predict(sample: Sample, queries: NDArray[np.float32]) -> NDArray[np.float64]:
    return fit_neighbours(sample, 0).predict(queries, np.zeros(len(queries), np.intp))


def axes(rows: NDArray[np.intp]) -> NDArray[np.float32]:
    return np.eye(DIMS, dtype=np.float32)[rows]


def test_the_best_candidate_of_each_neighbourhood_is_found() -> None:
    rng = np.random.default_rng(0)
    place = rng.integers(3, size=600)
    near = axes(place) + rng.normal(scale=0.05, size=(600, DIMS))
    embeddings = (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32)
    best = np.array([2, 0, 1])
    rewards = np.eye(3)[best[place]] * 0.5 + rng.uniform(0, 0.6, size=(600, 3))
    predicted = predict(sample_of(embeddings, rewards), axes(np.arange(3)))
    np.testing.assert_array_equal(np.argmax(predicted, axis=1), best)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_rewards_are_weighted_means_over_the_nearest_by_cosine(seed: int) -> None:
    sample, queries = random_sample(seed, 300), unit_vectors(25, np.random.default_rng(seed + 1))
    oracle = NearestNeighbors(n_neighbors=NEIGHBOURS, metric="cosine").fit(sample.embeddings)
    expected = [
        np.average(sample.rewards[near], axis=0, weights=sample.weights[near])
        for near in oracle.kneighbors(queries, return_distance=False)
    ]
    predicted = predict(sample, queries)
    # A query may have two neighbours so alike that rounding decides which of them is asked.
    np.testing.assert_allclose(predicted, expected, atol=2.5 / NEIGHBOURS)
    assert np.isclose(predicted, expected).all(axis=1).mean() > 0.9


@pytest.mark.parametrize("rows", [1, 7, NEIGHBOURS])
def test_of_few_rows_all_are_asked(rows: int) -> None:
    sample = random_sample(1, rows)
    expected = np.average(sample.rewards, axis=0, weights=sample.weights)
    predicted = predict(sample, unit_vectors(5, np.random.default_rng(1)))
    np.testing.assert_allclose(predicted, np.repeat(expected[None], 5, axis=0))


def test_as_many_are_asked_as_promised() -> None:
    # One more row than is asked, and the farthest of them is the only one with a reward of 1.
    embeddings = axes(np.array([0] * NEIGHBOURS + [1]))
    rewards = np.array([[0.0]] * NEIGHBOURS + [[1.0]])
    sample = sample_of(embeddings, rewards)
    there = predict(sample, axes(np.array([1])))
    assert predict(sample, axes(np.array([0]))) == 0.0
    np.testing.assert_allclose(there, 1 / NEIGHBOURS)


def gap_in_a_neighbourhood() -> Sample:
    place = np.repeat([0, 1], NEIGHBOURS)
    rewards = np.where(place[:, None] == 0, [0.9, NAN, NAN], [0.1, 0.4, NAN])
    return sample_of(axes(place), rewards)


def test_a_candidate_that_no_neighbour_knows_is_predicted_its_mean() -> None:
    predicted = predict(gap_in_a_neighbourhood(), axes(np.array([0, 1])))
    np.testing.assert_allclose(predicted[:, :2], [[0.9, 0.4], [0.1, 0.4]])


def test_a_candidate_never_scored_is_predicted_the_least_reward() -> None:
    predicted = predict(gap_in_a_neighbourhood(), axes(np.array([0, 1])))
    np.testing.assert_array_equal(predicted[:, 2], 0.0)


def test_a_gap_among_neighbours_is_skipped() -> None:
    rewards = np.array([[1.0, NAN], [NAN, 0.2], [0.5, 0.6]])
    predicted = predict(sample_of(axes(np.array([0, 0, 0])), rewards), axes(np.array([0])))
    np.testing.assert_allclose(predicted, [[0.75, 0.4]])


@pytest.mark.parametrize(("rows", "queries"), [(100, 2_500), (9_000, 950)])
def test_many_queries_are_answered_as_each_part_alone(rows: int, queries: int) -> None:
    rng = np.random.default_rng(2)
    # Along the axes no similarity is rounded, so the parts must agree to the last bit.
    sample = sample_of(axes(rng.integers(DIMS, size=rows)), rng.uniform(size=(rows, 3)))
    asked = unit_vectors(queries, rng)
    parts = [predict(sample, asked[start : start + 317]) for start in range(0, queries, 317)]
    np.testing.assert_array_equal(predict(sample, asked), np.vstack(parts))


def test_no_query_gives_no_prediction() -> None:
    assert predict(random_sample(4, 50), unit_vectors(0, np.random.default_rng(4))).shape == (0, 3)


def test_rows_of_no_weight_and_rows_without_rewards_are_left_out() -> None:
    sample = random_sample(5, 400)
    sample.weights[::4] = 0.0
    sample.rewards[1::4] = NAN
    queries = unit_vectors(30, np.random.default_rng(5))
    kept = sample.take(np.arange(400) % 4 > 1)
    np.testing.assert_array_equal(predict(sample, queries), predict(kept, queries))


@settings(max_examples=20, deadline=None)
@given(seeds, st.permutations(range(3)), st.sampled_from([0.0, 0.5]))
def test_candidates_in_another_order_are_predicted_the_same(
    seed: int, order: list[int], gaps: float
) -> None:
    sample, queries = random_sample(seed, 200, gaps), unit_vectors(20, np.random.default_rng(seed))
    other = sample_of(sample.embeddings, sample.rewards[:, order], sample.weights)
    np.testing.assert_allclose(predict(other, queries), predict(sample, queries)[:, order])


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from([0.0, 0.9]))
def test_predictions_are_finite_and_lie_between_the_rewards(seed: int, gaps: float) -> None:
    sample = random_sample(seed, 150, gaps)
    predicted = predict(sample, unit_vectors(20, np.random.default_rng(seed)))
    assert (predicted >= np.nanmin(sample.rewards, axis=0) - 1e-12).all()
    assert (predicted <= np.nanmax(sample.rewards, axis=0) + 1e-12).all()


def test_the_same_sample_gives_the_same_bytes() -> None:
    queries = unit_vectors(40, np.random.default_rng(6))
    one, two = (predict(random_sample(6, 300, gaps=0.3), queries) for _ in range(2))
    assert one.tobytes() == two.tobytes()


@pytest.mark.parametrize(("reward", "weight"), [(NAN, 1.0), (0.5, 0.0)])
def test_no_reward_at_all_is_refused(reward: float, weight: float) -> None:
    embeddings = unit_vectors(12, np.random.default_rng(7))
    sample = sample_of(embeddings, np.full((12, 2), reward), np.full(12, weight))
    with pytest.raises(DataError, match="no row has a reward"):
        fit_neighbours(sample, 0)
