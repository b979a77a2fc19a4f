"""Judge whether routing pays by price, where it does not raise the reward.

Mixing models blindly, some share of queries to each, already buys every reward between theirs at
a price. Routing pays only by what it earns above such a mix of the same cost.
"""

import numpy as np
from numpy.typing import NDArray

from regroup.artifact import Verdict
from training.crossval import ALL
from training.dataset import Matrix
from training.decide import decide, taken
from training.frontier import blind_mix, envelope
from training.gate import needed_errors
from training.intervals import Interval, paired_interval, row_weights, standard_error
from training.presets import KEEP, HeldOutRows, cheapest_weight


def judge_price(
    rows: HeldOutRows, fold_of: NDArray[np.intp], best: int, name: str, *, seed: int
) -> Verdict | None:
    """Say whether the preset `economy` earns more than the blind mix of its cost, or None if not.

    Each fold is decided at the cost weight that the other folds chose.

    Args:
        rows: with their costs.
        fold_of: (rows,)
        best: column of the best single candidate.
        name: its name.
        seed: decides the bootstrap's draws.
    """
    chosen = _economy(rows, fold_of, best)
    if chosen is None:
        return None
    weights = row_weights(rows.datasets, rows.average)
    gains = _above_blind_mix(rows, chosen, weights)
    gain = paired_interval(gains, rows.datasets, rows.average, seed=seed)
    error = standard_error(gains, rows.datasets, rows.average)
    if not gain.mean > needed_errors(len(gains)) * error:
        return None
    reward = weights @ taken(rows.rewards, chosen) / (weights @ rows.rewards[:, best])
    cost = weights @ taken(rows.paid, chosen) / (weights @ rows.paid[:, best])
    kept = f"economy keeps {reward:.0%} of {name}'s reward at {cost:.0%} of its cost"
    return _verdict(gain, kept)


def _economy(rows: HeldOutRows, fold_of: NDArray[np.intp], best: int) -> NDArray[np.intp] | None:
    """Return the (rows,) candidate that `economy` chooses, its weight found without the fold."""
    chosen = np.full(len(rows.rewards), best, np.intp)
    for fold in ALL:
        held_out = fold_of == fold
        if not held_out.any():
            continue
        weight = cheapest_weight(rows.take(~held_out), best, KEEP["economy"])
        if weight is None:
            return None
        part = rows.take(held_out)
        chosen[held_out] = decide(
            part.predicted, best, cost_weight=weight, costs=part.expected_costs
        )
    return chosen


def _above_blind_mix(
    rows: HeldOutRows, chosen: NDArray[np.intp], weights: NDArray[np.float64]
) -> Matrix:
    """Return the (rows,) rewards above the blind mix of the same mean cost.

    Reward and cost of a query vary together; both sides are moved along the frontier's slope, which
    leaves the mean as it is and lets the spread be that of the difference.
    """
    means, costs = weights @ rows.rewards, weights @ rows.paid
    budget = float(weights @ taken(rows.paid, chosen))
    shares = blind_mix(costs, means, budget)
    x, y = envelope(costs, means)
    at = int(np.clip(np.searchsorted(x, budget), 1, len(x) - 1)) if len(x) > 1 else 0
    slope = (y[at] - y[at - 1]) / (x[at] - x[at - 1]) if len(x) > 1 else 0.0
    mixed = (rows.rewards - slope * rows.paid) @ shares
    routed = taken(rows.rewards, chosen) - slope * taken(rows.paid, chosen)
    return np.asarray(routed - mixed)


def _verdict(gain: Interval, kept: str) -> Verdict:
    numbers = (gain.mean, gain.low, gain.high)
    points, low, high = (f"{100 * number:z.1f}" for number in numbers)
    doubt = "" if gain.low > 0 else ", not shown beyond noise"
    above = f"{points} points above a blind mix of the same cost, 95 % interval {low} to {high}"
    return Verdict(True, f"route by price ({above}{doubt}; {kept})", *numbers)
