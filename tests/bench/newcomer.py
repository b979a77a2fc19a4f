"""`make bench-newcomer`: how well a model is placed that was scored on few queries.

Each of RouterDC's models in turn is hidden on the train rows but for a few labels. Nothing is
chosen on test rows: they only say how far the newcomer's predicted rewards are off, and what
routing among all the models earns with its head.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from threadpoolctl import threadpool_limits

from tests.bench.data import REPOSITORY, RESULTS, find_data
from training.affine import AffineMaps, constant_maps
from training.clusters import fit_clusters
from training.crossval import ClosedFormFits, assign_folds, predict
from training.dataset import Dataset, read_dataset
from training.decide import taken
from training.encoder import ensure_minilm
from training.intervals import Interval, paired_interval
from training.newcomer import lowered, with_newcomers, without
from training.prepare import embed_queries
from training.sample import Sample

LABELS = (50, 100, 200)
DRAWS = 3
KNOWN_ROUTER = "ridge-cluster"
"""Fits the known models, and the newcomer where it has every label."""

NEWCOMER, MEAN, FULL = "newcomer", "mean of its labels", "every label"
SERVED = "newcomer, as served"
OWN = {"own cluster-mean": "cluster-mean", "own pooled-ridge": "pooled-ridge"}
LEFT_OUT = "left out"

console = Console(highlight=False)


@dataclass(frozen=True, slots=True)
class Rows:
    """Train and test queries, in the same clusters."""

    data: Dataset
    train: Sample
    test: Sample
    datasets: NDArray[np.str_]
    """(test rows,)"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one way to place a newcomer, test row by test row."""

    squares: NDArray[np.float64]
    """(rows,) squared errors of the newcomer's predicted reward; NaN where it has none"""
    rewards: NDArray[np.float64]
    """(rows,) of routing among all the models"""


def main() -> None:
    """Run the benchmark; print its table and write `build/bench/newcomer.json`."""
    data = read_dataset(find_data("routerdc.jsonl.gz"))
    with console.status("embedding"):
        embeddings = embed_queries(
            data,
            ensure_minilm(REPOSITORY / "build/encoder"),
            cache_folder=REPOSITORY / "build/cache",
        )
    with threadpool_limits(limits=1):
        rows = split(data, embeddings)
        outcomes: dict[int, dict[str, list[Outcome]]] = {number: {} for number in LABELS}
        for hidden in track(
            range(len(data.candidates)), "hidden models", console=console, transient=True
        ):
            for number, name, outcome in place(rows, hidden):
                outcomes[number].setdefault(name, []).append(outcome)
    report: dict[str, float] = {}
    table = Table("labels", "head", "squared error", "less ours", "reward", "below ours")
    for number, found in outcomes.items():
        means = {name: mean_outcome(each) for name, each in found.items()}
        report |= summarise(number, means, rows.datasets, table)
        table.add_section()
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "newcomer.json").write_text(json.dumps(report, indent=1) + "\n")
    console.print(table)
    console.print(
        f"Means over {len(data.candidates)} hidden models and {DRAWS} draws of labels. Squared "
        "errors x 100, rows alike; rewards x 100, datasets alike. In brackets: 95 % intervals "
        "over test rows of the difference to ours (above 0: ours is better)."
    )


def split(data: Dataset, embeddings: NDArray[np.float32]) -> Rows:
    """Cluster the train rows, and find the test rows' clusters."""
    train, test = (np.flatnonzero(data.splits == name) for name in ("train", "test"))
    clusters = fit_clusters(embeddings[train], seed=0)
    labels = clusters.assign(embeddings)
    whole = Sample(embeddings, data.rewards, labels, clusters.k, np.ones(len(data)))
    known, seen, unseen = data.take(train), whole.take(train), whole.take(test)
    return Rows(known, seen, unseen, data.datasets[test])


def place(rows: Rows, hidden: int) -> Iterator[tuple[int, str, Outcome]]:
    """Yield (labels, way, outcome) of every way and draw, one model hidden."""
    names, sample = rows.data.candidates, rows.train
    columns = np.array([hidden], np.intp)
    fold_of = assign_folds(rows.data.texts, rows.data.datasets, seed=0)
    others = tuple(name for name in names if name != names[hidden])
    fits = ClosedFormFits.of(without(sample, columns), fold_of, others)
    known = predict(fits.maps(KNOWN_ROUTER), without(rows.test, columns), everything(rows.test))
    whole = ClosedFormFits.of(sample, fold_of, names).maps(KNOWN_ROUTER)
    full = judge(rows.test, known, hidden, whole, hidden)
    alone = Outcome(
        np.full(len(rows.test), np.nan),
        taken(np.delete(rows.test.rewards, hidden, axis=1), known.argmax(axis=1)),
    )
    for number in LABELS:
        for draw in range(DRAWS):
            rng = np.random.default_rng([hidden, number, draw])
            labelled = rng.permutation(len(sample))[:number]
            placed = with_newcomers(
                fits, KNOWN_ROUTER, only(sample, hidden, labelled), columns, names
            )
            yield number, NEWCOMER, judge(rows.test, known, hidden, placed, hidden)
            served = lowered(placed, only(sample, hidden, labelled).rewards, columns)
            yield number, SERVED, judge(rows.test, known, hidden, served, hidden)
            for name, maps in plain_heads(rows, hidden, labelled):
                yield number, name, judge(rows.test, known, hidden, maps, 0)
            yield number, LEFT_OUT, alone
            yield number, FULL, full


