"""Bring a fitted router into the form that is served."""

import numpy as np

from regroup.domain.prediction import Floats, Heads
from training.affine import AffineMaps
from training.lengths import Lengths


def export_heads(
    maps: AffineMaps, lengths: Lengths, centroids: Floats, candidates: tuple[str, ...]
) -> Heads:
    """Return what is served: the rewards' maps and the lengths', in float32."""
    clusters = len(maps.bias)
    return Heads(
        candidates=candidates,
        centroids=centroids,
        weights=maps.weights.astype(np.float32),
        bias=maps.bias.astype(np.float32),
        token_weights=np.repeat(lengths.weights[None], clusters, axis=0).astype(np.float32),
        token_bias=np.repeat(lengths.bias[None], clusters, axis=0).astype(np.float32),
    )
