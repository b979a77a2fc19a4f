"""Moments: sums that stand for the rows, whatever fold, cluster and number of them."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.dataset import Matrix
from training.moments import Moments, MomentTable, moment_table

FOLDS, CLUSTERS = 3, 4
EVERY = range(FOLDS)
seeds = st.integers(0, 2**32 - 1)
some_folds = st.sets(st.sampled_from(EVERY), min_size=1).map(sorted)
some_cluster = st.none() | st.integers(0, CLUSTERS - 1)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows with all that a table is summed up from."""

    embeddings: NDArray[np.float32]
    rewards: Matrix
    weights: NDArray[np.float64]
    folds: NDArray[np.intp]
    labels: NDArray[np.intp]

    @property
    def x(self) -> Matrix:
        return np.column_stack([self.embeddings, np.ones(len(self.labels))]).astype(np.float64)

    def table(self) -> MomentTable:
        cells = self.folds * CLUSTERS + self.labels
        return moment_table(self.embeddings, self.rewards, self.weights, cells, (FOLDS, CLUSTERS))

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> "Rows":
        return Rows(
            self.embeddings[rows],
            self.rewards[rows],
            self.weights[rows],
            self.folds[rows],
            self.labels[rows],
        )

    def within(self, folds: list[int], cluster: int | None) -> "Rows":
        inside = np.isin(self.folds, folds)
        return self.take(inside if cluster is None else inside & (self.labels == cluster))


def rows_of(seed: int, number: int = 40, dims: int = 3, targets: int = 2) -> Rows:
    rng = np.random.default_rng(seed)
    return Rows(
        embeddings=rng.normal(size=(number, dims)).astype(np.float32),
        rewards=rng.normal(size=(number, targets)),
        weights=rng.integers(3, size=number).astype(np.float64),  # some are 0
        folds=rng.integers(FOLDS, size=number),
        labels=rng.integers(CLUSTERS - 1, size=number),  # the last cluster is empty
    )


def direct(rows: Rows) -> Moments:
    weighted = rows.x * rows.weights[:, None]
    squares = (rows.weights[:, None] * rows.rewards**2).sum(axis=0)
    return Moments(weighted.T @ rows.x, weighted.T @ rows.rewards, squares)


def assert_same(found: Moments, expected: Moments) -> None:
    np.testing.assert_allclose(found.gram, expected.gram, atol=1e-9)
    np.testing.assert_allclose(found.cross, expected.cross, atol=1e-9)
    np.testing.assert_allclose(found.squares, expected.squares, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(1, 60), some_folds, some_cluster)
def test_a_table_holds_the_sums_over_the_rows_of_any_folds_and_cluster(
    seed: int, number: int, folds: list[int], cluster: int | None
) -> None:
    rows = rows_of(seed, number)
    rows.weights[0] = 1.0
    inside = rows.within(folds, cluster)
    found = rows.table().of(folds, cluster)
    assert_same(found, direct(inside))
    assert found.n == pytest.approx(inside.weights.sum())


@settings(max_examples=40, deadline=None)
@given(seeds, some_folds, some_cluster)
def test_squared_errors_are_those_of_the_rows(
    seed: int, folds: list[int], cluster: int | None
) -> None:
    rows = rows_of(seed)
    inside, moments = rows.within(folds, cluster), rows.table().of(folds, cluster)
    beta = np.random.default_rng(seed).normal(size=(5, 4, 2))  # five maps at once
    errors = moments.squared_errors(beta)
    for at, one in enumerate(beta):
        residuals, weights = inside.rewards - inside.x @ one, inside.weights[:, None]
        np.testing.assert_allclose(errors[at], (weights * residuals**2).sum(axis=0), atol=1e-8)
        np.testing.assert_allclose(moments.squared_errors(one), errors[at], atol=1e-8)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_sums_of_parts_are_the_sum_of_the_whole(seed: int) -> None:
    table = rows_of(seed).table()
    whole = table.of(EVERY)
    by_fold = [table.of([fold]) for fold in EVERY]
    by_cluster = [table.of(EVERY, cluster) for cluster in range(CLUSTERS)]
    for parts in (by_fold, by_cluster):
        assert_same(
            Moments(
                sum((part.gram for part in parts), np.zeros_like(whole.gram)),
                sum((part.cross for part in parts), np.zeros_like(whole.cross)),
                sum((part.squares for part in parts), np.zeros_like(whole.squares)),
            ),
            whole,
        )
    np.testing.assert_allclose(table.counts(EVERY), [part.n for part in by_cluster])
    np.testing.assert_allclose(table.counts([0, 2]).sum(), by_fold[0].n + by_fold[2].n)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_a_row_of_weight_zero_is_left_out_gaps_and_all(seed: int) -> None:
    rows = rows_of(seed)
    kept = rows.weights > 0
    rows.rewards[~kept, 0] = np.nan
    table, without = rows.table(), rows.take(kept).table()
    np.testing.assert_array_equal(table.gram, without.gram)
    np.testing.assert_array_equal(table.cross, without.cross)
    np.testing.assert_array_equal(table.squares, without.squares)


def test_a_row_of_weight_two_counts_as_two_rows() -> None:
    rows = rows_of(0)
    rows.weights[:] = 1.0
    twice = rows.take(np.append(np.arange(40), 7)).table()
    rows.weights[7] = 2.0
    assert_same(rows.table().of(EVERY), twice.of(EVERY))


def test_a_cell_of_any_number_of_rows_is_summed_to_its_last_row() -> None:
    rows = rows_of(1, number=20_000, dims=2)
    rows.folds[:], rows.labels[:] = 1, np.where(np.arange(20_000) < 19_000, 2, 0)
    for cluster in (0, 2):
        found = rows.table().of([1], cluster)
        expected = direct(rows.within([1], cluster))
        np.testing.assert_allclose(found.gram, expected.gram, rtol=1e-10, atol=1e-7)
        np.testing.assert_allclose(found.cross, expected.cross, rtol=1e-10, atol=1e-7)
        np.testing.assert_allclose(found.squares, expected.squares, rtol=1e-10)


def test_the_order_of_the_rows_does_not_matter() -> None:
    rows = rows_of(2)
    shuffled = rows.take(np.random.default_rng(0).permutation(40))
    for cluster in range(CLUSTERS):
        assert_same(rows.table().of(EVERY, cluster), shuffled.table().of(EVERY, cluster))


def test_cells_without_rows_hold_zeros() -> None:
    rows = rows_of(3)
    rows.folds[:] = 1
    table = rows.table()
    assert (table.n_clusters, table.targets) == (CLUSTERS, 2)
    empty = Moments(np.zeros((4, 4)), np.zeros((4, 2)), np.zeros(2))
    assert_same(table.of([0, 2]), empty)
    assert_same(table.of([1], CLUSTERS - 1), empty)
    assert table.counts(EVERY)[CLUSTERS - 1] == 0.0


def test_a_table_of_no_rows_holds_zeros() -> None:
    rows = rows_of(4)
    rows.weights[:] = 0.0
    assert not rows.table().gram.any()
