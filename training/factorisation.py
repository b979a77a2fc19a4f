"""A router that factorises who beats whom: vectors of models times projected queries."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from regroup.errors import DataError
from training.affine import AffineMaps
from training.dataset import Matrix
from training.sample import Sample
from training.softmax import STEPS, compared, linear_loss, rank_last, same_in_every_cluster

RANK = 16
"""The length of a model's vector, and of a projected query."""

PENALTY = 30.0
"""On half the squares of both factors, beside a sum over the pairs."""


def fit_matrix_factorisation(sample: Sample, seed: int) -> AffineMaps:
    """Fit scores to pairwise wins (RouteLLM: Ong et al. 2024, arXiv 2406.18665), for any models.

    The score of a model for a query is its vector times the projected embedding, plus its bias.
    Every two candidates of a row with different rewards are a battle that the better one wins;
    the chance of that is the logistic function of the difference in score. RouteLLM keeps vectors
    at unit length and adds noise to the embeddings; here a penalty on both factors does that work.
    A candidate that was never in a battle comes last.

    Predictions are scores: only their order means something, so they cannot be weighed against
    costs.

    Args:
        sample: what to fit on.
        seed: draws the projection that the fit starts from.

    Raises:
        DataError: no row has two candidates of different rewards.
    """
    battles = Battles.of(sample.take(compared(sample)))
    projection = np.random.default_rng(seed).normal(size=(RANK, sample.dims)) / sample.dims**0.5
    # Vectors of 0 treat all candidates alike; the projection keeps this from being a saddle.
    start = np.concatenate([np.zeros(sample.candidates * (RANK + 1)), projection.ravel()])
    found = minimize(battles.loss, start, jac=True, method="L-BFGS-B", options=STEPS).x
    vectors, bias, projection = battles.unpack(found)
    weights = vectors @ projection
    rank_last(weights, bias, ~battles.fought)
    return same_in_every_cluster(weights, bias, sample.n_clusters)


@dataclass(frozen=True, slots=True)
class Battles:
    """What `fit_matrix_factorisation` minimises: a mean over battles."""

    embeddings: NDArray[np.float32]
    """(rows, dims)"""
    weights: NDArray[np.float64]
    """(rows,)"""
    pairs: Matrix
    """(pairs, candidates) +1 for the first of two and -1 for the second"""
    outcomes: NDArray[np.int8]
    """(rows, pairs) +1 where the first won, -1 where the second did, 0 where neither"""

    @classmethod
    def of(cls, sample: Sample) -> "Battles":
        """Let the candidates of every row fight.

        Raises:
            DataError: none differ.
        """
        pairs = np.array(list(combinations(range(sample.candidates), 2)))
        identity = np.eye(sample.candidates)
        leads = sample.rewards[:, pairs[:, 0]] - sample.rewards[:, pairs[:, 1]]
        outcomes = np.sign(np.nan_to_num(leads)).astype(np.int8)
        rows = outcomes.any(axis=1)
        if not rows.any():
            raise DataError(
                "no row has two candidates of different rewards, so nothing says which of them "
                "is better: score more queries, or score them more finely"
            )
        return cls(
            sample.embeddings[rows],
            sample.weights[rows],
            identity[pairs[:, 0]] - identity[pairs[:, 1]],
            outcomes[rows],
        )

    @property
    def fought(self) -> NDArray[np.bool_]:
        """The (candidates,) mask of those in any battle."""
        return np.asarray(self.pairs[self.outcomes.any(axis=0)].any(axis=0))

    def unpack(self, parameters: NDArray[np.float64]) -> tuple[Matrix, NDArray[np.float64], Matrix]:
        """Return (candidates, rank) vectors, (candidates,) bias and the (rank, dims) projection."""
        candidates = self.pairs.shape[1]
        vectors, bias, projection = np.split(
            parameters, [candidates * RANK, candidates * (RANK + 1)]
        )
        return vectors.reshape(candidates, RANK), bias, projection.reshape(RANK, -1)

    def loss(self, parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the penalised mean cross-entropy and its gradient."""
        vectors, bias, projection = self.unpack(parameters)
        total, slope, bias_slope = linear_loss(
            self.embeddings, vectors @ projection, bias, self._row_loss
        )
        total += PENALTY / 2 * float((vectors**2).sum() + (projection**2).sum())
        gradient = (
            slope @ projection.T + PENALTY * vectors,
            bias_slope,
            vectors.T @ slope + PENALTY * projection,
        )
        mass = float(self.weights @ np.abs(self.outcomes).sum(axis=1))
        return total / mass, np.concatenate([part.ravel() for part in gradient]) / mass

    def _row_loss(self, scores: Matrix, rows: slice) -> tuple[float, Matrix]:
        outcomes, row_weights = self.outcomes[rows], self.weights[rows]
        leads = outcomes * (scores @ self.pairs.T)
        losses = np.where(outcomes != 0, np.logaddexp(0.0, -leads), 0.0).sum(axis=1)
        slopes = -outcomes * expit(-leads)
        return float(row_weights @ losses), row_weights[:, None] * (slopes @ self.pairs)
