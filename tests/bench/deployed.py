"""Train, publish to a loopback S3, load by the classifier's own code, and decide row by row."""

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from classifier.bootstrap import load_catalog, load_predictor
from classifier.service import Ask, RouteService, Rules
from classifier.settings import Settings
from regroup.adapters.bedrock import BedrockChatModel
from regroup.adapters.object_store import open_object
from regroup.adapters.telemetry import PowertoolsTelemetry
from regroup.domain.chat import ChatRequest, said
from regroup.ports import Clock
from tests.bench.data import REPOSITORY
from tests.local.aws import LoopbackAws
from training.dataset import Dataset
from training.encoder import ensure_minilm
from training.prepare import Options
from training.publish import publish
from training.train import Trained, train

BUCKET = "artifacts"
POINTER = f"s3://{BUCKET}/regroup/pointer.json"


class SilentTelemetry:
    """Drops decision lines: nine thousand of them would hide the table."""

    def event(self, line: Mapping[str, object]) -> None:
        """Drop a line."""

    def count(self, metric: str, value: float = 1, *, unit: str = "Count") -> None:
        """Drop a metric."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """What the deployed router did."""

    trained: Trained
    chosen: NDArray[np.intp]
    """(rows,) column of the candidate each row was routed to"""
    train_seconds: float
    """Everything after embedding."""
    route_seconds: float


def route_as_deployed(rows: Dataset, test: Dataset, options: Options, console: Console) -> Deployed:
    """Train on `rows`, whose embeddings are cached, and route every row of `test`."""
    with TemporaryDirectory() as scratch, LoopbackAws() as aws:
        folder = Path(scratch)
        os.environ.update(aws.environment())
        aws.create_bucket(BUCKET)
        started = time.perf_counter()
        with console.status(f"training on {len(rows)} rows"):
            trained = train(
                rows,
                ensure_minilm(REPOSITORY / "build/encoder"),
                folder / "artifact",
                options=options,
                cache_folder=REPOSITORY / "build/cache",
            )
        train_seconds = time.perf_counter() - started
        store, key = open_object(POINTER)
        publish(folder / "artifact", store, key, who="bench", why="bench-quality")
        catalog_path = folder / "catalog.json"
        catalog_path.write_text(json.dumps(_catalog(rows.candidates)))
        chosen, route_seconds = _route(test, f"file:{catalog_path}", console)
    column = {name: c for c, name in enumerate(rows.candidates)}
    columns = np.array([column[name] for name in chosen], np.intp)
    return Deployed(trained, columns, train_seconds, route_seconds)


def _route(test: Dataset, catalog_uri: str, console: Console) -> tuple[list[str], float]:
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
        service.decide(Ask(ChatRequest((said("user", text),)), key_id=None)).choice.candidate
        for text in track(test.texts, "routing", console=console, transient=True)
    ]
    return chosen, time.perf_counter() - started


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
