"""How sure a closed-form router's predictions are, calibrated on rows held out."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from regroup.domain.uncertainty import Uncertainty, probability_best
from training.comparison import Comparison
from training.crossval import ALL, ClosedFormFits
from training.dataset import Matrix
from training.decide import decide, taken
from training.gate import FEWEST_TO_LEARN
from training.ridge import CLOSED_FORM, ClosedForm, Folds, Pooled

MOST_KNOTS = 16
"""Of a calibration curve: more follow chance at its ends."""

ROWS_PER_KNOT = 50
"""Fewer would let a lucky row say how often its like is right."""

BINS = 10
"""Of a reliability curve."""

_WITHOUT_SLOPE, _WITHOUT_CORRECTION = ("cluster-mean",), ("pooled-ridge",)
_CHUNK_ROWS = 256

type Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reliability:
    """Predictions beside what came of them, on rows that neither was fitted on."""

    curve: tuple[tuple[float, float, int], ...]
    """By bin of alike predictions: their mean, the realised mean, and the rows."""
    expected_calibration_error: float
    """The mean distance of the two, by rows (Naeini, Cooper and Hauskrecht 2015)."""

    @classmethod
    def of(cls, predicted: Numbers, realised: Numbers) -> "Reliability":
        """Compare (rows,) predictions with what came of them, in bins of about equal counts."""
        means, outcomes, rows = _binned(predicted, realised, BINS)
        error = float(np.abs(means - outcomes) @ rows / max(rows.sum(), 1.0))
        curve = zip(means.tolist(), outcomes.tolist(), rows.astype(int).tolist(), strict=True)
        return cls(tuple(curve), error)


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What is exported, and how far to trust it: each fold judged by a curve of the others."""

    uncertainty: Uncertainty
    best_raw: Reliability
    """Probability of the chosen candidate being the best, before calibration."""
    best: Reliability
    gain_raw: Reliability
    """Predicted lead over the default candidate, of the rows routed away from it."""
    gain: Reliability


@dataclass(frozen=True, slots=True)
class _HeldOutChoices:
    """What the router chose on rows held out, what it said of that, and what came of it."""

    fold_of: NDArray[np.intp]
    probability: Numbers
    """Raw."""
    was_best: Numbers
    """1.0 where no other candidate earned more."""
    predicted_gain: Numbers
    gain: Numbers


def calibrate(comparison: Comparison, router: str, *, min_margin: float) -> Calibrated | None:
    """Fit the uncertainty of a router on all rows, and its curves on rows held out.

    Args:
        comparison: of the routers in question.
        router: the one that is served.
        min_margin: the lead that a query must have to leave the default candidate.

    Returns:
        None for a router that is not closed-form, or with too few rows to calibrate on.
    """
    fits = comparison.fits
    if fits is None or router not in CLOSED_FORM or len(comparison.judged) < FEWEST_TO_LEARN:
        return None
    held_out = _held_out_choices(comparison, fits, router, min_margin)
    moved = held_out.predicted_gain > 0
    best = (held_out.probability, held_out.was_best)
    gain = (held_out.predicted_gain[moved], held_out.gain[moved])
    best_x, best_y = monotone_curve(*best)
    gain_x, gain_y = monotone_curve(*gain)
    return Calibrated(
        replace(
            fit_uncertainty(fits, router),
            best_x=best_x,
            best_y=np.clip(best_y, 0.0, 1.0),
            gain_x=gain_x,
            gain_y=gain_y,
        ),
        best_raw=Reliability.of(*best),
        best=Reliability.of(cross_fitted(*best, held_out.fold_of), best[1]),
        gain_raw=Reliability.of(*gain),
        gain=Reliability.of(cross_fitted(*gain, held_out.fold_of[moved]), gain[1]),
    )


def fit_uncertainty(fits: ClosedFormFits, router: str, folds: Folds = ALL) -> Uncertainty:
    """Return the posterior spread of a router fitted on some folds; both curves say `y = x`.

    Candidates share the centre and the basis of those with the most rows. Where others were
    scored on other rows, the covariance of those between its directions is left out. A ridge per
    cluster is taken for one ridge with a correction per cluster. How far rewards are from what
    the router can express is in no error.

    Args:
        fits: of the sample.
        router: a name in `CLOSED_FORM`.
        folds: to fit on.
    """
    most = max((part for _, part in fits.parts), key=lambda part: _mass(part, folds))
    shared = most.path(folds)
    candidates, rank = fits.sample.candidates, shared.basis.shape[1]
    spectrum = np.zeros((candidates, rank))
    mass = np.zeros(candidates)
    penalty, noise, choice_weight = np.zeros((3, 2, candidates))
    cluster_variance = np.zeros((2, fits.sample.n_clusters, candidates))
    for columns, part in fits.parts:
        fitted = part.flat(folds) if router in _WITHOUT_SLOPE else part.pooled(folds)
        spectrum[columns] = _spectrum(part, folds, shared.basis)
        mass[columns] = _mass(part, folds)
        penalty[:, columns] = _level_and_own(fitted.penalty)
        noise[:, columns] = _level_and_own(np.maximum(fitted.noise, 0.0))
        variance = _cluster_variance(part, fitted, router, folds)
        cluster_variance[..., columns] = _level_and_own(variance)
        # What candidates of one level add sums to 0, and so do the errors of it: independent
        # errors whose differences vary alike are larger.
        choice_weight[1, columns] = len(columns) / max(len(columns) - 1, 1)
    choice_weight[0] = float(len(fits.parts) > 1)
    same = np.array([0.0, 1.0])
    return Uncertainty(
        centre=shared.centre.astype(np.float32),
        basis=shared.basis.astype(np.float32),
        spectrum=spectrum,
        penalty=penalty,
        noise=noise,
        mass=mass,
        cluster_variance=cluster_variance,
        choice_weight=choice_weight,
        gain_x=same,
        gain_y=same,
        best_x=same,
        best_y=same,
    )


