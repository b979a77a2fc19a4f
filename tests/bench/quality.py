"""`make bench-quality`: what the default router earns on RouterDC and RouterBench.

All choices (router, margin, clusters, cost weights) are made on train rows; test rows are decided
once. On RouterDC the router is also published to a loopback S3, loaded through the pointer by the
classifier's own code, and decides every test row as deployed.
"""

import json
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from tests.bench.data import REPOSITORY, RESULTS, find_data
from tests.bench.deployed import Deployed, route_as_deployed
from training.dataset import Dataset, read_dataset
from training.decide import taken
from training.encoder import ensure_minilm
from training.evaluate import Evaluation, evaluate
from training.intervals import Average, Interval, paired_interval
from training.policies import BEST_SINGLE, DEFAULT
from training.prepare import Options, embed_queries
from training.tables import policy_table

PROTOCOL_ROWS = 1_000
"""Most train rows of one dataset in RouterDC's published protocol."""

DATASETS = Options(average="datasets")

console = Console(stderr=not sys.stdout.isatty(), highlight=False)


@dataclass(frozen=True, slots=True)
class Embedded:
    """A data set and its embeddings."""

    data: Dataset
    embeddings: NDArray[np.float32]

    def take(self, rows: NDArray[np.intp]) -> "Embedded":
        """Return the rows of an index."""
        return Embedded(self.data.take(rows), self.embeddings[rows])


def main() -> None:
    """Run the benchmark; print its tables and write `build/bench/quality.json`."""
    routerdc, routerbench = _read("routerdc.jsonl.gz"), _read("routerbench_subset.jsonl.gz")
    data = routerdc.data
    train, test = data.split("train"), data.split("test")
    deployed = route_as_deployed(train, test, DATASETS, console)
    with console.status("every router on RouterDC"):
        full = evaluate(data, routerdc.embeddings, DATASETS)
    with console.status("the published protocol, row means, unseen data sets"):
        protocol = _default(routerdc.take(protocol_rows(data)), DATASETS)
        by_rows = _default(routerdc, Options(average="rows"))
        left_out = {name: left_out_gain(routerdc, name) for name in np.unique(data.datasets)}
    with console.status("RouterBench"):
        bench = evaluate(routerbench.data, routerbench.embeddings, Options())
    report = _routerdc(test, deployed, full, protocol, by_rows, left_out) | _routerbench(bench)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "quality.json").write_text(json.dumps(report, indent=1) + "\n")
    _print(report, deployed, test, full, left_out, bench)


def protocol_rows(data: Dataset) -> NDArray[np.intp]:
    """Return the test rows and at most 1,000 train rows of each dataset, drawn evenly."""
    rng = np.random.default_rng(0)
    kept = [np.flatnonzero(data.splits == "test")]
    for name in np.unique(data.datasets):
        rows = np.flatnonzero((data.splits == "train") & (data.datasets == name))
        kept.append(rng.permutation(rows)[:PROTOCOL_ROWS])
    return np.sort(np.concatenate(kept))


def left_out_gain(whole: Embedded, name: str) -> Interval:
    """Return the gain on a dataset's test rows of a router that never saw the dataset."""
    data = whole.data
    seen = (data.splits == "train") & (data.datasets != name)
    unseen = (data.splits == "test") & (data.datasets == name)
    return _default(whole.take(np.flatnonzero(seen | unseen)), DATASETS).line(DEFAULT).gain


def _read(name: str) -> Embedded:
    data = read_dataset(find_data(name))
    with console.status(f"embedding {len(data)} queries of {name}"):
        embeddings = embed_queries(
            data,
            ensure_minilm(REPOSITORY / "build/encoder"),
            cache_folder=REPOSITORY / "build/cache",
        )
    return Embedded(data, embeddings)


def _default(whole: Embedded, options: Options) -> Evaluation:
    return evaluate(whole.data, whole.embeddings, options, compared=())


