"""The closed-form routers: the textbook's ridges, shrunk toward less, blind to other folds."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from training.affine import AffineMaps
from training.dataset import Matrix
from training.moments import moment_table
from training.ridge import (
    CLOSED_FORM,
    LOCAL_DIMS,
    LOCAL_STRENGTHS,
    STRENGTHS,
    ClosedForm,
    Folds,
    RidgePath,
)

FOLDS, CLUSTERS = 4, 3
ALL: Folds = frozenset(range(FOLDS))
seeds = st.integers(0, 2**32 - 1)
every_router = pytest.mark.parametrize("router", CLOSED_FORM)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rewards of embeddings, in clusters and folds."""

    embeddings: NDArray[np.float32]
    rewards: Matrix
    labels: NDArray[np.intp]
    folds: NDArray[np.intp]
    n_clusters: int = CLUSTERS

    def fits(self, weights: NDArray[np.float64] | None = None) -> ClosedForm:
        weights = np.ones(len(self.labels)) if weights is None else weights
        cells, shape = self.folds * self.n_clusters + self.labels, (FOLDS, self.n_clusters)
        return ClosedForm(moment_table(self.embeddings, self.rewards, weights, cells, shape))

    def maps(self, router: str, folds: Folds = ALL) -> AffineMaps:
        return CLOSED_FORM[router](self.fits(), folds)

    def within(self, folds: Folds) -> "Rows":
        inside = np.isin(self.folds, list(folds))
        return replace(
            self,
            embeddings=self.embeddings[inside],
            rewards=self.rewards[inside],
            labels=self.labels[inside],
            folds=self.folds[inside],
        )


def unit_vectors(rows: int, dims: int, rng: np.random.Generator) -> NDArray[np.float32]:
    points = rng.normal(size=(rows, dims))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def rows_of(seed: int, number: int = 120, dims: int = 5) -> Rows:
    """A strong slope, a weak one, clusters' offsets alone, and noise alone."""
    rng = np.random.default_rng(seed)
    embeddings, labels = unit_vectors(number, dims, rng), rng.integers(CLUSTERS, size=number)
    slopes = rng.normal(size=(4, dims)) * np.array([[2.0], [0.3], [0.0], [0.0]])
    offsets = np.array([[0, 0, -0.3, 0], [0, 0, 0, 0], [0, 0, 0.3, 0]])[labels]
    noise = rng.normal(scale=0.2, size=(number, 4))
    rewards = 0.5 + embeddings @ slopes.T + offsets + noise
    return Rows(embeddings, rewards, labels, np.arange(number) % FOLDS)


def affine(maps: AffineMaps, cluster: int) -> Matrix:
    """Return the (dims + 1, candidates) coefficients of a cluster."""
    return np.concatenate([maps.weights[cluster].T, maps.bias[cluster][None]])


def ridge_beta(
    rows: Rows,
    penalties: float | NDArray[np.float64],
    weights: NDArray[np.float64] | None = None,
) -> Matrix:
    """Return scikit-learn's (dims + 1, candidates) coefficients."""
    x = rows.embeddings.astype(np.float64)
    fitted = Ridge(alpha=penalties).fit(x, rows.rewards, sample_weight=weights)
    return np.concatenate([fitted.coef_.T, fitted.intercept_[None]])


def with_one(embeddings: NDArray[np.float32]) -> Matrix:
    return np.column_stack([embeddings, np.ones(len(embeddings))]).astype(np.float64)


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_every_ridge_is_that_of_scikit_learn(seed: int) -> None:
    rows, rng = rows_of(seed, number=60), np.random.default_rng(seed)
    weights = rng.uniform(0.5, 2.0, size=60)
    path = RidgePath.of(rows.fits(weights).table.of(ALL))
    penalties = np.array([0.01, 1.0, 300.0])
    for found, penalty in zip(path.beta(penalties[:, None]), penalties, strict=True):
        expected = ridge_beta(rows, penalty, weights)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    one_each = np.array([0.1, 1.0, 10.0, 100.0])
    expected = ridge_beta(rows, one_each, weights)
    np.testing.assert_allclose(path.beta(one_each), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("seed", "folds"), [(0, ALL), (1, ALL - {1}), (2, ALL)])
