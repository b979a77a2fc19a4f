"""K-means over embeddings: the right K, the rule that serving uses, and fair descriptions."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from regroup.domain.prediction import Heads
from regroup.errors import DataError
from training.clusters import FEWEST, MOST, Clusters, describe_clusters, fit_clusters

DIMS = 16
seeds = st.integers(0, 2**32 - 1)


def blobs(k: int, rows_each: int = 12) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Unit vectors close to `k` axes, and which axis each is close to."""
    labels = np.repeat(np.arange(k), rows_each)
    noise = np.random.default_rng(k).normal(scale=0.03, size=(len(labels), DIMS))
    points = np.eye(DIMS)[labels] + noise
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    return unit.astype(np.float32), labels


@cache
def fitted(k: int = 9, seed: int = 0) -> Clusters:
    return fit_clusters(blobs(k)[0], seed=seed)


def heads(clusters: Clusters) -> Heads:
    maps = np.zeros((clusters.k, 1, DIMS), np.float32)
    bias = np.zeros((clusters.k, 1), np.float32)
    return Heads(("a",), clusters.centroids, maps, bias, maps, bias)


@pytest.mark.parametrize("k", [FEWEST, 11, MOST])
def test_as_many_clusters_are_found_as_stand_apart(k: int) -> None:
    clusters = fitted(k)
    embeddings, labels = blobs(k)
    found = clusters.assign(embeddings)
    assert clusters.k == k
    assert clusters.silhouette > 0.8
    assert len({*zip(labels.tolist(), found.tolist(), strict=True)}) == k


@pytest.mark.parametrize("n_clusters", [2, 5, 20])
def test_a_given_number_of_clusters_is_honoured(n_clusters: int) -> None:
    assert fit_clusters(blobs(9)[0], seed=0, n_clusters=n_clusters).k == n_clusters


def test_the_same_seed_gives_the_same_clusters() -> None:
    again = fit_clusters(blobs(9)[0], seed=0)
    np.testing.assert_array_equal(again.centroids, fitted(9).centroids)
    assert again.silhouette == fitted(9).silhouette


@pytest.mark.parametrize(
    ("rows", "n_clusters", "complaint"),
    [
        (39, None, "39 rows are too few for 8 clusters: give at least 40"),
        (0, None, "0 rows are too few for 8 clusters: give at least 40"),
        (14, 3, "14 rows are too few for 3 clusters: give at least 15"),
        (100, 1, "1 clusters were asked for: at least 2 are needed"),
        (100, 0, "0 clusters were asked for: at least 2 are needed"),
        (100, -3, "-3 clusters were asked for: at least 2 are needed"),
    ],
)
def test_too_few_rows_or_clusters_are_refused(
    rows: int, n_clusters: int | None, complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        fit_clusters(blobs(9)[0][:rows], seed=0, n_clusters=n_clusters)


def test_forty_rows_are_enough() -> None:
    assert FEWEST <= fit_clusters(blobs(8, rows_each=5)[0], seed=0).k <= MOST


def test_copies_of_few_texts_are_refused() -> None:
    copies = np.repeat(np.eye(DIMS, dtype=np.float32)[:7], 20, axis=0)
    with pytest.raises(DataError, match="7 different texts are too few for 8 clusters"):
        fit_clusters(copies, seed=0)


def test_no_more_clusters_are_tried_than_there_are_texts() -> None:
    copies = np.repeat(np.eye(DIMS, dtype=np.float32)[:9], 20, axis=0)
    assert fit_clusters(copies, seed=0).k == 9


@settings(max_examples=50, deadline=None)
@given(seeds)
def test_training_assigns_as_scikit_learn_and_as_serving_does(seed: int) -> None:
    clusters = fitted()
    embeddings = np.random.default_rng(seed).normal(size=(40, DIMS)).astype(np.float32)
    distances = np.linalg.norm(embeddings[:, None] - clusters.centroids, axis=2)
    nearest = np.sort(distances, axis=1)
    clear = nearest[:, 1] - nearest[:, 0] > 1e-4  # ties may fall to either side by rounding
    assigned = clusters.assign(embeddings)
    served = [heads(clusters).assign(embedding)[0] for embedding in embeddings]
    assert clear.any()
    np.testing.assert_array_equal(assigned[clear], clusters.kmeans.predict(embeddings)[clear])
    np.testing.assert_array_equal(assigned[clear], np.array(served)[clear])


def test_each_training_row_is_assigned_to_the_cluster_it_was_fitted_in() -> None:
    embeddings, _ = blobs(9)
    np.testing.assert_array_equal(fitted().assign(embeddings), fitted().kmeans.labels_)


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(1, 60))
def test_shares_sum_to_one_and_distances_are_ordered(seed: int, rows: int) -> None:
    embeddings = np.random.default_rng(seed).normal(size=(rows, DIMS)).astype(np.float32)
    records = describe_clusters(fitted(), embeddings, ("some words",) * rows)
    assert len(records) == fitted().k
    assert sum(record.share for record in records) == pytest.approx(1.0)
    for record in records:
        assert list(record.distance_quantiles) == ["p50", "p90", "p99"]
        quantiles = list(record.distance_quantiles.values())
        assert quantiles == sorted(quantiles)
        assert (quantiles[0] > 0) == (record.share > 0)


def test_typical_words_come_from_the_clusters_own_texts() -> None:
    embeddings, labels = blobs(9)
    texts = tuple(f"the subject{label} and shared of it" for label in labels)
    records = describe_clusters(fitted(), embeddings, texts)
    for label in range(9):
        cluster = fitted().assign(embeddings[labels == label])[0]
        terms = records[cluster].top_terms
        assert terms[0] == f"subject{label}"
        assert set(terms) == {f"subject{label}", "shared"}


def test_at_most_eight_words_describe_a_cluster() -> None:
    embeddings, _ = blobs(9)
    texts = (" ".join(f"word{n}" for n in range(50)),) * len(embeddings)
    assert {len(r.top_terms) for r in describe_clusters(fitted(), embeddings, texts)} == {8}


@pytest.mark.parametrize("text", ["", "the and of", "?! ...", "\x00"])
def test_texts_without_a_telling_word_are_described_by_none(text: str) -> None:
    embeddings, _ = blobs(9)
    records = describe_clusters(fitted(), embeddings, (text,) * len(embeddings))
    assert {record.top_terms for record in records} == {()}


def test_a_text_without_a_telling_word_among_others_is_no_obstacle() -> None:
    embeddings, _ = blobs(9)
    texts = ("", *("garden",) * (len(embeddings) - 1))
    assert any(r.top_terms == ("garden",) for r in describe_clusters(fitted(), embeddings, texts))
