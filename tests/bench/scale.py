"""`make bench-scale`: train on up to a million rows, and see what time and memory that takes.

Texts, rewards and costs are made up from a seed. Every text's embedding is put into the cache
beforehand by a synthetic encoder, because a real one would take hours; training then runs as ever
and finds each text there. What is measured runs in a process of its own.

Memory is given in two figures. Anonymous memory is what training itself needs. Resident memory
also counts the pages of mapped files, which the system takes back when others need room.
"""

import argparse
import gzip
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from regroup.artifact import ENCODER
from tests.bench.data import REPOSITORY, RESULTS
from training.dataset import read_dataset
from training.embeddings import embed
from training.encoder import ensure_minilm, load_spec
from training.prepare import Options, cache_path, embed_queries
from training.train import train

SIZES = (10_000, 100_000, 1_000_000)

LIMIT_MB = 2 * 1024**3 / 1e6
"""Peak of anonymous memory that no size may exceed."""

GROUPS = 12
"""Planted clusters: in each another candidate is best."""

CANDIDATES = ("haiku", "llama", "nova", "sonnet")

_USD_PER_TOKEN = dict(zip(CANDIDATES, (1.25e-6, 0.7e-6, 0.3e-6, 15e-6), strict=True))
_GAPS = 0.1
_NOISE_ROWS = 256
_EVERY_SECONDS = 0.05
_KILOBYTES_PER_MEGABYTE = 1e3 / 1.024

_SUBJECTS = ("an egg", "a proof", "a poem", "a river", "the stock", "a list", "a train", "日本語")
_VERBS = ("explain", "sort", "boil", "translate", "count", "rewrite", "compare", "describe")

console = Console(stderr=not sys.stdout.isatty(), highlight=False)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one size took."""

    read_seconds: float
    embed_seconds: float
    train_seconds: float
    read_anonymous_mb: float
    embed_anonymous_mb: float
    anonymous_mb: float
    resident_mb: float
    mapped_mb: float
    clusters: int
    router: str

    @property
    def seconds(self) -> float:
        """Read and train; training looks the embeddings up once more."""
        return self.read_seconds + self.train_seconds


class SyntheticEncoder:
    """Turns a text into a unit vector near one of the planted directions, in microseconds."""

    def __init__(self, dims: int) -> None:
        rng = np.random.default_rng(0)
        self._directions = rng.normal(size=(GROUPS, dims))
        self._noise = rng.normal(scale=0.7, size=(_NOISE_ROWS, dims))

    def encode(self, text: str) -> NDArray[np.float32]:
        digest = sha256(text.encode()).digest()
        vector = self._directions[group_of(digest)] + self._noise[list(digest[1:4])].sum(axis=0)
        return np.asarray(vector / np.linalg.norm(vector), np.float32)


def group_of(digest: bytes) -> int:
    """Return the planted cluster of a text by its digest."""
    return digest[0] % GROUPS


def write_data(path: Path, rows: int) -> None:
    """Write labelled rows: rewards by planted cluster, with gaps, costs and lengths."""
    rng = np.random.default_rng(0)
    strengths = rng.uniform(0.3, 0.8, size=(GROUPS, len(CANDIDATES)))
    with gzip.open(path, "wt", compresslevel=1, encoding="utf-8") as lines:
        for number in range(rows):
            lines.write(json.dumps(_row(number, rng, strengths), ensure_ascii=False) + "\n")


def _row(
    number: int, rng: np.random.Generator, strengths: NDArray[np.float64]
) -> dict[str, object]:
    draws = rng.random(2 * len(CANDIDATES) + 3)
    verb, subject = _VERBS[int(8 * draws[-3])], _SUBJECTS[int(8 * draws[-2])]
    text = f"Please {verb} {subject}, case {number}"
    chances = strengths[group_of(sha256(text.encode()).digest())]
    scores: dict[str, float | None] = {}
    costs: dict[str, float] = {}
    tokens: dict[str, int] = {}
    for c, name in enumerate(CANDIDATES):
        missing = draws[c] < _GAPS
        scores[name] = None if missing else float(draws[len(CANDIDATES) + c] < chances[c])
        if not missing:
            tokens[name] = 20 + int(400 * draws[c])
            costs[name] = round(tokens[name] * _USD_PER_TOKEN[name], 9)
    return {
        "id": f"row-{number}",
        "text": text,
        "scores": scores,
        "cost_usd": costs,
        "output_tokens": tokens,
        "dataset": ("chat", "code", "math")[int(3 * draws[-1])],
    }


def fill(data: Path, encoder: Path, cache: Path) -> None:
    """Put a made-up embedding of every text where training will look for it."""
    texts, spec = read_dataset(data).texts, load_spec(encoder)
    path = cache_path(cache, (encoder / ENCODER).read_bytes(), spec)
    embed(texts, SyntheticEncoder(spec.dims), cache_path=path)


def probe(data: Path, encoder: Path, cache: Path) -> Measured:
    """Read and train as `regroup train` does, watching the process's memory."""
    with TemporaryDirectory() as out, watch_memory() as memory:
        marks = [time.perf_counter()]
        rows = read_dataset(data)
        marks.append(time.perf_counter())
        read_mb = memory.anonymous_mb
        embeddings = embed_queries(rows, encoder, cache_folder=cache)
        mapped_mb = embeddings.nbytes / 1e6
        del embeddings
        marks.append(time.perf_counter())
        embed_mb = memory.anonymous_mb
        trained = train(rows, encoder, Path(out), options=Options(), cache_folder=cache)
        marks.append(time.perf_counter())
    read_seconds, embed_seconds, train_seconds = np.diff(marks).tolist()
    return Measured(
        read_seconds=read_seconds,
        embed_seconds=embed_seconds,
        train_seconds=train_seconds,
        read_anonymous_mb=read_mb,
        embed_anonymous_mb=embed_mb,
        anonymous_mb=memory.anonymous_mb,
        resident_mb=memory_mb("VmHWM"),
        mapped_mb=mapped_mb,
        clusters=trained.manifest.n_clusters,
        router=trained.manifest.router,
    )


