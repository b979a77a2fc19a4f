"""Heads for a candidate that was scored on few queries, from the heads of the others.

A newcomer starts as the mean of the known candidates: how easy a query is for all. Its few labels
say how far it leads or lags, per cluster too, and which known candidates it takes after. Part of a
reward is luck that the candidates share on a query; where the others were scored on the same
queries, their luck is known and is taken out, so that few labels say more.

All of it is one linear regression with normal priors on its coefficients. The priors' variances
are those under which the labels are most likely (empirical Bayes, Morris 1983), themselves held
near usual values. What is learned is a weighted sum of the known heads, plus a map of its own, so
it is served like any other head.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regroup.errors import DataError
from training.affine import AffineMaps
from training.crossval import ALL, FEWEST_REWARDS, ClosedFormFits
from training.dataset import Matrix
from training.gate import FEWEST_TO_LEARN
from training.ridge import Folds
from training.sample import Sample

SCARCE_SHARE = 1 / 3
"""Of the most rewards that a candidate has: with at least this, a candidate stands alone."""

_LEAD = 0.05
"""How far a candidate usually leads or lags; with more known candidates, they tell."""

_FACTORS = (0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
"""Of a usual variance: what is tried."""

_DOUBT = np.log(10.0)
"""Standard deviation of the logarithm of a variance around its usual value."""

_FEWEST_KNOWN = 2
"""Candidates that a newcomer is placed among."""

_SWEEPS = 4
_LEAST_NOISE = 1e-9


@dataclass(frozen=True, slots=True)
class Labelled:
    """The rows on which a newcomer was scored."""

    sample: Sample
    """The rows; its candidates are the known ones, gaps allowed."""
    rewards: NDArray[np.float64]
    """(rows,) of the newcomer, no gaps"""
    predicted: Matrix
    """(rows, known candidates), each row by fits that did not see it"""


@dataclass(frozen=True, slots=True)
class _Part:
    """Columns of the regression that share a prior variance."""

    values: Matrix
    """(rows, columns)"""
    usual: float
    """Their variance, in units of the noise."""


def scarce_columns(rewards: Matrix) -> NDArray[np.intp]:
    """Return the candidates that have too few rewards to stand alone, where others have many.

    Args:
        rewards: (rows, candidates); a gap is NaN.
    """
    counts = np.isfinite(rewards).sum(axis=0)
    few = (counts < FEWEST_TO_LEARN) & (counts < SCARCE_SHARE * counts.max())
    return np.flatnonzero(few)


def without(sample: Sample, columns: NDArray[np.intp]) -> Sample:
    """Return the same rows, with some candidates left out."""
    return Sample(
        sample.embeddings,
        np.delete(sample.rewards, columns, axis=1),
        sample.labels,
        sample.n_clusters,
        sample.weights,
    )


def with_newcomers(
    fits: ClosedFormFits,
    router: str,
    sample: Sample,
    columns: NDArray[np.intp],
    names: tuple[str, ...],
    folds: Folds = ALL,
) -> AffineMaps:
    """Return the maps of all the candidates: the known ones as fitted, and the newcomers'.

    Args:
        fits: of `without(sample, columns)`.
        router: a name in `CLOSED_FORM`, fitted to the known candidates.
        sample: the rows, with all the candidates.
        columns: the newcomers.
        names: of all the candidates, for errors.
        folds: what may be learned from.

    Raises:
        DataError: a newcomer has too few rewards.
    """
    known = fits.maps(router, folds)
    allowed = np.isin(fits.fold_of, list(folds)) & (sample.weights > 0)
    others = without(sample, columns)
    shape = (sample.n_clusters, sample.candidates)
    maps = AffineMaps(np.zeros((*shape, sample.dims)), np.zeros(shape))
    settled = np.setdiff1d(np.arange(sample.candidates), columns)
    maps.weights[:, settled], maps.bias[:, settled] = known.weights, known.bias
    for column in columns:
        rewards = sample.rewards[:, column]
        rows = np.flatnonzero(np.isfinite(rewards) & allowed)
        if len(rows) < FEWEST_REWARDS:
            raise DataError(
                f"{names[column]} has {len(rows)} rewards: at least {FEWEST_REWARDS} are needed to "
                "place it among the others; score more of its answers, or leave it out"
            )
        predicted = fits.held_out(router, rows, ALL - folds)
        one = fit_newcomer(Labelled(others.take(rows), rewards[rows], predicted), known)
        maps.weights[:, column], maps.bias[:, column] = one.weights[:, 0], one.bias[:, 0]
    return maps


def newcomers(rewards: Matrix) -> NDArray[np.intp]:
    """Return the scarce candidates that can be placed: most of their rows score others too.

    A log has one reward a row, so its rare candidates are no newcomers: exploration scored them.
    """
    scarce = scarce_columns(rewards)
    if rewards.shape[1] - len(scarce) < _FEWEST_KNOWN:
        return np.array([], np.intp)
    others = np.isfinite(np.delete(rewards, scarce, axis=1)).any(axis=1)
    placed = [c for c in scarce if others[np.isfinite(rewards[:, c])].mean() > 0.5]
    return np.array(placed, np.intp)


def lowered(maps: AffineMaps, rewards: Matrix, columns: NDArray[np.intp]) -> AffineMaps:
    """Return the maps with each newcomer one standard error of its mean reward lower.

    Few labels overrate a candidate as often as they underrate it, and only where they overrate it
    does it take queries from the others. As labels come in, what it is lowered by vanishes.

    Args:
        maps: of all candidates.
        rewards: (rows, candidates); a gap is NaN.
        columns: the newcomers.
    """
    bias = maps.bias.copy()
    for column in columns:
        scored = rewards[np.isfinite(rewards[:, column]), column]
        bias[:, column] -= scored.std(ddof=1) / np.sqrt(len(scored))
    return AffineMaps(maps.weights, bias)


def placed_last(maps: AffineMaps, columns: NDArray[np.intp]) -> AffineMaps:
    """Return the maps with newcomers put in that are never chosen by their prediction.

    Where no router is served that they could be placed in, they are asked by name or by chance.

    Args:
        maps: of the known candidates.
        columns: the newcomers' places among all the candidates.
    """
    least = maps.bias.min(axis=1) - 2.0 * np.abs(maps.weights).sum(axis=2).max(axis=1)
    weights, bias = maps.weights, maps.bias
    for column in np.sort(columns):
        weights = np.insert(weights, column, 0.0, axis=1)
        bias = np.insert(bias, column, least, axis=1)
    return AffineMaps(weights, bias)


def fit_newcomer(labelled: Labelled, known: AffineMaps) -> AffineMaps:
    """Return the maps of one more candidate.

    Args:
        labelled: where it was scored; every row counts more than nothing.
        known: maps of the known candidates, fitted on all their rows.
    """
    sample, predicted = labelled.sample, labelled.predicted
    seen = np.isfinite(sample.rewards)
    # A gap is filled by what is expected there: of the luck of an answer nothing is known.
    realised = np.where(seen, sample.rewards, predicted)
    easy = predicted.mean(axis=1, keepdims=True)
    usual = realised.mean(axis=1, keepdims=True)
    lead = labelled.rewards - usual[:, 0]
    counted = sample.weights / sample.weights.mean()
    squares = (lead - np.average(lead, weights=counted)) ** 2
    noise = max(float(np.average(squares, weights=counted)), _LEAST_NOISE)
    ease, centre = float(easy.mean()), sample.embeddings.mean(axis=0, dtype=np.float64)
    parts = (
        _Part(np.ones_like(easy), _usual_lead(predicted) / noise),
        _Part(easy - ease, 0.06 / noise),
        _Part(predicted - easy, 0.2 / noise),
        _Part(np.eye(sample.n_clusters)[sample.labels], 0.03),
        _Part(sample.embeddings - centre, 0.1),
        # Rewards tell more of whom it takes after than predictions do, for they differ more.
        _Part(realised - usual, 0.04 / noise),
        _Part(usual - easy, 0.2 / noise),
    )
    found = _regress(parts, lead, counted)
    # The luck of a query to come is not known: its expectation, nothing, is what counts.
    (offset,), (slope,), profile, cluster, own, alike, _ = found
    lean = profile + alike
    mix = (1.0 + slope) / len(lean) + lean - lean.mean()
    weights = np.einsum("c,kcd->kd", mix, known.weights) + own
    bias = known.bias @ mix + offset - slope * ease + cluster - own @ centre
    return AffineMaps(weights[:, None, :], bias[:, None])


def _usual_lead(predicted: Matrix) -> float:
    """Return the mean square of how far the known candidates lead or lag, one usual lead added.

    Few labels overrate a newcomer by chance as often as they underrate it, and it would then take
    every query: candidates that lie close together make that unlikely beforehand.
    """
    leads = predicted.mean(axis=0) - predicted.mean()
    return float((_LEAD**2 + (leads**2).sum()) / len(leads))


def _regress(
    parts: tuple[_Part, ...], target: NDArray[np.float64], weights: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Return the coefficients of each part under the likeliest prior variances."""
    grams = np.array([part.values @ part.values.T for part in parts])
    usual = np.array([part.usual for part in parts])
    noise = np.diag(1.0 / weights)
    factors = _likeliest(grams * usual[:, None, None], noise, target)
    variances = usual * factors
    dual = np.linalg.solve(np.tensordot(variances, grams, axes=1) + noise, target)
    return [v * (part.values.T @ dual) for v, part in zip(variances, parts, strict=True)]


