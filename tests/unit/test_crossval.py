"""Cross-validation: no row is predicted by a fit that saw it, or saw anything it should not."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from regroup.errors import DataError
from training.affine import AffineMaps
from training.crossval import (
    ALL,
    FEWEST_REWARDS,
    FOLDS,
    ClosedFormFits,
    assign_folds,
    contrasts,
    predict,
)
from training.dataset import Matrix
from training.ridge import CLOSED_FORM
from training.sample import Sample

CLUSTERS, NAN = 3, np.nan
seeds = st.integers(0, 2**32 - 1)
origins = st.lists(st.sampled_from("abc"), min_size=1, max_size=60)
every_router = pytest.mark.parametrize("router", CLOSED_FORM)


def spread(folds: NDArray[np.intp]) -> int:
    sizes = np.bincount(folds, minlength=FOLDS)
    return int(sizes.max() - sizes.min())


@settings(deadline=None)
@given(origins, seeds)
def test_each_dataset_and_the_whole_are_spread_evenly(origin: list[str], seed: int) -> None:
    datasets = np.array(origin)
    folds = assign_folds(range(len(origin)), datasets, seed=seed)
    assert folds.shape == (len(origin),)
    assert set(folds.tolist()) <= ALL
    assert spread(folds) <= 1
    for name in np.unique(datasets):
        assert spread(folds[datasets == name]) <= 1


@settings(deadline=None)
@given(origins, st.data())
def test_equal_texts_share_a_fold_and_the_different_ones_are_spread_evenly(
    origin: list[str], data: st.DataObject
) -> None:
    number = len(origin)
    texts = data.draw(st.lists(st.integers(0, 20).map(str), min_size=number, max_size=number))
    folds = assign_folds(texts, np.array(origin), seed=0)
    fold_of = dict(zip(texts, folds.tolist(), strict=True))
    assert [fold_of[text] for text in texts] == folds.tolist()
    assert spread(np.array(list(fold_of.values()))) <= 1
    # A text counts to the data set where it is first asked.
    first = dict(reversed(list(zip(texts, origin, strict=True))))
    for name in set(first.values()):
        assert spread(np.array([fold_of[text] for text in first if first[text] == name])) <= 1


def test_the_seed_alone_decides_the_folds() -> None:
    datasets = np.array(["a", "b"] * 50)
    one, same, other = (assign_folds(range(100), datasets, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def sample_of(
    seed: int = 0, rows: int = 100, dims: int = 5, candidates: int = 2, noise: float = 0.2
) -> Sample:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(rows, dims))
    embeddings = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    labels = rng.integers(CLUSTERS, size=rows)
    slopes = rng.normal(size=(dims, candidates))
    offsets = rng.normal(scale=0.2, size=(CLUSTERS, candidates))
    rewards = 0.5 + embeddings @ slopes + offsets[labels]
    rewards += rng.normal(scale=noise, size=rewards.shape)
    return Sample(embeddings, rewards, labels, CLUSTERS, np.ones(rows))


def folds_of(sample: Sample) -> NDArray[np.intp]:
    return np.random.default_rng(0).permutation(np.arange(len(sample)) % FOLDS)


def fits_of(sample: Sample) -> ClosedFormFits:
    names = [f"candidate {column}" for column in range(sample.candidates)]
    return ClosedFormFits.of(sample, folds_of(sample), names)


def assert_same_maps(found: AffineMaps, expected: AffineMaps) -> None:
    np.testing.assert_allclose(found.weights, expected.weights, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.bias, expected.bias, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("router", ["ridge-cluster", "cluster-ridge"])
def test_planted_slopes_and_offsets_of_clusters_are_predicted(router: str) -> None:
    sample = sample_of(rows=400, candidates=3, noise=0.01)
    predicted = fits_of(sample).held_out(router, np.arange(400))
    error = np.sqrt(((predicted - sample.rewards) ** 2).mean(axis=0))
    assert (error < 0.1 * sample.rewards.std(axis=0)).all()


@every_router
def test_each_row_is_predicted_by_the_fit_on_all_other_folds(router: str) -> None:
    sample = sample_of()
    fits, fold_of, rows = fits_of(sample), folds_of(sample), np.arange(len(sample))
    found = fits.held_out(router, rows)
    found_by_rest = fits.held_out(router, rows, frozenset({3}))
    for fold in ALL:
        held_out = np.flatnonzero(fold_of == fold)
        expected = predict(fits.maps(router, ALL - {fold}), sample, held_out)
        np.testing.assert_array_equal(found[held_out], expected)
        if fold == 3:
            assert np.isnan(found_by_rest[held_out]).all()
        else:
            expected = predict(fits.maps(router, ALL - {fold, 3}), sample, held_out)
            np.testing.assert_array_equal(found_by_rest[held_out], expected)


@every_router
def test_only_the_rows_asked_for_are_predicted_in_their_order(router: str) -> None:
    sample = sample_of()
    fits, rows = fits_of(sample), np.array([70, 3, 41, 4])
    whole = fits.held_out(router, np.arange(len(sample)))
    np.testing.assert_allclose(fits.held_out(router, rows), whole[rows], rtol=1e-12)


def test_no_row_is_predicted_by_a_fit_that_saw_it() -> None:
    # Rewards are coins: only a fit that saw a row can know how its coin fell.
    rng = np.random.default_rng(0)
    coins = rng.integers(2, size=(200, 3)).astype(np.float64)
    sample = replace(sample_of(rows=200, dims=30, candidates=3), rewards=coins)
    fits, rows = fits_of(sample), np.arange(200)

    def correlation(predicted: Matrix, column: int) -> float:
        return float(np.corrcoef(predicted[:, column], coins[:, column])[0, 1])

    for router in ("pooled-ridge", "ridge-cluster", "cluster-ridge"):
        seen = predict(fits.maps(router), sample, rows)
        unseen = fits.held_out(router, rows)
        for column in range(3):
            assert correlation(seen, column) > 0.2
            assert correlation(unseen, column) < 0.1


@every_router
@settings(max_examples=4, deadline=None)
@given(row=st.integers(0, 99))
def test_a_rows_own_reward_does_not_change_its_prediction(router: str, row: int) -> None:
    sample, rows = sample_of(), np.arange(100)
    before = fits_of(sample).held_out(router, rows)
    changed = sample.rewards.copy()
    changed[row] = 1.0 - changed[row]
    after = fits_of(replace(sample, rewards=changed)).held_out(router, rows)
    np.testing.assert_array_equal(after[row], before[row])
    assert (after != before).any()


@every_router
@settings(max_examples=3, deadline=None)
@given(seed=seeds, fold=st.sampled_from(sorted(ALL)))
def test_a_fold_left_out_entirely_is_not_used_at_all(router: str, seed: int, fold: int) -> None:
    sample, rows = sample_of(), np.arange(100)
    fold_of, without = folds_of(sample), frozenset({fold})
    before = fits_of(sample).held_out(router, rows, without)
    changed = sample.rewards.copy()
    changed[fold_of == fold] = np.random.default_rng(seed).normal(scale=100.0, size=(20, 2))
    after = fits_of(replace(sample, rewards=changed)).held_out(router, rows, without)
    np.testing.assert_array_equal(after, before)
    np.testing.assert_array_equal(np.isnan(before).any(axis=1), fold_of == fold)


def sample_with_gaps() -> Sample:
    """Candidates 0 and 3 are scored everywhere, 1 on some rows, 2 on some others."""
    sample = sample_of(1, rows=200, candidates=4)
    sample.rewards[::3, 1] = NAN
    sample.rewards[50:110, 2] = NAN
    return sample


TOGETHER = [[0, 3], [1], [2]]
"""Candidates with gaps on the same rows."""


@every_router
@pytest.mark.parametrize("folds", [ALL, ALL - {2}])
def test_candidates_are_fitted_on_the_rows_where_they_were_scored(
    router: str, folds: frozenset[int]
) -> None:
    sample = sample_with_gaps()
    fold_of, maps = folds_of(sample), fits_of(sample).maps(router, folds)
    for columns in TOGETHER:
        scored = np.isfinite(sample.rewards[:, columns[0]])
        alone = replace(sample.take(scored), rewards=sample.rewards[scored][:, columns])
        names = [str(column) for column in columns]
        expected = ClosedFormFits.of(alone, fold_of[scored], names).maps(router, folds)
        assert_same_maps(AffineMaps(maps.weights[:, columns], maps.bias[:, columns]), expected)


@every_router
@settings(max_examples=4, deadline=None)
@given(seed=seeds)
def test_what_makes_a_query_easy_for_all_does_not_hide_what_tells_candidates_apart(
    router: str, seed: int
) -> None:
    sample = sample_of(2, rows=120, candidates=3)
    ease = np.random.default_rng(seed).normal(scale=5.0, size=(120, 1))
    before = fits_of(sample).held_out(router, np.arange(120))
    after = fits_of(replace(sample, rewards=sample.rewards + ease)).held_out(router, np.arange(120))
    leads = before[:, 1:] - before[:, :1]
    np.testing.assert_allclose(after[:, 1:] - after[:, :1], leads, atol=1e-8)
    assert np.abs(after - before).max() > 0.1


def test_contrasts_are_a_querys_mean_and_what_each_candidate_adds() -> None:
    found = contrasts(np.array([[0.0, 1.0], [0.5, 0.5], [NAN, NAN]]))
    expected = [[0.5, -0.5, 0.5], [0.5, 0.0, 0.0], [NAN, NAN, NAN]]
    np.testing.assert_array_equal(found, expected)


def test_rows_with_gaps_are_predicted_all_the_same() -> None:
    sample = sample_with_gaps()
    assert np.isfinite(fits_of(sample).held_out("ridge-cluster", np.arange(200))).all()


def test_candidates_scored_on_the_same_rows_share_their_sums() -> None:
    columns = [part[0].tolist() for part in fits_of(sample_with_gaps()).parts]
    assert columns == TOGETHER


@every_router
def test_a_row_of_weight_zero_is_not_learned_from(router: str) -> None:
    sample = sample_of()
    sample.weights[:20] = 0.0
    kept = np.arange(100) >= 20
    expected = ClosedFormFits.of(sample.take(kept), folds_of(sample)[kept], ["a", "b"])
    assert_same_maps(fits_of(sample).maps(router), expected.maps(router))


@pytest.mark.parametrize("scored", [0, FEWEST_REWARDS - 1])
def test_too_few_rewards_are_refused(scored: int) -> None:
    sample = sample_of()
    sample.rewards[scored:, 1] = NAN
    with pytest.raises(DataError, match=f"candidate 1 has {scored} rewards: at least 10 "):
        fits_of(sample)


@every_router
def test_the_fewest_rewards_are_enough_wherever_they_fall(router: str) -> None:
    sample = sample_of()
    fold_of = folds_of(sample)
    for empty in ({4}, {1, 4}):  # folds without a reward of candidate 1
        rewards = sample.rewards.copy()
        scored = np.flatnonzero(~np.isin(fold_of, list(empty)))[:FEWEST_REWARDS]
        rewards[np.setdiff1d(np.arange(100), scored), 1] = NAN
        fits = fits_of(replace(sample, rewards=rewards))
        for fold in ALL:
            predicted = fits.held_out(router, np.arange(100), frozenset({fold}))
            assert np.isfinite(predicted[fold_of != fold]).all()


@pytest.mark.parametrize("folds", [{0}, {0, 3}])
def test_rewards_on_the_same_few_texts_are_refused(folds: set[int]) -> None:
    sample = sample_of()
    sample.rewards[~np.isin(folds_of(sample), list(folds)), 1] = NAN
    with pytest.raises(DataError, match="candidate 1 "):
        fits_of(sample)


def test_some_rows_of_a_sample_keep_their_clusters() -> None:
    sample = sample_of()
    index = np.array([5, 2, 9])
    taken = sample.take(index)
    assert (len(taken), taken.candidates, taken.dims, taken.n_clusters) == (3, 2, 5, CLUSTERS)
    np.testing.assert_array_equal(taken.labels, sample.labels[index])
    np.testing.assert_array_equal(taken.rewards, sample.rewards[index])
    np.testing.assert_array_equal(taken.embeddings, sample.embeddings[index])
    mask = np.isin(np.arange(100), index)
    np.testing.assert_array_equal(sample.take(mask).rewards, sample.rewards[[2, 5, 9]])
