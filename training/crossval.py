"""What each router predicts of rows that it was not fitted on."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regroup.errors import DataError
from training.affine import AffineMaps
from training.dataset import Matrix
from training.moments import moment_table
from training.ridge import CLOSED_FORM, ClosedForm, Folds
from training.sample import Router, Sample

FOLDS = 5
ALL: Folds = frozenset(range(FOLDS))

_CHUNK_ROWS = 8_192

FEWEST_REWARDS = 2 * FOLDS
"""Rewards of one candidate below which nothing is fitted to it."""

FEWEST_FOLDS = 3
"""Folds with its rewards: one is judged, one chooses penalties, and one is fitted on."""


def assign_folds(
    groups: Sequence[Hashable], datasets: NDArray[np.str_], *, seed: int
) -> NDArray[np.intp]:
    """Return the (rows,) fold of each row.

    Every dataset's different texts are spread evenly over the folds, and equal groups (the same
    text asked twice) share a fold: else a row would be predicted by its own twin.
    """
    number: dict[Hashable, int] = {}
    group = np.array([number.setdefault(one, len(number)) for one in groups], np.intp)
    first = np.zeros(len(number), np.intp)
    first[group[::-1]] = np.arange(len(group))[::-1]
    order = np.random.default_rng(seed).permutation(len(number))
    order = order[np.argsort(datasets[first[order]], kind="stable")]
    fold = np.empty(len(number), np.intp)
    fold[order] = np.arange(len(number)) % FOLDS
    return fold[group]


@dataclass(frozen=True, slots=True)
class ClosedFormFits:
    """The closed-form routers of one sample, fitted on any folds when asked for."""

    sample: Sample
    fold_of: NDArray[np.intp]
    parts: tuple[tuple[NDArray[np.intp], ClosedForm], ...]
    """Candidates with rewards on the same rows, and their fits."""

    @classmethod
    def of(
        cls, sample: Sample, fold_of: NDArray[np.intp], names: Sequence[str]
    ) -> "ClosedFormFits":
        """Sum up the rows once.

        Args:
            sample: what to fit on.
            fold_of: (rows,) fold of each row.
            names: of the candidates, for errors.

        Raises:
            DataError: a candidate has too few rewards.
        """
        cells = fold_of * sample.n_clusters + sample.labels
        parts = []
        for columns, rows in _same_rows(sample.rewards):
            if rows.sum() < FEWEST_REWARDS:
                raise DataError(
                    f"{names[columns[0]]} has {rows.sum()} rewards: at least {FEWEST_REWARDS} are "
                    "needed to learn from; score more of its answers, or leave it out"
                )
            if len(np.unique(fold_of[rows])) < FEWEST_FOLDS:
                raise DataError(
                    f"{names[columns[0]]} has rewards on too few different texts to learn from: "
                    "score its answers to other queries, or leave it out"
                )
            weights = np.where(rows, sample.weights, 0.0)
            targets = contrasts(sample.rewards[:, columns])
            shape = (FOLDS, sample.n_clusters)
            table = moment_table(sample.embeddings, targets, weights, cells, shape)
            parts.append((columns, ClosedForm(table)))
        return cls(sample, fold_of, tuple(parts))

    def maps(self, router: str, folds: Folds = ALL) -> AffineMaps:
        """Fit a router on some folds."""
        shape = (self.sample.n_clusters, self.sample.candidates)
        maps = AffineMaps(np.zeros((*shape, self.sample.dims)), np.zeros(shape))
        for columns, fits in self.parts:
            part = CLOSED_FORM[router](fits, folds)
            maps.weights[:, columns] = part.weights[:, 1:] + part.weights[:, :1]
            maps.bias[:, columns] = part.bias[:, 1:] + part.bias[:, :1]
        return maps

    def held_out(self, router: str, rows: NDArray[np.intp], without: Folds = frozenset()) -> Matrix:
        """Return (rows, candidates) predictions of some rows by folds other than their own.

        Args:
            router: a name in `CLOSED_FORM`.
            rows: index of the rows to predict.
            without: folds that nothing is fitted on; their rows are NaN.
        """
        predicted = np.full((len(rows), self.sample.candidates), np.nan)
        for fold in ALL - without:
            at = np.flatnonzero(self.fold_of[rows] == fold)
            if not len(at):
                continue
            maps = self.maps(router, ALL - without - {fold})
            predicted[at] = predict(maps, self.sample, rows[at])
        return predicted


def contrasts(rewards: Matrix) -> Matrix:
    """Return (rows, 1 + candidates): a query's mean reward, and what each candidate adds to it.

    Most of a reward's spread is how easy the query is for all. Fitted apart, it does not hide what
    tells the candidates from each other, which is all that a choice needs. Their sum predicts the
    reward as before.
    """
    means = rewards.mean(axis=1, keepdims=True)
    return np.concatenate([means, rewards - means], axis=1)


def predict(router: Router, sample: Sample, rows: NDArray[np.intp]) -> Matrix:
    """Return the (rows, candidates) predictions of some rows of a sample."""
    predicted = np.empty((len(rows), sample.candidates))
    # Indexing copies, and the embeddings may be a file larger than memory.
    for start in range(0, len(rows), _CHUNK_ROWS):
        some = rows[start : start + _CHUNK_ROWS]
        predicted[start : start + len(some)] = router.predict(
            sample.embeddings[some], sample.labels[some]
        )
    return predicted


def _same_rows(rewards: Matrix) -> Iterator[tuple[NDArray[np.intp], NDArray[np.bool_]]]:
    """Yield (columns, rows): candidates that were scored on the very same rows."""
    seen = np.isfinite(rewards)
    left = list(range(rewards.shape[1]))
    while left:
        rows = seen[:, left[0]]
        columns = [c for c in left if np.array_equal(seen[:, c], rows)]
        left = [c for c in left if c not in columns]
        yield np.array(columns, np.intp), rows