def test_rows_held_out_choose_each_candidates_penalty(seed: int, folds: Folds) -> None:
    rows = rows_of(seed)
    known, pooled = rows.within(folds), rows.fits().pooled(folds)
    residuals = np.empty((len(STRENGTHS), *known.rewards.shape))
    for fold in folds:
        rest, held_out = known.within(folds - {fold}), known.folds == fold
        x = with_one(known.embeddings[held_out])
        for at, penalty in enumerate(STRENGTHS):
            residuals[at, held_out] = known.rewards[held_out] - x @ ridge_beta(rest, penalty)
    errors = (residuals**2).mean(axis=1)
    best = errors.argmin(axis=0)
    np.testing.assert_array_equal(pooled.penalty, STRENGTHS[best])
    beta = ridge_beta(known, STRENGTHS[best])
    np.testing.assert_allclose(pooled.beta, beta, rtol=1e-5, atol=1e-8)
    for target in range(4):
        of_best = residuals[best[target], :, target]
        by_cluster = np.bincount(known.labels, of_best, minlength=CLUSTERS)
        np.testing.assert_allclose(pooled.residuals[:, target], by_cluster, atol=1e-6)
        assert pooled.noise[target] == pytest.approx(errors[best[target], target], rel=1e-6)


def test_a_slope_gets_a_small_penalty_and_noise_a_large_one() -> None:
    penalty = rows_of(0, number=400).fits().pooled(ALL).penalty
    assert penalty[0] < 1.0
    assert penalty[3] > 10.0


def test_without_slope_the_residuals_are_those_of_the_other_folds_means() -> None:
    rows = rows_of(1)
    flat, residuals = rows.fits().flat(ALL), np.empty_like(rows.rewards)
    for fold in ALL:
        held_out = rows.folds == fold
        residuals[held_out] = rows.rewards[held_out] - rows.rewards[~held_out].mean(axis=0)
    for cluster in range(CLUSTERS):
        expected = residuals[rows.labels == cluster].sum(axis=0)
        np.testing.assert_allclose(flat.residuals[cluster], expected, atol=1e-9)
    np.testing.assert_allclose(flat.noise, (residuals**2).mean(axis=0))
    np.testing.assert_allclose(flat.beta[-1], rows.rewards.mean(axis=0))
    assert not flat.beta[:-1].any()


def test_a_planted_linear_map_is_recovered_in_every_cluster() -> None:
    rng = np.random.default_rng(0)
    embeddings, labels = unit_vectors(400, 6, rng), rng.integers(CLUSTERS, size=400)
    planted, shift = rng.normal(size=(2, 6)), np.array([0.4, 0.7])
    rows = Rows(embeddings, embeddings @ planted.T + shift, labels, np.arange(400) % FOLDS)
    for router in ("pooled-ridge", "ridge-cluster", "cluster-ridge"):
        maps = rows.maps(router)
        for k in range(CLUSTERS):
            np.testing.assert_allclose(maps.weights[k], planted, atol=0.01)
            np.testing.assert_allclose(maps.bias[k], shift, atol=0.01)


@pytest.mark.parametrize("router", ["cluster-mean", "ridge-cluster", "cluster-ridge"])
def test_planted_offsets_of_clusters_are_approached(router: str) -> None:
    rng = np.random.default_rng(1)
    embeddings, labels = unit_vectors(900, 6, rng), rng.integers(CLUSTERS, size=900)
    offsets = np.array([-0.3, 0.0, 0.3])
    rewards = 0.5 + offsets[labels] + rng.normal(scale=0.1, size=900)
    maps = Rows(embeddings, rewards[:, None], labels, np.arange(900) % FOLDS).maps(router)
    np.testing.assert_allclose(maps.bias[:, 0] - maps.bias[:, 0].mean(), offsets, atol=0.04)


