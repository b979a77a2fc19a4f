"""Every router by its name, as `--router` takes it."""

from collections.abc import Callable

import numpy as np

from training.affine import AffineMaps, constant_maps, weighted_means
from training.factorisation import fit_matrix_factorisation
from training.neighbours import fit_neighbours
from training.ridge import CLOSED_FORM
from training.sample import Router, Sample
from training.softmax import fit_kl, fit_softmax

type Fit = Callable[[Sample, int], Router]


def fit_best_single(sample: Sample, _seed: int) -> AffineMaps:
    """Predict every candidate's mean reward, whatever the query."""
    means = weighted_means(sample.rewards, sample.weights)
    return constant_maps(means, sample.n_clusters, sample.dims)


def fit_random(sample: Sample, seed: int) -> AffineMaps:
    """Score candidates along random directions: every one is chosen by some queries."""
    shape = (1, sample.candidates, sample.dims)
    weights = np.random.default_rng(seed).normal(size=shape).repeat(sample.n_clusters, axis=0)
    centre = sample.embeddings.mean(axis=0, dtype=np.float64)
    return AffineMaps(weights, -weights @ centre)


FITTED: dict[str, Fit] = {
    "softmax": fit_softmax,
    "kl": fit_kl,
    "matrix-factorisation": fit_matrix_factorisation,
    "knn": fit_neighbours,
    "best-single": fit_best_single,
    "random": fit_random,
}
"""Fitted anew for every fold. Only the order of their predictions means something, so they are
served without margin and without presets by cost."""

ROUTERS = (*CLOSED_FORM, *FITTED)
AUTO = "auto"
"""Chooses among the closed-form routers on rows held out, and lets the gate decide."""

NOT_SERVED = ("knn",)
"""Offline yardsticks: no affine map per cluster says what they say."""
