"""Softmax routers: who won is learned per cluster, how rewards compare is learned from them all."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import check_grad
from sklearn.linear_model import LogisticRegression

from regroup.errors import DataError
from training.affine import AffineMaps
from training.dataset import Matrix
from training.sample import Sample
from training.softmax import TEMPERATURE, SoftLabels, fit_kl, fit_softmax, linear_loss, rank_last

DIMS, CLUSTERS, NAN = 6, 3, np.nan
MANY = 1e7  # a weight of the rows that leaves the penalty without effect
FITS = (fit_softmax, fit_kl)
seeds = st.integers(0, 2**32 - 1)


def unit_vectors(rows: int, rng: np.random.Generator) -> NDArray[np.float32]:
    points = rng.normal(size=(rows, DIMS))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def sample_of(
    embeddings: NDArray[np.float32],
    rewards: Matrix,
    labels: NDArray[np.intp] | None = None,
    weights: NDArray[np.float64] | None = None,
) -> Sample:
    labels = np.arange(len(rewards)) % CLUSTERS if labels is None else labels
    weights = np.ones(len(rewards)) if weights is None else weights
    return Sample(embeddings, rewards, labels, CLUSTERS, weights)


def random_sample(seed: int, rows: int = 60, candidates: int = 4, gaps: float = 0.0) -> Sample:
    rng = np.random.default_rng(seed)
    rewards = rng.uniform(size=(rows, candidates))
    rewards[rng.uniform(size=rewards.shape) < gaps] = NAN
    return sample_of(unit_vectors(rows, rng), rewards)


def winners(rewards: Matrix) -> NDArray[np.intp]:
    return np.argmax(rewards, axis=1)


def centred(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    return np.asarray(values - values.mean(axis=axis, keepdims=True))


def by_direction(rows: int) -> Sample:
    """The first dimension says who is best, the other way around in cluster 1."""
    rng = np.random.default_rng(0)
    embeddings, labels = unit_vectors(rows, rng), np.arange(rows) % CLUSTERS
    first = (embeddings[:, 0] > 0) != (labels == 1)
    return sample_of(embeddings, np.where(first[:, None], [0.9, 0.2], [0.3, 0.8]), labels)


def test_heads_differ_by_cluster_where_the_winners_do() -> None:
    sample = by_direction(600)
    predicted = fit_softmax(sample, 0).predict(sample.embeddings, sample.labels)
    assert (winners(predicted) == winners(sample.rewards)).mean() > 0.97


def test_soft_labels_are_learned_from_a_direction_whatever_the_cluster() -> None:
    sample = by_direction(900)
    alike = sample.take(sample.labels != 1)
    maps = fit_kl(alike, 0)
    predicted = maps.predict(alike.embeddings, alike.labels)
    assert (winners(predicted) == winners(alike.rewards)).mean() > 0.97
    np.testing.assert_array_equal(maps.weights, maps.weights[:1].repeat(CLUSTERS, axis=0))
    np.testing.assert_array_equal(maps.bias, maps.bias[:1].repeat(CLUSTERS, axis=0))


@pytest.mark.parametrize("fit", FITS)
def test_maps_have_a_row_per_candidate_of_every_cluster(
    fit: Callable[[Sample, int], AffineMaps],
) -> None:
    maps = fit(random_sample(1, candidates=5, gaps=0.3), 0)
    assert maps.weights.shape == (CLUSTERS, 5, DIMS)
    assert maps.bias.shape == (CLUSTERS, 5)
    assert np.isfinite(maps.weights).all()
    assert np.isfinite(maps.bias).all()


@pytest.mark.parametrize("candidates", [2, 4])
def test_logits_are_those_of_logistic_regression(candidates: int) -> None:
    sample = random_sample(2, rows=150, candidates=candidates)
    predicted = fit_softmax(sample, 0).predict(sample.embeddings, sample.labels)
    for k in range(CLUSTERS):
        own = sample.labels == k
        oracle = LogisticRegression(max_iter=1_000)
        oracle.fit(sample.embeddings[own].astype(np.float64), winners(sample.rewards[own]))
        expected = oracle.predict_log_proba(sample.embeddings[own].astype(np.float64))
        np.testing.assert_allclose(
            centred(predicted[own], 1), centred(expected, 1), rtol=1e-5, atol=1e-5
        )


def test_a_tie_is_won_by_the_first() -> None:
    rng = np.random.default_rng(3)
    rewards = np.array([[0.2, 0.8, 0.8]] * 30)
    maps = fit_softmax(sample_of(unit_vectors(30, rng), rewards), 0)
    predicted = maps.predict(unit_vectors(99, rng), np.arange(99) % CLUSTERS)
    assert set(winners(predicted).tolist()) == {1}


@settings(max_examples=10, deadline=None)
@given(seeds, st.integers(0, 2))
def test_a_cluster_of_one_label_predicts_it_whatever_the_query(seed: int, label: int) -> None:
    rng = np.random.default_rng(seed)
    sample = random_sample(seed, candidates=3)
    sample.rewards[sample.labels == 1] = np.eye(3)[label]
    predicted = fit_softmax(sample, 0).predict(unit_vectors(50, rng), np.ones(50, np.intp))
    assert set(winners(predicted).tolist()) == {label}


def test_one_row_is_enough_to_be_a_cluster_of_one_label() -> None:
    rng = np.random.default_rng(14)
    sample = random_sample(14, candidates=3)
    labels = np.where(np.arange(60) == 7, 1, 0)
    alone = winners(sample.rewards)[7]
    maps = fit_softmax(sample_of(sample.embeddings, sample.rewards, labels), 0)
    predicted = maps.predict(unit_vectors(50, rng), np.ones(50, np.intp))
    assert set(winners(predicted).tolist()) == {alone}


def test_a_cluster_whose_rows_have_no_weight_is_one_without_rows() -> None:
    sample = random_sample(15)
    sample.weights[sample.labels == 1] = 0.0
    without = sample.take(sample.labels != 1)
    np.testing.assert_array_equal(fit_softmax(sample, 0).weights, fit_softmax(without, 0).weights)


def test_a_cluster_without_rows_takes_the_head_of_all() -> None:
    sample = random_sample(4, rows=90)
    labels = np.where(sample.labels == 2, 0, sample.labels)
    maps = fit_softmax(sample_of(sample.embeddings, sample.rewards, labels), 0)
    everyone = sample_of(sample.embeddings, sample.rewards, np.zeros(90, np.intp))
    np.testing.assert_array_equal(maps.weights[2], fit_softmax(everyone, 0).weights[0])
    np.testing.assert_array_equal(maps.bias[2], fit_softmax(everyone, 0).bias[0])
    assert not np.allclose(maps.weights[0], maps.weights[2])


@settings(max_examples=50, deadline=None)
@given(seeds)
def test_what_is_ranked_last_is_last_for_every_query(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights, bias = rng.normal(scale=5, size=(4, DIMS)), rng.normal(size=4)
    before, mask = weights.copy(), np.array([False, True, False, True])
    rank_last(weights, bias, mask)
    # The queries that like the others least are among those asked.
    liked_least = -before / np.linalg.norm(before, axis=1, keepdims=True)
    scores = np.vstack([unit_vectors(20, rng), liked_least]) @ weights.T + bias
    assert (scores[:, mask].max(axis=1) < scores[:, ~mask].min(axis=1)).all()
    np.testing.assert_array_equal(weights[~mask], before[~mask])


def test_a_candidate_that_never_won_in_a_cluster_comes_last_there() -> None:
    sample = random_sample(5, rows=120)
    sample.rewards[sample.labels == 1, 2] = 0.0
    maps = fit_softmax(sample, 0)
    embeddings = unit_vectors(200, np.random.default_rng(5))
    there = maps.predict(embeddings, np.ones(200, np.intp))
    elsewhere = maps.predict(embeddings, np.zeros(200, np.intp))
    assert (np.argmin(there, axis=1) == 2).all()
    assert (winners(elsewhere) == 2).any()


def test_a_candidate_never_compared_comes_last() -> None:
    sample = random_sample(6, rows=120)
    sample.rewards[:, 1] = NAN
    sample.rewards[0] = [NAN, 1.0, NAN, NAN]
    predicted = fit_kl(sample, 0).predict(sample.embeddings, sample.labels)
    assert (np.argmin(predicted, axis=1) == 1).all()


@pytest.mark.parametrize("gaps", [0.0, 0.4])
def test_planted_preferences_are_recovered_from_soft_labels(gaps: float) -> None:
    rng = np.random.default_rng(7)
    planted, shift = rng.normal(size=(4, DIMS)), rng.normal(size=4)
    embeddings = unit_vectors(300, rng)
    rewards = 0.5 + TEMPERATURE * (embeddings @ planted.T + shift)
    rewards[rng.uniform(size=rewards.shape) < gaps] = NAN
    maps = fit_kl(sample_of(embeddings, rewards, weights=np.full(300, MANY)), 0)
    np.testing.assert_allclose(centred(maps.weights[0], 0), centred(planted, 0), atol=0.02)
    np.testing.assert_allclose(centred(maps.bias[0], 0), centred(shift, 0), atol=0.02)


def test_soft_labels_are_distributions_over_what_was_scored() -> None:
    rewards = np.array([[1.0, 0.9, NAN], [0.5, 0.5, 0.5]])
    labels = SoftLabels.of(sample_of(unit_vectors(2, np.random.default_rng(8)), rewards))
    lead = 1 / (1 + np.exp(-0.1 / TEMPERATURE))
    np.testing.assert_allclose(labels.targets, [[lead, 1 - lead, NAN], [1 / 3] * 3])


@settings(max_examples=15, deadline=None)
@given(seeds, st.sampled_from([0.0, 0.4]))
def test_the_gradient_is_the_slope_of_the_loss(seed: int, gaps: float) -> None:
    sample = random_sample(seed, rows=30, gaps=gaps)
    rng = np.random.default_rng(seed)
    sample.weights[:] = rng.uniform(0.5, 3.0, size=30)
    labels = SoftLabels.of(sample.take(np.isfinite(sample.rewards).any(axis=1)))
    point = rng.normal(size=4 * (DIMS + 1))
    error = check_grad(lambda p: labels.loss(p)[0], lambda p: labels.loss(p)[1], point)
    assert error < 1e-5


def test_a_loss_over_many_rows_is_summed_without_omission() -> None:
    rng = np.random.default_rng(9)
    embeddings, slopes = unit_vectors(20_000, rng), rng.normal(size=(20_000, 2))
    weights, bias = rng.normal(size=(2, DIMS)), rng.normal(size=2)

    def row_loss(scores: Matrix, rows: slice) -> tuple[float, Matrix]:
        return float((scores * slopes[rows]).sum()), slopes[rows]

    loss, slope, bias_slope = linear_loss(embeddings, weights, bias, row_loss)
    assert loss == pytest.approx(float(((embeddings @ weights.T + bias) * slopes).sum()))
    np.testing.assert_allclose(slope, slopes.T @ embeddings)
    np.testing.assert_allclose(bias_slope, slopes.sum(axis=0))


@pytest.mark.parametrize("fit", FITS)
def test_rows_of_no_weight_and_rows_without_rewards_are_left_out(
    fit: Callable[[Sample, int], AffineMaps],
) -> None:
    sample = random_sample(10, rows=120)
    sample.weights[::4] = 0.0
    sample.rewards[1::4] = NAN
    kept = sample.take(np.arange(120) % 4 > 1)
    assert fit(sample, 0).weights.tobytes() == fit(kept, 0).weights.tobytes()
    assert fit(sample, 0).bias.tobytes() == fit(kept, 0).bias.tobytes()


@pytest.mark.parametrize("fit", FITS)
def test_a_weight_of_two_counts_as_two_rows(fit: Callable[[Sample, int], AffineMaps]) -> None:
    sample = random_sample(11, rows=90)
    twice = sample.take(np.concatenate([np.arange(90), np.arange(30)]))
    sample.weights[:30] = 2.0
    np.testing.assert_allclose(fit(sample, 0).weights, fit(twice, 0).weights, atol=5e-3)
    np.testing.assert_allclose(fit(sample, 0).bias, fit(twice, 0).bias, atol=5e-3)


@pytest.mark.parametrize("fit", FITS)
@settings(max_examples=10, deadline=None)
@given(seed=seeds, order=st.permutations(range(4)), gaps=st.sampled_from([0.0, 0.3]))
def test_candidates_in_another_order_are_predicted_the_same(
    fit: Callable[[Sample, int], AffineMaps], seed: int, order: list[int], gaps: float
) -> None:
    sample = random_sample(seed, gaps=gaps)
    other = sample_of(sample.embeddings, sample.rewards[:, order])
    expected = fit(sample, 0).predict(sample.embeddings, sample.labels)[:, order]
    predicted = fit(other, 0).predict(sample.embeddings, sample.labels)
    np.testing.assert_allclose(predicted, expected, atol=0.01)


@pytest.mark.parametrize("fit", FITS)
def test_the_same_sample_gives_the_same_bytes(fit: Callable[[Sample, int], AffineMaps]) -> None:
    one, two = (fit(random_sample(12, gaps=0.2), 0) for _ in range(2))
    assert one.weights.tobytes() == two.weights.tobytes()
    assert one.bias.tobytes() == two.bias.tobytes()


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(
    ("rewards", "weight"),
    [
        ([[NAN, NAN]] * 12, 1.0),
        ([[0.5, NAN], [NAN, 1.0]] * 6, 1.0),
        ([[0.5, 1.0]] * 12, 0.0),
        ([[0.5]] * 12, 1.0),
    ],
)
def test_rewards_that_compare_no_candidates_are_refused(
    fit: Callable[[Sample, int], AffineMaps], rewards: list[list[float]], weight: float
) -> None:
    embeddings = unit_vectors(12, np.random.default_rng(13))
    sample = sample_of(embeddings, np.array(rewards), weights=np.full(12, weight))
    with pytest.raises(DataError, match="no row has the rewards of two candidates"):
        fit(sample, 0)