@pytest.mark.parametrize("router", ["cluster-mean", "ridge-cluster"])
def test_corrections_for_noise_shrink_toward_none(router: str) -> None:
    # Averages over several sets of pure noise: a single one may look like a signal.
    corrections, raw = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        embeddings, labels = unit_vectors(160, 6, rng), rng.integers(8, size=160)
        noise = rng.normal(0.5, 0.2, size=160)
        bias = Rows(embeddings, noise[:, None], labels, np.arange(160) % FOLDS, 8).maps(router).bias
        corrections.append(np.abs(bias - bias.mean()).mean())
        means = np.array([noise[labels == k].mean() for k in range(8)])
        raw.append(np.abs(means - noise.mean()).mean())
    assert np.mean(corrections) < 0.4 * np.mean(raw)


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_a_correction_is_part_of_the_mean_residual_and_leaves_a_variance(seed: int) -> None:
    rows = rows_of(seed)
    fits = rows.fits()
    for pooled in (fits.pooled(ALL), fits.flat(ALL)):
        correction, variance = fits.correction(pooled, ALL)
        means = pooled.residuals / fits.table.counts(ALL)[:, None]
        assert (correction * means >= 0).all()
        assert (np.abs(correction) <= np.abs(means)).all()
        assert (variance >= 0).all()


def test_the_variance_left_is_how_far_corrections_miss() -> None:
    missed, said, raw = [], [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        labels, clusters = rng.integers(60, size=1_200), 60
        offsets = rng.normal(scale=0.15, size=clusters)
        rewards = 0.5 + offsets[labels] + rng.normal(scale=0.5, size=1_200)
        nothing = np.zeros((1_200, 1), np.float32)
        folds = np.arange(1_200) % FOLDS
        fits = Rows(nothing, rewards[:, None], labels, folds, clusters).fits()
        flat = fits.flat(ALL)
        correction, variance = fits.correction(flat, ALL)
        means = np.array([rewards[labels == k].mean() for k in range(clusters)])
        missed.append(np.mean((flat.beta[-1] + correction[:, 0] - 0.5 - offsets) ** 2))
        raw.append(np.mean((means - 0.5 - offsets) ** 2))
        said.append(variance.mean())
    assert np.mean(said) == pytest.approx(np.mean(missed), rel=0.25)
    assert np.mean(missed) < 0.8 * np.mean(raw)


def test_of_equal_residuals_the_larger_clusters_is_kept_further() -> None:
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 1, 2], [40, 400, 400])
    offsets = np.array([0.2, 0.2, -0.2])
    rewards = 0.5 + offsets[labels] + np.tile([0.5, -0.5], 420)
    order = rng.permutation(840)
    folds = np.empty(840, np.intp)
    folds[order] = np.arange(840) % FOLDS
    nothing = np.zeros((840, 1), np.float32)
    fits = Rows(nothing, rewards[:, None], labels, folds).fits()
    flat = fits.flat(ALL)
    correction, variance = fits.correction(flat, ALL)
    kept = correction / (flat.residuals / fits.table.counts(ALL)[:, None])
    assert 0.3 < kept[0, 0] < kept[1, 0] < 1.0
    assert variance[0, 0] > variance[1, 0]


@pytest.mark.parametrize("router", ["cluster-mean", "ridge-cluster", "cluster-ridge"])
def test_a_cluster_without_a_row_is_served_by_the_map_of_all(router: str) -> None:
    rows = replace(rows_of(3), n_clusters=CLUSTERS + 1)
    fits, maps, without = rows.fits(), rows.maps(router), rows_of(3).maps(router)
    pooled = fits.flat(ALL) if router == "cluster-mean" else fits.pooled(ALL)
    np.testing.assert_allclose(affine(maps, CLUSTERS), pooled.beta, atol=1e-12)
    # Nor does it change anything for the others.
    np.testing.assert_allclose(maps.bias[:CLUSTERS], without.bias, atol=1e-12)
    correction, variance = fits.correction(pooled, ALL)
    assert not correction[CLUSTERS].any()
    # Nothing is known of it: all that clusters differ by is left.
    assert (variance[CLUSTERS] >= variance[:CLUSTERS]).all()


