"""`make bench-power`: how often the gate is wrong, both ways, and how often intervals are.

Queries are RouterDC's. Where nothing can be learned, whole rows of scores are permuted among the
queries; where something can, one topic has a specialist, with a true gain of three points over
the best single candidate.
"""

import argparse
import json
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from regroup.artifact import Verdict
from tests.bench.data import REPOSITORY, RESULTS, find_data
from tests.bench.offpolicy import coverage
from training.clusters import fit_clusters
from training.comparison import compare, routers_named
from training.dataset import Dataset, Matrix, read_dataset
from training.encoder import ensure_minilm
from training.prepare import embed_queries
from training.routers import AUTO
from training.sample import Sample
from training.selection import Costs, select

QUERIES = 2_000
DATA_SETS = 100
PLANTED_GAIN = 0.03
TOPICS, CANDIDATES = 6, 4
SHARED_LUCK = 0.6
"""Share of queries that all candidates find equally easy or hard, as in published benchmarks."""
LOGS, LOG_ROWS = 200, 1_500

console = Console(highlight=False)


@dataclass(frozen=True, slots=True)
class Trial:
    """One data set's verdict, and what there was to gain."""

    verdict: Verdict
    router: str

    @property
    def errors(self) -> float:
        """The gain in standard errors, from its 95 % interval."""
        width = self.verdict.gain_high - self.verdict.gain_low
        return 2 * 1.96 * self.verdict.gain / width if width > 0 else 0.0


def main() -> None:
    """Run the benchmark; print its table and write `build/bench/power.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-sets", type=int, default=DATA_SETS)
    number = parser.parse_args().data_sets
    data = read_dataset(find_data("routerdc.jsonl.gz")).split("train")
    with console.status("embedding"):
        embeddings = embed_queries(
            data,
            ensure_minilm(REPOSITORY / "build/encoder"),
            cache_folder=REPOSITORY / "build/cache",
        )
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        work = partial(shuffled_trial, data, embeddings)
        shuffled = _all(pool.map(work, range(number)), number, "shuffled rewards")
        work = partial(planted_trial, data, embeddings)
        planted = _all(pool.map(work, range(number)), number, "planted gain")
    covered = coverage(LOGS, LOG_ROWS, seed=0)
    clear = {
        f"{what}_beyond_{errors:g}_errors": share(t.errors > errors for t in trials)
        for errors in (1.0, 1.64, 2.0)
        for what, trials in (("shuffled", shuffled), ("planted", planted))
    }
    report = clear | {
        "shuffled_do_not_route_share": share(not t.verdict.route for t in shuffled),
        "planted_route_share": share(t.verdict.route for t in planted),
        "planted_gain_measured": float(np.mean([t.verdict.gain for t in planted])),
        "ope_coverage": min(covered.values()),
        **{f"ope_coverage_{name}": value for name, value in covered.items()},
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "power.json").write_text(json.dumps(report, indent=1) + "\n")
    table = Table(f"{number} data sets of {QUERIES} queries, {LOGS} logs of {LOG_ROWS}", "share")
    table.add_row("shuffled rewards: do not route", f"{report['shuffled_do_not_route_share']:.2f}")
    table.add_row("planted gain of 3 points: route", f"{report['planted_route_share']:.2f}")
    for name, value in clear.items():
        table.add_row(name.replace("_", " "), f"{value:.2f}")
    for name, value in covered.items():
        table.add_row(f"95 % interval of {name} covers the truth", f"{value:.3f}")
    console.print(table)


def shuffled_trial(data: Dataset, embeddings: NDArray[np.float32], seed: int) -> Trial:
    """Judge rewards that have nothing to do with their queries."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(data))[:QUERIES]
    rewards = data.rewards[rng.permutation(rows)]
    return judge(data.take(rows), embeddings[rows], rewards, seed)


def planted_trial(data: Dataset, embeddings: NDArray[np.float32], seed: int) -> Trial:
    """Judge rewards of which the best policy by topic gains `PLANTED_GAIN`."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(data))[:QUERIES]
    with threadpool_limits(limits=1):
        topics = KMeans(TOPICS, n_init=1, random_state=seed).fit(embeddings[rows]).labels_
    chances = planted_chances(topics, rng)
    return judge(data.take(rows), embeddings[rows], draw_rewards(chances, rng), seed)


def planted_chances(topics: NDArray[np.intp], rng: np.random.Generator) -> Matrix:
    """Return (rows, candidates) chances of a right answer with the planted gain.

    The last candidate is the best on the whole; on one topic another one, a specialist, is better
    by as much as makes the gain of asking it there three points.
    """
    chances = np.tile(np.append(np.linspace(0.45, 0.5, CANDIDATES - 1), 0.6), (len(topics), 1))
    there = topics == rng.integers(TOPICS)
    specialist = rng.integers(CANDIDATES - 1)
    chances[there, specialist] = chances[0, -1] + min(PLANTED_GAIN / there.mean(), 0.35)
    return chances


def draw_rewards(chances: Matrix, rng: np.random.Generator) -> Matrix:
    """Draw right or wrong; for some queries one luck decides for all candidates."""
    own = rng.uniform(size=chances.shape)
    common = np.repeat(rng.uniform(size=(len(chances), 1)), chances.shape[1], axis=1)
    shared = rng.uniform(size=(len(chances), 1)) < SHARED_LUCK
    return (np.where(shared, common, own) < chances).astype(np.float64)


def judge(data: Dataset, embeddings: NDArray[np.float32], rewards: Matrix, seed: int) -> Trial:
    """Run what training runs after embedding."""
    with threadpool_limits(limits=1):
        clusters = fit_clusters(embeddings, seed=seed)
        labels = clusters.assign(embeddings)
        sample = Sample(embeddings, rewards, labels, clusters.k, np.ones(len(rewards)))
        free = np.zeros_like(rewards)
        compared = compare(data, sample, routers_named(AUTO), average="rows", seed=seed)
        found = select(data, sample, Costs(free, free), compared, router=AUTO, seed=seed)
    return Trial(found.verdict, found.router)


def share(flags: Iterable[bool]) -> float:
    """Return the share of true flags."""
    return float(np.mean(list(flags)))


def _all(trials: Iterable[Trial], number: int, label: str) -> list[Trial]:
    return list(track(trials, label, total=number, console=console, transient=True))


if __name__ == "__main__":
    main()