@dataclass(slots=True)
class Peak:
    """The most anonymous memory seen so far."""

    anonymous_mb: float = 0.0


@contextmanager
def watch_memory() -> Iterator[Peak]:
    """Look at this process's anonymous memory many times a second."""
    peak, done = Peak(), threading.Event()

    def look() -> None:
        while not done.wait(_EVERY_SECONDS):
            peak.anonymous_mb = max(peak.anonymous_mb, memory_mb("RssAnon"))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def memory_mb(field: str) -> float:
    """Return a field of the process's status; getrusage would tell the parent's peak after exec."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith(f"{field}:")]
    return int(line.split()[1]) / _KILOBYTES_PER_MEGABYTE


def measure(rows: int, encoder: Path) -> Measured:
    """Make the data of one size, and train on them in a process of its own."""
    with TemporaryDirectory(dir=RESULTS) as scratch, console.status(f"{rows:,} rows") as status:
        data, cache = Path(scratch) / "data.jsonl.gz", Path(scratch) / "cache"
        status.update(f"{rows:,} rows: writing")
        write_data(data, rows)
        status.update(f"{rows:,} rows: filling the cache of embeddings")
        _run("fill", data, encoder, cache)
        status.update(f"{rows:,} rows: training")
        return Measured(**json.loads(_run("probe", data, encoder, cache)))


def _run(task: str, *paths: Path) -> bytes:
    command = [sys.executable, "-m", "tests.bench.scale", "--task", task, *map(str, paths)]
    return subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE).stdout


def main() -> None:
    """Run the benchmark; print its table and write `build/bench/scale.json`."""
    options = _options()
    if options.task == "fill":
        fill(*options.paths)
        return
    if options.task == "probe":
        sys.stdout.write(json.dumps(asdict(probe(*options.paths))))
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    encoder = ensure_minilm(REPOSITORY / "build/encoder")
    found = {rows: measure(rows, encoder) for rows in options.rows}
    (RESULTS / "scale.json").write_text(json.dumps(_report(found), indent=1) + "\n")
    _print(found)
    over = [rows for rows, one in found.items() if one.anonymous_mb > LIMIT_MB]
    if over:
        sys.exit(f"more than {LIMIT_MB:.0f} MB of anonymous memory at {over} rows")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES, help="sizes to train on")
    parser.add_argument("--task", choices=("fill", "probe"), help=argparse.SUPPRESS)
    parser.add_argument("paths", type=Path, nargs="*", help=argparse.SUPPRESS)
    return parser.parse_args()


def _report(found: dict[int, Measured]) -> dict[str, float]:
    report: dict[str, float] = {}
    for rows, one in found.items():
        figures = {name: value for name, value in asdict(one).items() if name != "router"}
        figures["seconds"] = one.seconds
        report |= {f"rows_{rows}_{name}": round(value, 1) for name, value in figures.items()}
    return report


def _print(found: dict[int, Measured]) -> None:
    table = Table("", *(f"{rows:,} rows" for rows in found))
    for label, field in (
        ("read, s", "read_seconds"),
        ("look embeddings up, s", "embed_seconds"),
        ("train, s", "train_seconds"),
        ("read and train, s", "seconds"),
        ("peak anonymous memory after reading, MB", "read_anonymous_mb"),
        ("... after looking up, MB", "embed_anonymous_mb"),
        ("peak anonymous memory, MB", "anonymous_mb"),
        ("peak resident memory, mapped files included, MB", "resident_mb"),
        ("embeddings in the mapped file, MB", "mapped_mb"),
        ("clusters found", "clusters"),
        ("router", "router"),
    ):
        values = [getattr(one, field) for one in found.values()]
        table.add_row(label, *(v if isinstance(v, str) else f"{v:,.0f}" for v in values))
    Console(highlight=False).print(table)


if __name__ == "__main__":
    main()