@pytest.mark.parametrize(("seed", "folds"), [(0, ALL), (1, ALL - {2})])
def test_rows_held_out_choose_how_far_clusters_own_ridges_go(seed: int, folds: Folds) -> None:
    rows = rows_of(seed)
    fits, errors = rows.fits(), np.zeros((len(LOCAL_STRENGTHS), 4))

    def own(
        known: Rows, penalties: float | NDArray[np.float64], beta: Matrix, cluster: int
    ) -> Matrix:
        inside = known.labels == cluster
        x = with_one(known.embeddings[inside])
        ridge = Ridge(alpha=penalties, fit_intercept=False)
        return np.asarray(ridge.fit(x, known.rewards[inside] - x @ beta).coef_.T)

    for fold in folds:
        rest, held_out = rows.within(folds - {fold}), rows.within(frozenset({fold}))
        beta = fits.pooled(folds - {fold}).beta
        for at, penalty in enumerate(LOCAL_STRENGTHS):
            for k in range(CLUSTERS):
                inside = held_out.labels == k
                both = beta + own(rest, penalty, beta, k)
                residuals = held_out.rewards[inside] - with_one(held_out.embeddings[inside]) @ both
                errors[at] += (residuals**2).sum(axis=0)
    penalties = LOCAL_STRENGTHS[errors.argmin(axis=0)]
    known, beta, local = rows.within(folds), fits.pooled(folds).beta, fits.local(folds)
    for k in range(CLUSTERS):
        expected = own(known, penalties, beta, k)
        np.testing.assert_allclose(local[k], expected, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(affine(rows.maps("cluster-ridge", folds), k), beta + local[k])


def slopes_per_cluster(seed: int, spread: float, number: int) -> tuple[Rows, Rows]:
    """Rows to fit on and to judge by, whose slopes differ between clusters by `spread`."""
    rng = np.random.default_rng(7)  # the same world for every seed of rows
    slopes = rng.normal(size=6) + spread * rng.normal(size=(CLUSTERS, 6))
    rng = np.random.default_rng(seed)

    def drawn() -> Rows:
        embeddings, labels = unit_vectors(number, 6, rng), rng.integers(CLUSTERS, size=number)
        noise = rng.normal(scale=0.2, size=number)
        rewards = 0.5 + (embeddings * slopes[labels]).sum(axis=1) + noise
        return Rows(embeddings, rewards[:, None], labels, np.arange(number) % FOLDS)

    return drawn(), drawn()


def error_of(router: str, known: Rows, unseen: Rows) -> float:
    predicted = known.maps(router).predict(unseen.embeddings, unseen.labels)
    return float(np.mean((predicted - unseen.rewards) ** 2))


def test_ridges_per_cluster_predict_better_where_slopes_differ() -> None:
    known, unseen = slopes_per_cluster(0, spread=1.0, number=400)
    assert error_of("cluster-ridge", known, unseen) < 0.5 * error_of("ridge-cluster", known, unseen)
    assert error_of("cluster-ridge", known, unseen) < 1.1 * 0.2**2


def test_ridges_per_cluster_fall_back_to_one_where_slopes_are_the_same() -> None:
    for seed in range(3):
        known, unseen = slopes_per_cluster(seed, spread=0.0, number=400)
        one = error_of("pooled-ridge", known, unseen)
        assert error_of("cluster-ridge", known, unseen) < 1.03 * one


def test_clusters_differ_in_the_leading_directions_only() -> None:
    rng = np.random.default_rng(4)
    dims, number = LOCAL_DIMS + 6, 300
    scales = np.where(np.arange(dims) % 7 == 3, 0.5, 1.0)  # dimensions 3, 10, ... vary least
    embeddings = (rng.normal(size=(number, dims)) * scales).astype(np.float32)
    labels = rng.integers(CLUSTERS, size=number)
    slopes = rng.normal(size=(CLUSTERS, dims))
    rewards = (embeddings * slopes[labels]).sum(axis=1)[:, None]
    fits = Rows(embeddings, rewards, labels, np.arange(number) % FOLDS).fits()
    local = fits.local(ALL)[:, :-1, 0]
    centred = embeddings - embeddings.mean(axis=0, dtype=np.float64)
    least = np.linalg.eigh(centred.T @ centred)[1][:, : dims - LOCAL_DIMS]
    assert np.linalg.norm(local) > 1.0
    np.testing.assert_allclose(local @ least, 0.0, atol=1e-6)


@every_router
@pytest.mark.parametrize("constant", [0.0, 0.7, 1.0])
def test_constant_rewards_are_predicted_everywhere(router: str, constant: float) -> None:
    rows = rows_of(5)
    maps = replace(rows, rewards=np.full_like(rows.rewards, constant)).maps(router)
    predicted = maps.predict(unit_vectors(50, 5, np.random.default_rng(0)), rows.labels[:50])
    np.testing.assert_allclose(predicted, constant, atol=1e-9)


@every_router
@settings(max_examples=5, deadline=None)
@given(seed=seeds, order=st.permutations(range(4)))
def test_the_order_of_candidates_does_not_matter(router: str, seed: int, order: list[int]) -> None:
    rows = rows_of(seed)
    maps = rows.maps(router)
    moved = replace(rows, rewards=np.ascontiguousarray(rows.rewards[:, order])).maps(router)
    np.testing.assert_allclose(moved.weights, maps.weights[:, order], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(moved.bias, maps.bias[:, order], rtol=1e-7, atol=1e-9)


@every_router
@settings(max_examples=5, deadline=None)
@given(seed=seeds, left_out=st.sets(st.sampled_from(range(FOLDS)), min_size=1, max_size=1))
def test_rewards_of_other_folds_leave_no_trace(router: str, seed: int, left_out: set[int]) -> None:
    # More dimensions than a cluster's own ridge keeps: which it keeps must not tell either.
    rows = rows_of(0, number=200, dims=LOCAL_DIMS + 6)
    folds, outside = ALL - left_out, np.isin(rows.folds, list(left_out))
    changed = rows.rewards.copy()
    rng = np.random.default_rng(seed)
    changed[outside] = rng.normal(scale=rng.choice([0.1, 1e6]), size=changed[outside].shape)
    before, after = rows.maps(router, folds), replace(rows, rewards=changed).maps(router, folds)
    np.testing.assert_array_equal(after.weights, before.weights)
    np.testing.assert_array_equal(after.bias, before.bias)
    assert (replace(rows, rewards=changed).maps(router).bias != rows.maps(router).bias).any()


@pytest.mark.parametrize("router", ["cluster-mean", "pooled-ridge", "ridge-cluster"])
def test_other_folds_leave_no_trace_at_all_but_in_the_directions(router: str) -> None:
    rows, folds = rows_of(6), ALL - {0}
    moved = rows.embeddings.copy()
    moved[rows.folds == 0] *= -3.0
    before = rows.maps(router, folds)
    after = replace(rows, embeddings=moved).maps(router, folds)
    np.testing.assert_array_equal(after.weights, before.weights)
    np.testing.assert_array_equal(after.bias, before.bias)


@every_router
def test_a_fit_does_not_depend_on_what_was_fitted_before(router: str) -> None:
    rows = rows_of(7)
    used = rows.fits()
    for name in CLOSED_FORM:
        CLOSED_FORM[name](used, ALL - {1})
        CLOSED_FORM[name](used, ALL)
    again, fresh = CLOSED_FORM[router](used, ALL - {0}), rows.maps(router, ALL - {0})
    np.testing.assert_array_equal(again.weights, fresh.weights)
    np.testing.assert_array_equal(again.bias, fresh.bias)
