"""K-means over embeddings: the right K, the rule that serving uses, and fair descriptions."""

import copy
import mmap
import pickle
import tracemalloc
from collections.abc import Iterator, Sequence
from functools import cache
from typing import overload

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from regroup.domain.prediction import Heads
from regroup.errors import DataError
from regroup.kmeans_file import read_kmeans
from training.clusters import FEWEST, MOST, Clusters, describe_clusters, fit_clusters

DIMS = 16
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """As training does: several threads add in another order, and wait for each other."""
    with threadpool_limits(limits=1):
        yield


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


AT_ONCE = 100


@cache
def batched(n_clusters: int | None = 9) -> Clusters:
    embeddings, _ = blobs(9, rows_each=60)
    return fit_clusters(embeddings, seed=0, n_clusters=n_clusters, most_at_once=AT_ONCE)


@pytest.mark.parametrize("n_clusters", [None, 9])
def test_batches_find_what_all_rows_at_once_find(n_clusters: int | None) -> None:
    embeddings, labels = blobs(9, rows_each=60)
    found = batched(n_clusters).assign(embeddings)
    assert batched(n_clusters).silhouette > 0.8
    assert len({*zip(labels.tolist(), found.tolist(), strict=True)}) == batched(n_clusters).k == 9
    for cluster in range(9):
        mean = embeddings[found == cluster].mean(axis=0)
        np.testing.assert_allclose(batched(n_clusters).centroids[cluster], mean, atol=0.02)


def test_rows_that_were_not_drawn_to_start_from_move_the_centroids_too() -> None:
    embeddings, _ = blobs(9, rows_each=3_000)
    assert len(embeddings) > 20_000
    by_batches = fit_clusters(embeddings, seed=0, n_clusters=9, most_at_once=AT_ONCE)
    at_once = fit_clusters(embeddings, seed=0, n_clusters=9)
    order = at_once.assign(by_batches.centroids)
    assert sorted(order) == list(range(9))
    np.testing.assert_allclose(by_batches.centroids, at_once.centroids[order], atol=0.002)


def test_the_same_seed_gives_the_same_clusters_by_batches() -> None:
    embeddings, _ = blobs(9, rows_each=60)
    again = fit_clusters(embeddings, seed=0, n_clusters=9, most_at_once=AT_ONCE)
    assert pickle.dumps(again.kmeans) == pickle.dumps(batched().kmeans)
    assert again.silhouette == batched().silhouette


def test_clusters_of_batches_are_a_kmeans_to_scikit_learn_and_to_the_artifact() -> None:
    embeddings, kmeans = blobs(9, rows_each=60)[0], batched().kmeans
    whole = fit_clusters(embeddings, seed=0, n_clusters=9).kmeans
    assert type(kmeans) is type(whole)
    assert vars(kmeans).keys() == vars(whole).keys()
    assert kmeans.get_params() == whole.get_params() | {"n_init": 1, "max_iter": 1}
    np.testing.assert_array_equal(kmeans.predict(embeddings), kmeans.labels_)
    assert kmeans.labels_.dtype == whole.labels_.dtype
    assert kmeans.inertia_ == pytest.approx(whole.inertia_, rel=0.05)
    assert kmeans.transform(embeddings).shape == (len(embeddings), 9)
    bare = copy.copy(kmeans)
    del bare.labels_
    content = pickle.dumps(bare, 4)
    np.testing.assert_array_equal(read_kmeans(content), batched().centroids)
    again = pickle.loads(content)  # noqa: S301
    np.testing.assert_array_equal(again.predict(embeddings), kmeans.labels_)


def test_a_read_only_map_of_a_file_is_clustered_as_an_array_is() -> None:
    embeddings, _ = blobs(9, rows_each=60)
    mapped = mmap.mmap(-1, embeddings.nbytes)
    mapped.write(embeddings.tobytes())
    read_only = np.frombuffer(memoryview(mapped).toreadonly(), np.float32).reshape(embeddings.shape)
    by_batches = fit_clusters(read_only, seed=0, n_clusters=9, most_at_once=AT_ONCE)
    np.testing.assert_array_equal(by_batches.centroids, batched().centroids)
    np.testing.assert_array_equal(
        fit_clusters(read_only, seed=0, n_clusters=9).assign(read_only),
        fit_clusters(embeddings, seed=0, n_clusters=9).assign(embeddings),
    )


def test_texts_too_rare_to_be_drawn_are_counted_all_the_same() -> None:
    same = np.repeat(np.eye(DIMS, dtype=np.float32)[:1], 25_000, axis=0)
    same[-7:] = np.eye(DIMS, dtype=np.float32)[1:8]
    clusters = fit_clusters(same, seed=0, most_at_once=AT_ONCE)
    assert clusters.k == 8
    assert len(np.unique(clusters.assign(same))) == 8


def test_memory_to_assign_rows_does_not_grow_with_clusters_times_rows() -> None:
    embeddings = np.zeros((200_000, DIMS), np.float32)
    fitted(MOST)
    tracemalloc.start()
    try:
        labels = fitted(MOST).assign(embeddings)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < labels.nbytes + MOST * len(embeddings)


def test_rows_are_assigned_alike_in_any_company() -> None:
    embeddings, _ = blobs(9, rows_each=4_000)
    alone = [fitted().assign(embeddings[row : row + 1])[0] for row in range(0, 36_000, 997)]
    np.testing.assert_array_equal(fitted().assign(embeddings)[::997], alone)


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


class CountedTexts(Sequence[str]):
    """Texts that remember which of them were read."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts
        self.read: set[int] = set()

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        self.read.update(range(len(self))[index] if isinstance(index, slice) else [int(index)])
        return self._texts[index]


def test_of_many_texts_some_of_every_cluster_are_read_from_first_to_last() -> None:
    counts = [5] + [6_000] * 8
    labels = np.repeat(np.arange(9), counts)
    embeddings = np.eye(DIMS, dtype=np.float32)[labels]
    texts = CountedTexts([f"subject{label} and shared" for label in labels])
    records = describe_clusters(fitted(9), embeddings, texts)
    assert {r.top_terms[0] for r in records} == {f"subject{label}" for label in range(9)}
    assert len(texts.read) <= 20_000
    assert {*range(5), 5, len(texts) - 1} <= texts.read
    assert sum(record.share for record in records) == pytest.approx(1.0)
    assert min(record.share for record in records) == pytest.approx(5 / len(texts))


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("日本の首都は東京ですか。", {"日本", "首都", "東京"}),
        ("コンピューターの使い方を教えてください", {"コンピューター"}),
        ("機械学習とデータ分析の違いについて、わかりやすく", {"機械学習", "データ", "分析"}),
        ("GPT4でPythonのコードを書いてthe list", {"gpt4", "python", "コード", "list"}),
        ("人々がﾃﾞｰﾀを、サーバ・クライアント間で", {"人々", "ﾃﾞｰﾀ", "サーバ", "クライアント"}),
        ("らーーめんをください", set()),
        ("卵を茹でる", set()),
        (
            "How don't I sort x2 lists_of naïve cafés?",
            {"don", "sort", "x2", "lists_of", "naïve", "cafés"},
        ),
        ("달걀을 삶는 법", {"달걀을", "삶는"}),
    ],
)
def test_a_sentence_in_any_script_is_cut_into_its_telling_words(text: str, terms: set[str]) -> None:
    embeddings, _ = blobs(9)
    records = describe_clusters(fitted(), embeddings, (text,) * len(embeddings))
    assert {frozenset(record.top_terms) for record in records} == {frozenset(terms)}
