"""Bring labelled data into the form that routers are fitted on: embedded, clustered, priced."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from regroup.adapters.onnx_encoder import OnnxEncoder
from regroup.artifact import ENCODER, TOKENIZER, digest_of
from regroup.domain.catalog import Catalog
from training.clusters import Clusters, fit_clusters
from training.crossval import assign_folds
from training.dataset import Dataset
from training.embeddings import Progress, embed
from training.encoder import EncoderSpec, load_spec
from training.intervals import Average
from training.lengths import Lengths, fit_lengths
from training.presets import expected_costs, paid_costs
from training.routers import AUTO
from training.sample import Sample
from training.selection import Costs


@dataclass(frozen=True, slots=True)
class Options:
    """What a training run or an evaluation may be told."""

    router: str = AUTO
    average: Average = "rows"
    seed: int = 0
    n_clusters: int | None = None
    catalog: Catalog | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """Labelled data, ready to fit on."""

    sample: Sample
    costs: Costs
    clusters: Clusters
    lengths: Lengths


def embed_queries(
    data: Dataset,
    encoder_folder: Path,
    *,
    cache_folder: Path,
    progress: Progress = lambda _done, _all: None,
) -> NDArray[np.float32]:
    """Return the (rows, dims) embeddings of the queries, by the encoder that will be served."""
    spec = load_spec(encoder_folder)
    onnx = (encoder_folder / ENCODER).read_bytes()
    return embed(
        data.texts,
        load_encoder(encoder_folder, spec),
        cache_path=cache_path(cache_folder, onnx, spec),
        progress=progress,
    )


def prepare(
    data: Dataset,
    embeddings: NDArray[np.float32],
    options: Options,
    fitted_on: NDArray[np.intp] | None = None,
) -> Prepared:
    """Cluster the queries, and predict what each call costs.

    Args:
        data: the rows.
        embeddings: (rows, dims) of the same rows.
        options: seed, number of clusters, catalog.
        fitted_on: index of the rows that may be learned from; by default all.

    Raises:
        DataError: too few rows, or costs known of some candidates only.
    """
    # Indexing copies, and the embeddings may be a file larger than memory.
    known = data if fitted_on is None else data.take(fitted_on)
    seen = embeddings if fitted_on is None else embeddings[fitted_on]
    # Sums over several threads differ from run to run in their last bits.
    with threadpool_limits(limits=1):
        clusters = fit_clusters(seen, seed=options.seed, n_clusters=options.n_clusters)
        folds = assign_folds(known.texts, known.datasets, seed=options.seed)
        lengths = fit_lengths(seen, known.output_tokens, folds)
        expected = expected_costs(data, known, options.catalog, lengths.tokens(embeddings))
        sample = Sample(
            embeddings,
            data.rewards,
            clusters.assign(embeddings),
            clusters.k,
            np.ones(len(data)),
        )
    return Prepared(sample, Costs(expected, paid_costs(data, expected)), clusters, lengths)


def load_encoder(folder: Path, spec: EncoderSpec) -> OnnxEncoder:
    """Load the encoder of a folder as the classifier would."""
    return OnnxEncoder(
        (folder / ENCODER).read_bytes(),
        (folder / TOKENIZER).read_bytes(),
        prefix=spec.prefix,
        max_tokens=spec.max_tokens,
    )


def cache_path(folder: Path, onnx: bytes, spec: EncoderSpec) -> Path:
    """Name the embeddings' cache after all that decides an embedding."""
    identity = f"{digest_of(onnx)} {spec.tokenizer_digest} {spec.prefix} {spec.max_tokens}"
    return folder / f"embeddings-{digest_of(identity.encode())[:16]}.sqlite"
