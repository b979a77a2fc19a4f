"""Matrix factorisation: battles between candidates are won as they were planted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import check_grad

from regroup.errors import DataError
from training.dataset import Matrix
from training.factorisation import RANK, Battles, fit_matrix_factorisation
from training.sample import Sample

DIMS, CLUSTERS, NAN = 6, 3, np.nan
MANY = 1e7  # a weight of the rows that leaves the penalty without effect
seeds = st.integers(0, 2**32 - 1)


def unit_vectors(rows: int, rng: np.random.Generator) -> NDArray[np.float32]:
    points = rng.normal(size=(rows, DIMS))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def sample_of(
    embeddings: NDArray[np.float32], rewards: Matrix, weights: NDArray[np.float64] | None = None
) -> Sample:
    weights = np.ones(len(rewards)) if weights is None else weights
    return Sample(embeddings, rewards, np.arange(len(rewards)) % CLUSTERS, CLUSTERS, weights)


def random_sample(seed: int, rows: int = 60, candidates: int = 4, gaps: float = 0.0) -> Sample:
    rng = np.random.default_rng(seed)
    rewards = rng.uniform(size=(rows, candidates))
    rewards[rng.uniform(size=rewards.shape) < gaps] = NAN
    return sample_of(unit_vectors(rows, rng), rewards)


def centred(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    return np.asarray(values - values.mean(axis=axis, keepdims=True))


def test_the_best_candidate_of_each_direction_is_found() -> None:
    rng = np.random.default_rng(0)
    embeddings = unit_vectors(1_500, rng)
    rewards = 0.5 + 0.4 * embeddings[:, :3].astype(np.float64)
    sample = sample_of(embeddings, rewards)
    predicted = fit_matrix_factorisation(sample, 0).predict(embeddings, sample.labels)
    assert (np.argmax(predicted, axis=1) == np.argmax(rewards, axis=1)).mean() > 0.95


def test_planted_chances_of_winning_are_recovered() -> None:
    # Every battle is fought apart, between two candidates, and won by each by its weight.
    rng = np.random.default_rng(1)
    planted, shift, points = rng.normal(size=(3, DIMS)), rng.normal(size=3), unit_vectors(60, rng)
    scores = points @ planted.T + shift
    embeddings, rewards, weights = [], [], []
    for one, other in ((0, 1), (0, 2), (1, 2)):
        chances = 1 / (1 + np.exp(scores[:, other] - scores[:, one]))
        for winner, loser, mass in ((one, other, chances), (other, one, 1 - chances)):
            row = np.full(3, NAN)
            row[[winner, loser]] = 0.7, 0.4
            embeddings.append(points)
            rewards.append(np.repeat(row[None], 60, axis=0))
            weights.append(MANY * mass)
    sample = sample_of(np.vstack(embeddings), np.vstack(rewards), np.concatenate(weights))
    maps = fit_matrix_factorisation(sample, 0)
    np.testing.assert_allclose(centred(maps.weights[0], 0), centred(planted, 0), atol=0.05)
    np.testing.assert_allclose(centred(maps.bias[0], 0), centred(shift, 0), atol=0.05)


def test_noise_leaves_nothing_but_who_wins_more_often() -> None:
    rng = np.random.default_rng(2)
    first = rng.uniform(size=400) < 0.8
    rewards = np.where(first[:, None], [1.0, 0.0], [0.0, 1.0])
    maps = fit_matrix_factorisation(sample_of(unit_vectors(400, rng), rewards), 0)
    share = first.mean()
    lead = maps.bias[:, 0] - maps.bias[:, 1]
    np.testing.assert_allclose(lead, np.log(share / (1 - share)), atol=0.01)
    np.testing.assert_allclose(maps.weights, 0.0, atol=0.01)


def test_the_map_is_finite_and_the_same_in_every_cluster() -> None:
    maps = fit_matrix_factorisation(random_sample(3, rows=400, candidates=5, gaps=0.3), 0)
    assert maps.weights.shape == (CLUSTERS, 5, DIMS)
    assert maps.bias.shape == (CLUSTERS, 5)
    assert np.isfinite(maps.weights).all()
    np.testing.assert_array_equal(maps.weights, maps.weights[:1].repeat(CLUSTERS, axis=0))
    np.testing.assert_array_equal(maps.bias, maps.bias[:1].repeat(CLUSTERS, axis=0))


def test_equal_rewards_and_gaps_are_no_battle() -> None:
    rewards = np.array([[0.5, 0.5, 0.1], [0.2, NAN, 0.7], [0.4, 0.4, NAN], [NAN, 0.9, NAN]])
    battles = Battles.of(sample_of(unit_vectors(4, np.random.default_rng(4)), rewards))
    np.testing.assert_array_equal(battles.pairs, [[1, -1, 0], [1, 0, -1], [0, 1, -1]])
    np.testing.assert_array_equal(battles.outcomes, [[0, 1, 1], [0, -1, 0]])


def test_the_loss_is_a_mean_over_battles_that_starts_from_a_toss_of_a_coin() -> None:
    sample = random_sample(9, rows=30, gaps=0.4)
    sample.rewards[::3, 0] = sample.rewards[::3, 1]
    sample.weights[:] = np.random.default_rng(9).uniform(0.5, 3.0, size=30)
    loss, _ = Battles.of(sample).loss(np.zeros(4 * (RANK + 1) + RANK * DIMS))
    assert loss == pytest.approx(np.log(2))


def test_a_candidate_never_in_a_battle_comes_last() -> None:
    rng = np.random.default_rng(5)
    embeddings = unit_vectors(300, rng)
    first = embeddings[:, 0] > 0
    rewards = np.where(first[:, None], [0.9, NAN, 0.1], [0.2, NAN, 0.8])
    rewards[:5] = [NAN, 1.0, NAN]
    sample = sample_of(embeddings, rewards)
    predicted = fit_matrix_factorisation(sample, 0).predict(embeddings, sample.labels)
    assert (np.argmin(predicted, axis=1) == 1).all()
    assert (np.argmax(predicted, axis=1) == np.where(first, 0, 2)).mean() > 0.9


@settings(max_examples=8, deadline=None)
@given(seeds, st.sampled_from([0.0, 0.4]))
def test_the_gradient_is_the_slope_of_the_loss(seed: int, gaps: float) -> None:
    sample = random_sample(seed, rows=30, gaps=gaps)
    rng = np.random.default_rng(seed)
    sample.weights[:] = rng.uniform(0.5, 3.0, size=30)
    battles = Battles.of(sample)
    point = rng.normal(scale=0.3, size=4 * (RANK + 1) + RANK * DIMS)
    error = check_grad(lambda p: battles.loss(p)[0], lambda p: battles.loss(p)[1], point)
    assert error < 1e-4


def planted_sample(seed: int, gaps: float) -> Sample:
    rng = np.random.default_rng(seed)
    sample = random_sample(seed, rows=300, gaps=gaps)
    sample.rewards[:] += 0.5 * sample.embeddings @ rng.normal(size=(DIMS, 4))
    sample.weights[:] = 20.0
    return sample


@settings(max_examples=8, deadline=None)
@given(seeds, st.permutations(range(4)), st.sampled_from([0.0, 0.3]))
def test_candidates_in_another_order_are_predicted_the_same(
    seed: int, order: list[int], gaps: float
) -> None:
    sample = planted_sample(seed, gaps)
    other = sample_of(sample.embeddings, sample.rewards[:, order], sample.weights)
    expected = fit_matrix_factorisation(sample, 0).predict(sample.embeddings, sample.labels)
    predicted = fit_matrix_factorisation(other, 0).predict(sample.embeddings, sample.labels)
    np.testing.assert_allclose(predicted, expected[:, order], atol=0.01)


def test_rows_of_no_weight_are_left_out() -> None:
    sample = planted_sample(6, gaps=0.2)
    sample.weights[::3] = 0.0
    kept = sample.take(sample.weights > 0)
    one, two = fit_matrix_factorisation(sample, 0), fit_matrix_factorisation(kept, 0)
    assert one.weights.tobytes() == two.weights.tobytes()
    assert one.bias.tobytes() == two.bias.tobytes()


def test_the_same_seed_gives_the_same_bytes_and_another_the_same_map() -> None:
    sample = planted_sample(7, gaps=0.2)
    one, two, other = (fit_matrix_factorisation(sample, seed) for seed in (0, 0, 1))
    assert one.weights.tobytes() == two.weights.tobytes()
    assert one.bias.tobytes() == two.bias.tobytes()
    assert one.weights.tobytes() != other.weights.tobytes()
    np.testing.assert_allclose(one.weights, other.weights, atol=0.01)


@pytest.mark.parametrize(
    ("rewards", "weight", "complaint"),
    [
        ([[NAN, NAN]] * 12, 1.0, "no row has the rewards of two candidates"),
        ([[0.5, NAN], [NAN, 1.0]] * 6, 1.0, "no row has the rewards of two candidates"),
        ([[0.5, 1.0]] * 12, 0.0, "no row has the rewards of two candidates"),
        ([[0.5]] * 12, 1.0, "no row has the rewards of two candidates"),
        ([[0.5, 0.5], [1.0, 1.0]] * 6, 1.0, "no row has two candidates of different rewards"),
    ],
)
def test_rewards_without_a_battle_are_refused(
    rewards: list[list[float]], weight: float, complaint: str
) -> None:
    embeddings = unit_vectors(12, np.random.default_rng(8))
    sample = sample_of(embeddings, np.array(rewards), np.full(12, weight))
    with pytest.raises(DataError, match=complaint):
        fit_matrix_factorisation(sample, 0)
