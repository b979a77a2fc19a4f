"""Compare a router with all that is simpler, and with the best that is possible."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from regroup.artifact import Verdict
from training.clusters import Clusters
from training.dataset import Dataset, Matrix
from training.frontier import WEIGHTS, at_reward, mean_height, sweep
from training.gate import FEWEST_TO_LEARN, describe
from training.intervals import Average, Interval, bootstrap_means, row_weights
from training.newcomer import newcomers
from training.policies import BEST_SINGLE, DEFAULT, mean_outcomes, policies
from training.prepare import Options, prepare
from training.ridge import CLOSED_FORM
from training.routers import ROUTERS
from training.scenes import (
    Scene,
    Staged,
    Task,
    stage_folds,
    stage_split,
)
from training.selection import raises_reward

COMPARED = tuple(name for name in ROUTERS if name not in ("best-single", "random"))
"""Fitted routers in the table; the other two have lines of their own."""

KEPT = (1.0, 0.98, 0.95)
"""Shares of the best single candidate's reward whose least cost is reported."""


@dataclass(frozen=True, slots=True)
class Line:
    """One policy in the table."""

    name: str
    reward: float
    gain: Interval
    """Over the best single candidate, paired by query."""
    reward_share: Interval
    """Of the best single candidate's reward, likewise."""
    cost_usd: float
    """Mean of a query."""
    regret: float
    """Mean reward that the best answer to each query would have earned more."""
    accuracy: float
    """Share of queries where no candidate's answer is better."""


@dataclass(frozen=True, slots=True)
class Trade:
    """What one router offers between reward and cost."""

    costs: NDArray[np.float64]
    """(weights,) mean USD at every cost weight"""
    rewards: NDArray[np.float64]
    """(weights,)"""
    area: float
    """Mean height of its frontier, single candidates included (AIQ, Hu et al. 2024)."""
    blind_area: float
    """The same of the single candidates alone."""
    above_blind: Interval
    """The difference of the two."""
    cost_shares: tuple[float, ...]
    """Least cost that keeps each share in `KEPT`, as a share of the best single's cost."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that is said of a router."""

    task: Task
    clusters: Clusters
    staged: Staged
    verdict: Verdict
    lines: tuple[Line, ...]
    trades: Mapping[str, Trade]
    """By router; empty where nothing is known of costs."""

    def line(self, name: str) -> Line:
        """Return the line of a policy."""
        return next(line for line in self.lines if line.name == name)


def evaluate(
    data: Dataset,
    embeddings: NDArray[np.float32],
    options: Options,
    *,
    compared: Sequence[str] = COMPARED,
) -> Evaluation:
    """Compare routers on rows held out.

    Rows of split `test` are predicted by those of split `train`, where there are both; else every
    row by the folds without it. Candidates scored on few queries only are left out.

    Args:
        data: labelled rows.
        embeddings: (rows, dims) of the same rows.
        options: as for training.
        compared: routers to measure beside the one in question.

    Raises:
        DataError: the data cannot be used; the message says what to change.
    """
    # Candidates of few labels cannot be compared with: too few rows have all rewards.
    data = data.without(newcomers(data.rewards))
    train = np.flatnonzero(data.splits == "train")
    has_split = 0 < len(train) < len(data) and bool((data.splits == "test").any())
    ready = prepare(data, embeddings, options, train if has_split else None)
    task = Task(
        data=data,
        sample=ready.sample,
        costs=ready.costs,
        routers=tuple(compared),
        router=options.router,
        average=options.average,
        seed=options.seed,
    )
    # Sums over several threads differ from run to run in their last bits.
    with threadpool_limits(limits=1):
        staged = stage_split(task) if has_split else stage_folds(task)
        return measure(task, ready.clusters, staged)


