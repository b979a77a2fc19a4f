"""`make bench-ablation`: what helps the default router on RouterDC, and what does not.

Only train rows are read. Every variant predicts each row by folds without it, in several divisions
into folds; its policy earns a reward on every row, and the interval is of the difference to the
reference on the same rows. Intervals are over queries: fits and clusters stay as they are.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from threadpoolctl import threadpool_limits

from tests.bench.data import REPOSITORY, RESULTS, find_data
from training.affine import AffineMaps
from training.clusters import fit_clusters
from training.crossval import ALL, FOLDS, ClosedFormFits, assign_folds, predict
from training.dataset import Dataset, Matrix, read_dataset
from training.decide import decide, taken
from training.encoder import ENCODERS, ensure_encoder
from training.gate import MARGINS
from training.intervals import Interval, best_single, paired_interval, row_weights
from training.moments import moment_table
from training.prepare import embed_queries
from training.ridge import CLOSED_FORM, ClosedForm
from training.sample import Sample

DIVISIONS = 3
FIXED_K = (8, 10, 12, 16, 24)
AVERAGED_K = (8, 10, 12, 14, 16)
OTHER_STARTS = (1, 2)
WORD_DIMS = 256
MEAN, ONE_RIDGE = "cluster-mean", "ridge-cluster"
PENALTY = 1.0
"""Of the affine map that stands in for an average over K."""

REFERENCE, BEST_SINGLE = MEAN, "best single model"

console = Console(highlight=False)

type Predictions = Iterator[tuple[str, Matrix]]
"""Variants by label: (rows, candidates) predictions, each row by folds without it."""


@dataclass(frozen=True, slots=True)
class View:
    """What routers see of the queries."""

    features: NDArray[np.float32]
    """(rows, dims), unit length"""
    labels: NDArray[np.intp]
    """(rows,) cluster of each"""
    k: int

    @classmethod
    def of(
        cls, features: NDArray[np.float32], *, seed: int = 0, n_clusters: int | None = None
    ) -> "View":
        """Cluster the queries: by default into as many groups as stand apart best."""
        clusters = fit_clusters(features, seed=seed, n_clusters=n_clusters)
        return cls(features, clusters.assign(features), clusters.k)

    def sample(self, rewards: Matrix, weights: NDArray[np.float64] | None = None) -> Sample:
        """Return the sample that a router is fitted on, rows counting alike by default."""
        each = np.ones(len(rewards)) if weights is None else weights
        return Sample(self.features, rewards, self.labels, self.k, each)

    def without_slopes(self) -> "View":
        """Return the clusters alone: all that a cluster mean looks at, and quickly summed up."""
        return View(self.features[:, :0], self.labels, self.k)


@dataclass(frozen=True, slots=True)
class Views:
    """The ways in which variants see the queries."""

    reference: View
    by_features: Mapping[str, View]
    by_k: Mapping[int, View]
    by_start: Mapping[int, View]


@dataclass(frozen=True, slots=True)
class Earned:
    """What a variant's policy earns."""

    plain: NDArray[np.float64]
    """(rows,) rewards where each query goes to the highest prediction"""
    best: NDArray[np.float64]
    """(rows,) rewards with the margin of the highest mean, chosen on these very rows"""
    margin: float


def main() -> None:
    """Run the benchmark; print its table and write `build/bench/ablation.json`."""
    data = read_dataset(find_data("routerdc.jsonl.gz")).split("train")
    # Sums over several threads differ from run to run in their last bits.
    with threadpool_limits(limits=1):
        with console.status("embedding and clustering"):
            views = view_all(_features(data))
        earned = {BEST_SINGLE: _always_best(data)}
        for division in range(DIVISIONS):
            with console.status(f"division {division + 1} of {DIVISIONS}") as status:
                fold_of = assign_folds(data.texts, data.datasets, seed=division)
                for label, predicted in variants(data, views, fold_of):
                    status.update(f"division {division + 1} of {DIVISIONS}: {label}")
                    earned.setdefault(label, []).append(rewards_by_margin(data, predicted))
    weights = row_weights(data.datasets, "datasets")
    found = {label: summarise(each, weights) for label, each in earned.items()}
    _report(data, views, found)


