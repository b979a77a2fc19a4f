"""How sure a prediction is: errors of the rewards, and what a choice by them comes to."""

from dataclasses import dataclass
from math import erf, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from regroup.errors import ArtifactIncompatibleError

type Numbers = NDArray[np.float64]

_NODES, _NODE_WEIGHTS = np.polynomial.hermite.hermgauss(48)
"""Exact enough while no candidate's error is more than some three times another's."""

_LEAST_ERROR = 1e-6
"""Below any reward's resolution: keeps a candidate without error from dividing by zero."""

_LARGEST = np.finfo(np.float64).max
_RANGES = {
    **dict.fromkeys(("spectrum", "noise", "cluster_variance", "choice_weight"), (0.0, _LARGEST)),
    "penalty": (1e-9, np.inf),
    "mass": (1e-9, _LARGEST),
    "best_y": (0.0, 1.0),
}
"""What a fit can give; any finite number where nothing is said."""


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """The posterior spread of a router's predictions, and two curves from rows held out.

    A reward is predicted in two parts: the query's level, which candidates scored on the same
    rows share, and what the candidate adds to it. Each is a ridge in the directions of `basis`,
    whose posterior is Gaussian (Lindley and Smith 1972), plus a correction per cluster. Axes of
    length 2 are these parts.
    """

    centre: NDArray[np.float32]
    """(dims,) mean embedding"""
    basis: NDArray[np.float32]
    """(dims, rank) orthonormal columns"""
    spectrum: Numbers
    """(candidates, rank) sums of squares along them of the centred rows that the candidate has"""
    penalty: Numbers
    """(2, candidates) of the ridge; inf where the router has no slope"""
    noise: Numbers
    """(2, candidates) held-out mean squared error"""
    mass: Numbers
    """(candidates,) sum of the weights of its rows, above 0"""
    cluster_variance: Numbers
    """(2, clusters, candidates) of the cluster's correction"""
    choice_weight: Numbers
    """(2, candidates) what a part's variance counts where candidates are compared"""
    gain_x: Numbers
    """(knots,) predicted gains, rising"""
    gain_y: Numbers
    """(knots,) realised gains, never falling"""
    best_x: Numbers
    """(knots,) raw probabilities of being the best, rising"""
    best_y: Numbers
    """(knots,) how often that candidate was the best, never falling"""

    def __post_init__(self) -> None:
        """Refuse shapes that do not fit each other, and numbers that no fit can give."""
        for name, shape in self._shapes().items():
            found = getattr(self, name)
            if found.shape != shape or 0 in shape:
                raise _misfit(f"{name} has shape {found.shape}, not {shape}")
            least, most = _RANGES.get(name, (-_LARGEST, _LARGEST))
            if not ((found >= least) & (found <= most)).all():
                raise _misfit(f"{name} holds a number that is not in [{least:g}, {most:g}]")
        for curve in ("gain", "best"):
            x, y = getattr(self, f"{curve}_x"), getattr(self, f"{curve}_y")
            if (np.diff(x) <= 0).any() or (np.diff(y) < 0).any():
                raise _misfit(f"the curve of {curve} does not rise")

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        candidates = self.mass.shape[:1]
        parts = (2, *candidates)
        dims, rank = self.centre.shape[:1], self.spectrum.shape[-1:]
        knots = {name: getattr(self, f"{name}_x").shape[:1] for name in ("gain", "best")}
        return {
            "centre": dims,
            "basis": dims + rank,
            "spectrum": candidates + rank,
            "penalty": parts,
            "noise": parts,
            "mass": candidates,
            "cluster_variance": (2, *self.cluster_variance.shape[1:2], *candidates),
            "choice_weight": parts,
            **{f"{name}_{axis}": shape for name, shape in knots.items() for axis in "xy"},
        }

    def standard_errors(
        self, embedding: NDArray[np.floating], cluster: int | NDArray[np.intp]
    ) -> Numbers:
        """Return the (candidates,) standard errors of the predicted mean rewards.

        The variance of each part is `noise * (sum_j p_j^2 / (spectrum_j + penalty) + 1 / mass)`,
        where `p_j` is the centred embedding's part along direction j, plus the cluster's. An
        error of the mean reward of such queries: a single answer varies by its noise besides.

        Args:
            embedding: (dims,); or (rows, dims), which gives (rows, candidates).
            cluster: of the embedding; or (rows,).
        """
        return np.asarray(np.sqrt(sum(self._variances(embedding, cluster))))

    def choice_errors(
        self, embedding: NDArray[np.floating], cluster: int | NDArray[np.intp]
    ) -> Numbers:
        """Return the (candidates,) errors that bear on which candidate is best.

        A query that is harder than predicted is so for all: a level that they share leaves their
        order as it is. Arguments as of `standard_errors`.
        """
        weighted = zip(self.choice_weight, self._variances(embedding, cluster), strict=True)
        return np.asarray(np.sqrt(sum(weight * variance for weight, variance in weighted)))

    def _variances(
        self, embedding: NDArray[np.floating], cluster: int | NDArray[np.intp]
    ) -> list[Numbers]:
        along = np.square((embedding - self.centre) @ self.basis, dtype=np.float64)
        variances = []
        for penalty, noise, of_clusters in zip(
            self.penalty, self.noise, self.cluster_variance, strict=True
        ):
            slope = along @ (1.0 / (self.spectrum + penalty[:, None])).T
            variances.append(noise * (slope + 1.0 / self.mass) + of_clusters[cluster])
        return variances

    def share_best(self, probability: float | Numbers) -> Numbers:
        """Return how often no other candidate did better, at this `probability_best`, in [0, 1].

        On rows held out, for the candidate chosen without regard to cost; ties count as best.
        """
        return np.asarray(np.interp(probability, self.best_x, self.best_y))

    def expected_gain(self, predicted_gain: float | Numbers) -> Numbers:
        """Return the gain that a predicted lead over the default candidate came to on average.

        The largest of several predictions is too large as a rule, so this is mostly less. Leads
        that are not above 0, as of a candidate chosen for its price, are returned as they are.
        """
        gain = np.asarray(predicted_gain)
        return np.where(gain > 0, np.interp(gain, self.gain_x, self.gain_y), gain)


