"""What every router in question predicts of the same rows, none of which it was fitted on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from regroup.domain.offpolicy import Logged, corrected_rewards
from regroup.errors import DataError
from training.crossval import ALL, ClosedFormFits, assign_folds, predict
from training.dataset import Dataset, Matrix
from training.decide import taken
from training.gate import (
    FEWEST_TO_LEARN,
    MARGINS,
    HeldOut,
    Judged,
    Plan,
    choose_plan,
    nested_choices,
)
from training.intervals import Average, best_single, row_weights
from training.ridge import CLOSED_FORM
from training.routers import AUTO, FITTED, NOT_SERVED, ROUTERS
from training.sample import Sample

MOST_JUDGED = 20_000
"""Fully scored queries that routers are compared on; more would not change what is chosen."""

DIVISIONS = 2
"""Divisions into folds whose results are averaged, while rows are few and fits are quick."""

_FEW_ROWS = 20_000

_NUISANCE = "ridge-cluster"
"""Predicts what a log did not observe, whichever router is judged by it."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Routers on the fully scored rows, each predicted by folds without it."""

    judged: NDArray[np.intp]
    """Index of those rows."""
    rewards: Matrix
    """(judged rows, candidates), no gaps; from logs, estimates that only means are made of"""
    divisions: tuple[tuple[Judged, Mapping[str, HeldOut]], ...]
    """By division into folds: the rows, and each router's predictions."""
    fits: ClosedFormFits | None
    """The closed-form routers of the first division; None where none is in question."""
    default: int
    """Column of the best single candidate."""

    @property
    def names(self) -> tuple[str, ...]:
        """The routers in question, from the simplest on."""
        return tuple(self.divisions[0][1])

    @property
    def rows(self) -> Judged:
        """The judged rows in the first division into folds."""
        return self.divisions[0][0]

    def only(self, names: Sequence[str]) -> "Comparison":
        """Return the comparison of some of the routers."""
        divisions = tuple(
            (rows, {name: held_out[name] for name in names}) for rows, held_out in self.divisions
        )
        return replace(self, divisions=divisions)

    def predicted(self, router: str) -> Matrix:
        """Return the (judged rows, candidates) predictions of a router in the first division."""
        return self.divisions[0][1][router].outer

    def plan(self) -> Plan | None:
        """Return the router and margin that gain most on rows held out, or None."""
        outer = {name: [one[name].outer for _, one in self.divisions] for name in self.names}
        return choose_plan(outer, self.rows, _margins(self.names))

    def choices(self) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Return by division the (judged rows,) choices, each fold's plan chosen without it.

        They are columns: the candidate routed to, and the best single candidate.
        """
        margins = _margins(self.names)
        return [nested_choices(one, rows, margins) for rows, one in self.divisions]

    def gains(self) -> NDArray[np.float64]:
        """Return the (judged rows,) reward that those choices add, the mean over divisions."""
        each = [
            taken(self.rewards, chosen) - taken(self.rewards, default)
            for chosen, default in self.choices()
        ]
        return np.asarray(np.mean(each, axis=0))


def routers_named(router: str) -> tuple[str, ...]:
    """Return which routers are in question.

    Raises:
        DataError: no such router, or one that cannot be served.
    """
    if router == AUTO:
        return tuple(CLOSED_FORM)
    if router in ROUTERS and router not in NOT_SERVED:
        return (router,)
    served = ", ".join(name for name in (AUTO, *ROUTERS) if name not in NOT_SERVED)
    raise DataError(f"{router!r} is no router that can be served; there are: {served}")


def compare(
    data: Dataset,
    sample: Sample,
    names: Sequence[str],
    *,
    average: Average,
    seed: int,
    divisions: int | None = None,
) -> Comparison:
    """Fit every router on all but one fold, for each fold.

    Args:
        data: the rows.
        sample: the same rows, embedded.
        names: of routers, from the simplest on.
        average: what counts alike in every mean.
        seed: decides folds.
        divisions: into folds; by default several while rows are few and fits are quick.

    Raises:
        DataError: a candidate with too few rewards.
    """
    judged = judged_rows(data, seed)
    from_logs = not np.isfinite(sample.rewards[judged]).all()
    rewards, datasets = sample.rewards[judged], data.datasets[judged]
    closed = bool(CLOSED_FORM.keys() & set(names))
    if divisions is None:
        quick = len(sample) <= _FEW_ROWS and CLOSED_FORM.keys() >= set(names)
        divisions = DIVISIONS if quick else 1
    first: ClosedFormFits | None = None
    divided = []
    for division in range(divisions):
        fold_of = assign_folds(data.texts, data.datasets, seed=seed * DIVISIONS + division)
        fits = ClosedFormFits.of(sample, fold_of, data.candidates) if closed else None
        first = first or fits
        if from_logs:
            rewards = _from_logs(data, sample, fold_of, judged)
        held_out = {name: _held_out(name, sample, fits, fold_of, judged, seed) for name in names}
        divided.append((Judged(rewards, datasets, fold_of[judged], average), held_out))
    # Where few rows have every reward, the means over all rows say more of who is best.
    if len(judged) >= FEWEST_TO_LEARN:
        default = divided[0][0].best_single()
    else:
        default = best_single(sample.rewards, row_weights(data.datasets, average))
    return Comparison(judged, rewards, tuple(divided), first, default)


def _margins(names: Sequence[str]) -> dict[str, Sequence[float]]:
    # Only the closed-form routers predict on the scale of rewards.
    return {name: MARGINS if name in CLOSED_FORM else (0.0,) for name in names}


def judged_rows(data: Dataset, seed: int) -> NDArray[np.intp]:
    """Return the rows that routers are compared on: those with every reward, if they are enough.

    Else those with one reward and the probability of its candidate, if there are more.
    """
    full = np.flatnonzero(np.isfinite(data.rewards).all(axis=1))
    logged = np.flatnonzero(np.isfinite(_propensities(data)))
    rows = full if len(full) >= FEWEST_TO_LEARN or len(full) >= len(logged) else logged
    if len(rows) <= MOST_JUDGED:
        return rows
    drawn = np.random.default_rng(seed).permutation(len(rows))[:MOST_JUDGED]
    return np.sort(rows[drawn])


def _propensities(data: Dataset) -> NDArray[np.float64]:
    return np.full(len(data), np.nan) if data.propensities is None else data.propensities


def _from_logs(
    data: Dataset, sample: Sample, fold_of: NDArray[np.intp], judged: NDArray[np.intp]
) -> Matrix:
    """Return the judged rows' rewards, corrected by what the log shows predictions to miss."""
    fits = ClosedFormFits.of(sample, fold_of, data.candidates)
    decided = np.full(len(data), -1, np.intp) if data.decided is None else data.decided
    actions = decided[judged]
    logged = Logged(actions, taken(sample.rewards[judged], actions), _propensities(data)[judged])
    return corrected_rewards(logged, fits.held_out(_NUISANCE, judged))


def _held_out(
    name: str,
    sample: Sample,
    fits: ClosedFormFits | None,
    fold_of: NDArray[np.intp],
    judged: NDArray[np.intp],
    seed: int,
) -> HeldOut:
    if fits is not None and name in CLOSED_FORM:
        inner = [fits.held_out(name, judged, frozenset({fold})) for fold in sorted(ALL)]
        return HeldOut(fits.held_out(name, judged), inner)
    outer = np.full((len(judged), sample.candidates), np.nan)
    for fold in ALL:
        at = np.flatnonzero(fold_of[judged] == fold)
        if len(at):
            router = FITTED[name](sample.take(fold_of != fold), seed)
            outer[at] = predict(router, sample, judged[at])
    return HeldOut(outer, None)
