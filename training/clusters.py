"""Group queries by K-means, and describe the groups."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import silhouette_score

from regroup.artifact import ClusterRecord
from regroup.errors import DataError

FEWEST, MOST = 8, 16
"""The numbers of clusters tried, as in the method's description."""

_SILHOUETTE_SAMPLE = 2_000
_ROWS_PER_CLUSTER = 5
_QUANTILES = (0.5, 0.9, 0.99)
_TOP_TERMS = 8


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
        squares = (self.centroids**2).sum(axis=1)
        return np.argmin(squares - 2.0 * (embeddings @ self.centroids.T), axis=1)


def fit_clusters(
    embeddings: NDArray[np.float32], *, seed: int, n_clusters: int | None = None
) -> Clusters:
    """Fit K-means with the K in 8..16 of the highest silhouette (Rousseeuw 1987), or a given K.

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
    distinct = len({row.tobytes() for row in embeddings})
    if distinct < fewest:
        raise DataError(f"{distinct} different texts are too few for {fewest} clusters")
    most = min(MOST, distinct) if n_clusters is None else n_clusters
    sample = np.random.default_rng(seed).permutation(rows)[:_SILHOUETTE_SAMPLE]
    tried = []
    for k in range(fewest, most + 1):
        kmeans = KMeans(k, n_init=3, random_state=seed).fit(embeddings)
        score = float(silhouette_score(embeddings[sample], kmeans.labels_[sample]))
        tried.append(Clusters(kmeans, score))
    return max(tried, key=lambda clusters: clusters.silhouette)


def describe_clusters(
    clusters: Clusters, embeddings: NDArray[np.float32], texts: tuple[str, ...]
) -> tuple[ClusterRecord, ...]:
    """Return share, distances and typical words of each cluster."""
    labels = clusters.assign(embeddings)
    distances = np.linalg.norm(embeddings - clusters.centroids[labels], axis=1)
    vectorizer = TfidfVectorizer(max_features=20_000, sublinear_tf=True, stop_words="english")
    try:
        weights = vectorizer.fit_transform(texts)
        terms = vectorizer.get_feature_names_out()
    except ValueError:  # nothing but stop words
        weights, terms = None, np.array([])
    records = []
    for k in range(clusters.k):
        members = labels == k
        quantiles = np.quantile(distances[members], _QUANTILES) if members.any() else (0.0,) * 3
        top: list[str] = []
        if weights is not None and members.any():
            means = np.asarray(weights[np.flatnonzero(members)].mean(axis=0)).ravel()
            order = np.lexsort((np.arange(len(means)), -means))[:_TOP_TERMS]
            top = [str(terms[i]) for i in order if means[i] > 0]
        records.append(
            ClusterRecord(
                share=float(members.mean()),
                distance_quantiles={
                    f"p{round(q * 100)}": float(value)
                    for q, value in zip(_QUANTILES, quantiles, strict=True)
                },
                top_terms=tuple(top),
            )
        )
    return tuple(records)
