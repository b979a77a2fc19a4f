"""Lengths of answers: what the query says of them, and a mean that cost can be counted by."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.affine import constant_maps
from training.crossval import FOLDS
from training.dataset import Matrix
from training.heads import export_heads
from training.lengths import FALLBACK_TOKENS, FEWEST_LENGTHS, Lengths, fit_lengths

DIMS, NAN = 8, np.nan
seeds = st.integers(0, 2**32 - 1)


def unit_vectors(rows: int, rng: np.random.Generator, dims: int = DIMS) -> NDArray[np.float32]:
    points = rng.normal(size=(rows, dims))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def fitted(embeddings: NDArray[np.float32], tokens: Matrix) -> Lengths:
    return fit_lengths(embeddings, tokens, np.arange(len(tokens)) % FOLDS)


def lognormal(rows: int, seed: int, spread: float) -> tuple[NDArray[np.float32], Matrix, Matrix]:
    """Embeddings, output tokens of two candidates, and the logarithms they scatter around."""
    rng = np.random.default_rng(seed)
    embeddings = unit_vectors(rows, rng)
    planted = rng.normal(size=(2, DIMS))
    logs = embeddings @ planted.T + np.array([5.0, 6.0])
    return embeddings, np.exp(logs + rng.normal(scale=spread, size=logs.shape)), logs


@pytest.mark.parametrize("seed", range(3))
def test_predicted_tokens_match_the_mean_that_is_paid_for(seed: int) -> None:
    embeddings, tokens, _ = lognormal(3_000, seed, spread=0.8)
    lengths = fitted(embeddings, tokens)
    paid = tokens.mean(axis=0)
    np.testing.assert_allclose(lengths.tokens(embeddings).mean(axis=0), paid, rtol=0.05)
    # The plain exponential of the mean logarithm promises far too little.
    slopes = embeddings @ lengths.weights.T
    plain = np.exp(slopes - slopes.mean(axis=0) + np.log(tokens).mean(axis=0))
    assert (plain.mean(axis=0) < 0.8 * paid).all()


def test_unseen_rows_are_promised_what_they_cost() -> None:
    embeddings, tokens, _ = lognormal(4_000, seed=3, spread=0.8)
    lengths = fitted(embeddings[:2_000], tokens[:2_000])
    promised = lengths.tokens(embeddings[2_000:]).mean(axis=0)
    np.testing.assert_allclose(promised, tokens[2_000:].mean(axis=0), rtol=0.12)


def test_a_fit_that_knows_its_rows_by_heart_promises_no_less() -> None:
    # Residuals of the fit itself would be too small; those held out are not.
    rng = np.random.default_rng(4)
    embeddings, unseen = unit_vectors(130, rng, dims=60), unit_vectors(5_000, rng, dims=60)
    slope = 1.5 * rng.normal(size=60)

    def tokens(rows: NDArray[np.float32]) -> Matrix:
        return np.exp(7.0 + rows @ slope + rng.normal(scale=0.5, size=len(rows)))[:, None]

    promised = fitted(embeddings, tokens(embeddings)).tokens(unseen).mean()
    assert promised == pytest.approx(tokens(unseen).mean(), rel=0.1)


def test_what_the_query_says_of_the_length_is_found() -> None:
    embeddings, tokens, logs = lognormal(1_000, seed=5, spread=0.1)
    predicted = np.log(fitted(embeddings, tokens).tokens(embeddings))
    np.testing.assert_allclose(predicted, logs, atol=0.1)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_training_expects_what_serving_predicts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    embeddings = unit_vectors(150, rng)
    tokens = np.exp(rng.uniform(-1, 12, size=(150, 3)))
    tokens[50:, 1] = NAN
    lengths = fitted(embeddings, tokens)
    heads = export_heads(
        constant_maps(np.zeros(3), 4, DIMS), lengths, unit_vectors(4, rng), ("a", "b", "c")
    )
    expected = lengths.tokens(embeddings)
    for embedding, row in zip(embeddings[:5], expected, strict=False):
        served = list(heads.predict(embedding).output_tokens.values())
        np.testing.assert_allclose(served, row, rtol=1e-4)


@pytest.mark.parametrize(
    ("log", "tokens"), [(-3.0, 1.0), (0.0, 1.0), (2.0, np.exp(2)), (30.0, np.exp(20))]
)
def test_no_answer_is_shorter_than_a_token_or_endless(log: float, tokens: float) -> None:
    lengths = Lengths(np.zeros((1, DIMS)), np.array([log]))
    found = lengths.tokens(unit_vectors(2, np.random.default_rng(0)))
    np.testing.assert_allclose(found, tokens, rtol=1e-6)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([[10.0], [1000.0]], [505.0]),
        ([[NAN], [50.0]], [50.0]),
        ([[0.0], [0.0]], [1.0]),  # an empty answer counts as one token
        ([[NAN], [NAN]], [FALLBACK_TOKENS]),
        ([[NAN, 8.0], [NAN, 2.0]], [FALLBACK_TOKENS, 5.0]),
    ],
)
def test_few_lengths_are_their_mean_and_none_a_constant(
    tokens: list[list[float]], expected: list[float]
) -> None:
    embeddings = unit_vectors(2, np.random.default_rng(0))
    lengths = fitted(embeddings, np.array(tokens))
    assert not lengths.weights.any()
    np.testing.assert_allclose(lengths.tokens(embeddings), [expected] * 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("known", "learned"), [(FEWEST_LENGTHS - 1, False), (FEWEST_LENGTHS, True)]
)
def test_a_slope_is_fitted_from_enough_lengths_on(known: int, learned: bool) -> None:
    embeddings, tokens, _ = lognormal(200, seed=6, spread=0.1)
    tokens[known:, 0] = NAN
    lengths = fitted(embeddings, tokens)
    assert lengths.weights[1].any()
    assert lengths.weights[0].any() == learned
    if not learned:
        mean = np.log(tokens[:known, 0].mean())
        assert lengths.bias[0] == pytest.approx(mean)


def test_a_candidate_learns_from_the_rows_where_its_length_is_known() -> None:
    embeddings, tokens, _ = lognormal(400, seed=7, spread=0.3)
    tokens[::2, 1] = NAN
    both = fitted(embeddings, tokens)
    half = np.arange(1, 400, 2)
    alone = (
        fitted(embeddings, tokens[:, :1]),
        fit_lengths(embeddings[half], tokens[half, 1:], half % FOLDS),
    )
    for column, expected in enumerate(alone):
        np.testing.assert_allclose(both.weights[column], expected.weights[0], rtol=1e-7)
        np.testing.assert_allclose(both.bias[column], expected.bias[0], rtol=1e-7)
