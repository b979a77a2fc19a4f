"""Predict how long each candidate's answer will be, so that a decision knows what it costs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.crossval import ALL, FEWEST_FOLDS, ClosedFormFits
from training.dataset import Matrix
from training.sample import Sample

FALLBACK_TOKENS = 256.0
"""Length of an answer where the data says nothing about lengths."""

FEWEST_LENGTHS = 100
"""Known lengths of a candidate below which its mean serves every query."""

_MAX_LOG_TOKENS = 20.0


@dataclass(frozen=True, slots=True)
class Lengths:
    """The logarithm of output tokens as `weights @ embedding + bias`."""

    weights: Matrix
    """(candidates, dims)"""
    bias: NDArray[np.float64]
    """(candidates,)"""

    def tokens(self, embeddings: NDArray[np.float32]) -> Matrix:
        """Return the (rows, candidates) expected output tokens, by the rule that serving uses."""
        logs = embeddings @ self.weights.T.astype(np.float32) + self.bias
        return np.exp(np.clip(logs, 0.0, _MAX_LOG_TOKENS))


def fit_lengths(
    embeddings: NDArray[np.float32], output_tokens: Matrix, fold_of: NDArray[np.intp]
) -> Lengths:
    """Fit a ridge on the logarithm of output tokens per candidate.

    The exponential of a mean logarithm falls short of the mean, and cost is linear in tokens: the
    bias holds the mean of the exponential held-out residuals (Duan 1983), which mends it.

    Args:
        embeddings: (rows, dims)
        output_tokens: (rows, candidates); NaN where unknown.
        fold_of: (rows,)
    """
    candidates, dims = output_tokens.shape[1], embeddings.shape[1]
    logs = np.log(np.maximum(output_tokens, 1.0))
    counts = np.isfinite(logs).sum(axis=0)
    weights, bias = np.zeros((candidates, dims)), np.full(candidates, np.log(FALLBACK_TOKENS))
    spread = [len(np.unique(fold_of[np.isfinite(column)])) for column in logs.T]
    enough = (counts >= FEWEST_LENGTHS) & (np.array(spread) >= FEWEST_FOLDS)
    for c in np.flatnonzero((counts > 0) & ~enough):
        bias[c] = np.log(np.nanmean(np.maximum(output_tokens[:, c], 1.0)))
    fitted = np.flatnonzero(enough)
    if len(fitted):
        rows = np.arange(len(logs))
        whole = np.zeros(len(logs), np.intp)
        sample = Sample(embeddings, logs[:, fitted], whole, 1, np.ones(len(logs)))
        fits = ClosedFormFits.of(sample, fold_of, [str(c) for c in fitted])
        maps = fits.maps("pooled-ridge", ALL)
        residuals = logs[:, fitted] - fits.held_out("pooled-ridge", rows)
        weights[fitted] = maps.weights[0]
        bias[fitted] = maps.bias[0] + np.log(np.nanmean(np.exp(residuals), axis=0))
    return Lengths(weights, bias)
