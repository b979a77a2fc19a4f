"""Choose the router that an artifact serves, and say whether routing pays."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regroup.artifact import Preset, Verdict
from training.affine import AffineMaps, constant_maps, weighted_means
from training.comparison import Comparison
from training.dataset import Dataset, Matrix
from training.gate import FEWEST_TO_LEARN, Plan, judge_gain, least_error
from training.presets import NEVER, HeldOutRows, calibrate_presets
from training.price_gate import judge_price
from training.ridge import CLOSED_FORM
from training.routers import AUTO, FITTED
from training.sample import Sample


@dataclass(frozen=True, slots=True)
class Costs:
    """What each call costs, (rows, candidates) USD."""

    expected: Matrix
    """As a decision would expect it."""
    paid: Matrix
    """As it turned out; the expectation where nobody wrote it down."""

    def take(self, rows: NDArray[np.intp]) -> "Costs":
        """Return the rows of an index."""
        return Costs(self.expected[rows], self.paid[rows])

    def without(self, columns: NDArray[np.intp]) -> "Costs":
        """Return the same rows, with some candidates left out."""
        return Costs(
            np.delete(self.expected, columns, axis=1), np.delete(self.paid, columns, axis=1)
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """What is served, and what rows held out say of it."""

    router: str
    maps: AffineMaps
    verdict: Verdict
    min_margin: float
    presets: Mapping[str, Preset]
    predicted: Matrix
    """(judged rows, candidates), each by folds without it"""
    gains: NDArray[np.float64]
    """(judged rows,) what routing adds, each fold's plan chosen without it"""


def select(
    data: Dataset, sample: Sample, costs: Costs, comparison: Comparison, *, router: str, seed: int
) -> Selection:
    """Judge the routers compared, and fit the one to serve on all rows.

    Args:
        data: the rows.
        sample: the same rows, embedded.
        costs: of the same rows.
        comparison: of the routers in question on the same rows.
        router: `auto`, which serves the best single candidate where routing does not pay, or the
            name of the one to serve in any case; the verdict says whether it pays.
        seed: decides draws.
    """
    best, name = comparison.default, data.candidates[comparison.default]
    gains = comparison.gains()
    verdict = judge_gain(gains, comparison.rows, name, seed=seed)
    plan = _plan(comparison, router, pays=verdict.route)
    margin = plan.min_margin
    rows = _held_out_rows(comparison, costs, plan.router)
    if not verdict.route and plan.router in CLOSED_FORM and len(gains) >= FEWEST_TO_LEARN:
        by_price = judge_price(rows, comparison.rows.fold_of, best, name, seed=seed)
        if by_price is not None:
            # Routing may save money without ever raising the reward.
            verdict, margin = by_price, NEVER
    if router == AUTO and not verdict.route:
        plan, margin = Plan("best-single", 0.0), 0.0
        means = weighted_means(comparison.rewards, comparison.rows.weights())
        constant = np.repeat(means[None, :], len(gains), axis=0)
        rows = _held_out_rows(comparison, costs, plan.router, constant)
    return Selection(
        router=plan.router,
        maps=_fit(sample, comparison, plan.router, seed),
        verdict=verdict,
        min_margin=plan.min_margin,
        presets=calibrate_presets(rows, best, quality_margin=margin, seed=seed),
        predicted=rows.predicted,
        gains=gains,
    )


def raises_reward(selection: Selection) -> bool:
    """Say whether the preset `quality` ever leaves the default candidate."""
    margin = selection.presets["quality"].min_margin
    return selection.router != "best-single" and (margin is None or margin < NEVER)


def quality_choices(comparison: Comparison, selection: Selection) -> NDArray[np.intp]:
    """Return the (judged rows,) candidates that the preset `quality` chooses without its row."""
    chosen, default = comparison.choices()[0]
    return chosen if raises_reward(selection) else default


def _plan(comparison: Comparison, router: str, *, pays: bool) -> Plan:
    plan = comparison.plan() if pays or router != AUTO else None
    if plan is not None:
        return plan
    if router != AUTO:
        return Plan(router, 0.0)
    predicted = {name: comparison.predicted(name) for name in comparison.names}
    return Plan(least_error(predicted, comparison.rows), 0.0)


def _held_out_rows(
    comparison: Comparison, costs: Costs, router: str, predicted: Matrix | None = None
) -> HeldOutRows:
    expected, paid = costs.expected[comparison.judged], costs.paid[comparison.judged]
    if router in FITTED and router != "best-single":
        # A price cannot be weighed against a score that is no reward.
        expected = np.zeros_like(expected)
    return HeldOutRows(
        comparison.predicted(router) if predicted is None else predicted,
        comparison.rewards,
        expected,
        paid,
        comparison.rows.datasets,
        comparison.rows.average,
    )


def _fit(sample: Sample, comparison: Comparison, router: str, seed: int) -> AffineMaps:
    if router in CLOSED_FORM and comparison.fits is not None:
        return comparison.fits.maps(router)
    if router == "best-single":
        means = weighted_means(comparison.rewards, comparison.rows.weights())
        return constant_maps(means, sample.n_clusters, sample.dims)
    fitted = FITTED[router](sample, seed)
    if not isinstance(fitted, AffineMaps):
        raise TypeError(f"{router} is not served as affine maps")
    return fitted
