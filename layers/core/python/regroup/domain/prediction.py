"""Predict what every candidate's answer to a query would earn, and how long it would be."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from regroup.errors import ArtifactIncompatibleError

type Floats = NDArray[np.float32]

_MAX_LOG_TOKENS = 20.0
"""exp(20) is 485 million: beyond any answer, and far from overflow."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the artifact says about one query: a function of the two alone, so it can be cached."""

    cluster: int
    distance: float
    """Euclidean distance of the embedding to its cluster's centroid."""
    rewards: dict[str, float]
    """Predicted reward by candidate, in [0, 1] but for extrapolation."""
    output_tokens: dict[str, float]
    """Predicted length of the answer by candidate."""
    reward_errors: dict[str, float] = field(default_factory=dict)
    """Standard errors of the predicted rewards; empty where the artifact knows none."""
    choice_errors: dict[str, float] = field(default_factory=dict)
    """The same, as far as they bear on which candidate is best."""


@dataclass(frozen=True, slots=True)
class Heads:
    """One affine map per cluster: what every router is exported to.

    `weights[k] @ embedding + bias[k]` are the candidates' rewards in cluster `k`; the second
    pair gives the natural logarithm of their output tokens.
    """

    candidates: tuple[str, ...]
    centroids: Floats
    """(clusters, dims)"""
    weights: Floats
    """(clusters, candidates, dims)"""
    bias: Floats
    """(clusters, candidates)"""
    token_weights: Floats
    """(clusters, candidates, dims)"""
    token_bias: Floats
    """(clusters, candidates)"""

    def __post_init__(self) -> None:
        """Refuse shapes that do not fit each other and numbers that are not finite."""
        clusters, dims = self.centroids.shape
        maps = (clusters, len(self.candidates), dims)
        expected = {
            "weights": maps,
            "bias": maps[:2],
            "token_weights": maps,
            "token_bias": maps[:2],
        }
        for name, shape in expected.items():
            found = getattr(self, name).shape
            if found != shape:
                raise ArtifactIncompatibleError(f"heads: {name} has shape {found}, not {shape}")
        if len(set(self.candidates)) != len(self.candidates):
            raise ArtifactIncompatibleError("heads: a candidate is named twice")
        for name in ("centroids", *expected):
            # argmax over NaN answers 0 without a word, which would be a choice of model.
            if not np.isfinite(getattr(self, name)).all():
                raise ArtifactIncompatibleError(f"heads: {name} holds numbers that are not finite")

    @property
    def dims(self) -> int:
        """The length of an embedding."""
        return int(self.centroids.shape[1])

    def assign(self, embedding: Floats) -> tuple[int, float]:
        """Find the nearest centroid of one (dims,) embedding: cluster and distance."""
        distances = np.linalg.norm(self.centroids - embedding, axis=1)
        cluster = int(np.argmin(distances))
        return cluster, float(distances[cluster])

    def predict(self, embedding: Floats) -> Prediction:
        """Predict rewards and lengths from one (dims,) embedding.

        Raises:
            ArtifactIncompatibleError: the embedding has another length or is not finite.
        """
        if embedding.shape != (self.dims,):
            raise ArtifactIncompatibleError(
                f"an embedding has shape {embedding.shape}, the heads want ({self.dims},)"
            )
        if not np.isfinite(embedding).all():
            raise ArtifactIncompatibleError("the embedding is not finite")
        cluster, distance = self.assign(embedding)
        rewards = self.weights[cluster] @ embedding + self.bias[cluster]
        log_tokens = self.token_weights[cluster] @ embedding + self.token_bias[cluster]
        tokens = np.exp(np.clip(log_tokens, 0.0, _MAX_LOG_TOKENS))
        return Prediction(
            cluster=cluster,
            distance=distance,
            rewards=dict(zip(self.candidates, rewards.tolist(), strict=True)),
            output_tokens=dict(zip(self.candidates, tokens.tolist(), strict=True)),
        )
