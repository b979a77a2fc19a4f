"""`make bench-ablation`: what helps the default router on RouterDC, and what does not.

Only train rows are read. Every variant predicts each row by folds without it, in several divisions
into folds; its policy earns a reward on every row, and the interval is of the difference to the
reference on the same rows. Intervals are over queries, with clusters as they are; how much hangs on
where K-means starts is told by a second table, of cluster means over several starts.
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
from training.intervals import best_single, paired_interval, row_weights
from training.moments import moment_table
from training.prepare import embed_queries
from training.ridge import CLOSED_FORM, ClosedForm
from training.sample import Sample

DIVISIONS = 3
FIXED_K = (8, 10, 12, 16, 24)
AVERAGED_K = (8, 10, 12, 14, 16)
SAME_K = 12
"""At which kinds of features are compared beside the K that each one's silhouette gives."""
STARTS = range(5)
"""Of K-means, the first being the reference's."""
WORD_DIMS = 256
MEAN, ONE_RIDGE = "cluster-mean", "ridge-cluster"
PENALTY = 1.0
"""Of the affine map that stands in for an average over K."""

MINILM = "minilm"
REFERENCE, BEST_SINGLE = MEAN, "best single model"

WIDTH = 140

console = Console(highlight=False, width=WIDTH)

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
    """The ways in which variants see the queries, from one start of K-means."""

    by_features: Mapping[str, View]
    """Each kind of features, K by its silhouette; the reference is `MINILM`."""
    at_same_k: Mapping[str, View]
    """The other kinds, in `SAME_K` clusters."""
    by_k: Mapping[int, View]
    """`MINILM` in other numbers of clusters."""

    @property
    def reference(self) -> View:
        """What the default router sees."""
        return self.by_features[MINILM]


@dataclass(frozen=True, slots=True)
class Earned:
    """What a variant's policy earns."""

    plain: NDArray[np.float64]
    """(rows,) rewards where each query goes to the highest prediction"""
    best: NDArray[np.float64]
    """(rows,) rewards with the margin of the highest mean, chosen on these very rows"""
    margin: float


def main() -> None:
    """Run the benchmark; print its tables and write `build/bench/ablation.json`."""
    data = read_dataset(find_data("routerdc.jsonl.gz")).split("train")
    # Sums over several threads differ from run to run in their last bits.
    with threadpool_limits(limits=1), console.status("embedding") as status:
        features = _features(data)
        status.update("clustering")
        first = view_all(features)
        known = {name: view.k for name, view in first.by_features.items()}
        others = [view_all(features, seed=start, known_k=known) for start in STARTS[1:]]
        earned: dict[str, list[Matrix]] = {BEST_SINGLE: [_always_best(data)]}
        by_start: list[dict[str, list[Matrix]]] = [{} for _ in STARTS]
        for division in range(DIVISIONS):
            status.update(f"division {division + 1} of {DIVISIONS}")
            fold_of = assign_folds(data.texts, data.datasets, seed=division)
            for label, predicted in by_router(data, first, fold_of):
                earned.setdefault(label, []).append(rewards_by_margin(data, predicted))
            for views, into in zip((first, *others), by_start, strict=True):
                for label, predicted in by_clusters(data, views, fold_of):
                    into.setdefault(label, []).append(rewards_by_margin(data, predicted))
        earned |= by_start[0]
    weights = row_weights(data.datasets, "datasets")
    found = {label: summarise(each, weights) for label, each in earned.items()}
    over_starts = {
        label: np.array([np.mean(one[label], axis=0)[0] for one in by_start])
        for label in by_start[0]
    }
    report: dict[str, float] = {"rows": len(data)}
    report.update({f"k_{_key(name)}": k for name, k in known.items()})
    report |= _print_variants(data, known, found) | _print_starts(data, over_starts)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "ablation.json").write_text(json.dumps(report, indent=1) + "\n")


def by_router(data: Dataset, views: Views, fold_of: NDArray[np.intp]) -> Predictions:
    """Yield what the routers predict of rows held out, fitted in several ways."""
    rewards, reference = data.rewards, views.reference
    alike = row_weights(data.datasets, "datasets") * len(data)
    yield from _of_sample(reference.sample(rewards), fold_of, data.candidates, tuple(CLOSED_FORM))
    yield from levels(reference.sample(rewards), fold_of)
    for router, view in ((MEAN, reference.without_slopes()), (ONE_RIDGE, reference)):
        sample = view.sample(rewards, alike)
        for label, predicted in _of_sample(sample, fold_of, data.candidates, (router,)):
            yield f"{label}, fitted with data sets alike", predicted
    for name, view in views.by_features.items():
        if name != MINILM:
            sample = view.sample(rewards)
            for label, predicted in _of_sample(sample, fold_of, data.candidates, (ONE_RIDGE,)):
                yield f"{label}, {name}", predicted


