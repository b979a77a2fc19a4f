"""A router that asks the nearest queries: a yardstick that cannot be served."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regroup.errors import DataError
from training.affine import weighted_means
from training.dataset import Matrix
from training.sample import Sample

NEIGHBOURS = 80
"""Queries whose rewards are averaged, where there are as many."""

_CHUNK_ROWS = 1_024
_CHUNK_SIMILARITIES = 8_000_000


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The queries that are asked, with their rewards."""

    embeddings: NDArray[np.float32]
    """(rows, dims), unit length"""
    rewards: Matrix
    """(rows, candidates); a gap is NaN"""
    weights: NDArray[np.float64]
    """(rows,) above 0"""
    means: NDArray[np.float64]
    """(candidates,) predicted where no neighbour says more"""

    def predict(
        self, embeddings: NDArray[np.float32], labels: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Return the (rows, candidates) rewards of embeddings, whatever their clusters."""
        predicted = np.empty((len(labels), len(self.means)))
        step = max(1, min(_CHUNK_ROWS, _CHUNK_SIMILARITIES // len(self.embeddings)))
        for start in range(0, len(labels), step):
            rows = slice(start, start + step)
            predicted[rows] = self._average(self._nearest(embeddings[rows]))
        return predicted

    def _nearest(self, embeddings: NDArray[np.float32]) -> NDArray[np.intp]:
        """Return the (rows, neighbours) index of the most similar queries, in no order."""
        others = max(0, len(self.embeddings) - NEIGHBOURS)
        # Of unit vectors, the inner product is the cosine.
        similarities = embeddings @ self.embeddings.T
        return np.argpartition(similarities, others, axis=1)[:, others:]

    def _average(self, nearest: NDArray[np.intp]) -> Matrix:
        rewards = self.rewards[nearest]
        seen = np.isfinite(rewards)
        weights = self.weights[nearest][:, :, None] * seen
        mass = weights.sum(axis=1)
        total = (weights * np.where(seen, rewards, 0.0)).sum(axis=1)
        means = np.broadcast_to(self.means, total.shape).copy()
        return np.asarray(np.divide(total, mass, out=means, where=mass > 0))


def fit_neighbours(sample: Sample, _seed: int) -> Neighbours:
    """Keep the rows: what is predicted is the mean reward of the nearest (Cover and Hart 1967).

    Near is what has a high cosine; the mean is over the neighbours that a candidate was scored
    on, by their weights. A candidate that none of them was scored on is predicted its mean over
    all rows, and one that was never scored at all the least reward, 0.

    An offline yardstick: no affine map per cluster says the same, so it is not exported.

    Raises:
        DataError: no row has a reward.
    """
    rows = sample.take(np.isfinite(sample.rewards).any(axis=1) & (sample.weights > 0))
    if not len(rows):
        raise DataError("no row has a reward, so the nearest rows say nothing: score answers first")
    means = np.nan_to_num(weighted_means(rows.rewards, rows.weights), nan=0.0)
    return Neighbours(np.ascontiguousarray(rows.embeddings), rows.rewards, rows.weights, means)
