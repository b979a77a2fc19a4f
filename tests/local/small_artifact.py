"""An artifact of a few kilobytes, sound in all that the reader checks."""

import pickle

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from regroup.artifact import (
    ClusterRecord,
    EncoderRecord,
    Manifest,
    Preset,
    Verdict,
    describe_parts,
    digest_of,
    write_heads,
)
from regroup.domain.prediction import Heads
from regroup.domain.query import BUILDER_VERSION

_rng = np.random.default_rng(0)


def small_heads() -> Heads:
    def numbers(*shape: int) -> NDArray[np.float32]:
        return _rng.normal(size=shape).astype(np.float32)

    return Heads(
        candidates=("a", "b"),
        centroids=numbers(3, 4),
        weights=numbers(3, 2, 4),
        bias=numbers(3, 2),
        token_weights=numbers(3, 2, 4),
        token_bias=numbers(3, 2),
    )


def small_artifact() -> tuple[Manifest, dict[str, bytes]]:
    heads = small_heads()
    kmeans = KMeans(3, n_init=1, init=heads.centroids, max_iter=1)
    kmeans.fit(heads.centroids)
    kmeans.cluster_centers_ = heads.centroids
    parts = {
        "encoder.onnx": b"an encoder",
        "tokenizer.json": b"a tokenizer",
        "kmeans.pkl": pickle.dumps(kmeans, 4),
        "heads.npz": write_heads(heads),
    }
    manifest = Manifest(
        parts=describe_parts(parts),
        candidates=("a", "b"),
        encoder=EncoderRecord("test", "mean", "", 256, 4, digest_of(b"a tokenizer")),
        query_builder=BUILDER_VERSION,
        n_clusters=3,
        silhouette=0.1,
        clusters=(ClusterRecord(1.0, {"p50": 0.5}, ("word",)),),
        data_sha256="0" * 64,
        router="ridge-cluster",
        verdict=Verdict(True, "route", 0.1, 0.05, 0.15),
        default_candidate="a",
        min_margin=0.0,
        presets={"quality": Preset(0.0)},
    )
    return manifest, parts