def variants(data: Dataset, views: Views, fold_of: NDArray[np.intp]) -> Predictions:
    """Yield every variant's predictions of rows held out."""
    rewards, reference = data.rewards, views.reference
    alike = row_weights(data.datasets, "datasets") * len(data)
    yield from _of_sample(reference.sample(rewards), fold_of, data.candidates, tuple(CLOSED_FORM))
    yield from levels(reference.sample(rewards), fold_of)
    for router, view in ((MEAN, reference.without_slopes()), (ONE_RIDGE, reference)):
        sample = view.sample(rewards, alike)
        for label, predicted in _of_sample(sample, fold_of, data.candidates, (router,)):
            yield f"{label}, fitted with data sets alike", predicted
    for name, view in views.by_features.items():
        for router, seen in ((MEAN, view.without_slopes()), (ONE_RIDGE, view)):
            sample = seen.sample(rewards)
            for label, predicted in _of_sample(sample, fold_of, data.candidates, (router,)):
                yield f"{label}, {name}", predicted
    for start, view in views.by_start.items():
        yield f"{MEAN}, other K-means start {start}", _cluster_means(view, data, fold_of)
    for k in FIXED_K:
        yield f"{MEAN}, K = {k}", _cluster_means(views.by_k[k], data, fold_of)
    yield from averages([views.by_k[k] for k in AVERAGED_K], reference, data, fold_of)


def levels(sample: Sample, fold_of: NDArray[np.intp]) -> Predictions:
    """Yield routers fitted to the rewards as they are, not split into mean and contrasts."""
    cells = fold_of * sample.n_clusters + sample.labels
    shape = (FOLDS, sample.n_clusters)
    fits = ClosedForm(moment_table(sample.embeddings, sample.rewards, sample.weights, cells, shape))
    for router, fit in CLOSED_FORM.items():
        predicted = np.empty_like(sample.rewards)
        for fold in ALL:
            rows = np.flatnonzero(fold_of == fold)
            predicted[rows] = predict(fit(fits, ALL - {fold}), sample, rows)
        yield f"{router}, levels", predicted


def averages(
    views: Sequence[View], served: View, data: Dataset, fold_of: NDArray[np.intp]
) -> Predictions:
    """Yield the mean of cluster means over several K, and what of it can be served.

    No affine map per served cluster says what the mean says, because the other clusters' borders
    cross each served cluster. Two maps come near: in each served cluster the mean's own average,
    which averages the other K's corrections, and its ridge on the embedding.
    """
    samples = [view.without_slopes().sample(data.rewards) for view in views]
    fits = [ClosedFormFits.of(sample, fold_of, data.candidates) for sample in samples]
    every = np.arange(len(data))
    exact, constant, affine = (np.empty_like(data.rewards) for _ in range(3))
    for fold in ALL:
        each = [
            predict(fit.maps(MEAN, ALL - {fold}), sample, every)
            for fit, sample in zip(fits, samples, strict=True)
        ]
        mean = np.mean(each, axis=0)
        seen, rows = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        exact[rows] = mean[rows]
        for penalty, out in ((np.inf, constant), (PENALTY, affine)):
            maps = affine_of(mean, served, seen, penalty)
            out[rows] = maps.predict(served.features[rows], served.labels[rows])
    label = f"{MEAN}, mean over K"
    yield f"{label} (cannot be served)", exact
    yield f"{label}, served as a constant per cluster", constant
    yield f"{label}, served as a ridge per cluster", affine


def affine_of(
    predicted: Matrix, served: View, seen: NDArray[np.intp], penalty: float
) -> AffineMaps:
    """Return the affine map per served cluster that comes nearest to predictions of some rows.

    Args:
        predicted: (rows, candidates).
        served: clusters and features of the same rows.
        seen: index of the rows to fit on.
        penalty: of a ridge; infinite for a constant.
    """
    dims = served.features.shape[1]
    weights = np.zeros((served.k, predicted.shape[1], dims))
    bias = np.repeat(predicted[seen].mean(axis=0)[None], served.k, axis=0)
    for k in range(served.k):
        rows = seen[served.labels[seen] == k]
        if not len(rows):
            continue
        bias[k] = predicted[rows].mean(axis=0)
        if np.isfinite(penalty):
            centre = served.features[rows].mean(axis=0, dtype=np.float64)
            x = served.features[rows] - centre
            weights[k] = np.linalg.solve(
                x.T @ x + penalty * np.eye(dims), x.T @ (predicted[rows] - bias[k])
            ).T
            bias[k] -= weights[k] @ centre
    return AffineMaps(weights, bias)


def rewards_by_margin(data: Dataset, predicted: Matrix) -> Matrix:
    """Return the (margins, rows) rewards of routing by these predictions."""
    default = best_single(data.rewards, row_weights(data.datasets, "datasets"))
    chosen = [decide(predicted, default, min_margin=margin) for margin in MARGINS]
    return np.array([taken(data.rewards, columns) for columns in chosen])


def summarise(divisions: Sequence[Matrix], weights: NDArray[np.float64]) -> Earned:
    """Average a variant's (margins, rows) rewards over divisions, and find its best margin."""
    rewards = np.mean(divisions, axis=0)
    best = int((rewards @ weights).argmax())
    return Earned(rewards[0], rewards[best], MARGINS[best])


