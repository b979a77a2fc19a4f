"""Find the cost weights behind the presets `quality`, `balanced` and `economy`."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regroup.artifact import Preset
from regroup.domain.catalog import Catalog, count_scripts
from regroup.errors import DataError
from training.dataset import Dataset, Matrix
from training.decide import decide, taken
from training.frontier import WEIGHTS, sweep
from training.intervals import Average, bootstrap_means, row_weights

KEEP = {"balanced": 0.99, "economy": 0.95}
"""Share of the best single candidate's reward that each preset keeps on held-out rows."""

NEVER = 10.0
"""A margin no query reaches: rewards lie in [0, 1]."""


@dataclass(frozen=True, slots=True)
class HeldOutRows:
    """What presets are calibrated on: rows with every reward, predicted without them."""

    predicted: Matrix
    """(rows, candidates)"""
    rewards: Matrix
    """(rows, candidates), no gaps"""
    expected_costs: Matrix
    """(rows, candidates) USD that a decision knows of"""
    paid: Matrix
    """(rows, candidates) USD that the answers cost"""
    datasets: NDArray[np.str_]
    """(rows,)"""
    average: Average

    def take(self, rows: NDArray[np.bool_]) -> "HeldOutRows":
        """Return the rows of a mask."""
        return HeldOutRows(
            self.predicted[rows],
            self.rewards[rows],
            self.expected_costs[rows],
            self.paid[rows],
            self.datasets[rows],
            self.average,
        )


def expected_costs(
    data: Dataset, known: Dataset, catalog: Catalog | None, output_tokens: Matrix
) -> Matrix:
    """Return the (rows, candidates) USD that the classifier would expect each call to cost.

    From catalog prices where there is a catalog, else each candidate's mean cost in the data,
    else 0: with nothing known of money, presets cannot differ.

    Args:
        data: the rows.
        known: those that may be learned from.
        catalog: prices, where there are some.
        output_tokens: (rows, candidates) predicted length of the answers.

    Raises:
        DataError: a candidate's cost is unknown where others' are known: it would pass for free.
    """
    if catalog is not None:
        return _catalog_costs(data, catalog, output_tokens)
    seen = np.isfinite(known.cost_usd)
    counts = seen.sum(axis=0)
    unknown = [name for name, n in zip(data.candidates, counts, strict=True) if n == 0]
    if counts.any() and unknown:
        raise DataError(
            f"cost_usd is known of some candidates, but not of {', '.join(unknown)}: "
            "add it, leave cost_usd out for all, or give a catalog"
        )
    sums = np.where(seen, known.cost_usd, 0.0).sum(axis=0)
    means = np.divide(sums, counts, out=np.zeros(len(data.candidates)), where=counts > 0)
    return np.repeat(means[None, :], len(data), axis=0)


def paid_costs(data: Dataset, expected: Matrix) -> Matrix:
    """Return the (rows, candidates) USD that the answers cost; the expectation where unknown."""
    return np.where(np.isfinite(data.cost_usd), data.cost_usd, expected)


def calibrate_presets(
    rows: HeldOutRows, best: int, *, quality_margin: float, seed: int
) -> dict[str, Preset]:
    """Return each preset's cost weight with the shares of reward and cost it kept.

    `quality` pays any price for the highest reward; the others are the cheapest sweep points that
    keep their share of the best single candidate's reward.

    Args:
        rows: what to calibrate on.
        best: column of the best single candidate, which is the default one.
        quality_margin: the lead a query must have to leave it under `quality`.
        seed: decides the bootstrap's draws.
    """
    quality = _outcome(rows, 0.0, best, quality_margin)
    presets = {"quality": _preset(0.0, quality_margin, quality, rows, seed)}
    for name, keep in KEEP.items():
        weight = cheapest_weight(rows, best, keep)
        if weight is None:
            presets[name] = presets["quality"]
        else:
            outcome = _outcome(rows, weight, best, 0.0)
            presets[name] = _preset(weight, 0.0, outcome, rows, seed)
    return presets


def cheapest_weight(rows: HeldOutRows, best: int, keep: float) -> float | None:
    """Return the cost weight of the cheapest sweep point that keeps a share of the reward.

    None where no point keeps that much, or where nothing costs anything.
    """
    if not rows.expected_costs.any():
        return None
    weights = row_weights(rows.datasets, rows.average)
    swept = sweep(rows.predicted, rows.rewards, rows.expected_costs, rows.paid, best, 0.0)
    rewards, costs = weights @ swept.rewards, weights @ swept.costs
    enough = np.flatnonzero(rewards >= keep * (weights @ rows.rewards[:, best]))
    if not len(enough):
        return None
    return float(WEIGHTS[enough[np.argmin(costs[enough])]])


def _outcome(rows: HeldOutRows, weight: float, best: int, margin: float) -> Matrix:
    """Return (rows, 4): reward and cost of the preset, reward and cost of the best single."""
    expected = rows.expected_costs
    chosen = decide(rows.predicted, best, min_margin=margin, cost_weight=weight, costs=expected)
    columns = (
        taken(rows.rewards, chosen),
        taken(rows.paid, chosen),
        rows.rewards[:, best],
        rows.paid[:, best],
    )
    return np.stack(columns, axis=1)


def _preset(weight: float, margin: float, outcome: Matrix, rows: HeldOutRows, seed: int) -> Preset:
    means = row_weights(rows.datasets, rows.average) @ outcome
    draws = bootstrap_means(outcome, rows.datasets, rows.average, seed=seed)
    reward, cost = (_share(means, draws, column) for column in (0, 1))
    return Preset(
        cost_weight=weight,
        min_margin=margin,
        reward_share=reward[0],
        reward_share_low=reward[1],
        reward_share_high=reward[2],
        cost_share=cost[0],
        cost_share_low=cost[1],
        cost_share_high=cost[2],
    )


def _share(
    means: NDArray[np.float64], draws: Matrix, column: int
) -> tuple[float, float, float] | tuple[None, None, None]:
    """Return a preset's share of what the best single candidate brings, and its 95 % interval."""
    if means[column + 2] <= 0:
        return None, None, None
    shares = draws[:, column] / np.where(draws[:, column + 2] > 0, draws[:, column + 2], np.nan)
    low, high = np.nanquantile(shares, (0.025, 0.975))
    return float(means[column] / means[column + 2]), float(low), float(high)


def _catalog_costs(data: Dataset, catalog: Catalog, output_tokens: Matrix) -> Matrix:
    unknown = [name for name in data.candidates if name not in catalog.candidates]
    if unknown:
        raise DataError(
            f"the catalog lacks {', '.join(unknown)}, which the data scores: "
            "add them to the catalog, or take their scores out of the data"
        )
    costs = np.zeros((len(data), len(data.candidates)))
    counts = [count_scripts(text) for text in data.texts]
    for c, name in enumerate(data.candidates):
        candidate = catalog.candidates[name]
        costs[:, c] = [
            candidate.cost_usd(candidate.estimate_tokens(count), tokens)
            for count, tokens in zip(counts, output_tokens[:, c].tolist(), strict=True)
        ]
    return costs
