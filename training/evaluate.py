"""Compare a router with the best single model on rows that it was not fitted on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from regroup.artifact import Verdict
from training.dataset import Matrix
from training.heads import fit_ridge_cluster, weighted_means

type Average = Literal["rows", "datasets"]
"""Every row counts alike, or every dataset does."""

FOLDS = 5
_DRAWS = 2_000
_CHUNK_DRAWS = 100


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
    rng = np.random.default_rng(seed)
    strata = [differences]
    if average == "datasets":
        strata = [differences[datasets == name] for name in np.unique(datasets)]
    draws = np.mean([_bootstrap_means(values, rng) for values in strata], axis=0)
    low, high = np.quantile(draws, (0.025, 0.975))
    return Interval(float(np.mean([v.mean() for v in strata])), float(low), float(high))


def folds(datasets: NDArray[np.str_], *, seed: int) -> Iterator[tuple[NDArray[np.bool_], int]]:
    """Yield (rows held out, fold number): every dataset is spread evenly over the folds."""
    order = np.random.default_rng(seed).permutation(len(datasets))
    order = order[np.argsort(datasets[order], kind="stable")]
    fold = np.empty(len(datasets), np.intp)
    fold[order] = np.arange(len(datasets)) % FOLDS
    for number in range(FOLDS):
        yield fold == number, number


def out_of_fold(
    embeddings: NDArray[np.float32],
    rewards: Matrix,
    labels: NDArray[np.intp],
    n_clusters: int,
    datasets: NDArray[np.str_],
    *,
    seed: int,
) -> Matrix:
    """Return the (rows, candidates) rewards that each row is predicted by the other folds.

    The clusters are those of all rows: K-means never sees a reward.
    """
    predicted = np.empty_like(rewards)
    for held_out, number in folds(datasets, seed=seed):
        maps = fit_ridge_cluster(
            embeddings[~held_out],
            rewards[~held_out],
            labels[~held_out],
            n_clusters,
            seed=seed + number,
        )
        predicted[held_out] = maps.predict(embeddings[held_out], labels[held_out])
    return predicted


def query_blind_mix(
    costs: NDArray[np.float64], rewards: NDArray[np.float64], budget: float
) -> float:
    """Return the best mean reward that mixing models blindly reaches at a mean cost of `budget`.

    It is the upper concave hull of the single models, never falling (RouterBench, Hu et al. 2024):
    what a router must beat to be worth more than a coin.

    Args:
        costs: (candidates,) mean cost of each.
        rewards: (candidates,) mean reward of each.
        budget: below the cheapest candidate's cost, the cheapest one's reward is returned.
    """
    best = float(rewards[costs <= budget].max(initial=rewards[np.argmin(costs)]))
    for i, cheap in enumerate(costs):
        for j, dear in enumerate(costs):
            if cheap <= budget < dear:
                share = (budget - cheap) / (dear - cheap)
                best = max(best, float((1 - share) * rewards[i] + share * rewards[j]))
    return best


def judge(gain: Interval, best: str) -> Verdict:
    """Say in words whether routing pays: only where the lower bound of the gain is above 0."""
    numbers = (gain.mean, gain.low, gain.high)
    points, low, high = (f"{100 * number:z.1f}" for number in numbers)
    measured = f"gain {points} points, 95 % interval {low} to {high}"
    route = gain.low > 0
    sentence = f"route ({measured})" if route else f"do not route: use {best} ({measured})"
    return Verdict(route, sentence, *numbers)


def _bootstrap_means(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    means = [
        values[rng.integers(len(values), size=(_CHUNK_DRAWS, len(values)))].mean(axis=1)
        for _ in range(_DRAWS // _CHUNK_DRAWS)
    ]
    return np.concatenate(means)