def view_all(features: Mapping[str, NDArray[np.float32]]) -> Views:
    """Cluster every kind of features, and the reference's in other ways."""
    minilm = features["minilm"]
    reference = View.of(minilm)
    by_k = {
        k: View.of(minilm, n_clusters=k) for k in sorted({*FIXED_K, *AVERAGED_K} - {reference.k})
    }
    by_k[reference.k] = reference
    others = {name: View.of(one) for name, one in features.items() if name != "minilm"}
    starts = {seed: View.of(minilm, seed=seed, n_clusters=reference.k) for seed in OTHER_STARTS}
    return Views(reference, others, by_k, starts)


def join(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (rows, dims of both) features of unit length, made of two kinds that count alike."""
    return np.asarray(np.concatenate([one, other], axis=1) / np.sqrt(2.0), np.float32)


def word_features(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return (texts, dims) leading directions of the texts' words (TF-IDF), of unit length."""
    words = TfidfVectorizer(sublinear_tf=True, min_df=2).fit_transform(texts)
    dims = min(WORD_DIMS, words.shape[1] - 1)
    found = TruncatedSVD(dims, random_state=0).fit_transform(words)
    # A text without a known word has no direction: it stays at 0.
    lengths = np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)
    return np.asarray(found / lengths, np.float32)


def _features(data: Dataset) -> dict[str, NDArray[np.float32]]:
    """Return each kind of features by its name in the table."""
    found = {
        name: embed_queries(
            data,
            ensure_encoder(encoder, REPOSITORY / "build/encoder"),
            cache_folder=REPOSITORY / "build/cache",
        )
        for name, encoder in ENCODERS.items()
    }
    found["minilm and e5-small"] = join(found["minilm"], found["e5-small"])
    found["minilm and words"] = join(found["minilm"], word_features(data.texts))
    return found


def _of_sample(
    sample: Sample, fold_of: NDArray[np.intp], names: Sequence[str], routers: Sequence[str]
) -> Predictions:
    fits = ClosedFormFits.of(sample, fold_of, names)
    for router in routers:
        yield router, fits.held_out(router, np.arange(len(sample)))


def _cluster_means(view: View, data: Dataset, fold_of: NDArray[np.intp]) -> Matrix:
    sample = view.without_slopes().sample(data.rewards)
    [(_, predicted)] = _of_sample(sample, fold_of, data.candidates, (MEAN,))
    return predicted


def _always_best(data: Dataset) -> list[Matrix]:
    return [rewards_by_margin(data, np.zeros_like(data.rewards))]


def _report(data: Dataset, views: Views, found: Mapping[str, Earned]) -> None:
    """Print the table and write the figures, in points: 100 x reward, the mean over data sets."""
    reference = found[REFERENCE]
    report: dict[str, float] = {"rows": len(data), "k_minilm": views.reference.k}
    report |= {f"k_{_key(name)}": view.k for name, view in views.by_features.items()}
    table = Table(
        f"{len(data)} train rows of RouterDC, {DIVISIONS} divisions into {FOLDS} folds",
        "points",
        "to the reference, 95 %",
        "best margin",
        "points",
        "to the reference, 95 %",
    )
    for label, one in found.items():
        key, cells = _key(label), [label]
        for at, mine, base in (
            ("", one.plain, reference.plain),
            ("_best_margin", one.best, reference.best),
        ):
            points = paired_interval(mine, data.datasets, "datasets", seed=0).mean
            behind = paired_interval(mine - base, data.datasets, "datasets", seed=0)
            report[f"{key}{at}_points"] = round(100 * points, 3)
            report[f"{key}{at}_difference"] = round(100 * behind.mean, 3)
            report[f"{key}{at}_low"] = round(100 * behind.low, 3)
            report[f"{key}{at}_high"] = round(100 * behind.high, 3)
            cells += [f"{100 * points:.2f}", _words(behind, label)]
        report[f"{key}_margin"] = one.margin
        table.add_row(*cells[:3], f"{one.margin:g}", *cells[3:])
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "ablation.json").write_text(json.dumps(report, indent=1) + "\n")
    console.print(table)
    k = ", ".join(f"{name} {view.k}" for name, view in views.by_features.items())
    console.print(
        f"The reference is {REFERENCE} on minilm with contrasts, K = {views.reference.k} by "
        f"silhouette (K elsewhere: {k}). The best margin is chosen on the very rows that it is "
        f"judged on. Of {len(found) - 1} intervals, one in twenty leaves out 0 by chance.",
        soft_wrap=True,
    )


def _words(behind: Interval, label: str) -> str:
    if label == REFERENCE:
        return "reference"
    return f"{100 * behind.mean:+z.2f} ({100 * behind.low:+z.2f} to {100 * behind.high:+z.2f})"


def _key(label: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")


if __name__ == "__main__":
    main()
