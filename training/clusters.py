"""Group queries by K-means, and describe the groups."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import silhouette_score

from regroup.artifact import ClusterRecord
from regroup.errors import DataError

FEWEST, MOST = 8, 16
"""The numbers of clusters tried, as in the method's description."""

MOST_AT_ONCE = 50_000
"""Rows up to which K-means looks at all of them in every step; beyond, at batches."""

_SWEEP_ROWS = 20_000
_BATCH_ROWS = 10_240
_BATCH_PASSES = 3
_CHUNK_ROWS = 16_384
_SILHOUETTE_SAMPLE = 2_000
_ROWS_PER_CLUSTER = 5
_QUANTILES = (0.5, 0.9, 0.99)
_TOP_TERMS = 8
_DESCRIBED_TEXTS = 20_000

_HIRAGANA = "\u3041-\u309f"
_KATAKANA = "\u30a1-\u30fa\u31f0-\u31ff\uff66-\uff6f\uff71-\uff9d"
_KATAKANA_MARKS = "\u30fc-\u30fe\uff70\uff9e\uff9f"
_KANJI = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003347f"

TERM = (
    f"[{_KANJI}]{{2,}}"
    f"|[{_KATAKANA}][{_KATAKANA}{_KATAKANA_MARKS}]+"
    f"|[^\\W{_HIRAGANA}{_KATAKANA}{_KATAKANA_MARKS}{_KANJI}]{{2,}}"
)
"""A word that may describe a cluster, as a regular expression.

Japanese puts no spaces between words, but mostly writes nouns in kanji or katakana and what binds
them in hiragana: runs of the first two are terms, hiragana ends them. Other scripts are cut as
scikit-learn cuts them, into runs of two or more letters and digits.
"""


@dataclass(frozen=True, slots=True)
class Clusters:
    """A fitted K-means and how well its groups stand apart."""

    kmeans: KMeans
    silhouette: float

    @property
    def k(self) -> int:
        """The number of clusters."""
        return len(self.kmeans.cluster_centers_)

    @property
    def centroids(self) -> NDArray[np.float32]:
        """The (clusters, dims) centroids."""
        return np.asarray(self.kmeans.cluster_centers_, np.float32)

    def assign(self, embeddings: NDArray[np.float32]) -> NDArray[np.intp]:
        """Return the (rows,) cluster of each embedding, by the rule that serving uses."""
        centroids = self.centroids
        squares = (centroids**2).sum(axis=1)
        labels = np.empty(len(embeddings), np.intp)
        for rows in _chunks(len(embeddings)):
            labels[rows] = np.argmin(squares - 2.0 * (embeddings[rows] @ centroids.T), axis=1)
        return labels


def fit_clusters(
    embeddings: NDArray[np.float32],
    *,
    seed: int,
    n_clusters: int | None = None,
    most_at_once: int = MOST_AT_ONCE,
) -> Clusters:
    """Fit K-means with the K in 8..16 of the highest silhouette (Rousseeuw 1987), or a given K.

    Of more than `most_at_once` rows, a sample decides K and where centroids start, and batches of
    all rows move them (Sculley 2010).

    Args:
        embeddings: (rows, dims); may be a memory map.
        seed: decides starting points and draws.
        n_clusters: K, where it is given.
        most_at_once: rows up to which every step of K-means looks at all of them.

    Raises:
        DataError: too few rows to form groups.
    """
    rows = len(embeddings)
    fewest = FEWEST if n_clusters is None else n_clusters
    if fewest < 2:
        raise DataError(f"{fewest} clusters were asked for: at least 2 are needed")
    if rows < fewest * _ROWS_PER_CLUSTER:
        raise DataError(
            f"{rows} rows are too few for {fewest} clusters: "
            f"give at least {fewest * _ROWS_PER_CLUSTER}"
        )
    different = _different(embeddings, MOST if n_clusters is None else n_clusters)
    if len(different) < fewest:
        raise DataError(f"{len(different)} different texts are too few for {fewest} clusters")
    tried = range(fewest, len(different) + 1)
    if rows <= most_at_once:
        return _best(embeddings, tried, seed)
    drawn = np.random.default_rng(seed).permutation(rows)[:_SWEEP_ROWS]
    # With the different ones, no sample can hold fewer texts than there are clusters.
    start = _best(embeddings[np.union1d(drawn, different)], tried, seed)
    return _refine(start, embeddings, seed)


def describe_clusters(
    clusters: Clusters, embeddings: NDArray[np.float32], texts: Sequence[str]
) -> tuple[ClusterRecord, ...]:
    """Return share, distances and typical words of each cluster.

    Words are counted in a bounded number of texts, spread evenly over each cluster.
    """
    labels = clusters.assign(embeddings)
    distances = _distances(embeddings, clusters.centroids, labels)
    words = _top_terms(texts, labels, clusters.k)
    records = []
    for k in range(clusters.k):
        members = labels == k
        quantiles = np.quantile(distances[members], _QUANTILES) if members.any() else (0.0,) * 3
        records.append(
            ClusterRecord(
                share=float(members.mean()),
                distance_quantiles={
                    f"p{round(q * 100)}": float(value)
                    for q, value in zip(_QUANTILES, quantiles, strict=True)
                },
                top_terms=words[k],
            )
        )
    return tuple(records)


