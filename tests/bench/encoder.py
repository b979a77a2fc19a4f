"""`make bench-encoder`: both bundled encoders: size, memory, time, faithfulness, and Japanese.

Whether an encoder reads Japanese is measured without labels of ours: Japanese chat tasks are put
into K-means clusters, as training does, and the clusters are compared with the set that each task
comes from by adjusted mutual information (Vinh et al. 2010): 0 is chance, 1 is agreement.
"""

import json
import subprocess
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.metrics import adjusted_mutual_info_score
from tokenizers import Tokenizer

from regroup.adapters.onnx_encoder import OnnxEncoder
from tests.bench.data import REPOSITORY, RESULTS, find_data
from tests.bench.encoder_probe import LENGTHS
from training.clusters import fit_clusters
from training.dataset import Dataset, read_dataset
from training.encoder import (
    ENCODERS,
    SERVED,
    YARDSTICK,
    EncoderName,
    ensure_encoder,
    load_spec,
)
from training.sources import TOKENIZER
from training.vocabulary import uncovered

SEEDS = range(20)
CLUSTERS = (4, 8)
"""As many as there are sets, and as few as training makes."""

_GOLDEN = {"minilm": "minilm_golden", "e5-small": "e5_golden"}
_UNKNOWN = {"minilm": "[UNK]", "e5-small": "<unk>"}
_ROWS = (
    ("size_mb", "encoder.onnx and tokenizer.json, MB"),
    ("pieces", "pieces in the vocabulary"),
    ("tokenizer_load_ms", "tokenizer: loading, ms"),
    ("tokenizer_rss_mb", "tokenizer: memory, MB"),
    ("load_ms", "encoder and tokenizer: loading, ms"),
    ("rss_mb", "process that encodes: peak memory, MB"),
    *((f"encode_p50_ms_{n}_tokens", f"median time of {n} tokens, ms") for n in LENGTHS),
    ("cosine_mean", "served to original: mean cosine"),
    ("cosine_least", "served to original: least cosine"),
    ("cosine_fp32_mean", "float32 to original: mean cosine"),
    ("cosine_fp32_least", "float32 to original: least cosine"),
    ("unknown_tokens", "Japanese tasks: unknown tokens"),
    ("unknown_share", "Japanese tasks: share of all tokens"),
    ("cut_texts", "Japanese tasks cut at the longest length"),
    *(
        (f"ami_{k}_clusters_{what}", f"agreement (AMI), {k} clusters, {len(SEEDS)} seeds: {what}")
        for k in CLUSTERS
        for what in ("mean", "sd", "least", "most")
    ),
)


def main() -> None:
    """Run the benchmark; print its table and write `build/bench/encoder.json`."""
    tasks = read_dataset(find_data("japanese_chat.jsonl.gz"))
    console = Console(stderr=not sys.stdout.isatty(), highlight=False)
    report: dict[str, float] = {}
    for name in ENCODERS.values():
        with console.status(f"measuring {name}"):
            folder = ensure_encoder(name, REPOSITORY / "build/encoder")
            found = {**_probe(folder), **_compare(name, folder), **_read(name, folder, tasks)}
        suffix = name.replace("-", "_")
        report |= {f"{key}_{suffix}": round(value, 5) for key, value in found.items()}
    report |= _count_uncovered(tasks.texts)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "encoder.json").write_text(json.dumps(report, indent=1) + "\n")
    _print(report, tasks)


def _probe(folder: Path) -> dict[str, float]:
    found: dict[str, float] = {
        "size_mb": sum((folder / part).stat().st_size for part in (SERVED, TOKENIZER)) / 1e6
    }
    for part in ("tokenizer", "encoder"):
        command = [sys.executable, "-m", "tests.bench.encoder_probe", part, str(folder)]
        done = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
        found |= json.loads(done.stdout)
    return found


