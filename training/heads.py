"""Fit a router on rewards and export it as one affine map per cluster."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold

from regroup.domain.prediction import Floats, Heads
from regroup.errors import DataError
from training.dataset import Matrix

STRENGTHS = np.logspace(-2, 3, 16)
"""Ridge penalties tried; leave-one-out error picks one per candidate."""

FALLBACK_TOKENS = 256.0
"""Length of an answer where the data says nothing about lengths."""

_FOLDS = 5


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
        mapped = np.einsum("ncd,nd->nc", self.weights[labels], embeddings, optimize=True)
        return np.asarray(mapped + self.bias[labels], np.float64)


def fit_ridge_cluster(
    embeddings: NDArray[np.float32],
    rewards: Matrix,
    labels: NDArray[np.intp],
    n_clusters: int,
    *,
    seed: int,
) -> AffineMaps:
    """Fit one pooled ridge, then a correction per cluster shrunk toward zero.

    The correction is each cluster's mean held-out residual, shrunk by empirical Bayes (James and
    Stein 1961; Morris 1983): kept as far as the spread between clusters exceeds what the
    cluster's own noise explains.

    Args:
        embeddings: (rows, dims) unit-length embeddings.
        rewards: (rows, candidates); NaN where a candidate did not answer.
        labels: (rows,) cluster of each row.
        n_clusters: the number of clusters, empty ones included.
        seed: decides the folds of the held-out residuals.

    Raises:
        DataError: a candidate has too few rewards.
    """
    dims, candidates = embeddings.shape[1], rewards.shape[1]
    weights = np.zeros((n_clusters, candidates, dims))
    bias = np.zeros((n_clusters, candidates))
    seen = np.isfinite(rewards)
    counts = seen.sum(axis=0)
    scarce = int(counts.argmin())
    if counts[scarce] < 2 * _FOLDS:
        raise DataError(
            f"candidate {scarce} has {counts[scarce]} rewards: at least {2 * _FOLDS} are needed"
        )
    # Candidates that answered the same rows share one decomposition.
    patterns, pattern_of = np.unique(seen, axis=1, return_inverse=True)
    for number, rows in enumerate(patterns.T):
        columns = np.flatnonzero(pattern_of.ravel() == number)
        x, y = embeddings[rows].astype(np.float64), rewards[np.ix_(rows, columns)]
        ridge = RidgeCV(alphas=STRENGTHS, alpha_per_target=True).fit(x, y)
        residuals = _held_out_residuals(x, y, np.ravel(ridge.alpha_), seed)
        weights[:, columns] = np.atleast_2d(ridge.coef_)
        for residual, intercept, c in zip(
            residuals.T, np.ravel(ridge.intercept_), columns, strict=True
        ):
            bias[:, c] = intercept + _shrunk_means(residual, labels[rows], n_clusters)
    return AffineMaps(weights, bias)


def constant_maps(rewards: Matrix, weights: Matrix, n_clusters: int, dims: int) -> AffineMaps:
    """Predict every candidate's mean reward, whatever the query: the best single model's router.

    Args:
        rewards: (rows, candidates), NaN for gaps.
        weights: (rows,) what each row counts in the mean.
        n_clusters: the number of clusters.
        dims: the length of an embedding.
    """
    means = weighted_means(rewards, weights)
    bias = np.repeat(means[None, :], n_clusters, axis=0)
    return AffineMaps(np.zeros((n_clusters, rewards.shape[1], dims)), bias)


def fit_lengths(output_tokens: Matrix) -> NDArray[np.float64]:
    """Return the (candidates,) mean logarithm of output tokens; a constant where none is known."""
    logs = np.log(np.maximum(output_tokens, 1.0))
    counts = np.isfinite(logs).sum(axis=0)
    sums = np.nansum(logs, axis=0)
    known = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
    return np.asarray(np.where(counts > 0, known, np.log(FALLBACK_TOKENS)))


def export_heads(
    maps: AffineMaps,
    log_tokens: NDArray[np.float64],
    centroids: Floats,
    candidates: tuple[str, ...],
) -> Heads:
    """Return what is served: the rewards' maps and the lengths', in float32."""
    return Heads(
        candidates=candidates,
        centroids=centroids,
        weights=maps.weights.astype(np.float32),
        bias=maps.bias.astype(np.float32),
        token_weights=np.zeros(maps.weights.shape, np.float32),
        token_bias=np.broadcast_to(log_tokens, maps.bias.shape).astype(np.float32),
    )


def weighted_means(values: Matrix, weights: Matrix) -> NDArray[np.float64]:
    """Return the (columns,) weighted means over the rows that are not gaps."""
    seen = np.isfinite(values)
    mass = (weights[:, None] * seen).sum(axis=0)
    total = (weights[:, None] * np.where(seen, values, 0.0)).sum(axis=0)
    return np.divide(total, mass, out=np.full_like(total, np.nan), where=mass > 0)


def _held_out_residuals(x: Matrix, y: Matrix, strengths: Matrix, seed: int) -> Matrix:
    """Return the (rows, columns) residuals of ridges that did not see their row."""
    residuals = np.empty_like(y)
    for train, held_out in KFold(_FOLDS, shuffle=True, random_state=seed).split(x):
        mean_x, mean_y = x[train].mean(axis=0), y[train].mean(axis=0)
        # One eigendecomposition serves every strength.
        centred = x[train] - mean_x
        values, vectors = np.linalg.eigh(centred.T @ centred)
        projected = vectors.T @ (centred.T @ (y[train] - mean_y))
        coef = vectors @ (projected / (np.maximum(values, 0.0)[:, None] + strengths))
        residuals[held_out] = y[held_out] - mean_y - (x[held_out] - mean_x) @ coef
    return residuals


def _shrunk_means(
    residuals: Matrix, labels: NDArray[np.intp], n_clusters: int
) -> NDArray[np.float64]:
    counts = np.bincount(labels, minlength=n_clusters)
    sums = np.bincount(labels, weights=residuals, minlength=n_clusters)
    filled = np.maximum(counts, 1)
    means = sums / filled
    noise = residuals.var() / filled
    seen = counts > 0
    # Method of moments: what the means vary beyond their own noise is real.
    spread = max(0.0, float((means[seen] ** 2 - noise[seen]).mean()))
    return np.asarray(np.where(seen, means * spread / (spread + noise + 1e-12), 0.0))
