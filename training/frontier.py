"""The trade between reward and cost: what mixing models blindly buys, and what routing buys."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.dataset import Matrix
from training.decide import decide, taken

type Floats = NDArray[np.float64]

WEIGHTS = np.concatenate([[0.0], np.logspace(-1, 6, 141)])
"""Reward per US dollar swept; a call costs between a millionth and a few dollars."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a router does at every cost weight."""

    rewards: Matrix
    """(rows, weights) realised"""
    costs: Matrix
    """(rows, weights) USD"""


def sweep(
    predicted: Matrix, realised: Matrix, expected: Matrix, paid: Matrix, default: int, margin: float
) -> Sweep:
    """Decide every row at every cost weight.

    Args:
        predicted: (rows, candidates) rewards.
        realised: (rows, candidates) rewards.
        expected: (rows, candidates) USD that the decision knows of.
        paid: (rows, candidates) USD that the answer costs.
        default: column of the default candidate.
        margin: the lead a query must have to leave it.
    """
    rewards = np.empty((len(predicted), len(WEIGHTS)))
    costs = np.empty_like(rewards)
    for at, weight in enumerate(WEIGHTS):
        chosen = decide(predicted, default, min_margin=margin, cost_weight=weight, costs=expected)
        rewards[:, at], costs[:, at] = taken(realised, chosen), taken(paid, chosen)
    return Sweep(rewards, costs)


def envelope(costs: Floats, rewards: Floats) -> tuple[Floats, Floats]:
    """Return the corners of the upper concave envelope that never falls, by rising cost.

    Every point on it is reached by mixing two of the given points by chance.
    """
    corners: list[tuple[float, float]] = []
    for x, y in sorted(zip(costs.tolist(), rewards.tolist(), strict=True)):
        if corners and y <= corners[-1][1]:
            continue
        if corners and x == corners[-1][0]:
            corners.pop()
        while len(corners) > 1 and _is_under(corners[-2], corners[-1], (x, y)):
            corners.pop()
        corners.append((x, y))
    found = np.array(corners)
    return found[:, 0], found[:, 1]


def at_cost(costs: Floats, rewards: Floats, budget: float) -> float:
    """Return the best mean reward at a mean cost of `budget` by mixing points blindly.

    Below the cheapest point's cost, the cheapest one's reward is returned.
    """
    return float(np.interp(budget, *envelope(costs, rewards)))


def at_reward(costs: Floats, rewards: Floats, reward: float) -> float:
    """Return the least mean cost at which mixing points blindly earns `reward`; NaN where none."""
    x, y = envelope(costs, rewards)
    return float(np.interp(reward, y, x, right=np.nan))


def mean_height(costs: Floats, rewards: Floats, low: float, high: float) -> float:
    """Return the mean height of the envelope between two costs.

    With `low` and `high` the mean costs of the cheapest and the dearest candidate it is the
    average improvement in quality, AIQ, of RouterBench (Hu et al. 2024).
    """
    x, y = envelope(costs, rewards)
    inside = x[(x > low) & (x < high)]
    ticks = np.concatenate([[low], inside, [high]])
    heights = np.interp(ticks, x, y)
    return float(np.trapezoid(heights, ticks) / (high - low)) if high > low else float(heights[0])


def blind_mix(costs: Floats, rewards: Floats, budget: float) -> Floats:
    """Return the (candidates,) shares of the best blind mix of at most this mean cost."""
    x, y = envelope(costs, rewards)
    shares = np.zeros(len(costs))
    after = int(np.searchsorted(x, budget, side="right"))
    for corner, share in _between(x, after, budget):
        at = np.flatnonzero((costs == x[corner]) & (rewards == y[corner]))[0]
        shares[at] += share
    return shares


def _between(x: Floats, after: int, budget: float) -> list[tuple[int, float]]:
    if after == 0:
        return [(0, 1.0)]
    if after == len(x):
        return [(after - 1, 1.0)]
    share = (budget - x[after - 1]) / (x[after] - x[after - 1])
    return [(after - 1, 1.0 - share), (after, share)]


def _is_under(
    left: tuple[float, float], middle: tuple[float, float], right: tuple[float, float]
) -> bool:
    rise = (right[1] - left[1]) * (middle[0] - left[0])
    return (middle[1] - left[1]) * (right[0] - left[0]) <= rise
