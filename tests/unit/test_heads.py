"""Fitting rewards: what was planted is found, what is noise is not, and what is served is that."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from regroup.errors import ArtifactIncompatibleError, DataError
from training.dataset import Matrix
from training.heads import (
    FALLBACK_TOKENS,
    AffineMaps,
    constant_maps,
    export_heads,
    fit_lengths,
    fit_ridge_cluster,
    weighted_means,
)

DIMS, CLUSTERS, NAN = 6, 4, np.nan
seeds = st.integers(0, 2**32 - 1)


def unit_vectors(rows: int, rng: np.random.Generator) -> NDArray[np.float32]:
    points = rng.normal(size=(rows, DIMS))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def column(values: NDArray[np.float64]) -> Matrix:
    return values[:, None]


def test_a_planted_linear_map_is_recovered() -> None:
    rng = np.random.default_rng(0)
    embeddings = unit_vectors(400, rng)
    planted, shift = rng.normal(size=(2, DIMS)), np.array([0.4, 0.7])
    rewards = embeddings @ planted.T + shift
    labels = rng.integers(CLUSTERS, size=400)
    maps = fit_ridge_cluster(embeddings, rewards, labels, CLUSTERS, seed=0)
    for k in range(CLUSTERS):
        np.testing.assert_allclose(maps.weights[k], planted, atol=0.01)
        np.testing.assert_allclose(maps.bias[k], shift, atol=0.01)


def test_planted_offsets_of_clusters_are_approached() -> None:
    rng = np.random.default_rng(1)
    embeddings, labels = unit_vectors(800, rng), rng.integers(CLUSTERS, size=800)
    offsets = np.array([-0.3, -0.1, 0.1, 0.3])
    rewards = column(0.5 + offsets[labels] + rng.normal(scale=0.1, size=800))
    maps = fit_ridge_cluster(embeddings, rewards, labels, CLUSTERS, seed=0)
    np.testing.assert_allclose(maps.bias[:, 0] - maps.bias[:, 0].mean(), offsets, atol=0.04)


def test_corrections_for_noise_shrink_toward_none() -> None:
    # Averages over several sets of pure noise: a single one may look like a signal.
    corrections, raw = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        embeddings, labels = unit_vectors(160, rng), rng.integers(CLUSTERS, size=160)
        noise = rng.normal(0.5, 0.2, size=160)
        maps = fit_ridge_cluster(embeddings, column(noise), labels, CLUSTERS, seed=0)
        bias = maps.bias[:, 0]
        corrections.append(np.abs(bias - bias.mean()).mean())
        means = np.array([noise[labels == k].mean() for k in range(CLUSTERS)])
        raw.append(np.abs(means - noise.mean()).mean())
    assert np.mean(corrections) < 0.4 * np.mean(raw)


def test_a_cluster_without_a_row_gets_no_correction() -> None:
    rng = np.random.default_rng(2)
    embeddings, labels = unit_vectors(300, rng), rng.integers(CLUSTERS, size=300)
    offsets = np.array([-0.3, 0.3, -0.3, 0.3])
    rewards = column(0.5 + offsets[labels])
    maps = fit_ridge_cluster(embeddings, rewards, labels, CLUSTERS + 1, seed=0)
    assert np.isfinite(maps.bias).all()
    assert abs(maps.bias[CLUSTERS, 0] - 0.5) < 0.1


def test_a_gap_takes_nothing_from_the_other_candidates() -> None:
    rng = np.random.default_rng(3)
    embeddings, labels = unit_vectors(200, rng), rng.integers(CLUSTERS, size=200)
    rewards = rng.uniform(size=(200, 2))
    gaps = rewards.copy()
    gaps[::2, 0] = NAN
    with_gaps = fit_ridge_cluster(embeddings, gaps, labels, CLUSTERS, seed=0)
    without = fit_ridge_cluster(embeddings, rewards, labels, CLUSTERS, seed=0)
    half = fit_ridge_cluster(embeddings[1::2], rewards[1::2], labels[1::2], CLUSTERS, seed=0)
    np.testing.assert_allclose(with_gaps.bias[:, 1], without.bias[:, 1])
    np.testing.assert_allclose(with_gaps.weights[:, 1], without.weights[:, 1], rtol=1e-6)
    np.testing.assert_allclose(with_gaps.bias[:, 0], half.bias[:, 0])
    np.testing.assert_allclose(with_gaps.weights[:, 0], half.weights[:, 0])


@pytest.mark.parametrize("scored", [0, 9])
def test_too_few_rewards_are_refused(scored: int) -> None:
    rng = np.random.default_rng(4)
    rewards = rng.uniform(size=(40, 2))
    rewards[scored:, 1] = NAN
    with pytest.raises(DataError, match=f"candidate 1 has {scored} rewards: at least 10"):
        fit_ridge_cluster(unit_vectors(40, rng), rewards, np.zeros(40, np.intp), CLUSTERS, seed=0)


def random_maps(rng: np.random.Generator, candidates: int) -> AffineMaps:
    return AffineMaps(
        rng.normal(size=(CLUSTERS, candidates, DIMS)), rng.normal(size=(CLUSTERS, candidates))
    )


@settings(max_examples=50, deadline=None)
@given(seeds, st.integers(1, 4))
def test_what_is_served_predicts_what_was_fitted(seed: int, candidates: int) -> None:
    rng = np.random.default_rng(seed)
    maps, centroids = random_maps(rng, candidates), unit_vectors(CLUSTERS, rng)
    log_tokens = rng.uniform(0, 8, size=candidates)
    names = tuple("abcd"[:candidates])
    heads = export_heads(maps, log_tokens, centroids, names)
    for embedding in unit_vectors(5, rng):
        served = heads.predict(embedding)
        label = np.array([served.cluster])
        expected = maps.predict(embedding[None], label)[0]
        assert tuple(served.rewards) == names
        np.testing.assert_allclose(list(served.rewards.values()), expected, atol=1e-5)
        np.testing.assert_allclose(
            list(served.output_tokens.values()), np.exp(log_tokens), rtol=1e-4
        )


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_many_rows_are_predicted_as_each_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    maps, embeddings = random_maps(rng, 3), unit_vectors(7, rng)
    labels = rng.integers(CLUSTERS, size=7)
    predicted = maps.predict(embeddings, labels)
    for row, label in enumerate(labels):
        alone = maps.weights[label] @ embeddings[row] + maps.bias[label]
        np.testing.assert_allclose(predicted[row], alone, atol=1e-6)


def test_constant_maps_predict_weighted_means_whatever_the_query() -> None:
    rng = np.random.default_rng(5)
    rewards = np.array([[1.0, 0.2], [0.0, NAN], [0.5, 0.4]])
    maps = constant_maps(rewards, np.array([0.5, 0.25, 0.25]), CLUSTERS, DIMS)
    predicted = maps.predict(unit_vectors(20, rng), rng.integers(CLUSTERS, size=20))
    means = [0.5 + 0.125, (0.5 * 0.2 + 0.25 * 0.4) / 0.75]
    np.testing.assert_allclose(predicted, np.repeat([means], 20, axis=0))


def test_constant_maps_of_a_candidate_never_scored_are_not_exported() -> None:
    rewards = np.array([[1.0, NAN], [0.5, NAN]])
    maps = constant_maps(rewards, np.full(2, 0.5), CLUSTERS, DIMS)
    centroids = unit_vectors(CLUSTERS, np.random.default_rng(6))
    with pytest.raises(ArtifactIncompatibleError, match="not finite"):
        export_heads(maps, np.zeros(2), centroids, ("a", "b"))


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([[10.0], [1000.0]], [100.0]),  # the geometric mean
        ([[NAN], [50.0]], [50.0]),
        ([[0.0], [0.0]], [1.0]),  # an empty answer counts as one token
        ([[NAN], [NAN]], [FALLBACK_TOKENS]),
        ([[NAN, 8.0], [NAN, 2.0]], [FALLBACK_TOKENS, 4.0]),
    ],
)
def test_lengths_are_mean_logarithms_or_a_constant(
    tokens: list[list[float]], expected: list[float]
) -> None:
    np.testing.assert_allclose(np.exp(fit_lengths(np.array(tokens))), expected)


@pytest.mark.parametrize(
    ("values", "weights", "expected"),
    [
        ([[1.0], [0.0]], [0.75, 0.25], [0.75]),
        ([[1.0], [NAN], [0.0]], [0.25, 0.5, 0.25], [0.5]),
        ([[NAN], [NAN]], [0.5, 0.5], [NAN]),
        ([[1.0, NAN], [NAN, 0.5]], [0.9, 0.1], [1.0, 0.5]),
        ([[1.0], [NAN]], [0.0, 1.0], [NAN]),
    ],
)
def test_weighted_means_are_over_what_is_known(
    values: list[list[float]], weights: list[float], expected: list[float]
) -> None:
    np.testing.assert_allclose(weighted_means(np.array(values), np.array(weights)), expected)
