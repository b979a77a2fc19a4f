"""From labelled data to an artifact folder."""

import pickle
import platform
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from regroup.adapters.onnx_encoder import OnnxEncoder
from regroup.artifact import (
    ENCODER,
    HEADS,
    KMEANS,
    TOKENIZER,
    EncoderRecord,
    Manifest,
    Preset,
    Verdict,
    describe_parts,
    digest_of,
    write_artifact,
    write_heads,
)
from regroup.domain.catalog import Catalog
from regroup.domain.query import BUILDER_VERSION
from regroup.errors import DataError
from training.clusters import Clusters, describe_clusters, fit_clusters
from training.dataset import Dataset, Matrix
from training.embeddings import Progress, embed
from training.encoder import EncoderSpec, load_spec
from training.evaluate import (
    Average,
    best_single,
    judge,
    out_of_fold,
    paired_interval,
    row_weights,
)
from training.heads import AffineMaps, constant_maps, export_heads, fit_lengths, fit_ridge_cluster
from training.presets import calibrate_presets, expected_costs

FEWEST_SCORED = 50
"""Rows with every candidate's reward below which no gain can be judged."""

_PICKLE_PROTOCOL = 4
_RECORDED_PACKAGES = ("regroup", "numpy", "scikit-learn", "onnxruntime", "tokenizers")


@dataclass(frozen=True, slots=True)
class Options:
    """What a training run may be told."""

    average: Average = "rows"
    seed: int = 0
    n_clusters: int | None = None
    catalog: Catalog | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training run."""

    digest: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class _Fitted:
    maps: AffineMaps
    router: str
    verdict: Verdict
    default: str
    presets: Mapping[str, Preset]


def train(
    data: Dataset,
    encoder_folder: Path,
    out: Path,
    *,
    options: Options,
    cache_folder: Path,
    progress: Progress = lambda _done, _all: None,
) -> Trained:
    """Embed, cluster, fit, judge and write an artifact to `out`.

    Two runs on one machine with the same data, encoder and options give the same digest.

    Raises:
        DataError: the data cannot be used; the message says what to change.
    """
    full = np.isfinite(data.rewards).all(axis=1)
    if full.sum() < FEWEST_SCORED:
        raise DataError(
            f"{full.sum()} rows have a reward from every candidate: "
            f"at least {FEWEST_SCORED} are needed to judge a router"
        )
    log_tokens = fit_lengths(data.output_tokens)
    costs = expected_costs(data, options.catalog, log_tokens)
    spec = load_spec(encoder_folder)
    encoder = load_encoder(encoder_folder, spec)
    onnx = (encoder_folder / ENCODER).read_bytes()
    embeddings = embed(
        data.texts,
        encoder,
        cache_path=cache_path(cache_folder, onnx, spec),
        progress=progress,
    )
    # Sums over several threads differ from run to run in their last bits.
    with threadpool_limits(limits=1):
        clusters = fit_clusters(embeddings, seed=options.seed, n_clusters=options.n_clusters)
        described = describe_clusters(clusters, embeddings, data.texts)
        fitted = _fit(data, embeddings, clusters, costs, options)
    heads = export_heads(fitted.maps, log_tokens, clusters.centroids, data.candidates)
    parts = {
        ENCODER: onnx,
        TOKENIZER: (encoder_folder / TOKENIZER).read_bytes(),
        KMEANS: _pickle(clusters.kmeans),
        HEADS: write_heads(heads),
    }
    manifest = Manifest(
        parts=describe_parts(parts),
        candidates=data.candidates,
        encoder=EncoderRecord(
            name=spec.name,
            pooling=spec.pooling,
            prefix=spec.prefix,
            max_tokens=spec.max_tokens,
            dims=spec.dims,
            tokenizer_sha256=spec.tokenizer_digest,
        ),
        query_builder=BUILDER_VERSION,
        n_clusters=clusters.k,
        silhouette=clusters.silhouette,
        clusters=described,
        data_sha256=data.sha256,
        router=fitted.router,
        verdict=fitted.verdict,
        default_candidate=fitted.default,
        min_margin=0.0,
        presets=fitted.presets,
        metrics={"rows": float(len(data))},
        training={
            "average": options.average,
            "seed": str(options.seed),
            "python": platform.python_version(),
            "machine": platform.machine(),
            **{name: version(name) for name in _RECORDED_PACKAGES},
        },
    )
    return Trained(write_artifact(out, manifest, parts), manifest)


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


def _fit(
    data: Dataset,
    embeddings: NDArray[np.float32],
    clusters: Clusters,
    costs: Matrix,
    options: Options,
) -> _Fitted:
    labels = clusters.assign(embeddings)
    weights = row_weights(data.datasets, options.average)
    best = best_single(data.rewards, weights)
    predicted = out_of_fold(
        embeddings, data.rewards, labels, clusters.k, data.datasets, seed=options.seed
    )
    full = np.isfinite(data.rewards).all(axis=1)
    verdict = judge_out_of_fold(data, predicted, full, best, options)
    if verdict.route:
        router = "ridge-cluster"
        maps = fit_ridge_cluster(embeddings, data.rewards, labels, clusters.k, seed=options.seed)
    else:
        router = "best-single"
        maps = constant_maps(data.rewards, weights, clusters.k, embeddings.shape[1])
        predicted = maps.predict(embeddings, labels)
    held_out = row_weights(data.datasets[full], options.average)
    presets = calibrate_presets(predicted[full], data.rewards[full], costs[full], held_out, best)
    return _Fitted(maps, router, verdict, data.candidates[best], presets)


def judge_out_of_fold(
    data: Dataset, predicted: Matrix, full: NDArray[np.bool_], best: int, options: Options
) -> Verdict:
    """Judge the router by the fully scored rows, each predicted by the folds without it."""
    rewards = data.rewards[full]
    chosen = np.argmax(predicted[full], axis=1)
    differences = rewards[np.arange(len(rewards)), chosen] - rewards[:, best]
    gain = paired_interval(differences, data.datasets[full], options.average, seed=options.seed)
    return judge(gain, data.candidates[best])


def _pickle(kmeans: KMeans) -> bytes:
    """Pickle the K-means as scikit-learn does, without the training rows' labels."""
    bare = copy(kmeans)
    del bare.labels_
    return pickle.dumps(bare, _PICKLE_PROTOCOL)