def _routerdc(
    test: Dataset,
    deployed: Deployed,
    full: Evaluation,
    protocol: Evaluation,
    by_rows: Evaluation,
    left_out: dict[str, Interval],
) -> dict[str, float]:
    """Return RouterDC's figures in points: 100 x reward, the unweighted mean over test splits."""
    manifest = deployed.trained.manifest
    best = test.candidates.index(manifest.default_candidate)
    got, single = taken(test.rewards, deployed.chosen), test.rewards[:, best]
    gain = _interval(got - single, test, "datasets")
    default = _interval(got, test, "datasets")
    points = {
        "routerdc_default_mean": default.mean,
        "routerdc_default_low": default.low,
        "routerdc_default_high": default.high,
        "routerdc_best_single_mean": default.mean - gain.mean,
        "routerdc_gain_low": gain.low,
        "routerdc_gain_high": gain.high,
        "routerdc_dataset_oracle_mean": _own_best(test),
        "routerdc_query_oracle_mean": full.line("asks all, takes the best").reward,
        "routerdc_softmax_mean": full.line("softmax").reward,
        "routerdc_default_mean_protocol": protocol.line(DEFAULT).reward,
        "routerdc_protocol_gain_low": protocol.line(DEFAULT).gain.low,
        "routerdc_leave_one_out_gain": float(np.mean([g.mean for g in left_out.values()])),
        "routerdc_query_weighted_gain": by_rows.line(DEFAULT).gain.mean,
        "routerdc_query_weighted_gain_low": by_rows.line(DEFAULT).gain.low,
        "routerdc_query_weighted_best_single": by_rows.line(BEST_SINGLE).reward,
    }
    rounded = {name: round(100 * value, 3) for name, value in points.items()}
    return rounded | {"train_seconds": round(deployed.train_seconds, 1)}


def _routerbench(bench: Evaluation) -> dict[str, float]:
    trade = bench.trades[bench.staged.selection.router]
    best, economy = bench.line(BEST_SINGLE), bench.line(f"{DEFAULT}, economy")
    share = economy.reward_share
    return {
        "routerbench_aiq": round(trade.area, 4),
        "routerbench_aiq_blind": round(trade.blind_area, 4),
        "routerbench_aiq_above_blind_low": round(trade.above_blind.low, 4),
        "routerbench_aiq_above_blind_high": round(trade.above_blind.high, 4),
        "routerbench_economy_reward_share": round(share.mean, 4),
        "routerbench_economy_reward_share_low": round(share.low, 4),
        "routerbench_economy_reward_share_high": round(share.high, 4),
        "routerbench_economy_cost_share": round(economy.cost_usd / best.cost_usd, 4),
    }


def _interval(values: NDArray[np.float64], rows: Dataset, average: Average) -> Interval:
    return paired_interval(values, rows.datasets, average, seed=0)


def _own_best(test: Dataset) -> float:
    """Return the mean of what the best model of each dataset earns on it, in hindsight."""
    names = np.unique(test.datasets)
    means = [test.rewards[test.datasets == name].mean(axis=0).max() for name in names]
    return float(np.mean(means))


def _print(
    report: dict[str, float],
    deployed: Deployed,
    test: Dataset,
    full: Evaluation,
    left_out: dict[str, Interval],
    bench: Evaluation,
) -> None:
    out = Console(highlight=False)
    manifest = deployed.trained.manifest
    gain = report["routerdc_default_mean"] - report["routerdc_best_single_mean"]
    low, high = report["routerdc_gain_low"], report["routerdc_gain_high"]
    table = Table("RouterDC, mean of the five test splits", "points")
    rows = {
        f"best single model ({manifest.default_candidate})": "routerdc_best_single_mean",
        f"REGROUP ({manifest.router}), as deployed": "routerdc_default_mean",
        "REGROUP, published protocol's train rows": "routerdc_default_mean_protocol",
        "softmax head per cluster, arg-max labels": "routerdc_softmax_mean",
        "always the best model of the right dataset": "routerdc_dataset_oracle_mean",
        "always the best model (oracle)": "routerdc_query_oracle_mean",
    }
    for label, key in rows.items():
        table.add_row(label, f"{report[key]:.2f}")
    table.add_row("gain as deployed, 95 % interval", f"{gain:.2f} ({low:.2f} to {high:.2f})")
    table.add_row("gain where rows count alike", f"{report['routerdc_query_weighted_gain']:.2f}")
    for name, one in left_out.items():
        interval = f"{100 * one.mean:z.2f} ({100 * one.low:z.2f} to {100 * one.high:z.2f})"
        table.add_row(f"gain on {name}, never seen in training", interval)
    out.print(table)
    out.print(policy_table(full))
    out.print(f"verdict on train: {manifest.verdict.sentence}", soft_wrap=True)
    out.print(f"trained in {report['train_seconds']} s after embedding")
    each = 1000 * deployed.route_seconds / len(test)
    out.print(f"{len(test)} rows decided in {deployed.route_seconds:.0f} s, {each:.1f} ms each")
    out.print(policy_table(bench))
    trade = bench.trades[bench.staged.selection.router]
    above = trade.above_blind
    out.print(
        f"RouterBench: AIQ {trade.area:.3f}, of blind mixes {trade.blind_area:.3f}: "
        f"{above.mean:.3f} above ({above.low:.3f} to {above.high:.3f})"
    )
    out.print(f"verdict on train: {bench.staged.selection.verdict.sentence}", soft_wrap=True)


if __name__ == "__main__":
    main()
