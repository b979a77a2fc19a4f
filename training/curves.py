"""How the gain grows with the number of labels: every candidate scored, or one candidate a row."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.comparison import compare, routers_named
from training.crossval import FEWEST_REWARDS, ClosedFormFits, assign_folds, predict
from training.dataset import Matrix
from training.decide import decide, taken
from training.intervals import Interval, best_single, paired_interval, row_weights
from training.ridge import CLOSED_FORM
from training.sample import Sample
from training.scenes import Task
from training.selection import select

SIZES = (100, 300, 1_000, 2_000, 5_000)
"""Numbers of rows learned from."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Rows to learn from, rows to test on, and what to beat there."""

    train: NDArray[np.intp]
    test: NDArray[np.intp]
    """All with every reward."""
    best: int
    """Column of the best single candidate by all train rows: not what few rows make it seem."""


@dataclass(frozen=True, slots=True)
class Point:
    """What was gained over the best single candidate with this many rows to learn from."""

    rows: int
    gain: Interval


def ground_of(task: Task, judged: NDArray[np.intp]) -> Ground:
    """Return the data's own splits, or one fold of the judged rows against all others."""
    data = task.data
    train = np.flatnonzero(data.splits == "train")
    if len(train) == len(data) or not (data.splits == "test").any():
        fold_of = assign_folds(data.texts, data.datasets, seed=task.seed)
        train, test = np.flatnonzero(fold_of != 0), judged[fold_of[judged] == 0]
    else:
        test = judged
    weights = row_weights(data.datasets[train], task.average)
    return Ground(train, test, best_single(task.sample.rewards[train], weights))


def learning_curve(task: Task, ground: Ground) -> list[Point]:
    """Return the gain on test rows of the router in question, gate included, by rows learned from.

    Of the larger draws the smaller are a part.
    """
    order = np.random.default_rng(task.seed).permutation(ground.train)
    points = []
    for size in (one for one in SIZES if one <= len(order)):
        rows = np.sort(order[:size])
        data, sample = task.data.take(rows), task.sample.take(rows)
        names = routers_named(task.router)
        compared = compare(data, sample, names, average=task.average, seed=task.seed, divisions=1)
        costs = task.costs.take(rows)
        found = select(data, sample, costs, compared, router=task.router, seed=task.seed)
        margin = found.presets["quality"].min_margin or 0.0
        predicted = predict(found.maps, task.sample, ground.test)
        points.append(Point(size, _gain(task, ground, predicted, compared.default, margin)))
    return points


def bandit_curve(task: Task, ground: Ground, router: str) -> list[Point]:
    """Return the gain by rows learned from where only one candidate, drawn evenly, was scored.

    The direct method: each candidate's rewards are regressed on the rows where it was observed.

    Args:
        task: data, embedded.
        ground: rows to learn from and to test on.
        router: a closed-form one, served without margin.
    """
    rng = np.random.default_rng(task.seed)
    order = rng.permutation(ground.train)
    observed = one_label_a_row(task.sample.rewards, rng)
    points = []
    for size in (one for one in SIZES if one <= len(order)):
        rows = np.sort(order[:size])
        rewards = observed[rows]
        if np.isfinite(rewards).sum(axis=0).min() < FEWEST_REWARDS:
            continue
        whole = task.sample.take(rows)
        sample = Sample(whole.embeddings, rewards, whole.labels, whole.n_clusters, whole.weights)
        data = task.data.take(rows)
        fold_of = assign_folds(data.texts, data.datasets, seed=task.seed)
        fits = ClosedFormFits.of(sample, fold_of, data.candidates)
        default = best_single(rewards, row_weights(data.datasets, task.average))
        predicted = predict(fits.maps(router), task.sample, ground.test)
        points.append(Point(size, _gain(task, ground, predicted, default, 0.0)))
    return points


def one_label_a_row(rewards: Matrix, rng: np.random.Generator) -> Matrix:
    """Return the rewards with all but one scored candidate of each row, drawn evenly, hidden."""
    draws = np.where(np.isfinite(rewards), rng.uniform(size=rewards.shape), -1.0)
    kept = draws.argmax(axis=1)
    hidden = np.full_like(rewards, np.nan)
    rows = np.arange(len(rewards))
    hidden[rows, kept] = rewards[rows, kept]
    return hidden


def closed_form_or(router: str, otherwise: str = "ridge-cluster") -> str:
    """Return the router, if it is one that learns from gaps."""
    return router if router in CLOSED_FORM else otherwise


def _gain(task: Task, ground: Ground, predicted: Matrix, default: int, margin: float) -> Interval:
    rewards = task.sample.rewards[ground.test]
    chosen = decide(predicted, default, min_margin=margin)
    gains = taken(rewards, chosen) - rewards[:, ground.best]
    datasets = task.data.datasets[ground.test]
    return paired_interval(gains, datasets, task.average, seed=task.seed)
