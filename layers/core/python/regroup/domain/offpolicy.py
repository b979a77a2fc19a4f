"""What a policy would earn, estimated from a log that another policy wrote.

A logged query shows the reward of one candidate alone. Each row is weighed by how much likelier
the policy under evaluation is to take its action than the logging policy was, so propensities must
be the true ones, and every action that the policy may take must have had a chance.

Intervals are 95 % and hold for the traffic that the rows were drawn from, not for these rows alone.
Their variance is that of the influence function, each squared term divided by one less its row's
share of all weight (HC2, MacKinnon and White 1985): for equal weights, the variance of a mean. A
few unlikely actions carry most of it, so it is uncertain itself, and the normal quantile would hold
the truth too rarely. Student's quantile is taken instead; its degrees of freedom are Kish's number
(1965) of the rows that carry the variance, less one.

Weights are never clipped: that would trade variance for a bias which no interval shows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regroup.errors import DataError

type Floats = NDArray[np.float64]

TOLERANCE = 1e-6
"""How far from 1 the probabilities of one row may sum."""

_LEAST_EFFECTIVE_ROWS = 2.0
"""One row says nothing of how far rewards spread: below this an interval is unbounded."""

# The 97.5 % quantile of Student's t by degrees of freedom. It is convex in one over them, so a line
# between two entries is never too low.
_DEGREES = np.array([np.inf, 20, 10, 6, 4, 3, 2, 1.5, 1.2, 1])
_QUANTILES = np.array([1.96, 2.086, 2.2282, 2.4470, 2.7765, 3.1825, 4.3027, 6.0167, 8.649, 12.7063])


@dataclass(frozen=True, slots=True)
class Logged:
    """Queries with the one action taken, its reward and how likely it was.

    Raises:
        DataError: lengths differ, there is no row, or a number is out of its range.
    """

    actions: NDArray[np.intp]
    """(rows,) column of the candidate that answered"""
    rewards: Floats
    """(rows,) what its answer earned"""
    propensities: Floats
    """(rows,) probability, in (0, 1], with which the logging policy took this action"""
    weights: Floats | None = None
    """(rows,) what each row counts: 1 / inclusion probability where rows were sampled unevenly"""
    supported: NDArray[np.bool_] | None = None
    """(rows, candidates) whether the logging policy could take each action; None: all of them"""

    def __post_init__(self) -> None:
        """Refuse what no estimate can be made from."""
        rows = (len(self.actions),)
        columns = {name: getattr(self, name) for name in ("actions", "rewards", "propensities")}
        for name, values in (columns | {"weights": self.counts}).items():
            if values.shape != rows:
                raise DataError(
                    f"logged {name} have shape {values.shape}, not {rows}: one for each row"
                )
        if len(self) == 0:
            raise DataError("the log holds no rows: log decisions with their rewards first")
        if not np.issubdtype(self.actions.dtype, np.integer) or self.actions.min() < 0:
            raise DataError("logged actions must be column numbers of candidates, from 0 on")
        _refuse(~np.isfinite(self.rewards), "has no finite reward: leave out rows not yet scored")
        _refuse(
            ~((self.propensities > 0) & (self.propensities <= 1)),
            "has a propensity outside (0, 1]: log the probability that the action taken had",
        )
        _refuse(
            ~(np.isfinite(self.counts) & (self.counts > 0)),
            "has a weight that is not above 0: it is 1 / inclusion probability",
        )

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.actions)

    @property
    def counts(self) -> Floats:
        """(rows,) what each row counts: its weight, or 1."""
        return np.ones(len(self)) if self.weights is None else self.weights


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean reward, or a difference of two, with its 95 % interval."""

    value: float
    low: float
    high: float
    effective_rows: float
    """How many equally weighted rows would say as much (Kish 1965)."""


def ips(logged: Logged, target: Floats) -> Estimate:
    """Estimate by inverse propensity scores (Horvitz and Thompson 1952): unbiased, but noisy.

    Args:
        logged: the log.
        target: (rows, candidates) probabilities of the policy under evaluation; one-hot rows for
            a policy that does not draw.

    Raises:
        DataError: `target` does not fit the log, or the log cannot say anything about it.
    """
    ratios = _ratios(logged, target)
    effective_rows = _kish(_overlap(logged.counts * ratios))
    return _weighted_mean(ratios * logged.rewards, logged.counts, effective_rows)


def snips(logged: Logged, target: Floats) -> Estimate:
    """Estimate by self-normalised propensity scores (Swaminathan and Joachims 2015).

    The weights' own sum is the divisor: a constant added to all rewards is added to the estimate,
    and the variance, by the delta method, is that of the rewards around it. The bias this brings
    falls as one over the number of rows.

    Args:
        logged: the log.
        target: as for `ips`.

    Raises:
        DataError: as for `ips`.
    """
    weights = _overlap(logged.counts * _ratios(logged, target))
    return _weighted_mean(logged.rewards, weights, _kish(weights))


def doubly_robust(logged: Logged, target: Floats, predicted: Floats) -> Estimate:
    """Estimate from a reward model, corrected by what the log shows it to miss.

    It is right where either propensities or predictions are (Dudik, Langford and Li 2011), and the
    better the predictions, the narrower its interval.

    Args:
        logged: the log.
        target: as for `ips`.
        predicted: (rows, candidates) rewards from a model that did not see the row it predicts: a
            model that did explains the row's noise too, and the interval would be too narrow.

    Raises:
        DataError: as for `ips`, or `predicted` has another shape or a number that is not finite.
    """
    ratios = _ratios(logged, target)
    effective_rows = _kish(_overlap(logged.counts * ratios))
    return _weighted_mean(
        _corrected(logged, target, ratios, predicted), logged.counts, effective_rows
    )


