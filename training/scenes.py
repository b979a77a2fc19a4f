"""Rows to evaluate on, with what was learned from other rows alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regroup.errors import DataError
from training.comparison import Comparison, compare, routers_named
from training.crossval import ALL, ClosedFormFits, assign_folds, predict
from training.dataset import Dataset, Matrix
from training.decide import decide
from training.intervals import Average, best_single, row_weights
from training.ridge import CLOSED_FORM
from training.routers import FITTED
from training.sample import Sample
from training.selection import Costs, Selection, raises_reward, select

type Columns = NDArray[np.intp]
"""(rows,) the candidate that each query goes to"""

DIVISIONS = 2
"""Divisions into folds whose results are averaged where the data has no test split."""


FEWEST_EVALUATED = 50
"""Rows with every reward below which nothing is compared."""


@dataclass(frozen=True, slots=True)
class Learned:
    """Choices of (rows,) candidates that rows fitted on suggest, without any embedding."""

    best_single: Columns
    cheapest: Columns
    best_of_cluster: Columns
    best_of_dataset: Columns
    """Needs to be told which data set a query comes from."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Rows with every reward, and what was learned without them."""

    rewards: Matrix
    """(rows, candidates)"""
    costs: Costs
    datasets: NDArray[np.str_]
    """(rows,)"""
    labels: NDArray[np.intp]
    """(rows,) cluster of each"""
    learned: Learned
    predicted: Mapping[str, Matrix]
    """By router: (rows, candidates)"""
    routed: Columns
    """What the router in question does under `quality`, margin and gate included."""
    saving: Mapping[str, Columns]
    """What it does under the presets that save money; empty where nothing is known of costs."""
    routed_by: str
    """The router behind it."""


@dataclass(frozen=True, slots=True)
class Staged:
    """Scenes of the same rows, one per division into folds, and what is said of them."""

    rows: NDArray[np.intp]
    """Index of the evaluated rows."""
    scenes: tuple[Scene, ...]
    selection: Selection
    """Made on the rows fitted on."""
    comparison: Comparison
    """Behind the selection."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be evaluated, and how."""

    data: Dataset
    sample: Sample
    """The data's rows, embedded; clusters of the rows fitted on."""
    costs: Costs
    routers: tuple[str, ...]
    """To compare."""
    router: str
    """The one in question: `auto`, or a name."""
    average: Average
    seed: int


def stage_split(task: Task) -> Staged:
    """Fit on the rows of split `train`, and evaluate on those of split `test`.

    Raises:
        DataError: no test row has every reward, or a candidate has too few rewards.
    """
    data, sample = task.data, task.sample
    train = np.flatnonzero(data.splits == "train")
    full = np.isfinite(sample.rewards).all(axis=1)
    test = np.flatnonzero((data.splits == "test") & full)
    if not len(test):
        raise DataError("no row of split test has a reward from every candidate")
    rows, part = data.take(train), sample.take(train)
    names = routers_named(task.router)
    comparison = compare(rows, part, names, average=task.average, seed=task.seed)
    selection = select(
        rows, part, task.costs.take(train), comparison, router=task.router, seed=task.seed
    )
    folds = assign_folds(rows.texts, rows.datasets, seed=task.seed)
    fits = ClosedFormFits.of(part, folds, data.candidates)
    predicted = {
        name: predict(
            fits.maps(name) if name in CLOSED_FORM else FITTED[name](part, task.seed),
            sample,
            test,
        )
        for name in task.routers
    }
    own = predict(selection.maps, sample, test)
    margin = selection.presets["quality"].min_margin or 0.0
    costs = task.costs.take(test)
    scene = Scene(
        rewards=sample.rewards[test],
        costs=costs,
        datasets=data.datasets[test],
        labels=sample.labels[test],
        learned=_learn(task, train, test),
        predicted=predicted,
        routed=decide(own, comparison.default, min_margin=margin),
        saving=_saving(own, costs, comparison.default, selection),
        routed_by=selection.router,
    )
    return Staged(test, (scene,), selection, comparison)


