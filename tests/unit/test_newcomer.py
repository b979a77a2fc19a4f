"""A newcomer's head: what few labels say of it, and what the known candidates say of it."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from regroup.errors import DataError
from training.affine import AffineMaps
from training.crossval import ALL, FEWEST_REWARDS, ClosedFormFits, assign_folds
from training.dataset import Matrix
from training.newcomer import (
    Labelled,
    fit_newcomer,
    lowered,
    newcomers,
    placed_last,
    scarce_columns,
    with_newcomers,
    without,
)
from training.sample import Sample

CLUSTERS, DIMS, KNOWN, NAN = 3, 5, 4, np.nan
NAMES = ("a", "b", "c", "d", "new")


@dataclass(frozen=True)
class World:
    """Known heads, queries, and what the known candidates earn on them."""

    known: AffineMaps
    embeddings: NDArray[np.float32]
    labels: NDArray[np.intp]
    expected: Matrix
    realised: Matrix
    luck: NDArray[np.float64]

    def labelled(self, rewards: NDArray[np.float64]) -> Labelled:
        weights = np.ones(len(rewards))
        sample = Sample(self.embeddings, self.realised, self.labels, CLUSTERS, weights)
        return Labelled(sample, rewards, self.expected)


def world(
    rows: int, seed: int = 0, *, luck: float = 0.3, own: float = 0.05, clusters: int = CLUSTERS
) -> World:
    """Draw queries of the first clusters; luck is shared by all the candidates."""
    heads = np.random.default_rng(77)
    bias = 0.5 + 0.1 * heads.normal(size=(CLUSTERS, KNOWN))
    known = AffineMaps(0.1 * heads.normal(size=(CLUSTERS, KNOWN, DIMS)), bias)
    rng = np.random.default_rng(seed)
    # Embeddings of real queries do not centre on nothing either.
    points = rng.normal(size=(rows, DIMS)) + 0.5
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    embeddings, labels = points.astype(np.float32), rng.integers(clusters, size=rows)
    expected = known.predict(embeddings, labels)
    shared = luck * rng.normal(size=rows)
    realised = expected + shared[:, None] + own * rng.normal(size=expected.shape)
    return World(known, embeddings, labels, expected, realised, shared)


def error(maps: AffineMaps, true: NDArray[np.float64], fresh: World) -> float:
    """Return the root mean squared error of the newcomer on fresh queries."""
    predicted = maps.predict(fresh.embeddings, fresh.labels)[:, 0]
    return float(np.sqrt(((predicted - true) ** 2).mean()))


@pytest.mark.parametrize("twin", range(KNOWN))
def test_the_twin_of_a_known_candidate_is_recognised(twin: int) -> None:
    few, fresh = world(50, own=0.2), world(500, seed=1)
    maps = fit_newcomer(few.labelled(few.realised[:, twin]), few.known)
    plain = fresh.expected.mean(axis=1)
    true = fresh.expected[:, twin]
    assert error(maps, true, fresh) < 0.01 < np.sqrt(((plain - true) ** 2).mean())


def test_a_twin_is_recognised_by_predictions_alone_where_no_one_else_was_scored() -> None:
    few, fresh = world(200, luck=0.0, own=0.01), world(500, seed=1)
    labelled = few.labelled(few.realised[:, 1])
    blind = replace(labelled.sample, rewards=np.full_like(few.realised, NAN))
    maps = fit_newcomer(replace(labelled, sample=blind), few.known)
    assert error(maps, fresh.expected[:, 1], fresh) < 0.01
    lean = fresh.expected[:, 1] - fresh.expected.mean(axis=1)
    assert np.sqrt((lean**2).mean()) > 0.05


@pytest.mark.parametrize("lead", [-0.3, 0.3])
def test_a_candidate_that_leads_or_lags_everywhere_is_placed_by_that(lead: float) -> None:
    few, fresh = world(50), world(500, seed=1)
    noise = 0.05 * np.random.default_rng(2).normal(size=50)
    rewards = few.expected.mean(axis=1) + few.luck + lead + noise
    maps = fit_newcomer(few.labelled(rewards), few.known)
    assert error(maps, fresh.expected.mean(axis=1) + lead, fresh) < 0.02


def test_few_labels_do_not_set_a_newcomer_apart_from_candidates_close_together() -> None:
    few = world(20)
    gaps = np.full_like(few.realised, NAN)
    rewards = few.expected.mean(axis=1) + 0.1 + 0.4 * np.resize([-1.0, 1.0], 20)
    near = few.expected.mean() + np.array([-0.01, 0.0, 0.0, 0.01])
    found = []
    for bias in (near, near * np.array([0.2, 1.0, 1.0, 1.8])):
        level = np.repeat(bias[None], CLUSTERS, axis=0)
        known = AffineMaps(np.zeros((CLUSTERS, KNOWN, DIMS)), level)
        labelled = replace(
            few.labelled(rewards), predicted=known.predict(few.embeddings, few.labels)
        )
        labelled = replace(labelled, sample=replace(labelled.sample, rewards=gaps))
        found.append(fit_newcomer(labelled, known).bias.mean() - bias.mean())
    close, apart = found
    assert 0 < close < 0.05 < apart < 0.1


def test_luck_shared_with_known_rewards_is_taken_out() -> None:
    fresh = world(500, seed=1)
    errors = []
    for seed in range(5):
        few = world(50, seed=10 + seed)
        labelled = few.labelled(few.expected.mean(axis=1) + few.luck)
        gaps = np.full_like(few.realised, NAN)
        blind = replace(labelled, sample=replace(labelled.sample, rewards=gaps))
        true = fresh.expected.mean(axis=1)
        errors.append(
            [error(fit_newcomer(one, few.known), true, fresh) for one in (labelled, blind)]
        )
    told, untold = np.mean(errors, axis=0)
    assert told < untold / 2


def test_a_weak_cluster_is_found_as_far_as_labels_support_it() -> None:
    fresh = world(500, seed=1)
    weak = 0.4 * (fresh.labels == 1)
    found = []
    for rows in (20, 200):
        few = world(rows, seed=3)
        noise = 0.3 * np.random.default_rng(4).normal(size=rows)
        rewards = few.expected.mean(axis=1) + few.luck - 0.4 * (few.labels == 1) + noise
        maps = fit_newcomer(few.labelled(rewards), few.known)
        found.append(error(maps, fresh.expected.mean(axis=1) - weak, fresh))
    assert found[1] < min(found[0], 0.1)


def test_a_cluster_without_labels_gets_the_offset_of_the_others() -> None:
    few, fresh = world(60, clusters=2), world(500, seed=1)
    rewards = few.expected.mean(axis=1) + few.luck + 0.2
    maps = fit_newcomer(few.labelled(rewards), few.known)
    unseen = fresh.labels == 2
    predicted = maps.predict(fresh.embeddings[unseen], fresh.labels[unseen])[:, 0]
    np.testing.assert_allclose(predicted, fresh.expected[unseen].mean(axis=1) + 0.2, atol=0.05)


def test_a_slant_that_no_known_candidate_has_is_learned_from_more_labels() -> None:
    fresh = world(500, seed=1)
    slant = np.array([0.5, 0.3, 0.0, 0.0, 0.0])
    few = world(200, seed=3)
    rewards = few.expected.mean(axis=1) + few.luck + few.embeddings @ slant
    maps = fit_newcomer(few.labelled(rewards), few.known)
    assert error(maps, fresh.expected.mean(axis=1) + fresh.embeddings @ slant, fresh) < 0.04


def test_a_gap_is_as_good_as_a_reward_without_luck() -> None:
    few = world(60)
    gap = np.random.default_rng(5).uniform(size=few.realised.shape) < 0.5
    labelled = few.labelled(few.realised[:, 0])
    with_gaps, filled = (
        fit_newcomer(
            replace(
                labelled,
                sample=replace(labelled.sample, rewards=np.where(gap, value, few.realised)),
            ),
            few.known,
        )
        for value in (NAN, few.expected)
    )
    np.testing.assert_allclose(with_gaps.weights, filled.weights)
    np.testing.assert_allclose(with_gaps.bias, filled.bias)


def test_rows_count_by_their_weights_and_only_against_each_other() -> None:
    few, fresh = world(60), world(500, seed=1)
    heavy = np.arange(60) < 30
    lead = np.where(heavy, 0.3, -0.1)
    labelled = few.labelled(few.expected.mean(axis=1) + few.luck + lead)
    weights = np.where(heavy, 9.0, 1.0)
    one, same = (
        fit_newcomer(
            replace(labelled, sample=replace(labelled.sample, weights=scale * weights)), few.known
        )
        for scale in (1.0, 1e-3)
    )
    mean = one.predict(fresh.embeddings, fresh.labels).mean() - fresh.expected.mean()
    assert mean == pytest.approx(0.26, abs=0.05)
    np.testing.assert_allclose(one.bias, same.bias)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 12), st.integers(1, KNOWN), st.integers(0, 1000), st.booleans())
def test_the_maps_are_finite_and_of_the_served_shape(
    rows: int, known: int, seed: int, constant: bool
) -> None:
    few = world(rows, seed=seed)
    rng = np.random.default_rng(seed)
    rewards = np.zeros(rows) if constant else rng.integers(2, size=rows).astype(np.float64)
    realised = np.where(rng.uniform(size=(rows, known)) < 0.3, NAN, few.realised[:, :known])
    sample = Sample(few.embeddings, realised, few.labels, CLUSTERS, np.ones(rows))
    heads = AffineMaps(few.known.weights[:, :known], few.known.bias[:, :known])
    maps = fit_newcomer(Labelled(sample, rewards, few.expected[:, :known]), heads)
    assert maps.weights.shape == (CLUSTERS, 1, DIMS)
    assert maps.bias.shape == (CLUSTERS, 1)
    assert np.isfinite(maps.weights).all()
    assert np.isfinite(maps.bias).all()


@pytest.mark.parametrize(
    ("counts", "scarce"),
    [
        ([1000, 1000, 100], [2]),
        ([1000, 299, 300, 0], [1, 3]),
        ([400, 290], []),
        ([200, 200, 50], [2]),
        ([60, 50], []),
        ([5000, 1000], []),
    ],
)
def test_scarce_candidates_have_few_rewards_where_others_have_many(
    counts: list[int], scarce: list[int]
) -> None:
    rewards = np.full((max(counts), len(counts)), NAN)
    for column, count in enumerate(counts):
        rewards[:count, column] = 0.5
    assert scarce_columns(rewards).tolist() == scarce


def added(labels: int, column: int = 4) -> tuple[ClosedFormFits, Sample, NDArray[np.intp]]:
    """Fit the known candidates of 400 rows, of which a newcomer was scored on the first."""
    many = world(400)
    rewards = np.insert(many.realised, column, many.realised[:, 2], axis=1)
    rewards[labels:, column] = NAN
    sample = Sample(many.embeddings, rewards, many.labels, CLUSTERS, np.ones(400))
    columns = np.array([column], np.intp)
    fold_of = assign_folds(range(400), np.full(400, "all"), seed=0)
    return ClosedFormFits.of(without(sample, columns), fold_of, NAMES), sample, columns


@pytest.mark.parametrize("column", [0, 2, 4])
def test_newcomers_join_the_known_candidates_in_their_own_places(column: int) -> None:
    fits, sample, columns = added(80, column)
    maps = with_newcomers(fits, "pooled-ridge", sample, columns, NAMES)
    known = fits.maps("pooled-ridge")
    rest = np.delete(np.arange(5), column)
    np.testing.assert_array_equal(maps.weights[:, rest], known.weights)
    np.testing.assert_array_equal(maps.bias[:, rest], known.bias)
    fresh = world(300, seed=1)
    predicted = maps.predict(fresh.embeddings, fresh.labels)
    twin = known.predict(fresh.embeddings, fresh.labels)
    assert np.abs(predicted[:, column] - twin[:, 2]).mean() < 0.02


def test_nothing_is_learned_from_other_folds_or_from_rows_that_do_not_count() -> None:
    fits, sample, columns = added(120)
    ignored, folds = np.arange(400) % 3 == 0, ALL - {0}
    rewards = np.where(np.isfinite(sample.rewards), 0.0, NAN)
    barred = ignored | (fits.fold_of == 0)
    spoilt = np.where(barred[:, None], rewards, sample.rewards)
    found = []
    for each in (sample.rewards, spoilt):
        told = replace(sample, rewards=each, weights=np.where(ignored, 0.0, 1.0))
        fitted = ClosedFormFits.of(without(told, columns), fits.fold_of, NAMES)
        found.append(with_newcomers(fitted, "ridge-cluster", told, columns, NAMES, folds))
    np.testing.assert_array_equal(found[0].weights, found[1].weights)
    np.testing.assert_array_equal(found[0].bias, found[1].bias)


def test_each_label_meets_predictions_that_did_not_see_its_row() -> None:
    fits, sample, columns = added(60)
    maps = with_newcomers(fits, "ridge-cluster", sample, columns, NAMES)
    rows = np.arange(60)
    predicted = fits.held_out("ridge-cluster", rows)
    labelled = Labelled(without(sample, columns).take(rows), sample.rewards[rows, 4], predicted)
    expected = fit_newcomer(labelled, fits.maps("ridge-cluster"))
    np.testing.assert_array_equal(maps.bias[:, 4:], expected.bias)


def test_too_few_labels_are_refused_with_the_name_and_what_to_do() -> None:
    fits, sample, columns = added(FEWEST_REWARDS - 1)
    message = f"new has {FEWEST_REWARDS - 1} rewards: at least {FEWEST_REWARDS} are needed"
    with pytest.raises(DataError, match=message):
        with_newcomers(fits, "pooled-ridge", sample, columns, NAMES)
    fits, sample, columns = added(FEWEST_REWARDS)
    assert with_newcomers(fits, "pooled-ridge", sample, columns, NAMES).bias.shape == (CLUSTERS, 5)


def test_rare_candidates_of_a_log_are_no_newcomers() -> None:
    rewards = np.full((1_000, 3), np.nan)
    rewards[:900, 0] = 0.5
    rewards[900:950, 1] = 0.5
    rewards[950:, 2] = 0.5
    assert scarce_columns(rewards).tolist() == [1, 2]
    assert newcomers(rewards).tolist() == []


def test_a_candidate_added_to_scored_rows_is_a_newcomer() -> None:
    rewards = np.full((1_000, 3), 0.5)
    rewards[100:, 1] = np.nan
    assert newcomers(rewards).tolist() == [1]


def test_a_newcomer_is_lowered_by_the_error_of_its_mean_alone() -> None:
    maps = AffineMaps(np.ones((2, 3, 4)), np.full((2, 3), 0.5))
    rewards = np.full((100, 3), 0.5)
    rewards[:, 1] = np.nan
    rewards[:50, 1] = np.tile([0.0, 1.0], 25)
    found = lowered(maps, rewards, np.array([1]))
    np.testing.assert_array_equal(found.bias[:, [0, 2]], 0.5)
    np.testing.assert_allclose(found.bias[:, 1], 0.5 - 0.5 / np.sqrt(49))
    np.testing.assert_array_equal(found.weights, maps.weights)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_candidate_placed_last_is_last_for_every_query(seed: int) -> None:
    rng = np.random.default_rng(seed)
    maps = AffineMaps(rng.normal(size=(3, 4, 6)), rng.normal(size=(3, 4)))
    found = placed_last(maps, np.array([1, 5]))
    points = rng.normal(size=(50, 6))
    embeddings = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    predicted = found.predict(embeddings, rng.integers(3, size=50))
    known = np.delete(predicted, [1, 5], axis=1)
    assert (predicted[:, [1, 5]].max(axis=1) <= known.min(axis=1)).all()


def test_beside_a_single_known_candidate_nobody_is_a_newcomer() -> None:
    rewards = np.full((1_000, 3), 0.5)
    rewards[100:, 1:] = np.nan
    assert newcomers(rewards).tolist() == []
