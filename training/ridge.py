"""The closed-form routers: shrunk cluster means, ridges, and ridges per cluster.

All are fitted from moments, so fitting them on any subset of the folds costs no pass over rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from training.affine import AffineMaps
from training.dataset import Matrix
from training.moments import Moments, MomentTable

STRENGTHS = np.logspace(-2, 3, 16)
"""Ridge penalties tried; held-out squared error picks one per candidate."""

LOCAL_STRENGTHS = np.logspace(-1, 4, 11)
"""Penalties tried on what a cluster's own ridge may add to the pooled one."""

LOCAL_DIMS = 32
"""A cluster's own ridge may differ from the pooled one in the leading directions of the data."""

type Folds = frozenset[int]


@dataclass(frozen=True, slots=True)
class RidgePath:
    """Ridges of every penalty on the same rows: one eigendecomposition serves them all."""

    centre: NDArray[np.float64]
    """(dims,) mean embedding"""
    means: NDArray[np.float64]
    """(targets,) mean reward"""
    spectrum: NDArray[np.float64]
    """(dims,) eigenvalues of the centred Gram matrix, rising"""
    basis: Matrix
    """(dims, dims) its eigenvectors, in columns"""
    projected: Matrix
    """(dims, targets) the centred cross products in that basis"""

    @classmethod
    def of(cls, moments: Moments) -> "RidgePath":
        """Decompose once."""
        n = moments.n or 1.0  # of no rows all sums are 0, and so is the fit
        centre, means = moments.gram[-1, :-1] / n, moments.cross[-1] / n
        spectrum, basis = np.linalg.eigh(moments.gram[:-1, :-1] - n * np.outer(centre, centre))
        cross = moments.cross[:-1] - n * np.outer(centre, means)
        return cls(centre, means, np.maximum(spectrum, 0.0), basis, basis.T @ cross)

    def beta(self, penalties: Matrix) -> Matrix:
        """Return (..., dims + 1, targets) coefficients, the intercept last.

        Args:
            penalties: (..., targets), or (..., 1) for the same of every target.
        """
        coef = self.basis @ (
            self.projected / (self.spectrum[:, None] + np.asarray(penalties)[..., None, :])
        )
        intercept = self.means - np.einsum("d,...dt->...t", self.centre, coef)
        return np.concatenate([coef, intercept[..., None, :]], axis=-2)


@dataclass(frozen=True, slots=True)
class Pooled:
    """One map for all clusters, and what rows held out say of it."""

    beta: Matrix
    """(dims + 1, targets)"""
    penalty: NDArray[np.float64]
    """(targets,)"""
    residuals: Matrix
    """(clusters, targets) sums of held-out residuals"""
    noise: NDArray[np.float64]
    """(targets,) held-out mean squared error"""