def measure(task: Task, clusters: Clusters, staged: Staged) -> Evaluation:
    """Measure every policy on the staged rows."""
    average, seed = task.average, task.seed
    scene = staged.scenes[0]
    outcomes = mean_outcomes([policies(one) for one in staged.scenes])
    weights = row_weights(scene.datasets, average)
    earned = np.stack([one.rewards for one in outcomes.values()], axis=1)
    means = weights @ earned
    draws = bootstrap_means(earned, scene.datasets, average, seed=seed)
    best = list(outcomes).index(BEST_SINGLE)
    gains = _intervals(means - means[best], draws - draws[:, [best]])
    shares = _intervals(means / means[best], draws / draws[:, [best]])
    top = float(weights @ scene.rewards.max(axis=1))
    lines = tuple(
        Line(
            name=name,
            reward=float(mean),
            gain=gain,
            reward_share=share,
            cost_usd=float(weights @ one.costs),
            regret=top - float(mean),
            accuracy=float(weights @ one.right),
        )
        for (name, one), mean, gain, share in zip(
            outcomes.items(), means, gains, shares, strict=True
        )
    )
    trades = {}
    if scene.costs.paid.any():
        trades = {
            name: trade(scene, predicted, average=average, seed=seed)
            for name, predicted in scene.predicted.items()
            if name in CLOSED_FORM
        }
    gain = next(one.gain for one in lines if one.name == DEFAULT)
    single = task.data.candidates[int(np.bincount(scene.learned.best_single).argmax())]
    return Evaluation(task, clusters, staged, _verdict(staged, gain, single), lines, trades)


def trade(scene: Scene, predicted: Matrix, *, average: Average, seed: int) -> Trade:
    """Return the frontier of a router between the cheapest and the dearest candidate.

    Args:
        scene: the rows, with costs.
        predicted: (rows, candidates)
        average: what counts alike in every mean.
        seed: decides the bootstrap's draws.
    """
    rewards, paid = scene.rewards, scene.costs.paid
    default = int(np.bincount(scene.learned.best_single).argmax())
    swept = sweep(predicted, rewards, scene.costs.expected, paid, default, 0.0)
    points, singles = len(WEIGHTS), rewards.shape[1]
    columns = np.concatenate([swept.rewards, rewards, swept.costs, paid], axis=1)
    means = row_weights(scene.datasets, average) @ columns
    draws = bootstrap_means(columns, scene.datasets, average, seed=seed)
    area, blind = _areas(means, points, singles)
    differences = [np.subtract(*_areas(draw, points, singles)) for draw in draws]
    low, high = np.quantile(differences, (0.025, 0.975))
    got, cost = means[: points + singles], means[points + singles :]
    best_reward, best_cost = got[points + default], cost[points + default]
    return Trade(
        costs=cost[:points],
        rewards=got[:points],
        area=area,
        blind_area=blind,
        above_blind=Interval(area - blind, float(low), float(high)),
        cost_shares=tuple(at_reward(cost, got, keep * best_reward) / best_cost for keep in KEPT),
    )


def metrics(evaluation: Evaluation) -> dict[str, float | str]:
    """Return the flat figures of `metrics.json`."""
    staged = evaluation.staged
    best, router = evaluation.line(BEST_SINGLE), evaluation.line(DEFAULT)
    default = int(np.bincount(staged.scenes[0].learned.best_single).argmax())
    flat: dict[str, float | str] = {
        "rows": len(staged.rows),
        "best_single": evaluation.task.data.candidates[default],
        "best_single_mean": best.reward,
        "router": staged.selection.router,
        "router_mean": router.reward,
        "gain": router.gain.mean,
        "gain_low": router.gain.low,
        "gain_high": router.gain.high,
        "verdict": evaluation.verdict.sentence,
        "route": float(evaluation.verdict.route),
        "min_margin": staged.selection.min_margin,
    }
    for line in evaluation.lines:
        key = _key(line.name)
        flat[f"{key}_reward"] = line.reward
        flat[f"{key}_cost_usd"] = line.cost_usd
        flat[f"{key}_accuracy"] = line.accuracy
    for name, one in evaluation.trades.items():
        flat[f"{_key(name)}_aiq"] = one.area
        flat[f"{_key(name)}_aiq_above_blind"] = one.above_blind.mean
    return flat


def _key(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name)


def _verdict(staged: Staged, gain: Interval, best: str) -> Verdict:
    """Return the gate's word, said with the figures of the evaluated rows."""
    verdict = staged.selection.verdict
    if raises_reward(staged.selection) and len(staged.rows) >= FEWEST_TO_LEARN:
        return describe(gain, route=verdict.route, best=best)
    return verdict


def _intervals(means: NDArray[np.float64], draws: Matrix) -> list[Interval]:
    ends = np.quantile(draws, (0.025, 0.975), axis=0)
    return [Interval(*(float(number) for number in one)) for one in zip(means, *ends, strict=True)]


def _areas(means: NDArray[np.float64], points: int, singles: int) -> tuple[float, float]:
    rewards, costs = means[: points + singles], means[points + singles :]
    low, high = costs[points:].min(), costs[points:].max()
    blind = mean_height(costs[points:], rewards[points:], low, high)
    return mean_height(costs, rewards, low, high), blind