def by_clusters(data: Dataset, views: Views, fold_of: NDArray[np.intp]) -> Predictions:
    """Yield what cluster means predict of rows held out, over several kinds of clusters."""
    for name, view in views.by_features.items():
        label = REFERENCE if name == MINILM else f"{MEAN}, {name}"
        yield label, _cluster_means(view, data, fold_of)
    for name, view in views.at_same_k.items():
        yield f"{MEAN}, {name}, K = {SAME_K}", _cluster_means(view, data, fold_of)
    for k in FIXED_K:
        yield f"{MEAN}, K = {k}", _cluster_means(views.by_k[k], data, fold_of)
    yield from averages([views.by_k[k] for k in AVERAGED_K], views.reference, data, fold_of)


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
    yield f"{label}, as a constant per cluster", constant
    yield f"{label}, as a ridge per cluster", affine


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


def view_all(
    features: Mapping[str, NDArray[np.float32]],
    *,
    seed: int = 0,
    known_k: Mapping[str, int] | None = None,
) -> Views:
    """Cluster every kind of features, and the reference's into other numbers of clusters.

    Args:
        features: by kind.
        seed: where K-means starts.
        known_k: by kind, where K is not to be looked for.
    """
    chosen = known_k or {}
    by_features = {
        name: View.of(one, seed=seed, n_clusters=chosen.get(name)) for name, one in features.items()
    }
    same = {
        name: View.of(one, seed=seed, n_clusters=SAME_K)
        for name, one in features.items()
        if name != MINILM
    }
    by_k = {
        k: View.of(features[MINILM], seed=seed, n_clusters=k)
        for k in sorted({*FIXED_K, *AVERAGED_K})
    }
    return Views(by_features, same, by_k)


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
    found["minilm and e5-small"] = join(found[MINILM], found["e5-small"])
    found["minilm and words"] = join(found[MINILM], word_features(data.texts))
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


def _always_best(data: Dataset) -> Matrix:
    return rewards_by_margin(data, np.zeros_like(data.rewards))


def _print_variants(
    data: Dataset, known: Mapping[str, int], found: Mapping[str, Earned]
) -> dict[str, float]:
    """Print what every variant earns, and return it in points: 100 x reward."""
    reference = found[REFERENCE]
    table = Table(
        f"RouterDC, {len(data)} train rows, held out",
        "points",
        "to the reference",
        "best margin",
        "points",
        "to the reference",
    )
    report: dict[str, float] = {}
    for label, one in found.items():
        key = _key(label)
        cells, plain = _compared(data, f"{key}_", one.plain, reference.plain)
        tuned, best = _compared(data, f"{key}_best_margin_", one.best, reference.best)
        table.add_row(label, *cells, f"{one.margin:g}", *tuned)
        report |= plain | best | {f"{key}_margin": one.margin}
    console.print(table)
    ks = ", ".join(f"{name} {k}" for name, k in known.items())
    console.print(
        f"Mean of the data sets, {DIVISIONS} divisions into {FOLDS} folds; 95 % intervals. The "
        f"reference is {REFERENCE} on minilm with contrasts. K by silhouette: {ks}. The best "
        "margin is chosen on the very rows that it is judged on. Where nothing differs, one "
        "interval in twenty leaves out 0."
    )
    return report


def _print_starts(data: Dataset, rewards: Mapping[str, Matrix]) -> dict[str, float]:
    """Print what cluster means earn over starts of K-means, and return it in points.

    Args:
        data: the rows.
        rewards: by variant, (starts, rows).
    """
    weights = row_weights(data.datasets, "datasets")
    reference = rewards[REFERENCE].mean(axis=0)
    table = Table(
        f"Mean of {len(STARTS)} starts of K-means", "points", "to the reference", "spread"
    )
    report: dict[str, float] = {}
    for label, one in rewards.items():
        key = f"{_key(label)}_starts_"
        cells, figures = _compared(data, key, one.mean(axis=0), reference)
        spread = 100 * float((one @ weights).std(ddof=1))
        table.add_row(label, *cells, f"{spread:.2f}")
        report |= figures | {f"{key}spread": round(spread, 3)}
    console.print(table)
    console.print(
        "Margin 0. Both sides of a difference are means over the same number of starts. The spread "
        "is the standard deviation of the points from start to start; the intervals leave it out."
    )
    return report


def _compared(
    data: Dataset, key: str, mine: NDArray[np.float64], reference: NDArray[np.float64]
) -> tuple[list[str], dict[str, float]]:
    """Return cells and figures of a variant's (rows,) rewards beside the reference's."""
    points = 100 * float(row_weights(data.datasets, "datasets") @ mine)
    one = paired_interval(mine - reference, data.datasets, "datasets", seed=0)
    mean, low, high = (100 * value for value in (one.mean, one.low, one.high))
    cells = [f"{points:.2f}", f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"]
    if not (mine - reference).any():
        cells[1] = "the same"
    figures = {"points": points, "difference": mean, "low": low, "high": high}
    return cells, {f"{key}{name}": round(value, 3) for name, value in figures.items()}


def _key(label: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")


if __name__ == "__main__":
    main()