def _load(folder: Path, graph: str) -> OnnxEncoder:
    spec = load_spec(folder)
    return OnnxEncoder(
        (folder / graph).read_bytes(),
        (folder / TOKENIZER).read_bytes(),
        prefix=spec.prefix,
        max_tokens=spec.max_tokens,
    )


def _embed(encoder: OnnxEncoder, texts: Sequence[str]) -> NDArray[np.float32]:
    return np.stack([encoder.encode(text) for text in texts])


def _compare(name: EncoderName, folder: Path) -> dict[str, float]:
    """Return cosines to vectors that code of the model's makers or packagers gave."""
    data = REPOSITORY / "tests/data"
    rows = json.loads((data / f"{_GOLDEN[name]}.json").read_text(encoding="utf-8"))["rows"]
    golden = np.load(data / f"{_GOLDEN[name]}.npy").astype(np.float32)
    golden /= np.linalg.norm(golden, axis=1, keepdims=True)
    found: dict[str, float] = {}
    for graph, key in ((SERVED, "cosine"), (YARDSTICK, "cosine_fp32")):
        embeddings = _embed(_load(folder, graph), [row["text"] for row in rows])
        cosines = (embeddings * golden).sum(axis=1)
        found |= {f"{key}_mean": float(cosines.mean()), f"{key}_least": float(cosines.min())}
    return found


def _read(name: EncoderName, folder: Path, tasks: Dataset) -> dict[str, float]:
    """Return how much of the Japanese tasks the encoder knows and tells apart."""
    spec = load_spec(folder)
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    unknown = tokenizer.token_to_id(_UNKNOWN[name])
    read: list[list[int]] = [tokenizer.encode(spec.prefix + text).ids for text in tasks.texts]
    unknowns = sum(token == unknown for row in read for token in row)
    embeddings = _embed(_load(folder, SERVED), tasks.texts)
    found = {
        "unknown_tokens": unknowns,
        "unknown_share": unknowns / sum(map(len, read)),
        "cut_texts": sum(len(row) == spec.max_tokens for row in read),
    }
    for k in CLUSTERS:
        scores = [_agreement(embeddings, tasks.datasets, k, seed) for seed in SEEDS]
        found[f"ami_{k}_clusters_mean"] = float(np.mean(scores))
        found[f"ami_{k}_clusters_sd"] = float(np.std(scores, ddof=1))
        found[f"ami_{k}_clusters_least"] = min(scores)
        found[f"ami_{k}_clusters_most"] = max(scores)
    return {**found, "ami": found[f"ami_{CLUSTERS[0]}_clusters_mean"]}


def _agreement(
    embeddings: NDArray[np.float32], datasets: NDArray[np.str_], k: int, seed: int
) -> float:
    labels = fit_clusters(embeddings, seed=seed, n_clusters=k).assign(embeddings)
    return float(adjusted_mutual_info_score(datasets, labels))


def _count_uncovered(texts: Sequence[str]) -> dict[str, float]:
    return {
        "uncovered_characters": sum(map(uncovered, texts)),
        "characters": sum(len(unicodedata.normalize("NFKC", text)) for text in texts),
    }


def _print(report: dict[str, float], tasks: Dataset) -> None:
    table = Table("", *ENCODERS)
    for key, label in _ROWS:
        values = (report[f"{key}_{name.replace('-', '_')}"] for name in ENCODERS)
        table.add_row(label, *(f"{value:.6g}" for value in values))
    out = Console(highlight=False)
    out.print(table)
    out.print(
        f"e5-small's cut vocabulary leaves out {report['uncovered_characters']:.0f} of the "
        f"{report['characters']:.0f} characters in {len(tasks)} Japanese tasks",
        soft_wrap=True,
    )
    more = report["ami_e5_small"] - report["ami_minilm"]
    out.print(
        f"clusters of e5-small agree {'better' if more > 0 else 'no better'} with the sets the "
        f"tasks come from than MiniLM's: {report['ami_e5_small']:.3f} against "
        f"{report['ami_minilm']:.3f}",
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()