class ClosedForm:
    """Fits closed-form routers of some candidates on any subset of a table's folds.

    What subsets have in common is computed once.
    """

    def __init__(self, table: MomentTable) -> None:
        """Fit nothing yet."""
        self.table = table
        self._paths: dict[Folds, RidgePath] = {}
        self._pooled: dict[Folds, Pooled] = {}
        self._flat: dict[Folds, Pooled] = {}

    def path(self, folds: Folds) -> RidgePath:
        """Return the ridges of every penalty on these folds."""
        if folds not in self._paths:
            self._paths[folds] = RidgePath.of(self.table.of(folds))
        return self._paths[folds]

    def pooled(self, folds: Folds) -> Pooled:
        """Fit one ridge for all clusters."""
        if folds not in self._pooled:
            self._pooled[folds] = self._fit_pooled(folds)
        return self._pooled[folds]

    def flat(self, folds: Folds) -> Pooled:
        """Fit no slope: every candidate's mean reward."""
        if folds not in self._flat:
            self._flat[folds] = self._fit_flat(folds)
        return self._flat[folds]

    def correction(self, pooled: Pooled, folds: Folds) -> tuple[Matrix, Matrix]:
        """Return what each cluster adds to the pooled map, and the variance left of it.

        The correction is each cluster's mean held-out residual, shrunk by empirical Bayes (James
        and Stein 1961; Morris 1983): kept as far as the spread between clusters exceeds what the
        cluster's own noise explains.

        Returns:
            Two (clusters, targets) matrices.
        """
        counts = self.table.counts(folds)[:, None]
        means = pooled.residuals / np.maximum(counts, 1e-12)
        noise = pooled.noise / np.maximum(counts, 1e-12)
        seen = counts[:, 0] > 0
        # Method of moments: what the means vary beyond their own noise is real.
        spread = np.maximum(0.0, (means[seen] ** 2 - noise[seen]).mean(axis=0))
        kept = np.where(counts > 0, spread / (spread + noise + 1e-12), 0.0)
        return np.where(counts > 0, means, 0.0) * kept, spread * (1.0 - kept)

    def local(self, folds: Folds) -> Matrix:
        """Return the (clusters, dims + 1, targets) that each cluster's own ridge adds.

        The penalty, one per candidate for all clusters, is the one of the least held-out squared
        error, so clusters differ only as far as that predicts better.
        """
        tried = LOCAL_STRENGTHS[:, None]
        errors = np.zeros((len(tried), self.table.targets))
        for fold in folds:
            beta = self.pooled(folds - {fold}).beta
            added = self._local(folds - {fold}, beta, tried)
            for k in range(self.table.n_clusters):
                held_out = self.table.of([fold], k)
                errors += held_out.squared_errors(beta + self._widen(added[k]))
        penalty = LOCAL_STRENGTHS[errors.argmin(axis=0)]
        added = self._local(folds, self.pooled(folds).beta, penalty[None, :])
        return self._widen(added[:, 0])

    def _fit_pooled(self, folds: Folds) -> Pooled:
        tried = STRENGTHS[:, None]
        errors = np.zeros((len(tried), self.table.targets))
        residuals = np.zeros((len(tried), self.table.n_clusters, self.table.targets))
        for fold in folds:
            beta = self.path(folds - {fold}).beta(tried)
            errors += self.table.of([fold]).squared_errors(beta)
            residuals += self._residuals(fold, beta)
        best, each = errors.argmin(axis=0), np.arange(self.table.targets)
        penalty = STRENGTHS[best]
        return Pooled(
            self.path(folds).beta(penalty),
            penalty,
            residuals[best, :, each].T,
            errors[best, each] / max(self.table.counts(folds).sum(), 1e-12),
        )

    def _fit_flat(self, folds: Folds) -> Pooled:
        targets = self.table.targets
        residuals = np.zeros((self.table.n_clusters, targets))
        errors = np.zeros(targets)
        for fold in folds:
            beta = self._mean_only(folds - {fold})
            errors += self.table.of([fold]).squared_errors(beta)
            residuals += self._residuals(fold, beta)
        counts = max(self.table.counts(folds).sum(), 1e-12)
        return Pooled(self._mean_only(folds), np.full(targets, np.inf), residuals, errors / counts)

    def _mean_only(self, folds: Folds) -> Matrix:
        moments = self.table.of(folds)
        beta = np.zeros_like(moments.cross)
        beta[-1] = moments.cross[-1] / (moments.n or 1.0)
        return beta

    def _residuals(self, fold: int, beta: Matrix) -> Matrix:
        """Return the (..., clusters, targets) sums of the residuals of a fold."""
        sums = self.table.gram[fold, :, -1]
        return np.asarray(self.table.cross[fold, :, -1] - np.einsum("kd,...dt->...kt", sums, beta))

    @cached_property
    def _directions(self) -> Matrix:
        """(dims + 1, local dims + 1): the leading directions of all rows, and the intercept."""
        path = self.path(frozenset(range(len(self.table.gram))))
        dims = len(path.centre)
        kept = min(LOCAL_DIMS, dims)
        directions = np.zeros((dims + 1, kept + 1))
        directions[:-1, :-1] = path.basis[:, -kept:]
        directions[-1, -1] = 1.0
        return directions

    @cached_property
    def _narrow(self) -> tuple[Matrix, Matrix]:
        """Grams and cross products of `directions' x`: with itself, and with x and y."""
        half = np.einsum("dp,fkde->fkpe", self._directions, self.table.gram, optimize=True)
        return half @ self._directions, half

    def _widen(self, beta: Matrix) -> Matrix:
        return self._directions @ beta

    def _local(self, folds: Folds, beta: Matrix, penalties: Matrix) -> Matrix:
        """Return (clusters, penalties, local dims + 1, targets) ridges on the residuals."""
        rows = list(folds)
        inner, half = (part[rows].sum(axis=0) for part in self._narrow)
        cross = np.einsum(
            "dp,kdt->kpt", self._directions, self.table.cross[rows].sum(axis=0), optimize=True
        )
        residual = cross - half @ beta
        spectrum, basis = np.linalg.eigh(inner)
        projected = np.swapaxes(basis, 1, 2) @ residual
        scale = np.maximum(spectrum, 0.0)[:, None, :, None] + penalties[None, :, None, :]
        return np.asarray(basis[:, None] @ (projected[:, None] / scale))


def cluster_mean(fits: ClosedForm, folds: Folds) -> AffineMaps:
    """Each cluster's mean reward, shrunk toward the mean of all."""
    flat = fits.flat(folds)
    return _maps(flat.beta, fits.correction(flat, folds)[0])


def pooled_ridge(fits: ClosedForm, folds: Folds) -> AffineMaps:
    """One ridge for all clusters (Hoerl and Kennard 1970)."""
    return _maps(fits.pooled(folds).beta, np.zeros((fits.table.n_clusters, fits.table.targets)))


def ridge_cluster(fits: ClosedForm, folds: Folds) -> AffineMaps:
    """One ridge for all clusters, and a shrunk correction of each cluster."""
    pooled = fits.pooled(folds)
    return _maps(pooled.beta, fits.correction(pooled, folds)[0])


def cluster_ridge(fits: ClosedForm, folds: Folds) -> AffineMaps:
    """A ridge per cluster, shrunk toward the pooled one in the leading directions of the data."""
    beta = fits.pooled(folds).beta + fits.local(folds)
    return AffineMaps(np.swapaxes(beta[:, :-1], 1, 2), beta[:, -1])


type ClosedFormRouter = Callable[[ClosedForm, Folds], AffineMaps]

CLOSED_FORM: dict[str, ClosedFormRouter] = {
    "cluster-mean": cluster_mean,
    "pooled-ridge": pooled_ridge,
    "ridge-cluster": ridge_cluster,
    "cluster-ridge": cluster_ridge,
}
"""From the fewest to the most parameters: of equals, the first is taken."""


def _maps(beta: Matrix, correction: Matrix) -> AffineMaps:
    weights = np.repeat(beta[:-1].T[None], len(correction), axis=0)
    return AffineMaps(weights, beta[-1] + correction)
