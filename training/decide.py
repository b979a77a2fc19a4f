"""Decide many queries at once, by the very rule of `regroup.domain.policy.choose`."""

import numpy as np
from numpy.typing import NDArray

from training.dataset import Matrix


def decide(
    predicted: Matrix,
    default: int | NDArray[np.intp],
    *,
    min_margin: float = 0.0,
    cost_weight: float = 0.0,
    costs: Matrix | None = None,
) -> NDArray[np.intp]:
    """Return the (rows,) column of the candidate that each query goes to.

    Args:
        predicted: (rows, candidates) finite rewards.
        default: the candidate that answers unless another is better by more than the margin; one
            for all rows, or (rows,).
        min_margin: in units of reward.
        cost_weight: reward that one US dollar must buy.
        costs: (rows, candidates) expected USD; needed where the weight is not 0.
    """
    scores = predicted if costs is None else predicted - cost_weight * costs
    best = scores.max(axis=1)
    tied = scores == best[:, None]
    # Of equals the cheaper, then the first by name, which is the order of the columns.
    price = np.zeros_like(scores) if costs is None else costs
    chosen = np.where(tied, price, np.inf).argmin(axis=1)
    lead = best - scores[np.arange(len(scores)), default]
    return np.where(lead > min_margin, chosen, default)


def taken(values: Matrix, columns: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the (rows,) values of one column a row."""
    return np.asarray(values[np.arange(len(values)), columns])
