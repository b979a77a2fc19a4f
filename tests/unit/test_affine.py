"""Affine maps: every row by its own cluster's map, and means over what is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.affine import AffineMaps, constant_maps, weighted_means

DIMS, CLUSTERS, NAN = 6, 4, np.nan
seeds = st.integers(0, 2**32 - 1)


def random_maps(rng: np.random.Generator, candidates: int, dims: int = DIMS) -> AffineMaps:
    return AffineMaps(
        rng.normal(size=(CLUSTERS, candidates, dims)), rng.normal(size=(CLUSTERS, candidates))
    )


def vectors(rows: int, rng: np.random.Generator, dims: int = DIMS) -> NDArray[np.float32]:
    return rng.normal(size=(rows, dims)).astype(np.float32)


@settings(max_examples=50, deadline=None)
@given(seeds, st.integers(0, 20))
def test_many_rows_are_predicted_as_each_alone(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    maps, embeddings = random_maps(rng, 3), vectors(rows, rng)
    labels = rng.integers(CLUSTERS, size=rows)
    predicted = maps.predict(embeddings, labels)
    assert predicted.shape == (rows, 3)
    for row, label in enumerate(labels):
        alone = maps.weights[label] @ embeddings[row] + maps.bias[label]
        np.testing.assert_allclose(predicted[row], alone, rtol=1e-9, atol=1e-9)


def test_a_cluster_of_any_number_of_rows_is_predicted_to_its_last_row() -> None:
    rng = np.random.default_rng(0)
    maps, embeddings = random_maps(rng, 2, dims=2), vectors(20_000, rng, dims=2)
    labels = np.where(np.arange(20_000) % 10 == 0, 1, 3)
    expected = np.einsum("rcd,rd->rc", maps.weights[labels], embeddings) + maps.bias[labels]
    np.testing.assert_allclose(maps.predict(embeddings, labels), expected, atol=1e-9)


def test_constant_maps_predict_the_means_whatever_the_query() -> None:
    rng = np.random.default_rng(1)
    maps = constant_maps(np.array([0.25, 0.75]), CLUSTERS, DIMS)
    predicted = maps.predict(vectors(20, rng), rng.integers(CLUSTERS, size=20))
    assert maps.weights.shape == (CLUSTERS, 2, DIMS)
    np.testing.assert_array_equal(predicted, np.repeat([[0.25, 0.75]], 20, axis=0))


@pytest.mark.parametrize(
    ("values", "weights", "expected"),
    [
        ([[1.0], [0.0]], [0.75, 0.25], [0.75]),
        ([[1.0], [0.0]], [3.0, 1.0], [0.75]),
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
