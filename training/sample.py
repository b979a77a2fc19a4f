"""What a router is fitted on, and what it must be able to do once fitted."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from training.dataset import Matrix


@dataclass(frozen=True, slots=True)
class Sample:
    """Queries with their clusters and rewards; a reward that nobody scored is NaN."""

    embeddings: NDArray[np.float32]
    """(rows, dims), unit length; may be a memory map"""
    rewards: Matrix
    """(rows, candidates), in [0, 1]"""
    labels: NDArray[np.intp]
    """(rows,) cluster of each"""
    n_clusters: int
    """Empty ones included."""
    weights: NDArray[np.float64]
    """(rows,) what each row counts in a fit, at least 0"""

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.labels)

    @property
    def candidates(self) -> int:
        """The number of candidates."""
        return int(self.rewards.shape[1])

    @property
    def dims(self) -> int:
        """The length of an embedding."""
        return int(self.embeddings.shape[1])

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "Sample":
        """Return the rows of a mask or an index, over the same clusters."""
        return Sample(
            self.embeddings[rows],
            self.rewards[rows],
            self.labels[rows],
            self.n_clusters,
            self.weights[rows],
        )


class Router(Protocol):
    """A fitted router. Only the order of its predictions is promised to mean something."""

    def predict(
        self, embeddings: NDArray[np.float32], labels: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Return the (rows, candidates) predicted rewards of embeddings in these clusters."""
        ...