def corrected_rewards(logged: Logged, predicted: Floats) -> Floats:
    """Return (rows, candidates) rewards: their mean over a policy's choices estimates its value.

    The estimate is the doubly robust one.

    The prediction stands for what was not observed; where an action was, its miss is added, as
    many times as the action was unlikely. One row says little, and may lie far outside [0, 1]:
    only means over many rows are estimates.

    Args:
        logged: the log.
        predicted: as for `doubly_robust`.

    Raises:
        DataError: shapes differ, or a prediction is not finite.
    """
    taken = np.zeros_like(predicted)
    taken[np.arange(len(logged)), logged.actions] = 1.0
    misses = _corrected(logged, taken, 1.0 / logged.propensities, predicted)
    chosen = predicted[np.arange(len(logged)), logged.actions]
    return np.asarray(predicted + taken * (misses - chosen)[:, None])


def difference(logged: Logged, target_a: Floats, target_b: Floats, predicted: Floats) -> Estimate:
    """Estimate what policy A earns more than policy B, both on the same rows.

    Rows on which the two agree cancel, so this is narrower than the difference of two estimates.
    It is doubly robust, as `doubly_robust` is.

    Args:
        logged: the log.
        target_a: (rows, candidates) probabilities of policy A.
        target_b: (rows, candidates) probabilities of policy B.
        predicted: as for `doubly_robust`.

    Raises:
        DataError: as for `doubly_robust`.
    """
    ratios = _ratios(logged, target_a) - _ratios(logged, target_b)
    values = _corrected(logged, target_a - target_b, ratios, predicted)
    if np.array_equal(target_a, target_b):
        return Estimate(0.0, 0.0, 0.0, _kish(logged.counts))
    effective_rows = _kish(_overlap(logged.counts * np.abs(ratios)))
    return _weighted_mean(values, logged.counts, effective_rows)


def _ratios(logged: Logged, target: Floats) -> Floats:
    """Return the (rows,) probability of each action under `target` over that under the log."""
    if target.ndim != 2 or len(target) != len(logged):
        raise DataError(
            f"the policy's probabilities have shape {target.shape}, "
            f"not ({len(logged)}, candidates): one row for each of the log's"
        )
    if logged.actions.max() >= target.shape[1]:
        raise DataError(
            f"the log takes action {logged.actions.max()}, but the policy knows only "
            f"{target.shape[1]} candidates: give it a column for each of the log's"
        )
    sums_to_one = np.abs(target.sum(axis=1) - 1.0) <= TOLERANCE
    _refuse(
        ~(sums_to_one & (target >= 0).all(axis=1)),
        "of the policy is no distribution: probabilities are at least 0 and sum to 1",
    )
    if logged.supported is not None:
        if logged.supported.shape != target.shape:
            raise DataError(
                f"supported has shape {logged.supported.shape}, but the policy {target.shape}: "
                "both have a column for each candidate"
            )
        _refuse(
            ((target > 0) & ~logged.supported).any(axis=1),
            "gives the policy a candidate that the log could not take: mask it there too, log "
            "with exploration, or leave out requests that named their model",
        )
    taken = target[np.arange(len(logged)), logged.actions]
    return np.asarray(taken / logged.propensities, np.float64)


def _corrected(logged: Logged, target: Floats, ratios: Floats, predicted: Floats) -> Floats:
    """Return the (rows,) doubly robust terms, whose weighted mean is the estimate."""
    if predicted.shape != target.shape:
        raise DataError(
            f"predicted rewards have shape {predicted.shape}, not {target.shape}: one for each "
            "row and candidate"
        )
    _refuse(
        ~np.isfinite(predicted).all(axis=1),
        "has a predicted reward that is not finite: fit every candidate first",
    )
    taken = predicted[np.arange(len(logged)), logged.actions]
    return np.asarray((target * predicted).sum(axis=1) + ratios * (logged.rewards - taken))


def _overlap(weights: Floats) -> Floats:
    if not weights.any():
        raise DataError(
            "no logged row took an action that tells the policy's reward: log with exploration, "
            "or evaluate a policy closer to the one that wrote the log"
        )
    return weights


def _weighted_mean(values: Floats, weights: Floats, effective_rows: float) -> Estimate:
    """Return the mean with its interval; values that are all alike leave it no width."""
    shares = weights / weights.sum()
    value = float(shares @ values)
    if min(effective_rows, _kish(weights)) < _LEAST_EFFECTIVE_ROWS:
        return Estimate(value, -np.inf, np.inf, effective_rows)
    # From two effective rows on no share is above 0.71: the divisor is far from 0.
    variances = (shares * (values - value)) ** 2 / (1.0 - shares)
    half = _quantile(_kish(variances) - 1.0) * float(np.sqrt(variances.sum()))
    return Estimate(value, value - half, value + half, effective_rows)


def _quantile(degrees: float) -> float:
    return float(np.interp(1.0 / max(degrees, 1.0), 1.0 / _DEGREES, _QUANTILES))


def _kish(weights: Floats) -> float:
    """Return how many equal weights would spread as these do; 0 where all are 0."""
    scaled = weights / max(float(weights.max()), np.finfo(np.float64).tiny)
    return float(scaled.sum() ** 2 / max(float((scaled**2).sum()), 1.0))


def _refuse(wrong: NDArray[np.bool_], complaint: str) -> None:
    if wrong.any():
        more = "" if wrong.sum() == 1 else f" (and {wrong.sum() - 1} more)"
        raise DataError(f"row {int(wrong.argmax()) + 1}{more} {complaint}")
