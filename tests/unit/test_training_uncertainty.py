"""Calibrating uncertainty: errors that cover, curves that rise, and rows judged by other rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from regroup.domain.uncertainty import probability_best
from training.comparison import Comparison, compare
from training.crossval import ALL, FOLDS, ClosedFormFits
from training.dataset import Dataset, Matrix
from training.ridge import CLOSED_FORM
from training.sample import Sample
from training.uncertainty import (
    BINS,
    MOST_KNOTS,
    Reliability,
    calibrate,
    cross_fitted,
    fit_uncertainty,
    held_out_errors,
    monotone_curve,
)

ROWS, DIMS, CLUSTERS, CANDIDATES, NOISE = 600, 6, 3, 3, 0.3
NAMES = ("a", "b", "c")
type Numbers = NDArray[np.float64]


def world(seed: int, *, slope: float = 0.1, shift: float = 0.05) -> tuple[Sample, Matrix]:
    """Queries whose mean rewards are affine in each cluster, and those means."""
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(ROWS, DIMS)).astype(np.float32)
    labels = rng.choice(CLUSTERS, p=[0.7, 0.25, 0.05], size=ROWS)
    means = 0.5 + embeddings @ rng.normal(scale=slope, size=(DIMS, CANDIDATES))
    means += rng.normal(scale=shift, size=(CLUSTERS, CANDIDATES))[labels]
    rewards = means + rng.normal(scale=NOISE, size=means.shape)
    return Sample(embeddings, rewards, labels, CLUSTERS, np.ones(ROWS)), means


def fits_of(sample: Sample) -> ClosedFormFits:
    names = tuple(map(str, range(sample.candidates)))
    return ClosedFormFits.of(sample, np.arange(len(sample)) % FOLDS, names)


def comparison_of(sample: Sample, names: tuple[str, ...]) -> Comparison:
    shape = (len(sample), CANDIDATES)
    data = Dataset(
        texts=tuple(map(str, range(len(sample)))),
        candidates=NAMES,
        rewards=sample.rewards,
        cost_usd=np.full(shape, np.nan),
        output_tokens=np.full(shape, np.nan),
        datasets=np.array(["all"] * len(sample)),
        splits=np.array(["train"] * len(sample)),
        sha256="0" * 64,
    )
    return compare(data, sample, names, average="rows", seed=0, divisions=1)


def with_rewards(sample: Sample, rewards: Matrix) -> Sample:
    return Sample(sample.embeddings, rewards, sample.labels, sample.n_clusters, sample.weights)


@pytest.mark.parametrize(("router", "shift"), [("pooled-ridge", 0.0), ("ridge-cluster", 0.05)])
def test_errors_cover_the_true_mean_rewards(router: str, shift: float) -> None:
    covered = []
    for seed in range(12):
        sample, means = world(seed, shift=shift)
        fits = fits_of(sample)
        predicted = fits.maps(router).predict(sample.embeddings, sample.labels)
        errors = fit_uncertainty(fits, router).standard_errors(sample.embeddings, sample.labels)
        covered.append(np.abs(predicted - means) < 1.96 * errors)
    assert 0.90 < np.mean(covered) < 0.985


@pytest.mark.parametrize("candidates", [2, 3, 5])
def test_the_chosen_is_the_best_as_often_as_probabilities_say(candidates: int) -> None:
    said, was = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        embeddings = rng.normal(size=(ROWS, DIMS)).astype(np.float32)
        # How hard a query is matters more than who answers it.
        level = embeddings @ rng.normal(scale=0.3, size=(DIMS, 1))
        means = level + embeddings @ rng.normal(scale=0.03, size=(DIMS, candidates))
        rewards = means + rng.normal(scale=NOISE, size=means.shape)
        rewards += rng.normal(scale=2 * NOISE, size=(ROWS, 1))
        labels = np.zeros(ROWS, np.intp)
        sample = Sample(embeddings, rewards, labels, 1, np.ones(ROWS))
        fits = fits_of(sample)
        predicted = fits.maps("pooled-ridge").predict(embeddings, labels)
        errors = fit_uncertainty(fits, "pooled-ridge").choice_errors(embeddings, labels)
        chosen = predicted.argmax(axis=1)
        said.append(probability_best(predicted, errors, chosen))
        was.append(means.argmax(axis=1) == chosen)
    assert np.mean(said) == pytest.approx(np.mean(was), abs=0.04)
    found = Reliability.of(np.concatenate(said), np.concatenate(was).astype(np.float64))
    assert found.expected_calibration_error < 0.06


def test_only_where_candidates_share_rows_their_level_cannot_decide() -> None:
    sample, _ = world(3)
    together = fit_uncertainty(fits_of(sample), "pooled-ridge")
    assert together.choice_weight.tolist() == [[0.0] * 3, [1.5] * 3]
    rewards = sample.rewards.copy()
    rewards[::2, 0] = np.nan
    apart = fit_uncertainty(fits_of(with_rewards(sample, rewards)), "pooled-ridge")
    assert apart.choice_weight.tolist() == [[1.0] * 3, [1.0, 2.0, 2.0]]


def test_errors_shrink_as_rows_grow() -> None:
    sample, _ = world(0)
    few, many = (fits_of(sample.take(np.arange(rows))) for rows in (ROWS // 4, ROWS))
    probe, at = sample.embeddings[:50], sample.labels[:50]
    ratio = [
        fit_uncertainty(fits, "pooled-ridge").standard_errors(probe, at) for fits in (few, many)
    ]
    assert np.mean(ratio[0] / ratio[1]) == pytest.approx(2.0, rel=0.2)


def test_a_router_without_slope_is_as_sure_of_every_query_in_a_cluster() -> None:
    sample, _ = world(1)
    fitted = fit_uncertainty(fits_of(sample), "cluster-mean")
    errors = fitted.standard_errors(sample.embeddings, sample.labels)
    assert (fitted.penalty == np.inf).all()
    for cluster in range(CLUSTERS):
        assert np.ptp(errors[sample.labels == cluster], axis=0) == pytest.approx(0.0)


def test_small_clusters_are_less_sure_and_a_router_without_clusters_knows_none() -> None:
    fits = fits_of(world(2, shift=0.3)[0])
    large, _, small = fit_uncertainty(fits, "ridge-cluster").cluster_variance.sum(axis=0)
    assert (small > 2 * large).all()
    assert (large > 0).all()
    assert not fit_uncertainty(fits, "pooled-ridge").cluster_variance.any()


def test_a_candidate_scored_on_fewer_rows_is_less_certain() -> None:
    sample, _ = world(3, shift=0.0)
    rewards = sample.rewards.copy()
    rewards[np.random.default_rng(0).random(ROWS) < 0.75, 0] = np.nan
    fits = fits_of(with_rewards(sample, rewards))
    fitted = fit_uncertainty(fits, "pooled-ridge")
    scored = np.isfinite(rewards).sum(axis=0)
    np.testing.assert_allclose(fitted.mass, scored)
    # A quarter of the rows, a quarter of the sums of squares, twice the error.
    np.testing.assert_allclose(fitted.spectrum[0] / fitted.spectrum[1], 0.25, atol=0.1)
    errors = fitted.standard_errors(sample.embeddings, sample.labels)
    assert np.mean(errors[:, 0] / errors[:, 1]) == pytest.approx(2.0, rel=0.3)


def test_candidates_share_the_directions_of_those_with_the_most_rows() -> None:
    sample, _ = world(3)
    embeddings = sample.embeddings * np.array([4, 3, 2, 1, 1, 1], np.float32)
    rewards = sample.rewards.copy()
    # Not at random, so the rows left lie along other directions.
    rewards[embeddings[:, 0] + embeddings[:, 1] > 0, 0] = np.nan
    stretched = Sample(embeddings, rewards, sample.labels, CLUSTERS, sample.weights)
    fitted = fit_uncertainty(fits_of(stretched), "pooled-ridge")
    for candidate in range(CANDIDATES):
        seen = embeddings[np.isfinite(rewards[:, candidate])].astype(np.float64)
        centred = seen - seen.mean(axis=0)
        along = fitted.basis.T @ centred.T @ centred @ fitted.basis
        np.testing.assert_allclose(fitted.spectrum[candidate], np.diag(along), rtol=1e-4)
        if candidate > 0:
            np.testing.assert_allclose(along, np.diag(np.diag(along)), atol=0.1)


def test_a_cluster_without_rows_is_the_least_certain() -> None:
    sample, _ = world(2, shift=0.3)
    wider = Sample(sample.embeddings, sample.rewards, sample.labels, CLUSTERS + 1, sample.weights)
    *others, empty = fit_uncertainty(fits_of(wider), "ridge-cluster").cluster_variance.sum(axis=0)
    assert (empty > np.max(others, axis=0)).all()


def test_errors_of_held_out_rows_do_not_know_their_rewards() -> None:
    sample, _ = world(4)
    rows, fold = np.arange(ROWS), np.arange(ROWS) % FOLDS
    before = held_out_errors(fits_of(sample), "ridge-cluster", rows)
    rng = np.random.default_rng(0)
    noisy = sample.rewards + (fold == 2)[:, None] * rng.normal(size=sample.rewards.shape)
    after = held_out_errors(fits_of(with_rewards(sample, noisy)), "ridge-cluster", rows)
    np.testing.assert_array_equal(after[fold == 2], before[fold == 2])
    assert (after[fold != 2] > before[fold != 2]).all()


def test_errors_of_a_choice_do_not_depend_on_how_hard_queries_are() -> None:
    sample, _ = world(4)
    before = held_out_errors(fits_of(sample), "ridge-cluster", np.arange(ROWS))
    harder = sample.rewards + np.random.default_rng(0).normal(size=(ROWS, 1))
    after = held_out_errors(fits_of(with_rewards(sample, harder)), "ridge-cluster", np.arange(ROWS))
    np.testing.assert_allclose(after, before)


predictions = st.lists(
    st.tuples(st.floats(0.0, 1.0), st.sampled_from([0.0, 1.0])), max_size=300
).map(lambda pairs: np.array(pairs, np.float64).reshape(-1, 2).T)


@given(predictions)
def test_a_curve_rises_within_what_was_realised(pairs: Numbers) -> None:
    x, y = monotone_curve(*pairs)
    assert 1 <= len(x) == len(y) <= MOST_KNOTS
    assert (np.diff(x) > 0).all()
    assert (np.diff(y) >= 0).all()
    if pairs.size:
        assert pairs[1].min() - 1e-9 <= y.min() <= y.max() <= pairs[1].max() + 1e-9


def test_a_curve_finds_what_predictions_come_to() -> None:
    rng = np.random.default_rng(5)
    predicted = rng.random(20_000)
    x, y = monotone_curve(predicted, (rng.random(20_000) < predicted**2).astype(np.float64))
    assert len(x) == MOST_KNOTS
    np.testing.assert_allclose(y, x**2, atol=0.05)


def test_predictions_that_mean_nothing_come_to_the_mean() -> None:
    # The higher the prediction, the less came of it: no rising curve says that.
    predicted = np.linspace(0.0, 1.0, 1_000)
    _, y = monotone_curve(predicted, 1.0 - predicted)
    np.testing.assert_allclose(y, 0.5)


def test_a_curve_weighs_its_knots_by_rows() -> None:
    predicted = np.repeat([0.2, 0.8], [900, 100])
    realised = np.repeat([0.6, 0.0], [900, 100])
    _, y = monotone_curve(predicted, realised)
    np.testing.assert_allclose(y, 0.54)


def test_predictions_equal_but_for_rounding_share_a_knot() -> None:
    predicted = np.repeat([0.1, np.nextafter(0.1, 1.0)], 500)
    x, _ = monotone_curve(predicted, np.zeros(1_000))
    assert x == pytest.approx(0.1)
    assert len(x) == 1


def test_a_curve_of_one_prediction_or_none_is_flat() -> None:
    x, y = monotone_curve(np.full(300, 0.7), np.arange(300) % 3 / 2)
    assert (x.tolist(), y.tolist()) == ([pytest.approx(0.7)], [pytest.approx(0.5)])
    assert [part.tolist() for part in monotone_curve(np.zeros(0), np.zeros(0))] == [[0.0], [0.0]]


def test_reliability_compares_bins_of_equal_counts() -> None:
    predicted = np.repeat([0.2, 0.8], 50)
    realised = np.concatenate([np.arange(50) < 20, np.arange(50) < 30]).astype(np.float64)
    found = Reliability.of(predicted, realised)
    np.testing.assert_allclose(found.curve, [(0.2, 0.4, 50), (0.8, 0.6, 50)])
    assert found.expected_calibration_error == pytest.approx(0.2)


@given(predictions)
def test_reliability_counts_every_row_once(pairs: Numbers) -> None:
    found = Reliability.of(*pairs)
    assert sum(rows for _, _, rows in found.curve) == pairs.shape[1]
    assert len(found.curve) <= BINS
    assert 0.0 <= found.expected_calibration_error <= 1.0


def test_no_row_is_mapped_by_a_curve_that_saw_it() -> None:
    fold = np.arange(1_000) % FOLDS
    realised = (fold == 0).astype(np.float64)
    mapped = cross_fitted(np.random.default_rng(6).random(1_000), realised, fold)
    np.testing.assert_array_equal(mapped[fold == 0], 0.0)
    assert mapped[fold != 0].mean() == pytest.approx(0.25, abs=0.02)


def binary_world(seed: int) -> Sample:
    """Answers that are right or wrong: mostly several candidates are best at once."""
    sample, means = world(seed, slope=0.15)
    right = np.random.default_rng(seed).random(means.shape) < means
    return with_rewards(sample, right.astype(np.float64))


@pytest.mark.parametrize("router", CLOSED_FORM)
def test_calibration_brings_probabilities_to_what_happened(router: str) -> None:
    found = calibrate(comparison_of(binary_world(7), (router,)), router, min_margin=0.0)
    assert found is not None
    raw, mapped = (one.expected_calibration_error for one in (found.best_raw, found.best))
    assert mapped < 0.08 < raw
    assert sum(rows for _, _, rows in found.best.curve) == ROWS
    assert found.uncertainty.best_y.max() <= 1.0


def test_what_is_exported_is_fitted_on_all_rows_and_calibrated() -> None:
    compared = comparison_of(binary_world(8), ("ridge-cluster",))
    assert compared.fits is not None
    found = calibrate(compared, "ridge-cluster", min_margin=0.0)
    bare = fit_uncertainty(compared.fits, "ridge-cluster", ALL)
    assert found is not None
    for name in ("centre", "basis", "spectrum", "penalty", "noise", "mass", "cluster_variance"):
        np.testing.assert_array_equal(getattr(found.uncertainty, name), getattr(bare, name))
    raw = np.array([mean for mean, _, _ in found.best_raw.curve])
    shares = np.array([share for _, share, _ in found.best_raw.curve])
    np.testing.assert_allclose(found.uncertainty.share_best(raw), shares, atol=0.12)


def test_gains_are_those_of_the_rows_routed_away() -> None:
    compared = comparison_of(world(9)[0], ("pooled-ridge",))
    margin = 0.3
    found = calibrate(compared, "pooled-ridge", min_margin=margin)
    assert found is not None
    predicted = compared.predicted("pooled-ridge")
    lead = predicted.max(axis=1) - predicted[:, compared.default]
    assert sum(rows for _, _, rows in found.gain_raw.curve) == (lead > margin).sum() > 50
    assert found.gain_raw.curve[0][0] > margin
    best = predicted.argmax(axis=1)
    gain = compared.rewards[np.arange(ROWS), best] - compared.rewards[:, compared.default]
    realised = sum(mean * rows for _, mean, rows in found.gain_raw.curve)
    assert realised == pytest.approx(gain[lead > margin].sum())


def test_where_no_row_is_routed_away_no_gain_is_promised() -> None:
    compared = comparison_of(world(9)[0], ("pooled-ridge",))
    found = calibrate(compared, "pooled-ridge", min_margin=100.0)
    assert found is not None
    assert found.gain.curve == ()
    assert found.gain.expected_calibration_error == 0.0
    assert found.uncertainty.expected_gain(0.2) == 0.0


def test_only_closed_forms_with_enough_rows_are_calibrated() -> None:
    sample, _ = world(10)
    compared = comparison_of(sample, ("pooled-ridge", "best-single"))
    assert calibrate(compared, "best-single", min_margin=0.0) is None
    few = comparison_of(sample.take(np.arange(200)), ("pooled-ridge",))
    assert calibrate(few, "pooled-ridge", min_margin=0.0) is None
    without = comparison_of(sample, ("best-single",))
    assert calibrate(without, "best-single", min_margin=0.0) is None