def held_out_errors(fits: ClosedFormFits, router: str, rows: NDArray[np.intp]) -> Matrix:
    """Return (rows, candidates) errors of a choice on some rows, by folds other than their own."""
    sample = fits.sample
    errors = np.empty((len(rows), sample.candidates))
    for fold in ALL:
        at = fits.fold_of[rows] == fold
        fitted = fit_uncertainty(fits, router, ALL - {fold})
        embeddings, labels = sample.embeddings[rows[at]], sample.labels[rows[at]]
        errors[at] = fitted.choice_errors(embeddings, labels)
    return errors


def monotone_curve(predicted: Numbers, realised: Numbers) -> tuple[Numbers, Numbers]:
    """Return at most `MOST_KNOTS` knots (x, y) of what predictions came to, never falling.

    Isotonic regression (Barlow et al. 1972) of means over rows of alike predictions: single rows
    would decide both ends of the curve. Where there are no rows at all, nothing is promised.
    """
    bins = min(MOST_KNOTS, max(1, len(predicted) // ROWS_PER_KNOT))
    x, y, rows = _binned(predicted, realised, bins)
    if not len(x):
        return np.zeros(1), np.zeros(1)
    fitted = IsotonicRegression(out_of_bounds="clip").fit_transform(x, y, sample_weight=rows)
    return x, np.asarray(fitted, np.float64)


def cross_fitted(predicted: Numbers, realised: Numbers, fold_of: NDArray[np.intp]) -> Numbers:
    """Return predictions mapped by the curve of the other folds."""
    mapped = np.empty(len(predicted))
    for fold in np.unique(fold_of):
        rest = fold_of != fold
        knots = monotone_curve(predicted[rest], realised[rest])
        mapped[~rest] = np.interp(predicted[~rest], *knots)
    return mapped


def _held_out_choices(
    comparison: Comparison, fits: ClosedFormFits, router: str, min_margin: float
) -> _HeldOutChoices:
    predicted, rewards = comparison.predicted(router), comparison.rewards
    default = comparison.default
    chosen = decide(predicted, default, min_margin=min_margin)
    errors = held_out_errors(fits, router, comparison.judged)
    # In parts, for the quadrature holds a number per row, candidate and node.
    cuts = range(_CHUNK_ROWS, len(chosen), _CHUNK_ROWS)
    parts = (np.split(values, cuts) for values in (predicted, errors, chosen))
    probability = np.concatenate(list(map(probability_best, *parts)))
    earned = taken(rewards, chosen)
    return _HeldOutChoices(
        fold_of=comparison.rows.fold_of,
        probability=probability,
        was_best=(earned == rewards.max(axis=1)).astype(np.float64),
        predicted_gain=taken(predicted, chosen) - predicted[:, default],
        gain=earned - rewards[:, default],
    )


def _mass(part: ClosedForm, folds: Folds) -> float:
    return float(part.table.counts(folds).sum())


def _spectrum(part: ClosedForm, folds: Folds, basis: Matrix) -> Matrix:
    """Return the (rank,) sums of squares of a part's centred rows along shared directions."""
    path = part.path(folds)
    if path.basis is basis:
        return path.spectrum
    return np.square(path.basis.T @ basis).T @ path.spectrum


def _cluster_variance(part: ClosedForm, fitted: Pooled, router: str, folds: Folds) -> Matrix:
    if router in _WITHOUT_CORRECTION:
        return np.zeros((part.table.n_clusters, part.table.targets))
    return part.correction(fitted, folds)[1]


def _level_and_own(values: Matrix) -> Matrix:
    """Return (2, ..., candidates) from the (..., 1 + candidates) that `contrasts` are fitted as."""
    own = values[..., 1:]
    return np.stack([np.broadcast_to(values[..., :1], own.shape), own])


def _binned(predicted: Numbers, realised: Numbers, bins: int) -> tuple[Numbers, Numbers, Numbers]:
    """Return by bin, from low predictions to high: both means, and the number of rows.

    Bins hold about equal numbers of rows, and equal predictions share a bin.
    """
    if not len(predicted):
        return np.zeros(0), np.zeros(0), np.zeros(0)
    # Beyond nine digits two bins could not be told apart by their means.
    predicted = np.round(predicted, 9)
    edges = np.unique(np.quantile(predicted, np.arange(1, bins) / bins))
    bin_of = np.searchsorted(edges, predicted)
    rows = np.bincount(bin_of)
    seen = rows > 0
    mean, outcome = (np.bincount(bin_of, values) for values in (predicted, realised))
    return mean[seen] / rows[seen], outcome[seen] / rows[seen], rows[seen].astype(np.float64)
