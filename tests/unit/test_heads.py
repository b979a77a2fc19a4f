"""Heads: what is served predicts what was fitted, for whatever router and length model."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from regroup.errors import ArtifactIncompatibleError, DataError
from training.affine import AffineMaps, constant_maps, weighted_means
from training.crossval import ClosedFormFits, assign_folds
from training.dataset import Matrix
from training.heads import export_heads
from training.lengths import Lengths
from training.ridge import CLOSED_FORM
from training.sample import Sample

DIMS, CLUSTERS, NAN = 6, 4, np.nan
seeds = st.integers(0, 2**32 - 1)


def unit_vectors(rows: int, rng: np.random.Generator) -> NDArray[np.float32]:
    points = rng.normal(size=(rows, DIMS))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def constant_lengths(tokens: NDArray[np.float64]) -> Lengths:
    return Lengths(np.zeros((len(tokens), DIMS)), np.log(tokens))


def fit(
    router: str, embeddings: NDArray[np.float32], rewards: Matrix, labels: NDArray[np.intp]
) -> AffineMaps:
    rows = len(labels)
    sample = Sample(embeddings, rewards, labels, CLUSTERS, np.ones(rows))
    folds = assign_folds(range(rows), np.full(rows, "all"), seed=0)
    return ClosedFormFits.of(sample, folds, ["a", "b"]).maps(router)


@settings(max_examples=50, deadline=None)
@given(seeds, st.integers(1, 4))
def test_what_is_served_predicts_what_was_fitted(seed: int, candidates: int) -> None:
    rng = np.random.default_rng(seed)
    maps = AffineMaps(
        rng.normal(size=(CLUSTERS, candidates, DIMS)), rng.normal(size=(CLUSTERS, candidates))
    )
    lengths = Lengths(rng.normal(size=(candidates, DIMS)), rng.uniform(-1, 8, size=candidates))
    names = tuple("abcd"[:candidates])
    heads = export_heads(maps, lengths, unit_vectors(CLUSTERS, rng), names)
    for embedding in unit_vectors(5, rng):
        served = heads.predict(embedding)
        expected = maps.predict(embedding[None], np.array([served.cluster]))[0]
        tokens = lengths.tokens(embedding[None])[0]
        assert tuple(served.rewards) == tuple(served.output_tokens) == names
        np.testing.assert_allclose(list(served.rewards.values()), expected, atol=1e-5)
        np.testing.assert_allclose(list(served.output_tokens.values()), tokens, rtol=1e-4)


@pytest.mark.parametrize("router", CLOSED_FORM)
def test_a_planted_map_is_served_by_every_router_that_can_say_it(router: str) -> None:
    rng = np.random.default_rng(0)
    embeddings, labels = unit_vectors(600, rng), rng.integers(CLUSTERS, size=600)
    offsets = np.array([-0.2, -0.1, 0.1, 0.2]) * (router != "pooled-ridge")
    planted = rng.normal(size=(2, DIMS)) * (router != "cluster-mean")
    shift = np.array([0.4, 0.7])
    rewards = embeddings @ planted.T + shift + offsets[labels, None]
    maps = fit(router, embeddings, rewards, labels)
    heads = export_heads(
        maps, constant_lengths(np.array([5.0, 9.0])), unit_vectors(CLUSTERS, rng), ("a", "b")
    )
    for embedding in unit_vectors(20, rng):
        served = heads.predict(embedding)
        expected = planted @ embedding + shift + offsets[served.cluster]
        np.testing.assert_allclose(list(served.rewards.values()), expected, atol=0.06)


def test_a_candidate_with_too_few_rewards_is_named() -> None:
    rng = np.random.default_rng(4)
    rewards = rng.uniform(size=(40, 2))
    rewards[9:, 1] = NAN
    with pytest.raises(DataError, match="b has 9 rewards: at least 10"):
        fit("ridge-cluster", unit_vectors(40, rng), rewards, np.zeros(40, np.intp))


def test_heads_are_small_floats() -> None:
    rng = np.random.default_rng(5)
    maps = constant_maps(np.array([0.5, 0.25]), CLUSTERS, DIMS)
    lengths = Lengths(rng.normal(size=(2, DIMS)), np.array([3.0, 4.0]))
    heads = export_heads(maps, lengths, unit_vectors(CLUSTERS, rng), ("a", "b"))
    for part in (heads.weights, heads.bias, heads.token_weights, heads.token_bias):
        assert part.dtype == np.float32


def test_constant_maps_of_a_candidate_never_scored_are_not_exported() -> None:
    means = weighted_means(np.array([[1.0, NAN], [0.5, NAN]]), np.full(2, 0.5))
    centroids = unit_vectors(CLUSTERS, np.random.default_rng(6))
    with pytest.raises(ArtifactIncompatibleError, match="not finite"):
        export_heads(
            constant_maps(means, CLUSTERS, DIMS),
            constant_lengths(np.ones(2)),
            centroids,
            ("a", "b"),
        )
