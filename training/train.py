"""From labelled data to an artifact folder."""

import pickle
import platform
from copy import copy
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from regroup.artifact import (
    ENCODER,
    GOLDEN,
    HEADS,
    TOKENIZER,
    UNCERTAINTY,
    EncoderRecord,
    Manifest,
    describe_parts,
    write_artifact,
    write_heads,
    write_uncertainty,
)
from regroup.domain.golden import make_golden
from regroup.domain.query import BUILDER_VERSION
from regroup.errors import DataError
from regroup.kmeans_file import KMEANS
from regroup.ports import ObjectStore
from training.affine import AffineMaps
from training.champion import compare_with_champion
from training.clusters import describe_clusters
from training.comparison import Comparison, compare, judged_rows, routers_named
from training.dataset import Dataset
from training.embeddings import Progress
from training.encoder import EncoderSpec, load_spec
from training.heads import export_heads
from training.newcomer import lowered, newcomers, placed_last, with_newcomers, without
from training.prepare import Options, embed_queries, load_encoder, prepare
from training.ridge import CLOSED_FORM
from training.sample import Sample
from training.selection import Selection, quality_choices, select
from training.uncertainty import Calibrated, calibrate

FEWEST_SCORED = 50
"""Rows that a router can be judged by, below which nothing is trained."""

_PICKLE_PROTOCOL = 4
_RECORDED_PACKAGES = ("regroup", "numpy", "scikit-learn", "onnxruntime", "tokenizers")


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training run."""

    digest: str
    manifest: Manifest


def train(
    data: Dataset,
    encoder_folder: Path,
    out: Path,
    *,
    options: Options,
    cache_folder: Path,
    champion: tuple[ObjectStore, str] | None = None,
    progress: Progress = lambda _done, _all: None,
) -> Trained:
    """Embed, cluster, compare routers, judge, fit and write an artifact to `out`.

    Two runs on one machine with the same data, encoder and options give the same digest.

    Args:
        data: labelled rows.
        encoder_folder: what `regroup encoder` wrote.
        out: folder to write to.
        options: router, average, seed, clusters, catalog.
        cache_folder: keeps embeddings between runs.
        champion: store and key of the pointer whose live router this one is to be compared with.
        progress: told as texts are embedded.

    Raises:
        DataError: the data cannot be used; the message says what to change.
        ArtifactError: the live router cannot be compared with.
    """
    names = routers_named(options.router)
    scarce = newcomers(data.rewards)
    known = data.without(scarce)
    judged = judged_rows(known, options.seed)
    if len(judged) < FEWEST_SCORED:
        raise DataError(
            f"{len(judged)} rows have a reward from every candidate: "
            f"at least {FEWEST_SCORED} are needed to judge a router, "
            "or logged decisions in which every candidate had a chance"
        )
    spec = load_spec(encoder_folder)
    embeddings = embed_queries(data, encoder_folder, cache_folder=cache_folder, progress=progress)
    ready = prepare(data, embeddings, options)
    sample, costs = without(ready.sample, scarce), ready.costs.without(scarce)
    clusters, seed = ready.clusters, options.seed
    # Sums over several threads differ from run to run in their last bits.
    with threadpool_limits(limits=1):
        described = describe_clusters(clusters, embeddings, data.texts)
        compared = compare(known, sample, names, average=options.average, seed=seed)
        selection = select(known, sample, costs, compared, router=options.router, seed=seed)
        maps = _with_scarce(selection, compared, ready.sample, scarce, data.candidates)
        found = None
        if not len(scarce):
            found = calibrate(compared, selection.router, min_margin=selection.min_margin)
    against = None
    if champion is not None and selection.router != "best-single":
        against = compare_with_champion(
            *champion,
            known,
            quality_choices(compared, selection),
            compared.judged,
            average=options.average,
            seed=seed,
            cache_folder=cache_folder,
            costs=costs.expected[compared.judged],
        )
    heads = export_heads(maps, ready.lengths, clusters.centroids, data.candidates)
    parts = {
        ENCODER: (encoder_folder / ENCODER).read_bytes(),
        TOKENIZER: (encoder_folder / TOKENIZER).read_bytes(),
        KMEANS: _pickle(clusters.kmeans),
        HEADS: write_heads(heads),
    }
    if found is not None:
        parts[UNCERTAINTY] = write_uncertainty(found.uncertainty)
    parts[GOLDEN] = make_golden(load_encoder(encoder_folder, spec).encode, heads).to_bytes()
    manifest = Manifest(
        parts=describe_parts(parts),
        candidates=data.candidates,
        encoder=_record(spec),
        query_builder=BUILDER_VERSION,
        n_clusters=clusters.k,
        silhouette=clusters.silhouette,
        clusters=described,
        data_sha256=data.sha256,
        router=selection.router,
        verdict=selection.verdict,
        default_candidate=known.candidates[compared.default],
        min_margin=selection.min_margin,
        presets=selection.presets,
        against_champion=against,
        metrics={
            "rows": float(len(data)),
            "judged_rows": float(len(compared.judged)),
            **({} if found is None else _calibration(found)),
        },
        training={
            "average": options.average,
            "seed": str(options.seed),
            "python": platform.python_version(),
            "machine": platform.machine(),
            **{name: version(name) for name in _RECORDED_PACKAGES},
        },
    )
    return Trained(write_artifact(out, manifest, parts), manifest)


def _with_scarce(
    selection: Selection,
    compared: Comparison,
    sample: Sample,
    scarce: NDArray[np.intp],
    names: tuple[str, ...],
) -> AffineMaps:
    """Return the maps of all candidates, those of few labels placed among the others."""
    if not len(scarce):
        return selection.maps
    if selection.router not in CLOSED_FORM or compared.fits is None:
        return placed_last(selection.maps, scarce)
    maps = with_newcomers(compared.fits, selection.router, sample, scarce, names)
    return lowered(maps, sample.rewards, scarce)


def _calibration(found: Calibrated) -> dict[str, float]:
    """Return how far stated probabilities and gains are from what came of them."""
    return {
        "best_calibration_error_raw": found.best_raw.expected_calibration_error,
        "best_calibration_error": found.best.expected_calibration_error,
        "gain_calibration_error": found.gain.expected_calibration_error,
    }


def _record(spec: EncoderSpec) -> EncoderRecord:
    return EncoderRecord(
        name=spec.name,
        pooling=spec.pooling,
        prefix=spec.prefix,
        max_tokens=spec.max_tokens,
        dims=spec.dims,
        tokenizer_sha256=spec.tokenizer_digest,
    )


def _pickle(kmeans: KMeans) -> bytes:
    """Pickle the K-means as scikit-learn does, without the training rows' labels."""
    bare = copy(kmeans)
    del bare.labels_
    return pickle.dumps(bare, _PICKLE_PROTOCOL)
