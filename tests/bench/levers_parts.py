"""Measure how an artifact's parts are fetched and read, in a process of its own.

`python -m tests.bench.levers_parts` takes one word: `fetch-N` fetches with N threads what lies in
the bucket of the environment's AWS; `heads-parsed` and `heads-mapped` read the small parts.
"""

import io
import json
import os
import sys
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from regroup.adapters.object_store import S3ObjectStore
from regroup.artifact import read_heads, write_heads
from regroup.domain.prediction import Heads

BUCKET = "levers"
PARTS = ("encoder.onnx", "tokenizer.json", "kmeans.pkl", "heads.npz", "golden.json")

_CLUSTERS, _CANDIDATES, _DIMS = 12, 8, 384


def heads() -> Heads:
    """Return heads of the size that a real router has."""
    rng = np.random.default_rng(0)
    shapes = {
        "centroids": (_CLUSTERS, _DIMS),
        "weights": (_CLUSTERS, _CANDIDATES, _DIMS),
        "bias": (_CLUSTERS, _CANDIDATES),
        "token_weights": (_CLUSTERS, _CANDIDATES, _DIMS),
        "token_bias": (_CLUSTERS, _CANDIDATES),
    }
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return Heads(candidates=tuple(f"model-{i}" for i in range(_CANDIDATES)), **arrays)


def _fetch(threads: int) -> float:
    store = S3ObjectStore(BUCKET, "")
    # The first request makes the client and the connection, as the pointer's does.
    store.read(PARTS[-1])
    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(store.read, PARTS))
    return time.perf_counter() - started


def _parse_heads() -> float:
    made = heads()
    content = write_heads(made)
    return _seconds(lambda: read_heads(content, made.candidates, made.centroids))


def _map_heads() -> float:
    made = heads()
    with TemporaryDirectory() as folder:
        with zipfile.ZipFile(io.BytesIO(write_heads(made))) as archive:
            archive.extractall(folder)
        names = [path.stem for path in Path(folder).glob("*.npy")]

        def read() -> Heads:
            arrays = {name: np.load(Path(folder) / f"{name}.npy", mmap_mode="r") for name in names}
            return Heads(candidates=made.candidates, centroids=made.centroids, **arrays)

        return _seconds(read)


def _seconds(read: Callable[[], object]) -> float:
    started = time.perf_counter()
    read()
    return time.perf_counter() - started


MEASURES: dict[str, Callable[[], float]] = {
    "fetch-1": partial(_fetch, 1),
    "fetch-2": partial(_fetch, 2),
    "fetch-4": partial(_fetch, 4),
    "heads-parsed": _parse_heads,
    "heads-mapped": _map_heads,
}


if __name__ == "__main__":
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])
    sys.stdout.write(json.dumps(1e3 * MEASURES[sys.argv[1]]()))
