"""Softmax routers: a head per cluster on who won, and one head on how the rewards compare."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression

from regroup.errors import DataError
from training.affine import AffineMaps
from training.dataset import Matrix
from training.sample import Sample

TEMPERATURE = 0.1
"""Rewards are divided by this before the softmax that makes them a distribution."""

PENALTY = 10.0
"""On half the squared weights of the soft labels' head, beside a sum over the rows."""

_MOST_STEPS = 1_000

STEPS = {"maxiter": _MOST_STEPS, "maxfun": 2 * _MOST_STEPS, "ftol": 1e-10, "gtol": 1e-6}
"""When L-BFGS-B stops, the loss being a mean."""

_CHUNK_ROWS = 8_192

type RowLoss = Callable[[Matrix, slice], tuple[float, Matrix]]
"""Takes the (rows, candidates) scores of a slice of the rows; returns the loss and its slopes."""


def fit_softmax(sample: Sample, _seed: int) -> AffineMaps:
    """Fit a multinomial logistic regression per cluster on who won, as REGROUP is described.

    The label of a row is its candidate of the highest reward. As arg-max does, a tie goes to the
    first of the tied, and a candidate scored alone wins. A cluster of one label predicts it
    whatever the query, a cluster without rows takes the head of all rows, and a candidate that
    never won in a cluster comes last there.

    Predictions are logits: only their order means something, so they cannot be weighed against
    costs.

    Raises:
        DataError: no row compares two candidates.
    """
    compared(sample)
    rows = sample.take(np.isfinite(sample.rewards).any(axis=1) & (sample.weights > 0))
    winners = np.nanargmax(rows.rewards, axis=1)
    shape = (sample.n_clusters, sample.candidates)
    maps = AffineMaps(np.zeros((*shape, sample.dims)), np.zeros(shape))
    members = [rows.labels == k for k in range(sample.n_clusters)]
    everyone = np.ones(len(rows), np.bool_)
    for k, own in enumerate(members):
        used = own if own.any() else everyone
        maps.weights[k], maps.bias[k] = _fit_head(rows.take(used), winners[used])
    return maps


def fit_kl(sample: Sample, _seed: int) -> AffineMaps:
    """Fit one softmax for all clusters to soft labels (ZOOTER: Lu et al. 2023, arXiv 2311.08692).

    The label of a row is the softmax of its rewards divided by `TEMPERATURE`, over the candidates
    scored; the divergence of Kullback and Leibler from the predicted distribution over the same
    candidates is least. ZOOTER's smoothing of rewards by tags of the query is left out. A
    candidate that was never compared comes last.

    Predictions are logits: only their order means something, so they cannot be weighed against
    costs.

    Raises:
        DataError: no row compares two candidates.
    """
    rows = sample.take(compared(sample))
    labels = SoftLabels.of(rows)
    start = np.zeros(sample.candidates * (sample.dims + 1))
    found = minimize(labels.loss, start, jac=True, method="L-BFGS-B", options=STEPS).x
    weights, bias = labels.unpack(found)
    rank_last(weights, bias, ~np.isfinite(rows.rewards).any(axis=0))
    return same_in_every_cluster(weights, bias, sample.n_clusters)


