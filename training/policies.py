"""What each policy earns and pays on the same queries: from the plainest to the impossible."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.dataset import Matrix
from training.decide import taken
from training.frontier import blind_mix
from training.scenes import Columns, Scene

BEST_SINGLE = "best single"

DEFAULT = "default router"
"""The router in question: margin and gate included."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a policy earns and pays, query by query."""

    rewards: NDArray[np.float64]
    """(rows,)"""
    costs: NDArray[np.float64]
    """(rows,) USD"""
    right: NDArray[np.float64]
    """(rows,) chance that no candidate's answer is better; tied winners are all right"""


def policies(scene: Scene) -> dict[str, Outcome]:
    """Return what each policy does, from the plainest to what needs all the answers."""
    rewards, paid = scene.rewards, scene.costs.paid
    top = rewards.max(axis=1)
    learned = scene.learned

    def earned(got: NDArray[np.float64], costs: NDArray[np.float64]) -> Outcome:
        return Outcome(got, costs, (got >= top).astype(np.float64))

    def always(columns: Columns) -> Outcome:
        return earned(taken(rewards, columns), taken(paid, columns))

    found = {BEST_SINGLE: always(learned.best_single)}
    if paid.any():
        found["cheapest"] = always(learned.cheapest)
    found["random"] = Outcome(
        rewards.mean(axis=1), paid.mean(axis=1), (rewards >= top[:, None]).mean(axis=1)
    )
    found["best of its cluster"] = always(learned.best_of_cluster)
    if len(np.unique(scene.datasets)) > 1:
        found["best of its data set (told which)"] = always(learned.best_of_dataset)
    found |= {name: always(one.argmax(axis=1)) for name, one in scene.predicted.items()}
    found[DEFAULT] = always(scene.routed)
    if paid.any():
        for name, columns in scene.saving.items():
            found[f"{DEFAULT}, {name}"] = always(columns)
            found[f"blind mix at the cost of {name}"] = _blind(scene, found[f"{DEFAULT}, {name}"])
    if scene.routed_by in scene.predicted:
        both, costs = _two_best(scene, scene.predicted[scene.routed_by])
        found["asks the two best where they are close"] = earned(both, costs)
    found["asks all, takes the best"] = earned(top, paid.sum(axis=1))
    return found


def mean_outcomes(scenes: Sequence[Mapping[str, Outcome]]) -> dict[str, Outcome]:
    """Return the mean over divisions into folds, query by query."""
    return {
        name: Outcome(
            *(
                np.mean([getattr(scene[name], part) for scene in scenes], axis=0)
                for part in ("rewards", "costs", "right")
            )
        )
        for name in scenes[0]
    }


def _blind(scene: Scene, routed: Outcome) -> Outcome:
    """Return the blind mix of the same mean cost, each model taking its share of every query."""
    rewards, paid = scene.rewards, scene.costs.paid
    shares = blind_mix(paid.mean(axis=0), rewards.mean(axis=0), float(routed.costs.mean()))
    right = rewards >= rewards.max(axis=1, keepdims=True)
    return Outcome(rewards @ shares, paid @ shares, right @ shares)


def _two_best(scene: Scene, predicted: Matrix) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rewards and costs of asking both where the lead is in the lower half, else one."""
    order = np.argsort(-predicted, axis=1, kind="stable")[:, :2]
    leads = taken(predicted, order[:, 0]) - taken(predicted, order[:, 1])
    close = leads < np.median(leads)
    first, second = (taken(scene.rewards, order[:, i]) for i in (0, 1))
    rewards = np.where(close, np.maximum(first, second), first)
    first, second = (taken(scene.costs.paid, order[:, i]) for i in (0, 1))
    return rewards, first + np.where(close, second, 0.0)
