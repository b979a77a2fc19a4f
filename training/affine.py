"""Affine maps of an embedding, one per cluster: the form that every router is served in."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.dataset import Matrix

_CHUNK_ROWS = 8_192


@dataclass(frozen=True, slots=True)
class AffineMaps:
    """Rewards as `weights[cluster] @ embedding + bias[cluster]`."""

    weights: Matrix
    """(clusters, candidates, dims)"""
    bias: Matrix
    """(clusters, candidates)"""

    def predict(
        self, embeddings: NDArray[np.float32], labels: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Return the (rows, candidates) rewards of embeddings in these clusters."""
        predicted = np.empty((len(labels), self.bias.shape[1]))
        for k in range(len(self.bias)):
            members = np.flatnonzero(labels == k)
            for start in range(0, len(members), _CHUNK_ROWS):
                rows = members[start : start + _CHUNK_ROWS]
                predicted[rows] = embeddings[rows] @ self.weights[k].T + self.bias[k]
        return predicted


def constant_maps(means: NDArray[np.float64], n_clusters: int, dims: int) -> AffineMaps:
    """Predict every candidate's mean reward, whatever the query: the best single model's router.

    Args:
        means: (candidates,)
        n_clusters: the number of clusters.
        dims: the length of an embedding.
    """
    bias = np.repeat(means[None, :], n_clusters, axis=0)
    return AffineMaps(np.zeros((n_clusters, len(means), dims)), bias)


def weighted_means(values: Matrix, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (columns,) weighted means over the rows that are not gaps; NaN where none is."""
    seen = np.isfinite(values)
    mass = (weights[:, None] * seen).sum(axis=0)
    total = (weights[:, None] * np.where(seen, values, 0.0)).sum(axis=0)
    return np.divide(total, mass, out=np.full_like(total, np.nan), where=mass > 0)
