"""The ablation bench: its variants predict rows held out, and serve what they say they serve."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.bench import ablation
from tests.bench.ablation import Predictions, View, Views
from training.crossval import ClosedFormFits, assign_folds, contrasts
from training.dataset import Dataset, Matrix
from training.gate import MARGINS
from training.ridge import CLOSED_FORM

ROWS, DIMS, CANDIDATES, TOPICS = 400, 6, 3, 4

type Variants = Callable[[Dataset, Views, NDArray[np.intp]], Predictions]


def draw_view(rng: np.random.Generator, k: int) -> View:
    features = rng.normal(size=(ROWS, DIMS))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return View(features.astype(np.float32), rng.integers(k, size=ROWS), k)


def draw_data(rng: np.random.Generator) -> Dataset:
    gaps = np.full((ROWS, CANDIDATES), np.nan)
    return Dataset(
        texts=tuple(f"text {row}" for row in range(ROWS)),
        candidates=("a", "b", "c"),
        rewards=rng.uniform(size=(ROWS, CANDIDATES)),
        cost_usd=gaps,
        output_tokens=gaps,
        datasets=np.array(["d", "e"])[rng.integers(2, size=ROWS)],
        splits=np.full(ROWS, "train"),
        sha256="",
    )


@pytest.fixture
def data() -> Dataset:
    return draw_data(np.random.default_rng(0))


@pytest.fixture
def views() -> Views:
    rng = np.random.default_rng(1)
    minilm = draw_view(rng, TOPICS)
    other = draw_view(rng, TOPICS)
    ks = {*ablation.FIXED_K, *ablation.AVERAGED_K}
    by_k = {k: replace(draw_view(rng, k), features=minilm.features) for k in ks}
    return Views({"minilm": minilm, "other": other}, {"other": other}, by_k)


@pytest.fixture
def fold_of(data: Dataset) -> NDArray[np.intp]:
    return assign_folds(data.texts, data.datasets, seed=0)


@pytest.mark.parametrize("variants", [ablation.by_router, ablation.by_clusters])
def test_no_row_is_predicted_by_its_own_fold(
    variants: Variants, data: Dataset, views: Views, fold_of: NDArray[np.intp]
) -> None:
    own = fold_of == 0
    other = replace(data, rewards=np.where(own[:, None], 1.0 - data.rewards, data.rewards))
    before = dict(variants(data, views, fold_of))
    after = dict(variants(other, views, fold_of))
    for label, predicted in before.items():
        assert np.isfinite(predicted).all(), label
        np.testing.assert_allclose(after[label][own], predicted[own], atol=1e-9, err_msg=label)
        assert not np.allclose(after[label][~own], predicted[~own]), label


def test_no_two_variants_share_a_label(
    data: Dataset, views: Views, fold_of: NDArray[np.intp]
) -> None:
    for variants in (ablation.by_router, ablation.by_clusters):
        labels = [label for label, _ in variants(data, views, fold_of)]
        assert len(set(labels)) == len(labels)


def test_the_clusters_alone_give_the_cluster_means_of_the_whole_view(
    data: Dataset, views: Views, fold_of: NDArray[np.intp]
) -> None:
    whole = dict(ablation.by_router(data, views, fold_of))[ablation.REFERENCE]
    alone = dict(ablation.by_clusters(data, views, fold_of))[ablation.REFERENCE]
    np.testing.assert_allclose(alone, whole, atol=1e-12)


def test_levels_are_fits_of_one_candidate_at_a_time(
    data: Dataset, views: Views, fold_of: NDArray[np.intp]
) -> None:
    found = dict(ablation.levels(views.reference.sample(data.rewards), fold_of))
    for router in CLOSED_FORM:
        for column in range(CANDIDATES):
            rewards = data.rewards[:, [column]]
            assert not contrasts(rewards)[:, 1].any()  # its mean is the reward itself
            fits = ClosedFormFits.of(views.reference.sample(rewards), fold_of, ("a",))
            alone = fits.held_out(router, np.arange(ROWS))
            np.testing.assert_allclose(found[f"{router}, levels"][:, [column]], alone, atol=1e-9)


def affine(view: View, rng: np.random.Generator) -> Matrix:
    weights = rng.normal(size=(view.k, CANDIDATES, DIMS))
    bias = rng.normal(size=(view.k, CANDIDATES))
    slopes = np.einsum("nd,ncd->nc", view.features, weights[view.labels])
    return np.asarray(slopes + bias[view.labels])


def test_what_is_affine_in_each_cluster_is_served_as_it_is() -> None:
    rng = np.random.default_rng(2)
    view = draw_view(rng, TOPICS)
    predicted = affine(view, rng)
    maps = ablation.affine_of(predicted, view, np.arange(0, ROWS, 2), penalty=1e-9)
    np.testing.assert_allclose(maps.predict(view.features, view.labels), predicted, atol=1e-5)


def test_an_endless_penalty_serves_the_mean_of_the_rows_seen() -> None:
    rng = np.random.default_rng(3)
    view = draw_view(rng, TOPICS)
    predicted, seen = affine(view, rng), np.arange(0, ROWS, 2)
    maps = ablation.affine_of(predicted, view, seen, penalty=np.inf)
    assert not maps.weights.any()
    for k in range(TOPICS):
        rows = seen[view.labels[seen] == k]
        np.testing.assert_allclose(maps.bias[k], predicted[rows].mean(axis=0))


def test_a_cluster_without_rows_is_served_the_mean_of_all() -> None:
    rng = np.random.default_rng(4)
    view = replace(draw_view(rng, TOPICS), k=TOPICS + 1)
    predicted = affine(view, rng)
    maps = ablation.affine_of(predicted, view, np.arange(ROWS), penalty=1.0)
    np.testing.assert_allclose(maps.bias[TOPICS], predicted.mean(axis=0))
    assert not maps.weights[TOPICS].any()


def test_joined_features_count_alike_and_keep_unit_length() -> None:
    rng = np.random.default_rng(5)
    one, other = draw_view(rng, TOPICS).features, draw_view(rng, TOPICS).features
    joined = ablation.join(one, other)
    assert joined.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(joined, axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(joined @ joined.T, (one @ one.T + other @ other.T) / 2, atol=1e-6)


def test_words_give_unit_directions_and_none_to_a_text_of_unknown_words() -> None:
    texts = ["red green blue", "green blue", "red blue green", "red green", "unseen"]
    lengths = np.linalg.norm(ablation.word_features(texts), axis=1)
    np.testing.assert_allclose(lengths, [1.0, 1.0, 1.0, 1.0, 0.0], atol=1e-6)


def test_the_best_margin_is_the_one_of_the_highest_weighted_mean() -> None:
    margins = len(MARGINS)
    one = np.zeros((margins, 2))
    one[0], one[2], one[3] = (1.0, 0.0), (0.0, 0.9), (0.9, 0.2)
    other = np.zeros((margins, 2))
    found = ablation.summarise([one, other], np.array([0.2, 0.8]))
    assert found.margin == MARGINS[2]
    np.testing.assert_allclose(found.best, [0.0, 0.45])
    np.testing.assert_allclose(found.plain, [0.5, 0.0])


def test_always_the_best_single_model_is_what_equal_predictions_choose(data: Dataset) -> None:
    rewards = data.rewards.copy()
    rewards[:, 1] += 1.0
    lifted = replace(data, rewards=rewards)
    found = ablation.rewards_by_margin(lifted, np.zeros_like(rewards))
    np.testing.assert_array_equal(found, np.tile(rewards[:, 1], (len(MARGINS), 1)))