def stage_folds(task: Task, divisions: int = DIVISIONS) -> Staged:
    """Fit on all folds but one, and evaluate on that one, for each fold of several divisions.

    Raises:
        DataError: a candidate has too few rewards.
    """
    data, sample = task.data, task.sample
    in_question = routers_named(task.router)
    names = tuple(dict.fromkeys((*in_question, *task.routers)))
    if not np.isfinite(data.rewards).all(axis=1).sum() >= FEWEST_EVALUATED:
        raise DataError(
            f"fewer than {FEWEST_EVALUATED} rows have a reward from every candidate: score more "
            "answers; `train` judges logged decisions by themselves"
        )
    compared = compare(
        data, sample, names, average=task.average, seed=task.seed, divisions=divisions
    )
    narrowed = compared.only(in_question)
    selection = select(data, sample, task.costs, narrowed, router=task.router, seed=task.seed)
    rows = compared.judged
    costs = task.costs.take(rows)
    saving = _saving(selection.predicted, costs, compared.default, selection)
    scenes = []
    for (judged, held_out), (chosen, default) in zip(
        compared.divisions, narrowed.choices(), strict=True
    ):
        learned = [
            _learn(task, rows[judged.fold_of != fold], rows[judged.fold_of == fold])
            for fold in sorted(ALL)
        ]
        gate_open = raises_reward(selection)
        scenes.append(
            Scene(
                rewards=compared.rewards,
                costs=costs,
                datasets=judged.datasets,
                labels=sample.labels[rows],
                learned=_joined(learned, judged.fold_of),
                predicted={name: held_out[name].outer for name in task.routers},
                routed=chosen if gate_open else default,
                saving=saving,
                routed_by=selection.router,
            )
        )
    return Staged(rows, tuple(scenes), selection, narrowed)


def _saving(
    predicted: Matrix, costs: Costs, default: int, selection: Selection
) -> dict[str, Columns]:
    if not costs.expected.any():
        return {}
    return {
        name: decide(
            predicted,
            default,
            min_margin=preset.min_margin or 0.0,
            cost_weight=preset.cost_weight,
            costs=costs.expected,
        )
        for name, preset in selection.presets.items()
        if name != "quality"
    }


def _learn(task: Task, train: NDArray[np.intp], test: NDArray[np.intp]) -> Learned:
    """Return what is best for the test rows by the means over train rows."""
    rewards = task.sample.rewards[train]
    datasets = task.data.datasets
    best = best_single(rewards, row_weights(datasets[train], task.average))
    labels = task.sample.labels
    return Learned(
        best_single=np.full(len(test), best, np.intp),
        cheapest=np.full(len(test), task.costs.expected[train].mean(axis=0).argmin(), np.intp),
        best_of_cluster=_best_of(labels[train], rewards, labels[test], best),
        best_of_dataset=_best_of(datasets[train], rewards, datasets[test], best),
    )


def _best_of(groups: NDArray[Any], rewards: Matrix, wanted: NDArray[Any], default: int) -> Columns:
    """Return the best candidate of each wanted group; the default where the group is new."""
    best = {}
    for group in np.unique(groups):
        rows = rewards[groups == group]
        if np.isfinite(rows).any():
            best[group] = best_single(rows, np.ones(len(rows)))
    return np.array([best.get(group, default) for group in wanted], np.intp)


def _joined(parts: Sequence[Learned], fold_of: NDArray[np.intp]) -> Learned:
    """Put the folds' choices back into the order of the rows."""
    whole = {}
    for name in Learned.__dataclass_fields__:
        column = np.empty(len(fold_of), np.intp)
        for fold, part in enumerate(parts):
            column[fold_of == fold] = getattr(part, name)
        whole[name] = column
    return Learned(**whole)