def plain_heads(
    rows: Rows, hidden: int, labelled: NDArray[np.intp]
) -> Iterator[tuple[str, AffineMaps]]:
    """Yield the heads of what the labels alone say."""
    few, data = rows.train.take(labelled), rows.data.take(labelled)
    rewards = few.rewards[:, hidden]
    alone = Sample(few.embeddings, rewards[:, None], few.labels, few.n_clusters, few.weights)
    yield MEAN, constant_maps(rewards.mean(keepdims=True), few.n_clusters, few.dims)
    fold_of = assign_folds(data.texts, data.datasets, seed=0)
    fits = ClosedFormFits.of(alone, fold_of, (data.candidates[hidden],))
    for name, router in OWN.items():
        yield name, fits.maps(router)


def only(sample: Sample, hidden: int, labelled: NDArray[np.intp]) -> Sample:
    """Return the sample with gaps for one candidate but on some rows."""
    rewards = sample.rewards.copy()
    rewards[:, hidden] = np.nan
    rewards[labelled, hidden] = sample.rewards[labelled, hidden]
    return Sample(sample.embeddings, rewards, sample.labels, sample.n_clusters, sample.weights)


def judge(
    test: Sample, known: NDArray[np.float64], hidden: int, maps: AffineMaps, column: int
) -> Outcome:
    """Judge one column of some maps as the hidden model's head, the others' as they are."""
    predicted = predict(maps, test, everything(test))[:, column]
    chosen = np.insert(known, hidden, predicted, axis=1).argmax(axis=1)
    return Outcome((predicted - test.rewards[:, hidden]) ** 2, taken(test.rewards, chosen))


def everything(sample: Sample) -> NDArray[np.intp]:
    """Return the index of all rows."""
    return np.arange(len(sample))


def mean_outcome(outcomes: list[Outcome]) -> Outcome:
    """Return the means over hidden models and draws, row by row."""
    squares = np.mean([one.squares for one in outcomes], axis=0)
    return Outcome(squares, np.mean([one.rewards for one in outcomes], axis=0))


def summarise(
    number: int, means: dict[str, Outcome], datasets: NDArray[np.str_], table: Table
) -> dict[str, float]:
    """Add a number of labels to the table, and return its figures."""
    ours = means[NEWCOMER]
    figures: dict[str, float] = {}
    for name in (NEWCOMER, SERVED, *OWN, MEAN, LEFT_OUT, FULL):
        one = means[name]
        error = paired_interval(one.squares, datasets, "rows", seed=0).mean
        reward = paired_interval(one.rewards, datasets, "datasets", seed=0).mean
        worse = paired_interval(one.squares - ours.squares, datasets, "rows", seed=0)
        gain = paired_interval(ours.rewards - one.rewards, datasets, "datasets", seed=0)
        key = f"newcomer_{number}_{''.join(c if c.isalnum() else '_' for c in name)}"
        figures[f"{key}_reward"] = reward
        if name != LEFT_OUT:
            figures[f"{key}_squared_error"] = error
        if name != NEWCOMER:
            figures |= _bounds(f"{key}_our_gain", gain)
        if name not in (NEWCOMER, LEFT_OUT):
            figures |= _bounds(f"{key}_more_error", worse)
        table.add_row(
            str(number),
            name,
            "" if name == LEFT_OUT else f"{100 * error:.2f}",
            "" if name in (NEWCOMER, LEFT_OUT) else _shown(worse),
            f"{100 * reward:.2f}",
            "" if name == NEWCOMER else _shown(gain),
        )
    return {name: round(100 * value, 3) for name, value in figures.items()}


def _bounds(key: str, interval: Interval) -> dict[str, float]:
    return {key: interval.mean, f"{key}_low": interval.low, f"{key}_high": interval.high}


def _shown(interval: Interval) -> str:
    low, high = 100 * interval.low, 100 * interval.high
    return f"{100 * interval.mean:z.2f} ({low:z.2f} to {high:z.2f})"


if __name__ == "__main__":
    main()