def probability_best(rewards: Numbers, errors: Numbers, chosen: int | NDArray[np.intp]) -> Numbers:
    """Return the probability that the chosen candidate's expected reward is the highest.

    With independent Gaussian errors this is the integral of
    `density(z) * prod_{j != c} Phi((r_c + s_c z - r_j) / s_j)` over z, by Gauss-Hermite
    quadrature: `sum_i w_i / sqrt(pi) * prod_j Phi((r_c + sqrt(2) s_c t_i - r_j) / s_j)`.

    Args:
        rewards: (..., candidates) predicted; leave out those that cannot be chosen.
        errors: (..., candidates) of the same: `Uncertainty.choice_errors`.
        chosen: (...) index of the chosen one among them.

    Returns:
        (...), not calibrated: see `Uncertainty.share_best`.
    """
    at = np.asarray(chosen)[..., None]
    spread = np.maximum(errors, _LEAST_ERROR)
    own, own_spread = (np.take_along_axis(values, at, -1) for values in (rewards, spread))
    drawn = own + sqrt(2.0) * own_spread * _NODES
    lead = (drawn[..., :, None] - rewards[..., None, :]) / spread[..., None, :]
    below = _normal_below(lead)
    itself = np.arange(rewards.shape[-1]) == at
    product = np.where(itself[..., None, :], 1.0, below).prod(axis=-1)
    return np.asarray(product @ _NODE_WEIGHTS / sqrt(pi))


def _normal_below(values: Numbers) -> Numbers:
    """Return the standard normal distribution function, which numpy lacks."""
    halves = [0.5 + 0.5 * erf(value) for value in (values / sqrt(2.0)).ravel().tolist()]
    return np.array(halves).reshape(values.shape)


def _misfit(what: str) -> ArtifactIncompatibleError:
    return ArtifactIncompatibleError(f"uncertainty: {what}")
