"""Means over queries, with intervals that keep both sides of a query together."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.affine import weighted_means
from training.dataset import Matrix

type Average = Literal["rows", "datasets"]
"""Every row counts alike, or every dataset does."""

_DRAWS = 2_000
_CHUNK_CELLS = 1_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


def row_weights(datasets: NDArray[np.str_], average: Average) -> NDArray[np.float64]:
    """Return the (rows,) weights, of sum 1, that make a weighted mean the wanted average."""
    if average == "rows":
        return np.full(len(datasets), 1.0 / len(datasets))
    _, index, counts = np.unique(datasets, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / (len(counts) * counts[index]), np.float64)


def best_single(rewards: Matrix, weights: NDArray[np.float64]) -> int:
    """Return the column of the candidate with the highest mean reward over these rows."""
    return int(np.nanargmax(weighted_means(rewards, weights)))


def paired_interval(
    differences: NDArray[np.float64], datasets: NDArray[np.str_], average: Average, *, seed: int
) -> Interval:
    """Return the mean difference per query with its bootstrap interval.

    Queries are drawn with replacement, both sides of a query together (Efron and Tibshirani
    1993); where every dataset counts alike, they are drawn within each dataset.
    """
    draws = bootstrap_means(differences[:, None], datasets, average, seed=seed)[:, 0]
    low, high = np.quantile(draws, (0.025, 0.975))
    mean = float(row_weights(datasets, average) @ differences)
    return Interval(mean, float(low), float(high))


def bootstrap_means(
    values: Matrix, datasets: NDArray[np.str_], average: Average, *, seed: int
) -> Matrix:
    """Return (draws, columns) means of the same drawn queries in every column."""
    rng = np.random.default_rng(seed)
    if average == "rows":
        return _stratum_means(values, rng)
    parts = [share * _stratum_means(values[rows], rng) for rows, share in _strata(datasets)]
    return np.asarray(np.sum(parts, axis=0))


def standard_error(
    differences: NDArray[np.float64], datasets: NDArray[np.str_], average: Average
) -> float:
    """Return the standard error of the mean difference per query."""
    if average == "rows":
        return float(differences.std(ddof=1) / np.sqrt(len(differences)))
    squares = [
        share**2 * differences[rows].var(ddof=1) / rows.sum()
        for rows, share in _strata(datasets)
        if rows.sum() > 1
    ]
    return float(np.sqrt(sum(squares)))


def _strata(datasets: NDArray[np.str_]) -> list[tuple[NDArray[np.bool_], float]]:
    """Return each dataset's rows and its share of the mean.

    Datasets of one row are drawn from together: alone they would seem to vary not at all.
    """
    names, index, counts = np.unique(datasets, return_inverse=True, return_counts=True)
    alone = counts[index] == 1
    strata = [(index == n, 1.0 / len(names)) for n in np.flatnonzero(counts > 1)]
    if alone.any():
        strata.append((alone, float(alone.sum()) / len(names)))
    return strata


def _stratum_means(values: Matrix, rng: np.random.Generator) -> Matrix:
    rows = len(values)
    per_chunk = max(1, _CHUNK_CELLS // rows)
    means = []
    for start in range(0, _DRAWS, per_chunk):
        draws = min(per_chunk, _DRAWS - start)
        # Counts of each row in a draw: a product with them is a mean over the drawn rows.
        counts = rng.multinomial(rows, np.full(rows, 1.0 / rows), size=draws)
        means.append(counts @ values / rows)
    return np.concatenate(means)