def _different(embeddings: NDArray[np.float32], most: int) -> NDArray[np.intp]:
    """Return the index of the first `most` rows that differ from each other, or of all such."""
    found: dict[bytes, int] = {}
    for row, embedding in enumerate(embeddings):
        found.setdefault(embedding.tobytes(), row)
        if len(found) == most:
            break
    return np.array(list(found.values()), np.intp)


def _best(embeddings: NDArray[np.float32], tried: range, seed: int) -> Clusters:
    sample = _silhouette_sample(len(embeddings), seed)
    fitted = []
    for k in tried:
        kmeans = KMeans(k, n_init=3, random_state=seed).fit(embeddings)
        score = _silhouette(embeddings[sample], kmeans.labels_[sample])
        fitted.append(Clusters(kmeans, score))
    return max(fitted, key=lambda clusters: clusters.silhouette)


def _refine(start: Clusters, embeddings: NDArray[np.float32], seed: int) -> Clusters:
    """Move centroids by batches of all rows."""
    batches = MiniBatchKMeans(
        start.k,
        init=start.centroids,
        n_init=1,
        batch_size=_BATCH_ROWS,
        max_iter=_BATCH_PASSES,
        # Small clusters stay: they were found, and did not come of a bad start.
        reassignment_ratio=0.0,
        compute_labels=False,
        random_state=seed,
    ).fit(embeddings)
    clusters = Clusters(_as_kmeans(batches.cluster_centers_, seed), start.silhouette)
    kmeans, labels = clusters.kmeans, clusters.assign(embeddings)
    kmeans.labels_ = labels.astype(np.int32)
    kmeans.inertia_ = float((_distances(embeddings, clusters.centroids, labels) ** 2).sum())
    sample = np.sort(_silhouette_sample(len(embeddings), seed))
    return Clusters(kmeans, _silhouette(embeddings[sample], labels[sample]))


def _as_kmeans(centroids: NDArray[np.float32], seed: int) -> KMeans:
    """Return a K-means of these centroids: the artifact's reader knows no other class."""
    # Fitted on its own centroids it stays where it is, and has every attribute that its version
    # of scikit-learn wants.
    kmeans = KMeans(len(centroids), init=centroids, n_init=1, max_iter=1).fit(centroids)
    return kmeans.set_params(init="k-means++", random_state=seed)


def _silhouette_sample(rows: int, seed: int) -> NDArray[np.intp]:
    return np.random.default_rng(seed).permutation(rows)[:_SILHOUETTE_SAMPLE]


def _silhouette(embeddings: NDArray[np.float32], labels: NDArray[np.integer]) -> float:
    if len(np.unique(labels)) < 2:
        return 0.0  # one group holds nearly all rows
    return float(silhouette_score(embeddings, labels))


def _distances(
    embeddings: NDArray[np.float32], centroids: NDArray[np.float32], labels: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Return the (rows,) distance of each embedding to its cluster's centroid."""
    distances = np.empty(len(embeddings), np.float32)
    for rows in _chunks(len(embeddings)):
        distances[rows] = np.linalg.norm(embeddings[rows] - centroids[labels[rows]], axis=1)
    return distances


def _top_terms(texts: Sequence[str], labels: NDArray[np.intp], k: int) -> list[tuple[str, ...]]:
    """Return the terms of the highest mean TF-IDF in each cluster's texts."""
    read = _described(labels, k)
    vectorizer = TfidfVectorizer(
        max_features=20_000, sublinear_tf=True, stop_words="english", token_pattern=TERM
    )
    try:
        weights = vectorizer.fit_transform(texts[row] for row in read)
    except ValueError:  # nothing but stop words
        return [()] * k
    terms = vectorizer.get_feature_names_out()
    found = []
    for cluster in range(k):
        members = np.flatnonzero(labels[read] == cluster)
        top: tuple[str, ...] = ()
        if len(members):
            means = np.asarray(weights[members].mean(axis=0)).ravel()
            order = np.lexsort((np.arange(len(means)), -means))[:_TOP_TERMS]
            top = tuple(str(terms[i]) for i in order if means[i] > 0)
        found.append(top)
    return found


def _described(labels: NDArray[np.intp], k: int) -> NDArray[np.intp]:
    """Return the index of the texts whose words are counted: all, or evenly of each cluster."""
    if len(labels) <= _DESCRIBED_TEXTS:
        return np.arange(len(labels))
    drawn = []
    for cluster in range(k):
        members = np.flatnonzero(labels == cluster)
        n = min(len(members), _DESCRIBED_TEXTS // k)
        drawn.append(members[np.linspace(0, len(members) - 1, n).astype(np.intp)])
    return np.sort(np.concatenate(drawn))


def _chunks(rows: int) -> Iterator[slice]:
    for start in range(0, rows, _CHUNK_ROWS):
        yield slice(start, start + _CHUNK_ROWS)