def _likeliest(grams: Matrix, noise: Matrix, target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (parts,) factors of the usual variances, found one at a time.

    Args:
        grams: (parts, rows, rows) what each part adds to the covariance of the target.
        noise: (rows, rows)
        target: (rows,)
    """
    factors = np.ones(len(grams))
    least = _surprise(np.tensordot(factors, grams, axes=1) + noise, target)
    for _ in range(_SWEEPS):
        before = factors.copy()
        for part in range(len(grams)):
            rest = np.tensordot(factors, grams, axes=1) + noise - factors[part] * grams[part]
            doubts = (np.log(np.delete(factors, part)) ** 2).sum()
            for factor in _FACTORS:
                doubt = (doubts + np.log(factor) ** 2) / _DOUBT**2
                surprise = _surprise(rest + factor * grams[part], target) + doubt
                if surprise < least:
                    least, factors[part] = surprise, factor
        if np.array_equal(before, factors):
            break
    return factors


def _surprise(covariance: Matrix, target: NDArray[np.float64]) -> float:
    """Return -2 log likelihood, but for a constant, under the likeliest scale of the noise."""
    lower = np.linalg.cholesky(covariance)
    white = np.linalg.solve(lower, target)
    scale = max(float(white @ white) / len(target), _LEAST_NOISE)
    return float(len(target) * np.log(scale) + 2.0 * np.log(np.diag(lower)).sum())
