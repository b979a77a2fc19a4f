"""`make bench-quality`: train on RouterDC, publish, and route its test splits as deployed.

The router is trained on the train split, published to a loopback S3, loaded through the pointer
by the classifier's own code, and decides every test row with the preset `quality`.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from classifier.bootstrap import load_catalog, load_predictor
from classifier.service import Ask, RouteService, Rules
from classifier.settings import Settings
from regroup.adapters.bedrock import BedrockChatModel
from regroup.adapters.object_store import open_object
from regroup.adapters.telemetry import PowertoolsTelemetry
from regroup.domain.chat import ChatRequest, Turn
from regroup.ports import Clock
from tests.bench.data import REPOSITORY, RESULTS, find_data
from tests.local.aws import LoopbackAws
from training.dataset import Dataset, read_dataset
from training.encoder import ensure_minilm
from training.evaluate import paired_interval
from training.heads import weighted_means
from training.publish import publish
from training.train import Options, Trained, train

BUCKET = "artifacts"
POINTER = f"s3://{BUCKET}/regroup/pointer.json"

console = Console(stderr=not sys.stdout.isatty(), highlight=False)


class SilentTelemetry:
    """Drops decision lines: nine thousand of them would hide the table."""

    def event(self, line: Mapping[str, object]) -> None:
        """Drop a line."""

    def count(self, metric: str, value: float = 1, *, unit: str = "Count") -> None:
        """Drop a metric."""


def main() -> None:
    """Run the benchmark; print its table and write `build/bench/quality.json`."""
    data = read_dataset(find_data("routerdc.jsonl.gz"))
    rows, test = data.split("train"), data.split("test")
    with TemporaryDirectory() as scratch, LoopbackAws() as aws:
        os.environ.update(aws.environment())
        aws.create_bucket(BUCKET)
        trained = _train(rows, Path(scratch))
        store, key = open_object(POINTER)
        publish(Path(scratch), store, key, who="bench", why="bench-quality")
        catalog_path = Path(scratch) / "catalog.json"
        catalog_path.write_text(json.dumps(_catalog(data.candidates)))
        chosen, seconds = _route(test, f"file:{catalog_path}")
    report = _measure(test, chosen, trained.manifest.default_candidate)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "quality.json").write_text(json.dumps(report, indent=1) + "\n")
    _print(trained, test, report, seconds)


def _train(rows: Dataset, out: Path) -> Trained:
    with console.status(f"embedding and training on {len(rows)} rows"):
        return train(
            rows,
            ensure_minilm(REPOSITORY / "build/encoder"),
            out,
            options=Options(average="datasets"),
            cache_folder=REPOSITORY / "build/cache",
        )


def _route(test: Dataset, catalog_uri: str) -> tuple[list[str], float]:
    """Return who is chosen for each test row, and the seconds it took."""
    settings = Settings(catalog_uri=catalog_uri, pointer_uri=POINTER)
    catalog = load_catalog(settings)
    predictor = load_predictor(settings, catalog, PowertoolsTelemetry(component="bench"))
    if predictor is None:
        sys.exit("the classifier refused the artifact that was just published")
    service = RouteService(
        catalog=catalog,
        predictor=predictor,
        chat_model=BedrockChatModel(),
        queue=None,
        telemetry=SilentTelemetry(),
        clock=Clock(time.time, time.monotonic),
        new_id=lambda: "bench",
        rules=Rules("quality", catalog.names[0], explore_share=0.0, sample_rate=0.0),
    )
    started = time.perf_counter()
    chosen = [
        service.decide(Ask(ChatRequest((Turn("user", text),)), key_id=None)).choice.candidate
        for text in track(test.texts, "routing", console=console, transient=True)
    ]
    return chosen, time.perf_counter() - started


def _measure(test: Dataset, chosen: list[str], best_single: str) -> dict[str, float]:
    """Return the figures in points: 100 x reward, the unweighted mean over the test splits."""
    column = {name: c for c, name in enumerate(test.candidates)}
    picked = test.rewards[np.arange(len(test)), [column[name] for name in chosen]]
    single = test.rewards[:, column[best_single]]
    gain = paired_interval(picked - single, test.datasets, "datasets", seed=0)
    own_best = [
        weighted_means(one.rewards, np.ones(len(one))).max()
        for one in (test.take(test.datasets == name) for name in np.unique(test.datasets))
    ]

    def mean(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
        names = np.unique(test.datasets)
        return float(np.mean([values[test.datasets == name].mean() for name in names]))

    points = {
        "routerdc_default_mean": mean(picked),
        "routerdc_best_single_mean": mean(single),
        "routerdc_gain_low": gain.low,
        "routerdc_gain_high": gain.high,
        "routerdc_dataset_oracle_mean": float(np.mean(own_best)),
        "routerdc_query_oracle_mean": mean(test.rewards.max(axis=1)),
    }
    return {name: round(100 * value, 3) for name, value in points.items()}


def _print(trained: Trained, test: Dataset, report: dict[str, float], seconds: float) -> None:
    gain = report["routerdc_default_mean"] - report["routerdc_best_single_mean"]
    low, high = report["routerdc_gain_low"], report["routerdc_gain_high"]
    table = Table("RouterDC, mean of the five test splits", "points")
    default = trained.manifest.default_candidate
    table.add_row(f"best single model ({default})", f"{report['routerdc_best_single_mean']:.2f}")
    table.add_row(f"REGROUP ({trained.manifest.router})", f"{report['routerdc_default_mean']:.2f}")
    table.add_row("gain, 95 % interval", f"{gain:.2f} ({low:.2f} to {high:.2f})")
    table.add_row(
        "always the best model of the right dataset",
        f"{report['routerdc_dataset_oracle_mean']:.2f}",
    )
    table.add_row("always the best model (oracle)", f"{report['routerdc_query_oracle_mean']:.2f}")
    out = Console(highlight=False)
    out.print(table)
    out.print(f"verdict on train: {trained.manifest.verdict.sentence}")
    out.print(
        f"{len(test)} rows decided in {seconds:.0f} s, "
        f"{1000 * seconds / len(test):.1f} ms each, no cache"
    )


def _catalog(names: tuple[str, ...]) -> dict[str, object]:
    """Return a catalog of the data's own candidates at one flat price."""
    price = {"usd_per_million": 1.0, "source": "flat, for the benchmark", "as_of": "2026-11-24"}
    entry = {
        "family": "open",
        "region": "ap-northeast-1",
        "prices": {"input": price, "output": price},
        "context_tokens": 1_000_000,
        "max_output_tokens": 1_000,
        "residency": "jp",
    }
    return {"candidates": [{"name": name, "model_id": name, **entry} for name in names]}


if __name__ == "__main__":
    main()
