"""Train, publish to a loopback S3, load by the classifier's own code, and decide row by row."""

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from classifier.ask import Ask
from classifier.bootstrap import build_application
from classifier.settings import Settings
from regroup.adapters.object_store import open_object
from regroup.domain.chat import ChatRequest, said
from tests.bench.data import REPOSITORY
from tests.local.aws import LoopbackAws
from training.dataset import Dataset
from training.encoder import ensure_minilm
from training.prepare import Options
from training.publish import publish
from training.train import Trained, train

BUCKET = "artifacts"
_SECONDS = 28.0
"""As long as a request has behind the gateway."""
POINTER = f"s3://{BUCKET}/regroup/pointer.json"


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
    settings = Settings(catalog_uri, pointer_uri=POINTER, default_preset="quality")
    decider = build_application(settings).api.service.decider
    if decider.releases.live.champion is None:
        sys.exit("the classifier refused the artifact that was just published")
    started = time.perf_counter()
    chosen = [
        decider.decide(
            Ask(ChatRequest((said("user", text),)), key_id=None), seconds=_SECONDS
        ).choice.candidate
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
