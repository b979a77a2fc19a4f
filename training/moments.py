"""Weighted sums over rows, by fold and cluster: all that a closed-form router is fitted from.

One pass over the rows serves every fold of a nested cross-validation, every ridge penalty and
every closed-form router; afterwards no fit looks at a row again.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.dataset import Matrix

_CHUNK_ROWS = 8_192


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums over some rows of products of `x`, an embedding with a 1 at its end, and rewards `y`."""

    gram: Matrix
    """(dims + 1, dims + 1) sums of `x x'`; its last entry is the sum of the rows' weights"""
    cross: Matrix
    """(dims + 1, targets) sums of `x y'`; its last row is the sums of `y`"""
    squares: Matrix
    """(targets,) sums of `y y`"""

    @property
    def n(self) -> float:
        """The sum of the rows' weights."""
        return float(self.gram[-1, -1])

    def squared_errors(self, beta: Matrix) -> Matrix:
        """Return the (..., targets) sums of squared errors of `x @ beta` over these rows.

        Args:
            beta: (..., dims + 1, targets) coefficients, the intercept last.
        """
        quadratic = (beta * (self.gram @ beta)).sum(axis=-2)
        return np.asarray(self.squares - 2 * (beta * self.cross).sum(axis=-2) + quadratic)


@dataclass(frozen=True, slots=True)
class MomentTable:
    """Moments of each fold and cluster."""

    gram: Matrix
    """(folds, clusters, dims + 1, dims + 1)"""
    cross: Matrix
    """(folds, clusters, dims + 1, targets)"""
    squares: Matrix
    """(folds, clusters, targets)"""

    @property
    def n_clusters(self) -> int:
        """The number of clusters, empty ones included."""
        return int(self.gram.shape[1])

    @property
    def targets(self) -> int:
        """The number of candidates."""
        return int(self.squares.shape[2])

    def counts(self, folds: Iterable[int]) -> NDArray[np.float64]:
        """Return the (clusters,) weights of the rows of some folds."""
        return np.asarray(self.gram[list(folds), :, -1, -1].sum(axis=0))

    def of(self, folds: Iterable[int], cluster: int | None = None) -> Moments:
        """Return the sums over some folds, of one cluster or of all."""
        rows = list(folds)
        if cluster is not None:
            parts = (values[rows, cluster] for values in (self.gram, self.cross, self.squares))
            return Moments(*(part.sum(axis=0) for part in parts))
        # Cluster by cluster: the sum over a slice of both axes would copy the whole table.
        gram, cross = np.zeros(self.gram.shape[2:]), np.zeros(self.cross.shape[2:])
        for fold in rows:
            gram += self.gram[fold].sum(axis=0)
            cross += self.cross[fold].sum(axis=0)
        return Moments(gram, cross, self.squares[rows].sum(axis=(0, 1)))


def moment_table(
    embeddings: NDArray[np.float32],
    rewards: Matrix,
    weights: NDArray[np.float64],
    cells: NDArray[np.intp],
    shape: tuple[int, int],
) -> MomentTable:
    """Sum up rows; memory beyond the table is bounded whatever their number.

    Args:
        embeddings: (rows, dims); may be a memory map.
        rewards: (rows, targets); a row with a gap must have weight 0.
        weights: (rows,) what each row counts.
        cells: (rows,) `fold * clusters + cluster` of each row.
        shape: the numbers of folds and of clusters, empty ones included.
    """
    augmented, targets = embeddings.shape[1] + 1, rewards.shape[1]
    table = MomentTable(
        gram=np.zeros((*shape, augmented, augmented)),
        cross=np.zeros((*shape, augmented, targets)),
        squares=np.zeros((*shape, targets)),
    )
    for cell, rows in _chunks(cells, weights):
        at = divmod(cell, shape[1])
        x = np.ones((len(rows), augmented))
        x[:, :-1] = embeddings[rows]
        y, w = rewards[rows], weights[rows, None]
        weighted = x * w
        table.gram[at] += weighted.T @ x
        table.cross[at] += weighted.T @ y
        table.squares[at] += (w * y * y).sum(axis=0)
    return table


def _chunks(
    cells: NDArray[np.intp], weights: NDArray[np.float64]
) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Yield (cell, rows in it of a weight above 0), a bounded number of rows at a time."""
    order = np.argsort(cells, kind="stable")
    order = order[weights[order] > 0]
    found, counts = np.unique(cells[order], return_counts=True)
    stops = counts.cumsum()
    for cell, start, stop in zip(found, stops - counts, stops, strict=True):
        for first in range(start, stop, _CHUNK_ROWS):
            yield int(cell), order[first : min(first + _CHUNK_ROWS, stop)]
