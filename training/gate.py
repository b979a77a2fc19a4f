"""Decide on rows held out which router to serve, how sure it must be, and whether routing pays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regroup.artifact import Verdict
from training.crossval import ALL
from training.dataset import Matrix
from training.decide import decide, taken
from training.intervals import (
    Average,
    Interval,
    best_single,
    paired_interval,
    row_weights,
    standard_error,
)

FEWEST_TO_LEARN = 300
"""Fully scored queries below which no router is learned."""

FEW = 500
"""Fully scored queries below which the gain must be clearer."""

STANDARD_ERRORS, STANDARD_ERRORS_OF_FEW = 2.0, 2.5
"""How many standard errors the held-out gain must exceed: `make bench-power` shows what fewer let
through on rewards that have nothing to teach, and that a gain of three points still passes."""

MARGINS = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12)
"""Predicted leads tried, below which a query goes to the default candidate."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A router, and the predicted lead that a query must have to leave the default candidate."""

    router: str
    min_margin: float


@dataclass(frozen=True, slots=True)
class Judged:
    """Rows with every reward, by which routers are compared."""

    rewards: Matrix
    """(rows, candidates), no gaps"""
    datasets: NDArray[np.str_]
    """(rows,)"""
    fold_of: NDArray[np.intp]
    """(rows,)"""
    average: Average

    def take(self, rows: NDArray[np.bool_]) -> "Judged":
        """Return the rows of a mask."""
        return Judged(self.rewards[rows], self.datasets[rows], self.fold_of[rows], self.average)

    def best_single(self) -> int:
        """Return the column of the best single candidate."""
        return best_single(self.rewards, self.weights())

    def weights(self) -> NDArray[np.float64]:
        """Return what each row counts in a mean, of sum 1."""
        return row_weights(self.datasets, self.average)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What one router predicts of the judged rows without having seen them."""

    outer: Matrix
    """(rows, candidates), each row by the four other folds"""
    inner: Sequence[Matrix] | None
    """By fold left out entirely: (rows, candidates), each other row by the three folds left."""


def routed_gains(
    predicted: Matrix, rewards: Matrix, default: int, min_margin: float
) -> NDArray[np.float64]:
    """Return the (rows,) reward that routing adds to always asking the default candidate."""
    chosen = decide(predicted, default, min_margin=min_margin)
    return np.asarray(taken(rewards, chosen) - rewards[:, default])


def choose_plan(
    predictions: Mapping[str, Sequence[Matrix]],
    judged: Judged,
    margins: Mapping[str, Sequence[float]],
) -> Plan | None:
    """Return the plan of the highest gain, or None where none gains anything.

    Each router is taken with the margin that gains most. Of the routers, the simplest within one
    standard error of the best is taken (Breiman et al. 1984), so that a difference which may be
    noise does not buy parameters.

    Args:
        predictions: by router, from the simplest on: (rows, candidates) of each division into
            folds; a row's gain is the mean of them.
        judged: the same rows.
        margins: what to try with each router.
    """
    default = judged.best_single()
    weights = judged.weights()
    plans: dict[str, tuple[Plan, NDArray[np.float64]]] = {}
    for router, divisions in predictions.items():
        best: tuple[float, float, NDArray[np.float64]] | None = None
        for margin in margins[router]:
            each = [routed_gains(one, judged.rewards, default, margin) for one in divisions]
            gains = np.mean(each, axis=0)
            # Of equal gains the larger margin: it moves fewer queries.
            if best is None or weights @ gains >= best[0]:
                best = (float(weights @ gains), margin, gains)
        if best is not None and best[0] > 0:
            plans[router] = (Plan(router, best[1]), best[2])
    if not plans:
        return None
    _, most = max(plans.values(), key=lambda plan: float(weights @ plan[1]))
    for plan, gains in plans.values():
        behind = most - gains
        if weights @ behind <= standard_error(behind, judged.datasets, judged.average):
            return plan
    raise AssertionError("the best plan is within reach of itself")


def nested_choices(
    predictions: Mapping[str, HeldOut], judged: Judged, margins: Mapping[str, Sequence[float]]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the (rows,) choices where each fold's plan was chosen by the other folds.

    Where no plan gains anything there, the best single candidate is asked; a single router, asked
    for by name, is followed in any case. Router, margin and best single candidate are all chosen
    without the fold that they are judged on, so the choice itself does not flatter the gain.

    Returns:
        The candidate that each query is routed to, and the best single candidate of the folds
        without it: columns.
    """
    chosen = np.full(len(judged.rewards), judged.best_single(), np.intp)
    default = chosen.copy()
    for fold in ALL:
        held_out = judged.fold_of == fold
        if not held_out.any() or held_out.all():
            continue
        rest = judged.take(~held_out)
        seen = {
            router: [(one.outer if one.inner is None else one.inner[fold])[~held_out]]
            for router, one in predictions.items()
        }
        plan = choose_plan(seen, rest, margins)
        if plan is None and len(predictions) == 1:
            # A router asked for by name is judged as it would be served, good or bad.
            plan = Plan(next(iter(predictions)), 0.0)
        chosen[held_out] = default[held_out] = rest.best_single()
        if plan is not None:
            predicted = predictions[plan.router].outer[held_out]
            chosen[held_out] = decide(predicted, rest.best_single(), min_margin=plan.min_margin)
    return chosen, default


def least_error(predictions: Mapping[str, Matrix], judged: Judged) -> str:
    """Return the simplest router whose squared error is within one standard error of the least."""
    weights = judged.weights()
    errors = {
        router: ((predicted - judged.rewards) ** 2).mean(axis=1)
        for router, predicted in predictions.items()
    }
    least = min(errors.values(), key=lambda squares: float(weights @ squares))
    for router, squares in errors.items():
        behind = squares - least
        if weights @ behind <= standard_error(behind, judged.datasets, judged.average):
            return router
    raise AssertionError("the least error is within reach of itself")


def judge_gain(gains: NDArray[np.float64], judged: Judged, best: str, *, seed: int) -> Verdict:
    """Say in words whether routing pays: where the held-out gain stands clear of its error.

    Args:
        gains: (rows,) held-out gains over the best single candidate.
        judged: the same rows.
        best: name of the best single candidate.
        seed: decides the bootstrap's draws.
    """
    if len(gains) < FEWEST_TO_LEARN:
        few = f"{len(gains)} fully scored queries: at least {FEWEST_TO_LEARN} are needed to learn"
        return Verdict(False, f"do not route: use {best} ({few})", 0.0, 0.0, 0.0)
    gain = paired_interval(gains, judged.datasets, judged.average, seed=seed)
    error = standard_error(gains, judged.datasets, judged.average)
    return describe(gain, route=gain.mean > needed_errors(len(gains)) * error, best=best)


def needed_errors(rows: int) -> float:
    """Return how many standard errors a gain measured on so many rows must exceed."""
    return STANDARD_ERRORS_OF_FEW if rows < FEW else STANDARD_ERRORS


def describe(gain: Interval, *, route: bool, best: str) -> Verdict:
    """Return the verdict in one word and one sentence."""
    numbers = (gain.mean, gain.low, gain.high)
    points, low, high = (f"{100 * number:z.1f}" for number in numbers)
    measured = f"gain {points} points, 95 % interval {low} to {high}"
    if not route:
        return Verdict(False, f"do not route: use {best} ({measured})", *numbers)
    doubt = "" if gain.low > 0 else ", not shown beyond noise"
    return Verdict(True, f"route ({measured}{doubt})", *numbers)