@dataclass(frozen=True, slots=True)
class SoftLabels:
    """What `fit_kl` minimises: a mean over rows, smooth and convex."""

    embeddings: NDArray[np.float32]
    """(rows, dims)"""
    targets: Matrix
    """(rows, candidates) distributions; a gap is NaN"""
    weights: NDArray[np.float64]
    """(rows,)"""

    @classmethod
    def of(cls, sample: Sample) -> "SoftLabels":
        """Turn rewards into distributions over the candidates scored."""
        seen = np.isfinite(sample.rewards)
        targets = softmax(np.where(seen, sample.rewards / TEMPERATURE, -np.inf), axis=1)
        return cls(sample.embeddings, np.where(seen, targets, np.nan), sample.weights)

    def unpack(self, parameters: NDArray[np.float64]) -> tuple[Matrix, NDArray[np.float64]]:
        """Return the (candidates, dims) weights and (candidates,) bias in a flat vector."""
        table = parameters.reshape(self.targets.shape[1], -1)
        return table[:, :-1], table[:, -1]

    def loss(self, parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the penalised mean cross-entropy and its gradient.

        Cross-entropy differs from the divergence by the labels' own entropy, a constant.
        """
        weights, bias = self.unpack(parameters)
        total, slope, bias_slope = linear_loss(self.embeddings, weights, bias, self._row_loss)
        total += PENALTY / 2 * float((weights**2).sum())
        gradient = np.column_stack([slope + PENALTY * weights, bias_slope])
        mass = self.weights.sum()
        return total / mass, gradient.ravel() / mass

    def _row_loss(self, scores: Matrix, rows: slice) -> tuple[float, Matrix]:
        seen = np.isfinite(self.targets[rows])
        targets = np.where(seen, self.targets[rows], 0.0)
        logs = log_softmax(np.where(seen, scores, -np.inf), axis=1)
        entropies = -(targets * np.where(seen, logs, 0.0)).sum(axis=1)
        row_weights = self.weights[rows]
        return float(row_weights @ entropies), row_weights[:, None] * (np.exp(logs) - targets)


def compared(sample: Sample) -> NDArray[np.bool_]:
    """Return the (rows,) mask of those that count and have rewards of two candidates or more.

    Raises:
        DataError: there are none.
    """
    rows = (np.isfinite(sample.rewards).sum(axis=1) > 1) & (sample.weights > 0)
    if not rows.any():
        raise DataError(
            "no row has the rewards of two candidates, so nothing says which of them is better: "
            "score more answers to the same queries"
        )
    return rows


def linear_loss(
    embeddings: NDArray[np.float32],
    weights: Matrix,
    bias: NDArray[np.float64],
    row_loss: RowLoss,
) -> tuple[float, Matrix, NDArray[np.float64]]:
    """Sum a loss of the scores `weights @ embedding + bias` over all rows, a chunk at a time.

    Args:
        embeddings: (rows, dims)
        weights: (candidates, dims)
        bias: (candidates,)
        row_loss: of some rows' scores.

    Returns:
        The loss and its gradients by weights and by bias.
    """
    total, slope, bias_slope = 0.0, np.zeros_like(weights), np.zeros_like(bias)
    for start in range(0, len(embeddings), _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        points = embeddings[rows].astype(np.float64)
        loss, slopes = row_loss(points @ weights.T + bias, rows)
        total += loss
        slope += slopes.T @ points
        bias_slope += slopes.sum(axis=0)
    return total, slope, bias_slope


def rank_last(weights: Matrix, bias: NDArray[np.float64], which: NDArray[np.bool_]) -> None:
    """Write scores that no embedding of unit length lifts above another candidate's.

    Args:
        weights: (candidates, dims)
        bias: (candidates,)
        which: (candidates,) mask of those to come last; not all.
    """
    least = bias - np.linalg.norm(weights, axis=1)
    weights[which] = 0.0
    bias[which] = least[~which].min() - 1.0


def same_in_every_cluster(
    weights: Matrix, bias: NDArray[np.float64], n_clusters: int
) -> AffineMaps:
    """Return one (candidates, dims) map for all clusters."""
    return AffineMaps(
        np.repeat(weights[None], n_clusters, axis=0), np.repeat(bias[None], n_clusters, axis=0)
    )


def _fit_head(rows: Sample, winners: NDArray[np.intp]) -> tuple[Matrix, NDArray[np.float64]]:
    """Return the (candidates, dims) weights and (candidates,) bias of the logits."""
    weights, bias = np.zeros((rows.candidates, rows.dims)), np.zeros(rows.candidates)
    won = np.unique(winners)
    if len(won) > 1:
        head = LogisticRegression(max_iter=_MOST_STEPS)
        head.fit(rows.embeddings.astype(np.float64), winners, sample_weight=rows.weights)
        coef, intercept = head.coef_, head.intercept_
        if len(won) == 2:  # scikit-learn gives one logit for two classes
            coef, intercept = np.outer([-0.5, 0.5], coef), np.outer([-0.5, 0.5], intercept).ravel()
        weights[won], bias[won] = coef, intercept
    rank_last(weights, bias, ~np.isin(np.arange(rows.candidates), won))
    return weights, bias
